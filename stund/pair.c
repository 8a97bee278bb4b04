/* pair: see pair.h. PURE. */
#include <string.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "stund/pair.h"

/* "cn", the version, then the type. */
#define MAGIC	   0x636e01u
#define HEADER_LEN 44
#define TAG_LEN	   16

enum { TYPE_HELLO = 1, TYPE_SEALED = 2 };
enum { KIND_PING = 1, KIND_PONG, KIND_REQUEST, KIND_BYE };

/* kind, token, families, two ports, two addresses; the longest plain text. */
#define PING_LEN (1 + 8 + 1 + 2 * 2 + 2 * 16)

_Static_assert(
    HEADER_LEN + PING_LEN + TAG_LEN <= PAIR_DATAGRAM_MAX, "a ping fits");
_Static_assert(
    crypto_aead_chacha20poly1305_ietf_KEYBYTES == KEY_LEN, "keys fit");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == TAG_LEN, "tags fit");

/* struct pair's owed. */
enum {
	OWED_HELLO = 1, /* to whom it may concern */
	OWED_HELLO_BACK = 2, /* to a hello that knew nobody */
	OWED_PING = 4, /* in the session */
	OWED_PING_FIRST = 8, /* to a hello that named our next id */
	OWED_PONG = 16,
};

struct header {
	uint8_t type;
	struct pair_id from, to;
	uint64_t counter;
};

const char *
pair_verdict_name(enum pair_verdict v)
{
	static const char *const names[PAIR_VERDICTS] = {
	    [PAIR_GOT_HELLO] = "hello",
	    [PAIR_GOT_PING] = "ping",
	    [PAIR_GOT_PONG] = "pong",
	    [PAIR_GOT_REQUEST] = "request",
	    [PAIR_GOT_BYE] = "bye",
	    [PAIR_FOREIGN] = "foreign",
	    [PAIR_OWN] = "own",
	    [PAIR_FORGED] = "forged",
	    [PAIR_REPLAYED] = "replayed",
	    [PAIR_STALE] = "stale",
	    [PAIR_MALFORMED] = "malformed",
	};

	return names[v];
}

static bool
id_equal(const struct pair_id *a, const struct pair_id *b)
{
	return memcmp(a->b, b->b, PAIR_ID_LEN) == 0;
}

static bool
id_is_zero(const struct pair_id *a)
{
	static const struct pair_id zero;

	return id_equal(a, &zero);
}

/* ---- keys ---- */

/* BLAKE2b of a label and both ids (NULL: none) under the shared key. */
static void
derive(struct key *out, const struct key *root, const char *label,
    const struct pair_id *from, const struct pair_id *to)
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, root->b, KEY_LEN, KEY_LEN);
	crypto_generichash_update(
	    &h, (const unsigned char *)label, strlen(label));
	if (from != NULL)
		crypto_generichash_update(&h, from->b, PAIR_ID_LEN);
	if (to != NULL)
		crypto_generichash_update(&h, to->b, PAIR_ID_LEN);
	crypto_generichash_final(&h, out->b, KEY_LEN);
	sodium_memzero(&h, sizeof(h));
}

static void
derive_sealing(struct key *out, const struct key *root,
    const struct pair_id *from, const struct pair_id *to)
{
	derive(out, root, "campusnet stund pair 1 sealed", from, to);
}

static void
draw_id(struct pair *p)
{
	uint8_t n[8];
	struct wr w;

	wr_init(&w, n, sizeof(n));
	wr_u64(&w, ++p->drawn);
	crypto_generichash(
	    p->mine.b, PAIR_ID_LEN, n, sizeof(n), p->seed, PAIR_SEED_LEN);
}

void
pair_init(struct pair *p, const struct key *shared,
    const uint8_t seed[static PAIR_SEED_LEN], const struct pair_site *ours)
{
	memset(p, 0, sizeof(*p));
	p->root = *shared;
	p->ours = *ours;
	p->rtt_us = -1;
	memcpy(p->seed, seed, PAIR_SEED_LEN);
	derive(&p->hello, &p->root, "campusnet stund pair 1 hello", NULL, NULL);
	draw_id(p);
}

void
pair_clear(struct pair *p)
{
	sodium_memzero(p, sizeof(*p));
}

/* ---- writing ---- */

static void
write_header(struct wr *w, uint8_t type, const struct pair_id *from,
    const struct pair_id *to, uint64_t counter)
{
	wr_u32(w, MAGIC << 8 | type);
	wr_bytes(w, from->b, PAIR_ID_LEN);
	wr_bytes(w, to->b, PAIR_ID_LEN);
	wr_u64(w, counter);
}

static size_t
write_hello(const struct pair *p, const struct pair_id *to, uint8_t *out)
{
	struct wr w;

	wr_init(&w, out, PAIR_DATAGRAM_MAX);
	write_header(&w, TYPE_HELLO, &p->mine, to, 0);
	crypto_generichash(
	    out + HEADER_LEN, TAG_LEN, out, HEADER_LEN, p->hello.b, KEY_LEN);
	return HEADER_LEN + TAG_LEN;
}

static void
nonce_of(uint8_t nonce[static crypto_aead_chacha20poly1305_ietf_NPUBBYTES],
    uint64_t counter)
{
	struct wr w;

	wr_init(&w, nonce, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
	wr_u32(&w, 0);
	wr_u64(&w, counter);
}

/* A counter is used once in the life of p: the same two ids, and so the same
 * key, may meet again before a session begins with them. */
static size_t
seal(struct pair *p, const struct pair_id *from, const struct pair_id *to,
    const struct key *key, const struct wr *plain, uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	struct wr w;

	wr_init(&w, out, PAIR_DATAGRAM_MAX);
	write_header(&w, TYPE_SEALED, from, to, ++p->sent);
	nonce_of(nonce, p->sent);
	crypto_aead_chacha20poly1305_ietf_encrypt(out + HEADER_LEN, NULL,
	    plain->start, wr_len(plain), out, HEADER_LEN, NULL, nonce, key->b);
	return HEADER_LEN + wr_len(plain) + TAG_LEN;
}

static size_t
seal_in_session(struct pair *p, const struct wr *plain, uint8_t *out)
{
	const struct pair_session *s = &p->session;

	if (!s->begun)
		return 0;
	return seal(p, &s->mine, &s->theirs, &s->send, plain, out);
}

/* Ping and pong differ by their kind; the token comes back as it was. */
static void
write_ping(
    struct wr *w, uint8_t kind, uint64_t token, const struct pair_site *ours)
{
	wr_u8(w, kind);
	wr_u64(w, token);
	wr_u8(w, (uint8_t)(ours->has[PAIR_V4] | ours->has[PAIR_V6] << 1));
	wr_u16(w, ours->port[0]);
	wr_u16(w, ours->port[1]);
	for (int f = 0; f < PAIR_FAMILIES; f++)
		wr_bytes(w, ours->ip[f], 16);
}

static size_t
send_first_ping(struct pair *p, const struct wr *plain, uint8_t *out)
{
	struct key key;
	size_t n;

	derive_sealing(&key, &p->root, &p->mine, &p->owed_to);
	n = seal(p, &p->mine, &p->owed_to, &key, plain, out);
	sodium_memzero(&key, sizeof(key));
	return n;
}

/* Writes one thing that is owed; 0 if that needs a session. */
static size_t
pay(struct pair *p, unsigned what, struct mono now, uint8_t *out)
{
	static const struct pair_id nobody;
	bool pong = what == OWED_PONG;
	uint8_t plain[PING_LEN];
	struct wr w;

	if (what == OWED_HELLO)
		return write_hello(p, &nobody, out);
	if (what == OWED_HELLO_BACK)
		return write_hello(p, &p->owed_to, out);
	wr_init(&w, plain, sizeof(plain));
	write_ping(&w, pong ? KIND_PONG : KIND_PING,
	    pong ? p->pong : (uint64_t)now.us, &p->ours);
	if (what == OWED_PING_FIRST)
		return send_first_ping(p, &w, out);
	return seal_in_session(p, &w, out);
}

static bool
answered_lately(const struct pair *p, struct mono now, int64_t us)
{
	int64_t age = mono_diff_us(p->answered, now);

	return mono_is_set(p->answered) && age >= 0 && age <= us;
}

struct mono
pair_deadline(const struct pair *p)
{
	struct mono end = MONO_NEVER;

	/* A microsecond on, the answer is too old. */
	if (mono_is_set(p->answered))
		end = mono_add_us(p->answered, PAIR_ALIVE_US + 1);
	return end.us <= p->polled.us ? p->ping : mono_earlier(p->ping, end);
}

size_t
pair_poll(
    struct pair *p, struct mono now, uint8_t out[static PAIR_DATAGRAM_MAX])
{
	size_t n = 0;
	unsigned bit;

	/* A clock that was set back must not end the pings. */
	if (!mono_is_set(p->ping) || mono_reached(p->ping, now) ||
	    now.us < p->polled.us) {
		p->ping = mono_add_us(now, PAIR_PING_US);
		p->owed |= OWED_PING;
		if (!answered_lately(p, now, 2 * PAIR_PING_US))
			p->owed |= OWED_HELLO;
	}
	p->polled = now;
	while (p->owed != 0 && n == 0) {
		bit = p->owed & -p->owed;
		p->owed &= ~bit;
		n = pay(p, bit, now, out);
	}
	return n;
}

size_t
pair_ask(struct pair *p, const struct pair_request *q,
    uint8_t out[static PAIR_DATAGRAM_MAX])
{
	uint8_t plain[PING_LEN];
	struct wr w;

	wr_init(&w, plain, sizeof(plain));
	wr_u8(&w, KIND_REQUEST);
	wr_u32(&w, q->magic);
	wr_bytes(&w, q->txid.b, STUN_TXID_LEN);
	wr_bytes(&w, q->client.ip, sizeof(q->client.ip));
	wr_u16(&w, q->client.port);
	wr_u16(&w, q->to_port);
	wr_u8(&w, q->came_to);
	wr_u8(&w, q->from);
	wr_u8(&w, q->want);
	wr_u16(&w, q->request_len);
	wr_u16(&w, q->extras_max);
	return seal_in_session(p, &w, out);
}

size_t
pair_bye(struct pair *p, uint8_t out[static PAIR_DATAGRAM_MAX])
{
	uint8_t plain[1];
	struct wr w;

	wr_init(&w, plain, sizeof(plain));
	wr_u8(&w, KIND_BYE);
	return seal_in_session(p, &w, out);
}

/* ---- reading ---- */

static bool
read_header(struct header *h, const uint8_t *d, size_t n)
{
	struct rd r;
	uint32_t magic;

	rd_init(&r, d, n);
	magic = rd_u32(&r);
	h->type = (uint8_t)magic;
	rd_copy(&r, h->from.b, PAIR_ID_LEN);
	rd_copy(&r, h->to.b, PAIR_ID_LEN);
	h->counter = rd_u64(&r);
	return magic >> 8 == MAGIC && !r.bad && rd_left(&r) >= TAG_LEN &&
	    n <= PAIR_DATAGRAM_MAX;
}

static enum pair_verdict
take_hello(struct pair *p, const struct header *h, const uint8_t *d, size_t n)
{
	uint8_t tag[TAG_LEN];

	crypto_generichash(tag, TAG_LEN, d, HEADER_LEN, p->hello.b, KEY_LEN);
	if (n != HEADER_LEN + TAG_LEN || h->counter != 0 ||
	    sodium_memcmp(tag, d + HEADER_LEN, TAG_LEN) != 0)
		return PAIR_FORGED;
	if (id_equal(&h->from, &p->mine))
		return PAIR_OWN;
	/* Any other id is one that we have no more: no answer, or two hosts
	 * could go on about old hellos. */
	if (id_is_zero(&h->to))
		p->owed |= OWED_HELLO_BACK;
	else if (id_equal(&h->to, &p->mine))
		p->owed |= OWED_PING_FIRST;
	else
		return PAIR_STALE;
	p->owed_to = h->from;
	return PAIR_GOT_HELLO;
}

static bool
window_has_room(const struct pair_session *s, uint64_t counter)
{
	uint64_t behind = s->top - counter;

	return counter > s->top ||
	    (behind < 64 && (s->seen >> behind & 1) == 0);
}

static void
window_mark(struct pair_session *s, uint64_t counter)
{
	uint64_t ahead = counter - s->top;

	if (counter <= s->top) {
		s->seen |= UINT64_C(1) << (s->top - counter);
		return;
	}
	s->seen = ahead < 64 ? s->seen << ahead | 1 : 1;
	s->top = counter;
}

/* Opens what follows the header, to plain; returns its length or -1. */
static int
open_sealed(const struct key *key, const struct header *h, const uint8_t *d,
    size_t n, uint8_t plain[static PAIR_DATAGRAM_MAX])
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	unsigned long long len;

	nonce_of(nonce, h->counter);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, &len, NULL,
		d + HEADER_LEN, n - HEADER_LEN, d, HEADER_LEN, nonce,
		key->b) != 0)
		return -1;
	return (int)len;
}

/* The partner named our next id under the right key: it is there now, and
 * the session begins. Until then the keys are made for this one look. */
static int
open_first(struct pair *p, const struct header *h, const uint8_t *d, size_t n,
    uint8_t plain[static PAIR_DATAGRAM_MAX])
{
	struct pair_session s = {
	    .begun = true, .mine = p->mine, .theirs = h->from};
	int len;

	derive_sealing(&s.receive, &p->root, &h->from, &p->mine);
	len = open_sealed(&s.receive, h, d, n, plain);
	if (len >= 0) {
		derive_sealing(&s.send, &p->root, &p->mine, &h->from);
		p->session = s;
		p->owed |= OWED_PING;
		draw_id(p);
	}
	sodium_memzero(&s, sizeof(s));
	return len;
}

static bool
read_site(struct rd *r, struct pair_site *s)
{
	uint8_t has = rd_u8(r);

	s->port[0] = rd_u16(r);
	s->port[1] = rd_u16(r);
	for (int f = 0; f < PAIR_FAMILIES; f++) {
		s->has[f] = has >> f & 1;
		rd_copy(r, s->ip[f], 16);
	}
	return !r->bad && s->port[0] != 0 && s->port[1] != 0;
}

static enum pair_verdict
take_ping(struct pair *p, bool pong, struct rd *r, struct mono now)
{
	uint64_t token = rd_u64(r);
	struct pair_site site;
	int64_t rtt;

	if (!read_site(r, &site))
		return PAIR_MALFORMED;
	p->theirs = site;
	if (!pong) {
		p->pong = token;
		p->owed |= OWED_PONG;
		return PAIR_GOT_PING;
	}
	/* The time of our ping: of the newest, if pongs overtake each other,
	 * and not of one before the clock was set back. */
	if (token == 0 || token > (uint64_t)now.us)
		return PAIR_GOT_PONG;
	rtt = now.us - (int64_t)token;
	if (!answered_lately(p, now, rtt)) {
		p->answered = (struct mono){(int64_t)token};
		p->rtt_us = rtt;
	}
	return PAIR_GOT_PONG;
}

static enum pair_verdict
take_request(struct pair_request *q, struct rd *r)
{
	q->magic = rd_u32(r);
	rd_copy(r, q->txid.b, STUN_TXID_LEN);
	rd_copy(r, q->client.ip, sizeof(q->client.ip));
	q->client.port = rd_u16(r);
	q->to_port = rd_u16(r);
	q->came_to = rd_u8(r);
	q->from = rd_u8(r);
	q->want = rd_u8(r);
	q->request_len = rd_u16(r);
	q->extras_max = rd_u16(r);
	if (r->bad || q->came_to > 1 || q->from > 1 || q->client.port == 0 ||
	    q->to_port == 0)
		return PAIR_MALFORMED;
	return PAIR_GOT_REQUEST;
}

static enum pair_verdict
take_plain(struct pair *p, const uint8_t *plain, size_t n, struct mono now,
    struct pair_request *q)
{
	enum pair_verdict v = PAIR_MALFORMED;
	struct rd r;

	rd_init(&r, plain, n);
	switch (rd_u8(&r)) {
	case KIND_PING:
		v = take_ping(p, false, &r, now);
		break;
	case KIND_PONG:
		v = take_ping(p, true, &r, now);
		break;
	case KIND_REQUEST:
		v = take_request(q, &r);
		break;
	case KIND_BYE:
		p->answered = MONO_NEVER;
		v = PAIR_GOT_BYE;
		break;
	}
	return v;
}

static enum pair_verdict
take_sealed(struct pair *p, const struct header *h, const uint8_t *d, size_t n,
    struct mono now, struct pair_request *q)
{
	struct pair_session *s = &p->session;
	uint8_t plain[PAIR_DATAGRAM_MAX];
	int len;

	if (h->counter == 0) /* the window begins there */
		return PAIR_FORGED;
	if (s->begun && id_equal(&h->to, &s->mine) &&
	    id_equal(&h->from, &s->theirs)) {
		if (!window_has_room(s, h->counter))
			return PAIR_REPLAYED;
		len = open_sealed(&s->receive, h, d, n, plain);
	} else if (id_equal(&h->to, &p->mine))
		len = open_first(p, h, d, n, plain);
	else
		return PAIR_STALE;
	if (len < 0)
		return PAIR_FORGED;
	window_mark(s, h->counter);
	return take_plain(p, plain, (size_t)len, now, q);
}

enum pair_verdict
pair_receive(struct pair *p, const uint8_t *d, size_t n, struct mono now,
    struct pair_request *q)
{
	struct header h;

	if (!read_header(&h, d, n))
		return PAIR_FOREIGN;
	if (h.type == TYPE_HELLO)
		return take_hello(p, &h, d, n);
	if (h.type == TYPE_SEALED)
		return take_sealed(p, &h, d, n, now, q);
	return PAIR_FOREIGN;
}

/* ---- what follows for clients ---- */

static bool
fits(const struct pair *p, enum pair_family f)
{
	const struct pair_site *a = &p->ours, *b = &p->theirs;

	return a->has[f] && b->has[f] && memcmp(a->ip[f], b->ip[f], 16) != 0 &&
	    a->port[0] == b->port[0] && a->port[1] == b->port[1];
}

enum pair_state
pair_state(const struct pair *p, struct mono now)
{
	if (!answered_lately(p, now, PAIR_ALIVE_US))
		return PAIR_DOWN;
	return fits(p, PAIR_V4) || fits(p, PAIR_V6) ? PAIR_UP : PAIR_UNFIT;
}

const uint8_t *
pair_other(const struct pair *p, enum pair_family f, struct mono now)
{
	if (!answered_lately(p, now, PAIR_ALIVE_US) || !fits(p, f))
		return NULL;
	return p->theirs.ip[f];
}

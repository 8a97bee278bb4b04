/* message: pair mode's messages as bytes. PURE. */
#include <string.h>

#include "probes/natprobe/pair/message.h"

static const uint8_t magic[] = {'T', 'S', 0xf0, 0x9f, 0x92, 0xac};
#define HEAD_LEN (sizeof(magic) + KEY_LEN)
#define TEXT_MAX (MESSAGE_MAX - HEAD_LEN - DERPBOX_OVERHEAD)

/* ---- writing ---- */

static void
put_addr(struct wr *w, const struct stun_addr *a)
{
	wr_bytes(w, a->ip, sizeof(a->ip));
	wr_u16(w, a->port);
}

static void
put_knocks(struct wr *w, const struct message *m)
{
	wr_u8(w, (uint8_t)(m->has_knock[0] + m->has_knock[1]));
	for (uint8_t v6 = 0; v6 < 2; v6++) {
		const struct knock_said *k = &m->knock[v6];

		if (!m->has_knock[v6])
			continue;
		wr_u8(w, v6);
		wr_u8(w, k->stage);
		wr_u8(w, k->flags);
		put_addr(w, &k->addr);
		wr_u8(w, k->knock);
		wr_u16(w, k->knock_ms);
		wr_u8(w, k->again);
		wr_u8(w, k->open);
	}
}

static void
put_body(struct wr *w, const struct message *m)
{
	switch (m->type) {
	case MESSAGE_HELLO:
		break;
	case MESSAGE_WELCOME:
	case MESSAGE_CALL:
		wr_u8(w, (uint8_t)m->n);
		for (size_t i = 0; i < m->n; i++) {
			wr_u8(w, (uint8_t)m->candidates[i].kind);
			put_addr(w, &m->candidates[i].addr);
		}
		wr_u8(w, m->features);
		break;
	case MESSAGE_PING:
		wr_u32(w, m->serial);
		wr_u8(w, m->target);
		break;
	case MESSAGE_PONG:
		wr_u32(w, m->serial);
		put_addr(w, &m->addr);
		break;
	case MESSAGE_REPORT:
		wr_u8(w, m->has);
		wr_u8(w, m->direct);
		put_addr(w, &m->addr);
		wr_u8(w, (uint8_t)m->n);
		for (size_t i = 0; i < m->n; i++)
			wr_u16(w, m->got[i]);
		break;
	case MESSAGE_REFUSE:
		wr_u8(w, m->refusal);
		break;
	case MESSAGE_KNOCK:
		put_knocks(w, m);
		break;
	}
}

size_t
message_seal(const struct message *m, uint8_t out[static MESSAGE_MAX],
    const struct derpbox *box, const struct key *sender,
    const uint8_t nonce[static DERPBOX_NONCE_LEN])
{
	uint8_t text[TEXT_MAX];
	struct wr w;

	wr_init(&w, text, sizeof(text));
	wr_u8(&w, m->version);
	wr_u8(&w, (uint8_t)m->role);
	wr_u8(&w, (uint8_t)m->type);
	put_body(&w, m);
	memcpy(out, magic, sizeof(magic));
	memcpy(out + sizeof(magic), sender->b, KEY_LEN);
	derpbox_seal(box, out + HEAD_LEN, text, wr_len(&w), nonce);
	return HEAD_LEN + DERPBOX_OVERHEAD + wr_len(&w);
}

/* ---- reading ---- */

static void
get_addr(struct rd *r, struct stun_addr *a)
{
	rd_copy(r, a->ip, sizeof(a->ip));
	a->port = rd_u16(r);
}

static void
get_candidates(struct rd *r, struct message *m)
{
	uint8_t kind;

	m->n = rd_u8(r);
	if (m->n > CANDIDATES_MAX) {
		r->bad = true;
		return;
	}
	for (size_t i = 0; i < m->n; i++) {
		kind = rd_u8(r);
		get_addr(r, &m->candidates[i].addr);
		r->bad |= kind >= CANDIDATE_KINDS;
		m->candidates[i].kind = (enum candidate_kind)kind;
	}
	if (rd_left(r) > 0)
		m->features = rd_u8(r);
}

static void
get_knocks(struct rd *r, struct message *m)
{
	uint8_t n = rd_u8(r), v6;

	r->bad |= n > 2;
	for (uint8_t i = 0; i < n && !r->bad; i++) {
		struct knock_said *k;

		v6 = rd_u8(r);
		if (v6 > 1) {
			r->bad = true;
			return;
		}
		k = &m->knock[v6];
		m->has_knock[v6] = true;
		k->stage = rd_u8(r);
		k->flags = rd_u8(r);
		get_addr(r, &k->addr);
		k->knock = rd_u8(r);
		k->knock_ms = rd_u16(r);
		k->again = rd_u8(r);
		k->open = rd_u8(r);
	}
}

static void
get_report(struct rd *r, struct message *m)
{
	m->has = rd_u8(r) != 0;
	m->direct = rd_u8(r) != 0;
	get_addr(r, &m->addr);
	m->n = rd_u8(r);
	if (m->n > TARGETS_MAX) {
		r->bad = true;
		return;
	}
	for (size_t i = 0; i < m->n; i++)
		m->got[i] = rd_u16(r);
}

static void
get_body(struct rd *r, struct message *m)
{
	switch (m->type) {
	case MESSAGE_HELLO:
		break;
	case MESSAGE_WELCOME:
	case MESSAGE_CALL:
		get_candidates(r, m);
		break;
	case MESSAGE_PING:
		m->serial = rd_u32(r);
		m->target = rd_u8(r);
		break;
	case MESSAGE_PONG:
		m->serial = rd_u32(r);
		get_addr(r, &m->addr);
		break;
	case MESSAGE_REPORT:
		get_report(r, m);
		break;
	case MESSAGE_REFUSE:
		m->refusal = rd_u8(r);
		break;
	case MESSAGE_KNOCK:
		get_knocks(r, m);
		break;
	default:
		r->bad = true;
	}
}

bool
message_sender(struct key *sender, const uint8_t *p, size_t n)
{
	if (n < HEAD_LEN + DERPBOX_OVERHEAD || n > MESSAGE_MAX ||
	    memcmp(p, magic, sizeof(magic)) != 0)
		return false;
	memcpy(sender->b, p + sizeof(magic), KEY_LEN);
	return true;
}

bool
message_open(struct message *m, const struct derpbox *box, uint8_t *p, size_t n)
{
	const char *text = derpbox_open(box, p + HEAD_LEN, n - HEAD_LEN);
	uint8_t role;
	struct rd r;

	memset(m, 0, sizeof(*m));
	if (text == NULL)
		return false;
	rd_init(&r, text, n - HEAD_LEN - DERPBOX_OVERHEAD);
	m->version = rd_u8(&r);
	role = rd_u8(&r);
	m->role = (enum role)role;
	m->type = (enum message_type)rd_u8(&r);
	if (r.bad || role > ROLE_LISTENER)
		return false;
	if (m->version != MESSAGE_VERSION)
		return true;
	get_body(&r, m);
	return !r.bad;
}

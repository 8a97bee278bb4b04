/*
 * check_probe: PURE. The requests: when each is worth asking, where it goes,
 * and its bytes. No byte more than needed goes to an address that the server
 * named: OTHER-ADDRESS is looked at before anything is sent there.
 */
#include <string.h>

#include "stund/check.h"

static const struct {
	const char *name;
	enum check_probe socket;
} probes[CHECK_PROBES] = {
    [CHECK_BARE] = {"bare request", CHECK_BARE},
    [CHECK_TAILNODE] = {"Tailscale's request", CHECK_TAILNODE},
    [CHECK_LONG] = {"long request", CHECK_LONG},
    [CHECK_FINGERPRINT] = {"FINGERPRINT", CHECK_FINGERPRINT},
    [CHECK_BAD_FINGERPRINT] = {"wrong FINGERPRINT", CHECK_BAD_FINGERPRINT},
    [CHECK_UNKNOWN] = {"unknown attribute 0x7ABC", CHECK_UNKNOWN},
    [CHECK_CHANGE_NONE] = {"CHANGE-REQUEST nothing", CHECK_CHANGE_NONE},
    [CHECK_COOKIE] = {"CN-COOKIE", CHECK_COOKIE},
    [CHECK_EMPTY_PADDING] = {"PADDING of 0", CHECK_EMPTY_PADDING},
    [CHECK_PADDING] = {"PADDING of 512", CHECK_PADDING},
    [CHECK_CLASSIC] = {"RFC 3489 request", CHECK_CLASSIC},
    [CHECK_PORT2] = {"RESPONSE-PORT, 2 bytes", CHECK_PORT2},
    [CHECK_PORT4] = {"RESPONSE-PORT, 4 bytes", CHECK_PORT4},
    [CHECK_AT_PORT] = {"at its other port", CHECK_AT_PORT},
    [CHECK_AT_IP] = {"at its other address", CHECK_AT_IP},
    [CHECK_AT_BOTH] = {"at OTHER-ADDRESS", CHECK_AT_BOTH},
    [CHECK_CHANGE_PORT] = {"CHANGE-REQUEST port", CHECK_AT_PORT},
    [CHECK_CHANGE_IP] = {"CHANGE-REQUEST address", CHECK_AT_IP},
    [CHECK_CHANGE_BOTH] = {"CHANGE-REQUEST both", CHECK_AT_BOTH},
    [CHECK_STREAM] = {"TCP", CHECK_STREAM},
    [CHECK_STREAM_AGAIN] = {"TCP, same connection", CHECK_STREAM},
    [CHECK_STREAM_OTHER] = {"TCP at OTHER-ADDRESS", CHECK_STREAM_OTHER},
};

const char *
check_probe_name(const struct check *c, enum check_probe p)
{
	if (c->tls && p == CHECK_STREAM)
		return "TLS";
	if (c->tls && p == CHECK_STREAM_AGAIN)
		return "TLS, same connection";
	return probes[p].name;
}

bool
check_is_stream(enum check_probe p)
{
	return p >= CHECK_STREAM;
}

enum check_probe
check_socket_of(enum check_probe p)
{
	return probes[p].socket;
}

/* ---- what the answers so far allow ---- */

static bool
is_over(const struct check *c, enum check_probe p)
{
	return c->slots[p].state > CHECK_ASKED;
}

const struct check_slot *
check_answered(const struct check *c, enum check_probe p)
{
	const struct check_slot *s = &c->slots[p];

	return s->state == CHECK_ANSWERED ? s : NULL;
}

static bool
has_address(const struct check *c, enum check_probe p)
{
	const struct check_slot *s = check_answered(c, p);

	return s != NULL && check_answer_mapped(&s->answer) != NULL;
}

const struct check_slot *
check_plain(const struct check *c)
{
	if (has_address(c, CHECK_BARE))
		return &c->slots[CHECK_BARE];
	return has_address(c, CHECK_LONG) ? &c->slots[CHECK_LONG] : NULL;
}

const struct check_slot *
check_other(const struct check *c)
{
	static const enum check_probe from[] = {CHECK_BARE, CHECK_LONG};
	const struct check_slot *s;

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		s = check_answered(c, from[i]);
		if (s != NULL && s->answer.other.there)
			return s;
	}
	return NULL;
}

const char *
check_other_fault(const struct check *c)
{
	const struct check_slot *s = check_other(c);
	const struct stun_addr *o;

	if (s == NULL)
		return NULL;
	o = &s->answer.other.a;
	if (stun_addr_is_v4(o) != stun_addr_is_v4(&c->server))
		return "is of the other address family";
	if (memcmp(o->ip, c->server.ip, sizeof(o->ip)) == 0)
		return "is the address that was asked, so it is no second one";
	if (check_ip_is_nobody(o) || o->port == 0)
		return "is no address that a host can have";
	if (check_ip_is_private(o) && !check_ip_is_private(&c->server))
		return "is private, so clients outside cannot reach it";
	if (o->port == c->server.port)
		return "has the same port, where RFC 5780 wants another one";
	return NULL;
}

static bool
other_is_usable(const struct check *c)
{
	return check_other(c) != NULL && check_other_fault(c) == NULL;
}

/* ---- when ---- */

static enum check_need
need_stream(const struct check *c, enum check_probe p)
{
	bool first = c->slots[CHECK_STREAM].state == CHECK_ANSWERED;

	if (p == CHECK_STREAM)
		return CHECK_RUN;
	if (!is_over(c, CHECK_STREAM))
		return CHECK_NOT_YET;
	if (!first || p == CHECK_STREAM_AGAIN)
		return first ? CHECK_RUN : CHECK_SKIP;
	if (c->tls)
		return CHECK_SKIP;
	if (!is_over(c, CHECK_BARE) || !is_over(c, CHECK_LONG))
		return CHECK_NOT_YET;
	return other_is_usable(c) ? CHECK_RUN : CHECK_SKIP;
}

/* What needs the alternate address, or the knowledge that there is none. */
static enum check_need
need_alternate(const struct check *c, enum check_probe p)
{
	if (!is_over(c, CHECK_BARE) || !is_over(c, CHECK_LONG))
		return CHECK_NOT_YET;
	if (!other_is_usable(c))
		return p == CHECK_CHANGE_BOTH && check_plain(c) != NULL
		    ? CHECK_RUN
		    : CHECK_SKIP;
	if (p < CHECK_CHANGE_PORT)
		return CHECK_RUN;
	return is_over(c, check_socket_of(p)) ? CHECK_RUN : CHECK_NOT_YET;
}

enum check_need
check_need(const struct check *c, enum check_probe p)
{
	if (check_is_stream(p))
		return need_stream(c, p);
	if (c->tls)
		return CHECK_SKIP;
	if (p >= CHECK_AT_PORT)
		return need_alternate(c, p);
	switch (p) {
	case CHECK_BARE:
	case CHECK_TAILNODE:
	case CHECK_LONG:
	case CHECK_CLASSIC:
		return CHECK_RUN;
	default:
		break;
	}
	if (check_plain(c) != NULL)
		return CHECK_RUN;
	/* Silent even then, or nothing but errors: no use to go on. */
	return is_over(c, CHECK_BARE) && is_over(c, CHECK_LONG) ? CHECK_SKIP
								: CHECK_NOT_YET;
}

/* ---- where ---- */

static struct stun_addr
alternate(const struct check *c, bool ip, bool port)
{
	const struct check_slot *s = check_other(c);
	struct stun_addr a = c->server;

	if (s != NULL && ip)
		memcpy(a.ip, s->answer.other.a.ip, sizeof(a.ip));
	if (s != NULL && port)
		a.port = s->answer.other.a.port;
	return a;
}

struct stun_addr
check_target(const struct check *c, enum check_probe p)
{
	switch (p) {
	case CHECK_AT_PORT:
		return alternate(c, false, true);
	case CHECK_AT_IP:
		return alternate(c, true, false);
	case CHECK_AT_BOTH:
	case CHECK_STREAM_OTHER:
		return alternate(c, true, true);
	default:
		return c->server;
	}
}

struct stun_addr
check_expected(const struct check *c, enum check_probe p)
{
	/* An error comes from where the request went. */
	if (c->slots[p].answer.class != CHECK_SUCCESS)
		return check_target(c, p);
	switch (p) {
	case CHECK_CHANGE_PORT:
		return alternate(c, false, true);
	case CHECK_CHANGE_IP:
		return alternate(c, true, false);
	case CHECK_CHANGE_BOTH:
		return alternate(c, true, true);
	default:
		return check_target(c, p);
	}
}

/* ---- bytes ---- */

/* Longer than the 116 bytes of a full answer with IPv6 addresses. */
static void
put_long(struct wr *w)
{
	char text[124];

	memset(text, '.', sizeof(text));
	memcpy(text, "campusnet stund -check ", 23);
	stun_put(w, STUN_SOFTWARE, text, sizeof(text));
}

static void
put_change(struct wr *w, uint32_t flags)
{
	wr_u16(w, STUN_CHANGE_REQUEST);
	wr_u16(w, 4);
	wr_u32(w, flags);
}

/* The answer shall come to the socket of the first request. */
static void
put_port(struct wr *w, const struct check *c, uint16_t len)
{
	const struct check_slot *s = check_plain(c);

	wr_u16(w, STUN_RESPONSE_PORT);
	wr_u16(w, len);
	wr_u16(w, s == NULL ? 0 : check_answer_mapped(&s->answer)->port);
	wr_u16(w, 0);
}

static void
put_attributes(struct wr *w, const struct check *c, enum check_probe p)
{
	static const uint8_t zeros[CHECK_PADDING_LEN];

	switch (p) {
	case CHECK_LONG:
		put_long(w);
		break;
	case CHECK_UNKNOWN:
		stun_put(w, CHECK_UNKNOWN_TYPE, zeros, 4);
		break;
	case CHECK_COOKIE:
		stun_put(w, STUN_CN_COOKIE, zeros, 8);
		put_long(w);
		break;
	case CHECK_EMPTY_PADDING:
		stun_put(w, STUN_PADDING, zeros, 0);
		break;
	case CHECK_PADDING:
		stun_put(w, STUN_PADDING, zeros, sizeof(zeros));
		break;
	case CHECK_PORT2:
		put_port(w, c, 2);
		break;
	case CHECK_PORT4:
		put_port(w, c, 4);
		break;
	case CHECK_CHANGE_NONE:
		put_change(w, 0);
		break;
	case CHECK_CHANGE_PORT:
		put_change(w, STUN_CHANGE_PORT);
		break;
	case CHECK_CHANGE_IP:
		put_change(w, STUN_CHANGE_IP);
		break;
	case CHECK_CHANGE_BOTH:
		put_change(w, STUN_CHANGE_IP | STUN_CHANGE_PORT);
		break;
	default:
		break;
	}
}

/* RFC 3489 section 11.1: 16 bytes of id where the cookie is since. */
static size_t
build_classic(uint8_t *out, const uint8_t *id)
{
	struct wr w;

	wr_init(&w, out, CHECK_REQUEST_MAX);
	wr_u16(&w, STUN_BINDING);
	wr_u16(&w, 0);
	wr_bytes(&w, id, CHECK_ID_LEN);
	return wr_len(&w);
}

size_t
check_build(const struct check *c, enum check_probe p,
    uint8_t out[static CHECK_REQUEST_MAX])
{
	const uint8_t *id = c->slots[p].id;
	struct stun_txid txid;
	struct wr w;
	size_t n;

	if (p == CHECK_CLASSIC)
		return build_classic(out, id);
	memcpy(txid.b, id + CHECK_ID_LEN - STUN_TXID_LEN, sizeof(txid.b));
	if (p == CHECK_TAILNODE) {
		stun_tailnode_request(out, &txid);
		return STUN_TAILNODE_LEN;
	}
	wr_init(&w, out, CHECK_REQUEST_MAX);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	put_attributes(&w, c, p);
	if (p != CHECK_FINGERPRINT && p != CHECK_BAD_FINGERPRINT)
		return stun_end(&w);
	n = stun_end_fingerprint(&w);
	if (p == CHECK_BAD_FINGERPRINT)
		out[n - 1] ^= 1;
	return n;
}

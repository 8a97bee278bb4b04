/*
 * stunsrv: the rules by which a request is judged. Reads each attribute once.
 * Keeps no state; what is said is in stunsrv_write.c.
 */
#include <string.h>

#include <sodium.h>

#include "pure/stunsrv_impl.h"

#define ERROR_LEN 8 /* ERROR-CODE without a phrase, with its header */
#define PORT_MIN  1024 /* of RESPONSE-PORT */

/* Attributes of which the first counts: bits of `seen`. */
enum {
	SEEN_CHANGE = 1,
	SEEN_SOFTWARE = 2,
	SEEN_INTEGRITY = 4,
	SEEN_PADDING = 8,
	SEEN_PORT = 16,
	SEEN_COOKIE = 32,
	SEEN_DELAY = 64,
	SEEN_SILENT = 128,
};

/* A request while it is read. */
struct request {
	const struct stunsrv_site *site;
	const struct stunsrv_arrival *arrival;
	struct stunsrv_reply *reply;
	struct stun_msg msg;
	unsigned seen;
	bool classic;
	bool bad_fingerprint;
	bool tailnode;
	bool silent;
	bool bad_value;
	uint32_t change; /* the flags of CHANGE-REQUEST */
};

const char *
stunsrv_verdict_name(enum stunsrv_verdict verdict)
{
	static const char *const names[STUNSRV_VERDICTS] = {
	    [STUNSRV_SUCCESS] = "success",
	    [STUNSRV_BAD_REQUEST] = "bad_request",
	    [STUNSRV_UNKNOWN_ATTRIBUTE] = "unknown_attribute",
	    [STUNSRV_BUSY] = "busy",
	    [STUNSRV_NOT_STUN] = "not_stun",
	    [STUNSRV_CLASSIC] = "classic",
	    [STUNSRV_NOT_REQUEST] = "not_request",
	    [STUNSRV_NOT_BINDING] = "not_binding",
	    [STUNSRV_MALFORMED] = "malformed",
	    [STUNSRV_BAD_FINGERPRINT] = "bad_fingerprint",
	    [STUNSRV_ZERO_TXID] = "zero_txid",
	    [STUNSRV_BAD_SOURCE] = "bad_source",
	    [STUNSRV_DENIED_SOURCE] = "denied_source",
	    [STUNSRV_SILENCE_ASKED] = "silence_asked",
	    [STUNSRV_TOO_SHORT] = "too_short",
	    [STUNSRV_LIMITED] = "limited",
	};

	return names[verdict];
}

/* ---- sources ---- */

/* Addresses that are no source (RFC 1122 3.2.1.3, RFC 4291 2.7): "this
 * network", multicast and broadcast. */
static bool
source_is_martian(const struct stun_addr *from)
{
	static const uint8_t zero[16];

	if (from->port == 0)
		return true;
	if (stun_addr_is_v4(from))
		return from->ip[12] == 0 || from->ip[12] >= 224;
	return from->ip[0] == 0xff || memcmp(from->ip, zero, 16) == 0;
}

static bool
is_own(const struct stunsrv_site *site, const struct stunsrv_arrival *a)
{
	static const uint8_t zero[16];
	const struct stun_addr *own = site->own;

	for (size_t i = 0; i < site->n_own; i++, own++) {
		if (own->port != a->from->port)
			continue;
		if (memcmp(own->ip, a->from->ip, 16) == 0)
			return true;
		if (memcmp(own->ip, zero, 16) == 0 && site->wildcard &&
		    memcmp(a->to->ip, a->from->ip, 16) == 0)
			return true;
	}
	return false;
}

static bool
is_denied(const struct stunsrv_site *site, const struct stun_addr *from)
{
	struct ip ip;

	if (site->denied == NULL)
		return false;
	memcpy(ip.b, from->ip, sizeof(ip.b));
	return ip_set_has(site->denied, &ip);
}

/* ---- reading a request ---- */

static bool
cookie_is_right(const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, const uint8_t *value)
{
	uint8_t want[STUNSRV_COOKIE_LEN];

	for (uint64_t ago = 0; ago < 2; ago++) {
		stunsrv_cookie(site, a, ago, want);
		if (sodium_memcmp(want, value, sizeof(want)) == 0)
			return true;
	}
	return false;
}

static void
add_unknown(struct stunsrv_reply *r, uint16_t type)
{
	for (size_t i = 0; i < r->n_unknown; i++)
		if (r->unknown[i] == type)
			return;
	if (r->n_unknown < STUNSRV_UNKNOWN_MAX)
		r->unknown[r->n_unknown++] = type;
}

/* True the first time: later ones do not count (section 14). */
static bool
see(struct request *q, unsigned bit)
{
	bool first = (q->seen & bit) == 0;

	q->seen |= bit;
	return first;
}

/* A value of one number of len bytes, else the request is bad. */
static uint32_t
number(struct request *q, const struct stun_attr *a, uint16_t len)
{
	struct rd r;

	rd_init(&r, a->value, a->len);
	if (a->len != len)
		q->bad_value = true;
	return len == 2 ? rd_u16(&r) : rd_u32(&r);
}

static void
see_cookie(struct request *q, const struct stun_attr *a)
{
	static const uint8_t zero[STUNSRV_COOKIE_LEN];

	if (a->len != STUNSRV_COOKIE_LEN) {
		q->bad_value = true;
		return;
	}
	q->reply->want |= STUNSRV_WANT_COOKIE;
	if (memcmp(a->value, zero, sizeof(zero)) != 0)
		q->reply->cookie =
		    cookie_is_right(q->site, q->arrival, a->value);
}

/* RFC 5780 section 7.5 has 2 bytes and padding, coturn's clients say 4. */
static void
see_port(struct request *q, const struct stun_attr *a)
{
	struct rd r;

	rd_init(&r, a->value, a->len);
	q->reply->port = rd_u16(&r);
	if ((a->len != 2 && a->len != 4) || q->reply->port < PORT_MIN)
		q->bad_value = true;
}

static void
see_delay(struct request *q, const struct stun_attr *a)
{
	q->reply->delay_ms = number(q, a, 4);
	if (q->reply->delay_ms > STUNSRV_DELAY_MAX_MS)
		q->bad_value = true;
}

/* RFC 5780's and campusnet's. False: not one of them. */
static bool
see_extra(struct request *q, const struct stun_attr *a)
{
	if (!q->site->extras || q->classic)
		return false;
	switch (a->type) {
	case STUN_PADDING:
		see(q, SEEN_PADDING);
		return true;
	case STUN_RESPONSE_PORT:
		if (see(q, SEEN_PORT))
			see_port(q, a);
		return true;
	case STUN_CN_COOKIE:
		if (see(q, SEEN_COOKIE))
			see_cookie(q, a);
		return true;
	case STUN_CN_DELAY:
		if (see(q, SEEN_DELAY))
			see_delay(q, a);
		return true;
	case STUN_CN_SILENT:
		if (see(q, SEEN_SILENT)) {
			q->silent = a->len == 0;
			q->bad_value |= !q->silent;
		}
		return true;
	}
	return false;
}

static void
see_attr(struct request *q, const struct stun_attr *a)
{
	if (a->type == STUN_FINGERPRINT && !q->classic) {
		q->reply->want |= STUNSRV_WANT_FINGERPRINT;
		q->bad_fingerprint |= !stun_fingerprint_ok(&q->msg, a);
		return;
	}
	/* What follows MESSAGE-INTEGRITY is not covered by it and does not
	 * count, but for FINGERPRINT (sections 14.5, 14.6). */
	if ((q->seen & SEEN_INTEGRITY) != 0)
		return;
	if (a->type == STUN_SOFTWARE) {
		if (see(q, SEEN_SOFTWARE))
			q->tailnode = stun_is_tailnode(a);
	} else if (a->type == STUN_CHANGE_REQUEST) {
		if (see(q, SEEN_CHANGE))
			q->change = number(q, a, 4) &
			    (STUN_CHANGE_IP | STUN_CHANGE_PORT);
	} else if (a->type == STUN_MESSAGE_INTEGRITY ||
	    a->type == STUN_MESSAGE_INTEGRITY_SHA256)
		q->seen |= SEEN_INTEGRITY;
	else if (!see_extra(q, a) && !stun_is_known(a->type))
		add_unknown(q->reply, a->type);
}

/* ---- judging ---- */

/* Section 6.3: the checks after which a message is dropped without a word. */
static enum stunsrv_verdict
admit(struct request *q, const void *p, size_t n)
{
	static const struct stun_txid zero;
	const struct stunsrv_arrival *a = q->arrival;

	switch (stun_parse(&q->msg, p, n)) {
	case STUN_FORM_OTHER:
		return STUNSRV_NOT_STUN;
	case STUN_FORM_CLASSIC:
		if ((a->rules & STUNSRV_CLASSIC_TOO) == 0)
			return STUNSRV_CLASSIC;
		q->classic = true;
		break;
	case STUN_FORM_OK:
		break;
	}
	if (q->msg.class != STUN_REQUEST)
		return STUNSRV_NOT_REQUEST;
	if (q->msg.method != STUN_BINDING)
		return STUNSRV_NOT_BINDING;
	if (memcmp(&q->msg.txid, &zero, sizeof(zero)) == 0)
		return STUNSRV_ZERO_TXID;
	if (source_is_martian(a->from) || is_own(q->site, a))
		return STUNSRV_BAD_SOURCE;
	if (is_denied(q->site, a->from))
		return STUNSRV_DENIED_SOURCE;
	return STUNSRV_SUCCESS;
}

static enum stunsrv_verdict
read_attrs(struct request *q)
{
	struct rd r = stun_attrs(&q->msg);
	struct stun_attr a;

	while (stun_attr_next(&q->msg, &r, &a))
		see_attr(q, &a);
	if (r.bad)
		return STUNSRV_MALFORMED;
	if (q->bad_fingerprint)
		return STUNSRV_BAD_FINGERPRINT;
	if (q->silent)
		return STUNSRV_SILENCE_ASKED;
	return STUNSRV_SUCCESS;
}

/* What contradicts itself, or this transport. */
static bool
is_contradictory(const struct request *q)
{
	bool padding = (q->seen & SEEN_PADDING) != 0;
	bool port = (q->seen & SEEN_PORT) != 0;
	bool delay = (q->seen & SEEN_DELAY) != 0;

	/* A connection proves the source. */
	if (q->arrival->transport != STUNSRV_UDP)
		return q->reply->gated;
	/* RFC 5780 section 7.5: both together reach a third party. A padded
	 * answer would wait in much memory; one without a cookie, in vain. */
	return (padding && (port || delay)) || (delay && !q->reply->cookie);
}

/* Where CHANGE-REQUEST wants the answer to come from. */
static void
choose_role(struct request *q)
{
	struct stunsrv_reply *r = q->reply;
	unsigned role = q->arrival->role ^ q->change >> 1, bit;

	bit = STUNSRV_ROLE_BIT(role);
	if ((stunsrv_roles(q->site, q->arrival) & bit) == 0) {
		add_unknown(r, STUN_CHANGE_REQUEST);
		return;
	}
	r->role = (enum stunsrv_role)role;
	r->partner = (q->site->here & bit) == 0;
}

_Static_assert(STUN_CHANGE_IP >> 1 == STUNSRV_OTHER_IP, "flags are roles");
_Static_assert(STUN_CHANGE_PORT >> 1 == STUNSRV_OTHER_PORT, "flags are roles");

/* How long the answer may be with more than the address. */
static void
choose_room(struct request *q)
{
	unsigned rules = q->arrival->rules;
	bool padding = (q->seen & SEEN_PADDING) != 0;
	struct stunsrv_reply *r = q->reply;

	r->extras_max = r->request_len;
	if (q->tailnode) {
		r->want = 0;
		return;
	}
	if (q->site->extras || q->classic)
		r->want |= STUNSRV_WANT_EXTRAS;
	if (padding)
		r->want |= STUNSRV_WANT_PADDING;
	else if (q->arrival->transport != STUNSRV_UDP ||
	    ((q->classic || (rules & STUNSRV_ALWAYS) != 0) &&
		(rules & STUNSRV_STRICT) == 0))
		r->extras_max = STUNSRV_PLAIN_MAX;
}

static bool
is_too_short(const struct request *q, enum stunsrv_verdict verdict)
{
	size_t least = STUN_HEADER_LEN + ERROR_LEN;

	if ((q->arrival->rules & STUNSRV_STRICT) == 0 || q->tailnode ||
	    q->arrival->transport != STUNSRV_UDP)
		return false;
	if (verdict == STUNSRV_SUCCESS)
		least = STUN_HEADER_LEN +
		    (stun_addr_is_v4(q->arrival->from) ? 12 : 24);
	return least > q->msg.len;
}

static enum stunsrv_verdict
judge(struct request *q, const void *p, size_t n)
{
	struct stunsrv_reply *r = q->reply;
	enum stunsrv_verdict v;

	if ((v = admit(q, p, n)) != STUNSRV_SUCCESS ||
	    (v = read_attrs(q)) != STUNSRV_SUCCESS)
		return v;
	r->magic = q->msg.cookie;
	r->txid = q->msg.txid;
	r->request_len = n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
	r->gated = q->change != 0 ||
	    (q->seen & (SEEN_PADDING | SEEN_PORT)) != 0 ||
	    ((q->seen & SEEN_DELAY) != 0 &&
		q->arrival->transport == STUNSRV_UDP);
	if (q->bad_value || is_contradictory(q))
		v = STUNSRV_BAD_REQUEST;
	else if (q->change != 0)
		choose_role(q);
	if (v == STUNSRV_SUCCESS && r->n_unknown > 0)
		v = STUNSRV_UNKNOWN_ATTRIBUTE;
	if (is_too_short(q, v))
		return STUNSRV_TOO_SHORT;
	choose_room(q);
	if (v != STUNSRV_SUCCESS)
		stunsrv_refuse(q->arrival, r, v);
	return v;
}

enum stunsrv_verdict
stunsrv_judge(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    const void *p, size_t n, struct stunsrv_reply *reply)
{
	struct request q;

	/* Not as a whole: most of both is written before it is read. */
	q.site = site;
	q.arrival = a;
	q.reply = reply;
	q.seen = 0;
	q.change = 0;
	q.classic = q.bad_fingerprint = q.tailnode = false;
	q.silent = q.bad_value = false;
	reply->gated = reply->cookie = reply->partner = false;
	reply->role = a->role;
	reply->port = a->from->port;
	reply->delay_ms = 0;
	reply->want = 0;
	reply->n_unknown = 0;
	reply->verdict = judge(&q, p, n);
	return reply->verdict;
}

void
stunsrv_refuse(const struct stunsrv_arrival *a, struct stunsrv_reply *reply,
    enum stunsrv_verdict error)
{
	reply->verdict = error;
	reply->partner = false;
	reply->role = a->role;
	reply->port = a->from->port;
	reply->delay_ms = 0;
}

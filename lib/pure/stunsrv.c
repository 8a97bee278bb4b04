/* stunsrv: the rules by which a datagram is answered. Keeps no state. */
#include <string.h>

#include "pure/stunsrv.h"

/* The flags of CHANGE-REQUEST: change IP, change port (RFC 5780 7.2). */
#define CHANGE_FLAGS 0x6u

/* What the attributes of a request ask for. */
struct request {
	struct stun_msg msg;
	bool fingerprint;
	bool bad_fingerprint;
	bool tailnode;
	bool bad_value;
	bool seen_change;
	bool seen_software;
	bool seen_integrity;
	uint16_t unknown[STUNSRV_UNKNOWN_MAX];
	size_t n_unknown;
};

const char *
stunsrv_verdict_name(enum stunsrv_verdict verdict)
{
	static const char *const names[STUNSRV_VERDICTS] = {
	    [STUNSRV_SUCCESS] = "success",
	    [STUNSRV_BAD_REQUEST] = "bad_request",
	    [STUNSRV_UNKNOWN_ATTRIBUTE] = "unknown_attribute",
	    [STUNSRV_NOT_STUN] = "not_stun",
	    [STUNSRV_CLASSIC] = "classic",
	    [STUNSRV_NOT_REQUEST] = "not_request",
	    [STUNSRV_NOT_BINDING] = "not_binding",
	    [STUNSRV_MALFORMED] = "malformed",
	    [STUNSRV_BAD_FINGERPRINT] = "bad_fingerprint",
	    [STUNSRV_ZERO_TXID] = "zero_txid",
	    [STUNSRV_BAD_SOURCE] = "bad_source",
	};

	return names[verdict];
}

/* Port 0, and addresses that are no source (RFC 1122 3.2.1.3, RFC 4291 2.7):
 * "this network", multicast and broadcast. */
static bool
source_bad(const struct stun_addr *from)
{
	static const uint8_t zero[16];

	if (from->port == 0)
		return true;
	if (stun_addr_is_v4(from))
		return from->ip[12] == 0 || from->ip[12] >= 224;
	return from->ip[0] == 0xff || memcmp(from->ip, zero, 16) == 0;
}

static void
add_unknown(struct request *q, uint16_t type)
{
	for (size_t i = 0; i < q->n_unknown; i++)
		if (q->unknown[i] == type)
			return;
	if (q->n_unknown < STUNSRV_UNKNOWN_MAX)
		q->unknown[q->n_unknown++] = type;
}

/* The flags need a second address or port, which this server has not; no
 * flag asks for nothing, and some clients always send that. */
static void
see_change(struct request *q, const struct stun_attr *a)
{
	struct rd r;

	if (q->seen_change)
		return;
	q->seen_change = true;
	rd_init(&r, a->value, a->len);
	if (a->len != 4)
		q->bad_value = true;
	else if ((rd_u32(&r) & CHANGE_FLAGS) != 0)
		add_unknown(q, a->type);
}

static void
see_attr(struct request *q, const struct stun_attr *a)
{
	if (a->type == STUN_FINGERPRINT) {
		q->fingerprint = true;
		q->bad_fingerprint |= !stun_fingerprint_ok(&q->msg, a);
		return;
	}
	/* What follows MESSAGE-INTEGRITY is not covered by it and does not
	 * count, but for FINGERPRINT (sections 14.5, 14.6). */
	if (q->seen_integrity)
		return;
	q->seen_integrity = a->type == STUN_MESSAGE_INTEGRITY ||
	    a->type == STUN_MESSAGE_INTEGRITY_SHA256;
	if (a->type == STUN_CHANGE_REQUEST) {
		see_change(q, a);
	} else if (a->type == STUN_SOFTWARE && !q->seen_software) {
		q->seen_software = true;
		q->tailnode = stun_is_tailnode(a);
	} else if (!stun_is_known(a->type))
		add_unknown(q, a->type);
}

/* Section 6.3: the checks after which a message is dropped without a word,
 * then those of section 6.3.1 that are answered. */
static enum stunsrv_verdict
judge(struct request *q, const void *p, size_t n, const struct stun_addr *from)
{
	static const struct stun_txid zero;
	struct stun_attr a;
	struct rd r;

	switch (stun_parse(&q->msg, p, n)) {
	case STUN_FORM_OTHER:
		return STUNSRV_NOT_STUN;
	case STUN_FORM_CLASSIC:
		return STUNSRV_CLASSIC;
	case STUN_FORM_OK:
		break;
	}
	if (q->msg.class != STUN_REQUEST)
		return STUNSRV_NOT_REQUEST;
	if (q->msg.method != STUN_BINDING)
		return STUNSRV_NOT_BINDING;
	if (memcmp(&q->msg.txid, &zero, sizeof(zero)) == 0)
		return STUNSRV_ZERO_TXID;
	if (source_bad(from))
		return STUNSRV_BAD_SOURCE;
	r = stun_attrs(&q->msg);
	while (stun_attr_next(&q->msg, &r, &a))
		see_attr(q, &a);
	if (r.bad)
		return STUNSRV_MALFORMED;
	if (q->bad_fingerprint)
		return STUNSRV_BAD_FINGERPRINT;
	if (q->bad_value)
		return STUNSRV_BAD_REQUEST;
	return q->n_unknown > 0 ? STUNSRV_UNKNOWN_ATTRIBUTE : STUNSRV_SUCCESS;
}

/*
 * The list of unknown types, unless it made the answer longer than 1.3 times
 * the request. Since each type takes 4 bytes of the request and 2 of the
 * answer, that is so only for 24 bytes: a single attribute without a value.
 */
static void
put_unknown(struct wr *w, const struct request *q)
{
	size_t list = 4 + (2 * q->n_unknown + 3) / 4 * 4;

	if ((wr_len(w) + list) * 10 <= q->msg.len * 13)
		stun_put_unknown(w, q->unknown, q->n_unknown);
}

static size_t
end(struct wr *w, const struct request *q)
{
	if (q->fingerprint && !q->tailnode &&
	    wr_len(w) + STUN_FINGERPRINT_LEN <= q->msg.len)
		return stun_end_fingerprint(w);
	return stun_end(w);
}

enum stunsrv_verdict
stunsrv_answer(const void *request, size_t n, const struct stun_addr *from,
    uint8_t out[static STUNSRV_ANSWER_MAX], size_t *len)
{
	struct request q = {0};
	enum stunsrv_verdict verdict = judge(&q, request, n, from);
	const struct stun_txid *txid = &q.msg.txid;
	struct wr w;

	wr_init(&w, out, STUNSRV_ANSWER_MAX);
	*len = 0;
	switch (verdict) {
	case STUNSRV_SUCCESS:
		stun_begin(&w, STUN_SUCCESS, STUN_BINDING, txid);
		stun_put_xor_address(&w, from, txid);
		break;
	case STUNSRV_BAD_REQUEST:
		stun_begin(&w, STUN_ERROR, STUN_BINDING, txid);
		stun_put_error(&w, 400);
		break;
	case STUNSRV_UNKNOWN_ATTRIBUTE:
		stun_begin(&w, STUN_ERROR, STUN_BINDING, txid);
		stun_put_error(&w, 420);
		put_unknown(&w, &q);
		break;
	default:
		return verdict;
	}
	*len = end(&w, &q);
	return verdict;
}

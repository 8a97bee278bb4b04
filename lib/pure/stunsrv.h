/*
 * stunsrv: what a STUN server with one address says to a datagram: the basic
 * server of RFC 8489 section 12, over UDP. A function of the request and its
 * source, used by every program that answers STUN.
 *
 * The rules:
 * - Only a Binding request with the magic cookie is answered. Responses and
 *   indications never are, so that two servers cannot talk to each other.
 * - A success holds XOR-MAPPED-ADDRESS: 32 bytes (44 over IPv6). An error
 *   holds ERROR-CODE without a phrase, and for 420 the unknown types.
 * - FINGERPRINT follows if the request had one and the answer with it is no
 *   longer than the request; section 12 leaves it to the server. A client
 *   that names itself "tailnode" (Tailscale) never gets it: it does not look
 *   at it, and its 40 bytes are answered by 32.
 * - An error is at most 1.3 times the request. So the 420 for a request of
 *   24 bytes, one unknown type without a value, leaves the list out.
 * - Dropped as forged: source port 0, sources that no host has, and the
 *   all-zero transaction id of scanners, which no client draws.
 */
#ifndef PURE_STUNSRV_H
#define PURE_STUNSRV_H

#include <stddef.h>
#include <stdint.h>

#include "pure/stun.h"

enum stunsrv_verdict {
	/* Answered. */
	STUNSRV_SUCCESS,
	STUNSRV_BAD_REQUEST, /* 400 */
	STUNSRV_UNKNOWN_ATTRIBUTE, /* 420 */
	/* Silence. */
	STUNSRV_NOT_STUN,
	STUNSRV_CLASSIC, /* no magic cookie: RFC 3489 */
	STUNSRV_NOT_REQUEST, /* a response or an indication */
	STUNSRV_NOT_BINDING, /* another method, such as TURN's Allocate */
	STUNSRV_MALFORMED, /* attributes run past the end */
	STUNSRV_BAD_FINGERPRINT,
	STUNSRV_ZERO_TXID,
	STUNSRV_BAD_SOURCE,
	STUNSRV_VERDICTS,
};

/* The verdict as a metrics label: "success", "bad_request" ... */
const char *stunsrv_verdict_name(enum stunsrv_verdict verdict);

/* Types listed in one 420 answer. */
#define STUNSRV_UNKNOWN_MAX 16

/* The longest answer: 420 with a full list and FINGERPRINT. */
#define STUNSRV_ANSWER_MAX                                   \
	(STUN_HEADER_LEN + 8 + 4 + 2 * STUNSRV_UNKNOWN_MAX + \
	    STUN_FINGERPRINT_LEN)

/*
 * Answers the n bytes of a datagram from `from`. Writes to out, which must
 * not overlap the request, and sets *len, to 0 for silence.
 */
enum stunsrv_verdict stunsrv_answer(const void *request, size_t n,
    const struct stun_addr *from, uint8_t out[static STUNSRV_ANSWER_MAX],
    size_t *len);

#endif

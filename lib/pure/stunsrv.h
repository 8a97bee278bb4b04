/*
 * stunsrv: what a STUN server says to a request: RFC 8489 section 12, the NAT
 * behaviour discovery of RFC 5780, on demand the classic RFC 3489, and
 * campusnet's own attributes (docs/stun-attributes.md). Used by every program
 * that answers STUN. It keeps nothing; rates are limited by its caller.
 *
 * The rules:
 * - Only a Binding request is answered. Responses and indications never are,
 *   so that two servers cannot talk to each other.
 * - A success holds XOR-MAPPED-ADDRESS: 32 bytes (44 over IPv6). More (the
 *   cookie, OTHER-ADDRESS, RESPONSE-ORIGIN, MAPPED-ADDRESS, in this order)
 *   only as far as the answer is no longer than the request; with
 *   STUNSRV_ALWAYS, and over TCP and TLS, where no source can be forged, the
 *   last three always. A client that names itself "tailnode" (Tailscale) gets
 *   the bare 32 or 44 bytes, whatever is on.
 * - PADDING makes an answer as long as its request, never longer.
 * - FINGERPRINT follows if the request had one, as far as there is room.
 * - An error holds ERROR-CODE without a phrase, and for 420 the unknown types.
 *   It is at most 1.3 times the request. So the 420 for a request of 24 bytes,
 *   one unknown type without a value, leaves the list out.
 * - Dropped as forged: source port 0, sources that no host has, the server's
 *   own sockets, and the all-zero transaction id of scanners.
 *
 * How an edge calls it, per datagram, or per message of a stream:
 *
 *   verdict = stunsrv_judge(&site, &arrival, p, n, &reply);
 *   if (!stunsrv_is_answered(verdict))
 *           count it; it is silence (a stream: STUNSRV_NOT_STUN, close)
 *   if (the source's bucket is empty; reply.gated && !reply.cookie: the
 *       tight one)
 *           drop it, count STUNSRV_LIMITED
 *   if (reply.delay_ms > 0 and there is no room for one more to wait)
 *           stunsrv_refuse(&arrival, &reply, STUNSRV_BUSY);
 *   if (reply.partner)
 *           hand reply to the partner, which writes and sends it
 *   n = stunsrv_write(&site, &arrival, &reply, out);
 *   send out[0..n) from the socket of reply.role to the source's address,
 *   port reply.port, after reply.delay_ms
 *
 * A stream edge cuts messages by the length in their header, sets transport
 * and role, and sends on the same connection: over TCP and TLS reply.role is
 * arrival.role, reply.port the source's, and there is no partner.
 *
 * A partner gets from the reply all that it needs to write the answer itself:
 * it calls stunsrv_write with its own site, `role` of arrival and reply each
 * XORed with STUNSRV_OTHER_IP (its A1 is our A2), `from` the client.
 */
#ifndef PURE_STUNSRV_H
#define PURE_STUNSRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/ip.h"
#include "pure/mono.h"
#include "pure/stun.h"

/* The four sockets of RFC 5780: addresses A1 and A2 with ports P1 and P2 each.
 * A role XORed with these is the one with the other port or address. */
enum stunsrv_role {
	STUNSRV_A1P1,
	STUNSRV_A1P2,
	STUNSRV_A2P1,
	STUNSRV_A2P2,
	STUNSRV_ROLES,
};
#define STUNSRV_OTHER_PORT 1u
#define STUNSRV_OTHER_IP   2u
/* A set of roles has these bits. */
#define STUNSRV_ROLE_BIT(role) (1u << (role))
#define STUNSRV_ALL_ROLES      15u

enum stunsrv_transport {
	STUNSRV_UDP,
	STUNSRV_TCP,
	STUNSRV_TLS,
	STUNSRV_TRANSPORTS,
};

/* What can change while the server runs: bits. */
enum stunsrv_rule {
	STUNSRV_ALWAYS = 1, /* all of RFC 5780, also in long answers */
	STUNSRV_CLASSIC_TOO = 2, /* RFC 3489 clients are answered */
	STUNSRV_STRICT = 4, /* nothing that is longer than its request */
	STUNSRV_PARTNER_UP = 8, /* the partner answers now */
};

#define STUNSRV_COOKIE_LEN     8
#define STUNSRV_COOKIE_KEY_LEN 16
#define STUNSRV_DELAY_MAX_MS   600000
/* A cookie is good for this time at least, and at most twice that. */
#define STUNSRV_COOKIE_SLOT_US (INT64_C(30) * 1000000)

/* A 1:1 NAT before the server: clients are told the second address. */
struct stunsrv_alias {
	uint8_t local[16];
	uint8_t told[16];
};

/* What a group of sockets has in common. Read-only once it is set up; lends
 * what it points to. */
struct stunsrv_site {
	/* By role, as clients are told. Of a wildcard site, all whose sockets
	 * are A1P1, only the port counts: arrivals say their address. */
	struct stun_addr at[STUNSRV_ROLES];
	bool wildcard;
	uint8_t here; /* the roles that this host answers from */
	uint8_t partner; /* those that the partner answers from */
	/* RFC 5780's requests and campusnet's attributes have a meaning; else
	 * they are unknown. */
	bool extras;
	uint8_t cookie_key[STUNSRV_COOKIE_KEY_LEN];
	/* For wildcard sites; the others have `at` translated already. */
	const struct stunsrv_alias *aliases;
	size_t n_aliases;
	/* The program's own sockets, none of which is a client. An address of
	 * zeros is that to which the request came. */
	const struct stun_addr *own;
	size_t n_own;
	const struct ip_set *denied; /* sources that get nothing, or NULL */
};

struct stunsrv_arrival {
	enum stunsrv_transport transport;
	enum stunsrv_role role; /* of the socket */
	unsigned rules; /* stunsrv_rule */
	const struct stun_addr *from;
	const struct stun_addr *to; /* on wildcard sites; else not looked at */
	struct mono now; /* for cookies; may be a moment old */
};

enum stunsrv_verdict {
	/* Answered. */
	STUNSRV_SUCCESS,
	STUNSRV_BAD_REQUEST, /* 400 */
	STUNSRV_UNKNOWN_ATTRIBUTE, /* 420 */
	STUNSRV_BUSY, /* 500; only by stunsrv_refuse */
	/* Silence. */
	STUNSRV_NOT_STUN,
	STUNSRV_CLASSIC, /* no magic cookie: RFC 3489 */
	STUNSRV_NOT_REQUEST, /* a response or an indication */
	STUNSRV_NOT_BINDING, /* another method, such as TURN's Allocate */
	STUNSRV_MALFORMED, /* attributes run past the end */
	STUNSRV_BAD_FINGERPRINT,
	STUNSRV_ZERO_TXID,
	STUNSRV_BAD_SOURCE, /* no host's, or our own */
	STUNSRV_DENIED_SOURCE,
	STUNSRV_SILENCE_ASKED, /* CN-SILENT */
	STUNSRV_TOO_SHORT, /* STUNSRV_STRICT: the answer would be longer */
	STUNSRV_LIMITED, /* by the caller's buckets */
	STUNSRV_VERDICTS,
};

static inline bool
stunsrv_is_answered(enum stunsrv_verdict verdict)
{
	return verdict <= STUNSRV_BUSY;
}

/* The verdict as a metrics label: "success", "bad_request" ... */
const char *stunsrv_verdict_name(enum stunsrv_verdict verdict);

/* Types listed in one 420 answer. */
#define STUNSRV_UNKNOWN_MAX 16

/* What an answer may hold beside its address. */
enum stunsrv_want {
	STUNSRV_WANT_FINGERPRINT = 1,
	STUNSRV_WANT_COOKIE = 2,
	STUNSRV_WANT_EXTRAS = 4, /* OTHER-ADDRESS ... */
	STUNSRV_WANT_PADDING = 8,
};

/* All that is needed to write and to send one answer; lends nothing. */
struct stunsrv_reply {
	enum stunsrv_verdict verdict;
	/* It asks for something that can be turned against others ... */
	bool gated;
	/* ... but has a cookie that an answer to this source brought. */
	bool cookie;
	bool partner; /* the partner has the socket `role` */
	enum stunsrv_role role; /* from which to send */
	uint16_t port; /* of the source's address, to which to send */
	uint32_t delay_ms; /* 0: at once */
	/* For stunsrv_write. */
	uint32_t magic; /* STUN_COOKIE, or RFC 3489's first 4 bytes */
	struct stun_txid txid;
	uint8_t want; /* stunsrv_want */
	uint16_t request_len;
	uint16_t extras_max; /* how long the answer may be with them */
	uint8_t n_unknown;
	uint16_t unknown[STUNSRV_UNKNOWN_MAX];
};

/* The longest answer, which is one with PADDING, and the longest without:
 * over IPv6 with four addresses, the cookie and FINGERPRINT. */
#define STUNSRV_ANSWER_MAX 2048
#define STUNSRV_PLAIN_MAX  (STUN_HEADER_LEN + 4 * 24 + 12 + STUN_FINGERPRINT_LEN)

/*
 * Judges the n bytes of a message. Fills in the whole reply if the verdict,
 * which is also returned, is one that is answered.
 */
enum stunsrv_verdict stunsrv_judge(const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, const void *p, size_t n,
    struct stunsrv_reply *reply);

/* Makes reply an error, STUNSRV_BUSY or STUNSRV_BAD_REQUEST, that is sent at
 * once from where the request came to. */
void stunsrv_refuse(const struct stunsrv_arrival *a,
    struct stunsrv_reply *reply, enum stunsrv_verdict error);

/* Writes the answer; returns its length. */
size_t stunsrv_write(const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, const struct stunsrv_reply *reply,
    uint8_t out[static STUNSRV_ANSWER_MAX]);

#endif

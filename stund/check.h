/*
 * check: stund as a client that finds out what a STUN server is and does. A
 * map of its files:
 *
 *   check_uri.c     PURE: stun: and stuns: URIs (RFC 7064)
 *   check_probe.c   PURE: each request: when it is asked, its bytes, where to
 *   check_answer.c  PURE: reads an answer
 *   check.c         PURE: paces, repeats and gives up; takes the answers
 *   check_judge.c   PURE: for which clients it is fit, which program it is
 *   check_fault.c   PURE: what it does wrong
 *   check_addr.c    PURE: addresses that cannot be right
 *   check_print.c   PURE: the table
 *   check_run.c     UDP sockets, the loop; prints
 *   check_stream.c  TCP and TLS connections
 *   check_lookup.c  names
 *
 * This header is the pure part's; check_edge.h is that of the last three.
 */
#ifndef STUND_CHECK_H
#define STUND_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/ip.h"
#include "pure/mono.h"
#include "pure/stun.h"
#include "pure/text.h"

#define CHECK_ERROR_MAX 256

/* ---- check_uri.c ---- */

#define CHECK_HOST_MAX 254

struct check_uri {
	char host[CHECK_HOST_MAX]; /* without brackets */
	bool literal; /* host is an IP address, not a name */
	uint16_t port;
	bool tls;
};

/* Reads text; false and one line in error if it is no such URI. */
bool check_uri_parse(
    struct check_uri *u, const char *text, char error[static CHECK_ERROR_MAX]);

/* ---- what is asked ---- */

enum check_probe {
	CHECK_BARE, /* the 20 bytes of a header */
	CHECK_TAILNODE, /* Tailscale's 40 bytes */
	CHECK_LONG, /* longer than any answer that is wanted */
	CHECK_FINGERPRINT,
	CHECK_BAD_FINGERPRINT,
	CHECK_UNKNOWN, /* an attribute that must be understood */
	CHECK_CHANGE_NONE, /* CHANGE-REQUEST that asks for no change */
	CHECK_COOKIE, /* stund's own CN-COOKIE */
	CHECK_EMPTY_PADDING,
	CHECK_PADDING,
	CHECK_CLASSIC, /* RFC 3489 */
	CHECK_PORT2, /* RESPONSE-PORT of 2 bytes, as RFC 5780 has it */
	CHECK_PORT4, /* and of 4, as coturn's client sends it */
	/* Straight to the alternate addresses; then CHANGE-REQUESTs from the
	 * same sockets, for which a NAT here lets the answers in then. */
	CHECK_AT_PORT,
	CHECK_AT_IP,
	CHECK_AT_BOTH,
	CHECK_CHANGE_PORT,
	CHECK_CHANGE_IP,
	CHECK_CHANGE_BOTH,
	CHECK_STREAM, /* over TCP or TLS */
	CHECK_STREAM_AGAIN, /* a second one in the same connection */
	CHECK_STREAM_OTHER, /* TCP to OTHER-ADDRESS */
	CHECK_PROBES,
};

/* The longest request: PADDING of CHECK_PADDING_LEN. */
#define CHECK_PADDING_LEN 512
#define CHECK_REQUEST_MAX (STUN_HEADER_LEN + 4 + CHECK_PADDING_LEN)
#define CHECK_ID_OFFSET	  4
#define CHECK_ID_LEN	  16 /* with the cookie's place */
#define CHECK_SENDS	  3

/* The whole of it ends within this time, whatever the server does. */
#define CHECK_LIMIT_US 12000000
/* Between any two requests, for one server. */
#define CHECK_GAP_US 100000

/* The attribute that no server can know, and that none must ignore. */
#define CHECK_UNKNOWN_TYPE 0x7abc

/* ---- check_answer.c ---- */

enum check_class { CHECK_SUCCESS, CHECK_ERROR };

struct check_addr {
	bool there;
	struct stun_addr a;
};

struct check_answer {
	enum check_class class;
	size_t len;
	unsigned code; /* of an error; 0: it names none */
	bool unknown; /* UNKNOWN-ATTRIBUTES names CHECK_UNKNOWN_TYPE */
	struct check_addr mapped, xored, origin, other;
	struct check_addr source, changed; /* RFC 3489's */
	bool fingerprint, fingerprint_bad;
	bool broken; /* attributes run past the end */
	bool cookie; /* CN-COOKIE */
	bool padding;
	size_t padding_len;
	size_t software_len;
	uint8_t software[128]; /* as it came: escape before printing */
};

/* Reads a response to the request with this id; false: it is none. */
bool check_answer_read(struct check_answer *a, const uint8_t *p, size_t n,
    const uint8_t id[static CHECK_ID_LEN]);

/* The address that an answer tells, or NULL. */
const struct stun_addr *check_answer_mapped(const struct check_answer *a);

/* ---- the state ---- */

enum check_state {
	CHECK_WAITING, /* for what others come to */
	CHECK_ASKED,
	CHECK_ANSWERED,
	CHECK_SILENT,
	CHECK_FAILED, /* refused, unreachable, closed: why tells */
	CHECK_SKIPPED,
};

struct check_slot {
	enum check_state state;
	uint8_t id[CHECK_ID_LEN];
	struct stun_addr to;
	size_t request_len;
	unsigned sends;
	struct mono sent; /* first */
	struct mono next; /* sent again, or given up */
	int64_t rtt_us; /* -1: not known */
	unsigned answers; /* with the id: more than sends is too many */
	struct stun_addr from; /* the first answer's source */
	int socket; /* and where it arrived */
	struct check_answer answer;
	char why[96];
};

/* What the edge found out about a TLS connection. */
struct check_tls {
	bool there;
	char version[16], cipher[64];
	bool alpn; /* stun.nat-discovery was agreed on */
	char untrusted[96]; /* why clients refuse the certificate; "": not */
};

struct check {
	struct stun_addr server;
	bool tls;
	struct ip local; /* from which the server is reached */
	int64_t gap_us;
	struct mono start, ready; /* no request before ready */
	struct check_slot slots[CHECK_PROBES];
	uint16_t ports[CHECK_PROBES]; /* local ports of the sockets */
	unsigned foreign; /* STUN answers with an id that nobody drew */
	struct check_tls tls_info;
};

/* ---- check_addr.c ---- */

/* "192.0.2.1:3478", "[2001:db8::1]:3478". */
#define CHECK_ADDR_TEXT_MAX (IP_TEXT_MAX + 8)
const char *check_addr_text(
    const struct stun_addr *a, char text[static CHECK_ADDR_TEXT_MAX]);
bool check_ip_is_private(const struct stun_addr *a);
bool check_ip_is_nobody(const struct stun_addr *a);
/* What is wrong with an address that a client is said to have, or NULL. */
const char *check_mapped_fault(
    const struct check *c, const struct stun_addr *a);

/* ---- check_probe.c ---- */

enum check_need { CHECK_NOT_YET, CHECK_RUN, CHECK_SKIP };

const char *check_probe_name(const struct check *c, enum check_probe p);
bool check_is_stream(enum check_probe p);
/* The probe whose socket or connection this one uses. */
enum check_probe check_socket_of(enum check_probe p);
enum check_need check_need(const struct check *c, enum check_probe p);
/* Where the probe is sent; only if it is to be run. */
struct stun_addr check_target(const struct check *c, enum check_probe p);
/* Where its answer should come from. */
struct stun_addr check_expected(const struct check *c, enum check_probe p);
/* Writes the request with the slot's id; returns its length. */
size_t check_build(const struct check *c, enum check_probe p,
    uint8_t out[static CHECK_REQUEST_MAX]);
/* The first of the plain probes with an address, or NULL: what the server
 * says without being asked for more. */
const struct check_slot *check_plain(const struct check *c);
/* The slot whose answer tells OTHER-ADDRESS, or NULL. */
const struct check_slot *check_other(const struct check *c);
/* Why nothing is sent to OTHER-ADDRESS, or NULL. */
const char *check_other_fault(const struct check *c);
/* The slot, if it was answered, else NULL. */
const struct check_slot *check_answered(
    const struct check *c, enum check_probe p);

/* ---- check.c ---- */

/*
 * Begins with a server, as seen from local. gap_us: between two requests.
 */
void check_init(struct check *c, const struct stun_addr *server, bool tls,
    const struct ip *local, int64_t gap_us, struct mono now);

struct check_send {
	enum check_probe socket; /* a socket of its own for each that occurs */
	bool stream;
	struct stun_addr to;
	size_t len;
	uint8_t bytes[CHECK_REQUEST_MAX];
};

/* The next request that is due: true and *out. random: 16 fresh bytes. */
bool check_next(struct check *c, struct mono now,
    const uint8_t random[static CHECK_ID_LEN], struct check_send *out);
/* When check_next is to be called again, if nothing happens before. */
struct mono check_deadline(const struct check *c);
bool check_done(const struct check *c);

/* What happened. A stream's messages come whole, one by one. */
void check_got(struct check *c, struct mono now, enum check_probe socket,
    const struct stun_addr *from, const uint8_t *p, size_t n);
/* The socket's requests cannot be answered any more. */
void check_failed(struct check *c, enum check_probe socket, const char *why);

/* ---- check_judge.c: once all is done ---- */

/* The source of an answer, if it is not the one that it should come from. */
bool check_is_misplaced(const struct check *c, enum check_probe p);
/* Bytes that came for each byte sent, the largest; *which tells where. */
double check_factor(const struct check *c, enum check_probe *which);
const char *check_program(const struct check *c);

/* Append why it is not fit, "; " between reasons; nothing: it is. True: what
 * was appended is only why it could not be told from here. */
bool check_judge_basic(const struct check *c, struct text *why);
bool check_judge_tailscale(const struct check *c, struct text *why);
bool check_judge_behaviour(const struct check *c, struct text *why);
bool check_is_reachable(const struct check *c);
/* True if the server sees another address than the requests left with. */
bool check_nat_is_between(const struct check *c);

/* ---- check_fault.c ---- */

/* Appends a line, begun by prefix, for each thing that is not as it should
 * be. */
void check_judge_faults(
    const struct check *c, const char *prefix, struct text *out);

/* ---- check_print.c ---- */

/* Appends all that was found out; returns true if fit for basic STUN. */
bool check_print(const struct check *c, struct text *out);

#endif

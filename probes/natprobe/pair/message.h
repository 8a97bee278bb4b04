/*
 * message: what the two sides of pair mode say to each other, and the key by
 * which they find each other. PURE.
 *
 * Every message is sealed in the form of Tailscale's disco packets, so that
 * relays and firewalls treat it as they treat those; it is none of them, and
 * no Tailscale client has its keys:
 *
 *     | "TS" f0 9f 92 ac | sender's key 32 | nonce 24 | MAC 16 | text |
 *
 *     text:   | version 1 | role 1 | type 1 | ...
 *     HELLO   nothing more
 *     WELCOME, CALL
 *             | n 1 | n times: kind 1, IP 16, port 2 | features 1 |
 *     PING    | serial 4 | target 1 |
 *     PONG    | serial 4 | IP 16, port 2: where the PING came from |
 *     REPORT  | has the other's 1 | direct 1 | IP 16, port 2: of the path |
 *             | n 1 | n times: PINGs that came for target i, 2 |
 *     REFUSE  | reason 1 |
 *     KNOCK   | n 1 | n times: family 1, stage 1, flags 1, IP 16, port 2,
 *             |                knock 1, after it ms 2, again 1, open 1 |
 *
 * What follows a text that makes sense is skipped, and what is missing at the
 * end of WELCOME and CALL is 0: earlier releases have no features. KNOCK is
 * said to who has FEATURE_TCP alone.
 *
 * The box is one for both directions; the role says which one it is, so that
 * what is sent back to its sender is not taken. A key is drawn for each run.
 */
#ifndef NATPROBE_PAIR_MESSAGE_H
#define NATPROBE_PAIR_MESSAGE_H

#include "pure/derpbox.h"
#include "pure/stun.h"

#define MESSAGE_VERSION 1
#define MESSAGE_MAX	512
/* Addresses that a side tells, and those that it sends to: some it learns. */
enum { CANDIDATES_MAX = 16, TARGETS_MAX = 24 };
/* In place of a target: through the relay. */
#define TARGET_RELAY 0xff

enum role { ROLE_PEER, ROLE_LISTENER };

enum candidate_kind {
	CANDIDATE_LOCAL, /* of an interface */
	CANDIDATE_STUN, /* as a STUN server sees it */
	CANDIDATE_GUESS, /* that address with the port of the inside */
	CANDIDATE_LEARNED, /* where a packet came from */
	CANDIDATE_KINDS,
};

struct candidate {
	enum candidate_kind kind;
	struct stun_addr addr;
};

enum message_type {
	MESSAGE_HELLO = 1,
	MESSAGE_WELCOME,
	MESSAGE_CALL,
	MESSAGE_PING,
	MESSAGE_PONG,
	MESSAGE_REPORT,
	MESSAGE_REFUSE,
	MESSAGE_KNOCK,
};
enum { FEATURE_TCP = 1 };
enum refusal { REFUSE_VERSION = 1, REFUSE_BUSY };

/* What a side says of itself over TCP, of one family; knock.h has the words. */
struct knock_said {
	uint8_t stage, flags;
	struct stun_addr addr; /* its endpoint outside; port 0: none */
	uint8_t knock, again, open; /* what came of what it did */
	uint16_t knock_ms; /* the answer came so late, or none in so long */
};

struct message {
	uint8_t version; /* if it is another one, only role and type are set */
	enum role role;
	enum message_type type;
	/* WELCOME, CALL */
	struct candidate candidates[CANDIDATES_MAX];
	size_t n;
	uint8_t features;
	/* PING, PONG */
	uint32_t serial;
	uint8_t target;
	struct stun_addr addr; /* PONG; REPORT's path */
	/* REPORT */
	bool has, direct;
	uint16_t got[TARGETS_MAX]; /* n of them */
	uint8_t refusal; /* REFUSE */
	/* KNOCK, by family: IPv4, IPv6 */
	struct knock_said knock[2];
	bool has_knock[2];
};

/* Seals it to out; returns its length. */
size_t message_seal(const struct message *m, uint8_t out[static MESSAGE_MAX],
    const struct derpbox *box, const struct key *sender,
    const uint8_t nonce[static DERPBOX_NONCE_LEN]);

/* Who says to have sent it; false if it has not the form. */
bool message_sender(struct key *sender, const uint8_t *p, size_t n);
/* Opens it, in place; false if it is not genuine or makes no sense. */
bool message_open(
    struct message *m, const struct derpbox *box, uint8_t *p, size_t n);

/*
 * A key for people to copy: base32 (RFC 4648) of the key and 3 bytes that
 * tell a typing error, in groups of four. Reading takes either case, skips
 * blanks and dashes, and takes 0, 1 and 8 for o, l and b.
 */
#define CODE_MAX 72
const char *code_text(const struct key *k, char text[static CODE_MAX]);
enum code { CODE_OK, CODE_FORM, CODE_TYPO };
enum code code_parse(struct key *k, const char *text);

#endif

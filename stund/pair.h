/*
 * pair: two hosts that answer as one server of RFC 5780: what they say to each
 * other, in UDP datagrams, and when each may count on the other. PURE.
 *
 *  0   2 3 4               20              36        44
 *  |cn|1|t| sender's id    | receiver's id | counter | ...
 *
 *  t 1, hello: "I am `sender`; I have heard of `receiver`" (zeros: of nobody).
 *      Counter 0, then a tag of 16 bytes: BLAKE2b of all before it under a key
 *      that both derive from the shared one.
 *  t 2, sealed: ChaCha20-Poly1305 under a key derived from the shared key and
 *      both ids, for this direction; what precedes is authenticated, too.
 *
 *       one host                              the other
 *          hello(A, -)   -------------------->
 *          <--------------------   hello(B, A)
 *          sealed(A, B) ping   -------------->  B was not used before, and who
 *                                               names it has the key: a session
 *          <--------------  sealed(B, A) pong   likewise
 *
 * Ids are random, and each is the receiver's in one session only: a host draws
 * a new one for the next session as soon as one begins. So nothing of an
 * earlier session can be played again, and nothing of this one but within the
 * window of 64 counters, of which each is good once. Only a datagram sealed to
 * the id that is next replaces a session; a hello alone changes nothing.
 *
 * A partner counts as there while it answered a ping of the last 5 seconds. A
 * ping goes out each second, and while none is answered a hello as well.
 */
#ifndef STUND_PAIR_H
#define STUND_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"
#include "pure/mono.h"
#include "pure/stun.h"

#define PAIR_ID_LEN	  16
#define PAIR_SEED_LEN	  32
#define PAIR_DATAGRAM_MAX 160

#define PAIR_PING_US	  INT64_C(1000000)
#define PAIR_ALIVE_US	  INT64_C(5000000)

enum pair_family { PAIR_V4, PAIR_V6, PAIR_FAMILIES };

/* Where a host answers: an address of a family, if any, and its two ports. */
struct pair_site {
	bool has[PAIR_FAMILIES];
	uint8_t ip[PAIR_FAMILIES][16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port[2]; /* P1, P2 of RFC 5780 */
};

/* A Binding request that the partner is to answer from its own address: what
 * it needs to write the answer. Never an answer: who has the key could have
 * any bytes sent otherwise. */
struct pair_request {
	uint32_t magic; /* STUN_COOKIE, or RFC 3489's first 4 bytes */
	struct stun_txid txid;
	struct stun_addr client; /* who asked, and is told so */
	uint16_t to_port; /* of the client, where the answer goes */
	uint8_t came_to; /* index in pair_site.port: where it came to */
	uint8_t from; /* likewise: from where the answer goes */
	uint8_t want; /* stunsrv_want */
	uint16_t request_len; /* bytes */
	uint16_t extras_max; /* of the answer */
};

/* How two hosts fit together. */
enum pair_state {
	PAIR_DOWN, /* no answer to a ping of the last 5 seconds */
	PAIR_UNFIT, /* answers, but with other ports, or the same address */
	PAIR_UP, /* in at least one family */
};

struct pair_id {
	uint8_t b[PAIR_ID_LEN];
};

struct pair_session {
	bool begun;
	struct pair_id mine, theirs;
	struct key send, receive;
	uint64_t top; /* the highest counter that came */
	uint64_t seen; /* bit i: counter top - i came */
};

/* Private to pair.c. */
struct pair {
	struct key root, hello;
	uint8_t seed[PAIR_SEED_LEN];
	uint64_t drawn; /* ids made of the seed so far */
	uint64_t sent; /* counters used, in all sessions: never one twice */
	struct pair_id mine; /* for the next session: in none so far */
	struct pair_session session;
	struct pair_site ours, theirs;
	struct mono answered; /* when the newest ping that was answered went */
	int64_t rtt_us; /* of that one, -1: none */
	struct mono polled, ping; /* the last poll; when the next ping is due */
	unsigned owed; /* what pair_poll has still to write */
	struct pair_id owed_to; /* of the hello or ping owed to a hello */
	uint64_t pong; /* the token of the pong owed */
};

/* seed: random bytes, drawn anew at each start. ours: copied. */
void pair_init(struct pair *p, const struct key *shared,
    const uint8_t seed[static PAIR_SEED_LEN], const struct pair_site *ours);
/* Wipes the keys. */
void pair_clear(struct pair *p);

enum pair_verdict {
	PAIR_GOT_HELLO,
	PAIR_GOT_PING,
	PAIR_GOT_PONG,
	PAIR_GOT_REQUEST,
	PAIR_GOT_BYE, /* it stops: down from now on */
	/* Refused; nothing has changed. */
	PAIR_FOREIGN, /* not a datagram of this protocol and version */
	PAIR_OWN, /* our own, sent back to us */
	PAIR_FORGED, /* damaged, or another key */
	PAIR_REPLAYED, /* came before, or is too old for the window */
	PAIR_STALE, /* of another session */
	PAIR_MALFORMED, /* sealed with the key, but not understood */
	PAIR_VERDICTS,
};

/* The verdict as a metrics label: "hello", "ping" ... */
const char *pair_verdict_name(enum pair_verdict v);

/*
 * Reads a datagram. *q is filled in with PAIR_GOT_REQUEST. What is to be
 * answered is written by pair_poll, which must be called before the next
 * datagram is read.
 */
enum pair_verdict pair_receive(struct pair *p, const uint8_t *d, size_t n,
    struct mono now, struct pair_request *q);

/* When pair_poll has something to write, or pair_state changes, if nothing
 * comes meanwhile. */
struct mono pair_deadline(const struct pair *p);

/*
 * Writes the next datagram that is due; returns its length, or 0 if there is
 * none left now. To be called after pair_receive and at pair_deadline.
 */
size_t pair_poll(
    struct pair *p, struct mono now, uint8_t out[static PAIR_DATAGRAM_MAX]);

/* Writes a request to the partner, or "we stop". Returns the length, or 0
 * without a session. */
size_t pair_ask(struct pair *p, const struct pair_request *q,
    uint8_t out[static PAIR_DATAGRAM_MAX]);
size_t pair_bye(struct pair *p, uint8_t out[static PAIR_DATAGRAM_MAX]);

enum pair_state pair_state(const struct pair *p, struct mono now);
/* The partner's address in a family in which requests may be handed over now,
 * else NULL. Its ports are ours. */
const uint8_t *pair_other(
    const struct pair *p, enum pair_family f, struct mono now);

#endif

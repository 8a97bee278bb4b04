/*
 * mtu: how large a datagram passes whole, and do fragments pass? PURE. A
 * request of the size that is asked for goes to a STUN server; any answer
 * says that it got there. One with PADDING (RFC 5780 section 7.6) has an
 * answer as long as itself, which says the same of the way back.
 *
 *   while (mtu_next(m, now, &send))  do it
 *   sleep until mtu_wake(m), or a datagram: mtu_input(m, ...)
 *   an error of ICMP: mtu_too_big(m, ...)
 *
 * Sizes are of IP packets, header included. Several are tried at once, not one
 * after the other: a black hole answers nothing, and silence takes time.
 */
#ifndef NATPROBE_MTU_H
#define NATPROBE_MTU_H

#include "probes/natprobe/nat/draw.h"
#include "probes/natprobe/nat/verdict.h"
#include "pure/mono.h"
#include "pure/pacer.h"
#include "pure/stun.h"

#define MTU_TOP	      1500 /* of Ethernet; more is not looked for */
#define MTU_STEP      4 /* STUN's messages are multiples of it */
#define MTU_TRIES     96
#define MTU_SERVERS   8
#define MTU_SEED_LEN  DRAW_SEED_LEN
#define MTU_DATAGRAM  2000 /* that is sent in fragments; stund pads to 2048 */
#define MTU_LIMIT_US  INT64_C(2600000) /* then it ends, whatever is known */
#define MTU_RATE      40 /* sends a second are enough for that */
#define MTU_FRAGMENTS 2 /* packets that a datagram in fragments takes */
#define MTU_PACKETS   120 /* and with so many it ends, too */
#define MTU_INNER     1280 /* of Tailscale's interface */
#define MTU_WIREGUARD 32 /* its header and its tag */

enum mtu_kind {
	MTU_HELLO, /* small: which server answers */
	MTU_OUT, /* whole, with a small answer */
	MTU_IN, /* whole, with an answer of its size */
	/* Small, asked last: that silence before was not the server's. */
	MTU_CONTROL_OUT,
	MTU_CONTROL_IN, /* with PADDING */
	MTU_WHOLE, /* MTU_DATAGRAM whole: needs a path of jumbo frames */
	MTU_FRAGMENTS_OUT, /* MTU_DATAGRAM in fragments */
	MTU_FRAGMENTS_IN, /* and its answer, too */
	MTU_KINDS,
};

enum mtu_state {
	MTU_WAITS,
	MTU_PASSED,
	MTU_REFUSED, /* it got there; the server knows no PADDING */
	MTU_CAME_IN_PIECES, /* MTU_IN: the answer did */
	MTU_TOO_BIG, /* ICMP, or this host, says so */
	MTU_SILENT,
	MTU_NEEDLESS, /* another one has told */
};

struct mtu_try {
	enum mtu_kind kind;
	enum mtu_state state;
	uint16_t size;
	uint8_t server; /* MTU_HELLO */
	uint8_t sends, sends_max;
	struct stun_txid txid;
	struct mono first_sent, twice_sent; /* the second time, or the first */
	struct mono due; /* of the next send, or of giving up */
};

struct mtu {
	bool v6;
	struct stun_addr servers[MTU_SERVERS];
	size_t n_servers;
	int server; /* the one that is used; -1: none yet */
	bool has_cookie;
	uint8_t cookie[8];
	struct mtu_try tries[MTU_TRIES];
	size_t n;
	uint16_t link; /* largest that this host sends whole; 0: not less than
			* was tried */
	uint16_t told; /* the least that ICMP has told; 0: none came */
	uint16_t piece; /* the largest fragment of an answer to MTU_IN */
	int64_t rtt_us, gap_us;
	struct mono began, first_answer, free;
	struct pace pace; /* to be set after mtu_init, if others send, too */
	struct draw draw;
	uint64_t sent;
	unsigned packets; /* fragments are packets, too */
	bool over;
	uint8_t packet[MTU_DATAGRAM];
};

struct mtu_send {
	struct stun_addr to;
	bool whole; /* must not be made fragments of */
	const uint8_t *p; /* lent until the next call */
	size_t len;
};

/* servers: at most MTU_SERVERS, all of one family. rate: sends per second. */
void mtu_init(struct mtu *m, bool v6, const struct stun_addr *servers, size_t n,
    unsigned rate, const uint8_t seed[static MTU_SEED_LEN], struct mono now);

/* False: nothing is to be sent now. */
bool mtu_next(struct mtu *m, struct mono now, struct mtu_send *send);
/* MONO_NEVER: it is over. */
struct mono mtu_wake(const struct mtu *m);

/* A datagram; piece: the largest fragment it came in, 0 if it came whole. */
void mtu_input(struct mtu *m, const struct stun_addr *from, const void *p,
    size_t n, unsigned piece, struct mono now);
/* Packets of at most size pass; here: this host says so, not a router. */
void mtu_too_big(struct mtu *m, unsigned size, bool here, struct mono now);

/* The largest size known to pass, the smallest above it known not to (or one
 * beyond MTU_TOP), and that one. */
struct mtu_range {
	uint16_t lo, hi;
	int top; /* the index of that one; -1: it was not tried */
	bool waits; /* for a size above lo */
};
struct mtu_range mtu_range_of(const struct mtu *m, enum mtu_kind kind);
/* What IP's and UDP's headers take of a packet. */
unsigned mtu_headers(const struct mtu *m);

/* ---- what it means: mtu_judge.c ---- */

enum mtu_word {
	MTU_UNKNOWN,
	MTU_FULL, /* MTU_TOP passes */
	MTU_LINK, /* this host's own link has a smaller one */
	MTU_TOLD, /* less, and routers say so by ICMP */
	MTU_BLACK_HOLE, /* less, and nobody says so */
	MTU_PIECES, /* inbound: less, and answers come in fragments */
	MTU_AS_OUT, /* inbound: not less; more cannot be asked for */
	MTU_WORDS,
};
const char *mtu_word_name(enum mtu_word w);

struct mtu_way {
	enum mtu_word word;
	uint16_t passes; /* the largest known to; 0: none */
	uint16_t fails; /* the smallest known not to; 0: none */
	const char *why; /* of MTU_UNKNOWN */
};

struct mtu_verdict {
	struct mtu_way out, in;
	enum answer fragments_out, fragments_in; /* do they pass? */
	const char *why_out, *why_in; /* of ANSWER_UNKNOWN */
	enum answer fits; /* Tailscale's packets, whole, both ways */
	uint16_t needs; /* that is, so large ones */
};
void mtu_judge(const struct mtu *m, struct mtu_verdict *v);

#endif

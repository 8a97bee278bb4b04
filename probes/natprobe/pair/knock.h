/*
 * knock: what the NATs of two hosts that have met do with TCP (RFC 5382), of
 * one address family. PURE: state, bytes and time in, what to do out.
 *
 *   GATHER  Each listens at a local port, P, and connects from P to STUN
 *           servers, whose connections stay open: that is its endpoint
 *           outside. And from another port to one where nobody listens: does a
 *           SYN to any port leave this network?
 *   READY   Each tells its endpoint through the relay, and knocks at the
 *           other's: it connects from ports of which the other knows nothing.
 *           Who is let in has been asked by nobody (REQ-3); what answers
 *           instead, and how soon, is REQ-4.
 *   KNOCKED Both have waited long enough. Each asks its STUN server once more,
 *           by the old connection: does the mapping still live?
 *   OPENING Both connect from P to the other's endpoint at about the same
 *           time (REQ-2, RFC 5128 section 3.3). And each knocks again: now the
 *           other has sent to this address, to another port.
 *   DONE    Nothing more is begun.
 *
 * On each connection who has connected sends a PING, whose target says what
 * for, and the other a PONG, sealed, after their length in 2 bytes. So it is
 * known to be the other side, and no gateway that answers for it.
 *
 * The other side can name one endpoint, once, above port 1023, with an address
 * of the kind that STUN servers see here; a run makes KNOCK_CONNECTS_MAX
 * connections at the most, whatever is said.
 *
 *   knock.c       stages, and what to do
 *   knock_told.c  what sockets and the other side tell
 *   knock_why.h   from that to verdicts
 */
#ifndef NATPROBE_PAIR_KNOCK_H
#define NATPROBE_PAIR_KNOCK_H

#include "probes/natprobe/nat/draw.h"
#include "probes/natprobe/pair/message.h"
#include "pure/limit.h"
#include "pure/mono.h"

/* Limits, in microseconds. */
#define KNOCK_GATHER_US INT64_C(2600000)
/* The same, once one STUN server has answered. */
#define KNOCK_GATHERED_US INT64_C(1200000)
/* Two SYNs of the kernel's, 1 s apart, and a round trip. */
#define KNOCK_WAIT_US INT64_C(1500000)
#define KNOCK_OPEN_US INT64_C(1700000)
/* An error may come after 6 s (REQ-4). */
#define KNOCK_EARLY_US	 INT64_C(6000000)
#define KNOCK_PATIENT_US INT64_C(6600000)
/* Of one that was let in, until it has said who it is. */
#define KNOCK_WHO_US INT64_C(2000000)

enum {
	KNOCK_SERVERS = 3,
	KNOCK_TRIES = 3, /* side by side: packets get lost */
	KNOCK_OPENS = 8, /* one after the other */
	KNOCK_GUESTS = 8, /* at one time */
	KNOCK_GUESTS_MAX = 40, /* in all */
	KNOCK_CONNECTS_MAX = KNOCK_SERVERS + 2 + 2 * KNOCK_TRIES + KNOCK_OPENS,
};

/* The connections, by place. */
enum {
	KNOCK_AT_STUN,
	KNOCK_AT_BESIDE = KNOCK_AT_STUN + KNOCK_SERVERS, /* STUN, not from P */
	KNOCK_AT_CONTROL,
	KNOCK_AT_FIRST,
	KNOCK_AT_AGAIN = KNOCK_AT_FIRST + KNOCK_TRIES,
	KNOCK_AT_OPEN = KNOCK_AT_AGAIN + KNOCK_TRIES,
	KNOCK_AT_GUEST,
	KNOCK_CONNS = KNOCK_AT_GUEST + KNOCK_GUESTS,
};

enum knock_stage {
	KNOCK_GATHER,
	KNOCK_READY,
	KNOCK_KNOCKED,
	KNOCK_OPENING,
	KNOCK_DONE,
};

/* What became of a connection, or of several: the first that one of them has
 * met, in this order. */
enum knock_end {
	KNOCK_NONE, /* not tried, or not over */
	KNOCK_IN, /* and it is the other side */
	KNOCK_FOREIGN, /* somebody let it in who is not */
	KNOCK_RESET,
	KNOCK_ICMP,
	KNOCK_SILENT,
	KNOCK_NO_WAY, /* could not be sent */
	KNOCK_ENDS,
};

/* knock_said.flags */
enum {
	KNOCK_LEAVES = 1, /* SYNs leave this network, to any port */
	KNOCK_DEPENDS = 2, /* the mapping depends on the destination */
	KNOCK_ONE_ADDRESS = 4, /* that outside is always the same */
	KNOCK_HEARD = 8, /* that the other is DONE */
};

/* The targets of PINGs. */
enum { KNOCK_FOR_FIRST, KNOCK_FOR_AGAIN, KNOCK_FOR_OPEN, KNOCK_FORS };

enum knock_conn_state {
	KNOCK_IDLE,
	KNOCK_DUE, /* to be opened, at `at` */
	KNOCK_CONNECTING,
	KNOCK_UP,
	KNOCK_CLOSING, /* to be closed */
	KNOCK_OVER,
};

struct knock_conn {
	enum knock_conn_state state;
	enum knock_end end;
	struct stun_addr to; /* of a guest: where it comes from */
	struct mono at, began;
	int64_t took_us; /* to be connected, or to the end */
	int64_t rtt_us; /* of the PING; -1: no PONG */
	struct stun_addr icmp_from;
	/* STUN: */
	struct stun_txid txid;
	struct stun_addr mapped;
	bool asks, again; /* the question is due; it is the second */
	/* the other side: */
	uint32_t serial, ponging;
	bool ping_due, pong_due;
	struct mono pinged;
	uint8_t in[MESSAGE_MAX + 2];
	size_t in_n;
};

enum knock_still { KNOCK_NOT_ASKED, KNOCK_ASKED, KNOCK_SAME, KNOCK_LOST };

struct knock {
	enum knock_stage stage;
	bool begun, listening;
	struct knock_said other;
	bool heard; /* anything of the other side */
	bool odd; /* an endpoint that is not taken */
	enum knock_still still;
	unsigned came[KNOCK_FORS]; /* guests' PINGs: their SYNs came in */
	bool crossed; /* both sides have connected: one SYN is enough for it */
	unsigned opens; /* tries */
	enum knock_end open_end; /* of the last try */
	struct mono began, knock_at, opening_at, again_at, done_at;
	struct mono open_in_at; /* it works */
	struct knock_conn v[KNOCK_CONNS];
	unsigned connects, guests;
	/* knock's own: */
	bool listen_due, said_heard;
	struct knock_said said; /* last */
	struct mono say_next, still_at;
};

/* What all families of a meeting have in common. Lent. */
struct knock_tools {
	const struct derpbox *box;
	const struct key *pub;
	enum role role;
	struct draw *draw;
	struct limit *rate; /* of connections */
};

/* servers: STUN servers of that family; KNOCK_SERVERS of them are asked. */
void knock_begin(struct knock *k, const struct stun_addr *servers, size_t n,
    const struct knock_tools *t, struct mono now);
/* Moves on. hold: a SYN that is not answered may wait until KNOCK_PATIENT_US.
 * lead_us: how long the other side needs to hear of this one. */
void knock_advance(struct knock *k, const struct knock_tools *t, bool hold,
    int64_t lead_us, struct mono now);

enum knock_act_kind {
	KNOCK_ACT_NOTHING,
	KNOCK_ACT_LISTEN, /* at a port that nobody else has: P */
	KNOCK_ACT_CONNECT, /* conn, to `to`, from P or from anywhere */
	KNOCK_ACT_SEND,
	KNOCK_ACT_CLOSE,
};
struct knock_act {
	enum knock_act_kind kind;
	unsigned conn;
	struct stun_addr to;
	bool from_p;
	uint8_t p[MESSAGE_MAX + 2];
	size_t n;
};
void knock_next(struct knock *k, const struct knock_tools *t, struct mono now,
    struct knock_act *act);
/* When there is something to do; MONO_NEVER: when something is told. */
struct mono knock_wake(const struct knock *k, struct mono now);

/* ---- knock_told.c ---- */

void knock_listens(struct knock *k, bool does, struct mono now);
void knock_connected(struct knock *k, unsigned conn,
    const struct knock_tools *t, struct mono now);
/* It failed, or it is over. from: who sent an ICMP error, or NULL. */
void knock_failed(struct knock *k, unsigned conn, enum knock_end end,
    const struct stun_addr *from, struct mono now);
/* Somebody has come to P. Returns its conn, or -1: close it. */
int knock_guest(struct knock *k, const struct stun_addr *from, struct mono now);
void knock_input(struct knock *k, unsigned conn, const struct knock_tools *t,
    const uint8_t *p, size_t n, struct mono now);
/* What the other side says, and what this one does; talk_due: when to say so. */
void knock_hear(struct knock *k, const struct knock_said *s, struct mono now);
struct knock_said knock_say(struct knock *k, struct mono now);
struct mono knock_talk_due(const struct knock *k);
/* Both know of each other all that they can. */
bool knock_is_over(const struct knock *k);
/* What KNOCK_TRIES connections from `first` on have met, and after how long;
 * so far: what is not over is silent. */
enum knock_end knock_met(
    const struct knock *k, unsigned first, struct mono now, int64_t *us);
/* This side's endpoint: port 0, none. */
struct stun_addr knock_own(const struct knock *k);
enum knock_mapping {
	KNOCK_MAPPING_UNKNOWN,
	KNOCK_MAPPING_SAME,
	KNOCK_MAPPING_DEPENDS
};
enum knock_mapping knock_mapping(const struct knock *k);

#endif

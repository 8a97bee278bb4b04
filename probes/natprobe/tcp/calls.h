/*
 * calls: the TCP connections of a run, each a question or two to a STUN server
 * (RFC 8489 section 6.2.2) and what came back: the evidence. PURE: it is told
 * the time and what the sockets do, and says what to do.
 *
 *   do
 *           while (calls_next(c, now, &act))  do it, and tell how it went
 *   while (calls_advance(c, now) and calls_wake(c) is reached)
 *   sleep until calls_wake(c), or until a socket has something to tell
 *
 * Mapping: some local ports, from each of which a connection goes to every
 * place at about the same time, and stays open until all are settled; so the
 * mapping of the first is in use while the others come. Each asks twice: who
 * tells one connection two addresses is not believed, nor who tells two
 * connections one address.
 *
 * Lifetime: a ladder of idle connections, one per rung. Each asks once, to
 * see that it is answered, and then for an
 * answer later (CN-DELAY), so that the first packet after the pause comes from
 * outside: one from inside would make a new mapping in NATs that take up
 * connections midstream, as Linux's does, and look like a living one. Where
 * the server answers at once, this side has to speak first, and the verdict
 * says so. A server that keeps the connection alive itself is noticed by the
 * segments that came in.
 */
#ifndef NATPROBE_TCP_CALLS_H
#define NATPROBE_TCP_CALLS_H

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/tcp/verdict.h"

/* How many local ports, places, attempts to find a server, and to see that it
 * is still there, and connections with keepalives. */
enum {
	CALL_UNITS = 5,
	CALL_PLACES = 5,
	CALL_TRIES = 2,
	CALL_CONTROLS = 3,
	CALL_KEEPERS = 2,
};
#define CALLS_MAX    320
#define CALL_ASKS    3
#define CALL_IN_MAX  1024 /* a longer message is none of a STUN server */
#define CALL_OUT_MAX 160
/* Packets that are sent for a connection with a question, but for what the
 * kernel adds: SYN, the question, the end. For one that pauses, two more. */
#define CALL_PACKETS	   3
#define CALL_PACKETS_IDLER (CALL_PACKETS + 2)
/* Between two connections, and between the ends of two. */
#define CALL_GAP_US   INT64_C(50000)
#define CALL_CLOSE_US INT64_C(10000)

enum call_use {
	CALL_DISCOVER, /* unit: server; place: which attempt */
	CALL_MAPPING, /* unit: local port; place: index of calls.places */
	CALL_LIFE, /* unit: rung */
	CALL_KEEPER, /* idle, but with keepalives of our kernel's */
	CALL_CONTROL, /* is the server still there, when others are dead */
};

enum call_state {
	CALL_WAITING, /* for its time */
	CALL_CONNECTING,
	CALL_ASKED,
	/* LIFE and KEEPER, when that was answered: */
	CALL_READY, /* to ask for the answer after the pause */
	CALL_SETTLING, /* until what was said has been acknowledged */
	CALL_IDLE,
	CALL_LATE, /* shortly before the pause is over */
	CALL_POKED, /* asked again, after the pause */
	CALL_OVER,
};

enum call_end {
	CALL_UNENDED,
	CALL_SKIPPED, /* not needed any more */
	CALL_CUT, /* the run's time was up; says nothing */
	CALL_NO_SOCKET, /* this host could not */
	CALL_SILENT, /* nothing answers the SYN */
	CALL_UNREACHABLE, /* ICMP, or no route */
	CALL_REFUSED, /* a reset answers the SYN */
	CALL_RESET,
	CALL_CLOSED, /* by the server */
	CALL_MUTE, /* connected, no answer */
	CALL_NOT_STUN,
	CALL_ERROR, /* an error response */
	CALL_ANSWERED, /* or, of LIFE: alive after the pause */
	CALL_DIED, /* LIFE: not alive, at age_s */
	CALL_KEPT, /* LIFE: it was not idle */
	CALL_ENDS,
};
const char *call_end_name(enum call_end e);

struct call {
	/* The question. */
	enum call_use use;
	uint16_t unit, place;
	uint16_t port_of; /* has that call's local port; itself: its own */
	struct stun_addr to;
	uint32_t hold_ms; /* the pause */
	uint16_t keepalive_s; /* 0: none */
	/* What becomes of it. */
	enum call_state state;
	enum call_end end;
	bool open; /* it has a socket */
	struct mono due; /* of what comes next, or of giving up */
	struct mono opened, connected, asked, closed;
	struct mono last; /* packet before the pause */
	struct stun_txid txid[CALL_ASKS];
	struct stun_addr local, mapped, other; /* port 0: none */
	uint8_t answers; /* bits: which questions were answered */
	bool lies; /* it was told two addresses */
	bool babbles; /* what came was no STUN: no more is read */
	bool by_server; /* LIFE: the first after the pause is the server */
	uint64_t segments; /* that had come when the pause began */
	double age_s; /* LIFE: alive then, or dead */
	enum dying dying;
	uint8_t in[CALL_IN_MAX];
	size_t in_n;
};

enum calls_phase { CALLS_DISCOVER, CALLS_MAIN, CALLS_KEEP, CALLS_DONE };

struct calls {
	struct probe_options options; /* lifetime and refresh: of TCP */
	enum calls_phase phase;
	struct call *v;
	size_t n;
	struct stun_addr servers[PROBE_SERVERS];
	size_t n_servers;
	int primary; /* the server that is asked; -1: none answers */
	struct stun_addr places[CALL_PLACES];
	size_t n_places;
	bool alternate; /* places 1 to 3 are the primary's, of RFC 5780 */
	struct draw draw;
	struct mono began;
	struct mono limit; /* of all but the lifetime */
	struct mono decide; /* DISCOVER: when to look whether it is enough */
	struct mono free; /* when the next connection may be made */
	struct mono hang_up; /* when the next may be closed */
	struct pace pace;
	int64_t rtt_us; /* the longest that is surely known; 0: none */
	unsigned made; /* connections */
	bool bad; /* memory was short */
	uint8_t out[CALL_OUT_MAX];
};

enum call_act_kind {
	CALL_ACT_OPEN, /* tell by calls_opened, then _connected or _failed */
	CALL_ACT_SEND,
	CALL_ACT_COUNT, /* tell by calls_counted */
	CALL_ACT_CLOSE,
};

struct call_act {
	enum call_act_kind kind;
	uint16_t call;
	const uint8_t *p; /* lent until the next call */
	size_t len;
	bool abort; /* CLOSE: let go at once; it is dead anyway */
};

/* seed: random, fresh. */
void calls_init(struct calls *c, const struct probe_options *options,
    const struct stun_addr *servers, size_t n,
    const uint8_t seed[static ENGINE_SEED_LEN], struct mono now);
void calls_clear(struct calls *c);

bool calls_next(struct calls *c, struct mono now, struct call_act *act);
struct mono calls_wake(const struct calls *c);
/* When calls_next has nothing to do; false at the end. */
bool calls_advance(struct calls *c, struct mono now);
/* Interrupted: what is not over never will be. */
void calls_stop(struct calls *c);

/* local NULL: it could not be opened. */
void calls_opened(struct calls *c, uint16_t i, const struct stun_addr *local);
void calls_connected(struct calls *c, uint16_t i, struct mono now);
void calls_failed(
    struct calls *c, uint16_t i, enum call_end why, struct mono now);
void calls_input(
    struct calls *c, uint16_t i, const uint8_t *p, size_t n, struct mono now);
/* segments: that have come on this connection so far. */
void calls_counted(
    struct calls *c, uint16_t i, uint64_t segments, struct mono now);

/* The last that was made between the two, or ASK_NONE. */
uint16_t calls_find(const struct calls *c, const struct stun_addr *local,
    const struct stun_addr *to);

/* ---- for a replay, where the packets tell when ---- */

/* No connection is made by calls_next, until calls_open says which. */
void calls_hold(struct calls *c);
void calls_open(struct calls *c, uint16_t i, struct mono now);
/* Its question for a late answer has left; that after the pause has. */
void call_asked_for_late(struct call *k, struct mono now);
void call_poked(struct call *k, struct mono now);

/* ---- between calls.c, told.c and plan.c ---- */

/* The pause begins when nothing is under way any more, and is looked at a
 * little before its end. */
#define CALL_SETTLE_US INT64_C(1000000)
#define CALL_LATE_US   INT64_C(400000)
/* Of those that pause; whether it came so far. */
bool call_is_idler(const struct call *k);
static inline bool
call_has_paused(const struct call *k)
{
	return mono_is_set(k->last);
}
struct mono call_pause_end(const struct call *k);

/* Adds a copy; its index, or ASK_NONE. */
uint16_t calls_add(struct calls *c, const struct call *k);
void call_finish(struct call *k, enum call_end end, struct mono now);
void calls_begin(struct calls *c, struct mono now);
/* How long all but the lifetime and hanging up takes, at the most. */
int64_t calls_limit_us(const struct pacer *pacer);
/* All connections that there would be if every server had all. */
void calls_plan_most(struct calls *c, struct mono now);

/* ---- judge.c ---- */

void judge_tcp(const struct calls *c, struct verdict_tcp *v);
struct verdict_life judge_tcp_life(const struct calls *c);
/* What became of the attempts to reach a server; the call, or NULL. */
const struct call *calls_of_server(const struct calls *c, unsigned server);

#endif

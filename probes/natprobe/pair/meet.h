/*
 * meet: two hosts try to reach each other, as Tailscale's clients do
 * (wgengine/magicsock). PURE: state, bytes and time in, what to send out.
 *
 *   the peer                            the listener
 *   HELLO (relay)                   ->  asks its STUN servers, from the very
 *                                       socket that will be used
 *                                   <-  WELCOME (relay): its addresses
 *   CALL (relay): its addresses     ->
 *   PING to each of them                PING to each of those, and both to
 *                                       where PINGs came from
 *   PONG to where a PING came from, with that address
 *
 * then both measure the best path beside the relay, and tell each other which
 * PINGs came (REPORT), so that each can say why what failed did. Beside that
 * they try TCP (knock.h).
 */
#ifndef NATPROBE_PAIR_MEET_H
#define NATPROBE_PAIR_MEET_H

#include "probes/natprobe/pair/knock.h"

#define MEET_SEED_LEN DRAW_SEED_LEN
enum { MEET_SERVERS = 8, MEET_ROW = 10 };

/* Limits, in microseconds. */
#define MEET_HELLO_US  INT64_C(5000000) /* until the listener answers */
#define MEET_GATHER_US INT64_C(1500000) /* until STUN servers answer */
#define MEET_INVITE_US INT64_C(4000000) /* until the CALL comes */
#define MEET_PUNCH_US  INT64_C(5000000)
#define MEET_SETTLE_US INT64_C(500000) /* for a better path */
#define MEET_REPORT_US INT64_C(2000000)
/* From the CALL to the end, whatever the other side does. */
#define MEET_WHOLE_US INT64_C(8500000)
#define MEET_PING_US  INT64_C(250000) /* to each target, one in so long */
#define MEET_ROW_US   INT64_C(50000) /* one measuring packet in so long */

enum meet_phase {
	MEET_SEEK, /* for the other side */
	MEET_GATHER, /* waits for STUN */
	MEET_INVITE, /* the listener: waits for the CALL */
	MEET_PUNCH,
	MEET_MEASURE,
	MEET_REPORT,
	MEET_OVER,
};

enum meet_why {
	MEET_WHY_NONE,
	MEET_WHY_NOBODY, /* the relay knows no such key */
	MEET_WHY_SILENT, /* no answer */
	MEET_WHY_BUSY, /* it is meeting somebody else */
	MEET_WHY_VERSION, /* it speaks another version */
	MEET_WHY_RELAY, /* no relay */
	MEET_WHY_WAITED, /* nobody came */
	MEET_WHY_GONE, /* it left */
	MEET_WHY_STOPPED, /* interrupted */
	MEET_WHYS,
};

enum meet_outcome { MEET_DIRECT, MEET_RELAYED, MEET_NOT_MET };

struct target {
	struct candidate c;
	struct mono next, last, began;
	unsigned pings, pongs; /* sent; came back */
	unsigned came; /* PINGs from there */
	struct mono first_pong;
	int64_t best_us; /* the shortest round trip; -1: none */
	struct stun_addr seen; /* of ours, by the other side */
	struct stun_addr from; /* where the PONG came from */
	int send_errno; /* the last send failed */
	int icmp_errno; /* an ICMP error came, from: */
	struct stun_addr icmp_from;
	bool own; /* this host has that address itself */
};

struct meet_server {
	struct stun_addr addr, mapped; /* mapped.port 0: no answer yet */
	struct stun_txid txid;
	unsigned sends;
	struct mono next;
};

/* MEET_ROW packets over one way. */
struct meet_row {
	unsigned sent;
	int64_t us[MEET_ROW]; /* -1: not back */
	struct mono next;
};

enum { MEET_SENT = 256, MEET_PONGS = 32 };
struct meet_sent {
	uint32_t serial; /* 0: none */
	uint8_t target; /* or TARGET_RELAY */
	int8_t row; /* its place there, or -1 */
	struct mono at;
};
struct meet_pong {
	bool relay;
	struct stun_addr to;
	uint32_t serial;
};

struct meet {
	enum role role;
	enum meet_phase phase;
	enum meet_why why;
	struct key priv, pub, other;
	struct derpbox box;
	bool has_other, relay_up;
	/* what was found: */
	struct stun_addr bound[2]; /* the sockets, by family; port 0: none */
	struct candidate own[CANDIDATES_MAX];
	size_t n_own;
	struct target targets[TARGETS_MAX];
	size_t n_targets;
	int best; /* a target; -1: none */
	int64_t took_us; /* from the CALL to the first PONG; -1: none */
	struct meet_row direct, relayed;
	bool has_report, peer_direct;
	struct stun_addr peer_path;
	uint16_t peer_got[TARGETS_MAX];
	size_t n_peer_got;
	bool relay_lost, peer_gone;
	uint8_t peer_version; /* WHY_VERSION */
	unsigned forged, strange; /* packets that were not taken */
	unsigned packets_sent, relay_sent;
	bool tcp; /* asked for */
	uint8_t peer_features;
	struct knock knock[2]; /* by family */
	/* meet's own: */
	struct draw draw;
	struct meet_server servers[MEET_SERVERS * 2];
	size_t n_servers;
	uint16_t got[TARGETS_MAX];
	bool other_has_report, said_has;
	struct limit rate;
	struct mono since; /* the phase */
	struct mono gather_at;
	struct mono hello_next, talk_next, call_at;
	bool hello_begun; /* one was sent */
	struct mono hello_until;
	uint32_t serial;
	struct meet_sent sent[MEET_SENT];
	struct meet_pong pongs[MEET_PONGS];
	size_t n_pongs;
	struct key refuse_to;
	uint8_t refuse; /* enum refusal; 0: none */
};

struct meet_options {
	enum role role;
	struct key priv; /* this side's */
	struct key listener; /* the peer: who it looks for */
	struct stun_addr bound[2];
	const struct stun_addr *servers;
	size_t n_servers; /* 2 * MEET_SERVERS at most */
	const struct stun_addr *local; /* of interfaces; without ports */
	size_t n_local;
	unsigned rate; /* packets a second, UDP, and TCP connections */
	bool tcp;
	uint8_t seed[MEET_SEED_LEN];
};

void meet_init(struct meet *m, const struct meet_options *o, struct mono now);
void meet_clear(struct meet *m);

/* The connection to a relay is open, or is no more. */
void meet_relay_up(struct meet *m, struct mono now);
void meet_relay_down(struct meet *m, struct mono now);
/* A packet of that key through the relay; may be changed in place. */
void meet_relay_input(struct meet *m, const struct key *from, uint8_t *p,
    size_t n, struct mono now);
/* The relay says that key is not there. */
void meet_gone(struct meet *m, const struct key *key, struct mono now);
/* A datagram; may be changed in place. */
void meet_input(struct meet *m, const struct stun_addr *from, uint8_t *p,
    size_t n, struct mono now);
/* Sending there failed, or an ICMP error about it came from `from`. */
void meet_send_failed(struct meet *m, const struct stun_addr *to, int error);
void meet_icmp(struct meet *m, const struct stun_addr *to, int error,
    const struct stun_addr *from);
/* Ends it, with what is known. */
void meet_stop(struct meet *m, enum meet_why why);

enum meet_act_kind { MEET_NOTHING, MEET_UDP, MEET_RELAY };
struct meet_act {
	enum meet_act_kind kind;
	struct stun_addr to;
	struct key key;
	uint8_t p[MESSAGE_MAX];
	size_t n;
};
/* The next packet that is due; also moves on. NOTHING: until meet_wake. */
void meet_next(struct meet *m, struct mono now, struct meet_act *act);
struct mono meet_wake(const struct meet *m, struct mono now);

/* ---- meet_tcp.c ---- */

/* What is to be done over TCP, of which family; false: nothing now. What came
 * of it is told to knock[v6], or by these two. */
bool meet_tcp_next(
    struct meet *m, struct mono now, int *v6, struct knock_act *act);
void meet_tcp_connected(struct meet *m, int v6, unsigned conn, struct mono now);
void meet_tcp_input(struct meet *m, int v6, unsigned conn, const uint8_t *p,
    size_t n, struct mono now);

/* ---- meet_why.c: what came of it ---- */

enum meet_outcome meet_outcome(const struct meet *m);

enum target_result {
	TARGET_WORKS,
	TARGET_OWN, /* it is this host's own address */
	TARGET_NO_FAMILY, /* not tried: no socket of that family */
	TARGET_NOT_TRIED, /* over before its turn */
	TARGET_NO_WAY, /* sending failed */
	TARGET_REFUSED, /* an ICMP error */
	TARGET_NOT_ARRIVED, /* none of our PINGs came */
	TARGET_ANSWER_LOST, /* they came, but no PONG came back */
	TARGET_NO_ANSWER, /* and the other side did not tell */
	TARGET_RESULTS,
};
enum target_result target_result(const struct meet *m, size_t i);

/* The kind of path to an address. */
enum path_kind { PATH_LOCAL, PATH_PUBLIC4, PATH_IPV6 };
enum path_kind path_kind(const struct stun_addr *a);

/* Of a row: median by nearest rank, -1 if nothing came back. */
struct meet_latency {
	unsigned sent, lost;
	int64_t p50_us, min_us, max_us;
};
struct meet_latency meet_latency(const struct meet_row *r);

/* The better of two targets, by round trip, as magicsock's betterAddr. */
bool target_better(const struct target *a, const struct target *b);

/* Packets over UDP that one run can send. */
unsigned meet_packets_max(size_t n_servers, size_t n_targets);

#endif

/*
 * probe: a run of natprobe over one address family: which questions are
 * asked, in which order, and what the answers mean. PURE. Files:
 *
 *   draw.c     random bytes from a seed
 *   ports.c    local ports that no earlier run has had
 *   label.c    what a request is for, in its transaction id
 *   engine.c   sends the questions in time, takes the answers in
 *   plan*.c    the questions of each test (RFC 5780 section 4, and more)
 *   probe.c    the phases of a run: discover, main, filter, lifetime, hairpin
 *   judge_*.c  from the answers to verdicts
 */
#ifndef NATPROBE_PROBE_H
#define NATPROBE_PROBE_H

#include "probes/natprobe/nat/engine.h"
#include "probes/natprobe/nat/ports.h"
#include "probes/natprobe/nat/verdict.h"

#define PROBE_SERVERS 8
#define PROBE_PLACES  12

/* Places 0..3 are the four of RFC 5780; others are further servers. */
enum place { PLACE_PP, PLACE_PA, PLACE_AP, PLACE_AA, PLACE_MORE };

/* TEST_MAPPING: step MAPPING_AGAIN + place repeats a question, which must get
 * the same answer; some sockets do that. */
enum { MAPPING_AGAIN = 32 };

/* How many sockets, pairs, rungs. */
enum {
	MAPPING_UNITS = 8,
	MAPPING_UNITS_AGAIN = 2,
	FILTER_EACH = 3,
	POISON_UNITS = 3,
	ALLOC_UNITS = 40,
	ALLOC_ROW = PORTS_ROW, /* further ones, with consecutive local ports */
	ALLOC_CONTROLS = 3,
	HAIRPIN_UNITS = 3,
	REFRESH_EACH = 2,
};

/* TEST_FILTER: units of each kind follow each other. */
enum filter_kind {
	FILTER_BOTH, /* from another address and port */
	FILTER_PORT,
	FILTER_IP,
	FILTER_KINDS,
};
enum filter_step { FILTER_OPEN, FILTER_ASK };
/* The controls: the way from there is open, so an answer must come. */
#define FILTER_CONTROLS	     (FILTER_KINDS * FILTER_EACH)
#define FILTER_CONTROLS_EACH 2
/* As many again of each kind, once, where sockets disagree. */
#define FILTER_AGAIN (FILTER_CONTROLS + FILTER_KINDS * FILTER_CONTROLS_EACH)

/* TEST_ALLOC: if the last one gets no answer, sockets that got one ask again:
 * the one that found the server, and the first of these. */
enum alloc_step { ALLOC_OPEN, ALLOC_CONTROL };

enum poison_step { POISON_EARLY, POISON_ALTERNATE, POISON_PRIMARY };

/* TEST_REFRESH: units of one direction, then of the other. */
enum refresh_kind { REFRESH_OUT, REFRESH_IN, REFRESH_KINDS };
enum { REFRESH_PACKETS = 3, REFRESH_CHECK };

enum life_class { LIFE_SINGLE, LIFE_EXCHANGE, LIFE_STREAM, LIFE_CLASSES };
enum life_step { LIFE_OPEN, LIFE_SECOND, LIFE_THIRD, LIFE_CHECK };

struct server {
	struct stun_addr addr;
	/* Found out: */
	bool alive;
	bool tailnode_only;
	bool cookie; /* a campusnet stund: may be asked faster */
	bool odd_other; /* OTHER-ADDRESS that cannot be right */
	struct stun_addr mapped;
	struct stun_addr other; /* port 0: none */
	int64_t rtt_us;
};

struct probe_options {
	bool v6;
	bool lifetime;
	bool refresh; /* after the lifetime, which it needs */
	bool hairpin;
	uint8_t local_ips; /* 2 or more: the collision test can be done */
	unsigned ttl_max_s;
	unsigned ttl_resolution_s;
	unsigned rate; /* sends per second, of this probe alone */
	struct pacer *pacer; /* lent; of all that sends beside; or NULL */
};

enum phase {
	PHASE_DISCOVER,
	PHASE_MAIN,
	PHASE_FILTER, /* again, if need be */
	PHASE_LIFE,
	PHASE_REFRESH,
	PHASE_HAIRPIN,
	PHASE_HAIRPIN_RAW,
	PHASE_DONE,
};

struct probe {
	struct engine engine;
	struct probe_options options;
	enum phase phase;
	bool stopped;
	struct server servers[PROBE_SERVERS];
	size_t n_servers;
	int primary; /* the one that the tests use; -1: none answers */
	bool led; /* a replay: probe_go_on says when the tests began */
	struct stun_addr places[PROBE_PLACES];
	bool has_place[PROBE_PLACES];
};

/* servers: at most PROBE_SERVERS, all of the family of options. */
void probe_init(struct probe *p, const struct probe_options *options,
    const struct stun_addr *servers, size_t n,
    const uint8_t seed[static ENGINE_SEED_LEN], struct mono now);
void probe_clear(struct probe *p);

/* To be called whenever engine_next has nothing to do; false at the end. */
bool probe_advance(struct probe *p, struct mono now);
/* When to do that again, if nothing comes; MONO_NEVER: at once. */
struct mono probe_wake(const struct probe *p);

/* The tests begin, though not all servers have answered or been given up:
 * false if those that have are not enough. rather: the primary server among
 * equals, or NULL. */
bool probe_go_on(
    struct probe *p, const struct stun_addr *rather, struct mono now);

/* Ends it where it is: what is not known by now is not, for that reason. */
void probe_stop(struct probe *p);

/* plan.c: each adds asks to the engine. */
void plan_discover(struct probe *p, struct mono now);
void plan_mapping(struct probe *p, struct mono now);
/* The same sockets ask one more place. */
void plan_mapping_place(struct probe *p, unsigned place, struct mono now);
void plan_filter(struct probe *p, struct mono now);
void plan_filter_again(struct probe *p, enum filter_kind kind, struct mono now);
void plan_poison(struct probe *p, struct mono now);
void plan_alloc(struct probe *p, struct mono now);
void plan_collision(struct probe *p, struct mono now);
void plan_hairpin(struct probe *p, struct mono now);
void plan_hairpin_raw(struct probe *p, struct mono now);
/* plan_life.c */
void plan_life(struct probe *p, struct mono now);
/* Ends the ladder early where it is known how long mappings live. */
void plan_life_trim(struct probe *p, struct mono now);
/* life_s: what a mapping lives at least. */
void plan_refresh(struct probe *p, double life_s, struct mono now);
/* The lifetime that rung of a class tests, in seconds; 0: no such rung. */
double life_rung_s(const struct probe_options *o, unsigned rung);

#endif

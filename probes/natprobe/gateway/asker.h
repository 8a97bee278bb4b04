/*
 * asker: the sockets of an engine (nat/engine.h) with a few questions of its
 * own, beside a probe: it begins when that knows its server. Decides nothing.
 */
#ifndef NATPROBE_GATEWAY_ASKER_H
#define NATPROBE_GATEWAY_ASKER_H

#include "probes/natprobe/nat/probe.h"
#include "run/addr.h"
#include "run/loop.h"

#define ASKER_SOCKS 10

/* Plans the questions; false: there is nothing to ask. */
typedef bool asker_plan_fn(void *arg, struct mono now);

struct asker {
	struct engine engine;
	bool used, planned, over;
	/* asker.c's own: */
	struct loop *loop;
	const struct probe *probe;
	struct addr local;
	struct asker_sock {
		struct asker *asker;
		uint16_t index;
		int fd, ttl; /* ttl: of the last packet; 0: the usual */
		bool lent;
		struct watch *watch;
	} socks[ASKER_SOCKS];
	struct timer *timer;
	asker_plan_fn *plan;
	loop_fn *done;
	void *arg;
};

/* Calls plan once the probe has found its server (primary), or none, and done
 * at the end; neither inside this call. local: where sockets are bound; its
 * port does not matter. rate: packets per second, of this one alone; the
 * probe's pacer is drawn of. False if memory is short. */
bool asker_start(struct asker *a, struct loop *l, const struct probe *probe,
    const struct addr *local, unsigned rate, asker_plan_fn *plan, loop_fn *done,
    void *arg);

/* From plan: that socket of the engine is this one, which stays the caller's. */
void asker_lend(struct asker *a, uint16_t sock, int fd, uint16_t port);

/* Ends early: done is called. */
void asker_stop(struct asker *a);
void asker_clear(struct asker *a);

/* A UDP socket on a random port of that address; -1 if there is none. */
int asker_socket(const struct addr *local, uint16_t *port);

#endif

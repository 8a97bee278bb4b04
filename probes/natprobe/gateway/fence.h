/*
 * fence: at which router the outermost filter is that lets in only what was
 * asked for, so the outermost NAT that filters. PURE.
 *
 * A socket sends to the server's one address, and then to its other one with
 * a time to live of k: that packet opens the filters at hops 1 to k - 1, and
 * dies. Then it asks for an answer from there (RFC 5780). That comes in if no
 * filter is at hop k or beyond. The same with a usual time to live is the
 * control.
 */
#ifndef NATPROBE_GATEWAY_FENCE_H
#define NATPROBE_GATEWAY_FENCE_H

#include "probes/natprobe/nat/probe.h"

enum {
	FENCE_HOPS = 4, /* times to live that are tried */
	FENCE_EACH = 2, /* sockets for each */
	FENCE_OPENERS = 2, /* packets that open */
	FENCE_SOCKS = FENCE_HOPS * FENCE_EACH + 1, /* the last is the control */
	FENCE_PACKETS = FENCE_SOCKS * (4 + FENCE_OPENERS + 4),
};

/* Adds the questions of one run to e; false if p's server has no second
 * address. */
bool fence_plan(struct engine *e, const struct probe *p, struct mono now);

struct verdict_fence {
	enum reason why; /* NONE: hop is known */
	unsigned hop; /* 0: nothing filters */
};
/* e: NULL if nothing was asked. */
struct verdict_fence judge_fence(const struct engine *e);

#endif

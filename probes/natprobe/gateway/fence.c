/* fence: see fence.h. PURE. */
#include <string.h>

#include "probes/natprobe/gateway/fence.h"

#define OPENER_GAP_US 100000

enum { FENCE_FIRST, FENCE_OPEN, FENCE_ASK = FENCE_OPEN + FENCE_OPENERS };
#define CONTROL (FENCE_SOCKS - 1)

/* The time to live of a socket's openers; 0: the usual. */
static uint8_t
ttl_of(unsigned unit)
{
	return unit == CONTROL ? 0 : (uint8_t)(unit / FENCE_EACH + 1);
}

static void
plan_unit(
    struct engine *e, const struct probe *p, unsigned unit, struct mono now)
{
	const struct stun_addr *near = &p->places[PLACE_PP];
	const struct stun_addr *far = &p->places[PLACE_AA];
	struct ask q = {.label = {TEST_FENCE, (uint16_t)unit, FENCE_FIRST},
	    .sock = engine_sock(e, p->options.v6, 0, 0),
	    .to = *near,
	    .expect = *near,
	    .port_of = ASK_NONE,
	    .after = ASK_NONE};

	q.after = engine_ask(e, &q, now);
	q.to = q.expect = *far;
	q.silent = true;
	q.ttl = ttl_of(unit);
	for (unsigned i = 0; i < FENCE_OPENERS; i++) {
		q.label.step = (uint8_t)(FENCE_OPEN + i);
		q.after = engine_ask(e, &q, now);
		q.wait_us = OPENER_GAP_US;
	}
	q.silent = false;
	q.ttl = 0;
	q.label.step = FENCE_ASK;
	q.to = *near;
	q.change = STUN_CHANGE_IP | STUN_CHANGE_PORT;
	engine_ask(e, &q, now);
}

bool
fence_plan(struct engine *e, const struct probe *p, struct mono now)
{
	if (!p->has_place[PLACE_AA])
		return false;
	memcpy(e->cookies, p->engine.cookies, sizeof(e->cookies));
	e->n_cookies = p->engine.n_cookies;
	for (unsigned unit = 0; unit < FENCE_SOCKS; unit++)
		plan_unit(e, p, unit, now);
	return !e->bad;
}

/* Did the answer come in, if it was asked for at all? */
static bool
passed(const struct engine *e, unsigned unit, bool *asked)
{
	const struct ask *a = engine_find(e, TEST_FENCE, unit, FENCE_ASK);

	*asked |=
	    a != NULL && (a->state == ASK_ANSWERED || a->state == ASK_SILENT);
	return a != NULL && a->state == ASK_ANSWERED;
}

struct verdict_fence
judge_fence(const struct engine *e)
{
	struct verdict_fence v = {.why = REASON_NONE};
	unsigned first = 0;
	bool asked = false, any;

	if (e == NULL)
		return (struct verdict_fence){.why = REASON_NO_ALTERNATE};
	if (!passed(e, CONTROL, &asked))
		return (struct verdict_fence){.why = REASON_NO_CONTROL};
	for (unsigned ttl = 1; ttl <= FENCE_HOPS; ttl++) {
		asked = any = false;
		for (unsigned i = 0; i < FENCE_EACH; i++)
			any |= passed(e, (ttl - 1) * FENCE_EACH + i, &asked);
		if (!asked)
			return (struct verdict_fence){.why = REASON_LOSS};
		if (any && first == 0)
			first = ttl;
		/* What a nearer packet opens a farther one opens, too. */
		if (!any && first != 0)
			return (struct verdict_fence){.why = REASON_VARIES};
	}
	if (first == 0)
		v.why = REASON_BEYOND;
	else
		v.hop = first - 1;
	return v;
}

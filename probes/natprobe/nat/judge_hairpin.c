/*
 * judge_hairpin: does the NAT pass packets from inside to its own outside
 * back in, and with which source (RFC 4787 section 6)? PURE.
 */
#include "probes/natprobe/nat/probe.h"

static const struct ask *
hairpin_ask(const struct probe *p, unsigned u, unsigned step)
{
	return engine_find(&p->engine, TEST_HAIRPIN, u, step);
}

/* The packets of one direction of a pair. */
static void
count(const struct probe *p, unsigned u, unsigned from,
    struct verdict_hairpin *v, bool *internal)
{
	const struct ask *a = hairpin_ask(p, u, 2 + from);
	const struct ask *to = hairpin_ask(p, u, 1 - from);

	if (a == NULL || !ask_tells(a))
		return;
	v->units++;
	if (a->state != ASK_ANSWERED || a->got_sock != to->sock)
		return;
	v->heard++;
	*internal |=
	    stun_addr_same_ip(&a->from, &p->engine.socks[a->sock].local);
}

/*
 * Silence is a "no" only if no filter can have caused it. With EI mapping the
 * socket has sent to just the place from which the second packet came. Else
 * that packet to the NAT's own address had a mapping of its own, whose port
 * nobody knows.
 */
static bool
silence_counts(const struct verdict_mapping *m, const struct verdict_filter *f)
{
	return m->kind == BEHAVIOUR_EI || f->kind == BEHAVIOUR_EI;
}

struct verdict_hairpin
judge_hairpin(const struct probe *p, const struct verdict_mapping *m,
    const struct verdict_filter *f)
{
	struct verdict_hairpin v = {.kind = HAIRPIN_UNKNOWN};
	bool internal = false;

	for (unsigned u = 0; u < HAIRPIN_UNITS; u++) {
		count(p, u, 0, &v, &internal);
		count(p, u, 1, &v, &internal);
	}
	if (m->kind == BEHAVIOUR_NONE)
		v.why = REASON_NO_NAT;
	else if (v.units == 0)
		v.why = p->options.hairpin ? REASON_LOSS : REASON_NOT_ASKED;
	else if (v.heard > 0)
		v.kind = internal ? HAIRPIN_INTERNAL : HAIRPIN_EXTERNAL;
	else if (silence_counts(m, f))
		v.kind = HAIRPIN_NO;
	else
		v.why = REASON_FILTERED;
	return v;
}

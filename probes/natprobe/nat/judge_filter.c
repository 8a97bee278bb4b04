/*
 * judge_filter: which packets from outside get through (RFC 4787 section 5)?
 * Answers from elsewhere that came to most sockets are a proof; that none came
 * is one only if the control came. PURE.
 */
#include "probes/natprobe/nat/probe.h"

static const struct ask *
unit_ask(const struct probe *p, unsigned unit)
{
	return engine_find(&p->engine, TEST_FILTER, unit, FILTER_ASK);
}

static void
count_from(const struct probe *p, unsigned first, struct verdict_filter *v,
    bool *refused)
{
	for (unsigned u = 0; u < FILTER_KINDS * FILTER_EACH; u++) {
		const struct ask *a = unit_ask(p, first + u);

		if (a == NULL || !ask_tells(a))
			continue;
		v->tried[u / FILTER_EACH]++;
		v->passed[u / FILTER_EACH] += a->state == ASK_ANSWERED;
		*refused |= a->state == ASK_REFUSED;
	}
}

/* True if the alternate place of that kind is seen to answer. */
static bool
control(const struct probe *p, unsigned kind, struct verdict_filter *v)
{
	bool good = false;

	for (unsigned i = 0; i < FILTER_CONTROLS_EACH; i++) {
		const struct ask *a = unit_ask(
		    p, FILTER_CONTROLS + kind * FILTER_CONTROLS_EACH + i);

		if (a == NULL || !ask_tells(a))
			continue;
		v->controls_tried++;
		v->controls_passed += a->state == ASK_ANSWERED;
		good |= a->state == ASK_ANSWERED;
	}
	return good;
}

static bool
place_answers(const struct probe *p, enum place place)
{
	const struct ask *a;

	for (unsigned u = 0; u < MAPPING_UNITS; u++) {
		a = engine_find(&p->engine, TEST_MAPPING, u, place);
		if (a != NULL && a->state == ASK_ANSWERED)
			return true;
	}
	return false;
}

/*
 * Where the NAT has another external address for another server, no answer
 * from the other address can reach the port that was opened for it: the
 * control cannot pass. Then it must do that the server changes its port if
 * asked, and answers from its other address if that is asked.
 */
static void
allow_for_pool(const struct probe *p, bool good[FILTER_KINDS])
{
	if (!judge_mapping(p).pool_varies || !good[FILTER_PORT])
		return;
	good[FILTER_BOTH] |= place_answers(p, PLACE_AA);
	good[FILTER_IP] |= place_answers(p, PLACE_AP);
}

/*
 * A single socket may have a port that another program had not long ago, whose
 * mapping still lives and lets in what that one has asked for. So it needs
 * more than half; and of as many as there are when they were asked again, all
 * but one.
 */
static bool
is_sure(const struct verdict_filter *v, unsigned kind)
{
	return v->tried[kind] >= 2 * FILTER_EACH - 1;
}

static bool
passes(const struct verdict_filter *v, unsigned kind)
{
	if (is_sure(v, kind))
		return v->passed[kind] + 1 >= v->tried[kind];
	return v->passed[kind] * 2 > v->tried[kind];
}

static bool
silent(const struct verdict_filter *v, unsigned kind)
{
	return v->tried[kind] > 0 && v->passed[kind] <= is_sure(v, kind);
}

static bool
disagrees(const struct verdict_filter *v, unsigned kind)
{
	return v->passed[kind] > 0 && !passes(v, kind) && !silent(v, kind);
}

/* Silence of a kind counts if its control passed. */
static enum behaviour
classify(const struct verdict_filter *v, const bool good[FILTER_KINDS])
{
	bool port = passes(v, FILTER_PORT), ip = passes(v, FILTER_IP);

	if (passes(v, FILTER_BOTH))
		return BEHAVIOUR_EI;
	for (unsigned k = 0; k < FILTER_KINDS; k++)
		if (disagrees(v, k))
			return BEHAVIOUR_MIXED;
	if (!silent(v, FILTER_BOTH) || !good[FILTER_BOTH])
		return BEHAVIOUR_UNKNOWN;
	if (port && ip)
		return BEHAVIOUR_MIXED;
	if (port)
		return BEHAVIOUR_AD;
	if (!silent(v, FILTER_PORT) || !good[FILTER_PORT])
		return BEHAVIOUR_UNKNOWN;
	if (ip)
		return BEHAVIOUR_PD;
	return BEHAVIOUR_APD;
}

struct verdict_filter
judge_filter(const struct probe *p)
{
	struct verdict_filter v = {.kind = BEHAVIOUR_UNKNOWN};
	bool good[FILTER_KINDS], refused = false;

	count_from(p, 0, &v, &refused);
	count_from(p, FILTER_AGAIN, &v, &refused);
	for (unsigned k = 0; k < FILTER_KINDS; k++)
		good[k] = control(p, k, &v);
	allow_for_pool(p, good);
	v.kind = classify(&v, good);
	/* All but that needs silence, and whose that was is not known. */
	if (v.kind != BEHAVIOUR_EI && p->primary != -1 &&
	    server_stopped(p, (unsigned)p->primary))
		v.kind = BEHAVIOUR_UNKNOWN;
	if (v.kind == BEHAVIOUR_MIXED)
		v.why = REASON_VARIES;
	if (v.kind != BEHAVIOUR_UNKNOWN)
		return v;
	if (p->primary == -1)
		v.why = REASON_NO_SERVER;
	else if (!p->has_place[PLACE_AA])
		v.why = REASON_NO_ALTERNATE;
	else if (refused)
		v.why = REASON_REFUSED;
	else
		v.why = REASON_NO_CONTROL;
	return v;
}

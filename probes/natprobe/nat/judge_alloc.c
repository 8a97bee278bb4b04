/*
 * judge_alloc: how does the NAT choose external ports, and from how many
 * addresses? RFC 4787 sections 4.1 (pooling), 4.2 (port assignment) and 4.3
 * (contiguity). PURE.
 */
#include "probes/natprobe/nat/probe.h"

/* Shares at and above which a pattern is one. Other users of the NAT take
 * ports, too, so not every step of a sequence is ours. */
#define PRESERVED_SHARE	 0.9
#define SEQUENTIAL_SHARE 0.6
#define KEPT_SHARE	 0.7
#define STEP_MAX	 4
/* A random choice from all ports spreads 40 of them over less than this with
 * a chance of 1 in 10^20. */
#define BLOCK_MAX 4096
#define UNITS_MIN 12
/* So many sockets in a row without an answer to any of their sends: even with
 * one packet in five lost that is a chance of 1 in 10^8. */
#define EXHAUSTED_MIN 4
#define COMMON_MIN    4

static const struct ask *
unit_ask(const struct probe *p, unsigned u)
{
	const struct ask *a = engine_find(&p->engine, TEST_ALLOC, u, 0);

	return a != NULL && a->state == ASK_ANSWERED ? a : NULL;
}

static uint16_t
local_port(const struct probe *p, const struct ask *a)
{
	return p->engine.socks[a->sock].local.port;
}

/* RFC 4787 REQ-3a: well-known ports and others. */
static bool
same_range(uint16_t a, uint16_t b)
{
	return (a < 1024) == (b < 1024);
}

static void
count_unit(const struct probe *p, const struct ask *a, struct verdict_alloc *v)
{
	uint16_t local = local_port(p, a), port = a->mapped.port;

	if (v->units == 0 || port < v->low)
		v->low = port;
	if (v->units == 0 || port > v->high)
		v->high = port;
	v->units++;
	v->preserved += port == local;
	v->parity += (port & 1) == (local & 1);
	v->in_range += same_range(port, local);
}

/* The step that most have, and how many; a NAT may go on by 2, to keep the
 * parity, or by any other number. */
static void
common_step(const int *steps, struct verdict_alloc *v)
{
	for (unsigned i = 0; i < v->steps; i++) {
		unsigned n = 0;

		for (unsigned j = 0; j < v->steps; j++)
			n += steps[j] == steps[i];
		if (steps[i] != 0 && n > v->common_steps) {
			v->common_steps = n;
			v->step = steps[i];
		}
	}
}

/* Sockets in the order of their first packets. */
static void
count_steps(const struct probe *p, struct verdict_alloc *v)
{
	const struct ask *before = NULL, *a;
	int steps[ALLOC_UNITS];
	int d;

	for (unsigned u = 0; u < ALLOC_UNITS; u++) {
		if ((a = unit_ask(p, u)) == NULL || a->sends > 1) {
			before = NULL;
			continue;
		}
		if (before != NULL) {
			d = (int)a->mapped.port - (int)before->mapped.port;
			steps[v->steps++] = d;
			v->small_steps +=
			    d != 0 && d >= -STEP_MAX && d <= STEP_MAX;
		}
		before = a;
	}
	common_step(steps, v);
}

static void
count_row(const struct probe *p, struct verdict_alloc *v)
{
	const struct ask *before = NULL, *a;

	for (unsigned u = ALLOC_UNITS; u < ALLOC_UNITS + ALLOC_ROW; u++) {
		a = unit_ask(p, u);
		if (a != NULL && before != NULL &&
		    local_port(p, a) == local_port(p, before) + 1) {
			v->row_pairs++;
			v->row_kept +=
			    a->mapped.port == before->mapped.port + 1;
		}
		before = a;
	}
}

static bool
seen_before(const struct probe *p, unsigned u, const struct stun_addr *ip)
{
	const struct ask *a;

	for (unsigned i = 0; i < u; i++)
		if ((a = unit_ask(p, i)) != NULL &&
		    stun_addr_same_ip(&a->mapped, ip))
			return true;
	return false;
}

static bool
still_answers(const struct probe *p)
{
	for (unsigned u = 0; u < ALLOC_CONTROLS; u++) {
		const struct ask *a =
		    engine_find(&p->engine, TEST_ALLOC, u, ALLOC_CONTROL);

		if (a != NULL && a->state == ASK_ANSWERED)
			return true;
	}
	return false;
}

/* The last sockets got no answer although the first ones still do: a small
 * range that is used up. */
static bool
ran_out(const struct probe *p)
{
	unsigned lost = 0;

	for (unsigned u = ALLOC_UNITS + ALLOC_ROW; u-- > 0;) {
		const struct ask *a = engine_find(&p->engine, TEST_ALLOC, u, 0);

		if (a == NULL || a->state != ASK_SILENT)
			break;
		lost++;
	}
	return lost >= EXHAUSTED_MIN && still_answers(p);
}

/* Steps that who knows one port could have told. Two that are alike may be so
 * by chance, where little came. */
static unsigned
next_steps(const struct verdict_alloc *v)
{
	return v->small_steps > v->common_steps || v->common_steps < COMMON_MIN
	    ? v->small_steps
	    : v->common_steps;
}

static enum assignment
classify(const struct verdict_alloc *v)
{
	double n = v->units;

	if (v->exhausted && v->high - v->low < BLOCK_MAX)
		return ASSIGN_BLOCK;

	if (v->preserved >= PRESERVED_SHARE * n)
		return ASSIGN_PRESERVE;
	if (v->steps > 0 && next_steps(v) >= SEQUENTIAL_SHARE * v->steps)
		return ASSIGN_SEQUENTIAL;
	if (v->row_pairs > 0 && v->row_kept >= KEPT_SHARE * v->row_pairs)
		return ASSIGN_CONTIGUOUS;
	if (v->high - v->low < BLOCK_MAX)
		return ASSIGN_BLOCK;
	return ASSIGN_RANDOM;
}

static double
guess_of(const struct verdict_alloc *v)
{
	switch (v->kind) {
	case ASSIGN_PRESERVE:
		return (double)v->preserved / v->units;
	case ASSIGN_SEQUENTIAL:
		return (double)next_steps(v) / v->steps;
	case ASSIGN_BLOCK:
	case ASSIGN_CONTIGUOUS:
	case ASSIGN_RANDOM:
		return 1.0 / (v->high - v->low + 1);
	default:
		return 0;
	}
}

struct verdict_alloc
judge_alloc(const struct probe *p)
{
	struct verdict_alloc v = {.kind = ASSIGN_UNKNOWN};
	const struct ask *a;

	for (unsigned u = 0; u < ALLOC_UNITS + ALLOC_ROW; u++) {
		if ((a = unit_ask(p, u)) == NULL)
			continue;
		count_unit(p, a, &v);
		v.addresses += !seen_before(p, u, &a->mapped);
	}
	count_steps(p, &v);
	count_row(p, &v);
	v.exhausted = v.units > 0 && ran_out(p);
	if (p->primary == -1)
		v.why = REASON_NO_SERVER;
	else if (v.units < UNITS_MIN)
		v.why = REASON_LOSS;
	else {
		v.kind = classify(&v);
		v.guess = guess_of(&v);
	}
	if (v.kind != ASSIGN_SEQUENTIAL ||
	    v.common_steps < SEQUENTIAL_SHARE * v.steps)
		v.step = 0;
	return v;
}

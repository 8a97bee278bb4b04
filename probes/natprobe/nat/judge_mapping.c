/*
 * judge_mapping: which mapping behaviour (RFC 4787 section 4.1) do the
 * answers show? Each socket is judged alone, from every pair of places that
 * answered it; then the sockets are counted. PURE.
 */
#include <string.h>

#include "probes/natprobe/nat/probe.h"

/* Of this many sockets out of four that agree, the rest is chance: a lost
 * mapping, or two random ports that happen to be the same. */
#define AGREE_OF_4 3

/* Does the mapping change with ...? */
struct dependence {
	enum answer ip; /* another address, same port */
	enum answer port; /* same address, another port */
	enum answer both; /* another address and port */
};

static const struct ask *
answered(const struct probe *p, unsigned unit, unsigned place)
{
	const struct ask *a =
	    engine_find(&p->engine, TEST_MAPPING, unit, place);

	return a != NULL && a->state == ASK_ANSWERED ? a : NULL;
}

/* Once changed is changed; "no" needs that no pair says yes. */
static void
note(enum answer *d, bool changed)
{
	if (changed)
		*d = ANSWER_YES;
	else if (*d == ANSWER_UNKNOWN)
		*d = ANSWER_NO;
}

static void
compare(struct dependence *d, const struct ask *a, const struct ask *b)
{
	bool changed = !stun_addr_same(&a->mapped, &b->mapped);

	if (stun_addr_same_ip(&a->to, &b->to))
		note(&d->port, changed);
	else if (a->to.port == b->to.port)
		note(&d->ip, changed);
	else
		note(&d->both, changed);
}

static enum behaviour
classify(const struct dependence *d)
{
	if (d->ip == ANSWER_NO && d->port == ANSWER_NO)
		return BEHAVIOUR_EI;
	if (d->ip == ANSWER_YES && d->port == ANSWER_NO)
		return BEHAVIOUR_AD;
	if (d->ip == ANSWER_YES && d->port == ANSWER_YES)
		return BEHAVIOUR_APD;
	if (d->ip == ANSWER_NO && d->port == ANSWER_YES)
		return BEHAVIOUR_PD;
	/* One of them is not known. */
	if (d->both == ANSWER_NO)
		return BEHAVIOUR_EI;
	if (d->ip == ANSWER_YES || d->port == ANSWER_YES ||
	    d->both == ANSWER_YES)
		return BEHAVIOUR_DEPENDENT;
	/* Another server's address, at its usual port: nothing is known of
	 * other ports of one address, but few NATs look at ports alone. */
	return BEHAVIOUR_UNKNOWN;
}

static enum behaviour
judge_unit(const struct probe *p, unsigned unit, struct verdict_mapping *v)
{
	struct dependence d = {ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN};
	const struct ask *a, *b;
	bool local = true;
	unsigned n = 0;

	for (unsigned i = 0; i < PROBE_PLACES; i++) {
		if ((a = answered(p, unit, i)) == NULL)
			continue;
		n++;
		v->external = a->mapped;
		local &=
		    stun_addr_same(&a->mapped, &p->engine.socks[a->sock].local);
		for (unsigned j = i + 1; j < PROBE_PLACES; j++) {
			if ((b = answered(p, unit, j)) == NULL)
				continue;
			compare(&d, a, b);
			v->pool_varies |=
			    !stun_addr_same_ip(&a->mapped, &b->mapped);
		}
	}
	if (n > 0 && local)
		return BEHAVIOUR_NONE;
	return classify(&d);
}

static enum reason
why_unknown(const struct probe *p)
{
	unsigned ips = 0;

	if (p->primary == -1)
		return REASON_NO_SERVER;
	for (unsigned i = 0; i < PROBE_PLACES; i++)
		if (p->has_place[i] &&
		    !stun_addr_same_ip(&p->places[i], &p->places[PLACE_PP]))
			ips++;
	if (ips == 0)
		return REASON_ONE_ADDRESS;
	return p->has_place[PLACE_AP] ? REASON_ALTERNATE_SILENT : REASON_LOSS;
}

/* "Dependent" says less than how, not otherwise. */
static unsigned
agreeing(const struct verdict_mapping *v, enum behaviour b)
{
	bool says_how =
	    b == BEHAVIOUR_AD || b == BEHAVIOUR_APD || b == BEHAVIOUR_PD;

	if (v->counts[b] == 0)
		return 0;
	return v->counts[b] + (says_how ? v->counts[BEHAVIOUR_DEPENDENT] : 0);
}

struct verdict_mapping
judge_mapping(const struct probe *p)
{
	struct verdict_mapping v = {.kind = BEHAVIOUR_UNKNOWN};
	enum behaviour most = BEHAVIOUR_UNKNOWN, b;

	for (unsigned u = 0; u < MAPPING_UNITS; u++) {
		b = judge_unit(p, u, &v);
		v.counts[b]++;
		v.units += b != BEHAVIOUR_UNKNOWN;
	}
	/* Sockets of which a packet was lost say less, not otherwise. */
	for (b = BEHAVIOUR_NONE; b < BEHAVIOURS; b++)
		if (agreeing(&v, b) > v.agree) {
			most = b;
			v.agree = agreeing(&v, b);
		}
	if (v.units == 0) {
		v.why = why_unknown(p);
		v.agree = 0;
	} else if (v.agree * 4 >= v.units * AGREE_OF_4)
		v.kind = most;
	else {
		v.kind = BEHAVIOUR_MIXED;
		v.why = REASON_VARIES;
	}
	return v;
}

/* X1 is the mapping test itself: without an early packet the sockets are EI.
 * Then a socket whose port changed after one was poisoned. */
struct verdict_poison
judge_poison(const struct probe *p, const struct verdict_mapping *m)
{
	struct verdict_poison v = {.poisonable = ANSWER_UNKNOWN};
	const struct ask *aa, *pp;

	if (m->kind != BEHAVIOUR_EI) {
		v.why = m->kind == BEHAVIOUR_NONE ? REASON_NO_NAT : REASON_NONE;
		v.poisonable =
		    m->kind == BEHAVIOUR_UNKNOWN ? ANSWER_UNKNOWN : ANSWER_NO;
		return v;
	}
	for (unsigned u = 0; u < POISON_UNITS; u++) {
		aa = engine_find(&p->engine, TEST_POISON, u, POISON_ALTERNATE);
		pp = engine_find(&p->engine, TEST_POISON, u, POISON_PRIMARY);
		if (aa == NULL || aa->state != ASK_ANSWERED || pp == NULL ||
		    pp->state != ASK_ANSWERED)
			continue;
		v.units++;
		v.changed += !stun_addr_same(&aa->mapped, &pp->mapped);
	}
	if (v.units == 0)
		v.why =
		    p->has_place[PLACE_AA] ? REASON_LOSS : REASON_NO_ALTERNATE;
	else
		v.poisonable = v.changed > 0 ? ANSWER_YES : ANSWER_NO;
	return v;
}

struct verdict_collision
judge_collision(const struct probe *p, const struct verdict_mapping *m)
{
	struct verdict_collision v = {.until_collision = ANSWER_UNKNOWN};
	const struct ask *ap = engine_find(&p->engine, TEST_COLLISION, 0, 1);
	const struct ask *pp = engine_find(&p->engine, TEST_COLLISION, 0, 2);

	if (ap == NULL)
		v.why = REASON_NOT_ASKED;
	else if (ap->state != ASK_ANSWERED || pp->state != ASK_ANSWERED)
		v.why = REASON_LOSS;
	else if (m->kind != BEHAVIOUR_EI)
		v.until_collision = ANSWER_NO;
	else
		v.until_collision = stun_addr_same(&ap->mapped, &pp->mapped)
		    ? ANSWER_NO
		    : ANSWER_YES;
	return v;
}

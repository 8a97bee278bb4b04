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

void
dependence_note(
    struct dependence *d, const struct sighting *a, const struct sighting *b)
{
	bool changed = !stun_addr_same(&a->mapped, &b->mapped);

	if (stun_addr_same_ip(&a->to, &b->to))
		note(&d->port, changed);
	else if (a->to.port == b->to.port)
		note(&d->ip, changed);
	else
		note(&d->both, changed);
}

bool
dependence_of_one_port(const struct dependence *d)
{
	return d->port == ANSWER_UNKNOWN && d->both == ANSWER_UNKNOWN;
}

enum behaviour
dependence_kind(const struct dependence *d)
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
	/* Servers at one port: few NATs look at ports alone; the verdict says
	 * that none was seen. */
	if (d->ip == ANSWER_NO && d->both == ANSWER_UNKNOWN)
		return BEHAVIOUR_EI;
	if (d->ip == ANSWER_YES || d->port == ANSWER_YES ||
	    d->both == ANSWER_YES)
		return BEHAVIOUR_DEPENDENT;
	return BEHAVIOUR_UNKNOWN;
}

/* skip: places whose answers do not count, as bits. */
static enum behaviour
judge_unit(const struct probe *p, unsigned unit, unsigned skip,
    struct verdict_mapping *v)
{
	struct dependence d = {ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN};
	const struct ask *of[PROBE_PLACES];
	bool local = true;
	unsigned n = 0;

	for (unsigned i = 0; i < PROBE_PLACES; i++) {
		of[n] = (skip >> i & 1) != 0 ? NULL : answered(p, unit, i);
		if (of[n] == NULL)
			continue;
		v->external = of[n]->mapped;
		local &= stun_addr_same(
		    &of[n]->mapped, &p->engine.socks[of[n]->sock].local);
		for (unsigned j = 0; j < n; j++) {
			dependence_note(&d,
			    &(struct sighting){of[j]->to, of[j]->mapped},
			    &(struct sighting){of[n]->to, of[n]->mapped});
			v->pool_varies |=
			    !stun_addr_same_ip(&of[j]->mapped, &of[n]->mapped);
		}
		n++;
	}
	if (n > 0 && local)
		return BEHAVIOUR_NONE;
	v->one_port |= dependence_of_one_port(&d);
	return dependence_kind(&d);
}

static enum reason
why_unknown(const struct probe *p, unsigned skip)
{
	unsigned ips = 0;

	if (p->primary == -1)
		return REASON_NO_SERVER;
	if (skip != 0)
		return REASON_LIAR;
	for (unsigned i = 0; i < PROBE_PLACES; i++)
		if (p->has_place[i] &&
		    !stun_addr_same_ip(&p->places[i], &p->places[PLACE_PP]))
			ips++;
	if (ips == 0)
		return REASON_ONE_ADDRESS;
	return p->has_place[PLACE_AP] ? REASON_ALTERNATE_SILENT : REASON_LOSS;
}

/* Sockets of which a packet was lost say less, not otherwise. */
static unsigned
agreeing(const struct verdict_mapping *v, enum behaviour *most)
{
	static const enum behaviour exact[] = {
	    BEHAVIOUR_AD, BEHAVIOUR_APD, BEHAVIOUR_PD};
	enum behaviour best = BEHAVIOUR_DEPENDENT;

	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		if (v->counts[exact[i]] > 0 &&
		    (best == BEHAVIOUR_DEPENDENT ||
			v->counts[exact[i]] > v->counts[best]))
			best = exact[i];
	if (*most == BEHAVIOUR_DEPENDENT)
		*most = best;
	return v->counts[*most] +
	    (*most == best && best != BEHAVIOUR_DEPENDENT
		    ? v->counts[BEHAVIOUR_DEPENDENT]
		    : 0);
}

void
mapping_vote(struct verdict_mapping *v, enum reason why)
{
	enum behaviour most = BEHAVIOUR_UNKNOWN;

	for (enum behaviour b = BEHAVIOUR_NONE; b < BEHAVIOURS; b++) {
		v->units += v->counts[b];
		if (v->counts[b] > 0 &&
		    (most == BEHAVIOUR_UNKNOWN ||
			v->counts[b] > v->counts[most]))
			most = b;
	}
	if (v->units == 0) {
		v->why = why;
		return;
	}
	v->agree = agreeing(v, &most);
	if (v->agree * 4 >= v->units * AGREE_OF_4)
		v->kind = most;
	else {
		v->kind = BEHAVIOUR_MIXED;
		v->why = REASON_VARIES;
	}
	if (v->kind == BEHAVIOUR_EI && v->one_port)
		v->why = REASON_ONE_PORT;
}

static struct verdict_mapping
judge_without(const struct probe *p, unsigned skip)
{
	struct verdict_mapping v = {.kind = BEHAVIOUR_UNKNOWN};

	for (unsigned u = 0; u < MAPPING_UNITS; u++)
		v.counts[judge_unit(p, u, skip, &v)]++;
	mapping_vote(&v, why_unknown(p, skip));
	return v;
}

/* ---- servers that do not fit ---- */

static unsigned
places_of(const struct probe *p, unsigned server)
{
	if ((int)server != p->primary)
		return 1U << (PLACE_MORE + server);
	return 1U << PLACE_PP | 1U << PLACE_PA | 1U << PLACE_AP |
	    1U << PLACE_AA;
}

/* The address that a server sees, in the first answer; NULL: none came. */
static const struct ask *
seen_by(const struct probe *p, unsigned places)
{
	const struct ask *a;

	for (unsigned u = 0; u < MAPPING_UNITS; u++)
		for (unsigned i = 0; i < PROBE_PLACES; i++)
			if ((places >> i & 1) != 0 &&
			    (a = answered(p, u, i)) != NULL)
				return a;
	return NULL;
}

static bool
sees_local(const struct probe *p, const struct ask *a)
{
	return stun_addr_same(&a->mapped, &p->engine.socks[a->sock].local);
}

/*
 * A server that sees this host's own, private address, while another sees a
 * public one, is on this side of the NAT, and tells nothing of it.
 */
static unsigned
find_inside(const struct probe *p, unsigned skip)
{
	unsigned inside = 0, outside = 0;
	const struct ask *a;

	for (unsigned i = 0; i < p->n_servers; i++) {
		a = seen_by(p, places_of(p, i) & ~skip);
		if (a == NULL)
			continue;
		if (sees_local(p, a) && stun_addr_is_private(&a->mapped))
			inside |= 1U << i;
		else if (!stun_addr_is_private(&a->mapped))
			outside |= 1U << i;
	}
	return outside != 0 ? inside : 0;
}

static bool
is_steady(const struct verdict_mapping *v)
{
	return v->kind == BEHAVIOUR_EI || v->kind == BEHAVIOUR_NONE;
}

/*
 * All that the others say fits one mapping, and one server alone does not fit.
 * If it tells the same address with other ports, no NAT does that: it is left
 * out. If it tells another address, there may be a second way out of this
 * network, so nothing is known.
 */
static void
find_outlier(const struct probe *p, struct verdict_mapping *v, unsigned skip)
{
	struct verdict_mapping rest = {.kind = BEHAVIOUR_UNKNOWN}, r;
	unsigned outliers = 0;
	const struct ask *a = NULL;

	if (is_steady(v) || v->kind == BEHAVIOUR_UNKNOWN)
		return;
	for (unsigned i = 0; i < p->n_servers; i++) {
		if (seen_by(p, places_of(p, i) & ~skip) == NULL)
			continue;
		r = judge_without(p, skip | places_of(p, i));
		if (!is_steady(&r))
			continue;
		outliers |= 1U << i;
		rest = r;
		a = seen_by(p, places_of(p, i));
	}
	if (a == NULL || (outliers & (outliers - 1)) != 0)
		return;
	rest.outliers = outliers;
	if (!stun_addr_same_ip(&a->mapped, &rest.external)) {
		v->outliers = outliers;
		v->kind = BEHAVIOUR_UNKNOWN;
		v->why = REASON_DISAGREE;
	} else
		*v = rest;
}

struct verdict_mapping
judge_mapping(const struct probe *p)
{
	unsigned skip = 0, inside;
	struct verdict_mapping v;

	for (unsigned i = 0; i < p->n_servers; i++)
		if (server_is_liar(p, i))
			skip |= places_of(p, i);
	inside = find_inside(p, skip);
	for (unsigned i = 0; i < p->n_servers; i++)
		if ((inside >> i & 1) != 0)
			skip |= places_of(p, i);
	v = judge_without(p, skip);
	find_outlier(p, &v, skip);
	v.inside = inside;
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
		v.why = m->kind == BEHAVIOUR_NONE  ? REASON_NO_NAT
		    : m->kind == BEHAVIOUR_UNKNOWN ? m->why
						   : REASON_NONE;
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

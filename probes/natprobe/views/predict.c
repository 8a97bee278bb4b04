/*
 * predict: hole punching as sets and not as packets. PURE.
 *
 * Each host sends to the endpoint that a third party has seen of the other
 * (x0, y0), and answers to where packets came from. X reaches Y if
 *
 *   1. x -> y0 passes Y's filter. Endpoint-independent: it does. Address-
 *      dependent: if Y sends to X's address from y0, so if Y's mapping does
 *      not depend on whom it is for. Address- and port-dependent: if, besides,
 *      x is x0, since that is where Y has sent.
 *   2. y's answer to x passes X's filter: from y0 it does, since X has sent
 *      there. From another port of that address: unless the filter depends on
 *      the port.
 *   3. So does what X sends to where that came from.
 *
 * If Y's filter is endpoint-independent, x -> y0 makes a session there, and
 * the answer leaves by y0 and passes X's filter, though Y's mapping depends
 * on whom a packet is for: a mapping in use is used again (RFC 4787 section
 * 4.1). Unless Y has another one for x already, since it has sent to x0 = x
 * before. Where that alone decides, the confidence is medium.
 *
 * A gateway that takes an early packet from X for its own ("poison") holds
 * (x0, y0) afterwards, so Y's mapping for X becomes another one: then Y is
 * dependent. That is so only if X's packet is there before Y's first one.
 */
#include <string.h>

#include "probes/natprobe/nat/ask.h"
#include "probes/natprobe/views/predict.h"

/* ---- the model ---- */

/* All of it known, or assumed. */
struct end {
	enum behaviour mapping; /* EI, AD, APD */
	enum behaviour filter; /* EI, AD, APD */
	bool early; /* an early packet makes it APD */
	bool moves; /* other address for other remotes */
};

static bool
is_stable(const struct end *e)
{
	return e->mapping == BEHAVIOUR_EI;
}

/* May packets from another port than the one sent to come in? */
static bool
lets_ports_in(const struct end *e, const struct end *from)
{
	return e->filter == BEHAVIOUR_EI ||
	    (e->filter == BEHAVIOUR_AD && (is_stable(from) || !from->moves));
}

/* x_first: its packet is there before y has sent. */
static bool
reaches(const struct end *x, const struct end *y, bool x_first)
{
	bool first = is_stable(y) && (is_stable(x) || lets_ports_in(y, x));
	bool second = is_stable(y) || lets_ports_in(x, y);
	bool third =
	    x->mapping != BEHAVIOUR_APD || is_stable(y) || lets_ports_in(y, x);

	if (y->filter == BEHAVIOUR_EI)
		return second || !is_stable(x) || x_first;
	return first && second && third;
}

static bool
meet(const struct end *x, const struct end *y, bool x_first)
{
	return reaches(x, y, x_first) || reaches(y, x, false);
}

/* With x's packet before y's. */
static bool
meet_after(const struct end *x, const struct end *y)
{
	struct end late = *y;

	if (y->early && is_stable(x) && is_stable(y))
		late.mapping = BEHAVIOUR_APD;
	return meet(x, &late, true);
}

static enum outcome
meeting(const struct end *a, const struct end *b)
{
	bool if_a = meet_after(a, b), if_b = meet_after(b, a);

	if (if_a && if_b)
		return OUTCOME_DIRECT;
	if (if_a)
		return OUTCOME_IF_A_FIRST;
	if (if_b)
		return OUTCOME_IF_B_FIRST;
	return meet(a, b, false) ? OUTCOME_UNRELIABLE : OUTCOME_RELAY;
}

/* ---- what is known, as a set of ends ---- */

struct set {
	enum behaviour mapping[3], filter[3];
	bool early[2];
	size_t mappings, filters, earlies;
	bool moves;
};

static size_t
mappings_of(enum behaviour b, enum behaviour v[static 3])
{
	static const enum behaviour all[] = {
	    BEHAVIOUR_EI, BEHAVIOUR_AD, BEHAVIOUR_APD};

	switch (b) {
	case BEHAVIOUR_NONE:
	case BEHAVIOUR_EI:
		v[0] = BEHAVIOUR_EI;
		return 1;
	case BEHAVIOUR_AD:
		v[0] = BEHAVIOUR_AD;
		return 1;
	case BEHAVIOUR_APD:
	case BEHAVIOUR_PD: /* the peer's ports differ from the server's */
		v[0] = BEHAVIOUR_APD;
		return 1;
	case BEHAVIOUR_DEPENDENT:
		memcpy(v, all + 1, 2 * sizeof(*v));
		return 2;
	default:
		memcpy(v, all, sizeof(all));
		return 3;
	}
}

static struct set
set_of(const struct verdicts *v)
{
	struct set s = {.moves = v->mapping.pool_varies};

	s.mappings = mappings_of(v->mapping.kind, s.mapping);
	s.filters = mappings_of(v->filter.kind, s.filter);
	if (v->poison.poisonable != ANSWER_YES)
		s.early[s.earlies++] = false;
	if (v->poison.poisonable != ANSWER_NO &&
	    v->mapping.kind != BEHAVIOUR_NONE)
		s.early[s.earlies++] = true;
	if (s.earlies == 0)
		s.earlies = 1;
	return s;
}

static size_t
set_size(const struct set *s)
{
	return s->mappings * s->filters * s->earlies;
}

/* Member i of the set. */
static struct end
set_member(const struct set *s, size_t i)
{
	struct end e = {.moves = s->moves};

	e.mapping = s->mapping[i % s->mappings];
	i /= s->mappings;
	e.filter = s->filter[i % s->filters];
	e.early = s->early[i / s->filters];
	return e;
}

/* Whether all members agree, and on what. */
static bool
sets_agree(const struct set *a, const struct set *b, enum outcome *o)
{
	for (size_t i = 0; i < set_size(a); i++)
		for (size_t j = 0; j < set_size(b); j++) {
			struct end x = set_member(a, i), y = set_member(b, j);
			enum outcome now = meeting(&x, &y);

			if (i + j > 0 && now != *o)
				return false;
			*o = now;
		}
	return true;
}

/* ---- why ---- */

static bool
stable_kind(const struct verdicts *v)
{
	return v->mapping.kind == BEHAVIOUR_EI ||
	    v->mapping.kind == BEHAVIOUR_NONE;
}

static bool
open_to_all(const struct verdicts *v)
{
	return stable_kind(v) &&
	    (v->filter.kind == BEHAVIOUR_EI ||
		v->filter.kind == BEHAVIOUR_NONE);
}

/* The site whose open filter meets one that depends on the port, though its
 * own mapping depends; SITES: none. */
static int
reuses(const struct verdicts *const v[static SITES])
{
	for (int at = SITE_A; at < SITES; at++) {
		enum behaviour other = v[1 - at]->filter.kind;

		if (!stable_kind(v[at]) && v[at]->filter.kind == BEHAVIOUR_EI &&
		    (other == BEHAVIOUR_APD || other == BEHAVIOUR_PD))
			return at;
	}
	return SITES;
}

static void
explain_direct(struct path *p, const struct verdicts *const v[static SITES])
{
	if (v[SITE_A]->nat == ANSWER_NO && v[SITE_B]->nat == ANSWER_NO)
		p->cause = CAUSE_NO_NAT;
	else if (open_to_all(v[SITE_A]) || open_to_all(v[SITE_B])) {
		p->cause = CAUSE_OPEN;
		p->at = open_to_all(v[SITE_A]) ? SITE_A : SITE_B;
	} else if (stable_kind(v[SITE_A]) && stable_kind(v[SITE_B]))
		p->cause = CAUSE_STABLE;
	else if (reuses(v) != SITES) {
		p->cause = CAUSE_REUSED;
		p->at = reuses(v);
	} else {
		/* Whose filter it is: the one without the new port. */
		p->cause = CAUSE_LEARNED;
		p->at = stable_kind(v[SITE_A]) ? SITE_A : SITE_B;
	}
}

static void
explain_relay(struct path *p, const struct verdicts *const v[static SITES])
{
	bool a = stable_kind(v[SITE_A]), b = stable_kind(v[SITE_B]);

	p->cause = a || b ? CAUSE_DEPENDENT : CAUSE_DEPENDENT_BOTH;
	p->at = a ? SITE_B : SITE_A;
	p->guess = p->cause == CAUSE_DEPENDENT ? v[p->at]->alloc.guess : 0;
}

static void
explain(struct path *p, const struct verdicts *const v[static SITES])
{
	switch (p->outcome) {
	case OUTCOME_IF_A_FIRST:
	case OUTCOME_IF_B_FIRST:
		p->at = p->outcome == OUTCOME_IF_A_FIRST ? SITE_A : SITE_B;
		p->cause = CAUSE_EARLY;
		if (reuses(v) == 1 - p->at) {
			p->cause = CAUSE_REUSED;
			p->at = 1 - p->at;
		}
		break;
	case OUTCOME_UNRELIABLE:
		p->cause = CAUSE_EARLY_BOTH;
		break;
	case OUTCOME_DIRECT:
		explain_direct(p, v);
		break;
	default:
		explain_relay(p, v);
	}
}

static bool
is_unknown(const struct verdicts *v, enum fact f)
{
	enum behaviour b = f == FACT_MAPPING ? v->mapping.kind : v->filter.kind;

	if (f == FACT_EARLY)
		return v->poison.poisonable == ANSWER_UNKNOWN;
	return b == BEHAVIOUR_UNKNOWN || b == BEHAVIOUR_MIXED ||
	    b == BEHAVIOUR_DEPENDENT;
}

static enum reason
reason_of(const struct verdicts *v, enum fact f)
{
	return f == FACT_MAPPING ? v->mapping.why
	    : f == FACT_FILTER	 ? v->filter.why
				 : v->poison.why;
}

/* The first thing to find out. */
static void
explain_missing(struct path *p, const struct verdicts *const v[static SITES])
{
	p->outcome = OUTCOME_UNKNOWN;
	p->cause = CAUSE_MISSING;
	for (enum fact f = FACT_MAPPING; f <= FACT_EARLY; f++)
		for (int at = SITE_A; at < SITES; at++)
			if (is_unknown(v[at], f)) {
				p->missing = f;
				p->at = at;
				p->why = reason_of(v[at], f);
				return;
			}
}

/* ---- the rules ---- */

static bool
known_not_to_hairpin(const struct verdicts *const v[static SITES])
{
	return v[SITE_A]->hairpin.kind == HAIRPIN_NO &&
	    v[SITE_B]->hairpin.kind == HAIRPIN_NO;
}

/*
 * Behind one NAT they may have a way to each other's private address. They
 * have if they are in one network, by its prefix; and that they are not is
 * known if they have one address. Else it must pass packets back in. That
 * there is one NAT, and not two in line, is not known: so confidence is low.
 */
static void
predict_one_nat(struct path *p, const struct verdicts *const v[static SITES])
{
	const struct local *a = &v[SITE_A]->local, *b = &v[SITE_B]->local;
	bool hairpin = v[SITE_A]->hairpin.kind == HAIRPIN_EXTERNAL ||
	    v[SITE_B]->hairpin.kind == HAIRPIN_EXTERNAL;
	bool same = a->addr.port != 0 && stun_addr_same_ip(&a->addr, &b->addr);

	p->confidence = CONFIDENCE_LOW;
	if (local_same_net(a, b) && !same) {
		p->outcome = OUTCOME_DIRECT;
		p->cause = CAUSE_SAME_NET;
		p->missing = FACT_NONE;
		return;
	}
	if (p->outcome == OUTCOME_DIRECT && hairpin) {
		p->cause = CAUSE_HAIRPIN;
		return;
	}
	p->why = REASON_NONE;
	p->missing = FACT_NONE;
	if (same && known_not_to_hairpin(v)) {
		p->outcome = OUTCOME_RELAY;
		p->cause = CAUSE_SAME_ADDRESS;
		return;
	}
	p->outcome = OUTCOME_UNKNOWN;
	p->cause = CAUSE_SAME_NAT;
	p->missing = FACT_PRIVATE;
}

static bool
one_nat(const struct verdicts *a, const struct verdicts *b)
{
	return a->nat == ANSWER_YES && b->nat == ANSWER_YES &&
	    a->mapping.external.port != 0 && b->mapping.external.port != 0 &&
	    stun_addr_same_ip(&a->mapping.external, &b->mapping.external);
}

static enum confidence
confidence_of(
    const struct path *p, const struct verdicts *const v[static SITES])
{
	for (int at = SITE_A; at < SITES; at++)
		if (p->collides[at] || p->several[at] ||
		    v[at]->mapping.agree < v[at]->mapping.units ||
		    is_unknown(v[at], FACT_MAPPING) ||
		    is_unknown(v[at], FACT_FILTER))
			return CONFIDENCE_MEDIUM;
	return p->cause == CAUSE_REUSED ? CONFIDENCE_MEDIUM : CONFIDENCE_HIGH;
}

/* A port that the router opened on demand was reached from outside. Then that
 * site is as one that is open to all, if its clients ask for it. */
static void
predict_mapped(struct path *p, const struct verdicts *const v[static SITES])
{
	for (int at = SITE_A; at < SITES; at++)
		if (v[at]->router.mapping_works == ANSWER_YES &&
		    p->outcome != OUTCOME_DIRECT) {
			p->outcome = OUTCOME_DIRECT;
			p->cause = CAUSE_MAPPED;
			p->confidence = CONFIDENCE_MEDIUM;
			p->at = at;
			p->missing = FACT_NONE;
			p->why = REASON_NONE;
			p->guess = 0;
		}
}

/* ---- how long ---- */

/* From when to when it may end, seconds; high 0: not known. A stream's time
 * is no shorter than an exchange's, so that is what counts. */
static const struct verdict_life *
life_of(const struct verdicts *v)
{
	/* Classes as in enum life_class: one packet, an exchange, a stream. */
	return &v->life[1];
}

static enum idle
idle_of(const struct verdict_life *l)
{
	if (l->low >= KEEP_LONGEST_S)
		return IDLE_KEPT;
	if (l->high > 0 && l->high <= KEEP_SHORTEST_S)
		return IDLE_DROPS;
	return l->high > 0 ? IDLE_MAY_DROP : IDLE_UNKNOWN;
}

/* The worse of the two; not known is better than dropped only. */
static void
predict_idle(struct path *p, const struct verdicts *const v[static SITES])
{
	enum idle at_a = idle_of(life_of(v[SITE_A]));
	enum idle at_b = idle_of(life_of(v[SITE_B]));
	const struct verdict_life *l;

	if (at_a == IDLE_UNKNOWN || at_b == IDLE_UNKNOWN)
		p->idle_at = at_a >= IDLE_MAY_DROP ? SITE_A
		    : at_b >= IDLE_MAY_DROP	   ? SITE_B
		    : at_a == IDLE_UNKNOWN	   ? SITE_A
						   : SITE_B;
	else
		p->idle_at = at_b > at_a ||
			(at_b == at_a &&
			    life_of(v[SITE_B])->low < life_of(v[SITE_A])->low)
		    ? SITE_B
		    : SITE_A;
	l = life_of(v[p->idle_at]);
	p->idle = p->idle_at == SITE_A ? at_a : at_b;
	p->idle_low = l->low;
	p->idle_high = l->high;
}

/* ---- a path ---- */

static bool
predict_udp(struct path *p, const struct verdicts *const v[static SITES])
{
	for (int at = SITE_A; at < SITES; at++)
		if (v[at]->udp == ANSWER_NO) {
			p->outcome = OUTCOME_RELAY;
			p->cause = CAUSE_BLOCKED;
			p->confidence = CONFIDENCE_HIGH;
			p->at = at;
			return true;
		}
	for (int at = SITE_A; at < SITES; at++)
		if (v[at]->udp == ANSWER_UNKNOWN) {
			p->outcome = OUTCOME_UNKNOWN;
			p->cause = CAUSE_MISSING;
			p->missing = FACT_UDP;
			p->at = at;
			return true;
		}
	return false;
}

static void
predict_path(struct path *p, const struct verdicts *const v[static SITES])
{
	struct set a = set_of(v[SITE_A]), b = set_of(v[SITE_B]);

	if (predict_udp(p, v))
		return;
	for (int at = SITE_A; at < SITES; at++) {
		p->collides[at] =
		    v[at]->collision.until_collision == ANSWER_YES;
		p->several[at] =
		    v[at]->mapping.pool_varies || v[at]->alloc.addresses > 1;
	}
	if (sets_agree(&a, &b, &p->outcome)) {
		explain(p, v);
		p->confidence = confidence_of(p, v);
	} else
		explain_missing(p, v);
	if (one_nat(v[SITE_A], v[SITE_B]))
		predict_one_nat(p, v);
	else
		predict_mapped(p, v);
	predict_idle(p, v);
}

void
predict(struct prediction *p, const struct site *a, const struct site *b)
{
	memset(p, 0, sizeof(*p));
	for (int v6 = 0; v6 < 2; v6++) {
		const struct verdicts *v[SITES] = {&a->v[v6], &b->v[v6]};

		p->path[v6].outcome = OUTCOME_RELAY;
		p->path[v6].cause = CAUSE_NOT_ASKED;
		p->path[v6].at = a->asked[v6] ? SITE_B : SITE_A;
		if (a->asked[v6] && b->asked[v6])
			predict_path(&p->path[v6], v);
	}
	p->v6 = p->path[1].outcome >= p->path[0].outcome &&
	    p->path[1].cause != CAUSE_NOT_ASKED;
}

/* ---- names ---- */

enum outcome
outcome_turned(enum outcome o)
{
	return o == OUTCOME_IF_A_FIRST ? OUTCOME_IF_B_FIRST
	    : o == OUTCOME_IF_B_FIRST  ? OUTCOME_IF_A_FIRST
				       : o;
}

const char *
outcome_name(enum outcome o)
{
	static const char *const names[OUTCOMES] = {
	    [OUTCOME_RELAY] = "relay",
	    [OUTCOME_UNKNOWN] = "unknown",
	    [OUTCOME_UNRELIABLE] = "unreliable",
	    [OUTCOME_IF_A_FIRST] = "direct-if-a-first",
	    [OUTCOME_IF_B_FIRST] = "direct-if-b-first",
	    [OUTCOME_DIRECT] = "direct",
	};

	return names[o];
}

const char *
cause_name(enum cause c)
{
	static const char *const names[CAUSES] = {
	    [CAUSE_NOT_ASKED] = "not-asked",
	    [CAUSE_BLOCKED] = "udp-blocked",
	    [CAUSE_MISSING] = "fact-missing",
	    [CAUSE_SAME_NAT] = "same-nat",
	    [CAUSE_SAME_NET] = "same-network",
	    [CAUSE_SAME_ADDRESS] = "same-address",
	    [CAUSE_HAIRPIN] = "hairpin",
	    [CAUSE_NO_NAT] = "no-nat",
	    [CAUSE_OPEN] = "open-filter",
	    [CAUSE_STABLE] = "mappings-stable",
	    [CAUSE_LEARNED] = "port-learned",
	    [CAUSE_REUSED] = "port-reused",
	    [CAUSE_EARLY] = "early-packet-harms",
	    [CAUSE_EARLY_BOTH] = "early-packet-harms-both",
	    [CAUSE_MAPPED] = "port-on-demand",
	    [CAUSE_DEPENDENT] = "mapping-depends",
	    [CAUSE_DEPENDENT_BOTH] = "both-mappings-depend",
	};

	return names[c];
}

const char *
fact_name(enum fact f)
{
	static const char *const names[FACTS] = {
	    [FACT_NONE] = "",
	    [FACT_UDP] = "udp",
	    [FACT_MAPPING] = "mapping",
	    [FACT_FILTER] = "filtering",
	    [FACT_EARLY] = "early_packet_changes_mapping",
	    [FACT_PRIVATE] = "private_route",
	};

	return names[f];
}

const char *
confidence_name(enum confidence c)
{
	static const char *const names[] = {
	    [CONFIDENCE_LOW] = "low",
	    [CONFIDENCE_MEDIUM] = "medium",
	    [CONFIDENCE_HIGH] = "high",
	};

	return names[c];
}

const char *
idle_name(enum idle i)
{
	static const char *const names[] = {
	    [IDLE_UNKNOWN] = "unknown",
	    [IDLE_KEPT] = "kept",
	    [IDLE_MAY_DROP] = "may-drop",
	    [IDLE_DROPS] = "drops",
	};

	return names[i];
}

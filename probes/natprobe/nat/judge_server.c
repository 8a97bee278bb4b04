/*
 * judge_server: what is wrong with a server, from all that came of what it was
 * asked. PURE. What a bad network does now and then (a packet twice, or late)
 * is a finding only if it happens again and again.
 */
#include "probes/natprobe/nat/probe.h"

const char *
finding_name(enum finding f)
{
	static const char *const names[FINDINGS] = {
	    [FINDING_SILENT] = "does-not-answer",
	    [FINDING_REFUSES] = "refuses",
	    [FINDING_UNREACHABLE] = "unreachable",
	    [FINDING_GARBAGE] = "sends-garbage",
	    [FINDING_ECHOES] = "echoes-questions",
	    [FINDING_TWICE] = "answers-twice",
	    [FINDING_LATE] = "answers-late",
	    [FINDING_UNASKED] = "answers-unasked",
	    [FINDING_ELSEWHERE] = "answers-from-another-address",
	    [FINDING_FAMILY] = "tells-wrong-family",
	    [FINDING_IMPOSSIBLE] = "tells-impossible-address",
	    [FINDING_VARIES] = "lies-about-mapping",
	    [FINDING_SAME] = "tells-one-address-for-all",
	    [FINDING_CONTRADICTS] = "contradicts-others",
	    [FINDING_INSIDE] = "is-inside-the-nat",
	    [FINDING_REWRITTEN] = "tells-two-addresses",
	    [FINDING_NO_CHANGE] = "ignores-change-request",
	    [FINDING_STOPPED] = "stops-answering",
	    [FINDING_ODD_OTHER] = "other-address-impossible",
	};

	return names[f];
}

/* Of so many questions at least. */
#define OFTEN 2
/* So many sockets with one address are no chance. */
#define SAME_MIN 3

static bool
is_of(const struct server *s, const struct stun_addr *a)
{
	if (stun_addr_same(a, &s->addr))
		return true;
	return s->other.port != 0 &&
	    (stun_addr_same_ip(a, &s->other) ||
		(stun_addr_same_ip(a, &s->addr) && a->port == s->other.port));
}

/* ---- lies ---- */

static bool
differs(const struct ask *a, const struct ask *b)
{
	return a != NULL && b != NULL && a->state == ASK_ANSWERED &&
	    b->state == ASK_ANSWERED && !stun_addr_same(&a->mapped, &b->mapped);
}

/* One socket, one destination, asked twice: a NAT has one mapping for that. */
static bool
varies(const struct probe *p, unsigned i)
{
	const struct engine *e = &p->engine;
	const struct ask *a;

	if (differs(engine_find(e, TEST_DISCOVER, i, 0),
		engine_find(e, TEST_DISCOVER, i, 1)))
		return true;
	for (unsigned u = 0; u < MAPPING_UNITS_AGAIN; u++)
		for (unsigned s = 0; s < PROBE_PLACES; s++) {
			a = engine_find(e, TEST_MAPPING, u, s);
			if (a != NULL && is_of(&p->servers[i], &a->to) &&
			    differs(a,
				engine_find(
				    e, TEST_MAPPING, u, MAPPING_AGAIN + s)))
				return true;
		}
	return false;
}

/* Two sockets that ask one server cannot have one address and port. */
static bool
is_same_for_all(const struct probe *p, unsigned i)
{
	const struct ask *first = NULL, *a;
	unsigned n = 0;

	for (size_t j = 0; j < p->engine.n_asks; j++) {
		a = &p->engine.asks[j];
		if (a->label.test != TEST_MAPPING || a->state != ASK_ANSWERED ||
		    a->label.step >= MAPPING_AGAIN ||
		    !stun_addr_same(&a->to, &p->servers[i].addr))
			continue;
		if (first == NULL)
			first = a;
		else if (!stun_addr_same(&a->mapped, &first->mapped))
			return false;
		n++;
	}
	return n >= SAME_MIN;
}

bool
server_is_liar(const struct probe *p, unsigned i)
{
	return varies(p, i) || is_same_for_all(p, i);
}

/* ---- does it go on? ---- */

/* What the first of many sockets asked once more, when the last got nothing:
 * none of them an answer, as if this host, or all behind its NAT, had asked
 * too often. */
bool
server_stopped(const struct probe *p, unsigned i)
{
	const struct ask *first, *again;
	bool lost = false;

	for (unsigned u = 0; u < ALLOC_CONTROLS; u++) {
		first = engine_find(&p->engine, TEST_ALLOC, u, ALLOC_OPEN);
		again = engine_find(&p->engine, TEST_ALLOC, u, ALLOC_CONTROL);
		if (again == NULL || !is_of(&p->servers[i], &again->to))
			continue;
		if (again->state == ASK_ANSWERED)
			return false;
		/* The first is that which found the server. */
		lost |= again->state == ASK_SILENT &&
		    (u == 0 || (first != NULL && first->state == ASK_ANSWERED));
	}
	return lost;
}

/* ---- all findings ---- */

struct tally {
	unsigned asked, answered, refused;
	unsigned odd[16]; /* by bit of enum ask_odd */
};

static void
count_ask(struct tally *t, const struct ask *a)
{
	if (a->raw || a->silent || a->sends == 0)
		return;
	t->asked++;
	t->answered += a->answers > 0;
	t->refused += a->state == ASK_REFUSED;
	for (unsigned bit = 0; bit < 16; bit++)
		t->odd[bit] += a->odd >> bit & 1;
}

static unsigned
of_strays(const struct probe *p, const struct server *s)
{
	unsigned garbage = 0, unasked = 0;

	for (size_t i = 0; i < p->engine.n_strays; i++) {
		const struct stray *stray = &p->engine.strays[i];

		if (!is_of(s, &stray->from))
			continue;
		garbage += stray->garbage;
		unasked += stray->unasked;
	}
	return (unsigned)(garbage > 0) << FINDING_GARBAGE |
	    (unsigned)(unasked > 0) << FINDING_UNASKED;
}

/* How often each must be seen to be told. */
static unsigned
of_tally(const struct tally *t)
{
	static const struct {
		enum ask_odd odd;
		enum finding finding;
		unsigned least;
	} all[] = {
	    {ODD_TWICE, FINDING_TWICE, OFTEN},
	    {ODD_LATE, FINDING_LATE, OFTEN},
	    {ODD_ELSEWHERE, FINDING_ELSEWHERE, OFTEN},
	    {ODD_NO_CHANGE, FINDING_NO_CHANGE, OFTEN},
	    {ODD_ECHO, FINDING_ECHOES, 1},
	    {ODD_FAMILY, FINDING_FAMILY, 1},
	    {ODD_IMPOSSIBLE, FINDING_IMPOSSIBLE, 1},
	    {ODD_VARIES, FINDING_VARIES, 1},
	    {ODD_REWRITTEN, FINDING_REWRITTEN, OFTEN},
	    {ODD_DAMAGED, FINDING_GARBAGE, 1},
	    {ODD_STALE, FINDING_UNASKED, 1},
	    {ODD_UNREACHABLE, FINDING_UNREACHABLE, 1},
	};
	unsigned found = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (unsigned bit = 0; bit < 16; bit++)
			if (all[i].odd == 1U << bit &&
			    t->odd[bit] >= all[i].least)
				found |= 1U << all[i].finding;
	if (t->refused >= OFTEN)
		found |= 1U << FINDING_REFUSES;
	return found;
}

/* Nobody is silent who may still answer, or might have, but for the run's
 * end. */
static bool
was_waited_for(const struct probe *p, unsigned i)
{
	const struct ask *a;

	for (unsigned step = 0; step < 2; step++) {
		a = engine_find(&p->engine, TEST_DISCOVER, i, step);
		if (a == NULL || !ask_tells(a))
			return false;
	}
	return true;
}

unsigned
judge_server(const struct probe *p, unsigned i, const struct verdict_mapping *m)
{
	const struct server *s = &p->servers[i];
	struct tally t = {0};
	unsigned found;

	for (size_t j = 0; j < p->engine.n_asks; j++)
		if (is_of(s, &p->engine.asks[j].to))
			count_ask(&t, &p->engine.asks[j]);
	found = of_tally(&t) | of_strays(p, s);
	if (varies(p, i))
		found |= 1U << FINDING_VARIES;
	if (is_same_for_all(p, i))
		found |= 1U << FINDING_SAME;
	if (server_stopped(p, i))
		found |= 1U << FINDING_STOPPED;
	if (s->odd_other)
		found |= 1U << FINDING_ODD_OTHER;
	if ((m->outliers >> i & 1) != 0)
		found |= 1U << FINDING_CONTRADICTS;
	if ((m->inside >> i & 1) != 0)
		found |= 1U << FINDING_INSIDE;
	if (t.asked > 0 && t.answered == 0 && p->phase > PHASE_DISCOVER &&
	    was_waited_for(p, i))
		found |= 1U << FINDING_SILENT;
	return found;
}

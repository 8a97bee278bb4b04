/*
 * natprobe_grid_test: the probe against every kind of NAT that natcore can be:
 * mapping x filtering x ports x hairpin x refresh, 576 of them, and knobs
 * beside. The verdict must be the knob: not "unknown" where it can be known,
 * and never wrong, whatever is lost.
 *
 * What nobody can know from one place: whether a NAT hairpins of which neither
 * mapping nor filtering is endpoint-independent. There the packet to the NAT's
 * own address, which should open the filter, leaves by a mapping of its own;
 * so the port that it opens is seen by nobody, while the one that is known
 * stays closed. Silence means nothing then, and the verdict is "unknown,
 * filtered". The same holds for hairpin_same_host: one host alone hears its own
 * packets, and never those of another.
 */
#include <string.h>

#include "tests/sim/natkit.h"
#include "tests/tap.h"

/* Enough for all sockets of a run. */
#define BLOCK 2048

/* One for each class of lifetime, so that none is taken for another. */
static const double lives[LIFE_CLASSES] = {8, 12, 20};

static enum assignment
assignment_of(enum nat_ports ports)
{
	switch (ports) {
	case NAT_PORTS_PRESERVE:
		return ASSIGN_PRESERVE;
	case NAT_PORTS_RANDOM:
		return ASSIGN_RANDOM;
	case NAT_PORTS_SEQUENTIAL:
	case NAT_PORTS_BLOCK: /* in order until it runs out */
		break;
	}
	return ASSIGN_SEQUENTIAL;
}

static enum hairpin
hairpin_of(const struct nat_config *c)
{
	static const enum hairpin kinds[] = {
	    [NAT_HAIRPIN_NONE] = HAIRPIN_NO,
	    [NAT_HAIRPIN_EXTERNAL] = HAIRPIN_EXTERNAL,
	    [NAT_HAIRPIN_INTERNAL] = HAIRPIN_INTERNAL,
	};

	return c->mapping == NAT_EI || c->filtering == NAT_EI
	    ? kinds[c->hairpin]
	    : HAIRPIN_UNKNOWN;
}

static void
lives_set(struct nat_config *c, enum nat_refresh refresh)
{
	c->refresh = refresh;
	c->ttl_single = (int64_t)lives[LIFE_SINGLE] * SECOND;
	c->ttl_exchange = (int64_t)lives[LIFE_EXCHANGE] * SECOND;
	c->ttl_stream = (int64_t)lives[LIFE_STREAM] * SECOND;
	c->stream_after = 2 * SECOND;
}

static bool
life_is(const struct verdict_life *v, double truth)
{
	double error = (v->low + v->high) / 2 - truth;

	return v->why == REASON_NONE && error <= 1 && error >= -1;
}

/* A reply that refreshes nothing leaves the time that its question set. */
static bool
lives_are(const struct verdicts *v, enum nat_refresh r)
{
	return life_is(&v->life[LIFE_SINGLE], lives[LIFE_SINGLE]) &&
	    life_is(&v->life[LIFE_EXCHANGE],
		lives[r == NAT_REFRESH_OUT ? LIFE_SINGLE : LIFE_EXCHANGE]) &&
	    life_is(&v->life[LIFE_STREAM], lives[LIFE_STREAM]);
}

static bool
refresh_is(const struct verdict_refresh *v, enum nat_refresh r)
{
	bool out = r == NAT_REFRESH_OUT || r == NAT_REFRESH_BOTH;
	bool in = r == NAT_REFRESH_IN || r == NAT_REFRESH_BOTH;

	return v->outbound == (out ? ANSWER_YES : ANSWER_NO) &&
	    v->inbound == (in ? ANSWER_YES : ANSWER_NO) &&
	    v->why == REASON_NONE;
}

static void
note_life(const struct verdicts *v)
{
	for (unsigned i = 0; i < LIFE_CLASSES; i++)
		printf("# class %u: %.1f to %.1f s (%s)\n", i, v->life[i].low,
		    v->life[i].high, reason_name(v->life[i].why));
	printf("# refresh: out %s, in %s (%s)\n",
	    answer_name(v->refresh.outbound), answer_name(v->refresh.inbound),
	    reason_name(v->refresh.why));
}

/* ---- the grid ---- */

static bool
grid_verdict(const struct nat_config *c, const struct verdicts *v)
{
	enum hairpin hairpin = hairpin_of(c);

	return v->mapping.kind == behaviour_of(c->mapping) &&
	    v->filter.kind == behaviour_of(c->filtering) &&
	    v->alloc.kind == assignment_of(c->ports) &&
	    v->hairpin.kind == hairpin &&
	    (hairpin != HAIRPIN_UNKNOWN || v->hairpin.why == REASON_FILTERED) &&
	    lives_are(v, c->refresh) && refresh_is(&v->refresh, c->refresh);
}

static void
grid_point(const struct nat_config *c)
{
	static const char *const ports[] = {
	    "preserve", "sequential", "random", "block"};
	static const char *const refreshes[] = {"out", "in", "both"};
	static const char *const hairpins[] = {"none", "external", "internal"};
	struct natworld_options o = options(c);
	struct verdicts v;
	char what[160];

	o.probe.hairpin = o.probe.lifetime = o.probe.refresh = true;
	o.probe.ttl_max_s = 30;
	run(&o, 0, &v);
	snprintf(what, sizeof(what),
	    "mapping %s, filtering %s, ports %s, hairpin %s, refresh %s",
	    behaviour_name(behaviour_of(c->mapping)),
	    behaviour_name(behaviour_of(c->filtering)), ports[c->ports],
	    hairpins[c->hairpin], refreshes[c->refresh]);
	if (!ok(grid_verdict(c, &v), what)) {
		note(&v);
		note_life(&v);
	}
}

enum { GRID = 4 * 4 * 4 * 3 * 3 };

/* Sanitizers look at the memory, for which each fifth cell will do: five has no
 * divisor in common with any dimension, so all values of each are there. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define STEP 5
#endif
#endif
#ifndef STEP
#define STEP 1
#endif

static void
test_grid(void)
{
	for (unsigned i = 0; i < GRID; i += STEP) {
		struct nat_config c = config((enum nat_dependence)(i % 4),
		    (enum nat_dependence)(i / 4 % 4),
		    (enum nat_ports)(i / 16 % 4));

		c.hairpin = (enum nat_hairpin)(i / 64 % 3);
		c.block_size = BLOCK;
		lives_set(&c, (enum nat_refresh)(i / 192));
		grid_point(&c);
	}
}

/* ---- loss ---- */

struct tally {
	unsigned wrong, unknown, reasonless, n;
};

/* One verdict: right, unknown with a reason, or else. */
static void
count(struct tally *t, const char *what, bool right, bool unknown,
    enum reason why, const struct verdicts *v)
{
	t->n++;
	t->unknown += unknown;
	t->reasonless += unknown && why == REASON_NONE;
	t->wrong += !unknown && !right;
	if ((unknown && why == REASON_NONE) || (!unknown && !right)) {
		printf("# %s: %s\n", what, unknown ? "no reason" : "wrong");
		note(v);
	}
}

/* Who drops a packet of a stranger may take it for his own. */
static enum answer
poison_of(const struct nat_config *c)
{
	return c->mapping == NAT_EI && c->filtering != NAT_EI &&
		c->unsolicited == NAT_UNSOLICITED_STATE
	    ? ANSWER_YES
	    : ANSWER_NO;
}

static void
loss_point(const struct nat_config *c, uint64_t seed, struct tally *t,
    struct tally *hidden)
{
	enum hairpin hairpin = hairpin_of(c);
	struct natworld_options o = options(c);
	struct verdicts v;

	o.loss = 0.1;
	o.delay_us = 75 * MS;
	o.seed = seed;
	o.probe.hairpin = true;
	run(&o, 1, &v);
	count(t, "mapping", v.mapping.kind == behaviour_of(c->mapping),
	    v.mapping.kind == BEHAVIOUR_UNKNOWN, v.mapping.why, &v);
	count(t, "filtering", v.filter.kind == behaviour_of(c->filtering),
	    v.filter.kind == BEHAVIOUR_UNKNOWN, v.filter.why, &v);
	count(t, "ports", v.alloc.kind == assignment_of(c->ports),
	    v.alloc.kind == ASSIGN_UNKNOWN, v.alloc.why, &v);
	count(hairpin == HAIRPIN_UNKNOWN ? hidden : t, "hairpin",
	    v.hairpin.kind == hairpin, v.hairpin.kind == HAIRPIN_UNKNOWN,
	    v.hairpin.why, &v);
	count(t, "poison", v.poison.poisonable == poison_of(c),
	    v.poison.poisonable == ANSWER_UNKNOWN, v.poison.why, &v);
	count(t, "collision", v.collision.until_collision == ANSWER_NO,
	    v.collision.until_collision == ANSWER_UNKNOWN, v.collision.why, &v);
}

enum { LOSS = 4 * 4 * 4 * 3, LOSS_SEEDS = 4 };

/* 10 % loss, 150 ms, a dead server: never a wrong verdict, seldom none. */
static void
test_loss(void)
{
	struct tally t = {0}, hidden = {0};

	for (unsigned i = 0; i < LOSS * LOSS_SEEDS; i += STEP) {
		struct nat_config c = config((enum nat_dependence)(i % 4),
		    (enum nat_dependence)(i / 4 % 4),
		    (enum nat_ports)(i / 16 % 4));

		c.hairpin = (enum nat_hairpin)(i / 64 % 3);
		c.block_size = BLOCK;
		c.unsolicited = i / LOSS % 2 == 0 ? NAT_UNSOLICITED_STATE
						  : NAT_UNSOLICITED_DROP;
		loss_point(&c, 1 + i, &t, &hidden);
	}
	printf("# %u of %u unknown; %u more cannot be known\n", t.unknown, t.n,
	    hidden.n);
	eq_int(t.wrong, 0, "10 % loss, 150 ms, a dead server: none is wrong");
	eq_int(t.reasonless + hidden.reasonless, 0,
	    "what is unknown has a reason");
	ok(t.unknown * 100 <= t.n, "and that is one in a hundred at most");
	eq_int(hidden.unknown, hidden.n, "what cannot be known is not guessed");
}

/* ---- knobs beside ---- */

/* Wherever a sequence starts, and however far its steps are. */
static void
test_sequences(void)
{
	static const struct {
		unsigned start, step;
		bool parity;
	} all[] = {{0, 1, false}, {40000, 1, false}, {65500, 3, false},
	    {2000, 4, false}, {2000, 5, false}, {30000, 7, false},
	    {0, 16, false}, {50000, 256, false}, {0, 1000, false},
	    {2000, 2, true}};
	char what[100];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct nat_config c =
		    config(NAT_EI, NAT_APD, NAT_PORTS_SEQUENTIAL);
		struct natworld_options o = options(&c);
		struct verdicts v;

		c.port_start = all[i].start;
		c.port_step = all[i].step;
		c.parity = all[i].parity;
		for (unsigned lossy = 0; lossy < 2; lossy++) {
			o.loss = lossy * 0.1;
			run(&o, 0, &v);
			snprintf(what, sizeof(what),
			    "sequential from %u by %u, loss %u %%: step %d",
			    all[i].start, all[i].step, lossy * 10,
			    v.alloc.step);
			if (!ok(v.alloc.kind == ASSIGN_SEQUENTIAL &&
				    v.alloc.guess > 0.6 &&
				    (all[i].parity ||
					v.alloc.step == (int)all[i].step),
				what))
				note(&v);
		}
	}
}

/* A table that is full, or a NAT under load, from so many mappings on: then
 * mappings that were EI are for one remote each. natprobe asks for mapping
 * first; what it says is so while it asked. */
static void
test_full(void)
{
	unsigned wrong = 0, ei = 0, apd = 0;

	for (unsigned at = 1; at < 100; at += 3) {
		struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
		struct natworld_options o = options(&c);
		struct verdicts v;
		bool whole;

		if (at % 2 == 0)
			c.degrade_after = at;
		else {
			c.limit = at;
			c.full = NAT_FULL_EDM;
		}
		run(&o, 0, &v);
		whole = v.mapping.agree == v.mapping.units;
		ei += v.mapping.kind == BEHAVIOUR_EI && whole;
		apd += v.mapping.kind == BEHAVIOUR_APD && whole;
		if (v.filter.kind == BEHAVIOUR_APD &&
		    v.alloc.kind == ASSIGN_RANDOM &&
		    (v.mapping.kind == BEHAVIOUR_APD
			    ? at < 31
			    : v.mapping.kind == BEHAVIOUR_EI && at > 15))
			continue;
		wrong++;
		printf("# at %u mappings\n", at);
		note(&v);
	}
	eq_int(wrong, 0, "a NAT that turns to EDM under load: as it was then");
	ok(ei > 10 && apd > 3, "all sockets agree, but at the turn itself");
}

static void
life_case(const struct nat_config *c, double single, double exchange,
    double stream, bool out, bool in, const char *what)
{
	struct natworld_options o = options(c);
	struct verdicts v;

	o.probe.lifetime = o.probe.refresh = true;
	o.probe.ttl_max_s = 30;
	run(&o, 0, &v);
	if (!ok(life_is(&v.life[LIFE_SINGLE], single) &&
		    life_is(&v.life[LIFE_EXCHANGE], exchange) &&
		    life_is(&v.life[LIFE_STREAM], stream) &&
		    v.refresh.outbound == (out ? ANSWER_YES : ANSWER_NO) &&
		    v.refresh.inbound == (in ? ANSWER_YES : ANSWER_NO),
		what))
		note_life(&v);
}

static void
test_lives(void)
{
	const double s = lives[LIFE_SINGLE], e = lives[LIFE_EXCHANGE],
		     t = lives[LIFE_STREAM];
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);

	lives_set(&c, NAT_REFRESH_BOTH);
	c.stream_packets = 6;
	life_case(&c, s, e, t, true, true, "three exchanges are 6 packets");
	c.stream_packets = 7;
	life_case(&c, s, e, e, true, true, "a stream is 7 packets");
	c.stream_packets = 0;
	c.degrade_after = 20;
	life_case(&c, s / 2, e / 2, t / 2, true, true,
	    "half a life, under the load of so many sockets");
	/* The third exchange is 2.2 s after the first packet. */
	c.degrade_after = 0;
	lives_set(&c, NAT_REFRESH_NONE);
	life_case(&c, s, s, s - 2.2, false, false, "nothing refreshes");
}

/* Of a packet to the NAT's own outside, one host cannot tell whether it would
 * have come back to another. */
static void
test_same_host(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;

	c.hairpin = NAT_HAIRPIN_EXTERNAL;
	c.hairpin_same_host = true;
	o.probe.hairpin = true;
	run(&o, 0, &v);
	eq_int(v.hairpin.kind, HAIRPIN_EXTERNAL,
	    "a hairpin back to the same host is one, for that host");
}

int
main(void)
{
	test_grid();
	test_loss();
	test_sequences();
	test_full();
	test_lives();
	test_same_host();
	return tap_done();
}

/*
 * natprobe_test: the probe in networks that make trouble: it is interrupted,
 * its servers lie, its ports have a past. Nothing may be wrong that it says.
 * Every kind of NAT is in natprobe_grid_test.c.
 */
#include <stdlib.h>

#include "tests/sim/natkit.h"
#include "tests/tap.h"

static void
test_none(void)
{
	struct natworld_options o = options(NULL);
	struct verdicts v;
	double s = run(&o, 0, &v);

	if (!ok(v.nat == ANSWER_NO && v.mapping.kind == BEHAVIOUR_NONE &&
		    v.filter.kind == BEHAVIOUR_EI && s <= 3,
		"no NAT, within 3 s"))
		note(&v);
	printf("# %.2f s\n", s);
}

/* ---- servers that answer late, or never ---- */

/* A dead server does not hold up the tests, and is named. */
static void
test_dead(void)
{
	unsigned wrong = 0;
	double s, longest = 0;

	for (int m = NAT_EI; m <= NAT_PD; m++)
		for (int f = NAT_EI; f <= NAT_PD; f++) {
			struct nat_config c = config((enum nat_dependence)m,
			    (enum nat_dependence)f, NAT_PORTS_RANDOM);
			struct natworld_options o = options(&c);
			struct verdicts v;
			struct probe p;

			s = natworld_run(&p, &o, 1);
			judge(&p, &v);
			wrong += v.mapping.kind !=
				behaviour_of((enum nat_dependence)m) ||
			    v.filter.kind !=
				behaviour_of((enum nat_dependence)f) ||
			    p.servers[0].alive || !p.servers[1].alive ||
			    judge_server(&p, 0, &v.mapping) !=
				1U << FINDING_SILENT ||
			    judge_server(&p, 1, &v.mapping) != 0;
			longest = s > longest ? s : longest;
			probe_clear(&p);
		}
	eq_int(wrong, 0, "a dead server is named, and does no harm");
	if (!ok(longest < 3, "and does not take long"))
		printf("# %.2f s\n", longest);
	printf("# %.2f s\n", longest);
}

/* Is that server one that answers, and was it asked as the others were? */
static bool
has_joined(const struct probe *p, unsigned server)
{
	unsigned n = 0;

	for (unsigned u = 0; u < MAPPING_UNITS; u++) {
		const struct ask *a = engine_find(
		    &p->engine, TEST_MAPPING, u, PLACE_MORE + server);

		n += a != NULL && a->state == ASK_ANSWERED;
	}
	return p->servers[server].alive && p->servers[server].rtt_us > 0 &&
	    n >= MAPPING_UNITS / 2;
}

/* One that is merely slow, beside a fast one, is heard, and accused of
 * nothing; nor is it if the run ends before its answer. */
static void
test_slow(void)
{
	unsigned accused = 0, wrong = 0, absent = 0, n = 0;

	for (int64_t each_way = 75 * MS; each_way <= 300 * MS;
	     each_way += 75 * MS)
		for (uint64_t seed = 1; seed <= 25; seed++) {
			struct nat_config c =
			    config(NAT_APD, NAT_AD, NAT_PORTS_RANDOM);
			struct natworld_options o = options(&c);
			struct verdicts v;
			struct probe p;

			o.seed = seed;
			o.loss = 0.1;
			o.n_more = 1;
			o.more_delay_us = each_way;
			o.stop_us = seed % 5 == 0 ? (int64_t)seed * 45 * MS : 0;
			natworld_run(&p, &o, 0);
			judge(&p, &v);
			n++;
			accused += judge_server(&p, 1, &v.mapping) != 0;
			absent += o.stop_us == 0 && !has_joined(&p, 1);
			wrong += (v.mapping.kind != BEHAVIOUR_APD &&
				     !(o.stop_us != 0 &&
					 v.mapping.kind <= BEHAVIOUR_UNKNOWN) &&
				     v.mapping.kind != BEHAVIOUR_DEPENDENT) ||
			    (v.filter.kind != BEHAVIOUR_AD &&
				v.filter.kind != BEHAVIOUR_UNKNOWN);
			probe_clear(&p);
		}
	eq_int(accused, 0, "a slow server is accused of nothing");
	eq_int(absent, 0, "its answers are heard, and it is asked all");
	eq_int(wrong, 0, "and no verdict is wrong");
	printf("# %u runs\n", n);
}

/* What a slow server tells counts: a liar that answers late is found out. */
static void
test_slow_liar(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;
	struct probe p;

	o.n_more = 1;
	o.more[0] = LIE_PORT;
	o.more_delay_us = 200 * MS;
	natworld_run(&p, &o, 0);
	judge(&p, &v);
	ok(v.mapping.kind == BEHAVIOUR_EI &&
		judge_server(&p, 1, &v.mapping) == 1U << FINDING_CONTRADICTS,
	    "a slow liar is found out");
	probe_clear(&p);
}

/* One that answers when it had been given up is not asked any more. */
static void
test_given_up(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct probe p;

	o.n_more = 1;
	o.more[0] = LIE_LATE;
	natworld_run(&p, &o, 0);
	ok(!p.servers[1].alive &&
		engine_find(&p.engine, TEST_MAPPING, 0, PLACE_MORE + 1) == NULL,
	    "one that was given up does not join");
	probe_clear(&p);
}

static bool
is_vague(enum behaviour b)
{
	return b == BEHAVIOUR_UNKNOWN || b == BEHAVIOUR_DEPENDENT;
}

/* A question that was asked and not waited for was not answered by silence. */
static void
test_interrupted(void)
{
	unsigned wrong = 0;

	for (int m = NAT_EI; m <= NAT_PD; m++)
		for (int f = NAT_EI; f <= NAT_PD; f++)
			for (int64_t us = 20 * MS; us < 2 * SECOND;
			     us += 14 * MS) {
				struct nat_config c = config(
				    (enum nat_dependence)m,
				    (enum nat_dependence)f, NAT_PORTS_RANDOM);
				struct natworld_options o = options(&c);
				struct verdicts v;

				o.stop_us = us;
				run(&o, 0, &v);
				if ((is_vague(v.mapping.kind) ||
					v.mapping.kind == behaviour_of(m)) &&
				    (is_vague(v.filter.kind) ||
					v.filter.kind == behaviour_of(f)))
					continue;
				wrong++;
				note(&v);
			}
	eq_int(wrong, 0, "interrupted at any time: none is wrong");
}

/* Its silence is no filter's, and no NAT's that has run out of ports. */
static void
test_server_stops(void)
{
	unsigned wrong = 0, said = 0, found = 0, n = 0;

	for (int f = NAT_EI; f <= NAT_PD; f++)
		for (unsigned answers = 20; answers < 140; answers += 5, n++) {
			struct nat_config c = config(NAT_EI,
			    (enum nat_dependence)f, NAT_PORTS_SEQUENTIAL);
			struct natworld_options o = options(&c);
			struct verdicts v;
			struct probe p;

			o.answers = answers;
			natworld_run(&p, &o, 0);
			judge(&p, &v);
			said += v.filter.why == REASON_SERVER_STOPPED ||
			    v.alloc.why == REASON_SERVER_STOPPED;
			found +=
			    judge_server(&p, 0, &v.mapping) >> FINDING_STOPPED &
			    1;
			probe_clear(&p);
			if ((is_vague(v.mapping.kind) ||
				v.mapping.kind == BEHAVIOUR_EI) &&
			    (is_vague(v.filter.kind) ||
				v.filter.kind ==
				    behaviour_of((enum nat_dependence)f)) &&
			    (v.alloc.kind == ASSIGN_UNKNOWN ||
				v.alloc.kind == ASSIGN_SEQUENTIAL))
				continue;
			wrong++;
			note(&v);
		}
	eq_int(wrong, 0, "a server that stops answering: none is wrong");
	ok(found > n / 4 && said > 0, "and it is said");
	printf("# found in %u, a reason in %u of %u\n", found, said, n);
}

/* Each socket in turn has a port that an earlier run had not long ago, whose
 * mapping lets in more than that of a new one. */
static unsigned
reused_port(
    enum nat_dependence m, enum nat_dependence f, unsigned sock, unsigned *more)
{
	struct nat_config c = config(m, f, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;

	o.reused = sock;
	run(&o, 0, &v);
	for (unsigned k = 0; k < FILTER_KINDS; k++)
		*more += v.filter.tried[k] > FILTER_EACH;
	if (v.mapping.kind == behaviour_of(m) &&
	    v.filter.kind == behaviour_of(f))
		return 0;
	note(&v);
	return 1;
}

static void
test_reused_port(void)
{
	unsigned wrong = 0, more = 0;

	for (int m = NAT_EI; m <= NAT_PD; m++)
		for (int f = NAT_EI; f <= NAT_PD; f++)
			for (unsigned sock = 1; sock <= 40; sock++)
				wrong += reused_port((enum nat_dependence)m,
				    (enum nat_dependence)f, sock, &more);
	eq_int(wrong, 0, "a port of an earlier run hides no verdict");
	ok(more > 0, "where sockets disagree, more are asked");
	printf("# more of %u kinds\n", more);
}

/* Lifetimes: each class, its error, and how long the ladder took. */
static void
life_point(double single_s, double exchange_s, double stream_s, double loss)
{
	double truth[LIFE_CLASSES] = {single_s, exchange_s, stream_s};
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;
	double longest = 0, took, base;
	char what[160];

	c.ttl_single = (int64_t)(single_s * 1e6);
	c.ttl_exchange = (int64_t)(exchange_s * 1e6);
	c.ttl_stream = (int64_t)(stream_s * 1e6);
	c.stream_after = 2 * SECOND;
	c.refresh = NAT_REFRESH_BOTH;
	o.loss = loss;
	base = run(&o, 0, &v);
	o.probe.lifetime = true;
	took = run(&o, 0, &v) - base;
	for (unsigned i = 0; i < LIFE_CLASSES; i++) {
		double got = (v.life[i].low + v.life[i].high) / 2;
		double error = got > truth[i] ? got - truth[i] : truth[i] - got;
		double most = truth[i] * 0.03 > 1 ? truth[i] * 0.03 : 1;

		snprintf(what, sizeof(what),
		    "class %u lives %.0f s: found %.1f to %.1f (%s), loss "
		    "%.0f %%",
		    i, truth[i], v.life[i].low, v.life[i].high,
		    reason_name(v.life[i].why), loss * 100);
		ok(v.life[i].why == REASON_NONE && error <= most, what);
		if (truth[i] > longest)
			longest = truth[i];
	}
	snprintf(what, sizeof(what), "%.1f s for a lifetime of %.0f s", took,
	    longest);
	ok(took <= longest * 1.15 + 5, what);
}

static void
test_life(void)
{
	static const double lives[] = {10, 17, 30, 47, 65, 120, 180, 300};

	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		life_point(lives[i], lives[i], lives[i], 0);
	life_point(30, 30, 120, 0);
	life_point(10, 20, 60, 0);
	life_point(30, 60, 180, 0.1);
}

/* An early packet, two hosts with one port, an alternate that is not there. */
static void
test_effects(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_PRESERVE);
	struct natworld_options o = options(&c);
	struct verdicts v;

	run(&o, 0, &v);
	eq_int(v.poison.poisonable, ANSWER_NO, "an early packet does nothing");
	c.mapping = NAT_APD;
	c.overload = NAT_OVERLOAD_REMOTE;
	run(&o, 0, &v);
	eq_int(v.mapping.kind, BEHAVIOUR_EI, "Linux: EI for one host");
	eq_int(v.collision.until_collision, ANSWER_YES,
	    "Linux: EI until two hosts use one port");
	eq_int(v.poison.poisonable, ANSWER_NO, "Linux that drops: no harm");
	c.unsolicited = NAT_UNSOLICITED_STATE;
	run(&o, 0, &v);
	eq_int(v.poison.poisonable, ANSWER_YES,
	    "Linux that accepts: an early packet changes the mapping");
	if (v.mapping.kind != BEHAVIOUR_EI || v.filter.kind != BEHAVIOUR_APD)
		note(&v);
	eq_int(v.mapping.kind, BEHAVIOUR_EI, "and is still EI");

	c = config(NAT_APD, NAT_APD, NAT_PORTS_RANDOM);
	o.mute_alternate = true;
	run(&o, 0, &v);
	eq_int(v.mapping.kind, BEHAVIOUR_UNKNOWN, "a silent alternate: no EI");
	eq_int(v.filter.kind, BEHAVIOUR_UNKNOWN, "a silent alternate: no APD");
	eq_int(v.filter.why, REASON_NO_CONTROL, "and why");
	o.mute_alternate = false;
	o.one_address = true;
	run(&o, 0, &v);
	eq_int(v.mapping.why, REASON_ONE_ADDRESS, "one address says so");
	eq_int(v.filter.why, REASON_NO_ALTERNATE, "and so");
}

/* ---- servers that lie ---- */

static void
check_lie(const struct natworld_options *o, enum natworld_lie lie,
    enum finding finding, enum behaviour mapping, const char *what)
{
	struct natworld_options with = *o;
	struct verdicts v;
	struct probe p;
	unsigned found, last = with.n_more - 1;
	double s;

	with.more[last] = lie;
	s = natworld_run(&p, &with, 0);
	judge(&p, &v);
	found = judge_server(&p, (unsigned)p.n_servers - 1, &v.mapping);
	if (!ok((finding == FINDINGS ? found == 0
				     : (found >> finding & 1) != 0) &&
		    v.mapping.kind == mapping && s < 10,
		what)) {
		printf("# lie %d: findings %x, %.1f s, outliers %x\n", (int)lie,
		    found, s, v.mapping.outliers);
		note(&v);
	}
	probe_clear(&p);
}

/* Each lie beside honest servers: it is named, and does no harm. */
static void
test_lies(void)
{
	static const struct {
		enum natworld_lie lie;
		enum finding finding;
	} all[] = {
	    {LIE_NONE, FINDINGS},
	    {LIE_PORT, FINDING_CONTRADICTS},
	    {LIE_RANDOM, FINDING_VARIES},
	    {LIE_SAME, FINDING_SAME},
	    {LIE_FAMILY, FINDING_FAMILY},
	    {LIE_MIRROR, FINDING_IMPOSSIBLE},
	    {LIE_LOCAL, FINDING_INSIDE},
	    {LIE_TWICE, FINDING_TWICE},
	    {LIE_LATE, FINDING_LATE},
	    {LIE_ELSEWHERE, FINDING_ELSEWHERE},
	    {LIE_ECHO, FINDING_ECHOES},
	    {LIE_GARBAGE, FINDING_GARBAGE},
	    {LIE_REPLAY, FINDING_UNASKED},
	    {LIE_REFUSE, FINDING_REFUSES},
	    {LIE_OTHER_HOST, FINDING_ODD_OTHER},
	    {LIE_OTHER_LOOPBACK, FINDING_ODD_OTHER},
	    {LIE_OTHER_PRIVATE, FINDING_ODD_OTHER},
	    {LIE_SILENT, FINDING_SILENT},
	};
	static const char *const worlds[] = {"a server of RFC 5780",
	    "two plain ones", "EDM, and a server of RFC 5780"};
	char what[120];

	for (unsigned world = 0; world < 3; world++) {
		struct nat_config c = config(
		    world == 2 ? NAT_APD : NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
		struct natworld_options o = options(&c);

		o.no_server = world == 1;
		o.n_more = world == 1 ? 3 : 1;
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			enum finding f = all[i].finding;

			/* Where all differ, one more does not stand out. */
			if (world == 2 && all[i].lie == LIE_PORT)
				f = FINDINGS;
			c.filtering =
			    all[i].lie == LIE_ELSEWHERE ? NAT_EI : NAT_APD;
			snprintf(what, sizeof(what), "%s beside %s",
			    f == FINDINGS ? "nothing" : finding_name(f),
			    worlds[world]);
			check_lie(&o, all[i].lie, f,
			    world == 2 ? BEHAVIOUR_APD : BEHAVIOUR_EI, what);
		}
	}
}

/* What can be a second way out of the network is no lie, and no EI either. */
static void
test_ways_out(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;

	o.n_more = 1;
	check_lie(&o, LIE_ADDRESS, FINDING_CONTRADICTS, BEHAVIOUR_UNKNOWN,
	    "another address: unknown");
	o.more[0] = LIE_ADDRESS;
	run(&o, 0, &v);
	eq_int(v.mapping.why, REASON_DISAGREE, "since servers disagree");
	eq_int(v.nat, ANSWER_UNKNOWN, "and so is the NAT");
}

/* A liar alone: nothing is concluded from what it says. */
static void
test_liar_alone(void)
{
	static const enum natworld_lie lies[] = {LIE_RANDOM, LIE_SAME,
	    LIE_FAMILY, LIE_MIRROR, LIE_LATE, LIE_ELSEWHERE, LIE_ECHO,
	    LIE_GARBAGE, LIE_REPLAY, LIE_REFUSE, LIE_SILENT};
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	struct verdicts v;

	o.no_server = true;
	o.n_more = 1;
	o.probe.lifetime = true;
	o.probe.ttl_max_s = 20;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		o.more[0] = lies[i];
		run(&o, 0, &v);
		if (!ok(v.mapping.kind == BEHAVIOUR_UNKNOWN &&
			    v.filter.kind == BEHAVIOUR_UNKNOWN &&
			    v.alloc.kind == ASSIGN_UNKNOWN &&
			    v.mapping.why != REASON_NONE &&
			    v.life[LIFE_EXCHANGE].why != REASON_NONE,
			"a liar alone: unknown, with a reason")) {
			printf("# lie %d\n", (int)lies[i]);
			note(&v);
		}
	}
}

/* A run that is stopped at any time says nothing that is wrong. */
static void
test_stopped(void)
{
	struct nat_config c = config(NAT_APD, NAT_AD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	unsigned wrong = 0, n = 0;

	o.probe.hairpin = true;
	for (int64_t at = 1; at < 4 * SECOND; at += 50 * MS) {
		struct verdicts v;

		o.stop_after_us = at;
		run(&o, 0, &v);
		n++;
		wrong += v.udp == ANSWER_NO || v.nat == ANSWER_NO;
		wrong += v.mapping.kind != BEHAVIOUR_UNKNOWN &&
		    v.mapping.kind != BEHAVIOUR_APD &&
		    v.mapping.kind != BEHAVIOUR_DEPENDENT;
		wrong += v.filter.kind != BEHAVIOUR_UNKNOWN &&
		    v.filter.kind != BEHAVIOUR_AD;
		wrong += at < 50 * MS && v.mapping.why != REASON_STOPPED;
	}
	eq_int(wrong, 0, "stopped at any time: nothing wrong is said");
	printf("# %u times\n", n);
}

/* The same among the rungs of a ladder, and while it is found out which
 * direction refreshes. */
static void
test_stopped_late(void)
{
	const double life = 10, shortest = life - 1.2, longest = life + 1.2;
	struct nat_config c = config(NAT_EI, NAT_APD, NAT_PORTS_RANDOM);
	struct natworld_options o = options(&c);
	unsigned wrong = 0, lives = 0, refreshes = 0;

	c.ttl_single = c.ttl_exchange = c.ttl_stream = (int64_t)(life * 1e6);
	c.refresh = NAT_REFRESH_OUT;
	o.probe.lifetime = o.probe.refresh = true;
	o.probe.ttl_max_s = 20;
	for (int64_t at = 1; at < 60 * SECOND; at += 700 * MS) {
		struct verdicts v;

		o.stop_after_us = at;
		run(&o, 0, &v);
		for (unsigned i = 0; i < LIFE_CLASSES; i++) {
			wrong += v.life[i].low > longest;
			wrong +=
			    v.life[i].high > 0 && v.life[i].high < shortest;
			lives += v.life[i].why == REASON_NONE;
		}
		wrong += v.refresh.outbound == ANSWER_NO;
		wrong += v.refresh.inbound == ANSWER_YES;
		refreshes += v.refresh.outbound == ANSWER_YES;
	}
	eq_int(wrong, 0, "stopped in a ladder, or later: nothing wrong");
	ok(lives > 0 && refreshes > 0, "some were stopped late enough");
	printf("# %u lifetimes, %u refreshes\n", lives, refreshes);
}

int
main(void)
{
	test_none();
	test_dead();
	test_slow();
	test_slow_liar();
	test_given_up();
	test_interrupted();
	test_server_stops();
	test_reused_port();
	test_life();
	test_effects();
	test_lies();
	test_ways_out();
	test_liar_alone();
	test_stopped();
	test_stopped_late();
	return tap_done();
}

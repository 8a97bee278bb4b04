/*
 * natprobe_tcp_test: the core of natprobe's TCP questions against NATs and
 * servers of every kind (tests/sim/tcpworld.h), with the clock moved by hand.
 */
#include <stdlib.h>

#include "tests/sim/tcpworld.h"
#include "tests/tap.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

static struct tcpworld w;
static struct calls c;

/* Runs to the end; returns how long it took, in seconds. */
static double
run(const uint8_t *servers, size_t n, struct probe_options o,
    struct verdict_tcp *v)
{
	double s;

	tcpworld_begin(&c, &w, servers, n, &o);
	while (tcpworld_step())
		continue;
	judge_tcp(&c, v);
	s = (double)mono_diff_us(c.began, tcpworld_now()) / 1e6;
	calls_clear(&c);
	return s;
}

static void
note(const struct verdict_tcp *v, double s)
{
	printf("# works %s (%s), mapping %s (%s), %u of %u; lives %.2f to %.2f "
	       "(%s), %s, by %s; %.2f s\n",
	    answer_name(v->works), reason_name(v->why),
	    behaviour_name(v->mapping.kind), reason_name(v->mapping.why),
	    v->mapping.agree, v->mapping.units, v->life.low, v->life.high,
	    reason_name(v->life.why), dying_name(v->dying),
	    v->by_server ? "server" : "host", s);
}

/* ---- mapping ---- */

static void
test_mapping(void)
{
	static const enum behaviour kinds[] = {BEHAVIOUR_NONE, BEHAVIOUR_EI,
	    BEHAVIOUR_AD, BEHAVIOUR_APD, BEHAVIOUR_PD};
	struct verdict_tcp v;
	char what[100];
	double s;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (unsigned loss = 0; loss < 2; loss++) {
			w = (struct tcpworld){
			    .mapping = kinds[i], .loss_of = loss * 7};
			s = run(
			    (uint8_t[]){0}, 1, (struct probe_options){0}, &v);
			snprintf(what, sizeof(what), "%s, %s",
			    behaviour_name(kinds[i]),
			    loss ? "one SYN of seven is lost" : "no loss");
			if (!ok(v.works == ANSWER_YES && s < 3 &&
				    v.mapping.kind == kinds[i] &&
				    v.mapping.why == REASON_NONE &&
				    v.mapping.agree >= 4 - loss &&
				    v.preserved ==
					(kinds[i] == BEHAVIOUR_NONE
						? v.connections
						: 0),
				what))
				note(&v, s);
		}
}

/* Several servers with one address each, which is what most are. */
static void
test_plain_servers(void)
{
	static const enum behaviour kinds[][2] = {
	    /* one port for all: the address alone decides */
	    {BEHAVIOUR_NONE, BEHAVIOUR_NONE},
	    {BEHAVIOUR_APD, BEHAVIOUR_DEPENDENT},
	    {BEHAVIOUR_AD, BEHAVIOUR_DEPENDENT},
	};
	struct verdict_tcp v;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		w = (struct tcpworld){
		    .mapping = kinds[i][0], .one_address = true};
		run((uint8_t[]){0, 2, 4}, 3, (struct probe_options){0}, &v);
		if (!ok(v.mapping.kind == kinds[i][1],
			behaviour_name(kinds[i][0])))
			note(&v, 0);
	}
	/* Nothing is known of other ports, and that is said. */
	w = (struct tcpworld){.mapping = BEHAVIOUR_EI, .one_address = true};
	run((uint8_t[]){0, 2, 4}, 3, (struct probe_options){0}, &v);
	ok(v.mapping.kind == BEHAVIOUR_EI && v.mapping.why == REASON_ONE_PORT,
	    "one port on all servers does not tell of ports");
	run((uint8_t[]){0}, 1, (struct probe_options){0}, &v);
	ok(v.mapping.kind == BEHAVIOUR_UNKNOWN &&
		v.mapping.why == REASON_ONE_ADDRESS && v.connections == 5 &&
		v.works == ANSWER_YES,
	    "one server with one address does not tell");
}

/* ---- servers of all kinds ---- */

static void
test_servers(void)
{
	static const struct {
		const char *name;
		enum reason why;
		enum answer works;
		enum reason alternate; /* if the second address is so */
	} rows[SERVER_KINDS] = {
	    [SERVES] = {"serves", REASON_NONE, ANSWER_YES, REASON_NONE},
	    [REFUSES] = {"refuses", REASON_TCP_REFUSED, ANSWER_NO,
		REASON_TCP_REFUSED},
	    [SILENT] = {"silent", REASON_TCP_SILENT, ANSWER_NO,
		REASON_ALTERNATE_SILENT},
	    [UNREACHABLE] = {"unreachable", REASON_TCP_UNREACHABLE, ANSWER_NO,
		REASON_TCP_UNREACHABLE},
	    [RESETS] = {"resets", REASON_TCP_RESET, ANSWER_NO,
		REASON_TCP_RESET},
	    [CLOSES] = {"closes", REASON_TCP_CLOSED, ANSWER_NO,
		REASON_TCP_CLOSED},
	    [MUTE] = {"mute", REASON_TCP_MUTE, ANSWER_NO, REASON_TCP_MUTE},
	    [BABBLES] = {"no STUN", REASON_TCP_NOT_STUN, ANSWER_NO,
		REASON_TCP_NOT_STUN},
	    [LIES] = {"lies", REASON_LIAR, ANSWER_UNKNOWN, REASON_LIAR},
	    [ONE_FOR_ALL] = {"one address for all", REASON_NONE, ANSWER_YES,
		REASON_LIAR},
	    [TWICE] = {"twice", REASON_NONE, ANSWER_YES, REASON_NONE},
	    [ERRS] = {"error 500", REASON_REFUSED, ANSWER_NO, REASON_REFUSED},
	    [FOREIGN] = {"foreign answers first", REASON_NONE, ANSWER_YES,
		REASON_NONE},
	};
	struct verdict_tcp v;
	char what[100];
	double s;

	for (unsigned k = 0; k < SERVER_KINDS; k++) {
		w = (struct tcpworld){
		    .mapping = BEHAVIOUR_EI, .alternate = (enum server_kind)k};
		s = run((uint8_t[]){(uint8_t)(k * 10)}, 1,
		    (struct probe_options){0}, &v);
		snprintf(
		    what, sizeof(what), "a server that is: %s", rows[k].name);
		if (!ok(v.works == rows[k].works && v.why == rows[k].why &&
			    s < 3 &&
			    (v.works == ANSWER_YES ||
				(v.mapping.kind == BEHAVIOUR_UNKNOWN &&
				    v.mapping.why == rows[k].why)),
			what))
			note(&v, s);
		if (k == ONE_FOR_ALL)
			ok(v.mapping.kind == BEHAVIOUR_UNKNOWN &&
				v.mapping.why == REASON_LIAR,
			    "no two connections have one address");
		s = run((uint8_t[]){0}, 1, (struct probe_options){0}, &v);
		snprintf(what, sizeof(what), "a second address that is: %s",
		    rows[k].name);
		if (!ok(s < 3 && v.mapping.why == rows[k].alternate &&
			    v.mapping.kind ==
				(rows[k].alternate == REASON_NONE
					? BEHAVIOUR_EI
					: BEHAVIOUR_UNKNOWN),
			what))
			note(&v, s);
		/* A dead one beside a good one changes nothing. */
		w.alternate = SERVES;
		s = run((uint8_t[]){(uint8_t)(k * 10), 4, 0}, 3,
		    (struct probe_options){0}, &v);
		snprintf(
		    what, sizeof(what), "beside a good one: %s", rows[k].name);
		if (!ok(s < 3 &&
			    (v.mapping.kind == BEHAVIOUR_EI ||
				(k == ONE_FOR_ALL &&
				    v.mapping.why == REASON_LIAR)),
			what))
			note(&v, s);
	}
}

static void
test_rate(void)
{
	struct pacer pacer = pacer_new(5, 400);
	struct verdict_tcp v;
	double s;

	w = (struct tcpworld){.mapping = BEHAVIOUR_APD};
	s = run((uint8_t[]){0}, 1, (struct probe_options){.pacer = &pacer}, &v);
	ok(v.mapping.kind == BEHAVIOUR_APD && v.mapping.agree == 5 && s > 10,
	    "a low rate takes longer, and tells the same");
	ok(pacer.sent <= (uint64_t)(5 * s) + 1, "and holds");
	printf("# %.1f s, %d packets\n", s, (int)pacer.sent);
}

/* Interrupted at any moment: no verdict that is wrong. */
static void
test_stop(void)
{
	struct probe_options o = {.rate = 100};
	struct verdict_tcp v;
	unsigned wrong = 0;

	w = (struct tcpworld){.mapping = BEHAVIOUR_APD};
	for (unsigned steps = 0; steps < 200; steps++) {
		tcpworld_begin(&c, &w, (uint8_t[]){0}, 1, &o);
		for (unsigned i = 0; i < steps && tcpworld_step(); i++)
			continue;
		calls_stop(&c);
		judge_tcp(&c, &v);
		wrong += v.works == ANSWER_NO ||
		    (v.mapping.kind != BEHAVIOUR_UNKNOWN &&
			v.mapping.kind != BEHAVIOUR_DEPENDENT &&
			v.mapping.kind != BEHAVIOUR_APD) ||
		    (v.mapping.kind == BEHAVIOUR_UNKNOWN &&
			v.mapping.why == REASON_NONE);
		calls_clear(&c);
	}
	eq_int(wrong, 0, "interrupted, it says nothing wrong");
}

/* ---- lifetime ---- */

static struct probe_options
life_options(void)
{
	return (struct probe_options){.lifetime = true,
	    .refresh = true,
	    .ttl_max_s = 600,
	    .ttl_resolution_s = 2};
}

static void
test_life(void)
{
	static const double lives[] = {4, 10, 15.5, 20, 33, 60, 119, 200, 305};
	static const enum midstream after[] = {DROPS, RESETS_IT, PICKS_UP};
	static const enum dying dying[] = {
	    DYING_SILENT, DYING_RESET, DYING_PICKED_UP};
	struct verdict_tcp v;
	struct probe_options o = life_options();
	char what[120];
	double s, error;

	o.refresh = false;
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		for (unsigned m = 0; m < 3; m++) {
			w = (struct tcpworld){.mapping = BEHAVIOUR_EI,
			    .life_us = (int64_t)(lives[i] * 1e6),
			    .midstream = after[m],
			    .delays = true};
			s = run((uint8_t[]){0}, 1, o, &v);
			error = (v.life.low + v.life.high) / 2 - lives[i];
			snprintf(what, sizeof(what),
			    "lives %.1f s, then: %s; in %.1f s", lives[i],
			    dying_name(dying[m]), s);
			if (!ok((error < 0 ? -error : error) <=
					(lives[i] * 0.03 < 1
						? 1
						: lives[i] * 0.03) &&
				    v.life.low <= lives[i] &&
				    v.life.high >= lives[i] && v.by_server &&
				    v.life.why == REASON_NONE &&
				    v.dying == dying[m] && v.life.monotone &&
				    s <= lives[i] * 1.15 + 5,
				what))
				note(&v, s);
		}
}

/* Where the server cannot be told to be the first after the pause. */
static void
test_life_by_host(void)
{
	struct probe_options o = life_options();
	struct verdict_tcp v;
	double s;

	w = (struct tcpworld){.mapping = BEHAVIOUR_EI, .life_us = 30 * SECOND};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(!v.by_server && v.life.low <= 30 && v.life.high >= 30 &&
		    v.life.high - v.life.low < 4 && v.dying == DYING_SILENT &&
		    v.keepalive == ANSWER_YES,
		"by this side, and keepalives help"))
		note(&v, s);
	w.midstream = RESETS_IT;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(!v.by_server && v.life.high >= 30 && v.dying == DYING_RESET,
		"by this side, and is reset"))
		note(&v, s);
}

static void
test_life_unknown(void)
{
	struct probe_options o = life_options();
	struct verdict_tcp v;
	double s;

	o.ttl_max_s = 40;
	w = (struct tcpworld){.mapping = BEHAVIOUR_EI, .delays = true};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_BEYOND && v.life.low > 35 &&
		    v.life.high == 0 && v.keepalive == ANSWER_UNKNOWN,
		"longer than was tried"))
		note(&v, s);
	w.server_closes_us = 12 * SECOND;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_SERVER_CLOSED && v.life.high == 0 &&
		    v.life.low > 9 && v.life.low < 12.1,
		"a server that closes what is idle is no verdict of the NAT"))
		note(&v, s);
	/* One that resets what is idle, and knows no CN-DELAY. */
	w.delays = false;
	w.server_resets = true;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_TCP_RESET && v.life.high == 0 &&
		    v.life.low > 9 && v.life.low < 12.1,
		"nor is one that resets it"))
		note(&v, s);
	/* But a NAT that ends before that shows itself. */
	w.life_us = 8 * SECOND;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NONE && v.life.low <= 8 &&
		    v.life.high >= 8 && v.dying == DYING_SILENT,
		"a NAT that ends it earlier"))
		note(&v, s);
	w.life_us = 0;
	w.delays = true;
	w.server_resets = false;
	w.server_closes_us = 0;
	w.server_keeps_us = 10 * SECOND;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_SERVER_KEEPS && v.life.high == 0 &&
		    v.life.low > 7 && v.life.low < 11,
		"nor is one that keeps it alive"))
		note(&v, s);
	/* Its keepalives are later than the end: they do not matter. */
	w.life_us = 6 * SECOND;
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NONE && v.life.low <= 6 &&
		    v.life.high >= 6,
		"keepalives that come too late"))
		note(&v, s);
	w = (struct tcpworld){.mapping = BEHAVIOUR_EI,
	    .delays = true,
	    .server_dies_us = 9 * SECOND};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NO_CONTROL && v.life.high == 0 &&
		    v.life.low < 9,
		"a server that dies under way is no dead NAT"))
		note(&v, s);
	/* Rungs that never came to be say nothing. */
	w = (struct tcpworld){.mapping = BEHAVIOUR_EI,
	    .life_us = 30 * SECOND,
	    .loss_of = 3,
	    .delays = true};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NONE && v.life.low <= 30 &&
		    v.life.high >= 30 && v.life.high - v.life.low < 7,
		"a third of the connections never opens"))
		note(&v, s);
	w = (struct tcpworld){
	    .mapping = BEHAVIOUR_EI, .server_dies_us = 300 * MS};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_TCP_SILENT && v.life.low == 0 &&
		    v.life.high == 0,
		"a server that dies before the ladder"))
		note(&v, s);
	w = (struct tcpworld){.mapping = BEHAVIOUR_EI};
	s = run((uint8_t[]){REFUSES * 10}, 1, o, &v);
	ok(v.life.why == REASON_NOT_ASKED && v.life.rungs == 0 && s < 3,
	    "no server over TCP: not asked");
}

static void
test_most(void)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct stun_addr at[PROBE_SERVERS];
	struct probe_options o = life_options();

	for (uint8_t i = 0; i < PROBE_SERVERS; i++)
		at[i] = tcpworld_address(192, i, 3478);
	o.rate = 100;
	o.ttl_resolution_s = 1;
	calls_init(&c, &o, at, PROBE_SERVERS, seed, (struct mono){1});
	calls_plan_most(&c, (struct mono){1});
	ok(!c.bad && c.n < CALLS_MAX - PROBE_SERVERS,
	    "the longest run has room");
	calls_clear(&c);
}

int
main(void)
{
	test_mapping();
	test_plain_servers();
	test_servers();
	test_rate();
	test_stop();
	test_life();
	test_life_by_host();
	test_life_unknown();
	test_most();
	return tap_done();
}

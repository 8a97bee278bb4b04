/*
 * natprobe_replay_test: a run is captured, replayed, and must give the same
 * result to the letter: of every kind of NAT, with loss, with lifetimes, of
 * runs that were interrupted; and no wrong one of captures that lack packets.
 */
#include <stdlib.h>

#include "probes/natprobe/evidence/replay.h"
#include "tests/sim/natworld.h"
#include "tests/sim/film.h"
#include "tests/tap.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* ---- a capture ---- */

struct film {
	struct shots shots;
	struct note note;
	struct probe live;
};

static void
on_packet(void *arg, const uint8_t *p, size_t n, struct mono now)
{
	struct film *f = arg;

	shots_add(&f->shots, p, n, now);
}

static void
film_run(struct film *f, struct natworld_options *o, unsigned dead)
{
	double took;

	memset(f, 0, sizeof(*f));
	o->tap = on_packet;
	o->tap_arg = f;
	took = natworld_run(&f->live, o, dead);
	f->note.set_up = f->note.ended = true;
	f->note.complete = f->live.phase == PHASE_DONE;
	f->note.end_us = SECOND + (int64_t)(took * 1e6 + 0.5);
	f->note.lifetime = o->probe.lifetime;
	f->note.refresh = o->probe.refresh;
	f->note.hairpin = o->probe.hairpin;
	f->note.local_ips[0] = o->probe.local_ips;
	f->note.targets.n[0] = f->live.n_servers;
	for (size_t i = 0; i < f->live.n_servers; i++)
		f->note.targets.v[0][i] = f->live.servers[i].addr;
}

static void
film_clear(struct film *f)
{
	probe_clear(&f->live);
	shots_clear(&f->shots);
}

static void
play(struct replay *r, const struct film *f, const struct note *note,
    struct probe probes[2], bool used[2])
{
	struct frame frame;

	used[0] = used[1] = false;
	replay_init(r, note, probes, used);
	for (size_t i = 0; i < f->shots.n; i++) {
		frame_read(&frame, FRAME_RAW, f->shots.v[i].p, f->shots.v[i].n);
		replay_look(r, &frame);
	}
	if (!replay_begin(r))
		return;
	for (size_t i = 0; i < f->shots.n; i++) {
		frame_read(&frame, FRAME_RAW, f->shots.v[i].p, f->shots.v[i].n);
		replay_frame(r, &frame, f->shots.v[i].at.us);
	}
	replay_end(r);
}

static char *
said(const struct probe *p)
{
	static const struct targets no_names;
	json_t *o = result_family(p, &no_names);
	char *text = json_dumps(o, JSON_INDENT(1));

	json_decref(o);
	return text;
}

static bool
is_same(const struct film *f, const struct note *note)
{
	struct probe probes[2];
	struct replay r;
	bool used[2], same = false;
	char *live, *again;

	play(&r, f, note, probes, used);
	if (!used[0])
		return false;
	live = said(&f->live);
	again = said(&probes[0]);
	same = strcmp(live, again) == 0 && probes[0].phase == f->live.phase &&
	    r.ours == f->shots.n;
	if (!same)
		show_difference(live, again);
	free(live);
	free(again);
	probe_clear(&probes[0]);
	return same;
}

/* ---- NATs ---- */

static struct nat_config
config(int m, int f)
{
	struct nat_config c = nat_config_default();

	c.external_count = 1;
	ip_parse(&c.external[0], "192.0.2.1", 9);
	c.mapping = (enum nat_dependence)m;
	c.filtering = (enum nat_dependence)f;
	c.ports = NAT_PORTS_RANDOM;
	c.ttl_single = c.ttl_exchange = 30 * SECOND;
	c.ttl_stream = 60 * SECOND;
	c.stream_after = 2 * SECOND;
	c.refresh = NAT_REFRESH_OUT;
	return c;
}

static struct natworld_options
options(const struct nat_config *nat)
{
	return (struct natworld_options){.nat = nat,
	    .delay_us = 25 * MS,
	    .seed = 1,
	    .probe = {.rate = 100,
		.local_ips = 2,
		.hairpin = true,
		.ttl_max_s = 90,
		.ttl_resolution_s = 2}};
}

static bool
same_again(struct natworld_options *o, unsigned dead)
{
	struct film f;
	bool same;

	film_run(&f, o, dead);
	same = is_same(&f, &f.note);
	film_clear(&f);
	return same;
}

static void
test_kinds(void)
{
	unsigned runs = 0, same = 0;

	for (int m = NAT_EI; m <= NAT_PD; m++)
		for (int fl = NAT_EI; fl <= NAT_PD; fl++)
			for (uint64_t seed = 1; seed <= 6; seed++) {
				struct nat_config c = config(m, fl);
				struct natworld_options o = options(&c);

				c.hairpin = (enum nat_hairpin)(seed % 3);
				o.loss = seed > 2 ? 0.1 : 0;
				o.seed = seed;
				runs++;
				same += same_again(&o, seed % 2);
			}
	eq_int(same, runs, "every kind, with loss and a dead server");
}

/* The tests began before that server had answered. */
static void
test_slow(void)
{
	unsigned runs = 0, same = 0;

	for (uint64_t seed = 1; seed <= 24; seed++) {
		struct nat_config c = config(NAT_APD, NAT_AD);
		struct natworld_options o = options(&c);

		o.loss = seed > 4 ? 0.1 : 0;
		o.seed = seed;
		o.n_more = 1;
		o.more_delay_us = (int64_t)(seed % 4 + 1) * 75 * MS;
		runs++;
		same += same_again(&o, seed % 2);
	}
	eq_int(same, runs, "a slow server");
}

static void
test_effects(void)
{
	struct nat_config c = config(NAT_APD, NAT_APD);
	struct natworld_options o = options(&c);

	c.ports = NAT_PORTS_PRESERVE;
	c.overload = NAT_OVERLOAD_REMOTE;
	ok(same_again(&o, 0), "Linux: collision");
	c.unsolicited = NAT_UNSOLICITED_STATE;
	ok(same_again(&o, 0), "Linux: poison");
	o.probe.local_ips = 1;
	ok(same_again(&o, 0), "collision not asked");
	o.mute_alternate = true;
	ok(same_again(&o, 0), "a silent alternate");
	o.mute_alternate = false;
	o.one_address = true;
	ok(same_again(&o, 0), "one address");
	o = options(NULL);
	ok(same_again(&o, 0), "no NAT");
	o.loss = 1;
	ok(same_again(&o, 0), "UDP blocked");
}

/* A socket that had another's port: what is asked again then. */
static void
test_again(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD);
	struct natworld_options o = options(&c);
	unsigned runs = 0, same = 0;

	for (o.reused = 1; o.reused <= 20; o.reused++) {
		runs++;
		same += same_again(&o, 0);
	}
	eq_int(same, runs, "each socket with a port that is not fresh");
}

static void
test_life(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD);
	struct natworld_options o = options(&c);
	unsigned same = 0, runs = 0;

	o.probe.lifetime = o.probe.refresh = true;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		o.seed = seed;
		o.loss = seed > 1 ? 0.1 : 0;
		runs++;
		same += same_again(&o, 0);
	}
	eq_int(same, runs, "lifetimes and what refreshes, with loss");
}

static void
test_interrupted(void)
{
	struct nat_config c = config(NAT_EI, NAT_APD);
	struct natworld_options o = options(&c);
	unsigned same = 0, runs = 0;

	o.probe.lifetime = o.probe.refresh = true;
	o.loss = 0.1;
	for (int64_t us = 20 * MS; us < 200 * SECOND; us += us / 9) {
		o.stop_us = us;
		o.seed = (uint64_t)us;
		runs++;
		same += same_again(&o, 0);
	}
	eq_int(same, runs, "interrupted at any time");
}

/* Of a foreign capture the packets tell nearly all. */
static void
test_without_note(void)
{
	struct nat_config c = config(NAT_AD, NAT_AD);
	struct natworld_options o = options(&c);
	struct note note = {.ended = true, .complete = true};
	struct film f;

	o.probe.lifetime = o.probe.refresh = true;
	film_run(&f, &o, 1);
	note.end_us = f.note.end_us;
	ok(is_same(&f, &note), "servers and tests are found in the packets");
	film_clear(&f);
}

/* Packets of the beginning, or of the end, are missing: less is known, and
 * nothing wrong. */
static void
check_part(const struct film *f, size_t from, size_t to, const char *what)
{
	struct film part = {.shots = {.v = f->shots.v + from, .n = to - from}};
	struct probe probes[2];
	struct verdicts v;
	struct replay r;
	bool used[2];

	play(&r, &part, &f->note, probes, used);
	if (!used[0]) {
		ok(true, what);
		return;
	}
	judge(&probes[0], &v);
	if (!ok((v.mapping.kind == BEHAVIOUR_UNKNOWN ||
		    v.mapping.kind == BEHAVIOUR_AD) &&
		    v.udp != ANSWER_NO,
		what))
		printf("# mapping %s, UDP %s\n", behaviour_name(v.mapping.kind),
		    answer_name(v.udp));
	probe_clear(&probes[0]);
}

/* As if the kernel had dropped the first answers: whether there is UDP, the
 * packets that follow tell, but not which. */
static void
test_no_first_answers(void)
{
	struct nat_config c = config(NAT_AD, NAT_APD);
	struct natworld_options o = options(&c);
	struct probe probes[2];
	struct verdicts v;
	struct replay r;
	struct film f;
	bool used[2];

	film_run(&f, &o, 0);
	f.shots.n -= 2;
	memmove(&f.shots.v[2], &f.shots.v[4],
	    (f.shots.n - 2) * sizeof(f.shots.v[0]));
	play(&r, &f, &f.note, probes, used);
	judge(&probes[0], &v);
	ok(v.udp == ANSWER_UNKNOWN && v.mapping.kind == BEHAVIOUR_UNKNOWN &&
		!replay_is_complete(&r),
	    "without the first answers nothing is known");
	probe_clear(&probes[0]);
	film_clear(&f);
}

static void
test_parts(void)
{
	struct nat_config c = config(NAT_AD, NAT_APD);
	struct natworld_options o = options(&c);
	struct film f;

	film_run(&f, &o, 0);
	f.note.ended = false;
	for (size_t n = 0; n < f.shots.n; n += f.shots.n / 8)
		check_part(&f, 0, n, "the end is missing");
	f.note.ended = true;
	for (size_t n = 1; n < f.shots.n; n += f.shots.n / 8)
		check_part(&f, n, f.shots.n, "the beginning is missing");
	film_clear(&f);
}

int
main(void)
{
	test_kinds();
	test_slow();
	test_effects();
	test_again();
	test_life();
	test_interrupted();
	test_without_note();
	test_no_first_answers();
	test_parts();
	return tap_done();
}

/*
 * natprobe_replay_tcp_test: a run over TCP is captured, replayed, and must give
 * the same result to the letter: of every kind of NAT and server, with loss,
 * with lifetimes, of runs that were interrupted; and no wrong one of captures
 * that lack packets.
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/evidence/replay.h"
#include "probes/natprobe/tcp/tcp.h"
#include "tests/sim/tcpworld.h"
#include "tests/sim/film.h"
#include "tests/tap.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* ---- a capture ---- */

struct film {
	struct shots shots;
	struct note note;
};

static void
on_packet(void *arg, const uint8_t *p, size_t n, struct mono now)
{
	struct film *f = arg;

	shots_add(&f->shots, p, n, now);
}

static struct calls calls;

/* As capture.c does. */
static void
on_segment(void *arg, const uint8_t *p, size_t n, struct mono now)
{
	struct film *f = arg;
	struct frame frame;
	uint16_t i;

	on_packet(arg, p, n, now);
	frame_read(&frame, FRAME_RAW, p, n);
	if (frame.kind != FRAME_TCP || frame.flags != FRAME_SYN)
		return;
	i = calls_find(&calls, &frame.from, &frame.to);
	f->note.calls[f->note.n_calls++] =
	    (struct note_call){.local = frame.from, .to = frame.to, .call = i};
}

/* Interrupted after so long, if that is not 0. */
static void
film_calls(struct film *f, struct tcpworld *w, const uint8_t *servers, size_t n,
    const struct probe_options *o, int64_t stop_us)
{
	const struct mono stop = {TCPWORLD_BEGIN_US + stop_us};
	bool more;

	memset(f, 0, sizeof(*f));
	w->tap = on_segment;
	w->tap_arg = f;
	tcpworld_begin(&calls, w, servers, n, o);
	do
		more = tcpworld_step();
	while (more && (stop_us == 0 || tcpworld_now().us < stop.us));
	if (more)
		calls_stop(&calls);
	f->note.set_up = f->note.tcp = f->note.ended = true;
	f->note.complete = !more;
	f->note.tcp_lifetime = o->lifetime;
	f->note.refresh = o->refresh;
	f->note.ttl_max_s = (uint16_t)o->ttl_max_s;
	f->note.ttl_resolution_s = (uint16_t)o->ttl_resolution_s;
	f->note.rate = (uint16_t)o->rate;
	f->note.begin_us = TCPWORLD_BEGIN_US;
	f->note.end_us = tcpworld_now().us;
	f->note.targets.n[0] = n;
	memcpy(
	    f->note.targets.v[0], calls.servers, n * sizeof(calls.servers[0]));
}

static char *
said(const struct calls *c)
{
	static const struct targets no_names;
	json_t *o = json_object();
	char *text;

	tcp_result_add(o, c, &no_names);
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return text;
}

/* Frames from and to, of them all. */
static struct replay_tcp *
play_calls(const struct film *f, size_t from, size_t to)
{
	struct replay_tcp *t = replay_tcp_new(&f->note, false);
	struct frame frame;
	size_t ours = 0;

	if (t == NULL)
		abort();
	for (size_t i = from; i < to; i++) {
		frame_read(&frame, FRAME_RAW, f->shots.v[i].p, f->shots.v[i].n);
		ours += replay_tcp_frame(t, &frame, f->shots.v[i].at);
	}
	if (from == 0 && ours != to)
		printf("# %zu of %zu packets have a place\n", ours, to);
	replay_tcp_end(t, f->note.complete && to == f->shots.n,
	    (struct mono){f->note.end_us});
	return t;
}

static bool
same_calls(struct tcpworld *w, const uint8_t *servers, size_t n,
    const struct probe_options *o, int64_t stop_us)
{
	struct replay_tcp *t;
	struct film f;
	char *live, *again;
	bool same;

	film_calls(&f, w, servers, n, o, stop_us);
	t = play_calls(&f, 0, f.shots.n);
	live = said(&calls);
	again = said(&t->calls);
	same = strcmp(live, again) == 0 && t->stray == 0;
	if (!same)
		show_difference(live, again);
	free(live);
	free(again);
	replay_tcp_free(t);
	calls_clear(&calls);
	shots_clear(&f.shots);
	return same;
}

/* ---- the runs ---- */

static struct probe_options
tcp_options(bool lifetime)
{
	return (struct probe_options){.rate = 100,
	    .lifetime = lifetime,
	    .refresh = lifetime,
	    .ttl_max_s = 200,
	    .ttl_resolution_s = 2};
}

static void
test_kinds(void)
{
	static const enum behaviour kinds[] = {BEHAVIOUR_NONE, BEHAVIOUR_EI,
	    BEHAVIOUR_AD, BEHAVIOUR_APD, BEHAVIOUR_PD};
	struct probe_options o = tcp_options(false);
	unsigned runs = 0, same = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (unsigned loss = 0; loss < 12; loss++) {
			struct tcpworld w = {.mapping = kinds[i],
			    .loss_of = loss,
			    .shuffle = loss % 2 != 0,
			    .one_address = loss % 3 == 2};

			o.rate = loss % 4 == 3 ? 20 : 100;
			runs++;
			same += same_calls(
			    &w, (uint8_t[]){0, 2, 4}, 1 + loss % 3, &o, 0);
		}
	eq_int(same, runs, "every kind, SYNs lost, segments in pieces");
}

static void
test_servers(void)
{
	struct probe_options o = tcp_options(false);
	unsigned runs = 0, same = 0;

	for (unsigned k = 0; k < SERVER_KINDS; k++)
		for (unsigned alternate = 0; alternate < SERVER_KINDS;
		     alternate++) {
			struct tcpworld w = {.mapping = BEHAVIOUR_EI,
			    .alternate = (enum server_kind)alternate};
			uint8_t servers[] = {(uint8_t)(k * 10), 4};

			runs++;
			same +=
			    same_calls(&w, servers, 1 + alternate % 2, &o, 0);
		}
	eq_int(same, runs, "servers of every kind");
}

static void
test_life(void)
{
	static const enum midstream after[] = {DROPS, RESETS_IT, PICKS_UP};
	static const int64_t lives[] = {7, 30, 61, 0};
	struct probe_options o = tcp_options(true);
	unsigned runs = 0, same = 0;

	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		for (unsigned m = 0; m < 3; m++)
			for (unsigned how = 0; how < 6; how++) {
				struct tcpworld w = {.mapping = BEHAVIOUR_APD,
				    .life_us = lives[i] * SECOND,
				    .midstream = after[m],
				    .delays = how != 1,
				    .loss_of = how == 2 ? 3 : 0,
				    .server_closes_us =
					how == 3 ? 12 * SECOND : 0,
				    .server_keeps_us =
					how == 4 ? 10 * SECOND : 0,
				    .server_dies_us =
					how == 5 ? 9 * SECOND : 0};

				runs++;
				same +=
				    same_calls(&w, (uint8_t[]){0}, 1, &o, 0);
			}
	eq_int(same, runs, "lifetimes, and what keeps it from knowing");
}

static void
test_interrupted(void)
{
	struct probe_options o = tcp_options(true);
	unsigned runs = 0, same = 0;

	for (int64_t us = 20 * MS; us < 100 * SECOND; us += us / 6) {
		struct tcpworld w = {.mapping = BEHAVIOUR_EI,
		    .life_us = 30 * SECOND,
		    .delays = true};

		runs++;
		same += same_calls(&w, (uint8_t[]){0, 2}, 2, &o, us);
	}
	eq_int(same, runs, "interrupted at any time");
}

/* Packets at the beginning or the end are missing: nothing is wrong. */
static void
test_parts(void)
{
	struct tcpworld w = {.mapping = BEHAVIOUR_AD};
	struct probe_options o = tcp_options(false);
	unsigned wrong = 0;
	struct film f;

	film_calls(&f, &w, (uint8_t[]){0, 2}, 2, &o, 0);
	for (size_t i = 1; i < f.shots.n; i += 7)
		for (int end = 0; end < 2; end++) {
			struct replay_tcp *t =
			    play_calls(&f, end ? 0 : i, end ? i : f.shots.n);
			struct verdict_tcp v;

			judge_tcp(&t->calls, &v);
			if (v.works == ANSWER_NO ||
			    (v.mapping.kind != BEHAVIOUR_UNKNOWN &&
				v.mapping.kind != BEHAVIOUR_DEPENDENT &&
				v.mapping.kind != BEHAVIOUR_AD))
				wrong++;
			replay_tcp_free(t);
		}
	eq_int(wrong, 0, "parts of a capture say nothing wrong");
	calls_clear(&calls);
	shots_clear(&f.shots);
}

int
main(void)
{
	test_kinds();
	test_servers();
	test_life();
	test_interrupted();
	test_parts();
	return tap_done();
}

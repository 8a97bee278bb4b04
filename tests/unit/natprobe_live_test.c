/* natprobe_live_test: the live view: rows to lines and escape codes, and what
 * a run's state is in words. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/live/live.h"
#include "tests/tap.h"

static const struct view_size usual = {.columns = 80, .lines = 24};

static void
set(struct view *v, const char *part, const char *text)
{
	struct view_row *r = view_row(v, part);

	snprintf(r->text, sizeof(r->text), "%s", text);
	view_clean(r->text);
}

static const char *
lines_of(const struct view *v, struct view_size size)
{
	static char all[4096];
	struct text t = TEXT_EMPTY;

	view_lines(&t, v, &size);
	snprintf(all, sizeof(all), "%s", t.p == NULL ? "" : t.p);
	text_clear(&t);
	return all;
}

static void
test_lines(void)
{
	struct view v = {
	    .title = "hall", .elapsed_us = 12900000, .longest_us = 45000000};
	struct view_row *r;

	eq_str(lines_of(&v, usual), "hall       12 s of at most 45 s\n",
	    "a title alone");
	set(&v, "IPv4", "mapping unknown");
	set(&v, "relays", "1 of 4 done");
	set(&v, "IPv4", "mapping none");
	r = view_row(&v, "relays");
	r->done = 1;
	r->total = 4;
	eq_str(lines_of(&v, usual),
	    "hall       12 s of at most 45 s\n"
	    "IPv4       mapping none\n"
	    "relays     [#####...............] 1 of 4 done\n",
	    "rows in their order, the last text of each, a bar");
	r->done = 9;
	eq_str(lines_of(&v, (struct view_size){.columns = 20, .lines = 24}),
	    "hall       12 s of \n"
	    "IPv4       mapping \n"
	    "relays     [#######\n",
	    "cut to the width, the last column free; a bar is never overfull");
	eq_str(lines_of(&v, (struct view_size){.columns = 80, .lines = 3}),
	    "IPv4       mapping none\n"
	    "relays     [####################] 1 of 4 done\n",
	    "fewer lines than the terminal has");
	eq_str(lines_of(&v, (struct view_size){.columns = 1, .lines = 1}), "",
	    "no room");
	eq_str(
	    lines_of(&v,
		(struct view_size){.columns = 80, .lines = 3, .colour = true}),
	    "\033[1mIPv4      \033[0m mapping none\n"
	    "\033[1mrelays    \033[0m [####################] 1 of 4 done\n",
	    "colours");
}

static void
test_rows(void)
{
	struct view v = {.title = ""};
	char part[8];

	for (int i = 0; i < LIVE_ROWS; i++) {
		snprintf(part, sizeof(part), "p%d", i);
		if (view_row(&v, part) == NULL)
			ok(false, "a row each");
	}
	ok(view_row(&v, "one more") == NULL, "there are only so many rows");
	ok(view_row(&v, "p3") == &v.rows[3], "those there are found");
	memset(&v, 0, sizeof(v));
	ok(view_row(&v, "a name that is much too long") ==
		view_row(&v, "a name that is much too long"),
	    "a long name is one row, too");
}

static void
test_clean(void)
{
	static const struct {
		const char *in, *out, *what;
	} all[] = {
	    {"Geb\303\244ude 5", "Geb\303\244ude 5", "UTF-8 stays"},
	    {"a\033[2Jb\r\n\tc\177", "a?[2Jb???c?", "controls do not"},
	    {"x\302\233y", "x?y", "nor those of C1"},
	    {"\377\300\257\342\202", "?????", "nor what is no UTF-8"},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(text, sizeof(text), "%s", all[i].in);
		view_clean(text);
		eq_str(text, all[i].out, all[i].what);
	}
}

static void
test_width(void)
{
	struct view v = {.title = ""};

	set(&v, "x", "\346\227\245\346\234\254\350\252\236");
	eq_str(lines_of(&v, (struct view_size){.columns = 17, .lines = 2}),
	    "x          \346\227\245\346\234\254\n",
	    "wide characters take two columns, and are never cut in half");
}

static void
test_draw(void)
{
	struct view v = {.title = "t"};
	struct text t = TEXT_EMPTY;

	set(&v, "a", "b");
	view_draw(&t, &v, &usual);
	eq_str(t.p,
	    "\rt          0 s of at most 0 s\033[K\r\n"
	    "a          b\033[K\r\n\033[J\033[2A",
	    "each line clears its rest, and the cursor goes back");
	text_reset(&t);
	view_erase(&t);
	eq_str(t.p, "\r\033[J", "taken away");
	text_clear(&t);
}

/* ---- a probe's state in words ---- */

static void
ask(struct probe *p, uint8_t test, unsigned unit, uint8_t step,
    enum ask_state state, double left_s, struct mono now)
{
	struct ask q = {
	    .label = {.test = test, .unit = (uint16_t)unit, .step = step},
	    .sock = engine_sock(&p->engine, false, 0, 0),
	    .after = ASK_NONE,
	    .port_of = ASK_NONE};
	uint16_t i = engine_ask(&p->engine, &q, now);

	p->engine.asks[i].state = state;
	p->engine.asks[i].due = ask_over(&p->engine.asks[i])
	    ? MONO_NEVER
	    : mono_add_us(now, (int64_t)(left_s * 1e6));
}

static void
test_words(void)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct probe_options o = {.rate = 100,
	    .lifetime = true,
	    .ttl_max_s = 60,
	    .ttl_resolution_s = 2};
	struct stun_addr servers[2] = {
	    {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 3478},
	    {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 2}, .port = 3478}};
	struct mono now = {1000000};
	struct live_family f = {.name = "IPv4"};
	struct live_words w;
	struct probe p;

	probe_init(&p, &o, servers, 2, seed, now);
	f.probe = &p;
	live_words(&w, &f, now);
	eq_str(w.text, "0 of 2 servers answer", "at the beginning");
	p.engine.asks[0].state = ASK_ANSWERED;
	live_words(&w, &f, now);
	eq_str(w.text, "1 of 2 servers answer", "one answers");
	ok(!w.news, "that is no line of its own");
	p.primary = 0;
	p.phase = PHASE_MAIN;
	live_words(&w, &f, now);
	ok(w.news, "a new phase is");
	live_words(&w, &f, now);
	eq_str(w.text, "mapping unknown, filtering unknown, ports unknown",
	    "what is known so far");
	ask(&p, TEST_MAPPING, 0, PLACE_PP, ASK_ASKED, 1, now);
	ask(&p, TEST_FILTER, 0, FILTER_ASK, ASK_SILENT, 0, now);
	live_words(&w, &f, now);
	eq_str(w.text, "mapping asking, filtering unknown, ports unknown",
	    "what is asked for, and what stays unknown");
	p.phase = PHASE_LIFE;
	ask(&p, TEST_LIFE, LIFE_EXCHANGE << 8 | 3, LIFE_CHECK, ASK_ANSWERED, 0,
	    now);
	ask(&p, TEST_LIFE, LIFE_EXCHANGE << 8 | 9, LIFE_CHECK, ASK_WAITING, 50,
	    now);
	live_words(&w, &f, now);
	now = mono_add_us(now, 25000000);
	live_words(&w, &f, now);
	ok(strncmp(w.ladder,
	       "lifetimes, 25 s more at most: 1 of 2 sockets, a mapping lives ",
	       60) == 0,
	    "how far the ladder is");
	ok(w.done == 25000000 && w.total == 50000000, "half of it");
	ok(!w.ladder_news, "no line yet");
	now = mono_add_us(now, 6000000);
	live_words(&w, &f, now);
	ok(w.ladder_news, "after 30 s a line");
	live_words(&w, &f, now);
	ok(!w.ladder_news, "and not again at once");
	p.phase = PHASE_DONE;
	p.primary = -1;
	live_words(&w, &f, now);
	eq_str(w.text, "no server answers over UDP", "at the end");
	eq_str(w.ladder, "", "and no ladder");
	probe_clear(&p);
}

int
main(void)
{
	test_lines();
	test_rows();
	test_clean();
	test_width();
	test_draw();
	test_words();
	return tap_done();
}

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
	    "relays     1 of 4 d\n",
	    "cut to the width, the last column free; no room for a bar");
	eq_str(lines_of(&v, (struct view_size){.columns = 40, .lines = 24}),
	    "hall       12 s of at most 45 s\n"
	    "IPv4       mapping none\n"
	    "relays     [########] 1 of 4 done\n",
	    "a short bar, which is never overfull");
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

/* ---- what goes on beside it ---- */

static struct call
a_call(enum call_use use, enum call_state state, enum call_end end)
{
	return (struct call){.use = use,
	    .state = state,
	    .end = end,
	    .hold_ms = 50000,
	    .port_of = ASK_NONE};
}

static void
test_tcp(void)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct probe_options o = {.rate = 100, .lifetime = true};
	struct stun_addr server = {
	    .ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 3478};
	struct mono now = {1000000};
	struct call k;
	struct live_part w;
	struct calls c;

	calls_init(&c, &o, &server, 1, seed, now);
	live_tcp(&w, &c, now);
	eq_str(w.text, "0 of 1 servers answer", "TCP: at the beginning");
	ok(!w.over && w.total == 0, "which is no outcome, and has no bar");
	c.phase = CALLS_MAIN;
	c.n = 0;
	k = a_call(CALL_MAPPING, CALL_OVER, CALL_ANSWERED);
	calls_add(&c, &k);
	k = a_call(CALL_MAPPING, CALL_CONNECTING, CALL_UNENDED);
	calls_add(&c, &k);
	live_tcp(&w, &c, now);
	eq_str(w.text, "1 of 2 connections done", "TCP: under way");
	ok(w.done == 1 && w.total == 2 && w.every_s == 0, "half of it");
	k = a_call(CALL_LIFE, CALL_OVER, CALL_ANSWERED);
	k.age_s = 12;
	calls_add(&c, &k);
	k = a_call(CALL_LIFE, CALL_IDLE, CALL_UNENDED);
	k.last = mono_add_us(now, 1000000);
	calls_add(&c, &k);
	now = mono_add_us(now, 21000000);
	live_tcp(&w, &c, now);
	eq_str(w.text,
	    "30 s more at most: 1 of 2 idle connections, one lives 12 s",
	    "TCP: the pause");
	ok(w.done == 21000000 && w.total == 51000000 && w.every_s == 30,
	    "a bar of time, and a line now and then");
	c.phase = CALLS_DONE;
	calls_stop(&c);
	live_tcp(&w, &c, now);
	eq_str(w.text,
	    "whether it works is not known, idle ones live 12 s or longer",
	    "TCP: cut short");
	c.n = 0;
	k = a_call(CALL_DISCOVER, CALL_OVER, CALL_SILENT);
	calls_add(&c, &k);
	live_tcp(&w, &c, now);
	eq_str(w.text, "no server answers over TCP", "TCP: the outcome");
	ok(w.over, "that it is");
	calls_clear(&c);
}

static void
test_way(void)
{
	struct hops h = {.began = {1}};
	struct live_way way = {.router = "", .hops = &h};
	struct live_part w;

	live_way(&w, &way);
	eq_str(w.text, "looking for a router; 0 routers of the way answer",
	    "the way: at the beginning");
	way.router = "10.0.2.2";
	way.opens = true;
	h.v[0].state = HOP_EXCEEDED;
	live_way(&w, &way);
	eq_str(w.text,
	    "10.0.2.2, is asked; a port is opened; 1 router of the way answers",
	    "the way: under way");
	ok(!w.over, "no outcome yet");
	way.router_over = way.hops_over = true;
	live_way(&w, &way);
	eq_str(w.text,
	    "10.0.2.2: no ports on demand; opened ports do not work; "
	    "1 router of the way answers",
	    "the way: a router that gives none");
	way.speaks[0] = way.speaks[2] = way.opened = true;
	h.v[1].state = HOP_ARRIVED;
	live_way(&w, &way);
	eq_str(w.text,
	    "10.0.2.2: PCP, UPnP; opened ports work; 2 hops to the server",
	    "the way: one that does");
	ok(w.over, "that is the outcome");
	way = (struct live_way){.hops = &h, .hops_over = true};
	live_way(&w, &way);
	eq_str(w.text, "2 hops to the server", "the way alone");
}

static void
test_path(void)
{
	static const uint8_t seed[MTU_SEED_LEN] = {1};
	struct stun_addr server = {
	    .ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 3478};
	struct reach r = {.n = 3};
	struct live_part w;
	struct mtu m;

	mtu_init(&m, false, &server, 1, 100, seed, (struct mono){1});
	live_path(&w, &m, &(struct reach){.n = 0});
	eq_str(w.text, "MTU is tried", "the path: at the beginning");
	r.rows[0] = (struct reach_row){.how = REACH_UDP, .saw = REACH_ANSWERS};
	r.rows[1] = (struct reach_row){.how = REACH_TCP, .saw = REACH_WAITS};
	r.rows[2] = (struct reach_row){.how = REACH_ECHO, .saw = REACH_SILENT};
	live_path(&w, &m, &r);
	eq_str(w.text, "MTU is tried; 1 of 2 ports pass",
	    "the path: an echo is no port");
	ok(!w.over && w.total == m.n + 3 && w.done == 2, "a bar of both");
	m.over = true;
	live_path(&w, &m, &r);
	ok(!w.over, "not over while a port waits");
	r.rows[1].saw = REACH_SILENT;
	live_path(&w, &m, &r);
	eq_str(w.text, "MTU unknown; 1 of 2 ports pass", "the path: over");
	ok(w.over && w.total == 0, "the outcome has no bar");
}

/* As much as a run of both families has. */
static void
test_all_rows(void)
{
	static const char *const parts[] = {"names", "IPv4", "IPv4 TCP",
	    "IPv4 way", "IPv4 path", "IPv6", "IPv6 TCP", "IPv6 way",
	    "IPv6 path", "relays", "IPv4 time", "IPv6 time"};
	struct view v = {.title = "hall"};
	struct text t = TEXT_EMPTY;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		set(&v, parts[i], "text");
	ok(view_lines(&t, &v, &usual) == 13 && strstr(t.p, "hall") != NULL,
	    "all rows of a run fit on 24 lines, with the title");
	text_clear(&t);
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
	test_tcp();
	test_way();
	test_path();
	test_all_rows();
	return tap_done();
}

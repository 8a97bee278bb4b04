/* knock_test: two hosts that try TCP, each behind a NAT that is told what it
 * does, joined by a queue, with the clock moved by hand: what is said of the
 * NATs is what they do. And what a hostile other side can do. */
#include <sodium.h>
#include <stdlib.h>

#include "probes/natprobe/pair/knock_why.h"
#include "tests/tap.h"

#define MS	INT64_C(1000)
#define FLIGHT	(10 * MS)
#define EVENTS	512
#define NOWHERE (-1)

enum { A, B, SIDES };
enum filter { EI, AD, APD };
enum answer { SILENT, RESET, ICMP, LATE };

struct nat {
	enum filter filter;
	enum answer answer;
	bool depends; /* the mapping */
	bool uncrossed; /* SYNs that cross do not pass */
	bool strict; /* SYNs leave to STUN servers alone */
	bool forgets; /* mappings, soon */
};

enum what { CONNECTED, FAILED, SYN, BYTES, SAID };
struct event {
	struct mono at;
	enum what what;
	int side;
	unsigned conn, from; /* SYN: the other's */
	enum knock_end end;
	uint8_t p[MESSAGE_MAX + 2];
	size_t n;
	struct knock_said said;
};

struct world {
	struct mono now;
	struct nat nat[SIDES];
	struct stun_addr outside[SIDES];
	struct knock k[SIDES];
	struct derpbox box[SIDES];
	struct key pub[SIDES];
	struct draw draw[SIDES];
	struct limit rate[SIDES];
	int link[SIDES][KNOCK_CONNS];
	bool sent[SIDES]; /* from P to the other side */
	bool hold, mute; /* mute: B says nothing */
	unsigned tried; /* connections to the other side */
	struct event v[EVENTS];
	size_t n;
};

static struct stun_addr
v4(uint8_t a, uint8_t last, uint16_t port)
{
	return (struct stun_addr){
	    {[10] = 0xff, [11] = 0xff, [12] = a, [15] = last}, port};
}

static struct knock_tools
tools(struct world *w, int side)
{
	return (struct knock_tools){&w->box[side], &w->pub[side],
	    side == A ? ROLE_PEER : ROLE_LISTENER, &w->draw[side],
	    &w->rate[side]};
}

static struct world *
world_new(struct nat a, struct nat b)
{
	static const struct key privs[] = {
	    {{8, 1, [31] = 64}}, {{16, 2, [31] = 64}}};
	struct world *w = calloc(1, sizeof(*w));

	w->now.us = 1000000;
	w->nat[A] = a;
	w->nat[B] = b;
	for (int s = A; s < SIDES; s++) {
		w->outside[s] = v4(198, (uint8_t)(10 + s), 5000);
		key_public(&w->pub[s], &privs[s]);
		w->rate[s] = limit_new(limit_interval(100), 20);
		w->draw[s].seed[0] = (uint8_t)s;
		for (unsigned i = 0; i < KNOCK_CONNS; i++)
			w->link[s][i] = NOWHERE;
	}
	for (int s = A; s < SIDES; s++)
		derpbox_init(&w->box[s], &w->pub[!s], &privs[s]);
	return w;
}

static struct event *
later(struct world *w, int64_t us, enum what what, int side, unsigned conn)
{
	struct event *e = &w->v[w->n];

	if (w->n == EVENTS)
		abort();
	w->n++;
	memset(e, 0, sizeof(*e));
	e->at = mono_add_us(w->now, us);
	e->what = what;
	e->side = side;
	e->conn = conn;
	return e;
}

/* ---- what happens to what a side does ---- */

static void
do_connect(struct world *w, int side, const struct knock_act *act)
{
	unsigned i = act->conn;
	static const int64_t again[] = {0, 1000 * MS, 2000 * MS, 3000 * MS};

	if (i <= KNOCK_AT_BESIDE) {
		later(w, 2 * FLIGHT, CONNECTED, side, i);
		return;
	}
	if (i == KNOCK_AT_CONTROL) {
		if (!w->nat[side].strict)
			later(w, 2 * FLIGHT, FAILED, side, i)->end =
			    KNOCK_RESET;
		return;
	}
	w->tried += side == A;
	w->link[side][i] = NOWHERE;
	if (w->nat[side].strict)
		return;
	w->sent[side] |= i == KNOCK_AT_OPEN && !w->nat[side].depends;
	for (size_t n = 0; n < sizeof(again) / sizeof(again[0]); n++)
		later(w, FLIGHT + again[n], SYN, !side, i)->from = i;
}

static void
answer_stun(struct world *w, int side, const struct knock_act *act)
{
	struct stun_addr mapped = w->outside[side];
	struct event *e;
	struct stun_msg msg;
	struct wr r;

	if (stun_parse(&msg, act->p, act->n) != STUN_FORM_OK)
		return;
	if (w->nat[side].depends)
		mapped.port = (uint16_t)(mapped.port + act->conn);
	if (w->nat[side].forgets && w->k[side].stage >= KNOCK_KNOCKED)
		mapped.port++;
	e = later(w, 2 * FLIGHT, BYTES, side, act->conn);
	wr_init(&r, e->p, sizeof(e->p));
	stun_begin(&r, STUN_SUCCESS, STUN_BINDING, &msg.txid);
	stun_put_xor_address(&r, &mapped, &msg.txid);
	e->n = stun_end(&r);
}

static void
do_send(struct world *w, int side, const struct knock_act *act)
{
	int to = w->link[side][act->conn];
	struct event *e;

	if (act->conn <= KNOCK_AT_BESIDE) {
		answer_stun(w, side, act);
		return;
	}
	if (to == NOWHERE)
		return;
	e = later(w, FLIGHT, BYTES, !side, (unsigned)to);
	memcpy(e->p, act->p, act->n);
	e->n = act->n;
}

static void
do_close(struct world *w, int side, unsigned i)
{
	int to = w->link[side][i];

	if (to != NOWHERE)
		later(w, FLIGHT, FAILED, !side, (unsigned)to)->end =
		    KNOCK_RESET;
	w->link[side][i] = NOWHERE;
}

static void
step(struct world *w, int side)
{
	struct knock_tools t = tools(w, side);
	struct knock *k = &w->k[side];
	struct knock_act act;

	knock_advance(k, &t, w->hold, 5 * MS, w->now);
	for (;;) {
		knock_next(k, &t, w->now, &act);
		if (act.kind == KNOCK_ACT_NOTHING)
			break;
		if (act.kind == KNOCK_ACT_LISTEN)
			knock_listens(k, true, w->now);
		else if (act.kind == KNOCK_ACT_CONNECT)
			do_connect(w, side, &act);
		else if (act.kind == KNOCK_ACT_SEND)
			do_send(w, side, &act);
		else
			do_close(w, side, act.conn);
	}
	if (mono_reached(knock_talk_due(k), w->now) && !(w->mute && side == B))
		later(w, 5 * MS, SAID, !side, 0)->said = knock_say(k, w->now);
}

/* ---- what comes ---- */

/* Does it come in at that side, from the other's conn? */
static bool
admits(const struct world *w, int side, unsigned from)
{
	switch (w->nat[side].filter) {
	case EI:
		return true;
	case AD:
		return w->sent[side];
	case APD:
		break;
	}
	return w->sent[side] && from == KNOCK_AT_OPEN && !w->nat[!side].depends;
}

static void
join(struct world *w, int side, unsigned conn, unsigned from)
{
	w->link[side][conn] = (int)from;
	w->link[!side][from] = (int)conn;
	later(w, FLIGHT, CONNECTED, !side, from);
}

static void
refuse(struct world *w, int side, unsigned from)
{
	static const int64_t after[] = {
	    [RESET] = FLIGHT, [ICMP] = FLIGHT, [LATE] = 6000 * MS};
	enum answer answer = w->nat[side].answer;

	if (answer != SILENT)
		later(w, after[answer], FAILED, !side, from)->end =
		    answer == RESET ? KNOCK_RESET : KNOCK_ICMP;
}

static void
land_syn(struct world *w, int side, unsigned from)
{
	struct knock *k = &w->k[side];
	bool opening = from == KNOCK_AT_OPEN && !w->nat[!side].depends &&
	    k->v[KNOCK_AT_OPEN].state == KNOCK_CONNECTING;
	int conn;

	if (w->k[!side].v[from].state != KNOCK_CONNECTING ||
	    w->link[!side][from] != NOWHERE)
		return;
	if (!admits(w, side, from))
		refuse(w, side, from);
	else if (opening && !w->nat[side].uncrossed) {
		join(w, side, KNOCK_AT_OPEN, from);
		later(w, FLIGHT, CONNECTED, side, KNOCK_AT_OPEN);
	} else if (!opening) {
		conn = knock_guest(k, &w->outside[!side], w->now);
		if (conn != -1)
			join(w, side, (unsigned)conn, from);
	}
}

static void
land(struct world *w, const struct event *e)
{
	struct knock_tools t = tools(w, e->side);
	struct knock *k = &w->k[e->side];

	switch (e->what) {
	case CONNECTED:
		knock_connected(k, e->conn, &t, w->now);
		break;
	case FAILED:
		knock_failed(k, e->conn, e->end, NULL, w->now);
		break;
	case SYN:
		land_syn(w, e->side, e->from);
		break;
	case BYTES:
		knock_input(k, e->conn, &t, e->p, e->n, w->now);
		break;
	case SAID:
		knock_hear(k, &e->said, w->now);
		break;
	}
}

static void
run(struct world *w, int64_t us)
{
	struct mono end = mono_add_us(w->now, us), next;

	while (w->now.us < end.us &&
	    !(knock_is_over(&w->k[A]) && knock_is_over(&w->k[B]))) {
		for (size_t i = 0; i < w->n;) {
			struct event e = w->v[i];

			if (!mono_reached(e.at, w->now)) {
				i++;
				continue;
			}
			memmove(&w->v[i], &w->v[i + 1],
			    (--w->n - i) * sizeof(w->v[0]));
			land(w, &e);
		}
		next = end;
		for (int s = A; s < SIDES; s++) {
			step(w, s);
			next = mono_earlier(next, knock_wake(&w->k[s], w->now));
			if (!(w->mute && s == B))
				next = mono_earlier(
				    next, knock_talk_due(&w->k[s]));
		}
		for (size_t i = 0; i < w->n; i++)
			next = mono_earlier(next, w->v[i].at);
		w->now.us = next.us > w->now.us ? next.us : w->now.us + 1;
	}
}

static void
begin(struct world *w)
{
	struct stun_addr servers[] = {v4(203, 1, 3478), v4(203, 2, 3478)};

	for (int s = A; s < SIDES; s++) {
		struct knock_tools t = tools(w, s);

		knock_begin(&w->k[s], servers, 2, &t, w->now);
	}
}

static struct world *
met(struct nat a, struct nat b, bool hold)
{
	struct world *w = world_new(a, b);

	w->hold = hold;
	begin(w);
	run(w, 12000 * MS);
	return w;
}

/* ---- the truth ---- */

/* Does A's SYN come in at B, once both have sent? */
static bool
goes(struct nat a, struct nat b)
{
	if (a.strict)
		return false;
	if (!a.depends && !b.depends && b.uncrossed)
		return false;
	if (b.filter == EI)
		return true;
	if (b.depends || b.strict)
		return false;
	return !a.depends || b.filter == AD;
}

static void
wrong(const char *pair, const char *what, long got)
{
	char text[96];

	snprintf(text, sizeof(text), "%s: %s: %ld", pair, what, got);
	ok(false, text);
}

static void
check_side(const struct world *w, int side, const char *what)
{
	static const enum knock_filter filters[] = {[EI] = KNOCK_FILTER_EI,
	    [AD] = KNOCK_FILTER_AD,
	    [APD] = KNOCK_FILTER_APD};
	static const enum knock_end ends[] = {[SILENT] = KNOCK_SILENT,
	    [RESET] = KNOCK_RESET,
	    [ICMP] = KNOCK_ICMP,
	    [LATE] = KNOCK_SILENT};
	const struct nat *n = &w->nat[side], *other = &w->nat[!side];
	struct knock_verdict v = knock_judge(&w->k[side]);
	bool told = n->filter == EI || !n->depends;

	if (v.unsolicited != (n->filter == EI ? KNOCK_IN : ends[n->answer]))
		wrong(what, "uninvited", v.unsolicited);
	/* After an error a NAT may forget what was sent. */
	if (v.filter != (told ? filters[n->filter] : KNOCK_FILTER_NOT_EI) &&
	    !(v.filter == KNOCK_FILTER_NOT_EI && n->filter == APD &&
		other->answer != SILENT))
		wrong(what, "filter", v.filter);
	if ((v.open == KNOCK_OPEN_WORKS) !=
		(goes(*n, *other) || goes(*other, *n)) ||
	    v.open == KNOCK_OPEN_UNKNOWN)
		wrong(what, "open", v.open);
	if (v.open == KNOCK_OPEN_FAILS && (n->depends || other->depends) &&
	    v.open_why != KNOCK_WHY_DEPENDS)
		wrong(what, "why", v.open_why);
	if (w->k[side].connects > KNOCK_CONNECTS_MAX)
		wrong(what, "connections", w->k[side].connects);
}

static void
nat_of(struct nat *n, unsigned i)
{
	*n = (struct nat){.filter = (enum filter)(i % 3),
	    .answer = (enum answer)(i / 3 % 3),
	    .depends = i / 9 == 1,
	    .uncrossed = i / 9 == 2};
}

static void
test_grid(void)
{
	int64_t longest = 0;
	unsigned pairs = 0;
	char what[32];

	for (unsigned i = 0; i < 27; i++)
		for (unsigned j = 0; j < 27; j++) {
			struct nat a, b;
			struct world *w;

			nat_of(&a, i);
			nat_of(&b, j);
			/* What its own SYN opens, it answers by another. */
			if ((a.depends && a.filter == EI) ||
			    (b.depends && b.filter == EI))
				continue;
			w = met(a, b, false);
			snprintf(what, sizeof(what), "%u with %u", i, j);
			if (!knock_is_over(&w->k[A]) ||
			    !knock_is_over(&w->k[B]))
				wrong(what, "it does not end", 0);
			check_side(w, A, what);
			check_side(w, B, what);
			if (w->now.us - 1000000 > longest)
				longest = w->now.us - 1000000;
			pairs++;
			free(w);
		}
	eq_int(pairs, 24 * 24, "all pairs");
	ok(longest < 3600 * MS, "within 3.6 s");
}

/* ---- errors, early and late ---- */

static void
test_late(void)
{
	struct nat late = {.filter = APD, .answer = LATE};
	struct nat port = {.filter = APD};
	struct world *w = met(late, port, true);
	struct knock_verdict v = knock_judge(&w->k[A]);

	ok(v.unsolicited == KNOCK_ICMP && v.unsolicited_us >= KNOCK_EARLY_US,
	    "an error that comes as late as it may");
	v = knock_judge(&w->k[B]);
	ok(v.unsolicited == KNOCK_SILENT && v.unsolicited_us >= KNOCK_EARLY_US,
	    "and one that does not come for so long");
	free(w);
	w = met(late, port, false);
	v = knock_judge(&w->k[A]);
	ok(v.unsolicited == KNOCK_SILENT && v.unsolicited_us >= KNOCK_WAIT_US,
	    "without patience: silent, for a time that is said");
	free(w);
}

/* ---- what says nothing ---- */

static void
check_unknown(struct world *w, enum knock_why why, const char *what)
{
	struct knock_verdict v = knock_judge(&w->k[A]);

	ok(v.filter == KNOCK_FILTER_UNKNOWN && v.filter_why == why &&
		v.unsolicited == KNOCK_NONE && v.unsolicited_why == why,
	    what);
	free(w);
}

static void
test_unknown(void)
{
	struct nat port = {.filter = APD}, strict = {.strict = true};
	struct nat forgets = {.filter = APD, .forgets = true};
	struct world *w;

	check_unknown(met(port, strict, false), KNOCK_WHY_BLOCKED,
	    "SYNs do not leave the other's network");
	check_unknown(met(forgets, port, false), KNOCK_WHY_LOST,
	    "the mapping did not live");
	w = world_new(port, port);
	w->outside[B] = w->outside[A];
	w->outside[B].port = 7000;
	begin(w);
	run(w, 12000 * MS);
	eq_int(knock_judge(&w->k[A]).open_why, KNOCK_WHY_NONE,
	    "behind one NAT, that passes them: both open");
	check_unknown(w, KNOCK_WHY_SAME_NAT, "but no filter was seen");
	w = world_new(port, port);
	w->outside[B] = v4(203, 1, 5000);
	begin(w);
	run(w, 12000 * MS);
	check_unknown(w, KNOCK_WHY_SAME_ADDRESS, "the STUN server's address");
	w = world_new(port, port);
	w->mute = true;
	begin(w);
	run(w, 12000 * MS);
	ok(!knock_is_over(&w->k[A]) && w->tried == 0 &&
		knock_judge(&w->k[A]).open_why == KNOCK_WHY_CUT,
	    "without a word of the other side, nothing is tried");
	check_unknown(w, KNOCK_WHY_CUT, "nor known");
}

static void
test_no_server(void)
{
	struct world *w =
	    world_new((struct nat){.filter = EI}, (struct nat){.filter = EI});
	struct stun_addr server = v4(203, 1, 3478);
	struct knock_tools t = tools(w, A);
	struct knock_verdict v;

	knock_begin(&w->k[A], NULL, 0, &t, w->now);
	t = tools(w, B);
	knock_begin(&w->k[B], &server, 1, &t, w->now);
	run(w, 12000 * MS);
	v = knock_judge(&w->k[A]);
	ok(knock_is_over(&w->k[A]) && v.filter_why == KNOCK_WHY_NO_SERVER &&
		v.open_why == KNOCK_WHY_NO_SERVER,
	    "a side without STUN servers");
	v = knock_judge(&w->k[B]);
	ok(v.filter == KNOCK_FILTER_EI && v.open_why == KNOCK_WHY_NO_ENDPOINT,
	    "can still say what the other's NAT does");
	free(w);
}

/* ---- a hostile other side ---- */

static void
test_endpoints(void)
{
	struct stun_addr outside = v4(198, 1, 5000), none = {.port = 0};
	struct stun_addr inside = v4(10, 1, 5000), own = v4(127, 1, 5000);
	struct stun_addr six = {{0x20, 1}, 5000}, ula = {{0xfd}, 5000};
	struct stun_addr many = v4(224, 1, 5000), ssh = v4(198, 1, 22);
	struct stun_addr link = {{0xfe, 0x80, [15] = 1}, 5000};

	ok(knock_may_be(&outside, &outside) && knock_may_be(&outside, &none) &&
		knock_may_be(&outside, &inside),
	    "an address that is the same everywhere");
	ok(knock_may_be(&inside, &inside) && knock_may_be(&own, &own),
	    "a private one, where STUN servers see such");
	ok(!knock_may_be(&inside, &outside) && !knock_may_be(&own, &outside) &&
		!knock_may_be(&own, &inside) && !knock_may_be(&inside, &none),
	    "but not elsewhere");
	ok(knock_may_be(&six, &six) && !knock_may_be(&six, &outside) &&
		knock_may_be(&ula, &ula) && !knock_may_be(&ula, &six) &&
		!knock_may_be(&link, &six),
	    "IPv6 likewise");
	ok(!knock_may_be(&many, &outside) && !knock_may_be(&ssh, &outside),
	    "nor many hosts, nor ports of services");
}

/* A, and another side that says what the test says. */
static struct world *
alone(void)
{
	struct world *w = world_new((struct nat){.filter = APD},
	    (struct nat){.answer = RESET, .filter = APD});

	w->mute = true;
	begin(w);
	run(w, 200 * MS);
	return w;
}

static void
test_names_one(void)
{
	struct world *w = alone();
	struct knock_said s = {.stage = KNOCK_READY, .addr = v4(10, 9, 5000)};

	knock_hear(&w->k[A], &s, w->now);
	run(w, 200 * MS);
	eq_int(w->tried, 0, "a private address of another place: not tried");
	s.addr = v4(198, 11, 5000);
	s.stage = KNOCK_KNOCKED;
	knock_hear(&w->k[A], &s, w->now);
	run(w, 8000 * MS);
	ok(w->tried == 0 && knock_judge(&w->k[A]).open_why == KNOCK_WHY_ODD,
	    "nor one that is named later");
	free(w);
	w = alone();
	s.stage = KNOCK_READY;
	for (int i = 0; i < 200; i++) {
		s.addr.port = (uint16_t)(5000 + i);
		s.stage = (uint8_t)(KNOCK_READY + i / 60);
		knock_hear(&w->k[A], &s, w->now);
		run(w, 50 * MS);
	}
	for (unsigned i = KNOCK_AT_FIRST; i < KNOCK_AT_GUEST; i++)
		if (w->k[A].v[i].to.port != 0)
			eq_int(w->k[A].v[i].to.port, 5000,
			    "one endpoint, whatever it says");
	ok(w->tried <= 2 * KNOCK_TRIES + KNOCK_OPENS &&
		w->k[A].connects <= KNOCK_CONNECTS_MAX,
	    "so many times at the most");
	free(w);
}

static void
test_guests(void)
{
	struct world *w = alone();
	struct knock *k = &w->k[A];
	struct knock_tools t = tools(w, A);
	struct stun_addr from = v4(192, 1, 1);
	static const uint8_t junk[3000] = {0, 200};
	unsigned in = 0;

	for (int i = 0; i < 100; i++)
		in += knock_guest(k, &from, w->now) != -1;
	eq_int(in, KNOCK_GUESTS, "so many guests at one time");
	knock_input(k, KNOCK_AT_GUEST, &t, junk, sizeof(junk), w->now);
	eq_int(k->v[KNOCK_AT_GUEST].state, KNOCK_CLOSING,
	    "one that says nothing good is sent away");
	knock_input(k, KNOCK_AT_GUEST + 1, &t, junk, 100, w->now);
	eq_int(k->v[KNOCK_AT_GUEST + 1].state, KNOCK_UP, "half a word");
	run(w, KNOCK_WHO_US + 100 * MS);
	eq_int(k->v[KNOCK_AT_GUEST + 1].state, KNOCK_IDLE,
	    "so is one that says nothing");
	for (int i = 0; i < 1000; i++) {
		in += knock_guest(k, &from, w->now) != -1;
		run(w, 100 * MS);
	}
	eq_int(in, KNOCK_GUESTS_MAX, "so many in all");
	ok(k->came[0] + k->came[1] + k->came[2] == 0 &&
		knock_judge(k).filter == KNOCK_FILTER_UNKNOWN,
	    "and none of them is the other side");
	free(w);
}

/* Something that answers for the other side, as gateways and proxies do. */
static void
test_foreign(void)
{
	struct world *w = alone();
	struct knock *k = &w->k[A];
	struct knock_tools t = tools(w, A);
	struct knock_said s = {.stage = KNOCK_READY, .addr = v4(198, 11, 5000)};
	int64_t us;

	w->nat[B].answer = SILENT;
	knock_hear(k, &s, w->now);
	step(w, A);
	knock_connected(k, KNOCK_AT_FIRST, &t, w->now);
	knock_input(
	    k, KNOCK_AT_FIRST, &t, (const uint8_t *)"\0\5HTTP ", 7, w->now);
	run(w, 3000 * MS);
	eq_int(knock_met(k, KNOCK_AT_FIRST, w->now, &us), KNOCK_FOREIGN,
	    "who lets it in but is not the other side");
	free(w);
}

int
main(void)
{
	if (sodium_init() == -1)
		return 1;
	test_grid();
	test_late();
	test_unknown();
	test_no_server();
	test_endpoints();
	test_names_one();
	test_guests();
	test_foreign();
	return tap_done();
}

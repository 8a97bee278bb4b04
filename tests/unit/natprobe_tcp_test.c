/*
 * natprobe_tcp_test: the core of natprobe's TCP questions against NATs and
 * servers of every kind, with the clock moved by hand. What the world does to
 * a connection is a model of a few lines; real sockets, servers and NATs are
 * in tests/natlab/tcp_test.py.
 */
#include <stdlib.h>

#include "probes/natprobe/tcp/calls.h"
#include "tests/tap.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)
#define RTT_US (50 * MS)

/* What a server's address does; it is its address's fourth byte / 10. */
enum server_kind {
	SERVES,
	REFUSES,
	SILENT,
	UNREACHABLE,
	RESETS, /* when it is asked */
	CLOSES, /* when it is asked */
	MUTE,
	BABBLES, /* no STUN */
	LIES, /* another address each time */
	ONE_FOR_ALL, /* tells all the same address */
	TWICE, /* each answer two times */
	ERRS, /* error 500 */
	FOREIGN, /* answers to other questions, and then to this one */
	SERVER_KINDS,
};

enum midstream { DROPS, RESETS_IT, PICKS_UP };

static struct world {
	enum behaviour mapping;
	int64_t life_us; /* of an idle connection; 0: for ever */
	enum midstream midstream;
	bool delays; /* the server knows CN-DELAY */
	int64_t server_closes_us; /* what is idle for so long */
	bool server_resets; /* and not by a FIN */
	int64_t server_keeps_us; /* a keepalive of the server's */
	int64_t server_dies_us; /* after the start: all is silent then */
	bool one_address; /* no OTHER-ADDRESS */
	enum server_kind alternate; /* what the second address does */
	unsigned loss_of; /* one in so many SYNs is lost for good */
} w;

enum event_kind { CONNECTED, FAILED, BYTES, OWN_KEEPALIVE, KEEPALIVE };

static struct event {
	struct mono at; /* 0: free */
	enum event_kind kind;
	uint16_t call;
	enum call_end why;
	uint8_t b[300];
	size_t n;
} events[2000];

static struct line {
	struct mono last;
	uint64_t segments;
	bool dead; /* the server's end is gone */
} lines[CALLS_MAX];

static struct calls c;
static struct mono now;
static unsigned opened, lied;

static struct event *
later(int64_t us, enum event_kind kind, uint16_t call)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (!mono_is_set(events[i].at)) {
			events[i] = (struct event){.at = mono_add_us(now, us),
			    .kind = kind,
			    .call = call};
			return &events[i];
		}
	abort();
}

static struct stun_addr
v4(uint8_t a, uint8_t last, uint16_t port)
{
	return (struct stun_addr){
	    .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, 0, 2, last},
	    .port = port};
}

static enum server_kind
kind_of(const struct stun_addr *to)
{
	if (to->ip[15] % 10 == 1)
		return w.alternate;
	return (enum server_kind)(to->ip[15] / 10);
}

static bool
server_is_dead(void)
{
	return w.server_dies_us != 0 &&
	    mono_diff_us(c.began, now) >= w.server_dies_us;
}

static struct stun_addr
map(const struct call *k)
{
	unsigned port = k->local.port;

	if (w.mapping == BEHAVIOUR_NONE)
		return k->local;
	if (w.mapping == BEHAVIOUR_AD || w.mapping == BEHAVIOUR_APD)
		port += 101u * k->to.ip[15];
	if (w.mapping == BEHAVIOUR_PD || w.mapping == BEHAVIOUR_APD)
		port += k->to.port;
	return v4(198, 1, (uint16_t)(20000 + port % 40000));
}

static bool
is_alive(uint16_t i)
{
	return w.life_us == 0 || mono_diff_us(lines[i].last, now) <= w.life_us;
}

/* ---- the server ---- */

static size_t
write_answer(uint8_t *out, size_t cap, const struct call *k,
    const struct stun_txid *txid, enum server_kind kind)
{
	struct stun_addr mapped = map(k), other = v4(192, 1, 3479);
	struct wr wr;

	other.ip[15] = (uint8_t)(k->to.ip[15] + 1);
	if (kind == LIES)
		mapped.port = (uint16_t)(30000 + ++lied);
	if (kind == ONE_FOR_ALL)
		mapped.port = 30000;
	wr_init(&wr, out, cap);
	stun_begin(
	    &wr, kind == ERRS ? STUN_ERROR : STUN_SUCCESS, STUN_BINDING, txid);
	if (kind == ERRS)
		stun_put_error(&wr, 500);
	else
		stun_put_xor_address(&wr, &mapped, txid);
	if (!w.one_address)
		stun_put_address(&wr, STUN_OTHER_ADDRESS, &other);
	return stun_end(&wr);
}

static uint32_t
delay_of(const struct stun_msg *m)
{
	struct rd r = stun_attrs(m), v;
	struct stun_attr a;

	while (stun_attr_next(m, &r, &a))
		if (a.type == STUN_CN_DELAY && w.delays) {
			rd_init(&v, a.value, a.len);
			return rd_u32(&v);
		}
	return 0;
}

static void
serve(uint16_t i, const struct stun_msg *m)
{
	static const struct stun_txid foreign = {{1}};
	const struct call *k = &c.v[i];
	enum server_kind kind = kind_of(&k->to);
	struct event *e;

	if (kind == MUTE || server_is_dead() || lines[i].dead)
		return;
	e = later(RTT_US + delay_of(m) * MS, BYTES, i);
	if (kind == RESETS || kind == CLOSES) {
		e->kind = FAILED;
		e->why = kind == RESETS ? CALL_RESET : CALL_CLOSED;
		lines[i].dead = true;
		return;
	}
	if (kind == BABBLES) {
		memcpy(e->b, "HTTP/1.1 400 Bad Request\r\n", 26);
		e->n = 26;
		return;
	}
	if (kind == FOREIGN)
		e->n = write_answer(e->b, 100, k, &foreign, SERVES);
	e->n += write_answer(e->b + e->n, 100, k, &m->txid, kind);
	if (kind == TWICE)
		e->n += write_answer(e->b + e->n, 100, k, &m->txid, kind);
}

static void
send_out(const struct call_act *act)
{
	struct line *l = &lines[act->call];
	size_t at = 0, len;
	struct stun_msg m;

	if (!is_alive(act->call) && w.midstream != PICKS_UP) {
		if (w.midstream == RESETS_IT)
			later(MS, FAILED, act->call)->why = CALL_RESET;
		return;
	}
	l->last = now;
	l->segments++; /* its acknowledgement */
	while (stun_frame(act->p + at, act->len - at, 1000, &len) ==
	    STUN_FRAME_WHOLE) {
		if (stun_parse(&m, act->p + at, len) == STUN_FORM_OK)
			serve(act->call, &m);
		at += len;
	}
	if (at != act->len)
		ok(false, "only whole questions are sent");
	if (w.server_closes_us != 0)
		later(w.server_closes_us, FAILED, act->call)->why =
		    w.server_resets ? CALL_RESET : CALL_CLOSED;
	if (w.server_keeps_us != 0)
		later(w.server_keeps_us, KEEPALIVE, act->call);
}

/* ---- the network ---- */

static void
open_call(uint16_t i)
{
	static const enum call_end ends[SERVER_KINDS] = {
	    [REFUSES] = CALL_REFUSED, [UNREACHABLE] = CALL_UNREACHABLE};
	const struct call *k = &c.v[i];
	struct stun_addr local = v4(10, 15, 0);
	enum server_kind kind = kind_of(&k->to);

	opened++;
	local.port = k->port_of == i ? (uint16_t)(40000 + i)
				     : c.v[k->port_of].local.port;
	calls_opened(&c, i, &local);
	lines[i] = (struct line){.last = now};
	if (kind == SILENT || server_is_dead() ||
	    (w.loss_of != 0 && opened % w.loss_of == 0))
		return;
	if (ends[kind] != CALL_UNENDED)
		later(RTT_US, FAILED, i)->why = ends[kind];
	else
		later(RTT_US, CONNECTED, i);
	if (k->keepalive_s != 0)
		later(k->keepalive_s * SECOND, OWN_KEEPALIVE, i);
}

static void
happen(struct event *e)
{
	struct event it = *e;
	struct line *l = &lines[it.call];
	bool alive = is_alive(it.call);

	e->at = MONO_NEVER;
	if (!c.v[it.call].open)
		return;
	switch (it.kind) {
	case CONNECTED:
		l->last = now;
		calls_connected(&c, it.call, now);
		break;
	case FAILED:
		/* Of an idle one only if nothing was said since. */
		if (w.server_closes_us != 0 &&
		    mono_diff_us(l->last, now) < w.server_closes_us - RTT_US)
			break;
		if (alive || w.midstream == RESETS_IT)
			calls_failed(&c, it.call, it.why, now);
		break;
	case BYTES:
		if (!alive || server_is_dead())
			break;
		l->last = now;
		l->segments++;
		calls_input(&c, it.call, it.b, it.n, now);
		break;
	case KEEPALIVE:
		if (!alive)
			break;
		l->last = now;
		l->segments++;
		break;
	case OWN_KEEPALIVE:
		if (alive)
			l->last = now;
		later(
		    c.v[it.call].keepalive_s * SECOND, OWN_KEEPALIVE, it.call);
		break;
	}
}

static void
do_all(void)
{
	struct call_act act;

	do
		while (calls_next(&c, now, &act))
			switch (act.kind) {
			case CALL_ACT_OPEN:
				open_call(act.call);
				break;
			case CALL_ACT_SEND:
				send_out(&act);
				break;
			case CALL_ACT_COUNT:
				calls_counted(&c, act.call,
				    lines[act.call].segments, now);
				break;
			case CALL_ACT_CLOSE:
				break;
			}
	while (calls_advance(&c, now) && mono_reached(calls_wake(&c), now));
}

static struct event *
first_event(void)
{
	struct event *best = NULL;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (mono_is_set(events[i].at) &&
		    (best == NULL || events[i].at.us < best->at.us))
			best = &events[i];
	return best;
}

/* Runs to the end; returns how long it took, in seconds. */
static double
run(const uint8_t *servers, size_t n, struct probe_options o,
    struct verdict_tcp *v)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct stun_addr at[PROBE_SERVERS];
	struct event *e;
	double s;

	memset(events, 0, sizeof(events));
	memset(lines, 0, sizeof(lines));
	opened = lied = 0;
	now = (struct mono){SECOND};
	for (size_t i = 0; i < n; i++)
		at[i] = v4(192, servers[i], 3478);
	if (o.rate == 0)
		o.rate = 100;
	calls_init(&c, &o, at, n, seed, now);
	do_all();
	while (c.phase != CALLS_DONE) {
		struct mono wake = calls_wake(&c);

		e = first_event();
		if (e != NULL && (!mono_is_set(wake) || e->at.us < wake.us)) {
			now = e->at;
			happen(e);
		} else
			now = wake;
		do_all();
	}
	judge_tcp(&c, v);
	s = (double)mono_diff_us(c.began, now) / 1e6;
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
			w = (struct world){
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
		w = (struct world){.mapping = kinds[i][0], .one_address = true};
		run((uint8_t[]){0, 2, 4}, 3, (struct probe_options){0}, &v);
		if (!ok(v.mapping.kind == kinds[i][1],
			behaviour_name(kinds[i][0])))
			note(&v, 0);
	}
	/* Nothing is known of other ports, and that is said. */
	w = (struct world){.mapping = BEHAVIOUR_EI, .one_address = true};
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
		w = (struct world){
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

	w = (struct world){.mapping = BEHAVIOUR_APD};
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
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct stun_addr at = v4(192, 0, 3478);
	struct probe_options o = {.rate = 100};
	struct verdict_tcp v;
	unsigned wrong = 0;

	w = (struct world){.mapping = BEHAVIOUR_APD};
	for (unsigned steps = 0; steps < 200; steps++) {
		memset(events, 0, sizeof(events));
		now = (struct mono){SECOND};
		calls_init(&c, &o, &at, 1, seed, now);
		do_all();
		for (unsigned i = 0; i < steps && c.phase != CALLS_DONE; i++) {
			struct event *e = first_event();

			if (e != NULL && e->at.us < calls_wake(&c).us) {
				now = e->at;
				happen(e);
			} else
				now = calls_wake(&c);
			do_all();
		}
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
			w = (struct world){.mapping = BEHAVIOUR_EI,
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

	w = (struct world){.mapping = BEHAVIOUR_EI, .life_us = 30 * SECOND};
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
	w = (struct world){.mapping = BEHAVIOUR_EI, .delays = true};
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
	w = (struct world){.mapping = BEHAVIOUR_EI,
	    .delays = true,
	    .server_dies_us = 9 * SECOND};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NO_CONTROL && v.life.high == 0 &&
		    v.life.low < 9,
		"a server that dies under way is no dead NAT"))
		note(&v, s);
	/* Rungs that never came to be say nothing. */
	w = (struct world){.mapping = BEHAVIOUR_EI,
	    .life_us = 30 * SECOND,
	    .loss_of = 3,
	    .delays = true};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_NONE && v.life.low <= 30 &&
		    v.life.high >= 30 && v.life.high - v.life.low < 7,
		"a third of the connections never opens"))
		note(&v, s);
	w = (struct world){.mapping = BEHAVIOUR_EI, .server_dies_us = 300 * MS};
	s = run((uint8_t[]){0}, 1, o, &v);
	if (!ok(v.life.why == REASON_TCP_SILENT && v.life.low == 0 &&
		    v.life.high == 0,
		"a server that dies before the ladder"))
		note(&v, s);
	w = (struct world){.mapping = BEHAVIOUR_EI};
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
		at[i] = v4(192, i, 3478);
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

/* tcpworld: see tcpworld.h. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/tcpworld.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)
#define RTT_US (50 * MS)

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
	uint32_t out, in; /* the numbers of the next bytes */
} lines[CALLS_MAX];

static struct tcpworld w;
static struct calls *c;
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

struct stun_addr
tcpworld_address(uint8_t a, uint8_t last, uint16_t port)
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
	    mono_diff_us(c->began, now) >= w.server_dies_us;
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
	return tcpworld_address(198, 1, (uint16_t)(20000 + port % 40000));
}

static bool
is_alive(uint16_t i)
{
	return w.life_us == 0 || mono_diff_us(lines[i].last, now) <= w.life_us;
}

/* ---- what a capture sees ---- */

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static void
put_ip(struct wr *wr, const struct stun_addr *from, const struct stun_addr *to,
    uint8_t protocol, size_t n)
{
	wr_u16(wr, 0x4500);
	wr_u16(wr, (uint16_t)(20 + n));
	wr_zero(wr, 4);
	wr_u8(wr, 64);
	wr_u8(wr, protocol);
	wr_u16(wr, 0);
	wr_bytes(wr, from->ip + 12, 4);
	wr_bytes(wr, to->ip + 12, 4);
}

static void
show(const struct wr *wr)
{
	if (wr->bad)
		abort();
	w.tap(w.tap_arg, wr->start, wr_len(wr), now);
}

/* A segment of call i, with the n bytes that have the number seq. */
static void
show_segment(uint16_t i, bool out, uint8_t flags, uint32_t seq,
    const uint8_t *p, size_t n)
{
	const struct call *k = &c->v[i];
	const struct stun_addr *from = out ? &k->local : &k->to;
	const struct stun_addr *to = out ? &k->to : &k->local;
	uint8_t b[400];
	struct wr wr;

	if (w.tap == NULL)
		return;
	wr_init(&wr, b, sizeof(b));
	put_ip(&wr, from, to, 6, 20 + n);
	wr_u16(&wr, from->port);
	wr_u16(&wr, to->port);
	wr_u32(&wr, seq);
	wr_u32(&wr, out ? lines[i].in : lines[i].out);
	wr_u8(&wr, 5 << 4);
	wr_u8(&wr, flags);
	wr_zero(&wr, 6);
	wr_bytes(&wr, p, n);
	show(&wr);
}

static void
show_bytes(uint16_t i, bool out, const uint8_t *p, size_t n)
{
	uint32_t *next = out ? &lines[i].out : &lines[i].in;
	size_t half = w.shuffle ? n / 2 : 0;

	if (w.shuffle)
		show_segment(
		    i, out, ACK, *next + (uint32_t)half, p + half, n - half);
	show_segment(i, out, ACK, *next, p, w.shuffle ? half + 3 : n);
	if (w.shuffle)
		show_segment(i, out, ACK, *next, p, n);
	*next += (uint32_t)n;
}

static void
show_unreachable(uint16_t i)
{
	const struct call *k = &c->v[i];
	const struct stun_addr router = tcpworld_address(10, 1, 0);
	uint8_t b[100];
	struct wr wr;

	if (w.tap == NULL)
		return;
	wr_init(&wr, b, sizeof(b));
	put_ip(&wr, &router, &k->local, 1, 36);
	wr_u16(&wr, 0x0301); /* no host */
	wr_zero(&wr, 6);
	put_ip(&wr, &k->local, &k->to, 6, 20);
	wr_u16(&wr, k->local.port);
	wr_u16(&wr, k->to.port);
	wr_u32(&wr, lines[i].out - 1);
	show(&wr);
}

/* What anyone could send who does not see the numbers: the kernel does not
 * believe it. */
static void
show_forged(uint16_t i)
{
	struct line *l = &lines[i];

	if (!w.shuffle)
		return;
	l->out += 9;
	show_segment(i, false, RST | ACK, l->in + 1000, NULL, 0);
	show_segment(i, false, SYN | ACK, l->in + 1000, NULL, 0);
	show_unreachable(i);
	l->out -= 9;
}

static void
show_failure(uint16_t i, enum call_end why)
{
	if (why == CALL_UNREACHABLE)
		show_unreachable(i);
	else if (why == CALL_REFUSED || why == CALL_RESET)
		show_segment(i, false, RST | ACK, lines[i].in, NULL, 0);
	else
		show_segment(i, false, FIN | ACK, lines[i].in, NULL, 0);
}

/* ---- the server ---- */

static size_t
write_answer(uint8_t *out, size_t cap, const struct call *k,
    const struct stun_txid *txid, enum server_kind kind)
{
	struct stun_addr mapped = map(k),
			 other = tcpworld_address(192, 1, 3479);
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
	const struct call *k = &c->v[i];
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

	show_bytes(act->call, true, act->p, act->len);
	if (!is_alive(act->call) && w.midstream != PICKS_UP) {
		if (w.midstream == RESETS_IT)
			later(MS, FAILED, act->call)->why = CALL_RESET;
		return;
	}
	l->last = now;
	l->segments++; /* its acknowledgement */
	show_segment(act->call, false, ACK, l->in, NULL, 0);
	while (stun_frame(act->p + at, act->len - at, 1000, &len) ==
	    STUN_FRAME_WHOLE) {
		if (stun_parse(&m, act->p + at, len) == STUN_FORM_OK)
			serve(act->call, &m);
		at += len;
	}
	if (at != act->len)
		abort(); /* only whole questions are sent */
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
	const struct call *k = &c->v[i];
	struct stun_addr local = tcpworld_address(10, 15, 0);
	enum server_kind kind = kind_of(&k->to);

	opened++;
	local.port = k->port_of == i ? (uint16_t)(40000 + i)
				     : c->v[k->port_of].local.port;
	calls_opened(c, i, &local);
	/* Numbers that soon are 0 again. */
	lines[i] = (struct line){.last = now, .out = UINT32_MAX - 20u - i};
	show_segment(i, true, SYN, lines[i].out++, NULL, 0);
	show_forged(i);
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
	if (!c->v[it.call].open)
		return;
	switch (it.kind) {
	case CONNECTED:
		l->last = now;
		l->in = UINT32_MAX - 50u + it.call;
		show_segment(it.call, false, SYN | ACK, l->in, NULL, 0);
		l->in++;
		show_segment(it.call, true, ACK, l->out, NULL, 0);
		calls_connected(c, it.call, now);
		break;
	case FAILED:
		/* Of an idle one only if nothing was said since. */
		if (w.server_closes_us != 0 &&
		    mono_diff_us(l->last, now) < w.server_closes_us - RTT_US)
			break;
		if (!alive && w.midstream != RESETS_IT)
			break;
		show_failure(it.call, it.why);
		calls_failed(c, it.call, it.why, now);
		break;
	case BYTES:
		if (!alive || server_is_dead())
			break;
		l->last = now;
		l->segments++;
		show_forged(it.call);
		show_bytes(it.call, false, it.b, it.n);
		calls_input(c, it.call, it.b, it.n, now);
		break;
	case KEEPALIVE:
		if (!alive)
			break;
		l->last = now;
		l->segments++;
		show_segment(it.call, false, ACK, l->in - 1, NULL, 0);
		break;
	case OWN_KEEPALIVE:
		if (alive)
			l->last = now;
		later(
		    c->v[it.call].keepalive_s * SECOND, OWN_KEEPALIVE, it.call);
		break;
	}
}

static void
do_all(void)
{
	struct call_act act;

	do
		while (calls_next(c, now, &act))
			switch (act.kind) {
			case CALL_ACT_OPEN:
				open_call(act.call);
				break;
			case CALL_ACT_SEND:
				send_out(&act);
				break;
			case CALL_ACT_COUNT:
				calls_counted(
				    c, act.call, lines[act.call].segments, now);
				break;
			case CALL_ACT_CLOSE:
				break;
			}
	while (calls_advance(c, now) && mono_reached(calls_wake(c), now));
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

void
tcpworld_begin(struct calls *calls, const struct tcpworld *world,
    const uint8_t *servers, size_t n, const struct probe_options *options)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	struct stun_addr at[PROBE_SERVERS];
	struct probe_options o = *options;

	memset(events, 0, sizeof(events));
	memset(lines, 0, sizeof(lines));
	opened = lied = 0;
	c = calls;
	w = *world;
	now = (struct mono){TCPWORLD_BEGIN_US};
	for (size_t i = 0; i < n; i++)
		at[i] = tcpworld_address(192, servers[i], 3478);
	if (o.rate == 0)
		o.rate = 100;
	calls_init(c, &o, at, n, seed, now);
	do_all();
}

bool
tcpworld_step(void)
{
	struct mono wake = calls_wake(c);
	struct event *e = first_event();

	if (c->phase == CALLS_DONE)
		return false;
	if (e != NULL && (!mono_is_set(wake) || e->at.us < wake.us)) {
		now = e->at;
		happen(e);
	} else
		now = wake;
	do_all();
	return true;
}

struct mono
tcpworld_now(void)
{
	return now;
}

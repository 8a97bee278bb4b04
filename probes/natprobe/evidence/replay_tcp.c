/* replay_tcp: see replay_tcp.h. PURE. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/evidence/replay_tcp.h"

#define MS INT64_C(1000)

/* The run may have been ahead of the packets' clock by so much. */
#define AHEAD_US (50 * MS)
/* As conf.c allows. */
#define TTL_MIN_S 4
#define TTL_MAX_S 600
#define RATE_MAX  1000

/* ---- time ---- */

/* As tcp/net.c does, but what is to be said, or closed, has been. */
static void
go(struct replay_tcp *t, struct mono now)
{
	struct calls *c = &t->calls;
	struct call_act act;

	do
		while (calls_next(c, now, &act))
			if (act.kind == CALL_ACT_COUNT)
				calls_counted(c, act.call,
				    t->conns[act.call].segments, now);
	while (calls_advance(c, now) && mono_reached(calls_wake(c), now));
}

static bool
is_due(const struct calls *c, struct mono now)
{
	struct mono wake = calls_wake(c);

	return c->phase != CALLS_DONE && mono_is_set(wake) &&
	    mono_reached(wake, now);
}

static void
pass_time(struct replay_tcp *t, struct mono now)
{
	while (is_due(&t->calls, now))
		go(t, calls_wake(&t->calls));
	go(t, now);
}

/* ---- which connection ---- */

static bool
is_before(const struct call *a, const struct call *b)
{
	return a->due.us < b->due.us || (a->due.us == b->due.us && a < b);
}

/* The turn of these came, before that of k unless it is NULL, and no packet
 * left. */
static void
fail_waiting(struct replay_tcp *t, const struct call *k, struct mono now)
{
	struct calls *c = &t->calls;

	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].state != CALL_WAITING ||
		    (k != NULL && !is_before(&c->v[i], k)))
			continue;
		calls_open(c, (uint16_t)i, now);
		calls_failed(c, (uint16_t)i, CALL_UNREACHABLE, now);
	}
}

/* The next that the notes have of a SYN like that; NULL: it is none of ours. */
static const struct note_call *
next_note(struct replay_tcp *t, const struct frame *f)
{
	const struct note *n = t->note;

	for (size_t i = 0; i < n->n_calls; i++) {
		if (t->taken[i] || !stun_addr_same(&n->calls[i].to, &f->to) ||
		    !stun_addr_same(&n->calls[i].local, &f->from))
			continue;
		t->taken[i] = true;
		return &n->calls[i];
	}
	return NULL;
}

static bool
waits(const struct calls *c, const struct note_call *n)
{
	return n->call < c->n && c->v[n->call].state == CALL_WAITING &&
	    stun_addr_same(&c->v[n->call].to, &n->to);
}

static bool
open_conn(struct replay_tcp *t, const struct frame *f, struct mono now)
{
	const struct note_call *note = next_note(t, f);
	struct replay_conn *n;

	if (note == NULL)
		return false;
	if (!waits(&t->calls, note))
		pass_time(t, mono_add_us(now, AHEAD_US));
	if (!waits(&t->calls, note)) {
		t->stray++;
		return false;
	}
	fail_waiting(t, &t->calls.v[note->call], now);
	n = &t->conns[note->call];
	*n = (struct replay_conn){.isn = f->seq};
	stream_init(&n->out, f->seq + 1);
	calls_open(&t->calls, note->call, now);
	calls_opened(&t->calls, note->call, &f->from);
	return true;
}

/* ---- what leaves ---- */

static bool
asks_for_later(const struct stun_msg *m)
{
	struct rd r = stun_attrs(m);
	struct stun_attr a;

	while (stun_attr_next(m, &r, &a))
		if (a.type == STUN_CN_DELAY)
			return true;
	return false;
}

/* Which of the questions it is, stands in the order of the connection's. */
static void
note_question(struct replay_conn *n, struct call *k, const struct stun_msg *m,
    struct mono now)
{
	bool first = !n->asked;

	n->asked = true;
	if (first) {
		k->txid[0] = m->txid;
		return;
	}
	if (!call_is_idler(k)) {
		k->txid[1] = m->txid;
		return;
	}
	if (asks_for_later(m)) {
		k->txid[1] = m->txid;
		if (k->state == CALL_READY || k->state == CALL_SETTLING)
			call_asked_for_late(k, now);
	} else {
		k->txid[2] = m->txid;
		if (k->state > CALL_SETTLING && k->state != CALL_OVER)
			call_poked(k, now);
	}
}

static void
say(struct replay_conn *n, struct call *k, const uint8_t *p, size_t len,
    struct mono now)
{
	size_t room = sizeof(n->said) - n->said_n, at = 0, one;
	struct stun_msg m;

	if (len > room)
		len = room;
	memcpy(n->said + n->said_n, p, len);
	n->said_n += len;
	while (stun_frame(n->said + at, n->said_n - at, CALL_OUT_MAX, &one) ==
	    STUN_FRAME_WHOLE) {
		if (stun_parse(&m, n->said + at, one) == STUN_FORM_OK &&
		    m.class == STUN_REQUEST)
			note_question(n, k, &m, now);
		at += one;
	}
	n->said_n -= at;
	memmove(n->said, n->said + at, n->said_n);
}

/* An acknowledgement of the other's first segment, if that is not there. */
static void
learn_numbers(struct replay_tcp *t, uint16_t i, const struct frame *f,
    uint32_t next, struct mono now)
{
	struct replay_conn *n = &t->conns[i];

	if (n->synced || !(f->flags & FRAME_ACK))
		return;
	n->synced = true;
	stream_init(&n->in, next);
	calls_connected(&t->calls, i, now);
	go(t, now);
}

static void
take_out(
    struct replay_tcp *t, uint16_t i, const struct frame *f, struct mono now)
{
	struct replay_conn *n = &t->conns[i];
	uint8_t b[STREAM_AHEAD];
	size_t len;

	if (!(f->flags & FRAME_RST))
		learn_numbers(t, i, f, f->ack, now);
	n->left |= (f->flags & (FRAME_RST | FRAME_FIN)) != 0;
	(void)stream_put(&n->out, f->seq, f->p, f->n);
	while ((len = stream_take(&n->out, b)) > 0)
		say(n, &t->calls.v[i], b, len, now);
}

/* ---- what comes ---- */

static void
hear(struct replay_tcp *t, uint16_t i, const struct frame *f, struct mono now)
{
	struct replay_conn *n = &t->conns[i];
	uint8_t b[STREAM_AHEAD];
	size_t at = 0, took, len;

	do {
		took = stream_put(
		    &n->in, f->seq + (uint32_t)at, f->p + at, f->n - at);
		at += took;
		while ((len = stream_take(&n->in, b)) > 0)
			calls_input(&t->calls, i, b, len, now);
	} while (took > 0 && at < f->n);
}

static void
reset(struct replay_tcp *t, uint16_t i, const struct frame *f, struct mono now)
{
	const struct replay_conn *n = &t->conns[i];
	bool connecting = t->calls.v[i].state == CALL_CONNECTING;

	/* RFC 9293 sections 3.10.7.3 and 3.10.7.4: anyone could send others. */
	if (connecting ? !(f->flags & FRAME_ACK) || f->ack != n->isn + 1
		       : !n->synced || f->seq != n->in.next)
		return;
	calls_failed(&t->calls, i, connecting ? CALL_REFUSED : CALL_RESET, now);
}

static void
take_in(
    struct replay_tcp *t, uint16_t i, const struct frame *f, struct mono now)
{
	struct replay_conn *n = &t->conns[i];
	bool syn = (f->flags & FRAME_SYN) != 0;

	/* The kernel tells nobody of what comes after the end. */
	if (n->left)
		return;
	n->segments++;
	if (f->flags & FRAME_RST) {
		reset(t, i, f, now);
		return;
	}
	if (syn && f->ack == n->isn + 1)
		learn_numbers(t, i, f, f->seq + 1, now);
	if (!n->synced || syn)
		return;
	hear(t, i, f, now);
	if (f->flags & FRAME_FIN) {
		n->fin = true;
		n->fin_at = f->seq + (uint32_t)f->len;
	}
	if (n->fin && n->in.next == n->fin_at)
		calls_failed(&t->calls, i, CALL_CLOSED, now);
}

/* Whether an ICMP error ends a connection that is being made: RFC 1122 section
 * 4.2.3.9 and what Linux makes of it. Later it would not. */
static bool
is_fatal(const struct frame *f)
{
	if (!stun_addr_is_v4(&f->from))
		return f->type == 1 || f->type == 3 || f->type == 4;
	return (f->type == 3 && f->code != 4) || f->type == 11 || f->type == 12;
}

static bool
take_error(struct replay_tcp *t, const struct frame *f, struct mono now)
{
	uint16_t i = calls_find(&t->calls, &f->quoted_from, &f->quoted_to);

	if (i == ASK_NONE)
		return false;
	if (t->calls.v[i].state == CALL_CONNECTING &&
	    f->seq == t->conns[i].isn && is_fatal(f))
		calls_failed(&t->calls, i,
		    f->port_closed ? CALL_REFUSED : CALL_UNREACHABLE, now);
	return true;
}

static bool
take_segment(struct replay_tcp *t, const struct frame *f, struct mono now)
{
	bool syn = (f->flags & (FRAME_SYN | FRAME_ACK)) == FRAME_SYN;
	uint16_t i = calls_find(&t->calls, &f->from, &f->to);

	if (syn && (i == ASK_NONE || f->seq != t->conns[i].isn))
		return open_conn(t, f, now);
	if (i != ASK_NONE) {
		take_out(t, i, f, now);
		return true;
	}
	i = calls_find(&t->calls, &f->to, &f->from);
	if (i != ASK_NONE)
		take_in(t, i, f, now);
	return i != ASK_NONE;
}

/* ---- all ---- */

bool
replay_tcp_frame(struct replay_tcp *t, const struct frame *f, struct mono now)
{
	bool ours;

	if (f->protocol != FRAME_TCP_PROTOCOL ||
	    (f->kind != FRAME_TCP && f->kind != FRAME_ICMP))
		return false;
	pass_time(t, now);
	ours = f->kind == FRAME_TCP ? take_segment(t, f, now)
				    : take_error(t, f, now);
	go(t, now);
	return ours;
}

struct replay_tcp *
replay_tcp_new(const struct note *n, bool v6)
{
	static const uint8_t seed[ENGINE_SEED_LEN];
	struct probe_options o = {.v6 = v6,
	    .lifetime = n->tcp_lifetime,
	    .refresh = n->refresh,
	    .ttl_max_s = n->ttl_max_s,
	    .ttl_resolution_s = n->ttl_resolution_s,
	    .rate = n->rate};
	struct replay_tcp *t;

	if (!n->tcp || n->begin_us == 0 || n->rate == 0 || n->rate > RATE_MAX ||
	    n->ttl_max_s < TTL_MIN_S || n->ttl_max_s > TTL_MAX_S ||
	    n->ttl_resolution_s == 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->note = n;
	calls_init(&t->calls, &o, n->targets.v[v6], n->targets.n[v6], seed,
	    (struct mono){n->begin_us});
	calls_hold(&t->calls);
	return t;
}

void
replay_tcp_free(struct replay_tcp *t)
{
	if (t == NULL)
		return;
	calls_clear(&t->calls);
	free(t);
}

void
replay_tcp_end(struct replay_tcp *t, bool over, struct mono end)
{
	struct calls *c = &t->calls;
	struct mono wake;

	pass_time(t, end);
	for (size_t i = 0; i < t->note->n_calls; i++)
		t->stray += !t->taken[i] &&
		    stun_addr_is_v4(&t->note->calls[i].to) != c->options.v6;
	if (!over || t->stray > 0) {
		calls_stop(c);
		return;
	}
	while (c->phase != CALLS_DONE) {
		fail_waiting(t, NULL, end);
		go(t, end);
		wake = calls_wake(c);
		if (mono_is_set(wake) && wake.us > end.us)
			end = wake;
	}
}

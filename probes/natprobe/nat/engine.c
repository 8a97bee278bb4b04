/* engine: asks in time, answers in. PURE: no socket, no clock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/engine.h"

/* After each send, the time until the next one. The last is the shortest
 * wait before silence is believed; on a slow path it is longer. */
static const int64_t resend_us[] = {250000, 500000, 500000, 500000};
#define RESENDS	     (sizeof(resend_us) / sizeof(resend_us[0]))
#define BELIEVE_RTTS 3

/* A question is this long at least: an answer with all that RFC 5780 has to
 * say, over IPv6 too, must not be longer than the request. */
#define QUESTION_LEN 136

void
engine_init(struct engine *e, const uint8_t seed[static ENGINE_SEED_LEN],
    unsigned rate, struct mono now)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->draw.seed, seed, ENGINE_SEED_LEN);
	e->gap_us = 1000000 / rate;
	e->began = now;
	e->free = now;
}

void
engine_clear(struct engine *e)
{
	free(e->asks);
	free(e->socks);
	memset(e, 0, sizeof(*e));
}

static void *
grow(void *p, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? 64 : *cap * 2;
	void *q;

	if (n < *cap)
		return p;
	if (n >= ENGINE_ASKS_MAX || (q = realloc(p, want * size)) == NULL)
		return NULL;
	*cap = want;
	return q;
}

uint16_t
engine_sock(struct engine *e, bool v6, uint16_t port, uint8_t local_ip)
{
	struct sock *s = grow(e->socks, e->n_socks, &e->cap_socks, sizeof(*s));

	if (s == NULL) {
		e->bad = true;
		return ASK_NONE;
	}
	e->socks = s;
	s[e->n_socks] = (struct sock){
	    .v6 = v6, .port = port, .local_ip = local_ip, .beside = ASK_NONE};
	return (uint16_t)e->n_socks++;
}

uint16_t
engine_sock_beside(
    struct engine *e, uint16_t beside, uint8_t plus, uint8_t local_ip)
{
	uint16_t i = ASK_NONE;

	if (beside != ASK_NONE)
		i = engine_sock(e, e->socks[beside].v6, 0, local_ip);
	if (i != ASK_NONE) {
		e->socks[i].beside = beside;
		e->socks[i].plus = plus;
	}
	return i;
}

uint16_t
engine_ask(struct engine *e, const struct ask *q, struct mono now)
{
	struct ask *a = grow(e->asks, e->n_asks, &e->cap_asks, sizeof(*a));
	uint8_t random[LABEL_RANDOM_LEN];

	if (a == NULL || q->sock == ASK_NONE) {
		e->bad = true;
		return ASK_NONE;
	}
	e->asks = a;
	a += e->n_asks;
	*a = *q;
	a->state = ASK_WAITING;
	if (a->silent)
		a->sends_max = 1;
	if (a->sends_max == 0)
		a->sends_max = RESENDS;
	if (a->expect.port == 0)
		a->expect = a->to;
	if (a->after == ASK_NONE)
		a->due = mono_add_us(now, a->wait_us);
	draw_bytes(&e->draw, random, sizeof(random));
	label_write(&a->txid, a->label, random);
	return (uint16_t)e->n_asks++;
}

/* ---- what depends on what ---- */

static bool
may_follow(const struct ask *a, const struct ask *before)
{
	if (before->state == ASK_SKIPPED)
		return false;
	switch (a->when) {
	case ASK_IF_ANSWERED:
		return before->state == ASK_ANSWERED;
	case ASK_IF_SILENT:
		return before->state == ASK_SILENT;
	case ASK_IF_ANY:
		break;
	}
	return true;
}

/* What comes after an ask that is skipped is skipped, and so on: since a
 * successor is always planned later, one pass is enough. */
static void
release(struct engine *e, uint16_t first, struct mono now)
{
	const struct ask *before;
	struct ask *a;

	for (size_t i = (size_t)first + 1; i < e->n_asks; i++) {
		a = &e->asks[i];
		if (a->state != ASK_WAITING || a->after == ASK_NONE ||
		    mono_is_set(a->due))
			continue;
		before = &e->asks[a->after];
		if (!ask_over(before))
			continue;
		if (may_follow(a, before))
			a->due = mono_add_us(now, a->wait_us);
		else
			a->state = ASK_SKIPPED;
	}
}

static void
finish(struct engine *e, uint16_t i, enum ask_state state, struct mono now)
{
	e->asks[i].state = state;
	e->asks[i].due = MONO_NEVER;
	release(e, i, now);
}

void
engine_skip(struct engine *e, uint16_t ask, struct mono now)
{
	if (!ask_over(&e->asks[ask]))
		finish(e, ask, ASK_SKIPPED, now);
}

void
engine_give_up(struct engine *e, uint16_t ask, struct mono now)
{
	const struct ask *a = &e->asks[ask];

	finish(e, ask,
	    a->silent		 ? ASK_ANSWERED
		: a->answers > 0 ? ASK_ODD
				 : ASK_SILENT,
	    now);
}

/* ---- questions ---- */

static const struct cookie *
cookie_of(const struct engine *e, const struct stun_addr *server)
{
	for (size_t i = 0; i < e->n_cookies; i++)
		if (stun_addr_same_ip(&e->cookies[i].server, server))
			return &e->cookies[i];
	return NULL;
}

static void
put_u32(struct wr *w, uint16_t type, uint32_t v)
{
	uint8_t b[4];
	struct wr value;

	wr_init(&value, b, sizeof(b));
	wr_u32(&value, v);
	stun_put(w, type, b, sizeof(b));
}

/* RFC 5780 section 7.5: two bytes; padding follows. */
static void
put_port(struct wr *w, uint16_t port)
{
	uint8_t b[2];
	struct wr value;

	wr_init(&value, b, sizeof(b));
	wr_u16(&value, port);
	stun_put(w, STUN_RESPONSE_PORT, b, sizeof(b));
}

/* Filled up by a SOFTWARE text, which every server skips. */
static void
fill(struct wr *w)
{
	static const char text[QUESTION_LEN] =
	    "campusnet natprobe, a test of this network's NAT; see "
	    "docs/natprobe.md      ";
	size_t used = wr_len(w) + 4;

	if (used < QUESTION_LEN)
		stun_put(w, STUN_SOFTWARE, text, QUESTION_LEN - used);
}

static size_t
write_question(struct engine *e, const struct ask *a)
{
	static const uint8_t please[COOKIE_LEN];
	const struct cookie *c = cookie_of(e, &a->to);
	struct wr w;

	if (a->tailnode) {
		stun_tailnode_request(e->packet, &a->txid);
		return STUN_TAILNODE_LEN;
	}
	wr_init(&w, e->packet, sizeof(e->packet));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &a->txid);
	if (a->change != 0)
		put_u32(&w, STUN_CHANGE_REQUEST, a->change);
	if (a->port_of != ASK_NONE)
		put_port(&w, e->asks[a->port_of].mapped.port);
	if (a->delay_ms != 0)
		put_u32(&w, STUN_CN_DELAY, a->delay_ms);
	if (a->silent)
		stun_put(&w, STUN_CN_SILENT, NULL, 0);
	stun_put(&w, STUN_CN_COOKIE, c == NULL ? please : c->b, COOKIE_LEN);
	fill(&w);
	return stun_end(&w);
}

/* ---- the driver's side ---- */

int64_t
engine_patience_us(const struct engine *e, const struct ask *a)
{
	int64_t wait = resend_us[RESENDS - 1];

	if (e->rtt_us * BELIEVE_RTTS > wait)
		wait = e->rtt_us * BELIEVE_RTTS;
	return wait + (int64_t)a->delay_ms * 1000;
}

static void
send_ask(struct engine *e, struct ask *a, struct mono now, struct act *act)
{
	*act = (struct act){.kind = ACT_SEND,
	    .sock = a->sock,
	    .to = a->to,
	    .ttl = a->ttl,
	    .p = e->packet,
	    .len = write_question(e, a)};
	if (a->sends == 0)
		a->first_sent = now;
	a->last_sent = now;
	a->state = ASK_ASKED;
	a->sends++;
	if (a->sends >= a->sends_max)
		a->due = mono_add_us(now, engine_patience_us(e, a));
	else if (a->gap_us != 0)
		a->due = mono_add_us(now, a->gap_us);
	else
		a->due = mono_add_us(now, resend_us[(a->sends - 1) % RESENDS]);
	if (a->silent)
		a->due = now;
	e->sent++;
	pace_sent(&e->pace, 1, now);
	/* A loop that wakes up a little late must not slow it down. */
	e->free = mono_add_us(mono_diff_us(e->free, now) > e->gap_us
		? mono_add_us(now, -e->gap_us)
		: e->free,
	    e->gap_us);
}

/* What goes on is sent before what begins: late repeats would make one flow
 * of what a NAT is to see as one exchange. */
static bool
goes_on(const struct ask *a, struct mono now)
{
	return (a->state == ASK_ASKED || a->after != ASK_NONE) &&
	    mono_reached(a->due, now);
}

static bool
goes_before(const struct ask *a, const struct ask *b, struct mono now)
{
	bool a_goes_on = goes_on(a, now), b_goes_on = goes_on(b, now);

	if (a_goes_on != b_goes_on)
		return a_goes_on;
	return a->due.us < b->due.us;
}

/* The ask that is due first, or NULL. */
static struct ask *
first_due(const struct engine *e, struct mono now)
{
	struct ask *best = NULL, *a;

	for (size_t i = 0; i < e->n_asks; i++) {
		a = &e->asks[i];
		if (!ask_over(a) && mono_is_set(a->due) &&
		    (best == NULL || goes_before(a, best, now)))
			best = a;
	}
	return best;
}

/* Giving up needs no leave to send. */
static bool
only_gives_up(const struct ask *a)
{
	return a->sends >= a->sends_max;
}

/* Which port it wants, if another has it to say. */
static void
look_beside(struct engine *e, struct sock *s)
{
	const struct sock *other = &e->socks[s->beside];

	if (other->state == SOCK_OPEN)
		s->port = (uint16_t)(other->local.port + s->plus);
	else
		s->state = SOCK_FAILED;
}

/* Whether an ask that is due makes an act; if not, it is over now. */
static bool
step(struct engine *e, struct ask *a, struct mono now, struct act *act)
{
	uint16_t i = (uint16_t)(a - e->asks);
	struct sock *s = &e->socks[a->sock];

	if (only_gives_up(a)) {
		engine_give_up(e, i, now);
		return false;
	}
	if (s->state == SOCK_NEW && s->beside != ASK_NONE)
		look_beside(e, s);
	if (s->state == SOCK_FAILED) {
		finish(e, i, ASK_SKIPPED, now);
		return false;
	}
	if (s->state == SOCK_NEW) {
		*act = (struct act){.kind = ACT_OPEN, .sock = a->sock};
		return true;
	}
	send_ask(e, a, now, act);
	return true;
}

bool
engine_next(struct engine *e, struct mono now, struct act *act)
{
	struct ask *a;

	while ((a = first_due(e, now)) != NULL && mono_reached(a->due, now)) {
		if (!only_gives_up(a) &&
		    (!pace_ready(&e->pace, now) || !mono_reached(e->free, now)))
			return false;
		if (step(e, a, now, act))
			return true;
	}
	return false;
}

struct mono
engine_wake(const struct engine *e)
{
	const struct ask *a = first_due(e, MONO_NEVER);

	if (a == NULL)
		return MONO_NEVER;
	if (only_gives_up(a))
		return a->due;
	return pace_wake(&e->pace, a->due.us < e->free.us ? e->free : a->due);
}

void
engine_opened(struct engine *e, uint16_t sock, const struct stun_addr *local,
    struct mono now)
{
	struct sock *s = &e->socks[sock];

	(void)now;
	s->state = local == NULL ? SOCK_FAILED : SOCK_OPEN;
	if (local != NULL)
		s->local = *local;
}

void
engine_not_opened(struct engine *e, uint16_t sock, int error)
{
	e->socks[sock].state = SOCK_FAILED;
	/* Somebody has the port that this one had to have: no shortage. */
	if (error == EADDRINUSE)
		return;
	if (e->not_opened++ == 0)
		e->not_opened_error = error;
}

/* ---- answers ---- */

static void
keep_cookie(
    struct engine *e, const struct stun_addr *from, const struct stun_attr *t)
{
	struct cookie *c = NULL;

	if (t->len != COOKIE_LEN)
		return;
	for (size_t i = 0; i < e->n_cookies && c == NULL; i++)
		if (stun_addr_same_ip(&e->cookies[i].server, from))
			c = &e->cookies[i];
	if (c == NULL && e->n_cookies < ENGINE_COOKIES)
		c = &e->cookies[e->n_cookies++];
	if (c == NULL)
		return;
	c->server = *from;
	memcpy(c->b, t->value, COOKIE_LEN);
}

static void
read_attrs(struct engine *e, struct ask *a, const struct stun_msg *m)
{
	struct rd r = stun_attrs(m);
	struct stun_attr t;

	while (stun_attr_next(m, &r, &t))
		switch (t.type) {
		case STUN_MAPPED_ADDRESS:
			stun_read_address(&t, &a->plain);
			break;
		case STUN_RESPONSE_ORIGIN:
			stun_read_address(&t, &a->origin);
			break;
		case STUN_OTHER_ADDRESS:
			stun_read_address(&t, &a->other);
			break;
		case STUN_CN_COOKIE:
			keep_cookie(e, &a->from, &t);
			break;
		default:
			break;
		}
}

static uint16_t
find_txid(const struct engine *e, const struct stun_txid *txid)
{
	for (size_t i = 0; i < e->n_asks; i++)
		if (memcmp(&e->asks[i].txid, txid, sizeof(*txid)) == 0)
			return (uint16_t)i;
	return ASK_NONE;
}

static void
learn_rtt(struct engine *e, const struct ask *a)
{
	int64_t us = mono_diff_us(a->last_sent, a->answered);

	/* Of a repeated request nobody knows which one was answered. */
	if (a->sends == 1 && a->delay_ms == 0 && us > e->rtt_us)
		e->rtt_us = us;
}

/* To which socket the answer must come. One that comes to another socket went
 * through that one's mapping, and says nothing of this one's. */
static uint16_t
expected_sock(const struct engine *e, const struct ask *a)
{
	return a->port_of == ASK_NONE ? a->sock : e->asks[a->port_of].sock;
}

/* A later answer may come from the right address after one that did not. */
static bool
wants_answer(const struct ask *a)
{
	return a->state == ASK_ASKED || a->state == ASK_SILENT ||
	    a->state == ASK_ODD;
}

void
engine_input(struct engine *e, uint16_t sock, const struct stun_addr *from,
    const void *p, size_t n, struct mono now)
{
	enum stun_response kind;
	struct stun_addr mapped;
	struct stun_msg m;
	struct ask *a;
	unsigned code = 0;
	uint16_t i;

	if (stun_parse(&m, p, n) != STUN_FORM_OK) {
		oddity_stray(e, from, false);
		return;
	}
	if ((i = find_txid(e, &m.txid)) == ASK_NONE) {
		if (m.class == STUN_SUCCESS || m.class == STUN_ERROR)
			oddity_stray(e, from, true);
		return;
	}
	a = &e->asks[i];
	if (a->raw) {
		if (m.class != STUN_REQUEST || a->state == ASK_ANSWERED)
			return;
		a->from = *from;
		a->got_sock = sock;
		a->answered = now;
		finish(e, i, ASK_ANSWERED, now);
		return;
	}
	kind = stun_response_parse(p, n, &a->txid, &mapped, &code);
	if (kind != STUN_RESPONSE_MAPPED && kind != STUN_RESPONSE_ERROR) {
		a->odd |= m.class == STUN_REQUEST ? ODD_ECHO : ODD_DAMAGED;
		return;
	}
	if (a->answers < UINT8_MAX)
		a->answers++;
	if (kind == STUN_RESPONSE_MAPPED)
		a->odd |= oddity_of(a, from, &mapped, &e->socks[a->sock].local);
	if (sock != a->sock && sock != expected_sock(e, a))
		a->odd |= ODD_STALE;
	if (!wants_answer(a) || (a->odd & (ODD_FAMILY | ODD_IMPOSSIBLE)) != 0)
		return;
	a->from = *from;
	a->got_sock = sock;
	if (kind == STUN_RESPONSE_ERROR) {
		/* Errors come from where the question went to. */
		if (!stun_addr_same(from, &a->to))
			return;
		a->error = code;
		finish(e, i, ASK_REFUSED, now);
		return;
	}
	a->mapped = mapped;
	a->answered = now;
	read_attrs(e, a, &m);
	if (a->plain.port != 0 && !stun_addr_same(&a->plain, &a->mapped))
		a->odd |= ODD_REWRITTEN;
	if (!stun_addr_same(from, &a->expect) || sock != expected_sock(e, a))
		return;
	learn_rtt(e, a);
	finish(e, i, ASK_ANSWERED, now);
}

void
engine_unreachable(struct engine *e, uint16_t sock, const struct stun_addr *to)
{
	for (size_t i = 0; i < e->n_asks; i++)
		if (e->asks[i].sock == sock && e->asks[i].sends > 0 &&
		    stun_addr_same(&e->asks[i].to, to))
			e->asks[i].odd |= ODD_UNREACHABLE;
}

const struct ask *
engine_find(
    const struct engine *e, unsigned test, unsigned unit, unsigned step_)
{
	struct label want = {.test = (uint8_t)test,
	    .unit = (uint16_t)unit,
	    .step = (uint8_t)step_};

	for (size_t i = 0; i < e->n_asks; i++)
		if (label_same(e->asks[i].label, want))
			return &e->asks[i];
	return NULL;
}

uint16_t
engine_sock_at(const struct engine *e, const struct stun_addr *local)
{
	for (size_t i = 0; i < e->n_socks; i++)
		if (e->socks[i].state == SOCK_OPEN &&
		    stun_addr_same(&e->socks[i].local, local))
			return (uint16_t)i;
	return ASK_NONE;
}

void
engine_stop(struct engine *e)
{
	for (size_t i = 0; i < e->n_asks; i++)
		if (!ask_over(&e->asks[i])) {
			e->asks[i].state = ASK_SKIPPED;
			e->asks[i].due = MONO_NEVER;
		}
}

/* knock: the stages over TCP, and what to do in each. PURE. */
#include <string.h>

#include "probes/natprobe/pair/knock_why.h"

/* A refused try to open is followed by the next after this, and a bit. */
#define AGAIN_US  INT64_C(120000)
#define JITTER_US INT64_C(120000)
#define STILL_US  INT64_C(1000000)
#define SAY_US	  INT64_C(250000)

static bool
same_ip(const struct stun_addr *a, const struct stun_addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static void
due(struct knock *k, unsigned i, const struct stun_addr *to, struct mono at)
{
	struct knock_conn *c = &k->v[i];

	memset(c, 0, sizeof(*c));
	c->state = KNOCK_DUE;
	c->to = *to;
	c->at = at;
	c->rtt_us = -1;
}

/* ---- the beginning ---- */

/* A port of the server's host where hardly anybody listens. */
static struct stun_addr
closed_port(const struct stun_addr *server, struct draw *draw)
{
	struct stun_addr a = *server;
	uint8_t b[2];
	struct rd r;

	draw_bytes(draw, b, sizeof(b));
	rd_init(&r, b, sizeof(b));
	a.port = (uint16_t)(61000 + rd_u16(&r) % 4500);
	return a;
}

void
knock_begin(struct knock *k, const struct stun_addr *servers, size_t n,
    const struct knock_tools *t, struct mono now)
{
	struct stun_addr closed;
	unsigned used = 0;

	memset(k, 0, sizeof(*k));
	k->begun = true;
	k->began = now;
	k->say_next = now;
	for (size_t i = 0; i < n && used < KNOCK_SERVERS; i++) {
		bool known = false;

		for (unsigned j = 0; j < used; j++)
			known |= same_ip(&k->v[j].to, &servers[i]);
		if (!known)
			due(k, used++, &servers[i], now);
	}
	if (used == 0)
		return;
	k->listen_due = true;
	due(k, KNOCK_AT_BESIDE, &k->v[0].to, now);
	closed = closed_port(&k->v[0].to, t->draw);
	due(k, KNOCK_AT_CONTROL, &closed, now);
}

/* ---- what is known of this side ---- */

static bool
is_asking(const struct knock_conn *c)
{
	return c->state == KNOCK_DUE || c->state == KNOCK_CONNECTING ||
	    (c->state == KNOCK_UP && c->mapped.port == 0);
}

struct stun_addr
knock_own(const struct knock *k)
{
	for (unsigned i = 0; i < KNOCK_SERVERS && k->listening; i++)
		if (k->v[i].mapped.port != 0)
			return k->v[i].mapped;
	return (struct stun_addr){.port = 0};
}

enum knock_mapping
knock_mapping(const struct knock *k)
{
	struct stun_addr own = knock_own(k);
	unsigned n = 0;

	for (unsigned i = 0; i < KNOCK_SERVERS; i++) {
		const struct stun_addr *m = &k->v[i].mapped;

		if (m->port == 0)
			continue;
		n++;
		if (m->port != own.port || !same_ip(m, &own))
			return KNOCK_MAPPING_DEPENDS;
	}
	return n > 1 ? KNOCK_MAPPING_SAME : KNOCK_MAPPING_UNKNOWN;
}

static uint8_t
flags_of(const struct knock *k)
{
	const struct knock_conn *control = &k->v[KNOCK_AT_CONTROL];
	struct stun_addr own = knock_own(k);
	enum knock_mapping mapping = knock_mapping(k);
	bool one = mapping != KNOCK_MAPPING_UNKNOWN &&
	    same_ip(&k->v[KNOCK_AT_BESIDE].mapped, &own);
	uint8_t f = 0;

	for (unsigned i = 0; i < KNOCK_SERVERS; i++)
		one &=
		    k->v[i].mapped.port == 0 || same_ip(&k->v[i].mapped, &own);
	if (control->end == KNOCK_RESET || control->end == KNOCK_FOREIGN)
		f |= KNOCK_LEAVES;
	if (mapping == KNOCK_MAPPING_DEPENDS)
		f |= KNOCK_DEPENDS;
	if (one)
		f |= KNOCK_ONE_ADDRESS;
	if (k->heard && k->other.stage == KNOCK_DONE)
		f |= KNOCK_HEARD;
	return f;
}

/* The first that one of them has met, in the order of enum knock_end. */
enum knock_end
knock_met(const struct knock *k, unsigned first, struct mono now, int64_t *us)
{
	enum knock_end best = KNOCK_NONE;

	*us = 0;
	for (unsigned i = first; i < first + KNOCK_TRIES; i++) {
		const struct knock_conn *c = &k->v[i];
		enum knock_end end = c->end;
		int64_t took = c->took_us;

		if (c->state == KNOCK_CONNECTING) {
			end = KNOCK_SILENT;
			took = mono_diff_us(c->began, now);
		} else if (c->state == KNOCK_UP)
			end = KNOCK_FOREIGN;
		/* An error as soon as it came, silence as long as it lasted. */
		if (end == KNOCK_NONE || (best != KNOCK_NONE && end > best) ||
		    (end == best &&
			(end == KNOCK_SILENT ? took < *us : took > *us)))
			continue;
		best = end;
		*us = took;
	}
	return best;
}

struct knock_said
knock_say(struct knock *k, struct mono now)
{
	struct knock_said s = {.stage = (uint8_t)k->stage,
	    .flags = flags_of(k),
	    .open = (uint8_t)k->open_end};
	int64_t us;

	if (k->stage >= KNOCK_READY)
		s.addr = knock_own(k);
	if (k->stage >= KNOCK_KNOCKED) {
		s.knock = (uint8_t)knock_met(k, KNOCK_AT_FIRST, now, &us);
		if (s.knock == KNOCK_SILENT && k->stage < KNOCK_DONE)
			us = KNOCK_WAIT_US;
		s.knock_ms =
		    (uint16_t)(us / 1000 > UINT16_MAX ? UINT16_MAX : us / 1000);
	}
	if (k->stage == KNOCK_DONE)
		s.again = (uint8_t)knock_met(k, KNOCK_AT_AGAIN, now, &us);
	if (mono_is_set(k->open_in_at))
		s.open = KNOCK_IN;
	k->said = s;
	k->said_heard = (s.flags & KNOCK_HEARD) != 0;
	k->say_next = mono_add_us(now, SAY_US);
	return s;
}

struct mono
knock_talk_due(const struct knock *k)
{
	return k->begun && !knock_is_over(k) ? k->say_next : MONO_NEVER;
}

bool
knock_is_over(const struct knock *k)
{
	return !k->begun ||
	    (k->stage == KNOCK_DONE && k->other.stage == KNOCK_DONE &&
		(k->other.flags & KNOCK_HEARD) != 0 && k->said_heard);
}

/* ---- stages ---- */

static void
set_stage(struct knock *k, enum knock_stage stage, struct mono now)
{
	k->stage = stage;
	k->say_next = now;
}

static void
advance_gather(struct knock *k, struct mono now)
{
	bool asking = k->listen_due;
	int64_t us = mono_diff_us(k->began, now);

	for (unsigned i = KNOCK_AT_STUN; i <= KNOCK_AT_BESIDE; i++)
		asking |= is_asking(&k->v[i]);
	if (asking && us < KNOCK_GATHER_US &&
	    (us < KNOCK_GATHERED_US || knock_own(k).port == 0))
		return;
	set_stage(k, KNOCK_READY, now);
}

static void
knock_all(struct knock *k, unsigned first, struct mono now)
{
	for (unsigned i = first; i < first + KNOCK_TRIES; i++)
		due(k, i, &k->other.addr, now);
}

/* All are answered, or one is let in. */
static bool
is_answered(const struct knock *k, unsigned first)
{
	bool all = true;

	for (unsigned i = first; i < first + KNOCK_TRIES; i++) {
		if (k->v[i].end == KNOCK_IN)
			return true;
		all &= k->v[i].end != KNOCK_NONE;
	}
	return all;
}

static void
begin_knocks(struct knock *k, struct mono now)
{
	struct stun_addr own = knock_own(k), *other = &k->other.addr;

	k->knock_at = now;
	if (other->port != 0 && !knock_may_be(other, &own)) {
		k->odd = true;
		other->port = 0;
	}
	if (other->port != 0)
		knock_all(k, KNOCK_AT_FIRST, now);
}

static void
advance_ready(struct knock *k, int64_t lead_us, struct mono now)
{
	if (!k->heard || k->other.stage < KNOCK_READY)
		return;
	if (!mono_is_set(k->knock_at))
		begin_knocks(k, now);
	if (k->other.addr.port != 0 && !is_answered(k, KNOCK_AT_FIRST) &&
	    mono_diff_us(k->knock_at, now) < KNOCK_WAIT_US)
		return;
	/* Who waited for the other begins when it hears of it. */
	if (k->other.stage == KNOCK_KNOCKED)
		k->opening_at = mono_add_us(now, lead_us);
	set_stage(k, KNOCK_KNOCKED, now);
}

/* The STUN servers are asked once more. */
static void
ask_still(struct knock *k, const struct knock_tools *t, struct mono now)
{
	if (k->still != KNOCK_NOT_ASKED)
		return;
	k->still = KNOCK_LOST;
	k->still_at = now;
	for (unsigned i = 0; i < KNOCK_SERVERS; i++) {
		struct knock_conn *c = &k->v[i];

		if (c->state != KNOCK_UP || c->mapped.port == 0)
			continue;
		k->still = KNOCK_ASKED;
		c->asks = c->again = true;
		draw_bytes(t->draw, c->txid.b, sizeof(c->txid.b));
	}
}

static void
advance_knocked(struct knock *k, const struct knock_tools *t, struct mono now)
{
	if (k->other.stage < KNOCK_KNOCKED)
		return;
	ask_still(k, t, now);
	if (!mono_is_set(k->opening_at) || k->other.stage > KNOCK_KNOCKED)
		k->opening_at = now;
	if (!mono_reached(k->opening_at, now))
		return;
	if (k->other.addr.port != 0 && knock_own(k).port != 0)
		due(k, KNOCK_AT_OPEN, &k->other.addr, now);
	set_stage(k, KNOCK_OPENING, now);
}

static bool
is_open_over(const struct knock *k, struct mono now)
{
	return k->v[KNOCK_AT_OPEN].state == KNOCK_IDLE ||
	    mono_is_set(k->open_in_at) ||
	    mono_diff_us(k->opening_at, now) >= KNOCK_OPEN_US;
}

/* After the first was let in, or without the other's SYN, it tells nothing. */
static bool
is_again_over(struct knock *k, struct mono now)
{
	if (k->v[KNOCK_AT_FIRST].state == KNOCK_IDLE ||
	    k->v[KNOCK_AT_OPEN].state == KNOCK_IDLE ||
	    is_answered(k, KNOCK_AT_AGAIN))
		return true;
	for (unsigned i = KNOCK_AT_FIRST; i < KNOCK_AT_AGAIN; i++)
		if (k->v[i].end == KNOCK_IN)
			return true;
	if (mono_is_set(k->again_at))
		return mono_diff_us(k->again_at, now) >= KNOCK_WAIT_US;
	if (k->other.stage >= KNOCK_OPENING) {
		k->again_at = now;
		knock_all(k, KNOCK_AT_AGAIN, now);
	}
	return mono_diff_us(k->opening_at, now) >= KNOCK_OPEN_US;
}

/* Those that still wait have met silence. */
static void
finish(struct knock *k, unsigned first, struct mono now)
{
	for (unsigned i = first; i < first + KNOCK_TRIES; i++) {
		struct knock_conn *c = &k->v[i];

		if (c->state != KNOCK_CONNECTING && c->state != KNOCK_UP)
			continue;
		c->end = c->state == KNOCK_UP ? KNOCK_FOREIGN : KNOCK_SILENT;
		c->took_us = mono_diff_us(c->began, now);
		c->state = KNOCK_CLOSING;
	}
}

static void
finish_open(struct knock *k)
{
	struct knock_conn *c = &k->v[KNOCK_AT_OPEN];

	if (c->state == KNOCK_CONNECTING || c->state == KNOCK_DUE) {
		if (c->state == KNOCK_CONNECTING)
			k->open_end = KNOCK_SILENT;
		c->state = KNOCK_CLOSING;
	} else if (c->state == KNOCK_UP && c->end == KNOCK_NONE)
		k->open_end = KNOCK_FOREIGN;
}

/* Is there one whose SYN may still be answered by an error? */
static bool
is_watched(const struct knock *k, struct mono now)
{
	int64_t us;
	bool waits = false;

	for (unsigned i = KNOCK_AT_FIRST; i < KNOCK_AT_AGAIN; i++)
		waits |= k->v[i].state == KNOCK_CONNECTING;
	return waits &&
	    knock_met(k, KNOCK_AT_FIRST, now, &us) == KNOCK_SILENT &&
	    us < KNOCK_PATIENT_US;
}

static void
advance_opening(struct knock *k, bool hold, struct mono now)
{
	bool again_over = is_again_over(k, now);

	if (!is_open_over(k, now) || !again_over)
		return;
	if (k->still == KNOCK_ASKED) {
		if (mono_diff_us(k->still_at, now) < STILL_US)
			return;
		k->still = KNOCK_LOST;
	}
	if (hold && is_watched(k, now))
		return;
	finish(k, KNOCK_AT_FIRST, now);
	finish(k, KNOCK_AT_AGAIN, now);
	finish_open(k);
	k->done_at = now;
	set_stage(k, KNOCK_DONE, now);
}

void
knock_advance(struct knock *k, const struct knock_tools *t, bool hold,
    int64_t lead_us, struct mono now)
{
	if (!k->begun)
		return;
	if (k->stage == KNOCK_GATHER)
		advance_gather(k, now);
	if (k->stage == KNOCK_READY)
		advance_ready(k, lead_us, now);
	if (k->stage == KNOCK_KNOCKED)
		advance_knocked(k, t, now);
	if (k->stage == KNOCK_OPENING)
		advance_opening(k, hold, now);
	for (unsigned i = KNOCK_AT_GUEST; i < KNOCK_CONNS; i++)
		if (k->v[i].state == KNOCK_UP && mono_reached(k->v[i].at, now))
			k->v[i].state = KNOCK_CLOSING;
}

/* ---- what to do ---- */

/* From P, or from a port of its own? */
static bool
is_from_p(unsigned i)
{
	return i < KNOCK_SERVERS || i == KNOCK_AT_OPEN;
}

static void
connect_to(struct knock *k, unsigned i, struct mono now, struct knock_act *act)
{
	struct knock_conn *c = &k->v[i];

	k->connects++;
	k->opens += i == KNOCK_AT_OPEN;
	c->state = KNOCK_CONNECTING;
	c->began = now;
	act->kind = KNOCK_ACT_CONNECT;
	act->to = c->to;
	act->from_p = is_from_p(i);
}

/* What is closed is over, but for a guest's place, and a try to open that may
 * be made once more. */
static void
close_conn(struct knock *k, unsigned i, const struct knock_tools *t,
    struct mono now, struct knock_act *act)
{
	struct knock_conn *c = &k->v[i];
	uint8_t b;

	act->kind = KNOCK_ACT_CLOSE;
	c->state = i >= KNOCK_AT_GUEST ? KNOCK_IDLE : KNOCK_OVER;
	if (i != KNOCK_AT_OPEN || k->stage == KNOCK_DONE ||
	    mono_is_set(k->open_in_at) || k->opens == KNOCK_OPENS)
		return;
	draw_bytes(t->draw, &b, 1);
	due(k, i, &k->other.addr,
	    mono_add_us(now, AGAIN_US + b * JITTER_US / 256));
}

static void
seal(struct knock_act *act, struct message *m, const struct knock_tools *t)
{
	uint8_t nonce[DERPBOX_NONCE_LEN];
	struct wr w;

	m->version = MESSAGE_VERSION;
	m->role = t->role;
	draw_bytes(t->draw, nonce, sizeof(nonce));
	act->kind = KNOCK_ACT_SEND;
	act->n = 2 + message_seal(m, act->p + 2, t->box, t->pub, nonce);
	wr_init(&w, act->p, 2);
	wr_u16(&w, (uint16_t)(act->n - 2));
}

static uint8_t
target_of(unsigned i)
{
	return i < KNOCK_AT_AGAIN ? KNOCK_FOR_FIRST
	    : i < KNOCK_AT_OPEN	  ? KNOCK_FOR_AGAIN
				  : KNOCK_FOR_OPEN;
}

static void
ping(struct knock *k, unsigned i, const struct knock_tools *t, struct mono now,
    struct knock_act *act)
{
	struct knock_conn *c = &k->v[i];
	struct message m = {.type = MESSAGE_PING, .target = target_of(i)};
	uint8_t b[4];
	struct rd r;

	draw_bytes(t->draw, b, sizeof(b));
	rd_init(&r, b, sizeof(b));
	m.serial = c->serial = rd_u32(&r);
	c->ping_due = false;
	c->pinged = now;
	seal(act, &m, t);
}

static void
ask(struct knock_conn *c, struct knock_act *act)
{
	struct wr w;

	/* Tailscale's form would not be answered with OTHER-ADDRESS. */
	c->asks = false;
	act->kind = KNOCK_ACT_SEND;
	wr_init(&w, act->p, sizeof(act->p));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &c->txid);
	act->n = stun_end(&w);
}

/* False if that connection has nothing to do. */
static bool
next_of(struct knock *k, unsigned i, const struct knock_tools *t,
    struct mono now, struct knock_act *act)
{
	struct knock_conn *c = &k->v[i];
	struct message pong = {
	    .type = MESSAGE_PONG, .serial = c->ponging, .addr = c->to};

	act->conn = i;
	if (c->state == KNOCK_CLOSING)
		close_conn(k, i, t, now, act);
	else if (c->state == KNOCK_DUE && mono_reached(c->at, now) &&
	    (!is_from_p(i) || k->listening) && limit_allow(t->rate, now))
		connect_to(k, i, now, act);
	else if (c->state == KNOCK_UP && c->asks)
		ask(c, act);
	else if (c->state == KNOCK_UP && c->ping_due)
		ping(k, i, t, now, act);
	else if (c->state == KNOCK_UP && c->pong_due) {
		c->pong_due = false;
		seal(act, &pong, t);
	} else
		return false;
	return true;
}

void
knock_next(struct knock *k, const struct knock_tools *t, struct mono now,
    struct knock_act *act)
{
	act->kind = KNOCK_ACT_NOTHING;
	if (k->listen_due) {
		k->listen_due = false;
		act->kind = KNOCK_ACT_LISTEN;
		return;
	}
	for (unsigned i = 0; i < KNOCK_CONNS && k->begun; i++)
		if (next_of(k, i, t, now, act))
			return;
}

/* ---- when ---- */

static void
at_last(struct mono *at, struct mono from, int64_t us, struct mono now)
{
	struct mono t = mono_add_us(from, us);

	if (mono_is_set(from) && t.us > now.us)
		*at = mono_earlier(*at, t);
}

struct mono
knock_wake(const struct knock *k, struct mono now)
{
	struct mono at = MONO_NEVER;

	if (!k->begun)
		return at;
	at_last(&at, k->began, KNOCK_GATHERED_US, now);
	at_last(&at, k->began, KNOCK_GATHER_US, now);
	at_last(&at, k->knock_at, KNOCK_WAIT_US, now);
	at_last(&at, k->knock_at, KNOCK_PATIENT_US, now);
	at_last(&at, k->opening_at, 0, now);
	at_last(&at, k->opening_at, KNOCK_OPEN_US, now);
	at_last(&at, k->again_at, KNOCK_WAIT_US, now);
	at_last(&at, k->still_at, STILL_US, now);
	for (unsigned i = 0; i < KNOCK_CONNS; i++) {
		const struct knock_conn *c = &k->v[i];

		if (c->state == KNOCK_DUE ||
		    (c->state == KNOCK_UP && i >= KNOCK_AT_GUEST))
			at = mono_earlier(at, c->at);
		if (c->state == KNOCK_CLOSING ||
		    (c->state == KNOCK_UP &&
			(c->asks || c->ping_due || c->pong_due)))
			at = mono_earlier(at, now);
	}
	return at;
}

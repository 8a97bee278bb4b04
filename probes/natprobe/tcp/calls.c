/* calls: see calls.h. PURE: no socket, no clock. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/tcp/calls.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* From the start of a connection to its answer: Linux sends a SYN again after
 * a second, and data after a quarter of one. */
#define PATIENCE_US (2 * SECOND)
/* A silence that was shorter says nothing. */
#define BELIEVE_US (1200 * MS)
/* An answer that had to come after the pause: with three of TCP's repeats. */
#define ANSWER_US (SECOND)
#define POKE_US	  (2 * SECOND)
const char *
call_end_name(enum call_end e)
{
	static const char *const names[CALL_ENDS] = {
	    [CALL_UNENDED] = "not-asked",
	    [CALL_SKIPPED] = "not-asked",
	    [CALL_CUT] = "no-time",
	    [CALL_NO_SOCKET] = "no-socket",
	    [CALL_SILENT] = "tcp-silent",
	    [CALL_UNREACHABLE] = "tcp-unreachable",
	    [CALL_REFUSED] = "tcp-refused",
	    [CALL_RESET] = "tcp-reset",
	    [CALL_CLOSED] = "tcp-closed",
	    [CALL_MUTE] = "tcp-no-answer",
	    [CALL_NOT_STUN] = "tcp-not-stun",
	    [CALL_ERROR] = "server-refuses",
	    [CALL_ANSWERED] = "",
	    [CALL_DIED] = "died",
	    [CALL_KEPT] = "server-keeps-alive",
	};

	return names[e];
}

void
calls_init(struct calls *c, const struct probe_options *options,
    const struct stun_addr *servers, size_t n,
    const uint8_t seed[static ENGINE_SEED_LEN], struct mono now)
{
	memset(c, 0, sizeof(*c));
	c->options = *options;
	c->primary = -1;
	memcpy(c->draw.seed, seed, ENGINE_SEED_LEN);
	for (size_t i = 0; i < n && i < PROBE_SERVERS; i++)
		c->servers[c->n_servers++] = servers[i];
	c->pace.pacer = options->pacer;
	c->began = c->free = c->hang_up = now;
	c->v = calloc(CALLS_MAX, sizeof(*c->v));
	if (c->v == NULL)
		c->bad = true;
	calls_begin(c, now);
}

void
calls_clear(struct calls *c)
{
	free(c->v);
	memset(c, 0, sizeof(*c));
}

uint16_t
calls_add(struct calls *c, const struct call *k)
{
	struct call *to = &c->v[c->n];

	if (c->bad || c->n == CALLS_MAX) {
		c->bad = true;
		return ASK_NONE;
	}
	*to = *k;
	if (to->port_of == ASK_NONE)
		to->port_of = (uint16_t)c->n;
	for (int i = 0; i < CALL_ASKS; i++)
		draw_bytes(&c->draw, to->txid[i].b, STUN_TXID_LEN);
	return (uint16_t)c->n++;
}

bool
call_is_idler(const struct call *k)
{
	return k->use == CALL_LIFE || k->use == CALL_KEEPER;
}

void
call_finish(struct call *k, enum call_end end, struct mono now)
{
	if (k->state == CALL_OVER)
		return;
	k->state = CALL_OVER;
	k->end = end;
	k->due = MONO_NEVER;
	k->closed = now;
}

/* ---- questions ---- */

/* delay_ms 0: none. Every server skips what it does not know of this. */
static void
put_question(struct wr *w, const struct stun_txid *txid, uint32_t delay_ms)
{
	static const char name[] = "campusnet natprobe";
	uint8_t b[4];
	struct wr value;

	stun_begin(w, STUN_REQUEST, STUN_BINDING, txid);
	if (delay_ms != 0) {
		wr_init(&value, b, sizeof(b));
		wr_u32(&value, delay_ms);
		stun_put(w, STUN_CN_DELAY, b, sizeof(b));
	}
	stun_put(w, STUN_SOFTWARE, name, sizeof(name) - 1);
	stun_end(w);
}

static void
say(struct calls *c, const struct call *k, size_t n, struct mono now,
    struct call_act *act)
{
	pace_sent(&c->pace, 1, now);
	*act = (struct call_act){.kind = CALL_ACT_SEND,
	    .call = (uint16_t)(k - c->v),
	    .p = c->out,
	    .len = n};
}

/* When to believe that nothing comes any more. */
static struct mono
patience(const struct calls *c, const struct call *k)
{
	struct mono end = mono_add_us(
	    mono_is_set(k->asked) ? k->asked : k->opened, PATIENCE_US);

	return call_is_idler(k) || k->use == CALL_CONTROL
	    ? end
	    : mono_earlier(end, c->limit);
}

/* Two questions in one segment; an idle connection has its second one later.
 */
static void
ask(struct calls *c, struct call *k, struct mono now, struct call_act *act)
{
	struct wr w;
	size_t n;

	wr_init(&w, c->out, sizeof(c->out));
	put_question(&w, &k->txid[0], 0);
	n = wr_len(&w);
	if (!call_is_idler(k)) {
		wr_init(&w, c->out + n, sizeof(c->out) - n);
		put_question(&w, &k->txid[1], 0);
		n += wr_len(&w);
	}
	say(c, k, n, now, act);
	k->asked = now;
	k->due = patience(c, k);
}

void
call_asked_for_late(struct call *k, struct mono now)
{
	k->state = CALL_SETTLING;
	k->last = now;
	k->by_server = true;
	k->due = mono_add_us(now, CALL_SETTLE_US);
}

static void
ask_for_late(
    struct calls *c, struct call *k, struct mono now, struct call_act *act)
{
	struct wr w;

	wr_init(&w, c->out, sizeof(c->out));
	put_question(&w, &k->txid[1], k->hold_ms);
	say(c, k, wr_len(&w), now, act);
	call_asked_for_late(k, now);
}

void
call_poked(struct call *k, struct mono now)
{
	/* How old it is, if it is found dead; the server's answer would have
	 * come after the pause. */
	k->age_s = k->by_server ? k->hold_ms / 1e3
				: (double)mono_diff_us(k->last, now) / 1e6;
	k->state = CALL_POKED;
	k->due = mono_add_us(now, POKE_US);
}

static void
poke(struct calls *c, struct call *k, struct mono now, struct call_act *act)
{
	struct wr w;

	wr_init(&w, c->out, sizeof(c->out));
	put_question(&w, &k->txid[2], 0);
	say(c, k, wr_len(&w), now, act);
	call_poked(k, now);
}

/* ---- what comes next ---- */

struct mono
call_pause_end(const struct call *k)
{
	return mono_add_us(k->last, (int64_t)k->hold_ms * MS);
}

/* Silence, after time enough, or not. */
static enum call_end
silence(const struct call *k, struct mono now)
{
	if (mono_diff_us(mono_is_set(k->asked) ? k->asked : k->opened, now) <
	    BELIEVE_US)
		return CALL_CUT;
	return k->state == CALL_CONNECTING ? CALL_SILENT : CALL_MUTE;
}

/* Then the pause is over, and an answer that had to come has come. */
static struct mono
late_at(const struct calls *c, const struct call *k)
{
	struct mono end = call_pause_end(k);

	return k->by_server ? mono_add_us(end, ANSWER_US + 3 * c->rtt_us) : end;
}

static bool
late(struct calls *c, struct call *k, struct mono now, struct call_act *act)
{
	struct mono end = late_at(c, k);

	if (!mono_reached(end, now)) {
		k->due = end;
		return false;
	}
	poke(c, k, now, act);
	return true;
}

static bool
count(struct calls *c, const struct call *k, struct call_act *act)
{
	*act = (struct call_act){
	    .kind = CALL_ACT_COUNT, .call = (uint16_t)(k - c->v)};
	return true;
}

static void
open_call(struct calls *c, struct call *k, struct mono now)
{
	k->state = CALL_CONNECTING;
	k->opened = now;
	k->due = patience(c, k);
	pace_sent(&c->pace, 1, now);
	/* A turn that comes a little late must not slow it down. */
	c->free = mono_add_us(mono_diff_us(c->free, now) > CALL_GAP_US
		? mono_add_us(now, -CALL_GAP_US)
		: c->free,
	    CALL_GAP_US);
	c->made++;
}

/* What is due; false if it makes no act. */
static bool
step(struct calls *c, struct call *k, struct mono now, struct call_act *act)
{
	switch (k->state) {
	case CALL_WAITING:
		open_call(c, k, now);
		*act = (struct call_act){
		    .kind = CALL_ACT_OPEN, .call = (uint16_t)(k - c->v)};
		return true;
	case CALL_ASKED:
		if (!mono_is_set(k->asked)) {
			ask(c, k, now, act);
			return true;
		}
		break;
	case CALL_READY:
		ask_for_late(c, k, now, act);
		return true;
	case CALL_SETTLING:
	case CALL_IDLE:
		return count(c, k, act);
	case CALL_LATE:
		return late(c, k, now, act);
	case CALL_POKED:
		k->dying = DYING_SILENT;
		call_finish(k, CALL_DIED, now);
		return false;
	case CALL_CONNECTING:
	case CALL_OVER:
		break;
	}
	call_finish(k, k->answers != 0 ? CALL_ANSWERED : silence(k, now), now);
	return false;
}

void
calls_hold(struct calls *c)
{
	/* Later than any, and far from where gaps added to it overflow. */
	c->free = (struct mono){INT64_MAX / 2};
}

void
calls_open(struct calls *c, uint16_t i, struct mono now)
{
	open_call(c, &c->v[i], now);
	calls_hold(c);
}

static struct mono
when(const struct calls *c, const struct call *k)
{
	if (k->state == CALL_WAITING && k->due.us < c->free.us)
		return c->free;
	return k->due;
}

/* Would the step that is due then send a packet? */
static bool
will_send(const struct calls *c, const struct call *k, struct mono now)
{
	return k->state == CALL_WAITING || k->state == CALL_READY ||
	    (k->state == CALL_ASKED && !mono_is_set(k->asked)) ||
	    (k->state == CALL_LATE && mono_reached(late_at(c, k), now));
}

static bool
may_go(struct calls *c, const struct call *k, struct mono now)
{
	return mono_reached(when(c, k), now) &&
	    (!will_send(c, k, now) || pace_ready(&c->pace, now));
}

/* All connections of the mapping stay until they are settled. */
static bool
may_close(const struct calls *c, const struct call *k)
{
	if (!k->open || k->state != CALL_OVER)
		return false;
	for (size_t i = 0; k->use == CALL_MAPPING && i < c->n; i++)
		if (c->v[i].use == CALL_MAPPING && c->v[i].state != CALL_OVER)
			return false;
	return true;
}

static bool
next_close(struct calls *c, struct mono now, struct call_act *act)
{
	struct call *k = c->v;
	size_t i = 0;

	if (!mono_reached(c->hang_up, now))
		return false;
	while (i < c->n && !may_close(c, k))
		i++, k++;
	if (i == c->n || !pace_ready(&c->pace, now))
		return false;
	pace_sent(&c->pace, 1, now);
	c->hang_up = mono_add_us(now, CALL_CLOSE_US);
	k->open = false;
	k->closed = now;
	*act = (struct call_act){.kind = CALL_ACT_CLOSE,
	    .call = (uint16_t)i,
	    .abort = k->end == CALL_DIED || k->end == CALL_SILENT ||
		k->end == CALL_MUTE || k->end == CALL_CUT};
	return true;
}

bool
calls_next(struct calls *c, struct mono now, struct call_act *act)
{
	struct call *best;

	if (next_close(c, now, act))
		return true;
	for (;;) {
		best = NULL;
		for (size_t i = 0; i < c->n; i++) {
			struct call *k = &c->v[i];

			if (mono_is_set(k->due) &&
			    (best == NULL || k->due.us < best->due.us) &&
			    may_go(c, k, now))
				best = k;
		}
		if (best == NULL)
			return next_close(c, now, act);
		if (step(c, best, now, act))
			return true;
	}
}

struct mono
calls_wake(const struct calls *c)
{
	struct mono wake = MONO_NEVER;

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];
		struct mono at = when(c, k);

		wake = mono_earlier(
		    wake, will_send(c, k, at) ? pace_wake(&c->pace, at) : at);
		if (may_close(c, k))
			wake =
			    mono_earlier(wake, pace_wake(&c->pace, c->hang_up));
	}
	if (c->phase == CALLS_DISCOVER)
		wake = mono_earlier(wake, c->decide);
	return wake;
}

void
calls_stop(struct calls *c)
{
	for (size_t i = 0; i < c->n; i++)
		call_finish(&c->v[i], CALL_SKIPPED, c->began);
}

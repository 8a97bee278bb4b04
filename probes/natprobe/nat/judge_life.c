/*
 * judge_life: how long a mapping lives, from a ladder of sockets of which
 * each was left alone for another time, and what keeps it alive. PURE.
 */
#include "probes/natprobe/nat/probe.h"

static const struct ask *
rung_ask(const struct probe *p, unsigned class, unsigned rung, unsigned step)
{
	return engine_find(&p->engine, TEST_LIFE, class << 8 | rung, step);
}

/* The ask whose packets were the last of the rung's flow. */
static const struct ask *
last_packet(const struct probe *p, unsigned class, unsigned rung)
{
	if (class == LIFE_SINGLE)
		return rung_ask(p, class, rung, LIFE_CHECK);
	return rung_ask(
	    p, class, rung, class == LIFE_STREAM ? LIFE_THIRD : LIFE_OPEN);
}

/* An exchange that took so long may have counted as a stream. */
#define EXCHANGE_SENDS 3

struct rung {
	enum answer alive;
	double age_s; /* alive then, or dead from then on */
};

/*
 * An answer that came proves that the mapping was alive when it came. Silence
 * says that it was dead when the question was first sent: later sends had
 * less of a chance.
 */
static struct rung
read_rung(const struct probe *p, unsigned class, unsigned n)
{
	const struct ask *check = rung_ask(p, class, n, LIFE_CHECK);
	const struct ask *last = last_packet(p, class, n);
	struct rung r = {.alive = ANSWER_UNKNOWN};

	if (check == NULL || last == NULL || check->sends == 0 ||
	    (class == LIFE_EXCHANGE && last->sends > EXCHANGE_SENDS))
		return r;
	if (check->state == ASK_ANSWERED) {
		r.alive = ANSWER_YES;
		r.age_s = mono_diff_us(last->last_sent, check->answered) / 1e6;
	} else if (check->state == ASK_SILENT || check->state == ASK_ANSWERED) {
		r.alive = ANSWER_NO;
		r.age_s = class == LIFE_SINGLE
		    ? check->delay_ms / 1e3
		    : mono_diff_us(last->last_sent, check->first_sent) / 1e6;
	}
	return r;
}

/* The highest rung that was alive, and the lowest above it that was dead. */
struct verdict_life
judge_life(const struct probe *p, unsigned class)
{
	struct verdict_life v = {.monotone = true};
	struct rung r;
	unsigned n = 0;

	for (n = 0; rung_ask(p, class, n, LIFE_CHECK) != NULL; n++) {
		r = read_rung(p, class, n);
		if (r.alive == ANSWER_UNKNOWN)
			continue;
		v.rungs++;
		if (r.alive == ANSWER_YES) {
			v.monotone &= v.high == 0;
			v.alive++;
			if (r.age_s > v.low)
				v.low = r.age_s;
			if (v.high < v.low)
				v.high = 0;
		} else if (v.high == 0)
			v.high = r.age_s;
	}
	if (n == 0)
		v.why = REASON_NOT_ASKED;
	else if (v.rungs == 0)
		v.why = REASON_LOSS;
	else if (v.high == 0)
		v.why = REASON_BEYOND;
	else if (v.alive == 0 && class != LIFE_SINGLE)
		/* Is it the mapping, or can the server not reach it? */
		return (struct verdict_life){.why = REASON_NO_CONTROL};
	return v;
}

/* One that was heard is enough: none would be, had nothing refreshed it. */
static enum answer
refreshed(const struct probe *p, enum refresh_kind kind)
{
	enum answer found = ANSWER_UNKNOWN;
	const struct ask *check;

	for (unsigned i = 0; i < REFRESH_EACH; i++) {
		uint16_t u = (uint16_t)(kind * REFRESH_EACH + i);

		check = engine_find(&p->engine, TEST_REFRESH, u, REFRESH_CHECK);
		if (check == NULL || check->sends == 0)
			continue;
		if (check->state == ASK_ANSWERED)
			return ANSWER_YES;
		if (check->state == ASK_SILENT || check->state == ASK_ODD)
			found = ANSWER_NO;
	}
	return found;
}

/* RFC 4787 section 4.3, REQ-6. */
struct verdict_refresh
judge_refresh(const struct probe *p)
{
	struct verdict_refresh v = {.outbound = refreshed(p, REFRESH_OUT),
	    .inbound = refreshed(p, REFRESH_IN)};

	if (v.outbound == ANSWER_UNKNOWN || v.inbound == ANSWER_UNKNOWN)
		v.why = p->options.refresh ? REASON_LOSS : REASON_NOT_ASKED;
	return v;
}

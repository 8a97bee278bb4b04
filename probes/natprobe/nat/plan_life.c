/*
 * plan_life: how long does a mapping live? A ladder: one socket per rung,
 * left alone for the rung's time and then asked once whether it is still
 * there. All rungs wait side by side, so the answer comes after about one
 * lifetime. PURE.
 *
 * The question must not come from the socket itself: that would refresh it.
 * So another socket, the checker, asks the server to send its answer to the
 * rung's external port (RESPONSE-PORT, RFC 5780 section 4.6). After one
 * packet without an answer (LIFE_SINGLE) nobody knows that port; there the
 * socket's only packet asks for an answer later (CN-DELAY).
 */
#include "probes/natprobe/nat/probe.h"

/* Rungs differ by 5 %, since half of that is within the 3 % that are
 * promised, but by the resolution at least; below 20 s by half of that, so
 * that the end of a short life is soon seen. */
#define RUNG_SHARE  0.05
#define RUNG_FIRST  2.0
#define RUNG_FINE_S 20

/* A flow counts as a stream after three exchanges in 2.2 s: Linux wants more
 * than 2 s (nf_conntrack_proto_udp.c). */
#define STREAM_GAP_US 1100000

/* Whether a mapping is alive is asked in quick succession. */
#define CHECK_GAP_US   150000

#define COOKIE_EVERY_S 20

double
life_rung_s(const struct probe_options *o, unsigned rung)
{
	double t = RUNG_FIRST, step;

	for (unsigned i = 0; i < rung; i++) {
		step = t < RUNG_FINE_S ? o->ttl_resolution_s / 2.0
				       : o->ttl_resolution_s;
		if (step < t * RUNG_SHARE)
			step = t * RUNG_SHARE;
		t += step;
	}
	return t > o->ttl_max_s ? 0 : t;
}

static struct ask
rung_ask(const struct probe *p, unsigned class, unsigned rung, unsigned step,
    uint16_t sock, uint16_t after)
{
	return (struct ask){
	    .label = {.test = TEST_LIFE,
		.unit = (uint16_t)(class << 8 | rung),
		.step = (uint8_t)step},
	    .sock = sock,
	    .to = p->places[PLACE_PP],
	    .after = after,
	    .port_of = ASK_NONE,
	};
}

static void
plan_single(struct probe *p, unsigned rung, double s, struct mono now)
{
	uint16_t sock = engine_sock(&p->engine, p->options.v6, 0, 0);
	struct ask q =
	    rung_ask(p, LIFE_SINGLE, rung, LIFE_CHECK, sock, ASK_NONE);

	q.delay_ms = (uint32_t)(s * 1000);
	/* Each packet may be lost, so there are three. All are outbound, and
	 * the age counts from the last. */
	q.sends_max = 3;
	q.gap_us = CHECK_GAP_US;
	engine_ask(&p->engine, &q, now);
}

/* The checker's questions; each brings a fresh cookie, too. */
static uint16_t
plan_checker(struct probe *p, struct mono now)
{
	uint16_t sock = engine_sock(&p->engine, p->options.v6, 0, 0);
	struct ask q = {.label = {.test = TEST_COOKIE},
	    .sock = sock,
	    .to = p->places[PLACE_PP],
	    .after = ASK_NONE,
	    .port_of = ASK_NONE};
	unsigned n = p->options.ttl_max_s / COOKIE_EVERY_S + 1;

	for (unsigned i = 0; i < n && i <= LABEL_STEP_MAX; i++) {
		q.label.step = (uint8_t)i;
		q.wait_us = (int64_t)i * COOKIE_EVERY_S * 1000000;
		engine_ask(&p->engine, &q, now);
	}
	return sock;
}

static void
plan_checked(struct probe *p, unsigned class, unsigned rung, double s,
    uint16_t checker, struct mono now)
{
	uint16_t sock = engine_sock(&p->engine, p->options.v6, 0, 0);
	struct ask q = rung_ask(p, class, rung, LIFE_OPEN, sock, ASK_NONE);
	uint16_t open = engine_ask(&p->engine, &q, now), last = open;

	for (unsigned i = LIFE_SECOND; class == LIFE_STREAM && i < LIFE_CHECK;
	     i++) {
		q = rung_ask(p, class, rung, i, sock, last);
		q.wait_us = STREAM_GAP_US;
		last = engine_ask(&p->engine, &q, now);
	}
	q = rung_ask(p, class, rung, LIFE_CHECK, checker, last);
	q.port_of = last;
	q.gap_us = CHECK_GAP_US;
	q.wait_us = (int64_t)(s * 1e6);
	engine_ask(&p->engine, &q, now);
}

void
plan_life(struct probe *p, struct mono now)
{
	uint16_t checker = plan_checker(p, now);
	double s;

	for (unsigned rung = 0; rung < 256; rung++) {
		if ((s = life_rung_s(&p->options, rung)) <= 0)
			break;
		plan_checked(p, LIFE_STREAM, rung, s, checker, now);
		plan_checked(p, LIFE_EXCHANGE, rung, s, checker, now);
		plan_single(p, rung, s, now);
	}
}

/* ---- the end ---- */

/* So many rungs in a row without an answer: it is not loss. With rungs 5 %
 * apart the second is 10 % above the last that was alive. */
#define DEAD_ROW 2

static uint16_t
check_of(const struct probe *p, unsigned class, unsigned rung)
{
	const struct ask *a =
	    engine_find(&p->engine, TEST_LIFE, class << 8 | rung, LIFE_CHECK);

	return a == NULL ? ASK_NONE : (uint16_t)(a - p->engine.asks);
}

/* The first rung that needs not be waited for; ASK_NONE if all do. */
static unsigned
rung_end(const struct probe *p, unsigned class)
{
	unsigned row = 0;
	uint16_t i;

	for (unsigned rung = 0; (i = check_of(p, class, rung)) != ASK_NONE;
	     rung++) {
		const struct ask *a = &p->engine.asks[i];

		if (!ask_over(a))
			return ASK_NONE;
		if (a->state == ASK_SILENT)
			row++;
		else if (a->state == ASK_ANSWERED)
			row = 0;
		if (row >= DEAD_ROW)
			return rung + 1;
	}
	return ASK_NONE;
}

static void
skip_test(struct probe *p, uint8_t test, struct mono now)
{
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].label.test == test)
			engine_skip(&p->engine, (uint16_t)i, now);
}

static bool
life_is_over(const struct probe *p)
{
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].label.test == TEST_LIFE &&
		    !ask_over(&p->engine.asks[i]))
			return false;
	return true;
}

void
plan_life_trim(struct probe *p, struct mono now)
{
	uint16_t check;

	for (unsigned class = 0; class < LIFE_CLASSES; class ++)
		for (unsigned rung = rung_end(p, class); rung != ASK_NONE &&
		     (check = check_of(p, class, rung)) != ASK_NONE;
		     rung++)
			engine_skip(&p->engine, check, now);
	if (life_is_over(p))
		skip_test(p, TEST_COOKIE, now);
}

/* ---- which direction refreshes ---- */

/* Packets of one direction at 0.6 of the lifetime each; after three of them
 * and another wait the mapping is alive only if they refreshed it. */
#define REFRESH_SHARE 0.6

static void
plan_refresh_unit(struct probe *p, unsigned unit, enum refresh_kind kind,
    uint16_t checker, int64_t gap_us, struct mono now)
{
	uint16_t sock = engine_sock(&p->engine, p->options.v6, 0, 0);
	struct ask q = {.label = {.test = TEST_REFRESH, .unit = (uint16_t)unit},
	    .sock = sock,
	    .to = p->places[PLACE_PP],
	    .after = ASK_NONE,
	    .port_of = ASK_NONE};
	uint16_t open = engine_ask(&p->engine, &q, now);

	q.after = open;
	q.wait_us = gap_us;
	for (unsigned i = 1; i <= REFRESH_CHECK; i++) {
		bool out = kind == REFRESH_OUT && i < REFRESH_CHECK;

		q.label.step = (uint8_t)i;
		q.sock = out ? sock : checker;
		q.silent = out;
		q.port_of = out ? ASK_NONE : open;
		q.after = engine_ask(&p->engine, &q, now);
		q.when = ASK_IF_ANY;
	}
}

void
plan_refresh(struct probe *p, double life_s, struct mono now)
{
	uint16_t checker = engine_sock(&p->engine, p->options.v6, 0, 0);
	struct ask q = {.label = {.test = TEST_COOKIE, .unit = 1},
	    .sock = checker,
	    .to = p->places[PLACE_PP],
	    .after = ASK_NONE,
	    .port_of = ASK_NONE};
	int64_t gap = (int64_t)(life_s * REFRESH_SHARE * 1e6);
	int64_t all = gap * (REFRESH_CHECK + 1);

	for (unsigned u = 0; u < REFRESH_KINDS * REFRESH_EACH; u++)
		plan_refresh_unit(p, u,
		    u < REFRESH_EACH ? REFRESH_OUT : REFRESH_IN, checker, gap,
		    now);
	for (int64_t t = 0; t < all && q.label.step < LABEL_STEP_MAX;
	     t += (int64_t)COOKIE_EVERY_S * 1000000) {
		q.wait_us = t;
		engine_ask(&p->engine, &q, now);
		q.label.step++;
	}
}

/*
 * plan: which connections a run makes: to each server, to find out whether it
 * answers over TCP; then for the mapping and, if it is wanted, the lifetime,
 * both at once; then whether TCP's own keepalive refreshes. PURE.
 */
#include <string.h>

#include "probes/natprobe/tcp/calls.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* A lost SYN must not cost a second: so late a second attempt is made. */
#define TRY_US (400 * MS)
/* Servers that have not answered are waited for until then: if those that
 * have are enough to tell all; if any has; and in vain. */
#define ENOUGH_US (500 * MS)
#define SOME_US	  (1300 * MS)
#define NONE_US	  (2000 * MS)
/* All but the lifetime and hanging up is over then. */
#define LIMIT_US (2600 * MS)

/* So many rungs in a row that were not alive. */
#define DEAD_ROW 2

/* Keepalives at half of the lifetime, for a good two lifetimes. */
#define KEEP_EVERY 0.5
#define KEEP_LONG  2.2
#define HOLD_MAX_S 600

static void
add(struct calls *c, enum call_use use, unsigned unit, unsigned place,
    const struct stun_addr *to, struct mono due)
{
	struct call k = {.use = use,
	    .unit = (uint16_t)unit,
	    .place = (uint16_t)place,
	    .port_of = ASK_NONE,
	    .to = *to,
	    .due = due};

	calls_add(c, &k);
}

int64_t
calls_limit_us(const struct pacer *pacer)
{
	return pacer_longer_us(pacer, LIMIT_US);
}

/* From the start; see the limits above. */
static struct mono
after_start(const struct calls *c, int64_t us)
{
	return mono_add_us(c->began, pacer_longer_us(c->pace.pacer, us));
}

void
calls_begin(struct calls *c, struct mono now)
{
	c->limit = mono_add_us(now, calls_limit_us(c->pace.pacer));
	c->decide = after_start(c, ENOUGH_US);
	for (unsigned try = 0; try < CALL_TRIES; try++)
		for (unsigned i = 0; i < c->n_servers; i++)
			add(c, CALL_DISCOVER, i, try, &c->servers[i],
			    mono_add_us(now, (int64_t)try * TRY_US));
}

/* ---- discover ---- */

const struct call *
calls_of_server(const struct calls *c, unsigned server)
{
	const struct call *best = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_DISCOVER || k->unit != server)
			continue;
		if (best == NULL || k->end > best->end)
			best = k;
	}
	return best;
}

/* One attempt that tells something is enough. */
static void
skip_second_tries(struct calls *c, struct mono now)
{
	for (size_t i = 0; i < c->n; i++) {
		struct call *k = &c->v[i];

		if (k->use == CALL_DISCOVER && k->state != CALL_OVER &&
		    calls_of_server(c, k->unit)->end > CALL_SILENT)
			call_finish(k, CALL_SKIPPED, now);
	}
}

/* RFC 5780: another address and port, in the same family. */
static bool
has_alternate(const struct call *k)
{
	return k->other.port != 0 && k->other.port != k->to.port &&
	    !stun_addr_same_ip(&k->other, &k->to) &&
	    stun_addr_is_v4(&k->other) == stun_addr_is_v4(&k->to);
}

static bool
answers(const struct calls *c, unsigned server)
{
	const struct call *k = calls_of_server(c, server);

	return k != NULL && k->end == CALL_ANSWERED && !k->lies;
}

static bool
is_enough(const struct calls *c)
{
	const struct call *first = NULL, *k;

	for (unsigned i = 0; i < c->n_servers; i++) {
		if (!answers(c, i))
			continue;
		k = calls_of_server(c, i);
		if (has_alternate(k) ||
		    (first != NULL && !stun_addr_same_ip(&first->to, &k->to)))
			return true;
		first = k;
	}
	return false;
}

static bool
is_any(const struct calls *c)
{
	for (unsigned i = 0; i < c->n_servers; i++)
		if (answers(c, i))
			return true;
	return false;
}

/* Whether no more is to be waited for; if not, when to look again. */
static bool
is_discovered(struct calls *c, struct mono now)
{
	struct mono enough = after_start(c, ENOUGH_US),
		    some = after_start(c, SOME_US),
		    none = after_start(c, NONE_US);
	bool over = true;

	skip_second_tries(c, now);
	for (size_t i = 0; i < c->n; i++)
		over &= c->v[i].state == CALL_OVER;
	if (over || (mono_reached(enough, now) && is_enough(c)) ||
	    (mono_reached(some, now) && is_any(c)) || mono_reached(none, now))
		return true;
	c->decide = !mono_reached(enough, now) ? enough
	    : !mono_reached(some, now)	       ? some
					       : none;
	return false;
}

/* ---- places ---- */

static void
add_place(struct calls *c, const struct stun_addr *ip, uint16_t port)
{
	struct stun_addr a = *ip;

	a.port = port;
	for (size_t i = 0; i < c->n_places; i++)
		if (stun_addr_same(&c->places[i], &a))
			return;
	if (c->n_places < CALL_PLACES)
		c->places[c->n_places++] = a;
}

/* The first that has a second address, else the first that answers. */
static void
choose_primary(struct calls *c)
{
	for (unsigned i = 0; i < c->n_servers; i++) {
		if (!answers(c, i) || c->alternate)
			continue;
		c->alternate = has_alternate(calls_of_server(c, i));
		if (c->primary == -1 || c->alternate)
			c->primary = (int)i;
	}
}

static void
choose_places(struct calls *c)
{
	const struct call *k = calls_of_server(c, (unsigned)c->primary);
	const struct stun_addr *a = &k->to, *o = &k->other;

	add_place(c, a, a->port);
	if (c->alternate) {
		add_place(c, a, o->port);
		add_place(c, o, a->port);
		add_place(c, o, o->port);
	}
	for (unsigned i = 0; i < c->n_servers; i++)
		if (answers(c, i))
			add_place(c, &c->servers[i], c->servers[i].port);
}

/* ---- the main part ---- */

static void
add_mapping(struct calls *c, struct mono now)
{
	for (unsigned u = 0; u < CALL_UNITS; u++) {
		uint16_t first = (uint16_t)c->n;

		for (unsigned p = 0; p < c->n_places; p++) {
			struct call k = {.use = CALL_MAPPING,
			    .unit = (uint16_t)u,
			    .place = (uint16_t)p,
			    .port_of = first,
			    .to = c->places[p],
			    .due = now};

			calls_add(c, &k);
		}
	}
}

static void
add_ladder(struct calls *c, struct mono now)
{
	double s;

	for (unsigned rung = 0; (s = life_rung_s(&c->options, rung)) > 0;
	     rung++) {
		struct call k = {.use = CALL_LIFE,
		    .unit = (uint16_t)rung,
		    .port_of = ASK_NONE,
		    .to = c->places[0],
		    .hold_ms = (uint32_t)(s * 1000),
		    .due = now};

		calls_add(c, &k);
	}
}

static void
begin_main(struct calls *c, struct mono now)
{
	choose_primary(c);
	if (c->primary == -1)
		return;
	choose_places(c);
	add_mapping(c, now);
	if (c->options.lifetime)
		add_ladder(c, now);
}

/* Once something is dead: is the server still there? */
static void
add_control(struct calls *c, struct mono now)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].use == CALL_CONTROL)
			return;
	for (unsigned try = 0; try < CALL_CONTROLS; try++)
		add(c, CALL_CONTROL, 0, try, &c->places[0],
		    mono_add_us(now, (int64_t)try * TRY_US));
}

/* Above some rungs in a row that were not alive, none will be. */
static void
trim(struct calls *c, struct mono now)
{
	unsigned row = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct call *k = &c->v[i];

		if (k->use != CALL_LIFE)
			continue;
		if (row >= DEAD_ROW) {
			call_finish(k, CALL_SKIPPED, now);
			continue;
		}
		if (k->end == CALL_DIED)
			add_control(c, now);
		if (k->state != CALL_OVER && k->state != CALL_POKED)
			return;
		if (k->end == CALL_ANSWERED)
			row = 0;
		else if (call_has_paused(k))
			row++;
	}
}

/* ---- keepalives ---- */

static void
begin_keep(struct calls *c, struct mono now)
{
	struct verdict_life life = judge_tcp_life(c);
	double every = life.low * KEEP_EVERY, hold = life.high * KEEP_LONG;

	if (!c->options.lifetime || !c->options.refresh || life.high <= 0 ||
	    every < 1 || hold > HOLD_MAX_S)
		return;
	for (unsigned i = 0; i < CALL_KEEPERS; i++) {
		struct call k = {.use = CALL_KEEPER,
		    .unit = (uint16_t)i,
		    .port_of = ASK_NONE,
		    .to = c->places[0],
		    .hold_ms = (uint32_t)(hold * 1000),
		    .keepalive_s = (uint16_t)every,
		    .due = now};

		calls_add(c, &k);
	}
}

bool
calls_advance(struct calls *c, struct mono now)
{
	if (c->bad)
		c->phase = CALLS_DONE;
	if (c->phase == CALLS_DISCOVER && is_discovered(c, now)) {
		c->phase = CALLS_MAIN;
		c->decide = MONO_NEVER;
		begin_main(c, now);
	}
	if (c->phase == CALLS_MAIN)
		trim(c, now);
	while (c->phase != CALLS_DISCOVER && c->phase != CALLS_DONE &&
	    !mono_is_set(calls_wake(c))) {
		c->phase++;
		if (c->phase == CALLS_KEEP)
			begin_keep(c, now);
	}
	return c->phase != CALLS_DONE;
}

void
calls_plan_most(struct calls *c, struct mono now)
{
	c->n_places = CALL_PLACES;
	add_mapping(c, now);
	if (c->options.lifetime)
		add_ladder(c, now);
	for (unsigned i = 0;
	     c->options.lifetime && c->options.refresh && i < CALL_KEEPERS; i++)
		add(c, CALL_KEEPER, i, 0, &c->places[0], now);
}

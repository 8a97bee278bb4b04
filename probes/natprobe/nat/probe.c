/* probe: the phases of a run, and what one learns for the next. PURE. */
#include <string.h>

#include "probes/natprobe/nat/probe.h"

/* A server that has not answered does not hold up the tests for longer, from
 * the first question: a lost packet was sent again by then. */
#define ENOUGH_US   INT64_C(300000)
#define ENOUGH_RTTS 3

void
probe_init(struct probe *p, const struct probe_options *options,
    const struct stun_addr *servers, size_t n,
    const uint8_t seed[static ENGINE_SEED_LEN], struct mono now)
{
	memset(p, 0, sizeof(*p));
	p->options = *options;
	p->primary = -1;
	for (size_t i = 0; i < n && i < PROBE_SERVERS; i++)
		p->servers[p->n_servers++].addr = servers[i];
	engine_init(&p->engine, seed, options->rate, now);
	p->engine.pace.pacer = options->pacer;
	plan_discover(p, now);
}

void
probe_clear(struct probe *p)
{
	engine_clear(&p->engine);
}

/*
 * OTHER-ADDRESS must differ in address and port, in the same family. One that
 * is this host, from inside or outside, would make it send to itself; and a
 * public server that tells a private one is behind a NAT of its own.
 */
static bool
other_is_sound(const struct probe *p, const struct ask *a)
{
	const struct stun_addr *local = &p->engine.socks[a->sock].local;

	return a->other.port != a->to.port &&
	    !stun_addr_same_ip(&a->other, &a->to) &&
	    stun_addr_is_v4(&a->other) == stun_addr_is_v4(&a->to) &&
	    !oddity_impossible(&a->other, local, &a->to) &&
	    (stun_addr_is_loopback(&a->to) ||
		(!stun_addr_same_ip(&a->other, local) &&
		    !stun_addr_same_ip(&a->other, &a->mapped))) &&
	    (!stun_addr_is_private(&a->other) || stun_addr_is_private(&a->to));
}

/* The answer that says what the server is; NULL: there is none, or a better
 * one may come. */
static const struct ask *
answer_of(const struct probe *p, unsigned i)
{
	const struct ask *full = engine_find(&p->engine, TEST_DISCOVER, i, 0);
	const struct ask *tail = engine_find(&p->engine, TEST_DISCOVER, i, 1);

	if (full != NULL && full->state == ASK_ANSWERED)
		return full;
	if (full != NULL && !ask_over(full))
		return NULL;
	return tail != NULL && tail->state == ASK_ANSWERED ? tail : NULL;
}

static void
learn_server(struct probe *p, unsigned i)
{
	struct server *s = &p->servers[i];
	const struct ask *a = answer_of(p, i);

	if (a == NULL)
		return;
	s->alive = true;
	s->tailnode_only = a->tailnode;
	s->mapped = a->mapped;
	s->rtt_us = mono_diff_us(a->last_sent, a->answered);
	if (a->other.port == 0)
		return;
	s->odd_other = !other_is_sound(p, a);
	if (!s->odd_other)
		s->other = a->other;
}

static void
set_place(
    struct probe *p, unsigned place, const struct stun_addr *ip, uint16_t port)
{
	p->places[place] = *ip;
	p->places[place].port = port;
	p->has_place[place] = true;
}

/* How well a server does for all the tests. */
static int
worth(const struct probe *p, unsigned i)
{
	const struct server *s = &p->servers[i];

	if (!s->alive)
		return -1;
	return server_is_liar(p, i) ? 0 : s->other.port == 0 ? 1 : 2;
}

/* The primary server is one with a second address, else one that answers.
 * Among equals it is `rather`, if not NULL, or the first. */
static void
choose_primary(struct probe *p, const struct stun_addr *rather)
{
	int best = -1;

	for (unsigned i = 0; i < p->n_servers; i++)
		if (worth(p, i) > best ||
		    (worth(p, i) == best && rather != NULL &&
			stun_addr_same(&p->servers[i].addr, rather))) {
			best = worth(p, i);
			p->primary = (int)i;
		}
}

static void
choose_places(struct probe *p)
{
	const struct server *s = &p->servers[p->primary];
	const struct stun_addr *a = &s->addr, *o = &s->other;

	set_place(p, PLACE_PP, a, a->port);
	if (o->port != 0) {
		set_place(p, PLACE_PA, a, o->port);
		set_place(p, PLACE_AP, o, a->port);
		set_place(p, PLACE_AA, o, o->port);
	}
	for (unsigned i = 0; i < p->n_servers; i++)
		if ((int)i != p->primary && p->servers[i].alive)
			set_place(p, PLACE_MORE + i, &p->servers[i].addr,
			    p->servers[i].addr.port);
}

static void
begin_main(struct probe *p, const struct stun_addr *rather, struct mono now)
{
	for (unsigned i = 0; i < p->n_servers; i++)
		learn_server(p, i);
	choose_primary(p, rather);
	if (p->primary == -1)
		return;
	choose_places(p);
	if (p->has_place[PLACE_AA]) {
		plan_filter(p, now);
		plan_poison(p, now);
	}
	plan_mapping(p, now);
	if (p->options.local_ips >= 2 && p->has_place[PLACE_AP])
		plan_collision(p, now);
	plan_alloc(p, now);
}

static void
begin_filter(struct probe *p, struct mono now)
{
	struct verdict_filter v = judge_filter(p);

	if (p->primary == -1 || !p->has_place[PLACE_AA])
		return;
	for (unsigned k = 0; k < FILTER_KINDS; k++)
		if (v.passed[k] > 0 && v.passed[k] < v.tried[k])
			plan_filter_again(p, (enum filter_kind)k, now);
}

static void
begin_refresh(struct probe *p, struct mono now)
{
	struct verdict_life v;

	if (!p->options.lifetime || !p->options.refresh || p->primary == -1)
		return;
	v = judge_life(p, LIFE_EXCHANGE);
	if (v.why == REASON_NONE && v.low > 0)
		plan_refresh(p, v.low, now);
}

static void
begin(struct probe *p, struct mono now)
{
	switch (p->phase) {
	case PHASE_MAIN:
		begin_main(p, NULL, now);
		break;
	case PHASE_FILTER:
		begin_filter(p, now);
		break;
	case PHASE_LIFE:
		if (p->options.lifetime && p->primary != -1)
			plan_life(p, now);
		break;
	case PHASE_REFRESH:
		begin_refresh(p, now);
		break;
	case PHASE_HAIRPIN:
		if (p->options.hairpin && p->primary != -1)
			plan_hairpin(p, now);
		break;
	case PHASE_HAIRPIN_RAW:
		/* Without a NAT it would be a packet to itself. */
		if (judge_mapping(p).kind != BEHAVIOUR_NONE)
			plan_hairpin_raw(p, now);
		break;
	case PHASE_DISCOVER:
	case PHASE_DONE:
		break;
	}
}

/* ---- servers that do not answer, or late ---- */

/* One that answers has all that the tests need. */
static bool
is_enough(const struct probe *p)
{
	const struct ask *a;

	for (unsigned i = 0; i < p->n_servers; i++)
		if ((a = answer_of(p, i)) != NULL && a->other.port != 0 &&
		    other_is_sound(p, a) && !server_is_liar(p, i))
			return true;
	return false;
}

/* Until then the others are waited for. */
static struct mono
enough_at(const struct probe *p)
{
	const struct ask *a;
	struct mono first = MONO_NEVER;
	int64_t us = p->engine.rtt_us * ENOUGH_RTTS;

	for (unsigned i = 0; i < p->n_servers; i++)
		if ((a = engine_find(&p->engine, TEST_DISCOVER, i, 0)) !=
			NULL &&
		    a->sends > 0)
			first = mono_earlier(first, a->first_sent);
	return mono_add_us(first, us > ENOUGH_US ? us : ENOUGH_US);
}

bool
probe_go_on(struct probe *p, const struct stun_addr *rather, struct mono now)
{
	if (p->phase != PHASE_DISCOVER || !is_enough(p))
		return false;
	p->phase = PHASE_MAIN;
	begin_main(p, rather, now);
	return true;
}

/* Who answers while the tests run is asked, too. One that had been given up
 * is not: that is a finding. */
static void
join_late(struct probe *p, struct mono now)
{
	const struct ask *a;

	for (unsigned i = 0; i < p->n_servers; i++) {
		if (p->servers[i].alive || (a = answer_of(p, i)) == NULL ||
		    (a->odd & ODD_LATE) != 0)
			continue;
		learn_server(p, i);
		set_place(p, PLACE_MORE + i, &p->servers[i].addr,
		    p->servers[i].addr.port);
		plan_mapping_place(p, PLACE_MORE + i, now);
	}
}

struct mono
probe_wake(const struct probe *p)
{
	struct mono wake = engine_wake(&p->engine);

	if (p->phase == PHASE_DISCOVER && !p->led && is_enough(p))
		wake = mono_earlier(wake, enough_at(p));
	return wake;
}

bool
probe_advance(struct probe *p, struct mono now)
{
	/* Asks that were given up say nothing of the next phase. */
	if (p->stopped)
		return false;
	if (p->phase == PHASE_DISCOVER && !p->led && is_enough(p) &&
	    mono_reached(enough_at(p), now))
		(void)probe_go_on(p, NULL, now);
	if (p->phase == PHASE_MAIN && p->primary != -1)
		join_late(p, now);
	if (p->phase == PHASE_LIFE)
		plan_life_trim(p, now);
	while (
	    p->phase != PHASE_DONE && !mono_is_set(engine_wake(&p->engine))) {
		p->phase++;
		begin(p, now);
	}
	return p->phase != PHASE_DONE;
}

void
probe_stop(struct probe *p)
{
	p->stopped |= p->phase != PHASE_DONE;
	engine_stop(&p->engine);
}

/*
 * plan: the questions of each test. PURE. What they mean is in judge_*.c.
 *
 * Two rules hold everywhere. A socket that asked for an answer from elsewhere
 * (CHANGE-REQUEST) is never used to find out a mapping: the early packet from
 * outside may have changed it. And no silence counts without a control: a
 * question that differs in nothing but that its answer must come.
 */
#include <string.h>

#include "probes/natprobe/nat/probe.h"

static struct ask
question(
    uint8_t test, unsigned unit, unsigned step, uint16_t sock, uint16_t after)
{
	return (struct ask){
	    .label = {.test = test,
		.unit = (uint16_t)unit,
		.step = (uint8_t)step},
	    .sock = sock,
	    .after = after,
	    .port_of = ASK_NONE,
	};
}

static uint16_t
sock(struct probe *p)
{
	return engine_sock(&p->engine, p->options.v6, 0, 0);
}

void
plan_discover(struct probe *p, struct mono now)
{
	for (size_t i = 0; i < p->n_servers; i++) {
		uint16_t s = sock(p);
		struct ask q =
		    question(TEST_DISCOVER, (unsigned)i, 0, s, ASK_NONE);

		q.to = p->servers[i].addr;
		engine_ask(&p->engine, &q, now);
		q.label.step = 1;
		q.tailnode = true;
		engine_ask(&p->engine, &q, now);
	}
}

/* A server that makes addresses up is caught by asking it again. */
static void
ask_again(struct probe *p, struct ask q, uint16_t first, struct mono now)
{
	q.label.step += MAPPING_AGAIN;
	q.after = first;
	engine_ask(&p->engine, &q, now);
}

static void
plan_mapping_ask(
    struct probe *p, unsigned unit, unsigned place, uint16_t s, struct mono now)
{
	struct ask q = question(TEST_MAPPING, unit, place, s, ASK_NONE);
	uint16_t first;

	q.to = p->places[place];
	q.tailnode =
	    place >= PLACE_MORE && p->servers[place - PLACE_MORE].tailnode_only;
	first = engine_ask(&p->engine, &q, now);
	if (unit < MAPPING_UNITS_AGAIN && first != ASK_NONE)
		ask_again(p, q, first, now);
}

/* Each socket asks each place, all at once: order must not matter. */
void
plan_mapping(struct probe *p, struct mono now)
{
	for (unsigned u = 0; u < MAPPING_UNITS; u++) {
		uint16_t s = sock(p);

		for (unsigned i = 0; i < PROBE_PLACES; i++)
			if (p->has_place[i])
				plan_mapping_ask(p, u, i, s, now);
	}
}

void
plan_mapping_place(struct probe *p, unsigned place, struct mono now)
{
	for (unsigned u = 0; u < MAPPING_UNITS; u++) {
		const struct ask *a =
		    engine_find(&p->engine, TEST_MAPPING, u, PLACE_PP);

		if (a != NULL)
			plan_mapping_ask(p, u, place, a->sock, now);
	}
}

/* What to ask PP for, and the place that then answers (RFC 5780 4.4). */
static const struct {
	uint8_t change;
	enum place from;
} filters[FILTER_KINDS] = {
    [FILTER_BOTH] = {STUN_CHANGE_IP | STUN_CHANGE_PORT, PLACE_AA},
    [FILTER_PORT] = {STUN_CHANGE_PORT, PLACE_PA},
    [FILTER_IP] = {STUN_CHANGE_IP, PLACE_AP},
};

static void
plan_filter_unit(
    struct probe *p, unsigned unit, enum filter_kind kind, struct mono now)
{
	uint16_t s = sock(p), open;
	struct ask q = question(TEST_FILTER, unit, FILTER_OPEN, s, ASK_NONE);

	q.to = p->places[PLACE_PP];
	open = engine_ask(&p->engine, &q, now);
	q.label.step = FILTER_ASK;
	q.after = open;
	q.change = filters[kind].change;
	q.expect = p->places[filters[kind].from];
	engine_ask(&p->engine, &q, now);
}

/*
 * The control: the socket has sent to the place that is to answer, so no
 * filter stops the answer, if it goes to the port which that made. On a NAT
 * whose mapping depends on the destination that is another port than the one
 * from which the request comes, so RESPONSE-PORT names it.
 */
static void
plan_filter_control(
    struct probe *p, enum filter_kind kind, bool response_port, struct mono now)
{
	unsigned unit =
	    FILTER_CONTROLS + kind * FILTER_CONTROLS_EACH + !response_port;
	uint16_t s = sock(p), open;
	struct ask q = question(TEST_FILTER, unit, FILTER_OPEN, s, ASK_NONE);

	q.to = p->places[filters[kind].from];
	open = engine_ask(&p->engine, &q, now);
	q.label.step = FILTER_ASK;
	q.after = open;
	q.to = p->places[PLACE_PP];
	q.change = filters[kind].change;
	q.expect = p->places[filters[kind].from];
	if (response_port)
		q.port_of = open;
	engine_ask(&p->engine, &q, now);
}

void
plan_filter(struct probe *p, struct mono now)
{
	for (unsigned k = 0; k < FILTER_KINDS; k++) {
		for (unsigned u = 0; u < FILTER_EACH; u++)
			plan_filter_unit(
			    p, k * FILTER_EACH + u, (enum filter_kind)k, now);
		plan_filter_control(p, (enum filter_kind)k, true, now);
		plan_filter_control(p, (enum filter_kind)k, false, now);
	}
}

void
plan_filter_again(struct probe *p, enum filter_kind kind, struct mono now)
{
	for (unsigned u = 0; u < FILTER_EACH; u++)
		plan_filter_unit(
		    p, FILTER_AGAIN + kind * FILTER_EACH + u, kind, now);
}

/*
 * A packet from AA comes before the socket has sent to AA. A gateway that
 * makes state for it gives the socket another port towards AA afterwards.
 */
void
plan_poison(struct probe *p, struct mono now)
{
	for (unsigned u = 0; u < POISON_UNITS; u++) {
		uint16_t s = sock(p), early, next;
		struct ask q =
		    question(TEST_POISON, u, POISON_EARLY, s, ASK_NONE);

		q.to = p->places[PLACE_PP];
		q.change = STUN_CHANGE_IP | STUN_CHANGE_PORT;
		q.expect = p->places[PLACE_AA];
		/* Sent once: it arrives early or not at all. */
		q.sends_max = 2;
		early = engine_ask(&p->engine, &q, now);
		q = question(TEST_POISON, u, POISON_ALTERNATE, s, early);
		q.when = ASK_IF_ANY;
		q.to = p->places[PLACE_AA];
		next = engine_ask(&p->engine, &q, now);
		q = question(TEST_POISON, u, POISON_PRIMARY, s, next);
		q.when = ASK_IF_ANY;
		q.to = p->places[PLACE_PP];
		engine_ask(&p->engine, &q, now);
	}
}

/* Sockets one after the other, then some on consecutive local ports. */
void
plan_alloc(struct probe *p, struct mono now)
{
	uint16_t row = ASK_NONE, last = ASK_NONE, first[ALLOC_CONTROLS];
	const struct ask *found;

	for (unsigned u = 0; u < ALLOC_UNITS + ALLOC_ROW; u++) {
		uint16_t s = u <= ALLOC_UNITS
		    ? sock(p)
		    : engine_sock_beside(
			  &p->engine, row, (uint8_t)(u - ALLOC_UNITS), 0);
		struct ask q = question(TEST_ALLOC, u, ALLOC_OPEN, s, ASK_NONE);

		q.to = p->places[PLACE_PP];
		q.tailnode = p->servers[p->primary].tailnode_only;
		last = engine_ask(&p->engine, &q, now);
		if (u < ALLOC_CONTROLS)
			first[u] = s;
		if (u != ALLOC_UNITS)
			continue;
		row = s;
		if (s != ASK_NONE)
			p->engine.socks[s].row = true;
	}
	found = engine_find(&p->engine, TEST_DISCOVER, (unsigned)p->primary, 0);
	first[0] = found == NULL ? ASK_NONE : found->sock;
	for (unsigned u = 0; u < ALLOC_CONTROLS; u++) {
		struct ask q =
		    question(TEST_ALLOC, u, ALLOC_CONTROL, first[u], last);

		q.when = ASK_IF_SILENT;
		q.to = p->places[PLACE_PP];
		q.tailnode = p->servers[p->primary].tailnode_only;
		engine_ask(&p->engine, &q, now);
	}
}

/*
 * Two hosts with one source port: here two addresses of this host. The second
 * one takes the port towards AP first; towards PP the first one has it.
 */
void
plan_collision(struct probe *p, struct mono now)
{
	uint16_t a = sock(p);
	uint16_t b = engine_sock_beside(&p->engine, a, 0, 1);
	struct ask q = question(TEST_COLLISION, 0, 0, a, ASK_NONE);
	uint16_t before;

	q.to = p->places[PLACE_PP];
	before = engine_ask(&p->engine, &q, now);
	q = question(TEST_COLLISION, 0, 1, b, before);
	q.to = p->places[PLACE_AP];
	before = engine_ask(&p->engine, &q, now);
	q = question(TEST_COLLISION, 0, 2, b, before);
	q.to = p->places[PLACE_PP];
	engine_ask(&p->engine, &q, now);
}

/*
 * First two sockets learn their mappings; then each sends to the other's. The
 * first packet opens the filter of its own socket, so that the second one,
 * the other way, may pass even where filters ask for that. Steps: 0 and 1 ask
 * the server, 2 and 3 are the packets from 0 to 1 and from 1 to 0.
 */
void
plan_hairpin(struct probe *p, struct mono now)
{
	for (unsigned u = 0; u < HAIRPIN_UNITS; u++)
		for (unsigned i = 0; i < 2; i++) {
			struct ask q =
			    question(TEST_HAIRPIN, u, i, sock(p), ASK_NONE);

			q.to = p->places[PLACE_PP];
			q.tailnode = p->servers[p->primary].tailnode_only;
			engine_ask(&p->engine, &q, now);
		}
}

#define CROSS_GAP_US 100000

static void
plan_hairpin_pair(
    struct probe *p, unsigned unit, const struct ask *pair[2], struct mono now)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ask q = question(
		    TEST_HAIRPIN, unit, 2 + i, pair[i]->sock, ASK_NONE);

		q.raw = true;
		q.to = pair[1 - i]->mapped;
		q.wait_us = i * CROSS_GAP_US;
		engine_ask(&p->engine, &q, now);
	}
}

void
plan_hairpin_raw(struct probe *p, struct mono now)
{
	for (unsigned u = 0; u < HAIRPIN_UNITS; u++) {
		struct ask copy[2];
		const struct ask *pair[2];

		for (uint8_t i = 0; i < 2; i++) {
			pair[i] = engine_find(&p->engine, TEST_HAIRPIN, u, i);
			if (pair[i] == NULL || pair[i]->state != ASK_ANSWERED)
				break;
			/* Planning moves the asks. */
			copy[i] = *pair[i];
			pair[i] = &copy[i];
			if (i == 1)
				plan_hairpin_pair(p, u, pair, now);
		}
	}
}

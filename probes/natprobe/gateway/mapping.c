/*
 * mapping: one mapping that a router made: the socket that it leads to, and
 * whether it can be seen from outside. An engine of its own knows how often
 * to ask and when to believe silence.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probes/natprobe/gateway/asker.h"
#include "probes/natprobe/gateway/gateway.h"

#define RATE 20

/* Which question is which: units of this test, and their indices. */
enum { ASK_MAPPING, ASK_PLAIN, ASK_CONTROL, ASK_SEEN };

struct reach {
	struct mapping *m;
	struct asker asker;
	loop_fn *done;
	void *arg;
};

const char *
seen_name(enum seen s)
{
	static const char *const names[] = {
	    [SEEN_UNTRIED] = "not-asked",
	    [SEEN_YES] = "",
	    [SEEN_NO] = "filtered",
	    [SEEN_NO_SERVER] = "no-server-answers",
	    [SEEN_ELSEWHERE] = "not-the-address-seen-outside",
	    [SEEN_NO_CONTROL] = "no-positive-control",
	};

	return names[s];
}

bool
mapping_open(struct mapping *m, const struct addr *local)
{
	memset(m, 0, sizeof(*m));
	m->fd = asker_socket(local, &m->port);
	return m->fd != -1;
}

void
mapping_close(struct mapping *m)
{
	mapping_try_stop(m);
	if (m->fd != -1)
		close(m->fd);
	m->fd = -1;
}

static uint16_t
plan_ask(struct reach *r, uint16_t unit, uint16_t sock, uint16_t port_of,
    uint16_t after, struct mono now)
{
	const struct probe *p = r->asker.probe;
	const struct stun_addr *server = &p->servers[p->primary].addr;
	struct ask q = {.label = {TEST_PORTMAP, unit, 0},
	    .sock = sock,
	    .to = *server,
	    .expect = *server,
	    .port_of = port_of,
	    .after = after};

	return engine_ask(&r->asker.engine, &q, now);
}

/* The mapping stands in the engine as if a question from its socket had been
 * answered, with the port that the router told. Nothing leaves that socket. */
static bool
plan(void *arg, struct mono now)
{
	struct reach *r = arg;
	const struct probe *p = r->asker.probe;
	struct engine *e = &r->asker.engine;
	bool v6 = p->options.v6;
	uint16_t mapped = engine_sock(e, v6, r->m->port, 0);
	uint16_t other = engine_sock(e, v6, 0, 0);

	memcpy(e->cookies, p->engine.cookies, sizeof(e->cookies));
	e->n_cookies = p->engine.n_cookies;
	plan_ask(r, ASK_MAPPING, mapped, ASK_NONE, ASK_NONE, now);
	plan_ask(r, ASK_PLAIN, other, ASK_NONE, ASK_NONE, now);
	plan_ask(r, ASK_CONTROL, other, ASK_PLAIN, ASK_PLAIN, now);
	plan_ask(r, ASK_SEEN, other, ASK_MAPPING, ASK_PLAIN, now);
	if (e->bad)
		return false;
	e->asks[ASK_MAPPING].state = ASK_ANSWERED;
	e->asks[ASK_MAPPING].mapped.port = r->m->external_port;
	asker_lend(&r->asker, mapped, r->m->fd, r->m->port);
	return true;
}

static enum seen
judge_seen(const struct reach *r)
{
	const struct ask *v = r->asker.engine.asks;

	if (!r->asker.planned || v[ASK_PLAIN].state != ASK_ANSWERED)
		return SEEN_NO_SERVER;
	if (v[ASK_SEEN].state == ASK_ANSWERED)
		return SEEN_YES;
	if (r->m->has_external &&
	    memcmp(r->m->external.b, v[ASK_PLAIN].mapped.ip, 16) != 0)
		return SEEN_ELSEWHERE;
	return v[ASK_CONTROL].state == ASK_ANSWERED ? SEEN_NO : SEEN_NO_CONTROL;
}

static void
on_done(void *arg)
{
	struct reach *r = arg;

	r->m->seen = judge_seen(r);
	r->done(r->arg);
}

bool
mapping_try(struct mapping *m, struct loop *l, const struct probe *probe,
    const struct addr *local, loop_fn *done, void *arg)
{
	struct reach *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return false;
	r->m = m;
	r->done = done;
	r->arg = arg;
	if (!asker_start(&r->asker, l, probe, local, RATE, plan, on_done, r)) {
		free(r);
		return false;
	}
	m->reach = r;
	return true;
}

void
mapping_try_stop(struct mapping *m)
{
	if (m->reach == NULL)
		return;
	asker_clear(&m->reach->asker);
	free(m->reach);
	m->reach = NULL;
}

/*
 * mapping: one mapping that a router made: the socket that it leads to, and
 * whether it can be seen from outside. The question is asked by an engine of
 * its own (nat/engine.h), which knows how often to ask and when to believe
 * silence; here are its two sockets.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/gateway/gateway.h"

#define PORT_TRIES 20
#define PORT_MIN   40000
#define PORT_RANGE 20000
#define RATE	   20
#define LOOK_US	   50000 /* between two looks for a server that answers */

/* Which question is which: units of this test. */
enum { ASK_MAPPING, ASK_PLAIN, ASK_CONTROL, ASK_SEEN, ASKS };
enum { SOCK_MAPPED, SOCK_OTHER, SOCKS };

struct reach {
	struct mapping *m;
	struct loop *loop;
	const struct probe *probe;
	struct addr local;
	struct engine engine;
	bool asking, over;
	uint16_t asks[ASKS];
	struct reach_sock {
		struct reach *reach;
		uint16_t index;
		int fd;
		struct watch *watch;
	} socks[SOCKS];
	struct timer *timer;
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

/* ---- sockets ---- */

static int
open_at(const struct addr *local, uint16_t *port)
{
	struct addr a = *local;
	int fd;

	fd = socket(
	    a.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	for (int i = 0; fd != -1 && i < PORT_TRIES; i++) {
		*port = (uint16_t)(PORT_MIN + randombytes_uniform(PORT_RANGE));
		addr_set_port(&a, *port);
		if (bind(fd, &a.u.sa, a.len) == 0)
			return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

bool
mapping_open(struct mapping *m, const struct addr *local)
{
	memset(m, 0, sizeof(*m));
	m->fd = open_at(local, &m->port);
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

/* ---- the questions ---- */

static uint16_t
plan_ask(struct reach *r, uint16_t unit, uint16_t sock, uint16_t port_of,
    uint16_t after, struct mono now)
{
	const struct stun_addr *server =
	    &r->probe->servers[r->probe->primary].addr;
	struct ask q = {.label = {TEST_PORTMAP, unit, 0},
	    .sock = sock,
	    .to = *server,
	    .expect = *server,
	    .port_of = port_of,
	    .after = after};

	return engine_ask(&r->engine, &q, now);
}

/* The mapping stands in the engine as if a question from its socket had been
 * answered: with the address that the router told. */
static void
plan(struct reach *r, struct mono now)
{
	struct engine *e = &r->engine;
	uint16_t mapped = engine_sock(e, false, r->m->port, 0);
	uint16_t other = engine_sock(e, false, 0, 0);
	uint16_t *a = r->asks;

	memcpy(e->cookies, r->probe->engine.cookies, sizeof(e->cookies));
	e->n_cookies = r->probe->engine.n_cookies;
	a[ASK_MAPPING] =
	    plan_ask(r, ASK_MAPPING, mapped, ASK_NONE, ASK_NONE, now);
	a[ASK_PLAIN] = plan_ask(r, ASK_PLAIN, other, ASK_NONE, ASK_NONE, now);
	a[ASK_CONTROL] =
	    plan_ask(r, ASK_CONTROL, other, a[ASK_PLAIN], a[ASK_PLAIN], now);
	a[ASK_SEEN] =
	    plan_ask(r, ASK_SEEN, other, a[ASK_MAPPING], a[ASK_PLAIN], now);
	if (e->bad)
		return;
	e->asks[a[ASK_MAPPING]].state = ASK_ANSWERED;
	e->asks[a[ASK_MAPPING]].mapped.port = r->m->external_port;
}

static void
judge_seen(struct reach *r)
{
	const struct ask *v = r->engine.asks;
	const struct ask *plain, *control, *seen;

	if (r->engine.bad)
		return;
	plain = &v[r->asks[ASK_PLAIN]];
	control = &v[r->asks[ASK_CONTROL]];
	seen = &v[r->asks[ASK_SEEN]];
	if (plain->state != ASK_ANSWERED)
		r->m->seen = SEEN_NO_SERVER;
	else if (seen->state == ASK_ANSWERED)
		r->m->seen = SEEN_YES;
	else if (r->m->has_external &&
	    memcmp(r->m->external.b, plain->mapped.ip, 16) != 0)
		r->m->seen = SEEN_ELSEWHERE;
	else
		r->m->seen =
		    control->state == ASK_ANSWERED ? SEEN_NO : SEEN_NO_CONTROL;
}

/* ---- the run ---- */

static void go(void *arg);

static void
on_readable(void *arg)
{
	struct reach_sock *s = arg;
	struct reach *r = s->reach;
	uint8_t buf[2048];
	struct addr from = {.len = sizeof(from.u)};
	struct stun_addr who;
	ssize_t n;

	n = recvfrom(s->fd, buf, sizeof(buf), 0, &from.u.sa, &from.len);
	if (n == -1)
		return;
	addr_ip16(&from, who.ip);
	who.port = addr_port(&from);
	engine_input(
	    &r->engine, s->index, &who, buf, (size_t)n, loop_now(r->loop));
	go(r);
}

static void
open_sock(struct reach *r, uint16_t index, struct mono now)
{
	struct reach_sock *s = &r->socks[index];
	struct stun_addr local;
	uint16_t port = r->m->port;

	s->reach = r;
	s->index = index;
	s->fd = index == SOCK_MAPPED ? r->m->fd : open_at(&r->local, &port);
	if (s->fd != -1)
		s->watch =
		    watch_new(r->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch != NULL)
		watch_on(s->watch, true);
	addr_ip16(&r->local, local.ip);
	local.port = port;
	engine_opened(&r->engine, index, s->watch != NULL ? &local : NULL, now);
}

static void
finish(struct reach *r)
{
	r->over = true;
	timer_set(r->timer, MONO_NEVER);
	if (r->asking)
		judge_seen(r);
	else
		r->m->seen = SEEN_NO_SERVER;
	for (int i = 0; i < SOCKS; i++)
		if (r->socks[i].watch != NULL)
			watch_on(r->socks[i].watch, false);
	r->done(r->arg);
}

/* A server to ask is known, or will never be. */
static bool
server_is_decided(const struct reach *r)
{
	return r->probe->phase > PHASE_DISCOVER;
}

static void
go(void *arg)
{
	struct reach *r = arg;
	struct mono now = loop_now(r->loop);
	struct act act;
	struct addr to;

	if (r->over)
		return;
	if (!r->asking && !server_is_decided(r)) {
		timer_set(r->timer, mono_add_us(now, LOOK_US));
		return;
	}
	if (!r->asking && r->probe->primary == -1) {
		finish(r);
		return;
	}
	if (!r->asking) {
		r->asking = true;
		plan(r, now);
		/* It hears what comes, and asks nothing: so it is not opened
		 * by the engine. */
		open_sock(r, SOCK_MAPPED, now);
	}
	while (engine_next(&r->engine, now, &act)) {
		if (act.kind == ACT_OPEN) {
			open_sock(r, act.sock, now);
			continue;
		}
		addr_from_ip16(&to, act.to.ip, act.to.port);
		(void)sendto(
		    r->socks[act.sock].fd, act.p, act.len, 0, &to.u.sa, to.len);
	}
	if (mono_is_set(engine_wake(&r->engine)))
		timer_set(r->timer, engine_wake(&r->engine));
	else
		finish(r);
}

bool
mapping_try(struct mapping *m, struct loop *l, const struct probe *probe,
    const struct addr *local, loop_fn *done, void *arg)
{
	struct reach *r = calloc(1, sizeof(*r));
	uint8_t seed[ENGINE_SEED_LEN];

	if (r == NULL)
		return false;
	*r = (struct reach){.m = m,
	    .loop = l,
	    .probe = probe,
	    .local = *local,
	    .done = done,
	    .arg = arg};
	r->timer = timer_new(l, go, r);
	if (r->timer == NULL) {
		free(r);
		return false;
	}
	for (int i = 0; i < SOCKS; i++)
		r->socks[i].fd = -1;
	randombytes_buf(seed, sizeof(seed));
	engine_init(&r->engine, seed, RATE, loop_now(l));
	m->reach = r;
	timer_set(r->timer, mono_add_us(loop_now(l), 1));
	return true;
}

void
mapping_try_stop(struct mapping *m)
{
	struct reach *r = m->reach;

	if (r == NULL)
		return;
	for (int i = 0; i < SOCKS; i++)
		watch_free(r->socks[i].watch);
	if (r->socks[SOCK_OTHER].fd != -1)
		close(r->socks[SOCK_OTHER].fd);
	engine_clear(&r->engine);
	timer_free(r->timer);
	free(r);
	m->reach = NULL;
}

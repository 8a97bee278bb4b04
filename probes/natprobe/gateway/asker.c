/* asker: see asker.h. */
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/gateway/asker.h"
#include "probes/natprobe/natprobe.h"

#define LOOK_US 50000 /* between two looks whether the probe is so far */

static void go(void *arg);

int
asker_socket(const struct addr *local, uint16_t *port)
{
	struct addr a = *local;
	int fd = socket(
	    a.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd != -1 && bind_fresh(fd, &a, false) == 0) {
		*port = addr_port(&a);
		return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

static void
on_readable(void *arg)
{
	struct asker_sock *s = arg;
	struct asker *a = s->asker;
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
	    &a->engine, s->index, &who, buf, (size_t)n, loop_now(a->loop));
	go(a);
}

static void
take(struct asker *a, uint16_t index, int fd, uint16_t port)
{
	struct asker_sock *s = &a->socks[index];
	struct stun_addr local;

	s->asker = a;
	s->index = index;
	s->fd = fd;
	if (fd != -1)
		s->watch =
		    watch_new(a->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch != NULL)
		watch_on(s->watch, true);
	addr_ip16(&a->local, local.ip);
	local.port = port;
	engine_opened(&a->engine, index, s->watch != NULL ? &local : NULL,
	    loop_now(a->loop));
}

void
asker_lend(struct asker *a, uint16_t sock, int fd, uint16_t port)
{
	a->socks[sock].lent = true;
	take(a, sock, fd, port);
}

static void
open_sock(struct asker *a, uint16_t index)
{
	uint16_t port = 0;
	int fd = index < ASKER_SOCKS ? asker_socket(&a->local, &port) : -1;

	if (index < ASKER_SOCKS)
		take(a, index, fd, port);
	else
		engine_opened(&a->engine, index, NULL, loop_now(a->loop));
}

/* What does not leave is like what gets lost: it is sent again. */
static void
send_packet(struct asker *a, const struct act *act)
{
	struct asker_sock *s = &a->socks[act->sock];
	int ttl = act->ttl == 0 ? -1 : act->ttl; /* -1: the system's own */
	bool v6 = a->local.u.sa.sa_family == AF_INET6;
	struct addr to;

	if (s->ttl != act->ttl)
		(void)setsockopt(s->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		    v6 ? IPV6_UNICAST_HOPS : IP_TTL, &ttl, sizeof(ttl));
	s->ttl = act->ttl;
	addr_from_ip16(&to, act->to.ip, act->to.port);
	(void)sendto(s->fd, act->p, act->len, 0, &to.u.sa, to.len);
}

static void
finish(struct asker *a)
{
	a->over = true;
	timer_set(a->timer, MONO_NEVER);
	for (int i = 0; i < ASKER_SOCKS; i++)
		if (a->socks[i].watch != NULL)
			watch_on(a->socks[i].watch, false);
	a->done(a->arg);
}

static void
go(void *arg)
{
	struct asker *a = arg;
	struct mono now = loop_now(a->loop);
	struct act act;

	if (a->over)
		return;
	if (!a->planned && a->probe->phase == PHASE_DISCOVER) {
		timer_set(a->timer, mono_add_us(now, LOOK_US));
		return;
	}
	if (!a->planned && (a->probe->primary == -1 || !a->plan(a->arg, now))) {
		finish(a);
		return;
	}
	a->planned = true;
	while (engine_next(&a->engine, now, &act))
		if (act.kind == ACT_OPEN)
			open_sock(a, act.sock);
		else
			send_packet(a, &act);
	if (mono_is_set(engine_wake(&a->engine)))
		timer_set(a->timer, engine_wake(&a->engine));
	else
		finish(a);
}

bool
asker_start(struct asker *a, struct loop *l, const struct probe *probe,
    const struct addr *local, unsigned rate, asker_plan_fn *plan, loop_fn *done,
    void *arg)
{
	uint8_t seed[ENGINE_SEED_LEN];

	memset(a, 0, sizeof(*a));
	a->loop = l;
	a->probe = probe;
	a->local = *local;
	a->plan = plan;
	a->done = done;
	a->arg = arg;
	for (int i = 0; i < ASKER_SOCKS; i++)
		a->socks[i].fd = -1;
	a->timer = timer_new(l, go, a);
	if (a->timer == NULL)
		return false;
	a->used = true;
	randombytes_buf(seed, sizeof(seed));
	engine_init(&a->engine, seed, rate, loop_now(l));
	timer_set(a->timer, mono_add_us(loop_now(l), 1));
	return true;
}

void
asker_stop(struct asker *a)
{
	if (a->used && !a->over)
		finish(a);
}

void
asker_clear(struct asker *a)
{
	if (!a->used)
		return;
	for (int i = 0; i < ASKER_SOCKS; i++) {
		watch_free(a->socks[i].watch);
		if (a->socks[i].fd != -1 && !a->socks[i].lent)
			close(a->socks[i].fd);
	}
	timer_free(a->timer);
	engine_clear(&a->engine);
	a->used = false;
}

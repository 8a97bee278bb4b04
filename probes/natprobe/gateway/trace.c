/*
 * trace: the sockets of hops.h, one for each time to live. Sends Binding
 * requests, and reads ICMP errors without privilege, from the sockets' error
 * queues (ip(7), IP_RECVERR). Decides nothing.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include <sodium.h>

#include "probes/natprobe/gateway/gateway.h"

#define AT_ONCE	    16 /* datagrams of one socket per turn */
#define LOOK_US	    50000 /* between two looks for a server that answers */
#define PATIENCE_US 1000000
/* Where traceroute sends to, and nothing listens. */
#define CLOSED_PORT  33434
#define CLOSED_PORTS 100

static void go(void *arg);

/* ---- what comes ---- */

/* What the kernel says of one ICMP error. */
static void
take_one(struct trace_sock *s, const struct cmsghdr *c, struct mono now)
{
	struct {
		struct sock_extended_err e;
		struct sockaddr_in6 offender;
	} x;
	size_t n = c->cmsg_len - CMSG_LEN(0);
	struct addr from = {
	    .len = s->trace->v6 ? sizeof(from.u.in6) : sizeof(from.u.in)};
	struct ip ip;

	memset(&x, 0, sizeof(x));
	memcpy(&x, CMSG_DATA(c), n < sizeof(x) ? n : sizeof(x));
	if (n < sizeof(x.e) ||
	    (x.e.ee_origin != SO_EE_ORIGIN_ICMP &&
		x.e.ee_origin != SO_EE_ORIGIN_ICMP6))
		return;
	memcpy(&from.u, &x.offender, sizeof(x.offender));
	addr_ip16(&from, ip.b);
	hops_error(&s->trace->hops, s->ttl, s->trace->v6, &ip, x.e.ee_type,
	    x.e.ee_code, now);
}

static void
take_errors(struct trace_sock *s, struct mono now)
{
	_Alignas(struct cmsghdr) char control[512];
	char data[64];
	struct iovec v = {data, sizeof(data)};
	struct msghdr m;

	for (int i = 0; i < AT_ONCE; i++) {
		m = (struct msghdr){.msg_iov = &v,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control)};
		if (recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) == -1)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
		     c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_type ==
			    (s->trace->v6 ? IPV6_RECVERR : IP_RECVERR))
				take_one(s, c, now);
	}
}

static void
take_answers(struct trace_sock *s, struct mono now)
{
	uint8_t buf[2048];
	struct stun_addr mapped;
	unsigned code;
	ssize_t n;

	for (int i = 0; i < AT_ONCE; i++) {
		n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN)
			return;
		/* Other errors are in the queue, too. */
		if (n > 0 &&
		    stun_response_parse(buf, (size_t)n, &s->txid, &mapped,
			&code) == STUN_RESPONSE_MAPPED)
			hops_answer(&s->trace->hops, s->ttl, now);
	}
}

static void
on_readable(void *arg)
{
	struct trace_sock *s = arg;
	struct mono now = loop_now(s->trace->loop);

	take_errors(s, now);
	take_answers(s, now);
	go(s->trace);
}

/* ---- what leaves ---- */

static bool
set_options(int fd, bool v6, int ttl)
{
	int on = 1;

	if (v6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on,
			   sizeof(on)) == 0 &&
		    (ttl == 0 ||
			setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl,
			    sizeof(ttl)) == 0);
	return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) == 0 &&
	    (ttl == 0 ||
		setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)) == 0);
}

static bool
open_sock(struct trace *t, struct trace_sock *s)
{
	struct addr to;
	uint16_t port = t->server.port;

	if (s->ttl == 0)
		port =
		    (uint16_t)(CLOSED_PORT + randombytes_uniform(CLOSED_PORTS));
	addr_from_ip16(&to, t->server.ip, port);
	s->fd = socket(
	    to.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return false;
	if (!set_options(s->fd, t->v6, (int)s->ttl) ||
	    connect(s->fd, &to.u.sa, to.len) == -1)
		return false;
	s->watch = watch_new(t->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch == NULL)
		return false;
	watch_on(s->watch, true);
	return true;
}

static void
send_from(struct trace *t, unsigned ttl)
{
	struct trace_sock *s = &t->socks[ttl];
	uint8_t request[STUN_TAILNODE_LEN];

	if (s->watch == NULL) {
		s->trace = t;
		s->ttl = ttl;
		randombytes_buf(&s->txid, sizeof(s->txid));
		if (!open_sock(t, s))
			return;
	}
	stun_tailnode_request(request, &s->txid);
	/* The error of an earlier packet is reported here instead, once. */
	if (send(s->fd, request, sizeof(request), 0) == -1 && errno != EAGAIN)
		(void)send(s->fd, request, sizeof(request), 0);
}

/* ---- the run ---- */

static void
finish(struct trace *t)
{
	t->over = true;
	timer_set(t->timer, MONO_NEVER);
	for (unsigned i = 0; i <= HOPS_MAX; i++)
		if (t->socks[i].watch != NULL)
			watch_on(t->socks[i].watch, false);
	t->done(t->arg);
}

/* The first that answers, as far as is known. */
static bool
choose(struct trace *t, struct mono now)
{
	const struct probe *p = t->probe;
	const struct ask *a;
	bool late = mono_diff_us(t->begun, now) >=
		pacer_longer_us(p->options.pacer, PATIENCE_US) ||
	    p->phase > PHASE_DISCOVER;

	for (unsigned i = 0; i < p->n_servers; i++)
		for (unsigned step = 0; step < 2; step++) {
			a = engine_find(&p->engine, TEST_DISCOVER, i, step);
			if (a == NULL || a->state != ASK_ANSWERED)
				continue;
			t->server = p->servers[i].addr;
			return true;
		}
	t->server = p->servers[0].addr;
	return late;
}

static void
go(void *arg)
{
	struct trace *t = arg;
	struct mono now = loop_now(t->loop), wake;
	struct hops_act act;

	if (t->over)
		return;
	if (!t->tracing && !choose(t, now)) {
		timer_set(t->timer, mono_add_us(now, LOOK_US));
		return;
	}
	if (!t->tracing) {
		t->tracing = true;
		hops_init(&t->hops, now);
		t->hops.pace.pacer = t->probe->options.pacer;
	}
	while (hops_next(&t->hops, now, &act))
		send_from(t, act.ttl);
	wake = hops_wake(&t->hops, now);
	if (mono_is_set(wake))
		timer_set(t->timer, wake);
	else
		finish(t);
}

bool
trace_start(struct trace *t, struct loop *l, const struct probe *probe,
    loop_fn *done, void *arg)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i <= HOPS_MAX; i++)
		t->socks[i].fd = -1;
	t->loop = l;
	t->probe = probe;
	t->v6 = probe->options.v6;
	t->done = done;
	t->arg = arg;
	t->begun = loop_now(l);
	t->timer = timer_new(l, go, t);
	if (t->timer == NULL)
		return false;
	t->used = true;
	timer_set(t->timer, mono_add_us(t->begun, 1));
	return true;
}

void
trace_stop(struct trace *t)
{
	if (t->used && !t->over)
		finish(t);
}

void
trace_clear(struct trace *t)
{
	if (!t->used)
		return;
	for (unsigned i = 0; i <= HOPS_MAX; i++) {
		watch_free(t->socks[i].watch);
		if (t->socks[i].fd != -1)
			close(t->socks[i].fd);
	}
	timer_free(t->timer);
}

/*
 * net: the sockets of a run. Opens, sends, receives and waits as the probe
 * says; decides nothing.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <time.h>
#include <linux/errqueue.h>

#include "probes/natprobe/natprobe.h"
#include "run/loop.h"

#define DATAGRAM_MAX 2048

struct net_sock {
	struct net *net;
	struct watch *watch;
	uint16_t index;
	int fd;
};

struct net {
	struct loop *loop;
	struct probe *probe;
	struct timer *timer;
	struct net_sock **socks; /* by index; NULL: not open */
	size_t n_socks;
	const struct addr *second;
	bool stopped;
	net_done_fn *done;
	void *arg;
};

static void
stun_of(struct stun_addr *s, const struct addr *a)
{
	addr_ip16(a, s->ip);
	s->port = addr_port(a);
}

bool
net_local(const struct stun_addr *server, struct stun_addr *local)
{
	struct addr to, from = {.len = sizeof(from.u)};
	int fd, error;
	bool good;

	addr_from_ip16(&to, server->ip, server->port);
	fd = socket(to.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return false;
	good = connect(fd, &to.u.sa, to.len) == 0 &&
	    getsockname(fd, &from.u.sa, &from.len) == 0;
	error = errno;
	close(fd);
	errno = error;
	if (good)
		stun_of(local, &from);
	return good;
}

bool
net_is_short(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRINUSE: /* of all ports that were tried */
		return true;
	default:
		return false;
	}
}

static uint8_t
bits_of(const struct sockaddr *mask, bool v4)
{
	const uint8_t *b = v4
	    ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)mask)
		  ->sin_addr
	    : (const uint8_t *)&(
		  (const struct sockaddr_in6 *)(const void *)mask)
		  ->sin6_addr;
	unsigned n = 0;

	while (n < (v4 ? 32U : 128U) && (b[n / 8] >> (7 - n % 8) & 1) != 0)
		n++;
	return (uint8_t)n;
}

uint8_t
net_prefix(const struct stun_addr *local)
{
	struct ifaddrs *all, *i;
	struct addr want, a;
	uint8_t bits = 0;

	addr_from_ip16(&want, local->ip, 0);
	if (getifaddrs(&all) == -1)
		return 0;
	for (i = all; i != NULL && bits == 0; i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
		    i->ifa_addr->sa_family != want.u.sa.sa_family)
			continue;
		a.len = want.len;
		memcpy(&a.u, i->ifa_addr, a.len);
		if (addr_same_ip(&a, &want))
			bits = bits_of(i->ifa_netmask, addr_is_v4(&want));
	}
	freeifaddrs(all);
	return bits;
}

/* ---- sockets ---- */

static void go(void *arg);

/* What ICMP says of packets that this socket sent (ip(7), IP_RECVERR). It
 * must be read: the descriptor stays readable until it is. */
static bool
read_error(const struct net_sock *s)
{
	uint8_t data[DATAGRAM_MAX], control[512];
	struct addr to;
	struct iovec iov = {data, sizeof(data)};
	struct msghdr m = {.msg_name = &to.u,
	    .msg_namelen = sizeof(to.u),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	const struct sock_extended_err *e;
	struct stun_addr who;

	if (recvmsg(s->fd, &m, MSG_ERRQUEUE) == -1)
		return false;
	to.len = m.msg_namelen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		e = (const struct sock_extended_err *)(const void *)CMSG_DATA(
		    c);
		if (!(c->cmsg_level == IPPROTO_IP &&
			c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 &&
			c->cmsg_type == IPV6_RECVERR))
			continue;
		if (e->ee_errno != ECONNREFUSED)
			continue;
		stun_of(&who, &to);
		engine_unreachable(&s->net->probe->engine, s->index, &who);
	}
	return true;
}

static bool
read_errors(const struct net_sock *s)
{
	bool any = false;

	while (read_error(s))
		any = true;
	return any;
}

static void
want_errors(int fd, bool v4)
{
	int on = 1;

	(void)setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
	    v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
}

static void
take_all(struct net_sock *s)
{
	struct net *n = s->net;
	uint8_t buf[DATAGRAM_MAX];
	struct addr from;
	struct stun_addr who;
	ssize_t len;

	for (;;) {
		from.len = sizeof(from.u);
		len =
		    recvfrom(s->fd, buf, sizeof(buf), 0, &from.u.sa, &from.len);
		/* An error of an earlier packet, which may hide an answer. */
		if (len == -1 && read_errors(s))
			continue;
		if (len == -1)
			break;
		stun_of(&who, &from);
		engine_input(&n->probe->engine, s->index, &who, buf,
		    (size_t)len, loop_now(n->loop));
	}
}

static void
on_readable(void *arg)
{
	struct net_sock *s = arg;

	if (s->net->stopped)
		return;
	take_all(s);
	go(s->net);
}

static int
open_fd(struct net *n, const struct sock *s, struct stun_addr *local)
{
	struct probe *p = n->probe;
	struct addr a;
	int fd, r;

	if (s->local_ip > 0 && n->second != NULL)
		a = *n->second;
	else if (net_local(&p->servers[0].addr, local))
		addr_from_ip16(&a, local->ip, local->port);
	else
		return -1;
	fd = socket(
	    a.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	want_errors(fd, addr_is_v4(&a));
	addr_set_port(&a, s->port);
	r = s->port != 0 ? bind(fd, &a.u.sa, a.len)
			 : bind_fresh(fd, &a, s->row);
	if (r == -1) {
		r = errno;
		close(fd);
		errno = r;
		return -1;
	}
	stun_of(local, &a);
	return fd;
}

static void
sock_free(struct net_sock *s)
{
	int error = errno;

	if (s == NULL)
		return;
	watch_free(s->watch);
	if (s->fd != -1)
		close(s->fd);
	free(s);
	errno = error;
}

static struct net_sock *
sock_new(struct net *n, uint16_t index, struct stun_addr *local)
{
	struct net_sock *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct net_sock){.net = n, .index = index};
	s->fd = open_fd(n, &n->probe->engine.socks[index], local);
	if (s->fd != -1)
		s->watch =
		    watch_new(n->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch == NULL) {
		sock_free(s);
		return NULL;
	}
	watch_on(s->watch, true);
	return s;
}

static bool
make_room(struct net *n)
{
	size_t want = n->probe->engine.n_socks;
	struct net_sock **more;

	if (want <= n->n_socks)
		return true;
	more = realloc(n->socks, want * sizeof(struct net_sock *));
	if (more == NULL)
		return false;
	while (n->n_socks < want)
		more[n->n_socks++] = NULL;
	n->socks = more;
	return true;
}

static void
open_sock(struct net *n, uint16_t index, struct mono now)
{
	struct stun_addr local;

	errno = ENOMEM;
	if (make_room(n))
		n->socks[index] = sock_new(n, index, &local);
	if (index < n->n_socks && n->socks[index] != NULL)
		engine_opened(&n->probe->engine, index, &local, now);
	else if (net_is_short(errno))
		engine_not_opened(&n->probe->engine, index, errno);
	else
		engine_opened(&n->probe->engine, index, NULL, now);
}

/* What does not leave is like what gets lost: it is sent again. But an error
 * may be about an earlier packet. */
static void
send_packet(struct net *n, const struct act *act)
{
	struct addr to;

	addr_from_ip16(&to, act->to.ip, act->to.port);
	for (int i = 0; i < 2; i++)
		if (sendto(n->socks[act->sock]->fd, act->p, act->len, 0,
			&to.u.sa, to.len) != -1 ||
		    errno != ECONNREFUSED)
			return;
}

static void
go(void *arg)
{
	struct net *n = arg;
	struct mono now = loop_now(n->loop);
	struct act act;
	bool more;

	if (n->stopped)
		return;
	do {
		while (engine_next(&n->probe->engine, now, &act))
			if (act.kind == ACT_OPEN)
				open_sock(n, act.sock, now);
			else
				send_packet(n, &act);
		more = probe_advance(n->probe, now);
	} while (more && mono_reached(probe_wake(n->probe), now));
	if (more)
		timer_set(n->timer, probe_wake(n->probe));
	else {
		timer_set(n->timer, MONO_NEVER);
		n->done(n->arg);
	}
}

struct net *
net_new(struct loop *l, struct probe *p, const struct addr *second,
    net_done_fn *done, void *arg)
{
	struct net *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	*n = (struct net){
	    .loop = l, .probe = p, .second = second, .done = done, .arg = arg};
	n->timer = timer_new(l, go, n);
	if (n->timer == NULL) {
		free(n);
		errno = ENOMEM;
		return NULL;
	}
	timer_set(n->timer, mono_add_us(loop_now(l), 1));
	return n;
}

void
net_stop(struct net *n)
{
	for (size_t i = 0; i < n->n_socks; i++)
		if (n->socks[i] != NULL)
			take_all(n->socks[i]);
	probe_stop(n->probe);
	n->stopped = true;
}

void
net_free(struct net *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->n_socks; i++)
		sock_free(n->socks[i]);
	free(n->socks);
	timer_free(n->timer);
	free(n);
}

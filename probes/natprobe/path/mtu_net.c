/*
 * mtu_net: the socket of path/mtu. Sends whole or in fragments as told, and
 * sees whether answers came in fragments; decides nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/path/icmp.h"
#include "probes/natprobe/path/path.h"
#include "run/loop.h"

/* In <linux/in.h> and <linux/in6.h>, which do not go with glibc's. */
#ifndef IP_RECVFRAGSIZE
#define IP_RECVFRAGSIZE 25
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE 77
#endif

static void
set(int fd, int level, int name, int value)
{
	/* What a kernel does not know leaves a question open. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* For the next send: may a router, or this host, make fragments of it? Those
 * of IPv6, which this host makes, are as small as all links take. */
static void
set_whole(const struct mtu_net *n, bool whole)
{
	if (!n->mtu.v6) {
		set(n->fd, IPPROTO_IP, IP_MTU_DISCOVER,
		    whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
		return;
	}
	set(n->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
	    whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
	set(n->fd, IPPROTO_IPV6, IPV6_MTU, whole ? 0 : MTU_INNER);
}

static void
send_packet(const struct mtu_net *n, const struct mtu_send *s)
{
	struct addr to;

	addr_from_ip16(&to, s->to.ip, s->to.port);
	set_whole(n, s->whole);
	/* An error that an earlier one left is reported here, and only once. */
	if (sendto(n->fd, s->p, s->len, 0, &to.u.sa, to.len) == -1 &&
	    errno != EMSGSIZE)
		(void)sendto(n->fd, s->p, s->len, 0, &to.u.sa, to.len);
}

static void
read_errors(struct mtu_net *n)
{
	struct icmp_error e;

	while (icmp_read(n->fd, &e))
		if (e.kind == ICMP_BIG)
			mtu_too_big(&n->mtu, e.size, e.here, loop_now(n->loop));
}

static void
go(void *arg)
{
	struct mtu_net *n = arg;
	struct mono now = loop_now(n->loop);
	struct mtu_send s;

	while (mtu_next(&n->mtu, now, &s)) {
		send_packet(n, &s);
		read_errors(n);
	}
	if (mono_is_set(mtu_wake(&n->mtu)))
		timer_set(n->timer, mtu_wake(&n->mtu));
	else {
		mtu_net_close(n);
		n->done(n->arg);
	}
}

static unsigned
piece_of(struct msghdr *m)
{
	int size = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR(m, c))
		if ((c->cmsg_level == IPPROTO_IP &&
			c->cmsg_type == IP_RECVFRAGSIZE) ||
		    (c->cmsg_level == IPPROTO_IPV6 &&
			c->cmsg_type == IPV6_RECVFRAGSIZE))
			memcpy(&size, CMSG_DATA(c), sizeof(size));
	return size > 0 ? (unsigned)size : 0;
}

static bool
read_one(struct mtu_net *n)
{
	uint8_t buf[MTU_DATAGRAM + 512];
	union {
		char b[256];
		struct cmsghdr align;
	} control;
	struct addr from = {.len = sizeof(from.u)};
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from.u,
	    .msg_namelen = sizeof(from.u),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.b,
	    .msg_controllen = sizeof(control.b)};
	ssize_t len = recvmsg(n->fd, &m, 0);
	struct stun_addr who;

	if (len == -1)
		return errno != EAGAIN;
	from.len = m.msg_namelen;
	addr_ip16(&from, who.ip);
	who.port = addr_port(&from);
	mtu_input(
	    &n->mtu, &who, buf, (size_t)len, piece_of(&m), loop_now(n->loop));
	return true;
}

/* A flood must not keep the loop from its timers. */
#define READS_A_TURN 32

static void
on_readable(void *arg)
{
	struct mtu_net *n = arg;

	read_errors(n);
	for (int i = 0; i < READS_A_TURN && read_one(n); i++)
		continue;
	go(n);
}

static bool
open_socket(struct mtu_net *n, bool v6)
{
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;

	n->fd = socket(v6 ? AF_INET6 : AF_INET,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->fd == -1 || !icmp_listen(n->fd, v6))
		return false;
	set(n->fd, level, v6 ? IPV6_RECVFRAGSIZE : IP_RECVFRAGSIZE, 1);
	return true;
}

int
mtu_net_start(struct mtu_net *n, struct loop *l, const struct targets *t,
    bool v6, struct pacer *pacer, loop_fn *done, void *arg)
{
	uint8_t seed[MTU_SEED_LEN];

	*n = (struct mtu_net){
	    .used = true, .loop = l, .fd = -1, .done = done, .arg = arg};
	randombytes_buf(seed, sizeof(seed));
	mtu_init(&n->mtu, v6, t->v[v6], t->n[v6], MTU_RATE, seed, loop_now(l));
	n->mtu.pace.pacer = pacer;
	if (open_socket(n, v6)) {
		n->watch = watch_new(l, n->fd, WATCH_READ, on_readable, n);
		n->timer = timer_new(l, go, n);
	}
	if (n->watch == NULL || n->timer == NULL) {
		mtu_net_close(n);
		return -1;
	}
	watch_on(n->watch, true);
	timer_set(n->timer, mono_add_us(loop_now(l), 1));
	return 0;
}

void
mtu_net_close(struct mtu_net *n)
{
	if (!n->used)
		return;
	watch_free(n->watch);
	timer_free(n->timer);
	n->watch = NULL;
	n->timer = NULL;
	if (n->fd != -1)
		close(n->fd);
	n->fd = -1;
}

/*
 * net: the sockets of a run's TCP connections. Opens, asks, reads and closes
 * as calls says; decides nothing.
 */
#include <linux/tcp.h> /* tcpi_segs_in, which netinet/tcp.h does not have */
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/tcp/tcp.h"
#include "run/loop.h"

#define READ_MAX 4096
/* So that a flood does not keep the loop from its timers. */
#define READS_A_TURN 4

struct tcp_sock {
	struct tcp_net *net; /* lent */
	uint16_t index;
	int fd; /* -1: not open */
	struct watch *readable, *writable;
	bool connected;
};

struct tcp_net {
	struct loop *loop; /* lent */
	struct calls calls;
	struct timer *timer;
	struct tcp_sock socks[CALLS_MAX]; /* by call */
	void (*done)(void *arg);
	void *arg;
};

static void go(void *arg);

/* ---- events ---- */

static enum call_end
end_of(int error, bool connected)
{
	switch (error) {
	case ECONNREFUSED:
		return CALL_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return connected ? CALL_RESET : CALL_REFUSED;
	case ETIMEDOUT:
		return CALL_SILENT;
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
		return CALL_NO_SOCKET;
	default: /* what ICMP and routing say */
		return connected ? CALL_RESET : CALL_UNREACHABLE;
	}
}

static void
fail(struct tcp_sock *s, enum call_end why)
{
	watch_on(s->readable, false);
	watch_on(s->writable, false);
	calls_failed(&s->net->calls, s->index, why, loop_now(s->net->loop));
}

static void
on_readable(void *arg)
{
	struct tcp_sock *s = arg;
	struct tcp_net *n = s->net;
	uint8_t buf[READ_MAX];
	ssize_t len = 1;

	for (int i = 0; i < READS_A_TURN && len > 0; i++) {
		len = read(s->fd, buf, sizeof(buf));
		if (len > 0)
			calls_input(&n->calls, s->index, buf, (size_t)len,
			    loop_now(n->loop));
	}
	if (len == 0)
		fail(s, CALL_CLOSED);
	else if (len == -1 && errno != EAGAIN && errno != EINTR)
		fail(s, end_of(errno, true));
	go(n);
}

static void
on_writable(void *arg)
{
	struct tcp_sock *s = arg;
	struct tcp_net *n = s->net;
	socklen_t len = sizeof(int);
	int error = 0;

	watch_on(s->writable, false);
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		fail(s, end_of(error, false));
	else {
		s->connected = true;
		calls_connected(&n->calls, s->index, loop_now(n->loop));
		watch_on(s->readable, true);
	}
	go(n);
}

/* ---- sockets ---- */

static void
sock_close(struct tcp_sock *s, bool abort)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	watch_free(s->readable);
	watch_free(s->writable);
	s->readable = s->writable = NULL;
	if (s->fd == -1)
		return;
	if (abort)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(s->fd);
	s->fd = -1;
}

/* The first of a port must be the only one that has it; then it lets others
 * in. */
static int
bind_own(int fd, struct addr *a)
{
	int r = bind_fresh(fd, a, false);

	if (r == 0)
		r = setsockopt(
		    fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	return r;
}

static int
bind_shared(int fd, const struct addr *a)
{
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) ==
	    -1)
		return -1;
	return bind(fd, &a->u.sa, a->len);
}

static void
keep_alive(int fd, int seconds)
{
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
}

/* Binds to where the call is to come from, and tells it in *local. */
static int
open_fd(struct tcp_net *n, const struct call *k, struct stun_addr *local)
{
	const struct call *first = &n->calls.v[k->port_of];
	bool own = first == k;
	struct addr a;
	int fd, r;

	if (own ? !net_local(&k->to, local) : !first->open)
		return -1;
	if (!own)
		*local = first->local;
	addr_from_ip16(&a, local->ip, local->port);
	fd = socket(
	    a.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	r = own ? bind_own(fd, &a) : bind_shared(fd, &a);
	if (r == -1) {
		close(fd);
		return -1;
	}
	local->port = addr_port(&a);
	if (k->keepalive_s != 0)
		keep_alive(fd, k->keepalive_s);
	return fd;
}

static void
open_sock(struct tcp_net *n, uint16_t i)
{
	const struct call *k = &n->calls.v[i];
	struct tcp_sock *s = &n->socks[i];
	struct stun_addr local;
	struct addr to;

	*s = (struct tcp_sock){.net = n, .index = i, .fd = -1};
	s->fd = open_fd(n, k, &local);
	if (s->fd != -1) {
		s->readable =
		    watch_new(n->loop, s->fd, WATCH_READ, on_readable, s);
		s->writable =
		    watch_new(n->loop, s->fd, WATCH_WRITE, on_writable, s);
	}
	if (s->readable == NULL || s->writable == NULL) {
		sock_close(s, false);
		calls_opened(&n->calls, i, NULL);
		return;
	}
	calls_opened(&n->calls, i, &local);
	addr_from_ip16(&to, k->to.ip, k->to.port);
	if (connect(s->fd, &to.u.sa, to.len) == -1 && errno != EINPROGRESS)
		fail(s, end_of(errno, false));
	else
		watch_on(s->writable, true);
}

/* A question always fits; what the kernel does not take, it has no more
 * connection for. */
static void
send_question(struct tcp_net *n, const struct call_act *act)
{
	struct tcp_sock *s = &n->socks[act->call];

	if (send(s->fd, act->p, act->len, MSG_NOSIGNAL) == -1)
		fail(s, end_of(errno, true));
}

static void
count_segments(struct tcp_net *n, uint16_t i)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	uint64_t segments = 0;

	if (getsockopt(n->socks[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) ==
		0 &&
	    len >= offsetof(struct tcp_info, tcpi_segs_in) +
		    sizeof(info.tcpi_segs_in))
		segments = info.tcpi_segs_in;
	calls_counted(&n->calls, i, segments, loop_now(n->loop));
}

static void
act_on(struct tcp_net *n, const struct call_act *act)
{
	switch (act->kind) {
	case CALL_ACT_OPEN:
		open_sock(n, act->call);
		break;
	case CALL_ACT_SEND:
		send_question(n, act);
		break;
	case CALL_ACT_COUNT:
		count_segments(n, act->call);
		break;
	case CALL_ACT_CLOSE:
		sock_close(&n->socks[act->call], act->abort);
		break;
	}
}

static void
go(void *arg)
{
	struct tcp_net *n = arg;
	struct mono now = loop_now(n->loop);
	struct call_act act;
	bool more;

	do {
		while (calls_next(&n->calls, now, &act))
			act_on(n, &act);
		more = calls_advance(&n->calls, now);
	} while (more && mono_reached(calls_wake(&n->calls), now));
	if (more)
		timer_set(n->timer, calls_wake(&n->calls));
	else if (n->done != NULL) {
		timer_set(n->timer, MONO_NEVER);
		n->done(n->arg);
		n->done = NULL;
	}
}

struct tcp_net *
tcp_net_new(struct loop *l, const struct targets *t,
    const struct probe_options *options, void (*done)(void *arg), void *arg)
{
	struct tcp_net *n = calloc(1, sizeof(*n));
	uint8_t seed[ENGINE_SEED_LEN];
	bool v6 = options->v6;

	if (n == NULL)
		return NULL;
	randombytes_buf(seed, sizeof(seed));
	n->loop = l;
	calls_init(&n->calls, options, t->v[v6], t->n[v6], seed, loop_now(l));
	n->done = done;
	n->arg = arg;
	for (size_t i = 0; i < CALLS_MAX; i++)
		n->socks[i].fd = -1;
	n->timer = timer_new(l, go, n);
	if (n->timer == NULL) {
		calls_clear(&n->calls);
		free(n);
		errno = ENOMEM;
		return NULL;
	}
	timer_set(n->timer, mono_add_us(loop_now(l), 1));
	return n;
}

void
tcp_net_free(struct tcp_net *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < CALLS_MAX; i++)
		sock_close(&n->socks[i], false);
	timer_free(n->timer);
	calls_clear(&n->calls);
	free(n);
}

static bool
has(const struct tcp_sock *s, short events)
{
	struct pollfd p = {.fd = s->fd, .events = events};

	return s->fd != -1 && s->net->calls.v[s->index].state != CALL_OVER &&
	    poll(&p, 1, 0) == 1;
}

/* What has arrived, although the loop has not come to it. */
static void
take_all(struct tcp_net *n)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct tcp_sock *s = &n->socks[i];

		if (!s->connected && has(s, POLLOUT))
			on_writable(s);
		if (s->connected && has(s, POLLIN))
			on_readable(s);
	}
}

void
tcp_net_stop(struct tcp_net *n)
{
	if (n == NULL)
		return;
	take_all(n);
	calls_stop(&n->calls);
}

const struct calls *
tcp_net_calls(const struct tcp_net *n)
{
	return n == NULL ? NULL : &n->calls;
}

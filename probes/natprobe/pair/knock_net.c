/*
 * knock_net: the sockets for a meeting's TCP. Opens, sends, reads and closes
 * as knock says; decides nothing.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/path/icmp.h"

#define READ_MAX 2048
/* So that a flood does not keep the loop from its timers. */
#define A_TURN 8

struct knock_family;
struct knock_sock {
	struct knock_family *family;
	unsigned conn;
	int fd; /* -1: not open */
	struct watch *readable, *writable;
};

struct knock_family {
	struct knock_net *net;
	int v6;
	struct addr p; /* P: where the others of it are bound, too */
	struct knock_sock listener;
	struct knock_sock socks[KNOCK_CONNS];
};

struct knock_net {
	struct loop *loop; /* lent */
	struct meet *meet; /* lent */
	struct knock_family families[2];
	loop_fn *changed;
	void *arg;
};

static struct knock *
knock_of(const struct knock_family *f)
{
	return &f->net->meet->knock[f->v6];
}

static struct mono
now_of(const struct knock_family *f)
{
	return loop_now(f->net->loop);
}

static void
stun_of(struct stun_addr *s, const struct addr *a)
{
	addr_ip16(a, s->ip);
	s->port = addr_port(a);
}

static void
set(int fd, int level, int option)
{
	setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

/* ---- events ---- */

/* Who sent an ICMP error about this connection; false if nobody did. */
static bool
error_sender(int fd, struct stun_addr *who)
{
	char control[512], ignored[64];
	struct iovec iov = {ignored, sizeof(ignored)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct addr from;
	int error;

	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) == -1)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c))
		if (icmp_sender(c, &from, &error)) {
			stun_of(who, &from);
			return true;
		}
	return false;
}

static enum knock_end
end_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case 0: /* the end of the stream */
		return KNOCK_RESET;
	case ETIMEDOUT:
		return KNOCK_SILENT;
	default:
		return KNOCK_NO_WAY;
	}
}

static void
fail(struct knock_sock *s, int error)
{
	struct knock_family *f = s->family;
	struct stun_addr who = {.port = 0};
	bool icmp = error_sender(s->fd, &who);

	watch_on(s->readable, false);
	watch_on(s->writable, false);
	knock_failed(knock_of(f), s->conn, icmp ? KNOCK_ICMP : end_of(error),
	    icmp ? &who : NULL, now_of(f));
}

static void
on_readable(void *arg)
{
	struct knock_sock *s = arg;
	struct knock_family *f = s->family;
	uint8_t buf[READ_MAX];
	ssize_t n = 1;

	for (int i = 0; i < A_TURN && n > 0; i++) {
		n = read(s->fd, buf, sizeof(buf));
		if (n > 0)
			meet_tcp_input(f->net->meet, f->v6, s->conn, buf,
			    (size_t)n, now_of(f));
	}
	if (n == 0)
		fail(s, 0);
	else if (n == -1 && errno != EAGAIN && errno != EINTR)
		fail(s, errno);
	f->net->changed(f->net->arg);
}

static void
on_writable(void *arg)
{
	struct knock_sock *s = arg;
	struct knock_family *f = s->family;
	socklen_t len = sizeof(int);
	int error = 0;

	watch_on(s->writable, false);
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		fail(s, error);
	else {
		meet_tcp_connected(f->net->meet, f->v6, s->conn, now_of(f));
		watch_on(s->readable, true);
	}
	f->net->changed(f->net->arg);
}

/* ---- sockets ---- */

static void
close_sock(struct knock_sock *s)
{
	watch_free(s->readable);
	watch_free(s->writable);
	s->readable = s->writable = NULL;
	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
}

static int
open_fd(int v6)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	set(fd, IPPROTO_TCP, TCP_NODELAY);
	if (v6) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
		set(fd, IPPROTO_IPV6, IPV6_RECVERR);
	} else
		set(fd, IPPROTO_IP, IP_RECVERR);
	return fd;
}

static void
share_port(int fd)
{
	set(fd, SOL_SOCKET, SO_REUSEADDR);
	set(fd, SOL_SOCKET, SO_REUSEPORT);
}

/* Watches s->fd; false, and closed, if it is none or memory is short. */
static bool
keep(struct knock_sock *s, loop_fn *readable, loop_fn *writable)
{
	struct loop *l = s->family->net->loop;

	if (s->fd == -1)
		return false;
	s->readable = watch_new(l, s->fd, WATCH_READ, readable, s);
	s->writable = watch_new(l, s->fd, WATCH_WRITE, writable, s);
	if (s->readable != NULL && s->writable != NULL)
		return true;
	close_sock(s);
	return false;
}

static void
on_guest(void *arg)
{
	struct knock_family *f = ((struct knock_sock *)arg)->family;

	for (int i = 0; i < A_TURN; i++) {
		struct addr from = {.len = sizeof(from.u)};
		struct knock_sock *s;
		struct stun_addr who;
		int conn,
		    fd = accept4(f->listener.fd, &from.u.sa, &from.len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1)
			break;
		stun_of(&who, &from);
		conn = knock_guest(knock_of(f), &who, now_of(f));
		if (conn == -1) {
			close(fd);
			continue;
		}
		s = &f->socks[conn];
		*s = (struct knock_sock){f, (unsigned)conn, fd, NULL, NULL};
		set(fd, IPPROTO_TCP, TCP_NODELAY);
		if (keep(s, on_readable, on_writable))
			watch_on(s->readable, true);
		else
			knock_failed(knock_of(f), s->conn, KNOCK_NO_WAY, NULL,
			    now_of(f));
	}
	f->net->changed(f->net->arg);
}

/* A port that nobody else has; then it is shared with those of this run. */
static bool
listen_at_p(struct knock_family *f)
{
	struct knock_sock *s = &f->listener;

	*s = (struct knock_sock){f, 0, open_fd(f->v6), NULL, NULL};
	if (!keep(s, on_guest, on_guest) ||
	    !addr_parse(&f->p, f->v6 ? "::" : "0.0.0.0", 0) ||
	    bind(s->fd, &f->p.u.sa, f->p.len) == -1 ||
	    getsockname(s->fd, &f->p.u.sa, &f->p.len) == -1)
		return false;
	share_port(s->fd);
	if (listen(s->fd, KNOCK_GUESTS_MAX) == -1)
		return false;
	watch_on(s->readable, true);
	return true;
}

static void
connect_sock(struct knock_family *f, const struct knock_act *act)
{
	struct knock_sock *s = &f->socks[act->conn];
	struct addr to;
	int error = 0;

	*s = (struct knock_sock){f, act->conn, open_fd(f->v6), NULL, NULL};
	addr_from_ip16(&to, act->to.ip, act->to.port);
	if (s->fd != -1 && act->from_p) {
		share_port(s->fd);
		if (bind(s->fd, &f->p.u.sa, f->p.len) == -1)
			error = errno;
	}
	if (!keep(s, on_readable, on_writable)) {
		knock_failed(
		    knock_of(f), act->conn, KNOCK_NO_WAY, NULL, now_of(f));
		return;
	}
	if (error == 0 && connect(s->fd, &to.u.sa, to.len) == -1)
		error = errno;
	if (error != 0 && error != EINPROGRESS)
		fail(s, error);
	else
		watch_on(s->writable, true);
}

/* So little always fits; what the kernel does not take, it has no more
 * connection for. */
static void
send_all(struct knock_family *f, const struct knock_act *act)
{
	struct knock_sock *s = &f->socks[act->conn];

	if (send(s->fd, act->p, act->n, MSG_NOSIGNAL) != (ssize_t)act->n)
		fail(s, EPIPE);
}

static void
act_on(struct knock_family *f, const struct knock_act *act)
{
	switch (act->kind) {
	case KNOCK_ACT_NOTHING:
		break;
	case KNOCK_ACT_LISTEN:
		knock_listens(knock_of(f), listen_at_p(f), now_of(f));
		break;
	case KNOCK_ACT_CONNECT:
		connect_sock(f, act);
		break;
	case KNOCK_ACT_SEND:
		send_all(f, act);
		break;
	case KNOCK_ACT_CLOSE:
		close_sock(&f->socks[act->conn]);
		break;
	}
}

void
knock_net_run(struct knock_net *n)
{
	struct knock_act act;
	int v6;

	while (meet_tcp_next(n->meet, loop_now(n->loop), &v6, &act))
		act_on(&n->families[v6], &act);
}

struct knock_net *
knock_net_new(struct loop *l, struct meet *m, loop_fn *changed, void *arg)
{
	struct knock_net *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->loop = l;
	n->meet = m;
	n->changed = changed;
	n->arg = arg;
	for (int v6 = 0; v6 < 2; v6++) {
		struct knock_family *f = &n->families[v6];

		f->net = n;
		f->v6 = v6;
		f->listener.fd = -1;
		for (unsigned i = 0; i < KNOCK_CONNS; i++)
			f->socks[i].fd = -1;
	}
	return n;
}

void
knock_net_free(struct knock_net *n)
{
	for (int v6 = 0; n != NULL && v6 < 2; v6++) {
		close_sock(&n->families[v6].listener);
		for (unsigned i = 0; i < KNOCK_CONNS; i++)
			close_sock(&n->families[v6].socks[i]);
	}
	free(n);
}

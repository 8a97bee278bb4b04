/*
 * reach_net: the sockets of path/reach: a question by UDP, a connection by
 * TCP (and the same question over it, where a STUN server is), an echo by a
 * ping socket, which needs no privilege where the system allows it
 * (icmp(7), ping_group_range).
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/path/path.h"
#include "run/loop.h"

#define SENDS	   3
#define AGAIN_US   INT64_C(350000)
#define WAIT_US	   INT64_C(800000) /* after the last question */
#define CONNECT_US INT64_C(1500000) /* for a connection */
#define GAP_US	   INT64_C(25000) /* from one row to the next */
#define SERVERS	   2 /* more addresses would say nothing new */
#define ECHO_LEN   16
#define INPUT_MAX  2048

static void
finish(struct reach_sock *s, enum reach_saw saw)
{
	struct reach_net *n = s->net;

	s->net->reach.rows[s->row].saw = saw;
	reach_sock_close(s);
	if (--n->left == 0)
		n->done(n->arg);
}

static enum reach_saw
saw_of_errno(int e)
{
	switch (e) {
	case ECONNREFUSED:
	case ECONNRESET:
		return REACH_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return REACH_UNREACHABLE;
	case EACCES:
		return REACH_PROHIBITED;
	case ETIMEDOUT:
		return REACH_SILENT;
	default:
		return REACH_NOT_SENT;
	}
}

static const struct reach_row *
row_of(const struct reach_sock *s)
{
	return &s->net->reach.rows[s->row];
}

static size_t
write_question(struct reach_sock *s, uint8_t out[static STUN_TAILNODE_LEN])
{
	bool v6 = !stun_addr_is_v4(&row_of(s)->to);

	if (row_of(s)->how != REACH_ECHO) {
		stun_tailnode_request(out, &s->txid);
		return STUN_TAILNODE_LEN;
	}
	/* The kernel fills in the identifier and the checksum. */
	memset(out, 0, ECHO_LEN);
	out[0] = v6 ? 128 : 8;
	out[7] = (uint8_t)s->sends;
	return ECHO_LEN;
}

static void
send_question(struct reach_sock *s)
{
	uint8_t packet[STUN_TAILNODE_LEN];
	size_t n = write_question(s, packet);

	s->sends++;
	s->sent = loop_now(s->net->loop);
	pace_sent(&s->net->pace, 1, s->sent);
	if (send(s->fd, packet, n, MSG_NOSIGNAL) == -1)
		/* An error of before is reported here, and only once. */
		(void)send(s->fd, packet, n, MSG_NOSIGNAL);
}

static bool
is_answer(const struct reach_sock *s, const uint8_t *p, size_t n)
{
	struct stun_addr mapped;
	enum stun_response kind;
	unsigned code;

	if (row_of(s)->how == REACH_ECHO)
		return n >= 8 && (p[0] == 0 || p[0] == 129);
	kind = stun_response_parse(p, n, &s->txid, &mapped, &code);
	/* Whoever is there, it is there. */
	return row_of(s)->how == REACH_UDP || kind != STUN_RESPONSE_FOREIGN;
}

/* False: nothing more is there to read, or it is over. */
static bool
read_error(struct reach_sock *s)
{
	struct icmp_error e;

	if (!icmp_read(s->fd, &e))
		return false;
	switch (e.kind) {
	case ICMP_REFUSED:
		finish(s, REACH_REFUSED);
		return false;
	case ICMP_PROHIBITED:
		finish(s, REACH_PROHIBITED);
		return false;
	case ICMP_UNREACHABLE:
		s->unreachable = true;
		return true;
	default:
		return true;
	}
}

static void
on_datagram(struct reach_sock *s)
{
	uint8_t buf[INPUT_MAX];
	ssize_t n;

	while (read_error(s))
		continue;
	if (s->fd == -1)
		return;
	n = recv(s->fd, buf, sizeof(buf), 0);
	if (n >= 0 && is_answer(s, buf, (size_t)n))
		finish(s, REACH_ANSWERS);
}

/* A message of STUN is asked for by TCP, but whatever comes, it is open. */
static void
on_stream(struct reach_sock *s)
{
	uint8_t buf[INPUT_MAX];
	ssize_t n = recv(s->fd, buf, sizeof(buf), 0);

	if (n == -1 && errno == EAGAIN)
		return;
	finish(s,
	    n > 0 && is_answer(s, buf, (size_t)n) ? REACH_ANSWERS : REACH_OPEN);
}

static void
on_readable(void *arg)
{
	struct reach_sock *s = arg;

	if (row_of(s)->how == REACH_TCP)
		on_stream(s);
	else
		on_datagram(s);
}

static void
on_connected(void *arg)
{
	struct reach_sock *s = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	watch_on(s->writable, false);
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		finish(s, saw_of_errno(error));
	else if (!row_of(s)->stun)
		finish(s, REACH_OPEN);
	else {
		s->connected = true;
		watch_on(s->readable, true);
		timer_set(s->timer, mono_add_us(loop_now(s->net->loop), 1));
	}
}

static int
open_fd(const struct reach_row *row)
{
	bool v6 = !stun_addr_is_v4(&row->to);
	int type = row->how == REACH_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int protocol = row->how != REACH_ECHO ? 0
	    : v6			      ? IPPROTO_ICMPV6
					      : IPPROTO_ICMP;
	int fd = socket(v6 ? AF_INET6 : AF_INET,
	    type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd != -1 && row->how == REACH_UDP && !icmp_listen(fd, v6)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
begin(struct reach_sock *s)
{
	const struct reach_row *row = row_of(s);
	struct loop *l = s->net->loop;
	struct addr to;

	s->fd = open_fd(row);
	addr_from_ip16(&to, row->to.ip, row->to.port);
	if (s->fd != -1) {
		s->readable = watch_new(l, s->fd, WATCH_READ, on_readable, s);
		s->writable = watch_new(l, s->fd, WATCH_WRITE, on_connected, s);
	}
	if (s->readable == NULL || s->writable == NULL) {
		finish(s, REACH_NOT_SENT);
		return;
	}
	if (connect(s->fd, &to.u.sa, to.len) == -1 && errno != EINPROGRESS) {
		finish(s, saw_of_errno(errno));
		return;
	}
	watch_on(row->how == REACH_TCP ? s->writable : s->readable, true);
}

/* By TCP: the SYN, and the question once it is connected. */
static bool
has_more(const struct reach_sock *s)
{
	if (!mono_is_set(s->begun))
		return true;
	return row_of(s)->how == REACH_TCP ? s->connected && s->sends == 0
					   : s->sends < SENDS;
}

static void
send_next(struct reach_sock *s, struct mono now)
{
	bool tcp = row_of(s)->how == REACH_TCP;

	if (!mono_is_set(s->begun)) {
		s->begun = s->sent = now;
		if (tcp)
			pace_sent(&s->net->pace, 1, now);
		begin(s);
	}
	if (s->fd != -1 && (!tcp || s->connected))
		send_question(s);
}

static void
give_up(struct reach_sock *s)
{
	finish(s,
	    s->connected	 ? REACH_OPEN
		: s->unreachable ? REACH_UNREACHABLE
				 : REACH_SILENT);
}

static void
on_time(void *arg)
{
	struct reach_sock *s = arg;
	struct pace *pace = &s->net->pace;
	struct mono now = loop_now(s->net->loop);

	if (has_more(s)) {
		if (!pace_ready(pace, now)) {
			timer_set(s->timer, pace_wake(pace, now));
			return;
		}
		send_next(s, now);
		if (s->fd == -1)
			return;
	} else if (mono_reached(s->until, now)) {
		give_up(s);
		return;
	}
	s->until = mono_add_us(s->sent,
	    row_of(s)->how == REACH_TCP && !s->connected ? CONNECT_US
		: has_more(s)				 ? AGAIN_US
							 : WAIT_US);
	timer_set(s->timer, s->until);
}

void
reach_sock_close(struct reach_sock *s)
{
	watch_free(s->readable);
	watch_free(s->writable);
	timer_free(s->timer);
	s->readable = s->writable = NULL;
	s->timer = NULL;
	if (s->fd != -1) {
		/* The end of a connection. */
		if (s->connected)
			pace_sent(&s->net->pace, 1, loop_now(s->net->loop));
		close(s->fd);
	}
	s->fd = -1;
}

/* ---- all of them ---- */

void
reach_rows(struct reach *r, const struct targets *t, bool v6,
    const struct reach_ports *ports)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n[v6] && n < SERVERS; i++) {
		bool known = false;

		for (size_t j = 0; j < i; j++)
			known |= stun_addr_same_ip(&t->v[v6][i], &t->v[v6][j]);
		if (known)
			continue;
		reach_add(r, &t->v[v6][i], ports);
		n++;
	}
	for (size_t i = 0; i < t->n[v6]; i++)
		reach_serves(r, &t->v[v6][i]);
}

int
reach_net_start(struct reach_net *n, struct loop *l, struct pacer *pacer,
    loop_fn *done, void *arg)
{
	struct mono at = loop_now(l);

	n->loop = l;
	n->pace.pacer = pacer;
	n->done = done;
	n->arg = arg;
	n->socks = calloc(n->reach.n + 1, sizeof(*n->socks));
	if (n->socks == NULL)
		return -1;
	for (size_t i = 0; i < n->reach.n; i++) {
		struct reach_sock *s = &n->socks[i];

		*s = (struct reach_sock){.net = n, .row = i, .fd = -1};
		randombytes_buf(s->txid.b, sizeof(s->txid.b));
		s->timer = timer_new(l, on_time, s);
		if (s->timer == NULL)
			return -1;
		at = mono_add_us(at, GAP_US);
		timer_set(s->timer, at);
		n->left++;
	}
	return 0;
}

void
reach_net_close(struct reach_net *n)
{
	if (n->socks == NULL)
		return;
	for (size_t i = 0; i < n->reach.n; i++)
		reach_sock_close(&n->socks[i]);
	free(n->socks);
	n->socks = NULL;
}

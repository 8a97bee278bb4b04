/*
 * udp: batches between one socket and one handler. Owns the socket and the
 * buffers of one batch, which are allocated once. Parses nothing.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/loop.h"
#include "run/udp.h"

#define BATCH 64

/* Batches for one socket before the loop looks at others again. */
#define BATCHES_PER_WAKEUP 16

/*
 * The kernel charges about 1 kB for a small datagram and doubles the number:
 * room for some 7000 requests, which is what arrives while the process does
 * not run for a few milliseconds. Without CAP_NET_ADMIN it gives less.
 */
#define SOCKET_BUFFER (4 << 20)

/* Room for one in_pktinfo or in6_pktinfo. */
struct udp_control {
	_Alignas(struct cmsghdr) char b[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/*
 * One datagram: what came, from where and to where. The sizes of the two
 * structs are no powers of two: the first bytes of 64 buffers would else
 * share a few lines of the cache.
 */
struct udp_in {
	struct addr from;
	struct addr to;
	struct iovec iov;
	struct udp_control control;
	uint8_t bytes[UDP_IN_MAX];
};

struct udp_out {
	struct iovec iov;
	struct udp_control control;
	uint8_t bytes[UDP_OUT_MAX];
};

struct udp {
	int fd;
	struct addr local;
	bool wildcard;
	struct watch *watch;
	udp_fn *fn;
	void *arg;
	struct udp_stats stats;
	struct mmsghdr rx[BATCH];
	struct mmsghdr tx[BATCH];
	struct udp_in in[BATCH];
	struct udp_out out[BATCH];
};

/* ---- addresses in control messages ---- */

/* Fills d's `to` from the packet's information; only on wildcard sockets. */
static void
read_pktinfo(const struct udp *u, struct msghdr *hdr, struct addr *to)
{
	struct in6_pktinfo six;
	struct in_pktinfo four;

	*to = u->local;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL;
	     c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&four, CMSG_DATA(c), sizeof(four));
			to->u.in.sin_addr = four.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&six, CMSG_DATA(c), sizeof(six));
			to->u.in6.sin6_addr = six.ipi6_addr;
			/* Only a link-local address needs its interface; for
			 * others the routes decide. */
			if (IN6_IS_ADDR_LINKLOCAL(&six.ipi6_addr))
				to->u.in6.sin6_scope_id = six.ipi6_ifindex;
		}
	}
}

/* Makes hdr leave from the address `to`. */
static void
write_pktinfo(
    struct msghdr *hdr, struct udp_control *room, const struct addr *to)
{
	struct in6_pktinfo six = {0};
	struct in_pktinfo four = {0};
	struct cmsghdr *c;

	if (addr_is_any(to))
		return;
	hdr->msg_control = room;
	hdr->msg_controllen = sizeof(*room);
	c = CMSG_FIRSTHDR(hdr);
	if (to->u.sa.sa_family == AF_INET) {
		four.ipi_spec_dst = to->u.in.sin_addr;
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(four));
		memcpy(CMSG_DATA(c), &four, sizeof(four));
		hdr->msg_controllen = CMSG_SPACE(sizeof(four));
	} else {
		six.ipi6_addr = to->u.in6.sin6_addr;
		six.ipi6_ifindex = to->u.in6.sin6_scope_id;
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(six));
		memcpy(CMSG_DATA(c), &six, sizeof(six));
		hdr->msg_controllen = CMSG_SPACE(sizeof(six));
	}
}

/* ---- one batch ---- */

/* Undoes what recvmmsg wrote into the headers. */
static void
rx_reset(struct udp *u, size_t i)
{
	struct msghdr *hdr = &u->rx[i].msg_hdr;

	hdr->msg_namelen = sizeof(u->in[i].from.u);
	hdr->msg_controllen = u->wildcard ? sizeof(u->in[i].control) : 0;
	hdr->msg_flags = 0;
}

/* Hands datagram i to the program; the answer, if any, becomes tx[n]. */
static size_t
handle(struct udp *u, size_t i, size_t n)
{
	struct udp_in *in = &u->in[i];
	struct msghdr *hdr = &u->rx[i].msg_hdr, *reply = &u->tx[n].msg_hdr;
	struct udp_datagram d = {.from = &in->from,
	    .to = &u->local,
	    .p = in->bytes,
	    .len = u->rx[i].msg_len,
	    .cut = (hdr->msg_flags & MSG_TRUNC) != 0};

	in->from.len = hdr->msg_namelen;
	if (u->wildcard) {
		read_pktinfo(u, hdr, &in->to);
		d.to = &in->to;
	}
	u->out[n].iov.iov_len = u->fn(u->arg, &d, u->out[n].bytes);
	if (u->out[n].iov.iov_len == 0)
		return n;
	reply->msg_name = &in->from.u;
	reply->msg_namelen = in->from.len;
	reply->msg_control = NULL;
	reply->msg_controllen = 0;
	if (u->wildcard)
		write_pktinfo(reply, &u->out[n].control, &in->to);
	return n + 1;
}

/*
 * sendmmsg stops at the first answer that fails. That one is left out, since
 * the others go to other places, unless the socket's buffer is full: then the
 * rest would fail as well.
 */
static void
send_batch(struct udp *u, size_t n)
{
	size_t i = 0;

	while (i < n) {
		int sent =
		    sendmmsg(u->fd, u->tx + i, (unsigned)(n - i), MSG_DONTWAIT);

		if (sent > 0) {
			metric_add(&u->stats.sent, sent);
			i += (size_t)sent;
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			metric_add(&u->stats.send_errors, (int64_t)(n - i));
			return;
		} else if (errno != EINTR) {
			metric_add(&u->stats.send_errors, 1);
			i++;
		}
	}
}

void
udp_send(struct udp *u, const struct addr *to, const struct addr *from,
    uint8_t *p, size_t n)
{
	struct addr name = *to;
	struct iovec iov = {.iov_base = p, .iov_len = n};
	struct msghdr hdr = {.msg_name = &name.u,
	    .msg_namelen = name.len,
	    .msg_iov = &iov,
	    .msg_iovlen = 1};
	struct udp_control control;

	if (u->wildcard && from != NULL)
		write_pktinfo(&hdr, &control, from);
	if (sendmsg(u->fd, &hdr, MSG_DONTWAIT) == -1)
		metric_add(&u->stats.send_errors, 1);
	else
		metric_add(&u->stats.sent, 1);
}

/* Returns the datagrams taken: fewer than BATCH when there are no more. */
static size_t
serve_batch(struct udp *u)
{
	size_t got, answers = 0;
	int r = recvmmsg(u->fd, u->rx, BATCH, MSG_DONTWAIT, NULL);

	if (r < 0) {
		/* Errors of earlier answers (ICMP) may be reported here. */
		if (errno != EAGAIN && errno != EINTR)
			metric_add(&u->stats.recv_errors, 1);
		return 0;
	}
	got = (size_t)r;
	metric_add(&u->stats.batches, 1);
	metric_add(&u->stats.received, r);
	for (size_t i = 0; i < got; i++)
		answers = handle(u, i, answers);
	send_batch(u, answers);
	for (size_t i = 0; i < got; i++)
		rx_reset(u, i);
	return got;
}

static void
readable(void *arg)
{
	struct udp *u = arg;

	for (int i = 0; i < BATCHES_PER_WAKEUP; i++)
		if (serve_batch(u) < BATCH)
			return;
}

/* ---- life ---- */

static void
set_buffer(int fd, int force, int plain)
{
	int size = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) == -1)
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

static void
set_options(struct udp *u)
{
	int on = 1;

	set_buffer(u->fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(u->fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (!u->wildcard)
		return;
	if (u->local.u.sa.sa_family == AF_INET)
		setsockopt(u->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	else
		setsockopt(
		    u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

static void
init_headers(struct udp *u)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct msghdr *rx = &u->rx[i].msg_hdr, *tx = &u->tx[i].msg_hdr;

		u->in[i].iov.iov_base = u->in[i].bytes;
		u->in[i].iov.iov_len = UDP_IN_MAX;
		rx->msg_name = &u->in[i].from.u;
		rx->msg_iov = &u->in[i].iov;
		rx->msg_iovlen = 1;
		rx->msg_control = &u->in[i].control;
		rx_reset(u, i);
		u->out[i].iov.iov_base = u->out[i].bytes;
		tx->msg_iov = &u->out[i].iov;
		tx->msg_iovlen = 1;
	}
}

struct udp *
udp_new(struct loop *l, int fd, udp_fn *fn, void *arg)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->fd = fd;
	u->fn = fn;
	u->arg = arg;
	u->local.len = sizeof(u->local.u);
	u->watch = watch_new(l, fd, WATCH_READ, readable, u);
	if (u->watch == NULL ||
	    getsockname(fd, &u->local.u.sa, &u->local.len) == -1) {
		watch_free(u->watch);
		free(u);
		return NULL;
	}
	u->wildcard = addr_is_any(&u->local);
	set_options(u);
	init_headers(u);
	watch_on(u->watch, true);
	return u;
}

void
udp_free(struct udp *u)
{
	if (u == NULL)
		return;
	watch_free(u->watch);
	close(u->fd);
	free(u);
}

const struct udp_stats *
udp_stats(const struct udp *u)
{
	return &u->stats;
}

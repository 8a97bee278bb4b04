/*
 * check_run: the edge of a check. Sends what the core
 * says, gives it what comes, and prints the result. The first address of each
 * family is checked, both at once.
 */
#include <netdb.h>
#include <sys/random.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/addr.h"
#include "run/loop.h"
#include "stund/check_edge.h"

enum { STATUS_FIT = 0, STATUS_UNFIT = 1, STATUS_USAGE = 2 };
enum { ADDRS_MAX = 2 };

struct checker;

struct check_socket {
	struct checker *k;
	enum check_probe id;
	int fd; /* only if watch is set */
	struct watch *watch;
};

/* One address of the server. */
struct checker {
	struct check c;
	struct run *run;
	struct timer *timer;
	struct check_streams *streams;
	struct check_socket sockets[CHECK_PROBES];
};

struct run {
	struct check_uri uri;
	struct loop *loop;
	struct checker *v[ADDRS_MAX];
	size_t n;
};

static void
from_sockaddr(struct stun_addr *to, const struct addr *from)
{
	addr_ip16(from, to->ip);
	to->port = addr_port(from);
}

/* ---- UDP ---- */

static void pump(void *arg);

static void
on_readable(void *arg)
{
	struct check_socket *s = arg;
	struct checker *k = s->k;
	struct stun_addr from;
	struct addr a;
	uint8_t p[4096];
	ssize_t n;

	for (;;) {
		a.len = sizeof(a.u);
		n = recvfrom(s->fd, p, sizeof(p), 0, &a.u.sa, &a.len);
		if (n == -1)
			break;
		from_sockaddr(&from, &a);
		check_got(
		    &k->c, loop_now(k->run->loop), s->id, &from, p, (size_t)n);
	}
	/* IP_RECVERR: an ICMP error says that nothing will come. */
	if (errno != EAGAIN && errno != EINTR)
		check_failed(&k->c, s->id, strerror(errno));
	pump(k);
}

static int
udp_open(int family)
{
	int fd, on = 1;

	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	return fd;
}

/* The port is drawn when the first datagram leaves. */
static void
note_port(struct check_socket *s)
{
	struct addr a = {.len = sizeof(a.u)};

	if (getsockname(s->fd, &a.u.sa, &a.len) == 0)
		s->k->c.ports[s->id] = addr_port(&a);
}

static int
socket_open(struct check_socket *s, int family)
{
	if (s->watch != NULL)
		return 0;
	s->fd = udp_open(family);
	if (s->fd == -1)
		return -1;
	s->watch =
	    watch_new(s->k->run->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch == NULL) {
		close(s->fd);
		errno = ENOMEM;
		return -1;
	}
	watch_on(s->watch, true);
	return 0;
}

static void
udp_send(struct checker *k, const struct check_send *request)
{
	struct check_socket *s = &k->sockets[request->socket];
	struct addr to;

	addr_from_ip16(&to, request->to.ip, request->to.port);
	if (socket_open(s, to.u.sa.sa_family) == -1 ||
	    sendto(s->fd, request->bytes, request->len, 0, &to.u.sa, to.len) ==
		-1)
		check_failed(&k->c, s->id, strerror(errno));
	else
		note_port(s);
}

/* ---- the loop ---- */

static bool
all_done(const struct run *run)
{
	for (size_t i = 0; i < run->n; i++)
		if (!check_done(&run->v[i]->c))
			return false;
	return true;
}

static void
pump(void *arg)
{
	struct checker *k = arg;
	struct loop *loop = k->run->loop;
	uint8_t random[CHECK_ID_LEN];
	struct check_send request;

	for (;;) {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			abort();
		if (!check_next(&k->c, loop_now(loop), random, &request))
			break;
		if (request.stream)
			check_streams_send(k->streams, &request);
		else
			udp_send(k, &request);
	}
	if (!check_done(&k->c))
		timer_set(k->timer, check_deadline(&k->c));
	else if (all_done(k->run))
		loop_stop(loop);
}

/* ---- one address ---- */

/* Finds out from which address the server is reached, without a packet. */
static int
local_ip(struct ip *local, const struct addr *server)
{
	struct addr a = {.len = sizeof(a.u)};
	int fd = udp_open(server->u.sa.sa_family), result = -1, saved;

	if (fd == -1)
		return -1;
	if (connect(fd, &server->u.sa, server->len) == 0 &&
	    getsockname(fd, &a.u.sa, &a.len) == 0) {
		addr_ip16(&a, local->b);
		result = 0;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

static void
checker_free(struct checker *k)
{
	check_streams_free(k->streams);
	timer_free(k->timer);
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		if (k->sockets[p].watch != NULL) {
			watch_free(k->sockets[p].watch);
			close(k->sockets[p].fd);
		}
	free(k);
}

static int
checker_add(struct run *run, const struct addr *server)
{
	struct checker *k = calloc(1, sizeof(*k));
	struct stun_addr to;
	struct ip local;

	if (k == NULL)
		return -1;
	if (local_ip(&local, server) == -1) {
		free(k);
		return -1;
	}
	from_sockaddr(&to, server);
	k->run = run;
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		k->sockets[p] = (struct check_socket){.k = k, .id = p};
	check_init(&k->c, &to, run->uri.tls, &local, CHECK_GAP_US,
	    loop_now(run->loop));
	k->timer = timer_new(run->loop, pump, k);
	k->streams =
	    check_streams_new(&k->c, run->loop, run->uri.host, pump, k);
	if (k->timer == NULL || k->streams == NULL) {
		checker_free(k);
		errno = ENOMEM;
		return -1;
	}
	timer_set(k->timer, loop_now(run->loop));
	run->v[run->n++] = k;
	return 0;
}

/* ---- the addresses ---- */

static bool
has_family(const struct run *run, const struct addr *a)
{
	for (size_t i = 0; i < run->n; i++)
		if (stun_addr_is_v4(&run->v[i]->c.server) == addr_is_v4(a))
			return true;
	return false;
}

/* Takes the first address of each family that has a route. */
static void
add_addresses(struct run *run, const struct addrinfo *found)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (; found != NULL && run->n < ADDRS_MAX; found = found->ai_next) {
		memset(&a, 0, sizeof(a));
		memcpy(&a.u, found->ai_addr, found->ai_addrlen);
		a.len = found->ai_addrlen;
		addr_set_port(&a, run->uri.port);
		if (has_family(run, &a))
			continue;
		if (checker_add(run, &a) == -1)
			fprintf(stderr, "stund: -check: %s is left out: %s\n",
			    addr_text(&a, text), strerror(errno));
	}
	/* The pace is that of the server, not of each of its addresses. */
	for (size_t i = 0; i < run->n; i++)
		run->v[i]->c.gap_us = CHECK_GAP_US * (int64_t)run->n;
}

/* ---- all of it ---- */

static int
report(const struct run *run)
{
	struct text out = TEXT_EMPTY;
	char text[CHECK_ADDR_TEXT_MAX];
	bool fit = run->n > 0;

	for (size_t i = 0; i < run->n; i++) {
		text_fmt(&out, "%s%s at %s\n\n", i == 0 ? "" : "\n",
		    run->uri.host, check_addr_text(&run->v[i]->c.server, text));
		fit = check_print(&run->v[i]->c, &out) && fit;
	}
	if (out.bad || fputs(out.p == NULL ? "" : out.p, stdout) == EOF ||
	    fflush(stdout) == EOF) {
		fprintf(stderr, "stund: -check: cannot print: %s\n",
		    strerror(out.bad ? ENOMEM : errno));
		fit = false;
	}
	text_clear(&out);
	return fit ? STATUS_FIT : STATUS_UNFIT;
}

static int
check_all(struct run *run)
{
	struct addrinfo *found;
	const char *why;

	found = check_lookup(&run->uri, &why);
	if (found == NULL) {
		fprintf(stderr, "stund: -check: cannot find %s: %s\n",
		    run->uri.host, why);
		return STATUS_UNFIT;
	}
	add_addresses(run, found);
	freeaddrinfo(found);
	if (run->n > 0)
		loop_run(run->loop);
	return report(run);
}

int
check_run(const char *uri)
{
	char error[CHECK_ERROR_MAX];
	struct run run = {0};
	int status;

	if (!check_uri_parse(&run.uri, uri, error)) {
		fprintf(stderr, "stund: %s\n", error);
		return STATUS_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if ((run.loop = loop_new()) == NULL) {
		fprintf(
		    stderr, "stund: -check: event loop: %s\n", strerror(errno));
		return STATUS_UNFIT;
	}
	status = check_all(&run);
	while (run.n > 0)
		checker_free(run.v[--run.n]);
	loop_free(run.loop);
	return status;
}

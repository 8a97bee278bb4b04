/* sockets: see sockets.h. Only asks the kernel for names; sends nothing. */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "probes/natprobe/evidence/frame.h"
#include "probes/natprobe/evidence/sockets.h"
#include "run/addr.h"
#include "run/loop.h"

/* Answers may come, and connections end, so long after a socket is closed. */
#define LINGER_US INT64_C(3000000)

/* By descriptor. */
struct sockets_one {
	unsigned watches;
	uint8_t protocol; /* 0: not known, or no socket */
	bool strange; /* a pipe, or a socket of another kind */
	bool complete; /* no more is to be learned */
	int end; /* of the first; -1: none yet */
	int n_ends; /* one for each address of this host, if it has no own */
};

struct sockets {
	struct loop *loop; /* lent */
	struct sockets_one *v;
	int n;
	struct ends ends;
	bool overflowed;
};

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- what the kernel says of one ---- */

static int
get_number(int fd, int option)
{
	int v = 0;
	socklen_t n = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, option, &v, &n) == -1 ? -1 : v;
}

static void
learn_protocol(struct sockets_one *o, int fd)
{
	int domain = get_number(fd, SO_DOMAIN);
	int protocol = get_number(fd, SO_PROTOCOL);

	if (domain != AF_INET && domain != AF_INET6)
		o->strange = true;
	else
		o->protocol = (uint8_t)protocol;
}

static bool
is_ping(const struct sockets_one *o)
{
	return o->protocol == FRAME_ICMP4_PROTOCOL ||
	    o->protocol == FRAME_ICMP6_PROTOCOL;
}

static bool
get_name(int fd, bool peer, struct stun_addr *a)
{
	struct addr name = {.len = sizeof(name.u)};
	int r = peer ? getpeername(fd, &name.u.sa, &name.len)
		     : getsockname(fd, &name.u.sa, &name.len);

	if (r == -1)
		return false;
	addr_ip16(&name, a->ip);
	a->port = addr_port(&name);
	return true;
}

/* ---- ends ---- */

static void
add_end(struct sockets *s, struct sockets_one *o, const struct stun_addr *local,
    const struct stun_addr *peer)
{
	int i = ends_add(&s->ends, o->protocol, local, peer);

	if (i == -1) {
		s->overflowed = true;
		return;
	}
	if (o->n_ends++ == 0)
		o->end = i;
}

/* One that is bound to no address has all of this host. */
static void
add_any(struct sockets *s, struct sockets_one *o, bool v6, uint16_t port)
{
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) == -1) {
		s->overflowed = true;
		return;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		struct stun_addr a = {.port = port};
		struct addr own = {.len = sizeof(own.u)};

		if (i->ifa_addr == NULL ||
		    i->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET))
			continue;
		if (v6)
			own.u.in6 = *(struct sockaddr_in6 *)(void *)i->ifa_addr;
		else
			own.u.in = *(struct sockaddr_in *)(void *)i->ifa_addr;
		addr_ip16(&own, a.ip);
		add_end(s, o, &a, NULL);
	}
	freeifaddrs(all);
}

static bool
is_any(const struct stun_addr *a)
{
	struct addr as;

	addr_from_ip16(&as, a->ip, a->port);
	return addr_is_any(&as);
}

static void
learn_ends(struct sockets *s, struct sockets_one *o, int fd)
{
	struct stun_addr local, peer;
	bool has_peer = get_name(fd, true, &peer);

	/* A ping has no port there, whatever it was connected to. */
	if (is_ping(o))
		peer.port = 0;
	if (o->n_ends == 0) {
		if (!get_name(fd, false, &local) || local.port == 0)
			return;
		if (is_any(&local))
			add_any(s, o, !stun_addr_is_v4(&local), local.port);
		else
			add_end(s, o, &local, has_peer ? &peer : NULL);
	} else if (has_peer)
		ends_set_peer(&s->ends, o->end, &peer);
	/* A TCP socket has no peer before that has answered. */
	o->complete = has_peer || o->protocol != FRAME_TCP_PROTOCOL;
}

static void
learn(struct sockets *s, int fd)
{
	struct sockets_one *o = &s->v[fd];

	if (o->protocol == 0 && !o->strange)
		learn_protocol(o, fd);
	if (!o->strange && !o->complete)
		learn_ends(s, o, fd);
}

/* ---- the loop's word ---- */

static bool
make_room(struct sockets *s, int fd)
{
	int n = s->n == 0 ? 64 : s->n;
	struct sockets_one *more;

	while (n <= fd)
		n *= 2;
	if (n == s->n)
		return true;
	more = realloc(s->v, (size_t)n * sizeof(*more));
	if (more == NULL)
		return false;
	for (int i = s->n; i < n; i++)
		more[i] = (struct sockets_one){.end = -1};
	s->v = more;
	s->n = n;
	return true;
}

static void
forget(struct sockets *s, int fd)
{
	struct sockets_one *o = &s->v[fd];
	int64_t until_us = now_us() + LINGER_US;

	learn(s, fd);
	/* Connections end as slowly as both sides like, and are nobody else's
	 * meanwhile. */
	for (int i = 0; i < o->n_ends; i++)
		if (o->protocol != FRAME_TCP_PROTOCOL ||
		    !s->ends.v[o->end + i].has_peer)
			ends_close(&s->ends, o->end + i, until_us);
	*o = (struct sockets_one){.end = -1};
}

static void
on_watch(void *arg, int fd, bool begins)
{
	struct sockets *s = arg;

	if (fd < 0)
		return;
	if (begins) {
		if (make_room(s, fd))
			s->v[fd].watches++;
		else
			s->overflowed = true;
	} else if (fd < s->n && s->v[fd].watches > 0 && --s->v[fd].watches == 0)
		forget(s, fd);
}

/* ---- all ---- */

struct sockets *
sockets_new(struct loop *l)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = l;
	ends_init(&s->ends);
	loop_on_watch(l, on_watch, s);
	return s;
}

void
sockets_free(struct sockets *s)
{
	if (s == NULL)
		return;
	loop_on_watch(s->loop, NULL, NULL);
	free(s->v);
	free(s);
}

void
sockets_look(struct sockets *s)
{
	for (int fd = 0; fd < s->n; fd++)
		if (s->v[fd].watches > 0)
			learn(s, fd);
}

const struct ends *
sockets_ends(const struct sockets *s)
{
	return &s->ends;
}

bool
sockets_overflowed(const struct sockets *s)
{
	return s->overflowed;
}

/*
 * worker: a thread with its loop, its socket at each place, its counters and
 * the answers that wait. Decides nothing about STUN.
 */
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/log.h"
#include "run/loop.h"
#include "run/udp.h"
#include "stund/stund.h"

#define FREE_PORT_TRIES 20

/* A receive buffer that loses nothing of a few hundred requests at once. */
#define BUFFER_MIN (1 << 20)

/* ---- sockets ---- */

/* A kernel without IPv6 has no socket for :PORT to be both families. */
static int
bind_first(struct addr *a)
{
	int fd = addr_bind_udp(a, false);
	uint16_t port = addr_port(a);

	if (fd != -1 || errno != EAFNOSUPPORT || !addr_is_any(a))
		return fd;
	log_info("no IPv6 here: listening on IPv4 only");
	addr_parse(a, "0.0.0.0", port);
	return addr_bind_udp(a, false);
}

/* A port of the kernel's choice is to be free for TCP as well. */
static int
bind_both(struct addr *a)
{
	struct addr tcp;
	int fd;

	for (int i = 0; i < FREE_PORT_TRIES; i++) {
		fd = bind_first(a);
		tcp = *a;
		if (fd == -1 || addr_tcp_is_free(&tcp) == 0)
			return fd;
		close(fd);
		addr_set_port(a, 0);
	}
	errno = EADDRINUSE;
	return -1;
}

/*
 * The first worker binds for itself alone, so that a port that somebody else
 * has is an error, also if he would share it; once bound, it shares with the
 * other workers.
 */
static int
open_socket(const struct stund_worker *w, struct addr *a)
{
	int on = 1, fd;

	if (w->index > 0)
		return addr_bind_udp(a, true);
	fd = w->env->conf.tcp && addr_port(a) == 0 ? bind_both(a)
						   : bind_first(a);
	if (fd != -1 && w->env->n_workers > 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	return fd;
}

static const char *
option_of(const struct stund_conf *c, int role)
{
	if (role == STUNSRV_A1P1)
		return "listen";
	return c->partner.len > 0 ? "partner-alternate-port" : "alternate";
}

static int
failed(const struct stund_conf *c, char *error, const struct addr *a, int role)
{
	char text[ADDR_TEXT_MAX];
	const char *hint = "";

	if (errno == EADDRINUSE)
		hint = "; \"ss -ulnp\" shows by whom";
	else if (errno == EACCES)
		hint = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
	else if (errno == EADDRNOTAVAIL)
		hint = "; it must be an address of this host";
	snprintf(error, STUND_ERROR_MAX, "%s %s: %s%s", option_of(c, role),
	    addr_text(a, text), strerror(errno), hint);
	return -1;
}

/* Once: what the kernel gives one socket it gives all. */
static void
check_buffer(const struct stund_worker *w, const struct stund_socket *s, int fd)
{
	int size;
	socklen_t n = sizeof(size);

	/* The kernel tells twice what it was asked for. */
	if (w->index == 0 && s == w->sockets &&
	    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &n) == 0 &&
	    size / 2 < BUFFER_MIN)
		log_info("room for %d kB of requests only: some of many at "
			 "once will be lost; to start as root, or sysctl "
			 "net.core.rmem_max=4194304, helps",
		    size / 2048);
}

static int
open_role(struct stund_worker *w, struct stund_place *place, int role,
    struct stund_socket *s, char error[static STUND_ERROR_MAX])
{
	struct addr *a = &place->at[role];
	int fd;

	s->worker = w;
	s->place = place;
	s->role = (enum stunsrv_role)role;
	if (a->len == 0 || place->tls)
		return 0;
	if ((fd = open_socket(w, a)) == -1)
		return failed(&w->env->conf, error, a, role);
	if ((s->udp = udp_new(w->loop, fd, serve_datagram, s)) != NULL) {
		check_buffer(w, s, fd);
		return 0;
	}
	close(fd);
	errno = ENOMEM;
	return failed(&w->env->conf, error, a, role);
}

static int
open_sockets(struct stund_worker *w, char error[static STUND_ERROR_MAX])
{
	struct stund_places *places = &w->env->places;

	for (size_t i = 0; i < places->n; i++)
		for (int role = 0; role < STUNSRV_ROLES; role++)
			if (open_role(w, &places->v[i], role,
				&w->sockets[i * STUNSRV_ROLES + (size_t)role],
				error) == -1)
				return -1;
	return 0;
}

/* ---- counting ---- */

void
worker_count(struct stund_worker *w, enum stunsrv_transport transport,
    const struct stun_addr *from, enum stunsrv_verdict verdict)
{
	metric_add(
	    &w->counts.verdicts[transport][!stun_addr_is_v4(from)][verdict], 1);
}

bool
worker_allow(struct stund_worker *w, const struct stund_source *from,
    const struct stunsrv_reply *reply)
{
	const struct stund_policy *policy =
	    atomic_load_explicit(&w->env->policy, memory_order_acquire);
	enum stund_bucket empty;

	if (reply->gated)
		metric_add(reply->cookie ? &w->counts.gated_cookie
					 : &w->counts.gated_bare,
		    1);
	empty = limits_take(&w->env->limits, policy, from,
	    reply->gated && !reply->cookie, loop_now(w->loop));
	if (empty == BUCKETS)
		return true;
	metric_add(&w->counts.limited[empty], 1);
	return false;
}

/* ---- life ---- */

static struct stund_worker *
worker_alloc(struct stund *env, unsigned i, struct loop *loop)
{
	struct stund_worker *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);

	if (w == NULL || loop == NULL) {
		free(w);
		loop_free(loop);
		return NULL;
	}
	memset(w, 0, sizeof(*w));
	w->env = env;
	w->index = i;
	w->loop = loop;
	return w;
}

struct stund_worker *
worker_new(struct stund *env, unsigned i, char error[static STUND_ERROR_MAX])
{
	struct stund_worker *w = worker_alloc(env, i, loop_new_small());
	size_t sockets = env->places.n * STUNSRV_ROLES;

	snprintf(error, STUND_ERROR_MAX, "out of memory");
	if (w == NULL)
		return NULL;
	w->sockets = calloc(sockets, sizeof(*w->sockets));
	w->later = later_new(
	    WAITING_MAX / env->n_workers, sizeof(struct stund_answer));
	if (w->sockets == NULL || w->later == NULL ||
	    (w->timer = timer_new(w->loop, serve_due, w)) == NULL ||
	    open_sockets(w, error) == -1) {
		worker_free(w);
		return NULL;
	}
	return w;
}

struct stund_worker *
worker_new_for_streams(
    struct stund *env, unsigned i, char error[static STUND_ERROR_MAX])
{
	struct stund_worker *w = worker_alloc(env, i, loop_new());

	snprintf(error, STUND_ERROR_MAX, "out of memory");
	if (w == NULL)
		return NULL;
	w->streams = streams_new(w, error, STUND_ERROR_MAX);
	if (w->streams == NULL) {
		worker_free(w);
		return NULL;
	}
	return w;
}

static void *
worker_main(void *arg)
{
	struct stund_worker *w = arg;

	loop_run(w->loop);
	return NULL;
}

int
worker_start(struct stund_worker *w)
{
	sigset_t all, old;
	int r;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = r;
	w->running = r == 0;
	return r == 0 ? 0 : -1;
}

void
worker_stop(struct stund_worker *w)
{
	if (!w->running)
		return;
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
	w->running = false;
}

/* What waits is dropped: nobody can be answered any more. */
void
worker_free(struct stund_worker *w)
{
	if (w == NULL)
		return;
	streams_free(w->streams);
	for (size_t i = 0;
	     w->sockets != NULL && i < w->env->places.n * STUNSRV_ROLES; i++)
		udp_free(w->sockets[i].udp);
	free(w->sockets);
	timer_free(w->timer);
	later_free(w->later);
	loop_free(w->loop);
	free(w);
}

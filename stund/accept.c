/*
 * accept: the TCP and TLS listeners of a worker, and how many connections
 * there may be. Reads nothing from them.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/io.h"
#include "run/log.h"
#include "run/loop.h"
#include "stund/stream.h"
#include "stund/stund.h"

#define SECOND_US INT64_C(1000000)

/* Connections accepted in one wake-up: requests wait meanwhile. */
#define ACCEPT_BATCH 16

/* ---- how many ---- */

/* A quarter of the open files is left for all else. */
void
streams_limit(
    struct stream_shared *shared, const struct stund_conf *c, long files)
{
	int64_t max = c->tcp_connections;

	if (max > files - files / 4) {
		log_info("at most %ld TCP connections, not %lld: the limit of "
			 "open files is %ld",
		    files - files / 4, (long long)max, files);
		max = files - files / 4;
	}
	shared->max = (int32_t)max;
	shared->source_max = (int32_t)c->tcp_source_connections;
	shared->idle_us = c->tcp_idle_us;
}

static _Atomic int32_t *
count_of(const struct streams *all, const struct stun_addr *from)
{
	struct stund *env = all->worker->env;

	return &env->streams
		    .of[limits_hash(&env->limits, from) % STREAM_COUNTS];
}

/* Adds one unless there are max already. */
static bool
count_up(_Atomic int32_t *count, int32_t max)
{
	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
		return true;
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
	return false;
}

/* This worker's connection that has been silent for the longest time. */
static bool
make_room(struct streams *all)
{
	struct stream *s = TAILQ_FIRST(&all->open);

	if (s == NULL ||
	    mono_diff_us(s->used, loop_now(all->worker->loop)) < STREAM_ROOM_US)
		return false;
	stream_close(s, STREAM_DISPLACED);
	return true;
}

bool
streams_enter(
    struct streams *all, const struct stun_addr *from, enum stream_close *why)
{
	struct stream_shared *shared = &all->worker->env->streams;

	*why = STREAM_SOURCE_FULL;
	if (!count_up(count_of(all, from), shared->source_max))
		return false;
	if (count_up(&shared->all, shared->max) ||
	    (make_room(all) && count_up(&shared->all, shared->max)))
		return true;
	*why = STREAM_FULL;
	atomic_fetch_sub_explicit(count_of(all, from), 1, memory_order_relaxed);
	return false;
}

void
streams_leave(struct streams *all, const struct stun_addr *from)
{
	atomic_fetch_sub_explicit(
	    &all->worker->env->streams.all, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(count_of(all, from), 1, memory_order_relaxed);
}

/* ---- accepting ---- */

static void
listen_on(struct streams *all, bool on)
{
	for (size_t i = 0; i < all->n_listeners; i++)
		watch_on(all->listeners[i].watch, on);
}

static void
resume(void *arg)
{
	listen_on(arg, true);
}

/* Out of descriptors or memory: leave connections in the backlog for a
 * second, instead of being woken by them all the time. */
static void
pause_accepting(struct streams *all, const char *why)
{
	struct mono now = loop_now(all->worker->loop);

	metric_add(&all->counts.pauses, 1);
	if (log_allowed(&all->log_pause, now) > 0)
		log_warnx("worker %u: accepting TCP pauses: %s",
		    all->worker->index, why);
	listen_on(all, false);
	timer_set(all->resume, mono_add_us(now, SECOND_US));
}

/* False if there is no more to accept now. */
static bool
accept_one(struct listener *l)
{
	struct addr from = {.len = sizeof(from.u)};
	struct stun_addr ip;
	enum stream_close why;
	int fd, error;

	fd =
	    accept4(l->fd, &from.u.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	error = fd == -1 ? errno : 0;
	if (error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM)
		pause_accepting(l->streams, strerror(error));
	if (fd == -1)
		return error == ECONNABORTED || error == EINTR;
	addr_ip16(&from, ip.ip);
	ip.port = addr_port(&from);
	if (streams_enter(l->streams, &ip, &why)) {
		stream_open(l, fd, &from);
		return true;
	}
	metric_add(&l->streams->counts.closed[why], 1);
	close(fd);
	return true;
}

static void
on_readable(void *arg)
{
	for (int i = 0; i < ACCEPT_BATCH; i++)
		if (!accept_one(arg))
			break;
}

static void
on_bury(void *arg)
{
	struct streams *all = arg;
	struct stream *s;

	while ((s = TAILQ_FIRST(&all->dead)) != NULL) {
		TAILQ_REMOVE(&all->dead, s, link);
		stream_free(s);
	}
}

/* ---- life ---- */

static int
failed(const struct listener *l, const struct addr *a, char *error, size_t cap)
{
	char text[ADDR_TEXT_MAX];
	const char *hint = "";

	if (errno == EADDRINUSE)
		hint = "; \"ss -tlnp\" shows by whom";
	else if (errno == EACCES)
		hint = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
	else if (errno == EADDRNOTAVAIL)
		hint = "; it must be an address of this host";
	snprintf(error, cap, "%s %s: %s%s",
	    l->transport == STUNSRV_TLS ? "tls-listen" : "tcp",
	    addr_text(a, text), strerror(errno), hint);
	return -1;
}

/* As for UDP, a port that somebody else has is an error, also if he would
 * share it; and without IPv6 :PORT is IPv4 alone. */
static int
listen_first(struct addr *a, bool share)
{
	uint16_t port = addr_port(a);
	int fd;

	if (share && addr_tcp_is_free(a) == -1 && errno != EAFNOSUPPORT)
		return -1;
	fd = addr_listen_tcp(a, share);
	if (fd != -1 || errno != EAFNOSUPPORT || !addr_is_any(a))
		return fd;
	addr_parse(a, "0.0.0.0", port);
	return addr_listen_tcp(a, share);
}

static int
add_listener(struct streams *all, struct stund_place *place, int role,
    char *error, size_t cap)
{
	struct listener *l = &all->listeners[all->n_listeners];
	bool share = all->worker->env->n_workers > 1;
	struct addr *a = &place->at[role];

	l->streams = all;
	l->place = place;
	l->role = (enum stunsrv_role)role;
	l->transport = place->tls ? STUNSRV_TLS : STUNSRV_TCP;
	l->fd = all->worker->index == 0 ? listen_first(a, share)
					: addr_listen_tcp(a, share);
	if (l->fd == -1)
		return failed(l, a, error, cap);
	all->n_listeners++;
	l->watch =
	    watch_new(all->worker->loop, l->fd, WATCH_READ, on_readable, l);
	if (l->watch == NULL)
		return failed(l, a, error, cap);
	watch_on(l->watch, true);
	return 0;
}

static int
add_listeners(struct streams *all, char *error, size_t cap)
{
	struct stund *env = all->worker->env;
	struct stund_place *place = env->places.v;

	for (size_t i = 0; i < env->places.n; i++, place++)
		for (int role = 0; role < STUNSRV_ROLES; role++)
			if (place->at[role].len > 0 &&
			    (place->tls || env->conf.tcp) &&
			    add_listener(all, place, role, error, cap) == -1)
				return -1;
	return 0;
}

struct streams *
streams_new(struct stund_worker *w, char *error, size_t cap)
{
	struct streams *all = calloc(1, sizeof(*all));
	size_t n = w->env->places.n * STUNSRV_ROLES;

	snprintf(error, cap, "out of memory");
	if (all == NULL)
		return NULL;
	all->worker = w;
	TAILQ_INIT(&all->open);
	TAILQ_INIT(&all->dead);
	all->log_pause.limit = limit_new(60 * SECOND_US, 1);
	all->listeners = calloc(n + 1, sizeof(*all->listeners));
	all->io = io_env_new(w->loop);
	all->resume = timer_new(w->loop, resume, all);
	all->bury = timer_new(w->loop, on_bury, all);
	if (all->listeners == NULL || all->io == NULL || all->resume == NULL ||
	    all->bury == NULL || add_listeners(all, error, cap) == -1) {
		streams_free(all);
		return NULL;
	}
	return all;
}

void
streams_free(struct streams *all)
{
	struct stream *s;

	if (all == NULL)
		return;
	while ((s = TAILQ_FIRST(&all->open)) != NULL)
		stream_close(s, STREAM_STOPPED);
	on_bury(all);
	for (size_t i = 0; i < all->n_listeners; i++) {
		watch_free(all->listeners[i].watch);
		close(all->listeners[i].fd);
	}
	free(all->listeners);
	timer_free(all->resume);
	timer_free(all->bury);
	io_env_free(all->io);
	free(all);
}

/*
 * stream: one connection over TCP or TLS, from accept to close: cuts messages
 * out of its bytes, has each judged by pure/stunsrv, and writes the answers in
 * order. Sends only through io, and is closed only by stream_close.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <unistd.h>

#include "run/io.h"
#include "run/log.h"
#include "run/loop.h"
#include "stund/stream.h"
#include "stund/stund.h"

/* TCP keepalive: a client that is gone without a word is found out. */
#define KEEPALIVE_US	INT64_C(60000000)
#define USER_TIMEOUT_US INT64_C(30000000)

const char *
stream_close_name(enum stream_close why)
{
	static const char *const names[STREAM_CLOSES] = {
	    [STREAM_EOF] = "eof",
	    [STREAM_RESET] = "reset",
	    [STREAM_TLS_FAILED] = "tls",
	    [STREAM_NOT_STUN] = "not_stun",
	    [STREAM_REFUSED] = "refused",
	    [STREAM_LIMITED] = "limited",
	    [STREAM_TIMEOUT] = "timeout",
	    [STREAM_IDLE] = "idle",
	    [STREAM_SLOW] = "slow",
	    [STREAM_DISPLACED] = "displaced",
	    [STREAM_FULL] = "full",
	    [STREAM_SOURCE_FULL] = "source_full",
	    [STREAM_MEMORY] = "memory",
	    [STREAM_STOPPED] = "stopped",
	};

	return names[why];
}

static struct mono
now_of(const struct stream *s)
{
	return loop_now(s->streams->worker->loop);
}

/* ---- time ---- */

static struct mono
idle_end(const struct stream *s)
{
	int64_t us = s->streams->worker->env->streams.idle_us;

	return us == 0 ? MONO_NEVER : mono_add_us(s->used, us);
}

static void
schedule(struct stream *s)
{
	struct mono stalled = io_stalled_since(s->io);
	struct mono at = s->deadline;

	if (!mono_is_set(at) && !mono_is_set(s->later_at))
		at = idle_end(s);
	at = mono_earlier(at, s->later_at);
	if (mono_is_set(stalled))
		at = mono_earlier(at, mono_add_us(stalled, STREAM_STALLED_US));
	timer_set(s->timer, at);
}

static void
set_state(struct stream *s, enum stream_state state, int64_t timeout_us)
{
	s->state = state;
	s->deadline =
	    timeout_us == 0 ? MONO_NEVER : mono_add_us(now_of(s), timeout_us);
	schedule(s);
}

static void answer_late(struct stream *s);

static void
on_timer(void *arg)
{
	struct stream *s = arg;
	struct mono stalled = io_stalled_since(s->io), now = now_of(s);

	if (mono_reached(s->later_at, now))
		answer_late(s);
	else if (mono_reached(s->deadline, now))
		stream_close(
		    s, s->state == STREAM_DRAINS ? s->why : STREAM_TIMEOUT);
	else if (mono_is_set(stalled) &&
	    mono_diff_us(stalled, now) >= STREAM_STALLED_US)
		stream_close(s, STREAM_SLOW);
	else if (!mono_is_set(s->deadline) && !mono_is_set(s->later_at) &&
	    mono_reached(idle_end(s), now))
		stream_close(s, STREAM_IDLE);
	else
		schedule(s);
}

/* ---- messages ---- */

/* No more answers. What the peer still sends is read and thrown away: if we
 * closed before that, the kernel would reset the connection, and answers that
 * are on their way would be lost. */
static void
finish(struct stream *s, enum stream_close why)
{
	if (s->state == STREAM_DEAD)
		return;
	s->why = why;
	io_shutdown(s->io);
	if (s->state != STREAM_DEAD)
		set_state(s, STREAM_DRAINS, STREAM_DRAIN_US);
}

static void
flush(struct stream *s, size_t n)
{
	if (s->state != STREAM_OPEN)
		return;
	io_write(s->io, s->streams->out, n);
	if (s->state == STREAM_OPEN && io_pending(s->io) > STREAM_PENDING_MAX)
		stream_close(s, STREAM_SLOW);
}

/* Verdicts after which there is nothing to wait for. */
static bool
is_hopeless(enum stunsrv_verdict v, enum stream_close *why)
{
	*why = STREAM_REFUSED;
	if (v == STUNSRV_NOT_STUN)
		*why = STREAM_NOT_STUN;
	else if (v == STUNSRV_LIMITED)
		*why = STREAM_LIMITED;
	return v == STUNSRV_NOT_STUN || v == STUNSRV_LIMITED ||
	    v == STUNSRV_BAD_SOURCE || v == STUNSRV_DENIED_SOURCE;
}

/* ---- answers ---- */

static struct stunsrv_arrival
arrival_of(const struct stream *s)
{
	const struct listener *l = s->listener;

	return (struct stunsrv_arrival){.transport = l->transport,
	    .role = l->role,
	    .rules = serve_rules(s->streams->worker->env, l->place),
	    .from = &s->from,
	    .to = &s->to,
	    .now = now_of(s)};
}

/* Who asks for that wants to know for how long a connection may be silent, so
 * it is: no keepalive from here any more. False: one waits already. */
static bool
put_off(struct stream *s, const struct stunsrv_reply *reply)
{
	struct stund_counts *counts = &s->streams->worker->counts;

	if (mono_is_set(s->later_at))
		return false;
	s->later = *reply;
	s->later_at = mono_add_ms(now_of(s), reply->delay_ms);
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &(int){0}, sizeof(int));
	metric_add(&counts->delayed, 1);
	metric_add(&counts->waiting, 1);
	return true;
}

static void
forget_late(struct stream *s)
{
	if (mono_is_set(s->later_at))
		metric_add(&s->streams->worker->counts.waiting, -1);
	s->later_at = MONO_NEVER;
}

static void
answer_late(struct stream *s)
{
	const struct stunsrv_arrival a = arrival_of(s);

	forget_late(s);
	s->used = a.now;
	flush(s,
	    stunsrv_write(
		&s->listener->place->site, &a, &s->later, s->streams->out));
	if (s->state != STREAM_DEAD)
		schedule(s);
}

/* Writes the answer to one message to out; returns its length. */
static size_t
answer(struct stream *s, const uint8_t *p, size_t n, uint8_t *out,
    enum stunsrv_verdict *v)
{
	const struct listener *l = s->listener;
	struct stund_worker *w = s->streams->worker;
	const struct stunsrv_site *site = &l->place->site;
	const struct stunsrv_arrival a = arrival_of(s);
	const struct stund_source source =
	    limits_source(&w->env->limits, &s->from);
	struct stunsrv_reply reply;
	size_t len = 0;

	*v = stunsrv_judge(site, &a, p, n, &reply);
	if (stunsrv_is_answered(*v)) {
		if (!worker_allow(w, &source, &reply))
			*v = STUNSRV_LIMITED;
		else if (reply.delay_ms == 0 || !put_off(s, &reply)) {
			if (reply.delay_ms > 0)
				stunsrv_refuse(&a, &reply, STUNSRV_BUSY);
			len = stunsrv_write(site, &a, &reply, out);
			*v = reply.verdict;
		}
	}
	worker_count(w, l->transport, &s->from, *v);
	return len;
}

/* Answers what is whole of the n bytes; returns how many those are, and in
 * *want how many a message takes that is not whole yet. */
static size_t
take(struct stream *s, const uint8_t *p, size_t n, size_t *want)
{
	enum stun_frame frame = STUN_FRAME_PART;
	size_t used = 0, filled = 0, len;
	enum stunsrv_verdict v;
	enum stream_close why;
	uint8_t *out = s->streams->out;

	while (s->state == STREAM_OPEN &&
	    (frame = stun_frame(p + used, n - used, STREAM_MESSAGE_MAX,
		 &len)) == STUN_FRAME_WHOLE) {
		filled += answer(s, p + used, len, out + filled, &v);
		used += len;
		if (is_hopeless(v, &why)) {
			flush(s, filled);
			finish(s, why);
			return n;
		}
		if (filled > STREAM_OUT_MAX - STUNSRV_ANSWER_MAX) {
			flush(s, filled);
			filled = 0;
		}
	}
	flush(s, filled);
	if (frame == STUN_FRAME_BAD)
		finish(s, STREAM_NOT_STUN);
	*want = len;
	return s->state == STREAM_OPEN ? used : n;
}

/* A message has ended: the connection is in use, and the time of the next one
 * begins to count when its first byte is there. */
static void
note_use(struct stream *s, bool ended, bool begun)
{
	struct stream_list *open = &s->streams->open;

	if (s->state != STREAM_OPEN)
		return;
	if (ended) {
		s->used = now_of(s);
		s->deadline = MONO_NEVER;
		TAILQ_REMOVE(open, s, link);
		TAILQ_INSERT_TAIL(open, s, link);
	}
	if (begun && !mono_is_set(s->deadline))
		s->deadline = mono_add_us(now_of(s), STREAM_MESSAGE_US);
	schedule(s);
}

/* ---- events of io ---- */

static size_t
on_data(void *arg, uint8_t *p, size_t n, size_t *want)
{
	struct stream *s = arg;
	size_t used;

	if (s->state != STREAM_OPEN)
		return n;
	used = take(s, p, n, want);
	note_use(s, used > 0, used < n);
	return used;
}

static void
on_ready(void *arg)
{
	set_state(arg, STREAM_OPEN, 0);
}

static void
on_drained(void *arg)
{
	struct stream *s = arg;

	if (s->state != STREAM_DEAD)
		schedule(s);
}

static void
on_end(void *arg, enum io_end why, const char *detail)
{
	static const enum stream_close whys[] = {
	    [IO_END_EOF] = STREAM_EOF,
	    [IO_END_READ] = STREAM_RESET,
	    [IO_END_WRITE] = STREAM_RESET,
	    [IO_END_TLS] = STREAM_TLS_FAILED,
	    [IO_END_MEMORY] = STREAM_MEMORY,
	};
	struct stream *s = arg;

	(void)detail;
	stream_close(s, s->state == STREAM_DRAINS ? s->why : whys[why]);
}

static const struct io_ops ops = {on_data, on_ready, on_drained, on_end};

/* ---- life ---- */

static void
local_address(int fd, struct stun_addr *to)
{
	struct addr a = {.len = sizeof(a.u)};

	if (getsockname(fd, &a.u.sa, &a.len) == -1)
		return;
	addr_ip16(&a, to->ip);
	to->port = addr_port(&a);
}

void
stream_open(const struct listener *l, int fd, const struct addr *from)
{
	struct streams *all = l->streams;
	struct tls_context *tls = l->transport == STUNSRV_TLS
	    ? atomic_load(&all->worker->env->tls)
	    : NULL;
	struct stream *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->timer = timer_new(all->worker->loop, on_timer, s);
	if (s != NULL && s->timer != NULL)
		s->io = io_new(all->io, fd, tls, &ops, s);
	if (s == NULL || s->io == NULL) {
		struct stun_addr a = {.port = addr_port(from)};

		addr_ip16(from, a.ip);
		streams_leave(all, &a);
		if (s != NULL)
			timer_free(s->timer);
		free(s);
		close(fd);
		metric_add(&all->counts.closed[STREAM_MEMORY], 1);
		return;
	}
	io_set_tcp_options(fd, KEEPALIVE_US, USER_TIMEOUT_US);
	s->fd = fd;
	s->streams = all;
	s->listener = l;
	addr_ip16(from, s->from.ip);
	s->from.port = addr_port(from);
	local_address(fd, &s->to);
	s->used = now_of(s);
	TAILQ_INSERT_TAIL(&all->open, s, link);
	metric_add(&all->counts.accepted[l->transport], 1);
	metric_add(&all->counts.connected[l->transport], 1);
	if (tls != NULL)
		set_state(s, STREAM_SHAKES, STREAM_HANDSHAKE_US);
	else
		set_state(s, STREAM_OPEN, 0);
}

void
stream_close(struct stream *s, enum stream_close why)
{
	struct streams *all = s->streams;

	if (s->state == STREAM_DEAD)
		return;
	s->state = STREAM_DEAD;
	forget_late(s);
	metric_add(&all->counts.closed[why], 1);
	metric_add(&all->counts.connected[s->listener->transport], -1);
	streams_leave(all, &s->from);
	timer_set(s->timer, MONO_NEVER);
	io_close(s->io);
	TAILQ_REMOVE(&all->open, s, link);
	TAILQ_INSERT_TAIL(&all->dead, s, link);
	/* Not inside a callback of its io. */
	timer_set(all->bury, now_of(s));
}

void
stream_free(struct stream *s)
{
	io_free(s->io);
	timer_free(s->timer);
	free(s);
}

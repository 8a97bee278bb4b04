/*
 * loop: libevent behind a small face. Owns the event base, the clock of the
 * thread and the eventfd by which other threads stop it.
 */
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "run/loop.h"

struct signal_handler {
	struct event ev;
	int fd;
	loop_fn *fn;
	void *arg;
	struct signal_handler *next;
};

struct loop {
	struct event_base *base;
	struct event stop_ev;
	int stop_fd;
	atomic_bool stopping;
	struct mono now; /* never, until the first question of a turn */
	loop_fn *turn_fn;
	void *turn_arg;
	loop_watch_fn *watch_fn;
	void *watch_arg;
	struct signal_handler *signals;
};

struct timer {
	struct event ev;
	struct loop *loop;
	loop_fn *fn;
	void *arg;
};

struct watch {
	struct event ev;
	struct loop *told; /* loop_on_watch's was; or NULL */
	int fd;
	loop_fn *fn;
	void *arg;
	bool on;
};

static void
stop_readable(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	(void)arg;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
}

static struct loop *
loop_create(bool small)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct event_config *conf = event_config_new();

	if (l == NULL || conf == NULL)
		goto fail;
	/* The base is used by one thread only: no locks wanted. */
	event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK);
	if (small)
		event_config_avoid_method(conf, "epoll");
	l->base = event_base_new_with_config(conf);
	l->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->base == NULL || l->stop_fd == -1)
		goto fail;
	event_config_free(conf);
	event_assign(&l->stop_ev, l->base, l->stop_fd, EV_READ | EV_PERSIST,
	    stop_readable, l);
	event_add(&l->stop_ev, NULL);
	return l;
fail:
	if (conf != NULL)
		event_config_free(conf);
	if (l != NULL && l->base != NULL)
		event_base_free(l->base);
	free(l);
	return NULL;
}

struct loop *
loop_new(void)
{
	return loop_create(false);
}

struct loop *
loop_new_small(void)
{
	return loop_create(true);
}

void
loop_free(struct loop *l)
{
	struct signal_handler *s;

	if (l == NULL)
		return;
	while ((s = l->signals) != NULL) {
		l->signals = s->next;
		event_del(&s->ev);
		close(s->fd);
		free(s);
	}
	event_del(&l->stop_ev);
	event_base_free(l->base);
	close(l->stop_fd);
	free(l);
}

void
loop_run(struct loop *l)
{
	while (!atomic_load_explicit(&l->stopping, memory_order_acquire)) {
		l->now = MONO_NEVER;
		if (event_base_loop(l->base, EVLOOP_ONCE) != 0)
			break;
		if (l->turn_fn != NULL)
			l->turn_fn(l->turn_arg);
	}
}

void
loop_stop(struct loop *l)
{
	uint64_t one = 1;

	atomic_store_explicit(&l->stopping, true, memory_order_release);
	/* A full counter is readable already: nothing is lost. */
	if (write(l->stop_fd, &one, sizeof(one)) < 0)
		return;
}

void
loop_on_turn(struct loop *l, loop_fn *fn, void *arg)
{
	l->turn_fn = fn;
	l->turn_arg = arg;
}

void
loop_on_watch(struct loop *l, loop_watch_fn *fn, void *arg)
{
	l->watch_fn = fn;
	l->watch_arg = arg;
}

struct mono
loop_now(struct loop *l)
{
	struct timespec ts;

	if (!mono_is_set(l->now)) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		l->now.us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	}
	return l->now;
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

static void
signal_readable(evutil_socket_t fd, short what, void *arg)
{
	struct signal_handler *s = arg;
	struct signalfd_siginfo info;

	(void)what;
	if (read(fd, &info, sizeof(info)) == sizeof(info))
		s->fn(s->arg);
}

/*
 * The signal is blocked, and read from a descriptor: nothing ever runs in
 * signal context, and one that comes before the loop runs waits for it. It
 * stays blocked, so one that comes while the program ends changes nothing.
 */
static int
signal_open(int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int
loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct signal_handler *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -1;
	s->fn = fn;
	s->arg = arg;
	s->fd = signal_open(signo);
	if (s->fd == -1) {
		free(s);
		return -1;
	}
	event_assign(
	    &s->ev, l->base, s->fd, EV_READ | EV_PERSIST, signal_readable, s);
	if (event_add(&s->ev, NULL) == -1) {
		close(s->fd);
		free(s);
		return -1;
	}
	s->next = l->signals;
	l->signals = s;
	return 0;
}

static void
timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

struct timer *
timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	event_assign(&t->ev, l->base, -1, 0, timer_fired, t);
	return t;
}

void
timer_set(struct timer *t, struct mono deadline)
{
	int64_t us;
	struct timeval tv;

	if (!mono_is_set(deadline)) {
		event_del(&t->ev);
		return;
	}
	us = mono_diff_us(loop_now(t->loop), deadline);
	if (us < 0)
		us = 0;
	tv.tv_sec = us / 1000000;
	tv.tv_usec = us % 1000000;
	event_add(&t->ev, &tv);
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	event_del(&t->ev);
	free(t);
}

static void
watch_fired(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	w->fn(w->arg);
}

struct watch *
watch_new(struct loop *l, int fd, enum watch_kind kind, loop_fn *fn, void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->told = l->watch_fn == NULL ? NULL : l;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	event_assign(&w->ev, l->base, fd,
	    (short)((kind == WATCH_READ ? EV_READ : EV_WRITE) | EV_PERSIST),
	    watch_fired, w);
	if (l->watch_fn != NULL)
		l->watch_fn(l->watch_arg, fd, true);
	return w;
}

void
watch_on(struct watch *w, bool on)
{
	if (w->on == on)
		return;
	w->on = on;
	if (on)
		event_add(&w->ev, NULL);
	else
		event_del(&w->ev);
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	watch_on(w, false);
	if (w->told != NULL && w->told->watch_fn != NULL)
		w->told->watch_fn(w->told->watch_arg, w->fd, false);
	free(w);
}

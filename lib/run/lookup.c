/* lookup: a host's addresses, by a thread for each name. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/lookup.h"

struct lookup_work {
	char host[LOOKUP_HOST_MAX];
	int done[2]; /* a pipe: closed at the writing end when it is over */
	pthread_t thread;
	atomic_bool left; /* by the thread or by who asked; the second frees */
	int error;
	struct addrinfo *found;
};

static void
work_free(struct lookup_work *w)
{
	if (w->error == 0)
		freeaddrinfo(w->found);
	free(w);
}

static void *
resolve(void *arg)
{
	struct lookup_work *w = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

	w->error = getaddrinfo(w->host, NULL, &hints, &w->found);
	close(w->done[1]);
	if (atomic_exchange(&w->left, true))
		work_free(w);
	return NULL;
}

static void
finish(struct lookup *l)
{
	watch_free(l->watch);
	timer_free(l->timer);
	l->watch = NULL;
	l->timer = NULL;
	l->took_us = mono_diff_us(l->begun, loop_now(l->loop));
	l->over = true;
}

static bool
is_known(const struct lookup *l, const struct addr *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (addr_same_ip(&l->found[i], a))
			return true;
	return false;
}

static void
take(struct lookup *l, const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
		struct addr a = {.len = i->ai_addrlen};

		if (l->n == LOOKUP_FOUND_MAX || i->ai_addrlen > sizeof(a.u) ||
		    (i->ai_family != AF_INET && i->ai_family != AF_INET6))
			continue;
		memcpy(&a.u, i->ai_addr, i->ai_addrlen);
		if (!is_known(l, &a))
			l->found[l->n++] = a;
	}
}

static void
on_done(void *arg)
{
	struct lookup *l = arg;
	struct lookup_work *w = l->work;

	finish(l);
	pthread_join(w->thread, NULL);
	close(w->done[0]);
	if (w->error == 0)
		take(l, w->found);
	else
		snprintf(l->why, sizeof(l->why), "%s", gai_strerror(w->error));
	l->nonexistent = w->error == EAI_NONAME || w->error == EAI_NODATA;
	work_free(w);
	l->work = NULL;
	l->done(l->arg);
}

static void
on_limit(void *arg)
{
	struct lookup *l = arg;

	snprintf(l->why, sizeof(l->why), "no answer in %.3g s",
	    (double)l->limit_us / 1e6);
	finish(l);
	lookup_clear(l);
	l->done(l->arg);
}

/* Runs the thread; NULL with errno. */
static struct lookup_work *
work_new(const char *host)
{
	struct lookup_work *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	snprintf(w->host, sizeof(w->host), "%s", host);
	if (pipe2(w->done, O_CLOEXEC) == -1) {
		free(w);
		return NULL;
	}
	errno = pthread_create(&w->thread, NULL, resolve, w);
	if (errno == 0)
		return w;
	close(w->done[0]);
	close(w->done[1]);
	free(w);
	return NULL;
}

void
lookup_start(struct lookup *l, struct loop *loop, const char *host,
    int64_t limit_us, loop_fn *done, void *arg)
{
	l->loop = loop;
	l->limit_us = limit_us;
	l->done = done;
	l->arg = arg;
	l->begun = loop_now(loop);
	l->work = work_new(host);
	if (l->work != NULL) {
		l->watch =
		    watch_new(loop, l->work->done[0], WATCH_READ, on_done, l);
		l->timer = timer_new(loop, on_limit, l);
	}
	if (l->watch == NULL || l->timer == NULL) {
		snprintf(l->why, sizeof(l->why), "%s", strerror(errno));
		finish(l);
		lookup_clear(l);
		return;
	}
	watch_on(l->watch, true);
	timer_set(l->timer, mono_add_us(l->begun, limit_us));
}

void
lookup_clear(struct lookup *l)
{
	watch_free(l->watch);
	timer_free(l->timer);
	l->watch = NULL;
	l->timer = NULL;
	if (l->work != NULL) {
		pthread_detach(l->work->thread);
		close(l->work->done[0]);
		if (atomic_exchange(&l->work->left, true))
			work_free(l->work);
		l->work = NULL;
	}
}

const struct addr *
lookup_first(const struct lookup *l, bool v6)
{
	for (size_t i = 0; i < l->n; i++)
		if (addr_is_v4(&l->found[i]) == !v6)
			return &l->found[i];
	return NULL;
}

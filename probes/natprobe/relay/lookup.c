/*
 * lookup: a host's addresses, within a limit. The system's resolver knows
 * none and cannot be stopped: it runs in a thread that is left behind if it
 * takes too long, with all that it writes to.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probes/natprobe/relay/relay.h"
#include "run/loop.h"

struct lookup_work {
	char host[RELAY_HOST_MAX];
	int done[2]; /* a pipe: closed at the writing end when it is over */
	pthread_t thread;
	int error;
	struct addrinfo *found;
};

static void *
resolve(void *arg)
{
	struct lookup_work *w = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

	w->error = getaddrinfo(w->host, NULL, &hints, &w->found);
	close(w->done[1]);
	return NULL;
}

static void
finish(struct relay_lookup *l)
{
	watch_free(l->watch);
	timer_free(l->timer);
	l->watch = NULL;
	l->timer = NULL;
	l->took_us = mono_diff_us(l->begun, loop_now(l->loop));
	l->over = true;
}

static void
take(struct relay_lookup *l, const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
		struct addr *a = &l->found[i->ai_family == AF_INET6];

		if (i->ai_addrlen > sizeof(a->u) ||
		    l->n_all == RELAY_LOOKUP_MAX)
			continue;
		memcpy(&l->all[l->n_all].u, i->ai_addr, i->ai_addrlen);
		l->all[l->n_all].len = i->ai_addrlen;
		if (a->len == 0)
			*a = l->all[l->n_all];
		l->n_all++;
	}
}

static void
on_done(void *arg)
{
	struct relay_lookup *l = arg;
	struct lookup_work *w = l->work;

	finish(l);
	pthread_join(w->thread, NULL);
	close(w->done[0]);
	if (w->error == 0)
		take(l, w->found);
	else
		snprintf(l->why, sizeof(l->why), "%s", gai_strerror(w->error));
	l->nonexistent = w->error == EAI_NONAME || w->error == EAI_NODATA;
	if (w->error == 0)
		freeaddrinfo(w->found);
	free(w);
	l->work = NULL;
	l->done(l->arg);
}

static void
on_limit(void *arg)
{
	struct relay_lookup *l = arg;

	snprintf(l->why, sizeof(l->why), "no answer in %d s",
	    (int)(RELAY_STEP_US / 1000000));
	finish(l);
	relay_lookup_clear(l);
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
	if (pipe(w->done) == -1) {
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
relay_lookup_start(struct relay_lookup *l, struct loop *loop, const char *host,
    loop_fn *done, void *arg)
{
	l->loop = loop;
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
		relay_lookup_clear(l);
		return;
	}
	watch_on(l->watch, true);
	timer_set(l->timer, mono_add_us(l->begun, RELAY_STEP_US));
}

void
relay_lookup_clear(struct relay_lookup *l)
{
	watch_free(l->watch);
	timer_free(l->timer);
	l->watch = NULL;
	l->timer = NULL;
	if (l->work != NULL) {
		pthread_detach(l->work->thread);
		close(l->work->done[0]);
		l->work = NULL;
	}
}

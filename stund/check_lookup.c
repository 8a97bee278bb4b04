/*
 * check_lookup: a host's addresses, within a limit. The system's resolver knows
 * none and cannot be stopped: it runs in a thread that is left behind if it
 * takes too long, with all that it writes to.
 */
#include <netdb.h>
#include <poll.h>
#include <pthread.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stund/check_edge.h"

enum { LIMIT_MS = 5000 };

struct lookup {
	char host[CHECK_HOST_MAX];
	bool literal;
	int done[2]; /* a pipe: closed at the writing end when it is over */
	int error;
	struct addrinfo *found;
};

static void *
resolve(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};

	if (l->literal)
		hints.ai_flags = AI_NUMERICHOST;
	l->error = getaddrinfo(l->host, NULL, &hints, &l->found);
	close(l->done[1]);
	return NULL;
}

static bool
is_done(const struct lookup *l)
{
	struct pollfd p = {.fd = l->done[0], .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, LIMIT_MS);
	while (n == -1 && errno == EINTR);
	return n == 1;
}

/* Waits for the thread; false: it still runs, and l belongs to it. */
static bool
wait_for(struct lookup *l, pthread_t thread)
{
	bool done = is_done(l);

	if (done) {
		pthread_join(thread, NULL);
		close(l->done[0]);
	} else
		pthread_detach(thread);
	return done;
}

struct addrinfo *
check_lookup(const struct check_uri *u, const char **why)
{
	struct lookup *l = calloc(1, sizeof(*l));
	struct addrinfo *found;
	pthread_t thread;

	*why = "no memory";
	if (l == NULL || pipe(l->done) == -1) {
		free(l);
		return NULL;
	}
	memcpy(l->host, u->host, sizeof(l->host));
	l->literal = u->literal;
	if (pthread_create(&thread, NULL, resolve, l) != 0) {
		close(l->done[0]);
		close(l->done[1]);
		free(l);
		return NULL;
	}
	if (!wait_for(l, thread)) {
		*why = "no answer in 5 s";
		return NULL;
	}
	found = l->error == 0 ? l->found : NULL;
	*why = gai_strerror(l->error);
	free(l);
	return found;
}

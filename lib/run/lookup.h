/*
 * lookup: the addresses of a host's name, within a limit and without blocking
 * the loop. The system's resolver knows no limit and cannot be stopped: it
 * runs in a thread that is left behind if it takes too long, with all that it
 * writes to. Needs -pthread.
 */
#ifndef RUN_LOOKUP_H
#define RUN_LOOKUP_H

#include "run/addr.h"
#include "run/loop.h"

#define LOOKUP_HOST_MAX	 256
#define LOOKUP_WHY_MAX	 256
#define LOOKUP_FOUND_MAX 16

struct lookup {
	/* In the resolver's order; ports are 0. What is more is left out. */
	struct addr found[LOOKUP_FOUND_MAX];
	size_t n;
	char why[LOOKUP_WHY_MAX]; /* "" unless it failed */
	bool nonexistent; /* it failed since there is no such name */
	bool over;
	int64_t took_us;
	/* lookup.c's own: */
	struct loop *loop;
	struct lookup_work *work;
	struct watch *watch;
	struct timer *timer;
	struct mono begun;
	int64_t limit_us;
	loop_fn *done;
	void *arg;
};

/*
 * Calls done once it is over, never inside this call. If it cannot even
 * begin, `over` and `why` are set at once and done is not called. l: zeroed,
 * stays where it is until lookup_clear.
 */
void lookup_start(struct lookup *l, struct loop *loop, const char *host,
    int64_t limit_us, loop_fn *done, void *arg);
/* Gives up one that is not over. What was found stays. */
void lookup_clear(struct lookup *l);

/* The first address of a family; NULL: none. Lent. */
const struct addr *lookup_first(const struct lookup *l, bool v6);

#endif

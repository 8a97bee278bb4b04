/*
 * coordsim: coordd without its edges: no socket, no disk, no clock. Everything
 * between a client's decoded request and the message pushed to it is coordd's
 * own; a test posts requests, sees each message, and moves the time.
 */
#ifndef TESTS_SIM_COORDSIM_H
#define TESTS_SIM_COORDSIM_H

#include <sys/queue.h>

#include "coordd/control.h"

/* What coordd_time() says when the simulated clock stands at zero. */
#define COORDSIM_EPOCH INT64_C(1800000000)

/* A request of a client. Behind control.h it is coordd's to answer. */
struct request {
	TAILQ_ENTRY(request) entry;
	struct coordsim *sim;
	struct key machine;
	struct text body;
	const struct request_ops *ops;
	void *ops_arg;

	int status; /* of the answer; 0: none yet */
	struct text answer; /* of one that came as a whole */
	bool ending; /* coordd has ended it */
	bool dead; /* the connection is gone */
	struct mono over; /* since one of these */
	bool told; /* coordd was told that it is over */

	bool slow; /* does not take what is sent; see coordsim_taken */
	bool choked; /* the next message is too much: the connection ends */
	bool held; /* by the test: not to be freed yet */
	uint64_t node; /* the test's: whose it is */
	void *mine; /* the test's */
};

TAILQ_HEAD(coordsim_requests, request);

/* Which calls of the store fail. */
enum coordsim_fault { FAULT_BEGIN = 1, FAULT_PUT = 2, FAULT_COMMIT = 4 };

struct coordsim {
	struct coordd c;
	struct coordd_conf conf;
	struct coordsim_requests requests;
	struct store *store;
	unsigned faults; /* set and cleared by the test */
	struct timer *tick;
	struct mono ticked; /* last */
	/* A message of a stream, with its length in front, as it is pushed. */
	void (*on_message)(
	    void *arg, struct request *r, const uint8_t *bytes, size_t n);
	/* Once a second, after coordd's own work. */
	void (*on_tick)(void *arg);
	void *arg;
};

/* Starts it empty; conf is set, but for what must not be NULL. */
void coordsim_begin(struct coordsim *s);
void coordsim_end(struct coordsim *s);
/* As if coordd was stopped and started: every stream is gone. */
void coordsim_restart(struct coordsim *s);

/* Posts a body to /machine/register or /machine/map. The request is valid
 * until the next coordsim_run, or for as long as it is held. */
struct request *coordsim_post(struct coordsim *s, const struct key *machine,
    const char *path, const char *json);
/* The client goes away. */
void coordsim_hang_up(struct request *r);
/* Is something still to come on it? */
bool coordsim_is_open(const struct request *r);

/* Moves the clock on, timer by timer. */
void coordsim_run(struct coordsim *s, int64_t us);

/* True if the store holds the node as it is: what an administrator may have
 * set, and what changes often. */
bool coordsim_is_stored(const struct coordsim *s, const struct node *n);
/* How many nodes the store holds. */
size_t coordsim_stored(const struct coordsim *s);

#endif

/*
 * fleet: robots that are clients of a simulated coordinator, and the checks
 * on all that they are told: each message when it is pushed, and the whole
 * view of everyone once it is quiet.
 */
#ifndef TESTS_SIM_FLEET_H
#define TESTS_SIM_FLEET_H

#include "tests/sim/coordsim.h"
#include "tests/sim/maptruth.h"
#include "tests/sim/mapview.h"

#define FLEET_MAX 64
#define IDS_MAX	  8192

/* What a stream's client knows of it. */
struct fleet_stream {
	struct request *request;
	struct mapview view;
	uint64_t node;
	bool plain, once, keep_alive;
	unsigned deltas, keep_alives;
	struct mono opened, heard, delta; /* last */
};

struct robot {
	struct key machine, node_key;
	struct fleet_stream *streams[4]; /* the last opened is [0] */
};

/* Of a node, as others ought to be told. */
struct presence {
	struct fleet_stream *stream;
	bool online;
	struct mono away;
	int64_t last_seen; /* 0: it had no stream yet */
};

struct fleet {
	struct coordsim sim;
	struct robot robots[FLEET_MAX];
	struct presence presence[IDS_MAX];
	struct maptruth *truth; /* NULL: to be made */
	uint64_t version; /* of the truth */
	uint64_t stored[IDS_MAX]; /* the version that was seen to be */
	bool failed, unsaved; /* the store did, since the last two ticks */
	uint64_t faults, messages;
	const char *name; /* of the case, for faults */
	char doing[200]; /* last, for faults */
};

/* conf of f->sim is set. */
void fleet_begin(struct fleet *f, const char *name);
/* True if there was no fault. */
bool fleet_end(struct fleet *f);
void fleet_fault(struct fleet *f, const char *what, uint64_t who, uint64_t of,
    const char *got, const char *want);
/* Something that the truth depends on is another now. */
void fleet_changed(struct fleet *f);

struct node *fleet_node(struct fleet *f, const struct robot *r);

/* Posts a RegisterRequest; more: members, ",..." or "". True if the robot is
 * let in. */
bool fleet_join(struct fleet *f, struct robot *r, const char *auth_key,
    const char *hostinfo, const char *more);
/* Posts an update; members: ",..." True if it was taken. */
bool fleet_update(struct fleet *f, struct robot *r, const char *members);
/* Opens a stream of maps; NULL if that is refused. */
struct fleet_stream *fleet_open(
    struct fleet *f, struct robot *r, bool plain, bool once);
void fleet_close(struct fleet *f, struct fleet_stream *s);
/* Its current stream, if it is open. */
struct fleet_stream *fleet_current(const struct robot *r);
void fleet_restart(struct fleet *f);

/* Makes the store fail (coordsim_fault), or work again. */
void fleet_fail_store(struct fleet *f, unsigned faults);

/* Lets time go by. */
void fleet_run(struct fleet *f, int64_t us);
/* Everything that was changed must be told within 50 ms: waits for that, and
 * compares all views with the truth. */
void fleet_check(struct fleet *f);

/* An auth key for the user; secret lives until the next call. */
const char *fleet_key(struct fleet *f, struct user *u, bool reusable,
    bool ephemeral, const char *tag);

#endif

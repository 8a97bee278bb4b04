/*
 * replay_tcp: from the segments of a capture to what tcp/ had been told in the
 * run, of which its judge makes the verdicts. PURE.
 *
 * The connections are planned by the code that planned them in the run
 * (tcp/plan.c), and wait for their ends by its clock; but when one is made, is
 * connected, is told something or ends, the packets say. Which one a SYN
 * begins, the notes say.
 */
#ifndef NATPROBE_REPLAY_TCP_H
#define NATPROBE_REPLAY_TCP_H

#include "probes/natprobe/evidence/frame.h"
#include "probes/natprobe/evidence/note.h"
#include "probes/natprobe/evidence/stream.h"
#include "probes/natprobe/tcp/calls.h"

/* A connection, by the index of its call. */
struct replay_conn {
	uint32_t isn; /* of our SYN */
	bool synced; /* the other's numbers are known */
	bool fin; /* the other's end is known: the number after its bytes */
	uint32_t fin_at;
	struct stream out, in;
	uint8_t said[2 * CALL_OUT_MAX]; /* the beginning of a question */
	size_t said_n;
	bool asked; /* the first question has left */
	bool left; /* this side has ended it */
	uint64_t segments; /* that came in */
};

struct replay_tcp {
	const struct note *note; /* lent */
	bool taken[NOTE_CALLS_MAX]; /* of note's calls */
	struct calls calls;
	struct replay_conn conns[CALLS_MAX];
	unsigned stray; /* segments that show that others are missing */
};

/* note is lent. NULL: it says nothing of such a run, or memory is short. */
struct replay_tcp *replay_tcp_new(const struct note *note, bool v6);
void replay_tcp_free(struct replay_tcp *t);

/* True if the frame is of a connection of the run. */
bool replay_tcp_frame(
    struct replay_tcp *t, const struct frame *f, struct mono now);
/* over: the run was, then. */
void replay_tcp_end(struct replay_tcp *t, bool over, struct mono end);

#endif

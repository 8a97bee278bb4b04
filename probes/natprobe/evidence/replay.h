/*
 * replay: from the frames of a capture to the evidence of a run, of which
 * judge_* makes the verdicts. PURE.
 *
 * The questions are planned by the code that planned them in the run, since
 * one that was never sent is evidence, too; but when a question was sent, and
 * when a phase began, the packets say. What a packet is for stands in its
 * transaction id (nat/label.h). Answers go the way they went in the run, by
 * engine_input.
 */
#ifndef NATPROBE_REPLAY_H
#define NATPROBE_REPLAY_H

#include "probes/natprobe/evidence/note.h"
#include "probes/natprobe/evidence/own.h"
#include "probes/natprobe/evidence/replay_tcp.h"

/* Some years after 1970, in which captures can be. */
#define REPLAY_US_MAX (INT64_C(7258118400) * 1000000)

struct replay {
	struct note note;
	struct probe *probes; /* IPv4, IPv6 */
	bool *used;
	struct replay_tcp *tcp[2]; /* NULL: not asked over TCP */
	struct own copies;
	bool tests[2][TESTS]; /* are there packets of that test? */
	uint64_t frames; /* in the capture */
	uint64_t ours; /* of these, of this run */
	bool any; /* is a question of natprobe there? */
	unsigned stray[2]; /* with a label, but not as this run would send it */
	struct mono now, first, last; /* of our frames */
};

/* note: may be empty. probes and used: two each, lent; those that come to be
 * used are the lender's to clear. */
void replay_init(struct replay *r, const struct note *note,
    struct probe *probes, bool *used);

/* The capture is gone through twice: first to see which tests are in it, and
 * whom they asked; then for what came of them. Between the two replay_begin;
 * it returns false if the first questions of a run are not there. Times are microseconds
 * since 1970; one that goes back counts as no later. */
void replay_look(struct replay *r, const struct frame *f);
bool replay_begin(struct replay *r);
void replay_frame(struct replay *r, const struct frame *f, int64_t at_us);

/* What came of the connections; NULL: there were none to be. Lent. */
const struct calls *replay_calls(const struct replay *r, bool v6);
void replay_clear(struct replay *r);

/* The end. What is not known to be over counts as interrupted. */
void replay_end(struct replay *r);

/* True if the run was over when the capture was, and all of it is there. */
bool replay_is_complete(const struct replay *r);
/* When the run ended, or the capture, in seconds since 1970. */
int64_t replay_ended_s(const struct replay *r);

#endif

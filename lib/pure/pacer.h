/*
 * pacer: one rate of packets for a whole program, of which many parts draw. A
 * part that wants to send books the next free slot, one at a time, and comes
 * back when it is due; so parts get their slots in the order of asking, and
 * none starves another. Time is an argument.
 *
 *   if (pace_ready(&part, now))  send, and pace_sent(&part, 1, now)
 *   else                         come back at pace_wake(&part, due)
 *
 * In any span of time t there are at most t * rate packets, and one more, and
 * as many as PACER_LATE_US holds; beyond that only those that were sent
 * without a slot last, and for these all slots move back.
 */
#ifndef PURE_PACER_H
#define PURE_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/mono.h"

/* A slot that was not used by then is lost: else late ones would meet. */
#define PACER_LATE_US INT64_C(20000)

struct pacer {
	unsigned rate, usual; /* per second */
	int64_t gap_us;
	struct mono next; /* the first free slot */
	int64_t moved_us; /* all slots together, so far */
	uint64_t sent;
};

/* A part. A pacer of NULL never holds it up. */
struct pace {
	struct pacer *pacer; /* lent */
	struct mono slot; /* as it was booked; MONO_NEVER: none is */
	int64_t moved_us; /* the pacer's, at that time */
};

/* rate, usual: packets per second, at least 1. usual: what the program's
 * limits in time are made for; see pacer_longer_us. */
struct pacer pacer_new(unsigned rate, unsigned usual);

/* A limit in time, which is longer if the rate is lower than usual. */
int64_t pacer_longer_us(const struct pacer *p, int64_t us);

/* May the part send now? Books a slot if it has none. To be asked only by one
 * that has something to send. */
bool pace_ready(struct pace *p, struct mono now);
/* So many packets were sent. Any that had no slot, as what must go at once,
 * count for those that come. */
void pace_sent(struct pace *p, unsigned packets, struct mono now);
/* When to ask again about what is due then: that, or when its slot is. */
struct mono pace_wake(const struct pace *p, struct mono due);

#endif

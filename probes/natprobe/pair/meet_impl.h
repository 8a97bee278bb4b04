/* meet_impl: what meet.c, which takes what comes, and meet_out.c, which says
 * what to send, share. */
#ifndef NATPROBE_PAIR_MEET_IMPL_H
#define NATPROBE_PAIR_MEET_IMPL_H

#include "probes/natprobe/pair/meet.h"

/* How often what goes through the relay is said again. */
#define MEET_HELLO_AGAIN_US  INT64_C(1000000)
#define MEET_REPORT_AGAIN_US INT64_C(250000)

/* meet.c */
void meet_set_phase(struct meet *m, enum meet_phase phase, struct mono now);
void meet_over(struct meet *m, enum meet_why why);
/* The listener, for the next who comes. */
void meet_forget(struct meet *m, struct mono now);
void meet_choose(struct meet *m);
/* STUN servers have answered, or not. */
void meet_gathered(struct meet *m);
void meet_begin_punch(struct meet *m, struct mono now);
bool meet_same(const struct stun_addr *a, const struct stun_addr *b);

#endif

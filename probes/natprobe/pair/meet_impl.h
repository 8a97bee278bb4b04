/* meet_impl: what meet.c, which takes what comes, meet_out.c, which says what
 * to send, and meet_tcp.c share. */
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

/* meet_tcp.c */
void meet_tcp_begin(struct meet *m, struct mono now);
void meet_tcp_advance(struct meet *m, struct mono now);
bool meet_tcp_is_over(const struct meet *m);
void meet_tcp_take(struct meet *m, const struct message *msg, struct mono now);
struct mono meet_tcp_talk_due(const struct meet *m);
void meet_tcp_say(struct meet *m, struct message *msg, struct mono now);
struct mono meet_tcp_wake(const struct meet *m, struct mono now);

#endif

/*
 * loop: one event loop for one thread, its clock, timers, file descriptors
 * and signals, on libevent. The only place that reads the monotonic clock.
 *
 * Everything here belongs to the thread that runs the loop, except loop_stop,
 * which any thread may call.
 */
#ifndef RUN_LOOP_H
#define RUN_LOOP_H

#include <stdbool.h>

#include "pure/mono.h"

struct event_base;
struct loop;
struct timer;
struct watch;

typedef void loop_fn(void *arg);

/* Returns NULL if the system refuses (errno). */
struct loop *loop_new(void);
/*
 * For a thread that watches a dozen descriptors or fewer, and packets on them:
 * by poll. epoll hears from the kernel of each packet that arrives at a
 * watched socket, also while its thread is busy with it, which takes 5 % of
 * the time of a small datagram; poll listens only while the thread sleeps.
 */
struct loop *loop_new_small(void);
void loop_free(struct loop *l);

/* Runs callbacks until loop_stop. After each turn (all callbacks of one
 * wake-up) the function set by loop_on_turn is called once. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
void loop_on_turn(struct loop *l, loop_fn *fn, void *arg);

/* The time of this wake-up: the clock is read once per turn. */
struct mono loop_now(struct loop *l);

/* For libevent's own services (evhttp). Lent. */
struct event_base *loop_base(struct loop *l);

/* Calls fn from the loop, not from signal context, when signo arrives.
 * One handler per signal and process. Returns 0 or -1. */
int loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg);

/* A timer that fires once, at its deadline. timer_new returns NULL when
 * memory is short. Setting it again moves it; MONO_NEVER clears it. It may be
 * freed inside its own callback. */
struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg);
void timer_set(struct timer *t, struct mono deadline);
void timer_free(struct timer *t);

/* Calls fn while fd is readable (or writable); level-triggered. The
 * descriptor stays the caller's. Starts switched off. */
enum watch_kind { WATCH_READ, WATCH_WRITE };
struct watch *watch_new(
    struct loop *l, int fd, enum watch_kind kind, loop_fn *fn, void *arg);
void watch_on(struct watch *w, bool on);
void watch_free(struct watch *w);

/* Tells fn of each descriptor that comes to be watched from now on (begins),
 * and when it no longer is; one with two watches, twice. fn NULL: no more. */
typedef void loop_watch_fn(void *arg, int fd, bool begins);
void loop_on_watch(struct loop *l, loop_watch_fn *fn, void *arg);

#endif

/*
 * simio: lib/run's loop and io without sockets or a clock. The relay's own
 * objects link against it unchanged; a test moves the bytes and the time.
 *
 * All loops share one clock. A connection is a pair of buffers: what the relay
 * wrote lies in a "kernel" buffer of bounded size until the test takes it.
 */
#ifndef TESTS_SIM_SIMIO_H
#define TESTS_SIM_SIMIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

/* Connections are named by small numbers, which the relay takes for file
 * descriptors. */
#define SIM_FDS 256

/* Opens connection fd: the kernel takes up to room bytes of the relay's. */
void sim_open(int fd, size_t room);
/* True until the relay has closed it. */
bool sim_is_open(int fd);

/* Gives bytes to the relay, as one read of the socket. */
void sim_send(int fd, const uint8_t *p, size_t n);
/* Takes up to n bytes that the relay has written; returns how many. */
size_t sim_recv(int fd, uint8_t *p, size_t n);
/* The peer closes, or resets, its side. */
void sim_close(int fd);

/* Moves the clock on and fires the timers that are due. */
void sim_advance(int64_t us);
struct mono sim_now(void);
/* When the next timer is due (maybe now or before); never: none is set. */
struct mono sim_next(void);

struct loop;
/* What a wake-up does: readable watches, then the turn function. */
void sim_turn(struct loop *l);

#endif

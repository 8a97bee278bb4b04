/*
 * later: things that wait for their time, in bounded memory: a heap of times
 * over an array of slots. All memory is allocated at the start; what is never
 * used is never touched.
 */
#ifndef PURE_LATER_H
#define PURE_LATER_H

#include <stdbool.h>
#include <stddef.h>

#include "pure/mono.h"

struct later;

/* Room for cap things of size bytes. NULL when memory is short. */
struct later *later_new(size_t cap, size_t size);
void later_free(struct later *l);

/* Lends the slot of a thing that is due then, to be filled in; NULL if all
 * are taken. due must be set. */
void *later_add(struct later *l, struct mono due);

/* When the first is due; MONO_NEVER if none waits. */
struct mono later_next(const struct later *l);

/* Takes out one that is due: lends its slot until the next later_add. NULL if
 * there is none. */
void *later_take(struct later *l, struct mono now);

#endif

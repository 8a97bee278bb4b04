/*
 * draw: random bytes from a seed, the same again from the same. PURE.
 */
#ifndef NATPROBE_DRAW_H
#define NATPROBE_DRAW_H

#include <stddef.h>
#include <stdint.h>

#define DRAW_SEED_LEN 32

struct draw {
	uint8_t seed[DRAW_SEED_LEN]; /* random, fresh for each run */
	uint64_t n; /* times that something was drawn */
};

void draw_bytes(struct draw *d, uint8_t *p, size_t n);

#endif

/* film: the packets of a simulated run, as a capture has them. */
#ifndef TESTS_SIM_FILM_H
#define TESTS_SIM_FILM_H

#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

struct shot {
	struct mono at;
	size_t n;
	uint8_t p[640];
};

struct shots {
	struct shot *v;
	size_t n, cap;
};

void shots_add(struct shots *s, const uint8_t *p, size_t n, struct mono now);
void shots_clear(struct shots *s);

/* Prints the first line in which two texts differ. */
void show_difference(const char *run, const char *replay);

#endif

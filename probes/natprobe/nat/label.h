/*
 * label: what a request is for, hidden in its transaction id, so that a
 * capture alone tells which test each packet belongs to. PURE.
 *
 *  0               8              12
 * |  random        | label ^ hash |
 *
 * RFC 8489 section 5 wants the id to be random: 64 bits are, and the rest
 * looks so to who does not know the (public) hash key. An id that is not ours
 * reads as a label with a chance of 1 in 256 only.
 */
#ifndef NATPROBE_LABEL_H
#define NATPROBE_LABEL_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/stun.h"

#define LABEL_RANDOM_LEN 8
#define LABEL_UNIT_MAX	 2047
#define LABEL_STEP_MAX	 255

struct label {
	uint8_t test; /* enum test, below 32 */
	uint16_t unit; /* which repetition, up to LABEL_UNIT_MAX */
	uint8_t step; /* which question of it */
};

bool label_same(struct label a, struct label b);

/* Makes the transaction id; random: fresh for each request. */
void label_write(struct stun_txid *txid, struct label label,
    const uint8_t random[static LABEL_RANDOM_LEN]);

/* False if this is no id of ours. */
bool label_read(const struct stun_txid *txid, struct label *label);

#endif

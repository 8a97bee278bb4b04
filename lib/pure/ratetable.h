/*
 * ratetable: token buckets for any number of sources in fixed memory, shared
 * by threads without a lock.
 *
 * A bucket is one 64-bit word: 16 bits that tell sources apart, and the time
 * at which the bucket would be full again (GCRA, ITU-T I.371). Eight words,
 * one line of the cache, make a set; a keyed hash of the source chooses the
 * set, so that nobody outside can tell whom he shares it with. One atomic
 * compare-exchange takes a token. When a set is full, the bucket that would
 * be full first goes: it is the one that limits least. Who is forgotten
 * begins with a full bucket.
 */
#ifndef PURE_RATETABLE_H
#define PURE_RATETABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

/* Times below count in sixteenths of a microsecond. */
struct rate {
	int64_t interval; /* per token; 0: no limit */
	int64_t ahead; /* what a full bucket saves: burst - 1 intervals */
};

/* per_second 0 is no limit; at most 1000000. burst is at least 1. */
struct rate rate_new(int64_t per_second, int64_t burst);

/* One bucket for all, as a rate of its own: the time when it is full. */
typedef _Atomic int64_t ratebucket;

/* Takes a token; false if there is none. */
bool ratebucket_take(ratebucket *b, const struct rate *r, struct mono now);

#define RATETABLE_KEY_LEN 16

struct ratetable;

/* 8 << sets_log2 buckets of 8 bytes. NULL when memory is short. */
struct ratetable *ratetable_new(unsigned sets_log2);
void ratetable_free(struct ratetable *t);

/* Takes a token from the bucket of the source with this hash, of which all 64
 * bits count and which strangers cannot compute (ratetable_hash). */
bool ratetable_take(
    struct ratetable *t, const struct rate *r, uint64_t hash, struct mono now);

/* A keyed hash of n bytes: siphash. */
uint64_t ratetable_hash(
    const uint8_t key[static RATETABLE_KEY_LEN], const void *p, size_t n);

#endif

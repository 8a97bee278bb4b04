/* ratetable: buckets as atomic words. Owns the words. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "pure/ratetable.h"

#define WAYS	  8
#define LINE	  64
#define PER_US	  16
#define TIME_BITS 48
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

/* Other threads win the word at most this often before a token is refused. */
#define TRIES 16

_Static_assert(RATETABLE_KEY_LEN == crypto_shorthash_KEYBYTES, "siphash");
_Static_assert(WAYS * sizeof(uint64_t) == LINE, "a set is a line");

struct set {
	_Alignas(LINE) _Atomic uint64_t way[WAYS];
};

struct ratetable {
	uint64_t mask;
	struct set *sets;
};

struct rate
rate_new(int64_t per_second, int64_t burst)
{
	int64_t interval;

	if (per_second == 0)
		return (struct rate){0};
	interval = INT64_C(1000000) * PER_US / per_second;
	return (struct rate){interval, interval * (burst - 1)};
}

/* Threads read the clock once per turn: one may be that far behind another. */
#define SKEW (1000000 * PER_US)

/* What is further ahead than a bucket can be was written under another rate,
 * or 203 days ago, when the 48 bits of a time came round: it does not count. */
static int64_t
plausible(int64_t left, const struct rate *r)
{
	return left > 0 && left <= r->ahead + r->interval + SKEW ? left : 0;
}

bool
ratebucket_take(ratebucket *b, const struct rate *r, struct mono now)
{
	int64_t at = now.us * PER_US, old, left;

	if (r->interval == 0)
		return true;
	old = atomic_load_explicit(b, memory_order_relaxed);
	for (int tries = 0; tries < TRIES; tries++) {
		left = plausible(old - at, r);
		if (left > r->ahead)
			return false;
		if (atomic_compare_exchange_weak_explicit(b, &old,
			at + left + r->interval, memory_order_relaxed,
			memory_order_relaxed))
			return true;
	}
	return false;
}

struct ratetable *
ratetable_new(unsigned sets_log2)
{
	struct ratetable *t = calloc(1, sizeof(*t));
	size_t n = (size_t)1 << sets_log2;

	if (t == NULL)
		return NULL;
	t->mask = n - 1;
	t->sets = aligned_alloc(LINE, n * sizeof(*t->sets));
	if (t->sets == NULL) {
		free(t);
		return NULL;
	}
	/* A word of zeros is a full bucket, whosever it is. */
	memset(t->sets, 0, n * sizeof(*t->sets));
	return t;
}

void
ratetable_free(struct ratetable *t)
{
	if (t == NULL)
		return;
	free(t->sets);
	free(t);
}

/* How long until the bucket of this word is full. */
static int64_t
time_to_full(uint64_t word, uint64_t at, const struct rate *r)
{
	return plausible((int64_t)((word - at) & TIME_MASK), r);
}

/* The source's bucket, or NULL; and its word. */
static _Atomic uint64_t *
find_own(struct set *set, uint64_t tag, uint64_t *word)
{
	for (size_t i = 0; i < WAYS; i++) {
		*word =
		    atomic_load_explicit(&set->way[i], memory_order_relaxed);
		if (*word >> TIME_BITS == tag)
			return &set->way[i];
	}
	return NULL;
}

/* The bucket that is full first, and its word. */
static _Atomic uint64_t *
find_fullest(struct set *set, uint64_t at, const struct rate *r, uint64_t *word)
{
	_Atomic uint64_t *found = NULL;
	int64_t least = INT64_MAX, left;
	uint64_t w;

	for (size_t i = 0; i < WAYS && least > 0; i++) {
		w = atomic_load_explicit(&set->way[i], memory_order_relaxed);
		left = time_to_full(w, at, r);
		if (left < least) {
			least = left;
			found = &set->way[i];
			*word = w;
		}
	}
	return found;
}

void
ratetable_fetch(const struct ratetable *t, uint64_t hash)
{
	__builtin_prefetch(&t->sets[hash & t->mask], 1);
}

bool
ratetable_take(
    struct ratetable *t, const struct rate *r, uint64_t hash, struct mono now)
{
	struct set *set = &t->sets[hash & t->mask];
	uint64_t at = (uint64_t)now.us * PER_US, tag = hash >> TIME_BITS;
	_Atomic uint64_t *way;
	uint64_t word, next;
	int64_t left;

	if (r->interval == 0)
		return true;
	for (int tries = 0; tries < TRIES; tries++) {
		left = 0;
		if ((way = find_own(set, tag, &word)) != NULL)
			left = time_to_full(word, at, r);
		else
			way = find_fullest(set, at, r, &word);
		if (left > r->ahead)
			return false;
		next = tag << TIME_BITS |
		    ((at + (uint64_t)(left + r->interval)) & TIME_MASK);
		if (atomic_compare_exchange_strong_explicit(way, &word, next,
			memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

uint64_t
ratetable_hash(
    const uint8_t key[static RATETABLE_KEY_LEN], const void *p, size_t n)
{
	uint8_t out[crypto_shorthash_BYTES];
	struct rd r;

	crypto_shorthash(out, p, n, key);
	rd_init(&r, out, sizeof(out));
	return rd_u64(&r);
}

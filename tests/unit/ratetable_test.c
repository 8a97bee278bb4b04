/* ratetable: buckets on their own, many of them, and from several threads. */
#include <pthread.h>

#include "pure/ratetable.h"
#include "tests/tap.h"

#define SECOND INT64_C(1000000)

/* A clock that has run for a while: zero is "never". */
#define START (1000 * SECOND)

static struct mono
at(int64_t us)
{
	return (struct mono){START + us};
}

/* How many of n tokens, asked for at once, there are. */
static int
take(struct ratetable *t, const struct rate *r, uint64_t hash, int n,
    struct mono now)
{
	int got = 0;

	while (n-- > 0)
		got += ratetable_take(t, r, hash, now);
	return got;
}

/* A source's hash: spread, as siphash does it. */
static uint64_t
hash_of(uint64_t i)
{
	static const uint8_t key[RATETABLE_KEY_LEN] = {1};

	return ratetable_hash(key, &i, sizeof(i));
}

static void
test_bucket(void)
{
	const struct rate r = rate_new(50, 500), none = rate_new(0, 1);
	const struct rate one = rate_new(5, 1);
	struct ratetable *t = ratetable_new(4);

	eq_int(take(t, &r, hash_of(1), 1000, at(0)), 500, "the burst");
	eq_int(take(t, &r, hash_of(2), 1000, at(0)), 500, "of each its own");
	eq_int(take(t, &r, hash_of(1), 10, at(19999)), 0, "empty");
	eq_int(take(t, &r, hash_of(1), 10, at(20000)), 1, "one in 20 ms");
	eq_int(take(t, &r, hash_of(1), 100, at(SECOND)), 49, "50 a second");
	eq_int(take(t, &r, hash_of(1), 1000, at(60 * SECOND)), 500,
	    "never more than the burst");
	eq_int(take(t, &one, hash_of(3), 10, at(0)), 1, "a burst of one");
	eq_int(take(t, &one, hash_of(3), 10, at(200000)), 1, "and one more");
	eq_int(take(t, &none, hash_of(4), 10000, at(0)), 10000, "no limit");
	ratetable_free(t);
	ratetable_free(NULL);
}

/* A rate that changes while the program runs. */
static void
test_change(void)
{
	const struct rate slow = rate_new(1, 100), fast = rate_new(50, 10);
	struct ratetable *t = ratetable_new(4);
	ratebucket b = 0;
	int got = 0;

	eq_int(take(t, &slow, hash_of(1), 1000, at(0)), 100, "slow, burst");
	eq_int(take(t, &fast, hash_of(1), 1000, at(0)), 10,
	    "what only the old rate can have said does not count");
	for (int i = 0; i < 1000; i++)
		got += ratebucket_take(&b, &slow, at(0));
	for (int i = 0; i < 1000; i++)
		got += ratebucket_take(&b, &fast, at(0));
	eq_int(got, 110, "nor for a bucket of its own");
	ratetable_free(t);
}

/* Threads whose clocks differ by less than a second see the same bucket. */
static void
test_skew(void)
{
	const struct rate r = rate_new(50, 500);
	struct ratetable *t = ratetable_new(4);

	eq_int(take(t, &r, hash_of(1), 1000, at(SECOND)), 500, "one thread");
	eq_int(take(t, &r, hash_of(1), 1000, at(100000)), 0, "one behind it");
	ratetable_free(t);
}

/* The times' 48 bits come round after 203 days. */
static void
test_wrap(void)
{
	const struct rate r = rate_new(50, 500);
	const int64_t turn = (INT64_C(1) << 48) / 16 - START;
	struct ratetable *t = ratetable_new(4);
	int full = 0;

	eq_int(take(t, &r, hash_of(1), 1000, at(turn - SECOND)), 500, "before");
	eq_int(take(t, &r, hash_of(1), 1000, at(turn + SECOND)), 100,
	    "two seconds later, after");
	for (int64_t day = 1; day < 300; day++) {
		take(t, &r, hash_of(2), 1000, at(0));
		full += take(t, &r, hash_of(2), 1000,
			    at(day * 86400 * SECOND)) == 500;
	}
	eq_int(full, 299, "a stale bucket is a full one");
	ratetable_free(t);
}

/* 100000 sources in 1024 buckets: each gets its burst; and one that asks all
 * the time is limited all the same. */
static void
test_crowd(void)
{
	const struct rate r = rate_new(50, 4);
	struct ratetable *t = ratetable_new(7);
	int64_t poor = 0, greedy = 0, asked = 0;

	for (uint64_t i = 0; i < 100000; i++) {
		struct mono now = at((int64_t)i * 10);

		if (!ratetable_take(t, &r, hash_of(i), now))
			poor++;
		if (i % 4 == 0) {
			greedy +=
			    ratetable_take(t, &r, UINT64_C(77) << 56, now);
			asked++;
		}
	}
	eq_int(poor, 0, "who is new gets a token, however many there are");
	/* 1 s at 50, and the burst; more where it was pushed out. */
	ok(greedy >= 50 && greedy < asked / 10, "who is greedy is limited");
	printf("# greedy: %lld of %lld\n", (long long)greedy, (long long)asked);
	ratetable_free(t);
}

static void
test_own_bucket(void)
{
	const struct rate r = rate_new(100000, 10);
	ratebucket b = 0;
	int got = 0;

	for (int i = 0; i < 100; i++)
		got += ratebucket_take(&b, &r, at(0));
	eq_int(got, 10, "one for all: the burst");
	for (int i = 0; i < 100; i++)
		got += ratebucket_take(&b, &r, at(50));
	eq_int(got, 15, "five in 50 us");
}

/* ---- threads ---- */

#define THREADS 4
#define ASKED	200000

struct crowd {
	struct ratetable *t;
	struct rate r;
	int64_t got;
};

static void *
ask(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < ASKED; i++)
		c->got += ratetable_take(c->t, &c->r, hash_of(i % 10), at(0));
	return NULL;
}

/* Several threads ask for ten sources: none gets more than its burst, and
 * nearly all of it is given out. */
static void
test_threads(void)
{
	struct crowd c[THREADS];
	pthread_t threads[THREADS];
	struct ratetable *t = ratetable_new(6);
	int64_t got = 0;

	for (int i = 0; i < THREADS; i++) {
		c[i] = (struct crowd){.t = t, .r = rate_new(50, 5000)};
		pthread_create(&threads[i], NULL, ask, &c[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		got += c[i].got;
	}
	eq_int(got, 50000, "the bursts of ten, whoever asked");
	ratetable_free(t);
}

int
main(void)
{
	test_bucket();
	test_change();
	test_skew();
	test_wrap();
	test_crowd();
	test_own_bucket();
	test_threads();
	return tap_done();
}

/* limit: the bucket beside a naive one that is refilled step by step. */
#include <math.h>
#include <stdlib.h>

#include "pure/limit.h"
#include "tests/tap.h"

/* An hour after boot: no bucket below is larger. */
#define START  INT64_C(3600000000)
#define SECOND INT64_C(1000000)

static void
test_interval(void)
{
	static const struct {
		const char *what;
		double rate;
		int64_t interval;
	} rows[] = {
	    {"one per second", 1, 1000000},
	    {"ten per second", 10, 100000},
	    {"three per second", 3, 333333},
	    {"one in ten seconds", 0.1, 10000000},
	    {"one per microsecond is as good as none", 1e6, 0},
	    {"just below that", 999999, 1},
	    {"infinite", INFINITY, 0},
	    {"none at all: one a day", 0, 86400000000},
	    {"negative: the same", -1, 86400000000},
	    {"less than one a day", 1e-300, 86400000000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		eq_int(limit_interval(rows[i].rate), rows[i].interval,
		    rows[i].what);
}

/* How many of `tries` at one time are let through. */
static int
passed(struct limit *l, int64_t now, int tries)
{
	int n = 0;

	while (tries-- > 0)
		n += limit_allow(l, (struct mono){now});
	return n;
}

static void
test_burst(void)
{
	struct limit l = limit_new(SECOND, 3);

	eq_int(passed(&l, START, 10), 3, "a new bucket is full");
	eq_int(passed(&l, START + SECOND - 1, 10), 0, "no token yet");
	eq_int(passed(&l, START + SECOND, 10), 1, "one after the interval");
	eq_int(passed(&l, START + 3 * SECOND, 10), 2, "two after two");
	eq_int(passed(&l, START + 100 * SECOND, 10), 3,
	    "never more than the burst");
	eq_int(passed(&l, START + 100 * SECOND, 10), 0, "and then none");
}

static void
test_burst_of_one(void)
{
	struct limit l = limit_new(SECOND, 1);

	eq_int(passed(&l, START, 5), 1, "one at once");
	eq_int(passed(&l, START + SECOND - 1, 5), 0, "none before its time");
	eq_int(passed(&l, START + SECOND, 5), 1, "then one");
	eq_int(passed(&l, START + 9 * SECOND, 5), 1, "nothing is saved up");
}

/* A host that has just started has a small clock, and a full bucket. */
static void
test_large_burst(void)
{
	struct limit l = limit_new(SECOND, 1000);
	struct limit never = limit_new(limit_interval(0), INT64_MAX);

	eq_int(passed(&l, 5 * SECOND, 2000), 1000, "full after five seconds");
	eq_int(passed(&never, SECOND, 5000), 5000, "the largest burst");
}

static void
test_no_limit(void)
{
	struct limit l = limit_new(0, 1);

	eq_int(passed(&l, START, 100000), 100000, "interval 0 is no limit");
	eq_int(passed(&l, 0, 10), 10, "not even at time 0");
}

/* Limits at the far end of their types must not overflow (ubsan watches). */
static void
test_extremes(void)
{
	struct limit none = limit_new(INT64_MAX, 2);
	struct limit huge = limit_new(SECOND, INT64_MAX);
	struct limit both = limit_new(INT64_MAX, INT64_MAX);

	ok(passed(&none, START, 10) <= 2, "an endless interval");
	eq_int(passed(&none, START + 1000 * SECOND, 10), 0, "stays shut");
	ok(passed(&huge, START, 1000) == 1000, "an endless burst");
	ok(passed(&both, START, 10) >= 1, "both");
}

/* Tokens in microseconds, added as time passes: the textbook's bucket. */
static void
test_model(void)
{
	unsigned seed = 1;
	bool same = true;

	for (int round = 0; round < 200 && same; round++) {
		int64_t interval = 1 + rand_r(&seed) % 1000;
		int64_t burst = 1 + rand_r(&seed) % 8;
		int64_t now = START, full = burst * interval, level = full;
		struct limit l = limit_new(interval, burst);

		for (int step = 0; step < 200; step++) {
			int64_t passes = rand_r(&seed) % (2 * interval);
			bool allowed;

			now += passes;
			level = level + passes > full ? full : level + passes;
			allowed = level >= interval;
			level -= allowed ? interval : 0;
			same &= limit_allow(&l, (struct mono){now}) == allowed;
		}
	}
	ok(same, "40000 random steps as a refilled bucket");
}

static void
test_give(void)
{
	struct limit l = limit_new(SECOND, 3);

	eq_int(passed(&l, START, 3), 3, "all are taken");
	limit_give(&l);
	limit_give(&l);
	eq_int(passed(&l, START, 10), 2, "what came back is there again");
	limit_give(&l);
	eq_int(passed(&l, START + 100 * SECOND, 10), 3,
	    "and adds nothing to a full bucket");
}

int
main(void)
{
	test_interval();
	test_burst();
	test_give();
	test_burst_of_one();
	test_large_burst();
	test_no_limit();
	test_extremes();
	test_model();
	return tap_done();
}

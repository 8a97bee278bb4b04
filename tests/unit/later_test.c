/* later: order, bounds, slots that are used again. */
#include "pure/later.h"
#include "tests/tap.h"

#define CAP 500

static struct mono
at(int64_t us)
{
	return (struct mono){us};
}

static void
test_one(void)
{
	struct later *l = later_new(2, sizeof(int));
	int *p;

	ok(!mono_is_set(later_next(l)) && later_take(l, at(1000)) == NULL,
	    "nothing waits at first");
	p = later_add(l, at(100));
	*p = 7;
	eq_int(later_next(l).us, 100, "when it is due");
	ok(later_take(l, at(99)) == NULL, "not before its time");
	p = later_take(l, at(100));
	ok(p != NULL && *p == 7, "at its time");
	ok(later_take(l, at(1000)) == NULL && !mono_is_set(later_next(l)),
	    "only once");
	later_free(l);
	later_free(NULL);
}

/* Many, in a scrambled order, twice over: they come out sorted. */
static void
test_order(void)
{
	struct later *l = later_new(CAP, sizeof(int64_t));
	bool sorted = true, right = true, full = true;
	int64_t last, *p;
	size_t n = 0;

	for (int round = 0; round < 2; round++) {
		for (int64_t i = 0; i < CAP; i++) {
			int64_t due = 1 + i * 7919 % 997;

			p = later_add(l, at(due));
			*p = due;
		}
		full &= later_add(l, at(1)) == NULL;
		last = 0;
		for (int64_t now = 0; now < 1000; now++)
			while ((p = later_take(l, at(now))) != NULL) {
				sorted &= *p >= last;
				right &= *p == now;
				last = *p;
				n++;
			}
	}
	ok(full, "no more than it has room for");
	ok(sorted && right, "each at its time, the earliest first");
	eq_int((int64_t)n, 2 * CAP, "all of them");
	later_free(l);
}

/* Taking and adding in turn never gives one slot to two. */
static void
test_slots(void)
{
	struct later *l = later_new(8, 1);
	bool kept = true;
	char *p;
	size_t n = 0;

	for (int i = 0; i < 1000; i++) {
		while ((p = later_add(l, at(i + 1 + i * 31 % 17))) != NULL) {
			kept &= *p == 0;
			*p = 1;
		}
		while ((p = later_take(l, at(i + 5))) != NULL) {
			kept &= *p == 1;
			*p = 0;
			n++;
		}
	}
	ok(kept, "a slot has one owner");
	ok(n > 100, "and many were taken");
	later_free(l);
}

int
main(void)
{
	test_one();
	test_order();
	test_slots();
	return tap_done();
}

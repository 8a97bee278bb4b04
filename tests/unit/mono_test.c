/* mono: zero is never, in each question that can be asked of a time. */
#include "pure/mono.h"
#include "tests/tap.h"

static const struct mono early = {5}, late = {9};

static void
test_arithmetic(void)
{
	eq_int(mono_add_us(early, 3).us, 8, "microseconds are added");
	eq_int(mono_add_us(early, -3).us, 2, "and taken away");
	eq_int(mono_add_ms(early, 3).us, 3005, "milliseconds are a thousand");
	eq_int(mono_diff_us(early, late), 4, "from a to b");
	eq_int(mono_diff_us(late, early), -4, "backwards is negative");
	eq_int(mono_diff_us(late, late), 0, "no time at all");
	ok(!mono_is_set(MONO_NEVER), "never is not set");
	ok(mono_is_set(early), "a point in time is");
}

static void
test_reached(void)
{
	static const struct {
		const char *what;
		int64_t deadline, now;
		bool reached;
	} rows[] = {
	    {"one microsecond before", 100, 99, false},
	    {"at the deadline", 100, 100, true},
	    {"one microsecond after", 100, 101, true},
	    {"never is not reached at once", 0, 0, false},
	    {"nor ever", 0, INT64_MAX, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(mono_reached((struct mono){rows[i].deadline},
		       (struct mono){rows[i].now}) == rows[i].reached,
		    rows[i].what);
}

static void
test_earlier(void)
{
	eq_int(mono_earlier(early, late).us, 5, "the first is earlier");
	eq_int(mono_earlier(late, early).us, 5, "the second is");
	eq_int(mono_earlier(late, late).us, 9, "both are the same");
	eq_int(mono_earlier(MONO_NEVER, late).us, 9, "never is later than any");
	eq_int(mono_earlier(late, MONO_NEVER).us, 9, "on either side");
	eq_int(mono_earlier(MONO_NEVER, MONO_NEVER).us, 0, "never and never");
}

int
main(void)
{
	test_arithmetic();
	test_reached();
	test_earlier();
	return tap_done();
}

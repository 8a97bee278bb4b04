/* pacer_test: a rate that holds in every second, whoever sends, and nobody
 * who is starved. */
#include "pure/pacer.h"
#include "tests/tap.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

#define PARTS  12
#define SENDS  8192

struct log {
	struct mono at[SENDS];
	unsigned n, of[PARTS];
};

static void
note(struct log *l, unsigned part, struct mono now)
{
	l->of[part]++;
	if (l->n < SENDS)
		l->at[l->n++] = now;
}

/* The most within any span of that length. */
static unsigned
most_in(const struct log *l, int64_t span_us)
{
	unsigned most = 0, from = 0;

	for (unsigned i = 0; i < l->n; i++) {
		while (mono_diff_us(l->at[from], l->at[i]) >= span_us)
			from++;
		if (i - from + 1 > most)
			most = i - from + 1;
	}
	return most;
}

static void
test_one(void)
{
	struct pacer pacer = pacer_new(100, 400);
	struct pace p = {.pacer = &pacer}, free = {.pacer = NULL};
	struct mono now = {SECOND};

	ok(pace_ready(&p, now) && pace_ready(&p, now), "the first at once");
	pace_sent(&p, 1, now);
	ok(!pace_ready(&p, now), "the second not");
	eq_int(pace_wake(&p, now).us, now.us + 10 * MS, "but a gap later");
	eq_int(pace_wake(&p, mono_add_us(now, SECOND)).us, now.us + SECOND,
	    "or when it is due");
	eq_int(pace_wake(&p, MONO_NEVER).us, 0, "what is not due never is");
	now = mono_add_us(now, 10 * MS);
	ok(pace_ready(&p, now), "it is ready then");
	now = mono_add_us(now, PACER_LATE_US);
	ok(pace_ready(&p, now), "and a little later");
	now = mono_add_us(now, 1);
	ok(pace_ready(&p, now), "a slot that is lost is booked anew");
	pace_sent(&p, 3, now);
	ok(!pace_ready(&p, now), "three packets");
	eq_int(pace_wake(&p, now).us, now.us + 30 * MS, "take three slots");
	pace_sent(&p, 2, now);
	eq_int(pacer.next.us, now.us + 60 * MS, "what goes at once counts");
	eq_int((long long)pacer.sent, 6, "all are counted");
	pace_sent(&free, 1, now);
	ok(pace_ready(&free, now), "without a pacer nothing waits");
	eq_int(pacer_longer_us(&pacer, SECOND), 4 * SECOND, "a longer limit");
	pacer = pacer_new(1000, 400);
	eq_int(pacer_longer_us(&pacer, SECOND), SECOND, "never a shorter one");
	eq_int(pacer_longer_us(NULL, SECOND), SECOND, "nor without a pacer");
}

/* All want to send all the time; their turns come late by up to late_us. */
static void
greedy(unsigned rate, int64_t late_us)
{
	struct pacer pacer = pacer_new(rate, 400);
	struct pace p[PARTS];
	struct log l = {.n = 0};
	struct mono now = {SECOND};
	unsigned least = SENDS, most = 0, random = 1, limit;

	for (unsigned i = 0; i < PARTS; i++)
		p[i] = (struct pace){.pacer = &pacer};
	while (now.us < 9 * SECOND) {
		for (unsigned i = 0; i < PARTS; i++) {
			random = random * 1103515245 + 12345;
			if (random >> 16 & 1)
				continue;
			while (pace_ready(&p[i], now)) {
				pace_sent(&p[i], 1, now);
				note(&l, i, now);
			}
		}
		now = mono_add_us(now, 1 + (random >> 8) % late_us);
	}
	for (unsigned i = 0; i < PARTS; i++) {
		least = l.of[i] < least ? l.of[i] : least;
		most = l.of[i] > most ? l.of[i] : most;
	}
	limit = rate + 1 + (unsigned)(rate * PACER_LATE_US / SECOND);
	if (!ok(most_in(&l, SECOND) <= limit, "no second has more"))
		printf("# %u of %u\n", most_in(&l, SECOND), limit);
	if (!ok(l.n >= rate * 8 * 9 / 10, "and the rate is used"))
		printf("# %u of %u\n", l.n, rate * 8);
	if (!ok(least * 10 >= most * 8, "nobody is starved"))
		printf("# %u to %u\n", least, most);
}

/* One that sends much, and one now and then: it waits for a turn of each. */
static void
test_fair(void)
{
	struct pacer pacer = pacer_new(50, 400);
	struct pace greedy_one = {.pacer = &pacer}, rare = {.pacer = &pacer};
	struct mono now = {SECOND}, asked = MONO_NEVER;
	int64_t longest = 0, waited;

	for (; now.us < 6 * SECOND; now = mono_add_us(now, MS)) {
		while (pace_ready(&greedy_one, now))
			pace_sent(&greedy_one, 1, now);
		if (!mono_is_set(asked) && now.us % (170 * MS) == 0)
			asked = now;
		if (!mono_is_set(asked) || !pace_ready(&rare, now))
			continue;
		pace_sent(&rare, 1, now);
		waited = mono_diff_us(asked, now);
		longest = waited > longest ? waited : longest;
		asked = MONO_NEVER;
	}
	ok(longest > 0 && longest <= 2 * pacer.gap_us,
	    "two gaps are the longest wait beside one other");
}

int
main(void)
{
	test_one();
	greedy(50, 1000);
	greedy(400, 1000);
	greedy(1000, 3000);
	test_fair();
	return tap_done();
}

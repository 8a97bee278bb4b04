/* keymap: beside an array that is searched from one end to the other. */
#include <stdlib.h>

#include "pure/keymap.h"
#include "tests/tap.h"

static const uint8_t seed[KEYMAP_SEED_LEN] = {3, 1, 4, 1, 5, 9, 2, 6};

struct thing {
	char before; /* the key need not be first */
	struct key key;
	bool in; /* what the map should know */
};

static void
name(struct thing *t, unsigned n)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->key.b, &n, sizeof(n));
}

/* A few slots must be enough, and never more than needed by much. */
static bool
is_sound(const struct keymap *m, size_t count)
{
	return m->count == count && (m->cap & (m->cap - 1)) == 0 &&
	    m->count * 4 <= m->cap * 3 && (m->cap == 0 || m->cap >= 16) &&
	    (m->cap <= 16 || m->count * 8 >= m->cap);
}

static void
test_empty(void)
{
	struct keymap m;
	struct thing t;
	size_t at = 0;

	name(&t, 1);
	keymap_init(&m, seed);
	ok(m.slots == NULL && is_sound(&m, 0), "a new map owns nothing");
	ok(keymap_get(&m, &t.key) == NULL, "finds nothing");
	ok(keymap_del(&m, &t.key) == NULL, "has nothing to remove");
	ok(keymap_next(&m, &at) == NULL, "and nothing to walk");
	keymap_clear(&m);
	ok(m.slots == NULL, "and can be cleared");
}

static void
test_one(void)
{
	struct keymap m;
	struct thing t, same, other;
	size_t at = 0;

	name(&t, 1);
	name(&same, 1);
	name(&other, 2);
	keymap_init(&m, seed);
	ok(keymap_put(&m, &t.key, &t), "added");
	ok(keymap_get(&m, &same.key) == &t, "found by an equal key");
	ok(keymap_get(&m, &other.key) == NULL, "another is not");
	ok(keymap_next(&m, &at) == &t && keymap_next(&m, &at) == NULL,
	    "walked once");
	ok(keymap_next(&m, &at) == NULL, "the end stays the end");
	ok(keymap_del(&m, &other.key) == NULL && m.count == 1,
	    "what is not there cannot be removed");
	ok(keymap_del(&m, &same.key) == &t && m.count == 0, "removed");
	ok(keymap_get(&m, &t.key) == NULL && keymap_del(&m, &t.key) == NULL,
	    "it is gone");
	ok(keymap_put(&m, &t.key, &t) && keymap_get(&m, &t.key) == &t,
	    "and can come back");
	keymap_clear(&m);
	ok(keymap_get(&m, &t.key) == NULL && m.count == 0, "cleared");
	ok(keymap_put(&m, &t.key, &t) && keymap_get(&m, &t.key) == &t,
	    "used again");
	keymap_clear(&m);
}

/* Every pair of bytes of a key decides, first and last alike. */
static void
test_whole_key(void)
{
	struct thing things[KEY_LEN];
	struct keymap m;
	bool found = true;

	keymap_init(&m, seed);
	for (size_t i = 0; i < KEY_LEN; i++) {
		name(&things[i], 0);
		things[i].key.b[i] = 1;
		found &= keymap_put(&m, &things[i].key, &things[i]);
	}
	for (size_t i = 0; i < KEY_LEN; i++)
		found &= keymap_get(&m, &things[i].key) == &things[i];
	ok(found && m.count == KEY_LEN, "32 keys that differ in one byte");
	keymap_clear(&m);
}

static void
test_growth_and_shrink(void)
{
	enum { N = 20000 };
	struct thing *things = calloc(N, sizeof(*things));
	struct keymap m;
	bool sound = true, found = true;
	size_t most, at = 0, walked = 0;

	keymap_init(&m, seed);
	for (unsigned i = 0; i < N; i++) {
		name(&things[i], i);
		found &= keymap_put(&m, &things[i].key, &things[i]);
		sound &= is_sound(&m, i + 1);
	}
	most = m.cap;
	for (unsigned i = 0; i < N; i++)
		found &= keymap_get(&m, &things[i].key) == &things[i];
	ok(found && sound, "20000 keys");
	while (keymap_next(&m, &at) != NULL)
		walked++;
	eq_int((int64_t)walked, N, "each is walked once");
	for (unsigned i = 0; i < N; i++) {
		found &= keymap_del(&m, &things[i].key) == &things[i];
		sound &= is_sound(&m, N - i - 1);
		if (i % 997 == 0 && i + 1 < N)
			found &= keymap_get(&m, &things[N - 1].key) ==
			    &things[N - 1];
	}
	ok(found && sound, "removed one by one");
	ok(most >= 32768 && m.cap == 16, "memory is given back");
	keymap_clear(&m);
	free(things);
}

/* Fills a small map to the limit again and again and removes in the middle of
 * its long runs; every other key must still be found from its own home. */
static void
test_deletion_runs(void)
{
	enum { N = 12 }; /* three quarters of 16 */
	struct thing things[N];
	bool found = true;

	for (unsigned round = 0; round < 2000; round++) {
		struct keymap m;
		uint8_t own[KEYMAP_SEED_LEN] = {0};

		memcpy(own, &round, sizeof(round));
		keymap_init(&m, own);
		for (unsigned i = 0; i < N; i++) {
			name(&things[i], i);
			found &= keymap_put(&m, &things[i].key, &things[i]);
		}
		found &= m.cap == 16;
		for (unsigned i = 0; i < N; i++) {
			unsigned gone = (i * 5 + round) % N;

			found &=
			    keymap_del(&m, &things[gone].key) == &things[gone];
			things[gone].in = true;
			for (unsigned j = 0; j < N; j++)
				found &= keymap_get(&m, &things[j].key) ==
				    (things[j].in ? NULL : &things[j]);
		}
		keymap_clear(&m);
	}
	ok(found, "2000 full maps, emptied in the middle of their runs");
}

static bool
walks_all(const struct keymap *m, const struct thing *things, size_t n)
{
	size_t at = 0, walked = 0, in = 0;
	const struct thing *t;

	while ((t = keymap_next(m, &at)) != NULL) {
		if (!t->in)
			return false;
		walked++;
	}
	for (size_t i = 0; i < n; i++)
		in += things[i].in;
	return walked == in && m->count == in;
}

static void
test_model(void)
{
	enum { N = 300 };
	static struct thing things[N];
	struct keymap m;
	unsigned rnd = 7;
	bool same = true;

	for (unsigned i = 0; i < N; i++)
		name(&things[i], i);
	keymap_init(&m, seed);
	for (int step = 0; step < 200000 && same; step++) {
		/* Sometimes mostly puts, sometimes mostly deletions. */
		bool grow = step / 5000 % 2 == 0;
		struct thing *t = &things[(unsigned)rand_r(&rnd) % N];
		int what = rand_r(&rnd) % 4;

		if (what == 0)
			same &= keymap_get(&m, &t->key) == (t->in ? t : NULL);
		else if ((what == 1) == grow) {
			same &= keymap_del(&m, &t->key) == (t->in ? t : NULL);
			t->in = false;
		} else if (!t->in) {
			same &= keymap_put(&m, &t->key, t);
			t->in = true;
		}
		if (step % 1000 == 0)
			same &= walks_all(&m, things, N);
	}
	ok(same, "200000 random operations as the naive list");
	keymap_clear(&m);
}

int
main(void)
{
	test_empty();
	test_one();
	test_whole_key();
	test_growth_and_shrink();
	test_deletion_runs();
	test_model();
	return tap_done();
}

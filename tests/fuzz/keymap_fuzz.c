/*
 * keymap_fuzz: each pair of bytes is an operation on one of 256 keys; the map
 * must agree with an array. The first byte seeds the hash.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/keymap.h"

#define KEYS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct thing {
	struct key key;
	bool in;
};

static void
check_walk(const struct keymap *m, size_t count)
{
	const struct thing *t;
	size_t at = 0, n = 0;

	while ((t = keymap_next(m, &at)) != NULL) {
		if (!t->in)
			abort();
		n++;
	}
	if (n != count || m->count != count)
		abort();
}

static void
operate(struct keymap *m, struct thing *t, uint8_t op, size_t *count)
{
	void *want = t->in ? t : NULL;

	if (op < 0x60) {
		if (!t->in && !keymap_put(m, &t->key, t))
			abort();
		*count += !t->in;
		t->in = true;
	} else if (op < 0xc0) {
		if (keymap_del(m, &t->key) != want)
			abort();
		*count -= t->in;
		t->in = false;
	} else if (op == 0xff) {
		check_walk(m, *count);
	} else if (keymap_get(m, &t->key) != want)
		abort();
	if (m->count != *count || m->count * 4 > m->cap * 3)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct thing things[KEYS];
	uint8_t seed[KEYMAP_SEED_LEN] = {0};
	struct keymap m;
	size_t count = 0;

	memset(things, 0, sizeof(things));
	for (size_t i = 0; i < KEYS; i++)
		things[i].key.b[i % KEY_LEN] = (uint8_t)(1 + i / KEY_LEN);
	seed[0] = size > 0 ? data[0] : 0;
	keymap_init(&m, seed);
	for (size_t i = 1; i + 1 < size; i += 2)
		operate(&m, &things[data[i + 1]], data[i], &count);
	check_walk(&m, count);
	for (size_t i = 0; i < KEYS; i++)
		if (keymap_get(&m, &things[i].key) !=
		    (things[i].in ? &things[i] : NULL))
			abort();
	keymap_clear(&m);
	return 0;
}

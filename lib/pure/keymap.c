/* keymap: open addressing, linear probes, deletion by shifting back. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pure/keymap.h"

_Static_assert(KEYMAP_SEED_LEN == crypto_shorthash_KEYBYTES, "seed");

#define CAP_MIN 16

struct keymap_slot {
	const struct key *key; /* NULL: free */
	void *value;
	uint64_t hash;
};

void
keymap_init(struct keymap *m, const uint8_t seed[static KEYMAP_SEED_LEN])
{
	memset(m, 0, sizeof(*m));
	memcpy(m->seed, seed, KEYMAP_SEED_LEN);
}

void
keymap_clear(struct keymap *m)
{
	free(m->slots);
	m->slots = NULL;
	m->cap = m->count = 0;
}

static uint64_t
hash_of(const struct keymap *m, const struct key *k)
{
	uint64_t h;

	crypto_shorthash((unsigned char *)&h, k->b, KEY_LEN, m->seed);
	return h;
}

/* The slot that holds the key, or the free one where it would go. */
static struct keymap_slot *
slot_of(const struct keymap *m, const struct key *k, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].key != NULL &&
	    (m->slots[i].hash != hash ||
		memcmp(m->slots[i].key, k, KEY_LEN) != 0))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static bool
resize(struct keymap *m, size_t cap)
{
	struct keymap old = *m;

	m->slots = calloc(cap, sizeof(*m->slots));
	if (m->slots == NULL) {
		*m = old;
		return false;
	}
	m->cap = cap;
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].key != NULL)
			*slot_of(m, old.slots[i].key, old.slots[i].hash) =
			    old.slots[i];
	free(old.slots);
	return true;
}

void *
keymap_get(const struct keymap *m, const struct key *k)
{
	if (m->count == 0)
		return NULL;
	return slot_of(m, k, hash_of(m, k))->value;
}

bool
keymap_put(struct keymap *m, const struct key *k, void *value)
{
	uint64_t hash = hash_of(m, k);

	/* At most three quarters full: probes stay short. */
	if ((m->count + 1) * 4 > m->cap * 3 &&
	    !resize(m, m->cap == 0 ? CAP_MIN : m->cap * 2))
		return false;
	*slot_of(m, k, hash) = (struct keymap_slot){k, value, hash};
	m->count++;
	return true;
}

void *
keymap_del(struct keymap *m, const struct key *k)
{
	size_t mask = m->cap - 1, hole, i, home;
	struct keymap_slot *s;
	void *value;

	if (m->count == 0)
		return NULL;
	s = slot_of(m, k, hash_of(m, k));
	if (s->key == NULL)
		return NULL;
	value = s->value;
	hole = (size_t)(s - m->slots);
	/* Move back every later slot of the run that may lie at the hole. */
	for (i = (hole + 1) & mask; m->slots[i].key != NULL;
	     i = (i + 1) & mask) {
		home = m->slots[i].hash & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	memset(&m->slots[hole], 0, sizeof(m->slots[hole]));
	m->count--;
	/* A map that once was large gives memory back; if it cannot be made
	 * smaller, it stays as it is. */
	if (m->cap > CAP_MIN && m->count * 8 < m->cap)
		(void)resize(m, m->cap / 2);
	return value;
}

void *
keymap_next(const struct keymap *m, size_t *at)
{
	while (*at < m->cap) {
		const struct keymap_slot *s = &m->slots[(*at)++];

		if (s->key != NULL)
			return s->value;
	}
	return NULL;
}

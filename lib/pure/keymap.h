/*
 * keymap: a hash table from public keys to pointers. The hash is keyed
 * (SipHash-2-4), since attackers choose keys. Grows by malloc; values are
 * lent: they, and the key inside each, stay the caller's.
 */
#ifndef PURE_KEYMAP_H
#define PURE_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"

#define KEYMAP_SEED_LEN 16

struct keymap_slot;

struct keymap {
	struct keymap_slot *slots; /* a power of two, or NULL if never used */
	size_t cap;
	size_t count;
	uint8_t seed[KEYMAP_SEED_LEN];
};

/* seed: random bytes, secret for the life of the map. */
void keymap_init(struct keymap *m, const uint8_t seed[static KEYMAP_SEED_LEN]);
void keymap_clear(struct keymap *m);

/* The value of a key, or NULL. */
void *keymap_get(const struct keymap *m, const struct key *k);

/*
 * Adds value (not NULL) under *k, which must live inside it: the map keeps
 * the pointer. The key must not be there yet. False if memory is short.
 */
bool keymap_put(struct keymap *m, const struct key *k, void *value);

/* Removes a key; returns its value, or NULL if it was not there. */
void *keymap_del(struct keymap *m, const struct key *k);

/* Walks all values: start with *at 0; NULL at the end. The map must not
 * change meanwhile. */
void *keymap_next(const struct keymap *m, size_t *at);

#endif

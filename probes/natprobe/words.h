/*
 * words: what all texts for people are made of. They are views of the result,
 * so they read nothing but its JSON, of which anything may be missing.
 */
#ifndef NATPROBE_WORDS_H
#define NATPROBE_WORDS_H

#include <stdbool.h>
#include <string.h>

#include <jansson.h>

/* Lent; NULL if o is none or has no such member. */
static inline const json_t *
get(const json_t *o, const char *key)
{
	return json_object_get(o, key);
}

/* Lent; "" if it is no string. */
static inline const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(get(o, key));

	return s == NULL ? "" : s;
}

/* True if it is that string. */
static inline bool
is(const json_t *o, const char *key, const char *word)
{
	return strcmp(str(o, key), word) == 0;
}

#endif

/*
 * words: what all texts for people are made of. They are views of the result,
 * so they read nothing but its JSON, of which anything may be missing. What
 * decides comes first, and lines are broken before they get too wide to read.
 */
#ifndef NATPROBE_WORDS_H
#define NATPROBE_WORDS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "pure/text.h"

#define WORDS_COLUMNS 100
/* Where the texts of words_line begin. */
#define WORDS_INDENT 21

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

/* 0 if it is no number. */
static inline double
number(const json_t *o, const char *key)
{
	return json_number_value(get(o, key));
}

/* True if it is that string. */
static inline bool
is(const json_t *o, const char *key, const char *word)
{
	return strcmp(str(o, key), word) == 0;
}

/* A word of the result, and what it means to people. */
struct meaning {
	const char *word, *text;
};
/* Of one of n; a word that is none of them is told as it is. Lent. */
const char *meaning_of(const struct meaning *all, size_t n, const char *word);
#define MEANING(all, word) meaning_of(all, sizeof(all) / sizeof(*(all)), word)

/* A line of an address family: a name of at most 18 columns, and a text. */
void words_line(FILE *out, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line, and its further lines with that indent. */
void words_fold(FILE *out, unsigned indent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* PURE. Adds such lines of text, which begins in the first column. */
void words_broken(struct text *out, unsigned indent, const char *text);

#endif

/*
 * json: reads what somebody else's JSON holds, member by member. PURE. The
 * first thing that is not as wanted is said, with its place; after that all
 * that is read is empty.
 */
#ifndef NATPROBE_VIEWS_JSON_H
#define NATPROBE_VIEWS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "probes/natprobe/nat/verdict.h"

#define JSON_NUMBER_MAX 1e6
#define JSON_WHERE_MAX	64 /* the longest is half of that */

/* The object that is read, and where it is; the first error stays. */
struct from {
	const json_t *o;
	char where[JSON_WHERE_MAX];
	char *error; /* READING_ERROR_MAX bytes */
	bool *good;
};

void refuse(const struct from *f, const char *key, const char *what);
/* The member of that name, lent; NULL, and refused, if there is none. */
const json_t *need(const struct from *f, const char *key);
/* True if it is there, and not null. */
bool has(const struct from *f, const char *key);
struct from inside(const struct from *f, const char *key);
/* An element of the array `key`; refused if it is no object. */
struct from element(const struct from *f, const char *key, const json_t *o);

bool get_bool(const struct from *f, const char *key);
/* Lent; "" if it is none. */
const char *get_string(const struct from *f, const char *key);
/* The same, but null is "", too. */
const char *get_optional(const struct from *f, const char *key);
/* A number from 0 to most; null is 0. */
double get_number(const struct from *f, const char *key, double most);
unsigned get_count(const struct from *f, const char *key);
/* Which of the n words it is. */
unsigned get_word(const struct from *f, const char *key,
    const char *(*word)(unsigned), unsigned n);
enum answer get_answer(const struct from *f, const char *key);
/* "why"; null: none. */
enum reason get_why(const struct from *f);
/* "192.0.2.1:5" or "[2001:db8::1]:5"; null leaves the port 0. */
void get_endpoint(const struct from *f, const char *key, struct stun_addr *a);

#endif

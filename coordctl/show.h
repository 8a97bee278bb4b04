/*
 * show: text for people and JSON for programs; errors; columns; times. All
 * text that is not the program's own is escaped here.
 */
#ifndef COORDCTL_SHOW_H
#define COORDCTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pure/text.h"

struct ctl;

/*
 * show.c
 */
/* Says "coordctl: ..." in one line on standard error. They return
 * STATUS_REFUSED and STATUS_USAGE. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void out_of_memory(void);
/* Adds s so that no terminal is moved by it: control characters, and those
 * that turn the order of text, are written as \x1b or \u202e. Returns how many
 * columns it takes. */
size_t text_safe(struct text *out, const char *s);
void put_safe(FILE *out, const char *s);
/* The same on standard output; line ends and tabs stay. */
void put_lines(const char *s);
/* Prints a line; text may be the server's. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A value as text for a cell; freed by the caller. Lists are joined with
 * commas; null and what is missing is "-". */
char *value_text(const json_t *v);
/* The string, or "" if it is none. Lent. */
const char *member(const json_t *object, const char *name);
bool is_true(const json_t *object, const char *name);
/* If JSON is asked for, prints v as that and returns true. */
bool put_if_json(const struct ctl *ctl, const json_t *v);
/* Of what a call answered: if it was done, prints v as JSON or a line such as
 * "Node robot-1 (ID 3) deleted." Frees v. Returns the status. */
int put_done(const struct ctl *ctl, int status, json_t *v, const char *kind,
    const char *did);
/* The same of something that was named on the command line and of which the
 * answer holds nothing. */
int put_gone(const struct ctl *ctl, int status, const char *kind,
    const char *name, const char *did);

/*
 * table.c
 */
enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD };

struct cell {
	char *text;
	size_t width;
	enum colour colour;
};

struct table {
	size_t columns;
	struct cell *cells;
	size_t n, cap;
};

/* header is a list that ends with NULL. */
void table_init(struct table *t, const char *const *header);
/* Without a header. */
void table_init_plain(struct table *t, size_t columns);
/* Cells come row by row. */
void table_add(struct table *t, const char *text);
void table_add_coloured(struct table *t, const char *text, enum colour c);
void table_value(struct table *t, const json_t *object, const char *name);
/* The same, cut if it is long: what strangers choose shall not push the other
 * columns out of sight. */
void table_brief(struct table *t, const json_t *object, const char *name);
/* yes or no; coloured by whether that is how it should be. */
void table_yes(struct table *t, bool is, bool should);
/* A time; none stands for null. */
void table_time(
    struct table *t, const json_t *object, const char *name, const char *none);
/* Prints it on standard output and frees it. */
void table_finish(struct table *t);

/*
 * when.c
 */
/* Reads "90d", "1h30m", "2w3d", "0": units y w d h m s, from large to small.
 * False if it is none, or over 200 years. */
bool duration_parse(const char *text, int64_t *seconds);
/* Reads an RFC 3339 time with any offset. */
bool time_parse(const char *text, int64_t *unix_s);
int64_t time_now(void);
/* "2026-11-22T21:50:06Z" as "2026-11-22 21:50:06"; else unchanged. Freed by
 * the caller. */
char *time_people(const char *rfc3339);

#endif

/*
 * text: a string under construction, grown by malloc up to a limit. `bad`
 * after a failed growth: further calls do nothing, so that a builder checks
 * once, at the end.
 */
#ifndef PURE_TEXT_H
#define PURE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *p; /* zero-terminated; NULL while nothing was added */
	size_t len, cap;
	size_t max; /* no longer than this; 0: no limit */
	bool bad;
};

#define TEXT_EMPTY ((struct text){0})

void text_clear(struct text *t);
/* Empties it but keeps its memory; bad is reset. */
void text_reset(struct text *t);

void text_add(struct text *t, const char *p, size_t n);
void text_str(struct text *t, const char *s);
void text_char(struct text *t, char c);
void text_fmt(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void text_u64(struct text *t, uint64_t v);
void text_hex(struct text *t, const uint8_t *p, size_t n);

/*
 * Adds s as a JSON string, with its quotes (RFC 8259 section 7). Bytes that
 * are no UTF-8 (RFC 3629) become U+FFFD, so the result is always valid.
 */
void text_json(struct text *t, const char *s);
void text_json_n(struct text *t, const char *s, size_t n);

/* Adds s with & < > " ' written as character references of HTML. */
void text_html(struct text *t, const char *s);

/* Adds unix seconds as RFC 3339 in UTC, "2026-11-22T21:50:06Z", no quotes.
 * Before 1970 or after 9999 is cut to those. Pure: no zone is looked up. */
void text_time(struct text *t, int64_t unix_s);

/* Gives the string to the caller, who frees it; NULL if bad. t is empty
 * then. A text to which nothing was added gives "". */
char *text_take(struct text *t);

#endif

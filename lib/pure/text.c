/* text: grows by doubling; what is escaped is added in runs, not by bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pure/text.h"

#define TEXT_FIRST 64 /* bytes of the first allocation */

static const char hex_digits[] = "0123456789abcdef";

void
text_clear(struct text *t)
{
	free(t->p);
	t->p = NULL;
	t->len = t->cap = 0;
	t->bad = false;
}

void
text_reset(struct text *t)
{
	t->len = 0;
	t->bad = false;
	if (t->p != NULL)
		t->p[0] = '\0';
}

/* Makes room for n more bytes and the zero behind them. */
static bool
text_grow(struct text *t, size_t n)
{
	const size_t max = t->max != 0 ? t->max : SIZE_MAX / 2;
	size_t cap = t->cap != 0 ? t->cap : TEXT_FIRST;
	char *p;

	if (t->bad)
		return false;
	if (t->len > max || n > max - t->len) {
		t->bad = true;
		return false;
	}
	if (t->len + n < t->cap)
		return true;
	while (cap <= t->len + n)
		cap *= 2;
	if (cap > max)
		cap = max + 1;
	if ((p = realloc(t->p, cap)) == NULL) {
		t->bad = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void
text_add(struct text *t, const char *p, size_t n)
{
	if (n == 0 || !text_grow(t, n))
		return;
	memcpy(t->p + t->len, p, n);
	t->len += n;
	t->p[t->len] = '\0';
}

void
text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_char(struct text *t, char c)
{
	text_add(t, &c, 1);
}

void
text_fmt(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->bad)
		return;
	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->bad = true;
		return;
	}
	if (n == 0 || !text_grow(t, (size_t)n))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(t->p + t->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

void
text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	text_add(t, digits + at, sizeof(digits) - at);
}

void
text_hex(struct text *t, const uint8_t *p, size_t n)
{
	if (n > SIZE_MAX / 4) {
		t->bad = true;
		return;
	}
	if (n == 0 || !text_grow(t, n * 2))
		return;
	for (size_t i = 0; i < n; i++) {
		t->p[t->len++] = hex_digits[p[i] >> 4];
		t->p[t->len++] = hex_digits[p[i] & 15];
	}
	t->p[t->len] = '\0';
}

/*
 * The length of the UTF-8 character at the beginning of n bytes; 0 if there
 * is none. By the table of RFC 3629 section 4: no surrogate, nothing above
 * U+10FFFF and no character longer than it need be.
 */
static size_t
utf8_len(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf; /* of the second byte */
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (n < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return len;
}

/* A byte which must not stand in a JSON string as it is. */
static void
json_escape(struct text *t, uint8_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c == 0 ? NULL : strchr(from, c);
	const char unicode[] = {
	    '\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};

	if (at != NULL) {
		text_char(t, '\\');
		text_char(t, to[at - from]);
	} else
		text_add(t, unicode, sizeof(unicode));
}

void
text_json_n(struct text *t, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t from = 0, at = 0, len;

	text_char(t, '"');
	while (at < n) {
		len = utf8_len(p + at, n - at);
		if (len != 0 && p[at] >= ' ' && p[at] != '"' && p[at] != '\\') {
			at += len;
			continue;
		}
		text_add(t, s + from, at - from);
		if (len == 0)
			text_str(t, "\xef\xbf\xbd");
		else
			json_escape(t, p[at]);
		from = ++at;
	}
	text_add(t, s + from, at - from);
	text_char(t, '"');
}

void
text_json(struct text *t, const char *s)
{
	text_json_n(t, s, strlen(s));
}

static const char *
html_reference(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	default:
		return "&#39;";
	}
}

void
text_html(struct text *t, const char *s)
{
	while (*s != '\0') {
		size_t n = strcspn(s, "&<>\"'");

		text_add(t, s, n);
		s += n;
		if (*s != '\0')
			text_str(t, html_reference(*s++));
	}
}

/*
 * The civil date of a day since 1970-01-01. Counted in years which begin on
 * the 1st of March, so that a leap day is the last of its year: then the
 * months from March on have 31 30 31 30 31 | 31 30 31 30 31 | 31 days, which
 * (153 * m + 2) / 5 sums up.
 */
static void
civil_date(unsigned day, unsigned *year, unsigned *month, unsigned *mday)
{
	const unsigned century4 = 146097; /* days of 400 years */
	unsigned era, of_era, years, of_year, m;

	day += 719468; /* since 0000-03-01 */
	era = day / century4;
	of_era = day % century4;
	years =
	    (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * years + years / 4 - years / 100);
	m = (5 * of_year + 2) / 153;
	*mday = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = era * 400 + years + (*month <= 2);
}

void
text_time(struct text *t, int64_t unix_s)
{
	const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
	unsigned year, month, mday, of_day;

	if (unix_s < 0)
		unix_s = 0;
	if (unix_s > last)
		unix_s = last;
	of_day = (unsigned)(unix_s % 86400);
	civil_date((unsigned)(unix_s / 86400), &year, &month, &mday);
	text_fmt(t, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month, mday,
	    of_day / 3600, of_day / 60 % 60, of_day % 60);
}

char *
text_take(struct text *t)
{
	char *p = NULL;

	if (text_grow(t, 0)) {
		t->p[t->len] = '\0';
		/* It may be kept for long. */
		if ((p = realloc(t->p, t->len + 1)) == NULL)
			p = t->p;
		t->p = NULL;
	}
	text_clear(t);
	return p;
}

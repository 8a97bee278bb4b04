/* view: rows to lines and escape codes. PURE: knows no terminal. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/live/live.h"

#define PART_COLUMNS 10
#define BAR_COLUMNS  20
/* A narrow terminal shows a short bar, and none where text has no room. */
#define BAR_SHORT      8
#define WIDE_COLUMNS   60
#define NARROW_COLUMNS 24

struct view_row *
view_row(struct view *v, const char *part)
{
	struct view_row *r;

	for (size_t i = 0; i < v->n; i++)
		if (strncmp(v->rows[i].part, part, LIVE_PART_MAX - 1) == 0)
			return &v->rows[i];
	if (v->n == LIVE_ROWS)
		return NULL;
	r = &v->rows[v->n++];
	memset(r, 0, sizeof(*r));
	snprintf(r->part, sizeof(r->part), "%s", part);
	return r;
}

/* ---- characters ---- */

/* The length of the UTF-8 sequence at s, or 0: none (RFC 3629). */
static size_t
sequence(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1
	    : s[0] < 0xc2      ? 0
	    : s[0] < 0xe0      ? 2
	    : s[0] < 0xf0      ? 3
	    : s[0] < 0xf5      ? 4
			       : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* C0, DEL, and the C1 controls U+0080 to U+009F, which some terminals obey. */
static bool
is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

void
view_clean(char *text)
{
	unsigned char *s = (unsigned char *)text, *to = s;
	size_t n;

	while (*s != '\0') {
		n = sequence(s);
		if (n == 0 || is_control(s)) {
			*to++ = '?';
			s += n == 0 ? 1 : n;
		} else
			while (n-- > 0)
				*to++ = *s++;
	}
	*to = '\0';
}

/* Latin, Greek and the like take one column. What comes after may take two,
 * so it is counted as two: a line too short is better than one too long. */
static unsigned
columns_of(size_t sequence_len)
{
	return sequence_len > 2 ? 2 : 1;
}

/* Adds as much of s as fits into the columns that are left. */
static void
add_fitting(struct text *out, const char *s, unsigned *left)
{
	while (*s != '\0') {
		size_t n = sequence((const unsigned char *)s);

		if (n == 0)
			n = 1;
		if (columns_of(n) > *left) {
			*left = 0;
			return;
		}
		text_add(out, s, n);
		*left -= columns_of(n);
		s += n;
	}
}

/* ---- lines ---- */

static void
add_bar(struct text *out, const struct view_row *r, unsigned *left)
{
	unsigned columns = *left >= WIDE_COLUMNS ? BAR_COLUMNS : BAR_SHORT;
	char bar[BAR_COLUMNS + 4];
	uint64_t full;

	if (r->total == 0 || *left < NARROW_COLUMNS)
		return;
	full = r->done >= r->total ? columns : r->done * columns / r->total;
	bar[0] = '[';
	for (unsigned i = 0; i < columns; i++)
		bar[1 + i] = i < full ? '#' : '.';
	memcpy(bar + 1 + columns, "] ", 3);
	add_fitting(out, bar, left);
}

static void
add_row(struct text *out, const struct view_row *r, bool colour, unsigned *left)
{
	char part[LIVE_PART_MAX + PART_COLUMNS];

	snprintf(part, sizeof(part), "%-*s", PART_COLUMNS, r->part);
	text_str(out, colour ? "\033[1m" : "");
	add_fitting(out, part, left);
	text_str(out, colour ? "\033[0m" : "");
	add_fitting(out, " ", left);
	add_bar(out, r, left);
	add_fitting(out, r->text, left);
}

static void
add_title(struct text *out, const struct view *v, bool colour, unsigned *left)
{
	char title[LIVE_TEXT_MAX];

	snprintf(title, sizeof(title), "%-*s %lld s of at most %lld s",
	    PART_COLUMNS, v->title, (long long)(v->elapsed_us / 1000000),
	    (long long)(v->longest_us / 1000000));
	view_clean(title);
	text_str(out, colour ? "\033[2m" : "");
	add_fitting(out, title, left);
	text_str(out, colour ? "\033[0m" : "");
}

/* The last column stays free, else some terminals begin a new line; and the
 * cursor needs a line below. */
unsigned
view_lines(struct text *out, const struct view *v, const struct view_size *size)
{
	unsigned room = size->columns > 1 ? size->columns - 1 : 1;
	size_t most = size->lines > 1 ? size->lines - 1 : 0, n = v->n + 1;
	size_t first = n > most ? n - most : 0;

	for (size_t i = first; i < n; i++) {
		unsigned left = room;

		if (i == 0)
			add_title(out, v, size->colour, &left);
		else
			add_row(out, &v->rows[i - 1], size->colour, &left);
		text_str(out, "\n");
	}
	return (unsigned)(n - first);
}

/* ---- the screen ---- */

/* Each line's rest is cleared after it is written, never before: nothing
 * flickers. */
static void
add_drawn(struct text *out, const char *lines)
{
	for (; *lines != '\0'; lines++)
		if (*lines == '\n')
			text_str(out, "\033[K\r\n");
		else
			text_char(out, *lines);
}

void
view_draw(struct text *out, const struct view *v, const struct view_size *size)
{
	struct text lines = TEXT_EMPTY;
	unsigned n = view_lines(&lines, v, size);

	text_char(out, '\r');
	if (!lines.bad && lines.p != NULL)
		add_drawn(out, lines.p);
	text_str(out, "\033[J");
	if (n > 0)
		text_fmt(out, "\033[%uA", n);
	text_clear(&lines);
}

void
view_erase(struct text *out)
{
	text_str(out, "\r\033[J");
}

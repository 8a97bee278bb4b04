/* table: aligned columns. Text is measured in columns of a terminal, not in
 * bytes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "coordctl/coordctl.h"

#define GAP	  2
#define BRIEF_MAX 32

void
table_init_plain(struct table *t, size_t columns)
{
	memset(t, 0, sizeof(*t));
	t->columns = columns;
}

void
table_init(struct table *t, const char *const *header)
{
	size_t columns = 0;

	while (header[columns] != NULL)
		columns++;
	table_init_plain(t, columns);
	for (size_t i = 0; i < columns; i++)
		table_add(t, header[i]);
}

void
table_add_coloured(struct table *t, const char *text, enum colour c)
{
	struct text safe = TEXT_EMPTY;
	size_t cap = t->cap == 0 ? 64 : t->cap * 2;
	struct cell *cells;

	if (t->n == t->cap) {
		cells = reallocarray(t->cells, cap, sizeof(*cells));
		if (cells == NULL)
			out_of_memory();
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n].width = text_safe(&safe, text);
	t->cells[t->n].colour = c;
	if ((t->cells[t->n].text = text_take(&safe)) == NULL)
		out_of_memory();
	t->n++;
}

void
table_add(struct table *t, const char *text)
{
	table_add_coloured(t, text, COLOUR_NONE);
}

void
table_value(struct table *t, const json_t *object, const char *name)
{
	char *s = value_text(json_object_get(object, name));

	table_add(t, s);
	free(s);
}

/* Cuts it to BRIEF_MAX columns, the dots included. It holds nothing that moves
 * the cursor; what goes away takes no fewer bytes than the dots. */
static void
cell_cut(struct cell *c)
{
	static const char dots[] = "...";
	size_t left = strlen(c->text), width = 0, n;
	char *p = c->text;
	mbstate_t state = {0};
	wchar_t w;

	if (c->width <= BRIEF_MAX)
		return;
	for (; (n = mbrtowc(&w, p, left, &state)) <= left; left -= n, p += n) {
		if (width + (size_t)wcwidth(w) > BRIEF_MAX - (sizeof(dots) - 1))
			break;
		width += (size_t)wcwidth(w);
	}
	memcpy(p, dots, sizeof(dots));
	c->width = width + sizeof(dots) - 1;
}

void
table_brief(struct table *t, const json_t *object, const char *name)
{
	table_value(t, object, name);
	cell_cut(&t->cells[t->n - 1]);
}

void
table_yes(struct table *t, bool is, bool should)
{
	table_add_coloured(
	    t, is ? "yes" : "no", is == should ? COLOUR_GOOD : COLOUR_BAD);
}

void
table_time(
    struct table *t, const json_t *object, const char *name, const char *none)
{
	const char *s = member(object, name);
	char *text;

	if (*s == '\0') {
		table_add(t, none);
		return;
	}
	text = time_people(s);
	table_add(t, text);
	free(text);
}

static bool
want_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

static void
put_cell(const struct cell *c, bool coloured)
{
	static const char *const begin[] = {
	    [COLOUR_GOOD] = "\033[32m",
	    [COLOUR_BAD] = "\033[31m",
	};

	coloured = coloured && c->colour != COLOUR_NONE;
	if (coloured)
		fputs(begin[c->colour], stdout);
	fputs(c->text, stdout);
	if (coloured)
		fputs("\033[0m", stdout);
}

void
table_finish(struct table *t)
{
	bool coloured = want_colour();
	size_t width, last = t->columns - 1;

	/* Each cell's width becomes that of its column; the last has no pad. */
	for (size_t column = 0; column < last; column++) {
		width = 0;
		for (size_t i = column; i < t->n; i += t->columns)
			if (t->cells[i].width > width)
				width = t->cells[i].width;
		for (size_t i = column; i < t->n; i += t->columns)
			t->cells[i].width = width + GAP - t->cells[i].width;
	}
	for (size_t i = 0; i < t->n; i++) {
		put_cell(&t->cells[i], coloured);
		if (i % t->columns == last)
			putchar('\n');
		else
			printf("%*s", (int)t->cells[i].width, "");
		free(t->cells[i].text);
	}
	free(t->cells);
	t->cells = NULL;
	t->n = t->cap = 0;
}

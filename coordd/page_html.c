/* page_html: HTML in the making. PURE but for the addresses of lists, which
 * look at the request. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

#define MINUTE 60
#define HOUR   3600
#define DAY    86400
/* Beyond so many days the date says more than their number. */
#define DAYS_MAX 400

/* Adds one value; returns what follows the conversion. */
static const char *
add_value(struct text *t, const char *conversion, va_list ap)
{
	if (*conversion == 's') {
		text_html(t, va_arg(ap, const char *));
		return conversion + 1;
	}
	if (*conversion == 'd') {
		text_fmt(t, "%d", va_arg(ap, int));
		return conversion + 1;
	}
	if (strncmp(conversion, "zu", 2) == 0) {
		text_u64(t, va_arg(ap, size_t));
		return conversion + 2;
	}
	if (strncmp(conversion, "llu", 3) == 0) {
		text_u64(t, va_arg(ap, unsigned long long));
		return conversion + 3;
	}
	abort(); /* a mistake in the format, which no input can make */
}

void
html_fmt(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (;;) {
		size_t n = strcspn(fmt, "%");

		text_add(t, fmt, n);
		if (fmt[n] == '\0')
			break;
		fmt = add_value(t, fmt + n + 1, ap);
	}
	va_end(ap);
}

void
html_query(struct text *t, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";

	for (; *s != '\0'; s++)
		if (strchr(plain, *s) != NULL)
			text_char(t, *s);
		else
			text_fmt(t, "%%%02X", (unsigned char)*s);
}

void
html_count(struct text *t, size_t n)
{
	if (n >= 1000) {
		html_count(t, n / 1000);
		text_fmt(t, ",%03zu", n % 1000);
	} else {
		text_u64(t, n);
	}
}

static void
add_distance(struct text *t, int64_t seconds)
{
	static const struct {
		int64_t unit;
		const char *name;
	} units[] = {{DAY, "d"}, {HOUR, "h"}, {MINUTE, "min"}};
	size_t i = 0;

	while (i < 2 && seconds < 2 * units[i].unit)
		i++;
	text_fmt(
	    t, "%lld %s", (long long)(seconds / units[i].unit), units[i].name);
}

void
html_when(struct text *t, int64_t unix_s, int64_t now)
{
	int64_t ahead = unix_s - now;

	if (unix_s == 0) {
		text_str(t, "never");
		return;
	}
	text_str(t, "<time datetime=\"");
	text_time(t, unix_s);
	text_str(t, "\" title=\"");
	html_time(t, unix_s);
	text_str(t, "\">");
	if (llabs(ahead) > DAYS_MAX * (int64_t)DAY) {
		html_time(t, unix_s);
	} else if (llabs(ahead) < MINUTE) {
		text_str(t, ahead > 0 ? "in less than 1 min" : "just now");
	} else {
		text_str(t, ahead > 0 ? "in " : "");
		add_distance(t, llabs(ahead));
		text_str(t, ahead > 0 ? "" : " ago");
	}
	text_str(t, "</time>");
}

void
html_time(struct text *t, int64_t unix_s)
{
	struct text full = TEXT_EMPTY;

	text_time(&full, unix_s);
	if (full.bad || full.len != 20)
		t->bad = true;
	else
		text_fmt(t, "%.10s %.8s UTC", full.p, full.p + 11);
	text_clear(&full);
}

void
html_mark(struct text *t, const char *kind, const char *word)
{
	html_fmt(t, " <span class=\"mark %s\">%s</span>", kind, word);
}

void
page_link(const struct page *p, struct text *t, const char *path,
    const char *const *names, const char *name, const char *value)
{
	const char *between = "?";

	text_str(t, path);
	for (; *names != NULL; names++) {
		const char *v = page_value(p, *names);

		if (strcmp(*names, name) == 0)
			v = value;
		else if (strcmp(*names, "page") == 0)
			v = "";
		if (v[0] == '\0')
			continue;
		text_fmt(t, "%s%s=", between, *names);
		html_query(t, v);
		between = "&amp;";
	}
}

struct page_slice
page_slice_of(const struct page *p, size_t total)
{
	struct page_slice s = {.total = total};
	long wanted = strtol(page_value(p, "page"), NULL, 10);

	s.pages = total == 0 ? 1 : (total - 1) / PAGE_ROWS + 1;
	s.page = wanted < 1 ? 1 : (size_t)wanted;
	if (s.page > s.pages)
		s.page = s.pages;
	s.from = (s.page - 1) * PAGE_ROWS;
	s.to = total - s.from < PAGE_ROWS ? total : s.from + PAGE_ROWS;
	return s;
}

static void
add_way(struct page *p, const char *path, const char *const *names, size_t page,
    const char *rel, const char *word)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", page);
	text_str(&p->out, " <a class=\"button\" href=\"");
	page_link(p, &p->out, path, names, "page", page == 1 ? "" : number);
	html_fmt(&p->out, "\" rel=\"%s\">%s</a>", rel, word);
}

void
page_slice_nav(struct page *p, const struct page_slice *s, const char *path,
    const char *const *names, const char *const what[2])
{
	struct text *t = &p->out;

	text_str(t, "<nav class=\"pager\" aria-label=\"Pages\"><p>");
	if (s->pages > 1) {
		html_count(t, s->from + 1);
		text_str(t, " to ");
		html_count(t, s->to);
		text_str(t, " of ");
	}
	html_count(t, s->total);
	html_fmt(t, " %s</p>", what[s->total != 1]);
	if (s->pages > 1) {
		text_str(t, "<p>");
		if (s->page > 1) {
			add_way(p, path, names, 1, "first", "First");
			add_way(
			    p, path, names, s->page - 1, "prev", "Previous");
		}
		if (s->page < s->pages) {
			add_way(p, path, names, s->page + 1, "next", "Next");
			add_way(p, path, names, s->pages, "last", "Last");
		}
		text_str(t, "</p>");
	}
	text_str(t, "</nav>\n");
}

void
page_user_field(struct page *p, const char *id)
{
	const struct user *u = TAILQ_FIRST(&p->c->model.users);
	bool only = u != NULL && TAILQ_NEXT(u, entry) == NULL;

	html_fmt(&p->out,
	    "<input id=\"%s\" name=\"user\" list=\"users\" required "
	    "autocomplete=\"off\" autocapitalize=\"none\" "
	    "spellcheck=\"false\" value=\"%s\">",
	    id, only ? u->name : "");
}

void
page_user_list(struct page *p)
{
	const struct user *u;

	text_str(&p->out, "<datalist id=\"users\">");
	TAILQ_FOREACH (u, &p->c->model.users, entry)
		html_fmt(&p->out, "<option value=\"%s\">", u->name);
	text_str(&p->out, "</datalist>\n");
}

size_t
page_words(char *text, const char **v, size_t max)
{
	char *save = NULL, *word;
	size_t n = 0;

	for (word = strtok_r(text, " ,\t\r\n", &save); word != NULL && n < max;
	     word = strtok_r(NULL, " ,\t\r\n", &save))
		v[n++] = word;
	return n;
}

/* page_audit: who did what. */
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

static const char *const names[] = {"q", "page", NULL};
static const char *const what[] = {"entry", "entries"};

struct reading {
	struct text *t;
	const struct page_audit_wish *w;
	size_t found;
};

static bool
has(const char *text, const char *with)
{
	return strcasestr(text, with) != NULL;
}

static void
add_entry(void *arg, int64_t when, const char *who, const char *did,
    const char *detail)
{
	struct reading *r = arg;
	const struct page_audit_wish *w = r->w;
	size_t i;

	if (w->with[0] != '\0' && !has(who, w->with) && !has(did, w->with) &&
	    !has(detail, w->with))
		return;
	i = r->found++;
	if (i < w->skip || i - w->skip >= w->show)
		return;
	text_str(r->t, "<tr><td class=\"time\">");
	html_time(r->t, when);
	html_fmt(r->t,
	    "</td><td class=\"what\">%s</td><td class=\"detail\"><bdi>%s</bdi>"
	    "</td><td class=\"who\"><bdi>%s</bdi></td></tr>\n",
	    did, detail, who);
}

static const char table_head[] =
    "<table class=\"audit\">\n<thead><tr><th scope=\"col\">Time</th>"
    "<th scope=\"col\">What</th><th scope=\"col\">Detail</th>"
    "<th scope=\"col\">Who</th></tr></thead>\n<tbody>\n";

size_t
page_audit_table(struct page *p, const struct page_audit_wish *w)
{
	struct reading r = {.t = &p->out, .w = w};
	int read;

	if (w->show > 0)
		text_str(&p->out, table_head);
	read = store_audit_read(p->c->store, w->read, add_entry, &r);
	if (w->show == 0)
		return r.found;
	if (read == -1)
		html_fmt(&p->out, "<tr><td colspan=\"4\">%s</td></tr>\n",
		    store_error(p->c->store));
	else if (r.found <= w->skip)
		text_str(&p->out, "<tr><td colspan=\"4\">nothing</td></tr>\n");
	text_str(&p->out, "</tbody></table>\n");
	return r.found;
}

void
page_audit(struct page *p)
{
	struct page_audit_wish w = {
	    .with = page_value(p, "q"), .read = STORE_AUDIT_KEEP};
	struct page_slice s;

	page_begin(p, "Audit log", "/audit");
	html_fmt(&p->out,
	    "<form class=\"filter\" role=\"search\" action=\"/audit\">\n"
	    "<p><label for=\"q\">Filter</label> <input id=\"q\" name=\"q\" "
	    "type=\"search\" placeholder=\"who, what or to whom\" "
	    "autocapitalize=\"none\" spellcheck=\"false\" value=\"%s\"></p>\n"
	    "<p><button>Show</button></p>\n</form>\n"
	    "<div id=\"list\" data-live>\n",
	    w.with);
	s = page_slice_of(p, page_audit_table(p, &w));
	w.skip = s.from;
	w.show = PAGE_ROWS;
	page_slice_nav(p, &s, "/audit", names, what);
	(void)page_audit_table(p, &w);
	text_str(&p->out, "</div>\n");
	page_end(p, HTTP_OK);
}

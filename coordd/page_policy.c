/* page_policy: the policy in force, and whether it lets one reach another. */
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

/* ---- may one reach the other? ---- */

static void
add_field(
    struct page *p, const char *name, const char *label, const char *attributes)
{
	html_fmt(&p->out,
	    "<p><label for=\"%s\">%s</label> <input id=\"%s\" name=\"%s\" "
	    "required autocomplete=\"off\" autocapitalize=\"none\" "
	    "spellcheck=\"false\" value=\"%s\" ",
	    name, label, name, name, page_value(p, name));
	text_str(&p->out, attributes);
	text_str(&p->out, "></p>\n");
}

static void
add_error(struct page *p, const char *before, const char *value)
{
	html_fmt(
	    &p->out, "<p class=\"notice bad\">%s “%s”.</p>\n", before, value);
}

static void
add_answer(struct page *p, bool allowed, size_t line)
{
	if (!allowed)
		text_str(&p->out,
		    "<p class=\"notice bad\">No: nothing in the policy "
		    "lets it.</p>\n");
	else if (line == 0)
		text_str(&p->out,
		    "<p class=\"notice\">Yes: without a policy everybody "
		    "reaches everybody.</p>\n");
	else
		html_fmt(&p->out,
		    "<p class=\"notice\">Yes, by <a href=\"#line-%zu\">line "
		    "%zu</a> of the policy.</p>\n",
		    line, line);
}

static void
explain(struct page *p)
{
	const char *src = page_value(p, "src"), *dst = page_value(p, "dst");
	long port = strtol(page_value(p, "port"), NULL, 10);
	const struct node *from = ops_find_node(p->c, src);
	const struct node *to = ops_find_node(p->c, dst);
	struct policy_world w;
	struct ip ip;
	size_t line = 0;
	bool allowed;

	if (from == NULL) {
		add_error(p, "There is no node", src);
	} else if (!ip_parse(&ip, dst, strlen(dst)) && to == NULL) {
		add_error(p, "This is no node and no address:", dst);
	} else if (port < 1 || port > 65535) {
		add_error(p, "This is no port:", page_value(p, "port"));
	} else if (!ops_world(p->c, &w)) {
		p->out.bad = true;
	} else {
		if (!ip_parse(&ip, dst, strlen(dst)))
			ip = to->ip4;
		allowed = policy_explain(p->c->policy, &w, &from->subject,
		    to == NULL ? NULL : &to->subject, &ip, (uint16_t)port, 0,
		    &line);
		ops_world_free(&w);
		add_answer(p, allowed, line);
	}
}

static void
add_question(struct page *p)
{
	text_str(&p->out,
	    "<section><h2>Who reaches whom</h2>\n"
	    "<form class=\"filter\" action=\"/policy\">\n");
	add_field(p, "src", "From node", "placeholder=\"name or address\"");
	add_field(p, "dst", "to", "placeholder=\"name or address\"");
	add_field(p, "port", "port",
	    "type=\"number\" min=\"1\" max=\"65535\" placeholder=\"22\"");
	text_str(&p->out, "<p><button>Ask</button></p></form>\n");
	if (page_value(p, "src")[0] != '\0')
		explain(p);
	text_str(&p->out, "</section>\n");
}

/* ---- the text ---- */

/* One element per line, which numbers and links can be tied to. */
static void
add_source(struct page *p, const char *source)
{
	char *copy = strdup(source), *rest = copy, *line;

	if (copy == NULL) {
		p->out.bad = true;
		return;
	}
	text_str(&p->out, "<pre class=\"policy\" tabindex=\"0\">");
	for (size_t i = 1; (line = strsep(&rest, "\n")) != NULL; i++)
		if (line[0] != '\0' || rest != NULL)
			html_fmt(&p->out, "<span id=\"line-%zu\">%s</span>\n",
			    i, line);
	text_str(&p->out, "</pre>\n");
	free(copy);
}

static void
add_origin(struct page *p)
{
	const struct coordd *c = p->c;

	text_str(&p->out, "<p>");
	if (strncmp(c->policy_from, "file:", 5) == 0)
		html_fmt(&p->out,
		    "From the file <code>%s</code>, which coordd reads again "
		    "on SIGHUP and <code>coordctl policy reload</code>. ",
		    c->policy_from + 5);
	else if (strcmp(c->policy_from, "database") == 0)
		text_str(&p->out,
		    "From the database, put there by <code>coordctl policy "
		    "set</code>. ");
	text_str(&p->out, "In force since ");
	html_when(&p->out, c->policy_loaded, p->now);
	text_str(&p->out, ".</p>\n");
}

void
page_policy(struct page *p)
{
	const char *source = policy_source(p->c->policy);

	page_begin(p, "Policy", "/policy");
	add_question(p);
	text_str(
	    &p->out, "<section id=\"policy\" data-live><h2>In force</h2>\n");
	add_origin(p);
	if (source == NULL || source[0] == '\0')
		text_str(&p->out,
		    "<p>There are no rules: everybody reaches everybody. "
		    "<code>coordctl policy set FILE</code> sets some.</p>\n");
	else
		add_source(p, source);
	text_str(&p->out, "</section>\n");
	page_end(p, HTTP_OK);
}

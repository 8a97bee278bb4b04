/* page_users: the users. */
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

static const char *const names[] = {"page", NULL};
static const char *const what[] = {"user", "users"};

static size_t
count_keys(const struct page *p, const struct user *u)
{
	const struct authkey *k;
	size_t n = 0;

	TAILQ_FOREACH (k, &p->c->model.authkeys, entry)
		n += k->user == u && authkey_is_usable(k, p->now);
	return n;
}

static void
add_changes(struct page *p, const struct user *u)
{
	unsigned long long id = u->id;

	html_fmt(&p->out,
	    "<details><summary>Change…</summary>\n"
	    "<form method=\"post\" action=\"/users/%llu/rename\">"
	    "<label for=\"name-%llu\">Name</label> "
	    "<input id=\"name-%llu\" name=\"name\" required "
	    "maxlength=\"%d\" autocapitalize=\"none\" spellcheck=\"false\" "
	    "value=\"%s\"> <button>Rename</button></form>\n",
	    id, id, id, USER_NAME_MAX, u->name);
	if (u->nodes > 0)
		text_str(&p->out,
		    "<p class=\"hint\">It can be deleted once it owns no "
		    "node.</p>");
	else
		html_fmt(&p->out,
		    "<form method=\"post\" action=\"/users/%llu/delete\">"
		    "<button class=\"danger\">Delete it and its keys"
		    "</button></form>",
		    id);
	text_str(&p->out, "</details>");
}

static void
add_user(struct page *p, const struct user *u)
{
	struct text *t = &p->out;

	html_fmt(t,
	    "<tr><th scope=\"row\">%s <small class=\"raw\"><bdi>%s</bdi>"
	    "</small></th><td><a href=\"/nodes?user=",
	    u->name, u->display_name);
	html_query(t, u->name);
	text_str(t, "\">");
	html_count(t, u->nodes);
	html_fmt(t, " %s</a></td><td><a href=\"/keys?user=",
	    u->nodes == 1 ? "node" : "nodes");
	html_query(t, u->name);
	text_str(t, "\">");
	html_count(t, count_keys(p, u));
	text_str(t, " usable</a></td><td class=\"wide\">");
	html_when(t, u->created, p->now);
	text_str(t, "</td><td>");
	add_changes(p, u);
	text_str(t, "</td></tr>\n");
}

static void
add_list(struct page *p)
{
	const struct user *u;
	struct page_slice s;
	size_t n = 0, i = 0;

	TAILQ_FOREACH (u, &p->c->model.users, entry)
		n++;
	s = page_slice_of(p, n);
	page_slice_nav(p, &s, "/users", names, what);
	if (n == 0)
		return;
	text_str(&p->out,
	    "<table class=\"users\">\n<thead><tr><th scope=\"col\">Name</th>"
	    "<th scope=\"col\">Nodes</th><th scope=\"col\">Keys</th>"
	    "<th scope=\"col\" class=\"wide\">Since</th>"
	    "<th scope=\"col\"><span class=\"hidden\">Change</span></th>"
	    "</tr></thead>\n<tbody>\n");
	TAILQ_FOREACH (u, &p->c->model.users, entry) {
		if (i >= s.from && i < s.to)
			add_user(p, u);
		i++;
	}
	text_str(&p->out, "</tbody></table>\n");
}

void
page_users(struct page *p)
{
	page_begin(p, "Users", "/users");
	text_str(&p->out, "<div id=\"list\" data-live>\n");
	add_list(p);
	html_fmt(&p->out,
	    "</div>\n<section><h2>New user</h2>\n"
	    "<div class=\"forms\"><form method=\"post\" action=\"/users\">"
	    "<label for=\"name\">Name, of a-z 0-9 . _ -</label>"
	    "<input id=\"name\" name=\"name\" required maxlength=\"%d\" "
	    "autocapitalize=\"none\" spellcheck=\"false\">"
	    "<label for=\"display\">Name to show, if another</label>"
	    "<input id=\"display\" name=\"display_name\">"
	    "<button>Create</button></form></div></section>\n",
	    USER_NAME_MAX);
	page_end(p, HTTP_OK);
}

void
page_user_create(struct page *p)
{
	struct ops_result r;

	page_answer(p,
	    ops_user_create(p->c, p->who, page_value(p, "name"),
		page_value(p, "display_name"), &r) != NULL,
	    &r, "/users");
}

void
page_user_rename(struct page *p)
{
	struct user *u = model_user(&p->c->model, page_arg_id(p));
	struct ops_result r;

	if (u == NULL)
		page_missing(p, "user", "/users");
	else
		page_answer(p,
		    ops_user_rename(p->c, p->who, u, page_value(p, "name"), &r),
		    &r, "/users");
}

void
page_user_delete(struct page *p)
{
	struct user *u = model_user(&p->c->model, page_arg_id(p));
	struct ops_result r;

	if (u == NULL)
		page_missing(p, "user", "/users");
	else
		page_answer(
		    p, ops_user_delete(p->c, p->who, u, &r), &r, "/users");
}

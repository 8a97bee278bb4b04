/* page_keys: pre-authentication keys. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/page.h"

#define DAYS_MAX 3650

static const char *const names[] = {"show", "user", "page", NULL};
static const char *const what[] = {"key", "keys"};

/* ---- the list ---- */

static bool
is_wished(const struct page *p, const struct authkey *k)
{
	const char *user = page_value(p, "user");

	return (strcmp(page_value(p, "show"), "all") == 0 ||
		   authkey_is_usable(k, p->now)) &&
	    (user[0] == '\0' || strcmp(user, k->user->name) == 0);
}

static void
add_state(struct page *p, const struct authkey *k)
{
	if (authkey_is_usable(k, p->now))
		html_mark(&p->out, "good", "usable");
	else if (k->used && !k->reusable)
		html_mark(&p->out, "", "used");
	else
		html_mark(&p->out, "", "expired");
	html_mark(&p->out, "", k->reusable ? "reusable" : "one-time");
	if (k->ephemeral)
		html_mark(&p->out, "", "ephemeral");
}

static void
add_button(struct page *p, const struct authkey *k, const char *what_to_do,
    const char *class, const char *word)
{
	html_fmt(&p->out,
	    "<form method=\"post\" action=\"/keys/%llu/%s\">"
	    "<button class=\"%s\">%s<span class=\"hidden\"> key %llu</span>"
	    "</button></form> ",
	    (unsigned long long)k->id, what_to_do, class, word,
	    (unsigned long long)k->id);
}

static void
add_key(struct page *p, const struct authkey *k)
{
	struct text *t = &p->out;

	html_fmt(t,
	    "<tr><th scope=\"row\">%llu <code>%s…</code></th>"
	    "<td class=\"state\">",
	    (unsigned long long)k->id, k->prefix);
	add_state(p, k);
	html_fmt(t, "</td><td><bdi>%s</bdi>", k->user->name);
	for (size_t i = 0; i < k->ntags; i++)
		html_mark(t, "", k->tags[i]);
	text_str(t, "</td><td class=\"wide\">");
	html_when(t, k->created, p->now);
	text_str(t, "</td><td data-label=\"expires\">");
	html_when(t, k->expires, p->now);
	text_str(t, "</td><td class=\"buttons\">");
	if (authkey_is_usable(k, p->now))
		add_button(p, k, "expire", "quiet", "Expire");
	else
		add_button(p, k, "delete", "danger", "Delete");
	text_str(t, "</td></tr>\n");
}

static void
add_choice(struct page *p)
{
	bool all = strcmp(page_value(p, "show"), "all") == 0;
	const char *user = page_value(p, "user");
	struct text *t = &p->out;

	text_str(t,
	    all ? "<p>All keys. <a href=\""
		: "<p>Keys that can be used. <a href=\"");
	page_link(p, t, "/keys", names, "show", all ? "" : "all");
	text_str(t,
	    all ? "\">Only usable ones</a></p>\n"
		: "\">Used and expired ones, too</a></p>\n");
	if (user[0] == '\0')
		return;
	html_fmt(t, "<p>Of user <b><bdi>%s</bdi></b>. <a href=\"", user);
	page_link(p, t, "/keys", names, "user", "");
	text_str(t, "\">Of all users</a></p>\n");
}

/* The newest first. */
static void
add_list(struct page *p)
{
	const struct authkey *k;
	struct page_slice s;
	size_t n = 0, i = 0;

	TAILQ_FOREACH (k, &p->c->model.authkeys, entry)
		n += is_wished(p, k);
	s = page_slice_of(p, n);
	page_slice_nav(p, &s, "/keys", names, what);
	if (n == 0)
		return;
	text_str(&p->out,
	    "<table class=\"keys\">\n<thead><tr><th scope=\"col\">Key</th>"
	    "<th scope=\"col\">State</th><th scope=\"col\">User, tags</th>"
	    "<th scope=\"col\" class=\"wide\">Made</th>"
	    "<th scope=\"col\">Expires</th>"
	    "<th scope=\"col\"><span class=\"hidden\">Change</span></th>"
	    "</tr></thead>\n<tbody>\n");
	TAILQ_FOREACH_REVERSE(k, &p->c->model.authkeys, authkey_list, entry)
	{
		if (!is_wished(p, k))
			continue;
		if (i >= s.from && i < s.to)
			add_key(p, k);
		i++;
	}
	text_str(&p->out, "</tbody></table>\n");
}

/* ---- a new one ---- */

static void
add_form(struct page *p)
{
	text_str(&p->out,
	    "<section><h2>New key</h2>\n<div class=\"forms\">"
	    "<form method=\"post\" action=\"/keys\">"
	    "<label for=\"user\">User to whom machines shall belong</label>");
	page_user_field(p, "user");
	text_str(&p->out,
	    "<label for=\"tags\">Tags for them, with blanks between</label>"
	    "<input id=\"tags\" name=\"tags\" autocapitalize=\"none\" "
	    "spellcheck=\"false\" placeholder=\"tag:robot\">"
	    "<label for=\"hours\">It can be used for</label>"
	    "<select id=\"hours\" name=\"hours\">"
	    "<option value=\"1\">1 hour</option>"
	    "<option value=\"24\">1 day</option>"
	    "<option value=\"168\">7 days</option>"
	    "<option value=\"720\">30 days</option>"
	    "<option value=\"2160\">90 days</option>"
	    "<option value=\"never\">ever</option></select>"
	    "<label class=\"check\"><input type=\"checkbox\" "
	    "name=\"reusable\" value=\"yes\"> for many machines</label>"
	    "<label class=\"check\"><input type=\"checkbox\" "
	    "name=\"ephemeral\" value=\"yes\"> which are forgotten once they "
	    "are offline</label>"
	    "<button>Create</button></form></div>\n");
	page_user_list(p);
	text_str(&p->out, "</section>\n");
}

void
page_keys(struct page *p)
{
	page_begin(p, "Keys", "/keys");
	text_str(&p->out,
	    "<p>With a pre-authentication key a machine joins by itself.</p>\n"
	    "<div id=\"list\" data-live>\n");
	add_choice(p);
	add_list(p);
	text_str(&p->out, "</div>\n");
	add_form(p);
	page_end(p, HTTP_OK);
}

static void
show_secret(struct page *p, const char *secret)
{
	page_begin(p, "The new key", "/keys");
	html_fmt(&p->out,
	    "<p>It is shown this once, for coordd keeps no copy:</p>\n"
	    "<p><output class=\"secret\">%s</output></p>\n"
	    "<p>A machine joins with it by</p>\n"
	    "<p><code class=\"secret\">tailscale up --login-server %s "
	    "--auth-key %s</code></p>\n"
	    "<p><a class=\"button\" href=\"/keys\">Back</a></p>\n",
	    secret, p->c->conf->url, secret);
	page_end(p, HTTP_OK);
}

static bool
read_expiry(const struct page *p, int64_t *expires, struct ops_result *r)
{
	const char *text = page_value(p, "hours");
	char *end;
	long hours = strtol(text, &end, 10);

	*expires = 0;
	if (strcmp(text, "never") == 0)
		return true;
	if (text[0] == '\0' || *end != '\0' || hours < 1 ||
	    hours > DAYS_MAX * 24L)
		return ops_fail(r, HTTP_BADREQUEST,
		    "Hours: want never, or 1 to %ld.", DAYS_MAX * 24L);
	*expires = p->now + hours * 3600;
	return true;
}

void
page_key_create(struct page *p)
{
	struct authkey_wish wish = {
	    .reusable = page_value(p, "reusable")[0] != '\0',
	    .ephemeral = page_value(p, "ephemeral")[0] != '\0',
	};
	char secret[AUTHKEY_SECRET_MAX];
	struct page_tags tags;
	struct ops_result r;

	wish.user = page_find_user(p, &r);
	if (wish.user == NULL || !page_read_tags(p, &tags, &r) ||
	    !read_expiry(p, &wish.expires, &r)) {
		page_answer(p, false, &r, "/keys");
		return;
	}
	wish.tags = tags.v;
	wish.ntags = tags.n;
	if (ops_authkey_create(p->c, p->who, &wish, secret, &r) == NULL)
		page_answer(p, false, &r, "/keys");
	else
		show_secret(p, secret);
	sodium_memzero(secret, sizeof(secret));
}

void
page_key_expire(struct page *p)
{
	struct authkey *k = model_authkey(&p->c->model, page_arg_id(p));
	struct ops_result r;

	if (k == NULL)
		page_missing(p, "key", "/keys");
	else
		page_answer(
		    p, ops_authkey_expire(p->c, p->who, k, &r), &r, "/keys");
}

void
page_key_delete(struct page *p)
{
	struct authkey *k = model_authkey(&p->c->model, page_arg_id(p));
	struct ops_result r;

	if (k == NULL)
		page_missing(p, "key", "/keys");
	else
		page_answer(
		    p, ops_authkey_delete(p->c, p->who, k, &r), &r, "/keys");
}

/* page_node: one node: all that is known of it, and what can be done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

/* More routes than these are for coordctl. */
#define ROUTES_SHOWN 200
#define HISTORY	     20

/* ---- what is known ---- */

static void
term(struct page *p, const char *name)
{
	html_fmt(&p->out, "<dt>%s</dt><dd>", name);
}

static void
term_end(struct page *p)
{
	text_str(&p->out, "</dd>\n");
}

static void
add_code(struct page *p, const char *name, const char *value)
{
	term(p, name);
	html_fmt(&p->out, "<code>%s</code>", value);
	term_end(p);
}

static void
add_names(struct page *p, const struct node *n)
{
	const char *domain = p->c->conf->domain;

	term(p, "State");
	page_node_state(p, n);
	term_end(p);
	term(p, "Name in DNS");
	html_fmt(&p->out, "<code>%s%s%s</code>%s", n->label,
	    domain[0] == '\0' ? "" : ".", domain,
	    n->label_set ? ", given by an administrator" : "");
	term_end(p);
	term(p, "Hostname");
	html_fmt(&p->out, "<bdi>%s</bdi>", n->hostname);
	term_end(p);
	term(p, "Owner");
	page_node_owner(&p->out, n);
	if (n->ntags > 0)
		html_fmt(&p->out, " of user <bdi>%s</bdi>", n->user->name);
	term_end(p);
}

static void
add_times(struct page *p, const struct node *n)
{
	struct text *t = &p->out;

	term(p, "Joined");
	html_when(t, n->created, p->now);
	if (n->authkey_id == 0)
		text_str(t, " by a login");
	else
		html_fmt(t, " with pre-authentication key %llu",
		    (unsigned long long)n->authkey_id);
	term_end(p);
	term(p, "Key expires");
	html_when(t, n->expiry, p->now);
	term_end(p);
}

/* What its client says of itself. */
static void
add_client(struct page *p, const struct node *n)
{
	json_t *info =
	    n->hostinfo == NULL ? NULL : json_loads(n->hostinfo, 0, NULL);
	const char *os = json_string_value(json_object_get(info, "OS"));
	const char *version =
	    json_string_value(json_object_get(info, "IPNVersion"));

	term(p, "Client");
	html_fmt(&p->out, "<bdi>%s</bdi>%s<bdi>%s</bdi>",
	    version == NULL ? "unknown" : version, os == NULL ? "" : " on ",
	    os == NULL ? "" : os);
	term_end(p);
	json_decref(info);
}

static void
add_endpoints(struct page *p, const struct node *n)
{
	json_t *list =
	    n->endpoints == NULL ? NULL : json_loads(n->endpoints, 0, NULL);
	const json_t *s;
	size_t i;

	term(p, "Endpoints");
	if (json_array_size(list) == 0)
		text_str(&p->out, "none told yet");
	json_array_foreach(list, i, s)
	{
		const char *text = json_string_value(s);

		html_fmt(&p->out, "%s<code>%s</code>", i == 0 ? "" : " ",
		    text == NULL ? "?" : text);
	}
	term_end(p);
	json_decref(list);
}

static void
add_paths(struct page *p, const struct node *n)
{
	json_t *map =
	    p->c->derp_map == NULL ? NULL : json_loads(p->c->derp_map, 0, NULL);

	term(p, "Home relay");
	page_relay_name(&p->out, map, n->home_derp);
	term_end(p);
	json_decref(map);
	add_endpoints(p, n);
	term(p, "Direct or relayed");
	text_str(&p->out,
	    "Each pair of nodes finds out by itself and does not tell the "
	    "coordinator: run <code>tailscale status</code> on one of them.");
	term_end(p);
}

static void
add_key(
    struct page *p, const char *name, const char *prefix, const struct key *k)
{
	char text[KEY_TEXT_MAX];

	add_code(p, name,
	    key_is_zero(k) ? "not told yet" : key_text(k, prefix, text));
}

static void
add_facts(struct page *p, const struct node *n)
{
	char text[IP_TEXT_MAX];

	text_str(&p->out, "<dl id=\"facts\" class=\"facts\" data-live>\n");
	add_names(p, n);
	term(p, "Addresses");
	html_fmt(&p->out, "<code>%s</code> ", ip_text(&n->ip4, text));
	html_fmt(&p->out, "<code>%s</code>", ip_text(&n->ip6, text));
	term_end(p);
	add_paths(p, n);
	add_client(p, n);
	add_times(p, n);
	add_key(p, "Machine key", KEY_MACHINE, &n->machine);
	add_key(p, "Node key", KEY_NODE, &n->node_key);
	add_key(p, "Disco key", KEY_DISCO, &n->disco);
	text_str(&p->out, "</dl>\n");
}

/* ---- what can be done ---- */

static void
form(struct page *p, const struct node *n, const char *what)
{
	html_fmt(&p->out, "<form method=\"post\" action=\"/nodes/%llu/%s\">",
	    (unsigned long long)n->id, what);
}

static void
form_end(struct page *p, const char *button)
{
	html_fmt(&p->out, "<button>%s</button></form>\n", button);
}

static void
add_approval(struct page *p, const struct node *n)
{
	form(p, n, "approve");
	html_fmt(&p->out,
	    "<p>%s</p><input type=\"hidden\" name=\"approved\" "
	    "value=\"%s\">",
	    n->authorized
		? "The device is approved."
		: "The device waits for approval: it reaches nobody yet.",
	    n->authorized ? "no" : "yes");
	form_end(p, n->authorized ? "Take approval back" : "Approve");
}

static void
add_naming(struct page *p, const struct node *n)
{
	form(p, n, "rename");
	html_fmt(&p->out,
	    "<label for=\"name\">Name; empty: made of the hostname</label>"
	    "<input id=\"name\" name=\"name\" maxlength=\"%d\" "
	    "autocapitalize=\"none\" spellcheck=\"false\" value=\"%s\">",
	    LABEL_MAX, n->label_set ? n->label : "");
	form_end(p, "Rename");
	form(p, n, "tags");
	text_str(&p->out,
	    "<label for=\"tags\">Tags, with blanks between them</label>"
	    "<input id=\"tags\" name=\"tags\" autocapitalize=\"none\" "
	    "spellcheck=\"false\" placeholder=\"tag:robot tag:lab\" "
	    "value=\"");
	for (size_t i = 0; i < n->ntags; i++)
		html_fmt(&p->out, "%s%s", i == 0 ? "" : " ", n->tags[i]);
	text_str(&p->out, "\">");
	form_end(p, "Set tags");
	form(p, n, "move");
	text_str(&p->out, "<label for=\"user\">Give it to the user</label>");
	page_user_field(p, "user");
	form_end(p, "Move");
}

static void
add_route(struct page *p, const struct ip_prefix *r, bool checked)
{
	char text[IP_PREFIX_TEXT_MAX];

	html_fmt(&p->out,
	    "<label class=\"check\"><input type=\"checkbox\" name=\"route\" "
	    "value=\"%s\"%s> <code>%s</code></label>",
	    ip_prefix_text(r, text), checked ? " checked" : "", text);
}

static bool
is_among(const struct ip_prefix *v, size_t n, const struct ip_prefix *r)
{
	for (size_t i = 0; i < n; i++)
		if (ip_prefix_equal(&v[i], r))
			return true;
	return false;
}

static void
add_routing(struct page *p, const struct node *n)
{
	if (n->nadvertised + n->napproved == 0)
		return;
	if (n->nadvertised + n->napproved > ROUTES_SHOWN) {
		html_fmt(&p->out,
		    "<div><p>It advertises %zu routes; %zu are approved. "
		    "They are too many for this page: use <code>coordctl "
		    "nodes routes %s</code>.</p></div>\n",
		    n->nadvertised, n->napproved, n->label);
		return;
	}
	form(p, n, "routes");
	text_str(
	    &p->out, "<fieldset><legend>Routes that it may serve</legend>");
	for (size_t i = 0; i < n->nadvertised; i++)
		add_route(p, &n->advertised[i],
		    is_among(n->approved, n->napproved, &n->advertised[i]));
	for (size_t i = 0; i < n->napproved; i++)
		if (!is_among(n->advertised, n->nadvertised, &n->approved[i]))
			add_route(p, &n->approved[i], true);
	text_str(&p->out, "</fieldset>");
	form_end(p, "Approve these");
}

static void
add_ending(struct page *p, const struct node *n)
{
	form(p, n, "expire");
	text_str(&p->out,
	    "<label for=\"days\">Its key expires</label>"
	    "<select id=\"days\" name=\"days\">"
	    "<option value=\"never\">never</option>"
	    "<option value=\"30\">in 30 days</option>"
	    "<option value=\"90\" selected>in 90 days</option>"
	    "<option value=\"180\">in 180 days</option>"
	    "<option value=\"0\">now: it must log in again</option>"
	    "</select>");
	form_end(p, "Set");
	form(p, n, "delete");
	html_fmt(&p->out,
	    "<details><summary>Delete %s…</summary><p>It is cut off, and "
	    "joins again only with a new key or login. Its address goes to "
	    "nobody else soon.</p><button class=\"danger\">Delete it"
	    "</button></details></form>\n",
	    n->label);
}

void
page_node(struct page *p)
{
	const struct node *n = ops_find_node(p->c, p->arg);
	char mark[32];

	if (n == NULL) {
		page_missing(p, "node", "/nodes");
		return;
	}
	page_begin(p, n->label, "/nodes");
	add_facts(p, n);
	text_str(&p->out,
	    "<section><h2>Administration</h2>\n<div class=\"forms\">\n");
	add_approval(p, n);
	add_naming(p, n);
	add_routing(p, n);
	add_ending(p, n);
	text_str(&p->out, "</div>\n");
	page_user_list(p);
	text_str(&p->out,
	    "</section>\n<section id=\"history\" data-live>"
	    "<h2>History</h2>\n");
	snprintf(mark, sizeof(mark), " (id %llu)", (unsigned long long)n->id);
	(void)page_audit_table(p,
	    &(struct page_audit_wish){
		.with = mark, .show = HISTORY, .read = STORE_AUDIT_KEEP});
	text_str(&p->out, "</section>\n");
	page_end(p, HTTP_OK);
}

/* page_nodes: the list of nodes: filtered, sorted, a part at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

#define WORDS_MAX 8
#define QUERY_MAX 200

static const char *const names[] = {
    "q", "state", "user", "relay", "sort", "page", NULL};
static const char *const what[] = {"node", "nodes"};

/* ---- what is shown of a node, here and elsewhere ---- */

void
page_node_link(struct text *t, const struct node *n)
{
	html_fmt(t, "<a href=\"/nodes/%llu\">%s</a>", (unsigned long long)n->id,
	    n->label);
}

void
page_node_owner(struct text *t, const struct node *n)
{
	for (size_t i = 0; i < n->ntags; i++)
		html_fmt(t, "%s<span class=\"mark\">%s</span>",
		    i == 0 ? "" : " ", n->tags[i]);
	if (n->ntags == 0)
		html_fmt(t, "<bdi>%s</bdi>", n->subject.user);
}

bool
page_node_expires_soon(const struct node *n, int64_t now)
{
	return n->expiry > now && n->expiry <= now + PAGE_SOON_S;
}

void
page_node_state(struct page *p, const struct node *n)
{
	struct text *t = &p->out;

	if (mapper_is_online(p->c, n)) {
		html_mark(t, "good", "online");
	} else {
		html_mark(t, "", "offline");
		text_str(t, n->last_seen == 0 ? "" : " <small>");
		if (n->last_seen != 0) {
			html_when(t, n->last_seen, p->now);
			text_str(t, "</small>");
		}
	}
	if (!n->authorized)
		html_mark(t, "warn", "waits for approval");
	if (node_is_expired(n, p->now))
		html_mark(t, "bad", "key expired");
	else if (page_node_expires_soon(n, p->now))
		html_mark(t, "warn", "key expires soon");
	if (n->ephemeral)
		html_mark(t, "", "ephemeral");
	if (n->subject.exit_node)
		html_mark(t, "", "exit node");
	else if (n->nroutes > 0)
		html_mark(t, "", "routes");
}

void
page_relay_name(struct text *t, const json_t *map, int region)
{
	const json_t *r;
	const char *name;
	char id[16];

	if (region == 0) {
		text_str(t, "none yet");
		return;
	}
	snprintf(id, sizeof(id), "%d", region);
	r = json_object_get(json_object_get(map, "Regions"), id);
	name = json_string_value(json_object_get(r, "RegionName"));
	if (r == NULL)
		html_fmt(t, "region %s, not in the map", id);
	else
		html_fmt(t, "%s", name == NULL || name[0] == '\0' ? id : name);
}

/* ---- which are shown ---- */

struct wish {
	char text[QUERY_MAX];
	const char *words[WORDS_MAX];
	size_t nwords;
	const char *state, *user, *relay;
};

static void
read_wish(const struct page *p, struct wish *w)
{
	snprintf(w->text, sizeof(w->text), "%s", page_value(p, "q"));
	w->nwords = page_words(w->text, w->words, WORDS_MAX);
	w->state = page_value(p, "state");
	w->user = page_value(p, "user");
	w->relay = page_value(p, "relay");
}

static bool
has_word(const struct node *n, const char *word)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < n->ntags; i++)
		if (strcasestr(n->tags[i], word) != NULL)
			return true;
	return strcasestr(n->label, word) != NULL ||
	    strcasestr(n->hostname, word) != NULL ||
	    strcasestr(n->user->name, word) != NULL ||
	    strcasestr(ip_text(&n->ip4, text), word) != NULL ||
	    strcasestr(ip_text(&n->ip6, text), word) != NULL;
}

static bool
has_state(const struct page *p, const struct node *n, const char *state)
{
	if (strcmp(state, "online") == 0)
		return mapper_is_online(p->c, n);
	if (strcmp(state, "offline") == 0)
		return !mapper_is_online(p->c, n);
	if (strcmp(state, "waiting") == 0)
		return !n->authorized;
	if (strcmp(state, "expiring") == 0)
		return page_node_expires_soon(n, p->now);
	if (strcmp(state, "expired") == 0)
		return node_is_expired(n, p->now);
	return true;
}

static bool
is_wished(const struct page *p, const struct node *n, const struct wish *w)
{
	if (!has_state(p, n, w->state) ||
	    (w->user[0] != '\0' && strcmp(n->user->name, w->user) != 0) ||
	    (w->relay[0] != '\0' && atoi(w->relay) != n->home_derp))
		return false;
	for (size_t i = 0; i < w->nwords; i++)
		if (!has_word(n, w->words[i]))
			return false;
	return true;
}

/* ---- in which order ---- */

struct row {
	const struct node *n;
	bool online;
};

/* Numbers in names count as such: robot-9 comes before robot-10. */
static int
by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strverscmp(x->n->label, y->n->label);
}

static const char *
owner_of(const struct node *n)
{
	return n->ntags > 0 ? n->tags[0] : n->subject.user;
}

static int
by_owner(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int r = strverscmp(owner_of(x->n), owner_of(y->n));

	return r != 0 ? r : by_name(a, b);
}

static int
by_address(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return ip_compare(&x->n->ip4, &y->n->ip4);
}

/* Zero is never, which is after all times. */
static int
by_expiry(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t m = (uint64_t)x->n->expiry - 1, n = (uint64_t)y->n->expiry - 1;

	return m == n ? by_name(a, b) : m < n ? -1 : 1;
}

/* Online first, then those seen last. */
static int
by_state(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->online != y->online)
		return x->online ? -1 : 1;
	if (!x->online && x->n->last_seen != y->n->last_seen)
		return x->n->last_seen > y->n->last_seen ? -1 : 1;
	return by_name(a, b);
}

static int
by_relay(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->n->home_derp != y->n->home_derp)
		return x->n->home_derp < y->n->home_derp ? -1 : 1;
	return by_name(a, b);
}

static const struct column {
	const char *name, *title, *class;
	int (*compare)(const void *, const void *);
} columns[] = {
    {"name", "Name", "", by_name},
    {"state", "State", "", by_state},
    {"owner", "Owner", "", by_owner},
    {"address", "Address", "", by_address},
    {"relay", "Relay", "wide", by_relay},
    {"expiry", "Key expires", "wide", by_expiry},
};

#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static const struct column *
find_column(const char *name)
{
	for (size_t i = 0; i < NCOLUMNS; i++)
		if (strcmp(columns[i].name, name) == 0)
			return &columns[i];
	return &columns[0];
}

/* "-name": the other way round. */
static void
sort_rows(const struct page *p, struct row *v, size_t n)
{
	const char *sort = page_value(p, "sort");
	bool down = sort[0] == '-';

	qsort(v, n, sizeof(*v), find_column(sort + down)->compare);
	for (size_t i = 0; down && i < n / 2; i++) {
		struct row other = v[n - 1 - i];

		v[n - 1 - i] = v[i];
		v[i] = other;
	}
}

/* ---- the list ---- */

static void
add_option(struct page *p, const char *value, const char *word)
{
	html_fmt(&p->out, "<option value=\"%s\"", value);
	if (strcmp(page_value(p, "state"), value) == 0)
		text_str(&p->out, " selected");
	html_fmt(&p->out, ">%s</option>", word);
}

static void
add_hidden(struct page *p, const char *name)
{
	const char *v = page_value(p, name);

	if (v[0] != '\0')
		html_fmt(&p->out,
		    "<input type=\"hidden\" name=\"%s\" value=\"%s\">", name,
		    v);
}

static void
add_filter(struct page *p)
{
	html_fmt(&p->out,
	    "<form class=\"filter\" role=\"search\" action=\"/nodes\">\n"
	    "<p><label for=\"q\">Filter</label> "
	    "<input id=\"q\" name=\"q\" type=\"search\" maxlength=\"%d\" "
	    "placeholder=\"name, owner, tag or address\" "
	    "autocapitalize=\"none\" spellcheck=\"false\" value=\"%s\"></p>\n"
	    "<p><label for=\"state\">State</label> "
	    "<select id=\"state\" name=\"state\">",
	    QUERY_MAX - 1, page_value(p, "q"));
	add_option(p, "", "any");
	add_option(p, "online", "online");
	add_option(p, "offline", "offline");
	add_option(p, "waiting", "waits for approval");
	add_option(p, "expiring", "key expires soon");
	add_option(p, "expired", "key expired");
	text_str(&p->out, "</select></p>\n");
	add_hidden(p, "user");
	add_hidden(p, "relay");
	add_hidden(p, "sort");
	text_str(&p->out, "<p><button>Show</button></p>\n</form>\n");
}

/* Filters that have no field of their own, and how to be rid of them. */
static void
add_narrowing(struct page *p, const json_t *map)
{
	const char *user = page_value(p, "user"), *relay;
	struct text *t = &p->out;

	relay = page_value(p, "relay");
	if (user[0] != '\0') {
		html_fmt(
		    t, "<p>Of user <b><bdi>%s</bdi></b>. <a href=\"", user);
		page_link(p, t, "/nodes", names, "user", "");
		text_str(t, "\">Of all users</a></p>\n");
	}
	if (relay[0] != '\0') {
		text_str(t, "<p>With home relay <b>");
		page_relay_name(t, map, atoi(relay));
		text_str(t, "</b>. <a href=\"");
		page_link(p, t, "/nodes", names, "relay", "");
		text_str(t, "\">With any</a></p>\n");
	}
}

static void
add_heads(struct page *p)
{
	const char *sort = page_value(p, "sort");
	bool down = sort[0] == '-';
	const struct column *now = find_column(sort + down);
	struct text *t = &p->out;

	text_str(t, "<thead><tr>");
	for (size_t i = 0; i < NCOLUMNS; i++) {
		const struct column *c = &columns[i];
		char other[32];

		snprintf(other, sizeof(other), "%s%s",
		    c == now && !down ? "-" : "", c->name);
		html_fmt(t, "<th scope=\"col\" class=\"%s\"", c->class);
		if (c == now)
			html_fmt(t, " aria-sort=\"%s\"",
			    down ? "descending" : "ascending");
		text_str(t, "><a href=\"");
		page_link(p, t, "/nodes", names, "sort",
		    strcmp(other, "name") == 0 ? "" : other);
		html_fmt(t, "\">%s</a></th>", c->title);
	}
	text_str(t, "</tr></thead>\n");
}

static void
add_row(struct page *p, const json_t *map, const struct node *n)
{
	char text[IP_TEXT_MAX];
	struct text *t = &p->out;

	text_str(t, "<tr><th scope=\"row\">");
	page_node_link(t, n);
	if (strcmp(n->hostname, n->label) != 0)
		html_fmt(t, " <small class=\"raw\"><bdi>%s</bdi></small>",
		    n->hostname);
	text_str(t, "</th><td class=\"state\">");
	page_node_state(p, n);
	text_str(t, "</td><td>");
	page_node_owner(t, n);
	html_fmt(t, "</td><td class=\"code\">%s</td><td class=\"wide\">",
	    ip_text(&n->ip4, text));
	page_relay_name(t, map, n->home_derp);
	text_str(t, "</td><td class=\"wide\">");
	html_when(t, n->expiry, p->now);
	text_str(t, "</td></tr>\n");
}

static void
add_list(struct page *p, const struct row *v, size_t n, const json_t *map)
{
	struct page_slice s = page_slice_of(p, n);

	page_slice_nav(p, &s, "/nodes", names, what);
	if (n == 0) {
		text_str(&p->out,
		    p->c->model.nnodes == 0
			? "<p>No node has joined yet. <a href=\"/keys\">Make "
			  "a key</a> with which one can.</p>\n"
			: "<p>No node is like that. <a href=\"/nodes\">Show "
			  "all</a></p>\n");
		return;
	}
	text_str(&p->out, "<table class=\"nodes\">\n");
	add_heads(p);
	text_str(&p->out, "<tbody>\n");
	for (size_t i = s.from; i < s.to; i++)
		add_row(p, map, v[i].n);
	text_str(&p->out, "</tbody></table>\n");
	if (s.pages > 1)
		page_slice_nav(p, &s, "/nodes", names, what);
}

/* The nodes that are wished, sorted; freed by the caller. */
static struct row *
find_rows(const struct page *p, size_t *count)
{
	struct row *v = calloc(p->c->model.nnodes + 1, sizeof(*v));
	const struct node *n;
	struct wish w;
	uint32_t at = 0;

	*count = 0;
	if (v == NULL)
		return NULL;
	read_wish(p, &w);
	while ((n = model_next(&p->c->model, &at)) != NULL)
		if (is_wished(p, n, &w))
			v[(*count)++] =
			    (struct row){n, mapper_is_online(p->c, n)};
	sort_rows(p, v, *count);
	return v;
}

void
page_nodes(struct page *p)
{
	json_t *map =
	    p->c->derp_map == NULL ? NULL : json_loads(p->c->derp_map, 0, NULL);
	size_t count;
	struct row *v = find_rows(p, &count);

	page_begin(p, "Nodes", "/nodes");
	add_filter(p);
	text_str(&p->out, "<div id=\"list\" data-live>\n");
	add_narrowing(p, map);
	add_list(p, v, count, map);
	text_str(&p->out, "</div>\n");
	p->out.bad |= v == NULL;
	page_end(p, HTTP_OK);
	free(v);
	json_decref(map);
}

/*
 * page_home: the first page: what an administrator should see at once, and
 * what waits for him.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/api.h"
#include "coordd/login.h"
#include "coordd/page.h"
#include "run/version.h"

#define SOON_SHOWN  10
#define WAIT_SHOWN  20
#define AUDIT_SHOWN 12

/* What one walk over all nodes finds. */
struct survey {
	size_t online, waiting, soon, expired;
	const struct node *soonest[SOON_SHOWN]; /* sorted */
	size_t nsoonest;
	const struct node *to_approve[WAIT_SHOWN];
	size_t nto_approve;
};

static void
keep_soonest(struct survey *s, const struct node *n)
{
	size_t i;

	if (s->nsoonest < SOON_SHOWN)
		s->nsoonest++;
	else if (s->soonest[SOON_SHOWN - 1]->expiry <= n->expiry)
		return;
	for (i = s->nsoonest - 1;
	     i > 0 && s->soonest[i - 1]->expiry > n->expiry; i--)
		s->soonest[i] = s->soonest[i - 1];
	s->soonest[i] = n;
}

static void
survey(const struct page *p, struct survey *s)
{
	const struct node *n;
	uint32_t at = 0;

	*s = (struct survey){0};
	while ((n = model_next(&p->c->model, &at)) != NULL) {
		s->online += mapper_is_online(p->c, n);
		s->expired += node_is_expired(n, p->now);
		if (!n->authorized) {
			s->waiting++;
			if (s->nto_approve < WAIT_SHOWN)
				s->to_approve[s->nto_approve++] = n;
		}
		if (page_node_expires_soon(n, p->now)) {
			s->soon++;
			keep_soonest(s, n);
		}
	}
}

/* ---- at a glance ---- */

static void
add_card(struct page *p, const char *href, const char *name, size_t n,
    const char *class)
{
	html_fmt(&p->out, "<li><a href=\"%s\" class=\"%s\"><b>", href,
	    n > 0 ? class : "");
	html_count(&p->out, n);
	html_fmt(&p->out, "</b> %s</a></li>\n", name);
}

static void
add_cards(struct page *p, const struct survey *s)
{
	text_str(&p->out, "<ul id=\"cards\" class=\"cards\" data-live>\n");
	add_card(p, "/nodes?state=online", "online", s->online, "good");
	add_card(p, "/nodes?state=offline", "offline",
	    p->c->model.nnodes - s->online, "");
	add_card(
	    p, "/#logins", "logins wait", logins_count(p->c->logins), "warn");
	add_card(
	    p, "/nodes?state=waiting", "wait for approval", s->waiting, "warn");
	add_card(p, "/nodes?state=expiring&sort=expiry", "keys expire soon",
	    s->soon, "warn");
	add_card(p, "/nodes?state=expired&sort=expiry", "keys expired",
	    s->expired, "bad");
	text_str(&p->out, "</ul>\n");
}

/* ---- what waits ---- */

static void
add_login(struct page *p, const struct login *l, size_t i)
{
	struct text *t = &p->out;
	char user[32];

	snprintf(user, sizeof(user), "login-user-%zu", i);
	html_fmt(t, "<li><p><b><bdi>%s</bdi></b> asked ", l->hostname);
	html_when(t, l->created, p->now);
	html_fmt(t,
	    "; it was told <code>/register/%s</code></p>\n"
	    "<form class=\"inline\" method=\"post\" "
	    "action=\"/logins/%s/approve\"><label for=\"%s\">for user</label> ",
	    l->id, l->id, user);
	page_user_field(p, user);
	html_fmt(t,
	    " <button>Let it in</button></form>\n"
	    "<form class=\"inline\" method=\"post\" "
	    "action=\"/logins/%s/deny\"><button class=\"danger\">Deny"
	    "</button></form></li>\n",
	    l->id);
}

static void
add_logins(struct page *p)
{
	size_t n = logins_count(p->c->logins);
	const struct login *l;

	text_str(&p->out, "<section id=\"logins\" data-live>");
	if (n > 0) {
		text_str(&p->out,
		    "<h2>Waiting logins</h2>\n<p>Anybody can ask and choose "
		    "the hostname: compare the address with the one that the "
		    "machine shows.</p>\n<ul class=\"waiting\">\n");
		for (size_t i = 0;
		     i < WAIT_SHOWN && (l = login_at(p->c->logins, i)) != NULL;
		     i++)
			add_login(p, l, i);
		text_str(&p->out, "</ul>\n");
		page_user_list(p);
	}
	if (n > WAIT_SHOWN)
		html_fmt(&p->out,
		    "<p>and %zu more: <code>coordctl nodes logins</code></p>\n",
		    n - WAIT_SHOWN);
	text_str(&p->out, "</section>\n");
}

static void
add_devices(struct page *p, const struct survey *s)
{
	struct text *t = &p->out;

	text_str(t, "<section id=\"devices\" data-live>");
	if (s->waiting > 0)
		text_str(
		    t, "<h2>Devices to approve</h2>\n<ul class=\"waiting\">\n");
	for (size_t i = 0; i < s->nto_approve; i++) {
		const struct node *n = s->to_approve[i];

		text_str(t, "<li><p>");
		page_node_link(t, n);
		text_str(t, " of ");
		page_node_owner(t, n);
		text_str(t, " joined ");
		html_when(t, n->created, p->now);
		html_fmt(t,
		    "</p>\n<form class=\"inline\" method=\"post\" "
		    "action=\"/nodes/%llu/approve\"><input type=\"hidden\" "
		    "name=\"approved\" value=\"yes\"><button>Approve"
		    "</button></form></li>\n",
		    (unsigned long long)n->id);
	}
	if (s->waiting > 0)
		text_str(t, "</ul>\n");
	if (s->waiting > s->nto_approve)
		text_str(t,
		    "<p><a href=\"/nodes?state=waiting\">Show all</a></p>\n");
	text_str(t, "</section>\n");
}

/* ---- keys about to expire ---- */

/* Reusable ones: with them machines would go on joining. */
static bool
key_expires_soon(const struct page *p, const struct authkey *k)
{
	return k->reusable && k->expires > p->now &&
	    k->expires <= p->now + PAGE_SOON_S;
}

static void
add_soon_authkeys(struct page *p)
{
	const struct authkey *k;
	size_t n = 0;

	TAILQ_FOREACH (k, &p->c->model.authkeys, entry) {
		if (!key_expires_soon(p, k) || n++ == SOON_SHOWN)
			continue;
		html_fmt(
		    &p->out, "<tr><th scope=\"row\"><a href=\"/keys?user=");
		html_query(&p->out, k->user->name);
		html_fmt(&p->out,
		    "\">auth key %llu</a></th><td><bdi>%s</bdi>"
		    "</td><td>",
		    (unsigned long long)k->id, k->user->name);
		html_when(&p->out, k->expires, p->now);
		text_str(&p->out, "</td></tr>\n");
	}
}

static void
add_soon(struct page *p, const struct survey *s)
{
	struct text *t = &p->out;
	const struct authkey *k;
	size_t keys = 0;

	TAILQ_FOREACH (k, &p->c->model.authkeys, entry)
		keys += key_expires_soon(p, k);
	text_str(t,
	    "<section id=\"soon\" data-live><h2>Keys about to expire</h2>\n");
	if (s->soon + keys == 0) {
		html_fmt(t, "<p>None in the next %d days.</p></section>\n",
		    PAGE_SOON_S / 86400);
		return;
	}
	text_str(t,
	    "<table>\n<thead><tr><th scope=\"col\">Key of</th>"
	    "<th scope=\"col\">Owner</th><th scope=\"col\">Expires</th></tr>"
	    "</thead>\n<tbody>\n");
	for (size_t i = 0; i < s->nsoonest; i++) {
		text_str(t, "<tr><th scope=\"row\">");
		page_node_link(t, s->soonest[i]);
		text_str(t, "</th><td>");
		page_node_owner(t, s->soonest[i]);
		text_str(t, "</td><td>");
		html_when(t, s->soonest[i]->expiry, p->now);
		text_str(t, "</td></tr>\n");
	}
	add_soon_authkeys(p);
	text_str(t, "</tbody></table>\n");
	if (s->soon > s->nsoonest)
		html_fmt(t,
		    "<p><a href=\"/nodes?state=expiring&amp;sort=expiry\">"
		    "All %zu nodes</a></p>\n",
		    s->soon);
	text_str(t, "</section>\n");
}

/* ---- relays ---- */

static void
add_relay(
    struct page *p, const json_t *map, int region, size_t nodes, size_t online)
{
	struct text *t = &p->out;

	text_str(t, "<tr><th scope=\"row\">");
	page_relay_name(t, map, region);
	html_fmt(t,
	    "</th><td class=\"wide\">%d</td><td>"
	    "<a href=\"/nodes?relay=%d\">",
	    region, region);
	html_count(t, nodes);
	text_str(t, "</a></td><td>");
	html_count(t, online);
	text_str(t, "</td></tr>\n");
}

static void
count_relay(const struct page *p, int region, size_t *nodes, size_t *online)
{
	const struct node *n;
	uint32_t at = 0;

	*nodes = *online = 0;
	while ((n = model_next(&p->c->model, &at)) != NULL) {
		*nodes += n->home_derp == region;
		*online += n->home_derp == region && mapper_is_online(p->c, n);
	}
}

static void
add_relays(struct page *p)
{
	json_t *map =
	    p->c->derp_map == NULL ? NULL : json_loads(p->c->derp_map, 0, NULL);
	json_t *regions = json_object_get(map, "Regions"), *r;
	size_t nodes, online, left = p->c->model.nnodes;
	const char *id;

	text_str(&p->out,
	    "<section id=\"relays\" data-live><h2>Relays</h2>\n<table>"
	    "<thead><tr><th scope=\"col\">Relay</th>"
	    "<th scope=\"col\" class=\"wide\">Region</th>"
	    "<th scope=\"col\">Home of</th><th scope=\"col\">Online</th>"
	    "</tr></thead>\n<tbody>\n");
	json_object_foreach(regions, id, r)
	{
		count_relay(p, atoi(id), &nodes, &online);
		left -= nodes;
		add_relay(p, map, atoi(id), nodes, online);
	}
	if (json_object_size(regions) == 0)
		text_str(&p->out,
		    "<tr><td colspan=\"4\">The map names no relay: nodes reach "
		    "each other only directly.</td></tr>\n");
	text_str(&p->out, "</tbody></table>\n");
	if (left > 0)
		html_fmt(&p->out,
		    "<p>%zu have none, or one that is not in the map.</p>\n",
		    left);
	text_str(&p->out, "</section>\n");
	json_decref(map);
}

/* ---- this coordinator ---- */

static void
add_server(struct page *p)
{
	const struct coordd *c = p->c;
	char key[KEY_TEXT_MAX];
	struct text *t = &p->out;

	html_fmt(t,
	    "<section id=\"server\" data-live><h2>Coordinator</h2>\n"
	    "<dl class=\"facts\">\n<dt>Address for clients</dt>"
	    "<dd><code>%s</code></dd>\n<dt>Domain</dt><dd><code>%s</code></dd>"
	    "\n<dt>Policy</dt><dd><a href=\"/policy\">%s</a>, since ",
	    c->conf->url, c->conf->domain, c->policy_from);
	html_when(t, c->policy_loaded, p->now);
	html_fmt(t,
	    "</dd>\n<dt>Public key</dt><dd><code>%s</code></dd>\n"
	    "<dt>Version</dt><dd>%s, started ",
	    key_text(&c->pub, KEY_MACHINE, key), campusnet_version);
	html_when(t, c->started, p->now);
	text_str(t, "</dd>\n<dt>Database</dt><dd>");
	html_count(t, (size_t)(api_database_bytes(c) / 1024));
	text_str(t, " KiB</dd>\n</dl></section>\n");
}

static void
add_first_steps(struct page *p)
{
	if (p->c->model.nnodes > 0)
		return;
	text_str(&p->out, "<section><h2>First steps</h2>\n<ol>");
	if (TAILQ_EMPTY(&p->c->model.users))
		text_str(&p->out,
		    "<li><a href=\"/users\">Make a user</a> to whom machines "
		    "belong.</li>");
	html_fmt(&p->out,
	    "<li><a href=\"/keys\">Make a key</a>.</li><li>On a machine run "
	    "<code>tailscale up --login-server %s --auth-key KEY</code>.</li>"
	    "</ol></section>\n",
	    p->c->conf->url);
}

void
page_home(struct page *p)
{
	const struct page_audit_wish w = {
	    .with = "", .show = AUDIT_SHOWN, .read = AUDIT_SHOWN};
	struct survey s;

	survey(p, &s);
	page_begin(p, "Overview", "/");
	add_cards(p, &s);
	add_first_steps(p);
	add_logins(p);
	add_devices(p, &s);
	text_str(&p->out, "<div class=\"halves\">\n");
	add_soon(p, &s);
	add_relays(p);
	text_str(&p->out, "</div>\n");
	text_str(&p->out,
	    "<section id=\"recent\" data-live><h2>Recent changes</h2>\n");
	(void)page_audit_table(p, &w);
	text_str(&p->out, "<p><a href=\"/audit\">All</a></p></section>\n");
	add_server(p);
	page_end(p, HTTP_OK);
}

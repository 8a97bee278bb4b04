/* admit: see admit.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/admit.h"
#include "coordd/alloc.h"
#include "coordd/mapper.h"
#include "coordd/names.h"
#include "coordd/ops.h"
#include "coordd/register.h"

#define CURSOR_NAME "address-cursor"
#define DETAIL_MAX  400

/* ---- a node in the making ---- */

/* A copy that shares nothing; not in the model. */
static struct node *
copy_node(const struct node *n)
{
	struct node *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	*k = *n;
	k->hostname = k->label = k->hostinfo = k->endpoints = NULL;
	k->tags = NULL;
	k->ntags = 0;
	k->advertised = k->approved = k->routes = NULL;
	k->nadvertised = k->napproved = k->nroutes = 0;
	k->mapped = NULL;
	k->next_of_machine = NULL;
	if (model_set_text(&k->hostname, n->hostname) &&
	    model_set_text(&k->label, n->label) &&
	    model_set_text(&k->hostinfo, n->hostinfo) &&
	    model_set_text(&k->endpoints, n->endpoints) &&
	    node_set_tags(k, (const char *const *)n->tags, n->ntags) &&
	    node_set_advertised(k, n->advertised, n->nadvertised) &&
	    node_set_approved(k, n->approved, n->napproved))
		return k;
	node_free(k);
	return NULL;
}

static void
swap_text(char **a, char **b)
{
	char *was = *a;

	*a = *b;
	*b = was;
}

static void
swap_routes(struct node *a, struct node *b)
{
	struct node was = *a;

	a->advertised = b->advertised;
	a->nadvertised = b->nadvertised;
	a->approved = b->approved;
	a->napproved = b->napproved;
	a->routes = b->routes;
	a->nroutes = b->nroutes;
	b->advertised = was.advertised;
	b->nadvertised = was.nadvertised;
	b->approved = was.approved;
	b->napproved = was.napproved;
	b->routes = was.routes;
	b->nroutes = was.nroutes;
}

/* The node of the model becomes what next, its changed copy, is. Frees
 * next. */
static void
become(struct coordd *c, struct node *n, struct node *next)
{
	char **tags = n->tags;
	size_t ntags = n->ntags;

	/* Both were looked at before: nobody else has them. */
	(void)model_rekey_node(&c->model, n, &next->node_key);
	(void)model_relabel_node(&c->model, n, next->label);
	swap_text(&n->hostname, &next->hostname);
	swap_text(&n->hostinfo, &next->hostinfo);
	swap_routes(n, next);
	n->tags = next->tags;
	n->ntags = next->ntags;
	next->tags = tags;
	next->ntags = ntags;
	n->expiry = next->expiry;
	n->ephemeral = next->ephemeral;
	n->authkey_id = next->authkey_id;
	n->capver = next->capver;
	node_set_subject(n);
	node_free(next);
	mapper_node_changed(c, n);
}

/* A node that calls itself as before keeps its label, even if a better one has
 * become free. */
static bool
keeps_label(const struct node *old, const struct hostinfo *h)
{
	char was[LABEL_MAX + 1], is[LABEL_MAX + 1];

	if (old == NULL)
		return false;
	names_sanitise(old->hostname, was);
	names_sanitise(h->hostname, is);
	return old->label_set || strcmp(was, is) == 0;
}

static bool
set_host(struct coordd *c, struct node *next, const struct node *old,
    const struct hostinfo *h)
{
	char label[LABEL_MAX + 1];
	bool changed;

	if (!model_set_text(&next->hostname, h->hostname) ||
	    !node_set_advertised(next, h->routes, h->nroutes))
		return false;
	if (h->json != NULL && !model_set_text(&next->hostinfo, h->json))
		return false;
	if (!keeps_label(old, h) &&
	    (!names_make_label(&c->model, h->hostname, old, label) ||
		!model_set_text(&next->label, label)))
		return false;
	node_set_subject(next);
	return ops_auto_approve(c->policy, next, &changed);
}

/* ---- joining ---- */

/* The tags that it asks for must be its user's to give, or given. */
static bool
set_tags(struct coordd *c, const struct admission *a, struct node *next,
    struct ops_result *r)
{
	const struct hostinfo *h = &a->request->host;
	struct policy_subject owner = {
	    .user = a->user->name, .user_id = a->user->id};
	size_t n = 0, max = a->ntags + h->nrequest_tags;
	const char **v = calloc(max + 1, sizeof(*v));
	char shown[OPS_SHOW_MAX];
	bool good = v != NULL, given;

	for (; good && n < a->ntags; n++)
		v[n] = a->tags[n];
	for (size_t i = 0; good && i < h->nrequest_tags; i++) {
		given = false;
		for (size_t j = 0; j < a->ntags; j++)
			given |= strcmp(a->tags[j], h->request_tags[i]) == 0;
		if (!given &&
		    !policy_owns_tag(c->policy, &owner, h->request_tags[i])) {
			free(v);
			return ops_fail(r, 400,
			    "requested tags [%s] are invalid or not permitted",
			    ops_show(shown, h->request_tags[i]));
		}
		v[n++] = h->request_tags[i];
	}
	good = good && node_set_tags(next, v, n);
	free(v);
	return good || ops_no_memory(r);
}

static int64_t
expiry_of(struct coordd *c, const struct admission *a, const struct node *n)
{
	int64_t now = coordd_time(), wish = a->request->expiry, at = 0;

	if (n->ntags > 0)
		return 0;
	if (c->conf->key_expiry_us > 0)
		at = now + c->conf->key_expiry_us / 1000000;
	if (wish > now && (at == 0 || wish < at))
		at = wish;
	return at;
}

static bool
address_used(void *arg, const struct ip *a)
{
	const struct coordd *c = arg;
	struct node *n;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (ip_compare(&n->ip4, a) == 0 || ip_compare(&n->ip6, a) == 0)
			return true;
	return false;
}

static struct node *
new_node(struct coordd *c, const struct admission *a, uint32_t *cursor)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->machine = a->machine;
	n->user = a->user;
	n->created = n->last_seen = coordd_time();
	n->authorized = !c->conf->approve_devices;
	if (!alloc_next(cursor, address_used, c, &n->ip4, &n->ip6)) {
		node_free(n);
		return NULL;
	}
	return n;
}

/* Writes what a join changes as one. */
static bool
save_join(struct coordd *c, const struct admission *a, struct node *next,
    uint32_t cursor, struct ops_result *r)
{
	char detail[DETAIL_MAX], text[16];
	struct authkey used;
	int n;

	if (!ops_begin(c, r) || !ops_put(c, store_put_node(c->store, next), r))
		return false;
	if (a->key != NULL && !a->key->used) {
		used = *a->key;
		used.used = true;
		if (!ops_put(c, store_put_authkey(c->store, &used), r))
			return false;
	}
	n = snprintf(text, sizeof(text), "%u", cursor);
	if (cursor != c->address_cursor &&
	    !ops_put(c, store_set(c->store, CURSOR_NAME, text, (size_t)n), r))
		return false;
	n = snprintf(detail, sizeof(detail), "%s (id %llu), user %s",
	    next->label, (unsigned long long)next->id, a->user->name);
	if (a->key != NULL)
		snprintf(detail + n, sizeof(detail) - (size_t)n,
		    ", by auth key %llu", (unsigned long long)a->key->id);
	return ops_commit(c, &a->who, "node join", detail, r);
}

static bool
fill(struct coordd *c, const struct admission *a, struct node *next,
    const struct node *old, struct ops_result *r)
{
	const struct register_request *q = a->request;

	next->node_key = q->node_key;
	next->capver = q->capver;
	next->ephemeral = q->ephemeral || (a->key != NULL && a->key->ephemeral);
	next->authkey_id = a->key == NULL ? 0 : a->key->id;
	if (!set_tags(c, a, next, r))
		return false;
	next->expiry = expiry_of(c, a, next);
	return set_host(c, next, old, &q->host) || ops_no_memory(r);
}

struct node *
admit_join(struct coordd *c, const struct admission *a, struct ops_result *r)
{
	struct node *old = register_continues(&c->model, &a->machine, a->user);
	struct node *holder =
	    model_node_keyed(&c->model, &a->request->node_key);
	uint32_t cursor = c->address_cursor;
	struct node *next;

	/* The same key for another user: one node has it, so the other goes. */
	if (holder != NULL && holder != old) {
		ops_fail(r, 409,
		    "this key is in use by another user's node "
		    "of the same machine; log out first");
		return NULL;
	}
	next = old == NULL ? new_node(c, a, &cursor) : copy_node(old);
	if (next == NULL) {
		ops_fail(r, 500, "no memory or no address left for a node");
		return NULL;
	}
	if (!fill(c, a, next, old, r) || !save_join(c, a, next, cursor, r)) {
		node_free(next);
		return NULL;
	}
	c->address_cursor = cursor;
	if (a->key != NULL)
		a->key->used = true;
	metric_add(&c->stats.registrations, 1);
	if (old != NULL) {
		become(c, old, next);
		return old;
	}
	if (!model_add_node(&c->model, next)) {
		node_free(next);
		ops_no_memory(r);
		return NULL;
	}
	if (!mapper_node_added(c, next)) {
		model_remove_node(&c->model, next);
		ops_no_memory(r);
		return NULL;
	}
	return next;
}

/* ---- leaving, and news of the host ---- */

bool
admit_logout(struct coordd *c, struct node *n, struct ops_result *r)
{
	static const struct ops_who who = {"client"};

	if (n->ephemeral)
		return ops_node_delete(c, &who, n, r);
	if (node_is_expired(n, coordd_time()))
		return ops_done(r);
	return ops_node_expire(c, &who, n, coordd_time(), r);
}

static bool
same_routes(const struct node *n, const struct hostinfo *h)
{
	bool same = n->nadvertised == h->nroutes;

	for (size_t i = 0; same && i < h->nroutes; i++)
		same = ip_prefix_equal(&n->advertised[i], &h->routes[i]);
	return same;
}

bool
admit_hostinfo(struct coordd *c, struct node *n, const struct hostinfo *h,
    struct ops_result *r)
{
	struct node *next;

	if (strcmp(n->hostname, h->hostname) == 0 && same_routes(n, h))
		return ops_done(r);
	if ((next = copy_node(n)) == NULL)
		return ops_no_memory(r);
	if (!set_host(c, next, n, h)) {
		node_free(next);
		return ops_no_memory(r);
	}
	if (!ops_begin(c, r) ||
	    !ops_put(c, store_put_node(c->store, next), r) ||
	    !ops_put(c, store_commit(c->store), r)) {
		node_free(next);
		return false;
	}
	become(c, n, next);
	return ops_done(r);
}

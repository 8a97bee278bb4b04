/* maptruth: see maptruth.h. */
#include <stdlib.h>
#include <string.h>

#include "coordd/mapper_impl.h"
#include "tests/sim/maptruth.h"
#include "tests/sim/mapview.h"

struct known {
	const struct node *node;
	struct policy_bits bits;
	char *filter;
	char *peer; /* of a node without routes: alike for all */
	bool online; /* as peer has it */
};

struct maptruth {
	struct coordd *c;
	struct policy *policy;
	struct policy_world world;
	struct known *v;
	size_t n;
	char *text; /* lent last */
};

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct maptruth *
maptruth_new(struct coordd *c)
{
	struct maptruth *t = must(calloc(1, sizeof(*t)));
	const char *source = policy_source(c->policy);
	const struct policy_subject **subjects =
	    must(calloc(c->model.nnodes + 1, sizeof(const void *)));
	char error[POLICY_ERROR_MAX];
	size_t words;
	struct node *n;

	t->c = c;
	t->policy = must(policy_parse(source, strlen(source), error));
	t->v = must(calloc(c->model.nnodes + 1, sizeof(*t->v)));
	t->world.v = subjects;
	words = policy_words(t->policy);
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		struct known *k = &t->v[t->n++];
		uint64_t *bits = must(calloc(2 * words, sizeof(*bits)));

		k->node = n;
		k->bits = (struct policy_bits){bits, bits + words};
		policy_match(t->policy, &n->subject, &k->bits);
		if (n->authorized)
			subjects[t->world.n++] = &n->subject;
	}
	return t;
}

void
maptruth_free(struct maptruth *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].bits.src);
		free(t->v[i].filter);
		free(t->v[i].peer);
	}
	free(t->v);
	free((void *)(uintptr_t)t->world.v);
	free(t->text);
	policy_free(t->policy);
	free(t);
}

static struct known *
find(struct maptruth *t, const struct node *n)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].node == n)
			return &t->v[i];
	abort();
}

bool
maptruth_sees(struct maptruth *t, const struct node *a, const struct node *b)
{
	struct known *x = find(t, a), *y = find(t, b);

	return a != b && a->authorized && b->authorized &&
	    (policy_reaches(
		 t->policy, &a->subject, &x->bits, &b->subject, &y->bits) ||
		policy_reaches(
		    t->policy, &b->subject, &y->bits, &a->subject, &x->bits));
}

bool
maptruth_route(struct maptruth *t, const struct node *receiver,
    const struct ip_prefix *route)
{
	return policy_reaches_route(
	    t->policy, &receiver->subject, &find(t, receiver)->bits, route);
}

/* ---- nodes ---- */

static bool
is_primary(const struct node *n, const struct ip_prefix *p)
{
	for (size_t i = 0; i < n->mapped->nprimary; i++)
		if (ip_prefix_equal(&n->mapped->primary[i], p))
			return true;
	return false;
}

/* The members of what others know of a node, or it of itself. */
static char *
text_of(struct maptruth *t, const struct node *receiver, const struct node *n,
    bool online)
{
	struct ip_prefix *routes =
	    must(calloc(n->nroutes + 1, 2 * sizeof(*routes)));
	struct ip_prefix *primary = routes + n->nroutes;
	struct mapdoc_view v = {.domain = t->c->conf->domain,
	    .online = online,
	    .now = coordd_time(),
	    .routes = routes,
	    .primary = primary,
	    .attributes = ""};
	struct text attributes = TEXT_EMPTY, json = TEXT_EMPTY;
	json_t *node;
	char *text;

	for (size_t i = 0; i < n->nroutes; i++) {
		const struct ip_prefix *p = &n->routes[i];
		bool exit_route = ip_prefix_is_default(p);

		if ((!exit_route && !is_primary(n, p)) ||
		    (receiver != n && !maptruth_route(t, receiver, p)))
			continue;
		routes[v.nroutes++] = *p;
		if (!exit_route)
			primary[v.nprimary++] = *p;
	}
	if (receiver == n) {
		policy_attributes(t->policy, &n->subject, &attributes);
		if (attributes.p != NULL)
			v.attributes = attributes.p;
		mapdoc_self(&json, n, &v);
	} else
		mapdoc_peer(&json, n, &v);
	node = must(json_loadb(json.p, json.len, JSON_REJECT_DUPLICATES, NULL));
	text = must(
	    receiver == n ? mapview_text_of_self(node) : mapview_text(node));
	json_decref(node);
	text_clear(&attributes);
	text_clear(&json);
	free(routes);
	return text;
}

const char *
maptruth_node(struct maptruth *t, const struct node *receiver,
    const struct node *n, bool online)
{
	struct known *k = find(t, n);

	if (n != receiver && n->nroutes == 0) {
		if (k->peer == NULL || k->online != online) {
			free(k->peer);
			k->peer = text_of(t, receiver, n, online);
			k->online = online;
		}
		return k->peer;
	}
	free(t->text);
	return t->text = text_of(t, receiver, n, online);
}

/* ---- filters ---- */

const char *
maptruth_filter(struct maptruth *t, const struct node *receiver)
{
	struct known *k = find(t, receiver);
	struct text text = TEXT_EMPTY;
	json_t *json;

	if (k->filter != NULL)
		return k->filter;
	if (receiver->authorized)
		policy_filter(
		    t->policy, &t->world, &receiver->subject, &k->bits, &text);
	else
		text_str(&text, "[]");
	json = must(json_loadb(text.p, text.len, 0, NULL));
	k->filter = must(json_dumps(json, JSON_COMPACT));
	json_decref(json);
	text_clear(&text);
	return k->filter;
}

/* ---- routes ---- */

static const char *
wrong_route(struct coordd *c, const struct ip_prefix *p)
{
	const struct node *server = NULL, *n;
	bool some_online = false;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		bool offers = false;

		for (size_t i = 0; i < n->nroutes && n->authorized; i++)
			offers |= ip_prefix_equal(&n->routes[i], p);
		some_online |= offers && mapper_is_online(c, n);
		if (!is_primary(n, p))
			continue;
		if (!offers)
			return "a route is served that is not offered";
		if (server != NULL)
			return "two nodes serve a route";
		server = n;
	}
	if (server == NULL)
		return "nobody serves a route";
	if (some_online && !mapper_is_online(c, server))
		return "a route is served by a node that is away";
	return NULL;
}

const char *
maptruth_wrong_routes(struct coordd *c)
{
	const struct node *n;
	const char *wrong = NULL;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		for (size_t i = 0; i < n->nroutes && n->authorized; i++) {
			if (ip_prefix_is_default(&n->routes[i]))
				continue;
			wrong = wrong_route(c, &n->routes[i]);
			if (wrong != NULL)
				return wrong;
		}
	return NULL;
}

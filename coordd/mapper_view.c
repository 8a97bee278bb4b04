/*
 * mapper_view: who sees whom, and which routes. The bits of the policy are
 * kept per class of nodes, so that a pair costs a few instructions.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/mapper_impl.h"

struct policy_bits
view_bits(const struct coordd *c, const struct node *n)
{
	return class_bits(c, n->mapped->cl);
}

bool
view_sees(const struct coordd *c, const struct node *a, const struct node *b)
{
	struct policy_bits x, y;

	if (!a->authorized || !b->authorized)
		return false;
	x = view_bits(c, a);
	y = view_bits(c, b);
	return policy_reaches(c->policy, &a->subject, &x, &b->subject, &y) ||
	    policy_reaches(c->policy, &b->subject, &y, &a->subject, &x);
}

bool
view_knows(const struct stream *s, const struct node *n)
{
	return n->slot / 64 < s->words &&
	    (s->knows[n->slot / 64] >> n->slot % 64 & 1) != 0;
}

bool
view_learn(struct stream *s, const struct node *n, bool knows)
{
	size_t word = n->slot / 64, words;
	uint64_t bit = UINT64_C(1) << n->slot % 64, *grown;

	if (word >= s->words) {
		if (!knows)
			return true;
		words = s->c->model.nslots / 64 + 1;
		if (words <= word)
			words = word + 1;
		grown = realloc(s->knows, words * sizeof(*grown));
		if (grown == NULL)
			return false;
		memset(
		    grown + s->words, 0, (words - s->words) * sizeof(*grown));
		s->knows = grown;
		s->words = words;
	}
	if (knows)
		s->knows[word] |= bit;
	else
		s->knows[word] &= ~bit;
	return true;
}

/* ---- routes ---- */

static bool
serves(const struct node *n, const struct ip_prefix *p)
{
	if (ip_prefix_is_default(p))
		return true;
	for (size_t i = 0; i < n->mapped->nprimary; i++)
		if (ip_prefix_equal(&n->mapped->primary[i], p))
			return true;
	return false;
}

size_t
view_routes(const struct coordd *c, const struct node *n,
    const struct node *receiver, struct ip_prefix *v)
{
	struct policy_bits bits = view_bits(c, receiver);
	size_t count = 0;

	for (size_t i = 0; i < n->nroutes; i++) {
		const struct ip_prefix *p = &n->routes[i];

		if (serves(n, p) &&
		    (receiver == n ||
			policy_reaches_route(
			    c->policy, &receiver->subject, &bits, p)))
			v[count++] = *p;
	}
	return count;
}

struct offer {
	const struct ip_prefix *route;
	struct node *node;
	bool served; /* until now */
};

static int
compare_offers(const void *a, const void *b)
{
	const struct offer *x = a, *y = b;
	int r = ip_compare(&x->route->ip, &y->route->ip);

	if (r == 0)
		r = (int)x->route->bits - (int)y->route->bits;
	if (r == 0)
		r = (int)x->route->v4 - (int)y->route->v4;
	if (r == 0)
		r = x->node->id < y->node->id ? -1 : 1;
	return r;
}

/* Who served it goes on while it is online; else the first that is online;
 * else who served it, so that nothing moves while all are away. */
static const struct offer *
elect(const struct offer *v, size_t n)
{
	const struct offer *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (v[i].served && v[i].node->mapped->online)
			return &v[i];
	for (size_t i = 0; i < n; i++)
		if (v[i].node->mapped->online)
			return &v[i];
	for (size_t i = 0; i < n && best == NULL; i++)
		if (v[i].served)
			best = &v[i];
	return best == NULL ? v : best;
}

static struct offer *
gather_offers(struct coordd *c, size_t *count)
{
	struct node *n;
	struct offer *v;
	size_t cap = 0;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		cap += n->nroutes;
	*count = 0;
	if (cap == 0 || (v = calloc(cap, sizeof(*v))) == NULL)
		return NULL;
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		for (size_t i = 0; i < n->nroutes && n->authorized; i++)
			if (!ip_prefix_is_default(&n->routes[i]))
				v[(*count)++] = (struct offer){
				    &n->routes[i], n, serves(n, &n->routes[i])};
	qsort(v, *count, sizeof(*v), compare_offers);
	return v;
}

/* Gives each node its list anew; a node whose list differs has changed. */
static void
set_primary(
    struct coordd *c, struct node *n, const struct offer *won, size_t count)
{
	struct mapper_node *mn = n->mapped;
	struct ip_prefix *v =
	    n->nroutes == 0 ? NULL : calloc(n->nroutes, sizeof(*v));
	size_t k = 0;
	bool same;

	if (n->nroutes > 0 && v == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		if (won[i].node == n)
			v[k++] = *won[i].route;
	same = k == mn->nprimary;
	for (size_t i = 0; same && i < k; i++)
		same = ip_prefix_equal(&v[i], &mn->primary[i]);
	free(mn->primary);
	mn->primary = v;
	mn->nprimary = k;
	if (!same)
		mapper_node_changed(c, n);
}

void
view_elect(struct coordd *c)
{
	size_t count, won = 0, same;
	struct offer *v = gather_offers(c, &count);
	struct node *n;

	for (size_t i = 0; i < count; i += same) {
		for (same = 1; i + same < count &&
		     ip_prefix_equal(v[i].route, v[i + same].route);)
			same++;
		v[won++] = *elect(&v[i], same);
	}
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (n->nroutes > 0 || n->mapped->nprimary > 0)
			set_primary(c, n, v, won);
	free(v);
}

/*
 * policy_owner: who may use a tag, whose routes are approved by themselves,
 * and which attributes a node has. PURE.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

static const struct listed *
owners_find(const struct policy *p, const char *tag)
{
	for (size_t i = 0; i < p->owners.n; i++)
		if (strcmp(p->owners.v[i].name, tag) == 0)
			return &p->owners.v[i];
	return NULL;
}

bool
policy_has_tag(const struct policy *p, const char *tag)
{
	return owners_find(p, tag) != NULL;
}

static bool
lists(const struct policy *p, const struct listed *l,
    const struct policy_subject *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (alias_is_subject(&p->aliases[l->aliases[i]], s))
			return true;
	return false;
}

/* Owners of a tag that owns the tag own it, too. visited[i]: the i-th tag was
 * asked already, so that tags may own each other. */
static bool
owns(const struct policy *p, const struct policy_subject *s,
    const struct listed *l, bool *visited)
{
	if (l == NULL || visited[l - p->owners.v])
		return false;
	visited[l - p->owners.v] = true;
	if (lists(p, l, s))
		return true;
	for (size_t i = 0; i < l->n; i++) {
		const struct alias *a = &p->aliases[l->aliases[i]];

		if (a->kind == ALIAS_TAG &&
		    owns(p, s, owners_find(p, a->name), visited))
			return true;
	}
	return false;
}

bool
policy_owns_tag(
    const struct policy *p, const struct policy_subject *s, const char *tag)
{
	const struct listed *l = owners_find(p, tag);
	bool *visited, good;

	if (l == NULL)
		return false;
	for (size_t i = 0; i < s->ntags; i++)
		if (strcmp(s->tags[i], tag) == 0)
			return true;
	visited = calloc(p->owners.n, sizeof(*visited));
	if (visited == NULL)
		return false;
	good = owns(p, s, l, visited);
	free(visited);
	return good;
}

bool
policy_approves(const struct policy *p, const struct policy_subject *s,
    const struct ip_prefix *route)
{
	if (ip_prefix_is_default(route))
		return p->exit_approvers.n > 0 &&
		    lists(p, &p->exit_approvers.v[0], s);
	for (size_t i = 0; i < p->route_approvers.n; i++) {
		const struct listed *l = &p->route_approvers.v[i];

		if (ip_prefix_covers(&l->prefix, route) && lists(p, l, s))
			return true;
	}
	return false;
}

static bool
is_target(const struct policy *p, const struct listed *l,
    const struct policy_subject *s)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct alias *a = &p->aliases[l->aliases[i]];

		if (alias_has(a, s, &s->ip4, true) ||
		    alias_has(a, s, &s->ip6, true))
			return true;
	}
	return false;
}

static int
name_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Writes the attributes in order, each once. */
static void
write_attributes(const char **v, size_t n, struct text *out)
{
	qsort(v, n, sizeof(*v), name_order);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(v[i], v[i - 1]) == 0)
			continue;
		text_char(out, ',');
		text_json(out, v[i]);
		text_str(out, ":[]");
	}
}

void
policy_attributes(
    const struct policy *p, const struct policy_subject *s, struct text *out)
{
	size_t room = 1, n = 0;
	const char **v;

	for (size_t i = 0; i < p->attributes.n; i++)
		room += p->attributes.v[i].nattributes;
	v = calloc(room, sizeof(*v));
	if (v == NULL) {
		out->bad = true;
		return;
	}
	if (p->random_port)
		v[n++] = "randomize-client-port";
	for (size_t i = 0; i < p->attributes.n; i++) {
		const struct listed *l = &p->attributes.v[i];

		if (!is_target(p, l, s))
			continue;
		for (size_t j = 0; j < l->nattributes; j++)
			v[n++] = l->attributes[j];
	}
	write_attributes(v, n, out);
	free(v);
}

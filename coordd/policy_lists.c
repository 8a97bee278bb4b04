/*
 * policy_lists: the sections of a policy that are no rules: "tagOwners",
 * "autoApprovers", "nodeAttrs" and "tests". PURE.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

static struct listed *
listing_add(struct listing *l)
{
	struct listed *v = policy_grow(l->v, l->n, &l->cap, sizeof(*v));

	if (v == NULL)
		return NULL;
	l->v = v;
	v = &l->v[l->n++];
	memset(v, 0, sizeof(*v));
	return v;
}

bool
policy_read_owners(struct policy_reader *r, const char *key, json_t *tags)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	json_object_foreach(tags, here.key, value)
	{
		struct listed *l = listing_add(&r->p->owners);

		if (l == NULL || (l->name = strdup(here.key)) == NULL)
			return policy_no_memory(r);
		if (!policy_aliases(
			r, &here, value, PLACE_OWNER, &l->aliases, &l->n))
			return false;
	}
	return true;
}

static bool
read_route_approvers(
    struct policy_reader *r, const struct hujson_path *at, json_t *routes)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_object(routes))
		return policy_refuse(
		    r, at, false, "\"routes\" must be an object");
	json_object_foreach(routes, here.key, value)
	{
		struct listed *l = listing_add(&r->p->route_approvers);

		if (l == NULL)
			return policy_no_memory(r);
		if (strchr(here.key, '/') == NULL ||
		    !ip_prefix_parse(&l->prefix, here.key, strlen(here.key)))
			return policy_refuse(r, &here, true,
			    "\"%s\" is no prefix, such as 10.0.0.0/8 (no bits "
			    "set beyond the length)",
			    here.key);
		if (!policy_aliases(
			r, &here, value, PLACE_OWNER, &l->aliases, &l->n))
			return false;
	}
	return true;
}

bool
policy_read_approvers(
    struct policy_reader *r, const char *key, json_t *approvers)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *routes = NULL, *exits = NULL;
	const char *routes_key = NULL, *exits_key = NULL;
	const struct policy_field fields[] = {{"routes", &routes, &routes_key},
	    {"exitNode", &exits, &exits_key}, {0}};
	struct listed *l;

	if (!policy_fields(r, &section, approvers, fields))
		return false;
	here.key = routes_key;
	if (routes != NULL && !read_route_approvers(r, &here, routes))
		return false;
	if (exits == NULL)
		return true;
	here.key = exits_key;
	l = listing_add(&r->p->exit_approvers);
	if (l == NULL)
		return policy_no_memory(r);
	return policy_aliases(r, &here, exits, PLACE_OWNER, &l->aliases, &l->n);
}

static bool
read_attribute_names(struct policy_reader *r, const struct hujson_path *at,
    const json_t *list, struct listed *l)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_array(list))
		return policy_refuse(
		    r, at, false, "\"attr\" must be an array of strings");
	l->attributes =
	    calloc(json_array_size(list) + 1, sizeof(*l->attributes));
	if (l->attributes == NULL)
		return policy_no_memory(r);
	json_array_foreach(list, here.i, value)
	{
		if (!json_is_string(value) || json_string_length(value) == 0)
			return policy_refuse(
			    r, &here, false, "an attribute must be a string");
		if (strcmp(json_string_value(value), "funnel") == 0)
			return policy_refuse(
			    r, &here, false, "\"funnel\" is not supported");
		l->attributes[l->nattributes] =
		    strdup(json_string_value(value));
		if (l->attributes[l->nattributes++] == NULL)
			return policy_no_memory(r);
	}
	return true;
}

bool
policy_read_attributes(struct policy_reader *r, const char *key, json_t *list)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	struct hujson_path member = {.up = &here};
	json_t *value;

	if (!json_is_array(list))
		return policy_refuse(
		    r, &section, false, "\"nodeAttrs\" must be an array");
	json_array_foreach(list, here.i, value)
	{
		json_t *target = NULL, *attr = NULL, *pool = NULL;
		const char *target_key, *attr_key, *pool_key;
		const struct policy_field fields[] = {
		    {"target", &target, &target_key},
		    {"attr", &attr, &attr_key}, {"ipPool", &pool, &pool_key},
		    {0}};
		struct listed *l = listing_add(&r->p->attributes);

		if (l == NULL)
			return policy_no_memory(r);
		if (!policy_fields(r, &here, value, fields))
			return false;
		if (pool != NULL) {
			member.key = pool_key;
			return policy_refuse(
			    r, &member, true, "\"ipPool\" is not supported");
		}
		if (target == NULL)
			return policy_refuse(r, &here, false,
			    "an entry of nodeAttrs needs \"target\"");
		member.key = target_key;
		if (!policy_aliases(
			r, &member, target, PLACE_TARGET, &l->aliases, &l->n))
			return false;
		member.key = attr_key;
		if (attr != NULL && !read_attribute_names(r, &member, attr, l))
			return false;
	}
	return true;
}

static bool
read_checks(struct policy_reader *r, const struct hujson_path *at,
    const json_t *list, bool accept, struct policy_case *c)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_array(list))
		return policy_refuse(
		    r, at, false, "must be an array of \"destination:port\"");
	json_array_foreach(list, here.i, value)
	{
		struct service s = {.proto = c->proto};
		struct policy_check *k = &c->checks[c->nchecks];
		const struct alias *a;
		bool good = policy_destination(
		    r, &here, value, PLACE_TEST_DESTINATION, &k->alias, &s);

		if (good &&
		    (s.nports != 1 || s.ports[0].first == 0 ||
			s.ports[0].first != s.ports[0].last))
			good = policy_refuse(r, &here, false,
			    "\"%s\": a test names one port",
			    json_string_value(value));
		if (good)
			k->port = s.ports[0].first;
		free(s.ports);
		if (!good)
			return false;
		a = &r->p->aliases[k->alias];
		if (a->kind == ALIAS_ADDRESS &&
		    a->prefix.bits != (a->prefix.v4 ? 32 : 128))
			return policy_refuse(r, &here, false,
			    "\"%s\": a test names one address, no prefix",
			    json_string_value(value));
		k->at = here.i;
		k->accept = accept;
		c->nchecks++;
	}
	return true;
}

struct case_members {
	json_t *src, *proto, *accept, *deny;
	const char *src_key, *proto_key, *accept_key, *deny_key;
};

static bool
read_case_head(struct policy_reader *r, const struct hujson_path *at,
    const struct case_members *m, struct policy_case *c)
{
	struct hujson_path src = {.up = at, .key = m->src_key};
	struct hujson_path proto = {.up = at, .key = m->proto_key};

	if (!json_is_string(m->src))
		return policy_refuse(r, m->src == NULL ? at : &src, false,
		    "a test needs \"src\", a string");
	if (!policy_alias(r, &src, json_string_value(m->src),
		json_string_length(m->src), PLACE_TEST_SOURCE, &c->src))
		return false;
	if (m->proto == NULL)
		return true;
	if (!json_is_string(m->proto))
		return policy_refuse(
		    r, &proto, false, "\"proto\" must be a string");
	if (json_string_length(m->proto) == 0)
		return true;
	if (!policy_read_proto(r, &proto, json_string_value(m->proto),
		json_string_length(m->proto), &c->proto))
		return false;
	return policy_service_has_ports(c->proto) ||
	    policy_refuse(
		r, &proto, false, "the protocol of a test is tcp, udp or sctp");
}

static bool
read_case(struct policy_reader *r, const struct hujson_path *at, json_t *value)
{
	struct case_members m = {0};
	const struct policy_field fields[] = {{"src", &m.src, &m.src_key},
	    {"proto", &m.proto, &m.proto_key},
	    {"accept", &m.accept, &m.accept_key},
	    {"deny", &m.deny, &m.deny_key}, {0}};
	struct hujson_path here = {.up = at};
	struct policy *p = r->p;
	struct policy_case *c =
	    policy_grow(p->cases, p->ncases, &p->cap_cases, sizeof(*c));

	if (c == NULL)
		return policy_no_memory(r);
	p->cases = c;
	c = &p->cases[p->ncases++];
	memset(c, 0, sizeof(*c));
	if (!policy_fields(r, at, value, fields) ||
	    !read_case_head(r, at, &m, c))
		return false;
	c->checks =
	    calloc(json_array_size(m.accept) + json_array_size(m.deny) + 1,
		sizeof(*c->checks));
	if (c->checks == NULL)
		return policy_no_memory(r);
	here.key = m.accept_key;
	if (m.accept != NULL && !read_checks(r, &here, m.accept, true, c))
		return false;
	here.key = m.deny_key;
	if (m.deny != NULL && !read_checks(r, &here, m.deny, false, c))
		return false;
	return c->nchecks > 0 ||
	    policy_refuse(r, at, false, "a test needs \"accept\" or \"deny\"");
}

bool
policy_read_cases(struct policy_reader *r, const char *key, json_t *list)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	if (!json_is_array(list))
		return policy_refuse(
		    r, &section, false, "\"tests\" must be an array");
	json_array_foreach(
	    list, here.i, value) if (!read_case(r, &here, value)) return false;
	return true;
}

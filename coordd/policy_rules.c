/* policy_rules: the sections "acls" and "grants" become rules. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

/* The longest alias with its ports that makes sense. */
#define DESTINATION_MAX 1024

static struct entry *
entry_add(struct policy_reader *r, const char *section, size_t index,
    size_t nservices)
{
	struct policy *p = r->p;
	struct entry *e =
	    policy_grow(p->entries, p->nentries, &p->cap_entries, sizeof(*e));

	if (e == NULL)
		return NULL;
	p->entries = e;
	e = &p->entries[p->nentries];
	*e = (struct entry){.section = section,
	    .index = index,
	    .first_rule = (uint32_t)p->nrules};
	e->services = calloc(nservices + 1, sizeof(*e->services));
	if (e->services == NULL)
		return NULL;
	p->nentries++;
	return e;
}

/* Adds a rule to the last entry. Lists are linked later, in order. */
static bool
rule_add(struct policy_reader *r, uint32_t sources, uint32_t dst)
{
	struct policy *p = r->p;
	struct rule *v;

	if (p->nrules == POLICY_RULES_MAX) {
		snprintf(r->error, POLICY_ERROR_MAX,
		    "line 1, column 1: more than %d rules", POLICY_RULES_MAX);
		return false;
	}
	v = policy_grow(p->rules, p->nrules, &p->cap_rules, sizeof(*v));
	if (v == NULL)
		return policy_no_memory(r);
	p->rules = v;
	p->rules[p->nrules++] = (struct rule){.sources = sources,
	    .dst = dst,
	    .entry = (uint32_t)(p->nentries - 1)};
	p->entries[p->nentries - 1].nrules++;
	return true;
}

/* Copies without the brackets around an IPv6 address, if there are any. */
static bool
unbracket(const char *text, char *bare, size_t room)
{
	const char *close = strchr(text, ']');
	struct ip ip;

	if (text[0] != '[')
		return (size_t)snprintf(bare, room, "%s", text) < room;
	if (close == NULL || (close[1] != ':' && close[1] != '/') ||
	    !ip_parse(&ip, text + 1, (size_t)(close - text - 1)) ||
	    memchr(text, ':', (size_t)(close - text)) == NULL)
		return false;
	return (size_t)snprintf(bare, room, "%.*s%s", (int)(close - text - 1),
		   text + 1, close + 1) < room;
}

bool
policy_destination(struct policy_reader *r, const struct hujson_path *at,
    const json_t *value, enum alias_place place, uint32_t *alias,
    struct service *s)
{
	const char *text = json_string_value(value);
	char bare[DESTINATION_MAX], *colon;

	if (text == NULL)
		return policy_refuse(
		    r, at, false, "must be a string \"destination:ports\"");
	if (!unbracket(text, bare, sizeof(bare)))
		return policy_refuse(r, at, false,
		    "\"%s\" is no destination with ports, such as tag:x:22",
		    text);
	colon = strrchr(bare, ':');
	if (colon == NULL || colon == bare)
		return policy_refuse(r, at, false,
		    "\"%s\" has no ports: write \"%s:*\" for all of them", text,
		    text);
	return policy_alias(
		   r, at, bare, (size_t)(colon - bare), place, alias) &&
	    policy_read_ports(r, at, colon + 1, s);
}

/* autogroup:self goes with sources that are people, not machines; in a grant
 * with "*" neither (Headscale's validate...SrcDstCombination). */
static bool
check_self(struct policy_reader *r, const struct hujson_path *at,
    const uint32_t *v, size_t n, bool any)
{
	struct hujson_path here = {.up = at};

	for (here.i = 0; here.i < n; here.i++) {
		enum alias_kind kind = r->p->aliases[v[here.i]].kind;

		if (kind != ALIAS_USER && kind != ALIAS_GROUP &&
		    kind != ALIAS_MEMBER && !(kind == ALIAS_ANY && any))
			return policy_refuse(r, &here, false,
			    "the destination autogroup:self needs sources "
			    "that are users, groups or autogroup:member%s",
			    any ? " (or *)" : "");
	}
	return true;
}

struct acl {
	json_t *action, *proto, *src, *dst;
	const char *action_key, *src_key, *dst_key, *proto_key;
};

static bool
read_acl_proto(struct policy_reader *r, const struct hujson_path *at,
    const struct acl *a, uint8_t *proto)
{
	struct hujson_path here = {.up = at, .key = a->proto_key};

	*proto = 0;
	if (a->proto == NULL)
		return true;
	if (!json_is_string(a->proto))
		return policy_refuse(r, &here, false,
		    "must be a string, such as \"tcp\" or \"6\"");
	return json_string_length(a->proto) == 0 ||
	    policy_read_proto(r, &here, json_string_value(a->proto),
		json_string_length(a->proto), proto);
}

static bool
read_acl_destinations(struct policy_reader *r, const struct hujson_path *at,
    const struct acl *a, const uint32_t *src, size_t nsrc)
{
	struct hujson_path dst = {.up = at, .key = a->dst_key};
	struct hujson_path srcs = {.up = at, .key = a->src_key};
	struct hujson_path here = {.up = &dst};
	uint32_t sources = 0, alias = 0;
	uint8_t proto;
	json_t *value;

	if (!read_acl_proto(r, at, a, &proto))
		return false;
	if (nsrc > 0 && !policy_sources(r, src, nsrc, &sources))
		return false;
	json_array_foreach(a->dst, here.i, value)
	{
		struct entry *e = entry_add(r, "acls", at->i, 1);

		if (e == NULL)
			return policy_no_memory(r);
		e->first_dst = here.i;
		e->services[0].proto = proto;
		e->nservices = 1;
		if (!policy_destination(r, &here, value, PLACE_DESTINATION,
			&alias, &e->services[0]))
			return false;
		if (r->p->aliases[alias].kind == ALIAS_SELF &&
		    !check_self(r, &srcs, src, nsrc, true))
			return false;
		if (nsrc > 0 && !rule_add(r, sources, alias))
			return false;
	}
	return true;
}

static bool
read_acl(struct policy_reader *r, const struct hujson_path *at, json_t *value)
{
	struct acl a = {0};
	const struct policy_field fields[] = {
	    {"action", &a.action, &a.action_key},
	    {"proto", &a.proto, &a.proto_key}, {"src", &a.src, &a.src_key},
	    {"dst", &a.dst, &a.dst_key}, {0}};
	struct hujson_path here = {.up = at};
	const char *action;
	uint32_t *src = NULL;
	size_t nsrc = 0;
	bool good;

	if (!policy_fields(r, at, value, fields))
		return false;
	action = json_string_value(a.action);
	if (action == NULL || strcmp(action, "accept") != 0) {
		here.key = a.action == NULL ? "" : a.action_key;
		return policy_refuse(r, &here, false,
		    "\"action\" must be \"accept\", not \"%s\"",
		    action == NULL ? "" : action);
	}
	if (a.src == NULL || a.dst == NULL)
		return policy_refuse(r, at, false, "an acl needs \"%s\"",
		    a.src == NULL ? "src" : "dst");
	here.key = a.dst_key;
	if (!json_is_array(a.dst))
		return policy_refuse(
		    r, &here, false, "\"dst\" must be an array of strings");
	here.key = a.src_key;
	good = policy_aliases(r, &here, a.src, PLACE_SOURCE, &src, &nsrc) &&
	    read_acl_destinations(r, at, &a, src, nsrc);
	free(src);
	return good;
}

bool
policy_read_acls(struct policy_reader *r, const char *key, json_t *acls)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	if (!json_is_array(acls))
		return policy_refuse(
		    r, &section, false, "\"acls\" must be an array");
	json_array_foreach(
	    acls, here.i, value) if (!read_acl(r, &here, value)) return false;
	return true;
}

bool
policy_allow_all(struct policy_reader *r)
{
	struct entry *e = entry_add(r, NULL, 0, 1);
	uint32_t src, dst, sources;

	if (e == NULL)
		return policy_no_memory(r);
	e->nservices = 1;
	return policy_read_ports(r, NULL, "*", &e->services[0]) &&
	    policy_alias(
		r, NULL, "autogroup:danger-all", 20, PLACE_SOURCE, &src) &&
	    policy_alias(r, NULL, "*", 1, PLACE_DESTINATION, &dst) &&
	    policy_sources(r, &src, 1, &sources) && rule_add(r, sources, dst);
}

struct grant {
	json_t *src, *dst, *ip, *app, *via;
	const char *src_key, *dst_key, *ip_key, *app_key, *via_key;
	uint32_t *srcs, *dsts;
	size_t nsrcs, ndsts;
};

/* "*", "443", "tcp:443", "icmp:*". */
static bool
read_grant_service(struct policy_reader *r, const struct hujson_path *at,
    const json_t *value, struct service *s)
{
	const char *text = json_string_value(value), *colon;

	if (text == NULL)
		return policy_refuse(r, at, false,
		    "must be a string, such as \"tcp:443\" or \"*\"");
	colon = strchr(text, ':');
	if (colon == NULL)
		return policy_read_ports(r, at, text, s);
	return policy_read_proto(
		   r, at, text, (size_t)(colon - text), &s->proto) &&
	    policy_read_ports(r, at, colon + 1, s);
}

static bool
grant_rules(struct policy_reader *r, const struct grant *g)
{
	uint32_t sources;

	if (g->nsrcs == 0)
		return true;
	if (!policy_sources(r, g->srcs, g->nsrcs, &sources))
		return false;
	for (size_t i = 0; i < g->ndsts; i++)
		if (!rule_add(r, sources, g->dsts[i]))
			return false;
	return true;
}

static bool
read_grant_ip(struct policy_reader *r, const struct hujson_path *at,
    const struct grant *g)
{
	struct hujson_path list = {.up = at, .key = g->ip_key};
	struct hujson_path here = {.up = &list};
	size_t n = json_array_size(g->ip);
	struct entry *e;
	json_t *value;

	if (g->ip != NULL && !json_is_array(g->ip))
		return policy_refuse(
		    r, &list, false, "\"ip\" must be an array of strings");
	if (n == 0)
		return true;
	e = entry_add(r, "grants", at->i, n);
	if (e == NULL)
		return policy_no_memory(r);
	json_array_foreach(g->ip, here.i, value)
	{
		e->nservices++;
		if (!read_grant_service(r, &here, value, &e->services[here.i]))
			return false;
	}
	return grant_rules(r, g);
}

/* Those of Tailscale's own names that a policy may grant, as in Headscale's
 * tailscaleCapAllowlist, and what the other side is told beside it. */
static const struct {
	const char *name, *companion;
} own_capabilities[] = {
    {"tailscale.com/cap/drive", "{\"tailscale.com/cap/drive-sharer\":null}"},
    {"tailscale.com/cap/relay", "{\"tailscale.com/cap/relay-target\":null}"},
    {"tailscale.com/cap/webui", NULL},
    {"tailscale.com/cap/kubernetes", NULL},
    {"tailscale.com/cap/tsidp", NULL},
    {"tailscale.com/cap/secrets", NULL},
};
#define OWN_CAPABILITIES \
	(sizeof(own_capabilities) / sizeof(own_capabilities[0]))

static bool
capability_ok(const char *name)
{
	if (strstr(name, "://") != NULL)
		return false;
	if (strncmp(name, "tailscale.com/", 14) != 0)
		return true;
	for (size_t i = 0; i < OWN_CAPABILITIES; i++)
		if (strcmp(name, own_capabilities[i].name) == 0)
			return true;
	return false;
}

static bool
check_app(struct policy_reader *r, const struct hujson_path *at,
    const struct grant *g)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_object(g->app))
		return policy_refuse(r, at, false, "\"app\" must be an object");
	json_object_foreach(g->app, here.key, value)
	{
		if (!capability_ok(here.key))
			return policy_refuse(r, &here, true,
			    "\"%s\" is no capability that can be granted: it "
			    "has the form domain/path, and not of "
			    "tailscale.com",
			    here.key);
		if (!json_is_array(value))
			return policy_refuse(r, &here, false,
			    "a capability's value must be an array");
	}
	for (size_t i = 0; i < g->ndsts; i++)
		if (r->p->aliases[g->dsts[i]].kind == ALIAS_INTERNET)
			return policy_refuse(r, at, false,
			    "\"app\" does not go with autogroup:internet");
	return true;
}

/* Tells the sources of a grant what they take part in: drive-sharer ... The
 * other way around, so that each of the sources gets it as a receiver. */
static bool
add_companion(struct policy_reader *r, const struct grant *g, size_t index,
    const char *app)
{
	struct entry *e = entry_add(r, "grants", index, 0);
	uint32_t *dsts = calloc(g->ndsts + 1, sizeof(*dsts)), sources;
	uint32_t self = POLICY_NONE;
	struct grant back = {.srcs = dsts, .dsts = g->srcs, .ndsts = g->nsrcs};
	bool good = e != NULL && dsts != NULL;

	if (good) {
		e->reverse = true;
		e->app = strdup(app);
		good = e->app != NULL;
	}
	for (size_t i = 0; good && i < g->ndsts; i++) {
		if (r->p->aliases[g->dsts[i]].kind == ALIAS_SELF)
			self = g->dsts[i];
		else
			dsts[back.nsrcs++] = g->dsts[i];
	}
	if (!good) {
		free(dsts);
		return policy_no_memory(r);
	}
	good = grant_rules(r, &back);
	/* Sources that go with autogroup:self are all devices of a user. */
	if (good && self != POLICY_NONE && g->nsrcs > 0)
		good = policy_sources(r, g->srcs, g->nsrcs, &sources) &&
		    rule_add(r, sources, self);
	free(dsts);
	return good;
}

static bool
read_grant_app(struct policy_reader *r, const struct hujson_path *at,
    const struct grant *g)
{
	struct hujson_path here = {.up = at, .key = g->app_key};
	struct entry *e;

	if (json_object_size(g->app) == 0 && json_is_object(g->app))
		return true;
	if (!check_app(r, &here, g))
		return false;
	e = entry_add(r, "grants", at->i, 0);
	if (e == NULL)
		return policy_no_memory(r);
	e->app = json_dumps(g->app, JSON_COMPACT);
	if (e->app == NULL)
		return policy_no_memory(r);
	if (!grant_rules(r, g))
		return false;
	for (size_t i = 0; i < OWN_CAPABILITIES; i++)
		if (own_capabilities[i].companion != NULL &&
		    json_object_get(g->app, own_capabilities[i].name) != NULL &&
		    !add_companion(r, g, at->i, own_capabilities[i].companion))
			return false;
	return true;
}

static bool
check_grant(struct policy_reader *r, const struct hujson_path *at,
    const struct grant *g)
{
	struct hujson_path srcs = {.up = at, .key = g->src_key};
	struct hujson_path dsts = {.up = at, .key = g->dst_key};
	struct hujson_path here = {.up = &dsts};

	for (here.i = 0; here.i < g->ndsts; here.i++) {
		const struct alias *a = &r->p->aliases[g->dsts[here.i]];

		if (a->kind == ALIAS_ADDRESS && a->prefix.bits == 0)
			return policy_refuse(r, &here, false,
			    "a grant cannot have a default route as its "
			    "destination: use \"*\" or autogroup:internet");
		if (a->kind == ALIAS_SELF &&
		    !check_self(r, &srcs, g->srcs, g->nsrcs, false))
			return false;
	}
	return true;
}

static bool
read_grant_members(
    struct policy_reader *r, const struct hujson_path *at, struct grant *g)
{
	struct hujson_path src = {.up = at, .key = g->src_key};
	struct hujson_path dst = {.up = at, .key = g->dst_key};
	struct hujson_path via = {.up = at, .key = g->via_key};

	if (g->src == NULL || g->dst == NULL)
		return policy_refuse(r, at, false, "a grant needs \"%s\"",
		    g->src == NULL ? "src" : "dst");
	if (g->via != NULL && json_array_size(g->via) > 0)
		return policy_refuse(
		    r, &via, true, "\"via\" is not supported yet");
	if (json_array_size(g->ip) == 0 && json_object_size(g->app) == 0 &&
	    (g->ip == NULL || json_is_array(g->ip)) &&
	    (g->app == NULL || json_is_object(g->app)))
		return policy_refuse(
		    r, at, false, "a grant needs \"ip\" or \"app\"");
	return policy_aliases(
		   r, &src, g->src, PLACE_SOURCE, &g->srcs, &g->nsrcs) &&
	    policy_aliases(
		r, &dst, g->dst, PLACE_DESTINATION, &g->dsts, &g->ndsts) &&
	    check_grant(r, at, g) && read_grant_ip(r, at, g) &&
	    (g->app == NULL || read_grant_app(r, at, g));
}

bool
policy_read_grants(struct policy_reader *r, const char *key, json_t *grants)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	if (!json_is_array(grants))
		return policy_refuse(
		    r, &section, false, "\"grants\" must be an array");
	json_array_foreach(grants, here.i, value)
	{
		struct grant g = {0};
		const struct policy_field fields[] = {
		    {"src", &g.src, &g.src_key}, {"dst", &g.dst, &g.dst_key},
		    {"ip", &g.ip, &g.ip_key}, {"app", &g.app, &g.app_key},
		    {"via", &g.via, &g.via_key}, {0}};
		bool good = policy_fields(r, &here, value, fields) &&
		    read_grant_members(r, &here, &g);

		free(g.srcs);
		free(g.dsts);
		if (!good)
			return false;
	}
	return true;
}

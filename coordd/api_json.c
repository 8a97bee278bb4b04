/* api_json: users, keys and nodes as the API tells them, see docs/api.md. */
#include <string.h>

#include "coordd/api.h"

static void
add_bool(struct text *t, const char *name, bool v)
{
	text_fmt(t, ",\"%s\":%s", name, v ? "true" : "false");
}

static void
add_string(struct text *t, const char *name, const char *v)
{
	text_fmt(t, ",\"%s\":", name);
	text_json(t, v == NULL ? "" : v);
}

static void
add_when(struct text *t, const char *name, int64_t unix_s)
{
	text_fmt(t, ",\"%s\":", name);
	api_add_time(t, unix_s);
}

void
api_add_time(struct text *t, int64_t unix_s)
{
	if (unix_s == 0) {
		text_str(t, "null");
		return;
	}
	text_char(t, '"');
	text_time(t, unix_s);
	text_char(t, '"');
}

void
api_add_strings(struct text *t, const char *const *v, size_t n)
{
	text_char(t, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_char(t, ',');
		text_json(t, v[i]);
	}
	text_char(t, ']');
}

void
api_add_user(struct text *t, const struct user *u)
{
	text_fmt(t, "{\"id\":%llu", (unsigned long long)u->id);
	add_string(t, "name", u->name);
	add_string(t, "display_name", u->display_name);
	add_when(t, "created", u->created);
	text_fmt(t, ",\"nodes\":%zu}", u->nodes);
}

void
api_add_authkey(
    struct text *t, const struct authkey *k, int64_t now, const char *secret)
{
	text_fmt(t, "{\"id\":%llu", (unsigned long long)k->id);
	add_string(t, "user", k->user->name);
	add_string(t, "prefix", k->prefix);
	add_bool(t, "reusable", k->reusable);
	add_bool(t, "ephemeral", k->ephemeral);
	add_bool(t, "used", k->used);
	add_when(t, "created", k->created);
	add_when(t, "expiration", k->expires);
	text_str(t, ",\"tags\":");
	api_add_strings(t, (const char *const *)k->tags, k->ntags);
	add_bool(t, "usable", authkey_is_usable(k, now));
	if (secret != NULL)
		add_string(t, "key", secret);
	text_char(t, '}');
}

void
api_view_init(struct api_view *v, struct coordd *c)
{
	v->c = c;
	v->now = coordd_time();
	v->relays =
	    c->derp_map == NULL ? NULL : json_loads(c->derp_map, 0, NULL);
}

void
api_view_clear(struct api_view *v)
{
	json_decref(v->relays);
}

static void
add_key(
    struct text *t, const char *name, const char *prefix, const struct key *k)
{
	char text[KEY_TEXT_MAX];

	add_string(t, name, key_is_zero(k) ? "" : key_text(k, prefix, text));
}

static void
add_addresses(struct text *t, const struct node *n)
{
	char text[IP_TEXT_MAX];

	text_str(t, ",\"addresses\":[");
	text_json(t, ip_text(&n->ip4, text));
	text_char(t, ',');
	text_json(t, ip_text(&n->ip6, text));
	text_char(t, ']');
}

/* What its client says of itself. */
static void
add_client(struct text *t, const struct node *n)
{
	json_t *info =
	    n->hostinfo == NULL ? NULL : json_loads(n->hostinfo, 0, NULL);

	add_string(t, "version",
	    json_string_value(json_object_get(info, "IPNVersion")));
	add_string(t, "os", json_string_value(json_object_get(info, "OS")));
	json_decref(info);
}

static void
add_relay(struct text *t, const struct api_view *v, int region)
{
	const json_t *r;
	char id[16];

	if (region == 0) {
		text_str(t, ",\"relay\":null,\"relay_name\":\"\"");
		return;
	}
	snprintf(id, sizeof(id), "%d", region);
	r = json_object_get(json_object_get(v->relays, "Regions"), id);
	text_fmt(t, ",\"relay\":%d", region);
	add_string(t, "relay_name",
	    json_string_value(json_object_get(r, "RegionName")));
}

static void
add_prefixes(
    struct text *t, const char *name, const struct ip_prefix *v, size_t n)
{
	char text[IP_PREFIX_TEXT_MAX];

	text_fmt(t, "\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_char(t, ',');
		text_json(t, ip_prefix_text(&v[i], text));
	}
	text_char(t, ']');
}

static void
add_routes(struct text *t, const struct node *n)
{
	text_str(t, ",\"routes\":{");
	add_prefixes(t, "advertised", n->advertised, n->nadvertised);
	text_char(t, ',');
	add_prefixes(t, "approved", n->approved, n->napproved);
	text_char(t, ',');
	add_prefixes(t, "serving", n->routes, n->nroutes);
	text_char(t, '}');
}

static void
add_names(struct text *t, const struct api_view *v, const struct node *n)
{
	const char *domain = v->c->conf->domain;

	add_string(t, "name", n->label);
	text_str(t, ",\"fqdn\":\"");
	text_str(t, n->label);
	if (domain[0] != '\0')
		text_fmt(t, ".%s", domain);
	text_char(t, '"');
	add_string(t, "hostname", n->hostname);
	add_string(t, "user", n->subject.user);
	text_str(t, ",\"tags\":");
	api_add_strings(t, (const char *const *)n->tags, n->ntags);
}

void
api_add_node(struct text *t, const struct api_view *v, const struct node *n)
{
	text_fmt(t, "{\"id\":%llu", (unsigned long long)n->id);
	add_names(t, v, n);
	add_addresses(t, n);
	add_key(t, "machine_key", KEY_MACHINE, &n->machine);
	add_key(t, "node_key", KEY_NODE, &n->node_key);
	add_key(t, "disco_key", KEY_DISCO, &n->disco);
	add_bool(t, "online", mapper_is_online(v->c, n));
	add_when(t, "last_seen", n->last_seen);
	add_when(t, "created", n->created);
	add_when(t, "expiry", n->expiry);
	add_bool(t, "expired", node_is_expired(n, v->now));
	add_bool(t, "approved", n->authorized);
	add_bool(t, "ephemeral", n->ephemeral);
	add_client(t, n);
	text_fmt(
	    t, ",\"endpoints\":%s", n->endpoints == NULL ? "[]" : n->endpoints);
	add_relay(t, v, n->home_derp);
	add_routes(t, n);
	if (n->authkey_id == 0)
		text_str(t, ",\"preauthkey\":null}");
	else
		text_fmt(t, ",\"preauthkey\":%llu}",
		    (unsigned long long)n->authkey_id);
}

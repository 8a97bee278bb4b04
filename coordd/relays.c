/* relays: see relays.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "coordd/relays.h"
#include "pure/relayurl.h"
#include "pure/text.h"
#include "run/file.h"

#define MAP_MAX (256 * 1024)

/* Regions of one's own (Tailscale reserves 900 to 999 for that). */
#define REGION_FIRST 900
#define REGION_LAST  999

static void __attribute__((format(printf, 2, 3)))
say(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, COORDD_ERROR_MAX, fmt, ap);
	va_end(ap);
}

/* ---- the relay map ---- */

/*
 * What clients and the page rely on; members that Tailscale does not have are
 * passed on as they are. One of a wrong type would cost every client its map,
 * so none is let through. Clients do not tell names by their case.
 */
struct member {
	const char *name;
	json_type type;
	json_int_t min, max; /* of an integer */
};

static const struct member region_members[] = {
    {"RegionID", JSON_INTEGER, 1, 65535}, {"RegionCode", JSON_STRING, 0, 0},
    {"RegionName", JSON_STRING, 0, 0}, {"Latitude", JSON_REAL, 0, 0},
    {"Longitude", JSON_REAL, 0, 0}, {"Avoid", JSON_TRUE, 0, 0},
    {"NoMeasureNoHome", JSON_TRUE, 0, 0}, {"Nodes", JSON_ARRAY, 0, 0}, {0}};

static const struct member node_members[] = {{"Name", JSON_STRING, 0, 0},
    {"RegionID", JSON_INTEGER, 1, 65535}, {"HostName", JSON_STRING, 0, 0},
    {"CertName", JSON_STRING, 0, 0}, {"IPv4", JSON_STRING, 0, 0},
    {"IPv6", JSON_STRING, 0, 0}, {"STUNPort", JSON_INTEGER, -1, 65535},
    {"STUNOnly", JSON_TRUE, 0, 0}, {"DERPPort", JSON_INTEGER, 0, 65535},
    {"InsecureForTests", JSON_TRUE, 0, 0}, {"STUNTestIP", JSON_STRING, 0, 0},
    {"CanPort80", JSON_TRUE, 0, 0}, {0}};

static const struct member map_members[] = {{"Regions", JSON_OBJECT, 0, 0},
    {"HomeParams", JSON_OBJECT, 0, 0}, {"omitDefaultRegions", JSON_TRUE, 0, 0},
    {0}};

static bool
fits(const struct member *m, const json_t *v)
{
	if (json_is_null(v))
		return true;
	switch (m->type) {
	case JSON_INTEGER:
		return json_is_integer(v) && json_integer_value(v) >= m->min &&
		    json_integer_value(v) <= m->max;
	case JSON_REAL:
		return json_is_number(v);
	case JSON_TRUE:
		return json_is_boolean(v);
	default:
		return json_typeof(v) == m->type;
	}
}

/* False, with one line in error, if a member of the object is not what clients
 * take there. */
static bool
check_members(
    json_t *object, const struct member *members, const char *of, char *error)
{
	const char *name;
	json_t *v;

	if (!json_is_object(object)) {
		say(error, "%s: want an object", of);
		return false;
	}
	json_object_foreach(object, name, v)
	{
		for (const struct member *m = members; m->name != NULL; m++)
			if (strcasecmp(m->name, name) == 0 && !fits(m, v)) {
				say(error,
				    "%s: \"%.40s\" is of a wrong type or "
				    "out of range",
				    of, m->name);
				return false;
			}
	}
	return true;
}

static bool
check_region(const char *id, json_t *region, char *error)
{
	json_t *nodes = json_object_get(region, "Nodes"), *node;
	char number[32], of[64];
	size_t i;

	snprintf(of, sizeof(of), "region %.20s", id);
	if (!check_members(region, region_members, of, error))
		return false;
	snprintf(number, sizeof(number), "%lld",
	    (long long)json_integer_value(json_object_get(region, "RegionID")));
	if (strcmp(id, number) != 0) {
		say(error,
		    "%s: RegionID is not the number that it stands under", of);
		return false;
	}
	if (!json_is_array(nodes)) {
		say(error, "%s: has no list of Nodes", of);
		return false;
	}
	json_array_foreach(nodes, i, node)
	{
		snprintf(of, sizeof(of), "region %.20s, node %zu", id, i + 1);
		if (!check_members(node, node_members, of, error))
			return false;
		if (!json_is_string(json_object_get(node, "HostName"))) {
			say(error, "%s: has no HostName", of);
			return false;
		}
	}
	return true;
}

static bool
check_map(json_t *map, char *error)
{
	json_t *regions = json_object_get(map, "Regions"), *region;
	const char *id;

	if (!check_members(map, map_members, "map", error))
		return false;
	if (!json_is_object(regions)) {
		say(error, "want {\"Regions\": {...}}");
		return false;
	}
	json_object_foreach(regions, id, region)
	{
		if (!check_region(id, region, error))
			return false;
	}
	return true;
}

static json_t *
read_map(const char *path, char *error)
{
	char *text = malloc(MAP_MAX);
	ssize_t n = text == NULL ? -1 : file_read(path, text, MAP_MAX);
	json_error_t e;
	json_t *map = NULL;
	char wrong[COORDD_ERROR_MAX];

	if (n == -1)
		say(error, "derp-map %s: %s", path, strerror(errno));
	else if ((map = json_loadb(
		      text, (size_t)n, JSON_REJECT_DUPLICATES, &e)) == NULL)
		say(error, "derp-map %s:%d:%d: %s", path, e.line, e.column,
		    e.text);
	else if (!check_map(map, wrong)) {
		say(error, "derp-map %s: %s", path, wrong);
		json_decref(map);
		map = NULL;
	}
	free(text);
	return map;
}

static json_t *
region_of(const struct relayurl *u, long id)
{
	char name[32];
	struct ip ip;
	json_t *node;

	snprintf(name, sizeof(name), "%lda", id);
	node = json_pack("{s:s, s:I, s:s, s:I, s:I}", "Name", name, "RegionID",
	    (json_int_t)id, "HostName", u->host, "DERPPort",
	    (json_int_t)u->port, "STUNPort", (json_int_t)u->stun);
	if (ip_parse(&ip, u->host, strlen(u->host)))
		json_object_set_new(node, ip_is_v4(&ip) ? "IPv4" : "IPv6",
		    json_string(u->host));
	if (u->pin[0] != '\0')
		json_object_set_new(node, "CertName", json_string(u->pin));
	if (u->http == 80)
		json_object_set_new(node, "CanPort80", json_true());
	return json_pack("{s:I, s:s, s:s, s:[o]}", "RegionID", (json_int_t)id,
	    "RegionCode", u->name[0] == '\0' ? name : u->name, "RegionName",
	    u->name[0] == '\0' ? u->host : u->name, "Nodes", node);
}

static bool
add_relays(json_t *map, const struct conf_strings *urls, char *error)
{
	json_t *regions = json_object_get(map, "Regions");
	struct relayurl u;
	char text[32];
	long id = REGION_FIRST;

	for (size_t i = 0; i < urls->n; i++) {
		if (!relayurl_read(&u, urls->v[i])) {
			say(error,
			    "relay: \"%.200s\" is not a relay's URL such as "
			    "https://192.0.2.1:443?pin=sha256-raw:<64 hex "
			    "digits>&stun=3478",
			    urls->v[i]);
			return false;
		}
		do
			snprintf(text, sizeof(text), "%ld", id++);
		while (json_object_get(regions, text) != NULL);
		if (id - 1 > REGION_LAST) {
			say(error, "relay: at most 100 are possible");
			return false;
		}
		json_object_set_new(regions, text, region_of(&u, id - 1));
	}
	return true;
}

char *
relays_map(const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX])
{
	json_t *map = conf->derp_map[0] == '\0'
	    ? json_pack("{s:{}}", "Regions")
	    : read_map(conf->derp_map, error);
	char *text = NULL;

	if (map == NULL)
		return NULL;
	if (add_relays(map, &conf->relay_text, error)) {
		text = json_dumps(map, JSON_COMPACT);
		if (text == NULL)
			say(error, "out of memory");
	}
	json_decref(map);
	return text;
}

size_t
relays_count(const char *map)
{
	json_t *root = json_loads(map, 0, NULL);
	size_t n = json_object_size(json_object_get(root, "Regions"));

	json_decref(root);
	return n;
}

/* ---- DNS ---- */

/* "ip" or "ip:port". */
static bool
is_resolver(const char *s)
{
	struct addr a;

	return strncmp(s, "localhost", 9) != 0 && addr_parse(&a, s, 53) &&
	    !addr_is_any(&a) && addr_port(&a) != 0;
}

static void
add_resolver(struct text *t, const char *s)
{
	text_str(t, "{\"Addr\":");
	text_json(t, s);
	text_char(t, '}');
}

static bool
add_resolvers(struct text *t, const struct conf_strings *v, char *error)
{
	text_str(t, ",\"Resolvers\":[");
	for (size_t i = 0; i < v->n; i++) {
		if (!is_resolver(v->v[i])) {
			say(error,
			    "dns-resolver: \"%.100s\" is not an address such "
			    "as 192.0.2.53",
			    v->v[i]);
			return false;
		}
		if (i > 0)
			text_char(t, ',');
		add_resolver(t, v->v[i]);
	}
	text_char(t, ']');
	return true;
}

/* Resolvers of the same domain are put together. */
static bool
add_routes(struct text *t, const struct conf_strings *v, char *error)
{
	json_t *routes = json_object(), *list;
	char domain[RELAYURL_HOST_MAX];
	const char *eq;
	char *json;
	bool good = true;

	for (size_t i = 0; i < v->n; i++) {
		eq = strchr(v->v[i], '=');
		if (eq == NULL ||
		    !relayurl_is_host(v->v[i], (size_t)(eq - v->v[i])) ||
		    !is_resolver(eq + 1)) {
			say(error,
			    "dns-split: \"%.100s\" is not DOMAIN=IP such as "
			    "lab.example=192.0.2.53",
			    v->v[i]);
			good = false;
			break;
		}
		snprintf(domain, sizeof(domain), "%.*s", (int)(eq - v->v[i]),
		    v->v[i]);
		list = json_object_get(routes, domain);
		if (list == NULL) {
			list = json_array();
			json_object_set_new(routes, domain, list);
		}
		json_array_append_new(list, json_pack("{s:s}", "Addr", eq + 1));
	}
	json = json_dumps(routes, JSON_COMPACT);
	if (good && json != NULL)
		text_fmt(t, ",\"Routes\":%s", json);
	free(json);
	json_decref(routes);
	return good;
}

static bool
add_records(struct text *t, const struct conf_strings *v, char *error)
{
	const char *eq;
	struct ip ip;

	text_str(t, ",\"ExtraRecords\":[");
	for (size_t i = 0; i < v->n; i++) {
		eq = strchr(v->v[i], '=');
		if (eq == NULL ||
		    !relayurl_is_host(v->v[i], (size_t)(eq - v->v[i])) ||
		    !ip_parse(&ip, eq + 1, strlen(eq + 1))) {
			say(error,
			    "dns-record: \"%.100s\" is not NAME=IP such as "
			    "camera.lab=192.0.2.7",
			    v->v[i]);
			return false;
		}
		text_fmt(t, "%s{\"Name\":", i > 0 ? "," : "");
		text_json_n(t, v->v[i], (size_t)(eq - v->v[i]));
		text_fmt(t, ",\"Type\":\"%s\",\"Value\":\"%s\"}",
		    ip_is_v4(&ip) ? "A" : "AAAA", eq + 1);
	}
	text_char(t, ']');
	return true;
}

char *
relays_dns(const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX])
{
	struct text t = TEXT_EMPTY;
	char *json;

	text_fmt(&t, "{\"Proxied\":%s,\"Domains\":[\"%s\"",
	    conf->magic_dns ? "true" : "false", conf->domain);
	for (size_t i = 0; i < conf->dns_search.n; i++)
		text_fmt(&t, ",\"%s\"", conf->dns_search.v[i]);
	text_char(&t, ']');
	if (!add_resolvers(&t, &conf->dns_text, error) ||
	    !add_routes(&t, &conf->dns_split_text, error) ||
	    !add_records(&t, &conf->dns_record_text, error)) {
		text_clear(&t);
		return NULL;
	}
	text_char(&t, '}');
	if ((json = text_take(&t)) == NULL)
		say(error, "out of memory");
	return json;
}

/* derpmap_check: is that a relay map (Tailscale's tailcfg.DERPMap), as far as
 * it is used here? PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"

#define SHOWN_MAX 60

/* Where in the map it is, for who has to mend it. */
struct spot {
	const char *region, *node; /* NULL: of the region itself */
	char *error;
};

/* Takes no ownership; false for the caller to return. */
static bool
wrong(
    const struct spot *at, const char *key, const json_t *is, const char *want)
{
	char *text = json_dumps(is, JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(at->error, NATPROBE_ERROR_MAX,
	    "region %.40s%s%.40s: %s is %.*s; want %s", at->region,
	    at->node == NULL ? "" : ", node ", at->node == NULL ? "" : at->node,
	    key, SHOWN_MAX, text == NULL ? "missing" : text, want);
	free(text);
	return false;
}

static bool
check_text(const struct spot *at, const json_t *node, const char *key)
{
	const json_t *is = json_object_get(node, key);

	if (is == NULL || json_is_null(is) || json_is_string(is))
		return true;
	return wrong(at, key, is, "a text");
}

static bool
check_port(
    const struct spot *at, const json_t *node, const char *key, int least)
{
	const json_t *is = json_object_get(node, key);
	json_int_t port = json_integer_value(is);

	if (is == NULL || json_is_null(is) ||
	    (json_is_integer(is) && port >= least && port <= 65535))
		return true;
	return wrong(at, key, is,
	    least < 0 ? "a port, 0 for 3478, or -1 for none"
		      : "a port, or 0 for 443");
}

static bool
check_ip(const struct spot *at, const json_t *node, const char *key, bool v6)
{
	const json_t *is = json_object_get(node, key);
	const char *text = json_string_value(is);
	struct addr a;

	if (is == NULL || json_is_null(is) ||
	    (text != NULL && (*text == '\0' || strcmp(text, "none") == 0)))
		return true;
	if (text != NULL && addr_parse(&a, text, 0) && addr_is_v4(&a) == !v6 &&
	    addr_is_host(&a))
		return true;
	return wrong(at, key, is,
	    v6 ? "a host's IPv6 address, or \"none\""
	       : "a host's IPv4 address, or \"none\"");
}

static bool
check_node(struct spot *at, const json_t *node)
{
	const json_t *host = json_object_get(node, "HostName");
	const char *name = json_string_value(json_object_get(node, "Name"));

	at->node = name == NULL ? "" : name;
	if (!json_is_object(node))
		return wrong(at, "it", node, "an object");
	if (!json_is_string(host) || *json_string_value(host) == '\0')
		return wrong(at, "HostName", host, "a name or an address");
	return check_text(at, node, "Name") &&
	    check_text(at, node, "CertName") &&
	    check_ip(at, node, "IPv4", false) &&
	    check_ip(at, node, "IPv6", true) &&
	    check_port(at, node, "STUNPort", -1) &&
	    check_port(at, node, "DERPPort", 0);
}

static bool
check_region(const char *name, const json_t *region, char *error)
{
	struct spot at = {.region = name, .error = error};
	json_t *nodes = json_object_get(region, "Nodes"), *node;
	size_t i;

	if (!json_is_object(region))
		return wrong(&at, "it", region, "an object");
	if (!check_text(&at, region, "RegionCode"))
		return false;
	if (nodes != NULL && !json_is_null(nodes) && !json_is_array(nodes))
		return wrong(&at, "Nodes", nodes, "an array");
	json_array_foreach(
	    nodes, i, node) if (!check_node(&at, node)) return false;
	return true;
}

bool
derpmap_check(const json_t *map, char error[static NATPROBE_ERROR_MAX])
{
	json_t *regions = json_object_get(map, "Regions"), *region;
	const char *name;

	if (!json_is_object(regions)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "has no \"Regions\"; want a DERP map, such as \"tailscale "
		    "debug derp-map\" prints");
		return false;
	}
	json_object_foreach(regions, name,
	    region) if (!check_region(name, region, error)) return false;
	return true;
}

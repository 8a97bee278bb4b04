/* relay_target: which relays there are, from -map and -relay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/relay/relay.h"
#include "pure/ip.h"
#include "pure/relayurl.h"

static bool
is_ip(const char *text)
{
	struct ip ip;

	return ip_parse(&ip, text, strlen(text));
}

static struct relay_node *
add(struct relay_nodes *nodes)
{
	struct relay_node *more =
	    realloc(nodes->v, (nodes->n + 1) * sizeof(*more));

	if (more == NULL)
		return NULL;
	nodes->v = more;
	memset(&more[nodes->n], 0, sizeof(*more));
	return &more[nodes->n++];
}

/* ---- a map: Tailscale's tailcfg.DERPMap ---- */

static bool
copy_text(char *to, size_t cap, const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text == NULL || (size_t)snprintf(to, cap, "%s", text) < cap;
}

static int
add_node(struct relay_nodes *nodes, const json_t *region, const json_t *node,
    char *error)
{
	json_int_t port = json_integer_value(json_object_get(node, "DERPPort"));
	struct relay_node *r;

	if (json_is_true(json_object_get(node, "STUNOnly")))
		return 0;
	r = add(nodes);
	if (r == NULL || !copy_text(r->name, sizeof(r->name), node, "Name") ||
	    !copy_text(r->region, sizeof(r->region), region, "RegionCode") ||
	    !copy_text(r->host, sizeof(r->host), node, "HostName") ||
	    !copy_text(r->ip[0], sizeof(r->ip[0]), node, "IPv4") ||
	    !copy_text(r->ip[1], sizeof(r->ip[1]), node, "IPv6") ||
	    !copy_text(r->cert_name, sizeof(r->cert_name), node, "CertName")) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "map: node %.60s: a text in it is too long",
		    r == NULL ? "" : r->name);
		return -1;
	}
	r->port = port == 0 ? 443 : (uint16_t)port;
	r->host_is_ip = is_ip(r->host);
	r->insecure = json_is_true(json_object_get(node, "InsecureForTests"));
	r->http_port =
	    json_is_true(json_object_get(node, "CanPort80")) ? 80 : 0;
	return 0;
}

static int
add_map(struct relay_nodes *nodes, json_t *map, char *error)
{
	json_t *region, *node;
	const char *key;
	size_t i;
	int r = 0;

	json_object_foreach(json_object_get(map, "Regions"), key, region)
	    json_array_foreach(json_object_get(region, "Nodes"), i,
		node) if (r == 0) r = add_node(nodes, region, node, error);
	return r;
}

/* ---- a URL ---- */

static bool
read_url(struct relay_node *r, const char *text)
{
	struct relayurl u;

	if (!relayurl_read(&u, text))
		return false;
	snprintf(r->host, sizeof(r->host), "%s", u.host);
	snprintf(r->region, sizeof(r->region), "%s", u.name);
	snprintf(r->cert_name, sizeof(r->cert_name), "%s", u.pin);
	r->host_is_ip = u.host_is_ip;
	r->port = u.port;
	r->http_port = u.http;
	return true;
}

static int
add_url(struct relay_nodes *nodes, const char *text, char *error)
{
	struct relay_node *r = add(nodes);

	if (r != NULL && read_url(r, text))
		return 0;
	snprintf(error, NATPROBE_ERROR_MAX,
	    "relay: \"%.200s\" is not a relay's URL such as "
	    "https://192.0.2.1:443?pin=sha256-raw:<64 hex digits>",
	    text);
	return -1;
}

int
relay_nodes_read(struct relay_nodes *nodes, const struct natprobe_conf *c,
    json_t *map, char error[static NATPROBE_ERROR_MAX])
{
	for (size_t i = 0; i < c->relay.n; i++)
		if (add_url(nodes, c->relay.v[i], error) == -1)
			return -1;
	return c->relays ? add_map(nodes, map, error) : 0;
}

void
relay_nodes_clear(struct relay_nodes *nodes)
{
	free(nodes->v);
	memset(nodes, 0, sizeof(*nodes));
}

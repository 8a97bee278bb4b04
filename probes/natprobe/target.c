/* target: which servers to ask, from options, names and a relay map. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"

#define HOST_MAX 256

static void
add(struct targets *t, const struct addr *a, const char *name)
{
	bool v6 = !addr_is_v4(a);
	struct stun_addr s;

	addr_ip16(a, s.ip);
	s.port = addr_port(a);
	for (size_t i = 0; i < t->n[v6]; i++)
		if (stun_addr_same(&t->v[v6][i], &s))
			return;
	if (t->n[v6] == PROBE_SERVERS)
		return;
	snprintf(t->name[v6][t->n[v6]], sizeof(t->name[0][0]), "%s", name);
	t->v[v6][t->n[v6]++] = s;
}

/* Splits "host", "host:port", "1.2.3.4:5", "[v6]:port". */
static bool
split(const char *text, char host[static HOST_MAX], int *port)
{
	const char *colon = strrchr(text, ':');
	char *end;
	size_t n;

	*port = STUN_PORT;
	if (colon == NULL)
		return snprintf(host, HOST_MAX, "%s", text) < HOST_MAX &&
		    *host != '\0';
	if (strchr(text, ':') != colon)
		return false;
	n = (size_t)(colon - text);
	if (n == 0 || n >= HOST_MAX || colon[1] < '0' || colon[1] > '9')
		return false;
	*port = (int)strtol(colon + 1, &end, 10);
	memcpy(host, text, n);
	host[n] = '\0';
	return *end == '\0' && *port > 0 && *port < 65536;
}

static int
look_up(struct targets *t, const char *host, int port, const char *name,
    char *error)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list, *i;
	int e = getaddrinfo(host, NULL, &hints, &list);
	struct addr a;

	if (e != 0) {
		snprintf(
		    error, NATPROBE_ERROR_MAX, "%s: %s", name, gai_strerror(e));
		return -1;
	}
	for (i = list; i != NULL; i = i->ai_next) {
		memset(&a, 0, sizeof(a));
		memcpy(&a.u, i->ai_addr, i->ai_addrlen);
		a.len = i->ai_addrlen;
		addr_set_port(&a, (uint16_t)port);
		add(t, &a, name);
	}
	freeaddrinfo(list);
	return 0;
}

static int
add_option(struct targets *t, const char *text, char *error)
{
	char host[HOST_MAX];
	struct addr a;
	int port;

	if (addr_parse(&a, text, STUN_PORT) && !addr_is_any(&a) &&
	    addr_port(&a) != 0) {
		add(t, &a, text);
		return 0;
	}
	if (!split(text, host, &port)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "stun: \"%s\" is no HOST or HOST:PORT, such as "
		    "stun.example.org:3478",
		    text);
		return -1;
	}
	return look_up(t, host, port, text, error);
}

/* ---- the relay map: Tailscale's tailcfg.DERPMap ---- */

static void
add_node_ip(struct targets *t, const json_t *node, const char *key, int port)
{
	const char *ip = json_string_value(json_object_get(node, key));
	const char *name = json_string_value(json_object_get(node, "HostName"));
	struct addr a;

	if (ip != NULL && addr_parse(&a, ip, port))
		add(t, &a, name == NULL ? ip : name);
}

/* STUNPort: 0 is 3478, -1 is none. A node without addresses has a name; one
 * that nobody knows is a finding about that relay, and stops nothing. */
static void
add_node(struct targets *t, const json_t *node)
{
	char error[NATPROBE_ERROR_MAX];
	json_int_t port = json_integer_value(json_object_get(node, "STUNPort"));
	const char *name = json_string_value(json_object_get(node, "HostName"));

	if (port < 0 || port > 65535)
		return;
	if (port == 0)
		port = STUN_PORT;
	add_node_ip(t, node, "IPv4", (int)port);
	add_node_ip(t, node, "IPv6", (int)port);
	if (json_object_get(node, "IPv4") == NULL &&
	    json_object_get(node, "IPv6") == NULL && name != NULL)
		(void)look_up(t, name, (int)port, name, error);
}

static int
add_map(struct targets *t, const char *path, char *error)
{
	json_error_t e;
	json_t *map = json_load_file(path, 0, &e), *region, *node;
	const char *key;
	size_t i;
	int r = 0;

	if (map == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "map: %s:%d: %s", path,
		    e.line < 0 ? 0 : e.line, e.text);
		return -1;
	}
	if (!json_is_object(json_object_get(map, "Regions"))) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "map: %s: has no \"Regions\"; want a DERP map, such as "
		    "\"tailscale debug derp-map\" prints",
		    path);
		r = -1;
	}
	json_object_foreach(json_object_get(map, "Regions"), key, region)
	    json_array_foreach(json_object_get(region, "Nodes"), i, node)
		add_node(t, node);
	json_decref(map);
	return r;
}

int
targets_read(struct targets *t, const struct natprobe_conf *c,
    char error[static NATPROBE_ERROR_MAX])
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < c->stun.n; i++)
		if (add_option(t, c->stun.v[i], error) == -1)
			return -1;
	if (*c->map != '\0' && add_map(t, c->map, error) == -1)
		return -1;
	return 0;
}

/*
 * target: which servers to ask, from options, names and a relay map. A name
 * that is not found is a finding, and stops nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"
#include "run/lookup.h"

#define HOST_MAX LOOKUP_HOST_MAX

/* A map of hundreds of nodes is no reason for hundreds of threads. */
#define NAMES_MAX 16
/* The system's resolver asks a dead server for 5 s before it asks the next;
 * when some server is known already, the others may be a little late. */
#define NAME_US	     INT64_C(3000000)
#define NAME_LATE_US INT64_C(1000000)

/* A server as it was asked for: an address, or a name to look up. */
struct wish {
	struct addr addr; /* len 0: look up host */
	uint16_t port;
	char name[80];
	char host[LOOKUP_HOST_MAX];
	bool looked_up;
	struct lookup lookup;
};

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

/* Wishes stay where they are: lookups point into them. NULL: no memory, or
 * enough names. */
static struct wish *
wish_new(struct targets *t, const char *name, const char *host)
{
	struct wish **more, *w;

	if (*host != '\0' && t->n_names == NAMES_MAX)
		return NULL;
	more = realloc(t->wishes, (t->n_wishes + 1) * sizeof(struct wish *));
	if (more == NULL)
		return NULL;
	t->wishes = more;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(w->host, sizeof(w->host), "%s", host);
	t->n_names += *host != '\0';
	t->wishes[t->n_wishes++] = w;
	return w;
}

static void
wish_addr(struct targets *t, const struct addr *a, const char *name)
{
	struct wish *w = wish_new(t, name, "");

	if (w != NULL)
		w->addr = *a;
}

static void
wish_name(struct targets *t, const char *host, int port, const char *name)
{
	struct wish *w = wish_new(t, name, host);

	if (w != NULL)
		w->port = (uint16_t)port;
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
add_option(struct targets *t, const char *text, char *error)
{
	char host[HOST_MAX];
	struct addr a;
	int port;

	if (addr_parse(&a, text, STUN_PORT) && addr_port(&a) != 0) {
		if (addr_is_host(&a)) {
			wish_addr(t, &a, text);
			return 0;
		}
		snprintf(error, NATPROBE_ERROR_MAX,
		    "stun: \"%s\" is no host's address", text);
		return -1;
	}
	if (!split(text, host, &port)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "stun: \"%s\" is no HOST or HOST:PORT, such as "
		    "stun.example.org:3478",
		    text);
		return -1;
	}
	wish_name(t, host, port, text);
	return 0;
}

/* ---- the relay map: Tailscale's tailcfg.DERPMap ---- */

static void
add_node_ip(struct targets *t, const json_t *node, const char *key, int port)
{
	const char *ip = json_string_value(json_object_get(node, key));
	const char *name = json_string_value(json_object_get(node, "HostName"));
	struct addr a;

	if (ip != NULL && addr_parse(&a, ip, port))
		wish_addr(t, &a, name == NULL ? ip : name);
}

/* STUNPort: 0 is 3478, -1 is none. A node without addresses has a name. */
static void
add_node(struct targets *t, const json_t *node)
{
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
		wish_name(t, name, (int)port, name);
}

static void
add_map(struct targets *t, json_t *map)
{
	json_t *region, *node;
	const char *key;
	size_t i;

	json_object_foreach(json_object_get(map, "Regions"), key, region)
	    json_array_foreach(json_object_get(region, "Nodes"), i, node)
		add_node(t, node);
}

int
targets_read(struct targets *t, const struct natprobe_conf *c, json_t *map,
    char error[static NATPROBE_ERROR_MAX])
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < c->stun.n; i++)
		if (add_option(t, c->stun.v[i], error) == -1)
			return -1;
	add_map(t, map);
	return 0;
}

bool
targets_wanted(const struct targets *t)
{
	return t->n_wishes > 0;
}

/* ---- names ---- */

/* In the order in which they were asked for, whenever they were found. */
static void
settle(struct targets *t)
{
	for (size_t i = 0; i < t->n_wishes; i++) {
		struct wish *w = t->wishes[i];

		if (w->addr.len != 0)
			add(t, &w->addr, w->name);
		for (size_t j = 0; j < w->lookup.n; j++) {
			addr_set_port(&w->lookup.found[j], w->port);
			if (addr_is_host(&w->lookup.found[j]))
				add(t, &w->lookup.found[j], w->name);
			else
				snprintf(w->lookup.why, sizeof(w->lookup.why),
				    "the resolver gives an address that is "
				    "no host's");
		}
	}
}

static void
end(struct targets *t)
{
	timer_free(t->timer);
	t->timer = NULL;
	for (size_t i = 0; i < t->n_wishes; i++) {
		struct wish *w = t->wishes[i];

		if (w->looked_up && !w->lookup.over)
			snprintf(w->lookup.why, sizeof(w->lookup.why),
			    "no answer in time");
		lookup_clear(&w->lookup);
	}
	settle(t);
	t->done(t->arg);
}

static bool
is_known(const struct wish *w)
{
	return w->addr.len != 0 || w->lookup.n > 0;
}

/* What is missing has NAME_US by its own limit. */
static void
on_change(void *arg)
{
	struct targets *t = arg;
	size_t known = 0, open = 0;

	for (size_t i = 0; i < t->n_wishes; i++) {
		known += is_known(t->wishes[i]);
		open += t->wishes[i]->looked_up && !t->wishes[i]->lookup.over;
	}
	if (open == 0 ||
	    (known > 0 && mono_reached(t->late, loop_now(t->loop))))
		end(t);
	else if (known > 0)
		timer_set(t->timer, t->late);
}

int
targets_look_up(struct targets *t, struct loop *l, loop_fn *done, void *arg)
{
	t->loop = l;
	t->done = done;
	t->arg = arg;
	t->late = mono_add_us(loop_now(l), NAME_LATE_US);
	t->timer = timer_new(l, on_change, t);
	if (t->timer == NULL)
		return -1;
	for (size_t i = 0; i < t->n_wishes; i++) {
		struct wish *w = t->wishes[i];

		if (w->addr.len != 0)
			continue;
		w->looked_up = true;
		lookup_start(&w->lookup, l, w->host, NAME_US, on_change, t);
	}
	timer_set(t->timer, mono_add_us(loop_now(l), 1));
	return 0;
}

int64_t
targets_longest_us(const struct targets *t)
{
	return t->n_names > 0 ? NAME_US : 0;
}

bool
targets_name(const struct targets *t, size_t i, struct target_name *name)
{
	const struct wish *w;

	for (size_t j = 0; j < t->n_wishes; j++) {
		w = t->wishes[j];
		if (w->addr.len != 0 || i-- > 0)
			continue;
		*name = (struct target_name){.name = w->name,
		    .why = w->lookup.why,
		    .over = w->lookup.over,
		    .took_us = w->lookup.took_us,
		    .found = w->lookup.n};
		return true;
	}
	return false;
}

void
targets_clear(struct targets *t)
{
	timer_free(t->timer);
	for (size_t i = 0; i < t->n_wishes; i++) {
		lookup_clear(&t->wishes[i]->lookup);
		free(t->wishes[i]);
	}
	free(t->wishes);
	memset(t, 0, sizeof(*t));
}

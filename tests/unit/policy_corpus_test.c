/*
 * policy_corpus: what becomes of the policies in tests/policy beside what
 * Headscale made of them (see the README.md there). Filters are compared by
 * what they let through to the receiver, not by how they are written.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>

#include "coordd/policy.h"
#include "tests/tap.h"
#include "tests/unit/policy_filter.h"

#define FOLDER	  "tests/policy/"
#define NODES_MAX 32

struct node {
	struct policy_subject s;
	json_int_t id;
	const char *tags[8];
	struct ip_prefix routes[8];
	struct policy_bits bits;
};

static struct node nodes[NODES_MAX];
static const struct policy_subject *subjects[NODES_MAX];
static size_t nnodes;
static json_t *world;

static json_t *
load(const char *name, const char *suffix)
{
	char path[300];
	json_error_t e;
	json_t *root;

	snprintf(path, sizeof(path), FOLDER "%s%s", name, suffix);
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
	if (root == NULL && strcmp(suffix, ".ours.json") != 0) {
		printf("Bail out! %s:%d: %s\n", path, e.line, e.text);
		exit(1);
	}
	return root;
}

static struct ip
ip_get(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));
	struct ip ip;

	if (text == NULL || !ip_parse(&ip, text, strlen(text)))
		abort();
	return ip;
}

static bool
holds(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i,
	    one) if (strcmp(json_string_value(one), text) == 0) return true;
	return false;
}

static const char *
user_name(json_int_t id)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(world, "users"), i,
	    one) if (json_integer_value(json_object_get(one, "id")) ==
	    id) return json_string_value(json_object_get(one, "name"));
	abort();
}

static void
load_routes(struct node *n, const json_t *o)
{
	const json_t *approved = json_object_get(o, "approved"), *one;
	int defaults = 0;
	size_t i;

	json_array_foreach(json_object_get(o, "announced"), i, one)
	{
		const char *text = json_string_value(one);

		if (!holds(approved, text))
			continue;
		n->routes[n->s.nroutes] = prefix_get(text);
		defaults += ip_prefix_is_default(&n->routes[n->s.nroutes++]);
	}
	n->s.routes = n->routes;
	n->s.exit_node = defaults == 2;
}

static void
load_world(void)
{
	const json_t *o, *tag;
	size_t i, j;

	world = load("world", ".json");
	json_array_foreach(json_object_get(world, "nodes"), i, o)
	{
		struct node *n = &nodes[nnodes];

		n->id = json_integer_value(json_object_get(o, "id"));
		n->s.user_id =
		    (uint64_t)json_integer_value(json_object_get(o, "user"));
		n->s.user = user_name((json_int_t)n->s.user_id);
		json_array_foreach(json_object_get(o, "tags"), j, tag)
		    n->tags[n->s.ntags++] = json_string_value(tag);
		n->s.tags = n->tags;
		n->s.ip4 = ip_get(o, "ip4");
		n->s.ip6 = ip_get(o, "ip6");
		load_routes(n, o);
		subjects[nnodes++] = &n->s;
	}
}

/*
 * What we make of a policy, in the form of the expected files.
 */
static json_t *
our_filter(struct policy *p, const struct policy_world *w, struct node *n)
{
	struct text t = TEXT_EMPTY;
	json_t *filter;

	policy_filter(p, w, &n->s, &n->bits, &t);
	filter = json_loads(t.p, JSON_REJECT_DUPLICATES, NULL);
	text_clear(&t);
	return filter;
}

static json_t *
our_peers(const struct policy *p, const struct node *n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < nnodes; i++) {
		const struct node *o = &nodes[i];

		if (o != n &&
		    (policy_reaches(p, &n->s, &n->bits, &o->s, &o->bits) ||
			policy_reaches(p, &o->s, &o->bits, &n->s, &n->bits)))
			json_array_append_new(list, json_integer(o->id));
	}
	return list;
}

static int
text_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The strings in order; takes them. */
static json_t *
sorted(char **v, size_t n)
{
	json_t *list = json_array();

	qsort(v, n, sizeof(*v), text_order);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, json_string(v[i]));
		free(v[i]);
	}
	return list;
}

/* Routes, but for default ones, of the peers that the node may use. */
static json_t *
our_routes(const struct policy *p, const struct node *n, const json_t *peers)
{
	char *v[NODES_MAX * 8], prefix[IP_PREFIX_TEXT_MAX];
	size_t count = 0;

	for (size_t i = 0; i < nnodes; i++) {
		const struct node *o = &nodes[i];
		bool peer = false;
		const json_t *id;
		size_t j;

		json_array_foreach(peers, j, id) peer |=
		    json_integer_value(id) == o->id;
		for (j = 0; peer && j < o->s.nroutes; j++) {
			struct text t = TEXT_EMPTY;

			if (ip_prefix_is_default(&o->routes[j]) ||
			    !policy_reaches_route(
				p, &n->s, &n->bits, &o->routes[j]))
				continue;
			text_fmt(&t, "%d %s", (int)o->id,
			    ip_prefix_text(&o->routes[j], prefix));
			v[count++] = text_take(&t);
		}
	}
	return sorted(v, count);
}

static json_t *
our_approvals(const struct policy *p, const struct node *n)
{
	json_t *list = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(world, "routes"), i, one)
	{
		struct ip_prefix r = prefix_get(json_string_value(one));

		if (policy_approves(p, &n->s, &r))
			json_array_append(list, one);
	}
	return list;
}

static json_t *
our_tags(const struct policy *p, const struct node *n)
{
	json_t *list = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(world, "tags"), i,
	    one) if (policy_owns_tag(p, &n->s, json_string_value(one)))
	    json_array_append(list, one);
	return list;
}

static json_t *
our_attributes(const struct policy *p, const struct node *n)
{
	struct text t = TEXT_EMPTY;
	char *v[100];
	size_t count = 0;
	const char *key;
	json_t *map, *value;

	text_str(&t, "{\"\":[]");
	policy_attributes(p, &n->s, &t);
	text_char(&t, '}');
	map = json_loads(t.p, JSON_REJECT_DUPLICATES, NULL);
	json_object_foreach(map, key, value) if (key[0] != '\0') v[count++] =
	    strdup(key);
	json_decref(map);
	text_clear(&t);
	return sorted(v, count);
}

static const struct {
	int proto, port;
} packets[] = {{6, 22}, {6, 443}, {6, 80}, {17, 53}, {17, 22}, {1, 0}, {47, 0},
    {132, 443}};

/* Counts the packets from a to an address at b of which we say otherwise than
 * b's filter. */
static int
explain_pair(const struct policy *p, const struct policy_world *w,
    const struct node *a, const struct node *b, const struct ip *dst,
    const json_t *filter)
{
	bool own =
	    ip_compare(dst, &b->s.ip4) == 0 || ip_compare(dst, &b->s.ip6) == 0;
	const struct ip *src = ip_is_v4(dst) ? &a->s.ip4 : &a->s.ip6;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		int proto = packets[i].proto, port = packets[i].port;
		size_t line;
		bool good = policy_explain(p, w, &a->s, own ? &b->s : NULL, dst,
		    (uint16_t)port, (uint8_t)proto, &line);

		wrong += good != filter_lets_in(filter, src, dst, port, proto);
		/* Who may send may see. */
		wrong += good && own &&
		    !policy_reaches(p, &a->s, &a->bits, &b->s, &b->bits);
		wrong += !good && line != 0;
	}
	return wrong;
}

static void
explain_all(const char *name, struct policy *p)
{
	struct policy_world w = {.v = subjects, .n = nnodes};
	char what[200];
	int wrong = 0;

	for (size_t i = 0; i < nnodes; i++) {
		struct node *b = &nodes[i];
		json_t *filter = our_filter(p, &w, b);

		for (size_t j = 0; j < nnodes; j++) {
			wrong += explain_pair(
			    p, &w, &nodes[j], b, &b->s.ip4, filter);
			wrong += explain_pair(
			    p, &w, &nodes[j], b, &b->s.ip6, filter);
			for (size_t k = 0; k < b->s.nroutes; k++)
				if (!ip_prefix_is_default(&b->routes[k]))
					wrong += explain_pair(p, &w, &nodes[j],
					    b, &b->routes[k].ip, filter);
		}
		json_decref(filter);
	}
	snprintf(what, sizeof(what), "%s: explained as it is", name);
	eq_int(wrong, 0, what);
}

/* One line of TAP for what all nodes say under that key. */
static bool
compare(
    const char *name, const char *key, json_t **ours, const json_t *expected)
{
	char what[200];
	bool good = true;

	snprintf(what, sizeof(what), "%s: %s", name, key);
	for (size_t i = 0; i < nnodes; i++) {
		char id[20];
		const json_t *want;
		char *a, *b;

		snprintf(id, sizeof(id), "%d", (int)nodes[i].id);
		want = json_object_get(json_object_get(expected, id), key);
		if (strcmp(key, "filter") == 0) {
			a = filter_text(ours[i], subjects[i]);
			b = filter_text(want, subjects[i]);
		} else {
			a = json_dumps(ours[i], JSON_COMPACT);
			b = json_dumps(want, JSON_COMPACT);
		}
		if (a == NULL || b == NULL || strcmp(a, b) != 0) {
			printf("# node %s, ours:\n%s\n# Headscale's:\n%s\n", id,
			    a, b);
			good = false;
		}
		free(a);
		free(b);
		json_decref(ours[i]);
	}
	return ok(good, what);
}

static void
compare_nodes(const char *name, struct policy *p, const json_t *expected)
{
	struct policy_world w = {.v = subjects, .n = nnodes};
	json_t *filter[NODES_MAX], *peers[NODES_MAX], *routes[NODES_MAX];
	json_t *approves[NODES_MAX], *tags[NODES_MAX], *attributes[NODES_MAX];

	for (size_t i = 0; i < nnodes; i++) {
		struct policy_bits *b = &nodes[i].bits;

		b->src = calloc(policy_words(p), sizeof(*b->src));
		b->dst = calloc(policy_words(p), sizeof(*b->dst));
		policy_match(p, &nodes[i].s, b);
	}
	for (size_t i = 0; i < nnodes; i++) {
		filter[i] = our_filter(p, &w, &nodes[i]);
		peers[i] = our_peers(p, &nodes[i]);
		routes[i] = our_routes(p, &nodes[i], peers[i]);
		approves[i] = our_approvals(p, &nodes[i]);
		tags[i] = our_tags(p, &nodes[i]);
		attributes[i] = our_attributes(p, &nodes[i]);
	}
	compare(name, "filter", filter, expected);
	compare(name, "peers", peers, expected);
	compare(name, "routes", routes, expected);
	compare(name, "approves", approves, expected);
	compare(name, "tags", tags, expected);
	compare(name, "attributes", attributes, expected);
	explain_all(name, p);
	for (size_t i = 0; i < nnodes; i++) {
		free(nodes[i].bits.src);
		free(nodes[i].bits.dst);
	}
}

static bool
user_exists(void *arg, const char *name)
{
	const json_t *one;
	size_t i;

	(void)arg;
	json_array_foreach(json_object_get(world, "users"), i,
	    one) if (strcmp(json_string_value(json_object_get(one, "name")),
			 name) == 0) return true;
	return false;
}

static struct policy *
parse_file(const char *name, char error[static POLICY_ERROR_MAX])
{
	static char text[1 << 20];
	char path[300];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), FOLDER "%s.hujson", name);
	f = fopen(path, "re");
	if (f == NULL)
		abort();
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	return policy_parse(text, n, error);
}

static void
test_policy(const char *name)
{
	struct policy_world w = {
	    .v = subjects, .n = nnodes, .user_exists = user_exists};
	json_t *expected = load(name, ".ours.json");
	char error[POLICY_ERROR_MAX];
	struct policy *p = parse_file(name, error);
	bool refused;

	if (expected == NULL)
		expected = load(name, ".expected.json");
	refused = json_is_true(json_object_get(expected, "refused"));
	tap_int(p == NULL, refused, name, __FILE__, __LINE__);
	if (p == NULL) {
		unsigned line, column;

		printf("# %s\n", error);
		ok(sscanf(error, "line %u, column %u: ", &line, &column) == 2 &&
			strchr(error, '\n') == NULL,
		    "... says where");
	} else if (!refused) {
		eq_int(policy_test(p, &w, error),
		    json_is_true(json_object_get(expected, "tests")),
		    "... its tests");
		printf("# %s\n", error);
		compare_nodes(name, p, json_object_get(expected, "nodes"));
	}
	policy_free(p);
	json_decref(expected);
}

static int
is_policy(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot != NULL && strcmp(dot, ".hujson") == 0;
}

int
main(void)
{
	struct dirent **v;
	int n = scandir(FOLDER, &v, is_policy, alphasort);

	ok(n >= 100, "there are policies in " FOLDER);
	load_world();
	for (int i = 0; i < n; i++) {
		*strrchr(v[i]->d_name, '.') = '\0';
		test_policy(v[i]->d_name);
		free(v[i]);
	}
	free(v);
	json_decref(world);
	return tap_done();
}

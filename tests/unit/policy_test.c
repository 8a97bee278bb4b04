/* policy: what the corpus (policy_corpus_test.c) does not ask: errors and
 * their places, kept sources, explanations, tests without nodes, size. */
#include <stdlib.h>

#include "coordd/policy.h"
#include "tests/tap.h"

#define NODES_MAX 1000

struct node {
	struct policy_subject s;
	char user[20];
	struct policy_bits bits;
};

static struct node nodes[NODES_MAX];
static const struct policy_subject *subjects[NODES_MAX];
static struct policy_world world = {.v = subjects};

static const char *const robot[] = {"tag:robot"};

/* Makes the n-th node, with 100.64.X.Y and the IPv6 address of X:Y. */
static struct node *
node(size_t n, const char *user, uint64_t user_id)
{
	struct node *o = &nodes[n];

	memset(&o->s, 0, sizeof(o->s));
	snprintf(o->user, sizeof(o->user), "%s", user);
	o->s.user = o->user;
	o->s.user_id = user_id;
	o->s.ip4 = (struct ip){
	    {[10] = 0xff, 0xff, 100, 64, (uint8_t)(n >> 8), (uint8_t)n}};
	o->s.ip6 = (struct ip){{0xfd, 0x7a, 0x11, 0x5c, 0xa1,
	    0xe0, [14] = (uint8_t)(n >> 8), (uint8_t)n}};
	subjects[n] = &o->s;
	return o;
}

static struct policy *
parse(const char *text)
{
	char error[POLICY_ERROR_MAX];
	struct policy *p = policy_parse(text, strlen(text), error);

	if (p == NULL) {
		printf("Bail out! %s\n", error);
		exit(1);
	}
	return p;
}

static void
match_all(const struct policy *p)
{
	for (size_t i = 0; i < world.n; i++) {
		struct policy_bits *b = &nodes[i].bits;

		free(b->src);
		free(b->dst);
		b->src = calloc(policy_words(p), sizeof(*b->src));
		b->dst = calloc(policy_words(p), sizeof(*b->dst));
		policy_match(p, &nodes[i].s, b);
	}
}

static bool
reaches(const struct policy *p, size_t a, size_t b)
{
	return policy_reaches(
	    p, &nodes[a].s, &nodes[a].bits, &nodes[b].s, &nodes[b].bits);
}

static void
eq_filter(struct policy *p, size_t n, const char *want, const char *what)
{
	struct text t = TEXT_EMPTY;
	char *got;

	policy_filter(p, &world, &nodes[n].s, &nodes[n].bits, &t);
	got = text_take(&t);
	eq_str(got, want, what);
	free(got);
}

static void
test_default(void)
{
	struct policy *p = parse("");

	world.n = 2;
	node(0, "alice", 1);
	node(1, "bob", 2);
	match_all(p);
	eq_str(policy_source(p), "", "no text is no policy");
	ok(policy_words(p) >= 1, "bit sets have a word");
	ok(reaches(p, 0, 1) && reaches(p, 1, 0), "everybody reaches everybody");
	eq_filter(p, 0,
	    "[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":"
	    "{\"First\":0,\"Last\":65535}}]}]",
	    "... and the filter says so");
	ok(!policy_owns_tag(p, &nodes[0].s, "tag:x"), "nobody owns a tag");
	policy_free(p);
	policy_free(NULL);
}

static void
test_errors(void)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
	    {" ", "line 1, column 2: '[' or '{' expected near end of file"},
	    {"{\n  // groups\n  \"group\": {},\n}",
		"line 3, column 3: unknown key \"group\""},
	    {"{\"acls\": [],\n\"ACLs\": []}",
		"line 2, column 1: \"ACLs\" is here twice"},
	    {"{\"acls\": [],\n \"acls\": []}",
		"line 2, column 2: duplicate object key near '\"acls\"'"},
	    {"{\"acls\": {}}", "line 1, column 10: \"acls\" must be an array"},
	    {"{\"acls\": [3]}",
		"line 1, column 11: must be an object, { ... }"},
	    {"{\"acls\": [\n {\"action\": \"accept\", \"src\": [\"*\"]}]}",
		"line 2, column 2: an acl needs \"dst\""},
	    {"{\"acls\": [\n {\"src\": [\"*\"], \"dst\": [\"*:*\"]}]}",
		"line 2, column 2: \"action\" must be \"accept\", not \"\""},
	    {"{\"acls\": [{\"action\": \"accept\",\n"
	     "  \"src\": [\"a@\", /* here: */ \"b\"],\n"
	     "  \"dst\": [\"*:*\"]}]}",
		"line 2, column 29: \"b\" is not in \"hosts\" (a user is "
		"written \"b@\")"},
	    {"{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"],\n"
	     "  \"dst\": [\"*:22\",\n \"*:x\"]}]}",
		"line 3, column 2: \"x\" is no list of ports: use *, 22, "
		"80,443 or 1000-2000"},
	    {"{\"groups\": {\"group:a\": [\"a@\",\n 7]}}",
		"line 2, column 2: \"\" is no user: a group's members are "
		"users, written \"name@\""},
	    {"{\"tagOwners\": {\n\"tag:a\": [\"tag:b\"]}}",
		"line 2, column 11: \"tag:b\" has no owner: it is not in "
		"\"tagOwners\""},
	    {"{\"hosts\": {\"a\": \"10.1.2.3/8\"}}",
		"line 1, column 17: \"10.1.2.3/8\" is no address and no "
		"prefix, such as 10.0.0.0/8 (no bits set beyond the length)"},
	    {"{\"ssh\": [{}]}",
		"line 1, column 2: \"ssh\" is not supported yet: leave it "
		"out, and allow port 22 in \"acls\""},
	    {"{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": "
	     "[\"*\"], \"via\": [\"tag:x\"]}]}",
		"line 1, column 55: \"via\" is not supported yet"},
	    {"{\"acls\": [{\"action\": \"accept\", \"src\": "
	     "[\"a\\nb@\\u007f:\"], \"dst\": [\"x\\u0001y:1\"]}]}",
		"line 1, column 65: \"x?y\" is not in \"hosts\" (a user is "
		"written \"x?y@\")"},
	    {"{\"acls\": [\"\xff\"]}",
		"line 1, column 11: unable to decode byte 0xff near '\"'"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[POLICY_ERROR_MAX], what[40];
		struct policy *p =
		    policy_parse(rows[i].text, strlen(rows[i].text), error);

		snprintf(what, sizeof(what), "error %zu", i);
		eq_str(p == NULL ? error : "accepted", rows[i].error, what);
		policy_free(p);
	}
}

static void
test_zero_byte(void)
{
	static const char text[] = "{\n\"a\": 1\0}";
	char error[POLICY_ERROR_MAX];

	ok(policy_parse(text, sizeof(text) - 1, error) == NULL,
	    "a zero byte is refused");
	eq_str(error, "line 2, column 7: a zero byte", "... where it is");
}

/* An error holds what the policy does, but not more than fits. */
static void
test_long_error(void)
{
	char text[4000], error[POLICY_ERROR_MAX];
	struct policy *p;

	snprintf(text, sizeof(text), "{\"%03000d\": 1}", 7);
	p = policy_parse(text, strlen(text), error);
	ok(p == NULL && strlen(error) == POLICY_ERROR_MAX - 1,
	    "a long error is cut");
	policy_free(p);
}

static void
test_tagged(void)
{
	struct policy *p = parse(
	    "{\"tagOwners\": {\"tag:robot\": []}, \"acls\": [{\"action\": "
	    "\"accept\", \"src\": [\"alice@\"], \"dst\": [\"alice@:*\"]}]}");

	world.n = 2;
	node(0, "alice", 1);
	node(1, "alice", 1);
	match_all(p);
	ok(reaches(p, 0, 1), "two nodes of a user");
	nodes[1].s.tags = robot;
	nodes[1].s.ntags = 1;
	match_all(p);
	ok(!reaches(p, 0, 1) && !reaches(p, 1, 0),
	    "a tagged node is its owner's no longer");
	policy_free(p);
}

static void
test_forget(void)
{
	static const char text[] =
	    "{\"acls\": [{\"action\": \"accept\", \"proto\": \"tcp\", \"src\": "
	    "[\"alice@\"], \"dst\": [\"bob@:22\"]}, {\"action\": \"accept\", "
	    "\"src\": [\"carol@\"], \"dst\": [\"bob@:80\"]}]}";
	static const char one[] =
	    "[{\"SrcIPs\":[\"100.64.0.1\",\"fd7a:115c:a1e0::1\"],\"DstPorts\":["
	    "{\"IP\":\"100.64.0.0\",\"Ports\":{\"First\":22,\"Last\":22}},"
	    "{\"IP\":\"fd7a:115c:a1e0::\",\"Ports\":{\"First\":22,\"Last\":22}}"
	    "],\"IPProto\":[6]}]";
	static const char two[] =
	    "[{\"SrcIPs\":[\"100.64.0.1-100.64.0.2\","
	    "\"fd7a:115c:a1e0::1-fd7a:115c:a1e0::2\"],\"DstPorts\":["
	    "{\"IP\":\"100.64.0.0\",\"Ports\":{\"First\":22,\"Last\":22}},"
	    "{\"IP\":\"fd7a:115c:a1e0::\",\"Ports\":{\"First\":22,\"Last\":22}}"
	    "],\"IPProto\":[6]}]";
	struct policy *p = parse(text);

	world.n = 2;
	node(0, "bob", 2);
	node(1, "alice", 1);
	match_all(p);
	eq_filter(p, 0, one, "one source; the rule without any is left out");
	eq_filter(p, 1, "[]", "nobody reaches the source");
	node(2, "alice", 1);
	world.n = 3;
	match_all(p);
	eq_filter(p, 0, one, "sources are kept");
	policy_forget(p, nodes[0].bits.src);
	eq_filter(p, 0, one, "... while others are forgotten");
	policy_forget(p, nodes[2].bits.src);
	eq_filter(p, 0, two, "... until they are");
	world.n = 2;
	policy_forget(p, NULL);
	eq_filter(p, 0, one, "all are forgotten");
	policy_free(p);
}

static const char lines[] =
    "{\n"
    "  // 2\n"
    "  \"groups\": {\"group:a\": [\"alice@\"]},\n"
    "  \"grants\": [\n"
    "    {\"src\": [\"group:a\"], \"dst\": [\n"
    "        \"10.0.0.0/8\",\n"
    "        \"bob@\", // 7\n"
    "    ], \"ip\": [\"udp:53\"]},\n"
    "  ],\n"
    "  \"ACLS\": [\n"
    "    {\"action\": \"accept\", \"proto\": \"tcp\", \"src\": [\"*\"],\n"
    "     \"dst\": [\"carol@:80\", /*\n"
    "       */ \"bob@:22\"]}, // 13\n"
    "    {\"action\": \"accept\", \"src\": [\"alice@\"],\n"
    "     \"Dst\": [\"autogroup:self:*\"]},\n"
    "  ],\n"
    "}\n";

static void
test_explain(void)
{
	static const struct {
		size_t src, dst;
		const char *ip; /* NULL: the node's IPv4 address */
		uint16_t port;
		uint8_t proto;
		bool allowed;
		size_t line;
	} rows[] = {
	    {0, 1, NULL, 53, 17, true, 7},
	    {0, 1, NULL, 53, 0, true, 7},
	    {0, 1, NULL, 53, 6, false, 0},
	    {0, 1, NULL, 22, 6, true, 13},
	    {0, 1, "fd7a:115c:a1e0::1", 22, 6, true, 13},
	    {0, 1, NULL, 0, 1, true, 7},
	    {0, 1, NULL, 0, 47, false, 0},
	    {1, 0, NULL, 22, 6, false, 0},
	    {1, 0, NULL, 0, 1, false, 0},
	    {0, 2, NULL, 22, 6, true, 15},
	    {2, 0, NULL, 22, 6, true, 15},
	    {0, 9, "10.1.2.3", 53, 17, true, 6},
	    {1, 9, "10.1.2.3", 53, 17, false, 0},
	    {0, 9, "11.1.2.3", 53, 17, false, 0},
	};
	struct policy *p = parse(lines);

	world.n = 3;
	node(0, "alice", 1);
	node(1, "bob", 2);
	node(2, "alice", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_subject *dst =
		    rows[i].dst < world.n ? subjects[rows[i].dst] : NULL;
		struct ip ip = {{0}};
		size_t line = 99;
		char what[40];
		bool allowed;

		if (rows[i].ip == NULL && dst != NULL)
			ip = dst->ip4;
		else if (rows[i].ip == NULL ||
		    !ip_parse(&ip, rows[i].ip, strlen(rows[i].ip)))
			abort();
		snprintf(what, sizeof(what), "explanation %zu", i);
		allowed = policy_explain(p, &world, subjects[rows[i].src], dst,
		    &ip, rows[i].port, rows[i].proto, &line);
		eq_int(allowed, rows[i].allowed, what);
		eq_int((int64_t)line, (int64_t)rows[i].line, "... its line");
	}
	policy_free(p);
}

static void
test_routes(void)
{
	static struct ip_prefix routes[3];
	struct policy *p =
	    parse("{\"acls\": [{\"action\": \"accept\", \"src\": [\"alice@\"], "
		  "\"dst\": [\"10.1.0.0/16:80\", \"autogroup:internet:*\"]}, "
		  "{\"action\": \"accept\", \"src\": [\"carol@\"], \"dst\": "
		  "[\"router@:22\"]}]}");

	ip_prefix_parse(&routes[0], "10.1.2.0/24", 11);
	ip_prefix_parse(&routes[1], "0.0.0.0/0", 9);
	ip_prefix_parse(&routes[2], "::/0", 4);
	world.n = 3;
	node(0, "router", 9);
	nodes[0].s.routes = routes;
	nodes[0].s.nroutes = 3;
	nodes[0].s.exit_node = true;
	node(1, "alice", 1);
	node(2, "carol", 3);
	match_all(p);
	ok(reaches(p, 1, 0), "a router is reached for its routes");
	ok(!reaches(p, 0, 1), "... and reaches nobody by that");
	ok(policy_reaches_route(p, subjects[1], &nodes[1].bits, &routes[0]) &&
		policy_reaches_route(
		    p, subjects[1], &nodes[1].bits, &routes[1]) &&
		policy_reaches_route(
		    p, subjects[1], &nodes[1].bits, &routes[2]),
	    "who may use them is told of the routes");
	ok(reaches(p, 2, 0), "the router itself is reached");
	ok(!policy_reaches_route(p, subjects[2], &nodes[2].bits, &routes[0]) &&
		!policy_reaches_route(
		    p, subjects[2], &nodes[2].bits, &routes[1]),
	    "... but not its routes");
	policy_free(p);
}

/* What goes through an exit node is in its filter, but shows it to nobody. */
static void
test_through(void)
{
	static struct ip_prefix routes[2];
	struct policy *p =
	    parse("{\"acls\": [{\"action\": \"accept\", \"src\": [\"alice@\"], "
		  "\"dst\": [\"8.8.8.8:53\"]}]}");

	ip_prefix_parse(&routes[0], "0.0.0.0/0", 9);
	ip_prefix_parse(&routes[1], "::/0", 4);
	world.n = 2;
	node(0, "exit", 9);
	nodes[0].s.routes = routes;
	nodes[0].s.nroutes = 2;
	nodes[0].s.exit_node = true;
	node(1, "alice", 1);
	match_all(p);
	ok(!reaches(p, 1, 0), "an exit node is not seen for one address");
	eq_filter(p, 0,
	    "[{\"SrcIPs\":[\"100.64.0.1\",\"fd7a:115c:a1e0::1\"],\"DstPorts\":"
	    "[{\"IP\":\"8.8.8.8\",\"Ports\":{\"First\":53,\"Last\":53}}]}]",
	    "... but lets it pass");
	ok((nodes[0].bits.dst[0] & nodes[1].bits.src[0]) != 0,
	    "its filter depends on the rule");
	policy_free(p);
}

static void
test_attributes(void)
{
	struct policy *p = parse(
	    "{\"randomizeClientPort\": true, \"nodeAttrs\": [{\"target\": "
	    "[\"alice@\"], \"attr\": [\"b\", \"a\", \"b\"]}, {\"target\": "
	    "[\"*\"], \"attr\": [\"a\", \"q\\\"\"]}]}");
	struct text t = TEXT_EMPTY;

	world.n = 2;
	node(0, "alice", 1);
	node(1, "bob", 2);
	policy_attributes(p, subjects[0], &t);
	eq_str(t.p,
	    ",\"a\":[],\"b\":[],\"q\\\"\":[],\"randomize-client-port\":[]",
	    "attributes in order, each once");
	text_reset(&t);
	policy_attributes(p, subjects[1], &t);
	eq_str(t.p, ",\"a\":[],\"q\\\"\":[],\"randomize-client-port\":[]",
	    "those of everybody");
	text_clear(&t);
	policy_free(p);
}

static void
test_owners(void)
{
	struct policy *p = parse(
	    "{\"tagOwners\": {\"tag:robot\": [\"autogroup:member\"], "
	    "\"tag:a\": [\"tag:robot\", \"alice@\"], \"tag:b\": [\"tag:a\"], "
	    "\"tag:loop\": [\"tag:loop\"], \"tag:none\": []}}");

	node(0, "alice", 1);
	node(1, "bob", 2);
	node(2, "bob", 2);
	nodes[2].s.tags = robot;
	nodes[2].s.ntags = 1;
	ok(policy_has_tag(p, "tag:none") && !policy_has_tag(p, "tag:x"),
	    "a tag is there if it is named");
	ok(policy_owns_tag(p, subjects[0], "tag:b"), "an owner's owner");
	ok(policy_owns_tag(p, subjects[1], "tag:b"), "... by autogroup:member");
	ok(policy_owns_tag(p, subjects[2], "tag:b"), "a tag that owns it");
	ok(policy_owns_tag(p, subjects[2], "tag:robot"), "its own tag");
	ok(!policy_owns_tag(p, subjects[0], "tag:loop"), "a tag of its own");
	ok(!policy_owns_tag(p, subjects[0], "tag:none"), "a tag of nobody");
	ok(!policy_owns_tag(p, subjects[0], "tag:x"), "no tag at all");
	policy_free(p);
}

static bool
only_alice(void *arg, const char *name)
{
	return strcmp(name, arg) == 0;
}

/* The tests of a policy when no node is there, or bob's alone. */
static void
test_tests(void)
{
	static const char head[] =
	    "{\"groups\": {\"group:a\": [\"alice@\", \"carol@\"], "
	    "\"group:none\": []}, \"tagOwners\": {\"tag:robot\": []},\n"
	    "\"acls\": [{\"action\": \"accept\", \"src\": [\"group:a\"], "
	    "\"dst\": [\"tag:robot:22\", \"10.0.0.0/8:80\", "
	    "\"autogroup:self:443\"]}, {\"action\": \"accept\", \"src\": "
	    "[\"*\"], \"dst\": [\"100.64.0.1:53\"]}],\n\"tests\": [\n";
	static const struct {
		const char *test, *error;
	} rows[] = {
	    {"{\"src\": \"alice@\", \"accept\": [\"tag:robot:22\", "
	     "\"10.9.9.9:80\", \"autogroup:self:443\"], \"deny\": "
	     "[\"tag:robot:23\", \"carol@:443\"]}",
		""},
	    {"{\"src\": \"group:a\", \"proto\": \"tcp\", \"accept\": "
	     "[\"tag:robot:22\"]}",
		""},
	    {"{\"src\": \"tag:robot\", \"deny\": [\"tag:robot:22\"], "
	     "\"accept\": [\"100.64.0.1:53\"]}",
		""},
	    {"{\"src\": \"bob@\",\n \"accept\": [\"tag:robot:22\"]}",
		"line 5, column 13: test 1: \"bob@\" to \"tag:robot:22\" must "
		"be accepted, but no rule allows it"},
	    {"{\"src\": \"bob@\", \"deny\": [\"tag:robot:22\"]},\n"
	     "{\"src\": \"alice@\", \"deny\": [\"bob@:22\", "
	     "\"tag:robot:22\"]}",
		"line 5, column 39: test 2: \"alice@\" to \"tag:robot:22\" "
		"must be denied, but a rule allows it"},
	    {"{\"src\": \"group:none\", \"deny\": [\"tag:robot:22\"]}",
		"line 4, column 32: test 1: \"group:none\" to "
		"\"tag:robot:22\" stand for nobody"},
	    {"{\"src\": \"100.64.0.1\", \"deny\": [\"10.0.0.1:80\"]}", ""},
	    {"{\"src\": \"fd7a::1\", \"deny\": [\"100.64.0.1:53\"]}", ""},
	};

	world.n = 1;
	node(0, "bob", 2);
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		char text[1000], error[POLICY_ERROR_MAX], what[40];
		struct policy *p;
		bool good;

		snprintf(text, sizeof(text), "%s%s]}", head, rows[i / 2].test);
		snprintf(
		    what, sizeof(what), "test %zu, %zu nodes", i / 2, i % 2);
		p = parse(text);
		world.n = i % 2;
		good = policy_test(p, &world, error);
		eq_str(error, rows[i / 2].error, what);
		eq_int(good, rows[i / 2].error[0] == '\0', "... passed");
		policy_free(p);
	}
}

static void
test_nobody(void)
{
	char name[] = "alice", error[POLICY_ERROR_MAX];
	struct policy *p =
	    parse("{\"acls\": [], \"tests\": [{\"src\": \"alice@\", \"deny\": "
		  "[\"bob@:22\"]}]}");
	struct policy_world w = {.user_exists = only_alice, .arg = name};

	ok(!policy_test(p, &w, error), "a test with a user that is not there");
	eq_str(error,
	    "line 1, column 51: test 1: \"alice@\" to \"bob@:22\" names a "
	    "user that does not exist",
	    "... is an error");
	w.user_exists = NULL;
	ok(policy_test(p, &w, error), "any name is taken for one");
	policy_free(p);
}

/* Teams of ten, each of which reaches itself and the next one. */
static void
test_size(void)
{
	struct text t = TEXT_EMPTY;
	struct policy *p;
	size_t wrong = 0;

	text_str(&t, "{\"acls\": [");
	for (unsigned i = 0; i < 100; i++)
		text_fmt(&t,
		    "{\"action\":\"accept\",\"src\":[\"team%u@\"],\"dst\":"
		    "[\"team%u@:*\",\"team%u@:1-1023\"]},",
		    i, i, (i + 1) % 100);
	text_str(&t, "]}");
	p = parse(t.p);
	text_clear(&t);
	world.n = NODES_MAX;
	for (size_t i = 0; i < NODES_MAX; i++) {
		char name[20];

		snprintf(name, sizeof(name), "team%zu", i % 100);
		node(i, name, i % 100);
	}
	match_all(p);
	for (size_t i = 0; i < NODES_MAX; i++)
		for (size_t j = 0; j < NODES_MAX; j++) {
			size_t a = i % 100, b = j % 100;

			wrong +=
			    reaches(p, i, j) != (a == b || (a + 1) % 100 == b);
		}
	eq_int((int64_t)wrong, 0, "a thousand nodes see their teams");
	for (size_t i = 0; i < NODES_MAX; i++) {
		text_reset(&t);
		policy_filter(p, &world, subjects[i], &nodes[i].bits, &t);
		wrong += t.bad || t.len < 100;
	}
	eq_int((int64_t)wrong, 0, "... and have filters");
	text_clear(&t);
	policy_free(p);
}

int
main(void)
{
	test_default();
	test_errors();
	test_zero_byte();
	test_long_error();
	test_tagged();
	test_forget();
	test_explain();
	test_routes();
	test_through();
	test_attributes();
	test_owners();
	test_tests();
	test_nobody();
	test_size();
	for (size_t i = 0; i < NODES_MAX; i++) {
		free(nodes[i].bits.src);
		free(nodes[i].bits.dst);
	}
	return tap_done();
}

/* mapdoc: the JSON of nodes and users, whatever is in them. */
#include <stdlib.h>

#include <jansson.h>

#include "coordd/mapdoc.h"
#include "tests/tap.h"

#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

/* 32 bytes as hex. */
#define HEX8(x)	 x x x x x x x x
#define HEX32(x) HEX8(x x x x)

static char *
copy(const char *text)
{
	char *p = strdup(text);

	if (p == NULL)
		abort();
	return p;
}

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix p;

	if (!ip_prefix_parse(&p, text, strlen(text)))
		abort();
	return p;
}

/* The least that a node has. */
static struct node
make_node(struct user *u)
{
	struct node n = {.id = 7,
	    .user = u,
	    .created = NOW - 1,
	    .capver = 142,
	    .authorized = true};

	memset(n.node_key.b, 0x11, KEY_LEN);
	memset(n.machine.b, 0x22, KEY_LEN);
	n.label = copy("robot");
	n.hostname = copy("robot");
	(void)ip_parse(&n.ip4, "100.64.0.7", 10);
	(void)ip_parse(&n.ip6, "fd7a:115c:a1e0::7", 17);
	return n;
}

static void
clear(struct node *n)
{
	free(n->label);
	free(n->hostname);
	free(n->hostinfo);
	free(n->endpoints);
}

static struct mapdoc_view
view(void)
{
	return (struct mapdoc_view){
	    .domain = "t.example", .online = true, .now = NOW};
}

typedef void writer(
    struct text *out, const struct node *n, const struct mapdoc_view *v);

static void
gives(writer *write, const struct node *n, const struct mapdoc_view *v,
    const char *want, const char *what)
{
	struct text t = TEXT_EMPTY;

	write(&t, n, v);
	eq_str(t.p, want, what);
	text_clear(&t);
}

/* The object that is written; NULL if it is no JSON. */
static json_t *
parsed(writer *write, const struct node *n, const struct mapdoc_view *v)
{
	struct text t = TEXT_EMPTY;
	json_t *o;

	write(&t, n, v);
	o = json_loadb(t.p, t.len, JSON_REJECT_DUPLICATES, NULL);
	text_clear(&t);
	return o;
}

#define LEAST                                                               \
	"{\"ID\":7,\"StableID\":\"n7\",\"Name\":\"robot.t.example.\","      \
	"\"User\":3,\"Key\":\"nodekey:" HEX32(                              \
	    "11") "\","                                                     \
		  "\"Machine\":\"mkey:" HEX32(                              \
		      "22") "\","                                           \
			    "\"Addresses\":[\"100.64.0.7/"                  \
			    "32\",\"fd7a:115c:a1e0::7/128\"],"              \
			    "\"AllowedIPs\":[\"100.64.0.7/"                 \
			    "32\",\"fd7a:115c:a1e0::7/128\"],"              \
			    "\"Created\":\"2027-01-15T07:59:59Z\",\"Cap\":" \
			    "142,\"Online\":true,"                          \
			    "\"MachineAuthorized\":true"

static void
test_least(void)
{
	static char name[] = "alice", display[] = "";
	struct user u = {.id = 3, .name = name, .display_name = display};
	struct node n = make_node(&u);
	struct mapdoc_view v = view();

	v.attributes = "";
	gives(mapdoc_peer, &n, &v, LEAST "}", "a node of few words");
	gives(mapdoc_self, &n, &v,
	    LEAST ",\"CapMap\":{"
		  "\"https://tailscale.com/cap/file-sharing\":[],"
		  "\"magicdns-aaaa\":[],\"default-auto-update\":[false]}}",
	    "as it sees itself");
	v.attributes = ",\"randomize-client-port\":[]";
	gives(mapdoc_self, &n, &v,
	    LEAST ",\"CapMap\":{"
		  "\"https://tailscale.com/cap/file-sharing\":[],"
		  "\"magicdns-aaaa\":[],\"default-auto-update\":[false],"
		  "\"randomize-client-port\":[]}}",
	    "with an attribute of the policy");
	clear(&n);
}

static void
test_full(void)
{
	static char name[] = "alice", display[] = "";
	static char robot[] = "tag:robot", server[] = "tag:server";
	static char *tags[] = {robot, server, NULL};
	struct ip_prefix routes[3] = {
	    prefix("10.0.0.0/8"), prefix("0.0.0.0/0"), prefix("::/0")};
	struct user u = {.id = 3, .name = name, .display_name = display};
	struct node n = make_node(&u);
	struct mapdoc_view v = view();

	memset(n.disco.b, 0x33, KEY_LEN);
	n.endpoints = copy("[\"192.0.2.1:5\"]");
	n.hostinfo = copy("{\"OS\":\"linux\"}");
	n.home_derp = 900;
	n.tags = tags;
	n.ntags = 2;
	n.expiry = NOW;
	n.last_seen = NOW - 60;
	n.authorized = false;
	v.online = false;
	v.routes = routes;
	v.nroutes = 3;
	v.primary = routes;
	v.nprimary = 1;
	gives(mapdoc_peer, &n, &v,
	    "{\"ID\":7,\"StableID\":\"n7\",\"Name\":\"robot.t.example.\","
	    "\"User\":2147455555,\"Key\":\"nodekey:" HEX32(
		"11") "\","
		      "\"Machine\":\"mkey:" HEX32(
			  "22") "\","
				"\"DiscoKey\":\"discokey:" HEX32(
				    "33") "\","
					  "\"Addresses\":[\"100.64.0.7/"
					  "32\",\"fd7a:115c:a1e0::7/128\"],"
					  "\"AllowedIPs\":[\"100.64.0.7/"
					  "32\",\"fd7a:115c:a1e0::7/128\","
					  "\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/"
					  "0\"],"
					  "\"PrimaryRoutes\":[\"10.0.0.0/8\"],"
					  "\"Endpoints\":[\"192.0.2.1:5\"],"
					  "\"HomeDERP\":900,"
					  "\"Hostinfo\":{\"OS\":\"linux\"},"
					  "\"Created\":\"2027-01-15T07:59:"
					  "59Z\",\"Cap\":142,"
					  "\"Tags\":[\"tag:robot\",\"tag:"
					  "server\"],"
					  "\"KeyExpiry\":\"2027-01-15T08:00:"
					  "00Z\",\"Expired\":true,"
					  "\"Online\":false,\"LastSeen\":"
					  "\"2027-01-15T07:59:00Z\"}",
	    "a node of many words");
	clear(&n);
}

static void
test_times(void)
{
	static char name[] = "alice", display[] = "";
	struct user u = {.id = 3, .name = name, .display_name = display};
	struct node n = make_node(&u);
	struct mapdoc_view v = view();
	json_t *o;

	n.expiry = NOW + 1;
	o = parsed(mapdoc_peer, &n, &v);
	ok(json_object_get(o, "KeyExpiry") != NULL &&
		json_object_get(o, "Expired") == NULL,
	    "a key that ends in a second");
	json_decref(o);
	/* Go reads no year of five digits. */
	n.expiry = n.created = INT64_MAX;
	o = parsed(mapdoc_peer, &n, &v);
	eq_str(json_string_value(json_object_get(o, "KeyExpiry")),
	    "9999-12-31T23:59:59Z", "one that never really ends");
	json_decref(o);
	v.online = false;
	o = parsed(mapdoc_peer, &n, &v);
	ok(json_is_false(json_object_get(o, "Online")) &&
		json_object_get(o, "LastSeen") == NULL,
	    "away, and never seen");
	json_decref(o);
	clear(&n);
}

/* A label, tag or name is what it is; the store may hold anything. */
static void
test_hostile(void)
{
	static char name[] = "a\"\\\n\xff\x01</script>";
	static char display[] = "\xc3\x28\xf0\x9f\xa4\x96\x7f";
	static char tag[] = "tag:\"\xff";
	static char *tags[] = {tag, NULL};
	struct user u = {.id = 3, .name = name, .display_name = display};
	struct node n = make_node(&u);
	struct mapdoc_view v = view();
	struct text t = TEXT_EMPTY;
	json_t *o;

	free(n.hostname);
	n.hostname = copy("\"},{\"ID\":1,\"x\":\"");
	o = parsed(mapdoc_peer, &n, &v);
	ok(o != NULL, "a hostname is no part of it");
	json_decref(o);
	mapdoc_profile(&t, &n);
	o = json_loadb(t.p, t.len, JSON_REJECT_DUPLICATES, NULL);
	ok(o != NULL, "a user's names are escaped");
	eq_str(json_string_value(json_object_get(o, "LoginName")),
	    "a\"\\\n\xef\xbf\xbd\x01</script>", "and arrive");
	json_decref(o);
	text_clear(&t);
	n.tags = tags;
	n.ntags = 1;
	o = parsed(mapdoc_peer, &n, &v);
	ok(o != NULL, "tags are escaped");
	json_decref(o);
	clear(&n);
}

static void
patches(const struct node *n, unsigned changes, bool online, const char *want,
    const char *what)
{
	struct mapdoc_view v = view();
	struct text t = TEXT_EMPTY;

	v.online = online;
	mapdoc_patch(&t, n, changes, &v);
	eq_str(t.p, want, what);
	text_clear(&t);
}

static void
test_patch(void)
{
	struct node n = make_node(NULL);

	n.home_derp = 900;
	n.last_seen = NOW - 60;
	patches(&n, MAPDOC_RELAY, true, "{\"NodeID\":7,\"DERPRegion\":900}",
	    "relay");
	patches(&n, MAPDOC_ENDPOINTS, true, "{\"NodeID\":7}",
	    "endpoints that are not known");
	n.endpoints = copy("[]");
	patches(&n, MAPDOC_ENDPOINTS, true, "{\"NodeID\":7,\"Endpoints\":[]}",
	    "no endpoints");
	patches(
	    &n, MAPDOC_CAPVER, true, "{\"NodeID\":7,\"Cap\":142}", "version");
	patches(&n, MAPDOC_DISCO, true,
	    "{\"NodeID\":7,\"DiscoKey\":\"discokey:" HEX32("00") "\"}",
	    "disco key");
	patches(&n, MAPDOC_ONLINE, true, "{\"NodeID\":7,\"Online\":true}",
	    "online");
	patches(&n, MAPDOC_ONLINE, false,
	    "{\"NodeID\":7,\"Online\":false,"
	    "\"LastSeen\":\"2027-01-15T07:59:00Z\"}",
	    "away");
	n.last_seen = 0;
	patches(&n, MAPDOC_ONLINE | MAPDOC_RELAY | MAPDOC_CAPVER, false,
	    "{\"NodeID\":7,\"DERPRegion\":900,\"Cap\":142,\"Online\":false}",
	    "several");
	clear(&n);
}

static void
test_profile(void)
{
	static char name[] = "alice", none[] = "", display[] = "Alice A.";
	static char tag[] = "tag:x";
	static char *tags[] = {tag, NULL};
	struct user u = {.id = 3, .name = name, .display_name = none};
	struct node n = make_node(&u);
	struct text t = TEXT_EMPTY;

	mapdoc_profile(&t, &n);
	eq_str(t.p,
	    "{\"ID\":3,\"LoginName\":\"alice\",\"DisplayName\":\"alice\"}",
	    "without a display name");
	text_reset(&t);
	u.display_name = display;
	mapdoc_profile(&t, &n);
	eq_str(t.p,
	    "{\"ID\":3,\"LoginName\":\"alice\",\"DisplayName\":\"Alice A.\"}",
	    "with one");
	text_reset(&t);
	n.tags = tags;
	n.ntags = 1;
	mapdoc_profile(&t, &n);
	eq_str(t.p,
	    "{\"ID\":2147455555,\"LoginName\":\"tagged-devices\","
	    "\"DisplayName\":\"Tagged Devices\"}",
	    "of a tagged node");
	eq_int((int64_t)mapdoc_user_id(&n), 2147455555, "its user");
	text_clear(&t);
	clear(&n);
}

int
main(void)
{
	test_least();
	test_full();
	test_times();
	test_hostile();
	test_patch();
	test_profile();
	return tap_done();
}

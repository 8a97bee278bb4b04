/*
 * The coordinator without its edges, for thousands of simulated seconds:
 * robots join, move, leave and come back, administrators change everything
 * that they can, in an order drawn from a seed. Whatever the order: nobody is
 * told of a node that it may not see, and 50 ms after the last change every
 * client knows exactly what it ought to.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/mapper.h"
#include "coordd/ops.h"
#include "tests/sim/fleet.h"
#include "tests/sim/simio.h"
#include "tests/tap.h"

#define SECOND_US INT64_C(1000000)
#define ROBOTS	  24
#define USERS	  3
#define STEPS	  120

#define COUNT(v)  ((unsigned)(sizeof(v) / sizeof((v)[0])))

static struct fleet f;
static struct user *users[USERS];
static uint64_t random_state;

static const struct ops_who who = {"chaos"};

static uint32_t
draw(uint32_t below)
{
	/* xorshift64*: the same everywhere for the same seed. */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1du) >> 33) % below;
}

/* ---- what there is to draw from ---- */

static const char *const names[] = {"alice", "bob", "carol", "dave", "erin"};
static const char *const tags[] = {"tag:robot", "tag:server", "tag:router"};
static const char *const routes[] = {"10.20.0.0/16", "10.21.0.0/16",
    "10.20.7.0/24", "fd00:5::/64", "0.0.0.0/0", "::/0"};

#define OWNERS                                                \
	"\"tagOwners\":{\"tag:robot\":[\"alice@\",\"bob@\"]," \
	"\"tag:server\":[\"bob@\"],\"tag:router\":[\"carol@\",\"alice@\"]}"
#define APPROVERS                                                          \
	"\"autoApprovers\":{\"routes\":{\"10.20.0.0/16\":[\"tag:router\"," \
	"\"alice@\"]},\"exitNode\":[\"bob@\"]}"

static const char *const policies[] = {
    "",
    "{" OWNERS ",\"acls\":[]}",
    "{" OWNERS ",\"groups\":{\"group:ops\":[\"carol@\"]},\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"autogroup:member\"],"
    "\"dst\":[\"autogroup:self:*\"]},"
    "{\"action\":\"accept\",\"proto\":\"tcp\",\"src\":[\"group:ops\"],"
    "\"dst\":[\"tag:robot:22\"]},"
    "{\"action\":\"accept\",\"src\":[\"tag:robot\"],"
    "\"dst\":[\"tag:server:443,8883\"]}]}",
    "{" OWNERS "," APPROVERS ",\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"alice@\"],"
    "\"dst\":[\"10.20.0.0/16:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"bob@\"],\"dst\":[\"10.21.0.0/16:80\","
    "\"10.20.7.0/24:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"autogroup:member\"],"
    "\"dst\":[\"tag:router:22\"]}]}",
    "{" OWNERS "," APPROVERS ",\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"bob@\"],"
    "\"dst\":[\"autogroup:internet:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"carol@\"],\"dst\":[\"*:*\"]}]}",
    "{" OWNERS ",\"hosts\":{\"first\":\"100.64.0.1\"},\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"first\"],"
    "\"dst\":[\"autogroup:member:80\"]},"
    "{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"first:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"10.20.0.0/16\"],"
    "\"dst\":[\"tag:server:*\"]}]}",
    "{" OWNERS ",\"grants\":[{\"src\":[\"alice@\",\"tag:robot\"],"
    "\"dst\":[\"bob@\",\"tag:server\"],\"ip\":[\"tcp:443\",\"udp:53\"]}],"
    "\"nodeAttrs\":[{\"target\":[\"alice@\",\"tag:robot\"],"
    "\"attr\":[\"randomize-client-port\"]}]}",
    "{" OWNERS "," APPROVERS ",\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"autogroup:self:*\","
    "\"autogroup:tagged:*\"]}]}",
};

/* Members of Hostinfo; the last are no client's. */
static const char *const hosts[] = {
    "\"OS\":\"linux\",\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":4711}]",
    "\"OS\":\"linux\",\"OSVersion\":\"6.1\",\"Userspace\":true",
    "\"OS\":\"linux\",\"sshHostKeys\":[\"ssh-ed25519 AAAA\"]",
    "\"OS\":\"\\u00e9\\\"\\\\\\n\",\"Machine\":\"x86_64\"",
    "\"OS\":5,\"os\":[],\"Services\":{},\"sshHostKeys\":[1],"
    "\"ShieldsUp\":\"yes\",\"Unknown\":{\"a\":[1,null]}",
    "\"Services\":[{\"Proto\":6,\"Port\":70000},7],\"IPNVERSION\":1,"
    "\"Userspace\":\"maybe\",\"TPM\":3,\"Location\":\"here\"",
};

static const char *const hostnames[] = {"robot", "robot", "Robot.lab", "arm",
    "\\u00fcber", "", "a b", "-", "x.y.z",
    "a-very-long-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and"};

/* "a","b" of a list, as the bits of `which` say. */
static void
add_some(struct text *t, const char *const *v, unsigned n, unsigned which)
{
	bool first = true;

	for (unsigned i = 0; i < n; i++)
		if ((which >> i & 1) != 0) {
			text_fmt(t, "%s\"%s\"", first ? "" : ",", v[i]);
			first = false;
		}
}

static char *
make_host(const char *hostname, bool wants_tags)
{
	struct text t = TEXT_EMPTY;
	unsigned offers = draw(3) == 0 ? draw(64) : 0;

	text_fmt(
	    &t, "{\"Hostname\":\"%s\",%s", hostname, hosts[draw(COUNT(hosts))]);
	if (draw(2) == 0)
		text_fmt(&t, ",\"NetInfo\":{\"PreferredDERP\":%u}",
		    draw(3) == 0 ? 0 : 900 + draw(3));
	text_str(&t, ",\"RoutableIPs\":[");
	add_some(&t, routes, COUNT(routes), offers);
	text_char(&t, ']');
	if (wants_tags)
		text_fmt(
		    &t, ",\"RequestTags\":[\"%s\"]", tags[draw(COUNT(tags))]);
	text_char(&t, '}');
	return text_take(&t);
}

static void
add_endpoints(struct text *t)
{
	text_str(t, ",\"Endpoints\":[");
	for (unsigned i = draw(4); i > 0; i--)
		text_fmt(t, "\"192.0.2.%u:%u\",", draw(4), 1 + draw(65535));
	text_str(t,
	    draw(4) == 0 ? "\"1.2.3.4:+5\",\"[1.2.3.4]:5\",\"::1:5\","
			   "\"[fe80::1%%eth0]:5\",7]"
			 : "\"[2001:db8::7]:41641\"]");
}

/* ---- what robots do ---- */

static struct robot *
some_robot(void)
{
	return &f.robots[draw(ROBOTS)];
}

static struct node *
some_node(void)
{
	return fleet_node(&f, some_robot());
}

static void
do_join(void)
{
	struct robot *r = some_robot();
	char *host = make_host(hostnames[draw(COUNT(hostnames))], draw(4) == 0);
	const char *key = fleet_key(&f, users[draw(USERS)], draw(2) == 0,
	    draw(8) == 0, draw(4) == 0 ? tags[draw(COUNT(tags))] : NULL);

	/* A new node key: it was logged out, or its key had ended. */
	if (draw(4) == 0)
		r->node_key.b[1]++;
	if (key != NULL)
		(void)fleet_join(&f, r, key, host,
		    draw(8) == 0 ? ",\"Ephemeral\":true" : "");
	free(host);
}

static void
do_logout(void)
{
	(void)fleet_join(&f, some_robot(), NULL, "{}",
	    ",\"Expiry\":\"1970-01-01T00:02:03Z\"");
}

static void
do_update(struct robot *r)
{
	struct text t = TEXT_EMPTY;
	unsigned what = 1 + draw(15);
	char *host;

	if ((what & 1) != 0)
		add_endpoints(&t);
	if ((what & 2) != 0)
		text_fmt(&t, ",\"DiscoKey\":\"discokey:%064x\"", draw(4));
	if ((what & 4) != 0) {
		host = make_host(hostnames[draw(COUNT(hostnames))], false);
		text_fmt(&t, ",\"Hostinfo\":%s", host);
		free(host);
	}
	if ((what & 8) != 0)
		text_fmt(&t, ",\"Version\":%u", 140 + draw(3));
	(void)fleet_update(&f, r, t.p);
	text_clear(&t);
}

/* There and back, maybe with somebody who comes in between. */
static void
do_flap(void)
{
	struct robot *r = some_robot();
	static const char *const there[] = {",\"Endpoints\":[\"192.0.2.1:1\"]",
	    ",\"DiscoKey\":\"discokey:"
	    "1111111111111111111111111111111111111111111111111111111111111111"
	    "\"",
	    ",\"Hostinfo\":{\"Hostname\":\"flap\"}"};
	static const char *const back[] = {",\"Endpoints\":[\"192.0.2.2:2\"]",
	    ",\"DiscoKey\":\"discokey:"
	    "2222222222222222222222222222222222222222222222222222222222222222"
	    "\"",
	    ",\"Hostinfo\":{\"Hostname\":\"flop\"}"};
	unsigned what = draw(COUNT(there));

	(void)fleet_update(&f, r, back[what]);
	fleet_run(&f, draw(2) == 0 ? 60000 : 0);
	(void)fleet_update(&f, r, there[what]);
	if (draw(2) == 0)
		(void)fleet_open(&f, some_robot(), draw(2) == 0, draw(4) == 0);
	fleet_run(&f, draw(2) == 0 ? 1000 : 0);
	(void)fleet_update(&f, r, back[what]);
}

static void
do_stream(void)
{
	struct robot *r = some_robot();
	struct fleet_stream *s = fleet_current(r);
	unsigned what = draw(20);

	if (s == NULL || what < 4)
		s = fleet_open(&f, r, draw(2) == 0, draw(8) == 0);
	else if (what < 10)
		fleet_close(&f, s);
	else if (what == 10)
		s->request->choked = true;
	else if (what == 11 && s->view.messages > 0)
		s->request->slow = false;
	if (s != NULL && what == 12)
		/* It takes its first map when it closes, or never. */
		s->request->slow = s->view.messages == 0;
}

/* ---- what administrators do ---- */

static void
do_routes(struct node *n)
{
	struct ip_prefix v[NODE_ROUTES_MAX / 64];
	struct ops_result r;
	size_t count = 0;

	for (size_t i = 0; i < n->nadvertised && count < COUNT(v); i++)
		if (draw(3) > 0)
			v[count++] = n->advertised[i];
	(void)ops_node_routes(&f.sim.c, &who, n, v, count, &r);
}

static void
do_edit(struct node *n)
{
	struct coordd *c = &f.sim.c;
	struct ops_result r;
	const char *tag = tags[draw(COUNT(tags))];

	switch (draw(8)) {
	case 0:
		(void)ops_node_approve(c, &who, n, draw(3) > 0, &r);
		break;
	case 1:
		(void)ops_node_expire(c, &who, n,
		    draw(3) == 0 ? 0 : coordd_time() - 3 + draw(8), &r);
		break;
	case 2:
		(void)ops_node_rename(
		    c, &who, n, draw(2) == 0 ? "" : names[draw(5)], &r);
		break;
	case 3:
		(void)ops_node_move(c, &who, n, users[draw(USERS)], &r);
		break;
	case 4:
		(void)ops_node_tag(c, &who, n, &tag, draw(2), &r);
		break;
	case 5:
	case 6:
		do_routes(n);
		break;
	case 7:
		if (draw(2) == 0)
			(void)ops_node_delete(c, &who, n, &r);
		break;
	}
}

static void
do_policy(void)
{
	const char *text = policies[draw(COUNT(policies))];
	struct ops_result r;

	if (!ops_policy_set(
		&f.sim.c, &who, text, strlen(text), "database", &r) &&
	    f.sim.faults == 0)
		fleet_fault(&f, "a policy is refused", 0, 0, r.error, text);
}

static void
replace_text(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
}

static void
do_network(void)
{
	static const char *const relays[] = {"{\"Regions\":{\"900\":null}}",
	    "{\"Regions\":{\"901\":null}}", "{\"Regions\":{}}"};
	static const char *const dns[] = {
	    "{\"Proxied\":true}", "{\"Domains\":[\"d.example\"]}"};
	struct coordd *c = &f.sim.c;
	struct ops_result r;

	switch (draw(5)) {
	case 0:
		replace_text(&c->derp_map, relays[draw(COUNT(relays))]);
		mapper_relays_changed(c);
		break;
	case 1:
		replace_text(&c->dns_config, dns[draw(COUNT(dns))]);
		mapper_dns_changed(c);
		break;
	case 2:
		(void)ops_user_rename(
		    c, &who, users[draw(USERS)], names[draw(5)], &r);
		break;
	default:
		do_policy();
	}
}

/* ---- chaos ---- */

static void
say(const char *what)
{
	snprintf(f.doing, sizeof(f.doing), "%s at %.6f s", what,
	    (double)sim_now().us / 1e6);
}

static void
act(void)
{
	unsigned what = draw(100);
	struct node *n;

	if (what < 15) {
		say("join");
		do_join();
	} else if (what < 18) {
		say("logout");
		do_logout();
	} else if (what < 45) {
		say("update");
		do_update(some_robot());
	} else if (what < 50) {
		say("flap");
		do_flap();
	} else if (what < 75) {
		say("stream");
		do_stream();
	} else if (what < 93) {
		say("edit");
		if ((n = some_node()) != NULL)
			do_edit(n);
	} else if (what < 99) {
		say("network");
		do_network();
	} else if (draw(3) == 0 && f.sim.faults == 0 && !f.unsaved) {
		say("restart");
		fleet_restart(&f);
	}
	fleet_changed(&f);
}

static void
pass_time(void)
{
	switch (draw(6)) {
	case 0:
		fleet_run(&f, draw(15) * SECOND_US / 2);
		break;
	case 1:
	case 2:
		fleet_run(&f, draw(60000));
		break;
	default:
		break;
	}
}

static void
chaos_begin(const char *name)
{
	static const int64_t graces[] = {0, SECOND_US, 10 * SECOND_US};
	struct ops_result r;

	memset(&f, 0, sizeof(f));
	f.sim.conf.grace_us = graces[draw(3)];
	f.sim.conf.approve_devices = draw(4) == 0;
	f.sim.conf.key_expiry_us = draw(3) == 0 ? 60 * SECOND_US : 0;
	f.sim.conf.ephemeral_us = 20 * SECOND_US;
	fleet_begin(&f, name);
	for (int i = 0; i < USERS; i++)
		users[i] = ops_user_create(&f.sim.c, &who, names[i], "", &r);
}

static void
test_chaos(uint64_t seed)
{
	char name[64];

	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	snprintf(name, sizeof(name), "chaos %llu", (unsigned long long)seed);
	chaos_begin(name);
	for (int i = 0; i < ROBOTS; i++)
		do_join();
	for (int step = 0; step < STEPS && f.faults == 0; step++) {
		if (draw(30) == 0)
			fleet_fail_store(&f, draw(8));
		for (unsigned n = 1 + draw(6); n > 0; n--) {
			act();
			pass_time();
		}
		fleet_fail_store(&f, 0);
		fleet_check(&f);
	}
	/* Everybody hears something for as long as it lasts. */
	for (int i = 0; i < 3 && f.faults == 0; i++) {
		fleet_run(&f, 40 * SECOND_US);
		fleet_check(&f);
	}
	ok(fleet_end(&f), name);
}

/* Keys, jitter and hash keys are drawn from the seed, too. */
static uint32_t
draw_word(void)
{
	return draw(UINT32_MAX);
}

static void
draw_bytes(void *p, size_t n)
{
	for (uint8_t *b = p; n > 0; n--)
		*b++ = (uint8_t)draw(256);
}

static const char *
draw_name(void)
{
	return "seed";
}

static struct randombytes_implementation from_seed = {
    .implementation_name = draw_name, .random = draw_word, .buf = draw_bytes};

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : first + 23;

	log_init("sim", LOG_QUIET);
	random_state = 1;
	randombytes_set_implementation(&from_seed);
	if (sodium_init() == -1)
		abort();
	for (uint64_t seed = first; seed <= last; seed++)
		test_chaos(seed);
	return tap_done();
}

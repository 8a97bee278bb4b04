/*
 * What the mapper promises, one thing at a time: who is told what, in how
 * many messages, and when.
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
#define BATCH_US  INT64_C(50000)

static struct fleet f;
static struct user *alice, *bob;
static const struct ops_who who = {"test"};
static struct ops_result result;

static const char apart[] =
    "{\"tagOwners\":{\"tag:router\":[\"alice@\"]},\"acls\":["
    "{\"action\":\"accept\",\"src\":[\"alice@\"],\"dst\":[\"alice@:*\"]},"
    "{\"action\":\"accept\",\"src\":[\"bob@\"],\"dst\":[\"bob@:*\"]}]}";

static void
begin(const char *name, int64_t grace_us)
{
	memset(&f, 0, sizeof(f));
	f.sim.conf.grace_us = grace_us;
	fleet_begin(&f, name);
	alice = ops_user_create(&f.sim.c, &who, "alice", "Alice", &result);
	bob = ops_user_create(&f.sim.c, &who, "bob", "", &result);
}

static void
end(void)
{
	const char *name = f.name;

	ok(fleet_end(&f), name);
}

static void
set_policy(const char *text)
{
	if (!ops_policy_set(
		&f.sim.c, &who, text, strlen(text), "database", &result))
		printf("Bail out! %s\n", result.error);
	fleet_changed(&f);
}

static struct robot *
join_with(unsigned i, struct user *u, const char *hostinfo)
{
	(void)fleet_join(&f, &f.robots[i], fleet_key(&f, u, false, false, NULL),
	    hostinfo, "");
	return &f.robots[i];
}

static struct robot *
join(unsigned i, struct user *u)
{
	return join_with(i, u, "{\"Hostname\":\"robot\"}");
}

/* Robots 0 to n-1 of the user, each with a stream; all is told. */
static void
join_many(unsigned n, struct user *u, bool plain)
{
	for (unsigned i = 0; i < n; i++)
		(void)fleet_open(&f, join(i, u), plain, false);
	fleet_check(&f);
}

static struct fleet_stream *
stream_of(unsigned i)
{
	return f.robots[i].streams[0];
}

static json_t *
peer_of(unsigned i, const struct node *n)
{
	struct mapview *v = &stream_of(i)->view;

	for (size_t k = 0; k < v->npeers; k++)
		if (v->peers[k].id == n->id)
			return v->peers[k].node;
	return NULL;
}

static bool
is_online_for(unsigned i, const struct node *n)
{
	return json_is_true(json_object_get(peer_of(i, n), "Online"));
}

static int64_t
stat(const metric *m)
{
	return metric_get(m);
}

/* ---- cost ---- */

static void
test_shared(void)
{
	struct stats *s = &f.sim.c.stats;
	int64_t made, shared;
	uint64_t told;

	begin("one message for all who are told the same", SECOND_US);
	set_policy(apart);
	join_many(20, alice, true);
	for (unsigned i = 20; i < 40; i++)
		(void)fleet_open(&f, join(i, bob), true, false);
	fleet_check(&f);
	made = stat(&s->messages);
	shared = stat(&s->messages_shared);
	told = f.messages;
	(void)fleet_update(
	    &f, &f.robots[3], ",\"Endpoints\":[\"192.0.2.1:41641\"]");
	fleet_check(&f);
	eq_int(stat(&s->messages) - made, 1, "one message is made");
	eq_int(stat(&s->messages_shared) - shared, 18, "it is shared");
	eq_int((int64_t)(f.messages - told), 19, "who sees the node is told");
	told = f.messages;
	(void)fleet_update(
	    &f, &f.robots[3], ",\"Endpoints\":[\"192.0.2.1:41641\"]");
	fleet_check(&f);
	eq_int((int64_t)(f.messages - told), 0, "nothing new: no message");
	end();
}

static void
test_shared_two_ways(void)
{
	struct stats *s = &f.sim.c.stats;
	int64_t made;

	begin("plain and compressed", SECOND_US);
	for (unsigned i = 0; i < 20; i++)
		(void)fleet_open(&f, join(i, alice), i % 2 == 0, false);
	fleet_check(&f);
	made = stat(&s->messages);
	(void)fleet_update(&f, &f.robots[3], ",\"Version\":143");
	(void)fleet_update(&f, &f.robots[4],
	    ",\"DiscoKey\":\"discokey:"
	    "abababababababababababababababababababababababababababababababab"
	    "\"");
	fleet_check(&f);
	/* All others, robot 3 and robot 4. */
	eq_int(stat(&s->messages) - made, 4, "one message per kind and view");
	end();
}

/* ---- time ---- */

static void
test_batches(void)
{
	uint64_t told;

	begin("batches", SECOND_US);
	join_many(2, alice, true);
	fleet_run(&f, 300000);
	told = f.messages;
	(void)fleet_update(&f, &f.robots[0], ",\"Version\":143");
	fleet_run(&f, 0);
	eq_int((int64_t)(f.messages - told), 1, "the first is told at once");
	for (int i = 0; i < 10; i++) {
		(void)fleet_update(&f, &f.robots[0],
		    i % 2 == 0 ? ",\"Version\":144" : ",\"Version\":145");
		fleet_run(&f, 4000);
	}
	eq_int((int64_t)(f.messages - told), 1, "the next ones wait");
	fleet_run(&f, 10000);
	eq_int((int64_t)(f.messages - told), 2, "and are told together");
	fleet_check(&f);
	end();
}

static void
test_grace(void)
{
	struct node *n;
	uint64_t told;

	begin("grace", 10 * SECOND_US);
	join_many(2, alice, true);
	n = fleet_node(&f, &f.robots[1]);
	fleet_close(&f, stream_of(1));
	told = f.messages;
	fleet_run(&f, 9 * SECOND_US);
	ok(is_online_for(0, n), "away for 9 s: still online");
	(void)fleet_open(&f, &f.robots[1], true, false);
	fleet_run(&f, 15 * SECOND_US);
	eq_int((int64_t)(f.messages - told), 1, "back in time: nobody is told");
	fleet_close(&f, stream_of(1));
	fleet_run(&f, 11 * SECOND_US + BATCH_US);
	ok(!is_online_for(0, n), "away for 11 s: offline");
	ok(json_object_get(peer_of(0, n), "LastSeen") != NULL,
	    "and since when");
	(void)fleet_open(&f, &f.robots[1], true, false);
	fleet_run(&f, 0);
	ok(is_online_for(0, n), "online again at once");
	fleet_check(&f);
	end();
}

static void
test_replaced(void)
{
	struct fleet_stream *old, *new;
	struct node *n;
	uint64_t told;

	begin("a replaced stream", SECOND_US);
	join_many(2, alice, true);
	n = fleet_node(&f, &f.robots[1]);
	old = stream_of(1);
	told = f.messages;
	new = fleet_open(&f, &f.robots[1], true, false);
	ok(old->request->ending, "the old one ends");
	fleet_run(&f, 20 * SECOND_US);
	ok(coordsim_is_open(new->request), "the new one stays");
	ok(is_online_for(0, n) && mapper_is_online(&f.sim.c, n),
	    "the late end of the old one changes nothing");
	eq_int((int64_t)(f.messages - told), 1, "nobody else is told");
	fleet_check(&f);
	end();
}

static void
test_keep_alive(void)
{
	struct fleet_stream *s;
	int gap = 0;

	begin("keep-alives", SECOND_US);
	join_many(1, alice, false);
	s = stream_of(0);
	for (; gap < 70 && s->keep_alives == 0; gap++)
		fleet_run(&f, SECOND_US);
	ok(gap >= 49 && gap <= 61, "the first after 50 to 60 s");
	fleet_run(&f, 600 * SECOND_US);
	ok(s->keep_alives >= 10 && s->keep_alives <= 13, "and so on");
	end();
}

/* ---- first maps ---- */

static unsigned
with_map(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FLEET_MAX; i++)
		n += stream_of(i) != NULL && stream_of(i)->view.messages > 0;
	return n;
}

static void
test_first_in_turn(void)
{
	struct fleet_stream *s;

	begin("first maps are made in turn", SECOND_US);
	for (unsigned i = 0; i < 40; i++) {
		s = fleet_open(&f, join(i, alice), true, false);
		s->request->slow = true;
	}
	fleet_run(&f, 100000);
	eq_int(with_map(), 16, "no more than 16 at a time");
	stream_of(2)->request->slow = false;
	fleet_run(&f, 1000);
	eq_int(with_map(), 17, "who took it makes room");
	fleet_close(&f, stream_of(3));
	fleet_run(&f, 1000);
	/* One that had it is gone, and another has it. */
	eq_int(with_map(), 17, "who leaves does, too");
	fleet_run(&f, 20 * SECOND_US);
	eq_int(with_map(), 39, "who is slow keeps nobody waiting for long");
	for (unsigned i = 0; i < 40; i++)
		if (stream_of(i) != NULL)
			stream_of(i)->request->slow = false;
	fleet_check(&f);
	end();
}

static void
test_once(void)
{
	uint64_t told;

	begin("one map and no more", SECOND_US);
	join_many(2, alice, true);
	(void)join(2, alice);
	fleet_check(&f);
	told = f.messages;
	(void)fleet_open(&f, &f.robots[1], true, true);
	fleet_run(&f, 0);
	eq_int((int64_t)(f.messages - told), 1, "it is told everything");
	ok(stream_of(1) == NULL, "and that was it");
	ok(f.robots[1].streams[1] != NULL, "its stream goes on");
	(void)fleet_open(&f, &f.robots[2], true, true);
	fleet_run(&f, SECOND_US);
	ok(!mapper_is_online(&f.sim.c, fleet_node(&f, &f.robots[2])),
	    "nobody is online by that");
	eq_int((int64_t)(f.messages - told), 2, "nobody else is told");
	fleet_check(&f);
	end();
}

/* A first map shows a change that is taken back before the others hear. */
static void
test_flap(void)
{
	static const char there[] = ",\"Endpoints\":[\"192.0.2.1:1\"]";
	static const char back[] = ",\"Endpoints\":[\"192.0.2.2:2\"]";

	begin("there and back within a batch", SECOND_US);
	join_many(2, alice, true);
	(void)join(2, alice);
	(void)join(3, alice);
	(void)fleet_update(&f, &f.robots[0], back);
	fleet_check(&f);
	(void)fleet_update(&f, &f.robots[1], ",\"Version\":143");
	fleet_run(&f, 0);
	(void)fleet_update(&f, &f.robots[0], there);
	(void)fleet_open(&f, &f.robots[2], true, false);
	fleet_run(&f, 0);
	(void)fleet_update(&f, &f.robots[0], back);
	fleet_check(&f);
	(void)fleet_open(&f, &f.robots[3], true, false);
	fleet_check(&f);
	end();
}

/* ---- who sees whom ---- */

static void
test_deleted(void)
{
	struct node *n;
	uint64_t id;
	uint32_t slot;

	begin("a deleted node", SECOND_US);
	join_many(3, alice, true);
	n = fleet_node(&f, &f.robots[1]);
	id = n->id;
	slot = n->slot;
	ok(ops_node_delete(&f.sim.c, &who, n, &result), "it is deleted");
	fleet_changed(&f);
	ok(json_is_true(json_object_get(stream_of(1)->view.self, "Expired")),
	    "it is told that it must log in");
	ok(!coordsim_is_open(stream_of(1)->request), "its stream ends");
	/* Another takes its place before anybody was told. */
	(void)join(4, alice);
	eq_int(fleet_node(&f, &f.robots[4])->slot, slot, "its slot is free");
	ok(!fleet_update(&f, &f.robots[1], ""), "it is not known any more");
	fleet_check(&f);
	ok(mapview_peer(&stream_of(0)->view, id) == NULL, "others forgot it");
	end();
}

static void
test_approval(void)
{
	struct node *n;

	f.sim.conf.approve_devices = false;
	begin("approval", SECOND_US);
	join_many(1, alice, true);
	f.sim.conf.approve_devices = true;
	(void)fleet_open(&f, join(1, alice), true, false);
	fleet_check(&f);
	n = fleet_node(&f, &f.robots[1]);
	ok(peer_of(0, n) == NULL && stream_of(1)->view.npeers == 0,
	    "before it, it sees nobody and nobody sees it");
	(void)ops_node_approve(&f.sim.c, &who, n, true, &result);
	fleet_changed(&f);
	fleet_check(&f);
	ok(peer_of(0, n) != NULL && stream_of(1)->view.npeers == 1,
	    "after it, both know each other");
	(void)ops_node_approve(&f.sim.c, &who, n, false, &result);
	fleet_changed(&f);
	fleet_check(&f);
	ok(peer_of(0, n) == NULL && stream_of(1)->view.npeers == 0,
	    "and no more when it is taken back");
	end();
}

static void
approve_all(struct robot *r)
{
	struct node *n = fleet_node(&f, r);

	(void)ops_node_routes(
	    &f.sim.c, &who, n, n->advertised, n->nadvertised, &result);
	fleet_changed(&f);
}

static bool
routes_by(unsigned i, unsigned router)
{
	const json_t *list = json_object_get(
	    peer_of(i, fleet_node(&f, &f.robots[router])), "PrimaryRoutes");

	return json_array_size(list) == 1;
}

static void
test_routers(void)
{
	static const char host[] =
	    "{\"Hostname\":\"r\",\"RoutableIPs\":[\"10.20.0.0/16\"]}";

	begin("two routers for one network", 2 * SECOND_US);
	join_many(1, alice, true);
	for (unsigned i = 1; i < 3; i++) {
		(void)fleet_open(&f, join_with(i, alice, host), true, false);
		approve_all(&f.robots[i]);
	}
	fleet_check(&f);
	ok(routes_by(0, 1) && !routes_by(0, 2), "the first serves");
	fleet_close(&f, stream_of(1));
	fleet_run(&f, 4 * SECOND_US);
	fleet_check(&f);
	ok(!routes_by(0, 1) && routes_by(0, 2), "the second when it is away");
	(void)fleet_open(&f, &f.robots[1], true, false);
	fleet_check(&f);
	ok(!routes_by(0, 1) && routes_by(0, 2), "it does not go back");
	fleet_close(&f, stream_of(1));
	fleet_close(&f, stream_of(2));
	fleet_run(&f, 4 * SECOND_US);
	fleet_check(&f);
	ok(routes_by(0, 2), "nor does it move while both are away");
	end();
}

/* ---- updates ---- */

static void
test_updates(void)
{
	struct robot *r;
	struct node *n;

	begin("updates", SECOND_US);
	join_many(2, alice, true);
	r = &f.robots[0];
	n = fleet_node(&f, r);
	ok(fleet_update(&f, r,
	       ",\"Hostinfo\":{\"Hostname\":\"robot\","
	       "\"NetInfo\":{\"PreferredDERP\":901}}"),
	    "NetInfo");
	eq_int(n->home_derp, 901, "tells the relay");
	(void)fleet_update(&f, r, ",\"Hostinfo\":{\"Hostname\":\"robot\"}");
	eq_int(n->home_derp, 901, "one without it leaves it");
	(void)fleet_update(&f, r,
	    ",\"Hostinfo\":{\"Hostname\":\"robot\","
	    "\"NetInfo\":{\"PreferredDERP\":0}}");
	eq_int(n->home_derp, 901, "none at the moment leaves it");
	(void)fleet_update(&f, r, ",\"Endpoints\":[\"192.0.2.1:1\"]");
	(void)fleet_update(&f, r, ",\"Version\":143");
	eq_str(n->endpoints, "[\"192.0.2.1:1\"]", "so do endpoints");
	(void)fleet_update(&f, r, ",\"Endpoints\":[]");
	eq_str(n->endpoints, "[]", "which can end");
	fleet_check(&f);
	end();
}

static void
test_store_fails(void)
{
	static const char update[] =
	    ",\"Hostinfo\":{\"Hostname\":\"other\"},\"Version\":143";
	struct node *n;
	uint64_t told;

	begin("the store fails", SECOND_US);
	join_many(2, alice, true);
	n = fleet_node(&f, &f.robots[0]);
	told = f.messages;
	fleet_fail_store(&f, FAULT_COMMIT);
	ok(!fleet_update(&f, &f.robots[0], update), "an update is refused");
	ok(n->capver == 142 && strcmp(n->label, "robot") == 0,
	    "nothing of it is in force");
	ok(!fleet_join(&f, &f.robots[2], NULL, "{}", ""), "and a join");
	fleet_run(&f, SECOND_US);
	eq_int((int64_t)(f.messages - told), 0, "nobody is told");
	(void)fleet_update(&f, &f.robots[1], ",\"Version\":144");
	fleet_fail_store(&f, 0);
	fleet_run(&f, 3 * SECOND_US);
	ok(coordsim_is_stored(&f.sim, fleet_node(&f, &f.robots[1])),
	    "what could not be saved is saved later");
	ok(fleet_update(&f, &f.robots[0], update), "the same is taken then");
	fleet_check(&f);
	end();
}

static void
test_slow_reader(void)
{
	begin("one that does not read", SECOND_US);
	join_many(4, alice, true);
	stream_of(1)->request->choked = true;
	(void)fleet_update(&f, &f.robots[0], ",\"Version\":143");
	fleet_check(&f);
	ok(fleet_current(&f.robots[1]) == NULL, "its connection ends");
	ok(fleet_current(&f.robots[2]) != NULL, "others go on");
	end();
}

/* While its first map is made, too. */
static void
test_slow_first(void)
{
	begin("one that does not take its first map", SECOND_US);
	join_many(2, alice, true);
	fleet_open(&f, join(2, alice), true, false)->request->choked = true;
	(void)fleet_open(&f, join(3, alice), true, false);
	fleet_check(&f);
	ok(fleet_current(&f.robots[2]) == NULL &&
		fleet_current(&f.robots[3]) != NULL,
	    "its connection ends, others go on");
	end();
}

int
main(void)
{
	log_init("sim", LOG_QUIET);
	if (sodium_init() == -1)
		abort();
	test_shared();
	test_shared_two_ways();
	test_batches();
	test_grace();
	test_replaced();
	test_keep_alive();
	test_first_in_turn();
	test_once();
	test_flap();
	test_deleted();
	test_approval();
	test_routers();
	test_updates();
	test_store_fails();
	test_slow_reader();
	test_slow_first();
	return tap_done();
}

/* fleet: see fleet.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <zstd.h>

#include "coordd/mapdoc.h"
#include "coordd/mapper.h"
#include "coordd/ops.h"
#include "tests/sim/fleet.h"
#include "tests/sim/simio.h"

#define SECOND_US   INT64_C(1000000)
#define BATCH_US    INT64_C(50000)
#define MESSAGE_MAX (4 << 20)

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

void
fleet_fault(struct fleet *f, const char *what, uint64_t who, uint64_t of,
    const char *got, const char *want)
{
	if (f->faults++ >= 5)
		return;
	printf("# %s: %s (node %llu, of node %llu; last: %s)\n", f->name, what,
	    (unsigned long long)who, (unsigned long long)of, f->doing);
	if (got != NULL || want != NULL)
		printf("#   got  %s\n#   want %s\n", got == NULL ? "-" : got,
		    want == NULL ? "-" : want);
}

void
fleet_changed(struct fleet *f)
{
	maptruth_free(f->truth);
	f->truth = NULL;
	f->version++;
}

static struct maptruth *
truth(struct fleet *f)
{
	if (f->truth == NULL)
		f->truth = maptruth_new(&f->sim.c);
	return f->truth;
}

struct node *
fleet_node(struct fleet *f, const struct robot *r)
{
	struct node *n = model_node_keyed(&f->sim.c.model, &r->node_key);

	return n != NULL && key_equal(&n->machine, &r->machine) ? n : NULL;
}

/* The same, with what differs between two objects. */
static void
fault_diff(struct fleet *f, const char *what, uint64_t who, uint64_t of,
    const char *got, const char *want)
{
	json_t *a = json_loads(got, 0, NULL), *b = json_loads(want, 0, NULL);
	json_t *v;
	const char *name;
	void *tmp;
	char *x, *y;

	json_object_foreach_safe(a, tmp, name, v)
	{
		if (!json_equal(v, json_object_get(b, name)))
			continue;
		json_object_del(b, name);
		json_object_del(a, name);
	}
	x = json_dumps(a, JSON_COMPACT | JSON_SORT_KEYS);
	y = json_dumps(b, JSON_COMPACT | JSON_SORT_KEYS);
	fleet_fault(f, what, who, of, x, y);
	free(x);
	free(y);
	json_decref(a);
	json_decref(b);
}

/* ---- each message ---- */

static uint64_t
member_id(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

/* No route of n may be told to who may not use it. */
static void
check_told_routes(struct fleet *f, const struct node *receiver,
    const struct node *n, json_t *list)
{
	struct ip_prefix p;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (!ip_prefix_parse(&p, s, strlen(s)) ||
		    (!ip_prefix_has(&p, &n->ip4) &&
			!ip_prefix_has(&p, &n->ip6) &&
			!maptruth_route(truth(f), receiver, &p)))
			fleet_fault(f, "told of a route that it may not use",
			    receiver->id, n->id, s, NULL);
	}
}

static void
check_told_nodes(struct fleet *f, const struct node *receiver, json_t *list,
    const char *id, const char *what)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *told = json_array_get(list, i);
		struct node *n =
		    model_node(&f->sim.c.model, member_id(told, id));

		if (n == NULL || !maptruth_sees(truth(f), receiver, n)) {
			fleet_fault(f, what, receiver->id, member_id(told, id),
			    NULL, NULL);
			continue;
		}
		check_told_routes(
		    f, receiver, n, json_object_get(told, "AllowedIPs"));
		check_told_routes(
		    f, receiver, n, json_object_get(told, "PrimaryRoutes"));
		if (!f->unsaved && f->stored[n->id] != f->version &&
		    !coordsim_is_stored(&f->sim, n))
			fleet_fault(f, "told before it was stored",
			    receiver->id, n->id, NULL, NULL);
		f->stored[n->id] = f->version;
	}
}

static void
check_told_profiles(struct fleet *f, const struct node *receiver, json_t *list)
{
	struct node *n;

	for (size_t i = 0; i < json_array_size(list); i++) {
		uint64_t id = member_id(json_array_get(list, i), "ID");
		bool good = mapdoc_user_id(receiver) == id;

		for (uint32_t at = 0;
		     (n = model_next(&f->sim.c.model, &at)) != NULL;)
			good |= mapdoc_user_id(n) == id &&
			    maptruth_sees(truth(f), receiver, n);
		if (!good)
			fleet_fault(f, "told of a user of no node it sees",
			    receiver->id, id, NULL, NULL);
	}
}

static void
check_told(struct fleet *f, struct fleet_stream *s, json_t *message)
{
	struct node *receiver = model_node(&f->sim.c.model, s->node);
	json_t *removed = json_object_get(message, "PeersRemoved");

	if (receiver == NULL) {
		fleet_fault(f, "a deleted node is told something", s->node, 0,
		    NULL, NULL);
		return;
	}
	check_told_nodes(f, receiver, json_object_get(message, "Peers"), "ID",
	    "told of a node that it may not see");
	check_told_nodes(f, receiver, json_object_get(message, "PeersChanged"),
	    "ID", "told of a node that it may not see: change");
	check_told_nodes(f, receiver,
	    json_object_get(message, "PeersChangedPatch"), "NodeID",
	    "told of a node that it may not see: patch");
	check_told_profiles(
	    f, receiver, json_object_get(message, "UserProfiles"));
	for (size_t i = 0; i < json_array_size(removed); i++) {
		uint64_t id =
		    (uint64_t)json_integer_value(json_array_get(removed, i));

		if (mapview_peer(&s->view, id) == NULL)
			fleet_fault(f, "told of the end of one it never knew",
			    s->node, id, NULL, NULL);
	}
}

static json_t *
decode(const struct fleet_stream *s, const uint8_t *p, size_t n)
{
	static char text[MESSAGE_MAX];
	size_t len;

	if (n < 4 ||
	    n - 4 != (p[0] | p[1] << 8 | p[2] << 16 | (size_t)p[3] << 24))
		return NULL;
	p += 4;
	n -= 4;
	if (s->plain)
		return json_loadb(
		    (const char *)p, n, JSON_REJECT_DUPLICATES, NULL);
	len = ZSTD_decompress(text, sizeof(text), p, n);
	if (ZSTD_isError(len))
		return NULL;
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

/* What a deleted node is told: its key has expired, long ago. At once, and
 * nothing after it. */
static bool
is_farewell(const json_t *message)
{
	const char *expiry = json_string_value(
	    json_object_get(json_object_get(message, "Node"), "KeyExpiry"));

	return expiry != NULL && strcmp(expiry, "1970-01-01T00:00:01Z") == 0;
}

static void
take_delta(struct fleet *f, struct fleet_stream *s, const json_t *message)
{
	if (s->view.messages == 0)
		return;
	if (s->once)
		fleet_fault(f, "a second message for who wanted one", s->node,
		    0, NULL, NULL);
	if (s->deltas++ > 0 && mono_diff_us(s->delta, sim_now()) < BATCH_US &&
	    !is_farewell(message))
		fleet_fault(
		    f, "two batches within 50 ms", s->node, 0, NULL, NULL);
	s->delta = sim_now();
}

static void
on_message(void *arg, struct request *r, const uint8_t *bytes, size_t n)
{
	struct fleet *f = arg;
	struct fleet_stream *s = r->mine;
	json_t *message = decode(s, bytes, n);
	const char *wrong = "a message that cannot be read";

	f->messages++;
	s->heard = sim_now();
	if (message != NULL && json_object_get(message, "KeepAlive") != NULL) {
		wrong = json_object_size(message) == 1 && s->keep_alive &&
			s->view.messages > 0
		    ? NULL
		    : "a keep-alive that is none";
		s->keep_alives++;
	} else if (message != NULL) {
		check_told(f, s, message);
		take_delta(f, s, message);
		wrong = mapview_apply(&s->view, message);
	}
	if (wrong != NULL) {
		char *text = json_dumps(message, JSON_COMPACT);

		fleet_fault(f, wrong, s->node, 0, text, NULL);
		free(text);
	}
	json_decref(message);
}

/* ---- presence ---- */

static void
stream_over(struct fleet *f, struct fleet_stream *s)
{
	struct presence *p = &f->presence[s->node];

	if (p->stream != s)
		return;
	p->stream = NULL;
	p->away = s->request->over;
	p->last_seen = COORDSIM_EPOCH + p->away.us / SECOND_US;
}

/* Forgets streams that are over. */
static void
sweep(struct fleet *f)
{
	for (size_t i = 0; i < FLEET_MAX; i++)
		for (size_t j = 0; j < 4; j++) {
			struct fleet_stream *s = f->robots[i].streams[j];

			if (s == NULL || coordsim_is_open(s->request))
				continue;
			stream_over(f, s);
			if (!s->request->told)
				continue;
			f->robots[i].streams[j] = NULL;
			mapview_clear(&s->view);
			s->request->held = false;
			free(s);
		}
}

static void
on_tick(void *arg)
{
	struct fleet *f = arg;

	sweep(f);
	for (size_t i = 0; i < IDS_MAX; i++) {
		struct presence *p = &f->presence[i];

		if (p->stream == NULL && p->online &&
		    mono_diff_us(p->away, sim_now()) >= f->sim.conf.grace_us)
			p->online = false;
	}
	/* What failed is tried again from a tick on. */
	f->unsaved = f->failed;
	f->failed = f->sim.faults != 0;
	fleet_changed(f);
}

void
fleet_fail_store(struct fleet *f, unsigned faults)
{
	f->sim.faults = faults;
	if (faults != 0)
		f->failed = f->unsaved = true;
}

/* ---- what robots do ---- */

bool
fleet_join(struct fleet *f, struct robot *r, const char *auth_key,
    const char *hostinfo, const char *more)
{
	struct text t = TEXT_EMPTY;
	char key[KEY_TEXT_MAX];
	struct request *q;
	bool in;

	text_fmt(&t, "{\"Version\":142,\"NodeKey\":\"%s\",\"Hostinfo\":%s%s",
	    key_text(&r->node_key, KEY_NODE, key), hostinfo, more);
	if (auth_key != NULL)
		text_fmt(&t, ",\"Auth\":{\"AuthKey\":\"%s\"}", auth_key);
	text_char(&t, '}');
	q = coordsim_post(&f->sim, &r->machine, "/machine/register", t.p);
	in = q->status == 200 &&
	    strstr(q->answer.p, "\"MachineAuthorized\"") != NULL;
	if (q->status == 0)
		coordsim_hang_up(q);
	text_clear(&t);
	fleet_changed(f);
	return in;
}

static struct request *
post_map(struct fleet *f, struct robot *r, const char *members)
{
	struct text t = TEXT_EMPTY;
	char key[KEY_TEXT_MAX];
	struct request *q;

	text_fmt(&t, "{\"Version\":142,\"NodeKey\":\"%s\"%s}",
	    key_text(&r->node_key, KEY_NODE, key), members);
	q = coordsim_post(&f->sim, &r->machine, "/machine/map", t.p);
	text_clear(&t);
	return q;
}

bool
fleet_update(struct fleet *f, struct robot *r, const char *members)
{
	struct text t = TEXT_EMPTY;
	struct request *q;

	text_fmt(&t, ",\"OmitPeers\":true%s", members);
	q = post_map(f, r, t.p);
	text_clear(&t);
	fleet_changed(f);
	return q->status == 200;
}

struct fleet_stream *
fleet_open(struct fleet *f, struct robot *r, bool plain, bool once)
{
	struct node *n = fleet_node(f, r);
	struct fleet_stream *s;
	struct text t = TEXT_EMPTY;
	struct request *q;

	sweep(f);
	if (r->streams[3] != NULL)
		return NULL;
	s = must(calloc(1, sizeof(*s)));
	*s = (struct fleet_stream){.plain = plain,
	    .once = once,
	    .keep_alive = !once,
	    .opened = sim_now()};
	text_fmt(&t, ",\"Stream\":%s,\"KeepAlive\":%s%s",
	    once ? "false" : "true", once ? "false" : "true",
	    plain ? "" : ",\"Compress\":\"zstd\"");
	q = post_map(f, r, t.p);
	text_clear(&t);
	if (q->status != 200 || n == NULL) {
		coordsim_hang_up(q);
		free(s);
		return NULL;
	}
	s->request = q;
	s->node = n->id;
	q->mine = s;
	q->held = true;
	memmove(&r->streams[1], &r->streams[0], 3 * sizeof(void *));
	r->streams[0] = s;
	if (!once) {
		f->presence[n->id].stream = s;
		f->presence[n->id].online = true;
	}
	return s;
}

void
fleet_close(struct fleet *f, struct fleet_stream *s)
{
	coordsim_hang_up(s->request);
	sweep(f);
}

struct fleet_stream *
fleet_current(const struct robot *r)
{
	struct fleet_stream *s = r->streams[0];

	return s != NULL && !s->once && coordsim_is_open(s->request) ? s : NULL;
}

void
fleet_run(struct fleet *f, int64_t us)
{
	coordsim_run(&f->sim, us);
	sweep(f);
}

void
fleet_restart(struct fleet *f)
{
	coordsim_restart(&f->sim);
	sweep(f);
	for (size_t i = 0; i < IDS_MAX; i++)
		f->presence[i].online = false;
	fleet_changed(f);
}

const char *
fleet_key(struct fleet *f, struct user *u, bool reusable, bool ephemeral,
    const char *tag)
{
	static char secret[AUTHKEY_SECRET_MAX];
	static const struct ops_who who = {"test"};
	struct authkey_wish wish = {.user = u,
	    .reusable = reusable,
	    .ephemeral = ephemeral,
	    .tags = &tag,
	    .ntags = tag == NULL ? 0 : 1};
	struct ops_result r;

	return ops_authkey_create(&f->sim.c, &who, &wish, secret, &r) == NULL
	    ? NULL
	    : secret;
}

/* ---- everyone's view ---- */

static void
check_json(struct fleet *f, const struct fleet_stream *s, const json_t *got,
    const char *want, const char *what)
{
	json_t *json = json_loads(want, 0, NULL);
	char *a, *b;

	if (!json_equal(got, json)) {
		a = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
		b = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
		fleet_fault(f, what, s->node, 0, a, b);
		free(a);
		free(b);
	}
	json_decref(json);
}

static void
check_self(struct fleet *f, struct fleet_stream *s, const struct node *n)
{
	const char *got = mapview_self(&s->view);
	const char *want = maptruth_node(truth(f), n, n, true);

	if (strcmp(got, want) != 0)
		fault_diff(
		    f, "its own node is another", n->id, n->id, got, want);
}

/* Of the nodes that follow each other, a profile is looked at once. */
static void
check_profile(struct fleet *f, struct fleet_stream *s, const struct node *n,
    uint64_t *last)
{
	struct text t = TEXT_EMPTY;
	char id[24];

	if (*last == mapdoc_user_id(n))
		return;
	*last = mapdoc_user_id(n);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)*last);
	mapdoc_profile(&t, n);
	check_json(f, s, json_object_get(s->view.profiles, id), t.p,
	    "a user's profile is another");
	text_clear(&t);
}

static void
check_stream(struct fleet *f, struct fleet_stream *s)
{
	struct node *self = model_node(&f->sim.c.model, s->node), *n;
	size_t seen = 0;
	uint64_t profile = 0;

	if (self == NULL || s->view.messages == 0) {
		fleet_fault(f,
		    self == NULL ? "a stream of no node" : "no first map yet",
		    s->node, 0, NULL, NULL);
		return;
	}
	for (uint32_t at = 0; (n = model_next(&f->sim.c.model, &at)) != NULL;) {
		const char *got = mapview_peer(&s->view, n->id), *want = NULL;

		if (maptruth_sees(truth(f), self, n)) {
			seen++;
			want = maptruth_node(
			    truth(f), self, n, f->presence[n->id].online);
			check_profile(f, s, n, &profile);
		}
		if ((got == NULL) != (want == NULL))
			fleet_fault(f, "it knows a peer, or not", s->node,
			    n->id, got, want);
		else if (got != NULL && strcmp(got, want) != 0)
			fault_diff(
			    f, "a peer is another", s->node, n->id, got, want);
	}
	if (seen != s->view.npeers)
		fleet_fault(f, "it knows nodes that are not there", s->node, 0,
		    NULL, NULL);
	check_self(f, s, self);
	check_profile(f, s, self, &profile);
	check_json(f, s, s->view.filter, maptruth_filter(truth(f), self),
	    "its filter is another");
	check_json(f, s, s->view.relays, f->sim.c.derp_map,
	    "its relay map is another");
	check_json(f, s, s->view.dns, f->sim.c.dns_config,
	    "its DNS settings are others");
	if (mono_diff_us(s->heard, sim_now()) > 62 * SECOND_US)
		fleet_fault(
		    f, "no keep-alive for a minute", s->node, 0, NULL, NULL);
}

/* What does not depend on any stream. */
static void
check_nodes(struct fleet *f)
{
	const char *wrong = maptruth_wrong_routes(&f->sim.c);
	size_t online = 0;
	struct node *n;

	if (wrong != NULL)
		fleet_fault(f, wrong, 0, 0, NULL, NULL);
	for (uint32_t at = 0; (n = model_next(&f->sim.c.model, &at)) != NULL;) {
		struct presence *p = &f->presence[n->id];

		online += p->online;
		if (mapper_is_online(&f->sim.c, n) != p->online)
			fleet_fault(f, "it is online, or not", n->id, n->id,
			    NULL, NULL);
		if (!p->online && p->last_seen != 0 &&
		    n->last_seen != p->last_seen)
			fleet_fault(f, "it was seen at another time", n->id,
			    n->id, NULL, NULL);
		if (!f->unsaved && p->stream != NULL &&
		    !coordsim_is_stored(&f->sim, n))
			fleet_fault(f, "it is not stored as it is", n->id,
			    n->id, NULL, NULL);
	}
	if (online != mapper_online(&f->sim.c))
		fleet_fault(f, "the count of online nodes is wrong", online,
		    mapper_online(&f->sim.c), NULL, NULL);
	if (coordsim_stored(&f->sim) != f->sim.c.model.nnodes)
		fleet_fault(f, "the store has more nodes, or less",
		    coordsim_stored(&f->sim), f->sim.c.model.nnodes, NULL,
		    NULL);
}

/* A tick may have changed something: whose key ends, who is away. */
static void
wait_for_batch(struct fleet *f)
{
	int64_t since;

	fleet_run(f, BATCH_US);
	since = mono_diff_us(f->sim.ticked, sim_now());
	if (since < BATCH_US)
		fleet_run(f, BATCH_US - since);
}

/* Keys end between two ticks, and are told at the next one. */
static bool
some_key_just_ended(struct fleet *f)
{
	int64_t ticked = COORDSIM_EPOCH + f->sim.ticked.us / SECOND_US;
	struct node *n;

	for (uint32_t at = 0; (n = model_next(&f->sim.c.model, &at)) != NULL;)
		if (node_is_expired(n, coordd_time()) !=
		    node_is_expired(n, ticked))
			return true;
	return false;
}

void
fleet_check(struct fleet *f)
{
	wait_for_batch(f);
	while (some_key_just_ended(f)) {
		fleet_run(f,
		    mono_diff_us(
			sim_now(), mono_add_us(f->sim.ticked, SECOND_US)));
		wait_for_batch(f);
	}
	fleet_changed(f);
	for (size_t i = 0; i < FLEET_MAX; i++)
		for (size_t j = 0; j < 4; j++) {
			struct fleet_stream *s = f->robots[i].streams[j];

			if (s != NULL && coordsim_is_open(s->request) &&
			    !s->once && !s->request->slow)
				check_stream(f, s);
		}
	check_nodes(f);
}

/* ---- life ---- */

void
fleet_begin(struct fleet *f, const char *name)
{
	static char domain[] = "t.example";

	/* So that a case is the same whatever ran before. */
	sim_advance(SECOND_US - sim_now().us % SECOND_US);
	f->name = name;
	f->sim.arg = f;
	f->sim.on_message = on_message;
	f->sim.on_tick = on_tick;
	if (f->sim.conf.domain == NULL)
		f->sim.conf.domain = domain;
	if (f->sim.conf.ephemeral_us == 0)
		f->sim.conf.ephemeral_us = 1800 * SECOND_US;
	for (size_t i = 0; i < FLEET_MAX; i++) {
		memset(f->robots[i].machine.b, (int)i + 1, KEY_LEN);
		memset(f->robots[i].node_key.b, (int)i + 1, KEY_LEN);
		f->robots[i].node_key.b[0] = 0x80;
	}
	coordsim_begin(&f->sim);
}

bool
fleet_end(struct fleet *f)
{
	for (size_t i = 0; i < FLEET_MAX; i++)
		for (size_t j = 0; j < 4; j++)
			if (f->robots[i].streams[j] != NULL)
				coordsim_hang_up(
				    f->robots[i].streams[j]->request);
	fleet_run(f, 0);
	coordsim_end(&f->sim);
	maptruth_free(f->truth);
	return f->faults == 0;
}

/* coordsim: see coordsim.h. Running out of memory is an abort. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/login.h"
#include "coordd/mapdoc.h"
#include "coordd/mapper.h"
#include "coordd/ops.h"
#include "pure/text.h"
#include "tests/sim/coordsim.h"
#include "tests/sim/simio.h"

#define SECOND_US INT64_C(1000000)

/* Turns at one moment: more is a timer that sets itself without end. */
#define SPINS_MAX 1000

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

int64_t
coordd_time(void)
{
	return COORDSIM_EPOCH + sim_now().us / SECOND_US;
}

/* ---- the store: what was put, as text, by id ---- */

struct record {
	uint64_t id;
	char *core, *state; /* both NULL: deleted; core NULL: left as it is */
	int64_t last_seen;
};

struct store {
	struct coordsim *sim;
	struct record *kept, *pending; /* of the transaction */
	size_t nkept, npending;
	uint64_t last_id;
	bool open; /* a transaction */
	bool failed; /* in it */
	const char *error;
};

static void
add_texts(struct text *t, const char *name, char *const *v, size_t n)
{
	text_fmt(t, " %s", name);
	for (size_t i = 0; i < n; i++)
		text_fmt(t, ",%s", v[i]);
}

static void
add_prefixes(
    struct text *t, const char *name, const struct ip_prefix *v, size_t n)
{
	char text[IP_PREFIX_TEXT_MAX];

	text_fmt(t, " %s", name);
	for (size_t i = 0; i < n; i++)
		text_fmt(t, ",%s", ip_prefix_text(&v[i], text));
}

static char *
core_of(const struct node *n)
{
	struct text t = TEXT_EMPTY;
	char ip[IP_TEXT_MAX];

	text_fmt(&t, "%llu ", (unsigned long long)n->id);
	text_hex(&t, n->machine.b, KEY_LEN);
	text_hex(&t, n->node_key.b, KEY_LEN);
	text_fmt(&t, " %s %s %d %llu %lld %lld %d %d %llu", n->label,
	    n->hostname, n->label_set, (unsigned long long)n->user->id,
	    (long long)n->created, (long long)n->expiry, n->ephemeral,
	    n->authorized, (unsigned long long)n->authkey_id);
	text_fmt(&t, " %s", ip_text(&n->ip4, ip));
	text_fmt(&t, " %s", ip_text(&n->ip6, ip));
	add_texts(&t, "tags", n->tags, n->ntags);
	add_prefixes(&t, "advertised", n->advertised, n->nadvertised);
	add_prefixes(&t, "approved", n->approved, n->napproved);
	return must(text_take(&t));
}

static char *
state_of(const struct node *n)
{
	struct text t = TEXT_EMPTY;

	text_hex(&t, n->disco.b, KEY_LEN);
	text_fmt(&t, " %s %d %d %s", n->endpoints == NULL ? "-" : n->endpoints,
	    n->home_derp, n->capver, n->hostinfo == NULL ? "-" : n->hostinfo);
	return must(text_take(&t));
}

static struct record *
kept_record(const struct store *s, uint64_t id)
{
	for (size_t i = 0; i < s->nkept; i++)
		if (s->kept[i].id == id)
			return &s->kept[i];
	return NULL;
}

static void
keep(struct store *s, const struct record *r)
{
	struct record *old = kept_record(s, r->id);

	if (old == NULL && r->core == NULL)
		abort(); /* the state of a node that is not there */
	if (old == NULL) {
		s->kept =
		    must(realloc(s->kept, (s->nkept + 1) * sizeof(*s->kept)));
		s->kept[s->nkept++] = *r;
		return;
	}
	free(old->state);
	old->state = r->state;
	old->last_seen = r->last_seen;
	if (r->core == NULL && r->state != NULL)
		return;
	free(old->core);
	old->core = r->core;
	if (r->core == NULL)
		*old = s->kept[--s->nkept];
}

static int
fails(struct store *s, enum coordsim_fault what)
{
	s->error = "";
	if ((s->sim->faults & what) == 0 && !s->failed)
		return 0;
	s->failed = s->open;
	s->error = "disk full";
	return -1;
}

static int
put(struct store *s, const struct node *n, char *core, char *state)
{
	struct record r = {n->id, core, state, n->last_seen};

	if (fails(s, FAULT_PUT) == -1) {
		free(core);
		free(state);
		return -1;
	}
	if (!s->open) {
		keep(s, &r);
		return 0;
	}
	s->pending = must(realloc(s->pending, (s->npending + 1) * sizeof(r)));
	s->pending[s->npending++] = r;
	return 0;
}

const char *
store_error(const struct store *s)
{
	return s->error;
}

int
store_begin(struct store *s)
{
	if (s->open)
		abort();
	if (fails(s, FAULT_BEGIN) == -1)
		return -1;
	s->open = true;
	return 0;
}

int
store_begin_states(struct store *s)
{
	return store_begin(s);
}

int
store_commit(struct store *s)
{
	if (!s->open)
		abort();
	if (fails(s, FAULT_COMMIT) == -1)
		return -1;
	for (size_t i = 0; i < s->npending; i++)
		keep(s, &s->pending[i]);
	s->npending = 0;
	s->open = false;
	return 0;
}

void
store_rollback(struct store *s)
{
	if (!s->open)
		abort();
	for (size_t i = 0; i < s->npending; i++) {
		free(s->pending[i].core);
		free(s->pending[i].state);
	}
	s->npending = 0;
	s->open = s->failed = false;
}

int
store_put_node(struct store *s, struct node *n)
{
	if (n->id == 0)
		n->id = ++s->last_id;
	return put(s, n, core_of(n), state_of(n));
}

int
store_put_node_state(struct store *s, const struct node *n)
{
	return put(s, n, NULL, state_of(n));
}

int
store_delete_node(struct store *s, const struct node *n)
{
	return put(s, n, NULL, NULL);
}

int
store_put_user(struct store *s, struct user *u)
{
	if (u->id == 0)
		u->id = ++s->last_id;
	return fails(s, FAULT_PUT);
}

int
store_put_authkey(struct store *s, struct authkey *k)
{
	if (k->id == 0)
		k->id = ++s->last_id;
	return fails(s, FAULT_PUT);
}

int
store_delete_user(struct store *s, const struct user *u)
{
	(void)u;
	return fails(s, FAULT_PUT);
}

int
store_delete_authkey(struct store *s, const struct authkey *k)
{
	(void)k;
	return fails(s, FAULT_PUT);
}

int
store_set(struct store *s, const char *name, const void *value, size_t n)
{
	(void)name;
	(void)value;
	(void)n;
	return fails(s, FAULT_PUT);
}

long
store_get(struct store *s, const char *name, void **value)
{
	(void)name;
	(void)value;
	s->error = "";
	return -1;
}

int
store_audit(struct store *s, int64_t when, const char *who, const char *what,
    const char *detail)
{
	(void)when;
	(void)who;
	(void)what;
	(void)detail;
	return fails(s, FAULT_PUT);
}

bool
coordsim_is_stored(const struct coordsim *s, const struct node *n)
{
	struct record *r = kept_record(s->store, n->id);
	char *core = core_of(n), *state = state_of(n);
	bool same = r != NULL && strcmp(r->core, core) == 0 &&
	    strcmp(r->state, state) == 0 &&
	    (mapper_is_online(&s->c, n) || r->last_seen == n->last_seen);

	free(core);
	free(state);
	return same;
}

size_t
coordsim_stored(const struct coordsim *s)
{
	return s->store->nkept;
}

static void
store_clear(struct store *s)
{
	if (s->open)
		abort();
	for (size_t i = 0; i < s->nkept; i++) {
		free(s->kept[i].core);
		free(s->kept[i].state);
	}
	free(s->kept);
	free(s->pending);
	free(s);
}

/* ---- requests, as control.h has them ---- */

struct coordd *
request_env(const struct request *r)
{
	return &r->sim->c;
}

const struct key *
request_machine(const struct request *r)
{
	return &r->machine;
}

const char *
request_body(const struct request *r, size_t *n)
{
	*n = r->body.len;
	return r->body.p;
}

void
request_drop_body(struct request *r)
{
	text_clear(&r->body);
}

void
request_watch(struct request *r, const struct request_ops *ops, void *arg)
{
	r->ops = ops;
	r->ops_arg = arg;
}

static void
tell_gone(struct request *r)
{
	const struct request_ops *ops = r->ops;

	r->ops = NULL;
	r->told = true;
	if (ops != NULL)
		ops->gone(r->ops_arg);
}

static void
die(struct request *r)
{
	if (!mono_is_set(r->over))
		r->over = sim_now();
	r->dead = true;
	tell_gone(r);
}

void
request_end(struct request *r)
{
	if (r->dead || r->ending)
		return;
	r->ending = true;
	r->over = sim_now();
}

void
request_answer(
    struct request *r, int status, const char *type, const char *body, size_t n)
{
	(void)type;
	if (r->dead || r->status != 0)
		return;
	r->status = status;
	text_add(&r->answer, body, n);
	request_end(r);
}

bool
request_begin(struct request *r)
{
	if (r->dead)
		return false;
	r->status = 200;
	return true;
}

void
request_push(struct request *r, struct message *m)
{
	if (!r->dead && !r->ending && r->choked)
		die(r);
	else if (!r->dead && !r->ending)
		r->sim->on_message(r->sim->arg, r, m->bytes, m->len);
	message_release(m);
}

struct request *
coordsim_post(struct coordsim *s, const struct key *machine, const char *path,
    const char *json)
{
	struct request *r = must(calloc(1, sizeof(*r)));

	r->sim = s;
	r->machine = *machine;
	text_str(&r->body, json);
	TAILQ_INSERT_TAIL(&s->requests, r, entry);
	if (strcmp(path, "/machine/register") == 0)
		joining_handle(r);
	else
		mapping_handle(r);
	return r;
}

bool
coordsim_is_open(const struct request *r)
{
	return r != NULL && !r->dead && !r->ending;
}

void
coordsim_hang_up(struct request *r)
{
	if (!r->dead)
		die(r);
}

/* What the connections do at the end of a turn. */
static void
turn(struct coordsim *s)
{
	struct request *r, *next;

	for (r = TAILQ_FIRST(&s->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (!r->dead && !r->slow && r->ops != NULL &&
		    r->ops->sent != NULL)
			r->ops->sent(r->ops_arg);
		if (r->ending && !r->told)
			tell_gone(r);
		if (!r->told || r->held)
			continue;
		TAILQ_REMOVE(&s->requests, r, entry);
		text_clear(&r->body);
		text_clear(&r->answer);
		free(r);
	}
}

/* ---- time ---- */

static void
delete_ephemeral(struct coordd *c)
{
	static const struct ops_who who = {"ephemeral timeout"};
	struct ops_result r;
	struct mono away;
	struct node *n;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		away = mapper_away_since(n);
		if (n->ephemeral && mono_is_set(away) &&
		    mono_diff_us(away, sim_now()) >= c->conf->ephemeral_us)
			(void)ops_node_delete(c, &who, n, &r);
	}
}

static void
on_tick(void *arg)
{
	struct coordsim *s = arg;

	mapper_tick(&s->c);
	logins_tick(s->c.logins);
	delete_ephemeral(&s->c);
	s->ticked = sim_now();
	timer_set(s->tick, mono_add_us(sim_now(), SECOND_US));
	s->on_tick(s->arg);
}

void
coordsim_run(struct coordsim *s, int64_t us)
{
	struct mono end = mono_add_us(sim_now(), us), next;

	for (unsigned spins = 0; spins < SPINS_MAX; spins++) {
		turn(s);
		next = sim_next();
		if (!mono_is_set(next) || mono_diff_us(next, end) < 0)
			break;
		us = mono_diff_us(sim_now(), next);
		if (us > 0)
			spins = 0;
		sim_advance(us < 0 ? 0 : us);
	}
	if (mono_is_set(next) && mono_diff_us(next, end) >= 0)
		abort();
	sim_advance(mono_diff_us(sim_now(), end));
	turn(s);
}

/* ---- life ---- */

static void
start_mapper(struct coordsim *s)
{
	struct node *n;

	s->c.mapper = must(mapper_new(&s->c));
	for (uint32_t at = 0; (n = model_next(&s->c.model, &at)) != NULL;)
		if (!mapper_node_added(&s->c, n))
			abort();
	timer_set(s->tick, sim_now());
}

static void
stop_mapper(struct coordsim *s)
{
	struct request *r;
	struct user *u;

	TAILQ_FOREACH (r, &s->requests, entry)
		coordsim_hang_up(r);
	TAILQ_FOREACH (u, &s->c.model.users, entry)
		u->mark = 0; /* as one that is loaded */
	mapper_save(&s->c);
	turn(s);
	mapper_free(s->c.mapper);
	s->c.mapper = NULL;
}

void
coordsim_restart(struct coordsim *s)
{
	stop_mapper(s);
	start_mapper(s);
}

void
coordsim_begin(struct coordsim *s)
{
	static const struct ops_who who = {"start"};
	static const uint8_t seed[KEYMAP_SEED_LEN] = {3, 1, 4, 1, 5, 9};
	static char none[] = "";
	struct ops_result r;
	struct coordd *c = &s->c;

	memset(c, 0, sizeof(*c));
	TAILQ_INIT(&s->requests);
	s->conf.policy = none;
	c->conf = &s->conf;
	s->store = c->store = must(calloc(1, sizeof(*s->store)));
	*s->store = (struct store){.sim = s, .error = ""};
	c->loop = loop_new();
	c->derp_map = must(strdup("{\"Regions\":{}}"));
	c->dns_config = must(strdup("{\"Proxied\":true}"));
	c->logins = must(logins_new(c));
	model_init(&c->model, seed);
	if (!ops_policy_load(c, &who, &r))
		abort();
	s->tick = timer_new(c->loop, on_tick, s);
	start_mapper(s);
}

void
coordsim_end(struct coordsim *s)
{
	struct coordd *c = &s->c;

	stop_mapper(s);
	logins_free(c->logins);
	policy_free(c->policy);
	model_clear(&c->model);
	store_clear(s->store);
	free(c->derp_map);
	free(c->dns_config);
	timer_free(s->tick);
	loop_free(c->loop);
}

/*
 * mapper: see mapper.h. Changes are gathered, with whom they may concern, and
 * told by the next batch.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <zstd.h>

#include "coordd/mapper_impl.h"

#define SECOND_US INT64_C(1000000)

/* First maps that were made but are not with the kernel yet: they are large,
 * so a thousand clients that come at once are served in turn. */
#define FIRST_MAX 16
/* One that takes longer is not counted any more. */
#define FIRST_US (5 * SECOND_US)

static void
forget_world(struct mapper *m)
{
	free((void *)(uintptr_t)m->world.v);
	m->world = (struct policy_world){0};
}

/* ---- nodes ---- */

/*
 * A first map shows the newest state, which the others are told by the next
 * batch. If it changes again before that, who had the first map must be told
 * even if nothing is new to the others.
 */
static void
queue_change(struct mapper *m, struct mapper_node *mn)
{
	free(mn->json);
	mn->json = NULL;
	mn->uneven |= mn->shown;
	if (mn->queued)
		return;
	mn->queued = true;
	TAILQ_INSERT_TAIL(&m->changed, mn, entry);
	m->nchanged++;
	batch_schedule(m);
}

/* The sources of these rules are others now. */
static void
note_rules(struct mapper *m, const uint64_t *src)
{
	size_t words = policy_words(m->c->policy);

	forget_world(m);
	policy_forget(m->c->policy, src);
	for (size_t i = 0; i < words; i++)
		m->rules[i] |= src[i];
}

bool
mapper_node_added(struct coordd *c, struct node *n)
{
	struct mapper *m = c->mapper;
	struct mapper_node *mn = calloc(1, sizeof(*mn));

	if (mn == NULL)
		return false;
	mn->node = n;
	n->mapped = mn;
	if (!class_enter(c, n)) {
		n->mapped = NULL;
		free(mn);
		return false;
	}
	mn->away = loop_now(c->loop);
	mn->was_expired = node_is_expired(n, coordd_time());
	note_rules(m, mn->cl->bits);
	m->routes_changed |= n->nroutes > 0;
	queue_change(m, mn);
	return true;
}

/* What it may see, and be told of itself, may be different now. */
static void
note_needs(struct mapper_node *mn, bool moved)
{
	struct stream *s = mn->stream;
	const struct node *n = mn->node;

	if (s == NULL)
		return;
	s->need_self = s->need_filter = true;
	s->need_view |= moved || n->authorized != s->was_authorized ||
	    n->user != s->was_user;
	s->was_authorized = n->authorized;
	s->was_user = n->user;
	mn->cl->wanted = true;
}

void
mapper_node_changed(struct coordd *c, struct node *n)
{
	struct mapper *m = c->mapper;
	struct mapper_node *mn = n->mapped;
	struct key was = mn->cl->hash;
	bool moved;

	note_rules(m, mn->cl->bits);
	if (!class_enter(c, n))
		log_warnx("node %llu: out of memory: its policy is stale",
		    (unsigned long long)n->id);
	note_rules(m, mn->cl->bits);
	moved = !key_equal(&mn->cl->hash, &was);
	mn->moved |= moved;
	note_needs(mn, moved);
	m->routes_changed = true;
	queue_change(m, mn);
}

void
mapper_state_changed(struct coordd *c, struct node *n)
{
	n->mapped->unsaved = true;
	queue_change(c->mapper, n->mapped);
}

/* Its client would go on with what it knows and ask for ever: by a key that
 * has expired it learns that it must log in. */
static void
say_deleted(struct stream *s)
{
	struct plan p = {.own = true};
	struct message *message;

	if (!s->first_sent)
		return;
	s->node->expiry = 1;
	s->need_self = true;
	s->need_filter = s->need_relays = s->need_dns = false;
	if ((message = write_delta(s, &p)) != NULL)
		s->ops->deliver(s->arg, message);
}

void
mapper_node_gone(struct coordd *c, struct node *n)
{
	struct mapper *m = c->mapper;
	struct mapper_node *mn = n->mapped;
	struct stream *s;

	TAILQ_FOREACH (s, &m->streams, entry)
		if (!s->closed && s->node == n) {
			say_deleted(s);
			if (s->closed)
				continue;
			s->ops->cut(s->arg, "the node is deleted");
			mapper_close(c, s);
		}
	TAILQ_FOREACH (s, &m->streams, entry) {
		if (s->closed || !view_knows(s, n))
			continue;
		view_learn(s, n, false);
		text_fmt(&s->removed, "%s%llu", s->removed.len > 0 ? "," : "",
		    (unsigned long long)n->id);
		s->node->mapped->cl->wanted = true;
	}
	note_rules(m, mn->cl->bits);
	m->routes_changed |= n->nroutes > 0;
	m->nonline -= mn->online;
	if (mn->queued) {
		TAILQ_REMOVE(&m->changed, mn, entry);
		m->nchanged--;
	}
	n->mapped = NULL;
	class_leave(m, mn);
	free(mn->json);
	free(mn->primary);
	free(mn);
	batch_schedule(m);
}

void
mapper_users_changed(struct coordd *c, const struct user *u)
{
	struct node *n;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (n->user == u) {
			/* The name is part of no node: have it told anew. */
			n->mapped->told.rest = 0;
			mapper_node_changed(c, n);
		}
}

void
mapper_policy_changed(struct coordd *c)
{
	struct mapper *m = c->mapper;
	size_t words = policy_words(c->policy);
	uint64_t *rules = calloc(words, sizeof(*rules));
	struct node *n;
	struct stream *s;

	if (rules != NULL) {
		free(m->rules);
		m->rules = rules;
	}
	forget_world(m);
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (rules == NULL || !class_enter(c, n))
			fatalx("out of memory for a new policy");
	TAILQ_FOREACH (s, &m->streams, entry)
		s->need_view = s->need_filter = s->need_self = true;
	m->all_wanted = true;
	batch_schedule(m);
}

void
mapper_relays_changed(struct coordd *c)
{
	struct stream *s;

	TAILQ_FOREACH (s, &c->mapper->streams, entry)
		s->need_relays = true;
	c->mapper->all_wanted = true;
	batch_schedule(c->mapper);
}

void
mapper_dns_changed(struct coordd *c)
{
	struct stream *s;

	TAILQ_FOREACH (s, &c->mapper->streams, entry)
		s->need_dns = true;
	c->mapper->all_wanted = true;
	batch_schedule(c->mapper);
}

bool
mapper_is_online(const struct coordd *c, const struct node *n)
{
	(void)c;
	return n->mapped != NULL && n->mapped->online;
}

struct mono
mapper_away_since(const struct node *n)
{
	return n->mapped->away;
}

size_t
mapper_streams(const struct coordd *c)
{
	return c->mapper->nstreams;
}

size_t
mapper_online(const struct coordd *c)
{
	return c->mapper->nonline;
}

/* ---- streams ---- */

static void
set_online(struct coordd *c, struct mapper_node *mn, bool online)
{
	if (mn->online == online)
		return;
	mn->online = online;
	c->mapper->nonline += online ? 1 : (size_t)-1;
	c->mapper->routes_changed |= mn->node->nroutes > 0;
	queue_change(c->mapper, mn);
}

static void
pump_first(struct mapper *m)
{
	struct stream *s;
	struct message *message;

	/* It shows changes that no batch has told and saved yet. */
	if (!TAILQ_EMPTY(&m->waiting))
		batch_save(m->c);
	while (m->in_flight < FIRST_MAX &&
	    (s = TAILQ_FIRST(&m->waiting)) != NULL) {
		TAILQ_REMOVE(&m->waiting, s, waiting);
		s->is_waiting = false;
		message = write_first(s);
		if (message == NULL) {
			s->ops->cut(s->arg, "out of memory for its map");
			continue;
		}
		s->first_sent = s->in_flight = true;
		s->first_at = loop_now(m->c->loop);
		s->need_self = s->need_view = s->need_filter = false;
		s->need_relays = s->need_dns = false;
		m->in_flight++;
		s->ops->deliver(s->arg, message);
	}
}

static void
reap_streams(struct mapper *m)
{
	struct stream *s, *next;

	for (s = TAILQ_FIRST(&m->streams); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->closed)
			continue;
		TAILQ_REMOVE(&m->streams, s, entry);
		text_clear(&s->removed);
		free(s->knows);
		free(s);
	}
}

static void
on_first(void *arg)
{
	pump_first(arg);
	reap_streams(arg);
}

struct stream *
mapper_open(struct coordd *c, struct node *n, const struct stream_wish *wish,
    const struct stream_ops *ops, void *arg)
{
	struct mapper *m = c->mapper;
	struct stream *s = calloc(1, sizeof(*s));
	struct stream *old = n->mapped->stream;

	if (s == NULL)
		return NULL;
	s->c = c;
	s->node = n;
	s->ops = ops;
	s->arg = arg;
	s->wish = *wish;
	s->was_authorized = n->authorized;
	s->was_user = n->user;
	TAILQ_INSERT_TAIL(&m->streams, s, entry);
	TAILQ_INSERT_TAIL(&m->waiting, s, waiting);
	s->is_waiting = true;
	timer_set(m->first, loop_now(c->loop));
	m->nstreams++;
	metric_add(&c->stats.streams, 1);
	batch_set_keep_alive(s);
	if (!wish->once) {
		n->mapped->stream = s;
		n->mapped->away = MONO_NEVER;
		set_online(c, n->mapped, true);
		if (old != NULL)
			old->ops->cut(old->arg, "replaced by a new stream");
	}
	return s;
}

void
mapper_close(struct coordd *c, struct stream *s)
{
	struct mapper *m = c->mapper;

	if (s->closed)
		return;
	s->closed = true;
	m->nstreams--;
	if (s->is_waiting)
		TAILQ_REMOVE(&m->waiting, s, waiting);
	s->is_waiting = false;
	if (s->in_flight)
		m->in_flight--;
	s->in_flight = false;
	if (s->node != NULL && s->node->mapped->stream == s) {
		s->node->mapped->stream = NULL;
		s->node->mapped->away = loop_now(c->loop);
		s->node->last_seen = coordd_time();
		s->node->mapped->unsaved = true;
	}
	s->node = NULL;
	timer_set(m->first, loop_now(c->loop));
}

void
mapper_first_taken(struct coordd *c, struct stream *s)
{
	struct mapper *m = c->mapper;

	if (!s->in_flight)
		return;
	s->in_flight = false;
	m->in_flight--;
	if (!TAILQ_EMPTY(&m->waiting))
		timer_set(m->first, loop_now(c->loop));
}

/* ---- time ---- */

/* Who reads slowly does not keep others waiting. */
static void
release_first(struct mapper *m)
{
	struct mono now = loop_now(m->c->loop);
	struct stream *s;

	TAILQ_FOREACH (s, &m->streams, entry)
		if (!s->closed && s->in_flight &&
		    mono_diff_us(s->first_at, now) > FIRST_US)
			mapper_first_taken(m->c, s);
}

static void
send_keep_alives(struct mapper *m)
{
	struct mono now = loop_now(m->c->loop);
	struct stream *s;
	struct message *message;

	TAILQ_FOREACH (s, &m->streams, entry) {
		if (s->closed || !s->first_sent || !s->wish.keep_alive ||
		    !mono_reached(s->keep_alive, now))
			continue;
		batch_set_keep_alive(s);
		message = write_keep_alive(m, s->wish.plain);
		if (message != NULL)
			s->ops->deliver(s->arg, message);
	}
}

void
mapper_tick(struct coordd *c)
{
	int64_t now = coordd_time();
	struct mono mono = loop_now(c->loop);
	struct node *n;

	send_keep_alives(c->mapper);
	release_first(c->mapper);
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		struct mapper_node *mn = n->mapped;
		bool expired = node_is_expired(n, now);

		if (mn->online && mono_is_set(mn->away) &&
		    mono_diff_us(mn->away, mono) >= c->conf->grace_us)
			set_online(c, mn, false);
		if (expired != mn->was_expired) {
			mn->was_expired = expired;
			mapper_node_changed(c, n);
		}
		/* What the store did not take is tried again. */
		if (mn->unsaved)
			queue_change(c->mapper, mn);
	}
}

void
mapper_save(struct coordd *c)
{
	struct node *n;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (n->mapped->unsaved)
			queue_change(c->mapper, n->mapped);
	batch_save(c);
}

/* ---- life ---- */

struct mapper *
mapper_new(struct coordd *c)
{
	struct mapper *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->c = c;
	TAILQ_INIT(&m->streams);
	TAILQ_INIT(&m->waiting);
	TAILQ_INIT(&m->changed);
	TAILQ_INIT(&m->classes);
	keymap_init(&m->classes_by_hash, c->hash_seed);
	m->log_unsaved.limit = limit_new(60 * SECOND_US, 3);
	randombytes_buf(m->hash_key, sizeof(m->hash_key));
	m->zstd = ZSTD_createCCtx();
	m->rules = calloc(policy_words(c->policy), sizeof(*m->rules));
	m->timer = timer_new(c->loop, batch_run, m);
	m->first = timer_new(c->loop, on_first, m);
	if (m->zstd == NULL || m->rules == NULL || m->timer == NULL ||
	    m->first == NULL) {
		mapper_free(m);
		return NULL;
	}
	return m;
}

static void
free_node(struct mapper *m, struct node *n)
{
	if (n->mapped == NULL)
		return;
	class_leave(m, n->mapped);
	free(n->mapped->json);
	free(n->mapped->primary);
	free(n->mapped);
	n->mapped = NULL;
}

void
mapper_free(struct mapper *m)
{
	struct stream *s;
	struct node *n;

	if (m == NULL)
		return;
	TAILQ_FOREACH (s, &m->streams, entry)
		mapper_close(m->c, s);
	reap_streams(m);
	for (uint32_t at = 0; (n = model_next(&m->c->model, &at)) != NULL;)
		free_node(m, n);
	write_recent_clear(m);
	message_release(m->keep_alive[0]);
	message_release(m->keep_alive[1]);
	text_clear(&m->json);
	text_clear(&m->filter);
	text_clear(&m->attributes);
	text_clear(&m->profiles);
	forget_world(m);
	keymap_clear(&m->classes_by_hash);
	ZSTD_freeCCtx(m->zstd);
	free(m->rules);
	timer_free(m->timer);
	timer_free(m->first);
	free(m);
}

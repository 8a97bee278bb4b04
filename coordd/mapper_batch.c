/*
 * mapper_batch: the changes of at most 50 ms, told. Looks at each changed node
 * once, to see what of it is new to others; then at each class of nodes, and
 * at the streams of those that may see one of the changed.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/mapper_impl.h"

#define SECOND_US INT64_C(1000000)

/* Changes that come within this time are told together. The first after a
 * pause is told at once. */
#define BATCH_US (50 * 1000)

/* Clients take a stream for dead after 120 s of silence. */
#define KEEP_ALIVE_US	  (50 * SECOND_US)
#define KEEP_ALIVE_JITTER 10000u /* ms */

/* Pairs that one batch looks at after a change of policy; the rest follows
 * in the next ones. */
#define PAIRS_MAX 2000000

void
batch_schedule(struct mapper *m)
{
	struct mono now = loop_now(m->c->loop);
	struct mono at = mono_add_us(m->last, BATCH_US);

	if (!mono_is_set(m->last) || mono_reached(at, now))
		at = now;
	timer_set(m->timer, at);
}

void
batch_set_keep_alive(struct stream *s)
{
	s->keep_alive = mono_add_us(loop_now(s->c->loop),
	    KEEP_ALIVE_US +
		1000 * (int64_t)randombytes_uniform(KEEP_ALIVE_JITTER));
}

void
batch_save(struct coordd *c)
{
	struct mapper_node *mn;
	bool begun = false, failed = false;

	TAILQ_FOREACH (mn, &c->mapper->changed, entry) {
		if (!mn->unsaved)
			continue;
		if (!begun && store_begin_states(c->store) == -1) {
			failed = true;
			break;
		}
		begun = true;
		if (store_put_node_state(c->store, mn->node) == -1) {
			failed = true;
			break;
		}
	}
	if (begun && !failed)
		failed = store_commit(c->store) == -1;
	if (failed) {
		if (log_allowed(&c->mapper->log_unsaved, loop_now(c->loop)) > 0)
			log_warnx("endpoints and the like are not saved: %s",
			    store_error(c->store));
		metric_add(&c->stats.store_failures, 1);
		if (begun)
			store_rollback(c->store);
		return;
	}
	TAILQ_FOREACH (mn, &c->mapper->changed, entry)
		mn->unsaved = false;
}

static void
find_changes(struct coordd *c, struct mapper_node *mn)
{
	struct told now;

	write_told(c, mn->node, &now);
	mn->changes = 0;
	if (now.rest != mn->told.rest || mn->uneven)
		mn->changes = MAPDOC_ALL;
	mn->shown = mn->uneven = false;
	if (now.endpoints != mn->told.endpoints)
		mn->changes |= MAPDOC_ENDPOINTS;
	if (now.home_derp != mn->told.home_derp)
		mn->changes |= MAPDOC_RELAY;
	if (!key_equal(&now.disco, &mn->told.disco))
		mn->changes |= MAPDOC_DISCO;
	if (now.capver != mn->told.capver)
		mn->changes |= MAPDOC_CAPVER;
	if (now.online != mn->told.online)
		mn->changes |= MAPDOC_ONLINE;
	mn->told = now;
	mn->was_expired = node_is_expired(mn->node, coordd_time());
}

static int
compare_ids(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->node->id < y->node->id ? -1 : 1;
}

/* The changed nodes as items, sorted, with room for as many; they are not
 * queued any more. */
static struct item *
take_changes(struct coordd *c, size_t *count)
{
	struct mapper *m = c->mapper;
	struct item *v = calloc(2 * m->nchanged + 1, sizeof(*v));
	struct mapper_node *mn;

	*count = 0;
	if (v == NULL)
		return NULL;
	while ((mn = TAILQ_FIRST(&m->changed)) != NULL) {
		TAILQ_REMOVE(&m->changed, mn, entry);
		m->nchanged--;
		mn->queued = false;
		find_changes(c, mn);
		v[(*count)++] = (struct item){mn->node, mn->changes};
	}
	qsort(v, *count, sizeof(*v), compare_ids);
	return v;
}

static void
plan_add(struct plan *p, struct node *n, uint64_t changes)
{
	size_t cap = p->cap == 0 ? 8 : 2 * p->cap;
	struct item *grown;

	if (p->n == p->cap) {
		if ((grown = realloc(p->items, cap * sizeof(*grown))) == NULL) {
			p->bad = true;
			return;
		}
		p->items = grown;
		p->cap = cap;
	}
	p->items[p->n++] = (struct item){n, changes};
	if ((changes & MAPDOC_ALL) != 0 && n->nroutes > 0)
		p->own = true;
}

/* What the stream must be told of n. changes: what is new about it. */
static void
plan_node(struct plan *p, struct stream *s, struct node *n, uint64_t changes)
{
	bool knows = view_knows(s, n), sees = view_sees(s->c, s->node, n);

	if (n == s->node)
		return;
	if (sees && !knows) {
		p->bad |= !view_learn(s, n, true);
		plan_add(p, n, MAPDOC_ALL);
	} else if (sees && changes != 0)
		plan_add(p, n, changes);
	else if (!sees && knows) {
		view_learn(s, n, false);
		text_fmt(&p->removed, "%s%llu", p->removed.len > 0 ? "," : "",
		    (unsigned long long)n->id);
	}
}

static void
plan_stream(struct plan *p, struct stream *s, const struct item *v, size_t n,
    bool whole)
{
	struct node *node;
	size_t i = 0;

	*p = (struct plan){.removed = s->removed};
	s->removed = TEXT_EMPTY;
	if (!whole) {
		for (; i < n; i++)
			plan_node(p, s, v[i].node, v[i].changes);
		return;
	}
	/* Nodes with routes are told anew, since which may be used depends
	 * on the policy. */
	for (uint32_t at = 0; (node = model_next(&s->c->model, &at)) != NULL;)
		plan_node(p, s, node,
		    node->mapped->changes |
			(node->nroutes > 0 ? (uint64_t)MAPDOC_ALL : 0));
	s->need_view = false;
}

static void
tell_stream(struct stream *s, const struct item *v, size_t n, bool whole)
{
	struct plan p;
	struct message *message;

	plan_stream(&p, s, v, n, whole);
	s->need_filter = s->need_filter && write_filter(s);
	p.own |=
	    s->need_self || s->need_filter || s->need_relays || s->need_dns;
	if (!p.own && p.n == 0 && p.removed.len == 0) {
		plan_clear(&p);
		return;
	}
	message = p.bad || p.removed.bad ? NULL : write_delta(s, &p);
	plan_clear(&p);
	s->need_self = s->need_filter = s->need_relays = s->need_dns = false;
	if (message == NULL)
		s->ops->cut(s->arg, "out of memory for a change");
	else
		s->ops->deliver(s->arg, message);
	batch_set_keep_alive(s);
}

/* Those of the changed nodes that may concern the class. */
static size_t
pick_items(struct mapper *m, const struct view_class *cl, struct item *picked,
    const struct item *v, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].node->mapped->moved ||
		    class_may_see(m->c, cl, v[i].node->mapped->cl))
			picked[k++] = v[i];
	return k;
}

/* Returns how many streams still have to see everything anew. */
static size_t
tell_class(struct mapper *m, struct view_class *cl, const struct item *v,
    size_t n, size_t *pairs)
{
	bool filter = class_has_destination(m->c, cl, m->rules), whole;
	struct mapper_node *mn;
	size_t left = 0;

	if (n == 0 && !filter && !cl->wanted && !m->all_wanted)
		return 0;
	cl->wanted = false;
	TAILQ_FOREACH (mn, &cl->nodes, by_class) {
		struct stream *s = mn->stream;

		if (s == NULL || !s->first_sent)
			continue;
		whole = s->need_view && *pairs < PAIRS_MAX;
		left += s->need_view && !whole;
		*pairs += whole ? m->c->model.nnodes : 0;
		s->need_filter |= filter;
		tell_stream(s, v, n, whole);
	}
	return left;
}

/* v holds n items, and room for as many. */
static void
tell_streams(struct mapper *m, struct item *v, size_t n)
{
	struct view_class *cl;
	size_t pairs = 0, left = 0;

	TAILQ_FOREACH (cl, &m->classes, entry)
		left += tell_class(
		    m, cl, v + n, pick_items(m, cl, v + n, v, n), &pairs);
	m->all_wanted = left > 0;
}

void
batch_run(void *arg)
{
	struct mapper *m = arg;
	struct coordd *c = m->c;
	struct item *v;
	size_t n;

	m->last = loop_now(c->loop);
	if (m->routes_changed)
		view_elect(c);
	m->routes_changed = false;
	batch_save(c);
	v = take_changes(c, &n);
	if (v != NULL) {
		metric_add(&c->stats.batches, n > 0);
		tell_streams(m, v, n);
		for (size_t i = 0; i < n; i++) {
			v[i].node->mapped->changes = 0;
			v[i].node->mapped->moved = false;
		}
		memset(
		    m->rules, 0, policy_words(c->policy) * sizeof(*m->rules));
	}
	free(v);
	write_recent_clear(m);
	if (v == NULL || m->all_wanted)
		batch_schedule(m);
}

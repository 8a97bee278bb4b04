/* ops_policy: the policy: where it comes from, and putting it in force. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/mapper.h"
#include "coordd/ops.h"
#include "run/file.h"

#define POLICY_MAX  (1 << 20)
#define STORED_NAME "policy"
#define DATABASE    "database"

static bool
user_exists(void *arg, const char *name)
{
	const struct coordd *c = arg;

	return model_user_named(&c->model, name) != NULL;
}

bool
ops_world(struct coordd *c, struct policy_world *w)
{
	const struct policy_subject **v;
	const struct node *n;
	uint32_t at = 0;
	size_t count = 0;

	*w = (struct policy_world){.user_exists = user_exists, .arg = c};
	v = calloc(c->model.nnodes + 1, sizeof(struct policy_subject *));
	if (v == NULL)
		return false;
	while ((n = model_next(&c->model, &at)) != NULL)
		v[count++] = &n->subject;
	w->v = v;
	w->n = count;
	return true;
}

void
ops_world_free(struct policy_world *w)
{
	free((void *)(uintptr_t)w->v);
	w->v = NULL;
	w->n = 0;
}

static bool
run_tests(struct coordd *c, const struct policy *p, struct ops_result *r)
{
	char error[POLICY_ERROR_MAX];
	struct policy_world w;
	bool good;

	if (!ops_world(c, &w))
		return ops_no_memory(r);
	good = policy_test(p, &w, error) || ops_fail(r, 400, "%s", error);
	ops_world_free(&w);
	return good;
}

static struct policy *
parse(const char *text, size_t n, struct ops_result *r)
{
	char error[POLICY_ERROR_MAX];
	struct policy *p;

	if (n > POLICY_MAX) {
		ops_fail(r, 400, "policy: %zu bytes; at most %d are possible",
		    n, POLICY_MAX);
		return NULL;
	}
	if ((p = policy_parse(text, n, error)) == NULL)
		ops_fail(r, 400, "%s", error);
	return p;
}

bool
ops_policy_check(
    struct coordd *c, const char *text, size_t n, struct ops_result *r)
{
	struct policy *p = parse(text, n, r);
	bool good = p != NULL && run_tests(c, p, r) && ops_done(r);

	policy_free(p);
	return good;
}

/* The nodes of which the new policy approves more routes. */
struct edits {
	struct ops_edit *v;
	size_t n, cap;
};

static void
edits_free(struct edits *s)
{
	for (size_t i = 0; i < s->n; i++)
		ops_edit_end(&s->v[i]);
	free(s->v);
}

static bool
edits_add(struct edits *s, const struct ops_edit *e)
{
	size_t cap = s->cap == 0 ? 16 : s->cap * 2;
	struct ops_edit *grown;

	if (s->n == s->cap) {
		grown = reallocarray(s->v, cap, sizeof(*grown));
		if (grown == NULL)
			return false;
		s->v = grown;
		s->cap = cap;
	}
	s->v[s->n++] = *e;
	return true;
}

static bool
edit_routes(struct edits *s, const struct policy *p, struct node *n,
    struct ops_result *r)
{
	struct ops_edit e;
	bool changed = false;

	if (n->nroutes == n->nadvertised)
		return true;
	if (!ops_edit_begin(&e, n, r))
		return false;
	if (ops_auto_approve(p, &e.next, &changed) &&
	    (!changed || edits_add(s, &e))) {
		if (!changed)
			ops_edit_end(&e);
		return true;
	}
	ops_edit_end(&e);
	return ops_no_memory(r);
}

/* Where a policy comes from, and what is done with it. */
struct origin {
	const char *from; /* as in c->policy_from */
	const char *what; /* for the audit log */
	bool store;
};

static bool
store_policy(struct coordd *c, const struct ops_who *who,
    const struct origin *o, const struct policy *p, const struct edits *s,
    struct ops_result *r)
{
	const char *text = policy_source(p);

	if (!ops_begin(c, r))
		return false;
	if (o->store &&
	    !ops_put(
		c, store_set(c->store, STORED_NAME, text, strlen(text)), r))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!ops_put(c, store_put_node(c->store, &s->v[i].next), r))
			return false;
	return ops_commit(c, who, o->what, o->from, r);
}

/* Takes p, also on failure. */
static bool
put_in_force(struct coordd *c, const struct ops_who *who,
    const struct origin *o, struct policy *p, struct ops_result *r)
{
	struct edits s = {0};
	struct policy *before = c->policy;
	struct node *n;
	uint32_t at = 0;
	bool good = true;

	while (good && (n = model_next(&c->model, &at)) != NULL)
		good = edit_routes(&s, p, n, r);
	good = good && store_policy(c, who, o, p, &s, r);
	if (good) {
		c->policy = p;
		c->policy_loaded = coordd_time();
		snprintf(c->policy_from, sizeof(c->policy_from), "%s", o->from);
		metric_add(&c->stats.policy_reloads, 1);
		/* While coordd starts there is none yet. */
		if (c->mapper != NULL)
			mapper_policy_changed(c);
		for (size_t i = 0; i < s.n; i++)
			(void)ops_edit_apply(c, &s.v[i]);
	}
	policy_free(good ? before : p);
	edits_free(&s);
	return good;
}

/*
 * Tests speak of nodes and users, which come and go. What is read at the start
 * has been in force before: better it with a failing test than no service.
 */
static bool
tests_allow(struct coordd *c, const struct policy *p, const char *from,
    struct ops_result *r)
{
	if (run_tests(c, p, r))
		return true;
	if (c->policy != NULL || r->status != 400)
		return false;
	log_warnx(
	    "policy (%s): in force although a test fails: %s", from, r->error);
	return true;
}

static bool
set_policy(struct coordd *c, const struct ops_who *who, const struct origin *o,
    const char *text, size_t n, struct ops_result *r)
{
	struct policy *p = parse(text, n, r);

	if (p == NULL)
		return false;
	if (!tests_allow(c, p, o->from, r)) {
		policy_free(p);
		return false;
	}
	return put_in_force(c, who, o, p, r);
}

bool
ops_policy_set(struct coordd *c, const struct ops_who *who, const char *text,
    size_t n, const char *from, struct ops_result *r)
{
	const struct origin o = {
	    from, "policy set", strcmp(from, DATABASE) == 0};

	if (o.store && c->conf->policy[0] != '\0')
		return ops_fail(r, 409,
		    "the policy comes from the file %s: change that, then "
		    "reload",
		    c->conf->policy);
	return set_policy(c, who, &o, text, n, r);
}

static bool
load_file(struct coordd *c, const struct ops_who *who, struct ops_result *r)
{
	const char *path = c->conf->policy;
	char from[sizeof(c->policy_from)];
	const struct origin o = {from, "policy load", false};
	char *text = malloc(POLICY_MAX);
	struct ops_result inner;
	ssize_t n;
	bool good;

	if (text == NULL)
		return ops_no_memory(r);
	if ((n = file_read(path, text, POLICY_MAX)) == -1) {
		ops_fail(r, 400, "policy %s: %s", path,
		    errno == EMSGSIZE ? "larger than 1 MiB" : strerror(errno));
		free(text);
		return false;
	}
	snprintf(from, sizeof(from), "file:%s", path);
	/* No text is no policy, which opens everything: not what who names a
	 * file means, but what an editor or a full disk leaves of it. */
	if (n == 0)
		good = ops_fail(&inner, 400,
		    "it is empty; to let everybody reach everybody write {}");
	else
		good = set_policy(c, who, &o, text, (size_t)n, &inner);
	free(text);
	return good
	    ? ops_done(r)
	    : ops_fail(r, inner.status, "policy %s: %s", path, inner.error);
}

static bool
load_stored(struct coordd *c, const struct ops_who *who, struct ops_result *r)
{
	void *text = NULL;
	long n = store_get(c->store, STORED_NAME, &text);
	const struct origin o = {
	    n == -1 ? "default" : DATABASE, "policy load", false};
	bool good;

	if (n == -1 && store_error(c->store)[0] != '\0')
		return ops_fail(r, 500, "%s", store_error(c->store));
	good = set_policy(
	    c, who, &o, n == -1 ? "" : text, n == -1 ? 0 : (size_t)n, r);
	free(text);
	return good;
}

bool
ops_policy_load(
    struct coordd *c, const struct ops_who *who, struct ops_result *r)
{
	if (c->conf->policy[0] != '\0')
		return load_file(c, who, r);
	return load_stored(c, who, r);
}

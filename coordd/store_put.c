/* store_put: records become rows; named values; the audit log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/model.h"
#include "coordd/store_sqlite.h"
#include "pure/text.h"

#define WHAT_MAX 64

/* The values of a statement, one after the other. */
struct values {
	sqlite3_stmt *st;
	int last; /* parameter */
	const char *bad; /* why one of them cannot be stored */
};

static void
note(struct values *v, int result)
{
	if (result != SQLITE_OK && v->bad == NULL)
		v->bad = sqlite3_errstr(result);
}

static void
add_int(struct values *v, int64_t value)
{
	note(v, sqlite3_bind_int64(v->st, ++v->last, value));
}

/* As the store gives an id to what has none. */
static void
add_id(struct values *v, uint64_t id)
{
	if (id != 0)
		add_int(v, (int64_t)id);
	else
		v->last++;
}

/* Lent until the statement ran, as below. */
static void
add_text_or_null(struct values *v, const char *value)
{
	v->last++;
	if (value != NULL)
		note(v,
		    sqlite3_bind_text(
			v->st, v->last, value, -1, SQLITE_STATIC));
}

static void
add_text(struct values *v, const char *value)
{
	add_text_or_null(v, value == NULL ? "" : value);
}

static void
add_blob(struct values *v, const void *p, size_t n)
{
	note(v,
	    sqlite3_bind_blob64(
		v->st, ++v->last, n == 0 ? "" : p, n, SQLITE_STATIC));
}

static void
add_key(struct values *v, const struct key *k)
{
	add_blob(v, k->b, sizeof(k->b));
}

/* NULL for an address that is not set, so that there may be many. */
static void
add_ip(struct values *v, const struct ip *a)
{
	char text[IP_TEXT_MAX];

	v->last++;
	if (sodium_is_zero(a->b, sizeof(a->b)) != 1)
		note(v,
		    sqlite3_bind_text(v->st, v->last, ip_text(a, text), -1,
			SQLITE_TRANSIENT));
}

/* Takes the text. */
static void
add_list(struct values *v, struct text *t)
{
	char *list = text_take(t);

	v->last++;
	if (list == NULL)
		note(v, SQLITE_NOMEM);
	else
		note(v, sqlite3_bind_text(v->st, v->last, list, -1, free));
}

static void
add_tags(struct values *v, char *const *tags, size_t n)
{
	struct text t = TEXT_EMPTY;

	for (size_t i = 0; i < n; i++) {
		if (!tag_ok(tags[i]) && v->bad == NULL)
			v->bad = "a tag is malformed";
		if (i > 0)
			text_char(&t, ' ');
		text_str(&t, tags[i]);
	}
	add_list(v, &t);
}

static void
add_prefixes(struct values *v, const struct ip_prefix *prefixes, size_t n)
{
	char text[IP_PREFIX_TEXT_MAX];
	struct text t = TEXT_EMPTY;

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_char(&t, ' ');
		text_str(&t, ip_prefix_text(&prefixes[i], text));
	}
	add_list(v, &t);
}

static const char *
describe(
    char what[static WHAT_MAX], const char *verb, const char *noun, uint64_t id)
{
	if (id == 0)
		snprintf(what, WHAT_MAX, "cannot %s a new %s", verb, noun);
	else
		snprintf(what, WHAT_MAX, "cannot %s %s %llu", verb, noun,
		    (unsigned long long)id);
	return what;
}

/* Runs a change with its values; a new record gets its id. */
static int
finish(struct store *s, struct values *v, const char *what, uint64_t *id)
{
	char why[WHAT_MAX * 2];

	if (v->bad != NULL) {
		snprintf(why, sizeof(why), "%s: %s", what, v->bad);
		return store_change_drop(s, v->st, why);
	}
	if (store_change_run(s, v->st, what) == -1)
		return -1;
	if (id != NULL && *id == 0)
		*id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	return 0;
}

int
store_put_user(struct store *s, struct user *u)
{
	struct values v = {.st = store_change(s, STORE_PUT_USER, true)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	add_id(&v, u->id);
	add_text_or_null(&v, u->name);
	add_text(&v, u->display_name);
	add_int(&v, u->created);
	return finish(s, &v, describe(what, "write", "user", u->id), &u->id);
}

int
store_put_authkey(struct store *s, struct authkey *k)
{
	struct values v = {.st = store_change(s, STORE_PUT_AUTHKEY, true)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	add_id(&v, k->id);
	add_int(&v, (int64_t)k->user->id);
	add_blob(&v, k->hash, sizeof(k->hash));
	add_text(&v, k->prefix);
	add_int(&v, k->reusable);
	add_int(&v, k->ephemeral);
	add_int(&v, k->used);
	add_int(&v, k->created);
	add_int(&v, k->expires);
	add_tags(&v, k->tags, k->ntags);
	return finish(
	    s, &v, describe(what, "write", "pre-auth key", k->id), &k->id);
}

int
store_put_node(struct store *s, struct node *n)
{
	struct values v = {.st = store_change(s, STORE_PUT_NODE, true)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	add_id(&v, n->id);
	add_int(&v, (int64_t)n->user->id);
	add_key(&v, &n->machine);
	add_key(&v, &n->node_key);
	add_key(&v, &n->disco);
	add_text(&v, n->hostname);
	add_text_or_null(&v, n->label);
	add_int(&v, n->label_set);
	add_ip(&v, &n->ip4);
	add_ip(&v, &n->ip6);
	add_int(&v, n->created);
	add_int(&v, n->expiry);
	add_int(&v, n->last_seen);
	add_int(&v, n->ephemeral);
	add_int(&v, n->authorized);
	add_int(&v, (int64_t)n->authkey_id);
	add_tags(&v, n->tags, n->ntags);
	add_text_or_null(&v, n->hostinfo);
	add_text_or_null(&v, n->endpoints);
	add_int(&v, n->home_derp);
	add_int(&v, n->capver);
	add_prefixes(&v, n->advertised, n->nadvertised);
	add_prefixes(&v, n->approved, n->napproved);
	return finish(s, &v, describe(what, "write", "node", n->id), &n->id);
}

/* What a change of one row must have found. */
static int
must_exist(struct store *s, const char *what)
{
	if (sqlite3_changes(s->db) > 0)
		return 0;
	s->spoiled = true;
	return store_refuse(s, "%s: it is not in the database", what);
}

int
store_put_node_state(struct store *s, const struct node *n)
{
	struct values v = {.st = store_change(s, STORE_PUT_STATE, false)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	describe(what, "write", "node", n->id);
	add_key(&v, &n->disco);
	add_text_or_null(&v, n->endpoints);
	add_int(&v, n->home_derp);
	add_text_or_null(&v, n->hostinfo);
	add_int(&v, n->capver);
	add_int(&v, n->last_seen);
	add_int(&v, (int64_t)n->id);
	if (finish(s, &v, what, NULL) == -1)
		return -1;
	return must_exist(s, what);
}

static int
delete_row(
    struct store *s, enum store_statement which, const char *noun, uint64_t id)
{
	struct values v = {.st = store_change(s, which, true)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	describe(what, "delete", noun, id);
	add_int(&v, (int64_t)id);
	if (finish(s, &v, what, NULL) == -1)
		return -1;
	return must_exist(s, what);
}

int
store_delete_user(struct store *s, const struct user *u)
{
	return delete_row(s, STORE_DELETE_USER, "user", u->id);
}

int
store_delete_authkey(struct store *s, const struct authkey *k)
{
	return delete_row(s, STORE_DELETE_AUTHKEY, "pre-auth key", k->id);
}

int
store_delete_node(struct store *s, const struct node *n)
{
	return delete_row(s, STORE_DELETE_NODE, "node", n->id);
}

int
store_set(struct store *s, const char *name, const void *value, size_t n)
{
	struct values v = {.st = store_change(s, STORE_SET, true)};
	char what[WHAT_MAX];

	if (v.st == NULL)
		return -1;
	snprintf(what, sizeof(what), "cannot write %s", name);
	add_text(&v, name);
	add_blob(&v, value, n);
	return finish(s, &v, what, NULL);
}

/* The value of the row on which a statement stands, as a copy. */
static long
copy_value(struct store *s, sqlite3_stmt *st, const char *name, void **value)
{
	size_t n = (size_t)sqlite3_column_bytes(st, 0);
	const void *p = sqlite3_column_blob(st, 0);

	/* One byte more, so that a text can be ended and nothing is empty. */
	if ((p == NULL && n > 0) || (*value = calloc(1, n + 1)) == NULL)
		return store_refuse(s, "cannot read %s: out of memory", name);
	if (n > 0)
		memcpy(*value, p, n);
	return (long)n;
}

long
store_get(struct store *s, const char *name, void **value)
{
	sqlite3_stmt *st = store_statement(s, STORE_GET);
	char what[WHAT_MAX];
	long n = -1;
	int r;

	if (st == NULL)
		return -1;
	snprintf(what, sizeof(what), "cannot read %s", name);
	r = sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		n = copy_value(s, st, name, value);
	else if (r != SQLITE_DONE)
		(void)store_fail(s, r, what);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return n;
}

int
store_audit(struct store *s, int64_t when, const char *who, const char *what,
    const char *detail)
{
	struct values v = {.st = store_change(s, STORE_AUDIT, true)};

	if (v.st == NULL)
		return -1;
	add_int(&v, when);
	add_text(&v, who);
	add_text(&v, what);
	add_text(&v, detail);
	return finish(s, &v, "cannot write the audit log", NULL);
}

static const char *
text_of(sqlite3_stmt *st, int column)
{
	const void *p = sqlite3_column_text(st, column);

	return p == NULL ? "" : p;
}

int
store_audit_read(struct store *s, size_t limit, store_audit_fn *fn, void *arg)
{
	sqlite3_stmt *st = store_statement(s, STORE_AUDIT_READ);
	int r;

	if (st == NULL)
		return -1;
	if (limit > STORE_AUDIT_KEEP)
		limit = STORE_AUDIT_KEEP;
	r = sqlite3_bind_int64(st, 1, (int64_t)limit);
	if (r == SQLITE_OK)
		while ((r = sqlite3_step(st)) == SQLITE_ROW)
			fn(arg, sqlite3_column_int64(st, 0), text_of(st, 1),
			    text_of(st, 2), text_of(st, 3));
	if (r != SQLITE_DONE)
		(void)store_fail(s, r, "cannot read the audit log");
	(void)sqlite3_reset(st);
	return r == SQLITE_DONE ? 0 : -1;
}

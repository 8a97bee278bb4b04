/*
 * store_load: rows become records of a model. What no coordd would have
 * written is refused with its row and column, never skipped: a node that is
 * silently left out would lose its address and name to the next one.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/model.h"
#include "coordd/store_sqlite.h"

/* A row that is being read, column after column. */
struct row {
	sqlite3_stmt *st;
	int next; /* column */
	const char *bad; /* the first one that is wrong, by name */
	const char *why;
};

static void
spoil(struct row *r, const char *why)
{
	if (r->bad != NULL)
		return;
	r->bad = sqlite3_column_name(r->st, r->next - 1);
	if (r->bad == NULL)
		r->bad = "?";
	r->why = why;
}

static int64_t
take_int(struct row *r, int64_t min, int64_t max)
{
	int64_t v = sqlite3_column_int64(r->st, r->next++);

	if (v < min || v > max)
		spoil(r, "out of range");
	return v;
}

static uint64_t
take_id(struct row *r)
{
	return (uint64_t)take_int(r, 1, INT64_MAX);
}

static int64_t
take_time(struct row *r)
{
	return take_int(r, INT64_MIN, INT64_MAX);
}

static bool
take_bool(struct row *r)
{
	return take_int(r, 0, 1) != 0;
}

/* Lent until the next row; NULL for NULL. */
static const char *
take_text(struct row *r)
{
	const void *p = sqlite3_column_text(r->st, r->next);
	size_t n = (size_t)sqlite3_column_bytes(r->st, r->next);
	bool null = sqlite3_column_type(r->st, r->next++) == SQLITE_NULL;

	if (p == NULL && !null)
		spoil(r, "out of memory");
	else if (p != NULL && strlen(p) != n)
		spoil(r, "holds a zero byte");
	return p;
}

static void
take_string_or_null(struct row *r, char **field)
{
	const char *text = take_text(r);

	if (!model_set_text(field, text))
		spoil(r, "out of memory");
}

static void
take_string(struct row *r, char **field)
{
	take_string_or_null(r, field);
	if (*field == NULL)
		spoil(r, "missing");
}

static void
take_blob(struct row *r, void *p, size_t n)
{
	const void *from = sqlite3_column_blob(r->st, r->next);
	int have = sqlite3_column_bytes(r->st, r->next++);

	if (from == NULL || (size_t)have != n)
		spoil(r, "not of the right length");
	else
		memcpy(p, from, n);
}

static void
take_ip(struct row *r, struct ip *a, bool v4)
{
	const char *text = take_text(r);

	if (text != NULL &&
	    (!ip_parse(a, text, strlen(text)) || ip_is_v4(a) != v4))
		spoil(r, "no address of this family");
}

/* Words of a list, at most; 0 for "". */
static size_t
count_words(const char *text)
{
	size_t n = *text != '\0';

	for (; (text = strchr(text, ' ')) != NULL; text++)
		n++;
	return n;
}

/* Calls set with the tags of a list, which is cut up in a copy. */
static bool
set_tags(void *record, const char *text,
    bool (*set)(void *, const char *const *, size_t))
{
	size_t n = count_words(text), i = 0;
	char *copy = strdup(text), *rest = copy;
	const char **v = calloc(n + 1, sizeof(*v));
	bool good = copy != NULL && v != NULL;

	while (good && i < n)
		v[i++] = strsep(&rest, " ");
	good = good && set(record, v, n);
	free(v);
	free(copy);
	return good;
}

static bool
set_node_tags(void *n, const char *const *tags, size_t count)
{
	return node_set_tags(n, tags, count);
}

static bool
set_authkey_tags(void *k, const char *const *tags, size_t count)
{
	return authkey_set_tags(k, tags, count);
}

static void
take_tags(struct row *r, void *record,
    bool (*set)(void *, const char *const *, size_t), char **const *tags)
{
	const char *text = take_text(r);

	if (text == NULL || !set_tags(record, text, set)) {
		spoil(r, "out of memory");
		return;
	}
	for (size_t i = 0; *tags != NULL && (*tags)[i] != NULL; i++)
		if (!tag_ok((*tags)[i]))
			spoil(r, "a tag is malformed");
}

static void
take_prefixes(struct row *r, struct node *n,
    bool (*set)(struct node *, const struct ip_prefix *, size_t))
{
	const char *text = take_text(r);
	size_t most = text == NULL ? 0 : count_words(text), count = 0;
	struct ip_prefix *v = calloc(most + 1, sizeof(*v));

	while (v != NULL && count < most) {
		size_t len = strcspn(text, " ");

		if (!ip_prefix_parse(&v[count++], text, len))
			spoil(r, "a prefix is malformed");
		text += len + 1;
	}
	if (v == NULL || !set(n, v, count))
		spoil(r, "out of memory");
	free(v);
}

/* Takes the row into the model, or says why not. */
typedef void take_row_fn(struct row *r, struct model *m);

static void
take_user(struct row *r, struct model *m)
{
	struct user *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		spoil(r, "out of memory");
		return;
	}
	u->id = take_id(r);
	take_string(r, &u->name);
	take_string(r, &u->display_name);
	u->created = take_time(r);
	if (r->bad == NULL)
		model_add_user(m, u);
	else
		user_free(u);
}

static struct user *
take_owner(struct row *r, const struct model *m)
{
	struct user *u = model_user(m, take_id(r));

	if (u == NULL)
		spoil(r, "there is no such user");
	return u;
}

static void
take_authkey(struct row *r, struct model *m)
{
	struct authkey *k = calloc(1, sizeof(*k));
	const char *prefix;

	if (k == NULL) {
		spoil(r, "out of memory");
		return;
	}
	k->id = take_id(r);
	k->user = take_owner(r, m);
	take_blob(r, k->hash, sizeof(k->hash));
	prefix = take_text(r);
	if (prefix == NULL || strlen(prefix) >= sizeof(k->prefix))
		spoil(r, "too long");
	else
		memcpy(k->prefix, prefix, strlen(prefix));
	k->reusable = take_bool(r);
	k->ephemeral = take_bool(r);
	k->used = take_bool(r);
	k->created = take_time(r);
	k->expires = take_time(r);
	take_tags(r, k, set_authkey_tags, &k->tags);
	if (r->bad == NULL)
		model_add_authkey(m, k);
	else
		authkey_free(k);
}

static void
take_node(struct row *r, struct model *m)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		spoil(r, "out of memory");
		return;
	}
	n->id = take_id(r);
	n->user = take_owner(r, m);
	take_blob(r, n->machine.b, sizeof(n->machine.b));
	take_blob(r, n->node_key.b, sizeof(n->node_key.b));
	take_blob(r, n->disco.b, sizeof(n->disco.b));
	take_string(r, &n->hostname);
	take_string(r, &n->label);
	n->label_set = take_bool(r);
	take_ip(r, &n->ip4, true);
	take_ip(r, &n->ip6, false);
	n->created = take_time(r);
	n->expiry = take_time(r);
	n->last_seen = take_time(r);
	n->ephemeral = take_bool(r);
	n->authorized = take_bool(r);
	n->authkey_id = (uint64_t)take_int(r, 0, INT64_MAX);
	take_tags(r, n, set_node_tags, &n->tags);
	take_string_or_null(r, &n->hostinfo);
	take_string_or_null(r, &n->endpoints);
	n->home_derp = (int)take_int(r, INT_MIN, INT_MAX);
	n->capver = (int)take_int(r, INT_MIN, INT_MAX);
	take_prefixes(r, n, node_set_advertised);
	take_prefixes(r, n, node_set_approved);
	if (r->bad == NULL && model_add_node(m, n))
		return;
	if (r->bad == NULL) {
		r->bad = "id";
		r->why = "out of memory, or another node has its key or label";
	}
	node_free(n);
}

/* In the order of their ids, which is that in which they came: clocks jump. */
static const struct {
	const char *table, *sql;
	take_row_fn *take;
} tables[] = {
    {"users", "SELECT id, name, display_name, created FROM users ORDER BY id",
	take_user},
    {"authkeys",
	"SELECT id, user, hash, prefix, reusable, ephemeral, used, created,"
	" expires, tags FROM authkeys ORDER BY id",
	take_authkey},
    {"nodes",
	"SELECT id, user, machine, node_key, disco, hostname, label,"
	" label_set, ip4, ip6, created, expiry, last_seen, ephemeral,"
	" authorized, authkey, tags, hostinfo, endpoints, home_derp, capver,"
	" advertised, approved FROM nodes ORDER BY id",
	take_node},
};

static int
load_table(struct store *s, struct model *m, size_t i)
{
	sqlite3_stmt *st;
	int result = sqlite3_prepare_v2(s->db, tables[i].sql, -1, &st, NULL);

	if (result == SQLITE_OK)
		while ((result = sqlite3_step(st)) == SQLITE_ROW) {
			struct row r = {.st = st};

			tables[i].take(&r, m);
			if (r.bad == NULL)
				continue;
			(void)store_refuse(s,
			    "table %s, id %lld, column %s: %s", tables[i].table,
			    (long long)sqlite3_column_int64(st, 0), r.bad,
			    r.why);
			break;
		}
	if (result != SQLITE_DONE && result != SQLITE_ROW)
		(void)store_fail(s, result, "cannot read it");
	sqlite3_finalize(st);
	return result == SQLITE_DONE ? 0 : -1;
}

int
store_load(struct store *s, struct model *m)
{
	s->error[0] = '\0';
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		if (load_table(s, m, i) == -1)
			return -1;
	/* From now on hardly anything is read. */
	(void)sqlite3_db_release_memory(s->db);
	return 0;
}

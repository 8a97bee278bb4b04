/* store: what was put is what is loaded; transactions; older schemas. */
#include <sys/syscall.h>

#include "tests/unit/store_help.h"

static char dir[64];

/* SQLite calls these instead of the C library's. */
static unsigned syncs;

int
fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

/* Whether the disk was waited for since the last time it was asked. */
static bool
has_synced(void)
{
	bool was = syncs > 0;

	syncs = 0;
	return was;
}

static void
test_new(void)
{
	struct store *s = must_open(dir);
	struct model m;
	struct stat st;
	char path[HELP_PATH];
	void *value = NULL;

	ok(stat(in_folder(dir, "coordd.db", path), &st) == 0 &&
		(st.st_mode & 07777) == 0600,
	    "the database is for its owner alone");
	must_load(s, &m);
	ok(m.nnodes == 0 && TAILQ_EMPTY(&m.users), "and empty");
	ok(store_get(s, "policy", &value) == -1 && value == NULL,
	    "no value is set");
	eq_str(store_error(s), "", "which is no error");
	model_clear(&m);
	store_close(s);
	store_close(NULL);
}

static void
test_users(void)
{
	struct user a = make_user("anna@campus"), b = make_user("bots");
	struct store *s = must_open(dir);
	struct model m;

	(void)model_set_text(&a.display_name, "\xff not UTF-8 \xc0\x80 'x");
	ok(store_put_user(s, &a) == 0 && store_put_user(s, &b) == 0 &&
		a.id != 0 && b.id > a.id,
	    "users get ids");
	b.id = 0;
	ok(store_put_user(s, &b) == -1 && b.id == 0, "a name is unique");
	ok(strstr(store_error(s), "users.name") != NULL &&
		strstr(store_error(s), "coordd.db") != NULL &&
		strchr(store_error(s), '\n') == NULL,
	    "which one line says");
	(void)model_set_text(&a.name, "anna");
	ok(store_put_user(s, &a) == 0, "renamed");
	store_close(s);

	s = must_open(dir);
	must_load(s, &m);
	ok(model_user_named(&m, "anna") == model_user(&m, a.id) &&
		model_user_named(&m, "anna@campus") == NULL,
	    "under its new name");
	ok(strcmp(model_user(&m, a.id)->display_name, a.display_name) == 0 &&
		model_user(&m, a.id)->created == a.created,
	    "with everything, byte by byte");
	b.id = model_user_named(&m, "bots")->id;
	model_clear(&m);
	ok(store_delete_user(s, &a) == 0 && store_delete_user(s, &b) == 0,
	    "deleted");
	ok(store_delete_user(s, &b) == -1, "but not twice");
	store_close(s);
	s = must_open(dir);
	a.id = 0;
	ok(store_put_user(s, &a) == 0 && a.id > b.id,
	    "an id is not given twice, nor after a restart");
	(void)store_delete_user(s, &a);
	store_close(s);
	drop_user(&a);
	drop_user(&b);
}

static void
test_authkeys(void)
{
	static const char *const tags[] = {"tag:b", "tag:a"};
	struct user u = make_user("keys");
	struct store *s = must_open(dir);
	struct authkey k = {.prefix = "0123456789abcde",
	    .reusable = true,
	    .ephemeral = true,
	    .created = 5,
	    .expires = INT64_MIN};
	struct authkey bare = {.user = &u};
	struct authkey *got;
	struct model m;

	(void)store_put_user(s, &u);
	k.user = &u;
	fill(k.hash, sizeof(k.hash), 3);
	(void)authkey_set_tags(&k, tags, 2);
	ok(store_put_authkey(s, &k) == 0 && store_put_authkey(s, &bare) == 0 &&
		k.id != 0 && bare.id > k.id,
	    "keys get ids");
	k.used = true;
	ok(store_put_authkey(s, &k) == 0, "and are replaced");
	store_close(s);

	s = must_open(dir);
	must_load(s, &m);
	got = model_authkey_hashed(&m, k.hash);
	ok(got != NULL && got->id == k.id && got->user->id == u.id &&
		strcmp(got->prefix, k.prefix) == 0 && got->reusable &&
		got->ephemeral && got->used && got->created == 5 &&
		got->expires == INT64_MIN &&
		same_tags(got->tags, got->ntags, k.tags, k.ntags),
	    "a key with everything");
	got = model_authkey(&m, bare.id);
	ok(got != NULL && !got->reusable && !got->ephemeral && !got->used &&
		got->tags == NULL && got->prefix[0] == '\0',
	    "and one with nothing");
	model_clear(&m);
	ok(store_delete_authkey(s, &bare) == 0, "deleted");
	ok(store_delete_user(s, &u) == 0, "a user's keys go with it");
	must_load(s, &m);
	ok(TAILQ_EMPTY(&m.authkeys), "all of them");
	model_clear(&m);
	k.id = 0;
	ok(store_put_authkey(s, &k) == -1, "a key needs a user that is there");
	(void)authkey_set_tags(&k, NULL, 0);
	store_close(s);
	drop_user(&u);
}

static void
test_nodes(void)
{
	static const char *const bad_tag[] = {"tag:with space"};
	struct user u = make_user("nodes"), v = make_user("other");
	struct store *s = must_open(dir);
	struct node *bare, *full, *many;
	struct model m;

	(void)store_put_user(s, &u);
	(void)store_put_user(s, &v);
	bare = make_node(1, &u);
	full = make_full_node(2, &u, 3);
	many = make_full_node(3, &v, 1000);
	memset(&bare->ip4, 0, sizeof(bare->ip4));
	memset(&bare->ip6, 0, sizeof(bare->ip6));
	(void)model_set_text(&bare->hostname, "");
	ok(store_put_node(s, bare) == 0 && store_put_node(s, full) == 0 &&
		store_put_node(s, many) == 0 && bare->id < full->id &&
		full->id < many->id,
	    "nodes get ids");
	store_close(s);

	s = must_open(dir);
	must_load(s, &m);
	ok(same_node(model_node(&m, bare->id), bare), "one with nothing");
	ok(same_node(model_node(&m, full->id), full), "one with everything");
	ok(same_node(model_node(&m, many->id), many) && many->nroutes == 1001,
	    "one with 1002 routes");
	ok(model_user(&m, u.id)->nodes == 2 && model_user(&m, v.id)->nodes == 1,
	    "users know their nodes");
	model_clear(&m);

	ok(store_delete_user(s, &u) == -1, "an owner stays");
	full->user = &v;
	(void)node_set_tags(full, NULL, 0);
	(void)model_set_text(&full->hostinfo, NULL);
	(void)node_set_advertised(full, NULL, 0);
	full->expiry = 12;
	full->node_key.b[9] ^= 1;
	ok(store_put_node(s, full) == 0, "replaced by less");
	(void)node_set_tags(many, bad_tag, 1);
	ok(store_put_node(s, many) == -1 &&
		strstr(store_error(s), "tag") != NULL,
	    "what could not be loaded is not stored");
	(void)model_set_text(&bare->label, "robot-2");
	ok(store_put_node(s, bare) == -1 &&
		strstr(store_error(s), "nodes.label") != NULL,
	    "labels are unique");
	ok(store_delete_node(s, bare) == 0, "deleted");
	ok(store_delete_node(s, bare) == -1, "but not twice");
	store_close(s);

	s = must_open(dir);
	must_load(s, &m);
	ok(m.nnodes == 2 && same_node(model_node(&m, full->id), full),
	    "all of it is there after a restart");
	model_clear(&m);
	(void)store_delete_node(s, many);
	bare->id = 0;
	ok(store_put_node(s, bare) == -1 && bare->id == 0, "still refused");
	(void)model_set_text(&bare->label, "robot-1");
	ok(store_put_node(s, bare) == 0 && bare->id > many->id,
	    "ids are not given twice");
	(void)store_delete_node(s, full);
	(void)store_delete_node(s, bare);
	(void)store_delete_user(s, &u);
	(void)store_delete_user(s, &v);
	store_close(s);
	node_free(bare);
	node_free(full);
	node_free(many);
	drop_user(&u);
	drop_user(&v);
}

static void
test_transactions(void)
{
	struct user a = make_user("a"), b = make_user("b"), c = make_user("a");
	struct store *s = must_open(dir);

	ok(store_begin(s) == 0 && store_put_user(s, &a) == 0 &&
		store_put_user(s, &b) == 0 && store_commit(s) == 0 &&
		count_users(s) == 2,
	    "two are one");
	ok(store_begin(s) == 0 && store_delete_user(s, &a) == 0, "taken back");
	store_rollback(s);
	store_rollback(s);
	eq_int((int64_t)count_users(s), 2, "is as if never done");
	ok(store_commit(s) == -1, "nothing to commit");
	ok(store_begin(s) == 0, "begun");
	ok(store_begin(s) == -1, "but not twice");
	ok(store_delete_user(s, &b) == 0 && store_put_user(s, &c) == -1,
	    "a part fails");
	ok(store_put_user(s, &b) == -1 && store_set(s, "x", "", 0) == -1,
	    "then nothing more is taken");
	ok(store_commit(s) == -1 && count_users(s) == 2,
	    "nor is what came before");
	ok(store_delete_user(s, &b) == 0 && count_users(s) == 1,
	    "and then all is well again");
	ok(store_begin(s) == 0 && store_delete_user(s, &a) == 0,
	    "closed with an open one");
	store_close(s);
	s = must_open(dir);
	eq_int((int64_t)count_users(s), 1, "it is taken back, too");
	(void)store_delete_user(s, &a);
	store_close(s);
	drop_user(&a);
	drop_user(&b);
	drop_user(&c);
}

static void
change_state(struct node *n)
{
	fill(n->disco.b, KEY_LEN, (unsigned)n->id + 77);
	(void)model_set_text(&n->endpoints, "[]");
	(void)model_set_text(&n->hostinfo, NULL);
	n->home_derp = 1;
	n->capver = 7;
	n->last_seen = 99;
}

static void
test_states(void)
{
	enum { N = 1000 };
	struct user u = make_user("states");
	struct store *s = must_open(dir);
	struct node *nodes[N];
	struct model m;
	bool good = true;

	good &= store_begin(s) == 0 && store_put_user(s, &u) == 0;
	for (unsigned i = 0; i < N; i++) {
		nodes[i] = make_full_node(i, &u, i % 5);
		good &= store_put_node(s, nodes[i]) == 0;
	}
	ok(good && store_commit(s) == 0, "1000 nodes in one transaction");
	change_state(nodes[0]);
	ok(store_put_node_state(s, nodes[0]) == 0, "a state alone");
	good = store_begin_states(s) == 0;
	for (unsigned i = 1; i < N; i++) {
		change_state(nodes[i]);
		good &= store_put_node_state(s, nodes[i]) == 0;
	}
	ok(good && store_commit(s) == 0, "states of 999 nodes");
	ok(store_begin_states(s) == 0 && store_delete_user(s, &u) == -1 &&
		store_commit(s) == -1,
	    "nothing else is written without waiting for the disk");
	ok(store_begin(s) == 0 && store_put_node_state(s, nodes[0]) == 0 &&
		store_put_node(s, nodes[0]) == 0 && store_commit(s) == 0,
	    "states may be among other changes");
	nodes[0]->id += N;
	ok(store_put_node_state(s, nodes[0]) == -1, "of a node that is there");
	nodes[0]->id -= N;
	store_close(s);
	s = must_open(dir);
	must_load(s, &m);
	good = m.nnodes == N;
	for (unsigned i = 0; i < N; i++) {
		good &= same_node(model_node(&m, nodes[i]->id), nodes[i]);
		good &= store_delete_node(s, nodes[i]) == 0;
		node_free(nodes[i]);
	}
	ok(good, "all of them are there after a restart");
	model_clear(&m);
	(void)store_delete_user(s, &u);
	store_close(s);
	drop_user(&u);
}

static void
test_sync(void)
{
	struct user u = make_user("sync");
	struct store *s = must_open(dir);
	struct node *n = make_node(1, &u);

	(void)has_synced();
	ok(store_put_user(s, &u) == 0 && has_synced() &&
		store_put_node(s, n) == 0 && has_synced() &&
		store_set(s, "x", "y", 1) == 0 && has_synced(),
	    "what was put is on the disk");
	ok(store_put_node_state(s, n) == 0 && !has_synced(),
	    "a state does not wait for it");
	ok(store_begin_states(s) == 0 && store_put_node_state(s, n) == 0 &&
		store_commit(s) == 0 && !has_synced(),
	    "nor do many");
	ok(store_begin(s) == 0 && store_put_node_state(s, n) == 0 &&
		store_put_user(s, &u) == 0 && !has_synced() &&
		store_commit(s) == 0 && has_synced(),
	    "a transaction waits once, at its end");
	ok(store_delete_node(s, n) == 0 && has_synced() &&
		store_delete_user(s, &u) == 0 && has_synced(),
	    "what was deleted is off the disk");
	store_close(s);
	node_free(n);
	drop_user(&u);
}

static void
test_values(void)
{
	enum { BIG = 1 << 20 };
	uint8_t *big = malloc(BIG);
	struct store *s = must_open(dir);
	void *value;

	fill(big, BIG, 5);
	ok(store_set(s, "policy", big, BIG) == 0 &&
		store_set(s, "none", NULL, 0) == 0 &&
		store_set(s, "key", "first", 5) == 0 &&
		store_set(s, "key", "s\0x", 3) == 0,
	    "values are set, and replaced");
	store_close(s);
	s = must_open(dir);
	ok(store_get(s, "policy", &value) == BIG &&
		memcmp(value, big, BIG) == 0,
	    "a large one");
	free(value);
	ok(store_get(s, "none", &value) == 0 && value != NULL, "an empty one");
	free(value);
	ok(store_get(s, "key", &value) == 3 && memcmp(value, "s\0x", 4) == 0,
	    "one with a zero, and a zero behind it");
	free(value);
	free(big);
	store_close(s);
}

struct audit {
	size_t n;
	int64_t first, last;
	char text[128];
};

static void
note_audit(void *arg, int64_t when, const char *who, const char *what,
    const char *detail)
{
	struct audit *a = arg;

	if (a->n++ == 0) {
		a->first = when;
		snprintf(
		    a->text, sizeof(a->text), "%s|%s|%s", who, what, detail);
	}
	a->last = when;
}

static void
test_audit(void)
{
	struct store *s = must_open(dir);
	struct audit a = {0};
	bool good;

	ok(store_audit(s, 2000, "uid 0", "user create", "anna") == 0 &&
		store_audit(s, 1000, "admin page", "user delete", "\xff'") == 0,
	    "two entries, between which the clock jumped back");
	ok(store_audit_read(s, 100, note_audit, &a) == 0 && a.n == 2 &&
		a.first == 1000 && a.last == 2000,
	    "the last written comes first");
	eq_str(a.text, "admin page|user delete|\xff'", "with all its parts");
	a = (struct audit){0};
	ok(store_audit_read(s, 1, note_audit, &a) == 0 && a.n == 1,
	    "no more than asked for");
	good = store_begin(s) == 0;
	for (int i = 0; i < STORE_AUDIT_KEEP; i++)
		good &= store_audit(s, -i, "x", "y", "z") == 0;
	good &= store_commit(s) == 0;
	a = (struct audit){0};
	ok(good && store_audit_read(s, SIZE_MAX, note_audit, &a) == 0 &&
		a.n == STORE_AUDIT_KEEP && a.last == 0,
	    "the oldest go, whatever the clock says");
	store_close(s);
}

/* The first schema, as its coordd made it, with a record of each kind. */
static const char schema_1[] =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL,"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE authkeys (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " hash BLOB NOT NULL UNIQUE, prefix TEXT NOT NULL,"
    " reusable INTEGER NOT NULL, ephemeral INTEGER NOT NULL,"
    " used INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, tags TEXT NOT NULL) STRICT;"
    "CREATE INDEX authkeys_user ON authkeys(user);"
    "CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user INTEGER NOT NULL REFERENCES users(id), machine BLOB NOT NULL,"
    " node_key BLOB NOT NULL UNIQUE, disco BLOB NOT NULL,"
    " hostname TEXT NOT NULL, label TEXT NOT NULL UNIQUE,"
    " label_set INTEGER NOT NULL, ip4 TEXT UNIQUE, ip6 TEXT UNIQUE,"
    " created INTEGER NOT NULL, expiry INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL, ephemeral INTEGER NOT NULL,"
    " authorized INTEGER NOT NULL, authkey INTEGER NOT NULL,"
    " tags TEXT NOT NULL, hostinfo TEXT, endpoints TEXT,"
    " home_derp INTEGER NOT NULL, capver INTEGER NOT NULL,"
    " advertised TEXT NOT NULL, approved TEXT NOT NULL) STRICT;"
    "CREATE INDEX nodes_user ON nodes(user);"
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
    " STRICT;"
    "INSERT INTO users VALUES (4, 'old', '', 1);"
    "INSERT INTO authkeys VALUES (5, 4, zeroblob(32), 'p', 1, 0, 0, 1, 2,"
    " 'tag:a tag:b');"
    "INSERT INTO nodes VALUES (6, 4, randomblob(32), randomblob(32),"
    " zeroblob(32), 'H', 'h', 0, '100.64.0.1', 'fd7a:115c:a1e0::1', 1, 0, 2,"
    " 0, 1, 5, 'tag:a', NULL, '[]', 1, 2, '10.0.0.0/8 ::/0', '::/0');"
    "INSERT INTO settings VALUES ('policy', x'7b7d');"
    "PRAGMA application_id=1668179042; PRAGMA user_version=1;";

static void
test_migration(void)
{
	char old[64], path[HELP_PATH];
	struct audit a = {0};
	struct model m;
	struct store *s;
	struct node *n;
	void *value;

	new_folder(old);
	ok(run_sql(old, schema_1), "a database of the first version");
	ok(store_verify(in_folder(old, "coordd.db", path), help_error),
	    "is sound as it is");
	s = must_open(old);
	must_load(s, &m);
	n = model_node(&m, 6);
	ok(n != NULL && strcmp(n->user->name, "old") == 0 && n->ntags == 1 &&
		n->nadvertised == 2 && n->nroutes == 1 &&
		model_authkey(&m, 5)->ntags == 2,
	    "its records are there");
	ok(store_get(s, "policy", &value) == 2, "and its values");
	free(value);
	ok(store_audit(s, 1, "x", "y", "z") == 0 &&
		store_audit_read(s, 9, note_audit, &a) == 0 && a.n == 1,
	    "and what came later works");
	model_clear(&m);
	store_close(s);
	s = must_open(old);
	store_close(s);
	ok(store_verify(path, help_error), "opened again");
	remove_folder(old);
}

int
main(void)
{
	new_folder(dir);
	test_new();
	test_users();
	test_authkeys();
	test_nodes();
	test_transactions();
	test_states();
	test_sync();
	test_values();
	test_audit();
	test_migration();
	remove_folder(dir);
	return tap_done();
}

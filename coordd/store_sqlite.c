/*
 * store_sqlite: the store on SQLite, in WAL mode: opening, statements and
 * transactions. It owns the connection; it knows nothing of records.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordd/store_sqlite.h"

/* Nobody else writes, so that a short WAL is enough. */
static const char settings[] = "PRAGMA foreign_keys=ON;"
			       "PRAGMA synchronous=FULL;"
			       "PRAGMA trusted_schema=OFF;"
			       "PRAGMA cell_size_check=ON;"
			       "PRAGMA mmap_size=0;"
			       "PRAGMA temp_store=MEMORY;"
			       "PRAGMA journal_size_limit=8388608;";

static const char *const statements[STORE_STATEMENTS] = {
    [STORE_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_COMMIT] = "COMMIT",
    [STORE_ROLLBACK] = "ROLLBACK",
    [STORE_PUT_USER] =
	"INSERT INTO users (id, name, display_name, created)"
	" VALUES (?, ?, ?, ?)"
	" ON CONFLICT (id) DO UPDATE SET name=excluded.name,"
	" display_name=excluded.display_name, created=excluded.created",
    [STORE_PUT_AUTHKEY] =
	"INSERT INTO authkeys (id, user, hash, prefix, reusable, ephemeral,"
	" used, created, expires, tags)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	" ON CONFLICT (id) DO UPDATE SET user=excluded.user,"
	" hash=excluded.hash, prefix=excluded.prefix,"
	" reusable=excluded.reusable, ephemeral=excluded.ephemeral,"
	" used=excluded.used, created=excluded.created,"
	" expires=excluded.expires, tags=excluded.tags",
    [STORE_PUT_NODE] =
	"INSERT INTO nodes (id, user, machine, node_key, disco, hostname,"
	" label, label_set, ip4, ip6, created, expiry, last_seen, ephemeral,"
	" authorized, authkey, tags, hostinfo, endpoints, home_derp, capver,"
	" advertised, approved)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
	" ?, ?, ?)"
	" ON CONFLICT (id) DO UPDATE SET user=excluded.user,"
	" machine=excluded.machine, node_key=excluded.node_key,"
	" disco=excluded.disco, hostname=excluded.hostname,"
	" label=excluded.label, label_set=excluded.label_set,"
	" ip4=excluded.ip4, ip6=excluded.ip6, created=excluded.created,"
	" expiry=excluded.expiry, last_seen=excluded.last_seen,"
	" ephemeral=excluded.ephemeral, authorized=excluded.authorized,"
	" authkey=excluded.authkey, tags=excluded.tags,"
	" hostinfo=excluded.hostinfo, endpoints=excluded.endpoints,"
	" home_derp=excluded.home_derp, capver=excluded.capver,"
	" advertised=excluded.advertised, approved=excluded.approved",
    [STORE_PUT_STATE] =
	"UPDATE nodes SET disco=?, endpoints=?, home_derp=?, hostinfo=?,"
	" capver=?, last_seen=? WHERE id=?",
    [STORE_DELETE_USER] = "DELETE FROM users WHERE id=?",
    [STORE_DELETE_AUTHKEY] = "DELETE FROM authkeys WHERE id=?",
    [STORE_DELETE_NODE] = "DELETE FROM nodes WHERE id=?",
    [STORE_SET] = "INSERT INTO settings (name, value) VALUES (?, ?)"
		  " ON CONFLICT (name) DO UPDATE SET value=excluded.value",
    [STORE_GET] = "SELECT value FROM settings WHERE name=?",
    [STORE_AUDIT] =
	"INSERT INTO audit (time, who, what, detail) VALUES (?, ?, ?, ?)",
    [STORE_AUDIT_READ] =
	"SELECT time, who, what, detail FROM audit ORDER BY id DESC LIMIT ?",
};

const char *
store_error(const struct store *s)
{
	return s->error;
}

int
store_refuse(struct store *s, const char *fmt, ...)
{
	char why[STORE_ERROR_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	for (char *p = why; (p = strchr(p, '\n')) != NULL;)
		*p = ' ';
	snprintf(
	    s->error, sizeof(s->error), STORE_PATH_FORMAT ": %s", s->path, why);
	return -1;
}

int
store_fail(struct store *s, int result, const char *what)
{
	const char *said = sqlite3_errmsg(s->db);
	int error = sqlite3_system_errno(s->db);

	switch (result & 0xff) {
	case SQLITE_FULL:
		return store_refuse(s, "%s: the disk is full", what);
	case SQLITE_NOTADB:
		return store_refuse(s,
		    "%s: this is no SQLite database, or its beginning is "
		    "damaged",
		    what);
	case SQLITE_CORRUPT:
		return store_refuse(s, STORE_DAMAGED, what, ": ", said);
	case SQLITE_BUSY:
		return store_refuse(s, "%s: another program holds it", what);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		if (error != 0)
			return store_refuse(
			    s, "%s: %s (%s)", what, said, strerror(error));
		break;
	default:
		break;
	}
	return store_refuse(s, "%s: %s", what, said);
}

int
store_exec(struct store *s, const char *sql, const char *what)
{
	int r = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : store_fail(s, r, what);
}

int
store_number(struct store *s, const char *sql, int64_t *value)
{
	sqlite3_stmt *st;
	int r = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (r == SQLITE_OK && (r = sqlite3_step(st)) == SQLITE_ROW)
		*value = sqlite3_column_int64(st, 0);
	if (r != SQLITE_ROW)
		(void)store_fail(s, r, "cannot read it");
	sqlite3_finalize(st);
	return r == SQLITE_ROW ? 0 : -1;
}

/* WAL needs files beside the database, which SQLite says only as an error of
 * reading or writing. */
static int
set_wal(struct store *s)
{
	sqlite3_stmt *st;
	int r =
	    sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &st, NULL);
	const char *mode = NULL;

	if (r == SQLITE_OK && (r = sqlite3_step(st)) == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	if (mode == NULL)
		(void)store_fail(s, r, "cannot use write-ahead logging");
	else if (strcmp(mode, "wal") == 0)
		r = SQLITE_DONE;
	else
		(void)store_refuse(s,
		    "the file system cannot do write-ahead logging (needs "
		    "shared memory)");
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? 0 : -1;
}

void
store_keep_wal(struct store *s, bool keep)
{
	(void)sqlite3_db_config(
	    s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep, NULL);
}

static int
open_database(struct store *s)
{
	int version;
	int r = sqlite3_open_v2(s->path, &s->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    NULL);

	if (r != SQLITE_OK)
		return store_fail(s, r, "cannot open it");
	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	/* What is damaged, or not ours, is left as it is, its WAL too. */
	store_keep_wal(s, true);
	if (store_exec(s, settings, "cannot read it") == -1 ||
	    store_check_kind(s, &version) == -1 ||
	    store_check_pages(s, false) == -1 || set_wal(s) == -1)
		return -1;
	s->synced = true;
	store_keep_wal(s, false);
	return store_migrate(s, version);
}

struct store *
store_open(const char *dir, char error[static STORE_ERROR_MAX])
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(error, STORE_ERROR_MAX, "%s: out of memory", dir);
		return NULL;
	}
	s->lock = -1;
	if (store_take_lock(s, dir) == 0 && store_prepare_file(s, dir) == 0 &&
	    open_database(s) == 0)
		return s;
	memcpy(error, s->error, STORE_ERROR_MAX);
	store_close(s);
	return NULL;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < STORE_STATEMENTS; i++)
		sqlite3_finalize(s->st[i]);
	(void)sqlite3_close(s->db);
	if (s->lock != -1)
		close(s->lock);
	free(s->path);
	free(s);
}

sqlite3_stmt *
store_statement(struct store *s, enum store_statement which)
{
	int r;

	s->error[0] = '\0';
	if (s->st[which] != NULL)
		return s->st[which];
	r = sqlite3_prepare_v3(s->db, statements[which], -1,
	    SQLITE_PREPARE_PERSISTENT, &s->st[which], NULL);
	if (r != SQLITE_OK)
		(void)store_fail(s, r, "cannot use it");
	return s->st[which];
}

int
store_run(struct store *s, sqlite3_stmt *st, const char *what)
{
	int r = sqlite3_step(st);

	if (r != SQLITE_DONE)
		(void)store_fail(s, r, what);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r == SQLITE_DONE ? 0 : -1;
}

/*
 * Transactions.
 */

/* May not be called inside of one. */
static int
set_synced(struct store *s, bool synced)
{
	if (s->synced == synced)
		return 0;
	if (store_exec(s,
		synced ? "PRAGMA synchronous=FULL"
		       : "PRAGMA synchronous=NORMAL",
		"cannot set synchronous") == -1)
		return -1;
	s->synced = synced;
	return 0;
}

static int
begin(struct store *s, bool synced)
{
	sqlite3_stmt *st = store_statement(s, STORE_BEGIN);

	if (st == NULL)
		return -1;
	if (s->in_transaction)
		return store_refuse(s, "a transaction is open already");
	if (set_synced(s, synced) == -1 ||
	    store_run(s, st, "cannot begin") == -1)
		return -1;
	s->in_transaction = true;
	s->spoiled = false;
	return 0;
}

int
store_begin(struct store *s)
{
	return begin(s, true);
}

int
store_begin_states(struct store *s)
{
	return begin(s, false);
}

int
store_commit(struct store *s)
{
	sqlite3_stmt *st = store_statement(s, STORE_COMMIT);

	if (st == NULL)
		return -1;
	if (!s->in_transaction)
		return store_refuse(s, "no transaction is open");
	if (s->spoiled) {
		store_rollback(s);
		return store_refuse(
		    s, "a part of the transaction failed: nothing was written");
	}
	if (store_run(s, st, "cannot write") == 0) {
		s->in_transaction = false;
		return 0;
	}
	store_rollback(s);
	return -1;
}

void
store_rollback(struct store *s)
{
	char error[STORE_ERROR_MAX];
	sqlite3_stmt *st;

	if (!s->in_transaction)
		return;
	s->in_transaction = false;
	/* After some errors SQLite has rolled back by itself. */
	if (sqlite3_get_autocommit(s->db) != 0)
		return;
	memcpy(error, s->error, sizeof(error));
	if ((st = store_statement(s, STORE_ROLLBACK)) != NULL)
		(void)store_run(s, st, "cannot roll back");
	memcpy(s->error, error, sizeof(error));
}

sqlite3_stmt *
store_change(struct store *s, enum store_statement which, bool synced)
{
	sqlite3_stmt *st;

	/* After some errors SQLite ends the transaction: what came next would
	 * stand alone. */
	if (s->in_transaction && s->spoiled) {
		(void)store_refuse(s, "a part of the transaction failed");
		return NULL;
	}
	st = store_statement(s, which);
	if (st != NULL && s->in_transaction && synced && !s->synced) {
		(void)store_refuse(
		    s, "only states may be written in this transaction");
		st = NULL;
	}
	if (st != NULL && !s->in_transaction && set_synced(s, synced) == -1)
		st = NULL;
	s->spoiled = st == NULL;
	return st;
}

int
store_change_run(struct store *s, sqlite3_stmt *st, const char *what)
{
	s->spoiled = store_run(s, st, what) == -1;
	return s->spoiled ? -1 : 0;
}

int
store_change_drop(struct store *s, sqlite3_stmt *st, const char *why)
{
	(void)sqlite3_clear_bindings(st);
	s->spoiled = true;
	return store_refuse(s, "%s", why);
}

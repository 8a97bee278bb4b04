/*
 * store_schema: the tables of the store, and how those of an older version
 * are brought forward. Each migration is one transaction and is never changed
 * once it was released: the next change is a new one at the end.
 */
#include <stdio.h>
#include <string.h>

#include "coordd/store_sqlite.h"

/* "cndb" in the header of the file (PRAGMA application_id). */
#define APPLICATION_ID 0x636e6462

/*
 * Lists are texts, separated by single spaces. Ids are AUTOINCREMENT: never
 * given twice. nodes.authkey is no reference: the key may go first.
 */
static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE users ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " display_name TEXT NOT NULL,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE authkeys ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " hash BLOB NOT NULL UNIQUE,"
    " prefix TEXT NOT NULL,"
    " reusable INTEGER NOT NULL,"
    " ephemeral INTEGER NOT NULL,"
    " used INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL,"
    " tags TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX authkeys_user ON authkeys(user);"
    "CREATE TABLE nodes ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user INTEGER NOT NULL REFERENCES users(id),"
    " machine BLOB NOT NULL,"
    " node_key BLOB NOT NULL UNIQUE,"
    " disco BLOB NOT NULL,"
    " hostname TEXT NOT NULL,"
    " label TEXT NOT NULL UNIQUE,"
    " label_set INTEGER NOT NULL,"
    " ip4 TEXT UNIQUE,"
    " ip6 TEXT UNIQUE,"
    " created INTEGER NOT NULL,"
    " expiry INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL,"
    " ephemeral INTEGER NOT NULL,"
    " authorized INTEGER NOT NULL,"
    " authkey INTEGER NOT NULL,"
    " tags TEXT NOT NULL,"
    " hostinfo TEXT,"
    " endpoints TEXT,"
    " home_derp INTEGER NOT NULL,"
    " capver INTEGER NOT NULL,"
    " advertised TEXT NOT NULL,"
    " approved TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX nodes_user ON nodes(user);"
    "CREATE TABLE settings ("
    " name TEXT PRIMARY KEY,"
    " value BLOB NOT NULL"
    ") STRICT;",
    /* 2: the audit log, which trims itself by id, for a clock may jump; and
     * room for the signatures of Tailscale's tailnet lock. */
    "CREATE TABLE audit ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " time INTEGER NOT NULL,"
    " who TEXT NOT NULL,"
    " what TEXT NOT NULL,"
    " detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE TRIGGER audit_trim AFTER INSERT ON audit BEGIN"
    " DELETE FROM audit WHERE id <= new.id - 10000;"
    "END;"
    "ALTER TABLE nodes ADD COLUMN node_key_signature BLOB;",
};

_Static_assert(STORE_AUDIT_KEEP == 10000, "what the trigger above keeps");

int
store_newest_version(void)
{
	return (int)(sizeof(migrations) / sizeof(*migrations));
}

int
store_check_kind(struct store *s, int *version)
{
	int64_t application, tables, found;

	if (store_number(s, "PRAGMA application_id", &application) == -1 ||
	    store_number(s, "PRAGMA user_version", &found) == -1 ||
	    store_number(s, "SELECT count(*) FROM sqlite_schema", &tables) ==
		-1)
		return -1;
	if (application == 0 && found == 0 && tables == 0) {
		*version = 0;
		return 0;
	}
	if (application != APPLICATION_ID || found < 1)
		return store_refuse(s, "this is another program's database");
	if (found > store_newest_version())
		return store_refuse(s,
		    "written by a newer coordd (schema %lld, this one knows "
		    "1 to %d)",
		    (long long)found, store_newest_version());
	*version = (int)found;
	return 0;
}

/* A check must give the row "ok", or no row at all. */
static int
check(struct store *s, const char *sql, bool wants_ok)
{
	sqlite3_stmt *st;
	int r = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
	const char *said = NULL, *end;

	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		said = (const char *)sqlite3_column_text(st, 0);
	/* "*** in database main ***", and what it is in the next line. */
	if (said != NULL && *said == '*' && (end = strchr(said, '\n')) != NULL)
		said = end + 1;
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		(void)store_fail(s, r, "cannot check it");
	else if (said != NULL && wants_ok && strcmp(said, "ok") == 0)
		r = SQLITE_DONE;
	else if (r == SQLITE_ROW)
		(void)store_refuse(s, STORE_DAMAGED, wants_ok ? "" : "table ",
		    said == NULL ? "?" : said,
		    wants_ok ? "" : " refers to what is not there");
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? 0 : -1;
}

int
store_check_pages(struct store *s, bool thorough)
{
	if (!thorough)
		return check(s, "PRAGMA quick_check(1)", true);
	if (check(s, "PRAGMA integrity_check(1)", true) == -1)
		return -1;
	return check(s, "PRAGMA foreign_key_check", false);
}

/* One step, all of it or nothing. */
static int
migrate_to(struct store *s, int version)
{
	char sql[96], what[64];

	snprintf(what, sizeof(what), "cannot bring it to schema %d", version);
	snprintf(sql, sizeof(sql),
	    "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
	    APPLICATION_ID, version);
	if (store_exec(s, "BEGIN IMMEDIATE", what) == 0 &&
	    store_exec(s, migrations[version - 1], what) == 0 &&
	    store_exec(s, sql, what) == 0)
		return 0;
	/* The error is kept; that nothing may be open is none. */
	(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int
store_migrate(struct store *s, int version)
{
	while (version < store_newest_version())
		if (migrate_to(s, ++version) == -1)
			return -1;
	return 0;
}

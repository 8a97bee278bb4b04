/*
 * store_sqlite: what the files of the SQLite store share.
 *
 *   store_sqlite.c   opening, statements, transactions
 *   store_put.c      records become rows
 *   store_load.c     rows become records
 *   store_schema.c   tables, and how older ones are brought forward
 *   store_file.c     the lock, backup, verification, restoring
 */
#ifndef COORDD_STORE_SQLITE_H
#define COORDD_STORE_SQLITE_H

#include <sqlite3.h>

#include "coordd/store.h"

#define STORE_FILE "coordd.db"
/* A path in an error, which must have room for the rest. */
#define STORE_PATH_FORMAT "%.250s"
#define STORE_DAMAGED \
	"damaged (%s%s%s); coordctl restore puts a backup in its place"
/* How long another program, such as sqlite3, may hold the database. */
#define STORE_BUSY_MS 1000

/* The statements that are kept prepared; their text is in store_sqlite.c. */
enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_PUT_USER,
	STORE_PUT_AUTHKEY,
	STORE_PUT_NODE,
	STORE_PUT_STATE,
	STORE_DELETE_USER,
	STORE_DELETE_AUTHKEY,
	STORE_DELETE_NODE,
	STORE_SET,
	STORE_GET,
	STORE_AUDIT,
	STORE_AUDIT_READ,
	STORE_STATEMENTS
};

struct store {
	sqlite3 *db;
	char *path; /* of the database, for errors */
	int lock; /* -1: none */
	bool in_transaction;
	bool spoiled; /* a part of the transaction failed: no commit */
	bool synced; /* commits wait for the disk: synchronous=FULL */
	char error[STORE_ERROR_MAX];
	sqlite3_stmt *st[STORE_STATEMENTS];
};

/* Sets the error: "PATH: what: why", where why follows from SQLite's result
 * and the connection. Always -1. */
int store_fail(struct store *s, int result, const char *what);
/* The same with a why of one's own. */
int store_refuse(struct store *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether closing leaves the WAL to whoever comes next. */
void store_keep_wal(struct store *s, bool keep);
/* Runs SQL text that returns no rows that matter. */
int store_exec(struct store *s, const char *sql, const char *what);
/* The one number that a query gives. */
int store_number(struct store *s, const char *sql, int64_t *value);

/* A kept statement, ready for its values; NULL if it cannot be. Sets the
 * error to "". */
sqlite3_stmt *store_statement(struct store *s, enum store_statement which);
/* Runs a statement that returns no rows, and takes its values away. */
int store_run(struct store *s, sqlite3_stmt *st, const char *what);

/* A change: its statement, or NULL if none may be; then it is run, or dropped
 * with a reason. synced: whether it must be on the disk. */
sqlite3_stmt *store_change(
    struct store *s, enum store_statement which, bool synced);
int store_change_run(struct store *s, sqlite3_stmt *st, const char *what);
int store_change_drop(struct store *s, sqlite3_stmt *st, const char *why);

/* Makes the folder if it is missing, takes its lock, sets s->path. */
int store_take_lock(struct store *s, const char *dir);
/* Makes an empty database if there is none, and sees that SQLite can write
 * it and what belongs to it. */
int store_prepare_file(struct store *s, const char *dir);

/* Refuses what is not a coordd's database, or is of a newer version, without
 * a write. *version is 0 for an empty one. */
int store_check_kind(struct store *s, int *version);
/* Every page is looked at; thorough: every index and reference, too. */
int store_check_pages(struct store *s, bool thorough);
/* Brings the tables from a version to the newest. */
int store_migrate(struct store *s, int version);
int store_newest_version(void);

#endif

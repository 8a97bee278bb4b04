/*
 * store: where the model outlives the process. One header, so that another
 * database can stand behind it; store_sqlite.c is the one there is.
 *
 * Every store_put_, store_delete_ is durable when it returns 0: it survives
 * kill -9 and a power cut. Between store_begin and store_commit several are
 * one: all or none. On failure they return -1 and store_error says why, in
 * one line; the database is then as before. After a failure between the two
 * nothing but store_rollback is left to do: store_commit fails, too.
 */
#ifndef COORDD_STORE_H
#define COORDD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct authkey;
struct model;
struct node;
struct store;
struct user;

#define STORE_ERROR_MAX 512

/*
 * Opens the database in the folder dir, makes it at the first start, takes
 * the lock that keeps a second coordd out, and brings an older schema
 * forward. NULL and one line in error: not a database, damaged, of a newer
 * version, read-only, locked, disk full ...
 */
struct store *store_open(const char *dir, char error[static STORE_ERROR_MAX]);
void store_close(struct store *s);
/* Why the last call on s failed. */
const char *store_error(const struct store *s);

/* Fills an empty model. 0, or -1: the database holds what cannot be. */
int store_load(struct store *s, struct model *m);

int store_begin(struct store *s);
/* The same for store_put_node_state alone: the commit does not wait for the
 * disk. */
int store_begin_states(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Adds (id 0: the store gives one, never given before) or replaces. Text may
 * be any bytes; tags must be tag_ok. */
int store_put_user(struct store *s, struct user *u);
int store_put_authkey(struct store *s, struct authkey *k);
int store_put_node(struct store *s, struct node *n);
int store_delete_user(struct store *s, const struct user *u);
int store_delete_authkey(struct store *s, const struct authkey *k);
int store_delete_node(struct store *s, const struct node *n);

/* Of a node only what changes often: disco, endpoints, home_derp, hostinfo,
 * capver, last_seen. Not synced to the disk by itself: kill -9 loses nothing,
 * a power cut at most what the next sync would have saved. */
int store_put_node_state(struct store *s, const struct node *n);

/* Named values: the policy, the server's keys, cursors. store_get returns
 * the length and sets *value (freed by the caller), or -1 if there is none
 * or it failed (store_error is "" for none). */
int store_set(struct store *s, const char *name, const void *value, size_t n);
long store_get(struct store *s, const char *name, void **value);

/* The audit log: who did what. `when` is unix seconds. Oldest entries go
 * when there are more than these. */
#define STORE_AUDIT_KEEP 10000
int store_audit(struct store *s, int64_t when, const char *who,
    const char *what, const char *detail);
typedef void store_audit_fn(void *arg, int64_t when, const char *who,
    const char *what, const char *detail);
/* Last written first, at most limit. fn must not use the store. */
int store_audit_read(
    struct store *s, size_t limit, store_audit_fn *fn, void *arg);

/* Writes a consistent copy of the whole database to a new file of mode 0600,
 * while the store is in use, but not between begin and commit. */
int store_backup(struct store *s, const char *path);

/* Opens the file apart, in use or not, checks every page and every record in
 * it. True if it is sound, else one line in error. Changes nothing. */
bool store_verify(const char *path, char error[static STORE_ERROR_MAX]);
/* Puts a verified backup in place of the database of dir, which no coordd may
 * be using; what was there is kept as coordd.db.before-restore. */
int store_restore(
    const char *dir, const char *path, char error[static STORE_ERROR_MAX]);

#endif

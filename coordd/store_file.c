/*
 * store_file: the database as a file: the lock that keeps others out, copies,
 * verification, and putting a copy in place.
 *
 * The live database is never opened but by SQLite: to close any descriptor of
 * it would drop the locks of fcntl that SQLite holds in this process.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordd/model.h"
#include "coordd/store_sqlite.h"
#include "pure/text.h"
#include "run/file.h"

#define LOCK_FILE "coordd.lock"

/* "PATH: what: why" from errno; always -1. */
static int
fail_errno(struct store *s, const char *path, const char *what)
{
	snprintf(s->error, sizeof(s->error),
	    STORE_PATH_FORMAT ": %.100s: %.100s", path, what, strerror(errno));
	return -1;
}

static int
sync_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd == -1)
		return -1;
	r = fsync(fd);
	close(fd);
	return r;
}

static int
join(char out[static PATH_MAX], const char *path, const char *suffix)
{
	if (snprintf(out, PATH_MAX, "%s%s", path, suffix) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int
store_take_lock(struct store *s, const char *dir)
{
	char path[PATH_MAX];

	if (join(path, dir, "/" LOCK_FILE) == -1 ||
	    asprintf(&s->path, "%s/%s", dir, STORE_FILE) == -1) {
		s->path = NULL;
		return fail_errno(s, dir, "cannot name the database");
	}
	if (file_make_dir(dir) == -1)
		return fail_errno(s, dir, "cannot make the state folder");
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock == -1)
		return fail_errno(s, path,
		    "coordd must be able to write in its state folder");
	if (file_give_to_owner(s->lock, dir) == -1)
		return fail_errno(s, path, "cannot give it to coordd");
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return fail_errno(s, path, "cannot lock it");
	snprintf(s->error, sizeof(s->error),
	    "%s: another coordd (or a restore) uses this state folder", dir);
	return -1;
}

/* What belongs to the database, if it is there, must be ours to write. A WAL
 * without a database would be thrown away by SQLite. */
static int
check_companions(struct store *s, bool empty)
{
	char wal[PATH_MAX], shm[PATH_MAX];
	struct stat st;

	if (join(wal, s->path, "-wal") == -1 ||
	    join(shm, s->path, "-shm") == -1)
		return fail_errno(s, s->path, "cannot open the database");
	if (access(wal, R_OK | W_OK) == -1 && errno != ENOENT)
		return fail_errno(s, wal, "cannot write it");
	if (access(shm, R_OK | W_OK) == -1 && errno != ENOENT)
		return fail_errno(s, shm, "cannot write it");
	if (empty && stat(wal, &st) == 0 && st.st_size > 0)
		return store_refuse(s,
		    "missing or empty, but coordd.db-wal beside it is not; "
		    "coordctl restore puts a backup in its place");
	return 0;
}

int
store_prepare_file(struct store *s, const char *dir)
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r = -1;
	struct stat st;

	if (fd == -1)
		return fail_errno(s, s->path, "cannot open the database");
	if (fstat(fd, &st) == -1)
		(void)fail_errno(s, s->path, "cannot stat the database");
	else if (!S_ISREG(st.st_mode))
		(void)store_refuse(s, "this is not a plain file");
	else if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) == -1)
		(void)fail_errno(
		    s, s->path, "cannot keep others from reading it");
	else
		r = 0;
	if (r == 0 && st.st_size == 0) {
		r = file_give_to_owner(fd, dir) == 0 ? sync_folder(dir) : -1;
		if (r == -1)
			(void)fail_errno(s, dir, "cannot make the database");
	}
	close(fd);
	return r == 0 ? check_companions(s, st.st_size == 0) : -1;
}

/* Copies a whole database, also its WAL, to a file that must not exist. What
 * was deleted is not copied. */
static int
vacuum_into(struct store *s, const char *path)
{
	sqlite3_stmt *st;
	int r = sqlite3_prepare_v2(s->db, "VACUUM INTO ?", -1, &st, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r != SQLITE_DONE)
		(void)store_fail(s, r, "cannot be copied");
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? 0 : -1;
}

/* Writes a copy to a new file of mode 0600, and it to the disk. */
static int
copy_database(struct store *s, const char *path, const char *owner_dir)
{
	int fd, r;

	/* What an earlier copy left when it was killed. */
	if (unlink(path) == -1 && errno != ENOENT)
		return fail_errno(s, path, "cannot replace it");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return fail_errno(s, path, "cannot make the copy");
	if ((r = vacuum_into(s, path)) == 0) {
		r = owner_dir == NULL ? 0 : file_give_to_owner(fd, owner_dir);
		if (r == -1 || (r = fsync(fd)) == -1)
			(void)fail_errno(s, path, "cannot make the copy");
	}
	close(fd);
	if (r == -1)
		unlink(path);
	return r;
}

int
store_backup(struct store *s, const char *path)
{
	char part[PATH_MAX];
	int r = -1;

	s->error[0] = '\0';
	if (s->in_transaction)
		return store_refuse(s, "no backup inside of a transaction");
	if (join(part, path, ".part") == -1)
		return fail_errno(s, path, "cannot write the backup");
	if (copy_database(s, part, NULL) == -1)
		return -1;
	/* Unlike rename, link does not replace what is there. */
	if ((r = link(part, path)) == -1)
		(void)fail_errno(s, path, "cannot write the backup");
	(void)unlink(part);
	return r;
}

/* path as a URI of SQLite that opens it without a write; NULL if memory is
 * short. */
static char *
read_only_uri(const char *path)
{
	struct text uri = TEXT_EMPTY;
	char wal[PATH_MAX];

	/* Two slashes at the start of a path would be a host's. */
	text_str(&uri, *path == '/' ? "file://" : "file:");
	for (const char *p = path; *p != '\0'; p++)
		if (strchr("?#%", *p) == NULL)
			text_char(&uri, *p);
		else
			text_fmt(&uri, "%%%02x", (unsigned)*p);
	text_str(&uri, "?mode=ro");
	/* Only what has no WAL may be read as a file that never changes. */
	if (join(wal, path, "-wal") == 0 && access(wal, F_OK) == -1)
		text_str(&uri, "&immutable=1");
	return text_take(&uri);
}

static int
reopen(struct store *s)
{
	char *uri = read_only_uri(s->path);
	int r = SQLITE_NOMEM;

	(void)sqlite3_close(s->db);
	s->db = NULL;
	if (uri != NULL)
		r = sqlite3_open_v2(uri, &s->db,
		    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI |
			SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		    NULL);
	free(uri);
	if (r != SQLITE_OK)
		return store_fail(s, r, "cannot open it");
	store_keep_wal(s, true);
	/* What a sort needs does not go to a file in /tmp. */
	(void)store_exec(s, "PRAGMA temp_store=MEMORY", "cannot set it up");
	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	return 0;
}

static int
open_read_only(struct store *s, const char *path)
{
	struct stat st;

	if ((s->path = strdup(path)) == NULL || stat(path, &st) == -1)
		return fail_errno(s, path, "cannot open it");
	if (!S_ISREG(st.st_mode))
		return store_refuse(s, "this is not a plain file");
	/* SQLite removes the WAL of an empty one, even when it only reads. */
	if (st.st_size == 0)
		return store_refuse(s, "this is an empty database");
	return reopen(s);
}

/* Goes on with a copy in memory, whose schema is brought forward. */
static int
bring_forward(struct store *s, int version)
{
	sqlite3_backup *b;
	sqlite3 *copy = NULL;
	int r = sqlite3_open_v2(":memory:", &copy,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (r == SQLITE_OK &&
	    (b = sqlite3_backup_init(copy, "main", s->db, "main")) != NULL) {
		(void)sqlite3_backup_step(b, -1);
		r = sqlite3_backup_finish(b);
	}
	(void)sqlite3_close(s->db);
	s->db = copy;
	if (r != SQLITE_OK)
		return store_fail(s, r, "cannot be copied to memory");
	return store_migrate(s, version);
}

static int
verify(struct store *s, const char *path)
{
	static const uint8_t seed[KEYMAP_SEED_LEN];
	struct model m;
	int version, r;

	if (open_read_only(s, path) == -1 ||
	    store_check_kind(s, &version) == -1)
		return -1;
	if (version == 0)
		return store_refuse(s, "this is an empty database");
	if (store_check_pages(s, true) == -1 ||
	    (version < store_newest_version() &&
		bring_forward(s, version) == -1))
		return -1;
	model_init(&m, seed);
	r = store_load(s, &m);
	model_clear(&m);
	return r;
}

bool
store_verify(const char *path, char error[static STORE_ERROR_MAX])
{
	struct store *s = calloc(1, sizeof(*s));
	bool sound;

	if (s == NULL) {
		snprintf(error, STORE_ERROR_MAX, "%s: out of memory", path);
		return false;
	}
	s->lock = -1;
	sound = verify(s, path) == 0;
	if (!sound)
		memcpy(error, s->error, STORE_ERROR_MAX);
	store_close(s);
	return sound;
}

/* Gives the database a second name, which replaces an older one. */
static int
keep(const char *path, const char *kept)
{
	char part[PATH_MAX];
	int r;

	if (join(part, kept, ".part") == -1)
		return -1;
	(void)unlink(part);
	if ((r = link(path, part)) == 0)
		r = rename(part, kept);
	/* Still there if both are names of one file. */
	(void)unlink(part);
	return r;
}

/* A sound database takes in what its WAL holds. */
static int
settle(struct store *s)
{
	char error[STORE_ERROR_MAX];
	sqlite3 *db;
	int r;

	if (!store_verify(s->path, error))
		return 0;
	r = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READWRITE, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_exec(
		    db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	if (r != SQLITE_OK)
		(void)store_refuse(
		    s, "cannot keep what was there: %s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	return r == SQLITE_OK ? 0 : -1;
}

/* Keeps the database, and a WAL that it could not take in. */
static int
keep_old(struct store *s)
{
	char kept[PATH_MAX], wal[PATH_MAX], kept_wal[PATH_MAX], shm[PATH_MAX];

	if (join(kept, s->path, ".before-restore") == -1 ||
	    join(kept_wal, kept, "-wal") == -1 ||
	    join(wal, s->path, "-wal") == -1 ||
	    join(shm, s->path, "-shm") == -1)
		return fail_errno(s, s->path, "cannot keep what was there");
	if (settle(s) == -1)
		return -1;
	if ((unlink(kept_wal) == -1 && errno != ENOENT) ||
	    keep(s->path, kept) == -1 ||
	    (rename(wal, kept_wal) == -1 && errno != ENOENT) ||
	    (unlink(shm) == -1 && errno != ENOENT))
		return fail_errno(s, kept, "cannot keep what was there");
	return 0;
}

/* At every moment either the old database is there or the new one. */
static int
put_in_place(struct store *s, const char *dir, const char *part)
{
	if (access(s->path, F_OK) == 0 && keep_old(s) == -1)
		return -1;
	if (rename(part, s->path) == -1 || sync_folder(dir) == -1)
		return fail_errno(s, s->path, "cannot replace it");
	return 0;
}

static int
restore(struct store *s, const char *dir, const char *path)
{
	struct store from = {.lock = -1};
	char part[PATH_MAX];
	int r;

	if (store_take_lock(s, dir) == -1)
		return -1;
	if (join(part, s->path, ".part") == -1)
		return fail_errno(s, dir, "cannot restore");
	if (verify(&from, path) == -1 || reopen(&from) == -1 ||
	    copy_database(&from, part, dir) == -1) {
		memcpy(s->error, from.error, sizeof(s->error));
		r = -1;
	} else if ((r = put_in_place(s, dir, part)) == -1)
		(void)unlink(part);
	(void)sqlite3_close(from.db);
	free(from.path);
	return r;
}

int
store_restore(
    const char *dir, const char *path, char error[static STORE_ERROR_MAX])
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL) {
		snprintf(error, STORE_ERROR_MAX, "%s: out of memory", path);
		return -1;
	}
	s->lock = -1;
	r = restore(s, dir, path);
	if (r == -1)
		memcpy(error, s->error, STORE_ERROR_MAX);
	store_close(s);
	return r;
}

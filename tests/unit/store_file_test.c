/* store: as files. Killed in the middle, disk full, damaged, not ours to
 * write, used twice. */
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include "tests/unit/store_help.h"

#define NOBODY 65534

/*
 * Killed.
 */

static struct user *
find_numbered(const struct model *m, const char *prefix, unsigned n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%u", prefix, n);
	return model_user_named(m, name);
}

static void
test_kill(void)
{
	bool all = true, both = true, state = true;
	char dir[64];

	for (unsigned round = 0; round < 12; round++) {
		struct store *s;
		struct model m;
		unsigned told, n;
		int from;
		pid_t pid = start_writer(new_folder(dir), &from);

		told = read_told(from, 1 + round * 17);
		kill(pid, SIGKILL);
		if ((n = read_told(from, UINT_MAX)) > told)
			told = n;
		close(from);
		waitpid(pid, NULL, 0);

		s = must_open(dir);
		must_load(s, &m);
		for (unsigned i = 1; i <= told; i++)
			all &= find_numbered(&m, "a", i) != NULL &&
			    find_numbered(&m, "b", i) != NULL;
		for (unsigned i = told + 1; i < told + 10; i++)
			both &= (find_numbered(&m, "a", i) == NULL) ==
			    (find_numbered(&m, "b", i) == NULL);
		n = 0;
		state &= model_next(&m, &n)->last_seen >= told;
		all &= told > 0;
		model_clear(&m);
		store_close(s);
		remove_folder(dir);
	}
	ok(all, "killed 12 times: what was told is there");
	ok(both, "of a transaction all or nothing");
	ok(state, "also what was not synced");
}

/*
 * Full.
 */

/* Adds nodes until it fails; returns how many, and keeps the error. */
static unsigned
fill_up(struct store *s, struct user *u)
{
	unsigned n = 0;
	bool good = true;

	while (good) {
		struct node *node = make_full_node(n, u, 50);

		good = store_put_node(s, node) == 0;
		n += good;
		node_free(node);
	}
	return n;
}

static bool
has_nodes(const char *dir, unsigned n)
{
	struct store *s = must_open(dir);
	struct model m;
	bool good;

	must_load(s, &m);
	good = m.nnodes == n;
	model_clear(&m);
	store_close(s);
	return good;
}

static void
test_file_limit(void)
{
	struct rlimit was, small;
	struct user u = make_user("owner");
	struct store *s;
	char dir[64];
	unsigned n, n_users;

	s = must_open(new_folder(dir));
	(void)store_put_user(s, &u);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	small = was;
	small.rlim_cur = 1000000;
	setrlimit(RLIMIT_FSIZE, &small);
	n = fill_up(s, &u);
	ok(n > 10 && is_clear(store_error(s), "coordd.db"),
	    "no more can be written");
	ok(store_begin(s) == 0, "a transaction that will not fit");
	for (n_users = 0; add_numbered(s, "x", n_users) != 0;)
		n_users++;
	ok(is_clear(store_error(s), "coordd.db"), "fails in its middle");
	ok(store_commit(s) == -1, "or at its end");
	setrlimit(RLIMIT_FSIZE, &was);
	ok(count_users(s) == 1, "what failed is not there");
	ok(add_numbered(s, "y", 1) != 0, "and when there is room, it goes on");
	store_close(s);
	ok(has_nodes(dir, n), "with all that was told");
	remove_folder(dir);
	drop_user(&u);
}

/* In a file system of one MB. */
static int
fill_tmpfs(const char *dir)
{
	static uint8_t zeroes[1 << 20];
	char path[HELP_PATH];
	struct user u = make_user("owner");
	struct store *s;
	unsigned n;
	int fd;

	fd = open(in_folder(dir, "filler", path), O_WRONLY | O_CREAT, 0600);
	while (write(fd, zeroes, 4096) > 0)
		;
	close(fd);
	if (store_open(dir, help_error) != NULL || !is_clear(help_error, dir) ||
	    strstr(help_error, "full") == NULL)
		return 1;
	(void)unlink(path);
	s = must_open(dir);
	if (store_put_user(s, &u) != 0 || (n = fill_up(s, &u)) < 10 ||
	    !is_clear(store_error(s), "coordd.db: cannot write a new node") ||
	    strstr(store_error(s), "the disk is full") == NULL)
		return 2;
	store_close(s);
	if (!has_nodes(dir, n))
		return 3;
	s = must_open(dir);
	/* Not even a copy goes there, and none is left. */
	if (store_backup(s, in_folder(dir, "backup", path)) == 0 ||
	    !is_clear(store_error(s), "full") || access(path, F_OK) == 0 ||
	    access(in_folder(dir, "backup.part", path), F_OK) == 0)
		return 4;
	store_close(s);
	drop_user(&u);
	return 0;
}

#define NO_MOUNT 77

/* Runs fn(dir) in a process and with a file system of its own. */
static int
in_tmpfs(int (*fn)(const char *), const char *dir)
{
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (unshare(CLONE_NEWNS) == -1 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
		    mount("none", dir, "tmpfs", 0, "size=1m,mode=0700") == -1)
			_exit(NO_MOUNT);
		status = fn(dir);
		fflush(stdout);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void
test_disk_full(void)
{
	char dir[64];
	int r = in_tmpfs(fill_tmpfs, new_folder(dir));

	if (r == NO_MOUNT)
		ok(true, "disk full # SKIP may not mount a file system");
	else
		eq_int(r, 0, "disk full at the start, later, and for a backup");
	rmdir(dir);
}

/*
 * Not ours.
 */

/* Opens the store as an ordinary user; the error goes to out. */
static bool
opens_as_nobody(const char *dir, char out[static STORE_ERROR_MAX])
{
	int fds[2], status;
	pid_t pid;

	memset(out, 0, STORE_ERROR_MAX);
	fflush(stdout);
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		struct store *s;

		if (geteuid() == 0 &&
		    (setgid(NOBODY) == -1 || setuid(NOBODY) == -1))
			_exit(2);
		s = store_open(dir, out);
		store_close(s);
		if (write(fds[1], out, STORE_ERROR_MAX) != STORE_ERROR_MAX)
			_exit(2);
		_exit(s == NULL);
	}
	(void)!read(fds[0], out, STORE_ERROR_MAX);
	close(fds[0]);
	close(fds[1]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_read_only(void)
{
	char dir[64], path[HELP_PATH], error[STORE_ERROR_MAX];

	new_folder(dir);
	if (geteuid() == 0 && chown(dir, NOBODY, NOBODY) == -1)
		abort();
	(void)chmod(dir, 0500);
	ok(!opens_as_nobody(dir, error) && is_clear(error, "coordd.lock"),
	    "a folder that is read-only");
	ok(access(in_folder(dir, "coordd.db", path), F_OK) == -1,
	    "nothing is made in it");
	(void)chmod(dir, 0700);
	if (geteuid() == 0) {
		struct store *s = must_open(dir);
		struct stat st;

		store_close(s);
		ok(stat(path, &st) == 0 && st.st_uid == NOBODY,
		    "what root makes belongs to the owner of the folder");
	}
	ok(opens_as_nobody(dir, error), "who then can use it");
	(void)chmod(path, 0400);
	ok(!opens_as_nobody(dir, error) && is_clear(error, "coordd.db"),
	    "a database that is read-only");
	(void)chmod(path, 0600);
	write_whole(in_folder(dir, "coordd.db-wal", path), "", 0);
	(void)chmod(path, 0);
	if (geteuid() == 0 && chown(path, NOBODY, NOBODY) == -1)
		abort();
	ok(!opens_as_nobody(dir, error) && is_clear(error, "coordd.db-wal"),
	    "a WAL that is");
	(void)unlink(path);
	ok(opens_as_nobody(dir, error), "without it all is well");
	remove_folder(dir);
}

static void
test_second(void)
{
	char dir[64], error[STORE_ERROR_MAX], path[HELP_PATH];
	struct store *s = must_open(new_folder(dir));

	ok(store_open(dir, error) == NULL && is_clear(error, dir) &&
		strstr(error, "another coordd") != NULL,
	    "a second one is kept out");
	(void)store_backup(s, in_folder(dir, "backup", path));
	ok(store_restore(dir, path, error) == -1 &&
		strstr(error, "another coordd") != NULL,
	    "and so is a restore");
	store_close(s);
	s = store_open(dir, error);
	ok(s != NULL, "until the first is gone");
	store_close(s);
	remove_folder(dir);
}

/* Fails to open what is at path, and changes nothing. */
static bool
refused(const char *dir, const char *path, const char *why)
{
	size_t n;
	uint8_t *was = read_whole(path, &n);
	struct store *s = store_open(dir, help_error);
	bool good = s == NULL && is_clear(help_error, "coordd.db") &&
	    strstr(help_error, why) != NULL && is_file(path, was, n) &&
	    !store_verify(path, help_error) &&
	    is_clear(help_error, "coordd.db");

	if (!good)
		printf("# %s\n", help_error);
	store_close(s);
	free(was);
	return good;
}

static void
test_strange(void)
{
	char dir[64], path[HELP_PATH], wal[HELP_PATH];

	in_folder(new_folder(dir), "coordd.db", path);
	store_close(must_open(dir));
	(void)run_sql(dir, "PRAGMA user_version=99");
	ok(refused(dir, path, "newer coordd (schema 99"), "a newer version");
	(void)unlink(path);
	(void)run_sql(dir, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
	ok(refused(dir, path, "another program"), "another's database");
	write_whole(path, "hello, this is a text, not a database\n", 38);
	ok(refused(dir, path, "no SQLite database"), "a text");
	(void)unlink(path);
	(void)mkdir(path, 0700);
	ok(store_open(dir, help_error) == NULL &&
		is_clear(help_error, "coordd.db"),
	    "a folder");
	(void)rmdir(path);
	write_whole(in_folder(dir, "coordd.db-wal", wal), "left over", 9);
	write_whole(path, "", 0);
	ok(refused(dir, path, "coordd.db-wal"), "a WAL without its database");
	ok(is_file(wal, "left over", 9), "which stays");
	(void)unlink(wal);
	(void)unlink(path);
	ok(!store_verify(path, help_error) && is_clear(help_error, "coordd.db"),
	    "nothing to verify");
	ok(access(path, F_OK) == -1, "and none is made");
	(void)chmod(path, 0644);
	store_close(must_open(dir));
	(void)chmod(path, 0644);
	store_close(must_open(dir));
	{
		struct stat st;

		ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600,
		    "others may not read it for long");
	}
	remove_folder(dir);
}

/* Makes a database of some nodes, closed, all in one file. */
static uint8_t *
make_database(const char *dir, size_t *n)
{
	char path[HELP_PATH];
	struct user u = make_user("owner");
	struct store *s = must_open(dir);

	(void)store_put_user(s, &u);
	for (unsigned i = 0; i < 60; i++) {
		struct node *node = make_full_node(i, &u, 100);

		(void)store_put_node(s, node);
		node_free(node);
	}
	(void)store_set(s, "policy", "{}", 2);
	store_close(s);
	drop_user(&u);
	return read_whole(in_folder(dir, "coordd.db", path), n);
}

static void
test_damage(void)
{
	enum { PAGE = 4096 };
	char dir[64], path[HELP_PATH];
	bool found = true, kept = true;
	uint8_t *good, *bad;
	size_t n;

	good = make_database(new_folder(dir), &n);
	in_folder(dir, "coordd.db", path);
	ok(store_verify(path, help_error), "a sound database");
	bad = malloc(n);
	for (size_t at = 0; at + PAGE <= n; at += PAGE) {
		struct store *s;

		memcpy(bad, good, n);
		memset(bad + at, 0xa5, PAGE);
		write_whole(path, bad, n);
		s = store_open(dir, help_error);
		found &= s == NULL && is_clear(help_error, "coordd.db");
		store_close(s);
		kept &= is_file(path, bad, n);
		found &= !store_verify(path, help_error) &&
		    is_clear(help_error, "coordd.db");
	}
	ok(found, "any page that is damaged is found");
	ok(kept, "and left as it is");
	write_whole(path, good, n / 2);
	ok(refused(dir, path, "damaged"), "one that was cut off");
	write_whole(path, good, n);
	store_close(must_open(dir));
	ok(store_verify(path, help_error), "whole again");
	free(good);
	free(bad);
	remove_folder(dir);
}

/* Changes one thing by SQL, and wants to hear what is wrong with it. */
static bool
load_refuses(const char *dir, const char *sql, const char *why)
{
	char path[HELP_PATH];
	size_t n;
	uint8_t *was = read_whole(in_folder(dir, "coordd.db", path), &n);
	bool good = run_sql(dir, sql);
	struct store *s = must_open(dir);
	struct model m;

	model_init(&m, help_seed);
	good = good && store_load(s, &m) == -1 &&
	    is_clear(store_error(s), "coordd.db") &&
	    strstr(store_error(s), why) != NULL;
	if (!good)
		printf("# %s\n", store_error(s));
	model_clear(&m);
	store_close(s);
	good = good && !store_verify(path, help_error);
	write_whole(path, was, n);
	free(was);
	return good;
}

static void
test_bad_records(void)
{
	static const char *const cases[][2] = {
	    {"UPDATE nodes SET node_key=x'00' WHERE id=7",
		"table nodes, id 7, column node_key"},
	    {"UPDATE nodes SET ip4='::1' WHERE id=7", "column ip4"},
	    {"UPDATE nodes SET ip4='100.64.0' WHERE id=7", "column ip4"},
	    {"UPDATE nodes SET user=77 WHERE id=7", "column user"},
	    {"UPDATE nodes SET tags='tag:a  tag:b' WHERE id=7", "column tags"},
	    {"UPDATE nodes SET tags=' ' WHERE id=7", "column tags"},
	    {"UPDATE nodes SET advertised='10.0.0.1/8' WHERE id=7",
		"column advertised"},
	    {"UPDATE nodes SET approved='::/0 ' WHERE id=7", "column approved"},
	    {"UPDATE nodes SET capver=1<<40 WHERE id=7", "column capver"},
	    {"UPDATE nodes SET label_set=2 WHERE id=7", "column label_set"},
	    {"UPDATE nodes SET label=cast(x'610062' AS TEXT) WHERE id=7",
		"column label"},
	    {"UPDATE nodes SET id=-1 WHERE id=7", "column id"},
	    {"INSERT INTO authkeys VALUES (1, 1, x'00', '', 0, 0, 0, 0, 0, '')",
		"table authkeys, id 1, column hash"},
	    {"INSERT INTO authkeys VALUES (1, 1, zeroblob(32),"
	     " '0123456789abcdef', 0, 0, 0, 0, 0, '')",
		"column prefix"},
	    {"DROP TABLE settings; ALTER TABLE nodes DROP COLUMN capver",
		"no such column"},
	};
	char dir[64];
	size_t n;

	free(make_database(new_folder(dir), &n));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(load_refuses(dir, cases[i][0], cases[i][1]), cases[i][1]);
	ok(has_nodes(dir, 60), "without that it loads");
	remove_folder(dir);
}

int
main(void)
{
	test_kill();
	test_file_limit();
	test_disk_full();
	test_read_only();
	test_second();
	test_strange();
	test_damage();
	test_bad_records();
	return tap_done();
}

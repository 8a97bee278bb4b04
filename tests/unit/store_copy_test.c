/* store: backups, verification, and putting a backup in place. */
#include <sys/wait.h>

#include <signal.h>

#include "tests/unit/store_help.h"

static void
test_backup(void)
{
	char dir[64], path[HELP_PATH + 1], odd[HELP_PATH];
	struct store *s = must_open(new_folder(dir));
	bool good = true, right = true;
	char name[32];
	struct stat st;

	in_folder(dir, "backup", path);
	for (unsigned i = 1; i <= 20; i++) {
		char other[64];

		(void)add_numbered(s, "u", i);
		snprintf(name, sizeof(name), "backup%u", i);
		good &= store_backup(s, in_folder(dir, name, path)) == 0 &&
		    store_verify(path, help_error);
		new_folder(other);
		right &= store_restore(other, path, help_error) == 0 &&
		    count_in(other) == i;
		remove_folder(other);
	}
	ok(good, "20 backups of a store in use");
	ok(right, "each holds what was there");
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600,
	    "for its owner alone");
	ok(store_backup(s, path) == -1 && is_clear(store_error(s), "backup20"),
	    "one that is there is not replaced");
	ok(store_verify(path, help_error), "and stays");
	ok(store_backup(s, "/nonexistent/backup") == -1 &&
		is_clear(store_error(s), "/nonexistent/backup"),
	    "no such folder");
	ok(store_backup(s, in_folder(dir, "a?b#c%d", odd)) == 0 &&
		store_verify(odd, help_error),
	    "a name that is no URI");
	path[0] = '/';
	in_folder(dir, "a?b#c%d", path + 1);
	ok(store_verify(path, help_error), "two slashes at its start");
	ok(store_begin(s) == 0 &&
		store_backup(s, in_folder(dir, "never", path)) == -1 &&
		access(path, F_OK) == -1,
	    "not inside of a transaction");
	store_close(s);
	remove_folder(dir);
}

/* A live database is verified while its owner writes. */
static void
test_verify_live(void)
{
	char dir[64], path[HELP_PATH];
	bool good = true;
	int from;
	pid_t pid = start_writer(new_folder(dir), &from);

	(void)read_told(from, 1);
	in_folder(dir, "coordd.db", path);
	for (int i = 0; i < 20; i++) {
		good &= store_verify(path, help_error);
		if (!good)
			printf("# %s\n", help_error);
		(void)read_told(from, 10);
	}
	ok(good, "verified 20 times while it is written");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(from);
	ok(store_verify(path, help_error), "and after its writer was killed");
	remove_folder(dir);
}

/* Adds a user and leaves without closing: it is in the WAL alone. */
static void
add_and_die(const char *dir, const char *name)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0)
		_exit(add_user(must_open(dir), name) == 0);
	waitpid(pid, NULL, 0);
}

static void
test_restore(void)
{
	char dir[64], other[64], path[HELP_PATH], kept[HELP_PATH];
	char backup[HELP_PATH];
	struct store *s = must_open(new_folder(dir));
	struct stat st;

	in_folder(dir, "coordd.db", path);
	in_folder(dir, "coordd.db.before-restore", kept);
	(void)add_user(s, "first");
	(void)store_backup(s, in_folder(dir, "backup", backup));
	store_close(s);
	add_and_die(dir, "second");
	ok(store_restore(dir, backup, help_error) == 0, "restored");
	ok(count_in(dir) == 1, "what came later is gone");
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600,
	    "for its owner alone");
	ok(store_restore(new_folder(other), kept, help_error) == 0 &&
		count_in(other) == 2,
	    "but kept, also what was in the WAL alone");
	ok(store_restore(dir, kept, help_error) == 0 && count_in(dir) == 2,
	    "so that it can be undone");
	ok(store_restore(dir, kept, help_error) == 0 && count_in(dir) == 1,
	    "and that, too");
	ok(store_restore(dir, path, help_error) == 0 && count_in(dir) == 1,
	    "by itself");
	remove_folder(other);
	remove_folder(dir);
}

/* A database whose beginning is lost keeps its WAL, which may yet save it. */
static void
test_damage_with_wal(void)
{
	char dir[64], path[HELP_PATH], wal[HELP_PATH], kept[HELP_PATH];
	char backup[HELP_PATH];
	struct store *s = must_open(new_folder(dir));
	uint8_t *was, *was_wal;
	size_t n, n_wal;

	(void)store_backup(s, in_folder(dir, "backup", backup));
	store_close(s);
	add_and_die(dir, "in the WAL");
	was = read_whole(in_folder(dir, "coordd.db", path), &n);
	was_wal = read_whole(in_folder(dir, "coordd.db-wal", wal), &n_wal);
	memset(was, 0x5a, 100);
	write_whole(path, was, n);
	ok(n_wal > 4096 && store_open(dir, help_error) == NULL &&
		is_file(wal, was_wal, n_wal),
	    "a damaged database is refused, its WAL left as it is");
	ok(!store_verify(path, help_error) && is_file(wal, was_wal, n_wal),
	    "also when verified");
	ok(store_restore(dir, backup, help_error) == 0 && count_in(dir) == 0,
	    "restored");
	ok(is_file(in_folder(dir, "coordd.db.before-restore", kept), was, n) &&
		is_file(in_folder(dir, "coordd.db.before-restore-wal", kept),
		    was_wal, n_wal),
	    "both are kept as they were");
	free(was);
	free(was_wal);
	remove_folder(dir);
}

static void
test_restore_over_damage(void)
{
	char dir[64], deep[HELP_PATH], path[HELP_PATH], kept[HELP_PATH];
	char backup[HELP_PATH], bad[HELP_PATH];
	struct store *s = must_open(new_folder(dir));

	in_folder(dir, "coordd.db", path);
	in_folder(dir, "coordd.db.before-restore", kept);
	(void)add_user(s, "first");
	(void)store_backup(s, in_folder(dir, "backup", backup));
	store_close(s);
	write_whole(in_folder(dir, "bad", bad), "nonsense", 8);
	ok(store_restore(dir, bad, help_error) == -1 &&
		is_clear(help_error, "/bad") && count_in(dir) == 1 &&
		access(kept, F_OK) == -1,
	    "what is no backup changes nothing");
	ok(store_restore(dir, "/nonexistent", help_error) == -1 &&
		is_clear(help_error, "/nonexistent"),
	    "nor what is not there");
	write_whole(path, "nonsense", 8);
	write_whole(in_folder(dir, "coordd.db-wal", bad), "more", 4);
	ok(store_restore(dir, backup, help_error) == 0 && count_in(dir) == 1,
	    "over a damaged one");
	ok(is_file(kept, "nonsense", 8), "which is kept as it was");
	ok(is_file(
	       in_folder(dir, "coordd.db.before-restore-wal", bad), "more", 4),
	    "with its WAL");
	in_folder(dir, "deep", deep);
	ok(store_restore(deep, backup, help_error) == 0 && count_in(deep) == 1,
	    "in a folder that was not there");
	remove_folder(deep);
	remove_folder(dir);
}

int
main(void)
{
	test_backup();
	test_verify_live();
	test_restore();
	test_damage_with_wal();
	test_restore_over_damage();
	return tap_done();
}

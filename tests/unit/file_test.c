/* file: whole or not there, in a folder of the test's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/file.h"
#include "tests/tap.h"

static char dir[] = "/tmp/file_test.XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void
holds(const char *name, const char *want, const char *what)
{
	char got[64] = "";
	ssize_t n = file_read(in_dir(name), got, sizeof(got) - 1);

	eq_int(n, (int64_t)strlen(want), what);
	eq_str(got, want, what);
}

static void
test_make(void)
{
	struct stat st;

	eq_int(file_make(in_dir("a"), 0600, "one", 3), 0, "a new file");
	holds("a", "one", "holds what was written");
	ok(stat(in_dir("a"), &st) == 0 && (st.st_mode & 0777) == 0600,
	    "its mode");
	eq_int(file_make(in_dir("a"), 0600, "two", 3), -1, "never replaced");
	eq_int(errno, EEXIST, "and errno says so");
	holds("a", "one", "the old one stays");
	ok(access(in_dir("a.part"), F_OK) == -1, "nothing is left beside it");
}

static void
test_left_by_a_kill(void)
{
	eq_int(file_make_part(in_dir("b"), 0600, "half", 2), 0, "only a part");
	ok(access(in_dir("b"), F_OK) == -1, "is no file yet");
	eq_int(file_make(in_dir("b"), 0600, "whole", 5), 0,
	    "an old part is no obstacle");
	holds("b", "whole", "and is not taken for the file");
	eq_int(file_make_part(in_dir("c"), 0644, "late", 4), 0, "a part");
	eq_int(file_commit_part(in_dir("c")), 0, "put in place later");
	holds("c", "late", "is whole");
	eq_int(file_commit_part(in_dir("c")), -1, "once");
}

static void
test_replace(void)
{
	eq_int(file_replace(in_dir("d"), 0644, "old", 3), 0, "made");
	eq_int(file_replace(in_dir("d"), 0644, "new!", 4), 0, "replaced");
	holds("d", "new!", "by the new one");
	eq_int(file_replace(in_dir("no/d"), 0644, "x", 1), -1, "no folder");
	eq_int(errno, ENOENT, "and errno says so");
}

static void
test_read(void)
{
	char three[3];

	eq_int(file_read(in_dir("a"), three, 3), 3, "fits exactly");
	eq_int(file_read(in_dir("d"), three, 3), -1, "is one byte too long");
	eq_int(errno, EMSGSIZE, "and errno says so");
	eq_int(file_read(dir, three, 3), -1, "a folder");
	eq_int(errno, EISDIR, "and errno says so");
	eq_int(file_make(in_dir("e"), 0600, "", 0), 0, "an empty file");
	eq_int(file_read(in_dir("e"), three, 3), 0, "reads as no bytes");
}

int
main(void)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};

	if (mkdtemp(dir) == NULL)
		return 1;
	test_make();
	test_left_by_a_kill();
	test_replace();
	test_read();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	ok(rmdir(dir) == 0, "no other file was left");
	return tap_done();
}

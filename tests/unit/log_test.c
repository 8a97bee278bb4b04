/* log: lines as they come out of a pipe; levels, errno, escapes, limits. */
#include <sys/wait.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/log.h"
#include "tests/tap.h"

static char said[262144];
static size_t nsaid;

/* Runs f with standard error in a pipe, in a child; said is what it wrote.
 * Returns its exit status. */
static int
listen_to(void (*f)(void))
{
	int fds[2], status = -1;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	nsaid = 0;
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		exit(1);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		f();
		_exit(7);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + nsaid, sizeof(said) - nsaid - 1)) > 0)
		nsaid += (size_t)n;
	said[nsaid] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The journal stamps lines itself, so ours carry none. */
static void
init(enum log_level level)
{
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_init("prog", level);
}

static void
say_all(void)
{
	for (int i = LOG_QUIET; i <= LOG_DEBUG_LEVEL; i++) {
		init((enum log_level)i);
		errno = ENOENT;
		log_warn("warn %d", i);
		log_warnx("warnx %d", i);
		log_info("info %d", i);
		log_debug("debug %d", i);
		if (errno != ENOENT || log_get_level() != (enum log_level)i)
			_exit(1);
	}
}

static void
test_levels(void)
{
	eq_int(listen_to(say_all), 7, "errno is kept, the level told");
	eq_str(said,
	    "prog: warn 1: No such file or directory\n"
	    "prog: warnx 1\n"
	    "prog: warn 2: No such file or directory\n"
	    "prog: warnx 2\n"
	    "prog: info 2\n"
	    "prog: warn 3: No such file or directory\n"
	    "prog: warnx 3\n"
	    "prog: info 3\n"
	    "prog: debug 3\n",
	    "quiet, error, info, debug");
}

static void
die_errno(void)
{
	init(LOG_QUIET);
	errno = EACCES;
	fatal("cannot %s", "go on");
}

static void
die(void)
{
	init(LOG_QUIET);
	errno = EACCES;
	fatalx("cannot %s", "go on");
}

static void
test_fatal(void)
{
	eq_int(listen_to(die_errno), 1, "fatal exits with 1");
	eq_str(said, "prog: cannot go on: Permission denied\n",
	    "it is said even when quiet");
	eq_int(listen_to(die), 1, "fatalx as well");
	eq_str(said, "prog: cannot go on\n", "without errno");
}

static void
say_stamped(void)
{
	unsetenv("JOURNAL_STREAM");
	log_init("prog", LOG_INFO_LEVEL);
	log_info("now");
}

static void
test_stamp(void)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ prog: now\n";
	bool same;

	listen_to(say_stamped);
	same = nsaid == sizeof(form) - 1;
	for (size_t i = 0; same && i < nsaid; i++)
		same = form[i] == 'd' ? said[i] >= '0' && said[i] <= '9'
				      : said[i] == form[i];
	ok(same, "a line with its time");
}

static void
say_long(void)
{
	static char text[5000];

	init(LOG_INFO_LEVEL);
	memset(text, 'y', sizeof(text) - 1);
	for (int n = 2020; n < 2060; n++) {
		log_info("%.*s", n, text);
		errno = ENOENT;
		log_warn("%.*s", n, text);
	}
	log_info("%s", text);
}

/* Lines of every length around the limit: each ends, none is longer. */
static void
test_long_lines(void)
{
	size_t lines = 0, longest = 0;
	char *line = said, *end;

	listen_to(say_long);
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		lines++;
		if ((size_t)(end + 1 - line) > longest)
			longest = (size_t)(end + 1 - line);
	}
	eq_int((int64_t)lines, 2 * 40 + 1, "each line has an end");
	eq_int((int64_t)longest, 2047, "the longest of them");
}

static void *
say_thousand(void *arg)
{
	const char *word = arg;

	for (int i = 0; i < 1000; i++)
		log_info("%s", word);
	return NULL;
}

static void
say_threads(void)
{
	static char a[] = "aaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbbbbb";
	pthread_t t;

	init(LOG_INFO_LEVEL);
	pthread_create(&t, NULL, say_thousand, a);
	say_thousand(b);
	pthread_join(t, NULL);
}

static void
test_threads(void)
{
	bool whole = true;

	listen_to(say_threads);
	for (size_t i = 0; i < nsaid; i += 22)
		whole &=
		    strncmp(said + i, "prog: aaaaaaaaaaaaaaa\n", 22) == 0 ||
		    strncmp(said + i, "prog: bbbbbbbbbbbbbbb\n", 22) == 0;
	ok(whole && nsaid == 44000, "two threads do not mix lines");
}

static void
test_escape(void)
{
	static const struct {
		const char *what, *in;
		size_t n, cap;
		const char *out;
	} rows[] = {
	    {"plain", "hello", 5, 99, "hello"},
	    {"nothing", "", 0, 99, ""},
	    {"the ends of printable ASCII", " ~", 2, 99, " ~"},
	    {"beyond them", "\x1f\x7f\x80\xff", 4, 99, "\\x1f\\x7f\\x80\\xff"},
	    {"a newline", "a\nb", 3, 99, "a\\x0ab"},
	    {"a zero byte", "a\0b", 3, 99, "a\\x00b"},
	    {"a backslash", "a\\b", 3, 99, "a\\x5cb"},
	    {"only n bytes", "hello", 2, 99, "he"},
	    {"exactly full", "hello", 5, 6, "hello"},
	    {"one too small", "hello", 5, 5, "hell"},
	    {"an escape that just fits", "a\n", 2, 6, "a\\x0a"},
	    {"an escape is never cut", "a\n", 2, 5, "a"},
	    {"nothing behind what was cut", "a\nb", 3, 5, "a"},
	    {"room for the zero alone", "a", 1, 1, ""},
	};
	char out[100];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(out, '#', sizeof(out));
		eq_str(log_escape(out, rows[i].cap, rows[i].in, rows[i].n),
		    rows[i].out, rows[i].what);
		ok(out[rows[i].cap] == '#', "within its room");
	}
	out[0] = '#';
	log_escape(out, 0, "a", 1);
	ok(out[0] == '#', "no room at all");
}

static void
test_allowed(void)
{
	struct log_limit l = {{.interval_us = 1000, .burst = 2}, 0};
	struct mono now = {1000000};

	eq_int((int64_t)log_allowed(&l, now), 1, "the first line");
	eq_int((int64_t)log_allowed(&l, now), 1, "and the second");
	eq_int((int64_t)log_allowed(&l, now), 0, "the third is left out");
	eq_int((int64_t)log_allowed(&l, now), 0, "so is the fourth");
	now = mono_add_us(now, 1000);
	eq_int((int64_t)log_allowed(&l, now), 3, "the next tells of two");
	now = mono_add_us(now, 1000);
	eq_int((int64_t)log_allowed(&l, now), 1, "told once");
}

int
main(void)
{
	test_levels();
	test_fatal();
	test_stamp();
	test_long_lines();
	test_threads();
	test_escape();
	test_allowed();
	return tap_done();
}

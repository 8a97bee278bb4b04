/* backup: a copy of the database in a file, whole or not at all. */
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordctl/coordctl.h"

/* What every such file begins with (sqlite.org/fileformat.html), the zero
 * included. */
static const char magic[] = "SQLite format 3";

struct sink {
	int fd;
	const char *name;
	uint64_t bytes;
};

static int
take(void *arg, const void *p, size_t n)
{
	struct sink *s = arg;
	const char *at = p;
	ssize_t r;

	for (size_t i = 0; i < n && s->bytes + i < sizeof(magic); i++)
		if (at[i] != magic[s->bytes + i])
			return api_strange("it is no database");
	s->bytes += n;
	for (; n > 0; at += r, n -= (size_t)r) {
		r = write(s->fd, at, n);
		if (r == -1 && errno == EINTR)
			r = 0;
		else if (r == -1)
			return fail("%s: %s", s->name, strerror(errno));
	}
	return STATUS_DONE;
}

static int
fetch(const struct ctl *ctl, struct sink *s, int stop_fd)
{
	int status = api_stream(ctl, PATH("/backup"), stop_fd, take, s);

	if (status == STATUS_DONE && s->bytes < sizeof(magic))
		return api_strange("it is no database");
	return status;
}

/* Blocks the signals that would end the program and leave half a file, and
 * makes them readable instead. Ignored ones stay so. */
static int
signals_hold(sigset_t *held)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction now;

	sigemptyset(held);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &now) == 0 &&
		    now.sa_handler != SIG_IGN)
			sigaddset(held, signals[i]);
	sigprocmask(SIG_BLOCK, held, NULL);
	return signalfd(-1, held, SFD_CLOEXEC);
}

/* One that came ends the program here. */
static void
signals_release(int fd, const sigset_t *held)
{
	if (fd != -1)
		close(fd);
	sigprocmask(SIG_UNBLOCK, held, NULL);
}

/* Gives the finished file its name, without replacing another's. */
static int
place(const char *part, const char *path, bool force)
{
	if (force)
		return rename(part, path);
	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* Not every file system knows that. */
	if (link(part, path) == -1)
		return -1;
	return unlink(part);
}

static int
sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd, r;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	r = fsync(fd);
	/* Not every file system can. */
	if (r == -1 && errno == EINVAL)
		r = 0;
	close(fd);
	return r;
}

static int
fail_exists(const char *path)
{
	return fail("%s: it is there already: --force overwrites it", path);
}

/* Closes fd in any case. */
static int
finish(int fd, const char *part, const char *path, bool force)
{
	bool written = fsync(fd) == 0;

	written = close(fd) == 0 && written;
	if (!written)
		return fail("%s: %s", path, strerror(errno));
	if (place(part, path, force) == -1)
		return errno == EEXIST ? fail_exists(path)
				       : fail("%s: %s", path, strerror(errno));
	if (sync_folder(path) == -1)
		return fail("%s: %s", path, strerror(errno));
	return STATUS_DONE;
}

static int
to_part(const struct ctl *ctl, struct sink *s, const char *path, int stop_fd)
{
	char part[PATH_MAX];
	int status;

	if (snprintf(part, sizeof(part), "%s.XXXXXX", path) >=
	    (int)sizeof(part))
		return fail("%s: %s", path, strerror(ENAMETOOLONG));
	/* With mode 0600. */
	if ((s->fd = mkostemp(part, O_CLOEXEC)) == -1)
		return fail("%s: %s", path, strerror(errno));
	if ((status = fetch(ctl, s, stop_fd)) == STATUS_DONE)
		status = finish(s->fd, part, path, ctl_has(ctl, FLAG_FORCE));
	else
		close(s->fd);
	if (status != STATUS_DONE)
		unlink(part);
	return status;
}

static int
to_file(const struct ctl *ctl, const char *path)
{
	struct sink s = {.name = path};
	struct stat st;
	sigset_t held;
	json_t *v;
	int stop_fd, status;

	if (lstat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
			return fail("%s: it is not a file", path);
		if (!ctl_has(ctl, FLAG_FORCE))
			return fail_exists(path);
	}
	stop_fd = signals_hold(&held);
	status = to_part(ctl, &s, path, stop_fd);
	signals_release(stop_fd, &held);
	if (status != STATUS_DONE)
		return status;
	v = json_pack("{s:s, s:I}", "file", path, "bytes", (json_int_t)s.bytes);
	if (v == NULL || !put_if_json(ctl, v))
		say("%s written, %.1f MB.", path, (double)s.bytes / 1e6);
	json_decref(v);
	return STATUS_DONE;
}

int
backup(const struct ctl *ctl)
{
	struct sink s = {.fd = STDOUT_FILENO, .name = "standard output"};

	if (strcmp(ctl->args[0], "-") != 0)
		return to_file(ctl, ctl->args[0]);
	if (isatty(STDOUT_FILENO))
		return fail_usage("backup: standard output is a terminal: "
				  "name a file");
	return fetch(ctl, &s, -1);
}

/*
 * output: where the result goes. Whether it can go there is found out before
 * the run, not after it; and what a file does not take is not lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/views/views.h"
#include "run/file.h"

/* A socket that got the number of a closed standard output would be printed
 * to. What cannot be written to says so when it is. */
int
output_keep_std(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 &&
		    open("/dev/null", O_RDONLY) != fd)
			return -1;
	return 0;
}

static bool
is_stdout(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* Made and removed again: a folder that is not there, is read-only or full. */
static int
try_file(const char *path)
{
	char part[PATH_MAX];

	if (file_make_part(path, 0644, "", 0) == -1)
		return -1;
	return snprintf(part, sizeof(part), "%s.part", path) < PATH_MAX
	    ? unlink(part)
	    : -1;
}

/* What is no plain file, /dev/stdout, say, is written to and not replaced. A
 * FIFO that nobody reads is an error, and no wait without end. */
static int
open_other(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	int flags;

	if (fd == -1)
		return -1;
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
output_begin(struct output *o, const char *path,
    int (*open_plain)(const char *path), char error[static NATPROBE_ERROR_MAX])
{
	struct stat st;
	int r = 0;

	*o = (struct output){.path = path, .fd = -1};
	if (*path == '\0' || is_stdout(path))
		return 0;
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		r = o->fd = open_other(path);
	else if (open_plain != NULL)
		r = o->fd = open_plain(path);
	else
		r = try_file(path);
	if (r == -1)
		snprintf(error, NATPROBE_ERROR_MAX, "json %s: %s", path,
		    strerror(errno));
	return r == -1 ? -1 : 0;
}

static int
write_fd(int fd, const char *p, size_t n)
{
	struct stat st;
	ssize_t r;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    ftruncate(fd, 0) == -1)
		return -1;
	for (; n > 0; p += r, n -= (size_t)r)
		if ((r = write(fd, p, n)) <= 0)
			return -1;
	return 0;
}

int
output_file(const char *path, const char *p, size_t n)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) == -1 || S_ISREG(st.st_mode))
		return file_replace(path, 0644, p, n);
	if ((fd = open_other(path)) == -1)
		return -1;
	r = write_fd(fd, p, n);
	if (close(fd) == -1)
		r = -1;
	return r;
}

static int
write_stdout(const char *text)
{
	return fputs(text, stdout) == EOF || fflush(stdout) == EOF ? -1 : 0;
}

int
output_json(struct output *o, const json_t *result)
{
	char *text, *line;
	int r;

	if (*o->path == '\0')
		return 0;
	text = json_dumps(result, JSON_INDENT(2));
	if (text == NULL || (line = realloc(text, strlen(text) + 2)) == NULL) {
		free(text);
		fprintf(stderr, "natprobe: memory is short\n");
		return -1;
	}
	strncat(line, "\n", 2);
	if (is_stdout(o->path))
		r = write_stdout(line);
	else if (o->fd != -1)
		r = write_fd(o->fd, line, strlen(line));
	else
		r = file_replace(o->path, 0644, line, strlen(line));
	if (r == -1)
		fprintf(stderr, "natprobe: json %s: %s%s\n", o->path,
		    strerror(errno),
		    is_stdout(o->path)
			? ""
			: "; the result follows on standard output");
	if (r == -1 && !is_stdout(o->path))
		(void)write_stdout(line);
	free(line);
	return r;
}

static void
print_sheet(const json_t *result, FILE *out)
{
	struct text t = TEXT_EMPTY;

	if (sheet_words(&t, result) && t.p != NULL)
		fputs(t.p, out);
	text_clear(&t);
}

int
output_words(const struct output *o, const json_t *result, bool rfc4787)
{
	FILE *out = is_stdout(o->path) ? stderr : stdout;

	words_print(result, out);
	if (rfc4787)
		print_sheet(result, out);
	if (fflush(out) != EOF && !ferror(out))
		return 0;
	if (out == stdout)
		fprintf(
		    stderr, "natprobe: standard output: %s\n", strerror(errno));
	return -1;
}

void
output_end(struct output *o)
{
	if (o->fd > STDERR_FILENO)
		close(o->fd);
	o->fd = -1;
}

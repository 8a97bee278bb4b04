/* file: write beside, flush to the disk, then link or rename into place. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/file.h"

static int
part_name(char part[static PATH_MAX], const char *path)
{
	if (snprintf(part, PATH_MAX, "%s.part", path) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t r;

	for (; n > 0; p += r, n -= (size_t)r)
		if ((r = write(fd, p, n)) <= 0) {
			if (r == 0)
				errno = ENOSPC;
			return -1;
		}
	return fsync(fd);
}

int
file_make_part(const char *path, mode_t mode, const void *p, size_t n)
{
	char part[PATH_MAX];
	int fd, saved;

	if (part_name(part, path) == -1)
		return -1;
	/* What an earlier start left when it was killed. */
	if (unlink(part) == -1 && errno != ENOENT)
		return -1;
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd == -1)
		return -1;
	if (write_all(fd, p, n) == 0 && close(fd) == 0)
		return 0;
	saved = errno;
	close(fd);
	unlink(part);
	errno = saved;
	return -1;
}

int
file_commit_part(const char *path)
{
	char part[PATH_MAX];

	if (part_name(part, path) == -1)
		return -1;
	return rename(part, path);
}

int
file_make(const char *path, mode_t mode, const void *p, size_t n)
{
	char part[PATH_MAX];
	int r, saved;

	if (part_name(part, path) == -1 ||
	    file_make_part(path, mode, p, n) == -1)
		return -1;
	/* Unlike rename, link does not replace somebody else's file. */
	r = link(part, path);
	saved = errno;
	unlink(part);
	errno = saved;
	return r;
}

int
file_replace(const char *path, mode_t mode, const void *p, size_t n)
{
	if (file_make_part(path, mode, p, n) == -1)
		return -1;
	return file_commit_part(path);
}

ssize_t
file_read(const char *path, void *p, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
	ssize_t n = 0, r = -1;
	char beyond;

	if (fd == -1)
		return -1;
	while ((size_t)n < cap &&
	    (r = read(fd, (char *)p + n, cap - (size_t)n)) > 0)
		n += r;
	if (r > 0 && read(fd, &beyond, 1) == 1) {
		errno = EMSGSIZE;
		r = -1;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return r < 0 ? -1 : n;
}

int
file_give_to_owner(int fd, const char *dir)
{
	struct stat st;

	if (geteuid() != 0 || stat(dir, &st) == -1 || st.st_uid == 0)
		return 0;
	return fchown(fd, st.st_uid, st.st_gid);
}

int
file_make_dir(const char *path)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *p = dir + 1;; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(dir, was == '\0' ? 0700 : 0755) == -1 &&
		    errno != EEXIST)
			return -1;
		*p = was;
		if (was == '\0')
			return 0;
	}
}

int
file_make_dir_of(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((slash = strrchr(dir, '/')) == NULL || slash == dir)
		return 0;
	*slash = '\0';
	return file_make_dir(dir);
}

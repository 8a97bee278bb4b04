/* admin_socket: the Unix socket of the API: its file, and who calls. */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "coordd/admin.h"
#include "run/file.h"

#define BACKLOG 128

static int
refuse(char error[static COORDD_ERROR_MAX], const char *path, const char *why)
{
	snprintf(error, COORDD_ERROR_MAX, "socket %.300s: %s", path, why);
	return -1;
}

static int
bind_private(int fd, const struct sockaddr_un *sun)
{
	mode_t was = umask(0177);
	int r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));

	umask(was);
	return r;
}

/* Removes the file if it is a socket that a process left behind. */
static int
remove_stale(const struct sockaddr_un *sun, char error[static COORDD_ERROR_MAX])
{
	const char *path = sun->sun_path;
	struct stat st;
	int fd, r, saved;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return refuse(error, path,
		    "there is a file which is no socket; choose another path");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return refuse(error, path, strerror(errno));
	r = connect(fd, (const struct sockaddr *)sun, sizeof(*sun));
	saved = errno;
	close(fd);
	/* EAGAIN: somebody listens, whose queue is full. */
	if (r == 0 || saved == EAGAIN)
		return refuse(error, path,
		    "another coordd answers there; end it, or choose another "
		    "path");
	if (saved != ECONNREFUSED && saved != ENOENT)
		return refuse(error, path, strerror(saved));
	if (unlink(path) == -1 && errno != ENOENT)
		return refuse(error, path, strerror(errno));
	return 0;
}

static int
bind_or_replace(
    int fd, const struct sockaddr_un *sun, char error[static COORDD_ERROR_MAX])
{
	if (bind_private(fd, sun) == 0)
		return 0;
	if (errno == EADDRINUSE) {
		if (remove_stale(sun, error) == -1)
			return -1;
		if (bind_private(fd, sun) == 0)
			return 0;
	}
	return refuse(error, sun->sun_path, strerror(errno));
}

int
admin_socket_open(struct admin_socket *s, const char *path,
    char error[static COORDD_ERROR_MAX])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(error, COORDD_ERROR_MAX,
		    "socket %.300s: %zu bytes; a socket's path has at most "
		    "%zu",
		    path, strlen(path), sizeof(sun.sun_path) - 1);
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (file_make_dir_of(path) == -1)
		return refuse(error, path, strerror(errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return refuse(error, path, strerror(errno));
	if (bind_or_replace(fd, &sun, error) == -1) {
		close(fd);
		return -1;
	}
	if (listen(fd, BACKLOG) == -1 || lstat(path, &s->made) == -1) {
		refuse(error, path, strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	s->path = path;
	return fd;
}

void
admin_socket_remove(const struct admin_socket *s)
{
	struct stat st;

	if (s->path == NULL || lstat(s->path, &st) == -1 ||
	    st.st_dev != s->made.st_dev || st.st_ino != s->made.st_ino)
		return;
	/* Who gave up root may not be allowed to; the next start removes it. */
	if (unlink(s->path) == -1)
		log_debug(
		    "socket %s: not removed: %s", s->path, strerror(errno));
}

bool
admin_socket_peer(int fd, unsigned *uid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == -1)
		return false;
	*uid = cred.uid;
	return true;
}

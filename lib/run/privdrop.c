/*
 * privdrop: leaves root behind, and talks to the service manager. Keeps no
 * state. Plain system calls: one call each is not worth a library.
 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/privdrop.h"

static int
failed(char *error, const char *what, const char *name)
{
	snprintf(error, PRIVDROP_ERROR_MAX, "%s %.64s: %s", what, name,
	    errno == 0 ? "no such user" : strerror(errno));
	return -1;
}

static int
become(const char *user, char *error)
{
	const struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return failed(error, "user", user);
	if (initgroups(pw->pw_name, pw->pw_gid) == -1)
		return failed(error, "groups of user", user);
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
		return failed(error, "become user", user);
	/* It must not be possible to go back. */
	if (pw->pw_uid != 0 && setuid(0) == 0) {
		errno = EPERM;
		return failed(error, "leave root for user", user);
	}
	return 0;
}

/* Also those that a service manager gave to an ordinary user for binding. */
static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 &&
	    errno != EINVAL)
		return -1;
	return (int)syscall(SYS_capset, &head, none);
}

int
privdrop(const char *user, char error[static PRIVDROP_ERROR_MAX])
{
	const char *self = "this process";

	if (geteuid() == 0 && become(user, error) == -1)
		return -1;
	if (geteuid() != 0 && drop_capabilities() == -1)
		return failed(error, "drop the capabilities of", self);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return failed(error, "forbid new privileges to", self);
	return 0;
}

long
privdrop_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	/* Where this is refused, the limit that is there holds. */
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return (long)limit.rlim_cur;
}

void
privdrop_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	socklen_t len;
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    (n = strlen(path)) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	/* '@' stands for the zero byte of the abstract namespace. */
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	/* A manager that does not listen cannot be told so either. */
	sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (const struct sockaddr *)&to, len);
	close(fd);
}

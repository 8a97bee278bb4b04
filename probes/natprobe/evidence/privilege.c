/* privilege: files that are opened before, and giving up root. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probes/natprobe/evidence/evidence.h"
#include "run/privdrop.h"

/* Who called sudo, or NULL. Only root may be told by the environment. */
static const struct passwd *
caller(void)
{
	const char *text = getenv("SUDO_UID");
	char *end;
	unsigned long uid;

	if (geteuid() != 0 || text == NULL)
		return NULL;
	errno = 0;
	uid = strtoul(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || uid == 0)
		return NULL;
	return getpwuid((uid_t)uid);
}

int
privilege_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	const struct passwd *pw;
	int e;

	if (fd == -1)
		return errno == EEXIST ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if ((pw = caller()) != NULL &&
	    fchown(fd, pw->pw_uid, pw->pw_gid) == -1) {
		e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* A pipe or a device has no length. */
int
privilege_empty(int fd)
{
	return ftruncate(fd, 0) == -1 && errno != EINVAL ? -1 : 0;
}

int
privilege_drop(char error[static NATPROBE_ERROR_MAX])
{
	char why[PRIVDROP_ERROR_MAX];
	const struct passwd *pw = caller();

	if (privdrop(pw == NULL ? "nobody" : pw->pw_name, why) == 0)
		return 0;
	snprintf(error, NATPROBE_ERROR_MAX, "capture: giving up root: %s", why);
	return -1;
}

/*
 * natemu_tun: a TUN device in a network namespace. It goes when the process
 * ends.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "run/log.h"
#include "tests/natlab/natemu.h"

/* Moves to the namespace of that path, and returns our own; -1 on error. */
static int
netns_enter(const char *path)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	int rc = -1;

	if (home != -1 && there != -1)
		rc = setns(there, CLONE_NEWNET);
	if (there != -1)
		close(there);
	if (rc == -1 && home != -1) {
		close(home);
		home = -1;
	}
	return home;
}

static int
device_up(const char *device)
{
	struct ifreq req = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd == -1)
		return -1;
	strncpy(req.ifr_name, device, IFNAMSIZ - 1);
	rc = ioctl(fd, SIOCGIFFLAGS, &req);
	req.ifr_flags |= IFF_UP;
	if (rc == 0)
		rc = ioctl(fd, SIOCSIFFLAGS, &req);
	close(fd);
	return rc;
}

static int
device_make(const char *device)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strncpy(req.ifr_name, device, IFNAMSIZ - 1);
	if (fd != -1 &&
	    (ioctl(fd, TUNSETIFF, &req) == -1 || device_up(device) == -1)) {
		close(fd);
		return -1;
	}
	return fd;
}

int
tun_open(const char *device, const char *netns)
{
	int home = -1, fd;

	if (netns != NULL && (home = netns_enter(netns)) == -1) {
		log_warn("cannot enter the namespace %s", netns);
		return -1;
	}
	fd = device_make(device);
	if (fd == -1)
		log_warn("cannot make the TUN device %s", device);
	if (home != -1) {
		if (setns(home, CLONE_NEWNET) == -1)
			fatal("cannot leave the namespace %s", netns);
		close(home);
	}
	return fd;
}

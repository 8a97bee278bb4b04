/*
 * shiftclock: preloaded into a program under test, it moves the clocks that the
 * program sees by as many seconds as stand in the file $SHIFTCLOCK: two
 * integers of 64 bits, for the wall clock and for the monotonic one. The file
 * is mapped, so that a test can move the clocks of a program that runs, and
 * that its sandbox lets open nothing more. It asks the kernel itself, so as to
 * get on with sanitizers.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("SHIFTCLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd != -1)
		p = mmap(
		    NULL, 2 * sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		abort();
	close(fd);
	shift = p;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	long r = syscall(SYS_clock_gettime, id, ts);

	if (r != 0 || shift == NULL)
		return (int)r;
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		ts->tv_sec += shift[0];
		break;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		ts->tv_sec += shift[1];
		break;
	default:
		break;
	}
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

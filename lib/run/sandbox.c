/*
 * sandbox: the lists of system calls, and their way into the kernel by
 * libseccomp. Lists name the calls of 64-bit Linux; those that an
 * architecture does not have mean nothing there. Keeps no state.
 */
#include <errno.h>
#include <string.h>

#include "run/log.h"
#include "run/sandbox.h"

#ifdef SANDBOX_NONE

void
sandbox_enter(enum sandbox profile)
{
	(void)profile;
	log_debug("sandbox: none in this build");
}

#else

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <seccomp.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* With any arguments. */
static const int always[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
    /* threads: what the C library does for them */
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(gettid),
    SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    /* signals that come */
    SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    /* time, where it does not come without a call */
    SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(time),
    /* who we are, on what */
    SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid),
    SCMP_SYS(getrandom), SCMP_SYS(getuid), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    /* the loop */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6),
    SCMP_SYS(select), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    /* open files and sockets */
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(dup),
    SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(lseek),
    SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown), SCMP_SYS(write), SCMP_SYS(writev),
    /* looking at files */
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(fstat), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(stat), SCMP_SYS(statx)};

static const int writing[] = {SCMP_SYS(open), SCMP_SYS(openat),
    SCMP_SYS(pwrite64), SCMP_SYS(fallocate), SCMP_SYS(ftruncate),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fchmod), SCMP_SYS(fchown),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
    SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(rmdir),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat)};

/*
 * Calls that a C library tries and does without. clone3 keeps its flags in
 * memory, where no filter sees them: clone is tried then.
 */
static const int absent[] = {SCMP_SYS(clone3), SCMP_SYS(close_range),
    SCMP_SYS(futex_waitv), SCMP_SYS(membarrier), SCMP_SYS(openat2)};

/* Only if one argument, masked, has one value. Of an int the kernel, too,
 * looks at 32 bits only. */
struct only {
	int call;
	unsigned arg;
	uint64_t mask, value;
};

#define INT	    UINT32_MAX
#define POINTER	    UINT64_MAX
#define THREAD	    (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define TO_WRITE    (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct only only[] = {
    /* Nothing becomes code. */
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    /* Threads, no processes. */
    {SCMP_SYS(clone), 0, THREAD, THREAD},
    /* The names of threads, and of memory. */
    {SCMP_SYS(prctl), 0, INT, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, INT, 0x53564d41 /* PR_SET_VMA */},
    /* Limits are read, not set. */
    {SCMP_SYS(prlimit64), 2, POINTER, 0},
    /* Telling the service manager; asking for the name of an interface. */
    {SCMP_SYS(socket), 0, INT, AF_UNIX},
    {SCMP_SYS(ioctl), 1, INT, SIOCGIFNAME},
    {SCMP_SYS(ioctl), 1, INT, FIONREAD},
    {SCMP_SYS(ioctl), 1, INT, FIONBIO},
    {SCMP_SYS(ioctl), 1, INT, TCGETS},
};

static const struct only reading[] = {
    {SCMP_SYS(open), 1, TO_WRITE, O_RDONLY},
    {SCMP_SYS(openat), 2, TO_WRITE, O_RDONLY},
};

static int
add_calls(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, action, calls[i], 0);
	return r;
}

static int
add_only(scmp_filter_ctx f, const struct only *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, v[i].call, 1,
		    SCMP_CMP64(
			v[i].arg, SCMP_CMP_MASKED_EQ, v[i].mask, v[i].value));
	return r;
}

static int
enter(scmp_filter_ctx f, enum sandbox profile)
{
	/* Whoever ends by abort() signals itself, and nobody else. */
	const struct only own_signals[] = {
	    {SCMP_SYS(tgkill), 0, INT, (uint64_t)getpid()}};
	const uint32_t no = SCMP_ACT_ERRNO(ENOSYS);
	int r;

	/* Errors are to be the kernel's own. */
	if ((r = seccomp_attr_set(f, SCMP_FLTATR_API_SYSRAWRC, 1)) != 0 ||
	    /* Another way to count system calls (x32, i386) is no way around. */
	    (r = seccomp_attr_set(
		 f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) != 0 ||
	    (r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1)) != 0 ||
	    /* A tree: a packet's calls are found in a few steps. */
	    (r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2)) != 0)
		return r;
	if ((r = add_calls(f, SCMP_ACT_ALLOW, always, COUNT(always))) != 0 ||
	    (r = add_calls(f, no, absent, COUNT(absent))) != 0 ||
	    (r = add_only(f, only, COUNT(only))) != 0 ||
	    (r = add_only(f, own_signals, COUNT(own_signals))) != 0)
		return r;
	if (profile == SANDBOX_DATABASE)
		r = add_calls(f, SCMP_ACT_ALLOW, writing, COUNT(writing));
	else
		r = add_only(f, reading, COUNT(reading));
	return r != 0 ? r : seccomp_load(f);
}

void
sandbox_enter(enum sandbox profile)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f == NULL ? -ENOSYS : enter(f, profile);

	seccomp_release(f);
	if (r == 0)
		log_debug("sandbox: entered");
	else
		log_warnx("sandbox: seccomp does not work here: %s; going on "
			  "without",
		    strerror(-r));
}

#endif

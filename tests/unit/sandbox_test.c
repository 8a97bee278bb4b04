/*
 * sandbox: what a daemon does goes on inside; anything else ends the process,
 * each call in a child of its own. In builds that have no sandbox nothing
 * ends, and a line says so.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "run/log.h"
#include "run/sandbox.h"
#include "tests/tap.h"

#ifdef SANDBOX_NONE
static const bool none = true;
#else
static const bool none = false;
#endif

/* Open before the sandbox, as in a daemon. */
static int listener, old_file;
static struct sockaddr_in listener_at;
static char folder[] = "/tmp/sandbox_test.XXXXXX";

static void
must(bool good)
{
	if (!good)
		_exit(3);
}

/* ---- what daemons do ---- */

static void *
thread_main(void *arg)
{
	pthread_setname_np(pthread_self(), "worker");
	free(malloc(100000));
	return arg;
}

static void
call_threads(void)
{
	pthread_t t;

	must(pthread_create(&t, NULL, thread_main, NULL) == 0);
	must(pthread_join(t, NULL) == 0);
}

static void
call_memory(void)
{
	char *p = malloc(1 << 22);

	must(p != NULL && (p = realloc(p, 1 << 24)) != NULL);
	p[1 << 23] = 1;
	free(p);
}

static void
call_loop(void)
{
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	struct epoll_event e = {.events = EPOLLIN}, got;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	int pipes[2];

	must(ep != -1 && timer != -1 && pipe2(pipes, O_CLOEXEC) == 0 &&
	    eventfd(0, EFD_CLOEXEC) != -1);
	must(timerfd_settime(timer, 0, &soon, NULL) == 0 &&
	    epoll_ctl(ep, EPOLL_CTL_ADD, timer, &e) == 0 &&
	    epoll_wait(ep, &got, 1, -1) == 1);
}

static void
call_client(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char byte;
	int on = 1, fd;

	fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
	must(fd != -1 && recv(fd, &byte, 1, 0) == 1 &&
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0 &&
	    getpeername(fd, (struct sockaddr *)&from, &len) == 0 &&
	    send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
	    ioctl(fd, FIONREAD, &on) == 0 && shutdown(fd, SHUT_WR) == 0 &&
	    close(fd) == 0);
}

static void
call_notify(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/none"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	must(fd != -1);
	(void)sendto(
	    fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
}

static void
call_interface(void)
{
	char name[IF_NAMESIZE];

	must(if_indextoname(1, name) != NULL || errno == ENXIO);
}

static void
call_read(void)
{
	char byte;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd != -1 && read(fd, &byte, 1) == 1 && fstat(fd, &st) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0 && stat("/proc/self/fd", &st) == 0 &&
	    access("/", R_OK) == 0 && close(fd) == 0);
}

static void
call_system(void)
{
	struct rlimit limit;
	struct timespec ts = {0, 1};
	time_t now = time(NULL);
	struct tm tm;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0 && getpid() > 0 &&
	    clock_gettime(CLOCK_MONOTONIC, &ts) == 0 &&
	    localtime_r(&now, &tm) != NULL && sysconf(_SC_PHYS_PAGES) > 0 &&
	    sysconf(_SC_NPROCESSORS_ONLN) > 0);
	log_info("a line");
}

static void
on_signal(int number)
{
	(void)number;
}

static void
call_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};

	must(sigaction(SIGHUP, &act, NULL) == 0 && raise(SIGHUP) == 0);
}

/* Calls that only newer kernels have; the C library tries something else. */
static void
call_optional(void)
{
	must(syscall(SYS_clone3, NULL, 0) == -1);
	must(none || errno == ENOSYS);
#ifdef SYS_openat2
	must(syscall(SYS_openat2, -1, NULL, NULL, 0) == -1);
	must(none || errno == ENOSYS);
#endif
}

/* ---- what databases do ---- */

static const char *
path(const char *name)
{
	static char text[2][100];
	static int turn;

	turn = !turn;
	snprintf(text[turn], sizeof(text[0]), "%s/%s", folder, name);
	return text[turn];
}

static void
call_create(void)
{
	int fd = open(path("a"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	must(fd != -1 && close(fd) == 0);
}

static void
call_write(void)
{
	must(pwrite(old_file, "x", 1, 5) == 1 && ftruncate(old_file, 3) == 0 &&
	    fsync(old_file) == 0);
}

/* What SQLite does with its -shm file and its locks. */
static void
call_database(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path("db"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *p;

	must(fd != -1 && fchmod(fd, 0600) == 0 &&
	    fcntl(fd, F_SETLK, &lock) == 0 && ftruncate(fd, 32768) == 0);
	p = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	p[0] = 1;
	must(munmap(p, 32768) == 0 && fdatasync(fd) == 0 &&
	    rename(path("db"), path("db2")) == 0 && unlink(path("db2")) == 0 &&
	    close(fd) == 0);
}

/* ---- what neither does ---- */

static void
call_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void
call_mprotect_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	(void)mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

/* One call, which would do nothing, or fail, without a sandbox. */
struct plain {
	const char *what;
	bool database;
	long call, a, b, c, d;
};

#define NONE   (long)"/none"
#define READ   (O_RDONLY | O_CLOEXEC)
#define X32(n) (0x40000000 | (n)) /* the same kernel by another count */

static const struct plain plains[] = {
    {"opening to write", true, SYS_openat, AT_FDCWD, NONE, O_WRONLY, 0},
    {"opening to do both", true, SYS_openat, AT_FDCWD, NONE, O_RDWR, 0},
    {"opening and creating", true, SYS_openat, -1, (long)"", READ | O_CREAT, 0},
    {"opening and emptying", true, SYS_openat, AT_FDCWD, NONE, READ | O_TRUNC,
	0},
    {"pwrite", true, SYS_pwrite64, -1, 0, 0, 0},
    {"ftruncate", true, SYS_ftruncate, -1, 0, 0, 0},
    {"fsync", true, SYS_fsync, -1, 0, 0, 0},
    {"renaming", true, SYS_renameat2, -1, (long)"", -1, (long)""},
    {"unlinking", true, SYS_unlinkat, AT_FDCWD, NONE, 0, 0},
    {"linking", true, SYS_linkat, -1, (long)"", -1, (long)""},
    {"a folder", true, SYS_mkdirat, -1, (long)"", 0, 0},
    {"a program", false, SYS_execve, NONE, 0, 0, 0},
    {"another way to a program", false, SYS_execveat, -1, NONE, 0, 0},
    {"ptrace", false, SYS_ptrace, PTRACE_PEEKDATA, 0, 0, 0},
    {"connect", false, SYS_connect, -1, 0, 0, 0},
    {"bind", false, SYS_bind, -1, 0, 0, 0},
    {"listen", false, SYS_listen, -1, 0, 0, 0},
    {"an IPv4 socket", false, SYS_socket, AF_INET, SOCK_STREAM, 0, 0},
    {"an IPv6 socket", false, SYS_socket, AF_INET6, SOCK_DGRAM, 0, 0},
    {"a netlink socket", false, SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0},
    {"kill", false, SYS_kill, 1, 0, 0, 0},
    {"a signal to another process", false, SYS_tgkill, 1, 1, 0, 0},
    {"code by mmap", false, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, MAP_SHARED},
    {"setuid", false, SYS_setresuid, -1, -1, -1, 0},
    {"setting a limit", false, SYS_prlimit64, 0, 9999, 1, 0},
    {"prctl", false, SYS_prctl, PR_SET_DUMPABLE, 9999, 0, 0},
    {"typing into a terminal", false, SYS_ioctl, -1, TIOCSTI, 0, 0},
    {"unshare", false, SYS_unshare, 0, 0, 0, 0},
    {"mount", false, SYS_mount, NONE, NONE, 0, 0},
    {"chroot", false, SYS_chroot, NONE, 0, 0, 0},
    {"bpf", false, SYS_bpf, -1, 0, 0, 0},
    {"io_uring", false, SYS_io_uring_setup, 0, 0, 0, 0},
    {"the memory of processes", false, SYS_process_vm_readv, -1, 0, 0, 0},
    {"personality", false, SYS_personality, 0xffffffff, 0, 0, 0},
    {"a call that is not there", false, 9999, 0, 0, 0, 0},
    {"x32", false, X32(SYS_getppid), 0, 0, 0, 0},
};

/* ---- each of them in both sandboxes ---- */

static const struct {
	const char *what;
	void (*call)(void);
	bool network, database;
} rows[] = {
    {"threads", call_threads, true, true},
    {"memory", call_memory, true, true},
    {"a loop", call_loop, true, true},
    {"a client", call_client, true, true},
    {"telling the service manager", call_notify, true, true},
    {"the name of an interface", call_interface, true, true},
    {"reading files", call_read, true, true},
    {"asking the system, a log line", call_system, true, true},
    {"signals", call_signals, true, true},
    {"calls of newer kernels", call_optional, true, true},
    {"creating a file", call_create, false, true},
    {"writing a file", call_write, false, true},
    {"a database", call_database, false, true},
    {"a process", call_fork, false, false},
    {"code by mprotect", call_mprotect_exec, false, false},
};

/* The status of a child that runs f; what it writes is kept in said. */
static char said[1024];

static int
status_of(void (*f)(const void *), const void *arg)
{
	int fds[2], status = -1;
	size_t nsaid = 0;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		exit(1);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		f(arg);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + nsaid, sizeof(said) - 1 - nsaid)) > 0)
		nsaid += (size_t)n;
	said[nsaid] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

struct job {
	enum sandbox profile;
	void (*call)(void); /* or */
	const struct plain *plain;
};

static void
run_inside(const void *arg)
{
	const struct job *job = arg;

	sandbox_enter(job->profile);
	if (job->plain == NULL)
		job->call();
	else
		(void)syscall(job->plain->call, job->plain->a, job->plain->b,
		    job->plain->c, job->plain->d, -1, 0);
}

static bool
ended_by(int status, int number)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

/* A client that waits to be accepted, or -1. */
static int
client_of_listener(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&listener_at, sizeof(listener_at)) ==
		-1 ||
	    send(fd, "x", 1, 0) != 1)
		exit(1);
	return fd;
}

static void
try_job(const struct job *job, bool may, const char *what)
{
	int client = -1, status;
	char label[100];

	if (job->call == call_client)
		client = client_of_listener();
	status = status_of(run_inside, job);
	snprintf(label, sizeof(label), "%s: %s%s",
	    job->profile == SANDBOX_NETWORK ? "network" : "database",
	    may ? "" : "not ", what);
	if (!ok(may || none ? status == 0 : ended_by(status, SIGSYS), label))
		printf("# status %#x, %s\n", (unsigned)status, said);
	close(client);
}

static void
test_profile(enum sandbox profile)
{
	bool writes = profile == SANDBOX_DATABASE;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct job job = {profile, rows[i].call, NULL};

		try_job(&job, writes ? rows[i].database : rows[i].network,
		    rows[i].what);
	}
	for (size_t i = 0; i < sizeof(plains) / sizeof(plains[0]); i++) {
		struct job job = {profile, NULL, &plains[i]};

		try_job(&job, writes && plains[i].database, plains[i].what);
	}
}

/* ---- the rest ---- */

static void
call_abort(void)
{
	abort();
}

static void
test_abort(void)
{
	const struct job job = {SANDBOX_NETWORK, call_abort, NULL};

	ok(ended_by(status_of(run_inside, &job), SIGABRT),
	    "abort is an abort still");
}

static int gate[2];

static void *
wait_and_call(void *arg)
{
	char byte;

	must(read(gate[0], &byte, 1) == 1);
	call_fork();
	return arg;
}

/* A thread that was there before is inside, too. */
static void
run_other_thread(const void *arg)
{
	pthread_t t;

	(void)arg;
	must(pipe(gate) == 0 &&
	    pthread_create(&t, NULL, wait_and_call, NULL) == 0);
	sandbox_enter(SANDBOX_NETWORK);
	must(write(gate[1], "x", 1) == 1 && pthread_join(t, NULL) == 0);
}

static void
test_other_thread(void)
{
	int status = status_of(run_other_thread, NULL);

	ok(none ? status == 0 : ended_by(status, SIGSYS),
	    "threads that were there are inside");
}

/* As on a kernel without seccomp. */
static void
run_without_seccomp(const void *arg)
{
	struct sock_filter steps[] = {
	    BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};

	(void)arg;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
	sandbox_enter(SANDBOX_NETWORK);
	call_fork();
}

static void
test_without_seccomp(void)
{
	int status = status_of(run_without_seccomp, NULL);
	const char *line =
	    none ? "sandbox: none in this build" : "sandbox: seccomp does not";
	const char *at = strstr(said, line);

	eq_int(status, 0, "without seccomp it goes on");
	ok(at != NULL && strchr(at, '\n') != NULL &&
		strchr(at, '\n')[1] == '\0',
	    "and says so in one line");
	printf("# %s", said);
}

static void
open_files(void)
{
	socklen_t len = sizeof(listener_at);
	struct rlimit no_core = {0, 0};

	listener_at.sin_family = AF_INET;
	listener_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (mkdtemp(folder) == NULL ||
	    bind(listener, (struct sockaddr *)&listener_at, len) == -1 ||
	    listen(listener, 10) == -1 ||
	    getsockname(listener, (struct sockaddr *)&listener_at, &len) ==
		-1 ||
	    (old_file = open(
		 path("old"), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1 ||
	    setrlimit(RLIMIT_CORE, &no_core) == -1)
		exit(1);
}

static void
remove_files(void)
{
	unlink(path("a"));
	unlink(path("old"));
	unlink(path("db"));
	unlink(path("db2"));
	rmdir(folder);
}

int
main(void)
{
	if (access("/proc/sys/kernel/seccomp/actions_avail", R_OK) == -1) {
		printf("1..0 # skip this kernel has no seccomp\n");
		return 0;
	}
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_init("prog", LOG_DEBUG_LEVEL);
	open_files();
	test_profile(SANDBOX_NETWORK);
	test_profile(SANDBOX_DATABASE);
	test_abort();
	test_other_thread();
	test_without_seccomp();
	remove_files();
	return tap_done();
}

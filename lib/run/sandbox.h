/*
 * sandbox: once all is open and root is given up, leaves the process only the
 * system calls that its work needs (seccomp). Any other call ends it at once
 * with SIGSYS: a call that nobody foresaw means that the code is not ours any
 * more, or that a list here is wrong; going on with an error code would let
 * an intruder try the next one, and hide the mistake from the tests. The
 * kernel's log names the call ("type=1326 ... syscall=").
 *
 * Optional calls of newer C libraries get ENOSYS, as from an older kernel.
 *
 * Not in builds with a sanitizer, or with WITHOUT_SANDBOX defined: their
 * runtimes open files and make calls of their own. They say so in a debug
 * line and go on; SANDBOX_NONE is defined.
 */
#ifndef RUN_SANDBOX_H
#define RUN_SANDBOX_H

#if defined(WITHOUT_SANDBOX) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__)
#define SANDBOX_NONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANDBOX_NONE 1
#endif
#endif

enum sandbox {
	/*
	 * Clients on sockets that are open: memory, threads, the loop, logs,
	 * reading files. No process, no program, no new listener, no
	 * connection to elsewhere, no writing or removing of files.
	 */
	SANDBOX_NETWORK,
	/* And files are written, locked, renamed and removed. */
	SANDBOX_DATABASE,
};

/*
 * Enters, for good and for all threads. What loads shared libraries, such as
 * OpenSSL's configuration, must have happened: no memory becomes executable
 * any more. Where the kernel cannot do it, says so in one line and goes on.
 */
void sandbox_enter(enum sandbox profile);

#endif

/*
 * helper: the process of igd.c as an object of the loop: one job, its reports,
 * its end. It is killed only where it has nothing to remove: else it is left
 * alone, and ends by its own limits.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probes/natprobe/gateway/gateway.h"

struct helper {
	struct loop *loop;
	pid_t pid;
	int fd;
	struct watch *watch;
	struct timer *timer;
	helper_fn *fn;
	void *arg;
	bool maps, told, said_end;
};

static void
end(struct helper *h)
{
	watch_on(h->watch, false);
	timer_set(h->timer, MONO_NEVER);
	if (h->said_end || h->fn == NULL)
		return;
	h->said_end = true;
	h->fn(h->arg, NULL);
}

/* Strings that end; the rest is numbers, which are checked where they are
 * used. */
static void
tidy(struct igd_report *r)
{
	char *const texts[] = {r->maker, r->model, r->name, r->status};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		texts[i][SSDP_NAME_MAX - 1] = '\0';
		for (char *c = texts[i]; *c != '\0'; c++)
			if (*c < ' ' || *c >= 0x7f)
				*c = '?';
	}
	r->external[sizeof(r->external) - 1] = '\0';
}

static void
on_report(void *arg)
{
	struct helper *h = arg;
	struct igd_report r;
	ssize_t n = recv(h->fd, &r, sizeof(r), MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(r) || (unsigned)r.stage >= IGD_STAGES ||
	    (unsigned)r.fault >= IGD_FAULTS) {
		end(h);
		return;
	}
	tidy(&r);
	h->fn(h->arg, &r);
}

static void
let_go(struct helper *h)
{
	if (h->pid > 0 && !h->maps)
		kill(h->pid, SIGKILL);
	(void)shutdown(h->fd, SHUT_RDWR);
}

static void
on_limit(void *arg)
{
	struct helper *h = arg;

	let_go(h);
	end(h);
}

struct helper *
helper_new(struct loop *l)
{
	struct helper *h = calloc(1, sizeof(*h));
	int pair[2];

	if (h == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		free(h);
		return NULL;
	}
	h->loop = l;
	h->pid = fork();
	if (h->pid == 0)
		igd_run(pair[1]);
	close(pair[1]);
	h->fd = pair[0];
	h->watch = watch_new(l, h->fd, WATCH_READ, on_report, h);
	h->timer = timer_new(l, on_limit, h);
	if (h->pid == -1 || h->watch == NULL || h->timer == NULL) {
		helper_free(h);
		return NULL;
	}
	return h;
}

void
helper_ask(struct helper *h, const struct igd_job *job, int64_t limit_us,
    helper_fn *fn, void *arg)
{
	h->fn = fn;
	h->arg = arg;
	h->maps = job->map;
	timer_set(h->timer, mono_add_us(loop_now(h->loop), limit_us));
	watch_on(h->watch, true);
	/* Should it fail, the process is gone, which is read. */
	(void)send(h->fd, job, sizeof(*job), MSG_NOSIGNAL);
}

void
helper_remove(struct helper *h)
{
	/* Once: what it leaves unread would take its last report away. */
	if (!h->told)
		(void)send(h->fd, "r", 1, MSG_NOSIGNAL);
	h->told = true;
}

/* Nobody waits for one that still has a mapping to remove. */
void
helper_free(struct helper *h)
{
	if (h == NULL)
		return;
	watch_free(h->watch);
	timer_free(h->timer);
	let_go(h);
	close(h->fd);
	if (h->pid > 0)
		(void)waitpid(h->pid, NULL, h->maps ? WNOHANG : 0);
	free(h);
}

/* simio: see simio.h. Test code: running out of memory is an abort. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "run/io.h"
#include "run/loop.h"
#include "tests/sim/simio.h"

#define LIST_MAX 4096

struct timer {
	loop_fn *fn;
	void *arg;
	struct mono at;
};

struct watch {
	struct loop *loop;
	int fd;
	bool on, dead;
	loop_fn *fn;
	void *arg;
};

struct loop {
	loop_fn *turn;
	void *turn_arg;
	struct watch *watches[64];
	size_t nwatches;
};

struct io_env {
	struct loop *loop;
};

struct buffer {
	uint8_t *p;
	size_t n;
};

struct io {
	int fd;
	const struct io_ops *ops;
	void *arg;
	struct buffer in; /* not used by the relay yet */
	struct buffer out; /* taken by the kernel */
	struct buffer pending;
	size_t want, room;
	struct mono stalled;
	bool closed, inside;
};

static struct mono now = {1000000};
static struct timer *timers[LIST_MAX];
static struct io *ios[SIM_FDS];
static size_t rooms[SIM_FDS];

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void
append(struct buffer *b, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	b->p = must(realloc(b->p, b->n + n));
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void
cut_front(struct buffer *b, size_t n)
{
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

/* ---- loop.h ---- */

struct loop *
loop_new(void)
{
	return must(calloc(1, sizeof(struct loop)));
}

void
loop_free(struct loop *l)
{
	free(l);
}

void
loop_run(struct loop *l)
{
	(void)l;
}

void
loop_stop(struct loop *l)
{
	(void)l;
}

void
loop_on_turn(struct loop *l, loop_fn *fn, void *arg)
{
	l->turn = fn;
	l->turn_arg = arg;
}

struct mono
loop_now(struct loop *l)
{
	(void)l;
	return now;
}

struct timer *
timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct timer *t = must(calloc(1, sizeof(*t)));
	size_t i = 0;

	(void)l;
	while (timers[i] != NULL)
		i++;
	t->fn = fn;
	t->arg = arg;
	return timers[i] = t;
}

void
timer_set(struct timer *t, struct mono deadline)
{
	t->at = deadline;
}

void
timer_free(struct timer *t)
{
	for (size_t i = 0; t != NULL && i < LIST_MAX; i++)
		if (timers[i] == t)
			timers[i] = NULL;
	free(t);
}

struct watch *
watch_new(struct loop *l, int fd, enum watch_kind kind, loop_fn *fn, void *arg)
{
	struct watch *w = must(calloc(1, sizeof(*w)));

	(void)kind;
	*w = (struct watch){l, fd, false, false, fn, arg};
	l->watches[l->nwatches++] = w;
	return w;
}

void
watch_on(struct watch *w, bool on)
{
	w->on = on;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->loop->nwatches; i++)
		if (w->loop->watches[i] == w)
			w->loop->watches[i] =
			    w->loop->watches[--w->loop->nwatches];
	free(w);
}

void
sim_turn(struct loop *l)
{
	for (size_t i = 0; i < l->nwatches; i++) {
		struct pollfd p = {l->watches[i]->fd, POLLIN, 0};

		if (l->watches[i]->on && poll(&p, 1, 0) == 1)
			l->watches[i]->fn(l->watches[i]->arg);
	}
	if (l->turn != NULL)
		l->turn(l->turn_arg);
}

struct mono
sim_now(void)
{
	return now;
}

struct mono
sim_next(void)
{
	struct mono next = MONO_NEVER;

	for (size_t i = 0; i < LIST_MAX; i++)
		if (timers[i] != NULL)
			next = mono_earlier(next, timers[i]->at);
	return next;
}

void
sim_advance(int64_t us)
{
	now = mono_add_us(now, us);
	for (size_t i = 0; i < LIST_MAX; i++) {
		struct timer *t = timers[i];

		if (t == NULL || !mono_reached(t->at, now))
			continue;
		t->at = MONO_NEVER;
		t->fn(t->arg);
	}
}

/* ---- io.h ---- */

struct io_env *
io_env_new(struct loop *l)
{
	struct io_env *env = must(calloc(1, sizeof(*env)));

	env->loop = l;
	return env;
}

void
io_env_free(struct io_env *env)
{
	free(env);
}

struct io *
io_new(struct io_env *env, int fd, struct tls_context *c,
    const struct io_ops *ops, void *arg)
{
	struct io *io = must(calloc(1, sizeof(*io)));

	(void)env;
	(void)c;
	io->fd = fd;
	io->ops = ops;
	io->arg = arg;
	io->room = rooms[fd];
	return ios[fd] = io;
}

/* Moves what fits from pending to the kernel's buffer. */
static void
settle(struct io *io)
{
	size_t room = io->room - io->out.n;
	size_t n = io->pending.n < room ? io->pending.n : room;

	append(&io->out, io->pending.p, n);
	if (n > 0)
		cut_front(&io->pending, n);
	if (io->pending.n == 0)
		io->stalled = MONO_NEVER;
	else if (n > 0 || !mono_is_set(io->stalled))
		io->stalled = now;
}

void
io_write(struct io *io, const void *p, size_t n)
{
	if (io->closed)
		return;
	append(&io->pending, p, n);
	settle(io);
}

size_t
io_pending(const struct io *io)
{
	return io->pending.n;
}

struct mono
io_stalled_since(const struct io *io)
{
	return io->stalled;
}

void
io_shutdown(struct io *io)
{
	(void)io;
}

void
io_close(struct io *io)
{
	io->closed = true;
}

void
io_free(struct io *io)
{
	if (io == NULL)
		return;
	if (io->inside || !io->closed)
		abort(); /* freed inside its own callback, or while open */
	ios[io->fd] = NULL;
	free(io->in.p);
	free(io->out.p);
	free(io->pending.p);
	free(io);
}

int64_t
io_rtt_us(const struct io *io)
{
	(void)io;
	return 1000;
}

int
io_tls_minor(const struct io *io)
{
	(void)io;
	return -1;
}

void
io_set_tcp_options(int fd, int64_t idle_us, int64_t user_timeout_us)
{
	(void)fd;
	(void)idle_us;
	(void)user_timeout_us;
}

/* ---- the other side ---- */

void
sim_open(int fd, size_t room)
{
	rooms[fd] = room;
}

bool
sim_is_open(int fd)
{
	return ios[fd] != NULL && !ios[fd]->closed;
}

void
sim_send(int fd, const uint8_t *p, size_t n)
{
	struct io *io = ios[fd];
	size_t used;

	if (!sim_is_open(fd))
		return;
	append(&io->in, p, n);
	if (io->in.n < io->want)
		return;
	io->inside = true;
	io->want = 0;
	used = io->ops->data(io->arg, io->in.p, io->in.n, &io->want);
	io->inside = false;
	if (!io->closed)
		cut_front(&io->in, used);
}

size_t
sim_recv(int fd, uint8_t *p, size_t n)
{
	struct io *io = ios[fd];
	bool waited;

	if (io == NULL)
		return 0;
	if (n > io->out.n)
		n = io->out.n;
	if (n == 0)
		return 0;
	memcpy(p, io->out.p, n);
	cut_front(&io->out, n);
	waited = io->pending.n > 0;
	settle(io);
	if (waited && io->pending.n == 0 && !io->closed)
		io->ops->drained(io->arg);
	return n;
}

void
sim_close(int fd)
{
	if (sim_is_open(fd))
		ios[fd]->ops->end(ios[fd]->arg, IO_END_EOF, "closed by peer");
}

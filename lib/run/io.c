/*
 * io: reads and writes sockets through the loop's shared buffers.
 *
 *   read:   socket -> env->wire_in -> tls_read -> env->plain -> ops->data
 *   write:  io_write -> tls_write -> env->wire_out -> socket
 *
 * A plain connection reads into env->plain and writes from the caller's bytes.
 * What ops->data leaves is kept in io->rest, with room for what it wants.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/io.h"
#include "run/loop.h"
#include "run/tls.h"

/* IO_WRITE_MAX in records of 16 KiB, or a handshake flight. */
#define WIRE_OUT_MAX (IO_WRITE_MAX + 32768)

#define REST_STEP    2048

/* What waits in the kernel cannot be overtaken or dropped any more: beyond
 * this many bytes not yet sent it waits with the caller. */
#define UNSENT_MAX 131072

struct io_env {
	struct loop *loop;
	uint8_t wire_in[IO_READ_MAX];
	uint8_t plain[IO_READ_MAX];
	uint8_t wire_out[WIRE_OUT_MAX];
};

/* n bytes at p + at, allocated cap. */
struct kept {
	uint8_t *p;
	size_t at, n, cap;
};

struct io {
	struct io_env *env;
	struct watch *readable, *writable;
	struct tls *tls; /* NULL: plain */
	const struct io_ops *ops;
	void *arg;
	struct kept rest; /* input that waits for more */
	size_t want; /* of it, before the reader can go on */
	struct kept out; /* output that waits for the kernel */
	struct mono stalled;
	int fd;
	bool ready, closed, shut;
};

struct io_env *
io_env_new(struct loop *l)
{
	struct io_env *env = malloc(sizeof(*env));

	if (env != NULL)
		env->loop = l;
	return env;
}

void
io_env_free(struct io_env *env)
{
	free(env);
}

static void
kept_clear(struct kept *k)
{
	free(k->p);
	memset(k, 0, sizeof(*k));
}

static void
end(struct io *io, enum io_end why, const char *detail)
{
	if (!io->closed)
		io->ops->end(io->arg, why, detail);
}

/* ---- writing ---- */

static void
writable_on(struct io *io, bool on)
{
	watch_on(io->writable, on);
	io->stalled = on ? loop_now(io->env->loop) : MONO_NEVER;
}

/* Sends what it can; returns how much, or -1 after ending the connection. */
static ssize_t
send_some(struct io *io, const uint8_t *p, size_t n)
{
	ssize_t r;

	do
		r = send(io->fd, p, n, MSG_NOSIGNAL);
	while (r == -1 && errno == EINTR);
	if (r >= 0)
		return r;
	if (errno == EAGAIN || errno == ENOBUFS)
		return 0;
	end(io, IO_END_WRITE, strerror(errno));
	return -1;
}

/* Appends to what waits for the kernel. */
static void
keep_out(struct io *io, const uint8_t *p, size_t n)
{
	struct kept *k = &io->out;
	uint8_t *grown;

	if (k->at + k->n + n > k->cap) {
		grown = malloc(k->n + n);
		if (grown == NULL) {
			end(io, IO_END_MEMORY, "out of memory");
			return;
		}
		if (k->n > 0)
			memcpy(grown, k->p + k->at, k->n);
		free(k->p);
		*k = (struct kept){grown, 0, k->n, k->n + n};
	}
	memcpy(k->p + k->at + k->n, p, n);
	k->n += n;
}

static void
send_or_keep(struct io *io, const uint8_t *p, size_t n)
{
	ssize_t sent = 0;

	if (n == 0 || io->closed)
		return;
	if (io->out.n == 0 && (sent = send_some(io, p, n)) == -1)
		return;
	if ((size_t)sent == n)
		return;
	keep_out(io, p + sent, n - (size_t)sent);
	if (!io->closed && !mono_is_set(io->stalled))
		writable_on(io, true);
}

static void
on_writable(void *arg)
{
	struct io *io = arg;
	struct kept *k = &io->out;
	ssize_t sent = send_some(io, k->p + k->at, k->n);

	if (sent <= 0)
		return;
	k->at += (size_t)sent;
	k->n -= (size_t)sent;
	io->stalled = loop_now(io->env->loop);
	if (k->n > 0)
		return;
	kept_clear(k);
	writable_on(io, false);
	if (io->shut)
		shutdown(io->fd, SHUT_WR);
	io->ops->drained(io->arg);
}

static struct tls_wire
wire_of(struct io *io)
{
	return (struct tls_wire){io->env->wire_out, 0, WIRE_OUT_MAX};
}

void
io_write(struct io *io, const void *p, size_t n)
{
	struct tls_wire wire = wire_of(io);

	if (io->closed || n == 0)
		return;
	if (io->tls == NULL) {
		send_or_keep(io, p, n);
		return;
	}
	if (tls_write(io->tls, p, n, &wire) != TLS_DONE) {
		end(io, IO_END_TLS, tls_error());
		return;
	}
	send_or_keep(io, wire.p, wire.n);
}

size_t
io_pending(const struct io *io)
{
	return io->out.n;
}

struct mono
io_stalled_since(const struct io *io)
{
	return io->stalled;
}

/* ---- reading ---- */

/* Keeps what was not used, with room for the want bytes in all that the
 * reader needs, or for some more where it does not know. */
static void
keep_rest(struct io *io, const uint8_t *p, size_t n, size_t want)
{
	struct kept old = io->rest;
	size_t least = want > n ? want : n + 1;
	size_t cap = want > n ? want : n + REST_STEP;

	if (n == 0) {
		kept_clear(&io->rest);
		return;
	}
	io->want = want;
	if (old.p != NULL && least <= old.cap) {
		memmove(old.p, p, n);
		io->rest.n = n;
		return;
	}
	io->rest = (struct kept){malloc(cap), 0, n, cap};
	if (io->rest.p == NULL) {
		io->rest = old;
		end(io, IO_END_MEMORY, "out of memory");
		return;
	}
	memcpy(io->rest.p, p, n);
	kept_clear(&old);
}

/* Gives n new bytes, which lie at the end of io->rest or in env->plain. */
static void
deliver(struct io *io, size_t n)
{
	uint8_t *p = io->env->plain;
	size_t want = 0, used;

	if (io->rest.p != NULL) {
		io->rest.n += n;
		if (io->rest.n < io->want)
			return;
		p = io->rest.p;
		n = io->rest.n;
	}
	used = io->ops->data(io->arg, p, n, &want);
	if (!io->closed)
		keep_rest(io, p + used, n - used, want);
}

/* Where new bytes go, and how many fit. */
static uint8_t *
room_of(struct io *io, size_t *room)
{
	if (io->rest.p == NULL) {
		*room = IO_READ_MAX;
		return io->env->plain;
	}
	*room = io->rest.cap - io->rest.n;
	return io->rest.p + io->rest.n;
}

/* One recv; returns the bytes, or 0 if there is nothing now or the end came. */
static size_t
receive(struct io *io, uint8_t *p, size_t room)
{
	ssize_t n = recv(io->fd, p, room, 0);

	if (n > 0)
		return (size_t)n;
	if (n == 0)
		end(io, IO_END_EOF, "closed by peer");
	else if (errno != EAGAIN && errno != EINTR)
		end(io, IO_END_READ, strerror(errno));
	return 0;
}

static void
read_plain(struct io *io)
{
	size_t room, n, sum = 0;
	uint8_t *p;

	do {
		p = room_of(io, &room);
		n = receive(io, p, room);
		if (n > 0)
			deliver(io, n);
		sum += n;
	} while (n == room && !io->closed && sum < IO_READ_MAX);
}

static bool
handshake(struct io *io)
{
	struct tls_wire wire = wire_of(io);
	enum tls_result r = tls_handshake(io->tls, &wire);

	/* The alert that says why a handshake failed goes out as well. */
	send_or_keep(io, wire.p, wire.n);
	if (io->closed || r == TLS_WANT)
		return false;
	if (r != TLS_DONE) {
		end(io, IO_END_TLS, tls_error());
		return false;
	}
	io->ready = true;
	io->ops->ready(io->arg);
	return !io->closed;
}

/*
 * Decrypts up to room bytes: records are joined, so that frames across them
 * stay whole. What the record layer itself has to say (an answer to a
 * KeyUpdate) is sent before the callbacks use wire_out.
 */
static enum tls_result
decrypt(struct io *io, uint8_t *p, size_t room, size_t *fill)
{
	struct tls_wire wire;
	enum tls_result r;
	size_t n;

	*fill = 0;
	do {
		wire = wire_of(io);
		r = tls_read(io->tls, p + *fill, room - *fill, &n, &wire);
		*fill += n;
		send_or_keep(io, wire.p, wire.n);
	} while (r == TLS_DONE && *fill < room && !io->closed);
	return r;
}

static void
read_tls(struct io *io)
{
	size_t n = receive(io, io->env->wire_in, IO_READ_MAX), room;
	enum tls_result r;
	uint8_t *p;

	if (n == 0)
		return;
	tls_feed(io->tls, io->env->wire_in, n);
	if (!io->ready && !handshake(io))
		return;
	do {
		p = room_of(io, &room);
		r = decrypt(io, p, room, &n);
		if (r == TLS_FAILED)
			end(io, IO_END_TLS, tls_error());
		else if (n > 0 && !io->closed)
			deliver(io, n);
	} while (r == TLS_DONE && !io->closed);
	if (r == TLS_CLOSED)
		end(io, IO_END_EOF, "closed by peer");
}

static void
on_readable(void *arg)
{
	struct io *io = arg;

	if (io->tls != NULL)
		read_tls(io);
	else
		read_plain(io);
}

/* ---- life ---- */

void
io_give(struct io *io, const struct io_ops *ops, void *arg)
{
	io->ops = ops;
	io->arg = arg;
}

struct io *
io_new(struct io_env *env, int fd, struct tls_context *c,
    const struct io_ops *ops, void *arg)
{
	struct io *io = calloc(1, sizeof(*io));

	if (io == NULL)
		return NULL;
	io->env = env;
	io->fd = fd;
	io->ops = ops;
	io->arg = arg;
	io->readable = watch_new(env->loop, fd, WATCH_READ, on_readable, io);
	io->writable = watch_new(env->loop, fd, WATCH_WRITE, on_writable, io);
	if (c != NULL)
		io->tls = tls_new(c);
	if (io->readable == NULL || io->writable == NULL ||
	    (c != NULL && io->tls == NULL)) {
		io->fd = -1;
		io_free(io);
		return NULL;
	}
	watch_on(io->readable, true);
	return io;
}

void
io_shutdown(struct io *io)
{
	struct tls_wire wire = wire_of(io);

	if (io->closed || io->shut)
		return;
	io->shut = true;
	if (io->tls != NULL) {
		tls_shutdown(io->tls, &wire);
		send_or_keep(io, wire.p, wire.n);
	}
	if (!io->closed && io->out.n == 0)
		shutdown(io->fd, SHUT_WR);
}

void
io_close(struct io *io)
{
	if (io->closed)
		return;
	io->closed = true;
	watch_on(io->readable, false);
	watch_on(io->writable, false);
	close(io->fd);
	io->fd = -1;
}

void
io_free(struct io *io)
{
	if (io == NULL)
		return;
	if (io->fd != -1)
		io_close(io);
	watch_free(io->readable);
	watch_free(io->writable);
	tls_free(io->tls);
	kept_clear(&io->rest);
	kept_clear(&io->out);
	free(io);
}

int
io_tls_minor(const struct io *io)
{
	return io->tls == NULL ? -1 : tls_minor_version(io->tls);
}

int64_t
io_rtt_us(const struct io *io)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(io->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1)
		return -1;
	return info.tcpi_rtt;
}

void
io_set_tcp_options(int fd, int64_t idle_us, int64_t user_timeout_us)
{
	int on = 1, interval = 15, count = 9, unsent = UNSENT_MAX;
	int idle = (int)(idle_us / 1000000);
	unsigned timeout = (unsigned)(user_timeout_us / 1000);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (timeout > 0)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
		    sizeof(timeout));
	if (idle <= 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/*
 * io: one TCP connection, plain or TLS, on one loop. Both look the same from
 * above; no protocol code calls a socket or SSL function.
 *
 * An idle connection holds no buffer: bytes are read into buffers that all
 * connections of a loop share (struct io_env), and only what the reader could
 * not use yet, or the kernel did not take yet, is kept.
 */
#ifndef RUN_IO_H
#define RUN_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

struct io;
struct io_env;
struct loop;
struct tls_context;

/* The shared buffers of a loop. NULL when memory is short. */
struct io_env *io_env_new(struct loop *l);
void io_env_free(struct io_env *env);

/* What one wake-up reads from one connection at most, and what io_write takes
 * at most. */
#define IO_READ_MAX  65536
#define IO_WRITE_MAX 98304

enum io_end {
	IO_END_EOF, /* the peer closed */
	IO_END_READ, /* a read failed: reset, timed out */
	IO_END_WRITE, /* a write failed */
	IO_END_TLS, /* handshake or record layer failed */
	IO_END_MEMORY,
};

struct io_ops {
	/*
	 * n bytes have come; returns how many were used. The rest is given
	 * again once there are *want bytes in all (0: as soon as there are
	 * more). The bytes may be changed in place; they are gone after the
	 * return.
	 */
	size_t (*data)(void *arg, uint8_t *p, size_t n, size_t *want);
	/* The TLS handshake is complete (never called on a plain one). */
	void (*ready)(void *arg);
	/* The kernel has taken all that was written. */
	void (*drained)(void *arg);
	/* The connection is over. Call io_close; detail is one line. */
	void (*end)(void *arg, enum io_end why, const char *detail);
};

/* Serves fd, which it then owns; c is NULL for a plain connection. NULL when
 * memory is short: fd is then still the caller's. */
struct io *io_new(struct io_env *env, int fd, struct tls_context *c,
    const struct io_ops *ops, void *arg);

/* Gives the connection to another owner: further callbacks go to it. May be
 * called inside ops->data, whose unused bytes the new owner gets then. */
void io_give(struct io *io, const struct io_ops *ops, void *arg);

/*
 * Sends n bytes (IO_WRITE_MAX at most), as far as the kernel takes them; keeps
 * the rest. Callers look at io_pending first: nothing but a frame's worth is
 * ever kept. May call ops->end.
 */
void io_write(struct io *io, const void *p, size_t n);

/* Bytes (on the wire) that the kernel did not take yet; and since when it has
 * taken nothing, MONO_NEVER if none are pending. */
size_t io_pending(const struct io *io);
struct mono io_stalled_since(const struct io *io);

/* No more output: close_notify and FIN. Input still comes. */
void io_shutdown(struct io *io);

/* Ends the connection now; no callback comes any more. io_free gives the
 * memory back and must not be called inside a callback of this io. */
void io_close(struct io *io);
void io_free(struct io *io);

/* The kernel's smoothed round-trip time in microseconds, -1 if unknown. */
int64_t io_rtt_us(const struct io *io);

/* 2 or 3 for TLS 1.2 or 1.3, -1 for a plain connection. */
int io_tls_minor(const struct io *io);

/* TCP_NODELAY, keepalive (first probe after idle_us; off if 0) and
 * TCP_USER_TIMEOUT (RFC 5482; system's if 0) on an accepted socket. */
void io_set_tcp_options(int fd, int64_t idle_us, int64_t user_timeout_us);

#endif

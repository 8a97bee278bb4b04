/*
 * stream: requests over TCP and TLS (RFC 8489 section 6.2.2), on the thread of
 * a worker: accept.c takes connections, stream.c serves each.
 *
 * Nobody is waited for for ever, nor served without bound: connections are
 * bounded in number, in all and per source, a message in its length and in the
 * time that it takes to come, and what a peer does not read in bytes and time.
 * Beyond the number for all, who has been silent for the longest time makes
 * room.
 */
#ifndef STUND_STREAM_H
#define STUND_STREAM_H

#include <sys/queue.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"
#include "pure/stunsrv.h"
#include "run/addr.h"
#include "run/log.h"
#include "run/metrics.h"

struct io;
struct io_env;
struct stund_conf;
struct stund_place;
struct stund_worker;
struct timer;
struct watch;

/* The longest message: UDP takes as much. */
#define STREAM_MESSAGE_MAX 4096

/* Bytes of answers that the kernel did not take: who has as many does not
 * read. */
#define STREAM_PENDING_MAX 65536

/* Answers of one wake-up that are written at once. */
#define STREAM_OUT_MAX 16384

/* How long a handshake, a message from its first byte, a peer that reads
 * nothing, and the end of a connection may take. */
#define STREAM_HANDSHAKE_US INT64_C(10000000)
#define STREAM_MESSAGE_US   INT64_C(10000000)
#define STREAM_STALLED_US   INT64_C(10000000)
#define STREAM_DRAIN_US	    INT64_C(2000000)

/* Silent for less than this, nobody makes room for others. */
#define STREAM_ROOM_US INT64_C(10000000)

/* Why a connection ended. */
enum stream_close {
	STREAM_EOF,
	STREAM_RESET,
	STREAM_TLS_FAILED,
	STREAM_NOT_STUN, /* or longer than a message may be */
	STREAM_REFUSED, /* a source that gets no answer */
	STREAM_LIMITED, /* its bucket is empty */
	STREAM_TIMEOUT, /* a handshake or message was not whole in time */
	STREAM_IDLE,
	STREAM_SLOW, /* did not read its answers */
	STREAM_DISPLACED, /* made room for another */
	STREAM_FULL, /* no room */
	STREAM_SOURCE_FULL, /* its source has enough */
	STREAM_MEMORY,
	STREAM_STOPPED, /* stund ends */
	STREAM_CLOSES,
};

/* The reason as a metrics label: "eof", "reset" ... */
const char *stream_close_name(enum stream_close why);

/* Connections of all workers, and by hash of the source: a count is shared by
 * those that have the same place. */
#define STREAM_COUNTS 8192
struct stream_shared {
	_Atomic int32_t all;
	_Atomic int32_t of[STREAM_COUNTS];
	int32_t max, source_max;
	int64_t idle_us;
};

struct listener {
	struct streams *streams; /* lent */
	const struct stund_place *place; /* lent */
	enum stunsrv_transport transport;
	enum stunsrv_role role;
	int fd;
	struct watch *watch;
};

enum stream_state {
	STREAM_SHAKES, /* hands, for TLS */
	STREAM_OPEN,
	STREAM_DRAINS, /* all is said; what comes is thrown away */
	STREAM_DEAD, /* waits to be freed */
};

/* One connection. */
struct stream {
	struct streams *streams; /* lent */
	const struct listener *listener; /* lent */
	struct io *io;
	int fd; /* of io */
	struct timer *timer;
	struct stun_addr from, to;
	enum stream_state state;
	enum stream_close why; /* while it drains */
	struct mono deadline; /* of a state but OPEN, or of half a message */
	struct mono used; /* when it was accepted, or last sent a message */
	/* An answer that was asked for later (CN-DELAY), one at a time. */
	struct stunsrv_reply later;
	struct mono later_at; /* MONO_NEVER: none waits */
	TAILQ_ENTRY(stream) link;
};
TAILQ_HEAD(stream_list, stream);

struct stream_counts {
	metric accepted[STUNSRV_TRANSPORTS];
	metric connected[STUNSRV_TRANSPORTS]; /* now */
	metric closed[STREAM_CLOSES]; /* or refused */
	metric pauses; /* of accepting */
};

/* A worker's listeners and connections. */
struct streams {
	struct stund_worker *worker; /* lent */
	struct io_env *io;
	struct listener *listeners;
	size_t n_listeners;
	struct stream_list open; /* the longest silent first */
	struct stream_list dead;
	struct timer *resume; /* accepting */
	struct timer *bury;
	struct log_limit log_pause;
	uint8_t out[STREAM_OUT_MAX];
	struct stream_counts counts;
};

/* ---- accept.c ---- */

/* Sets the bounds of the options, as far as the limit of open files allows. */
void streams_limit(
    struct stream_shared *shared, const struct stund_conf *c, long files);

/* Listens at all places for a worker, as its UDP sockets do, whose ports are
 * known by then. NULL and one line in error. */
struct streams *streams_new(struct stund_worker *w, char *error, size_t cap);
/* Ends all connections. Not while the worker's thread runs. */
void streams_free(struct streams *all);

/* A place in the counts for one more, or not; and back. */
bool streams_enter(
    struct streams *all, const struct stun_addr *from, enum stream_close *why);
void streams_leave(struct streams *all, const struct stun_addr *from);

/* ---- stream.c ---- */

/* Serves fd, which it then owns; streams_enter has been called for it. */
void stream_open(const struct listener *l, int fd, const struct addr *from);
/* The only way out. */
void stream_close(struct stream *s, enum stream_close why);
void stream_free(struct stream *s);

#endif

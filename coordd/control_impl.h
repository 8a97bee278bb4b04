/*
 * control_impl: what control.c (connections), control_memory.c, request.c (the
 * requests on them) and machine.c (whose they are) share.
 */
#ifndef COORDD_CONTROL_IMPL_H
#define COORDD_CONTROL_IMPL_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "coordd/control.h"
#include "pure/keymap.h"

/* What is sealed at once. */
#define CONTROL_BURST (15 * NOISE_RECORD_MAX)

/* Streams that a client may have open; stock ones have four. */
#define REQUESTS_MAX 32
/* Bytes of header fields of one request; stock ones have 300. */
#define REQUEST_FIELDS_MAX 16384
#define REQUEST_PATH_MAX   128

struct queued {
	STAILQ_ENTRY(queued) entry;
	struct message *message;
};

struct request {
	struct control *control;
	LIST_ENTRY(request) entry;
	int32_t id;
	bool complete; /* handed to route_request */
	bool answered, begun, ending;
	size_t fields;
	char method[8];
	char path[REQUEST_PATH_MAX];
	struct text body;

	STAILQ_HEAD(, queued) queue; /* what goes out */
	unsigned count;
	size_t at; /* of the first message: bytes that are out */
	size_t waiting; /* bytes */
	/* When it came; and since it is complete, when something of it was
	 * taken last, or began to wait. */
	struct mono moved;

	const struct request_ops *ops;
	void *arg;
};

LIST_HEAD(request_list, request);

struct machine;

struct session_memory {
	uint8_t *pages; /* NULL: there were none */
	size_t used;
};

struct control {
	struct controls *all;
	TAILQ_ENTRY(control) entry;
	TAILQ_ENTRY(control) dirty_entry;
	TAILQ_ENTRY(control) machine_entry;
	struct machine *of; /* once it is proven; NULL: memory was short */
	bool dirty, dead, proven;
	struct io *io;
	struct noise noise;
	struct key machine;
	nghttp2_session *h2;
	struct session_memory memory; /* h2's */
	struct request_list requests;
	size_t bodies;
	struct mono active; /* since it has no request, or was accepted */
	const struct control_owner *owner;
	void *arg;
};

TAILQ_HEAD(control_list, control);
TAILQ_HEAD(machine_list, machine);

struct controls {
	struct coordd *c;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct control_list live, dirty, dead;
	struct keymap machines; /* that have a proven connection, or had one */
	struct machine_list idle; /* without one; who left first comes first */
	struct log_limit log_busy;
	struct text early; /* what each client is told first */
	/* Of the connection that is being flushed: fill bytes are to be
	 * sealed, at bytes are. */
	size_t fill, at;
	uint8_t plain[NOISE_PLAIN_MAX];
	uint8_t sealed[CONTROL_BURST];
};

/* control.c. It has something to say: written at the end of the turn. */
void control_dirty(struct control *k);
/* Adds to the output, within control_flush. False if the connection is dead. */
bool control_put(struct control *k, const uint8_t *p, size_t n);
/* The only way out. */
void control_close(struct control *k, const char *why);

/* control_memory.c. An allocator for one session, which stays where it is. */
nghttp2_mem session_memory_init(struct session_memory *m);
/* The session is gone. */
void session_memory_clear(struct session_memory *m);

/* machine.c. The connection is proven to be its machine's: the oldest one goes
 * if there are too many. False if memory is short: it is not counted. */
bool machine_enter(struct control *k);
void machine_leave(struct control *k);
enum machine_wish {
	MACHINE_ASK, /* anything */
	MACHINE_DEAR, /* what costs a write to the disk */
	MACHINE_BEGIN, /* a map, or a stream of them */
};
/* Takes it from what the machine may have; false if there is nothing left. */
bool machine_may(const struct control *k, enum machine_wish wish);
/* Forgets who has been away: once a second. */
void machines_tick(struct controls *cs);
/* No connection is left. */
void machines_clear(struct controls *cs);

/* request.c. Has nghttp2 hand requests to it. */
bool requests_set_callbacks(struct controls *cs);
/* The client, or the connection, is gone: tells who cares. */
void request_gone(struct request *r);
/* Why the client has had enough time for it, or NULL; slow: it does not read. */
const char *request_overdue(
    const struct request *r, struct mono now, bool *slow);
void request_free(struct request *r);

#endif

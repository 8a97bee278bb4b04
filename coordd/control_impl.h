/*
 * control_impl: what control.c (connections) and request.c (the requests on
 * them) share.
 */
#ifndef COORDD_CONTROL_IMPL_H
#define COORDD_CONTROL_IMPL_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "coordd/control.h"

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
	bool answered, ending;
	size_t fields;
	char method[8];
	char path[REQUEST_PATH_MAX];
	struct text body;

	STAILQ_HEAD(, queued) queue; /* what goes out */
	unsigned count;
	size_t at; /* of the first message: bytes that are out */
	size_t waiting; /* bytes */

	const struct request_ops *ops;
	void *arg;
};

LIST_HEAD(request_list, request);

struct control {
	struct controls *all;
	TAILQ_ENTRY(control) entry;
	TAILQ_ENTRY(control) dirty_entry;
	bool dirty, dead, proven, stopping;
	struct io *io;
	struct noise noise;
	struct key machine;
	nghttp2_session *h2;
	struct request_list requests;
	size_t bodies;
	struct mono active; /* since it has no request, or was accepted */
	const struct control_owner *owner;
	void *arg;
};

TAILQ_HEAD(control_list, control);

struct controls {
	struct coordd *c;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct control_list live, dirty, dead;
	struct text early; /* what each client is told first */
	uint8_t plain[NOISE_PLAIN_MAX];
	uint8_t sealed[CONTROL_BURST];
};

/* control.c. It has something to say: written at the end of the turn. */
void control_dirty(struct control *k);
/* The only way out. */
void control_close(struct control *k, const char *why);

/* request.c. Has nghttp2 hand requests to it. */
bool requests_set_callbacks(struct controls *cs);
/* The client, or the connection, is gone: tells who cares. */
void request_gone(struct request *r);
void request_free(struct request *r);

#endif

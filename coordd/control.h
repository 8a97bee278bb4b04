/*
 * control: a client's connection after its upgrade: Noise records, HTTP/2
 * inside them (nghttp2), and the requests on it. Knows nothing of what the
 * requests mean.
 */
#ifndef COORDD_CONTROL_H
#define COORDD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/coordd.h"
#include "coordd/mapper.h"
#include "pure/noise.h"
#include "pure/text.h"

struct control;
struct controls;
struct io;
struct request;

/* All connections of the program. */
struct controls *controls_new(struct coordd *c);
/* Ends them at once. */
void controls_free(struct controls *cs);
/* Writes what they have to say and frees those that ended: once a turn. */
void controls_turn(struct controls *cs);
/* Closes those that wait too long for something: once a second. */
void controls_tick(struct controls *cs);
/* Ends every stream and tells the clients to come again, then closes. */
void controls_stop(struct controls *cs);

/*
 * Serves io, which it takes, for the machine that the handshake told. What
 * comes next are its records. The owner is told once, when the first record
 * proves that the machine itself is there, and when it is over. False if
 * memory is short: io is still the caller's.
 */
struct control_owner {
	void (*proven)(void *arg);
	void (*ended)(void *arg);
};
bool control_begin(struct controls *cs, struct io *io, const struct noise *n,
    const struct key *machine, const struct control_owner *owner, void *arg);

/* A request whose body has come, for route_request (route.c). */
struct coordd *request_env(const struct request *r);
const struct key *request_machine(const struct request *r);
const char *request_method(const struct request *r);
const char *request_path(const struct request *r);
const char *request_body(const struct request *r, size_t *n);
/* Its body is not needed any more. */
void request_drop_body(struct request *r);

/* Answers as a whole; type may be NULL. The body is copied. */
void request_answer(struct request *r, int status, const char *type,
    const char *body, size_t n);
/* Begins an answer (200) that request_push goes on with, until request_end.
 * False if the connection ended by that, or if the machine asks for too much:
 * then it was answered. */
bool request_begin(struct request *r);
void request_push(struct request *r, struct message *m); /* takes */
void request_end(struct request *r);

/*
 * The one that cares how the request ends. gone: the client went away or the
 * connection did; nothing may be answered any more and r is not to be used
 * again. sent: all that was pushed so far is with the kernel.
 */
struct request_ops {
	void (*gone)(void *arg);
	void (*sent)(void *arg);
};
void request_watch(struct request *r, const struct request_ops *ops, void *arg);
/* Takes it from what its machine may ask; dear: it may cost a write to the
 * disk. False if that is too much: it was answered (429). */
bool request_charge(struct request *r, bool dear);

/* route.c: says what a request means. */
void route_request(struct request *r);

/* joining.c, mapping.c: /machine/register, /machine/map. */
void joining_handle(struct request *r);
void mapping_handle(struct request *r);

#endif

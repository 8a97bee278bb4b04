/*
 * listen: the public listeners, plain and TLS, and what is said there before
 * a connection becomes a client's: HTTP/1.1, one request each.
 */
#ifndef COORDD_LISTEN_H
#define COORDD_LISTEN_H

#include "coordd/control.h"

/* Opens all of conf's listeners. NULL and one line in error. */
struct listeners *listeners_new(
    struct coordd *c, char error[static COORDD_ERROR_MAX]);
/* From now on connections are accepted. */
bool listeners_start(struct listeners *ls);
void listeners_free(struct listeners *ls);
/* Frees who ended: once a turn. Closes who waits too long: once a second. */
void listeners_turn(struct listeners *ls);
void listeners_tick(struct listeners *ls);
/* No new connections any more. */
void listeners_stop(struct listeners *ls);
/* The address of the i-th one with the kernel's port; NULL at the end. */
const struct addr *listeners_at(
    const struct listeners *ls, size_t i, bool *tls);

/* site.c: what is said to a request that is no upgrade. */
struct site_answer {
	int status;
	const char *type;
	struct text body;
};
struct http1_request;
void site_answer(struct coordd *c, const struct http1_request *req,
    const char *body, size_t n, struct site_answer *a);

#endif

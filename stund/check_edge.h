/* check_edge: what the files of a check share that do touch the network. */
#ifndef STUND_CHECK_EDGE_H
#define STUND_CHECK_EDGE_H

#include "stund/check.h"

struct addrinfo;
struct check_streams;
struct loop;

/* ---- check_run.c ---- */

/* All of it, for a person at a terminal: returns the exit status. */
int check_run(const char *uri);

/* ---- check_lookup.c ---- */

/* Looks the host up, for 5 s at most; the caller frees the result by
 * freeaddrinfo. NULL: *why, which is static, tells what went wrong. */
struct addrinfo *check_lookup(const struct check_uri *u, const char **why);

/* ---- check_stream.c ---- */

/* Connections of one check; host, which is lent, is the name that TLS asks
 * for. NULL when memory is short. Events go to c; changed is called after
 * each. */
struct check_streams *check_streams_new(struct check *c, struct loop *l,
    char *host, void (*changed)(void *arg), void *arg);
void check_streams_free(struct check_streams *all);
/* Sends, and connects before if it must. */
void check_streams_send(
    struct check_streams *all, const struct check_send *request);

#endif

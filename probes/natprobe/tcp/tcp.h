/*
 * tcp: what the NAT does with TCP (RFC 5382). It runs beside the questions
 * over UDP and needs nothing of them. A map:
 *
 *   verdict.h what is known at the end
 *   calls.h   the connections of a run: their map, PURE
 *   calls.c   what is to be done for each of them, and when, PURE
 *   told.c    what they tell, PURE
 *   plan.c    which are made: discover, mapping, lifetime, PURE
 *   judge.c   from what became of them to verdicts, PURE
 *   net.c     their sockets: does what calls says
 *   result.c  the verdicts as JSON
 *   words.c   the same for people
 *
 * Filtering (REQ-3) and what answers an unsolicited SYN (REQ-4) are not
 * judged: no STUN server opens a connection to its client, and none should,
 * since it could be made to knock at other doors. Pair mode can (pair/knock.h).
 */
#ifndef NATPROBE_TCP_TCP_H
#define NATPROBE_TCP_TCP_H

#include <jansson.h>
#include <stdio.h>

#include "probes/natprobe/tcp/calls.h"

struct loop;
struct targets;
struct tcp_net;

/* net.c. The run of one family: its servers, of t, are asked on loop, and done
 * is called at the end. options: lifetime and refresh are TCP's. NULL with
 * errno. Of the others, a run that is NULL is none. */
struct tcp_net *tcp_net_new(struct loop *l, const struct targets *t,
    const struct probe_options *options, void (*done)(void *arg), void *arg);
void tcp_net_free(struct tcp_net *n);
/* Interrupted: what is not known yet never will be. */
void tcp_net_stop(struct tcp_net *n);
/* Lent; NULL of none. */
const struct calls *tcp_net_calls(const struct tcp_net *n);

/* result.c. Adds "tcp" to a family of the result, if c is not NULL. */
void tcp_result_add(
    json_t *family, const struct calls *c, const struct targets *t);
/* What a run would do at the most, for -n, and how long it may take. */
void tcp_dry_print(
    const struct targets *t, const struct probe_options *options, FILE *out);
unsigned tcp_packets(
    const struct targets *t, const struct probe_options *options);
int64_t tcp_longest_us(const struct probe_options *options);

/* words.c. f: an address family of a result. */
void tcp_words(const json_t *f, FILE *out);

#endif

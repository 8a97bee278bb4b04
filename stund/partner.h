/*
 * partner: the other of two hosts that answer as one server of RFC 5780: the
 * channel to it, on the first worker's loop. What is said is pair.c's.
 *
 * Requests that the partner is to answer come from all workers' threads; one
 * lock guards the pair, since such requests are few: clients that look at
 * their NAT send one or two each.
 */
#ifndef STUND_PARTNER_H
#define STUND_PARTNER_H

#include <stdbool.h>
#include <stddef.h>

#include "pure/key.h"
#include "pure/stunsrv.h"
#include "run/metrics.h"
#include "stund/pair.h"

struct addr;
struct partner;
struct stund;

/* Reads 64 hex digits, as derper's mesh key. -1 and one line in error, also if
 * others than the owner and the group may read or change it. */
int partner_key_read(struct key *k, const char *path, char *error, size_t cap);

/* Opens the channel of the options, once the workers' sockets are open. NULL
 * and one line in error. The key is copied. */
struct partner *partner_new(
    struct stund *env, const struct key *k, char *error, size_t cap);
/* Where the partner is heard. */
const struct addr *partner_address(const struct partner *p);
/* Says good-bye. Not while the first worker's thread runs. */
void partner_free(struct partner *p);

/* Has the partner answer a request: reply.partner is set. From any thread;
 * false if it cannot be told. */
bool partner_ask(struct partner *p, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *reply);

/* For the metrics page; from any thread. */
struct partner_counts {
	metric received[PAIR_VERDICTS];
	metric strangers; /* datagrams from elsewhere */
	metric sent, send_errors;
	metric asked; /* requests handed over */
	metric answered; /* for the partner */
	metric refused; /* requests of the partner that got no answer */
};
const struct partner_counts *partner_counts(const struct partner *p);
enum pair_state partner_state(struct partner *p, int64_t *rtt_us);

#endif

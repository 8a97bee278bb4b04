/*
 * udp: a UDP socket with batched input and output (recvmmsg, sendmmsg).
 *
 * Answers leave from the address that the datagram came to: on a wildcard
 * socket by IP_PKTINFO / IPV6_PKTINFO, elsewhere by itself. Nothing waits: an
 * answer that the kernel does not take at once is counted and dropped.
 */
#ifndef RUN_UDP_H
#define RUN_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run/addr.h"
#include "run/metrics.h"

struct loop;
struct udp;

/* Larger datagrams are cut; the handler sees `cut` set. */
#define UDP_IN_MAX  4608

#define UDP_OUT_MAX 2048

struct udp_datagram {
	const struct addr *from;
	const struct addr *to; /* where it arrived, also on wildcard sockets */
	const uint8_t *p;
	size_t len;
	bool cut;
};

/*
 * Called once per datagram of a batch. Writes an answer to out and returns its
 * length; 0 for none. The batch's answers leave together after its last call.
 * It must not free the udp.
 */
typedef size_t udp_fn(
    void *arg, const struct udp_datagram *d, uint8_t out[static UDP_OUT_MAX]);

/* Written by the loop's thread, readable from any. */
struct udp_stats {
	metric batches, received, sent, send_errors, recv_errors;
};

/*
 * Serves fd, a bound non-blocking socket, on loop, and owns it from then on.
 * Returns NULL when memory is short; fd is the caller's then.
 */
struct udp *udp_new(struct loop *l, int fd, udp_fn *fn, void *arg);
void udp_free(struct udp *u);

/*
 * Sends one datagram at once, for what is no answer of a batch. On a wildcard
 * socket it leaves from the address `from` (NULL: the kernel's choice).
 */
void udp_send(struct udp *u, const struct addr *to, const struct addr *from,
    uint8_t *p, size_t n);
const struct udp_stats *udp_stats(const struct udp *u);

#endif

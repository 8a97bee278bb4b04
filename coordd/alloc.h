/*
 * alloc: addresses for new nodes, one of 100.64.0.0/10 (RFC 6598) and one of
 * fd7a:115c:a1e0::/48, as Tailscale has them. PURE.
 *
 * A cursor goes round, so that an address that was given back is given again
 * as late as can be. Left out: network and broadcast address of the range,
 * Tailscale's own 100.100.0.0/24 and 100.100.100.0/24 (quad-100 DNS) and its
 * IPv6 twin, and 100.115.92.0/23 of ChromeOS.
 */
#ifndef COORDD_ALLOC_H
#define COORDD_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/ip.h"

/* Tells whether an address is in use. */
typedef bool alloc_used_fn(void *arg, const struct ip *a);

/* The n-th address of each range; n counts from 1. */
struct ip alloc_ip4(uint32_t n);
struct ip alloc_ip6(uint32_t n);

/*
 * The next free pair after *cursor, which is moved on: both addresses come
 * from one number. False if none is left.
 */
bool alloc_next(uint32_t *cursor, alloc_used_fn *used, void *arg,
    struct ip *ip4, struct ip *ip6);

#endif

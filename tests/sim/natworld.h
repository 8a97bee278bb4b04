/*
 * natworld: a probe, a NAT and a STUN server with two addresses, joined by
 * buffers. The clock is moved by hand, from event to event, so a lifetime of
 * minutes takes no time at all.
 *
 *   probe (10.0.2.15)  --  nat (natcore, or none)  --  server (two addresses)
 */
#ifndef TESTS_SIM_NATWORLD_H
#define TESTS_SIM_NATWORLD_H

#include "probes/natprobe/nat/probe.h"
#include "tests/natlab/natcore.h"

struct natworld_options {
	const struct nat_config *nat; /* NULL: no NAT, addresses are routed */
	bool one_address; /* the server has no second address */
	bool mute_alternate; /* it says that it has, but that never answers */
	bool plain; /* it knows nothing of RFC 5780 */
	double loss; /* of each packet, each way, beyond the NAT */
	int64_t delay_us; /* each way */
	uint64_t seed;
	struct probe_options probe;
	/* Sees each packet at the client, from the IP header on; or NULL. */
	void (*tap)(void *arg, const uint8_t *p, size_t n, struct mono now);
	void *tap_arg;
	int64_t stop_us; /* after so long the run is interrupted; 0: never */
};

/* Runs the probe to its end; the caller clears it. Returns how long that took
 * in virtual seconds. */
double natworld_run(
    struct probe *p, const struct natworld_options *o, unsigned dead_servers);

#endif

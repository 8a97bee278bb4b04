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

/* What a further server does: it has one address, and tells of its own. */
enum natworld_lie {
	LIE_NONE, /* tells the truth */
	LIE_PORT, /* another port, one to one */
	LIE_ADDRESS, /* another address, one to one */
	LIE_RANDOM, /* any address, anew each time */
	LIE_SAME, /* one for all */
	LIE_FAMILY, /* an IPv6 address */
	LIE_MIRROR, /* its own */
	LIE_LOCAL, /* is on this side of the NAT */
	LIE_TWICE, /* answers each question twice */
	LIE_LATE, /* 2 s too late */
	LIE_ELSEWHERE, /* from another port */
	LIE_ECHO, /* sends the question back */
	LIE_GARBAGE,
	LIE_REPLAY, /* the last answer, again and again */
	LIE_REFUSE, /* 420 */
	LIE_OTHER_HOST, /* OTHER-ADDRESS is the host that asks */
	LIE_OTHER_LOOPBACK,
	LIE_OTHER_PRIVATE,
	LIE_SILENT,
	LIES,
};
#define NATWORLD_MORE 3

struct natworld_options {
	const struct nat_config *nat; /* NULL: no NAT, addresses are routed */
	bool one_address; /* the server has no second address */
	bool mute_alternate; /* it says that it has, but that never answers */
	unsigned answers; /* it gives so many, then none; 0: all */
	bool plain; /* it knows nothing of RFC 5780 */
	bool no_server; /* not even the first, only more */
	enum natworld_lie more[NATWORLD_MORE]; /* of n_more further servers */
	unsigned n_more;
	int64_t more_delay_us; /* of theirs, each way, beyond delay_us */
	double loss; /* of each packet, each way, beyond the NAT */
	int64_t delay_us; /* each way */
	int64_t stop_after_us; /* interrupt it then; 0: never */
	uint64_t seed;
	struct probe_options probe;
	/* Sees each packet at the client, from the IP header on; or NULL. */
	void (*tap)(void *arg, const uint8_t *p, size_t n, struct mono now);
	void *tap_arg;
	int64_t stop_us; /* after so long the run is interrupted; 0: never */
	/* An earlier run had the port of this socket, from 1 on, and sent to
	 * every place of the server: its mapping still lives. 0: none had. */
	unsigned reused;
};

/* Runs the probe to its end; the caller clears it. Returns how long that took
 * in virtual seconds. */
double natworld_run(
    struct probe *p, const struct natworld_options *o, unsigned dead_servers);

#endif

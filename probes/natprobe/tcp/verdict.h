/*
 * verdict: what is known of a NAT's TCP, in the words of RFC 5382. PURE.
 */
#ifndef NATPROBE_TCP_VERDICT_H
#define NATPROBE_TCP_VERDICT_H

#include "probes/natprobe/nat/verdict.h"

/* How a connection is found dead by who speaks first from inside. */
enum dying {
	DYING_UNKNOWN,
	DYING_SILENT, /* no answer */
	DYING_RESET,
	DYING_PICKED_UP, /* it goes on: the NAT makes a new mapping */
	DYINGS,
};
const char *dying_name(enum dying d);

struct verdict_tcp {
	enum answer works; /* does any server answer over TCP */
	enum reason why;
	struct verdict_mapping mapping;
	unsigned connections, preserved; /* of them, their port */
	struct verdict_life life; /* of an idle connection */
	bool by_server; /* who spoke first after the pause */
	enum dying dying;
	enum answer keepalive; /* does TCP's own keepalive refresh it */
	enum reason keepalive_why;
};

#endif

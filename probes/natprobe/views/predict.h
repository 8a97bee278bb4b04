/*
 * predict: what happens between a host at site A and one at site B, from what
 * is known about their NATs. PURE: verdicts in, a prediction out.
 *
 * It is about two hosts that learn each other's external address from a third
 * party and then send to it again and again, and that answer to where a
 * packet really came from: what ICE (RFC 8445) calls a peer-reflexive
 * candidate, and what Tailscale's clients do.
 */
#ifndef NATPROBE_PREDICT_H
#define NATPROBE_PREDICT_H

#include "probes/natprobe/nat/verdict.h"

enum { SITE_A, SITE_B, SITES };

/* From the worst to the best that can be had. */
enum outcome {
	OUTCOME_RELAY,
	OUTCOME_UNKNOWN,
	OUTCOME_UNRELIABLE, /* as the packets happen to cross */
	OUTCOME_IF_A_FIRST, /* direct if A's first packet is the first */
	OUTCOME_IF_B_FIRST,
	OUTCOME_DIRECT,
	OUTCOMES,
};
const char *outcome_name(enum outcome o);

/* What decided. */
enum cause {
	CAUSE_NOT_ASKED, /* a result says nothing about this family */
	CAUSE_BLOCKED, /* no UDP at `at` */
	CAUSE_MISSING, /* `missing` at `at` is not known, because of `why` */
	CAUSE_SAME_NAT, /* behind one NAT, which does not help */
	CAUSE_HAIRPIN, /* behind one NAT, which passes it back in */
	CAUSE_SAME_NET, /* behind one NAT, in one network */
	CAUSE_SAME_ADDRESS, /* behind one NAT, with one private address: in
			     * two networks; it does not help */
	CAUSE_NO_NAT, /* neither address is translated */
	CAUSE_OPEN, /* `at` has one endpoint for all and lets all in */
	CAUSE_MAPPED, /* the router of `at` opens a port on demand */
	CAUSE_STABLE, /* both have one endpoint for all */
	CAUSE_LEARNED, /* the filter of `at` lets the other's new port in */
	CAUSE_REUSED, /* the filter of `at` lets all in, and what goes back
		       * leaves by the port it came to */
	CAUSE_EARLY, /* an early packet changes the mapping at `at` */
	CAUSE_EARLY_BOTH,
	CAUSE_DEPENDENT, /* `at` has a new port, which the other's filter
			  * does not let in */
	CAUSE_DEPENDENT_BOTH,
	CAUSES,
};
const char *cause_name(enum cause c);

enum fact {
	FACT_NONE,
	FACT_UDP,
	FACT_MAPPING,
	FACT_FILTER,
	FACT_EARLY, /* early_packet_changes_mapping */
	FACT_PRIVATE, /* do private addresses reach each other */
	FACTS,
};
const char *fact_name(enum fact f);

enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };
const char *confidence_name(enum confidence c);

/* Does a direct path outlive a pause in the traffic? Tailscale's clients ask
 * their STUN servers every 20 to 26 s, WireGuard's PersistentKeepalive is
 * usually 25 s. */
enum { KEEP_SHORTEST_S = 20, KEEP_WIREGUARD_S = 25, KEEP_LONGEST_S = 26 };
enum idle { IDLE_UNKNOWN, IDLE_KEPT, IDLE_MAY_DROP, IDLE_DROPS };
const char *idle_name(enum idle i);

struct site {
	bool asked[2]; /* IPv4, IPv6 */
	struct verdicts v[2];
};

/* Over one address family. */
struct path {
	enum outcome outcome;
	enum cause cause;
	enum confidence confidence;
	int at; /* the site that the cause is about */
	enum fact missing;
	enum reason why; /* it is missing; NONE if the result does not say */
	bool collides[SITES]; /* worse if two hosts there use one port */
	bool several[SITES]; /* several external addresses */
	double guess; /* RELAY: odds that the port of `at` is guessed */
	enum idle idle;
	int idle_at; /* the site with the shorter lifetime */
	double idle_low, idle_high; /* of it, as in verdict_life */
};

struct prediction {
	bool v6; /* the family of the better path; IPv6 if both are as good */
	struct path path[2];
};

void predict(struct prediction *p, const struct site *a, const struct site *b);

/* The same with A and B exchanged. */
enum outcome outcome_turned(enum outcome o);

#endif

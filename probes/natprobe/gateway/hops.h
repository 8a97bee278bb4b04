/*
 * hops: the routers between here and a STUN server, and whether ICMP errors
 * come back. PURE: says when to send which packet, is told what came, and
 * says how many NATs are believed to be on the way.
 *
 * Each time to live has a socket of its own, so that an error need not quote
 * more of a packet than its ports (RFC 792: 8 bytes).
 */
#ifndef NATPROBE_GATEWAY_HOPS_H
#define NATPROBE_GATEWAY_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "probes/natprobe/nat/verdict.h"
#include "pure/ip.h"
#include "pure/mono.h"
#include "pure/pacer.h"

enum {
	HOPS_MAX = 12,
	HOP_SENDS = 3,
	/* Packets to a port of the server where nothing listens. */
	CLOSED_SENDS = 3,
	HOPS_PACKETS = HOPS_MAX * HOP_SENDS + CLOSED_SENDS,
};

enum hop_state {
	HOP_UNASKED,
	HOP_SILENT, /* so far */
	HOP_EXCEEDED, /* a router, which says that the time was over */
	HOP_ARRIVED, /* the server answers */
	HOP_REFUSED, /* another ICMP error */
};

struct hop {
	enum hop_state state;
	struct ip ip; /* who sent the error */
	int64_t rtt_us;
	uint8_t type, code; /* of that error */
	unsigned sends;
	struct mono sent;
};

struct hops {
	struct hop v[HOPS_MAX]; /* by time to live - 1 */
	struct hop closed;
	unsigned closed_came; /* port unreachable */
	struct mono began, due;
	struct pace pace; /* to be set after hops_init, if others send, too */
};

/* What comes next: ttl 1 to HOPS_MAX; 0 to the closed port. */
struct hops_act {
	unsigned ttl;
};

void hops_init(struct hops *h, struct mono now);
bool hops_next(struct hops *h, struct mono now, struct hops_act *act);
/* MONO_NEVER: it is over. */
struct mono hops_wake(const struct hops *h, struct mono now);
void hops_answer(struct hops *h, unsigned ttl, struct mono now);
/* An ICMP error from that address, about a packet sent with that ttl. */
void hops_error(struct hops *h, unsigned ttl, bool v6, const struct ip *from,
    uint8_t type, uint8_t code, struct mono now);

/* The time to live that reaches the server; 0: none did. */
unsigned hops_distance(const struct hops *h);

/* ---- nats.c: how many NATs ---- */

/* Where an address belongs. */
enum realm {
	REALM_PUBLIC,
	REALM_PRIVATE_10, /* RFC 1918 */
	REALM_PRIVATE_172,
	REALM_PRIVATE_192,
	REALM_SHARED, /* 100.64.0.0/10, RFC 6598: behind a carrier's NAT */
	REALM_LOCAL, /* IPv6: RFC 4193 */
	REALM_LINK,
	REALMS,
};
enum realm realm_of(const struct ip *ip);
const char *realm_name(enum realm r); /* "public", "private", ... */

/* What was seen, as bits. */
enum nats_evidence {
	NATS_OWN_ADDRESS_SEEN = 1 << 0,
	NATS_OWN_ADDRESS_SHARED = 1 << 1,
	NATS_ROUTER_TELLS_SEEN = 1 << 2,
	NATS_ROUTER_TELLS_SHARED = 1 << 3,
	NATS_ROUTER_TELLS_PRIVATE = 1 << 4,
	NATS_ROUTER_TELLS_OTHER = 1 << 5,
	NATS_ADDRESS_MISMATCH = 1 << 6,
	NATS_HOP_SHARED = 1 << 7,
	NATS_HOP_OTHER_PRIVATE = 1 << 8,
	NATS_HOPS_SAME_PRIVATE = 1 << 9,
	NATS_HOPS_PUBLIC = 1 << 10,
};
#define NATS_EVIDENCES 11
const char *nats_evidence_name(unsigned bit); /* 0 to NATS_EVIDENCES - 1 */

enum { NATS_TOLD = 3, NATS_SEEN = 8 };
struct nats_facts {
	struct ip local;
	/* This host's addresses outside, the usual one first. */
	struct ip seen[NATS_SEEN];
	unsigned n_seen;
	const struct hops *hops; /* NULL: not traced */
	/* External addresses, as the router in front of this host tells. */
	struct ip told[NATS_TOLD];
	unsigned n_told;
	bool mismatch; /* PCP: there is a NAT between here and the router */
};

enum sure { SURE_NOT, SURE_LOW, SURE_MEDIUM, SURE_HIGH };
const char *sure_name(enum sure s);

struct verdict_nats {
	bool known;
	unsigned count; /* of which more would be seen: "at least" */
	enum sure sure;
	enum answer carrier; /* is one of them a carrier's (CGN)? */
	unsigned evidence;
};
struct verdict_nats judge_nats(const struct nats_facts *f);
bool nats_is_seen(const struct nats_facts *f, const struct ip *ip);

/* Do ICMP errors come back to this host? UNKNOWN: none did, but maybe nobody
 * sent one. */
enum answer judge_icmp(const struct hops *h);

#endif

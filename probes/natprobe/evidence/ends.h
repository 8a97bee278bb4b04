/*
 * ends: the ends of the run's sockets: which address and port, of which
 * protocol, are its own, until when, and towards whom, if that is known. PURE.
 */
#ifndef NATPROBE_ENDS_H
#define NATPROBE_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/stun.h"

/* As many as one run has, and room to spare; no more is taken. */
#define ENDS_MAX     4096
#define ENDS_BUCKETS 1024 /* a power of 2 */
#define ENDS_OPEN    INT64_MAX

struct ends {
	struct end {
		uint8_t protocol; /* IP's number; a ping's is ICMP's */
		struct stun_addr local;
		bool has_peer; /* packets of nobody else */
		struct stun_addr peer;
		int64_t until_us; /* ENDS_OPEN: it is open */
		uint16_t next; /* in its bucket */
	} v[ENDS_MAX];
	uint16_t n, first[ENDS_BUCKETS];
};

void ends_init(struct ends *e);

/* peer: NULL if it is not known. Returns its number, or -1 if there is no
 * room. */
int ends_add(struct ends *e, uint8_t protocol, const struct stun_addr *local,
    const struct stun_addr *peer);
void ends_set_peer(struct ends *e, int i, const struct stun_addr *peer);
/* Later frames are of others. */
void ends_close(struct ends *e, int i, int64_t until_us);

/* Is a packet between the two, at that time, one of that local end's? */
bool ends_have(const struct ends *e, uint8_t protocol,
    const struct stun_addr *local, const struct stun_addr *peer, int64_t at_us);

#endif

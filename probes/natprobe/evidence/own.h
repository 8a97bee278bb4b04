/*
 * own: which frames belong to the run. PURE.
 *
 * Theirs is one end: a socket of the run has an address and port that no
 * other program can have meanwhile, so a second STUN client on this host,
 * even to the same server, is told apart by that.
 */
#ifndef NATPROBE_OWN_H
#define NATPROBE_OWN_H

#include "probes/natprobe/evidence/frame.h"

/* True if a socket of the run, of that protocol, had that address and port
 * then, and could have to do with that peer. */
typedef bool own_fn(const void *arg, uint8_t protocol,
    const struct stun_addr *local, const struct stun_addr *peer, int64_t at_us);

/*
 * A capture of all interfaces sees a packet once per interface that it passes
 * inside this host: a bridge and its port, say. The second sight of a packet,
 * at another interface than the first, is a copy.
 */
#define OWN_SIGHTS 64
#define OWN_PARTS  16

struct own {
	own_fn *fn;
	const void *arg;
	struct own_sight {
		uint64_t hash;
		int64_t at_us;
		unsigned interface;
	} sights[OWN_SIGHTS];
	unsigned n_sights;
	/* Datagrams of which more fragments are to come. */
	struct own_part {
		bool used;
		uint8_t protocol;
		struct stun_addr from, to;
		uint32_t id;
	} parts[OWN_PARTS];
	unsigned n_parts;
};

void own_init(struct own *o, own_fn *fn, const void *arg);

/* The frame is the run's, and no copy. Times only need to be comparable. */
bool own_keeps(struct own *o, const struct frame *f, int64_t at_us);

/* The second half of that. */
bool own_is_copy(struct own *o, const struct frame *f, int64_t at_us);

#endif

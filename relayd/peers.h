/*
 * peers: who is connected to the relay, with which connections, and who has
 * heard of whom. PURE: no I/O; every worker holds a whole copy, kept equal by
 * notes (mail.h), so that a lookup takes no lock.
 *
 * A key may be connected more than once (a cloned machine, or a client that
 * came back before its old connection was seen to be dead). The member that
 * was last to speak gets the traffic: the one with the highest stamp. Stamps
 * come from one counter for the whole process, so copies agree.
 */
#ifndef RELAYD_PEERS_H
#define RELAYD_PEERS_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"
#include "pure/keymap.h"

struct peer;

/* One connection of a peer. */
struct member {
	LIST_ENTRY(member) link;
	struct peer *peer;
	uint64_t id; /* unique in the process */
	uint64_t stamp; /* when it last became the active one */
	unsigned worker;
	void *client; /* on its own worker; elsewhere NULL */
};

struct sighting;
LIST_HEAD(sightings, sighting);

struct peer {
	struct key key;
	uint64_t serial; /* of the peer in this copy, for hashing */
	LIST_HEAD(, member) members;
	unsigned nmembers;
	struct member *active; /* highest stamp */
	struct sightings seen_by;
};

/* A client's list of the peers from which it has got packets, so that it can
 * be told when they are gone. Embedded in the client. */
struct viewer {
	TAILQ_HEAD(, sighting) sightings;
	size_t count;
	uint64_t serial;
};

/* The oldest sighting is forgotten beyond this many; the client then is not
 * told, and finds out by itself. */
#define PEERS_SIGHTINGS_MAX 4096
/* And so many in all are kept by a worker: some 40 MB. */
#define PEERS_SIGHTINGS_TOTAL 524288

struct peers {
	struct keymap map;
	struct sightings *buckets;
	size_t nbuckets, nsightings;
	uint64_t serials;
	size_t duplicate_keys, duplicate_members;
};

void peers_init(struct peers *ps, const uint8_t seed[static KEYMAP_SEED_LEN]);
/* Frees everything, members included. */
void peers_clear(struct peers *ps);

/* Lends the peer of a key that has at least one connection, or NULL. */
struct peer *peers_find(const struct peers *ps, const struct key *k);

/* Number of distinct keys. */
size_t peers_count(const struct peers *ps);

/* Adds a connection; NULL if memory is short. The member is lent until
 * peers_remove. */
struct member *peers_add(struct peers *ps, const struct key *k, uint64_t id,
    uint64_t stamp, unsigned worker, void *client);

/* The member of a peer with that id, or NULL. */
struct member *peers_member(const struct peer *p, uint64_t id);

/* The one of this worker's own members that was last to speak, or NULL. */
struct member *peers_local(const struct peer *p);

/* A member has spoken, with a new stamp: it becomes active. */
void peers_touch(struct member *m, uint64_t stamp);

/*
 * Removes a connection. If it was the key's last, calls gone for each viewer
 * that has heard of it.
 */
void peers_remove(struct peers *ps, struct member *m,
    void (*gone)(struct viewer *v, const struct key *k, void *arg), void *arg);

void viewer_init(struct peers *ps, struct viewer *v);
void viewer_clear(struct peers *ps, struct viewer *v);

/* v is being sent a packet of p's. Cheap when that is known already. */
void viewer_note(struct peers *ps, struct viewer *v, struct peer *p);

#endif

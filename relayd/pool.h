/*
 * pool: memory for packets. Packets of ordinary size come from a free list,
 * so that a relayed packet costs no allocation; larger ones from malloc.
 * One per worker; not locked.
 */
#ifndef RELAYD_POOL_H
#define RELAYD_POOL_H

#include <stddef.h>

#include "relayd/queue.h"

/* A frame around the largest WireGuard packet of a 1,500-byte path. */
#define POOL_PACKET_MAX 1664
/* Free packets that are kept; the rest goes back to malloc. */
#define POOL_KEEP 512

struct pool {
	struct packets free;
	unsigned nfree;
};

void pool_init(struct pool *p);
void pool_clear(struct pool *p);

/* A packet of len bytes, not filled in; NULL if memory is short. */
struct packet *pool_get(struct pool *p, size_t len);
void pool_put(struct pool *p, struct packet *packet);

/* The memory that a packet with a frame of len bytes takes. */
size_t pool_size(size_t len);

#endif

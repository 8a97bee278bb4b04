/* pool: a bounded free list. */
#include <stdlib.h>

#include "relayd/pool.h"

void
pool_init(struct pool *p)
{
	TAILQ_INIT(&p->free);
	p->nfree = 0;
}

void
pool_clear(struct pool *p)
{
	struct packet *packet;

	while ((packet = TAILQ_FIRST(&p->free)) != NULL) {
		TAILQ_REMOVE(&p->free, packet, link);
		free(packet);
	}
	p->nfree = 0;
}

size_t
pool_size(size_t len)
{
	return sizeof(struct packet) +
	    (len <= POOL_PACKET_MAX ? POOL_PACKET_MAX : len);
}

struct packet *
pool_get(struct pool *p, size_t len)
{
	struct packet *packet = TAILQ_FIRST(&p->free);
	bool pooled = len <= POOL_PACKET_MAX;

	if (pooled && packet != NULL) {
		TAILQ_REMOVE(&p->free, packet, link);
		p->nfree--;
	} else
		packet =
		    malloc(sizeof(*packet) + (pooled ? POOL_PACKET_MAX : len));
	if (packet == NULL)
		return NULL;
	packet->len = (uint32_t)len;
	packet->size = (uint32_t)pool_size(len);
	packet->pooled = pooled;
	return packet;
}

void
pool_put(struct pool *p, struct packet *packet)
{
	if (!packet->pooled || p->nfree >= POOL_KEEP) {
		free(packet);
		return;
	}
	/* The last one used is the one still in the cache. */
	TAILQ_INSERT_HEAD(&p->free, packet, link);
	p->nfree++;
}

/* ends: see ends.h. PURE. */
#include <string.h>

#include "probes/natprobe/evidence/ends.h"
#include "probes/natprobe/nat/ask.h"

#define NO_END UINT16_MAX

void
ends_init(struct ends *e)
{
	e->n = 0;
	memset(e->first, 0xff, sizeof(e->first)); /* NO_END */
}

static uint16_t *
bucket(struct ends *e, const struct stun_addr *local)
{
	return &e->first[local->port & (ENDS_BUCKETS - 1)];
}

int
ends_add(struct ends *e, uint8_t protocol, const struct stun_addr *local,
    const struct stun_addr *peer)
{
	uint16_t *first = bucket(e, local), i = e->n;

	if (i == ENDS_MAX)
		return -1;
	e->v[i] = (struct end){.protocol = protocol,
	    .local = *local,
	    .until_us = ENDS_OPEN,
	    .next = *first};
	ends_set_peer(e, i, peer);
	*first = i;
	e->n++;
	return i;
}

void
ends_set_peer(struct ends *e, int i, const struct stun_addr *peer)
{
	if (peer == NULL)
		return;
	e->v[i].has_peer = true;
	e->v[i].peer = *peer;
}

void
ends_close(struct ends *e, int i, int64_t until_us)
{
	e->v[i].until_us = until_us;
}

bool
ends_have(const struct ends *e, uint8_t protocol, const struct stun_addr *local,
    const struct stun_addr *peer, int64_t at_us)
{
	uint16_t i = e->first[local->port & (ENDS_BUCKETS - 1)];

	for (; i != NO_END; i = e->v[i].next) {
		const struct end *n = &e->v[i];

		if (n->protocol == protocol && at_us <= n->until_us &&
		    stun_addr_same(&n->local, local) &&
		    (!n->has_peer || stun_addr_same(&n->peer, peer)))
			return true;
	}
	return false;
}

/*
 * natcore_port: which external address and port a new mapping gets. RFC 4787
 * sections 4.1 (pooling) and 4.2 (assignment, parity, contiguity).
 */
#include <string.h>

#include "tests/natlab/natcore_impl.h"

/* What a new mapping asks for. */
struct wish {
	struct nat *n;
	struct host *host;
	uint8_t protocol;
	const struct end *in, *remote;
	struct end *out; /* the address is chosen already */
	unsigned min, max;
};

/* That no other endpoint may have, since one always has it. */
static bool
port_is_reserved(const struct wish *w, unsigned port)
{
	const struct nat_config *c = &w->n->config;

	for (unsigned i = 0; i < c->port_map_count; i++)
		if (c->port_map[i].outside == port)
			return w->protocol != PROTO_ICMP;
	return false;
}

static bool
port_is_usable(const struct wish *w, unsigned port)
{
	const struct nat_config *c = &w->n->config;
	struct mapping *m;

	if (port < w->min || port > w->max || port_is_reserved(w, port))
		return false;
	w->out->port = (uint16_t)port;
	if (mapping_clashes(w->n, w->protocol, w->in, w->out, w->remote))
		return false;
	if (c->overload != NAT_OVERLOAD_NEVER)
		return true;
	/* The gateway's own stand in the way of their remote alone. */
	m = mapping_at(&w->n->table, w->protocol, w->out);
	while (
	    m != NULL && (m->own || !mapping_has_out(m, w->protocol, w->out)))
		m = LIST_NEXT(m, by_out);
	return m == NULL;
}

static bool
parity_fits(const struct wish *w, unsigned port)
{
	return !w->n->config.parity || port % 2 == w->in->port % 2;
}

/* REQ-3a; and the narrower range where that is preserved. */
static void
range_set(struct wish *w)
{
	const struct nat_config *c = &w->n->config;

	w->min = c->port_min;
	w->max = c->port_max;
	if (!c->port_classes || w->protocol == PROTO_ICMP)
		return;
	if (w->in->port < 1024) {
		w->min = 1;
		w->max = 1023;
	} else if (w->min < 1024)
		w->min = 1024;
}

/* From `from` on, step by step and around, then those between the steps. */
static bool
port_after(const struct wish *w, unsigned from, unsigned step)
{
	unsigned size = w->max - w->min + 1;
	unsigned first = from < w->min || from > w->max ? 0 : from - w->min;

	for (unsigned between = 0; between < step; between++)
		for (unsigned i = 0; i < size; i += step) {
			unsigned at = (first + between + i) % size;

			if (parity_fits(w, w->min + at) &&
			    port_is_usable(w, w->min + at))
				return true;
		}
	return false;
}

static bool
port_sequential(const struct wish *w)
{
	struct nat *n = w->n;
	uint16_t *last = &n->table.last_port[w->host->external];
	unsigned from = *last != 0	? *last + n->config.port_step
	    : n->config.port_start != 0 ? n->config.port_start
					: w->min;

	if (!port_after(w, from, n->config.port_step))
		return false;
	*last = w->out->port;
	return true;
}

static bool
port_random(const struct wish *w)
{
	unsigned size = w->max - w->min + 1;

	for (int i = 0; i < 64; i++) {
		unsigned port = w->min + rng_below(&w->n->rng, size);

		if (parity_fits(w, port) && port_is_usable(w, port))
			return true;
	}
	return port_after(w, w->min + rng_below(&w->n->rng, size), 1);
}

static bool
block_is_free(const struct wish *w, unsigned first)
{
	const struct host *h;

	LIST_FOREACH (h, &w->n->table.used_hosts, entry)
		if (h != w->host && h->block == first &&
		    h->external == w->host->external)
			return false;
	return true;
}

static unsigned
align_up(unsigned port, unsigned align)
{
	return (port + align - 1) / align * align;
}

static bool
block_get(struct wish *w)
{
	unsigned size = w->n->config.block_size;
	unsigned align = w->n->config.block_align;
	unsigned first = align_up(w->min, align == 0 ? size : align);

	if (w->host->block == 0) {
		while (first + size - 1 <= w->max && !block_is_free(w, first))
			first =
			    align_up(first + size, align == 0 ? size : align);
		if (first + size - 1 > w->max)
			return false;
		w->host->block = w->host->block_next = first;
	}
	w->min = w->host->block;
	w->max = w->host->block + size - 1;
	return true;
}

static bool
port_block(struct wish *w)
{
	if (!block_get(w) || !port_after(w, w->host->block_next, 1))
		return false;
	w->host->block_next = w->out->port + 1u;
	return true;
}

/* The port next to that of the host's mapping of the neighbour. */
static bool
port_contiguous(const struct wish *w)
{
	const struct table *t = &w->n->table;
	const struct mapping *m;

	TAILQ_FOREACH (m, &t->by_use, by_use) {
		int step = w->in->port - m->in.port;

		if (m->host == w->host && m->protocol == w->protocol &&
		    (step == 1 || step == -1) && !m->own &&
		    memcmp(&m->out.ip, &w->out->ip, sizeof(m->out.ip)) == 0 &&
		    port_is_usable(w, (unsigned)(m->out.port + step)))
			return true;
	}
	return false;
}

/* What it has for one remote, it has for all. */
static bool
port_fixed(const struct wish *w, uint16_t port)
{
	const struct mapping *m;

	w->out->port = port;
	m = mapping_at(&w->n->table, w->protocol, w->out);
	for (; m != NULL; m = LIST_NEXT(m, by_out))
		if (mapping_has_out(m, w->protocol, w->out) &&
		    !end_equal(&m->in, w->in))
			return false;
	return true;
}

/* NULL: it has none of its own. */
static const struct nat_fixed *
fixed_find(const struct wish *w)
{
	const struct nat_config *c = &w->n->config;

	for (unsigned i = 0; i < c->port_map_count; i++)
		if (w->protocol != PROTO_ICMP &&
		    c->port_map[i].inside == w->in->port &&
		    ip_compare(&c->port_map[i].ip, &w->in->ip) == 0)
			return &c->port_map[i];
	return NULL;
}

static bool
port_assign(struct wish *w, enum nat_ports how)
{
	switch (how) {
	case NAT_PORTS_PRESERVE:
		return port_is_usable(w, w->in->port) ||
		    port_assign(w, w->n->config.ports_fallback);
	case NAT_PORTS_SEQUENTIAL:
		return port_sequential(w);
	case NAT_PORTS_RANDOM:
		return port_random(w);
	case NAT_PORTS_BLOCK:
		return port_block(w);
	}
	return false;
}

static unsigned
external_choose(struct nat *n, const struct host *h)
{
	unsigned count = n->config.external_count;

	switch (n->config.pooling) {
	case NAT_POOL_PAIRED:
		return h->external % count;
	case NAT_POOL_ARBITRARY:
		return rng_below(&n->rng, count);
	case NAT_POOL_ROUND_ROBIN:
		break;
	}
	return n->table.next_external++ % count;
}

bool
port_choose(struct nat *n, struct host *h, uint8_t protocol,
    const struct end *in, const struct end *remote, struct end *out)
{
	struct wish w = {.n = n,
	    .host = h,
	    .protocol = protocol,
	    .in = in,
	    .remote = remote,
	    .out = out};
	const struct nat_fixed *fixed = fixed_find(&w);

	if (n->config.mapping == NAT_NONE || !ip_is_v4(&in->ip)) {
		*out = *in;
		return true;
	}
	if (n->config.external_count == 0)
		return false;
	h->external = external_choose(n, h);
	out->ip = n->config.external[h->external];
	if (fixed != NULL)
		return port_fixed(&w, fixed->outside);
	range_set(&w);
	if (n->config.contiguity && port_contiguous(&w))
		return true;
	return port_assign(&w, n->config.ports);
}

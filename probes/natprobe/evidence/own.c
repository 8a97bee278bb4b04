/* own: the run's own frames. PURE. */
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/evidence/own.h"
#include "probes/natprobe/nat/ask.h"

/* A packet passes this host faster than that, and natprobe repeats no packet
 * so soon. */
#define COPY_US 50000

void
own_init(struct own *o, own_fn *fn, const void *arg)
{
	*o = (struct own){.fn = fn, .arg = arg};
}

/* Not a secret: equal packets are to be found. Between two interfaces of one
 * host nothing of a packet changes. */
static uint64_t
hash_of(const struct frame *f)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "natprobe copies";
	uint8_t h[crypto_shorthash_BYTES];
	struct rd r;

	crypto_shorthash(h, f->packet, f->packet_n, key);
	rd_init(&r, h, sizeof(h));
	return rd_u64(&r);
}

bool
own_is_copy(struct own *o, const struct frame *f, int64_t at_us)
{
	uint64_t hash;

	if (f->interface == 0 || f->kind == FRAME_OTHER)
		return false;
	hash = hash_of(f);
	for (unsigned i = 0; i < OWN_SIGHTS; i++) {
		const struct own_sight *s = &o->sights[i];

		if (s->interface != 0 && s->hash == hash &&
		    s->interface != f->interface && at_us - s->at_us < COPY_US)
			return true;
	}
	o->sights[o->n_sights++ % OWN_SIGHTS] = (struct own_sight){
	    .hash = hash, .at_us = at_us, .interface = f->interface};
	return false;
}

static bool
is_part(const struct own *o, const struct frame *f)
{
	for (unsigned i = 0; i < OWN_PARTS; i++) {
		const struct own_part *p = &o->parts[i];

		if (p->used && p->id == f->id && p->protocol == f->protocol &&
		    stun_addr_same_ip(&p->from, &f->from) &&
		    stun_addr_same_ip(&p->to, &f->to))
			return true;
	}
	return false;
}

static bool
has_end(const struct own *o, const struct frame *f, const struct stun_addr *a,
    const struct stun_addr *b, int64_t at_us)
{
	return o->fn(o->arg, f->protocol, a, b, at_us) ||
	    o->fn(o->arg, f->protocol, b, a, at_us);
}

static bool
is_own(struct own *o, const struct frame *f, int64_t at_us)
{
	switch (f->kind) {
	case FRAME_UDP:
	case FRAME_TCP:
	case FRAME_PING:
		if (!has_end(o, f, &f->from, &f->to, at_us))
			return false;
		if (f->parted)
			o->parts[o->n_parts++ % OWN_PARTS] =
			    (struct own_part){.used = true,
				.protocol = f->protocol,
				.from = f->from,
				.to = f->to,
				.id = f->id};
		return true;
	case FRAME_FRAGMENT:
		return is_part(o, f);
	case FRAME_ICMP:
		return has_end(o, f, &f->quoted_from, &f->quoted_to, at_us);
	case FRAME_OTHER:
		break;
	}
	return false;
}

bool
own_keeps(struct own *o, const struct frame *f, int64_t at_us)
{
	return is_own(o, f, at_us) && !own_is_copy(o, f, at_us);
}

/*
 * natcore_frag: fragments (RFC 4787 section 11, REQ-14). Only the first one
 * of a datagram has ports; the others go where that went, or wait for it, or
 * all of them are put together first.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/cursor.h"
#include "tests/natlab/natcore_impl.h"

#define PATIENCE_MS 30000
#define BLOCKS	    (65536 / 8)
#define HEAD_MAX    60

/* One datagram in fragments. */
struct frag {
	bool used;
	enum nat_side from;
	struct ip src, dst;
	uint8_t protocol;
	uint32_t id;
	struct mono made;

	/* What became of the first. */
	bool decided, passed;
	enum nat_side to;
	struct ip new_src, new_dst;
	/* Those that wait for it: 16 bits of length, then that many bytes. */
	struct wr held;

	/* Or all of them, to be put together. */
	bool bad; /* they overlap: RFC 1858, never to be completed */
	uint8_t head[HEAD_MAX];
	size_t head_len; /* 0 until the first came */
	size_t total, have; /* bytes behind the head; total 0: not known */
	bool blocks[BLOCKS]; /* of 8 bytes */
	uint8_t data[BLOCKS * 8];
};

bool
frag_init(struct nat *n)
{
	n->frags = calloc(NAT_FRAG_MAX, sizeof(*n->frags));
	return n->frags != NULL;
}

void
frag_clear(struct nat *n)
{
	free(n->frags);
}

void
frag_flush(struct nat *n)
{
	for (int i = 0; i < NAT_FRAG_MAX; i++)
		n->frags[i].used = false;
}

static bool
frag_matches(const struct frag *f, enum nat_side from, const struct packet *k)
{
	return f->used && f->from == from && f->id == k->frag_id &&
	    f->protocol == k->protocol &&
	    memcmp(&f->src, &k->src.ip, sizeof(f->src)) == 0 &&
	    memcmp(&f->dst, &k->dst.ip, sizeof(f->dst)) == 0;
}

/* Finds the datagram; or makes it, where the oldest one was if need be. */
static struct frag *
frag_get(struct nat *n, enum nat_side from, const struct packet *k)
{
	struct frag *best = &n->frags[0];

	for (int i = 0; i < NAT_FRAG_MAX; i++) {
		struct frag *f = &n->frags[i];

		if (f->used &&
		    mono_reached(mono_add_ms(f->made, PATIENCE_MS), n->now))
			f->used = false;
		if (frag_matches(f, from, k))
			return f;
		if (best->used && (!f->used || f->made.us < best->made.us))
			best = f;
	}
	if (best->used)
		nat_drop(n, NAT_DROP_FRAGMENT);
	memset(best, 0, sizeof(*best));
	best->used = true;
	best->from = from;
	best->src = k->src.ip;
	best->dst = k->dst.ip;
	best->protocol = k->protocol;
	best->id = k->frag_id;
	best->made = n->now;
	wr_init(&best->held, best->data, sizeof(best->data));
	return best;
}

/* ---- passed on one by one ---- */

void
frag_translated(struct nat *n, enum nat_side to, const struct packet *k)
{
	if (n->first == NULL)
		return;
	n->first->passed = true;
	n->first->to = to;
	n->first->new_src = k->src.ip;
	n->first->new_dst = k->dst.ip;
}

static void
frag_follow(struct nat *n, const struct frag *f, struct packet *k)
{
	if (!f->passed)
		return nat_drop(n, NAT_DROP_FRAGMENT);
	packet_set_ips(k, &f->new_src, &f->new_dst);
	nat_send(n, f->to, k);
}

static void
frag_hold(struct nat *n, struct frag *f, const struct packet *k)
{
	if (k->n + 2 > sizeof(f->data) - wr_len(&f->held))
		return nat_drop(n, NAT_DROP_FRAGMENT);
	wr_u16(&f->held, (uint16_t)k->n);
	wr_bytes(&f->held, k->p, k->n);
}

static void
frag_release(struct nat *n, struct frag *f)
{
	uint8_t packet[NAT_PACKET_MAX];
	struct packet k;
	struct rd r;

	rd_init(&r, f->data, wr_len(&f->held));
	while (rd_left(&r) > 0) {
		size_t len = rd_u16(&r);

		rd_copy(&r, packet, len);
		if (!r.bad && packet_read(&k, packet, len))
			frag_follow(n, f, &k);
	}
	wr_init(&f->held, f->data, sizeof(f->data));
}

static void
frag_pass(struct nat *n, enum nat_side from, struct packet *k)
{
	struct frag *f = frag_get(n, from, k);

	if (!packet_is_later_fragment(k)) {
		n->first = f;
		flow_packet(n, from, k);
		n->first = NULL;
		f->decided = true;
		frag_release(n, f);
	} else if (f->decided)
		frag_follow(n, f, k);
	else if (n->config.frags == NAT_FRAGS_ORDERED)
		nat_drop(n, NAT_DROP_FRAGMENT);
	else
		frag_hold(n, f, k);
}

/* ---- put together ---- */

/* RFC 791 section 3.2. A datagram whose fragments overlap is given up. */
static bool
frag_add(struct frag *f, const struct packet *k)
{
	size_t len = k->n - k->head, end = k->frag_at + len;
	size_t last = (end + 7) / 8;

	if (len == 0 || end > NAT_PACKET_MAX - HEAD_MAX ||
	    (k->more_fragments && len % 8 != 0) ||
	    (!k->more_fragments && f->total != 0 && f->total != end))
		return false;
	for (size_t i = k->frag_at / 8; i < last; i++) {
		if (f->blocks[i])
			return false;
		f->blocks[i] = true;
	}
	memcpy(f->data + k->frag_at, k->p + k->head, len);
	f->have += len;
	if (!k->more_fragments)
		f->total = end;
	if (k->frag_at == 0) {
		f->head_len = k->head;
		memcpy(f->head, k->p, k->head);
	}
	return f->total == 0 || f->have <= f->total;
}

static void
frag_reassemble(struct nat *n, enum nat_side from, const struct packet *k)
{
	struct frag *f = frag_get(n, from, k);
	uint8_t whole[NAT_PACKET_MAX];
	struct packet w;
	size_t size;

	f->bad = f->bad || !frag_add(f, k);
	if (f->bad)
		return nat_drop(n, NAT_DROP_FRAGMENT);
	if (f->head_len == 0 || f->total == 0 || f->have < f->total)
		return;
	f->used = false;
	size = f->head_len + f->total;
	memcpy(whole, f->head, f->head_len);
	memcpy(whole + f->head_len, f->data, f->total);
	packet_make_whole(whole, size);
	if (packet_read(&w, whole, size))
		flow_packet(n, from, &w);
	else
		nat_drop(n, NAT_DROP_MALFORMED);
}

/* ---- all ---- */

void
frag_packet(struct nat *n, enum nat_side from, struct packet *k)
{
	if (!packet_is_fragment(k))
		return flow_packet(n, from, k);
	if (from == NAT_INSIDE && !n->config.hairpin_fragments &&
	    ip_is_external(n, &k->dst.ip))
		return nat_drop(n, NAT_DROP_FRAGMENT);
	switch (n->config.frags) {
	case NAT_FRAGS_DROP:
		return nat_drop(n, NAT_DROP_FRAGMENT);
	case NAT_FRAGS_FIRST_ONLY:
		if (packet_is_later_fragment(k))
			return nat_drop(n, NAT_DROP_FRAGMENT);
		return flow_packet(n, from, k);
	case NAT_FRAGS_REASSEMBLE:
		if (k->v4) /* in IPv6 that is for hosts alone */
			return frag_reassemble(n, from, k);
		break;
	case NAT_FRAGS_PASS:
	case NAT_FRAGS_ORDERED:
		break;
	}
	frag_pass(n, from, k);
}

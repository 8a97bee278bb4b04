/*
 * natcore_packet: IP packets read into a struct, and addresses and ports
 * changed in place with their checksums. Nothing here knows what a NAT is.
 */
#include <string.h>

#include "pure/cursor.h"
#include "tests/natlab/natcore_impl.h"

static const struct ip v4_zero = {{[10] = 0xff, 0xff}};

static struct ip
v4_of(struct rd *r)
{
	struct ip a = v4_zero;

	rd_copy(r, a.b + 12, 4);
	return a;
}

/* The sum of RFC 1071, not yet inverted. */
static uint16_t
sum_of(const uint8_t *p, size_t n)
{
	struct rd r;
	uint32_t sum = 0;

	rd_init(&r, p, n);
	while (rd_left(&r) >= 2)
		sum += rd_u16(&r);
	if (rd_left(&r) == 1)
		sum += (uint32_t)rd_u8(&r) << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* ---- reading ---- */

static void
read_upper(struct packet *k)
{
	struct rd r;
	uint32_t rest;

	if (packet_is_later_fragment(k) || k->n < k->head)
		return;
	rd_init(&r, k->p + k->head, k->n - k->head);
	switch (k->protocol) {
	case PROTO_UDP:
	case PROTO_TCP:
		k->src.port = rd_u16(&r);
		k->dst.port = rd_u16(&r);
		rd_skip(&r, 4); /* a quote has these 8 bytes at least */
		k->has_ports = !r.bad;
		if (k->protocol == PROTO_TCP && !k->quoted) {
			k->tcp_ack = rd_u32(&r);
			rd_skip(&r, 1);
			k->tcp_flags = rd_u8(&r);
			k->has_ports = rd_left(&r) >= 6;
		}
		break;
	case PROTO_ICMP:
	case PROTO_ICMP6:
		k->icmp_type = rd_u8(&r);
		k->icmp_code = rd_u8(&r);
		rd_skip(&r, 2);
		rest = rd_u32(&r);
		k->has_ports = !r.bad;
		/* The identifier is the inside's; which side that is, is
		 * not known here, so both ends show it. */
		if (packet_is_query(k))
			k->src.port = k->dst.port = (uint16_t)(rest >> 16);
		break;
	default:
		break;
	}
}

static bool
read_v4(struct packet *k)
{
	struct rd r;
	unsigned total, flags;

	rd_init(&r, k->p, k->n);
	k->head = (size_t)(rd_u8(&r) & 15) * 4;
	rd_skip(&r, 1);
	total = rd_u16(&r);
	k->frag_id = rd_u16(&r);
	flags = rd_u16(&r);
	rd_skip(&r, 1);
	k->protocol = rd_u8(&r);
	rd_skip(&r, 2);
	k->src.ip = v4_of(&r);
	k->dst.ip = v4_of(&r);
	k->dont_fragment = flags & 0x4000;
	k->more_fragments = flags & 0x2000;
	k->frag_at = (flags & 0x1fff) * 8;
	if (r.bad || k->head < 20 || k->head > k->n || total < k->head)
		return false;
	if (total > k->n && !k->quoted)
		return false;
	if (total < k->n)
		k->n = total; /* the rest was padding of the link */
	return k->quoted || sum_of(k->p, k->head) == 0xffff;
}

/* Skips the extension headers of RFC 8200 section 4 that may come before what
 * is looked for. False where there is more of them than is reasonable. */
static bool
read_extensions(struct packet *k, struct rd *r, uint8_t next)
{
	for (int i = 0; i < 8; i++) {
		uint8_t after;
		unsigned len;

		if (next != 0 && next != 43 && next != 60 &&
		    next != PROTO_V6_FRAG) {
			k->protocol = next;
			k->head = (size_t)(r->p - k->p);
			return !r->bad;
		}
		after = rd_u8(r);
		len = rd_u8(r);
		if (next == PROTO_V6_FRAG) {
			unsigned at = rd_u16(r);

			k->frag_at = at & 0xfff8;
			k->more_fragments = at & 1;
			k->frag_id = rd_u32(r);
		} else
			rd_skip(r, 6 + len * 8);
		next = after;
		if (k->frag_at != 0) {
			k->protocol = next;
			k->head = (size_t)(r->p - k->p);
			return !r->bad;
		}
	}
	return false;
}

static bool
read_v6(struct packet *k)
{
	struct rd r;
	size_t total;
	uint8_t next;

	rd_init(&r, k->p, k->n);
	rd_skip(&r, 4);
	total = 40 + (size_t)rd_u16(&r);
	next = rd_u8(&r);
	rd_skip(&r, 1);
	rd_copy(&r, k->src.ip.b, 16);
	rd_copy(&r, k->dst.ip.b, 16);
	k->dont_fragment = true; /* by routers, ever */
	if (r.bad || (total > k->n && !k->quoted))
		return false;
	/* Mapped addresses mean IPv4 here. */
	if (ip_is_v4(&k->src.ip) || ip_is_v4(&k->dst.ip))
		return false;
	if (total < k->n) {
		k->n = total;
		r.end = k->p + total;
	}
	return read_extensions(k, &r, next);
}

static bool
packet_parse(struct packet *k, uint8_t *p, size_t n, bool quoted)
{
	bool good;

	*k = (struct packet){.p = p, .n = n, .quoted = quoted};
	if (n == 0)
		return false;
	k->v4 = p[0] >> 4 == 4;
	good = k->v4 ? read_v4(k) : p[0] >> 4 == 6 && read_v6(k);
	if (!good || k->protocol == (k->v4 ? PROTO_ICMP6 : PROTO_ICMP))
		return false;
	read_upper(k);
	return true;
}

bool
packet_read(struct packet *k, uint8_t *p, size_t n)
{
	return packet_parse(k, p, n, false);
}

bool
packet_read_quote(struct packet *q, const struct packet *error)
{
	size_t at = error->head + 8;

	return error->n > at &&
	    packet_parse(q, error->p + at, error->n - at, true) &&
	    q->v4 == error->v4;
}

bool
packet_is_fragment(const struct packet *k)
{
	return k->more_fragments || k->frag_at != 0;
}

bool
packet_is_later_fragment(const struct packet *k)
{
	return k->frag_at != 0;
}

bool
packet_is_error(const struct packet *k)
{
	if (k->protocol == PROTO_ICMP6)
		return k->icmp_type >= 1 && k->icmp_type <= 4;
	return k->protocol == PROTO_ICMP &&
	    (k->icmp_type == 3 || k->icmp_type == 4 || k->icmp_type == 11 ||
		k->icmp_type == 12);
}

bool
packet_is_echo_request(const struct packet *k)
{
	return (k->protocol == PROTO_ICMP && k->icmp_type == 8) ||
	    (k->protocol == PROTO_ICMP6 && k->icmp_type == 128);
}

bool
packet_is_query(const struct packet *k)
{
	return packet_is_echo_request(k) ||
	    (k->protocol == PROTO_ICMP && k->icmp_type == 0) ||
	    (k->protocol == PROTO_ICMP6 && k->icmp_type == 129);
}

/* ---- rewriting ---- */

/* RFC 1624, equation 3: the checksum in 2 bytes at sum, after what summed up
 * to `before` sums up to `after`. */
static void
sum_update(uint8_t *sum, uint16_t before, uint16_t after)
{
	struct rd r;
	struct wr w;
	uint32_t v;

	rd_init(&r, sum, 2);
	v = (uint16_t)~rd_u16(&r);
	v += (uint16_t)~before;
	v += after;
	while (v >> 16 != 0)
		v = (v & 0xffff) + (v >> 16);
	wr_init(&w, sum, 2);
	wr_u16(&w, (uint16_t)~v);
}

/* The bytes of the upper checksum, or NULL if it is not there, or not used:
 * zero is "none" in UDP over IPv4. */
static uint8_t *
upper_sum(const struct packet *k)
{
	size_t at = k->protocol == PROTO_TCP ? 16
	    : k->protocol == PROTO_UDP	     ? 6
					     : 2;
	uint8_t *p = k->p + k->head + at;

	if (packet_is_later_fragment(k) || k->n < k->head + at + 2)
		return NULL;
	if (k->protocol == PROTO_UDP && k->v4 && p[0] == 0 && p[1] == 0)
		return NULL;
	return p;
}

static void
upper_sum_update(struct packet *k, uint16_t before, uint16_t after)
{
	uint8_t *sum = upper_sum(k);

	if (sum == NULL)
		return;
	sum_update(sum, before, after);
	if (k->protocol == PROTO_UDP && sum[0] == 0 && sum[1] == 0)
		sum[0] = sum[1] = 0xff;
}

static void
address_set(struct packet *k, size_t at, const struct ip *ip)
{
	size_t size = k->v4 ? 4 : 16;
	const uint8_t *bytes = ip->b + 16 - size;
	uint16_t before = sum_of(k->p + at, size);
	uint16_t after = sum_of(bytes, size);

	if (k->v4)
		sum_update(k->p + 10, before, after);
	/* ICMP's alone knows no addresses (RFC 792); ICMPv6's does. */
	if (k->protocol != PROTO_ICMP)
		upper_sum_update(k, before, after);
	memcpy(k->p + at, bytes, size);
}

static void
port_set(struct packet *k, size_t at, uint16_t port)
{
	uint8_t *p = k->p + k->head + at;
	uint16_t before = sum_of(p, 2);
	struct wr w;

	upper_sum_update(k, before, port);
	wr_init(&w, p, 2);
	wr_u16(&w, port);
}

static void
end_set(struct packet *k, const struct end *e, bool src)
{
	address_set(k, (k->v4 ? 12 : 8) + (src ? 0 : (k->v4 ? 4 : 16)), &e->ip);
	if (!k->has_ports)
		return;
	if (packet_is_query(k))
		port_set(k, 4, e->port);
	else if (k->protocol == PROTO_UDP || k->protocol == PROTO_TCP)
		port_set(k, src ? 0 : 2, e->port);
}

void
packet_set_src(struct packet *k, const struct end *e)
{
	end_set(k, e, true);
	k->src = *e;
}

void
packet_set_dst(struct packet *k, const struct end *e)
{
	end_set(k, e, false);
	k->dst = *e;
}

void
packet_set_ips(struct packet *k, const struct ip *src, const struct ip *dst)
{
	address_set(k, k->v4 ? 12 : 8, src);
	address_set(k, k->v4 ? 16 : 24, dst);
	k->src.ip = *src;
	k->dst.ip = *dst;
}

void
packet_replace(struct packet *k, const struct ip *what, const struct ip *by)
{
	uint8_t *upper = k->p + k->head;
	size_t n = k->n - k->head;
	uint16_t before;

	if (!k->v4 || k->protocol != PROTO_UDP || packet_is_fragment(k))
		return;
	before = sum_of(upper, n);
	for (size_t at = 8; at + 4 <= n; at++)
		if (memcmp(upper + at, what->b + 12, 4) == 0)
			memcpy(upper + at, by->b + 12, 4);
	/* Both sums have the checksum in them, as it was. */
	upper_sum_update(k, before, sum_of(upper, n));
}

static void
quote_set(struct packet *error, struct packet *q, const struct end *e, bool src)
{
	uint16_t before = sum_of(q->p, q->n);

	end_set(q, e, src);
	sum_update(error->p + error->head + 2, before, sum_of(q->p, q->n));
}

void
packet_quote_set_src(
    struct packet *error, struct packet *q, const struct end *e)
{
	quote_set(error, q, e, true);
	q->src = *e;
}

void
packet_quote_set_dst(
    struct packet *error, struct packet *q, const struct end *e)
{
	quote_set(error, q, e, false);
	q->dst = *e;
}

/*
 * natcore_make: packets that a NAT makes itself: ICMP errors, TCP resets,
 * echo replies and fragments. Only bytes: who gets them is decided elsewhere.
 */
#include <string.h>

#include "pure/cursor.h"
#include "tests/natlab/natcore_impl.h"

enum { TTL = 64 };

static uint32_t
sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
	struct rd r;

	rd_init(&r, p, n);
	while (rd_left(&r) >= 2)
		sum += rd_u16(&r);
	if (rd_left(&r) == 1)
		sum += (uint32_t)rd_u8(&r) << 8;
	return sum;
}

static uint16_t
sum_end(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
put16(uint8_t *p, uint16_t v)
{
	struct wr w;

	wr_init(&w, p, 2);
	wr_u16(&w, v);
}

static uint16_t
get16(const uint8_t *p)
{
	struct rd r;

	rd_init(&r, p, 2);
	return rd_u16(&r);
}

static void
v4_sum_set(uint8_t *p, size_t head)
{
	put16(p + 10, 0);
	put16(p + 10, sum_end(sum_add(0, p, head)));
}

/* An IP header for `upper` bytes of that protocol behind it. */
static void
head_write(struct wr *w, bool v4, uint8_t protocol, size_t upper,
    const struct ip *src, const struct ip *dst)
{
	if (v4) {
		wr_u16(w, 0x4500);
		wr_u16(w, (uint16_t)(20 + upper));
		wr_u32(w, 0x4000); /* id 0, do not fragment */
		wr_u8(w, TTL);
		wr_u8(w, protocol);
		wr_u16(w, 0);
		wr_bytes(w, src->b + 12, 4);
		wr_bytes(w, dst->b + 12, 4);
		v4_sum_set(w->start, 20);
	} else {
		wr_u32(w, 0x60000000);
		wr_u16(w, (uint16_t)upper);
		wr_u8(w, protocol);
		wr_u8(w, TTL);
		wr_bytes(w, src->b, 16);
		wr_bytes(w, dst->b, 16);
	}
}

/* Sums up a whole packet of ours, whose checksum is still zero. */
static void
upper_sum_set(uint8_t *p, size_t n, bool v4, uint8_t protocol, size_t at)
{
	size_t head = v4 ? 20 : 40;
	uint32_t sum = sum_add(0, p + head, n - head);

	/* The pseudo header: addresses, length, protocol. */
	if (protocol != PROTO_ICMP) {
		sum = sum_add(sum, p + (v4 ? 12 : 8), v4 ? 8 : 32);
		sum += (uint32_t)(n - head) + protocol;
	}
	put16(p + head + at, sum_end(sum));
}

struct icmp_kind
icmp_kind_of(bool v4, enum icmp_what what, unsigned mtu)
{
	switch (what) {
	case ICMP_NO_PORT:
		return v4 ? (struct icmp_kind){3, 3, 0}
			  : (struct icmp_kind){1, 4, 0};
	case ICMP_PROHIBITED:
		return v4 ? (struct icmp_kind){3, 13, 0}
			  : (struct icmp_kind){1, 1, 0};
	case ICMP_TOO_BIG:
		break;
	}
	return v4 ? (struct icmp_kind){3, 4, mtu}
		  : (struct icmp_kind){2, 0, mtu};
}

size_t
make_error(uint8_t out[static MADE_MAX], const struct packet *k,
    const struct ip *from, const struct icmp_kind *kind)
{
	/* RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4 (c). */
	size_t most = k->v4 ? 576 - 28 : MADE_MAX - 48;
	size_t quote = k->n < most ? k->n : most;
	uint8_t protocol = k->v4 ? PROTO_ICMP : PROTO_ICMP6;
	struct wr w;

	wr_init(&w, out, MADE_MAX);
	head_write(&w, k->v4, protocol, 8 + quote, from, &k->src.ip);
	wr_u8(&w, kind->type);
	wr_u8(&w, kind->code);
	wr_u16(&w, 0);
	wr_u32(&w, kind->rest);
	wr_bytes(&w, k->p, quote);
	upper_sum_set(out, wr_len(&w), k->v4, protocol, 2);
	return wr_len(&w);
}

static size_t
rst_write(uint8_t out[static MADE_MAX], const struct end *src,
    const struct end *dst, uint32_t seq, uint32_t ack, uint8_t flags)
{
	bool v4 = ip_is_v4(&src->ip);
	struct wr w;

	wr_init(&w, out, MADE_MAX);
	head_write(&w, v4, PROTO_TCP, 20, &src->ip, &dst->ip);
	wr_u16(&w, src->port);
	wr_u16(&w, dst->port);
	wr_u32(&w, seq);
	wr_u32(&w, ack);
	wr_u8(&w, 5 << 4);
	wr_u8(&w, flags);
	wr_zero(&w, 6);
	upper_sum_set(out, wr_len(&w), v4, PROTO_TCP, 16);
	return wr_len(&w);
}

/* RFC 9293 section 3.10.7.1: a reset for a segment that found nobody. */
size_t
make_rst(uint8_t out[static MADE_MAX], const struct packet *k)
{
	struct rd r;
	uint32_t seq, ack, len;
	unsigned offset;

	rd_init(&r, k->p + k->head, k->n - k->head);
	rd_skip(&r, 4);
	seq = rd_u32(&r);
	ack = rd_u32(&r);
	offset = (unsigned)(rd_u8(&r) >> 4) * 4;
	len = (uint32_t)(k->n - k->head);
	len = len > offset ? len - offset : 0;
	len += (k->tcp_flags & TCP_SYN ? 1u : 0u) +
	    (k->tcp_flags & TCP_FIN ? 1u : 0u);

	if (k->tcp_flags & TCP_ACK)
		return rst_write(out, &k->dst, &k->src, ack, 0, TCP_RST);
	return rst_write(
	    out, &k->dst, &k->src, 0, seq + len, TCP_RST | TCP_ACK);
}

size_t
make_rst_of(uint8_t out[static MADE_MAX], const struct end *src,
    const struct end *dst, uint32_t seq)
{
	return rst_write(out, src, dst, seq, 0, TCP_RST);
}

void
packet_turn_echo(struct packet *k)
{
	uint8_t *icmp = k->p + k->head;
	uint32_t sum = (uint16_t)~get16(icmp + 2);
	uint16_t before = get16(icmp);
	struct end src = k->src, dst = k->dst;

	icmp[0] = k->v4 ? 0 : 129;
	sum += (uint16_t)~before;
	sum += get16(icmp);
	put16(icmp + 2, sum_end(sum));
	k->icmp_type = icmp[0];
	/* The addresses change places: no sum changes. */
	packet_set_ips(k, &dst.ip, &src.ip);
}

size_t
make_fragment(
    uint8_t *out, const uint8_t *packet, size_t n, unsigned mtu, size_t *at)
{
	size_t head = (size_t)(packet[0] & 15) * 4;
	size_t room = (mtu - head) & ~(size_t)7;
	size_t left = n - head - *at;
	size_t size = left < room ? left : room;
	uint16_t flags = get16(packet + 6);
	bool more = size < left || flags & 0x2000;

	memcpy(out, packet, head);
	memcpy(out + head, packet + head + *at, size);
	put16(out + 2, (uint16_t)(head + size));
	put16(out + 6,
	    (uint16_t)((more ? 0x2000u : 0u) |
		(uint16_t)((flags & 0x1fff) + *at / 8)));
	v4_sum_set(out, head);
	*at += size;
	return head + size;
}

void
packet_make_whole(uint8_t *p, size_t n)
{
	put16(p + 2, (uint16_t)n);
	put16(p + 6, get16(p + 6) & 0x4000);
	v4_sum_set(p, (size_t)(p[0] & 15) * 4);
}

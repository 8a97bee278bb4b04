/* frame: link layer, IPv4 or IPv6, UDP, TCP or ICMP. PURE. */
#include "probes/natprobe/evidence/frame.h"

/* Ethernet types, and the number of IPv6's fragment header. */
enum { ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd };
enum { ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8 };
enum { IP_FRAGMENT = 44 };

struct ip_head {
	struct stun_addr from, to;
	uint8_t protocol;
	uint32_t id;
	bool first, parted;
	size_t len; /* of what is behind the header, on the wire */
};

bool
frame_link_known(int link)
{
	switch (link) {
	case FRAME_ETHERNET:
	case FRAME_RAW:
	case FRAME_RAW_FILE:
	case FRAME_COOKED:
	case FRAME_IPV4:
	case FRAME_IPV6:
	case FRAME_COOKED2:
		return true;
	default:
		return false;
	}
}

/* ---- link layers: r is at the IP header afterwards ---- */

static bool
is_ip(uint16_t type)
{
	return type == ETHER_IPV4 || type == ETHER_IPV6;
}

static bool
skip_ethernet(struct rd *r)
{
	uint16_t type;

	rd_skip(r, 12);
	type = rd_u16(r);
	while (!r->bad && (type == ETHER_VLAN || type == ETHER_QINQ)) {
		rd_skip(r, 2);
		type = rd_u16(r);
	}
	return is_ip(type);
}

/* linktypes/LINKTYPE_LINUX_SLL2: protocol, 2 of nothing, interface, type of
 * the device, direction, length of the address, address (8). */
static bool
skip_cooked2(struct rd *r, struct frame *f)
{
	uint16_t type = rd_u16(r);

	rd_skip(r, 2);
	f->interface = rd_u32(r);
	rd_skip(r, 12);
	return is_ip(type);
}

static bool
skip_link(struct rd *r, int link, struct frame *f)
{
	switch (link) {
	case FRAME_ETHERNET:
		return skip_ethernet(r);
	case FRAME_COOKED:
		rd_skip(r, 14);
		return is_ip(rd_u16(r));
	case FRAME_COOKED2:
		return skip_cooked2(r, f);
	default:
		return true;
	}
}

/* ---- IP ---- */

static void
read_v4_address(struct rd *r, struct stun_addr *a)
{
	*a = (struct stun_addr){.ip = {[10] = 0xff, [11] = 0xff}};
	rd_copy(r, a->ip + 12, 4);
}

/* What is behind the header: no more than it says, and less if the frame was
 * cut or only the beginning is quoted. */
static struct rd
rest(struct rd *r, size_t n)
{
	size_t left = rd_left(r);

	return rd_sub(r, n < left ? n : left);
}

/* RFC 791 section 3.1. */
static struct rd
read_v4(struct rd *r, struct ip_head *h)
{
	size_t head = (size_t)(rd_u8(r) & 15) * 4, all;
	uint16_t part;

	rd_skip(r, 1);
	all = rd_u16(r);
	h->id = rd_u16(r);
	part = rd_u16(r);
	h->first = (part & 0x1fff) == 0;
	h->parted = (part & 0x2000) != 0;
	rd_skip(r, 1);
	h->protocol = rd_u8(r);
	rd_skip(r, 2);
	read_v4_address(r, &h->from);
	read_v4_address(r, &h->to);
	if (head < 20 || all < head)
		r->bad = true;
	else
		rd_skip(r, head - 20);
	h->len = all - head;
	return rest(r, h->len);
}

/* RFC 8200 sections 3 and 4.5. Other extension headers do not occur in what
 * natprobe sends or STUN servers answer. */
static struct rd
read_v6(struct rd *r, struct ip_head *h)
{
	struct rd body;
	size_t n;
	uint16_t part;

	rd_skip(r, 4);
	n = rd_u16(r);
	h->protocol = rd_u8(r);
	rd_skip(r, 1);
	h->from = h->to = (struct stun_addr){.port = 0};
	rd_copy(r, h->from.ip, 16);
	rd_copy(r, h->to.ip, 16);
	h->first = true;
	h->len = n;
	body = rest(r, n);
	if (h->protocol == IP_FRAGMENT) {
		h->protocol = rd_u8(&body);
		rd_skip(&body, 1);
		part = rd_u16(&body);
		h->first = (part & 0xfff8) == 0;
		h->parted = (part & 1) != 0;
		h->id = rd_u32(&body);
		h->len -= n < 8 ? n : 8;
	}
	return body;
}

static struct rd
read_ip(struct rd *r, struct ip_head *h)
{
	struct rd peek = *r;

	*h = (struct ip_head){.protocol = 0};
	switch (rd_u8(&peek) >> 4) {
	case 4:
		return read_v4(r, h);
	case 6:
		return read_v6(r, h);
	default:
		return (struct rd){r->p, r->p, true};
	}
}

/* ---- UDP and TCP ---- */

static bool
read_udp(
    struct rd *r, struct stun_addr *from, struct stun_addr *to, struct frame *f)
{
	size_t n, left;

	from->port = rd_u16(r);
	to->port = rd_u16(r);
	n = rd_u16(r);
	rd_skip(r, 2);
	left = rd_left(r);
	if (r->bad || n < 8)
		return false;
	f->n = n - 8 < left ? n - 8 : left;
	f->p = rd_bytes(r, f->n);
	return true;
}

/* RFC 9293 section 3.1. */
static bool
read_tcp(struct rd *r, const struct ip_head *h, struct frame *f)
{
	size_t head;

	f->from.port = rd_u16(r);
	f->to.port = rd_u16(r);
	f->seq = rd_u32(r);
	f->ack = rd_u32(r);
	head = (size_t)(rd_u8(r) >> 4) * 4;
	f->flags = rd_u8(r);
	rd_skip(r, 6);
	if (r->bad || head < 20 || h->len < head)
		return false;
	f->len = h->len - head;
	/* A capture may end within the options. */
	rd_skip(r, rd_left(r) < head - 20 ? rd_left(r) : head - 20);
	f->n = rd_left(r);
	f->p = rd_bytes(r, f->n);
	return true;
}

/* ---- ICMP ---- */

/* RFC 792: unreachable, quench, redirect, time exceeded, parameter problem;
 * RFC 4443 section 2.1: errors are below 128. */
static bool
is_error(uint8_t protocol, uint8_t type)
{
	if (protocol == FRAME_ICMP6_PROTOCOL)
		return type < 128;
	return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

/* RFC 792; RFC 4443 section 4. True if it is a ping; then one end has its
 * identifier for a port. */
static bool
read_ping(struct rd *r, uint8_t protocol, uint8_t type, struct stun_addr *from,
    struct stun_addr *to)
{
	bool v6 = protocol == FRAME_ICMP6_PROTOCOL;
	uint16_t id;

	rd_skip(r, 2); /* the checksum */
	id = rd_u16(r);
	if (type == (v6 ? 128 : 8))
		from->port = id;
	else if (type == (v6 ? 129 : 0))
		to->port = id;
	else
		return false;
	return !r->bad;
}

/* Of TCP no more need be quoted than its ports and its number. */
static bool
read_quoted(struct rd *r, struct ip_head *q, struct frame *f)
{
	uint8_t type;

	switch (q->protocol) {
	case FRAME_UDP_PROTOCOL:
		return read_udp(r, &q->from, &q->to, f);
	case FRAME_TCP_PROTOCOL:
		q->from.port = rd_u16(r);
		q->to.port = rd_u16(r);
		f->seq = rd_u32(r);
		return !r->bad;
	case FRAME_ICMP4_PROTOCOL:
	case FRAME_ICMP6_PROTOCOL:
		type = rd_u8(r);
		rd_skip(r, 1);
		return read_ping(r, q->protocol, type, &q->from, &q->to);
	default:
		return false;
	}
}

static enum frame_kind
read_icmp(struct rd *r, uint8_t protocol, struct frame *f)
{
	struct ip_head quoted;
	struct rd body;

	f->type = rd_u8(r);
	f->code = rd_u8(r);
	if (!is_error(protocol, f->type))
		return read_ping(r, protocol, f->type, &f->from, &f->to)
		    ? FRAME_PING
		    : FRAME_OTHER;
	rd_skip(r, 6);
	body = read_ip(r, &quoted);
	if (body.bad || !quoted.first || !read_quoted(&body, &quoted, f))
		return FRAME_OTHER;
	f->protocol = quoted.protocol;
	f->quoted_from = quoted.from;
	f->quoted_to = quoted.to;
	/* RFC 792; RFC 4443 section 3.1. */
	f->port_closed = protocol == FRAME_ICMP6_PROTOCOL
	    ? f->type == 1 && f->code == 4
	    : f->type == 3 && f->code == 3;
	return FRAME_ICMP;
}

static enum frame_kind
read_packet(struct rd *r, struct frame *f)
{
	struct ip_head h;
	struct rd body = read_ip(r, &h);

	if (body.bad)
		return FRAME_OTHER;
	f->from = h.from;
	f->to = h.to;
	f->id = h.id;
	f->parted = h.parted;
	f->protocol = h.protocol;
	if (!h.first)
		return FRAME_FRAGMENT;
	switch (h.protocol) {
	case FRAME_UDP_PROTOCOL:
		return read_udp(&body, &f->from, &f->to, f) ? FRAME_UDP
							    : FRAME_OTHER;
	case FRAME_TCP_PROTOCOL:
		return read_tcp(&body, &h, f) ? FRAME_TCP : FRAME_OTHER;
	case FRAME_ICMP4_PROTOCOL:
	case FRAME_ICMP6_PROTOCOL:
		return read_icmp(&body, h.protocol, f);
	default:
		return FRAME_OTHER;
	}
}

void
frame_read(struct frame *f, int link, const void *p, size_t n)
{
	struct rd r;

	*f = (struct frame){.kind = FRAME_OTHER};
	rd_init(&r, p, n);
	if (!skip_link(&r, link, f) || r.bad)
		return;
	f->packet = r.p;
	f->packet_n = rd_left(&r);
	f->kind = read_packet(&r, f);
}

/*
 * frame: a captured frame as what it carries: a datagram of UDP, a segment of
 * TCP, a ping, a later fragment, or an ICMP error that quotes one of these.
 * PURE.
 */
#ifndef NATPROBE_FRAME_H
#define NATPROBE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/stun.h"

/* Numbers of tcpdump.org/linktypes.html, but for DLT_RAW, which libpcap calls
 * by another number than the file does. */
enum frame_link {
	FRAME_ETHERNET = 1,
	FRAME_RAW = 12,
	FRAME_RAW_FILE = 101,
	FRAME_COOKED = 113,
	FRAME_IPV4 = 228,
	FRAME_IPV6 = 229,
	FRAME_COOKED2 = 276,
};

/* IP's numbers of protocols. A ping's is that of its ICMP. */
enum frame_protocol {
	FRAME_ICMP4_PROTOCOL = 1,
	FRAME_TCP_PROTOCOL = 6,
	FRAME_UDP_PROTOCOL = 17,
	FRAME_ICMP6_PROTOCOL = 58,
};

/* RFC 9293 section 3.1. */
enum frame_flag {
	FRAME_FIN = 1,
	FRAME_SYN = 2,
	FRAME_RST = 4,
	FRAME_ACK = 16,
};

struct frame {
	enum frame_kind {
		FRAME_OTHER, /* nothing of the following */
		FRAME_UDP, /* a datagram, or its first fragment */
		FRAME_TCP, /* a segment */
		FRAME_PING, /* an echo request, or the reply */
		FRAME_FRAGMENT, /* a later fragment: no ports */
		FRAME_ICMP, /* an error; p is of the quoted packet */
	} kind;
	uint8_t protocol; /* ICMP: of the quoted packet */
	unsigned interface; /* its index; 0: the link type does not tell */
	/* With ports, if it has such. A ping's identifier stands for the port
	 * of the host that pings; the other's is 0. */
	struct stun_addr from, to;
	uint32_t id; /* of the fragments of one datagram */
	bool parted; /* it has more fragments */
	uint32_t seq, ack; /* TCP; quoted, only seq */
	uint8_t flags; /* TCP: enum frame_flag */
	struct stun_addr quoted_from, quoted_to; /* ICMP */
	uint8_t type, code; /* ICMP */
	bool port_closed; /* ICMP: port unreachable */
	const uint8_t *p; /* what UDP or TCP carries, lent */
	size_t n;
	size_t len; /* TCP: of that, before the capture cut it */
	const uint8_t *packet; /* from the IP header on, lent */
	size_t packet_n;
};

bool frame_link_known(int link);
void frame_read(struct frame *f, int link, const void *p, size_t n);

#endif

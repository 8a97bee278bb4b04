/*
 * frame: a captured frame as what it carries of UDP: a datagram, a later
 * fragment of one, or an ICMP error that quotes one. PURE.
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

struct frame {
	enum frame_kind {
		FRAME_OTHER, /* nothing of the following */
		FRAME_UDP, /* a datagram, or its first fragment */
		FRAME_FRAGMENT, /* a later fragment: no ports */
		FRAME_ICMP, /* an error about UDP; p is of the quoted one */
	} kind;
	unsigned interface; /* its index; 0: the link type does not tell */
	struct stun_addr from, to; /* UDP: with ports, else port 0 */
	uint32_t id; /* of the fragments of one datagram */
	bool parted; /* UDP: it has more fragments */
	struct stun_addr quoted_from, quoted_to; /* ICMP */
	bool port_closed; /* ICMP: port unreachable */
	const uint8_t *p; /* what UDP carries, lent */
	size_t n;
	const uint8_t *packet; /* from the IP header on, lent */
	size_t packet_n;
};

bool frame_link_known(int link);
void frame_read(struct frame *f, int link, const void *p, size_t n);

#endif

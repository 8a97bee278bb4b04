/*
 * icmp: what routers and hosts say of a datagram that did not arrive, read
 * from the socket that sent it (ip(7), IP_RECVERR).
 */
#ifndef NATPROBE_ICMP_H
#define NATPROBE_ICMP_H

#include <stdbool.h>

#include "run/addr.h"

struct cmsghdr;

enum icmp_kind {
	ICMP_NOTHING,
	ICMP_REFUSED, /* nobody listens there */
	ICMP_PROHIBITED, /* a firewall says that it may not pass */
	ICMP_UNREACHABLE,
	ICMP_BIG, /* size: what would pass */
	ICMP_OTHER,
};

struct icmp_error {
	enum icmp_kind kind;
	bool here; /* not by ICMP: this host's own word */
	unsigned size;
};

/* PURE. By the numbers of RFC 792 and RFC 1812, or RFC 4443. */
enum icmp_kind icmp_classify(bool v6, unsigned type, unsigned code);

/* Makes the socket keep errors. */
bool icmp_listen(int fd, bool v6);
/* Of a control message of MSG_ERRQUEUE: who says so by ICMP, and what of it
 * became the socket's errno. False: it is something else. */
bool icmp_sender(struct cmsghdr *c, struct addr *who, int *error);
/* The next error; false: there is none. */
bool icmp_read(int fd, struct icmp_error *e);

#endif

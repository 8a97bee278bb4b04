/* knock_why: what is known of TCP at the end, in the words of RFC 5382, and why
 * not more. PURE. */
#ifndef NATPROBE_PAIR_KNOCK_WHY_H
#define NATPROBE_PAIR_KNOCK_WHY_H

#include "probes/natprobe/pair/knock.h"

/* Why something is not known. */
enum knock_why {
	KNOCK_WHY_NONE,
	KNOCK_WHY_VERSION, /* the other side's release cannot, or shall not */
	KNOCK_WHY_NO_SERVER, /* none of this family that speaks TCP answers */
	KNOCK_WHY_NO_ENDPOINT, /* the other side has none */
	KNOCK_WHY_ODD, /* it names one that cannot be */
	KNOCK_WHY_CUT, /* the meeting ended before */
	KNOCK_WHY_SAME_NAT,
	KNOCK_WHY_SAME_ADDRESS, /* the other has the STUN server's address */
	KNOCK_WHY_FOREIGN,
	KNOCK_WHY_BLOCKED, /* SYNs may not leave the network they come from */
	KNOCK_WHY_LOST, /* the mapping did not live */
	KNOCK_WHY_DEPENDS, /* mappings depend on the destination */
	KNOCK_WHYS,
};

enum knock_filter {
	KNOCK_FILTER_UNKNOWN,
	KNOCK_FILTER_EI,
	KNOCK_FILTER_AD,
	KNOCK_FILTER_APD,
	KNOCK_FILTER_NOT_EI, /* but which is not known */
	KNOCK_FILTERS,
};
enum knock_open { KNOCK_OPEN_UNKNOWN, KNOCK_OPEN_WORKS, KNOCK_OPEN_FAILS };

struct knock_verdict {
	struct stun_addr own, other; /* port 0: none */
	/* of this side's NAT: */
	enum knock_end unsolicited; /* NONE: unknown */
	int64_t unsolicited_us;
	enum knock_why unsolicited_why;
	enum knock_filter filter;
	enum knock_why filter_why;
	/* of both: */
	enum knock_open open;
	enum knock_why open_why;
	enum knock_end open_end; /* FAILS: what the last try met */
	int64_t open_us; /* WORKS: from the first try on */
	int64_t rtt_us; /* WORKS; -1: the other side knows */
};
struct knock_verdict knock_judge(const struct knock *k);

/* May the other side name that endpoint, to one whose own is that? */
bool knock_may_be(const struct stun_addr *named, const struct stun_addr *own);

#endif

/* hops: see hops.h. PURE. */
#include <string.h>

#include "probes/natprobe/gateway/hops.h"

#define GAP_US	      20000 /* between two packets */
#define RESEND_US     400000
#define CLOSED_GAP_US 300000
#define BELIEVE_US    500000 /* after the last one */

/* ICMP and ICMPv6: RFC 792, RFC 4443. */
enum {
	EXCEEDED = 11,
	EXCEEDED_6 = 3,
	UNREACHABLE = 3,
	UNREACHABLE_6 = 1,
	CODE_PORT = 3,
	CODE_PORT_6 = 4,
};

void
hops_init(struct hops *h, struct mono now)
{
	memset(h, 0, sizeof(*h));
	h->began = h->due = now;
}

unsigned
hops_distance(const struct hops *h)
{
	for (unsigned i = 0; i < HOPS_MAX; i++)
		if (h->v[i].state == HOP_ARRIVED)
			return i + 1;
	return 0;
}

static bool
is_open(const struct hop *hop)
{
	return hop->state == HOP_UNASKED || hop->state == HOP_SILENT;
}

/* May it be sent to (again), and when? */
static bool
wants(const struct hop *hop, bool closed, struct mono *when)
{
	if (!is_open(hop) || hop->sends >= (closed ? CLOSED_SENDS : HOP_SENDS))
		return false;
	if (hop->sends > 0)
		*when =
		    mono_add_us(hop->sent, closed ? CLOSED_GAP_US : RESEND_US);
	return true;
}

/* The hop that is next, and when; the first time of all before the second of
 * any. NULL: none. */
static struct hop *
next_hop(struct hops *h, unsigned *ttl, struct mono *when)
{
	unsigned distance = hops_distance(h);
	struct hop *best = NULL;
	struct mono at;

	for (unsigned i = 0; i <= HOPS_MAX; i++) {
		struct hop *hop = i < HOPS_MAX ? &h->v[i] : &h->closed;

		/* What is beyond the server tells nothing. */
		if (i < HOPS_MAX && distance != 0 && i >= distance)
			continue;
		at = h->began;
		if (!wants(hop, i == HOPS_MAX, &at) ||
		    (best != NULL && at.us >= when->us))
			continue;
		best = hop;
		*when = at;
		*ttl = i < HOPS_MAX ? i + 1 : 0;
	}
	return best;
}

bool
hops_next(struct hops *h, struct mono now, struct hops_act *act)
{
	struct mono when = MONO_NEVER;
	struct hop *hop = next_hop(h, &act->ttl, &when);

	if (hop == NULL || mono_diff_us(h->due, now) < 0 ||
	    mono_diff_us(when, now) < 0 || !pace_ready(&h->pace, now))
		return false;
	pace_sent(&h->pace, 1, now);
	hop->state = HOP_SILENT;
	hop->sends++;
	hop->sent = now;
	h->due = mono_add_us(now, GAP_US);
	return true;
}

/* An answer may still come. */
static bool
is_waiting(const struct hops *h, struct mono *until)
{
	unsigned distance = hops_distance(h);
	bool any = false;

	for (unsigned i = 0; i <= HOPS_MAX; i++) {
		const struct hop *hop = i < HOPS_MAX ? &h->v[i] : &h->closed;
		struct mono end = mono_add_us(hop->sent, BELIEVE_US);

		if (hop->state != HOP_SILENT ||
		    (i < HOPS_MAX && distance != 0 && i >= distance))
			continue;
		if (!any || mono_diff_us(*until, end) > 0)
			*until = end;
		any = true;
	}
	return any;
}

struct mono
hops_wake(const struct hops *h, struct mono now)
{
	struct hops copy = *h;
	struct mono when = MONO_NEVER;
	unsigned ttl;

	if (next_hop(&copy, &ttl, &when) != NULL)
		return pace_wake(
		    &h->pace, mono_diff_us(when, h->due) > 0 ? h->due : when);
	return is_waiting(h, &when) && mono_diff_us(now, when) > 0 ? when
								   : MONO_NEVER;
}

void
hops_answer(struct hops *h, unsigned ttl, struct mono now)
{
	struct hop *hop;

	if (ttl < 1 || ttl > HOPS_MAX || !is_open(hop = &h->v[ttl - 1]))
		return;
	hop->state = HOP_ARRIVED;
	hop->rtt_us = mono_diff_us(hop->sent, now);
}

void
hops_error(struct hops *h, unsigned ttl, bool v6, const struct ip *from,
    uint8_t type, uint8_t code, struct mono now)
{
	bool over = type == (v6 ? EXCEEDED_6 : EXCEEDED) && code == 0;
	bool port = type == (v6 ? UNREACHABLE_6 : UNREACHABLE) &&
	    code == (v6 ? CODE_PORT_6 : CODE_PORT);
	struct hop *hop;

	if (ttl > HOPS_MAX)
		return;
	hop = ttl == 0 ? &h->closed : &h->v[ttl - 1];
	/* Each of these packets may have an error of its own. */
	if (ttl == 0 && port)
		h->closed_came++;
	if (!is_open(hop) || (ttl == 0 && hop->sends < CLOSED_SENDS && port))
		return;
	hop->state = over ? HOP_EXCEEDED : HOP_REFUSED;
	hop->ip = *from;
	hop->type = type;
	hop->code = code;
	hop->rtt_us = mono_diff_us(hop->sent, now);
}

enum answer
judge_icmp(const struct hops *h)
{
	if (h->closed_came > 0)
		return ANSWER_YES;
	/* The first hop's errors pass no NAT but, maybe, that hop itself. */
	for (unsigned i = 1; i < HOPS_MAX; i++)
		if (h->v[i].state == HOP_EXCEEDED ||
		    h->v[i].state == HOP_REFUSED)
			return ANSWER_YES;
	return ANSWER_UNKNOWN;
}

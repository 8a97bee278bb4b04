/* knock_why: from what became of connections to verdicts. PURE. */
#include <string.h>

#include "probes/natprobe/pair/knock_why.h"

/* ---- endpoints that are taken ---- */

enum place { PLACE_NOWHERE, PLACE_HOST, PLACE_INSIDE, PLACE_ANYWHERE };

/* Where an address means one host: RFC 6890. */
static enum place
place4(const uint8_t ip[static 4])
{
	if (ip[0] == 127)
		return PLACE_HOST;
	if (ip[0] == 0 || ip[0] >= 224 || (ip[0] == 169 && ip[1] == 254))
		return PLACE_NOWHERE;
	if (ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
	    (ip[0] == 192 && ip[1] == 168) ||
	    (ip[0] == 100 && (ip[1] & 0xc0) == 64))
		return PLACE_INSIDE;
	return PLACE_ANYWHERE;
}

static enum place
place_of(const struct stun_addr *a)
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (stun_addr_is_v4(a))
		return place4(a->ip + 12);
	if (memcmp(a->ip, loopback, sizeof(loopback)) == 0)
		return PLACE_HOST;
	if ((a->ip[0] & 0xfe) == 0xfc)
		return PLACE_INSIDE;
	return (a->ip[0] & 0xe0) == 0x20 ? PLACE_ANYWHERE : PLACE_NOWHERE;
}

/* What came of a connection is told, so nobody shall be able to have this
 * network's inside tried, or services that have a name. */
bool
knock_may_be(const struct stun_addr *named, const struct stun_addr *own)
{
	enum place place = place_of(named);

	if (named->port < 1024 || place == PLACE_NOWHERE)
		return false;
	if (own->port == 0)
		return place == PLACE_ANYWHERE;
	return stun_addr_is_v4(named) == stun_addr_is_v4(own) &&
	    (place == PLACE_ANYWHERE || place == place_of(own));
}

/* ---- this side's NAT ---- */

/* Of the kernel's second SYN. */
#define KNOCK_AGAIN_US INT64_C(900000)

static bool
same_ip(const struct stun_addr *a, const struct stun_addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool
is_server(const struct knock *k, const struct stun_addr *a)
{
	for (unsigned i = 0; i < KNOCK_SERVERS; i++)
		if (k->v[i].mapped.port != 0 && same_ip(&k->v[i].to, a))
			return true;
	return false;
}

/* Did the other side's SYNs leave its network? */
static bool
other_leaves(const struct knock *k)
{
	return (k->other.flags & KNOCK_LEAVES) != 0 ||
	    k->other.again == KNOCK_IN || k->came[KNOCK_FOR_AGAIN] > 0 ||
	    k->came[KNOCK_FOR_OPEN] > 0;
}

/* Why what the other side has met says nothing of this side's NAT. */
static enum knock_why
why_not(
    const struct knock *k, const struct knock_verdict *v, enum knock_end met)
{
	if (v->own.port == 0)
		return KNOCK_WHY_NO_SERVER;
	if (v->other.port != 0 && same_ip(&v->own, &v->other))
		return KNOCK_WHY_SAME_NAT;
	if (v->other.port != 0 && is_server(k, &v->other))
		return KNOCK_WHY_SAME_ADDRESS;
	if (met == KNOCK_IN)
		return KNOCK_WHY_NONE;
	if (k->other.stage < KNOCK_KNOCKED)
		return KNOCK_WHY_CUT;
	if (met == KNOCK_NONE)
		return KNOCK_WHY_ODD;
	if (met == KNOCK_FOREIGN)
		return KNOCK_WHY_FOREIGN;
	if (met == KNOCK_NO_WAY || !other_leaves(k))
		return KNOCK_WHY_BLOCKED;
	if (met == KNOCK_SILENT && k->still != KNOCK_SAME)
		return k->stage == KNOCK_DONE ? KNOCK_WHY_LOST : KNOCK_WHY_CUT;
	return KNOCK_WHY_NONE;
}

/* Had this side sent to the other's address, by a mapping that then lived? An
 * error may have ended it, but not if a later SYN of the same run worked, before
 * the second SYN of those that knock again. */
static bool
has_sent(const struct knock *k)
{
	bool error = k->open_end == KNOCK_RESET || k->open_end == KNOCK_ICMP;
	bool soon = mono_is_set(k->open_in_at) &&
	    mono_diff_us(k->opening_at, k->open_in_at) < KNOCK_AGAIN_US;

	return k->opens > 0 && (!error || soon);
}

/* Of a filter that keeps out who has not been sent to at all. */
static enum knock_filter
closer(const struct knock *k)
{
	bool tried = k->other.again == KNOCK_RESET ||
	    k->other.again == KNOCK_ICMP || k->other.again == KNOCK_SILENT;

	if (k->other.again == KNOCK_IN || k->came[KNOCK_FOR_AGAIN] > 0)
		return KNOCK_FILTER_AD;
	if (has_sent(k) && tried && (k->other.flags & KNOCK_ONE_ADDRESS) != 0 &&
	    knock_mapping(k) == KNOCK_MAPPING_SAME)
		return KNOCK_FILTER_APD;
	return KNOCK_FILTER_NOT_EI;
}

static void
judge_filter(const struct knock *k, struct knock_verdict *v)
{
	enum knock_end met = (enum knock_end)k->other.knock;

	if (k->came[KNOCK_FOR_FIRST] > 0)
		met = KNOCK_IN;
	if (met >= KNOCK_ENDS)
		met = KNOCK_NONE;
	v->filter_why = v->unsolicited_why = why_not(k, v, met);
	if (v->filter_why != KNOCK_WHY_NONE)
		return;
	v->unsolicited = met;
	v->unsolicited_us = k->other.knock_ms * INT64_C(1000);
	v->filter = met == KNOCK_IN ? KNOCK_FILTER_EI : closer(k);
}

/* ---- of both ---- */

static enum knock_why
why_no_open(const struct knock *k, const struct knock_verdict *v)
{
	if (v->own.port == 0)
		return KNOCK_WHY_NO_SERVER;
	if (k->odd)
		return KNOCK_WHY_ODD;
	if (k->other.stage >= KNOCK_READY && v->other.port == 0)
		return KNOCK_WHY_NO_ENDPOINT;
	return k->stage < KNOCK_DONE || k->other.stage < KNOCK_DONE
	    ? KNOCK_WHY_CUT
	    : KNOCK_WHY_NONE;
}

static enum knock_why
why_open_fails(const struct knock *k, const struct knock_verdict *v)
{
	if (same_ip(&v->own, &v->other))
		return KNOCK_WHY_SAME_NAT;
	if (knock_mapping(k) == KNOCK_MAPPING_DEPENDS ||
	    (k->other.flags & KNOCK_DEPENDS) != 0)
		return KNOCK_WHY_DEPENDS;
	return KNOCK_WHY_NONE;
}

static void
judge_open(const struct knock *k, struct knock_verdict *v)
{
	const struct knock_conn *c = &k->v[KNOCK_AT_OPEN];

	v->open_us = v->rtt_us = -1;
	if (mono_is_set(k->open_in_at) || k->other.open == KNOCK_IN) {
		v->open = KNOCK_OPEN_WORKS;
		if (mono_is_set(k->open_in_at))
			v->open_us = mono_diff_us(k->opening_at, k->open_in_at);
		if (c->end == KNOCK_IN)
			v->rtt_us = c->rtt_us;
		return;
	}
	v->open_why = why_no_open(k, v);
	if (v->open_why != KNOCK_WHY_NONE)
		return;
	v->open = KNOCK_OPEN_FAILS;
	v->open_end = k->open_end;
	v->open_why = why_open_fails(k, v);
}

struct knock_verdict
knock_judge(const struct knock *k)
{
	struct knock_verdict v = {.own = knock_own(k), .other = k->other.addr};

	judge_filter(k, &v);
	judge_open(k, &v);
	return v;
}

/* meet_why: what a meeting came to, and why each address failed. PURE. */
#include <stdlib.h>

#include "probes/natprobe/pair/meet.h"

static bool
row_has(const struct meet_row *r)
{
	for (unsigned i = 0; i < r->sent; i++)
		if (r->us[i] >= 0)
			return true;
	return false;
}

enum meet_outcome
meet_outcome(const struct meet *m)
{
	if (m->best != -1)
		return MEET_DIRECT;
	return row_has(&m->relayed) ? MEET_RELAYED : MEET_NOT_MET;
}

enum target_result
target_result(const struct meet *m, size_t i)
{
	const struct target *t = &m->targets[i];
	bool v6 = !stun_addr_is_v4(&t->c.addr);

	if (t->pongs > 0)
		return TARGET_WORKS;
	if (t->own)
		return TARGET_OWN;
	if (m->bound[v6].port == 0)
		return TARGET_NO_FAMILY;
	if (t->pings == 0)
		return t->send_errno != 0 ? TARGET_NO_WAY : TARGET_NOT_TRIED;
	if (t->icmp_errno != 0)
		return TARGET_REFUSED;
	if (!m->has_report)
		return TARGET_NO_ANSWER;
	return i < m->n_peer_got && m->peer_got[i] > 0 ? TARGET_ANSWER_LOST
						       : TARGET_NOT_ARRIVED;
}

/* RFC 1918, RFC 6598, RFC 3927. */
static bool
is_private4(const uint8_t ip[static 4])
{
	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
	    (ip[0] == 192 && ip[1] == 168) ||
	    (ip[0] == 100 && (ip[1] & 0xc0) == 64) ||
	    (ip[0] == 169 && ip[1] == 254) || ip[0] == 127;
}

enum path_kind
path_kind(const struct stun_addr *a)
{
	if (!stun_addr_is_v4(a))
		return PATH_IPV6;
	return is_private4(a->ip + 12) ? PATH_LOCAL : PATH_PUBLIC4;
}

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct meet_latency
meet_latency(const struct meet_row *r)
{
	struct meet_latency l = {.sent = r->sent, .p50_us = -1};
	int64_t us[MEET_ROW];
	size_t n = 0;

	for (unsigned i = 0; i < r->sent; i++)
		if (r->us[i] >= 0)
			us[n++] = r->us[i];
	l.lost = r->sent - (unsigned)n;
	if (n == 0)
		return l;
	qsort(us, n, sizeof(*us), by_size);
	l.min_us = us[0];
	l.p50_us = us[(n - 1) / 2];
	l.max_us = us[n - 1];
	return l;
}

/* Percent that count for an address besides its speed. */
static int64_t
bonus(const struct target *t)
{
	switch (path_kind(&t->c.addr)) {
	case PATH_LOCAL:
		return 20;
	case PATH_IPV6:
		return 10;
	default:
		return 0;
	}
}

bool
target_better(const struct target *a, const struct target *b)
{
	int64_t pa = bonus(a), pb = bonus(b);

	if (a->best_us < 0 || b->best_us < 0)
		return a->best_us >= 0;
	if (a->best_us > b->best_us)
		pb += 100 - b->best_us * 100 / a->best_us;
	else if (b->best_us > 0)
		pa += 100 - a->best_us * 100 / b->best_us;
	return pa > pb;
}

unsigned
meet_packets_max(size_t n_servers, size_t n_targets)
{
	unsigned rounds = (unsigned)(MEET_PUNCH_US / MEET_PING_US) + 1;

	/* A PING to each target and round, twice where one is answered by one
	 * at once; the row; as many PONGs as the other side's PINGs. */
	return (unsigned)n_servers * 3 +
	    2 * (2 * rounds * (unsigned)n_targets + MEET_ROW);
}

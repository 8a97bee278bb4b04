/* oddity: what is wrong with a datagram that came. PURE. Nothing is concluded
 * here; judge_server.c does that. */
#include <string.h>

#include "probes/natprobe/nat/engine.h"

bool
stun_addr_is_loopback(const struct stun_addr *a)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	if (stun_addr_is_v4(a))
		return a->ip[12] == 127;
	for (unsigned i = 0; i < sizeof(loopback6); i++)
		if (a->ip[i] != loopback6[i])
			return false;
	return true;
}

/* 0.0.0.0/8 and ::; multicast, 240.0.0.0/4 with the broadcast address. */
static bool
is_nobody(const struct stun_addr *a)
{
	uint8_t all = 0;

	if (stun_addr_is_v4(a))
		return a->ip[12] == 0 || a->ip[12] >= 224;
	for (unsigned i = 0; i < sizeof(a->ip); i++)
		all |= a->ip[i];
	return all == 0 || a->ip[0] == 0xff;
}

/* 64:ff9b::/96 (RFC 6052): IPv4's servers, by way of NAT64. */
static bool
is_nat64(const struct stun_addr *a)
{
	static const uint8_t prefix[12] = {0, 0x64, 0xff, 0x9b};

	return memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

bool
oddity_impossible(const struct stun_addr *a, const struct stun_addr *local,
    const struct stun_addr *server)
{
	return a->port == 0 || is_nobody(a) || stun_addr_same(a, server) ||
	    (stun_addr_is_loopback(a) && !stun_addr_is_loopback(local));
}

uint16_t
oddity_of(const struct ask *a, const struct stun_addr *from,
    const struct stun_addr *mapped, const struct stun_addr *local)
{
	uint16_t odd = 0;

	if (a->answers > a->sends)
		odd |= ODD_TWICE;
	if (a->state == ASK_SILENT)
		odd |= ODD_LATE;
	if (!stun_addr_same(from, &a->expect))
		odd |= a->change != 0 && stun_addr_same(from, &a->to)
		    ? ODD_NO_CHANGE
		    : ODD_ELSEWHERE;
	if (stun_addr_is_v4(mapped) != stun_addr_is_v4(local)) {
		if (!is_nat64(&a->to) || !stun_addr_is_v4(mapped))
			odd |= ODD_FAMILY;
	} else if (oddity_impossible(mapped, local, &a->to))
		odd |= ODD_IMPOSSIBLE;
	if (a->state == ASK_ANSWERED && stun_addr_same(from, &a->from) &&
	    !stun_addr_same(mapped, &a->mapped))
		odd |= ODD_VARIES;
	return odd;
}

/* Who was never asked has nothing to do with this. */
static bool
was_asked(const struct engine *e, const struct stun_addr *from)
{
	for (size_t i = 0; i < e->n_asks; i++)
		if (stun_addr_same(&e->asks[i].to, from))
			return true;
	return false;
}

void
oddity_stray(struct engine *e, const struct stun_addr *from, bool is_stun)
{
	struct stray *s = NULL;

	for (size_t i = 0; i < e->n_strays && s == NULL; i++)
		if (stun_addr_same(&e->strays[i].from, from))
			s = &e->strays[i];
	if (s == NULL) {
		if (e->n_strays == ENGINE_STRAYS || !was_asked(e, from))
			return;
		s = &e->strays[e->n_strays++];
		*s = (struct stray){.from = *from};
	}
	if (is_stun)
		s->unasked++;
	else
		s->garbage++;
}

bool
stun_addr_is_private(const struct stun_addr *a)
{
	const uint8_t *ip = a->ip;

	if (!stun_addr_is_v4(a))
		return (ip[0] & 0xfe) == 0xfc ||
		    (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
	return ip[12] == 10 || (ip[12] == 172 && (ip[13] & 0xf0) == 16) ||
	    (ip[12] == 192 && ip[13] == 168) ||
	    (ip[12] == 169 && ip[13] == 254) ||
	    (ip[12] == 100 && (ip[13] & 0xc0) == 64);
}

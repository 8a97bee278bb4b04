/* alloc: see alloc.h. PURE. */
#include <string.h>

#include "coordd/alloc.h"

/* 100.64.0.0/10 has 22 bits; the first and the last are no hosts. */
#define FIRST 1u
#define LAST  0x3ffffeu

#define BASE4 0x64400000u /* 100.64.0.0 */

struct ip
alloc_ip4(uint32_t n)
{
	uint32_t v = BASE4 + n;
	struct ip a = {
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(v >> 24),
		(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}};

	return a;
}

struct ip
alloc_ip6(uint32_t n)
{
	struct ip a = {{0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0, 0, 0, 0, 0,
	    (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
	    (uint8_t)n}};

	return a;
}

static bool
is_reserved(uint32_t n)
{
	uint32_t v = BASE4 + n;

	return (v >> 8) == 0x646400 || /* 100.100.0.0/24 */
	    (v >> 8) == 0x646464 || /* 100.100.100.0/24 */
	    (v >> 9) == 0x64735c00u >> 9 || /* 100.115.92.0/23 */
	    n == 0x53; /* its IPv6 is Tailscale's own for DNS, ...::53 */
}

bool
alloc_next(uint32_t *cursor, alloc_used_fn *used, void *arg, struct ip *ip4,
    struct ip *ip6)
{
	uint32_t n = *cursor;

	for (uint32_t tries = 0; tries < LAST; tries++) {
		n = n >= LAST || n < FIRST ? FIRST : n + 1;
		if (*cursor == 0 && tries == 0)
			n = FIRST;
		if (is_reserved(n))
			continue;
		*ip4 = alloc_ip4(n);
		*ip6 = alloc_ip6(n);
		if (used(arg, ip4) || used(arg, ip6))
			continue;
		*cursor = n;
		return true;
	}
	return false;
}

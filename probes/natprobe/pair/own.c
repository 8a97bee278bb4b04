/* own: the addresses of this host's interfaces. */
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "probes/natprobe/pair/pair.h"

static bool
is_useful(const struct ifaddrs *i)
{
	const struct sockaddr_in6 *in6;
	unsigned up = IFF_UP | IFF_RUNNING;

	/* What goes through Tailscale's tunnel says nothing of the network
	 * below; its clients leave these out, too. */
	if (i->ifa_addr == NULL || (i->ifa_flags & up) != up ||
	    (i->ifa_flags & IFF_LOOPBACK) != 0 ||
	    strncmp(i->ifa_name, "tailscale", 9) == 0)
		return false;
	if (i->ifa_addr->sa_family == AF_INET)
		return true;
	in6 = (const void *)i->ifa_addr;
	return i->ifa_addr->sa_family == AF_INET6 &&
	    !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

size_t
own_addresses(struct stun_addr *v, size_t max)
{
	struct ifaddrs *all, *i;
	struct addr a;
	size_t n = 0;

	if (getifaddrs(&all) == -1)
		return 0;
	for (i = all; i != NULL && n < max; i = i->ifa_next) {
		if (!is_useful(i))
			continue;
		a.len = i->ifa_addr->sa_family == AF_INET ? sizeof(a.u.in)
							  : sizeof(a.u.in6);
		memcpy(&a.u, i->ifa_addr, a.len);
		addr_ip16(&a, v[n].ip);
		v[n++].port = 0;
	}
	freeifaddrs(all);
	return n;
}

/*
 * check_addr: PURE. Addresses that servers tell: as text, and which of them
 * cannot be right.
 */
#include <stdio.h>
#include <string.h>

#include "stund/check.h"

const char *
check_addr_text(
    const struct stun_addr *a, char text[static CHECK_ADDR_TEXT_MAX])
{
	char ip_string[IP_TEXT_MAX];
	struct ip ip;

	memcpy(ip.b, a->ip, sizeof(ip.b));
	snprintf(text, CHECK_ADDR_TEXT_MAX, ip_is_v4(&ip) ? "%s:%u" : "[%s]:%u",
	    ip_text(&ip, ip_string), a->port);
	return text;
}

static bool
is_in(const char *const *prefixes, const struct stun_addr *a)
{
	struct ip_prefix prefix;
	struct ip ip;

	memcpy(ip.b, a->ip, sizeof(ip.b));
	for (; *prefixes != NULL; prefixes++)
		if (ip_prefix_parse(&prefix, *prefixes, strlen(*prefixes)) &&
		    ip_prefix_has(&prefix, &ip))
			return true;
	return false;
}

/* Addresses of private networks and of one host or link (RFC 6890). */
bool
check_ip_is_private(const struct stun_addr *a)
{
	static const char *const prefixes[] = {"10.0.0.0/8", "172.16.0.0/12",
	    "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	    "::1", "fe80::/10", "fc00::/7", NULL};

	return is_in(prefixes, a);
}

bool
check_ip_is_nobody(const struct stun_addr *a)
{
	static const char *const prefixes[] = {
	    "0.0.0.0/8", "224.0.0.0/3", "::", "ff00::/8", NULL};

	return is_in(prefixes, a);
}

const char *
check_mapped_fault(const struct check *c, const struct stun_addr *a)
{
	if (stun_addr_is_v4(a) != stun_addr_is_v4(&c->server))
		return "is of the other address family";
	if (check_ip_is_nobody(a) || a->port == 0)
		return "is no address that a host can have";
	/* But where both run on one host. */
	if (memcmp(a->ip, c->server.ip, sizeof(a->ip)) == 0 &&
	    memcmp(a->ip, c->local.b, sizeof(a->ip)) != 0 &&
	    !check_ip_is_private(a))
		return "is the server's own";
	return NULL;
}

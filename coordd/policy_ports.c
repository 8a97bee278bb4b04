/* policy_ports: protocols and ports, from their text. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordd/policy_impl.h"

#define PROTO_ICMP   1
#define PROTO_TCP    6
#define PROTO_UDP    17
#define PROTO_ICMPV6 58
#define PROTO_SCTP   132

/* Reads up to five decimal digits. */
static bool
number_read(const char **p, const char *end, unsigned max, unsigned *v)
{
	const char *first = *p;

	*v = 0;
	while (*p < end && **p >= '0' && **p <= '9' && *p - first < 5)
		*v = *v * 10 + (unsigned)(*(*p)++ - '0');
	return *p > first && *v <= max;
}

bool
policy_read_proto(struct policy_reader *r, const struct hujson_path *at,
    const char *text, size_t n, uint8_t *proto)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} rows[] = {{"icmp", PROTO_ICMP}, {"igmp", 2}, {"ipv4", 4},
	    {"ip-in-ip", 4}, {"tcp", PROTO_TCP}, {"egp", 8}, {"igp", 9},
	    {"udp", PROTO_UDP}, {"gre", 47}, {"esp", 50}, {"ah", 51},
	    {"ipv6-icmp", PROTO_ICMPV6}, {"sctp", PROTO_SCTP}, {"fc", 133}};
	const char *p = text;
	unsigned v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == n &&
		    strncasecmp(text, rows[i].name, n) == 0) {
			*proto = rows[i].proto;
			return true;
		}
	if (n == 0 || *text == '0' || !number_read(&p, text + n, 255, &v) ||
	    p != text + n)
		return policy_refuse(r, at, false,
		    "\"%.*s\" is no protocol: use tcp, udp, icmp, ipv6-icmp, "
		    "sctp ... or a number from 1 to 255",
		    (int)n, text);
	*proto = (uint8_t)v;
	return true;
}

/* Reads "22" or "1000-2000". */
static bool
range_read(const char **p, const char *end, struct port_range *range)
{
	unsigned first, last;

	if (!number_read(p, end, UINT16_MAX, &first))
		return false;
	last = first;
	if (*p < end && **p == '-') {
		++*p;
		if (!number_read(p, end, UINT16_MAX, &last))
			return false;
	} else if (first == 0) {
		return false;
	}
	*range = (struct port_range){(uint16_t)first, (uint16_t)last};
	return first <= last;
}

static size_t
count_commas(const char *s)
{
	size_t n = 0;

	while ((s = strchr(s, ',')) != NULL) {
		s++;
		n++;
	}
	return n;
}

static bool
ranges_read(const char *text, struct service *s)
{
	const char *p = text, *end = text + strlen(text);

	if (strcmp(text, "*") == 0) {
		s->ports[s->nports++] = (struct port_range){0, UINT16_MAX};
		return true;
	}
	for (;;) {
		if (!range_read(&p, end, &s->ports[s->nports]))
			return false;
		s->nports++;
		if (p == end)
			return true;
		if (*p++ != ',')
			return false;
	}
}

bool
policy_read_ports(struct policy_reader *r, const struct hujson_path *at,
    const char *text, struct service *s)
{
	s->ports = calloc(count_commas(text) + 1, sizeof(*s->ports));
	if (s->ports == NULL)
		return policy_no_memory(r);
	if (!ranges_read(text, s))
		return policy_refuse(r, at, false,
		    "\"%s\" is no list of ports: use *, 22, 80,443 or "
		    "1000-2000",
		    text);
	if (policy_service_has_ports(s->proto) ||
	    (s->nports == 1 && s->ports[0].first == 0 &&
		s->ports[0].last == UINT16_MAX))
		return true;
	return policy_refuse(r, at, false,
	    "\"%s\": protocol %u has no ports, only \"*\" can stand here", text,
	    s->proto);
}

bool
policy_service_has_ports(uint8_t proto)
{
	return proto == 0 || proto == PROTO_TCP || proto == PROTO_UDP ||
	    proto == PROTO_SCTP;
}

bool
policy_service_allows(const struct service *s, uint16_t port, uint8_t proto)
{
	/* A client lets a ping in from everybody who may use some port
	 * (wgengine/filter, matchIPsOnly). */
	if (proto == PROTO_ICMP || proto == PROTO_ICMPV6)
		return true;
	if (proto == 0 && s->proto != 0 && s->proto != PROTO_TCP &&
	    s->proto != PROTO_UDP)
		return false;
	if (proto != 0 && s->proto != proto &&
	    (s->proto != 0 || (proto != PROTO_TCP && proto != PROTO_UDP)))
		return false;
	if (!policy_service_has_ports(proto))
		return true;
	for (size_t i = 0; i < s->nports; i++)
		if (port >= s->ports[i].first && port <= s->ports[i].last)
			return true;
	return false;
}

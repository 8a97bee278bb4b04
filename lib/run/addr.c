/* addr: addresses as text and bytes, and the sockets bound to them. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/addr.h"

/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2. */
static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool
parse_port(const char *text, int *port)
{
	char *end;
	long v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	v = strtol(text, &end, 10);
	if (*end != '\0' || v > 65535)
		return false;
	*port = (int)v;
	return true;
}

static bool
parse_port_or_name(const char *text, int *port)
{
	if (strcmp(text, "http") == 0)
		*port = 80;
	else if (strcmp(text, "https") == 0)
		*port = 443;
	else
		return parse_port(text, port);
	return true;
}

static bool
parse_ip(struct addr *a, const char *ip)
{
	char bare[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	char *scope;

	memset(a, 0, sizeof(*a));
	if (strcmp(ip, "localhost") == 0)
		ip = "127.0.0.1";
	if (inet_pton(AF_INET, ip, &a->u.in.sin_addr) == 1) {
		a->u.in.sin_family = AF_INET;
		a->len = sizeof(a->u.in);
		return true;
	}
	if (snprintf(bare, sizeof(bare), "%s", ip) >= (int)sizeof(bare))
		return false;
	if ((scope = strchr(bare, '%')) != NULL) {
		*scope++ = '\0';
		a->u.in6.sin6_scope_id = if_nametoindex(scope);
		if (a->u.in6.sin6_scope_id == 0)
			return false;
	}
	if (inet_pton(AF_INET6, bare, &a->u.in6.sin6_addr) != 1)
		return false;
	a->u.in6.sin6_family = AF_INET6;
	a->len = sizeof(a->u.in6);
	return true;
}

bool
addr_parse(struct addr *a, const char *text, int def_port)
{
	char host[ADDR_TEXT_MAX];
	const char *colon = strrchr(text, ':'), *close = strrchr(text, ']');
	const char *first = text, *last = text + strlen(text);
	int port = def_port;

	if (text[0] == '[') {
		if (close == NULL)
			return false;
		first = text + 1;
		last = close;
		if (close[1] == ':') {
			if (!parse_port_or_name(close + 2, &port))
				return false;
		} else if (close[1] != '\0')
			return false;
	} else if (colon != NULL && strchr(text, ':') == colon) {
		last = colon;
		if (!parse_port_or_name(colon + 1, &port))
			return false;
	}
	if (port < 0 || (size_t)(last - first) >= sizeof(host))
		return false;
	memcpy(host, first, (size_t)(last - first));
	host[last - first] = '\0';
	if (!parse_ip(a, host[0] == '\0' && text[0] == ':' ? "::" : host))
		return false;
	addr_set_port(a, (uint16_t)port);
	return true;
}

bool
addr_is_v4(const struct addr *a)
{
	return a->u.sa.sa_family == AF_INET ||
	    (a->u.sa.sa_family == AF_INET6 &&
		memcmp(&a->u.in6.sin6_addr, v4_mapped, 12) == 0);
}

void
addr_ip16(const struct addr *a, uint8_t ip[static 16])
{
	if (a->u.sa.sa_family == AF_INET) {
		memcpy(ip, v4_mapped, 12);
		memcpy(ip + 12, &a->u.in.sin_addr, 4);
	} else
		memcpy(ip, &a->u.in6.sin6_addr, 16);
}

void
addr_from_ip16(struct addr *a, const uint8_t ip[static 16], uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (memcmp(ip, v4_mapped, 12) == 0) {
		a->u.in.sin_family = AF_INET;
		memcpy(&a->u.in.sin_addr, ip + 12, 4);
		a->len = sizeof(a->u.in);
	} else {
		a->u.in6.sin6_family = AF_INET6;
		memcpy(&a->u.in6.sin6_addr, ip, 16);
		a->len = sizeof(a->u.in6);
	}
	addr_set_port(a, port);
}

const char *
addr_ip_text(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
	char scope[IF_NAMESIZE];
	uint8_t ip[16];
	size_t n;

	addr_ip16(a, ip);
	if (addr_is_v4(a)) {
		inet_ntop(AF_INET, ip + 12, text, ADDR_TEXT_MAX);
		return text;
	}
	inet_ntop(AF_INET6, ip, text, ADDR_TEXT_MAX);
	n = strlen(text);
	if (a->u.in6.sin6_scope_id != 0 &&
	    if_indextoname(a->u.in6.sin6_scope_id, scope) != NULL)
		snprintf(text + n, ADDR_TEXT_MAX - n, "%%%s", scope);
	return text;
}

const char *
addr_text(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	addr_ip_text(a, ip);
	snprintf(text, ADDR_TEXT_MAX, addr_is_v4(a) ? "%.64s:%u" : "[%.64s]:%u",
	    ip, addr_port(a));
	return text;
}

uint16_t
addr_port(const struct addr *a)
{
	/* sin_port and sin6_port lie at the same place. */
	return ntohs(a->u.in.sin_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	a->u.in.sin_port = htons(port);
}

bool
addr_is_any(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
}

bool
addr_is_host(const struct addr *a)
{
	uint8_t ip[16];

	addr_ip16(a, ip);
	if (addr_is_v4(a))
		return ip[12] != 0 && ip[12] < 224;
	return !addr_is_any(a) && ip[0] != 0xff;
}

bool
addr_is_loopback(const struct addr *a)
{
	uint8_t ip[16];

	addr_ip16(a, ip);
	if (addr_is_v4(a))
		return ip[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
}

bool
addr_same_ip(const struct addr *a, const struct addr *b)
{
	uint8_t x[16], y[16];

	addr_ip16(a, x);
	addr_ip16(b, y);
	return memcmp(x, y, 16) == 0;
}

bool
addr_prefix_parse(struct addr_prefix *p, const char *text)
{
	char ip[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	struct addr a;
	int bits, most;

	if (n >= sizeof(ip))
		return false;
	memcpy(ip, text, n);
	ip[n] = '\0';
	if (!parse_ip(&a, ip))
		return false;
	most = a.u.sa.sa_family == AF_INET ? 32 : 128;
	bits = most;
	if (slash != NULL && (!parse_port(slash + 1, &bits) || bits > most))
		return false;
	addr_ip16(&a, p->ip);
	p->bits = (uint8_t)(bits + 128 - most);
	return true;
}

bool
addr_prefix_has(const struct addr_prefix *p, const struct addr *a)
{
	uint8_t ip[16];
	size_t whole = p->bits / 8;
	unsigned rest = p->bits % 8;

	addr_ip16(a, ip);
	if (memcmp(ip, p->ip, whole) != 0)
		return false;
	return rest == 0 || ((ip[whole] ^ p->ip[whole]) >> (8 - rest)) == 0;
}

static int
bind_socket(struct addr *a, int type, bool reuseport)
{
	int on = 1, off = 0, saved;
	int fd =
	    socket(a->u.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (a->u.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    addr_is_any(a) ? &off : &on, sizeof(off));
	if (bind(fd, &a->u.sa, a->len) == 0 &&
	    getsockname(fd, &a->u.sa, &a->len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
addr_listen_tcp(struct addr *a, bool reuseport)
{
	int fd = bind_socket(a, SOCK_STREAM, reuseport);
	int saved;

	if (fd == -1 || listen(fd, 4096) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
addr_tcp_is_free(struct addr *a)
{
	int fd = bind_socket(a, SOCK_STREAM, false);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

int
addr_bind_udp(struct addr *a, bool reuseport)
{
	return bind_socket(a, SOCK_DGRAM, reuseport);
}

void
addr_of_host(struct addr *a)
{
	struct ifaddrs *all = NULL;
	const struct sockaddr_in *in;

	addr_parse(a, "127.0.0.1", 0);
	if (getifaddrs(&all) == -1)
		return;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
		    (i->ifa_flags & IFF_UP) == 0 ||
		    (i->ifa_flags & IFF_LOOPBACK) != 0)
			continue;
		in = (const struct sockaddr_in *)(const void *)i->ifa_addr;
		a->u.in = *in;
		break;
	}
	freeifaddrs(all);
}

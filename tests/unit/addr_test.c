/* addr: text forms, classes and prefixes; sockets on loopback alone. */
#include <arpa/inet.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "run/addr.h"
#include "tests/tap.h"

static const struct {
	const char *text;
	int def_port;
	const char *want; /* NULL: refused */
} parse_rows[] = {
    {"1.2.3.4:80", -1, "1.2.3.4:80"},
    {"1.2.3.4:80", 7, "1.2.3.4:80"},
    {"1.2.3.4", 7, "1.2.3.4:7"},
    {"1.2.3.4", 0, "1.2.3.4:0"},
    {"1.2.3.4", -1, NULL},
    {"[::1]:80", -1, "[::1]:80"},
    {"[::1]", 7, "[::1]:7"},
    {"[::1]", -1, NULL},
    {"::1", 7, "[::1]:7"},
    {"::1", -1, NULL},
    {"::", 7, "[::]:7"},
    {"2001:db8::80", 7, "[2001:db8::80]:7"},
    {"2001:db8:0:0:0:0:0:1", 7, "[2001:db8::1]:7"},
    {"[::ffff:1.2.3.4]:80", -1, "1.2.3.4:80"},
    {":80", -1, "[::]:80"},
    {":0", -1, "[::]:0"},
    {":65535", -1, "[::]:65535"},
    {"localhost:80", -1, "127.0.0.1:80"},
    {"localhost", 7, "127.0.0.1:7"},
    {"1.2.3.4:080", -1, "1.2.3.4:80"},
    {":65536", -1, NULL},
    {":99999999999999999999", -1, NULL},
    {":-1", -1, NULL},
    {":+1", -1, NULL},
    {": 1", -1, NULL},
    {":1 ", -1, NULL},
    {":0x1", -1, NULL},
    {":http", -1, "[::]:80"},
    {"1.2.3.4:https", -1, "1.2.3.4:443"},
    {"[::1]:https", -1, "[::1]:443"},
    {":HTTP", -1, NULL},
    {":ftp", -1, NULL},
    {":https1", -1, NULL},
    {":", 7, NULL},
    {"1.2.3.4:", 7, NULL},
    {"", 7, NULL},
    {" 1.2.3.4", 7, NULL},
    {"1.2.3", 7, NULL},
    {"1.2.3.256", 7, NULL},
    {"01.2.3.4", 7, NULL},
    {"1.2.3.4.5", 7, NULL},
    {"example.com:80", -1, NULL},
    {"LOCALHOST", 7, NULL},
    {"[::1", 7, NULL},
    {"[::1]80", 7, NULL},
    {"[::1]:", 7, NULL},
    {"[]:80", -1, NULL},
    {"[", 7, NULL},
    {"::1]:80", 7, NULL},
    {"[[::1]]:80", -1, NULL},
    {":::80", 7, NULL},
    {"::1%nosuchinterface", 7, NULL},
    {"[::1%]:80", -1, NULL},
    {"1234567890123456789012345678901234567890123456789012345678901234567890"
     "12345678901234567890:80",
	-1, NULL},
};

static void
test_parse(void)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (size_t i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]);
	     i++) {
		const char *in = parse_rows[i].text;
		bool good = addr_parse(&a, in, parse_rows[i].def_port);

		if (!good || parse_rows[i].want == NULL)
			ok(good == (parse_rows[i].want != NULL), in);
		else
			eq_str(addr_text(&a, text), parse_rows[i].want, in);
	}
}

static void
test_families(void)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	addr_parse(&a, "1.2.3.4:80", -1);
	ok(a.u.in.sin_family == AF_INET && a.len == sizeof(a.u.in) &&
		a.u.in.sin_port == htons(80),
	    "an IPv4 socket address");
	eq_str(addr_ip_text(&a, text), "1.2.3.4", "without its port");
	addr_parse(&a, "[2001:db8::1]:80", -1);
	ok(a.u.in6.sin6_family == AF_INET6 && a.len == sizeof(a.u.in6) &&
		a.u.in6.sin6_port == htons(80),
	    "an IPv6 socket address");
	eq_str(addr_ip_text(&a, text), "2001:db8::1", "without brackets");
	eq_int(addr_port(&a), 80, "its port");
	addr_set_port(&a, 65535);
	eq_int(addr_port(&a), 65535, "another");
	ok(addr_parse(&a, "[fe80::1%lo]:80", -1) && a.u.in6.sin6_scope_id != 0,
	    "a scope is an interface");
	eq_str(addr_text(&a, text), "[fe80::1%lo]:80", "and is written");
}

static const struct {
	const char *ip;
	bool v4, any, loopback;
} class_rows[] = {
    {"0.0.0.0", true, true, false},
    {"0.0.0.1", true, false, false},
    {"127.0.0.1", true, false, true},
    {"127.255.255.255", true, false, true},
    {"126.255.255.255", true, false, false},
    {"128.0.0.1", true, false, false},
    {"::", false, true, false},
    {"::1", false, false, true},
    {"::2", false, false, false},
    {"fe80::1", false, false, false},
    {"::ffff:127.0.0.1", true, false, true},
    {"::ffff:10.0.0.1", true, false, false},
    /* Compatible, not mapped: no IPv4. */
    {"::127.0.0.1", false, false, false},
    {"::fffe:7f00:1", false, false, false},
};

static void
test_classes(void)
{
	struct addr a;

	for (size_t i = 0; i < sizeof(class_rows) / sizeof(class_rows[0]); i++)
		ok(addr_parse(&a, class_rows[i].ip, 1) &&
			addr_is_v4(&a) == class_rows[i].v4 &&
			addr_is_any(&a) == class_rows[i].any &&
			addr_is_loopback(&a) == class_rows[i].loopback,
		    class_rows[i].ip);
}

static const struct {
	const char *ip;
	bool host;
} host_rows[] = {
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"127.0.0.1", true},
    {"223.255.255.255", true},
    {"224.0.0.1", false},
    {"255.255.255.255", false},
    {"::", false},
    {"::1", true},
    {"fe80::1", true},
    {"ff02::1", false},
    {"::ffff:224.0.0.1", false},
    {"::ffff:10.0.0.1", true},
};

static void
test_hosts(void)
{
	struct addr a;

	for (size_t i = 0; i < sizeof(host_rows) / sizeof(host_rows[0]); i++)
		ok(addr_parse(&a, host_rows[i].ip, 1) &&
			addr_is_host(&a) == host_rows[i].host,
		    host_rows[i].ip);
}

static void
test_bytes(void)
{
	static const uint8_t v4[16] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4};
	static const uint8_t v6[16] = {
	    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	struct addr plain, mapped, other;
	uint8_t ip[16];

	addr_parse(&plain, "1.2.3.4:80", -1);
	addr_parse(&mapped, "[::ffff:1.2.3.4]:81", -1);
	addr_parse(&other, "2001:db8::1", 80);
	addr_ip16(&plain, ip);
	eq_mem(ip, v4, 16, "IPv4 is mapped");
	addr_from_ip16(&mapped, ip, 80);
	ok(mapped.len == plain.len && memcmp(&mapped, &plain, plain.len) == 0,
	    "16 bytes and a port are an IPv4 socket address again");
	addr_ip16(&other, ip);
	addr_from_ip16(&mapped, ip, 80);
	ok(mapped.len == other.len && memcmp(&mapped, &other, other.len) == 0,
	    "and an IPv6 one");
	addr_parse(&mapped, "[::ffff:1.2.3.4]:81", -1);
	addr_ip16(&mapped, ip);
	eq_mem(ip, v4, 16, "a mapped one stays");
	addr_ip16(&other, ip);
	eq_mem(ip, v6, 16, "IPv6");
	ok(addr_same_ip(&plain, &mapped), "the same, whatever the port");
	ok(!addr_same_ip(&plain, &other), "not the same");
}

static const struct {
	const char *prefix, *ip;
	int has; /* -1: no prefix */
} prefix_rows[] = {
    {"10.0.0.0/8", "10.255.255.255", 1},
    {"10.0.0.0/8", "11.0.0.0", 0},
    {"10.0.0.0/8", "9.255.255.255", 0},
    {"10.1.2.3/8", "10.9.9.9", 1},
    {"100.64.0.0/10", "100.64.0.0", 1},
    {"100.64.0.0/10", "100.127.255.255", 1},
    {"100.64.0.0/10", "100.128.0.0", 0},
    {"100.64.0.0/10", "100.63.255.255", 0},
    {"192.0.2.1/32", "192.0.2.1", 1},
    {"192.0.2.1/32", "192.0.2.0", 0},
    {"192.0.2.0/31", "192.0.2.1", 1},
    {"192.0.2.0/31", "192.0.2.2", 0},
    {"192.0.2.1", "192.0.2.1", 1},
    {"192.0.2.1", "192.0.2.2", 0},
    {"192.0.2.1", "::ffff:192.0.2.1", 1},
    {"0.0.0.0/0", "255.1.2.3", 1},
    {"0.0.0.0/0", "2001:db8::1", 0},
    {"::/0", "2001:db8::1", 1},
    {"::/0", "1.2.3.4", 1},
    {"fd7a:115c:a1e0::/48", "fd7a:115c:a1e0:ffff::1", 1},
    {"fd7a:115c:a1e0::/48", "fd7a:115c:a1e1::", 0},
    {"2001:db8::/33", "2001:db8:7fff::", 1},
    {"2001:db8::/33", "2001:db8:8000::", 0},
    {"2001:db8::1/128", "2001:db8::1", 1},
    {"2001:db8::1/128", "2001:db8::", 0},
    {"2001:db8::1", "2001:db8::1", 1},
    {"2001:db8::/0", "::", 1},
    {"::ffff:10.0.0.0/104", "10.9.9.9", 1},
    {"::ffff:10.0.0.0/104", "11.0.0.0", 0},
    {"10.0.0.0/33", "", -1},
    {"::/129", "", -1},
    {"10.0.0.0/", "", -1},
    {"10.0.0.0/-1", "", -1},
    {"10.0.0.0/a", "", -1},
    {"10.0.0.0/8/8", "", -1},
    {"10.0.0.0/99999999999999999999", "", -1},
    {"10.0.0/8", "", -1},
    {"/8", "", -1},
    {"", "", -1},
    {"[::1]", "", -1},
    {"1234567890123456789012345678901234567890123456789012345678901234567890"
     "12345678901234567890/8",
	"", -1},
};

static void
test_prefixes(void)
{
	for (size_t i = 0; i < sizeof(prefix_rows) / sizeof(prefix_rows[0]);
	     i++) {
		struct addr_prefix p;
		struct addr a;
		char what[200];
		int has = -1;

		snprintf(what, sizeof(what), "\"%.80s\" and %s",
		    prefix_rows[i].prefix, prefix_rows[i].ip);
		if (addr_prefix_parse(&p, prefix_rows[i].prefix))
			has = addr_parse(&a, prefix_rows[i].ip, 1)
			    ? addr_prefix_has(&p, &a)
			    : 2;
		eq_int(has, prefix_rows[i].has, what);
	}
}

/* ---- sockets ---- */

static bool
is_ready(int fd)
{
	return fd != -1 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 &&
	    (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void
test_tcp(void)
{
	struct addr a, same;
	int fd, other;

	addr_parse(&a, "127.0.0.1:0", -1);
	fd = addr_listen_tcp(&a, false);
	ok(is_ready(fd), "a listening socket");
	ok(addr_port(&a) != 0, "with the kernel's port");
	same = a;
	errno = 0;
	other = addr_listen_tcp(&same, false);
	ok(other == -1 && errno == EADDRINUSE, "the port is taken");
	close(fd);

	addr_parse(&a, "127.0.0.1:0", -1);
	fd = addr_listen_tcp(&a, true);
	same = a;
	other = addr_listen_tcp(&same, true);
	ok(fd != -1 && other != -1, "two share a port with reuseport");
	close(fd);
	close(other);

	addr_parse(&a, "192.0.2.1:0", -1);
	errno = 0;
	ok(addr_listen_tcp(&a, false) == -1 && errno == EADDRNOTAVAIL,
	    "not our address");
}

/* A socket on :: hears IPv4 as well; a host without IPv6 has none. */
static void
test_dual_stack(void)
{
	struct addr a, to;
	int fd, client;

	addr_parse(&a, ":0", -1);
	fd = addr_listen_tcp(&a, false);
	if (fd == -1) {
		printf(
		    "ok %d - both families # SKIP no IPv6 here\n", ++tap_count);
		return;
	}
	addr_parse(&to, "127.0.0.1", addr_port(&a));
	client = socket(AF_INET, SOCK_STREAM, 0);
	ok(connect(client, &to.u.sa, to.len) == 0, "both families");
	close(client);
	close(fd);
}

static void
test_udp(void)
{
	struct addr a, from = {.len = sizeof(from.u)};
	char byte = 0;
	int fd, other;

	addr_parse(&a, "127.0.0.1:0", -1);
	fd = addr_bind_udp(&a, false);
	ok(is_ready(fd) && addr_port(&a) != 0, "a UDP socket");
	other = socket(AF_INET, SOCK_DGRAM, 0);
	sendto(other, "x", 1, 0, &a.u.sa, a.len);
	/* Loopback has delivered it when sendto is back. */
	ok(recvfrom(fd, &byte, 1, 0, &from.u.sa, &from.len) == 1 &&
		byte == 'x' && addr_is_loopback(&from),
	    "it receives");
	close(other);
	close(fd);
}

static void
test_host(void)
{
	struct addr a;

	memset(&a, 0xa5, sizeof(a));
	addr_of_host(&a);
	ok(addr_is_v4(&a) && !addr_is_any(&a) && a.len == sizeof(a.u.in) &&
		addr_port(&a) == 0,
	    "this host has an IPv4 address");
}

int
main(void)
{
	test_parse();
	test_families();
	test_classes();
	test_hosts();
	test_bytes();
	test_prefixes();
	test_tcp();
	test_dual_stack();
	test_udp();
	test_host();
	return tap_done();
}

/* path: ports and why UDP does not pass, names, the environment's proxy,
 * rewritten addresses; each by its rules. */
#include <stdlib.h>

#include "probes/natprobe/path/alg.h"
#include "probes/natprobe/path/dns.h"
#include "probes/natprobe/path/proxy.h"
#include "probes/natprobe/path/reach.h"
#include "tests/tap.h"

static const struct stun_addr server = {
    {[10] = 0xff, [11] = 0xff, 192, 0, 2, 8}, 3478};
static const struct stun_addr other = {
    {[10] = 0xff, [11] = 0xff, 192, 0, 2, 9}, 3478};

/* ---- ports ---- */

static void
check_list(void)
{
	struct reach_ports p;
	char error[REACH_ERROR_MAX], many[REACH_PORTS * 8] = "";
	static const char *const bad[] = {"x", ",", "80,", "0", "65536", "-1",
	    "udp:", "udp", "tcp:80x", "sctp:80", " 80", "udp:443,tcp",
	    "123456"};

	ok(reach_ports_parse(&p, "", error) && p.n == 6, "what is usual");
	ok(reach_ports_parse(&p, "none", error) && p.n == 0, "none");
	ok(reach_ports_parse(&p, "udp:1,tcp:65535,80", error) && p.n == 4 &&
		p.v[0].how == REACH_UDP && p.v[0].port == 1 &&
		p.v[1].how == REACH_TCP && p.v[1].port == 65535 &&
		p.v[2].how == REACH_UDP && p.v[3].how == REACH_TCP &&
		p.v[3].port == 80,
	    "a list");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!reach_ports_parse(&p, bad[i], error) &&
			strstr(error, "is no port") != NULL,
		    bad[i]);
	for (size_t i = 0; i <= REACH_PORTS; i++)
		memcpy(many + 6 * i, i < REACH_PORTS ? "udp:7," : "udp:7", 6);
	ok(!reach_ports_parse(&p, many, error) &&
		strstr(error, "one too many") != NULL,
	    "65 of them");
}

static struct reach *
usual_rows(void)
{
	static struct reach r;
	struct reach_ports p;
	char error[REACH_ERROR_MAX];

	r.n = 0;
	reach_ports_parse(&p, "", error);
	reach_add(&r, &server, &p);
	reach_serves(&r, &server);
	for (size_t i = 0; i < r.n; i++)
		r.rows[i].saw = REACH_SILENT;
	return &r;
}

static struct reach_row *
row(struct reach *r, enum reach_how how, uint16_t port)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].how == how && r->rows[i].to.port == port)
			return &r->rows[i];
	abort();
}

static void
check_rows(void)
{
	struct reach *r = usual_rows();
	struct stun_addr relay = server;
	const char *why;

	eq_int(r->n, 7, "six ports and an echo");
	ok(reach_passes(r, row(r, REACH_UDP, 3478), &why) == ANSWER_UNKNOWN,
	    "silence, and nothing else from that host: unknown");
	eq_str(why, "host-may-be-down", "since it may be down");
	row(r, REACH_TCP, 80)->saw = REACH_REFUSED;
	ok(reach_passes(r, row(r, REACH_UDP, 3478), &why) == ANSWER_NO,
	    "the host is up: blocked");
	ok(reach_passes(r, row(r, REACH_TCP, 80), &why) == ANSWER_YES,
	    "what is refused has passed");
	ok(reach_passes(r, row(r, REACH_TCP, 443), &why) == ANSWER_UNKNOWN,
	    "silence where nobody is known to listen: unknown");
	eq_str(why, "nobody-may-listen", "since nobody may");
	relay.port = 443;
	reach_listens(r, &relay);
	ok(reach_passes(r, row(r, REACH_TCP, 443), &why) == ANSWER_NO,
	    "a relay does: blocked");
	row(r, REACH_UDP, 443)->saw = REACH_PROHIBITED;
	ok(reach_passes(r, row(r, REACH_UDP, 443), &why) == ANSWER_NO,
	    "a firewall says so: blocked");
	row(r, REACH_UDP, 443)->saw = REACH_UNREACHABLE;
	ok(reach_passes(r, row(r, REACH_UDP, 443), &why) == ANSWER_UNKNOWN,
	    "unreachable: unknown");
	eq_str(why, "unreachable", "and why");
}

static void
check_verdict(const struct reach *r, struct reach_facts f,
    enum reach_verdict want, const char *why)
{
	const char *got;
	enum reach_verdict v = reach_judge(r, &f, &got);

	eq_str(reach_verdict_name(v), reach_verdict_name(want), why);
	eq_str(got, why, "and its evidence");
}

static void
check_blocked(void)
{
	struct reach_facts none = {.udp = ANSWER_NO};
	struct reach *r = usual_rows();

	check_verdict(
	    r, (struct reach_facts){.udp = ANSWER_YES}, REACH_FREE, "");
	check_verdict(r, none, REACH_NO_NETWORK, "nothing-answers");
	check_verdict(r, (struct reach_facts){.udp = ANSWER_NO, .portal = true},
	    REACH_PORTAL, "a-portal-answers-for-the-relay");
	check_verdict(r,
	    (struct reach_facts){.udp = ANSWER_NO, .relay_443 = true},
	    REACH_ONLY_443, "tcp-443-alone-passes");
	check_verdict(r,
	    (struct reach_facts){.udp = ANSWER_NO, .relay_other = true},
	    REACH_BLOCKED, "tcp-passes");
	row(r, REACH_ECHO, 0)->saw = REACH_ANSWERS;
	check_verdict(r, none, REACH_UNKNOWN, "echo-alone-passes");
	row(r, REACH_TCP, 80)->saw = REACH_OPEN;
	check_verdict(r, none, REACH_UNKNOWN, "tcp-80-alone-answers");
	check_verdict(r,
	    (struct reach_facts){.udp = ANSWER_NO, .relay_443 = true},
	    REACH_BLOCKED, "tcp-passes");
	row(r, REACH_TCP, 80)->saw = REACH_SILENT;
	row(r, REACH_TCP, 443)->saw = REACH_REFUSED;
	check_verdict(r, none, REACH_ONLY_443, "tcp-443-alone-passes");
	row(r, REACH_TCP, 80)->saw = REACH_OPEN;
	check_verdict(r, none, REACH_BLOCKED, "tcp-passes");
	row(r, REACH_UDP, 443)->saw = REACH_REFUSED;
	check_verdict(r, none, REACH_PORT_BLOCKED, "other-udp-ports-pass");
	row(r, REACH_UDP, 3478)->saw = REACH_ANSWERS;
	check_verdict(r, none, REACH_SERVER_DOWN, "what-answers-is-no-stun");
	row(r, REACH_UDP, 3478)->saw = REACH_REFUSED;
	check_verdict(r, none, REACH_SERVER_DOWN, "icmp-port-unreachable");
	row(r, REACH_UDP, 443)->saw = REACH_SILENT;
	row(r, REACH_UDP, 3478)->saw = REACH_PROHIBITED;
	check_verdict(r, none, REACH_BLOCKED, "icmp-prohibited");
	row(r, REACH_TCP, 3478)->saw = REACH_ANSWERS;
	check_verdict(r, none, REACH_BLOCKED, "stun-over-tcp-answers");
	r = usual_rows();
	row(r, REACH_UDP, 3478)->saw = REACH_UNREACHABLE;
	check_verdict(r, none, REACH_SERVER_DOWN, "icmp-unreachable");
	row(r, REACH_UDP, 443)->saw = REACH_WAITS;
	row(r, REACH_UDP, 3478)->saw = REACH_SILENT;
	check_verdict(r, none, REACH_UNKNOWN, "not-asked");
	r->n = 0;
	check_verdict(r, none, REACH_UNKNOWN, "not-asked");
}

static void
check_icmp(void)
{
	ok(icmp_classify(false, 3, 3) == ICMP_REFUSED &&
		icmp_classify(true, 1, 4) == ICMP_REFUSED,
	    "port unreachable");
	ok(icmp_classify(false, 3, 4) == ICMP_BIG &&
		icmp_classify(true, 2, 0) == ICMP_BIG,
	    "too big");
	ok(icmp_classify(false, 3, 13) == ICMP_PROHIBITED &&
		icmp_classify(false, 3, 9) == ICMP_PROHIBITED &&
		icmp_classify(true, 1, 1) == ICMP_PROHIBITED,
	    "prohibited");
	ok(icmp_classify(false, 3, 1) == ICMP_UNREACHABLE &&
		icmp_classify(true, 1, 0) == ICMP_UNREACHABLE,
	    "unreachable");
	ok(icmp_classify(false, 11, 0) == ICMP_OTHER &&
		icmp_classify(true, 3, 0) == ICMP_OTHER,
	    "time exceeded is another");
}

/* ---- names ---- */

static void
found(struct dns_ask *a, const char *text)
{
	a->over = true;
	a->nonexistent = text == NULL;
	a->n = 0;
	if (text != NULL && ip_parse(&a->found[0], text, strlen(text)))
		a->n = 1;
}

static void
check_nonexistent(void)
{
	struct dns_ask a[3] = {
	    {.kind = DNS_INVALID}, {.kind = DNS_WPAD}, {.kind = DNS_BELOW}};
	const char *why;

	ok(dns_judge_nonexistent(a, 3, &why) == DNS_UNKNOWN, "no answer");
	found(&a[0], NULL);
	found(&a[1], NULL);
	found(&a[2], NULL);
	ok(dns_judge_nonexistent(a, 3, &why) == DNS_KEPT, "no such name");
	ok(!dns_has_wpad(a, 3), "no WPAD");
	found(&a[1], "10.0.0.1");
	ok(dns_has_wpad(a, 3), "WPAD");
	found(&a[2], "192.0.2.1");
	ok(dns_judge_nonexistent(a, 3, &why) == DNS_UNKNOWN && *why != '\0',
	    "a wildcard below the relay's name proves nothing");
	found(&a[0], "10.0.0.1");
	ok(dns_judge_nonexistent(a, 3, &why) == DNS_REWRITTEN, "rewritten");
	ok(!dns_has_wpad(a, 3), "what all names have is no WPAD");
	found(&a[0], NULL);
	found(&a[2], NULL);
	a[0].nonexistent = false;
	ok(dns_judge_nonexistent(a, 3, &why) == DNS_UNKNOWN, "it fails");
	eq_str(why, "resolver-fails", "and says so");
}

static void
check_relay_names(void)
{
	struct dns_ask a = {.kind = DNS_RELAY};
	const char *why;

	ok(dns_judge_relay(&a, &why) == DNS_UNKNOWN, "no answer");
	found(&a, "198.51.100.1");
	ok(dns_judge_relay(&a, &why) == DNS_NOT_IN_MAP, "not in the map");
	found(&a, "100.64.3.4");
	ok(dns_judge_relay(&a, &why) == DNS_PRIVATE, "a private address");
	a.has_map[0] = ip_parse(&a.map[0], "198.51.100.1", 12);
	ok(dns_judge_relay(&a, &why) == DNS_DIFFERS, "another than the map's");
	found(&a, "198.51.100.1");
	ok(dns_judge_relay(&a, &why) == DNS_SAME, "the map's");
	a.n = 2;
	ok(ip_parse(&a.found[1], "198.51.100.2", 12) &&
		dns_judge_relay(&a, &why) == DNS_SAME,
	    "the map's and one more");
	ok(ip_parse(&a.found[1], "2001:db8::1", 11) &&
		dns_judge_relay(&a, &why) == DNS_SAME,
	    "of another family, that the map has not");
	a.has_map[1] = ip_parse(&a.map[1], "2001:db8::2", 11);
	ok(dns_judge_relay(&a, &why) == DNS_DIFFERS, "or that differs");
	found(&a, NULL);
	ok(dns_judge_relay(&a, &why) == DNS_UNKNOWN, "no such name");
	eq_str(why, "no-such-name", "and says so");
}

static void
check_private(void)
{
	static const char *const yes[] = {"10.1.2.3", "172.31.0.1",
	    "192.168.0.1", "100.127.255.255", "127.0.0.1", "169.254.1.1",
	    "fd00::1", "fe80::1", "::1"};
	static const char *const no[] = {"9.255.255.255", "172.32.0.1",
	    "100.128.0.0", "192.0.2.1", "2001:db8::1"};
	struct ip ip;

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ok(ip_parse(&ip, yes[i], strlen(yes[i])) && dns_is_private(&ip),
		    yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ok(ip_parse(&ip, no[i], strlen(no[i])) && !dns_is_private(&ip),
		    no[i]);
}

/* ---- proxy ---- */

static void
check_url(const char *url, const char *shown, const char *auth)
{
	struct proxy p;
	const char *why;

	ok(proxy_parse(&p, url, &why), url);
	eq_str(p.shown, shown, "shown");
	eq_str(p.auth, auth, "its credentials");
}

static void
check_urls(void)
{
	static const char *const bad[] = {"socks5://h:1", "ftp://h", "http://",
	    "http://:80", "http://h:x", "http://h:0", "http://h:65536",
	    "http://[::1", "http://a b", "http://h:123456", "://",
	    "http://a:%zz@h", "http://a:%4@h"};
	char long_url[2 * PROXY_AUTH_MAX + 20];
	struct proxy p;
	const char *why;

	check_url("http://proxy.example:3128", "http://proxy.example:3128", "");
	check_url("proxy.example:3128", "http://proxy.example:3128", "");
	check_url("http://proxy.example/", "http://proxy.example:80", "");
	check_url("HTTPS://proxy.example", "https://proxy.example:443", "");
	check_url(
	    "http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080", "");
	/* RFC 7617 section 2. */
	check_url("http://Aladdin:open%20sesame@h:1", "http://h:1",
	    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	check_url("http://a:b@c:d@h:1", "http://h:1", "Basic YTpiQGM6ZA==");
	check_url("http://name@h:1", "http://h:1", "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!proxy_parse(&p, bad[i], &why) && *why != '\0', bad[i]);
	memset(long_url, 'a', sizeof(long_url));
	memcpy(long_url, "http://u:", 9);
	memcpy(long_url + sizeof(long_url) - 5, "@h:1", 5);
	ok(!proxy_parse(&p, long_url, &why), "credentials without end");
}

static void
check_no_proxy(void)
{
	static const struct {
		const char *list, *host;
		bool excepted;
	} all[] = {
	    {"", "relay.example", false},
	    {"", "localhost", true},
	    {"", "127.3.0.1", true},
	    {"", "::1", true},
	    {"*", "relay.example", true},
	    {"example", "relay.example", true},
	    {"relay.example", "RELAY.example", true},
	    {".example", "relay.example", true},
	    {"*.example", "relay.example", true},
	    {".example", "example", false},
	    {"ample", "relay.example", false},
	    {"a.example, relay.example", "relay.example", true},
	    {"relay.example:443", "relay.example", true},
	    {"relay.example:80", "relay.example", false},
	    {"192.0.2.0/24", "192.0.2.7", true},
	    {"192.0.2.0/24", "192.0.3.7", false},
	    {"192.0.2.7", "192.0.2.7", true},
	    {"192.0.2.7:443", "192.0.2.7", true},
	    {"[2001:db8::7]:443", "2001:db8::7", true},
	    {"2001:db8::7", "2001:db8::7", true},
	    {"2001:db8::/32", "2001:db8::7", true},
	    {",, ,", "relay.example", false},
	    {":", "relay.example", false},
	    {".", "relay.example", false},
	    {"*", "192.0.2.7", true},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ok(proxy_is_excepted(all[i].list, all[i].host, 443) ==
			all[i].excepted,
		    all[i].list);
}

static enum proxy_word
answer(const char *text, int *status)
{
	return proxy_answer((const uint8_t *)text, strlen(text), status);
}

static void
check_connect(void)
{
	char out[PROXY_REQUEST_MAX];
	struct proxy p = {.auth = "Basic eDp5"};
	int status;
	size_t n = proxy_request(&p, "relay.example", 443, out);

	ok(n == strlen(out), "its length");
	eq_str(out,
	    "CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n"
	    "Proxy-Authorization: Basic eDp5\r\n\r\n",
	    "CONNECT");
	p.auth[0] = '\0';
	proxy_request(&p, "2001:db8::1", 8443, out);
	eq_str(out,
	    "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\n"
	    "Host: [2001:db8::1]:8443\r\n\r\n",
	    "CONNECT to IPv6");
	ok(answer("HTTP/1.1 200 OK\r\n\r\n", &status) == PROXY_TUNNEL, "200");
	ok(answer("HTTP/1.1 200 OK\r\n\r\nx", &status) == PROXY_NONE,
	    "a relay does not speak first");
	ok(answer("HTTP/1.0 407 No\r\nA: b\r\n\r\n<html>", &status) ==
		PROXY_WANTS_AUTH,
	    "407");
	ok(answer("HTTP/1.1 403 No\r\n\r\n", &status) == PROXY_REFUSES &&
		status == 403,
	    "403");
	ok(answer("HTTP/1.1 200", &status) == PROXY_UNKNOWN, "a part");
	ok(answer("", &status) == PROXY_UNKNOWN, "nothing yet");
	ok(answer("SSH-2.0-x\r\n", &status) == PROXY_NONE, "no HTTP");
	ok(answer("HTTP/x\r\n\r\n", &status) == PROXY_NONE, "no status");
}

/* ---- addresses ---- */

static void
check_alg(void)
{
	static const struct stun_addr me = {
	    {[10] = 0xff, [11] = 0xff, 198, 51, 100, 4}, 1000};
	struct sock s = {.local = me};
	struct ask a[2] = {{.state = ASK_ANSWERED, .mapped = server},
	    {.state = ASK_SILENT, .mapped = server, .plain = other}};
	struct probe p = {.primary = 0,
	    .engine = {.asks = a, .n_asks = 2, .socks = &s, .n_socks = 1}};
	struct alg_verdict v;

	alg_judge(&p, &v);
	ok(v.rewrites == ANSWER_UNKNOWN, "no MAPPED-ADDRESS: unknown");
	eq_str(v.why, "not-asked", "and why");
	a[0].plain = server;
	alg_judge(&p, &v);
	ok(v.rewrites == ANSWER_NO && v.answers == 1, "both are alike");
	a[0].plain = other;
	alg_judge(&p, &v);
	ok(v.rewrites == ANSWER_UNKNOWN && v.differ == 1,
	    "another public one: the server is odd");
	eq_str(v.why, "server-contradicts-itself", "and why");
	a[0].plain = me;
	alg_judge(&p, &v);
	ok(v.rewrites == ANSWER_YES, "this host's own: rewritten");
	a[0].plain = other;
	a[0].plain.ip[12] = 10;
	alg_judge(&p, &v);
	ok(v.rewrites == ANSWER_YES && v.shows.ip[12] == 10,
	    "a private one, of a NAT further on: rewritten");
}

static void
check_pooling(void)
{
	struct verdicts v = {
	    .alloc = {.addresses = 1}, .mapping = {.units = 8}};
	const char *by;

	ok(pooling_judge(&v, &by) == POOLING_PAIRED && by == NULL, "paired");
	v.mapping.pool_varies = true;
	ok(pooling_judge(&v, &by) == POOLING_ARBITRARY, "arbitrary");
	eq_str(by, "destination", "by destination");
	v.alloc.addresses = 2;
	ok(pooling_judge(&v, &by) == POOLING_ARBITRARY, "arbitrary");
	eq_str(by, "socket", "by socket");
	v = (struct verdicts){0};
	ok(pooling_judge(&v, &by) == POOLING_UNKNOWN, "nothing is known");
}

int
main(void)
{
	check_list();
	check_rows();
	check_blocked();
	check_icmp();
	check_nonexistent();
	check_relay_names();
	check_private();
	check_urls();
	check_no_proxy();
	check_connect();
	check_alg();
	check_pooling();
	return tap_done();
}

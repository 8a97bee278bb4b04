/* check: -check against servers that exist only here, with a clock moved by
 * hand: pace, repetition, the end, and what it makes of honest and other
 * answers. */
#include <stdlib.h>

#include "stund/check.h"
#include "tests/tap.h"

static struct stun_addr
v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
	return (struct stun_addr){
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, port};
}

#define SERVER v4(198, 51, 100, 10, 3478)
#define OTHER  v4(198, 51, 100, 11, 3479)
#define CLIENT v4(192, 0, 2, 7, 0)

/* ---- URIs ---- */

static void
test_uris(void)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool tls;
	} good[] = {
	    {"stun:a.example", "a.example", 3478, false},
	    {"STUN:a.example:19302", "a.example", 19302, false},
	    {"stuns:a.example", "a.example", 5349, true},
	    {"StunS:192.0.2.1:443", "192.0.2.1", 443, true},
	    {"stun:[2001:db8::1]", "2001:db8::1", 3478, false},
	    {"stun:[::1]:65535", "::1", 65535, false},
	    {"stun:_x-1.example.", "_x-1.example.", 3478, false},
	};
	static const struct {
		const char *text, *says;
	} bad[] = {
	    {"", "want stun:HOST"},
	    {"a.example:3478", "want stun:HOST"},
	    {"turn:a.example", "want stun:HOST"},
	    {"stun", "want stun:HOST"},
	    {"stun:", "the host is missing"},
	    {"stun::3478", "the host is missing"},
	    {"stun://a.example", "no // belongs"},
	    {"stun:a.example/", "no path"},
	    {"stun:a.example?transport=udp", "no query"},
	    {"stun:a.example#x", "no fragment"},
	    {"stun:me@a.example", "no user"},
	    {"stun:a%41", "without %"},
	    {"stun:a b", "no host name has"},
	    {"stun:a\n\x1b[1m", "no host name has"},
	    {"stun:2001:db8::1", "goes in brackets"},
	    {"stun:[2001:db8::1", "closing bracket"},
	    {"stun:[192.0.2.1]", "must be an IPv6 address"},
	    {"stun:[::1%eth0]", "without %"},
	    {"stun:[::1]3478", "a colon and a port"},
	    {"stun:192.0.2", "no IPv4 address"},
	    {"stun:300.0.2.1", "no IPv4 address"},
	    {"stun:a.example:", "port of 1 to 65535"},
	    {"stun:a.example:0", "port of 1 to 65535"},
	    {"stun:a.example:65536", "port of 1 to 65535"},
	    {"stun:a.example:4294967297", "port of 1 to 65535"},
	    {"stun:a.example:+1", "port of 1 to 65535"},
	    {"stun:a.example:1x", "port of 1 to 65535"},
	};
	char error[CHECK_ERROR_MAX], longest[400] = "stun:";
	struct check_uri u;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(check_uri_parse(&u, good[i].text, error) &&
			strcmp(u.host, good[i].host) == 0 &&
			u.port == good[i].port && u.tls == good[i].tls,
		    good[i].text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!ok(!check_uri_parse(&u, bad[i].text, error) &&
			    strstr(error, bad[i].says) != NULL &&
			    strpbrk(error, "\n\x1b") == NULL,
			bad[i].says))
			printf("# %s: %s\n", bad[i].text, error);
	memset(longest + 5, 'a', 254);
	ok(!check_uri_parse(&u, longest, error) &&
		strstr(error, "too long") != NULL,
	    "a host of 254 bytes is too long");
	longest[5 + 253] = '\0';
	ok(check_uri_parse(&u, longest, error), "253 bytes are not");
}

/* ---- servers ---- */

struct server {
	bool bare, tailnode, classic, stream;
	bool other; /* and CHANGE-REQUEST is honoured */
	bool ignores_change; /* answers, but from where it was asked */
	bool ignores_unknown, unsummed, twice, stray, nat_in_front;
	bool wrong_fingerprint;
	size_t padding; /* answers any PADDING with this much */
	const struct stun_addr *other_is, *mapped_is;
	const char *software;
};

/* Ports at which the client's NAT shows the sockets: as they are, or other
 * ones for each destination. */
struct world {
	struct check c;
	struct server s;
	bool nat, random_nat;
	struct mono now, last;
	int64_t gap; /* the least between two requests */
	unsigned sent, sent_to_stranger;
};

static uint16_t
local_port(enum check_probe socket)
{
	return (uint16_t)(40000 + socket);
}

static struct stun_addr
mapped_of(const struct world *w, const struct check_send *r)
{
	struct stun_addr a = w->nat ? v4(203, 0, 113, 1, 0) : CLIENT;

	a.port = local_port(r->socket);
	if (w->random_nat)
		a.port = (uint16_t)(a.port + 1000 + r->to.ip[15] + r->to.port);
	return a;
}

static bool
find(const struct check_send *r, uint16_t type, struct stun_attr *a)
{
	struct stun_msg m;
	struct rd rd;

	if (stun_parse(&m, r->bytes, r->len) != STUN_FORM_OK)
		return false;
	rd = stun_attrs(&m);
	while (stun_attr_next(&m, &rd, a))
		if (a->type == type)
			return true;
	return false;
}

static bool
is_wanted(const struct world *w, const struct check_send *r)
{
	struct stun_attr a;
	struct stun_msg m;

	if (r->stream)
		return w->s.stream;
	if (stun_parse(&m, r->bytes, r->len) == STUN_FORM_CLASSIC)
		return w->s.classic;
	if (find(r, STUN_SOFTWARE, &a) && stun_is_tailnode(&a))
		return w->s.tailnode;
	if (find(r, STUN_FINGERPRINT, &a) && !stun_fingerprint_ok(&m, &a))
		return w->s.bare && w->s.unsummed;
	return w->s.bare;
}

static void
put_success(const struct world *w, const struct check_send *r, struct wr *out,
    const struct stun_msg *m, const struct stun_addr *from)
{
	static const uint8_t zeros[1500];
	struct stun_addr mapped = mapped_of(w, r), other = OTHER;
	struct stun_attr a;

	if (w->s.mapped_is != NULL)
		mapped = *w->s.mapped_is;
	if (w->s.other_is != NULL)
		other = *w->s.other_is;
	if (m->cookie == STUN_COOKIE)
		stun_put_xor_address(out, &mapped, &m->txid);
	else
		stun_put_address(out, STUN_MAPPED_ADDRESS, &mapped);
	if (w->s.other || w->s.other_is != NULL) {
		struct stun_addr origin =
		    w->s.nat_in_front ? v4(10, 0, 0, 1, 3478) : *from;

		stun_put_address(out, STUN_OTHER_ADDRESS, &other);
		stun_put_address(out, STUN_RESPONSE_ORIGIN, &origin);
	}
	if (find(r, STUN_PADDING, &a) && w->s.padding > 0)
		stun_put(out, STUN_PADDING, zeros, w->s.padding);
	if (w->s.software != NULL)
		stun_put(
		    out, STUN_SOFTWARE, w->s.software, strlen(w->s.software));
}

/* Where a success leaves from; false: error 420. */
static bool
source(const struct world *w, const struct check_send *r,
    struct stun_addr *from, struct stun_attr *a)
{
	struct rd rd;
	uint32_t flags;

	*from = r->to;
	if (find(r, STUN_CHANGE_REQUEST, a)) {
		rd_init(&rd, a->value, a->len);
		flags = rd_u32(&rd);
		if (flags == 0 || w->s.ignores_change)
			return true;
		if (flags & STUN_CHANGE_IP)
			memcpy(from->ip, OTHER.ip, sizeof(from->ip));
		if (flags & STUN_CHANGE_PORT)
			from->port = OTHER.port;
		return w->s.other;
	}
	if (!w->s.other && find(r, STUN_RESPONSE_PORT, a))
		return false;
	return !find(r, CHECK_UNKNOWN_TYPE, a) || w->s.ignores_unknown;
}

static bool
reaches(const struct world *w, const struct stun_addr *from,
    const struct check_send *r)
{
	/* A NAT with a port for each destination lets only that one in. */
	return !w->random_nat || stun_addr_same(from, &r->to);
}

static void
answer(struct world *w, const struct check_send *r)
{
	uint8_t p[2048];
	struct stun_addr from;
	struct stun_attr a;
	struct stun_msg m;
	struct wr out;
	size_t n;
	enum check_probe socket = r->socket;

	if (!is_wanted(w, r))
		return;
	stun_parse(&m, r->bytes, r->len);
	wr_init(&out, p, sizeof(p));
	if (source(w, r, &from, &a)) {
		stun_begin_as(
		    &out, STUN_SUCCESS, STUN_BINDING, m.cookie, &m.txid);
		put_success(w, r, &out, &m, &from);
	} else {
		stun_begin(&out, STUN_ERROR, STUN_BINDING, &m.txid);
		stun_put_error(&out, 420);
		stun_put_unknown(&out, &a.type, 1);
	}
	/* RESPONSE-PORT asks for the socket of the bare request. */
	if (find(r, STUN_RESPONSE_PORT, &a) && w->s.other)
		socket = CHECK_BARE;
	n = w->s.wrong_fingerprint ? stun_end_fingerprint(&out)
				   : stun_end(&out);
	p[n - 1] ^= w->s.wrong_fingerprint;
	if (w->s.stray)
		from = v4(198, 51, 100, 99, 53);
	for (int i = 0; reaches(w, &from, r) && i <= w->s.twice; i++)
		check_got(&w->c, w->now, socket, &from, p, n);
}

/* The whole check, from beginning to end; returns what would be printed. */
static char *
run(struct world *w, bool tls, bool *fit)
{
	static uint8_t random[CHECK_ID_LEN];
	struct stun_addr server = SERVER, client = CLIENT;
	struct text out = TEXT_EMPTY;
	struct check_send r;
	struct ip local;
	bool wanted;

	memcpy(local.b, client.ip, sizeof(local.b));
	w->now = (struct mono){1000000};
	w->gap = INT64_MAX;
	check_init(&w->c, &server, tls, &local, CHECK_GAP_US, w->now);
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		w->c.ports[p] = local_port(p);
	while (!check_done(&w->c)) {
		random[4]++; /* ids differ */
		wanted = check_next(&w->c, w->now, random, &r);
		if (!wanted) {
			if (!check_done(&w->c))
				w->now = check_deadline(&w->c);
			continue;
		}
		if (mono_is_set(w->last) &&
		    mono_diff_us(w->last, w->now) < w->gap)
			w->gap = mono_diff_us(w->last, w->now);
		w->last = w->now;
		w->sent++;
		if (!stun_addr_same(&r.to, &server) &&
		    !(w->s.other && w->s.other_is == NULL))
			w->sent_to_stranger++;
		answer(w, &r);
	}
	*fit = check_print(&w->c, &out);
	return text_take(&out);
}

/* A line of TAP about a piece of text that may end lines. */
static bool
tell(bool good, const char *what)
{
	char line[120];

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(what, "\n"), what);
	return ok(good, line);
}

static void
says(const char *said, const char *what)
{
	if (!tell(said != NULL && strstr(said, what) != NULL, what))
		printf("# not in: %s\n", said == NULL ? "" : said);
}

static void
says_not(const char *said, const char *what)
{
	if (!tell(said != NULL && strstr(said, what) == NULL, what))
		printf("# in: %s\n", said == NULL ? "" : said);
}

static const struct server full = {.bare = true,
    .tailnode = true,
    .classic = true,
    .stream = true,
    .other = true};

static void
test_full(void)
{
	struct world w = {.s = full};
	bool fit;
	char *said = run(&w, false, &fit);

	ok(fit, "a server with all of it is fit");
	says(said, "fit       for basic STUN (WebRTC)\n");
	says(said, "fit       for Tailscale clients\n");
	says(said, "fit       for NAT behaviour discovery\n");
	says(said, "no NAT is between");
	says(said, "other     198.51.100.11:3479\n");
	says(said, "to that port");
	/* The only fault of its kind. */
	says(said, "fault     it amplifies: 20 bytes (bare request) bring 56");
	ok(strstr(strstr(said, "fault") + 1, "fault") == NULL, "one fault");
	ok(w.gap >= CHECK_GAP_US, "at most 10 requests a second");
	free(said);
}

static void
test_silence(void)
{
	struct world w = {.s = {0}};
	bool fit;
	char *said = run(&w, false, &fit);

	ok(!fit, "who says nothing is not fit");
	says(said, "not fit   for basic STUN (WebRTC): no answer\n");
	says_not(said, "program");
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		if (w.c.slots[p].state == CHECK_SILENT && !check_is_stream(p))
			eq_int(w.c.slots[p].sends, 3, "sent three times");
	eq_int(w.now.us - 1000000, 3800000, "and that is known in 3.8 s");
	free(said);
}

static void
test_refused(void)
{
	struct world w = {.s = {0}};
	struct stun_addr server = SERVER;
	uint8_t random[CHECK_ID_LEN] = {1};
	struct text out = TEXT_EMPTY;
	struct check_send r;
	struct ip local = {{0}};

	check_init(
	    &w.c, &server, false, &local, CHECK_GAP_US, (struct mono){1000000});
	ok(check_next(&w.c, (struct mono){1000000}, random, &r), "asks");
	check_failed(&w.c, r.socket, "Connection refused");
	eq_int(w.c.slots[r.socket].state, CHECK_FAILED, "refused is the end");
	check_print(&w.c, &out);
	says(out.p, "not fit   for basic STUN (WebRTC): Connection refused");
	text_clear(&out);
}

static void
test_tailnode_only(void)
{
	struct world w = {.s = {.tailnode = true}};
	bool fit;
	char *said = run(&w, false, &fit);

	ok(!fit, "a server for Tailscale alone is not fit for browsers");
	says(said, "program   Tailscale's derper or stund\n");
	says(said, "fit       for Tailscale clients\n");
	says(said, "20-byte request that browsers send gets no answer");
	free(said);
}

static void
test_one_address(void)
{
	struct world w = {.s = {.bare = true, .tailnode = true}};
	bool fit;
	char *said = run(&w, false, &fit);

	ok(fit, "one address is enough for basic STUN");
	says(said, "for NAT behaviour discovery: no OTHER-ADDRESS");
	says(said, "error 420, names it");
	says_not(said, "fault");
	free(said);
}

static void
test_nats(void)
{
	struct world w = {.s = full, .nat = true};
	bool fit;
	char *said = run(&w, false, &fit);

	says(said, "203.0.113.1:40000, by way of 192.0.2.7 here: a NAT");
	says(said, "fit       for NAT behaviour discovery\n");
	free(said);
	w = (struct world){.s = full, .nat = true, .random_nat = true};
	said = run(&w, false, &fit);
	says(said, "unclear   for NAT behaviour discovery: the NAT here may");
	ok(fit, "and fit for basic STUN");
	free(said);
}

/* ---- lies ---- */

static void
test_lies(void)
{
	static const struct stun_addr zero = {{0}, 0};
	const struct stun_addr same_ip = v4(198, 51, 100, 10, 3479),
			       same_port = v4(198, 51, 100, 11, 3478),
			       private = v4(192, 168, 1, 1, 3479),
			       many = v4(224, 0, 0, 1, 3479),
			       six = {{0x20, 1, 0xd, 0xb8}, 3479},
			       host_zero = v4(203, 0, 113, 9, 0);
	const struct {
		struct server s;
		bool fit, strangers;
		const char *says;
	} rows[] = {
	    {{.bare = true, .other_is = &same_ip}, true, false,
		"OTHER-ADDRESS 198.51.100.10:3479 is the address that was"},
	    {{.bare = true, .other_is = &same_port}, true, false,
		"OTHER-ADDRESS 198.51.100.11:3478 has the same port"},
	    {{.bare = true, .other_is = &private}, true, false,
		"OTHER-ADDRESS 192.168.1.1:3479 is private"},
	    {{.bare = true, .other_is = &many}, true, false,
		"is no address that a host can have"},
	    {{.bare = true, .other_is = &zero}, true, false,
		"is of the other address family"},
	    {{.bare = true, .other_is = &six}, true, false,
		"OTHER-ADDRESS [2001:db8::]:3479 is of the other address"},
	    {{.bare = true, .mapped_is = &six}, false, false,
		"the address that it tells, [2001:db8::]:3479, is of"},
	    {{.bare = true, .mapped_is = &host_zero}, false, false,
		"203.0.113.9:0, is no address that a host can have"},
	    /* A server that is reached without a NAT, or with one inside. */
	    {{.bare = true, .mapped_is = &private}, true, false,
		"you       192.168.1.1:3479, by way of 192.0.2.7 here: a NAT"},
	    {{.bare = true, .mapped_is = &same_ip}, false, false,
		"198.51.100.10:3479, is the server's own"},
	    {{.bare = true, .twice = true}, true, false,
		"fault     bare request: 2 answers to 1 requests"},
	    {{.bare = true, .stray = true}, false, false,
		"it answers from 198.51.100.99:53, not from "
		"198.51.100.10:3478"},
	    {{.bare = true, .ignores_unknown = true}, true, false,
		"fault     it ignores attributes that must be understood"},
	    {{.bare = true, .ignores_change = true}, true, false,
		"fault     it ignores CHANGE-REQUEST"},
	    {{.bare = true, .unsummed = true}, true, false,
		"fault     it does not look at FINGERPRINT"},
	    {{.bare = true, .wrong_fingerprint = true}, false, false,
		"the FINGERPRINT of its answer is wrong"},
	    {{.bare = true, .other = true, .ignores_change = true}, true, false,
		"CHANGE-REQUEST both is answered from 198.51.100.10:3478 "
		"instead of 198.51.100.11:3479"},
	    {{.bare = true, .other = true, .nat_in_front = true}, true, false,
		"RESPONSE-ORIGIN says 10.0.0.1:3478, the answer came from "
		"198.51.100.10:3478"},
	    {{.bare = true, .other = true, .padding = 1500}, true, false,
		"fault     it amplifies: 24 bytes (PADDING of 0) bring"},
	    {{.classic = true}, false, false,
		"a server of RFC 3489, such as Vovida's"},
	    {{.bare = true, .software = "Coturn-4.6.1\x1b[1m \"x\""}, true,
		false, "coturn, says \"Coturn-4.6.1\\x1b[1m \\x22x\\x22\"\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w = {.s = rows[i].s};
		bool fit;
		char *said = run(&w, false, &fit);

		says(said, rows[i].says);
		ok(fit == rows[i].fit, "fit for basic STUN or not");
		eq_int(w.sent_to_stranger, 0, "nothing is sent elsewhere");
		free(said);
	}
}

static void
test_strangers(void)
{
	struct world w = {.s = full};
	uint8_t p[2048];
	struct stun_addr from = SERVER;
	struct stun_txid txid = {{9, 9, 9}};
	struct wr out;
	bool fit;
	char *said;

	wr_init(&out, p, sizeof(p));
	stun_begin(&out, STUN_SUCCESS, STUN_BINDING, &txid);
	said = run(&w, false, &fit);
	free(said);
	check_got(&w.c, w.now, CHECK_BARE, &from, p, stun_end(&out));
	eq_int(w.c.foreign, 1, "an answer with an id that nobody drew");
	check_got(&w.c, w.now, CHECK_BARE, &from,
	    (const uint8_t *)"hello, world!!!!!!!!", 20);
	eq_int(w.c.foreign, 1, "what is no STUN does not count");
}

static void
test_tls(void)
{
	struct world w = {.s = full};
	bool fit;
	char *said = run(&w, true, &fit);

	ok(fit, "over TLS");
	says(said, "TLS, same connection");
	says(said, "for Tailscale clients: they ask over UDP");
	says_not(said, "bare request");
	eq_int(w.sent, 2, "and nothing over UDP");
	free(said);
	snprintf(w.c.tls_info.untrusted, sizeof(w.c.tls_info.untrusted),
	    "self-signed certificate");
	{
		struct text out = TEXT_EMPTY;

		ok(!check_print(&w.c, &out), "a bad certificate is not fit");
		says(out.p,
		    "clients refuse its certificate: self-signed certificate");
		text_clear(&out);
	}
}

int
main(void)
{
	test_uris();
	test_full();
	test_silence();
	test_refused();
	test_tailnode_only();
	test_one_address();
	test_nats();
	test_lies();
	test_strangers();
	test_tls();
	return tap_done();
}

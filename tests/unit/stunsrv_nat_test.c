/*
 * stunsrv_nat: RFC 5780, RFC 3489 and campusnet's attributes: what is answered,
 * from where, to where, when; each rule a row.
 */
#include "tests/unit/stunsrv_help.h"

#define CHANGE_NONE "\0\3\0\4\0\0\0\0"
#define CHANGE_IP   "\0\3\0\4\0\0\0\4"
#define CHANGE_PORT "\0\3\0\4\0\0\0\2"
#define CHANGE_BOTH "\0\3\0\4\0\0\0\6"
#define PADDING(n)  "\0\x26\0" n
#define PORT2	    "\0\x27\0\2\x30\x39\0\0"
#define PORT4	    "\0\x27\0\4\x30\x39\0\0"
#define ASK	    "\xca\x50\0\x08\0\0\0\0\0\0\0\0"
#define WRONG	    "\xca\x50\0\x08\1\2\3\4\5\6\7\x08"
#define DELAY	    "\xca\x51\0\4\0\0\x03\xe8"
#define SILENT	    "\xca\x52\0\0"
#define UNKNOWN	    "\x7a\xbc\0\4abcd"
#define TAILNODE    "\x80\x22\0\10tailnode"
#define FILLER16       \
	"\xc0\0\0\x10" \
	"0123456789abcdef"
#define FILLER48 FILLER16 FILLER16 FILLER16

/* Times at which cookies are made and shown. */
static const struct mono noon = {INT64_C(43200) * 1000000};

/* ---- where an answer comes from ---- */

static void
test_change(void)
{
	static const struct {
		const char *what;
		const char *attrs;
		size_t n;
		unsigned flags;
	} rows[] = {
	    {"no CHANGE-REQUEST", S(""), 0},
	    {"CHANGE-REQUEST of nothing", S(CHANGE_NONE), 0},
	    {"of the port", S(CHANGE_PORT), STUNSRV_OTHER_PORT},
	    {"of the address", S(CHANGE_IP), STUNSRV_OTHER_IP},
	    {"of both", S(CHANGE_BOTH), STUNSRV_OTHER_IP | STUNSRV_OTHER_PORT},
	    {"the first counts", S(CHANGE_IP CHANGE_PORT), STUNSRV_OTHER_IP},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned role = 0; role < STUNSRV_ROLES; role++) {
			const struct stunsrv_arrival a = {.from = &from_v4,
			    .role = (enum stunsrv_role)role,
			    .rules = STUNSRV_ALWAYS};
			uint8_t q[128], p[STUNSRV_ANSWER_MAX];
			size_t n = build(
			    q, sizeof(q), rows[i].attrs, rows[i].n, false);
			struct stunsrv_reply r;
			unsigned want = role ^ rows[i].flags;

			n = serve(&four, &a, q, n, &r, p);
			ok(n == 68 && r.role == want && !r.partner &&
				r.port == from_v4.port && r.delay_ms == 0,
			    rows[i].what);
			ok(r.gated == (rows[i].flags != 0), "gated if it asks");
			ok(holds(p, n, STUN_RESPONSE_ORIGIN, &four.at[want]),
			    "RESPONSE-ORIGIN is where it comes from");
			ok(holds(p, n, STUN_OTHER_ADDRESS, &four.at[role ^ 3]),
			    "OTHER-ADDRESS is the other of where it was asked");
			ok(holds(p, n, STUN_MAPPED_ADDRESS, &from_v4) &&
				holds(p, n, STUN_XOR_MAPPED_ADDRESS, &from_v4),
			    "and both forms of the client's");
		}
}

/* One address: nothing to change to. Two ports of one: only the port. */
static void
test_fewer_sockets(void)
{
	static const struct {
		const char *what;
		uint8_t here, partner;
		unsigned rules;
		unsigned change; /* flags of the request */
		bool good, by_partner, other;
	} rows[] = {
	    {"one socket, none", 1, 0, 0, 0, true, false, false},
	    {"one socket, port", 1, 0, 0, 2, false, false, false},
	    {"one socket, address", 1, 0, 0, 4, false, false, false},
	    {"one socket, both", 1, 0, 0, 6, false, false, false},
	    {"two ports, port", 3, 0, 0, 2, true, false, false},
	    {"two ports, address", 3, 0, 0, 4, false, false, false},
	    {"partner away, none", 3, 12, 0, 0, true, false, false},
	    {"partner away, port", 3, 12, 0, 2, true, false, false},
	    {"partner away, address", 3, 12, 0, 4, false, false, false},
	    {"partner away, both", 3, 12, 0, 6, false, false, false},
	    {"partner, none", 3, 12, STUNSRV_PARTNER_UP, 0, true, false, true},
	    {"partner, port", 3, 12, STUNSRV_PARTNER_UP, 2, true, false, true},
	    {"partner, address", 3, 12, STUNSRV_PARTNER_UP, 4, true, true,
		true},
	    {"partner, both", 3, 12, STUNSRV_PARTNER_UP, 6, true, true, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stunsrv_site site = four;
		const struct stunsrv_arrival a = {
		    .from = &from_v4, .rules = rows[i].rules | STUNSRV_ALWAYS};
		char attr[] = CHANGE_NONE;
		uint8_t q[128], p[STUNSRV_ANSWER_MAX];
		struct stunsrv_reply r;
		struct stun_attr attr_found;
		size_t n;

		site.here = rows[i].here;
		site.partner = rows[i].partner;
		attr[7] = (char)rows[i].change;
		n = build(q, sizeof(q), attr, 8, false);
		n = serve(&site, &a, q, n, &r, p);
		ok(r.verdict ==
			(rows[i].good ? STUNSRV_SUCCESS
				      : STUNSRV_UNKNOWN_ATTRIBUTE),
		    rows[i].what);
		ok(r.partner == rows[i].by_partner, "by whom");
		ok(r.role == (rows[i].good ? rows[i].change >> 1 : 0),
		    "from where");
		ok(find(p, n, STUN_OTHER_ADDRESS, &attr_found) == rows[i].other,
		    "OTHER-ADDRESS only if all four are there");
		ok(rows[i].good ||
			(find(p, n, STUN_UNKNOWN_ATTRIBUTES, &attr_found) &&
			    attr_found.len == 2 &&
			    memcmp(attr_found.value, "\0\3", 2) == 0),
		    "420 names CHANGE-REQUEST");
	}
}

/* The partner's half: from the reply alone, the answer that it sends. */
static void
test_partner_writes(void)
{
	struct stunsrv_site ours = four, theirs = four;
	struct stunsrv_arrival a = {
	    .from = &from_v4, .rules = STUNSRV_ALWAYS | STUNSRV_PARTNER_UP};
	uint8_t q[128], p[STUNSRV_ANSWER_MAX];
	struct stunsrv_reply r;
	size_t n = build(q, sizeof(q), S(CHANGE_BOTH), true);

	ours.here = theirs.here = 3;
	ours.partner = theirs.partner = 12;
	for (unsigned i = 0; i < STUNSRV_ROLES; i++)
		theirs.at[i] = ours.at[i ^ STUNSRV_OTHER_IP];
	stunsrv_judge(&ours, &a, q, n, &r);
	ok(r.partner && r.role == STUNSRV_A2P2, "the partner is to send");
	memset(q, 0xff, sizeof(q));
	a.role ^= STUNSRV_OTHER_IP;
	r.role ^= STUNSRV_OTHER_IP;
	n = stunsrv_write(&theirs, &a, &r, p);
	eq_int((int64_t)n, 76, "a full answer with FINGERPRINT");
	ok(r.role == STUNSRV_A1P2 &&
		holds(p, n, STUN_RESPONSE_ORIGIN, &ours.at[STUNSRV_A2P2]) &&
		holds(p, n, STUN_OTHER_ADDRESS, &ours.at[STUNSRV_A2P2]) &&
		holds(p, n, STUN_XOR_MAPPED_ADDRESS, &from_v4),
	    "with the addresses that we would have written");
}

/* ---- rows of attributes ---- */

struct row {
	const char *what;
	const char *attrs;
	size_t n;
	enum stunsrv_verdict verdict;
	size_t len; /* of the answer to IPv4, with all four sockets */
	bool gated;
	uint16_t port; /* 0: the source's */
};

#define OK   STUNSRV_SUCCESS
#define E400 STUNSRV_BAD_REQUEST
#define E420 STUNSRV_UNKNOWN_ATTRIBUTE

static const struct row rows_udp[] = {
    /* As far as the answer is no longer than the request. */
    {"bare", S(""), OK, 32, false, 0},
    {"40 bytes", S(FILLER16), OK, 32, false, 0},
    {"60 bytes: OTHER-ADDRESS and RESPONSE-ORIGIN", S(FILLER16 FILLER16), OK,
	56, false, 0},
    {"80 bytes: all", S(FILLER48), OK, 68, false, 0},
    {"tailnode, 92 bytes", S(TAILNODE FILLER48), OK, 32, false, 0},
    /* RESPONSE-PORT, RFC 5780 section 7.5. */
    {"RESPONSE-PORT of 2 bytes", S(PORT2), OK, 32, true, 12345},
    {"RESPONSE-PORT of 4 bytes", S(PORT4), OK, 32, true, 12345},
    {"the first RESPONSE-PORT", S(PORT2 "\0\x27\0\2\x30\x3a\0\0"), OK, 32, true,
	12345},
    {"RESPONSE-PORT 1024", S("\0\x27\0\2\4\0\0\0"), OK, 32, true, 1024},
    {"RESPONSE-PORT 1023", S("\0\x27\0\2\3\xff\0\0"), E400, 28, true, 0},
    {"RESPONSE-PORT 0", S("\0\x27\0\2\0\0\0\0"), E400, 28, true, 0},
    {"RESPONSE-PORT of no byte", S("\0\x27\0\0"), E400, 28, true, 0},
    {"RESPONSE-PORT of 1 byte", S("\0\x27\0\1\x30\0\0\0"), E400, 28, true, 0},
    {"RESPONSE-PORT of 3 bytes", S("\0\x27\0\3\x30\x39\0\0"), E400, 28, true,
	0},
    {"RESPONSE-PORT of 8 bytes", S("\0\x27\0\x08\x30\x39\0\0\0\0\0\0"), E400,
	28, true, 0},
    {"RESPONSE-PORT and CHANGE-REQUEST", S(PORT2 CHANGE_BOTH), OK, 32, true,
	12345},
    {"an error goes to the source", S(PORT2 UNKNOWN), E420, 36, true, 0},
    /* PADDING, section 7.6. */
    {"empty PADDING", S(PADDING("\0")), OK, 32, true, 0},
    {"PADDING of 4 bytes", S(PADDING("\4") "abcd"), OK, 32, true, 0},
    {"PADDING of 16 bytes", S(PADDING("\x10") "0123456789abcdef"), OK, 40, true,
	0},
    {"PADDING of 13 bytes", S(PADDING("\x0d") "0123456789abc\0\0\0"), OK, 40,
	true, 0},
    {"PADDING and more", S(PADDING("\4") "abcd" FILLER48), OK, 88, true, 0},
    {"PADDING and RESPONSE-PORT", S(PADDING("\4") "abcd" PORT2), E400, 28, true,
	0},
    {"PADDING and CHANGE-REQUEST",
	S(PADDING("\x10") "0123456789abcdef" CHANGE_BOTH), OK, 48, true, 0},
    {"tailnode never", S(TAILNODE PADDING("\x10") "0123456789abcdef"), OK, 32,
	true, 0},
    /* The cookie. */
    {"ask for a cookie in 32 bytes", S(ASK), OK, 32, false, 0},
    {"ask for a cookie in 48", S(ASK FILLER16), OK, 44, false, 0},
    {"a cookie of 4 bytes", S("\xca\x50\0\4\0\0\0\0"), E400, 28, false, 0},
    {"an empty cookie", S("\xca\x50\0\0"), E400, 28, false, 0},
    /* An answer after some time. */
    {"DELAY without a cookie", S(DELAY), E400, 28, true, 0},
    {"DELAY with a wrong one", S(WRONG DELAY), E400, 28, true, 0},
    {"DELAY that asks for one", S(ASK DELAY), E400, 28, true, 0},
    {"DELAY of 2 bytes", S("\xca\x51\0\2\0\1\0\0"), E400, 28, true, 0},
    /* No answer. */
    {"SILENT", S(SILENT), STUNSRV_SILENCE_ASKED, 0, false, 0},
    {"SILENT with a value", S("\xca\x52\0\4\0\0\0\0"), E400, 28, false, 0},
    {"SILENT and unknown", S(SILENT UNKNOWN), STUNSRV_SILENCE_ASKED, 0, false,
	0},
    {"SILENT and what is wrong", S(SILENT "\0\x27\0\0"), STUNSRV_SILENCE_ASKED,
	0, false, 0},
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows_udp) / sizeof(rows_udp[0]); i++) {
		const struct row *row = &rows_udp[i];
		const struct stunsrv_arrival a = {
		    .from = &from_v4, .now = noon};
		uint8_t q[256], p[STUNSRV_ANSWER_MAX];
		size_t n = build(q, sizeof(q), row->attrs, row->n, false);
		struct stunsrv_reply r;

		n = serve(&four, &a, q, n, &r, p);
		eq_int(r.verdict, row->verdict, row->what);
		eq_int((int64_t)n, (int64_t)row->len, "its length");
		if (row->len > 0)
			ok(r.gated == row->gated &&
				r.port ==
				    (row->port ? row->port : from_v4.port),
			    "whether it is gated, and to which port");
	}
}

/* Without `extras` RFC 5780 is unknown, and campusnet's are skipped. */
static void
test_plain_server(void)
{
	static const struct {
		const char *what;
		const char *attrs;
		size_t n;
		enum stunsrv_verdict verdict;
	} rows[] = {
	    {"PADDING", S(PADDING("\4") "abcd"), E420},
	    {"RESPONSE-PORT", S(PORT2), E420},
	    {"CHANGE-REQUEST", S(CHANGE_BOTH), E420},
	    {"a cookie is skipped", S(ASK FILLER16), OK},
	    {"a delay is skipped", S(DELAY), OK},
	    {"a wish for silence is skipped", S(SILENT), OK},
	    {"room is not filled", S(FILLER48), OK},
	};
	struct stunsrv_site site = single;

	site.extras = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct stunsrv_arrival a = {
		    .from = &from_v4, .rules = STUNSRV_ALWAYS};
		uint8_t q[256], p[STUNSRV_ANSWER_MAX];
		size_t n = build(q, sizeof(q), rows[i].attrs, rows[i].n, false);
		struct stunsrv_reply r;

		n = serve(&site, &a, q, n, &r, p);
		ok(r.verdict == rows[i].verdict && (r.verdict != OK || n == 32),
		    rows[i].what);
	}
}

/* ---- cookies ---- */

/* Asks from `from` at a time; puts the cookie into a request attribute. */
static void
get_cookie(const struct stun_addr *from, struct mono now, char *attr)
{
	const struct stunsrv_arrival a = {.from = from, .now = now};
	uint8_t q[256], p[STUNSRV_ANSWER_MAX];
	size_t n = build(q, sizeof(q), S(ASK FILLER48), true);
	struct stunsrv_reply r;
	struct stun_attr found;

	n = serve(&four, &a, q, n, &r, p);
	memcpy(attr, ASK, 12);
	if (ok(find(p, n, STUN_CN_COOKIE, &found) && found.len == 8,
		"an answer with a cookie"))
		memcpy(attr + 4, found.value, 8);
}

static bool
cookie_counts(const struct stun_addr *from, struct mono now, const char *attr)
{
	const struct stunsrv_arrival a = {.from = from, .now = now};
	char attrs[12 + 8];
	uint8_t q[256], p[STUNSRV_ANSWER_MAX];
	struct stunsrv_reply r;
	size_t n;

	memcpy(attrs, attr, 12);
	memcpy(attrs + 12, CHANGE_BOTH, 8);
	n = build(q, sizeof(q), attrs, sizeof(attrs), false);
	n = serve(&four, &a, q, n, &r, p);
	return r.verdict == OK && n >= 32 && r.gated && r.cookie;
}

static void
test_cookie(void)
{
	const struct stun_addr port = {V4(192, 0, 2, 1), 999};
	const struct stun_addr other = {V4(192, 0, 2, 2), 32853};
	const struct mono later = mono_add_us(noon, STUNSRV_COOKIE_SLOT_US);
	char attr[12];

	get_cookie(&from_v4, noon, attr);
	ok(cookie_counts(&from_v4, noon, attr), "it counts");
	ok(cookie_counts(&port, noon, attr), "from another port of the source");
	ok(!cookie_counts(&other, noon, attr), "not from another source");
	ok(!cookie_counts(&from_v6, noon, attr), "nor of another family");
	ok(cookie_counts(&from_v4, later, attr), "30 s later");
	ok(!cookie_counts(
	       &from_v4, mono_add_us(later, STUNSRV_COOKIE_SLOT_US), attr),
	    "not 60 s later");
	attr[11] ^= 1;
	ok(!cookie_counts(&from_v4, noon, attr), "not with a bit turned");
	ok(!cookie_counts(&from_v4, noon, ASK), "not as zeros");
	get_cookie(&from_v6, noon, attr);
	ok(cookie_counts(&from_v6, noon, attr), "IPv6, too");
	get_cookie(&from_v4, (struct mono){1}, attr);
	ok(cookie_counts(&from_v4, (struct mono){1}, attr),
	    "on the machine's first second");
}

static void
test_delay(void)
{
	static const struct {
		const char *what;
		const char *attrs;
		size_t n;
		enum stunsrv_verdict verdict;
		uint32_t delay_ms;
		enum stunsrv_role role;
		uint16_t port;
	} rows[] = {
	    {"1 s", S(DELAY), OK, 1000, STUNSRV_A1P1, 32853},
	    {"nothing", S("\xca\x51\0\4\0\0\0\0"), OK, 0, STUNSRV_A1P1, 32853},
	    {"10 minutes", S("\xca\x51\0\4\0\x09\x27\xc0"), OK, 600000,
		STUNSRV_A1P1, 32853},
	    {"a moment more", S("\xca\x51\0\4\0\x09\x27\xc1"), E400, 0,
		STUNSRV_A1P1, 32853},
	    {"the first", S(DELAY "\xca\x51\0\4\0\0\0\1"), OK, 1000,
		STUNSRV_A1P1, 32853},
	    {"from elsewhere", S(DELAY CHANGE_BOTH), OK, 1000, STUNSRV_A2P2,
		32853},
	    {"to elsewhere", S(DELAY PORT2), OK, 1000, STUNSRV_A1P1, 12345},
	    {"with PADDING", S(DELAY PADDING("\0")), E400, 0, STUNSRV_A1P1,
		32853},
	    {"of something unknown: at once", S(DELAY UNKNOWN), E420, 0,
		STUNSRV_A1P1, 32853},
	};
	char cookie[12];

	get_cookie(&from_v4, noon, cookie);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct stunsrv_arrival a = {
		    .from = &from_v4, .now = noon};
		char attrs[64];
		uint8_t q[128], p[STUNSRV_ANSWER_MAX];
		struct stunsrv_reply r;
		size_t n;

		memcpy(attrs, cookie, 12);
		memcpy(attrs + 12, rows[i].attrs, rows[i].n);
		n = build(q, sizeof(q), attrs, 12 + rows[i].n, false);
		ok(serve(&four, &a, q, n, &r, p) > 0 &&
			r.verdict == rows[i].verdict &&
			r.delay_ms == rows[i].delay_ms &&
			r.role == rows[i].role && r.port == rows[i].port,
		    rows[i].what);
		stunsrv_refuse(&a, &r, STUNSRV_BUSY);
		n = stunsrv_write(&four, &a, &r, p);
		ok(n == 28 && r.delay_ms == 0 && r.role == STUNSRV_A1P1 &&
			r.port == from_v4.port && p[26] == 5 && p[27] == 0,
		    "refused: 500, at once");
	}
}

/* ---- other transports ---- */

static void
test_streams(void)
{
	static const struct {
		const char *what;
		const char *attrs;
		size_t n;
		enum stunsrv_verdict verdict;
		size_t len;
		uint32_t delay_ms;
	} rows[] = {
	    {"bare: all, since no source is forged", S(""), OK, 68, 0},
	    {"tailnode", S(TAILNODE), OK, 32, 0},
	    {"CHANGE-REQUEST of nothing", S(CHANGE_NONE), OK, 68, 0},
	    {"CHANGE-REQUEST", S(CHANGE_PORT), E400, 28, 0},
	    {"RESPONSE-PORT", S(PORT2), E400, 28, 0},
	    {"PADDING", S(PADDING("\0")), E400, 28, 0},
	    {"DELAY, without a cookie", S(DELAY), OK, 68, 1000},
	    {"DELAY with CHANGE-REQUEST", S(DELAY CHANGE_PORT), E400, 28, 0},
	    {"DELAY of 2 bytes", S("\xca\x51\0\2\0\1\0\0"), E400, 28, 0},
	    {"SILENT", S(SILENT), STUNSRV_SILENCE_ASKED, 0, 0},
	    {"unknown", S(UNKNOWN), E420, 36, 0},
	};

	for (int t = STUNSRV_TCP; t <= STUNSRV_TLS; t++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			const struct stunsrv_arrival a = {
			    .transport = (enum stunsrv_transport)t,
			    .role = STUNSRV_A2P1,
			    .rules = STUNSRV_STRICT,
			    .from = &from_v4};
			uint8_t q[128], p[STUNSRV_ANSWER_MAX];
			size_t n = build(
			    q, sizeof(q), rows[i].attrs, rows[i].n, false);
			struct stunsrv_reply r;

			n = serve(&four, &a, q, n, &r, p);
			ok(r.verdict == rows[i].verdict && n == rows[i].len,
			    rows[i].what);
			ok(n == 0 ||
				(r.role == STUNSRV_A2P1 &&
				    r.delay_ms == rows[i].delay_ms &&
				    (n < 68 || !r.gated) &&
				    r.port == from_v4.port),
			    "on the same connection");
		}
}

/* ---- what clients are told of a wildcard socket ---- */

static void
test_wildcard(void)
{
	static const struct stunsrv_alias alias = {
	    V4(10, 0, 0, 2), V4(203, 0, 113, 7)};
	static const struct stun_addr near = {V4(10, 0, 0, 2), 3478};
	static const struct stun_addr told = {V4(203, 0, 113, 7), 3478};
	static const struct stun_addr plain = {V4(10, 0, 0, 3), 3478};
	struct stunsrv_site site = {.at = {{.port = 3478}},
	    .wildcard = true,
	    .here = 1,
	    .extras = true,
	    .aliases = &alias,
	    .n_aliases = 1};
	struct stunsrv_arrival a = {
	    .from = &from_v4, .to = &near, .rules = STUNSRV_ALWAYS};
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t n = build(q, sizeof(q), S(""), false), len;
	struct stunsrv_reply r;

	len = serve(&site, &a, q, n, &r, p);
	ok(holds(p, len, STUN_RESPONSE_ORIGIN, &told), "what is advertised");
	a.to = &plain;
	len = serve(&site, &a, q, n, &r, p);
	ok(holds(p, len, STUN_RESPONSE_ORIGIN, &plain), "where it came to");
}

/* ---- RFC 3489 ---- */

/* The id's 16 bytes come back; the list of an odd number is made even. */
static void
test_classic(void)
{
	static const char request[] = "\0\1\0\x08"
				      "wxyz"
				      "abcdefghijkl" CHANGE_NONE;
	static const char odd[] = "\0\1\0\x18"
				  "wxyz"
				  "abcdefghijkl"
				  "\x7a\xbc\0\4abcd"
				  "\x7a\xbd\0\4abcd"
				  "\0\2\0\4abcd";
	const struct stunsrv_arrival a = {
	    .from = &from_v4, .rules = STUNSRV_CLASSIC_TOO};
	struct stunsrv_arrival strict = a;
	uint8_t p[STUNSRV_ANSWER_MAX];
	struct stunsrv_reply r;
	struct stun_attr attr;
	size_t n = serve(&four, &a, S(request), &r, p);

	eq_int((int64_t)n, 56, "three addresses");
	eq_mem(p, "\1\1\0\x24wxyzabcdefghijkl", 20, "the 16 bytes of its id");
	ok(holds(p, n, STUN_MAPPED_ADDRESS, &from_v4) &&
		holds(p, n, STUN_SOURCE_ADDRESS, &four.at[0]) &&
		holds(p, n, STUN_CHANGED_ADDRESS, &four.at[3]) &&
		!find(p, n, STUN_XOR_MAPPED_ADDRESS, &attr),
	    "under the old names");
	n = serve(&single, &a, S(request), &r, p);
	ok(n == 44 && !find(p, n, STUN_CHANGED_ADDRESS, &attr),
	    "one address: no CHANGED-ADDRESS");
	n = serve(&four, &a, S(odd), &r, p);
	ok(n == 40 && find(p, n, STUN_UNKNOWN_ATTRIBUTES, &attr) &&
		attr.len == 8 &&
		memcmp(attr.value, "\x7a\xbc\x7a\xbd\0\2\0\2", 8) == 0,
	    "RFC 3489 11.2.10: the last is repeated");
	strict.rules |= STUNSRV_STRICT;
	ok(serve(&four, &strict, S(request), &r, p) == 0 &&
		r.verdict == STUNSRV_TOO_SHORT,
	    "strict: silence");
}

int
main(void)
{
	test_change();
	test_fewer_sockets();
	test_partner_writes();
	test_rows();
	test_plain_server();
	test_cookie();
	test_delay();
	test_streams();
	test_wildcard();
	test_classic();
	return tap_done();
}

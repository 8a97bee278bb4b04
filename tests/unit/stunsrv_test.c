/* stunsrv: each rule of the server is a row of a table. */
#include "tests/unit/stun_vectors.h"
#include "tests/unit/stunsrv_help.h"

/* A site with one address and nothing of RFC 5780, as relayd has. */
static const struct stunsrv_site plain = {
    .here = STUNSRV_ROLE_BIT(STUNSRV_A1P1)};

static enum stunsrv_verdict
answer(const void *p, size_t n, const struct stun_addr *from,
    uint8_t out[static STUNSRV_ANSWER_MAX], size_t *len)
{
	const struct stunsrv_arrival a = {.from = from};
	struct stunsrv_reply r;

	*len = serve(&plain, &a, p, n, &r, out);
	return r.verdict;
}

/* The value of the first attribute of a type in an answer, or NULL. */
static const uint8_t *
value(const uint8_t *p, size_t n, uint16_t type, uint16_t *len)
{
	struct stun_attr a;

	if (!find(p, n, type, &a))
		return NULL;
	*len = a.len;
	return a.value;
}

/* ---- answers, by the request's attributes ---- */

#define SOFTWARE     "\x80\x22\0\4test"
#define TAILNODE     "\x80\x22\0\10tailnode"
#define UNKNOWN	     "\x7a\xbc\0\4abcd"
#define UNKNOWN2     "\x7a\xbd\0\4abcd"
#define CHANGE_NONE  "\0\3\0\4\0\0\0\0"
#define CHANGE_IP    "\0\3\0\4\0\0\0\4"
#define CHANGE_PORT  "\0\3\0\4\0\0\0\2"
#define CHANGE_BOTH  "\0\3\0\4\0\0\0\6"
#define CHANGE_OTHER "\0\3\0\4\xff\xff\xff\xf9"
#define INTEGRITY      \
	"\0\x08\0\x14" \
	"01234567890123456789"
#define USERNAME "\0\6\0\4user"
#define FILLER32       \
	"\xc0\0\0\x20" \
	"0123456789abcdef0123456789abcdef"

struct answer_row {
	const char *what;
	const char *attrs;
	size_t n;
	bool fingerprint;
	enum stunsrv_verdict verdict;
	size_t len; /* of the answer to an IPv4 source */
	const char *unknown; /* UNKNOWN-ATTRIBUTES of the answer, or NULL */
	uint16_t unknown_len;
};

#define OK   STUNSRV_SUCCESS
#define E420 STUNSRV_UNKNOWN_ATTRIBUTE
#define E400 STUNSRV_BAD_REQUEST

static const struct answer_row answer_rows[] = {
    {"bare", S(""), false, OK, 32, NULL, 0},
    {"a Tailscale client", S(TAILNODE), true, OK, 32, NULL, 0},
    {"tailnode with more", S(TAILNODE FILLER32), true, OK, 32, NULL, 0},
    {"tailnode without FINGERPRINT", S(TAILNODE), false, OK, 32, NULL, 0},
    {"the first SOFTWARE counts", S(SOFTWARE TAILNODE), true, OK, 40, NULL, 0},
    {"SOFTWARE", S(SOFTWARE), false, OK, 32, NULL, 0},
    {"empty SOFTWARE", S("\x80\x22\0\0"), false, OK, 32, NULL, 0},
    /* FINGERPRINT: only where asked, and no longer than the request. */
    {"FINGERPRINT, 28 bytes", S(""), true, OK, 32, NULL, 0},
    {"FINGERPRINT, 36 bytes", S(SOFTWARE), true, OK, 32, NULL, 0},
    {"FINGERPRINT, 40 bytes", S("\x80\x22\0\10testtest"), true, OK, 40, NULL,
	0},
    {"FINGERPRINT, 64 bytes", S(FILLER32), true, OK, 40, NULL, 0},
    {"no FINGERPRINT, 56 bytes", S(FILLER32), false, OK, 32, NULL, 0},
    /* Comprehension. */
    {"unknown optional", S("\xff\xff\0\4abcd"), false, OK, 32, NULL, 0},
    {"unknown required", S(UNKNOWN), false, E420, 36, S("\x7a\xbc")},
    {"unknown required, FINGERPRINT", S(UNKNOWN), true, E420, 36,
	S("\x7a\xbc")},
    {"unknown required, long, FINGERPRINT", S(UNKNOWN FILLER32), true, E420, 44,
	S("\x7a\xbc")},
    {"two unknown", S(UNKNOWN UNKNOWN2), false, E420, 36,
	S("\x7a\xbc\x7a\xbd")},
    {"one unknown twice", S(UNKNOWN UNKNOWN), false, E420, 36, S("\x7a\xbc")},
    {"no room for a list", S("\x7a\xbc\0\0"), false, E420, 28, NULL, 0},
    {"three in little room", S("\x7a\xbc\0\0\x7a\xbd\0\0\x7a\xbe\0\0"), false,
	E420, 40, S("\x7a\xbc\x7a\xbd\x7a\xbe")},
    {"ICE's PRIORITY", S("\0\x24\0\4\0\0\0\0"), false, E420, 36, S("\0\x24")},
    {"TURN's LIFETIME", S("\0\x0d\0\4\0\0\0\0"), false, E420, 36, S("\0\x0d")},
    /* RFC 5780 without a second address, and RFC 3489's reflector. */
    {"CHANGE-REQUEST of nothing", S(CHANGE_NONE), false, OK, 32, NULL, 0},
    {"CHANGE-REQUEST ip", S(CHANGE_IP), false, E420, 36, S("\0\3")},
    {"CHANGE-REQUEST port", S(CHANGE_PORT), false, E420, 36, S("\0\3")},
    {"CHANGE-REQUEST both", S(CHANGE_BOTH), false, E420, 36, S("\0\3")},
    {"CHANGE-REQUEST other bits", S(CHANGE_OTHER), false, OK, 32, NULL, 0},
    {"the first CHANGE-REQUEST counts", S(CHANGE_NONE CHANGE_BOTH), false, OK,
	32, NULL, 0},
    {"the first CHANGE-REQUEST counts, flags", S(CHANGE_IP CHANGE_NONE), false,
	E420, 36, S("\0\3")},
    {"CHANGE-REQUEST, empty", S("\0\3\0\0"), false, E400, 28, NULL, 0},
    {"CHANGE-REQUEST, 8 bytes", S("\0\3\0\10\0\0\0\0\0\0\0\0"), false, E400, 28,
	NULL, 0},
    {"CHANGE-REQUEST, 8 bytes, and unknown",
	S("\0\3\0\10\0\0\0\0\0\0\0\0" UNKNOWN), false, E400, 28, NULL, 0},
    {"400 with FINGERPRINT", S("\0\3\0\10\0\0\0\0\0\0\0\0"), true, E400, 36,
	NULL, 0},
    {"empty PADDING", S("\0\x26\0\0"), false, E420, 28, NULL, 0},
    {"PADDING", S("\0\x26\0\4\0\0\0\0"), false, E420, 36, S("\0\x26")},
    {"RESPONSE-PORT, 2 bytes", S("\0\x27\0\2\x30\x39\0\0"), false, E420, 36,
	S("\0\x27")},
    {"RESPONSE-PORT, 4 bytes", S("\0\x27\0\4\x30\x39\0\0"), false, E420, 36,
	S("\0\x27")},
    {"RESPONSE-ADDRESS", S("\0\2\0\10\0\1\x30\x39\x0a\0\0\1"), false, E420, 36,
	S("\0\2")},
    /* Known, without meaning here. */
    {"USERNAME", S(USERNAME), false, OK, 32, NULL, 0},
    {"MAPPED-ADDRESS", S("\0\1\0\10\0\1\x30\x39\x0a\0\0\1"), false, OK, 32,
	NULL, 0},
    {"XOR-MAPPED-ADDRESS", S("\0\x20\0\10\0\1\x30\x39\x0a\0\0\1"), false, OK,
	32, NULL, 0},
    {"credentials", S(USERNAME INTEGRITY), false, OK, 32, NULL, 0},
    {"unknown before MESSAGE-INTEGRITY", S(UNKNOWN INTEGRITY), false, E420, 36,
	S("\x7a\xbc")},
    {"unknown after MESSAGE-INTEGRITY", S(INTEGRITY UNKNOWN), false, OK, 32,
	NULL, 0},
    {"CHANGE-REQUEST after MESSAGE-INTEGRITY", S(INTEGRITY CHANGE_IP), false,
	OK, 32, NULL, 0},
    {"FINGERPRINT after MESSAGE-INTEGRITY", S(INTEGRITY), true, OK, 40, NULL,
	0},
    {"unknown after MESSAGE-INTEGRITY-SHA256",
	S("\0\x1c\0\x10"
	  "0123456789abcdef" UNKNOWN),
	false, OK, 32, NULL, 0},
};

static bool
list_right(const struct answer_row *row, const uint8_t *p, size_t n)
{
	uint16_t len = 0;
	const uint8_t *list = value(p, n, STUN_UNKNOWN_ATTRIBUTES, &len);

	if (row->unknown == NULL)
		return list == NULL;
	return list != NULL && len == row->unknown_len &&
	    memcmp(list, row->unknown, len) == 0;
}

static void
test_answers(void)
{
	for (size_t i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]);
	     i++) {
		const struct answer_row *row = &answer_rows[i];
		uint8_t q[128], p[STUNSRV_ANSWER_MAX];
		size_t n =
		    build(q, sizeof(q), row->attrs, row->n, row->fingerprint);
		size_t len;
		enum stunsrv_verdict v = answer(q, n, &from_v4, p, &len);

		eq_int(v, row->verdict, row->what);
		eq_int((int64_t)len, (int64_t)row->len, "its length");
		ok(list_right(row, p, len), "its list of unknown types");
	}
}

/* What the client's half of the codec makes of the answers. */
static void
test_understood(void)
{
	uint8_t q[128], p[STUNSRV_ANSWER_MAX];
	struct stun_addr got = {0};
	unsigned code = 0;
	size_t n, len;

	n = build(q, sizeof(q), S(FILLER32), true);
	answer(q, n, &from_v4, p, &len);
	ok(stun_response_parse(p, len, &txid, &got, &code) ==
		    STUN_RESPONSE_MAPPED &&
		memcmp(got.ip, from_v4.ip, 16) == 0 && got.port == 32853,
	    "an answer with FINGERPRINT gives the address");
	n = build(q, sizeof(q), S(UNKNOWN), false);
	answer(q, n, &from_v4, p, &len);
	ok(stun_response_parse(p, len, &txid, &got, &code) ==
		    STUN_RESPONSE_ERROR &&
		code == 420,
	    "420 is 420");
	n = build(q, sizeof(q), S("\0\3\0\0"), false);
	answer(q, n, &from_v4, p, &len);
	ok(stun_response_parse(p, len, &txid, &got, &code) ==
		    STUN_RESPONSE_ERROR &&
		code == 400,
	    "400 is 400");
}

/* ---- exact bytes ---- */

static void
test_bytes(void)
{
	static const uint8_t want_v4[32] = {0x01, 0x01, 0x00, 0x0c, 0x21, 0x12,
	    0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x00, 0x20, 0x00,
	    0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
	static const uint8_t want_v6[44] = {0x01, 0x01, 0x00, 0x18, 0x21, 0x12,
	    0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x00, 0x20, 0x00,
	    0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 1, 2, 3, 4, 5,
	    6, 7, 8, 9, 10, 11, 13};
	static const uint8_t want_420[36] = {0x01, 0x11, 0x00, 0x10, 0x21, 0x12,
	    0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x00, 0x09, 0x00,
	    0x04, 0x00, 0x00, 0x04, 0x14, 0x00, 0x0a, 0x00, 0x02, 0x7a, 0xbc,
	    0x00, 0x00};
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t n, len;

	stun_tailnode_request(q, &txid);
	answer(q, STUN_TAILNODE_LEN, &from_v4, p, &len);
	eq_int((int64_t)len, 32, "a Tailscale client gets 32 bytes on IPv4");
	eq_mem(p, want_v4, sizeof(want_v4), "these");
	answer(q, STUN_TAILNODE_LEN, &from_v6, p, &len);
	eq_int((int64_t)len, 44, "and 44 on IPv6");
	eq_mem(p, want_v6, sizeof(want_v6), "these");
	n = build(q, sizeof(q), S(UNKNOWN), false);
	answer(q, n, &from_v4, p, &len);
	eq_mem(p, want_420, sizeof(want_420), "420, every byte");
}

/* ---- silence ---- */

static void
test_silence(void)
{
	static const struct {
		const char *what;
		const char *p;
		size_t n;
		enum stunsrv_verdict verdict;
	} rows[] = {
#define ID     "abcdefghijkl"
#define COOKIE "\x21\x12\xa4\x42"
	    {"nothing", S(""), STUNSRV_NOT_STUN},
	    {"text", S("GET / HTTP/1.1\r\n\r\n"), STUNSRV_NOT_STUN},
	    {"19 bytes", S("\0\1\0\0" COOKIE "abcdefghijk"), STUNSRV_NOT_STUN},
	    {"trailing garbage", S("\0\1\0\0" COOKIE ID "abcd"),
		STUNSRV_NOT_STUN},
	    {"length too long", S("\0\1\0\4" COOKIE ID), STUNSRV_NOT_STUN},
	    {"length not of 4", S("\0\1\0\2" COOKIE ID "ab"), STUNSRV_NOT_STUN},
	    {"DTLS", S("\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\7" ID),
		STUNSRV_NOT_STUN},
	    {"a TURN channel", S("\x40\1\0\0" COOKIE ID), STUNSRV_NOT_STUN},
	    {"classic",
		S("\0\1\0\0"
		  "wxyz" ID),
		STUNSRV_CLASSIC},
	    {"classic CHANGE-REQUEST",
		S("\0\1\0\10"
		  "wxyz" ID CHANGE_BOTH),
		STUNSRV_CLASSIC},
	    {"indication", S("\0\x11\0\0" COOKIE ID), STUNSRV_NOT_REQUEST},
	    {"indication, unknown required", S("\0\x11\0\10" COOKIE ID UNKNOWN),
		STUNSRV_NOT_REQUEST},
	    {"success", S("\1\1\0\0" COOKIE ID), STUNSRV_NOT_REQUEST},
	    {"error", S("\1\x11\0\0" COOKIE ID), STUNSRV_NOT_REQUEST},
	    {"Allocate", S("\0\3\0\0" COOKIE ID), STUNSRV_NOT_BINDING},
	    {"shared secret", S("\0\2\0\0" COOKIE ID), STUNSRV_NOT_BINDING},
	    {"attribute runs out", S("\0\1\0\4" COOKIE ID "\x80\x22\0\1"),
		STUNSRV_MALFORMED},
	    {"required attribute runs out",
		S("\0\1\0\4" COOKIE ID "\x7a\xbc\0\1"), STUNSRV_MALFORMED},
	    {"wrong FINGERPRINT",
		S("\0\1\0\10" COOKIE ID "\x80\x28\0\4\0\0\0\0"),
		STUNSRV_BAD_FINGERPRINT},
	    {"empty FINGERPRINT", S("\0\1\0\4" COOKIE ID "\x80\x28\0\0"),
		STUNSRV_BAD_FINGERPRINT},
	    {"all-zero id", S("\0\1\0\0" COOKIE "\0\0\0\0\0\0\0\0\0\0\0\0"),
		STUNSRV_ZERO_TXID},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t p[STUNSRV_ANSWER_MAX];
		size_t len = 1;
		enum stunsrv_verdict v =
		    answer(rows[i].p, rows[i].n, &from_v4, p, &len);

		ok(v == rows[i].verdict && len == 0, rows[i].what);
	}
}

/* A right FINGERPRINT counts only as the last attribute. */
static void
test_fingerprint_place(void)
{
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t len;
	struct wr w;

	wr_init(&w, q, sizeof(q));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	stun_end_fingerprint(&w);
	stun_put(&w, STUN_SOFTWARE, "test", 4);
	stun_end(&w);
	ok(answer(q, wr_len(&w), &from_v4, p, &len) ==
		    STUNSRV_BAD_FINGERPRINT &&
		len == 0,
	    "FINGERPRINT and then another is silent");
	wr_init(&w, q, sizeof(q));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	stun_end_fingerprint(&w);
	stun_end_fingerprint(&w);
	ok(answer(q, wr_len(&w), &from_v4, p, &len) ==
		    STUNSRV_BAD_FINGERPRINT &&
		len == 0,
	    "two of them are silent");
}

static void
test_sources(void)
{
	static const struct {
		const char *what;
		struct stun_addr from;
		bool good;
	} rows[] = {
	    {"port 0", {V4(192, 0, 2, 1), 0}, false},
	    {"port 1", {V4(192, 0, 2, 1), 1}, true},
	    {"0.0.0.0", {V4(0, 0, 0, 0), 9}, false},
	    {"0.1.2.3", {V4(0, 1, 2, 3), 9}, false},
	    {"127.0.0.1", {V4(127, 0, 0, 1), 9}, true},
	    {"10.0.0.1", {V4(10, 0, 0, 1), 9}, true},
	    {"223.255.255.255", {V4(223, 255, 255, 255), 9}, true},
	    {"224.0.0.1", {V4(224, 0, 0, 1), 9}, false},
	    {"255.255.255.255", {V4(255, 255, 255, 255), 9}, false},
	    {"::", {{0}, 9}, false},
	    {"::1", {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 9},
		true},
	    {"fe80::1", {{0xfe, 0x80, [15] = 1}, 9}, true},
	    {"ff02::1", {{0xff, 0x02, [15] = 1}, 9}, false},
	};
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t n = build(q, sizeof(q), S(""), false), len;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum stunsrv_verdict v = answer(q, n, &rows[i].from, p, &len);

		ok(v == (rows[i].good ? STUNSRV_SUCCESS : STUNSRV_BAD_SOURCE) &&
			(len > 0) == rows[i].good,
		    rows[i].what);
	}
}

static void
test_own_sources(void)
{
	static const struct stun_addr own[] = {
	    {V4(198, 51, 100, 10), 3478}, {{0}, 3500}};
	static const struct stun_addr to = {V4(10, 0, 0, 2), 3500};
	static const struct {
		const char *what;
		struct stun_addr from;
		bool wildcard, good;
	} rows[] = {
	    {"our own socket", {V4(198, 51, 100, 10), 3478}, false, false},
	    {"another port of ours", {V4(198, 51, 100, 10), 3479}, false, true},
	    {"our port elsewhere", {V4(198, 51, 100, 12), 3478}, false, true},
	    {"where it came to", {V4(10, 0, 0, 2), 3500}, true, false},
	    {"its other port", {V4(10, 0, 0, 2), 3501}, true, true},
	    {"its port elsewhere", {V4(10, 0, 0, 3), 3500}, true, true},
	};
	struct stunsrv_site site = single;
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t n = build(q, sizeof(q), S(""), false);
	struct stunsrv_reply r;

	site.own = own;
	site.n_own = 2;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct stunsrv_arrival a = {
		    .from = &rows[i].from, .to = &to};

		site.wildcard = rows[i].wildcard;
		ok((serve(&site, &a, q, n, &r, p) > 0) == rows[i].good &&
			r.verdict ==
			    (rows[i].good ? STUNSRV_SUCCESS
					  : STUNSRV_BAD_SOURCE),
		    rows[i].what);
	}
}

static void
test_denied(void)
{
	static const struct stun_addr inside = {V4(192, 0, 2, 200), 5};
	static const struct stun_addr outside = {V4(192, 0, 3, 0), 5};
	struct stunsrv_site site = single;
	struct stunsrv_arrival a = {.from = &inside};
	struct ip_set denied = {0};
	struct ip_prefix prefix;
	uint8_t q[64], p[STUNSRV_ANSWER_MAX];
	size_t n = build(q, sizeof(q), S(""), false);
	struct stunsrv_reply r;

	ip_prefix_parse(&prefix, S("192.0.2.0/24"));
	ip_set_add_prefix(&denied, &prefix);
	ip_set_close(&denied);
	site.denied = &denied;
	ok(serve(&site, &a, q, n, &r, p) == 0 &&
		r.verdict == STUNSRV_DENIED_SOURCE,
	    "a denied source gets silence");
	a.from = &outside;
	ok(serve(&site, &a, q, n, &r, p) == 32, "its neighbour does not");
	ip_set_clear(&denied);
}

/* ---- limits ---- */

/* 400 different unknown types: sixteen are listed, in the longest answer. */
static void
test_attribute_bomb(void)
{
	uint8_t q[2048], p[STUNSRV_ANSWER_MAX];
	uint16_t list_len = 0;
	size_t len;
	struct wr w;

	wr_init(&w, q, sizeof(q));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	for (uint16_t i = 0; i < 400; i++)
		stun_put(&w, (uint16_t)(0x7000 + i), NULL, 0);
	stun_end_fingerprint(&w);
	eq_int(answer(q, wr_len(&w), &from_v4, p, &len),
	    STUNSRV_UNKNOWN_ATTRIBUTE, "400 unknown types");
	eq_int((int64_t)len, 20 + 8 + 4 + 32 + 8, "the longest error");
	ok(value(p, len, STUN_UNKNOWN_ATTRIBUTES, &list_len) != NULL &&
		list_len == 2 * STUNSRV_UNKNOWN_MAX,
	    "sixteen of them");
}

/* No list of empty unknown attributes makes an error worth forging. */
static void
test_error_size(void)
{
	uint8_t q[256], p[STUNSRV_ANSWER_MAX];
	bool small = true;
	size_t len;
	struct wr w;

	for (uint16_t n = 1; n <= 40; n++)
		for (int fingerprint = 0; fingerprint < 2; fingerprint++) {
			wr_init(&w, q, sizeof(q));
			stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
			for (uint16_t i = 0; i < n; i++)
				stun_put(&w, (uint16_t)(0x7000 + i), NULL, 0);
			if (fingerprint)
				stun_end_fingerprint(&w);
			else
				stun_end(&w);
			answer(q, wr_len(&w), &from_v6, p, &len);
			small &= len > 0 && len * 10 <= wr_len(&w) * 13;
		}
	ok(small, "errors are at most 1.3 times the request");
}

static void
test_samples(void)
{
	uint8_t p[STUNSRV_ANSWER_MAX];
	size_t len;

	eq_int(
	    answer(rfc5769_request, sizeof(rfc5769_request), &from_v4, p, &len),
	    STUNSRV_UNKNOWN_ATTRIBUTE, "RFC 5769 2.1 asks for ICE");
	eq_int((int64_t)len, 44, "420 with PRIORITY and FINGERPRINT");
	eq_int(answer(rfc5769_ipv4, sizeof(rfc5769_ipv4), &from_v4, p, &len),
	    STUNSRV_NOT_REQUEST, "RFC 5769 2.2 is a response");
	eq_int(answer(rfc5769_long_term, sizeof(rfc5769_long_term), &from_v4, p,
		   &len),
	    STUNSRV_SUCCESS, "RFC 5769 2.4: credentials are not needed");
}

static void
test_names(void)
{
	bool all = true;

	for (int i = 0; i < STUNSRV_VERDICTS; i++)
		all &= stunsrv_verdict_name((enum stunsrv_verdict)i) != NULL;
	ok(all, "each verdict has a name");
	eq_str(stunsrv_verdict_name(STUNSRV_BAD_FINGERPRINT), "bad_fingerprint",
	    "its own");
}

int
main(void)
{
	test_answers();
	test_understood();
	test_bytes();
	test_silence();
	test_fingerprint_place();
	test_sources();
	test_own_sources();
	test_denied();
	test_attribute_bomb();
	test_error_size();
	test_samples();
	test_names();
	return tap_done();
}

/* stun: the codec, against the messages of RFC 5769 and damaged ones. */
#include "pure/stun.h"
#include "tests/tap.h"
#include "tests/unit/stun_vectors.h"

static const struct stun_txid sample_txid = {
    {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}};

static const struct stun_addr sample_v4 = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, 32853};

static const struct stun_addr sample_v6 = {
    {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22, 0x33,
	0x44, 0x55, 0x66, 0x77},
    32853};

static bool
find(const struct stun_msg *m, uint16_t type, struct stun_attr *a)
{
	struct rd r = stun_attrs(m);

	while (stun_attr_next(m, &r, a))
		if (a->type == type)
			return true;
	return false;
}

static bool
same_addr(const struct stun_addr *a, const struct stun_addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 && a->port == b->port;
}

/* ---- the sample messages ---- */

static void
test_sample_headers(void)
{
	static const struct {
		const char *what;
		const uint8_t *p;
		size_t n;
		enum stun_class class;
		size_t attributes;
		bool fingerprint;
	} rows[] = {
	    {"RFC 5769 2.1", rfc5769_request, sizeof(rfc5769_request),
		STUN_REQUEST, 6, true},
	    {"RFC 5769 2.2", rfc5769_ipv4, sizeof(rfc5769_ipv4), STUN_SUCCESS,
		4, true},
	    {"RFC 5769 2.3", rfc5769_ipv6, sizeof(rfc5769_ipv6), STUN_SUCCESS,
		4, true},
	    {"RFC 5769 2.4", rfc5769_long_term, sizeof(rfc5769_long_term),
		STUN_REQUEST, 4, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stun_msg m = {0};
		struct stun_attr a;
		struct rd r;
		size_t n = 0;

		eq_int(stun_parse(&m, rows[i].p, rows[i].n), STUN_FORM_OK,
		    rows[i].what);
		eq_int(m.class, rows[i].class, "its class");
		eq_int(m.method, STUN_BINDING, "its method");
		for (r = stun_attrs(&m); stun_attr_next(&m, &r, &a);)
			n++;
		ok(n == rows[i].attributes && !r.bad, "its attributes");
		eq_int(find(&m, STUN_FINGERPRINT, &a) &&
			stun_fingerprint_ok(&m, &a),
		    rows[i].fingerprint, "its FINGERPRINT");
	}
}

static void
test_sample_values(void)
{
	struct stun_addr addr = {0};
	struct stun_msg m = {0};
	struct stun_attr a = {0};

	stun_parse(&m, rfc5769_request, sizeof(rfc5769_request));
	eq_mem(m.txid.b, sample_txid.b, STUN_TXID_LEN, "transaction id");
	ok(find(&m, STUN_USERNAME, &a) && a.len == 9 && a.offset == 60,
	    "a padded attribute has its own length");
	eq_mem(a.value, "evtj:h6vY", 9, "USERNAME");
	ok(find(&m, STUN_SOFTWARE, &a) && a.len == 16 && !a.last, "SOFTWARE");
	ok(find(&m, STUN_FINGERPRINT, &a) && a.last, "the last is the last");
	stun_parse(&m, rfc5769_ipv4, sizeof(rfc5769_ipv4));
	ok(find(&m, STUN_XOR_MAPPED_ADDRESS, &a) &&
		stun_read_xor_address(&a, &m.txid, &addr) &&
		same_addr(&addr, &sample_v4) && stun_addr_is_v4(&addr),
	    "192.0.2.1:32853");
	stun_parse(&m, rfc5769_ipv6, sizeof(rfc5769_ipv6));
	ok(find(&m, STUN_XOR_MAPPED_ADDRESS, &a) &&
		stun_read_xor_address(&a, &m.txid, &addr) &&
		same_addr(&addr, &sample_v6) && !stun_addr_is_v4(&addr),
	    "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

/* Each single bit that is flipped before FINGERPRINT is noticed. */
static void
test_fingerprint_flips(void)
{
	uint8_t copy[sizeof(rfc5769_ipv4)];
	size_t noticed = 0, bits = (sizeof(copy) - 8) * 8;
	struct stun_attr a;
	struct stun_msg m;

	for (size_t i = 0; i < bits; i++) {
		memcpy(copy, rfc5769_ipv4, sizeof(copy));
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
		if (stun_parse(&m, copy, sizeof(copy)) != STUN_FORM_OK ||
		    !find(&m, STUN_FINGERPRINT, &a) ||
		    !stun_fingerprint_ok(&m, &a))
			noticed++;
	}
	eq_int((int64_t)noticed, (int64_t)bits, "every flipped bit is seen");
}

/* ---- the header ---- */

static void
test_forms(void)
{
	static const struct {
		const char *what;
		uint8_t b[28];
		size_t n;
		enum stun_form form;
	} rows[] = {
	    {"nothing", {0}, 0, STUN_FORM_OTHER},
	    {"19 bytes", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 19,
		STUN_FORM_OTHER},
	    {"20 bytes", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20,
		STUN_FORM_OK},
	    {"a byte too many", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 21,
		STUN_FORM_OTHER},
	    {"longer than it says", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 24,
		STUN_FORM_OTHER},
	    {"shorter than it says", {0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}, 24,
		STUN_FORM_OTHER},
	    {"length not a multiple of 4", {0, 1, 0, 2, 0x21, 0x12, 0xa4, 0x42},
		22, STUN_FORM_OTHER},
	    {"first bit set", {0x80, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20,
		STUN_FORM_OTHER},
	    {"second bit set", {0x40, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20,
		STUN_FORM_OTHER},
	    {"no cookie", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43}, 20,
		STUN_FORM_CLASSIC},
	    {"no cookie, wrong length", {0, 1, 0, 4}, 20, STUN_FORM_OTHER},
	};
	struct stun_msg m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		eq_int(stun_parse(&m, rows[i].b, rows[i].n), rows[i].form,
		    rows[i].what);
}

/* RFC 8489 figure 3: M11..M7 C1 M6..M4 C0 M3..M0. */
static void
test_types(void)
{
	static const struct {
		uint16_t type, method;
		enum stun_class class;
	} rows[] = {
	    {0x0001, 0x001, STUN_REQUEST},
	    {0x0011, 0x001, STUN_INDICATION},
	    {0x0101, 0x001, STUN_SUCCESS},
	    {0x0111, 0x001, STUN_ERROR},
	    {0x0003, 0x003, STUN_REQUEST},
	    {0x0113, 0x003, STUN_ERROR},
	    {0x3eef, 0xfff, STUN_REQUEST},
	    {0x3fff, 0xfff, STUN_ERROR},
	    {0x2000, 0x800, STUN_REQUEST},
	    {0x00a0, 0x050, STUN_REQUEST},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t b[20];
		struct stun_msg m = {0};
		struct rd r;
		struct wr w;

		wr_init(&w, b, sizeof(b));
		stun_begin(&w, rows[i].class, rows[i].method, &sample_txid);
		stun_end(&w);
		rd_init(&r, b, 2);
		eq_int(rd_u16(&r), rows[i].type, "type as written");
		ok(stun_parse(&m, b, sizeof(b)) == STUN_FORM_OK &&
			m.class == rows[i].class && m.method == rows[i].method,
		    "and as read");
	}
}

/* ---- attributes ---- */

/* A message of these bytes after a request's header. */
static void
message(struct stun_msg *m, uint8_t *b, const void *attrs, size_t n)
{
	struct wr w;

	wr_init(&w, b, STUN_HEADER_LEN + n);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &sample_txid);
	wr_bytes(&w, attrs, n);
	stun_end(&w);
	stun_parse(m, b, STUN_HEADER_LEN + n);
}

static void
test_walk(void)
{
	static const struct {
		const char *what;
		const char *attrs;
		size_t n, seen;
		bool bad;
	} rows[] = {
	    {"none", "", 0, 0, false},
	    {"an empty one", "\x80\x22\0\0", 4, 1, false},
	    {"one byte and padding", "\x80\x22\0\1x\0\0\0", 8, 1, false},
	    {"padding of any value", "\x80\x22\0\1x\xff\xff\xff", 8, 1, false},
	    {"two", "\x80\x22\0\0\x80\x22\0\4abcd", 12, 2, false},
	    {"longer by one", "\x80\x22\0\5abcd", 8, 0, true},
	    {"longer by all", "\x80\x22\xff\xff", 4, 0, true},
	    {"the second runs out", "\x80\x22\0\0\x80\x22\0\1", 8, 1, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t b[64];
		struct stun_attr a;
		struct stun_msg m;
		struct rd r;
		size_t seen = 0;

		message(&m, b, rows[i].attrs, rows[i].n);
		for (r = stun_attrs(&m); stun_attr_next(&m, &r, &a);)
			seen++;
		ok(seen == rows[i].seen && r.bad == rows[i].bad, rows[i].what);
	}
}

static void
test_address_values(void)
{
	static const struct {
		const char *what;
		const char *value;
		uint16_t len;
		bool good;
	} rows[] = {
	    {"IPv4", "\0\1\x80\x55\xc0\0\2\1", 8, true},
	    {"first byte is not looked at", "\xff\1\x80\x55\xc0\0\2\1", 8,
		true},
	    {"IPv4 too short", "\0\1\x80\x55\xc0\0\2", 7, false},
	    {"IPv4 too long", "\0\1\x80\x55\xc0\0\2\1\0\0\0\0", 12, false},
	    {"IPv6 too short", "\0\2\x80\x55\xc0\0\2\1", 8, false},
	    {"no family 0", "\0\0\x80\x55\xc0\0\2\1", 8, false},
	    {"no family 3", "\0\3\x80\x55\xc0\0\2\1", 8, false},
	    {"empty", "", 0, false},
	    {"only a family", "\0\1", 2, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stun_attr a = {.type = STUN_MAPPED_ADDRESS,
		    .len = rows[i].len,
		    .value = (const uint8_t *)rows[i].value};
		struct stun_addr addr;
		bool good = stun_read_address(&a, &addr);

		ok(good == rows[i].good &&
			(!good || same_addr(&addr, &sample_v4)),
		    rows[i].what);
	}
}

/* ---- writing ---- */

static void
test_write_samples(void)
{
	uint8_t b[64];
	struct wr w;

	/* RFC 5769's answers without their other attributes. */
	wr_init(&w, b, sizeof(b));
	stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &sample_txid);
	stun_put_xor_address(&w, &sample_v4, &sample_txid);
	eq_int((int64_t)stun_end(&w), 32, "an IPv4 answer has 32 bytes");
	eq_mem(b, "\1\1\0\x0c\x21\x12\xa4\x42", 8, "its header");
	eq_mem(b + 20, rfc5769_ipv4 + 36, 12, "its address as in RFC 5769");
	wr_init(&w, b, sizeof(b));
	stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &sample_txid);
	stun_put_xor_address(&w, &sample_v6, &sample_txid);
	eq_int((int64_t)stun_end(&w), 44, "an IPv6 answer has 44 bytes");
	eq_mem(b + 20, rfc5769_ipv6 + 36, 24, "its address as in RFC 5769");
}

/* RFC 5769's request, written by this codec: every byte the same. */
static void
test_write_request(void)
{
	uint8_t b[sizeof(rfc5769_request)];
	const uint8_t *p = rfc5769_request;
	struct wr w;

	wr_init(&w, b, sizeof(b));
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &sample_txid);
	stun_put(&w, STUN_SOFTWARE, "STUN test client", 16);
	stun_put(&w, 0x0024, "\x6e\x00\x01\xff", 4);
	stun_put(&w, 0x8029, p + 52, 8);
	/* RFC 5769 pads with blanks, RFC 8489 with zeros. */
	wr_bytes(&w,
	    "\0\6\0\x09"
	    "evtj:h6vY   ",
	    16);
	stun_put(&w, STUN_MESSAGE_INTEGRITY, p + 80, 20);
	eq_int((int64_t)stun_end_fingerprint(&w), sizeof(b), "length");
	eq_mem(b, p, sizeof(b), "RFC 5769 2.1 byte for byte");
}

static void
test_write_others(void)
{
	static const uint16_t types[3] = {0x7abc, 0x0003, 0x0027};
	uint8_t b[64];
	struct wr w;

	wr_init(&w, b, sizeof(b));
	stun_put(&w, STUN_SOFTWARE, "abc", 3);
	eq_mem(b, "\x80\x22\0\3abc\0", 8, "padded with zeros");
	wr_init(&w, b, sizeof(b));
	stun_put_error(&w, 420);
	eq_mem(b, "\0\x09\0\4\0\0\4\x14", 8, "ERROR-CODE 420");
	wr_init(&w, b, sizeof(b));
	stun_put_unknown(&w, types, 3);
	eq_mem(b, "\0\x0a\0\6\x7a\xbc\0\3\0\x27\0\0", 12,
	    "UNKNOWN-ATTRIBUTES of three, padded");
	eq_int((int64_t)wr_len(&w), 12, "its length");
	wr_init(&w, b, 31);
	stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &sample_txid);
	stun_put_xor_address(&w, &sample_v4, &sample_txid);
	eq_int((int64_t)stun_end(&w), 0, "no answer in 31 bytes");
	wr_init(&w, b, 27);
	stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &sample_txid);
	eq_int(
	    (int64_t)stun_end_fingerprint(&w), 0, "no FINGERPRINT in 7 bytes");
}

static void
test_tailnode(void)
{
	/* As Tailscale's net/stun writes it for this transaction id. */
	static const uint8_t want[36] = {0x00, 0x01, 0x00, 0x14, 0x21, 0x12,
	    0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa,
	    0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x08, 't', 'a', 'i', 'l', 'n',
	    'o', 'd', 'e', 0x80, 0x28, 0x00, 0x04};
	uint8_t b[STUN_TAILNODE_LEN];
	struct stun_msg m = {0};
	struct stun_attr a = {0};

	stun_tailnode_request(b, &sample_txid);
	eq_mem(b, want, sizeof(want), "a Tailscale client's request");
	ok(stun_parse(&m, b, sizeof(b)) == STUN_FORM_OK &&
		find(&m, STUN_FINGERPRINT, &a) && stun_fingerprint_ok(&m, &a),
	    "its FINGERPRINT");
	ok(find(&m, STUN_SOFTWARE, &a) && stun_is_tailnode(&a), "its name");
	a.len = 7;
	ok(!stun_is_tailnode(&a), "a part of the name is not the name");
}

/* ---- the client's side ---- */

#define XOR4   "\0\x20\0\x08\0\1\xa1\x47\xe1\x12\xa6\x43"
#define OLD4   "\x80\x20\0\x08\0\1\xa1\x47\xe1\x12\xa6\x43"
#define PLAIN4 "\0\1\0\x08\0\1\x80\x55\xc0\0\2\1"
#define WRONG4 "\0\1\0\x08\0\1\0\1\x0a\0\0\1"

static const struct {
	const char *what;
	enum stun_class class;
	const char *attrs;
	size_t n;
	enum stun_response res;
	unsigned code;
} responses[] = {
    {"XOR-MAPPED-ADDRESS", STUN_SUCCESS, XOR4, 12, STUN_RESPONSE_MAPPED, 0},
    {"its old number", STUN_SUCCESS, OLD4, 12, STUN_RESPONSE_MAPPED, 0},
    {"MAPPED-ADDRESS", STUN_SUCCESS, PLAIN4, 12, STUN_RESPONSE_MAPPED, 0},
    {"XOR is better than plain", STUN_SUCCESS, WRONG4 XOR4, 24,
	STUN_RESPONSE_MAPPED, 0},
    {"XOR is better than plain, before it", STUN_SUCCESS, XOR4 WRONG4, 24,
	STUN_RESPONSE_MAPPED, 0},
    {"the old number is better than plain", STUN_SUCCESS, WRONG4 OLD4, 24,
	STUN_RESPONSE_MAPPED, 0},
    {"the first counts", STUN_SUCCESS, PLAIN4 WRONG4, 24, STUN_RESPONSE_MAPPED,
	0},
    {"an optional one is skipped", STUN_SUCCESS, "\xff\xff\0\0" XOR4, 16,
	STUN_RESPONSE_MAPPED, 0},
    {"a server's PADDING is known", STUN_SUCCESS, "\0\x26\0\0" XOR4, 16,
	STUN_RESPONSE_MAPPED, 0},
    {"an unknown one that is required", STUN_SUCCESS, "\x7a\xbc\0\0" XOR4, 16,
	STUN_RESPONSE_FAILED, 0},
    {"no address", STUN_SUCCESS, "", 0, STUN_RESPONSE_FAILED, 0},
    {"a cut address", STUN_SUCCESS, "\0\x20\0\4\0\1\xa1\x47", 8,
	STUN_RESPONSE_FAILED, 0},
    {"420", STUN_ERROR, "\0\x09\0\4\0\0\4\x14", 8, STUN_RESPONSE_ERROR, 420},
    {"400 with a phrase", STUN_ERROR, "\0\x09\0\6\0\0\4\0no\0\0", 12,
	STUN_RESPONSE_ERROR, 400},
    {"the first code counts", STUN_ERROR,
	"\0\x09\0\4\0\0\4\x14\0\x09\0\4\0\0\5\0", 16, STUN_RESPONSE_ERROR, 420},
    {"an error without a code", STUN_ERROR, "", 0, STUN_RESPONSE_FAILED, 0},
    {"an error with a cut code", STUN_ERROR, "\0\x09\0\2\0\0\0\0", 8,
	STUN_RESPONSE_FAILED, 0},
    {"attributes run out", STUN_SUCCESS, XOR4 "\x80\x22\0\x09", 16,
	STUN_RESPONSE_FOREIGN, 0},
    {"a wrong FINGERPRINT", STUN_SUCCESS, XOR4 "\x80\x28\0\4\0\0\0\0", 20,
	STUN_RESPONSE_FOREIGN, 0},
    {"a request", STUN_REQUEST, XOR4, 12, STUN_RESPONSE_FOREIGN, 0},
    {"an indication", STUN_INDICATION, XOR4, 12, STUN_RESPONSE_FOREIGN, 0},
};

static void
test_responses(void)
{
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		uint8_t b[64];
		struct stun_addr got = {0};
		unsigned code = 0;
		enum stun_response res;
		struct wr w;

		wr_init(&w, b, sizeof(b));
		stun_begin(&w, responses[i].class, STUN_BINDING, &sample_txid);
		wr_bytes(&w, responses[i].attrs, responses[i].n);
		res = stun_response_parse(
		    b, stun_end(&w), &sample_txid, &got, &code);
		ok(res == responses[i].res && code == responses[i].code &&
			(res != STUN_RESPONSE_MAPPED ||
			    same_addr(&got, &sample_v4)),
		    responses[i].what);
	}
}

static void
test_sample_responses(void)
{
	struct stun_txid other = sample_txid;
	struct stun_addr got = {0};
	unsigned code = 0;

	ok(stun_response_parse(rfc5769_ipv4, sizeof(rfc5769_ipv4), &sample_txid,
	       &got, &code) == STUN_RESPONSE_MAPPED &&
		same_addr(&got, &sample_v4),
	    "RFC 5769 2.2 is understood");
	ok(stun_response_parse(rfc5769_ipv6, sizeof(rfc5769_ipv6), &sample_txid,
	       &got, &code) == STUN_RESPONSE_MAPPED &&
		same_addr(&got, &sample_v6),
	    "RFC 5769 2.3 is understood");
	other.b[11] ^= 1;
	eq_int(stun_response_parse(
		   rfc5769_ipv4, sizeof(rfc5769_ipv4), &other, &got, &code),
	    STUN_RESPONSE_FOREIGN, "another transaction's answer is not ours");
}

int
main(void)
{
	test_sample_headers();
	test_sample_values();
	test_fingerprint_flips();
	test_forms();
	test_types();
	test_walk();
	test_address_values();
	test_write_samples();
	test_write_request();
	test_write_others();
	test_tailnode();
	test_responses();
	test_sample_responses();
	return tap_done();
}

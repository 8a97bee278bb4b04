/*
 * stunsrv_ratio: never an amplifier. Every combination of attributes, sizes
 * from 20 to 1500 bytes, both families; and all types that are no request.
 */
#include "tests/unit/stunsrv_help.h"

static const struct {
	const char *attr;
	size_t n;
} parts[] = {
    {S("\x80\x22\0\x08tailnode")}, {S("\0\3\0\4\0\0\0\4")}, /* CHANGE-REQUEST */
    {S("\0\x26\0\0")}, /* PADDING, empty */
    {S("\0\x27\0\2\x30\x39\0\0")}, /* RESPONSE-PORT */
    {S("\xca\x50\0\x08\0\0\0\0\0\0\0\0")}, /* cookie */
    {S("\xca\x51\0\4\0\0\0\1")}, /* delay */
    {S("\x7a\xbc\0\0")}, /* unknown, without a value */
    {S("\x7a\xbd\0\4abcd")}, /* unknown */
    {S("\0\2\0\x08\0\1\x30\x39\x0a\0\0\1")}, /* RESPONSE-ADDRESS */
    {S("\0\6\0\4user")}, /* known, and without a meaning */
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* The worst that was seen, in thousandths. */
struct worst {
	size_t bare_v4, bare_v6, short_v4, short_v6, long_v4, long_v6, error;
	size_t answers, errors, too_long;
};

static void
note(size_t *worst, size_t answer, size_t request)
{
	if (answer * 1000 / request > *worst)
		*worst = answer * 1000 / request;
}

static void
ask(struct worst *w, const struct stunsrv_site *site, unsigned rules,
    const struct stun_addr *from, const uint8_t *q, size_t n)
{
	const struct stunsrv_arrival a = {
	    .from = from, .rules = rules, .now = {1}};
	static uint8_t p[STUNSRV_ANSWER_MAX];
	bool v4 = from == &from_v4;
	size_t least = v4 ? 32 : 44, len;
	struct stunsrv_reply r;

	len = serve(site, &a, q, n, &r, p);
	if (len == 0)
		return;
	w->answers++;
	if (r.verdict != STUNSRV_SUCCESS) {
		w->errors++;
		note(&w->error, len, n);
		return;
	}
	w->too_long += len > n && len > least;
	if (n == STUN_HEADER_LEN)
		note(v4 ? &w->bare_v4 : &w->bare_v6, len, n);
	else if (n < least)
		note(v4 ? &w->short_v4 : &w->short_v6, len, n);
	else
		note(v4 ? &w->long_v4 : &w->long_v6, len, n);
}

/* A request of the parts whose bits are set, filled up to n bytes by SOFTWARE
 * or PADDING if there is room, with FINGERPRINT or not. 0: does not fit. */
static size_t
make(uint8_t *q, size_t size, unsigned set, uint16_t filler, bool fingerprint)
{
	struct wr w;
	size_t tail = fingerprint ? STUN_FINGERPRINT_LEN : 0;

	wr_init(&w, q, size);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	for (size_t i = 0; i < PARTS; i++)
		if ((set >> i & 1) != 0)
			wr_bytes(&w, parts[i].attr, parts[i].n);
	if (w.bad || wr_len(&w) + tail > size)
		return 0;
	if (wr_len(&w) + tail + 4 <= size) {
		size_t n = size - wr_len(&w) - tail - 4;

		wr_u16(&w, filler);
		wr_u16(&w, (uint16_t)n);
		wr_zero(&w, n);
	}
	return fingerprint ? stun_end_fingerprint(&w) : stun_end(&w);
}

/* All sets of parts at each of these sizes. */
static struct worst
ask_all(const struct stunsrv_site *site, unsigned rules)
{
	static const uint16_t sizes[] = {20, 24, 28, 32, 36, 40, 44, 48, 52, 56,
	    60, 64, 68, 72, 76, 80, 84, 92, 100, 116, 132, 148, 256, 576, 1024,
	    1472, 1500};
	static const uint16_t fillers[] = {
	    STUN_SOFTWARE, STUN_PADDING, 0x7abe, 0xc000};
	static uint8_t q[1500];
	struct worst w = {0};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned set = 0; set < 1u << PARTS; set++)
			for (unsigned kind = 0; kind < 8; kind++) {
				size_t n = make(q, sizes[i], set,
				    fillers[kind / 2], kind % 2 != 0);

				if (n == 0)
					continue;
				ask(&w, site, rules, &from_v4, q, n);
				ask(&w, site, rules, &from_v6, q, n);
			}
	return w;
}

/* Default policy. The shortest answer may be longer than its request; nothing
 * else, and errors by less than a third. */
static void
test_default(const struct stunsrv_site *site)
{
	struct worst w = ask_all(site, 0);

	printf("# %zu answers, %zu of them errors; worst, in thousandths: bare "
	       "%zu and %zu, shorter than the shortest answer %zu and %zu, "
	       "others %zu and %zu, errors %zu\n",
	    w.answers, w.errors, w.bare_v4, w.bare_v6, w.short_v4, w.short_v6,
	    w.long_v4, w.long_v6, w.error);
	ok(w.answers > 50000 && w.errors > 10000, "many were answered");
	eq_int((int64_t)w.bare_v4, 1600, "bare, IPv4: 32 for 20");
	eq_int((int64_t)w.bare_v6, 2200, "bare, IPv6: 44 for 20");
	ok(w.short_v4 < 1600 && w.short_v6 < 2200, "less for somewhat longer");
	ok(w.long_v4 <= 1000 && w.long_v6 <= 1000, "all others at most 1.0");
	ok(w.error <= 1300, "errors at most 1.3");
	eq_int((int64_t)w.too_long, 0,
	    "nothing but the shortest answer is longer than its request");
}

static void
test_strict(void)
{
	struct worst w = ask_all(
	    &four, STUNSRV_STRICT | STUNSRV_ALWAYS | STUNSRV_CLASSIC_TOO);

	ok(w.answers > 50000, "many were answered");
	eq_int((int64_t)(w.bare_v4 + w.bare_v6), 0, "bare: silence");
	/* Tailscale's: 20 bytes and "tailnode" are 32. */
	ok(w.short_v4 == 0 && w.short_v6 == 44000 / 32,
	    "but for Tailscale's over IPv6 no answer is longer");
	ok(w.long_v4 <= 1000 && w.long_v6 <= 1000 && w.error <= 1000,
	    "at most 1.0, errors, too");
}

/* -behaviour always is a trade: 68 for 20, 116 over IPv6 and, where it is
 * asked for, FINGERPRINT. PADDING is held to the request all the same. */
static void
test_always(void)
{
	static const uint16_t with_padding = 1u << 2;
	struct worst w = ask_all(&four, STUNSRV_ALWAYS);
	static uint8_t q[1500];
	struct worst padded = {0};

	eq_int((int64_t)w.bare_v4, 3400, "always, bare, IPv4: 68 for 20");
	eq_int((int64_t)w.error, 1285, "errors as ever: at worst 36 for 28");
	for (uint16_t n = 20; n <= 1500; n += 4)
		if (make(q, n, with_padding, STUN_SOFTWARE, false) != 0)
			ask(&padded, &four, STUNSRV_ALWAYS, &from_v4, q, n);
	ok(padded.answers > 300 && padded.too_long == 0,
	    "with PADDING never longer than the request");
}

/* Whatever is not a Binding request gets nothing, of any size. */
static void
test_not_requests(void)
{
	static uint8_t q[1500], p[STUNSRV_ANSWER_MAX];
	const struct stunsrv_arrival a = {
	    .from = &from_v4, .rules = STUNSRV_ALWAYS | STUNSRV_CLASSIC_TOO};
	struct stunsrv_reply r;
	size_t answered = 0, n;

	for (unsigned type = 0; type < 0x4000; type++) {
		n = make(
		    q, 20 + type % 300 * 4, type & 0x3ff, STUN_SOFTWARE, false);
		if (n == 0)
			n = make(q, 20, 0, STUN_SOFTWARE, false);
		q[0] = (uint8_t)(type >> 8);
		q[1] = (uint8_t)type;
		if (serve(&four, &a, q, n, &r, p) > 0)
			answered += type != 1;
	}
	eq_int((int64_t)answered, 0, "of 16384 types one is answered");
}

int
main(void)
{
	test_default(&four);
	test_default(&single);
	test_strict();
	test_always();
	test_not_requests();
	return tap_done();
}

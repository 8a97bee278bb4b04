/* text: strings grow to their limit and no further; what is escaped is read
 * back by jansson, and by the eye; times are those of the C library. */
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "pure/text.h"
#include "tests/tap.h"

static void
test_build(void)
{
	static const uint8_t bytes[] = {0x00, 0x7f, 0xab, 0xff};
	struct text t = TEXT_EMPTY;
	char *taken;

	text_add(&t, "nothing", 0);
	text_str(&t, "");
	text_fmt(&t, "%s", "");
	text_hex(&t, bytes, 0);
	ok(t.p == NULL && t.len == 0, "nothing is added");
	text_add(&t, "one two", 3);
	text_char(&t, ' ');
	text_str(&t, "zwei");
	text_fmt(&t, " %d%c", 3, '!');
	eq_str(t.p, "one zwei 3!", "one after the other");
	eq_int((int64_t)t.len, 11, "its length");
	text_reset(&t);
	eq_str(t.p, "", "empty again");
	text_u64(&t, 0);
	text_char(&t, ',');
	text_u64(&t, 10);
	text_char(&t, ',');
	text_u64(&t, UINT64_MAX);
	eq_str(t.p, "0,10,18446744073709551615", "numbers");
	text_reset(&t);
	text_hex(&t, bytes, sizeof(bytes));
	eq_str(t.p, "007fabff", "hex digits");
	taken = text_take(&t);
	eq_str(taken, "007fabff", "taken");
	ok(t.p == NULL && t.len == 0 && t.cap == 0, "and empty");
	free(taken);
	taken = text_take(&t);
	eq_str(taken, "", "nothing is taken as \"\"");
	free(taken);
	text_clear(&t);
}

/* Byte by byte and in pieces of each size, past several growths. */
static void
test_growth(void)
{
	struct text t = TEXT_EMPTY, u = TEXT_EMPTY;
	char piece[600];
	bool same = true;

	memset(piece, 'x', sizeof(piece));
	for (size_t n = 0; n < sizeof(piece); n++) {
		text_add(&t, piece, n);
		text_fmt(&u, "%.*s", (int)n, piece);
		text_char(&t, '.');
		text_fmt(&u, ".");
		same &= t.len == u.len && strcmp(t.p, u.p) == 0 &&
		    strlen(t.p) == t.len && t.cap > t.len;
	}
	ok(same && !t.bad && !u.bad, "600 pieces");
	eq_int((int64_t)t.len, 599 * 600 / 2 + 600, "all of it");
	text_clear(&t);
	text_clear(&u);
	ok(t.p == NULL && t.len == 0 && t.cap == 0, "cleared");
}

static void
test_limit(void)
{
	struct text t = {.max = 100};
	char piece[101];

	memset(piece, 'x', sizeof(piece));
	text_add(&t, piece, 99);
	text_char(&t, 'y');
	ok(!t.bad && t.len == 100, "100 bytes of 100");
	ok(t.cap <= 101, "no more memory than that");
	text_char(&t, 'z');
	ok(t.bad && t.len == 100 && t.p[99] == 'y', "not one more");
	text_str(&t, "");
	text_fmt(&t, "%d", 1);
	text_hex(&t, (const uint8_t *)piece, 1);
	text_json(&t, "a");
	ok(t.bad && t.len == 100, "bad stays bad");
	ok(text_take(&t) == NULL, "and is not taken");
	ok(!t.bad && t.p == NULL && t.max == 100, "but it can begin again");
	text_add(&t, piece, 101);
	ok(t.bad && t.p == NULL, "101 bytes at once");
	text_reset(&t);
	ok(!t.bad, "reset");
	text_fmt(&t, "%.60s", piece);
	text_fmt(&t, "%.60s", piece);
	ok(t.bad && t.len == 60, "formatted: all of it or nothing");
	text_reset(&t);
	text_hex(&t, (const uint8_t *)piece, 51);
	ok(t.bad, "hex digits count double");
	text_reset(&t);
	text_add(&t, piece, SIZE_MAX);
	ok(t.bad, "a length that cannot be");
	text_reset(&t);
	text_hex(&t, (const uint8_t *)piece, SIZE_MAX / 2 + 1);
	ok(t.bad, "nor its double");
	text_clear(&t);
}

struct json_row {
	const char *s;
	size_t n;
	const char *want;
	const char *what;
};

#define S(x)  (x), sizeof(x) - 1
#define NO    "\xef\xbf\xbd"
#define EACH1 "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
#define EACH2 "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

static const struct json_row json_rows[] = {
    {S(""), "\"\"", "empty"},
    {S("rob-1.example"), "\"rob-1.example\"", "plain"},
    {S("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"", "quotes, backslash"},
    {S("\"\""), "\"\\\"\\\"\"", "nothing but quotes"},
    {S(EACH1),
	"\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n"
	"\\u000b\\f\\r\\u000e\\u000f\"",
	"control characters"},
    {S(EACH2),
	"\"\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018"
	"\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\"",
	"the rest of them"},
    {S("a\0b"), "\"a\\u0000b\"", "zero"},
    {S("\x7f"), "\"\x7f\"", "DEL may stand"},
    /* The first and the last character of each length. */
    {S("\xc2\x80 \xdf\xbf"), "\"\xc2\x80 \xdf\xbf\"", "two bytes"},
    {S("\xe0\xa0\x80 \xef\xbf\xbf"), "\"\xe0\xa0\x80 \xef\xbf\xbf\"",
	"three bytes"},
    {S("\xed\x9f\xbf\xee\x80\x80"), "\"\xed\x9f\xbf\xee\x80\x80\"",
	"beside the surrogates"},
    {S("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"),
	"\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"", "four bytes"},
    {S("B\xc3\xa4r \xf0\x9f\xa4\x96"), "\"B\xc3\xa4r \xf0\x9f\xa4\x96\"",
	"mixed"},
    /* What is no UTF-8. */
    {S("a\x80z"), "\"a" NO "z\"", "a byte that goes on with nothing"},
    {S("\xc3"), "\"" NO "\"", "cut"},
    {S("\xe2\x82"), "\"" NO NO "\"", "cut after two of three"},
    {S("\xf0\x9f\xa4"), "\"" NO NO NO "\"", "cut after three of four"},
    {S("\xc3("), "\"" NO "(\"", "not gone on with"},
    {S("\xf0\x9f\xa4("), "\"" NO NO NO "(\"", "not ended"},
    {S("\xc3\""), "\"" NO "\\\"\"", "a quote inside"},
    {S("\xc0\xaf"), "\"" NO NO "\"", "two bytes where one would do"},
    {S("\xc1\xbf"), "\"" NO NO "\"", "the same"},
    {S("\xe0\x9f\xbf"), "\"" NO NO NO "\"", "three where two would do"},
    {S("\xf0\x8f\xbf\xbf"), "\"" NO NO NO NO "\"", "four for three"},
    {S("\xed\xa0\x80"), "\"" NO NO NO "\"", "the first surrogate"},
    {S("\xed\xbf\xbf"), "\"" NO NO NO "\"", "the last"},
    {S("\xf4\x90\x80\x80"), "\"" NO NO NO NO "\"", "above U+10FFFF"},
    {S("\xf5\x80\x80\x80"), "\"" NO NO NO NO "\"", "far above"},
    {S("\xfe\xff"), "\"" NO NO "\"", "no bytes of UTF-8"},
};

static void
test_json(void)
{
	struct text t = TEXT_EMPTY;

	for (size_t i = 0; i < sizeof(json_rows) / sizeof(json_rows[0]); i++) {
		const struct json_row *r = &json_rows[i];
		/* Of exactly this size: nothing behind it may be read. */
		char *s = malloc(r->n + 1);

		memcpy(s + 1, r->s, r->n);
		text_reset(&t);
		text_json_n(&t, s + 1, r->n);
		eq_str(t.p, r->want, r->what);
		free(s);
	}
	text_reset(&t);
	text_json(&t, "a\xff");
	eq_str(t.p, "\"a" NO "\"", "to the terminating zero");
	text_clear(&t);
}

/* Jansson reads what was written; bytes that are UTF-8 to jansson are kept,
 * others replaced. */
static bool
json_agrees(struct text *t, const char *s, size_t n)
{
	json_t *got, *want = json_stringn(s, n);
	bool good;

	text_reset(t);
	text_json_n(t, s, n);
	got = json_loadb(t->p, t->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	good = got != NULL && (want == NULL || json_equal(got, want) == 1);
	if (want == NULL && got != NULL)
		good = strstr(t->p, NO) != NULL;
	json_decref(got);
	json_decref(want);
	return good;
}

static void
test_json_all(void)
{
	static const uint8_t kinds[] = {0x00, 0x22, 0x41, 0x7f, 0x80, 0x8f,
	    0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef,
	    0xf0, 0xf1, 0xf4, 0xf5, 0xff};
	const unsigned k = sizeof(kinds);
	struct text t = TEXT_EMPTY;
	bool two = true, four = true;
	char s[6];

	for (unsigned i = 0; i < 65536; i++) {
		s[0] = 'a';
		s[1] = (char)(i >> 8);
		s[2] = (char)i;
		s[3] = 'z';
		two &= json_agrees(&t, s, 4);
	}
	ok(two, "any two bytes");
	for (unsigned i = 0; i < k * k * k * k; i++) {
		s[0] = (char)kinds[i / k / k / k];
		s[1] = (char)kinds[i / k / k % k];
		s[2] = (char)kinds[i / k % k];
		s[3] = (char)kinds[i % k];
		four &= json_agrees(&t, s, 4);
	}
	ok(four, "any four of 22 kinds");
	text_clear(&t);
}

static void
test_html(void)
{
	struct text t = TEXT_EMPTY;

	text_html(&t, "<a href='x'>\"R&D\"</a>");
	eq_str(t.p, "&lt;a href=&#39;x&#39;&gt;&quot;R&amp;D&quot;&lt;/a&gt;",
	    "references");
	text_reset(&t);
	text_html(&t, "plain B\xc3\xa4r");
	eq_str(t.p, "plain B\xc3\xa4r", "the rest stands");
	text_reset(&t);
	text_html(&t, "");
	eq_str(t.p, "", "nothing");
	text_html(&t, "&");
	eq_str(t.p, "&amp;", "one character");
	text_clear(&t);
}

static const char *
time_text(struct text *t, int64_t s)
{
	text_reset(t);
	text_time(t, s);
	return t->p;
}

static void
test_time(void)
{
	struct text t = TEXT_EMPTY;
	bool each = true;

	eq_str(time_text(&t, 0), "1970-01-01T00:00:00Z", "the first");
	eq_str(time_text(&t, -1), "1970-01-01T00:00:00Z", "none before");
	eq_str(time_text(&t, INT64_MIN), "1970-01-01T00:00:00Z", "at all");
	eq_str(time_text(&t, 253402300799), "9999-12-31T23:59:59Z", "the last");
	eq_str(
	    time_text(&t, 253402300800), "9999-12-31T23:59:59Z", "none after");
	eq_str(time_text(&t, INT64_MAX), "9999-12-31T23:59:59Z", "at all");
	eq_str(
	    time_text(&t, 1795384206), "2026-11-22T21:50:06Z", "the example");
	/* Each day of 400 years, then some, at a second which moves along. */
	for (int64_t day = 0; day < 2932897; day += day < 150000 ? 1 : 41) {
		time_t s = (time_t)(day * 86400 + day * 7919 % 86400);
		struct tm tm;
		char want[32];

		gmtime_r(&s, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		each &= strcmp(time_text(&t, s), want) == 0;
	}
	ok(each, "days are the C library's");
	text_clear(&t);
}

int
main(void)
{
	test_build();
	test_growth();
	test_limit();
	test_json();
	test_json_all();
	test_html();
	test_time();
	return tap_done();
}

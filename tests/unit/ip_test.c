/* ip: text and back, prefixes, ranges and sets, beside naive ones. */
#include <stdlib.h>

#include "pure/ip.h"
#include "tests/tap.h"

static struct ip
ip(const char *text)
{
	struct ip a;

	if (!ip_parse(&a, text, strlen(text)))
		abort();
	return a;
}

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix p;

	if (!ip_prefix_parse(&p, text, strlen(text)))
		abort();
	return p;
}

static struct ip_range
range(const char *lo, const char *hi)
{
	return (struct ip_range){ip(lo), ip(hi)};
}

static bool
is(const struct ip *a, const char *text)
{
	struct ip b = ip(text);

	return memcmp(a, &b, sizeof(b)) == 0;
}

/* A NULL: the text is no address. */
static const struct {
	const char *text, *want;
} texts[] = {
    {"100.64.0.1", "100.64.0.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"fd7a:115c:a1e0::1", "fd7a:115c:a1e0::1"},
    {"FD7A:115C:A1E0:0:0:0:0:1", "fd7a:115c:a1e0::1"},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"0:0:0:1::", "0:0:0:1::"},
    {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
    {"1:0:0:2:3:0:0:4", "1::2:3:0:0:4"},
    {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"::ffff:10.1.2.3", "10.1.2.3"},
    {"::ffff:0a01:0203", "10.1.2.3"},
    {"64:ff9b::10.1.2.3", "64:ff9b::a01:203"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    {"", NULL},
    {"1", NULL},
    {"1.2.3", NULL},
    {"1.2.3.4.5", NULL},
    {"1.2.3.256", NULL},
    {"1.2.3.04", NULL},
    {"01.2.3.4", NULL},
    {"1.2.3.4444", NULL},
    {"1..3.4", NULL},
    {"1.2.3.", NULL},
    {" 1.2.3.4", NULL},
    {"1.2.3.4 ", NULL},
    {"1.2.3.-4", NULL},
    {":", NULL},
    {":1", NULL},
    {"1:", NULL},
    {":::", NULL},
    {"1:::2", NULL},
    {"1::2::3", NULL},
    {"1:2:3:4:5:6:7", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"1:2:3:4:5:6:7:8::", NULL},
    {"1:2:3:4::5:6:7:8", NULL},
    {"1:2:3:4:5:6:7:1.2.3.4", NULL},
    {"::1.2.3", NULL},
    {"::1.2.3.4:5", NULL},
    {"12345::", NULL},
    {"g::", NULL},
    {"fe80::1%eth0", NULL},
    {"[::1]", NULL},
};

static void
test_text(void)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip a;
		bool good = ip_parse(&a, texts[i].text, strlen(texts[i].text));

		if (texts[i].want == NULL)
			ok(!good, texts[i].text);
		else
			eq_str(good ? ip_text(&a, text) : NULL, texts[i].want,
			    texts[i].text);
	}
}

static void
test_exact_length(void)
{
	struct ip a;
	char text[IP_TEXT_MAX];

	ok(ip_parse(&a, "1.2.3.45", 7), "n bytes are read");
	eq_str(ip_text(&a, text), "1.2.3.4", "... and no more");
	ok(!ip_parse(&a, "1.2.3.4\0", 8), "a zero is no end");
	ok(ip_parse(&a, "fd7a::12", 7), "n bytes of IPv6");
	eq_str(ip_text(&a, text), "fd7a::1", "... and no more");
}

static void
test_prefix(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"10.0.0.0/8", "10.0.0.0/8"},
	    {"0.0.0.0/0", "0.0.0.0/0"},
	    {"::/0", "::/0"},
	    {"10.1.2.3", "10.1.2.3/32"},
	    {"fd7a::1", "fd7a::1/128"},
	    {"fd7a::/16", "fd7a::/16"},
	    {"10.1.2.3/32", "10.1.2.3/32"},
	    {"10.1.2.3/8", NULL},
	    {"fd7a::1/16", NULL},
	    {"10.0.0.0/33", NULL},
	    {"::/129", NULL},
	    {"10.0.0.0/", NULL},
	    {"10.0.0.0/08", NULL},
	    {"10.0.0.0/+8", NULL},
	    {"10.0.0.0/8 ", NULL},
	    {"10.0.0.0/8/8", NULL},
	    {"/8", NULL},
	    {"", NULL},
	    {"::ffff:10.0.0.0/104", NULL},
	};
	char text[IP_PREFIX_TEXT_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_prefix p;
		bool good =
		    ip_prefix_parse(&p, rows[i].text, strlen(rows[i].text));

		if (rows[i].want == NULL)
			ok(!good, rows[i].text);
		else
			eq_str(good ? ip_prefix_text(&p, text) : NULL,
			    rows[i].want, rows[i].text);
	}
}

static void
test_covers(void)
{
	/* Does the first hold the second? */
	static const struct {
		const char *outer, *inner;
		bool want;
	} rows[] = {
	    {"10.0.0.0/8", "10.1.0.0/16", true},
	    {"10.0.0.0/8", "10.0.0.0/8", true},
	    {"10.1.0.0/16", "10.0.0.0/8", false},
	    {"10.0.0.0/8", "11.0.0.0/16", false},
	    {"0.0.0.0/0", "1.2.3.4/32", true},
	    {"::/0", "1.2.3.4/32", false},
	    {"::/0", "0.0.0.0/0", false},
	    {"0.0.0.0/0", "::/0", false},
	    {"::/0", "fd7a::/16", true},
	    {"fd7a::1/128", "fd7a::1/128", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_prefix a = prefix(rows[i].outer);
		struct ip_prefix b = prefix(rows[i].inner);
		char what[120];

		snprintf(what, sizeof(what), "%s covers %s: %d", rows[i].outer,
		    rows[i].inner, rows[i].want);
		eq_int(ip_prefix_covers(&a, &b), rows[i].want, what);
		ok(!rows[i].want || ip_prefix_has(&a, &b.ip),
		    "... and has its first address");
		eq_int(ip_prefix_equal(&a, &b),
		    strcmp(rows[i].outer, rows[i].inner) == 0, "... equal");
		eq_int(ip_prefix_is_default(&a),
		    strstr(rows[i].outer, "/0") != NULL, "... default");
	}
}

static void
test_order(void)
{
	static const char *const v[] = {"0.0.0.0", "1.2.3.4", "1.2.3.5",
	    "255.255.255.255", "::", "::1", "::fffe:ffff:ffff", "::1:0:0:0",
	    "fd7a::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	size_t n = sizeof(v) / sizeof(v[0]), wrong = 0;
	struct ip a;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			struct ip x = ip(v[i]), y = ip(v[j]);
			int c = ip_compare(&x, &y);

			wrong += (c < 0) != (i < j) || (c > 0) != (i > j);
		}
	eq_int(wrong, 0, "all of IPv4 before all of IPv6");

	a = ip("255.255.255.255");
	ok(!ip_next(&a), "nothing follows the last of IPv4");
	a = ip("0.0.0.0");
	ok(!ip_previous(&a), "nothing precedes the first of IPv4");
	a = ip(v[n - 1]);
	ok(!ip_next(&a), "nothing follows the last of IPv6");
	a = ip("::");
	ok(!ip_previous(&a), "nothing precedes the first of IPv6");
	a = ip("10.255.255.255");
	ok(ip_next(&a) && is(&a, "11.0.0.0"), "a carry");
	a = ip("::fffe:ffff:ffff");
	ok(ip_next(&a) && is(&a, "::1:0:0:0"),
	    "IPv6 steps over the mapped addresses");
	ok(ip_previous(&a) && is(&a, "::fffe:ffff:ffff"), "... and back");
}

struct list {
	char text[400];
};

static void
list_add(void *arg, const struct ip_prefix *p)
{
	struct list *l = arg;
	char text[IP_PREFIX_TEXT_MAX];
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s%s", n > 0 ? " " : "",
	    ip_prefix_text(p, text));
}

static void
test_range(void)
{
	struct ip_prefix full;
	struct ip_range low;
	static const struct {
		const char *lo, *hi, *text, *prefixes;
	} rows[] = {
	    {"10.0.0.0", "10.255.255.255", "10.0.0.0/8", "10.0.0.0/8"},
	    {"100.64.0.1", "100.64.0.1", "100.64.0.1", "100.64.0.1/32"},
	    {"fd7a::1", "fd7a::1", "fd7a::1", "fd7a::1/128"},
	    {"0.0.0.0", "255.255.255.255", "0.0.0.0/0", "0.0.0.0/0"},
	    {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0", "::/0"},
	    {"10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2",
		"10.0.0.1/32 10.0.0.2/32"},
	    {"10.0.0.1", "10.0.0.6", "10.0.0.1-10.0.0.6",
		"10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32"},
	    {"100.115.94.0", "100.127.255.255", "100.115.94.0-100.127.255.255",
		"100.115.94.0/23 100.115.96.0/19 100.115.128.0/17 "
		"100.116.0.0/14 100.120.0.0/13"},
	    {"::fffe:ffff:fffe", "::1:0:0:1", "::fffe:ffff:fffe-::1:0:0:1",
		"::fffe:ffff:fffe/127 ::1:0:0:0/127"},
	    {"255.255.255.254", "255.255.255.255", "255.255.255.254/31",
		"255.255.255.254/31"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_range r = range(rows[i].lo, rows[i].hi);
		char text[IP_RANGE_TEXT_MAX];
		struct list l = {0};

		eq_str(ip_range_text(&r, text), rows[i].text, rows[i].text);
		ip_range_prefixes(&r, list_add, &l);
		eq_str(l.text, rows[i].prefixes, "... as prefixes");
	}
	for (size_t i = 0; i < 5; i++) {
		struct ip_prefix p = prefix(rows[i].prefixes);
		struct ip_range r = ip_prefix_range(&p);
		struct ip_range want = range(rows[i].lo, rows[i].hi);

		eq_mem(&r, &want, sizeof(r), rows[i].prefixes);
	}
	full = prefix("::/80");
	low = ip_prefix_range(&full);
	ok(!ip_is_v4(&low.hi), "::/80 ends before the mapped addresses");
}

static void
set_text(const struct ip_set *s, char *text, size_t room)
{
	text[0] = '\0';
	for (size_t i = 0; i < s->n; i++) {
		char one[IP_RANGE_TEXT_MAX];
		size_t n = strlen(text);

		snprintf(text + n, room - n, "%s%s", n > 0 ? " " : "",
		    ip_range_text(&s->v[i], one));
	}
}

static void
test_set(void)
{
	struct ip_set s = {0}, other = {0};
	struct ip a;
	struct ip_range r;
	struct ip_prefix p;
	char text[400];

	a = ip("1.2.3.4");
	ok(!ip_set_has(&s, &a), "an empty set");
	p = prefix("100.64.0.0/10");
	ip_set_add_prefix(&s, &p);
	p = prefix("fd7a:115c:a1e0::/48");
	ip_set_add_prefix(&s, &p);
	p = prefix("10.0.1.0/24");
	ip_set_add_prefix(&s, &p);
	p = prefix("10.0.0.0/24");
	ip_set_add_prefix(&s, &p);
	ip_set_close(&s);
	set_text(&s, text, sizeof(text));
	eq_str(text, "10.0.0.0/23 100.64.0.0/10 fd7a:115c:a1e0::/48",
	    "neighbours are joined, IPv4 first");
	r = range("100.115.92.0", "100.115.93.255");
	ip_set_remove(&s, &r);
	set_text(&s, text, sizeof(text));
	eq_str(text,
	    "10.0.0.0/23 100.64.0.0-100.115.91.255 "
	    "100.115.94.0-100.127.255.255 fd7a:115c:a1e0::/48",
	    "a hole is cut");
	ok(!ip_set_overlaps(&s, &r), "nothing is left in the hole");
	r = range("100.115.93.255", "100.115.94.0");
	ok(ip_set_overlaps(&s, &r), "a range that reaches out of the hole");
	ok(!ip_set_covers(&s, &r), "... is not covered");
	r = range("100.115.94.0", "100.116.0.0");
	ok(ip_set_covers(&s, &r), "one beside it is");
	r = range("9.0.0.0", "9.1.0.0");
	ip_set_add(&other, &r);
	ip_set_close(&other);
	ok(!ip_set_overlaps_set(&s, &other), "sets apart");
	r = range("fd7a::", "fd7b::");
	ip_set_add(&other, &r);
	ip_set_close(&other);
	ok(ip_set_overlaps_set(&s, &other), "sets that overlap");
	ip_set_add_set(&s, &other);
	ip_set_close(&s);
	a = ip("9.0.5.0");
	ok(ip_set_has(&s, &a), "a union");
	ok(!s.bad, "memory was there");
	ip_set_clear(&s);
	ip_set_clear(&other);
	ip_set_clear(&other);
}

/* Random sets of a universe of 64 addresses beside a bit set. */
static unsigned
roll(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

static struct ip_range
small_range(unsigned lo, unsigned hi)
{
	struct ip_range r = range("10.0.0.0", "10.0.0.0");

	r.lo.b[15] = (uint8_t)lo;
	r.hi.b[15] = (uint8_t)hi;
	return r;
}

static uint64_t
bits_of(unsigned lo, unsigned hi)
{
	return (~UINT64_C(0) >> (63 - hi)) & (~UINT64_C(0) << lo);
}

static bool
same(const struct ip_set *s, uint64_t bits)
{
	for (unsigned i = 0; i < 64; i++) {
		struct ip a = small_range(i, i).lo;

		if (ip_set_has(s, &a) != ((bits >> i) & 1))
			return false;
	}
	for (size_t i = 1; i < s->n; i++)
		if (s->v[i].lo.b[15] <= s->v[i - 1].hi.b[15] + 1)
			return false;
	return true;
}

static void
test_random(void)
{
	unsigned seed = 7, wrong = 0;

	for (int round = 0; round < 2000; round++) {
		struct ip_set s = {0};
		uint64_t bits = 0;

		for (int i = 0; i < 12; i++) {
			unsigned lo = roll(&seed) % 64;
			unsigned hi = lo + roll(&seed) % (64 - lo) % 9;
			struct ip_range r = small_range(lo, hi);
			uint64_t mask = bits_of(lo, hi);

			wrong += ip_set_overlaps(&s, &r) != !!(bits & mask);
			wrong += ip_set_covers(&s, &r) != !(~bits & mask);
			if (roll(&seed) % 3 == 0) {
				ip_set_remove(&s, &r);
				bits &= ~mask;
			} else {
				ip_set_add(&s, &r);
				ip_set_close(&s);
				bits |= mask;
			}
			wrong += !same(&s, bits);
		}
		ip_set_clear(&s);
	}
	eq_int(wrong, 0, "random sets are as bit sets");
}

int
main(void)
{
	test_text();
	test_exact_length();
	test_prefix();
	test_covers();
	test_order();
	test_range();
	test_set();
	test_random();
	return tap_done();
}

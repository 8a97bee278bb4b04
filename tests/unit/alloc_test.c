/* alloc: addresses in turn, never a reserved one, none given again soon. */
#include "coordd/alloc.h"
#include "tests/tap.h"

#define LAST 0x3ffffeu

static struct ip
ip_of(const char *text)
{
	struct ip a = {{0}};

	if (!ip_parse(&a, text, strlen(text)))
		printf("Bail out! %s is no address\n", text);
	return a;
}

static bool
is(const struct ip *a, const char *text)
{
	char got[IP_TEXT_MAX];

	return strcmp(ip_text(a, got), text) == 0;
}

static bool
none_used(void *arg, const struct ip *a)
{
	(void)arg;
	(void)a;
	return false;
}

static bool
all_used(void *arg, const struct ip *a)
{
	(*(unsigned *)arg)++;
	(void)a;
	return true;
}

/* All but one are in use. */
static bool
other_used(void *arg, const struct ip *a)
{
	const struct ip *one = arg;

	return ip_compare(a, &one[0]) != 0 && ip_compare(a, &one[1]) != 0;
}

/* In use: one address, of either family. */
static bool
one_used(void *arg, const struct ip *a)
{
	return ip_compare(a, arg) == 0;
}

static void
test_numbers(void)
{
	struct ip a = alloc_ip4(1), b = alloc_ip6(1);

	ok(is(&a, "100.64.0.1"), "the first");
	ok(is(&b, "fd7a:115c:a1e0::1"), "and its twin");
	a = alloc_ip4(LAST);
	b = alloc_ip6(LAST);
	ok(is(&a, "100.127.255.254"), "the last");
	ok(is(&b, "fd7a:115c:a1e0::3f:fffe"), "and its twin");
}

static void
test_in_turn(void)
{
	uint32_t cursor = 0;
	struct ip a, b, used = ip_of("100.64.0.4");

	ok(alloc_next(&cursor, none_used, NULL, &a, &b), "one");
	ok(is(&a, "100.64.0.1") && is(&b, "fd7a:115c:a1e0::1"),
	    "is the first pair");
	(void)alloc_next(&cursor, none_used, NULL, &a, &b);
	(void)alloc_next(&cursor, none_used, NULL, &a, &b);
	ok(is(&a, "100.64.0.3"), "then the next ones");
	(void)alloc_next(&cursor, one_used, &used, &a, &b);
	ok(is(&a, "100.64.0.5") && is(&b, "fd7a:115c:a1e0::5"),
	    "one in use is left out");
	used = ip_of("fd7a:115c:a1e0::6");
	(void)alloc_next(&cursor, one_used, &used, &a, &b);
	ok(is(&a, "100.64.0.7"), "and one whose twin is");
}

/* One round: every address once, but for the reserved ones. */
static void
test_round(void)
{
	static const char *const reserved[] = {"100.64.0.0", "100.127.255.255",
	    "100.100.100.100", "100.100.0.1", "100.115.92.0", "100.115.93.255",
	    "100.64.0.83"};
	struct ip a, b, before = {{0}};
	uint32_t cursor = 0, n = 0;
	bool given = false, twins = true;

	for (;;) {
		if (!alloc_next(&cursor, none_used, NULL, &a, &b))
			break;
		if (n > 0 && ip_compare(&a, &before) <= 0)
			break;
		before = a;
		n++;
		for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]);
		     i++) {
			/* Compared as text only where it can be. */
			if (a.b[15] != 0 && a.b[15] != 1 && a.b[15] != 83 &&
			    a.b[15] != 100 && a.b[15] != 255)
				continue;
			given |= is(&a, reserved[i]);
		}
		twins &= memcmp(a.b + 14, b.b + 14, 2) == 0;
	}
	ok(is(&before, "100.127.255.254"), "they go up to the last one");
	ok(is(&a, "100.64.0.1"), "and begin anew");
	ok(!given, "no reserved one is given");
	ok(twins, "both come from one number");
	/* .0 and .255 of the range, two /24, a /23, and ::53. */
	eq_int(n, (1 << 22) - 2 - 256 - 256 - 512 - 1, "all others are");
}

static void
test_full(void)
{
	struct ip a, b, one[2];
	uint32_t cursor = 1000;
	unsigned asked = 0;

	ok(!alloc_next(&cursor, all_used, &asked, &a, &b), "none is left");
	eq_int(cursor, 1000, "the cursor stays");
	ok(asked < 1 << 22, "each was asked once");
	one[0] = ip_of("100.64.3.232");
	one[1] = ip_of("fd7a:115c:a1e0::3e8");
	ok(alloc_next(&cursor, other_used, one, &a, &b) &&
		is(&a, "100.64.3.232"),
	    "the only free one is found, although it was the last given");
	eq_int(cursor, 1000, "after a whole round");
}

static void
test_cursor(void)
{
	static const uint32_t odd[] = {LAST, LAST + 1, UINT32_MAX};
	uint32_t cursor;
	struct ip a, b;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		cursor = odd[i];
		ok(alloc_next(&cursor, none_used, NULL, &a, &b) &&
			is(&a, "100.64.0.1"),
		    "a cursor at or behind the end begins anew");
	}
}

int
main(void)
{
	test_numbers();
	test_in_turn();
	test_round();
	test_full();
	test_cursor();
	return tap_done();
}

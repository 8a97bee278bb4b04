/* ip: addresses, prefixes and ranges. Their sets are in ip_set.c. */
#include <stdio.h>
#include <string.h>

#include "pure/cursor.h"
#include "pure/ip.h"

/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2. */
static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

#define V4_AT 12 /* bytes before the IPv4 address */

typedef unsigned __int128 ip_number;

static ip_number
ip_to_number(const struct ip *a)
{
	struct rd r;
	ip_number high;

	rd_init(&r, a->b, sizeof(a->b));
	high = rd_u64(&r);
	return high << 64 | rd_u64(&r);
}

static struct ip
ip_of_number(ip_number v)
{
	struct ip a;
	struct wr w;

	wr_init(&w, a.b, sizeof(a.b));
	wr_u64(&w, (uint64_t)(v >> 64));
	wr_u64(&w, (uint64_t)v);
	return a;
}

bool
ip_is_v4(const struct ip *a)
{
	return memcmp(a->b, v4_mapped, sizeof(v4_mapped)) == 0;
}

int
ip_compare(const struct ip *a, const struct ip *b)
{
	bool a4 = ip_is_v4(a), b4 = ip_is_v4(b);

	if (a4 != b4)
		return a4 ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool
ip_next(struct ip *a)
{
	bool v4 = ip_is_v4(a);
	ip_number v = ip_to_number(a) + 1;

	if (v == 0)
		return false;
	*a = ip_of_number(v);
	if (!v4 && ip_is_v4(a)) /* step over the mapped ones */
		*a = ip_of_number(v + UINT32_MAX + 1);
	return ip_is_v4(a) == v4;
}

bool
ip_previous(struct ip *a)
{
	bool v4 = ip_is_v4(a);
	ip_number v = ip_to_number(a);

	if (v == 0)
		return false;
	v--;
	*a = ip_of_number(v);
	if (!v4 && ip_is_v4(a))
		*a = ip_of_number(v - UINT32_MAX - 1);
	return ip_is_v4(a) == v4;
}

/* Reads a decimal number of at most three digits, without leading zeros. */
static bool
decimal_parse(const char **p, const char *end, unsigned max, unsigned *v)
{
	const char *first = *p;

	*v = 0;
	while (*p < end && **p >= '0' && **p <= '9' && *p - first < 3)
		*v = *v * 10 + (unsigned)(*(*p)++ - '0');
	return *p > first && *v <= max && (*first != '0' || *p - first == 1);
}

static bool
quad_parse(uint8_t quad[static 4], const char *p, const char *end)
{
	for (int i = 0; i < 4; i++) {
		unsigned v;

		if (i > 0 && (p == end || *p++ != '.'))
			return false;
		if (!decimal_parse(&p, end, 255, &v))
			return false;
		quad[i] = (uint8_t)v;
	}
	return p == end;
}

/* Reads up to four hex digits; the number of digits, 0 if there are none. */
static int
hex_parse(const char *p, const char *end, unsigned *v)
{
	int n = 0;

	for (*v = 0; n < 4 && p + n < end; n++) {
		char c = p[n];

		if (c >= '0' && c <= '9')
			*v = *v << 4 | (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*v = *v << 4 | (unsigned)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			*v = *v << 4 | (unsigned)(c - 'A' + 10);
		else
			break;
	}
	return n;
}

/* The bytes that were read, and where "::" stood: gap -1 if nowhere. */
struct groups {
	uint8_t b[16];
	int n, gap;
};

static bool
groups_parse(struct groups *g, const char *p, const char *end)
{
	while (p < end) {
		unsigned v;
		int digits = hex_parse(p, end, &v);

		if (digits == 0 || g->n > 14)
			return false;
		if (p + digits < end && p[digits] == '.') {
			if (g->n > 12 || !quad_parse(g->b + g->n, p, end))
				return false;
			g->n += 4;
			return true;
		}
		g->b[g->n++] = (uint8_t)(v >> 8);
		g->b[g->n++] = (uint8_t)v;
		p += digits;
		if (p == end)
			return true;
		if (*p++ != ':' || p == end)
			return false;
		if (*p == ':') {
			if (g->gap != -1)
				return false;
			g->gap = g->n;
			p++;
		}
	}
	return true;
}

static bool
v6_parse(struct ip *a, const char *p, const char *end)
{
	struct groups g = {.gap = -1};
	int tail;

	if (end - p >= 2 && p[0] == ':' && p[1] == ':') {
		g.gap = 0;
		p += 2;
	}
	if (!groups_parse(&g, p, end))
		return false;
	if (g.gap == -1 ? g.n != 16 : g.n > 14)
		return false;
	if (g.gap == -1)
		g.gap = 16;
	tail = g.n - g.gap;
	memset(a->b, 0, sizeof(a->b));
	memcpy(a->b, g.b, (size_t)g.gap);
	if (tail > 0)
		memcpy(a->b + 16 - tail, g.b + g.gap, (size_t)tail);
	return true;
}

bool
ip_parse(struct ip *a, const char *text, size_t n)
{
	if (n == 0)
		return false;
	if (memchr(text, ':', n) != NULL)
		return v6_parse(a, text, text + n);
	memcpy(a->b, v4_mapped, sizeof(v4_mapped));
	return quad_parse(a->b + V4_AT, text, text + n);
}

/* Finds the longest run of two or more zero groups, the first of several
 * (RFC 5952 section 4.2); its length is 0 if there is none. */
static int
zeros_find(const struct ip *a, int *at)
{
	int best = 0, run = 0;

	*at = -1;
	for (int i = 0; i < 8; i++) {
		run = a->b[2 * i] == 0 && a->b[2 * i + 1] == 0 ? run + 1 : 0;
		if (run >= 2 && run > best) {
			best = run;
			*at = i - run + 1;
		}
	}
	return best;
}

const char *
ip_text(const struct ip *a, char text[static IP_TEXT_MAX])
{
	const uint8_t *b = a->b;
	char *p = text;
	int at, zeros;

	if (ip_is_v4(a)) {
		snprintf(text, IP_TEXT_MAX, "%u.%u.%u.%u", b[12], b[13], b[14],
		    b[15]);
		return text;
	}
	zeros = zeros_find(a, &at);
	for (int i = 0; i < 8; i++) {
		if (i == at) {
			*p++ = ':';
			*p++ = ':';
			*p = '\0';
			i += zeros - 1;
			continue;
		}
		if (i > 0 && i != at + zeros)
			*p++ = ':';
		p += snprintf(p, (size_t)(text + IP_TEXT_MAX - p), "%x",
		    (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
	}
	return text;
}

/* Bits of the 128 that are free below the prefix. */
static int
prefix_free_bits(const struct ip_prefix *p)
{
	return (p->v4 ? 32 : 128) - p->bits;
}

/* A number of n one-bits. */
static ip_number
ones(int n)
{
	return n == 128 ? ~(ip_number)0 : ((ip_number)1 << n) - 1;
}

bool
ip_prefix_parse(struct ip_prefix *p, const char *text, size_t n)
{
	const char *end = text + n, *slash = memchr(text, '/', n);
	size_t length = slash == NULL ? n : (size_t)(slash - text);
	unsigned bits;

	if (!ip_parse(&p->ip, text, length))
		return false;
	*p = ip_prefix_of(&p->ip);
	if (slash == NULL)
		return true;
	/* ::ffff:10.0.0.0/104 would leave it open what the bits count. */
	if (p->v4 && memchr(text, ':', length) != NULL)
		return false;
	slash++;
	if (!decimal_parse(&slash, end, p->bits, &bits) || slash != end)
		return false;
	p->bits = (uint8_t)bits;
	return (ip_to_number(&p->ip) & ones(prefix_free_bits(p))) == 0;
}

const char *
ip_prefix_text(const struct ip_prefix *p, char text[static IP_PREFIX_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	snprintf(
	    text, IP_PREFIX_TEXT_MAX, "%s/%u", ip_text(&p->ip, ip), p->bits);
	return text;
}

bool
ip_prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
	return a->v4 == b->v4 && a->bits == b->bits &&
	    memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

bool
ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner)
{
	return outer->v4 == inner->v4 && outer->bits <= inner->bits &&
	    ip_prefix_has(outer, &inner->ip);
}

bool
ip_prefix_has(const struct ip_prefix *p, const struct ip *a)
{
	return p->v4 == ip_is_v4(a) &&
	    (ip_to_number(a) & ~ones(prefix_free_bits(p))) ==
	    ip_to_number(&p->ip);
}

bool
ip_prefix_is_default(const struct ip_prefix *p)
{
	return p->bits == 0;
}

struct ip_prefix
ip_prefix_of(const struct ip *a)
{
	struct ip_prefix p = {.ip = *a, .v4 = ip_is_v4(a)};

	p.bits = p.v4 ? 32 : 128;
	return p;
}

struct ip_range
ip_prefix_range(const struct ip_prefix *p)
{
	struct ip_range r = {.lo = p->ip};

	r.hi = ip_of_number(ip_to_number(&p->ip) | ones(prefix_free_bits(p)));
	if (!p->v4 && ip_is_v4(&r.hi)) /* ::/80 and the like */
		r.hi = ip_of_number(
		    (ip_to_number(&r.hi) & ~(ip_number)UINT32_MAX) - 1);
	return r;
}

/* The largest block that begins at lo and ends by hi, as its free bits. */
static int
block_free_bits(ip_number lo, ip_number hi)
{
	int n = 0;

	while (n < 128 && (lo & ones(n + 1)) == 0 && (lo | ones(n + 1)) <= hi)
		n++;
	return n;
}

void
ip_range_prefixes(const struct ip_range *r, ip_prefix_fn *fn, void *arg)
{
	ip_number lo = ip_to_number(&r->lo), hi = ip_to_number(&r->hi);
	struct ip_prefix p = {.v4 = ip_is_v4(&r->lo)};

	for (;;) {
		int n = block_free_bits(lo, hi);

		p.ip = ip_of_number(lo);
		p.bits = (uint8_t)((p.v4 ? 32 : 128) - n);
		fn(arg, &p);
		if ((lo | ones(n)) >= hi)
			return;
		lo = (lo | ones(n)) + 1;
		p.ip = ip_of_number(lo);
		if (!p.v4 && ip_is_v4(&p.ip)) /* step over the mapped ones */
			lo += (ip_number)UINT32_MAX + 1;
	}
}

const char *
ip_range_text(const struct ip_range *r, char text[static IP_RANGE_TEXT_MAX])
{
	ip_number lo = ip_to_number(&r->lo), hi = ip_to_number(&r->hi);
	int n = block_free_bits(lo, hi);
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	ip_text(&r->lo, a);
	if (n == 0 && lo == hi)
		snprintf(text, IP_RANGE_TEXT_MAX, "%s", a);
	else if ((lo | ones(n)) == hi)
		snprintf(text, IP_RANGE_TEXT_MAX, "%s/%d", a,
		    (ip_is_v4(&r->lo) ? 32 : 128) - n);
	else
		snprintf(
		    text, IP_RANGE_TEXT_MAX, "%s-%s", a, ip_text(&r->hi, b));
	return text;
}

/*
 * ip: IP addresses, prefixes, and sets of addresses, as numbers of 128 bits.
 * IPv4 is ::ffff:a.b.c.d throughout, so both families share one order.
 */
#ifndef PURE_IP_H
#define PURE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ip {
	uint8_t b[16];
};

/* Room for an IPv6 address and the zero; with "/128". */
#define IP_TEXT_MAX	   46
#define IP_PREFIX_TEXT_MAX 50

bool ip_is_v4(const struct ip *a);
/* Sign like memcmp's; all of IPv4 comes before all of IPv6. */
int ip_compare(const struct ip *a, const struct ip *b);
/* Steps to the neighbour in the family. False at its end: *a is no use then. */
bool ip_next(struct ip *a);
bool ip_previous(struct ip *a);

/* Reads an address of exactly n bytes of text: dotted quad or RFC 4291
 * section 2.2; no zone, no port, no leading zeros in a quad. */
bool ip_parse(struct ip *a, const char *text, size_t n);
/* Writes the canonical form (RFC 5952); returns text. */
const char *ip_text(const struct ip *a, char text[static IP_TEXT_MAX]);

/* ip has no bits set beyond the first `bits`, which count in the family:
 * 0..32 or 0..128. v4 tells 0.0.0.0/0 from ::/0. */
struct ip_prefix {
	struct ip ip;
	uint8_t bits;
	bool v4;
};

/* Reads "10.0.0.0/8" or a bare address (then /32 or /128). False if bits are
 * set beyond the length. */
bool ip_prefix_parse(struct ip_prefix *p, const char *text, size_t n);
/* Writes "10.0.0.0/8", always with the length; returns text. */
const char *ip_prefix_text(
    const struct ip_prefix *p, char text[static IP_PREFIX_TEXT_MAX]);
bool ip_prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b);
/* True if inner lies in outer, or is the same. */
bool ip_prefix_covers(
    const struct ip_prefix *outer, const struct ip_prefix *inner);
bool ip_prefix_has(const struct ip_prefix *p, const struct ip *a);
/* 0.0.0.0/0 or ::/0. */
bool ip_prefix_is_default(const struct ip_prefix *p);
/* The prefix of exactly this address. */
struct ip_prefix ip_prefix_of(const struct ip *a);

/* Both ends are inside. A range never spans families. */
struct ip_range {
	struct ip lo, hi;
};

struct ip_range ip_prefix_range(const struct ip_prefix *p);
#define IP_RANGE_TEXT_MAX (2 * IP_TEXT_MAX)
/* Writes the shortest form that says the range: "100.64.0.1", "10.0.0.0/8"
 * or "100.64.0.0-100.115.91.255"; returns text. */
const char *ip_range_text(
    const struct ip_range *r, char text[static IP_RANGE_TEXT_MAX]);

/* A set of addresses; sorted, disjoint and not touching once _close was
 * called, as every function below but the adding ones needs it. Grows by
 * malloc; `bad` if that failed. */
struct ip_set {
	struct ip_range *v;
	size_t n, cap;
	bool bad;
};

void ip_set_clear(struct ip_set *s);
void ip_set_add(struct ip_set *s, const struct ip_range *r);
void ip_set_add_prefix(struct ip_set *s, const struct ip_prefix *p);
void ip_set_add_set(struct ip_set *s, const struct ip_set *other);
void ip_set_close(struct ip_set *s);
void ip_set_remove(struct ip_set *s, const struct ip_range *r);
bool ip_set_has(const struct ip_set *s, const struct ip *a);
bool ip_set_overlaps(const struct ip_set *s, const struct ip_range *r);
bool ip_set_overlaps_set(const struct ip_set *a, const struct ip_set *b);
bool ip_set_covers(const struct ip_set *s, const struct ip_range *r);

/* Calls fn with the fewest prefixes that make up the range, in order. */
typedef void ip_prefix_fn(void *arg, const struct ip_prefix *p);
void ip_range_prefixes(const struct ip_range *r, ip_prefix_fn *fn, void *arg);

#endif

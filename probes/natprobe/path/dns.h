/*
 * dns: does the resolver of this network tell the truth? PURE. Names that
 * cannot exist must not have an address, and a relay's name has those that
 * the map says.
 */
#ifndef NATPROBE_DNS_H
#define NATPROBE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/ip.h"

#define DNS_NAME_MAX 320
#define DNS_FOUND    16

enum dns_kind {
	DNS_INVALID, /* a random name below .invalid (RFC 6761 section 6.4) */
	DNS_BELOW, /* a random name below a relay's */
	DNS_RELAY,
	DNS_WPAD, /* by which browsers look for a proxy */
};

struct dns_ask {
	enum dns_kind kind;
	char name[DNS_NAME_MAX];
	bool has_map[2]; /* by family; DNS_RELAY: */
	struct ip map[2]; /* the address in the map */
	/* What came of it. */
	bool over;
	bool nonexistent;
	const char *why; /* it failed otherwise; "" */
	struct ip found[DNS_FOUND];
	size_t n;
};

enum dns_word {
	DNS_UNKNOWN,
	DNS_KEPT, /* what does not exist has no address */
	DNS_REWRITTEN, /* it has */
	DNS_SAME, /* as the map says */
	DNS_DIFFERS,
	DNS_PRIVATE, /* the map says nothing, and it is a private address */
	DNS_NOT_IN_MAP,
	DNS_WORDS,
};
const char *dns_word_name(enum dns_word w);

/* Of all asks, about names that do not exist. why: of DNS_UNKNOWN. */
enum dns_word dns_judge_nonexistent(
    const struct dns_ask *asks, size_t n, const char **why);
/* Of a relay's name. */
enum dns_word dns_judge_relay(const struct dns_ask *ask, const char **why);
/* The name WPAD has an address, which is not one that all names have. */
bool dns_has_wpad(const struct dns_ask *asks, size_t n);

/* Not routed on the internet: RFC 1918, 6598, 3927, 4193, loopback. */
bool dns_is_private(const struct ip *ip);

#endif

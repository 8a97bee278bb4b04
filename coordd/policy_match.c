/* policy_match: which rules concern a subject, and who reaches whom. PURE. */
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

#define V4(a, b, c, d)                                                       \
	{                                                                    \
		{                                                            \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
		}                                                            \
	}
/* The first and the last address whose first groups are these bytes. */
#define V6_FIRST(...)               \
	{                           \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define ONES 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff

/* 2000::/3 and all of IPv4, without private, carrier-grade and link-local
 * addresses: Headscale's util.TheInternet. */
static const struct ip_range internet[] = {
    {V4(0, 0, 0, 0), V4(9, 255, 255, 255)},
    {V4(11, 0, 0, 0), V4(100, 63, 255, 255)},
    {V4(100, 128, 0, 0), V4(169, 253, 255, 255)},
    {V4(169, 255, 0, 0), V4(172, 15, 255, 255)},
    {V4(172, 32, 0, 0), V4(192, 167, 255, 255)},
    {V4(192, 169, 0, 0), V4(255, 255, 255, 255)},
    {V6_FIRST(0x20), V6_FIRST(0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, ONES)},
};

/* Addresses of nodes: 100.64.0.0/10 without the part that ChromeOS uses
 * itself (100.115.92.0/23), and fd7a:115c:a1e0::/48. */
static const struct ip_range tailnet[] = {
    {V4(100, 64, 0, 0), V4(100, 115, 91, 255)},
    {V4(100, 115, 94, 0), V4(100, 127, 255, 255)},
    {V6_FIRST(0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0),
	V6_FIRST(0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, ONES)},
};

const struct ip_range *
internet_range(size_t i)
{
	return i < sizeof(internet) / sizeof(internet[0]) ? &internet[i] : NULL;
}

const struct ip_range *
tailnet_range(size_t i)
{
	return i < sizeof(tailnet) / sizeof(tailnet[0]) ? &tailnet[i] : NULL;
}

static bool
ranges_overlap(const struct ip_range *a, const struct ip_range *b)
{
	return ip_compare(&a->lo, &b->hi) <= 0 &&
	    ip_compare(&b->lo, &a->hi) <= 0;
}

static bool
range_holds(const struct ip_range *outer, const struct ip_range *inner)
{
	return ip_compare(&outer->lo, &inner->lo) <= 0 &&
	    ip_compare(&inner->hi, &outer->hi) <= 0;
}

/* True if one of the n ranges overlaps r. */
static bool
any_overlaps(const struct ip_range *v, size_t n, const struct ip_range *r)
{
	for (size_t i = 0; i < n; i++)
		if (ranges_overlap(&v[i], r))
			return true;
	return false;
}

static int
member_order(const void *name, const void *member)
{
	return strcmp(name, *(char *const *)member);
}

static bool
has_tag(const struct policy_subject *s, const char *tag)
{
	for (size_t i = 0; i < s->ntags; i++)
		if (strcmp(s->tags[i], tag) == 0)
			return true;
	return false;
}

bool
alias_is_subject(const struct alias *a, const struct policy_subject *s)
{
	switch (a->kind) {
	case ALIAS_USER:
		return s->ntags == 0 && s->user != NULL &&
		    strcmp(a->name, s->user) == 0;
	case ALIAS_GROUP:
		return s->ntags == 0 && s->user != NULL &&
		    bsearch(s->user, a->members, a->nmembers,
			sizeof(*a->members), member_order) != NULL;
	case ALIAS_TAG:
		return has_tag(s, a->name);
	case ALIAS_MEMBER:
	case ALIAS_SELF:
		return s->ntags == 0;
	case ALIAS_TAGGED:
		return s->ntags > 0;
	case ALIAS_ANY:
	case ALIAS_DANGER_ALL:
	case ALIAS_INTERNET:
	case ALIAS_ADDRESS:
		break;
	}
	return false;
}

bool
alias_overlaps(const struct alias *a, const struct ip_range *r)
{
	struct ip_range own;

	switch (a->kind) {
	case ALIAS_ANY:
	case ALIAS_DANGER_ALL:
		return true;
	case ALIAS_INTERNET:
		return any_overlaps(
		    internet, sizeof(internet) / sizeof(internet[0]), r);
	case ALIAS_ADDRESS:
		own = ip_prefix_range(&a->prefix);
		return ranges_overlap(&own, r);
	default:
		return false;
	}
}

bool
alias_has(const struct alias *a, const struct policy_subject *s,
    const struct ip *ip, bool source)
{
	struct ip_range one = {*ip, *ip};

	if (a->kind == ALIAS_ANY && source && s == NULL)
		return any_overlaps(
		    tailnet, sizeof(tailnet) / sizeof(tailnet[0]), &one);
	return alias_overlaps(a, &one) || (s != NULL && alias_is_subject(a, s));
}

bool
alias_is_internet(const struct alias *a)
{
	return a->kind == ALIAS_INTERNET || a->kind == ALIAS_ANY ||
	    (a->kind == ALIAS_ADDRESS && ip_prefix_is_default(&a->prefix));
}

bool
alias_is_outside(const struct alias *a)
{
	struct ip_range own;

	if (a->kind == ALIAS_INTERNET)
		return true;
	if (a->kind != ALIAS_ADDRESS)
		return false;
	own = ip_prefix_range(&a->prefix);
	for (size_t i = 0; i < sizeof(internet) / sizeof(internet[0]); i++)
		if (range_holds(&internet[i], &own))
			return true;
	return false;
}

/* True if the alias means one of the routes, but for the default ones. */
static bool
overlaps_routes(const struct alias *a, const struct policy_subject *s)
{
	for (size_t i = 0; i < s->nroutes; i++) {
		struct ip_range r;

		if (ip_prefix_is_default(&s->routes[i]))
			continue;
		r = ip_prefix_range(&s->routes[i]);
		if (alias_overlaps(a, &r))
			return true;
	}
	return false;
}

static bool
is_by_address(const struct alias *a, const struct policy_subject *s)
{
	struct ip_range ip4 = {s->ip4, s->ip4}, ip6 = {s->ip6, s->ip6};

	return alias_overlaps(a, &ip4) || alias_overlaps(a, &ip6) ||
	    overlaps_routes(a, s);
}

size_t
policy_words(const struct policy *p)
{
	return p->nrules == 0 ? 1 : (p->nrules + 63) / 64;
}

/* All rules of a list of sources, or none, are set. */
static void
set_sources(const struct policy *p, const struct sources *s, uint64_t *bits)
{
	uint32_t i = s->first_rule;

	if (i == POLICY_NONE || bit_get(bits, i))
		return;
	for (; i != POLICY_NONE; i = p->rules[i].next_of_sources)
		bit_set(bits, i);
}

void
policy_match(const struct policy *p, const struct policy_subject *s,
    const struct policy_bits *bits)
{
	memset(bits->src, 0, policy_words(p) * sizeof(*bits->src));
	memset(bits->dst, 0, policy_words(p) * sizeof(*bits->dst));
	for (size_t i = 0; i < p->naliases; i++) {
		const struct alias *a = &p->aliases[i];
		bool is;

		if (a->nsources == 0 && a->first_rule == POLICY_NONE)
			continue;
		is = alias_is_subject(a, s) || is_by_address(a, s);
		for (size_t j = 0; is && j < a->nsources; j++)
			set_sources(p, &p->sources[a->sources[j]], bits->src);
		if (!is &&
		    !(s->exit_node &&
			(alias_is_internet(a) || alias_is_outside(a))))
			continue;
		for (uint32_t r = a->first_rule; r != POLICY_NONE;
		     r = p->rules[r].next_of_dst)
			bit_set(bits->dst, r);
	}
}

bool
subject_same_user(
    const struct policy_subject *a, const struct policy_subject *b)
{
	return a->ntags == 0 && b->ntags == 0 && a->user_id == b->user_id;
}

/* The subject is a rule's destination as more than an exit node. */
static bool
is_destination(
    const struct policy *p, const struct policy_subject *s, uint32_t r)
{
	const struct alias *a = &p->aliases[p->rules[r].dst];

	return alias_is_subject(a, s) || is_by_address(a, s);
}

/* True if s is the destination of one of the rules in a word of bits. */
static bool
word_has_destination(const struct policy *p, const struct policy_subject *s,
    uint64_t bits, size_t word)
{
	for (; bits != 0; bits &= bits - 1)
		if (is_destination(p, s,
			(uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits))))
			return true;
	return false;
}

bool
policy_reaches(const struct policy *p, const struct policy_subject *a,
    const struct policy_bits *a_bits, const struct policy_subject *b,
    const struct policy_bits *b_bits)
{
	size_t words = policy_words(p);
	bool self = false;

	for (size_t i = 0; i < words; i++) {
		uint64_t common = a_bits->src[i] & b_bits->dst[i];
		/* Through an exit node, but no reason to see it. */
		uint64_t through = b->exit_node ? p->dst_outside[i] : 0;

		if ((common & ~p->self[i] & ~through) != 0 ||
		    word_has_destination(p, b, common & through, i))
			return true;
		self |= (common & p->self[i]) != 0;
	}
	return self && subject_same_user(a, b);
}

/* True if rule r, one of whose ends is the subject, has the route at the
 * other end. */
static bool
rule_has_route(const struct policy *p, uint32_t r, const struct ip_range *route,
    bool as_dst)
{
	const struct rule *rule = &p->rules[r];
	const struct sources *s = &p->sources[rule->sources];

	if (as_dst)
		return alias_overlaps(&p->aliases[rule->dst], route);
	for (size_t i = 0; i < s->n; i++)
		if (alias_overlaps(&p->aliases[s->aliases[i]], route))
			return true;
	return false;
}

/* True if one of the rules in a word of bits tells a of the route. */
static bool
word_has_route(const struct policy *p, const struct policy_subject *a,
    const struct ip_range *route, uint64_t bits, size_t word, bool as_dst)
{
	for (; bits != 0; bits &= bits - 1) {
		uint32_t r =
		    (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));

		if (rule_has_route(p, r, route, as_dst) &&
		    (as_dst || is_destination(p, a, r)))
			return true;
	}
	return false;
}

/* An exit node is of use only to those who may reach the internet. */
static bool
reaches_internet(const struct policy *p, const struct policy_bits *bits)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (bit_get(bits->src, i) &&
		    alias_is_internet(&p->aliases[p->rules[i].dst]) &&
		    p->entries[p->rules[i].entry].app == NULL)
			return true;
	return false;
}

bool
policy_reaches_route(const struct policy *p, const struct policy_subject *a,
    const struct policy_bits *a_bits, const struct ip_prefix *route)
{
	struct ip_range range = ip_prefix_range(route);
	size_t words = policy_words(p);

	if (ip_prefix_is_default(route))
		return reaches_internet(p, a_bits);
	/* To the route, or from it: the answers need the route as well. */
	for (size_t i = 0; i < words; i++)
		if (word_has_route(p, a, &range,
			a_bits->src[i] & p->dst_routes[i], i, true) ||
		    word_has_route(p, a, &range,
			a_bits->dst[i] & p->src_routes[i], i, false))
			return true;
	return false;
}

static bool
sources_have_addresses(const struct policy *p, const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		enum alias_kind kind = p->aliases[s->aliases[i]].kind;

		if (kind == ALIAS_ANY || kind == ALIAS_DANGER_ALL ||
		    kind == ALIAS_ADDRESS)
			return true;
	}
	return false;
}

static void
index_rule(struct policy *p, uint32_t i)
{
	struct rule *r = &p->rules[i];
	struct sources *s = &p->sources[r->sources];
	struct alias *dst = &p->aliases[r->dst];
	bool app = p->entries[r->entry].app != NULL;

	r->next_of_sources = s->first_rule;
	s->first_rule = i;
	r->next_of_dst = dst->first_rule;
	dst->first_rule = i;
	if (dst->kind == ALIAS_SELF)
		bit_set(p->self, i);
	if (dst->kind == ALIAS_ADDRESS || dst->kind == ALIAS_INTERNET ||
	    (dst->kind == ALIAS_ANY && !app))
		bit_set(p->dst_routes, i);
	if (alias_is_outside(dst) && !alias_is_internet(dst))
		bit_set(p->dst_outside, i);
	if (dst->kind != ALIAS_SELF && sources_have_addresses(p, s))
		bit_set(p->src_routes, i);
}

bool
policy_index(struct policy *p)
{
	size_t words = policy_words(p);

	p->self = calloc(words, sizeof(*p->self));
	p->dst_routes = calloc(words, sizeof(*p->dst_routes));
	p->src_routes = calloc(words, sizeof(*p->src_routes));
	p->dst_outside = calloc(words, sizeof(*p->dst_outside));
	if (p->self == NULL || p->dst_routes == NULL || p->src_routes == NULL ||
	    p->dst_outside == NULL)
		return false;
	/* Backwards, so that each list is in the order of the policy. */
	for (size_t i = p->nrules; i-- > 0;)
		index_rule(p, (uint32_t)i);
	return true;
}

/*
 * policy: who may reach whom. Reads a policy (huJSON, the form of Tailscale
 * and Headscale), compiles it, and answers questions about it. PURE: knows no
 * node list, socket, clock or store; what it needs of a node is a subject.
 *
 * Rules are numbered: rule r comes from one destination of one acl or grant.
 * Each subject has two sets of rules, as bits: those whose sources it is part
 * of, and those whose destinations. A may reach B if A's source bits and B's
 * destination bits have a rule in common: so that visibility of a pair costs
 * a few AND instructions, however many aliases the policy has.
 */
#ifndef COORDD_POLICY_H
#define COORDD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/ip.h"
#include "pure/text.h"

struct policy;

/* What a policy sees of a node. Everything is lent. */
struct policy_subject {
	const char *user; /* name of the owner, without '@' */
	uint64_t user_id;
	const char *const *tags; /* "tag:x"; tagged: the owner counts for
				  * nothing */
	size_t ntags;
	struct ip ip4, ip6;
	const struct ip_prefix *routes; /* approved and advertised */
	size_t nroutes;
	bool exit_node; /* both default routes are among them */
};

/* All nodes that there are, in any order. */
struct policy_world {
	const struct policy_subject *const *v;
	size_t n;
	/* True if a user of that name exists (arg is the caller's). NULL: any
	 * name is taken for one. */
	bool (*user_exists)(void *arg, const char *name);
	void *arg;
};

#define POLICY_ERROR_MAX 512

/*
 * Reads and checks a policy. Text of length 0 is the policy without rules of
 * its own: everybody may reach everybody. NULL, and one line in error that
 * begins with "line L, column C: ", if it is refused: no JSON, unknown or
 * double key, unknown alias, group, tag without owner, bad port ... The tests
 * inside the policy are not run yet (policy_test).
 */
struct policy *policy_parse(
    const char *text, size_t n, char error[static POLICY_ERROR_MAX]);
void policy_free(struct policy *p);

/* The text that was parsed, as it was given. */
const char *policy_source(const struct policy *p);

/* Runs the "tests" of the policy against the world (Tailscale's form: src,
 * proto, accept, deny). Users and tags without nodes are taken for ones with
 * a node. False and one line, with line and column, for the first that
 * fails. */
bool policy_test(const struct policy *p, const struct policy_world *w,
    char error[static POLICY_ERROR_MAX]);

/* Words of 64 rules each that a bit set of this policy has; at least 1. */
size_t policy_words(const struct policy *p);

/* The two bit sets of a subject, of policy_words each. A rule that is not in
 * dst has no part in the subject's filter. */
struct policy_bits {
	uint64_t *src, *dst;
};
void policy_match(const struct policy *p, const struct policy_subject *s,
    const struct policy_bits *bits);

/* True if a may begin to talk to b (in some port and protocol). Handles
 * autogroup:self, for which the pair matters. */
bool policy_reaches(const struct policy *p, const struct policy_subject *a,
    const struct policy_bits *a_bits, const struct policy_subject *b,
    const struct policy_bits *b_bits);

/* True if a may reach this route of b, or is reached from it: only then it is
 * told of it. A default route is for those who may reach the internet. */
bool policy_reaches_route(const struct policy *p,
    const struct policy_subject *a, const struct policy_bits *a_bits,
    const struct ip_prefix *route);

/*
 * Adds the packet filter of the receiver, a JSON array of Tailscale's
 * FilterRule, to out: `[{"SrcIPs":["100.64.0.1"],"DstPorts":[...]}]`; "[]"
 * denies everything. Rules are merged and reduced to what concerns the
 * receiver, as Headscale does (tests/policy/README.md). SrcIPs of a rule are
 * kept until they are forgotten, because many receivers share them.
 */
void policy_filter(struct policy *p, const struct policy_world *w,
    const struct policy_subject *receiver, const struct policy_bits *bits,
    struct text *out);

/* Forgets the kept SrcIPs of these rules: call it with the source bits of a
 * subject before and after it joined, left or changed. NULL: of all. */
void policy_forget(struct policy *p, const uint64_t *src_bits);

/*
 * Tells whether traffic from `src` to `dst` passes and which acl or grant
 * lets it: *line is that of its destination in the policy, 0 if none does (or
 * if there is no policy). proto 0: any of TCP and UDP; ICMP passes if any port
 * is open. dst may be an address that no node has, such as one behind a route
 * (then dst_subject is NULL).
 */
bool policy_explain(const struct policy *p, const struct policy_world *w,
    const struct policy_subject *src, const struct policy_subject *dst_subject,
    const struct ip *dst, uint16_t port, uint8_t proto, size_t *line);

/* tagOwners: may this user (name; already tagged nodes: their tags) put the
 * tag on a node? False also if the policy does not name the tag. */
bool policy_owns_tag(
    const struct policy *p, const struct policy_subject *s, const char *tag);
/* True if the policy names the tag at all, in tagOwners. */
bool policy_has_tag(const struct policy *p, const char *tag);

/* autoApprovers: is this advertised route of the subject approved by itself?
 * Default routes are asked by "exitNode". */
bool policy_approves(const struct policy *p, const struct policy_subject *s,
    const struct ip_prefix *route);

/* randomizeClientPort; nodeAttrs of the subject go to its CapMap: adds
 * `,"attr":[]` per attribute to out. */
void policy_attributes(
    const struct policy *p, const struct policy_subject *s, struct text *out);

#endif

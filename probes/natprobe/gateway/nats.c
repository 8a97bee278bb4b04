/* nats: how many NATs are in line, and from what one knows. PURE. */
#include <string.h>

#include "probes/natprobe/gateway/hops.h"

enum realm
realm_of(const struct ip *ip)
{
	static const struct {
		const char *prefix;
		enum realm realm;
	} all[] = {
	    {"10.0.0.0/8", REALM_PRIVATE_10},
	    {"172.16.0.0/12", REALM_PRIVATE_172},
	    {"192.168.0.0/16", REALM_PRIVATE_192},
	    {"100.64.0.0/10", REALM_SHARED},
	    /* RFC 7335: between a host and its own DS-Lite or 464XLAT. */
	    {"192.0.0.0/29", REALM_SHARED},
	    {"169.254.0.0/16", REALM_LINK},
	    {"fc00::/7", REALM_LOCAL},
	    {"fe80::/10", REALM_LINK},
	};
	struct ip_prefix p;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (ip_prefix_parse(&p, all[i].prefix, strlen(all[i].prefix)) &&
		    ip_prefix_has(&p, ip))
			return all[i].realm;
	return REALM_PUBLIC;
}

const char *
realm_name(enum realm r)
{
	static const char *const names[REALMS] = {
	    [REALM_PUBLIC] = "public",
	    [REALM_PRIVATE_10] = "private",
	    [REALM_PRIVATE_172] = "private",
	    [REALM_PRIVATE_192] = "private",
	    [REALM_SHARED] = "shared",
	    [REALM_LOCAL] = "private",
	    [REALM_LINK] = "link-local",
	};

	return names[r];
}

const char *
nats_evidence_name(unsigned bit)
{
	static const char *const names[NATS_EVIDENCES] = {
	    "own-address-is-seen",
	    "own-address-is-shared",
	    "router-tells-seen-address",
	    "router-tells-shared-address",
	    "router-tells-private-address",
	    "router-tells-other-address",
	    "pcp-address-mismatch",
	    "shared-address-on-the-way",
	    "other-private-network-on-the-way",
	    "same-private-network-on-the-way",
	    "public-addresses-on-the-way",
	};

	return names[bit];
}

const char *
sure_name(enum sure s)
{
	static const char *const names[] = {
	    [SURE_NOT] = "none",
	    [SURE_LOW] = "low",
	    [SURE_MEDIUM] = "medium",
	    [SURE_HIGH] = "high",
	};

	return names[s];
}

static bool
is_private(enum realm r)
{
	return r == REALM_PRIVATE_10 || r == REALM_PRIVATE_172 ||
	    r == REALM_PRIVATE_192 || r == REALM_LOCAL;
}

bool
nats_is_seen(const struct nats_facts *f, const struct ip *ip)
{
	for (unsigned i = 0; i < f->n_seen; i++)
		if (ip_compare(&f->seen[i], ip) == 0)
			return true;
	return false;
}

static unsigned
look_at_told(const struct nats_facts *f)
{
	unsigned e = f->mismatch ? NATS_ADDRESS_MISMATCH : 0;

	for (unsigned i = 0; i < f->n_told; i++) {
		enum realm r = realm_of(&f->told[i]);

		if (nats_is_seen(f, &f->told[i]))
			e |= NATS_ROUTER_TELLS_SEEN;
		else if (r == REALM_SHARED)
			e |= NATS_ROUTER_TELLS_SHARED;
		else if (is_private(r))
			e |= NATS_ROUTER_TELLS_PRIVATE;
		else
			e |= NATS_ROUTER_TELLS_OTHER;
	}
	return e;
}

/*
 * What lies beyond the first hop, which is on this host's own network. One
 * block of RFC 1918 on all of the way is a network with routers in it; another
 * block may be that, too, or the inside of a second NAT.
 */
static unsigned
look_at_hops(const struct nats_facts *f)
{
	enum realm own = realm_of(&f->local), r;
	unsigned e = 0;
	bool beyond = false, all_public = true;

	for (unsigned i = 0; f->hops != NULL && i < HOPS_MAX; i++) {
		if (f->hops->v[i].state != HOP_EXCEEDED)
			continue;
		r = realm_of(&f->hops->v[i].ip);
		if (r == REALM_SHARED && own != REALM_SHARED)
			e |= NATS_HOP_SHARED;
		if (i == 0)
			continue;
		beyond = true;
		all_public &= r == REALM_PUBLIC;
		if (is_private(r))
			e |= r == own ? NATS_HOPS_SAME_PRIVATE
				      : NATS_HOP_OTHER_PRIVATE;
	}
	return beyond && all_public ? e | NATS_HOPS_PUBLIC : e;
}

static enum answer
judge_carrier(unsigned e)
{
	if (e &
	    (NATS_OWN_ADDRESS_SHARED | NATS_ROUTER_TELLS_SHARED |
		NATS_HOP_SHARED))
		return ANSWER_YES;
	if (e & (NATS_OWN_ADDRESS_SEEN | NATS_ROUTER_TELLS_SEEN))
		return ANSWER_NO;
	return ANSWER_UNKNOWN;
}

/* Two, or how sure it is that it is only one. What the router tells counts
 * more than the way. */
static void
count(struct verdict_nats *v)
{
	unsigned e = v->evidence;

	v->count = 2;
	if (e &
	    (NATS_ADDRESS_MISMATCH | NATS_ROUTER_TELLS_SHARED |
		NATS_ROUTER_TELLS_PRIVATE))
		v->sure = SURE_HIGH;
	else if (e & NATS_ROUTER_TELLS_SEEN) {
		v->count = 1;
		v->sure = SURE_HIGH;
	} else if (e & NATS_HOP_SHARED)
		v->sure = SURE_HIGH;
	else if (e & NATS_ROUTER_TELLS_OTHER)
		v->sure = SURE_MEDIUM;
	else if (e & NATS_HOP_OTHER_PRIVATE)
		v->sure = SURE_LOW;
	else {
		v->count = 1;
		v->sure = e & NATS_HOPS_PUBLIC	 ? SURE_HIGH
		    : e & NATS_HOPS_SAME_PRIVATE ? SURE_MEDIUM
						 : SURE_LOW;
	}
}

struct verdict_nats
judge_nats(const struct nats_facts *f)
{
	struct verdict_nats v = {.carrier = ANSWER_UNKNOWN};

	if (f->n_seen == 0)
		return v;
	v.known = true;
	if (ip_compare(&f->local, &f->seen[0]) == 0) {
		v.sure = SURE_HIGH;
		v.evidence = NATS_OWN_ADDRESS_SEEN;
		v.carrier = ANSWER_NO;
		return v;
	}
	v.evidence = look_at_told(f) | look_at_hops(f);
	if (realm_of(&f->local) == REALM_SHARED)
		v.evidence |= NATS_OWN_ADDRESS_SHARED;
	count(&v);
	v.carrier = judge_carrier(v.evidence);
	return v;
}

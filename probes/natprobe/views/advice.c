/* advice: what to ask the network department for. PURE. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/views.h"

/* Relays send a keepalive each minute (DERP), and up to 5 s later. */
#define DERP_KEEPALIVE_S 65

struct list {
	struct wish *w;
	size_t n;
};

static void
add(struct list *l, const char *text)
{
	if (l->n < WISHES_MAX)
		snprintf(l->w[l->n++].text, WISH_MAX, "%s", text);
}

static void
wish_udp(struct list *l, const struct reading *r, bool v6)
{
	struct text t = TEXT_EMPTY;
	size_t shown = 0;

	text_fmt(
	    &t, "Allow UDP over %s to the STUN servers ", v6 ? "IPv6" : "IPv4");
	for (size_t i = 0; i < r->n_servers && shown < 3; i++)
		if (r->servers[i].v6 == v6)
			text_fmt(&t, "%s%s", shown++ == 0 ? "" : ", ",
			    r->servers[i].name);
	text_str(&t,
	    ", and from any to any port between the robots' networks; "
	    "none passes now, so all traffic takes the relay over "
	    "TCP.");
	if (!t.bad)
		add(l, t.p);
	text_clear(&t);
}

/* Why there is no UDP makes a difference. */
static void
wish_blocked(struct list *l, const struct reading *r, bool v6)
{
	if (r->path[v6].maybe_portal) {
		add(l,
		    "Except robots from the captive portal, if there is one: "
		    "nothing but TCP port 80 answers.");
		return;
	}
	switch (r->path[v6].blocked) {
	case REACH_SERVER_DOWN: /* nothing to ask of the network */
		return;
	case REACH_PORTAL: /* the building's wish */
		return;
	case REACH_PORT_BLOCKED:
		add(l,
		    "Allow UDP to the port of the STUN servers, 3478: other "
		    "ports pass.");
		return;
	case REACH_NO_NETWORK:
		add(l,
		    "Let TCP to port 443 of the relays out at the least: "
		    "nothing got through.");
		break;
	default:
		break;
	}
	wish_udp(l, r, v6);
}

static void
wish_mtu(struct list *l, const struct mtu_verdict *v)
{
	const struct mtu_way *out = &v->out, *in = &v->in;
	char text[WISH_MAX];

	if (v->fits == ANSWER_NO) {
		snprintf(text, sizeof(text),
		    "Raise the path MTU to %u bytes at least, as Tailscale's "
		    "packets need; now %u pass outbound and %u inbound.",
		    v->needs, out->passes, in->passes);
		add(l, text);
	}
	if (out->word == MTU_BLACK_HOLE || in->word == MTU_BLACK_HOLE) {
		snprintf(text, sizeof(text),
		    "Let ICMP \"fragmentation needed\" (type 3, code 4) and "
		    "ICMPv6 \"packet too big\" pass (RFC 4787 REQ-13, RFC "
		    "4890): %s packets larger than %u bytes vanish, and who "
		    "sends them is not told.",
		    out->word == MTU_BLACK_HOLE ? "outbound" : "inbound",
		    out->word == MTU_BLACK_HOLE ? out->passes : in->passes);
		add(l, text);
	}
	if (v->fragments_out == ANSWER_NO || v->fragments_in == ANSWER_NO)
		add(l,
		    v->fragments_out == ANSWER_NO
			? "Let fragments of UDP packets pass (RFC 4787 "
			  "REQ-14): outbound ones are dropped."
			: "Let fragments of UDP packets pass (RFC 4787 "
			  "REQ-14): inbound ones are dropped.");
}

static void
wish_path(struct list *l, const struct reading *r, bool v6)
{
	wish_mtu(l, &r->path[v6].mtu);
	if (r->path[v6].alg == ANSWER_YES)
		add(l,
		    "Switch the application layer gateway for UDP off (RFC "
		    "4787 REQ-10): it rewrites addresses within packets.");
}

static void
wish_life(struct list *l, const struct verdicts *v)
{
	struct verdict_life life = life_shortest(v);
	char text[WISH_MAX];

	if (life.high == 0 || life.high > LIFE_LEAST_S)
		return;
	snprintf(text, sizeof(text),
	    "Raise the UDP timeout to 300 s, or 120 s at the least (RFC 4787 "
	    "REQ-5); a mapping lives %.0f to %.0f s now%s.",
	    life.low, life.high,
	    life.low < KEEP_LONGEST_S
		? ", which is less than what keepalives rely on, so idle "
		  "connections break"
		: "");
	add(l, text);
}

static void
wish_mapping(struct list *l, const struct verdicts *v)
{
	if (is_dependent(v->mapping.kind))
		add(l,
		    "Map UDP endpoint-independently (RFC 4787 REQ-1; vendors "
		    "call it EIM, full cone NAT, persistent NAT or "
		    "\"consistent NAT\"): a host's port should look the same "
		    "to every destination. Now each destination sees another "
		    "one, and no direct connection to a building with a "
		    "strict filter is possible. The filter may stay as it is.");
	if (v->poison.poisonable == ANSWER_YES)
		add(l,
		    "Drop unsolicited UDP to the gateway's own address (on "
		    "Linux: drop in the INPUT chain) instead of accepting it. "
		    "Now a packet that comes in early takes the "
		    "port away from the host (RFC 4787 REQ-11).");
	if (v->collision.until_collision == ANSWER_YES)
		add(l,
		    "Do not give one external port to two hosts (RFC 4787 "
		    "REQ-3). Until then, give robots different source ports "
		    "(tailscaled --port).");
	if (v->mapping.pool_varies || v->alloc.addresses > 1)
		add(l,
		    "Pair addresses: all connections of a host should leave "
		    "from one external address (RFC 4787 REQ-2).");
}

static void
wish_nats(struct list *l, const struct verdict_router *r)
{
	if (r->carrier == ANSWER_YES)
		add(l,
		    "Give this network a public IPv4 address, or IPv6: it is "
		    "behind a carrier's NAT (100.64.0.0/10), shared with "
		    "strangers, in which nobody here can open a port.");
	else if (r->nats > 1 && !r->guessed)
		add(l,
		    "Translate addresses once: at least two NATs are in line "
		    "here, so the strictest of both decides, and a port that "
		    "is opened at the inner one is of no use. Let the inner "
		    "one route, or give it a public address.");
}

/* The next best thing to a mapping for all, if the router is the only NAT. */
static void
wish_ports(
    struct list *l, const struct verdicts *v, const struct reading_router *r)
{
	bool speaks = false;

	for (int i = 0; i < PORT_PROTOCOLS; i++)
		speaks |= r->speaks[i] == ANSWER_YES;
	if (!r->found || v->router.nats > 1 || v->router.carrier == ANSWER_YES)
		return;
	if (is_dependent(v->mapping.kind) && !speaks)
		add(l,
		    "Or let the router open ports on demand (PCP, NAT-PMP or "
		    "UPnP), as Tailscale's clients ask for: then the mapping "
		    "may stay as it is.");
	if (speaks && v->router.mapping_works == ANSWER_NO)
		add(l,
		    "See to the router's ports on demand (PCP, NAT-PMP, "
		    "UPnP): it speaks of them, but none could be opened that "
		    "packets from outside come in by.");
}

static void
wish_tcp(struct list *l, const struct verdict_tcp *v)
{
	const struct verdict_life *life = &v->life;
	char text[WISH_MAX];

	if (is_dependent(v->mapping.kind))
		add(l,
		    "Map TCP endpoint-independently, too (RFC 5382 REQ-1): "
		    "now each destination sees another port.");
	if (life->high == 0 || life->high > TCP_LIFE_LEAST_S)
		return;
	snprintf(text, sizeof(text),
	    "Raise the timeout of idle TCP connections to 7440 s (RFC 5382 "
	    "REQ-5); one lives %.0f to %.0f s now%s.",
	    life->low, life->high,
	    life->low < DERP_KEEPALIVE_S
		? ", which is less than relays' keepalive of 60 s, so that "
		  "idle connections to relays break"
		: "");
	add(l, text);
}

size_t
wishes(const struct reading *r, bool v6, struct wish w[static WISHES_MAX])
{
	const struct verdicts *v = &r->site.v[v6];
	struct list l = {.w = w};

	if (!r->site.asked[v6])
		return 0;
	if (v->udp == ANSWER_NO) {
		wish_blocked(&l, r, v6);
		wish_tcp(&l, &r->tcp[v6]);
		return l.n;
	}
	wish_mapping(&l, v);
	wish_life(&l, v);
	wish_ports(&l, v, &r->router[v6]);
	wish_nats(&l, &v->router);
	wish_path(&l, r, v6);
	if (v->refresh.outbound == ANSWER_NO)
		add(&l,
		    "Let packets from inside refresh a mapping (RFC 4787 "
		    "REQ-6).");
	if (v->hairpin.kind == HAIRPIN_NO)
		add(&l,
		    "Support hairpinning (RFC 4787 REQ-9), or route "
		    "between the buildings behind this NAT: hosts behind "
		    "it cannot reach each other by their external "
		    "addresses.");
	if (v->hairpin.kind == HAIRPIN_INTERNAL)
		add(&l,
		    "Hairpin with the external source address (RFC 4787 "
		    "REQ-9a).");
	wish_tcp(&l, &r->tcp[v6]);
	return l.n;
}

/* ---- of a building ---- */

/* One that keeps UDP back, or answers for a relay. */
enum answer
portal_of(const struct reading *r)
{
	enum answer portal = ANSWER_UNKNOWN;

	for (int v6 = 0; v6 < 2; v6++)
		if (r->path[v6].blocked == REACH_PORTAL)
			return ANSWER_YES;
	for (size_t i = 0; i < r->n_relays; i++)
		if (r->relays[i].portal == ANSWER_YES)
			return ANSWER_YES;
		else if (r->relays[i].portal == ANSWER_NO)
			portal = ANSWER_NO;
	return portal;
}

static void
wish_proxy(struct list *l, const struct reading_proxy *p)
{
	if (p->word == PROXY_WANTS_AUTH)
		add(l,
		    "Let robots reach the relays without the proxy, or give "
		    "them a name and a password for it: it refuses them now.");
	else if (p->word == PROXY_REFUSES || p->word == PROXY_UNREACHABLE ||
	    p->word == PROXY_NONE)
		add(l,
		    "Let the proxy pass CONNECT to the relays, or let robots "
		    "reach these without it: the proxy that is set does not "
		    "help.");
	else if (p->word == PROXY_RELAY_FAILS)
		add(l,
		    "Have the proxy leave the relays' TLS alone: relays fail "
		    "behind it, as they do if it breaks TLS open.");
	else if (p->needed == ANSWER_YES)
		add(l,
		    "Let TCP to the relays out without the proxy: they are "
		    "reached by it alone, so each robot needs https_proxy, "
		    "and stands still when the proxy does.");
}

size_t
building_wishes(const struct reading *r, struct wish w[static WISHES_MAX])
{
	struct list l = {.w = w};

	if (portal_of(r) == ANSWER_YES)
		add(&l,
		    "Except robots from the captive portal: they cannot log "
		    "in.");
	wish_proxy(&l, &r->proxy);
	if (r->dns.nonexistent == DNS_REWRITTEN)
		add(&l,
		    "Have the resolver tell the truth about names that do not "
		    "exist: it gives them an address.");
	if (r->dns.differs)
		add(&l,
		    "Have the resolver tell the relays' addresses as they "
		    "are: it tells others than the map does. Or is the map "
		    "old?");
	return l.n;
}

/*
 * advice: verdicts against RFC 4787 (UDP) and RFC 5382 (TCP), and what to ask the network
 * department for. PURE.
 */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/views.h"

/* REQ-5: no less than two minutes. */
#define LIFE_LEAST_S 120
/* RFC 5382 REQ-5: 2 hours 4 minutes, for an established connection. */
#define TCP_LEAST_S 7440
/* Relays send a keepalive each minute (DERP), and up to 5 s later. */
#define DERP_KEEPALIVE_S 65

/* ---- the sheet ---- */

static void
judge_as(struct requirement *r, enum judgement result, const char *found)
{
	r->result = result;
	snprintf(r->found, sizeof(r->found), "%s", found);
}

static void
judge_unknown(struct requirement *r, enum reason why)
{
	judge_as(r, JUDGED_UNKNOWN, reason_words(why));
}

static bool
is_dependent(enum behaviour b)
{
	return b == BEHAVIOUR_AD || b == BEHAVIOUR_APD || b == BEHAVIOUR_PD ||
	    b == BEHAVIOUR_DEPENDENT;
}

static void
judge_mapping_of(struct requirement *r, const struct verdict_mapping *m)
{
	if (m->kind == BEHAVIOUR_NONE)
		judge_as(r, JUDGED_PASS, "no NAT");
	else if (m->kind == BEHAVIOUR_EI || is_dependent(m->kind))
		judge_as(r, m->kind == BEHAVIOUR_EI ? JUDGED_PASS : JUDGED_FAIL,
		    behaviour_name(m->kind));
	else
		judge_unknown(r, m->why);
}

static void
judge_pool_of(struct requirement *r, const struct verdicts *v)
{
	if (v->mapping.pool_varies)
		judge_as(r, JUDGED_FAIL, "another address for another server");
	else if (v->alloc.addresses > 1)
		judge_as(r, JUDGED_FAIL, "one host gets several addresses");
	else if (v->alloc.addresses == 1)
		judge_as(r, JUDGED_PASS, "one address");
	else
		judge_unknown(r, v->alloc.why);
}

static void
judge_overload_of(struct requirement *r, const struct verdict_collision *c)
{
	if (c->until_collision == ANSWER_UNKNOWN)
		judge_unknown(r, c->why);
	else if (c->until_collision == ANSWER_YES)
		judge_as(r, JUDGED_FAIL, "two hosts got the same port");
	else
		judge_as(r, JUDGED_PASS, "two hosts got two ports");
}

static void
judge_parity_of(struct requirement *r, const struct verdict_alloc *a)
{
	if (a->units == 0)
		judge_unknown(r, a->why);
	else
		judge_as(r, a->parity == a->units ? JUDGED_PASS : JUDGED_FAIL,
		    a->parity == a->units ? "kept" : "not kept");
}

struct verdict_life
life_shortest(const struct verdicts *v)
{
	const struct verdict_life *one = &v->life[LIFE_SINGLE];
	const struct verdict_life *two = &v->life[LIFE_EXCHANGE];

	return one->low > 0 && (two->low == 0 || one->low < two->low) ? *one
								      : *two;
}

static void
judge_life_of(struct requirement *r, const struct verdicts *v)
{
	struct verdict_life l = life_shortest(v);

	if (l.low >= LIFE_LEAST_S)
		r->result = JUDGED_PASS;
	else if (l.high > 0 && l.high <= LIFE_LEAST_S)
		r->result = JUDGED_FAIL;
	else if (l.high == 0) {
		judge_unknown(r, l.why);
		return;
	}
	snprintf(r->found, sizeof(r->found),
	    l.high > 0 ? "%.0f to %.0f s" : "%.0f s or longer", l.low, l.high);
}

static void
judge_refresh_of(struct requirement *r, const struct verdict_refresh *f)
{
	if (f->outbound == ANSWER_UNKNOWN)
		judge_unknown(r, f->why);
	else if (f->outbound == ANSWER_NO)
		judge_as(r, JUDGED_FAIL, "packets from inside do not refresh");
	else
		judge_as(r, JUDGED_PASS, "packets from inside refresh");
}

static void
judge_filter_of(struct requirement *r, const struct verdict_filter *f)
{
	bool good = f->kind == BEHAVIOUR_EI || f->kind == BEHAVIOUR_AD ||
	    f->kind == BEHAVIOUR_NONE;

	if (f->kind == BEHAVIOUR_UNKNOWN || f->kind == BEHAVIOUR_MIXED)
		judge_unknown(r, f->why);
	else
		judge_as(r, good ? JUDGED_PASS : JUDGED_FAIL,
		    behaviour_name(f->kind));
}

static void
judge_hairpin_of(struct requirement *r, const struct verdict_hairpin *h)
{
	if (h->why == REASON_NO_NAT)
		judge_as(r, JUDGED_PASS, "no NAT");
	else if (h->kind == HAIRPIN_UNKNOWN)
		judge_unknown(r, h->why);
	else if (h->kind == HAIRPIN_EXTERNAL)
		judge_as(r, JUDGED_PASS, "works");
	else
		judge_as(r, JUDGED_FAIL,
		    h->kind == HAIRPIN_NO
			? "nothing comes back in"
			: "shows the internal source (REQ-9a)");
}

static void
judge_steady_of(struct requirement *r, const struct verdicts *v)
{
	if (v->poison.poisonable == ANSWER_YES)
		judge_as(r, JUDGED_FAIL, "an early packet changes the mapping");
	else if (v->collision.until_collision == ANSWER_YES)
		judge_as(r, JUDGED_FAIL, "a second host's port changes it");
	else if (v->mapping.kind == BEHAVIOUR_MIXED)
		judge_as(r, JUDGED_FAIL, "sockets are treated differently");
	else if (v->poison.poisonable == ANSWER_UNKNOWN &&
	    v->mapping.kind != BEHAVIOUR_NONE)
		judge_unknown(r, v->poison.why);
	else
		judge_as(r, JUDGED_PASS, "no change seen");
}

void
requirements(
    const struct verdicts *v, struct requirement r[static REQUIREMENTS])
{
	static const struct requirement rows[REQUIREMENTS] = {
	    {"REQ-1", "endpoint-independent mapping", 0, ""},
	    {"REQ-2", "all of a host's ports at one address", 0, ""},
	    {"REQ-3", "a port is not given to two hosts", 0, ""},
	    {"REQ-4", "even ports stay even, odd odd", 0, ""},
	    {"REQ-5", "mappings live two minutes or longer", 0, ""},
	    {"REQ-6", "packets from inside keep a mapping alive", 0, ""},
	    {"REQ-8", "endpoint-independent or address-dependent filtering", 0,
		""},
	    {"REQ-9", "hairpinning, with the external source", 0, ""},
	    {"REQ-11", "behaviour does not change under way", 0, ""},
	};

	memcpy(r, rows, sizeof(rows));
	if (v->udp != ANSWER_YES) {
		for (size_t i = 0; i < REQUIREMENTS; i++)
			judge_as(&r[i], JUDGED_UNKNOWN, "no UDP passes");
		return;
	}
	judge_mapping_of(&r[0], &v->mapping);
	judge_pool_of(&r[1], v);
	judge_overload_of(&r[2], &v->collision);
	judge_parity_of(&r[3], &v->alloc);
	judge_life_of(&r[4], v);
	judge_refresh_of(&r[5], &v->refresh);
	judge_filter_of(&r[6], &v->filter);
	judge_hairpin_of(&r[7], &v->hairpin);
	judge_steady_of(&r[8], v);
}

/* Shorter than asked for is shown by any that died; as long, by none that
 * natprobe can wait for. */
static void
judge_tcp_life_of(struct requirement *r, const struct verdict_life *l)
{
	if (l->high > 0) {
		r->result = l->high <= TCP_LEAST_S ? JUDGED_FAIL : JUDGED_PASS;
		snprintf(r->found, sizeof(r->found), "%.0f to %.0f s", l->low,
		    l->high);
	} else if (l->low > 0)
		snprintf(r->found, sizeof(r->found), "%.0f s or longer; %s",
		    l->low, reason_words(l->why));
	else
		judge_unknown(r, l->why);
}

void
tcp_requirements(
    const struct verdict_tcp *v, struct requirement r[static TCP_REQUIREMENTS])
{
	static const struct requirement rows[TCP_REQUIREMENTS] = {
	    {"REQ-1", "endpoint-independent mapping", 0, ""},
	    {"REQ-3", "endpoint-independent or address-dependent filtering", 0,
		""},
	    {"REQ-5", "idle connections live 2 h 4 min or longer", 0, ""},
	};

	memcpy(r, rows, sizeof(rows));
	judge_mapping_of(&r[0], &v->mapping);
	judge_unknown(&r[1], REASON_NO_ASKER);
	judge_tcp_life_of(&r[2], &v->life);
}

/* ---- what to ask for ---- */

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
	switch (r->path[v6].blocked) {
	case REACH_SERVER_DOWN: /* nothing to ask of the network */
		return;
	case REACH_PORTAL:
		add(l,
		    "Except robots from the captive portal: they cannot log "
		    "in.");
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
	if (r->dns_rewritten && (!v6 || !r->site.asked[false]))
		add(l,
		    "Have the resolver tell the truth about names that do not "
		    "exist: it gives them an address.");
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

static void
wish_tcp(struct list *l, const struct verdict_tcp *v)
{
	const struct verdict_life *life = &v->life;
	char text[WISH_MAX];

	if (is_dependent(v->mapping.kind))
		add(l,
		    "Map TCP endpoint-independently, too (RFC 5382 REQ-1): "
		    "now each destination sees another port.");
	if (life->high == 0 || life->high > TCP_LEAST_S)
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

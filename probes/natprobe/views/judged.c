/*
 * judged: what was measured, against RFC 4787 (UDP) and RFC 5382 (TCP), one
 * requirement after the other. PURE. What is known of a part of a requirement
 * is "partly" met, and says which part.
 */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/views.h"

const char *
judgement_words(enum judgement j)
{
	static const char *const words[JUDGEMENTS] = {
	    [JUDGED_UNKNOWN] = "unknown",
	    [JUDGED_NEVER] = "not tried",
	    [JUDGED_UNTRIED] = "not tried",
	    [JUDGED_PASS] = "met",
	    [JUDGED_PARTLY] = "partly",
	    [JUDGED_FAIL] = "NOT MET",
	};

	return words[j];
}

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

/* option: which has it tried. */
static void
judge_missing(struct requirement *r, enum reason why, const char *option)
{
	if (why == REASON_NOT_ASKED)
		judge_as(r, JUDGED_UNTRIED, option);
	else
		judge_unknown(r, why);
}

bool
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
		judge_missing(r, c->why, "natprobe -second-address tries it");
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
		judge_missing(r, l.why, "natprobe -lifetime measures it");
		return;
	}
	snprintf(r->found, sizeof(r->found),
	    l.high > 0 ? "%.0f to %.0f s" : "%.0f s or longer", l.low, l.high);
}

static void
judge_refresh_of(struct requirement *r, const struct verdict_refresh *f)
{
	if (f->outbound == ANSWER_UNKNOWN)
		judge_missing(r, f->why, "natprobe -refresh measures it");
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
		judge_missing(r, h->why, "natprobe -hairpin tries it");
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

/* ---- RFC 4787: the way ---- */

/* STUN is the one protocol of which both ends are known here. */
static void
judge_alg_of(struct requirement *r, const struct reading *result, bool v6)
{
	enum answer alg = result->path[v6].alg;

	for (size_t i = 0; i < result->n_servers; i++)
		if (result->servers[i].v6 == v6 && result->servers[i].rewritten)
			alg = ANSWER_YES;
	if (alg == ANSWER_YES)
		judge_as(r, JUDGED_FAIL,
		    "addresses in STUN's answers are rewritten");
	else if (alg == ANSWER_NO)
		judge_as(r, JUDGED_PARTLY,
		    "STUN's answers are left alone; of other protocols nothing "
		    "is known");
	else
		judge_as(r, JUDGED_UNKNOWN,
		    "no server told its address in both ways");
}

/* Only the recommendation b) shows from here: whether an error ends a mapping
 * would take one that is forged, for a mapping that must stay. */
static void
judge_icmp_of(struct requirement *r, const struct reading *result, bool v6)
{
	const struct reading_path *p = &result->path[v6];

	if (result->site.v[v6].mapping.kind == BEHAVIOUR_NONE)
		judge_as(r, JUDGED_PASS, "no NAT");
	else if (!p->has_way)
		judge_as(
		    r, JUDGED_UNTRIED, "natprobe -trace looks for ICMP errors");
	else if (p->closed_said > 0)
		judge_as(r, JUDGED_PARTLY,
		    "\"unreachable\" comes in (12b); that it ends no mapping "
		    "was not tried");
	else if (p->icmp == ANSWER_YES)
		judge_as(r, JUDGED_PARTLY,
		    "\"time exceeded\" comes in; that it ends no mapping was "
		    "not tried");
	else
		judge_as(r, JUDGED_UNKNOWN,
		    "no ICMP error came in, but maybe nobody sent one");
}

static void
judge_too_big_of(struct requirement *r, const struct reading_path *p)
{
	const struct mtu_way *out = &p->mtu.out;

	switch (out->word) {
	case MTU_TOLD:
		r->result = JUDGED_PASS;
		snprintf(r->found, sizeof(r->found),
		    "who sends more than %u bytes is told", out->passes);
		break;
	case MTU_BLACK_HOLE:
		r->result = JUDGED_FAIL;
		snprintf(r->found, sizeof(r->found),
		    "packets over %u bytes vanish, and nobody is told",
		    out->passes);
		break;
	case MTU_FULL:
	case MTU_LINK:
		r->result = JUDGED_UNTRIED;
		snprintf(r->found, sizeof(r->found),
		    out->word == MTU_FULL
			? "nothing was too big: %u bytes pass"
			: "nothing was too big: this host's own link takes no "
			  "more than %u bytes",
		    out->passes);
		break;
	default:
		judge_as(r, p->has_mtu ? JUDGED_UNKNOWN : JUDGED_UNTRIED,
		    p->has_mtu ? "too few answers, or no STUN server"
			       : "natprobe -path tries it");
	}
}

static const char *
fragments_words(const char *why)
{
	static const struct {
		const char *why, *text;
	} all[] = {
	    {"outbound-ones-are-lost", "outbound ones are lost"},
	    {"path-mtu-is-smaller", "the path MTU is smaller than they are"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(why, all[i].why) == 0)
			return all[i].text;
	for (unsigned i = 0; i < REASONS; i++)
		if (strcmp(why, reason_name((enum reason)i)) == 0)
			return reason_words((enum reason)i);
	return reason_words(REASON_NONE);
}

/* Out of order they can be sent with privileges alone. */
static void
judge_fragments_of(struct requirement *r, const struct reading_path *p)
{
	enum answer out = p->mtu.fragments_out, in = p->mtu.fragments_in;

	if (!p->has_mtu)
		judge_as(r, JUDGED_UNTRIED, "natprobe -path tries it");
	else if (out == ANSWER_NO || in == ANSWER_NO)
		judge_as(r, JUDGED_FAIL,
		    out == ANSWER_NO ? "outbound ones are dropped"
				     : "inbound ones are dropped");
	else if (out == ANSWER_YES && in == ANSWER_YES)
		judge_as(r, JUDGED_PARTLY,
		    "both ways in order; out of order was not tried, as it "
		    "needs privileges");
	else if (strcmp(p->mtu.why_out, "passes-whole") == 0)
		judge_as(r, JUDGED_UNTRIED,
		    "no fragments: 2000 bytes pass in one piece");
	else if (out == ANSWER_UNKNOWN && in == ANSWER_UNKNOWN)
		judge_as(r, JUDGED_UNKNOWN, fragments_words(p->mtu.why_out));
	else {
		r->result = JUDGED_PARTLY;
		snprintf(r->found, sizeof(r->found),
		    "%s in order; %s not known: %s",
		    out == ANSWER_YES ? "outbound" : "inbound",
		    out == ANSWER_YES ? "inbound" : "outbound",
		    fragments_words(
			out == ANSWER_YES ? p->mtu.why_in : p->mtu.why_out));
	}
}

/* ---- RFC 4787: all ---- */

/* By their numbers. */
enum {
	REQ_MAPPING,
	REQ_POOL,
	REQ_OVERLOAD,
	REQ_PARITY,
	REQ_LIFE,
	REQ_REFRESH,
	REQ_INTERFACES,
	REQ_FILTER,
	REQ_HAIRPIN,
	REQ_ALG,
	REQ_STEADY,
	REQ_ICMP,
	REQ_TOO_BIG,
	REQ_FRAGMENTS,
};

static void
judge_udp(const struct verdicts *v, struct requirement *list)
{
	judge_mapping_of(&list[REQ_MAPPING], &v->mapping);
	judge_pool_of(&list[REQ_POOL], v);
	judge_overload_of(&list[REQ_OVERLOAD], &v->collision);
	judge_parity_of(&list[REQ_PARITY], &v->alloc);
	judge_life_of(&list[REQ_LIFE], v);
	judge_refresh_of(&list[REQ_REFRESH], &v->refresh);
	judge_filter_of(&list[REQ_FILTER], &v->filter);
	judge_hairpin_of(&list[REQ_HAIRPIN], &v->hairpin);
	judge_steady_of(&list[REQ_STEADY], v);
}

void
requirements(const struct reading *r, bool v6,
    struct requirement list[static REQUIREMENTS])
{
	static const struct requirement rows[REQUIREMENTS] = {
	    {"REQ-1", "endpoint-independent mapping", 0, ""},
	    {"REQ-2", "all of a host's ports at one address", 0, ""},
	    {"REQ-3", "a port is not given to two hosts", 0, ""},
	    {"REQ-4", "even ports stay even, odd odd", 0, ""},
	    {"REQ-5", "mappings live two minutes or longer", 0, ""},
	    {"REQ-6", "packets from inside keep a mapping alive", 0, ""},
	    {"REQ-7", "inside and outside addresses may overlap", JUDGED_NEVER,
		"cannot be seen from inside"},
	    {"REQ-8", "endpoint-independent or address-dependent filtering", 0,
		""},
	    {"REQ-9", "hairpinning, with the external source", 0, ""},
	    {"REQ-10", "no gateway rewrites what packets say (ALG)", 0, ""},
	    {"REQ-11", "behaviour does not change under way", 0, ""},
	    {"REQ-12", "ICMP errors come in, and end no mapping", 0, ""},
	    {"REQ-13", "who sends too big packets is told (ICMP)", 0, ""},
	    {"REQ-14", "fragments pass, in any order", 0, ""},
	};
	const struct verdicts *v = &r->site.v[v6];

	memcpy(list, rows, sizeof(rows));
	if (v->udp == ANSWER_YES) {
		judge_udp(v, list);
		judge_alg_of(&list[REQ_ALG], r, v6);
		judge_too_big_of(&list[REQ_TOO_BIG], &r->path[v6]);
		judge_fragments_of(&list[REQ_FRAGMENTS], &r->path[v6]);
	} else
		for (size_t i = 0; i < REQUIREMENTS; i++)
			if (i != REQ_INTERFACES)
				judge_as(
				    &list[i], JUDGED_UNKNOWN, "no UDP passes");
	judge_icmp_of(&list[REQ_ICMP], r, v6);
}

/* ---- RFC 5382 ---- */

/* From inside, with a server that answers. */
static void
judge_open_of(struct requirement *r, const struct verdict_tcp *v)
{
	if (v->works == ANSWER_YES)
		judge_as(r, JUDGED_PARTLY,
		    "connections from inside work; simultaneous open was not "
		    "tried");
	else
		judge_unknown(r, v->why);
}

/* Shorter than asked for is shown by any that died; as long, by none that
 * natprobe can wait for. */
static void
judge_tcp_life_of(struct requirement *r, const struct verdict_life *l)
{
	if (l->high > 0) {
		r->result =
		    l->high <= TCP_LIFE_LEAST_S ? JUDGED_FAIL : JUDGED_PASS;
		snprintf(r->found, sizeof(r->found), "%.0f to %.0f s", l->low,
		    l->high);
	} else if (l->low >= TCP_LIFE_LEAST_S) {
		r->result = JUDGED_PASS;
		snprintf(
		    r->found, sizeof(r->found), "%.0f s or longer", l->low);
	} else if (l->low > 0)
		snprintf(r->found, sizeof(r->found), "%.0f s or longer; %s",
		    l->low, reason_words(l->why));
	else
		judge_missing(r, l->why, "natprobe -tcp-lifetime measures it");
}

void
tcp_requirements(const struct reading *r, bool v6,
    struct requirement list[static TCP_REQUIREMENTS])
{
	static const struct requirement rows[TCP_REQUIREMENTS] = {
	    {"REQ-1", "endpoint-independent mapping", 0, ""},
	    {"REQ-2", "connections open from either side, and from both", 0,
		""},
	    {"REQ-3", "endpoint-independent or address-dependent filtering",
		JUDGED_NEVER, "no STUN server opens connections to clients"},
	    {"REQ-4", "an unsolicited SYN is not answered for 6 s",
		JUDGED_NEVER, "no STUN server opens connections to clients"},
	    {"REQ-5", "idle connections live 2 h 4 min or longer", 0, ""},
	    {"REQ-6", "no gateway rewrites what is said (ALG)", JUDGED_NEVER,
		"natprobe does not try it over TCP"},
	    {"REQ-7", "a port is not given to two hosts", JUDGED_NEVER,
		"natprobe does not try it over TCP"},
	    {"REQ-8", "hairpinning, with the external source", JUDGED_NEVER,
		"natprobe does not try it over TCP"},
	    {"REQ-9", "\"unreachable\" is translated (ICMP)", JUDGED_NEVER,
		"natprobe does not try it over TCP"},
	    {"REQ-10", "ICMP errors end no mapping, no connection",
		JUDGED_NEVER, "needs a forged error, so privileges"},
	};
	const struct verdict_tcp *v = &r->tcp[v6];

	memcpy(list, rows, sizeof(rows));
	judge_mapping_of(&list[0], &v->mapping);
	judge_open_of(&list[1], v);
	judge_tcp_life_of(&list[4], &v->life);
}

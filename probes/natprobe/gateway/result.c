/* result: the router and the way to the servers as JSON; the schema is in
 * docs/natprobe.md. */
#include <string.h>

#include "probes/natprobe/gateway/gateway.h"

static json_t *
json_of_ip(const struct ip *ip, bool there)
{
	char text[IP_TEXT_MAX];

	return there ? json_string(ip_text(ip, text)) : json_null();
}

static json_t *
json_of_ip_addr(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	return a->len == 0 ? json_null() : json_string(addr_ip_text(a, text));
}

static json_t *
json_of_text(const char *s)
{
	return s == NULL || *s == '\0' ? json_null() : json_string(s);
}

/* ---- the router ---- */

static json_t *
mapping_json(const struct mapping *m, bool permanent_only)
{
	bool granted = m->state == MAPPING_GRANTED || m->state == MAPPING_GONE;
	struct stun_addr to = {.port = m->external_port};

	if (m->state == MAPPING_NONE)
		return json_null();
	if (!granted)
		return json_pack("{s:b, s:s?, s:i}", "granted", 0, "why",
		    m->why, "code", m->code);
	memcpy(to.ip, m->external.b, sizeof(to.ip));
	return json_pack("{s:b, s:o, s:i, s:I, s:b, s:s, s:o, s:b, s:s?}",
	    "granted", 1, "external",
	    m->has_external ? json_of_addr(&to) : json_null(), "port",
	    (int)m->external_port, "lifetime_s", (json_int_t)m->lifetime_s,
	    "permanent_only", permanent_only, "seen_from_outside",
	    m->seen == SEEN_YES	     ? "yes"
		: m->seen == SEEN_NO ? "no"
				     : "unknown",
	    "why", json_of_text(seen_name(m->seen)), "removed", m->removed,
	    "why_left", m->why_left);
}

static json_t *
pcp_json(const struct router *r, int i)
{
	const struct pcp *p = &r->pcp[i];
	const struct pcp_exchange *x = &p->steps[PCP_ASK];
	bool answered = x->state == PCP_ANSWERED;

	if (!r->pcp_used[i])
		return json_null();
	return json_pack("{s:s, s:s?, s:o, s:o, s:i, s:o}", "answers",
	    pcp_is_spoken(p) ? "yes" : "no", "result",
	    answered ? pcp_result_name(p->protocol, x->answer.result)
		: x->state == PCP_CLOSED ? "port-closed"
					 : NULL,
	    "epoch",
	    pcp_is_spoken(p) ? json_integer(x->answer.epoch) : json_null(),
	    "external", json_of_ip(&x->answer.external, x->answer.has_external),
	    "odd_answers", (int)p->odd, "mapping",
	    mapping_json(&r->mappings[i], false));
}

static const char *
upnp_why(const struct router *r)
{
	if (r->ssdp_from.len == 0)
		return r->ssdp_elsewhere ? "names-another-host" : NULL;
	return igd_fault_name(r->igd.fault);
}

static json_t *
upnp_json(const struct router *r)
{
	const struct igd_report *g = &r->igd;

	if (r->ssdp_fd == -1)
		return json_null();
	return json_pack(
	    "{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, "
	    "s:o}",
	    "answers", r->ssdp_from.len != 0 ? "yes" : "no", "why",
	    json_of_text(upnp_why(r)), "from", json_of_ip_addr(&r->ssdp_from),
	    "is_the_router",
	    r->ssdp_from.len != 0 &&
		addr_same_ip(&r->ssdp_from, &r->route.router),
	    "location", json_of_text(r->ssdp.location), "server",
	    json_of_text(r->ssdp.server), "maker", json_of_text(g->maker),
	    "model", json_of_text(g->model), "name", json_of_text(g->name),
	    "status", json_of_text(g->status), "external",
	    json_of_text(g->external), "uptime_s",
	    g->uptime_s > 0 ? json_integer(g->uptime_s) : json_null(), "error",
	    g->error, "mapping",
	    mapping_json(&r->mappings[MAPPING_UPNP], g->permanent_only));
}

/* All external addresses that the router told, each once. */
static void
collect_told(struct nats_facts *f, const struct router *r)
{
	struct ip told[MAPPINGS + 2];
	unsigned n = 0, k;

	for (int i = 0; i < PCP_PROTOCOLS; i++)
		if (r->pcp[i].steps[PCP_ASK].answer.has_external)
			told[n++] = r->pcp[i].steps[PCP_ASK].answer.external;
	for (int i = 0; i < PCP_PROTOCOLS; i++)
		if (r->mappings[i].has_external)
			told[n++] = r->mappings[i].external;
	/* Another device's word is not about the way out. */
	if (r->ssdp_from.len != 0 &&
	    addr_same_ip(&r->ssdp_from, &r->route.router) &&
	    ip_parse(&told[n], r->igd.external, strlen(r->igd.external)))
		n++;
	for (unsigned i = 0; i < n; i++) {
		static const struct ip any4 = {{[10] = 0xff, [11] = 0xff}};

		for (k = 0; k < f->n_told; k++)
			if (ip_compare(&f->told[k], &told[i]) == 0)
				break;
		if (k == f->n_told && k < NATS_TOLD &&
		    ip_compare(&told[i], &any4) != 0)
			f->told[f->n_told++] = told[i];
	}
}

static bool
has_mismatch(const struct router *r)
{
	const struct pcp *p = &r->pcp[PCP_V2];

	for (int s = 0; s < PCP_STEPS; s++)
		if (r->pcp_used[PCP_V2] && p->steps[s].state == PCP_ANSWERED &&
		    p->steps[s].answer.result == PCP_ADDRESS_MISMATCH)
			return true;
	return false;
}

/* Does what the router tells agree with what STUN servers see? */
static json_t *
agrees_json(const struct nats_facts *f)
{
	bool same = true;

	if (f->n_told == 0 || f->n_seen == 0)
		return json_null();
	for (unsigned i = 0; i < f->n_told; i++)
		same &= nats_is_seen(f, &f->told[i]);
	return json_boolean(same);
}

/* Usable: others reach this host by it, which needs the address that they
 * see. */
static const char *
usable(const struct router *r)
{
	bool denied = false;

	for (int i = 0; i < MAPPINGS; i++) {
		if (r->mappings[i].seen == SEEN_YES)
			return "yes";
		denied |= r->mappings[i].state == MAPPING_DENIED ||
		    r->mappings[i].seen == SEEN_NO ||
		    r->mappings[i].seen == SEEN_ELSEWHERE;
	}
	return denied ? "no" : "unknown";
}

static json_t *
router_json(const struct router *r, const struct nats_facts *f)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "address",
	    json_of_ip_addr(&r->route.router), "pcp", pcp_json(r, PCP_V2),
	    "nat_pmp", pcp_json(r, PCP_NATPMP), "upnp", upnp_json(r),
	    "external",
	    f->n_told > 0 ? json_of_ip(&f->told[0], true) : json_null(),
	    "external_agrees", agrees_json(f), "mapping_works", usable(r));
}

/* ---- the way ---- */

static json_t *
hop_json(const struct hop *hop)
{
	static const char *const says[] = {[HOP_UNASKED] = "not-asked",
	    [HOP_SILENT] = "nothing",
	    [HOP_EXCEEDED] = "time-exceeded",
	    [HOP_ARRIVED] = "arrived",
	    [HOP_REFUSED] = "unreachable"};
	bool named = hop->state == HOP_EXCEEDED || hop->state == HOP_REFUSED;

	return json_pack("{s:s, s:o, s:s?, s:o, s:o}", "says", says[hop->state],
	    "address", json_of_ip(&hop->ip, named), "realm",
	    named ? realm_name(realm_of(&hop->ip)) : NULL, "rtt_ms",
	    hop->state > HOP_SILENT ? json_real((double)hop->rtt_us / 1000)
				    : json_null(),
	    "icmp",
	    hop->state == HOP_REFUSED
		? json_pack("[i, i]", hop->type, hop->code)
		: json_null());
}

static json_t *
nats_json(const struct nats_facts *f)
{
	struct verdict_nats v = judge_nats(f);
	json_t *evidence = json_array();

	for (unsigned i = 0; i < NATS_EVIDENCES; i++)
		if (v.evidence & 1u << i)
			json_array_append_new(
			    evidence, json_string(nats_evidence_name(i)));
	return json_pack("{s:o, s:s, s:s, s:o}", "count",
	    v.known ? json_integer(v.count) : json_null(), "confidence",
	    sure_name(v.sure), "carrier", answer_name(v.carrier), "evidence",
	    evidence);
}

/* The outermost filter: its hop, and who that is, if known. */
static json_t *
fence_json(const struct asker *a, const struct hops *h)
{
	struct verdict_fence v = judge_fence(a->planned ? &a->engine : NULL);
	const struct hop *hop =
	    v.hop > 0 && v.hop <= HOPS_MAX ? &h->v[v.hop - 1] : NULL;
	bool named = hop != NULL && hop->state == HOP_EXCEEDED;

	return json_pack("{s:o, s:o, s:o}", "hop",
	    v.why == REASON_NONE ? json_integer(v.hop) : json_null(), "address",
	    named ? json_of_ip(&hop->ip, true) : json_null(), "why",
	    v.why == REASON_NONE ? json_null()
				 : json_string(reason_name(v.why)));
}

static json_t *
path_json(const struct trace *t, const struct asker *fence)
{
	const struct hops *h = &t->hops;
	unsigned last = 0, distance = hops_distance(h);
	json_t *hops = json_array();

	/* Up to the server, or to the last that said anything. */
	for (unsigned i = 0; i < HOPS_MAX; i++)
		if (h->v[i].state > HOP_SILENT &&
		    (distance == 0 || i < distance))
			last = i + 1;
	for (unsigned i = 0; i < last; i++)
		json_array_append_new(hops, hop_json(&h->v[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:{s:s, s:i, s:i}}", "server",
	    json_of_addr(&t->server), "distance",
	    distance > 0 ? json_integer(distance) : json_null(), "hops", hops,
	    "filter", fence_json(fence, h), "icmp_errors", "come",
	    answer_name(judge_icmp(h)), "closed_port_asked",
	    (int)h->closed.sends, "closed_port_said", (int)h->closed_came);
}

static void
see_one(struct nats_facts *f, const struct stun_addr *mapped)
{
	struct ip ip;

	memcpy(ip.b, mapped->ip, sizeof(ip.b));
	for (unsigned i = 0; i < f->n_seen; i++)
		if (ip_compare(&f->seen[i], &ip) == 0)
			return;
	if (f->n_seen < NATS_SEEN)
		f->seen[f->n_seen++] = ip;
}

/* A NAT may have several external addresses. */
static void
see(struct nats_facts *f, const struct probe *p)
{
	struct stun_addr local;

	if (p->primary == -1 ||
	    !net_local(&p->servers[p->primary].addr, &local))
		return;
	memcpy(f->local.b, local.ip, sizeof(local.ip));
	see_one(f, &p->servers[p->primary].mapped);
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].state == ASK_ANSWERED &&
		    p->engine.asks[i].mapped.port != 0)
			see_one(f, &p->engine.asks[i].mapped);
}

void
gateway_results_add(
    json_t *family, const struct gateways *g, const struct probe *p)
{
	bool v6 = p->options.v6;
	const struct router *r = &g->routers[v6];
	struct nats_facts f = {.n_told = 0};

	see(&f, p);
	if (g->options.ask) {
		collect_told(&f, r);
		f.mismatch = has_mismatch(r);
		json_object_set_new(family, "gateway", router_json(r, &f));
	}
	if (g->options.trace) {
		f.hops = &g->traces[v6].hops;
		json_object_set_new(
		    family, "path", path_json(&g->traces[v6], &g->fences[v6]));
	}
	json_object_set_new(family, "nats", nats_json(&f));
}

/* result: verdicts and evidence as JSON. The schema is in docs/natprobe.md;
 * names in it only ever get more. */
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "probes/natprobe/natprobe.h"
#include "pure/text.h"
#include "run/version.h"

#define SCHEMA 1

json_t *
json_of_addr(const struct stun_addr *a)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->port == 0)
		return json_null();
	if (stun_addr_is_v4(a)) {
		inet_ntop(AF_INET, a->ip + 12, ip, sizeof(ip));
		return json_sprintf("%s:%u", ip, a->port);
	}
	inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
	return json_sprintf("[%s]:%u", ip, a->port);
}

json_t *
json_of_reason(enum reason r)
{
	return r == REASON_NONE ? json_null() : json_string(reason_name(r));
}

/* EIM and EDM, and RFC 3489's names, for who knows those. */
static const char *
short_name(enum behaviour b)
{
	switch (b) {
	case BEHAVIOUR_EI:
		return "EIM";
	case BEHAVIOUR_AD:
	case BEHAVIOUR_APD:
	case BEHAVIOUR_PD:
	case BEHAVIOUR_DEPENDENT:
		return "EDM";
	default:
		return NULL;
	}
}

static const char *
cone_name(enum behaviour mapping, enum behaviour filter)
{
	if (mapping == BEHAVIOUR_AD || mapping == BEHAVIOUR_APD ||
	    mapping == BEHAVIOUR_PD || mapping == BEHAVIOUR_DEPENDENT)
		return "symmetric";
	if (mapping == BEHAVIOUR_NONE)
		return filter == BEHAVIOUR_EI ? "open" : NULL;
	if (mapping != BEHAVIOUR_EI)
		return NULL;
	switch (filter) {
	case BEHAVIOUR_EI:
		return "full cone";
	case BEHAVIOUR_AD:
		return "restricted cone";
	case BEHAVIOUR_APD:
		return "port-restricted cone";
	default:
		return NULL;
	}
}

json_t *
json_of_mapping(const struct verdict_mapping *v)
{
	json_t *counts = json_object();

	for (enum behaviour b = BEHAVIOUR_UNKNOWN; b < BEHAVIOURS; b++)
		if (v->counts[b] > 0)
			json_object_set_new(counts, behaviour_name(b),
			    json_integer(v->counts[b]));
	return json_pack("{s:s, s:o, s:s?, s:i, s:i, s:o, s:b, s:o}", "verdict",
	    behaviour_name(v->kind), "why", json_of_reason(v->why), "short",
	    short_name(v->kind), "sockets", (int)v->units, "agree",
	    (int)v->agree, "counts", counts, "address_varies", v->pool_varies,
	    "external", json_of_addr(&v->external));
}

static json_t *
filter_json(const struct verdict_filter *v)
{
	static const char *const names[] = {
	    "other-address-and-port", "other-port", "other-address"};
	json_t *from = json_object();

	for (unsigned k = 0; k < FILTER_KINDS; k++)
		json_object_set_new(from, names[k],
		    json_pack("{s:i, s:i}", "passed", (int)v->passed[k],
			"asked", (int)v->tried[k]));
	return json_pack("{s:s, s:o, s:o, s:{s:i, s:i}}", "verdict",
	    behaviour_name(v->kind), "why", json_of_reason(v->why), "from",
	    from, "controls", "passed", (int)v->controls_passed, "asked",
	    (int)v->controls_tried);
}

static json_t *
alloc_json(const struct verdict_alloc *v)
{
	return json_pack("{s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:o}",
	    "verdict", assignment_name(v->kind), "why", json_of_reason(v->why),
	    "sockets", (int)v->units, "preserved", (int)v->preserved,
	    "parity_kept", (int)v->parity, "lowest", v->low, "highest", v->high,
	    "addresses", (int)v->addresses, "guess", v->guess, "step",
	    v->step != 0 ? json_integer(v->step) : json_null());
}

static json_t *
seconds(double s)
{
	return s > 0 ? json_real(s) : json_null();
}

json_t *
json_of_life(const struct verdict_life *v)
{
	return json_pack("{s:o, s:o, s:o, s:i, s:b}", "alive", seconds(v->low),
	    "dead", seconds(v->high), "why", json_of_reason(v->why), "sockets",
	    (int)v->rungs, "monotone", v->monotone);
}

static json_t *
lifetimes_json(const struct verdicts *v)
{
	return json_pack("{s:o, s:o, s:o, s:{s:s, s:s, s:o}}", "one_packet_out",
	    json_of_life(&v->life[LIFE_SINGLE]), "exchange",
	    json_of_life(&v->life[LIFE_EXCHANGE]), "stream",
	    json_of_life(&v->life[LIFE_STREAM]), "refresh", "outbound",
	    answer_name(v->refresh.outbound), "inbound",
	    answer_name(v->refresh.inbound), "why",
	    json_of_reason(v->refresh.why));
}

static json_t *
findings_json(unsigned found)
{
	json_t *all = json_array();

	for (enum finding f = 0; f < FINDINGS; f++)
		if ((found >> f & 1) != 0)
			json_array_append_new(
			    all, json_string(finding_name(f)));
	return all;
}

/* The code with which a server refuses, RFC 8489 section 14.8. */
static json_t *
refusal_json(const struct probe *p, const struct server *s)
{
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].state == ASK_REFUSED &&
		    stun_addr_same(&p->engine.asks[i].to, &s->addr))
			return json_integer(p->engine.asks[i].error);
	return json_null();
}

static json_t *
servers_json(const struct probe *p, const struct targets *t,
    const struct verdict_mapping *m)
{
	json_t *all = json_array();
	bool v6 = p->options.v6;

	for (unsigned i = 0; i < p->n_servers; i++) {
		const struct server *s = &p->servers[i];

		json_array_append_new(all,
		    json_pack("{s:s, s:o, s:b, s:o, s:o, s:b, s:o, s:o, s:o}",
			"name", t->name[v6][i], "address",
			json_of_addr(&s->addr), "answers", s->alive, "rtt_ms",
			s->alive ? json_real((double)s->rtt_us / 1000)
				 : json_null(),
			"other_address", json_of_addr(&s->other),
			"other_address_impossible", s->odd_other, "mapped",
			json_of_addr(&s->mapped), "findings",
			findings_json(judge_server(p, i, m)), "error",
			refusal_json(p, s)));
	}
	return all;
}

static json_t *
not_opened_json(const struct engine *e)
{
	if (e->not_opened == 0)
		return json_null();
	return json_pack("{s:i, s:s}", "sockets", (int)e->not_opened, "error",
	    strerror(e->not_opened_error));
}

json_t *
result_family(const struct probe *p, const struct targets *t)
{
	struct verdicts v;

	judge(p, &v);
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s?, s:o, s:{s:s, s:o}, "
			 "s:{s:s, s:o}, s:{s:s, s:o, s:i, s:i}, s:o, s:i, s:o}",
	    "udp", answer_name(v.udp), "nat", answer_name(v.nat), "servers",
	    servers_json(p, t, &v.mapping), "mapping",
	    json_of_mapping(&v.mapping), "filtering", filter_json(&v.filter),
	    "cone", cone_name(v.mapping.kind, v.filter.kind), "ports",
	    alloc_json(&v.alloc), "early_packet_changes_mapping", "verdict",
	    answer_name(v.poison.poisonable), "why",
	    json_of_reason(v.poison.why), "until_collision", "verdict",
	    answer_name(v.collision.until_collision), "why",
	    json_of_reason(v.collision.why), "hairpin", "verdict",
	    hairpin_name(v.hairpin.kind), "why", json_of_reason(v.hairpin.why),
	    "heard", (int)v.hairpin.heard, "sent", (int)v.hairpin.units,
	    "lifetime", lifetimes_json(&v), "packets_sent", (int)p->engine.sent,
	    "not_opened", not_opened_json(&p->engine));
}

json_t *
result_new(const struct natprobe_conf *c, int64_t unix_s)
{
	struct text when = TEXT_EMPTY;
	json_t *r;

	text_time(&when, unix_s);
	r = json_pack("{s:i, s:s, s:s, s:s}", "natprobe", SCHEMA, "version",
	    campusnet_version, "time", when.bad ? "" : when.p, "building",
	    c->building);
	text_clear(&when);
	return r;
}

void
result_add_end(json_t *result, enum cut cut)
{
	static const char *const names[] = {[CUT_NOT] = NULL,
	    [CUT_INTERRUPTED] = "interrupted",
	    [CUT_TIME] = "out-of-time"};

	json_object_set_new(result, "complete", json_boolean(cut == CUT_NOT));
	json_object_set_new(result, "stopped",
	    names[cut] == NULL ? json_null() : json_string(names[cut]));
}

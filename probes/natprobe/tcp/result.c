/* result: TCP's part of the result. The schema is in docs/natprobe.md. */
#include <string.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/tcp/tcp.h"

static json_t *
why_json(enum call_end e)
{
	const char *name = call_end_name(e);

	return *name == '\0' ? json_null() : json_string(name);
}

static json_t *
server_json(const struct calls *c, unsigned i, const char *name)
{
	const struct call *k = calls_of_server(c, i);
	bool good = k != NULL && k->end == CALL_ANSWERED;
	struct stun_addr none = {.port = 0};

	return json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:b}", "name", name,
	    "address", json_of_addr(&c->servers[i]), "answers", good, "why",
	    why_json(k == NULL ? CALL_UNENDED : k->end), "connect_ms",
	    good ? json_real(
		       (double)mono_diff_us(k->opened, k->connected) / 1000)
		 : json_null(),
	    "other_address", json_of_addr(k == NULL ? &none : &k->other),
	    "contradicts_itself", k != NULL && k->lies);
}

/* What became of the connections to a place: how many were answered, and what
 * most of the others met. */
static json_t *
place_json(const struct calls *c, unsigned place)
{
	unsigned tried = 0, met[CALL_ENDS] = {0};
	enum call_end worst = CALL_ANSWERED;

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_MAPPING || k->place != place ||
		    !mono_is_set(k->opened))
			continue;
		tried++;
		met[k->end]++;
	}
	for (unsigned e = 0; e < CALL_ENDS; e++)
		if (e != CALL_ANSWERED && met[e] > 0 &&
		    (worst == CALL_ANSWERED || met[e] > met[worst]))
			worst = (enum call_end)e;
	return json_pack("{s:o, s:i, s:i, s:o}", "address",
	    json_of_addr(&c->places[place]), "connections", (int)tried,
	    "answered", (int)met[CALL_ANSWERED], "why", why_json(worst));
}

static json_t *
life_json(const struct verdict_tcp *v)
{
	json_t *o = json_of_life(&v->life);

	json_object_set_new(o, "first_after_pause",
	    v->life.rungs == 0 ? json_null()
			       : json_string(v->by_server ? "server" : "host"));
	json_object_set_new(o, "when_dead", json_string(dying_name(v->dying)));
	json_object_set_new(o, "keepalive",
	    json_pack("{s:s, s:o}", "refreshes", answer_name(v->keepalive),
		"why", json_of_reason(v->keepalive_why)));
	return o;
}

static json_t *
tcp_json(const struct calls *c, const struct targets *t)
{
	json_t *servers = json_array(), *places = json_array(), *mapping;
	struct verdict_tcp v;

	judge_tcp(c, &v);
	for (unsigned i = 0; i < c->n_servers; i++)
		json_array_append_new(
		    servers, server_json(c, i, t->name[c->options.v6][i]));
	for (unsigned i = 0; i < c->n_places; i++)
		json_array_append_new(places, place_json(c, i));
	mapping = json_of_mapping(&v.mapping);
	json_object_set_new(
	    mapping, "connections", json_integer(v.connections));
	json_object_set_new(
	    mapping, "ports_preserved", json_integer(v.preserved));
	json_object_set_new(mapping, "destinations", places);
	return json_pack("{s:s, s:o, s:o, s:o, s:{s:s, s:o}, s:o, s:i}",
	    "works", answer_name(v.works), "why", json_of_reason(v.why),
	    "servers", servers, "mapping", mapping, "filtering", "verdict",
	    behaviour_name(BEHAVIOUR_UNKNOWN), "why",
	    json_of_reason(REASON_NO_ASKER), "lifetime", life_json(&v),
	    "connections_made", (int)c->made);
}

void
tcp_result_add(json_t *family, const struct calls *c, const struct targets *t)
{
	if (c != NULL)
		json_object_set_new(family, "tcp", tcp_json(c, t));
}

/* ---- beforehand ---- */

/* Each step of a connection may take two seconds, and none has more than
 * five: SYN, question, the end of a pause, and the question whether the server
 * is still there. */
#define STEPS_US INT64_C(10000000)

int64_t
tcp_longest_us(const struct probe_options *o)
{
	int64_t ttl_us = (int64_t)o->ttl_max_s * 1000000;
	/* Connections are closed one after the other, too. */
	int64_t us =
	    calls_limit_us(o->pacer) + CALL_CLOSE_US * CALL_UNITS * CALL_PLACES;

	if (o->lifetime)
		us += CALLS_MAX * CALL_GAP_US + ttl_us * 11 / 10 + STEPS_US;
	if (o->lifetime && o->refresh)
		us += ttl_us * 5 / 2 + STEPS_US;
	return us;
}

/* How many connections of each use, and all their packets. */
static unsigned
count_calls(const struct targets *t, const struct probe_options *o,
    unsigned n[CALL_KEEPER + 1])
{
	static const uint8_t seed[ENGINE_SEED_LEN];
	struct mono now = {1};
	unsigned packets = 0;
	struct calls c;

	calls_init(&c, o, t->v[o->v6], t->n[o->v6], seed, now);
	calls_plan_most(&c, now);
	for (size_t i = 0; i < c.n; i++) {
		n[c.v[i].use]++;
		packets +=
		    call_is_idler(&c.v[i]) ? CALL_PACKETS_IDLER : CALL_PACKETS;
	}
	if (o->lifetime)
		packets += CALL_CONTROLS * CALL_PACKETS;
	calls_clear(&c);
	return packets;
}

unsigned
tcp_packets(const struct targets *t, const struct probe_options *o)
{
	unsigned n[CALL_KEEPER + 1] = {0};

	return count_calls(t, o, n);
}

void
tcp_dry_print(const struct targets *t, const struct probe_options *o, FILE *out)
{
	static const char *const names[] = {
	    [CALL_DISCOVER] = "which servers answer",
	    [CALL_MAPPING] = "mapping",
	    [CALL_LIFE] = "idle lifetime",
	    [CALL_KEEPER] = "keepalive",
	};
	unsigned n[CALL_KEEPER + 1] = {0};
	unsigned packets = count_calls(t, o, n);

	fprintf(out, "  TCP, within %lld s:\n",
	    (long long)((tcp_longest_us(o) + 999999) / 1000000));
	for (unsigned i = 0; i <= CALL_KEEPER; i++)
		if (n[i] > 0)
			fprintf(
			    out, "  %-22s %5u connections\n", names[i], n[i]);
	fprintf(out, "  %-22s %5u packets\n", "in all", packets);
}

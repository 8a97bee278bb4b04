/* result: what is known of the relays, as JSON. The schema is in
 * docs/natprobe.md. */
#include <string.h>

#include "probes/natprobe/relay/relay.h"

static json_t *
ms_of_us(int64_t us)
{
	return us < 0 ? json_null() : json_real((double)us / 1000);
}

static json_t *
ms_between(struct mono a, struct mono b)
{
	return mono_is_set(a) && mono_is_set(b) ? ms_of_us(mono_diff_us(a, b))
						: json_null();
}

static json_t *
text_or_null(const char *text)
{
	return *text == '\0' ? json_null() : json_string(text);
}

static json_t *
failed_json(const struct relay_conn *c)
{
	if (!c->failed)
		return json_null();
	return json_pack(
	    "{s:s, s:s}", "step", relay_step_name(c->step), "why", c->why);
}

static json_t *
cert_json(const struct relay_conn *c)
{
	const struct relay_node *node = c->node;

	if (!c->cert.seen)
		return json_null();
	return json_pack("{s:s, s:o, s:i, s:o, s:o}", "checked_by",
	    node->insecure		     ? "nothing"
		: relay_cert_is_pinned(node) ? "pin"
					     : "system",
	    "why", text_or_null(c->cert.why), "days_left",
	    (int)c->cert.days_left, "of", text_or_null(c->cert.of), "issuer",
	    text_or_null(c->cert.issuer));
}

static json_t *
conn_json(const struct relay_conn *c)
{
	char text[ADDR_TEXT_MAX];

	if (!c->used)
		return json_null();
	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "address",
	    addr_text(&c->to, text), "works",
	    !c->failed && c->step == RELAY_OPEN, "connect_ms",
	    ms_between(c->begun, c->connected), "tls_ms",
	    ms_between(c->connected, c->secured), "http_ms",
	    ms_between(c->secured, c->talk.upgraded), "derp_ms",
	    ms_between(c->talk.upgraded, c->talk.opened), "certificate",
	    cert_json(c), "failed", failed_json(c));
}

static json_t *
sum_json(struct row_sum s)
{
	return json_pack("{s:i, s:i, s:o, s:o, s:o}", "sent", (int)s.sent,
	    "lost", (int)s.lost, "p50_ms", ms_of_us(s.p50_us), "p95_ms",
	    ms_of_us(s.p95_us), "jitter_ms", ms_of_us(s.jitter_us));
}

static json_t *
latency_json(const struct relay *r)
{
	json_t *o;

	if (!r->second.used)
		return json_null();
	if (r->row_begun)
		o = sum_json(row_sum_packets(&r->row));
	else
		o = json_pack("{s:i}", "sent", 0);
	json_object_set_new(
	    o, "over", json_string(r->first == 0 ? "ipv4" : "ipv6"));
	json_object_set_new(o, "failed", failed_json(&r->second));
	return o;
}

static json_t *
lookup_json(const struct relay *r)
{
	if (!r->looked_up)
		return json_null();
	return json_pack("{s:o, s:o}", "ms",
	    r->lookup.over ? ms_of_us(r->lookup.took_us) : json_null(), "why",
	    text_or_null(r->lookup.why));
}

static json_t *
portal_json(const struct relay_portal *p)
{
	static const char *const verdicts[] = {[TALK_MORE] = "unknown",
	    [TALK_FREE] = "no",
	    [TALK_CAPTIVE] = "yes"};

	if (!p->used)
		return json_null();
	return json_pack("{s:s, s:o}", "verdict", verdicts[p->verdict], "why",
	    text_or_null(p->why));
}

static json_t *
relay_json(const struct relay *r)
{
	const struct relay_node *n = r->node;

	return json_pack(
	    "{s:s, s:s, s:s, s:i, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, "
	    "s:o}",
	    "name", n->name, "region", n->region, "host", n->host, "port",
	    (int)n->port, "port_443", n->port == 443, "works", relay_works(r),
	    "complete", r->over, "dns", lookup_json(r), "ipv4",
	    conn_json(&r->legs[0]), "ipv6", conn_json(&r->legs[1]), "latency",
	    latency_json(r), "ping",
	    r->row_begun ? sum_json(row_sum_pings(&r->row)) : json_null(),
	    "captive_portal", portal_json(&r->portal));
}

static int64_t
latency_us(const struct relay *r)
{
	return r->row_begun ? row_sum_packets(&r->row).p50_us : -1;
}

static const struct relay *
nearest(const struct relays *all)
{
	const struct relay *best = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (latency_us(all->v[i]) >= 0 &&
		    (best == NULL || latency_us(all->v[i]) < latency_us(best)))
			best = all->v[i];
	return best;
}

void
relay_results_add(json_t *result, const struct relays *r)
{
	json_t *all = json_array();
	const struct relay *best = nearest(r);

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(all, relay_json(r->v[i]));
	for (size_t i = 0; i < r->n; i++)
		json_object_set_new(json_array_get(all, i), "nearest",
		    json_boolean(r->v[i] == best));
	json_object_set_new(result, "relays", all);
}

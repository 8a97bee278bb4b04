/* result: what is known of the path, as JSON. The schema is in
 * docs/natprobe.md. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/path/alg.h"
#include "probes/natprobe/path/path.h"

static json_t *
text_or_null(const char *text)
{
	return *text == '\0' ? json_null() : json_string(text);
}

static json_t *
size_or_null(unsigned size)
{
	return size == 0 ? json_null() : json_integer(size);
}

static json_t *
ip_json(const struct ip *ip)
{
	char text[IP_TEXT_MAX];

	return json_string(ip_text(ip, text));
}

static void
set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

/* ---- path ---- */

static json_t *
way_json(const struct mtu_way *w)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "verdict",
	    mtu_word_name(w->word), "passes", size_or_null(w->passes), "fails",
	    size_or_null(w->fails), "why", text_or_null(w->why));
}

static json_t *
mtu_json(const struct mtu *m, const struct mtu_verdict *v)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:i, s:o, s:o, s:i}", "server",
	    m->server == -1 ? json_null()
			    : json_of_addr(&m->servers[m->server]),
	    "outbound", way_json(&v->out), "inbound", way_json(&v->in),
	    "tailscale_fits", answer_name(v->fits), "tailscale_needs",
	    (int)v->needs, "own_link", size_or_null(m->link), "icmp_told",
	    size_or_null(m->told), "packets_sent", (int)m->sent);
}

static json_t *
fragments_json(const struct mtu_verdict *v)
{
	return json_pack("{s:{s:s, s:o}, s:{s:s, s:o}}", "outbound", "passes",
	    answer_name(v->fragments_out), "why", text_or_null(v->why_out),
	    "inbound", "passes", answer_name(v->fragments_in), "why",
	    text_or_null(v->why_in));
}

static json_t *
row_json(const struct reach *r, const struct reach_row *row)
{
	const char *why;
	enum answer passes = reach_passes(r, row, &why);
	struct ip ip;

	memcpy(ip.b, row->to.ip, sizeof(ip.b));
	return json_pack("{s:s, s:o, s:i, s:s, s:s, s:o}", "protocol",
	    reach_how_name(row->how), "address", ip_json(&ip), "port",
	    (int)row->to.port, "passes", answer_name(passes), "saw",
	    reach_saw_name(row->saw), "why", text_or_null(why));
}

static json_t *
rows_json(const struct reach *r)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(all, row_json(r, &r->rows[i]));
	return all;
}

static json_t *
family_json(const struct path_run *p, int v6)
{
	struct mtu_verdict v;

	mtu_judge(&p->mtu[v6].mtu, &v);
	return json_pack("{s:o, s:o, s:o}", "mtu",
	    mtu_json(&p->mtu[v6].mtu, &v), "fragments", fragments_json(&v),
	    "ports", rows_json(&p->reach[v6].reach));
}

/* ---- of a family ---- */

static struct reach_facts
facts_of(const struct path_run *p, int v6, const struct verdicts *v)
{
	const struct relays *all = p->setup.relays;
	struct reach_facts f = {
	    .udp = v->udp, .no_socket = v->mapping.why == REASON_NO_SOCKET};

	for (size_t i = 0; all != NULL && i < all->n; i++) {
		const struct relay *r = all->v[i];

		f.portal |= r->portal.verdict == TALK_CAPTIVE;
		if (!mono_is_set(r->legs[v6].connected))
			continue;
		f.relay_443 |= r->node->port == 443;
		f.relay_other |= r->node->port != 443;
	}
	return f;
}

static json_t *
alg_json(const struct alg_verdict *v)
{
	return json_pack("{s:s, s:o, s:i, s:i, s:o, s:o}", "verdict",
	    answer_name(v->rewrites), "why", text_or_null(v->why), "answers",
	    (int)v->answers, "differ", (int)v->differ, "hidden",
	    json_of_addr(&v->sees), "plain", json_of_addr(&v->shows));
}

static void
add_to_family(json_t *family, const struct path_run *p, int v6)
{
	const struct probe *probe = p->setup.probes[v6];
	struct reach_facts facts;
	enum reach_verdict blocked;
	struct alg_verdict alg;
	struct verdicts v;
	const char *why, *by;
	enum pooling pool;

	judge(probe, &v);
	facts = facts_of(p, v6, &v);
	blocked = reach_judge(&p->reach[v6].reach, &facts, &why);
	set(family, "udp_blocked",
	    json_pack("{s:s, s:o}", "verdict", reach_verdict_name(blocked),
		"why", text_or_null(why)));
	alg_judge(probe, &alg);
	set(family, "alg", alg_json(&alg));
	pool = pooling_judge(&v, &by);
	set(family, "pooling",
	    json_pack("{s:s, s:s?}", "verdict", pooling_name(pool), "by", by));
}

/* ---- dns ---- */

static json_t *
found_json(const struct dns_ask *a)
{
	json_t *all = json_array();

	for (size_t i = 0; i < a->n; i++)
		json_array_append_new(all, ip_json(&a->found[i]));
	return all;
}

static json_t *
relay_name_json(const struct dns_ask *a)
{
	const char *why;
	enum dns_word word = dns_judge_relay(a, &why);
	json_t *map = json_array();

	for (int v6 = 0; v6 < 2; v6++)
		if (a->has_map[v6])
			json_array_append_new(map, ip_json(&a->map[v6]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "name", a->name,
	    "verdict", dns_word_name(word), "answers", found_json(a), "map",
	    map, "why", text_or_null(why), "error", text_or_null(a->why));
}

static json_t *
dns_json(const struct dns_net *d)
{
	json_t *names = json_array(), *made_up = json_array();
	const char *why;
	enum dns_word word = dns_judge_nonexistent(d->asks, d->n, &why);

	for (size_t i = 0; i < d->n; i++) {
		const struct dns_ask *a = &d->asks[i];

		if (a->kind == DNS_RELAY)
			json_array_append_new(names, relay_name_json(a));
		else if (a->kind != DNS_WPAD)
			json_array_append_new(made_up,
			    json_pack("{s:s, s:o, s:o}", "name", a->name,
				"answers", found_json(a), "error",
				text_or_null(a->why)));
	}
	return json_pack("{s:{s:s, s:o, s:o}, s:o}", "nonexistent", "verdict",
	    dns_word_name(word), "why", text_or_null(why), "names", made_up,
	    "relays", names);
}

/* ---- proxy ---- */

/* Is the relay reached by the proxy alone? */
static const char *
needed(const struct relays *all, const struct proxy_try *t)
{
	bool direct = false;

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i]->node == t->node)
			direct = relay_works(all->v[i]);
	if (direct)
		return "no";
	return t->verdict == PROXY_WORKS ? "yes" : "unknown";
}

static json_t *
try_json(const struct relays *all, const struct proxy_try *t)
{
	const struct relay_cert *c = &t->conn.cert;

	return json_pack("{s:s, s:s, s:i, s:b, s:s, s:o, s:o, s:s, s:o, s:o}",
	    "name", t->node->name, "host", t->node->host, "port",
	    (int)t->node->port, "uses_proxy", t->used, "verdict",
	    t->used ? proxy_word_name(t->verdict) : "not-asked", "status",
	    size_or_null((unsigned)t->status), "why", text_or_null(t->why),
	    "needed", needed(all, t), "certificate_of", text_or_null(c->of),
	    "certificate_issuer", text_or_null(c->issuer));
}

static json_t *
proxy_json(const struct path_run *p)
{
	const struct proxy_env *e = &p->proxy.env;
	json_t *relays = json_array();

	for (size_t i = 0; i < p->proxy.n; i++)
		json_array_append_new(
		    relays, try_json(p->setup.relays, &p->proxy.tries[i]));
	return json_pack("{s:o, s:b, s:b, s:o, s:s, s:o}", "https_proxy",
	    e->configured ? json_string(e->proxy.shown) : json_null(),
	    "http_proxy", e->http, "credentials", p->proxy.has_auth, "why",
	    text_or_null(e->why), "wpad",
	    !p->dns.used			      ? "unknown"
		: dns_has_wpad(p->dns.asks, p->dns.n) ? "yes"
						      : "no",
	    "relays", relays);
}

void
path_results_add(json_t *result, const struct path_run *p)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	json_t *path = json_object();

	for (int v6 = 0; v6 < 2; v6++) {
		if (p->setup.probes[v6] == NULL)
			continue;
		set(path, families[v6], family_json(p, v6));
		add_to_family(json_object_get(result, families[v6]), p, v6);
	}
	set(result, "path", path);
	if (p->dns.used)
		set(result, "dns", dns_json(&p->dns));
	set(result, "proxy", proxy_json(p));
}

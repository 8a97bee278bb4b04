/*
 * natcore_table: mappings, the sessions of each with remote endpoints, and
 * the internal hosts they belong to; and what a filter admits. All memory is
 * taken at the start. How long they live is in natcore_life.c.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/cursor.h"
#include "tests/natlab/natcore_impl.h"

/* ---- keys ---- */

bool
end_equal(const struct end *a, const struct end *b)
{
	return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

static uint64_t
hash_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint64_t
hash_end(uint64_t h, const struct end *e)
{
	struct rd r;

	rd_init(&r, e->ip.b, sizeof(e->ip.b));
	h = hash_mix(h, rd_u64(&r));
	h = hash_mix(h, rd_u64(&r));
	return hash_mix(h, e->port);
}

static size_t
bucket(uint8_t protocol, const struct end *a, const struct end *b)
{
	uint64_t h = hash_end(protocol, a);

	if (b != NULL)
		h = hash_end(h, b);
	return h & (BUCKETS - 1);
}

/* ---- all of it ---- */

bool
table_init(struct table *t)
{
	memset(t, 0, sizeof(*t));
	TAILQ_INIT(&t->by_use);
	t->mappings = calloc(NAT_MAPPINGS_MAX, sizeof(*t->mappings));
	t->sessions = calloc(NAT_SESSIONS_MAX, sizeof(*t->sessions));
	t->hosts = calloc(NAT_MAPPINGS_MAX, sizeof(*t->hosts));
	if (t->mappings == NULL || t->sessions == NULL || t->hosts == NULL) {
		table_clear(t);
		return false;
	}
	return true;
}

void
table_clear(struct table *t)
{
	free(t->mappings);
	free(t->sessions);
	free(t->hosts);
}

/* ---- finding ---- */

struct session *
session_find(const struct table *t, uint8_t protocol, const struct end *in,
    const struct end *remote)
{
	struct session *s;

	LIST_FOREACH (s, &t->by_pair[bucket(protocol, in, remote)], by_pair)
		if (s->mapping->protocol == protocol &&
		    end_equal(&s->mapping->in, in) &&
		    end_equal(&s->remote, remote))
			return s;
	return NULL;
}

static bool
rule_matches(enum nat_dependence rule, const struct end *a, const struct end *b)
{
	bool same_ip = memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;

	switch (rule) {
	case NAT_AD:
		return same_ip;
	case NAT_PD:
		return a->port == b->port;
	case NAT_APD:
		return same_ip && a->port == b->port;
	case NAT_EI:
	case NAT_NONE:
		break;
	}
	return true;
}

bool
table_is_degraded(const struct nat *n)
{
	return n->config.degrade_after != 0 &&
	    n->table.count >= n->config.degrade_after;
}

/* There are as many as there may be, and all that come are for one remote. */
static bool
is_over(const struct nat *n)
{
	return n->config.full == NAT_FULL_EDM &&
	    n->table.count >= n->config.limit;
}

/* The rule for mappings of that protocol's family. */
static enum nat_dependence
rule_now(const struct nat *n, const struct end *in)
{
	if (!ip_is_v4(&in->ip) || n->config.mapping == NAT_NONE)
		return NAT_NONE;
	return table_is_degraded(n) ? NAT_APD : n->config.mapping;
}

static struct mapping *
find_by_rule(const struct table *t, uint8_t protocol, enum nat_dependence rule,
    const struct end *in, const struct end *remote)
{
	struct mapping *m;

	LIST_FOREACH (m, &t->by_in[bucket(protocol, in, NULL)], by_in)
		if (m->protocol == protocol && !m->own && m->rule == rule &&
		    end_equal(&m->in, in) &&
		    rule_matches(rule, &m->remote, remote))
			return m;
	return NULL;
}

struct mapping *
mapping_find(const struct nat *n, uint8_t protocol, const struct end *in,
    const struct end *remote)
{
	enum nat_dependence rule = rule_now(n, in);
	struct mapping *m = find_by_rule(&n->table, protocol, rule, in, remote);

	if (m == NULL && rule != NAT_NONE && is_over(n))
		m = find_by_rule(&n->table, protocol, NAT_APD, in, remote);
	return m;
}

bool
mapping_has_out(
    const struct mapping *m, uint8_t protocol, const struct end *out)
{
	return m->protocol == protocol && end_equal(&m->out, out);
}

struct mapping *
mapping_at(const struct table *t, uint8_t protocol, const struct end *out)
{
	struct mapping *m;

	LIST_FOREACH (m, &t->by_out[bucket(protocol, out, NULL)], by_out)
		if (mapping_has_out(m, protocol, out))
			return m;
	return NULL;
}

static const struct session *
session_of(const struct mapping *m, const struct end *remote)
{
	const struct session *s;

	LIST_FOREACH (s, &m->sessions, of_mapping)
		if (end_equal(&s->remote, remote))
			return s;
	return NULL;
}

struct mapping *
mapping_pick(const struct table *t, uint8_t protocol, const struct end *out,
    const struct end *remote)
{
	struct mapping *m, *best = NULL;
	bool best_knows = false;

	for (m = mapping_at(t, protocol, out); m != NULL;
	     m = LIST_NEXT(m, by_out)) {
		bool knows;

		if (!mapping_has_out(m, protocol, out))
			continue;
		knows = session_of(m, remote) != NULL;
		if (m->own && !knows)
			continue;
		if (best == NULL || (knows && !best_knows) ||
		    (knows == best_knows && m->order > best->order)) {
			best = m;
			best_knows = knows;
		}
	}
	return best;
}

bool
mapping_clashes(const struct nat *n, uint8_t protocol, const struct end *in,
    const struct end *out, const struct end *remote)
{
	bool shared = n->config.overload == NAT_OVERLOAD_ALWAYS;
	struct mapping *m;

	for (m = mapping_at(&n->table, protocol, out); m != NULL;
	     m = LIST_NEXT(m, by_out))
		if (mapping_has_out(m, protocol, out) &&
		    (m->own || (!shared && !end_equal(&m->in, in))) &&
		    session_of(m, remote) != NULL)
			return true;
	return false;
}

bool
filter_admits(
    const struct nat *n, const struct mapping *m, const struct end *remote)
{
	enum nat_dependence rule = n->config.filtering;
	const struct session *s;

	if (rule == NAT_EI)
		return true;
	LIST_FOREACH (s, &m->sessions, of_mapping)
		if (s->opened && rule_matches(rule, &s->remote, remote) &&
		    (n->config.ttl_filter == 0 || n->v < s->filter_expires))
			return true;
	return false;
}

/* ---- making and freeing ---- */

/* Each of these was never used yet, or was freed; NULL if all are in use. */

static struct mapping *
mapping_take(struct table *t)
{
	struct mapping *m = LIST_FIRST(&t->free_mappings);

	if (m != NULL)
		LIST_REMOVE(m, by_in);
	else if (t->mappings_used < NAT_MAPPINGS_MAX)
		m = &t->mappings[t->mappings_used++];
	return m;
}

static struct session *
session_take(struct table *t)
{
	struct session *s = LIST_FIRST(&t->free_sessions);

	if (s != NULL)
		LIST_REMOVE(s, by_pair);
	else if (t->sessions_used < NAT_SESSIONS_MAX)
		s = &t->sessions[t->sessions_used++];
	return s;
}

/* There are as many as mappings, so one is left for each new mapping. */
static struct host *
host_take(struct table *t)
{
	struct host *h = LIST_FIRST(&t->free_hosts);

	if (h != NULL)
		LIST_REMOVE(h, entry);
	else
		h = &t->hosts[t->hosts_used++];
	return h;
}

void
session_free(struct table *t, struct session *s)
{
	LIST_REMOVE(s, by_pair);
	LIST_REMOVE(s, of_mapping);
	LIST_INSERT_HEAD(&t->free_sessions, s, by_pair);
}

void
mapping_free(struct nat *n, struct mapping *m)
{
	struct table *t = &n->table;
	struct session *s;

	while ((s = LIST_FIRST(&m->sessions)) != NULL)
		session_free(t, s);
	if (m->host != NULL && --m->host->mappings == 0) {
		LIST_REMOVE(m->host, entry);
		LIST_INSERT_HEAD(&t->free_hosts, m->host, entry);
	}
	LIST_REMOVE(m, by_in);
	LIST_REMOVE(m, by_out);
	TAILQ_REMOVE(&t->by_use, m, by_use);
	LIST_INSERT_HEAD(&t->free_mappings, m, by_in);
	t->count--;
}

void
table_flush(struct nat *n)
{
	struct table *t = &n->table;
	struct mapping *m;

	while ((m = TAILQ_FIRST(&t->by_use)) != NULL)
		mapping_free(n, m);
	memset(t->last_port, 0, sizeof(t->last_port));
	t->next_external = 0;
}

/* There is a free mapping, maybe since the oldest one had to go. */
static bool
room_make(struct nat *n)
{
	struct table *t = &n->table;

	if (t->count < n->config.limit) /* at most NAT_MAPPINGS_MAX */
		return true;
	if (n->config.full == NAT_FULL_EDM)
		return t->count < NAT_MAPPINGS_MAX;
	if (n->config.full != NAT_FULL_EVICT || TAILQ_EMPTY(&t->by_use))
		return false;
	mapping_free(n, TAILQ_FIRST(&t->by_use));
	n->counters[NAT_COUNT_EVICTED]++;
	return true;
}

static struct host *
host_get(struct nat *n, const struct ip *ip)
{
	struct table *t = &n->table;
	struct host *h;

	LIST_FOREACH (h, &t->used_hosts, entry)
		if (memcmp(&h->ip, ip, sizeof(*ip)) == 0)
			return h;
	h = host_take(t);
	*h = (struct host){.ip = *ip};
	if (n->config.external_count > 0 &&
	    n->config.pooling == NAT_POOL_PAIRED)
		h->external = t->next_external++ % n->config.external_count;
	LIST_INSERT_HEAD(&t->used_hosts, h, entry);
	return h;
}

static struct mapping *
mapping_enter(struct nat *n, const struct mapping *what)
{
	struct table *t = &n->table;
	struct mapping *m = mapping_take(t);

	*m = *what;
	m->made = n->v;
	m->order = ++t->order;
	LIST_INIT(&m->sessions);
	LIST_INSERT_HEAD(
	    &t->by_in[bucket(m->protocol, &m->in, NULL)], m, by_in);
	LIST_INSERT_HEAD(
	    &t->by_out[bucket(m->protocol, &m->out, NULL)], m, by_out);
	TAILQ_INSERT_TAIL(&t->by_use, m, by_use);
	t->count++;
	if (m->host != NULL)
		m->host->mappings++;
	return m;
}

struct mapping *
mapping_new(struct nat *n, uint8_t protocol, const struct end *in,
    const struct end *remote, enum nat_count *why)
{
	struct mapping new = {.protocol = protocol,
	    .in = *in,
	    .remote = *remote,
	    .rule = rule_now(n, in)};
	struct host *h;

	/* There is one already, which clashes at this remote alone. */
	if (mapping_find(n, protocol, in, remote) != NULL ||
	    (new.rule != NAT_NONE &&is_over(n)))
		new.rule = NAT_APD;

	if (!room_make(n)) {
		*why = NAT_DROP_FULL;
		return NULL;
	}
	new.host = h = host_get(n, &in->ip);
	*why = NAT_DROP_QUOTA;
	if (n->config.host_limit == 0 || h->mappings < n->config.host_limit) {
		*why = NAT_DROP_NO_PORT;
		if (port_choose(n, h, protocol, in, remote, &new.out)) {
			n->counters[NAT_COUNT_MADE]++;
			return mapping_enter(n, &new);
		}
	}
	if (h->mappings == 0) {
		LIST_REMOVE(h, entry);
		LIST_INSERT_HEAD(&n->table.free_hosts, h, entry);
	}
	return NULL;
}

struct mapping *
mapping_new_own(struct nat *n, uint8_t protocol, const struct end *out,
    const struct end *remote)
{
	struct mapping new = {.protocol = protocol,
	    .own = true,
	    .in = *out,
	    .out = *out,
	    .remote = *remote,
	    .rule = NAT_APD};

	return room_make(n) ? mapping_enter(n, &new) : NULL;
}

struct session *
session_new(struct nat *n, struct mapping *m, const struct end *remote)
{
	struct table *t = &n->table;
	struct session *s = session_take(t);

	if (s == NULL)
		return NULL;
	*s = (struct session){.mapping = m,
	    .remote = *remote,
	    .made = n->v,
	    .expires = m->expires};
	LIST_INSERT_HEAD(
	    &t->by_pair[bucket(m->protocol, &m->in, remote)], s, by_pair);
	LIST_INSERT_HEAD(&m->sessions, s, of_mapping);
	return s;
}

/*
 * natcore_life: how long mappings and sessions live, what refreshes them, and
 * what becomes of them at the end. RFC 4787 section 4.3, RFC 5382 REQ-5.
 */
#include "tests/natlab/natcore_impl.h"

static int64_t
udp_ttl(const struct nat *n, const struct session *s)
{
	const struct nat_config *c = &n->config;
	bool whole = c->scope == NAT_SCOPE_MAPPING;
	int64_t made = whole ? s->mapping->made : s->made;
	unsigned packets = whole ? s->mapping->packets : s->packets;

	if (s->mapping->own ||
	    !(whole ? s->mapping->replied : s->opened && s->replied))
		return c->ttl_single;
	if (c->ttl_stream != 0 && n->v - made >= c->stream_after &&
	    packets >= c->stream_packets)
		return c->ttl_stream;
	return c->ttl_exchange;
}

/* When what would end at t really ends. */
static int64_t
tick_after(const struct nat *n, int64_t t)
{
	int64_t tick = n->config.tick;

	return tick == 0 ? t : (t + tick - 1) / tick * tick;
}

static bool
refreshes(const struct nat *n, const struct mapping *m, enum nat_side from)
{
	switch (
	    m->protocol == PROTO_UDP ? n->config.refresh : NAT_REFRESH_BOTH) {
	case NAT_REFRESH_OUT:
		return from == NAT_INSIDE;
	case NAT_REFRESH_IN:
		return from == NAT_OUTSIDE;
	case NAT_REFRESH_NONE:
		return false;
	case NAT_REFRESH_BOTH:
		break;
	}
	return true;
}

/* All of a UDP mapping lives as long as its last refresh says, if that is the
 * scope; otherwise each session for itself, the mapping as the last of them. */
static void
mapping_refresh(struct nat *n, struct session *s, int64_t until)
{
	struct mapping *m = s->mapping;
	struct session *other;

	m->expires = s->expires = until;
	LIST_FOREACH (other, &m->sessions, of_mapping) {
		if (m->protocol == PROTO_UDP &&
		    n->config.scope == NAT_SCOPE_MAPPING)
			other->expires = until;
		else if (other->expires > m->expires)
			m->expires = other->expires;
		if (other->expires < n->table.earliest)
			n->table.earliest = other->expires;
	}
}

void
session_refresh(struct nat *n, struct session *s)
{
	uint8_t protocol = s->mapping->protocol;
	int64_t ttl = protocol == PROTO_UDP ? udp_ttl(n, s)
	    : protocol == PROTO_TCP	    ? tcp_ttl(&n->config, &s->tcp)
					    : n->config.ttl_icmp;

	if (table_is_degraded(n))
		ttl /= 2;
	s->filter_expires = tick_after(n, n->v + n->config.ttl_filter);
	mapping_refresh(n, s, tick_after(n, n->v + ttl));
}

/* Notes who has sent; true if this starts the session's time, or that of all
 * of the mapping, whatever refreshes it later. */
static bool
session_note(struct nat *n, struct session *s, enum nat_side from)
{
	struct mapping *m = s->mapping;
	bool starts = m->expires == 0;

	s->packets++;
	m->packets++;
	if (from == NAT_OUTSIDE) {
		s->replied = m->replied = true;
		return starts;
	}
	if (!s->opened)
		s->filter_expires = tick_after(n, n->v + n->config.ttl_filter);
	if (!s->opened && n->config.scope == NAT_SCOPE_SESSION)
		starts = true;
	s->opened = true;
	m->order = ++n->table.order;
	return starts;
}

void
session_passed(struct nat *n, struct session *s, enum nat_side from)
{
	struct mapping *m = s->mapping;
	bool starts = session_note(n, s, from);

	TAILQ_REMOVE(&n->table.by_use, m, by_use);
	TAILQ_INSERT_TAIL(&n->table.by_use, m, by_use);
	if (starts || refreshes(n, m, from))
		session_refresh(n, s);
}

void
table_expire(struct nat *n)
{
	struct table *t = &n->table;
	struct mapping *m, *next_m;
	struct session *s, *next_s;

	if (n->v < t->earliest)
		return;
	t->earliest = INT64_MAX;
	for (m = TAILQ_FIRST(&t->by_use); m != NULL; m = next_m) {
		next_m = TAILQ_NEXT(m, by_use);
		if (n->v >= m->expires) {
			LIST_FOREACH (s, &m->sessions, of_mapping)
				tcp_expired(n, s);
			mapping_free(n, m);
			n->counters[NAT_COUNT_EXPIRED]++;
			continue;
		}
		for (s = LIST_FIRST(&m->sessions); s != NULL; s = next_s) {
			next_s = LIST_NEXT(s, of_mapping);
			if (n->v >= s->expires) {
				tcp_expired(n, s);
				session_free(t, s);
			} else if (s->expires < t->earliest)
				t->earliest = s->expires;
		}
		if (m->expires < t->earliest)
			t->earliest = m->expires;
	}
}

/*
 * natcore_icmp: ICMP errors about translated packets (RFC 5508 section 4),
 * and those that the NAT says itself.
 */
#include "tests/natlab/natcore_impl.h"

static void
quote_ends(const struct packet *q, struct end *local, struct end *remote,
    enum nat_side from)
{
	*local = from == NAT_OUTSIDE ? q->src : q->dst;
	*remote = from == NAT_OUTSIDE ? q->dst : q->src;
	if (packet_is_query(q))
		remote->port = 0;
}

/* About a packet that we have sent outside. */
static void
error_in(struct nat *n, struct packet *k, struct packet *q)
{
	struct end out, remote;
	struct mapping *m;
	struct session *s;

	quote_ends(q, &out, &remote, NAT_OUTSIDE);
	m = mapping_pick(&n->table, q->protocol, &out, &remote);
	if (m == NULL || m->own)
		return nat_drop(n, NAT_DROP_ICMP);
	s = session_find(&n->table, q->protocol, &m->in, &remote);
	if (s == NULL || s->mapping != m)
		return nat_drop(n, NAT_DROP_ICMP);
	if (m->rule != NAT_NONE) {
		packet_set_dst(k, &m->in);
		if (n->config.icmp_errors == NAT_ERRORS_TRANSLATE)
			packet_quote_set_src(k, q, &m->in);
	}
	n->counters[NAT_COUNT_ERRORS]++;
	if (n->config.refresh_icmp)
		session_refresh(n, s);
	nat_send(n, NAT_INSIDE, k);
	if (n->config.icmp_kills)
		mapping_free(n, m);
}

/* About a packet that we have let in. */
static void
error_out(struct nat *n, struct packet *k, struct packet *q)
{
	struct end in, remote;
	struct session *s;

	quote_ends(q, &in, &remote, NAT_INSIDE);
	s = session_find(&n->table, q->protocol, &in, &remote);
	if (s == NULL)
		return nat_drop(n, NAT_DROP_ICMP);
	if (n->config.refresh_error)
		session_refresh(n, s);
	if (s->mapping->rule != NAT_NONE) {
		packet_set_src(k, &s->mapping->out);
		if (n->config.icmp_errors == NAT_ERRORS_TRANSLATE)
			packet_quote_set_dst(k, q, &s->mapping->out);
	}
	if (ip_is_external(n, &k->dst.ip)) {
		if (!packet_read_quote(q, k))
			return nat_drop(n, NAT_DROP_ICMP);
		return error_in(n, k, q);
	}
	n->counters[NAT_COUNT_ERRORS]++;
	nat_send(n, NAT_OUTSIDE, k);
}

void
icmp_error(struct nat *n, enum nat_side from, struct packet *k)
{
	struct packet q;

	if (n->config.icmp_errors == NAT_ERRORS_DROP ||
	    !packet_read_quote(&q, k) || !q.has_ports)
		return nat_drop(n, NAT_DROP_ICMP);
	if (from == NAT_INSIDE)
		error_out(n, k, &q);
	else
		error_in(n, k, &q);
}

static bool
ip_is_set(const struct ip *a)
{
	static const struct ip none;

	return ip_compare(a, &none) != 0;
}

void
icmp_say(struct nat *n, enum nat_side to, const struct packet *about,
    enum icmp_what what, unsigned mtu)
{
	struct icmp_kind kind = icmp_kind_of(about->v4, what, mtu);
	const struct ip *own =
	    about->v4 ? &n->config.inside4 : &n->config.inside6;
	uint8_t out[MADE_MAX];

	/* An address of its own, or as if the far end had said so. */
	if (ip_is_external(n, &about->dst.ip) || !ip_is_set(own))
		own = &about->dst.ip;
	nat_answer(n, to, out, make_error(out, about, own, &kind));
}

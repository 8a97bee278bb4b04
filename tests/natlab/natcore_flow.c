/*
 * natcore_flow: what becomes of each packet: outbound, inbound, hairpinned or
 * unsolicited. The rules themselves are in natcore_table.c (mapping, filter,
 * lifetimes), natcore_port.c and natcore_tcp.c.
 */
#include <string.h>

#include "tests/natlab/natcore_impl.h"

bool
ip_is_external(const struct nat *n, const struct ip *ip)
{
	for (unsigned i = 0; i < n->config.external_count; i++)
		if (memcmp(&n->config.external[i], ip, sizeof(*ip)) == 0)
			return true;
	return false;
}

static void
answer_rst(struct nat *n, enum nat_side to, const struct packet *k)
{
	uint8_t out[MADE_MAX];

	if (!(k->tcp_flags & TCP_RST))
		nat_answer(n, to, out, make_rst(out, k));
}

/* True, and counted, if TCP forbids the packet. */
static bool
tcp_refused(struct nat *n, enum nat_side from, enum tcp_verdict verdict,
    const struct packet *k)
{
	if (verdict == TCP_OK)
		return false;
	nat_drop(n, NAT_DROP_TCP_STATE);
	if (verdict == TCP_ANSWER_RST)
		answer_rst(n, from, k);
	return true;
}

/* ---- unsolicited ---- */

/* The gateway takes the packet for its own: from now on the remote has that
 * port of it. */
static void
poison(struct nat *n, const struct packet *k)
{
	struct mapping *m =
	    mapping_pick(&n->table, k->protocol, &k->dst, &k->src);
	struct session *s;

	if (m == NULL || !m->own) {
		m = mapping_new_own(n, k->protocol, &k->dst, &k->src);
		if (m == NULL)
			return;
		n->counters[NAT_COUNT_POISONED]++;
	}
	s = session_find(&n->table, k->protocol, &k->dst, &k->src);
	if (s == NULL)
		s = session_new(n, m, &k->src);
	if (s == NULL)
		mapping_free(n, m);
	else
		session_passed(n, s, NAT_OUTSIDE);
}

static void
unsolicited_udp(struct nat *n, const struct packet *k)
{
	bool own = ip_is_external(n, &k->dst.ip);

	switch (n->config.unsolicited) {
	case NAT_UNSOLICITED_DROP:
		return;
	case NAT_UNSOLICITED_STATE:
		if (!own)
			return;
		poison(n, k);
		break;
	case NAT_UNSOLICITED_UNREACH:
		break;
	}
	icmp_say(n, NAT_OUTSIDE, k, own ? ICMP_NO_PORT : ICMP_PROHIBITED, 0);
}

static void
unsolicited_tcp(struct nat *n, const struct packet *k)
{
	if (k->tcp_flags & TCP_RST)
		return;
	switch (n->config.tcp_unsolicited) {
	case NAT_TCP_DROP:
		break;
	case NAT_TCP_RST:
		answer_rst(n, NAT_OUTSIDE, k);
		break;
	case NAT_TCP_UNREACH:
		icmp_say(n, NAT_OUTSIDE, k, ICMP_NO_PORT, 0);
		break;
	case NAT_TCP_WAIT:
		if (k->tcp_flags & TCP_SYN)
			waiting_add(n, k);
		break;
	}
}

void
flow_unsolicited(struct nat *n, const struct packet *k, enum nat_count why)
{
	nat_drop(n, why);
	if (k->protocol == PROTO_UDP)
		unsolicited_udp(n, k);
	else if (k->protocol == PROTO_TCP)
		unsolicited_tcp(n, k);
}

/* An echo request to an external address is for the NAT itself. */
static bool
answer_ping(struct nat *n, enum nat_side from, struct packet *k)
{
	if (!n->config.ping || !packet_is_echo_request(k) ||
	    !ip_is_external(n, &k->dst.ip))
		return false;
	packet_turn_echo(k);
	nat_answer(n, from, k->p, k->n);
	return true;
}

/* ---- inbound ---- */

static struct end
remote_of(const struct packet *k, const struct end *e)
{
	return (struct end){e->ip, packet_is_query(k) ? 0 : e->port};
}

/*
 * A packet to an external endpoint, from outside, or (hairpin: its internal
 * source) from inside, translated already. A packet that is let in makes a
 * session, so what goes back leaves by the same mapping.
 */
static void
flow_in(struct nat *n, struct packet *k, const struct end *hairpin)
{
	struct end remote = remote_of(k, &k->src);
	struct mapping *m =
	    mapping_pick(&n->table, k->protocol, &k->dst, &remote);
	enum nat_count why =
	    m == NULL || m->own ? NAT_DROP_UNMAPPED : NAT_DROP_FILTERED;
	struct session *s;
	enum tcp_verdict verdict = TCP_OK;
	bool elsewhere; /* the remote is known by another mapping */

	if (why == NAT_DROP_UNMAPPED || !filter_admits(n, m, &remote)) {
		if (hairpin != NULL)
			nat_drop(n, why);
		else
			flow_unsolicited(n, k, why);
		return;
	}
	if (hairpin != NULL && n->config.hairpin_same_host &&
	    ip_compare(&m->in.ip, &hairpin->ip) != 0)
		return nat_drop(n, NAT_DROP_HAIRPIN);
	s = session_find(&n->table, k->protocol, &m->in, &remote);
	elsewhere = s != NULL && s->mapping != m;
	if (k->protocol == PROTO_TCP && !elsewhere)
		verdict = tcp_inbound(n, s, k);
	if (hairpin != NULL && verdict == TCP_ANSWER_RST)
		verdict = TCP_DROP; /* nobody out there to answer to */
	if (tcp_refused(n, NAT_OUTSIDE, verdict, k))
		return;
	if (s == NULL && (s = session_new(n, m, &remote)) == NULL)
		return nat_drop(n, NAT_DROP_FULL);
	if (!elsewhere) {
		if (k->protocol == PROTO_TCP)
			tcp_passed(s, k, NAT_OUTSIDE);
		session_passed(n, s, NAT_OUTSIDE);
	}
	if (m->rule != NAT_NONE)
		packet_set_dst(k, &m->in);
	if (n->config.alg != NAT_ALG_OFF)
		packet_replace(k, &m->out.ip, &m->in.ip);
	if (hairpin != NULL && n->config.hairpin == NAT_HAIRPIN_INTERNAL)
		packet_set_src(k, hairpin);
	n->counters[hairpin != NULL ? NAT_COUNT_HAIRPIN : NAT_COUNT_IN]++;
	nat_send(n, NAT_INSIDE, k);
}

/* ---- outbound ---- */

static struct session *
outbound_session(struct nat *n, const struct packet *k, const struct end *in,
    const struct end *remote)
{
	enum nat_count why = NAT_DROP_FULL;
	struct mapping *m = mapping_find(n, k->protocol, in, remote);
	struct session *s;

	if (m != NULL && mapping_clashes(n, k->protocol, in, &m->out, remote))
		m = NULL;
	if (m == NULL)
		m = mapping_new(n, k->protocol, in, remote, &why);
	if (m == NULL || (s = session_new(n, m, remote)) == NULL) {
		if (m != NULL && LIST_EMPTY(&m->sessions))
			mapping_free(n, m);
		nat_drop(n, why);
		return NULL;
	}
	if (k->protocol == PROTO_TCP)
		waiting_forget(n, remote, &m->out);
	return s;
}

static void
flow_out(struct nat *n, struct packet *k)
{
	struct end in = k->src, remote = remote_of(k, &k->dst);
	bool hairpin = ip_is_external(n, &k->dst.ip);
	struct session *s;

	if (hairpin && answer_ping(n, NAT_INSIDE, k))
		return;
	if (hairpin && n->config.hairpin == NAT_HAIRPIN_NONE)
		return nat_drop(n, NAT_DROP_HAIRPIN);
	s = session_find(&n->table, k->protocol, &in, &remote);
	if (k->protocol == PROTO_TCP &&
	    tcp_refused(n, NAT_INSIDE, tcp_outbound(n, s, k), k))
		return;
	if (s == NULL && (s = outbound_session(n, k, &in, &remote)) == NULL)
		return;
	if (k->protocol == PROTO_TCP)
		tcp_passed(s, k, NAT_INSIDE);
	session_passed(n, s, NAT_INSIDE);
	if (s->mapping->rule != NAT_NONE)
		packet_set_src(k, &s->mapping->out);
	if (n->config.alg != NAT_ALG_OFF)
		packet_replace(k, &in.ip, &s->mapping->out.ip);
	if (hairpin)
		return flow_in(n, k, &in);
	n->counters[NAT_COUNT_OUT]++;
	nat_send(n, NAT_OUTSIDE, k);
}

/* ---- all ---- */

/* A packet that cannot be cut is too big: its sender is told, or not. */
static bool
is_too_big(struct nat *n, enum nat_side from, const struct packet *k)
{
	unsigned mtu =
	    from == NAT_INSIDE ? n->config.mtu_out : n->config.mtu_in;

	if (k->n <= mtu || !k->dont_fragment)
		return false;
	nat_drop(n, NAT_DROP_TOO_BIG);
	if (n->config.ptb && !packet_is_error(k) &&
	    !packet_is_later_fragment(k))
		icmp_say(n, from, k, ICMP_TOO_BIG, mtu);
	return true;
}

void
flow_packet(struct nat *n, enum nat_side from, struct packet *k)
{
	bool icmp = k->protocol == PROTO_ICMP || k->protocol == PROTO_ICMP6;

	if (!icmp && k->protocol != PROTO_UDP && k->protocol != PROTO_TCP)
		return nat_drop(n, NAT_DROP_PROTOCOL);
	if (!k->has_ports)
		return nat_drop(n, NAT_DROP_MALFORMED);
	if (packet_is_error(k))
		return icmp_error(n, from, k);
	if (icmp && !packet_is_query(k))
		return nat_drop(n, NAT_DROP_PROTOCOL);
	if (is_too_big(n, from, k))
		return;
	if (from == NAT_INSIDE)
		return flow_out(n, k);
	if (!answer_ping(n, NAT_OUTSIDE, k))
		flow_in(n, k, NULL);
}

void
flow_line(struct nat *n, enum nat_side from, struct packet *k)
{
	bool out = from == NAT_INSIDE;

	if (is_too_big(n, from, k))
		return;
	n->counters[out ? NAT_COUNT_OUT : NAT_COUNT_IN]++;
	nat_send(n, out ? NAT_OUTSIDE : NAT_INSIDE, k);
}

/*
 * natcore_tcp: the states of a TCP connection as a NAT sees them (RFC 5382,
 * and RFC 7857 section 2), and SYNs that wait for an error.
 */
#include <string.h>

#include "tests/natlab/natcore_impl.h"

static bool
is_syn(const struct packet *k)
{
	return (k->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

enum tcp_verdict
tcp_outbound(
    const struct nat *n, const struct session *s, const struct packet *k)
{
	if (s != NULL || is_syn(k))
		return TCP_OK;
	switch (n->config.tcp_midstream) {
	case NAT_MIDSTREAM_DROP:
		break;
	case NAT_MIDSTREAM_RST:
		return k->tcp_flags & TCP_RST ? TCP_DROP : TCP_ANSWER_RST;
	case NAT_MIDSTREAM_CREATE:
		return TCP_OK;
	}
	return TCP_DROP;
}

enum tcp_verdict
tcp_inbound(
    const struct nat *n, const struct session *s, const struct packet *k)
{
	if (s == NULL)
		return is_syn(k) ? TCP_OK : TCP_DROP;
	if (!is_syn(k) || !s->tcp.syn_out || s->tcp.syn_in)
		return TCP_OK;
	switch (n->config.tcp_cross) {
	case NAT_CROSS_ACCEPT:
		break;
	case NAT_CROSS_DROP:
		return TCP_DROP;
	case NAT_CROSS_RST:
		return TCP_ANSWER_RST;
	}
	return TCP_OK;
}

static bool
is_closing(const struct tcp *t)
{
	return t->rst || (t->fin_out && t->fin_in);
}

void
tcp_passed(struct session *s, const struct packet *k, enum nat_side from)
{
	struct tcp *t = &s->tcp;

	if (k->tcp_flags & TCP_SYN) {
		if (is_closing(t)) /* the same ports, a new connection */
			*t = (struct tcp){.rst = false};
		*(from == NAT_INSIDE ? &t->syn_out : &t->syn_in) = true;
	} else if (!t->syn_out && !t->syn_in)
		t->syn_out = t->syn_in = true; /* taken up midstream */
	if (k->tcp_flags & TCP_FIN)
		*(from == NAT_INSIDE ? &t->fin_out : &t->fin_in) = true;
	if (k->tcp_flags & TCP_ACK) {
		t->acked[from] = true;
		t->wants[from] = k->tcp_ack;
	}
	/* Whoever forged the reset, the connection may go on. */
	t->rst = k->tcp_flags & TCP_RST;
}

int64_t
tcp_ttl(const struct nat_config *c, const struct tcp *t)
{
	if (is_closing(t))
		return c->tcp_ttl_closing;
	return t->syn_out && t->syn_in ? c->tcp_ttl_open : c->tcp_ttl_syn;
}

void
tcp_expired(struct nat *n, const struct session *s)
{
	const struct mapping *m = s->mapping;
	uint8_t out[MADE_MAX];

	if (m->protocol != PROTO_TCP || !n->config.tcp_rst_on_expire ||
	    is_closing(&s->tcp) || !s->tcp.acked[NAT_INSIDE] ||
	    !s->tcp.acked[NAT_OUTSIDE])
		return;
	nat_answer(n, NAT_INSIDE, out,
	    make_rst_of(out, &s->remote, &m->in, s->tcp.wants[NAT_INSIDE]));
	/* The other end of a hairpin has a session of its own. */
	if (!ip_is_external(n, &s->remote.ip))
		nat_answer(n, NAT_OUTSIDE, out,
		    make_rst_of(
			out, &m->out, &s->remote, s->tcp.wants[NAT_OUTSIDE]));
}

/* ---- SYNs that wait ---- */

void
waiting_add(struct nat *n, const struct packet *k)
{
	for (int i = 0; i < NAT_WAITING_MAX; i++) {
		struct waiting *w = &n->waiting[i];

		if (w->used)
			continue;
		w->used = true;
		w->due = n->v + 6 * SECOND;
		w->src = k->src;
		w->dst = k->dst;
		w->n = k->n < sizeof(w->packet) ? k->n : sizeof(w->packet);
		memcpy(w->packet, k->p, w->n);
		return;
	}
}

void
waiting_forget(struct nat *n, const struct end *remote, const struct end *out)
{
	for (int i = 0; i < NAT_WAITING_MAX; i++)
		if (n->waiting[i].used &&
		    end_equal(&n->waiting[i].src, remote) &&
		    end_equal(&n->waiting[i].dst, out))
			n->waiting[i].used = false;
}

void
waiting_run(struct nat *n)
{
	for (int i = 0; i < NAT_WAITING_MAX; i++) {
		struct waiting *w = &n->waiting[i];
		struct packet k;

		if (!w->used || n->v < w->due)
			continue;
		w->used = false;
		k = (struct packet){.p = w->packet,
		    .n = w->n,
		    .v4 = ip_is_v4(&w->src.ip),
		    .src = w->src,
		    .dst = w->dst};
		icmp_say(n, NAT_OUTSIDE, &k, ICMP_NO_PORT, 0);
	}
}

int64_t
waiting_due(const struct nat *n)
{
	int64_t due = 0;

	for (int i = 0; i < NAT_WAITING_MAX; i++)
		if (n->waiting[i].used && (due == 0 || n->waiting[i].due < due))
			due = n->waiting[i].due;
	return due;
}

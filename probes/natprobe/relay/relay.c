/*
 * relay: measures relays, a few at a time. Of each: its addresses, a
 * connection per family, and beside the first that opens a second one, to
 * send packets from one to the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/relay/relay.h"
#include "run/loop.h"

/* So many are measured at once, fewer at less than the usual rate; and as many
 * are begun at once, lest handshakes that keep this host busy take time from
 * each other. One that is not open after SLOW_US waits for somebody else's
 * answer, which so many may do. */
#define AT_ONCE 8
#define WAITING 64
#define SLOW_US INT64_C(300000)

static void go(void *arg);

static size_t
at_once(const struct pacer *p)
{
	size_t n = p == NULL || p->rate >= p->usual
	    ? AT_ONCE
	    : (size_t)AT_ONCE * p->rate / p->usual;

	return n == 0 ? 1 : n;
}

static void
soon(void *arg)
{
	struct relay *r = arg;

	timer_set(r->timer, mono_add_us(loop_now(r->all->loop), 1));
}

bool
relay_works(const struct relay *r)
{
	return r->first != -1;
}

/* ---- the row ---- */

static void
on_first(void *arg, const struct talk_event *event)
{
	struct relay *r = arg;

	if (r->row_begun && event->kind == TALK_PONG) {
		row_pong_came(
		    &r->row, event->p, event->n, loop_now(r->all->loop));
		soon(r);
	}
}

static void
on_second(void *arg, const struct talk_event *event)
{
	struct relay *r = arg;

	if (r->row_begun && event->kind == TALK_PACKET &&
	    key_equal(&event->from, &r->legs[r->first].talk.pub)) {
		row_packet_came(
		    &r->row, event->p, event->n, loop_now(r->all->loop));
		soon(r);
	}
}

static void
begin_row(struct relay *r, struct mono now)
{
	uint8_t cookie[4];

	randombytes_buf(cookie, sizeof(cookie));
	row_init(&r->row, cookie, now);
	r->row_begun = true;
}

/* Each in a packet of its own, which flushing counts. */
static void
send_row(struct relay *r, struct mono now)
{
	struct relay_conn *c = &r->legs[r->first];
	uint8_t packet[ROW_PACKET_LEN];

	while (row_is_due(&r->row, now) && pace_ready(&r->pace, now)) {
		if (row_packet(&r->row, packet, now))
			talk_packet(&c->talk, &r->second.talk.pub, packet,
			    sizeof(packet));
		else if (row_ping(&r->row, packet, now))
			talk_ping(&c->talk, packet);
		relay_conn_flush(c);
	}
	if (!mono_is_set(row_wake(&r->row, now)) || c->failed ||
	    r->second.failed)
		r->row_over = true;
	else
		timer_set(
		    r->timer, pace_wake(&r->pace, row_wake(&r->row, now)));
}

/* ---- one relay ---- */

static bool
family_wanted(const struct relays *all, int v6)
{
	return all->family == FAMILY_BOTH ||
	    all->family == (v6 ? FAMILY_6 : FAMILY_4);
}

bool
relay_address(const struct relay_node *node, const struct lookup *lookup,
    int v6, struct addr *a)
{
	const char *text = node->ip[v6];
	const struct addr *found = lookup_first(lookup, v6);

	if (*text == '\0' && node->host_is_ip)
		text = node->host;
	if (*text == '\0') {
		if (found == NULL)
			return false;
		*a = *found;
	} else if (!addr_parse(a, text, 0))
		return false;
	if (addr_is_v4(a) != !v6)
		return false;
	addr_set_port(a, node->port);
	return true;
}

bool
relay_needs_lookup(const struct relay_node *node, int v6)
{
	return !node->host_is_ip && node->ip[v6][0] == '\0';
}

/* Leave to send a SYN; if not, the timer is set for it. */
static bool
may_connect(struct relay *r)
{
	struct mono now = loop_now(r->all->loop);

	if (!pace_ready(&r->pace, now)) {
		timer_set(r->timer, pace_wake(&r->pace, now));
		return false;
	}
	pace_sent(&r->pace, 1, now);
	return true;
}

static void
connect_conn(struct relay *r, struct relay_conn *c, const struct addr *to,
    relay_event_fn *event)
{
	c->pace = &r->pace;
	relay_conn_start(
	    c, r->all->loop, r->all->ctx, r->node, to, soon, event, r);
}

static void
begin_legs(struct relay *r)
{
	struct relays *all = r->all;
	struct addr a;

	for (int v6 = 0; v6 < 2; v6++) {
		if (!family_wanted(all, v6) ||
		    !relay_address(r->node, &r->lookup, v6, &a))
			continue;
		if (r->node->http_port != 0 && !r->portal.used) {
			if (!may_connect(r))
				return;
			relay_portal_start(&r->portal, all->loop, r->node, &a,
			    &r->pace, soon, r);
		}
		if (r->legs[v6].used)
			continue;
		if (!may_connect(r))
			return;
		connect_conn(r, &r->legs[v6], &a, on_first);
	}
	r->begun = true;
}

static void
begin_relay(struct relay *r)
{
	const struct relay_node *node = r->node;

	for (int v6 = 0; v6 < 2; v6++)
		r->looked_up |=
		    family_wanted(r->all, v6) && relay_needs_lookup(node, v6);
	if (r->looked_up)
		lookup_start(&r->lookup, r->all->loop, node->host,
		    RELAY_STEP_US, soon, r);
	soon(r);
}

static bool
conn_waits(const struct relay_conn *c)
{
	return c->used && !c->failed && c->step != RELAY_OPEN;
}

static bool
is_open(const struct relay_conn *c)
{
	return c->used && !c->failed && c->step == RELAY_OPEN;
}

/* -1: none is. */
static int
open_leg(const struct relay *r)
{
	return is_open(&r->legs[0]) ? 0 : is_open(&r->legs[1]) ? 1 : -1;
}

static void
begin_second(struct relay *r)
{
	int leg = open_leg(r);

	if (!r->measured) {
		r->turn = 0;
		r->measured = true;
		r->all->measured++;
	}
	if (leg == -1 || !may_connect(r))
		return;
	r->first = leg;
	connect_conn(r, &r->second, &r->legs[leg].to, on_second);
}

static bool
is_over(const struct relay *r)
{
	if (!r->begun || r->turn != 0 || conn_waits(&r->legs[0]) ||
	    conn_waits(&r->legs[1]) || conn_waits(&r->second) ||
	    (r->portal.used && !r->portal.over) ||
	    (r->first == -1 && open_leg(r) != -1))
		return false;
	return !r->row_begun || r->row_over;
}

static void
close_relay(struct relay *r)
{
	lookup_clear(&r->lookup);
	relay_conn_close(&r->legs[0]);
	relay_conn_close(&r->legs[1]);
	relay_conn_close(&r->second);
	relay_portal_close(&r->portal);
	timer_free(r->timer);
	timer_free(r->slow);
	r->timer = r->slow = NULL;
}

/* It need not be waited for to begin others. */
static void
settle(struct relay *r)
{
	r->all->lively -= r->lively;
	r->lively = false;
	timer_set(r->slow, MONO_NEVER);
}

static void
begin_more(struct relays *all)
{
	while (all->running < WAITING && all->lively < at_once(all->pacer) &&
	    all->next < all->n) {
		struct relay *r = all->v[all->next++];

		all->running++;
		all->lively++;
		r->lively = true;
		timer_set(r->slow, mono_add_us(loop_now(all->loop), SLOW_US));
		begin_relay(r);
	}
}

static void
on_slow(void *arg)
{
	struct relay *r = arg;

	settle(r);
	begin_more(r->all);
}

/* The one that waits for longest to be measured. */
static void
measure_next(struct relays *all)
{
	struct relay *first = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i]->turn != 0 &&
		    (first == NULL || all->v[i]->turn < first->turn))
			first = all->v[i];
	if (first != NULL)
		soon(first);
}

/* A leg is open: it is measured now, or waits for its turn. */
static void
take_turn(struct relay *r)
{
	struct relays *all = r->all;

	if (r->lively) {
		settle(r);
		begin_more(all);
	}
	if (r->measured || all->measured < at_once(all->pacer))
		begin_second(r);
	else if (r->turn == 0)
		r->turn = ++all->turns;
}

static void
end_relay(struct relay *r)
{
	struct relays *all = r->all;

	r->over = true;
	settle(r);
	all->measured -= r->measured;
	all->running--;
	close_relay(r);
	measure_next(all);
	begin_more(all);
	if (all->running == 0)
		all->done(all->arg);
}

/* The one place where it is decided what comes next. */
static void
go(void *arg)
{
	struct relay *r = arg;
	struct mono now = loop_now(r->all->loop);

	if (!r->begun && (!r->looked_up || r->lookup.over))
		begin_legs(r);
	if (r->begun && r->first == -1 && open_leg(r) != -1)
		take_turn(r);
	else if (r->first == -1)
		r->turn = 0;
	if (!r->row_begun && is_open(&r->second) && is_open(&r->legs[r->first]))
		begin_row(r, now);
	if (r->row_begun && !r->row_over)
		send_row(r, now);
	if (is_over(r))
		end_relay(r);
}

/* ---- all of them ---- */

unsigned
relay_packets(const struct relay_nodes *nodes, int family)
{
	unsigned conns = family == FAMILY_BOTH ? 3 : 2;

	return (unsigned)nodes->n *
	    (conns * RELAY_PACKETS + RELAY_PORTAL_PACKETS + ROW_PACKETS +
		ROW_PINGS);
}

void
relay_dry_print(const struct relay_nodes *nodes, int family, FILE *out)
{
	if (nodes->n == 0)
		return;
	fprintf(out,
	    "relays: %zu, %d measured at once; to each at most %d connections, "
	    "one to its plain port, %d packets of %d bytes and %d pings, one "
	    "packet in %d ms\n"
	    "  %-22s %5u packets\n",
	    nodes->n, AT_ONCE, family == FAMILY_BOTH ? 3 : 2, ROW_PACKETS,
	    ROW_PACKET_LEN, ROW_PINGS, (int)(ROW_EVERY_US / 1000), "in all",
	    relay_packets(nodes, family));
	for (size_t i = 0; i < nodes->n; i++)
		fprintf(out, "  to %s port %u\n", nodes->v[i].host,
		    nodes->v[i].port);
}

/*
 * To open one: a name, and four steps of a connection; to measure it: a second
 * connection, and a row. While one waits for its turn, as many as can be are
 * measured; while none does, all others that wait are being opened.
 */
int64_t
relay_longest_us(const struct relay_nodes *nodes, const struct pacer *pacer)
{
	int64_t open_us = (1 + 4) * RELAY_STEP_US;
	int64_t measure_us =
	    4 * RELAY_STEP_US + ROW_PACKETS * ROW_EVERY_US + ROW_WAIT_US;
	size_t together = at_once(pacer);
	int64_t rounds = (int64_t)((nodes->n + together - 1) / together);
	int64_t waves = 1 + (int64_t)(nodes->n / (WAITING - together));

	if (nodes->n == 0)
		return 0;
	if (rounds == 1)
		return open_us + measure_us;
	return rounds * (measure_us + SLOW_US) + waves * open_us + measure_us;
}

static struct relay *
relay_new(struct relays *all, const struct relay_node *node)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->node = node;
	r->all = all;
	r->first = -1;
	r->pace.pacer = all->pacer;
	r->timer = timer_new(all->loop, go, r);
	r->slow = timer_new(all->loop, on_slow, r);
	if (r->timer == NULL || r->slow == NULL) {
		timer_free(r->timer);
		timer_free(r->slow);
		free(r);
		return NULL;
	}
	return r;
}

SSL_CTX *
relay_context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	/* Judged after the handshake, to say what is wrong. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Else a flood of messages of TLS's own stays within one SSL_read. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	(void)SSL_CTX_set_default_verify_paths(ctx);
	return ctx;
}

struct relays *
relays_new(struct loop *l, const struct relay_nodes *nodes, int family,
    struct pacer *pacer, loop_fn *done, void *arg)
{
	struct relays *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	*all = (struct relays){.loop = l,
	    .family = family,
	    .pacer = pacer,
	    .done = done,
	    .arg = arg};
	/* Reads the system's CAs, which takes a while: before any time is. */
	all->ctx = relay_context_new();
	all->v = calloc(nodes->n, sizeof(struct relay *));
	if (all->ctx == NULL || all->v == NULL) {
		relays_free(all);
		return NULL;
	}
	for (; all->n < nodes->n; all->n++) {
		all->v[all->n] = relay_new(all, &nodes->v[all->n]);
		if (all->v[all->n] == NULL) {
			relays_free(all);
			return NULL;
		}
	}
	begin_more(all);
	return all;
}

void
relays_free(struct relays *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		close_relay(r->v[i]);
		talk_clear(&r->v[i]->legs[0].talk);
		talk_clear(&r->v[i]->legs[1].talk);
		talk_clear(&r->v[i]->second.talk);
		free(r->v[i]);
	}
	free(r->v);
	SSL_CTX_free(r->ctx);
	free(r);
}

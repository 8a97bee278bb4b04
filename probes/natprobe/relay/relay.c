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

/* So many are measured at once: 400 small packets a second at the most; and as
 * many are begun at once, lest handshakes that keep this host busy take time
 * from each other. One that is not open after SLOW_US waits for somebody
 * else's answer, which so many may do. */
#define AT_ONCE 8
#define WAITING 64
#define SLOW_US INT64_C(300000)

static void go(void *arg);

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

static void
send_row(struct relay *r, struct mono now)
{
	struct relay_conn *c = &r->legs[r->first];
	uint8_t packet[ROW_PACKET_LEN];

	while (row_packet(&r->row, packet, now))
		talk_packet(
		    &c->talk, &r->second.talk.pub, packet, sizeof(packet));
	while (row_ping(&r->row, packet, now))
		talk_ping(&c->talk, packet);
	relay_conn_flush(c);
	if (!mono_is_set(row_wake(&r->row, now)) || c->failed ||
	    r->second.failed)
		r->row_over = true;
	else
		timer_set(r->timer, row_wake(&r->row, now));
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

static void
begin_legs(struct relay *r)
{
	struct relays *all = r->all;
	struct addr a;

	r->begun = true;
	for (int v6 = 0; v6 < 2; v6++) {
		if (!family_wanted(all, v6) ||
		    !relay_address(r->node, &r->lookup, v6, &a))
			continue;
		if (r->node->http_port != 0 && !r->portal.used)
			relay_portal_start(
			    &r->portal, all->loop, r->node, &a, soon, r);
		relay_conn_start(&r->legs[v6], all->loop, all->ctx, r->node, &a,
		    soon, on_first, r);
	}
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

static void
begin_second(struct relay *r)
{
	r->turn = 0;
	r->measured = true;
	r->all->measured++;
	for (int v6 = 0; v6 < 2 && r->first == -1; v6++)
		if (is_open(&r->legs[v6]))
			r->first = v6;
	if (r->first != -1)
		relay_conn_start(&r->second, r->all->loop, r->all->ctx, r->node,
		    &r->legs[r->first].to, soon, on_second, r);
}

static bool
is_over(const struct relay *r)
{
	if (!r->begun || r->turn != 0 || conn_waits(&r->legs[0]) ||
	    conn_waits(&r->legs[1]) || conn_waits(&r->second) ||
	    (r->portal.used && !r->portal.over))
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
	while (all->running < WAITING && all->lively < AT_ONCE &&
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
	if (all->measured < AT_ONCE)
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
	if (r->first == -1 && (is_open(&r->legs[0]) || is_open(&r->legs[1])))
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

void
relay_dry_print(const struct relay_nodes *nodes, FILE *out)
{
	if (nodes->n == 0)
		return;
	fprintf(out,
	    "relays: %zu, %d measured at once; to each at most 3 connections "
	    "and %d "
	    "packets of %d bytes and %d pings, one packet in %d ms\n",
	    nodes->n, AT_ONCE, ROW_PACKETS, ROW_PACKET_LEN, ROW_PINGS,
	    (int)(ROW_EVERY_US / 1000));
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
relay_longest_us(const struct relay_nodes *nodes)
{
	int64_t open_us = (1 + 4) * RELAY_STEP_US;
	int64_t measure_us =
	    4 * RELAY_STEP_US + ROW_PACKETS * ROW_EVERY_US + ROW_WAIT_US;
	int64_t rounds = (int64_t)(nodes->n + AT_ONCE - 1) / AT_ONCE;
	int64_t waves = 1 + (int64_t)nodes->n / (WAITING - AT_ONCE);

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
    loop_fn *done, void *arg)
{
	struct relays *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	*all = (struct relays){
	    .loop = l, .family = family, .done = done, .arg = arg};
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

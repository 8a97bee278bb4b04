/*
 * door: one connection to one relay, of those that are known: the first that
 * lets it in. Not two at once: a relay takes a key that is there twice for
 * one client that moves.
 */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/pair/pair.h"

static void
soon(void *arg)
{
	struct door *d = arg;

	timer_set(d->timer, mono_add_us(loop_now(d->loop), 1));
}

static void
on_event(void *arg, const struct talk_event *event)
{
	struct door *d = arg;

	d->event(d->arg, event);
}

static void
set_state(struct door *d, enum door_state state)
{
	d->state = state;
	d->changed(d->arg);
}

static bool
is_wanted(const struct door *d, int v6)
{
	return d->family == FAMILY_BOTH ||
	    d->family == (v6 ? FAMILY_6 : FAMILY_4);
}

/* True if a name must be waited for. */
static bool
look_up(struct door *d, const struct relay_node *node, size_t index)
{
	bool needed = false;

	if (d->looked > index)
		return d->lookup.work != NULL && !d->lookup.over;
	for (int v6 = 0; v6 < 2; v6++)
		needed |= is_wanted(d, v6) && relay_needs_lookup(node, v6);
	d->looked = index + 1;
	lookup_clear(&d->lookup);
	memset(&d->lookup, 0, sizeof(d->lookup));
	if (!needed)
		return false;
	lookup_start(&d->lookup, d->loop, node->host, RELAY_STEP_US, soon, d);
	return !d->lookup.over;
}

static void
note(struct door *d, const struct relay_node *node, const char *what,
    const char *why)
{
	snprintf(d->why, sizeof(d->why), "%s: %s: %s", node->host, what, why);
}

/* Begins the next attempt that can be made, or gives up. */
static void
try_on(struct door *d)
{
	struct addr a;

	for (; d->attempt < 2 * d->nodes->n; d->attempt++) {
		const struct relay_node *node = &d->nodes->v[d->attempt / 2];
		int v6 = (int)(d->attempt % 2);

		if (look_up(d, node, d->attempt / 2))
			return;
		if (d->lookup.why[0] != '\0')
			note(d, node, "name", d->lookup.why);
		if (!is_wanted(d, v6) ||
		    !relay_address(node, &d->lookup, v6, &a))
			continue;
		memset(&d->conn, 0, sizeof(d->conn));
		d->conn.priv = d->priv;
		d->node = node;
		relay_conn_start(
		    &d->conn, d->loop, d->ctx, node, &a, soon, on_event, d);
		return;
	}
	if (d->why[0] == '\0')
		snprintf(d->why, sizeof(d->why),
		    "no relay has an address of the families asked for");
	d->node = NULL;
	set_state(d, DOOR_DOWN);
}

static void
close_conn(struct door *d)
{
	relay_conn_close(&d->conn);
	talk_clear(&d->conn.talk);
	d->conn.used = false;
}

static void
go(void *arg)
{
	struct door *d = arg;
	struct relay_conn *c = &d->conn;

	if (d->state == DOOR_DOWN)
		return;
	if (c->used && c->failed) {
		note(d, c->node, relay_step_name(c->step), c->why);
		close_conn(d);
		if (d->state == DOOR_UP) {
			set_state(d, DOOR_DOWN);
			return;
		}
		d->attempt++;
	}
	if (d->state == DOOR_TRYING && c->used && c->step == RELAY_OPEN)
		set_state(d, DOOR_UP);
	else if (d->state == DOOR_TRYING && !c->used)
		try_on(d);
}

int
door_init(struct door *d, struct loop *l, const struct relay_nodes *nodes,
    int family, const struct key *priv, loop_fn *changed, relay_event_fn *event,
    void *arg)
{
	*d = (struct door){.state = DOOR_DOWN,
	    .loop = l,
	    .nodes = nodes,
	    .family = family,
	    .priv = priv,
	    .changed = changed,
	    .event = event,
	    .arg = arg};
	d->ctx = relay_context_new();
	d->timer = timer_new(l, go, d);
	return d->ctx == NULL || d->timer == NULL ? -1 : 0;
}

void
door_open(struct door *d)
{
	close_conn(d);
	d->attempt = 0;
	d->looked = 0;
	d->state = DOOR_TRYING;
	soon(d);
}

void
door_next(struct door *d)
{
	close_conn(d);
	d->attempt += 2 - d->attempt % 2;
	d->state = DOOR_TRYING;
	soon(d);
}

bool
door_has_next(const struct door *d)
{
	return d->attempt / 2 + 1 < d->nodes->n;
}

void
door_send(struct door *d, const struct key *to, const uint8_t *p, size_t n)
{
	if (d->state != DOOR_UP || d->conn.failed)
		return;
	talk_packet(&d->conn.talk, to, p, n);
	relay_conn_flush(&d->conn);
}

void
door_clear(struct door *d)
{
	if (d->loop == NULL)
		return;
	close_conn(d);
	lookup_clear(&d->lookup);
	timer_free(d->timer);
	SSL_CTX_free(d->ctx);
	d->loop = NULL;
}

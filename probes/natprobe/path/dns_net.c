/*
 * dns_net: asks the system's resolver, and so whom that is told to ask; what
 * takes too long is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/path/path.h"
#include "run/loop.h"

#define LIMIT_US INT64_C(2000000)
#define RELAYS	 4 /* names of so many are looked up */

static struct dns_ask *
add(struct dns_net *d, enum dns_kind kind)
{
	struct dns_ask *a = &d->asks[d->n++];

	*a = (struct dns_ask){.kind = kind, .why = ""};
	return a;
}

/* With a dot at the end: no search list applies. */
static void
random_name(char name[static DNS_NAME_MAX], const char *below)
{
	uint8_t b[8];
	char hex[2 * sizeof(b) + 1];

	randombytes_buf(b, sizeof(b));
	sodium_bin2hex(hex, sizeof(hex), b, sizeof(b));
	snprintf(name, DNS_NAME_MAX, "n%s.%s%s", hex, below,
	    below[strlen(below) - 1] == '.' ? "" : ".");
}

static void
add_relay(struct dns_net *d, const struct relay_node *node)
{
	struct dns_ask *a;

	if (node->host_is_ip)
		return;
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->asks[i].name, node->host) == 0)
			return;
	a = add(d, DNS_RELAY);
	snprintf(a->name, sizeof(a->name), "%s", node->host);
	for (int v6 = 0; v6 < 2; v6++)
		a->has_map[v6] =
		    ip_parse(&a->map[v6], node->ip[v6], strlen(node->ip[v6])) &&
		    ip_is_v4(&a->map[v6]) == !v6;
}

static void
choose(struct dns_net *d, const struct relay_nodes *nodes)
{
	random_name(add(d, DNS_INVALID)->name, "invalid");
	snprintf(add(d, DNS_WPAD)->name, DNS_NAME_MAX, "wpad");
	for (size_t i = 0; i < nodes->n && d->n < 2 + RELAYS; i++)
		add_relay(d, &nodes->v[i]);
	if (d->n > 2) {
		struct dns_ask *below = add(d, DNS_BELOW);

		random_name(below->name, d->asks[2].name);
	}
}

_Static_assert(DNS_ASKS >= 3 + RELAYS, "room for all");

/* ---- run ---- */

static void
take(struct dns_ask *a, const struct lookup *l)
{
	a->over = true;
	a->nonexistent = l->nonexistent;
	a->why = l->why;
	for (size_t i = 0; i < l->n && a->n < DNS_FOUND; i++)
		addr_ip16(&l->found[i], a->found[a->n++].b);
}

static void
on_done(void *arg)
{
	struct dns_net *d = arg;
	bool waits = false;

	for (size_t i = 0; i < d->n; i++) {
		if (!d->asks[i].over && d->lookups[i].over)
			take(&d->asks[i], &d->lookups[i]);
		waits |= !d->asks[i].over;
	}
	if (waits || d->over)
		return;
	d->over = true;
	dns_net_close(d);
	d->done(d->arg);
}

static void
on_limit(void *arg)
{
	struct dns_net *d = arg;

	d->over = true;
	dns_net_close(d);
	d->done(d->arg);
}

static void
on_start(void *arg)
{
	struct dns_net *d = arg;

	timer_set(d->timer, MONO_NEVER);
	timer_free(d->timer);
	d->timer = timer_new(d->loop, on_limit, d);
	if (d->timer == NULL) {
		on_limit(d);
		return;
	}
	timer_set(d->timer, mono_add_us(loop_now(d->loop), LIMIT_US));
	for (size_t i = 0; i < d->n; i++)
		lookup_start(&d->lookups[i], d->loop, d->asks[i].name,
		    RELAY_STEP_US, on_done, d);
	on_done(d);
}

int
dns_net_start(struct dns_net *d, struct loop *l,
    const struct relay_nodes *nodes, loop_fn *done, void *arg)
{
	*d =
	    (struct dns_net){.used = true, .loop = l, .done = done, .arg = arg};
	choose(d, nodes);
	d->timer = timer_new(l, on_start, d);
	if (d->timer == NULL)
		return -1;
	timer_set(d->timer, mono_add_us(loop_now(l), 1));
	return 0;
}

void
dns_net_close(struct dns_net *d)
{
	timer_free(d->timer);
	d->timer = NULL;
	for (size_t i = 0; i < d->n; i++)
		lookup_clear(&d->lookups[i]);
}

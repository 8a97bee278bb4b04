/* gateway: what is asked of the router and the way, for both families. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/gateway/gateway.h"

#define FENCE_RATE 100 /* packets per second */

struct gateways *
gateways_new(struct loop *l, const struct gateway_options *options)
{
	struct gateways *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->loop = l;
	g->options = *options;
	/* Without it there is no UPnP; the rest goes on. */
	if (options->ask)
		g->helper = helper_new(l);
	return g;
}

static void
on_part(void *arg)
{
	struct gateways *g = arg;

	if (--g->running == 0)
		g->done(g->arg);
}

void
gateways_then(struct gateways *g, loop_fn *done, void *arg)
{
	g->done = done;
	g->arg = arg;
}

bool
gateways_busy(const struct gateways *g)
{
	return g->running > 0;
}

static bool
plan_fence_4(void *arg, struct mono now)
{
	struct asker *a = &((struct gateways *)arg)->fences[0];

	return fence_plan(&a->engine, a->probe, now);
}

static bool
plan_fence_6(void *arg, struct mono now)
{
	struct asker *a = &((struct gateways *)arg)->fences[1];

	return fence_plan(&a->engine, a->probe, now);
}

static bool
start_fence(struct gateways *g, bool v6, const struct probe *probe)
{
	struct stun_addr from;
	struct addr local;

	if (!net_local(&probe->servers[0].addr, &from))
		return false;
	addr_from_ip16(&local, from.ip, 0);
	return asker_start(&g->fences[v6], g->loop, probe, &local, FENCE_RATE,
	    v6 ? plan_fence_6 : plan_fence_4, on_part, g);
}

bool
gateways_start(struct gateways *g, bool v6, const struct probe *probe)
{
	struct router_options o = {.portmap = g->options.portmap};

	if (g->options.ask) {
		if (!router_start(&g->routers[v6], g->loop, probe,
			&probe->servers[0].addr, &o, v6 ? NULL : g->helper,
			on_part, g))
			return false;
		g->running++;
	}
	if (g->options.trace) {
		if (!trace_start(&g->traces[v6], g->loop, probe, on_part, g))
			return false;
		g->running++;
		if (!start_fence(g, v6, probe))
			return false;
		g->running++;
	}
	return true;
}

void
gateways_stop(struct gateways *g)
{
	for (int v6 = 0; v6 < 2; v6++) {
		trace_stop(&g->traces[v6]);
		asker_stop(&g->fences[v6]);
		router_stop(&g->routers[v6]);
	}
}

void
gateways_free(struct gateways *g)
{
	if (g == NULL)
		return;
	for (int v6 = 0; v6 < 2; v6++) {
		router_clear(&g->routers[v6]);
		trace_clear(&g->traces[v6]);
		asker_clear(&g->fences[v6]);
	}
	helper_free(g->helper);
	free(g);
}

/* What the router is asked: by PCP and NAT-PMP; by UPnP's search; and for a
 * port, by the former, and what the STUN server is asked then. */
struct router_packets {
	unsigned pcp, ssdp, map, seen;
};

static struct router_packets
router_packets(const struct gateway_options *o, bool v6)
{
	struct router_packets n = {
	    .pcp = PCP_SENDS * (v6 ? 1 : 2),
	    .ssdp = v6 ? 0 : 2 * (SSDP_DEVICES + 1),
	};

	if (o->portmap) {
		n.map = 2 * n.pcp;
		n.seen = MAPPING_TRY_PACKETS * (v6 ? 1 : MAPPINGS);
	}
	return n;
}

static bool
find_router(struct route *route, const struct gateway_options *o,
    const struct stun_addr *server)
{
	struct ip to;

	memcpy(to.b, server->ip, sizeof(to.b));
	return o->ask && route_find(route, &to);
}

unsigned
gateway_packets(
    const struct gateway_options *o, bool v6, const struct stun_addr *server)
{
	unsigned packets = o->trace ? HOPS_PACKETS + FENCE_PACKETS : 0;
	struct router_packets n = router_packets(o, v6);
	struct route route;

	return find_router(&route, o, server)
	    ? packets + n.pcp + n.ssdp + n.map + n.seen
	    : packets;
}

void
gateway_dry_print(const struct gateway_options *o, bool v6,
    const struct stun_addr *server, FILE *out)
{
	struct router_packets n = router_packets(o, v6);
	char text[ADDR_TEXT_MAX];
	struct route route;

	if (o->trace)
		fprintf(out,
		    "  %-22s %5d packets, with a time to live of 1 to %d or to "
		    "a closed port\n"
		    "  %-22s %5d packets\n",
		    "routers on the way", HOPS_PACKETS, HOPS_MAX,
		    "which of them filters", FENCE_PACKETS);
	if (!find_router(&route, o, server))
		return;
	fprintf(out, "  %-22s %5u packets to %s port %d: PCP%s\n",
	    "this network's router", n.pcp, addr_ip_text(&route.router, text),
	    PCP_PORT, v6 ? "" : " and NAT-PMP");
	if (!v6)
		fprintf(out,
		    "  %-22s %5u packets to it and to %s port %d: UPnP; then "
		    "its description by HTTP, which -rate does not count\n",
		    "", n.ssdp, SSDP_GROUP, SSDP_PORT);
	if (o->portmap)
		fprintf(out,
		    "  %-22s %5u packets to it, %u to the STUN server, UPnP by "
		    "HTTP: a UDP port by each of these for %d s, removed "
		    "again\n",
		    "a port", n.map, n.seen, PCP_LIFETIME_S);
}

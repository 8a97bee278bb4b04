/* setup: what the options ask of each part of a run, and how long that takes
 * at the most. */
#include <errno.h>

#include "probes/natprobe/run.h"

bool
run_wants(const struct natprobe *n, bool v6)
{
	struct stun_addr local;

	if (n->targets.n[v6] == 0 ||
	    n->conf.family == (v6 ? FAMILY_4 : FAMILY_6))
		return false;
	/* Without a socket it is not known; the run will say so. */
	return net_local(&n->targets.v[v6][0], &local) || net_is_short(errno);
}

bool
run_has_second(const struct natprobe *n, bool v6)
{
	return n->second.len != 0 && addr_is_v4(&n->second) == !v6;
}

struct probe_options
run_options(const struct natprobe *n, bool v6)
{
	const struct natprobe_conf *c = &n->conf;

	return (struct probe_options){.v6 = v6,
	    .lifetime = c->lifetime,
	    .refresh = c->refresh,
	    .hairpin = c->hairpin,
	    .local_ips = run_has_second(n, v6) ? 2 : 1,
	    .ttl_max_s = (unsigned)(c->ttl_max_us / 1000000),
	    .ttl_resolution_s = (unsigned)(c->ttl_resolution_us / 1000000),
	    .rate = (unsigned)c->rate};
}

struct probe_options
run_tcp_options(const struct natprobe *n, bool v6)
{
	struct probe_options o = run_options(n, v6);

	o.lifetime = n->conf.tcp_lifetime;
	return o;
}

struct gateway_options
run_gateway_options(const struct natprobe *n)
{
	const struct natprobe_conf *c = &n->conf;

	return (struct gateway_options){.ask = c->gateway || c->portmap,
	    .portmap = c->portmap,
	    .trace = c->trace};
}

static int64_t
longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t
run_longest_us(const struct natprobe *n)
{
	int64_t families =
	    n->conf.portmap ? GATEWAY_PORTMAP_US : GATEWAY_ASK_US;
	int64_t us;
	struct probe_options o;

	if (n->conf.max_time_us != 0)
		return n->conf.max_time_us;
	for (int v6 = 0; v6 < 2; v6++) {
		if (!run_wants(n, v6))
			continue;
		o = run_options(n, v6);
		us = limit_family_us(dry_packets(&n->targets, v6, &o), &o);
		families = longer(families, us);
		o = run_tcp_options(n, v6);
		if (n->conf.tcp)
			families = longer(families, tcp_longest_us(&o));
	}
	return limit_run_us(targets_longest_us(&n->targets), families,
	    relay_longest_us(&n->relay_nodes));
}

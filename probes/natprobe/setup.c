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
run_options(struct natprobe *n, bool v6)
{
	const struct natprobe_conf *c = &n->conf;

	return (struct probe_options){.v6 = v6,
	    .lifetime = c->lifetime,
	    .refresh = c->refresh,
	    .hairpin = c->hairpin,
	    .local_ips = run_has_second(n, v6) ? 2 : 1,
	    .ttl_max_s = (unsigned)(c->ttl_max_us / 1000000),
	    .ttl_resolution_s = (unsigned)(c->ttl_resolution_us / 1000000),
	    .rate = NATPROBE_SERVER_RATE,
	    .pacer = &n->pacer};
}

struct probe_options
run_tcp_options(struct natprobe *n, bool v6)
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

unsigned
run_packets(struct natprobe *n)
{
	struct gateway_options g = run_gateway_options(n);
	unsigned packets = relay_packets(&n->relay_nodes, n->conf.family);
	struct probe_options o;
	bool asked[2];

	for (int v6 = 0; v6 < 2; v6++) {
		if (!(asked[v6] = run_wants(n, v6)))
			continue;
		o = run_options(n, v6);
		packets += dry_packets(&n->targets, v6, &o);
		packets += gateway_packets(&g, v6, &n->targets.v[v6][0]);
		o = run_tcp_options(n, v6);
		if (n->conf.tcp)
			packets += tcp_packets(&n->targets, &o);
	}
	return packets +
	    path_packets(&n->conf, &n->targets, &n->relay_nodes, asked);
}

int64_t
run_longest_us(struct natprobe *n)
{
	int64_t parts = pacer_longer_us(
	    &n->pacer, n->conf.portmap ? GATEWAY_PORTMAP_US : GATEWAY_ASK_US);
	struct probe_options o;

	if (n->conf.max_time_us != 0)
		return n->conf.max_time_us;
	for (int v6 = 0; v6 < 2; v6++) {
		if (!run_wants(n, v6))
			continue;
		o = run_options(n, v6);
		parts = longer(parts,
		    limit_family_us(dry_packets(&n->targets, v6, &o), &o));
		o = run_tcp_options(n, v6);
		if (n->conf.tcp)
			parts = longer(parts, tcp_longest_us(&o));
	}
	return limit_run_us(targets_longest_us(&n->targets), parts,
	    relay_longest_us(&n->relay_nodes, &n->pacer),
	    run_packets(n) * n->pacer.gap_us);
}

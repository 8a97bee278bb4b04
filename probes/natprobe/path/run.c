/* run: all of path beside each other, and what -n says of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probes/natprobe/path/path.h"
#include "run/loop.h"

static void
on_done(void *arg)
{
	struct path_run *p = arg;

	if (--p->running == 0)
		p->done(p->arg);
}

bool
path_conf_check(
    const struct natprobe_conf *c, char error[static NATPROBE_ERROR_MAX])
{
	char why[REACH_ERROR_MAX];
	struct reach_ports ports;

	if (reach_ports_parse(&ports, c->ports, why))
		return true;
	snprintf(error, NATPROBE_ERROR_MAX, "ports: %s", why);
	return false;
}

/* Where a relay is said to be, so that silence there means something. */
static void
mark_relays(struct reach *r, const struct relay_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++)
		for (int v6 = 0; v6 < 2; v6++) {
			const struct relay_node *node = &nodes->v[i];
			struct stun_addr at;
			struct addr a;

			if (!addr_parse(&a,
				node->ip[v6][0] != '\0' ? node->ip[v6]
							: node->host,
				0))
				continue;
			addr_ip16(&a, at.ip);
			at.port = node->port;
			reach_listens(r, &at);
			at.port = node->http_port;
			if (at.port != 0)
				reach_listens(r, &at);
		}
}

static int
begin_family(struct path_run *p, bool v6)
{
	const struct path_setup *s = &p->setup;
	struct reach_ports ports;
	char why[REACH_ERROR_MAX];

	if (mtu_net_start(&p->mtu[v6], s->loop, s->targets, v6, s->pacer,
		on_done, p) == -1)
		return -1;
	p->running++;
	reach_ports_parse(&ports, s->conf->ports, why);
	reach_rows(&p->reach[v6].reach, s->targets, v6, &ports);
	mark_relays(&p->reach[v6].reach, s->nodes);
	if (p->reach[v6].reach.n == 0)
		return 0;
	if (reach_net_start(&p->reach[v6], s->loop, s->pacer, on_done, p) == -1)
		return -1;
	p->running++;
	return 0;
}

static int
begin(struct path_run *p)
{
	const struct path_setup *s = &p->setup;

	for (int v6 = 0; v6 < 2; v6++)
		if (s->probes[v6] != NULL && begin_family(p, v6) == -1)
			return -1;
	if (s->conf->dns) {
		if (dns_net_start(&p->dns, s->loop, s->nodes, on_done, p) == -1)
			return -1;
		p->running++;
	}
	proxy_env_read(&p->proxy.env);
	p->proxy.has_auth = *p->proxy.env.proxy.auth != '\0';
	if (s->relays == NULL)
		return 0;
	if (proxy_net_start(&p->proxy, s->loop, s->relays->ctx, s->nodes,
		s->pacer, on_done, p) == -1)
		return -1;
	p->running++;
	return 0;
}

struct path_run *
path_run_new(const struct path_setup *s, net_done_fn *done, void *arg)
{
	struct path_run *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->setup = *s;
	p->done = done;
	p->arg = arg;
	if (begin(p) == -1 || p->running == 0) {
		path_run_free(p);
		return NULL;
	}
	return p;
}

void
path_run_free(struct path_run *p)
{
	if (p == NULL)
		return;
	for (int v6 = 0; v6 < 2; v6++) {
		mtu_net_close(&p->mtu[v6]);
		reach_net_close(&p->reach[v6]);
	}
	dns_net_close(&p->dns);
	proxy_net_close(&p->proxy);
	free(p);
}

/* ---- -n ---- */

static void
dry_rows(const struct natprobe_conf *c, const struct targets *t, bool v6,
    struct reach *reach)
{
	struct reach_ports ports;
	char why[REACH_ERROR_MAX];

	reach_ports_parse(&ports, c->ports, why);
	reach->n = 0;
	reach_rows(reach, t, v6, &ports);
}

/* Each port: three packets by UDP; by TCP SYN, question, and the end. */
static void
dry_family(
    const struct natprobe_conf *c, const struct targets *t, bool v6, FILE *out)
{
	static struct reach reach;

	dry_rows(c, t, v6, &reach);
	fprintf(out,
	    "%s: path MTU and fragments, questions of at most %d bytes\n"
	    "  %-22s %5d packets\n",
	    v6 ? "IPv6" : "IPv4", MTU_DATAGRAM + 48, "in all", MTU_PACKETS);
	fprintf(out, "  %-22s %5zu packets:", "ports and echo",
	    reach.n * REACH_PACKETS);
	for (size_t i = 0; i < reach.n; i++) {
		json_t *text = json_of_addr(&reach.rows[i].to);

		if (reach.rows[i].how != REACH_ECHO)
			fprintf(out, " %s:%s",
			    reach_how_name(reach.rows[i].how),
			    json_string_value(text));
		json_decref(text);
	}
	fprintf(out, "%s\n", reach.n == 0 ? " none" : "");
}

static bool
has_proxy(const struct relay_nodes *nodes)
{
	struct proxy_env env;
	bool has;

	proxy_env_read(&env);
	has = env.configured && nodes->n > 0;
	proxy_env_clear(&env);
	return has;
}

unsigned
path_packets(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, const bool asked[2])
{
	static struct reach reach;
	size_t packets = 0;

	if (!c->path)
		return 0;
	for (int v6 = 0; v6 < 2; v6++)
		if (asked[v6]) {
			dry_rows(c, t, v6, &reach);
			packets += MTU_PACKETS + reach.n * REACH_PACKETS;
		}
	if (has_proxy(nodes))
		packets += (size_t)PROXY_TRIES * PROXY_PACKETS;
	return (unsigned)packets;
}

void
path_dry_print(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, const bool asked[2], FILE *out)
{
	struct proxy_env env;

	if (!c->path)
		return;
	for (int v6 = 0; v6 < 2; v6++)
		if (asked[v6])
			dry_family(c, t, v6, out);
	if (c->dns)
		fprintf(out,
		    "DNS: at most %d names, of this host's own resolver\n",
		    DNS_ASKS);
	proxy_env_read(&env);
	if (env.configured && nodes->n > 0)
		fprintf(out,
		    "proxy: at most %d connections to %s\n"
		    "  %-22s %5d packets\n",
		    PROXY_TRIES, env.proxy.shown, "in all",
		    PROXY_TRIES * PROXY_PACKETS);
	proxy_env_clear(&env);
}

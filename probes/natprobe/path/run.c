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
	unsigned rate = (unsigned)s->conf->rate;
	struct reach_ports ports;
	char why[REACH_ERROR_MAX];

	if (mtu_net_start(
		&p->mtu[v6], s->loop, s->targets, v6, rate, on_done, p) == -1)
		return -1;
	p->running++;
	reach_ports_parse(&ports, s->conf->ports, why);
	reach_rows(&p->reach[v6].reach, s->targets, v6, &ports);
	mark_relays(&p->reach[v6].reach, s->nodes);
	if (p->reach[v6].reach.n == 0)
		return 0;
	if (reach_net_start(&p->reach[v6], s->loop, rate, on_done, p) == -1)
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
	if (proxy_net_start(
		&p->proxy, s->loop, s->relays->ctx, s->nodes, on_done, p) == -1)
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

/* Each port: three packets by UDP, a connection and a question by TCP. */
static void
dry_family(
    const struct natprobe_conf *c, const struct targets *t, bool v6, FILE *out)
{
	static struct reach reach;
	struct reach_ports ports;
	char why[REACH_ERROR_MAX];

	reach_ports_parse(&ports, c->ports, why);
	reach.n = 0;
	reach_rows(&reach, t, v6, &ports);
	fprintf(out,
	    "%s: path MTU and fragments, at most %d questions of at most %d "
	    "bytes in %.1f s, %u a second\n",
	    v6 ? "IPv6" : "IPv4", MTU_TRIES, MTU_DATAGRAM + 48,
	    (double)MTU_LIMIT_US / 1e6, mtu_rate((unsigned)c->rate));
	fprintf(out, "  ports and echo, three packets or a connection each:");
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
		fprintf(out, "proxy: at most %d connections to %s\n",
		    PROXY_TRIES, env.proxy.shown);
	proxy_env_clear(&env);
}

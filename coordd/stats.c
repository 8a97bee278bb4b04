/* stats: the metrics page. */
#include <stddef.h>
#include <stdio.h>

#include "coordd/api.h"
#include "coordd/login.h"
#include "run/version.h"

#define AT(field) offsetof(struct stats, field)
#define PREFIX	  "campusnet_coordd_"

static const struct {
	const char *name, *help;
	enum metrics_type type;
	size_t at;
} plain[] = {
    {PREFIX "connections_total", "Connections to the public listeners.",
	METRICS_COUNTER, AT(connections)},
    {PREFIX "open_connections", "Connections that are open.", METRICS_GAUGE,
	AT(connections_now)},
    {PREFIX "handshakes_total", "Noise handshakes that were completed.",
	METRICS_COUNTER, AT(handshakes)},
    {PREFIX "handshakes_failed_total", "Noise handshakes that were not.",
	METRICS_COUNTER, AT(handshakes_bad)},
    {PREFIX "refused_sources_total",
	"Connections refused because their source had too many.",
	METRICS_COUNTER, AT(refused_source)},
    {PREFIX "registrations_total", "Requests to join that were granted.",
	METRICS_COUNTER, AT(registrations)},
    {PREFIX "registrations_refused_total",
	"Requests to join that were refused.", METRICS_COUNTER,
	AT(registrations_refused)},
    {PREFIX "logins_total", "Interactive logins that were begun.",
	METRICS_COUNTER, AT(logins)},
    {PREFIX "streams_total", "Map streams that were opened.", METRICS_COUNTER,
	AT(streams)},
    {PREFIX "open_streams", "Map streams that are open.", METRICS_GAUGE,
	AT(streams_now)},
    {PREFIX "updates_total", "Updates that clients sent of themselves.",
	METRICS_COUNTER, AT(updates)},
    {PREFIX "batches_total", "Batches of changes sent to map streams.",
	METRICS_COUNTER, AT(batches)},
    {PREFIX "messages_total", "Messages sent on map streams.", METRICS_COUNTER,
	AT(messages)},
    {PREFIX "message_bytes_total", "Their bytes, as sent.", METRICS_COUNTER,
	AT(message_bytes)},
    {PREFIX "messages_shared_total",
	"Messages that were built for another stream already.", METRICS_COUNTER,
	AT(messages_shared)},
    {PREFIX "slow_readers_total",
	"Map streams cut because the client did not read.", METRICS_COUNTER,
	AT(slow_readers)},
    {PREFIX "policy_loads_total", "Times that a policy was put in force.",
	METRICS_COUNTER, AT(policy_reloads)},
    {PREFIX "store_failures_total", "Writes that the database refused.",
	METRICS_COUNTER, AT(store_failures)},
};

static void
gauge(struct metrics *m, const char *name, const char *help, int64_t v)
{
	metrics_family(m, name, METRICS_GAUGE, help);
	metrics_int(m, name, NULL, v);
}

static void
render_model(struct metrics *m, const struct coordd *c)
{
	static const char nodes[] = PREFIX "nodes";
	int64_t online = (int64_t)mapper_online(c);
	int64_t users = 0, keys = 0;
	const struct user *u;
	const struct authkey *k;

	TAILQ_FOREACH (u, &c->model.users, entry)
		users++;
	TAILQ_FOREACH (k, &c->model.authkeys, entry)
		keys++;
	metrics_family(m, nodes, METRICS_GAUGE,
	    "Nodes that have joined, by whether they are online.");
	metrics_int(m, nodes, "online=\"true\"", online);
	metrics_int(
	    m, nodes, "online=\"false\"", (int64_t)c->model.nnodes - online);
	gauge(m, PREFIX "users", "Users.", users);
	gauge(m, PREFIX "preauthkeys",
	    "Pre-authentication keys, usable or not.", keys);
	gauge(m, PREFIX "pending_logins",
	    "Interactive logins that wait for an administrator.",
	    (int64_t)logins_count(c->logins));
}

void
stats_render(struct metrics *m, void *arg)
{
	const struct coordd *c = arg;
	char label[160];

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		const char *base = (const char *)&c->stats;
		const metric *v = (const void *)(base + plain[i].at);

		metrics_family(m, plain[i].name, plain[i].type, plain[i].help);
		metrics_int(m, plain[i].name, NULL, metric_get(v));
	}
	render_model(m, c);
	gauge(m, PREFIX "policy_loaded_timestamp_seconds",
	    "When the policy in force was loaded.", c->policy_loaded);
	gauge(m, PREFIX "database_bytes", "Size of the database on the disk.",
	    api_database_bytes(c));
	metrics_family(m, "campusnet_build_info", METRICS_GAUGE,
	    "Always 1; the labels say what runs.");
	snprintf(label, sizeof(label), "program=\"coordd\",version=\"%.100s\"",
	    campusnet_version);
	metrics_int(m, "campusnet_build_info", label, 1);
	metrics_process(m);
}

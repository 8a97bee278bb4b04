/* stats: sums the workers' counters and writes them as text. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "relayd/relayd.h"
#include "run/udp.h"
#include "run/version.h"

static const char *const drop_names[DROP_REASONS] = {"unknown_dest",
    "unknown_dest_on_fwd", "gone_disconnected", "queue_head", "queue_tail",
    "write_error", "dup_client"};

static const char *const kind_names[KINDS] = {"disco", "other"};

static const char *const close_names[CLOSE_REASONS] = {"eof", "reset", "tls",
    "http", "http_done", "hello_timeout", "hello", "frame", "write_timeout",
    "accept_limit", "memory", "duplicate", "shutdown"};

static const char *const tls_names[TLS_VERSIONS] = {
    "1.0", "1.1", "1.2", "1.3", "unknown"};

static const char *const rtt_names[RTT_BUCKETS] = {"10ms", "20ms", "50ms",
    "100ms", "150ms", "250ms", "500ms", "inf", "error", "non-tcp"};
static const int64_t rtt_limits[] = {
    10000, 20000, 50000, 100000, 150000, 250000, 500000};
#define RTT_INF	  7
#define RTT_ERROR 8

static const unsigned frames_limits[FRAMES_BUCKETS] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 50, 100};

const char *
stats_close_name(enum stats_close reason)
{
	return close_names[reason];
}

void
stats_drop(
    struct stats *s, enum stats_drop reason, enum stats_kind kind, size_t bytes)
{
	metric_add(&s->dropped[reason][kind], 1);
	metric_add(&s->dropped_bytes[reason][kind], (int64_t)bytes);
}

void
stats_frames(struct stats *s, unsigned frames)
{
	int i = 0;

	while (i < FRAMES_BUCKETS && frames > frames_limits[i])
		i++;
	metric_add(&s->frames[i], 1);
	metric_add(&s->frames_sum, frames);
	metric_add(&s->frames_count, 1);
}

void
stats_rtt(struct stats *s, int64_t us)
{
	int i = 0;

	while (i < RTT_INF && us > rtt_limits[i])
		i++;
	metric_add(&s->rtt[us < 0 ? RTT_ERROR : i], 1);
}

/* ---- the page ---- */

/* The sum over workers of the metric that lies at that offset of stats. */
static int64_t
sum_at(const struct relayd *relay, size_t offset)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < relay->nworkers; i++) {
		const char *base = (const char *)&relay->workers[i]->stats;

		sum += metric_get((const void *)(base + offset));
	}
	return sum;
}

#define SUM(relay, field) sum_at((relay), offsetof(struct stats, field))

static const struct plain {
	const char *name;
	enum metrics_type type;
	size_t offset;
} plains[] = {
#define COUNTER(name, field)                                         \
	{                                                            \
		name, METRICS_COUNTER, offsetof(struct stats, field) \
	}
#define GAUGE(name, field)                                         \
	{                                                          \
		name, METRICS_GAUGE, offsetof(struct stats, field) \
	}
    COUNTER("derp_accepts", accepts),
    COUNTER("derp_bytes_received", bytes_in),
    COUNTER("derp_bytes_sent", bytes_out),
    GAUGE("derp_current_connections", connections),
    GAUGE("derp_current_home_connections", home),
    GAUGE("derp_current_notideal_connections", notideal),
    COUNTER("derp_got_ping", pings),
    COUNTER("derp_home_moves_in", home_in),
    COUNTER("derp_home_moves_out", home_out),
    COUNTER("derp_packets_received", packets_in),
    COUNTER("derp_packets_sent", packets_out),
    COUNTER("derp_peer_gone_disconnected_frames", gone_disconnected),
    COUNTER("derp_peer_gone_not_here_frames", gone_not_here),
    COUNTER("derp_sclient_write_timeouts", write_timeouts),
    COUNTER("derp_sent_pong", pongs),
    COUNTER("derp_total_dup_client_conns", duplicates),
    COUNTER("derp_unknown_frames", unknown_frames),
    COUNTER("tls_listener_accepted_connections", tls_accepted),
    COUNTER("tls_listener_rejected_connections", tls_rejected),
    COUNTER("relayd_accept_pauses", paused),
    COUNTER("relayd_packets_aged", aged),
    COUNTER("relayd_packets_crossed", crossed),
};

/* derper's families about meshes and WebSockets, which are not there: zero is
 * the truth, and dashboards find their series. */
static const struct {
	const char *name;
	enum metrics_type type;
} zeros[] = {
    {"derp_clients_remote", METRICS_GAUGE},
    {"derp_multiforwarder_created", METRICS_COUNTER},
    {"derp_multiforwarder_deleted", METRICS_COUNTER},
    {"derp_packet_forwarder_delete_other_value", METRICS_COUNTER},
    {"derp_packets_forwarded_in", METRICS_COUNTER},
    {"derp_packets_forwarded_out", METRICS_COUNTER},
    {"derp_watchers", METRICS_GAUGE},
    {"derp_websocket_accepts", METRICS_COUNTER},
};

static void
one(struct metrics *m, const char *name, enum metrics_type type, int64_t v)
{
	metrics_family(m, name, type, NULL);
	metrics_int(m, name, NULL, v);
}

static void
render_drops(const struct relayd *relay, struct metrics *m, const char *name,
    const char *help, size_t offset)
{
	char labels[96];

	metrics_family(m, name, METRICS_COUNTER, help);
	for (size_t r = 0; r < DROP_REASONS; r++)
		for (size_t k = 0; k < KINDS; k++) {
			snprintf(labels, sizeof(labels),
			    "reason=\"%s\",kind=\"%s\"", drop_names[r],
			    kind_names[k]);
			metrics_int(m, name, labels,
			    sum_at(relay,
				offset + (r * KINDS + k) * sizeof(metric)));
		}
}

/* One series per name, from an array of metrics in stats. */
static void
render_array(const struct relayd *relay, struct metrics *m, const char *name,
    enum metrics_type type, const char *label, const char *const *values,
    size_t n, size_t offset)
{
	char labels[96];

	metrics_family(m, name, type, NULL);
	for (size_t i = 0; i < n; i++) {
		snprintf(labels, sizeof(labels), "%s=\"%s\"", label, values[i]);
		metrics_int(m, name, labels,
		    sum_at(relay, offset + i * sizeof(metric)));
	}
}

static void
render_frames(const struct relayd *relay, struct metrics *m)
{
	static const char name[] = "derp_buffered_write_frames";
	char labels[32];
	int64_t below = 0;

	metrics_family(m, name, METRICS_HISTOGRAM, NULL);
	for (size_t i = 0; i <= FRAMES_BUCKETS; i++) {
		below += sum_at(
		    relay, offsetof(struct stats, frames) + i * sizeof(metric));
		if (i < FRAMES_BUCKETS)
			snprintf(labels, sizeof(labels), "le=\"%u\"",
			    frames_limits[i]);
		else
			snprintf(labels, sizeof(labels), "le=\"+Inf\"");
		metrics_int(
		    m, "derp_buffered_write_frames_bucket", labels, below);
	}
	metrics_int(
	    m, "derp_buffered_write_frames_sum", NULL, SUM(relay, frames_sum));
	metrics_int(m, "derp_buffered_write_frames_count", NULL,
	    SUM(relay, frames_count));
}

/* derper's histograms of its mesh loops: empty here. */
static void
render_empty_histogram(struct metrics *m, const char *name)
{
	char full[96];

	metrics_family(m, name, METRICS_HISTOGRAM, NULL);
	snprintf(full, sizeof(full), "%s_bucket", name);
	metrics_int(m, full, "le=\"+Inf\"", 0);
	snprintf(full, sizeof(full), "%s_sum", name);
	metrics_int(m, full, NULL, 0);
	snprintf(full, sizeof(full), "%s_count", name);
	metrics_int(m, full, NULL, 0);
}

/* Gauges of the directory: every worker has the same; one is asked. */
static void
render_directory(const struct relayd *relay, struct metrics *m)
{
	const struct stats *s = &relay->workers[0]->stats;
	int64_t keys = metric_get(&s->keys);

	one(m, "derp_clients_total", METRICS_GAUGE, keys);
	one(m, "derp_clients_local", METRICS_GAUGE, keys);
	one(m, "derp_current_dup_client_keys", METRICS_GAUGE,
	    metric_get(&s->dup_keys));
	one(m, "derp_current_dup_client_conns", METRICS_GAUGE,
	    metric_get(&s->dup_members));
}

static void
render_stun(const struct stats_shared *s, struct metrics *m)
{
	metrics_family(m, "stun_addrfamily", METRICS_COUNTER, NULL);
	metrics_int(
	    m, "stun_addrfamily", "family=\"ipv4\"", metric_get(&s->stun_v4));
	metrics_int(
	    m, "stun_addrfamily", "family=\"ipv6\"", metric_get(&s->stun_v6));
	metrics_family(m, "stun_requests", METRICS_COUNTER, NULL);
	metrics_int(m, "stun_requests", "disposition=\"not_stun\"",
	    metric_get(&s->stun_not_stun));
	metrics_int(m, "stun_requests", "disposition=\"read_error\"",
	    s->stun_udp == NULL ? 0 : metric_get(&s->stun_udp->recv_errors));
	metrics_int(m, "stun_requests", "disposition=\"success\"",
	    metric_get(&s->stun_success));
	metrics_int(m, "stun_requests", "disposition=\"write_error\"",
	    s->stun_udp == NULL ? 0 : metric_get(&s->stun_udp->send_errors));
}

static void
render_process(const struct relayd *relay, struct metrics *m)
{
	char labels[128];
	int64_t now = (int64_t)time(NULL);

	one(m, "derp_current_file_descriptors", METRICS_GAUGE,
	    metrics_open_files());
	one(m, "process_start_unix_time", METRICS_GAUGE, relay->shared.started);
	one(m, "uptime_sec", METRICS_COUNTER, now - relay->shared.started);
	snprintf(labels, sizeof(labels), "version=\"%s\",binary=\"relayd\"",
	    campusnet_version);
	metrics_family(m, "version", METRICS_GAUGE, NULL);
	metrics_int(m, "version", labels, 1);
	one(m, "relayd_workers", METRICS_GAUGE, relay->nworkers);
	metrics_process(m);
}

void
stats_render(const struct relayd *relay, struct metrics *m)
{
	for (size_t i = 0; i < sizeof(plains) / sizeof(plains[0]); i++)
		one(m, plains[i].name, plains[i].type,
		    sum_at(relay, plains[i].offset));
	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		one(m, zeros[i].name, zeros[i].type, 0);
	render_directory(relay, m);
	render_drops(relay, m, "derp_packets_dropped",
	    "DERP packets dropped by reason and by kind",
	    offsetof(struct stats, dropped));
	render_drops(relay, m, "derp_bytes_dropped",
	    "DERP bytes dropped by reason and by kind",
	    offsetof(struct stats, dropped_bytes));
	render_array(relay, m, "derp_packets_received_kind", METRICS_COUNTER,
	    "kind", kind_names, KINDS, offsetof(struct stats, kind_in));
	render_array(relay, m, "derp_tcp_rtt", METRICS_COUNTER, "le", rtt_names,
	    RTT_BUCKETS, offsetof(struct stats, rtt));
	render_array(relay, m, "derper_tls_request_version", METRICS_UNTYPED,
	    "version", tls_names, TLS_VERSIONS,
	    offsetof(struct stats, tls_requests));
	render_array(relay, m, "derper_tls_active_version", METRICS_GAUGE,
	    "version", tls_names, TLS_VERSIONS,
	    offsetof(struct stats, tls_active));
	render_array(relay, m, "relayd_closed", METRICS_COUNTER, "reason",
	    close_names, CLOSE_REASONS, offsetof(struct stats, closed));
	metrics_family(
	    m, "derp_average_queue_duration_ms", METRICS_UNTYPED, NULL);
	metrics_real(m, "derp_average_queue_duration_ms", NULL,
	    (double)SUM(relay, queue_us) / 1000.0 / relay->nworkers);
	render_frames(relay, m);
	render_empty_histogram(m, "derp_mesh_update_batch_size");
	render_empty_histogram(m, "derp_mesh_update_loop_count");
	render_stun(&relay->shared, m);
	render_process(relay, m);
}

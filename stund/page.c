/*
 * page: the metrics page. derper's two families keep its names and labels, so
 * that its dashboards work here; the project's own begin with campusnet_.
 */
#include <stdio.h>

#include "run/udp.h"
#include "run/version.h"
#include "stund/stund.h"

/* All workers' counters, summed up. */
struct sums {
	struct stund_counts counts;
	struct udp_stats udp;
};

static void
add(metric *sum, const metric *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		metric_add(&sum[i], metric_get(&v[i]));
}

/* Both structs hold nothing but metrics. */
#define ADD(sum, v) \
	add((metric *)(sum), (const metric *)(v), sizeof(*(v)) / sizeof(metric))

static void
sum_up(const struct stund *env, struct sums *sums)
{
	const struct stund_worker *w;

	for (unsigned i = 0; i < env->n_workers; i++) {
		w = env->workers[i];
		ADD(&sums->counts, &w->counts);
		for (size_t j = 0; j < env->places.n * STUNSRV_ROLES; j++)
			if (w->sockets[j].udp != NULL)
				ADD(&sums->udp, udp_stats(w->sockets[j].udp));
	}
}

/* Requests with that outcome, or with any, by family. */
static int64_t
requests(const struct sums *sums, int family, int verdict)
{
	int64_t n = 0;

	for (int t = 0; t < STUNSRV_TRANSPORTS; t++)
		n += metric_get(&sums->counts.verdicts[t][family][verdict]);
	return n;
}

/* derper counts all that it does not answer with an address as not_stun. */
static void
render_derper(struct metrics *m, const struct sums *sums)
{
	static const char name[] = "stun_requests";
	int64_t v4 = requests(sums, 0, STUNSRV_SUCCESS);
	int64_t v6 = requests(sums, 1, STUNSRV_SUCCESS), others = 0;

	for (int i = 0; i < STUNSRV_VERDICTS; i++)
		if (i != STUNSRV_SUCCESS)
			others += requests(sums, 0, i) + requests(sums, 1, i);
	metrics_family(m, name, METRICS_COUNTER,
	    "Datagrams by disposition, as derper counts them.");
	metrics_int(m, name, "disposition=\"read_error\"",
	    metric_get(&sums->udp.recv_errors));
	metrics_int(m, name, "disposition=\"not_stun\"", others);
	metrics_int(m, name, "disposition=\"write_error\"",
	    metric_get(&sums->udp.send_errors));
	metrics_int(m, name, "disposition=\"success\"", v4 + v6);
	metrics_family(m, "stun_addrfamily", METRICS_COUNTER,
	    "Requests answered with an address, by family.");
	metrics_int(m, "stun_addrfamily", "family=\"ipv4\"", v4);
	metrics_int(m, "stun_addrfamily", "family=\"ipv6\"", v6);
}

static void
render_outcomes(struct metrics *m, const struct sums *sums)
{
	static const char name[] = "campusnet_stun_requests_total";
	static const char *const transports[] = {"udp", "tcp", "tls"};
	static const char *const families[] = {"ipv4", "ipv6"};
	char label[96];

	metrics_family(
	    m, name, METRICS_COUNTER, "What came, by what became of it.");
	for (int t = 0; t < STUNSRV_TRANSPORTS; t++)
		for (int f = 0; f < 2; f++)
			for (int v = 0; v < STUNSRV_VERDICTS; v++) {
				snprintf(label, sizeof(label),
				    "transport=\"%s\",family=\"%s\","
				    "outcome=\"%s\"",
				    transports[t], families[f],
				    stunsrv_verdict_name(
					(enum stunsrv_verdict)v));
				metrics_int(m, name, label,
				    metric_get(
					&sums->counts.verdicts[t][f][v]));
			}
}

static void
counter(struct metrics *m, const char *name, const char *help, const metric *v)
{
	metrics_family(m, name, METRICS_COUNTER, help);
	metrics_int(m, name, NULL, metric_get(v));
}

static void
render_limits(struct metrics *m, const struct stund_counts *c)
{
	static const char limited[] = "campusnet_stun_limited_total";
	static const char gated[] = "campusnet_stun_gated_total";
	static const char *const buckets[BUCKETS] = {[BUCKET_SOURCE] = "source",
	    [BUCKET_GATED] = "gated",
	    [BUCKET_PREFIX] = "prefix",
	    [BUCKET_TOTAL] = "total"};
	char label[32];

	metrics_family(m, limited, METRICS_COUNTER,
	    "Requests that got no answer, by the bucket that was empty.");
	for (int i = 0; i < BUCKETS; i++) {
		snprintf(label, sizeof(label), "bucket=\"%s\"", buckets[i]);
		metrics_int(m, limited, label, metric_get(&c->limited[i]));
	}
	metrics_family(m, gated, METRICS_COUNTER,
	    "Requests that could be turned against others, by whether they "
	    "had a cookie.");
	metrics_int(m, gated, "cookie=\"yes\"", metric_get(&c->gated_cookie));
	metrics_int(m, gated, "cookie=\"no\"", metric_get(&c->gated_bare));
	counter(m, "campusnet_stun_delayed_total", "Answers that were put off.",
	    &c->delayed);
	metrics_family(m, "campusnet_stun_waiting", METRICS_GAUGE,
	    "Answers that wait for their time.");
	metrics_int(m, "campusnet_stun_waiting", NULL, metric_get(&c->waiting));
}

static void
render_udp(struct metrics *m, const struct udp_stats *udp)
{
	counter(m, "campusnet_udp_batches_total",
	    "Reads that brought datagrams.", &udp->batches);
	counter(m, "campusnet_udp_received_total", "Datagrams read.",
	    &udp->received);
	counter(m, "campusnet_udp_sent_total", "Answers the kernel took.",
	    &udp->sent);
	counter(m, "campusnet_udp_send_errors_total",
	    "Answers the kernel did not take.", &udp->send_errors);
	counter(m, "campusnet_udp_receive_errors_total", "Failed reads.",
	    &udp->recv_errors);
}

void
page_render(struct metrics *m, void *arg)
{
	const struct stund *env = arg;
	struct sums sums = {0};
	char label[160];

	sum_up(env, &sums);
	render_derper(m, &sums);
	render_outcomes(m, &sums);
	render_limits(m, &sums.counts);
	render_udp(m, &sums.udp);
	metrics_family(m, "campusnet_build_info", METRICS_GAUGE,
	    "Always 1; the labels say what runs.");
	snprintf(label, sizeof(label), "program=\"stund\",version=\"%.100s\"",
	    campusnet_version);
	metrics_int(m, "campusnet_build_info", label, 1);
	metrics_process(m);
}

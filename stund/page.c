/*
 * page: the metrics page. derper's two families keep its names and labels, so
 * that its dashboards work here; the project's own begin with campusnet_.
 */
#include <stdio.h>

#include "run/udp.h"
#include "run/version.h"
#include "stund/stund.h"

static void
add_udp_stats(struct udp_stats *sum, const struct stund_worker *w)
{
	const struct udp_stats *s;

	for (size_t i = 0; i < w->n_sockets; i++) {
		s = udp_stats(w->sockets[i].udp);
		metric_add(&sum->batches, metric_get(&s->batches));
		metric_add(&sum->received, metric_get(&s->received));
		metric_add(&sum->sent, metric_get(&s->sent));
		metric_add(&sum->send_errors, metric_get(&s->send_errors));
		metric_add(&sum->recv_errors, metric_get(&s->recv_errors));
	}
}

/* derper counts all that it does not answer with an address as not_stun. */
static void
render_derper(struct metrics *m, const struct stund_worker *w,
    const struct udp_stats *udp)
{
	static const char name[] = "stun_requests";
	int64_t others = 0;

	for (int i = 0; i < STUNSRV_VERDICTS; i++)
		if (i != STUNSRV_SUCCESS)
			others += metric_get(&w->verdicts[i]);
	metrics_family(m, name, METRICS_COUNTER,
	    "Datagrams by disposition, as derper counts them.");
	metrics_int(m, name, "disposition=\"read_error\"",
	    metric_get(&udp->recv_errors));
	metrics_int(m, name, "disposition=\"not_stun\"", others);
	metrics_int(m, name, "disposition=\"write_error\"",
	    metric_get(&udp->send_errors));
	metrics_int(m, name, "disposition=\"success\"",
	    metric_get(&w->verdicts[STUNSRV_SUCCESS]));
	metrics_family(m, "stun_addrfamily", METRICS_COUNTER,
	    "Requests answered with an address, by family.");
	metrics_int(
	    m, "stun_addrfamily", "family=\"ipv4\"", metric_get(&w->v4));
	metrics_int(
	    m, "stun_addrfamily", "family=\"ipv6\"", metric_get(&w->v6));
}

static void
render_outcomes(struct metrics *m, const struct stund_worker *w)
{
	static const char name[] = "campusnet_stun_datagrams_total";
	char label[64];

	metrics_family(
	    m, name, METRICS_COUNTER, "Datagrams by what became of them.");
	for (int i = 0; i < STUNSRV_VERDICTS; i++) {
		snprintf(label, sizeof(label), "outcome=\"%s\"",
		    stunsrv_verdict_name((enum stunsrv_verdict)i));
		metrics_int(m, name, label, metric_get(&w->verdicts[i]));
	}
}

static void
counter(struct metrics *m, const char *name, const char *help, const metric *v)
{
	metrics_family(m, name, METRICS_COUNTER, help);
	metrics_int(m, name, NULL, metric_get(v));
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
	struct udp_stats udp = {0};
	char label[160];

	add_udp_stats(&udp, &env->worker);
	render_derper(m, &env->worker, &udp);
	render_outcomes(m, &env->worker);
	render_udp(m, &udp);
	metrics_family(m, "campusnet_build_info", METRICS_GAUGE,
	    "Always 1; the labels say what runs.");
	snprintf(label, sizeof(label), "program=\"stund\",version=\"%.100s\"",
	    campusnet_version);
	metrics_int(m, "campusnet_build_info", label, 1);
	metrics_process(m);
}

/*
 * router: asks the router in front of this host by PCP, NAT-PMP and UPnP, and
 * tries a mapping by each that it speaks. Owns the sockets for that. What was
 * mapped is removed before it is over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/gateway/gateway.h"

/* How long one waits for UPnP routers to say that they are there: the
 * question lets them take 1 s (MX), and some take more. */
#define SSDP_ASK_US	1500000
#define SSDP_PORTMAP_US 4000000
#define SSDP_RESEND_US	400000
#define SSDP_SENDS	2
/* For that long the router that packets take goes before another one. */
#define SSDP_PREFER_US 700000
#define SSDP_TTL       2
#define STOP_US	       2000000

static void go(void *arg);

static bool
is_router(const struct router *r, const struct addr *a)
{
	return addr_same_ip(a, &r->route.router);
}

/* ---- mappings by PCP and NAT-PMP ---- */

static void
go_soon(void *arg)
{
	struct router *r = arg;

	timer_set(r->timer, mono_add_us(loop_now(r->loop), 1));
}

static void
try_mapping(struct router *r, struct mapping *m)
{
	if (!mapping_try(m, r->loop, r->probe, &r->local, go_soon, r))
		m->seen = SEEN_NO_CONTROL;
}

static void
begin_map(struct router *r, struct pcp *p, struct mapping *m, struct mono now)
{
	if (!mapping_open(m, &r->local)) {
		m->state = MAPPING_DENIED;
		m->why = "no-local-port";
		return;
	}
	m->state = MAPPING_ASKED;
	p->port = m->port;
	pcp_begin(p, PCP_MAP, now);
}

/* Silence may mean that the answer alone got lost. */
static void
end_map(struct router *r, struct pcp *p, struct mapping *m, struct mono now)
{
	const struct pcp_exchange *x = &p->steps[PCP_MAP];

	if (x->state == PCP_ANSWERED && x->answer.result == 0) {
		m->state = MAPPING_GRANTED;
		m->external_port = x->answer.port;
		m->lifetime_s = x->answer.lifetime;
		/* NAT-PMP told it before. */
		m->has_external = x->answer.has_external ||
		    p->steps[PCP_ASK].answer.has_external;
		m->external = x->answer.has_external
		    ? x->answer.external
		    : p->steps[PCP_ASK].answer.external;
		try_mapping(r, m);
		return;
	}
	m->state = MAPPING_DENIED;
	if (x->state == PCP_ANSWERED) {
		m->code = (int)x->answer.result;
		m->why = pcp_result_name(p->protocol, x->answer.result);
	} else {
		m->why = "no-answer";
		pcp_begin(p, PCP_REMOVE, now);
	}
}

static void
end_remove(struct pcp *p, struct mapping *m)
{
	const struct pcp_exchange *x = &p->steps[PCP_REMOVE];

	m->state = MAPPING_GONE;
	m->removed = x->state == PCP_ANSWERED && x->answer.result == 0;
	if (!m->removed)
		m->why_left = x->state == PCP_ANSWERED
		    ? pcp_result_name(p->protocol, x->answer.result)
		    : "no-answer";
}

static bool
is_tried(const struct mapping *m)
{
	return m->seen != SEEN_UNTRIED;
}

static void
advance_pcp(struct router *r, int i, struct mono now)
{
	struct pcp *p = &r->pcp[i];
	struct mapping *m = &r->mappings[i];

	if (p->step == PCP_MAP && m->state == MAPPING_ASKED && r->stopping) {
		m->state = MAPPING_DENIED;
		m->why = "interrupted";
		pcp_begin(p, PCP_REMOVE, now);
	} else if (p->step != PCP_REMOVE && m->state == MAPPING_GRANTED &&
	    (r->stopping || is_tried(m)))
		pcp_begin(p, PCP_REMOVE, now);
	if (!pcp_over(p))
		return;
	if (p->step == PCP_ASK && pcp_is_spoken(p) && r->options.portmap &&
	    m->state == MAPPING_NONE && !r->stopping)
		begin_map(r, p, m, now);
	else if (p->step == PCP_MAP && m->state == MAPPING_ASKED)
		end_map(r, p, m, now);
	else if (p->step == PCP_REMOVE && m->state == MAPPING_GRANTED)
		end_remove(p, m);
}

static void
send_pcp(struct router *r, int i, struct mono now)
{
	uint8_t packet[PCP_PACKET_MAX];
	size_t n;

	if (pcp_is_due(&r->pcp[i], now) && !pace_ready(&r->pace, now))
		return;
	n = pcp_next(&r->pcp[i], now, packet);
	if (n > 0)
		pace_sent(&r->pace, 1, now);
	if (n > 0 && send(r->pcp_fd, packet, n, 0) == -1 &&
	    errno == ECONNREFUSED)
		(void)send(r->pcp_fd, packet, n, 0);
}

static void
on_pcp(void *arg)
{
	struct router *r = arg;
	uint8_t packet[PCP_PACKET_MAX + 1];
	ssize_t n = recv(r->pcp_fd, packet, sizeof(packet), 0);

	for (int i = 0; i < PCP_PROTOCOLS; i++) {
		if (!r->pcp_used[i])
			continue;
		if (n >= 0)
			pcp_input(&r->pcp[i], packet, (size_t)n);
		else if (errno == ECONNREFUSED)
			pcp_close(&r->pcp[i]);
	}
	go(r);
}

static bool
pcp_is_done(const struct router *r, int i)
{
	const struct mapping *m = &r->mappings[i];

	if (!r->pcp_used[i])
		return true;
	if (r->stopping && r->pcp[i].step == PCP_ASK)
		return true;
	return pcp_over(&r->pcp[i]) && m->state != MAPPING_ASKED &&
	    m->state != MAPPING_GRANTED;
}

/* ---- UPnP ---- */

static void
take_mapped(struct router *r, struct mapping *m)
{
	const struct igd_report *g = &r->igd;

	m->lifetime_s = g->lifetime_s;
	m->external_port = g->external_port;
	m->has_external =
	    ip_parse(&m->external, g->external, strlen(g->external));
	if (g->map_error == 0) {
		m->state = MAPPING_GRANTED;
		try_mapping(r, m);
		return;
	}
	m->state = MAPPING_DENIED;
	m->code = g->map_error;
	m->why = igd_error_name(g->map_error);
	if (g->map_error < 0)
		helper_remove(r->helper);
	else
		r->igd_over = true;
}

static void
take_end(struct router *r, struct mapping *m)
{
	r->igd_over = true;
	if (!r->igd_said)
		r->igd.fault = IGD_SLOW;
	if (m->state == MAPPING_ASKED) {
		m->state = MAPPING_DENIED;
		m->why = "no-answer";
	} else if (m->state == MAPPING_GRANTED) {
		m->state = MAPPING_GONE;
		m->why_left = "no-answer";
	}
}

static void
on_report(void *arg, const struct igd_report *report)
{
	struct router *r = arg;
	struct mapping *m = &r->mappings[MAPPING_UPNP];

	if (report == NULL)
		take_end(r, m);
	else {
		r->igd = *report;
		r->igd_said = true;
	}
	if (report != NULL && report->stage == IGD_DESCRIBED &&
	    (report->fault != IGD_FINE || m->fd == -1)) {
		r->igd_over = true;
		m->state = MAPPING_NONE;
	} else if (report != NULL && report->stage == IGD_MAPPED)
		take_mapped(r, m);
	else if (report != NULL && report->stage == IGD_REMOVED) {
		r->igd_over = true;
		if (m->state == MAPPING_GRANTED) {
			m->state = MAPPING_GONE;
			m->removed = report->remove_error == 0;
			m->why_left = m->removed
			    ? NULL
			    : igd_error_name(report->remove_error);
		}
	}
	go_soon(r);
}

static void
begin_igd(struct router *r)
{
	struct mapping *m = &r->mappings[MAPPING_UPNP];
	struct igd_job job = {.map = false};
	char text[ADDR_TEXT_MAX];

	r->igd_asked = true;
	if (r->options.portmap && mapping_open(m, &r->local)) {
		job.map = true;
		job.port = m->port;
		m->state = MAPPING_ASKED;
	}
	memcpy(job.url, r->ssdp.location, sizeof(job.url));
	snprintf(job.host, sizeof(job.host), "%.15s",
	    addr_ip_text(&r->ssdp_from, text));
	snprintf(job.local, sizeof(job.local), "%.15s",
	    addr_ip_text(&r->local, text));
	helper_ask(r->helper, &job, mono_diff_us(loop_now(r->loop), r->limit),
	    on_report, r);
}

static void
on_ssdp(void *arg)
{
	struct router *r = arg;
	char packet[1500], text[ADDR_TEXT_MAX];
	struct addr from = {.len = sizeof(from.u)};
	struct ssdp_answer a;
	ssize_t n = recvfrom(
	    r->ssdp_fd, packet, sizeof(packet), 0, &from.u.sa, &from.len);

	if (n <= 0 || r->igd_asked || !ssdp_parse(&a, packet, (size_t)n))
		return;
	if (!ssdp_url_is_at(a.location, addr_ip_text(&from, text)))
		r->ssdp_elsewhere = true;
	else if (r->ssdp_from.len == 0 || is_router(r, &from)) {
		r->ssdp = a;
		r->ssdp_from = from;
	}
	go(r);
}

static void
send_ssdp(struct router *r, struct mono now)
{
	char packet[SSDP_REQUEST_MAX];
	struct addr group, router = r->route.router;
	size_t n;

	r->ssdp_due = ++r->ssdp_sends < SSDP_SENDS
	    ? mono_add_us(now, SSDP_RESEND_US)
	    : MONO_NEVER;
	addr_parse(&group, SSDP_GROUP, SSDP_PORT);
	addr_set_port(&router, SSDP_PORT);
	for (unsigned v = 1; v <= SSDP_DEVICES; v++) {
		n = ssdp_search(packet, v);
		(void)sendto(r->ssdp_fd, packet, n, 0, &group.u.sa, group.len);
	}
	/* Some answer to themselves alone. */
	n = ssdp_search(packet, 1);
	(void)sendto(r->ssdp_fd, packet, n, 0, &router.u.sa, router.len);
	pace_sent(&r->pace, SSDP_DEVICES + 1, now);
}

static struct mono
ssdp_end(const struct router *r)
{
	return mono_add_us(r->begun,
	    pacer_longer_us(r->pace.pacer,
		r->options.portmap ? SSDP_PORTMAP_US : SSDP_ASK_US));
}

static void
advance_upnp(struct router *r, struct mono now)
{
	struct mapping *m = &r->mappings[MAPPING_UPNP];

	if (r->ssdp_fd == -1 || r->igd_over)
		return;
	if (!r->igd_asked && r->ssdp_from.len != 0 &&
	    (is_router(r, &r->ssdp_from) ||
		mono_reached(mono_add_us(r->begun, SSDP_PREFER_US), now)))
		begin_igd(r);
	else if (!r->igd_asked && mono_reached(ssdp_end(r), now))
		r->igd_over = true;
	else if (mono_reached(r->ssdp_due, now) && !r->igd_asked &&
	    pace_ready(&r->pace, now))
		send_ssdp(r, now);
	if (m->state == MAPPING_GRANTED && (r->stopping || is_tried(m)))
		helper_remove(r->helper);
}

static bool
upnp_is_done(const struct router *r)
{
	const struct mapping *m = &r->mappings[MAPPING_UPNP];

	if (r->ssdp_fd == -1 || r->igd_over)
		return true;
	/* What it has not begun it will not begin when this ends. */
	return r->stopping && m->state != MAPPING_GRANTED &&
	    !(m->state == MAPPING_ASKED && r->igd_said);
}

/* ---- the whole ---- */

/* What is not over by now will not be seen to end. */
static void
give_up(struct mapping *m)
{
	if (m->state == MAPPING_ASKED) {
		m->state = MAPPING_DENIED;
		m->why = "interrupted";
	} else if (m->state == MAPPING_GRANTED) {
		m->state = MAPPING_GONE;
		m->why_left = "no-answer";
	}
}

static void
finish(struct router *r)
{
	r->over = true;
	timer_set(r->timer, MONO_NEVER);
	watch_free(r->pcp_watch);
	watch_free(r->ssdp_watch);
	r->pcp_watch = r->ssdp_watch = NULL;
	for (int i = 0; i < MAPPINGS; i++) {
		give_up(&r->mappings[i]);
		mapping_close(&r->mappings[i]);
	}
	r->done(r->arg);
}

static bool
is_done(const struct router *r)
{
	return pcp_is_done(r, PCP_V2) && pcp_is_done(r, PCP_NATPMP) &&
	    upnp_is_done(r);
}

static struct mono
wake_of(const struct router *r)
{
	struct mono wake = r->limit;

	for (int i = 0; i < PCP_PROTOCOLS; i++)
		if (r->pcp_used[i])
			wake = mono_earlier(
			    wake, pace_wake(&r->pace, pcp_wake(&r->pcp[i])));
	if (r->ssdp_fd == -1 || r->igd_asked || r->igd_over)
		return wake;
	wake = mono_earlier(wake, pace_wake(&r->pace, r->ssdp_due));
	wake = mono_earlier(wake, ssdp_end(r));
	if (r->ssdp_from.len != 0)
		wake =
		    mono_earlier(wake, mono_add_us(r->begun, SSDP_PREFER_US));
	return wake;
}

static void
go(void *arg)
{
	struct router *r = arg;
	struct mono now = loop_now(r->loop);

	if (r->over)
		return;
	if (mono_reached(r->limit, now)) {
		if (r->stopping) {
			finish(r);
			return;
		}
		r->stopping = true;
		r->limit = mono_add_us(now, STOP_US);
	}
	for (int i = 0; r->found && i < PCP_PROTOCOLS; i++)
		if (r->pcp_used[i]) {
			advance_pcp(r, i, now);
			send_pcp(r, i, now);
			advance_pcp(r, i, now);
		}
	if (r->found)
		advance_upnp(r, now);
	if (!r->found || is_done(r))
		finish(r);
	else
		timer_set(r->timer, wake_of(r));
}

static bool
open_pcp(struct router *r)
{
	struct addr to = r->route.router, from = r->local;

	addr_set_port(&to, PCP_PORT);
	addr_set_port(&from, 0);
	r->pcp_fd = socket(
	    to.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Connected: so nobody but the router is heard, and ICMP errors are. */
	if (r->pcp_fd == -1 || bind(r->pcp_fd, &from.u.sa, from.len) == -1 ||
	    connect(r->pcp_fd, &to.u.sa, to.len) == -1)
		return false;
	r->pcp_watch = watch_new(r->loop, r->pcp_fd, WATCH_READ, on_pcp, r);
	if (r->pcp_watch == NULL)
		return false;
	watch_on(r->pcp_watch, true);
	return true;
}

static void
open_ssdp(struct router *r)
{
	struct ip_mreqn on = {.imr_ifindex = r->route.device};
	struct addr from = r->local;
	int ttl = SSDP_TTL;

	addr_set_port(&from, 0);
	r->ssdp_fd =
	    socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->ssdp_fd == -1)
		return;
	(void)setsockopt(
	    r->ssdp_fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl));
	(void)setsockopt(
	    r->ssdp_fd, IPPROTO_IP, IP_MULTICAST_IF, &on, sizeof(on));
	if (bind(r->ssdp_fd, &from.u.sa, from.len) == 0)
		r->ssdp_watch =
		    watch_new(r->loop, r->ssdp_fd, WATCH_READ, on_ssdp, r);
	if (r->ssdp_watch == NULL) {
		close(r->ssdp_fd);
		r->ssdp_fd = -1;
		return;
	}
	watch_on(r->ssdp_watch, true);
	r->ssdp_due = r->begun;
}

static void
begin_pcp(struct router *r, struct mono now)
{
	uint8_t nonce[PCP_NONCE_LEN];
	struct ip local;

	addr_ip16(&r->local, local.b);
	for (int i = 0; i < PCP_PROTOCOLS; i++) {
		/* NAT-PMP knows IPv4 alone. */
		r->pcp_used[i] = i == PCP_V2 || ip_is_v4(&local);
		randombytes_buf(nonce, sizeof(nonce));
		pcp_init(&r->pcp[i], (enum pcp_protocol)i, &local, nonce);
		if (r->pcp_used[i])
			pcp_begin(&r->pcp[i], PCP_ASK, now);
	}
}

bool
router_start(struct router *r, struct loop *l, const struct probe *probe,
    const struct stun_addr *server, const struct router_options *options,
    struct helper *helper, loop_fn *done, void *arg)
{
	struct stun_addr local;
	struct ip to;

	memset(r, 0, sizeof(*r));
	r->loop = l;
	r->probe = probe;
	r->options = *options;
	r->helper = helper;
	r->done = done;
	r->arg = arg;
	r->pcp_fd = r->ssdp_fd = -1;
	for (int i = 0; i < MAPPINGS; i++)
		r->mappings[i].fd = -1;
	r->begun = loop_now(l);
	r->pace.pacer = probe->options.pacer;
	r->limit = mono_add_us(r->begun,
	    pacer_longer_us(r->pace.pacer,
		options->portmap ? GATEWAY_PORTMAP_US : GATEWAY_ASK_US));
	r->timer = timer_new(l, go, r);
	if (r->timer == NULL)
		return false;
	memcpy(to.b, server->ip, sizeof(to.b));
	if (route_find(&r->route, &to) && net_local(server, &local)) {
		addr_from_ip16(&r->local, local.ip, 0);
		r->found = open_pcp(r);
	}
	if (r->found)
		begin_pcp(r, r->begun);
	if (r->found && helper != NULL && ip_is_v4(&to))
		open_ssdp(r);
	timer_set(r->timer, mono_add_us(r->begun, 1));
	return true;
}

void
router_stop(struct router *r)
{
	if (r->loop == NULL || r->over || r->stopping)
		return;
	r->stopping = true;
	r->limit = mono_add_us(loop_now(r->loop), STOP_US);
	go_soon(r);
}

void
router_clear(struct router *r)
{
	if (r->loop == NULL)
		return;
	watch_free(r->pcp_watch);
	watch_free(r->ssdp_watch);
	timer_free(r->timer);
	for (int i = 0; i < MAPPINGS; i++)
		mapping_close(&r->mappings[i]);
	if (r->pcp_fd != -1)
		close(r->pcp_fd);
	if (r->ssdp_fd != -1)
		close(r->ssdp_fd);
}

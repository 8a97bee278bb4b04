/*
 * parts: what goes on beside the questions to STUN servers, as rows of the
 * live view: TCP, the router and the way, sizes and ports. PURE. What matters
 * most comes first in a text: narrow terminals show no more.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/live/live.h"

/* Where lines stay, one in so many seconds of idle TCP connections. */
#define IDLE_EVERY_S 30

/* Longer texts are cut, which they never are. */
__attribute__((format(printf, 2, 3))) static void
add(struct live_part *p, const char *fmt, ...)
{
	size_t n = strlen(p->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->text + n, sizeof(p->text) - n, fmt, ap);
	va_end(ap);
}

/* ---- TCP ---- */

struct idle {
	unsigned over, all;
	double alive_s; /* the longest pause that was outlived */
	int64_t left_us;
};

static struct idle
idle_of(const struct calls *c, struct mono now)
{
	struct idle s = {0};

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];
		struct mono end = mono_add_us(now, (int64_t)k->hold_ms * 1000);
		int64_t left;

		if (!call_is_idler(k))
			continue;
		s.all++;
		s.over += k->state == CALL_OVER;
		if (k->use == CALL_LIFE && k->end == CALL_ANSWERED &&
		    k->age_s > s.alive_s)
			s.alive_s = k->age_s;
		if (k->state == CALL_OVER)
			continue;
		if (call_has_paused(k))
			end = call_pause_end(k);
		left = mono_diff_us(now, end);
		s.left_us = left > s.left_us ? left : s.left_us;
	}
	return s;
}

static unsigned
servers_of(const struct calls *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_servers; i++) {
		const struct call *k = calls_of_server(c, i);

		n += k != NULL && k->end == CALL_ANSWERED;
	}
	return n;
}

static void
add_tcp_verdict(struct live_part *p, const struct calls *c)
{
	struct verdict_tcp v;

	judge_tcp(c, &v);
	if (v.works == ANSWER_NO)
		add(p, "no server answers over TCP");
	else if (v.works == ANSWER_YES)
		add(p, "mapping %s", behaviour_name(v.mapping.kind));
	else
		add(p, "whether it works is not known");
	if (v.life.high > 0)
		add(p, ", idle ones live %.0f s", v.life.low);
	else if (v.life.low > 0)
		add(p, ", idle ones live %.0f s or longer", v.life.low);
}

void
live_tcp(struct live_part *p, const struct calls *c, struct mono now)
{
	struct idle s = idle_of(c, now);
	unsigned over = 0;

	memset(p, 0, sizeof(*p));
	p->over = c->phase == CALLS_DONE;
	if (c->phase == CALLS_DISCOVER) {
		add(p, "%u of %zu servers answer", servers_of(c), c->n_servers);
		return;
	}
	if (p->over) {
		add_tcp_verdict(p, c);
		return;
	}
	if (s.all > 0) {
		p->done = (uint64_t)mono_diff_us(c->began, now);
		p->total = p->done + (uint64_t)s.left_us;
		p->every_s = IDLE_EVERY_S;
		add(p, "%lld s more at most: %u of %u idle connections",
		    (long long)(s.left_us / 1000000), s.over, s.all);
		if (s.alive_s > 0)
			add(p, ", one lives %.0f s", s.alive_s);
		return;
	}
	for (size_t i = 0; i < c->n; i++)
		over += c->v[i].state == CALL_OVER;
	p->done = over;
	p->total = c->n;
	add(p, "%u of %zu connections done", over, c->n);
}

/* ---- the router and the way ---- */

static void
add_router(struct live_part *p, const struct live_way *w)
{
	static const char *const names[LIVE_PROTOCOLS] = {
	    "PCP", "NAT-PMP", "UPnP"};
	const char *between = ": ";

	if (*w->router == '\0') {
		add(p, "%s",
		    w->router_over ? "no router" : "looking for a router");
		return;
	}
	add(p, "%s", w->router);
	for (int i = 0; i < LIVE_PROTOCOLS; i++)
		if (w->speaks[i]) {
			add(p, "%s%s", between, names[i]);
			between = ", ";
		}
	if (*between == ':')
		add(p, w->router_over ? ": no ports on demand" : ", is asked");
	if (w->opens && !w->router_over)
		add(p, "; a port is opened");
	else if (w->opens)
		add(p,
		    w->opened ? "; opened ports work"
			      : "; opened ports do not work");
}

static void
add_hops(struct live_part *p, const struct live_way *w)
{
	unsigned distance = hops_distance(w->hops), said = 0;
	const char *between = *p->text == '\0' ? "" : "; ";

	for (unsigned i = 0; i < HOPS_MAX; i++)
		said += w->hops->v[i].state == HOP_EXCEEDED ||
		    w->hops->v[i].state == HOP_REFUSED;
	if (distance > 0)
		add(p, "%s%u hop%s to the server", between, distance,
		    distance == 1 ? "" : "s");
	else
		add(p, "%s%u router%s of the way answer%s", between, said,
		    said == 1 ? "" : "s", said == 1 ? "s" : "");
}

void
live_way(struct live_part *p, const struct live_way *w)
{
	memset(p, 0, sizeof(*p));
	p->over = (w->router == NULL || w->router_over) &&
	    (w->hops == NULL || w->hops_over);
	if (w->router != NULL)
		add_router(p, w);
	if (w->hops != NULL)
		add_hops(p, w);
}

/* ---- sizes and ports ---- */

/* Echoes, which many networks drop, count as work, not as ports. */
static void
add_ports(struct live_part *p, const struct reach *r)
{
	unsigned pass = 0, over = 0, ports = 0;
	const char *why;

	for (size_t i = 0; i < r->n; i++) {
		over += r->rows[i].saw != REACH_WAITS;
		if (r->rows[i].how == REACH_ECHO)
			continue;
		ports++;
		pass += reach_passes(r, &r->rows[i], &why) == ANSWER_YES;
	}
	p->done += over;
	p->total += r->n;
	p->over &= over == r->n;
	if (ports > 0)
		add(p, "; %u of %u ports pass", pass, ports);
}

void
live_path(struct live_part *p, const struct mtu *m, const struct reach *r)
{
	struct mtu_range out = mtu_range_of(m, MTU_OUT);
	struct mtu_verdict v;

	memset(p, 0, sizeof(*p));
	p->over = m->over;
	for (size_t i = 0; i < m->n; i++)
		p->done += m->tries[i].state != MTU_WAITS;
	p->total = m->n;
	if (m->over) {
		mtu_judge(m, &v);
		if (v.out.passes == 0)
			add(p, "MTU unknown");
		else
			add(p, "MTU %u%s", v.out.passes,
			    v.out.word == MTU_BLACK_HOLE ? ", a black hole"
							 : "");
		if (v.fits == ANSWER_NO)
			add(p, ", too small for Tailscale");
	} else if (m->server != -1)
		add(p, "MTU %u or more", out.lo);
	else
		add(p, "MTU is tried");
	add_ports(p, r);
	if (p->over)
		p->total = 0;
}

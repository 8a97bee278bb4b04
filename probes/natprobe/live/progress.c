/* progress: which rows a run has, from what its parts know. */
#include <stdio.h>

#include "probes/natprobe/gateway/gateway.h"
#include "probes/natprobe/live/live.h"
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/path/path.h"
#include "probes/natprobe/relay/relay.h"

void
progress_names(struct live *live, const struct targets *t)
{
	struct target_name name;
	size_t over = 0, found = 0, n = 0;

	for (; targets_name(t, n, &name); n++) {
		over += name.over;
		found += name.found > 0;
	}
	if (n > 0)
		live_say(live, "names", "%zu of %zu found, %zu failed", found,
		    n, over - found);
}

void
progress_family(struct live *live, struct live_family *f, struct mono now)
{
	char part[LIVE_PART_MAX];
	struct live_words w;

	live_words(&w, f, now);
	if (w.news)
		live_news(live, f->name, "%s", w.text);
	else
		live_say(live, f->name, "%s", w.text);
	if (*w.ladder == '\0')
		return;
	snprintf(part, sizeof(part), "%s time", f->name);
	live_bar(live, part, w.done, w.total);
	if (w.ladder_news)
		live_news(live, part, "%s", w.ladder);
	else
		live_say(live, part, "%s", w.ladder);
}

/* The outcome of a part is news. */
static void
say_part(
    struct live *live, bool v6, const char *name, const struct live_part *p)
{
	char part[LIVE_PART_MAX];

	snprintf(part, sizeof(part), "%s %s", v6 ? "IPv6" : "IPv4", name);
	live_bar(live, part, p->done, p->total);
	if (p->over)
		live_news(live, part, "%s", p->text);
	else if (p->every_s > 0)
		live_slow_news(live, part, p->every_s, "%s", p->text);
	else
		live_say(live, part, "%s", p->text);
}

void
progress_tcp(struct live *live, bool v6, const struct calls *c, struct mono now)
{
	struct live_part p;

	if (c == NULL)
		return;
	live_tcp(&p, c, now);
	say_part(live, v6, "TCP", &p);
}

static struct live_way
way_of(const struct gateways *g, bool v6, char text[static ADDR_TEXT_MAX])
{
	const struct router *r = &g->routers[v6];
	const struct trace *t = &g->traces[v6];
	struct live_way w = {.hops = g->options.trace ? &t->hops : NULL,
	    .hops_over = t->over,
	    .router_over = r->over,
	    .opens = g->options.portmap};

	if (!g->options.ask)
		return w;
	w.router = r->found ? addr_ip_text(&r->route.router, text) : "";
	w.speaks[0] = r->pcp_used[PCP_V2] && pcp_is_spoken(&r->pcp[PCP_V2]);
	w.speaks[1] =
	    r->pcp_used[PCP_NATPMP] && pcp_is_spoken(&r->pcp[PCP_NATPMP]);
	w.speaks[2] = r->ssdp_from.len != 0;
	for (int i = 0; i < MAPPINGS; i++)
		w.opened |= r->mappings[i].seen == SEEN_YES;
	return w;
}

void
progress_way(struct live *live, bool v6, const struct gateways *g)
{
	char text[ADDR_TEXT_MAX];
	struct live_part p;
	struct live_way w;

	if (g == NULL)
		return;
	w = way_of(g, v6, text);
	live_way(&p, &w);
	say_part(live, v6, "way", &p);
}

void
progress_path(struct live *live, bool v6, const struct path_run *p)
{
	struct live_part part;

	if (p == NULL || !p->mtu[v6].used)
		return;
	live_path(&part, &p->mtu[v6].mtu, &p->reach[v6].reach);
	say_part(live, v6, "path", &part);
}

void
progress_relays(struct live *live, const struct relays *r)
{
	size_t over = 0, work = 0;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		over += r->v[i]->over;
		work += relay_works(r->v[i]);
	}
	live_bar(live, "relays", over, r->n);
	live_say(live, "relays", "%zu of %zu done, %zu work", over, r->n, work);
}

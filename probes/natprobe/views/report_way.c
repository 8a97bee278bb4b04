/*
 * report_way: sections of the page about what is on the way besides mapping
 * and filtering: UDP at all, sizes, NATs in line, the router's ports, TCP,
 * names and proxies. PURE. What a result does not have has no row, and what
 * none has no section.
 */
#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/page.h"

typedef bool has_fn(const struct reading *r, bool v6);
typedef void cells_fn(struct text *t, const struct reading *r, bool v6);

/* A row for each building and family that has it. */
static void
section(struct text *t, const struct reading *const *latest, size_t n,
    const char *title, const char *const names[], size_t n_names, has_fn *has,
    cells_fn *cells)
{
	bool begun = false;

	for (size_t i = 0; i < n; i++)
		for (int v6 = 0; v6 < 2; v6++) {
			if (!has(latest[i], v6))
				continue;
			if (!begun) {
				heading(t, 2, title);
				head_row(t, "way", names, n_names);
			}
			begun = true;
			text_str(t, "<tr>");
			row_head(t, latest[i]->building);
			cell(t, "", family_name_of(v6));
			cells(t, latest[i], v6);
			text_str(t, "</tr>\n");
		}
	if (begun)
		text_str(t, "</tbody></table>\n");
}

/* The good answer is `good`; what is not known is grey. */
static void
known_cell(struct text *t, enum answer a, enum answer good)
{
	cell(t,
	    a == ANSWER_UNKNOWN ? "unknown"
		: a == good	? "pass"
				: "fail",
	    answer_name(a));
}

static void
number_cell(struct text *t, const char *class, unsigned n, const char *words)
{
	struct text s = TEXT_EMPTY;

	text_fmt(&s, "%u%s", n, words);
	text_fmt(t, "<td class=\"%s\">", class);
	paste(t, &s);
	text_str(t, "</td>");
}

/* ---- UDP and sizes ---- */

static bool
has_path(const struct reading *r, bool v6)
{
	return r->site.asked[v6] &&
	    (r->path[v6].has_mtu || r->path[v6].blocked != REACH_UNKNOWN);
}

static void
udp_cell(struct text *t, const struct reading *r, bool v6)
{
	static const char *const words[REACH_VERDICTS] = {
	    [REACH_UNKNOWN] = "blocked, unknown why",
	    [REACH_FREE] = "passes",
	    [REACH_PORTAL] = "blocked by a captive portal",
	    [REACH_SERVER_DOWN] = "the STUN server is down",
	    [REACH_BLOCKED] = "blocked, TCP passes",
	    [REACH_PORT_BLOCKED] = "the STUN port is blocked",
	    [REACH_ONLY_443] = "all but TCP 443 is blocked",
	    [REACH_NO_NETWORK] = "nothing passes",
	};
	enum answer udp = r->site.v[v6].udp;

	cell(t,
	    goodness(udp == ANSWER_YES,
		udp == ANSWER_NO && r->path[v6].blocked != REACH_SERVER_DOWN),
	    udp == ANSWER_YES		   ? "passes"
		: r->path[v6].maybe_portal ? "maybe a captive portal"
					   : words[r->path[v6].blocked]);
}

static void
size_cell(struct text *t, const struct mtu_way *w, unsigned needs)
{
	static const char *const words[MTU_WORDS] = {
	    [MTU_UNKNOWN] = " or more",
	    [MTU_FULL] = "",
	    [MTU_LINK] = ", the host's own link",
	    [MTU_TOLD] = ", told by ICMP",
	    [MTU_BLACK_HOLE] = ", black hole",
	    [MTU_PIECES] = ", larger in fragments",
	    [MTU_AS_OUT] = " or more",
	};

	if (w->passes == 0)
		cell(t, "unknown", "unknown");
	else
		number_cell(t,
		    goodness(w->passes >= needs && w->word != MTU_BLACK_HOLE,
			w->word == MTU_BLACK_HOLE || w->passes < needs),
		    w->passes, words[w->word]);
}

static void
path_cells(struct text *t, const struct reading *r, bool v6)
{
	const struct reading_path *p = &r->path[v6];

	udp_cell(t, r, v6);
	if (p->has_mtu) {
		size_cell(t, &p->mtu.out, p->mtu.needs);
		size_cell(t, &p->mtu.in, p->mtu.needs);
		known_cell(t, p->mtu.fits, ANSWER_YES);
		known_cell(t, p->mtu.fragments_out, ANSWER_YES);
		known_cell(t, p->mtu.fragments_in, ANSWER_YES);
	} else
		text_str(t, "<td colspan=\"5\">not measured</td>");
	if (p->has_way)
		known_cell(t, p->icmp, ANSWER_YES);
	else
		cell(t, "", "not tried");
}

/* ---- NATs and routers ---- */

static bool
has_router(const struct reading *r, bool v6)
{
	return r->site.asked[v6] &&
	    (r->router[v6].asked || r->router[v6].has_nats);
}

static void
nats_cells(struct text *t, const struct verdict_nats *n)
{
	static const char *const sure[] = {[SURE_NOT] = "",
	    [SURE_LOW] = ", unsure",
	    [SURE_MEDIUM] = ", fairly sure",
	    [SURE_HIGH] = ", sure"};

	if (n->known && n->count == 0)
		cell(t, "pass", "none");
	else if (n->known)
		number_cell(t,
		    n->count == 1	      ? "pass"
			: n->sure == SURE_LOW ? "first"
					      : "fail",
		    n->count, sure[n->sure]);
	else
		cell(t, "unknown", "unknown");
	known_cell(t, n->carrier, ANSWER_NO);
}

static void
router_cells(struct text *t, const struct reading *r, bool v6)
{
	const struct reading_router *router = &r->router[v6];
	enum answer works = r->site.v[v6].router.mapping_works;

	if (router->has_nats)
		nats_cells(t, &router->nats);
	else
		text_str(t, "<td colspan=\"2\">not looked for</td>");
	if (!router->asked || !router->found) {
		text_fmt(t, "<td colspan=\"4\">%s</td>",
		    router->asked ? "no router before this host" : "not asked");
		return;
	}
	for (int i = 0; i < PORT_PROTOCOLS; i++)
		if (v6 && i == PORT_NATPMP)
			cell(t, "", "\xe2\x80\x94");
		else
			cell(t,
			    goodness(router->speaks[i] == ANSWER_YES, false),
			    answer_name(router->speaks[i]));
	if (works == ANSWER_UNKNOWN)
		cell(t, "", "not tried");
	else
		known_cell(t, works, ANSWER_YES);
}

/* ---- TCP ---- */

static bool
has_tcp(const struct reading *r, bool v6)
{
	return r->site.asked[v6] && r->has_tcp[v6];
}

static void
tcp_life_cell(struct text *t, const struct verdict_life *l)
{
	struct text s = TEXT_EMPTY;

	if (l->high > 0)
		text_fmt(&s, "%.0f to %.0f s", l->low, l->high);
	else if (l->low > 0)
		text_fmt(&s, "%.0f s or more", l->low);
	else
		text_str(&s, "not measured");
	text_fmt(t, "<td class=\"%s\">",
	    goodness(l->low >= TCP_LIFE_LEAST_S,
		l->high > 0 && l->high <= TCP_LIFE_LEAST_S));
	paste(t, &s);
	text_str(t, "</td>");
}

static void
tcp_cells(struct text *t, const struct reading *r, bool v6)
{
	const struct verdict_tcp *v = &r->tcp[v6];
	struct text kept = TEXT_EMPTY;

	known_cell(t, v->works, ANSWER_YES);
	mapping_cell(t, v->mapping.kind);
	if (v->connections > 0)
		text_fmt(&kept, "%u of %u", v->preserved, v->connections);
	text_str(t, "<td>");
	paste(t, &kept);
	text_str(t, "</td>");
	tcp_life_cell(t, &v->life);
	if (v->keepalive_why == REASON_NOT_ASKED)
		cell(t, "", "not tried");
	else
		known_cell(t, v->keepalive, ANSWER_YES);
}

/* ---- names, portals, proxies: of a building ---- */

static bool
has_names(const struct reading *r)
{
	bool portal = false;

	for (size_t i = 0; i < r->n_relays; i++)
		portal |= r->relays[i].portal != ANSWER_UNKNOWN;
	return r->dns.asked || r->proxy.asked || portal;
}

static void
dns_cells(struct text *t, const struct reading_dns *d)
{
	bool lies = d->nonexistent == DNS_REWRITTEN;

	if (!d->asked) {
		text_str(t, "<td colspan=\"2\">not asked</td>");
		return;
	}
	cell(t, goodness(d->nonexistent == DNS_KEPT, lies),
	    lies ? "lies about names that do not exist"
		: d->nonexistent == DNS_KEPT ? "tells the truth"
					     : "unknown");
	cell(t, goodness(false, d->differs),
	    d->differs ? "not as in the map" : "nothing wrong is known");
}

static void
proxy_cells(struct text *t, const struct reading_proxy *p)
{
	static const char *const words[PROXY_WORDS] = {
	    [PROXY_UNKNOWN] = "set, not tried",
	    [PROXY_TUNNEL] = "set, not tried to the end",
	    [PROXY_WANTS_AUTH] = "wants a name and a password",
	    [PROXY_REFUSES] = "refuses relays",
	    [PROXY_NONE] = "is no HTTP proxy",
	    [PROXY_UNREACHABLE] = "cannot be reached",
	    [PROXY_UNUSABLE] = "of a kind that is not tried",
	    [PROXY_WORKS] = "works",
	    [PROXY_RELAY_FAILS] = "relays fail behind it",
	};

	if (!p->asked) {
		text_str(t, "<td colspan=\"3\">not asked</td>");
		return;
	}
	cell(t,
	    p->set && p->word > PROXY_TUNNEL
		? goodness(p->word == PROXY_WORKS, p->word != PROXY_UNUSABLE)
		: "",
	    p->set	       ? words[p->word]
		: p->http_only ? "http_proxy alone is set"
			       : "none is set");
	if (p->set)
		known_cell(t, p->needed, ANSWER_NO);
	else
		cell(t, "", "\xe2\x80\x94");
	cell(t, p->wpad == ANSWER_UNKNOWN ? "unknown" : "",
	    answer_name(p->wpad));
}

static void
names(struct text *t, const struct reading *const *latest, size_t n)
{
	static const char *const heads[] = {"Building", "Resolver",
	    "Relays' addresses", "Captive portal", "Proxy", "Proxy needed",
	    "Announced (WPAD)"};
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		if (!has_names(latest[i]))
			continue;
		if (!begun) {
			heading(t, 2, "Names, portals and proxies");
			head_row(
			    t, "way", heads, sizeof(heads) / sizeof(heads[0]));
		}
		begun = true;
		text_str(t, "<tr>");
		row_head(t, latest[i]->building);
		dns_cells(t, &latest[i]->dns);
		known_cell(t, portal_of(latest[i]), ANSWER_NO);
		proxy_cells(t, &latest[i]->proxy);
		text_str(t, "</tr>\n");
	}
	if (begun)
		text_str(t,
		    "</tbody></table>\n<p class=\"note\">Proxy: as the "
		    "environment names it (https_proxy), which Tailscale's "
		    "clients use; needed: a relay works by it alone.</p>\n");
}

#define SECTION(t, latest, n, title, names, has, cells) \
	section(t, latest, n, title, names,             \
	    sizeof(names) / sizeof((names)[0]), has, cells)

void
page_ways(struct text *t, const struct reading *const *latest, size_t n)
{
	static const char *const path[] = {"Building", "", "UDP",
	    "Path MTU out", "Path MTU in", "Tailscale fits", "Fragments out",
	    "Fragments in", "ICMP errors come"};
	static const char *const router[] = {"Building", "", "NATs in line",
	    "Carrier's NAT", "PCP", "NAT-PMP", "UPnP", "Opened port works"};
	static const char *const tcp[] = {"Building", "", "Works", "Mapping",
	    "Ports kept", "Idle connection lives", "TCP keepalive helps"};

	SECTION(
	    t, latest, n, "UDP and packet sizes", path, has_path, path_cells);
	SECTION(t, latest, n, "NATs in line, and ports on demand", router,
	    has_router, router_cells);
	SECTION(t, latest, n, "TCP", tcp, has_tcp, tcp_cells);
	names(t, latest, n);
}

/*
 * report_page: all results of a folder as one page of HTML. PURE. Whatever
 * comes from a result passes text_html; the page has no script and asks for
 * nothing, which its policy also says to the browser.
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/page.h"

/* So that a matrix fits on paper. */
#define COLUMNS	      8
#define BUILDINGS_MAX 100 /* of the matrix, which grows by the square */

static const char style[] =
    "body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;background:#fff;"
    "max-width:60rem;margin:1.5rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;"
    "border-bottom:1px solid #bbb}h3{font-size:1rem;margin:1rem 0 .3rem}"
    "table{border-collapse:collapse;width:100%;margin:.6rem 0;"
    "font-size:.78rem}th,td{border:1px solid #bbb;padding:.2rem .25rem;"
    "text-align:left;vertical-align:top}"
    "tbody th{overflow-wrap:anywhere;min-width:6em}"
    ".sheet{table-layout:fixed}.sheet td{overflow-wrap:anywhere}"
    ".sheet th:first-child{width:6em}.sheet td:nth-child(3),"
    ".sheet th:nth-child(3){width:5em}"
    "thead th{background:#eee}"
    "p,li,h3{overflow-wrap:anywhere}"
    "svg{width:100%;height:auto;display:block}"
    "svg text{font:11px system-ui,sans-serif;fill:#1a1a1a}"
    "svg .end{text-anchor:end}"
    "svg .alive{fill:#2b7a4b}svg .maybe{fill:#a9d3b8}svg .trip{fill:#3a6ea5}"
    "svg .late{fill:#b9cfe6}"
    "svg .keep{stroke:#b00020;stroke-dasharray:3 2}"
    ".matrix td,.matrix thead th{text-align:center}"
    ".direct,.pass{background:#d7f0df}.first,.unreliable{background:#fff2c9}"
    ".partly{background:#fff2c9}.relay,.fail{background:#f9d6d2}.unknown,."
    "untried{background:#ececec}"
    ".note{color:#555;font-size:.85rem}"
    "@page{size:A4;margin:14mm}"
    "@media print{body{max-width:none;margin:0;padding:0;font-size:10pt}"
    "table{font-size:8pt}*{print-color-adjust:exact;-webkit-print-color-adjust:"
    "exact}"
    "h2,h3{break-after:avoid}tr,svg,figure,li{break-inside:avoid}"
    "thead{display:table-header-group}}"
    "figure{margin:0 0 .8rem}";

/* The newest of each building: the first of its name. */
static size_t
latest_of(const struct report *rep, const struct reading **latest)
{
	size_t n = 0;

	for (size_t i = 0; i < rep->n; i++)
		if (i == 0 ||
		    strcmp(rep->r[i].building, rep->r[i - 1].building) != 0)
			latest[n++] = &rep->r[i];
	return n;
}

/* ---- who reaches whom ---- */

static const char *
outcome_class(enum outcome o)
{
	static const char *const classes[OUTCOMES] = {
	    [OUTCOME_RELAY] = "relay",
	    [OUTCOME_UNKNOWN] = "unknown",
	    [OUTCOME_UNRELIABLE] = "unreliable",
	    [OUTCOME_IF_A_FIRST] = "first",
	    [OUTCOME_IF_B_FIRST] = "first",
	    [OUTCOME_DIRECT] = "direct",
	};

	return classes[o];
}

static void
matrix_cell(struct text *t, const struct reading *a, const struct reading *b)
{
	struct prediction p;
	struct text why = TEXT_EMPTY;
	const struct path *path;
	const char *word;

	predict(&p, &a->site, &b->site);
	path = &p.path[p.v6];
	word = path->outcome == OUTCOME_IF_A_FIRST ? "if row first"
	    : path->outcome == OUTCOME_IF_B_FIRST
	    ? "if column first"
	    : outcome_words(path->outcome);
	text_fmt(t, "<td class=\"%s\" title=\"", outcome_class(path->outcome));
	path_words(&why, path, a->building, b->building);
	paste(t, &why);
	text_fmt(t, "\">%s</td>", word);
}

/* Columns have the numbers of the rows, since names would not fit. */
static void
matrix_part(
    struct text *t, const struct reading *const *latest, size_t n, size_t first)
{
	size_t end = n - first > COLUMNS ? first + COLUMNS : n;

	text_str(t,
	    "<table class=\"matrix\"><thead><tr>"
	    "<th scope=\"col\">Building</th>");
	for (size_t j = first; j < end; j++)
		text_fmt(t, "<th scope=\"col\">%zu</th>", j + 1);
	text_str(t, "</tr></thead><tbody>\n");
	for (size_t i = 0; i < n; i++) {
		text_fmt(t, "<tr><th scope=\"row\">%zu ", i + 1);
		text_html(t, latest[i]->building);
		text_str(t, "</th>");
		for (size_t j = first; j < end; j++)
			if (i == j)
				cell(t, "", "\xe2\x80\x94");
			else
				matrix_cell(t, latest[i], latest[j]);
		text_str(t, "</tr>\n");
	}
	text_str(t, "</tbody></table>\n");
}

static void
pair_line(struct text *t, const struct reading *a, const struct reading *b)
{
	struct text words = TEXT_EMPTY;
	struct prediction p;
	const struct path *path;

	predict(&p, &a->site, &b->site);
	path = &p.path[p.v6];
	if (path->outcome == OUTCOME_DIRECT && path->idle != IDLE_DROPS &&
	    path->idle != IDLE_MAY_DROP)
		return;
	text_fmt(&words, "%s \xe2\x80\x93 %s: ", a->building, b->building);
	if (path->outcome == OUTCOME_IF_A_FIRST ||
	    path->outcome == OUTCOME_IF_B_FIRST)
		text_fmt(&words,
		    "direct over %s if %s sends first: ", family_name_of(p.v6),
		    path->outcome == OUTCOME_IF_A_FIRST ? a->building
							: b->building);
	else if (path->outcome >= OUTCOME_UNRELIABLE)
		text_fmt(&words, "%s over %s: ", outcome_words(path->outcome),
		    family_name_of(p.v6));
	else
		text_fmt(&words, "%s: ", outcome_words(path->outcome));
	path_words(&words, path, a->building, b->building);
	text_str(&words, ". ");
	idle_words(&words, path, a->building, b->building);
	text_str(t, "<li>");
	paste(t, &words);
	text_str(t, "</li>\n");
}

static void
matrix(struct text *t, const struct reading *const *latest, size_t n)
{
	heading(t, 2, "Who reaches whom directly");
	if (n < 2) {
		text_str(t, "<p>Results of one building only.</p>\n");
		return;
	}
	text_str(t,
	    "<p class=\"note\">Predicted from the newest result of each "
	    "building, as for hosts that learn each other's address "
	    "from a coordinator. <em>Direct</em>: without the relay. "
	    "<em>If row first</em>: if the building of that row sends "
	    "the first packet.</p>\n");
	if (n > BUILDINGS_MAX) {
		text_fmt(t, "<p>The first %d of %zu buildings.</p>\n",
		    BUILDINGS_MAX, n);
		n = BUILDINGS_MAX;
	}
	for (size_t first = 0; first < n; first += COLUMNS)
		matrix_part(t, latest, n, first);
	text_str(t, "<ul class=\"pairs\">\n");
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			pair_line(t, latest[i], latest[j]);
	text_str(t, "</ul>\n");
}

/* ---- verdicts ---- */

static const char *
short_filter(enum behaviour b)
{
	static const char *const names[BEHAVIOURS] = {"unknown", "none", "EIF",
	    "ADF", "APDF", "by port", "ADF or APDF", "mixed"};

	return names[b];
}

static void
answer_cell(struct text *t, enum answer a)
{
	cell(t, goodness(a == ANSWER_NO, a == ANSWER_YES), answer_name(a));
}

static void
life_cell(struct text *t, const struct verdicts *v)
{
	struct verdict_life l = life_shortest(v);
	struct text s = TEXT_EMPTY;

	if (l.high > 0)
		text_fmt(&s, "%.0f to %.0f s", l.low, l.high);
	else if (l.low > 0)
		text_fmt(&s, "%.0f s or more", l.low);
	else
		text_str(&s, "not measured");
	text_fmt(t, "<td class=\"%s\">",
	    goodness(
		l.low >= KEEP_LONGEST_S, l.high > 0 && l.low < KEEP_LONGEST_S));
	paste(t, &s);
	text_str(t, "</td>");
}

static void
verdict_cells(struct text *t, const struct verdicts *v)
{
	enum behaviour f = v->filter.kind;

	if (v->udp != ANSWER_YES) {
		text_fmt(t, "<td class=\"fail\" colspan=\"7\">%s</td>",
		    v->udp == ANSWER_NO ? "UDP is blocked" : "unknown");
		return;
	}
	mapping_cell(t, v->mapping.kind);
	cell(t, goodness(f <= BEHAVIOUR_AD && f != BEHAVIOUR_UNKNOWN, false),
	    short_filter(f));
	cell(t, "", assignment_name(v->alloc.kind));
	answer_cell(t, v->poison.poisonable);
	answer_cell(t, v->collision.until_collision);
	cell(t, "", hairpin_name(v->hairpin.kind));
	life_cell(t, v);
}

static void
verdict_rows(struct text *t, const struct reading *r, const char *name)
{
	for (int v6 = 0; v6 < 2; v6++) {
		if (!r->site.asked[v6])
			continue;
		text_str(t, "<tr>");
		row_head(t, name);
		cell(t, "", family_name_of(v6));
		verdict_cells(t, &r->site.v[v6]);
		text_str(t, "</tr>\n");
	}
	if (!r->site.asked[0] && !r->site.asked[1]) {
		text_str(t, "<tr>");
		row_head(t, name);
		text_str(
		    t, "<td colspan=\"8\">no server was asked</td></tr>\n");
	}
}

static void
verdict_head(struct text *t, const char *first)
{
	const char *const names[] = {first, "", "Mapping", "Filtering", "Ports",
	    "Early packet harms", "Until collision", "Hairpin",
	    "Mapping lives"};

	head_row(t, "verdicts", names, sizeof(names) / sizeof(names[0]));
}

static void
verdicts(struct text *t, const struct reading *const *latest, size_t n)
{
	heading(t, 2, "Buildings");
	verdict_head(t, "Building");
	for (size_t i = 0; i < n; i++)
		verdict_rows(t, latest[i], latest[i]->building);
	text_str(t,
	    "</tbody></table>\n<p class=\"note\">EIM, ADM, APDM: mapping is "
	    "endpoint-independent, address-dependent, address- and "
	    "port-dependent; EIF, ADF, APDF: the same of filtering (RFC "
	    "4787).</p>\n");
}

static void
history(struct text *t, const struct report *rep)
{
	bool begun = false;

	for (size_t i = 0; i < rep->n; i++) {
		const struct reading *r = &rep->r[i];
		bool first =
		    i == 0 || strcmp(r->building, rep->r[i - 1].building) != 0;
		bool last = i + 1 == rep->n ||
		    strcmp(r->building, rep->r[i + 1].building) != 0;

		if (first && last)
			continue;
		if (!begun)
			heading(t, 2, "History");
		begun = true;
		if (first) {
			heading(t, 3, r->building);
			verdict_head(t, "Measured");
		}
		verdict_rows(t, r, r->time);
		if (last)
			text_str(t, "</tbody></table>\n");
	}
}

/* ---- plots ---- */

typedef bool plot_fn(struct text *t, const struct reading *r, double scale);

static void
plots(struct text *t, const struct reading *const *latest, size_t n,
    const char *title, const char *none, plot_fn *plot, double scale)
{
	struct text svg = TEXT_EMPTY;
	size_t shown = 0;

	heading(t, 2, title);
	for (size_t i = 0; i < n; i++) {
		if (plot(&svg, latest[i], scale)) {
			text_str(t, "<figure>");
			heading(t, 3, latest[i]->building);
			t->bad |= svg.bad;
			text_add(t, svg.p == NULL ? "" : svg.p, svg.len);
			text_str(t, "</figure>\n");
			shown++;
		}
		text_reset(&svg);
	}
	if (shown == 0)
		text_fmt(t, "<p>%s</p>\n", none);
	text_clear(&svg);
}

/* ---- the page ---- */

static void
begin(struct text *t, const struct report *rep, size_t buildings)
{
	text_fmt(t,
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
	    "charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" "
	    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width\">\n"
	    "<title>NATs of %zu buildings</title>\n<style>%s</style></head>\n"
	    "<body>\n<h1>NATs of %zu building%s</h1>\n<p>%zu result%s of "
	    "natprobe; page made ",
	    buildings, style, buildings, buildings == 1 ? "" : "s", rep->n,
	    rep->n == 1 ? "" : "s");
	text_html(t, rep->when);
	text_str(t, ".</p>\n");
	if (*rep->left_out != '\0') {
		text_str(t, "<p>Left out:</p>\n<pre class=\"left-out\">");
		text_html(t, rep->left_out);
		text_str(t, "</pre>\n");
	}
}

void
report_page(struct text *t, const struct report *rep)
{
	const struct reading **latest = calloc(rep->n + 1, sizeof(void *));
	size_t n;

	if (latest == NULL) {
		t->bad = true;
		return;
	}
	n = latest_of(rep, latest);
	begin(t, rep, n);
	matrix(t, latest, n);
	verdicts(t, latest, n);
	page_ways(t, latest, n);
	plots(t, latest, n, "How long mappings live",
	    "Not measured: natprobe -lifetime.", plot_lives,
	    plot_lives_scale(rep->r, rep->n));
	plots(t, latest, n, "Round trips to STUN servers", "None.", plot_trips,
	    plot_trips_scale(rep->r, rep->n));
	page_relays(t, latest, n);
	page_wishes(t, latest, n);
	page_sheets(t, latest, n);
	history(t, rep);
	text_str(t, "</body></html>\n");
	free(latest);
}

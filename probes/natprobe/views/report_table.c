/*
 * report_table: sections of the page that are lists and tables: relays, what
 * to ask for, requirements. PURE.
 */
#include "probes/natprobe/views/page.h"

/* ---- relays ---- */

static void
relay_row(struct text *t, const struct reading_relay *r)
{
	text_str(t, "<tr>");
	row_head(t, r->name);
	cell(t, r->works ? "pass" : "fail", r->works ? "yes" : "no");
	if (r->sent > r->lost)
		text_fmt(t, "<td>%.1f ms</td><td>%.1f ms</td><td>%.1f ms</td>",
		    r->p50_ms, r->p95_ms, r->jitter_ms);
	else
		text_str(t, "<td colspan=\"3\">not measured</td>");
	if (r->sent > 0)
		text_fmt(t, "<td class=\"%s\">%u of %u</td></tr>\n",
		    r->lost == 0 ? "pass" : "fail", r->lost, r->sent);
	else
		text_str(t, "<td></td></tr>\n");
}

/* Results from before relays were measured have none. */
void
page_relays(struct text *t, const struct reading *const *latest, size_t n)
{
	static const char *const names[] = {
	    "Relay", "Works", "Median", "95 of 100", "Jitter", "Lost"};
	struct text svg = TEXT_EMPTY;
	double scale = plot_relays_scale(latest, n);
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		const struct reading *r = latest[i];

		if (r->n_relays == 0)
			continue;
		if (!begun)
			heading(t, 2, "Round trips through relays");
		begun = true;
		text_str(t, "<figure>");
		heading(t, 3, r->building);
		plot_relays(&svg, r, scale);
		t->bad |= svg.bad;
		text_add(t, svg.p == NULL ? "" : svg.p, svg.len);
		text_reset(&svg);
		head_row(t, "relays", names, 6);
		for (size_t k = 0; k < r->n_relays; k++)
			relay_row(t, &r->relays[k]);
		text_str(t, "</tbody></table></figure>\n");
	}
	text_clear(&svg);
}

/* ---- what to ask for ---- */

static bool
wish_items(struct text *t, const char *building, const char *family,
    const struct wish *w, size_t n)
{
	if (n == 0)
		return false;
	text_str(t, "<h3>");
	text_html(t, building);
	text_fmt(t, "%s</h3>\n<ul class=\"wishes\">\n", family);
	for (size_t k = 0; k < n; k++) {
		text_str(t, "<li>");
		text_html(t, w[k].text);
		text_str(t, "</li>\n");
	}
	text_str(t, "</ul>\n");
	return true;
}

void
page_wishes(struct text *t, const struct reading *const *latest, size_t n)
{
	static const char *const families[] = {", IPv4", ", IPv6"};
	struct wish w[WISHES_MAX];
	bool any = false;

	heading(t, 2, "What to ask the network department for");
	for (size_t i = 0; i < n; i++) {
		const char *building = latest[i]->building;

		for (int v6 = 0; v6 < 2; v6++)
			any |= wish_items(t, building, families[v6], w,
			    wishes(latest[i], v6, w));
		any |= wish_items(
		    t, building, "", w, building_wishes(latest[i], w));
	}
	if (!any)
		text_str(t, "<p>Nothing, by what was measured.</p>\n");
}

/* ---- the sheets ---- */

static void
sheet_row(struct text *t, const struct requirement *row)
{
	static const char *const classes[JUDGEMENTS] = {
	    [JUDGED_UNKNOWN] = "unknown",
	    [JUDGED_PASS] = "pass",
	    [JUDGED_PARTLY] = "partly",
	    [JUDGED_FAIL] = "fail",
	};

	text_str(t, "<tr>");
	row_head(t, row->name);
	cell(t, "", row->asks);
	cell(t, classes[row->result], judgement_words(row->result));
	cell(t, "", row->found);
	text_str(t, "</tr>\n");
}

/* What was not tried takes no rows, else it would be most of the page. */
static void
sheet_untried(struct text *t, enum judgement result, const char *rfc,
    const struct requirement *rows, size_t n)
{
	struct text s = TEXT_EMPTY;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].result != result)
			continue;
		if (s.len == 0)
			text_fmt(&s, "%s, not tried: ", rfc);
		else
			text_str(&s, "; ");
		text_fmt(&s, "%s, %s (%s)", rows[i].name, rows[i].asks,
		    rows[i].found);
	}
	if (s.len == 0)
		return;
	text_str(t, "<p class=\"note\">");
	paste(t, &s);
	text_str(t, ".</p>\n");
}

static void
sheet(struct text *t, const char *rfc, const struct requirement *rows, size_t n)
{
	const char *const names[] = {rfc, "asks for", "", "found"};

	head_row(t, "sheet", names, 4);
	for (size_t i = 0; i < n; i++)
		if (rows[i].result != JUDGED_UNTRIED &&
		    rows[i].result != JUDGED_NEVER)
			sheet_row(t, &rows[i]);
	text_str(t, "</tbody></table>\n");
	sheet_untried(t, JUDGED_UNTRIED, rfc, rows, n);
}

/* The same for all results. */
static void
sheet_never(struct text *t)
{
	static const struct reading none;
	struct requirement udp[REQUIREMENTS], tcp[TCP_REQUIREMENTS];

	requirements(&none, false, udp);
	tcp_requirements(&none, false, tcp);
	sheet_untried(t, JUDGED_NEVER, "RFC 4787", udp, REQUIREMENTS);
	sheet_untried(t, JUDGED_NEVER, "RFC 5382", tcp, TCP_REQUIREMENTS);
}

static void
sheets_of(struct text *t, const struct reading *r, bool v6)
{
	struct requirement udp[REQUIREMENTS], tcp[TCP_REQUIREMENTS];

	requirements(r, v6, udp);
	text_str(t, "<h3>");
	text_html(t, r->building);
	text_fmt(t, ", %s</h3>\n", family_name_of(v6));
	sheet(t, "RFC 4787", udp, REQUIREMENTS);
	if (!r->has_tcp[v6])
		return;
	tcp_requirements(r, v6, tcp);
	sheet(t, "RFC 5382", tcp, TCP_REQUIREMENTS);
}

void
page_sheets(struct text *t, const struct reading *const *latest, size_t n)
{
	heading(t, 2, "RFC 4787 and 5382, requirement by requirement");
	text_str(t,
	    "<p class=\"note\">RFC 4787 is about UDP, RFC 5382 about TCP. "
	    "<em>Partly</em>: the part that was tried is met.</p>\n");
	sheet_never(t);
	for (size_t i = 0; i < n; i++)
		for (int v6 = 0; v6 < 2; v6++)
			if (latest[i]->site.asked[v6])
				sheets_of(t, latest[i], v6);
}

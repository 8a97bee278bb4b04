/* report_plot: bars, as SVG without scripts or other resources. PURE. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/views.h"

enum { WIDTH = 680, LEFT = 190, RIGHT = 90, ROW = 18, BAR = 10, TOP = 18 };
#define SPAN	 (WIDTH - LEFT - RIGHT)
#define NAME_CAP 30 /* what fits in LEFT */
/* Longer bars are cut: what matters is less than two minutes. */
#define LIFE_SHOWN_S 150

static double
at(double value, double scale)
{
	return LEFT + SPAN * (value > scale ? scale : value) / scale;
}

static void
begin(struct text *t, unsigned rows, const char *what)
{
	text_fmt(t, "<svg viewBox=\"0 0 %d %u\" role=\"img\" aria-label=\"",
	    WIDTH, TOP + rows * ROW + 4);
	text_html(t, what);
	text_str(t, "\">\n");
}

static void
label(struct text *t, unsigned row, const char *name)
{
	char shown[NAME_CAP];

	reading_name(shown, sizeof(shown), name);
	text_fmt(t, "<text x=\"%d\" y=\"%u\" class=\"end\">", LEFT - 8,
	    TOP + row * ROW + BAR);
	text_html(t, shown);
	text_str(t, strlen(shown) < strlen(name) ? "...</text>" : "</text>");
}

static void
bar(struct text *t, unsigned row, double from, double to, const char *class)
{
	text_fmt(t,
	    "<rect class=\"%s\" x=\"%.1f\" y=\"%u\" width=\"%.1f\" "
	    "height=\"%d\"/>",
	    class, from, TOP + row * ROW + 1, to - from, BAR);
}

/* ---- lifetimes ---- */

static const char *const life_names[LIFE_CLASSES] = {
    [LIFE_SINGLE] = "one packet out",
    [LIFE_EXCHANGE] = "an exchange",
    [LIFE_STREAM] = "a stream",
};

static bool
is_measured(const struct verdict_life *l)
{
	return l->low > 0 || l->high > 0;
}

double
plot_lives_scale(const struct reading *r, size_t n)
{
	double most = 60;

	for (size_t i = 0; i < n; i++)
		for (int f = 0; f < 2; f++)
			for (int c = 0; c < LIFE_CLASSES; c++) {
				const struct verdict_life *l =
				    &r[i].site.v[f].life[c];

				most = l->low > most ? l->low : most;
				most = l->high > most ? l->high : most;
			}
	return most > LIFE_SHOWN_S ? LIFE_SHOWN_S : most;
}

static void
keepalive_line(struct text *t, double s, double scale, unsigned rows)
{
	text_fmt(t,
	    "<line class=\"keep\" data-s=\"%.0f\" x1=\"%.1f\" "
	    "y1=\"%d\" x2=\"%.1f\" y2=\"%u\"/>",
	    s, at(s, scale), TOP - 4, at(s, scale), TOP + rows * ROW);
}

static void
life_row(struct text *t, unsigned row, const char *name,
    const struct verdict_life *l, double scale)
{
	double x = at(l->high > 0 ? l->high : l->low, scale);

	label(t, row, name);
	bar(t, row, LEFT, at(l->low, scale), "alive");
	if (l->high > 0)
		bar(t, row, at(l->low, scale), at(l->high, scale), "maybe");
	text_fmt(t, "<text x=\"%.1f\" y=\"%u\">", x + 6, TOP + row * ROW + BAR);
	if (l->high > 0)
		text_fmt(t, "%.0f to %.0f s", l->low, l->high);
	else
		text_fmt(t, "%.0f s or more", l->low);
	text_str(t, "</text>\n");
}

static unsigned
count_lives(const struct reading *r)
{
	unsigned n = 0;

	for (int f = 0; f < 2; f++)
		for (int c = 0; c < LIFE_CLASSES; c++)
			n += is_measured(&r->site.v[f].life[c]);
	return n;
}

bool
plot_lives(struct text *t, const struct reading *r, double scale)
{
	unsigned rows = count_lives(r), row = 0;
	char name[60];

	if (rows == 0)
		return false;
	begin(t, rows, "How long mappings live, in seconds");
	text_fmt(t,
	    "<text x=\"%.1f\" y=\"%d\">keepalives: 20, 25, 26 s</text>"
	    "<text x=\"%d\" y=\"%d\" class=\"end\">%.0f s</text>\n",
	    at(KEEP_SHORTEST_S, scale), TOP - 7, WIDTH - RIGHT, TOP - 7, scale);
	for (int f = 0; f < 2; f++)
		for (int c = 0; c < LIFE_CLASSES; c++) {
			const struct verdict_life *l = &r->site.v[f].life[c];

			if (!is_measured(l))
				continue;
			snprintf(name, sizeof(name), "%s, %s",
			    f ? "IPv6" : "IPv4", life_names[c]);
			life_row(t, row++, name, l, scale);
		}
	keepalive_line(t, KEEP_SHORTEST_S, scale, rows);
	keepalive_line(t, KEEP_WIREGUARD_S, scale, rows);
	keepalive_line(t, KEEP_LONGEST_S, scale, rows);
	text_str(t, "</svg>\n");
	return true;
}

/* ---- round trips ---- */

double
plot_trips_scale(const struct reading *r, size_t n)
{
	double most = 1;

	for (size_t i = 0; i < n; i++)
		for (size_t s = 0; s < r[i].n_servers; s++)
			if (r[i].servers[s].rtt_ms > most)
				most = r[i].servers[s].rtt_ms;
	return most;
}

static void
trip_row(
    struct text *t, unsigned row, const struct reading_server *s, double scale)
{
	char name[READING_NAME_MAX + 10];

	snprintf(name, sizeof(name), "%s %s", s->v6 ? "IPv6" : "IPv4", s->name);
	label(t, row, name);
	if (s->answers)
		bar(t, row, LEFT, at(s->rtt_ms, scale), "trip");
	text_fmt(t, "<text x=\"%.1f\" y=\"%u\">",
	    s->answers ? at(s->rtt_ms, scale) + 6 : LEFT + 2.0,
	    TOP + row * ROW + BAR);
	if (s->answers)
		text_fmt(t, "%.1f ms", s->rtt_ms);
	else
		text_str(t, "does not answer");
	text_str(t, "</text>\n");
}

bool
plot_trips(struct text *t, const struct reading *r, double scale)
{
	if (r->n_servers == 0)
		return false;
	begin(t, (unsigned)r->n_servers, "Round trips to STUN servers");
	for (size_t i = 0; i < r->n_servers; i++)
		trip_row(t, (unsigned)i, &r->servers[i], scale);
	text_str(t, "</svg>\n");
	return true;
}

/* ---- relays ---- */

double
plot_relays_scale(const struct reading *const *r, size_t n)
{
	double most = 1;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r[i]->n_relays; k++)
			if (r[i]->relays[k].p95_ms > most)
				most = r[i]->relays[k].p95_ms;
	return most;
}

/* To the median, and on to what 95 of 100 do not exceed. */
bool
plot_relays(struct text *t, const struct reading *r, double scale)
{
	if (r->n_relays == 0)
		return false;
	begin(t, (unsigned)r->n_relays, "Round trips through relays");
	for (unsigned i = 0; i < r->n_relays; i++) {
		const struct reading_relay *k = &r->relays[i];

		label(t, i, k->name);
		if (k->sent <= k->lost)
			continue;
		bar(t, i, LEFT, at(k->p50_ms, scale), "trip");
		bar(t, i, at(k->p50_ms, scale), at(k->p95_ms, scale), "late");
		text_fmt(t, "<text x=\"%.1f\" y=\"%u\">%.1f, %.1f ms</text>\n",
		    at(k->p95_ms, scale) + 6, TOP + i * ROW + BAR, k->p50_ms,
		    k->p95_ms);
	}
	text_str(t, "</svg>\n");
	return true;
}

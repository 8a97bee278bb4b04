/* report_piece: what the page's sections are made of. PURE. */
#include "probes/natprobe/views/page.h"

void
cell(struct text *t, const char *class, const char *s)
{
	text_fmt(t, *class == '\0' ? "<td%s>" : "<td class=\"%s\">", class);
	text_html(t, s);
	text_str(t, "</td>");
}

void
head_row(struct text *t, const char *class, const char *const names[], size_t n)
{
	text_fmt(t, "<table class=\"%s\"><thead><tr>", class);
	for (size_t i = 0; i < n; i++)
		text_fmt(t, "<th scope=\"col\">%s</th>", names[i]);
	text_str(t, "</tr></thead><tbody>\n");
}

void
row_head(struct text *t, const char *s)
{
	text_str(t, "<th scope=\"row\">");
	text_html(t, s);
	text_str(t, "</th>");
}

void
heading(struct text *t, unsigned level, const char *s)
{
	text_fmt(t, "<h%u>", level);
	text_html(t, s);
	text_fmt(t, "</h%u>\n", level);
}

void
paste(struct text *t, struct text *plain)
{
	t->bad |= plain->bad;
	if (plain->p != NULL)
		text_html(t, plain->p);
	text_clear(plain);
}

const char *
family_name_of(bool v6)
{
	return v6 ? "IPv6" : "IPv4";
}

const char *
goodness(bool good, bool bad)
{
	return good ? "pass" : bad ? "fail" : "unknown";
}

static const char *
short_mapping(enum behaviour b)
{
	static const char *const names[BEHAVIOURS] = {"unknown", "no NAT",
	    "EIM", "ADM", "APDM", "by port", "ADM or APDM", "mixed"};

	return names[b];
}

void
mapping_cell(struct text *t, enum behaviour m)
{
	cell(t,
	    goodness(m == BEHAVIOUR_EI || m == BEHAVIOUR_NONE,
		m != BEHAVIOUR_UNKNOWN),
	    short_mapping(m));
}

/*
 * sheet: RFC 4787, requirement by requirement, of one result, and RFC 5382
 * where TCP was looked at. PURE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/views/views.h"
#include "probes/natprobe/words.h"

static void
add_rows(struct text *t, const char *title, bool v6,
    const struct requirement *rows, size_t n)
{
	text_fmt(t, "%s over %s\n", title, v6 ? "IPv6" : "IPv4");
	for (size_t i = 0; i < n; i++) {
		struct text row = TEXT_EMPTY;

		text_fmt(&row, "  %-7s %-10s %s%s%s", rows[i].name,
		    judgement_words(rows[i].result), rows[i].asks,
		    *rows[i].found == '\0' ? "" : ": ", rows[i].found);
		t->bad |= row.bad;
		if (!row.bad)
			words_broken(t, WORDS_INDENT, row.p);
		text_clear(&row);
	}
}

static void
add_family(struct text *t, const struct reading *r, bool v6)
{
	struct requirement udp[REQUIREMENTS], tcp[TCP_REQUIREMENTS];

	requirements(r, v6, udp);
	add_rows(t, "RFC 4787", v6, udp, REQUIREMENTS);
	if (!r->has_tcp[v6])
		return;
	tcp_requirements(r, v6, tcp);
	add_rows(t, "RFC 5382", v6, tcp, TCP_REQUIREMENTS);
}

bool
sheet_words(struct text *t, const json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT);
	char error[READING_ERROR_MAX];
	struct reading r;
	bool good;

	good = text != NULL && reading_parse(&r, text, strlen(text), error);
	free(text);
	for (int v6 = 0; v6 < 2 && good; v6++)
		if (r.site.asked[v6])
			add_family(t, &r, v6);
	return good && !t->bad;
}

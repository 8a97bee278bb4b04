/*
 * sheet: RFC 4787, requirement by requirement, of one result. PURE. The nine
 * that the questions to STUN servers tell are advice.c's; of the others it
 * says what is known, or why nothing is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/views/views.h"

static const struct requirement others[] = {
    {"REQ-7", "inside and outside addresses may overlap", JUDGED_UNKNOWN,
	"cannot be seen from inside"},
    {"REQ-10", "no gateway rewrites what packets say (ALG)", JUDGED_UNKNOWN,
	"no server tells two addresses"},
    {"REQ-12", "ICMP errors reach the host", JUDGED_UNKNOWN, "was not tried"},
    {"REQ-13", "\"too big\" is told (ICMP)", JUDGED_UNKNOWN, "was not tried"},
    {"REQ-14", "fragments pass", JUDGED_UNKNOWN, "was not tried"},
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* A server that tells two addresses in one answer was rewritten on the way. */
static bool
was_rewritten(const json_t *family)
{
	const json_t *server, *f;
	size_t i, j;

	json_array_foreach(json_object_get(family, "servers"), i,
	    server) json_array_foreach(json_object_get(server, "findings"), j,
	    f) if (strcmp(json_string_value(f) == NULL ? ""
						       : json_string_value(f),
		       finding_name(FINDING_REWRITTEN)) == 0) return true;
	return false;
}

static void
add_row(struct text *t, const struct requirement *r)
{
	static const char *const words[] = {[JUDGED_UNKNOWN] = "unknown",
	    [JUDGED_PASS] = "met",
	    [JUDGED_FAIL] = "NOT MET"};

	text_fmt(t, "  %-7s %-8s %s%s%s\n", r->name, words[r->result], r->asks,
	    *r->found == '\0' ? "" : ": ", r->found);
}

static unsigned
number_of(const struct requirement *r)
{
	return (unsigned)strtoul(r->name + strlen("REQ-"), NULL, 10);
}

/* In the RFC's order. */
static void
add_family(
    struct text *t, const char *name, const json_t *family, struct verdicts *v)
{
	struct requirement rows[REQUIREMENTS], other[OTHERS];
	size_t i = 0, j = 0;

	requirements(v, rows);
	memcpy(other, others, sizeof(others));
	if (was_rewritten(family)) {
		other[1].result = JUDGED_FAIL;
		snprintf(other[1].found, sizeof(other[1].found),
		    "answers of STUN are rewritten");
	}
	text_fmt(t, "RFC 4787 over %s\n", name);
	while (i < REQUIREMENTS || j < OTHERS)
		if (j == OTHERS ||
		    (i < REQUIREMENTS &&
			number_of(&rows[i]) < number_of(&other[j])))
			add_row(t, &rows[i++]);
		else
			add_row(t, &other[j++]);
}

bool
sheet_words(struct text *t, const json_t *result)
{
	static const char *const keys[] = {"ipv4", "ipv6"};
	static const char *const names[] = {"IPv4", "IPv6"};
	char *text = json_dumps(result, JSON_COMPACT);
	char error[READING_ERROR_MAX];
	struct reading r;
	bool good;

	good = text != NULL && reading_parse(&r, text, strlen(text), error);
	free(text);
	for (int v6 = 0; v6 < 2 && good; v6++)
		if (r.site.asked[v6])
			add_family(t, names[v6],
			    json_object_get(result, keys[v6]), &r.site.v[v6]);
	return good && !t->bad;
}

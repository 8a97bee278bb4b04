/* words: of a capture and a replay, for people. Reads nothing but the JSON. */
#include <stdio.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/words.h"

static long long
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void
print_dropped(const json_t *o, FILE *out)
{
	if (num(o, "dropped") > 0)
		fprintf(out,
		    "  %-18s %lld packets came when the kernel had no room "
		    "for them; a replay may know less than the run\n",
		    "not captured", num(o, "dropped"));
}

static void
print_capture(const json_t *c, FILE *out)
{
	fprintf(out, "capture\n  %-18s %s, %lld packets\n", "file",
	    str(c, "file"), num(c, "packets"));
	if (*str(c, "why") != '\0')
		fprintf(out, "  %-18s it broke off: %s\n", "not whole",
		    str(c, "why"));
	print_dropped(c, out);
}

static void
print_replay(const json_t *r, FILE *out)
{
	fprintf(out, "replayed\n  %-18s %s, %lld packets, %s to %s\n", "file",
	    str(r, "file"), num(r, "packets"), str(r, "first"), str(r, "last"));
	if (*str(r, "why") != '\0')
		fprintf(out,
		    "  %-18s what was open at its end is not known: %s\n",
		    "not whole", str(r, "why"));
	print_dropped(r, out);
}

void
words_print_evidence(const json_t *result, FILE *out)
{
	const json_t *o;

	if ((o = json_object_get(result, "capture")) != NULL)
		print_capture(o, out);
	if ((o = json_object_get(result, "replay")) != NULL)
		print_replay(o, out);
}

/* words: a meeting for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/words.h"

static const struct meaning whys[] = {
    {"no-such-key",
	"nobody with that key is at this relay: is natprobe -listen still "
	"running there, at the same relay?"},
    {"no-answer", "the other place does not answer"},
    {"busy", "the other place is meeting somebody else"},
    {"other-version",
	"the other place's natprobe speaks another version of "
	"this; take the same release at both places"},
    {"no-relay", "the relay cannot be reached"},
    {"nobody-came", "nobody came within -wait"},
    {"other-side-gone", "the other place has left"},
    {"interrupted", "interrupted"},
};

static const struct meaning results[] = {
    {"works", "works"},
    {"own-address", "this host has that address itself"},
    {"no-such-family", "not tried: no such addresses here"},
    {"not-tried", "not tried: it was over before"},
    {"no-way", "cannot be sent to"},
    {"refused", "refused"},
    {"not-arrived", "no packet arrived there"},
    {"answer-lost", "packets arrived, their answers did not come back"},
    {"no-answer", "no answer came"},
};

static const struct meaning kinds[] = {
    {"local", "of an interface"},
    {"stun", "as a STUN server sees it"},
    {"guess", "guessed, the port being kept"},
    {"learned", "where packets came from"},
};

static const struct meaning paths[] = {
    {"local", "local network"},
    {"public-ipv4", "public IPv4"},
    {"ipv6", "IPv6"},
};

static void
print_latency(FILE *out, const char *name, const json_t *l)
{
	if (!json_is_object(l))
		return;
	if (json_is_number(get(l, "p50_ms")))
		fprintf(out,
		    "  %-18s %.1f ms (%.1f to %.1f); %d of %d packets lost\n",
		    name, number(l, "p50_ms"), number(l, "min_ms"),
		    number(l, "max_ms"), (int)number(l, "lost"),
		    (int)number(l, "sent"));
	else
		fprintf(out, "  %-18s none of %d packets came back\n", name,
		    (int)number(l, "sent"));
}

static void
print_candidate(FILE *out, const json_t *c)
{
	const char *error = str(c, "error");

	fprintf(out, "  %-18s %s (%s): %s", "address", str(c, "address"),
	    MEANING(kinds, str(c, "kind")), MEANING(results, str(c, "result")));
	if (json_is_number(get(c, "rtt_ms")))
		fprintf(out, ", %.1f ms", number(c, "rtt_ms"));
	if (*error != '\0')
		fprintf(out, ": %s", error);
	fputc('\n', out);
}

static void
print_outcome(FILE *out, const json_t *p)
{
	const json_t *path = get(p, "path");
	const char *outcome = str(p, "outcome"), *why = str(p, "why");

	if (strcmp(outcome, "direct") == 0)
		words_line(out, "the way",
		    "direct, %s: %s, seen there as %s, found %.0f ms after the "
		    "call",
		    MEANING(paths, str(path, "kind")), str(path, "address"),
		    str(path, "seen_as"), number(path, "found_ms"));
	else if (strcmp(outcome, "relay") == 0)
		fprintf(out, "  %-18s the relay; none directly\n", "the way");
	else
		fprintf(out, "  %-18s none\n", "the way");
	if (*why != '\0')
		fprintf(out, "  %-18s %s", "why", MEANING(whys, why));
	if (strcmp(why, "no-relay") == 0 &&
	    *str(get(p, "relay"), "why") != '\0')
		fprintf(out, ": %s", str(get(p, "relay"), "why"));
	if (*why != '\0')
		fputc('\n', out);
}

void
words_print_pair(const json_t *result, FILE *out)
{
	const json_t *p = get(result, "pair"), *c;
	const json_t *other = get(p, "other_side");
	size_t i;

	if (p == NULL)
		return;
	fprintf(out, "the other place%s%s\n",
	    *str(get(p, "relay"), "host") == '\0' ? "" : ", by the relay ",
	    str(get(p, "relay"), "host"));
	print_outcome(out, p);
	print_latency(
	    out, "round trip, direct", get(get(p, "latency"), "direct"));
	print_latency(
	    out, "round trip, relay", get(get(p, "latency"), "relay"));
	json_array_foreach(get(p, "candidates"), i, c) print_candidate(out, c);
	words_print_knock(get(p, "tcp"), out);
	if (json_is_object(other) &&
	    json_is_true(get(other, "direct")) !=
		(strcmp(str(p, "outcome"), "direct") == 0))
		fprintf(out,
		    "  %-18s has %s direct way: one direction is "
		    "blocked\n",
		    "the other side",
		    json_is_true(get(other, "direct")) ? "a" : "no");
	if (json_is_true(get(p, "relay_lost")))
		fprintf(out, "  %-18s the connection to the relay broke off\n",
		    "relay");
	if (json_is_true(get(p, "other_side_gone")))
		fprintf(out, "  %-18s left the relay before the end\n",
		    "the other side");
}

/* knock_words: a meeting's TCP for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/words.h"

static const struct meaning whys[] = {
    {"other-side-cannot",
	"the other place's natprobe is an older release, or runs with "
	"-tcp=false"},
    {"no-stun-over-tcp", "no STUN server answered over TCP"},
    {"other-side-no-stun-over-tcp",
	"no STUN server answered the other place over TCP"},
    {"odd-endpoint",
	"an address or a port outside that the other side does not try"},
    {"not-over", "the meeting ended before that"},
    {"same-nat",
	"both places have one address outside, so neither is a stranger to "
	"the other's NAT"},
    {"same-address-as-server",
	"the other place has the address of a STUN server that was asked"},
    {"somebody-else-answers", "somebody answered who is not the other side"},
    {"other-side-blocked",
	"no SYN is known to leave the other place's network to any port"},
    {"mapping-lost", "the mapping did not live that long"},
    {"mapping-depends",
	"a NAT uses another port for each destination, which the other side "
	"cannot know"},
};

static const struct meaning filters[] = {
    {"endpoint-independent",
	"endpoint-independent: lets in whoever knows the port"},
    {"address-dependent",
	"address-dependent: lets in whom this host has sent to, from any "
	"port"},
    {"address-and-port-dependent",
	"address-and-port-dependent: lets in what was asked for, and nobody "
	"else"},
    {"dependent", "address-dependent, or address-and-port-dependent"},
};

static const struct meaning ends[] = {
    {"accepted", "is let in"},
    {"reset", "is answered by a reset"},
    {"icmp", "is answered by an ICMP error"},
    {"silent", "is not answered"},
    {"somebody-else-answers", "is answered by somebody else"},
    {"no-way", "cannot be sent"},
};

static double
ms(const json_t *o, const char *key)
{
	return json_number_value(get(o, key));
}

static void
print_unknown(FILE *out, const char *name, const json_t *o)
{
	fprintf(
	    out, "  %-18s unknown: %s\n", name, MEANING(whys, str(o, "why")));
}

static void
print_filter(FILE *out, const json_t *o)
{
	if (is(o, "verdict", "unknown"))
		print_unknown(out, "TCP filtering", o);
	else
		fprintf(out, "  %-18s %s\n", "TCP filtering",
		    MEANING(filters, str(o, "verdict")));
}

/* One that is let in is an open filter, which was said. */
static void
print_unsolicited(FILE *out, const json_t *o)
{
	const json_t *early = get(o, "error_within_6s");

	if (is(o, "verdict", "unknown") || is(o, "verdict", "accepted"))
		return;
	fprintf(out, "  %-18s %s, %s %.1f s%s\n", "TCP, uninvited",
	    MEANING(ends, str(o, "verdict")),
	    is(o, "verdict", "silent") ? "for" : "after",
	    ms(o, "after_ms") / 1000,
	    json_is_true(early) ? ": too soon, RFC 5382 wants 6 s of silence, "
				  "so that both sides can open"
		: json_is_null(early) ? "; the meeting was over before 6 s were"
				      : ", as it should be");
}

static void
print_open(FILE *out, const json_t *o)
{
	const char *why = str(o, "why"), *met = str(o, "met");

	fprintf(out, "  %-18s ", "TCP, both open");
	if (is(o, "verdict", "works")) {
		fprintf(out, "works: %s",
		    json_is_true(get(o, "crossed"))
			? "both connect to each other"
			: "one connects, the other lets it in");
		if (json_is_number(get(o, "after_ms")))
			fprintf(out, ", after %.0f ms", ms(o, "after_ms"));
		if (json_is_number(get(o, "rtt_ms")))
			fprintf(out, ", round trip %.1f ms", ms(o, "rtt_ms"));
		fputc('\n', out);
	} else
		fprintf(out, "%s: %s%s%s\n", str(o, "verdict"),
		    *why != '\0' ? MEANING(whys, why) : "what this side sends ",
		    *why != '\0' ? "" : MEANING(ends, met),
		    *why != '\0' || *met != '\0' ? "" : "nowhere");
}

static void
print_family(FILE *out, const char *name, const json_t *f)
{
	const char *own = str(get(f, "own"), "endpoint");
	const char *other = str(f, "other_endpoint");

	if (!json_is_object(f) || (*own == '\0' && *other == '\0'))
		return;
	fprintf(out, "  %-18s %s here, %s there, over %s\n", "TCP, outside",
	    *own == '\0' ? "unknown" : own, *other == '\0' ? "unknown" : other,
	    name);
	print_filter(out, get(f, "filtering"));
	print_unsolicited(out, get(f, "unsolicited"));
	print_open(out, get(f, "simultaneous_open"));
}

void
words_print_knock(const json_t *tcp, FILE *out)
{
	if (*str(tcp, "why") != '\0')
		print_unknown(out, "TCP", tcp);
	print_family(out, "IPv4", get(tcp, "ipv4"));
	print_family(out, "IPv6", get(tcp, "ipv6"));
}

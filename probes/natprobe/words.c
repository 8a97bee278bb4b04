/* words: the result for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/gateway/gateway.h"
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/path/path.h"
#include "probes/natprobe/relay/relay.h"
#include "probes/natprobe/tcp/tcp.h"
#include "probes/natprobe/words.h"

static long
num(const json_t *o, const char *key)
{
	return (long)json_integer_value(json_object_get(o, key));
}

/* A verdict that is not known, and what would help. */
const char *
reason_meaning(const char *why)
{
	static const struct {
		const char *why, *text;
	} all[] = {
	    {"no-server-answers", "no STUN server answers over UDP"},
	    {"one-server-address",
		"all servers have one address; a server with a second one, "
		"or another server, can tell"},
	    {"no-alternate-address",
		"no server has a second address (RFC 5780)"},
	    {"alternate-address-silent",
		"the server's second address does not answer"},
	    {"no-positive-control",
		"an answer that no filter stops did not come either"},
	    {"server-stopped-answering",
		"the server answered at first, then no more: perhaps it was "
		"asked too often; wait ten seconds and try again"},
	    {"no-socket",
		"this host could not open the sockets for it; see ulimit -n"},
	    {"server-refuses", "the server refuses such requests"},
	    {"too-few-answers", "too many packets were lost"},
	    {"sockets-disagree", "sockets disagree, see the counts"},
	    {"filter-would-hide-it",
		"silence says nothing, since the filter stops it anyway"},
	    {"not-asked", "not tried"},
	    {"longer-than-tried", "longer than was tried"},
	    {"no-nat", "there is no NAT"},
	    {"one-port-asked", "as far as servers with one port each can tell"},
	    {"run-ended-before", "the run was ended before"},
	    {"server-contradicts-itself",
		"the server contradicts itself; ask another one"},
	    {"servers-disagree",
		"the servers contradict each other: this network has several "
		"ways out, or one of them is wrong"},
	    {"tcp-silent", "nothing answers a TCP connection to there"},
	    {"tcp-unreachable",
		"the network says that there is no way over TCP"},
	    {"tcp-refused",
		"TCP is refused: the server does not speak it, or a "
		"firewall resets it"},
	    {"tcp-reset", "connections are reset"},
	    {"tcp-closed", "connections are closed without an answer"},
	    {"tcp-no-answer", "connections open, but no answer comes"},
	    {"tcp-not-stun", "what answers over TCP is no STUN server"},
	    {"server-closed", "the server ends idle connections"},
	    {"server-keeps-alive",
		"the server's own keepalives come before the end"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].why, why) == 0)
			return all[i].text;
	return why;
}

static void
print_line(FILE *out, const char *name, const char *verdict, const char *note)
{
	fprintf(out, "  %-18s %s%s%s\n", name, verdict,
	    *note == '\0' ? "" : ": ", note);
}

static void
print_verdict(FILE *out, const char *name, const json_t *v)
{
	const char *why = str(v, "why");

	print_line(out, name, str(v, "verdict"),
	    *why == '\0' ? "" : reason_meaning(why));
}

static void
print_mapping(FILE *out, const json_t *f)
{
	const json_t *m = json_object_get(f, "mapping");
	const char *kind = str(m, "verdict");
	char note[160] = "";

	if (strcmp(kind, "none") == 0)
		print_line(
		    out, "NAT", "none", "this host's own address is seen");
	else if (*str(m, "why") != '\0')
		print_verdict(out, "mapping", m);
	else {
		snprintf(note, sizeof(note),
		    "%s%s%s; %ld of %ld sockets say so", str(m, "short"),
		    *str(f, "cone") == '\0' ? "" : ", ", str(f, "cone"),
		    num(m, "agree"), num(m, "sockets"));
		print_line(out, "mapping", kind, note);
	}
}

static void
print_ports(FILE *out, const json_t *f)
{
	const json_t *v = json_object_get(f, "ports");
	char note[200];

	if (*str(v, "why") != '\0') {
		print_verdict(out, "ports", v);
		return;
	}
	snprintf(note, sizeof(note),
	    "%ld of %ld kept, %ld to %ld, %ld external address%s",
	    num(v, "preserved"), num(v, "sockets"), num(v, "lowest"),
	    num(v, "highest"), num(v, "addresses"),
	    num(v, "addresses") == 1 ? "" : "es");
	print_line(out, "ports", str(v, "verdict"), note);
}

static void
print_life(FILE *out, const char *name, const json_t *v)
{
	double alive = json_number_value(json_object_get(v, "alive"));
	double dead = json_number_value(json_object_get(v, "dead"));
	char text[80];

	if (*str(v, "why") != '\0' && alive == 0) {
		print_line(out, name, "unknown", reason_meaning(str(v, "why")));
		return;
	}
	if (dead > 0)
		snprintf(text, sizeof(text), "%.1f s (%.1f to %.1f)",
		    (alive + dead) / 2, alive, dead);
	else
		snprintf(text, sizeof(text), "more than %.0f s", alive);
	print_line(out, name, text, "");
}

/* The shorter life of those that talk; what is kept alive more often than
 * that by a fifth stays. */
static void
print_keepalive(FILE *out, const json_t *lifetime)
{
	double exchange = json_number_value(
	    json_object_get(json_object_get(lifetime, "exchange"), "alive"));
	double stream = json_number_value(
	    json_object_get(json_object_get(lifetime, "stream"), "alive"));
	double least = exchange < stream ? exchange : stream;
	bool beyond = strcmp(str(json_object_get(lifetime, "exchange"), "why"),
			  "longer-than-tried") == 0;

	/* A run that was ended early says nothing of how short they are. */
	if (least <= 0 || (beyond && least < 26))
		return;
	fprintf(out, "  %-18s every %.0f s at least%s\n", "keep alive",
	    least * 0.8,
	    least < 26 ? "; Tailscale clients ask STUN every 20 to 26 s, "
			 "which is too seldom here"
		       : "");
}

static void
print_lifetimes(FILE *out, const json_t *f)
{
	const json_t *l = json_object_get(f, "lifetime");
	const json_t *r = json_object_get(l, "refresh");

	if (strcmp(str(json_object_get(l, "exchange"), "why"), "not-asked") ==
	    0)
		return;
	print_life(
	    out, "lives, one packet", json_object_get(l, "one_packet_out"));
	print_life(out, "lives, exchange", json_object_get(l, "exchange"));
	print_life(out, "lives, stream", json_object_get(l, "stream"));
	print_keepalive(out, l);
	if (*str(r, "why") == '\0')
		fprintf(out, "  %-18s outbound packets %s, inbound %s\n",
		    "refreshed by", str(r, "outbound"), str(r, "inbound"));
}

static bool
says(const json_t *f, const char *key, const char *verdict)
{
	return strcmp(str(json_object_get(f, key), "verdict"), verdict) == 0;
}

/* What can be done about it, or that nothing must be. */
static void
print_effects(FILE *out, const json_t *f)
{
	if (says(f, "early_packet_changes_mapping", "yes"))
		print_line(out, "early packets",
		    "change the mapping: who sends first to here ruins the "
		    "direct way",
		    "let the gateway drop what nobody asked for");
	if (says(f, "until_collision", "yes"))
		print_line(out, "same port twice",
		    "the second host's mapping depends on the destination", "");
	if (says(f, "until_collision", "no") &&
	    says(f, "mapping", "endpoint-independent"))
		print_line(out, "same port twice", "does no harm", "");
	if (strcmp(str(json_object_get(f, "hairpin"), "why"), "not-asked") != 0)
		print_verdict(out, "hairpin", json_object_get(f, "hairpin"));
}

/* The rules of hole punching: each side must send to where the other's
 * packets come from, and let in what comes from there. */
static void
print_outlook(FILE *out, const json_t *f)
{
	bool any = says(f, "mapping", "endpoint-independent") ||
	    says(f, "mapping", "none");
	bool strict = says(f, "filtering", "address-and-port-dependent") ||
	    says(f, "filtering", "port-dependent");
	const char *text;

	if (says(f, "mapping", "unknown") || says(f, "filtering", "unknown"))
		return;
	if (!strict)
		text = "to every host whose own network lets UDP out";
	else if (any)
		text = "to all hosts but those whose NAT has a "
		       "destination-dependent mapping and filters by port";
	else
		text = "only to hosts whose NAT filters by address, or not "
		       "at all";
	print_line(out, "direct way", text, "");
}

/* What is wrong with a server, and what that means for who asked it. */
static const char *
meaning_of_finding(const char *name)
{
	static const struct {
		const char *name, *text;
	} all[] = {
	    {"refuses", "refuses requests"},
	    {"unreachable", "nobody listens on that port (ICMP)"},
	    {"sends-garbage", "sends what is no STUN"},
	    {"echoes-questions", "sends the questions back: no STUN server"},
	    {"answers-twice", "answers each question more than once"},
	    {"answers-late", "answers after the question was given up"},
	    {"answers-unasked", "answers what was not asked"},
	    {"answers-from-another-address",
		"answers from another address than the one asked"},
	    {"tells-wrong-family", "tells an address of the other family"},
	    {"tells-impossible-address",
		"tells an address that cannot be this host's"},
	    {"lies-about-mapping",
		"lies: one question has several answers; its addresses do not "
		"count"},
	    {"tells-one-address-for-all",
		"lies: all sockets have one address; its addresses do not "
		"count"},
	    {"contradicts-others", "contradicts all others; ask another one"},
	    {"is-inside-the-nat",
		"is on this side of the NAT, and says nothing of it"},
	    {"tells-two-addresses",
		"tells two addresses at once: a gateway that rewrites STUN "
		"(ALG)?"},
	    {"ignores-change-request",
		"answers from where it was told not to (CHANGE-REQUEST)"},
	    {"stops-answering",
		"answered at first, then no more: perhaps it was asked too "
		"often; wait ten seconds and try again"},
	    {"other-address-impossible",
		"has a second address that cannot be right; look at its "
		"configuration"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].text;
	return "";
}

static void
print_findings(FILE *out, const json_t *server)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(server, "findings"), i, f)
	{
		const char *name = json_string_value(f);
		const char *text = meaning_of_finding(name == NULL ? "" : name);

		if (*text != '\0')
			fprintf(out, "  %-18s   %s\n", "", text);
	}
}

static void
print_servers(FILE *out, const json_t *f)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(f, "servers"), i, s)
	{
		fprintf(out, "  %-18s %s ", i == 0 ? "servers" : "",
		    str(s, "address"));
		if (json_is_true(json_object_get(s, "answers")))
			fprintf(out, "%.1f ms, sees %s%s%s\n",
			    json_number_value(json_object_get(s, "rtt_ms")),
			    str(s, "mapped"),
			    *str(s, "other_address") == '\0'
				? ""
				: ", second address ",
			    str(s, "other_address"));
		else if (strcmp(str(json_object_get(f, "mapping"), "why"),
			     "no-socket") == 0)
			fprintf(out, "was not asked\n");
		else
			fprintf(out, "does not answer\n");
		print_findings(out, s);
	}
}

static void
print_family(FILE *out, const char *name, const json_t *f)
{
	fprintf(out, "%s\n", name);
	print_servers(out, f);
	if (strcmp(str(f, "udp"), "no") == 0) {
		/* The path knows more. */
		if (json_object_get(f, "udp_blocked") == NULL)
			print_line(out, "UDP", "blocked",
			    "no server answers; only a relay over TCP can "
			    "help");
		words_print_gateway(f, out);
		tcp_words(f, out);
		return;
	}
	print_mapping(out, f);
	print_verdict(out, "filtering", json_object_get(f, "filtering"));
	print_ports(out, f);
	print_effects(out, f);
	print_lifetimes(out, f);
	words_print_gateway(f, out);
	tcp_words(f, out);
	print_outlook(out, f);
}

static void
print_names(FILE *out, const json_t *result)
{
	const json_t *name;
	size_t i;

	json_array_foreach(json_object_get(result, "names"), i,
	    name) if (*str(name, "why") != '\0')
	    fprintf(out, "%s: %s\n", str(name, "name"), str(name, "why"));
}

static void
print_end(FILE *out, const json_t *result)
{
	const char *stopped = str(result, "stopped");

	if (*stopped != '\0')
		fprintf(out, "This is not all: the run was ended before (%s)\n",
		    stopped);
}

void
words_print(const json_t *result, FILE *out)
{
	const json_t *f;

	if (*str(result, "building") != '\0')
		fprintf(out, "%s, %s\n", str(result, "building"),
		    str(result, "time"));
	print_names(out, result);
	if ((f = json_object_get(result, "ipv4")) != NULL) {
		print_family(out, "IPv4", f);
		words_print_family_path(result, "ipv4", out);
	}
	if ((f = json_object_get(result, "ipv6")) != NULL) {
		print_family(out, "IPv6", f);
		words_print_family_path(result, "ipv6", out);
	}
	words_print_relays(result, out);
	words_print_path(result, out);
	words_print_pair(result, out);
	words_print_evidence(result, out);
	print_end(out, result);
}

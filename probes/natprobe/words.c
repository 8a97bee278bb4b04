/* words: the result for people. Reads nothing but the JSON. */
#include <stdarg.h>
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

/* ---- lines ---- */

const char *
meaning_of(const struct meaning *all, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].word, word) == 0)
			return all[i].text;
	return word;
}

/* Where to break a line of so many columns; n if there is no place. UTF-8
 * takes fewer columns than bytes, so such a line is a little shorter. */
static size_t
break_of(const char *s, size_t n, size_t room)
{
	size_t at = n;

	for (size_t i = 1; i < n && (i <= room || at == n); i++)
		if (s[i] == ' ' && s[i - 1] != ' ')
			at = i;
	return at;
}

void
words_broken(struct text *out, unsigned indent, const char *text)
{
	size_t n = strlen(text), skip = 0, at;

	while (n + skip > WORDS_COLUMNS) {
		/* Not within what stands before the indent. */
		size_t from = skip == 0 && n > indent ? indent : 0;

		at = from +
		    break_of(
			text + from, n - from, WORDS_COLUMNS - skip - from);
		if (at >= n)
			break;
		text_fmt(out, "%*s", (int)skip, "");
		text_add(out, text, at);
		text_char(out, '\n');
		text += at + 1;
		n -= at + 1;
		skip = indent;
	}
	text_fmt(out, "%*s%s\n", (int)skip, "", text);
}

static void
put_broken(FILE *out, unsigned indent, struct text *line)
{
	struct text broken = TEXT_EMPTY;

	if (!line->bad)
		words_broken(&broken, indent, line->p == NULL ? "" : line->p);
	fputs(broken.bad || broken.p == NULL ? "" : broken.p, out);
	text_clear(&broken);
	text_clear(line);
}

__attribute__((format(printf, 2, 0))) static void
add_va(struct text *t, const char *fmt, va_list ap)
{
	char s[1024];

	vsnprintf(s, sizeof(s), fmt, ap);
	text_str(t, s);
}

void
words_line(FILE *out, const char *name, const char *fmt, ...)
{
	struct text line = TEXT_EMPTY;
	va_list ap;

	text_fmt(&line, "  %-18s ", name);
	va_start(ap, fmt);
	add_va(&line, fmt, ap);
	va_end(ap);
	put_broken(out, WORDS_INDENT, &line);
}

void
words_fold(FILE *out, unsigned indent, const char *fmt, ...)
{
	struct text line = TEXT_EMPTY;
	va_list ap;

	va_start(ap, fmt);
	add_va(&line, fmt, ap);
	va_end(ap);
	put_broken(out, indent, &line);
}

/* ---- reasons ---- */

/* A verdict that is not known, and what would help. */
const char *
reason_meaning(const char *why)
{
	static const struct meaning all[] = {
	    {"no-server-answers", "no STUN server answers over UDP"},
	    {"one-server-address",
		"all servers have one address; a server with a second one, "
		"or another server, can tell"},
	    {"no-alternate-address",
		"no server has a second address (RFC 5780); ask one that has, "
		"such as stund -alternate"},
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
	    {"tcp-silent", "connections get no answer at all"},
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

	return MEANING(all, why);
}

static void
print_line(FILE *out, const char *name, const char *verdict, const char *note)
{
	words_line(
	    out, name, "%s%s%s", verdict, *note == '\0' ? "" : ": ", note);
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
		    "%s%s%s; %.0f of %.0f sockets say so", str(m, "short"),
		    *str(f, "cone") == '\0' ? "" : ", ", str(f, "cone"),
		    number(m, "agree"), number(m, "sockets"));
		print_line(out, "mapping", kind, note);
	}
}

static void
print_ports(FILE *out, const json_t *f)
{
	const json_t *v = json_object_get(f, "ports");
	char note[200], step[40] = "";

	if (*str(v, "why") != '\0') {
		print_verdict(out, "ports", v);
		return;
	}
	if (number(v, "step") != 0)
		snprintf(step, sizeof(step), ", each %+.0f", number(v, "step"));
	snprintf(note, sizeof(note),
	    "%.0f of %.0f kept, %.0f to %.0f%s, %.0f external address%s",
	    number(v, "preserved"), number(v, "sockets"), number(v, "lowest"),
	    number(v, "highest"), step, number(v, "addresses"),
	    number(v, "addresses") == 1 ? "" : "es");
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
	words_line(out, "keep alive", "every %.0f s at least%s", least * 0.8,
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
		words_line(out, "refreshed by",
		    "outbound packets %s, inbound %s", str(r, "outbound"),
		    str(r, "inbound"));
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
	if (!is(get(f, "hairpin"), "why", "not-asked") &&
	    !is(get(f, "hairpin"), "why", "no-nat"))
		print_verdict(out, "hairpin", get(f, "hairpin"));
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
	bool filter = !says(f, "filtering", "unknown");
	const char *text, *why = str(get(f, "mapping"), "why");

	if (says(f, "mapping", "unknown")) {
		words_line(
		    out, "direct way", "not known: %s", reason_meaning(why));
		return;
	}
	if (is(get(f, "gateway"), "mapping_works", "yes"))
		text = "to every host whose own network lets UDP out, by a "
		       "port that the router opens";
	else if (filter && !strict)
		text = "to every host whose own network lets UDP out";
	else if (any)
		text = "to all hosts but those whose NAT maps by destination "
		       "and filters by port";
	else
		text = "only to hosts whose NAT filters by address, or not "
		       "at all";
	words_line(out, "direct way", "%s%s", text,
	    filter ? "" : "; maybe to more: the filter is not known");
}

/* What is wrong with a server, and what that means for who asked it. */
static const char *
meaning_of_finding(const char *name)
{
	static const struct meaning all[] = {
	    {"does-not-answer", ""}, /* its own line says so */
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

	return MEANING(all, name);
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
			words_line(out, "", "  %s", text);
	}
}

static void
print_servers(FILE *out, const json_t *f)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(f, "servers"), i, s)
	{
		const char *name = i == 0 ? "servers" : "";
		const char *other = str(s, "other_address");

		if (json_is_true(get(s, "answers")))
			words_line(out, name, "%s%s%s%s %.1f ms, sees %s",
			    str(s, "address"), *other == '\0' ? "" : " (and ",
			    other, *other == '\0' ? "" : ")",
			    number(s, "rtt_ms"), str(s, "mapped"));
		else if (is(get(f, "mapping"), "why", "no-socket"))
			words_line(
			    out, name, "%s was not asked", str(s, "address"));
		else
			words_line(
			    out, name, "%s does not answer", str(s, "address"));
		print_findings(out, s);
	}
}

/* Not at the mercy of what else is known: the first line is the verdict. */
static void
print_blocked(FILE *out, const json_t *f)
{
	if (json_is_object(get(f, "udp_blocked")))
		words_print_blocked(f, out);
	else
		print_line(out, "UDP", "blocked",
		    "no server answers; only a relay over TCP can help");
}

static void
print_udp(FILE *out, const json_t *f)
{
	print_outlook(out, f);
	print_mapping(out, f);
	print_verdict(out, "filtering", get(f, "filtering"));
	print_ports(out, f);
	print_effects(out, f);
	print_lifetimes(out, f);
}

/* What decides first, and the evidence last. */
static void
print_family(FILE *out, const json_t *result, const char *key, const char *name)
{
	const json_t *f = get(result, key);

	if (f == NULL)
		return;
	fprintf(out, "%s\n", name);
	if (is(f, "udp", "no"))
		print_blocked(out, f);
	else
		print_udp(out, f);
	tcp_words(f, out);
	words_print_gateway(f, out);
	words_print_family_path(result, key, out);
	print_servers(out, f);
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
	if (*str(result, "building") != '\0')
		fprintf(out, "%s, %s\n", str(result, "building"),
		    str(result, "time"));
	print_names(out, result);
	print_family(out, result, "ipv4", "IPv4");
	print_family(out, result, "ipv6", "IPv6");
	words_print_relays(result, out);
	words_print_path(result, out);
	words_print_pair(result, out);
	words_print_evidence(result, out);
	print_end(out, result);
}

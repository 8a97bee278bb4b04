/* words: the path for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/path/path.h"
#include "probes/natprobe/words.h"

#define WAY_MAX 160

/* ---- path MTU and fragments ---- */

/* The form of a way: "outbound 1400, as a router says". */
static const char *
way_words(char text[static WAY_MAX], const char *name, const json_t *way)
{
	static const struct meaning words[] = {
	    {"full", ""},
	    {"as-outbound", " at least"},
	    {"own-link", ", as this host's own link"},
	    {"told-by-icmp", ", as a router says"},
	    {"black-hole",
		", and larger ones vanish without a word (a black hole)"},
	    {"in-fragments", ", larger ones come in fragments"},
	    {"unknown", " or more: too few answers"},
	};

	if (number(way, "passes") == 0)
		snprintf(text, WAY_MAX, "%s unknown", name);
	else
		snprintf(text, WAY_MAX, "%s %.0f%s", name,
		    number(way, "passes"), MEANING(words, str(way, "verdict")));
	return text;
}

static void
print_mtu(FILE *out, const json_t *path)
{
	const json_t *m = get(path, "mtu");
	char o[WAY_MAX], i[WAY_MAX], fits[WAY_MAX] = "";
	double needs = number(m, "tailscale_needs");

	if (!json_is_string(get(m, "server")))
		return;
	if (is(m, "tailscale_fits", "yes"))
		snprintf(fits, sizeof(fits), "; Tailscale's %.0f fit", needs);
	else if (is(m, "tailscale_fits", "no"))
		snprintf(fits, sizeof(fits),
		    "; Tailscale needs %.0f: set TS_DEBUG_MTU to %.0f on the "
		    "robots, or have the MTU raised",
		    needs,
		    number(get(m, "outbound"), "passes") - (needs - MTU_INNER));
	words_line(out, "path MTU", "%s, %s%s",
	    way_words(o, "outbound", get(m, "outbound")),
	    way_words(i, "inbound", get(m, "inbound")), fits);
}

static const char *
pass_words(const json_t *way)
{
	return is(way, "passes", "yes") ? "pass"
	    : is(way, "passes", "no")	? "are dropped"
					: "unknown";
}

static void
print_fragments(FILE *out, const json_t *path)
{
	const json_t *f = get(path, "fragments");
	const json_t *o = get(f, "outbound"), *i = get(f, "inbound");

	if (!json_is_string(get(get(path, "mtu"), "server")) ||
	    is(o, "why", "passes-whole"))
		return;
	if (is(o, "passes", "yes") && is(i, "passes", "yes"))
		words_line(out, "fragments", "pass both ways");
	else
		words_line(out, "fragments", "outbound %s, inbound %s%s",
		    pass_words(o), pass_words(i),
		    is(o, "passes", "no") || is(i, "passes", "no")
			? ": large UDP packets must fit the path MTU"
			: "");
}

/* What may be done about it. */
static void
print_stopped(FILE *out, const json_t *path)
{
	const char *stopped = reason_name(REASON_SERVER_STOPPED);
	const json_t *m = get(path, "mtu"), *f = get(path, "fragments");

	if (is(get(m, "outbound"), "why", stopped) ||
	    is(get(m, "inbound"), "why", stopped) ||
	    is(get(f, "outbound"), "why", stopped) ||
	    is(get(f, "inbound"), "why", stopped))
		words_line(out, "", "%s", reason_meaning(stopped));
}

/* ---- ports ---- */

/* "udp 3478, 443*"; true if one was refused. */
static bool
add_ports(struct text *t, const json_t *rows, const char *protocol,
    const char *passes)
{
	bool refused = false, any = false;
	const json_t *r;
	size_t i;

	json_array_foreach(rows, i, r)
	{
		if (!is(r, "passes", passes) || !is(r, "protocol", protocol))
			continue;
		if (any)
			text_str(t, ", ");
		else
			text_fmt(t, "%s%s ", t->len == 0 ? "" : "; ", protocol);
		any = true;
		text_fmt(t, "%.0f%s", number(r, "port"),
		    is(r, "saw", "refused") ? "*" : "");
		refused |= is(r, "saw", "refused");
	}
	return refused;
}

static void
print_ports_that(
    FILE *out, const json_t *rows, const char *passes, const char *name)
{
	struct text t = TEXT_EMPTY;
	bool refused = add_ports(&t, rows, "udp", passes);

	refused |= add_ports(&t, rows, "tcp", passes);
	if (t.len > 0 && !t.bad)
		words_line(out, name, "%s%s", t.p,
		    refused ? " (* nobody listens there)" : "");
	text_clear(&t);
}

void
words_print_blocked(const json_t *family, FILE *out)
{
	static const struct meaning words[] = {
	    {"captive-portal", "a captive portal holds all back: log in first"},
	    {"server-down",
		"the way is open, but no STUN server runs there: look at the "
		"server"},
	    {"blocked",
		"TCP passes, so relays help; ask for UDP to be let out"},
	    {"port-blocked",
		"the STUN servers' port is blocked, other UDP ports pass: ask "
		"for it to be let out"},
	    {"all-but-443",
		"all but TCP port 443 is blocked: only a relay on that port "
		"can help"},
	    {"no-network",
		"nothing answers, not even by TCP: no network, or the servers "
		"are down; try from elsewhere"},
	    {"unknown", "it is not known why"},
	};
	static const struct meaning evidence[] = {
	    {"stun-over-tcp-answers", "STUN over TCP works"},
	    {"tcp-passes", "TCP does"},
	    {"icmp-prohibited", "a firewall says so by ICMP"},
	    {"tcp-443-alone-passes", "TCP to other ports fails"},
	    {"a-portal-answers-for-the-relay",
		"a web server answers in the relay's place"},
	    {"other-udp-ports-pass", "answers came from these"},
	    {"icmp-port-unreachable", "the host says so by ICMP"},
	    {"what-answers-is-no-stun", "something else answers"},
	    {"icmp-unreachable", "a router says by ICMP that it is not there"},
	    {"nothing-answers", "all that was tried is silent"},
	    {"echo-alone-passes", "a ping passes, nothing else does"},
	    {"not-asked", "nothing else was tried"},
	};
	const json_t *b = get(family, "udp_blocked");

	if (is(b, "why", "tcp-80-alone-answers"))
		words_line(out, "UDP blocked",
		    "nothing answers but TCP port 80, as with a captive "
		    "portal: "
		    "open any web page, and log in");
	else if (json_is_object(b) && !is(b, "verdict", "no"))
		words_line(out, "UDP blocked", "%s (%s)",
		    MEANING(words, str(b, "verdict")),
		    MEANING(evidence, str(b, "why")));
}

/* ---- rewritten addresses, pooling ---- */

static void
print_alg(FILE *out, const json_t *family)
{
	const json_t *a = get(family, "alg"), *p = get(family, "pooling");

	if (is(a, "verdict", "yes"))
		words_line(out, "ALG",
		    "addresses within packets are rewritten, %s to %s: have "
		    "the gateway's ALG switched off",
		    str(a, "hidden"), str(a, "plain"));
	else if (is(a, "why", "server-contradicts-itself"))
		words_line(out, "ALG",
		    "a server names two addresses, %s and %s", str(a, "hidden"),
		    str(a, "plain"));
	if (is(p, "verdict", "arbitrary"))
		words_line(out, "addresses",
		    "arbitrary: another external address for another %s; "
		    "paired pooling should be asked for",
		    str(p, "by"));
}

void
words_print_family_path(const json_t *result, const char *family, FILE *out)
{
	const json_t *f = get(result, family);
	const json_t *path = get(get(result, "path"), family);

	print_alg(out, f);
	print_mtu(out, path);
	print_fragments(out, path);
	print_stopped(out, path);
	print_ports_that(out, get(path, "ports"), "yes", "ports that pass");
	print_ports_that(out, get(path, "ports"), "no", "ports blocked");
	print_ports_that(out, get(path, "ports"), "unknown", "ports, unknown");
}

/* ---- DNS ---- */

static void
print_relay_name(FILE *out, const json_t *r)
{
	const char *first =
	    json_string_value(json_array_get(get(r, "answers"), 0));
	const char *map = json_string_value(json_array_get(get(r, "map"), 0));

	if (is(r, "verdict", "differs"))
		words_fold(out, 4,
		    "  %s is %s here, and %s in the map: one of them is old, "
		    "or the resolver lies",
		    str(r, "name"), first, map);
	else if (is(r, "verdict", "private"))
		words_fold(out, 4,
		    "  %s is %s, a private address: right only if the relay is "
		    "in this network",
		    str(r, "name"), first);
	else if (is(r, "verdict", "unknown"))
		fprintf(out, "  %s: %s\n", str(r, "name"),
		    is(r, "why", "no-answer") ? "no answer in 2 s"
					      : str(r, "error"));
}

static void
print_dns(FILE *out, const json_t *dns)
{
	static const struct meaning reasons[] = {
	    {"no-answer",
		"the resolver gives no answer in 2 s: give addresses, not "
		"names, here"},
	    {"resolver-fails",
		"the resolver fails: give addresses, not names, here"},
	    {"every-name-below-the-relay-s-has-an-address",
		"every name below the relay's has an address, which may be "
		"meant so; whether the resolver lies is not known"},
	};
	const json_t *non = get(dns, "nonexistent"), *relays, *r;
	const json_t *name = json_array_get(get(non, "names"), 0);
	size_t i;

	if (!json_is_object(dns))
		return;
	if (is(non, "verdict", "rewritten"))
		words_fold(out, 2,
		    "DNS: the resolver lies: it gives the address %s to %s, "
		    "which cannot exist; use another one",
		    json_string_value(json_array_get(get(name, "answers"), 0)),
		    str(name, "name"));
	else if (is(non, "verdict", "kept"))
		fprintf(out,
		    "DNS: the resolver says so if a name does not exist\n");
	else
		words_fold(
		    out, 2, "DNS: %s", MEANING(reasons, str(non, "why")));
	relays = get(dns, "relays");
	json_array_foreach(relays, i, r) print_relay_name(out, r);
}

/* ---- proxy ---- */

static void
print_try(FILE *out, const json_t *t)
{
	static const struct meaning words[] = {
	    {"works", "works through it"},
	    {"wants-credentials",
		"the proxy wants a name and a password: https_proxy="
		"http://NAME:PASSWORD@..."},
	    {"refuses", "the proxy refuses it"},
	    {"no-proxy-there", "what answers is no HTTP proxy"},
	    {"unreachable", "the proxy cannot be reached"},
	    {"unusable", "this kind of proxy is not tried"},
	    {"relay-fails", "the tunnel stands, but the relay fails in it"},
	    {"unknown", "it is not known"},
	};

	if (!json_is_true(get(t, "uses_proxy"))) {
		fprintf(out, "  %s: no_proxy excepts it\n", str(t, "host"));
		return;
	}
	fprintf(
	    out, "  %s: %s", str(t, "host"), MEANING(words, str(t, "verdict")));
	if (is(t, "needed", "yes"))
		fprintf(out, ", and not without: tailscaled needs https_proxy");
	if (is(t, "verdict", "refuses"))
		fprintf(out, ", with status %.0f", number(t, "status"));
	fprintf(
	    out, "%s%s\n", *str(t, "why") == '\0' ? "" : ": ", str(t, "why"));
	if (is(t, "verdict", "relay-fails") &&
	    *str(t, "certificate_of") != '\0')
		words_fold(out, 6,
		    "    its certificate is of \"%s\", from \"%s\": if that is "
		    "not the relay's, the proxy breaks TLS open",
		    str(t, "certificate_of"), str(t, "certificate_issuer"));
}

static void
print_proxy(FILE *out, const json_t *proxy)
{
	const json_t *relays = get(proxy, "relays"), *t;
	size_t i;

	if (json_is_string(get(proxy, "https_proxy"))) {
		fprintf(out, "Proxy %s, which Tailscale's clients use\n",
		    str(proxy, "https_proxy"));
		json_array_foreach(relays, i, t) print_try(out, t);
	} else if (json_is_true(get(proxy, "http_proxy")))
		words_fold(out, 2,
		    "Proxy: http_proxy is set, https_proxy is not; Tailscale's "
		    "clients want the latter");
	if (is(proxy, "wpad", "yes"))
		words_fold(out, 2,
		    "Proxy: this network names one to browsers (WPAD); "
		    "tailscaled does not see that: set https_proxy if relays "
		    "cannot be reached");
}

void
words_print_path(const json_t *result, FILE *out)
{
	print_dns(out, get(result, "dns"));
	print_proxy(out, get(result, "proxy"));
}

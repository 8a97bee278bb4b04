/* words: the path for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/path/path.h"
#include "probes/natprobe/words.h"

static int
num(const json_t *o, const char *key)
{
	return (int)json_integer_value(get(o, key));
}

struct meaning {
	const char *word, *text;
};

static const char *
meaning_of(const struct meaning *all, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].word, word) == 0)
			return all[i].text;
	return word;
}

#define MEANING(all, word) meaning_of(all, sizeof(all) / sizeof(*(all)), word)

/* ---- path MTU and fragments ---- */

static void
print_way(FILE *out, const char *name, const json_t *way)
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

	if (num(way, "passes") == 0)
		fprintf(out, "%s unknown", name);
	else
		fprintf(out, "%s %d%s", name, num(way, "passes"),
		    MEANING(words, str(way, "verdict")));
}

static void
print_mtu(FILE *out, const json_t *path)
{
	const json_t *m = get(path, "mtu");
	const char *fits = str(m, "tailscale_fits");

	if (!json_is_string(get(m, "server")))
		return;
	fprintf(out, "  %-18s ", "path MTU");
	print_way(out, "outbound", get(m, "outbound"));
	print_way(out, ", inbound", get(m, "inbound"));
	if (strcmp(fits, "yes") == 0)
		fprintf(
		    out, "; Tailscale's %d fit\n", num(m, "tailscale_needs"));
	else if (strcmp(fits, "no") == 0)
		fprintf(out,
		    "; Tailscale needs %d: set TS_DEBUG_MTU to %d on the "
		    "robots, or have the MTU raised\n",
		    num(m, "tailscale_needs"),
		    num(get(m, "outbound"), "passes") -
			(num(m, "tailscale_needs") - MTU_INNER));
	else
		fprintf(out, "\n");
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
		fprintf(out, "  %-18s pass both ways\n", "fragments");
	else
		fprintf(out, "  %-18s outbound %s, inbound %s%s\n", "fragments",
		    is(o, "passes", "yes")	? "pass"
			: is(o, "passes", "no") ? "are dropped"
						: "unknown",
		    is(i, "passes", "yes")	? "pass"
			: is(i, "passes", "no") ? "are dropped"
						: "unknown",
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
		fprintf(out, "  %-18s   %s\n", "", reason_meaning(stopped));
}

/* ---- ports ---- */

static void
print_ports_that(
    FILE *out, const json_t *rows, const char *passes, const char *text)
{
	const char *between = "";
	const json_t *r;
	size_t i;

	json_array_foreach(rows, i, r)
	{
		if (!is(r, "passes", passes) || is(r, "protocol", "echo"))
			continue;
		if (*between == '\0')
			fprintf(out, "  %-18s ", text);
		fprintf(out, "%s%s %d%s", between, str(r, "protocol"),
		    num(r, "port"),
		    is(r, "saw", "refused") ? " (refused)" : "");
		between = ", ";
	}
	if (*between != '\0')
		fprintf(out, "\n");
}

static void
print_blocked(FILE *out, const json_t *family)
{
	static const struct meaning words[] = {
	    {"captive-portal", "a captive portal holds all back: log in first"},
	    {"server-down",
		"the way is open, but no STUN server runs there: look at the "
		"server"},
	    {"blocked",
		"UDP is blocked, TCP passes: only the relay can help; ask for "
		"UDP to be let out"},
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
	const json_t *b = get(family, "udp_blocked");

	if (is(b, "why", "tcp-80-alone-answers"))
		fprintf(out,
		    "  %-18s nothing answers but TCP port 80, as with a "
		    "captive portal: open any web page, and log in\n",
		    "UDP blocked");
	else if (json_is_object(b) && !is(b, "verdict", "no"))
		fprintf(out, "  %-18s %s (%s)\n", "UDP blocked",
		    MEANING(words, str(b, "verdict")), str(b, "why"));
}

/* ---- rewritten addresses, pooling ---- */

static void
print_alg(FILE *out, const json_t *family)
{
	const json_t *a = get(family, "alg"), *p = get(family, "pooling");

	if (is(a, "verdict", "yes"))
		fprintf(out,
		    "  %-18s addresses within packets are rewritten, %s to %s: "
		    "have the gateway's ALG switched off\n",
		    "ALG", str(a, "hidden"), str(a, "plain"));
	else if (is(a, "why", "server-contradicts-itself"))
		fprintf(out,
		    "  %-18s a server names two addresses, %s and %s\n", "ALG",
		    str(a, "hidden"), str(a, "plain"));
	if (is(p, "verdict", "arbitrary"))
		fprintf(out,
		    "  %-18s arbitrary: another external address for another "
		    "%s; paired pooling should be asked for\n",
		    "addresses", str(p, "by"));
}

void
words_print_family_path(const json_t *result, const char *family, FILE *out)
{
	const json_t *f = get(result, family);
	const json_t *path = get(get(result, "path"), family);

	print_blocked(out, f);
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
		fprintf(out,
		    "  %s is %s here, and %s in the map: one of them is old, "
		    "or the resolver lies\n",
		    str(r, "name"), first, map);
	else if (is(r, "verdict", "private"))
		fprintf(out,
		    "  %s is %s, a private address: right only if the relay is "
		    "in this network\n",
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
	    {"no-answer", "no answer in 2 s"},
	    {"resolver-fails", "it fails"},
	    {"every-name-below-the-relay-s-has-an-address",
		"every name below the relay's has an address, which may be "
		"meant so"},
	};
	const json_t *non = get(dns, "nonexistent"), *relays, *r;
	const json_t *name = json_array_get(get(non, "names"), 0);
	size_t i;

	if (!json_is_object(dns))
		return;
	if (is(non, "verdict", "rewritten"))
		fprintf(out,
		    "DNS: the resolver lies: it gives the address %s to %s, "
		    "which cannot exist; use another one\n",
		    json_string_value(json_array_get(get(name, "answers"), 0)),
		    str(name, "name"));
	else if (is(non, "verdict", "kept"))
		fprintf(out,
		    "DNS: the resolver says so if a name does not exist\n");
	else
		fprintf(out,
		    "DNS: it is not known whether the resolver lies: "
		    "%s\n",
		    MEANING(reasons, str(non, "why")));
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
		fprintf(out, ", with status %d", num(t, "status"));
	fprintf(
	    out, "%s%s\n", *str(t, "why") == '\0' ? "" : ": ", str(t, "why"));
	if (is(t, "verdict", "relay-fails") &&
	    *str(t, "certificate_of") != '\0')
		fprintf(out,
		    "    its certificate is of \"%s\", from \"%s\": if that is "
		    "not the relay's, the proxy breaks TLS open\n",
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
		fprintf(out,
		    "Proxy: http_proxy is set, https_proxy is not; Tailscale's "
		    "clients want the latter\n");
	if (is(proxy, "wpad", "yes"))
		fprintf(out,
		    "Proxy: this network names one to browsers (WPAD); "
		    "tailscaled does not see that: set https_proxy if relays "
		    "cannot be reached\n");
}

void
words_print_path(const json_t *result, FILE *out)
{
	print_dns(out, get(result, "dns"));
	print_proxy(out, get(result, "proxy"));
}

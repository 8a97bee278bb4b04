/* words: the relays for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/relay/relay.h"
#include "probes/natprobe/words.h"

/* From here on a person should act. */
#define FEW_DAYS 14

static void
print_latency(FILE *out, const json_t *relay)
{
	const json_t *l = get(relay, "latency"), *p = get(relay, "ping");
	const json_t *failed = get(l, "failed");

	if (json_is_number(get(l, "p50_ms")))
		fprintf(out,
		    "    through it %.1f ms, p95 %.1f, jitter %.1f; %d of %d "
		    "packets lost\n",
		    number(l, "p50_ms"), number(l, "p95_ms"),
		    number(l, "jitter_ms"),
		    (int)json_integer_value(get(l, "lost")),
		    (int)json_integer_value(get(l, "sent")));
	else if (json_is_object(failed))
		fprintf(out, "    a second connection fails: %s: %s\n",
		    str(failed, "step"), str(failed, "why"));
	else if (json_is_object(l))
		fprintf(out, "    no packet came through it\n");
	if (json_is_number(get(p, "p50_ms")))
		fprintf(
		    out, "    to it and back %.1f ms\n", number(p, "p50_ms"));
}

static void
print_times(FILE *out, const json_t *c)
{
	static const struct {
		const char *key, *name;
	} steps[] = {{"connect_ms", "connect"}, {"tls_ms", "TLS"},
	    {"http_ms", "HTTP"}, {"derp_ms", "DERP"}};
	const char *between = "";

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (!json_is_number(get(c, steps[i].key)))
			continue;
		fprintf(out, "%s%s %.1f", between, steps[i].name,
		    number(c, steps[i].key));
		between = ", ";
	}
	fprintf(out, "%s", *between == '\0' ? "" : " ms");
}

static void
print_connection(FILE *out, const char *family, const json_t *c)
{
	const json_t *failed = get(c, "failed"), *cert = get(c, "certificate");
	bool works = json_is_true(get(c, "works"));

	if (!json_is_object(c))
		return;
	fprintf(out, "    %s %s: ", family, str(c, "address"));
	if (json_is_object(failed))
		fprintf(
		    out, "%s: %s\n", str(failed, "step"), str(failed, "why"));
	else {
		print_times(out, c);
		fprintf(out, "\n");
	}
	if (strcmp(str(failed, "step"), "certificate") == 0)
		words_fold(out, 6,
		    "    this certificate is of \"%s\", from \"%s\": if that "
		    "is not the relay's, somebody between breaks TLS open; "
		    "have him leave the relay alone",
		    str(cert, "of"), str(cert, "issuer"));
	if (works && strcmp(str(cert, "checked_by"), "nothing") == 0)
		fprintf(out,
		    "    its certificate is not checked, the map says so "
		    "(InsecureForTests)\n");
	else if (works && number(cert, "days_left") < FEW_DAYS)
		fprintf(out, "    its certificate ends in %.0f days\n",
		    number(cert, "days_left"));
}

static void
print_portal(FILE *out, const json_t *portal)
{
	if (strcmp(str(portal, "verdict"), "yes") == 0)
		words_fold(out, 6,
		    "    a captive portal answers in its place: %s; log in "
		    "first",
		    str(portal, "why"));
	else if (strcmp(str(portal, "verdict"), "unknown") == 0)
		fprintf(
		    out, "    its plain HTTP port: %s\n", str(portal, "why"));
}

static void
print_relay(FILE *out, const json_t *r)
{
	const char *why = str(get(r, "dns"), "why");
	bool works = json_is_true(get(r, "works"));

	fprintf(out, "  %s%s%s:%d %s%s%s\n", str(r, "region"),
	    *str(r, "region") == '\0' ? "" : ", ", str(r, "host"),
	    (int)json_integer_value(get(r, "port")),
	    works				    ? "works"
		: json_is_false(get(r, "complete")) ? "is not known yet"
						    : "cannot be used",
	    json_is_true(get(r, "nearest")) ? ", the nearest" : "",
	    json_is_true(get(r, "port_443"))
		? ""
		: "; not on port 443, the only one that many networks let out");
	if (*why != '\0')
		fprintf(out, "    DNS: %s\n", why);
	else if (!json_is_object(get(r, "ipv4")) &&
	    !json_is_object(get(r, "ipv6")))
		fprintf(out, "    it has no address of that family\n");
	print_connection(out, "IPv4", get(r, "ipv4"));
	print_connection(out, "IPv6", get(r, "ipv6"));
	print_latency(out, r);
	print_portal(out, get(r, "captive_portal"));
}

void
words_print_relays(const json_t *result, FILE *out)
{
	const json_t *all = get(result, "relays"), *r;
	size_t i;

	if (json_array_size(all) > 0)
		fprintf(out, "Relays\n");
	json_array_foreach(all, i, r) print_relay(out, r);
}

/* words: the router and the way to the servers, for people. Reads nothing but
 * the JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/gateway/gateway.h"
#include "probes/natprobe/words.h"

#define NOTE_MAX     400
#define HOP_TEXT_MAX 80

static void
print_line(FILE *out, const char *name, const char *text)
{
	words_line(out, name, "%s", text);
}

__attribute__((format(printf, 2, 3))) static void
append(char note[static NOTE_MAX], const char *form, ...)
{
	size_t n = strlen(note);
	va_list args;

	va_start(args, form);
	vsnprintf(note + n, NOTE_MAX - n, form, args);
	va_end(args);
}

/* ---- the router ---- */

static const struct {
	const char *key, *name;
} protocols[] = {{"pcp", "PCP"}, {"nat_pmp", "NAT-PMP"}, {"upnp", "UPnP"}};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* Many models begin with their maker's name. */
static void
say_model(char note[static NOTE_MAX], const json_t *upnp)
{
	const char *maker = str(upnp, "maker"), *model = str(upnp, "model");
	bool named = strncmp(model, maker, strlen(maker)) == 0;

	if (*model != '\0')
		append(note, " (%s%s%s)", named ? "" : maker,
		    named || *maker == '\0' ? "" : " ", model);
}

static void
say_protocols(char note[static NOTE_MAX], const json_t *g)
{
	const json_t *upnp = json_object_get(g, "upnp");
	bool any = false;

	for (size_t i = 0; i < PROTOCOLS; i++)
		if (is(json_object_get(g, protocols[i].key), "answers",
			"yes")) {
			append(note, "%s%s",
			    any ? ", " : " opens ports on demand by ",
			    protocols[i].name);
			any = true;
		}
	if (!any)
		append(note, " opens no ports (no PCP, NAT-PMP or UPnP)");
	say_model(note, upnp);
}

static void
print_router(FILE *out, const json_t *g)
{
	const json_t *agrees = json_object_get(g, "external_agrees");
	char note[NOTE_MAX] = "";

	if (*str(g, "address") == '\0') {
		print_line(out, "router", "none before this host");
		return;
	}
	append(note, "%s", str(g, "address"));
	say_protocols(note, g);
	if (*str(g, "external") != '\0')
		append(note, "; its outside is %s%s", str(g, "external"),
		    json_is_true(agrees)	? ", as servers see it"
			: json_is_false(agrees) ? ", which servers do not see: "
						  "there is another NAT, or "
						  "another way out"
						: "");
	print_line(out, "router", note);
}

static void
print_upnp(FILE *out, const json_t *g)
{
	const json_t *u = json_object_get(g, "upnp");
	char note[NOTE_MAX] = "";

	if (is(u, "why", "names-another-host"))
		append(note,
		    "a device names another host as the router: not followed");
	else if (is(u, "answers", "yes") && *str(u, "why") != '\0')
		append(note, "%s answers, but no more: %s", str(u, "from"),
		    str(u, "why"));
	else if (is(u, "answers", "yes") &&
	    json_is_false(json_object_get(u, "is_the_router")))
		append(note, "%s answers, which is not the router",
		    str(u, "from"));
	else
		return;
	print_line(out, "UPnP", note);
}

static void
say_granted(char note[static NOTE_MAX], const json_t *m)
{
	long life = (long)json_integer_value(json_object_get(m, "lifetime_s"));

	if (*str(m, "external") != '\0')
		append(note, "%s", str(m, "external"));
	else
		append(note, "port %.0f", number(m, "port"));
	if (life > 0)
		append(note, " for %ld s", life);
	else
		append(note, " for good%s",
		    json_is_true(json_object_get(m, "permanent_only"))
			? ": it can do no other"
			: "");
	append(note, "%s",
	    is(m, "seen_from_outside", "yes") ? "; packets from outside come in"
		: is(m, "seen_from_outside", "no")
		? "; but packets from outside do not come in"
		: "; whether packets from outside come in is not known");
	if (is(m, "why", "not-the-address-seen-outside"))
		append(note, ": it is of no use behind another NAT");
	if (json_is_true(json_object_get(m, "removed")))
		append(note, "; removed again");
	else
		append(note, "; NOT REMOVED (%s): do so at the router",
		    str(m, "why_left"));
}

static void
print_mappings(FILE *out, const json_t *g)
{
	const json_t *m;
	char name[32], note[NOTE_MAX];

	for (size_t i = 0; i < PROTOCOLS; i++) {
		m = json_object_get(
		    json_object_get(g, protocols[i].key), "mapping");
		if (!json_is_object(m))
			continue;
		note[0] = '\0';
		snprintf(name, sizeof(name), "port by %s", protocols[i].name);
		if (json_is_true(json_object_get(m, "granted")))
			say_granted(note, m);
		else
			append(note, "denied: %s",
			    *str(m, "why") == '\0' ? "unknown error"
						   : str(m, "why"));
		print_line(out, name, note);
	}
}

/* ---- the way ---- */

static void
print_nats(FILE *out, const json_t *n, bool works)
{
	long count = (long)json_integer_value(json_object_get(n, "count"));
	bool carrier = is(n, "carrier", "yes");
	char note[NOTE_MAX] = "";

	/* None and one are what the lines about the mapping say. */
	if (!json_is_integer(json_object_get(n, "count")) ||
	    (count < 2 && !carrier))
		return;
	append(note, "%s in line%s%s", count >= 2 ? "at least two" : "one",
	    carrier ? ", one of them a carrier's (100.64.0.0/10)" : "",
	    is(n, "confidence", "low") ? ", maybe" : "");
	if (!works)
		append(note, "%s",
		    carrier ? ": no port can be opened; ask for a public "
			      "address or IPv6"
			    : ": a port opened at the first one is of no use");
	print_line(out, "NATs", note);
}

static void
print_fence(FILE *out, const json_t *f)
{
	long hop = (long)json_integer_value(json_object_get(f, "hop"));
	char note[NOTE_MAX] = "";

	if (hop == 0)
		return;
	append(note, "hop %ld", hop);
	if (*str(f, "address") != '\0')
		append(note, ", %s", str(f, "address"));
	append(note,
	    ": only what was asked for comes in; nothing beyond it filters");
	print_line(out, "outermost filter", note);
}

/* "10.0.2.2", "192.0.2.1 (unreachable)"; "": it says nothing. */
static void
hop_words(char text[static HOP_TEXT_MAX], const json_t *hop)
{
	if (is(hop, "says", "arrived"))
		snprintf(text, HOP_TEXT_MAX, "the server");
	else
		snprintf(text, HOP_TEXT_MAX, "%s%s", str(hop, "address"),
		    is(hop, "says", "unreachable") ? " (says: unreachable)"
						   : "");
}

static void
say_hops(char note[static NOTE_MAX], const char *text, unsigned times)
{
	if (times == 0)
		return;
	append(note, "%s", *note == '\0' ? "" : ", ");
	if (*text == '\0')
		append(note, "%u silent", times);
	else if (times == 1)
		append(note, "%s", text);
	else
		append(note, "%s %u times", text, times);
}

/* The same again and again is said once: of a loop, or of a host that is
 * itself all of the way. */
static void
print_hops(FILE *out, const json_t *hops)
{
	char text[HOP_TEXT_MAX] = "", next[HOP_TEXT_MAX], note[NOTE_MAX] = "";
	const json_t *hop;
	unsigned times = 0;
	size_t i;

	json_array_foreach(hops, i, hop)
	{
		hop_words(next, hop);
		if (strcmp(next, text) != 0) {
			say_hops(note, text, times);
			times = 0;
		}
		memcpy(text, next, sizeof(text));
		times++;
	}
	say_hops(note, text, times);
	if (*note == '\0')
		append(note, "nothing on it says anything");
	else if (json_array_size(hops) == 1 && strcmp(text, "the server") == 0)
		snprintf(note, sizeof(note), "straight to the server");
	else if (strcmp(text, "the server") != 0)
		append(note, ", then nothing");
	print_line(out, "way", note);
}

static void
print_path(FILE *out, const json_t *p)
{
	print_hops(out, get(p, "hops"));
	print_fence(out, get(p, "filter"));
	if (is(get(p, "icmp_errors"), "come", "yes"))
		print_line(out, "ICMP errors", "come back");
	else
		print_line(out, "ICMP errors",
		    "none came back; if a firewall drops them, large or "
		    "blocked packets fail slowly");
}

void
words_print_gateway(const json_t *family, FILE *out)
{
	const json_t *g = json_object_get(family, "gateway");
	const json_t *p = json_object_get(family, "path");

	if (g != NULL) {
		print_router(out, g);
		print_upnp(out, g);
		print_mappings(out, g);
	}
	print_nats(out, json_object_get(family, "nats"),
	    is(g, "mapping_works", "yes"));
	if (p != NULL)
		print_path(out, p);
}

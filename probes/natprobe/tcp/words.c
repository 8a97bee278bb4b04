/* words: TCP's part of the result, for people. Reads nothing but the JSON. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/tcp/tcp.h"
#include "probes/natprobe/words.h"

static void
line(FILE *out, const char *name, const char *verdict, const char *note)
{
	words_line(
	    out, name, "%s%s%s", verdict, *note == '\0' ? "" : ": ", note);
}

static void
say_mapping(const json_t *tcp, FILE *out)
{
	const json_t *m = get(tcp, "mapping");
	const char *kind = str(m, "verdict"), *why = str(m, "why");
	char note[200];

	if (strcmp(str(tcp, "works"), "yes") != 0)
		line(out, "TCP",
		    strcmp(str(tcp, "works"), "no") == 0 ? "no server answers"
							 : "unknown",
		    reason_meaning(str(tcp, "why")));
	else if (strcmp(kind, "none") == 0)
		line(out, "TCP", "not translated", "");
	else if (*why != '\0')
		line(out, "TCP mapping", kind, reason_meaning(why));
	else {
		snprintf(note, sizeof(note),
		    "%s; %.0f of %.0f local ports say so; %.0f of %.0f ports "
		    "are kept",
		    str(m, "short"), number(m, "agree"), number(m, "sockets"),
		    number(m, "ports_preserved"), number(m, "connections"));
		line(out, "TCP mapping", kind, note);
	}
}

/* What a program on a dead connection meets. */
static const char *
dead_words(const char *when_dead)
{
	if (strcmp(when_dead, "reset") == 0)
		return "who then sends is reset";
	if (strcmp(when_dead, "silent") == 0)
		return "who then sends gets no answer";
	if (strcmp(when_dead, "picked-up") == 0)
		return "then nothing comes in until this side sends";
	return "";
}

static void
say_life(const json_t *life, FILE *out)
{
	double alive = number(life, "alive"), dead = number(life, "dead");
	bool host = strcmp(str(life, "first_after_pause"), "host") == 0;
	const char *why = reason_meaning(str(life, "why"));
	char text[200];

	if (dead > 0)
		snprintf(text, sizeof(text), "%.1f s (%.1f to %.1f)%s%s",
		    (alive + dead) / 2, alive, dead,
		    *dead_words(str(life, "when_dead")) == '\0' ? "" : "; ",
		    dead_words(str(life, "when_dead")));
	else if (alive > 0)
		snprintf(text, sizeof(text), "more than %.0f s%s%s", alive,
		    strcmp(str(life, "why"), "longer-than-tried") == 0 ? ""
								       : "; ",
		    strcmp(str(life, "why"), "longer-than-tried") == 0 ? ""
								       : why);
	else
		snprintf(text, sizeof(text), "unknown: %s", why);
	line(out, "TCP lives, idle", text,
	    host ? "if this side is the first to send again; the server "
		   "cannot be told to be"
		 : "");
}

/* Relays send a keepalive every 60 s (DERP), plus up to 5 s. */
#define DERP_KEEPALIVE_S 65
/* Of a lifetime: so often a keepalive is safe. */
#define KEEP_SHARE 0.8

/* alive: a connection that is idle for so long still lives. */
static const char *
relay_words(double alive, bool died)
{
	if (alive * KEEP_SHARE >= DERP_KEEPALIVE_S)
		return "relays' 60 s (DERP) are enough";
	if (alive >= DERP_KEEPALIVE_S)
		return "relays' 60 s (DERP) are just enough";
	return died ? "relays' 60 s (DERP) are too seldom here, so "
		      "connections to them break when idle"
		    : "whether relays' 60 s (DERP) are enough was not tried";
}

static void
say_keepalive(const json_t *life, FILE *out)
{
	double alive = number(life, "alive");
	bool died = number(life, "dead") > 0;
	const char *refreshes = str(get(life, "keepalive"), "refreshes");
	char text[200];

	if (alive <= 0)
		return;
	snprintf(text, sizeof(text), "every %.0f s %s; %s", alive * KEEP_SHARE,
	    died ? "at least" : "is enough", relay_words(alive, died));
	line(out, "TCP keep alive", text, "");
	if (strcmp(refreshes, "unknown") != 0)
		line(out, "TCP SO_KEEPALIVE",
		    strcmp(refreshes, "yes") == 0
			? "keeps connections alive"
			: "does not keep connections alive",
		    "");
}

void
tcp_words(const json_t *f, FILE *out)
{
	const json_t *tcp = get(f, "tcp"), *life = get(tcp, "lifetime");

	if (tcp == NULL)
		return;
	say_mapping(tcp, out);
	if (life == NULL || strcmp(str(life, "why"), "not-asked") == 0)
		return;
	say_life(life, out);
	say_keepalive(life, out);
}

/* predict_words: predictions as sentences. PURE. */
#include "probes/natprobe/views/views.h"

const char *
outcome_words(enum outcome o)
{
	static const char *const words[OUTCOMES] = {
	    [OUTCOME_RELAY] = "relay",
	    [OUTCOME_UNKNOWN] = "unknown",
	    [OUTCOME_UNRELIABLE] = "unreliable",
	    [OUTCOME_IF_A_FIRST] = "direct if A sends first",
	    [OUTCOME_IF_B_FIRST] = "direct if B sends first",
	    [OUTCOME_DIRECT] = "direct",
	};

	return words[o];
}

const char *
reason_words(enum reason r)
{
	static const char *const words[REASONS] = {
	    [REASON_NONE] = "the result does not say why",
	    [REASON_NO_SERVER] = "no STUN server answered",
	    [REASON_ONE_ADDRESS] =
		"the servers asked have one address (stund -alternate has two)",
	    [REASON_NO_ALTERNATE] =
		"no server asked has a second address (stund -alternate)",
	    [REASON_ALTERNATE_SILENT] =
		"the server's second address did not answer",
	    [REASON_NO_CONTROL] =
		"an answer that no filter stops did not come either",
	    [REASON_REFUSED] = "the server refused such requests",
	    [REASON_LOSS] = "too many packets were lost; measure again",
	    [REASON_VARIES] = "sockets disagreed",
	    [REASON_LIAR] = "the server contradicted itself",
	    [REASON_NO_NAT] = "there is no NAT",
	    [REASON_NOT_ASKED] = "it was not tried",
	    [REASON_FILTERED] = "the filter would hide it",
	    [REASON_BEYOND] = "longer than was tried",
	    [REASON_ONE_PORT] = "all servers have one port",
	    [REASON_STOPPED] = "that run was ended before",
	    [REASON_DISAGREE] = "the servers contradicted each other",
	    [REASON_TCP_SILENT] = "nothing answered over TCP",
	    [REASON_TCP_UNREACHABLE] = "there was no way over TCP",
	    [REASON_TCP_REFUSED] = "TCP was refused",
	    [REASON_TCP_RESET] = "TCP connections were reset",
	    [REASON_TCP_CLOSED] =
		"TCP connections were closed without an answer",
	    [REASON_TCP_MUTE] = "the server did not answer over TCP",
	    [REASON_TCP_NOT_STUN] = "what answered over TCP was no STUN server",
	    [REASON_NO_ASKER] = "no STUN server opens connections to clients",
	    [REASON_SERVER_CLOSED] = "the server ended idle connections",
	    [REASON_SERVER_KEEPS] =
		"the server's own keepalives came before the end",
	};

	return words[r];
}

static const char *
fact_words(enum fact f)
{
	static const char *const words[FACTS] = {
	    [FACT_NONE] = "",
	    [FACT_UDP] = "whether UDP passes",
	    [FACT_MAPPING] = "how the NAT maps",
	    [FACT_FILTER] = "how the NAT filters",
	    [FACT_EARLY] = "whether an early packet changes the mapping",
	    [FACT_PRIVATE] = "whether private addresses reach each other",
	};

	return words[f];
}

static void
dependent_words(
    struct text *t, const struct path *p, const char *at, const char *other)
{
	text_fmt(t,
	    "%s's NAT uses a new external port for each destination, and "
	    "%s's filter lets in only ports it has sent to",
	    at, other);
	if (p->guess >= 0.05)
		text_fmt(t,
		    ". The next port could be guessed with odds of %.0f %%; "
		    "Tailscale's clients do not guess",
		    p->guess * 100);
}

/* Those that are about both sites alike; the others name a site. */
static const char *
both_words(enum cause c)
{
	static const char *const words[CAUSES] = {
	    [CAUSE_SAME_NAT] =
		"both are behind the same NAT, which is not known to pass "
		"packets back in; direct if their private addresses reach "
		"each other, else relay",
	    [CAUSE_SAME_NET] =
		"both are in the same network behind the same NAT; direct, "
		"unless it keeps its hosts apart, or these are two networks "
		"with the same numbers",
	    [CAUSE_SAME_ADDRESS] =
		"both have the same private address behind the same NAT, so "
		"they are in two networks, and it does not pass packets back "
		"in",
	    [CAUSE_HAIRPIN] = "both are behind the same NAT, which passes "
			      "packets to its own outside back in",
	    [CAUSE_NO_NAT] = "no address is translated, and both send, so "
			     "both filters are opened",
	    [CAUSE_STABLE] = "both sites keep one external endpoint for all "
			     "destinations, so each knows where to send",
	    [CAUSE_EARLY_BOTH] =
		"at both NATs a packet that arrives early changes the "
		"mapping, so it works only if the first packets cross",
	    [CAUSE_DEPENDENT_BOTH] =
		"both NATs use a new external port for each destination, "
		"which neither side can know",
	};

	return words[c];
}

static void
cause_words(
    struct text *t, const struct path *p, const char *at, const char *other)
{
	switch (p->cause) {
	case CAUSE_NOT_ASKED:
		text_fmt(t, "%s has no result for this address family", at);
		break;
	case CAUSE_BLOCKED:
		text_fmt(t,
		    "%s lets no UDP through; only a relay over TCP helps", at);
		break;
	case CAUSE_MISSING:
		text_fmt(t, "%s at %s is not known: %s", fact_words(p->missing),
		    at, reason_words(p->why));
		break;
	case CAUSE_OPEN:
		text_fmt(t,
		    "%s has one external endpoint for everybody and lets "
		    "everybody in",
		    at);
		break;
	case CAUSE_MAPPED:
		text_fmt(t,
		    "%s's router opens a port on demand (PCP, NAT-PMP or "
		    "UPnP), as Tailscale's clients ask for, and packets from "
		    "outside came in by it",
		    at);
		break;
	case CAUSE_LEARNED:
		text_fmt(t,
		    "%s's filter lets %s's unforeseen port in, and %s answers "
		    "to where the packet came from",
		    at, other, at);
		break;
	case CAUSE_REUSED:
		text_fmt(t,
		    "%s's filter lets everybody in, and %s's answers leave by "
		    "the port that the packet came to, as NATs do for a "
		    "mapping in use",
		    at, at);
		if (p->outcome != OUTCOME_DIRECT)
			text_fmt(t,
			    ", unless %s has sent there before: so %s must "
			    "send first",
			    at, other);
		break;
	case CAUSE_EARLY:
		text_fmt(t,
		    "a packet that arrives at %s's NAT before %s has sent "
		    "changes the mapping there, so %s must send first",
		    at, at, at);
		break;
	case CAUSE_DEPENDENT:
		dependent_words(t, p, at, other);
		break;
	default:
		text_str(t, both_words(p->cause));
	}
}

static bool
is_direct(const struct path *p)
{
	return p->outcome >= OUTCOME_UNRELIABLE;
}

static void
doubt_words(struct text *t, const struct path *p, const char *const names[])
{
	for (int at = SITE_A; at < SITES; at++) {
		if (p->collides[at])
			text_fmt(t,
			    ". Two hosts at %s with the same source "
			    "port would spoil that for the second",
			    names[at]);
		if (p->several[at])
			text_fmt(t,
			    ". %s's NAT has several external "
			    "addresses",
			    names[at]);
	}
}

void
path_words(struct text *t, const struct path *p, const char *a, const char *b)
{
	const char *const names[] = {a, b};

	cause_words(t, p, names[p->at], names[1 - p->at]);
	if (is_direct(p))
		doubt_words(t, p, names);
}

void
idle_words(struct text *t, const struct path *p, const char *a, const char *b)
{
	const char *at = p->idle_at == SITE_A ? a : b;

	if (!is_direct(p))
		return;
	switch (p->idle) {
	case IDLE_KEPT:
		text_fmt(t,
		    "Stays open while idle: mappings live %.0f s or "
		    "longer, keepalives come every %d to %d s.",
		    p->idle_low, KEEP_SHORTEST_S, KEEP_LONGEST_S);
		break;
	case IDLE_MAY_DROP:
		text_fmt(t,
		    "May close while idle: at %s a mapping lives %.0f "
		    "to %.0f s, and keepalives come every %d to %d s "
		    "(WireGuard: %d s). Send one more often.",
		    at, p->idle_low, p->idle_high, KEEP_SHORTEST_S,
		    KEEP_LONGEST_S, KEEP_WIREGUARD_S);
		break;
	case IDLE_DROPS:
		text_fmt(t,
		    "Closes while idle: at %s a mapping lives %.0f s "
		    "at the most, and keepalives come every %d to %d "
		    "s (WireGuard: %d s). Send one more often.",
		    at, p->idle_high, KEEP_SHORTEST_S, KEEP_LONGEST_S,
		    KEEP_WIREGUARD_S);
		break;
	case IDLE_UNKNOWN:
		text_fmt(t,
		    "Whether it stays open while idle is not known: "
		    "measure %s with -lifetime%s.",
		    at, p->idle_low > 0 ? " and a longer -ttl-max" : "");
		break;
	}
}

/* knock_result: a meeting's TCP as JSON. The names are in docs/natprobe.md. */
#include "probes/natprobe/pair/knock_why.h"
#include "probes/natprobe/pair/pair.h"

static json_t *
why_json(enum knock_why why)
{
	static const char *const names[KNOCK_WHYS] = {
	    [KNOCK_WHY_VERSION] = "other-side-cannot",
	    [KNOCK_WHY_NO_SERVER] = "no-stun-over-tcp",
	    [KNOCK_WHY_NO_ENDPOINT] = "other-side-no-stun-over-tcp",
	    [KNOCK_WHY_ODD] = "odd-endpoint",
	    [KNOCK_WHY_CUT] = "not-over",
	    [KNOCK_WHY_SAME_NAT] = "same-nat",
	    [KNOCK_WHY_SAME_ADDRESS] = "same-address-as-server",
	    [KNOCK_WHY_FOREIGN] = "somebody-else-answers",
	    [KNOCK_WHY_BLOCKED] = "other-side-blocked",
	    [KNOCK_WHY_LOST] = "mapping-lost",
	    [KNOCK_WHY_DEPENDS] = "mapping-depends",
	};

	return why == KNOCK_WHY_NONE ? json_null() : json_string(names[why]);
}

static const char *
end_name(enum knock_end end)
{
	static const char *const names[KNOCK_ENDS] = {
	    [KNOCK_NONE] = "unknown",
	    [KNOCK_IN] = "accepted",
	    [KNOCK_FOREIGN] = "somebody-else-answers",
	    [KNOCK_RESET] = "reset",
	    [KNOCK_ICMP] = "icmp",
	    [KNOCK_SILENT] = "silent",
	    [KNOCK_NO_WAY] = "no-way",
	};

	return names[end];
}

static json_t *
ms_json(int64_t us)
{
	return us < 0 ? json_null() : json_real((double)us / 1000);
}

/* Has the NAT answered with an error before it may? JSON null: there was no
 * time to see, or it does not apply. */
static json_t *
early_json(const struct knock_verdict *v)
{
	bool late = v->unsolicited_us >= KNOCK_EARLY_US;

	switch (v->unsolicited) {
	case KNOCK_RESET:
	case KNOCK_ICMP:
		return json_boolean(!late);
	case KNOCK_SILENT:
		return late ? json_false() : json_null();
	default:
		return json_null();
	}
}

static json_t *
unsolicited_json(const struct knock_verdict *v)
{
	bool timed = v->unsolicited >= KNOCK_RESET;

	return json_pack("{s:s, s:o, s:o, s:o}", "verdict",
	    end_name(v->unsolicited), "why", why_json(v->unsolicited_why),
	    "after_ms", ms_json(timed ? v->unsolicited_us : -1),
	    "error_within_6s", early_json(v));
}

static json_t *
filter_json(const struct knock_verdict *v)
{
	static const char *const names[KNOCK_FILTERS] = {
	    [KNOCK_FILTER_UNKNOWN] = "unknown",
	    [KNOCK_FILTER_EI] = "endpoint-independent",
	    [KNOCK_FILTER_AD] = "address-dependent",
	    [KNOCK_FILTER_APD] = "address-and-port-dependent",
	    [KNOCK_FILTER_NOT_EI] = "dependent",
	};

	return json_pack("{s:s, s:o}", "verdict", names[v->filter], "why",
	    why_json(v->filter_why));
}

static json_t *
open_json(const struct knock *k, const struct knock_verdict *v)
{
	static const char *const names[] = {[KNOCK_OPEN_UNKNOWN] = "unknown",
	    [KNOCK_OPEN_WORKS] = "works",
	    [KNOCK_OPEN_FAILS] = "fails"};
	bool works = v->open == KNOCK_OPEN_WORKS;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:i}", "verdict",
	    names[v->open], "why", why_json(v->open_why), "met",
	    v->open == KNOCK_OPEN_FAILS ? json_string(end_name(v->open_end))
					: json_null(),
	    "crossed", works ? json_boolean(k->crossed) : json_null(),
	    "after_ms", ms_json(works ? v->open_us : -1), "rtt_ms",
	    ms_json(works ? v->rtt_us : -1), "tries", (int)k->opens);
}

/* What this side has met at the other's endpoint. */
static json_t *
met_json(const struct knock *k, struct mono now)
{
	int64_t us;
	enum knock_end end = knock_met(k, KNOCK_AT_FIRST, now, &us);

	return json_pack("{s:s, s:o}", "result", end_name(end), "after_ms",
	    ms_json(end == KNOCK_NONE ? -1 : us));
}

static json_t *
own_json(const struct knock *k, const struct knock_verdict *v)
{
	static const char *const names[] = {[KNOCK_MAPPING_UNKNOWN] = "unknown",
	    [KNOCK_MAPPING_SAME] = "same-for-servers",
	    [KNOCK_MAPPING_DEPENDS] = "depends"};
	json_t *still = k->still == KNOCK_SAME ? json_true()
	    : k->still == KNOCK_LOST	       ? json_false()
					       : json_null();

	return json_pack("{s:o, s:s, s:o}", "endpoint", json_of_addr(&v->own),
	    "mapping", names[knock_mapping(k)], "still_there", still);
}

static json_t *
family_json(const struct knock *k, struct mono now)
{
	struct knock_verdict v = knock_judge(k);

	if (!k->begun)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:i}", "own",
	    own_json(k, &v), "other_endpoint", json_of_addr(&v.other),
	    "unsolicited", unsolicited_json(&v), "filtering", filter_json(&v),
	    "simultaneous_open", open_json(k, &v), "knocked", met_json(k, now),
	    "connections", (int)k->connects);
}

json_t *
knock_result(const struct meet *m, struct mono now)
{
	bool met = mono_is_set(m->call_at);
	bool can = (m->peer_features & FEATURE_TCP) != 0;

	if (!m->tcp || !met)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "why",
	    why_json(can ? KNOCK_WHY_NONE : KNOCK_WHY_VERSION), "ipv4",
	    family_json(&m->knock[0], now), "ipv6",
	    family_json(&m->knock[1], now));
}

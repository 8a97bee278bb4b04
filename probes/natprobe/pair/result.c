/* result: a meeting as JSON. The names are in docs/natprobe.md. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/pair/pair.h"

static const char *
why_name(enum meet_why why)
{
	static const char *const names[MEET_WHYS] = {
	    [MEET_WHY_NOBODY] = "no-such-key",
	    [MEET_WHY_SILENT] = "no-answer",
	    [MEET_WHY_BUSY] = "busy",
	    [MEET_WHY_VERSION] = "other-version",
	    [MEET_WHY_RELAY] = "no-relay",
	    [MEET_WHY_WAITED] = "nobody-came",
	    [MEET_WHY_GONE] = "other-side-gone",
	    [MEET_WHY_STOPPED] = "interrupted",
	};

	return names[why];
}

static const char *
kind_name(enum candidate_kind kind)
{
	static const char *const names[CANDIDATE_KINDS] = {
	    [CANDIDATE_LOCAL] = "local",
	    [CANDIDATE_STUN] = "stun",
	    [CANDIDATE_GUESS] = "guess",
	    [CANDIDATE_LEARNED] = "learned",
	};

	return names[kind];
}

static const char *
target_result_name(enum target_result r)
{
	static const char *const names[TARGET_RESULTS] = {
	    [TARGET_WORKS] = "works",
	    [TARGET_OWN] = "own-address",
	    [TARGET_NO_FAMILY] = "no-such-family",
	    [TARGET_NOT_TRIED] = "not-tried",
	    [TARGET_NO_WAY] = "no-way",
	    [TARGET_REFUSED] = "refused",
	    [TARGET_NOT_ARRIVED] = "not-arrived",
	    [TARGET_ANSWER_LOST] = "answer-lost",
	    [TARGET_NO_ANSWER] = "no-answer",
	};

	return names[r];
}

static json_t *
ms_json(int64_t us)
{
	return us < 0 ? json_null() : json_real((double)us / 1000);
}

static json_t *
latency_json(const struct meet_row *r)
{
	struct meet_latency l = meet_latency(r);

	if (l.sent == 0)
		return json_null();
	return json_pack("{s:i, s:i, s:o, s:o, s:o}", "sent", (int)l.sent,
	    "lost", (int)l.lost, "p50_ms", ms_json(l.p50_us), "min_ms",
	    ms_json(l.p50_us < 0 ? -1 : l.min_us), "max_ms",
	    ms_json(l.p50_us < 0 ? -1 : l.max_us));
}

static json_t *
own_json(const struct meet *m)
{
	json_t *a = json_array();

	for (size_t i = 0; i < m->n_own; i++)
		json_array_append_new(a,
		    json_pack("{s:s, s:o}", "kind", kind_name(m->own[i].kind),
			"address", json_of_addr(&m->own[i].addr)));
	return a;
}

static json_t *
error_json(const struct target *t, enum target_result r)
{
	char from[ADDR_TEXT_MAX];
	struct addr a;

	if (r == TARGET_NO_WAY)
		return json_string(strerror(t->send_errno));
	if (r != TARGET_REFUSED)
		return json_null();
	addr_from_ip16(&a, t->icmp_from.ip, 0);
	return json_sprintf(
	    "%s, says %s", strerror(t->icmp_errno), addr_ip_text(&a, from));
}

static json_t *
candidate_json(const struct meet *m, size_t i)
{
	const struct target *t = &m->targets[i];
	enum target_result r = target_result(m, i);
	json_t *got = m->has_report && i < m->n_peer_got
	    ? json_integer(m->peer_got[i])
	    : json_null();
	json_t *from = t->pongs > 0 ? json_of_addr(&t->from) : json_null();

	return json_pack("{s:s, s:o, s:s, s:o, s:i, s:o, s:i, s:i, s:o, s:o, "
			 "s:o}",
	    "kind", kind_name(t->c.kind), "address", json_of_addr(&t->c.addr),
	    "result", target_result_name(r), "error", error_json(t, r), "pings",
	    (int)t->pings, "pings_arrived", got, "answers", (int)t->pongs,
	    "came_from", (int)t->came, "rtt_ms", ms_json(t->best_us),
	    "found_ms",
	    ms_json(
		t->pongs > 0 ? mono_diff_us(m->call_at, t->first_pong) : -1),
	    "answered_from", from);
}

static json_t *
candidates_json(const struct meet *m)
{
	json_t *a = json_array();

	for (size_t i = 0; i < m->n_targets; i++)
		json_array_append_new(a, candidate_json(m, i));
	return a;
}

static json_t *
path_json(const struct meet *m)
{
	static const char *const kinds[] = {[PATH_LOCAL] = "local",
	    [PATH_PUBLIC4] = "public-ipv4",
	    [PATH_IPV6] = "ipv6"};
	const struct target *t;
	struct stun_addr local;
	bool known;

	if (m->best == -1)
		return json_null();
	t = &m->targets[m->best];
	known = net_local(&t->c.addr, &local);
	local.port = m->bound[!stun_addr_is_v4(&t->c.addr)].port;
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "kind",
	    kinds[path_kind(&t->c.addr)], "address", json_of_addr(&t->c.addr),
	    "candidate", kind_name(t->c.kind), "local",
	    known ? json_of_addr(&local) : json_null(), "seen_as",
	    json_of_addr(&t->seen), "found_ms", ms_json(m->took_us));
}

static json_t *
peer_json(const struct meet *m)
{
	if (!m->has_report)
		return json_null();
	return json_pack("{s:b, s:o}", "direct", m->peer_direct, "address",
	    m->peer_direct ? json_of_addr(&m->peer_path) : json_null());
}

static json_t *
relay_json(const struct relay_node *node, const char *no_relay)
{
	if (node != NULL)
		return json_pack("{s:s, s:i, s:n}", "host", node->host, "port",
		    (int)node->port, "why");
	return json_pack("{s:n, s:n, s:s}", "host", "port", "why", no_relay);
}

json_t *
pair_result(
    const struct meet *m, const struct relay_node *node, const char *no_relay)
{
	static const char *const outcomes[] = {[MEET_DIRECT] = "direct",
	    [MEET_RELAYED] = "relay",
	    [MEET_NOT_MET] = "not-met"};
	enum meet_outcome o = meet_outcome(m);
	const struct key *listener =
	    m->role == ROLE_LISTENER ? &m->pub : &m->other;
	char code[CODE_MAX];
	json_t *why = m->why == MEET_WHY_NONE ? json_null()
					      : json_string(why_name(m->why));

	return json_pack("{s:i, s:s, s:s, s:o, s:s, s:o, s:o, s:{s:o, s:o}, "
			 "s:o, s:o, s:o, s:b, s:b, s:i, s:i, s:i, s:i, s:o}",
	    "version", MESSAGE_VERSION, "role",
	    m->role == ROLE_LISTENER ? "listener" : "peer", "key",
	    code_text(listener, code), "relay", relay_json(node, no_relay),
	    "outcome", outcomes[o], "why", why, "path", path_json(m), "latency",
	    "direct", latency_json(&m->direct), "relay",
	    latency_json(&m->relayed), "own", own_json(m), "candidates",
	    candidates_json(m), "other_side", peer_json(m), "relay_lost",
	    m->relay_lost, "other_side_gone", m->peer_gone && !m->has_report,
	    "packets_sent", (int)m->packets_sent, "relay_packets_sent",
	    (int)m->relay_sent, "forged", (int)m->forged, "strange",
	    (int)m->strange, "other_version",
	    m->peer_version != 0 ? json_integer(m->peer_version) : json_null());
}

/*
 * judge: from what became of the connections to verdicts, in the words that
 * UDP's have. PURE. What a server contradicts itself about counts as not said.
 */
#include <string.h>

#include "probes/natprobe/tcp/calls.h"

const char *
dying_name(enum dying d)
{
	static const char *const names[DYINGS] = {
	    [DYING_UNKNOWN] = "unknown",
	    [DYING_SILENT] = "silent",
	    [DYING_RESET] = "reset",
	    [DYING_PICKED_UP] = "picked-up",
	};

	return names[d];
}

static enum reason
reason_of(enum call_end e)
{
	static const enum reason reasons[CALL_ENDS] = {
	    [CALL_UNENDED] = REASON_NOT_ASKED,
	    [CALL_SKIPPED] = REASON_NOT_ASKED,
	    [CALL_CUT] = REASON_LOSS,
	    [CALL_NO_SOCKET] = REASON_NOT_ASKED,
	    [CALL_SILENT] = REASON_TCP_SILENT,
	    [CALL_UNREACHABLE] = REASON_TCP_UNREACHABLE,
	    [CALL_REFUSED] = REASON_TCP_REFUSED,
	    [CALL_RESET] = REASON_TCP_RESET,
	    [CALL_CLOSED] = REASON_TCP_CLOSED,
	    [CALL_MUTE] = REASON_TCP_MUTE,
	    [CALL_NOT_STUN] = REASON_TCP_NOT_STUN,
	    [CALL_ERROR] = REASON_REFUSED,
	    [CALL_ANSWERED] = REASON_NONE,
	    [CALL_DIED] = REASON_NONE,
	    [CALL_KEPT] = REASON_SERVER_KEEPS,
	};

	return reasons[e];
}

/* ---- mapping ---- */

/* A connection that can be believed: one address, which no other that was
 * open towards the same server had, too. */
static bool
lies(const struct calls *c, const struct call *k)
{
	if (k->lies)
		return true;
	for (size_t i = 0; i < c->n; i++) {
		const struct call *o = &c->v[i];

		if (o->use == CALL_MAPPING && o->end == CALL_ANSWERED &&
		    o->unit != k->unit && stun_addr_same(&o->to, &k->to) &&
		    stun_addr_same(&o->mapped, &k->mapped) &&
		    o->opened.us < k->closed.us && k->opened.us < o->closed.us)
			return true;
	}
	return false;
}

/* The connections of a local port that tell something. */
static size_t
heard(const struct calls *c, unsigned unit,
    const struct call *v[static CALL_PLACES], bool *liar)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n && n < CALL_PLACES; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_MAPPING || k->unit != unit ||
		    k->end != CALL_ANSWERED)
			continue;
		if (lies(c, k))
			*liar = true;
		else
			v[n++] = k;
	}
	return n;
}

static enum behaviour
judge_unit(
    const struct calls *c, unsigned unit, struct verdict_tcp *v, bool *liar)
{
	struct dependence d = {ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN};
	const struct call *k[CALL_PLACES];
	size_t n = heard(c, unit, k, liar);
	bool local = true;

	for (size_t i = 0; i < n; i++) {
		v->connections++;
		v->preserved += k[i]->mapped.port == k[i]->local.port;
		v->mapping.external = k[i]->mapped;
		local &= stun_addr_same(&k[i]->mapped, &k[i]->local);
		for (size_t j = i + 1; j < n; j++) {
			dependence_note(&d,
			    &(struct sighting){k[i]->to, k[i]->mapped},
			    &(struct sighting){k[j]->to, k[j]->mapped});
			v->mapping.pool_varies |=
			    !stun_addr_same_ip(&k[i]->mapped, &k[j]->mapped);
		}
	}
	if (n > 0 && local)
		return BEHAVIOUR_NONE;
	v->mapping.one_port |= dependence_of_one_port(&d);
	return dependence_kind(&d);
}

/* The server that came furthest. */
static enum reason
why_none_answers(const struct calls *c)
{
	enum call_end best = CALL_UNENDED;
	const struct call *k;

	for (unsigned i = 0; i < c->n_servers; i++) {
		k = calls_of_server(c, i);
		if (k == NULL || k->end < best)
			continue;
		if (k->lies)
			return REASON_LIAR;
		best = k->end;
	}
	return best == CALL_ANSWERED ? REASON_NOT_ASKED : reason_of(best);
}

static enum reason
why_unknown(const struct calls *c, bool liar)
{
	enum call_end best = CALL_UNENDED;
	bool other = false;

	if (c->primary == -1)
		return why_none_answers(c);
	if (liar)
		return REASON_LIAR;
	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_MAPPING)
			continue;
		if (k->state != CALL_OVER || k->end == CALL_SKIPPED)
			return REASON_NOT_ASKED;
		if (stun_addr_same_ip(&k->to, &c->places[0]))
			continue;
		other = true;
		if (k->end > best)
			best = k->end;
	}
	if (!other)
		return REASON_ONE_ADDRESS;
	if (best == CALL_ANSWERED)
		return REASON_LOSS;
	return best == CALL_SILENT && c->alternate ? REASON_ALTERNATE_SILENT
						   : reason_of(best);
}

static void
judge_mapping_of(const struct calls *c, struct verdict_tcp *v)
{
	bool liar = false;

	for (unsigned u = 0; u < CALL_UNITS; u++)
		v->mapping.counts[judge_unit(c, u, v, &liar)]++;
	mapping_vote(&v->mapping, why_unknown(c, liar));
}

/* ---- lifetime ---- */

/* Whether something that is no verdict of the NAT stopped the rungs; or what
 * the first met, if none came so far. */
static enum reason
why_no_end(const struct calls *c)
{
	enum reason why = REASON_NONE;
	bool paused = false;

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_LIFE)
			continue;
		if (!call_has_paused(k)) {
			if (why == REASON_NONE)
				why = reason_of(k->end);
			continue;
		}
		if (k->end == CALL_CLOSED)
			return REASON_SERVER_CLOSED;
		if (k->end == CALL_RESET)
			return REASON_TCP_RESET;
		if (k->end == CALL_KEPT)
			why = REASON_SERVER_KEEPS;
		paused = true;
	}
	return paused && why != REASON_SERVER_KEEPS ? REASON_BEYOND : why;
}

/* No silence counts if the server went silent to all. */
static bool
is_controlled(const struct calls *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].use == CALL_CONTROL && c->v[i].end == CALL_ANSWERED)
			return true;
	return false;
}

struct verdict_life
judge_tcp_life(const struct calls *c)
{
	struct verdict_life v = {.monotone = true};
	bool asked = false;

	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use != CALL_LIFE)
			continue;
		asked = true;
		v.rungs += k->end == CALL_ANSWERED || k->end == CALL_DIED;
		if (k->end == CALL_ANSWERED) {
			v.alive++;
			v.monotone &= v.high == 0;
			if (k->age_s > v.low)
				v.low = k->age_s;
			if (v.high < v.low)
				v.high = 0;
		} else if (k->end == CALL_DIED && v.high == 0)
			v.high = k->age_s;
	}
	if (!asked)
		v.why = REASON_NOT_ASKED;
	else if (v.high == 0 || why_no_end(c) == REASON_SERVER_CLOSED ||
	    why_no_end(c) == REASON_TCP_RESET)
		v.why = why_no_end(c);
	else if (!is_controlled(c))
		v.why = REASON_NO_CONTROL;
	if (v.why != REASON_NONE)
		v.high = 0;
	return v;
}

static void
judge_idle(const struct calls *c, struct verdict_tcp *v)
{
	bool kept = false, died = false;

	v->life = judge_tcp_life(c);
	for (size_t i = 0; i < c->n; i++) {
		const struct call *k = &c->v[i];

		if (k->use == CALL_KEEPER) {
			kept |= k->end == CALL_ANSWERED;
			died |= k->end == CALL_DIED;
		}
		if (k->use != CALL_LIFE ||
		    (k->end != CALL_ANSWERED && k->end != CALL_DIED))
			continue;
		v->by_server |= k->by_server;
		if (k->end == CALL_DIED && v->dying == DYING_UNKNOWN)
			v->dying = k->dying;
	}
	v->keepalive = kept ? ANSWER_YES : died ? ANSWER_NO : ANSWER_UNKNOWN;
	if (v->keepalive == ANSWER_UNKNOWN)
		v->keepalive_why = REASON_NOT_ASKED;
}

void
judge_tcp(const struct calls *c, struct verdict_tcp *v)
{
	memset(v, 0, sizeof(*v));
	if (c->primary != -1)
		v->works = ANSWER_YES;
	else {
		v->why = why_none_answers(c);
		v->works = v->why == REASON_NOT_ASKED ||
			v->why == REASON_LIAR || v->why == REASON_LOSS
		    ? ANSWER_UNKNOWN
		    : ANSWER_NO;
	}
	judge_mapping_of(c, v);
	judge_idle(c, v);
}

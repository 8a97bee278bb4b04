/* judge: all verdicts, and their names. PURE. */
#include <string.h>

#include "probes/natprobe/nat/probe.h"

const char *
behaviour_name(enum behaviour b)
{
	static const char *const names[BEHAVIOURS] = {
	    [BEHAVIOUR_UNKNOWN] = "unknown",
	    [BEHAVIOUR_NONE] = "none",
	    [BEHAVIOUR_EI] = "endpoint-independent",
	    [BEHAVIOUR_AD] = "address-dependent",
	    [BEHAVIOUR_APD] = "address-and-port-dependent",
	    [BEHAVIOUR_PD] = "port-dependent",
	    [BEHAVIOUR_DEPENDENT] = "dependent",
	    [BEHAVIOUR_MIXED] = "mixed",
	};

	return names[b];
}

const char *
reason_name(enum reason r)
{
	static const char *const names[REASONS] = {
	    [REASON_NONE] = "",
	    [REASON_NO_SERVER] = "no-server-answers",
	    [REASON_ONE_ADDRESS] = "one-server-address",
	    [REASON_NO_ALTERNATE] = "no-alternate-address",
	    [REASON_ALTERNATE_SILENT] = "alternate-address-silent",
	    [REASON_NO_CONTROL] = "no-positive-control",
	    [REASON_REFUSED] = "server-refuses",
	    [REASON_LOSS] = "too-few-answers",
	    [REASON_VARIES] = "sockets-disagree",
	    [REASON_LIAR] = "server-contradicts-itself",
	    [REASON_NO_NAT] = "no-nat",
	    [REASON_NOT_ASKED] = "not-asked",
	    [REASON_FILTERED] = "filter-would-hide-it",
	    [REASON_BEYOND] = "longer-than-tried",
	    [REASON_ONE_PORT] = "one-port-asked",
	    [REASON_STOPPED] = "run-ended-before",
	    [REASON_DISAGREE] = "servers-disagree",
	    [REASON_NO_SOCKET] = "no-socket",
	    [REASON_SERVER_STOPPED] = "server-stopped-answering",
	    [REASON_TCP_SILENT] = "tcp-silent",
	    [REASON_TCP_UNREACHABLE] = "tcp-unreachable",
	    [REASON_TCP_REFUSED] = "tcp-refused",
	    [REASON_TCP_RESET] = "tcp-reset",
	    [REASON_TCP_CLOSED] = "tcp-closed",
	    [REASON_TCP_MUTE] = "tcp-no-answer",
	    [REASON_TCP_NOT_STUN] = "tcp-not-stun",
	    [REASON_NO_ASKER] = "no-server-can-ask",
	    [REASON_SERVER_CLOSED] = "server-closed",
	    [REASON_SERVER_KEEPS] = "server-keeps-alive",
	};

	return names[r];
}

const char *
assignment_name(enum assignment a)
{
	static const char *const names[ASSIGNMENTS] = {
	    [ASSIGN_UNKNOWN] = "unknown",
	    [ASSIGN_PRESERVE] = "preserving",
	    [ASSIGN_SEQUENTIAL] = "sequential",
	    [ASSIGN_BLOCK] = "block",
	    [ASSIGN_CONTIGUOUS] = "contiguous",
	    [ASSIGN_RANDOM] = "random",
	};

	return names[a];
}

const char *
answer_name(enum answer a)
{
	static const char *const names[] = {
	    [ANSWER_UNKNOWN] = "unknown",
	    [ANSWER_NO] = "no",
	    [ANSWER_YES] = "yes",
	};

	return names[a];
}

const char *
hairpin_name(enum hairpin h)
{
	static const char *const names[] = {
	    [HAIRPIN_UNKNOWN] = "unknown",
	    [HAIRPIN_NO] = "no",
	    [HAIRPIN_EXTERNAL] = "external-source",
	    [HAIRPIN_INTERNAL] = "internal-source",
	};

	return names[h];
}

bool
local_same_net(const struct local *a, const struct local *b)
{
	unsigned bits = a->bits + (stun_addr_is_v4(&a->addr) ? 96 : 0);

	if (a->addr.port == 0 || b->addr.port == 0 || a->bits == 0 ||
	    a->bits != b->bits)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if (((a->addr.ip[i / 8] ^ b->addr.ip[i / 8]) >> (7 - i % 8) &
			1) != 0)
			return false;
	return true;
}

/* The socket that has the external address which is told. Its prefix is not
 * known here. */
static struct local
judge_local(const struct probe *p, const struct stun_addr *external)
{
	struct local l = {.bits = 0};

	for (size_t i = 0; i < p->engine.n_asks; i++) {
		const struct ask *a = &p->engine.asks[i];

		if (a->label.test == TEST_MAPPING && a->state == ASK_ANSWERED &&
		    stun_addr_same(&a->mapped, external))
			l.addr = p->engine.socks[a->sock].local;
	}
	return l;
}

/* A run that was ended early has not seen what there is to see: what speaks of
 * answers that did not come, speaks of none that would have. */
static void
note_stop(enum reason *why)
{
	switch (*why) {
	case REASON_NO_SERVER:
	case REASON_NO_ALTERNATE:
	case REASON_ONE_ADDRESS:
	case REASON_ALTERNATE_SILENT:
	case REASON_NO_CONTROL:
	case REASON_LOSS:
		*why = REASON_STOPPED;
		break;
	default:
		break;
	}
}

static void
note_stops(struct verdicts *v)
{
	note_stop(&v->mapping.why);
	note_stop(&v->filter.why);
	note_stop(&v->alloc.why);
	note_stop(&v->poison.why);
	note_stop(&v->collision.why);
	note_stop(&v->hairpin.why);
	for (unsigned c = 0; c < LIFE_CLASSES; c++)
		note_stop(&v->life[c].why);
	note_stop(&v->refresh.why);
}

/* The same where it is known why answers did not come. */
static void
note_cause(bool known, enum reason *why, enum reason cause)
{
	switch (*why) {
	case REASON_NO_SERVER:
	case REASON_NO_ALTERNATE:
	case REASON_ONE_ADDRESS:
	case REASON_ALTERNATE_SILENT:
		/* A server that stopped has told before what it has. */
		if (cause != REASON_NO_SOCKET)
			break;
		/* FALLTHROUGH */
	case REASON_NO_CONTROL:
	case REASON_LOSS:
		if (!known)
			*why = cause;
		break;
	default:
		break;
	}
}

static void
note_causes(struct verdicts *v, enum reason cause)
{
	note_cause(
	    v->mapping.kind != BEHAVIOUR_UNKNOWN, &v->mapping.why, cause);
	note_cause(v->filter.kind != BEHAVIOUR_UNKNOWN, &v->filter.why, cause);
	note_cause(v->alloc.kind != ASSIGN_UNKNOWN, &v->alloc.why, cause);
	note_cause(
	    v->poison.poisonable != ANSWER_UNKNOWN, &v->poison.why, cause);
	note_cause(v->collision.until_collision != ANSWER_UNKNOWN,
	    &v->collision.why, cause);
	note_cause(v->hairpin.kind != HAIRPIN_UNKNOWN, &v->hairpin.why, cause);
	for (unsigned c = 0; c < LIFE_CLASSES; c++)
		note_cause(v->life[c].rungs > 0, &v->life[c].why, cause);
}

static bool
asked_any(const struct probe *p)
{
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].sends > 0)
			return true;
	return false;
}

/* What was told of addresses by a primary server that lies is nothing. */
static void
forget_lies(struct verdicts *v)
{
	v->alloc = (struct verdict_alloc){.why = REASON_LIAR};
	v->poison = (struct verdict_poison){.why = REASON_LIAR};
	v->collision = (struct verdict_collision){.why = REASON_LIAR};
	v->hairpin = (struct verdict_hairpin){.why = REASON_LIAR};
	for (unsigned c = 0; c < LIFE_CLASSES; c++)
		if (v->life[c].why != REASON_NOT_ASKED)
			v->life[c] = (struct verdict_life){.why = REASON_LIAR};
	if (v->refresh.why != REASON_NOT_ASKED)
		v->refresh = (struct verdict_refresh){.why = REASON_LIAR};
}

void
judge(const struct probe *p, struct verdicts *v)
{
	memset(v, 0, sizeof(*v));
	v->mapping = judge_mapping(p);
	v->local = judge_local(p, &v->mapping.external);
	v->filter = judge_filter(p);
	v->alloc = judge_alloc(p);
	v->poison = judge_poison(p, &v->mapping);
	v->collision = judge_collision(p, &v->mapping);
	v->hairpin = judge_hairpin(p, &v->mapping, &v->filter);
	for (unsigned c = 0; c < LIFE_CLASSES; c++)
		v->life[c] = judge_life(p, c);
	v->refresh = judge_refresh(p);
	if (p->primary != -1 &&
	    (server_is_liar(p, (unsigned)p->primary) ||
		(v->mapping.outliers >> p->primary & 1) != 0))
		forget_lies(v);
	if (p->primary != -1)
		v->udp = ANSWER_YES;
	else if (p->phase > PHASE_DISCOVER &&
	    (asked_any(p) || p->engine.not_opened == 0))
		v->udp = ANSWER_NO;
	if (v->mapping.kind == BEHAVIOUR_NONE)
		v->nat = ANSWER_NO;
	else if (v->mapping.external.port != 0 &&
	    v->mapping.why != REASON_LIAR && v->mapping.why != REASON_DISAGREE)
		v->nat = ANSWER_YES;
	if (p->primary != -1 && server_stopped(p, (unsigned)p->primary))
		note_causes(v, REASON_SERVER_STOPPED);
	if (p->engine.not_opened > 0)
		note_causes(v, REASON_NO_SOCKET);
	if (p->stopped)
		note_stops(v);
}

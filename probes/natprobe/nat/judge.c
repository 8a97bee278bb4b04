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

void
judge(const struct probe *p, struct verdicts *v)
{
	memset(v, 0, sizeof(*v));
	v->mapping = judge_mapping(p);
	v->filter = judge_filter(p);
	v->alloc = judge_alloc(p);
	v->poison = judge_poison(p, &v->mapping);
	v->collision = judge_collision(p, &v->mapping);
	v->hairpin = judge_hairpin(p, &v->mapping, &v->filter);
	for (unsigned c = 0; c < LIFE_CLASSES; c++)
		v->life[c] = judge_life(p, c);
	v->refresh = judge_refresh(p);
	if (p->primary != -1)
		v->udp = ANSWER_YES;
	else if (p->phase > PHASE_DISCOVER)
		v->udp = ANSWER_NO;
	if (v->mapping.kind == BEHAVIOUR_NONE)
		v->nat = ANSWER_NO;
	else if (v->mapping.external.port != 0)
		v->nat = ANSWER_YES;
}

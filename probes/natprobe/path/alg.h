/*
 * alg: does something on the way rewrite addresses within packets, and does a
 * host keep its external address? PURE; of the answers to nat/'s questions.
 */
#ifndef NATPROBE_ALG_H
#define NATPROBE_ALG_H

#include "probes/natprobe/nat/probe.h"

struct alg_verdict {
	enum answer rewrites;
	const char *why; /* of ANSWER_UNKNOWN, else "" */
	unsigned answers, differ; /* with both addresses, and unlike */
	struct stun_addr sees, shows; /* of one that differs */
};
/*
 * RFC 8489 section 14.2: XOR-MAPPED-ADDRESS is there since NATs were seen
 * that replace, in MAPPED-ADDRESS, their external address by the host's. So
 * the two differ, and the second is this host's, or a private one.
 */
void alg_judge(const struct probe *p, struct alg_verdict *v);

/* RFC 4787 section 4.1, IP address pooling. */
enum pooling { POOLING_UNKNOWN, POOLING_PAIRED, POOLING_ARBITRARY };
const char *pooling_name(enum pooling p);
/* by: which packets of one host leave from another address. */
enum pooling pooling_judge(const struct verdicts *v, const char **by);

#endif

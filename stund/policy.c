/*
 * policy: what can change while stund runs, and the buckets that it rules.
 * Owns the tables of the buckets. Knows no socket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "run/log.h"
#include "run/loop.h"
#include "run/privdrop.h"
#include "stund/stund.h"

/* 131072 sources, 32768 prefixes and as many sources of gated requests: 1.5
 * MiB. A campus has fewer; of a flood the ones with the most left go first. */
#define SOURCE_SETS_LOG2 14
#define PREFIX_SETS_LOG2 12
#define GATED_SETS_LOG2	 12

/* A tight bucket's burst, in seconds of its rate. */
#define GATED_BURST_S 4

/* The share of a second's answers that may leave at once. */
#define TOTAL_BURST_SHARE 10

int
limits_init(struct stund_limits *l)
{
	randombytes_buf(l->key, sizeof(l->key));
	l->sources = ratetable_new(SOURCE_SETS_LOG2);
	l->prefixes = ratetable_new(PREFIX_SETS_LOG2);
	l->gated = ratetable_new(GATED_SETS_LOG2);
	if (l->sources != NULL && l->prefixes != NULL && l->gated != NULL)
		return 0;
	return -1;
}

void
limits_clear(struct stund_limits *l)
{
	ratetable_free(l->sources);
	ratetable_free(l->prefixes);
	ratetable_free(l->gated);
	l->sources = l->prefixes = l->gated = NULL;
}

/*
 * One hash serves a prefix and the sources in it: IPv4 /24 and the last byte,
 * IPv6 /48 and the two bytes up to /64. A source's is its prefix's plus a
 * multiple of an odd number (2^64 by the golden ratio): sources of one prefix
 * lie apart, and where the prefix lies nobody outside knows.
 */
static struct stund_source
hash_source(const struct stund_limits *l, const struct stun_addr *from)
{
	bool v4 = stun_addr_is_v4(from);
	const uint8_t *prefix = from->ip + (v4 ? 12 : 0);
	size_t n = v4 ? 3 : 6;
	struct stund_source h;
	struct rd r;

	rd_init(&r, prefix + n, v4 ? 1 : 2);
	h.prefix = ratetable_hash(l->key, prefix, n);
	h.own = h.prefix +
	    (1 + (uint64_t)(v4 ? rd_u8(&r) : rd_u16(&r))) *
		UINT64_C(0x9e3779b97f4a7c15);
	return h;
}

struct stund_source
limits_source(const struct stund_limits *l, const struct stun_addr *from)
{
	struct stund_source h = hash_source(l, from);

	ratetable_fetch(l->sources, h.own);
	ratetable_fetch(l->prefixes, h.prefix);
	return h;
}

uint64_t
limits_hash(const struct stund_limits *l, const struct stun_addr *from)
{
	return hash_source(l, from).own;
}

enum stund_bucket
limits_take(struct stund_limits *l, const struct stund_policy *policy,
    const struct stund_source *from, bool gated, struct mono now)
{
	const struct rate *own = gated ? &policy->gated : &policy->source;

	if (!ratetable_take(gated ? l->gated : l->sources, own, from->own, now))
		return gated ? BUCKET_GATED : BUCKET_SOURCE;
	if (!ratetable_take(l->prefixes, &policy->prefix, from->prefix, now))
		return BUCKET_PREFIX;
	if (!ratebucket_take(&l->total, &policy->total, now))
		return BUCKET_TOTAL;
	return BUCKETS;
}

static unsigned
rules_of(const struct stund_conf *c)
{
	return (c->behaviour == BEHAVIOUR_ALWAYS ? STUNSRV_ALWAYS : 0u) |
	    (c->classic ? STUNSRV_CLASSIC_TOO : 0u) |
	    (c->strict ? STUNSRV_STRICT : 0u);
}

int
policy_publish(struct stund *env, const struct stund_conf *c)
{
	struct stund_policy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -1;
	p->rules = rules_of(c);
	p->source = rate_new(c->source_rate, c->source_burst);
	p->prefix = rate_new(c->prefix_rate, c->prefix_burst);
	p->gated = rate_new(c->gated_rate, GATED_BURST_S * c->gated_rate);
	p->total =
	    rate_new(c->total_rate, 1 + c->total_rate / TOTAL_BURST_SHARE);
	p->older = atomic_load(&env->policy);
	atomic_store(&env->policy, p);
	return 0;
}

void
policy_free(struct stund_policy *p)
{
	struct stund_policy *older;

	for (; p != NULL; p = older) {
		older = p->older;
		free(p);
	}
}

static void
reload(struct stund *env)
{
	struct stund_conf fresh = {0};
	char error[STUND_ERROR_MAX], stuck[STUND_ERROR_MAX];

	if (stund_conf_read(&fresh, env->argc, env->argv, error) != CONF_OK ||
	    secure_publish(env, &fresh, error) == -1)
		log_warnx("SIGHUP: all stays as it was: %s", error);
	else if (policy_publish(env, &fresh) == -1)
		log_warnx("SIGHUP: all stays as it was: out of memory");
	else {
		stund_conf_stuck(&env->conf, &fresh, stuck, sizeof(stuck));
		log_info("SIGHUP: the new rules%s and rates hold%s%s",
		    env->conf.tls_listen.n > 0 ? ", certificate" : "",
		    stuck[0] == '\0' ? "" : "; these need a restart: ", stuck);
	}
	stund_conf_clear(&fresh);
}

void
policy_reload(struct stund *env)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)loop_now(env->loop).us);
	privdrop_notify(state);
	reload(env);
	privdrop_notify("READY=1");
}

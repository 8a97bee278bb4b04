/* alg: see alg.h. PURE. */
#include <string.h>

#include "probes/natprobe/path/alg.h"
#include "probes/natprobe/path/dns.h"

static bool
is_inside(const struct probe *p, const struct ask *a)
{
	struct ip ip;

	memcpy(ip.b, a->plain.ip, sizeof(ip.b));
	return dns_is_private(&ip) ||
	    stun_addr_same_ip(&a->plain, &p->engine.socks[a->sock].local);
}

void
alg_judge(const struct probe *p, struct alg_verdict *v)
{
	unsigned inside = 0;

	*v = (struct alg_verdict){.why = ""};
	for (size_t i = 0; i < p->engine.n_asks; i++) {
		const struct ask *a = &p->engine.asks[i];

		if (a->state != ASK_ANSWERED || a->plain.port == 0 ||
		    a->mapped.port == 0)
			continue;
		v->answers++;
		if (stun_addr_same(&a->plain, &a->mapped))
			continue;
		v->differ++;
		if (inside == 0) {
			v->sees = a->mapped;
			v->shows = a->plain;
		}
		inside += is_inside(p, a);
	}
	if (v->answers == 0)
		v->why = reason_name(
		    p->primary == -1 ? REASON_NO_SERVER : REASON_NOT_ASKED);
	else if (v->differ == 0)
		v->rewrites = ANSWER_NO;
	else if (inside > 0)
		v->rewrites = ANSWER_YES;
	else
		v->why = reason_name(REASON_LIAR);
}

const char *
pooling_name(enum pooling p)
{
	static const char *const names[] = {
	    [POOLING_UNKNOWN] = "unknown",
	    [POOLING_PAIRED] = "paired",
	    [POOLING_ARBITRARY] = "arbitrary",
	};

	return names[p];
}

enum pooling
pooling_judge(const struct verdicts *v, const char **by)
{
	*by = NULL;
	if (v->alloc.addresses > 1) {
		*by = "socket";
		return POOLING_ARBITRARY;
	}
	if (v->mapping.pool_varies) {
		*by = "destination";
		return POOLING_ARBITRARY;
	}
	return v->alloc.addresses == 1 && v->mapping.units > 0
	    ? POOLING_PAIRED
	    : POOLING_UNKNOWN;
}

/*
 * natprobe_tcp_fuzz: what a STUN server sends over TCP, whole and in pieces,
 * to a connection of natprobe's mapping, and to an idle one. What becomes of
 * the connection must not depend on where it was cut.
 *
 *     | length of a piece u8 | stream ... |
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/tcp/calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A run whose first connections have been asked; the seed makes the
 * transaction ids, so that the corpus has right ones. */
static void
begin(struct calls *c, struct mono now)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};
	static const struct stun_addr local = {
	    {[10] = 0xff, 0xff, 10, 0, 2, 15}, 40000};
	static const struct stun_addr server = {
	    {[10] = 0xff, 0xff, 192, 0, 2, 10}, 3478};
	struct probe_options o = {.rate = 100,
	    .lifetime = true,
	    .ttl_max_s = 4,
	    .ttl_resolution_s = 2};
	struct call_act act;

	calls_init(c, &o, &server, 1, seed, now);
	if (c->bad)
		exit(0);
	while (calls_next(c, now, &act))
		if (act.kind == CALL_ACT_OPEN) {
			calls_opened(c, act.call, &local);
			calls_connected(c, act.call, now);
		}
}

static void
feed(struct calls *c, const uint8_t *p, size_t n, size_t piece, struct mono now)
{
	struct verdict_tcp v;
	size_t m;

	for (; n > 0; p += m, n -= m) {
		m = n < piece ? n : piece;
		calls_input(c, 0, p, m, now);
	}
	judge_tcp(c, &v);
	if (v.works == ANSWER_YES || v.mapping.kind != BEHAVIOUR_UNKNOWN)
		abort(); /* before the discovery is over */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mono now = {1000000};
	static struct calls a, b;

	if (size == 0)
		return 0;
	for (int use = CALL_DISCOVER; use <= CALL_LIFE; use += CALL_LIFE) {
		begin(&a, now);
		begin(&b, now);
		a.v[0].use = b.v[0].use = (enum call_use)use;
		feed(&a, data + 1, size - 1, size, now);
		feed(&b, data + 1, size - 1, 1u + data[0], now);
		if (a.v[0].state != b.v[0].state || a.v[0].end != b.v[0].end ||
		    a.v[0].lies != b.v[0].lies ||
		    !stun_addr_same(&a.v[0].mapped, &b.v[0].mapped) ||
		    !stun_addr_same(&a.v[0].other, &b.v[0].other))
			abort();
		calls_clear(&a);
		calls_clear(&b);
	}
	return 0;
}

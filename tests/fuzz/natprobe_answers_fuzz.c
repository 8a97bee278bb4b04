/*
 * natprobe_answers_fuzz: STUN servers that send anything, to any socket, at
 * any time. A run ends, whatever they send, and its verdicts are sound: what
 * is not known has a reason, and a server's findings are those that there are.
 *
 * The input is a row of datagrams: | length 1 | ask 1 | from 1 | sock 1 |
 * bytes |. If the length's highest bit is set, the ask's transaction id is put
 * in where an answer has it.
 */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "pure/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define TURNS_MAX 20000

static void
check(bool good)
{
	if (!good)
		abort();
}

static struct stun_addr
server(uint8_t last)
{
	return (struct stun_addr){
	    .ip = {[10] = 0xff, 0xff, 203, 0, 113, last}, .port = 3478};
}

static void
open_sock(struct probe *p, uint16_t sock, struct mono now)
{
	struct stun_addr local = {.ip = {[10] = 0xff, 0xff, 10, 0, 2, 15},
	    .port = (uint16_t)(30000 + sock)};

	engine_opened(&p->engine, sock, &local, now);
}

/* False when there is nothing left of the input. */
static bool
give(struct probe *p, struct rd *in, struct mono now)
{
	struct engine *e = &p->engine;
	uint8_t head = rd_u8(in), ask = rd_u8(in), from = rd_u8(in);
	uint8_t sock = rd_u8(in);
	size_t len = head & 0x7f;
	uint8_t packet[128];
	struct stun_addr who;

	if (in->bad || rd_left(in) < len || e->n_socks == 0 || e->n_asks == 0)
		return false;
	rd_copy(in, packet, len);
	if ((head & 0x80) != 0 && len >= 20)
		memcpy(packet + 8,
		    e->asks[e->n_asks - 1 - ask % e->n_asks].txid.b,
		    STUN_TXID_LEN);
	who = from < 128 ? server(10 + from % 3)
			 : e->asks[from % e->n_asks].expect;
	engine_input(e, (uint16_t)(sock % e->n_socks), &who, packet, len, now);
	return true;
}

static void
run(struct probe *p, struct rd *in)
{
	struct mono now = {1};
	struct act act;
	bool more = true;

	for (unsigned i = 0; more; i++) {
		check(i < TURNS_MAX);
		while (engine_next(&p->engine, now, &act))
			if (act.kind == ACT_OPEN)
				open_sock(p, act.sock, now);
			else if (rd_left(in) > 0)
				(void)give(p, in, now);
		more = probe_advance(p, now);
		if (more && engine_wake(&p->engine).us > now.us)
			now = engine_wake(&p->engine);
	}
}

static void
check_verdicts(const struct probe *p)
{
	struct verdicts v;

	judge(p, &v);
	check(v.mapping.kind != BEHAVIOUR_UNKNOWN ||
	    v.mapping.why != REASON_NONE);
	check(
	    v.filter.kind != BEHAVIOUR_UNKNOWN || v.filter.why != REASON_NONE);
	check(v.udp != ANSWER_UNKNOWN);
	for (unsigned i = 0; i < p->n_servers; i++) {
		unsigned found = judge_server(p, i, &v.mapping);

		check(found >> FINDINGS == 0);
		for (enum finding f = 0; f < FINDINGS; f++)
			check(*finding_name(f) != '\0');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {9};
	struct probe_options o = {
	    .rate = 1000, .hairpin = true, .local_ips = 2};
	struct stun_addr servers[3] = {server(10), server(11), server(12)};
	struct probe p;
	struct rd in;

	rd_init(&in, data, n);
	probe_init(&p, &o, servers, 3, seed, (struct mono){1});
	run(&p, &in);
	check_verdicts(&p);
	probe_clear(&p);
	return 0;
}

/* gateway_pcp: PCP and NAT-PMP, byte for byte as in RFC 6887 and RFC 6886; and
 * answers that must not be believed. */
#include "probes/natprobe/gateway/pcp.h"
#include "pure/cursor.h"
#include "tests/tap.h"

static const struct ip client = {{[10] = 0xff, 0xff, 10, 0, 2, 15}};
static const struct ip outside = {{[10] = 0xff, 0xff, 198, 51, 100, 7}};
static const uint8_t nonce[PCP_NONCE_LEN] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const struct mono start = {1000000};

#define PORT 41000
#define LEN  PCP_PACKET_MAX

static struct pcp
begun(enum pcp_protocol protocol, enum pcp_step step)
{
	uint8_t out[LEN];
	struct pcp p;

	pcp_init(&p, protocol, &client, nonce);
	p.port = PORT;
	pcp_begin(&p, step, start);
	(void)pcp_next(&p, start, out);
	return p;
}

/* An answer of version 2, with the fields that a case varies. */
struct v2 {
	uint8_t version, op, result, protocol;
	uint32_t lifetime;
	const uint8_t *nonce;
	uint16_t port;
	size_t cut;
};

static const struct v2 good = {.version = 2,
    .op = 0x81,
    .protocol = 17,
    .lifetime = 120,
    .nonce = nonce,
    .port = PORT};

static size_t
answer_v2(uint8_t out[static LEN], const struct v2 *v)
{
	struct wr w;

	wr_init(&w, out, LEN);
	wr_u8(&w, v->version);
	wr_u8(&w, v->op);
	wr_u8(&w, 0);
	wr_u8(&w, v->result);
	wr_u32(&w, v->lifetime);
	wr_u32(&w, 777);
	wr_zero(&w, 12);
	if (v->op != 0x80) {
		wr_bytes(&w, v->nonce, PCP_NONCE_LEN);
		wr_u8(&w, v->protocol);
		wr_zero(&w, 3);
		wr_u16(&w, v->port);
		wr_u16(&w, 50000);
		wr_bytes(&w, outside.b, 16);
	}
	return wr_len(&w) - v->cut;
}

static enum pcp_state
state_after(struct pcp *p, const struct v2 *v)
{
	uint8_t out[LEN];

	pcp_input(p, out, answer_v2(out, v));
	return p->steps[p->step].state;
}

static void
test_requests(void)
{
	static const uint8_t announce[24] = {
	    2, 0, [18] = 0xff, 0xff, 10, 0, 2, 15};
	static const uint8_t map[60] = {2, 1, 0, 0, 0, 0, 0, 120, [18] = 0xff,
	    0xff, 10, 0, 2, 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 0, 0,
	    0, 0xa0, 0x28, 0xa0, 0x28, [54] = 0xff, 0xff};
	static const uint8_t pmp_map[12] = {
	    0, 1, 0, 0, 0xa0, 0x28, 0xa0, 0x28, 0, 0, 0, 120};
	static const uint8_t pmp_remove[12] = {0, 1, 0, 0, 0xa0, 0x28};
	uint8_t out[LEN];
	struct pcp p;

	pcp_init(&p, PCP_V2, &client, nonce);
	p.port = PORT;
	eq_int(pcp_next(&p, start, out), 0, "nothing is sent unasked");
	pcp_begin(&p, PCP_ASK, start);
	eq_int(pcp_next(&p, start, out), 24, "ANNOUNCE");
	eq_mem(out, announce, 24, "... byte for byte");
	pcp_begin(&p, PCP_MAP, start);
	eq_int(pcp_next(&p, start, out), 60, "MAP");
	eq_mem(out, map, 60, "... byte for byte");
	eq_int(state_after(&p, &good), PCP_ANSWERED, "granted");
	pcp_begin(&p, PCP_REMOVE, start);
	eq_int(pcp_next(&p, start, out), 60, "its removal");
	eq_mem(out + 4, "\0\0\0\0", 4, "... with lifetime 0");
	eq_mem(out + 24, nonce, PCP_NONCE_LEN, "... and the same nonce");
	eq_mem(out + 42, "\xc3\x50", 2, "... of the port that was given");

	pcp_init(&p, PCP_NATPMP, &client, nonce);
	p.port = PORT;
	pcp_begin(&p, PCP_ASK, start);
	eq_int(pcp_next(&p, start, out), 2, "NAT-PMP asks for the address");
	eq_mem(out, "\0\0", 2, "... byte for byte");
	pcp_begin(&p, PCP_MAP, start);
	eq_int(pcp_next(&p, start, out), 12, "NAT-PMP maps");
	eq_mem(out, pmp_map, 12, "... byte for byte");
	pcp_begin(&p, PCP_REMOVE, start);
	eq_int(pcp_next(&p, start, out), 12, "NAT-PMP removes");
	eq_mem(out, pmp_remove, 12, "... byte for byte");
}

static void
test_v2_answers(void)
{
	static const uint8_t other[PCP_NONCE_LEN] = {9};
	struct pcp p = begun(PCP_V2, PCP_MAP);
	struct v2 v = good;

	eq_int(state_after(&p, &good), PCP_ANSWERED, "a grant");
	ok(p.steps[PCP_MAP].answer.port == 50000 &&
		p.steps[PCP_MAP].answer.lifetime == 120 &&
		p.steps[PCP_MAP].answer.epoch == 777 &&
		ip_compare(&p.steps[PCP_MAP].answer.external, &outside) == 0,
	    "... with all that it says");

	p = begun(PCP_V2, PCP_MAP);
	v.nonce = other;
	eq_int(state_after(&p, &v), PCP_WAITING, "another nonce is not ours");
	eq_int(p.odd, 1, "... and counted");
	v = good;
	v.port = PORT + 1;
	eq_int(state_after(&p, &v), PCP_WAITING, "nor another port");
	v = good;
	v.protocol = 6;
	eq_int(state_after(&p, &v), PCP_WAITING, "nor TCP");
	v = good;
	v.op = 1;
	eq_int(state_after(&p, &v), PCP_WAITING, "nor a request");
	v.op = 0x82;
	eq_int(state_after(&p, &v), PCP_WAITING, "nor another opcode");
	v = good;
	v.lifetime = 0;
	eq_int(state_after(&p, &v), PCP_WAITING, "a removal is no grant");
	for (v = good; v.cut <= 60; v.cut++)
		if (v.cut > 0 && state_after(&p, &v) != PCP_WAITING)
			break;
	eq_int(v.cut, 61, "what is cut anywhere is no answer");
	v = good;
	v.result = PCP_ADDRESS_MISMATCH;
	eq_int(state_after(&p, &v), PCP_ANSWERED, "a refusal");
	eq_str(pcp_result_name(PCP_V2, p.steps[PCP_MAP].answer.result),
	    "address-mismatch", "... has a name");

	p = begun(PCP_V2, PCP_REMOVE);
	eq_int(state_after(&p, &good), PCP_WAITING,
	    "a late grant does not answer the removal");
	v = good;
	v.lifetime = 0;
	eq_int(state_after(&p, &v), PCP_ANSWERED, "removed");
}

static void
test_natpmp_answers(void)
{
	static const uint8_t address[12] = {
	    0, 128, 0, 0, 0, 0, 3, 9, 198, 51, 100, 7};
	static const uint8_t refused[8] = {0, 128, 0, 2, 0, 0, 3, 9};
	static const uint8_t map[16] = {
	    0, 129, 0, 0, 0, 0, 3, 9, 0xa0, 0x28, 0xc3, 0x50, 0, 0, 0, 120};
	static const uint8_t denied[8] = {0, 129, 0, 2};
	struct pcp p = begun(PCP_NATPMP, PCP_ASK);
	uint8_t bytes[16];

	pcp_input(&p, address, 11);
	eq_int(p.steps[PCP_ASK].state, PCP_WAITING, "NAT-PMP: cut");
	pcp_input(&p, address, sizeof(address));
	ok(pcp_is_spoken(&p) && p.steps[PCP_ASK].answer.epoch == 777 &&
		ip_compare(&p.steps[PCP_ASK].answer.external, &outside) == 0,
	    "NAT-PMP: tells the address");
	p = begun(PCP_NATPMP, PCP_ASK);
	pcp_input(&p, refused, sizeof(refused));
	ok(pcp_is_spoken(&p) && !p.steps[PCP_ASK].answer.has_external,
	    "NAT-PMP: does not tell it");
	p = begun(PCP_NATPMP, PCP_MAP);
	memcpy(bytes, map, sizeof(map));
	bytes[9]++;
	pcp_input(&p, bytes, sizeof(bytes));
	eq_int(p.steps[PCP_MAP].state, PCP_WAITING, "NAT-PMP: other port");
	pcp_input(&p, map, sizeof(map));
	ok(p.steps[PCP_MAP].state == PCP_ANSWERED &&
		p.steps[PCP_MAP].answer.port == 50000,
	    "NAT-PMP: mapped");
	p = begun(PCP_NATPMP, PCP_MAP);
	pcp_input(&p, denied, sizeof(denied));
	eq_int(p.steps[PCP_MAP].answer.result, 2, "NAT-PMP: denied");
	eq_str(pcp_result_name(PCP_NATPMP, 4), "no-resources",
	    "its numbers are its own");
	eq_str(pcp_result_name(PCP_NATPMP, 6), "unknown-result",
	    "and those that it does not have");
}

/* One socket serves both: an answer reaches the one that asked. */
static void
test_versions(void)
{
	static const uint8_t pmp_only[8] = {0, 128, 0, 1};
	static const uint8_t address[12] = {0, 128, 0, 0, 0, 0, 3, 9, 25};
	struct v2 announce = {.version = 2, .op = 0x80};
	struct pcp pcp = begun(PCP_V2, PCP_ASK);
	struct pcp pmp = begun(PCP_NATPMP, PCP_ASK);

	pcp_input(&pcp, address, sizeof(address));
	eq_int(pcp.steps[PCP_ASK].state, PCP_WAITING,
	    "NAT-PMP's answer is not PCP's");
	eq_int(state_after(&pmp, &announce), PCP_WAITING,
	    "PCP's answer is not NAT-PMP's");
	pcp_input(&pmp, pmp_only, sizeof(pmp_only));
	pcp_input(&pcp, pmp_only, sizeof(pmp_only));
	eq_int(pmp.steps[PCP_ASK].state, PCP_WAITING,
	    "\"no such version\", in NAT-PMP, is not about NAT-PMP");
	ok(pcp.steps[PCP_ASK].state == PCP_ANSWERED && !pcp_is_spoken(&pcp),
	    "... but says that PCP is not spoken");
	pcp = begun(PCP_V2, PCP_ASK);
	announce.result = PCP_UNSUPP_VERSION;
	(void)state_after(&pmp, &announce);
	(void)state_after(&pcp, &announce);
	ok(pcp.steps[PCP_ASK].state == PCP_WAITING &&
		pmp.steps[PCP_ASK].state == PCP_ANSWERED &&
		!pcp_is_spoken(&pmp),
	    "and the other way round");
	announce.result = 0;
	(void)state_after(&pcp, &announce);
	ok(pcp_is_spoken(&pcp), "PCP is spoken");
}

static void
test_time(void)
{
	struct pcp p = begun(PCP_V2, PCP_ASK);
	struct mono now = start;
	uint8_t out[LEN];
	unsigned sends = 1;
	bool due, foreseen = true;

	ok(!pcp_is_due(&p, now), "nothing is due at once again");
	eq_int(pcp_next(&p, now, out), 0, "not twice at once");
	while (!pcp_over(&p) && sends < 10) {
		now = pcp_wake(&p);
		due = pcp_is_due(&p, now);
		foreseen &= due == (pcp_next(&p, now, out) > 0);
		sends += due;
	}
	ok(foreseen, "what is due is sent, and nothing else");
	eq_int(sends, PCP_SENDS, "asked so often");
	eq_int(p.steps[PCP_ASK].state, PCP_SILENT, "then it is silent");
	eq_int(mono_diff_us(start, now), 1750000, "after 1.75 s");
	p = begun(PCP_V2, PCP_ASK);
	pcp_close(&p);
	eq_int(p.steps[PCP_ASK].state, PCP_CLOSED, "ICMP ends it");
	ok(!mono_is_set(pcp_wake(&p)) && !pcp_is_spoken(&p), "... at once");
}

int
main(void)
{
	test_requests();
	test_v2_answers();
	test_natpmp_answers();
	test_versions();
	test_time();
	return tap_done();
}

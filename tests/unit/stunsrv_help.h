/* stunsrv_help: requests, sites and answers for the tests of stunsrv. */
#ifndef UNIT_STUNSRV_HELP_H
#define UNIT_STUNSRV_HELP_H

#include "pure/stunsrv.h"
#include "tests/tap.h"

/* The text of attributes, and its length. */
#define S(x) (x), sizeof(x) - 1

#define V4(a, b, c, d)                                               \
	{                                                            \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
	}

static const struct stun_txid txid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
static const struct stun_addr from_v4 = {V4(192, 0, 2, 1), 32853};
static const struct stun_addr from_v6 = {
    {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 32853};

/* A1 198.51.100.10, A2 198.51.100.11, P1 3478, P2 3479, all here. */
static const struct stunsrv_site four = {
    .at = {{V4(198, 51, 100, 10), 3478}, {V4(198, 51, 100, 10), 3479},
	{V4(198, 51, 100, 11), 3478}, {V4(198, 51, 100, 11), 3479}},
    .here = STUNSRV_ALL_ROLES,
    .extras = true,
    .cookie_key = {1, 2, 3},
};

/* One of the four only. */
static const struct stunsrv_site single = {
    .at = {{V4(198, 51, 100, 10), 3478}},
    .here = STUNSRV_ROLE_BIT(STUNSRV_A1P1),
    .extras = true,
};

/* A request of these attributes, with a right FINGERPRINT at the end or not. */
static inline size_t
build(uint8_t *b, size_t cap, const char *attrs, size_t n, bool fingerprint)
{
	struct wr w;

	wr_init(&w, b, cap);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &txid);
	wr_bytes(&w, attrs, n);
	return fingerprint ? stun_end_fingerprint(&w) : stun_end(&w);
}

/* Judges and writes; the length of the answer, 0 for silence. */
static inline size_t
serve(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    const void *p, size_t n, struct stunsrv_reply *r,
    uint8_t out[static STUNSRV_ANSWER_MAX])
{
	memset(out, 0, STUNSRV_ANSWER_MAX);
	if (!stunsrv_is_answered(stunsrv_judge(site, a, p, n, r)))
		return 0;
	return stunsrv_write(site, a, r, out);
}

/* Finds the first attribute of a type in an answer. */
static inline bool
find(const uint8_t *p, size_t n, uint16_t type, struct stun_attr *a)
{
	struct stun_msg m;
	struct rd r;

	if (stun_parse(&m, p, n) == STUN_FORM_OTHER)
		return false;
	for (r = stun_attrs(&m); stun_attr_next(&m, &r, a);)
		if (a->type == type)
			return true;
	return false;
}

/* Does the answer hold this address under this type? */
static inline bool
holds(const uint8_t *p, size_t n, uint16_t type, const struct stun_addr *want)
{
	struct stun_attr a;
	struct stun_addr got;
	struct stun_msg m;

	if (!find(p, n, type, &a) || stun_parse(&m, p, n) == STUN_FORM_OTHER)
		return false;
	if (type == STUN_XOR_MAPPED_ADDRESS
		? !stun_read_xor_address(&a, &m.txid, &got)
		: !stun_read_address(&a, &got))
		return false;
	return memcmp(got.ip, want->ip, 16) == 0 && got.port == want->port;
}

#endif

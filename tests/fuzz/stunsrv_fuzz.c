/*
 * stunsrv_fuzz: any datagram to the server. Whatever it says must be short,
 * must be understood by our own client, and must never itself be answered.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/stunsrv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct stunsrv_site plain = {
    .here = STUNSRV_ROLE_BIT(STUNSRV_A1P1)};

static enum stunsrv_verdict
answer(const void *p, size_t n, const struct stun_addr *from,
    uint8_t out[static STUNSRV_ANSWER_MAX], size_t *len)
{
	const struct stunsrv_arrival a = {.from = from};
	struct stunsrv_reply r;
	enum stunsrv_verdict v = stunsrv_judge(&plain, &a, p, n, &r);

	*len = stunsrv_is_answered(v) ? stunsrv_write(&plain, &a, &r, out) : 0;
	return v;
}

static void
check(const uint8_t *data, size_t size, const struct stun_addr *from,
    size_t success_len)
{
	uint8_t out[STUNSRV_ANSWER_MAX], again[STUNSRV_ANSWER_MAX];
	size_t len, len2, limit = size * 13 / 10;
	struct stun_addr mapped;
	struct stun_msg q, p;
	unsigned code;
	enum stunsrv_verdict v = answer(data, size, from, out, &len);
	bool answered = v <= STUNSRV_UNKNOWN_ATTRIBUTE;

	if (answered != (len > 0))
		abort();
	if (!answered)
		return;
	if (v == STUNSRV_SUCCESS && limit < success_len)
		limit = success_len;
	if (len > limit || stun_parse(&p, out, len) != STUN_FORM_OK ||
	    stun_parse(&q, data, size) != STUN_FORM_OK ||
	    q.class != STUN_REQUEST)
		abort();
	switch (stun_response_parse(out, len, &q.txid, &mapped, &code)) {
	case STUN_RESPONSE_MAPPED:
		if (v != STUNSRV_SUCCESS || mapped.port != from->port ||
		    memcmp(mapped.ip, from->ip, sizeof(mapped.ip)) != 0)
			abort();
		break;
	case STUN_RESPONSE_ERROR:
		if (code != (v == STUNSRV_BAD_REQUEST ? 400 : 420))
			abort();
		break;
	default:
		abort();
	}
	if (answer(out, len, from, again, &len2) != STUNSRV_NOT_REQUEST ||
	    len2 != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stun_addr v4 = {
	    {[10] = 0xff, 0xff, 192, 0, 2, 1}, 32853};
	static const struct stun_addr v6 = {
	    {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 32853};

	check(data, size, &v4, 32);
	check(data, size, &v6, 44);
	return 0;
}

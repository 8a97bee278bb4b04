/*
 * stunsrv_fuzz: any message, to any site, in any role, over any transport,
 * under any rules. The first 4 bytes choose those; the rest is the message.
 * Whatever is said must be in proportion, must be understood by our own
 * client, and must never itself be answered.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/stunsrv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHOICES 4
#define V4(n)                                     \
	{                                         \
		[10] = 0xff, 0xff, 192, 0, 2, (n) \
	}

static const struct stun_addr sources[] = {
    {V4(1), 32853}, {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 32853}};

static const struct stun_addr own = {V4(9), 3478};

static struct stunsrv_site
choose_site(unsigned bits)
{
	struct stunsrv_site site = {.at = {{V4(9), 3478}, {V4(9), 3479},
					{V4(10), 3478}, {V4(10), 3479}},
	    .here = (uint8_t)(bits & STUNSRV_ALL_ROLES) | 1,
	    .own = &own,
	    .n_own = 1};

	site.partner = (uint8_t)(~site.here & STUNSRV_ALL_ROLES);
	site.extras = (bits & 16) != 0;
	site.wildcard = (bits & 32) != 0;
	return site;
}

/* The longest answer that may be given to such a request. */
static size_t
bound(const struct stunsrv_arrival *a, const struct stunsrv_reply *r, size_t n)
{
	bool v4 = stun_addr_is_v4(a->from), strict;
	size_t least = v4 ? 32 : 44;

	strict = (a->rules & STUNSRV_STRICT) != 0;
	if (a->transport != STUNSRV_UDP)
		return STUNSRV_PLAIN_MAX;
	if (r->verdict != STUNSRV_SUCCESS)
		return strict ? n : n * 13 / 10;
	if (!strict && (r->want & STUNSRV_WANT_PADDING) == 0 &&
	    ((a->rules & STUNSRV_ALWAYS) != 0 || r->magic != STUN_COOKIE))
		return n > STUNSRV_PLAIN_MAX ? n : STUNSRV_PLAIN_MAX;
	/* The shortest; in strict mode for Tailscale's alone, which has 32. */
	return n > least ? n : strict && n < 32 ? n : least;
}

static void
check_reply(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *r)
{
	unsigned bit = STUNSRV_ROLE_BIT(r->role);
	bool udp = a->transport == STUNSRV_UDP;
	bool elsewhere = r->role != a->role || r->port != a->from->port ||
	    (udp && r->delay_ms > 0) || r->partner;

	if (elsewhere && (!r->gated || !udp))
		abort();
	if (r->delay_ms > STUNSRV_DELAY_MAX_MS ||
	    (udp && r->delay_ms > 0 && !r->cookie))
		abort();
	if (r->port != a->from->port && r->port < 1024)
		abort();
	if (r->partner ? (site->partner & bit) == 0 ||
		    (a->rules & STUNSRV_PARTNER_UP) == 0
		       : r->role != a->role && (site->here & bit) == 0)
		abort();
}

/* Our own client reads it; a classic answer only by its header. */
static void
check_answer(const uint8_t *p, size_t len, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *r)
{
	struct stun_addr mapped;
	struct stun_msg m;
	unsigned code;

	if (stun_parse(&m, p, len) == STUN_FORM_OTHER || m.cookie != r->magic ||
	    memcmp(&m.txid, &r->txid, sizeof(m.txid)) != 0)
		abort();
	if (r->magic != STUN_COOKIE)
		return;
	switch (stun_response_parse(p, len, &r->txid, &mapped, &code)) {
	case STUN_RESPONSE_MAPPED:
		if (r->verdict != STUNSRV_SUCCESS ||
		    mapped.port != a->from->port ||
		    memcmp(mapped.ip, a->from->ip, sizeof(mapped.ip)) != 0)
			abort();
		break;
	case STUN_RESPONSE_ERROR:
		if (code != (r->verdict == STUNSRV_BAD_REQUEST ? 400 : 420))
			abort();
		break;
	default:
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[STUNSRV_ANSWER_MAX];
	struct stunsrv_arrival a = {.to = &own, .now = {1}};
	struct stunsrv_reply r, again;
	struct stunsrv_site site;
	size_t len, n;

	if (size < CHOICES)
		return 0;
	site = choose_site(data[0]);
	a.role = (enum stunsrv_role)(data[1] % STUNSRV_ROLES);
	a.transport = (enum stunsrv_transport)(data[2] % STUNSRV_TRANSPORTS);
	a.rules = data[3] & 15;
	a.from = &sources[data[3] >> 7];
	data += CHOICES;
	n = size - CHOICES;
	if (!stunsrv_is_answered(stunsrv_judge(&site, &a, data, n, &r)))
		return 0;
	check_reply(&site, &a, &r);
	len = stunsrv_write(&site, &a, &r, out);
	if (len == 0 || len > bound(&a, &r, n))
		abort();
	check_answer(out, len, &a, &r);
	if (stunsrv_judge(&site, &a, out, len, &again) != STUNSRV_NOT_REQUEST)
		abort();
	return 0;
}

/*
 * stunsrv_write: answers, from what stunsrv.c has made of a request; and the
 * cookies in them. Keeps no state.
 */
#include <string.h>

#include <sodium.h>

#include "pure/stunsrv_impl.h"

_Static_assert(STUNSRV_COOKIE_LEN == crypto_shorthash_BYTES, "cookie");
_Static_assert(STUNSRV_COOKIE_KEY_LEN == crypto_shorthash_KEYBYTES, "key");

#define COOKIE_ATTR_LEN (4 + STUNSRV_COOKIE_LEN)

unsigned
stunsrv_roles(const struct stunsrv_site *site, const struct stunsrv_arrival *a)
{
	if ((a->rules & STUNSRV_PARTNER_UP) == 0)
		return site->here;
	return site->here | site->partner;
}

void
stunsrv_cookie(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    uint64_t ago, uint8_t cookie[static STUNSRV_COOKIE_LEN])
{
	/* From 1 on: also the first has one before it. */
	uint64_t slot = (uint64_t)(a->now.us / STUNSRV_COOKIE_SLOT_US) + 1;
	uint8_t in[sizeof(a->from->ip) + sizeof(slot)];
	struct wr w;

	wr_init(&w, in, sizeof(in));
	wr_bytes(&w, a->from->ip, sizeof(a->from->ip));
	wr_u64(&w, slot - ago);
	crypto_shorthash(cookie, in, sizeof(in), site->cookie_key);
}

/* Room left for n more bytes, if the answer is to have at most max. */
static bool
fits(const struct wr *w, const struct stunsrv_reply *r, size_t n, size_t max)
{
	if ((r->want & STUNSRV_WANT_FINGERPRINT) != 0)
		n += STUN_FINGERPRINT_LEN;
	return wr_len(w) + n <= max;
}

/* What clients are told of the socket with that role. */
static struct stun_addr
address_of(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    unsigned role)
{
	struct stun_addr addr = site->at[role];

	if (!site->wildcard)
		return addr;
	memcpy(addr.ip, a->to->ip, sizeof(addr.ip));
	for (size_t i = 0; i < site->n_aliases; i++)
		if (memcmp(site->aliases[i].local, addr.ip, 16) == 0) {
			memcpy(addr.ip, site->aliases[i].told, 16);
			break;
		}
	return addr;
}

static void
put_extra(struct wr *w, const struct stunsrv_reply *r, uint16_t type,
    const struct stun_addr *addr)
{
	if (fits(w, r, stun_addr_is_v4(addr) ? 12 : 24, r->extras_max))
		stun_put_address(w, type, addr);
}

/* OTHER-ADDRESS is what CHANGE-REQUEST of both changes to, seen from where
 * the request came to; RESPONSE-ORIGIN is where the answer comes from. */
static void
put_extras(struct wr *w, const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, const struct stunsrv_reply *r)
{
	bool classic = r->magic != STUN_COOKIE;
	struct stun_addr addr;

	if (stunsrv_roles(site, a) == STUNSRV_ALL_ROLES) {
		addr = address_of(
		    site, a, a->role ^ STUNSRV_OTHER_IP ^ STUNSRV_OTHER_PORT);
		put_extra(w, r,
		    classic ? STUN_CHANGED_ADDRESS : STUN_OTHER_ADDRESS, &addr);
	}
	addr = address_of(site, a, r->role);
	put_extra(
	    w, r, classic ? STUN_SOURCE_ADDRESS : STUN_RESPONSE_ORIGIN, &addr);
	if (!classic)
		put_extra(w, r, STUN_MAPPED_ADDRESS, a->from);
}

/* As long as the request, which is a multiple of 4. */
static void
put_padding(struct wr *w, const struct stunsrv_reply *r)
{
	size_t max = r->request_len < STUNSRV_ANSWER_MAX ? r->request_len
							 : STUNSRV_ANSWER_MAX;
	size_t n;

	if (!fits(w, r, 4, max))
		return;
	n = max - wr_len(w) - 4;
	if ((r->want & STUNSRV_WANT_FINGERPRINT) != 0)
		n -= STUN_FINGERPRINT_LEN;
	wr_u16(w, STUN_PADDING);
	wr_u16(w, (uint16_t)n);
	wr_zero(w, n);
}

static void
put_success(struct wr *w, const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, const struct stunsrv_reply *r)
{
	uint8_t cookie[STUNSRV_COOKIE_LEN];

	stun_begin_as(w, STUN_SUCCESS, STUN_BINDING, r->magic, &r->txid);
	if (r->magic == STUN_COOKIE)
		stun_put_xor_address(w, a->from, &r->txid);
	else
		stun_put_address(w, STUN_MAPPED_ADDRESS, a->from);
	if ((r->want & STUNSRV_WANT_COOKIE) != 0 &&
	    fits(w, r, COOKIE_ATTR_LEN, r->request_len)) {
		stunsrv_cookie(site, a, 0, cookie);
		stun_put(w, STUN_CN_COOKIE, cookie, sizeof(cookie));
	}
	/* The shortest of them has 12 bytes. */
	if ((r->want & STUNSRV_WANT_EXTRAS) != 0 &&
	    fits(w, r, 12, r->extras_max))
		put_extras(w, site, a, r);
	if ((r->want & STUNSRV_WANT_PADDING) != 0)
		put_padding(w, r);
}

/* RFC 3489 section 11.2.10: without padding, one is repeated instead. */
static void
put_classic_list(struct wr *w, const struct stunsrv_reply *r)
{
	uint16_t list[STUNSRV_UNKNOWN_MAX + 1];
	size_t n = r->n_unknown;

	memcpy(list, r->unknown, n * sizeof(list[0]));
	if (n % 2 != 0) {
		list[n] = list[n - 1];
		n++;
	}
	stun_put_unknown(w, list, n);
}

/*
 * The list of unknown types, unless it made the answer longer than 1.3 times
 * the request, or in strict mode, longer than the request. Since each type
 * takes 4 bytes of the request and 2 of the answer, the first is so only for
 * 24 bytes: a single attribute without a value.
 */
static void
put_error(struct wr *w, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *r, unsigned code)
{
	size_t list = 4 + (2 * (size_t)r->n_unknown + 3) / 4 * 4;
	size_t max = r->request_len;

	if (a->transport != STUNSRV_UDP)
		max = STUNSRV_ANSWER_MAX;
	else if ((a->rules & STUNSRV_STRICT) == 0)
		max = max * 13 / 10;
	stun_begin_as(w, STUN_ERROR, STUN_BINDING, r->magic, &r->txid);
	stun_put_error(w, code);
	if (code != 420 || wr_len(w) + list > max)
		return;
	if (r->magic == STUN_COOKIE)
		stun_put_unknown(w, r->unknown, r->n_unknown);
	else
		put_classic_list(w, r);
}

size_t
stunsrv_write(const struct stunsrv_site *site, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *reply, uint8_t out[static STUNSRV_ANSWER_MAX])
{
	const struct stunsrv_reply *r = reply;
	bool fingerprint = (r->want & STUNSRV_WANT_FINGERPRINT) != 0;
	size_t max = r->extras_max;
	struct wr w;

	wr_init(&w, out, STUNSRV_ANSWER_MAX);
	switch (r->verdict) {
	case STUNSRV_SUCCESS:
		put_success(&w, site, a, r);
		break;
	case STUNSRV_BAD_REQUEST:
		put_error(&w, a, r, 400);
		break;
	case STUNSRV_UNKNOWN_ATTRIBUTE:
		put_error(&w, a, r, 420);
		break;
	case STUNSRV_BUSY:
		put_error(&w, a, r, 500);
		break;
	default:
		return 0;
	}
	if (r->verdict != STUNSRV_SUCCESS)
		max = r->request_len;
	if (fingerprint && wr_len(&w) + STUN_FINGERPRINT_LEN <= max)
		return stun_end_fingerprint(&w);
	return stun_end(&w);
}

/*
 * check_answer: PURE. Reads whatever a server sends as an answer, also what a
 * client should refuse, so that it can be told.
 */
#include <string.h>

#include "stund/check.h"

enum { TYPE_SUCCESS = 0x0101, TYPE_ERROR = 0x0111 };

static void
read_address(struct check_addr *to, const struct stun_attr *a)
{
	/* The first of a type counts (RFC 8489 section 14). */
	if (!to->there)
		to->there = stun_read_address(a, &to->a);
}

static void
read_error(struct check_answer *to, const struct stun_attr *a)
{
	struct rd r;
	unsigned hundreds;

	rd_init(&r, a->value, a->len);
	rd_skip(&r, 2);
	hundreds = rd_u8(&r) & 7;
	to->code = hundreds * 100 + rd_u8(&r) % 100;
}

static void
read_unknown(struct check_answer *to, const struct stun_attr *a)
{
	struct rd r;

	rd_init(&r, a->value, a->len);
	while (rd_left(&r) >= 2)
		to->unknown |= rd_u16(&r) == CHECK_UNKNOWN_TYPE;
}

static void
read_software(struct check_answer *to, const struct stun_attr *a)
{
	if (to->software_len > 0)
		return;
	to->software_len =
	    a->len < sizeof(to->software) ? a->len : sizeof(to->software);
	memcpy(to->software, a->value, to->software_len);
}

static void
read_attr(struct check_answer *to, const struct stun_msg *m,
    const struct stun_attr *a)
{
	switch (a->type) {
	case STUN_MAPPED_ADDRESS:
		read_address(&to->mapped, a);
		break;
	case STUN_XOR_MAPPED_ADDRESS:
	case STUN_XOR_MAPPED_ADDRESS_OLD:
		if (!to->xored.there)
			to->xored.there =
			    stun_read_xor_address(a, &m->txid, &to->xored.a);
		break;
	case STUN_SOURCE_ADDRESS:
		read_address(&to->source, a);
		break;
	case STUN_CHANGED_ADDRESS:
		read_address(&to->changed, a);
		break;
	case STUN_RESPONSE_ORIGIN:
		read_address(&to->origin, a);
		break;
	case STUN_OTHER_ADDRESS:
		read_address(&to->other, a);
		break;
	case STUN_ERROR_CODE:
		read_error(to, a);
		break;
	case STUN_UNKNOWN_ATTRIBUTES:
		read_unknown(to, a);
		break;
	case STUN_SOFTWARE:
		read_software(to, a);
		break;
	case STUN_PADDING:
		to->padding = true;
		to->padding_len = a->len;
		break;
	case STUN_FINGERPRINT:
		to->fingerprint = true;
		to->fingerprint_bad |= !stun_fingerprint_ok(m, a);
		break;
	case CHECK_COOKIE_TYPE:
		to->cookie = a->len == 8;
		break;
	}
}

bool
check_answer_read(struct check_answer *a, const uint8_t *p, size_t n,
    const uint8_t id[static CHECK_ID_LEN])
{
	struct stun_msg m = {.p = p, .len = n, .method = STUN_BINDING};
	struct stun_attr attr;
	uint8_t got[CHECK_ID_LEN];
	struct rd r;
	uint16_t type, len;

	rd_init(&r, p, n);
	type = rd_u16(&r);
	len = rd_u16(&r);
	rd_copy(&r, got, sizeof(got));
	if (r.bad || (type != TYPE_SUCCESS && type != TYPE_ERROR) ||
	    len != rd_left(&r) || memcmp(got, id, sizeof(got)) != 0)
		return false;
	/* By hand, since an answer to RFC 3489's has no magic cookie. */
	memcpy(m.txid.b, got + sizeof(got) - STUN_TXID_LEN, STUN_TXID_LEN);
	memset(a, 0, sizeof(*a));
	a->class = type == TYPE_SUCCESS ? CHECK_SUCCESS : CHECK_ERROR;
	a->len = n;
	r = stun_attrs(&m);
	while (stun_attr_next(&m, &r, &attr))
		read_attr(a, &m, &attr);
	a->broken = r.bad;
	return true;
}

const struct stun_addr *
check_answer_mapped(const struct check_answer *a)
{
	if (a->class != CHECK_SUCCESS)
		return NULL;
	if (a->xored.there)
		return &a->xored.a;
	return a->mapped.there ? &a->mapped.a : NULL;
}

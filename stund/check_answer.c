/*
 * check_answer: PURE. Reads whatever a server sends as an answer, also what a
 * client should refuse, so that it can be told.
 */
#include <string.h>

#include "stund/check.h"

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
	case STUN_CN_COOKIE:
		to->cookie = a->len == 8;
		break;
	}
}

/* An answer to RFC 3489's request has no magic cookie, and a longer id. */
static bool
is_response(const struct stun_msg *m, const uint8_t *id)
{
	return m->method == STUN_BINDING &&
	    (m->class == STUN_SUCCESS || m->class == STUN_ERROR) &&
	    memcmp(m->p + CHECK_ID_OFFSET, id, CHECK_ID_LEN) == 0;
}

bool
check_answer_read(struct check_answer *a, const uint8_t *p, size_t n,
    const uint8_t id[static CHECK_ID_LEN])
{
	struct stun_attr attr;
	struct stun_msg m;
	struct rd r;

	if (stun_parse(&m, p, n) == STUN_FORM_OTHER || !is_response(&m, id))
		return false;
	memset(a, 0, sizeof(*a));
	a->class = m.class == STUN_SUCCESS ? CHECK_SUCCESS : CHECK_ERROR;
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

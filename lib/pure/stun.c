/* stun: reads and writes STUN messages. Keeps no state, copies no payload. */
#include <string.h>

#include "pure/stun.h"

/* RFC 8489 section 14.7: "STUN" as a number. */
#define FINGERPRINT_XOR 0x5354554eu

enum family { FAMILY_V4 = 1, FAMILY_V6 = 2 };

/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2. */
static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/*
 * CRC-32 of ISO 3309 (reflected polynomial 0xEDB88320), eight bytes at a time.
 * A CRC is linear: the entry for a byte is the sum of those for its bits. So
 * table k, "this byte and k zero bytes after it", follows from 8 numbers.
 */
#define BIT(i, n, v) (((i) >> (n)&1) * (v))
#define SUM(i, a, b, c, d, e, f, g, h)                               \
	(BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ \
	    BIT(i, 4, e) ^ BIT(i, 5, f) ^ BIT(i, 6, g) ^ BIT(i, 7, h))
#define CRC0(i)                                                    \
	SUM(i, 0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, \
	    0x1db71064u, 0x3b6e20c8u, 0x76dc4190u, 0xedb88320u)
#define CRC1(i)                                                    \
	SUM(i, 0x191b3141u, 0x32366282u, 0x646cc504u, 0xc8d98a08u, \
	    0x4ac21251u, 0x958424a2u, 0xf0794f05u, 0x3b83984bu)
#define CRC2(i)                                                    \
	SUM(i, 0x01c26a37u, 0x0384d46eu, 0x0709a8dcu, 0x0e1351b8u, \
	    0x1c26a370u, 0x384d46e0u, 0x709a8dc0u, 0xe1351b80u)
#define CRC3(i)                                                    \
	SUM(i, 0xb8bc6765u, 0xaa09c88bu, 0x8f629757u, 0xc5b428efu, \
	    0x5019579fu, 0xa032af3eu, 0x9b14583du, 0xed59b63bu)
#define CRC4(i)                                                    \
	SUM(i, 0x3d6029b0u, 0x7ac05360u, 0xf580a6c0u, 0x30704bc1u, \
	    0x60e09782u, 0xc1c12f04u, 0x58f35849u, 0xb1e6b092u)
#define CRC5(i)                                                    \
	SUM(i, 0xcb5cd3a5u, 0x4dc8a10bu, 0x9b914216u, 0xec53826du, \
	    0x03d6029bu, 0x07ac0536u, 0x0f580a6cu, 0x1eb014d8u)
#define CRC6(i)                                                    \
	SUM(i, 0xa6770bb4u, 0x979f1129u, 0xf44f2413u, 0x33ef4e67u, \
	    0x67de9cceu, 0xcfbd399cu, 0x440b7579u, 0x8816eaf2u)
#define CRC7(i)                                                    \
	SUM(i, 0xccaa009eu, 0x4225077du, 0x844a0efau, 0xd3e51bb5u, \
	    0x7cbb312bu, 0xf9766256u, 0x299dc2edu, 0x533b85dau)
#define ROW4(F, i)  F(i), F((i) + 1), F((i) + 2), F((i) + 3)
#define ROW16(F, i) ROW4(F, i), ROW4(F, i + 4), ROW4(F, i + 8), ROW4(F, i + 12)
#define ROW64(F, i) \
	ROW16(F, i), ROW16(F, i + 16), ROW16(F, i + 32), ROW16(F, i + 48)
#define ROW256(F) ROW64(F, 0u), ROW64(F, 64u), ROW64(F, 128u), ROW64(F, 192u)

static const uint32_t crc_table[8][256] = {
    {ROW256(CRC0)},
    {ROW256(CRC1)},
    {ROW256(CRC2)},
    {ROW256(CRC3)},
    {ROW256(CRC4)},
    {ROW256(CRC5)},
    {ROW256(CRC6)},
    {ROW256(CRC7)},
};

/* Little-endian, as the reflected CRC shifts. */
static uint32_t
get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint32_t
crc32(const uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffff, d;

	for (; n >= 8; n -= 8, p += 8) {
		c ^= get_le32(p);
		d = get_le32(p + 4);
		c = crc_table[7][c & 255] ^ crc_table[6][c >> 8 & 255] ^
		    crc_table[5][c >> 16 & 255] ^ crc_table[4][c >> 24] ^
		    crc_table[3][d & 255] ^ crc_table[2][d >> 8 & 255] ^
		    crc_table[1][d >> 16 & 255] ^ crc_table[0][d >> 24];
	}
	for (; n > 0; n--)
		c = crc_table[0][(c ^ *p++) & 255] ^ c >> 8;
	return ~c;
}

/*
 * The 14 bits of the type (RFC 8489 section 5): the class is spread over bits
 * 4 and 8, the method has the others.
 */
static uint16_t
type_of(enum stun_class class, uint16_t method)
{
	return (uint16_t)((method & 0x000f) | (method & 0x0070) << 1 |
	    (method & 0x0f80) << 2 | (class & 1) << 4 | (class & 2) << 7);
}

enum stun_form
stun_parse(struct stun_msg *m, const void *p, size_t n)
{
	struct rd r;
	uint16_t type, len;

	rd_init(&r, p, n);
	type = rd_u16(&r);
	len = rd_u16(&r);
	m->cookie = rd_u32(&r);
	rd_copy(&r, m->txid.b, STUN_TXID_LEN);
	if (r.bad || (type & 0xc000) != 0 || len % 4 != 0 || len != rd_left(&r))
		return STUN_FORM_OTHER;
	m->p = p;
	m->len = n;
	m->class = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2));
	m->method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) |
	    (type >> 2 & 0x0f80));
	return m->cookie == STUN_COOKIE ? STUN_FORM_OK : STUN_FORM_CLASSIC;
}

bool
stun_is_known(uint16_t type)
{
	switch (type) {
	case STUN_MAPPED_ADDRESS:
	case STUN_USERNAME:
	case STUN_PASSWORD:
	case STUN_MESSAGE_INTEGRITY:
	case STUN_ERROR_CODE:
	case STUN_UNKNOWN_ATTRIBUTES:
	case STUN_REFLECTED_FROM:
	case STUN_REALM:
	case STUN_NONCE:
	case STUN_MESSAGE_INTEGRITY_SHA256:
	case STUN_PASSWORD_ALGORITHM:
	case STUN_USERHASH:
	case STUN_XOR_MAPPED_ADDRESS:
		return true;
	}
	return type >= STUN_OPTIONAL;
}

bool
stun_fingerprint_ok(const struct stun_msg *m, const struct stun_attr *a)
{
	struct rd r;

	if (a->len != 4 || !a->last)
		return false;
	rd_init(&r, a->value, a->len);
	return rd_u32(&r) == (crc32(m->p, a->offset) ^ FINGERPRINT_XOR);
}

/* With what an address is XORed: cookie and transaction id, or zeros. The
 * port takes the first two bytes, IPv4 the first word. */
struct mask {
	uint32_t word[4];
};

static struct mask
mask_of(const struct stun_txid *txid)
{
	struct mask mask = {{STUN_COOKIE}};
	struct rd r;

	rd_init(&r, txid->b, STUN_TXID_LEN);
	for (int i = 1; i < 4; i++)
		mask.word[i] = rd_u32(&r);
	return mask;
}

static uint16_t
mask_port(const struct mask *mask)
{
	return (uint16_t)(mask->word[0] >> 16);
}

static bool
read_masked(
    const struct stun_attr *a, const struct mask *mask, struct stun_addr *addr)
{
	size_t at = 0;
	struct rd r;
	struct wr w;
	uint8_t family;

	rd_init(&r, a->value, a->len);
	rd_skip(&r, 1);
	family = rd_u8(&r);
	addr->port = rd_u16(&r) ^ mask_port(mask);
	if (family == FAMILY_V4) {
		at = sizeof(v4_mapped);
		memcpy(addr->ip, v4_mapped, at);
	} else if (family != FAMILY_V6)
		return false;
	wr_init(&w, addr->ip + at, sizeof(addr->ip) - at);
	for (int i = 0; wr_len(&w) + at < sizeof(addr->ip); i++)
		wr_u32(&w, rd_u32(&r) ^ mask->word[i]);
	return !r.bad && rd_left(&r) == 0;
}

bool
stun_read_address(const struct stun_attr *a, struct stun_addr *addr)
{
	static const struct mask none;

	return read_masked(a, &none, addr);
}

bool
stun_read_xor_address(const struct stun_attr *a, const struct stun_txid *txid,
    struct stun_addr *addr)
{
	struct mask mask = mask_of(txid);

	return read_masked(a, &mask, addr);
}

void
stun_begin_as(struct wr *w, enum stun_class class, uint16_t method,
    uint32_t cookie, const struct stun_txid *txid)
{
	wr_u32(w, (uint32_t)type_of(class, method) << 16);
	wr_u32(w, cookie);
	wr_bytes(w, txid->b, STUN_TXID_LEN);
}

void
stun_begin(struct wr *w, enum stun_class class, uint16_t method,
    const struct stun_txid *txid)
{
	stun_begin_as(w, class, method, STUN_COOKIE, txid);
}

static void
put_header(struct wr *w, uint16_t type, size_t len)
{
	wr_u32(w, (uint32_t)type << 16 | (uint16_t)len);
}

void
stun_put(struct wr *w, uint16_t type, const void *value, size_t n)
{
	put_header(w, type, n);
	wr_bytes(w, value, n);
	if (n % 4 != 0)
		wr_zero(w, -n % 4);
}

static void
put_masked(struct wr *w, uint16_t type, const struct stun_addr *addr,
    const struct mask *mask)
{
	bool v4 = stun_addr_is_v4(addr);
	size_t at = v4 ? sizeof(v4_mapped) : 0, n = sizeof(addr->ip) - at;
	uint32_t family = v4 ? FAMILY_V4 : FAMILY_V6;
	struct rd r;

	rd_init(&r, addr->ip + at, n);
	put_header(w, type, 4 + n);
	wr_u32(w, family << 16 | (uint16_t)(addr->port ^ mask_port(mask)));
	for (int i = 0; rd_left(&r) > 0; i++)
		wr_u32(w, rd_u32(&r) ^ mask->word[i]);
}

void
stun_put_address(struct wr *w, uint16_t type, const struct stun_addr *addr)
{
	static const struct mask none;

	put_masked(w, type, addr, &none);
}

void
stun_put_xor_address(
    struct wr *w, const struct stun_addr *addr, const struct stun_txid *txid)
{
	struct mask mask = mask_of(txid);

	put_masked(w, STUN_XOR_MAPPED_ADDRESS, addr, &mask);
}

void
stun_put_error(struct wr *w, unsigned code)
{
	put_header(w, STUN_ERROR_CODE, 4);
	wr_u16(w, 0);
	wr_u8(w, (uint8_t)(code / 100));
	wr_u8(w, (uint8_t)(code % 100));
}

void
stun_put_unknown(struct wr *w, const uint16_t *types, size_t n)
{
	put_header(w, STUN_UNKNOWN_ATTRIBUTES, 2 * n);
	for (size_t i = 0; i < n; i++)
		wr_u16(w, types[i]);
	wr_zero(w, n % 2 * 2);
}

static void
set_length(struct wr *w, size_t total)
{
	if (total < STUN_HEADER_LEN || total - STUN_HEADER_LEN > UINT16_MAX)
		w->bad = true;
	wr_patch16(w, 2, (uint16_t)(total - STUN_HEADER_LEN));
}

size_t
stun_end(struct wr *w)
{
	set_length(w, wr_len(w));
	return w->bad ? 0 : wr_len(w);
}

size_t
stun_end_fingerprint(struct wr *w)
{
	size_t n = wr_len(w);

	/* The length that is summed counts the FINGERPRINT too. */
	set_length(w, n + STUN_FINGERPRINT_LEN);
	put_header(w, STUN_FINGERPRINT, 4);
	wr_u32(w, crc32(w->start, n) ^ FINGERPRINT_XOR);
	return w->bad ? 0 : wr_len(w);
}

void
stun_tailnode_request(
    uint8_t out[static STUN_TAILNODE_LEN], const struct stun_txid *txid)
{
	struct wr w;

	wr_init(&w, out, STUN_TAILNODE_LEN);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, txid);
	stun_put(&w, STUN_SOFTWARE, STUN_TAILNODE, strlen(STUN_TAILNODE));
	stun_end_fingerprint(&w);
}

bool
stun_is_tailnode(const struct stun_attr *a)
{
	return a->type == STUN_SOFTWARE && a->len == strlen(STUN_TAILNODE) &&
	    memcmp(a->value, STUN_TAILNODE, a->len) == 0;
}

/* ---- the client's side ---- */

/* What the attributes of a response say. Smaller rank: better source. */
struct response {
	struct stun_addr mapped;
	int rank;
	unsigned code;
	bool damaged;
	bool unknown;
};

enum { RANK_XOR, RANK_XOR_OLD, RANK_PLAIN, RANK_NONE };

static void
response_address(struct response *res, const struct stun_msg *m,
    const struct stun_attr *a, int rank)
{
	struct stun_addr addr;
	bool good = rank == RANK_PLAIN
	    ? stun_read_address(a, &addr)
	    : stun_read_xor_address(a, &m->txid, &addr);

	/* The first of a type counts (section 14). */
	if (good && rank < res->rank) {
		res->mapped = addr;
		res->rank = rank;
	}
}

static unsigned
error_code(const struct stun_attr *a)
{
	struct rd r;
	unsigned hundreds;

	rd_init(&r, a->value, a->len);
	rd_skip(&r, 2);
	hundreds = rd_u8(&r) & 7;
	return hundreds * 100 + rd_u8(&r) % 100;
}

static void
response_attr(
    struct response *res, const struct stun_msg *m, const struct stun_attr *a)
{
	switch (a->type) {
	case STUN_XOR_MAPPED_ADDRESS:
		response_address(res, m, a, RANK_XOR);
		break;
	case STUN_XOR_MAPPED_ADDRESS_OLD:
		response_address(res, m, a, RANK_XOR_OLD);
		break;
	case STUN_MAPPED_ADDRESS:
		response_address(res, m, a, RANK_PLAIN);
		break;
	case STUN_ERROR_CODE:
		if (res->code == 0)
			res->code = error_code(a);
		break;
	case STUN_FINGERPRINT:
		res->damaged |= !stun_fingerprint_ok(m, a);
		break;
	case STUN_SOURCE_ADDRESS:
	case STUN_CHANGED_ADDRESS:
	case STUN_PADDING:
		break;
	default:
		res->unknown |= !stun_is_known(a->type);
	}
}

enum stun_response
stun_response_parse(const void *p, size_t n, const struct stun_txid *txid,
    struct stun_addr *mapped, unsigned *code)
{
	struct response res = {.rank = RANK_NONE};
	struct stun_attr a;
	struct stun_msg m;
	struct rd r;

	if (stun_parse(&m, p, n) != STUN_FORM_OK || m.method != STUN_BINDING ||
	    (m.class != STUN_SUCCESS && m.class != STUN_ERROR) ||
	    memcmp(m.txid.b, txid->b, STUN_TXID_LEN) != 0)
		return STUN_RESPONSE_FOREIGN;
	r = stun_attrs(&m);
	while (stun_attr_next(&m, &r, &a))
		response_attr(&res, &m, &a);
	/* Damaged: discarded, as if it had not come (sections 6.3 and 7). */
	if (r.bad || res.damaged)
		return STUN_RESPONSE_FOREIGN;
	if (m.class == STUN_ERROR && res.code >= 300) {
		*code = res.code;
		return STUN_RESPONSE_ERROR;
	}
	/* Section 6.3.3: what must be understood and is not ends it. */
	if (m.class == STUN_ERROR || res.rank == RANK_NONE || res.unknown)
		return STUN_RESPONSE_FAILED;
	*mapped = res.mapped;
	return STUN_RESPONSE_MAPPED;
}

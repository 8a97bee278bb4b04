/* label: test, unit and step in a transaction id. PURE. */
#include <string.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "probes/natprobe/nat/label.h"

/*
 * 31     26            16      8       0
 * | test  | unit (11)   | step  | check |
 */
static uint32_t
pack(struct label l, uint8_t check)
{
	return (uint32_t)(l.test & 31) << 27 |
	    (uint32_t)(l.unit & LABEL_UNIT_MAX) << 16 | (uint32_t)l.step << 8 |
	    check;
}

/* Public: it hides nothing, but spreads. */
static uint64_t
hash_of(const uint8_t random[static LABEL_RANDOM_LEN])
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "natprobe label1";
	uint8_t h[crypto_shorthash_BYTES];
	struct rd r;

	crypto_shorthash(h, random, LABEL_RANDOM_LEN, key);
	rd_init(&r, h, sizeof(h));
	return rd_u64(&r);
}

bool
label_same(struct label a, struct label b)
{
	return a.test == b.test && a.unit == b.unit && a.step == b.step;
}

void
label_write(struct stun_txid *txid, struct label label,
    const uint8_t random[static LABEL_RANDOM_LEN])
{
	uint64_t h = hash_of(random);
	struct wr w;

	wr_init(&w, txid->b, sizeof(txid->b));
	wr_bytes(&w, random, LABEL_RANDOM_LEN);
	wr_u32(&w, pack(label, (uint8_t)(h >> 32)) ^ (uint32_t)h);
}

bool
label_read(const struct stun_txid *txid, struct label *label)
{
	uint64_t h = hash_of(txid->b);
	uint32_t v;
	struct rd r;

	rd_init(&r, txid->b, sizeof(txid->b));
	rd_skip(&r, LABEL_RANDOM_LEN);
	v = rd_u32(&r) ^ (uint32_t)h;
	*label = (struct label){.test = (uint8_t)(v >> 27),
	    .unit = (uint16_t)(v >> 16 & LABEL_UNIT_MAX),
	    .step = (uint8_t)(v >> 8)};
	return (uint8_t)v == (uint8_t)(h >> 32);
}

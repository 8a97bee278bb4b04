/* stun_fuzz: any bytes as a message: header, walk, values, response. */
#include <stdlib.h>
#include <string.h>

#include "pure/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read as an address must be written as the same bytes. */
static void
check_address(const struct stun_attr *a, const struct stun_txid *txid)
{
	struct stun_addr addr;
	uint8_t out[64];
	struct wr w;

	if (!stun_read_xor_address(a, txid, &addr))
		return;
	wr_init(&w, out, sizeof(out));
	stun_put_xor_address(&w, &addr, txid);
	/* An IPv4-mapped IPv6 address is written as IPv4. */
	if (stun_addr_is_v4(&addr) && a->len == 20)
		return;
	if (w.bad || wr_len(&w) != 4u + a->len ||
	    memcmp(out + 5, a->value + 1, a->len - 1u) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stun_addr addr;
	struct stun_attr a;
	struct stun_msg m;
	unsigned code;
	struct rd r;

	if (stun_parse(&m, data, size) != STUN_FORM_OK)
		return 0;
	for (r = stun_attrs(&m); stun_attr_next(&m, &r, &a);) {
		if (a.value + a.len > data + size)
			abort();
		stun_fingerprint_ok(&m, &a);
		stun_read_address(&a, &addr);
		check_address(&a, &m.txid);
	}
	stun_response_parse(data, size, &m.txid, &addr, &code);
	return 0;
}

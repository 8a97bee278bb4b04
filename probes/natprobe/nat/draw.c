/* draw: see draw.h. PURE. */
#include <sodium.h>

#include "probes/natprobe/nat/draw.h"
#include "pure/cursor.h"

void
draw_bytes(struct draw *d, uint8_t *p, size_t n)
{
	uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	struct wr w;

	wr_init(&w, nonce, sizeof(nonce));
	wr_u64(&w, d->n++);
	crypto_stream_chacha20(p, n, nonce, d->seed);
}

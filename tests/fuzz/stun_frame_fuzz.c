/*
 * stun_frame_fuzz: a stream, told whole and told in pieces as io does: what
 * was left, once as much is there as was asked for. The messages must be the
 * same, and each must be one that stun_parse takes.
 *
 *     | length of a piece u8 | stream ... |
 */
#include <stdlib.h>
#include <string.h>

#include "pure/stun.h"

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	size_t messages, end;
	bool bad;
};

static void
must(bool good)
{
	if (!good)
		abort();
}

/* As a stream edge does; returns how much is needed to go on. */
static size_t
take(struct heard *h, const uint8_t *p, size_t n)
{
	enum stun_frame f;
	struct stun_msg m;
	size_t len;

	while ((f = stun_frame(p + h->end, n - h->end, MAX, &len)) ==
	    STUN_FRAME_WHOLE) {
		must(len >= STUN_HEADER_LEN && len <= MAX && len <= n - h->end);
		must(stun_parse(&m, p + h->end, len) == STUN_FORM_OK);
		h->messages++;
		h->end += len;
	}
	h->bad = f == STUN_FRAME_BAD;
	must(h->bad || (len > n - h->end && len <= MAX));
	return h->end + len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole = {0}, cut = {0};
	size_t n = 0, want = 0, piece;

	if (size == 0)
		return 0;
	piece = 1u + data[0];
	data++;
	size--;
	take(&whole, data, size);
	while (n < size && !cut.bad) {
		n = size - n < piece ? size : n + piece;
		if (n >= want)
			want = take(&cut, data, n);
	}
	must(whole.messages == cut.messages && whole.end == cut.end);
	/* What is bad is told at once, or once more bytes are there. */
	must(!cut.bad || whole.bad);
	return 0;
}

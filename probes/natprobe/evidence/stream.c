/* stream: see stream.h. PURE. */
#include <string.h>

#include "probes/natprobe/evidence/stream.h"

void
stream_init(struct stream *s, uint32_t next)
{
	s->next = next;
	memset(s->have, 0, sizeof(s->have));
}

size_t
stream_put(struct stream *s, uint32_t seq, const uint8_t *p, size_t n)
{
	uint32_t past = s->next - seq; /* numbers are modulo 2^32 */
	size_t at = 0, skip = 0;

	if (past <= INT32_MAX)
		skip = past < n ? past : n;
	else
		at = seq - s->next;
	n -= skip;
	p += skip;
	if (at >= STREAM_AHEAD)
		return skip;
	if (n > STREAM_AHEAD - at)
		n = STREAM_AHEAD - at;
	if (n > 0) {
		memcpy(s->ahead + at, p, n);
		memset(s->have + at, 1, n);
	}
	return skip + n;
}

size_t
stream_take(struct stream *s, uint8_t out[static STREAM_AHEAD])
{
	size_t n = 0;

	while (n < STREAM_AHEAD && s->have[n] != 0)
		n++;
	if (n == 0)
		return 0;
	memcpy(out, s->ahead, n);
	memmove(s->ahead, s->ahead + n, STREAM_AHEAD - n);
	memmove(s->have, s->have + n, STREAM_AHEAD - n);
	memset(s->have + STREAM_AHEAD - n, 0, n);
	s->next += (uint32_t)n;
	return n;
}

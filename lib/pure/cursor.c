/* cursor: big-endian writes with a sticky error. */
#include "pure/cursor.h"

void
wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *p = wr_room(w, 1);

	if (p != NULL)
		p[0] = v;
}

void
wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p = wr_room(w, 2);

	if (p == NULL)
		return;
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void
wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p = wr_room(w, 4);

	if (p == NULL)
		return;
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

void
wr_u64(struct wr *w, uint64_t v)
{
	uint8_t *p = wr_room(w, 8);

	for (size_t n = 8; p != NULL && n > 0; v >>= 8)
		p[--n] = (uint8_t)v;
}

void
wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

void
wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p != NULL)
		memset(p, 0, n);
}

void
wr_patch16(struct wr *w, size_t off, uint16_t v)
{
	if (w->bad || wr_len(w) < 2 || off > wr_len(w) - 2) {
		w->bad = true;
		return;
	}
	w->start[off] = (uint8_t)(v >> 8);
	w->start[off + 1] = (uint8_t)v;
}

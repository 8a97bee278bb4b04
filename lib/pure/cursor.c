/* cursor: big-endian reads and writes with a sticky error. */
#include <string.h>

#include "pure/cursor.h"

void
rd_init(struct rd *r, const void *p, size_t n)
{
	r->p = p;
	r->end = r->p + n;
	r->bad = false;
}

size_t
rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

const uint8_t *
rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

uint8_t
rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p == NULL ? 0 : p[0];
}

uint16_t
rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p == NULL ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	if (p == NULL)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

uint64_t
rd_u64(struct rd *r)
{
	uint64_t high = rd_u32(r);
	uint64_t low = rd_u32(r);

	return r->bad ? 0 : high << 32 | low;
}

void
rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p == NULL)
		memset(dst, 0, n);
	else
		memcpy(dst, p, n);
}

void
rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

struct rd
rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	struct rd sub = {p, p, true};

	if (p != NULL)
		rd_init(&sub, p, n);
	return sub;
}

void
wr_init(struct wr *w, void *p, size_t n)
{
	w->start = w->p = p;
	w->end = w->p + n;
	w->bad = false;
}

uint8_t *
wr_room(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

static void
wr_int(struct wr *w, uint64_t v, size_t n)
{
	uint8_t *p = wr_room(w, n);

	while (p != NULL && n > 0) {
		p[--n] = (uint8_t)v;
		v >>= 8;
	}
}

void
wr_u8(struct wr *w, uint8_t v)
{
	wr_int(w, v, 1);
}

void
wr_u16(struct wr *w, uint16_t v)
{
	wr_int(w, v, 2);
}

void
wr_u32(struct wr *w, uint32_t v)
{
	wr_int(w, v, 4);
}

void
wr_u64(struct wr *w, uint64_t v)
{
	wr_int(w, v, 8);
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

size_t
wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/*
 * cursor: the one place where bytes on the wire become integers and back.
 *
 * A reader or writer that runs out of room sets `bad` and stays bad: further
 * calls do nothing and readers yield zero, so a parser checks once, at the
 * end. All integers are big-endian (network order). No allocation.
 *
 * All is inline: each is a few instructions, and a parser or writer of one
 * packet calls dozens.
 */
#ifndef PURE_CURSOR_H
#define PURE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

/* Reads from n bytes at p, which must outlive the reader. */
static inline void
rd_init(struct rd *r, const void *p, size_t n)
{
	r->p = p;
	r->end = r->p + n;
	r->bad = false;
}

static inline size_t
rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

/* Lends the next n bytes, or returns NULL and sets bad. */
static inline const uint8_t *
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

static inline uint8_t
rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return r->bad ? 0 : p[0];
}

static inline uint16_t
rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return r->bad ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	if (r->bad)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t
rd_u64(struct rd *r)
{
	uint64_t high = rd_u32(r);
	uint64_t low = rd_u32(r);

	return r->bad ? 0 : high << 32 | low;
}

/* Copies the next n bytes; dst is zeroed if there are fewer. */
static inline void
rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p == NULL)
		memset(dst, 0, n);
	else
		memcpy(dst, p, n);
}

static inline void
rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

/*
 * A reader of exactly the next n bytes, which the outer reader skips: a
 * nested value cannot reach past its own length. Bad if there are fewer.
 */
static inline struct rd
rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	struct rd sub = {p, p, true};

	if (p != NULL)
		rd_init(&sub, p, n);
	return sub;
}

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

/* Writes to at most n bytes at p. */
static inline void
wr_init(struct wr *w, void *p, size_t n)
{
	w->start = w->p = p;
	w->end = w->p + n;
	w->bad = false;
}

/* Bytes written so far. */
static inline size_t
wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/* True if n more bytes fit; else sets bad. */
static inline bool
wr_fits(struct wr *w, size_t n)
{
	w->bad |= n > (size_t)(w->end - w->p);
	return !w->bad;
}

/* Takes n bytes, which must fit. Bytes that are written may change anything,
 * for all that C knows; so a writer has moved on before it writes them. */
static inline uint8_t *
wr_take(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	w->p = p + n;
	return p;
}

/* Lends n bytes to be filled in by the caller, or NULL and bad. */
static inline uint8_t *
wr_room(struct wr *w, size_t n)
{
	return wr_fits(w, n) ? wr_take(w, n) : NULL;
}

static inline void
wr_u8(struct wr *w, uint8_t v)
{
	if (wr_fits(w, 1))
		*wr_take(w, 1) = v;
}

static inline void
wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p;

	if (!wr_fits(w, 2))
		return;
	p = wr_take(w, 2);
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p;

	if (!wr_fits(w, 4))
		return;
	p = wr_take(w, 4);
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void
wr_u64(struct wr *w, uint64_t v)
{
	if (!wr_fits(w, 8))
		return;
	wr_u32(w, (uint32_t)(v >> 32));
	wr_u32(w, (uint32_t)v);
}

static inline void
wr_bytes(struct wr *w, const void *src, size_t n)
{
	if (!wr_fits(w, n) || n == 0)
		return;
	memcpy(wr_take(w, n), src, n);
}

static inline void
wr_zero(struct wr *w, size_t n)
{
	if (!wr_fits(w, n) || n == 0)
		return;
	memset(wr_take(w, n), 0, n);
}

/* Overwrites the 16 bits at offset off, which must be written already. */
static inline void
wr_patch16(struct wr *w, size_t off, uint16_t v)
{
	if (w->bad || wr_len(w) < 2 || off > wr_len(w) - 2) {
		w->bad = true;
		return;
	}
	w->start[off] = (uint8_t)(v >> 8);
	w->start[off + 1] = (uint8_t)v;
}

#endif

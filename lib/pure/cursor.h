/*
 * cursor: the one place where bytes on the wire become integers and back.
 *
 * A reader or writer that runs out of room sets `bad` and stays bad: further
 * calls do nothing and readers yield zero, so a parser checks once, at the
 * end. All integers are big-endian (network order). No allocation.
 */
#ifndef PURE_CURSOR_H
#define PURE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

/* Reads from n bytes at p, which must outlive the reader. */
void rd_init(struct rd *r, const void *p, size_t n);

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);

/* Lends the next n bytes, or returns NULL and sets bad. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

/* Copies the next n bytes; dst is zeroed if there are fewer. */
void rd_copy(struct rd *r, void *dst, size_t n);

void rd_skip(struct rd *r, size_t n);

/*
 * A reader of exactly the next n bytes, which the outer reader skips: a
 * nested value cannot reach past its own length. Bad if there are fewer.
 */
struct rd rd_sub(struct rd *r, size_t n);

size_t rd_left(const struct rd *r);

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

/* Writes to at most n bytes at p. */
void wr_init(struct wr *w, void *p, size_t n);

void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, const void *p, size_t n);
void wr_zero(struct wr *w, size_t n);

/* Lends n bytes to be filled in by the caller, or NULL and bad. */
uint8_t *wr_room(struct wr *w, size_t n);

/* Overwrites the 16 bits at offset off, which must be written already. */
void wr_patch16(struct wr *w, size_t off, uint16_t v);

/* Bytes written so far. */
size_t wr_len(const struct wr *w);

#endif

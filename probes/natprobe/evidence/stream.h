/*
 * stream: the bytes of one direction of a TCP connection, in their order, from
 * segments in any order, some of them twice. PURE. What is further ahead than
 * there is room for must come again, as it does with a receiver whose window
 * is small.
 */
#ifndef NATPROBE_STREAM_H
#define NATPROBE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_AHEAD 1024

struct stream {
	uint32_t next; /* the number of the first byte that is not there */
	uint8_t ahead[STREAM_AHEAD]; /* from next on */
	uint8_t have[STREAM_AHEAD]; /* which of these; a flag each */
};

void stream_init(struct stream *s, uint32_t next);

/* Takes n bytes, of which the first has the number seq, and returns how many:
 * fewer only if the others come too early. */
size_t stream_put(struct stream *s, uint32_t seq, const uint8_t *p, size_t n);
/* Gives what is next, up to STREAM_AHEAD bytes; 0 if nothing is there. */
size_t stream_take(struct stream *s, uint8_t out[static STREAM_AHEAD]);

#endif

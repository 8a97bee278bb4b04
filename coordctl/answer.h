/*
 * answer: an HTTP/1.1 answer (RFC 9112), read from bytes as they come, cut
 * wherever they may be. PURE.
 *
 * The end must be told by the answer itself, with a length or in chunks: one
 * that ends with the connection cannot be told from one that was cut.
 */
#ifndef COORDCTL_ANSWER_H
#define COORDCTL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_LINE_MAX 4096
/* Of status line and fields, and of the lines between chunks. */
#define ANSWER_HEAD_MAX 65536

enum answer_state {
	ANSWER_STATUS, /* a line comes next */
	ANSWER_FIELDS,
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_BODY, /* bytes come next */
	ANSWER_CHUNK,
	ANSWER_DONE,
	ANSWER_BAD,
};

struct answer {
	enum answer_state state;
	const char *bad; /* why, static */
	int status;
	bool chunked, has_length;
	uint64_t length; /* of the body, or of the chunk; counted down */
	size_t head;
	char line[ANSWER_LINE_MAX];
	size_t nline;
};

struct answer_piece {
	const uint8_t *p;
	size_t n;
};

void answer_init(struct answer *a);

/*
 * Takes bytes until it has a piece of the body, which it lends, or has taken
 * all. Returns how many it took: call it again with the rest. Takes nothing
 * once it is done or bad.
 */
size_t answer_take(
    struct answer *a, const uint8_t *p, size_t n, struct answer_piece *piece);

#endif

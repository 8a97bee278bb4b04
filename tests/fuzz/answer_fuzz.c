/*
 * answer_fuzz: an HTTP answer told whole and told in pieces: state, status and
 * body must be the same.
 *
 *     | length of the pieces, 1 byte | answer ...
 */
#include <stdlib.h>
#include <string.h>

#include "coordctl/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct answer a;
	uint8_t *body;
	size_t n, cap;
};

static void
feed(struct result *r, const uint8_t *p, size_t n)
{
	struct answer_piece piece;
	size_t used;

	while ((used = answer_take(&r->a, p, n, &piece)) > 0) {
		if (used > n || piece.n > r->cap - r->n)
			abort();
		if (piece.n > 0)
			memcpy(r->body + r->n, piece.p, piece.n);
		r->n += piece.n;
		p += used;
		n -= used;
	}
	if (n > 0 && r->a.state != ANSWER_DONE && r->a.state != ANSWER_BAD)
		abort();
}

static void
run(struct result *r, const uint8_t *p, size_t n, size_t piece)
{
	r->n = 0;
	r->cap = n;
	if ((r->body = malloc(n + 1)) == NULL)
		abort();
	answer_init(&r->a);
	for (; n > piece; p += piece, n -= piece)
		feed(r, p, piece);
	feed(r, p, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole, cut;

	if (size == 0)
		return 0;
	run(&whole, data + 1, size - 1, size);
	run(&cut, data + 1, size - 1, data[0] + (size_t)1);
	if (whole.a.state != cut.a.state || whole.a.status != cut.a.status ||
	    whole.a.bad != cut.a.bad || whole.n != cut.n ||
	    memcmp(whole.body, cut.body, whole.n) != 0)
		abort();
	free(whole.body);
	free(cut.body);
	return 0;
}

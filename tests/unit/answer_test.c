/* answer: the same whether an HTTP answer comes whole or cut anywhere. */
#include <stdlib.h>

#include "coordctl/answer.h"
#include "tests/tap.h"

#define S(x) (x), sizeof(x) - 1
#define OK   "HTTP/1.1 200 OK\r\n"

struct row {
	const char *text;
	size_t n;
	enum answer_state state; /* DONE, BAD, or any other: not complete */
	int status;
	const char *body;
	const char *what;
};

static const struct row rows[] = {
    {S(OK "Content-Length: 2\r\n\r\n{}"), ANSWER_DONE, 200, "{}", "length"},
    {S(OK "Content-Length: 0\r\n\r\n"), ANSWER_DONE, 200, "", "length 0"},
    {S("HTTP/1.0 201\ncontent-length:\t3 \n\nabcd"), ANSWER_DONE, 201, "abc",
	"LF alone, no reason, bytes beyond"},
    {S("HTTP/1.1 204 No\r\nX: y\r\n\r\n"), ANSWER_DONE, 204, "", "204"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n"
	  "2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n"),
	ANSWER_DONE, 200, "ab0123456789", "chunks"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), ANSWER_DONE, 200, "",
	"no chunk"},
    {S(""), ANSWER_STATUS, 0, "", "nothing"},
    {S(OK "Content-Length: 3\r\n\r\nab"), ANSWER_BODY, 200, "ab", "cut body"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), ANSWER_CHUNK_SIZE,
	200, "ab", "cut between chunks"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), ANSWER_BAD, 200,
	"a", "chunk longer than told"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n\r\n"), ANSWER_BAD, 200, "",
	"chunk without size"},
    {S(OK "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n"), ANSWER_BAD,
	200, "", "chunk of 2^60"},
    {S(OK "\r\n"), ANSWER_BAD, 200, "", "no length"},
    {S(OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
	ANSWER_BAD, 200, "", "two lengths of two kinds"},
    {S(OK "Content-Length: 1\r\nContent-Length: 1\r\n"), ANSWER_BAD, 200, "",
	"two lengths"},
    {S(OK "Content-Length: +1\r\n"), ANSWER_BAD, 200, "", "signed length"},
    {S(OK "Content-Length: 1 1\r\n"), ANSWER_BAD, 200, "", "blank in length"},
    {S(OK "Content-Length: 9999999999999999\r\n"), ANSWER_BAD, 200, "",
	"length too long"},
    {S(OK "Transfer-Encoding: gzip\r\n"), ANSWER_BAD, 200, "", "gzip"},
    {S("HTTP/1.2 200 OK\r\n"), ANSWER_BAD, 0, "", "HTTP/1.2"},
    {S("HTTP/1.1 20 OK\r\n"), ANSWER_BAD, 0, "", "status of two digits"},
    {S("HTTP/1.1 2000\r\n"), ANSWER_BAD, 0, "", "status of four"},
    {S("HTTP/1.1\r\n"), ANSWER_BAD, 0, "", "no status"},
    {S("\r\n"), ANSWER_BAD, 0, "", "empty line"},
    {S("HTTP/1.1 2\0"), ANSWER_BAD, 0, "", "zero byte"},
};

struct result {
	struct answer a;
	char body[64];
	size_t nbody;
};

static void
feed(struct result *r, const uint8_t *p, size_t n)
{
	struct answer_piece piece;
	size_t used;

	while ((used = answer_take(&r->a, p, n, &piece)) > 0) {
		if (piece.n > sizeof(r->body) - r->nbody)
			abort();
		if (piece.n > 0)
			memcpy(r->body + r->nbody, piece.p, piece.n);
		r->nbody += piece.n;
		p += used;
		n -= used;
	}
}

/* The first part, then the rest, each in memory of its exact size. */
static void
feed_cut(struct result *r, const struct row *row, size_t cut)
{
	uint8_t *a = malloc(cut + 1), *b = malloc(row->n - cut + 1);

	if (a == NULL || b == NULL)
		abort();
	memcpy(a + 1, row->text, cut);
	memcpy(b + 1, row->text + cut, row->n - cut);
	memset(r, 0, sizeof(*r));
	answer_init(&r->a);
	feed(r, a + 1, cut);
	feed(r, b + 1, row->n - cut);
	free(a);
	free(b);
}

static bool
row_holds(const struct row *row, size_t cut)
{
	struct result r;

	feed_cut(&r, row, cut);
	return r.a.state == row->state && r.a.status == row->status &&
	    r.nbody == strlen(row->body) &&
	    memcmp(r.body, row->body, r.nbody) == 0 &&
	    (r.a.bad != NULL) == (row->state == ANSWER_BAD);
}

static void
test_rows(void)
{
	size_t cut;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (cut = 0; cut <= rows[i].n; cut++)
			if (!row_holds(&rows[i], cut))
				break;
		eq_int((int64_t)cut, (int64_t)rows[i].n + 1, rows[i].what);
	}
}

static void
test_limits(void)
{
	static const char field[] = "X: y\n";
	struct result r = {0};
	size_t sent = 0;

	answer_init(&r.a);
	feed(&r, (const uint8_t *)OK, sizeof(OK) - 1);
	while (r.a.state != ANSWER_BAD && sent < 2 * ANSWER_HEAD_MAX) {
		feed(&r, (const uint8_t *)field, sizeof(field) - 1);
		sent += sizeof(field) - 1;
	}
	ok(r.a.state == ANSWER_BAD && sent > ANSWER_HEAD_MAX - 100,
	    "a head has an end");
	answer_init(&r.a);
	for (sent = 0; r.a.state != ANSWER_BAD && sent < 2 * ANSWER_LINE_MAX;
	     sent++)
		feed(&r, (const uint8_t *)"x", 1);
	eq_int((int64_t)sent, ANSWER_LINE_MAX, "a line has one, too");
}

int
main(void)
{
	test_rows();
	test_limits();
	return tap_done();
}

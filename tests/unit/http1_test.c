/* http1: what a request head is, and which status answers what is none. */
#include <stdlib.h>

#include "pure/http1.h"
#include "tests/tap.h"

#define S(x) (x), sizeof(x) - 1

/* The head in memory of its exact size, so that asan sees a byte too far. */
static uint8_t *
exact(const void *p, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);

	memcpy(copy, p, n);
	return copy;
}

static void
test_spans(void)
{
	struct span s = {"GETx", 3};

	ok(span_is(s, "GET") && !span_is(s, "get"), "span_is minds case");
	ok(!span_is(s, "GE") && !span_is(s, "GETx") && !span_is(s, ""),
	    "and length");
	ok(span_is_nocase(s, "gEt") && !span_is_nocase(s, "GETx") &&
		!span_is_nocase(s, "GE"),
	    "span_is_nocase minds length alone");
	ok(span_is((struct span){"", 0}, ""), "empty is empty");
}

/* ---- the end of a head ---- */

struct end_row {
	const char *text;
	size_t n, end;
};

static const struct end_row end_rows[] = {
    {S(""), 0},
    {S("GET / HTTP/1.1\r\n"), 0},
    {S("GET / HTTP/1.1\r\n\r"), 0},
    {S("GET / HTTP/1.1\r\n\r\n"), 18},
    {S("GET / HTTP/1.1\r\nA: b\r\n\r\n"), 24},
    {S("GET / HTTP/1.1\r\n\r\n\r\n"), 18},
    {S("GET / HTTP/1.1\r\n\r\n\x02more"), 18},
    {S("GET / HTTP/1.1\n\n"), 16},
    {S("GET / HTTP/1.1\r\n\n"), 17},
    {S("GET / HTTP/1.1\n\r\n"), 17},
    {S("GET / HTTP/1.1\r\r\n\r\n"), 19},
    {S("GET / HTTP/1.1\r\n\r\r\n\r\n"), 21},
    {S("GET / HTTP/1.1\r\n \r\n\r\n"), 21},
    {S("\r\n\r\n"), 4},
    {S("\n\n"), 2},
    {S("\r\r\r\r"), 0},
    {S("a\0\n\0\n\nb"), 6},
};

static void
test_head_end(void)
{
	for (size_t i = 0; i < sizeof(end_rows) / sizeof(end_rows[0]); i++) {
		const struct end_row *r = &end_rows[i];
		char what[40];
		size_t from = 0, end = 0, got;
		uint8_t *p;

		snprintf(what, sizeof(what), "end of head %zu", i);
		p = exact(r->text, r->n);
		got = http1_head_end(p, r->n, &from);
		eq_int((int64_t)got, (int64_t)r->end, what);
		free(p);
		/* Byte by byte the same, and told as soon as it is there. */
		from = 0;
		for (size_t n = 0; n <= r->n && end == 0; n++) {
			p = exact(r->text, n);
			end = http1_head_end(p, n, &from);
			if (end != 0 && end != n)
				end = SIZE_MAX;
			free(p);
		}
		eq_int((int64_t)end, (int64_t)r->end, "one by one");
	}
}

/* Two cuts at any place find the same end. */
static void
test_head_end_cut(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: b\n\r\nrest\r\n\r\n";
	const uint8_t *p = (const uint8_t *)text;
	size_t n = sizeof(text) - 1;
	bool same = true;

	for (size_t a = 0; a < n; a++)
		for (size_t b = a; b < n; b++) {
			size_t from = 0, end;

			if ((end = http1_head_end(p, a, &from)) == 0 &&
			    (end = http1_head_end(p, b, &from)) == 0)
				end = http1_head_end(p, n, &from);
			same &= end == 23;
		}
	ok(same, "two cuts at any place");
}

/* ---- requests ---- */

#define HOST "Host: h\r\n"

struct parse_row {
	const char *text;
	size_t n;
	int status;
	const char *method, *path, *query;
	int minor;
	bool keep_alive, has_body;
};

#define GOOD(t, path, query, minor, keep, body)                          \
	{                                                                \
		S(t), 0, "GET", (path), (query), (minor), (keep), (body) \
	}
#define BAD(t, status)                                            \
	{                                                         \
		S(t), (status), NULL, NULL, NULL, 0, false, false \
	}

static const struct parse_row parse_rows[] = {
    GOOD("GET / HTTP/1.1\r\n" HOST "\r\n", "/", "", 1, true, false),
    GOOD("GET / HTTP/1.1\n" HOST "\n", "/", "", 1, true, false),
    GOOD("GET / HTTP/1.0\r\n\r\n", "/", "", 0, false, false),
    GOOD("GET /a?b=c HTTP/1.1\r\n" HOST "\r\n", "/a", "b=c", 1, true, false),
    GOOD("GET /a? HTTP/1.1\r\n" HOST "\r\n", "/a", "", 1, true, false),
    GOOD("GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", "/a", "b?c", 1, true, false),
    GOOD("GET ?b HTTP/1.1\r\n" HOST "\r\n", "", "b", 1, true, false),
    GOOD("GET http://h/x HTTP/1.1\r\n" HOST "\r\n", "/x", "", 1, true, false),
    GOOD("GET http://h HTTP/1.1\r\n" HOST "\r\n", "/", "", 1, true, false),
    GOOD("GET HTTPS://h:1?q HTTP/1.1\r\n" HOST "\r\n", "", "q", 1, true, false),
    /* Two lengths that differ: a forwarder may have believed the other. */
    GOOD("GET / HTTP/1.1\r\n" HOST
	 "Content-Length: 0\r\nContent-Length: 9\r\n\r\n",
	"/", "", 1, true, true),
    GOOD("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", "/\xc3\xa4", "", 1, true,
	false),
    /* Persistence: RFC 9112 section 9.3. */
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "/", "", 1,
	false, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, CLOSE\r\n\r\n", "/",
	"", 1, false, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: a\r\nconnection: close\r\n\r\n",
	"/", "", 1, false, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", "/", "", 1,
	true, false),
    GOOD("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/", "", 0, true,
	false),
    GOOD("GET / HTTP/1.0\r\n" HOST "\r\n", "/", "", 0, false, false),
    /* Bodies: none is ever read, so the caller must know. */
    GOOD("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "/", "", 1,
	true, false),
    GOOD("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", "/", "", 1,
	true, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "content-length:\r\n\r\n", "/", "", 1, true,
	true),
    GOOD("GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", "/", "", 1,
	true, true),
    GOOD("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "/",
	"", 1, true, true),
    GOOD("GET / HTTP/1.1\r\n" HOST
	 "Content-Length: 0\r\nTransfer-Encoding: x\r\n\r\n",
	"/", "", 1, true, true),
    /* Request lines. */
    BAD("\r\n\r\n", 400),
    BAD("GET\r\n\r\n", 400),
    BAD("GET /\r\n\r\n", 400),
    BAD("GET  / HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET /  HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/1.1 \r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/1.1\r\r\n" HOST "\r\n", 400),
    BAD(" GET / HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD(" / HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("G(T / HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("G\0T / HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET /\0 HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET /\x7f HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET /\r HTTP/1.1\r\n" HOST "\r\n", 400),
    BAD("GET / http/1.1\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/1,1\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/1.10\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/11\r\n" HOST "\r\n", 400),
    BAD("GET / ICAP/1.0\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/0.9\r\n" HOST "\r\n", 505),
    BAD("GET / HTTP/1.2\r\n" HOST "\r\n", 505),
    BAD("GET / HTTP/2.0\r\n" HOST "\r\n", 505),
    BAD("PRI * HTTP/2.0\r\n\r\n", 505),
    BAD("GET / HTTP/x.1\r\n" HOST "\r\n", 505),
    /* Fields. */
    BAD("GET / HTTP/1.1\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400),
    BAD("GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a : b\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST " a: b\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n a: b\r\n" HOST "\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a: b\r\n c\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a: b\r\n\tc: d\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a\0: b\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a: b\0\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a: b\rc\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "a: \x1b[2J\r\n\r\n", 400),
    BAD("GET / HTTP/1.1\r\n" HOST "\xc3\xa4: b\r\n\r\n", 400),
};

static void
test_parse(void)
{
	for (size_t i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]);
	     i++) {
		const struct parse_row *r = &parse_rows[i];
		static struct http1_request req;
		uint8_t *p = exact(r->text, r->n);
		char what[40];

		snprintf(what, sizeof(what), "request %zu", i);
		/* Nothing may be left over from a request before. */
		memset(&req, 0xa5, sizeof(req));
		eq_int(http1_parse(&req, p, r->n), r->status, what);
		if (r->status == 0)
			ok(span_is(req.method, r->method) &&
				span_is(req.path, r->path) &&
				span_is(req.query, r->query) &&
				req.minor == r->minor &&
				req.keep_alive == r->keep_alive &&
				req.has_body == r->has_body,
			    "and all that it says");
		free(p);
	}
}

static void
test_fields(void)
{
	static const char text[] = "HEAD /derp HTTP/1.1\r\n"
				   "Host:example\r\n"
				   "X-Empty:\r\n"
				   "X-Blank: \t \r\n"
				   "X-Two: \t a b\t \r\n"
				   "x-two: second\r\n"
				   "X-Odd!#$%&'*+-.^_`|~09: a:b\r\n"
				   "X-High: \xff\t\x80\r\n"
				   "X-List: a, B ,,c;q=1\t, d e\r\n"
				   "X-List: last\r\n"
				   "\r\n";
	struct http1_request req;

	eq_int(http1_parse(&req, (const uint8_t *)text, sizeof(text) - 1), 0,
	    "a head with fields");
	eq_int((int64_t)req.nfields, 9, "nine of them");
	ok(span_is(*http1_find(&req, "HOST"), "example"), "no blank is fine");
	ok(http1_find(&req, "X-Empty")->n == 0 &&
		http1_find(&req, "X-Blank")->n == 0,
	    "empty values");
	ok(span_is(*http1_find(&req, "X-TWO"), "a b"),
	    "blanks around a value go, the first field counts");
	ok(span_is(*http1_find(&req, "x-odd!#$%&'*+-.^_`|~09"), "a:b"),
	    "each character of a token");
	ok(span_is(*http1_find(&req, "X-High"), "\xff\t\x80"),
	    "bytes beyond ASCII, and tabs");
	ok(http1_find(&req, "X-Tw") == NULL &&
		http1_find(&req, "X-Twoo") == NULL,
	    "a name is whole");
	ok(http1_has_token(&req, "x-list", "A") &&
		http1_has_token(&req, "X-List", "b") &&
		http1_has_token(&req, "X-List", "d e") &&
		http1_has_token(&req, "X-List", "c;q=1"),
	    "items of a list");
	ok(http1_has_token(&req, "X-List", "LAST"), "of each such field");
	ok(!http1_has_token(&req, "X-List", "c") &&
		!http1_has_token(&req, "X-List", "d") &&
		!http1_has_token(&req, "X-None", "a"),
	    "and nothing else");
	ok(http1_has_token(&req, "X-List", "") &&
		http1_has_token(&req, "X-Empty", ""),
	    "an empty item is one too");
}

/* Builds a request of n fields, Host among them. */
static size_t
many(char *out, size_t cap, size_t n)
{
	size_t len =
	    (size_t)snprintf(out, cap, "GET / HTTP/1.1\r\nHost: h\r\n");

	for (size_t i = 1; i < n; i++)
		len += (size_t)snprintf(out + len, cap - len, "a: %zu\r\n", i);
	return len + (size_t)snprintf(out + len, cap - len, "\r\n");
}

static void
test_limits(void)
{
	static struct http1_request req;
	char text[4096];
	size_t n = many(text, sizeof(text), HTTP1_FIELDS_MAX);

	eq_int(http1_parse(&req, (const uint8_t *)text, n), 0, "64 fields");
	eq_int((int64_t)req.nfields, HTTP1_FIELDS_MAX, "all of them");
	n = many(text, sizeof(text), HTTP1_FIELDS_MAX + 1);
	eq_int(http1_parse(&req, (const uint8_t *)text, n), 431, "65 fields");
}

/* ---- answers ---- */

struct answer_row {
	const char *text;
	size_t n;
	int status;
};

static const struct answer_row answer_rows[] = {
    {S("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"), 204},
    {S("HTTP/1.0 999 \r\n\r\n"), 999},
    {S("HTTP/1.1 101\n\n"), 101},
    {S("HTTP/1.1 200 a: b\r\n\r\n"), 200},
    {S("HTTP/1.1 099 x\r\n\r\n"), 0},
    {S("HTTP/1.1 20 OK\r\n\r\n"), 0},
    {S("HTTP/1.1 2000\r\n\r\n"), 0},
    {S("HTTP/1.1 +20 x\r\n\r\n"), 0},
    {S("HTTP/1.1  200\r\n\r\n"), 0},
    {S("HTTP/2.0 200 x\r\n\r\n"), 0},
    {S("http/1.1 200 x\r\n\r\n"), 0},
    {S("HTTP/1.1 200 x\r\nno colon\r\n\r\n"), 0},
    {S("HTTP/1.1 200 x\r\n fold: x\r\n\r\n"), 0},
    {S("HTTP/1.1 20"), 0},
    {S("\r\n"), 0},
    {S(""), 0},
};

static void
test_answer(void)
{
	struct http1_request head;
	const struct answer_row *row;
	char what[32];
	uint8_t *p;

	for (size_t i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]);
	     i++) {
		row = &answer_rows[i];
		p = exact(row->text, row->n);
		snprintf(what, sizeof(what), "answer %zu", i);
		eq_int(http1_parse_answer(&head, p, row->n), row->status, what);
		free(p);
	}
	p = exact(S("HTTP/1.1 200 OK\r\nA: b\r\nC:  d \r\n\r\n"));
	http1_parse_answer(&head, p, 34);
	ok(head.nfields == 2 && span_is(*http1_find(&head, "c"), "d"),
	    "its fields");
	free(p);
}

int
main(void)
{
	test_spans();
	test_head_end();
	test_head_end_cut();
	test_parse();
	test_fields();
	test_limits();
	test_answer();
	return tap_done();
}

/*
 * http1_fuzz: any bytes as request heads. The end of a head does not depend
 * on how often it was looked for; what is parsed lies inside of it.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
end_in_two(const uint8_t *p, size_t n, size_t cut)
{
	size_t from = 0, end = http1_head_end(p, cut, &from);

	return end != 0 ? end : http1_head_end(p, n, &from);
}

static void
check_span(struct span s, const uint8_t *p, size_t n)
{
	if (s.p < (const char *)p || s.p > (const char *)p + n ||
	    s.n > (size_t)((const char *)p + n - s.p) ||
	    (s.n > 0 && memchr(s.p, '\n', s.n) != NULL))
		abort();
}

static void
check_request(const struct http1_request *req, const uint8_t *p, size_t n)
{
	size_t hosts = 0;

	check_span(req->method, p, n);
	/* A target without a path is given a constant one. */
	if (!span_is(req->path, "/"))
		check_span(req->path, p, n);
	if (req->query.n > 0)
		check_span(req->query, p, n);
	if (req->nfields > HTTP1_FIELDS_MAX || req->method.n == 0 ||
	    req->path.n + req->query.n == 0)
		abort();
	for (size_t i = 0; i < req->nfields; i++) {
		const struct http1_field *f = &req->fields[i];

		check_span(f->name, p, n);
		check_span(f->value, p, n);
		if (f->name.n == 0 ||
		    (f->value.n > 0 && strchr(" \t", f->value.p[0]) != NULL))
			abort();
		hosts += span_is_nocase(f->name, "host");
	}
	if (hosts > 1 || (hosts == 0 && req->minor == 1))
		abort();
	http1_has_token(req, "Connection", "upgrade");
	http1_has_token(req, "Sec-WebSocket-Protocol", "derp");
}

/* "GET ?" and "GET http://h?" have an empty path and an empty query. */
static bool
is_bare_mark(const struct http1_request *req)
{
	return req->path.n + req->query.n == 0 && req->path.p[0] == '?';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_request req;
	size_t from = 0, end = http1_head_end(data, size, &from), cut;
	uint8_t *copy;

	for (cut = 0; cut < size && cut < 64; cut++)
		if (end_in_two(data, size, cut) != end)
			abort();
	if (end > size || (end == 0 && from != size))
		abort();
	if (end > 0 && end_in_two(data, size, end - 1) != end)
		abort();
	if (end == 0)
		end = size;
	if ((copy = malloc(end == 0 ? 1 : end)) == NULL)
		abort();
	memcpy(copy, data, end);
	/* Nothing may be left over from a request before. */
	memset(&req, 0xa5, sizeof(req));
	switch (http1_parse(&req, copy, end)) {
	case 0:
		if (!is_bare_mark(&req))
			check_request(&req, copy, end);
		break;
	case 400:
	case 431:
	case 505:
		break;
	default:
		abort();
	}
	free(copy);
	return 0;
}

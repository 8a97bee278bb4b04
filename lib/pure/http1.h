/*
 * http1: heads of HTTP/1.x (RFC 9112), above all of requests, as spans of bytes
 * that were given. No body is ever parsed. No allocation.
 */
#ifndef PURE_HTTP1_H
#define PURE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer head, or one with more fields, is answered with 431. */
#define HTTP1_HEAD_MAX	 16384
#define HTTP1_FIELDS_MAX 64

/* Bytes lent by the request's buffer. Not terminated. */
struct span {
	const char *p;
	size_t n;
};

bool span_is(struct span s, const char *text);
/* The same without regard to ASCII case. */
bool span_is_nocase(struct span s, const char *text);

struct http1_field {
	struct span name;
	struct span value; /* without surrounding blanks */
};

struct http1_request {
	struct span method;
	struct span path; /* of the target, up to '?' */
	struct span query; /* after '?', or empty */
	int minor; /* HTTP/1.minor */
	struct http1_field fields[HTTP1_FIELDS_MAX];
	size_t nfields;
	bool keep_alive; /* the client can take another answer after this */
	bool has_body; /* Content-Length other than 0, or any coding */
};

/*
 * Finds the end of a head: the length up to and including the empty line, or
 * 0 if it is not there yet. Bytes before *from were searched already; *from
 * is moved on. Lines may end in LF alone.
 */
size_t http1_head_end(const uint8_t *p, size_t n, size_t *from);

/*
 * Parses a whole head, whose length http1_head_end told. Returns 0, or the
 * HTTP status to refuse it with: 400, 431 or 505.
 */
int http1_parse(struct http1_request *req, const uint8_t *p, size_t n);

/*
 * The same for the head of an answer: fills in minor and fields alone. Returns
 * the status, 100 to 999, or 0 if that is no head of HTTP/1.x.
 */
int http1_parse_answer(struct http1_request *head, const uint8_t *p, size_t n);

/* The first field of that name, or NULL. */
const struct span *http1_find(
    const struct http1_request *req, const char *name);

/* True if a comma-separated field holds the token, without regard to case. */
bool http1_has_token(
    const struct http1_request *req, const char *name, const char *token);

#endif

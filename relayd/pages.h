/*
 * pages: derper's HTTP surface. PURE: a request in, an answer out; pages that
 * need the relay's counters are only named, and the caller renders them.
 */
#ifndef RELAYD_PAGES_H
#define RELAYD_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "pure/http1.h"

enum page_body {
	PAGE_TEXT, /* body is set */
	PAGE_METRICS, /* the caller renders it */
	PAGE_CHECK, /* the caller checks its directory */
};

struct page_conf {
	bool derp; /* false: /derp is 404 and the home page says so */
	const char *home; /* "", "blank", or an http(s) URL */
};

/* What the page depends on beside the request. */
struct page_caller {
	bool plain_port; /* the port beside TLS, derper's -http-port */
	bool debug; /* may read /debug/ and /metrics */
};

#define PAGE_HEADERS_MAX 1024
#define PAGE_TARGET_MAX	 512

struct page {
	int status;
	enum page_body kind;
	const char *type; /* Content-Type, NULL: none */
	const char *body; /* constant text */
	bool browser; /* with the headers for browsers */
	bool styled; /* and a style sheet in the page */
	bool cross_origin; /* Access-Control-Allow-Origin: * */
	bool no_cache; /* generate_204 */
	bool close; /* Connection: close */
	char extra[PAGE_TARGET_MAX + 64]; /* one more header line, or "" */
};

void page_choose(struct page *page, const struct page_conf *conf,
    const struct page_caller *caller, const struct http1_request *req);

/* The answer to a request that could not be parsed. */
void page_error(struct page *page, int status);

/* Writes status line and headers; returns the length. A body of body_len
 * bytes follows, unless the request was HEAD. */
size_t page_head(const struct page *page, size_t body_len,
    char out[static PAGE_HEADERS_MAX + PAGE_TARGET_MAX]);

#endif

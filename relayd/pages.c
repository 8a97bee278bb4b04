/* pages: which answer each path gets; texts as derper's. PURE. */
#include <stdio.h>
#include <string.h>

#include "relayd/pages.h"

static const char home_text[] =
    "<html><body>\n"
    "<h1>DERP</h1>\n"
    "<p>This is a campusnet relay. It forwards encrypted packets between\n"
    "machines that cannot reach each other directly, in Tailscale's DERP\n"
    "protocol. It cannot read them.</p>\n";

static const char home_disabled[] = "<html><body>\n"
				    "<h1>DERP</h1>\n"
				    "<p>Status: <b>disabled</b></p>\n";

static const char debug_text[] =
    "<html><body><h1>relayd</h1>\n"
    "<p><a href=\"/debug/varz\">varz</a> "
    "<a href=\"/debug/check\">check</a></p></body></html>\n";

static void
text(struct page *page, int status, const char *body)
{
	page->status = status;
	page->body = body;
	page->type = "text/plain; charset=utf-8";
}

static void
html(struct page *page, const char *body)
{
	page->status = 200;
	page->body = body;
	page->type = "text/html; charset=utf-8";
	page->browser = true;
}

static void
redirect(
    struct page *page, const char *scheme, struct span host, struct span path)
{
	text(page, 302, "");
	if (host.n + path.n + strlen(scheme) > PAGE_TARGET_MAX) {
		text(page, 400, "address too long\n");
		return;
	}
	snprintf(page->extra, sizeof(page->extra), "Location: %s%.*s%.*s\r\n",
	    scheme, (int)host.n, host.p, (int)path.n, path.p);
}

/* derper's serveNoContent: at most 64 bytes of a small alphabet come back. */
static bool
is_challenge(struct span s)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789.-_:";

	if (s.n == 0 || s.n > 64)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(allowed, s.p[i]) == NULL)
			return false;
	return true;
}

static void
no_content(struct page *page, const struct http1_request *req)
{
	const struct span *c = http1_find(req, "X-Tailscale-Challenge");

	page->status = 204;
	page->no_cache = true;
	if (c != NULL && is_challenge(*c))
		snprintf(page->extra, sizeof(page->extra),
		    "X-Tailscale-Response: response %.*s\r\n", (int)c->n, c->p);
}

static bool
is_read(const struct http1_request *req)
{
	return span_is(req->method, "GET") || span_is(req->method, "HEAD");
}

static void
probe(struct page *page, const struct http1_request *req)
{
	if (is_read(req)) {
		page->status = 200;
		page->cross_origin = true;
	} else
		text(page, 405, "bogus probe method\n");
}

static void
debug(struct page *page, const struct page_caller *caller,
    const struct http1_request *req)
{
	struct span path = req->path;

	page->browser = true;
	page->styled = !span_is(path, "/debug/");
	if (!caller->debug)
		text(page, 403, "debug access denied\n");
	else if (span_is(path, "/debug"))
		redirect(page, "", (struct span){"", 0},
		    (struct span){"/debug/", 7});
	else if (span_is(path, "/debug/"))
		html(page, debug_text);
	else if (span_is(path, "/debug/varz") || span_is(path, "/metrics"))
		page->kind = PAGE_METRICS;
	else if (span_is(path, "/debug/check"))
		page->kind = PAGE_CHECK;
	else
		text(page, 404, "404 page not found\n");
}

static void
home(struct page *page, const struct page_conf *conf)
{
	if (strcmp(conf->home, "blank") == 0)
		html(page, "");
	else if (conf->home[0] != '\0') {
		redirect(page, conf->home, (struct span){"", 0},
		    (struct span){"", 0});
		page->browser = true;
	} else
		html(page, conf->derp ? home_text : home_disabled);
}

static bool
is_debug(struct span path)
{
	return span_is(path, "/debug") || span_is(path, "/metrics") ||
	    (path.n >= 7 && memcmp(path.p, "/debug/", 7) == 0);
}

/* Names, addresses and ports: nothing that could break out of a header or a
 * link. */
static bool
is_host(struct span host)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789.-_:[]";

	for (size_t i = 0; i < host.n; i++)
		if (strchr(allowed, host.p[i]) == NULL)
			return false;
	return host.n > 0;
}

/* A Host field without its port; brackets of IPv6 literals stay. */
static struct span
host_name(struct span host)
{
	char stop = host.n > 0 && host.p[0] == '[' ? ']' : ':';
	const char *at = host.n == 0 ? NULL : memchr(host.p, stop, host.n);

	if (at != NULL)
		host.n = (size_t)(at - host.p) + (stop == ']' ? 1 : 0);
	return host;
}

/* The port beside TLS: for captive portal checks, and to send browsers on. */
static void
plain_port(struct page *page, const struct page_caller *caller,
    const struct http1_request *req)
{
	const struct span *host = http1_find(req, "Host");
	struct span target = req->path;

	if (!is_read(req) || host == NULL || !is_host(*host)) {
		text(page, 400, "Use HTTPS\n");
		return;
	}
	if (req->query.n > 0)
		target.n = (size_t)(req->query.p + req->query.n - target.p);
	if (caller->debug && span_is(target, "/"))
		target = (struct span){"/debug/", 7};
	redirect(page, "https://", host_name(*host), target);
}

void
page_choose(struct page *page, const struct page_conf *conf,
    const struct page_caller *caller, const struct http1_request *req)
{
	struct span path = req->path;

	memset(page, 0, sizeof(*page));
	page->status = 200;
	page->close = !req->keep_alive || req->has_body;
	if (span_is(path, "/generate_204"))
		no_content(page, req);
	else if (is_debug(path))
		debug(page, caller, req);
	else if (caller->plain_port)
		plain_port(page, caller, req);
	else if (span_is(path, "/derp")) {
		if (!conf->derp)
			text(page, 404, "derp server disabled\n");
		else if (http1_has_token(req, "Upgrade", "websocket"))
			text(page, 501, "WebSocket is not served here\n");
		else
			text(page, 426, "DERP requires connection upgrade\n");
	} else if (span_is(path, "/derp/probe") ||
	    span_is(path, "/derp/latency-check"))
		probe(page, req);
	else if (span_is(path, "/healthz"))
		text(page, 200, "ok\n");
	else if (span_is(path, "/robots.txt")) {
		text(page, 200, "User-agent: *\nDisallow: /\n");
		page->browser = true;
	} else
		home(page, conf);
}

void
page_error(struct page *page, int status)
{
	memset(page, 0, sizeof(*page));
	text(page, status,
	    status == 431	? "request head too long\n"
		: status == 505 ? "HTTP/1.1 is spoken here\n"
				: "bad request\n");
	page->close = true;
}

static const char *
phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {{200, "OK"}, {204, "No Content"}, {302, "Found"},
	    {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
	    {405, "Method Not Allowed"}, {426, "Upgrade Required"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"}, {501, "Not Implemented"},
	    {505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

size_t
page_head(const struct page *page, size_t body_len,
    char out[static PAGE_HEADERS_MAX + PAGE_TARGET_MAX])
{
	static const char browser[] =
	    "Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n"
	    "Content-Security-Policy: default-src 'self'; frame-ancestors "
	    "'none'; form-action 'self'; base-uri 'self'; "
	    "block-all-mixed-content; object-src 'none'%s\r\n"
	    "X-Frame-Options: DENY\r\n"
	    "X-Content-Type-Options: nosniff\r\n";
	static const char no_cache[] = "Cache-Control: no-cache, no-store, "
				       "must-revalidate, no-transform, "
				       "max-age=0\r\n";
	const size_t cap = PAGE_HEADERS_MAX + PAGE_TARGET_MAX;
	size_t n = (size_t)snprintf(
	    out, cap, "HTTP/1.1 %d %s\r\n", page->status, phrase(page->status));

	/* RFC 9110 section 8.6: none with 204. */
	if (page->status != 204)
		n += (size_t)snprintf(
		    out + n, cap - n, "Content-Length: %zu\r\n", body_len);
	if (page->type != NULL)
		n += (size_t)snprintf(
		    out + n, cap - n, "Content-Type: %s\r\n", page->type);
	if (page->browser)
		n += (size_t)snprintf(out + n, cap - n, browser,
		    page->styled ? "; style-src 'self' 'unsafe-inline'" : "");
	n += (size_t)snprintf(out + n, cap - n, "%s%s%s%s\r\n",
	    page->no_cache ? no_cache : "",
	    page->cross_origin ? "Access-Control-Allow-Origin: *\r\n" : "",
	    page->extra, page->close ? "Connection: close\r\n" : "");
	return n;
}

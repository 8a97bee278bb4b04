/* pages: which answer each path gets, and its bytes. */
#include "relayd/pages.h"
#include "tests/tap.h"

static const struct page_conf served = {true, ""};

static struct http1_request req;
static char text[4096];

/* Parses a request of this line and these further fields. */
static const struct http1_request *
request(const char *line, const char *fields)
{
	int n =
	    snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", line, fields);

	if (http1_parse(&req, (const uint8_t *)text, (size_t)n) != 0)
		printf("# %s: not parsed\n", line);
	return &req;
}

/* ---- which page ---- */

enum { PLAIN = 1, DEBUG = 2, BROWSER = 4, STYLED = 8, CORS = 16, FRESH = 32 };

struct row {
	const char *line;
	const char *fields;
	unsigned caller; /* PLAIN, DEBUG */
	int status;
	enum page_body kind;
	const char *type, *body, *extra; /* NULL: none */
	unsigned flags;
};

#define H	   "Host: relay:8443\r\n"
#define PLAIN_TEXT "text/plain; charset=utf-8"
#define HTML	   "text/html; charset=utf-8"
#define DENIED	   "debug access denied\n"
#define NEED	   "DERP requires connection upgrade\n"
#define DEBUG_PAGE                             \
	"<html><body><h1>relayd</h1>\n"        \
	"<p><a href=\"/debug/varz\">varz</a> " \
	"<a href=\"/debug/check\">check</a></p></body></html>\n"
#define TO(url) "Location: " url "\r\n"

#define TEXT(line, fields, caller, status, body, flags)                      \
	{                                                                    \
		(line), (fields), (caller), (status), PAGE_TEXT, PLAIN_TEXT, \
		    (body), "", (flags)                                      \
	}

static const struct row rows[] = {
    /* /derp without an upgrade */
    TEXT("GET /derp", H, 0, 426, NEED, 0),
    TEXT("GET /derp", H "Upgrade: h2c\r\n", 0, 426, NEED, 0),
    TEXT("GET /derp",
	H "Upgrade: websocket\r\nSec-WebSocket-Protocol: derp\r\n", 0, 501,
	"WebSocket is not served here\n", 0),
    /* latency */
    {"GET /derp/probe", H, 0, 200, PAGE_TEXT, NULL, NULL, "", CORS},
    {"HEAD /derp/probe", H, 0, 200, PAGE_TEXT, NULL, NULL, "", CORS},
    {"GET /derp/latency-check", H, 0, 200, PAGE_TEXT, NULL, NULL, "", CORS},
    {"GET /derp/latency-check?a=b", H, 0, 200, PAGE_TEXT, NULL, NULL, "", CORS},
    TEXT("POST /derp/probe", H, 0, 405, "bogus probe method\n", 0),
    TEXT("get /derp/probe", H, 0, 405, "bogus probe method\n", 0),
    TEXT("PUT /derp/latency-check", H, 0, 405, "bogus probe method\n", 0),
    /* captive portals, on both ports, by any method */
    {"GET /generate_204", H, 0, 204, PAGE_TEXT, NULL, NULL, "", FRESH},
    {"GET /generate_204?t=1", H, PLAIN, 204, PAGE_TEXT, NULL, NULL, "", FRESH},
    {"POST /generate_204", H, PLAIN, 204, PAGE_TEXT, NULL, NULL, "", FRESH},
    {"GET /generate_204", H "X-Tailscale-Challenge: ts_a.b-c:9Z\r\n", PLAIN,
	204, PAGE_TEXT, NULL, NULL,
	"X-Tailscale-Response: response ts_a.b-c:9Z\r\n", FRESH},
    {"GET /generate_204", H "X-Tailscale-Challenge:\r\n", 0, 204, PAGE_TEXT,
	NULL, NULL, "", FRESH},
    {"GET /generate_204", H "X-Tailscale-Challenge: a b\r\n", 0, 204, PAGE_TEXT,
	NULL, NULL, "", FRESH},
    {"GET /generate_204", H "X-Tailscale-Challenge: <a>\r\n", 0, 204, PAGE_TEXT,
	NULL, NULL, "", FRESH},
    {"GET /generate_204", H "X-Tailscale-Challenge: \xc3\xa4\r\n", 0, 204,
	PAGE_TEXT, NULL, NULL, "", FRESH},
    /* debug pages, by who asks */
    TEXT("GET /debug", H, 0, 403, DENIED, BROWSER | STYLED),
    TEXT("GET /debug/", H, 0, 403, DENIED, BROWSER),
    TEXT("GET /debug/varz", H, 0, 403, DENIED, BROWSER | STYLED),
    TEXT("GET /debug/nothing", H, 0, 403, DENIED, BROWSER | STYLED),
    TEXT("GET /metrics", H, 0, 403, DENIED, BROWSER | STYLED),
    TEXT("GET /metrics", H, PLAIN, 403, DENIED, BROWSER | STYLED),
    {"GET /debug", H, DEBUG, 302, PAGE_TEXT, PLAIN_TEXT, "", TO("/debug/"),
	BROWSER | STYLED},
    {"GET /debug/", H, DEBUG, 200, PAGE_TEXT, HTML, DEBUG_PAGE, "", BROWSER},
    {"GET /debug/varz", H, DEBUG, 200, PAGE_METRICS, NULL, NULL, "",
	BROWSER | STYLED},
    {"GET /debug/varz?debugkey=a", H, DEBUG, 200, PAGE_METRICS, NULL, NULL, "",
	BROWSER | STYLED},
    {"GET /metrics", H, DEBUG, 200, PAGE_METRICS, NULL, NULL, "",
	BROWSER | STYLED},
    {"GET /metrics", H, DEBUG | PLAIN, 200, PAGE_METRICS, NULL, NULL, "",
	BROWSER | STYLED},
    {"GET /debug/check", H, DEBUG, 200, PAGE_CHECK, NULL, NULL, "",
	BROWSER | STYLED},
    TEXT("GET /debug/nothing", H, DEBUG, 404, "404 page not found\n",
	BROWSER | STYLED),
    /* fixed texts */
    TEXT("GET /healthz", H, 0, 200, "ok\n", 0),
    TEXT("GET /robots.txt", H, 0, 200, "User-agent: *\nDisallow: /\n", BROWSER),
    /* the plain port sends everything else to TLS */
    {"GET /", H, PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "", TO("https://relay/"),
	0},
    {"HEAD /a?b=c", H, PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/a?b=c"), 0},
    {"GET /a?", H, PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "", TO("https://relay/a"),
	0},
    {"GET /derp", H, PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/derp"), 0},
    {"GET /derp/probe", H, PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/derp/probe"), 0},
    {"GET /", "Host: relay\r\n", PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/"), 0},
    {"GET /", "Host: 192.0.2.1:80\r\n", PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://192.0.2.1/"), 0},
    {"GET /", "Host: [2001:db8::1]\r\n", PLAIN, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://[2001:db8::1]/"), 0},
    {"GET /", "Host: [2001:db8::1]:80\r\n", PLAIN, 302, PAGE_TEXT, PLAIN_TEXT,
	"", TO("https://[2001:db8::1]/"), 0},
    {"GET /", "Host: a b<c>\r\n", PLAIN, 400, PAGE_TEXT, PLAIN_TEXT,
	"Use HTTPS\n", "", 0},
    {"GET /", H, PLAIN | DEBUG, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/debug/"), 0},
    {"GET /a", H, PLAIN | DEBUG, 302, PAGE_TEXT, PLAIN_TEXT, "",
	TO("https://relay/a"), 0},
    TEXT("POST /", H, PLAIN, 400, "Use HTTPS\n", 0),
};

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static unsigned
flags_of(const struct page *p)
{
	return (p->browser ? BROWSER : 0) | (p->styled ? STYLED : 0) |
	    (p->cross_origin ? CORS : 0) | (p->no_cache ? FRESH : 0);
}

static void
test_choose(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct page_caller caller = {
		    (r->caller & PLAIN) != 0, (r->caller & DEBUG) != 0};
		struct page p;

		memset(&p, 0xa5, sizeof(p));
		page_choose(&p, &served, &caller, request(r->line, r->fields));
		if (!ok(p.status == r->status && p.kind == r->kind &&
			    same_text(p.type, r->type) &&
			    same_text(p.body, r->body) &&
			    same_text(p.extra, r->extra) &&
			    flags_of(&p) == r->flags && !p.close,
			r->line))
			printf("# row %zu: %d %u \"%s\" \"%s\" \"%s\" %x\n", i,
			    p.status, p.kind, p.type, p.body, p.extra,
			    flags_of(&p));
	}
}

/* ---- the page at the top, and what else falls to it ---- */

static const struct page *
home(bool derp, const char *what, const char *line)
{
	static const struct page_caller anyone;
	static struct page p;
	struct page_conf conf = {derp, what};

	memset(&p, 0xa5, sizeof(p));
	page_choose(&p, &conf, &anyone, request(line, H));
	return &p;
}

static void
test_home(void)
{
	static const char *const lines[] = {"GET /", "GET /nothing",
	    "GET /derp/", "GET /derp/probe/", "POST /", "GET *", "GET /debugx",
	    "GET /Debug/", "GET //derp"};
	static char url[600];
	const struct page *p;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		p = home(true, "", lines[i]);
		ok(p->status == 200 && strstr(p->body, "<h1>DERP</h1>") &&
			!strstr(p->body, "disabled") &&
			same_text(p->type, HTML) && flags_of(p) == BROWSER,
		    lines[i]);
	}
	p = home(false, "", "GET /");
	ok(p->status == 200 && strstr(p->body, "<b>disabled</b>") != NULL,
	    "it says that DERP is off");
	p = home(false, "", "GET /derp");
	ok(p->status == 404 && same_text(p->body, "derp server disabled\n"),
	    "and /derp says so, too");
	p = home(true, "blank", "GET /");
	ok(p->status == 200 && same_text(p->body, "") &&
		same_text(p->type, HTML) && flags_of(p) == BROWSER,
	    "a blank page");
	p = home(true, "https://example.com/x", "GET /a?b");
	ok(p->status == 302 && flags_of(p) == BROWSER &&
		same_text(p->extra, TO("https://example.com/x")),
	    "a page elsewhere");
	memset(url, 'u', PAGE_TARGET_MAX);
	ok(home(true, url, "GET /")->status == 302, "an address of 512");
	url[PAGE_TARGET_MAX] = 'u';
	ok(home(true, url, "GET /")->status == 400, "of 513");
}

/* ---- limits ---- */

static void
test_challenge(void)
{
	static const struct page_caller anyone;
	static const char good[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
	    ":";
	char fields[200];
	struct page p;
	bool right = true;

	/* 66 characters are allowed, 64 at once. */
	for (int n = 1; n <= 66; n++) {
		snprintf(fields, sizeof(fields),
		    H "X-Tailscale-Challenge: %.*s\r\n", n, good);
		page_choose(
		    &p, &served, &anyone, request("GET /generate_204", fields));
		right &= (p.extra[0] != '\0') == (n <= 64);
	}
	ok(right, "challenges of 64 and 65 bytes");
	for (int c = 0x21; c < 0x7f; c++) {
		snprintf(fields, sizeof(fields),
		    H "X-Tailscale-Challenge: a%c\r\n", c);
		page_choose(
		    &p, &served, &anyone, request("GET /generate_204", fields));
		right &= (p.extra[0] != '\0') == (strchr(good, c) != NULL);
	}
	ok(right, "each character");
}

static void
test_redirect_limit(void)
{
	static const struct page_caller plain = {true, false};
	char line[600] = "GET /";
	char want[700];
	struct page p;

	/* "https://" and "relay" leave 499 of 512. */
	memset(line + 5, 'p', 498);
	page_choose(&p, &served, &plain, request(line, H));
	snprintf(want, sizeof(want), TO("https://relay%s"), line + 4);
	eq_str(p.extra, want, "an address of 512 bytes");
	line[503] = 'p';
	page_choose(&p, &served, &plain, request(line, H));
	ok(p.status == 400 && p.extra[0] == '\0' &&
		same_text(p.body, "address too long\n"),
	    "of 513");
}

static void
test_close(void)
{
	static const struct page_caller anyone;
	static const struct {
		const char *fields;
		bool close;
	} cases[] = {{H, false}, {H "Connection: close\r\n", true},
	    {H "Content-Length: 0\r\n", false},
	    {H "Content-Length: 1\r\n", true},
	    {H "Transfer-Encoding: chunked\r\n", true}};
	struct page p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		page_choose(&p, &served, &anyone,
		    request("GET /derp/probe", cases[i].fields));
		ok(p.close == cases[i].close, "the last of its connection");
	}
}

static void
test_errors(void)
{
	static const struct {
		int status;
		const char *body;
	} errors[] = {{400, "bad request\n"}, {431, "request head too long\n"},
	    {505, "HTTP/1.1 is spoken here\n"}};
	struct page p;

	for (size_t i = 0; i < 3; i++) {
		memset(&p, 0xa5, sizeof(p));
		page_error(&p, errors[i].status);
		ok(p.status == errors[i].status &&
			same_text(p.body, errors[i].body) && p.close &&
			p.kind == PAGE_TEXT && p.extra[0] == '\0' &&
			same_text(p.type, PLAIN_TEXT) && flags_of(&p) == 0,
		    "a page for what is no request");
	}
}

/* ---- bytes ---- */

static const char *
head_of(const struct page *p, size_t body_len)
{
	static char out[PAGE_HEADERS_MAX + PAGE_TARGET_MAX];
	size_t n;

	memset(out, '#', sizeof(out));
	n = page_head(p, body_len, out);
	return n < sizeof(out) && strlen(out) == n ? out : "(length)";
}

static void
test_head(void)
{
	static const struct page_caller anyone, debugger = {false, true};
	struct page p;

	page_choose(&p, &served, &anyone, request("GET /derp", H));
	eq_str(head_of(&p, 33),
	    "HTTP/1.1 426 Upgrade Required\r\n"
	    "Content-Length: 33\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "\r\n",
	    "a text");
	page_choose(&p, &served, &anyone, request("GET /derp/probe", H));
	eq_str(head_of(&p, 0),
	    "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 0\r\n"
	    "Access-Control-Allow-Origin: *\r\n"
	    "\r\n",
	    "a probe");
	page_choose(&p, &served, &anyone,
	    request("GET /generate_204",
		H "X-Tailscale-Challenge: ts_relay\r\n"
		  "Connection: close\r\n"));
	eq_str(head_of(&p, 0),
	    "HTTP/1.1 204 No Content\r\n"
	    "Cache-Control: no-cache, no-store, must-revalidate, "
	    "no-transform, max-age=0\r\n"
	    "X-Tailscale-Response: response ts_relay\r\n"
	    "Connection: close\r\n"
	    "\r\n",
	    "no content");
#define BROWSER_HEAD(style)                                                  \
	"Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n" \
	"Content-Security-Policy: default-src 'self'; frame-ancestors "      \
	"'none'; form-action 'self'; base-uri 'self'; "                      \
	"block-all-mixed-content; object-src 'none'" style "\r\n"            \
	"X-Frame-Options: DENY\r\n"                                          \
	"X-Content-Type-Options: nosniff\r\n"
	page_choose(&p, &served, &anyone, request("GET /robots.txt", H));
	eq_str(head_of(&p, 26),
	    "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 26\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n" BROWSER_HEAD(
		"") "\r\n",
	    "a page for browsers");
	page_choose(&p, &served, &debugger, request("GET /debug", H));
	eq_str(head_of(&p, 0),
	    "HTTP/1.1 302 Found\r\n"
	    "Content-Length: 0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n" BROWSER_HEAD(
		"; style-src 'self' 'unsafe-inline'") "Location: /debug/\r\n"
						      "\r\n",
	    "a page with a style");
}

static void
test_phrases(void)
{
	static const struct {
		int status;
		const char *line;
	} lines[] = {{200, "HTTP/1.1 200 OK\r\n"},
	    {400, "HTTP/1.1 400 Bad Request\r\n"},
	    {403, "HTTP/1.1 403 Forbidden\r\n"},
	    {404, "HTTP/1.1 404 Not Found\r\n"},
	    {405, "HTTP/1.1 405 Method Not Allowed\r\n"},
	    {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
	    {500, "HTTP/1.1 500 Internal Server Error\r\n"},
	    {501, "HTTP/1.1 501 Not Implemented\r\n"},
	    {505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
	    {299, "HTTP/1.1 299 Unknown\r\n"}};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct page p = {.status = lines[i].status};
		char what[16];

		snprintf(what, sizeof(what), "status %d", p.status);
		ok(strncmp(head_of(&p, 0), lines[i].line,
		       strlen(lines[i].line)) == 0,
		    what);
	}
}

/* Everything at once, at its longest, still fits. */
static void
test_longest(void)
{
	struct page p = {.status = 431,
	    .type = "text/plain; version=0.0.4; charset=utf-8",
	    .browser = true,
	    .styled = true,
	    .cross_origin = true,
	    .no_cache = true,
	    .close = true};
	const char *head;

	memset(p.extra, 'x', sizeof(p.extra) - 1);
	memcpy(p.extra + sizeof(p.extra) - 3, "\r\n", 2);
	head = head_of(&p, SIZE_MAX);
	ok(strlen(head) > 1000 &&
		strcmp(head + strlen(head) - 4, "\r\n\r\n") == 0,
	    "the longest head is whole");
}

int
main(void)
{
	test_choose();
	test_home();
	test_challenge();
	test_redirect_limit();
	test_close();
	test_errors();
	test_head();
	test_phrases();
	test_longest();
	return tap_done();
}

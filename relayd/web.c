/*
 * web: answers to a client that asks for a page instead of DERP.
 */
#include <string.h>

#include "relayd/relayd.h"

#define SECOND_US INT64_C(1000000)

/* How long the peer's FIN is waited for after the last answer. */
#define DRAIN_US (2 * SECOND_US)

/* A client that asks for more pages than it reads is closed. */
#define UNREAD_PAGES_MAX 65536

/* The last answer is out: wait for the peer to close, so that what it still
 * sends does not reset the answer away. */
static void
drain(struct client *c, enum stats_close reason)
{
	c->drained = reason;
	session_drain(&c->session);
	io_shutdown(c->io);
	if (c->state != CLIENT_DEAD)
		client_set_state(c, CLIENT_DRAIN, DRAIN_US);
}

/* Head and body leave together; a body that is longer than the buffer goes
 * piece by piece. */
static void
write_page(struct client *c, const struct page *page, const char *body,
    size_t n, bool head_only)
{
	char *out = (char *)c->worker->gather;
	size_t at = page_head(page, n, out), part;

	if (head_only)
		n = 0;
	do {
		part = n < IO_WRITE_MAX - at ? n : IO_WRITE_MAX - at;
		memcpy(out + at, body, part);
		io_write(c->io, out, at + part);
		at = 0;
		body += part;
		n -= part;
	} while (n > 0 && c->state != CLIENT_DEAD);
}

static void
answer(struct client *c, struct page *page, bool head_only)
{
	struct metrics m;
	const char *body = page->body == NULL ? "" : page->body;
	size_t n = strlen(body);

	metrics_init(&m);
	if (page->kind == PAGE_METRICS) {
		stats_render(c->worker->relay, &m);
		page->type = METRICS_CONTENT_TYPE;
		body = m.text == NULL ? "" : m.text;
		n = m.len;
	} else if (page->kind == PAGE_CHECK) {
		page->type = "text/plain; charset=utf-8";
		page->status = worker_check(c->worker) ? 200 : 500;
		body = page->status == 200
		    ? "derp.Server ConsistencyCheck okay\n"
		    : "derp.Server ConsistencyCheck failed\n";
		n = strlen(body);
	}
	write_page(c, page, body, n, head_only);
	metrics_clear(&m);
}

/* derper counts requests, and those it is busy with, by TLS version; one that
 * became a DERP connection stays active until its end. */
void
web_count(struct client *c, int busy)
{
	struct stats *s = &c->worker->stats;
	int version = io_tls_minor(c->io);

	if (version < 0)
		return;
	if (busy > 0)
		metric_add(&s->tls_requests[version], 1);
	metric_add(&s->tls_active[version], busy);
}

void
web_request(struct client *c, const struct http1_request *req)
{
	const struct relayd *relay = c->worker->relay;
	struct page_caller caller = {
	    c->plain_pages, access_allowed(&relay->access, &c->from, req)};
	struct page page;

	if (io_pending(c->io) > UNREAD_PAGES_MAX) {
		client_close(c, CLOSE_HTTP, "asks for more than it reads");
		return;
	}
	page_choose(&page, &relay->pages, &caller, req);
	web_count(c, 1);
	answer(c, &page, span_is(req->method, "HEAD"));
	web_count(c, -1);
	if (c->state == CLIENT_DEAD)
		return;
	if (page.close)
		drain(c, CLOSE_HTTP_DONE);
	else
		client_set_state(c, CLIENT_HTTP, relay->conf->tls_timeout_us);
}

void
web_refuse(struct client *c, int status)
{
	struct page page;

	page_error(&page, status);
	answer(c, &page, false);
	if (c->state != CLIENT_DEAD)
		drain(c, CLOSE_HTTP);
}

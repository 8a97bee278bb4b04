/*
 * metrics_http: the HTTP listener for /metrics and /healthz. Apart from
 * metrics.c so that a page can be built, and tested, without libevent.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "run/addr.h"
#include "run/http_accept.h"
#include "run/loop.h"
#include "run/metrics.h"

/* A scraper sends a few hundred bytes at once. */
#define HEAD_MAX	8192
#define BODY_MAX	1024
#define TIMEOUT_SECONDS 10

struct metrics_server {
	struct loop *loop;
	struct addr local;
	struct evhttp *http;
	metrics_render *render;
	void *arg;
};

static void
reply(struct evhttp_request *req, const char *type, const void *text, size_t n)
{
	struct evbuffer *body = evbuffer_new();

	if (body == NULL || evbuffer_add(body, text, n) == -1) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	} else {
		evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Content-Type", type);
		evhttp_send_reply(req, HTTP_OK, NULL, body);
	}
	if (body != NULL)
		evbuffer_free(body);
}

static void
serve_metrics(struct evhttp_request *req, void *arg)
{
	struct metrics_server *s = arg;
	struct metrics m;

	metrics_init(&m);
	s->render(&m, s->arg);
	if (m.bad)
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	else
		reply(req, METRICS_CONTENT_TYPE, m.text, m.len);
	metrics_clear(&m);
}

static void
serve_health(struct evhttp_request *req, void *arg)
{
	static const char text[] = "ok\n";

	(void)arg;
	reply(req, "text/plain; charset=utf-8", text, sizeof(text) - 1);
}

static void
serve_other(struct evhttp_request *req, void *arg)
{
	(void)arg;
	evhttp_send_error(req, HTTP_NOTFOUND, NULL);
}

static struct evhttp *
http_new(struct metrics_server *s)
{
	struct evhttp *http = evhttp_new(loop_base(s->loop));

	if (http == NULL)
		return NULL;
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(http, HEAD_MAX);
	evhttp_set_max_body_size(http, BODY_MAX);
	evhttp_set_timeout(http, TIMEOUT_SECONDS);
	evhttp_set_gencb(http, serve_other, s);
	if (evhttp_set_cb(http, "/metrics", serve_metrics, s) == 0 &&
	    evhttp_set_cb(http, "/healthz", serve_health, s) == 0)
		return http;
	evhttp_free(http);
	return NULL;
}

static int
http_listen(struct metrics_server *s, const struct addr *a)
{
	struct evhttp_bound_socket *bound;
	int fd;

	s->local = *a;
	fd = addr_listen_tcp(&s->local, false);
	if (fd == -1)
		return -1;
	bound = evhttp_accept_socket_with_handle(s->http, fd);
	if (bound == NULL) {
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	http_accept_pauses(bound);
	return 0;
}

struct metrics_server *
metrics_serve(
    struct loop *l, const struct addr *a, metrics_render *render, void *arg)
{
	struct metrics_server *s = calloc(1, sizeof(*s));
	int saved;

	if (s == NULL)
		return NULL;
	s->loop = l;
	s->render = render;
	s->arg = arg;
	errno = ENOMEM;
	if ((s->http = http_new(s)) != NULL && http_listen(s, a) == 0)
		return s;
	saved = errno;
	metrics_server_free(s);
	errno = saved;
	return NULL;
}

const struct addr *
metrics_server_addr(const struct metrics_server *s)
{
	return &s->local;
}

void
metrics_server_free(struct metrics_server *s)
{
	if (s == NULL)
		return;
	if (s->http != NULL)
		evhttp_free(s->http);
	free(s);
}

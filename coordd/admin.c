/*
 * admin: the listeners for who administers coordd: the Unix socket, and
 * -admin. Finds out who asks and whether he may, then hands over to api.c,
 * stats.c or page.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "coordd/admin.h"
#include "coordd/api.h"
#include "run/http_accept.h"

#define HEAD_MAX	16384
#define LOCAL_BODY_MAX	(16 * ADMIN_BODY_MAX)
#define TIMEOUT_SECONDS 30

/* One of the two ways in. */
struct door {
	struct admin *admin;
	bool local; /* the Unix socket: whoever comes in may do everything */
	struct evhttp *http;
};

struct admin {
	struct coordd *c;
	struct admin_auth auth;
	struct admin_socket socket;
	struct door local, remote;
};

struct coordd *
admin_env(const struct admin *a)
{
	return a->c;
}

struct admin_auth *
admin_auth(struct admin *a)
{
	return &a->auth;
}

void
admin_reply(struct evhttp_request *req, int status, const char *type,
    const char *body, size_t n)
{
	struct evbuffer *buffer = evbuffer_new();

	if (buffer == NULL || (n > 0 && evbuffer_add(buffer, body, n) == -1)) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	} else {
		if (n > 0)
			evhttp_add_header(
			    evhttp_request_get_output_headers(req),
			    "Content-Type", type);
		evhttp_send_reply(req, status, NULL, buffer);
	}
	if (buffer != NULL)
		evbuffer_free(buffer);
}

void
admin_refuse(struct evhttp_request *req, int status, const char *fmt, ...)
{
	struct text body = TEXT_EMPTY;
	char error[COORDD_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, sizeof(error), fmt, ap);
	va_end(ap);
	text_str(&body, "{\"error\":");
	text_json(&body, error);
	text_str(&body, "}\n");
	if (body.bad)
		evhttp_send_error(req, status, NULL);
	else
		admin_reply(req, status, "application/json", body.p, body.len);
	text_clear(&body);
}

static int
request_fd(struct evhttp_request *req)
{
	return bufferevent_getfd(evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(req)));
}

void
admin_peer(struct evhttp_request *req, struct addr *from)
{
	from->len = sizeof(from->u);
	if (getpeername(request_fd(req), &from->u.sa, &from->len) == -1 ||
	    (from->u.sa.sa_family != AF_INET &&
		from->u.sa.sa_family != AF_INET6))
		(void)addr_parse(from, "127.0.0.1", 0);
}

/* A page sets its own policy instead, see page.c. */
static void
add_security_headers(struct evhttp_request *req)
{
	static const char *const pairs[][2] = {
	    {"Cache-Control", "no-store"},
	    {"Content-Security-Policy",
		"default-src 'none'; frame-ancestors 'none'"},
	    {"Cross-Origin-Resource-Policy", "same-origin"},
	    {"Referrer-Policy", "no-referrer"},
	    {"X-Content-Type-Options", "nosniff"},
	    {"X-Frame-Options", "DENY"},
	};
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		evhttp_add_header(headers, pairs[i][0], pairs[i][1]);
}

#define WHO_MAX (ADDR_TEXT_MAX + 16)

static void
name_local(char name[static WHO_MAX], struct evhttp_request *req)
{
	unsigned uid;

	if (admin_socket_peer(request_fd(req), &uid))
		snprintf(name, WHO_MAX, "uid %u", uid);
	else
		snprintf(name, WHO_MAX, "socket");
}

static bool
path_is_api(const char *path)
{
	const size_t n = sizeof(API_ROOT) - 1;

	return strncmp(path, API_ROOT, n) == 0 &&
	    (path[n] == '\0' || path[n] == '/');
}

/* What only who has the token, or opened the socket, gets. */
static void
serve_known(struct door *d, struct evhttp_request *req, const char *path,
    const char *name)
{
	const struct ops_who who = {name};

	if (path_is_api(path) || strcmp(path, "/metrics") == 0)
		api_handle(d->admin->c, req, &who);
	else if (!page_handle(d->admin, req, &who))
		admin_refuse(req, HTTP_NOTFOUND, "no such path");
}

static void
serve_unknown(struct door *d, struct evhttp_request *req, const char *path,
    enum admin_access access)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	if (!path_is_api(path) && strcmp(path, "/metrics") != 0 &&
	    page_handle(d->admin, req, NULL))
		return;
	if (access == ADMIN_LIMITED) {
		evhttp_add_header(headers, "Retry-After", "10");
		admin_refuse(req, 429, "too many wrong tokens from there");
		return;
	}
	evhttp_add_header(
	    headers, "WWW-Authenticate", "Bearer realm=\"coordd\"");
	admin_refuse(req, 401, "%s",
	    access == ADMIN_WRONG
		? "wrong token: want the one in admin.token of the state "
		  "folder"
		: "no token: want Authorization: Bearer and the token in "
		  "admin.token of the state folder");
}

static void
serve_remote(struct door *d, struct evhttp_request *req, const char *path)
{
	char name[WHO_MAX], text[ADDR_TEXT_MAX];
	enum admin_access access;
	struct addr from;

	admin_peer(req, &from);
	access = admin_auth_request(
	    &d->admin->auth, req, &from, loop_now(d->admin->c->loop));
	if (!admin_auth_origin_ok(req, access)) {
		admin_refuse(req, 403, "a page of another site sent this");
	} else if (access == ADMIN_BEARER || access == ADMIN_PAGE) {
		snprintf(name, sizeof(name), "%s from %s",
		    access == ADMIN_PAGE ? "page" : "token",
		    addr_ip_text(&from, text));
		serve_known(d, req, path, name);
	} else {
		serve_unknown(d, req, path, access);
	}
}

static void
serve(struct evhttp_request *req, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	struct door *d = arg;
	char name[WHO_MAX];

	add_security_headers(req);
	if (path == NULL)
		path = "";
	if (!d->local && !admin_auth_host_ok(req)) {
		admin_refuse(req, 403,
		    "Host: want an IP address or localhost, so that no other "
		    "site's name can lead here");
	} else if (strcmp(path, "/healthz") == 0) {
		admin_reply(
		    req, HTTP_OK, "text/plain; charset=utf-8", "ok\n", 3);
	} else if (d->local) {
		name_local(name, req);
		serve_known(d, req, path, name);
	} else {
		serve_remote(d, req, path);
	}
}

/* Takes fd. */
static int
door_open(struct door *d, struct admin *a, int fd)
{
	struct evhttp_bound_socket *bound;

	d->admin = a;
	d->local = d == &a->local;
	if ((d->http = evhttp_new(loop_base(a->c->loop))) == NULL) {
		close(fd);
		return -1;
	}
	evhttp_set_allowed_methods(d->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH |
		EVHTTP_REQ_OPTIONS);
	evhttp_set_max_headers_size(d->http, HEAD_MAX);
	/* evhttp refuses with a page; who opened the socket is told by api.c,
	 * in JSON. */
	evhttp_set_max_body_size(
	    d->http, d->local ? LOCAL_BODY_MAX : ADMIN_BODY_MAX);
	evhttp_set_timeout(d->http, TIMEOUT_SECONDS);
	/* Who sends too much reads the answer only when all is sent. */
	evhttp_set_flags(d->http, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_gencb(d->http, serve, d);
	bound = evhttp_accept_socket_with_handle(d->http, fd);
	if (bound == NULL) {
		close(fd);
		return -1;
	}
	http_accept_pauses(bound);
	return 0;
}

static bool
open_local(struct admin *a, char error[static COORDD_ERROR_MAX])
{
	const char *path = a->c->conf->socket;
	int fd;

	if (path[0] == '\0')
		return true;
	if ((fd = admin_socket_open(&a->socket, path, error)) == -1)
		return false;
	if (door_open(&a->local, a, fd) == -1) {
		snprintf(error, COORDD_ERROR_MAX, "socket: out of memory");
		return false;
	}
	log_info("listening socket %s", path);
	return true;
}

static bool
open_remote(struct admin *a, char error[static COORDD_ERROR_MAX])
{
	struct addr addr = a->c->conf->admin;
	char text[ADDR_TEXT_MAX];
	int fd;

	if (addr.len == 0)
		return true;
	if ((fd = addr_listen_tcp(&addr, false)) == -1) {
		snprintf(error, COORDD_ERROR_MAX, "admin %s: %s",
		    addr_text(&addr, text), strerror(errno));
		return false;
	}
	if (door_open(&a->remote, a, fd) == -1) {
		snprintf(error, COORDD_ERROR_MAX, "admin: out of memory");
		return false;
	}
	log_info("listening admin http://%s/", addr_text(&addr, text));
	return true;
}

struct admin *
admin_new(struct coordd *c, char error[static COORDD_ERROR_MAX])
{
	struct admin *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		snprintf(error, COORDD_ERROR_MAX, "admin: out of memory");
		return NULL;
	}
	a->c = c;
	if (admin_auth_open(&a->auth, c->conf->state, error) == 0 &&
	    open_local(a, error) && open_remote(a, error))
		return a;
	admin_free(a);
	return NULL;
}

void
admin_free(struct admin *a)
{
	if (a == NULL)
		return;
	if (a->local.http != NULL)
		evhttp_free(a->local.http);
	if (a->remote.http != NULL)
		evhttp_free(a->remote.http);
	admin_socket_remove(&a->socket);
	admin_auth_close(&a->auth);
	free(a);
}

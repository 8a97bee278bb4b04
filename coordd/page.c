/*
 * page: the web page. From a request to the part of the page that answers it,
 * and the frame around each part. Who may ask for what is decided before, in
 * admin.c, but for the login form.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "coordd/page.h"

#define FORM_MAX 65536

/* Nothing from elsewhere, nothing inline, and no text made HTML by script. */
#define POLICY                                                      \
	"default-src 'none'; script-src 'self'; style-src 'self'; " \
	"connect-src 'self'; img-src 'self'; form-action 'self'; "  \
	"frame-ancestors 'none'; base-uri 'none'; "                 \
	"require-trusted-types-for 'script'; trusted-types 'none'"

/* "*" stands for what p->arg gets. */
static const struct page_route {
	const char *path;
	bool post;
	page_fn *fn;
} routes[] = {
    {"/", false, page_home},
    {"/nodes", false, page_nodes},
    {"/nodes/*", false, page_node},
    {"/nodes/*/approve", true, page_node_approve},
    {"/nodes/*/expire", true, page_node_expire},
    {"/nodes/*/rename", true, page_node_rename},
    {"/nodes/*/move", true, page_node_move},
    {"/nodes/*/tags", true, page_node_tags},
    {"/nodes/*/routes", true, page_node_routes},
    {"/nodes/*/delete", true, page_node_delete},
    {"/logins/*/approve", true, page_login_approve},
    {"/logins/*/deny", true, page_login_deny},
    {"/users", false, page_users},
    {"/users", true, page_user_create},
    {"/users/*/rename", true, page_user_rename},
    {"/users/*/delete", true, page_user_delete},
    {"/keys", false, page_keys},
    {"/keys", true, page_key_create},
    {"/keys/*/expire", true, page_key_expire},
    {"/keys/*/delete", true, page_key_delete},
    {"/policy", false, page_policy},
    {"/audit", false, page_audit},
    {"/login", true, page_login},
    {"/logout", true, page_logout},
};

static bool
path_fits(const char *path, const char *pattern, char arg[static PAGE_ARG_MAX])
{
	size_t n = strcspn(pattern, "*"), len;

	if (strncmp(path, pattern, n) != 0)
		return false;
	if (pattern[n] == '\0')
		return path[n] == '\0';
	len = strcspn(path + n, "/");
	if (len == 0 || len >= PAGE_ARG_MAX ||
	    strcmp(path + n + len, pattern + n + 1) != 0)
		return false;
	memcpy(arg, path + n, len);
	arg[len] = '\0';
	return true;
}

static const struct page_route *
find_route(struct page *p, const char *path, bool post)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (routes[i].post == post &&
		    path_fits(path, routes[i].path, p->arg))
			return &routes[i];
	return NULL;
}

static void
set_header(struct evhttp_request *req, const char *name, const char *value)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	evhttp_remove_header(headers, name);
	evhttp_add_header(headers, name, value);
}

/* With "no-referrer" a browser would tell "null" as the origin of a form. */
static void
set_headers(struct evhttp_request *req)
{
	set_header(req, "Content-Security-Policy", POLICY);
	set_header(req, "Cross-Origin-Opener-Policy", "same-origin");
	set_header(req, "Referrer-Policy", "same-origin");
}

static void
add_menu(struct page *p, const char *at)
{
	static const struct {
		const char *path, *name;
	} menu[] = {{"/", "Overview"}, {"/nodes", "Nodes"}, {"/users", "Users"},
	    {"/keys", "Keys"}, {"/policy", "Policy"}, {"/audit", "Audit log"}};

	text_str(&p->out, "<nav aria-label=\"Main\"><ul>\n");
	for (size_t i = 0; i < sizeof(menu) / sizeof(menu[0]); i++) {
		html_fmt(&p->out, "<li><a href=\"%s\"", menu[i].path);
		if (at != NULL && strcmp(at, menu[i].path) == 0)
			text_str(&p->out, " aria-current=\"page\"");
		html_fmt(&p->out, ">%s</a></li>\n", menu[i].name);
	}
	text_str(&p->out,
	    "</ul></nav>\n<form method=\"post\" action=\"/logout\">"
	    "<button class=\"quiet\">Log out</button></form>\n");
}

void
page_begin(struct page *p, const char *title, const char *at)
{
	struct text *t = &p->out;

	text_str(t,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" "
	    "content=\"width=device-width, initial-scale=1\">\n"
	    "<meta name=\"color-scheme\" content=\"light dark\">\n"
	    "<meta name=\"robots\" content=\"noindex\">\n"
	    "<link rel=\"icon\" href=\"/icon.svg\">\n"
	    "<link rel=\"stylesheet\" href=\"/page.css\">\n");
	if (p->who != NULL)
		text_str(t, "<script src=\"/page.js\" defer></script>\n");
	html_fmt(t,
	    "<title>%s · campusnet</title>\n</head>\n<body>\n"
	    "<a class=\"skip\" href=\"#main\">Skip to content</a>\n"
	    "<header><p class=\"brand\"><a href=\"/\">campusnet</a></p>\n",
	    title);
	if (p->who != NULL)
		add_menu(p, at);
	html_fmt(t, "</header>\n<main id=\"main\">\n<h1><bdi>%s</bdi></h1>\n",
	    title);
	if (page_value(p, "done")[0] != '\0')
		text_str(t, "<p class=\"notice\" role=\"status\">Done.</p>\n");
}

void
page_end(struct page *p, int status)
{
	text_str(&p->out, "</main>\n<footer><p>");
	if (p->who != NULL) {
		text_str(&p->out, "<span id=\"updated\">As of ");
		html_time(&p->out, p->now);
		text_str(&p->out, "</span>");
	}
	text_str(&p->out, "</p></footer>\n</body>\n</html>\n");
	if (p->out.bad)
		admin_refuse(p->req, HTTP_INTERNAL, "out of memory");
	else
		admin_reply(p->req, status, "text/html; charset=utf-8",
		    p->out.p, p->out.len);
}

void
page_redirect(struct page *p, const char *where)
{
	set_header(p->req, "Location", where);
	admin_reply(p->req, 303, NULL, NULL, 0);
}

static void
refuse(struct page *p, const char *title, const struct ops_result *r,
    const char *where)
{
	page_begin(p, title, NULL);
	html_fmt(&p->out,
	    "<p class=\"notice bad\" role=\"alert\">%s</p>\n"
	    "<p><a class=\"button\" href=\"%s\">Back</a></p>\n",
	    r->error, where);
	page_end(p, r->status);
}

void
page_answer(
    struct page *p, bool good, const struct ops_result *r, const char *where)
{
	struct text to = TEXT_EMPTY;

	if (!good) {
		refuse(p, "Not done", r, where);
		return;
	}
	text_fmt(&to, "%s?done=1", where);
	page_redirect(p, to.bad ? where : to.p);
	text_clear(&to);
}

void
page_missing(struct page *p, const char *what, const char *where)
{
	struct ops_result r;

	ops_fail(&r, HTTP_NOTFOUND, "There is no such %s (any more).", what);
	refuse(p, "Not found", &r, where);
}

uint64_t
page_arg_id(const struct page *p)
{
	size_t n = strlen(p->arg);

	if (n > 19 || strspn(p->arg, "0123456789") != n)
		return 0;
	return strtoull(p->arg, NULL, 10);
}

const char *
page_value(const struct page *p, const char *name)
{
	const char *v = evhttp_find_header(&p->values, name);

	return v == NULL ? "" : v;
}

/* False if it is none, too long or not well-formed. */
static bool
read_form(struct page *p)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(p->req);
	size_t n = evbuffer_get_length(in);
	char *text;
	bool good;

	if (n > FORM_MAX || (text = calloc(1, n + 1)) == NULL)
		return false;
	good = evbuffer_copyout(in, text, n) == (ev_ssize_t)n &&
	    strlen(text) == n && evhttp_parse_query_str(text, &p->values) == 0;
	free(text);
	return good;
}

static void
read_query(struct page *p)
{
	const char *query =
	    evhttp_uri_get_query(evhttp_request_get_evhttp_uri(p->req));

	/* A query that is none asks for nothing. */
	if (query != NULL)
		(void)evhttp_parse_query_str(query, &p->values);
}

static void
send_asset(struct evhttp_request *req, const struct page_asset *a)
{
	admin_reply(req, HTTP_OK, a->type, a->body, (size_t)(a->end - a->body));
}

/* Where an unknown visitor wants to go, as far as he may be sent there. */
static void
ask_for_token(struct page *p, const char *path, bool post)
{
	const char *query =
	    evhttp_uri_get_query(evhttp_request_get_evhttp_uri(p->req));
	struct text next = TEXT_EMPTY;

	text_str(&next, post ? "/" : path);
	if (!post && query != NULL)
		text_fmt(&next, "?%s", query);
	page_login_form(p, 401, NULL, next.bad ? "/" : next.p);
	text_clear(&next);
}

static void
call_route(struct page *p, const struct page_route *route, const char *path)
{
	const struct ops_result unread = {
	    HTTP_BADREQUEST, "the form is damaged, or longer than 64 KiB"};

	set_headers(p->req);
	TAILQ_INIT(&p->values);
	p->now = coordd_time();
	if (p->who == NULL && route->fn != page_login &&
	    route->fn != page_logout) {
		ask_for_token(p, path, route->post);
	} else if (route->post && !read_form(p)) {
		page_answer(p, false, &unread, "/");
	} else {
		if (!route->post)
			read_query(p);
		route->fn(p);
	}
	evhttp_clear_headers(&p->values);
	text_clear(&p->out);
}

bool
page_handle(
    struct admin *a, struct evhttp_request *req, const struct ops_who *who)
{
	const char *path =
	    evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	bool post = method == EVHTTP_REQ_POST;
	struct page p = {.admin = a, .c = admin_env(a), .req = req, .who = who};
	const struct page_asset *asset;
	const struct page_route *route;

	if (path == NULL ||
	    (!post && method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD))
		return false;
	asset = page_asset_find(path);
	if (!post && asset != NULL && (who != NULL || asset->open)) {
		send_asset(req, asset);
		return true;
	}
	if ((route = find_route(&p, path, post)) == NULL)
		return false;
	call_route(&p, route, path);
	return true;
}

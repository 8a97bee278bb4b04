/*
 * site: the public pages. Nothing here tells who or what is in the network.
 */
#include <string.h>

#include <jansson.h>

#include "coordd/listen.h"
#include "coordd/login.h"
#include "pure/http1.h"

#define HTML  "text/html; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"
#define JSON  "application/json"

static void
page_begin(struct site_answer *a, const char *title)
{
	a->type = HTML;
	text_fmt(&a->body,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width\">\n"
	    "<title>%s</title>\n<h1>%s</h1>\n",
	    title, title);
}

static void
answer_key(struct coordd *c, struct site_answer *a)
{
	char text[KEY_TEXT_MAX];

	a->type = JSON;
	text_fmt(&a->body, "{\"publicKey\":\"%s\"}\n",
	    key_text(&c->pub, KEY_MACHINE, text));
}

static void
answer_home(struct coordd *c, struct site_answer *a)
{
	page_begin(a, "campusnet");
	text_str(&a->body,
	    "<p>This host coordinates a private network of Tailscale "
	    "clients. To join it:</p>\n<pre>tailscale up --login-server ");
	text_html(&a->body, c->conf->url);
	text_str(&a->body, "</pre>\n");
}

static bool
is_hex(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (memchr("0123456789abcdef", s.p[i], 16) == NULL)
			return false;
	return s.n > 0;
}

/* Clients send people here whose device waits for approval. */
static void
answer_admin(struct site_answer *a)
{
	page_begin(a, "Devices that wait for approval");
	text_str(&a->body,
	    "<p>An administrator runs, on the coordinator's host, with the "
	    "name of the machine:</p>\n"
	    "<pre>coordctl nodes approve NAME</pre>\n"
	    "<p>The machine goes on by itself then.</p>\n");
}

/* Whether the login is known is not told here: the page says what to do. */
static void
answer_register(struct site_answer *a, struct span id)
{
	if (id.n > 64 || !is_hex(id)) {
		a->status = 404;
		text_str(&a->body, "no such page\n");
		return;
	}
	page_begin(a, "This machine waits to be let in");
	text_fmt(&a->body,
	    "<p>An administrator runs, on the coordinator's host, with the "
	    "name of the user to whom the machine shall belong:</p>\n"
	    "<pre>coordctl nodes register --user USER %.*s</pre>\n"
	    "<p>The machine goes on by itself then. This page need not stay "
	    "open.</p>\n",
	    (int)id.n, id.p);
}

/* derper's admission callout: {"NodePublic","Source"} -> {"Allow"}. */
static void
answer_verify(
    struct coordd *c, const char *body, size_t n, struct site_answer *a)
{
	json_t *root = json_loadb(body, n, 0, NULL);
	const json_t *v = json_object_get(root, "NodePublic");
	const struct node *node;
	struct key k;
	bool allow = false;

	if (!json_is_string(v) ||
	    !key_parse(
		&k, KEY_NODE, json_string_value(v), json_string_length(v))) {
		a->status = 400;
		text_str(&a->body,
		    "want {\"NodePublic\":\"nodekey:<64 hex digits>\"}\n");
	} else {
		node = model_node_keyed(&c->model, &k);
		allow = node != NULL && node->authorized &&
		    !node_is_expired(node, coordd_time());
		a->type = JSON;
		text_fmt(
		    &a->body, "{\"Allow\":%s}\n", allow ? "true" : "false");
	}
	json_decref(root);
}

static bool
under(struct span path, const char *prefix, struct span *rest)
{
	size_t n = strlen(prefix);

	if (path.n < n || memcmp(path.p, prefix, n) != 0)
		return false;
	*rest = (struct span){path.p + n, path.n - n};
	return true;
}

static void
answer_get(
    struct coordd *c, const struct http1_request *req, struct site_answer *a)
{
	struct span rest;

	if (span_is(req->path, "/key"))
		answer_key(c, a);
	else if (span_is(req->path, "/health")) {
		a->type = JSON;
		text_str(&a->body, "{\"status\":\"pass\"}\n");
	} else if (span_is(req->path, "/generate_204"))
		a->status = 204;
	else if (span_is(req->path, "/"))
		answer_home(c, a);
	else if (span_is(req->path, "/admin"))
		answer_admin(a);
	else if (under(req->path, "/register/", &rest))
		answer_register(a, rest);
	else if (span_is(req->path, "/ts2021")) {
		a->status = 501;
		text_str(&a->body,
		    "want POST with Upgrade: tailscale-control-protocol; "
		    "WebSockets are not served\n");
	} else {
		a->status = 404;
		text_str(&a->body, "no such page\n");
	}
}

void
site_answer(struct coordd *c, const struct http1_request *req, const char *body,
    size_t n, struct site_answer *a)
{
	*a = (struct site_answer){.status = 200, .type = PLAIN};
	if (span_is(req->method, "GET") || span_is(req->method, "HEAD"))
		answer_get(c, req, a);
	else if (span_is(req->method, "POST") && span_is(req->path, "/verify"))
		answer_verify(c, body, n, a);
	else if (span_is(req->method, "POST") &&
	    span_is(req->path, "/ts2021")) {
		a->status = 400;
		text_str(&a->body,
		    "want Upgrade: tailscale-control-protocol; does a proxy "
		    "between us leave it out?\n");
	} else {
		a->status = 405;
		text_str(&a->body, "want GET\n");
	}
}

/*
 * api: from a request to the handler that it is for, and back. What a request
 * may bring stands in the table of routes and is checked here, so that a
 * handler sees only what it asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "coordd/api.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* "nodes", NODE, "approve" */
#define PARTS_MAX 3

static const struct api_member no_members[] = {{0}};
static const struct api_member user_members[] = {
    {"name", API_STRING, true}, {"display_name", API_STRING, false}, {0}};
static const struct api_member name_members[] = {
    {"name", API_STRING, true}, {0}};
static const struct api_member key_members[] = {{"user", API_STRING, true},
    {"reusable", API_BOOL, false}, {"ephemeral", API_BOOL, false},
    {"expiration", API_INTEGER, false}, {"tags", API_STRINGS, false}, {0}};
static const struct api_member register_members[] = {{"id", API_STRING, true},
    {"user", API_STRING, true}, {"tags", API_STRINGS, false}, {0}};
static const struct api_member approve_members[] = {
    {"approved", API_BOOL, true}, {0}};
static const struct api_member expire_members[] = {
    {"expiry", API_TIME, false}, {0}};
static const struct api_member move_members[] = {
    {"user", API_STRING, true}, {0}};
static const struct api_member tags_members[] = {
    {"tags", API_STRINGS, true}, {0}};
static const struct api_member routes_members[] = {
    {"approved", API_STRINGS, true}, {0}};
static const struct api_member policy_members[] = {
    {"policy", API_STRING, true}, {0}};
static const struct api_member explain_members[] = {{"src", API_STRING, true},
    {"dst", API_STRING, true}, {"port", API_INTEGER, true},
    {"proto", API_STRING, false}, {0}};

/* "*" stands for a name. Where two would fit the first counts. */
static const struct api_route {
	enum evhttp_cmd_type method;
	const char *path;
	api_fn *fn;
	const struct api_member *members; /* NULL: no body */
	const char *query;
} routes[] = {
    {EVHTTP_REQ_GET, "status", api_status, NULL, ""},
    {EVHTTP_REQ_GET, "users", api_users_list, NULL, ""},
    {EVHTTP_REQ_POST, "users", api_users_create, user_members, ""},
    {EVHTTP_REQ_POST, "users/*/rename", api_users_rename, name_members, ""},
    {EVHTTP_REQ_DELETE, "users/*", api_users_delete, no_members, ""},
    {EVHTTP_REQ_GET, "preauthkeys", api_keys_list, NULL, "user"},
    {EVHTTP_REQ_POST, "preauthkeys", api_keys_create, key_members, ""},
    {EVHTTP_REQ_POST, "preauthkeys/*/expire", api_keys_expire, no_members, ""},
    {EVHTTP_REQ_DELETE, "preauthkeys/*", api_keys_delete, no_members, ""},
    {EVHTTP_REQ_GET, "nodes", api_nodes_list, NULL, "user tag"},
    {EVHTTP_REQ_POST, "nodes/register", api_nodes_register, register_members,
	""},
    {EVHTTP_REQ_GET, "nodes/*", api_nodes_show, NULL, ""},
    {EVHTTP_REQ_POST, "nodes/*/approve", api_nodes_approve, approve_members,
	""},
    {EVHTTP_REQ_POST, "nodes/*/expire", api_nodes_expire, expire_members, ""},
    {EVHTTP_REQ_POST, "nodes/*/rename", api_nodes_rename, name_members, ""},
    {EVHTTP_REQ_POST, "nodes/*/move", api_nodes_move, move_members, ""},
    {EVHTTP_REQ_POST, "nodes/*/tags", api_nodes_tags, tags_members, ""},
    {EVHTTP_REQ_POST, "nodes/*/routes", api_nodes_routes, routes_members, ""},
    {EVHTTP_REQ_DELETE, "nodes/*", api_nodes_delete, no_members, ""},
    {EVHTTP_REQ_GET, "logins", api_logins_list, NULL, ""},
    {EVHTTP_REQ_POST, "logins/*/deny", api_logins_deny, no_members, ""},
    {EVHTTP_REQ_GET, "policy", api_policy_show, NULL, ""},
    {EVHTTP_REQ_PUT, "policy", api_policy_set, policy_members, ""},
    {EVHTTP_REQ_POST, "policy/check", api_policy_check, policy_members, ""},
    {EVHTTP_REQ_POST, "policy/explain", api_policy_explain, explain_members,
	""},
    {EVHTTP_REQ_POST, "policy/reload", api_policy_reload, no_members, ""},
    {EVHTTP_REQ_GET, "audit", api_audit, NULL, "limit"},
    {EVHTTP_REQ_GET, "backup", api_backup, NULL, ""},
    {EVHTTP_REQ_POST, "verify", api_verify, no_members, ""},
    {EVHTTP_REQ_GET, "metrics", api_metrics, NULL, ""},
};

static const char *
method_name(enum evhttp_cmd_type method)
{
	switch (method) {
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	default:
		return "GET";
	}
}

/* Compares part by part; *name gets what stands for the "*". */
static bool
path_fits(const char *path, const char *pattern, const char **name, size_t *n)
{
	for (;;) {
		size_t a = strcspn(path, "/"), b = strcspn(pattern, "/");

		if (pattern[0] == '*' && a > 0) {
			*name = path;
			*n = a;
		} else if (a != b || strncmp(path, pattern, a) != 0) {
			return false;
		}
		path += a;
		pattern += b;
		if (*path == '\0' || *pattern == '\0')
			return *path == *pattern;
		path++;
		pattern++;
	}
}

/* The route of a request, or NULL; then allowed holds the methods that the
 * path has. */
static const struct api_route *
find_route(enum evhttp_cmd_type method, const char *path, const char **name,
    size_t *n, struct text *allowed)
{
	if (method == EVHTTP_REQ_HEAD)
		method = EVHTTP_REQ_GET;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		*name = NULL;
		if (!path_fits(path, routes[i].path, name, n))
			continue;
		if (routes[i].method == method)
			return &routes[i];
		if (allowed->len > 0)
			text_str(allowed, ", ");
		text_str(allowed, method_name(routes[i].method));
	}
	return NULL;
}

static void
refuse_path(
    struct evhttp_request *req, const char *path, const struct text *allowed)
{
	char shown[OPS_SHOW_MAX];

	if (allowed->len == 0) {
		admin_refuse(req, HTTP_NOTFOUND, "no such path: %s",
		    ops_show(shown, path));
		return;
	}
	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Allow", allowed->p);
	admin_refuse(req, HTTP_BADMETHOD, "method: want %s", allowed->p);
}

/* The name as it is meant: without its %XX. */
static bool
read_name(struct api_call *a, const char *name, size_t n)
{
	char *coded;
	size_t len = 0;

	if (name == NULL)
		return true;
	if ((coded = strndup(name, n)) == NULL)
		return ops_no_memory(&a->r);
	a->name = evhttp_uridecode(coded, 0, &len);
	free(coded);
	if (a->name == NULL)
		return ops_no_memory(&a->r);
	if (strlen(a->name) != len)
		return ops_fail(
		    &a->r, HTTP_BADREQUEST, "path: holds a zero byte");
	return true;
}

static void
answer(struct api_call *a, bool good)
{
	if (!good) {
		admin_refuse(a->req, a->r.status, "%s", a->r.error);
		return;
	}
	if (a->out.len > 0)
		text_char(&a->out, '\n');
	if (a->out.bad)
		admin_refuse(a->req, HTTP_INTERNAL, "out of memory");
	else
		admin_reply(a->req, a->status, "application/json", a->out.p,
		    a->out.len);
}

static void
call_route(struct api_call *a, const struct api_route *route, const char *name,
    size_t n)
{
	bool good;

	TAILQ_INIT(&a->query);
	good = read_name(a, name, n) && api_read_query(a, route->query) &&
	    api_read_body(a, route->members) && route->fn(a);
	if (!a->answered)
		answer(a, good);
	free(a->name);
	json_decref(a->body);
	evhttp_clear_headers(&a->query);
	text_clear(&a->out);
}

void
api_handle(
    struct coordd *c, struct evhttp_request *req, const struct ops_who *who)
{
	const char *path =
	    evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	struct api_call a = {.c = c, .req = req, .who = who, .status = HTTP_OK};
	struct text allowed = TEXT_EMPTY;
	const struct api_route *route;
	const char *name;
	size_t n = 0;

	if (strncmp(path, API_ROOT, sizeof(API_ROOT) - 1) == 0)
		path += sizeof(API_ROOT) - 1;
	path += *path == '/';
	route = find_route(
	    evhttp_request_get_command(req), path, &name, &n, &allowed);
	if (route == NULL)
		refuse_path(req, path, &allowed);
	else
		call_route(&a, route, name, n);
	text_clear(&allowed);
}

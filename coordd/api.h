/*
 * api: what the api*.c files share: one call of the API, the routes that say
 * what it may bring, and the records as JSON. See docs/api.md.
 */
#ifndef COORDD_API_H
#define COORDD_API_H

#include <sys/queue.h>

#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "coordd/admin.h"
#include "coordd/ops.h"
#include "pure/text.h"

#define API_ROOT "/api/v1"

/* A member that the body of a request may have. */
enum api_type {
	API_BOOL,
	API_INTEGER,
	API_STRING,
	API_STRINGS, /* an array of them */
	API_TIME, /* RFC 3339, or null */
};

struct api_member {
	const char *name; /* NULL ends the list */
	enum api_type type;
	bool required;
};

struct api_call {
	struct coordd *c;
	struct evhttp_request *req;
	const struct ops_who *who;
	char *name; /* the part of the path that names something, or NULL */
	json_t *body; /* an object of the route's members */
	struct evkeyvalq query;
	/* The answer: with out, or r.error. */
	int status;
	struct text out;
	struct ops_result r;
	bool answered; /* by the handler itself */
};

/* Fills out and returns true (status 200 if it sets none), or fills r. */
typedef bool api_fn(struct api_call *a);

/* Answers a request whose path begins with API_ROOT. */
void api_handle(
    struct coordd *c, struct evhttp_request *req, const struct ops_who *who);

/*
 * api_body.c: what a request brings.
 */
/* Fills a->body from the request's, as the members say. */
bool api_read_body(struct api_call *a, const struct api_member *members);
/* names: those that a query may have, with blanks between them. */
bool api_read_query(struct api_call *a, const char *names);
/* NULL if it is not there. */
const char *api_query(const struct api_call *a, const char *name);
const char *api_string(const struct api_call *a, const char *name);
bool api_bool(const struct api_call *a, const char *name, bool otherwise);
int64_t api_integer(
    const struct api_call *a, const char *name, int64_t otherwise);
/* unix seconds; null is 0. */
int64_t api_time(const struct api_call *a, const char *name, int64_t otherwise);
/* The array, lent from the body but for the list itself, which is freed by
 * the caller. An empty one is no NULL. False if memory is short. */
bool api_strings(const struct api_call *a, const char *name,
    const char *const **v, size_t *n);
/* Reads an RFC 3339 time between 1970 and 9999. */
bool api_parse_time(const char *text, int64_t *unix_s);
/* NULL, and r filled, if there is none. */
struct user *api_find_user(struct api_call *a, const char *text);
struct node *api_find_node(struct api_call *a, const char *text);

/*
 * api_json.c: records as JSON.
 */
struct api_view {
	struct coordd *c;
	int64_t now;
	json_t *relays; /* the DERP map, or NULL */
};
void api_view_init(struct api_view *v, struct coordd *c);
void api_view_clear(struct api_view *v);
void api_add_node(
    struct text *t, const struct api_view *v, const struct node *n);
void api_add_user(struct text *t, const struct user *u);
/* secret: NULL, or what is shown this once. */
void api_add_authkey(
    struct text *t, const struct authkey *k, int64_t now, const char *secret);
/* The array of an address list; of tags and the like. */
void api_add_strings(struct text *t, const char *const *v, size_t n);
/* RFC 3339 in quotes, or null for 0. */
void api_add_time(struct text *t, int64_t unix_s);

/*
 * api_user.c, api_node.c, api_policy.c, api_system.c: the handlers.
 */
api_fn api_users_list, api_users_create, api_users_rename, api_users_delete;
api_fn api_keys_list, api_keys_create, api_keys_expire, api_keys_delete;
api_fn api_nodes_list, api_nodes_show, api_nodes_register, api_nodes_approve,
    api_nodes_expire, api_nodes_rename, api_nodes_move, api_nodes_tags,
    api_nodes_routes, api_nodes_delete;
api_fn api_logins_list, api_logins_deny;
api_fn api_policy_show, api_policy_set, api_policy_check, api_policy_explain,
    api_policy_reload;
/* The database and what belongs to it, on the disk. */
int64_t api_database_bytes(const struct coordd *c);
api_fn api_status, api_audit, api_backup, api_verify, api_metrics;

#endif

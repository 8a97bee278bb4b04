/*
 * page: what the page*.c files share: one request to the web page, its frame,
 * and HTML in the making.
 *
 * A page is whole when it leaves: the script in page/page.js only fetches it
 * anew and shows what changed. Whatever was not written in these files is
 * escaped by html_fmt.
 */
#ifndef COORDD_PAGE_H
#define COORDD_PAGE_H

#include <sys/queue.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "coordd/admin.h"
#include "coordd/ops.h"
#include "pure/text.h"

/* A key that expires this soon is one about to expire. */
#define PAGE_SOON_S  (14 * 86400)
#define PAGE_ARG_MAX 64

struct page {
	struct admin *admin;
	struct coordd *c;
	struct evhttp_request *req;
	const struct ops_who *who; /* NULL: gets the login form alone */
	char arg[PAGE_ARG_MAX]; /* what the path names: "nodes/ARG" */
	struct evkeyvalq values; /* of the query, or of the form sent */
	int64_t now;
	struct text out;
};

/* Answers with a page, or with a redirection. */
typedef void page_fn(struct page *p);

/*
 * page.c
 */
/* Everything up to where the page's own part begins. at: the entry of the
 * menu which that is, "/nodes", or NULL. */
void page_begin(struct page *p, const char *title, const char *at);
/* The rest; sends it. */
void page_end(struct page *p, int status);
/* 303: the browser asks for this address by GET. */
void page_redirect(struct page *p, const char *where);
/* After a change was tried: goes to `where`, or says why it was not made. */
void page_answer(
    struct page *p, bool good, const struct ops_result *r, const char *where);
/* The same for what the path names but is not there. */
void page_missing(struct page *p, const char *what, const char *where);
/* The number in the path; 0, which is no id, if it is none. */
uint64_t page_arg_id(const struct page *p);
/* "" if it was not sent. */
const char *page_value(const struct page *p, const char *name);

/*
 * page_login.c
 */
/* The form, to who has not shown the token. error: what was wrong with the
 * last one, or NULL. next: where he wants to go. */
void page_login_form(
    struct page *p, int status, const char *error, const char *next);
page_fn page_login, page_logout;

/*
 * page_asset.c: style, script and icon, which are part of the program.
 */
struct page_asset {
	const char *path, *type;
	const char *body, *end;
	bool open; /* also without the token */
};
/* NULL if the path is none of them. */
const struct page_asset *page_asset_find(const char *path);

/*
 * page_html.c
 */
/* As printf, for %s, %d, %zu and %llu alone; %s is escaped. */
void html_fmt(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* In a query: %XX where it must be. */
void html_query(struct text *t, const char *s);
/* "12,345" */
void html_count(struct text *t, size_t n);
/* How long ago, or until then; in full where the mouse points. 0: "never". */
void html_when(struct text *t, int64_t unix_s, int64_t now);
/* To the second. */
void html_time(struct text *t, int64_t unix_s);
/* A word that stands out; kind: "good", "warn", "bad" or "". */
void html_mark(struct text *t, const char *kind, const char *word);

/* The address of the same list with one value changed ("": without), as an
 * attribute. names: of its values, NULL at the end. The number of the page is
 * kept only if that is it. */
void page_link(const struct page *p, struct text *t, const char *path,
    const char *const *names, const char *name, const char *value);

/* What the page in view shows of a long list: from <= i < to. */
#define PAGE_ROWS 100
struct page_slice {
	size_t total, from, to;
	size_t page, pages; /* from 1 */
};
struct page_slice page_slice_of(const struct page *p, size_t total);
/* "101 to 200 of 1,234 nodes", and the ways to the others. what: "node",
 * "nodes". */
void page_slice_nav(struct page *p, const struct page_slice *s,
    const char *path, const char *const *names, const char *const what[2]);
/* The field of a form that takes a user; one is proposed if it is the only
 * one. id: of the element. */
void page_user_field(struct page *p, const char *id);
/* The users to choose from, once on a page which has such a field. */
void page_user_list(struct page *p);
/* The user that a form names, or NULL with r filled. */
struct user *page_find_user(struct page *p, struct ops_result *r);
/* The field "tags" of a form, split. False with r filled if they are too
 * many. */
struct page_tags {
	char text[NODE_TAGS_MAX * (LABEL_MAX + 6)];
	const char *v[NODE_TAGS_MAX + 1];
	size_t n;
};
bool page_read_tags(
    struct page *p, struct page_tags *tags, struct ops_result *r);
/* Splits at blanks and commas, in place; at most max. */
size_t page_words(char *text, const char **v, size_t max);

/*
 * page_nodes.c, page_node.c, page_change.c: nodes.
 */
page_fn page_nodes, page_node;
/* Online or not, and what else an administrator should know. */
void page_node_state(struct page *p, const struct node *n);
/* Its name, as a link. */
void page_node_link(struct text *t, const struct node *n);
void page_node_owner(struct text *t, const struct node *n);
bool page_node_expires_soon(const struct node *n, int64_t now);
/* The relay's name. map: of the coordinator, or NULL. */
void page_relay_name(struct text *t, const json_t *map, int region);
page_fn page_node_approve, page_node_expire, page_node_rename, page_node_move,
    page_node_tags, page_node_routes, page_node_delete;
page_fn page_login_approve, page_login_deny;

/*
 * page_home.c, page_users.c, page_keys.c, page_policy.c, page_audit.c
 */
page_fn page_home;
page_fn page_users, page_user_create, page_user_rename, page_user_delete;
page_fn page_keys, page_key_create, page_key_expire, page_key_delete;
page_fn page_policy;
page_fn page_audit;
/* The newest entries as a table. */
struct page_audit_wish {
	const char *with; /* only those that hold this text; "": all */
	size_t skip, show; /* of those */
	size_t read; /* how many of all are looked at */
};
/* Returns how many there are of that kind; show 0: does no more. */
size_t page_audit_table(struct page *p, const struct page_audit_wish *w);

#endif

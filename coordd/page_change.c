/* page_change: what the forms on the pages of nodes and waiting logins do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/page.h"

#define WHERE_MAX  64
#define DAYS_MAX   3650
#define ROUTES_MAX 1000

/* The node that the path names, and its page; NULL if that was answered. */
static struct node *
find_node(struct page *p, char where[static WHERE_MAX])
{
	struct node *n = model_node(&p->c->model, page_arg_id(p));

	if (n == NULL)
		page_missing(p, "node", "/nodes");
	else
		snprintf(
		    where, WHERE_MAX, "/nodes/%llu", (unsigned long long)n->id);
	return n;
}

struct user *
page_find_user(struct page *p, struct ops_result *r)
{
	const char *name = page_value(p, "user");
	struct user *u = ops_find_user(p->c, name);
	char shown[OPS_SHOW_MAX];

	if (u == NULL)
		ops_fail(r, HTTP_BADREQUEST, "There is no user \"%s\".",
		    ops_show(shown, name));
	return u;
}

void
page_node_approve(struct page *p)
{
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct ops_result r;

	if (n != NULL)
		page_answer(p,
		    ops_node_approve(p->c, p->who, n,
			strcmp(page_value(p, "approved"), "yes") == 0, &r),
		    &r, where);
}

void
page_node_expire(struct page *p)
{
	const char *text = page_value(p, "days");
	char where[WHERE_MAX], *end;
	struct node *n = find_node(p, where);
	struct ops_result r;
	int64_t expiry = 0;
	bool good = true;

	if (n == NULL)
		return;
	if (strcmp(text, "never") != 0) {
		long days = strtol(text, &end, 10);

		if (text[0] == '\0' || *end != '\0' || days < 0 ||
		    days > DAYS_MAX)
			good = ops_fail(&r, HTTP_BADREQUEST,
			    "Days: want never, or 0 to %d.", DAYS_MAX);
		else
			expiry = p->now + days * 86400;
	}
	page_answer(
	    p, good && ops_node_expire(p->c, p->who, n, expiry, &r), &r, where);
}

void
page_node_rename(struct page *p)
{
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct ops_result r;

	if (n != NULL)
		page_answer(p,
		    ops_node_rename(p->c, p->who, n, page_value(p, "name"), &r),
		    &r, where);
}

void
page_node_move(struct page *p)
{
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct ops_result r;
	struct user *u;

	if (n == NULL)
		return;
	u = page_find_user(p, &r);
	page_answer(
	    p, u != NULL && ops_node_move(p->c, p->who, n, u, &r), &r, where);
}

bool
page_read_tags(struct page *p, struct page_tags *tags, struct ops_result *r)
{
	const char *text = page_value(p, "tags");

	tags->n = 0;
	if (strlen(text) < sizeof(tags->text)) {
		snprintf(tags->text, sizeof(tags->text), "%s", text);
		tags->n = page_words(tags->text, tags->v, NODE_TAGS_MAX + 1);
		if (tags->n <= NODE_TAGS_MAX)
			return true;
	}
	return ops_fail(r, HTTP_BADREQUEST, "Tags: at most %d are possible.",
	    NODE_TAGS_MAX);
}

void
page_node_tags(struct page *p)
{
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct page_tags tags;
	struct ops_result r;

	if (n != NULL)
		page_answer(p,
		    page_read_tags(p, &tags, &r) &&
			ops_node_tag(p->c, p->who, n, tags.v, tags.n, &r),
		    &r, where);
}

static bool
read_routes(const struct page *p, struct ip_prefix v[static ROUTES_MAX],
    size_t *count, struct ops_result *r)
{
	const struct evkeyval *kv;
	char shown[OPS_SHOW_MAX];

	*count = 0;
	TAILQ_FOREACH (kv, &p->values, next) {
		if (strcmp(kv->key, "route") != 0)
			continue;
		if (*count == ROUTES_MAX ||
		    !ip_prefix_parse(
			&v[(*count)++], kv->value, strlen(kv->value)))
			return ops_fail(r, HTTP_BADREQUEST,
			    "Route \"%s\" is none, or one too many.",
			    ops_show(shown, kv->value));
	}
	return true;
}

void
page_node_routes(struct page *p)
{
	struct ip_prefix v[ROUTES_MAX];
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct ops_result r;
	size_t count;

	if (n != NULL)
		page_answer(p,
		    read_routes(p, v, &count, &r) &&
			ops_node_routes(p->c, p->who, n, v, count, &r),
		    &r, where);
}

void
page_node_delete(struct page *p)
{
	char where[WHERE_MAX];
	struct node *n = find_node(p, where);
	struct ops_result r;

	if (n == NULL)
		return;
	if (ops_node_delete(p->c, p->who, n, &r))
		page_answer(p, true, &r, "/nodes");
	else
		page_answer(p, false, &r, where);
}

void
page_login_approve(struct page *p)
{
	const struct node *n = NULL;
	struct page_tags tags;
	struct ops_result r;
	struct user *u = page_find_user(p, &r);
	char where[WHERE_MAX] = "/";

	if (u != NULL && page_read_tags(p, &tags, &r))
		n = ops_login_approve(
		    p->c, p->who, p->arg, u, tags.v, tags.n, &r);
	if (n != NULL)
		snprintf(where, sizeof(where), "/nodes/%llu",
		    (unsigned long long)n->id);
	page_answer(p, n != NULL, &r, where);
}

void
page_login_deny(struct page *p)
{
	struct ops_result r;

	page_answer(p, ops_login_deny(p->c, p->who, p->arg, &r), &r, "/");
}

/* api_node: the API's part for nodes, and for logins that wait. */
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "coordd/api.h"

static bool
show(struct api_call *a, const struct node *n)
{
	struct api_view v;

	api_view_init(&v, a->c);
	api_add_node(&a->out, &v, n);
	api_view_clear(&v);
	return true;
}

static int
compare_ids(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a;
	const struct node *y = *(struct node *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static bool
has_tag(const struct node *n, const char *tag)
{
	for (size_t i = 0; i < n->ntags; i++)
		if (strcmp(n->tags[i], tag) == 0)
			return true;
	return false;
}

static void
add_nodes(struct api_call *a, struct node *const *v, size_t n)
{
	struct api_view view;

	api_view_init(&view, a->c);
	text_str(&a->out, "{\"nodes\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_char(&a->out, ',');
		api_add_node(&a->out, &view, v[i]);
	}
	text_str(&a->out, "]}");
	api_view_clear(&view);
}

bool
api_nodes_list(struct api_call *a)
{
	const char *user = api_query(a, "user"), *tag = api_query(a, "tag");
	const struct user *only = NULL;
	char shown[OPS_SHOW_MAX];
	struct node **v, *n;
	uint32_t at = 0;
	size_t count = 0;

	if (user != NULL && (only = api_find_user(a, user)) == NULL)
		return false;
	if (tag != NULL && !tag_ok(tag))
		return ops_fail(&a->r, HTTP_BADREQUEST,
		    "query \"tag\": \"%s\"; want such as tag:camera",
		    ops_show(shown, tag));
	v = calloc(a->c->model.nnodes + 1, sizeof(struct node *));
	if (v == NULL)
		return ops_no_memory(&a->r);
	while ((n = model_next(&a->c->model, &at)) != NULL)
		if ((only == NULL || n->user == only) &&
		    (tag == NULL || has_tag(n, tag)))
			v[count++] = n;
	qsort(v, count, sizeof(struct node *), compare_ids);
	add_nodes(a, v, count);
	free(v);
	return true;
}

bool
api_nodes_show(struct api_call *a)
{
	const struct node *n = api_find_node(a, a->name);

	return n != NULL && show(a, n);
}

bool
api_nodes_approve(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);

	return n != NULL &&
	    ops_node_approve(
		a->c, a->who, n, api_bool(a, "approved", true), &a->r) &&
	    show(a, n);
}

bool
api_nodes_expire(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);
	int64_t expiry = api_time(a, "expiry", coordd_time());

	return n != NULL && ops_node_expire(a->c, a->who, n, expiry, &a->r) &&
	    show(a, n);
}

bool
api_nodes_rename(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);

	return n != NULL &&
	    ops_node_rename(a->c, a->who, n, api_string(a, "name"), &a->r) &&
	    show(a, n);
}

bool
api_nodes_move(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);
	struct user *u =
	    n == NULL ? NULL : api_find_user(a, api_string(a, "user"));

	return u != NULL && ops_node_move(a->c, a->who, n, u, &a->r) &&
	    show(a, n);
}

bool
api_nodes_tags(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);
	const char *const *tags;
	size_t ntags;
	bool good;

	if (n == NULL)
		return false;
	if (!api_strings(a, "tags", &tags, &ntags))
		return ops_no_memory(&a->r);
	good = ops_node_tag(a->c, a->who, n, tags, ntags, &a->r);
	free((void *)(uintptr_t)tags);
	return good && show(a, n);
}

/* Returns a list to be freed, or NULL with r filled. */
static struct ip_prefix *
read_prefixes(struct api_call *a, size_t *count)
{
	const json_t *list = json_object_get(a->body, "approved"), *s;
	struct ip_prefix *v = calloc(json_array_size(list) + 1, sizeof(*v));
	char shown[OPS_SHOW_MAX];
	size_t i;

	*count = json_array_size(list);
	if (v == NULL) {
		ops_no_memory(&a->r);
		return NULL;
	}
	json_array_foreach(list, i, s)
	{
		if (ip_prefix_parse(
			&v[i], json_string_value(s), json_string_length(s)))
			continue;
		ops_fail(&a->r, HTTP_BADREQUEST,
		    "member \"approved\": \"%s\" is no route; want such as "
		    "10.0.0.0/8 or fd00::/64, no bits beyond the length",
		    ops_show(shown, json_string_value(s)));
		free(v);
		return NULL;
	}
	return v;
}

bool
api_nodes_routes(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);
	struct ip_prefix *v;
	size_t count;
	bool good;

	if (n == NULL || (v = read_prefixes(a, &count)) == NULL)
		return false;
	good = ops_node_routes(a->c, a->who, n, v, count, &a->r);
	free(v);
	return good && show(a, n);
}

bool
api_nodes_delete(struct api_call *a)
{
	struct node *n = api_find_node(a, a->name);

	a->status = HTTP_NOCONTENT;
	return n != NULL && ops_node_delete(a->c, a->who, n, &a->r);
}

bool
api_nodes_register(struct api_call *a)
{
	struct user *u = api_find_user(a, api_string(a, "user"));
	const char *const *tags;
	const struct node *n;
	size_t ntags;

	if (u == NULL)
		return false;
	if (!api_strings(a, "tags", &tags, &ntags))
		return ops_no_memory(&a->r);
	n = ops_login_approve(
	    a->c, a->who, api_string(a, "id"), u, tags, ntags, &a->r);
	free((void *)(uintptr_t)tags);
	return n != NULL && show(a, n);
}

static void
add_login(struct text *t, const struct login *l)
{
	char key[KEY_TEXT_MAX];

	text_str(t, "{\"id\":");
	text_json(t, l->id);
	text_str(t, ",\"hostname\":");
	text_json(t, l->hostname);
	text_fmt(t, ",\"machine_key\":\"%s\"",
	    key_text(&l->machine, KEY_MACHINE, key));
	text_fmt(
	    t, ",\"node_key\":\"%s\"", key_text(&l->node_key, KEY_NODE, key));
	text_str(t, ",\"created\":");
	api_add_time(t, l->created);
	text_str(t, ",\"expires\":");
	api_add_time(t, l->expires);
	text_char(t, '}');
}

bool
api_logins_list(struct api_call *a)
{
	const struct login *l;

	text_str(&a->out, "{\"logins\":[");
	for (size_t i = 0; (l = login_at(a->c->logins, i)) != NULL; i++) {
		if (i > 0)
			text_char(&a->out, ',');
		add_login(&a->out, l);
	}
	text_str(&a->out, "]}");
	return true;
}

bool
api_logins_deny(struct api_call *a)
{
	a->status = HTTP_NOCONTENT;
	return ops_login_deny(a->c, a->who, a->name, &a->r);
}

/*
 * ops: what all operations are made of: finding what is meant, errors, the
 * transaction with its audit entry, and the change of a node.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordd/mapper.h"
#include "coordd/ops.h"

/* More than enough digits for any id. */
#define ID_DIGITS_MAX 19

bool
ops_fail(struct ops_result *r, int status, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	/* Whatever was quoted, it stays one line. */
	for (char *p = r->error; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return false;
}

bool
ops_no_memory(struct ops_result *r)
{
	return ops_fail(r, 500, "out of memory: nothing was changed");
}

bool
ops_done(struct ops_result *r)
{
	r->status = 200;
	r->error[0] = '\0';
	return true;
}

const char *
ops_show(char out[static OPS_SHOW_MAX], const char *text)
{
	return log_escape(out, OPS_SHOW_MAX, text, strlen(text));
}

static bool
store_failed(struct coordd *c, struct ops_result *r)
{
	ops_fail(r, 500, "%s: nothing was changed", store_error(c->store));
	metric_add(&c->stats.store_failures, 1);
	log_warnx("store: %s", r->error);
	return false;
}

bool
ops_begin(struct coordd *c, struct ops_result *r)
{
	return store_begin(c->store) == 0 || store_failed(c, r);
}

bool
ops_put(struct coordd *c, int result, struct ops_result *r)
{
	if (result == 0)
		return true;
	store_failed(c, r);
	store_rollback(c->store);
	return false;
}

bool
ops_commit(struct coordd *c, const struct ops_who *who, const char *what,
    const char *detail, struct ops_result *r)
{
	char shown[512];

	if (!ops_put(c,
		store_audit(c->store, coordd_time(), who->name, what, detail),
		r) ||
	    !ops_put(c, store_commit(c->store), r))
		return false;
	log_info("%s: %s: %s", who->name, what,
	    log_escape(shown, sizeof(shown), detail, strlen(detail)));
	return ops_done(r);
}

static bool
parse_id(const char *text, uint64_t *id)
{
	size_t n = strlen(text);

	if (n == 0 || n > ID_DIGITS_MAX || strspn(text, "0123456789") != n)
		return false;
	*id = strtoull(text, NULL, 10);
	return true;
}

/* No user has a name of digits alone. */
struct user *
ops_find_user(struct coordd *c, const char *text)
{
	uint64_t id;

	if (parse_id(text, &id))
		return model_user(&c->model, id);
	return model_user_named(&c->model, text);
}

static struct node *
node_at(struct coordd *c, const struct ip *ip)
{
	struct node *n;
	uint32_t at = 0;

	while ((n = model_next(&c->model, &at)) != NULL)
		if (ip_compare(&n->ip4, ip) == 0 ||
		    ip_compare(&n->ip6, ip) == 0)
			return n;
	return NULL;
}

/* Finds it by "label" or "label.domain", with or without the last dot. */
static struct node *
node_named(struct coordd *c, const char *text)
{
	char label[LABEL_MAX + 1];
	size_t n = strcspn(text, ".");
	size_t domain = strlen(c->conf->domain);
	const char *rest = text + n;

	if (n > LABEL_MAX)
		return NULL;
	memcpy(label, text, n);
	label[n] = '\0';
	if (*rest == '.' && domain > 0 &&
	    strncasecmp(rest + 1, c->conf->domain, domain) == 0)
		rest += 1 + domain;
	if (*rest != '\0' && strcmp(rest, ".") != 0)
		return NULL;
	for (char *p = label; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return model_node_labelled(&c->model, label);
}

/* A hostname of digits alone makes such a label: the id goes first. */
struct node *
ops_find_node(struct coordd *c, const char *text)
{
	struct node *n;
	struct ip ip;
	uint64_t id;

	if (parse_id(text, &id) && (n = model_node(&c->model, id)) != NULL)
		return n;
	if (ip_parse(&ip, text, strlen(text)))
		return node_at(c, &ip);
	return node_named(c, text);
}

bool
ops_check_tags(struct coordd *c, const char *const *tags, size_t ntags,
    struct ops_result *r)
{
	char shown[OPS_SHOW_MAX];

	if (ntags > NODE_TAGS_MAX)
		return ops_fail(r, 400,
		    "tags: %zu of them; at most %d are "
		    "possible",
		    ntags, NODE_TAGS_MAX);
	for (size_t i = 0; i < ntags; i++) {
		ops_show(shown, tags[i]);
		if (!tag_ok(tags[i]))
			return ops_fail(r, 400,
			    "tag \"%s\": want tag: and then A-Z a-z 0-9 -, "
			    "beginning with a letter, such as tag:camera",
			    shown);
		if (c->policy != NULL && policy_source(c->policy)[0] != '\0' &&
		    !policy_has_tag(c->policy, tags[i]))
			return ops_fail(r, 400,
			    "tag \"%s\": the policy does not name it in "
			    "tagOwners",
			    shown);
	}
	return true;
}

bool
ops_edit_begin(struct ops_edit *e, struct node *n, struct ops_result *r)
{
	struct node *next = &e->next;

	e->node = n;
	*next = *n;
	next->label = NULL;
	next->tags = NULL;
	next->ntags = 0;
	next->approved = next->routes = NULL;
	next->napproved = next->nroutes = 0;
	if (model_set_text(&next->label, n->label) &&
	    node_set_tags(next, (const char *const *)n->tags, n->ntags) &&
	    node_set_approved(next, n->approved, n->napproved))
		return true;
	ops_edit_end(e);
	return ops_no_memory(r);
}

static void
swap_lists(struct node *a, struct node *b)
{
	struct node was = *a;

	a->tags = b->tags;
	a->ntags = b->ntags;
	a->approved = b->approved;
	a->napproved = b->napproved;
	a->routes = b->routes;
	a->nroutes = b->nroutes;
	b->tags = was.tags;
	b->ntags = was.ntags;
	b->approved = was.approved;
	b->napproved = was.napproved;
	b->routes = was.routes;
	b->nroutes = was.nroutes;
}

bool
ops_edit_apply(struct coordd *c, struct ops_edit *e)
{
	struct node *n = e->node;
	bool good = model_relabel_node(&c->model, n, e->next.label);

	n->label_set = e->next.label_set;
	n->expiry = e->next.expiry;
	n->authorized = e->next.authorized;
	swap_lists(n, &e->next);
	if (n->user != e->next.user)
		model_move_node(n, e->next.user);
	node_set_subject(n);
	/* While coordd starts there is none yet. */
	if (c->mapper != NULL)
		mapper_node_changed(c, n);
	return good;
}

void
ops_edit_end(struct ops_edit *e)
{
	free(e->next.label);
	for (size_t i = 0; i < e->next.ntags; i++)
		free(e->next.tags[i]);
	free(e->next.tags);
	free(e->next.approved);
	free(e->next.routes);
}

bool
ops_auto_approve(const struct policy *p, struct node *n, bool *changed)
{
	size_t count = n->napproved, served = 0;
	struct ip_prefix *v;
	bool good = true;

	if (n->nroutes == n->nadvertised)
		return true;
	v = calloc(n->napproved + n->nadvertised, sizeof(*v));
	if (v == NULL)
		return false;
	for (size_t i = 0; i < n->napproved; i++)
		v[i] = n->approved[i];
	/* Both lists are sorted, and routes is a part of advertised. */
	for (size_t i = 0; i < n->nadvertised; i++)
		if (served < n->nroutes &&
		    ip_prefix_equal(&n->routes[served], &n->advertised[i]))
			served++;
		else if (policy_approves(p, &n->subject, &n->advertised[i]))
			v[count++] = n->advertised[i];
	if (count > n->napproved) {
		good = node_set_approved(n, v, count);
		*changed = good;
	}
	free(v);
	return good;
}

/* ops_node: what an administrator changes of a node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/mapper.h"
#include "coordd/names.h"
#include "coordd/ops.h"
#include "pure/text.h"

#define DETAIL_MAX 512

/* "robot-1 (id 5)" and what became of it. */
static void
describe(char detail[static DETAIL_MAX], const struct node *n, const char *what)
{
	snprintf(detail, DETAIL_MAX, "%s (id %llu): %s", n->label,
	    (unsigned long long)n->id, what);
}

/* Stores the edit, puts it in force, and frees it, whatever comes. */
static bool
commit_edit(struct coordd *c, const struct ops_who *who, const char *what,
    const char *change, struct ops_edit *e, struct ops_result *r)
{
	char detail[DETAIL_MAX];
	bool good;

	describe(detail, e->node, change);
	good = ops_begin(c, r) &&
	    ops_put(c, store_put_node(c->store, &e->next), r) &&
	    ops_commit(c, who, what, detail, r);
	if (good && !ops_edit_apply(c, e))
		good = ops_fail(
		    r, 500, "out of memory: stored, in force after a restart");
	ops_edit_end(e);
	return good;
}

bool
ops_node_approve(struct coordd *c, const struct ops_who *who, struct node *n,
    bool approved, struct ops_result *r)
{
	struct ops_edit e;

	if (n->authorized == approved)
		return ops_done(r);
	if (!ops_edit_begin(&e, n, r))
		return false;
	e.next.authorized = approved;
	return commit_edit(c, who, "node approve",
	    approved ? "approved" : "no longer approved", &e, r);
}

bool
ops_node_expire(struct coordd *c, const struct ops_who *who, struct node *n,
    int64_t expiry, struct ops_result *r)
{
	struct text when = TEXT_EMPTY;
	struct ops_edit e;
	bool good;

	if (n->expiry == expiry)
		return ops_done(r);
	if (!ops_edit_begin(&e, n, r))
		return false;
	e.next.expiry = expiry;
	if (expiry == 0)
		text_str(&when, "never");
	else
		text_time(&when, expiry);
	good =
	    commit_edit(c, who, "node expire", when.bad ? "" : when.p, &e, r);
	text_clear(&when);
	return good;
}

/* The label that a node is to have: as told, or of its hostname again. */
static bool
choose_label(struct coordd *c, struct node *n, const char *name,
    char label[static LABEL_MAX + 1], struct ops_result *r)
{
	char shown[OPS_SHOW_MAX];
	const struct node *has;

	ops_show(shown, name);
	if (name[0] == '\0')
		return names_make_label(&c->model, n->hostname, n, label) ||
		    ops_fail(r, 409, "no name is left for hostname \"%s\"",
			ops_show(shown, n->hostname));
	if (!names_label_ok(name) || strspn(name, "0123456789") == strlen(name))
		return ops_fail(r, 400,
		    "node name \"%s\": want at most %d of a-z 0-9 -, no - at "
		    "either end, not digits alone",
		    shown, LABEL_MAX);
	has = model_node_labelled(&c->model, name);
	if (has != NULL && has != n)
		return ops_fail(r, 409,
		    "node name \"%s\": the node with id %llu has it", shown,
		    (unsigned long long)has->id);
	snprintf(label, LABEL_MAX + 1, "%s", name);
	return true;
}

bool
ops_node_rename(struct coordd *c, const struct ops_who *who, struct node *n,
    const char *name, struct ops_result *r)
{
	char label[LABEL_MAX + 1], change[LABEL_MAX + 32];
	struct ops_edit e;

	if (!choose_label(c, n, name, label, r))
		return false;
	if (n->label_set == (name[0] != '\0') && strcmp(n->label, label) == 0)
		return ops_done(r);
	if (!ops_edit_begin(&e, n, r))
		return false;
	if (!model_set_text(&e.next.label, label)) {
		ops_edit_end(&e);
		return ops_no_memory(r);
	}
	e.next.label_set = name[0] != '\0';
	snprintf(change, sizeof(change), "renamed %s", label);
	return commit_edit(c, who, "node rename", change, &e, r);
}

/* With another owner or tags it may have other rights to routes. */
static bool
commit_identity(struct coordd *c, const struct ops_who *who, const char *what,
    const char *change, struct ops_edit *e, struct ops_result *r)
{
	bool more = false;

	node_set_subject(&e->next);
	if (c->policy != NULL &&
	    !ops_auto_approve(c->policy, &e->next, &more)) {
		ops_edit_end(e);
		return ops_no_memory(r);
	}
	return commit_edit(c, who, what, change, e, r);
}

/* A machine has one node per user: which one it goes on with follows from
 * that. */
static bool
machine_is_new(struct coordd *c, const struct node *n, const struct user *u,
    struct ops_result *r)
{
	const struct node *m = model_machine(&c->model, &n->machine);

	for (; m != NULL; m = m->next_of_machine)
		if (m->user == u)
			return ops_fail(r, 409,
			    "user \"%s\" has a node of this machine: %s (id "
			    "%llu)",
			    u->name, m->label, (unsigned long long)m->id);
	return true;
}

bool
ops_node_move(struct coordd *c, const struct ops_who *who, struct node *n,
    struct user *u, struct ops_result *r)
{
	char change[2 * USER_NAME_MAX + 32];
	struct ops_edit e;

	if (n->user == u)
		return ops_done(r);
	if (!machine_is_new(c, n, u, r) || !ops_edit_begin(&e, n, r))
		return false;
	snprintf(change, sizeof(change), "from user %s to %s", n->subject.user,
	    u->name);
	e.next.user = u;
	return commit_identity(c, who, "node move", change, &e, r);
}

/* "a, b, c", as far as there is room; "none" of nothing. */
struct list {
	char text[DETAIL_MAX];
	size_t n;
};

static void
list_add(struct list *l, const char *word)
{
	if (l->n < sizeof(l->text))
		l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n,
		    "%s%s", l->n == 0 ? "" : ", ", word);
}

bool
ops_node_tag(struct coordd *c, const struct ops_who *who, struct node *n,
    const char *const *tags, size_t ntags, struct ops_result *r)
{
	struct list change = {.text = "none"};
	struct ops_edit e;

	if (!ops_check_tags(c, tags, ntags, r) || !ops_edit_begin(&e, n, r))
		return false;
	if (!node_set_tags(&e.next, tags, ntags)) {
		ops_edit_end(&e);
		return ops_no_memory(r);
	}
	for (size_t i = 0; i < e.next.ntags; i++)
		list_add(&change, e.next.tags[i]);
	return commit_identity(c, who, "node tag", change.text, &e, r);
}

/* Clients take a node for an exit node only if it has both default routes:
 * one of them means both. False if memory is short. */
static bool
set_approved(struct node *n, const struct ip_prefix *v, size_t count)
{
	struct ip_prefix *copy = calloc(count + 2, sizeof(*copy));
	bool exit_node = false, good;

	if (copy == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		copy[i] = v[i];
		exit_node |= ip_prefix_is_default(&v[i]);
	}
	if (exit_node) {
		ip_prefix_parse(&copy[count++], "0.0.0.0/0", 9);
		ip_prefix_parse(&copy[count++], "::/0", 4);
	}
	good = node_set_approved(n, copy, count);
	free(copy);
	return good;
}

bool
ops_node_routes(struct coordd *c, const struct ops_who *who, struct node *n,
    const struct ip_prefix *v, size_t count, struct ops_result *r)
{
	char text[IP_PREFIX_TEXT_MAX];
	struct list change = {.text = "none"};
	struct ops_edit e;

	if (count > NODE_ROUTES_MAX)
		return ops_fail(r, 400,
		    "approved: %zu routes; at most %d are possible", count,
		    NODE_ROUTES_MAX);
	if (!ops_edit_begin(&e, n, r))
		return false;
	if (!set_approved(&e.next, v, count)) {
		ops_edit_end(&e);
		return ops_no_memory(r);
	}
	for (size_t i = 0; i < e.next.napproved; i++)
		list_add(&change, ip_prefix_text(&e.next.approved[i], text));
	return commit_edit(c, who, "node routes", change.text, &e, r);
}

bool
ops_node_delete(struct coordd *c, const struct ops_who *who, struct node *n,
    struct ops_result *r)
{
	char detail[DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%s (id %llu) of user %s", n->label,
	    (unsigned long long)n->id, n->subject.user);
	if (!ops_begin(c, r) ||
	    !ops_put(c, store_delete_node(c->store, n), r) ||
	    !ops_commit(c, who, "node delete", detail, r))
		return false;
	mapper_node_gone(c, n);
	model_remove_node(&c->model, n);
	return true;
}

/*
 * ops: what the ops_*.c files share. Every change goes the same way: check;
 * write the store and the audit log in one transaction; only then change the
 * model, and have the mapper tell the clients.
 */
#ifndef COORDD_OPS_H
#define COORDD_OPS_H

#include "coordd/coordd.h"

/* Fills r; always false, so that `return ops_fail(...)` ends an operation. */
bool ops_fail(struct ops_result *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool ops_no_memory(struct ops_result *r);
/* What was asked for is so: always true. */
bool ops_done(struct ops_result *r);

/* A text that somebody sent, as an error may quote it; returns out. */
#define OPS_SHOW_MAX 100
const char *ops_show(char out[static OPS_SHOW_MAX], const char *text);

/*
 * The transaction: ops_begin, ops_put for each record, ops_commit, which also
 * writes the audit log and a line of the log. The first failure rolls back
 * and fills r; the rest need not be called then.
 */
bool ops_begin(struct coordd *c, struct ops_result *r);
/* result: of a function of the store. */
bool ops_put(struct coordd *c, int result, struct ops_result *r);
bool ops_commit(struct coordd *c, const struct ops_who *who, const char *what,
    const char *detail, struct ops_result *r);

/* False with r filled if one of the tags is malformed, or the policy in force
 * does not name it in tagOwners. Without a policy every tag is good. */
bool ops_check_tags(struct coordd *c, const char *const *tags, size_t ntags,
    struct ops_result *r);

/*
 * A change of a node in the making. `next` is a copy with its own label,
 * tags, approved and routes, to be changed with the model's functions (user,
 * expiry, authorized and label_set by assignment); nothing else of it counts.
 * Between the two: ops_put of store_put_node(&next).
 */
struct ops_edit {
	struct node *node;
	struct node next;
};
bool ops_edit_begin(struct ops_edit *e, struct node *n, struct ops_result *r);
/* After the commit: the model becomes what `next` is, and the mapper is
 * called. False if memory was short for the new label. */
bool ops_edit_apply(struct coordd *c, struct ops_edit *e);
/* Frees the copy, applied or not. */
void ops_edit_end(struct ops_edit *e);

/* Adds to the approved routes of n what it advertises and autoApprovers of
 * the policy let it; sets *changed if that was something. False if memory is
 * short. n may be the copy of an edit. */
bool ops_auto_approve(const struct policy *p, struct node *n, bool *changed);

#endif

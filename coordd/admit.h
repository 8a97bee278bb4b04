/*
 * admit: what joining clients change: nodes that are made, that get a new
 * key, that leave, and that call themselves otherwise. As with ops: the store
 * first, then the model, then the mapper.
 */
#ifndef COORDD_ADMIT_H
#define COORDD_ADMIT_H

#include "coordd/coordd.h"
#include "coordd/wire.h"

struct admission {
	const struct register_request *request;
	struct key machine;
	struct user *user;
	struct authkey *key; /* NULL: a login that somebody approved */
	const char *const *tags; /* given beside those asked for */
	size_t ntags;
	struct ops_who who;
};

/* Makes the node, or gives the machine's one of this user its new key. NULL
 * with r filled. */
struct node *admit_join(
    struct coordd *c, const struct admission *a, struct ops_result *r);

/* The client logs out: an ephemeral node goes, the key of another ends. */
bool admit_logout(struct coordd *c, struct node *n, struct ops_result *r);

/* Takes what the client calls itself and which routes it offers, if that is
 * something new. */
bool admit_hostinfo(struct coordd *c, struct node *n, const struct hostinfo *h,
    struct ops_result *r);

#endif

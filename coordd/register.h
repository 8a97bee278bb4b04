/*
 * register: what to do with a request to join. PURE: decides from the model
 * alone; joining.c does it.
 */
#ifndef COORDD_REGISTER_H
#define COORDD_REGISTER_H

#include "coordd/model.h"
#include "coordd/wire.h"

enum register_step {
	REGISTER_LOGOUT, /* node: delete if ephemeral, else let it expire */
	REGISTER_KNOWN, /* node: nothing to do but to say so */
	REGISTER_RENEW, /* node is known, its key has expired: make a new */
	REGISTER_KEY, /* the auth key admits it */
	REGISTER_WAIT, /* somebody must approve: Followup is the login's URL */
	REGISTER_LOGIN, /* somebody must approve: tell it the URL */
	REGISTER_REFUSE, /* why says so to the user */
};

struct register_decision {
	enum register_step step;
	struct node *node; /* of this node key; NULL if there is none */
	const char *why;
};

/* key is what the request's auth key was found to be, or NULL. */
struct register_decision register_decide(const struct model *m,
    const struct register_request *r, const struct key *machine,
    const struct authkey *key, int64_t now);

/* The node that a join of this machine for this user continues: it keeps id,
 * addresses and name. NULL: a new one. */
struct node *register_continues(
    const struct model *m, const struct key *machine, const struct user *user);

#endif

/*
 * register: see register.h. PURE. The order of the questions matters: a
 * client that logs out shows its old auth key, too.
 */
#include "coordd/register.h"

static struct register_decision
decided(enum register_step step, struct node *n)
{
	return (struct register_decision){step, n, NULL};
}

static struct register_decision
refused(const char *why)
{
	return (struct register_decision){REGISTER_REFUSE, NULL, why};
}

/* A container that restarts shows its one-time key again: it is who it was,
 * so the key is not asked any more. */
static struct register_decision
by_key(struct node *n, const struct authkey *key, int64_t now)
{
	bool valid = n != NULL && !node_is_expired(n, now);

	if (valid && (key == NULL || key->user == n->user))
		return decided(REGISTER_KNOWN, n);
	if (key == NULL)
		return refused("invalid key: no such auth key");
	if (key->expires != 0 && key->expires <= now)
		return refused("invalid key: the auth key has expired");
	if (key->used && !key->reusable)
		return refused(
		    "invalid key: the auth key was for one use, and is used");
	return decided(REGISTER_KEY, n);
}

struct register_decision
register_decide(const struct model *m, const struct register_request *r,
    const struct key *machine, const struct authkey *key, int64_t now)
{
	struct node *n = model_node_keyed(m, &r->node_key);
	bool leaves = r->expiry != 0 && r->expiry <= now;

	if (n != NULL && !key_equal(&n->machine, machine))
		return refused("the node key belongs to another machine");
	if (leaves)
		return decided(REGISTER_LOGOUT, n);
	if (n != NULL && n->expiry != 0 && r->expiry > n->expiry)
		return refused("extending the key's time is not allowed here; "
			       "an administrator can");
	if (r->auth_key[0] != '\0')
		return by_key(n, key, now);
	if (n != NULL && !node_is_expired(n, now))
		return decided(REGISTER_KNOWN, n);
	if (r->followup[0] != '\0')
		return decided(REGISTER_WAIT, n);
	if (n != NULL)
		return decided(REGISTER_RENEW, n);
	return decided(REGISTER_LOGIN, NULL);
}

struct node *
register_continues(
    const struct model *m, const struct key *machine, const struct user *user)
{
	struct node *n;

	for (n = model_machine(m, machine); n != NULL; n = n->next_of_machine)
		if (n->user == user)
			return n;
	return NULL;
}

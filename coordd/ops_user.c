/* ops_user: users and their pre-authentication keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/mapper.h"
#include "coordd/ops.h"

#define DISPLAY_NAME_MAX 255

/* Tailscale's clients cut a key at "--TL": none of these letters can make
 * one. */
#define SECRET_PREFIX "cnkey-"
#define SECRET_BYTES  32
#define SECRET_SHOWN  8 /* digits that people see */

#define DETAIL_MAX    512

static bool
check_user_name(struct coordd *c, const struct user *except, const char *name,
    struct ops_result *r)
{
	char shown[OPS_SHOW_MAX];
	const struct user *has;

	ops_show(shown, name);
	if (!user_name_ok(name))
		return ops_fail(r, 400,
		    "user name \"%s\": want at most %d of a-z 0-9 . _ -, "
		    "beginning with a letter or digit, not digits alone, and "
		    "at most one @ inside",
		    shown, USER_NAME_MAX);
	has = model_user_named(&c->model, name);
	if (has != NULL && has != except)
		return ops_fail(r, 409, "user \"%s\" exists already", shown);
	return true;
}

static bool
check_display_name(const char *name, struct ops_result *r)
{
	if (strlen(name) > DISPLAY_NAME_MAX)
		return ops_fail(r, 400,
		    "display_name: %zu bytes; at most %d are possible",
		    strlen(name), DISPLAY_NAME_MAX);
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return ops_fail(
			    r, 400, "display_name: holds a control character");
	return true;
}

static bool
store_user(struct coordd *c, const struct ops_who *who, struct user *u,
    const char *what, const char *detail, struct ops_result *r)
{
	return ops_begin(c, r) && ops_put(c, store_put_user(c->store, u), r) &&
	    ops_commit(c, who, what, detail, r);
}

struct user *
ops_user_create(struct coordd *c, const struct ops_who *who, const char *name,
    const char *display_name, struct ops_result *r)
{
	struct user *u;

	if (display_name == NULL)
		display_name = "";
	if (!check_user_name(c, NULL, name, r) ||
	    !check_display_name(display_name, r))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (u == NULL || (u->name = strdup(name)) == NULL ||
	    (u->display_name = strdup(display_name)) == NULL) {
		ops_no_memory(r);
	} else {
		u->created = coordd_time();
		if (store_user(c, who, u, "user create", name, r)) {
			model_add_user(&c->model, u);
			return u;
		}
	}
	user_free(u);
	return NULL;
}

/* Its nodes may be reached by others now: the policy knows users by name. */
static void
tell_of_user(struct coordd *c, const struct user *u)
{
	struct node *n;
	uint32_t at = 0;

	mapper_users_changed(c, u);
	while ((n = model_next(&c->model, &at)) != NULL)
		if (n->user == u)
			mapper_node_changed(c, n);
}

bool
ops_user_rename(struct coordd *c, const struct ops_who *who, struct user *u,
    const char *name, struct ops_result *r)
{
	char detail[DETAIL_MAX];
	struct user next = *u;
	bool good;

	if (!check_user_name(c, u, name, r))
		return false;
	if (strcmp(u->name, name) == 0)
		return ops_done(r);
	if ((next.name = strdup(name)) == NULL)
		return ops_no_memory(r);
	snprintf(detail, sizeof(detail), "%s to %s", u->name, name);
	good = store_user(c, who, &next, "user rename", detail, r);
	if (good && !model_rename_user(&c->model, u, next.name))
		good = ops_fail(
		    r, 500, "out of memory: stored, in force after a restart");
	free(next.name);
	if (good)
		tell_of_user(c, u);
	return good;
}

static bool
store_user_gone(struct coordd *c, const struct ops_who *who,
    const struct user *u, struct ops_result *r)
{
	const struct authkey *k;

	if (!ops_begin(c, r))
		return false;
	TAILQ_FOREACH (k, &c->model.authkeys, entry)
		if (k->user == u &&
		    !ops_put(c, store_delete_authkey(c->store, k), r))
			return false;
	return ops_put(c, store_delete_user(c->store, u), r) &&
	    ops_commit(c, who, "user delete", u->name, r);
}

bool
ops_user_delete(struct coordd *c, const struct ops_who *who, struct user *u,
    struct ops_result *r)
{
	struct authkey *k, *next;

	if (u->nodes > 0)
		return ops_fail(r, 409,
		    "user \"%s\" owns %zu node%s: delete or move %s first",
		    u->name, u->nodes, u->nodes == 1 ? "" : "s",
		    u->nodes == 1 ? "it" : "them");
	if (!store_user_gone(c, who, u, r))
		return false;
	for (k = TAILQ_FIRST(&c->model.authkeys); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if (k->user == u)
			model_remove_authkey(&c->model, k);
	}
	model_remove_user(&c->model, u);
	return true;
}

static void
hash_secret(const struct coordd *c, const char *secret,
    uint8_t hash[static AUTHKEY_HASH_LEN])
{
	crypto_generichash(hash, AUTHKEY_HASH_LEN,
	    (const unsigned char *)secret, strlen(secret), c->hash_key.b,
	    sizeof(c->hash_key.b));
}

static void
make_secret(char secret[static AUTHKEY_SECRET_MAX])
{
	const size_t prefix = sizeof(SECRET_PREFIX) - 1;
	uint8_t bytes[SECRET_BYTES];

	randombytes_buf(bytes, sizeof(bytes));
	memcpy(secret, SECRET_PREFIX, prefix);
	sodium_bin2hex(
	    secret + prefix, AUTHKEY_SECRET_MAX - prefix, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
}

static struct authkey *
make_authkey(
    struct coordd *c, const struct authkey_wish *wish, const char *secret)
{
	struct authkey *k = calloc(1, sizeof(*k));

	if (k == NULL || !authkey_set_tags(k, wish->tags, wish->ntags)) {
		authkey_free(k);
		return NULL;
	}
	k->user = wish->user;
	k->reusable = wish->reusable;
	k->ephemeral = wish->ephemeral;
	k->created = coordd_time();
	k->expires = wish->expires;
	hash_secret(c, secret, k->hash);
	snprintf(k->prefix, sizeof(k->prefix), "%.*s",
	    (int)sizeof(SECRET_PREFIX) - 1 + SECRET_SHOWN, secret);
	return k;
}

static bool
store_authkey(struct coordd *c, const struct ops_who *who, struct authkey *k,
    const char *what, struct ops_result *r)
{
	char detail[DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%s... of user %s%s%s", k->prefix,
	    k->user->name, k->reusable ? ", reusable" : "",
	    k->ephemeral ? ", ephemeral" : "");
	return ops_begin(c, r) &&
	    ops_put(c, store_put_authkey(c->store, k), r) &&
	    ops_commit(c, who, what, detail, r);
}

struct authkey *
ops_authkey_create(struct coordd *c, const struct ops_who *who,
    const struct authkey_wish *wish, char secret[static AUTHKEY_SECRET_MAX],
    struct ops_result *r)
{
	struct authkey *k;

	secret[0] = '\0';
	if (!ops_check_tags(c, wish->tags, wish->ntags, r))
		return NULL;
	make_secret(secret);
	if ((k = make_authkey(c, wish, secret)) == NULL) {
		ops_no_memory(r);
	} else if (store_authkey(c, who, k, "key create", r)) {
		model_add_authkey(&c->model, k);
		return k;
	}
	authkey_free(k);
	sodium_memzero(secret, AUTHKEY_SECRET_MAX);
	return NULL;
}

bool
ops_authkey_expire(struct coordd *c, const struct ops_who *who,
    struct authkey *k, struct ops_result *r)
{
	struct authkey next = *k;

	next.expires = coordd_time();
	if (k->expires != 0 && k->expires <= next.expires)
		return ops_done(r);
	if (!store_authkey(c, who, &next, "key expire", r))
		return false;
	k->expires = next.expires;
	return true;
}

bool
ops_authkey_delete(struct coordd *c, const struct ops_who *who,
    struct authkey *k, struct ops_result *r)
{
	char detail[DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%s... of user %s", k->prefix,
	    k->user->name);
	if (!ops_begin(c, r) ||
	    !ops_put(c, store_delete_authkey(c->store, k), r) ||
	    !ops_commit(c, who, "key delete", detail, r))
		return false;
	model_remove_authkey(&c->model, k);
	return true;
}

struct authkey *
ops_authkey_find(struct coordd *c, const char *secret)
{
	uint8_t hash[AUTHKEY_HASH_LEN];

	hash_secret(c, secret, hash);
	return model_authkey_hashed(&c->model, hash);
}

bool
authkey_is_usable(const struct authkey *k, int64_t now)
{
	return (k->reusable || !k->used) &&
	    (k->expires == 0 || k->expires > now);
}

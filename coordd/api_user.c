/* api_user: the API's part for users and pre-authentication keys. */
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <sodium.h>

#include "coordd/api.h"

#define KEY_LIFE_DEFAULT 3600
/* A hundred years. */
#define KEY_LIFE_MAX INT64_C(3155760000)

bool
api_users_list(struct api_call *a)
{
	const struct user *u;
	bool first = true;

	text_str(&a->out, "{\"users\":[");
	TAILQ_FOREACH (u, &a->c->model.users, entry) {
		if (!first)
			text_char(&a->out, ',');
		first = false;
		api_add_user(&a->out, u);
	}
	text_str(&a->out, "]}");
	return true;
}

bool
api_users_create(struct api_call *a)
{
	const struct user *u = ops_user_create(a->c, a->who,
	    api_string(a, "name"), api_string(a, "display_name"), &a->r);

	if (u == NULL)
		return false;
	a->status = 201;
	api_add_user(&a->out, u);
	return true;
}

bool
api_users_rename(struct api_call *a)
{
	struct user *u = api_find_user(a, a->name);

	if (u == NULL ||
	    !ops_user_rename(a->c, a->who, u, api_string(a, "name"), &a->r))
		return false;
	api_add_user(&a->out, u);
	return true;
}

bool
api_users_delete(struct api_call *a)
{
	struct user *u = api_find_user(a, a->name);

	a->status = HTTP_NOCONTENT;
	return u != NULL && ops_user_delete(a->c, a->who, u, &a->r);
}

bool
api_keys_list(struct api_call *a)
{
	const char *name = api_query(a, "user");
	const struct user *only = NULL;
	const struct authkey *k;
	int64_t now = coordd_time();
	bool first = true;

	if (name != NULL && (only = api_find_user(a, name)) == NULL)
		return false;
	text_str(&a->out, "{\"preauthkeys\":[");
	TAILQ_FOREACH (k, &a->c->model.authkeys, entry) {
		if (only != NULL && k->user != only)
			continue;
		if (!first)
			text_char(&a->out, ',');
		first = false;
		api_add_authkey(&a->out, k, now, NULL);
	}
	text_str(&a->out, "]}");
	return true;
}

static bool
read_wish(struct api_call *a, struct authkey_wish *w)
{
	int64_t life = api_integer(a, "expiration", KEY_LIFE_DEFAULT);

	w->user = api_find_user(a, api_string(a, "user"));
	if (w->user == NULL)
		return false;
	if (life < 0 || life > KEY_LIFE_MAX)
		return ops_fail(&a->r, HTTP_BADREQUEST,
		    "member \"expiration\": %lld; want 0 (never) to %lld "
		    "seconds",
		    (long long)life, (long long)KEY_LIFE_MAX);
	w->expires = life == 0 ? 0 : coordd_time() + life;
	w->reusable = api_bool(a, "reusable", false);
	w->ephemeral = api_bool(a, "ephemeral", false);
	return api_strings(a, "tags", &w->tags, &w->ntags) ||
	    ops_no_memory(&a->r);
}

bool
api_keys_create(struct api_call *a)
{
	char secret[AUTHKEY_SECRET_MAX];
	struct authkey_wish w = {0};
	const struct authkey *k;

	if (!read_wish(a, &w))
		return false;
	k = ops_authkey_create(a->c, a->who, &w, secret, &a->r);
	free((void *)(uintptr_t)w.tags);
	if (k == NULL)
		return false;
	a->status = 201;
	api_add_authkey(&a->out, k, coordd_time(), secret);
	sodium_memzero(secret, sizeof(secret));
	return true;
}

static struct authkey *
find_key(struct api_call *a)
{
	char shown[OPS_SHOW_MAX];
	struct authkey *k = NULL;
	size_t n = strlen(a->name);

	if (n > 0 && n < 20 && strspn(a->name, "0123456789") == n)
		k = model_authkey(&a->c->model, strtoull(a->name, NULL, 10));
	if (k == NULL)
		ops_fail(&a->r, HTTP_NOTFOUND,
		    "no pre-authentication key with the id \"%s\"",
		    ops_show(shown, a->name));
	return k;
}

bool
api_keys_expire(struct api_call *a)
{
	struct authkey *k = find_key(a);

	if (k == NULL || !ops_authkey_expire(a->c, a->who, k, &a->r))
		return false;
	api_add_authkey(&a->out, k, coordd_time(), NULL);
	return true;
}

bool
api_keys_delete(struct api_call *a)
{
	struct authkey *k = find_key(a);

	a->status = HTTP_NOCONTENT;
	return k != NULL && ops_authkey_delete(a->c, a->who, k, &a->r);
}

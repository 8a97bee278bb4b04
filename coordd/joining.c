/* joining: /machine/register: does what register.c decides, and says so. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "coordd/admit.h"
#include "coordd/login.h"
#include "coordd/mapdoc.h"
#include "coordd/ops.h"
#include "coordd/register.h"
#include "pure/text.h"

static void
answer(struct request *r, struct text *t)
{
	if (t->bad)
		request_answer(r, 503, NULL, "", 0);
	else
		request_answer(r, 200, "application/json", t->p, t->len);
	text_clear(t);
}

static void
add_user(struct text *t, const struct node *n)
{
	const char *name = n->ntags > 0 ? "tagged-devices" : n->user->name;
	unsigned long long id = mapdoc_user_id(n);

	text_fmt(t, "\"User\":{\"ID\":%llu,\"DisplayName\":", id);
	text_json(t, name);
	text_fmt(t, "},\"Login\":{\"ID\":%llu,\"LoginName\":", id);
	text_json(t, name);
	text_str(t, ",\"DisplayName\":");
	text_json(t, name);
	text_char(t, '}');
}

void
joining_say_known(struct request *r, const struct node *n)
{
	struct text t = TEXT_EMPTY;

	text_char(&t, '{');
	add_user(&t, n);
	text_fmt(&t,
	    ",\"NodeKeyExpired\":%s,\"MachineAuthorized\":%s,\"AuthURL\":\"\"}",
	    node_is_expired(n, coordd_time()) ? "true" : "false",
	    n->authorized ? "true" : "false");
	answer(r, &t);
}

void
joining_say_refused(struct request *r, const char *why)
{
	struct coordd *c = request_env(r);
	struct text t = TEXT_EMPTY;
	char machine[KEY_SHORT_MAX];

	metric_add(&c->stats.registrations_refused, 1);
	if (log_allowed(&c->log_refused, loop_now(c->loop)) > 0)
		log_info("machine %s may not join: %s",
		    key_short(request_machine(r), machine), why);
	text_str(&t, "{\"User\":{},\"Login\":{},\"Error\":");
	text_json(&t, why);
	text_char(&t, '}');
	answer(r, &t);
}

void
joining_say_login(struct request *r, const struct login *l)
{
	struct text t = TEXT_EMPTY;
	char url[LOGIN_URL_MAX];

	text_str(&t, "{\"User\":{},\"Login\":{},\"AuthURL\":");
	text_json(&t, login_url(request_env(r), l, url));
	text_char(&t, '}');
	answer(r, &t);
}

/* The client makes a new node key and asks again. */
static void
say_expired(struct request *r)
{
	struct text t = TEXT_EMPTY;

	text_str(&t, "{\"User\":{},\"Login\":{},\"NodeKeyExpired\":true}");
	answer(r, &t);
}

/* ---- the steps ---- */

static void
log_out(struct request *r, struct node *n)
{
	struct ops_result result;

	if (n == NULL || admit_logout(request_env(r), n, &result))
		say_expired(r);
	else
		joining_say_refused(r, result.error);
}

static void
join_by_key(
    struct request *r, const struct register_request *q, struct authkey *key)
{
	struct admission a = {.request = q,
	    .machine = *request_machine(r),
	    .user = key->user,
	    .key = key,
	    .tags = (const char *const *)key->tags,
	    .ntags = key->ntags,
	    .who = {"client"}};
	struct ops_result result;
	struct node *n = admit_join(request_env(r), &a, &result);

	if (n != NULL)
		joining_say_known(r, n);
	else
		joining_say_refused(r, result.error);
}

static void
begin_login(struct request *r, struct register_request *q)
{
	const struct login *l =
	    login_open(request_env(r)->logins, request_machine(r), q);

	if (l != NULL)
		joining_say_login(r, l);
	else
		joining_say_refused(r, "out of memory; try again");
}

static void
handle(struct request *r, struct register_request *q)
{
	struct coordd *c = request_env(r);
	struct authkey *key =
	    q->auth_key[0] == '\0' ? NULL : ops_authkey_find(c, q->auth_key);
	struct register_decision d = register_decide(
	    &c->model, q, request_machine(r), key, coordd_time());

	switch (d.step) {
	case REGISTER_LOGOUT:
		log_out(r, d.node);
		break;
	case REGISTER_KNOWN:
		joining_say_known(r, d.node);
		break;
	case REGISTER_RENEW:
		say_expired(r);
		break;
	case REGISTER_KEY:
		assert(key != NULL); /* it was found usable */
		join_by_key(r, q, key);
		break;
	case REGISTER_WAIT:
		if (!login_wait(c->logins, q->followup, request_machine(r), r))
			begin_login(r, q);
		break;
	case REGISTER_LOGIN:
		begin_login(r, q);
		break;
	case REGISTER_REFUSE:
		joining_say_refused(r, d.why);
		break;
	}
}

void
joining_handle(struct request *r)
{
	struct register_request q;
	char error[WIRE_ERROR_MAX];
	size_t n;
	const char *body = request_body(r, &n);
	bool good = register_request_read(&q, body, n, error);

	request_drop_body(r);
	if (!good)
		request_answer(r, 400, "text/plain", error, strlen(error));
	else if (q.capver < WIRE_CAPVER_MIN)
		joining_say_refused(r,
		    "this client is too old: Tailscale "
		    "1.80 or newer is needed");
	else
		handle(r, &q);
	register_request_clear(&q);
}

/* login: see login.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/admit.h"
#include "coordd/login.h"
#include "coordd/ops.h"

/* As long as somebody may take to find the administrator. */
#define LIFETIME_S 3600

/* Of one machine: a client has one, and another when it begins anew. */
#define MACHINE_MAX 4

#define ID_BYTES    12

struct pending {
	struct login login; /* first: login_at lends it */
	TAILQ_ENTRY(pending) entry;
	struct register_request request;
	struct request *waiting; /* or NULL */
	struct mono deadline;
};

TAILQ_HEAD(pending_list, pending);

struct logins {
	struct coordd *c;
	struct pending_list list; /* oldest first */
	size_t n;
};

struct logins *
logins_new(struct coordd *c)
{
	struct logins *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->c = c;
	TAILQ_INIT(&l->list);
	return l;
}

static void
pending_free(struct logins *l, struct pending *p)
{
	if (p->waiting != NULL)
		request_watch(p->waiting, NULL, NULL);
	TAILQ_REMOVE(&l->list, p, entry);
	l->n--;
	register_request_clear(&p->request);
	free(p);
}

/* Tells who waits that it is over: the client asks for a new login. */
static void
drop(struct logins *l, struct pending *p, const char *why)
{
	struct request *r = p->waiting;

	log_debug("login %s: %s", p->login.id, why);
	pending_free(l, p);
	if (r != NULL)
		joining_say_refused(r, why);
}

void
logins_free(struct logins *l)
{
	struct pending *p;

	if (l == NULL)
		return;
	while ((p = TAILQ_FIRST(&l->list)) != NULL)
		pending_free(l, p);
	free(l);
}

void
logins_tick(struct logins *l)
{
	struct pending *p;
	struct mono now = loop_now(l->c->loop);

	while ((p = TAILQ_FIRST(&l->list)) != NULL &&
	    mono_reached(p->deadline, now))
		drop(l, p, "nobody approved this login in time; try again");
}

size_t
logins_count(const struct logins *l)
{
	return l->n;
}

const struct login *
login_at(const struct logins *l, size_t i)
{
	struct pending *p;

	TAILQ_FOREACH (p, &l->list, entry)
		if (i-- == 0)
			return &p->login;
	return NULL;
}

static struct pending *
find(const struct logins *l, const char *id)
{
	struct pending *p;

	TAILQ_FOREACH (p, &l->list, entry)
		if (strcmp(p->login.id, id) == 0)
			return p;
	return NULL;
}

/* Makes room for one more. Whoever still waits goes last: to hold a request
 * costs a connection, of which a source has only so many. */
static void
make_room(struct logins *l, const struct key *machine)
{
	struct pending *p, *own = NULL, *left = NULL;
	size_t n = 0;

	TAILQ_FOREACH (p, &l->list, entry) {
		if (key_equal(&p->login.machine, machine)) {
			own = own == NULL ? p : own;
			n++;
		}
		if (left == NULL && p->waiting == NULL)
			left = p;
	}
	if (n >= MACHINE_MAX)
		drop(l, own, "this machine began newer logins");
	else if (l->n >= LOGINS_MAX)
		drop(l, left != NULL ? left : TAILQ_FIRST(&l->list),
		    "too many logins wait; try again");
}

const struct login *
login_open(
    struct logins *l, const struct key *machine, struct register_request *q)
{
	struct pending *p;
	uint8_t random[ID_BYTES];

	TAILQ_FOREACH (p, &l->list, entry)
		if (key_equal(&p->login.machine, machine) &&
		    key_equal(&p->login.node_key, &q->node_key))
			return &p->login;
	make_room(l, machine);
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(
	    p->login.id, sizeof(p->login.id), random, sizeof(random));
	p->login.machine = *machine;
	p->login.node_key = q->node_key;
	memcpy(p->login.hostname, q->host.hostname, sizeof(p->login.hostname));
	p->login.created = coordd_time();
	p->login.expires = p->login.created + LIFETIME_S;
	p->deadline =
	    mono_add_us(loop_now(l->c->loop), LIFETIME_S * INT64_C(1000000));
	p->request = *q;
	memset(q, 0, sizeof(*q));
	TAILQ_INSERT_TAIL(&l->list, p, entry);
	l->n++;
	metric_add(&l->c->stats.logins, 1);
	return &p->login;
}

const char *
login_url(const struct coordd *c, const struct login *l,
    char url[static LOGIN_URL_MAX])
{
	snprintf(url, LOGIN_URL_MAX, "%s/register/%s", c->conf->url, l->id);
	return url;
}

static void
on_gone(void *arg)
{
	struct pending *p = arg;

	p->waiting = NULL;
}

bool
login_wait(struct logins *l, const char *url, const struct key *machine,
    struct request *r)
{
	static const struct request_ops ops = {on_gone, NULL};
	const char *id = strrchr(url, '/');
	struct pending *p = id == NULL ? NULL : find(l, id + 1);
	struct request *old;

	if (p == NULL || !key_equal(&p->login.machine, machine))
		return false;
	old = p->waiting;
	p->waiting = r;
	request_watch(r, &ops, p);
	if (old != NULL) {
		request_watch(old, NULL, NULL);
		joining_say_login(old, &p->login);
	}
	return true;
}

struct node *
ops_login_approve(struct coordd *c, const struct ops_who *who, const char *id,
    struct user *u, const char *const *tags, size_t ntags, struct ops_result *r)
{
	struct pending *p = find(c->logins, id);
	struct admission a = {
	    .user = u, .tags = tags, .ntags = ntags, .who = *who};
	struct request *waiting;
	struct node *n;

	if (p == NULL) {
		ops_fail(r, 404, "no login with this id waits");
		return NULL;
	}
	if (!ops_check_tags(c, tags, ntags, r))
		return NULL;
	a.request = &p->request;
	a.machine = p->login.machine;
	if ((n = admit_join(c, &a, r)) == NULL)
		return NULL;
	waiting = p->waiting;
	pending_free(c->logins, p);
	if (waiting != NULL)
		joining_say_known(waiting, n);
	return n;
}

bool
ops_login_deny(struct coordd *c, const struct ops_who *who, const char *id,
    struct ops_result *r)
{
	struct pending *p = find(c->logins, id);

	if (p == NULL)
		return ops_fail(r, 404, "no login with this id waits");
	if (!ops_begin(c, r) ||
	    !ops_commit(c, who, "login deny", p->login.hostname, r))
		return false;
	drop(c->logins, p, "an administrator denied this login");
	return true;
}

/*
 * login: interactive logins. A client without an auth key gets a URL and
 * asks again with it; that request is held until somebody approves. Bounded:
 * when there are too many, the oldest goes whose client does not wait.
 */
#ifndef COORDD_LOGIN_H
#define COORDD_LOGIN_H

#include "coordd/control.h"
#include "coordd/wire.h"

#define LOGINS_MAX 1000

struct logins *logins_new(struct coordd *c);
void logins_free(struct logins *l);
/* Ends those whose time is over: once a second. */
void logins_tick(struct logins *l);
size_t logins_count(const struct logins *l);

/* Opens a login, or finds the one that is open for the same machine and node
 * key; takes q's memory. NULL when memory is short. */
const struct login *login_open(
    struct logins *l, const struct key *machine, struct register_request *q);

/* Holds r until the login of that URL is approved, denied or over. False if
 * there is none for this machine. */
bool login_wait(struct logins *l, const char *url, const struct key *machine,
    struct request *r);

/* The URL to show to the user; returns url. */
#define LOGIN_URL_MAX 512
const char *login_url(const struct coordd *c, const struct login *l,
    char url[static LOGIN_URL_MAX]);

/* joining.c: answers a request to join. why: of a refusal. */
void joining_say_known(struct request *r, const struct node *n);
void joining_say_refused(struct request *r, const char *why);
void joining_say_login(struct request *r, const struct login *l);

#endif

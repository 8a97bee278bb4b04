/*
 * admin: what admin*.c, api*.c and page.c share: the listeners for who
 * administers coordd, and who may ask them for what.
 */
#ifndef COORDD_ADMIN_H
#define COORDD_ADMIN_H

#include <sys/socket.h>
#include <sys/stat.h>

#include "coordd/coordd.h"
#include "pure/limit.h"

struct evhttp_request;

#define ADMIN_BODY_MAX (1 << 20)

/*
 * admin_auth.c: the token, in STATE/admin.token, and who sends wrong ones.
 */
#define ADMIN_TOKEN_LEN 64 /* hex digits */
/* In which a browser sends the token. */
#define ADMIN_COOKIE "coordd_token"
/* Sources of wrong tokens that are told apart; the oldest goes. */
#define ADMIN_SOURCES 64

struct admin_source {
	uint8_t ip[16];
	struct mono seen; /* never: unused */
	struct limit limit;
};

struct admin_auth {
	char token[ADMIN_TOKEN_LEN + 1];
	struct admin_source sources[ADMIN_SOURCES];
};

enum admin_access {
	ADMIN_NONE, /* no token */
	ADMIN_WRONG, /* a wrong one */
	ADMIN_LIMITED, /* too many wrong ones from there */
	ADMIN_BEARER, /* may do everything, as may the next */
	ADMIN_PAGE, /* by cookie: a browser, so others may have sent it here */
};

/* Reads the token, or makes it. -1 and one line in error. */
int admin_auth_open(struct admin_auth *a, const char *state,
    char error[static COORDD_ERROR_MAX]);
void admin_auth_close(struct admin_auth *a);
/* One that a form brings, for page.c: ADMIN_BEARER, _WRONG or _LIMITED. */
enum admin_access admin_auth_check(struct admin_auth *a, const char *token,
    const struct addr *from, struct mono now);
enum admin_access admin_auth_request(struct admin_auth *a,
    struct evhttp_request *req, const struct addr *from, struct mono now);
/* False if a browser was led here: by a name that somebody let point to this
 * address (DNS rebinding), or by another site's page. */
bool admin_auth_host_ok(struct evhttp_request *req);
bool admin_auth_origin_ok(struct evhttp_request *req, enum admin_access access);

/*
 * admin_socket.c: the Unix socket.
 */
struct admin_socket {
	const char *path; /* lent */
	struct stat made; /* so that only our own is removed */
};

/* Binds and listens, mode 0600; removes one that nobody answers on. The
 * descriptor, or -1 and one line in error. */
int admin_socket_open(struct admin_socket *s, const char *path,
    char error[static COORDD_ERROR_MAX]);
void admin_socket_remove(const struct admin_socket *s);
/* The user id of the process at the other end. */
bool admin_socket_peer(int fd, unsigned *uid);

/*
 * admin.c
 */
struct coordd *admin_env(const struct admin *a);
struct admin_auth *admin_auth(struct admin *a);
/* Who sent it, as far as the kernel knows. */
void admin_peer(struct evhttp_request *req, struct addr *from);
/* Answers; type may be NULL if n is 0. The body is copied. */
void admin_reply(struct evhttp_request *req, int status, const char *type,
    const char *body, size_t n);
/* {"error":"one line"} */
void admin_refuse(struct evhttp_request *req, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * page.c: answers, and returns true, if the path is one of the page's. who:
 * NULL without a good token.
 */
bool page_handle(
    struct admin *a, struct evhttp_request *req, const struct ops_who *who);

#endif

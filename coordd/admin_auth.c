/*
 * admin_auth: who may use the admin listener. The token opens everything;
 * wrong ones are counted by source. What a browser was tricked into sending
 * is told by the Host and Origin that it puts there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/http.h>
#include <sodium.h>

#include "coordd/admin.h"
#include "pure/ip.h"
#include "run/file.h"

/* Wrong tokens of one source: so many at once, then one per interval. It
 * keeps programs with an old token quiet; to guess 256 bits is hopeless at any
 * rate, so the right token always passes. */
#define WRONG_BURST	  10
#define WRONG_INTERVAL_US INT64_C(6000000)

static void
make_token(char token[static ADMIN_TOKEN_LEN + 1])
{
	uint8_t bytes[ADMIN_TOKEN_LEN / 2];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(token, ADMIN_TOKEN_LEN + 1, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
}

static int
write_token(const char *state, const char *path, const char *token)
{
	char line[ADMIN_TOKEN_LEN + 2];
	int n = snprintf(line, sizeof(line), "%s\n", token);
	int r = file_make(path, 0600, line, (size_t)n), fd;

	sodium_memzero(line, sizeof(line));
	if (r == -1)
		return -1;
	/* Another start may not be as root. */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	r = file_give_to_owner(fd, state);
	close(fd);
	return r;
}

/* 0, 1 if the file holds no token, or -1 with errno. */
static int
read_token(const char *path, char token[static ADMIN_TOKEN_LEN + 1])
{
	char line[ADMIN_TOKEN_LEN + 2] = {0};
	ssize_t n = file_read(path, line, sizeof(line) - 1);

	if (n == -1)
		return errno == EMSGSIZE ? 1 : -1;
	if (n == ADMIN_TOKEN_LEN + 1 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n != ADMIN_TOKEN_LEN ||
	    strspn(line, "0123456789abcdef") != ADMIN_TOKEN_LEN)
		return 1;
	memcpy(token, line, ADMIN_TOKEN_LEN + 1);
	sodium_memzero(line, sizeof(line));
	return 0;
}

int
admin_auth_open(struct admin_auth *a, const char *state,
    char error[static COORDD_ERROR_MAX])
{
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/admin.token", state) >=
	    (int)sizeof(path)) {
		snprintf(
		    error, COORDD_ERROR_MAX, "state: the path is too long");
		return -1;
	}
	r = read_token(path, a->token);
	if (r == -1 && errno == ENOENT) {
		make_token(a->token);
		r = write_token(state, path, a->token);
	}
	if (r == -1)
		snprintf(error, COORDD_ERROR_MAX, "%.400s: %s", path,
		    strerror(errno));
	else if (r == 1)
		snprintf(error, COORDD_ERROR_MAX,
		    "%.400s: want one line of %d hex digits; remove the file "
		    "to have a new token made",
		    path, ADMIN_TOKEN_LEN);
	return r == 0 ? 0 : -1;
}

void
admin_auth_close(struct admin_auth *a)
{
	sodium_memzero(a->token, sizeof(a->token));
}

static bool
token_ok(const struct admin_auth *a, const char *token, size_t n)
{
	return n == ADMIN_TOKEN_LEN &&
	    sodium_memcmp(a->token, token, ADMIN_TOKEN_LEN) == 0;
}

/* The entry of a source; a new one in place of the one not seen longest. */
static struct admin_source *
find_source(struct admin_auth *a, const struct addr *from)
{
	struct admin_source *oldest = &a->sources[0];
	uint8_t ip[16];

	addr_ip16(from, ip);
	if (!addr_is_v4(from)) /* who has one address of a /64 has all */
		memset(ip + 8, 0, 8);
	for (size_t i = 0; i < ADMIN_SOURCES; i++) {
		struct admin_source *s = &a->sources[i];

		if (mono_is_set(s->seen) && memcmp(s->ip, ip, 16) == 0)
			return s;
		if (s->seen.us < oldest->seen.us)
			oldest = s;
	}
	memcpy(oldest->ip, ip, 16);
	oldest->limit = limit_new(WRONG_INTERVAL_US, WRONG_BURST);
	return oldest;
}

static bool
check(struct admin_auth *a, const char *token, size_t n,
    const struct addr *from, struct mono now, enum admin_access *refused)
{
	struct admin_source *s;

	if (token_ok(a, token, n))
		return true;
	s = find_source(a, from);
	s->seen = now;
	*refused = limit_allow(&s->limit, now) ? ADMIN_WRONG : ADMIN_LIMITED;
	return false;
}

enum admin_access
admin_auth_check(struct admin_auth *a, const char *token,
    const struct addr *from, struct mono now)
{
	enum admin_access refused;

	return check(a, token, strlen(token), from, now, &refused)
	    ? ADMIN_BEARER
	    : refused;
}

static const char *
header(struct evhttp_request *req, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(req), name);
}

/* RFC 6750 section 2.1. */
static const char *
bearer_of(struct evhttp_request *req, size_t *n)
{
	const char *v = header(req, "Authorization");

	if (v == NULL || strncasecmp(v, "Bearer ", 7) != 0)
		return NULL;
	v += 7;
	v += strspn(v, " ");
	*n = strcspn(v, " ");
	return v;
}

/* RFC 6265 section 4.2.1: pairs with "; " between them. */
static const char *
cookie_of(struct evhttp_request *req, size_t *n)
{
	const char *v = header(req, "Cookie");
	const size_t name = sizeof(ADMIN_COOKIE) - 1;

	while (v != NULL) {
		v += strspn(v, " ");
		if (strncmp(v, ADMIN_COOKIE, name) == 0 && v[name] == '=') {
			v += name + 1;
			*n = strcspn(v, "; ");
			return v;
		}
		if ((v = strchr(v, ';')) != NULL)
			v++;
	}
	return NULL;
}

enum admin_access
admin_auth_request(struct admin_auth *a, struct evhttp_request *req,
    const struct addr *from, struct mono now)
{
	enum admin_access refused, good = ADMIN_BEARER;
	const char *token;
	size_t n = 0;

	if ((token = bearer_of(req, &n)) == NULL) {
		good = ADMIN_PAGE;
		token = cookie_of(req, &n);
	}
	if (token == NULL)
		return ADMIN_NONE;
	return check(a, token, n, from, now, &refused) ? good : refused;
}

/* The length of the host of "host", "host:port" or "[v6]:port"; 0 if it is
 * none of them. *host is what is inside the brackets. */
static size_t
host_length(const char **host)
{
	const char *p = *host, *end;

	if (*p == '[') {
		end = strchr(++p, ']');
		*host = p;
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return 0;
		return (size_t)(end - p);
	}
	return strcspn(p, ":");
}

bool
admin_auth_host_ok(struct evhttp_request *req)
{
	const char *host = header(req, "Host");
	struct ip ip;
	size_t n;

	if (host == NULL)
		return false;
	n = host_length(&host);
	return ip_parse(&ip, host, n) ||
	    (n == 9 && strncasecmp(host, "localhost", 9) == 0);
}

static bool
same_origin(struct evhttp_request *req, const char *origin)
{
	const char *host = header(req, "Host");

	if (strncmp(origin, "http://", 7) == 0)
		origin += 7;
	else if (strncmp(origin, "https://", 8) == 0)
		origin += 8;
	else
		return false;
	return host != NULL && strcasecmp(origin, host) == 0;
}

/*
 * A cookie goes along with whatever a browser sends here, from pages of
 * another port of this host, too: what changes something must come from our
 * own page. Browsers say so with all but GET and HEAD.
 */
bool
admin_auth_origin_ok(struct evhttp_request *req, enum admin_access access)
{
	const char *origin = header(req, "Origin");
	enum evhttp_cmd_type method = evhttp_request_get_command(req);

	if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
		return true;
	if (origin == NULL)
		return access != ADMIN_PAGE;
	return same_origin(req, origin);
}

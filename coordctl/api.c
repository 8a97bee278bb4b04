/*
 * api: HTTP/1.1 over coordd's Unix socket: blocking, one request on one
 * connection, which coordd then closes.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "coordctl/answer.h"
#include "coordctl/coordctl.h"

/* Some 50,000 nodes. */
#define BODY_MAX (256u << 20)

struct call {
	const struct ctl *ctl;
	const char *method;
	const char *const *path;
	const char *body; /* JSON or NULL */

	/* Where a body goes if the status is 200; NULL: to text. */
	api_take_fn *take;
	void *arg;
	int stop_fd;

	int fd;
	struct answer answer;
	struct text text; /* the body otherwise */
};

static int
fail_connect(const char *path)
{
	int error = errno;
	struct stat st;

	if (error == ENOENT)
		return fail("%s: there is no such socket: start coordd, or "
			    "name its socket with --socket",
		    path);
	if (error == ECONNREFUSED && stat(path, &st) == 0 &&
	    !S_ISSOCK(st.st_mode))
		return fail("%s: it is not a socket: name coordd's with "
			    "--socket",
		    path);
	if (error == ECONNREFUSED)
		return fail("%s: nobody listens there: start coordd", path);
	if (error == EACCES)
		return fail("%s: permission denied: run coordctl as root, or "
			    "as coordd's user",
		    path);
	return fail("%s: %s", path, strerror(error));
}

static int
call_connect(struct call *c)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const char *path = c->ctl->socket;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail_usage("%s: too long for a socket: want at most "
				  "%zu bytes",
		    path, sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if ((c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return fail("socket: %s", strerror(errno));
	if (connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		return fail_connect(path);
	return STATUS_DONE;
}

/* RFC 3986 section 2.1. ':' and '@' stand for themselves in a path. */
static void
add_escaped(struct text *t, const char *s)
{
	for (; *s != '\0'; s++)
		if (isalnum((unsigned char)*s) || strchr("-._~:@", *s) != NULL)
			text_char(t, *s);
		else
			text_fmt(t, "%%%02X", (unsigned char)*s);
}

static void
build_request(const struct call *c, struct text *t)
{
	text_fmt(t, "%s /api/v1", c->method);
	for (size_t i = 0; c->path[i] != NULL; i++)
		if (i % 2 == 0)
			text_str(t, c->path[i]);
		else
			add_escaped(t, c->path[i]);
	text_str(t, " HTTP/1.1\r\nHost: coordd\r\nConnection: close\r\n");
	if (c->body != NULL)
		text_str(t, "Content-Type: application/json\r\n");
	if (strcmp(c->method, "GET") != 0)
		text_fmt(t, "Content-Length: %zu\r\n",
		    c->body != NULL ? strlen(c->body) : 0);
	text_str(t, "\r\n");
	if (c->body != NULL)
		text_str(t, c->body);
}

/* Waits until the connection can be read or written. */
static int
call_wait(const struct call *c, short events)
{
	struct pollfd p[] = {
	    {.fd = c->fd, .events = events},
	    {.fd = c->stop_fd, .events = POLLIN},
	};
	int64_t ms = c->ctl->timeout * 1000;
	int n;

	do
		n = poll(p, 2, ms == 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return fail("poll: %s", strerror(errno));
	if (n == 0)
		return fail("%s: coordd said nothing for %lld s (--timeout "
			    "has it waited for longer)",
		    c->ctl->socket, (long long)c->ctl->timeout);
	if (p[1].revents != 0)
		return fail("interrupted");
	return STATUS_DONE;
}

static int
call_write(struct call *c)
{
	struct text t = TEXT_EMPTY;
	int status = STATUS_DONE;
	ssize_t r;

	build_request(c, &t);
	if (t.bad)
		out_of_memory();
	for (size_t done = 0; done < t.len; done += (size_t)r) {
		if ((status = call_wait(c, POLLOUT)) != STATUS_DONE)
			break;
		r = send(c->fd, t.p + done, t.len - done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r == -1 && (errno == EAGAIN || errno == EINTR))
			r = 0;
		/* coordd may refuse before it has read all. Its answer, if
		 * there is one, says more than this error. */
		else if (r == -1)
			break;
	}
	text_clear(&t);
	return status;
}

/* A piece of the body. */
static int
call_take(struct call *c, const struct answer_piece *piece)
{
	if (c->answer.status == 200 && c->take != NULL)
		return c->take(c->arg, piece->p, piece->n);
	if (piece->n > BODY_MAX - c->text.len)
		return api_strange("it is too long");
	text_add(&c->text, (const char *)piece->p, piece->n);
	if (c->text.bad)
		out_of_memory();
	return STATUS_DONE;
}

static int
call_feed(struct call *c, const uint8_t *p, size_t n)
{
	struct answer_piece piece;
	int status = STATUS_DONE;
	size_t used;

	for (; n > 0 && status == STATUS_DONE; p += used, n -= used) {
		used = answer_take(&c->answer, p, n, &piece);
		if (c->answer.state == ANSWER_BAD)
			return api_strange(c->answer.bad);
		if (used == 0)
			break;
		if (piece.n > 0)
			status = call_take(c, &piece);
	}
	return status;
}

static int
call_read(struct call *c)
{
	static uint8_t buffer[65536];
	int status;
	ssize_t r;

	while (c->answer.state != ANSWER_DONE) {
		if ((status = call_wait(c, POLLIN)) != STATUS_DONE)
			return status;
		r = read(c->fd, buffer, sizeof(buffer));
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0 && c->answer.state == ANSWER_STATUS)
			return fail("%s: coordd closed the connection without "
				    "an answer; its log may say why",
			    c->ctl->socket);
		if (r <= 0)
			return fail(
			    "%s: coordd's answer was cut off", c->ctl->socket);
		status = call_feed(c, buffer, (size_t)r);
		if (status != STATUS_DONE)
			return status;
	}
	return STATUS_DONE;
}

int
api_strange(const char *what)
{
	return fail("coordd's answer is not understood: %s", what);
}

/* What coordd says of an error. */
static int
call_refused(const struct call *c)
{
	json_t *v = json_loadb(
	    c->text.p != NULL ? c->text.p : "", c->text.len, 0, NULL);
	const char *why = member(v, "error");

	if (c->ctl->about != NULL && strncmp(why, "line ", 5) == 0)
		fail("%s: %s", c->ctl->about, why);
	else if (*why != '\0')
		fail("%s", why);
	else
		fail("coordd refused with HTTP status %d and did not say why",
		    c->answer.status);
	json_decref(v);
	return STATUS_REFUSED;
}

static int
call_result(const struct call *c, json_t **answer)
{
	json_error_t error;

	if (c->answer.status >= 300)
		return call_refused(c);
	if (answer == NULL)
		return STATUS_DONE;
	if (c->answer.status == 204)
		return api_strange("it is empty");
	*answer = json_loadb(
	    c->text.p != NULL ? c->text.p : "", c->text.len, 0, &error);
	if (*answer == NULL)
		return api_strange("it is no JSON");
	if (!json_is_object(*answer)) {
		json_decref(*answer);
		*answer = NULL;
		return api_strange("it is no JSON object");
	}
	return STATUS_DONE;
}

static int
call_do(struct call *c, json_t **answer)
{
	int status;

	if (answer != NULL)
		*answer = NULL;
	answer_init(&c->answer);
	if ((status = call_connect(c)) == STATUS_DONE &&
	    (status = call_write(c)) == STATUS_DONE &&
	    (status = call_read(c)) == STATUS_DONE)
		status = call_result(c, answer);
	if (c->fd != -1)
		close(c->fd);
	text_clear(&c->text);
	return status;
}

int
api_do(const struct ctl *ctl, const char *method, const char *const *path,
    json_t **answer)
{
	struct call c = {
	    .ctl = ctl,
	    .method = method,
	    .path = path,
	    .stop_fd = -1,
	    .fd = -1,
	};

	return call_do(&c, answer);
}

int
api_get(const struct ctl *ctl, const char *const *path, json_t **answer)
{
	return api_do(ctl, "GET", path, answer);
}

int
api_list(const struct ctl *ctl, const char *const *path, const char *name,
    json_t **list)
{
	json_t *answer;
	int status = api_get(ctl, path, &answer);

	*list = NULL;
	if (status == STATUS_DONE) {
		*list = json_incref(json_object_get(answer, name));
		if (!json_is_array(*list)) {
			json_decref(*list);
			*list = NULL;
			status = api_strange("it has no list");
		}
	}
	json_decref(answer);
	return status;
}

int
api_send(const struct ctl *ctl, const char *method, const char *const *path,
    json_t *body, json_t **answer)
{
	struct call c = {
	    .ctl = ctl,
	    .method = method,
	    .path = path,
	    .stop_fd = -1,
	    .fd = -1,
	};
	char *text;
	int status;

	*answer = NULL;
	if (body == NULL)
		return fail_usage(
		    "%s: an argument is not UTF-8", ctl->command->words);
	if ((text = json_dumps(body, JSON_COMPACT)) == NULL)
		out_of_memory();
	json_decref(body);
	c.body = text;
	status = call_do(&c, answer);
	free(text);
	return status;
}

int
api_stream(const struct ctl *ctl, const char *const *path, int stop_fd,
    api_take_fn *take, void *arg)
{
	struct call c = {
	    .ctl = ctl,
	    .method = "GET",
	    .path = path,
	    .take = take,
	    .arg = arg,
	    .stop_fd = stop_fd,
	    .fd = -1,
	};
	int status = call_do(&c, NULL);

	/* take saw nothing of it then. */
	if (status == STATUS_DONE && c.answer.status != 200)
		return api_strange("it is empty");
	return status;
}

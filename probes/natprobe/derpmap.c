/*
 * derpmap: the relay map (Tailscale's tailcfg.DERPMap), from a file, or from
 * the tailscaled of this host, which tells it to any user (its LocalAPI,
 * GET /localapi/v0/derpmap over a Unix socket).
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probes/natprobe/natprobe.h"
#include "pure/http1.h"
#include "pure/text.h"

/* tailscaled answers at once; a stopped one shall not hold up a run. */
#define WAIT_S 2
/* Tailscale's own map, with some 90 relays, has 40,000 bytes. */
#define ANSWER_MAX (4u << 20)

/* HTTP/1.0: the answer ends with the connection and has no chunks. */
static const char REQUEST[] = "GET /localapi/v0/derpmap HTTP/1.0\r\n"
			      "Host: local-tailscaled.sock\r\n\r\n";

static int
fail(char *error, const char *path, const char *why)
{
	snprintf(error, NATPROBE_ERROR_MAX, "%.180s: %.320s", path, why);
	return -1;
}

static int
fail_errno(char *error, const char *path)
{
	return fail(error, path,
	    errno == EAGAIN		? "no answer within 2 s"
		: errno == ENOENT	? "there is no such socket"
		: errno == ECONNREFUSED ? "nobody listens there"
					: strerror(errno));
}

static int
open_socket(const char *path, char *error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = WAIT_S};
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail(error, path, "too long for a socket");
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return fail_errno(error, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	fail_errno(error, path);
	close(fd);
	return -1;
}

static int
read_answer(int fd, struct text *t, const char *path, char *error)
{
	char buffer[16384];
	ssize_t n;

	if (send(fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) == -1)
		return fail_errno(error, path);
	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		if (t->len + (size_t)n > ANSWER_MAX)
			return fail(error, path, "the map has no end");
		text_add(t, buffer, (size_t)n);
	}
	if (n == -1)
		return fail_errno(error, path);
	return t->bad ? fail(error, path, "memory is short") : 0;
}

static json_t *
read_map(const struct text *t, const char *path, char *error)
{
	struct http1_request head;
	const uint8_t *p = (const uint8_t *)t->p;
	size_t from = 0, n = t->len == 0 ? 0 : http1_head_end(p, t->len, &from);
	char why[NATPROBE_ERROR_MAX];
	json_t *map = NULL;

	if (n != 0 && http1_parse_answer(&head, p, n) == 200)
		map = json_loadb(t->p + n, t->len - n, JSON_DECODE_ANY, NULL);
	if (json_is_object(json_object_get(map, "Regions"))) {
		if (derpmap_check(map, why))
			return map;
		fail(error, path, why);
		json_decref(map);
		return NULL;
	}
	fail(error, path,
	    json_is_null(map) || json_is_object(map)
		? "it has no relay map, as long as it has not joined a "
		  "network (tailscale up)"
		: "what answers there is no tailscaled");
	json_decref(map);
	return NULL;
}

json_t *
derpmap_ask(const char *path, char error[static NATPROBE_ERROR_MAX])
{
	struct text t = TEXT_EMPTY;
	int fd = open_socket(path, error);
	json_t *map = NULL;

	if (fd == -1)
		return NULL;
	if (read_answer(fd, &t, path, error) == 0)
		map = read_map(&t, path, error);
	text_clear(&t);
	close(fd);
	return map;
}

json_t *
derpmap_load(const char *path, char error[static NATPROBE_ERROR_MAX])
{
	FILE *file = fopen(path, "re");
	char why[NATPROBE_ERROR_MAX];
	json_error_t e;
	json_t *map;

	if (file == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "map: %.300s: %s", path,
		    strerror(errno));
		return NULL;
	}
	map = json_loadf(file, 0, &e);
	fclose(file);
	if (map == NULL)
		snprintf(error, NATPROBE_ERROR_MAX, "map: %.300s:%d: %s", path,
		    e.line, e.text);
	else if (derpmap_check(map, why))
		return map;
	else
		snprintf(error, NATPROBE_ERROR_MAX, "map: %.180s: %.320s", path,
		    why);
	json_decref(map);
	return NULL;
}

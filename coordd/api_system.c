/* api_system: the API's part for coordd itself: status, audit log, backup. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "coordd/api.h"
#include "coordd/login.h"
#include "run/version.h"

#define AUDIT_DEFAULT 100
#define AUDIT_MAX     10000

/* A file of the state folder; false if its path is too long. */
static bool
state_path(const struct coordd *c, const char *name, char path[static PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", c->conf->state, name) <
	    PATH_MAX;
}

int64_t
api_database_bytes(const struct coordd *c)
{
	static const char *const names[] = {"coordd.db", "coordd.db-wal"};
	char path[PATH_MAX];
	struct stat st;
	int64_t sum = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (state_path(c, names[i], path) && stat(path, &st) == 0)
			sum += st.st_size;
	return sum;
}

static size_t
count_users(const struct model *m)
{
	const struct user *u;
	size_t n = 0;

	TAILQ_FOREACH (u, &m->users, entry)
		n++;
	return n;
}

static void
add_string(struct text *t, const char *before, const char *v)
{
	text_str(t, before);
	text_json(t, v == NULL ? "" : v);
}

bool
api_status(struct api_call *a)
{
	const struct coordd *c = a->c;
	char text[KEY_TEXT_MAX], path[PATH_MAX];
	struct text *t = &a->out;

	if (!state_path(c, "coordd.db", path))
		path[0] = '\0';
	add_string(t, "{\"version\":", campusnet_version);
	add_string(t, ",\"server_url\":", c->conf->url);
	add_string(t, ",\"public_key\":", key_text(&c->pub, KEY_MACHINE, text));
	add_string(t, ",\"domain\":", c->conf->domain);
	text_str(t, ",\"started\":");
	api_add_time(t, c->started);
	text_fmt(t,
	    ",\"users\":%zu,\"nodes\":%zu,\"online\":%zu,\"streams\":%zu"
	    ",\"pending_logins\":%zu",
	    count_users(&c->model), c->model.nnodes, mapper_online(c),
	    mapper_streams(c), logins_count(c->logins));
	add_string(t, ",\"policy\":{\"source\":", c->policy_from);
	text_str(t, ",\"loaded\":");
	api_add_time(t, c->policy_loaded);
	add_string(t, "},\"database\":{\"path\":", path);
	text_fmt(t, ",\"bytes\":%lld}}", (long long)api_database_bytes(c));
	return true;
}

static void
add_audit(void *arg, int64_t when, const char *who, const char *what,
    const char *detail)
{
	struct text *t = arg;

	if (t->p[t->len - 1] != '[')
		text_char(t, ',');
	text_str(t, "{\"time\":");
	api_add_time(t, when);
	add_string(t, ",\"who\":", who);
	add_string(t, ",\"what\":", what);
	add_string(t, ",\"detail\":", detail);
	text_char(t, '}');
}

bool
api_audit(struct api_call *a)
{
	const char *text = api_query(a, "limit");
	long limit = AUDIT_DEFAULT;
	char shown[OPS_SHOW_MAX];

	if (text != NULL) {
		size_t n = strlen(text);

		limit = n > 0 && n < 6 && strspn(text, "0123456789") == n
		    ? atol(text)
		    : 0;
		if (limit < 1 || limit > AUDIT_MAX)
			return ops_fail(&a->r, HTTP_BADREQUEST,
			    "query \"limit\": \"%s\"; want 1 to %d",
			    ops_show(shown, text), AUDIT_MAX);
	}
	text_str(&a->out, "{\"audit\":[");
	if (a->out.bad)
		return ops_no_memory(&a->r);
	if (store_audit_read(a->c->store, (size_t)limit, add_audit, &a->out) ==
	    -1)
		return ops_fail(
		    &a->r, HTTP_INTERNAL, "%s", store_error(a->c->store));
	text_str(&a->out, "]}");
	return true;
}

/* Makes the copy and takes its name away: it lives as long as it is read. */
static int
open_backup(struct api_call *a, struct stat *st)
{
	char path[PATH_MAX];
	int fd = -1;

	if (!state_path(a->c, "backup.part", path)) {
		ops_fail(&a->r, HTTP_INTERNAL, "state: the path is too long");
		return -1;
	}
	/* What was left by a coordd that was killed. */
	unlink(path);
	if (store_backup(a->c->store, path) == -1)
		ops_fail(&a->r, HTTP_INTERNAL, "%s", store_error(a->c->store));
	else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(fd, st) == -1)
		ops_fail(
		    &a->r, HTTP_INTERNAL, "%.300s: %s", path, strerror(errno));
	unlink(path);
	return fd;
}

bool
api_backup(struct api_call *a)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(a->req);
	struct evbuffer *body;
	struct stat st = {0};
	int fd = open_backup(a, &st);

	if (fd == -1)
		return false;
	body = evbuffer_new();
	if (body == NULL || evbuffer_add_file(body, fd, 0, st.st_size) == -1) {
		if (body != NULL)
			evbuffer_free(body);
		close(fd);
		return ops_no_memory(&a->r);
	}
	evhttp_add_header(headers, "Content-Type", "application/vnd.sqlite3");
	evhttp_add_header(headers, "Content-Disposition",
	    "attachment; filename=\"coordd.db\"");
	evhttp_send_reply(a->req, HTTP_OK, NULL, body);
	evbuffer_free(body);
	a->answered = true;
	return true;
}

bool
api_verify(struct api_call *a)
{
	char path[PATH_MAX], error[STORE_ERROR_MAX];

	if (!state_path(a->c, "coordd.db", path))
		return ops_fail(
		    &a->r, HTTP_INTERNAL, "state: the path is too long");
	if (!store_verify(path, error))
		return ops_fail(&a->r, HTTP_INTERNAL, "%s", error);
	text_str(&a->out, "{\"ok\":true}");
	return true;
}

bool
api_metrics(struct api_call *a)
{
	struct metrics m;

	metrics_init(&m);
	stats_render(&m, a->c);
	if (m.bad) {
		metrics_clear(&m);
		return ops_no_memory(&a->r);
	}
	admin_reply(a->req, HTTP_OK, METRICS_CONTENT_TYPE, m.text, m.len);
	metrics_clear(&m);
	a->answered = true;
	return true;
}

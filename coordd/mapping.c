/*
 * mapping: /machine/map: a client tells its state, or opens its stream of
 * maps. The two race: so a stream request's own state is not looked at
 * (since capability version 68 clients send it apart).
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/admit.h"
#include "coordd/control.h"
#include "coordd/wire.h"

struct mapping {
	struct request *request; /* NULL: it is gone */
	struct coordd *c;
	struct stream *stream;
	bool once;
};

static void
refuse(struct request *r, int status, const char *why)
{
	request_answer(r, status, "text/plain", why, strlen(why));
}

/* ---- a client's state ---- */

/* Takes a text if it differs. */
static bool
take_text(char **field, char **value)
{
	if (*value == NULL || (*field != NULL && strcmp(*field, *value) == 0))
		return false;
	free(*field);
	*field = *value;
	*value = NULL;
	return true;
}

static bool
update(struct coordd *c, struct node *n, struct map_request *q,
    struct ops_result *r)
{
	bool changed = false;

	/* First what the store may refuse: then nothing has changed. */
	if (q->has_host && !admit_hostinfo(c, n, &q->host, r))
		return false;
	if (!key_is_zero(&q->disco) && !key_equal(&q->disco, &n->disco)) {
		n->disco = q->disco;
		changed = true;
	}
	if (q->capver != n->capver) {
		n->capver = q->capver;
		changed = true;
	}
	if (q->has_endpoints)
		changed |= take_text(&n->endpoints, &q->endpoints);
	if (q->has_host) {
		if (q->host.home_derp >= 0 &&
		    q->host.home_derp != n->home_derp) {
			n->home_derp = q->host.home_derp;
			changed = true;
		}
		changed |= take_text(&n->hostinfo, &q->host.json);
	}
	if (changed)
		mapper_state_changed(c, n);
	return true;
}

/* ---- the stream ---- */

static void
on_gone(void *arg)
{
	struct mapping *m = arg;

	m->request = NULL;
	if (m->stream != NULL)
		mapper_close(m->c, m->stream);
	metric_add(&m->c->stats.streams_now, -1);
	free(m);
}

static void
on_sent(void *arg)
{
	struct mapping *m = arg;

	if (m->stream != NULL)
		mapper_first_taken(m->c, m->stream);
}

static void
deliver(void *arg, struct message *message)
{
	struct mapping *m = arg;
	struct request *r = m->request;
	bool once = m->once;

	/* r may be gone, and m with it, when this returns. */
	request_push(r, message);
	if (once)
		request_end(r);
}

static void
cut(void *arg, const char *why)
{
	struct mapping *m = arg;
	struct stream *s = m->stream;

	log_debug("map stream ended: %s", why);
	m->stream = NULL;
	mapper_close(m->c, s);
	request_end(m->request);
}

static const struct request_ops request_ops = {on_gone, on_sent};
static const struct stream_ops stream_ops = {deliver, cut};

static void
open_stream(struct request *r, struct node *n, const struct map_request *q)
{
	struct coordd *c = request_env(r);
	struct stream_wish wish = {
	    .plain = !q->compressed,
	    .once = !q->stream,
	    .keep_alive = q->keep_alive,
	};
	struct mapping *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		refuse(r, 503, "out of memory\n");
		return;
	}
	request_drop_body(r);
	m->request = r;
	m->c = c;
	m->once = wish.once;
	if (!request_begin(r)) {
		free(m);
		return;
	}
	metric_add(&c->stats.streams_now, 1);
	request_watch(r, &request_ops, m);
	m->stream = mapper_open(c, n, &wish, &stream_ops, m);
	if (m->stream == NULL)
		request_end(r);
}

static void
handle(struct request *r, struct map_request *q)
{
	struct coordd *c = request_env(r);
	struct node *n = model_node_keyed(&c->model, &q->node_key);
	struct ops_result result;

	if (n == NULL || !key_equal(&n->machine, request_machine(r)))
		refuse(r, 404, "node not found\n");
	else if (q->capver < WIRE_CAPVER_MIN)
		refuse(r, 400,
		    "this client is too old: Tailscale 1.80 or "
		    "newer is needed\n");
	else if (q->stream || !q->omit_peers)
		open_stream(r, n, q);
	else if (!update(c, n, q, &result))
		refuse(r, result.status, result.error);
	else {
		metric_add(&c->stats.updates, 1);
		request_answer(r, 200, NULL, "", 0);
	}
}

void
mapping_handle(struct request *r)
{
	struct map_request q;
	char error[WIRE_ERROR_MAX];
	size_t n;
	const char *body = request_body(r, &n);

	if (map_request_read(&q, body, n, error))
		handle(r, &q);
	else
		refuse(r, 400, error);
	map_request_clear(&q);
}

/*
 * request: one request of a client, an HTTP/2 stream: its body coming in,
 * and what is answered: a whole body, or message after message.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/control_impl.h"
#include "run/io.h"

/* A body, and all bodies of a connection. */
#define BODY_MAX   (1024 * 1024)
#define BODIES_MAX (2 * BODY_MAX)
/* The same for a machine that has no node yet: one that joins sends 3 KiB, and
 * 20 more if it offers a thousand routes. */
#define STRANGER_MAX (64 * 1024)

/* A body comes in this time, and a part of an answer is taken. */
#define BODY_US		 (60 * INT64_C(1000000))
#define TAKEN_US	 (120 * INT64_C(1000000))

#define FRAME_HEADER_LEN 9 /* RFC 9113 section 4.1 */

/* Messages that wait in one request; more is a client that does not read. */
#define QUEUE_MAX	256
#define QUEUE_BYTES_MAX (32u * 1024 * 1024)

void
request_gone(struct request *r)
{
	const struct request_ops *ops = r->ops;

	r->ops = NULL;
	if (ops != NULL)
		ops->gone(r->arg);
}

static void
pop_message(struct request *r)
{
	struct queued *q = STAILQ_FIRST(&r->queue);

	STAILQ_REMOVE_HEAD(&r->queue, entry);
	message_release(q->message);
	free(q);
	r->at = 0;
	r->count--;
}

void
request_free(struct request *r)
{
	while (r->count > 0)
		pop_message(r);
	r->control->bodies -= r->body.len;
	text_clear(&r->body);
	LIST_REMOVE(r, entry);
	free(r);
}

/* ---- requests coming in ---- */

static int
on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct control *k = arg;
	struct request *r;

	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	r->control = k;
	r->id = frame->hd.stream_id;
	r->body.max = BODY_MAX;
	r->moved = loop_now(k->all->c->loop);
	STAILQ_INIT(&r->queue);
	LIST_INSERT_HEAD(&k->requests, r, entry);
	nghttp2_session_set_stream_user_data(h2, r->id, r);
	return 0;
}

static void
copy_field(char *to, size_t cap, const uint8_t *p, size_t n)
{
	if (n >= cap)
		n = cap - 1;
	memcpy(to, p, n);
	to[n] = '\0';
}

static int
on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct request *r =
	    nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (r == NULL)
		return 0;
	r->fields += name_len + value_len + 32;
	if (r->fields > REQUEST_FIELDS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (name_len == 7 && memcmp(name, ":method", 7) == 0)
		copy_field(r->method, sizeof(r->method), value, value_len);
	else if (name_len == 5 && memcmp(name, ":path", 5) == 0)
		copy_field(r->path, sizeof(r->path), value, value_len);
	return 0;
}

static bool
body_fits(const struct request *r, size_t n)
{
	const struct control *k = r->control;

	if (model_machine(&k->all->c->model, &k->machine) == NULL)
		return k->bodies + n <= STRANGER_MAX;
	return r->body.len + n <= BODY_MAX && k->bodies + n <= BODIES_MAX;
}

static int
on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct control *k = arg;
	struct request *r = nghttp2_session_get_stream_user_data(h2, id);

	(void)flags;
	if (r == NULL || r->answered)
		return 0;
	if (!body_fits(r, n)) {
		request_answer(r, 413, "text/plain", "body too large\n", 15);
		request_drop_body(r);
		return 0;
	}
	text_add(&r->body, (const char *)p, n);
	if (r->body.bad)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	k->bodies += n;
	return 0;
}

static int
on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct control *k = arg;
	struct request *r;

	if ((frame->hd.type != NGHTTP2_HEADERS &&
		frame->hd.type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	r = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
	if (r == NULL || r->complete || r->answered || k->dead)
		return 0;
	r->complete = true;
	if (request_charge(r, false))
		route_request(r);
	return 0;
}

static int
on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error, void *arg)
{
	struct control *k = arg;
	struct request *r = nghttp2_session_get_stream_user_data(h2, id);

	(void)error;
	if (r == NULL)
		return 0;
	nghttp2_session_set_stream_user_data(h2, id, NULL);
	request_gone(r);
	request_free(r);
	if (LIST_EMPTY(&k->requests))
		k->active = loop_now(k->all->c->loop);
	return 0;
}

/* ---- answers going out ---- */

/*
 * Says how long the next DATA frame is; send_data gives its bytes. nghttp2 has
 * memory for a whole frame in each connection, which stays untouched so.
 */
static ssize_t
next_data(nghttp2_session *h2, int32_t id, uint8_t *out, size_t cap,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	const struct request *r = source->ptr;
	size_t n = r->waiting < cap ? r->waiting : cap;

	(void)h2;
	(void)id;
	(void)out;
	(void)arg;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == r->waiting && r->ending)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static int
send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *header,
    size_t n, nghttp2_data_source *source, void *arg)
{
	struct control *k = arg;
	struct request *r = source->ptr;
	const struct message *m;
	size_t part;

	(void)h2;
	(void)frame;
	if (!control_put(k, header, FRAME_HEADER_LEN))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	r->moved = loop_now(k->all->c->loop);
	for (; n > 0; n -= part) {
		m = STAILQ_FIRST(&r->queue)->message;
		part = m->len - r->at < n ? m->len - r->at : n;
		if (!control_put(k, m->bytes + r->at, part))
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		r->at += part;
		r->waiting -= part;
		if (r->at == m->len)
			pop_message(r);
	}
	return io_pending(k->io) > 0 ? NGHTTP2_ERR_PAUSE : 0;
}

static void
submit(struct request *r, int status, const char *type)
{
	char code[4] = {(char)('0' + status / 100),
	    (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0'};
	union {
		const char *in;
		uint8_t *out;
	} t = {type};
	static uint8_t n_status[] = ":status", n_type[] = "content-type";
	nghttp2_nv nv[] = {
	    {n_status, (uint8_t *)code, 7, 3, NGHTTP2_NV_FLAG_NONE},
	    {n_type, t.out, 12, type == NULL ? 0 : strlen(type),
		NGHTTP2_NV_FLAG_NONE},
	};
	nghttp2_data_provider data = {{.ptr = r}, next_data};

	r->answered = true;
	control_dirty(r->control);
	if (nghttp2_submit_response(
		r->control->h2, r->id, nv, type == NULL ? 1 : 2, &data) != 0)
		control_close(r->control, "out of memory");
}

void
request_answer(
    struct request *r, int status, const char *type, const char *body, size_t n)
{
	struct message *m;

	if (r->answered || r->control->dead)
		return;
	if (n > 0) {
		if ((m = malloc(sizeof(*m) + n)) == NULL) {
			control_close(r->control, "out of memory");
			return;
		}
		*m = (struct message){.holders = 1, .len = n};
		memcpy(m->bytes, body, n);
		request_push(r, m);
	}
	r->ending = true;
	submit(r, status, type);
}

static void
answer_busy(struct request *r)
{
	request_answer(r, 429, "text/plain", "too much at once\n", 17);
}

bool
request_charge(struct request *r, bool dear)
{
	if (machine_may(r->control, dear ? MACHINE_DEAR : MACHINE_ASK))
		return true;
	answer_busy(r);
	return false;
}

bool
request_begin(struct request *r)
{
	if (!machine_may(r->control, MACHINE_BEGIN)) {
		answer_busy(r);
		return false;
	}
	r->begun = true;
	if (!r->answered && !r->control->dead)
		submit(r, 200, NULL);
	return !r->control->dead;
}

static void
resume(struct request *r)
{
	if (!r->answered)
		return;
	nghttp2_session_resume_data(r->control->h2, r->id);
	control_dirty(r->control);
}

void
request_push(struct request *r, struct message *m)
{
	struct queued *q;

	if (r->control->dead || r->ending) {
		message_release(m);
		return;
	}
	q = malloc(sizeof(*q));
	if (q == NULL || r->count == QUEUE_MAX ||
	    r->waiting + m->len > QUEUE_BYTES_MAX) {
		free(q);
		message_release(m);
		metric_add(&r->control->all->c->stats.slow_readers, 1);
		control_close(r->control, "reads too slowly");
		return;
	}
	if (r->count == 0)
		r->moved = loop_now(r->control->all->c->loop);
	q->message = m;
	STAILQ_INSERT_TAIL(&r->queue, q, entry);
	r->count++;
	r->waiting += m->len;
	resume(r);
}

void
request_end(struct request *r)
{
	if (r->ending || r->control->dead)
		return;
	r->ending = true;
	resume(r);
}

const char *
request_overdue(const struct request *r, struct mono now, bool *slow)
{
	int64_t us = mono_diff_us(r->moved, now);

	if (!r->complete && us > BODY_US)
		return "a request does not come whole";
	*slow = r->count > 0 && us > TAKEN_US;
	return *slow ? "an answer is not taken" : NULL;
}

bool
requests_set_callbacks(struct controls *cs)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cs->callbacks) != 0 ||
	    nghttp2_option_new(&cs->option) != 0)
		return false;
	cb = cs->callbacks;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
	    cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	/* Memory that an idle client does not need. */
	nghttp2_option_set_no_closed_streams(cs->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(cs->option, 0);
	return true;
}

/* ---- what handlers see of a request ---- */

struct coordd *
request_env(const struct request *r)
{
	return r->control->all->c;
}

const struct key *
request_machine(const struct request *r)
{
	return &r->control->machine;
}

const char *
request_method(const struct request *r)
{
	return r->method;
}

const char *
request_path(const struct request *r)
{
	return r->path;
}

const char *
request_body(const struct request *r, size_t *n)
{
	*n = r->body.len;
	return r->body.p == NULL ? "" : r->body.p;
}

void
request_drop_body(struct request *r)
{
	r->control->bodies -= r->body.len;
	text_clear(&r->body);
}

void
request_watch(
    struct request *r, const struct request_ops *request_ops, void *arg)
{
	r->ops = request_ops;
	r->arg = arg;
}

/*
 * control: see control.h.
 *
 *   in:   io -> noise_open -> nghttp2 -> struct request -> route_request
 *   out:  request -> nghttp2 -> noise_seal -> io, once per turn of the loop
 *
 * Nothing is freed inside a callback: what is over is marked, and controls_turn
 * frees it. Output stops while the kernel has not taken the last.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "coordd/control.h"
#include "run/io.h"

#define SECOND_US INT64_C(1000000)

/* Streams that a client may have open; stock ones have four. */
#define STREAMS_MAX 32
/* Bytes of header fields of one request; stock ones have 300. */
#define FIELDS_MAX 16384
/* A body, and all bodies of a connection. */
#define BODY_MAX   (1024 * 1024)
#define BODIES_MAX (2 * BODY_MAX)
#define PATH_MAX_LEN 128

/* A DATA frame that fills one Noise record: nghttp2 keeps a frame's worth of
 * memory per connection, which a small one leaves untouched. */
#define FRAME_DATA_MAX (NOISE_PLAIN_MAX - 9)

/* What is sealed at once. */
#define BURST (15 * NOISE_RECORD_MAX)

/* A client that takes nothing for this long is cut. */
#define STALL_US (30 * SECOND_US)
/* A connection without requests is closed: the client dials when it needs. */
#define IDLE_US (300 * SECOND_US)
/* One whose first record does not come is no client. */
#define PROOF_US (15 * SECOND_US)

/* Messages that wait in one request; more is a client that does not read. */
#define QUEUE_MAX	256
#define QUEUE_BYTES_MAX (32u * 1024 * 1024)

struct queued {
	STAILQ_ENTRY(queued) entry;
	struct message *message;
};

struct request {
	struct control *control;
	LIST_ENTRY(request) entry;
	int32_t id;
	bool complete; /* handed to route_request */
	bool answered, ending;
	size_t fields;
	char method[8];
	char path[PATH_MAX_LEN];
	struct text body;

	STAILQ_HEAD(, queued) queue; /* what goes out */
	unsigned count;
	size_t at; /* of the first message: bytes that are out */
	size_t waiting; /* bytes */

	const struct request_ops *ops;
	void *arg;
};

LIST_HEAD(request_list, request);

struct control {
	struct controls *all;
	TAILQ_ENTRY(control) entry;
	TAILQ_ENTRY(control) dirty_entry;
	bool dirty, dead, proven, stopping;
	struct io *io;
	struct noise noise;
	struct key machine;
	nghttp2_session *h2;
	struct request_list requests;
	size_t bodies;
	struct mono active; /* since it has no request, or was accepted */
	const struct control_owner *owner;
	void *arg;
};

TAILQ_HEAD(control_list, control);

struct controls {
	struct coordd *c;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct control_list live, dirty, dead;
	uint8_t plain[NOISE_PLAIN_MAX];
	uint8_t sealed[BURST];
};

/* ---- life of a connection ---- */

static void
mark_dirty(struct control *k)
{
	if (k->dirty || k->dead)
		return;
	k->dirty = true;
	TAILQ_INSERT_TAIL(&k->all->dirty, k, dirty_entry);
}

static void
request_gone(struct request *r)
{
	const struct request_ops *ops = r->ops;

	r->ops = NULL;
	if (ops != NULL)
		ops->gone(r->arg);
}

/* The only way out. */
static void
control_close(struct control *k, const char *why)
{
	struct request *r;
	char text[KEY_TEXT_MAX];

	if (k->dead)
		return;
	k->dead = true;
	log_debug("machine %s: closed: %s",
	    key_text(&k->machine, "mkey:", text), why);
	if (k->dirty)
		TAILQ_REMOVE(&k->all->dirty, k, dirty_entry);
	k->dirty = false;
	TAILQ_REMOVE(&k->all->live, k, entry);
	TAILQ_INSERT_TAIL(&k->all->dead, k, entry);
	io_close(k->io);
	LIST_FOREACH(r, &k->requests, entry)
		request_gone(r);
	metric_add(&k->all->c->stats.connections_now, -1);
	k->owner->ended(k->arg);
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

static void
request_free(struct request *r)
{
	while (r->count > 0)
		pop_message(r);
	r->control->bodies -= r->body.len;
	text_clear(&r->body);
	LIST_REMOVE(r, entry);
	free(r);
}

static void
control_free(struct control *k)
{
	struct request *r;

	nghttp2_session_del(k->h2);
	while ((r = LIST_FIRST(&k->requests)) != NULL)
		request_free(r);
	io_free(k->io);
	noise_clear(&k->noise);
	free(k);
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
	if (r->fields > FIELDS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (name_len == 7 && memcmp(name, ":method", 7) == 0)
		copy_field(r->method, sizeof(r->method), value, value_len);
	else if (name_len == 5 && memcmp(name, ":path", 5) == 0)
		copy_field(r->path, sizeof(r->path), value, value_len);
	return 0;
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
	if (r->body.len + n > BODY_MAX || k->bodies + n > BODIES_MAX) {
		request_answer(r, 413, "text/plain", "body over 1 MiB\n", 16);
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
	route_request(r);
	return 0;
}

static int
on_stream_close(
    nghttp2_session *h2, int32_t id, uint32_t error, void *arg)
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

static ssize_t
read_queue(nghttp2_session *h2, int32_t id, uint8_t *out, size_t cap,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct request *r = source->ptr;
	size_t n = 0, part;
	struct message *m;

	(void)h2;
	(void)id;
	(void)arg;
	while (n < cap && r->count > 0) {
		m = STAILQ_FIRST(&r->queue)->message;
		part = m->len - r->at < cap - n ? m->len - r->at : cap - n;
		memcpy(out + n, m->bytes + r->at, part);
		n += part;
		r->at += part;
		r->waiting -= part;
		if (r->at == m->len)
			pop_message(r);
	}
	if (r->count == 0 && r->ending)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static ssize_t
frame_data_max(nghttp2_session *h2, uint8_t type, int32_t id,
    int32_t session_window, int32_t stream_window, uint32_t max_frame,
    void *arg)
{
	ssize_t n = FRAME_DATA_MAX;

	(void)h2;
	(void)type;
	(void)id;
	(void)arg;
	if (session_window < n)
		n = session_window;
	if (stream_window < n)
		n = stream_window;
	return max_frame < (uint32_t)n ? (ssize_t)max_frame : n;
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
	nghttp2_data_provider data = {{.ptr = r}, read_queue};

	r->answered = true;
	mark_dirty(r->control);
	if (nghttp2_submit_response(r->control->h2, r->id, nv,
		type == NULL ? 1 : 2, &data) != 0)
		control_close(r->control, "out of memory");
}

void
request_answer(struct request *r, int status, const char *type,
    const char *body, size_t n)
{
	struct message *m = malloc(sizeof(*m) + n);

	if (r->answered || r->control->dead) {
		free(m);
		return;
	}
	if (m == NULL) {
		control_close(r->control, "out of memory");
		return;
	}
	*m = (struct message){.holders = 1, .len = n};
	if (n > 0)
		memcpy(m->bytes, body, n);
	request_push(r, m);
	r->ending = true;
	submit(r, status, type);
}

void
request_begin(struct request *r)
{
	if (!r->answered && !r->control->dead)
		submit(r, 200, NULL);
}

static void
resume(struct request *r)
{
	if (!r->answered)
		return;
	nghttp2_session_resume_data(r->control->h2, r->id);
	mark_dirty(r->control);
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

/* Tells those whose messages are all out. */
static void
tell_sent(struct control *k)
{
	struct request *r, *next;

	for (r = LIST_FIRST(&k->requests); r != NULL && !k->dead; r = next) {
		next = LIST_NEXT(r, entry);
		if (r->ops != NULL && r->ops->sent != NULL && r->count == 0)
			r->ops->sent(r->arg);
	}
}

/* Seals n bytes of plain text behind the `at` sealed ones; what fills the
 * buffer is written. */
static size_t
seal(struct control *k, size_t n, size_t at)
{
	struct controls *cs = k->all;
	size_t len = noise_seal(&k->noise, cs->plain, n, cs->sealed + at);

	if (len == 0) {
		control_close(k, "record counter used up");
		return 0;
	}
	at += len;
	if (at + NOISE_RECORD_MAX <= sizeof(cs->sealed))
		return at;
	io_write(k->io, cs->sealed, at);
	return 0;
}

/* Moves what nghttp2 has to say into records, until the kernel is full. */
static void
control_flush(struct control *k)
{
	struct controls *cs = k->all;
	size_t fill = 0, at = 0, part;
	const uint8_t *p = NULL;
	ssize_t n = 0;

	while (!k->dead && (at > 0 || io_pending(k->io) == 0) &&
	    (n = nghttp2_session_mem_send(k->h2, &p)) > 0)
		for (; n > 0 && !k->dead; n -= (ssize_t)part, p += part) {
			part = sizeof(cs->plain) - fill;
			part = (size_t)n < part ? (size_t)n : part;
			memcpy(cs->plain + fill, p, part);
			fill += part;
			if (fill < sizeof(cs->plain))
				continue;
			at = seal(k, fill, at);
			fill = 0;
		}
	if (!k->dead && fill > 0)
		at = seal(k, fill, at);
	if (!k->dead && at > 0)
		io_write(k->io, cs->sealed, at);
	if (!k->dead && n < 0)
		control_close(k, nghttp2_strerror((int)n));
	if (k->dead)
		return;
	if (io_pending(k->io) == 0)
		tell_sent(k);
	if (!k->dead && nghttp2_session_want_read(k->h2) == 0 &&
	    nghttp2_session_want_write(k->h2) == 0)
		control_close(k, "HTTP/2 ended");
}

/* ---- the connection's callbacks ---- */

static size_t
control_data(void *arg, uint8_t *p, size_t n, size_t *want)
{
	struct control *k = arg;
	size_t at = 0, used, len;
	enum noise_record r = NOISE_RECORD_PART;
	uint8_t *plain;

	while (!k->dead && at < n &&
	    (r = noise_open(&k->noise, p + at, n - at, &plain, &len, &used,
		 want)) == NOISE_RECORD_OK) {
		ssize_t rv;

		at += used;
		*want = 0;
		if (!k->proven)
			k->owner->proven(k->arg);
		k->proven = true;
		rv = nghttp2_session_mem_recv(k->h2, plain, len);
		if (rv < 0 && !k->dead) {
			mark_dirty(k); /* a GOAWAY may say why */
			control_flush(k);
			control_close(k, nghttp2_strerror((int)rv));
		}
	}
	if (r == NOISE_RECORD_BAD)
		control_close(k, "a record does not open");
	mark_dirty(k);
	return k->dead ? n : at;
}

static void
control_ready(void *arg)
{
	(void)arg;
}

static void
control_drained(void *arg)
{
	mark_dirty(arg);
}

static void
control_end(void *arg, enum io_end why, const char *detail)
{
	(void)why;
	control_close(arg, detail);
}

static const struct io_ops ops = {
    control_data, control_ready, control_drained, control_end};

/* ---- all of them ---- */

static bool
set_callbacks(struct controls *cs)
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
	nghttp2_session_callbacks_set_data_source_read_length_callback(
	    cb, frame_data_max);
	/* Memory that an idle client does not need. */
	nghttp2_option_set_no_closed_streams(cs->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(cs->option, 0);
	return true;
}

struct controls *
controls_new(struct coordd *c)
{
	struct controls *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return NULL;
	cs->c = c;
	TAILQ_INIT(&cs->live);
	TAILQ_INIT(&cs->dirty);
	TAILQ_INIT(&cs->dead);
	if (!set_callbacks(cs)) {
		controls_free(cs);
		return NULL;
	}
	return cs;
}

void
controls_free(struct controls *cs)
{
	struct control *k;

	if (cs == NULL)
		return;
	while ((k = TAILQ_FIRST(&cs->live)) != NULL)
		control_close(k, "coordd ends");
	controls_turn(cs);
	nghttp2_session_callbacks_del(cs->callbacks);
	nghttp2_option_del(cs->option);
	free(cs);
}

static bool
open_h2(struct control *k)
{
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, FIELDS_MAX},
	    {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
	};

	return nghttp2_session_server_new2(&k->h2, k->all->callbacks, k,
		   k->all->option) == 0 &&
	    nghttp2_submit_settings(k->h2, NGHTTP2_FLAG_NONE, settings, 3) ==
	    0;
}

bool
control_begin(struct controls *cs, struct io *io, const struct noise *n,
    const struct key *machine, const struct control_owner *owner, void *arg)
{
	struct control *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return false;
	k->all = cs;
	k->io = io;
	k->noise = *n;
	k->machine = *machine;
	k->active = loop_now(cs->c->loop);
	k->owner = owner;
	k->arg = arg;
	LIST_INIT(&k->requests);
	TAILQ_INSERT_TAIL(&cs->live, k, entry);
	metric_add(&cs->c->stats.connections_now, 1);
	io_give(io, &ops, k);
	if (!open_h2(k))
		control_close(k, "out of memory");
	mark_dirty(k);
	return true;
}

void
controls_turn(struct controls *cs)
{
	struct control *k;

	while ((k = TAILQ_FIRST(&cs->dirty)) != NULL) {
		TAILQ_REMOVE(&cs->dirty, k, dirty_entry);
		k->dirty = false;
		control_flush(k);
	}
	while ((k = TAILQ_FIRST(&cs->dead)) != NULL) {
		TAILQ_REMOVE(&cs->dead, k, entry);
		control_free(k);
	}
}

static const char *
overdue(const struct control *k, struct mono now)
{
	struct mono stalled = io_stalled_since(k->io);

	if (mono_is_set(stalled) && mono_diff_us(stalled, now) > STALL_US)
		return "takes nothing for 30 s";
	if (!k->proven && mono_diff_us(k->active, now) > PROOF_US)
		return "no record after the handshake";
	if (LIST_EMPTY(&k->requests) && mono_diff_us(k->active, now) > IDLE_US)
		return "idle";
	return NULL;
}

void
controls_tick(struct controls *cs)
{
	struct mono now = loop_now(cs->c->loop);
	struct control *k, *next;
	const char *why;

	for (k = TAILQ_FIRST(&cs->live); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if ((why = overdue(k, now)) == NULL)
			continue;
		if (mono_is_set(io_stalled_since(k->io)))
			metric_add(&cs->c->stats.slow_readers, 1);
		control_close(k, why);
	}
}

void
controls_stop(struct controls *cs)
{
	struct control *k;
	struct request *r;

	TAILQ_FOREACH(k, &cs->live, entry) {
		LIST_FOREACH(r, &k->requests, entry) {
			if (r->answered)
				request_end(r);
			else
				request_answer(r, 503, "text/plain",
				    "coordd restarts\n", 16);
		}
		nghttp2_submit_goaway(k->h2, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(k->h2),
		    NGHTTP2_NO_ERROR, NULL, 0);
		mark_dirty(k);
	}
	controls_turn(cs);
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

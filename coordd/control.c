/*
 * control: see control.h.
 *
 *   in:   io -> noise_open -> nghttp2 -> struct request -> route_request
 *   out:  request -> nghttp2 -> noise_seal -> io, once per turn of the loop
 *
 * Nothing is freed inside a callback: what is over is marked, and controls_turn
 * frees it. Output stops while the kernel has not taken the last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/control_impl.h"
#include "pure/cursor.h"
#include "run/io.h"

#define SECOND_US INT64_C(1000000)

/* A client that takes nothing for this long is cut. */
#define STALL_US (30 * SECOND_US)
/* A connection without requests is closed: the client dials when it needs. */
#define IDLE_US (300 * SECOND_US)
/* One whose first record does not come is no client. */
#define PROOF_US (15 * SECOND_US)

/* ---- life of a connection ---- */

void
control_dirty(struct control *k)
{
	if (k->dirty || k->dead)
		return;
	k->dirty = true;
	TAILQ_INSERT_TAIL(&k->all->dirty, k, dirty_entry);
}

void
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
	machine_leave(k);
	io_close(k->io);
	LIST_FOREACH (r, &k->requests, entry)
		request_gone(r);
	metric_add(&k->all->c->stats.connections_now, -1);
	k->owner->ended(k->arg);
}

static void
control_free(struct control *k)
{
	struct request *r;

	nghttp2_session_del(k->h2);
	session_memory_clear(&k->memory);
	while ((r = LIST_FIRST(&k->requests)) != NULL)
		request_free(r);
	io_free(k->io);
	noise_clear(&k->noise);
	free(k);
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

/* Seals what is in cs->plain, and writes what is sealed once no other record
 * fits behind it. */
static void
seal(struct control *k)
{
	struct controls *cs = k->all;
	size_t len =
	    noise_seal(&k->noise, cs->plain, cs->fill, cs->sealed + cs->at);

	cs->fill = 0;
	cs->at += len;
	if (len == 0)
		control_close(k, "record counter used up");
	else if (cs->at + NOISE_RECORD_MAX > sizeof(cs->sealed)) {
		io_write(k->io, cs->sealed, cs->at);
		cs->at = 0;
	}
}

bool
control_put(struct control *k, const uint8_t *p, size_t n)
{
	struct controls *cs = k->all;
	size_t part;

	for (; n > 0 && !k->dead; n -= part, p += part) {
		part = sizeof(cs->plain) - cs->fill;
		part = n < part ? n : part;
		memcpy(cs->plain + cs->fill, p, part);
		cs->fill += part;
		if (cs->fill == sizeof(cs->plain))
			seal(k);
	}
	return !k->dead;
}

/* Moves what nghttp2 has to say into records, until the kernel is full. */
static void
control_flush(struct control *k)
{
	struct controls *cs = k->all;
	const uint8_t *p = NULL;
	ssize_t n = 0;

	cs->fill = cs->at = 0;
	while (!k->dead && io_pending(k->io) == 0 &&
	    (n = nghttp2_session_mem_send(k->h2, &p)) > 0)
		(void)control_put(k, p, (size_t)n);
	if (!k->dead && cs->fill > 0)
		seal(k);
	if (!k->dead && cs->at > 0)
		io_write(k->io, cs->sealed, cs->at);
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
		if (!k->proven) {
			k->proven = true;
			k->owner->proven(k->arg);
			(void)machine_enter(k);
		}
		rv = nghttp2_session_mem_recv(k->h2, plain, len);
		if (rv < 0 && !k->dead) {
			control_dirty(k); /* a GOAWAY may say why */
			control_flush(k);
			control_close(k, nghttp2_strerror((int)rv));
		}
	}
	if (r == NOISE_RECORD_BAD)
		control_close(k, "a record does not open");
	control_dirty(k);
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
	control_dirty(arg);
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

/*
 * The early payload: FF FF FF 'T' 'S', its length, and JSON with a key to
 * which a client could prove that it has its node key, if we asked. Nothing
 * is asked yet: the key is new for each run, and its private half is gone.
 */
static void
make_early(struct controls *cs)
{
	static const char magic[] = "\xff\xff\xffTS";
	struct key challenge;
	char text[KEY_TEXT_MAX], json[128];
	uint8_t length[4];
	struct wr w;
	int n;

	randombytes_buf(challenge.b, KEY_LEN);
	key_clamp(&challenge);
	key_public(&challenge, &challenge);
	n = snprintf(json, sizeof(json), "{\"nodeKeyChallenge\":\"%s\"}",
	    key_text(&challenge, KEY_CHALLENGE, text));
	wr_init(&w, length, sizeof(length));
	wr_u32(&w, (uint32_t)n);
	text_add(&cs->early, magic, sizeof(magic) - 1);
	text_add(&cs->early, (const char *)length, sizeof(length));
	text_add(&cs->early, json, (size_t)n);
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
	TAILQ_INIT(&cs->idle);
	keymap_init(&cs->machines, c->hash_seed);
	cs->log_busy.limit = limit_new(SECOND_US, 5);
	make_early(cs);
	if (!requests_set_callbacks(cs) || cs->early.bad) {
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
	machines_clear(cs);
	nghttp2_session_callbacks_del(cs->callbacks);
	nghttp2_option_del(cs->option);
	text_clear(&cs->early);
	free(cs);
}

static bool
open_h2(struct control *k)
{
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, REQUESTS_MAX},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, REQUEST_FIELDS_MAX},
	    {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
	};
	nghttp2_mem memory = session_memory_init(&k->memory);

	return nghttp2_session_server_new3(&k->h2, k->all->callbacks, k,
		   k->all->option, &memory) == 0 &&
	    nghttp2_submit_settings(k->h2, NGHTTP2_FLAG_NONE, settings, 3) == 0;
}

bool
control_begin(struct controls *cs, struct io *io, const struct noise *n,
    const struct key *machine, const struct control_owner *owner, void *arg)
{
	struct control *k = calloc(1, sizeof(*k));
	size_t len;

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
	len = noise_seal(
	    &k->noise, (const uint8_t *)cs->early.p, cs->early.len, cs->sealed);
	io_write(io, cs->sealed, len);
	if (!k->dead && !open_h2(k))
		control_close(k, "out of memory");
	control_dirty(k);
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

/* Why a connection ends now, or NULL; slow: its client does not read. */
static const char *
overdue(const struct control *k, struct mono now, bool *slow)
{
	struct mono stalled = io_stalled_since(k->io);
	const struct request *r;
	const char *why = NULL;

	*slow = mono_is_set(stalled) && mono_diff_us(stalled, now) > STALL_US;
	if (*slow)
		return "takes nothing for 30 s";
	if (!k->proven && mono_diff_us(k->active, now) > PROOF_US)
		return "no record after the handshake";
	if (LIST_EMPTY(&k->requests) && mono_diff_us(k->active, now) > IDLE_US)
		return "idle";
	for (r = LIST_FIRST(&k->requests); r != NULL && why == NULL;
	     r = LIST_NEXT(r, entry))
		why = request_overdue(r, now, slow);
	return why;
}

void
controls_tick(struct controls *cs)
{
	struct mono now = loop_now(cs->c->loop);
	struct control *k, *next;
	const char *why;
	bool slow;

	for (k = TAILQ_FIRST(&cs->live); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if ((why = overdue(k, now, &slow)) == NULL)
			continue;
		if (slow)
			metric_add(&cs->c->stats.slow_readers, 1);
		control_close(k, why);
	}
	machines_tick(cs);
}

void
controls_stop(struct controls *cs)
{
	struct control *k, *next;
	struct request *r;

	for (k = TAILQ_FIRST(&cs->live); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		LIST_FOREACH (r, &k->requests, entry) {
			if (r->answered)
				request_end(r);
			else
				request_answer(r, 503, "text/plain",
				    "coordd restarts\n", 16);
		}
		nghttp2_submit_goaway(k->h2, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(k->h2),
		    NGHTTP2_NO_ERROR, NULL, 0);
		control_dirty(k);
	}
	controls_turn(cs);
}

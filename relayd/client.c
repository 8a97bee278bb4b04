/*
 * client: one connection, from accept to close. Turns the events of its
 * session into answers, registrations and packets in other clients' queues.
 * Sends only through io, and is closed only by client_close.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "relayd/relayd.h"

#define SECOND_US INT64_C(1000000)

/* derpserver: keepAlive, and jitter so that a thousand clients which came
 * back together do not tick together. */
#define KEEP_ALIVE_US  (60 * SECOND_US)
#define KEEP_JITTER_US (5 * SECOND_US)

/* derpserver's preferred moves: a toggle right after connecting is none. */
#define HOME_MOVE_US   (5 * SECOND_US)

#define DUPLICATES_MAX 64

/* ---- time ---- */

void
client_schedule(struct client *c)
{
	int64_t write_us = c->worker->relay->conf->write_timeout_us;
	struct mono at = mono_earlier(c->deadline, c->keep_alive);
	struct mono stalled = io_stalled_since(c->io);

	if (mono_is_set(stalled) && write_us > 0)
		at = mono_earlier(at, mono_add_us(stalled, write_us));
	timer_set(c->timer, at);
}

void
client_set_state(struct client *c, enum client_state state, int64_t timeout_us)
{
	c->state = state;
	c->deadline = timeout_us == 0
	    ? MONO_NEVER
	    : mono_add_us(loop_now(c->worker->loop), timeout_us);
	client_schedule(c);
}

/* ---- the DERP handshake ---- */

static void
on_upgrade(struct client *c, const struct session_step *step)
{
	const struct relayd *relay = c->worker->relay;
	char hex[KEY_TEXT_MAX];
	uint8_t out[256 + DERP_SERVER_KEY_SIZE];
	size_t n = 0;

	/* derper writes these four fields, in its own spelling. */
	if (!step->fast_start)
		n = (size_t)snprintf((char *)out, 256,
		    "HTTP/1.1 101 Switching Protocols\r\n"
		    "Upgrade: DERP\r\n"
		    "Connection: Upgrade\r\n"
		    "Derp-Version: %d\r\n"
		    "Derp-Public-Key: %s\r\n\r\n",
		    DERP_PROTOCOL_VERSION, key_text(&relay->pub, KEY_HEX, hex));
	n += derp_server_key(out + n, &relay->pub);
	c->not_ideal = step->not_ideal;
	c->upgraded = true;
	web_count(c, 1);
	metric_add(&c->worker->stats.accepts, 1);
	io_write(c->io, out, n);
	if (c->state != CLIENT_DEAD)
		client_set_state(
		    c, CLIENT_HELLO, relay->conf->hello_timeout_us);
}

/* ServerInfo, which must be the first frame after ServerKey. */
static void
greet(struct client *c)
{
	uint8_t frame[DERP_SERVER_INFO_SIZE], nonce[DERPBOX_NONCE_LEN];

	randombytes_buf(nonce, sizeof(nonce));
	c->greeted = true;
	io_write(c->io, frame, derp_server_info(frame, &c->box, nonce));
	derpbox_clear(&c->box);
}

/* A note about c is out to all other workers. */
static void
await_acks(struct client *c, enum mail_kind kind)
{
	struct worker *w = c->worker;

	if (w->relay->nworkers == 1)
		return;
	if (!worker_tell(w, kind, c->member)) {
		client_close(c, CLOSE_MEMORY, NULL);
		return;
	}
	c->acks += w->relay->nworkers - 1;
	c->deadline =
	    mono_add_us(loop_now(w->loop), w->relay->conf->hello_timeout_us);
	client_schedule(c);
}

void
client_acked(struct client *c)
{
	if (--c->acks > 0 || c->state != CLIENT_DERP)
		return;
	c->deadline = MONO_NEVER;
	if (!c->greeted)
		greet(c);
	if (c->state != CLIENT_DERP)
		return;
	client_schedule(c);
	worker_flush_later(c->worker, c);
}

static uint64_t
next_stamp(struct relayd *relay)
{
	return atomic_fetch_add_explicit(
	    &relay->stamps, 1, memory_order_relaxed);
}

/* A key with this many connections loses its oldest one here: each costs every
 * worker time, and more than two are a fault or an attack. */
static void
limit_duplicates(const struct peer *p)
{
	struct member *m, *oldest = NULL;

	if (p == NULL || p->nmembers < DUPLICATES_MAX)
		return;
	LIST_FOREACH (m, &p->members, link)
		if (m->client != NULL &&
		    (oldest == NULL || m->stamp < oldest->stamp))
			oldest = m;
	if (oldest != NULL)
		client_close(oldest->client, CLOSE_DUPLICATE, NULL);
}

static bool
join(struct client *c)
{
	struct worker *w = c->worker;
	struct peer *p = peers_find(&w->peers, &c->key);
	uint64_t id = (uint64_t)w->index << 48 | ++w->ids;

	if (p != NULL)
		metric_add(&w->stats.duplicates, 1);
	limit_duplicates(p);
	c->member = peers_add(
	    &w->peers, &c->key, id, next_stamp(w->relay), w->index, c);
	if (c->member == NULL)
		return false;
	viewer_init(&w->peers, &c->viewer);
	w->registered++;
	metric_add(&w->stats.connections, 1);
	if (c->not_ideal)
		metric_add(&w->stats.notideal, 1);
	return true;
}

static void
on_hello(struct client *c, struct session_step *step)
{
	struct mono now = loop_now(c->worker->loop);
	char text[KEY_SHORT_MAX], from[ADDR_TEXT_MAX];

	c->key = step->key;
	c->box = step->box;
	derpbox_clear(&step->box);
	if (!join(c)) {
		client_close(c, CLOSE_MEMORY, NULL);
		return;
	}
	c->since = now;
	c->not_here = limit_new(SECOND_US, 3);
	c->keep_alive_us =
	    KEEP_ALIVE_US + (int64_t)randombytes_uniform(KEEP_JITTER_US);
	c->keep_alive = mono_add_us(now, c->keep_alive_us);
	client_set_state(c, CLIENT_DERP, 0);
	log_debug("client %s %s: joined", key_short(&c->key, text),
	    addr_text(&c->from, from));
	await_acks(c, MAIL_UP);
	if (c->state == CLIENT_DERP && c->acks == 0)
		greet(c);
}

/* ---- frames ---- */

static void
unknown_destination(
    struct client *c, const struct key *dst, enum stats_kind kind, size_t n)
{
	uint8_t frame[DERP_PEER_GONE_SIZE];

	stats_drop(&c->worker->stats, DROP_UNKNOWN_DEST, kind, n);
	/* Only a disco sender acts on the answer, and only a few of them. */
	if (kind == KIND_DISCO &&
	    limit_allow(&c->not_here, loop_now(c->worker->loop)))
		client_enqueue(c, QUEUE_CONTROL, frame,
		    derp_peer_gone(frame, dst, DERP_GONE_NOT_HERE));
}

static void
on_send_packet(struct client *c, const uint8_t *frame, size_t len)
{
	struct worker *w = c->worker;
	const uint8_t *data = frame + DERP_HEADER_LEN + KEY_LEN;
	size_t n = len - KEY_LEN;
	enum stats_kind kind = client_packet_kind(data, n);
	struct key dst;
	struct peer *peer;

	memcpy(dst.b, frame + DERP_HEADER_LEN, KEY_LEN);
	metric_add(&w->stats.packets_in, 1);
	metric_add(&w->stats.bytes_in, (int64_t)n);
	metric_add(&w->stats.kind_in[kind], 1);
	peer = peers_find(&w->peers, &dst);
	if (peer == NULL)
		unknown_destination(c, &dst, kind, n);
	else if (peer->active->worker == w->index)
		client_deliver(
		    peer->active->client, c->member->peer, &c->key, data, n);
	else
		worker_forward(w, peer->active, &c->key, data, n);
}

static void
on_note_preferred(struct client *c, bool preferred)
{
	struct stats *s = &c->worker->stats;
	struct mono now = loop_now(c->worker->loop);
	bool moved = mono_diff_us(c->since, now) > HOME_MOVE_US;

	if (c->preferred == preferred)
		return;
	c->preferred = preferred;
	metric_add(&s->home, preferred ? 1 : -1);
	if (moved)
		metric_add(preferred ? &s->home_in : &s->home_out, 1);
}

/* One pong waits at a time: a flood of pings makes no flood of pongs. */
static void
on_ping(struct client *c, const uint8_t *data)
{
	uint8_t frame[DERP_PONG_SIZE];

	metric_add(&c->worker->stats.pings, 1);
	if (c->pong_queued)
		return;
	c->pong_queued = true;
	client_enqueue(c, QUEUE_CONTROL, frame, derp_pong(frame, data));
}

/* The last of a key's connections to speak gets its traffic. */
static void
note_activity(struct client *c)
{
	if (c->member->peer->active == c->member)
		return;
	peers_touch(c->member, next_stamp(c->worker->relay));
	await_acks(c, MAIL_SPOKE);
}

static void
on_frame(struct client *c, const struct session_step *step)
{
	const uint8_t *payload = step->frame + DERP_HEADER_LEN;

	note_activity(c);
	if (c->state == CLIENT_DEAD)
		return;
	switch (step->header.type) {
	case DERP_SEND_PACKET:
		on_send_packet(c, step->frame, step->header.len);
		break;
	case DERP_NOTE_PREFERRED:
		on_note_preferred(c, payload[0] != 0);
		break;
	case DERP_PING:
		on_ping(c, payload);
		break;
	}
}

/* ---- events ---- */

static void
on_bad(struct client *c, const struct session_step *step)
{
	char detail[128];

	if (c->state == CLIENT_HTTP) {
		web_refuse(c, step->status);
		return;
	}
	snprintf(detail, sizeof(detail), "%s (type 0x%02x, %u bytes)",
	    step->why, step->header.type, step->header.len);
	client_close(
	    c, c->state == CLIENT_DERP ? CLOSE_FRAME : CLOSE_HELLO, detail);
}

static void
on_event(struct client *c, enum session_event event, struct session_step *step)
{
	switch (event) {
	case SESSION_MORE:
		break;
	case SESSION_REQUEST:
		web_request(c, &step->request);
		break;
	case SESSION_UPGRADE:
		on_upgrade(c, step);
		break;
	case SESSION_HELLO:
		on_hello(c, step);
		break;
	case SESSION_FRAME:
		on_frame(c, step);
		break;
	case SESSION_SKIPPED:
		metric_add(&c->worker->stats.unknown_frames, 1);
		note_activity(c);
		break;
	case SESSION_BAD:
		on_bad(c, step);
		break;
	}
}

static size_t
client_data(void *arg, uint8_t *p, size_t n, size_t *want)
{
	struct client *c = arg;
	struct session_step step;
	enum session_event event;
	size_t used = 0;

	do {
		event = session_next(&c->session, &c->worker->relay->priv,
		    p + used, n - used, &step);
		used += step.used;
		on_event(c, event, &step);
	} while (event != SESSION_MORE && c->state != CLIENT_DEAD);
	*want = step.want;
	return used;
}

static void
client_ready(void *arg)
{
	struct client *c = arg;

	/* The deadline goes on: it covers the handshake and the request. */
	c->state = CLIENT_HTTP;
}

static void
client_drained(void *arg)
{
	client_flush(arg);
}

static void
client_end(void *arg, enum io_end why, const char *detail)
{
	struct client *c = arg;
	enum stats_close reason = CLOSE_RESET;

	if (c->state == CLIENT_DRAIN)
		reason = c->drained;
	else if (why == IO_END_EOF)
		reason = CLOSE_EOF;
	else if (why == IO_END_TLS)
		reason = CLOSE_TLS;
	else if (why == IO_END_MEMORY)
		reason = CLOSE_MEMORY;
	client_close(c, reason, detail);
}

static void
client_timer(void *arg)
{
	struct client *c = arg;
	const struct relayd_conf *conf = c->worker->relay->conf;
	struct mono now = loop_now(c->worker->loop);
	struct mono stalled = io_stalled_since(c->io);
	uint8_t frame[DERP_HEADER_LEN];

	if (mono_reached(c->deadline, now)) {
		if (c->state == CLIENT_DRAIN)
			client_close(c, c->drained, NULL);
		else
			client_close(c, CLOSE_HELLO_TIMEOUT, NULL);
		return;
	}
	client_drop_aged(c);
	if (mono_is_set(stalled) && conf->write_timeout_us > 0 &&
	    mono_diff_us(stalled, now) >= conf->write_timeout_us) {
		metric_add(&c->worker->stats.write_timeouts, 1);
		client_close(c, CLOSE_WRITE_TIMEOUT, NULL);
		return;
	}
	if (mono_reached(c->keep_alive, now)) {
		client_enqueue(c, QUEUE_CONTROL, frame, derp_keep_alive(frame));
		c->keep_alive = mono_add_us(now, c->keep_alive_us);
	}
	if (c->state != CLIENT_DEAD)
		client_schedule(c);
}

static const struct io_ops client_ops = {
    client_data, client_ready, client_drained, client_end};

/* ---- life ---- */

void
client_accept(
    struct worker *w, const struct listener *l, int fd, const struct addr *from)
{
	const struct relayd_conf *conf = w->relay->conf;
	struct client *c = calloc(1, sizeof(*c));
	struct tls_context *tls = l->tls ? atomic_load(&w->relay->tls) : NULL;

	if (c != NULL)
		c->timer = timer_new(w->loop, client_timer, c);
	if (c != NULL && c->timer != NULL)
		c->io = io_new(w->io, fd, tls, &client_ops, c);
	if (c == NULL || c->io == NULL) {
		if (c != NULL)
			timer_free(c->timer);
		free(c);
		close(fd);
		metric_add(&w->stats.closed[CLOSE_MEMORY], 1);
		return;
	}
	io_set_tcp_options(fd, conf->keepalive_us, conf->user_timeout_us);
	c->worker = w;
	c->from = *from;
	c->plain_pages = l->plain_pages;
	session_init(&c->session, conf->derp && !l->plain_pages);
	queue_init(&c->queue);
	TAILQ_INSERT_TAIL(&w->all, c, all);
	client_set_state(
	    c, l->tls ? CLIENT_TLS : CLIENT_HTTP, conf->tls_timeout_us);
}

static void
leave(struct client *c)
{
	struct worker *w = c->worker;
	struct packet *p;

	if (c->member != NULL) {
		(void)worker_tell(w, MAIL_DOWN, c->member);
		peers_remove(&w->peers, c->member, client_peer_gone, NULL);
		viewer_clear(&w->peers, &c->viewer);
		c->member = NULL;
		w->registered--;
		metric_add(&w->stats.connections, -1);
		if (c->not_ideal)
			metric_add(&w->stats.notideal, -1);
		if (c->preferred)
			metric_add(&w->stats.home, -1);
	}
	for (int class = 0; class < QUEUE_CLASSES; class ++)
		while ((p = queue_evict(&c->queue, (enum queue_class) class)) !=
		    NULL)
			client_drop(c, p, DROP_GONE);
	if (c->upgraded)
		web_count(c, -1);
}

static void
log_closed(struct client *c, enum stats_close reason, const char *detail)
{
	struct worker *w = c->worker;
	bool routine = reason == CLOSE_EOF || reason == CLOSE_HTTP_DONE ||
	    reason == CLOSE_SHUTDOWN;
	char key[KEY_SHORT_MAX] = "-", from[ADDR_TEXT_MAX], more[48] = "";
	uint64_t n;

	if (routine && log_get_level() < LOG_DEBUG_LEVEL)
		return;
	n = log_allowed(&w->log_closed, loop_now(w->loop));
	if (n == 0)
		return;
	if (n > 1)
		snprintf(more, sizeof(more), " (%llu lines left out)",
		    (unsigned long long)(n - 1));
	if (c->member != NULL)
		key_short(&c->key, key);
	log_info("client %s %s: closed: %s%s%s%s", key,
	    addr_text(&c->from, from), stats_close_name(reason),
	    detail == NULL ? "" : ": ", detail == NULL ? "" : detail, more);
}

void
client_close(struct client *c, enum stats_close reason, const char *detail)
{
	struct worker *w = c->worker;

	if (c->state == CLIENT_DEAD)
		return;
	log_closed(c, reason, detail);
	metric_add(&w->stats.closed[reason], 1);
	c->state = CLIENT_DEAD;
	leave(c);
	timer_set(c->timer, MONO_NEVER);
	io_close(c->io);
	worker_bury(w, c);
}

void
client_free(struct client *c)
{
	derpbox_clear(&c->box);
	io_free(c->io);
	timer_free(c->timer);
	free(c);
}

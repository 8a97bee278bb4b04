/*
 * deliver: what goes to a client: packets and frames into its queue, the queue
 * into the socket, and the count of what is lost on the way.
 */
#include <string.h>

#include "relayd/relayd.h"

/* Under memory pressure (-queue-total) each client keeps this much. */
#define QUEUE_BYTES_MIN 131072

enum stats_kind
client_packet_kind(const uint8_t *p, size_t n)
{
	return derp_is_disco(p, n) ? KIND_DISCO : KIND_OTHER;
}

void
client_drop(struct client *c, struct packet *p, enum stats_drop reason)
{
	const size_t head = DERP_HEADER_LEN + KEY_LEN;

	if (p->bytes[0] == DERP_RECV_PACKET)
		stats_drop(&c->worker->stats, reason,
		    client_packet_kind(p->bytes + head, p->len - head),
		    p->len - head);
	else if (p->bytes[0] == DERP_PONG)
		c->pong_queued = false;
	c->worker->queued -= p->size;
	pool_put(&c->worker->pool, p);
}

static struct queue_limits
limits_now(const struct client *c)
{
	const struct relayd *relay = c->worker->relay;
	struct queue_limits limits = relay->limits;

	if (c->worker->queued >
	    (size_t)relay->conf->queue_total / relay->nworkers)
		limits.bytes = QUEUE_BYTES_MIN;
	return limits;
}

/* What the queue gives up. PeerGone is owed to the client, and its place
 * behind the peer's packets no longer matters when those are dropped. */
static void
give_up(struct client *c, enum queue_class class, struct packet *p)
{
	if (class != QUEUE_CONTROL && p->bytes[0] == DERP_PEER_GONE &&
	    !queue_is_full(
		&c->queue, QUEUE_CONTROL, p->size, &c->worker->relay->limits))
		queue_push(&c->queue, QUEUE_CONTROL, p);
	else
		client_drop(c, p, DROP_QUEUE_HEAD);
}

void
client_drop_aged(struct client *c)
{
	const struct worker *w = c->worker;
	struct mono now = loop_now(w->loop);
	struct packet *p;

	while (
	    (p = queue_pop_aged(&c->queue, now, &w->relay->limits)) != NULL) {
		metric_add(&c->worker->stats.aged, 1);
		give_up(c, QUEUE_DATA, p);
	}
}

/* Makes room for a packet: first by writing, then by dropping the oldest. */
static void
make_room(struct client *c, enum queue_class class, size_t size)
{
	struct queue_limits limits = limits_now(c);
	struct packet *old;

	client_drop_aged(c);
	if (!queue_is_full(&c->queue, class, size, &limits))
		return;
	if (io_pending(c->io) == 0)
		client_flush(c);
	while (queue_is_full(&c->queue, class, size, &limits) &&
	    (old = queue_evict(&c->queue, class)) != NULL)
		give_up(c, class, old);
}

/* Queues a frame of len bytes, which the caller fills in. NULL when memory is
 * short, or when c died of the attempt to make room. */
static struct packet *
enqueue(struct client *c, enum queue_class class, uint8_t source, size_t len)
{
	struct worker *w = c->worker;
	struct packet *p;

	make_room(c, class, pool_size(len));
	if (c->state == CLIENT_DEAD || (p = pool_get(&w->pool, len)) == NULL)
		return NULL;
	p->queued = loop_now(w->loop);
	p->source = source;
	queue_push(&c->queue, class, p);
	w->queued += p->size;
	worker_flush_later(w, c);
	return p;
}

void
client_enqueue(
    struct client *c, enum queue_class class, const uint8_t *frame, size_t len)
{
	struct packet *p = enqueue(c, class, 0, len);

	if (p != NULL)
		memcpy(p->bytes, frame, len);
}

void
client_deliver(struct client *c, struct peer *from, const struct key *src,
    const uint8_t *data, size_t n)
{
	enum stats_kind kind = client_packet_kind(data, n);
	size_t len = DERP_HEADER_LEN + KEY_LEN + n;
	struct packet *p;
	struct wr w;

	if (from != NULL)
		viewer_note(&c->worker->peers, &c->viewer, from);
	p = enqueue(c, kind == KIND_DISCO ? QUEUE_DISCO : QUEUE_DATA,
	    (uint8_t)(from == NULL ? 0 : from->serial % QUEUE_SOURCES), len);
	if (p == NULL) {
		stats_drop(&c->worker->stats,
		    c->state == CLIENT_DEAD ? DROP_GONE : DROP_QUEUE_TAIL, kind,
		    n);
		return;
	}
	wr_init(&w, p->bytes, len);
	derp_write_header(&w, DERP_RECV_PACKET, (uint32_t)(KEY_LEN + n));
	wr_bytes(&w, src->b, KEY_LEN);
	wr_bytes(&w, data, n);
}

static void
count_sent(struct client *c, const struct packet *p, struct mono now)
{
	struct stats *s = &c->worker->stats;
	int64_t waited = mono_diff_us(p->queued, now);
	int64_t average = metric_get(&s->queue_us);

	switch (p->bytes[0]) {
	case DERP_RECV_PACKET:
		metric_add(&s->packets_out, 1);
		metric_add(&s->bytes_out, p->len - DERP_HEADER_LEN - KEY_LEN);
		/* derper's alpha is 0.1 too. */
		metric_set(&s->queue_us, average + (waited - average) / 10);
		break;
	case DERP_PONG:
		c->pong_queued = false;
		metric_add(&s->pongs, 1);
		break;
	case DERP_PEER_GONE:
		metric_add(p->bytes[p->len - 1] == DERP_GONE_NOT_HERE
			? &s->gone_not_here
			: &s->gone_disconnected,
		    1);
		break;
	}
}

/* Moves packets from the queue to the worker's gather buffer; returns bytes. */
static size_t
gather(struct client *c)
{
	struct worker *w = c->worker;
	struct mono now = loop_now(w->loop);
	struct packet *p;
	unsigned frames = 0;
	size_t n = 0;

	while (
	    (p = queue_pop_aged(&c->queue, now, &w->relay->limits)) != NULL) {
		metric_add(&w->stats.aged, 1);
		client_drop(c, p, DROP_QUEUE_HEAD);
	}
	while ((p = queue_pop(&c->queue, IO_WRITE_MAX - n)) != NULL) {
		memcpy(w->gather + n, p->bytes, p->len);
		n += p->len;
		frames++;
		count_sent(c, p, now);
		w->queued -= p->size;
		pool_put(&w->pool, p);
	}
	stats_frames(&w->stats, frames);
	return n;
}

void
client_flush(struct client *c)
{
	while (c->state == CLIENT_DERP && c->acks == 0 &&
	    io_pending(c->io) == 0 && !queue_is_empty(&c->queue))
		io_write(c->io, c->worker->gather, gather(c));
	/* The write deadline begins to run. */
	if (c->state == CLIENT_DERP && io_pending(c->io) > 0)
		client_schedule(c);
}

void
client_peer_gone(struct viewer *v, const struct key *k, void *arg)
{
	struct client *c = (struct client *)(void *)((char *)v -
	    offsetof(struct client, viewer));
	uint8_t frame[DERP_PEER_GONE_SIZE];

	(void)arg;
	/* Behind the packets of that peer, not before them: the client would
	 * take a packet that comes after for a new route. */
	if (c->state == CLIENT_DERP)
		client_enqueue(c, QUEUE_DATA, frame,
		    derp_peer_gone(frame, k, DERP_GONE_DISCONNECTED));
}

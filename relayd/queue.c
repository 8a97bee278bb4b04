/* queue: bounded lanes of packets; drops are chosen here, counted above. */
#include <stdlib.h>

#include "relayd/queue.h"

/* A data lane this long keeps account of its sources. */
#define LONG_LANE 64

void
queue_init(struct queue *q)
{
	for (int i = 0; i < QUEUE_CLASSES; i++) {
		TAILQ_INIT(&q->lanes[i].packets);
		q->lanes[i].count = 0;
		q->lanes[i].bytes = 0;
	}
	q->by_source = NULL;
}

/* Without memory for the account the oldest packet of all goes: still
 * bounded, only less fair. */
static void
account_begin(struct queue *q)
{
	const struct packet *p;

	q->by_source = calloc(QUEUE_SOURCES, sizeof(*q->by_source));
	if (q->by_source == NULL)
		return;
	TAILQ_FOREACH (p, &q->lanes[QUEUE_DATA].packets, link)
		q->by_source[p->source] += p->len;
}

void
queue_push(struct queue *q, enum queue_class class, struct packet *p)
{
	struct queue_lane *lane = &q->lanes[class];

	TAILQ_INSERT_TAIL(&lane->packets, p, link);
	lane->count++;
	lane->bytes += p->len;
	if (class != QUEUE_DATA)
		return;
	if (q->by_source != NULL)
		q->by_source[p->source] += p->len;
	else if (lane->count >= LONG_LANE)
		account_begin(q);
}

bool
queue_is_full(const struct queue *q, enum queue_class class, size_t len,
    const struct queue_limits *limits)
{
	const struct queue_lane *lane = &q->lanes[class];

	return lane->count >= limits->packets ||
	    (lane->count > 0 && lane->bytes + len > limits->bytes);
}

static struct packet *
take(struct queue *q, enum queue_class class, struct packet *p)
{
	struct queue_lane *lane = &q->lanes[class];

	TAILQ_REMOVE(&lane->packets, p, link);
	lane->count--;
	lane->bytes -= p->len;
	if (class != QUEUE_DATA || q->by_source == NULL)
		return p;
	q->by_source[p->source] -= p->len;
	if (lane->count == 0) {
		free(q->by_source);
		q->by_source = NULL;
	}
	return p;
}

static uint8_t
loudest_source(const struct queue *q)
{
	uint8_t loudest = 0;

	for (uint8_t i = 1; i < QUEUE_SOURCES; i++)
		if (q->by_source[i] > q->by_source[loudest])
			loudest = i;
	return loudest;
}

struct packet *
queue_evict(struct queue *q, enum queue_class class)
{
	struct packet *p = TAILQ_FIRST(&q->lanes[class].packets);
	uint8_t loudest;

	if (p == NULL)
		return NULL;
	if (class == QUEUE_DATA && q->by_source != NULL) {
		loudest = loudest_source(q);
		while (p->source != loudest)
			p = TAILQ_NEXT(p, link);
	}
	return take(q, class, p);
}

struct packet *
queue_pop(struct queue *q, size_t room)
{
	struct packet *p;

	for (int i = 0; i < QUEUE_CLASSES; i++) {
		p = TAILQ_FIRST(&q->lanes[i].packets);
		if (p == NULL)
			continue;
		return p->len <= room ? take(q, (enum queue_class)i, p) : NULL;
	}
	return NULL;
}

struct packet *
queue_pop_aged(
    struct queue *q, struct mono now, const struct queue_limits *limits)
{
	struct packet *p;

	if (limits->age_us == 0)
		return NULL;
	for (int i = QUEUE_DISCO; i < QUEUE_CLASSES; i++) {
		p = TAILQ_FIRST(&q->lanes[i].packets);
		if (p != NULL && mono_diff_us(p->queued, now) > limits->age_us)
			return take(q, (enum queue_class)i, p);
	}
	return NULL;
}

bool
queue_is_empty(const struct queue *q)
{
	for (int i = 0; i < QUEUE_CLASSES; i++)
		if (q->lanes[i].count > 0)
			return false;
	return true;
}

size_t
queue_bytes(const struct queue *q)
{
	size_t sum = 0;

	for (int i = 0; i < QUEUE_CLASSES; i++)
		sum += q->lanes[i].bytes;
	return sum;
}

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
	q->sources = NULL;
}

static void
source_add(struct queue *q, struct packet *p)
{
	TAILQ_INSERT_TAIL(&q->sources[p->source].packets, p, same);
	q->sources[p->source].bytes += p->size;
}

/* Without memory for this the oldest packet of all goes: still bounded, only
 * less fair. */
static void
sources_begin(struct queue *q)
{
	struct packet *p;

	q->sources = calloc(QUEUE_SOURCES, sizeof(*q->sources));
	if (q->sources == NULL)
		return;
	for (int i = 0; i < QUEUE_SOURCES; i++)
		TAILQ_INIT(&q->sources[i].packets);
	TAILQ_FOREACH (p, &q->lanes[QUEUE_DATA].packets, link)
		source_add(q, p);
}

void
queue_push(struct queue *q, enum queue_class class, struct packet *p)
{
	struct queue_lane *lane = &q->lanes[class];

	TAILQ_INSERT_TAIL(&lane->packets, p, link);
	lane->count++;
	lane->bytes += p->size;
	if (class != QUEUE_DATA)
		return;
	if (q->sources != NULL)
		source_add(q, p);
	else if (lane->count >= LONG_LANE)
		sources_begin(q);
}

bool
queue_is_full(const struct queue *q, enum queue_class class, size_t size,
    const struct queue_limits *limits)
{
	const struct queue_lane *lane = &q->lanes[class];

	return lane->count >= limits->packets ||
	    (lane->count > 0 && lane->bytes + size > limits->bytes);
}

static struct packet *
take(struct queue *q, enum queue_class class, struct packet *p)
{
	struct queue_lane *lane = &q->lanes[class];

	TAILQ_REMOVE(&lane->packets, p, link);
	lane->count--;
	lane->bytes -= p->size;
	if (class != QUEUE_DATA || q->sources == NULL)
		return p;
	TAILQ_REMOVE(&q->sources[p->source].packets, p, same);
	q->sources[p->source].bytes -= p->size;
	if (lane->count == 0) {
		free(q->sources);
		q->sources = NULL;
	}
	return p;
}

static const struct queue_source *
loudest_source(const struct queue *q)
{
	const struct queue_source *loudest = q->sources;

	for (int i = 1; i < QUEUE_SOURCES; i++)
		if (q->sources[i].bytes > loudest->bytes)
			loudest = &q->sources[i];
	return loudest;
}

struct packet *
queue_evict(struct queue *q, enum queue_class class)
{
	struct packet *p = TAILQ_FIRST(&q->lanes[class].packets);

	if (p == NULL)
		return NULL;
	if (class == QUEUE_DATA && q->sources != NULL)
		p = TAILQ_FIRST(&loudest_source(q)->packets);
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

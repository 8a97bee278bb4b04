/*
 * queue: the frames that wait for one client. PURE.
 *
 * Three classes, served in this order: control (pongs, keepalives), discovery,
 * data (with PeerGone, which must not overtake the peer's last packets). Each
 * is bounded in packets and bytes; packets older than the age limit are dropped
 * when their turn comes. When a class is full the oldest packet goes; in a lane
 * of data that has grown long, the oldest of the source that has the most bytes
 * there, so that one loud source cannot push out the others (longest queue drop
 * over hashed sources).
 */
#ifndef RELAYD_QUEUE_H
#define RELAYD_QUEUE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

enum queue_class { QUEUE_CONTROL, QUEUE_DISCO, QUEUE_DATA, QUEUE_CLASSES };

/* A frame ready for the wire. The owner is the queue, or who popped it. */
struct packet {
	TAILQ_ENTRY(packet) link;
	TAILQ_ENTRY(packet) same; /* of the same source, in a long lane */
	struct mono queued;
	uint32_t len; /* of the frame */
	uint32_t size; /* of the memory that it takes */
	uint8_t source; /* hash bucket, < QUEUE_SOURCES */
	bool pooled;
	uint8_t bytes[];
};
TAILQ_HEAD(packets, packet);

#define QUEUE_SOURCES 32

struct queue_lane {
	struct packets packets;
	uint32_t count;
	size_t bytes; /* of memory */
};

struct queue_source {
	struct packets packets; /* by `same` */
	size_t bytes;
};

struct queue {
	struct queue_lane lanes[QUEUE_CLASSES];
	/* The data lane by source, QUEUE_SOURCES of them; only while it is
	 * long, since an idle client should cost nothing. */
	struct queue_source *sources;
};

struct queue_limits {
	uint32_t packets; /* per class */
	size_t bytes; /* per class, of memory */
	int64_t age_us; /* 0: none */
};

void queue_init(struct queue *q);

/* Takes p. All of it but the links is set by the caller. */
void queue_push(struct queue *q, enum queue_class class, struct packet *p);

/* True if a packet that takes size bytes of memory does not fit any more. */
bool queue_is_full(const struct queue *q, enum queue_class class, size_t size,
    const struct queue_limits *limits);

/* Gives the packet that must go for a full class; NULL if it is empty. */
struct packet *queue_evict(struct queue *q, enum queue_class class);

/* Gives the next packet if it has at most room bytes; NULL otherwise. */
struct packet *queue_pop(struct queue *q, size_t room);

/* Gives one packet that is too old at `now`, or NULL. Control never ages. */
struct packet *queue_pop_aged(
    struct queue *q, struct mono now, const struct queue_limits *limits);

bool queue_is_empty(const struct queue *q);

#endif

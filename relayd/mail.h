/*
 * mail: what one worker tells another: packets, by value, and notes about
 * members of peers. A worker collects its mail for each other worker during a
 * turn (outbox) and posts it at the end of the turn: one lock and at most one
 * wake-up per batch. Order from one worker to another is kept.
 *
 * A mailbox is bounded in bytes of packets: beyond it the oldest batch loses
 * its packets. Notes are never lost.
 */
#ifndef RELAYD_MAIL_H
#define RELAYD_MAIL_H

#include <sys/queue.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"

enum mail_kind {
	MAIL_PACKET, /* src's packet for key */
	MAIL_UP, /* member id of key has come, with a stamp */
	MAIL_DOWN, /* member id of key has gone */
	MAIL_SPOKE, /* member id of key is active since stamp */
	MAIL_ACK, /* your UP or SPOKE about member id is in force here */
};

/* One item; packets are followed by len bytes, padded to 8. */
struct mail {
	uint32_t size; /* of the whole item, a multiple of 8 */
	uint32_t len;
	enum mail_kind kind;
	unsigned worker; /* where it comes from */
	struct key key;
	struct key src;
	uint64_t id, stamp;
};

struct batch {
	STAILQ_ENTRY(batch) link;
	size_t n, cap; /* bytes of items */
	size_t packets; /* bytes of packet items among them */
	size_t npackets;
	uint8_t bytes[] __attribute__((aligned(8)));
};
STAILQ_HEAD(batches, batch);

struct outbox {
	struct batch *batch; /* NULL: nothing to post */
};

struct mailbox {
	pthread_mutex_t lock;
	struct batches batches;
	size_t packets; /* bytes of packet items waiting */
	int wake_fd; /* eventfd: readable while there is mail */
};

/* Packet bytes that wait for one worker at most. */
#define MAILBOX_MAX (32u << 20)
/* A batch is posted early at this size. */
#define BATCH_FULL (256u << 10)

/* Returns -1 with errno. */
int mailbox_init(struct mailbox *box);
void mailbox_clear(struct mailbox *box);

/*
 * Adds an item to an outbox; body is m->len bytes. Fills in m->size. Returns
 * false if memory is short: the item is lost.
 */
bool outbox_add(struct outbox *out, struct mail *m, const void *body);
bool outbox_is_full(const struct outbox *out);

/* Hands the outbox over, with one wake-up if the box was empty. Returns how
 * many older packets had to go. */
size_t mailbox_post(struct mailbox *box, struct outbox *out);

/* Takes everything out, oldest first. The caller owns the batches (free). */
void mailbox_take(struct mailbox *box, struct batches *into);

/* The next item of a batch after m (NULL: the first); NULL at the end. Its
 * body follows it. */
const struct mail *batch_next(const struct batch *b, const struct mail *m);
const uint8_t *mail_body(const struct mail *m);

#endif

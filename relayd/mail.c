/* mail: batches of items under one lock per mailbox. */
#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relayd/mail.h"

#define BATCH_FIRST 4096

int
mailbox_init(struct mailbox *box)
{
	STAILQ_INIT(&box->batches);
	box->packets = 0;
	box->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (box->wake_fd == -1)
		return -1;
	if ((errno = pthread_mutex_init(&box->lock, NULL)) != 0) {
		close(box->wake_fd);
		return -1;
	}
	return 0;
}

void
mailbox_clear(struct mailbox *box)
{
	struct batch *b;

	while ((b = STAILQ_FIRST(&box->batches)) != NULL) {
		STAILQ_REMOVE_HEAD(&box->batches, link);
		free(b);
	}
	pthread_mutex_destroy(&box->lock);
	close(box->wake_fd);
}

/* A batch with room for size more bytes: the same, or larger. */
static struct batch *
batch_with_room(struct batch *b, size_t size)
{
	size_t n = b == NULL ? 0 : b->n;
	size_t cap = b == NULL ? BATCH_FIRST : b->cap;
	struct batch *grown;

	if (b != NULL && n + size <= cap)
		return b;
	while (cap < n + size)
		cap *= 2;
	grown = realloc(b, sizeof(*b) + cap);
	if (grown == NULL)
		return NULL;
	if (b == NULL)
		memset(grown, 0, sizeof(*grown));
	grown->cap = cap;
	return grown;
}

bool
outbox_add(struct outbox *out, struct mail *m, const void *body)
{
	struct batch *b;

	m->size = (uint32_t)((sizeof(*m) + m->len + 7) & ~(size_t)7);
	if ((b = batch_with_room(out->batch, m->size)) == NULL)
		return false;
	out->batch = b;
	memcpy(b->bytes + b->n, m, sizeof(*m));
	if (m->len > 0)
		memcpy(b->bytes + b->n + sizeof(*m), body, m->len);
	b->n += m->size;
	if (m->kind == MAIL_PACKET) {
		b->packets += m->size;
		b->npackets++;
	}
	return true;
}

bool
outbox_is_full(const struct outbox *out)
{
	return out->batch != NULL && out->batch->n >= BATCH_FULL;
}

const struct mail *
batch_next(const struct batch *b, const struct mail *m)
{
	const uint8_t *p = b->bytes;

	if (m != NULL)
		p = (const uint8_t *)m + m->size;
	return p == b->bytes + b->n ? NULL : (const void *)p;
}

const uint8_t *
mail_body(const struct mail *m)
{
	return (const uint8_t *)(m + 1);
}

/* Leaves only the notes in a batch; returns how many packets went. */
static size_t
drop_packets(struct batch *b)
{
	size_t end = b->n, at = 0, n = b->npackets;
	struct mail m;

	b->n = 0;
	while (at < end) {
		memcpy(&m, b->bytes + at, sizeof(m));
		if (m.kind != MAIL_PACKET) {
			memmove(b->bytes + b->n, b->bytes + at, m.size);
			b->n += m.size;
		}
		at += m.size;
	}
	b->packets = 0;
	b->npackets = 0;
	return n;
}

/* Drops packets of the oldest batches until the rest is within bounds; batches
 * without notes go whole. */
static size_t
keep_bounds(struct mailbox *box)
{
	struct batches notes = STAILQ_HEAD_INITIALIZER(notes);
	struct batch *b, *small;
	size_t dropped = 0;

	while (box->packets > MAILBOX_MAX &&
	    (b = STAILQ_FIRST(&box->batches)) != NULL) {
		STAILQ_REMOVE_HEAD(&box->batches, link);
		box->packets -= b->packets;
		dropped += drop_packets(b);
		if (b->n == 0) {
			free(b);
			continue;
		}
		if ((small = realloc(b, sizeof(*b) + b->n)) != NULL)
			b = small;
		STAILQ_INSERT_TAIL(&notes, b, link);
	}
	STAILQ_CONCAT(&notes, &box->batches);
	STAILQ_CONCAT(&box->batches, &notes);
	return dropped;
}

size_t
mailbox_post(struct mailbox *box, struct outbox *out)
{
	struct batch *b = out->batch;
	uint64_t one = 1;
	size_t dropped;
	bool was_empty;

	if (b == NULL)
		return 0;
	out->batch = NULL;
	pthread_mutex_lock(&box->lock);
	was_empty = STAILQ_EMPTY(&box->batches);
	box->packets += b->packets;
	dropped = keep_bounds(box);
	STAILQ_INSERT_TAIL(&box->batches, b, link);
	pthread_mutex_unlock(&box->lock);
	/* A full counter is readable already: nothing is lost. */
	if (was_empty && write(box->wake_fd, &one, sizeof(one)) < 0)
		return dropped;
	return dropped;
}

void
mailbox_take(struct mailbox *box, struct batches *into)
{
	uint64_t n;

	STAILQ_INIT(into);
	/* Before the take: mail that comes after it must wake us again. */
	if (read(box->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&box->lock);
	STAILQ_CONCAT(into, &box->batches);
	box->packets = 0;
	pthread_mutex_unlock(&box->lock);
}

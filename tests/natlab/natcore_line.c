/*
 * natcore_line: what happens to packets on the way: they are late, in another
 * order, lost or doubled, or too many. Real time, and random numbers of its
 * own, so that the ports a NAT chooses do not depend on it.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/natlab/natcore_impl.h"

void
line_clear(struct line *l)
{
	struct delayed *d;

	while ((d = TAILQ_FIRST(&l->queue)) != NULL) {
		TAILQ_REMOVE(&l->queue, d, entry);
		free(d);
	}
	l->count = 0;
}

void
line_run(struct nat *n)
{
	for (int to = NAT_INSIDE; to <= NAT_OUTSIDE; to++) {
		struct line *l = &n->lines[to];
		struct delayed *d;

		while ((d = TAILQ_FIRST(&l->queue)) != NULL &&
		    mono_reached(d->due, n->now)) {
			TAILQ_REMOVE(&l->queue, d, entry);
			l->count--;
			n->emit(n->arg, (enum nat_side)to, d->packet, d->n);
			free(d);
		}
	}
}

/* Behind all that is due before, or at the same time. */
static void
line_insert(struct line *l, struct delayed *d)
{
	struct delayed *before = TAILQ_LAST(&l->queue, delayed_queue);

	while (before != NULL && before->due.us > d->due.us)
		before = TAILQ_PREV(before, delayed_queue, entry);
	if (before == NULL)
		TAILQ_INSERT_HEAD(&l->queue, d, entry);
	else
		TAILQ_INSERT_AFTER(&l->queue, before, d, entry);
	l->count++;
}

/* When its last bit is on the line; false if the queue before it is too
 * long. */
static bool
line_rate(struct nat *n, struct line *l, const struct nat_line *c, size_t len,
    struct mono *sent)
{
	struct mono from = n->now;

	*sent = from;
	if (c->rate_kbit == 0)
		return true;
	if (l->busy.us > from.us)
		from = l->busy;
	if (mono_diff_us(n->now, from) > c->queue_us)
		return false;
	*sent = l->busy = mono_add_us(from, (int64_t)len * 8000 / c->rate_kbit);
	return true;
}

static struct mono
line_due(struct line *l, const struct nat_line *c, struct mono sent)
{
	int64_t delay = c->delay_us;
	struct mono due;

	if (c->jitter_us > 0)
		delay += rng_below(&l->rng, (unsigned)c->jitter_us + 1);
	due = mono_add_us(sent, delay);
	if (rng_happens(&l->rng, c->reorder))
		return mono_add_us(due, c->reorder_us); /* is overtaken */
	if (due.us < l->last.us)
		due = l->last;
	l->last = due;
	return due;
}

static void
line_put(struct nat *n, enum nat_side to, const uint8_t *p, size_t len)
{
	struct line *l = &n->lines[to];
	const struct nat_line *c =
	    to == NAT_OUTSIDE ? &n->config.line_out : &n->config.line_in;
	struct mono due;
	struct delayed *d;

	if (!line_rate(n, l, c, len, &due))
		return nat_drop(n, NAT_DROP_QUEUE);
	due = line_due(l, c, due);
	if (due.us <= n->now.us) {
		n->emit(n->arg, to, p, len);
		return;
	}
	d = l->count < NAT_DELAYED_MAX ? malloc(sizeof(*d) + len) : NULL;
	if (d == NULL)
		return nat_drop(n, NAT_DROP_QUEUE);
	d->due = due;
	d->n = len;
	memcpy(d->packet, p, len);
	line_insert(l, d);
}

void
line_send(struct nat *n, enum nat_side to, const uint8_t *p, size_t len)
{
	const struct nat_line *c =
	    to == NAT_OUTSIDE ? &n->config.line_out : &n->config.line_in;
	uint64_t *rng = &n->lines[to].rng;

	if (rng_happens(rng, c->loss))
		return nat_drop(n, NAT_DROP_LOSS);
	line_put(n, to, p, len);
	if (rng_happens(rng, c->dup))
		line_put(n, to, p, len);
}

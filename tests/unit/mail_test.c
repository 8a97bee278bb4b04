/* mail: order, one wake-up, and what goes when a mailbox is full. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "relayd/mail.h"
#include "tests/tap.h"

static bool
is_readable(const struct mailbox *box)
{
	struct pollfd p = {box->wake_fd, POLLIN, 0};

	return poll(&p, 1, 0) == 1;
}

static bool
add(struct outbox *out, enum mail_kind kind, uint64_t id, const void *body,
    size_t len)
{
	struct mail m = {.kind = kind, .id = id, .len = (uint32_t)len};

	m.key.b[0] = (uint8_t)id;
	return outbox_add(out, &m, body);
}

/* Posts a batch of n packets of len bytes, a note before and one behind. */
static size_t
post_batch(struct mailbox *box, uint64_t first, int n, size_t len)
{
	struct outbox out = {NULL};
	uint8_t *body = calloc(1, len);

	add(&out, MAIL_UP, first, NULL, 0);
	for (int i = 0; i < n; i++)
		add(&out, MAIL_PACKET, first, body, len);
	add(&out, MAIL_DOWN, first, NULL, 0);
	free(body);
	return mailbox_post(box, &out);
}

struct tally {
	size_t batches, notes, packets;
	bool in_order; /* ids do not fall */
};

static struct tally
take(struct mailbox *box)
{
	struct tally t = {.in_order = true};
	struct batches batches;
	struct batch *b;
	uint64_t last = 0;

	mailbox_take(box, &batches);
	while ((b = STAILQ_FIRST(&batches)) != NULL) {
		STAILQ_REMOVE_HEAD(&batches, link);
		t.batches++;
		for (const struct mail *m = batch_next(b, NULL); m != NULL;
		     m = batch_next(b, m)) {
			t.in_order &= m->id >= last;
			last = m->id;
			t.packets += m->kind == MAIL_PACKET;
			t.notes += m->kind != MAIL_PACKET;
		}
		free(b);
	}
	return t;
}

static void
test_items(void)
{
	static const char body[] = "0123456789abcdef";
	struct outbox out = {NULL};
	struct mail m = {.kind = MAIL_PACKET,
	    .worker = 3,
	    .id = 4,
	    .stamp = 5,
	    .key = {{7}},
	    .src = {{8}}};
	const struct mail *got = NULL;
	bool same = true, aligned = true;

	ok(!outbox_is_full(&out), "an empty outbox is not full");
	for (m.len = 0; m.len <= 16; m.len++) {
		same &= outbox_add(&out, &m, m.len == 0 ? NULL : body);
		aligned &= m.size % 8 == 0 && m.size >= sizeof(m) + m.len &&
		    m.size < sizeof(m) + m.len + 8;
	}
	ok(same && aligned, "items of 0 to 16 bytes, padded to 8");
	for (uint32_t len = 0; len <= 16; len++) {
		got = batch_next(out.batch, got);
		if (got == NULL)
			break;
		same &= got->len == len && got->worker == 3 && got->id == 4 &&
		    got->stamp == 5 && got->key.b[0] == 7 &&
		    got->src.b[0] == 8 &&
		    memcmp(mail_body(got), body, len) == 0;
		aligned &= (uintptr_t)got % _Alignof(struct mail) == 0;
	}
	ok(got != NULL && same, "all come back as they went in");
	ok(aligned, "each where its fields may be read");
	ok(got != NULL && batch_next(out.batch, got) == NULL, "and no more");
	eq_int((int64_t)out.batch->npackets, 17, "all are packets");
	eq_int((int64_t)out.batch->packets, (int64_t)out.batch->n,
	    "and all the bytes theirs");
	free(out.batch);
}

static void
test_full(void)
{
	struct outbox out = {NULL};
	struct mail m = {.kind = MAIL_PACKET, .len = 65536};
	uint8_t *body = calloc(1, m.len);
	int n = 0;

	while (!outbox_is_full(&out) && n < 100) {
		outbox_add(&out, &m, body);
		n++;
	}
	eq_int(n, 4, "full at 256 KiB");
	ok(outbox_add(&out, &m, body) && out.batch->npackets == 5,
	    "but still takes what comes");
	free(body);
	free(out.batch);
}

static void
test_post(void)
{
	struct mailbox box;
	struct outbox none = {NULL}, out = {NULL};
	struct tally t;

	eq_int(mailbox_init(&box), 0, "a mailbox");
	ok(!is_readable(&box), "is silent");
	eq_int((int64_t)mailbox_post(&box, &none), 0, "nothing is posted");
	ok(!is_readable(&box), "and nobody woken");
	add(&out, MAIL_UP, 1, NULL, 0);
	eq_int((int64_t)mailbox_post(&box, &out), 0, "a note");
	ok(out.batch == NULL, "the outbox is empty again");
	ok(is_readable(&box), "it wakes the receiver");
	post_batch(&box, 2, 3, 100);
	post_batch(&box, 3, 3, 100);
	ok(box.packets >= 600 &&
		box.packets < 600 + 6 * 2 * sizeof(struct mail),
	    "packet bytes are counted, notes are not");
	t = take(&box);
	ok(t.batches == 3 && t.notes == 5 && t.packets == 6 && t.in_order,
	    "everything, oldest first");
	ok(!is_readable(&box) && box.packets == 0, "silent again");
	t = take(&box);
	eq_int((int64_t)t.batches, 0, "nothing twice");
	post_batch(&box, 4, 1, 1);
	ok(is_readable(&box), "woken anew");
	post_batch(&box, 5, 1, 1);
	mailbox_clear(&box);
	ok(true, "cleared with mail in it");
}

/* Batches of about 1 MiB until the oldest lose their packets. */
static void
test_overflow(void)
{
	const size_t each = 16 * (sizeof(struct mail) + 65536);
	const size_t fit = MAILBOX_MAX / each;
	struct mailbox box;
	struct tally t;
	size_t dropped = 0;

	mailbox_init(&box);
	for (uint64_t i = 1; i <= fit; i++)
		dropped += post_batch(&box, i, 16, 65536);
	eq_int((int64_t)dropped, 0, "32 MiB fit");
	ok(box.packets == fit * each, "and are counted");
	eq_int((int64_t)post_batch(&box, fit + 1, 16, 65536), 16,
	    "one batch more: the packets of one go");
	ok(box.packets == fit * each, "and are counted no more");
	eq_int((int64_t)post_batch(&box, fit + 2, 32, 65536), 32,
	    "one of twice the size: those of two");
	eq_int((int64_t)post_batch(&box, fit + 3, 0, 1), 0,
	    "notes alone push nothing out");
	t = take(&box);
	eq_int((int64_t)t.batches, (int64_t)fit + 3, "all batches are there");
	eq_int((int64_t)t.notes, 2 * ((int64_t)fit + 3), "every note");
	eq_int((int64_t)t.packets, 16 * (int64_t)fit, "the newest packets");
	ok(t.in_order, "in order");
	eq_int((int64_t)post_batch(&box, 1, 16, 65536), 0, "room again");
	take(&box);
	mailbox_clear(&box);
}

/* Whose packets are gone is known from their ids. */
static void
test_oldest_go(void)
{
	struct mailbox box;
	struct batches batches;
	struct batch *b;
	uint64_t first = 0;
	bool bare = true;

	mailbox_init(&box);
	for (uint64_t i = 1; i <= 40; i++)
		post_batch(&box, i, 16, 65536);
	mailbox_take(&box, &batches);
	while ((b = STAILQ_FIRST(&batches)) != NULL) {
		const struct mail *m = batch_next(b, NULL);

		STAILQ_REMOVE_HEAD(&batches, link);
		if (b->npackets > 0 && first == 0)
			first = m->id;
		if (b->npackets == 0)
			bare &= first == 0 && b->packets == 0 &&
			    m->kind == MAIL_UP &&
			    batch_next(b, m)->kind == MAIL_DOWN &&
			    batch_next(b, batch_next(b, m)) == NULL;
		free(b);
	}
	ok(bare, "the old batches hold their two notes");
	eq_int((int64_t)first, 10, "the last 31 their packets");
	mailbox_clear(&box);
}

/* Batches without a note have nothing left to say when their packets go. */
static void
test_bare_go(void)
{
	struct mailbox box;
	struct outbox out;
	struct tally t;
	uint8_t *body = calloc(1, 65536);
	size_t dropped = 0;

	mailbox_init(&box);
	for (uint64_t i = 1; i <= 100; i++) {
		out.batch = NULL;
		if (i == 50)
			add(&out, MAIL_SPOKE, i, NULL, 0);
		for (int j = 0; j < 16; j++)
			add(&out, MAIL_PACKET, i, body, 65536);
		dropped += mailbox_post(&box, &out);
	}
	free(body);
	eq_int((int64_t)dropped, 16 * 69, "the packets of 69 batches");
	t = take(&box);
	ok(t.batches == 32 && t.packets == 16 * 31 && t.notes == 1 &&
		t.in_order,
	    "31 batches are left, and one note before them");
	mailbox_clear(&box);
}

/* ---- two threads ---- */

enum { POSTS = 20000 };

static void *
post_many(void *arg)
{
	struct mailbox *box = arg;

	for (uint64_t i = 1; i <= POSTS; i++)
		post_batch(box, i, 1, 40);
	return NULL;
}

/* A receiver that sleeps until it is woken misses nothing. */
static void
test_threads(void)
{
	struct mailbox box;
	struct tally t;
	size_t notes = 0, packets = 0;
	bool woken = true, in_order = true;
	pthread_t thread;

	mailbox_init(&box);
	pthread_create(&thread, NULL, post_many, &box);
	while (notes < 2 * POSTS && woken) {
		struct pollfd p = {box.wake_fd, POLLIN, 0};

		woken = poll(&p, 1, 20000) == 1;
		t = take(&box);
		notes += t.notes;
		packets += t.packets;
		in_order &= t.in_order;
	}
	pthread_join(thread, NULL);
	ok(woken && notes == 2 * POSTS && packets == POSTS,
	    "20000 batches, no wake-up lost");
	ok(in_order, "in order");
	mailbox_clear(&box);
}

int
main(void)
{
	test_items();
	test_full();
	test_post();
	test_overflow();
	test_oldest_go();
	test_bare_go();
	test_threads();
	return tap_done();
}

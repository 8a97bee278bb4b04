/* queue: order, bounds, who must go, and that no account is left over. */
#include <stdlib.h>

#include "relayd/queue.h"
#include "tests/tap.h"

/* A packet of len bytes whose first byte is its number. */
static struct packet *
packet(uint8_t number, uint8_t source, uint32_t len, int64_t queued)
{
	struct packet *p = calloc(1, sizeof(*p) + len);

	p->len = p->size = len;
	p->source = source;
	p->queued.us = queued;
	p->bytes[0] = number;
	return p;
}

/* The number of a packet that was given, which is freed; -1: none. */
static int
number(struct packet *p)
{
	int n = p == NULL ? -1 : p->bytes[0];

	free(p);
	return n;
}

static int64_t
bytes_of(const struct queue *q)
{
	int64_t sum = 0;

	for (int i = 0; i < QUEUE_CLASSES; i++)
		sum += (int64_t)q->lanes[i].bytes;
	return sum;
}

static bool
is_clean(const struct queue *q)
{
	for (int i = 0; i < QUEUE_CLASSES; i++)
		if (q->lanes[i].count != 0 || q->lanes[i].bytes != 0 ||
		    !TAILQ_EMPTY(&q->lanes[i].packets))
			return false;
	return q->sources == NULL && queue_is_empty(q);
}

static void
test_empty(void)
{
	const struct queue_limits limits = {10, 1000, 1};
	struct queue q;
	bool none = true;

	queue_init(&q);
	ok(is_clean(&q), "a new queue is empty");
	ok(queue_pop(&q, SIZE_MAX) == NULL, "nothing to pop");
	ok(queue_pop_aged(&q, (struct mono){INT64_MAX}, &limits) == NULL,
	    "nothing is old");
	for (int i = 0; i < QUEUE_CLASSES; i++)
		none &= queue_evict(&q, (enum queue_class)i) == NULL &&
		    !queue_is_full(&q, (enum queue_class)i, 1000, &limits);
	ok(none, "nothing to evict, nothing full");
}

static void
test_order(void)
{
	struct queue q;

	queue_init(&q);
	queue_push(&q, QUEUE_DATA, packet(1, 0, 10, 1));
	queue_push(&q, QUEUE_DISCO, packet(2, 0, 10, 1));
	queue_push(&q, QUEUE_DATA, packet(3, 0, 10, 1));
	queue_push(&q, QUEUE_CONTROL, packet(4, 0, 10, 1));
	queue_push(&q, QUEUE_DISCO, packet(5, 0, 10, 1));
	queue_push(&q, QUEUE_CONTROL, packet(6, 0, 10, 1));
	eq_int(bytes_of(&q), 60, "bytes of all classes");
	eq_int(number(queue_pop(&q, 99)), 4, "control first");
	eq_int(number(queue_pop(&q, 99)), 6, "in order");
	eq_int(number(queue_pop(&q, 99)), 2, "then disco");
	queue_push(&q, QUEUE_CONTROL, packet(7, 0, 10, 1));
	eq_int(number(queue_pop(&q, 99)), 7, "control overtakes");
	eq_int(number(queue_pop(&q, 99)), 5, "disco goes on");
	eq_int(number(queue_pop(&q, 99)), 1, "data last");
	ok(!queue_is_empty(&q), "one is left");
	eq_int(number(queue_pop(&q, 99)), 3, "the last");
	ok(is_clean(&q), "empty again");
}

static void
test_room(void)
{
	struct queue q;

	queue_init(&q);
	queue_push(&q, QUEUE_CONTROL, packet(1, 0, 100, 1));
	queue_push(&q, QUEUE_DATA, packet(2, 0, 10, 1));
	eq_int(number(queue_pop(&q, 99)), -1, "99 bytes are not enough");
	eq_int(bytes_of(&q), 110, "no smaller one overtakes");
	eq_int(number(queue_pop(&q, 100)), 1, "100 are");
	eq_int(number(queue_pop(&q, 0)), -1, "no room, no packet");
	eq_int(number(queue_pop(&q, 10)), 2, "the next");
	ok(is_clean(&q), "empty again");
}

/* Bounds and accounts are of memory, room is of bytes on the wire. */
static void
test_size(void)
{
	const struct queue_limits limits = {99, 2000, 0};
	struct packet *p = packet(1, 0, 50, 1);
	struct queue q;

	queue_init(&q);
	p->size = 1800;
	queue_push(&q, QUEUE_DATA, p);
	ok(!queue_is_full(&q, QUEUE_DATA, 200, &limits) &&
		queue_is_full(&q, QUEUE_DATA, 201, &limits),
	    "a small frame in large memory fills a class");
	eq_int(number(queue_pop(&q, 50)), 1, "but needs little room");
	for (uint8_t i = 0; i < 70; i++) {
		p = packet(i, i < 60 ? 1 : 2, 50, 1);
		p->size = i < 60 ? 50 : 1800;
		queue_push(&q, QUEUE_DATA, p);
	}
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 60,
	    "the loudest is who takes most memory");
	while (number(queue_pop(&q, 50)) != -1)
		;
	ok(is_clean(&q), "empty again");
}

static void
test_bounds(void)
{
	const struct queue_limits limits = {3, 100, 0};
	struct queue q;

	queue_init(&q);
	ok(!queue_is_full(&q, QUEUE_DATA, 5000, &limits),
	    "an empty class takes one packet of any size");
	queue_push(&q, QUEUE_DATA, packet(1, 0, 40, 1));
	ok(!queue_is_full(&q, QUEUE_DATA, 60, &limits), "100 bytes fit");
	ok(queue_is_full(&q, QUEUE_DATA, 61, &limits), "101 do not");
	ok(!queue_is_full(&q, QUEUE_DISCO, 61, &limits) &&
		!queue_is_full(&q, QUEUE_CONTROL, 61, &limits),
	    "each class has its own bound");
	queue_push(&q, QUEUE_DATA, packet(2, 0, 1, 1));
	ok(!queue_is_full(&q, QUEUE_DATA, 1, &limits), "a third packet fits");
	queue_push(&q, QUEUE_DATA, packet(3, 0, 1, 1));
	ok(queue_is_full(&q, QUEUE_DATA, 1, &limits), "a fourth does not");
	ok(queue_is_full(&q, QUEUE_DATA, 0, &limits), "not even an empty one");
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 1, "the oldest goes");
	ok(!queue_is_full(&q, QUEUE_DATA, 98, &limits), "and makes room");
	eq_int(number(queue_evict(&q, QUEUE_DISCO)), -1,
	    "a class gives only its own");
	number(queue_pop(&q, 99));
	number(queue_pop(&q, 99));
	ok(is_clean(&q), "empty again");
}

/* The other classes go by age alone, however long they are. */
static void
test_evict_oldest(void)
{
	struct queue q;

	queue_init(&q);
	for (int i = 0; i < 200; i++) {
		uint8_t loud = i % 10 != 0;

		queue_push(&q, QUEUE_DISCO, packet((uint8_t)i, loud, 99, 1));
		queue_push(&q, QUEUE_CONTROL, packet((uint8_t)i, loud, 99, 1));
	}
	eq_int(number(queue_evict(&q, QUEUE_DISCO)), 0, "the oldest of disco");
	eq_int(number(queue_evict(&q, QUEUE_CONTROL)), 0, "and of control");
	ok(q.sources == NULL, "no account is kept of them");
	for (int i = 1; i < 200; i++) {
		number(queue_evict(&q, QUEUE_DISCO));
		number(queue_evict(&q, QUEUE_CONTROL));
	}
	ok(is_clean(&q), "empty again");
}

/* One loud source among quiet ones: its packets go, theirs stay. */
static void
test_evict_loudest(void)
{
	struct queue q;
	bool loud = true;

	queue_init(&q);
	/* Quiet ones first: they are the oldest. */
	for (uint8_t i = 0; i < 31; i++)
		queue_push(&q, QUEUE_DATA, packet(i, i, 100, 1));
	for (uint8_t i = 100; i < 200; i++)
		queue_push(&q, QUEUE_DATA, packet(i, 31, 50, 1));
	ok(q.sources != NULL, "a long lane keeps account");
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 100,
	    "the oldest of the loudest goes");
	for (int i = 101; i < 198; i++)
		loud &= number(queue_evict(&q, QUEUE_DATA)) == i;
	ok(loud, "until it has no more than others");
	/* 100 bytes each now: the first source of them. */
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 0, "then anyone's");
	for (int i = 1; i < 31; i++)
		loud &= number(queue_pop(&q, 100)) == i;
	ok(loud, "the quiet ones are all there, in order");
	eq_int(number(queue_pop(&q, 100)), 198, "and some of the loud one");
	eq_int(number(queue_pop(&q, 100)), 199, "to its last");
	ok(is_clean(&q), "the account is gone with the last packet");
}

/* Bytes count, not packets. */
static void
test_evict_bytes(void)
{
	struct queue q;

	queue_init(&q);
	for (uint8_t i = 0; i < 70; i++)
		queue_push(&q, QUEUE_DATA, packet(i, 1, 10, 1));
	queue_push(&q, QUEUE_DATA, packet(100, 2, 701, 1));
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 100,
	    "one of 701 bytes before 70 of 10");
	eq_int(number(queue_evict(&q, QUEUE_DATA)), 0, "then those");
	while (number(queue_pop(&q, 999)) != -1)
		;
	ok(is_clean(&q), "empty again");
}

/* The account begins at the 64th packet, with those that wait already. */
static void
test_account(void)
{
	struct queue q;

	queue_init(&q);
	for (uint8_t i = 0; i < 63; i++)
		queue_push(&q, QUEUE_DATA, packet(i, i < 10 ? 1 : 2, 10, 1));
	ok(q.sources == NULL, "63 packets need none");
	queue_push(&q, QUEUE_DATA, packet(63, 1, 10, 1));
	ok(q.sources != NULL && q.sources[1].bytes == 110 &&
		q.sources[2].bytes == 530,
	    "64 do, and all are in it");
	number(queue_pop(&q, 10));
	ok(q.sources != NULL && q.sources[1].bytes == 100,
	    "it stays when the lane is shorter");
	queue_push(&q, QUEUE_DATA, packet(64, 3, 7, 1));
	ok(q.sources[3].bytes == 7, "and goes on");
	while (number(queue_evict(&q, QUEUE_DATA)) != -1)
		;
	ok(is_clean(&q), "empty again");
}

static void
test_age(void)
{
	const struct queue_limits limits = {99, 9999, 1000};
	const struct queue_limits never = {99, 9999, 0};
	struct queue q;

	queue_init(&q);
	queue_push(&q, QUEUE_CONTROL, packet(1, 0, 10, 5000));
	queue_push(&q, QUEUE_DATA, packet(2, 0, 10, 5000));
	queue_push(&q, QUEUE_DISCO, packet(3, 0, 10, 5000));
	queue_push(&q, QUEUE_DATA, packet(4, 0, 10, 5001));
#define AGED(t, l) number(queue_pop_aged(&q, (struct mono){t}, &(l)))
	eq_int(AGED(6000, limits), -1, "as old as the limit is not too old");
	eq_int(AGED(99999, never), -1, "no limit, no age");
	eq_int(AGED(6001, limits), 3, "disco that is older");
	eq_int(AGED(6001, limits), 2, "data that is older");
	eq_int(AGED(6001, limits), -1, "the rest is young");
	eq_int(AGED(6002, limits), 4, "until a moment later");
	eq_int(AGED(INT64_MAX, limits), -1, "control never ages");
	eq_int(number(queue_pop(&q, 10)), 1, "it is still there");
	ok(is_clean(&q), "empty again");
}

/* ---- a model: one array, searched from its beginning ---- */

enum { MODEL_MAX = 400 };

struct model {
	struct {
		enum queue_class class;
		uint8_t source;
		uint32_t len, serial;
		int64_t queued;
	} v[MODEL_MAX];
	size_t n;
	bool account;
};

static uint32_t
serial_of(struct packet *p)
{
	uint32_t serial = 0;

	if (p != NULL)
		memcpy(&serial, p->bytes, sizeof(serial));
	free(p);
	return serial;
}

static size_t
lane_count(const struct model *m, enum queue_class class)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->v[i].class == class;
	return n;
}

/* Takes v[i] out and returns its serial; 0 for i = n. */
static uint32_t
model_take(struct model *m, size_t i)
{
	uint32_t serial;

	if (i == m->n)
		return 0;
	serial = m->v[i].serial;
	memmove(&m->v[i], &m->v[i + 1], (m->n - i - 1) * sizeof(m->v[0]));
	m->n--;
	if (lane_count(m, QUEUE_DATA) == 0)
		m->account = false;
	return serial;
}

static size_t
model_first(const struct model *m, enum queue_class class)
{
	size_t i = 0;

	while (i < m->n && m->v[i].class != class)
		i++;
	return i;
}

static uint32_t
model_evict(struct model *m, enum queue_class class)
{
	size_t by[QUEUE_SOURCES] = {0}, loudest = 0, i = model_first(m, class);

	if (class != QUEUE_DATA || !m->account)
		return model_take(m, i);
	for (size_t j = 0; j < m->n; j++)
		if (m->v[j].class == class)
			by[m->v[j].source] += m->v[j].len;
	for (size_t j = 0; j < QUEUE_SOURCES; j++)
		if (by[j] > by[loudest])
			loudest = j;
	while (m->v[i].class != class || m->v[i].source != loudest)
		i++;
	return model_take(m, i);
}

static uint32_t
model_pop(struct model *m, size_t room)
{
	for (int c = 0; c < QUEUE_CLASSES; c++) {
		size_t i = model_first(m, (enum queue_class)c);

		if (i < m->n)
			return m->v[i].len <= room ? model_take(m, i) : 0;
	}
	return 0;
}

static uint32_t
model_aged(struct model *m, int64_t now, int64_t age)
{
	for (int c = QUEUE_DISCO; c < QUEUE_CLASSES; c++) {
		size_t i = model_first(m, (enum queue_class)c);

		if (i < m->n && now - m->v[i].queued > age)
			return model_take(m, i);
	}
	return 0;
}

static void
push_both(struct model *m, struct queue *q, unsigned *rnd, int64_t now)
{
	static uint32_t serial;
	enum queue_class class = (enum queue_class)(rand_r(rnd) % 3);
	/* Half of all from one source. */
	uint8_t source =
	    rand_r(rnd) % 2 ? 5 : (uint8_t)(rand_r(rnd) % QUEUE_SOURCES);
	uint32_t len = 4 + (uint32_t)(rand_r(rnd) % 100);
	struct packet *p = packet(0, source, len, now);

	serial++;
	memcpy(p->bytes, &serial, sizeof(serial));
	queue_push(q, class, p);
	m->v[m->n].class = class;
	m->v[m->n].source = source;
	m->v[m->n].len = len;
	m->v[m->n].serial = serial;
	m->v[m->n++].queued = now;
	if (class == QUEUE_DATA && lane_count(m, class) >= 64)
		m->account = true;
}

static void
test_model(void)
{
	const struct queue_limits limits = {99, 9999, 300};
	static struct model m;
	struct queue q;
	unsigned rnd = 3;
	int64_t now = 1000;
	bool same = true;

	queue_init(&q);
	for (int step = 0; step < 60000 && same; step++) {
		bool fill = step / 1000 % 2 == 0;
		int what = rand_r(&rnd) % (fill ? 5 : 4);
		size_t room = (size_t)(rand_r(&rnd) % 150);

		now += rand_r(&rnd) % 3;
		if (what == 0)
			same = serial_of(queue_pop(&q, room)) ==
			    model_pop(&m, room);
		else if (what == 1)
			same = serial_of(queue_evict(&q, QUEUE_DATA)) ==
			    model_evict(&m, QUEUE_DATA);
		else if (what == 2 && rand_r(&rnd) % 4 == 0)
			same = serial_of(queue_pop_aged(&q, (struct mono){now},
				   &limits)) == model_aged(&m, now, 300);
		else if (m.n < MODEL_MAX && (fill || what == 3))
			push_both(&m, &q, &rnd, now);
		same &= (q.sources != NULL) == m.account;
	}
	ok(same, "60000 random operations as the naive list");
	while (serial_of(queue_pop(&q, SIZE_MAX)) != 0)
		;
	ok(is_clean(&q), "empty again");
}

int
main(void)
{
	test_empty();
	test_order();
	test_room();
	test_size();
	test_bounds();
	test_evict_oldest();
	test_evict_loudest();
	test_evict_bytes();
	test_account();
	test_age();
	test_model();
	return tap_done();
}

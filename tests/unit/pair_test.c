/*
 * pair: two hosts on a network that loses, repeats, delays and remembers
 * everything; restarts and clocks that jump. What must hold: a request is
 * taken at most once and as it was sent, no nonce is used twice, and once the
 * network is calm both hosts are up.
 */
#include <stdlib.h>

#include <sodium.h>

#include "pure/cursor.h"
#include "stund/pair.h"
#include "tests/tap.h"

#define HISTORY_MAX 20000
#define SECOND	    INT64_C(1000000)

/* A datagram that a host sent, in the order of sending. */
struct sent {
	uint8_t b[PAIR_DATAGRAM_MAX];
	size_t n;
	int from; /* host 0 or 1 */
};

static struct sent history[HISTORY_MAX];
static size_t n_history;
static uint64_t rng; /* splitmix64 */

static struct pair host[2];
static struct mono now;
static unsigned starts; /* each draws another seed */
static struct pair_request taken; /* the last request that came through */
static unsigned n_taken;

static const struct key shared = {{1, 2, 3}};
static const struct pair_site sites[2] = {
    {{true, false}, {{[10] = 0xff, 0xff, 192, 0, 2, 1}}, {3478, 3479}},
    {{true, false}, {{[10] = 0xff, 0xff, 192, 0, 2, 2}}, {3478, 3479}},
};

static uint64_t
draw(uint64_t below)
{
	uint64_t z = rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static void
start_with(int h, const struct key *k, const struct pair_site *site)
{
	uint8_t seed[PAIR_SEED_LEN] = {0};

	starts++;
	seed[0] = (uint8_t)starts;
	seed[1] = (uint8_t)(starts >> 8);
	pair_init(&host[h], k, seed, site);
}

static void
start(int h)
{
	start_with(h, &shared, &sites[h]);
}

/* Both hosts as if just installed; nothing was ever said. */
static void
begin(void)
{
	n_history = 0;
	n_taken = 0;
	now = (struct mono){1000 * SECOND};
	start(0);
	start(1);
}

static struct sent *
record(int from)
{
	struct sent *s = &history[n_history];

	if (n_history + 1 == HISTORY_MAX)
		abort();
	s->from = from;
	return s;
}

/* Records what host h has to say now; returns how many that were. */
static size_t
poll(int h)
{
	size_t before = n_history;

	for (;;) {
		struct sent *s = record(h);

		s->n = pair_poll(&host[h], now, s->b);
		if (s->n == 0)
			return n_history - before;
		n_history++;
	}
}

static enum pair_verdict
give(int h, const uint8_t *p, size_t n)
{
	struct pair_request q;
	enum pair_verdict v = pair_receive(&host[h], p, n, now, &q);

	if (v == PAIR_GOT_REQUEST) {
		taken = q;
		n_taken++;
	}
	poll(h);
	return v;
}

static enum pair_verdict
play(const struct sent *s)
{
	return give(1 - s->from, s->b, s->n);
}

/* Delivers all from history[at] on, and what is said to it. */
static void
settle(size_t at)
{
	for (; at < n_history; at++)
		play(&history[at]);
}

/* So many seconds on a network without fault. */
static void
calm(int seconds)
{
	for (int i = 0; i < seconds; i++) {
		size_t at = n_history;

		now = mono_add_us(now, SECOND);
		poll(0);
		poll(1);
		settle(at);
	}
}

static bool
both(enum pair_state state)
{
	return pair_state(&host[0], now) == state &&
	    pair_state(&host[1], now) == state;
}

static const struct pair_request a_request = {.magic = STUN_COOKIE,
    .txid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    .client = {{[10] = 0xff, 0xff, 198, 51, 100, 7}, 40000},
    .to_port = 40001,
    .came_to = 0,
    .from = 1,
    .want = 0xa5,
    .request_len = 548,
    .extras_max = 176};

static struct sent *
ask(int h)
{
	struct sent *s = record(h);

	s->n = pair_ask(&host[h], &a_request, s->b);
	if (s->n > 0)
		n_history++;
	return s->n > 0 ? s : NULL;
}

/* ---- the tests ---- */

static void
test_begin(void)
{
	begin();
	ok(both(PAIR_DOWN), "down at first");
	ok(ask(0) == NULL, "and nothing can be asked");
	ok(pair_other(&host[0], PAIR_V4, now) == NULL, "no other address");
	poll(0);
	settle(0);
	ok(both(PAIR_UP), "one begins: both are up without waiting");
	eq_mem(pair_other(&host[0], PAIR_V4, now), sites[1].ip[PAIR_V4], 16,
	    "the partner's address is known");
	ok(pair_other(&host[0], PAIR_V6, now) == NULL,
	    "and none in the other family");

	begin();
	poll(0);
	poll(1);
	settle(0);
	ok(both(PAIR_UP), "both begin at once");
	eq_int(host[0].session.send.b[0], host[1].session.receive.b[0],
	    "in the same session");
	calm(3);
	ok(both(PAIR_UP), "and stay");
	ok(host[0].rtt_us == 0, "the round trip is measured");
}

static void
test_request(void)
{
	struct sent *s;

	begin();
	calm(1);
	s = ask(0);
	eq_int(play(s), PAIR_GOT_REQUEST, "a request is handed over");
	eq_int(taken.magic, STUN_COOKIE, "with its cookie");
	eq_mem(taken.txid.b, a_request.txid.b, STUN_TXID_LEN, "its id");
	eq_mem(&taken.client, &a_request.client, sizeof(taken.client),
	    "its client");
	eq_int(taken.to_port, 40001, "the port to answer to");
	eq_int(taken.came_to, 0, "the port that it came to");
	eq_int(taken.from, 1, "the port to answer from");
	eq_int(taken.want, 0xa5, "what it wants");
	eq_int(taken.request_len, 548, "its length");
	eq_int(taken.extras_max, 176, "the longest answer");
	s = ask(1);
	eq_int(play(s), PAIR_GOT_REQUEST, "the other way, too");
}

static bool
same_session(const struct pair *a, const struct pair *b)
{
	return key_equal(&a->session.send, &b->session.send) &&
	    a->session.top == b->session.top &&
	    a->session.seen == b->session.seen;
}

static void
test_tampered(void)
{
	enum pair_verdict v;
	size_t n, changed = 0, harmless = 0;
	struct pair before;

	begin();
	calm(1);
	ask(0);
	ask(1);
	n = n_history;
	for (size_t i = 0; i < n; i++)
		for (size_t bit = 0; bit < history[i].n * 8; bit++) {
			struct sent s = history[i];

			s.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			before = host[1 - s.from];
			v = play(&s);
			harmless += v >= PAIR_FOREIGN;
			changed += !same_session(&before, &host[1 - s.from]);
		}
	ok(harmless > 1000, "bits of every kind of datagram were changed");
	eq_int(changed, 0, "no session knows of it");
	eq_int(n_taken, 0, "no request came of it");
	eq_int(n_history, n, "and nobody said a word");
	eq_int(
	    play(&history[n - 2]), PAIR_GOT_REQUEST, "the right one is good");
	for (size_t len = 0; len < history[n - 1].n; len++)
		if (give(0, history[n - 1].b, len) < PAIR_FOREIGN)
			changed++;
	eq_int(changed, 0, "cut at any length");
}

static void
test_replayed(void)
{
	size_t n, good = 0;

	begin();
	calm(1);
	ask(0);
	play(&history[n_history - 1]);
	calm(1);
	n = n_history;
	for (size_t i = 0; i < n; i++) {
		enum pair_verdict v = play(&history[i]);

		good += v < PAIR_FOREIGN && v != PAIR_GOT_HELLO;
	}
	eq_int(good, 0, "nothing sealed is taken twice");
	settle(n);
	eq_int(n_taken, 1, "least of all a request");
	ok(both(PAIR_UP), "and both are still up");
	good = 0;
	for (size_t i = 0; i < n; i++) {
		enum pair_verdict v =
		    give(history[i].from, history[i].b, history[i].n);

		good += v < PAIR_FOREIGN && v != PAIR_GOT_HELLO;
	}
	settle(n);
	eq_int(good, 0, "sent back to its sender it is nothing either");
	ok(n_taken == 1 && both(PAIR_UP), "and changes nothing");
}

static void
test_window(void)
{
	struct sent *s[200];
	unsigned fresh = 0, again = 0;

	begin();
	calm(1);
	for (int i = 0; i < 200; i++)
		s[i] = ask(0);
	eq_int(play(s[99]), PAIR_GOT_REQUEST, "one overtakes 99 others");
	for (int i = 98; i >= 36; i--)
		fresh += play(s[i]) == PAIR_GOT_REQUEST;
	eq_int(fresh, 63, "63 before it are good");
	eq_int(play(s[35]), PAIR_REPLAYED, "what is older is not");
	for (int i = 36; i <= 99; i++)
		again += play(s[i]) == PAIR_REPLAYED;
	eq_int(again, 64, "each only once");
	eq_int(play(s[163]), PAIR_GOT_REQUEST, "64 on: all others go");
	eq_int(play(s[99]), PAIR_REPLAYED, "they are too old then");
	eq_int(play(s[100]), PAIR_GOT_REQUEST, "but not one behind it");
}

static void
test_restart(void)
{
	size_t old, at;
	bool up = true;

	for (int which = 1; which <= 3; which++) {
		begin();
		calm(2);
		ask(0);
		ask(1);
		old = n_history;
		for (int h = 0; h < 2; h++)
			if (which >> h & 1)
				start(h);
		for (size_t i = 0; i < old; i++)
			play(&history[i]);
		eq_int(n_taken, which == 3 ? 0 : 1,
		    "requests of the old session reach who was there");
		n_taken = 0;
		calm(1);
		up &= both(PAIR_UP);
		at = n_history;
		for (size_t i = 0; i < old; i++)
			play(&history[i]);
		settle(at);
		calm(1);
		up &= both(PAIR_UP);
		eq_int(n_taken, 0, "and nobody in the new one");
	}
	ok(up, "one restarts, the other, both: up within a second");
}

/* What was said in a session must be dead in the next one also for the host
 * that did not restart. */
static void
test_old_session(void)
{
	size_t old;

	begin();
	calm(1);
	ask(0); /* is held back by somebody */
	old = n_history;
	start(0);
	calm(1);
	ok(both(PAIR_UP), "the sender restarts");
	for (size_t i = 0; i < old; i++)
		play(&history[i]);
	eq_int(n_taken, 0, "its request from before is worthless");
	settle(old);
	calm(2);
	for (size_t i = 0; i < old; i++)
		play(&history[i]);
	eq_int(n_taken, 0, "and stays so");
}

static void
test_wrong_key(void)
{
	const struct key other = {{1, 2, 4}};
	unsigned forged = 0;

	begin();
	start_with(1, &other, &sites[1]);
	for (int i = 0; i < 10; i++) {
		now = mono_add_us(now, SECOND);
		poll(0);
		forged += play(&history[n_history - 1]) == PAIR_FORGED;
	}
	eq_int(forged, 10, "another key: all is forged");
	ok(both(PAIR_DOWN), "and nobody is up");
	start(1);
	calm(1);
	ok(both(PAIR_UP), "until it has the right one");
}

static void
test_silence(void)
{
	begin();
	calm(3);
	for (int i = 0; i < 4; i++) {
		now = mono_add_us(now, SECOND);
		poll(0);
	}
	eq_int(pair_state(&host[0], now), PAIR_UP, "4 s of silence: still up");
	now = mono_add_us(now, SECOND + 1);
	eq_int(pair_state(&host[0], now), PAIR_DOWN, "5 s: down");
	ok(pair_other(&host[0], PAIR_V4, now) == NULL, "no other address");
	calm(1);
	ok(both(PAIR_UP), "it speaks again: up");
}

/* Only one direction works: the deaf host hears nothing and the other gets no
 * answer to its pings, so both must be down. */
static void
test_one_way(void)
{
	begin();
	calm(1);
	for (int i = 0; i < 7; i++) {
		size_t at = n_history;

		now = mono_add_us(now, SECOND);
		poll(0);
		poll(1);
		for (; at < n_history; at++)
			if (history[at].from == 0)
				play(&history[at]);
	}
	ok(both(PAIR_DOWN), "one direction is not enough, for either");
	calm(1);
	ok(both(PAIR_UP), "both are");
}

static void
test_deadline(void)
{
	begin();
	calm(1);
	eq_int(mono_diff_us(now, pair_deadline(&host[0])), PAIR_PING_US,
	    "the next thing is a ping");
	for (int i = 0; i < 4; i++) {
		now = mono_add_us(now, PAIR_PING_US);
		poll(0);
	}
	now = mono_add_us(now, PAIR_PING_US / 2);
	eq_int(poll(0), 0, "before that there is nothing to say");
	now = mono_add_us(now, PAIR_PING_US / 2);
	ok(poll(0) > 0, "then there is");
	eq_int(mono_diff_us(now, pair_deadline(&host[0])), 1,
	    "and when the last answer gets too old, a deadline");
	eq_int(pair_state(&host[0], now), PAIR_UP, "up until it");
	now = pair_deadline(&host[0]);
	eq_int(pair_state(&host[0], now), PAIR_DOWN, "down at it");
}

static void
test_bye(void)
{
	struct sent *s;

	begin();
	calm(1);
	s = record(0);
	s->n = pair_bye(&host[0], s->b);
	n_history++;
	eq_int(play(s), PAIR_GOT_BYE, "who stops says so");
	eq_int(pair_state(&host[1], now), PAIR_DOWN, "and is down at once");
	start(0);
	calm(1);
	ok(both(PAIR_UP), "it starts again");
}

static void
test_unfit(void)
{
	struct pair_site s = sites[1];

	begin();
	s.port[1] = 9;
	start_with(1, &shared, &s);
	calm(1);
	ok(both(PAIR_UNFIT), "other ports: unfit");
	ok(pair_other(&host[0], PAIR_V4, now) == NULL, "and no other address");
	s = sites[0];
	start_with(1, &shared, &s);
	calm(1);
	ok(both(PAIR_UNFIT), "the same address: unfit");
	s = (struct pair_site){.has = {false, true},
	    .ip = {[PAIR_V6] = {0x20, 1}},
	    .port = {3478, 3479}};
	start_with(1, &shared, &s);
	calm(1);
	ok(both(PAIR_UNFIT), "no family in common: unfit");
	s = sites[1];
	s.has[PAIR_V6] = true;
	start_with(1, &shared, &s);
	calm(1);
	ok(both(PAIR_UP), "one family in common is enough");
}

static void
test_clock(void)
{
	struct mono before;

	begin();
	calm(3);
	now = mono_add_us(now, 86400 * SECOND);
	ok(both(PAIR_DOWN), "a day forward: nobody knows");
	calm(1);
	ok(both(PAIR_UP), "the next ping tells");
	before = now;
	now = mono_add_us(now, -3600 * SECOND);
	ok(both(PAIR_DOWN), "an hour back: nobody knows");
	ok(poll(0) > 0, "a ping goes out at once");
	calm(1);
	ok(both(PAIR_UP), "and tells");
	now = before;
	calm(1);
	ok(both(PAIR_UP), "forward again");
}

/* Recorded datagrams with other headers: nobody has the key, so the whole
 * plain text is the partner's own. Sealed by hand here: what it may not say. */
static void
test_malformed(void)
{
	struct pair_request q = a_request;
	struct sent *s;

	begin();
	calm(1);
	q.from = 2;
	s = record(0);
	s->n = pair_ask(&host[0], &q, s->b);
	n_history++;
	eq_int(play(s), PAIR_MALFORMED, "a request from a third port");
	q = a_request;
	q.came_to = 2;
	s = record(0);
	s->n = pair_ask(&host[0], &q, s->b);
	n_history++;
	eq_int(play(s), PAIR_MALFORMED, "or to one");
	q = a_request;
	q.to_port = 0;
	s = record(0);
	s->n = pair_ask(&host[0], &q, s->b);
	n_history++;
	eq_int(play(s), PAIR_MALFORMED, "a request to port 0");
	ok(n_taken == 0 && both(PAIR_UP), "none is taken");
	eq_int(give(1, s->b, PAIR_DATAGRAM_MAX + 1), PAIR_FOREIGN, "too long");
	eq_int(give(1, (const uint8_t *)"", 0), PAIR_FOREIGN, "nothing at all");
}

/* ---- a hostile network ---- */

/* A request says its number, so that each can be told from the others. */
static unsigned asked;
static bool delivered[HISTORY_MAX];
static unsigned twice;

static void
ask_numbered(int h)
{
	struct pair_request q = a_request;
	struct sent *s = record(h);
	struct wr w;

	wr_init(&w, q.txid.b, sizeof(q.txid.b));
	wr_u32(&w, ++asked);
	s->n = pair_ask(&host[h], &q, s->b);
	n_history += s->n > 0;
}

static void
note_delivery(unsigned before)
{
	struct rd r;
	uint32_t number;

	if (n_taken == before)
		return;
	rd_init(&r, taken.txid.b, sizeof(taken.txid.b));
	number = rd_u32(&r);
	twice += delivered[number];
	delivered[number] = true;
}

static void
play_noted(const struct sent *s)
{
	unsigned before = n_taken;

	play(s);
	note_delivery(before);
}

/* Some seconds in which anything may happen to a datagram, and to a host. */
static void
storm(int steps)
{
	for (int i = 0; i < steps; i++) {
		now = mono_add_us(now, (int64_t)draw((uint64_t)SECOND / 2));
		if (draw(40) == 0)
			start((int)draw(2));
		poll((int)draw(2));
		ask_numbered((int)draw(2));
		for (uint64_t k = draw(6); k > 0 && n_history > 0; k--) {
			/* Mostly what is new, sometimes anything ever said. */
			uint64_t back = draw(4) == 0
			    ? draw(n_history)
			    : draw(n_history < 8 ? n_history : 8);

			play_noted(&history[n_history - 1 - back]);
		}
	}
}

static int
compare_headers(const void *a, const void *b)
{
	const struct sent *x = a, *y = b;

	return memcmp(x->b, y->b, 44);
}

/* Type, both ids and the counter name key and nonce. */
static unsigned
nonces_used_twice(void)
{
	unsigned n = 0;

	qsort(history, n_history, sizeof(history[0]), compare_headers);
	for (size_t i = 1; i < n_history; i++)
		n += history[i].b[3] == 2 &&
		    compare_headers(&history[i - 1], &history[i]) == 0 &&
		    memcmp(history[i - 1].b, history[i].b, history[i].n) != 0;
	return n;
}

static void
test_storms(void)
{
	unsigned stuck = 0, nonces = 0, requests = 0;

	twice = 0;
	for (unsigned run = 0; run < 300; run++) {
		rng = run;
		begin();
		asked = 0;
		memset(delivered, 0, sizeof(delivered));
		storm(150);
		requests += n_taken;
		calm(4);
		stuck += !both(PAIR_UP);
		nonces += nonces_used_twice();
	}
	eq_int(twice, 0, "300 storms: no request is taken twice");
	eq_int(stuck, 0, "and after each both are up within 4 s");
	eq_int(nonces, 0, "and no nonce serves two texts");
	ok(requests > 1000, "in spite of which requests came through");
	printf("# %u requests came through\n", requests);
}

int
main(void)
{
	if (sodium_init() == -1)
		return 1;
	test_begin();
	test_request();
	test_tampered();
	test_replayed();
	test_window();
	test_restart();
	test_old_session();
	test_wrong_key();
	test_silence();
	test_one_way();
	test_deadline();
	test_bye();
	test_unfit();
	test_clock();
	test_malformed();
	test_storms();
	return tap_done();
}

/* natprobe_engine_test: which answers count, when asks are sent, and what
 * follows what. */
#include <errno.h>
#include <string.h>

#include "probes/natprobe/nat/engine.h"
#include "tests/tap.h"

#define MS INT64_C(1000)

static struct engine e;
static struct mono now;
static uint8_t last[ENGINE_PACKET_MAX];
static size_t last_len;
static uint16_t last_sock;

static bool ok_wake = true;

static struct stun_addr
v4(uint8_t last_byte, uint16_t port)
{
	return (struct stun_addr){.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
				      0xff, 192, 0, 2, last_byte},
	    .port = port};
}

static void
begin(void)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {1};

	engine_clear(&e);
	now = (struct mono){1000000};
	engine_init(&e, seed, 1000, now);
}

/* Does all that is due; returns how many packets left. */
static unsigned
step(void)
{
	struct stun_addr local = v4(15, 40000);
	struct act act;
	unsigned n = 0;

	while (engine_next(&e, now, &act)) {
		if (act.kind == ACT_OPEN) {
			local.port = (uint16_t)(40000 + act.sock);
			engine_opened(&e, act.sock, &local, now);
			continue;
		}
		memcpy(last, act.p, act.len);
		last_len = act.len;
		last_sock = act.sock;
		now = mono_add_ms(now, 1);
		n++;
	}
	return n;
}

static uint16_t
ask(uint8_t unit, uint16_t sock, uint16_t after)
{
	struct ask q = {.label = {.test = TEST_MAPPING, .unit = unit},
	    .sock = sock,
	    .to = v4(10, 3478),
	    .after = after,
	    .port_of = ASK_NONE};

	return engine_ask(&e, &q, now);
}

static void
answer(uint16_t i, uint16_t sock, struct stun_addr from, bool error)
{
	uint8_t out[128];
	struct stun_addr mapped = v4(99, 5000);
	struct wr w;
	size_t n;

	wr_init(&w, out, sizeof(out));
	stun_begin(&w, error ? STUN_ERROR : STUN_SUCCESS, STUN_BINDING,
	    &e.asks[i].txid);
	if (error)
		stun_put_error(&w, 420);
	else
		stun_put_xor_address(&w, &mapped, &e.asks[i].txid);
	n = stun_end(&w);
	engine_input(&e, sock, &from, out, n, now);
}

static void
test_answers(void)
{
	uint16_t a, s, other;

	begin();
	s = engine_sock(&e, false, 0, 0);
	other = engine_sock(&e, false, 0, 0);
	a = ask(0, s, ASK_NONE);
	eq_int(step(), 1, "an ask is sent");
	answer(a, s, v4(11, 3478), false);
	eq_int(e.asks[a].state, ASK_ASKED, "from another address: waits on");
	answer(a, other, v4(10, 3478), false);
	eq_int(e.asks[a].state, ASK_ASKED, "to another socket: waits on");
	answer(a, s, v4(11, 3478), true);
	eq_int(e.asks[a].state, ASK_ASKED, "an error from elsewhere: waits on");
	answer(a, s, v4(10, 3478), false);
	eq_int(e.asks[a].state, ASK_ANSWERED, "the right one counts");
	eq_int(e.asks[a].mapped.port, 5000, "with what it says");
	answer(a, s, v4(10, 3478), true);
	eq_int(e.asks[a].state, ASK_ANSWERED, "what comes later does not");

	begin();
	s = engine_sock(&e, false, 0, 0);
	other = engine_sock(&e, false, 0, 0);
	a = ask(0, s, ASK_NONE);
	for (int i = 0; i < 4; i++) {
		step();
		answer(a, other, v4(10, 3478), false);
		now = engine_wake(&e);
	}
	step();
	eq_int(e.asks[a].state, ASK_ODD, "to another socket alone: odd");
	ok(!mono_is_set(engine_wake(&e)), "then nothing is left to do");
}

static void
test_port_of(void)
{
	struct ask q = {.label = {.test = TEST_LIFE},
	    .to = v4(10, 3478),
	    .after = ASK_NONE,
	    .port_of = ASK_NONE};
	uint16_t x, y, open, check;

	begin();
	x = engine_sock(&e, false, 0, 0);
	y = engine_sock(&e, false, 0, 0);
	open = ask(0, x, ASK_NONE);
	q.sock = y;
	q.after = open;
	q.port_of = open;
	check = engine_ask(&e, &q, now);
	step();
	answer(open, x, v4(10, 3478), false);
	eq_int(step(), 1, "what comes after is sent");
	eq_int(last_sock, y, "from its own socket");
	answer(check, y, v4(10, 3478), false);
	eq_int(e.asks[check].state, ASK_ASKED, "an answer there says nothing");
	answer(check, x, v4(10, 3478), false);
	eq_int(e.asks[check].state, ASK_ANSWERED, "one to the other counts");
}

static void
test_silence(void)
{
	uint16_t s, a, after, if_silent;
	struct ask q;

	begin();
	s = engine_sock(&e, false, 0, 0);
	a = ask(0, s, ASK_NONE);
	after = ask(1, s, a);
	q = (struct ask){.label = {.test = TEST_MAPPING, .unit = 2},
	    .sock = s,
	    .to = v4(10, 3478),
	    .after = a,
	    .when = ASK_IF_SILENT,
	    .port_of = ASK_NONE};
	if_silent = engine_ask(&e, &q, now);
	while (e.asks[a].state != ASK_SILENT) {
		step();
		if (e.asks[a].state != ASK_SILENT)
			now = engine_wake(&e);
	}
	eq_int(e.asks[a].sends, 4, "four sends, then silence");
	eq_int(
	    e.asks[after].state, ASK_SKIPPED, "what needs an answer: skipped");
	ok(e.asks[if_silent].state != ASK_SKIPPED, "what needs silence: not");
	answer(a, s, v4(10, 3478), false);
	eq_int(e.asks[a].state, ASK_ANSWERED, "a late answer is one");
}

/* Sends of an engine in a second; beside: another part that always wants to
 * send, or NULL. */
static unsigned
sends_of(unsigned rate, struct pacer *pacer, struct pace *beside)
{
	static const uint8_t seed[ENGINE_SEED_LEN] = {2};
	struct act act;
	unsigned sends = 0;

	engine_clear(&e);
	now = (struct mono){1000000};
	engine_init(&e, seed, rate, now);
	e.pace.pacer = pacer;
	for (uint8_t i = 0; i < 30; i++)
		ask(i, engine_sock(&e, false, 0, 0), ASK_NONE);
	for (int ms = 0; ms < 1000; ms++, now = mono_add_ms(now, 1)) {
		if (beside != NULL && pace_ready(beside, now))
			pace_sent(beside, 1, now);
		while (engine_next(&e, now, &act)) {
			struct stun_addr local = v4(15, 40000);

			if (act.kind == ACT_OPEN)
				engine_opened(&e, act.sock, &local, now);
			else
				sends++;
		}
		ok_wake &= engine_wake(&e).us > now.us;
	}
	return sends;
}

static void
test_rate(void)
{
	struct pacer pacer = pacer_new(20, 20);
	struct pace beside = {.pacer = &pacer};

	eq_int(sends_of(10, NULL, NULL), 10,
	    "ten sends in a second, as the rate says");
	eq_int(sends_of(1000, &pacer, NULL), 20, "the pacer holds");
	pacer = pacer_new(20, 20);
	eq_int(sends_of(1000, &pacer, &beside), 10,
	    "and is shared with another part");
	ok(ok_wake, "it never wakes up for nothing");
}

/* Only what this host lacks is an error of it. */
static void
test_not_opened(void)
{
	uint16_t s;

	begin();
	s = engine_sock(&e, false, 0, 0);
	engine_not_opened(&e, s, EADDRINUSE);
	ok(e.socks[s].state == SOCK_FAILED && e.not_opened == 0,
	    "somebody else has the port: no shortage of sockets");
	engine_not_opened(&e, s, EMFILE);
	ok(e.not_opened == 1 && e.not_opened_error == EMFILE,
	    "too many open files: a shortage");
}

static void
test_labels(void)
{
	static const uint8_t random[LABEL_RANDOM_LEN] = {1, 2, 3};
	struct label l = {.test = 7, .unit = 2047, .step = 255}, got;
	struct stun_txid id;
	unsigned foreign = 0;

	label_write(&id, l, random);
	ok(label_read(&id, &got) && label_same(got, l),
	    "a label, there and back");
	for (unsigned i = 0; i < 4096; i++) {
		memset(&id, 0, sizeof(id));
		id.b[0] = (uint8_t)i;
		id.b[1] = (uint8_t)(i >> 8);
		foreign += label_read(&id, &got);
	}
	ok(foreign < 64, "few foreign ids look like ours");
}

int
main(void)
{
	test_answers();
	test_port_of();
	test_silence();
	test_rate();
	test_not_opened();
	test_labels();
	engine_clear(&e);
	return tap_done();
}

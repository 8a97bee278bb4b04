/* meet: two sides of pair mode, joined by buffers, with the clock moved by
 * hand; and what others can do to them. */
#include <sodium.h>
#include <stdlib.h>

#include "probes/natprobe/pair/meet.h"
#include "tests/tap.h"

#define MS	INT64_C(1000)
#define FLIGHT	(10 * MS) /* from one to the other */
#define FLIGHTS 512

enum { A, B, SIDES };

struct flight {
	struct mono at;
	bool relay;
	int to;
	struct stun_addr from;
	uint8_t p[MESSAGE_MAX];
	size_t n;
};

/* Two hosts, a STUN server, a relay. */
struct world {
	struct mono now;
	struct meet m[SIDES];
	bool blocked; /* no UDP between them */
	bool deaf; /* ... from A to B */
	bool relay; /* the relay works */
	bool there[SIDES]; /* at the relay */
	bool stun; /* answers */
	unsigned udp_in_second, most_in_second;
	struct mono second;
	struct flight v[FLIGHTS];
	size_t n;
};

static struct stun_addr
v4(uint8_t a, uint8_t last, uint16_t port)
{
	return (struct stun_addr){
	    {[10] = 0xff, [11] = 0xff, [12] = a, [15] = last}, port};
}

static struct stun_addr
host_of(int side)
{
	return v4(198, (uint8_t)(10 + side), (uint16_t)(4000 + side));
}

static const struct key privs[] = {
    {{8, 1, [31] = 64}}, {{16, 2, [31] = 64}}, {{24, 3, [31] = 64}}};

static struct key
public_of(int i)
{
	struct key k;

	key_public(&k, &privs[i]);
	return k;
}

static void
begin_side(struct world *w, int side, int looks_for)
{
	struct stun_addr server = v4(203, 1, 3478), local = host_of(side);
	struct meet_options o = {.role = side == A ? ROLE_PEER : ROLE_LISTENER,
	    .priv = privs[side],
	    .listener = public_of(looks_for),
	    .servers = &server,
	    .n_servers = 1,
	    .local = &local,
	    .n_local = 1,
	    .rate = 100,
	    .seed = {(uint8_t)(side + 1)}};

	o.bound[0] = v4(0, 0, host_of(side).port);
	meet_init(&w->m[side], &o, w->now);
	if (w->relay)
		meet_relay_up(&w->m[side], w->now);
	w->there[side] = w->relay;
}

static struct world *
world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = (struct mono){1000000};
	w->relay = w->stun = true;
	w->there[B] = true;
	return w;
}

static void
begin(struct world *w)
{
	begin_side(w, A, B);
	begin_side(w, B, B);
}

static void
fly(struct world *w, int to, bool relay, const struct stun_addr *from,
    const uint8_t *p, size_t n)
{
	struct flight *f = &w->v[w->n];

	if (w->n == FLIGHTS)
		abort();
	w->n++;
	*f = (struct flight){
	    .at = mono_add_us(w->now, FLIGHT), .relay = relay, .to = to};
	if (from != NULL)
		f->from = *from;
	memcpy(f->p, p, n);
	f->n = n;
}

static void
answer_stun(struct world *w, int side, const struct meet_act *act)
{
	struct stun_addr mapped = host_of(side);
	struct stun_msg msg;
	uint8_t out[128];
	struct wr r;

	if (!w->stun || stun_parse(&msg, act->p, act->n) != STUN_FORM_OK)
		return;
	wr_init(&r, out, sizeof(out));
	stun_begin(&r, STUN_SUCCESS, STUN_BINDING, &msg.txid);
	stun_put_xor_address(&r, &mapped, &msg.txid);
	fly(w, side, false, &act->to, out, stun_end(&r));
}

static void
do_udp(struct world *w, int side, const struct meet_act *act)
{
	struct stun_addr from = host_of(side), other = host_of(!side);

	if (mono_diff_us(w->second, w->now) >= 1000 * MS) {
		w->second = w->now;
		w->udp_in_second = 0;
	}
	if (side == A && ++w->udp_in_second > w->most_in_second)
		w->most_in_second = w->udp_in_second;
	if (act->to.port == 3478)
		answer_stun(w, side, act);
	else if (!w->blocked && !(w->deaf && side == A) &&
	    memcmp(&act->to, &other, sizeof(other)) == 0)
		fly(w, !side, false, &from, act->p, act->n);
}

static struct key stranger;

static void
do_relay(struct world *w, int side, const struct meet_act *act)
{
	if (!w->relay)
		return;
	if (memcmp(act->key.b, stranger.b, KEY_LEN) == 0)
		return; /* it is there, and silent */
	for (int to = A; to < SIDES; to++)
		if (w->there[to] && key_equal(&act->key, &w->m[to].pub)) {
			fly(w, to, true, NULL, act->p, act->n);
			return;
		}
	meet_gone(&w->m[side], &act->key, w->now);
}

static void
step_side(struct world *w, int side)
{
	struct meet_act act;

	for (int i = 0; i < 1000; i++) {
		meet_next(&w->m[side], w->now, &act);
		if (act.kind == MEET_NOTHING)
			return;
		if (act.kind == MEET_UDP)
			do_udp(w, side, &act);
		else
			do_relay(w, side, &act);
	}
	ok(false, "it stops sending");
}

static void
land(struct world *w)
{
	for (size_t i = 0; i < w->n;) {
		struct flight f = w->v[i];

		if (!mono_reached(f.at, w->now)) {
			i++;
			continue;
		}
		memmove(&w->v[i], &w->v[i + 1], (--w->n - i) * sizeof(w->v[0]));
		if (f.relay)
			meet_relay_input(
			    &w->m[f.to], &w->m[!f.to].pub, f.p, f.n, w->now);
		else
			meet_input(&w->m[f.to], &f.from, f.p, f.n, w->now);
	}
}

/* Runs for so long, or until both are over. */
static void
run(struct world *w, int64_t us)
{
	struct mono end = mono_add_us(w->now, us);
	struct mono next;

	while (w->now.us < end.us &&
	    (w->m[A].phase != MEET_OVER || w->m[B].phase != MEET_OVER)) {
		land(w);
		step_side(w, A);
		step_side(w, B);
		next = mono_earlier(
		    meet_wake(&w->m[A], w->now), meet_wake(&w->m[B], w->now));
		for (size_t i = 0; i < w->n; i++)
			next = mono_earlier(next, w->v[i].at);
		if (!mono_is_set(next) && w->m[B].phase == MEET_OVER)
			return;
		if (!mono_is_set(next) || next.us > end.us)
			next = end;
		w->now.us = next.us > w->now.us ? next.us : w->now.us + 1;
	}
}

/* ---- two that meet ---- */

static void
test_direct(void)
{
	struct world *w = world_new();
	struct mono begun = w->now;

	begin(w);
	run(w, 20000 * MS);
	for (int s = A; s < SIDES; s++) {
		struct meet *m = &w->m[s];

		eq_int(m->phase, MEET_OVER, "it ends");
		eq_int(meet_outcome(m), MEET_DIRECT, "directly");
		eq_int(m->why, MEET_WHY_NONE, "with nothing to explain");
		eq_int(meet_latency(&m->direct).p50_us, 2 * FLIGHT,
		    "the direct round trip");
		eq_int(meet_latency(&m->relayed).lost, 0,
		    "nothing is lost in the relay");
		ok(m->has_report && m->peer_direct, "the other says so, too");
		eq_int(m->n_own, 1, "local and mapped are the same: told once");
		ok(m->took_us >= 2 * FLIGHT && m->took_us < 5 * FLIGHT,
		    "found within two round trips of the call");
	}
	ok(mono_diff_us(begun, w->now) < 3000 * MS, "within 3 s");
	free(w);
}

static void
test_relayed(void)
{
	struct world *w = world_new();
	struct mono begun = w->now;

	w->blocked = true;
	begin(w);
	run(w, 20000 * MS);
	for (int s = A; s < SIDES; s++) {
		eq_int(meet_outcome(&w->m[s]), MEET_RELAYED, "by the relay");
		eq_int(target_result(&w->m[s], 0), TARGET_NOT_ARRIVED,
		    "no packet arrived there");
		ok(w->m[s].targets[0].pings >= 15, "tried again and again");
	}
	ok(mono_diff_us(begun, w->now) <
		MEET_GATHER_US + MEET_WHOLE_US + 1000 * MS,
	    "within the time stated");
	ok(w->most_in_second <= 121, "within the rate stated");
	free(w);
}

/* A's packets are lost; B's come. */
static void
test_one_way(void)
{
	struct world *w = world_new();

	w->deaf = true;
	begin(w);
	run(w, 20000 * MS);
	eq_int(meet_outcome(&w->m[A]), MEET_RELAYED, "deaf: no direct way");
	eq_int(target_result(&w->m[A], 0), TARGET_NOT_ARRIVED,
	    "A learns that its packets do not arrive");
	eq_int(target_result(&w->m[B], 0), TARGET_ANSWER_LOST,
	    "and B that its do, but the answers do not");
	free(w);
}

static void
test_no_stun(void)
{
	struct world *w = world_new();

	w->stun = false;
	begin(w);
	run(w, 20000 * MS);
	eq_int(meet_outcome(&w->m[A]), MEET_DIRECT,
	    "without STUN servers, by addresses of interfaces");
	free(w);
}

static void
test_relay_lost(void)
{
	struct world *w = world_new();

	w->blocked = true;
	begin(w);
	run(w, 1000 * MS);
	eq_int(w->m[A].phase, MEET_PUNCH, "in the middle");
	w->relay = false;
	meet_relay_down(&w->m[A], w->now);
	meet_relay_down(&w->m[B], w->now);
	run(w, 20000 * MS);
	for (int s = A; s < SIDES; s++)
		ok(w->m[s].phase == MEET_OVER && w->m[s].relay_lost &&
			meet_outcome(&w->m[s]) == MEET_NOT_MET &&
			w->m[s].why == MEET_WHY_RELAY,
		    "the relay is lost: said, and it ends");
	free(w);
}

static void
test_relay_lost_direct(void)
{
	struct world *w = world_new();

	begin(w);
	run(w, 300 * MS);
	w->relay = false;
	meet_relay_down(&w->m[A], w->now);
	meet_relay_down(&w->m[B], w->now);
	run(w, 20000 * MS);
	ok(meet_outcome(&w->m[A]) == MEET_DIRECT && w->m[A].relay_lost &&
		!w->m[A].has_report,
	    "what is found stays found without the relay");
	free(w);
}

static void
test_gone(void)
{
	struct world *w = world_new();

	w->blocked = true;
	begin(w);
	run(w, 1000 * MS);
	meet_stop(&w->m[B], MEET_WHY_STOPPED);
	w->there[B] = false;
	meet_gone(&w->m[A], &w->m[B].pub, w->now);
	run(w, 20000 * MS);
	ok(w->m[A].phase == MEET_OVER && w->m[A].why == MEET_WHY_GONE,
	    "the other side is interrupted: it has left");
	free(w);
}

/* ---- that do not ---- */

static void
test_nobody(void)
{
	struct world *w = world_new();

	begin_side(w, A, 2);
	begin_side(w, B, B);
	run(w, 1000 * MS);
	ok(w->m[A].phase == MEET_OVER && w->m[A].why == MEET_WHY_NOBODY,
	    "nobody has that key");
	eq_int(w->m[B].phase, MEET_SEEK, "who waits goes on waiting");
	eq_int(meet_outcome(&w->m[A]), MEET_NOT_MET, "not met");
	free(w);
}

static void
test_silent(void)
{
	struct world *w = world_new();

	begin(w);
	meet_stop(&w->m[B], MEET_WHY_STOPPED);
	run(w, 20000 * MS);
	ok(w->m[A].phase == MEET_OVER && w->m[A].why == MEET_WHY_SILENT,
	    "the other side says nothing");
	free(w);
}

/* A third one, C: seals to B as it likes. */
static size_t
by_c(struct message *msg, uint8_t out[static MESSAGE_MAX])
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {9};
	struct key b = public_of(B), c = public_of(2);
	struct derpbox box;

	derpbox_init(&box, &b, &privs[2]);
	return message_seal(msg, out, &box, &c, nonce);
}

static bool
refused_c(struct world *w, enum refusal want)
{
	struct meet_act act;
	struct derpbox box;
	struct message msg;

	do
		meet_next(&w->m[B], w->now, &act);
	while (act.kind == MEET_UDP);
	derpbox_init(&box, &w->m[B].pub, &privs[2]);
	return act.kind == MEET_RELAY &&
	    message_open(&msg, &box, act.p, act.n) &&
	    msg.type == MESSAGE_REFUSE && msg.refusal == want;
}

static void
test_strangers(void)
{
	struct message hello = {.version = MESSAGE_VERSION,
	    .role = ROLE_PEER,
	    .type = MESSAGE_HELLO};
	struct message call = hello, other = hello;
	struct world *w = world_new();
	struct key c = public_of(2), a = public_of(A);
	uint8_t p[MESSAGE_MAX];
	size_t n;

	call.type = MESSAGE_CALL;
	other.version = MESSAGE_VERSION + 1;
	begin(w);
	n = by_c(&call, p);
	meet_relay_input(&w->m[B], &c, p, n, w->now);
	ok(!w->m[B].has_other && w->m[B].strange == 1,
	    "a call before a hello is nothing");
	n = by_c(&hello, p);
	meet_relay_input(&w->m[B], &a, p, n, w->now);
	ok(!w->m[B].has_other, "nor what the relay says is another's");
	n = by_c(&hello, p);
	p[n - 1] ^= 1;
	meet_relay_input(&w->m[B], &c, p, n, w->now);
	ok(!w->m[B].has_other && w->m[B].forged == 1, "nor what is forged");
	n = by_c(&other, p);
	meet_relay_input(&w->m[B], &c, p, n, w->now);
	ok(!w->m[B].has_other && refused_c(w, REFUSE_VERSION),
	    "another version is told so");
	run(w, 300 * MS);
	n = by_c(&hello, p);
	meet_relay_input(&w->m[B], &c, p, n, w->now);
	ok(key_equal(&w->m[B].other, &a) && refused_c(w, REFUSE_BUSY),
	    "who comes second is told that it is busy");
	run(w, 20000 * MS);
	eq_int(meet_outcome(&w->m[B]), MEET_DIRECT, "which disturbs nobody");
	free(w);
}

static void
test_hello_alone(void)
{
	struct message hello = {.version = MESSAGE_VERSION,
	    .role = ROLE_PEER,
	    .type = MESSAGE_HELLO};
	struct world *w = world_new();
	struct key c = public_of(2);
	uint8_t p[MESSAGE_MAX];
	size_t n = by_c(&hello, p);

	stranger = c;
	begin_side(w, B, B);
	w->m[A].phase = MEET_OVER;
	meet_relay_input(&w->m[B], &c, p, n, w->now);
	run(w, 1000 * MS);
	eq_int(w->m[B].phase, MEET_INVITE, "one who says hello is invited");
	run(w, 7000 * MS);
	ok(w->m[B].phase == MEET_SEEK && !w->m[B].has_other,
	    "and forgotten if it does not call");
	begin_side(w, A, B);
	run(w, 20000 * MS);
	eq_int(meet_outcome(&w->m[B]), MEET_DIRECT, "the next one is met");
	free(w);
}

static void
test_version(void)
{
	struct message welcome = {
	    .version = 77, .role = ROLE_LISTENER, .type = MESSAGE_WELCOME};
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {9};
	struct world *w = world_new();
	struct derpbox box;
	uint8_t p[MESSAGE_MAX];
	size_t n;

	begin(w);
	derpbox_init(&box, &w->m[A].pub, &privs[B]);
	n = message_seal(&welcome, p, &box, &w->m[B].pub, nonce);
	meet_relay_input(&w->m[A], &w->m[B].pub, p, n, w->now);
	ok(w->m[A].phase == MEET_OVER && w->m[A].why == MEET_WHY_VERSION &&
		w->m[A].peer_version == 77,
	    "the other side is of another version: said, with its number");
	free(w);
}

static void
test_reflected(void)
{
	struct world *w = world_new();
	struct meet_act act;
	struct stun_addr from = host_of(B);

	w->blocked = true;
	begin(w);
	run(w, 700 * MS);
	w->m[A].targets[0].next = w->now;
	do
		meet_next(&w->m[A], w->now, &act);
	while (act.kind != MEET_NOTHING && act.to.port != from.port);
	eq_int(act.kind, MEET_UDP, "a ping");
	meet_input(&w->m[A], &from, act.p, act.n, w->now);
	eq_int(w->m[A].strange, 1, "what comes back has the own key");
	memcpy(act.p + 6, w->m[A].other.b, KEY_LEN);
	meet_input(&w->m[A], &from, act.p, act.n, w->now);
	ok(w->m[A].n_pongs == 0 && w->m[A].forged == 1,
	    "nor is it taken with the other's key written on it");
	free(w);
}

static void
test_failures(void)
{
	struct world *w = world_new();
	struct stun_addr other = host_of(B), router = v4(10, 1, 0);

	w->blocked = true;
	begin(w);
	run(w, 700 * MS);
	meet_icmp(&w->m[A], &other, 111, &router);
	eq_int(target_result(&w->m[A], 0), TARGET_REFUSED, "an ICMP error");
	w->m[A].targets[0].pings = 1;
	w->m[A].targets[0].icmp_errno = 0;
	meet_send_failed(&w->m[A], &other, 101);
	eq_int(target_result(&w->m[A], 0), TARGET_NO_WAY, "cannot be sent");
	w->m[A].targets[0].own = true;
	eq_int(target_result(&w->m[A], 0), TARGET_OWN, "an own address");
	w->m[A].targets[0].own = false;
	w->m[A].targets[0].c.addr.ip[0] = 0x20;
	eq_int(target_result(&w->m[A], 0), TARGET_NO_FAMILY, "no such family");
	free(w);
}

/* ---- which path is better ---- */

static struct target
target(struct stun_addr a, int64_t us)
{
	return (struct target){.c = {.addr = a}, .best_us = us, .pongs = 1};
}

static void
test_better(void)
{
	struct stun_addr six = {{0x20, 1}, 1};
	struct target far = target(v4(198, 1, 1), 20 * MS);
	struct target near = target(v4(198, 2, 1), 10 * MS);
	struct target home = target(v4(10, 2, 1), 11 * MS);
	struct target v6 = target(six, 21 * MS);
	struct target none = target(v4(10, 3, 1), -1);

	ok(target_better(&near, &far) && !target_better(&far, &near),
	    "the faster");
	ok(target_better(&home, &near), "a private one if it is about as fast");
	ok(target_better(&v6, &far), "IPv6 likewise");
	ok(!target_better(&v6, &near), "but not if it is slow");
	ok(target_better(&far, &none), "any that answers");
}

/* ---- keys and messages ---- */

static void
test_code(void)
{
	struct key k = public_of(A), got;
	char text[CODE_MAX], other[CODE_MAX];

	code_text(&k, text);
	eq_int((long)strlen(text), 69, "14 groups of 4");
	ok(code_parse(&got, text) == CODE_OK && key_equal(&k, &got),
	    "a key as text, and back");
	for (size_t i = 0; i <= strlen(text); i++) {
		char c = text[i];

		other[i] = c == 'o'	   ? '0'
		    : c == 'l'		   ? '1'
		    : c == 'b'		   ? '8'
		    : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A')
		    : c == '-'		   ? ' '
					   : c;
	}
	ok(code_parse(&got, other) == CODE_OK && key_equal(&k, &got),
	    "in upper case, with blanks, digits for letters");
	text[7] = text[7] == 'a' ? 'c' : 'a';
	eq_int(code_parse(&got, text), CODE_TYPO, "a typing error");
	text[7] = '!';
	eq_int(code_parse(&got, text), CODE_FORM, "what is no letter");
	text[40] = '\0';
	eq_int(code_parse(&got, text), CODE_FORM, "too short");
	eq_int(code_parse(&got, ""), CODE_FORM, "nothing");
	memset(other, 'a', CODE_MAX - 1);
	other[CODE_MAX - 1] = '\0';
	eq_int(code_parse(&got, other), CODE_FORM, "too long");
}

static void
test_cut(void)
{
	struct message m = {.version = MESSAGE_VERSION,
			   .role = ROLE_PEER,
			   .type = MESSAGE_CALL,
			   .n = CANDIDATES_MAX},
		       got;
	struct key b = public_of(B), sender;
	uint8_t p[MESSAGE_MAX];
	const size_t n_last = CANDIDATES_MAX - 1;
	struct derpbox box;
	size_t n;

	for (size_t i = 0; i < m.n; i++)
		m.candidates[i] =
		    (struct candidate){CANDIDATE_STUN, v4(9, (uint8_t)i, 7)};
	n = by_c(&m, p);
	derpbox_init(&box, &b, &privs[2]);
	ok(message_sender(&sender, p, n) && message_open(&got, &box, p, n) &&
		got.n == m.n && got.candidates[n_last].addr.port == 7 &&
		got.candidates[n_last].addr.ip[15] == n_last &&
		got.candidates[n_last].kind == CANDIDATE_STUN,
	    "addresses, sealed and opened");
	for (size_t i = 0; i < n; i++) {
		uint8_t cut[MESSAGE_MAX];

		(void)by_c(&m, cut);
		if (message_sender(&sender, cut, i) &&
		    message_open(&got, &box, cut, i))
			ok(false, "a cut message is refused");
	}
	ok(true, "cut anywhere, it is refused");
}

/* ---- TCP ---- */

static void
test_knock_message(void)
{
	struct message m = {.version = MESSAGE_VERSION,
			   .role = ROLE_PEER,
			   .type = MESSAGE_KNOCK,
			   .has_knock = {true, true}},
		       got;
	struct knock_said said = {
	    3, 5, v4(198, 9, 5000), KNOCK_SILENT, KNOCK_RESET, KNOCK_IN, 1500};
	struct key b = public_of(B);
	uint8_t p[MESSAGE_MAX], cut[MESSAGE_MAX];
	struct derpbox box;
	struct key sender;
	size_t n;

	m.knock[0] = m.knock[1] = said;
	m.knock[1].knock_ms = 6001;
	n = by_c(&m, p);
	derpbox_init(&box, &b, &privs[2]);
	ok(message_open(&got, &box, p, n) && got.has_knock[0] &&
		got.has_knock[1] && got.knock[1].knock_ms == 6001 &&
		got.knock[0].stage == said.stage &&
		got.knock[0].flags == said.flags &&
		memcmp(&got.knock[0].addr, &said.addr, sizeof(said.addr)) ==
		    0 &&
		got.knock[0].knock == said.knock &&
		got.knock[0].again == said.again &&
		got.knock[0].open == said.open,
	    "what is said of TCP, sealed and opened");
	for (size_t i = 0; i < n; i++) {
		(void)by_c(&m, cut);
		if (message_sender(&sender, cut, i) &&
		    message_open(&got, &box, cut, i))
			ok(false, "a cut message is refused");
	}
	m.knock[0].stage = 9;
	(void)by_c(&m, p);
	ok(message_open(&got, &box, p, n), "the words are not its business");
}

/* An earlier release says no features, and gets no word of TCP. */
static void
test_earlier(void)
{
	static const uint8_t text[] = {MESSAGE_VERSION, ROLE_LISTENER,
	    MESSAGE_WELCOME, 1, CANDIDATE_STUN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0xff, 0xff, 198, 0, 0, 11, 15, 161};
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {9};
	const size_t head = 6 + KEY_LEN;
	struct world *w = world_new();
	uint8_t p[MESSAGE_MAX];
	struct derpbox box;

	begin_side(w, A, B);
	w->m[A].tcp = true;
	begin_side(w, B, B);
	w->there[B] = false;
	derpbox_init(&box, &w->m[A].pub, &privs[B]);
	memcpy(p, "TS\xf0\x9f\x92\xac", 6);
	memcpy(p + 6, w->m[B].pub.b, KEY_LEN);
	derpbox_seal(&box, p + head, text, sizeof(text), nonce);
	meet_relay_input(&w->m[A], &w->m[B].pub, p,
	    head + DERPBOX_OVERHEAD + sizeof(text), w->now);
	run(w, 500 * MS);
	ok(w->m[A].phase >= MEET_PUNCH && w->m[A].n_targets == 1,
	    "a WELCOME of an earlier release is taken");
	ok(!w->m[A].knock[0].begun && w->m[A].peer_features == 0,
	    "and TCP is not begun");
	free(w);
}

int
main(void)
{
	if (sodium_init() == -1)
		return 1;
	test_direct();
	test_relayed();
	test_one_way();
	test_no_stun();
	test_relay_lost();
	test_relay_lost_direct();
	test_gone();
	test_nobody();
	test_silent();
	test_strangers();
	test_hello_alone();
	test_version();
	test_reflected();
	test_failures();
	test_better();
	test_code();
	test_cut();
	test_knock_message();
	test_earlier();
	return tap_done();
}

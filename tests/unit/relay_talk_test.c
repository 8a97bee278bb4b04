/* relay_talk: a relay's bytes, whole, split and wrong; and the sums of a row,
 * computed by hand. */
#include <stdlib.h>

#include "probes/natprobe/relay/talk.h"
#include "tests/tap.h"

#define MS INT64_C(1000)

static const struct mono at = {1000000};
static const struct key client_priv = {{8, 1, [31] = 64}};
static const struct key server_priv = {{16, 2, [31] = 64}};
static const uint8_t nonce[DERPBOX_NONCE_LEN] = {5};
static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\n"
			      "Upgrade: DERP\r\n\r\n";

static void
begin(struct talk *t)
{
	talk_init(t, "relay.example:8443", &client_priv, nonce);
}

/* Everything that a relay says up to ServerInfo. */
static size_t
greeting(uint8_t *out, const struct key *client_pub, size_t *key_end)
{
	struct derpbox box;
	struct key pub;
	size_t n = sizeof(upgrade) - 1;

	memcpy(out, upgrade, n);
	key_public(&pub, &server_priv);
	n += derp_server_key(out + n, &pub);
	*key_end = n;
	derpbox_init(&box, client_pub, &server_priv);
	return n + derp_server_info(out + n, &box, nonce);
}

/* Takes what it can of n bytes; returns how much that is. */
static size_t
take_all(struct talk *t, uint8_t *p, size_t n, struct talk_event *last)
{
	struct talk_event event;
	size_t done = 0, used;

	last->kind = TALK_NOTHING;
	while ((used = talk_take(t, p + done, n - done, at, &event)) > 0) {
		done += used;
		if (event.kind != TALK_NOTHING)
			*last = event;
	}
	return done;
}

static void
open_it(struct talk *t)
{
	struct talk_event event;
	uint8_t in[512];
	size_t key_end, n;

	begin(t);
	n = greeting(in, &t->pub, &key_end);
	take_all(t, in, n, &event);
	t->out_n = 0;
}

static void
test_hello(void)
{
	struct talk t;

	begin(&t);
	t.out[t.out_n] = '\0';
	eq_str((char *)t.out,
	    "GET /derp HTTP/1.1\r\nHost: relay.example:8443\r\n"
	    "User-Agent: natprobe\r\nConnection: Upgrade\r\n"
	    "Upgrade: DERP\r\n\r\n",
	    "the request");
	ok(t.stage == TALK_HTTP, "then it waits for HTTP");
}

static void
test_open(void)
{
	struct derp_client_info info;
	struct talk_event event;
	struct derpbox box;
	uint8_t in[512];
	const char *text;
	size_t key_end, n;
	struct talk t;

	begin(&t);
	t.out_n = 0;
	n = greeting(in, &t.pub, &key_end);
	eq_int((int64_t)take_all(&t, in, key_end, &event), (int64_t)key_end,
	    "101 and ServerKey are taken");
	ok(t.stage == TALK_INFO && t.upgraded.us == at.us, "and timed");
	ok(t.out[0] == DERP_CLIENT_INFO &&
		memcmp(t.out + 5, t.pub.b, KEY_LEN) == 0,
	    "ClientInfo goes out, with the client's key");
	derpbox_init(&box, &t.pub, &server_priv);
	text = derpbox_open(&box, t.out + 37, t.out_n - 37);
	ok(text != NULL &&
		derp_client_info_parse(
		    &info, text, t.out_n - 37 - DERPBOX_OVERHEAD) == NULL &&
		info.version == 2 && info.can_ack_pings && info.is_prober,
	    "the server can open it: a prober's");
	take_all(&t, in + key_end, n - key_end, &event);
	ok(t.stage == TALK_OPEN && t.opened.us == at.us, "ServerInfo opens");
}

/* Each byte alone, in memory of its exact size. */
static void
test_split(void)
{
	struct talk_event event;
	uint8_t in[512], *part;
	size_t key_end, n, from = 0;
	struct talk t;

	begin(&t);
	n = greeting(in, &t.pub, &key_end);
	for (size_t end = 1; end <= n; end++) {
		part = malloc(end - from);
		memcpy(part, in + from, end - from);
		from += talk_take(&t, part, end - from, at, &event);
		free(part);
	}
	ok(t.stage == TALK_OPEN && from == n, "byte by byte");
}

struct bad_row {
	const char *what;
	const char *bytes;
	size_t n;
	enum talk_stage in;
	const char *why;
};

#define S(x) (x), sizeof(x) - 1
static const struct bad_row bad_rows[] = {
    {"a refusal", S("HTTP/1.1 404 Not Found\r\n\r\n"), TALK_HTTP,
	"HTTP status 404 where 101 is due"},
    {"no HTTP", S("SSH-2.0-OpenSSH"), TALK_HTTP, "what comes is no HTTP"},
    {"HTTP/2", S("HTTP/2.0 101\r\n\r\n"), TALK_HTTP, "what comes is no HTTP"},
    {"a status of two digits", S("HTTP/1.1 10\r\n\r\n"), TALK_HTTP,
	"what comes is no HTTP"},
    {"a bad field", S("HTTP/1.1 101\r\nno colon\r\n\r\n"), TALK_HTTP,
	"what comes is no HTTP"},
    {"another frame first", S("HTTP/1.1 101 x\r\n\r\n\x06\0\0\0\0"), TALK_KEY,
	"a DERP frame 06 too early"},
    {"a short key", S("HTTP/1.1 101 x\r\n\r\n\x01\0\0\0\x03xxx"), TALK_KEY,
	"no DERP server's key in its first frame"},
    {"a huge frame", S("HTTP/1.1 101 x\r\n\r\n\x01\xff\xff\xff\xff"), TALK_KEY,
	"a DERP frame 01 of 4294967295 bytes"},
};

static void
test_bad(void)
{
	struct talk_event event;
	uint8_t in[64];
	struct talk t;

	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		const struct bad_row *b = &bad_rows[i];

		begin(&t);
		memcpy(in, b->bytes, b->n);
		take_all(&t, in, b->n, &event);
		ok(t.stage == TALK_FAILED && t.failed_in == b->in, b->what);
		eq_str(t.why, b->why, "and why");
		eq_int((int64_t)talk_take(&t, in, b->n, at, &event), 0,
		    "it takes no more");
	}
}

static void
test_endless(void)
{
	uint8_t *p = malloc(HTTP1_HEAD_MAX);
	struct talk_event event;
	struct talk t;

	begin(&t);
	memset(p, 'a', HTTP1_HEAD_MAX);
	memcpy(p, "HTTP/1.1 101 ", 13);
	talk_take(&t, p, HTTP1_HEAD_MAX - 1, at, &event);
	ok(t.stage == TALK_HTTP, "a long head may still end");
	talk_take(&t, p, HTTP1_HEAD_MAX, at, &event);
	ok(t.stage == TALK_FAILED, "this one does not");
	free(p);
}

static void
test_wrong_key(void)
{
	struct talk_event event;
	uint8_t in[512];
	size_t key_end, n;
	struct key other;
	struct talk t;

	begin(&t);
	key_public(&other, &server_priv);
	n = greeting(in, &other, &key_end);
	take_all(&t, in, n, &event);
	ok(t.stage == TALK_FAILED && t.failed_in == TALK_INFO,
	    "a ServerInfo for somebody else");
}

static void
test_talk(void)
{
	static const uint8_t eight[DERP_PING_LEN] = {1, 2, 3};
	uint8_t in[128], want[128];
	struct talk_event event;
	struct key peer = {{7}};
	struct talk t;
	size_t n;

	open_it(&t);
	n = derp_send_packet(in, &peer, "hello", 5);
	in[0] = DERP_RECV_PACKET;
	eq_int((int64_t)take_all(&t, in, n, &event), (int64_t)n, "a packet");
	ok(event.kind == TALK_PACKET && key_equal(&event.from, &peer) &&
		event.n == 5 && memcmp(event.p, "hello", 5) == 0,
	    "from whom, and what");
	n = derp_pong(in, eight);
	take_all(&t, in, n, &event);
	ok(event.kind == TALK_PONG && event.n == 8, "a pong");
	n = derp_peer_gone(in, &peer, DERP_GONE_NOT_HERE);
	take_all(&t, in, n, &event);
	ok(event.kind == TALK_GONE && key_equal(&event.from, &peer) &&
		event.n == 1 && event.p[0] == DERP_GONE_NOT_HERE,
	    "who is not there, and why");
	n = derp_ping(in, eight);
	take_all(&t, in, n, &event);
	n = derp_pong(want, eight);
	ok(event.kind == TALK_NOTHING && t.out_n == n &&
		memcmp(t.out, want, n) == 0,
	    "a ping is answered");
	n = derp_keep_alive(in);
	take_all(&t, in, n, &event);
	ok(t.stage == TALK_OPEN, "KeepAlive means nothing");
	t.out_n = 0;
	talk_packet(&t, &peer, "hello", 5);
	talk_ping(&t, eight);
	ok(t.out[0] == DERP_SEND_PACKET && t.out[42] == DERP_PING &&
		t.out_n == 42 + 13,
	    "a packet and a ping go out");
	t.out_n = sizeof(t.out) - 12;
	talk_ping(&t, eight);
	ok(t.out_n == sizeof(t.out) - 12, "not without room");
}

/* ---- captive portals ---- */

static enum talk_portal
portal(const char *answer, char *why)
{
	return talk_portal(
	    "ts_x", (const uint8_t *)answer, strlen(answer), why);
}

static void
test_portal(void)
{
	char why[TALK_WHY_MAX] = "";

	eq_int(portal("HTTP/1.1 204 No Content\r\n"
		      "X-Tailscale-Response: response ts_x\r\n\r\n",
		   why),
	    TALK_FREE, "the relay's answer");
	eq_int(portal("HTTP/1.1 204 No Content\r\n", why), TALK_MORE,
	    "half of it");
	eq_int(portal("HTTP/1.1 204 No Content\r\n\r\n", why), TALK_CAPTIVE,
	    "204 without the echo");
	eq_int(portal("HTTP/1.1 204 x\r\n"
		      "X-Tailscale-Response: response ts_y\r\n\r\n",
		   why),
	    TALK_CAPTIVE, "another's echo");
	eq_int(portal("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", why),
	    TALK_CAPTIVE, "a redirect");
	eq_str(why, "HTTP status 302 where 204 is due", "and why");
	eq_int(portal("<html>\r\n\r\n", why), TALK_CAPTIVE, "no HTTP");
}

/* ---- the row ---- */

/* Sends all of it at its pace; packet i comes back after us[i], -1 never. */
static struct mono
run_row(struct row *r, const int64_t us[ROW_PACKETS], int64_t ping_us)
{
	uint8_t p[ROW_PACKET_LEN];
	struct mono now = at;

	row_init(r, (const uint8_t *)"abcd", now);
	while (r->packets < ROW_PACKETS || r->pings < ROW_PINGS) {
		if (row_packet(r, p, now) && us[r->packets - 1] >= 0)
			row_packet_came(r, p, sizeof(p),
			    mono_add_us(now, us[r->packets - 1]));
		if (row_ping(r, p, now) && ping_us >= 0)
			row_pong_came(
			    r, p, DERP_PING_LEN, mono_add_us(now, ping_us));
		if (!mono_is_set(row_wake(r, now)))
			break;
		now = row_wake(r, now);
	}
	return now;
}

static void
test_row(void)
{
	int64_t us[ROW_PACKETS];
	struct row_sum s;
	struct mono end;
	struct row r;

	/* 1 to 20 ms, in pairs of large and small. */
	for (int i = 0; i < ROW_PACKETS; i++)
		us[i] = (i % 2 == 0 ? 20 - i / 2 : 1 + i / 2) * MS;
	end = run_row(&r, us, 3 * MS);
	s = row_sum_packets(&r);
	ok(s.sent == 20 && s.lost == 0, "20 there, 20 back");
	eq_int(s.p50_us, 10 * MS, "p50 of 1 to 20 ms");
	eq_int(s.p95_us, 19 * MS, "p95");
	/* 19, 18, ... 1 ms apart. */
	eq_int(s.jitter_us, 10 * MS, "mean difference of neighbours");
	s = row_sum_pings(&r);
	ok(s.sent == 5 && s.lost == 0 && s.p50_us == 3 * MS && s.jitter_us == 0,
	    "five pings");
	eq_int(mono_diff_us(at, end), 950 * MS, "all are sent in 950 ms");
	ok(!mono_is_set(row_wake(&r, end)), "with all back it is over");
}

static void
test_row_loss(void)
{
	int64_t us[ROW_PACKETS];
	struct row_sum s;
	struct mono end, wake;
	struct row r;

	for (int i = 0; i < ROW_PACKETS; i++)
		us[i] = -1;
	us[4] = us[9] = 7 * MS;
	run_row(&r, us, -1);
	end = mono_add_us(at, 950 * MS);
	s = row_sum_packets(&r);
	ok(s.lost == 18 && s.p50_us == 7 * MS && s.p95_us == 7 * MS &&
		s.jitter_us == 0,
	    "two of 20 come back");
	s = row_sum_pings(&r);
	ok(s.lost == 5 && s.p50_us == -1 && s.jitter_us == -1, "no pong");
	wake = row_wake(&r, end);
	eq_int(mono_diff_us(end, wake), ROW_WAIT_US, "it waits for the rest");
	ok(!mono_is_set(row_wake(&r, wake)), "and not for ever");
}

static void
test_row_strangers(void)
{
	uint8_t p[ROW_PACKET_LEN], q[ROW_PACKET_LEN];
	struct row r;

	row_init(&r, (const uint8_t *)"abcd", at);
	ok(row_is_due(&r, at), "the first is due at once");
	ok(row_packet(&r, p, at), "the first goes at once");
	ok(!row_is_due(&r, mono_add_us(at, ROW_EVERY_US / 2 - 1)) &&
		row_is_due(&r, mono_add_us(at, ROW_EVERY_US / 2)),
	    "then a ping");
	ok(!row_packet(&r, q, mono_add_us(at, ROW_EVERY_US - 1)),
	    "the next not before its time");
	memcpy(q, p, sizeof(q));
	q[0] ^= 1;
	row_packet_came(&r, q, sizeof(q), at);
	memcpy(q, p, sizeof(q));
	q[7] = 1;
	row_packet_came(&r, q, sizeof(q), at);
	row_packet_came(&r, p, sizeof(p) - 1, at);
	row_packet_came(&r, p, 3, at);
	eq_int(row_sum_packets(&r).lost, 1, "nothing of another counts");
	row_packet_came(&r, p, sizeof(p), mono_add_us(at, 5));
	row_packet_came(&r, p, sizeof(p), mono_add_us(at, 9));
	eq_int(row_sum_packets(&r).p50_us, 5, "a second copy neither");
}

int
main(void)
{
	test_hello();
	test_open();
	test_split();
	test_bad();
	test_endless();
	test_wrong_key();
	test_talk();
	test_portal();
	test_row();
	test_row_loss();
	test_row_strangers();
	return tap_done();
}

/* session: each event, each refusal, and that cuts change nothing. */
#include "relayd/session.h"
#include "tests/tap.h"
#include "tests/unit/derp_vectors.h"
#include "tests/unit/session_drive.h"

#define S(x)	 (x), sizeof(x) - 1

#define GET_DERP "GET /derp HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
#define UPGRADE	 GET_DERP "Upgrade: DERP\r\n\r\n"
#define FAST	 GET_DERP "Upgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n"
#define GET_ROOT "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

/* A stream under construction. */
static uint8_t stream[600000];
static size_t nstream;

static void
put(const void *p, size_t n)
{
	memcpy(stream + nstream, p, n);
	nstream += n;
}

static void
put_header(uint8_t type, uint32_t len)
{
	struct wr w;

	wr_init(&w, stream + nstream, DERP_HEADER_LEN);
	wr_u8(&w, type);
	wr_u32(&w, len);
	nstream += DERP_HEADER_LEN;
}

static void
put_frame(uint8_t type, uint32_t len)
{
	put_header(type, len);
	for (uint32_t i = 0; i < len; i++)
		stream[nstream++] = (uint8_t)(i * 7 + type);
}

/* A ClientInfo frame of this text from the test's client. */
static void
put_info(const char *text, size_t n)
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {1, 2, 3};
	struct derpbox box;

	derpbox_init(&box, &server_pub, &client_priv);
	put_header(
	    DERP_CLIENT_INFO, (uint32_t)(KEY_LEN + DERPBOX_OVERHEAD + n));
	put(client_pub.b, KEY_LEN);
	derpbox_seal(&box, stream + nstream, text, n, nonce);
	nstream += DERPBOX_OVERHEAD + n;
}

/* Begins a stream in which frames come next. */
static void
begin_frames(void)
{
	nstream = 0;
	put(S(FAST));
	put(go_client_info, sizeof(go_client_info));
}

static struct drive whole, cut;

/* Feeds the stream in one piece. */
static const struct drive *
run(bool derp)
{
	drive_clear(&whole);
	drive_init(&whole, derp, &server_priv);
	drive_feed(&whole, stream, nstream);
	return &whole;
}

/* The last event. */
static enum session_event
last(const struct drive *d)
{
	return d->nheard == 0 ? SESSION_MORE : d->heard[d->nheard - 1].event;
}

/* ---- the way of a client ---- */

static void
test_client(void)
{
	static const enum session_event want[] = {SESSION_UPGRADE,
	    SESSION_HELLO, SESSION_FRAME, SESSION_FRAME, SESSION_SKIPPED,
	    SESSION_FRAME, SESSION_SKIPPED, SESSION_FRAME};
	const struct drive *d;
	bool same;

	begin_frames();
	put(go_note_preferred, sizeof(go_note_preferred));
	put(go_send_packet, sizeof(go_send_packet));
	put_frame(0xee, 300);
	put(go_ping, sizeof(go_ping));
	put_frame(DERP_PONG, 0);
	put_frame(DERP_PING, 1000);
	d = run(true);
	same = d->nheard == sizeof(want) / sizeof(want[0]);
	for (size_t i = 0; same && i < d->nheard; i++)
		same = d->heard[i].event == want[i];
	ok(same, "head, ClientInfo and frames in one piece");
	ok(d->used == nstream && d->nrest == 0, "every byte is used");
	eq_int(d->session.state, SESSION_FRAMES, "frames go on");
	ok(d->breach == NULL, "nothing is breached");
}

static void
test_step_by_step(void)
{
	struct session_step step;
	struct session s;
	uint8_t p[2048];
	size_t at;

	begin_frames();
	put(go_send_packet, sizeof(go_send_packet));
	memcpy(p, stream, nstream);
	session_init(&s, true);
	eq_int(s.state, SESSION_HTTP, "HTTP comes first");
	eq_int(session_next(&s, &server_priv, p, 0, &step), SESSION_MORE,
	    "nothing yet");
	eq_int(session_next(&s, &server_priv, p, nstream, &step),
	    SESSION_UPGRADE, "the upgrade");
	eq_int((int64_t)step.used, sizeof(FAST) - 1, "the head is used");
	ok(step.fast_start && !step.not_ideal, "what it says");
	eq_int(s.state, SESSION_INFO, "ClientInfo is next");
	at = step.used;
	eq_int(session_next(&s, &server_priv, p + at, 4, &step), SESSION_MORE,
	    "half a header");
	ok(step.want == 5 && step.used == 0, "wants the header");
	eq_int(session_next(&s, &server_priv, p + at, 5, &step), SESSION_MORE,
	    "a header");
	ok(step.want == sizeof(go_client_info), "wants the frame");
	eq_int(session_next(&s, &server_priv, p + at, nstream - at, &step),
	    SESSION_HELLO, "the client");
	ok(key_equal(&step.key, &client_pub), "its key");
	eq_mem(step.box.shared, go_shared, sizeof(go_shared), "its box");
	ok(step.info.version == 2 && step.info.can_ack_pings &&
		!step.info.has_mesh_key,
	    "its info");
	eq_int((int64_t)step.used, sizeof(go_client_info), "used");
	at += step.used;
	eq_int(session_next(&s, &server_priv, p + at, 5, &step), SESSION_MORE,
	    "a header of a frame");
	ok(step.want == sizeof(go_send_packet), "wants the frame");
	eq_int(session_next(&s, &server_priv, p + at, nstream - at, &step),
	    SESSION_FRAME, "a frame");
	ok(step.frame == p + at && step.header.type == DERP_SEND_PACKET &&
		step.header.len == 37 && step.used == 42,
	    "lent, with its header");
	eq_mem(step.frame, go_send_packet, sizeof(go_send_packet),
	    "as it was sent");
}

/* ---- HTTP ---- */

struct http_row {
	const char *what, *text;
	size_t n;
	enum session_event event;
	bool fast_start, not_ideal;
	enum session_state state;
};

#define ROW(what, text, event, fast, ideal, state)                 \
	{                                                          \
		(what), S(text), SESSION_##event, (fast), (ideal), \
		    SESSION_##state                                \
	}
#define WS "Sec-WebSocket-Protocol: "

static const struct http_row http_rows[] = {
    ROW("a page", GET_ROOT, REQUEST, false, false, HTTP),
    ROW("Upgrade: DERP", UPGRADE, UPGRADE, false, false, INFO),
    ROW("lower case", GET_DERP "upgrade:derp\r\n\r\n", UPGRADE, false, false,
	INFO),
    ROW("old clients", GET_DERP "Upgrade: WebSocket\r\n\r\n", UPGRADE, false,
	false, INFO),
    ROW("old clients, another protocol",
	GET_DERP "Upgrade: websocket\r\n" WS "chat\r\n\r\n", UPGRADE, false,
	false, INFO),
    ROW("real WebSocket", GET_DERP "Upgrade: websocket\r\n" WS "derp\r\n\r\n",
	REQUEST, false, false, HTTP),
    ROW("real WebSocket, a list",
	GET_DERP "Upgrade: websocket\r\n" WS "chat, derp\r\n\r\n", REQUEST,
	false, false, HTTP),
    ROW("DERP minds no subprotocol",
	GET_DERP "Upgrade: derp\r\n" WS "derp\r\n\r\n", UPGRADE, false, false,
	INFO),
    ROW("no Upgrade", GET_DERP "\r\n", REQUEST, false, false, HTTP),
    ROW("empty Upgrade", GET_DERP "Upgrade:\r\n\r\n", REQUEST, false, false,
	HTTP),
    ROW("another Upgrade", GET_DERP "Upgrade: h2c\r\n\r\n", REQUEST, false,
	false, HTTP),
    ROW("a list", GET_DERP "Upgrade: derp, websocket\r\n\r\n", REQUEST, false,
	false, HTTP),
    ROW("fast start", FAST, UPGRADE, true, false, INFO),
    ROW("fast start 0", GET_DERP "Upgrade: DERP\r\nDerp-Fast-Start: 0\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("fast start true",
	GET_DERP "Upgrade: DERP\r\nDerp-Fast-Start: true\r\n\r\n", UPGRADE,
	false, false, INFO),
    ROW("not at its first node",
	GET_DERP "Upgrade: DERP\r\nIdeal-Node: 900a\r\n\r\n", UPGRADE, false,
	true, INFO),
    ROW("an empty Ideal-Node", GET_DERP "Upgrade: DERP\r\nIdeal-Node:\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("any method", "POST /derp HTTP/1.1\r\nHost: h\r\nUpgrade: derp\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("no Connection",
	"GET /derp HTTP/1.1\r\nHost: h\r\n"
	"Upgrade: derp\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("HTTP/1.0", "GET /derp HTTP/1.0\r\nUpgrade: derp\r\n\r\n", UPGRADE,
	false, false, INFO),
    ROW("with a query", "GET /derp?a=b HTTP/1.0\r\nUpgrade: derp\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("as to a proxy",
	"GET http://h/derp HTTP/1.1\r\nHost: h\r\nUpgrade: derp\r\n\r\n",
	UPGRADE, false, false, INFO),
    ROW("no path at all", "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", REQUEST,
	false, false, HTTP),
    ROW("another path",
	"GET /derp/ HTTP/1.1\r\nHost: h\r\n"
	"Upgrade: derp\r\n\r\n",
	REQUEST, false, false, HTTP),
    ROW("paths mind case",
	"GET /DERP HTTP/1.1\r\nHost: h\r\n"
	"Upgrade: derp\r\n\r\n",
	REQUEST, false, false, HTTP),
    ROW("the last of a connection",
	"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", REQUEST,
	false, false, DRAIN),
    ROW("a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
	REQUEST, false, false, DRAIN),
};

static void
test_http(void)
{
	for (size_t i = 0; i < sizeof(http_rows) / sizeof(http_rows[0]); i++) {
		const struct http_row *r = &http_rows[i];
		const struct drive *d;

		nstream = 0;
		put(r->text, r->n);
		d = run(true);
		ok(d->nheard == 1 && last(d) == r->event &&
			d->session.state == r->state && d->used == r->n &&
			d->breach == NULL,
		    r->what);
		if (r->event == SESSION_UPGRADE)
			ok(d->step.fast_start == r->fast_start &&
				d->step.not_ideal == r->not_ideal,
			    "and what it says");
	}
	nstream = 0;
	put(S(FAST));
	ok(last(run(false)) == SESSION_REQUEST &&
		whole.session.state == SESSION_HTTP,
	    "without derp, /derp is a page");
}

static void
test_pipeline(void)
{
	const struct drive *d;

	nstream = 0;
	put(S(GET_ROOT GET_ROOT "HEAD /last HTTP/1.1\r\nHost: h\r\n"
				"Connection: close\r\n\r\n" GET_ROOT));
	d = run(true);
	ok(d->nheard == 3 && strcmp(d->path, "/last") == 0,
	    "requests behind each other, up to the last");
	ok(d->used == nstream, "what comes behind it is discarded");

	nstream = 0;
	put(S(GET_ROOT FAST));
	put(go_client_info, sizeof(go_client_info));
	d = run(true);
	ok(d->nheard == 3 && last(d) == SESSION_HELLO,
	    "a page, then an upgrade");
}

static void
test_drain(void)
{
	struct session_step step;
	struct session s;
	uint8_t p[] = GET_ROOT;

	session_init(&s, true);
	session_drain(&s);
	eq_int(session_next(&s, &server_priv, p, sizeof(p), &step),
	    SESSION_MORE, "drained: no event");
	ok(step.used == sizeof(p) && step.want == 0, "all is discarded");
	eq_int(session_next(&s, &server_priv, p, 0, &step), SESSION_MORE,
	    "and nothing as well");
}

struct bad_row {
	const char *what, *text;
	size_t n;
	int status;
	const char *why;
};

static const struct bad_row http_bad_rows[] = {
    {"a TLS hello", S("\x16\x03\x01\x02\x00"), 400, "not an HTTP request"},
    {"a line end", S("\r\n\r\n"), 400, "not an HTTP request"},
    {"a zero byte", S("\0"), 400, "not an HTTP request"},
    {"a digit", S("1"), 400, "not an HTTP request"},
    {"a brace", S("{"), 400, "not an HTTP request"},
    {"a high byte", S("\xff"), 400, "not an HTTP request"},
    {"no request line", S("hello\r\n\r\n"), 400, "malformed request"},
    {"no Host", S("GET / HTTP/1.1\r\n\r\n"), 400, "malformed request"},
    {"HTTP/2", S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "malformed request"},
    {"behind a page", S(GET_ROOT "\r\n\r\n"), 400, "not an HTTP request"},
};

static void
test_http_bad(void)
{
	for (size_t i = 0; i < sizeof(http_bad_rows) / sizeof(http_bad_rows[0]);
	     i++) {
		const struct bad_row *r = &http_bad_rows[i];
		const struct drive *d;

		nstream = 0;
		put(r->text, r->n);
		d = run(true);
		ok(last(d) == SESSION_BAD && d->step.status == r->status &&
			d->session.state == SESSION_DRAIN,
		    r->what);
		eq_str(d->why, r->why, "and why");
	}
	nstream = 0;
	put("A", 1);
	ok(run(true)->nheard == 0, "A may begin a method");
	stream[0] = 'z';
	ok(run(true)->nheard == 0, "as may z");
}

/* A head of n bytes, with an end or without. */
static void
put_head(size_t n, bool end)
{
	static const char first[] = "GET / HTTP/1.1\r\nHost: h\r\na: ";

	nstream = 0;
	put(S(first));
	memset(stream + nstream, 'y', n - nstream);
	if (end)
		memcpy(stream + n - 4, "\r\n\r\n", 4);
	nstream = n;
}

static void
test_head_limit(void)
{
	const struct drive *d;

	put_head(HTTP1_HEAD_MAX, true);
	d = run(true);
	ok(d->nheard == 1 && last(d) == SESSION_REQUEST, "a head of 16384");
	put_head(HTTP1_HEAD_MAX + 1, true);
	d = run(true);
	ok(last(d) == SESSION_BAD && d->step.status == 431, "of 16385");
	eq_str(d->why, "request head too long", "and why");
	put_head(HTTP1_HEAD_MAX, false);
	ok(run(true)->nheard == 0, "16384 without an end: there may be one");
	put_head(HTTP1_HEAD_MAX + 1, false);
	d = run(true);
	ok(last(d) == SESSION_BAD && d->step.status == 431,
	    "16385 without an end: no more");
	/* What follows a head is not part of it. */
	nstream = 0;
	put(S(GET_ROOT));
	memset(stream + nstream, 'y', HTTP1_HEAD_MAX);
	nstream += HTTP1_HEAD_MAX;
	d = run(true);
	ok(d->nheard == 1 && last(d) == SESSION_REQUEST,
	    "16384 bytes behind a head");
}

/* ---- ClientInfo ---- */

static void
expect_bad(const char *what, const char *why)
{
	const struct drive *d = run(true);

	ok(last(d) == SESSION_BAD && d->step.status == 0 &&
		d->session.state == SESSION_DRAIN && d->breach == NULL,
	    what);
	eq_str(d->why, why, "and why");
}

static void
begin_info(void)
{
	nstream = 0;
	put(S(UPGRADE));
}

static void
test_info_lengths(void)
{
	static const char wrong[] = "ClientInfo of a wrong length";
	static char text[DERP_INFO_MAX];

	begin_info();
	put_header(DERP_CLIENT_INFO, 55);
	expect_bad("55 bytes, by the header alone", wrong);
	begin_info();
	put_header(DERP_CLIENT_INFO, 56);
	ok(run(true)->nheard == 1, "56 bytes are waited for");
	put_frame(0, 51);
	nstream = sizeof(UPGRADE) - 1 + DERP_HEADER_LEN + 56;
	expect_bad(
	    "but hold no box", "ClientInfo is not sealed for this relay");
	begin_info();
	put_header(DERP_CLIENT_INFO, DERP_INFO_MAX + 1);
	expect_bad("262145 bytes, by the header alone", wrong);
	begin_info();
	put_header(DERP_CLIENT_INFO, UINT32_MAX);
	expect_bad("4 GiB", wrong);

	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"version\":2}", 13);
	begin_info();
	put_info(text, DERP_INFO_MAX - KEY_LEN - DERPBOX_OVERHEAD);
	ok(last(run(true)) == SESSION_HELLO, "262144 bytes");
	ok(whole.used == nstream && whole.step.info.version == 2,
	    "all of them");
}

static void
test_info_refused(void)
{
	static const char not_sealed[] =
	    "ClientInfo is not sealed for this relay";
	static const char impossible[] = "ClientInfo with an impossible key";
	size_t key = sizeof(UPGRADE) - 1 + DERP_HEADER_LEN;

	begin_info();
	put(go_ping, sizeof(go_ping));
	expect_bad("another frame first", "first frame is not ClientInfo");
	begin_info();
	put_header(0xff, UINT32_MAX);
	expect_bad("an unknown one first", "first frame is not ClientInfo");
	begin_info();
	put(go_client_info, sizeof(go_client_info));
	memset(stream + key, 0, KEY_LEN);
	expect_bad("the zero key", impossible);
	stream[key] = 1;
	expect_bad("a low-order key", impossible);
	begin_info();
	put(go_client_info, sizeof(go_client_info));
	stream[key + KEY_LEN - 1] ^= 0x20;
	expect_bad("another's key", not_sealed);
	begin_info();
	put(go_client_info, sizeof(go_client_info));
	stream[nstream - 1] ^= 1;
	expect_bad("a bit flipped", not_sealed);
	begin_info();
	put_info(S(""));
	expect_bad("empty", "client info is no JSON");
	begin_info();
	put_info(S("[]"));
	expect_bad("no object", "client info is no JSON object");
	begin_info();
	put_info(S("{\"meshKey\":\"\"}"));
	expect_bad("a mesh key that is none", "malformed mesh key");
	begin_info();
	put(go_client_info_mesh, sizeof(go_client_info_mesh));
	ok(last(run(true)) == SESSION_HELLO && whole.step.info.has_mesh_key,
	    "a mesh peer is told of");
}

/* ---- frames ---- */

struct frame_row {
	const char *what;
	uint8_t type;
	uint32_t len;
	enum session_event event;
};

static const struct frame_row frame_rows[] = {
    {"SendPacket, 32", DERP_SEND_PACKET, 32, SESSION_FRAME},
    {"SendPacket, 65568", DERP_SEND_PACKET, 65568, SESSION_FRAME},
    {"NotePreferred, 1", DERP_NOTE_PREFERRED, 1, SESSION_FRAME},
    {"Ping, 8", DERP_PING, 8, SESSION_FRAME},
    {"Ping, 1000", DERP_PING, 1000, SESSION_FRAME},
    {"KeepAlive", DERP_KEEP_ALIVE, 0, SESSION_SKIPPED},
    {"ClientInfo again", DERP_CLIENT_INFO, 100, SESSION_SKIPPED},
    {"Pong", DERP_PONG, 8, SESSION_SKIPPED},
    {"unknown, 100000", 0x77, 100000, SESSION_SKIPPED},
};

/* Each frame, and a ping behind it that must be found. */
static void
test_frames(void)
{
	for (size_t i = 0; i < sizeof(frame_rows) / sizeof(frame_rows[0]);
	     i++) {
		const struct frame_row *r = &frame_rows[i];
		const struct drive *d;

		begin_frames();
		put_frame(r->type, r->len);
		put(go_ping, sizeof(go_ping));
		d = run(true);
		ok(d->nheard == 4 && d->heard[2].event == r->event &&
			d->heard[3].event == SESSION_FRAME &&
			d->step.header.type == DERP_PING &&
			d->used == nstream && d->breach == NULL,
		    r->what);
	}
}

static void
test_frames_bad(void)
{
	static const char wrong[] = "frame of a wrong length";
	static const char mesh[] = "mesh frame from a client";
	static const struct {
		const char *what;
		uint8_t type;
		uint32_t len;
		const char *why;
	} rows[] = {
	    {"SendPacket, 31", DERP_SEND_PACKET, 31, wrong},
	    {"SendPacket, 65569", DERP_SEND_PACKET, 65569, wrong},
	    {"NotePreferred, 0", DERP_NOTE_PREFERRED, 0, wrong},
	    {"NotePreferred, 2", DERP_NOTE_PREFERRED, 2, wrong},
	    {"Ping, 7", DERP_PING, 7, wrong},
	    {"Ping, 1001", DERP_PING, 1001, wrong},
	    {"ForwardPacket", DERP_FORWARD_PACKET, 64, mesh},
	    {"WatchConns", DERP_WATCH_CONNS, 0, mesh},
	    {"ClosePeer", DERP_CLOSE_PEER, 32, mesh},
	};

	/* By the header alone: not one byte of them is waited for. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_frames();
		put_frame(0x99, 3);
		put_header(rows[i].type, rows[i].len);
		expect_bad(rows[i].what, rows[i].why);
		ok(whole.step.header.type == rows[i].type &&
			whole.step.header.len == rows[i].len,
		    "with its header, for the log");
	}
}

/* 4 GiB of nothing are discarded as they come. */
static void
test_skip_huge(void)
{
	uint64_t left = UINT32_MAX;
	bool quiet = true;

	begin_frames();
	put_header(0xaa, UINT32_MAX);
	run(true);
	memset(stream, DERP_FORWARD_PACKET, sizeof(stream));
	while (left > 0) {
		size_t n = left < sizeof(stream) ? left : sizeof(stream);
		struct session_step step;

		quiet &= session_next(&whole.session, &server_priv, stream, n,
			     &step) == SESSION_MORE &&
		    step.used == n && step.want == 0;
		left -= n;
		quiet &= whole.session.skip == left;
	}
	ok(quiet, "4 GiB are skipped");
	drive_feed(&whole, go_ping, sizeof(go_ping));
	ok(last(&whole) == SESSION_FRAME && whole.nheard == 4,
	    "and then comes a ping");
}

/* ---- cuts ---- */

/* True if the stream, cut by the function, tells the same as in one piece. */
static bool
is_same_cut(size_t a, size_t b)
{
	drive_clear(&cut);
	drive_init(&cut, true, &server_priv);
	drive_feed(&cut, stream, a);
	drive_feed(&cut, stream + a, b - a);
	drive_feed(&cut, stream + b, nstream - b);
	return drive_same(&whole, &cut) && cut.breach == NULL;
}

static bool
is_same_bytes(void)
{
	drive_clear(&cut);
	drive_init(&cut, true, &server_priv);
	for (size_t i = 0; i < nstream; i++)
		drive_feed(&cut, stream + i, 1);
	return drive_same(&whole, &cut) && cut.breach == NULL;
}

static bool
is_same_random(unsigned *rnd, size_t most)
{
	size_t at = 0, n;

	drive_clear(&cut);
	drive_init(&cut, true, &server_priv);
	while (at < nstream) {
		n = 1 + (size_t)rand_r(rnd) % most;
		n = n < nstream - at ? n : nstream - at;
		drive_feed(&cut, stream + at, n);
		at += n;
	}
	return drive_same(&whole, &cut) && cut.breach == NULL;
}

static void
check_cuts(const char *what)
{
	unsigned rnd = 5;
	bool same = true;

	run(true);
	for (size_t a = 0; a <= nstream; a++)
		same &= is_same_cut(a, a);
	for (int i = 0; i < 300; i++) {
		size_t a = (size_t)rand_r(&rnd) % (nstream + 1);
		size_t b = a + (size_t)rand_r(&rnd) % (nstream + 1 - a);

		same &= is_same_cut(a, b) && is_same_random(&rnd, 100) &&
		    is_same_random(&rnd, 10);
	}
	ok(same && is_same_bytes() && whole.breach == NULL, what);
}

static void
test_cuts(void)
{
	nstream = 0;
	put(S(GET_ROOT FAST));
	put(go_client_info, sizeof(go_client_info));
	put(go_note_preferred, sizeof(go_note_preferred));
	put_frame(0xee, 100);
	put_frame(0xef, 0);
	put(go_send_packet, sizeof(go_send_packet));
	put(go_ping, sizeof(go_ping));
	put_frame(DERP_SEND_PACKET, 32);
	put_frame(DERP_PONG, 1);
	check_cuts("a client's stream, cut at each place");
	ok(whole.nheard == 10, "it is all of it");
	put_frame(DERP_WATCH_CONNS, 0);
	put(go_ping, sizeof(go_ping));
	check_cuts("one that ends badly");
	eq_int(last(&whole), SESSION_BAD, "it does");

	nstream = 0;
	put(S("GET / HTTP/1.1\nHost: h\n\n" GET_ROOT
	      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"
	      "GET / 789" GET_ROOT));
	check_cuts("requests, then one with a body");
	ok(whole.nheard == 3, "it is the last");

	nstream = 0;
	put(S("GET /a-long-one-and-then HTTP/1.1\r\nHost: h\r\na: "
	      "b\r\n\r\n" GET_ROOT GET_ROOT));
	check_cuts("a long request before short ones");
	ok(whole.nheard == 3, "each is told");

	nstream = 0;
	put(S(GET_ROOT "\x16\x03\x01 behind a page"));
	check_cuts("what is no request");
	begin_info();
	put_header(DERP_CLIENT_INFO, 55);
	put_frame(0, 55);
	check_cuts("a ClientInfo of a wrong length");
	begin_info();
	put(go_client_info, sizeof(go_client_info));
	stream[nstream - 1] ^= 1;
	put(go_ping, sizeof(go_ping));
	check_cuts("a ClientInfo that does not open");
}

/* Long ones are cut at a few places only. */
static void
test_cuts_long(void)
{
	unsigned rnd = 9;
	bool same = true;

	begin_frames();
	for (uint32_t i = 0; i < 6; i++) {
		put_frame(DERP_SEND_PACKET, 32 + 10000 * i);
		put_frame(0x40, 3000 * i);
	}
	run(true);
	for (int i = 0; i < 50; i++)
		same &= is_same_random(&rnd, 20000);
	ok(same && whole.nheard == 14, "large frames, cut at random");

	put_head(HTTP1_HEAD_MAX + 1000, true);
	put(S(GET_ROOT));
	run(true);
	for (int i = 0; i < 50; i++)
		same &= is_same_random(&rnd, 5000);
	ok(same && last(&whole) == SESSION_BAD, "a head that is too long");
	/* Which of its two faults is told must not depend on the cut. */
	memset(stream, 0x16, HTTP1_HEAD_MAX + 1);
	nstream = HTTP1_HEAD_MAX + 1;
	run(true);
	for (size_t a = 1; a < 10; a++)
		same &= is_same_cut(a, a + 5);
	ok(same && whole.step.status == 400, "a long one that is not HTTP");
}

int
main(void)
{
	test_client();
	test_step_by_step();
	test_http();
	test_pipeline();
	test_drain();
	test_http_bad();
	test_head_limit();
	test_info_lengths();
	test_info_refused();
	test_frames();
	test_frames_bad();
	test_skip_huge();
	test_cuts();
	test_cuts_long();
	drive_clear(&whole);
	drive_clear(&cut);
	return tap_done();
}

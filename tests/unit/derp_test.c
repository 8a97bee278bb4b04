/* derp: frames are Go's byte for byte; each limit from both sides. */
#include "pure/derp.h"
#include "tests/tap.h"
#include "tests/unit/derp_vectors.h"

static void
test_header(void)
{
	struct derp_header h;
	uint8_t out[5];
	struct rd r;
	struct wr w;

	rd_init(&r, "\x04\x00\x01\x00\x20tail", 9);
	derp_read_header(&r, &h);
	ok(!r.bad && h.type == 4 && h.len == 65568, "type and length");
	eq_int((int64_t)rd_left(&r), 4, "the payload is left");
	rd_init(&r, "\xff\xff\xff\xff\xff", 5);
	derp_read_header(&r, &h);
	ok(!r.bad && h.type == 0xff && h.len == UINT32_MAX, "all ones");
	for (size_t n = 0; n < DERP_HEADER_LEN; n++) {
		rd_init(&r, "\x04\x00\x00\x00\x20", n);
		derp_read_header(&r, &h);
		ok(r.bad, "a short header is bad");
	}
	wr_init(&w, out, sizeof(out));
	derp_write_header(&w, DERP_HEALTH, 0x01020304);
	eq_mem(out, "\x14\x01\x02\x03\x04", 5, "written");
	ok(!w.bad, "it fits");
}

struct judge_row {
	const char *what;
	uint8_t type;
	uint32_t len;
	enum derp_judgement want;
};

static const struct judge_row judge_rows[] = {
    {"SendPacket, 31", DERP_SEND_PACKET, 31, DERP_BAD_LEN},
    {"SendPacket, 32: an empty packet", DERP_SEND_PACKET, 32, DERP_TAKE},
    {"SendPacket, 33", DERP_SEND_PACKET, 33, DERP_TAKE},
    {"SendPacket, 65568", DERP_SEND_PACKET, 65568, DERP_TAKE},
    {"SendPacket, 65569", DERP_SEND_PACKET, 65569, DERP_BAD_LEN},
    {"SendPacket, 0", DERP_SEND_PACKET, 0, DERP_BAD_LEN},
    {"SendPacket, 4 GiB", DERP_SEND_PACKET, UINT32_MAX, DERP_BAD_LEN},
    {"NotePreferred, 0", DERP_NOTE_PREFERRED, 0, DERP_BAD_LEN},
    {"NotePreferred, 1", DERP_NOTE_PREFERRED, 1, DERP_TAKE},
    {"NotePreferred, 2", DERP_NOTE_PREFERRED, 2, DERP_BAD_LEN},
    {"Ping, 7", DERP_PING, 7, DERP_BAD_LEN},
    {"Ping, 8", DERP_PING, 8, DERP_TAKE},
    {"Ping, 1000", DERP_PING, 1000, DERP_TAKE},
    {"Ping, 1001", DERP_PING, 1001, DERP_BAD_LEN},
    /* Mesh peers alone may send these, of any length. */
    {"ForwardPacket", DERP_FORWARD_PACKET, 64, DERP_BAD_RIGHT},
    {"ForwardPacket, 0", DERP_FORWARD_PACKET, 0, DERP_BAD_RIGHT},
    {"WatchConns", DERP_WATCH_CONNS, 0, DERP_BAD_RIGHT},
    {"WatchConns, 1", DERP_WATCH_CONNS, 1, DERP_BAD_RIGHT},
    {"ClosePeer", DERP_CLOSE_PEER, 32, DERP_BAD_RIGHT},
    /* What only a server sends means nothing from a client. */
    {"ServerKey", DERP_SERVER_KEY, 40, DERP_SKIP},
    {"a second ClientInfo", DERP_CLIENT_INFO, 100, DERP_SKIP},
    {"ServerInfo", DERP_SERVER_INFO, 100, DERP_SKIP},
    {"RecvPacket", DERP_RECV_PACKET, 100, DERP_SKIP},
    {"KeepAlive", DERP_KEEP_ALIVE, 0, DERP_SKIP},
    {"PeerGone", DERP_PEER_GONE, 33, DERP_SKIP},
    {"PeerPresent", DERP_PEER_PRESENT, 51, DERP_SKIP},
    {"Pong, of any length", DERP_PONG, 3, DERP_SKIP},
    {"Health", DERP_HEALTH, 0, DERP_SKIP},
    {"Restarting", DERP_RESTARTING, 8, DERP_SKIP},
    {"type 0", 0, 0, DERP_SKIP},
    {"type 0x0b", 0x0b, 0, DERP_SKIP},
    {"type 0xff, 4 GiB", 0xff, UINT32_MAX, DERP_SKIP},
};

static void
test_judge(void)
{
	for (size_t i = 0; i < sizeof(judge_rows) / sizeof(judge_rows[0]);
	     i++) {
		const struct judge_row *r = &judge_rows[i];
		struct derp_header h = {r->type, r->len};

		eq_int(derp_judge(&h), r->want, r->what);
	}
}

static void
test_disco(void)
{
	uint8_t p[63] = "TS\xf0\x9f\x92\xac";
	bool each = true;

	ok(!derp_is_disco(p, 61), "61 bytes are too short");
	ok(derp_is_disco(p, 62), "62 bytes: magic, key and nonce");
	ok(derp_is_disco(p, 63), "63 bytes");
	ok(!derp_is_disco(p, 0) && !derp_is_disco(p, 6), "the magic alone");
	for (size_t i = 0; i < 6; i++) {
		p[i] ^= 1;
		each &= !derp_is_disco(p, sizeof(p));
		p[i] ^= 1;
	}
	ok(each, "each byte of the magic counts");
}

static void
test_frames(void)
{
	static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t out[64];

	eq_int((int64_t)derp_server_key(out, &server_pub),
	    sizeof(go_server_key), "ServerKey's size");
	eq_mem(out, go_server_key, sizeof(go_server_key), "ServerKey");
	eq_int(
	    (int64_t)derp_peer_gone(out, &client_pub, DERP_GONE_DISCONNECTED),
	    sizeof(go_gone_disconnected), "PeerGone's size");
	eq_mem(out, go_gone_disconnected, sizeof(go_gone_disconnected),
	    "PeerGone, disconnected");
	derp_peer_gone(out, &client_pub, DERP_GONE_NOT_HERE);
	eq_mem(out, go_gone_not_here, sizeof(go_gone_not_here),
	    "PeerGone, not here");
	eq_int((int64_t)derp_pong(out, data), sizeof(go_pong), "Pong's size");
	eq_mem(out, go_pong, sizeof(go_pong), "Pong");
	eq_int((int64_t)derp_keep_alive(out), sizeof(go_keep_alive),
	    "KeepAlive's size");
	eq_mem(out, go_keep_alive, sizeof(go_keep_alive), "KeepAlive");
}

static void
test_client_frames(void)
{
	static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t out[64];
	struct key k;

	eq_int((int64_t)derp_ping(out, data), sizeof(go_ping), "Ping's size");
	eq_mem(out, go_ping, sizeof(go_ping), "Ping");
	eq_int((int64_t)derp_send_packet(out, &server_pub, "hello", 5),
	    sizeof(go_send_packet), "SendPacket's size");
	eq_mem(out, go_send_packet, sizeof(go_send_packet), "SendPacket");
	eq_int((int64_t)derp_send_packet(out, &server_pub, "", 0),
	    DERP_SEND_OVERHEAD, "an empty one");
	memcpy(out, go_server_key + DERP_HEADER_LEN, 40);
	ok(derp_read_server_key(&k, out, 40) && key_equal(&k, &server_pub),
	    "ServerKey is read");
	ok(derp_read_server_key(&k, out, 64), "what follows is for later");
	for (size_t n = 0; n < 40; n++)
		ok(!derp_read_server_key(&k, out, n), "cut");
	out[7]++;
	ok(!derp_read_server_key(&k, out, 40), "another magic");
}

static void
test_sizes(void)
{
	eq_int(DERP_SERVER_KEY_SIZE, sizeof(go_server_key), "ServerKey");
	eq_int(DERP_PEER_GONE_SIZE, sizeof(go_gone_not_here), "PeerGone");
	eq_int(DERP_PONG_SIZE, sizeof(go_pong), "Pong");
	eq_int(DERP_FRAME_MAX, 65573, "the largest frame");
}

int
main(void)
{
	test_header();
	test_judge();
	test_disco();
	test_frames();
	test_client_frames();
	test_sizes();
	return tap_done();
}

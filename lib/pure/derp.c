/* derp: frames to bytes and back. */
#include <string.h>

#include "pure/derp.h"

/* "DERP" and a key: what a ServerKey frame begins with. */
static const uint8_t magic[8] = {
    0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91};

/* "TS" and a speech balloon; then sender key 32, nonce 24. */
static const uint8_t disco_magic[6] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
#define DISCO_MIN (sizeof(disco_magic) + KEY_LEN + 24)

void
derp_read_header(struct rd *r, struct derp_header *h)
{
	h->type = rd_u8(r);
	h->len = rd_u32(r);
}

static enum derp_judgement
between(const struct derp_header *h, uint32_t min, uint32_t max)
{
	return h->len >= min && h->len <= max ? DERP_TAKE : DERP_BAD_LEN;
}

enum derp_judgement
derp_judge(const struct derp_header *h)
{
	switch (h->type) {
	case DERP_SEND_PACKET:
		return between(h, KEY_LEN, KEY_LEN + DERP_PACKET_MAX);
	case DERP_NOTE_PREFERRED:
		return between(h, 1, 1);
	case DERP_PING:
		return between(h, DERP_PING_LEN, DERP_PING_MAX);
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		return DERP_BAD_RIGHT;
	default:
		return DERP_SKIP;
	}
}

bool
derp_is_disco(const uint8_t *packet, size_t n)
{
	return n >= DISCO_MIN &&
	    memcmp(packet, disco_magic, sizeof(disco_magic)) == 0;
}

void
derp_write_header(struct wr *w, enum derp_type type, uint32_t len)
{
	wr_u8(w, (uint8_t)type);
	wr_u32(w, len);
}

size_t
derp_server_key(
    uint8_t out[static DERP_SERVER_KEY_SIZE], const struct key *server)
{
	struct wr w;

	wr_init(&w, out, DERP_SERVER_KEY_SIZE);
	derp_write_header(&w, DERP_SERVER_KEY, sizeof(magic) + KEY_LEN);
	wr_bytes(&w, magic, sizeof(magic));
	wr_bytes(&w, server->b, KEY_LEN);
	return wr_len(&w);
}

size_t
derp_peer_gone(uint8_t out[static DERP_PEER_GONE_SIZE], const struct key *peer,
    enum derp_gone reason)
{
	struct wr w;

	wr_init(&w, out, DERP_PEER_GONE_SIZE);
	derp_write_header(&w, DERP_PEER_GONE, KEY_LEN + 1);
	wr_bytes(&w, peer->b, KEY_LEN);
	wr_u8(&w, (uint8_t)reason);
	return wr_len(&w);
}

static size_t
write_8(uint8_t out[static DERP_PONG_SIZE], enum derp_type type,
    const uint8_t data[static DERP_PING_LEN])
{
	struct wr w;

	wr_init(&w, out, DERP_PONG_SIZE);
	derp_write_header(&w, type, DERP_PING_LEN);
	wr_bytes(&w, data, DERP_PING_LEN);
	return wr_len(&w);
}

size_t
derp_pong(uint8_t out[static DERP_PONG_SIZE],
    const uint8_t data[static DERP_PING_LEN])
{
	return write_8(out, DERP_PONG, data);
}

size_t
derp_ping(uint8_t out[static DERP_PING_SIZE],
    const uint8_t data[static DERP_PING_LEN])
{
	return write_8(out, DERP_PING, data);
}

size_t
derp_send_packet(
    uint8_t *out, const struct key *to, const void *packet, size_t n)
{
	struct wr w;

	wr_init(&w, out, DERP_SEND_OVERHEAD + n);
	derp_write_header(&w, DERP_SEND_PACKET, (uint32_t)(KEY_LEN + n));
	wr_bytes(&w, to->b, KEY_LEN);
	wr_bytes(&w, packet, n);
	return wr_len(&w);
}

bool
derp_read_server_key(struct key *server, const uint8_t *p, size_t n)
{
	const uint8_t *start;
	struct rd r;

	rd_init(&r, p, n);
	start = rd_bytes(&r, sizeof(magic));
	rd_copy(&r, server->b, KEY_LEN);
	return !r.bad && memcmp(start, magic, sizeof(magic)) == 0;
}

size_t
derp_keep_alive(uint8_t out[static DERP_HEADER_LEN])
{
	struct wr w;

	wr_init(&w, out, DERP_HEADER_LEN);
	derp_write_header(&w, DERP_KEEP_ALIVE, 0);
	return wr_len(&w);
}

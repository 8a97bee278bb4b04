/*
 * derp: the frames of Tailscale's DERP protocol, version 2
 * (derp/derp.go; docs: the type, direction and limits of each frame).
 *
 *     0      1              5
 *     +------+--------------+----------------- - -
 *     | type | length (BE)  | payload, `length` bytes
 *     +------+--------------+----------------- - -
 *
 * SendPacket (client to relay) and RecvPacket (relay to client) have the same
 * size; a relay changes the type and the key:
 *
 *     04 | len | destination key, 32 B | packet
 *     05 | len |      source key, 32 B | packet
 */
#ifndef PURE_DERP_H
#define PURE_DERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/cursor.h"
#include "pure/key.h"

enum derp_type {
	DERP_SERVER_KEY = 0x01,
	DERP_CLIENT_INFO = 0x02,
	DERP_SERVER_INFO = 0x03,
	DERP_SEND_PACKET = 0x04,
	DERP_RECV_PACKET = 0x05,
	DERP_KEEP_ALIVE = 0x06,
	DERP_NOTE_PREFERRED = 0x07,
	DERP_PEER_GONE = 0x08,
	DERP_PEER_PRESENT = 0x09,
	DERP_FORWARD_PACKET = 0x0a,
	DERP_WATCH_CONNS = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PING = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14,
	DERP_RESTARTING = 0x15,
};

enum derp_gone {
	DERP_GONE_DISCONNECTED = 0,
	DERP_GONE_NOT_HERE = 1,
};

#define DERP_PROTOCOL_VERSION 2

#define DERP_HEADER_LEN	      5
/* The largest packet in a SendPacket; and the frame around it. */
#define DERP_PACKET_MAX 65536
#define DERP_FRAME_MAX	(DERP_HEADER_LEN + KEY_LEN + DERP_PACKET_MAX)
/* ClientInfo: key, nonce, box; derp_server.go's limits. */
#define DERP_INFO_MIN 56
#define DERP_INFO_MAX 262144
#define DERP_PING_LEN 8
#define DERP_PING_MAX 1000

struct derp_header {
	uint8_t type;
	uint32_t len; /* of the payload */
};

/* Reads a header; check r->bad. */
void derp_read_header(struct rd *r, struct derp_header *h);

/*
 * Judges a frame that an ordinary client sends, by its header alone, so that
 * no byte of a frame that is refused is ever kept.
 */
enum derp_judgement {
	DERP_TAKE, /* wait for the payload, then act */
	DERP_SKIP, /* discard the payload, of any length */
	DERP_BAD_LEN, /* close: no such length for this type */
	DERP_BAD_RIGHT, /* close: only mesh peers may send it */
};
enum derp_judgement derp_judge(const struct derp_header *h);

/* True if a packet is Tailscale's path discovery (disco/disco.go: magic,
 * sender key, nonce: 62 bytes at least). */
bool derp_is_disco(const uint8_t *packet, size_t n);

/* Frames for the other direction. Each returns its size. */
#define DERP_SERVER_KEY_SIZE (DERP_HEADER_LEN + 8 + KEY_LEN)
#define DERP_PEER_GONE_SIZE  (DERP_HEADER_LEN + KEY_LEN + 1)
#define DERP_PONG_SIZE	     (DERP_HEADER_LEN + DERP_PING_LEN)

void derp_write_header(struct wr *w, enum derp_type type, uint32_t len);
size_t derp_server_key(
    uint8_t out[static DERP_SERVER_KEY_SIZE], const struct key *server);
size_t derp_peer_gone(uint8_t out[static DERP_PEER_GONE_SIZE],
    const struct key *peer, enum derp_gone reason);
size_t derp_pong(uint8_t out[static DERP_PONG_SIZE],
    const uint8_t data[static DERP_PING_LEN]);
size_t derp_keep_alive(uint8_t out[static DERP_HEADER_LEN]);

/* What a client sends, and reads. out of derp_send_packet: n +
 * DERP_SEND_OVERHEAD bytes. */
#define DERP_PING_SIZE	   DERP_PONG_SIZE
#define DERP_SEND_OVERHEAD (DERP_HEADER_LEN + KEY_LEN)
size_t derp_ping(uint8_t out[static DERP_PING_SIZE],
    const uint8_t data[static DERP_PING_LEN]);
size_t derp_send_packet(
    uint8_t *out, const struct key *to, const void *packet, size_t n);
/* The payload of ServerKey: may be longer, what follows is for later
 * versions. False if it is none. */
bool derp_read_server_key(struct key *server, const uint8_t *p, size_t n);

#endif

/*
 * noise: the server's side of the Noise IK handshake that Tailscale clients
 * begin (Noise_IK_25519_ChaChaPoly_BLAKE2s), and the records that follow it.
 *
 *  client -> server, 101 bytes
 *    |version u16|1|96 u16| ephemeral 32 | sealed machine key 48 | tag 16 |
 *  server -> client, 51 bytes
 *    |2|48 u16| ephemeral 32 | tag 16 |
 *  record, either way, at most 4096 bytes
 *    |4|length u16| ciphertext, of which the last 16 bytes are the tag |
 *
 * The prologue is "Tailscale Control Protocol v" and the version in decimal.
 * Nonces are 4 zero bytes and a big-endian counter (the Noise text has it
 * little-endian). Facts from Tailscale's control/controlbase. No allocation.
 */
#ifndef PURE_NOISE_H
#define PURE_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"

#define NOISE_INIT_LEN	   101
#define NOISE_RESPONSE_LEN 51
#define NOISE_HEADER_LEN   3 /* of a record */
#define NOISE_TAG_LEN	   16
#define NOISE_RECORD_MAX   4096 /* on the wire, with header and tag */
#define NOISE_PLAIN_MAX	   (NOISE_RECORD_MAX - NOISE_HEADER_LEN - NOISE_TAG_LEN)

/* An established connection: one key and counter for each direction. */
struct noise {
	struct key send_key, receive_key;
	uint64_t sent, received; /* records so far: the next nonces */
};

/*
 * Answers the client's first message. priv and pub are the server's static
 * keys; ephemeral is 32 random bytes, drawn anew for each handshake. On
 * success fills response, n, the client's machine key and the protocol
 * version that it claims. False if the message is malformed, was not made
 * for this server, or holds a low-order point; nothing is to be answered.
 *
 * Success does not prove that the client is there: an old message can be
 * played again. Only its first record that opens does.
 */
bool noise_accept(struct noise *n, const struct key *priv,
    const struct key *pub, const struct key *ephemeral,
    const uint8_t init[static NOISE_INIT_LEN],
    uint8_t response[static NOISE_RESPONSE_LEN], struct key *machine,
    uint16_t *version);

/*
 * Seals len bytes of plain text (NOISE_PLAIN_MAX at most) as one record at
 * out, which has room for len + NOISE_HEADER_LEN + NOISE_TAG_LEN and does
 * not overlap p. Returns the record's length; 0 once the counter is used up.
 */
size_t noise_seal(struct noise *n, const uint8_t *p, size_t len, uint8_t *out);

enum noise_record {
	NOISE_RECORD_OK,
	NOISE_RECORD_PART, /* *need bytes are needed in all */
	NOISE_RECORD_BAD, /* wrong type, length or tag: end the connection */
};

/*
 * Opens the record at the beginning of the len bytes at p, in place. On OK
 * *plain, *plain_len is its text, inside p (it may be empty), and *used the
 * bytes to go on after.
 */
enum noise_record noise_open(struct noise *n, uint8_t *p, size_t len,
    uint8_t **plain, size_t *plain_len, size_t *used, size_t *need);

/* Wipes the keys. */
void noise_clear(struct noise *n);

#endif

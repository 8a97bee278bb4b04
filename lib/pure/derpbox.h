/*
 * derpbox: the two sealed frames of the DERP handshake, ClientInfo and
 * ServerInfo: JSON in a NaCl box (X25519, XSalsa20-Poly1305).
 *
 *     ClientInfo: | client key 32 | nonce 24 | MAC 16 | JSON, sealed |
 *     ServerInfo:                 | nonce 24 | MAC 16 | JSON, sealed |
 *
 * Nonces are arguments. JSON is parsed by jansson, which allocates; its input
 * is bounded by DERP_INFO_MAX.
 */
#ifndef PURE_DERPBOX_H
#define PURE_DERPBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/derp.h"
#include "pure/key.h"

#define DERPBOX_NONCE_LEN 24
#define DERPBOX_MAC_LEN	  16
#define DERPBOX_OVERHEAD  (DERPBOX_NONCE_LEN + DERPBOX_MAC_LEN)

/* The shared secret of two keys: one scalar multiplication per client. */
struct derpbox {
	uint8_t shared[32];
};

/* Returns false for keys that give no secret (an all-zero or low-order
 * one). */
bool derpbox_init(
    struct derpbox *box, const struct key *peer, const struct key *priv);
void derpbox_clear(struct derpbox *box);

/* Seals n bytes of text to out: n + DERPBOX_OVERHEAD bytes, nonce first. */
void derpbox_seal(const struct derpbox *box, uint8_t *out, const void *text,
    size_t n, const uint8_t nonce[static DERPBOX_NONCE_LEN]);

/* Opens nonce and box of n bytes in place; NULL if it is not genuine. The
 * text is n - DERPBOX_OVERHEAD bytes long and lies inside sealed. */
const char *derpbox_open(const struct derpbox *box, uint8_t *sealed, size_t n);

/* What a client says of itself. Field names are matched without regard to
 * case, unknown ones are ignored: as Go's encoding/json does. */
struct derp_client_info {
	int64_t version;
	bool can_ack_pings;
	bool is_prober;
	bool has_mesh_key;
	struct key mesh_key;
};

/* Returns NULL, or why the text is refused (a constant string). */
const char *derp_client_info_parse(
    struct derp_client_info *info, const char *text, size_t n);

/* The whole ClientInfo frame of a prober (derp.ClientInfo: IsProber), with the
 * client's public key; returns its size. */
#define DERP_CLIENT_INFO_SIZE 160
size_t derp_client_info(uint8_t out[static DERP_CLIENT_INFO_SIZE],
    const struct derpbox *box, const struct key *client,
    const uint8_t nonce[static DERPBOX_NONCE_LEN]);

/* The whole ServerInfo frame; returns its size. */
#define DERP_SERVER_INFO_SIZE 64
size_t derp_server_info(uint8_t out[static DERP_SERVER_INFO_SIZE],
    const struct derpbox *box, const uint8_t nonce[static DERPBOX_NONCE_LEN]);

#endif

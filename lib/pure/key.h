/*
 * key: 32-byte Curve25519 keys and their text forms, as Tailscale's
 * types/key writes them. Decoding and comparing take constant time.
 */
#ifndef PURE_KEY_H
#define PURE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_LEN 32

struct key {
	uint8_t b[KEY_LEN];
};

/* Text prefixes. A key without a prefix (HTTP header, meta certificate, mesh
 * key file) is written with KEY_HEX. */
#define KEY_HEX	      ""
#define KEY_NODE      "nodekey:"
#define KEY_PRIVATE   "privkey:"
#define KEY_MACHINE   "mkey:"
#define KEY_DISCO     "discokey:"
#define KEY_CHALLENGE "chalpub:"

/* Room for any prefix, 64 hex digits and the terminating zero. */
#define KEY_TEXT_MAX 80

/* Writes prefix + 64 lowercase hex digits; returns text. */
const char *key_text(
    const struct key *k, const char *prefix, char text[static KEY_TEXT_MAX]);

/* Reads exactly prefix + 64 hex digits of either case from n bytes of text. */
bool key_parse(struct key *k, const char *prefix, const char *text, size_t n);

/* The short form for logs, "[AbCdE]": five base64 characters; 8 bytes. */
#define KEY_SHORT_MAX 8
const char *key_short(const struct key *k, char text[static KEY_SHORT_MAX]);

bool key_equal(const struct key *a, const struct key *b);
bool key_is_zero(const struct key *k);

/* Makes 32 random bytes a private key (RFC 7748 section 5 clamping, done at
 * generation as Go's key.NewNode does). */
void key_clamp(struct key *priv);

/* The public key of a private one. */
void key_public(struct key *pub, const struct key *priv);

#endif

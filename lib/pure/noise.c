/*
 * noise: the hash, HMAC-BLAKE2s and with it HKDF are OpenSSL's, X25519 and
 * ChaCha20-Poly1305 are libsodium's. Section numbers are those of the Noise
 * Protocol Framework, revision 34.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "pure/cursor.h"
#include "pure/noise.h"

#define HASH_LEN 32

enum { TYPE_INIT = 1, TYPE_RESPONSE = 2, TYPE_RECORD = 4 };

#define SEALED_KEY_LEN (KEY_LEN + NOISE_TAG_LEN)
#define INIT_BODY      (KEY_LEN + SEALED_KEY_LEN + NOISE_TAG_LEN)
#define RESPONSE_BODY  (KEY_LEN + NOISE_TAG_LEN)

_Static_assert(NOISE_INIT_LEN == 5 + INIT_BODY, "first message");
_Static_assert(NOISE_RESPONSE_LEN == 3 + RESPONSE_BODY, "second message");
_Static_assert(
    NOISE_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(KEY_LEN == crypto_scalarmult_BYTES, "point");

/* CipherState and SymmetricState of section 5. Bad stays bad. */
struct handshake {
	uint8_t h[HASH_LEN], ck[HASH_LEN];
	struct key k; /* seals one text, with nonce 0 */
	bool bad;
};

/* Nonces count up in the last 8 of 12 bytes. */
static void
nonce_write(uint8_t nonce[static 12], uint64_t count)
{
	struct wr w;

	wr_init(&w, nonce, 12);
	wr_zero(&w, 4);
	wr_u64(&w, count);
}

/* Writes n + NOISE_TAG_LEN bytes. */
static void
aead_seal(uint8_t *out, const uint8_t *p, size_t n, const uint8_t *ad,
    size_t ad_len, const struct key *k, uint64_t count)
{
	uint8_t nonce[12];

	nonce_write(nonce, count);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
	    out, NULL, p, n, ad, ad_len, NULL, nonce, k->b);
}

/* Opens n bytes, the last of which are the tag. */
static bool
aead_open(uint8_t *out, const uint8_t *p, size_t n, const uint8_t *ad,
    size_t ad_len, const struct key *k, uint64_t count)
{
	uint8_t nonce[12];

	nonce_write(nonce, count);
	return crypto_aead_chacha20poly1305_ietf_decrypt(
		   out, NULL, NULL, p, n, ad, ad_len, nonce, k->b) == 0;
}

/* One of HKDF's HMACs: of n bytes at p, which may be none. */
static void
hmac(struct handshake *hs, uint8_t out[static HASH_LEN],
    const uint8_t key[static HASH_LEN], const uint8_t *p, size_t n)
{
	unsigned len = 0;

	if (HMAC(EVP_blake2s256(), key, HASH_LEN, p, n, out, &len) == NULL ||
	    len != HASH_LEN)
		hs->bad = true;
}

/* HKDF of section 4.3, with two outputs. out1 may be the chaining key. */
static void
hkdf(struct handshake *hs, const uint8_t *ikm, size_t n,
    uint8_t out1[static HASH_LEN], uint8_t out2[static HASH_LEN])
{
	uint8_t prk[HASH_LEN], block[HASH_LEN + 1] = {1};

	hmac(hs, prk, hs->ck, ikm, n);
	hmac(hs, out1, prk, block, 1);
	memcpy(block, out1, HASH_LEN);
	block[HASH_LEN] = 2;
	hmac(hs, out2, prk, block, sizeof(block));
	sodium_memzero(prk, sizeof(prk));
	sodium_memzero(block, sizeof(block));
}

/* h = HASH(h || data); all that is hashed is shorter than a few keys. */
static void
mix_hash(struct handshake *hs, const void *p, size_t n)
{
	uint8_t both[HASH_LEN + SEALED_KEY_LEN];
	unsigned len = 0;

	if (n > sizeof(both) - HASH_LEN) {
		hs->bad = true;
		return;
	}
	memcpy(both, hs->h, HASH_LEN);
	memcpy(both + HASH_LEN, p, n);
	if (EVP_Digest(
		both, HASH_LEN + n, hs->h, &len, EVP_blake2s256(), NULL) != 1 ||
	    len != HASH_LEN)
		hs->bad = true;
}

/* MixKey(DH(priv, pub)). A secret of zeros comes of a low-order point only,
 * and would be known to anybody. */
static void
mix_key(struct handshake *hs, const struct key *priv, const struct key *pub)
{
	struct key secret;

	if (crypto_scalarmult(secret.b, priv->b, pub->b) != 0 ||
	    key_is_zero(&secret))
		hs->bad = true;
	else
		hkdf(hs, secret.b, KEY_LEN, hs->ck, hs->k.b);
	sodium_memzero(&secret, sizeof(secret));
}

/* DecryptAndHash of n bytes, tag and all. */
static void
open_and_hash(struct handshake *hs, uint8_t *out, const uint8_t *p, size_t n)
{
	if (hs->bad || !aead_open(out, p, n, hs->h, HASH_LEN, &hs->k, 0))
		hs->bad = true;
	mix_hash(hs, p, n);
}

/* What both sides know before the first message (sections 5.3 and 8). */
static void
handshake_init(
    struct handshake *hs, const struct key *server_pub, uint16_t version)
{
	static const char name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
	char prologue[40];
	unsigned len = 0;
	int n;

	memset(hs, 0, sizeof(*hs));
	if (EVP_Digest(name, sizeof(name) - 1, hs->h, &len, EVP_blake2s256(),
		NULL) != 1 ||
	    len != HASH_LEN)
		hs->bad = true;
	memcpy(hs->ck, hs->h, HASH_LEN);
	n = snprintf(prologue, sizeof(prologue),
	    "Tailscale Control Protocol v%u", version);
	mix_hash(hs, prologue, (size_t)n);
	mix_hash(hs, server_pub->b, KEY_LEN);
}

/* "-> e, es, s, ss" and its payload, which is empty. */
static void
read_init(struct handshake *hs, const struct key *priv, const uint8_t *body,
    struct key *client, struct key *machine)
{
	struct rd r;
	uint8_t none[1];

	rd_init(&r, body, INIT_BODY);
	rd_copy(&r, client->b, KEY_LEN);
	mix_hash(hs, client->b, KEY_LEN);
	mix_key(hs, priv, client);
	open_and_hash(
	    hs, machine->b, rd_bytes(&r, SEALED_KEY_LEN), SEALED_KEY_LEN);
	if (!hs->bad)
		mix_key(hs, priv, machine);
	open_and_hash(hs, none, rd_bytes(&r, NOISE_TAG_LEN), NOISE_TAG_LEN);
}

/* "<- e, ee, se" and its payload, which is empty. */
static void
write_response(struct handshake *hs, const struct key *ephemeral,
    const struct key *client, const struct key *machine, uint8_t *response)
{
	struct key pub;
	struct wr w;
	uint8_t *tag;

	key_public(&pub, ephemeral);
	mix_hash(hs, pub.b, KEY_LEN);
	mix_key(hs, ephemeral, client);
	mix_key(hs, ephemeral, machine);
	wr_init(&w, response, NOISE_RESPONSE_LEN);
	wr_u8(&w, TYPE_RESPONSE);
	wr_u16(&w, RESPONSE_BODY);
	wr_bytes(&w, pub.b, KEY_LEN);
	if ((tag = wr_room(&w, NOISE_TAG_LEN)) == NULL) {
		hs->bad = true;
		return;
	}
	aead_seal(tag, NULL, 0, hs->h, HASH_LEN, &hs->k, 0);
}

bool
noise_accept(struct noise *n, const struct key *priv, const struct key *pub,
    const struct key *ephemeral, const uint8_t init[static NOISE_INIT_LEN],
    uint8_t response[static NOISE_RESPONSE_LEN], struct key *machine,
    uint16_t *version)
{
	struct handshake hs;
	struct key client;
	struct rd r;
	bool good;

	memset(n, 0, sizeof(*n));
	memset(machine, 0, sizeof(*machine));
	rd_init(&r, init, NOISE_INIT_LEN);
	*version = rd_u16(&r);
	if (rd_u8(&r) != TYPE_INIT || rd_u16(&r) != INIT_BODY)
		return false;
	handshake_init(&hs, pub, *version);
	read_init(&hs, priv, rd_bytes(&r, INIT_BODY), &client, machine);
	if (!hs.bad)
		write_response(&hs, ephemeral, &client, machine, response);
	if (!hs.bad)
		hkdf(&hs, NULL, 0, n->receive_key.b, n->send_key.b);
	good = !hs.bad;
	sodium_memzero(&hs, sizeof(hs));
	if (!good) {
		noise_clear(n);
		memset(machine, 0, sizeof(*machine));
		memset(response, 0, NOISE_RESPONSE_LEN);
	}
	return good;
}

/* The last number, 2^64 - 1, is never used (section 5.1). */
static bool
counter_used_up(uint64_t count)
{
	return count == UINT64_MAX;
}

size_t
noise_seal(struct noise *n, const uint8_t *p, size_t len, uint8_t *out)
{
	struct wr w;

	if (len > NOISE_PLAIN_MAX || counter_used_up(n->sent))
		return 0;
	wr_init(&w, out, NOISE_HEADER_LEN);
	wr_u8(&w, TYPE_RECORD);
	wr_u16(&w, (uint16_t)(len + NOISE_TAG_LEN));
	aead_seal(
	    out + NOISE_HEADER_LEN, p, len, NULL, 0, &n->send_key, n->sent++);
	return NOISE_HEADER_LEN + len + NOISE_TAG_LEN;
}

enum noise_record
noise_open(struct noise *n, uint8_t *p, size_t len, uint8_t **plain,
    size_t *plain_len, size_t *used, size_t *need)
{
	uint8_t *body = p + NOISE_HEADER_LEN;
	uint8_t type;
	size_t size;
	struct rd r;

	rd_init(&r, p, len);
	type = rd_u8(&r);
	if (!r.bad && type != TYPE_RECORD)
		return NOISE_RECORD_BAD;
	size = rd_u16(&r);
	if (r.bad) {
		*need = NOISE_HEADER_LEN;
		return NOISE_RECORD_PART;
	}
	if (size < NOISE_TAG_LEN || size > NOISE_RECORD_MAX - NOISE_HEADER_LEN)
		return NOISE_RECORD_BAD;
	if (size > rd_left(&r)) {
		*need = NOISE_HEADER_LEN + size;
		return NOISE_RECORD_PART;
	}
	if (counter_used_up(n->received) ||
	    !aead_open(body, body, size, NULL, 0, &n->receive_key, n->received))
		return NOISE_RECORD_BAD;
	n->received++;
	*plain = body;
	*plain_len = size - NOISE_TAG_LEN;
	*used = NOISE_HEADER_LEN + size;
	return NOISE_RECORD_OK;
}

void
noise_clear(struct noise *n)
{
	sodium_memzero(n, sizeof(*n));
}

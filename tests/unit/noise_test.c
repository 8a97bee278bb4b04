/*
 * noise: Go's handshake and records, byte for byte; a client written here
 * from the Noise text goes through it with other keys and versions; nothing
 * that was changed, cut or made for another server is taken.
 */
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>

#include "pure/noise.h"
#include "tests/tap.h"
#include "tests/unit/noise_vectors.h"

/* ---- a client ---- */

struct client {
	uint8_t h[32], ck[32], k[32];
	struct key ephemeral; /* private */
	const struct key *low_ephemeral; /* if set, said instead */
	bool low_machine;
	struct noise n; /* once it has the response */
};

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
client_hash(struct client *c, const void *p, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len;

	must(ctx != NULL && EVP_DigestInit(ctx, EVP_blake2s256()) == 1 &&
	    EVP_DigestUpdate(ctx, c->h, 32) == 1 &&
	    EVP_DigestUpdate(ctx, p, n) == 1 &&
	    EVP_DigestFinal(ctx, c->h, &len) == 1 && len == 32);
	EVP_MD_CTX_free(ctx);
}

/* HKDF by OpenSSL's own, which lib/pure does not use. */
static void
client_hkdf(const struct client *c, const uint8_t *ikm, size_t n,
    uint8_t out1[32], uint8_t out2[32])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char digest[] = "BLAKE2S-256";
	uint8_t salt[32], key[32] = {0}, out[64];
	OSSL_PARAM params[4];

	memcpy(salt, c->ck, 32);
	if (n > 0)
		memcpy(key, ikm, n);
	params[0] = OSSL_PARAM_construct_utf8_string("digest", digest, 0);
	params[1] = OSSL_PARAM_construct_octet_string("salt", salt, 32);
	params[2] = OSSL_PARAM_construct_octet_string("key", key, n);
	params[3] = OSSL_PARAM_construct_end();
	must(ctx != NULL && EVP_KDF_derive(ctx, out, 64, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	memcpy(out1, out, 32);
	memcpy(out2, out + 32, 32);
}

static void
client_dh(struct client *c, const struct key *priv, const struct key *pub)
{
	uint8_t secret[32];

	must(crypto_scalarmult(secret, priv->b, pub->b) == 0);
	client_hkdf(c, secret, 32, c->ck, c->k);
}

/* What a low-order point gives with any key. */
static void
client_dh_low(struct client *c)
{
	static const uint8_t secret[32];

	client_hkdf(c, secret, 32, c->ck, c->k);
}

static void
client_seal(struct client *c, uint8_t *out, const void *p, size_t n)
{
	static const uint8_t nonce[12];

	crypto_aead_chacha20poly1305_ietf_encrypt(
	    out, NULL, p, n, c->h, 32, NULL, nonce, c->k);
	client_hash(c, out, n + NOISE_TAG_LEN);
}

/* A first message. machine_pub need not belong to machine. */
static void
client_begin(struct client *c, uint16_t version, const struct key *server,
    const struct key *machine, const struct key *machine_pub,
    uint8_t init[NOISE_INIT_LEN])
{
	char prologue[64];
	struct key pub;
	unsigned len;
	int n = snprintf(prologue, sizeof(prologue),
	    "Tailscale Control Protocol v%d", version);

	must(EVP_Digest("Noise_IK_25519_ChaChaPoly_BLAKE2s", 33, c->h, &len,
		 EVP_blake2s256(), NULL) == 1);
	memcpy(c->ck, c->h, 32);
	client_hash(c, prologue, (size_t)n);
	client_hash(c, server->b, 32);

	memcpy(init, "\0\0\1\0\x60", 5);
	init[0] = (uint8_t)(version >> 8);
	init[1] = (uint8_t)version;
	key_public(&pub, &c->ephemeral);
	if (c->low_ephemeral != NULL)
		pub = *c->low_ephemeral;
	memcpy(init + 5, pub.b, 32);
	client_hash(c, pub.b, 32);
	if (c->low_ephemeral != NULL)
		client_dh_low(c);
	else
		client_dh(c, &c->ephemeral, server);
	client_seal(c, init + 37, machine_pub->b, 32);
	if (c->low_machine)
		client_dh_low(c);
	else
		client_dh(c, machine, server);
	client_seal(c, init + 85, "", 0);
}

/* False unless the response is what the server must say. */
static bool
client_end(struct client *c, const struct key *machine,
    const uint8_t response[NOISE_RESPONSE_LEN])
{
	static const uint8_t nonce[12];
	struct key pub;
	uint8_t none[1];

	memcpy(pub.b, response + 3, 32);
	client_hash(c, pub.b, 32);
	client_dh(c, &c->ephemeral, &pub);
	client_dh(c, machine, &pub);
	memset(&c->n, 0, sizeof(c->n));
	client_hkdf(c, NULL, 0, c->n.send_key.b, c->n.receive_key.b);
	return memcmp(response, "\2\0\x30", 3) == 0 &&
	    crypto_aead_chacha20poly1305_ietf_decrypt(none, NULL, NULL,
		response + 35, 16, c->h, 32, nonce, c->k) == 0;
}

static void
begin_go(struct client *c, uint16_t version, uint8_t init[NOISE_INIT_LEN])
{
	*c = (struct client){.ephemeral = go_client_ephemeral};
	client_begin(c, version, &go_server_pub, &go_machine_priv,
	    &go_machine_pub, init);
}

/* What the server of the vectors says to a first message. */
struct answer {
	bool good;
	struct noise n;
	uint8_t response[NOISE_RESPONSE_LEN];
	struct key machine;
	uint16_t version;
};

static bool
accept_go(struct answer *a, const uint8_t init[NOISE_INIT_LEN])
{
	memset(a, 0xee, sizeof(*a));
	a->good = noise_accept(&a->n, &go_server_priv, &go_server_pub,
	    &go_server_ephemeral, init, a->response, &a->machine, &a->version);
	return a->good;
}

/* ---- the handshake ---- */

static void
test_go_handshake(void)
{
	uint8_t init[NOISE_INIT_LEN];
	struct client c;
	struct answer a;

	ok(accept_go(&a, go_init), "Go's first message");
	eq_mem(a.response, go_response, sizeof(go_response), "Go's answer");
	eq_mem(a.machine.b, go_machine_pub.b, 32, "the machine");
	eq_int(a.version, GO_VERSION, "the version");
	eq_mem(a.n.receive_key.b, go_to_server_key.b, 32, "the client's key");
	eq_mem(a.n.send_key.b, go_to_client_key.b, 32, "the server's key");
	ok(a.n.sent == 0 && a.n.received == 0, "no records so far");

	begin_go(&c, GO_VERSION, init);
	eq_mem(init, go_init, sizeof(go_init), "the client here is as Go's");
	ok(client_end(&c, &go_machine_priv, go_response), "and content");
	eq_mem(c.n.send_key.b, go_to_server_key.b, 32, "with the same keys");
	noise_clear(&a.n);
	ok(sodium_is_zero((uint8_t *)&a.n, sizeof(a.n)), "cleared");
}

/* The version is part of what is sealed, from the oldest to the last. */
static void
test_versions(void)
{
	static const uint16_t versions[] = {
	    0, 1, 9, 10, 39, 68, 99, 100, 142, 143, 9999, 10000, 65535};
	const size_t n = sizeof(versions) / sizeof(versions[0]);
	uint8_t init[NOISE_INIT_LEN];
	bool good = true, other = false;
	struct client c;
	struct answer a;

	for (size_t i = 0; i < n; i++) {
		begin_go(&c, versions[i], init);
		good &= accept_go(&a, init) && a.version == versions[i] &&
		    client_end(&c, &go_machine_priv, a.response);
		init[1] ^= 1;
		other |= accept_go(&a, init);
		init[1] ^= 1;
		init[0] ^= 0x80;
		other |= accept_go(&a, init);
	}
	ok(good, "versions 0 to 65535");
	ok(!other, "another number in the head is refused");
}

static void
test_other_keys(void)
{
	uint8_t init[NOISE_INIT_LEN];
	struct key machine, machine_pub;
	bool good = true;
	struct client c = {0};
	struct answer a;

	for (unsigned i = 1; i <= 32; i++) {
		memset(machine.b, (int)i, KEY_LEN);
		memset(c.ephemeral.b, (int)(255 - i), KEY_LEN);
		key_public(&machine_pub, &machine);
		client_begin(&c, GO_VERSION, &go_server_pub, &machine,
		    &machine_pub, init);
		good &= accept_go(&a, init) &&
		    key_equal(&a.machine, &machine_pub) &&
		    client_end(&c, &machine, a.response);
	}
	ok(good, "32 machines");
}

/* A refused message leaves nothing behind: no key, no answer, no machine. */
static bool
refused(const uint8_t init[NOISE_INIT_LEN])
{
	struct answer a;

	return !accept_go(&a, init) &&
	    sodium_is_zero((uint8_t *)&a.n, sizeof(a.n)) &&
	    key_is_zero(&a.machine);
}

static void
test_changed(void)
{
	uint8_t init[NOISE_INIT_LEN];
	bool each = true;

	for (size_t bit = 0; bit < 8 * sizeof(init); bit++) {
		memcpy(init, go_init, sizeof(init));
		init[bit / 8] ^= (uint8_t)(1 << bit % 8);
		each &= refused(init);
	}
	ok(each, "a change of any bit is refused");
	memcpy(init, go_init, sizeof(init));
	init[2] = 2;
	ok(refused(init), "a response is no first message");
	init[2] = 1;
	init[4] = 95;
	ok(refused(init), "nor is one of 95 bytes");
	memset(init + 5, 0, sizeof(init) - 5);
	init[4] = 96;
	ok(refused(init), "nor are zeros");
}

static void
test_not_for_us(void)
{
	uint8_t init[NOISE_INIT_LEN], response[NOISE_RESPONSE_LEN];
	struct key machine, wrong;
	struct client c = {.ephemeral = go_client_ephemeral};
	uint16_t version;
	struct answer a;
	struct noise n;

	client_begin(&c, GO_VERSION, &go_machine_pub, &go_machine_priv,
	    &go_machine_pub, init);
	ok(refused(init), "made for another server");
	client_begin(&c, GO_VERSION, &go_server_pub, &go_client_ephemeral,
	    &go_machine_pub, init);
	ok(refused(init), "made without the machine's private key");
	ok(!noise_accept(&n, &go_machine_priv, &go_server_pub,
	       &go_server_ephemeral, go_init, response, &machine, &version),
	    "wrong private key");
	ok(!noise_accept(&n, &go_server_priv, &go_machine_pub,
	       &go_server_ephemeral, go_init, response, &machine, &version),
	    "wrong public key");

	/* The other way round: a client that spoke to somebody else. */
	begin_go(&c, GO_VERSION, init);
	accept_go(&a, init);
	a.response[40] ^= 1;
	ok(!client_end(&c, &go_machine_priv, a.response),
	    "a client sees a changed answer");
	wrong = go_server_ephemeral;
	begin_go(&c, GO_VERSION, init);
	accept_go(&a, init);
	ok(!client_end(&c, &wrong, a.response), "and nobody else can use it");
}

/* Points of low order make a secret that everybody knows. */
static void
test_low_order(void)
{
	static const struct key low[] = {{{0}}, {{1}},
	    {{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c,
		0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8,
		0x00}},
	    {{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x7f}}};
	uint8_t init[NOISE_INIT_LEN];
	bool machine = true, ephemeral = true;

	/* All that follows is sealed as it must be: only the point is wrong. */
	for (size_t i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		struct client a = {
		    .ephemeral = go_client_ephemeral, .low_machine = true};
		struct client b = {.low_ephemeral = &low[i]};

		client_begin(&a, GO_VERSION, &go_server_pub, &go_machine_priv,
		    &low[i], init);
		machine &= refused(init);
		client_begin(&b, GO_VERSION, &go_server_pub, &go_machine_priv,
		    &go_machine_pub, init);
		ephemeral &= refused(init);
	}
	ok(ephemeral, "low-order ephemeral keys are refused");
	ok(machine, "low-order machine keys are refused");
}

/* ---- records ---- */

struct opened {
	enum noise_record result;
	uint8_t *plain;
	size_t plain_len, used, need;
};

static struct opened
open_record(struct noise *n, uint8_t *p, size_t len)
{
	struct opened o = {0};

	o.result =
	    noise_open(n, p, len, &o.plain, &o.plain_len, &o.used, &o.need);
	return o;
}

/* Both ends after Go's handshake. */
static void
connect_go(struct noise *server, struct noise *client)
{
	struct answer a;

	accept_go(&a, go_init);
	*server = a.n;
	memset(client, 0, sizeof(*client));
	client->send_key = server->receive_key;
	client->receive_key = server->send_key;
}

static void
test_go_records(void)
{
	uint8_t out[64], in[48];
	struct noise server, client;
	struct opened o;

	connect_go(&server, &client);
	eq_int((int64_t)noise_seal(&server, (const uint8_t *)"hello", 5, out),
	    24, "a record of 5 bytes");
	eq_mem(out, go_server_record_0, 24, "Go's first");
	noise_seal(&server, (const uint8_t *)"world", 5, out);
	eq_mem(out, go_server_record_1, 24, "Go's second");
	memcpy(in, go_client_record_0, 24);
	memcpy(in + 24, go_client_record_1, 24);
	o = open_record(&server, in, sizeof(in));
	ok(o.result == NOISE_RECORD_OK && o.used == 24 && o.plain_len == 5 &&
		memcmp(o.plain, "HELLO", 5) == 0,
	    "Go's record opens");
	ok(o.plain == in + NOISE_HEADER_LEN, "in place");
	o = open_record(&server, in + 24, 24);
	ok(o.result == NOISE_RECORD_OK && o.used == 24 && o.plain_len == 5 &&
		memcmp(o.plain, "WORLD", 5) == 0,
	    "and the next");
	ok(server.sent == 2 && server.received == 2, "both are counted");
}

/* Of each length, to and fro. */
static void
test_lengths(void)
{
	uint8_t *plain = malloc(NOISE_PLAIN_MAX + 1);
	bool to = true, fro = true;
	struct noise server, client;
	struct opened o;

	connect_go(&server, &client);
	for (size_t n = 0; n <= NOISE_PLAIN_MAX; n++) {
		/* Of exactly this size: no byte behind is touched. */
		uint8_t *out = malloc(n + 19);
		size_t len;

		memset(plain, (int)n, n);
		len = noise_seal(&server, plain, n, out);
		o = open_record(&client, out, len);
		to &= len == n + 19 && o.result == NOISE_RECORD_OK &&
		    o.used == len && o.plain_len == n &&
		    memcmp(o.plain, plain, n) == 0;
		len = noise_seal(&client, plain, n, out);
		o = open_record(&server, out, len);
		fro &= o.result == NOISE_RECORD_OK && o.plain_len == n &&
		    memcmp(o.plain, plain, n) == 0;
		free(out);
	}
	ok(to, "0 to 4077 bytes from the server");
	ok(fro, "and from the client");
	eq_int((int64_t)noise_seal(&server, plain, NOISE_PLAIN_MAX + 1, NULL),
	    0, "4078 bytes are too many");
	eq_int((int64_t)server.sent, NOISE_PLAIN_MAX + 1, "and not counted");
	free(plain);
}

static void
test_parts(void)
{
	uint8_t whole[NOISE_RECORD_MAX];
	bool each = true;
	struct noise server, client;
	struct opened o;
	size_t n;

	connect_go(&server, &client);
	memset(whole, 7, sizeof(whole));
	n = noise_seal(&client, whole, 300, whole + 400);
	memmove(whole, whole + 400, n);
	for (size_t len = 0; len < n; len++) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, whole, len);
		o = open_record(&server, cut, len);
		each &= o.result == NOISE_RECORD_PART &&
		    o.need == (len < 3 ? 3 : n) && memcmp(cut, whole, len) == 0;
		free(cut);
	}
	ok(each, "a part says how much is needed");
	o = open_record(&server, whole, n);
	eq_int(o.result, NOISE_RECORD_OK, "and the whole still opens");
}

static void
test_heads(void)
{
	static const uint8_t largest[] = {4, 0x0f, 0xfd};
	static const uint8_t heads[][3] = {{4, 0x0f, 0xfe}, {4, 0x10, 0},
	    {4, 0xff, 0xff}, {4, 0, 15}, {4, 0, 0}, {0, 0, 16}, {1, 0, 96},
	    {2, 0, 48}, {3, 0, 16}, {5, 0, 16}, {0x84, 0, 16}};
	uint8_t buf[NOISE_RECORD_MAX] = {0};
	struct noise server, client;
	bool bad = true;

	connect_go(&server, &client);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		memcpy(buf, heads[i], 3);
		/* At once, not when all of it is there. */
		bad &= open_record(&server, buf, 3).result == NOISE_RECORD_BAD;
	}
	ok(bad, "wrong types and lengths");
	buf[0] = 'G';
	eq_int(open_record(&server, buf, 1).result, NOISE_RECORD_BAD,
	    "a wrong type is seen in the first byte");
	memcpy(buf, largest, 3);
	eq_int((int64_t)open_record(&server, buf, 3).need, NOISE_RECORD_MAX,
	    "4096 bytes may be waited for");
	eq_int((int64_t)server.received, 0, "nothing was counted");
}

static void
test_changed_records(void)
{
	uint8_t buf[24];
	bool each = true;
	struct noise server, client, at;

	connect_go(&server, &client);
	for (size_t bit = 0; bit < 8 * sizeof(buf); bit++) {
		at = server;
		memcpy(buf, go_client_record_0, sizeof(buf));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		each &= open_record(&at, buf, sizeof(buf)).result !=
			NOISE_RECORD_OK &&
		    at.received == 0;
	}
	ok(each, "a change of any bit shows");
	memcpy(buf, go_client_record_1, sizeof(buf));
	eq_int(open_record(&server, buf, sizeof(buf)).result, NOISE_RECORD_BAD,
	    "the second is not the first");
	memcpy(buf, go_server_record_0, sizeof(buf));
	eq_int(open_record(&server, buf, sizeof(buf)).result, NOISE_RECORD_BAD,
	    "one's own does not come back");
	memcpy(buf, go_client_record_0, sizeof(buf));
	eq_int(open_record(&server, buf, sizeof(buf)).result, NOISE_RECORD_OK,
	    "the first opens");
	memcpy(buf, go_client_record_0, sizeof(buf));
	eq_int(open_record(&server, buf, sizeof(buf)).result, NOISE_RECORD_BAD,
	    "but once only");
}

static void
test_counter(void)
{
	static const uint64_t edges[] = {
	    255, 256, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX - 2};
	uint8_t out[24] = {0}, big[24];
	bool good = true;
	struct noise server, client;

	connect_go(&server, &client);
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		server.received = client.sent = edges[i];
		for (int j = 0; j < 2; j++) {
			good &= noise_seal(&client, (const uint8_t *)"count", 5,
				    out) == 24;
			memcpy(big, out, 24);
			good &= open_record(&server, out, 24).result ==
			    NOISE_RECORD_OK;
		}
	}
	ok(good, "over 8, 32 and nearly 64 bits");
	ok(client.sent == UINT64_MAX && server.received == UINT64_MAX,
	    "at the end");
	eq_int((int64_t)noise_seal(&client, (const uint8_t *)"count", 5, out),
	    0, "nothing more is sealed");
	eq_int(open_record(&server, big, 24).result, NOISE_RECORD_BAD,
	    "nor opened");
	ok(client.sent == UINT64_MAX && server.received == UINT64_MAX,
	    "and it does not begin again");
}

int
main(void)
{
	must(sodium_init() != -1);
	test_go_handshake();
	test_versions();
	test_other_keys();
	test_changed();
	test_not_for_us();
	test_low_order();
	test_go_records();
	test_lengths();
	test_parts();
	test_heads();
	test_changed_records();
	test_counter();
	return tap_done();
}

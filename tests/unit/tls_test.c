/* tls: OpenSSL's own client against the transform, joined by memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "run/tls.h"
#include "tests/tap.h"

static char crt[] = "/tmp/tls_test.crt.XXXXXX";
static char key[] = "/tmp/tls_test.key.XXXXXX";

static bool
make_files(void)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *cf = fdopen(mkstemp(crt), "w"), *kf = fdopen(mkstemp(key), "w");
	bool good;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, k);
	good = X509_sign(x, k, EVP_sha256()) != 0 && PEM_write_X509(cf, x) &&
	    PEM_write_PrivateKey(kf, k, NULL, NULL, 0, NULL, NULL);
	fclose(cf);
	fclose(kf);
	X509_free(x);
	EVP_PKEY_free(k);
	return good;
}

struct pair {
	struct tls *server;
	SSL *client;
	BIO *to_client, *to_server;
	uint8_t fed[65536], wire[65536];
};

static size_t
from_client(struct pair *p)
{
	int n = BIO_read(p->to_server, p->fed, sizeof(p->fed));

	tls_feed(p->server, p->fed, n > 0 ? (size_t)n : 0);
	return n > 0 ? (size_t)n : 0;
}

static void
to_client(struct pair *p, const struct tls_wire *out)
{
	if (out->n > 0)
		BIO_write(p->to_client, out->p, (int)out->n);
}

static bool
connect_pair(struct pair *p, struct tls_context *c, SSL_CTX *ctx, int version)
{
	enum tls_result r = TLS_WANT;

	p->server = tls_new(c);
	p->client = SSL_new(ctx);
	p->to_client = BIO_new(BIO_s_mem());
	p->to_server = BIO_new(BIO_s_mem());
	SSL_set_bio(p->client, p->to_client, p->to_server);
	SSL_set_max_proto_version(p->client, version);
	for (int i = 0; i < 4; i++) {
		struct tls_wire out = {p->wire, 0, sizeof(p->wire)};

		SSL_connect(p->client);
		from_client(p);
		if (r == TLS_WANT)
			r = tls_handshake(p->server, &out);
		to_client(p, &out);
	}
	return r == TLS_DONE && SSL_is_init_finished(p->client);
}

static void
end_pair(struct pair *p)
{
	SSL_free(p->client);
	tls_free(p->server);
}

static enum tls_result
server_read(struct pair *p, char *text, size_t cap, size_t *n)
{
	struct tls_wire out = {p->wire, 0, sizeof(p->wire)};
	enum tls_result r = tls_read(p->server, (uint8_t *)text, cap, n, &out);

	to_client(p, &out);
	return r;
}

static void
test_data(struct tls_context *c, SSL_CTX *ctx, int version)
{
	struct pair p;
	struct tls_wire out = {p.wire, 0, sizeof(p.wire)};
	char text[64];
	size_t n;

	ok(connect_pair(&p, c, ctx, version), "handshake");
	eq_int(tls_minor_version(p.server), version - TLS1_VERSION, "version");
	SSL_write(p.client, "hello", 5);
	from_client(&p);
	eq_int(server_read(&p, text, sizeof(text), &n), TLS_DONE, "data");
	ok(n == 5 && memcmp(text, "hello", 5) == 0, "as it was sent");
	eq_int(server_read(&p, text, sizeof(text), &n), TLS_WANT, "no more");
	eq_int(tls_write(p.server, (const uint8_t *)"there", 5, &out), TLS_DONE,
	    "an answer");
	to_client(&p, &out);
	ok(SSL_read(p.client, text, sizeof(text)) == 5 &&
		memcmp(text, "there", 5) == 0,
	    "arrives");
	SSL_shutdown(p.client);
	from_client(&p);
	eq_int(server_read(&p, text, sizeof(text), &n), TLS_CLOSED, "the end");
	end_pair(&p);
}

/* Each asked-for key update is answered; a stream of them is an attack. */
static void
test_chatter(struct tls_context *c, SSL_CTX *ctx)
{
	struct pair p;
	enum tls_result r = TLS_WANT;
	char text[64];
	size_t n;
	int updates = 0;

	ok(connect_pair(&p, c, ctx, TLS1_3_VERSION), "handshake");
	for (int i = 0; i < 100; i++) {
		SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
		SSL_write(p.client, "x", 1);
		from_client(&p);
		updates += server_read(&p, text, sizeof(text), &n) == TLS_DONE;
	}
	eq_int(updates, 100, "key updates with data between them");
	for (updates = 0; updates < 100 && r == TLS_WANT; updates++) {
		SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
		SSL_do_handshake(p.client);
		from_client(&p);
		r = server_read(&p, text, sizeof(text), &n);
	}
	eq_int(r, TLS_FAILED, "key updates alone are refused");
	ok(updates >= 16 && updates <= 18, "after 16 of them");
	end_pair(&p);
}

/* A client that offers protocols must offer the one that is spoken. */
static void
test_protocol(const struct tls_conf *files, SSL_CTX *ctx, const char *spoken)
{
	static const unsigned char offered[] = "\x08http/1.1\x03stu";
	struct tls_conf conf = *files;
	char error[TLS_ERROR_MAX];
	const unsigned char *chosen;
	struct tls_context *c;
	unsigned n = 0;
	struct pair p;
	bool good;

	conf.protocol = spoken;
	c = tls_context_new(&conf, error);
	SSL_CTX_set_alpn_protos(ctx, offered, sizeof(offered) - 1);
	good = connect_pair(&p, c, ctx, TLS1_3_VERSION);
	SSL_get0_alpn_selected(p.client, &chosen, &n);
	if (spoken == NULL || strcmp(spoken, "stu") == 0) {
		ok(good, "one of two protocols is spoken");
		eq_int(n, spoken == NULL ? 8 : 3, "the right one");
	} else
		ok(!good, "none of two protocols is spoken");
	end_pair(&p);
	SSL_CTX_set_alpn_protos(ctx, NULL, 0);
	ok(connect_pair(&p, c, ctx, TLS1_3_VERSION),
	    "a client without a protocol is served");
	end_pair(&p);
	tls_context_free(c);
}

int
main(void)
{
	char error[TLS_ERROR_MAX];
	struct tls_conf conf = {.cert_file = crt, .key_file = key};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls_context *c;

	if (!make_files())
		return 1;
	c = tls_context_new(&conf, error);
	if (!ok(c != NULL, "a certificate and its key"))
		return 1;
	test_data(c, ctx, TLS1_3_VERSION);
	test_data(c, ctx, TLS1_2_VERSION);
	test_chatter(c, ctx);
	tls_context_free(c);
	test_protocol(&conf, ctx, NULL);
	test_protocol(&conf, ctx, "stu");
	test_protocol(&conf, ctx, "stun.nat-discovery");
	conf.key_file = crt;
	ok(tls_context_new(&conf, error) == NULL, "a key that is none");
	conf.cert_file = "/nonexistent";
	ok(tls_context_new(&conf, error) == NULL, "no certificate");
	SSL_CTX_free(ctx);
	unlink(crt);
	unlink(key);
	return tap_done();
}

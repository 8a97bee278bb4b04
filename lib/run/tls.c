/*
 * tls: OpenSSL with a BIO of our own over the caller's buffers. A connection
 * holds no I/O buffer while it is idle (SSL_MODE_RELEASE_BUFFERS).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "run/tls.h"

#define PROTOCOL_MAX 64

struct tls_context {
	SSL_CTX *ctx;
	BIO_METHOD *method;
	char *name;
	/* Its length, then the protocol: as ALPN writes a list of one. */
	uint8_t protocol[PROTOCOL_MAX];
	struct tls_context *older;
};

struct tls {
	SSL *ssl;
	const uint8_t *in;
	size_t in_n;
	struct tls_wire *out; /* only during a call */
	bool ready; /* the handshake is complete */
	unsigned idle; /* messages since then, or the last plain text */
};

/*
 * Handshake messages and alerts that a peer may send after the handshake
 * without any data between them: each is work, and some (KeyUpdate, a hello of
 * TLS 1.2) are answered. Go's crypto/tls has the same number.
 */
#define IDLE_MAX 16

/* ---- the BIO: memory on both sides ---- */

static int
wire_read(BIO *bio, char *p, size_t cap, size_t *n)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (t->in_n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	*n = t->in_n < cap ? t->in_n : cap;
	memcpy(p, t->in, *n);
	t->in += *n;
	t->in_n -= *n;
	return 1;
}

static int
wire_write(BIO *bio, const char *p, size_t n, size_t *written)
{
	struct tls *t = BIO_get_data(bio);
	struct tls_wire *out = t->out;

	BIO_clear_retry_flags(bio);
	if (out == NULL || n > out->cap - out->n || t->idle > IDLE_MAX)
		return 0;
	memcpy(out->p + out->n, p, n);
	out->n += n;
	*written = n;
	return 1;
}

static long
wire_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *
wire_method(void)
{
	BIO_METHOD *m = BIO_meth_new(
	    BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "campusnet wire");

	if (m == NULL)
		return NULL;
	BIO_meth_set_read_ex(m, wire_read);
	BIO_meth_set_write_ex(m, wire_write);
	BIO_meth_set_ctrl(m, wire_ctrl);
	return m;
}

/* ---- the context ---- */

const char *
tls_error(void)
{
	static _Thread_local char text[TLS_ERROR_MAX];
	unsigned long e = ERR_peek_last_error();
	const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);

	snprintf(text, sizeof(text), "%s",
	    reason == NULL ? "unknown TLS error" : reason);
	ERR_clear_error();
	return text;
}

/* As Go's server: a client that offers protocols must offer ours. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	const struct tls_context *c = arg;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, outlen,
		c->protocol, c->protocol[0] + 1u, in,
		inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static int
check_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_context *c = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (asked != NULL && strcasecmp(asked, c->name) == 0)
		return SSL_TLSEXT_ERR_OK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
count_message(int write_p, int version, int type, const void *p, size_t n,
    SSL *ssl, void *arg)
{
	struct tls *t = arg;

	(void)version;
	(void)p;
	(void)n;
	(void)ssl;
	if (write_p == 0 && t != NULL && t->ready &&
	    (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT))
		t->idle++;
}

static void
set_policy(SSL_CTX *ctx)
{
	static char groups[] = "X25519:P-256:P-384"; /* a macro drops const */

	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
		SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	/* 128-bit AES first: the cheapest where the CPU has AES; a client that
	 * puts ChaCha20 first (a phone without AES) gets it. */
	SSL_CTX_set_ciphersuites(ctx,
	    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
	    "TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_cipher_list(
	    ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK");
	SSL_CTX_set1_groups_list(ctx, groups);
	SSL_CTX_set_msg_callback(ctx, count_message);
}

static bool
set_protocol(struct tls_context *c, const char *protocol)
{
	size_t n = strlen(protocol);

	if (n == 0 || n >= PROTOCOL_MAX)
		return false;
	c->protocol[0] = (uint8_t)n;
	memcpy(c->protocol + 1, protocol, n);
	SSL_CTX_set_alpn_select_cb(c->ctx, choose_protocol, c);
	return true;
}

static int
load_files(SSL_CTX *ctx, const struct tls_conf *conf, char *error)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, conf->cert_file) != 1) {
		snprintf(error, TLS_ERROR_MAX,
		    "%.120s: no usable PEM certificate: %.80s", conf->cert_file,
		    tls_error());
		return -1;
	}
	if (SSL_CTX_use_PrivateKey_file(
		ctx, conf->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		snprintf(error, TLS_ERROR_MAX,
		    "%.120s: no PEM key that fits the certificate: %.80s",
		    conf->key_file, tls_error());
		return -1;
	}
	if (conf->last != NULL &&
	    SSL_CTX_add1_chain_cert(ctx, conf->last) != 1) {
		snprintf(error, TLS_ERROR_MAX, "certificate chain: %.80s",
		    tls_error());
		return -1;
	}
	return 0;
}

struct tls_context *
tls_context_new(const struct tls_conf *conf, char error[static TLS_ERROR_MAX])
{
	struct tls_context *c = calloc(1, sizeof(*c));

	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if (c == NULL)
		return NULL;
	c->method = wire_method();
	c->ctx = SSL_CTX_new(TLS_server_method());
	if (c->method == NULL || c->ctx == NULL)
		goto fail;
	set_policy(c->ctx);
	if (!set_protocol(
		c, conf->protocol == NULL ? "http/1.1" : conf->protocol)) {
		snprintf(error, TLS_ERROR_MAX, "ALPN: no such protocol");
		goto fail;
	}
	if (load_files(c->ctx, conf, error) == -1)
		goto fail;
	if (conf->name != NULL) {
		if ((c->name = strdup(conf->name)) == NULL)
			goto fail;
		SSL_CTX_set_tlsext_servername_callback(c->ctx, check_name);
		SSL_CTX_set_tlsext_servername_arg(c->ctx, c);
	}
	return c;
fail:
	tls_context_free(c);
	return NULL;
}

void
tls_context_free(struct tls_context *c)
{
	struct tls_context *older;

	for (; c != NULL; c = older) {
		older = c->older;
		SSL_CTX_free(c->ctx);
		BIO_meth_free(c->method);
		free(c->name);
		free(c);
	}
}

void
tls_context_keep(struct tls_context *c, struct tls_context *older)
{
	c->older = older;
}

/* ---- one connection ---- */

struct tls *
tls_new(struct tls_context *c)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *bio = NULL;

	if (t == NULL)
		return NULL;
	if ((t->ssl = SSL_new(c->ctx)) == NULL ||
	    (bio = BIO_new(c->method)) == NULL) {
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_msg_callback_arg(t->ssl, t);
	SSL_set_accept_state(t->ssl);
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

void
tls_feed(struct tls *t, const uint8_t *p, size_t n)
{
	t->in = p;
	t->in_n = n;
}

static enum tls_result
result_of(struct tls *t, int r)
{
	t->out = NULL;
	if (r == 1)
		return TLS_DONE;
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		return TLS_FAILED;
	}
}

enum tls_result
tls_handshake(struct tls *t, struct tls_wire *out)
{
	enum tls_result r;

	t->out = out;
	ERR_clear_error();
	r = result_of(t, SSL_do_handshake(t->ssl));
	t->ready = r == TLS_DONE;
	return r;
}

enum tls_result
tls_read(struct tls *t, uint8_t *p, size_t cap, size_t *n, struct tls_wire *out)
{
	enum tls_result r;

	t->out = out;
	*n = 0;
	ERR_clear_error();
	r = result_of(t, SSL_read_ex(t->ssl, p, cap, n));
	if (t->idle > IDLE_MAX)
		return TLS_FAILED;
	if (r == TLS_DONE)
		t->idle = 0;
	return r;
}

enum tls_result
tls_write(struct tls *t, const uint8_t *p, size_t n, struct tls_wire *out)
{
	size_t written;

	t->out = out;
	ERR_clear_error();
	return result_of(t, SSL_write_ex(t->ssl, p, n, &written));
}

void
tls_shutdown(struct tls *t, struct tls_wire *out)
{
	t->out = out;
	if (SSL_is_init_finished(t->ssl))
		(void)SSL_shutdown(t->ssl);
	t->out = NULL;
	ERR_clear_error();
}

int
tls_minor_version(const struct tls *t)
{
	return SSL_version(t->ssl) - TLS1_VERSION;
}

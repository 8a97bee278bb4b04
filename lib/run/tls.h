/*
 * tls: TLS as a transform of bytes, on OpenSSL. Knows no socket: io feeds it
 * what came from the wire and sends what it puts out, so that another record
 * layer can take its place.
 *
 * Server side only; TLS 1.2 and 1.3; no tickets, no resumption and no
 * renegotiation (stock DERP clients use none).
 */
#ifndef RUN_TLS_H
#define RUN_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/x509.h>

struct tls;
struct tls_context;

#define TLS_ERROR_MAX 256

struct tls_conf {
	const char *cert_file; /* PEM: the leaf, then intermediates */
	const char *key_file; /* PEM */
	X509 *last; /* sent as the last of the chain, or NULL */
	/* The only server name that may be asked for, and that must be; NULL:
	 * any or none. */
	const char *name;
	/* The protocol (ALPN, RFC 7301) that is spoken here: who offers others
	 * must offer it. NULL: "http/1.1". */
	const char *protocol;
};

/* Shared by all connections and threads. NULL and one line in error if a file
 * is missing, malformed, or key and certificate do not belong together. */
struct tls_context *tls_context_new(
    const struct tls_conf *conf, char error[static TLS_ERROR_MAX]);
/* Only after the connections made with it. */
void tls_context_free(struct tls_context *c);

/* Makes c own an older context, which is freed with it. For a context that is
 * replaced while other threads may still be reading its address. */
void tls_context_keep(struct tls_context *c, struct tls_context *older);

/* Bytes on their way to the wire: appended to p[n..cap), which the caller
 * lends for the length of one call. */
struct tls_wire {
	uint8_t *p;
	size_t n, cap;
};

struct tls *tls_new(struct tls_context *c);
void tls_free(struct tls *t);

/* Lends bytes from the wire; they must stay until tls_read wants more. */
void tls_feed(struct tls *t, const uint8_t *p, size_t n);

enum tls_result { TLS_DONE, TLS_WANT, TLS_CLOSED, TLS_FAILED };

/* Goes on with the handshake: TLS_DONE once it is complete. */
enum tls_result tls_handshake(struct tls *t, struct tls_wire *out);

/* Reads up to cap bytes of plain text; *n tells how many with TLS_DONE. */
enum tls_result tls_read(
    struct tls *t, uint8_t *p, size_t cap, size_t *n, struct tls_wire *out);

/* Encrypts all n bytes. Only after the handshake. */
enum tls_result tls_write(
    struct tls *t, const uint8_t *p, size_t n, struct tls_wire *out);

/* Puts out close_notify. */
void tls_shutdown(struct tls *t, struct tls_wire *out);

/* Why the last call failed: one line, in a buffer of the calling thread's. */
const char *tls_error(void);

/* 2 for TLS 1.2, 3 for 1.3. */
int tls_minor_version(const struct tls *t);

#endif

/*
 * check_stream: the TCP and TLS connections of a check. Takes a server's
 * bytes apart into messages; what they mean is decided elsewhere. Checks the
 * certificate but goes on without it, to tell what is wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "run/addr.h"
#include "run/loop.h"
#include "stund/check_edge.h"

/* RFC 7443: the protocol's name in ALPN, with its length in front. */
static const uint8_t alpn[] = "\x12stun.nat-discovery";

enum stream_state { CLOSED, CONNECTING, HANDSHAKE, OPEN };

struct stream {
	struct check_streams *all;
	enum check_probe socket;
	enum stream_state state;
	int fd;
	struct watch *readable, *writable;
	struct stun_addr to;
	bool used; /* was opened: a later request must find it open */
	SSL *ssl;
	uint8_t in[2048], out[2 * CHECK_REQUEST_MAX];
	size_t in_n, out_n;
};

struct check_streams {
	struct check *c;
	struct loop *loop;
	char *host;
	SSL_CTX *ctx; /* NULL for plain TCP */
	void (*changed)(void *arg);
	void *arg;
	struct stream v[CHECK_PROBES];
};

static void
stream_close(struct stream *s)
{
	watch_free(s->readable);
	watch_free(s->writable);
	SSL_free(s->ssl);
	if (s->state != CLOSED)
		close(s->fd);
	s->readable = s->writable = NULL;
	s->ssl = NULL;
	s->state = CLOSED;
}

static void
stream_fail(struct stream *s, const char *why)
{
	check_failed(s->all->c, s->socket, why);
	stream_close(s);
}

/* ---- TLS ---- */

static SSL *
tls_start(struct check_streams *all, int fd)
{
	SSL *ssl = SSL_new(all->ctx);
	X509_VERIFY_PARAM *want;
	bool good;

	if (ssl == NULL)
		return NULL;
	want = SSL_get0_param(ssl);
	/* A host that is no address goes into the hello too (SNI). */
	good = X509_VERIFY_PARAM_set1_ip_asc(want, all->host) == 1 ||
	    (SSL_set1_host(ssl, all->host) == 1 &&
		SSL_set_tlsext_host_name(ssl, all->host) == 1);
	if (good && SSL_set_fd(ssl, fd) == 1 &&
	    SSL_set_alpn_protos(ssl, alpn, sizeof(alpn) - 1) == 0) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}

static void
tls_describe(struct check_tls *t, const SSL *ssl)
{
	const uint8_t *chosen;
	unsigned n;
	long bad = SSL_get_verify_result(ssl);

	t->there = true;
	snprintf(t->version, sizeof(t->version), "%s", SSL_get_version(ssl));
	snprintf(t->cipher, sizeof(t->cipher), "%s", SSL_get_cipher_name(ssl));
	SSL_get0_alpn_selected(ssl, &chosen, &n);
	t->alpn = n == sizeof(alpn) - 2 && memcmp(chosen, alpn + 1, n) == 0;
	if (bad != X509_V_OK)
		snprintf(t->untrusted, sizeof(t->untrusted), "%s",
		    X509_verify_cert_error_string(bad));
}

/* What stopped OpenSSL: -1 after a failure, which is told; else 0, and the
 * stream waits for what is missing. */
static int
tls_wait(struct stream *s, int result)
{
	const char *why;
	char text[96];
	int kind = SSL_get_error(s->ssl, result);

	if (kind == SSL_ERROR_WANT_READ)
		return 0;
	if (kind == SSL_ERROR_WANT_WRITE) {
		watch_on(s->writable, true);
		return 0;
	}
	why = ERR_reason_error_string(ERR_peek_error());
	if (kind == SSL_ERROR_ZERO_RETURN || why == NULL)
		why = "the server closes the connection";
	snprintf(text, sizeof(text), "TLS: %s", why);
	stream_fail(s, text);
	return -1;
}

/* ---- bytes ---- */

/* Like send and recv, but -1 has told the failure; 0 is "not now". */
static ssize_t
stream_write(struct stream *s)
{
	ssize_t n;

	if (s->ssl != NULL) {
		int done = SSL_write(s->ssl, s->out, (int)s->out_n);

		return done > 0 ? done : tls_wait(s, done);
	}
	n = send(s->fd, s->out, s->out_n, MSG_NOSIGNAL);
	if (n == -1 && errno == EAGAIN) {
		watch_on(s->writable, true);
		return 0;
	}
	if (n == -1)
		stream_fail(s, strerror(errno));
	return n;
}

static ssize_t
stream_read(struct stream *s)
{
	size_t room = sizeof(s->in) - s->in_n;
	ssize_t n;

	if (s->ssl != NULL) {
		int done = SSL_read(s->ssl, s->in + s->in_n, (int)room);

		return done > 0 ? done : tls_wait(s, done);
	}
	n = recv(s->fd, s->in + s->in_n, room, 0);
	if (n > 0 || (n == -1 && errno == EAGAIN))
		return n > 0 ? n : 0;
	stream_fail(
	    s, n == 0 ? "the server closes the connection" : strerror(errno));
	return -1;
}

static void
take_frames(struct stream *s)
{
	struct check_streams *all = s->all;
	enum stun_frame frame;
	size_t n;

	while ((frame = stun_frame(s->in, s->in_n, sizeof(s->in), &n)) ==
	    STUN_FRAME_WHOLE) {
		check_got(
		    all->c, loop_now(all->loop), s->socket, &s->to, s->in, n);
		s->in_n -= n;
		memmove(s->in, s->in + n, s->in_n);
	}
	if (frame == STUN_FRAME_BAD)
		stream_fail(s, "what comes is no STUN");
}

static void
flush(struct stream *s)
{
	ssize_t n;

	while (s->out_n > 0) {
		n = stream_write(s);
		if (n <= 0)
			return;
		s->out_n -= (size_t)n;
		memmove(s->out, s->out + n, s->out_n);
	}
}

/* ---- what happens ---- */

static void
on_connected(struct stream *s)
{
	int error = 0;
	socklen_t n = sizeof(error);

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		stream_fail(s, strerror(error));
		return;
	}
	s->state = OPEN;
	watch_on(s->readable, true);
	if (s->all->ctx == NULL)
		return;
	s->state = HANDSHAKE;
	s->ssl = tls_start(s->all, s->fd);
	if (s->ssl == NULL)
		stream_fail(s, "TLS: no memory");
}

static void
on_handshake(struct stream *s)
{
	int done = SSL_do_handshake(s->ssl);

	if (done != 1) {
		tls_wait(s, done);
		return;
	}
	tls_describe(&s->all->c->tls_info, s->ssl);
	s->state = OPEN;
}

static void
on_event(void *arg)
{
	struct stream *s = arg;
	struct check_streams *all = s->all;
	ssize_t n;

	ERR_clear_error();
	watch_on(s->writable, false);
	if (s->state == CONNECTING)
		on_connected(s);
	if (s->state == HANDSHAKE)
		on_handshake(s);
	if (s->state == OPEN)
		flush(s);
	while (s->state == OPEN && (n = stream_read(s)) > 0) {
		s->in_n += (size_t)n;
		take_frames(s);
	}
	all->changed(all->arg);
}

static void
stream_open(struct stream *s, const struct stun_addr *to)
{
	struct addr a;

	addr_from_ip16(&a, to->ip, to->port);
	s->to = *to;
	s->used = true;
	s->fd = socket(
	    a.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1) {
		check_failed(s->all->c, s->socket, strerror(errno));
		return;
	}
	s->state = CONNECTING;
	s->readable = watch_new(s->all->loop, s->fd, WATCH_READ, on_event, s);
	s->writable = watch_new(s->all->loop, s->fd, WATCH_WRITE, on_event, s);
	if (s->readable == NULL || s->writable == NULL)
		stream_fail(s, "no memory");
	else if (connect(s->fd, &a.u.sa, a.len) == -1 && errno != EINPROGRESS)
		stream_fail(s, strerror(errno));
	else
		watch_on(s->writable, true);
}

void
check_streams_send(struct check_streams *all, const struct check_send *request)
{
	struct stream *s = &all->v[request->socket];

	if (s->state == CLOSED && s->used)
		check_failed(
		    all->c, s->socket, "the server closes the connection");
	else if (s->state == CLOSED)
		stream_open(s, &request->to);
	if (s->state == CLOSED || request->len > sizeof(s->out) - s->out_n)
		return;
	memcpy(s->out + s->out_n, request->bytes, request->len);
	s->out_n += request->len;
	if (s->state == OPEN)
		flush(s);
}

struct check_streams *
check_streams_new(struct check *c, struct loop *l, char *host,
    void (*changed)(void *arg), void *arg)
{
	struct check_streams *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	*all = (struct check_streams){
	    .c = c, .loop = l, .host = host, .changed = changed, .arg = arg};
	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		all->v[p].all = all;
		all->v[p].socket = p;
	}
	if (!c->tls)
		return all;
	all->ctx = SSL_CTX_new(TLS_client_method());
	if (all->ctx != NULL && SSL_CTX_set_default_verify_paths(all->ctx) == 1)
		return all;
	check_streams_free(all);
	return NULL;
}

void
check_streams_free(struct check_streams *all)
{
	if (all == NULL)
		return;
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		stream_close(&all->v[p]);
	SSL_CTX_free(all->ctx);
	free(all);
}

/*
 * conn: one connection to a relay. Moves bytes between the socket,
 * OpenSSL and relay_talk, notes when each step was done, and gives each step
 * its limit.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <sodium.h>

#include "probes/natprobe/relay/relay.h"
#include "run/loop.h"

/* So that a flood does not keep the loop from its timers. */
#define READS_A_TURN 2

const char *
relay_step_name(enum relay_step step)
{
	static const char *const names[] = {
	    "connect", "tls", "certificate", "http", "derp", "open"};

	return names[step];
}

/* Of what went at once. */
static void
count_sent(struct relay_conn *c)
{
	if (c->pace != NULL)
		pace_sent(c->pace, 1, loop_now(c->loop));
}

void
relay_conn_close(struct relay_conn *c)
{
	watch_free(c->readable);
	watch_free(c->writable);
	timer_free(c->timer);
	c->readable = c->writable = NULL;
	c->timer = NULL;
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->used && c->fd != -1) {
		if (mono_is_set(c->connected))
			count_sent(c);
		close(c->fd);
	}
	c->fd = -1;
}

static bool
is_live(const struct relay_conn *c)
{
	return !c->failed && c->fd != -1;
}

static void
fail(struct relay_conn *c, const char *why)
{
	snprintf(c->why, sizeof(c->why), "%s", why);
	c->failed = true;
	relay_conn_close(c);
	c->changed(c->arg);
}

static void
on_limit(void *arg)
{
	char why[40];

	snprintf(why, sizeof(why), "no answer in %d s",
	    (int)(RELAY_STEP_US / 1000000));
	fail(arg, why);
}

static void
next_step(struct relay_conn *c, enum relay_step step)
{
	c->step = step;
	timer_set(c->timer,
	    step == RELAY_OPEN ? MONO_NEVER
			       : mono_add_us(loop_now(c->loop), RELAY_STEP_US));
	c->changed(c->arg);
}

/* ---- bytes ---- */

static const char *
tls_reason(int kind)
{
	unsigned long e = ERR_peek_error();
	const char *reason = ERR_reason_error_string(e);

	if (kind == SSL_ERROR_ZERO_RETURN ||
	    ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return "the server closes the connection";
	if (ERR_GET_REASON(e) == SSL_R_WRONG_VERSION_NUMBER)
		return "what comes is no TLS";
	if (reason == NULL)
		return errno == 0 ? "the server closes the connection"
				  : strerror(errno);
	return reason;
}

/* What stopped OpenSSL: waits for it, or fails. */
static void
wait_tls(struct relay_conn *c, int result)
{
	int kind = SSL_get_error(c->ssl, result);

	if (kind == SSL_ERROR_WANT_READ)
		return;
	if (kind == SSL_ERROR_WANT_WRITE)
		watch_on(c->writable, true);
	else
		fail(c, tls_reason(kind));
}

void
relay_conn_flush(struct relay_conn *c)
{
	struct talk *t = &c->talk;
	int n;

	while (is_live(c) && t->out_n > 0) {
		ERR_clear_error();
		n = SSL_write(c->ssl, t->out, (int)t->out_n);
		if (n <= 0) {
			wait_tls(c, n);
			return;
		}
		count_sent(c);
		t->out_n -= (size_t)n;
		memmove(t->out, t->out + n, t->out_n);
	}
}

/* The step that relay_talk is in. */
static void
follow(struct relay_conn *c)
{
	enum talk_stage stage =
	    c->talk.stage == TALK_FAILED ? c->talk.failed_in : c->talk.stage;
	enum relay_step step = stage == TALK_HTTP ? RELAY_HTTP
	    : stage == TALK_OPEN		  ? RELAY_OPEN
						  : RELAY_DERP;

	if (step != c->step)
		next_step(c, step);
	if (c->talk.stage == TALK_FAILED)
		fail(c, c->talk.why);
}

static void
take_input(struct relay_conn *c)
{
	struct talk_event event;
	size_t at = 0, used;

	do {
		used = talk_take(&c->talk, c->in + at, c->in_n - at,
		    loop_now(c->loop), &event);
		at += used;
		if (event.kind != TALK_NOTHING)
			c->event(c->arg, &event);
		follow(c);
	} while (used > 0 && is_live(c));
	c->in_n -= at;
	memmove(c->in, c->in + at, c->in_n);
}

static void
read_some(struct relay_conn *c)
{
	int n;

	/* What OpenSSL holds back does not wake the loop again. */
	for (int i = 0;
	     is_live(c) && (i < READS_A_TURN || SSL_pending(c->ssl) > 0); i++) {
		ERR_clear_error();
		n = SSL_read(
		    c->ssl, c->in + c->in_n, (int)(sizeof(c->in) - c->in_n));
		if (n <= 0) {
			wait_tls(c, n);
			return;
		}
		c->in_n += (size_t)n;
		take_input(c);
	}
}

/* ---- steps ---- */

static void
on_connected(struct relay_conn *c)
{
	int error = 0;
	socklen_t n = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		fail(c, strerror(error));
		return;
	}
	c->connected = loop_now(c->loop);
	count_sent(c);
	watch_on(c->readable, true);
	next_step(c, RELAY_TLS);
}

/* A loop's clock stands still for a turn: what the last step of the handshake
 * took to compute is seen in the next one, and an answer is read in another
 * turn than the request was written in. */
static void
on_handshake(struct relay_conn *c)
{
	int done;

	ERR_clear_error();
	errno = 0;
	done = SSL_do_handshake(c->ssl);
	if (done != 1) {
		wait_tls(c, done);
		return;
	}
	c->agreed = true;
	count_sent(c);
	watch_on(c->writable, true);
}

static void
on_secured(struct relay_conn *c)
{
	c->secured = loop_now(c->loop);
	relay_cert_judge(&c->cert, c->ssl, c->node);
	if (c->cert.why[0] == '\0') {
		next_step(c, RELAY_HTTP);
		relay_conn_flush(c);
		return;
	}
	c->step = RELAY_CERT;
	fail(c, c->cert.why);
}

static void
on_event(void *arg)
{
	struct relay_conn *c = arg;

	watch_on(c->writable, false);
	if (c->step == RELAY_CONNECT)
		on_connected(c);
	if (is_live(c) && c->step == RELAY_TLS && c->agreed)
		on_secured(c);
	else if (is_live(c) && c->step == RELAY_TLS)
		on_handshake(c);
	else if (is_live(c)) {
		relay_conn_flush(c);
		read_some(c);
		relay_conn_flush(c);
	}
}

/* ---- the start ---- */

static void
host_field(const struct relay_node *node, char *text, size_t cap)
{
	bool v6 = node->host_is_ip && strchr(node->host, ':') != NULL;
	char port[8] = "";

	if (node->port != 443)
		snprintf(port, sizeof(port), ":%u", node->port);
	snprintf(text, cap, "%s%s%s%s", v6 ? "[" : "", node->host,
	    v6 ? "]" : "", port);
}

static void
prepare_talk(struct relay_conn *c)
{
	uint8_t nonce[DERPBOX_NONCE_LEN];
	char host[RELAY_HOST_MAX + 16];
	struct key priv;

	randombytes_buf(priv.b, sizeof(priv.b));
	key_clamp(&priv);
	if (c->priv != NULL)
		priv = *c->priv;
	randombytes_buf(nonce, sizeof(nonce));
	host_field(c->node, host, sizeof(host));
	talk_init(&c->talk, host, &priv, nonce);
	sodium_memzero(&priv, sizeof(priv));
}

static bool
prepare(struct relay_conn *c, SSL_CTX *ctx)
{
	if (c->fd == -1)
		c->fd = socket(c->to.u.sa.sa_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		return false;
	c->readable = watch_new(c->loop, c->fd, WATCH_READ, on_event, c);
	c->writable = watch_new(c->loop, c->fd, WATCH_WRITE, on_event, c);
	c->timer = timer_new(c->loop, on_limit, c);
	c->ssl = SSL_new(ctx);
	errno = ENOMEM;
	if (c->readable == NULL || c->writable == NULL || c->timer == NULL ||
	    c->ssl == NULL || !relay_cert_expect(c->ssl, c->node) ||
	    SSL_set_fd(c->ssl, c->fd) != 1)
		return false;
	SSL_set_connect_state(c->ssl);
	/* Else a packet of the row waits for the one before (Nagle). */
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return true;
}

static void
init(struct relay_conn *c, struct loop *l, const struct relay_node *node,
    const struct addr *to, loop_fn *changed, relay_event_fn *event, void *arg)
{
	c->used = true;
	c->fd = -1;
	c->loop = l;
	c->node = node;
	c->to = *to;
	c->changed = changed;
	c->event = event;
	c->arg = arg;
	c->begun = loop_now(l);
	prepare_talk(c);
}

void
relay_conn_start_over(struct relay_conn *c, struct loop *l, SSL_CTX *ctx,
    const struct relay_node *node, const struct addr *to, int fd,
    loop_fn *changed, relay_event_fn *event, void *arg)
{
	init(c, l, node, to, changed, event, arg);
	c->fd = fd;
	if (!prepare(c, ctx)) {
		fail(c, strerror(errno));
		return;
	}
	c->connected = c->begun;
	count_sent(c);
	watch_on(c->readable, true);
	watch_on(c->writable, true);
	next_step(c, RELAY_TLS);
}

void
relay_conn_start(struct relay_conn *c, struct loop *l, SSL_CTX *ctx,
    const struct relay_node *node, const struct addr *to, loop_fn *changed,
    relay_event_fn *event, void *arg)
{
	init(c, l, node, to, changed, event, arg);
	if (!prepare(c, ctx) ||
	    (connect(c->fd, &to->u.sa, to->len) == -1 &&
		errno != EINPROGRESS)) {
		fail(c, strerror(errno));
		return;
	}
	watch_on(c->writable, true);
	timer_set(c->timer, mono_add_us(c->begun, RELAY_STEP_US));
}

/*
 * proxy_net: relays through the proxy of the environment: CONNECT, then the
 * relay's own handshakes. The credentials go to the proxy and nowhere else.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/path/path.h"
#include "run/loop.h"

/* Upper case first, as Go does. */
static const char *
environment(const char *upper, const char *lower)
{
	const char *s = getenv(upper);

	if (s == NULL || *s == '\0')
		s = getenv(lower);
	return s == NULL ? "" : s;
}

static bool
waits(const struct proxy_try *t)
{
	return t->used && t->verdict == PROXY_UNKNOWN;
}

static bool
any_waits(const struct proxy_net *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (waits(&n->tries[i]))
			return true;
	return false;
}

/* Not at once: this may be within a callback of what is then closed. */
static void
check_all(struct proxy_net *n)
{
	if (any_waits(n) || n->over)
		return;
	n->over = true;
	timer_set(n->timer, mono_add_us(loop_now(n->loop), 1));
}

static void
drop_socket(struct proxy_try *t)
{
	watch_free(t->readable);
	watch_free(t->writable);
	timer_free(t->timer);
	t->readable = t->writable = NULL;
	t->timer = NULL;
	if (t->fd != -1) {
		pace_sent(&t->net->pace, 1, loop_now(t->net->loop));
		close(t->fd);
	}
	t->fd = -1;
}

static void
finish(struct proxy_try *t, enum proxy_word word, const char *why)
{
	t->verdict = word;
	snprintf(t->why, sizeof(t->why), "%s", why);
	drop_socket(t);
	check_all(t->net);
}

static void
on_limit(void *arg)
{
	finish(arg, PROXY_UNREACHABLE, "no answer in 3 s");
}

/* ---- the relay, through the tunnel ---- */

static void
on_changed(void *arg)
{
	struct proxy_try *t = arg;

	if (t->verdict != PROXY_UNKNOWN)
		return;
	if (t->conn.failed)
		finish(t, PROXY_RELAY_FAILS, t->conn.why);
	else if (t->conn.step == RELAY_OPEN)
		finish(t, PROXY_WORKS, "");
}

static void
on_event(void *arg, const struct talk_event *event)
{
	(void)arg;
	(void)event;
}

static void
begin_relay(struct proxy_try *t)
{
	int fd = t->fd;

	t->fd = -1;
	drop_socket(t);
	t->conn.pace = &t->net->pace;
	relay_conn_start_over(&t->conn, t->net->loop, t->net->ctx, t->node,
	    &t->to, fd, on_changed, on_event, t);
}

/* ---- the proxy ---- */

static void
on_readable(void *arg)
{
	struct proxy_try *t = arg;
	ssize_t n = recv(t->fd, t->in + t->in_n, sizeof(t->in) - t->in_n, 0);
	enum proxy_word word;

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		finish(t, PROXY_NONE,
		    n == 0 ? "closes the connection" : strerror(errno));
		return;
	}
	t->in_n += (size_t)n;
	word = proxy_answer(t->in, t->in_n, &t->status);
	if (word == PROXY_TUNNEL)
		begin_relay(t);
	else if (word != PROXY_UNKNOWN)
		finish(
		    t, word, word == PROXY_NONE ? "what comes is no HTTP" : "");
}

static void
on_writable(void *arg)
{
	struct proxy_try *t = arg;
	char request[PROXY_REQUEST_MAX];
	size_t len = proxy_request(
	    &t->net->env.proxy, t->node->host, t->node->port, request);
	int error = 0;
	socklen_t size = sizeof(error);
	bool sent;

	watch_on(t->writable, false);
	pace_sent(&t->net->pace, 1, loop_now(t->net->loop));
	getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	/* A new connection takes a few hundred bytes at once. */
	sent = error == 0 && len > 0 &&
	    send(t->fd, request, len, MSG_NOSIGNAL) == (ssize_t)len;
	sodium_memzero(request, sizeof(request));
	if (sent)
		watch_on(t->readable, true);
	else
		finish(t, PROXY_UNREACHABLE,
		    error != 0 ? strerror(error)
			       : "the request does not leave");
}

static void
begin(struct proxy_try *t)
{
	struct loop *l = t->net->loop;

	t->to = t->net->to;
	t->fd = socket(t->to.u.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd != -1) {
		t->readable = watch_new(l, t->fd, WATCH_READ, on_readable, t);
		t->writable = watch_new(l, t->fd, WATCH_WRITE, on_writable, t);
		t->timer = timer_new(l, on_limit, t);
	}
	if (t->readable == NULL || t->writable == NULL || t->timer == NULL ||
	    (connect(t->fd, &t->to.u.sa, t->to.len) == -1 &&
		errno != EINPROGRESS)) {
		finish(t, PROXY_UNREACHABLE, strerror(errno));
		return;
	}
	watch_on(t->writable, true);
	timer_set(t->timer, mono_add_us(loop_now(l), RELAY_STEP_US));
}

static void
begin_all(struct proxy_net *n)
{
	struct mono now = loop_now(n->loop);

	for (size_t i = 0; i < n->n; i++) {
		struct proxy_try *t = &n->tries[i];

		if (!waits(t) || t->timer != NULL || t->conn.used)
			continue;
		if (!pace_ready(&n->pace, now)) {
			timer_set(n->timer, pace_wake(&n->pace, now));
			return;
		}
		pace_sent(&n->pace, 1, now);
		begin(t);
	}
	check_all(n);
}

static void
fail_all(struct proxy_net *n, enum proxy_word word, const char *why)
{
	for (size_t i = 0; i < n->n; i++)
		if (waits(&n->tries[i]))
			finish(&n->tries[i], word, why);
	check_all(n);
}

static void
on_lookup(void *arg)
{
	struct proxy_net *n = arg;

	if (n->lookup.n > 0) {
		n->to = n->lookup.found[0];
		addr_set_port(&n->to, n->env.proxy.port);
	}
	if (n->to.len == 0)
		fail_all(n, PROXY_UNREACHABLE, n->lookup.why);
	else
		begin_all(n);
}

static void
on_start(void *arg)
{
	struct proxy_net *n = arg;

	n->over |= !any_waits(n);
	if (n->over) {
		proxy_net_close(n);
		n->done(n->arg);
		return;
	}
	if (n->to.len != 0)
		begin_all(n);
	else if (*n->env.why != '\0')
		fail_all(n, PROXY_UNUSABLE, n->env.why);
	else if (n->env.proxy.tls)
		/* TLS within TLS. */
		fail_all(n, PROXY_UNUSABLE, "a-proxy-behind-tls-is-not-tried");
	else if (addr_parse(&n->to, n->env.proxy.host, n->env.proxy.port))
		begin_all(n);
	else {
		lookup_start(&n->lookup, n->loop, n->env.proxy.host,
		    RELAY_STEP_US, on_lookup, n);
		if (n->lookup.over)
			on_lookup(n);
	}
}

static void
choose(struct proxy_net *n, const struct relay_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n && n->n < PROXY_TRIES; i++) {
		struct proxy_try *t = &n->tries[n->n++];

		t->net = n;
		t->fd = -1;
		t->node = &nodes->v[i];
		t->used = n->env.configured &&
		    !proxy_is_excepted(
			n->env.no_proxy, t->node->host, t->node->port);
	}
}

void
proxy_env_read(struct proxy_env *e)
{
	const char *https = environment("HTTPS_PROXY", "https_proxy");

	*e = (struct proxy_env){.no_proxy = environment("NO_PROXY", "no_proxy"),
	    .http = *environment("HTTP_PROXY", "http_proxy") != '\0',
	    .configured = *https != '\0',
	    .why = ""};
	if (e->configured)
		proxy_parse(&e->proxy, https, &e->why);
}

void
proxy_env_clear(struct proxy_env *e)
{
	sodium_memzero(&e->proxy.auth, sizeof(e->proxy.auth));
}

int
proxy_net_start(struct proxy_net *n, struct loop *l, SSL_CTX *ctx,
    const struct relay_nodes *nodes, struct pacer *pacer, loop_fn *done,
    void *arg)
{
	n->loop = l;
	n->pace.pacer = pacer;
	n->ctx = ctx;
	n->done = done;
	n->arg = arg;
	choose(n, nodes);
	n->timer = timer_new(l, on_start, n);
	if (n->timer == NULL)
		return -1;
	timer_set(n->timer, mono_add_us(loop_now(l), 1));
	return 0;
}

void
proxy_net_close(struct proxy_net *n)
{
	timer_free(n->timer);
	n->timer = NULL;
	lookup_clear(&n->lookup);
	for (size_t i = 0; i < n->n; i++) {
		drop_socket(&n->tries[i]);
		if (n->tries[i].conn.used) {
			relay_conn_close(&n->tries[i].conn);
			talk_clear(&n->tries[i].conn.talk);
		}
	}
	proxy_env_clear(&n->env);
}

/* portal: asks a relay's plain HTTP port what only the relay can answer
 * (net/captivedetection: GET /generate_204). */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probes/natprobe/relay/relay.h"
#include "run/loop.h"

void
relay_portal_close(struct relay_portal *p)
{
	watch_free(p->readable);
	watch_free(p->writable);
	timer_free(p->timer);
	p->readable = p->writable = NULL;
	p->timer = NULL;
	if (p->used && p->fd != -1) {
		pace_sent(p->pace, 1, loop_now(p->loop));
		close(p->fd);
	}
	p->fd = -1;
}

static void
finish(struct relay_portal *p, const char *why)
{
	if (why != NULL)
		snprintf(p->why, sizeof(p->why), "%s", why);
	p->over = true;
	relay_portal_close(p);
	p->changed(p->arg);
}

static void
on_limit(void *arg)
{
	char why[40];

	snprintf(why, sizeof(why), "no answer in %d s",
	    (int)(RELAY_STEP_US / 1000000));
	finish(arg, why);
}

static void
on_writable(void *arg)
{
	struct relay_portal *p = arg;
	size_t n = strlen(p->request);
	int error = 0;
	socklen_t len = sizeof(error);

	watch_on(p->writable, false);
	pace_sent(p->pace, 1, loop_now(p->loop));
	getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0)
		finish(p, strerror(error));
	/* A new connection takes a few hundred bytes at once. */
	else if (send(p->fd, p->request, n, MSG_NOSIGNAL) != (ssize_t)n)
		finish(p, "the request does not leave");
	else
		watch_on(p->readable, true);
}

static void
on_readable(void *arg)
{
	struct relay_portal *p = arg;
	ssize_t n = recv(p->fd, p->in + p->in_n, sizeof(p->in) - p->in_n, 0);
	char why[TALK_WHY_MAX] = "";

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		finish(p,
		    n == 0 ? "the server closes the connection"
			   : strerror(errno));
		return;
	}
	p->in_n += (size_t)n;
	p->verdict = talk_portal(p->challenge, p->in, p->in_n, why);
	if (p->verdict != TALK_MORE)
		finish(p, why);
}

/* Letters, digits, dot, dash, underscore, colon; 64 at most: what a relay
 * gives back. */
static void
write_request(struct relay_portal *p, const struct addr *to, const char *host)
{
	char text[ADDR_TEXT_MAX];

	snprintf(p->challenge, sizeof(p->challenge), "ts_%.60s", host);
	snprintf(p->request, sizeof(p->request),
	    "GET /generate_204?t=%lld HTTP/1.1\r\nHost: %s\r\n"
	    "User-Agent: natprobe\r\nX-Tailscale-Challenge: %s\r\n"
	    "Connection: close\r\n\r\n",
	    (long long)time(NULL), addr_text(to, text), p->challenge);
}

void
relay_portal_start(struct relay_portal *p, struct loop *l,
    const struct relay_node *node, const struct addr *to, struct pace *pace,
    loop_fn *changed, void *arg)
{
	struct addr a = *to;

	*p = (struct relay_portal){.used = true,
	    .loop = l,
	    .pace = pace,
	    .changed = changed,
	    .arg = arg};
	addr_set_port(&a, node->http_port);
	write_request(p, &a, node->host);
	p->fd = socket(
	    a.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd != -1) {
		p->readable = watch_new(l, p->fd, WATCH_READ, on_readable, p);
		p->writable = watch_new(l, p->fd, WATCH_WRITE, on_writable, p);
		p->timer = timer_new(l, on_limit, p);
	}
	if (p->readable == NULL || p->writable == NULL || p->timer == NULL ||
	    (connect(p->fd, &a.u.sa, a.len) == -1 && errno != EINPROGRESS)) {
		finish(p, strerror(errno));
		return;
	}
	watch_on(p->writable, true);
	timer_set(p->timer, mono_add_us(loop_now(l), RELAY_STEP_US));
}

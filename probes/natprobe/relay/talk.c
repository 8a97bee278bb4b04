/* talk: one DERP connection as a function of bytes. PURE. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/relay/talk.h"

__attribute__((format(printf, 2, 3))) static size_t
fail(struct talk *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
	t->failed_in = t->stage;
	t->stage = TALK_FAILED;
	return 0;
}

void
talk_init(struct talk *t, const char *host, const struct key *priv,
    const uint8_t nonce[static DERPBOX_NONCE_LEN])
{
	memset(t, 0, sizeof(*t));
	t->priv = *priv;
	key_public(&t->pub, priv);
	memcpy(t->nonce, nonce, sizeof(t->nonce));
	t->out_n = (size_t)snprintf((char *)t->out, sizeof(t->out),
	    "GET /derp HTTP/1.1\r\nHost: %s\r\nUser-Agent: natprobe\r\n"
	    "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n",
	    host);
	if (t->out_n >= sizeof(t->out))
		t->out_n = 0;
}

void
talk_clear(struct talk *t)
{
	sodium_memzero(t, sizeof(*t));
}

/* ---- what comes ---- */

static size_t
take_head(struct talk *t, const uint8_t *p, size_t n, struct mono now)
{
	struct http1_request head;
	size_t from = 0, end = http1_head_end(p, n, &from);
	int status;

	if (n >= 5 && memcmp(p, "HTTP/", 5) != 0)
		return fail(t, "what comes is no HTTP");
	if (end == 0)
		return n < HTTP1_HEAD_MAX ? 0 : fail(t, "endless HTTP head");
	status = http1_parse_answer(&head, p, end);
	if (status == 0)
		return fail(t, "what comes is no HTTP");
	if (status != 101)
		return fail(t, "HTTP status %d where 101 is due", status);
	t->upgraded = now;
	t->stage = TALK_KEY;
	return end;
}

static void
take_key(struct talk *t, const uint8_t *p, size_t n)
{
	struct derpbox box;

	if (!derp_read_server_key(&t->server, p, n) ||
	    !derpbox_init(&box, &t->server, &t->priv)) {
		fail(t, "no DERP server's key in its first frame");
		return;
	}
	t->out_n +=
	    derp_client_info(t->out + t->out_n, &box, &t->pub, t->nonce);
	derpbox_clear(&box);
	t->stage = TALK_INFO;
}

static void
take_info(struct talk *t, uint8_t *p, size_t n, struct mono now)
{
	struct derpbox box;

	if (!derpbox_init(&box, &t->server, &t->priv) ||
	    derpbox_open(&box, p, n) == NULL) {
		fail(t, "its ServerInfo is sealed with another key");
		return;
	}
	derpbox_clear(&box);
	t->opened = now;
	t->stage = TALK_OPEN;
}

static void
take_open(struct talk *t, enum derp_type type, const uint8_t *p, size_t n,
    struct talk_event *event)
{
	if (type == DERP_RECV_PACKET && n >= KEY_LEN) {
		event->kind = TALK_PACKET;
		memcpy(event->from.b, p, KEY_LEN);
		event->p = p + KEY_LEN;
		event->n = n - KEY_LEN;
	} else if (type == DERP_PEER_GONE && n >= KEY_LEN) {
		event->kind = TALK_GONE;
		memcpy(event->from.b, p, KEY_LEN);
		event->p = p + KEY_LEN;
		event->n = n - KEY_LEN;
	} else if (type == DERP_PONG) {
		event->kind = TALK_PONG;
		event->p = p;
		event->n = n;
	} else if (type == DERP_PING && n >= DERP_PING_LEN &&
	    sizeof(t->out) - t->out_n >= DERP_PONG_SIZE)
		t->out_n += derp_pong(t->out + t->out_n, p);
}

size_t
talk_take(struct talk *t, uint8_t *p, size_t n, struct mono now,
    struct talk_event *event)
{
	struct derp_header h;
	struct rd r;

	event->kind = TALK_NOTHING;
	if (t->stage == TALK_HTTP)
		return take_head(t, p, n, now);
	if (t->stage == TALK_FAILED || n < DERP_HEADER_LEN)
		return 0;
	rd_init(&r, p, n);
	derp_read_header(&r, &h);
	if (h.len > TALK_FRAME_MAX)
		return fail(t, "a DERP frame %02x of %u bytes", h.type, h.len);
	if (rd_left(&r) < h.len)
		return 0;
	p += DERP_HEADER_LEN;
	if (t->stage == TALK_OPEN)
		take_open(t, h.type, p, h.len, event);
	else if (t->stage == TALK_KEY && h.type == DERP_SERVER_KEY)
		take_key(t, p, h.len);
	else if (t->stage == TALK_INFO && h.type == DERP_SERVER_INFO)
		take_info(t, p, h.len, now);
	else if (t->stage == TALK_KEY || h.type != DERP_KEEP_ALIVE)
		return fail(t, "a DERP frame %02x too early", h.type);
	return t->stage == TALK_FAILED ? 0 : DERP_HEADER_LEN + h.len;
}

/* ---- what is sent ---- */

void
talk_packet(struct talk *t, const struct key *to, const void *packet, size_t n)
{
	if (sizeof(t->out) - t->out_n >= DERP_SEND_OVERHEAD + n)
		t->out_n += derp_send_packet(t->out + t->out_n, to, packet, n);
}

void
talk_ping(struct talk *t, const uint8_t data[static DERP_PING_LEN])
{
	if (sizeof(t->out) - t->out_n >= DERP_PING_SIZE)
		t->out_n += derp_ping(t->out + t->out_n, data);
}

/* ---- captive portals ---- */

enum talk_portal
talk_portal(const char *challenge, const uint8_t *p, size_t n,
    char why[static TALK_WHY_MAX])
{
	static const char before[] = "response ";
	const size_t skip = sizeof(before) - 1;
	struct http1_request head;
	size_t from = 0, end = http1_head_end(p, n, &from);
	const struct span *echo;
	int status;

	if (end == 0 && n < HTTP1_HEAD_MAX)
		return TALK_MORE;
	status = http1_parse_answer(&head, p, end);
	if (status != 204) {
		if (status == 0)
			snprintf(why, TALK_WHY_MAX, "what comes is no HTTP");
		else
			snprintf(why, TALK_WHY_MAX,
			    "HTTP status %d where 204 is due", status);
		return TALK_CAPTIVE;
	}
	echo = http1_find(&head, "X-Tailscale-Response");
	if (echo != NULL && echo->n == skip + strlen(challenge) &&
	    memcmp(echo->p, before, skip) == 0 &&
	    memcmp(echo->p + skip, challenge, echo->n - skip) == 0)
		return TALK_FREE;
	snprintf(why, TALK_WHY_MAX, "204, but not from a relay");
	return TALK_CAPTIVE;
}

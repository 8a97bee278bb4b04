/* session: the byte stream of one connection as events. PURE. */
#include <string.h>

#include "relayd/session.h"

static enum session_event
bad(struct session *s, struct session_step *out, int status, const char *why)
{
	s->state = SESSION_DRAIN;
	out->status = status;
	out->why = why;
	return SESSION_BAD;
}

static enum session_event
more(struct session_step *out, size_t want)
{
	out->want = want;
	return SESSION_MORE;
}

/*
 * derpserver.Handler: "websocket" without the subprotocol is raw DERP from
 * very old clients; with it, real WebSocket, which is not served.
 */
static enum session_event
upgrade(struct session *s, struct session_step *out)
{
	const struct http1_request *req = &out->request;
	const struct span *up = http1_find(req, "Upgrade");
	const struct span *fast = http1_find(req, "Derp-Fast-Start");
	const struct span *ideal = http1_find(req, "Ideal-Node");
	bool websocket = up != NULL && span_is_nocase(*up, "websocket");

	if (websocket && http1_has_token(req, "Sec-WebSocket-Protocol", "derp"))
		return SESSION_REQUEST;
	if (!websocket && (up == NULL || !span_is_nocase(*up, "derp")))
		return SESSION_REQUEST;
	out->fast_start = fast != NULL && span_is(*fast, "1");
	out->not_ideal = ideal != NULL && ideal->n > 0;
	s->state = SESSION_INFO;
	return SESSION_UPGRADE;
}

static enum session_event
next_request(struct session *s, uint8_t *p, size_t n, struct session_step *out)
{
	size_t head = http1_head_end(p, n, &s->scanned);
	int status;

	/* A TLS hello or a binary protocol on the wrong port shows at once. */
	if (n > 0 && (p[0] < 'A' || p[0] > 'z'))
		return bad(s, out, 400, "not an HTTP request");
	if (head > HTTP1_HEAD_MAX || (head == 0 && n > HTTP1_HEAD_MAX))
		return bad(s, out, 431, "request head too long");
	if (head == 0)
		return more(out, 0);
	s->scanned = 0;
	out->used = head;
	if ((status = http1_parse(&out->request, p, head)) != 0)
		return bad(s, out, status, "malformed request");
	if (s->derp && span_is(out->request.path, "/derp"))
		return upgrade(s, out);
	return SESSION_REQUEST;
}

static enum session_event
next_info(struct session *s, const struct key *priv, uint8_t *p, size_t n,
    struct session_step *out)
{
	struct rd r;
	const char *text;
	size_t sealed, total;

	rd_init(&r, p, n);
	derp_read_header(&r, &out->header);
	if (r.bad)
		return more(out, DERP_HEADER_LEN);
	if (out->header.type != DERP_CLIENT_INFO)
		return bad(s, out, 0, "first frame is not ClientInfo");
	if (out->header.len < DERP_INFO_MIN || out->header.len > DERP_INFO_MAX)
		return bad(s, out, 0, "ClientInfo of a wrong length");
	total = DERP_HEADER_LEN + out->header.len;
	if (n < total)
		return more(out, total);
	rd_copy(&r, out->key.b, KEY_LEN);
	if (!derpbox_init(&out->box, &out->key, priv))
		return bad(s, out, 0, "ClientInfo with an impossible key");
	sealed = out->header.len - KEY_LEN;
	text = derpbox_open(&out->box, p + DERP_HEADER_LEN + KEY_LEN, sealed);
	if (text == NULL)
		return bad(
		    s, out, 0, "ClientInfo is not sealed for this relay");
	out->why =
	    derp_client_info_parse(&out->info, text, sealed - DERPBOX_OVERHEAD);
	if (out->why != NULL)
		return bad(s, out, 0, out->why);
	s->state = SESSION_FRAMES;
	out->used = total;
	return SESSION_HELLO;
}

static enum session_event
next_frame(struct session *s, uint8_t *p, size_t n, struct session_step *out)
{
	struct rd r;
	size_t total;

	if (s->skip > 0) {
		out->used = n < s->skip ? n : (size_t)s->skip;
		s->skip -= out->used;
		if (s->skip > 0 || out->used == n)
			return more(out, 0);
		p += out->used;
		n -= out->used;
	}
	rd_init(&r, p, n);
	derp_read_header(&r, &out->header);
	if (r.bad)
		return more(out, DERP_HEADER_LEN);
	out->frame = p;
	switch (derp_judge(&out->header)) {
	case DERP_BAD_LEN:
		return bad(s, out, 0, "frame of a wrong length");
	case DERP_BAD_RIGHT:
		return bad(s, out, 0, "mesh frame from a client");
	case DERP_SKIP:
		out->used += DERP_HEADER_LEN;
		s->skip = out->header.len;
		return SESSION_SKIPPED;
	case DERP_TAKE:
		break;
	}
	total = DERP_HEADER_LEN + out->header.len;
	if (n < total)
		return more(out, total);
	out->used += total;
	return SESSION_FRAME;
}

enum session_event
session_next(struct session *s, const struct key *priv, uint8_t *p, size_t n,
    struct session_step *out)
{
	out->used = 0;
	out->want = 0;
	switch (s->state) {
	case SESSION_HTTP:
		return next_request(s, p, n, out);
	case SESSION_INFO:
		return next_info(s, priv, p, n, out);
	case SESSION_FRAMES:
		return next_frame(s, p, n, out);
	case SESSION_DRAIN:
		break;
	}
	out->used = n;
	return more(out, 0);
}

void
session_init(struct session *s, bool derp)
{
	*s = (struct session){.state = SESSION_HTTP, .derp = derp};
}

void
session_drain(struct session *s)
{
	s->state = SESSION_DRAIN;
}

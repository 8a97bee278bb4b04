/*
 * session: what one connection's bytes mean, from the first byte of HTTP to
 * the last frame of DERP. PURE: bytes in, events out; the caller acts.
 *
 *   HTTP  --/derp, upgrade-->  INFO  --ClientInfo-->  FRAMES
 *     \-- any other request: answered, then HTTP again or DRAIN
 *
 * Bytes behind a head belong to what comes next (fast start: the client sends
 * head and ClientInfo in one piece).
 */
#ifndef RELAYD_SESSION_H
#define RELAYD_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/derp.h"
#include "pure/derpbox.h"
#include "pure/http1.h"

enum session_state {
	SESSION_HTTP, /* a request head comes */
	SESSION_INFO, /* ClientInfo comes */
	SESSION_FRAMES, /* frames come */
	SESSION_DRAIN, /* nothing that comes matters any more */
};

struct session {
	enum session_state state;
	bool derp; /* /derp is served on this connection */
	size_t scanned; /* bytes of the head that were searched for its end */
	uint64_t skip; /* bytes still to be discarded of a skipped frame */
};

enum session_event {
	SESSION_MORE, /* nothing to do until *want bytes are there */
	SESSION_REQUEST, /* answer request; then session_drain if it asks */
	SESSION_UPGRADE, /* send 101 unless fast_start, then ServerKey */
	SESSION_HELLO, /* admit the client: key, info, box */
	SESSION_FRAME, /* act on a whole frame */
	SESSION_SKIPPED, /* a frame of no meaning begins; only its type */
	SESSION_BAD, /* close: why; status: HTTP answer to give before */
};

struct session_step {
	size_t used; /* bytes this event took from the front */
	size_t want; /* with SESSION_MORE: bytes needed in all, 0 unknown */
	/* SESSION_REQUEST, SESSION_UPGRADE; spans of the given bytes. */
	struct http1_request request;
	bool fast_start;
	bool not_ideal; /* the client is not at its region's first node */
	/* SESSION_HELLO */
	struct key key;
	struct derp_client_info info;
	struct derpbox box;
	/* SESSION_FRAME, SESSION_SKIPPED: the frame with its header. */
	uint8_t *frame;
	struct derp_header header;
	/* SESSION_BAD */
	const char *why; /* constant text */
	int status; /* 0: none */
};

/* Without derp, /derp is a page like others (-derp=false; the plain port). */
void session_init(struct session *s, bool derp);

/*
 * The next event in the n bytes at p; priv is the relay's key. They may be
 * changed in place (a box is opened there). Call again with what is left until
 * SESSION_MORE or SESSION_BAD. How the stream is cut into calls never changes
 * the events.
 */
enum session_event session_next(struct session *s, const struct key *priv,
    uint8_t *p, size_t n, struct session_step *out);

/* Whatever comes from now on is discarded. */
void session_drain(struct session *s);

#endif

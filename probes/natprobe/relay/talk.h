/*
 * talk: the client's side of one DERP connection, from the HTTP upgrade
 * on, and what a row of packets through a relay says. PURE.
 *
 * Without fast start, so that the upgrade and DERP's own handshake are a round
 * trip each, with a time each:
 *
 *   GET /derp, Upgrade: DERP  ->
 *                             <-  101, ServerKey
 *   ClientInfo                ->
 *                             <-  ServerInfo
 */
#ifndef NATPROBE_RELAY_TALK_H
#define NATPROBE_RELAY_TALK_H

#include "pure/derpbox.h"
#include "pure/http1.h"
#include "pure/mono.h"

#define TALK_OUT_MAX 1024
#define TALK_WHY_MAX 96
/* A longer frame is refused: nobody sends any to a throw-away key. */
#define TALK_FRAME_MAX 4096

enum talk_stage {
	TALK_HTTP, /* waits for 101 */
	TALK_KEY, /* for ServerKey */
	TALK_INFO, /* for ServerInfo */
	TALK_OPEN,
	TALK_FAILED,
};

struct talk {
	enum talk_stage stage, failed_in;
	struct key priv, pub, server;
	uint8_t nonce[DERPBOX_NONCE_LEN];
	struct mono upgraded, opened;
	char why[TALK_WHY_MAX];
	/* To be sent, then out_n to be set 0. */
	uint8_t out[TALK_OUT_MAX];
	size_t out_n;
};

enum talk_event_kind { TALK_NOTHING, TALK_PACKET, TALK_PONG, TALK_GONE };
struct talk_event {
	enum talk_event_kind kind;
	struct key from; /* of a packet; who is gone, or not there */
	const uint8_t *p; /* lies in what was given */
	size_t n;
};

/* host: for the Host field, with ":port" where that is not 443. */
void talk_init(struct talk *t, const char *host, const struct key *priv,
    const uint8_t nonce[static DERPBOX_NONCE_LEN]);
void talk_clear(struct talk *t);

/*
 * Takes at most one head or frame, which may be changed in place. Returns the
 * bytes used; 0: more must come first, or t->stage is TALK_FAILED.
 */
size_t talk_take(struct talk *t, uint8_t *p, size_t n, struct mono now,
    struct talk_event *event);

/* Once open: puts a frame to what is to be sent, if there is room. */
void talk_packet(
    struct talk *t, const struct key *to, const void *packet, size_t n);
void talk_ping(struct talk *t, const uint8_t data[static DERP_PING_LEN]);

/*
 * A captive portal's answer to GET /generate_204 with X-Tailscale-Challenge:
 * challenge. TALK_MORE: no whole head yet.
 */
enum talk_portal { TALK_MORE, TALK_FREE, TALK_CAPTIVE };
enum talk_portal talk_portal(const char *challenge, const uint8_t *p, size_t n,
    char why[static TALK_WHY_MAX]);

/* ---- the row ---- */

enum { ROW_PACKETS = 20, ROW_PINGS = 5, ROW_PACKET_LEN = 64 };
#define ROW_EVERY_US INT64_C(50000)
/* What is not back so long after the last one is lost. */
#define ROW_WAIT_US INT64_C(1000000)

struct row {
	uint8_t cookie[4]; /* random: what came from this row */
	struct mono begun;
	struct mono packet_at[ROW_PACKETS], ping_at[ROW_PINGS];
	int64_t packet_us[ROW_PACKETS], ping_us[ROW_PINGS]; /* -1: not back */
	unsigned packets, pings; /* sent */
};

void row_init(struct row *r, const uint8_t cookie[static 4], struct mono now);
/* Is there something to send? */
bool row_is_due(const struct row *r, struct mono now);
/* What to send now: true with the frame's payload. */
bool row_packet(
    struct row *r, uint8_t out[static ROW_PACKET_LEN], struct mono now);
bool row_ping(
    struct row *r, uint8_t out[static DERP_PING_LEN], struct mono now);
void row_packet_came(
    struct row *r, const uint8_t *p, size_t n, struct mono now);
void row_pong_came(struct row *r, const uint8_t *p, size_t n, struct mono now);
/* When to look again; MONO_NEVER once all is over. */
struct mono row_wake(const struct row *r, struct mono now);

struct row_sum {
	unsigned sent, lost;
	/* In microseconds; -1: unknown. By nearest rank. */
	int64_t p50_us, p95_us;
	int64_t jitter_us; /* mean |difference| of one and the next */
};
struct row_sum row_sum_packets(const struct row *r);
struct row_sum row_sum_pings(const struct row *r);

#endif

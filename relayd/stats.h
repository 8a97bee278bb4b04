/*
 * stats: the relay's counters, one set per worker, and their text under
 * derper's names (/debug/varz) and Prometheus's (/metrics: the same page).
 */
#ifndef RELAYD_STATS_H
#define RELAYD_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "run/metrics.h"

struct udp_stats;

/* derper's reasons for a lost packet (derpserver's dropReason). */
enum stats_drop {
	DROP_UNKNOWN_DEST,
	DROP_UNKNOWN_DEST_ON_FWD,
	DROP_GONE,
	DROP_QUEUE_HEAD, /* the oldest, for a full or too slow queue */
	DROP_QUEUE_TAIL, /* the new one: no memory for it */
	DROP_WRITE_ERROR,
	DROP_DUP_CLIENT,
	DROP_REASONS,
};

enum stats_kind { KIND_DISCO, KIND_OTHER, KINDS };

/* Why a connection ended. */
enum stats_close {
	CLOSE_EOF, /* the peer closed */
	CLOSE_RESET, /* the connection broke */
	CLOSE_TLS, /* no TLS, or a broken record */
	CLOSE_HTTP, /* no HTTP, or a request that is refused */
	CLOSE_HTTP_DONE, /* answered, and not kept alive */
	CLOSE_HELLO_TIMEOUT, /* no request or ClientInfo in time */
	CLOSE_HELLO, /* a ClientInfo that is refused */
	CLOSE_FRAME, /* a frame that is refused */
	CLOSE_WRITE_TIMEOUT, /* the client took nothing for too long */
	CLOSE_ACCEPT_LIMIT,
	CLOSE_MEMORY,
	CLOSE_DUPLICATE, /* too many connections with its key */
	CLOSE_SHUTDOWN, /* the relay stops */
	CLOSE_REASONS,
};
const char *stats_close_name(enum stats_close reason);

#define RTT_BUCKETS    10 /* 10 20 50 100 150 250 500 ms, inf, error, non-tcp */
#define FRAMES_BUCKETS 16 /* 0..10 15 20 25 50 100 */
#define TLS_VERSIONS   5 /* 1.0 .. 1.3, unknown */

/* Written by one worker, read by any. */
struct stats {
	metric accepts, connections, home, notideal;
	metric tls_accepted, tls_rejected;
	metric tls_requests[TLS_VERSIONS], tls_active[TLS_VERSIONS];
	metric bytes_in, bytes_out, packets_in, packets_out;
	metric kind_in[KINDS];
	metric dropped[DROP_REASONS][KINDS];
	metric dropped_bytes[DROP_REASONS][KINDS];
	metric aged; /* of queue_head: for age */
	metric home_in, home_out, pings, pongs;
	metric gone_disconnected, gone_not_here, unknown_frames;
	metric write_timeouts, duplicates;
	metric rtt[RTT_BUCKETS];
	metric frames[FRAMES_BUCKETS + 1], frames_sum, frames_count;
	metric closed[CLOSE_REASONS];
	metric queue_us; /* moving average of the wait, microseconds */
	metric paused; /* times that accepting was paused */
	metric crossed; /* packets handed to another worker */
	/* From this worker's copy of the directory. */
	metric keys, dup_keys, dup_members;
};

/* Of the process, not of a worker. */
struct stats_shared {
	metric stun_success, stun_not_stun, stun_v4, stun_v6;
	const struct udp_stats *stun_udp; /* NULL: no STUN here */
	int64_t started; /* Unix seconds */
};

struct relayd;
/* The whole page, from all workers. */
void stats_render(const struct relayd *relay, struct metrics *m);

void stats_drop(struct stats *s, enum stats_drop reason, enum stats_kind kind,
    size_t bytes);
void stats_frames(struct stats *s, unsigned frames);
/* us < 0: the kernel did not say. */
void stats_rtt(struct stats *s, int64_t us);

#endif

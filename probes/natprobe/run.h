/*
 * run: natprobe with all its parts, as main.c wires it.
 *
 *   setup.c     what the options ask of each part
 *   run.c       begins the parts, waits, ends them
 *   tell.c      their results, gathered and said
 *   modes.c     instead of a run: replay, pair mode, dry run
 */
#ifndef NATPROBE_RUN_H
#define NATPROBE_RUN_H

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/gateway/gateway.h"
#include "probes/natprobe/live/live.h"
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/path/path.h"
#include "probes/natprobe/relay/relay.h"
#include "probes/natprobe/tcp/tcp.h"
#include "run/loop.h"

struct natprobe {
	struct natprobe_conf conf;
	json_t *map; /* NULL: there is none */
	struct targets targets;
	struct relay_nodes relay_nodes;
	struct relays *relays; /* NULL: there are none */
	struct gateways *gateways; /* NULL: they are not asked */
	struct path_run *path; /* NULL: not wanted */
	struct loop *loop;
	struct pacer pacer; /* -rate: of all that any part sends */
	struct probe probes[2]; /* IPv4, IPv6 */
	struct net *nets[2];
	struct tcp_net *tcps[2]; /* NULL: not over TCP */
	bool used[2];
	unsigned running;
	struct mono began;
	struct timer *timer; /* -max-time */
	enum cut cut;
	struct live *live;
	struct live_family views[2];
	struct output output;
	struct addr second;
	struct capture *capture; /* NULL: there is none */
	bool broken; /* said so; there is no result */
	struct replay replay;
	char replay_why[NATPROBE_ERROR_MAX]; /* its file is not whole */
};
/* setup.c. Is that family asked? Needs the names' addresses. */
bool run_wants(const struct natprobe *n, bool v6);
bool run_has_second(const struct natprobe *n, bool v6);
struct probe_options run_options(struct natprobe *n, bool v6);
/* The same options, as far as they are about TCP. */
struct probe_options run_tcp_options(struct natprobe *n, bool v6);
struct gateway_options run_gateway_options(const struct natprobe *n);
/* Of all parts: how long they take at the most, and how many packets. */
int64_t run_longest_us(struct natprobe *n);
unsigned run_packets(struct natprobe *n);

/* These four return the exit status, and have said what is wrong. */
int run_send(struct natprobe *n);
int run_replay(struct natprobe *n);
int run_pair(struct natprobe *n);
int run_dry(struct natprobe *n);

/* tell.c. Where the result can go is found out before the run; -1: said so. */
int run_output(struct natprobe *n);
/* Writes the result, in words and as JSON; returns the exit status. */
int run_tell(struct natprobe *n, int64_t unix_s);

#endif

/*
 * gateway: the router in front of this host, and what lies between here and
 * the STUN servers. A map:
 *
 *   pcp.h      PCP and NAT-PMP, PURE
 *   ssdp.h     where a UPnP router is, PURE
 *   hops.h     the way to a server; nats.c: how many NATs are on it, PURE
 *   route.c    which router it is: asks the kernel
 *   router.c   asks it, and tries a mapping by each protocol
 *   mapping.c  one mapping: made, seen from outside, removed
 *   fence.h    at which router the outermost filter is, PURE
 *   asker.h    the sockets of both
 *   igd.c      UPnP with libminiupnpc, in a process of its own
 *   helper.c   that process, seen from here
 *   trace.c    the sockets of hops.h
 *   gateway.c  all of it, for both address families
 *   result.c   what was found, as JSON
 *   words.c    the same for people
 *
 * Without -portmap nothing is asked that changes anything. With it each
 * mapping is removed again: after use, when interrupted, and, should this
 * process be killed, by the end of its short life.
 */
#ifndef NATPROBE_GATEWAY_GATEWAY_H
#define NATPROBE_GATEWAY_GATEWAY_H

#include <jansson.h>

#include "probes/natprobe/gateway/asker.h"
#include "probes/natprobe/gateway/fence.h"
#include "probes/natprobe/gateway/hops.h"
#include "probes/natprobe/gateway/igd.h"
#include "probes/natprobe/gateway/pcp.h"
#include "probes/natprobe/gateway/ssdp.h"
#include "probes/natprobe/natprobe.h"
#include "run/loop.h"

/* The most that all of this may take, without -portmap and with it. */
#define GATEWAY_ASK_US	   INT64_C(2800000)
#define GATEWAY_PORTMAP_US INT64_C(15000000)

/* ---- route.c ---- */

struct route {
	struct addr router; /* IPv6 link-local with its scope; port 0 */
	int device; /* index of the interface */
};
/* The next router on the way to `to`; false if there is none, as to a host on
 * the same network, or the kernel does not say. */
bool route_find(struct route *r, const struct ip *to);

/* ---- mapping.c ---- */

enum mapping_state {
	MAPPING_NONE, /* not tried */
	MAPPING_ASKED,
	MAPPING_DENIED,
	MAPPING_GRANTED,
	MAPPING_GONE, /* removed, or not; see removed */
};

enum seen {
	SEEN_UNTRIED,
	SEEN_YES, /* a stranger's packet came in by it */
	SEEN_NO,
	SEEN_NO_SERVER, /* no STUN server answers */
	SEEN_ELSEWHERE, /* it is at another address than others see */
	SEEN_NO_CONTROL, /* the server sends nothing to other ports */
};
const char *seen_name(enum seen s);

struct reach;

/* One that a router was asked for. */
struct mapping {
	enum mapping_state state;
	int fd; /* the socket that it leads to; -1: none */
	uint16_t port; /* of that */
	struct ip external;
	bool has_external;
	uint16_t external_port;
	uint32_t lifetime_s; /* granted; 0: for good */
	const char *why; /* denied; a name of the protocol's */
	int code; /* the protocol's number for that */
	enum seen seen;
	bool removed;
	const char *why_left; /* not removed; NULL if it was */
	struct reach *reach;
};
/* Opens the socket, on a random port of that address. */
bool mapping_open(struct mapping *m, const struct addr *local);
void mapping_close(struct mapping *m);

/*
 * Is a granted mapping seen from outside? Another socket asks the STUN server
 * to answer to the mapping instead (RESPONSE-PORT), from where nothing was
 * sent to. Control: the same towards its own port. Calls done with m->seen
 * set, never inside this call. `probe` has found a server, or did not.
 */
enum { MAPPING_TRY_PACKETS = 3 * 4 }; /* at the most */
bool mapping_try(struct mapping *m, struct loop *l, const struct probe *probe,
    const struct addr *local, loop_fn *done, void *arg);
void mapping_try_stop(struct mapping *m);

/* ---- helper.c ---- */

struct helper;
typedef void helper_fn(void *arg, const struct igd_report *report);
/* Begins the process, which waits. Before any thread does: it is a fork. NULL
 * with errno. */
struct helper *helper_new(struct loop *l);
/* Gives it its work. Calls fn with each report, and with NULL when there will
 * be none any more. */
void helper_ask(struct helper *h, const struct igd_job *job, int64_t limit_us,
    helper_fn *fn, void *arg);
/* Has it remove the mapping, which it reports. */
void helper_remove(struct helper *h);
void helper_free(struct helper *h);

/* ---- router.c ---- */

struct router_options {
	bool portmap;
};

struct router {
	bool found, over;
	struct route route;
	struct addr local;
	struct pcp pcp[PCP_PROTOCOLS];
	bool pcp_used[PCP_PROTOCOLS];
	struct ssdp_answer ssdp;
	struct addr ssdp_from; /* len 0: no UPnP router answers */
	bool ssdp_elsewhere; /* one names an address that is not its own */
	struct igd_report igd;
	bool igd_asked, igd_said, igd_over;
	/* By protocol; the last is UPnP's. */
	struct mapping mappings[PCP_PROTOCOLS + 1];
	/* router.c's own: */
	struct loop *loop;
	const struct probe *probe;
	struct router_options options;
	struct helper *helper;
	int pcp_fd, ssdp_fd;
	struct watch *pcp_watch, *ssdp_watch;
	struct timer *timer;
	struct pace pace;
	struct mono begun, limit, ssdp_due;
	unsigned ssdp_sends;
	bool stopping;
	loop_fn *done;
	void *arg;
};
enum { MAPPING_UPNP = PCP_PROTOCOLS, MAPPINGS };

/* Asks the router on the way to `server`. helper: NULL for no UPnP; it stays
 * the caller's. Calls done when it is over, never inside this call. */
bool router_start(struct router *r, struct loop *l, const struct probe *probe,
    const struct stun_addr *server, const struct router_options *options,
    struct helper *helper, loop_fn *done, void *arg);
/* Ends early: what was mapped is removed, within 2 s. */
void router_stop(struct router *r);
void router_clear(struct router *r);

/* ---- trace.c ---- */

struct trace {
	struct hops hops;
	bool used, over;
	struct stun_addr server;
	bool v6;
	/* trace.c's own: */
	struct loop *loop;
	const struct probe *probe;
	struct trace_sock {
		struct trace *trace;
		int fd;
		unsigned ttl; /* 0: to the closed port */
		struct watch *watch;
		struct stun_txid txid;
	} socks[HOPS_MAX + 1];
	struct timer *timer;
	struct mono begun;
	bool tracing;
	loop_fn *done;
	void *arg;
};
/* Traces the way to the first server of the probe that answers; if none does
 * in a second, to the first. Calls done, never inside this call. */
bool trace_start(struct trace *t, struct loop *l, const struct probe *probe,
    loop_fn *done, void *arg);
void trace_stop(struct trace *t);
void trace_clear(struct trace *t);

/* ---- gateway.c ---- */

struct gateway_options {
	bool ask, portmap, trace;
};

struct gateways {
	struct router routers[2]; /* by family: IPv4, IPv6 */
	struct trace traces[2];
	struct asker fences[2];
	/* gateway.c's own: */
	struct loop *loop;
	struct gateway_options options;
	struct helper *helper;
	unsigned running;
	loop_fn *done;
	void *arg;
};

/* To be called before there are threads, as it forks. NULL with errno. */
struct gateways *gateways_new(
    struct loop *l, const struct gateway_options *options);
/* For each family, when its probe runs; false if memory is short. */
bool gateways_start(struct gateways *g, bool v6, const struct probe *probe);
/* Calls done when all that was started is over, never inside this call. */
void gateways_then(struct gateways *g, loop_fn *done, void *arg);
bool gateways_busy(const struct gateways *g);
/* Interrupted: ends soon, with what is to be removed removed. */
void gateways_stop(struct gateways *g);
void gateways_free(struct gateways *g);

/* What a run would send, at the most, and how many packets. */
void gateway_dry_print(const struct gateway_options *o, bool v6,
    const struct stun_addr *server, FILE *out);
unsigned gateway_packets(
    const struct gateway_options *o, bool v6, const struct stun_addr *server);

/* result.c. Adds "gateway", "path" and "nats" to an address family. */
void gateway_results_add(
    json_t *family, const struct gateways *g, const struct probe *p);

/* words.c */
void words_print_gateway(const json_t *family, FILE *out);

#endif

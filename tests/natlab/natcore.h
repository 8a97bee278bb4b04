/*
 * natcore: a NAT as a function of packets and time. IPv4 is translated, or
 * only filtered; IPv6 is only filtered. Each behaviour that RFC 4787 and 5382
 * tell apart is a knob. PURE: no socket, clock, log or randomness but the
 * seed's; memory is bounded. It is the ground truth for what probes NATs, so
 * it is written to be read.
 *
 * The host around it routes: time to live is not touched here.
 */
#ifndef NATLAB_NATCORE_H
#define NATLAB_NATCORE_H

#include <jansson.h>

#include "pure/ip.h"
#include "pure/mono.h"

#define NAT_EXTERNAL_MAX 16 /* external addresses */
#define NAT_MAPPINGS_MAX 16384
#define NAT_SESSIONS_MAX 32768 /* remote endpoints of all mappings */
#define NAT_PACKET_MAX	 65535
#define NAT_DELAYED_MAX	 4096 /* packets under way, in each direction */
#define NAT_FRAG_MAX	 16 /* fragmented datagrams under way */
#define NAT_WAITING_MAX	 64 /* SYNs that may get an error later */
#define NAT_PORT_MAP_MAX 64 /* internal endpoints with a port of their own */
#define NAT_ERROR_MAX	 160 /* room for a message about a wrong knob */

/* What of the remote endpoint makes a difference: RFC 4787 sections 4.1
 * (mapping) and 5 (filtering). NONE: nothing is translated; and if nothing is
 * filtered, either, it is a plain line, with the delay and loss of one. */
enum nat_dependence {
	NAT_EI, /* endpoint-independent */
	NAT_AD, /* address-dependent */
	NAT_APD, /* address-and-port-dependent */
	NAT_PD, /* port-dependent: the port alone */
	NAT_NONE
};

/* Which port a new mapping gets; and where PRESERVE looks when the internal
 * one is taken (SEQUENTIAL or RANDOM). */
enum nat_ports {
	NAT_PORTS_PRESERVE,
	NAT_PORTS_SEQUENTIAL,
	NAT_PORTS_RANDOM,
	NAT_PORTS_BLOCK /* each host has aligned blocks of its own */
};

/* Whether two internal endpoints share an external one (section 4.2.1). */
enum nat_overload {
	NAT_OVERLOAD_NEVER,
	NAT_OVERLOAD_REMOTE, /* while no remote talks with both, as Linux */
	NAT_OVERLOAD_ALWAYS /* the one that sent last receives */
};

/* Which external address a new mapping gets (section 4.1, REQ-2). */
enum nat_pooling {
	NAT_POOL_PAIRED, /* always the same for a host */
	NAT_POOL_ARBITRARY,
	NAT_POOL_ROUND_ROBIN
};

/* Packets from inside to an external address (section 6, REQ-9). */
enum nat_hairpin {
	NAT_HAIRPIN_NONE,
	NAT_HAIRPIN_EXTERNAL, /* they come from the external address */
	NAT_HAIRPIN_INTERNAL /* they come from the internal one */
};

/* Which direction makes a UDP mapping live on (section 4.3). NONE: it lives
 * once as long as it lives. */
enum nat_refresh {
	NAT_REFRESH_OUT,
	NAT_REFRESH_IN,
	NAT_REFRESH_BOTH,
	NAT_REFRESH_NONE
};

/* What a refresh makes live on: all of the mapping, or the session with that
 * remote endpoint alone. */
enum nat_scope { NAT_SCOPE_MAPPING, NAT_SCOPE_SESSION };

/* What becomes of UDP from outside that nobody inside asked for. */
enum nat_unsolicited {
	NAT_UNSOLICITED_DROP,
	NAT_UNSOLICITED_UNREACH, /* port unreachable; in IPv6 by policy */
	NAT_UNSOLICITED_STATE /* as a Linux gateway whose INPUT accepts: it
				 takes the packet for its own, so that the
				 remote has the port, and port unreachable */
};

/* Likewise TCP. WAIT is RFC 5382 REQ-4: an error, unless within 6 s somebody
 * inside opens that connection. */
enum nat_tcp_unsolicited {
	NAT_TCP_DROP,
	NAT_TCP_RST,
	NAT_TCP_UNREACH,
	NAT_TCP_WAIT
};

/* A SYN from outside that crosses one from inside (RFC 5382 REQ-2). */
enum nat_tcp_cross { NAT_CROSS_ACCEPT, NAT_CROSS_DROP, NAT_CROSS_RST };

/* TCP from inside that belongs to no connection and is no SYN. */
enum nat_tcp_midstream {
	NAT_MIDSTREAM_DROP,
	NAT_MIDSTREAM_RST,
	NAT_MIDSTREAM_CREATE
};

/* When there are nat_config.limit mappings. EDM: new ones are made, but each
 * for one remote endpoint. */
enum nat_full { NAT_FULL_DROP, NAT_FULL_EVICT, NAT_FULL_EDM };

enum nat_frags {
	NAT_FRAGS_PASS, /* in any order; others wait for the first */
	NAT_FRAGS_ORDERED, /* those before the first are dropped */
	NAT_FRAGS_REASSEMBLE,
	NAT_FRAGS_DROP,
	NAT_FRAGS_FIRST_ONLY
};

enum nat_icmp_errors {
	NAT_ERRORS_TRANSLATE,
	NAT_ERRORS_OUTER, /* the quoted packet is left as it is: a fault */
	NAT_ERRORS_DROP
};

/* ADDRESSES: those within UDP are translated, too, wherever four bytes look
 * like one; why XOR-MAPPED-ADDRESS was made (RFC 8489 section 14.2). */
enum nat_alg { NAT_ALG_OFF, NAT_ALG_ADDRESSES };

/* One direction of the line behind the NAT. Shares are 0 to 1. */
struct nat_line {
	int64_t delay_us;
	int64_t jitter_us; /* up to this much more; the order is kept */
	int64_t reorder_us; /* how late a reordered packet is */
	double loss, reorder, dup;
	unsigned rate_kbit; /* kbit/s; 0: no limit */
	int64_t queue_us; /* what waits longer for the rate is dropped */
};

/* An internal endpoint that always has the same external port. */
struct nat_fixed {
	struct ip ip;
	uint16_t inside, outside;
};

/* Times are in microseconds of the NAT's clock, which runs `speed` times as
 * fast as the real one; those of the lines are real. */
struct nat_config {
	struct ip external[NAT_EXTERNAL_MAX];
	unsigned external_count;
	struct ip inside4, inside6; /* its own, for ICMP errors; zero: none */

	enum nat_dependence mapping, filtering;
	enum nat_ports ports, ports_fallback;
	enum nat_overload overload;
	unsigned port_min, port_max, port_step;
	unsigned port_start; /* of SEQUENTIAL; 0: port_min */
	unsigned block_size, block_align; /* 0: its size */
	struct nat_fixed port_map[NAT_PORT_MAP_MAX];
	unsigned port_map_count;
	bool port_classes; /* ports below 1024 stay there, REQ-3a */
	bool parity; /* even stays even, REQ-4 */
	bool contiguity; /* neighbours of a host stay neighbours */
	enum nat_pooling pooling;
	enum nat_hairpin hairpin;
	bool hairpin_same_host; /* to none but who sends */
	bool hairpin_fragments;

	int64_t ttl_single; /* UDP until something came back */
	int64_t ttl_exchange; /* and then */
	int64_t ttl_stream, stream_after; /* and at that age; 0: never */
	unsigned stream_packets; /* and with so many packets */
	int64_t ttl_filter; /* what a remote may send; 0: as the above */
	int64_t ttl_icmp;
	int64_t tick; /* state goes only at multiples of this; 0: at once */
	enum nat_refresh refresh;
	enum nat_scope scope;
	bool refresh_icmp; /* by an error from outside, too */
	bool refresh_error; /* and from inside: against RFC 7857 7.1 */

	int64_t tcp_ttl_syn, tcp_ttl_open, tcp_ttl_closing;
	enum nat_tcp_unsolicited tcp_unsolicited;
	enum nat_tcp_cross tcp_cross;
	enum nat_tcp_midstream tcp_midstream;
	bool tcp_rst_on_expire; /* both ends are told */

	unsigned limit; /* mappings in all */
	enum nat_full full;
	unsigned host_limit; /* mappings of a host; 0: no limit */
	unsigned degrade_after; /* from so many on, new ones are made by
				   address and port, and all live half as
				   long; 0: never */
	enum nat_unsolicited unsolicited;
	bool ping; /* external addresses answer echo requests */

	enum nat_frags frags;
	enum nat_icmp_errors icmp_errors;
	enum nat_alg alg;
	bool icmp_kills; /* an error from outside ends the mapping: REQ-12 */
	unsigned mtu_out, mtu_in;
	bool ptb; /* says so when a packet is too big */
	struct nat_line line_out, line_in;

	/* So long after they were set; 0: never. Once: they are 0 then. */
	int64_t reboot_at; /* forgets all mappings */
	int64_t renumber_at; /* external addresses are these, then */
	struct ip renumber_to[NAT_EXTERNAL_MAX];
	unsigned renumber_count;
	double speed;
	uint64_t seed;
};

/* A NAT that makes no trouble: EI, EI, ports preserved, no hairpin, a line
 * without faults; and without external addresses. */
struct nat_config nat_config_default(void);
/* Sets the knobs that are in the object. False at the first one that is
 * wrong, with one line in error: which, the value, and what would be right.
 * Then *c is no use any more. */
bool nat_config_read(struct nat_config *c, const json_t *knobs,
    char error[static NAT_ERROR_MAX]);
/* All knobs, as nat_config_read takes them. The caller's; NULL if memory is
 * short. */
json_t *nat_config_write(const struct nat_config *c);

enum nat_side { NAT_INSIDE, NAT_OUTSIDE };

/* Why packets were dropped, or what was done with them. */
enum nat_count {
	NAT_COUNT_OUT, /* translated */
	NAT_COUNT_IN,
	NAT_COUNT_HAIRPIN,
	NAT_COUNT_ERRORS, /* ICMP errors translated */
	NAT_COUNT_MADE, /* mappings */
	NAT_COUNT_EXPIRED,
	NAT_COUNT_EVICTED,
	NAT_COUNT_POISONED,
	NAT_COUNT_ANSWERED, /* ICMP and RST of its own */
	NAT_DROP_MALFORMED,
	NAT_DROP_PROTOCOL,
	NAT_DROP_UNMAPPED,
	NAT_DROP_FILTERED,
	NAT_DROP_TCP_STATE,
	NAT_DROP_NO_PORT,
	NAT_DROP_FULL,
	NAT_DROP_QUOTA,
	NAT_DROP_HAIRPIN,
	NAT_DROP_ICMP,
	NAT_DROP_FRAGMENT,
	NAT_DROP_TOO_BIG,
	NAT_DROP_LOSS,
	NAT_DROP_QUEUE,
	NAT_COUNTS
};
const char *nat_count_name(enum nat_count c);

/* Called with each packet that leaves. It must not call the NAT. */
typedef void nat_emit_fn(
    void *arg, enum nat_side to, const uint8_t *packet, size_t n);

struct nat;

/* now: the NAT's clock starts. NULL if memory is short. */
struct nat *nat_new(
    const struct nat_config *c, struct mono now, nat_emit_fn *emit, void *arg);
void nat_free(struct nat *n);

/* An IP packet came from that side. */
void nat_input(struct nat *n, enum nat_side from, const uint8_t *packet,
    size_t len, struct mono now);
/* Sends what is due, at nat_deadline (MONO_NEVER: nothing waits). */
void nat_run(struct nat *n, struct mono now);
struct mono nat_deadline(const struct nat *n);

/* New knobs, made from what nat_config says after nat_run at that time. What
 * is mapped stays, apart from external addresses that are gone. Times that run
 * already are not changed. */
void nat_configure(struct nat *n, const struct nat_config *c, struct mono now);
const struct nat_config *nat_config(const struct nat *n);
/* Forgets all mappings, as after a restart. What is on the lines arrives. */
void nat_flush(struct nat *n);

uint64_t nat_counter(const struct nat *n, enum nat_count c);

/* A mapping, as it is shown. */
struct nat_shown {
	uint8_t protocol;
	bool own; /* the gateway's, from NAT_UNSOLICITED_STATE */
	struct ip in_ip, out_ip;
	uint16_t in_port, out_port;
	int64_t age_us, left_us; /* of the NAT's clock */
	bool replied;
};
typedef void nat_mapping_fn(void *arg, const struct nat_shown *m);
typedef void nat_remote_fn(
    void *arg, const struct ip *ip, uint16_t port, int64_t left_us);
/* Calls fn for each living mapping, oldest use first, and after it remote
 * (if not NULL) for each of its sessions. */
void nat_each(struct nat *n, struct mono now, nat_mapping_fn *fn,
    nat_remote_fn *remote, void *arg);

#endif

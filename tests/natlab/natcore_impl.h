/*
 * natcore_impl: what the files of natcore share. A packet from inside goes
 * natcore.c (clock, checks) -> natcore_frag.c -> natcore_flow.c (which
 * mapping) -> natcore_table.c, natcore_port.c (a new one) -> natcore_line.c
 * (delay and loss). Nothing outside natcore_*.c includes this.
 */
#ifndef NATLAB_NATCORE_IMPL_H
#define NATLAB_NATCORE_IMPL_H

#include <sys/queue.h>

#include "tests/natlab/natcore.h"

enum {
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_V6_FRAG = 44,
	PROTO_ICMP6 = 58
};
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

#define SECOND 1000000LL

struct end {
	struct ip ip;
	uint16_t port; /* of ICMP echo: the identifier, and 0 at the remote */
};

/* ---- natcore_packet.c: one packet, read and rewritten in place ---- */

struct packet {
	uint8_t *p;
	size_t n;
	bool v4;
	bool quoted; /* in an ICMP error: may be cut */
	uint8_t protocol;
	struct end src, dst; /* as natcore_flow.c wants them, see end.port */
	size_t head; /* bytes of the IP header, extensions and all */
	bool has_ports; /* the fields below were there to be read */
	uint8_t tcp_flags, icmp_type, icmp_code;
	uint32_t tcp_ack; /* not of a quote */
	bool dont_fragment, more_fragments;
	unsigned frag_at; /* bytes before this fragment */
	uint32_t frag_id;
};

bool packet_read(struct packet *k, uint8_t *p, size_t n);
/* Reads the packet that an ICMP error quotes. */
bool packet_read_quote(struct packet *q, const struct packet *error);
bool packet_is_fragment(const struct packet *k);
/* Its ports are in another fragment. */
bool packet_is_later_fragment(const struct packet *k);
bool packet_is_error(const struct packet *k);
bool packet_is_query(const struct packet *k); /* echo request or reply */
bool packet_is_echo_request(const struct packet *k);

/* Give it another source or destination; checksums stay as right as they
 * were (RFC 1624). */
void packet_set_src(struct packet *k, const struct end *e);
void packet_set_dst(struct packet *k, const struct end *e);
/* Replaces an IPv4 address wherever it is in a UDP datagram that is whole. */
void packet_replace(
    struct packet *k, const struct ip *what, const struct ip *by);
/* The same in a quote, and in the checksum of the error around it. */
void packet_quote_set_src(
    struct packet *error, struct packet *q, const struct end *e);
void packet_quote_set_dst(
    struct packet *error, struct packet *q, const struct end *e);
/* Only the IP header, of a fragment without ports. */
void packet_set_ips(
    struct packet *k, const struct ip *src, const struct ip *dst);

/* ---- natcore_make.c: packets of the NAT's own ---- */

#define MADE_MAX 1280

struct icmp_kind {
	uint8_t type, code;
	uint32_t rest;
};
enum icmp_what { ICMP_NO_PORT, ICMP_PROHIBITED, ICMP_TOO_BIG };
struct icmp_kind icmp_kind_of(bool v4, enum icmp_what what, unsigned mtu);
/* Each returns the size. An error quotes k, goes to its source and comes from
 * `from`. */
size_t make_error(uint8_t out[static MADE_MAX], const struct packet *k,
    const struct ip *from, const struct icmp_kind *kind);
size_t make_rst(uint8_t out[static MADE_MAX], const struct packet *k);
/* The same to one end of a connection, which wants that number next. */
size_t make_rst_of(uint8_t out[static MADE_MAX], const struct end *src,
    const struct end *dst, uint32_t seq);
/* Turns an echo request into its reply. */
void packet_turn_echo(struct packet *k);
/* Writes the fragment of an IPv4 packet that begins at byte `at` of what is
 * behind its header; returns its size, at most mtu, and moves *at on: to the
 * end of the packet after the last. */
size_t make_fragment(
    uint8_t *out, const uint8_t *packet, size_t n, unsigned mtu, size_t *at);
/* Writes the length, and no fragment; for a datagram put together again. */
void packet_make_whole(uint8_t *p, size_t n);

/* ---- natcore_table.c: who is mapped to what ---- */

struct tcp {
	bool syn_out, syn_in, fin_out, fin_in, rst;
	bool acked[2]; /* by the side that has */
	uint32_t wants[2]; /* and which sequence number it wants next */
};

/* The remote endpoints that a mapping has to do with. */
struct session {
	LIST_ENTRY(session) by_pair, of_mapping;
	struct mapping *mapping;
	struct end remote;
	int64_t made, expires;
	int64_t filter_expires; /* if there is a ttl_filter */
	unsigned packets;
	bool opened; /* from inside: only this opens the filter */
	bool replied;
	struct tcp tcp;
};
LIST_HEAD(session_list, session);

struct host {
	LIST_ENTRY(host) entry;
	struct ip ip;
	unsigned mappings;
	unsigned external; /* index */
	unsigned block, block_next; /* first port, 0: none yet */
};
LIST_HEAD(host_list, host);

struct mapping {
	LIST_ENTRY(mapping) by_in, by_out;
	TAILQ_ENTRY(mapping) by_use;
	struct session_list sessions;
	struct host *host; /* NULL: the gateway's own */
	uint8_t protocol;
	bool own;
	enum nat_dependence rule; /* for which remotes it is used */
	struct end in, out, remote; /* remote: the first one */
	int64_t made, expires;
	unsigned packets;
	int64_t order; /* of outbound use: the last one is the greatest */
	bool replied;
};
LIST_HEAD(mapping_list, mapping);
TAILQ_HEAD(mapping_queue, mapping);

#define BUCKETS 4096 /* a power of two */

struct table {
	struct mapping *mappings; /* all there are */
	struct session *sessions;
	struct host *hosts;
	unsigned mappings_used, sessions_used, hosts_used; /* ever */
	struct mapping_list free_mappings;
	struct session_list free_sessions;
	struct host_list free_hosts, used_hosts;
	struct mapping_queue by_use; /* least recently used first */
	unsigned count;
	int64_t earliest; /* nothing expires before; INT64_MAX: nothing does */
	int64_t order;
	unsigned next_external; /* for round robin, and new hosts */
	uint16_t last_port[NAT_EXTERNAL_MAX]; /* for sequential ports */
	struct mapping_list by_in[BUCKETS], by_out[BUCKETS];
	struct session_list by_pair[BUCKETS];
};

bool table_init(struct table *t);
void table_clear(struct table *t);
void table_flush(struct nat *n);

struct session *session_find(const struct table *t, uint8_t protocol,
    const struct end *in, const struct end *remote);
/* There are more mappings than it takes with ease. */
bool table_is_degraded(const struct nat *n);
/* The mapping that the rule says for a packet to that remote, or NULL. */
struct mapping *mapping_find(const struct nat *n, uint8_t protocol,
    const struct end *in, const struct end *remote);
/* The one that a packet from that remote is for: of several that share the
 * port, the one that knows the remote, else the last used; or NULL. */
struct mapping *mapping_pick(const struct table *t, uint8_t protocol,
    const struct end *out, const struct end *remote);
/* First of those with an external endpoint; LIST_NEXT(m, by_out), but for
 * mapping_has_out. */
struct mapping *mapping_at(
    const struct table *t, uint8_t protocol, const struct end *out);
bool mapping_has_out(
    const struct mapping *m, uint8_t protocol, const struct end *out);
/* Another endpoint than `in` talks with that remote through `out`, and they
 * may not share it. */
bool mapping_clashes(const struct nat *n, uint8_t protocol,
    const struct end *in, const struct end *out, const struct end *remote);
/* Make room by nat_config.full where it is short; NULL, and why, else. */
struct mapping *mapping_new(struct nat *n, uint8_t protocol,
    const struct end *in, const struct end *remote, enum nat_count *why);
/* The gateway's own: in is out. */
struct mapping *mapping_new_own(struct nat *n, uint8_t protocol,
    const struct end *out, const struct end *remote);
void mapping_free(struct nat *n, struct mapping *m);
struct session *session_new(
    struct nat *n, struct mapping *m, const struct end *remote);
void session_free(struct table *t, struct session *s);
bool filter_admits(
    const struct nat *n, const struct mapping *m, const struct end *remote);

bool end_equal(const struct end *a, const struct end *b);

/* ---- natcore_life.c: how long ---- */

/* Notes that a packet passed, and moves the times that it refreshes. */
void session_passed(struct nat *n, struct session *s, enum nat_side from);
/* Moves them for a packet that is none of the session's own. */
void session_refresh(struct nat *n, struct session *s);
void table_expire(struct nat *n);

/* ---- natcore_port.c: addresses and ports for new mappings ---- */

/* Chooses for a mapping of that host; false if there is none. */
bool port_choose(struct nat *n, struct host *h, uint8_t protocol,
    const struct end *in, const struct end *remote, struct end *out);

/* ---- natcore_tcp.c ---- */

/* What a TCP packet may do; s is NULL where there is no session yet. */
enum tcp_verdict { TCP_OK, TCP_DROP, TCP_ANSWER_RST };
enum tcp_verdict tcp_outbound(
    const struct nat *n, const struct session *s, const struct packet *k);
enum tcp_verdict tcp_inbound(
    const struct nat *n, const struct session *s, const struct packet *k);
void tcp_passed(struct session *s, const struct packet *k, enum nat_side from);
int64_t tcp_ttl(const struct nat_config *c, const struct tcp *tcp);
/* The session ends by its age: tells both ends, if that is a knob. */
void tcp_expired(struct nat *n, const struct session *s);

/* SYNs that get an error later, unless a session comes (RFC 5382 REQ-4). */
struct waiting {
	bool used;
	int64_t due; /* of the NAT's clock */
	struct end src, dst;
	size_t n;
	uint8_t packet[128];
};
void waiting_add(struct nat *n, const struct packet *k);
void waiting_forget(
    struct nat *n, const struct end *remote, const struct end *out);
void waiting_run(struct nat *n);
int64_t waiting_due(const struct nat *n); /* 0: nothing waits */

/* ---- natcore_flow.c: which packets pass, and as what ---- */

void flow_packet(struct nat *n, enum nat_side from, struct packet *k);
/* The same for a NAT that is but a line: all pass, of all protocols. */
void flow_line(struct nat *n, enum nat_side from, struct packet *k);
/* Packets that nobody asked for, and that are not passed on. */
void flow_unsolicited(
    struct nat *n, const struct packet *k, enum nat_count why);
bool ip_is_external(const struct nat *n, const struct ip *ip);

/* ---- natcore_icmp.c: errors, and pings of the NAT itself ---- */

void icmp_error(struct nat *n, enum nat_side from, struct packet *k);
void icmp_say(struct nat *n, enum nat_side to, const struct packet *about,
    enum icmp_what what, unsigned mtu);

/* ---- natcore_frag.c ---- */

struct frag;
bool frag_init(struct nat *n);
void frag_clear(struct nat *n);
void frag_flush(struct nat *n);
void frag_packet(struct nat *n, enum nat_side from, struct packet *k);
/* What became of the first fragment that flow_packet has now. */
void frag_translated(struct nat *n, enum nat_side to, const struct packet *k);

/* ---- natcore_line.c: what happens on the way ---- */

struct delayed {
	TAILQ_ENTRY(delayed) entry;
	struct mono due;
	size_t n;
	uint8_t packet[];
};
TAILQ_HEAD(delayed_queue, delayed);

struct line {
	struct delayed_queue queue; /* by due */
	unsigned count;
	struct mono last; /* due of the last one in order */
	struct mono busy; /* until then the rate is used up */
	uint64_t rng;
};
void line_send(struct nat *n, enum nat_side to, const uint8_t *p, size_t len);
void line_run(struct nat *n);
void line_clear(struct line *l);

/* ---- natcore_list.c: knobs that are lists ---- */

/* Each false, with a line in error, where the list is wrong. */
bool addresses_read(const char *knob, struct ip ips[static NAT_EXTERNAL_MAX],
    unsigned *count, const json_t *v, char error[static NAT_ERROR_MAX]);
bool port_map_read(const char *knob, struct nat_config *c, const json_t *v,
    char error[static NAT_ERROR_MAX]);
json_t *addresses_write(const struct ip *ips, unsigned count);
json_t *port_map_write(const struct nat_config *c);

/* ---- natcore_knobs.c ---- */

/* "knob: value: what would be right"; false. */
bool knob_wrong(char error[static NAT_ERROR_MAX], const char *knob,
    const json_t *v, const char *want);
/* False if it is none of that family, 4 or 6. */
bool knob_address(struct ip *a, const json_t *v, int family);

/* ---- natcore.c ---- */

struct nat {
	struct nat_config config;
	struct table table;
	struct frag *frags;
	struct frag *first; /* whose first fragment is being translated */
	struct line lines[2]; /* by the side they lead to */
	struct waiting waiting[NAT_WAITING_MAX];
	uint64_t counters[NAT_COUNTS];
	uint64_t rng; /* for addresses and ports */
	struct mono now, clock_mono; /* the clock stood at clock_us then */
	int64_t clock_us;
	int64_t v; /* its time now */
	int64_t reboot_due, renumber_due; /* 0: never */
	nat_emit_fn *emit;
	void *arg;
};

void nat_drop(struct nat *n, enum nat_count why);
/* Sends a packet on: as fragments, or not at all, if it is too big. */
void nat_send(struct nat *n, enum nat_side to, struct packet *k);
/* Sends one of its own. */
void nat_answer(struct nat *n, enum nat_side to, const uint8_t *p, size_t len);

/* Random numbers: the next, one below n (not 0), and whether an event of that
 * share happens. */
uint64_t rng_next(uint64_t *state);
unsigned rng_below(uint64_t *state, unsigned n);
bool rng_happens(uint64_t *state, double share);

#endif

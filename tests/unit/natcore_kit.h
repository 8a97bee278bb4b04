/*
 * natcore_kit: natcore's tests as scripts. A case is knobs and lines:
 *
 *   out udp a:1000 S:53 = E:?p      a packet from inside; its source outside.
 *                                   ?p: any port, from now on called p
 *   in udp S:53 E:p = a:1000        from outside; its destination inside
 *   out udp b:1000 S:53 = E:!p      another port than p
 *   in udp T:9 E:p = -              nothing comes out
 *   out udp a:1 E:p = E:9>a:1000    both ends, of a packet to the inside
 *   in syn S:9 E:p = unreach S:9>E:p  an error to who sent, with its quote
 *   in rst.. syn synack ack fin     TCP; ping, pong: echo, the port is the id
 *   in unreach R S:53>... = ...     see natcore_icmp_test.c
 *   wait 29.5                       seconds of real time
 *   knobs 'mapping': 'none'         changed now
 *   flush
 *
 * Names of addresses: a b c inside, R a router there, G the NAT's inside
 * address; E F G H... external; S T U servers. With a 6 behind: in IPv6.
 * Every packet that comes out must have right checksums, summed up here anew.
 */
#ifndef TESTS_NATCORE_KIT_H
#define TESTS_NATCORE_KIT_H

#include "tests/natlab/natcore.h"
#include "tests/tap.h"

struct nat_case {
	const char *name;
	const char *knobs; /* members of a JSON object, with ' for " */
	const char *script; /* lines */
};

/* Runs a case; says on standard output what went wrong. */
bool nat_case_passes(const struct nat_case *c);
/* Runs an array of them, one test each. */
#define nat_cases(cases)                                                   \
	for (size_t i_ = 0; i_ < sizeof(cases) / sizeof((cases)[0]); i_++) \
	ok(nat_case_passes(&(cases)[i_]), (cases)[i_].name)

/* What came out of a NAT. */
struct box_packet {
	enum nat_side to;
	struct mono at;
	size_t n;
	uint8_t p[2048];
};

#define BOX_PACKETS 512

struct box {
	struct nat *nat;
	struct mono now;
	size_t count; /* may be greater than what there is room for */
	struct box_packet got[BOX_PACKETS];
};

/* Fails loudly on wrong knobs. Clock at 1 s. */
void box_init(struct box *b, const char *knobs);
void box_clear(struct box *b);
void box_knobs(struct box *b, const char *knobs);
void box_send(struct box *b, enum nat_side from, const void *p, size_t n);
/* Moves the clock on, stopping at each deadline. */
void box_wait(struct box *b, double seconds);

struct pair {
	struct ip src, dst;
	uint16_t sport, dport;
};
/* One of the names above, or an address. */
struct ip box_ip(const char *name);

/* Build IPv4 or IPv6 packets with right checksums; return the size. */
size_t make_udp(uint8_t *out, const struct pair *e, size_t payload);
size_t make_tcp(uint8_t *out, const struct pair *e, unsigned flags);
size_t make_echo(uint8_t *out, const struct pair *e, bool request);
size_t make_unreach(uint8_t *out, const struct ip *src, const struct ip *dst,
    const void *quote, size_t n);
/* Sets an IPv4 header's checksum. */
void v4_fix(uint8_t *p);

/* NULL if version, lengths and all checksums are right, of a quote as well;
 * else what is wrong. */
const char *packet_fault(const uint8_t *p, size_t n);
#define TEXT_MAX 320
/* "udp E:1000>S:53", "icmp 3/3 E>S (udp ...)", "frag 1480+ E>S". */
const char *packet_text(char text[static TEXT_MAX], const uint8_t *p, size_t n);

#endif

/*
 * pcp: what is said to a router by PCP (RFC 6887) and NAT-PMP (RFC 6886), who
 * share a port and answer for each other where they do not know a version.
 * PURE: no socket, no clock; the nonce is drawn elsewhere.
 *
 *  0               1               2               3
 * | version 2     |R| opcode      | reserved      | result        |
 * | lifetime, seconds                                             |
 * | request: the client's address, 16 bytes; answer: epoch, zeros |
 *   MAP alone:
 * | nonce, 12 bytes                                               |
 * | protocol      | 0                                             |
 * | internal port                 | external port                 |
 * | external address, 16 bytes                                    |
 *
 * NAT-PMP: version 0, opcode 0 asks for the external address, 1 maps UDP.
 * Either maps for a lifetime and removes with a lifetime of 0.
 */
#ifndef NATPROBE_GATEWAY_PCP_H
#define NATPROBE_GATEWAY_PCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/ip.h"
#include "pure/mono.h"

#define PCP_PORT       5351
#define PCP_PACKET_MAX 1100 /* RFC 6887 section 7 */
#define PCP_NONCE_LEN  12
/* Short, should nobody be left to remove it; RFC 6887 section 15 lets a
 * router make it longer. */
#define PCP_LIFETIME_S 120
#define PCP_SENDS      3

enum pcp_protocol { PCP_V2, PCP_NATPMP, PCP_PROTOCOLS };

/* ASK changes nothing: ANNOUNCE, or NAT-PMP's question for the address. */
enum pcp_step { PCP_ASK, PCP_MAP, PCP_REMOVE, PCP_STEPS };

enum pcp_state {
	PCP_IDLE,
	PCP_WAITING,
	/* Over: */
	PCP_ANSWERED, /* with a result, which may be a refusal */
	PCP_SILENT,
	PCP_CLOSED, /* ICMP: nothing listens there */
};

struct pcp_answer {
	unsigned result; /* 0: success */
	uint32_t epoch, lifetime;
	struct ip external; /* if has_external */
	bool has_external;
	uint16_t port; /* external */
};

struct pcp_exchange {
	enum pcp_state state;
	unsigned sends;
	struct mono due;
	struct pcp_answer answer;
};

/* A client of one router by one protocol, with one mapping. */
struct pcp {
	enum pcp_protocol protocol;
	struct ip client;
	/* One for all of a mapping's life (RFC 6887 section 11.2). */
	uint8_t nonce[PCP_NONCE_LEN];
	uint16_t port; /* internal, to be mapped; the same is wished outside */
	enum pcp_step step;
	struct pcp_exchange steps[PCP_STEPS];
	unsigned odd; /* answers that answer nothing that was asked */
};

void pcp_init(struct pcp *p, enum pcp_protocol protocol,
    const struct ip *client, const uint8_t nonce[static PCP_NONCE_LEN]);

/* Begins a step; the one before is given up. port is set before PCP_MAP. */
void pcp_begin(struct pcp *p, enum pcp_step step, struct mono now);

/* The request that is due now, in out; 0: none. */
size_t pcp_next(
    struct pcp *p, struct mono now, uint8_t out[static PCP_PACKET_MAX]);

/* Will pcp_next give a request? */
bool pcp_is_due(const struct pcp *p, struct mono now);

/* When pcp_next has something to do; MONO_NEVER: the step is over. */
struct mono pcp_wake(const struct pcp *p);

/* A datagram from the router. One that answers the other protocol's question
 * is left to that. */
void pcp_input(struct pcp *p, const void *bytes, size_t n);

/* The router's kernel says that nothing listens. */
void pcp_close(struct pcp *p);

/* Did it answer as one that knows this protocol? */
bool pcp_is_spoken(const struct pcp *p);

bool pcp_over(const struct pcp *p);

/* "not-authorized"; a number that the RFCs do not know is "unknown-result". */
const char *pcp_result_name(enum pcp_protocol protocol, unsigned result);

enum { PCP_UNSUPP_VERSION = 1, PCP_ADDRESS_MISMATCH = 12 };

#endif

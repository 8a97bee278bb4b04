/*
 * ask: one question to a STUN server and what came back. The asks of a run
 * are its evidence: every verdict is a function of them alone. PURE.
 */
#ifndef NATPROBE_ASK_H
#define NATPROBE_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "probes/natprobe/nat/label.h"
#include "pure/mono.h"
#include "pure/stun.h"

#define ASK_NONE UINT16_MAX

/* Part of the transaction ids, so of captures: numbers stay. */
enum test {
	TEST_DISCOVER = 1, /* unit: server; step 0 full, 1 tailnode */
	TEST_MAPPING = 2, /* unit: socket; step: place of the destination */
	TEST_FILTER = 3, /* unit: socket; step: enum filter_step */
	TEST_POISON = 4, /* unit: socket; step: enum poison_step */
	TEST_ALLOC = 5, /* unit: socket, in the order of opening */
	TEST_COOKIE = 6, /* unit: server; step: count */
	TEST_LIFE = 7, /* unit: rung; step: enum life_step + 8 * class */
	TEST_REFRESH = 8, /* unit: socket; step: its packets, in order */
	TEST_HAIRPIN = 9, /* unit: pair of sockets */
	TEST_COLLISION = 10, /* unit: pair of sockets */
	TEST_PORTMAP = 24, /* gateway/mapping.c; unit: which question */
	TEST_FENCE = 25, /* gateway/fence.c; unit: socket; step: in order */
	TESTS,
};

enum ask_state {
	ASK_WAITING, /* for its time, or for what it comes after */
	ASK_ASKED,
	/* Over: */
	ASK_ANSWERED, /* with success, from `expect`, to the right socket */
	ASK_REFUSED, /* error is set */
	ASK_ODD, /* only from another address, or to another socket */
	ASK_SILENT, /* no answer to any of its sends */
	ASK_SKIPPED, /* what it comes after failed, or no socket */
};

/* What was wrong about its answers: bits of ask.odd. */
enum ask_odd {
	ODD_TWICE = 1 << 0, /* more answers than questions */
	ODD_LATE = 1 << 1, /* came when it was given up */
	ODD_ELSEWHERE = 1 << 2, /* from an address that was not asked */
	ODD_NO_CHANGE = 1 << 3, /* CHANGE-REQUEST was ignored */
	ODD_ECHO = 1 << 4, /* the question itself came back */
	ODD_FAMILY = 1 << 5, /* an address of the other family */
	ODD_IMPOSSIBLE = 1 << 6, /* an address that nobody can have here */
	ODD_VARIES = 1 << 7, /* another address in another answer */
	ODD_REWRITTEN = 1 << 8, /* MAPPED- and XOR-MAPPED-ADDRESS differ */
	ODD_DAMAGED = 1 << 9, /* an answer to it that is no STUN */
	ODD_STALE = 1 << 11, /* an answer to it, sent to another question */
	ODD_UNREACHABLE = 1 << 10, /* ICMP: nobody listens there */
};

/* What must have become of the ask before, for this one to be asked. */
enum ask_if { ASK_IF_ANSWERED, ASK_IF_SILENT, ASK_IF_ANY };

struct ask {
	/* The question. */
	struct label label;
	uint16_t sock;
	struct stun_addr to;
	struct stun_addr expect; /* whence the answer is to come */
	uint8_t change; /* STUN_CHANGE_IP | STUN_CHANGE_PORT */
	bool tailnode; /* the 40 bytes of Tailscale */
	bool raw; /* to another socket of ours: no server answers */
	uint16_t port_of; /* RESPONSE-PORT: that of this ask's mapping */
	uint32_t delay_ms; /* CN-DELAY */
	uint8_t ttl; /* time to live; 0: the usual. For drivers that can */
	bool silent; /* CN-SILENT: sent once, no answer is wanted */
	/* When. */
	uint16_t after; /* ASK_NONE, or once that earlier ask is over */
	enum ask_if when;
	int64_t wait_us; /* after that, or after the start */
	uint8_t sends_max; /* 0: the usual */
	int64_t gap_us; /* between its sends; 0: the usual, which grows */
	/* What came of it. */
	enum ask_state state;
	struct stun_txid txid;
	uint8_t sends;
	struct mono due; /* of the next send, or of giving up */
	struct mono first_sent, last_sent, answered;
	uint16_t got_sock;
	uint8_t answers;
	uint16_t odd; /* enum ask_odd */
	unsigned error;
	struct stun_addr from, mapped;
	struct stun_addr plain; /* MAPPED-ADDRESS; port 0: none */
	struct stun_addr origin, other; /* port 0: none */
};

static inline bool
ask_over(const struct ask *a)
{
	return a->state >= ASK_ANSWERED;
}

/* Asked, and waited for: else its silence says nothing, as in a run that was
 * interrupted. */
static inline bool
ask_tells(const struct ask *a)
{
	return a->sends > 0 && ask_over(a) && a->state != ASK_SKIPPED;
}

/* oddity.c. RFC 1918, 6598, 3927, 4193: of a network's own. */
bool stun_addr_is_private(const struct stun_addr *a);
bool stun_addr_is_loopback(const struct stun_addr *a);

#endif

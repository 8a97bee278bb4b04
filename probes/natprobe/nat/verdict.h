/*
 * verdict: what is known about a NAT, in the words of RFC 4787. PURE.
 * A verdict that is not known says why; nothing is guessed.
 */
#ifndef NATPROBE_VERDICT_H
#define NATPROBE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/stun.h"

struct probe;

enum answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };
const char *answer_name(enum answer a);

/* RFC 4787 sections 4.1 and 5; the last two are ours. */
enum behaviour {
	BEHAVIOUR_UNKNOWN,
	BEHAVIOUR_NONE, /* no translation; as a filter: see EI */
	BEHAVIOUR_EI, /* endpoint-independent */
	BEHAVIOUR_AD, /* address-dependent */
	BEHAVIOUR_APD, /* address- and port-dependent */
	BEHAVIOUR_PD, /* port-dependent */
	BEHAVIOUR_DEPENDENT, /* AD or APD: one address cannot tell */
	BEHAVIOUR_MIXED,
	BEHAVIOURS,
};
const char *behaviour_name(enum behaviour b);

/* Why something is not known, or weaker than it could be. */
enum reason {
	REASON_NONE,
	REASON_NO_SERVER, /* no STUN server answers: UDP blocked? */
	REASON_ONE_ADDRESS, /* the servers have one address in all */
	REASON_NO_ALTERNATE, /* no server has an OTHER-ADDRESS */
	REASON_ALTERNATE_SILENT, /* it has, but that does not answer */
	REASON_NO_CONTROL, /* an answer that had to come did not */
	REASON_REFUSED, /* the server refuses the question */
	REASON_LOSS, /* too few answers */
	REASON_VARIES, /* sockets disagree */
	REASON_LIAR, /* the server contradicts itself */
	REASON_NO_NAT,
	REASON_NOT_ASKED,
	REASON_FILTERED, /* the filter would hide it */
	REASON_BEYOND, /* longer than was tried */
	REASON_ONE_PORT, /* all servers have one; weaker, not unknown */
	REASON_STOPPED, /* the run was ended before */
	REASON_DISAGREE, /* servers contradict each other */
	REASON_NO_SOCKET, /* this host could not open one */
	REASON_SERVER_STOPPED, /* it answered at first, then no more */
	/* Over TCP, of the server that came furthest: */
	REASON_TCP_SILENT, /* nothing answers a SYN */
	REASON_TCP_UNREACHABLE, /* ICMP says so */
	REASON_TCP_REFUSED, /* a reset answers the SYN */
	REASON_TCP_RESET, /* connected, and then reset */
	REASON_TCP_CLOSED, /* connected, and closed without an answer */
	REASON_TCP_MUTE, /* connected, but no answer comes */
	REASON_TCP_NOT_STUN, /* what comes is no STUN */
	REASON_NO_ASKER, /* no server can open a connection to here */
	REASON_SERVER_CLOSED, /* the server ended what was idle */
	REASON_SERVER_KEEPS, /* its keepalives do not let it be idle */
	REASONS,
};
const char *reason_name(enum reason r);

struct verdict_mapping {
	enum behaviour kind;
	enum reason why;
	unsigned units; /* sockets that say something */
	unsigned agree; /* of these, how many say `kind` */
	unsigned counts[BEHAVIOURS];
	bool one_port; /* some sockets reached no second port */
	bool pool_varies; /* another external address for another server */
	struct stun_addr external; /* one of those seen; port 0: none */
	/* Servers, as bits: which no NAT can explain, and which were therefore
	 * left out; and of these, which see this host's own address, while
	 * others see another: they are on this side of the NAT. */
	unsigned outliers, inside;
};

/* What is wrong with a server; as bits of a set. */
enum finding {
	FINDING_SILENT, /* never answers */
	FINDING_REFUSES, /* with an error code */
	FINDING_UNREACHABLE, /* ICMP says that nobody listens */
	FINDING_GARBAGE, /* what it sends is no STUN */
	FINDING_ECHOES, /* sends the questions back */
	FINDING_TWICE, /* answers more than once */
	FINDING_LATE, /* after it was given up */
	FINDING_UNASKED, /* answers what was not asked, or old questions */
	FINDING_ELSEWHERE, /* from an address that was not asked */
	FINDING_FAMILY, /* tells an address of the other family */
	FINDING_IMPOSSIBLE, /* an address that nobody can have here */
	FINDING_VARIES, /* another address in each answer: it lies */
	FINDING_SAME, /* one address for all sockets: it lies */
	FINDING_CONTRADICTS, /* what others say, always */
	FINDING_INSIDE, /* is on this side of the NAT */
	FINDING_REWRITTEN, /* two addresses in one answer: an ALG? */
	FINDING_NO_CHANGE, /* ignores CHANGE-REQUEST */
	FINDING_STOPPED, /* answered at first, then nothing to anybody */
	FINDING_ODD_OTHER, /* OTHER-ADDRESS cannot be right */
	FINDINGS,
};
const char *finding_name(enum finding f);

struct verdict_filter {
	enum behaviour kind;
	enum reason why;
	unsigned passed[3], tried[3]; /* by enum filter_kind */
	unsigned controls_passed, controls_tried;
};

/* An endpoint of a server, and from where it sees a socket. */
struct sighting {
	struct stun_addr to, mapped;
};

/* Does the mapping of one socket change with ...? */
struct dependence {
	enum answer ip; /* another address, same port */
	enum answer port; /* same address, another port */
	enum answer both; /* another address and port */
};
/* Adds what two endpoints show. */
void dependence_note(
    struct dependence *d, const struct sighting *a, const struct sighting *b);
enum behaviour dependence_kind(const struct dependence *d);
/* No two endpoints with different ports were compared. */
bool dependence_of_one_port(const struct dependence *d);
/* Makes kind, units and agree from the counts of what the sockets say; why:
 * where they say nothing. */
void mapping_vote(struct verdict_mapping *v, enum reason why);

enum assignment {
	ASSIGN_UNKNOWN,
	ASSIGN_PRESERVE,
	ASSIGN_SEQUENTIAL,
	ASSIGN_BLOCK, /* random, within one small range */
	ASSIGN_CONTIGUOUS, /* keeps rows of ports together */
	ASSIGN_RANDOM,
	ASSIGNMENTS,
};
const char *assignment_name(enum assignment a);

struct verdict_alloc {
	enum assignment kind;
	enum reason why;
	unsigned units, preserved, parity, in_range;
	unsigned row_pairs, row_kept; /* neighbours that stayed neighbours */
	unsigned steps, small_steps; /* from one socket to the next */
	unsigned common_steps; /* of the size that most have */
	int step; /* that, of a sequence that keeps it; 0: none */
	uint16_t low, high; /* external ports */
	unsigned addresses; /* distinct external ones */
	bool exhausted; /* later sockets got no port */
	double guess; /* odds that the next port is guessed at once */
};

struct verdict_poison {
	enum answer poisonable;
	enum reason why;
	unsigned units, changed;
};

enum hairpin {
	HAIRPIN_UNKNOWN,
	HAIRPIN_NO,
	HAIRPIN_EXTERNAL, /* source as others see it: RFC 4787 REQ-9a */
	HAIRPIN_INTERNAL,
};
const char *hairpin_name(enum hairpin h);

struct verdict_hairpin {
	enum hairpin kind;
	enum reason why;
	unsigned units, heard;
};

/* Seconds; it is between low (was alive) and high (was dead). */
struct verdict_life {
	enum reason why; /* NONE: low and high hold; BEYOND: only low */
	double low, high;
	unsigned rungs, alive;
	bool monotone; /* no rung was alive above one that was dead */
	bool port_changed; /* the mapping died, not the filter alone */
};

struct verdict_refresh {
	enum answer outbound, inbound;
	enum reason why;
};

struct verdict_collision {
	enum answer until_collision;
	enum reason why;
};

/* One of this host's sockets, and the network that it is in. */
struct local {
	struct stun_addr addr; /* port 0: not told */
	uint8_t bits; /* of the prefix, 0..32 or 0..128; 0: not known */
};
/* True if a and b are addresses of one network. */
bool local_same_net(const struct local *a, const struct local *b);

/* What gateway/ finds out; judge() leaves it unknown. */
struct verdict_router {
	enum answer mapping_works; /* a port that it opened was reached */
	unsigned nats; /* in line, at least; 0: none, or not known */
	bool guessed; /* with low confidence */
	enum answer carrier; /* one of them is a carrier's */
};

struct verdicts {
	enum answer udp; /* does any UDP get through */
	enum answer nat;
	struct local local;
	struct verdict_mapping mapping;
	struct verdict_filter filter;
	struct verdict_alloc alloc;
	struct verdict_poison poison;
	struct verdict_collision collision;
	struct verdict_hairpin hairpin;
	struct verdict_life life[3]; /* by enum life_class */
	struct verdict_refresh refresh;
	struct verdict_router router;
};

/* judge_server.c: 1 << enum finding of the i-th server, m being the mapping's
 * verdict. */
unsigned judge_server(
    const struct probe *p, unsigned i, const struct verdict_mapping *m);
/* It contradicts itself in what cannot be otherwise: nothing that it says of
 * addresses counts. */
bool server_is_liar(const struct probe *p, unsigned i);

/* It answered at first, and then not even what it had answered. */
bool server_stopped(const struct probe *p, unsigned i);

/* Of what the run knows so far. */
void judge(const struct probe *p, struct verdicts *v);
struct verdict_mapping judge_mapping(const struct probe *p);
struct verdict_filter judge_filter(const struct probe *p);
struct verdict_alloc judge_alloc(const struct probe *p);
struct verdict_poison judge_poison(
    const struct probe *p, const struct verdict_mapping *m);
struct verdict_collision judge_collision(
    const struct probe *p, const struct verdict_mapping *m);
struct verdict_hairpin judge_hairpin(const struct probe *p,
    const struct verdict_mapping *m, const struct verdict_filter *f);
struct verdict_refresh judge_refresh(const struct probe *p);
struct verdict_life judge_life(const struct probe *p, unsigned class);

#endif

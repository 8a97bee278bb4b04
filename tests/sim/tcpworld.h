/*
 * tcpworld: the core of natprobe's TCP questions, a NAT and servers, with the
 * clock moved by hand. What the world does to a connection is a model of a few
 * lines; real sockets, servers and NATs are in tests/natlab/tcp_test.py.
 */
#ifndef TESTS_SIM_TCPWORLD_H
#define TESTS_SIM_TCPWORLD_H

#include "probes/natprobe/tcp/calls.h"

#define TCPWORLD_BEGIN_US INT64_C(1000000)

/* What a server's address does; it is its address's fourth byte / 10. */
enum server_kind {
	SERVES,
	REFUSES,
	SILENT,
	UNREACHABLE,
	RESETS, /* when it is asked */
	CLOSES, /* when it is asked */
	MUTE,
	BABBLES, /* no STUN */
	LIES, /* another address each time */
	ONE_FOR_ALL, /* tells all the same address */
	TWICE, /* each answer two times */
	ERRS, /* error 500 */
	FOREIGN, /* answers to other questions, and then to this one */
	SERVER_KINDS,
};

enum midstream { DROPS, RESETS_IT, PICKS_UP };

struct tcpworld {
	enum behaviour mapping;
	int64_t life_us; /* of an idle connection; 0: for ever */
	enum midstream midstream;
	bool delays; /* the server knows CN-DELAY */
	int64_t server_closes_us; /* what is idle for so long */
	bool server_resets; /* and not by a FIN */
	int64_t server_keeps_us; /* a keepalive of the server's */
	int64_t server_dies_us; /* after the start: all is silent then */
	bool one_address; /* no OTHER-ADDRESS */
	enum server_kind alternate; /* what the second address does */
	unsigned loss_of; /* one in so many SYNs is lost for good */
	bool shuffle; /* segments in pieces, out of order, twice; and forged */
	/* Sees each packet at the client, from the IP header on; or NULL. */
	void (*tap)(void *arg, const uint8_t *p, size_t n, struct mono now);
	void *tap_arg;
};

struct stun_addr tcpworld_address(uint8_t a, uint8_t last, uint16_t port);

/* Begins a run that asks n servers, by the fourth byte of their addresses; the
 * caller clears c. There is one at a time. */
void tcpworld_begin(struct calls *c, const struct tcpworld *w,
    const uint8_t *servers, size_t n, const struct probe_options *o);
/* Until something is done; false at the end. */
bool tcpworld_step(void);
struct mono tcpworld_now(void);

#endif

/*
 * reach: which ports pass, and why UDP does not if it does not. PURE.
 *
 * Silence alone says nothing: nobody may be listening. So what is silent is
 * blocked only if somebody is known to listen there, and the host is known to
 * be up by another port, or by an echo. A refusal comes from behind the way,
 * so that port passes; unless a firewall forges it, which cannot be told.
 */
#ifndef NATPROBE_REACH_H
#define NATPROBE_REACH_H

#include <stddef.h>

#include "probes/natprobe/nat/verdict.h"
#include "probes/natprobe/path/icmp.h"

#define REACH_ROWS	256
#define REACH_PORTS	64
#define REACH_ERROR_MAX 200

enum reach_how { REACH_UDP, REACH_TCP, REACH_ECHO };

struct reach_port {
	enum reach_how how;
	uint16_t port; /* 0: the STUN server's own */
};

struct reach_ports {
	struct reach_port v[REACH_PORTS];
	size_t n;
};

/* "udp:3478,tcp:443,80": without a word, both. "" is what matters to
 * Tailscale, "none" nothing. False: error is one line, of the bad part. */
bool reach_ports_parse(struct reach_ports *p, const char *text,
    char error[static REACH_ERROR_MAX]);

enum reach_saw {
	REACH_WAITS,
	REACH_ANSWERS,
	REACH_OPEN, /* TCP connects */
	REACH_REFUSED, /* a reset, or ICMP port unreachable */
	REACH_PROHIBITED, /* ICMP, by a firewall */
	REACH_UNREACHABLE, /* ICMP, by a router */
	REACH_SILENT,
	REACH_NOT_SENT, /* this host would not */
	REACH_SAWS,
};
const char *reach_saw_name(enum reach_saw s);
const char *reach_how_name(enum reach_how h);

struct reach_row {
	struct stun_addr to;
	enum reach_how how;
	bool stun; /* a STUN server is said to be there */
	bool listens; /* a service is said to be there */
	enum reach_saw saw;
};

struct reach {
	struct reach_row rows[REACH_ROWS];
	size_t n;
};

/* The rows of these ports at that server, and an echo. */
void reach_add(struct reach *r, const struct stun_addr *server,
    const struct reach_ports *ports);
/* A STUN server is said to be at that port, if it is a row. */
void reach_serves(struct reach *r, const struct stun_addr *server);
/* A relay is said to be at that port, if it is a row. */
void reach_listens(struct reach *r, const struct stun_addr *relay);

/* why: of ANSWER_UNKNOWN, else "". */
enum answer reach_passes(
    const struct reach *r, const struct reach_row *row, const char **why);

/* ---- why there is no UDP ---- */

struct reach_facts {
	enum answer udp; /* did any server answer */
	bool no_socket; /* or could none be asked? */
	bool portal; /* a captive portal was seen */
	bool relay_443, relay_other; /* a relay was connected to by TCP */
};

enum reach_verdict {
	REACH_UNKNOWN,
	REACH_FREE, /* UDP passes */
	REACH_PORTAL,
	REACH_SERVER_DOWN,
	REACH_BLOCKED,
	REACH_PORT_BLOCKED, /* the STUN server's, and not all of UDP */
	REACH_ONLY_443,
	REACH_NO_NETWORK,
	REACH_VERDICTS,
};
const char *reach_verdict_name(enum reach_verdict v);

/* why: the evidence. */
enum reach_verdict reach_judge(
    const struct reach *r, const struct reach_facts *f, const char **why);

#endif

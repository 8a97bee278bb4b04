/*
 * engine: sends asks when it is their time, at a bounded rate and more than
 * once if need be, and takes the answers in. PURE: it is told the time and
 * says what to do; a driver has the sockets.
 *
 *   while (engine_next(e, now, &act))  do it
 *   sleep until engine_wake(e), or a datagram: engine_input(e, ...)
 *
 * Everything is kept until engine_clear: the asks are the evidence.
 */
#ifndef NATPROBE_ENGINE_H
#define NATPROBE_ENGINE_H

#include <stddef.h>

#include "probes/natprobe/nat/ask.h"
#include "probes/natprobe/nat/draw.h"
#include "pure/pacer.h"

#define ENGINE_SEED_LEN	  DRAW_SEED_LEN
#define ENGINE_ASKS_MAX	  4096
#define ENGINE_PACKET_MAX 576
#define ENGINE_COOKIES	  8
#define COOKIE_LEN	  8
#define ENGINE_STRAYS	  16

struct sock {
	enum sock_state { SOCK_NEW, SOCK_OPEN, SOCK_FAILED } state;
	bool v6;
	uint16_t port; /* wanted; 0: any */
	bool row; /* the first of PORTS_ROW in a row */
	/* Or: the port of that earlier socket, and so many more. */
	uint16_t beside; /* ASK_NONE: not so */
	uint8_t plus;
	uint8_t local_ip; /* which of this host's addresses; 0: the first */
	struct stun_addr local; /* what it got */
};

struct cookie {
	struct stun_addr server; /* its port does not matter */
	uint8_t b[COOKIE_LEN];
};

/* Datagrams from where questions went to, which answer none. */
struct stray {
	struct stun_addr from;
	unsigned garbage; /* no STUN at all */
	unsigned unasked; /* answers to what was never asked */
};

struct engine {
	struct ask *asks;
	size_t n_asks, cap_asks;
	struct sock *socks;
	size_t n_socks, cap_socks;
	struct cookie cookies[ENGINE_COOKIES];
	size_t n_cookies;
	struct stray strays[ENGINE_STRAYS];
	size_t n_strays;
	struct draw draw;
	struct pace pace; /* to be set after engine_init, if parts share it */
	int64_t gap_us; /* between two sends */
	struct mono free; /* when the next send may leave */
	struct mono began;
	int64_t rtt_us; /* the longest of those surely known; 0: none yet */
	uint64_t sent;
	unsigned not_opened; /* sockets, and why the first was not */
	int not_opened_error; /* an errno */
	bool bad; /* memory was short: what is planned is not complete */
	uint8_t packet[ENGINE_PACKET_MAX];
};

enum act_kind { ACT_OPEN, ACT_SEND };

struct act {
	enum act_kind kind;
	uint16_t sock;
	struct stun_addr to;
	uint8_t ttl; /* 0: the usual */
	const uint8_t *p; /* lent until the next call */
	size_t len;
};

/* seed: random, fresh for each run. rate: this engine's sends per second, at
 * least 1; it may have to share that with others (pace). */
void engine_init(struct engine *e, const uint8_t seed[static ENGINE_SEED_LEN],
    unsigned rate, struct mono now);
void engine_clear(struct engine *e);

/* Both return the index, or ASK_NONE when memory or the bounds are reached
 * (bad is set then). The result fields of q need not be set. */
uint16_t engine_sock(
    struct engine *e, bool v6, uint16_t port, uint8_t local_ip);
uint16_t engine_ask(struct engine *e, const struct ask *q, struct mono now);
/* Its port is to be that of the socket `beside`, plus so many. */
uint16_t engine_sock_beside(
    struct engine *e, uint16_t beside, uint8_t plus, uint8_t local_ip);

/* Gives an ask up, and all that come after it. */
void engine_skip(struct engine *e, uint16_t ask, struct mono now);

/* What is to be done now; false if nothing. An ACT_OPEN is to be answered by
 * engine_opened before the next call; local NULL: it could not be opened. */
bool engine_next(struct engine *e, struct mono now, struct act *act);
void engine_opened(struct engine *e, uint16_t sock,
    const struct stun_addr *local, struct mono now);
/* Could not be opened, since this host has none to give: error is an errno. */
void engine_not_opened(struct engine *e, uint16_t sock, int error);
/* When engine_next may have something; MONO_NEVER: all asks are over. */
struct mono engine_wake(const struct engine *e);

/* A datagram that socket sock got. What is no answer of ours is ignored. */
void engine_input(struct engine *e, uint16_t sock, const struct stun_addr *from,
    const void *p, size_t n, struct mono now);

/* The network says that nobody listens at `to`, where sock has sent. */
void engine_unreachable(
    struct engine *e, uint16_t sock, const struct stun_addr *to);

/* oddity.c. Of an answer with a mapped address, before it counts: what is
 * wrong with it, as enum ask_odd. local: the socket's. */
uint16_t oddity_of(const struct ask *a, const struct stun_addr *from,
    const struct stun_addr *mapped, const struct stun_addr *local);
/* An address that no host can have on the way to `server`. */
bool oddity_impossible(const struct stun_addr *a, const struct stun_addr *local,
    const struct stun_addr *server);
/* A datagram that answers no question. */
void oddity_stray(struct engine *e, const struct stun_addr *from, bool is_stun);
/* How long after its last send an ask is given up; and to do so, of one that
 * is not over. */
int64_t engine_patience_us(const struct engine *e, const struct ask *a);
void engine_give_up(struct engine *e, uint16_t ask, struct mono now);

/* The ask with that label, or NULL. */
const struct ask *engine_find(
    const struct engine *e, unsigned test, unsigned unit, unsigned step);

/* The open socket with that address and port, or ASK_NONE. */
uint16_t engine_sock_at(const struct engine *e, const struct stun_addr *local);

/* Every ask that is not over is given up: an interrupted run. */
void engine_stop(struct engine *e);

#endif

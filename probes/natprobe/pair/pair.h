/*
 * pair: do this place and that one reach each other? Pair mode, -listen and
 * -peer. A map:
 *
 *   message.h  message.c, code.c: what is said, and the KEY, PURE
 *   meet.h     meet.c, meet_out.c: the two sides as state machines, PURE;
 *              meet_why.c: what came of it, PURE
 *   knock.h    what they do over TCP: its map, PURE; knock_net.c has the
 *              sockets, knock_result.c and knock_words.c what was found;
 *              meet_tcp.c makes it a part of the meeting, PURE
 *   door.c     the connection to a relay
 *   own.c      this host's addresses
 *   pair.c     sockets, time, signals: does what meet says
 *   result.c   what was found, as JSON
 *   words.c    the same for people
 *
 * Keys are drawn for each run; the private one is written nowhere.
 */
#ifndef NATPROBE_PAIR_PAIR_H
#define NATPROBE_PAIR_PAIR_H

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/pair/meet.h"
#include "probes/natprobe/relay/relay.h"

/* The exit statuses of pair mode; STATUS_USAGE and STATUS_CUT are as ever. */
enum { PAIR_DIRECT = 0, PAIR_RELAY = 1, PAIR_NOT_MET = 3 };

/* ---- pair.c ---- */

/* What is wrong with the options for pair mode goes to error; true if
 * nothing, also if it is not asked for. */
bool pair_wanted(const struct natprobe_conf *c);
bool pair_check(const struct natprobe_conf *c, const struct relay_nodes *nodes,
    char error[static NATPROBE_ERROR_MAX]);
/* Runs it, and adds "pair" to result. Returns the exit status. Says on out
 * what goes on: the KEY, and unless -quiet, more. */
int pair_run(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, json_t *result, FILE *out);
void pair_dry_print(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, FILE *out);

/* ---- door.c ---- */

enum door_state { DOOR_TRYING, DOOR_UP, DOOR_DOWN };
struct door {
	enum door_state state;
	const struct relay_node *node; /* UP: which */
	char why[RELAY_HOST_MAX + RELAY_WHY_MAX + 32]; /* the last failure */
	/* door.c's own: */
	struct loop *loop;
	SSL_CTX *ctx;
	const struct relay_nodes *nodes;
	int family;
	const struct key *priv;
	size_t attempt; /* of a node over a family */
	struct lookup lookup;
	size_t looked; /* up: nodes up to this one */
	struct relay_conn conn;
	struct timer *timer;
	loop_fn *changed;
	relay_event_fn *event;
	void *arg;
};
/* Tries relay after relay, IPv4 first; calls changed when the state has
 * changed. -1 if memory is short. priv and nodes must stay. */
int door_init(struct door *d, struct loop *l, const struct relay_nodes *nodes,
    int family, const struct key *priv, loop_fn *changed, relay_event_fn *event,
    void *arg);
/* From the first relay on; from the one behind the present one. Not to be
 * called by changed or event. */
void door_open(struct door *d);
void door_next(struct door *d);
bool door_has_next(const struct door *d);
void door_send(
    struct door *d, const struct key *to, const uint8_t *p, size_t n);
void door_clear(struct door *d);

/* ---- own.c ---- */

/* This host's addresses, without those of loopback, of links alone, and of
 * Tailscale's own interface. Returns how many. */
size_t own_addresses(struct stun_addr *v, size_t max);

/* ---- knock_net.c ---- */

/* Does what m says over TCP; calls changed when it has told m something. NULL:
 * memory is short. */
struct knock_net;
struct knock_net *knock_net_new(
    struct loop *l, struct meet *m, loop_fn *changed, void *arg);
void knock_net_run(struct knock_net *n);
void knock_net_free(struct knock_net *n);

/* ---- result.c, knock_result.c ---- */

/* The object "pair"; NULL if memory is short. node: the relay, or NULL;
 * no_relay: why there is none. */
json_t *pair_result(
    const struct meet *m, const struct relay_node *node, const char *no_relay);
/* Its "tcp", at the end. */
json_t *knock_result(const struct meet *m, struct mono now);

/* ---- words.c, knock_words.c ---- */

void words_print_pair(const json_t *result, FILE *out);
/* tcp: of the object "pair". */
void words_print_knock(const json_t *tcp, FILE *out);

#endif

/*
 * relay: what the relays of -map and -relay are like from here. A map:
 *
 *   talk.h    what is said, and what times mean, PURE
 *   target.c  which relays there are
 *   conn.c    one connection: TCP, TLS, then talk
 *   cert.c    judges a certificate as a stock client does
 *   portal.c  is there a captive portal before a relay?
 *   relay.c   one relay after the other, a few at a time
 *   result.c  what was found, as JSON
 *   words.c   the same for people
 *
 * Every step has a limit, RELAY_STEP_US. Keys are drawn for each connection
 * and thrown away with it.
 */
#ifndef NATPROBE_RELAY_H
#define NATPROBE_RELAY_H

#include <jansson.h>
#include <openssl/ssl.h>

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/relay/talk.h"
#include "pure/pacer.h"
#include "run/lookup.h"
#include "run/loop.h"

#define RELAY_STEP_US  INT64_C(3000000)
#define RELAY_WHY_MAX  256
#define RELAY_HOST_MAX 256
/* Packets that a connection sends, but for what the kernel adds: SYN, two of
 * TLS, HTTP's, DERP's, the end; and one to the plain port. */
#define RELAY_PACKETS	     6
#define RELAY_PORTAL_PACKETS 3

/* ---- target.c ---- */

/* Of tailcfg.DERPNode. */
struct relay_node {
	char name[64], region[64];
	char host[RELAY_HOST_MAX];
	bool host_is_ip;
	/* A literal address; "" is host's, what else is no address is none. */
	char ip[2][64]; /* IPv4, IPv6 */
	char cert_name[RELAY_HOST_MAX];
	uint16_t port, http_port; /* http_port 0: not known */
	bool insecure;
};

struct relay_nodes {
	struct relay_node *v;
	size_t n;
};
/* map: NULL: there is none. */
int relay_nodes_read(struct relay_nodes *nodes, const struct natprobe_conf *c,
    json_t *map, char error[static NATPROBE_ERROR_MAX]);
void relay_nodes_clear(struct relay_nodes *nodes);

/* ---- cert.c ---- */

struct relay_cert {
	bool seen;
	long days_left; /* of the leaf */
	char why[RELAY_WHY_MAX]; /* "" or why a stock client refuses it */
	char of[64], issuer[64]; /* names in it, printable ASCII */
};
/* Prepares ssl; false if memory is short. */
bool relay_cert_expect(SSL *ssl, const struct relay_node *node);
/* After the handshake. */
void relay_cert_judge(
    struct relay_cert *cert, SSL *ssl, const struct relay_node *node);
bool relay_cert_is_pinned(const struct relay_node *node);

/* ---- conn.c ---- */

enum relay_step {
	RELAY_CONNECT,
	RELAY_TLS,
	RELAY_CERT,
	RELAY_HTTP,
	RELAY_DERP,
	RELAY_OPEN,
};
const char *relay_step_name(enum relay_step step);

typedef void relay_event_fn(void *arg, const struct talk_event *event);

struct relay_conn {
	const struct key *priv; /* to be set before; NULL: one is drawn */
	/* To be set before; NULL: none. What a handshake answers goes at once:
	 * its times are measured. It is counted afterwards. */
	struct pace *pace;
	bool used; /* was opened */
	enum relay_step step;
	bool failed; /* in that step */
	char why[RELAY_WHY_MAX];
	struct addr to;
	struct mono begun, connected, secured; /* then talk's times */
	struct relay_cert cert;
	struct talk talk;
	/* conn.c's own: */
	const struct relay_node *node;
	struct loop *loop;
	int fd;
	SSL *ssl;
	bool agreed; /* the handshake is done */
	struct watch *readable, *writable;
	struct timer *timer;
	loop_fn *changed;
	relay_event_fn *event;
	void *arg;
	uint8_t in[HTTP1_HEAD_MAX + TALK_FRAME_MAX];
	size_t in_n;
};
/* Calls changed when a step is done or failed; event once it is open. Neither
 * may close it. */
void relay_conn_start(struct relay_conn *c, struct loop *l, SSL_CTX *ctx,
    const struct relay_node *node, const struct addr *to, loop_fn *changed,
    relay_event_fn *event, void *arg);
/* The same from TLS on, over a connection to there, such as a proxy's tunnel;
 * takes fd. */
void relay_conn_start_over(struct relay_conn *c, struct loop *l, SSL_CTX *ctx,
    const struct relay_node *node, const struct addr *to, int fd,
    loop_fn *changed, relay_event_fn *event, void *arg);
/* Sends what talk has to say. */
void relay_conn_flush(struct relay_conn *c);
void relay_conn_close(struct relay_conn *c);

/* ---- portal.c ---- */

struct relay_portal {
	bool used, over;
	enum talk_portal verdict; /* TALK_MORE: no answer */
	char why[RELAY_WHY_MAX];
	/* portal.c's own: */
	struct loop *loop;
	char challenge[RELAY_HOST_MAX];
	char request[2 * RELAY_HOST_MAX + 256];
	int fd;
	struct watch *readable, *writable;
	struct timer *timer;
	struct pace *pace;
	loop_fn *changed;
	void *arg;
	uint8_t in[HTTP1_HEAD_MAX];
	size_t in_n;
};
/* pace: as of a connection. */
void relay_portal_start(struct relay_portal *p, struct loop *l,
    const struct relay_node *node, const struct addr *to, struct pace *pace,
    loop_fn *changed, void *arg);
void relay_portal_close(struct relay_portal *p);

/* ---- relay.c ---- */

/* How to speak TLS with relays; NULL if memory is short. */
SSL_CTX *relay_context_new(void);
/* Where to connect over a family; false if there is no such address. */
bool relay_address(const struct relay_node *node, const struct lookup *lookup,
    int v6, struct addr *a);
/* Must its name be looked up, to reach it over that family? */
bool relay_needs_lookup(const struct relay_node *node, int v6);

struct relay {
	const struct relay_node *node;
	bool begun, over;
	struct lookup lookup;
	bool looked_up;
	struct relay_conn legs[2]; /* over IPv4, IPv6 */
	/* Latency: from legs[first] to this one, which goes there too. */
	struct relay_conn second;
	int first; /* -1: none is open */
	struct relay_portal portal;
	bool row_begun, row_over;
	struct row row;
	/* relay.c's own: */
	struct pace pace;
	struct relays *all;
	struct timer *timer, *slow;
	bool lively; /* is begun, and may be open soon */
	size_t turn; /* in which it waits to be measured; 0: it does not */
	bool measured; /* or is being so */
};

struct relays {
	struct relay **v;
	size_t n;
	/* relay.c's own: */
	struct loop *loop;
	SSL_CTX *ctx;
	int family;
	struct pacer *pacer;
	size_t next, running, lively, measured; /* of the last three: now */
	size_t turns;
	loop_fn *done;
	void *arg;
};

/* Runs them all, then calls done. NULL if memory is short. nodes and pacer,
 * which may be NULL, must stay. */
struct relays *relays_new(struct loop *l, const struct relay_nodes *nodes,
    int family, struct pacer *pacer, loop_fn *done, void *arg);
void relays_free(struct relays *r);

/* True if it can be used: DERP's handshake is done over some family. */
bool relay_works(const struct relay *r);

/* What a run would send, at the most; how many packets; and how long that
 * takes, if it sends so many a second in all. */
void relay_dry_print(const struct relay_nodes *nodes, int family, FILE *out);
unsigned relay_packets(const struct relay_nodes *nodes, int family);
int64_t relay_longest_us(
    const struct relay_nodes *nodes, const struct pacer *pacer);

/* result.c. Adds "relays". */
void relay_results_add(json_t *result, const struct relays *r);

/* words.c */
void words_print_relays(const json_t *result, FILE *out);

#endif

/*
 * stund: a STUN server (RFC 8489, RFC 5780). A map of the program:
 *
 *   main.c    options, sockets, privileges, threads: wires the rest
 *   conf.c, conf_check.c the table of options, and what contradicts what
 *   place.c   from options to sockets: which addresses, in which roles
 *   policy.c  what can change while running: rules, rates; SIGHUP
 *   worker.c  a thread with a loop and its own socket at each place
 *   serve.c   a datagram: judged by pure/stunsrv, limited, answered
 *   accept.c, stream.c   the same for TCP and TLS: see stream.h
 *   secure.c  the certificate
 *   partner.c, pair.c    a second host for RFC 5780: see partner.h, pair.h
 *   page.c    the metrics page
 *   check.h   the map of -check, a client that shares nothing with the server
 *
 * Nothing is kept per client but tokens in a table of fixed size, answers that
 * were asked for later, and connections, which are counted. Workers share no
 * other mutable state but what the partner says; each has its own counters, which only its thread writes; the page sums them up.
 */
#ifndef STUND_STUND_H
#define STUND_STUND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "pure/ip.h"
#include "pure/later.h"
#include "pure/ratetable.h"
#include "pure/stunsrv.h"
#include "run/addr.h"
#include "run/conf.h"
#include "run/metrics.h"
#include "run/udp.h"
#include "stund/stream.h"

struct loop;
struct metrics_server;
struct partner;
struct streams;
struct timer;
struct tls_context;

#define STUND_ERROR_MAX	  CONF_ERROR_MAX
#define STUND_WORKERS_MAX 64

/* ---- conf.c ---- */

enum stund_behaviour { BEHAVIOUR_FIT, BEHAVIOUR_ALWAYS };

struct stund_conf {
	struct conf_addrs listen;
	struct conf_addrs alternate;
	struct conf_strings advertise; /* LOCAL=PUBLIC */
	struct conf_strings deny; /* prefixes */
	struct addr partner, partner_listen; /* len 0: none */
	char *partner_key;
	int64_t partner_alternate_port; /* 0: the one behind P1 */
	bool tcp;
	struct conf_addrs tls_listen;
	char *certificate, *key;
	int64_t tcp_connections, tcp_source_connections;
	int64_t tcp_idle_us;
	int behaviour; /* enum stund_behaviour */
	bool classic;
	bool strict;
	int64_t source_rate, source_burst;
	int64_t prefix_rate, prefix_burst;
	int64_t gated_rate;
	int64_t total_rate;
	int64_t workers;
	struct addr metrics; /* len 0: none */
	char *user;
	bool sandbox;
	int log; /* enum log_level */
	char *check_uri; /* "": serve */
	bool check;
	bool version;
};

/*
 * Reads the options into c (zeroed by the caller) and checks them against
 * each other; _clear frees what it holds, also after a failure.
 */
enum conf_result stund_conf_read(struct stund_conf *c, int argc, char **argv,
    char error[static STUND_ERROR_MAX]);
void stund_conf_clear(struct stund_conf *c);
void stund_conf_print(const struct stund_conf *c);
void stund_conf_usage(void);

/* The names of the options that differ and need a restart, with blanks
 * between; none: an empty text. */
void stund_conf_stuck(const struct stund_conf *old,
    const struct stund_conf *fresh, char *names, size_t cap);

/* ---- conf_check.c ---- */

/* True if the options for a partner, and for TLS, fit together; else one line
 * in error. */
bool stund_conf_check_partner(
    const struct stund_conf *c, char error[static STUND_ERROR_MAX]);
bool stund_conf_check_tls(
    const struct stund_conf *c, char error[static STUND_ERROR_MAX]);

/* ---- place.c ---- */

/* Sockets that belong together: one -listen, with its alternate if there is
 * one. len 0: no socket with that role. */
struct stund_place {
	struct stunsrv_site site;
	struct addr at[STUNSRV_ROLES];
	bool tls; /* not UDP and TCP, and only A1P1 */
	/* The partner answers: the site has its address then. */
	atomic_bool partner_up;
};

struct stund_places {
	struct stund_place *v;
	size_t n;
	/* What the sites lend. */
	struct stun_addr *own;
	size_t n_own;
	struct stunsrv_alias *aliases;
	size_t n_aliases;
	struct ip_set denied;
};

/* Makes the places of the options. Ports that the kernel chooses are filled
 * in when the first worker opens its sockets; places_settle is called then,
 * once, before any request is answered. -1: out of memory. */
int places_init(struct stund_places *p, const struct stund_conf *c);
void places_settle(struct stund_places *p);
void places_clear(struct stund_places *p);

/* Reads LOCAL=PUBLIC, two addresses of one family. */
bool place_alias_parse(struct stunsrv_alias *alias, const char *text);

/* ---- policy.c ---- */

/* What SIGHUP can change. Read-only once it is published; older ones live
 * until exit, since workers may still read them. */
struct stund_policy {
	unsigned rules; /* stunsrv_rule */
	struct rate source, prefix, gated, total;
	struct stund_policy *older;
};

/* The buckets of all sources, which all workers share. */
struct stund_limits {
	uint8_t key[RATETABLE_KEY_LEN];
	struct ratetable *sources, *prefixes, *gated;
	ratebucket total;
};

/* Which bucket was empty. */
enum stund_bucket {
	BUCKET_SOURCE,
	BUCKET_GATED,
	BUCKET_PREFIX,
	BUCKET_TOTAL,
	BUCKETS,
};

int limits_init(struct stund_limits *l);
void limits_clear(struct stund_limits *l);

/* Takes a token for an answer to `from`, of each bucket that counts. gated:
 * from the tight bucket instead of the source's own. BUCKETS: granted. */
enum stund_bucket limits_take(struct stund_limits *l,
    const struct stund_policy *policy, const struct stun_addr *from, bool gated,
    struct mono now);

/* A source's place (IPv4 address, IPv6 /64) in a table of anything. */
uint64_t limits_hash(
    const struct stund_limits *l, const struct stun_addr *from);

struct stund;

/* Publishes the policy of the options; -1: out of memory. */
int policy_publish(struct stund *env, const struct stund_conf *c);
void policy_free(struct stund_policy *policy);
/* SIGHUP: reads the options again. What cannot be used leaves all as it was,
 * in one line of the log. */
void policy_reload(struct stund *env);

/* ---- worker.c ---- */

/* Answers that wait at most (CN-DELAY), of all sources, and per source
 * (IPv4 address, IPv6 /64): what a test of 100 lifetimes needs, twice. */
#define WAITING_MAX	   16384
#define WAITING_SOURCE_MAX 256
#define WAITING_COUNTS	   8192

/* How many answers wait, by hash of the source: a count is shared by those
 * that have the same place. */
struct stund_waiting {
	_Atomic int32_t counts[WAITING_COUNTS];
};

struct stund_worker;

struct stund_socket {
	struct stund_worker *worker; /* lent */
	const struct stund_place *place; /* lent */
	enum stunsrv_role role;
	struct udp *udp; /* NULL: none with this role */
};

struct stund_counts {
	/* Requests and what else came, by transport, family (IPv4, IPv6), and
	 * what became of it. */
	metric verdicts[STUNSRV_TRANSPORTS][2][STUNSRV_VERDICTS];
	metric limited[BUCKETS];
	/* Requests that are gated: with a right cookie, without one. */
	metric gated_cookie, gated_bare;
	metric delayed; /* answers that were put off */
	metric waiting; /* those that wait now */
};

struct stund_worker {
	struct stund *env; /* lent */
	unsigned index;
	pthread_t thread;
	bool running;
	struct loop *loop;
	/* Place i, role r: sockets[i * STUNSRV_ROLES + r]. */
	struct stund_socket *sockets;
	struct later *later; /* struct stund_answer */
	struct timer *timer; /* for the first of them */
	struct streams *streams;
	struct stund_counts counts;
};

/* Opens the sockets of all places for worker i of all, the first of them
 * exclusively, so that a port that is taken is found. NULL and one line in
 * error. */
struct stund_worker *worker_new(
    struct stund *env, unsigned i, char error[static STUND_ERROR_MAX]);
int worker_start(struct stund_worker *w);
void worker_stop(struct stund_worker *w);
void worker_free(struct stund_worker *w);

/* Counts what became of a request. For all edges, on the worker's thread. */
void worker_count(struct stund_worker *w, enum stunsrv_transport transport,
    const struct stun_addr *from, enum stunsrv_verdict verdict);

/* Takes the tokens for an answer, and counts; false: no answer. */
bool worker_allow(struct stund_worker *w, const struct stun_addr *from,
    const struct stunsrv_reply *reply);

/* ---- secure.c ---- */

/* Reads the certificate and key of the options, and publishes them, if there
 * is a -tls-listen; connections that are there keep theirs. -1 and one line in
 * error: all stays as it was. */
int secure_publish(struct stund *env, const struct stund_conf *c,
    char error[static STUND_ERROR_MAX]);

/* ---- serve.c ---- */

/* The stunsrv_rule that hold now for requests to that place. */
unsigned serve_rules(const struct stund *env, const struct stund_place *place);

/* An answer and where it goes to: what is needed to write and send it. */
struct stund_answer {
	const struct stund_socket *socket; /* to which the request came */
	struct addr from, to; /* of the request */
	struct stunsrv_reply reply;
};

/* A udp_fn; arg is the struct stund_socket. */
size_t serve_datagram(
    void *arg, const struct udp_datagram *d, uint8_t out[static UDP_OUT_MAX]);

/* Timer: sends what is due. arg is the worker. */
void serve_due(void *arg);

/* ---- the program ---- */

struct stund {
	int argc; /* for SIGHUP */
	char **argv;
	struct stund_conf conf; /* as started */
	struct loop *loop; /* the main thread's: signals and metrics */
	struct stund_places places;
	_Atomic(struct stund_policy *) policy;
	_Atomic(struct tls_context *) tls; /* NULL: no -tls-listen */
	struct partner *partner; /* NULL: none */
	struct stund_limits limits;
	struct stream_shared streams;
	struct stund_waiting waiting;
	struct stund_worker *workers[STUND_WORKERS_MAX];
	unsigned n_workers;
	struct metrics_server *metrics;
};

/* page.c. A metrics_render; arg is the struct stund. */
void page_render(struct metrics *m, void *arg);

#endif

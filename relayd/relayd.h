/*
 * relayd: the map of the program. Shared structures, then what each file
 * offers to the others, by file.
 *
 *   main      flags -> keys, certificate, sockets -> privileges -> threads
 *   worker    one thread: its loop, listeners, clients, mailbox
 *   client    one connection, from accept to close
 *   web       answers to a client that asks for a page
 *   deliver   what goes to a client: its queue, and the queue to the socket
 *   session   PURE: bytes of a connection -> events
 *   queue     PURE: frames that wait for a client
 *   peers     PURE: who is connected; who has heard of whom
 *   pages     PURE: HTTP requests -> answers
 *   mail      packets and notes from worker to worker
 *   pool      memory for packets
 *   cert      certificate folder, DERP map
 *   selfsign  certificates of the relay's own making
 *   keyfile   derper's key file
 *   access    who may read /debug/ and /metrics
 *   stats     counters -> Prometheus text
 *   stun      derper's built-in STUN server
 *   conf      the options
 */
#ifndef RELAYD_RELAYD_H
#define RELAYD_RELAYD_H

#include <sys/queue.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/key.h"
#include "pure/limit.h"
#include "pure/mono.h"
#include "relayd/mail.h"
#include "relayd/pages.h"
#include "relayd/peers.h"
#include "relayd/pool.h"
#include "relayd/queue.h"
#include "relayd/session.h"
#include "relayd/stats.h"
#include "run/addr.h"
#include "run/conf.h"
#include "run/io.h"
#include "run/log.h"
#include "run/loop.h"
#include "run/tls.h"

struct client;
struct listener;
struct worker;

#define WORKERS_MAX 64

/* ---- conf.c ---- */

/* As the options were given; see conf.c for each one's meaning. */
struct relayd_conf {
	bool dev, version, check;
	struct addr listen;
	char *hostname, *key_file, *cert_dir, *home, *user, *derp_map;
	int cert_mode, log_level;
	int64_t http_port, stun_port, workers;
	bool stun, derp;
	double accept_limit;
	int64_t accept_burst;
	int64_t keepalive_us, user_timeout_us, write_timeout_us;
	int64_t tls_timeout_us, hello_timeout_us;
	int64_t queue_packets, queue_bytes, queue_age_us, queue_total;
	bool sandbox;
	/* derper's, for what this relay does not do: only off is taken. */
	bool verify_clients, verify_fail_open, acme_ip, ace;
	char *verify_url, *socket, *mesh_psk, *mesh_with, *rate_config;
	char *secrets_url, *secrets_prefix, *secrets_cache;
	char *bootstrap, *bootstrap_hidden;
	char *eab_kid, *eab_key, *acme_email;

	bool tls; /* derived: on the main listener */
};

enum cert_mode { CERT_LETSENCRYPT, CERT_MANUAL, CERT_GCP };

/* Reads the options; exits with 0 or 2 where they say so. */
void conf_read(struct relayd_conf *conf, int argc, char **argv);
void conf_free(struct relayd_conf *conf);

/* What cannot be started with: one line on standard error, exit status 2. */
_Noreturn void refuse(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* ---- access.c ---- */

#define ACCESS_PREFIXES_MAX 32

struct access {
	struct addr_prefix prefixes[ACCESS_PREFIXES_MAX];
	size_t n;
	char key[256]; /* ?debugkey=, empty: none */
};

/* From derper's environment: TS_ALLOW_DEBUG_IP, TS_DEBUG_TRUSTED_CIDRS,
 * TS_DEBUG_KEY_PATH. Returns -1 and one line for what cannot be used. */
int access_init(struct access *a, char *error, size_t cap);
bool access_allowed(const struct access *a, const struct addr *from,
    const struct http1_request *req);

/* ---- the program ---- */

struct relayd {
	const struct relayd_conf *conf;
	struct key priv, pub;
	/* NULL: plain. SIGHUP puts a new one here; old ones live on until
	 * exit, since connections use them. */
	_Atomic(struct tls_context *) tls;
	struct page_conf pages;
	struct access access;
	struct queue_limits limits;
	struct stats_shared shared;
	struct worker *workers[WORKERS_MAX];
	unsigned nworkers;
	/* For peers.h: raised once per connect and per change of the active
	 * one of duplicates, never per packet. */
	atomic_uint_least64_t stamps;
	/* The shortage of descriptors has been logged, by whichever worker. */
	atomic_bool shortage_said;
};

/* ---- keyfile.c ---- */

/* Reads derper's key file, or makes one (0600, atomically) if it is missing.
 * Returns -1 and one line in error. */
int keyfile_load(struct key *priv, const char *path, char *error, size_t cap);

/* ---- cert.c ---- */

struct cert {
	char crt[512], key[512];
	bool single; /* one certificate in the file: it can be pinned */
	char pin[65];
};

/*
 * Finds CERTDIR/HOSTNAME.crt and .key, and checks that the certificate covers
 * the hostname. With make, makes them (P-256, self-signed, one year) if both
 * are missing and the hostname is an IP address. -1 and one line in error.
 */
int cert_load(struct cert *c, const char *dir, const char *hostname, bool make,
    char *error, size_t cap);

/* The DERPNode of this relay as JSON, one line, for a DERP map. Owned by the
 * caller: free. NULL when memory is short. */
char *cert_node_json(const struct relayd_conf *conf, const struct cert *c,
    int port, int stun_port);
/* A whole DERP map with that node in region 900. */
char *cert_map_json(const char *node);

/* ---- selfsign.c ---- */

/* Makes both files of c. -1 and one line in error. */
int cert_make(const struct cert *c, const char *ip, char *error, size_t cap);

/* Finishes what cert_make was killed in; -1 if there is nothing of it. */
int cert_recover(const struct cert *c);

/* The certificate that tells the relay's key in the handshake, so that the
 * client can skip a round trip (derpserver's initMetacert). NULL on failure.
 * Owned by the caller: X509_free. */
X509 *cert_meta(const struct key *pub);

/* ---- worker.c ---- */

TAILQ_HEAD(clients, client);

struct listener {
	struct watch *watch;
	struct worker *worker;
	int fd;
	bool tls, plain_pages;
};

#define LISTENERS_MAX 2

struct worker {
	struct relayd *relay;
	unsigned index;
	pthread_t thread;
	struct loop *loop;
	struct io_env *io;
	struct peers peers;
	struct pool pool;
	struct stats stats;
	struct mailbox mail;
	struct outbox out[WORKERS_MAX];
	struct listener listeners[LISTENERS_MAX];
	unsigned nlisteners;
	struct watch *wake; /* mail has come */
	struct timer *tick; /* every 10 s */
	struct timer *resume; /* accepting again after a shortage */
	bool short_here; /* accepting was paused, and did not succeed since */
	struct clients all, flush, dead;
	size_t registered; /* members of peers that are clients here */
	size_t queued; /* memory in all queues, bytes */
	uint64_t ids;
	struct limit accepts;
	struct log_limit log_closed, log_shortage;
	uint8_t gather[IO_WRITE_MAX];
};

/* fds: the listening sockets, which the worker then owns; the second one, if
 * any, is the plain port beside TLS. NULL and errno on failure. */
struct worker *worker_new(
    struct relayd *relay, unsigned index, const int *fds, unsigned nfds);
int worker_start(struct worker *w);
/* Ends its clients and its thread, and waits for it. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w);

/* From client.c: after this turn write c's queue, or free c. */
void worker_flush_later(struct worker *w, struct client *c);
void worker_bury(struct worker *w, struct client *c);

/* Compares the directory with the clients: derper's ConsistencyCheck. */
bool worker_check(const struct worker *w);

/* Tells all other workers of a member's coming, going or speaking. False if
 * memory is too short for one of them. */
bool worker_tell(struct worker *w, enum mail_kind kind, const struct member *m);

/* Hands a packet to the worker that has the active member. */
void worker_forward(struct worker *w, const struct member *m,
    const struct key *src, const uint8_t *p, size_t n);

/* ---- client.c ---- */

enum client_state {
	CLIENT_TLS, /* handshake */
	CLIENT_HTTP, /* a request comes */
	CLIENT_HELLO, /* ServerKey sent, ClientInfo comes */
	CLIENT_DERP, /* admitted: in the directory */
	CLIENT_DRAIN, /* answered for the last time; waits for the peer's end */
	CLIENT_DEAD, /* closed; freed after the turn */
};

struct client {
	TAILQ_ENTRY(client) all;
	TAILQ_ENTRY(client) flush;
	struct worker *worker;
	struct io *io;
	struct timer *timer;
	enum client_state state;
	struct session session;
	struct queue queue;
	struct addr from;
	bool plain_pages; /* came to the port beside TLS */
	bool flushing; /* in the worker's flush list */
	bool not_ideal, preferred, pong_queued;
	bool upgraded; /* speaks DERP, from ServerKey on */
	struct mono deadline; /* of this state; never in CLIENT_DERP */
	struct mono keep_alive; /* when the next one is due */
	int64_t keep_alive_us;
	struct mono since; /* when it was admitted */
	enum stats_close drained; /* the reason to give after CLIENT_DRAIN */

	/* From CLIENT_DERP on. Nothing is written to the client while other
	 * workers have not acknowledged its coming, or its taking over from a
	 * duplicate: what it is told must be true on all of them. */
	unsigned acks;
	bool greeted; /* ServerInfo is out */
	struct derpbox box; /* until then */
	struct key key;
	struct member *member;
	struct viewer viewer;
	struct limit not_here; /* PeerGone for unknown destinations */
};

/* Takes an accepted socket; closes it if memory is short. */
void client_accept(struct worker *w, const struct listener *l, int fd,
    const struct addr *from);

/* The only way out; detail is constant or log-safe text, or NULL. */
void client_close(
    struct client *c, enum stats_close reason, const char *detail);

/* The only place that moves a client to another state; timeout_us is how long
 * it may stay there, 0 for ever. */
void client_set_state(
    struct client *c, enum client_state state, int64_t timeout_us);

/* Sets the timer to the next of the client's deadlines. */
void client_schedule(struct client *c);

/* Another worker has acknowledged. */
void client_acked(struct client *c);

/* Only by the worker, after the turn. */
void client_free(struct client *c);

/* ---- web.c ---- */

void web_request(struct client *c, const struct http1_request *req);

/* The last answer, to what is no proper request. */
void web_refuse(struct client *c, int status);

/* derper's counters of requests by TLS version: busy is 1 when one begins, -1
 * when it ends. */
void web_count(struct client *c, int busy);

/* ---- deliver.c ---- */

enum stats_kind client_packet_kind(const uint8_t *p, size_t n);

/* Queues a packet of n bytes from src (whose peer is from, if known) for a
 * client of this worker. */
void client_deliver(struct client *c, struct peer *from, const struct key *src,
    const uint8_t *p, size_t n);

/* Writes what is queued, as far as the kernel takes it. */
void client_flush(struct client *c);

/* Queues a frame of the relay's own; lost without harm if memory is short. */
void client_enqueue(
    struct client *c, enum queue_class class, const uint8_t *frame, size_t len);

/* Drops what has waited for too long. */
void client_drop_aged(struct client *c);

/* A packet that was in c's queue is lost: counts and frees it. */
void client_drop(struct client *c, struct packet *p, enum stats_drop reason);

/* For peers_remove: tells v's client that a key is gone. */
void client_peer_gone(struct viewer *v, const struct key *k, void *arg);

/* ---- stun.c ---- */

struct stun_service;
struct stun_service *stun_service_new(
    struct loop *l, int fd, struct stats_shared *shared);
void stun_service_free(struct stun_service *s);

#endif

/*
 * coordd: a coordinator for stock Tailscale clients. A map of the program:
 *
 *   main.c       wires the rest
 *   conf.c       the table of options, and what their text means; check.c: -n
 *
 *   model.c      PURE  users, keys and nodes in memory
 *   names.c      PURE  hostnames to unique DNS labels
 *   alloc.c      PURE  addresses for new nodes
 *   policy*.c    PURE  who may reach whom
 *   store*.c           the model on disk
 *   ops.c              what an administrator or a joining client changes
 *
 *   listen.c           public listeners: HTTP/1.1, the upgrade at /ts2021
 *   source.c     PURE  how much strangers may take, by where they come from
 *   site.c             public pages: /key, /health, /register, /verify
 *   control.c          a client's connection: Noise, and HTTP/2 inside;
 *                      _memory.c: what nghttp2 has of it
 *   request.c          a request on it: body in, answer out
 *   machine.c          how much one machine may have open, and ask
 *   route.c            what the paths inside it mean
 *   register.c   PURE  the decision on a request to join
 *   login.c            interactive logins that wait for an administrator
 *   joining.c          /machine/register
 *   admit.c            what joining clients change
 *   wire.c       PURE  what they send
 *   mapping.c          /machine/map: updates, and the stream of maps
 *   mapdoc.c     PURE  the JSON of maps
 *   mapper.c           who is told what, and when; _view.c, _class.c: who
 *                      sees whom; _batch.c: changes told; _write.c: messages
 *   relays.c           the relay map and the DNS settings they get
 *
 *   admin.c            the API's and the web page's listeners
 *   api.c              the API, see docs/api.md
 *   page*.c, page/     the web page
 *   stats.c            the metrics page
 *
 * One thread and one loop. What a client is told was written to the store
 * before; what an administrator changes goes through ops.c alone.
 */
#ifndef COORDD_COORDD_H
#define COORDD_COORDD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/model.h"
#include "coordd/policy.h"
#include "coordd/store.h"
#include "pure/key.h"
#include "pure/mono.h"
#include "run/addr.h"
#include "run/conf.h"
#include "run/log.h"
#include "run/loop.h"
#include "run/metrics.h"

#define COORDD_ERROR_MAX CONF_ERROR_MAX

struct admin;
struct controls;
struct coordd;
struct io_env;
struct listeners;
struct logins;
struct mapper;
struct tls_context;

struct coordd_conf {
	struct conf_addrs listen, tls_listen;
	struct addr admin, metrics; /* len 0: none */
	struct conf_strings relay_text;
	struct conf_strings dns_text, dns_split_text, dns_search,
	    dns_record_text;
	char *state, *url, *domain, *policy, *derp_map, *socket;
	char *tls_cert, *tls_key, *restore, *verify;
	bool magic_dns, approve_devices;
	int64_t key_expiry_us, ephemeral_us, grace_us;
	char *user;
	int log; /* enum log_level */
	bool check, version, sandbox;
};

/* Written by the loop's thread. */
struct stats {
	metric connections, connections_now, handshakes, handshakes_bad,
	    refused_source;
	metric registrations, registrations_refused, logins;
	metric streams, streams_now, updates, batches, messages;
	metric message_bytes, messages_shared, slow_readers, policy_reloads,
	    store_failures;
};

struct coordd {
	struct loop *loop;
	struct io_env *io;
	const struct coordd_conf *conf;
	struct model model;
	struct store *store;
	struct policy *policy;
	char policy_from[300]; /* "default", "database", "file:PATH" */
	int64_t policy_loaded;
	struct key priv, pub; /* Noise */
	struct key hash_key; /* of authkey.hash */
	uint8_t hash_seed[16]; /* of hash tables */
	char *derp_map; /* JSON object of Tailscale's DERPMap */
	char *dns_config; /* JSON object of DNSConfig */
	struct mapper *mapper;
	struct logins *logins;
	struct controls *controls;
	struct listeners *listeners;
	struct admin *admin;
	struct tls_context *tls;
	struct metrics_server *metrics;
	struct stats stats;
	struct log_limit log_refused;
	uint32_t address_cursor; /* of alloc_next */
	int64_t started;
	int64_t clock_ahead; /* of the monotonic clock, in seconds */
};

/* Wall-clock time, unix seconds: the one place that asks (main.c). */
int64_t coordd_time(void);

/*
 * clock.c
 */
/* Once the store is open: whether the clock jumped back while nobody looked. */
void clock_begin(struct coordd *c);
/* Once a second. */
void clock_tick(struct coordd *c);

/*
 * conf.c
 */
enum conf_result coordd_conf_read(struct coordd_conf *c, int argc, char **argv,
    char error[static COORDD_ERROR_MAX]);
void coordd_conf_clear(struct coordd_conf *c);
void coordd_conf_print(const struct coordd_conf *c);
void coordd_conf_usage(void);
/* check.c: false, and one line in error, if a start would refuse the rest. */
bool coordd_check(
    const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX]);

/*
 * ops.c: every change of users, keys, nodes and policy by an administrator.
 * Each checks, writes the store and the audit log, changes the model, and has
 * the mapper tell the clients concerned.
 */
struct ops_result {
	int status; /* of HTTP: 200, or why not: 400, 404, 409, 500 */
	char error[COORDD_ERROR_MAX]; /* one line */
};

/* Who asks, for the audit log: "uid 0", "admin page", "policy file". */
struct ops_who {
	const char *name;
};

struct user *ops_find_user(struct coordd *c, const char *text);
struct node *ops_find_node(struct coordd *c, const char *text);

struct user *ops_user_create(struct coordd *c, const struct ops_who *who,
    const char *name, const char *display_name, struct ops_result *r);
bool ops_user_rename(struct coordd *c, const struct ops_who *who,
    struct user *u, const char *name, struct ops_result *r);
bool ops_user_delete(struct coordd *c, const struct ops_who *who,
    struct user *u, struct ops_result *r);

#define AUTHKEY_SECRET_MAX 80
struct authkey_wish {
	struct user *user;
	bool reusable, ephemeral;
	int64_t expires; /* 0: never */
	const char *const *tags;
	size_t ntags;
};
/* secret gets the key to hand out; it is kept nowhere. */
struct authkey *ops_authkey_create(struct coordd *c, const struct ops_who *who,
    const struct authkey_wish *wish, char secret[static AUTHKEY_SECRET_MAX],
    struct ops_result *r);
bool ops_authkey_expire(struct coordd *c, const struct ops_who *who,
    struct authkey *k, struct ops_result *r);
bool ops_authkey_delete(struct coordd *c, const struct ops_who *who,
    struct authkey *k, struct ops_result *r);
/* The key of a secret that a client shows, or NULL. Usable or not. */
struct authkey *ops_authkey_find(struct coordd *c, const char *secret);
bool authkey_is_usable(const struct authkey *k, int64_t now);

bool ops_node_approve(struct coordd *c, const struct ops_who *who,
    struct node *n, bool approved, struct ops_result *r);
/* expiry: unix seconds, 0 never. */
bool ops_node_expire(struct coordd *c, const struct ops_who *who,
    struct node *n, int64_t expiry, struct ops_result *r);
bool ops_node_rename(struct coordd *c, const struct ops_who *who,
    struct node *n, const char *name, struct ops_result *r);
bool ops_node_move(struct coordd *c, const struct ops_who *who, struct node *n,
    struct user *u, struct ops_result *r);
bool ops_node_tag(struct coordd *c, const struct ops_who *who, struct node *n,
    const char *const *tags, size_t ntags, struct ops_result *r);
bool ops_node_routes(struct coordd *c, const struct ops_who *who,
    struct node *n, const struct ip_prefix *v, size_t count,
    struct ops_result *r);
bool ops_node_delete(struct coordd *c, const struct ops_who *who,
    struct node *n, struct ops_result *r);

/* Parses, runs its tests, and on success puts it in force for all. */
bool ops_policy_set(struct coordd *c, const struct ops_who *who,
    const char *text, size_t n, const char *from, struct ops_result *r);
/* The same without putting it in force. */
bool ops_policy_check(
    struct coordd *c, const char *text, size_t n, struct ops_result *r);
/* Reads -policy FILE, if there is one, or what the database holds. */
bool ops_policy_load(
    struct coordd *c, const struct ops_who *who, struct ops_result *r);
/* All nodes as policy_test and policy_filter want them; freed by _free. */
bool ops_world(struct coordd *c, struct policy_world *w);
void ops_world_free(struct policy_world *w);

/*
 * login.c: logins that wait for an administrator.
 */
struct login {
	char id[32];
	struct key machine, node_key;
	char hostname[HOSTNAME_MAX + 1];
	int64_t created, expires;
};
/* The i-th waiting one, oldest first; NULL at the end. */
const struct login *login_at(const struct logins *l, size_t i);
/* Registers the client that waits with this id as the user's (or with tags).
 * NULL with r filled if that cannot be. */
struct node *ops_login_approve(struct coordd *c, const struct ops_who *who,
    const char *id, struct user *u, const char *const *tags, size_t ntags,
    struct ops_result *r);
bool ops_login_deny(struct coordd *c, const struct ops_who *who, const char *id,
    struct ops_result *r);

/*
 * mapper.c (more in mapper.h).
 */
bool mapper_is_online(const struct coordd *c, const struct node *n);
size_t mapper_streams(const struct coordd *c);
size_t mapper_online(const struct coordd *c);

/*
 * admin.c: the API on the Unix socket, and API, page and metrics on -admin.
 * admin_new binds, and makes admin.token in the state folder (conf->state)
 * if it is missing. NULL and one line in error.
 */
struct admin *admin_new(struct coordd *c, char error[static COORDD_ERROR_MAX]);
void admin_free(struct admin *a);

/*
 * stats.c: a metrics_render; arg is the struct coordd.
 */
void stats_render(struct metrics *m, void *arg);

#endif

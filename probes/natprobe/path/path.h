/*
 * path: what is on the way besides a NAT: path MTU and fragments, ports that
 * do not pass, a resolver that lies, a proxy that is needed, packets whose
 * insides are rewritten. A map:
 *
 *   mtu.h    which sizes pass, PURE; mtu_judge.c; mtu_net.c has its socket
 *   reach.h  which ports pass, and why not UDP, PURE; reach_net.c
 *   dns.h    names, PURE; dns_net.c asks the system's resolver
 *   proxy.h  the environment's proxy, PURE; proxy_net.c tries relays by it
 *   alg.h    rewritten addresses, and pooling, PURE
 *   icmp.c   errors that a socket was told of
 *   run.c    all of them beside each other
 *   result.c what was found, as JSON
 *   words.c  the same for people
 *
 * Each has its own limit and waits for none of the others.
 */
#ifndef NATPROBE_PATH_H
#define NATPROBE_PATH_H

#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/path/dns.h"
#include "probes/natprobe/path/mtu.h"
#include "probes/natprobe/path/proxy.h"
#include "probes/natprobe/path/reach.h"
#include "probes/natprobe/relay/relay.h"

/* ---- mtu_net.c ---- */

struct mtu_net {
	bool used;
	struct mtu mtu;
	/* mtu_net.c's own: */
	struct loop *loop;
	int fd;
	struct watch *watch;
	struct timer *timer;
	loop_fn *done;
	void *arg;
};
/* Each start returns 0 or -1, and calls done later, never within it. */
int mtu_net_start(struct mtu_net *n, struct loop *l, const struct targets *t,
    bool v6, struct pacer *pacer, loop_fn *done, void *arg);
void mtu_net_close(struct mtu_net *n);

/* ---- reach_net.c ---- */

struct reach_sock {
	struct reach_net *net;
	size_t row;
	int fd;
	struct stun_txid txid;
	uint8_t sends;
	bool connected, unreachable;
	struct mono begun, sent; /* its first packet, and its last */
	struct mono until;
	struct watch *readable, *writable;
	struct timer *timer;
};

struct reach_net {
	struct reach reach;
	/* reach_net.c's own: */
	struct loop *loop;
	struct pace pace;
	struct reach_sock *socks; /* one for each row */
	size_t left;
	loop_fn *done;
	void *arg;
};
/* The rows of a run: of the first servers of a family. */
void reach_rows(struct reach *r, const struct targets *t, bool v6,
    const struct reach_ports *ports);
/* Packets that a row sends at the most. */
enum { REACH_PACKETS = 3 };
/* n->reach has its rows, one at least. */
int reach_net_start(struct reach_net *n, struct loop *l, struct pacer *pacer,
    loop_fn *done, void *arg);
void reach_net_close(struct reach_net *n);
void reach_sock_close(struct reach_sock *s);

/* ---- dns_net.c ---- */

#define DNS_ASKS 8

struct dns_net {
	bool used;
	struct dns_ask asks[DNS_ASKS];
	size_t n;
	/* dns_net.c's own: */
	bool over;
	struct loop *loop;
	struct timer *timer;
	struct lookup lookups[DNS_ASKS];
	loop_fn *done;
	void *arg;
};
int dns_net_start(struct dns_net *d, struct loop *l,
    const struct relay_nodes *nodes, loop_fn *done, void *arg);
void dns_net_close(struct dns_net *d);

/* ---- proxy_net.c ---- */

#define PROXY_TRIES 8
/* That each sends: CONNECT, and what a relay's connection does. */
#define PROXY_PACKETS (1 + RELAY_PACKETS)

struct proxy_try {
	bool used; /* the proxy is for this relay */
	const struct relay_node *node;
	enum proxy_word verdict;
	int status; /* of HTTP; 0: none came */
	char why[RELAY_WHY_MAX];
	struct relay_conn conn;
	/* proxy_net.c's own: */
	struct proxy_net *net;
	struct addr to;
	int fd;
	struct watch *readable, *writable;
	struct timer *timer;
	uint8_t in[HTTP1_HEAD_MAX];
	size_t in_n;
};

/* What the environment says. */
struct proxy_env {
	bool configured; /* https_proxy names one */
	bool http; /* http_proxy does */
	const char *no_proxy; /* lent by the environment */
	const char *why; /* it cannot be used; "" */
	struct proxy proxy; /* holds a secret */
};
void proxy_env_read(struct proxy_env *e);
void proxy_env_clear(struct proxy_env *e);

struct proxy_net {
	struct proxy_env env;
	bool has_auth;
	struct proxy_try tries[PROXY_TRIES];
	size_t n;
	/* proxy_net.c's own: */
	bool over;
	struct loop *loop;
	SSL_CTX *ctx;
	struct pace pace;
	struct addr to;
	struct lookup lookup;
	struct timer *timer;
	loop_fn *done;
	void *arg;
};
/* n->env was read. ctx, nodes, pacer must stay. */
int proxy_net_start(struct proxy_net *n, struct loop *l, SSL_CTX *ctx,
    const struct relay_nodes *nodes, struct pacer *pacer, loop_fn *done,
    void *arg);
void proxy_net_close(struct proxy_net *n);

/* ---- run.c ---- */

/* All lent for the run. */
struct path_setup {
	struct loop *loop;
	const struct natprobe_conf *conf;
	struct pacer *pacer;
	const struct targets *targets;
	const struct relay_nodes *nodes;
	const struct relays *relays; /* NULL: there are none */
	const struct probe *probes[2]; /* NULL: that family is not asked */
};

struct path_run {
	struct path_setup setup;
	struct mtu_net mtu[2]; /* IPv4, IPv6 */
	struct reach_net reach[2];
	struct dns_net dns;
	struct proxy_net proxy;
	/* run.c's own: */
	size_t running;
	net_done_fn *done;
	void *arg;
};

/* Runs them all, then calls done, never within this call. NULL with errno. */
struct path_run *path_run_new(
    const struct path_setup *s, net_done_fn *done, void *arg);
void path_run_free(struct path_run *p);
/* False, with error as one line, if -ports is no list of ports. */
bool path_conf_check(
    const struct natprobe_conf *c, char error[static NATPROBE_ERROR_MAX]);

/* What a run would send, at the most, and how many packets. asked: by family. */
void path_dry_print(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, const bool asked[2], FILE *out);
unsigned path_packets(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, const bool asked[2]);

/* result.c. Adds "path", "dns", "proxy", and to a family "udp_blocked", "alg"
 * and "pooling". */
void path_results_add(json_t *result, const struct path_run *p);

/* words.c */
void words_print_path(const json_t *result, FILE *out);
/* Why a family has no UDP, if it has none. */
void words_print_blocked(const json_t *family, FILE *out);
/* Of a family, beside its verdicts. */
void words_print_family_path(
    const json_t *result, const char *family, FILE *out);

#endif

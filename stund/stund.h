/*
 * stund: a STUN server (RFC 8489). A map of the program:
 *
 *   main.c   flags, sockets, privileges, loop: wires the rest
 *   conf.c   the table of options
 *   serve.c  workers: sockets whose datagrams go through pure/stunsrv
 *   page.c   the metrics page
 *   check.h  the map of -check, a client that shares nothing with the server
 *
 * Nothing is kept per client. A worker is a loop with its own sockets and
 * its own counters, which only its thread writes; the page sums them up.
 */
#ifndef STUND_STUND_H
#define STUND_STUND_H

#include <stdbool.h>
#include <stddef.h>

#include "pure/stunsrv.h"
#include "run/addr.h"
#include "run/conf.h"
#include "run/metrics.h"

struct loop;
struct metrics_server;
struct udp;

#define STUND_ERROR_MAX CONF_ERROR_MAX

struct stund_conf {
	struct conf_addrs listen;
	struct addr metrics; /* len 0: none */
	char *user;
	bool sandbox;
	int log; /* enum log_level */
	char *check_uri; /* "": serve */
	bool check;
	bool version;
};

struct stund_socket {
	struct addr addr;
	struct udp *udp;
};

struct stund_worker {
	struct loop *loop; /* lent */
	struct stund_socket *sockets;
	size_t n_sockets;
	metric verdicts[STUNSRV_VERDICTS];
	metric v4, v6; /* requests with success, by family */
};

struct stund {
	struct loop *loop;
	struct stund_conf conf;
	struct stund_worker worker;
	struct metrics_server *metrics;
};

/*
 * conf.c. Reads the options into c (zeroed by the caller); _clear frees
 * what it holds, also after a failure.
 */
enum conf_result stund_conf_read(struct stund_conf *c, int argc, char **argv,
    char error[static STUND_ERROR_MAX]);
void stund_conf_clear(struct stund_conf *c);
void stund_conf_print(const struct stund_conf *c);
void stund_conf_usage(void);

/*
 * serve.c. Opens a socket for each address and serves it on loop. Returns 0,
 * or -1 with one line in error; worker_close is right after both.
 */
int worker_open(struct stund_worker *w, struct loop *l,
    const struct stund_conf *c, char error[static STUND_ERROR_MAX]);
void worker_close(struct stund_worker *w);

/* page.c. A metrics_render; arg is the struct stund. */
void page_render(struct metrics *m, void *arg);

#endif

/*
 * natprobe: what does this building's NAT do? A map of the program:
 *
 *   main.c      wires: options, names, runs, output
 *   conf.c      the table of options
 *   target.c    the servers: options and names to addresses
 *   nat/        the questions to STUN servers, PURE; probe.h is their map
 *   net.c       their sockets: does what nat/probe says
 *   relay/      beside it: the relays; relay.h is a map
 *   evidence/   captures, and verdicts from them; evidence.h is a map
 *   dry.c       -n: what a run would send
 *   result.c    the result as JSON (docs/natprobe.md)
 *   words.c     the same for people
 *   views/      predict and report, which read results; views.h is a map
 *
 * Text and pages are views of the JSON, so nothing is said that is not in it.
 */
#ifndef NATPROBE_NATPROBE_H
#define NATPROBE_NATPROBE_H

#include <jansson.h>

#include "probes/natprobe/nat/probe.h"
#include "run/addr.h"
#include "run/conf.h"

struct loop;
struct net;

#define NATPROBE_ERROR_MAX CONF_ERROR_MAX

/* Exit statuses, of the NAT, or with relays alone: 0 all is known or works, 1 something is not, 2 usage, 3 no server
 * answers over UDP, 4 interrupted. */
enum { STATUS_KNOWN, STATUS_PARTLY, STATUS_USAGE, STATUS_BLOCKED, STATUS_CUT };

struct natprobe_conf {
	struct conf_strings stun, relay;
	char *map;
	char *building;
	char *json; /* a file, "-" for standard output, "" for none */
	char *capture, *replay; /* a file, "" for none */
	bool quiet, relays;
	bool lifetime, refresh, hairpin;
	int64_t ttl_max_us, ttl_resolution_us;
	int64_t rate;
	int family; /* enum family */
	char *second_address;
	bool dry;
	bool version;
};

enum family { FAMILY_BOTH, FAMILY_4, FAMILY_6 };

enum conf_result natprobe_conf_read(struct natprobe_conf *c, int argc,
    char **argv, char error[static NATPROBE_ERROR_MAX]);
void natprobe_conf_clear(struct natprobe_conf *c);
void natprobe_conf_usage(void);

/*
 * target.c. The servers of -stun and -map. A name is looked up, which may
 * take as long as the system's resolver does.
 */
struct targets {
	struct stun_addr v[2][PROBE_SERVERS]; /* by family: IPv4, IPv6 */
	char name[2][PROBE_SERVERS][80];
	size_t n[2];
};
int targets_read(struct targets *t, const struct natprobe_conf *c,
    char error[static NATPROBE_ERROR_MAX]);

/*
 * net.c. Runs p on loop and calls done at its end. Returns NULL with errno.
 * second: another address of this host, or NULL.
 */
typedef void net_done_fn(void *arg);
struct net *net_new(struct loop *l, struct probe *p, const struct addr *second,
    net_done_fn *done, void *arg);
void net_free(struct net *n);
/* Ends the run where it is: takes what has arrived, and asks nothing more. */
void net_stop(struct net *n);
/* The address from which that server is reached; false if there is no way. */
bool net_local(const struct stun_addr *server, struct stun_addr *local);

/* dry.c. What a run over one family would send at the most. */
void dry_print(
    const struct targets *t, bool v6, const struct probe_options *o, FILE *out);

/* result.c. All of them the caller's; NULL if memory is short. */
json_t *result_new(const struct natprobe_conf *c, int64_t unix_s);
json_t *result_family(const struct probe *p, const struct targets *t);

/* words.c. What the result says, for people. */
void words_print(const json_t *result, FILE *out);

/* An address as text, "192.0.2.1:5" or "[2001:db8::1]:5"; JSON null if its
 * port is 0. */
json_t *json_of_addr(const struct stun_addr *a);

#endif

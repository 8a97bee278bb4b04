/*
 * natprobe: what does this building's NAT do? A map of the program:
 *
 *   main.c      wires: options, servers, what to do with them
 *   run.c       begins and ends all parts; run.h is a map
 *   conf.c      the table of options
 *   derpmap.c   the relay map, of a file or of tailscaled; derpmap_check.c
 *   target.c    the servers: options, map and names to addresses
 *   limit.c     how long a run takes at the most
 *   nat/        the questions to STUN servers, PURE; probe.h is their map
 *   net.c       their sockets: does what nat/probe says
 *   bind.c      fresh local ports for all sockets
 *   relay/      beside it: the relays; relay.h is a map
 *   gateway/    beside it: the router, and the way; gateway.h is a map
 *   tcp/        beside it: the same questions over TCP; tcp.h is a map
 *   pair/       -listen and -peer: two of them meet; pair.h is a map
 *   path/       beside it: what is on the way besides NATs; path.h is a map
 *   evidence/   captures, and verdicts from them; evidence.h is a map
 *   dry.c       -n: what a run would send
 *   live/       what a run says while it goes on; live.h is a map
 *   result.c    the result as JSON (docs/natprobe.md)
 *   words.c     the same for people; words.h: what all such texts use
 *   output.c    where both go
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
#include "run/loop.h"

struct net;

#define NATPROBE_ERROR_MAX CONF_ERROR_MAX

/* Packets per second. The whole run, by default: what all its parts take
 * together if each may do what it wants, about. And the questions by UDP of one
 * family alone, whatever the rate: a server is asked no faster. */
#define NATPROBE_RATE	     500
#define NATPROBE_SERVER_RATE 100

/* Exit statuses, of the NAT, or with relays alone: 0 all is known or works, 1 something is not, 2 usage, 3 no server
 * answers over UDP, 4 interrupted, 5 out of time. */
enum {
	STATUS_KNOWN,
	STATUS_PARTLY,
	STATUS_USAGE,
	STATUS_BLOCKED,
	STATUS_CUT,
	STATUS_TIME,
};

/* Why a run ended before its end. */
enum cut { CUT_NOT, CUT_INTERRUPTED, CUT_TIME };

struct natprobe_conf {
	struct conf_strings stun, relay;
	char *map, *tailscaled;
	char *building;
	char *json; /* a file, "-" for standard output, "" for none */
	char *capture, *replay; /* a file, "" for none */
	bool quiet, relays, no_local, rfc4787;
	bool listen; /* pair mode */
	char *peer;
	int64_t wait_us;
	bool lifetime, refresh, hairpin;
	bool gateway, portmap, trace;
	bool tcp, tcp_lifetime;
	int64_t ttl_max_us, ttl_resolution_us;
	int64_t rate; /* of all parts together */
	int64_t max_time_us; /* 0: as long as all of it may take */
	int family; /* enum family */
	char *second_address;
	bool path, dns;
	char *ports;
	bool dry;
	bool version;
};

#define NATPROBE_NAME_MAX 255 /* bytes of -building */

enum family { FAMILY_BOTH, FAMILY_4, FAMILY_6 };

enum conf_result natprobe_conf_read(struct natprobe_conf *c, int argc,
    char **argv, char error[static NATPROBE_ERROR_MAX]);
void natprobe_conf_clear(struct natprobe_conf *c);
void natprobe_conf_usage(void);

/*
 * derpmap.c. The relay map in a file, or of the tailscaled with that socket.
 * The caller's; it has "Regions". NULL: error says why.
 */
json_t *derpmap_load(const char *path, char error[static NATPROBE_ERROR_MAX]);
json_t *derpmap_ask(const char *path, char error[static NATPROBE_ERROR_MAX]);

/* derpmap_check.c. PURE. False: error says what of it is wrong, and where. */
bool derpmap_check(const json_t *map, char error[static NATPROBE_ERROR_MAX]);

/*
 * target.c. The servers of -stun and of a map (NULL: there is none).
 * targets_read takes the texts apart, targets_look_up finds the names' addresses; v, name and n
 * are set when that is done.
 */
struct wish;
struct targets {
	struct stun_addr v[2][PROBE_SERVERS]; /* by family: IPv4, IPv6 */
	char name[2][PROBE_SERVERS][80];
	size_t n[2];
	/* target.c's own: */
	struct wish **wishes;
	size_t n_wishes, n_names;
	struct loop *loop;
	struct timer *timer;
	struct mono late;
	loop_fn *done;
	void *arg;
};
int targets_read(struct targets *t, const struct natprobe_conf *c, json_t *map,
    char error[static NATPROBE_ERROR_MAX]);
/* True if any server was asked for. */
bool targets_wanted(const struct targets *t);
/* Calls done once, never inside this call. -1: memory is short. */
int targets_look_up(
    struct targets *t, struct loop *l, loop_fn *done, void *arg);
/* How long that takes at the most. */
int64_t targets_longest_us(const struct targets *t);
/* What became of the i-th name that was looked up; false: there is none. */
struct target_name {
	const char *name, *why; /* lent; why "": found, or not yet */
	bool over;
	int64_t took_us;
	size_t found; /* addresses */
};
bool targets_name(const struct targets *t, size_t i, struct target_name *name);
void targets_clear(struct targets *t);

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
/* The address from which that server is reached; false with errno if there is
 * no way, or it cannot be found out. */
bool net_local(const struct stun_addr *server, struct stun_addr *local);
/* Is that errno of this host's, which has no socket to give? */
bool net_is_short(int error);
/* The prefix length of the interface that has that address; 0: none has. */
uint8_t net_prefix(const struct stun_addr *local);

/* bind.c. Binds to a port that no run on this host has had for a quarter of an
 * hour (nat/ports.h) and puts it into a; row: PORTS_ROW from it on are such.
 * -1 with errno. */
int bind_fresh(int fd, struct addr *a, bool row);
/* How long all of them must be kept yet, for that to hold for later runs. */
int64_t bind_keep_us(void);

/* dry.c. What a run over one family would send at the most. */
void dry_print(
    const struct targets *t, bool v6, const struct probe_options *o, FILE *out);
/* How many packets that is. */
unsigned dry_packets(
    const struct targets *t, bool v6, const struct probe_options *o);

/* limit.c. PURE. How long the questions to STUN servers over one family take
 * at the most, if nothing else is sent; and with names, relays, and all packets
 * of all parts one after the other, -max-time's default. */
int64_t limit_family_us(unsigned packets, const struct probe_options *o);
int64_t limit_run_us(int64_t names_us, int64_t families_us, int64_t relays_us,
    int64_t packets_us);

/* result.c. All of them the caller's; NULL if memory is short. */
json_t *result_new(const struct natprobe_conf *c, int64_t unix_s);
json_t *result_names(const struct targets *t);
/* "complete" and "stopped". */
void result_add_end(json_t *result, enum cut cut);
json_t *result_family(const struct probe *p, const struct targets *t);
/* Which of this host's addresses that was, and its network; JSON null: none. */
json_t *result_local(const struct probe *p);

/* signals.c. Calls fn when SIGINT, SIGTERM or SIGHUP comes, the last unless it
 * is ignored, as nohup does; -1 with errno. */
int signals_watch(struct loop *l, loop_fn *fn, void *arg);
/* From here on one ends the program, whatever it is writing. */
void signals_restore(void);

/* words.c. What the result says, for people. */
void words_print(const json_t *result, FILE *out);
/* A reason of the result, and what would help. */
const char *reason_meaning(const char *why);

/* output.c. */
struct output {
	const char *path; /* lent; as natprobe_conf.json */
	int fd; /* of what is no plain file; -1: none */
};
/* Makes sure that no socket becomes standard output. 0, or -1. */
int output_keep_std(void);
/* open_plain: opens a plain file now, for later; NULL: it is only tried. -1
 * with a line in error. */
int output_begin(struct output *o, const char *path,
    int (*open_plain)(const char *path), char error[static NATPROBE_ERROR_MAX]);
/* These say themselves what is wrong, and return -1 then. */
int output_json(struct output *o, const json_t *result);
int output_words(const struct output *o, const json_t *result, bool rfc4787);
void output_end(struct output *o);
/* Replaces a plain file, or writes to what is none. 0, or -1 with errno. */
int output_file(const char *path, const char *p, size_t n);

/* An address as text, "192.0.2.1:5" or "[2001:db8::1]:5"; JSON null if its
 * port is 0. */
json_t *json_of_addr(const struct stun_addr *a);
json_t *json_of_reason(enum reason r);
json_t *json_of_mapping(const struct verdict_mapping *v);
json_t *json_of_life(const struct verdict_life *v);

#endif

/* main: wires options, names, a run per address family, and the output. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/gateway/gateway.h"
#include "probes/natprobe/live/live.h"
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/path/path.h"
#include "probes/natprobe/relay/relay.h"
#include "probes/natprobe/tcp/tcp.h"
#include "probes/natprobe/views/views.h"
#include "run/loop.h"
#include "run/version.h"

struct natprobe {
	struct natprobe_conf conf;
	struct targets targets;
	struct relay_nodes relay_nodes;
	struct relays *relays; /* NULL: there are none */
	struct gateways *gateways; /* NULL: they are not asked */
	struct path_run *path; /* NULL: not wanted */
	struct loop *loop;
	struct probe probes[2]; /* IPv4, IPv6 */
	struct net *nets[2];
	struct tcp_net *tcps[2]; /* NULL: not over TCP */
	bool used[2];
	unsigned running;
	struct mono began;
	struct timer *timer; /* -max-time */
	enum cut cut;
	struct live *live;
	struct live_family views[2];
	struct output output;
	struct addr second;
	struct capture *capture; /* NULL: there is none */
	bool broken; /* said so; there is no result */
	struct replay replay;
	char replay_why[NATPROBE_ERROR_MAX]; /* its file is not whole */
};

static void
on_done(void *arg)
{
	struct natprobe *n = arg;

	if (--n->running == 0)
		loop_stop(n->loop);
}

static void
stop(struct natprobe *n, enum cut cut)
{
	if (n->cut != CUT_NOT)
		return;
	n->cut = cut;
	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6]) {
			net_stop(n->nets[v6]);
			tcp_net_stop(n->tcps[v6]);
		}
	/* What was mapped at the router is removed first. */
	if (n->gateways != NULL && gateways_busy(n->gateways))
		gateways_stop(n->gateways);
	else
		loop_stop(n->loop);
}

static void
on_gateways(void *arg)
{
	struct natprobe *n = arg;

	on_done(n);
	if (n->cut != CUT_NOT)
		loop_stop(n->loop);
}

static void
on_signal(void *arg)
{
	stop(arg, CUT_INTERRUPTED);
}

static void
on_limit(void *arg)
{
	stop(arg, CUT_TIME);
}

static bool
wanted(const struct natprobe *n, bool v6)
{
	struct stun_addr local;

	if (n->targets.n[v6] == 0 ||
	    n->conf.family == (v6 ? FAMILY_4 : FAMILY_6))
		return false;
	return net_local(&n->targets.v[v6][0], &local);
}

static bool
has_second(const struct natprobe *n, bool v6)
{
	return n->second.len != 0 && addr_is_v4(&n->second) == !v6;
}

static struct probe_options
options_of(const struct natprobe *n, bool v6)
{
	const struct natprobe_conf *c = &n->conf;

	return (struct probe_options){.v6 = v6,
	    .lifetime = c->lifetime,
	    .refresh = c->refresh,
	    .hairpin = c->hairpin,
	    .local_ips = has_second(n, v6) ? 2 : 1,
	    .ttl_max_s = (unsigned)(c->ttl_max_us / 1000000),
	    .ttl_resolution_s = (unsigned)(c->ttl_resolution_us / 1000000),
	    .rate = (unsigned)c->rate};
}

/* The same options, as far as they are about TCP. */
static struct probe_options
tcp_options_of(const struct natprobe *n, bool v6)
{
	struct probe_options o = options_of(n, v6);

	o.lifetime = n->conf.tcp_lifetime;
	return o;
}

static int
begin_tcp(struct natprobe *n, bool v6)
{
	struct probe_options o = tcp_options_of(n, v6);

	if (!n->conf.tcp)
		return 0;
	n->tcps[v6] = tcp_net_new(n->loop, &n->targets, &o, on_done, n);
	if (n->tcps[v6] == NULL)
		return -1;
	n->running++;
	return 0;
}

static int
begin_family(struct natprobe *n, bool v6)
{
	struct probe_options o = options_of(n, v6);
	uint8_t seed[ENGINE_SEED_LEN];

	randombytes_buf(seed, sizeof(seed));
	n->used[v6] = true;
	probe_init(&n->probes[v6], &o, n->targets.v[v6], n->targets.n[v6], seed,
	    loop_now(n->loop));
	n->nets[v6] = net_new(n->loop, &n->probes[v6],
	    has_second(n, v6) ? &n->second : NULL, on_done, n);
	if (n->nets[v6] == NULL)
		return -1;
	n->running++;
	n->views[v6] = (struct live_family){
	    .name = v6 ? "IPv6" : "IPv4", .probe = &n->probes[v6]};
	return begin_tcp(n, v6);
}

static struct gateway_options
gateway_options_of(const struct natprobe *n)
{
	const struct natprobe_conf *c = &n->conf;

	return (struct gateway_options){.ask = c->gateway || c->portmap,
	    .portmap = c->portmap,
	    .trace = c->trace};
}

/* Forks, so it goes before what starts threads. */
static int
prepare_gateways(struct natprobe *n)
{
	struct gateway_options o = gateway_options_of(n);

	if (!targets_wanted(&n->targets) || (!o.ask && !o.trace))
		return 0;
	n->gateways = gateways_new(n->loop, &o);
	return n->gateways == NULL ? -1 : 0;
}

static bool
begin_gateways(struct natprobe *n)
{
	bool good = true;

	if (n->gateways == NULL || (!n->used[0] && !n->used[1]))
		return true;
	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6])
			good &= gateways_start(n->gateways, v6, &n->probes[v6]);
	gateways_then(n->gateways, on_gateways, n);
	n->running++;
	return good;
}

/* After all others, which it looks at. */
static bool
begin_path(struct natprobe *n)
{
	struct path_setup s = {.loop = n->loop,
	    .conf = &n->conf,
	    .targets = &n->targets,
	    .nodes = &n->relay_nodes,
	    .relays = n->relays};

	if (!n->conf.path || (!n->used[0] && !n->used[1] && n->relays == NULL))
		return true;
	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6])
			s.probes[v6] = &n->probes[v6];
	n->path = path_run_new(&s, on_done, n);
	n->running += n->path != NULL;
	return n->path != NULL;
}

static int64_t
longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
longest_us(const struct natprobe *n)
{
	int64_t families =
	    n->conf.portmap ? GATEWAY_PORTMAP_US : GATEWAY_ASK_US;
	int64_t us;
	struct probe_options o;

	if (n->conf.max_time_us != 0)
		return n->conf.max_time_us;
	for (int v6 = 0; v6 < 2; v6++) {
		if (!wanted(n, v6))
			continue;
		o = options_of(n, v6);
		us = limit_family_us(dry_packets(&n->targets, v6, &o), &o);
		families = longer(families, us);
		o = tcp_options_of(n, v6);
		if (n->conf.tcp)
			families = longer(families, tcp_longest_us(&o));
	}
	return limit_run_us(targets_longest_us(&n->targets), families,
	    relay_longest_us(&n->relay_nodes));
}

static void
limit_run(struct natprobe *n)
{
	live_longest(n->live, longest_us(n));
	timer_set(n->timer, mono_add_us(n->began, longest_us(n)));
}

static bool
owns(const void *arg, const struct stun_addr *local)
{
	const struct natprobe *n = arg;

	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6] &&
		    engine_sock_at(&n->probes[v6].engine, local) != ASK_NONE)
			return true;
	return false;
}

static int
begin_capture(struct natprobe *n)
{
	struct note note = {.hairpin = n->conf.hairpin,
	    .refresh = n->conf.refresh,
	    .lifetime = n->conf.lifetime,
	    .targets = n->targets};
	char error[NATPROBE_ERROR_MAX];

	if (n->capture == NULL)
		return 0;
	snprintf(note.building, sizeof(note.building), "%s", n->conf.building);
	for (int v6 = 0; v6 < 2; v6++)
		if (wanted(n, v6))
			note.local_ips[v6] = options_of(n, v6).local_ips;
	if (capture_begin(n->capture, n->loop, &note, owns, n, error) == 0)
		return 0;
	fprintf(stderr, "natprobe: %s\n", error);
	return -1;
}

static void
on_named(void *arg)
{
	struct natprobe *n = arg;

	limit_run(n);
	if (begin_capture(n) == -1) {
		n->broken = true;
		loop_stop(n->loop);
		return;
	}
	for (int v6 = 0; v6 < 2; v6++)
		if (wanted(n, v6) && begin_family(n, v6) == -1)
			fprintf(stderr, "natprobe: %s\n", strerror(errno));
	if (!begin_gateways(n) || !begin_path(n))
		fprintf(stderr, "natprobe: %s\n", strerror(errno));
	on_done(n);
}

static int
begin_names(struct natprobe *n)
{
	n->running++;
	return targets_look_up(&n->targets, n->loop, on_named, n);
}

/* What is to be drawn next. */
static void
on_refresh(void *arg)
{
	struct natprobe *n = arg;

	progress_names(n->live, &n->targets);
	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6])
			progress_family(
			    n->live, &n->views[v6], loop_now(n->loop));
	progress_relays(n->live, n->relays);
}

static void
begin_live(struct natprobe *n)
{
	const struct natprobe_conf *c = &n->conf;
	struct live_options o = {
	    .title = *c->building == '\0' ? "natprobe" : c->building,
	    .to_stdout = strcmp(c->json, "-") != 0,
	    .lines = c->lifetime};

	if (!c->quiet)
		n->live = live_new(n->loop, &o, on_refresh, n);
}

static int
begin_relays(struct natprobe *n)
{
	if (n->relay_nodes.n == 0)
		return 0;
	n->relays =
	    relays_new(n->loop, &n->relay_nodes, n->conf.family, on_done, n);
	if (n->relays == NULL)
		return -1;
	n->running++;
	return 0;
}

static json_t *
result_of(struct natprobe *n, int64_t unix_s)
{
	static const char *const names[] = {"ipv4", "ipv6"};
	json_t *r = result_new(&n->conf, unix_s), *family;

	if (*n->conf.replay == '\0')
		json_object_set_new(r, "names", result_names(&n->targets));
	for (int v6 = 0; v6 < 2; v6++) {
		if (!n->used[v6])
			continue;
		family = result_family(&n->probes[v6], &n->targets);
		if (!n->conf.no_local && *n->conf.replay == '\0')
			json_object_set_new(
			    family, "local", result_local(&n->probes[v6]));
		tcp_result_add(family, n->tcps[v6], &n->targets);
		if (n->gateways != NULL)
			gateway_results_add(
			    family, n->gateways, &n->probes[v6]);
		json_object_set_new(r, names[v6], family);
	}
	if (n->relays != NULL)
		relay_results_add(r, n->relays);
	if (n->capture != NULL)
		json_object_set_new(r, "capture", capture_json(n->capture));
	if (*n->conf.replay != '\0')
		json_object_set_new(r, "replay",
		    replay_json(&n->replay, n->conf.replay, n->replay_why));
	if (n->path != NULL)
		path_results_add(r, n->path);
	result_add_end(r, n->cut);
	return r;
}

static bool
relays_work(const struct relays *r)
{
	bool each = true;

	for (size_t i = 0; i < r->n; i++)
		each &= relay_works(r->v[i]);
	return each;
}

static int
status_of(const struct natprobe *n)
{
	bool blocked = true, known = true;
	struct verdicts v;

	for (int v6 = 0; v6 < 2; v6++) {
		if (!n->used[v6])
			continue;
		judge(&n->probes[v6], &v);
		blocked &= v.udp == ANSWER_NO;
		known &=
		    v.mapping.why == REASON_NONE && v.filter.why == REASON_NONE;
	}
	if (n->cut != CUT_NOT)
		return n->cut == CUT_TIME ? STATUS_TIME : STATUS_CUT;
	if (!n->used[0] && !n->used[1]) {
		if (n->relays == NULL)
			return STATUS_BLOCKED;
		return !targets_wanted(&n->targets) && relays_work(n->relays)
		    ? STATUS_KNOWN
		    : STATUS_PARTLY;
	}
	return blocked ? STATUS_BLOCKED : known ? STATUS_KNOWN : STATUS_PARTLY;
}

/* A ladder has a socket per rung. */
static void
allow_sockets(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Writes the result, in words and as JSON; returns the exit status. */
static int
tell(struct natprobe *n, int64_t unix_s)
{
	json_t *result = result_of(n, unix_s);
	/* The file first: who reads the words may stop doing so. */
	int failed = output_json(&n->output, result);

	if (!n->conf.quiet)
		failed |= output_words(&n->output, result, n->conf.rfc4787);
	output_end(&n->output);
	json_decref(result);
	return failed != 0 ? STATUS_USAGE : status_of(n);
}

/* Where the result can go is found out before the run. */
static int
begin_output(struct natprobe *n)
{
	char error[NATPROBE_ERROR_MAX];

	if (n->output.path != NULL ||
	    output_begin(&n->output, n->conf.json, NULL, error) == 0)
		return 0;
	fprintf(stderr, "natprobe: %s\n", error);
	return -1;
}

/* ---- evidence ---- */

/* What needs privilege, and the end of that. */
static int
open_capture(struct natprobe *n, char *error)
{
	int (*open_file)(const char *) = geteuid() == 0 ? privilege_open : NULL;

	if (*n->conf.capture == '\0')
		return 0;
	if ((n->capture = capture_new(n->conf.capture, error)) == NULL)
		return -1;
	if (output_begin(&n->output, n->conf.json, open_file, error) == -1)
		return -1;
	return privilege_drop(error);
}

/* What only a run that sends has. */
static const char *
out_of_place(const struct natprobe_conf *c)
{
	return c->stun.n > 0	  ? "stun"
	    : c->relay.n > 0	  ? "relay"
	    : *c->map != '\0'	  ? "map"
	    : *c->capture != '\0' ? "capture"
				  : NULL;
}

static int
replay_all(struct natprobe *n)
{
	const char *other = out_of_place(&n->conf);
	char error[NATPROBE_ERROR_MAX], *building;
	struct replay *r = &n->replay;

	if (other != NULL) {
		fprintf(stderr,
		    "natprobe: -%s has no place beside -replay, which sends "
		    "nothing: the file says whom the run asked\n",
		    other);
		return STATUS_USAGE;
	}
	if (replay_read(r, n->conf.replay, n->probes, n->used, n->replay_why,
		error) == -1) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	n->targets = r->note.targets;
	if (!replay_is_complete(r))
		n->cut = CUT_INTERRUPTED;
	if (*n->conf.building == '\0' &&
	    (building = strdup(r->note.building)) != NULL) {
		free(n->conf.building);
		n->conf.building = building;
	}
	if (begin_output(n) == -1)
		return STATUS_USAGE;
	return tell(n, replay_ended_s(r));
}

static int
begin(struct natprobe *n)
{
	/* OpenSSL writes without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	if ((n->loop = loop_new()) == NULL ||
	    signals_watch(n->loop, on_signal, n) == -1 ||
	    (n->timer = timer_new(n->loop, on_limit, n)) == NULL) {
		fprintf(stderr, "natprobe: event loop: %s\n", strerror(errno));
		return -1;
	}
	n->began = loop_now(n->loop);
	begin_live(n);
	limit_run(n);
	if (prepare_gateways(n) == 0 && begin_relays(n) == 0 &&
	    begin_names(n) == 0)
		return 0;
	fprintf(stderr, "natprobe: memory is short\n");
	return -1;
}

/* A line each, for who sees nothing else of the result. */
static void
say_unreachable(const struct natprobe *n)
{
	struct target_name name;
	bool none = true;

	for (size_t i = 0; targets_name(&n->targets, i, &name); i++)
		if (*name.why != '\0') {
			none = false;
			fprintf(stderr, "natprobe: stun %s: %s\n", name.name,
			    name.why);
		}
	if (none)
		fprintf(stderr,
		    "natprobe: no way to any server: is the network up?\n");
}

static int
probe_all(struct natprobe *n)
{
	if (begin_output(n) == -1 || begin(n) == -1)
		return STATUS_USAGE;
	loop_run(n->loop);
	signals_restore();
	live_free(n->live);
	n->live = NULL;
	if (n->broken)
		return STATUS_USAGE;
	if (n->cut == CUT_NOT && targets_wanted(&n->targets) && !n->used[0] &&
	    !n->used[1])
		say_unreachable(n);
	return tell(n,
	    n->capture != NULL ? capture_end(n->capture, n->cut == CUT_NOT)
			       : (int64_t)time(NULL));
}

static void
on_all_named(void *arg)
{
	loop_stop(((struct natprobe *)arg)->loop);
}

/* Waits for all names, which a run does not do. */
static int
look_up_names(struct natprobe *n)
{
	if ((n->loop = loop_new()) == NULL ||
	    targets_look_up(&n->targets, n->loop, on_all_named, n) == -1) {
		fprintf(stderr, "natprobe: event loop: %s\n", strerror(errno));
		return -1;
	}
	loop_run(n->loop);
	return 0;
}

/* Pair mode: instead of all the rest. */
static int
pair_all(struct natprobe *n)
{
	json_t *result;
	int status, failed = 0;

	signal(SIGPIPE, SIG_IGN);
	if (begin_output(n) == -1 || look_up_names(n) == -1)
		return STATUS_USAGE;
	result = result_new(&n->conf, (int64_t)time(NULL));
	status = pair_run(&n->conf, &n->targets, &n->relay_nodes, result,
	    strcmp(n->conf.json, "-") == 0 ? stderr : stdout);
	if (status != STATUS_USAGE) {
		failed = output_json(&n->output, result);
		if (!n->conf.quiet)
			failed |= output_words(&n->output, result, false);
	}
	output_end(&n->output);
	json_decref(result);
	return failed != 0 ? STATUS_USAGE : status;
}

static int
dry_all(struct natprobe *n)
{
	struct gateway_options g = gateway_options_of(n);
	bool asked[2];
	struct probe_options o;

	if (look_up_names(n) == -1)
		return STATUS_USAGE;
	if (pair_wanted(&n->conf)) {
		pair_dry_print(&n->conf, &n->targets, &n->relay_nodes, stdout);
		return 0;
	}
	for (int v6 = 0; v6 < 2; v6++)
		if ((asked[v6] = wanted(n, v6))) {
			o = options_of(n, v6);
			dry_print(&n->targets, v6, &o, stdout);
			gateway_dry_print(&g, v6, &n->targets.v[v6][0], stdout);
			o = tcp_options_of(n, v6);
			if (n->conf.tcp)
				tcp_dry_print(&n->targets, &o, stdout);
		}
	relay_dry_print(&n->relay_nodes, stdout);
	if (*n->conf.capture != '\0')
		printf("packets to and from STUN servers would be written to "
		       "%s\n",
		    n->conf.capture);
	path_dry_print(&n->conf, &n->targets, &n->relay_nodes, asked, stdout);
	printf("all of it within %lld s\n",
	    (long long)((longest_us(n) + 999999) / 1000000));
	return 0;
}

static int
run(struct natprobe *n, int argc, char **argv)
{
	char error[NATPROBE_ERROR_MAX];

	switch (natprobe_conf_read(&n->conf, argc, argv, error)) {
	case CONF_HELP:
		natprobe_conf_usage();
		return 0;
	case CONF_BAD:
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	case CONF_OK:
		break;
	}
	if (n->conf.version) {
		printf("natprobe %s\n", campusnet_version);
		return 0;
	}
	if (*n->conf.replay != '\0')
		return replay_all(n);
	if (*n->conf.second_address != '\0' &&
	    !addr_parse(&n->second, n->conf.second_address, 0)) {
		fprintf(stderr,
		    "natprobe: second-address \"%s\" is no IP address\n",
		    n->conf.second_address);
		return STATUS_USAGE;
	}
	if ((!n->conf.dry && open_capture(n, error) == -1) ||
	    !path_conf_check(&n->conf, error)) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	if (targets_read(&n->targets, &n->conf, error) == -1) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	if (relay_nodes_read(&n->relay_nodes, &n->conf, error) == -1) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	if (!targets_wanted(&n->targets) && n->relay_nodes.n == 0) {
		fprintf(stderr,
		    "natprobe: no server%s%s: give -stun HOST[:PORT], -map "
		    "FILE or -relay URL\n",
		    *n->conf.map == '\0' ? "" : " in ", n->conf.map);
		return STATUS_USAGE;
	}
	if (!pair_check(&n->conf, &n->relay_nodes, error)) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	if (n->conf.dry)
		return dry_all(n);
	if (pair_wanted(&n->conf))
		return pair_all(n);
	allow_sockets();
	return probe_all(n);
}

int
main(int argc, char **argv)
{
	struct natprobe n = {};
	int status;

	if (argc > 1 && strcmp(argv[1], "predict") == 0)
		return predict_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return report_main(argc - 1, argv + 1);
	if (output_keep_std() == -1 || sodium_init() == -1)
		return STATUS_USAGE;
	status = run(&n, argc, argv);
	gateways_free(n.gateways);
	path_run_free(n.path);
	for (int v6 = 0; v6 < 2; v6++) {
		net_free(n.nets[v6]);
		tcp_net_free(n.tcps[v6]);
		if (n.used[v6])
			probe_clear(&n.probes[v6]);
	}
	capture_free(n.capture);
	relays_free(n.relays);
	relay_nodes_clear(&n.relay_nodes);
	targets_clear(&n.targets);
	timer_free(n.timer);
	loop_free(n.loop);
	natprobe_conf_clear(&n.conf);
	return status;
}

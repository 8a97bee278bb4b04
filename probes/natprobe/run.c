/* run: a run that sends. Begins its parts, each beside the others, and ends
 * them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <sodium.h>

#include "probes/natprobe/run.h"

/* Four runs at once take ports that the clock reaches so much later. */
#define KEEP_MAX_US INT64_C(10000000)

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
	if (n->capture != NULL)
		capture_stop(n->capture);
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

static int
begin_tcp(struct natprobe *n, bool v6)
{
	struct probe_options o = run_tcp_options(n, v6);

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
	struct probe_options o = run_options(n, v6);
	uint8_t seed[ENGINE_SEED_LEN];

	randombytes_buf(seed, sizeof(seed));
	n->used[v6] = true;
	probe_init(&n->probes[v6], &o, n->targets.v[v6], n->targets.n[v6], seed,
	    loop_now(n->loop));
	n->nets[v6] = net_new(n->loop, &n->probes[v6],
	    run_has_second(n, v6) ? &n->second : NULL, on_done, n);
	if (n->nets[v6] == NULL)
		return -1;
	n->running++;
	n->views[v6] = (struct live_family){
	    .name = v6 ? "IPv6" : "IPv4", .probe = &n->probes[v6]};
	return begin_tcp(n, v6);
}

/* Forks, so it goes before what starts threads. */
static int
prepare_gateways(struct natprobe *n)
{
	struct gateway_options o = run_gateway_options(n);

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
	    .pacer = &n->pacer,
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

static void
limit_run(struct natprobe *n)
{
	live_longest(n->live, run_longest_us(n));
	timer_set(n->timer, mono_add_us(n->began, run_longest_us(n)));
}

static int
call_of(const void *arg, const struct stun_addr *local,
    const struct stun_addr *peer)
{
	const struct natprobe *n = arg;
	const struct calls *c = tcp_net_calls(n->tcps[!stun_addr_is_v4(local)]);
	uint16_t i = c == NULL ? ASK_NONE : calls_find(c, local, peer);

	return i == ASK_NONE ? -1 : i;
}

static int
begin_capture(struct natprobe *n)
{
	struct probe_options o = run_options(n, false);
	struct note note = {.hairpin = n->conf.hairpin,
	    .refresh = n->conf.refresh,
	    .lifetime = n->conf.lifetime,
	    .tcp = n->conf.tcp,
	    .tcp_lifetime = n->conf.tcp_lifetime,
	    .ttl_max_s = (uint16_t)o.ttl_max_s,
	    .ttl_resolution_s = (uint16_t)o.ttl_resolution_s,
	    .rate = (uint16_t)o.rate,
	    .targets = n->targets};
	char error[NATPROBE_ERROR_MAX];

	if (n->capture == NULL)
		return 0;
	snprintf(note.building, sizeof(note.building), "%s", n->conf.building);
	for (int v6 = 0; v6 < 2; v6++)
		if (run_wants(n, v6))
			note.local_ips[v6] = run_options(n, v6).local_ips;
	if (capture_begin(n->capture, &note, call_of, n, error) == 0)
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
		if (run_wants(n, v6) && begin_family(n, v6) == -1)
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
	struct mono now = loop_now(n->loop);

	progress_names(n->live, &n->targets);
	for (int v6 = 0; v6 < 2; v6++) {
		if (!n->used[v6])
			continue;
		progress_family(n->live, &n->views[v6], now);
		if (n->tcps[v6] != NULL)
			progress_tcp(
			    n->live, v6, tcp_net_calls(n->tcps[v6]), now);
		progress_way(n->live, v6, n->gateways);
		progress_path(n->live, v6, n->path);
	}
	progress_relays(n->live, n->relays);
}

static void
begin_live(struct natprobe *n)
{
	const struct natprobe_conf *c = &n->conf;
	struct live_options o = {
	    .title = *c->building == '\0' ? "natprobe" : c->building,
	    .to_stdout = strcmp(c->json, "-") != 0,
	    .lines = c->lifetime || (c->tcp && c->tcp_lifetime)};

	if (!c->quiet)
		n->live = live_new(n->loop, &o, on_refresh, n);
}

static int
begin_relays(struct natprobe *n)
{
	if (n->relay_nodes.n == 0)
		return 0;
	n->relays = relays_new(
	    n->loop, &n->relay_nodes, n->conf.family, &n->pacer, on_done, n);
	if (n->relays == NULL)
		return -1;
	n->running++;
	return 0;
}

static int
begin(struct natprobe *n)
{
	char error[NATPROBE_ERROR_MAX];

	/* OpenSSL writes without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	if ((n->loop = loop_new()) == NULL ||
	    signals_watch(n->loop, on_signal, n) == -1 ||
	    (n->timer = timer_new(n->loop, on_limit, n)) == NULL) {
		fprintf(stderr, "natprobe: event loop: %s\n", strerror(errno));
		return -1;
	}
	n->began = loop_now(n->loop);
	if (n->capture != NULL &&
	    capture_watch(n->capture, n->loop, error) == -1) {
		fprintf(stderr, "natprobe: %s\n", error);
		return -1;
	}
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

/* After all is said: until the clock is past the ports. A person who ends a
 * run does not wait. */
static void
keep_ports(const struct natprobe *n)
{
	int64_t us = bind_keep_us();
	struct timespec t;

	if (n->cut == CUT_INTERRUPTED)
		return;
	if (us > KEEP_MAX_US)
		us = KEEP_MAX_US;
	t = (struct timespec){us / 1000000, us % 1000000 * 1000};
	nanosleep(&t, NULL);
}

static void
say_no_socket(const struct natprobe *n)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const struct engine *e = &n->probes[v6].engine;

		if (!n->used[v6] || e->not_opened == 0)
			continue;
		fprintf(stderr,
		    "natprobe: sockets that could not be opened: %u (%s)\n",
		    e->not_opened, strerror(e->not_opened_error));
		return;
	}
}

int
run_send(struct natprobe *n)
{
	int status;

	allow_sockets();
	if (run_output(n) == -1 || begin(n) == -1)
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
	say_no_socket(n);
	status = run_tell(n,
	    n->capture != NULL ? capture_end(n->capture, n->cut == CUT_NOT)
			       : (int64_t)time(NULL));
	keep_ports(n);
	return status;
}

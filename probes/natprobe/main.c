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
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/relay/relay.h"
#include "probes/natprobe/views/views.h"
#include "run/file.h"
#include "run/loop.h"
#include "run/version.h"

struct natprobe {
	struct natprobe_conf conf;
	struct targets targets;
	struct relay_nodes relay_nodes;
	struct relays *relays; /* NULL: there are none */
	struct loop *loop;
	struct probe probes[2]; /* IPv4, IPv6 */
	struct net *nets[2];
	bool used[2];
	unsigned running;
	bool interrupted;
	struct addr second;
	struct capture *capture; /* NULL: there is none */
	int json_fd; /* opened before root was given up; -1: not */
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
on_stop(void *arg)
{
	struct natprobe *n = arg;

	n->interrupted = true;
	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6])
			net_stop(n->nets[v6]);
	loop_stop(n->loop);
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
	return 0;
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
	json_t *r = result_new(&n->conf, unix_s);

	for (int v6 = 0; v6 < 2; v6++)
		if (n->used[v6])
			json_object_set_new(r, names[v6],
			    result_family(&n->probes[v6], &n->targets));
	if (n->relays != NULL)
		relay_results_add(r, n->relays);
	if (n->capture != NULL)
		json_object_set_new(r, "capture", capture_json(n->capture));
	if (*n->conf.replay != '\0')
		json_object_set_new(r, "replay",
		    replay_json(&n->replay, n->conf.replay, n->replay_why));
	json_object_set_new(r, "complete", json_boolean(!n->interrupted));
	return r;
}

static int
write_json(const struct natprobe *n, const json_t *result)
{
	char *text;
	int r = 0;

	if (*n->conf.json == '\0')
		return 0;
	text = json_dumps(result, JSON_INDENT(2));
	if (text == NULL)
		return -1;
	if (strcmp(n->conf.json, "-") == 0)
		r = printf("%s\n", text) < 0 || fflush(stdout) != 0 ? -1 : 0;
	else if (n->json_fd != -1)
		r = output_write(n->json_fd, text, strlen(text));
	else
		r = file_replace(n->conf.json, 0644, text, strlen(text));
	if (r == -1)
		fprintf(stderr, "natprobe: json %s: %s\n", n->conf.json,
		    strerror(errno));
	free(text);
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
	if (n->interrupted)
		return STATUS_CUT;
	if (!n->used[0] && !n->used[1])
		return relays_work(n->relays) ? STATUS_KNOWN : STATUS_PARTLY;
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
	int status;

	if (!n->conf.quiet)
		words_print(
		    result, strcmp(n->conf.json, "-") == 0 ? stderr : stdout);
	status = write_json(n, result) == -1 ? STATUS_USAGE : status_of(n);
	json_decref(result);
	return status;
}

/* ---- evidence ---- */

/* What needs privilege, and the end of that. */
static int
open_capture(struct natprobe *n, char *error)
{
	const char *json = n->conf.json;

	if (*n->conf.capture == '\0')
		return 0;
	if ((n->capture = capture_new(n->conf.capture, error)) == NULL)
		return -1;
	if (geteuid() == 0 && *json != '\0' && strcmp(json, "-") != 0 &&
	    (n->json_fd = output_open(json)) == -1) {
		snprintf(error, NATPROBE_ERROR_MAX, "json: %s: %s", json,
		    strerror(errno));
		return -1;
	}
	return privilege_drop(error);
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
	n->interrupted = !replay_is_complete(r);
	if (*n->conf.building == '\0' &&
	    (building = strdup(r->note.building)) != NULL) {
		free(n->conf.building);
		n->conf.building = building;
	}
	return tell(n, replay_ended_s(r));
}

static int
probe_all(struct natprobe *n)
{
	/* OpenSSL writes without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	if ((n->loop = loop_new()) == NULL ||
	    loop_on_signal(n->loop, SIGINT, on_stop, n) == -1 ||
	    loop_on_signal(n->loop, SIGTERM, on_stop, n) == -1) {
		fprintf(stderr, "natprobe: event loop: %s\n", strerror(errno));
		return STATUS_USAGE;
	}
	if (begin_capture(n) == -1 || begin_relays(n) == -1)
		return STATUS_USAGE;
	for (int v6 = 0; v6 < 2; v6++)
		if (wanted(n, v6) && begin_family(n, v6) == -1)
			return STATUS_USAGE;
	if (n->running == 0) {
		fprintf(stderr,
		    "natprobe: no way to any server: is the network up?\n");
		return STATUS_BLOCKED;
	}
	loop_run(n->loop);
	return tell(n,
	    n->capture != NULL ? capture_end(n->capture, !n->interrupted)
			       : (int64_t)time(NULL));
}

static int
dry_all(const struct natprobe *n)
{
	struct probe_options o;

	for (int v6 = 0; v6 < 2; v6++)
		if (wanted(n, v6)) {
			o = options_of(n, v6);
			dry_print(&n->targets, v6, &o, stdout);
		}
	relay_dry_print(&n->relay_nodes, stdout);
	if (*n->conf.capture != '\0')
		printf("packets to and from STUN servers would be written to "
		       "%s\n",
		    n->conf.capture);
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
	if (!n->conf.dry && open_capture(n, error) == -1) {
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
	if (n->targets.n[0] + n->targets.n[1] + n->relay_nodes.n == 0) {
		fprintf(stderr,
		    "natprobe: no server: give -stun HOST[:PORT], -map FILE "
		    "or -relay URL\n");
		return STATUS_USAGE;
	}
	if (n->conf.dry)
		return dry_all(n);
	allow_sockets();
	return probe_all(n);
}

int
main(int argc, char **argv)
{
	struct natprobe n = {.json_fd = -1};
	int status;

	if (argc > 1 && strcmp(argv[1], "predict") == 0)
		return predict_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return report_main(argc - 1, argv + 1);
	if (sodium_init() == -1)
		return STATUS_USAGE;
	status = run(&n, argc, argv);
	for (int v6 = 0; v6 < 2; v6++) {
		net_free(n.nets[v6]);
		if (n.used[v6])
			probe_clear(&n.probes[v6]);
	}
	capture_free(n.capture);
	if (n.json_fd != -1)
		close(n.json_fd);
	relays_free(n.relays);
	relay_nodes_clear(&n.relay_nodes);
	loop_free(n.loop);
	natprobe_conf_clear(&n.conf);
	return status;
}

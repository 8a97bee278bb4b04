/* main: wires options, servers, and what is to be done with them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/run.h"
#include "probes/natprobe/views/views.h"
#include "run/version.h"

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

/* Without any server named, the network which this host is in has some. */
static int
read_map(struct natprobe *n, char *error)
{
	const struct natprobe_conf *c = &n->conf;
	char why[NATPROBE_ERROR_MAX];

	if (*c->map != '\0')
		return (n->map = derpmap_load(c->map, error)) == NULL ? -1 : 0;
	if (c->stun.n > 0 || c->relay.n > 0)
		return 0;
	if ((n->map = derpmap_ask(c->tailscaled, why)) != NULL)
		return 0;
	snprintf(error, NATPROBE_ERROR_MAX,
	    "no server: give -stun HOST[:PORT], -map FILE or -relay URL; "
	    "and this host's tailscaled tells no relay map: %.300s",
	    why);
	return -1;
}

/* What an option names is looked at: files, addresses, servers. */
static int
prepare(struct natprobe *n, char *error)
{
	const struct natprobe_conf *c = &n->conf;

	if (*c->second_address != '\0' &&
	    !addr_parse(&n->second, c->second_address, 0)) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "second-address \"%.64s\" is no IP address",
		    c->second_address);
		return -1;
	}
	if ((!c->dry && open_capture(n, error) == -1) ||
	    !path_conf_check(c, error) || read_map(n, error) == -1 ||
	    targets_read(&n->targets, c, n->map, error) == -1 ||
	    relay_nodes_read(&n->relay_nodes, c, n->map, error) == -1)
		return -1;
	if (!targets_wanted(&n->targets) && n->relay_nodes.n == 0) {
		snprintf(error, NATPROBE_ERROR_MAX,
		    "no server in %.200s: give -stun HOST[:PORT] or -relay URL",
		    *c->map == '\0' ? "tailscaled's map" : c->map);
		return -1;
	}
	return pair_check(c, &n->relay_nodes, error) ? 0 : -1;
}

static int
run(struct natprobe *n)
{
	char error[NATPROBE_ERROR_MAX];

	n->pacer = pacer_new((unsigned)n->conf.rate, NATPROBE_RATE);
	if (n->conf.version) {
		printf("natprobe %s\n", campusnet_version);
		return 0;
	}
	if (*n->conf.replay != '\0')
		return run_replay(n);
	if (prepare(n, error) == -1) {
		fprintf(stderr, "natprobe: %s\n", error);
		return STATUS_USAGE;
	}
	if (n->conf.dry)
		return run_dry(n);
	if (pair_wanted(&n->conf))
		return run_pair(n);
	return run_send(n);
}

static int
read_and_run(struct natprobe *n, int argc, char **argv)
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
	return run(n);
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
	status = read_and_run(&n, argc, argv);
	gateways_free(n.gateways);
	path_run_free(n.path);
	for (int v6 = 0; v6 < 2; v6++) {
		net_free(n.nets[v6]);
		tcp_net_free(n.tcps[v6]);
		if (n.used[v6])
			probe_clear(&n.probes[v6]);
	}
	capture_free(n.capture);
	replay_clear(&n.replay);
	relays_free(n.relays);
	json_decref(n.map);
	relay_nodes_clear(&n.relay_nodes);
	targets_clear(&n.targets);
	timer_free(n.timer);
	loop_free(n.loop);
	natprobe_conf_clear(&n.conf);
	return status;
}

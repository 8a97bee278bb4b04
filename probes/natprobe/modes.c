/* modes: what natprobe does instead of a run: a replay, a meeting, or saying
 * what would be sent. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "probes/natprobe/run.h"

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

int
run_replay(struct natprobe *n)
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
	if (run_output(n) == -1)
		return STATUS_USAGE;
	return run_tell(n, replay_ended_s(r));
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
int
run_pair(struct natprobe *n)
{
	json_t *result;
	int status, failed = 0;

	signal(SIGPIPE, SIG_IGN);
	if (run_output(n) == -1 || look_up_names(n) == -1)
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

int
run_dry(struct natprobe *n)
{
	struct gateway_options g = run_gateway_options(n);
	bool asked[2];
	struct probe_options o;

	if (look_up_names(n) == -1)
		return STATUS_USAGE;
	if (pair_wanted(&n->conf)) {
		pair_dry_print(&n->conf, &n->targets, &n->relay_nodes, stdout);
		return 0;
	}
	for (int v6 = 0; v6 < 2; v6++)
		if ((asked[v6] = run_wants(n, v6))) {
			o = run_options(n, v6);
			dry_print(&n->targets, v6, &o, stdout);
			gateway_dry_print(&g, v6, &n->targets.v[v6][0], stdout);
			o = run_tcp_options(n, v6);
			if (n->conf.tcp)
				tcp_dry_print(&n->targets, &o, stdout);
		}
	relay_dry_print(&n->relay_nodes, n->conf.family, stdout);
	if (*n->conf.capture != '\0')
		printf("all packets of its sockets would be written to %s\n",
		    n->conf.capture);
	path_dry_print(&n->conf, &n->targets, &n->relay_nodes, asked, stdout);
	printf("all of it: at most %u packets, %u a second, within %lld s\n",
	    run_packets(n), n->pacer.rate,
	    (long long)((run_longest_us(n) + 999999) / 1000000));
	return 0;
}

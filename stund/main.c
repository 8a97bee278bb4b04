/* main: wires flags, sockets, privileges and the loop together. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "run/log.h"
#include "run/loop.h"
#include "run/privdrop.h"
#include "run/sandbox.h"
#include "run/version.h"
#include "stund/stund.h"

/* Exit statuses: 1 for the system's faults, 2 for usage and configuration. */
enum { STATUS_SYSTEM = 1, STATUS_USAGE = 2 };

static void
on_stop(void *arg)
{
	struct stund *env = arg;

	privdrop_notify("STOPPING=1");
	log_info("stopping");
	loop_stop(env->loop);
}

static void
on_hangup(void *arg)
{
	policy_reload(arg);
}

static int
open_metrics(struct stund *env, char error[static STUND_ERROR_MAX])
{
	char text[ADDR_TEXT_MAX];

	if (env->conf.metrics.len == 0)
		return 0;
	env->metrics =
	    metrics_serve(env->loop, &env->conf.metrics, page_render, env);
	if (env->metrics != NULL)
		return 0;
	snprintf(error, STUND_ERROR_MAX, "metrics %s: %s",
	    addr_text(&env->conf.metrics, text), strerror(errno));
	return -1;
}

static int
open_workers(struct stund *env, char error[static STUND_ERROR_MAX])
{
	env->n_workers = (unsigned)env->conf.workers;
	if (places_init(&env->places, &env->conf) == -1 ||
	    limits_init(&env->limits) == -1 ||
	    policy_publish(env, &env->conf) == -1) {
		snprintf(error, STUND_ERROR_MAX, "out of memory");
		return -1;
	}
	for (unsigned i = 0; i < env->n_workers; i++)
		if ((env->workers[i] = worker_new(env, i, error)) == NULL)
			return -1;
	places_settle(&env->places);
	return 0;
}

/* All that needs privileges, then none; the network is read after this. */
static int
open_all(struct stund *env, char error[static STUND_ERROR_MAX])
{
	if (open_workers(env, error) == -1 || open_metrics(env, error) == -1)
		return -1;
	if (privdrop(env->conf.user, error) == -1)
		return -1;
	if (env->conf.sandbox)
		sandbox_enter(SANDBOX_NETWORK);
	return 0;
}

static void
report_ready(const struct stund *env)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < env->places.n; i++)
		for (int role = 0; role < STUNSRV_ROLES; role++)
			if (env->places.v[i].at[role].len > 0)
				log_info("listening udp %s",
				    addr_text(
					&env->places.v[i].at[role], text));
	if (env->metrics != NULL)
		log_info("listening metrics http://%s/metrics",
		    addr_text(&env->conf.metrics, text));
	privdrop_notify("READY=1");
}

static int
serve(struct stund *env)
{
	char error[STUND_ERROR_MAX];

	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() == -1 || (env->loop = loop_new()) == NULL ||
	    loop_on_signal(env->loop, SIGTERM, on_stop, env) == -1 ||
	    loop_on_signal(env->loop, SIGINT, on_stop, env) == -1 ||
	    loop_on_signal(env->loop, SIGHUP, on_hangup, env) == -1) {
		fprintf(stderr, "stund: event loop: %s\n", strerror(errno));
		return STATUS_SYSTEM;
	}
	if (open_all(env, error) == -1) {
		fprintf(stderr, "stund: %s\n", error);
		return STATUS_USAGE;
	}
	for (unsigned i = 0; i < env->n_workers; i++)
		if (worker_start(env->workers[i]) == -1)
			fatal("worker %u: thread", i);
	report_ready(env);
	loop_run(env->loop);
	return 0;
}

static int
run(struct stund *env)
{
	char error[STUND_ERROR_MAX];

	switch (stund_conf_read(&env->conf, env->argc, env->argv, error)) {
	case CONF_HELP:
		stund_conf_usage();
		return 0;
	case CONF_BAD:
		fprintf(stderr, "stund: %s\n", error);
		return STATUS_USAGE;
	case CONF_OK:
		break;
	}
	if (env->conf.version)
		printf("stund %s\n", campusnet_version);
	else if (env->conf.check) {
		/* What is printed is a file to serve with. */
		env->conf.check = false;
		stund_conf_print(&env->conf);
	} else {
		log_init("stund", (enum log_level)env->conf.log);
		return serve(env);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct stund env;
	int status;

	env.argc = argc;
	env.argv = argv;
	status = run(&env);
	/* All of them, before the first goes. */
	for (unsigned i = 0; i < env.n_workers && env.workers[i] != NULL; i++)
		worker_stop(env.workers[i]);
	metrics_server_free(env.metrics);
	for (unsigned i = 0; i < env.n_workers; i++)
		worker_free(env.workers[i]);
	places_clear(&env.places);
	limits_clear(&env.limits);
	policy_free(atomic_load(&env.policy));
	loop_free(env.loop);
	stund_conf_clear(&env.conf);
	return status;
}

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
#include "run/tls.h"
#include "run/version.h"
#include "stund/check_edge.h"
#include "stund/partner.h"
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

static bool
serves_streams(const struct stund *env)
{
	return env->conf.tcp || env->conf.tls_listen.n > 0;
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
	streams_limit(&env->streams, &env->conf, privdrop_raise_files());
	if (secure_publish(env, &env->conf, error) == -1)
		return -1;
	for (unsigned i = 0; i < env->n_workers; i++)
		if ((env->workers[env->n_threads++] =
			    worker_new(env, i, error)) == NULL)
			return -1;
	for (unsigned i = 0; i < env->n_workers && serves_streams(env); i++)
		if ((env->workers[env->n_threads++] =
			    worker_new_for_streams(env, i, error)) == NULL)
			return -1;
	places_settle(&env->places);
	return 0;
}

static int
open_partner(struct stund *env, char error[static STUND_ERROR_MAX])
{
	struct key k;

	if (env->conf.partner.len == 0)
		return 0;
	if (partner_key_read(
		&k, env->conf.partner_key, error, STUND_ERROR_MAX) == 0)
		env->partner = partner_new(env, &k, error, STUND_ERROR_MAX);
	sodium_memzero(&k, sizeof(k));
	return env->partner == NULL ? -1 : 0;
}

/* All that needs privileges, then none; the network is read after this. */
static int
open_all(struct stund *env, char error[static STUND_ERROR_MAX])
{
	if (open_workers(env, error) == -1 || open_partner(env, error) == -1 ||
	    open_metrics(env, error) == -1)
		return -1;
	if (privdrop(env->conf.user, error) == -1)
		return -1;
	if (env->conf.sandbox)
		sandbox_enter(SANDBOX_NETWORK);
	return 0;
}

static void
report_place(const struct stund_place *place, bool tcp)
{
	char text[ADDR_TEXT_MAX];

	for (int role = 0; role < STUNSRV_ROLES; role++) {
		if (place->at[role].len == 0)
			continue;
		addr_text(&place->at[role], text);
		if (!place->tls)
			log_info("listening udp %s", text);
		if (!place->tls && tcp)
			log_info("listening tcp %s", text);
		if (place->tls)
			log_info("listening tls %s", text);
	}
}

static void
report_ready(const struct stund *env)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < env->places.n; i++)
		report_place(&env->places.v[i], env->conf.tcp);
	if (env->partner != NULL)
		log_info("listening partner %s",
		    addr_text(partner_address(env->partner), text));
	if (env->metrics != NULL)
		log_info("listening metrics http://%s/metrics",
		    addr_text(metrics_server_addr(env->metrics), text));
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
	for (unsigned i = 0; i < env->n_threads; i++)
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
	} else if (env->conf.check_uri[0] != '\0')
		return check_run(env->conf.check_uri);
	else {
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
	for (unsigned i = 0; i < env.n_threads && env.workers[i] != NULL; i++)
		worker_stop(env.workers[i]);
	metrics_server_free(env.metrics);
	partner_free(env.partner);
	for (unsigned i = 0; i < env.n_threads; i++)
		worker_free(env.workers[i]);
	tls_context_free(atomic_load(&env.tls));
	places_clear(&env.places);
	limits_clear(&env.limits);
	policy_free(atomic_load(&env.policy));
	loop_free(env.loop);
	stund_conf_clear(&env.conf);
	return status;
}

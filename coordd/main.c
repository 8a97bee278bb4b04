/*
 * main: wires coordd: options, listeners, then root is given up; then the
 * state, and only then clients are let in. Nothing before that reads a byte
 * from the network.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "coordd/control.h"
#include "coordd/listen.h"
#include "coordd/login.h"
#include "coordd/mapper.h"
#include "coordd/relays.h"
#include "run/file.h"
#include "run/io.h"
#include "run/memory.h"
#include "run/privdrop.h"
#include "run/sandbox.h"
#include "run/tls.h"
#include "run/version.h"

/* Exit statuses: 1 for the system's faults, 2 for usage and configuration. */
enum { STATUS_SYSTEM = 1, STATUS_USAGE = 2 };

#define SECOND_US INT64_C(1000000)

/* Ephemeral nodes deleted in one tick. */
#define EPHEMERAL_BATCH 20

/* What the last words to clients may take. */
#define FAREWELL_US (SECOND_US / 4)

struct program {
	struct coordd c;
	struct coordd_conf conf;
	struct timer *tick, *farewell;
	bool stopping;
};

int64_t
coordd_time(void)
{
	return (int64_t)time(NULL);
}

/* ---- the state folder ---- */

/* Database, lock, token, and what is left of them half made. */
static bool
is_ours(const char *name)
{
	return strncmp(name, "coordd.", 7) == 0 ||
	    strncmp(name, "admin.token", 11) == 0 ||
	    strncmp(name, "backup.part", 11) == 0;
}

/* A folder that is another's, such as /etc, is not given away. */
static bool
is_own_folder(DIR *d, const struct passwd *pw)
{
	struct dirent *e;
	struct stat st;

	if (fstat(dirfd(d), &st) == 0 && st.st_uid == pw->pw_uid)
		return true;
	while ((e = readdir(d)) != NULL)
		if (!is_ours(e->d_name) && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			return false;
	rewinddir(d);
	return true;
}

/* What root made or brought back belongs to who serves from now on. */
static int
give_files(DIR *d, const struct passwd *pw)
{
	struct dirent *e;
	int r = 0;

	while (r == 0 && (e = readdir(d)) != NULL)
		if (e->d_type == DT_REG && is_ours(e->d_name))
			r = fchownat(dirfd(d), e->d_name, pw->pw_uid,
			    pw->pw_gid, AT_SYMLINK_NOFOLLOW);
	return r == 0 ? fchown(dirfd(d), pw->pw_uid, pw->pw_gid) : -1;
}

static int
make_state(const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX])
{
	const struct passwd *pw = getpwnam(conf->user);
	const char *why = NULL;
	DIR *d = NULL;

	if (file_make_dir(conf->state) == -1)
		why = strerror(errno);
	else if (geteuid() == 0 && pw != NULL && pw->pw_uid != 0) {
		if ((d = opendir(conf->state)) == NULL)
			why = strerror(errno);
		else if (!is_own_folder(d, pw))
			why = "holds files of others; want a folder of its own";
		else if (give_files(d, pw) == -1)
			why = strerror(errno);
	}
	if (d != NULL)
		closedir(d);
	if (why == NULL)
		return 0;
	snprintf(error, COORDD_ERROR_MAX, "state %.300s: %s", conf->state, why);
	return -1;
}

/* A secret of 32 bytes, made at the first start. */
static int
load_secret(
    struct coordd *c, const char *name, struct key *k, bool clamp, char *error)
{
	void *value = NULL;
	long n = store_get(c->store, name, &value);
	int r = 0;

	if (n == KEY_LEN)
		memcpy(k->b, value, KEY_LEN);
	else if (n == -1 && store_error(c->store)[0] == '\0') {
		randombytes_buf(k->b, KEY_LEN);
		if (clamp)
			key_clamp(k);
		r = store_set(c->store, name, k->b, KEY_LEN);
	} else
		r = -1;
	if (r == -1 && n >= 0)
		snprintf(error, COORDD_ERROR_MAX,
		    "state %.300s: %s: %ld bytes; "
		    "want 32",
		    c->conf->state, name, n);
	else if (r == -1)
		snprintf(error, COORDD_ERROR_MAX, "%s", store_error(c->store));
	free(value);
	return r;
}

static int
load_cursor(struct coordd *c)
{
	void *value = NULL;
	char text[16] = "";
	long n = store_get(c->store, "address-cursor", &value);

	if (n == -1)
		return store_error(c->store)[0] == '\0' ? 0 : -1;
	if (n < (long)sizeof(text))
		memcpy(text, value, (size_t)n);
	c->address_cursor = (uint32_t)strtoul(text, NULL, 10);
	free(value);
	return 0;
}

static int
load_state(struct coordd *c, char error[static COORDD_ERROR_MAX])
{
	const struct ops_who who = {"start"};
	struct ops_result r;

	c->store = store_open(c->conf->state, error);
	if (c->store == NULL ||
	    load_secret(c, "noise-key", &c->priv, true, error) == -1 ||
	    load_secret(c, "hash-key", &c->hash_key, false, error) == -1)
		return -1;
	clock_begin(c);
	key_public(&c->pub, &c->priv);
	if (load_cursor(c) == -1 || store_load(c->store, &c->model) == -1) {
		snprintf(error, COORDD_ERROR_MAX, "%s", store_error(c->store));
		return -1;
	}
	if (!ops_policy_load(c, &who, &r)) {
		snprintf(error, COORDD_ERROR_MAX, "%s", r.error);
		return -1;
	}
	return 0;
}

static int
start_mapper(struct coordd *c)
{
	struct node *n;

	if ((c->mapper = mapper_new(c)) == NULL)
		return -1;
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (!mapper_node_added(c, n))
			return -1;
	return 0;
}

/* ---- signals and time ---- */

static void
on_farewell(void *arg)
{
	struct program *p = arg;

	loop_stop(p->c.loop);
}

static void
on_stop(void *arg)
{
	struct program *p = arg;

	if (p->stopping)
		return;
	p->stopping = true;
	privdrop_notify("STOPPING=1");
	log_info("stopping: clients are told to come again");
	listeners_stop(p->c.listeners);
	mapper_save(&p->c);
	controls_stop(p->c.controls);
	timer_set(p->farewell, mono_add_us(loop_now(p->c.loop), FAREWELL_US));
}

static void
reload_relays(struct coordd *c)
{
	char error[COORDD_ERROR_MAX];
	char *map = relays_map(c->conf, error);

	if (map == NULL) {
		log_warnx("SIGHUP: the old relay map stays: %s", error);
		return;
	}
	if (strcmp(map, c->derp_map) == 0) {
		free(map);
		return;
	}
	free(c->derp_map);
	c->derp_map = map;
	mapper_relays_changed(c);
	log_info("SIGHUP: clients get a new relay map");
}

static struct tls_context *
load_tls(const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX])
{
	struct tls_conf tls = {
	    .cert_file = conf->tls_cert, .key_file = conf->tls_key};
	char why[TLS_ERROR_MAX];
	struct tls_context *t = tls_context_new(&tls, why);

	if (t == NULL)
		snprintf(error, COORDD_ERROR_MAX, "tls-cert: %s", why);
	return t;
}

static void
reload_tls(struct coordd *c)
{
	char error[COORDD_ERROR_MAX];
	struct tls_context *t;

	if (c->tls == NULL)
		return;
	if ((t = load_tls(c->conf, error)) == NULL) {
		log_warnx("SIGHUP: the old certificate stays: %s", error);
		return;
	}
	/* Open connections still use the old one. */
	tls_context_keep(t, c->tls);
	c->tls = t;
}

static void
on_hangup(void *arg)
{
	struct program *p = arg;
	const struct ops_who who = {"SIGHUP"};
	struct ops_result r;

	reload_tls(&p->c);
	reload_relays(&p->c);
	if (!ops_policy_load(&p->c, &who, &r))
		log_warnx("SIGHUP: the old policy stays: %s", r.error);
}

/* Each waits for the disk: a thousand that went away together take turns, and
 * a disk that is full is asked once a second. */
static void
delete_ephemeral(struct coordd *c)
{
	static const struct ops_who who = {"ephemeral timeout"};
	struct mono now = loop_now(c->loop), away;
	struct ops_result r;
	struct node *n;
	int left = EPHEMERAL_BATCH;

	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		away = mapper_away_since(n);
		if (!n->ephemeral || !mono_is_set(away) ||
		    mono_diff_us(away, now) < c->conf->ephemeral_us)
			continue;
		if (left-- == 0 || !ops_node_delete(c, &who, n, &r))
			return;
	}
}

static void
on_tick(void *arg)
{
	struct program *p = arg;
	struct coordd *c = &p->c;

	clock_tick(c);
	mapper_tick(c);
	controls_tick(c->controls);
	listeners_tick(c->listeners);
	logins_tick(c->logins);
	delete_ephemeral(c);
	timer_set(p->tick, mono_add_us(loop_now(c->loop), SECOND_US));
}

static void
on_turn(void *arg)
{
	struct program *p = arg;

	controls_turn(p->c.controls);
	listeners_turn(p->c.listeners);
}

/* ---- start ---- */

/* Where clients find us, if nobody said: the first plain listener. */
static int
default_url(struct coordd *c, struct coordd_conf *conf)
{
	char text[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 16];
	bool tls;
	struct addr a = *listeners_at(c->listeners, 0, &tls);
	uint16_t port = addr_port(&a);

	if (conf->url[0] != '\0')
		return 0;
	if (addr_is_any(&a)) {
		addr_of_host(&a);
		addr_set_port(&a, port);
	}
	snprintf(url, sizeof(url), "%s://%s", tls ? "https" : "http",
	    addr_text(&a, text));
	free(conf->url);
	return (conf->url = strdup(url)) == NULL ? -1 : 0;
}

/* Everything that needs root, then none. */
static int
open_all(struct program *p, char error[static COORDD_ERROR_MAX])
{
	struct coordd *c = &p->c;
	char text[ADDR_TEXT_MAX];

	if ((c->controls = controls_new(c)) == NULL ||
	    (c->logins = logins_new(c)) == NULL) {
		snprintf(error, COORDD_ERROR_MAX, "out of memory");
		return -1;
	}
	if ((p->conf.tls_listen.n > 0 &&
		(c->tls = load_tls(c->conf, error)) == NULL) ||
	    (c->derp_map = relays_map(c->conf, error)) == NULL ||
	    (c->dns_config = relays_dns(c->conf, error)) == NULL ||
	    (c->listeners = listeners_new(c, error)) == NULL ||
	    make_state(c->conf, error) == -1 ||
	    (c->admin = admin_new(c, error)) == NULL)
		return -1;
	if (c->conf->metrics.len != 0 &&
	    (c->metrics = metrics_serve(
		 c->loop, &c->conf->metrics, stats_render, c)) == NULL) {
		snprintf(error, COORDD_ERROR_MAX, "metrics %s: %s",
		    addr_text(&c->conf->metrics, text), strerror(errno));
		return -1;
	}
	if (default_url(c, &p->conf) == -1) {
		snprintf(error, COORDD_ERROR_MAX, "out of memory");
		return -1;
	}
	privdrop_raise_files();
	return privdrop(c->conf->user, error);
}

static void
report_ready(const struct coordd *c)
{
	char text[ADDR_TEXT_MAX], key[KEY_TEXT_MAX];
	const struct addr *a;
	bool tls;

	for (size_t i = 0; (a = listeners_at(c->listeners, i, &tls)) != NULL;
	     i++)
		log_info("listening on %s/tcp (%s)", addr_text(a, text),
		    tls ? "tls-listen" : "listen");
	if (relays_count(c->derp_map) == 0)
		log_warnx("there is no relay: clients do not come up without "
			  "one; give -derp-map or -relay");
	log_info("coordinator %s ready at %s, %zu nodes",
	    key_text(&c->pub, KEY_MACHINE, key), c->conf->url, c->model.nnodes);
	privdrop_notify("READY=1");
}

static int
open_loop(struct program *p)
{
	struct coordd *c = &p->c;

	signal(SIGPIPE, SIG_IGN);
	if ((c->loop = loop_new()) == NULL ||
	    loop_on_signal(c->loop, SIGTERM, on_stop, p) == -1 ||
	    loop_on_signal(c->loop, SIGINT, on_stop, p) == -1 ||
	    loop_on_signal(c->loop, SIGHUP, on_hangup, p) == -1 ||
	    (c->io = io_env_new(c->loop)) == NULL ||
	    (p->tick = timer_new(c->loop, on_tick, p)) == NULL ||
	    (p->farewell = timer_new(c->loop, on_farewell, p)) == NULL)
		return -1;
	return 0;
}

static int
serve(struct program *p)
{
	struct coordd *c = &p->c;
	char error[COORDD_ERROR_MAX];

	memory_begin();
	c->conf = &p->conf;
	c->started = coordd_time();
	c->log_refused.limit = limit_new(SECOND_US, 20);
	randombytes_buf(c->hash_seed, sizeof(c->hash_seed));
	model_init(&c->model, c->hash_seed);
	if (open_loop(p) == -1) {
		fprintf(stderr, "coordd: event loop: %s\n", strerror(errno));
		return STATUS_SYSTEM;
	}
	if (open_all(p, error) == -1 || load_state(c, error) == -1) {
		fprintf(stderr, "coordd: %s\n", error);
		return STATUS_USAGE;
	}
	if (start_mapper(c) == -1 || !listeners_start(c->listeners)) {
		fprintf(stderr, "coordd: out of memory\n");
		return STATUS_SYSTEM;
	}
	loop_on_turn(c->loop, on_turn, p);
	timer_set(p->tick, loop_now(c->loop));
	if (c->conf->sandbox) {
		/* A provider that openssl.cnf names cannot be loaded later. */
		OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
		sandbox_enter(SANDBOX_DATABASE);
	}
	memory_started();
	report_ready(c);
	loop_run(c->loop);
	return 0;
}

static void
clear(struct program *p)
{
	struct coordd *c = &p->c;

	metrics_server_free(c->metrics);
	admin_free(c->admin);
	if (c->mapper != NULL)
		mapper_save(c);
	if (c->controls != NULL)
		controls_free(c->controls);
	listeners_free(c->listeners);
	logins_free(c->logins);
	mapper_free(c->mapper);
	policy_free(c->policy);
	model_clear(&c->model);
	store_close(c->store);
	tls_context_free(c->tls);
	free(c->derp_map);
	free(c->dns_config);
	timer_free(p->tick);
	timer_free(p->farewell);
	io_env_free(c->io);
	loop_free(c->loop);
	sodium_memzero(&c->priv, sizeof(c->priv));
	sodium_memzero(&c->hash_key, sizeof(c->hash_key));
	coordd_conf_clear(&p->conf);
}

/* ---- the program ---- */

static int
offline(const struct coordd_conf *conf)
{
	char error[STORE_ERROR_MAX];

	if (conf->verify[0] != '\0') {
		if (store_verify(conf->verify, error)) {
			printf("%s: sound\n", conf->verify);
			return 0;
		}
	} else if (store_restore(conf->state, conf->restore, error) == 0) {
		printf("%s: restored to %s\n", conf->restore, conf->state);
		return 0;
	}
	fprintf(stderr, "coordd: %s\n", error);
	return STATUS_SYSTEM;
}

static int
run(struct program *p, int argc, char **argv)
{
	struct coordd_conf *conf = &p->conf;
	char error[COORDD_ERROR_MAX];

	if (sodium_init() == -1) {
		fprintf(stderr, "coordd: libsodium does not work here\n");
		return STATUS_SYSTEM;
	}
	switch (coordd_conf_read(conf, argc, argv, error)) {
	case CONF_HELP:
		coordd_conf_usage();
		return 0;
	case CONF_BAD:
		fprintf(stderr, "coordd: %s\n", error);
		return STATUS_USAGE;
	case CONF_OK:
		break;
	}
	if (conf->version)
		printf("coordd %s\n", campusnet_version);
	else if (conf->check) {
		if (!coordd_check(conf, error)) {
			fprintf(stderr, "coordd: %s\n", error);
			return STATUS_USAGE;
		}
		/* What is printed is a file to serve with. */
		conf->check = false;
		coordd_conf_print(conf);
	} else {
		log_init("coordd", (enum log_level)conf->log);
		if (conf->verify[0] != '\0' || conf->restore[0] != '\0')
			return offline(conf);
		return serve(p);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct program p;
	int status = run(&p, argc, argv);

	clear(&p);
	return status;
}

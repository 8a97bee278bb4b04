/*
 * main: wires the relay: options, key, certificate, sockets; then gives up
 * root and the system calls that it does not need; then threads. Nothing
 * before that parses network bytes. The main thread keeps the signals and
 * STUN.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509.h>
#include <sodium.h>

#include "relayd/relayd.h"
#include "run/file.h"
#include "run/privdrop.h"
#include "run/sandbox.h"

struct sockets {
	int tcp[WORKERS_MAX][LISTENERS_MAX];
	unsigned ntcp;
	int stun; /* -1: none */
	/* Where they are; with port 0 the kernel has chosen. */
	struct addr tcp_at[LISTENERS_MAX], stun_at;
};

/* ---- identity ---- */

static void
load_key(struct relayd *relay)
{
	char error[512];

	if (relay->conf->dev) {
		randombytes_buf(relay->priv.b, KEY_LEN);
		key_clamp(&relay->priv);
	} else if (keyfile_load(&relay->priv, relay->conf->key_file, error,
		       sizeof(error)) == -1)
		refuse("%s", error);
	key_public(&relay->pub, &relay->priv);
}

static struct tls_context *
load_tls(const struct relayd *relay, const struct cert *cert, char *error)
{
	const char *hostname = relay->conf->hostname;
	struct addr a;
	struct tls_conf conf = {.cert_file = cert->crt,
	    .key_file = cert->key,
	    .last = cert_meta(&relay->pub),
	    .name = addr_parse(&a, hostname, 0) ? NULL : hostname};
	struct tls_context *tls = NULL;

	if (conf.last == NULL)
		snprintf(
		    error, TLS_ERROR_MAX, "meta certificate: %s", tls_error());
	else
		tls = tls_context_new(&conf, error);
	X509_free(conf.last);
	return tls;
}

static void
load_cert(struct relayd *relay, struct cert *cert)
{
	const struct relayd_conf *conf = relay->conf;
	char error[512];

	memset(cert, 0, sizeof(*cert));
	if (!conf->tls)
		return;
	if (cert_load(cert, conf->cert_dir, conf->hostname, true, error,
		sizeof(error)) == -1)
		refuse("%s", error);
	atomic_store(&relay->tls, load_tls(relay, cert, error));
	if (atomic_load(&relay->tls) == NULL)
		refuse("certificate: %s", error);
}

/* What clients must know: the node on standard output, the map in its file. */
static void
publish(const struct relayd_conf *conf, const struct cert *cert,
    const struct sockets *s)
{
	int stun_port =
	    s->stun == -1 ? (int)conf->stun_port : addr_port(&s->stun_at);
	char *node =
	    cert_node_json(conf, cert, addr_port(&s->tcp_at[0]), stun_port);
	char *map = node == NULL ? NULL : cert_map_json(node);
	const char *path = conf->derp_map;
	int r = 0;

	if (map == NULL)
		refuse("out of memory");
	if (conf->tls && cert->single) {
		printf("%s\n", node);
		fflush(stdout);
	}
	if (path[0] != '\0')
		r = file_replace(path, 0644, map, strlen(map));
	free(node);
	free(map);
	if (r == -1)
		refuse("flag -derp-map: %s: %s", path, strerror(errno));
}

/* ---- sockets ---- */

/* With SO_REUSEPORT a second relay could share the port unseen; a plain bind
 * first tells whether it is taken. */
static void
open_tcp(struct sockets *s, unsigned slot, const struct addr *want,
    unsigned workers, const char *flag)
{
	char text[ADDR_TEXT_MAX];
	struct addr a = *want;

	if (addr_tcp_is_free(&a) == -1)
		refuse("flag -%s: %s: %s", flag, addr_text(want, text),
		    strerror(errno));
	for (unsigned i = 0; i < workers; i++) {
		s->tcp[i][slot] = addr_listen_tcp(&a, true);
		if (s->tcp[i][slot] == -1)
			refuse("flag -%s: %s: %s", flag, addr_text(&a, text),
			    strerror(errno));
	}
	s->tcp_at[slot] = a;
}

static void
open_sockets(struct relayd *relay, struct sockets *s)
{
	const struct relayd_conf *conf = relay->conf;
	struct addr a = conf->listen;
	char text[ADDR_TEXT_MAX];

	s->stun = -1;
	s->ntcp = 1;
	open_tcp(s, 0, &a, relay->nworkers, "a");
	if (conf->tls && conf->http_port >= 0) {
		addr_set_port(&a, (uint16_t)conf->http_port);
		open_tcp(s, s->ntcp++, &a, relay->nworkers, "http-port");
	}
	if (!conf->stun || conf->stun_port < 0)
		return;
	addr_set_port(&a, (uint16_t)conf->stun_port);
	if ((s->stun = addr_bind_udp(&a, false)) == -1)
		refuse("flag -stun-port: %s: %s", addr_text(&a, text),
		    strerror(errno));
	s->stun_at = a;
}

/* ---- signals ---- */

static void
on_stop(void *arg)
{
	loop_stop(arg);
}

/* A new certificate for new connections; the old one stays if it is bad. */
static void
on_reload(void *arg)
{
	struct relayd *relay = arg;
	struct tls_context *tls;
	struct cert cert;
	char error[512];

	if (!relay->conf->tls)
		return;
	if (cert_load(&cert, relay->conf->cert_dir, relay->conf->hostname,
		false, error, sizeof(error)) == -1 ||
	    (tls = load_tls(relay, &cert, error)) == NULL) {
		log_warnx("SIGHUP: the old certificate stays: %s", error);
		return;
	}
	tls_context_keep(tls, atomic_load(&relay->tls));
	atomic_store(&relay->tls, tls);
	log_info("SIGHUP: new connections get the certificate with pin "
		 "sha256-raw:%s",
	    cert.pin);
}

/* ---- the program ---- */

static void
start(struct relayd *relay, const struct sockets *s)
{
	const struct relayd_conf *conf = relay->conf;
	char text[KEY_TEXT_MAX], at[ADDR_TEXT_MAX];

	relay->pages = (struct page_conf){conf->derp, conf->home};
	relay->limits = (struct queue_limits){(uint32_t)conf->queue_packets,
	    (size_t)conf->queue_bytes, conf->queue_age_us};
	relay->shared.started = (int64_t)time(NULL);
	for (unsigned i = 0; i < relay->nworkers; i++)
		if ((relay->workers[i] =
			    worker_new(relay, i, s->tcp[i], s->ntcp)) == NULL)
			fatal("worker %u", i);
	for (unsigned i = 0; i < relay->nworkers; i++)
		if (worker_start(relay->workers[i]) == -1)
			fatal("worker %u: thread", i);
	for (unsigned i = 0; i < s->ntcp; i++)
		log_info("listening on %s/tcp (%s)",
		    addr_text(&s->tcp_at[i], at), i == 0 ? "a" : "http-port");
	if (s->stun != -1)
		log_info("listening on %s/udp (stun-port)",
		    addr_text(&s->stun_at, at));
	log_info("relay %s ready, %u worker%s",
	    key_text(&relay->pub, KEY_NODE, text), relay->nworkers,
	    relay->nworkers == 1 ? "" : "s");
	privdrop_notify("READY=1");
}

static void
stop(struct relayd *relay)
{
	privdrop_notify("STOPPING=1");
	for (unsigned i = 0; i < relay->nworkers; i++)
		worker_stop(relay->workers[i]);
	for (unsigned i = 0; i < relay->nworkers; i++)
		worker_free(relay->workers[i]);
	tls_context_free(atomic_load(&relay->tls));
	sodium_memzero(&relay->priv, sizeof(relay->priv));
}

int
main(int argc, char **argv)
{
	static struct relayd relay;
	struct relayd_conf conf;
	struct sockets sockets;
	struct cert cert;
	struct stun_service *stun = NULL;
	struct loop *loop;
	char error[PRIVDROP_ERROR_MAX];

	conf_read(&conf, argc, argv);
	log_init("relayd", (enum log_level)conf.log_level);
	if (sodium_init() == -1)
		refuse("libsodium does not work here");
	relay.conf = &conf;
	relay.nworkers = (unsigned)conf.workers;
	if (access_init(&relay.access, error, sizeof(error)) == -1)
		refuse("%s", error);
	/* First of all: a signal that comes while the rest starts is kept. */
	signal(SIGPIPE, SIG_IGN);
	if ((loop = loop_new()) == NULL ||
	    loop_on_signal(loop, SIGINT, on_stop, loop) == -1 ||
	    loop_on_signal(loop, SIGTERM, on_stop, loop) == -1 ||
	    loop_on_signal(loop, SIGHUP, on_reload, &relay) == -1)
		fatal("event loop");
	load_key(&relay);
	load_cert(&relay, &cert);
	open_sockets(&relay, &sockets);
	publish(&conf, &cert, &sockets);
	privdrop_raise_files();
	if (privdrop(conf.user, error) == -1)
		refuse("%s", error);
	if (conf.sandbox)
		sandbox_enter(SANDBOX_NETWORK);
	if (sockets.stun != -1 &&
	    (stun = stun_service_new(loop, sockets.stun, &relay.shared)) ==
		NULL)
		fatal("STUN");
	start(&relay, &sockets);
	loop_run(loop);
	log_info("stopping");
	stop(&relay);
	stun_service_free(stun);
	loop_free(loop);
	conf_free(&conf);
	return 0;
}

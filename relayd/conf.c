/*
 * conf: relayd's options. Words and defaults are derper's (cmd/derper), so
 * that a site replaces the binary and nothing else; after them relayd's own.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relayd/relayd.h"
#include "run/version.h"

#define AT(field) offsetof(struct relayd_conf, field)
#define SECOND_US INT64_C(1000000)
#define DAY_US	  (86400 * SECOND_US)

/* clang-format off */
static const struct conf_option options[] = {
	/* derper's */
	{"a", CONF_ADDR, AT(listen), ":443", 0, 0, NULL,
	    "[IP]:PORT: listen here; TLS if the port is 443 or -certmode is "
	    "manual"},
	{"http-port", CONF_INT, AT(http_port), "80", -1, 65535, NULL,
	    "PORT: plain HTTP beside TLS; -1 for none"},
	{"stun-port", CONF_INT, AT(stun_port), "3478", -1, 65535, NULL,
	    "PORT: UDP port for STUN, also named in the DERP map"},
	{"stun", CONF_BOOL, AT(stun), "true", 0, 0, NULL,
	    "answer STUN on -stun-port"},
	{"derp", CONF_BOOL, AT(derp), "true", 0, 0, NULL,
	    "relay packets"},
	{"c", CONF_STRING, AT(key_file), "", 0, 0, NULL,
	    "FILE: the relay's private key, made if missing (default as root "
	    "/var/lib/derper/derper.key)"},
	{"certmode", CONF_CHOICE, AT(cert_mode), "letsencrypt", 0, 0,
	    "letsencrypt|manual|gcp",
	    "MODE: where certificates come from; only manual is supported"},
	{"certdir", CONF_STRING, AT(cert_dir), "", 0, 0, NULL,
	    "DIR: HOSTNAME.crt and HOSTNAME.key (default "
	    "~/.cache/tailscale/derper-certs)"},
	{"hostname", CONF_STRING, AT(hostname), "derp.tailscale.com", 0, 0,
	    NULL, "NAME: name or IP address that clients use"},
	{"home", CONF_STRING, AT(home), "", 0, 0, NULL,
	    "WHAT: the page at /: empty for a text, blank, or a URL to send "
	    "browsers to"},
	{"dev", CONF_BOOL, AT(dev), "false", 0, 0, NULL,
	    "listen on :3340 with a key that is thrown away"},
	{"version", CONF_BOOL, AT(version), "false", 0, 0, NULL,
	    "print the version and exit"},
	{"accept-connection-limit", CONF_REAL, AT(accept_limit), "+Inf", 0, 0,
	    NULL, "N: connections accepted per second"},
	{"accept-connection-burst", CONF_INT, AT(accept_burst),
	    "9223372036854775807", 1, INT64_MAX, NULL,
	    "N: connections accepted at once"},
	{"tcp-keepalive-time", CONF_DURATION, AT(keepalive_us), "10m", 0,
	    DAY_US, NULL, "TIME: idle time before TCP keepalive; 0 for none"},
	{"tcp-user-timeout", CONF_DURATION, AT(user_timeout_us), "15s", 0,
	    DAY_US, NULL, "TIME: unacknowledged data ends a connection; 0 for "
	    "the system's own limit"},
	{"tcp-write-timeout", CONF_DURATION, AT(write_timeout_us), "2s", 0,
	    DAY_US, NULL, "TIME: a client that takes no data for this long is "
	    "closed; 0 for never"},
	{"verify-clients", CONF_BOOL, AT(verify_clients), "false", 0, 0, NULL,
	    "not supported"},
	{"verify-client-url", CONF_STRING, AT(verify_url), "", 0, 0, NULL,
	    "URL: not supported"},
	{"verify-client-url-fail-open", CONF_BOOL, AT(verify_fail_open),
	    "true", 0, 0, NULL, "taken; has no meaning without "
	    "-verify-client-url"},
	{"socket", CONF_STRING, AT(socket), "", 0, 0, NULL,
	    "PATH: taken; has no meaning without -verify-clients"},
	{"mesh-psk-file", CONF_STRING, AT(mesh_psk), "", 0, 0, NULL,
	    "FILE: not supported"},
	{"mesh-with", CONF_STRING, AT(mesh_with), "", 0, 0, NULL,
	    "HOSTS: not supported"},
	{"rate-config", CONF_STRING, AT(rate_config), "", 0, 0, NULL,
	    "FILE: not supported"},
	{"secrets-url", CONF_STRING, AT(secrets_url), "", 0, 0, NULL,
	    "URL: not supported"},
	{"secrets-path-prefix", CONF_STRING, AT(secrets_prefix), "prod/derp",
	    0, 0, NULL, "PREFIX: taken; has no meaning without -secrets-url"},
	{"secrets-cache-dir", CONF_STRING, AT(secrets_cache), "", 0, 0, NULL,
	    "DIR: taken; has no meaning without -secrets-url"},
	{"bootstrap-dns-names", CONF_STRING, AT(bootstrap), "", 0, 0, NULL,
	    "NAMES: not supported"},
	{"unpublished-bootstrap-dns-names", CONF_STRING, AT(bootstrap_hidden),
	    "", 0, 0, NULL, "NAMES: not supported"},
	{"acme-eab-kid", CONF_STRING, AT(eab_kid), "", 0, 0, NULL,
	    "ID: taken; has no meaning without -certmode gcp"},
	{"acme-eab-key", CONF_STRING, AT(eab_key), "", 0, 0, NULL,
	    "KEY: taken; has no meaning without -certmode gcp"},
	{"acme-email", CONF_STRING, AT(acme_email), "", 0, 0, NULL,
	    "ADDRESS: taken; has no meaning without -certmode gcp"},
	{"acme-ip-certs", CONF_BOOL, AT(acme_ip), "false", 0, 0, NULL,
	    "not supported"},
	{"ace", CONF_BOOL, AT(ace), "false", 0, 0, NULL, "not supported"},
	/* relayd's own */
	{"workers", CONF_INT, AT(workers), "0", 0, WORKERS_MAX, NULL,
	    "N: threads; 0 for one per processor"},
	{"user", CONF_STRING, AT(user), "nobody", 0, 0, NULL,
	    "NAME: when started as root, become this user; root to stay"},
	{"derp-map", CONF_STRING, AT(derp_map), "", 0, 0, NULL,
	    "FILE: write a DERP map with this relay to it at start"},
	{"tls-timeout", CONF_DURATION, AT(tls_timeout_us), "30s", SECOND_US,
	    DAY_US, NULL, "TIME: for the TLS handshake and each HTTP request"},
	{"hello-timeout", CONF_DURATION, AT(hello_timeout_us), "10s",
	    SECOND_US, DAY_US, NULL, "TIME: for a client's first frame"},
	{"queue-packets", CONF_INT, AT(queue_packets), "8192", 32, 1000000,
	    NULL, "N: packets that wait for one client, of each class"},
	{"queue-bytes", CONF_INT, AT(queue_bytes), "33554432", 131072,
	    INT64_C(1) << 30, NULL,
	    "N: memory of what waits for one client, of each class"},
	{"queue-age", CONF_DURATION, AT(queue_age_us), "2s", 0, DAY_US, NULL,
	    "TIME: older packets are dropped; 0 for none"},
	{"queue-total", CONF_INT, AT(queue_total), "268435456", 1048576,
	    INT64_MAX, NULL, "N: memory of all queues, in bytes; beyond it each "
	    "client keeps only 128 KiB"},
	{"sandbox", CONF_BOOL, AT(sandbox), "true", 0, 0, NULL,
	    "forbid system calls that are not needed (seccomp); off for "
	    "debuggers"},
	{"log", CONF_CHOICE, AT(log_level), "info", 0, 0,
	    "quiet|error|info|debug", "LEVEL: what is logged"},
	{"n", CONF_BOOL, AT(check), "false", 0, 0, NULL,
	    "check the options, print them and exit"},
	{0},
};
/* clang-format on */

void
refuse(const char *fmt, ...)
{
	va_list ap;

	fputs("relayd: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

/*
 * Options of derper that change who may connect, or what is served, and that
 * this relay cannot honour: starting without them would be worse than not
 * starting.
 */
static void
refuse_unsupported(const struct relayd_conf *conf)
{
	const struct {
		const char *flag;
		bool on;
		const char *instead;
	} not_here[] = {
	    {"verify-clients", conf->verify_clients,
		"everybody would be let in"},
	    {"verify-client-url", conf->verify_url[0] != '\0',
		"everybody would be let in"},
	    {"mesh-psk-file", conf->mesh_psk[0] != '\0',
		"run one relay per region"},
	    {"mesh-with", conf->mesh_with[0] != '\0',
		"run one relay per region"},
	    {"rate-config", conf->rate_config[0] != '\0',
		"no rate would be limited"},
	    {"secrets-url", conf->secrets_url[0] != '\0',
		"give the key as a file, -c"},
	    {"bootstrap-dns-names", conf->bootstrap[0] != '\0', "leave it out"},
	    {"unpublished-bootstrap-dns-names",
		conf->bootstrap_hidden[0] != '\0', "leave it out"},
	    {"acme-ip-certs", conf->acme_ip, "use -certmode manual"},
	    {"ace", conf->ace, "leave it out"},
	};

	for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++)
		if (not_here[i].on)
			refuse("flag -%s: not supported; %s", not_here[i].flag,
			    not_here[i].instead);
	if (conf->tls && conf->cert_mode != CERT_MANUAL)
		refuse("flag -certmode: only manual is supported for TLS: "
		       "-certmode manual -hostname NAME-OR-IP [-certdir DIR]");
}

static void
set_path(char **path, const char *dir, const char *name)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s%s", dir, name);
	free(*path);
	if ((*path = strdup(text)) == NULL)
		refuse("out of memory");
}

static void
set_default_paths(struct relayd_conf *conf)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (conf->key_file[0] == '\0' && !conf->dev) {
		if (geteuid() != 0)
			refuse("flag -c: name the key file; it is made if it "
			       "is missing");
		set_path(&conf->key_file, "/var/lib/derper/derper.key", "");
	}
	if (conf->cert_dir[0] != '\0')
		return;
	if (cache != NULL && cache[0] == '/')
		set_path(&conf->cert_dir, cache, "/tailscale/derper-certs");
	else
		set_path(&conf->cert_dir, home == NULL ? "" : home,
		    "/.cache/tailscale/derper-certs");
}

static void
derive(struct relayd_conf *conf)
{
	if (conf->dev && addr_is_any(&conf->listen) &&
	    addr_port(&conf->listen) == 443)
		addr_set_port(&conf->listen, 3340);
	/* As derper decides it. */
	conf->tls =
	    addr_port(&conf->listen) == 443 || conf->cert_mode == CERT_MANUAL;
	if (conf->home[0] != '\0' && strcmp(conf->home, "blank") != 0 &&
	    strncmp(conf->home, "http://", 7) != 0 &&
	    strncmp(conf->home, "https://", 8) != 0)
		refuse("flag -home: \"%s\" is not empty, blank, or an http or "
		       "https URL",
		    conf->home);
	if (strlen(conf->home) >= PAGE_TARGET_MAX)
		refuse("flag -home: longer than %d bytes", PAGE_TARGET_MAX - 1);
	refuse_unsupported(conf);
	if (conf->workers == 0) {
		conf->workers = sysconf(_SC_NPROCESSORS_ONLN);
		if (conf->workers < 1 || conf->workers > WORKERS_MAX)
			conf->workers = conf->workers < 1 ? 1 : WORKERS_MAX;
	}
}

void
conf_read(struct relayd_conf *conf, int argc, char **argv)
{
	char error[CONF_ERROR_MAX];

	memset(conf, 0, sizeof(*conf));
	switch (conf_load(options, conf, argc, argv, error)) {
	case CONF_BAD:
		refuse("%s", error);
	case CONF_HELP:
		conf_usage(options, "relayd", stdout);
		exit(0);
	case CONF_OK:
		break;
	}
	if (conf->version) {
		printf("%s\n", campusnet_version);
		exit(0);
	}
	derive(conf);
	set_default_paths(conf);
	if (!conf->check)
		return;
	conf_print(options, conf, stdout);
	exit(0);
}

void
conf_free(struct relayd_conf *conf)
{
	conf_clear(options, conf);
}

/* conf: coordd's options. Opens nothing but the -config FILE. */
#include <string.h>
#include <strings.h>

#include "coordd/coordd.h"

#define DAY_US	    (INT64_C(86400) * 1000000)

#define FIELD(name) offsetof(struct coordd_conf, name)

static const struct conf_option table[] = {
    {.name = "listen",
	.type = CONF_ADDRS,
	.offset = FIELD(listen),
	.def = ":8080",
	.help = "ADDR:PORT: serve clients here over plain HTTP (what they "
		"say is encrypted by Noise); may be given repeatedly"},
    {.name = "tls-listen",
	.type = CONF_ADDRS,
	.offset = FIELD(tls_listen),
	.help = "ADDR:PORT: serve clients here over HTTPS; may be given "
		"repeatedly"},
    {.name = "tls-cert",
	.type = CONF_STRING,
	.offset = FIELD(tls_cert),
	.def = "",
	.help = "FILE: certificate and chain for -tls-listen, PEM"},
    {.name = "tls-key",
	.type = CONF_STRING,
	.offset = FIELD(tls_key),
	.def = "",
	.help = "FILE: its key, PEM"},
    {.name = "url",
	.type = CONF_STRING,
	.offset = FIELD(url),
	.def = "",
	.help = "URL: how clients reach this host, http:// or https://; "
		"default: the first -listen"},
    {.name = "state",
	.type = CONF_STRING,
	.offset = FIELD(state),
	.def = "/var/lib/campusnet/coordd",
	.help = "DIR: keys and database are kept here"},
    {.name = "domain",
	.type = CONF_STRING,
	.offset = FIELD(domain),
	.def = "campus.internal",
	.help = "NAME: nodes are called HOST.NAME in DNS"},
    {.name = "policy",
	.type = CONF_STRING,
	.offset = FIELD(policy),
	.def = "",
	.help = "FILE: who may reach whom (huJSON), read again on SIGHUP; "
		"default: what coordctl policy set put into the database"},
    {.name = "derp-map",
	.type = CONF_STRING,
	.offset = FIELD(derp_map),
	.def = "",
	.help = "FILE: the relays, as relayd -derp-map writes it, read again "
		"on SIGHUP"},
    {.name = "relay",
	.type = CONF_STRINGS,
	.offset = FIELD(relay_text),
	.help = "URL: a relay, https://HOST[:PORT][?pin=sha256-raw:HEX]"
		"[&stun=PORT][&name=NAME]; may be given repeatedly"},
    {.name = "socket",
	.type = CONF_STRING,
	.offset = FIELD(socket),
	.def = "/run/campusnet/coordd.sock",
	.help = "PATH: Unix socket for coordctl"},
    {.name = "admin",
	.type = CONF_ADDR,
	.offset = FIELD(admin),
	.def = "127.0.0.1:8081",
	.max = 1,
	.help = "ADDR:PORT: web page and API, with the token in DIR/"
		"admin.token; \"\" for none"},
    {.name = "metrics",
	.type = CONF_ADDR,
	.offset = FIELD(metrics),
	.def = "",
	.max = 1,
	.help = "ADDR:PORT: serve /metrics and /healthz here over HTTP"},
    {.name = "approve-devices",
	.type = CONF_BOOL,
	.offset = FIELD(approve_devices),
	.def = "false",
	.help = "new machines wait for coordctl nodes approve"},
    {.name = "key-expiry",
	.type = CONF_DURATION,
	.offset = FIELD(key_expiry_us),
	.def = "0s",
	.max = 3650 * DAY_US,
	.help = "TIME: after this a machine must log in again; 0: never"},
    {.name = "ephemeral-timeout",
	.type = CONF_DURATION,
	.offset = FIELD(ephemeral_us),
	.def = "30m",
	.min = 1000000,
	.max = 365 * DAY_US,
	.help = "TIME: an ephemeral node that is away this long is deleted"},
    {.name = "offline-grace",
	.type = CONF_DURATION,
	.offset = FIELD(grace_us),
	.def = "10s",
	.max = 3600 * INT64_C(1000000),
	.help = "TIME: a node that is away this long is shown as offline"},
    {.name = "magic-dns",
	.type = CONF_BOOL,
	.offset = FIELD(magic_dns),
	.def = "true",
	.help = "clients resolve the names of nodes"},
    {.name = "dns-resolver",
	.type = CONF_STRINGS,
	.offset = FIELD(dns_text),
	.help = "IP: clients ask this resolver for all other names; may be "
		"given repeatedly"},
    {.name = "dns-split",
	.type = CONF_STRINGS,
	.offset = FIELD(dns_split_text),
	.help = "DOMAIN=IP: clients ask this resolver for names in DOMAIN; "
		"may be given repeatedly"},
    {.name = "dns-search",
	.type = CONF_STRINGS,
	.offset = FIELD(dns_search),
	.help = "DOMAIN: clients try short names in it, too; may be given "
		"repeatedly"},
    {.name = "dns-record",
	.type = CONF_STRINGS,
	.offset = FIELD(dns_record_text),
	.help = "NAME=IP: one more name that clients resolve; may be given "
		"repeatedly"},
    {.name = "user",
	.type = CONF_STRING,
	.offset = FIELD(user),
	.def = "nobody",
	.help = "NAME: become this user when started as root"},
    {.name = "restore",
	.type = CONF_STRING,
	.offset = FIELD(restore),
	.def = "",
	.help = "FILE: put this backup in place of the database, and exit"},
    {.name = "verify",
	.type = CONF_STRING,
	.offset = FIELD(verify),
	.def = "",
	.help = "FILE: check this database or backup, and exit"},
    {.name = "sandbox",
	.type = CONF_BOOL,
	.offset = FIELD(sandbox),
	.def = "true",
	.help = "forbid system calls that are not needed (seccomp); off for "
		"debuggers"},
    {.name = "log",
	.type = CONF_CHOICE,
	.offset = FIELD(log),
	.def = "info",
	.choices = "quiet|error|info|debug",
	.help = "LEVEL: what is written to standard error"},
    {.name = "n",
	.type = CONF_BOOL,
	.offset = FIELD(check),
	.def = "false",
	.help = "check the configuration, print it and exit"},
    {.name = "version",
	.type = CONF_BOOL,
	.offset = FIELD(version),
	.def = "false",
	.help = "print the version and exit"},
    {.name = NULL},
};

static bool
bad(char *error, const char *option, const char *text, const char *want)
{
	snprintf(error, COORDD_ERROR_MAX, "%s: \"%.100s\" is not %s", option,
	    text, want);
	return false;
}

static bool
is_domain(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 200 && s[0] != '.' && s[n - 1] != '.' &&
	    strstr(s, "..") == NULL &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

/* True if the host that the URL names is one of the domain's. */
static bool
is_inside(const char *url, const char *domain)
{
	const char *host = strstr(url, "://") + 3;
	size_t n = strcspn(host, ":/?#"), len = strlen(domain);

	return n >= len && strncasecmp(host + n - len, domain, len) == 0 &&
	    (n == len || host[n - len - 1] == '.');
}

static bool
read_names(struct coordd_conf *c, char *error)
{
	static const char want[] = "a domain of a-z 0-9 - and dots";

	if (!is_domain(c->domain))
		return bad(error, "domain", c->domain, want);
	for (size_t i = 0; i < c->dns_search.n; i++)
		if (!is_domain(c->dns_search.v[i]))
			return bad(
			    error, "dns-search", c->dns_search.v[i], want);
	if (c->url[0] != '\0' && strncmp(c->url, "http://", 7) != 0 &&
	    strncmp(c->url, "https://", 8) != 0)
		return bad(error, "url", c->url,
		    "a URL such as http://192.0.2.1:8080");
	if (strlen(c->url) > 256 || strpbrk(c->url, " \"<>\\") != NULL)
		return bad(error, "url", c->url, "a plain URL");
	/* A client that has joined would look for it among the nodes. */
	if (c->url[0] != '\0' && is_inside(c->url, c->domain))
		return bad(error, "url", c->url,
		    "at a host outside of -domain, which is the nodes' own");
	return true;
}

static bool
read_tls(const struct coordd_conf *c, char *error)
{
	bool cert = c->tls_cert[0] != '\0', key = c->tls_key[0] != '\0';

	if (cert == key && (c->tls_listen.n == 0 || cert))
		return true;
	snprintf(error, COORDD_ERROR_MAX,
	    "tls-listen: tls-cert FILE and tls-key FILE are both needed "
	    "with it");
	return false;
}

enum conf_result
coordd_conf_read(struct coordd_conf *c, int argc, char **argv,
    char error[static COORDD_ERROR_MAX])
{
	enum conf_result res = conf_load(table, c, argc, argv, error);
	size_t n;

	if (res != CONF_OK)
		return res;
	/* A trailing slash would double the one of the path. */
	n = strlen(c->url);
	while (n > 0 && c->url[n - 1] == '/')
		c->url[--n] = '\0';
	if (!read_names(c, error) || !read_tls(c, error))
		return CONF_BAD;
	return CONF_OK;
}

void
coordd_conf_clear(struct coordd_conf *c)
{
	conf_clear(table, c);
}

void
coordd_conf_print(const struct coordd_conf *c)
{
	conf_print(table, c, stdout);
}

void
coordd_conf_usage(void)
{
	conf_usage(table, "coordd", stdout);
}

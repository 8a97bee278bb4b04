/*
 * conf: stund's options, and what of them contradicts what. Opens nothing but
 * the -config FILE.
 */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "stund/stund.h"

#define AT(field) offsetof(struct stund_conf, field)
#define RATE_MAX  1000000

static const struct conf_option table[] = {
    {"listen", CONF_ADDRS, AT(listen), ":3478", STUN_PORT, 0, NULL,
	"ADDR:PORT: answer requests here; may be given repeatedly, :PORT is "
	"every address"},
    {"alternate", CONF_ADDRS, AT(alternate), NULL, 0, 0, NULL,
	"ADDR:PORT: the second address and the second port of RFC 5780, of one "
	"-listen; one per family"},
    {"advertise", CONF_STRINGS, AT(advertise), NULL, 0, 0, NULL,
	"LOCAL=PUBLIC: where an address is translated 1:1, what clients are "
	"told of it; may be given repeatedly"},
    {"deny", CONF_STRINGS, AT(deny), NULL, 0, 0, NULL,
	"PREFIX: sources that get no answer; may be given repeatedly"},
    {"partner", CONF_ADDR, AT(partner), "", 0, 1, NULL,
	"ADDR:PORT: where a second host's -partner-listen is, which has the "
	"second address of RFC 5780"},
    {"partner-listen", CONF_ADDR, AT(partner_listen), "", 0, 1, NULL,
	"ADDR:PORT: hear the partner here"},
    {"partner-key", CONF_STRING, AT(partner_key), "", 0, 0, NULL,
	"FILE: 64 hex digits, the same on both hosts"},
    {"partner-alternate-port", CONF_INT, AT(partner_alternate_port), "0", 0,
	UINT16_MAX, NULL,
	"PORT: the second port of RFC 5780, the same on both hosts; 0: the "
	"one behind that of -listen"},
    {"tcp", CONF_BOOL, AT(tcp), "true", 0, 0, NULL,
	"answer over TCP, too, where UDP is answered"},
    {"tls-listen", CONF_ADDRS, AT(tls_listen), NULL, STUN_TLS_PORT, 0, NULL,
	"ADDR:PORT: answer over TLS here; may be given repeatedly"},
    {"certificate", CONF_STRING, AT(certificate), "", 0, 0, NULL,
	"FILE: the certificate for TLS and those above it, in PEM"},
    {"key", CONF_STRING, AT(key), "", 0, 0, NULL,
	"FILE: the private key of the certificate, in PEM"},
    {"tcp-connections", CONF_INT, AT(tcp_connections), "4096", 1, 1000000, NULL,
	"N: TCP and TLS connections at a time"},
    {"tcp-source-connections", CONF_INT, AT(tcp_source_connections), "256", 1,
	1000000, NULL, "N: and of one source (IPv4 address, IPv6 /64)"},
    {"tcp-idle", CONF_DURATION, AT(tcp_idle_us), "10m", 0,
	INT64_C(7 * 86400) * 1000000, NULL,
	"TIME: end a connection without a request for so long; 0 is never"},
    {"behaviour", CONF_CHOICE, AT(behaviour), "fit", 0, 0, "fit|always",
	"WHEN: add RFC 5780's addresses to an answer: as far as it is no "
	"longer than the request, or always"},
    {"classic", CONF_BOOL, AT(classic), "false", 0, 0, NULL,
	"answer the clients of RFC 3489, too"},
    {"strict", CONF_BOOL, AT(strict), "false", 0, 0, NULL,
	"no answer that is longer than its request"},
    {"source-rate", CONF_INT, AT(source_rate), "50", 0, RATE_MAX, NULL,
	"N: answers per second to one source (IPv4 address, IPv6 /64); 0 is "
	"no limit"},
    {"source-burst", CONF_INT, AT(source_burst), "500", 1, RATE_MAX, NULL,
	"N: and at once"},
    {"prefix-rate", CONF_INT, AT(prefix_rate), "500", 0, RATE_MAX, NULL,
	"N: answers per second to one IPv4 /24 or IPv6 /48; 0 is no limit"},
    {"prefix-burst", CONF_INT, AT(prefix_burst), "5000", 1, RATE_MAX, NULL,
	"N: and at once"},
    {"gated-rate", CONF_INT, AT(gated_rate), "5", 0, RATE_MAX, NULL,
	"N: of these, answers to what could be turned against others and has "
	"no cookie, four times as many at once; 0 is no limit"},
    {"total-rate", CONF_INT, AT(total_rate), "100000", 0, RATE_MAX, NULL,
	"N: answers per second to all together; 0 is no limit"},
    {"workers", CONF_INT, AT(workers), "0", 0, STUND_WORKERS_MAX, NULL,
	"N: threads that answer; 0: one per core"},
    {"metrics", CONF_ADDR, AT(metrics), "", 0, 1, NULL,
	"ADDR:PORT: serve /metrics and /healthz here over HTTP"},
    {"user", CONF_STRING, AT(user), "nobody", 0, 0, NULL,
	"NAME: become this user when started as root"},
    {"sandbox", CONF_BOOL, AT(sandbox), "true", 0, 0, NULL,
	"forbid system calls that are not needed (seccomp); off for "
	"debuggers"},
    {"log", CONF_CHOICE, AT(log), "info", 0, 0, "quiet|error|info|debug",
	"LEVEL: what is written to standard error"},
    {"check", CONF_STRING, AT(check_uri), "", 0, 0, NULL,
	"URI: say what the server at stun:HOST[:PORT] or stuns:HOST[:PORT] is "
	"and does, and exit"},
    {"n", CONF_BOOL, AT(check), "false", 0, 0, NULL,
	"check the configuration, print it and exit"},
    {"version", CONF_BOOL, AT(version), "false", 0, 0, NULL,
	"print the version and exit"},
    {.name = NULL},
};

/* What SIGHUP changes. */
static const char *const live[] = {"behaviour", "classic", "strict",
    "source-rate", "source-burst", "prefix-rate", "prefix-burst", "gated-rate",
    "total-rate", "certificate", "key"};

/* ---- what contradicts what ---- */

static bool __attribute__((format(printf, 2, 3)))
bad(char error[static STUND_ERROR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, STUND_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* A wildcard of IPv6 takes IPv4, too. */
static bool
serves_family_of(const struct addr *listen, const struct addr *a)
{
	return addr_is_v4(listen) == addr_is_v4(a) ||
	    (addr_is_any(listen) && !addr_is_v4(listen));
}

static const struct addr *
listen_of(const struct stund_conf *c, const struct addr *alternate, size_t *n)
{
	const struct addr *found = NULL;

	*n = 0;
	for (size_t i = 0; i < c->listen.n; i++)
		if (serves_family_of(&c->listen.v[i], alternate)) {
			found = &c->listen.v[i];
			*n += 1;
		}
	return found;
}

static bool
check_alternate(const struct stund_conf *c, const struct addr *alternate,
    char error[static STUND_ERROR_MAX])
{
	char text[ADDR_TEXT_MAX], with[ADDR_TEXT_MAX];
	const char *family = addr_is_v4(alternate) ? "IPv4" : "IPv6";
	const struct addr *listen;
	size_t n;

	addr_text(alternate, text);
	listen = listen_of(c, alternate, &n);
	if (addr_is_any(alternate) || addr_port(alternate) == 0)
		return bad(error,
		    "alternate %s: must name one address and one port", text);
	if (n != 1)
		return bad(error,
		    "alternate %s: needs exactly one -listen of %s to be the "
		    "alternate of, and there are %zu",
		    text, family, n);
	addr_text(listen, with);
	if (addr_is_any(listen) || addr_port(listen) == 0)
		return bad(error,
		    "alternate %s: -listen %s must name one address and one "
		    "port for it",
		    text, with);
	if (addr_same_ip(listen, alternate))
		return bad(error,
		    "alternate %s: another address than that of -listen %s is "
		    "right",
		    text, with);
	if (addr_port(listen) == addr_port(alternate))
		return bad(error,
		    "alternate %s: another port than that of -listen %s is "
		    "right",
		    text, with);
	return true;
}

static bool
check_alternates(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	const struct addr *v = c->alternate.v;

	for (size_t i = 0; i < c->alternate.n; i++) {
		for (size_t j = 0; j < i; j++)
			if (addr_is_v4(&v[i]) == addr_is_v4(&v[j]))
				return bad(error,
				    "alternate %s: %s is of the same family; "
				    "one of each is right",
				    addr_text(&v[i], a), addr_text(&v[j], b));
		if (!check_alternate(c, &v[i], error))
			return false;
	}
	return true;
}

/* Is there a socket with that address? */
static bool
is_served(const struct stund_conf *c, const struct stunsrv_alias *alias)
{
	const struct conf_addrs *lists[] = {
	    &c->listen, &c->alternate, &c->tls_listen};
	struct addr local;
	uint8_t ip[16];

	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < lists[i]->n; j++) {
			local = lists[i]->v[j];
			addr_ip16(&local, ip);
			if (memcmp(ip, alias->local, 16) == 0 ||
			    (addr_is_any(&local) &&
				(!addr_is_v4(&local) ||
				    memcmp(ip, alias->local, 12) == 0)))
				return true;
		}
	return false;
}

static bool
check_advertise(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	struct stunsrv_alias alias, other;

	for (size_t i = 0; i < c->advertise.n; i++) {
		const char *text = c->advertise.v[i];

		if (!place_alias_parse(&alias, text))
			return bad(error,
			    "advertise: \"%.100s\" is not LOCAL=PUBLIC, two "
			    "addresses of one family without ports, such as "
			    "10.0.0.2=192.0.2.1",
			    text);
		if (!is_served(c, &alias))
			return bad(error,
			    "advertise %.100s: no -listen or -alternate has "
			    "the address before the =",
			    text);
		for (size_t j = 0; j < i; j++)
			if (place_alias_parse(&other, c->advertise.v[j]) &&
			    memcmp(other.local, alias.local, 16) == 0)
				return bad(error,
				    "advertise %.100s: %.100s is about the "
				    "same address; once is right",
				    text, c->advertise.v[j]);
	}
	return true;
}

/* The kernel would say that somebody has it. */
static bool
check_twice(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	const struct addr *v = c->listen.v;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < c->listen.n; i++)
		for (size_t j = 0; j < i; j++)
			if (addr_same_ip(&v[i], &v[j]) &&
			    addr_port(&v[i]) == addr_port(&v[j]) &&
			    addr_port(&v[i]) != 0)
				return bad(error,
				    "listen %s: is given twice; once is right",
				    addr_text(&v[i], text));
	return true;
}

static bool
check(const struct stund_conf *c, char error[static STUND_ERROR_MAX])
{
	struct ip_prefix prefix;

	for (size_t i = 0; i < c->deny.n; i++)
		if (!ip_prefix_parse(
			&prefix, c->deny.v[i], strlen(c->deny.v[i])))
			return bad(error,
			    "deny: \"%.100s\" is not a prefix, such as "
			    "10.0.0.0/8 or 2001:db8::/32",
			    c->deny.v[i]);
	return check_twice(c, error) && check_alternates(c, error) &&
	    check_advertise(c, error) && stund_conf_check_partner(c, error) &&
	    stund_conf_check_tls(c, error);
}

enum conf_result
stund_conf_read(struct stund_conf *c, int argc, char **argv,
    char error[static STUND_ERROR_MAX])
{
	enum conf_result res = conf_load(table, c, argc, argv, error);

	if (res != CONF_OK)
		return res;
	if (c->workers == 0)
		c->workers = sysconf(_SC_NPROCESSORS_ONLN);
	if (c->workers < 1)
		c->workers = 1;
	if (c->workers > STUND_WORKERS_MAX)
		c->workers = STUND_WORKERS_MAX;
	return check(c, error) ? CONF_OK : CONF_BAD;
}

void
stund_conf_clear(struct stund_conf *c)
{
	conf_clear(table, c);
}

void
stund_conf_print(const struct stund_conf *c)
{
	conf_print(table, c, stdout);
}

void
stund_conf_usage(void)
{
	conf_usage(table, "stund", stdout);
}

static bool
is_live(const char *name)
{
	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (strcmp(live[i], name) == 0)
			return true;
	return false;
}

void
stund_conf_stuck(const struct stund_conf *old, const struct stund_conf *fresh,
    char *names, size_t cap)
{
	size_t n = 0;

	names[0] = '\0';
	for (const struct conf_option *o = table; o->name != NULL; o++) {
		if (is_live(o->name) || conf_same(o, old, fresh) || n >= cap)
			continue;
		n += (size_t)snprintf(
		    names + n, cap - n, "%s%s", n > 0 ? " " : "", o->name);
	}
}

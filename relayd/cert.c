/*
 * cert: derper's certificate folder, and the DERP map that pins what is in it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "relayd/relayd.h"
#include "run/file.h"

static int __attribute__((format(printf, 3, 4)))
fail(char *error, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, cap, fmt, ap);
	va_end(ap);
	return -1;
}

static bool
is_ip(const char *hostname)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, hostname, ip) == 1 ||
	    inet_pton(AF_INET6, hostname, ip) == 1;
}

/* derper's unsafeHostnameCharacters: all else is left out of the file name,
 * so an IPv6 literal loses its colons. */
static int
set_paths(struct cert *c, const char *dir, const char *hostname, char *error,
    size_t cap)
{
	static const char safe[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789-.";
	char name[256];
	size_t n = 0;

	for (const char *p = hostname; *p != '\0' && n < sizeof(name) - 1; p++)
		if (strchr(safe, *p) != NULL)
			name[n++] = *p;
	name[n] = '\0';
	if (n == 0)
		return fail(error, cap,
		    "flag -hostname: \"%s\" is neither a name nor an address",
		    hostname);
	if ((size_t)snprintf(c->crt, sizeof(c->crt), "%s/%s.crt", dir, name) >=
		sizeof(c->crt) ||
	    (size_t)snprintf(c->key, sizeof(c->key), "%s/%s.key", dir, name) >=
		sizeof(c->key))
		return fail(error, cap, "flag -certdir: the name is too long");
	return 0;
}

static void
set_pin(struct cert *c, X509 *x)
{
	unsigned char digest[32];
	unsigned n = 0;

	if (X509_digest(x, EVP_sha256(), digest, &n) != 1)
		return;
	for (unsigned i = 0; i < n; i++)
		snprintf(c->pin + 2 * i, 3, "%02x", digest[i]);
}

/* The name must be covered, the time be right, and the pin be known. */
static int
inspect(struct cert *c, const char *hostname, char *error, size_t cap)
{
	FILE *f = fopen(c->crt, "re");
	X509 *x = f == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
	X509 *second = x == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
	int r = 0;

	if (f == NULL)
		r = fail(
		    error, cap, "certificate %s: %s", c->crt, strerror(errno));
	else if (x == NULL)
		r = fail(error, cap, "certificate %s: no PEM certificate in it",
		    c->crt);
	else if ((is_ip(hostname)
			 ? X509_check_ip_asc(x, hostname, 0)
			 : X509_check_host(x, hostname, 0, 0, NULL)) != 1)
		r = fail(error, cap,
		    "certificate %s does not cover -hostname %s", c->crt,
		    hostname);
	else if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		log_warnx("certificate %s has expired: stock clients will "
			  "refuse it",
		    c->crt);
	c->single = second == NULL;
	if (x != NULL)
		set_pin(c, x);
	X509_free(x);
	X509_free(second);
	if (f != NULL)
		fclose(f);
	return r;
}

/* True if the file is there, or cannot even be looked for (errno then says
 * why, and opening it will). */
static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

static int
make_missing(struct cert *c, const char *dir, const char *hostname, char *error,
    size_t cap)
{
	bool crt = is_there(c->crt), key = is_there(c->key);

	if (crt && key)
		return 0;
	if (!crt && key && cert_recover(c) == 0)
		return 0;
	if (crt || key || !is_ip(hostname))
		return fail(error, cap,
		    "certificate %s: no such file; with an IP address as "
		    "-hostname one is made if .crt and .key are both missing",
		    crt ? c->key : c->crt);
	if (file_make_dir(dir) == -1)
		return fail(
		    error, cap, "flag -certdir: %s: %s", dir, strerror(errno));
	return cert_make(c, hostname, error, cap);
}

int
cert_load(struct cert *c, const char *dir, const char *hostname, bool make,
    char *error, size_t cap)
{
	memset(c, 0, sizeof(*c));
	if (set_paths(c, dir, hostname, error, cap) == -1 ||
	    (make && make_missing(c, dir, hostname, error, cap) == -1) ||
	    inspect(c, hostname, error, cap) == -1)
		return -1;
	if (access(c->key, R_OK) == -1)
		return fail(error, cap, "certificate key %s: %s", c->key,
		    strerror(errno));
	return 0;
}

/* ---- for clients ---- */

char *
cert_node_json(const struct relayd_conf *conf, const struct cert *c, int port,
    int stun_port)
{
	bool v6 = strchr(conf->hostname, ':') != NULL;
	char certname[80];
	json_t *node = json_pack("{s:s, s:i, s:s}", "Name", "900a", "RegionID",
	    900, "HostName", conf->hostname);
	char *text;

	/* No "none" for the other family: derpprobe takes it for a name. */
	if (is_ip(conf->hostname))
		json_object_set_new(
		    node, v6 ? "IPv6" : "IPv4", json_string(conf->hostname));
	if (conf->tls && c->single) {
		snprintf(certname, sizeof(certname), "sha256-raw:%s", c->pin);
		json_object_set_new(node, "CertName", json_string(certname));
	}
	if (port != 443)
		json_object_set_new(node, "DERPPort", json_integer(port));
	if (stun_port != 3478)
		json_object_set_new(node, "STUNPort", json_integer(stun_port));
	if (conf->tls && conf->http_port == 80)
		json_object_set_new(node, "CanPort80", json_true());
	text = json_dumps(node, JSON_COMPACT);
	json_decref(node);
	return text;
}

char *
cert_map_json(const char *node)
{
	json_t *map = json_pack("{s:{s:{s:i, s:s, s:s, s:[o]}}}", "Regions",
	    "900", "RegionID", 900, "RegionCode", "campus", "RegionName",
	    "campusnet", "Nodes", json_loads(node, 0, NULL));
	char *text = json_dumps(map, JSON_INDENT(2));

	json_decref(map);
	return text;
}

/*
 * cert: derper's certificate folder, a self-signed certificate for an IP
 * address, the meta certificate, and the DERP map that pins it all.
 */
#include <arpa/inet.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "relayd/relayd.h"

#define DAY 86400L

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

/* ---- making certificates ---- */

static bool
add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool good;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

/* A certificate of cn for itself, valid from `from` to `to` seconds from now;
 * not signed yet. A plain string type: as a multibyte one OpenSSL would keep
 * cn to X.520's 64 characters, and the meta certificate's has 71. */
static X509 *
blank_cert(const char *cn, EVP_PKEY *key, long from, long to)
{
	X509 *x = X509_new();
	X509_NAME *name = x == NULL ? NULL : X509_get_subject_name(x);

	if (x == NULL || X509_set_version(x, X509_VERSION_3) != 1 ||
	    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
		(const unsigned char *)cn, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, name) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), from) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), to) == NULL ||
	    X509_set_pubkey(x, key) != 1) {
		X509_free(x);
		return NULL;
	}
	return x;
}

/*
 * Exactly one extension, BasicConstraints, critical and empty: Tailscale's
 * tests want that, and its prober skips the expiry alarm only while no key
 * identifiers are there. The serial number is the protocol version.
 */
X509 *
cert_meta(const struct key *pub)
{
	char cn[8 + KEY_TEXT_MAX], hex[KEY_TEXT_MAX];
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *x = NULL;

	snprintf(cn, sizeof(cn), "derpkey%s", key_text(pub, KEY_HEX, hex));
	if (key != NULL)
		x = blank_cert(cn, key, -30 * DAY, 30 * DAY);
	if (x != NULL &&
	    (ASN1_INTEGER_set(
		 X509_get_serialNumber(x), DERP_PROTOCOL_VERSION) != 1 ||
		!add_extension(x, NID_basic_constraints, "critical,CA:FALSE") ||
		X509_sign(x, key, NULL) == 0)) {
		X509_free(x);
		x = NULL;
	}
	EVP_PKEY_free(key);
	return x;
}

static bool
random_serial(X509 *x)
{
	unsigned char bytes[16];
	BIGNUM *n;
	bool good;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* RFC 5280 section 4.1.2.2: positive */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = n != NULL &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return good;
}

static X509 *
self_signed(const char *ip, EVP_PKEY *key)
{
	char san[128];
	X509 *x = blank_cert(ip, key, 0, 365 * DAY);

	snprintf(san, sizeof(san), "IP:%.100s", ip);
	if (x != NULL &&
	    (!random_serial(x) ||
		!add_extension(x, NID_key_usage,
		    "critical,digitalSignature,keyEncipherment") ||
		!add_extension(x, NID_ext_key_usage, "serverAuth") ||
		!add_extension(x, NID_basic_constraints, "critical,CA:FALSE") ||
		!add_extension(x, NID_subject_alt_name, san) ||
		X509_sign(x, key, EVP_sha256()) == 0)) {
		X509_free(x);
		return NULL;
	}
	return x;
}

static FILE *
create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd == -1 ? NULL : fdopen(fd, "w");

	if (fd != -1 && f == NULL)
		close(fd);
	return f;
}

/* "EC PRIVATE KEY", as derper writes it, not PKCS #8. */
static bool
write_key(FILE *f, EVP_PKEY *key)
{
	BIO *bio = BIO_new_fp(f, BIO_NOCLOSE);
	bool good = bio != NULL &&
	    PEM_write_bio_PrivateKey_traditional(
		bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	BIO_free(bio);
	return good;
}

static int
make_files(const struct cert *c, const char *ip, char *error, size_t cap)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key == NULL ? NULL : self_signed(ip, key);
	FILE *kf = NULL, *cf = NULL;
	int r = -1;

	if (x == NULL)
		fail(error, cap, "making a certificate: %s", tls_error());
	else if ((kf = create(c->key, 0600)) == NULL)
		fail(error, cap, "certificate key %s: %s", c->key,
		    strerror(errno));
	else if ((cf = create(c->crt, 0644)) == NULL)
		fail(error, cap, "certificate %s: %s", c->crt, strerror(errno));
	else if (!write_key(kf, key) || PEM_write_X509(cf, x) != 1)
		fail(error, cap, "certificate %s: cannot be written", c->crt);
	else
		r = 0;
	/* Half a pair would be refused at every later start. */
	if (kf != NULL && fclose(kf) != 0 && r == 0)
		r = fail(error, cap, "certificate key %s: %s", c->key,
		    strerror(errno));
	if (cf != NULL && fclose(cf) != 0 && r == 0)
		r = fail(
		    error, cap, "certificate %s: %s", c->crt, strerror(errno));
	if (r == -1 && kf != NULL)
		unlink(c->key);
	if (r == -1 && cf != NULL)
		unlink(c->crt);
	X509_free(x);
	EVP_PKEY_free(key);
	return r;
}

/* ---- reading them ---- */

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

static int
make_dir(const char *dir, char *error, size_t cap)
{
	char path[512];

	if ((size_t)snprintf(path, sizeof(path), "%s", dir) >= sizeof(path))
		return fail(error, cap, "flag -certdir: the name is too long");
	for (char *p = path + 1;; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) == -1 && errno != EEXIST)
			return fail(error, cap, "flag -certdir: %s: %s", path,
			    strerror(errno));
		*p = was;
		if (was == '\0')
			return 0;
	}
}

int
cert_load(struct cert *c, const char *dir, const char *hostname, char *error,
    size_t cap)
{
	bool no_crt, no_key;

	memset(c, 0, sizeof(*c));
	if (set_paths(c, dir, hostname, error, cap) == -1)
		return -1;
	no_crt = access(c->crt, F_OK) == -1;
	no_key = access(c->key, F_OK) == -1;
	if (no_crt && no_key && is_ip(hostname)) {
		if (make_dir(dir, error, cap) == -1 ||
		    make_files(c, hostname, error, cap) == -1)
			return -1;
		c->made = true;
	} else if (no_crt || no_key)
		return fail(error, cap,
		    "certificate %s: no such file; with an IP address as "
		    "-hostname one is made if .crt and .key are both missing",
		    no_crt ? c->crt : c->key);
	return inspect(c, hostname, error, cap);
}

/* ---- for clients ---- */

char *
cert_node_json(const struct relayd_conf *conf, const struct cert *c)
{
	int port = addr_port(&conf->listen);
	bool v4 = inet_addr(conf->hostname) != INADDR_NONE;
	bool v6 = strchr(conf->hostname, ':') != NULL;
	char certname[80];
	json_t *node = json_pack("{s:s, s:i, s:s}", "Name", "900a", "RegionID",
	    900, "HostName", conf->hostname);
	char *text;

	/* No "none" for the other family: derpprobe takes it for a name. */
	if (v4 || v6)
		json_object_set_new(
		    node, v4 ? "IPv4" : "IPv6", json_string(conf->hostname));
	if (conf->tls && c->single) {
		snprintf(certname, sizeof(certname), "sha256-raw:%s", c->pin);
		json_object_set_new(node, "CertName", json_string(certname));
	}
	if (port != 443)
		json_object_set_new(node, "DERPPort", json_integer(port));
	if (conf->stun_port != 3478)
		json_object_set_new(
		    node, "STUNPort", json_integer(conf->stun_port));
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

/*
 * selfsign: the certificates that the relay makes itself: one for an IP
 * address, kept in the certificate folder, and the meta certificate, which
 * tells its key and lives as long as the process.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "relayd/relayd.h"
#include "run/file.h"

#define DAY 86400L

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

/* "EC PRIVATE KEY", as derper writes it, not PKCS #8. */
static bool
write_key(BIO *out, EVP_PKEY *key)
{
	return PEM_write_bio_PrivateKey_traditional(
		   out, key, NULL, NULL, 0, NULL, NULL) == 1;
}

/*
 * The key is put in place last but one: as long as it is missing the pair is
 * made anew, and once it is there the certificate lies ready beside its place
 * (cert_recover). So no moment to be killed in leaves half a pair.
 */
static int
store_pair(const struct cert *c, BIO *key, BIO *crt)
{
	char *k, *x;
	long nk = BIO_get_mem_data(key, &k), nx = BIO_get_mem_data(crt, &x);

	if (file_make_part(c->crt, 0644, x, (size_t)nx) == -1 ||
	    file_make(c->key, 0600, k, (size_t)nk) == -1)
		return -1;
	return file_commit_part(c->crt);
}

int
cert_recover(const struct cert *c)
{
	return file_commit_part(c->crt);
}

int
cert_make(const struct cert *c, const char *ip, char *error, size_t cap)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key == NULL ? NULL : self_signed(ip, key);
	/* Secure memory is wiped when it is freed. */
	BIO *kb = BIO_new(BIO_s_secmem()), *xb = BIO_new(BIO_s_mem());
	int r = -1;

	if (x == NULL || kb == NULL || xb == NULL || !write_key(kb, key) ||
	    PEM_write_bio_X509(xb, x) != 1)
		snprintf(error, cap, "making a certificate: %s", tls_error());
	else if ((r = store_pair(c, kb, xb)) == -1)
		snprintf(
		    error, cap, "certificate %s: %s", c->crt, strerror(errno));
	BIO_free(kb);
	BIO_free(xb);
	X509_free(x);
	EVP_PKEY_free(key);
	return r;
}

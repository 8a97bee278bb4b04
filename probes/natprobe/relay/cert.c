/*
 * cert: judges a relay's certificate as a stock client does
 * (net/tlsdial): the system's CAs and the name, or the pin of a lone leaf.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "probes/natprobe/relay/relay.h"
#include "pure/relayurl.h"
#include "pure/text.h"

/* What a relay adds to its chain to tell its key; no part of the trust. */
#define META_NAME "derpkey"

bool
relay_cert_is_pinned(const struct relay_node *node)
{
	return strncmp(node->cert_name, RELAYURL_PIN, strlen(RELAYURL_PIN)) ==
	    0;
}

bool
relay_cert_expect(SSL *ssl, const struct relay_node *node)
{
	bool fronted =
	    node->cert_name[0] != '\0' && !relay_cert_is_pinned(node);
	char sni[RELAY_HOST_MAX]; /* a macro drops const */

	/* An address is not asked for, and then not looked for. */
	memcpy(sni, node->host, sizeof(sni));
	if (!node->host_is_ip && SSL_set_tlsext_host_name(ssl, sni) != 1)
		return false;
	if (node->host_is_ip && !fronted)
		return true;
	return SSL_set1_host(ssl, fronted ? node->cert_name : node->host) == 1;
}

static bool
is_meta(X509 *cert)
{
	char name[128];

	return X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
		   NID_commonName, name, sizeof(name)) > 0 &&
	    strncmp(name, META_NAME, strlen(META_NAME)) == 0;
}

static int
count_real(SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	int n = 0;

	for (int i = 0; i < sk_X509_num(chain); i++)
		n += !is_meta(sk_X509_value(chain, i));
	return n;
}

static void
hash_text(X509 *leaf, char hex[static 65])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	hex[0] = '\0';
	if (X509_digest(leaf, EVP_sha256(), hash, &n) != 1 || n != 32)
		return;
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", hash[i]);
}

static void
judge_pin(struct relay_cert *cert, SSL *ssl, X509 *leaf,
    const struct relay_node *node)
{
	const char *pin = node->cert_name + strlen(RELAYURL_PIN);
	int n = count_real(ssl);
	char hex[65];

	hash_text(leaf, hex);
	if (n != 1)
		snprintf(cert->why, sizeof(cert->why),
		    "%d certificates; with a pin, one alone may come", n);
	else if (strcasecmp(hex, pin) != 0)
		snprintf(cert->why, sizeof(cert->why),
		    "not the pinned one; this is sha256-raw:%s", hex);
	else if (!node->host_is_ip &&
	    X509_check_host(leaf, node->host, 0, 0, NULL) != 1)
		snprintf(cert->why, sizeof(cert->why), "not of that name");
	else if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
		snprintf(cert->why, sizeof(cert->why), "not yet valid");
	else if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		snprintf(cert->why, sizeof(cert->why), "expired");
}

/* Who it is of: an organization, or else a common name. */
static void
name_text(char *to, size_t cap, const X509_NAME *name)
{
	char text[64] = "";

	if (X509_NAME_get_text_by_NID(
		name, NID_organizationName, text, sizeof(text)) <= 0 &&
	    X509_NAME_get_text_by_NID(
		name, NID_commonName, text, sizeof(text)) <= 0)
		text[0] = '\0';
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	snprintf(to, cap, "%s", text);
}

void
relay_cert_judge(
    struct relay_cert *cert, SSL *ssl, const struct relay_node *node)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	long verdict = SSL_get_verify_result(ssl);
	int days = 0, seconds;

	if (leaf == NULL) {
		snprintf(cert->why, sizeof(cert->why), "none came");
		return;
	}
	cert->seen = true;
	name_text(cert->of, sizeof(cert->of), X509_get_subject_name(leaf));
	name_text(
	    cert->issuer, sizeof(cert->issuer), X509_get_issuer_name(leaf));
	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf)))
		cert->days_left = days;
	if (node->insecure)
		return;
	if (relay_cert_is_pinned(node))
		judge_pin(cert, ssl, leaf, node);
	else if (verdict != X509_V_OK)
		snprintf(cert->why, sizeof(cert->why), "%s",
		    X509_verify_cert_error_string(verdict));
}

/*
 * relayurl: how a person names a relay, for coordd and natprobe alike. PURE.
 *
 *   https://HOST[:PORT][/][?key=value[&key=value ...]]
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets. Keys:
 *
 *   pin   sha256-raw: and 64 hex digits, the certificate's hash as Tailscale's
 *         tailcfg.DERPNode.CertName has it
 *   name  of the relay's place
 *   stun  the port of its STUN server
 *   http  the port on which it speaks plain HTTP, for captive portals
 */
#ifndef PURE_RELAYURL_H
#define PURE_RELAYURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAYURL_PIN	  "sha256-raw:"
#define RELAYURL_HOST_MAX 254 /* RFC 1035: 253 octets, and the zero */

struct relayurl {
	char host[RELAYURL_HOST_MAX]; /* without brackets */
	bool host_is_ip;
	char pin[sizeof(RELAYURL_PIN) + 64]; /* "": none */
	char name[64]; /* "": none */
	uint16_t port; /* 443 if not said */
	uint16_t stun; /* 3478 if not said */
	uint16_t http; /* 0: not said */
};

/* False if text is no such URL; *u is of no use then. */
bool relayurl_read(struct relayurl *u, const char *text);

/* True for a host or domain of exactly n bytes: labels of letters, digits, -
 * and _, with single dots between them. */
bool relayurl_is_host(const char *text, size_t n);

/* True if a certificate name of text is RELAYURL_PIN and 64 hex digits. */
bool relayurl_is_pin(const char *text);

#endif

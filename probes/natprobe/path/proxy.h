/*
 * proxy: does a relay need an HTTP proxy, as the environment names it? PURE.
 * The rules are those of stock clients (net/tshttpproxy, which has Go's
 * http/httpproxy; derp/derphttp): https_proxy decides, upper case first; a
 * proxy that is named is used for every relay that no_proxy does not except,
 * by CONNECT to the relay's name and port.
 */
#ifndef NATPROBE_PROXY_H
#define NATPROBE_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_HOST_MAX	  256
#define PROXY_AUTH_MAX	  700
#define PROXY_REQUEST_MAX 2048

struct proxy {
	bool tls; /* https: */
	char host[PROXY_HOST_MAX];
	uint16_t port;
	/* "Basic ..."; "": none. A secret. */
	char auth[PROXY_AUTH_MAX];
	char shown[PROXY_HOST_MAX + 40]; /* without credentials */
};

/* A URL, or what stands for http://it. False: why says what is wrong. */
bool proxy_parse(struct proxy *p, const char *url, const char **why);

/* True if no_proxy, as Go reads it, or the loopback excepts that host. */
bool proxy_is_excepted(const char *no_proxy, const char *host, uint16_t port);

/* Writes the CONNECT; returns its length, or 0 if it does not fit. */
size_t proxy_request(const struct proxy *p, const char *host, uint16_t port,
    char out[static PROXY_REQUEST_MAX]);

enum proxy_word {
	PROXY_UNKNOWN, /* not known yet */
	PROXY_TUNNEL, /* 2xx: what follows is the relay's */
	PROXY_WANTS_AUTH, /* 407 */
	PROXY_REFUSES, /* another status */
	PROXY_NONE, /* what answers is no proxy */
	PROXY_UNREACHABLE,
	PROXY_UNUSABLE, /* such as SOCKS */
	PROXY_WORKS, /* DERP's handshake is done */
	PROXY_RELAY_FAILS, /* through the tunnel */
	PROXY_WORDS,
};
const char *proxy_word_name(enum proxy_word w);

/* What the n bytes mean that came back: PROXY_UNKNOWN, wait for more. */
enum proxy_word proxy_answer(const uint8_t *p, size_t n, int *status);

#endif

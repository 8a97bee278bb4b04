/* proxy: see proxy.h. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "probes/natprobe/path/proxy.h"
#include "pure/http1.h"
#include "pure/ip.h"

const char *
proxy_word_name(enum proxy_word w)
{
	static const char *const names[PROXY_WORDS] = {
	    [PROXY_UNKNOWN] = "unknown",
	    [PROXY_TUNNEL] = "unknown",
	    [PROXY_WANTS_AUTH] = "wants-credentials",
	    [PROXY_REFUSES] = "refuses",
	    [PROXY_NONE] = "no-proxy-there",
	    [PROXY_UNREACHABLE] = "unreachable",
	    [PROXY_UNUSABLE] = "unusable",
	    [PROXY_WORKS] = "works",
	    [PROXY_RELAY_FAILS] = "relay-fails",
	};

	return names[w];
}

/* ---- the URL ---- */

static int
hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding, RFC 3986 section 2.1; false: it is none, or too long. */
static bool
decode(char *to, size_t cap, size_t *len, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)s[i];

		if (c == '%') {
			if (n - i < 3 || hex_of(s[i + 1]) == -1 ||
			    hex_of(s[i + 2]) == -1)
				return false;
			c = hex_of(s[i + 1]) * 16 + hex_of(s[i + 2]);
			i += 2;
		}
		if (*len + 1 >= cap)
			return false;
		to[(*len)++] = (char)c;
	}
	return true;
}

/* RFC 7617. A name without a password is not sent, as in net/tshttpproxy. */
static bool
read_auth(struct proxy *p, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	char plain[PROXY_AUTH_MAX / 2];
	size_t len = 0, name;
	bool fits;

	if (colon == NULL || colon == s)
		return true;
	name = (size_t)(colon - s);
	fits = decode(plain, sizeof(plain), &len, s, name) &&
	    decode(plain, sizeof(plain), &len, ":", 1) &&
	    decode(plain, sizeof(plain), &len, colon + 1, n - name - 1);
	if (fits) {
		memcpy(p->auth, "Basic ", 6);
		sodium_bin2base64(p->auth + 6, sizeof(p->auth) - 6,
		    (const unsigned char *)plain, len,
		    sodium_base64_VARIANT_ORIGINAL);
	}
	sodium_memzero(plain, sizeof(plain));
	return fits;
}

_Static_assert(sodium_base64_ENCODED_LEN(PROXY_AUTH_MAX / 2,
		   sodium_base64_VARIANT_ORIGINAL) <= PROXY_AUTH_MAX - 6,
    "fits");

static bool
read_host(struct proxy *p, const char *s, size_t n)
{
	bool bracket = n > 0 && *s == '[';
	const char *end = bracket ? memchr(s, ']', n) : memchr(s, ':', n);
	size_t len;
	unsigned long port;

	s += bracket;
	n -= bracket;
	if (bracket && end == NULL)
		return false;
	len = end == NULL ? n : (size_t)(end - s);
	if (len == 0 || len >= sizeof(p->host))
		return false;
	memcpy(p->host, s, len);
	p->host[len] = '\0';
	s += len + bracket;
	n -= len + bracket;
	if (strspn(p->host,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_.:") != len)
		return false;
	if (n <= 1)
		return n == 0 || *s == ':';
	if (*s != ':' || n > 6 || strspn(s + 1, "0123456789") < n - 1)
		return false;
	port = strtoul(s + 1, NULL, 10);
	p->port = (uint16_t)port;
	return port > 0 && port < 65536;
}

bool
proxy_parse(struct proxy *p, const char *url, const char **why)
{
	const char *scheme_end = strstr(url, "://"), *at;
	size_t n;

	*p = (struct proxy){.port = 80};
	*why = "";
	if (scheme_end != NULL) {
		p->tls = strncasecmp(url, "https://", 8) == 0;
		if (!p->tls && strncasecmp(url, "http://", 7) != 0) {
			*why = "not-http";
			return false;
		}
		if (p->tls)
			p->port = 443;
		url = scheme_end + 3;
	}
	n = strcspn(url, "/?#");
	at = memrchr(url, '@', n);
	if (at != NULL && !read_auth(p, url, (size_t)(at - url))) {
		*why = "bad-credentials";
		return false;
	}
	if (at != NULL) {
		n -= (size_t)(at + 1 - url);
		url = at + 1;
	}
	if (!read_host(p, url, n)) {
		*why = "no-url";
		return false;
	}
	snprintf(p->shown, sizeof(p->shown),
	    strchr(p->host, ':') != NULL ? "http%s://[%s]:%u"
					 : "http%s://%s:%u",
	    p->tls ? "s" : "", p->host, p->port);
	return true;
}

/* ---- no_proxy ---- */

/* "h", "h:5", "1.2.3.4:5", "[::1]:5"; port 0: none is said. */
static void
split_port(const char **s, size_t *n, unsigned long *port)
{
	const char *colon = memrchr(*s, ':', *n);
	bool bracket = *n > 0 && **s == '[';

	*port = 0;
	if (colon != NULL &&
	    (bracket ? colon[-1] == ']' : memchr(*s, ':', *n) == colon)) {
		*port = strtoul(colon + 1, NULL, 10);
		*n = (size_t)(colon - *s);
	}
	if (bracket && *n > 1 && (*s)[*n - 1] == ']') {
		(*s)++;
		*n -= 2;
	}
}

static bool
ends_with(const char *host, const char *s, size_t n)
{
	size_t len = strlen(host);

	return len >= n && strncasecmp(host + len - n, s, n) == 0;
}

static bool
matches(const char *host, const struct ip *ip, uint16_t port, const char *s,
    size_t n)
{
	struct ip_prefix prefix;
	unsigned long wanted;

	if (n == 1 && *s == '*')
		return true;
	if (ip != NULL && memchr(s, '/', n) != NULL)
		return ip_prefix_parse(&prefix, s, n) &&
		    ip_prefix_has(&prefix, ip);
	split_port(&s, &n, &wanted);
	if (n == 0 || (wanted != 0 && wanted != port))
		return false;
	if (ip != NULL)
		return ip_prefix_parse(&prefix, s, n) &&
		    ip_prefix_has(&prefix, ip);
	if (*s == '*') {
		s++;
		n--;
	}
	if (*s == '.')
		return n > 1 && strlen(host) > n && ends_with(host, s, n);
	return ends_with(host, s, n) &&
	    (strlen(host) == n || host[strlen(host) - n - 1] == '.');
}

static bool
is_loopback(const char *host, const struct ip *ip)
{
	static const uint8_t mapped[] = {[10] = 0xff, [11] = 0xff, [12] = 127};
	static const uint8_t one[16] = {[15] = 1};

	if (ip == NULL)
		return strcasecmp(host, "localhost") == 0;
	return memcmp(ip->b, mapped, sizeof(mapped)) == 0 ||
	    memcmp(ip->b, one, sizeof(one)) == 0;
}

bool
proxy_is_excepted(const char *no_proxy, const char *host, uint16_t port)
{
	struct ip literal;
	const struct ip *ip =
	    ip_parse(&literal, host, strlen(host)) ? &literal : NULL;
	size_t n, used;

	if (is_loopback(host, ip))
		return true;
	for (const char *s = no_proxy; *s != '\0'; s += used + (s[used] != 0)) {
		const char *first = s + strspn(s, " \t");

		used = strcspn(s, ",");
		if (first >= s + used)
			continue;
		n = used - (size_t)(first - s);
		while (n > 0 && (first[n - 1] == ' ' || first[n - 1] == '\t'))
			n--;
		if (n > 0 && matches(host, ip, port, first, n))
			return true;
	}
	return false;
}

/* ---- CONNECT: RFC 9110 section 9.3.6 ---- */

size_t
proxy_request(const struct proxy *p, const char *host, uint16_t port,
    char out[static PROXY_REQUEST_MAX])
{
	bool v6 = strchr(host, ':') != NULL;
	char target[PROXY_HOST_MAX + 16];
	int n;

	snprintf(target, sizeof(target), v6 ? "[%s]:%u" : "%s:%u", host, port);
	n = snprintf(out, PROXY_REQUEST_MAX,
	    "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", target, target,
	    *p->auth == '\0' ? "" : "Proxy-Authorization: ", p->auth,
	    *p->auth == '\0' ? "" : "\r\n");
	return n < 0 || n >= PROXY_REQUEST_MAX ? 0 : (size_t)n;
}

enum proxy_word
proxy_answer(const uint8_t *p, size_t n, int *status)
{
	struct http1_request head;
	size_t from = 0, end = http1_head_end(p, n, &from);

	*status = 0;
	if (end == 0)
		return n >= HTTP1_HEAD_MAX ||
			(n >= 5 && memcmp(p, "HTTP/", 5) != 0)
		    ? PROXY_NONE
		    : PROXY_UNKNOWN;
	*status = http1_parse_answer(&head, p, end);
	if (*status == 0)
		return PROXY_NONE;
	/* The relay does not speak first. */
	if (*status == 200)
		return n == end ? PROXY_TUNNEL : PROXY_NONE;
	return *status == 407 ? PROXY_WANTS_AUTH : PROXY_REFUSES;
}

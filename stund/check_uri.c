/*
 * check_uri: PURE. stun: and stuns: URIs as RFC 7064 section 3.1 has them:
 * a host and perhaps a port, and nothing else.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "stund/check.h"

enum { TEXT_SHOWN = 80 };

static bool
fail(char *error, const char *text, const char *why)
{
	char shown[TEXT_SHOWN + 1];
	size_t n = 0;

	for (; n < TEXT_SHOWN && text[n] != '\0'; n++)
		shown[n] = text[n] < ' ' || text[n] > '~' ? '?' : text[n];
	shown[n] = '\0';
	snprintf(error, CHECK_ERROR_MAX, "-check \"%s\": %s", shown, why);
	return false;
}

static const char *
scheme_skip(struct check_uri *u, const char *text)
{
	if (strncasecmp(text, "stun:", 5) == 0) {
		u->port = STUN_PORT;
		return text + 5;
	}
	if (strncasecmp(text, "stuns:", 6) == 0) {
		u->port = STUN_TLS_PORT;
		u->tls = true;
		return text + 6;
	}
	return NULL;
}

/* What other URIs have and these do not, NULL if it has nothing of that. */
static const char *
surplus(const char *rest)
{
	if (strncmp(rest, "//", 2) == 0)
		return "no // belongs after the colon";
	switch (rest[strcspn(rest, "/?#@%")]) {
	case '/':
		return "a STUN URI has no path";
	case '?':
		return "a STUN URI has no query (?transport= is for turn:)";
	case '#':
		return "a STUN URI has no fragment";
	case '@':
		return "a STUN URI has no user";
	case '%':
		return "want a plain host name or address, without %";
	}
	return NULL;
}

static bool
is_name(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
			   "Z0123456789-._",
			p[i]) == NULL)
			return false;
	return true;
}

static bool
port_read(struct check_uri *u, const char *p)
{
	uint32_t v = 0;

	for (size_t i = 0; p[i] != '\0'; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(p[i] - '0');
		if (v > UINT16_MAX)
			return false;
	}
	u->port = (uint16_t)v;
	return v != 0;
}

/* Returns what is wrong with the host of n bytes, or NULL. */
static const char *
host_read(struct check_uri *u, const char *p, size_t n, bool brackets)
{
	struct ip ip;

	if (n == 0)
		return "the host is missing";
	if (n >= sizeof(u->host))
		return "the host name is too long";
	u->literal = ip_parse(&ip, p, n);
	if (brackets && (!u->literal || ip_is_v4(&ip)))
		return "in brackets there must be an IPv6 address";
	if (!brackets && !is_name(p, n))
		return "the host has a character that no host name has";
	/* RFC 1123 section 2.1: four numbers are an address or nothing. */
	if (!u->literal && strspn(p, "0123456789.") >= n)
		return "this is no IPv4 address";
	memcpy(u->host, p, n);
	u->host[n] = '\0';
	return NULL;
}

bool
check_uri_parse(
    struct check_uri *u, const char *text, char error[static CHECK_ERROR_MAX])
{
	const char *rest, *end, *why;
	bool brackets;

	memset(u, 0, sizeof(*u));
	rest = scheme_skip(u, text);
	if (rest == NULL)
		return fail(error, text,
		    "want stun:HOST, stun:HOST:PORT, stuns:HOST or "
		    "stuns:HOST:PORT");
	if ((why = surplus(rest)) != NULL)
		return fail(error, text, why);
	brackets = rest[0] == '[';
	if (!brackets && strchr(rest, ':') != strrchr(rest, ':'))
		return fail(error, text,
		    "an IPv6 address goes in brackets: stun:[2001:db8::1]");
	rest += brackets;
	end = rest + strcspn(rest, brackets ? "]" : ":");
	if (brackets && *end == '\0')
		return fail(error, text, "the closing bracket is missing");
	why = host_read(u, rest, (size_t)(end - rest), brackets);
	if (why != NULL)
		return fail(error, text, why);
	end += brackets;
	if (*end == ':' && (end[1] == '\0' || !port_read(u, end + 1)))
		return fail(error, text, "want a port of 1 to 65535");
	if (*end != ':' && *end != '\0')
		return fail(error, text, "want a colon and a port after ]");
	return true;
}

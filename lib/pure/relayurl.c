/* relayurl: see relayurl.h. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pure/ip.h"
#include "pure/relayurl.h"

static bool
read_port(const char *s, size_t n, uint16_t *port)
{
	long v;

	if (n == 0 || n > 5 || strspn(s, "0123456789") < n)
		return false;
	v = strtol(s, NULL, 10);
	*port = (uint16_t)v;
	return v > 0 && v < 65536;
}

bool
relayurl_is_host(const char *s, size_t n)
{
	if (n == 0 || n >= RELAYURL_HOST_MAX || s[0] == '.' || s[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("-_.", s[i]) == NULL)
			return false;
		else if (s[i] == '.' && s[i - 1] == '.')
			return false;
	return true;
}

static bool
copy_span(char *to, size_t cap, const char *s, size_t n)
{
	if (n == 0 || n >= cap)
		return false;
	memcpy(to, s, n);
	to[n] = '\0';
	return true;
}

bool
relayurl_is_pin(const char *text)
{
	const size_t skip = strlen(RELAYURL_PIN);

	return strncmp(text, RELAYURL_PIN, skip) == 0 &&
	    strspn(text + skip, "0123456789abcdefABCDEF") == 64 &&
	    text[skip + 64] == '\0';
}

static bool
read_parameter(struct relayurl *u, const char *s, size_t n)
{
	if (n > 4 && strncmp(s, "pin=", 4) == 0)
		return copy_span(u->pin, sizeof(u->pin), s + 4, n - 4) &&
		    relayurl_is_pin(u->pin);
	if (n > 5 && strncmp(s, "name=", 5) == 0)
		return copy_span(u->name, sizeof(u->name), s + 5, n - 5) &&
		    relayurl_is_host(u->name, n - 5);
	if (n > 5 && strncmp(s, "stun=", 5) == 0)
		return read_port(s + 5, n - 5, &u->stun);
	if (n > 5 && strncmp(s, "http=", 5) == 0)
		return read_port(s + 5, n - 5, &u->http);
	return false;
}

/* Reads the host; returns what comes after it, or NULL. */
static const char *
read_host(struct relayurl *u, const char *s)
{
	struct ip ip;
	size_t n;

	if (*s == '[') {
		n = strcspn(++s, "]");
		u->host_is_ip = true;
		return s[n] == ']' && ip_parse(&ip, s, n) &&
			copy_span(u->host, sizeof(u->host), s, n)
		    ? s + n + 1
		    : NULL;
	}
	n = strcspn(s, ":/?");
	u->host_is_ip = ip_parse(&ip, s, n);
	return relayurl_is_host(s, n) &&
		copy_span(u->host, sizeof(u->host), s, n)
	    ? s + n
	    : NULL;
}

bool
relayurl_read(struct relayurl *u, const char *text)
{
	const char *s = text;
	size_t n;

	*u = (struct relayurl){.port = 443, .stun = 3478};
	if (strncmp(s, "https://", 8) != 0)
		return false;
	s = read_host(u, s + 8);
	if (s == NULL)
		return false;
	if (*s == ':') {
		n = strcspn(++s, "/?");
		if (!read_port(s, n, &u->port))
			return false;
		s += n;
	}
	s += *s == '/';
	for (; *s == '?' || *s == '&'; s += n) {
		n = strcspn(++s, "&");
		if (!read_parameter(u, s, n))
			return false;
	}
	return *s == '\0';
}

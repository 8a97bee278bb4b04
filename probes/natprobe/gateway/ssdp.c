/* ssdp: see ssdp.h. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "probes/natprobe/gateway/ssdp.h"

size_t
ssdp_search(char out[static SSDP_REQUEST_MAX], unsigned version)
{
	/* UPnP Device Architecture 1.1 section 1.3.2. */
	return (size_t)snprintf(out, SSDP_REQUEST_MAX,
	    "M-SEARCH * HTTP/1.1\r\n"
	    "HOST: " SSDP_GROUP ":1900\r\n"
	    "MAN: \"ssdp:discover\"\r\n"
	    "MX: 1\r\n"
	    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:%u\r\n\r\n",
	    version);
}

/* Copies what can be printed of n bytes, without spaces around it. */
static void
copy_text(char *out, size_t cap, const char *p, size_t n)
{
	size_t len = 0;

	while (n > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	for (; n > 0 && len + 1 < cap; n--, p++)
		out[len++] = *p >= ' ' && *p < 0x7f ? *p : '?';
	out[len] = '\0';
}

/* The next line of *p, without its end; false at the end. */
static bool
next_line(const char **p, size_t *left, const char **line, size_t *n)
{
	const char *end = memchr(*p, '\n', *left);

	if (end == NULL)
		return false;
	*line = *p;
	*n = (size_t)(end - *p);
	*left -= *n + 1;
	*p = end + 1;
	if (*n > 0 && (*line)[*n - 1] == '\r')
		--*n;
	return *n > 0;
}

static bool
has_name(const char *line, size_t n, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	*value = line + len + 1;
	return true;
}

static bool
is_gateway(const char *st)
{
	return strstr(st, ":InternetGatewayDevice:") != NULL;
}

bool
ssdp_parse(struct ssdp_answer *a, const void *bytes, size_t n)
{
	const char *p = bytes, *line, *value;
	char st[128] = "";
	size_t len, left;

	memset(a, 0, sizeof(*a));
	if (!next_line(&p, &n, &line, &len) || len < 12 ||
	    strncmp(line, "HTTP/1.", 7) != 0 ||
	    strncmp(line + 8, " 200", 4) != 0)
		return false;
	while (next_line(&p, &n, &line, &len)) {
		if (has_name(line, len, "LOCATION", &value)) {
			left = len - (size_t)(value - line);
			if (left >= SSDP_URL_MAX)
				return false;
			copy_text(a->location, SSDP_URL_MAX, value, left);
		} else if (has_name(line, len, "SERVER", &value))
			copy_text(a->server, SSDP_NAME_MAX, value,
			    len - (size_t)(value - line));
		else if (has_name(line, len, "ST", &value))
			copy_text(st, sizeof(st), value,
			    len - (size_t)(value - line));
	}
	return a->location[0] != '\0' && is_gateway(st);
}

bool
ssdp_url_is_at(const char *url, const char *host)
{
	size_t n = strlen(host);
	char *end;
	long port;

	if (strncmp(url, "http://", 7) != 0 || n == 0 ||
	    strncmp(url + 7, host, n) != 0)
		return false;
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	url += 7 + n;
	if (*url == ':') {
		if (url[1] < '0' || url[1] > '9')
			return false;
		port = strtol(url + 1, &end, 10);
		if (port < 1 || port > 65535)
			return false;
		url = end;
	}
	return *url == '/' || *url == '\0';
}

static const char *
find(const char *p, size_t n, const char *what)
{
	return memmem(p, n, what, strlen(what));
}

void
ssdp_xml_text(
    const char *xml, size_t n, const char *name, char *out, size_t cap)
{
	char tag[SSDP_NAME_MAX];
	const char *p, *end;

	*out = '\0';
	snprintf(tag, sizeof(tag), "<%s>", name);
	if ((p = find(xml, n, tag)) == NULL)
		return;
	p += strlen(tag);
	end = memchr(p, '<', n - (size_t)(p - xml));
	if (end != NULL)
		copy_text(out, cap, p, (size_t)(end - p));
}

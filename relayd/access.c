/*
 * access: derper's rule for /debug/ (tsweb.AllowDebugAccess): the right debug
 * key; else nobody behind a proxy; else loopback, Tailscale addresses, and
 * what the environment names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "relayd/relayd.h"

static int
add_prefix(struct access *a, const char *name, const char *text, char *error,
    size_t cap)
{
	if (a->n == ACCESS_PREFIXES_MAX) {
		snprintf(error, cap, "%s: more than %d prefixes", name,
		    ACCESS_PREFIXES_MAX);
		return -1;
	}
	if (!addr_prefix_parse(&a->prefixes[a->n], text)) {
		snprintf(error, cap,
		    "%s: \"%.64s\" is no IP address or prefix such as "
		    "10.0.0.0/8",
		    name, text);
		return -1;
	}
	a->n++;
	return 0;
}

static int
add_list(struct access *a, const char *name, char *error, size_t cap)
{
	const char *value = getenv(name);
	char *copy, *item, *rest;
	int r = 0;

	if (value == NULL || *value == '\0')
		return 0;
	if ((copy = strdup(value)) == NULL) {
		snprintf(error, cap, "%s: out of memory", name);
		return -1;
	}
	for (item = strtok_r(copy, ", ", &rest); item != NULL && r == 0;
	     item = strtok_r(NULL, ", ", &rest))
		r = add_prefix(a, name, item, error, cap);
	free(copy);
	return r;
}

static int
read_key(struct access *a, char *error, size_t cap)
{
	const char *path = getenv("TS_DEBUG_KEY_PATH");
	FILE *f;
	size_t n;

	if (path == NULL || *path == '\0')
		return 0;
	if ((f = fopen(path, "re")) == NULL) {
		snprintf(error, cap, "TS_DEBUG_KEY_PATH: %s: %s", path,
		    strerror(errno));
		return -1;
	}
	n = fread(a->key, 1, sizeof(a->key) - 1, f);
	fclose(f);
	while (n > 0 && strchr(" \t\r\n", a->key[n - 1]) != NULL)
		n--;
	a->key[n] = '\0';
	return 0;
}

int
access_init(struct access *a, char *error, size_t cap)
{
	static const char *const always[] = {
	    "127.0.0.0/8", "::1", "100.64.0.0/10", "fd7a:115c:a1e0::/48"};

	memset(a, 0, sizeof(*a));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (add_prefix(a, "built in", always[i], error, cap) == -1)
			return -1;
	if (add_list(a, "TS_ALLOW_DEBUG_IP", error, cap) == -1 ||
	    add_list(a, "TS_DEBUG_TRUSTED_CIDRS", error, cap) == -1)
		return -1;
	return read_key(a, error, cap);
}

static bool
has_key(const struct access *a, struct span query)
{
	static const char name[] = "debugkey=";
	size_t n = strlen(a->key);

	return n > 0 && query.n == sizeof(name) - 1 + n &&
	    memcmp(query.p, name, sizeof(name) - 1) == 0 &&
	    sodium_memcmp(query.p + sizeof(name) - 1, a->key, n) == 0;
}

bool
access_allowed(const struct access *a, const struct addr *from,
    const struct http1_request *req)
{
	if (!span_is(req->method, "GET") && !span_is(req->method, "HEAD"))
		return false;
	if (has_key(a, req->query))
		return true;
	if (http1_find(req, "X-Forwarded-For") != NULL)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (addr_prefix_has(&a->prefixes[i], from))
			return true;
	return false;
}

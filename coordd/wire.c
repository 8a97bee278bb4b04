/* wire: see wire.h. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "coordd/wire.h"
#include "pure/text.h"

#define ENDPOINTS_MAX	 64
#define HOST_TEXT_MAX	 255
#define HOST_TEXTS_MAX	 16 /* in a list */
#define HOST_LONG_MAX	 1024 /* of a text in a list: a host key */
#define SERVICES_MAX	 64
#define SERVICE_TEXT_MAX 64
#define TAG_MAX		 255 /* what is longer is cut, and then nobody's */

/*
 * Of the host's description peers get what they show and what they connect
 * to, and only if it is of the type that they expect: one wrong member would
 * cost them the whole message, and with it every other node. Members that are
 * not here could be such ones for a newer client. The state of its network is
 * for us, and changes too often.
 */
enum host_kind { HOST_TEXT, HOST_FLAG, HOST_TEXTS, HOST_SERVICES };
static const struct {
	const char *name;
	enum host_kind kind;
} for_peers[] = {{"IPNVersion", HOST_TEXT}, {"OS", HOST_TEXT},
    {"OSVersion", HOST_TEXT}, {"Container", HOST_FLAG}, {"Env", HOST_TEXT},
    {"Distro", HOST_TEXT}, {"DistroVersion", HOST_TEXT},
    {"DistroCodeName", HOST_TEXT}, {"App", HOST_TEXT}, {"Desktop", HOST_FLAG},
    {"Package", HOST_TEXT}, {"Hostname", HOST_TEXT}, {"ShieldsUp", HOST_FLAG},
    {"ShareeNode", HOST_FLAG}, {"NoLogsNoSupport", HOST_FLAG},
    {"IngressEnabled", HOST_FLAG}, {"AllowsUpdate", HOST_FLAG},
    {"Machine", HOST_TEXT}, {"GoArch", HOST_TEXT}, {"GoArchVar", HOST_TEXT},
    {"GoVersion", HOST_TEXT}, {"WoLMACs", HOST_TEXTS},
    {"Services", HOST_SERVICES}, {"sshHostKeys", HOST_TEXTS},
    {"Cloud", HOST_TEXT}, {"Userspace", HOST_FLAG},
    {"UserspaceRouter", HOST_FLAG}, {"PeerRelay", HOST_FLAG},
    {"StateEncrypted", HOST_FLAG}};

static bool
fail(char *error, const char *what, const char *want)
{
	snprintf(error, WIRE_ERROR_MAX, "%s: want %s", what, want);
	return false;
}

/* ---- time ---- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t
days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool
take_number(const char **s, unsigned digits, int64_t *v)
{
	for (*v = 0; digits > 0; digits--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		*v = *v * 10 + (**s - '0');
	}
	return true;
}

/* The next character, and then a number. */
static bool
take_part(const char **s, char c, unsigned digits, int64_t *v)
{
	return *(*s)++ == c && take_number(s, digits, v);
}

static bool
take_date(const char **s, int64_t *year, int64_t *days)
{
	int64_t m, d;

	if (!take_number(s, 4, year) || *year < 1 ||
	    !take_part(s, '-', 2, &m) || m < 1 || m > 12 ||
	    !take_part(s, '-', 2, &d) || d < 1)
		return false;
	*days = days_of(*year, m, d);
	return *days < days_of(*year + m / 12, m % 12 + 1, 1);
}

/* Z, +hh:mm or -hh:mm, and no more. */
static bool
take_zone(const char *s, int64_t *offset)
{
	char sign = *s;
	int64_t h, m;

	*offset = 0;
	if (strcmp(s, "Z") == 0)
		return true;
	if ((sign != '+' && sign != '-') || !take_part(&s, sign, 2, &h) ||
	    h > 23 || !take_part(&s, ':', 2, &m) || m > 59 || *s != '\0')
		return false;
	*offset = (sign == '+' ? 1 : -1) * (h * 3600 + m * 60);
	return true;
}

bool
wire_time(const char *text, int64_t *unix_s)
{
	int64_t y, days, h, m, s, offset;
	size_t digits;

	if (!take_date(&text, &y, &days) || !take_part(&text, 'T', 2, &h) ||
	    h > 23 || !take_part(&text, ':', 2, &m) || m > 59 ||
	    !take_part(&text, ':', 2, &s) || s > 60)
		return false;
	if (*text == '.') {
		digits = strspn(++text, "0123456789");
		if (digits == 0)
			return false;
		text += digits;
	}
	if (!take_zone(text, &offset))
		return false;
	*unix_s = y == 1 ? 0 : days * 86400 + h * 3600 + m * 60 + s - offset;
	return true;
}

/* ---- members ---- */

static bool
read_key(struct key *k, const json_t *root, const char *name,
    const char *prefix, bool required, char *error)
{
	const json_t *v = json_object_get(root, name);

	memset(k, 0, sizeof(*k));
	if (v == NULL && !required)
		return true;
	if (json_is_string(v) && json_string_length(v) == 0 && !required)
		return true;
	if (!json_is_string(v) ||
	    !key_parse(k, prefix, json_string_value(v), json_string_length(v)))
		return fail(error, name, "a key of 64 hex digits");
	return true;
}

static void
copy_text(char *to, size_t cap, const json_t *v)
{
	const char *s = json_is_string(v) ? json_string_value(v) : "";
	size_t n = strlen(s);

	if (n >= cap) {
		n = cap - 1;
		/* Not in the middle of a character. */
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(to, s, n);
	to[n] = '\0';
}

/* ---- Hostinfo ---- */

static int
compare_prefixes(const void *a, const void *b)
{
	const struct ip_prefix *x = a, *y = b;
	int c = ip_compare(&x->ip, &y->ip);

	if (c != 0)
		return c;
	if (x->v4 != y->v4)
		return x->v4 ? -1 : 1;
	return (int)x->bits - (int)y->bits;
}

static bool
read_routes(struct hostinfo *h, const json_t *list)
{
	size_t n = json_array_size(list), kept = 0;

	if (n == 0)
		return true;
	if (n > NODE_ROUTES_MAX)
		n = NODE_ROUTES_MAX;
	if ((h->routes = calloc(n, sizeof(*h->routes))) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);

		if (json_is_string(v) &&
		    ip_prefix_parse(&h->routes[h->nroutes],
			json_string_value(v), json_string_length(v)))
			h->nroutes++;
	}
	qsort(h->routes, h->nroutes, sizeof(*h->routes), compare_prefixes);
	for (size_t i = 0; i < h->nroutes; i++)
		if (kept == 0 ||
		    !ip_prefix_equal(&h->routes[kept - 1], &h->routes[i]))
			h->routes[kept++] = h->routes[i];
	h->nroutes = kept;
	return true;
}

static bool
read_tags(struct hostinfo *h, const json_t *list)
{
	size_t n = json_array_size(list);

	if (n == 0)
		return true;
	if (n > NODE_TAGS_MAX)
		n = NODE_TAGS_MAX;
	if ((h->request_tags = calloc(n, sizeof(char *))) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s == NULL)
			continue;
		h->request_tags[h->nrequest_tags] = strndup(s, TAG_MAX);
		if (h->request_tags[h->nrequest_tags++] == NULL)
			return false;
	}
	return true;
}

/* A text for peers, cut. NULL if it is none. */
static json_t *
host_text(const json_t *v, size_t max)
{
	char text[HOST_TEXT_MAX + 1];

	if (!json_is_string(v))
		return NULL;
	copy_text(text, max + 1, v);
	return json_string(text);
}

static json_t *
host_texts(const json_t *list)
{
	json_t *out = json_array();
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && json_array_size(out) < HOST_TEXTS_MAX;
	     i++) {
		json_t *v = json_array_get(list, i);

		if (json_is_string(v) && json_string_length(v) <= HOST_LONG_MAX)
			json_array_append(out, v);
	}
	return out;
}

static json_t *
host_services(const json_t *list)
{
	json_t *out = json_array(), *service, *text;
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && json_array_size(out) < SERVICES_MAX; i++) {
		const json_t *v = json_array_get(list, i);
		const json_t *port = json_object_get(v, "Port");

		text = host_text(json_object_get(v, "Proto"), SERVICE_TEXT_MAX);
		if (text == NULL || !json_is_integer(port) ||
		    json_integer_value(port) < 0 ||
		    json_integer_value(port) > 65535) {
			json_decref(text);
			continue;
		}
		service = json_pack("{s:o, s:I}", "Proto", text, "Port",
		    json_integer_value(port));
		text = host_text(
		    json_object_get(v, "Description"), SERVICE_TEXT_MAX);
		if (text != NULL)
			json_object_set_new(service, "Description", text);
		json_array_append_new(out, service);
	}
	return out;
}

/* NULL if it is not for peers. */
static json_t *
host_member(const json_t *v, enum host_kind kind)
{
	switch (kind) {
	case HOST_TEXT:
		return host_text(v, HOST_TEXT_MAX);
	case HOST_FLAG:
		return json_is_boolean(v) ? json_boolean(json_is_true(v))
					  : NULL;
	case HOST_TEXTS:
		return json_is_array(v) ? host_texts(v) : NULL;
	case HOST_SERVICES:
		return json_is_array(v) ? host_services(v) : NULL;
	}
	return NULL;
}

/* The text of what peers get of the host. */
static char *
describe_host(const json_t *root)
{
	json_t *out = json_object(), *v;
	char *text;

	for (size_t i = 0; i < sizeof(for_peers) / sizeof(for_peers[0]); i++) {
		v = host_member(json_object_get(root, for_peers[i].name),
		    for_peers[i].kind);
		if (v != NULL)
			json_object_set_new(out, for_peers[i].name, v);
	}
	text = json_dumps(out, JSON_COMPACT);
	json_decref(out);
	return text;
}

/* Region 0 is a client that has no relay at the moment: peers cannot be told
 * that, so it keeps the last one. */
static bool
read_host(struct hostinfo *h, const json_t *root)
{
	const json_t *net = json_object_get(root, "NetInfo");
	const json_t *derp = json_object_get(net, "PreferredDERP");

	h->home_derp = -1;
	if (json_is_integer(derp) && json_integer_value(derp) > 0 &&
	    json_integer_value(derp) < 65536)
		h->home_derp = (int)json_integer_value(derp);
	copy_text(h->hostname, sizeof(h->hostname),
	    json_object_get(root, "Hostname"));
	if (!read_routes(h, json_object_get(root, "RoutableIPs")) ||
	    !read_tags(h, json_object_get(root, "RequestTags")))
		return false;
	h->json = describe_host(root);
	return h->json != NULL;
}

void
hostinfo_clear(struct hostinfo *h)
{
	for (size_t i = 0; i < h->nrequest_tags; i++)
		free(h->request_tags[i]);
	free(h->request_tags);
	free(h->routes);
	free(h->json);
	*h = (struct hostinfo){.home_derp = -1};
}

/* ---- RegisterRequest ---- */

static bool
read_register(struct register_request *r, const json_t *root, char *error)
{
	const json_t *host = json_object_get(root, "Hostinfo");
	const json_t *expiry = json_object_get(root, "Expiry");
	const json_t *auth = json_object_get(root, "Auth");

	r->capver = (int)json_integer_value(json_object_get(root, "Version"));
	if (!read_key(&r->node_key, root, "NodeKey", KEY_NODE, true, error) ||
	    !read_key(
		&r->old_node_key, root, "OldNodeKey", KEY_NODE, false, error))
		return false;
	if (key_is_zero(&r->node_key))
		return fail(error, "NodeKey", "one that is not zero");
	copy_text(
	    r->auth_key, sizeof(r->auth_key), json_object_get(auth, "AuthKey"));
	copy_text(r->followup, sizeof(r->followup),
	    json_object_get(root, "Followup"));
	r->ephemeral = json_is_true(json_object_get(root, "Ephemeral"));
	if (json_is_string(expiry) &&
	    !wire_time(json_string_value(expiry), &r->expiry))
		return fail(error, "Expiry", "a time of RFC 3339");
	r->host.home_derp = -1;
	if (json_is_object(host) && !read_host(&r->host, host))
		return fail(error, "Hostinfo", "less: out of memory");
	return true;
}

static json_t *
load_object(const char *json, size_t n, char *error)
{
	json_error_t e;
	json_t *root = json_loadb(json, n, 0, &e);

	if (root == NULL) {
		snprintf(error, WIRE_ERROR_MAX, "body, byte %d: %.80s",
		    e.position, e.text);
		/* What is quoted of the body is its sender's. */
		for (char *p = error; *p != '\0'; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				*p = '?';
	} else if (!json_is_object(root)) {
		fail(error, "body", "a JSON object");
		json_decref(root);
		root = NULL;
	}
	return root;
}

bool
register_request_read(struct register_request *r, const char *json, size_t n,
    char error[static WIRE_ERROR_MAX])
{
	json_t *root;
	bool good;

	memset(r, 0, sizeof(*r));
	if ((root = load_object(json, n, error)) == NULL)
		return false;
	good = read_register(r, root, error);
	json_decref(root);
	return good;
}

void
register_request_clear(struct register_request *r)
{
	hostinfo_clear(&r->host);
	sodium_memzero(r->auth_key, sizeof(r->auth_key));
}

/* ---- MapRequest ---- */

/* Reads "ip:port" or "[ip]:port" that a peer may try: no zone, no link-local
 * IPv6. */
static bool
read_endpoint(const char *s, struct ip *ip, long *port)
{
	const char *colon = strrchr(s, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - s);
	size_t digits = n == 0 ? 0 : strspn(colon + 1, "0123456789");

	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
		return false;
	*port = strtol(colon + 1, NULL, 10);
	if (*port < 1 || *port > 65535)
		return false;
	if (*s == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	return ip_parse(ip, s, n) &&
	    !(ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80);
}

/* Written anew, in the one form that all peers can read. */
static bool
read_endpoints(struct map_request *r, const json_t *list)
{
	struct text t = TEXT_EMPTY;
	size_t n = json_array_size(list), kept = 0;
	char ip_as_text[IP_TEXT_MAX];
	struct ip ip;
	long port;

	text_char(&t, '[');
	for (size_t i = 0; i < n && kept < ENDPOINTS_MAX; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s == NULL || !read_endpoint(s, &ip, &port))
			continue;
		if (kept++ > 0)
			text_char(&t, ',');
		text_fmt(&t, ip_is_v4(&ip) ? "\"%s:%ld\"" : "\"[%s]:%ld\"",
		    ip_text(&ip, ip_as_text), port);
	}
	text_char(&t, ']');
	r->endpoints = text_take(&t);
	return r->endpoints != NULL;
}

static bool
read_map(struct map_request *r, const json_t *root, char *error)
{
	const json_t *host = json_object_get(root, "Hostinfo");
	const json_t *endpoints = json_object_get(root, "Endpoints");
	const char *compress =
	    json_string_value(json_object_get(root, "Compress"));

	r->capver = (int)json_integer_value(json_object_get(root, "Version"));
	r->stream = json_is_true(json_object_get(root, "Stream"));
	r->omit_peers = json_is_true(json_object_get(root, "OmitPeers"));
	r->keep_alive = json_is_true(json_object_get(root, "KeepAlive"));
	r->compressed = compress != NULL && strcmp(compress, "zstd") == 0;
	r->has_host = json_is_object(host);
	r->has_endpoints = json_is_array(endpoints);
	r->host.home_derp = -1;
	if (!read_key(&r->node_key, root, "NodeKey", KEY_NODE, true, error) ||
	    !read_key(&r->disco, root, "DiscoKey", KEY_DISCO, false, error))
		return false;
	if ((r->has_host && !read_host(&r->host, host)) ||
	    (r->has_endpoints && !read_endpoints(r, endpoints)))
		return fail(error, "body", "less: out of memory");
	return true;
}

bool
map_request_read(struct map_request *r, const char *json, size_t n,
    char error[static WIRE_ERROR_MAX])
{
	json_t *root;
	bool good;

	memset(r, 0, sizeof(*r));
	if ((root = load_object(json, n, error)) == NULL)
		return false;
	good = read_map(r, root, error);
	json_decref(root);
	return good;
}

void
map_request_clear(struct map_request *r)
{
	hostinfo_clear(&r->host);
	free(r->endpoints);
	r->endpoints = NULL;
}

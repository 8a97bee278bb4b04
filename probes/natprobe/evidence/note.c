/* note: the comments of a capture. PURE. */
#include <string.h>

#include "probes/natprobe/evidence/note.h"
#include "pure/ip.h"

#define SCHEMA "natprobe_capture"
#define CALL   "tcp_connection"
#define FORM   2 /* 1 was of the questions over UDP alone */

static const char *const families[] = {"ipv4", "ipv6"};

static json_t *
family_json(const struct note *n, int v6)
{
	json_t *servers = json_array();
	const struct targets *t = &n->targets;

	for (size_t i = 0; i < t->n[v6]; i++)
		json_array_append_new(servers,
		    json_pack("{s:s, s:o}", "name", t->name[v6][i], "address",
			json_of_addr(&t->v[v6][i])));
	return json_pack("{s:i, s:o}", "local_addresses", n->local_ips[v6],
	    "servers", servers);
}

/* jansson refuses what is no UTF-8; then the note goes without it. */
static const char *
sound(const char *text)
{
	json_t *s = json_string(text);
	const char *r = s == NULL ? "" : text;

	json_decref(s);
	return r;
}

char *
note_begin_text(const struct note *n)
{
	json_t *o =
	    json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:I}",
		SCHEMA, FORM, "building", sound(n->building), "lifetime",
		n->lifetime, "refresh", n->refresh, "hairpin", n->hairpin,
		"tcp", n->tcp, "tcp_lifetime", n->tcp_lifetime, "ttl_max_s",
		n->ttl_max_s, "ttl_resolution_s", n->ttl_resolution_s, "rate",
		n->rate, "begin_us", (json_int_t)n->begin_us);
	char *text;

	for (int v6 = 0; v6 < 2; v6++)
		if (n->local_ips[v6] > 0)
			json_object_set_new(
			    o, families[v6], family_json(n, v6));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *
note_call_text(const struct note_call *c)
{
	json_t *o = json_pack("{s:i, s:{s:i, s:o, s:o}}", SCHEMA, FORM, CALL,
	    "number", c->call, "local", json_of_addr(&c->local), "to",
	    json_of_addr(&c->to));
	char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

char *
note_end_text(const struct note *n)
{
	json_t *o = json_pack("{s:i, s:b, s:I, s:I}", SCHEMA, FORM, "complete",
	    n->complete, "end_us", (json_int_t)n->end_us, "dropped",
	    (json_int_t)n->dropped);
	char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

/* ---- reading ---- */

/* "192.0.2.1:5" or "[2001:db8::1]:5", as json_of_addr writes it. */
static bool
read_address(struct stun_addr *a, const char *text)
{
	const char *colon = text == NULL ? NULL : strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	unsigned port = 0;
	struct ip ip;

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || !ip_parse(&ip, text, n) || strlen(colon) > 6)
		return false;
	for (const char *c = colon + 1; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		port = port * 10 + (unsigned)(*c - '0');
	}
	memcpy(a->ip, ip.b, sizeof(a->ip));
	a->port = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

static bool
read_server(struct targets *t, int v6, const json_t *server)
{
	const char *name = json_string_value(json_object_get(server, "name"));
	struct stun_addr a;
	size_t i = t->n[v6];

	if (i == PROBE_SERVERS || name == NULL ||
	    strlen(name) >= sizeof(t->name[v6][i]) ||
	    !read_address(
		&a, json_string_value(json_object_get(server, "address"))) ||
	    stun_addr_is_v4(&a) != !v6)
		return false;
	t->v[v6][i] = a;
	memcpy(t->name[v6][i], name, strlen(name) + 1);
	t->n[v6]++;
	return true;
}

static bool
read_family(struct note *n, int v6, const json_t *family)
{
	json_int_t local =
	    json_integer_value(json_object_get(family, "local_addresses"));
	const json_t *server;
	size_t i;

	if (family == NULL)
		return true;
	if (local < 1 || local > 2)
		return false;
	n->local_ips[v6] = (uint8_t)local;
	n->targets.n[v6] = 0;
	json_array_foreach(json_object_get(family, "servers"), i, server)
	{
		if (!read_server(&n->targets, v6, server))
			return false;
	}
	return i > 0;
}

/* 0 if it is not there. False if it cannot be. */
static bool
read_number(uint16_t *v, const json_t *o, const char *name)
{
	json_int_t i = json_integer_value(json_object_get(o, name));

	*v = (uint16_t)i;
	return i >= 0 && i <= UINT16_MAX;
}

/* Until the year 2200, so that sums of times stay within range. */
#define US_MAX (INT64_C(7258118400) * 1000000)

static bool
read_form2(struct note *n, const json_t *o)
{
	n->tcp = json_is_true(json_object_get(o, "tcp"));
	n->tcp_lifetime = json_is_true(json_object_get(o, "tcp_lifetime"));
	n->begin_us = json_integer_value(json_object_get(o, "begin_us"));
	return n->begin_us >= 0 && n->begin_us <= US_MAX &&
	    read_number(&n->ttl_max_s, o, "ttl_max_s") &&
	    read_number(&n->ttl_resolution_s, o, "ttl_resolution_s") &&
	    read_number(&n->rate, o, "rate");
}

static bool
read_begin(struct note *n, const json_t *o)
{
	const char *building =
	    json_string_value(json_object_get(o, "building"));

	if (building == NULL || strlen(building) >= sizeof(n->building))
		return false;
	memcpy(n->building, building, strlen(building) + 1);
	n->lifetime = json_is_true(json_object_get(o, "lifetime"));
	n->refresh = json_is_true(json_object_get(o, "refresh"));
	n->hairpin = json_is_true(json_object_get(o, "hairpin"));
	n->set_up = true;
	return read_form2(n, o) &&
	    read_family(n, 0, json_object_get(o, families[0])) &&
	    read_family(n, 1, json_object_get(o, families[1]));
}

static bool
read_call(struct note *n, const json_t *o)
{
	struct note_call *c = &n->calls[n->n_calls];

	if (n->n_calls == NOTE_CALLS_MAX ||
	    !read_number(&c->call, o, "number") ||
	    !read_address(
		&c->local, json_string_value(json_object_get(o, "local"))) ||
	    !read_address(&c->to, json_string_value(json_object_get(o, "to"))))
		return false;
	n->n_calls++;
	return true;
}

static bool
read_end(struct note *n, const json_t *o)
{
	json_int_t end = json_integer_value(json_object_get(o, "end_us"));
	json_int_t dropped = json_integer_value(json_object_get(o, "dropped"));

	if (end <= 0 || end > US_MAX || dropped < 0)
		return false;
	n->complete = json_is_true(json_object_get(o, "complete"));
	n->end_us = end;
	n->dropped = (uint64_t)dropped;
	n->ended = true;
	return true;
}

bool
note_read(struct note *n, const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, 0, NULL);
	json_int_t form = json_integer_value(json_object_get(o, SCHEMA));
	struct note got = *n;
	bool good = false;

	if (form >= 1 && form <= FORM)
		good = json_object_get(o, "end_us") != NULL ? read_end(&got, o)
		    : json_object_get(o, CALL) != NULL
		    ? read_call(&got, json_object_get(o, CALL))
		    : read_begin(&got, o);
	json_decref(o);
	if (good)
		*n = got;
	return good;
}

/* json: see json.h. PURE. */
#include "probes/natprobe/views/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/reading.h"
#include "pure/ip.h"

void
refuse(const struct from *f, const char *key, const char *what)
{
	if (!*f->good)
		return;
	*f->good = false;
	snprintf(f->error, READING_ERROR_MAX, "%s%s: %s", f->where, key, what);
}

const json_t *
need(const struct from *f, const char *key)
{
	const json_t *v = json_object_get(f->o, key);

	if (v == NULL)
		refuse(f, key, "missing");
	return v;
}

static void
place(char where[static JSON_WHERE_MAX], const char *above, const char *key)
{
	if (snprintf(where, JSON_WHERE_MAX, "%s%s.", above, key) >=
	    JSON_WHERE_MAX)
		where[0] = '\0';
}

struct from
inside(const struct from *f, const char *key)
{
	struct from in = {
	    .o = need(f, key), .error = f->error, .good = f->good};

	if (in.o != NULL && !json_is_object(in.o))
		refuse(f, key, "want an object");
	place(in.where, f->where, key);
	return in;
}

struct from
element(const struct from *f, const char *key, const json_t *o)
{
	struct from in = {.o = o, .error = f->error, .good = f->good};

	if (!json_is_object(o))
		refuse(f, key, "want objects");
	place(in.where, f->where, key);
	return in;
}

bool
has(const struct from *f, const char *key)
{
	const json_t *v = json_object_get(f->o, key);

	return v != NULL && !json_is_null(v);
}

bool
get_bool(const struct from *f, const char *key)
{
	const json_t *v = need(f, key);

	if (v != NULL && !json_is_boolean(v))
		refuse(f, key, "want true or false");
	return json_is_true(v);
}

const char *
get_string(const struct from *f, const char *key)
{
	const json_t *v = need(f, key);

	if (v != NULL && !json_is_string(v))
		refuse(f, key, "want a string");
	return json_is_string(v) ? json_string_value(v) : "";
}

const char *
get_optional(const struct from *f, const char *key)
{
	return has(f, key) ? get_string(f, key) : "";
}

double
get_number(const struct from *f, const char *key, double most)
{
	const json_t *v = need(f, key);
	double d = json_number_value(v);
	char what[80];

	if (v == NULL || json_is_null(v))
		return 0;
	if (json_is_number(v) && isfinite(d) && d >= 0 && d <= most)
		return d;
	snprintf(what, sizeof(what), "want a number from 0 to %.0f", most);
	refuse(f, key, what);
	return 0;
}

unsigned
get_count(const struct from *f, const char *key)
{
	return (unsigned)get_number(f, key, JSON_NUMBER_MAX);
}

/* ---- words ---- */

unsigned
get_word(const struct from *f, const char *key, const char *(*word)(unsigned),
    unsigned n)
{
	const char *s = get_string(f, key);
	char shown[48], what[120];

	for (unsigned i = 0; i < n; i++)
		if (strcmp(s, word(i)) == 0)
			return i;
	reading_name(shown, sizeof(shown), s);
	snprintf(
	    what, sizeof(what), "\"%s\" is no verdict of this version", shown);
	refuse(f, key, what);
	return 0;
}

static const char *
answer_word(unsigned i)
{
	return answer_name((enum answer)i);
}

static const char *
reason_word(unsigned i)
{
	return reason_name((enum reason)i);
}

enum answer
get_answer(const struct from *f, const char *key)
{
	return (enum answer)get_word(f, key, answer_word, ANSWER_YES + 1);
}

enum reason
get_why(const struct from *f)
{
	const json_t *v = need(f, "why");

	if (v == NULL || json_is_null(v))
		return REASON_NONE;
	return (enum reason)get_word(f, "why", reason_word, REASONS);
}

/* ---- addresses ---- */

void
get_endpoint(const struct from *f, const char *key, struct stun_addr *a)
{
	const json_t *v = need(f, key);
	const char *s, *colon;
	struct ip ip;
	size_t n;
	long port;
	char *end;

	if (v == NULL || json_is_null(v))
		return;
	s = get_string(f, key);
	colon = strrchr(s, ':');
	n = colon == NULL ? 0 : (size_t)(colon - s);
	if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	port = n == 0 ? 0 : strtol(colon + 1, &end, 10);
	if (port < 1 || port > 65535 || *end != '\0' || !ip_parse(&ip, s, n)) {
		refuse(f, key, "want an IP address and a port");
		return;
	}
	memcpy(a->ip, ip.b, sizeof(a->ip));
	a->port = (uint16_t)port;
}

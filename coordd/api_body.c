/*
 * api_body: what a request brings: its query and the JSON of its body. What
 * is not expected is refused by name, so that a mistake is never taken for a
 * wish that was granted.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "coordd/api.h"

static const char *
type_name(enum api_type type)
{
	switch (type) {
	case API_BOOL:
		return "true or false";
	case API_INTEGER:
		return "an integer";
	case API_STRING:
		return "a string";
	case API_STRINGS:
		return "an array of strings";
	case API_TIME:
		break;
	}
	return "a time such as \"2030-01-31T12:00:00Z\", or null";
}

static bool
strings_ok(const json_t *v)
{
	const json_t *s;
	size_t i;

	if (!json_is_array(v))
		return false;
	json_array_foreach(v, i, s) if (!json_is_string(s)) return false;
	return true;
}

static bool
type_ok(enum api_type type, const json_t *v)
{
	int64_t t;

	switch (type) {
	case API_BOOL:
		return json_is_boolean(v);
	case API_INTEGER:
		return json_is_integer(v);
	case API_STRING:
		return json_is_string(v);
	case API_STRINGS:
		return strings_ok(v);
	case API_TIME:
		break;
	}
	return json_is_null(v) ||
	    (json_is_string(v) && api_parse_time(json_string_value(v), &t));
}

static const struct api_member *
find_member(const struct api_member *members, const char *name)
{
	for (; members->name != NULL; members++)
		if (strcmp(members->name, name) == 0)
			return members;
	return NULL;
}

static bool
refuse_unknown(
    struct api_call *a, const struct api_member *members, const char *name)
{
	char shown[OPS_SHOW_MAX];
	struct text known = TEXT_EMPTY;

	for (size_t i = 0; members[i].name != NULL; i++)
		text_fmt(&known, "%s%s", i == 0 ? "" : ", ", members[i].name);
	ops_fail(&a->r, HTTP_BADREQUEST, "member \"%s\": unknown; want %s",
	    ops_show(shown, name), known.len == 0 ? "none" : known.p);
	text_clear(&known);
	return false;
}

static bool
check_members(struct api_call *a, const struct api_member *members)
{
	const struct api_member *m;
	const char *name;
	json_t *v;

	json_object_foreach(a->body, name, v)
	{
		if ((m = find_member(members, name)) == NULL)
			return refuse_unknown(a, members, name);
		if (!type_ok(m->type, v))
			return ops_fail(&a->r, HTTP_BADREQUEST,
			    "member \"%s\": want %s", name, type_name(m->type));
	}
	for (m = members; m->name != NULL; m++)
		if (m->required && json_object_get(a->body, m->name) == NULL)
			return ops_fail(&a->r, HTTP_BADREQUEST,
			    "member \"%s\": missing; want %s", m->name,
			    type_name(m->type));
	return true;
}

bool
api_read_body(struct api_call *a, const struct api_member *members)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(a->req);
	size_t n = evbuffer_get_length(in);
	const char *text;
	json_error_t e;

	if (members == NULL)
		return n == 0 ||
		    ops_fail(&a->r, HTTP_BADREQUEST, "body: want none");
	if (n > ADMIN_BODY_MAX)
		return ops_fail(&a->r, HTTP_ENTITYTOOLARGE,
		    "body: %zu bytes; at most %d are possible", n,
		    ADMIN_BODY_MAX);
	if (n == 0) {
		a->body = json_object();
	} else {
		text = (const char *)evbuffer_pullup(in, -1);
		if (text == NULL)
			return ops_no_memory(&a->r);
		a->body = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
		if (a->body == NULL)
			return ops_fail(&a->r, HTTP_BADREQUEST,
			    "body: line %d, column %d: %s", e.line, e.column,
			    json_error_code(&e) == json_error_null_character ||
				    json_error_code(&e) ==
					json_error_null_byte_in_key
				? "a string holds a zero byte (\\u0000)"
				: e.text);
	}
	if (!json_is_object(a->body))
		return ops_fail(
		    &a->r, HTTP_BADREQUEST, "body: want a JSON object");
	return check_members(a, members);
}

static bool
word_among(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *p = words; *p != '\0'; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && strncmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

bool
api_read_query(struct api_call *a, const char *names)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(a->req);
	const char *text = evhttp_uri_get_query(uri);
	char shown[OPS_SHOW_MAX];
	const struct evkeyval *kv;

	if (text == NULL || text[0] == '\0')
		return true;
	if (evhttp_parse_query_str(text, &a->query) == -1)
		return ops_fail(
		    &a->r, HTTP_BADREQUEST, "query: want name=value");
	TAILQ_FOREACH (kv, &a->query, next)
		if (!word_among(kv->key, names))
			return ops_fail(&a->r, HTTP_BADREQUEST,
			    "query \"%s\": unknown; want %s",
			    ops_show(shown, kv->key),
			    names[0] == '\0' ? "none" : names);
	return true;
}

const char *
api_query(const struct api_call *a, const char *name)
{
	return evhttp_find_header(&a->query, name);
}

const char *
api_string(const struct api_call *a, const char *name)
{
	return json_string_value(json_object_get(a->body, name));
}

bool
api_bool(const struct api_call *a, const char *name, bool otherwise)
{
	const json_t *v = json_object_get(a->body, name);

	return v == NULL ? otherwise : json_is_true(v);
}

int64_t
api_integer(const struct api_call *a, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(a->body, name);

	return v == NULL ? otherwise : json_integer_value(v);
}

int64_t
api_time(const struct api_call *a, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(a->body, name);
	int64_t t = 0;

	if (v == NULL)
		return otherwise;
	if (json_is_string(v))
		(void)api_parse_time(json_string_value(v), &t);
	return t;
}

bool
api_strings(const struct api_call *a, const char *name, const char *const **v,
    size_t *n)
{
	const json_t *list = json_object_get(a->body, name), *s;
	const char **copy = calloc(json_array_size(list) + 1, sizeof(*copy));
	size_t i;

	if (copy == NULL)
		return false;
	json_array_foreach(list, i, s) copy[i] = json_string_value(s);
	*v = copy;
	*n = json_array_size(list);
	return true;
}

/* Reads exactly `count` digits, then moves on. */
static bool
take_number(const char **p, int count, int *v)
{
	*v = 0;
	for (int i = 0; i < count; i++) {
		if (**p < '0' || **p > '9')
			return false;
		*v = *v * 10 + *(*p)++ - '0';
	}
	return true;
}

static bool
take_char(const char **p, const char *any)
{
	if (**p == '\0' || strchr(any, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

/* "Z", or how far the clock there is ahead: "+02:00". */
static bool
take_zone(const char **p, int64_t *seconds)
{
	char sign = **p;
	int hours, minutes;

	*seconds = 0;
	if (take_char(p, "Zz"))
		return true;
	if (!take_char(p, "+-") || !take_number(p, 2, &hours) ||
	    !take_char(p, ":") || !take_number(p, 2, &minutes) || hours > 23 ||
	    minutes > 59)
		return false;
	*seconds = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
	return true;
}

bool
api_parse_time(const char *p, int64_t *unix_s)
{
	struct tm tm = {0}, same;
	int64_t ahead;
	time_t t;

	if (!take_number(&p, 4, &tm.tm_year) || !take_char(&p, "-") ||
	    !take_number(&p, 2, &tm.tm_mon) || !take_char(&p, "-") ||
	    !take_number(&p, 2, &tm.tm_mday) || !take_char(&p, "Tt ") ||
	    !take_number(&p, 2, &tm.tm_hour) || !take_char(&p, ":") ||
	    !take_number(&p, 2, &tm.tm_min) || !take_char(&p, ":") ||
	    !take_number(&p, 2, &tm.tm_sec))
		return false;
	if (take_char(&p, "."))
		p += strspn(p, "0123456789");
	if (!take_zone(&p, &ahead) || *p != '\0')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	same = tm;
	t = timegm(&same);
	/* timegm takes February 30 for March 2. */
	if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
	    same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min)
		return false;
	*unix_s = (int64_t)t - ahead;
	return *unix_s > 0;
}

struct user *
api_find_user(struct api_call *a, const char *text)
{
	char shown[OPS_SHOW_MAX];
	struct user *u = ops_find_user(a->c, text);

	if (u == NULL)
		ops_fail(&a->r, HTTP_NOTFOUND, "no user \"%s\"",
		    ops_show(shown, text));
	return u;
}

struct node *
api_find_node(struct api_call *a, const char *text)
{
	char shown[OPS_SHOW_MAX];
	struct node *n = ops_find_node(a->c, text);

	if (n == NULL)
		ops_fail(&a->r, HTTP_NOTFOUND, "no node \"%s\"",
		    ops_show(shown, text));
	return n;
}

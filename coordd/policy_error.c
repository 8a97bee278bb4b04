/* policy_error: says what is wrong with a policy, and where. PURE. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordd/policy_impl.h"

/* The nearest place around `at` that can be found. */
static struct hujson_place
place_of(
    const struct policy_reader *r, const struct hujson_path *at, bool of_key)
{
	size_t offset = 0;

	while (at != NULL && !hujson_find(r->text, r->n, at, of_key, &offset)) {
		at = at->up;
		of_key = false;
	}
	return hujson_place_of(r->text, r->n, offset);
}

/* The error is one line, whatever the policy holds. */
static void
make_printable(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

bool
policy_refuse(struct policy_reader *r, const struct hujson_path *at,
    bool of_key, const char *fmt, ...)
{
	struct hujson_place where = place_of(r, at, of_key);
	va_list ap;
	int n;

	n = snprintf(r->error, POLICY_ERROR_MAX,
	    "line %zu, column %zu: ", where.line, where.column);
	va_start(ap, fmt);
	vsnprintf(r->error + n, (size_t)(POLICY_ERROR_MAX - n), fmt, ap);
	va_end(ap);
	make_printable(r->error);
	return false;
}

bool
policy_no_memory(struct policy_reader *r)
{
	snprintf(r->error, POLICY_ERROR_MAX,
	    "line 1, column 1: not enough memory for the policy");
	return false;
}

void *
policy_grow(void *v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap == 0 ? 4 : *cap * 2;
	void *p;

	if (n < *cap)
		return v;
	p = reallocarray(v, more, size);
	if (p != NULL)
		*cap = more;
	return p;
}

bool
policy_fields(struct policy_reader *r, const struct hujson_path *at,
    json_t *object, const struct policy_field *fields)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_object(object))
		return policy_refuse(
		    r, at, false, "must be an object, { ... }");
	json_object_foreach(object, here.key, value)
	{
		const struct policy_field *f = fields;

		if (here.key[0] == '#') /* notes of other programs */
			continue;
		while (f->name != NULL && strcasecmp(f->name, here.key) != 0)
			f++;
		if (f->name == NULL)
			return policy_refuse(
			    r, &here, true, "unknown key \"%s\"", here.key);
		if (*f->value != NULL)
			return policy_refuse(
			    r, &here, true, "\"%s\" is here twice", here.key);
		*f->value = value;
		if (f->key != NULL)
			*f->key = here.key;
	}
	return true;
}

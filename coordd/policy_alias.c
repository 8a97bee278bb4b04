/*
 * policy_alias: the names of a policy, from their text; and lists of sources.
 * PURE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

static bool
has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int
name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A user's name as the policy writes it, "name@" or "name@domain". */
static char *
user_name(const char *text)
{
	size_t n = strlen(text);

	return strndup(text, text[n - 1] == '@' ? n - 1 : n);
}

static bool
read_members(struct policy_reader *r, struct alias *a, const json_t *list)
{
	size_t i, n = json_array_size(list);
	json_t *member;

	a->members = calloc(n + 1, sizeof(*a->members));
	if (a->members == NULL)
		return policy_no_memory(r);
	json_array_foreach(list, i, member)
	{
		a->members[i] = user_name(json_string_value(member));
		if (a->members[i] == NULL)
			return policy_no_memory(r);
		a->nmembers++;
	}
	qsort(a->members, n, sizeof(*a->members), name_order);
	return true;
}

static bool
read_group(struct policy_reader *r, const struct hujson_path *at,
    struct alias *a, const char *text)
{
	const json_t *group = json_object_get(r->groups, text);

	if (group == NULL)
		return policy_refuse(
		    r, at, false, "\"%s\" is not in \"groups\"", text);
	a->kind = ALIAS_GROUP;
	return read_members(r, a, group);
}

static bool
read_autogroup(struct policy_reader *r, const struct hujson_path *at,
    struct alias *a, const char *text)
{
	static const struct {
		const char *text;
		enum alias_kind kind;
	} rows[] = {
	    {"autogroup:internet", ALIAS_INTERNET},
	    {"autogroup:member", ALIAS_MEMBER},
	    {"autogroup:tagged", ALIAS_TAGGED},
	    {"autogroup:self", ALIAS_SELF},
	    {"autogroup:danger-all", ALIAS_DANGER_ALL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(text, rows[i].text) == 0) {
			a->kind = rows[i].kind;
			return true;
		}
	return policy_refuse(r, at, false,
	    "\"%s\" is no autogroup that there is: use autogroup:member, "
	    "tagged, self, internet or danger-all",
	    text);
}

static bool
read_host(struct policy_reader *r, const struct hujson_path *at,
    struct alias *a, const char *text)
{
	const json_t *host = json_object_get(r->hosts, text);
	const char *address = json_string_value(host);

	if (strchr(text, ':') != NULL || strchr(text, '/') != NULL)
		return policy_refuse(r, at, false,
		    "\"%s\" is no user (name@), group:, tag:, autogroup:, "
		    "host, address or prefix",
		    text);
	if (address == NULL)
		return policy_refuse(r, at, false,
		    "\"%s\" is not in \"hosts\" (a user is written \"%s@\")",
		    text, text);
	a->kind = ALIAS_ADDRESS;
	return ip_prefix_parse(&a->prefix, address, strlen(address));
}

static bool
read_user(struct policy_reader *r, const struct hujson_path *at,
    struct alias *a, const char *text)
{
	if (strcmp(text, "@") == 0)
		return policy_refuse(r, at, false,
		    "\"@\" is no user: a name stands before the @");
	a->kind = ALIAS_USER;
	a->name = user_name(text);
	return a->name != NULL || policy_no_memory(r);
}

static bool
read_tag(struct policy_reader *r, const struct hujson_path *at, struct alias *a,
    const char *text)
{
	if (json_object_get(r->tags, text) == NULL)
		return policy_refuse(r, at, false,
		    "\"%s\" has no owner: it is not in \"tagOwners\"", text);
	a->kind = ALIAS_TAG;
	a->name = strdup(text);
	return a->name != NULL || policy_no_memory(r);
}

/* The order of the questions is Headscale's (parseAlias). */
static bool
alias_read(struct policy_reader *r, const struct hujson_path *at,
    struct alias *a, const char *text)
{
	if (ip_prefix_parse(&a->prefix, text, strlen(text))) {
		a->kind = ALIAS_ADDRESS;
		return true;
	}
	if (strcmp(text, "*") == 0) {
		a->kind = ALIAS_ANY;
		return true;
	}
	if (strchr(text, '@') != NULL)
		return read_user(r, at, a, text);
	if (has_prefix(text, "group:"))
		return read_group(r, at, a, text);
	if (has_prefix(text, "tag:"))
		return read_tag(r, at, a, text);
	if (has_prefix(text, "autogroup:"))
		return read_autogroup(r, at, a, text);
	return read_host(r, at, a, text);
}

static bool
alias_add(struct policy_reader *r, const struct hujson_path *at,
    const char *text, uint32_t *index)
{
	struct policy *p = r->p;
	struct alias *a =
	    policy_grow(p->aliases, p->naliases, &p->cap_aliases, sizeof(*a));

	if (a == NULL)
		return policy_no_memory(r);
	p->aliases = a;
	a = &p->aliases[p->naliases++];
	*a = (struct alias){.first_rule = POLICY_NONE};
	*index = (uint32_t)(p->naliases - 1);
	if (!alias_read(r, at, a, text))
		return false;
	if (json_object_set_new_nocheck(
		r->alias_ids, text, json_integer(*index)) == -1)
		return policy_no_memory(r);
	return true;
}

/* Why an alias of that kind may not stand there, or NULL. */
static const char *
misplaced(enum alias_kind kind, enum alias_place place)
{
	bool named = kind == ALIAS_USER || kind == ALIAS_GROUP ||
	    kind == ALIAS_TAG || kind == ALIAS_MEMBER || kind == ALIAS_TAGGED;

	switch (place) {
	case PLACE_SOURCE:
		if (kind == ALIAS_INTERNET || kind == ALIAS_SELF)
			return "can only be a destination";
		break;
	case PLACE_DESTINATION:
		if (kind == ALIAS_DANGER_ALL)
			return "can only be a source";
		break;
	case PLACE_TARGET:
		if (!named && kind != ALIAS_ANY && kind != ALIAS_ADDRESS)
			return "cannot be a target of nodeAttrs";
		break;
	case PLACE_OWNER:
		if (!named)
			return "is no user, group, tag, autogroup:member or "
			       "autogroup:tagged";
		break;
	case PLACE_TEST_SOURCE:
		if (!named && kind != ALIAS_ADDRESS)
			return "cannot be the source of a test";
		break;
	case PLACE_TEST_DESTINATION:
		if (!named && kind != ALIAS_ADDRESS && kind != ALIAS_SELF)
			return "cannot be the destination of a test";
		break;
	}
	return NULL;
}

bool
policy_alias(struct policy_reader *r, const struct hujson_path *at,
    const char *text, size_t n, enum alias_place place, uint32_t *index)
{
	char *name;
	const char *why;
	const json_t *known;
	bool good = true;

	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	while (n > 0 && strchr(" \t\r\n", *text) != NULL) {
		text++;
		n--;
	}
	name = strndup(text, n);
	if (name == NULL)
		return policy_no_memory(r);
	known = json_object_get(r->alias_ids, name);
	if (known != NULL)
		*index = (uint32_t)json_integer_value(known);
	else
		good = alias_add(r, at, name, index);
	if (good) {
		why = misplaced(r->p->aliases[*index].kind, place);
		if (why != NULL)
			good =
			    policy_refuse(r, at, false, "\"%s\" %s", name, why);
	}
	free(name);
	return good;
}

bool
policy_aliases(struct policy_reader *r, const struct hujson_path *at,
    const json_t *list, enum alias_place place, uint32_t **v, size_t *n)
{
	struct hujson_path here = {.up = at};
	json_t *element;

	if (!json_is_array(list))
		return policy_refuse(
		    r, at, false, "must be an array of strings");
	*v = calloc(json_array_size(list) + 1, sizeof(**v));
	if (*v == NULL)
		return policy_no_memory(r);
	json_array_foreach(list, here.i, element)
	{
		if (!json_is_string(element))
			return policy_refuse(
			    r, &here, false, "must be a string");
		if (!policy_alias(r, &here, json_string_value(element),
			json_string_length(element), place, &(*v)[*n]))
			return false;
		++*n;
	}
	return true;
}

static int
index_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Notes with each alias of the list that it is in it. */
static bool
sources_link(struct policy *p, uint32_t index)
{
	const struct sources *s = &p->sources[index];

	for (size_t i = 0; i < s->n; i++) {
		struct alias *a = &p->aliases[s->aliases[i]];
		uint32_t *v = policy_grow(
		    a->sources, a->nsources, &a->cap_sources, sizeof(*v));

		if (v == NULL)
			return false;
		a->sources = v;
		a->sources[a->nsources++] = index;
	}
	return true;
}

/* Adds an empty list, and as much room as n aliases need. */
static struct sources *
sources_new(struct policy *p, size_t n)
{
	struct sources *s =
	    policy_grow(p->sources, p->nsources, &p->cap_sources, sizeof(*s));

	if (s == NULL)
		return NULL;
	p->sources = s;
	s = &p->sources[p->nsources];
	*s = (struct sources){.first_rule = POLICY_NONE};
	s->aliases = calloc(n + 1, sizeof(*s->aliases));
	if (s->aliases == NULL)
		return NULL;
	p->nsources++;
	return s;
}

/* Sorts and makes unique; writes them as the key under which they are known. */
static void
sources_fill(
    struct sources *s, const uint32_t *aliases, size_t n, struct text *key)
{
	memcpy(s->aliases, aliases, n * sizeof(*aliases));
	qsort(s->aliases, n, sizeof(*aliases), index_order);
	for (size_t i = 0; i < n; i++)
		if (s->n == 0 || s->aliases[s->n - 1] != s->aliases[i])
			s->aliases[s->n++] = s->aliases[i];
	for (size_t i = 0; i < s->n; i++) {
		text_u64(key, s->aliases[i]);
		text_char(key, ' ');
	}
}

bool
policy_sources(
    struct policy_reader *r, const uint32_t *aliases, size_t n, uint32_t *index)
{
	struct policy *p = r->p;
	struct sources *s = sources_new(p, n);
	struct text key = TEXT_EMPTY;
	const json_t *known;
	bool good;

	if (s == NULL)
		return policy_no_memory(r);
	sources_fill(s, aliases, n, &key);
	text_char(&key, '.');
	if (key.bad) {
		text_clear(&key);
		return policy_no_memory(r);
	}
	known = json_object_get(r->sources_ids, key.p);
	if (known != NULL) {
		*index = (uint32_t)json_integer_value(known);
		free(s->aliases);
		p->nsources--;
		good = true;
	} else {
		*index = (uint32_t)(p->nsources - 1);
		good = json_object_set_new_nocheck(
			   r->sources_ids, key.p, json_integer(*index)) == 0 &&
		    sources_link(p, *index);
	}
	text_clear(&key);
	return good || policy_no_memory(r);
}

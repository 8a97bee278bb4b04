/* policy_parse: a policy from its text, section by section. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

/* The sections. */
struct document {
	json_t *groups, *hosts, *tags, *acls, *grants, *approvers, *attributes,
	    *tests, *ssh, *ssh_tests, *random_port;
	const char *groups_key, *hosts_key, *tags_key, *acls_key, *grants_key,
	    *approvers_key, *attributes_key, *tests_key, *ssh_key,
	    *ssh_tests_key, *random_port_key;
};

/* jansson says where it stopped reading; it was wrong where the token that
 * it quotes began. */
static bool
refuse_json(struct policy_reader *r, const json_error_t *e)
{
	size_t offset = e->position < 0 ? 0 : (size_t)e->position;
	const char *near = strstr(e->text, " near '");
	struct hujson_place at;
	int n;

	if (near != NULL) {
		size_t length = strlen(near + 7);

		length -= length > 0; /* the closing quote */
		if (offset >= length)
			offset -= length;
	}
	at = hujson_place_of(r->text, r->n, offset);
	n = snprintf(r->error, POLICY_ERROR_MAX, "line %zu, column %zu: %s",
	    at.line, at.column, e->text);
	for (int i = 0; i < n && i < POLICY_ERROR_MAX - 1; i++)
		if ((unsigned char)r->error[i] < ' ')
			r->error[i] = '?';
	return false;
}

static bool
refuse_place(struct policy_reader *r, const struct hujson_error *e)
{
	snprintf(r->error, POLICY_ERROR_MAX, "line %zu, column %zu: %s",
	    e->at.line, e->at.column, e->what);
	return false;
}

static bool
read_json(struct policy_reader *r)
{
	struct hujson_error where;
	const char *zero = memchr(r->text, '\0', r->n);
	json_error_t e;

	if (zero != NULL) {
		where.at =
		    hujson_place_of(r->text, r->n, (size_t)(zero - r->text));
		where.what = "a zero byte";
		return refuse_place(r, &where);
	}
	if (!hujson_strip(r->text, r->n, &where)) {
		snprintf(r->error, POLICY_ERROR_MAX, "line %zu, column %zu: %s",
		    where.at.line, where.at.column, where.what);
		return false;
	}
	r->root = json_loadb(r->text, r->n, JSON_REJECT_DUPLICATES, &e);
	return r->root != NULL || refuse_json(r, &e);
}

static bool
check_members(struct policy_reader *r, const struct hujson_path *at,
    const json_t *members)
{
	struct hujson_path here = {.up = at};
	json_t *value;

	if (!json_is_array(members))
		return policy_refuse(
		    r, at, false, "a group must be an array of users");
	json_array_foreach(members, here.i, value)
	{
		const char *text = json_string_value(value);

		if (text == NULL || strchr(text, '@') == NULL ||
		    text[1] == '\0')
			return policy_refuse(r, &here, false,
			    "\"%s\" is no user: a group's members are users, "
			    "written \"name@\"",
			    text == NULL ? "" : text);
	}
	return true;
}

static bool
check_groups(struct policy_reader *r, const char *key, json_t *groups)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	if (!json_is_object(groups))
		return policy_refuse(
		    r, &section, false, "\"groups\" must be an object");
	json_object_foreach(groups, here.key, value)
	{
		if (strncmp(here.key, "group:", 6) != 0 || here.key[6] == '\0')
			return policy_refuse(r, &here, true,
			    "\"%s\": a group's name begins with \"group:\"",
			    here.key);
		if (!check_members(r, &here, value))
			return false;
	}
	r->groups = groups;
	return true;
}

static bool
check_hosts(struct policy_reader *r, const char *key, json_t *hosts)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	struct ip_prefix prefix;
	json_t *value;

	if (!json_is_object(hosts))
		return policy_refuse(
		    r, &section, false, "\"hosts\" must be an object");
	json_object_foreach(hosts, here.key, value)
	{
		if (here.key[0] == '\0' || strpbrk(here.key, "@:/*") != NULL)
			return policy_refuse(r, &here, true,
			    "\"%s\" cannot be the name of a host", here.key);
		if (!json_is_string(value) ||
		    !ip_prefix_parse(&prefix, json_string_value(value),
			json_string_length(value)))
			return policy_refuse(r, &here, false,
			    "\"%s\" is no address and no prefix, such as "
			    "10.0.0.0/8 (no bits set beyond the length)",
			    json_is_string(value) ? json_string_value(value)
						  : "");
	}
	r->hosts = hosts;
	return true;
}

/* "tag:", a letter, and letters, digits and hyphens. */
static bool
tag_name_ok(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n;

	if (strncmp(s, "tag:", 4) != 0)
		return false;
	s += 4;
	n = strspn(s, letters);
	if (n == 0)
		return false;
	for (s += n; *s != '\0'; s++)
		if (strchr(letters, *s) == NULL &&
		    strchr("0123456789-", *s) == NULL)
			return false;
	return true;
}

static bool
check_tags(struct policy_reader *r, const char *key, json_t *tags)
{
	struct hujson_path section = {.key = key};
	struct hujson_path here = {.up = &section};
	json_t *value;

	if (!json_is_object(tags))
		return policy_refuse(
		    r, &section, false, "\"tagOwners\" must be an object");
	json_object_foreach(tags, here.key,
	    value) if (!tag_name_ok(here.key)) return policy_refuse(r, &here,
	    true,
	    "\"%s\" is no tag: \"tag:\", a letter, then "
	    "letters, digits and hyphens",
	    here.key);
	r->tags = tags;
	return true;
}

/* Sections that would do something that coordd does not do. */
static bool
check_unsupported(struct policy_reader *r, const struct document *d)
{
	struct hujson_path ssh = {.key = d->ssh_key};
	struct hujson_path ssh_tests = {.key = d->ssh_tests_key};
	struct hujson_path random_port = {.key = d->random_port_key};

	if (d->ssh != NULL && json_array_size(d->ssh) > 0)
		return policy_refuse(r, &ssh, true,
		    "\"ssh\" is not supported yet: leave it out, and allow "
		    "port 22 in \"acls\"");
	if (d->ssh_tests != NULL && json_array_size(d->ssh_tests) > 0)
		return policy_refuse(
		    r, &ssh_tests, true, "\"sshTests\" is not supported yet");
	if (d->random_port != NULL && !json_is_boolean(d->random_port))
		return policy_refuse(r, &random_port, false,
		    "\"randomizeClientPort\" must be true or false");
	r->p->random_port = json_is_true(d->random_port);
	return true;
}

static bool
read_sections(struct policy_reader *r, const struct document *d)
{
	if ((d->groups != NULL && !check_groups(r, d->groups_key, d->groups)) ||
	    (d->hosts != NULL && !check_hosts(r, d->hosts_key, d->hosts)) ||
	    (d->tags != NULL && !check_tags(r, d->tags_key, d->tags)) ||
	    !check_unsupported(r, d))
		return false;
	if ((d->tags != NULL && !policy_read_owners(r, d->tags_key, d->tags)) ||
	    (d->grants != NULL &&
		!policy_read_grants(r, d->grants_key, d->grants)) ||
	    (d->acls != NULL && !policy_read_acls(r, d->acls_key, d->acls)) ||
	    (d->acls == NULL && d->grants == NULL && !policy_allow_all(r)))
		return false;
	return (d->approvers == NULL ||
		   policy_read_approvers(r, d->approvers_key, d->approvers)) &&
	    (d->attributes == NULL ||
		policy_read_attributes(r, d->attributes_key, d->attributes)) &&
	    (d->tests == NULL || policy_read_cases(r, d->tests_key, d->tests));
}

static bool
read_document(struct policy_reader *r)
{
	struct document d = {0};
	const struct policy_field fields[] = {
	    {"groups", &d.groups, &d.groups_key},
	    {"hosts", &d.hosts, &d.hosts_key},
	    {"tagOwners", &d.tags, &d.tags_key},
	    {"acls", &d.acls, &d.acls_key},
	    {"grants", &d.grants, &d.grants_key},
	    {"autoApprovers", &d.approvers, &d.approvers_key},
	    {"nodeAttrs", &d.attributes, &d.attributes_key},
	    {"tests", &d.tests, &d.tests_key},
	    {"ssh", &d.ssh, &d.ssh_key},
	    {"sshTests", &d.ssh_tests, &d.ssh_tests_key},
	    {"randomizeClientPort", &d.random_port, &d.random_port_key},
	    {0},
	};

	return read_json(r) && policy_fields(r, NULL, r->root, fields) &&
	    read_sections(r, &d);
}

static bool
read_policy(struct policy_reader *r, const char *text, size_t n)
{
	bool good;

	r->text = malloc(n + 1);
	r->alias_ids = json_object();
	r->sources_ids = json_object();
	if (r->text == NULL || r->alias_ids == NULL || r->sources_ids == NULL) {
		good = policy_no_memory(r);
	} else {
		memcpy(r->text, text, n);
		r->text[n] = '\0';
		r->n = n;
		good = n == 0 ? policy_allow_all(r) : read_document(r);
	}
	if (good && !policy_index(r->p))
		good = policy_no_memory(r);
	json_decref(r->root);
	json_decref(r->alias_ids);
	json_decref(r->sources_ids);
	free(r->text);
	return good;
}

struct policy *
policy_parse(const char *text, size_t n, char error[static POLICY_ERROR_MAX])
{
	struct policy *p = calloc(1, sizeof(*p));
	struct policy_reader r = {.p = p, .error = error};

	error[0] = '\0';
	if (p == NULL) {
		policy_no_memory(&r);
		return NULL;
	}
	p->source = malloc(n + 1);
	if (p->source == NULL) {
		policy_no_memory(&r);
		policy_free(p);
		return NULL;
	}
	memcpy(p->source, text, n);
	p->source[n] = '\0';
	p->source_len = n;
	if (!read_policy(&r, text, n)) {
		policy_free(p);
		return NULL;
	}
	return p;
}

static void
listing_free(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct listed *one = &l->v[i];

		for (size_t j = 0; j < one->nattributes; j++)
			free(one->attributes[j]);
		free(one->attributes);
		free(one->aliases);
		free(one->name);
	}
	free(l->v);
}

static void
alias_free(struct alias *a)
{
	for (size_t i = 0; i < a->nmembers; i++)
		free(a->members[i]);
	free(a->members);
	free(a->name);
	free(a->sources);
}

static void
entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->nservices; i++)
		free(e->services[i].ports);
	free(e->services);
	free(e->app);
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->naliases; i++)
		alias_free(&p->aliases[i]);
	for (size_t i = 0; i < p->nsources; i++) {
		free(p->sources[i].aliases);
		free(p->sources[i].text);
	}
	for (size_t i = 0; i < p->nentries; i++)
		entry_free(&p->entries[i]);
	for (size_t i = 0; i < p->ncases; i++)
		free(p->cases[i].checks);
	listing_free(&p->owners);
	listing_free(&p->route_approvers);
	listing_free(&p->exit_approvers);
	listing_free(&p->attributes);
	free(p->aliases);
	free(p->sources);
	free(p->entries);
	free(p->rules);
	free(p->self);
	free(p->dst_routes);
	free(p->src_routes);
	free(p->dst_outside);
	free(p->cases);
	free(p->source);
	free(p);
}

const char *
policy_source(const struct policy *p)
{
	return p->source;
}

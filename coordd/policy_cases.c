/*
 * policy_cases: the "tests" of a policy. Names stand for the nodes that there
 * are or, where there are none yet, for one that could be: so that a policy
 * can be tested before the first node joins. PURE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

/* One end of the traffic that a test is about. */
struct party {
	const struct policy_subject *s; /* NULL: an address of no node */
	struct ip ip[2]; /* IPv4, IPv6 */
	bool has[2];
	bool routed; /* an address behind an approved route */
	bool reached;
};

struct parties {
	struct party *v;
	size_t n, cap;
	struct policy_subject *made; /* for those who have no node */
	const char *made_tag;
	size_t nmade;
};

struct test_run {
	const struct policy *p;
	const struct policy_world *w;
	const struct policy_case *c;
	size_t index; /* in "tests" */
	struct parties src, dst;
	char *error;
};

static void
parties_clear(struct parties *t)
{
	free(t->v);
	free(t->made);
	memset(t, 0, sizeof(*t));
}

static bool
parties_add(struct parties *t, const struct policy_subject *s)
{
	struct party *v = policy_grow(t->v, t->n, &t->cap, sizeof(*v));

	if (v == NULL)
		return false;
	t->v = v;
	t->v[t->n++] =
	    (struct party){.s = s, .ip = {s->ip4, s->ip6}, .has = {true, true}};
	return true;
}

static bool
is_routed(const struct policy_world *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->n; i++)
		for (size_t j = 0; j < w->v[i]->nroutes; j++)
			if (!ip_prefix_is_default(&w->v[i]->routes[j]) &&
			    ip_prefix_has(&w->v[i]->routes[j], ip))
				return true;
	return false;
}

static bool
parties_add_address(
    struct parties *t, const struct policy_world *w, const struct ip *ip)
{
	struct policy_subject none = {.ip4 = *ip, .ip6 = *ip};
	const struct policy_subject *s = NULL;
	struct party *one;

	for (size_t i = 0; i < w->n && s == NULL; i++)
		if (ip_compare(&w->v[i]->ip4, ip) == 0 ||
		    ip_compare(&w->v[i]->ip6, ip) == 0)
			s = w->v[i];
	if (!parties_add(t, s == NULL ? &none : s))
		return false;
	one = &t->v[t->n - 1];
	one->s = s;
	one->has[0] = ip_is_v4(ip);
	one->has[1] = !ip_is_v4(ip);
	one->routed = s == NULL && is_routed(w, ip);
	return true;
}

/* Adds a node that could be. Its addresses are ones that no node ever has:
 * MagicDNS answers there. */
static bool
parties_make(struct parties *t, const char *user, bool tagged)
{
	static const struct ip ip4 = {{[10] = 0xff, 0xff, 100, 100, 100, 100}};
	static const struct ip ip6 = {
	    {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53}};
	struct policy_subject *s = &t->made[t->nmade++];

	*s = (struct policy_subject){.user = user, .ip4 = ip4, .ip6 = ip6};
	if (tagged) {
		s->tags = &t->made_tag;
		s->ntags = 1;
	}
	return parties_add(t, s);
}

static bool
has_user(const struct parties *t, const char *user)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].s->user != NULL &&
		    strcmp(t->v[i].s->user, user) == 0)
			return true;
	return false;
}

/* Adds those that the alias means and who have no node yet. */
static bool
parties_complete(struct parties *t, const struct alias *a)
{
	t->made = calloc(a->nmembers + 1, sizeof(*t->made));
	if (t->made == NULL)
		return false;
	for (size_t i = 0; i < a->nmembers; i++)
		if (!has_user(t, a->members[i]) &&
		    !parties_make(t, a->members[i], false))
			return false;
	if (t->n > 0 || a->kind == ALIAS_GROUP)
		return true;
	t->made_tag = a->kind == ALIAS_TAG ? a->name : "tag:";
	return parties_make(t, a->kind == ALIAS_USER ? a->name : NULL,
	    a->kind == ALIAS_TAG || a->kind == ALIAS_TAGGED);
}

static bool
parties_find(
    struct parties *t, const struct policy_world *w, const struct alias *a)
{
	if (a->kind == ALIAS_ADDRESS)
		return parties_add_address(t, w, &a->prefix.ip);
	for (size_t i = 0; i < w->n; i++)
		if (alias_is_subject(a, w->v[i]) && !parties_add(t, w->v[i]))
			return false;
	return parties_complete(t, a);
}

/* autogroup:self are the devices of each source. */
static bool
parties_copy(struct parties *t, const struct parties *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (from->v[i].s != NULL && !parties_add(t, from->v[i].s))
			return false;
	return true;
}

static bool
is_source(const struct policy *p, const struct sources *s,
    const struct party *one, int family)
{
	for (size_t i = 0; i < s->n && one->has[family]; i++) {
		const struct alias *a = &p->aliases[s->aliases[i]];

		if (alias_has(a, one->s, &one->ip[family], true) ||
		    (a->kind == ALIAS_ANY && one->routed))
			return true;
	}
	return false;
}

/* As subject_same_user, for users without nodes as well. */
static bool
same_user(const struct policy_subject *a, const struct policy_subject *b)
{
	return a->ntags == 0 && b->ntags == 0 &&
	    (a == b ||
		(a->user != NULL && b->user != NULL &&
		    strcmp(a->user, b->user) == 0));
}

/* True if a destination of the test is one of the rule; with `of` only one
 * that belongs to the same user. */
static bool
has_destination(const struct test_run *t, const struct rule *r, int family,
    const struct policy_subject *of)
{
	const struct alias *a = &t->p->aliases[r->dst];

	for (size_t i = 0; i < t->dst.n; i++) {
		const struct party *one = &t->dst.v[i];

		if (one->has[family] &&
		    alias_has(a, one->s, &one->ip[family], false) &&
		    (of == NULL || (one->s != NULL && same_user(of, one->s))))
			return true;
	}
	return false;
}

static void
apply_rule(struct test_run *t, uint32_t i, int family)
{
	const struct rule *r = &t->p->rules[i];
	const struct sources *s = &t->p->sources[r->sources];
	bool self = bit_get(t->p->self, i);

	if (!has_destination(t, r, family, NULL))
		return;
	for (size_t j = 0; j < t->src.n; j++) {
		struct party *one = &t->src.v[j];

		if (one->reached || !is_source(t->p, s, one, family))
			continue;
		one->reached = !self ||
		    (one->s != NULL && has_destination(t, r, family, one->s));
	}
}

/* The length of the JSON string there, with its quotes; 0 if it is none. */
static size_t
string_length(const char *text, size_t n, size_t at)
{
	size_t i = at + 1;

	if (at >= n || text[at] != '"')
		return 0;
	while (i < n && text[i] != '"')
		i += text[i] == '\\' ? 2 : 1;
	return i < n ? i + 1 - at : 0;
}

/* Says that a test fails, and points to the destination that does. */
static void
report(struct policy_reader *r, size_t index, const struct policy_check *k,
    const char *why)
{
	struct hujson_path tests = {.key = "tests"};
	struct hujson_path one = {.up = &tests, .i = index};
	struct hujson_path src = {.up = &one, .key = "src"};
	struct hujson_path list = {
	    .up = &one, .key = k->accept ? "accept" : "deny"};
	struct hujson_path dst = {.up = &list, .i = k->at};
	size_t from = 0, to = 0, from_length = 0, to_length = 0;

	if (hujson_find(r->text, r->n, &src, false, &from))
		from_length = string_length(r->text, r->n, from);
	if (hujson_find(r->text, r->n, &dst, false, &to))
		to_length = string_length(r->text, r->n, to);
	policy_refuse(r, &dst, false, "test %zu: %.*s to %.*s %s", index + 1,
	    (int)from_length, r->text + from, (int)to_length, r->text + to,
	    why);
}

static bool
refuse(struct test_run *t, const struct policy_check *k, const char *why)
{
	struct policy_reader r = {.n = t->p->source_len, .error = t->error};
	struct hujson_error where;

	r.text = malloc(r.n + 1);
	if (r.text == NULL)
		return policy_no_memory(&r);
	memcpy(r.text, t->p->source, r.n);
	r.text[r.n] = '\0';
	if (hujson_strip(r.text, r.n, &where))
		report(&r, t->index, k, why);
	free(r.text);
	return false;
}

/* True if the alias names a user that does not exist. */
static bool
is_nobody(const struct test_run *t, const struct alias *a)
{
	return a->kind == ALIAS_USER && t->w->user_exists != NULL &&
	    !t->w->user_exists(t->w->arg, a->name);
}

static bool
run_check(struct test_run *t, const struct policy_check *k)
{
	const struct alias *src = &t->p->aliases[t->c->src];
	const struct alias *dst = &t->p->aliases[k->alias];
	size_t reached = 0;

	if (is_nobody(t, src) || is_nobody(t, dst))
		return refuse(t, k, "names a user that does not exist");
	if (!parties_find(&t->src, t->w, src) ||
	    !(dst->kind == ALIAS_SELF ? parties_copy(&t->dst, &t->src)
				      : parties_find(&t->dst, t->w, dst)))
		return refuse(t, k, "cannot be tested: not enough memory");
	if (t->src.n == 0 || t->dst.n == 0)
		return refuse(t, k, "stand for nobody");
	for (uint32_t i = 0; i < t->p->nrules; i++)
		if (policy_rule_serves(t->p, i, k->port, t->c->proto)) {
			apply_rule(t, i, 0);
			apply_rule(t, i, 1);
		}
	for (size_t i = 0; i < t->src.n; i++)
		reached += t->src.v[i].reached;
	if (k->accept && reached < t->src.n)
		return refuse(t, k, "must be accepted, but no rule allows it");
	if (!k->accept && reached > 0)
		return refuse(t, k, "must be denied, but a rule allows it");
	return true;
}

bool
policy_test(const struct policy *p, const struct policy_world *w,
    char error[static POLICY_ERROR_MAX])
{
	error[0] = '\0';
	for (size_t i = 0; i < p->ncases; i++) {
		const struct policy_case *c = &p->cases[i];

		for (size_t j = 0; j < c->nchecks; j++) {
			struct test_run t = {
			    .p = p, .w = w, .c = c, .index = i, .error = error};
			bool good = run_check(&t, &c->checks[j]);

			parties_clear(&t.src);
			parties_clear(&t.dst);
			if (!good)
				return false;
		}
	}
	return true;
}

/*
 * policy_filter: packet filters (JSON arrays of Tailscale's FilterRule) as what
 * they let through, for tests that compare them.
 */
#ifndef TESTS_POLICY_FILTER_H
#define TESTS_POLICY_FILTER_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy.h"

static struct ip_prefix
prefix_get(const char *text)
{
	struct ip_prefix p;

	if (text == NULL || !ip_prefix_parse(&p, text, strlen(text)))
		abort();
	return p;
}

/*
 * Filters, as a sorted list of "who may send what to where".
 */
static struct ip_range
range_read(const char *text)
{
	const char *dash = strchr(text, '-');
	struct ip_range r;
	struct ip_prefix p;

	if (dash == NULL) {
		p = prefix_get(text);
		return ip_prefix_range(&p);
	}
	if (!ip_parse(&r.lo, text, (size_t)(dash - text)) ||
	    !ip_parse(&r.hi, dash + 1, strlen(dash + 1)))
		abort();
	return r;
}

static void
set_read(struct ip_set *set, const char *text)
{
	struct ip_prefix all4 = prefix_get("0.0.0.0/0");
	struct ip_prefix all6 = prefix_get("::/0");
	struct ip_range r;

	if (strcmp(text, "*") == 0) {
		ip_set_add_prefix(set, &all4);
		ip_set_add_prefix(set, &all6);
		return;
	}
	r = range_read(text);
	ip_set_add(set, &r);
}

static void
set_add_text(struct text *t, const struct ip_set *set)
{
	char one[IP_RANGE_TEXT_MAX];

	for (size_t i = 0; i < set->n; i++) {
		text_str(t, i == 0 ? "" : ",");
		text_str(t, ip_range_text(&set->v[i], one));
	}
}

/* Adds the part of r that lies in `own`. */
static void
clip(struct ip_set *set, const struct ip_range *r, const struct ip_range *own)
{
	struct ip_range c = {ip_compare(&r->lo, &own->lo) > 0 ? r->lo : own->lo,
	    ip_compare(&r->hi, &own->hi) < 0 ? r->hi : own->hi};

	if (ip_compare(&c.lo, &c.hi) <= 0)
		ip_set_add(set, &c);
}

/* What of a destination is the receiver's: its addresses and routes, and of
 * an exit node all but addresses of other nodes. */
static void
destination_read(
    struct ip_set *set, const char *text, const struct policy_subject *s)
{
	struct ip_range r, own = {s->ip4, s->ip4};
	struct ip_range tailnet4 = range_read("100.64.0.0/10");
	struct ip_range tailnet6 = range_read("fd7a:115c:a1e0::/48");

	if (strcmp(text, "*") == 0) {
		set_read(set, text);
		return;
	}
	r = range_read(text);
	if (s->exit_node) {
		ip_set_add(set, &r);
		ip_set_close(set);
		ip_set_remove(set, &tailnet4);
		ip_set_remove(set, &tailnet6);
	}
	clip(set, &r, &own);
	own = (struct ip_range){s->ip6, s->ip6};
	clip(set, &r, &own);
	for (size_t i = 0; i < s->nroutes; i++) {
		own = ip_prefix_range(&s->routes[i]);
		if (!ip_prefix_is_default(&s->routes[i]))
			clip(set, &r, &own);
	}
}

/* Lines "sources what": destinations; those with the same head are united. */
struct lines {
	struct line {
		char *head;
		struct ip_set dst;
	} v[1000];
	size_t n;
};

static struct ip_set *
lines_at(struct lines *l, const char *head)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].head, head) == 0)
			return &l->v[i].dst;
	if (l->n == sizeof(l->v) / sizeof(l->v[0]))
		abort();
	l->v[l->n].head = strdup(head);
	l->v[l->n].dst = (struct ip_set){0};
	return &l->v[l->n++].dst;
}

static int
line_order(const void *a, const void *b)
{
	return strcmp(
	    ((const struct line *)a)->head, ((const struct line *)b)->head);
}

/* Gives the text of all lines; the caller frees it. */
static char *
lines_take(struct lines *l)
{
	struct text t = TEXT_EMPTY;

	qsort(l->v, l->n, sizeof(l->v[0]), line_order);
	for (size_t i = 0; i < l->n; i++) {
		ip_set_close(&l->v[i].dst);
		if (l->v[i].dst.n > 0) {
			text_fmt(&t, "%s -> ", l->v[i].head);
			set_add_text(&t, &l->v[i].dst);
			text_char(&t, '\n');
		}
		ip_set_clear(&l->v[i].dst);
		free(l->v[i].head);
	}
	l->n = 0;
	return text_take(&t);
}

static void
add_ports(struct lines *l, const json_t *rule, const char *src, int proto,
    const struct policy_subject *s)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(rule, "DstPorts"), i, one)
	{
		const json_t *ports = json_object_get(one, "Ports");
		struct text head = TEXT_EMPTY;
		struct ip_set dst = {0};

		text_fmt(&head, "%s proto %d ports %d-%d", src, proto,
		    (int)json_integer_value(json_object_get(ports, "First")),
		    (int)json_integer_value(json_object_get(ports, "Last")));
		destination_read(
		    &dst, json_string_value(json_object_get(one, "IP")), s);
		ip_set_add_set(lines_at(l, head.p), &dst);
		ip_set_clear(&dst);
		text_clear(&head);
	}
}

static void
add_capabilities(struct lines *l, const json_t *rule, const char *src)
{
	const json_t *one, *dst;
	size_t i, j;

	json_array_foreach(json_object_get(rule, "CapGrant"), i, one)
	{
		char *map = json_dumps(json_object_get(one, "CapMap"),
		    JSON_COMPACT | JSON_SORT_KEYS);
		struct text head = TEXT_EMPTY;

		text_fmt(&head, "%s app %s", src, map);
		json_array_foreach(json_object_get(one, "Dsts"), j, dst)
		    set_read(lines_at(l, head.p), json_string_value(dst));
		text_clear(&head);
		free(map);
	}
}

static char *
filter_text(const json_t *filter, const struct policy_subject *s)
{
	static struct lines l;
	const json_t *rule, *one;
	size_t i, j;

	json_array_foreach(filter, i, rule)
	{
		const json_t *protos = json_object_get(rule, "IPProto");
		struct ip_set src = {0};
		struct text t = TEXT_EMPTY;

		json_array_foreach(json_object_get(rule, "SrcIPs"), j, one)
		    set_read(&src, json_string_value(one));
		ip_set_close(&src);
		set_add_text(&t, &src);
		if (src.n > 0 && json_array_size(protos) == 0)
			add_ports(&l, rule, t.p, 0, s);
		json_array_foreach(protos, j, one) if (src.n > 0)
		    add_ports(&l, rule, t.p, (int)json_integer_value(one), s);
		if (src.n > 0)
			add_capabilities(&l, rule, t.p);
		text_clear(&t);
		ip_set_clear(&src);
	}
	return lines_take(&l);
}

/*
 * What a client does with a filter (wgengine/filter), to be compared with
 * policy_explain.
 */
static bool
set_has(const char *text, const struct ip *ip)
{
	struct ip_set set = {0};
	bool has;

	set_read(&set, text);
	has = ip_set_has(&set, ip);
	ip_set_clear(&set);
	return has;
}

static bool
proto_matches(const json_t *rule, int proto)
{
	const json_t *protos = json_object_get(rule, "IPProto"), *one;
	size_t i;

	if (json_array_size(protos) == 0)
		return proto == 6 || proto == 17;
	json_array_foreach(
	    protos, i, one) if (json_integer_value(one) == proto) return true;
	return false;
}

static bool
rule_lets_in(const json_t *rule, const struct ip *src, const struct ip *dst,
    int port, int proto)
{
	bool ping = proto == 1 || proto == 58, from = false;
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(rule, "SrcIPs"), i, one) from |=
	    set_has(json_string_value(one), src);
	if (!from || (!ping && !proto_matches(rule, proto)))
		return false;
	json_array_foreach(json_object_get(rule, "DstPorts"), i, one)
	{
		const json_t *ports = json_object_get(one, "Ports");
		json_int_t first =
		    json_integer_value(json_object_get(ports, "First"));
		json_int_t last =
		    json_integer_value(json_object_get(ports, "Last"));
		bool all = first == 0 && last == 65535;

		if ((ping || all ||
			((proto == 6 || proto == 17 || proto == 132) &&
			    port >= first && port <= last)) &&
		    set_has(json_string_value(json_object_get(one, "IP")), dst))
			return true;
	}
	return false;
}

static bool
filter_lets_in(const json_t *filter, const struct ip *src, const struct ip *dst,
    int port, int proto)
{
	const json_t *rule;
	size_t i;

	json_array_foreach(filter, i,
	    rule) if (rule_lets_in(rule, src, dst, port, proto)) return true;
	return false;
}

#endif

/*
 * policy_filter: the packet filter of a receiver, as Tailscale's FilterRules.
 * Rules with the same sources and protocol become one. Destinations are
 * narrowed to the receiver's own addresses and routes. PURE.
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

/* What one call of policy_filter works with. */
struct filter {
	struct policy *p;
	const struct policy_world *w;
	const struct policy_subject *receiver;
	const struct policy_bits *bits;
	struct text *out;
	char *own; /* SrcIPs of the receiver's user, once they were asked */
	bool first; /* no rule was written yet */
};

static void
add_ip(struct ip_set *set, const struct ip *ip)
{
	struct ip_range r = {*ip, *ip};

	ip_set_add(set, &r);
}

static void
add_routes(struct ip_set *set, const struct policy_world *w)
{
	for (size_t i = 0; i < w->n; i++)
		for (size_t j = 0; j < w->v[i]->nroutes; j++)
			if (!ip_prefix_is_default(&w->v[i]->routes[j]))
				ip_set_add_prefix(set, &w->v[i]->routes[j]);
}

/* Adds what an alias stands for, whoever is there. */
static void
add_fixed(
    struct ip_set *set, const struct alias *a, const struct policy_world *w)
{
	const struct ip_range *r;

	if (a->kind == ALIAS_ADDRESS)
		ip_set_add_prefix(set, &a->prefix);
	if (a->kind == ALIAS_INTERNET)
		for (size_t i = 0; (r = internet_range(i)) != NULL; i++)
			ip_set_add(set, r);
	if (a->kind == ALIAS_ANY) {
		for (size_t i = 0; (r = tailnet_range(i)) != NULL; i++)
			ip_set_add(set, r);
		add_routes(set, w);
	}
}

static bool
sources_mean(const struct policy *p, const struct sources *s,
    const struct policy_subject *subject)
{
	for (size_t i = 0; i < s->n; i++)
		if (alias_is_subject(&p->aliases[s->aliases[i]], subject))
			return true;
	return false;
}

/* Writes a set as a JSON array; NULL if memory is short. */
static char *
set_text(struct ip_set *set)
{
	struct text t = TEXT_EMPTY;
	char one[IP_RANGE_TEXT_MAX];

	ip_set_close(set);
	t.bad = set->bad;
	text_char(&t, '[');
	for (size_t i = 0; i < set->n; i++) {
		text_str(&t, i == 0 ? "\"" : ",\"");
		text_str(&t, ip_range_text(&set->v[i], one));
		text_char(&t, '"');
	}
	text_char(&t, ']');
	return text_take(&t);
}

static bool
sources_are_all(const struct policy *p, const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (p->aliases[s->aliases[i]].kind == ALIAS_DANGER_ALL)
			return true;
	return false;
}

/* The SrcIPs of a list of sources, made if they are not known. NULL if there
 * are none, or memory is short (then out is bad). */
static const char *
sources_text(struct filter *f, struct sources *s)
{
	struct ip_set set = {0};

	if (s->none)
		return NULL;
	if (s->text != NULL)
		return s->text;
	if (sources_are_all(f->p, s)) {
		s->text = strdup("[\"*\"]");
	} else {
		for (size_t i = 0; i < s->n; i++)
			add_fixed(&set, &f->p->aliases[s->aliases[i]], f->w);
		for (size_t i = 0; i < f->w->n; i++)
			if (sources_mean(f->p, s, f->w->v[i])) {
				add_ip(&set, &f->w->v[i]->ip4);
				add_ip(&set, &f->w->v[i]->ip6);
			}
		s->none = set.n == 0 && !set.bad;
		if (!s->none)
			s->text = set_text(&set);
		ip_set_clear(&set);
	}
	f->out->bad |= s->text == NULL && !s->none;
	return s->text;
}

/* True if the receiver is meant by the sources of a rule to autogroup:self.
 * Those mean all devices of a user or none. */
static bool
self_concerns(const struct filter *f, const struct sources *s)
{
	if (f->receiver->ntags > 0)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (f->p->aliases[s->aliases[i]].kind == ALIAS_ANY)
			return true;
	return sources_mean(f->p, s, f->receiver);
}

/* The SrcIPs of rules to autogroup:self: the devices of the receiver's user.
 * They are the same in all of its rules. NULL as above. */
static const char *
self_text(struct filter *f, const struct sources *s)
{
	struct ip_set set = {0};

	if (!self_concerns(f, s))
		return NULL;
	if (f->own != NULL)
		return f->own;
	for (size_t i = 0; i < f->w->n; i++)
		if (subject_same_user(f->w->v[i], f->receiver)) {
			add_ip(&set, &f->w->v[i]->ip4);
			add_ip(&set, &f->w->v[i]->ip6);
		}
	f->own = set_text(&set);
	f->out->bad |= f->own == NULL;
	ip_set_clear(&set);
	return f->own;
}

static void
add_port(struct filter *f, const char *ip, const struct port_range *ports)
{
	struct text *out = f->out;

	if (out->len > 0 && out->p[out->len - 1] != '[')
		text_char(out, ',');
	text_fmt(out, "{\"IP\":\"%s\",\"Ports\":{\"First\":%u,\"Last\":%u}}",
	    ip, ports->first, ports->last);
}

static void
add_ports(struct filter *f, const char *ip, const struct service *s)
{
	for (size_t i = 0; i < s->nports; i++)
		add_port(f, ip, &s->ports[i]);
}

/* True if the receiver takes packets for this range in. */
static bool
takes_in(const struct policy_subject *s, const struct ip_range *r)
{
	if ((ip_compare(&r->lo, &s->ip4) <= 0 &&
		ip_compare(&s->ip4, &r->hi) <= 0) ||
	    (ip_compare(&r->lo, &s->ip6) <= 0 &&
		ip_compare(&s->ip6, &r->hi) <= 0))
		return true;
	for (size_t i = 0; i < s->nroutes; i++) {
		struct ip_range route = ip_prefix_range(&s->routes[i]);

		if (!ip_prefix_is_default(&s->routes[i]) &&
		    ip_compare(&route.lo, &r->hi) <= 0 &&
		    ip_compare(&r->lo, &route.hi) <= 0)
			return true;
	}
	return false;
}

static void
add_internet(struct filter *f, const struct service *s)
{
	const struct ip_range *r;
	char text[IP_RANGE_TEXT_MAX];

	for (size_t i = 0; (r = internet_range(i)) != NULL; i++)
		if (f->receiver->exit_node || takes_in(f->receiver, r))
			add_ports(f, ip_range_text(r, text), s);
}

/* Adds what of a rule's destination is the receiver's to DstPorts. */
static void
add_destination(
    struct filter *f, const struct alias *dst, const struct service *s)
{
	struct ip_range r;
	char text[IP_RANGE_TEXT_MAX];

	switch (dst->kind) {
	case ALIAS_ANY:
	case ALIAS_DANGER_ALL:
		add_ports(f, "*", s);
		break;
	case ALIAS_INTERNET:
		add_internet(f, s);
		break;
	case ALIAS_ADDRESS:
		r = ip_prefix_range(&dst->prefix);
		if (takes_in(f->receiver, &r) ||
		    (f->receiver->exit_node && alias_is_outside(dst)))
			add_ports(f, ip_range_text(&r, text), s);
		break;
	case ALIAS_USER:
	case ALIAS_GROUP:
	case ALIAS_TAG:
	case ALIAS_MEMBER:
	case ALIAS_TAGGED:
	case ALIAS_SELF:
		if (!alias_is_subject(dst, f->receiver))
			break;
		add_ports(f, ip_text(&f->receiver->ip4, text), s);
		add_ports(f, ip_text(&f->receiver->ip6, text), s);
		break;
	}
}

/* The protocols of those of the rules of s that concern the receiver. False
 * if there are none. */
static bool
collect_protocols(const struct filter *f, const struct sources *s, bool self,
    bool protocols[static 256])
{
	const struct policy *p = f->p;
	bool any = false;

	for (uint32_t i = s->first_rule; i != POLICY_NONE;
	     i = p->rules[i].next_of_sources) {
		const struct entry *e = &p->entries[p->rules[i].entry];

		if (bit_get(p->self, i) != self || !bit_get(f->bits->dst, i))
			continue;
		any |= e->nservices > 0;
		for (size_t j = 0; j < e->nservices; j++)
			protocols[e->services[j].proto] = true;
	}
	return any;
}

static void
begin_rule(struct filter *f, const char *sources)
{
	if (!f->first)
		text_char(f->out, ',');
	f->first = false;
	text_str(f->out, "{\"SrcIPs\":");
	text_str(f->out, sources);
}

/* Writes the rule of a list of sources and a protocol. What has no
 * destinations in the end is taken back. */
static void
add_rule(struct filter *f, const struct sources *s, const char *sources,
    bool self, uint8_t proto)
{
	const struct policy *p = f->p;
	size_t before = f->out->len, empty;
	bool first = f->first;

	begin_rule(f, sources);
	text_str(f->out, ",\"DstPorts\":[");
	empty = f->out->len;
	for (uint32_t i = s->first_rule; i != POLICY_NONE;
	     i = p->rules[i].next_of_sources) {
		const struct rule *r = &p->rules[i];
		const struct entry *e = &p->entries[r->entry];

		if (bit_get(p->self, i) != self || !bit_get(f->bits->dst, i))
			continue;
		for (size_t j = 0; j < e->nservices; j++)
			if (e->services[j].proto == proto)
				add_destination(
				    f, &p->aliases[r->dst], &e->services[j]);
	}
	if (f->out->len == empty && !f->out->bad) {
		f->out->len = before;
		f->out->p[before] = '\0';
		f->first = first;
		return;
	}
	text_char(f->out, ']');
	if (proto != 0)
		text_fmt(f->out, ",\"IPProto\":[%u]", proto);
	text_char(f->out, '}');
}

static void
add_rules(struct filter *f, struct sources *s, bool self)
{
	bool protocols[256] = {false};
	const char *sources;

	if (!collect_protocols(f, s, self, protocols))
		return;
	sources = self ? self_text(f, s) : sources_text(f, s);
	for (int i = 0; i < 256 && sources != NULL; i++)
		if (protocols[i])
			add_rule(f, s, sources, self, (uint8_t)i);
}

static void
add_app_prefix(struct filter *f, const struct ip_prefix *p)
{
	char text[IP_PREFIX_TEXT_MAX];

	if (f->out->len > 0 && f->out->p[f->out->len - 1] != '[')
		text_char(f->out, ',');
	text_fmt(f->out, "\"%s\"", ip_prefix_text(p, text));
}

/* The receiver's part of a capability's destination: its own addresses, and
 * the whole of a prefix that overlaps its routes. */
static void
add_app_destination(struct filter *f, const struct alias *dst)
{
	const struct policy_subject *s = f->receiver;
	struct ip_prefix ip4 = ip_prefix_of(&s->ip4);
	struct ip_prefix ip6 = ip_prefix_of(&s->ip6);
	struct policy_subject routes = *s;
	struct ip_range r;

	if (dst->kind != ALIAS_ADDRESS) {
		add_app_prefix(f, &ip4);
		add_app_prefix(f, &ip6);
		return;
	}
	if (ip_prefix_has(&dst->prefix, &s->ip4))
		add_app_prefix(f, &ip4);
	if (ip_prefix_has(&dst->prefix, &s->ip6))
		add_app_prefix(f, &ip6);
	routes.ip4 = routes.ip6 = (struct ip){{0}};
	r = ip_prefix_range(&dst->prefix);
	if (takes_in(&routes, &r) && !ip_prefix_equal(&dst->prefix, &ip4) &&
	    !ip_prefix_equal(&dst->prefix, &ip6))
		add_app_prefix(f, &dst->prefix);
}

static void
add_app(struct filter *f, const struct entry *e, uint32_t i)
{
	const struct rule *r = &f->p->rules[i];
	struct sources *s = &f->p->sources[r->sources];
	const char *sources =
	    bit_get(f->p->self, i) ? self_text(f, s) : sources_text(f, s);

	if (sources == NULL)
		return;
	begin_rule(f, sources);
	text_str(f->out, ",\"CapGrant\":[{\"Dsts\":[");
	add_app_destination(f, &f->p->aliases[r->dst]);
	text_str(f->out, "],\"CapMap\":");
	text_str(f->out, e->app);
	text_str(f->out, "}]}");
}

void
policy_filter(struct policy *p, const struct policy_world *w,
    const struct policy_subject *receiver, const struct policy_bits *bits,
    struct text *out)
{
	struct filter f = {.p = p,
	    .w = w,
	    .receiver = receiver,
	    .bits = bits,
	    .out = out,
	    .first = true};

	text_char(out, '[');
	for (size_t i = 0; i < p->nsources; i++) {
		add_rules(&f, &p->sources[i], false);
		add_rules(&f, &p->sources[i], true);
	}
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct entry *e = &p->entries[p->rules[i].entry];

		if (e->app != NULL && bit_get(bits->dst, i))
			add_app(&f, e, i);
	}
	text_char(out, ']');
	free(f.own);
}

static void
sources_forget(struct sources *s)
{
	free(s->text);
	s->text = NULL;
	s->none = false;
}

void
policy_forget(struct policy *p, const uint64_t *src_bits)
{
	if (src_bits == NULL) {
		for (size_t i = 0; i < p->nsources; i++)
			sources_forget(&p->sources[i]);
		return;
	}
	for (size_t i = 0; i < p->nrules; i++)
		if (bit_get(src_bits, i))
			sources_forget(&p->sources[p->rules[i].sources]);
}

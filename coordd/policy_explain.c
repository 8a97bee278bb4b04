/* policy_explain: which rule lets a packet through, and its line. PURE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordd/policy_impl.h"

static bool
is_source(const struct policy *p, const struct sources *s,
    const struct policy_packet *k)
{
	for (size_t i = 0; i < s->n; i++)
		if (alias_has(
			&p->aliases[s->aliases[i]], k->src, &k->src_ip, true))
			return true;
	return false;
}

bool
policy_rule_serves(
    const struct policy *p, uint32_t i, uint16_t port, uint8_t proto)
{
	const struct entry *e = &p->entries[p->rules[i].entry];

	for (size_t j = 0; j < e->nservices; j++)
		if (policy_service_allows(&e->services[j], port, proto))
			return true;
	return false;
}

bool
policy_rule_allows(
    const struct policy *p, uint32_t i, const struct policy_packet *k)
{
	const struct rule *r = &p->rules[i];

	if (!policy_rule_serves(p, i, k->port, k->proto) ||
	    !is_source(p, &p->sources[r->sources], k) ||
	    !alias_has(&p->aliases[r->dst], k->dst, &k->dst_ip, false))
		return false;
	return !bit_get(p->self, i) ||
	    (k->src != NULL && k->dst != NULL &&
		subject_same_user(k->src, k->dst));
}

/* The first rule that lets the packet through, or POLICY_NONE. */
static uint32_t
find_rule(const struct policy *p, const struct policy_packet *k)
{
	for (uint32_t i = 0; i < p->nrules; i++)
		if (policy_rule_allows(p, i, k))
			return i;
	return POLICY_NONE;
}

/* The line of the rule's destination, in the text as it was given. */
static size_t
line_of(const struct policy *p, uint32_t i)
{
	const struct entry *e = &p->entries[p->rules[i].entry];
	struct hujson_path section = {.key = e->section};
	struct hujson_path entry = {.up = &section, .i = e->index};
	struct hujson_path dst = {.up = &entry, .key = "dst"};
	struct hujson_path at = {
	    .up = &dst, .i = e->first_dst + (i - e->first_rule)};
	size_t offset = 0, line = 0;
	struct hujson_error error;
	char *text = malloc(p->source_len + 1);

	if (text == NULL)
		return 0;
	memcpy(text, p->source, p->source_len);
	if (e->section != NULL && hujson_strip(text, p->source_len, &error) &&
	    (hujson_find(text, p->source_len, &at, false, &offset) ||
		hujson_find(text, p->source_len, &entry, false, &offset)))
		line = hujson_place_of(text, p->source_len, offset).line;
	free(text);
	return line;
}

bool
policy_explain(const struct policy *p, const struct policy_world *w,
    const struct policy_subject *src, const struct policy_subject *dst_subject,
    const struct ip *dst, uint16_t port, uint8_t proto, size_t *line)
{
	struct policy_packet k = {.src = src,
	    .dst = dst_subject,
	    .src_ip = ip_is_v4(dst) ? src->ip4 : src->ip6,
	    .dst_ip = *dst,
	    .port = port,
	    .proto = proto};
	uint32_t i = find_rule(p, &k);

	(void)w;
	*line = i == POLICY_NONE ? 0 : line_of(p, i);
	return i != POLICY_NONE;
}

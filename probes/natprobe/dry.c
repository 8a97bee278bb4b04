/*
 * dry: what a run would send at the most, without sending anything: the plan
 * is made as if each server answered and had a second address. PURE but for
 * the printing.
 */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/natprobe.h"

/* The longest question. */
#define QUESTION_LEN 136

static void
count(const struct engine *e, unsigned packets[TESTS])
{
	for (size_t i = 0; i < e->n_asks; i++)
		packets[e->asks[i].label.test] += e->asks[i].sends_max;
}

static void
plan_all(struct probe *p, struct mono now)
{
	struct stun_addr far = p->servers[0].addr;

	p->primary = 0;
	for (int i = 0; i < PLACE_MORE; i++) {
		p->places[i] = far;
		p->has_place[i] = true;
	}
	for (size_t i = 1; i < p->n_servers; i++) {
		p->places[PLACE_MORE + i] = p->servers[i].addr;
		p->has_place[PLACE_MORE + i] = true;
	}
	plan_mapping(p, now);
	plan_filter(p, now);
	for (unsigned k = 0; k < FILTER_KINDS; k++)
		plan_filter_again(p, (enum filter_kind)k, now);
	plan_poison(p, now);
	plan_alloc(p, now);
	if (p->options.local_ips > 1)
		plan_collision(p, now);
	if (p->options.lifetime)
		plan_life(p, now);
	if (p->options.lifetime && p->options.refresh)
		plan_refresh(p, p->options.ttl_max_s, now);
	if (p->options.hairpin)
		plan_hairpin(p, now);
}

/* The caller clears p. */
static void
plan(struct probe *p, const struct targets *t, bool v6,
    const struct probe_options *o, unsigned packets[TESTS])
{
	static const uint8_t seed[ENGINE_SEED_LEN];
	struct mono now = {1};

	probe_init(p, o, t->v[v6], t->n[v6], seed, now);
	plan_all(p, now);
	count(&p->engine, packets);
}

unsigned
dry_packets(const struct targets *t, bool v6, const struct probe_options *o)
{
	unsigned packets[TESTS] = {0}, all = 0;
	struct probe p;

	plan(&p, t, v6, o, packets);
	for (int i = 0; i < TESTS; i++)
		all += packets[i];
	probe_clear(&p);
	return all;
}

void
dry_print(
    const struct targets *t, bool v6, const struct probe_options *o, FILE *out)
{
	static const char *const names[TESTS] = {
	    [TEST_DISCOVER] = "which servers answer",
	    [TEST_MAPPING] = "mapping",
	    [TEST_FILTER] = "filtering",
	    [TEST_POISON] = "early packet",
	    [TEST_ALLOC] = "ports",
	    [TEST_COOKIE] = "lifetime: cookies",
	    [TEST_LIFE] = "lifetime",
	    [TEST_REFRESH] = "refresh",
	    [TEST_HAIRPIN] = "hairpin",
	    [TEST_COLLISION] = "collision",
	};
	unsigned packets[TESTS] = {0}, all = 0;
	struct probe p;

	plan(&p, t, v6, o, packets);
	fprintf(out, "%s: from %zu sockets, at most\n", v6 ? "IPv6" : "IPv4",
	    p.engine.n_socks);
	for (int i = 0; i < TESTS; i++) {
		if (packets[i] == 0)
			continue;
		fprintf(out, "  %-22s %5u packets\n", names[i], packets[i]);
		all += packets[i];
	}
	fprintf(out, "  %-22s %5u packets of at most %d bytes\n", "in all", all,
	    QUESTION_LEN);
	fprintf(out, "  to");
	for (size_t i = 0; i < t->n[v6]; i++) {
		json_t *text = json_of_addr(&t->v[v6][i]);

		fprintf(out, " %s", json_string_value(text));
		json_decref(text);
	}
	fprintf(out, "%s\n",
	    ", and the second addresses that these tell (RFC 5780)");
	probe_clear(&p);
}

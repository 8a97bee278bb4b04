/*
 * natcore: the NAT as a whole: its clock, its counters, and the way in and out
 * for packets. The rules are in the other natcore_*.c.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/natlab/natcore_impl.h"

/* ---- random numbers: splitmix64 ---- */

uint64_t
rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

unsigned
rng_below(uint64_t *state, unsigned n)
{
	return (unsigned)((rng_next(state) >> 32) * n >> 32);
}

bool
rng_happens(uint64_t *state, double share)
{
	return share > 0 &&
	    (double)(rng_next(state) >> 11) / (double)(1ULL << 53) < share;
}

/* ---- making ---- */

static void
rng_seed(struct nat *n)
{
	uint64_t seed = n->config.seed;

	n->rng = rng_next(&seed);
	n->lines[NAT_INSIDE].rng = rng_next(&seed);
	n->lines[NAT_OUTSIDE].rng = rng_next(&seed);
}

/* Those that are new are so far away; others go on. */
static void
events_arm(struct nat *n, const struct nat_config *old)
{
	const struct nat_config *c = &n->config;

	if (c->reboot_at != old->reboot_at)
		n->reboot_due = c->reboot_at == 0 ? 0 : n->v + c->reboot_at;
	if (c->renumber_at != old->renumber_at)
		n->renumber_due =
		    c->renumber_at == 0 ? 0 : n->v + c->renumber_at;
}

struct nat *
nat_new(
    const struct nat_config *c, struct mono now, nat_emit_fn *emit, void *arg)
{
	struct nat *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->clock_us = n->v = SECOND; /* zero means "never" */
	n->config = *c;
	events_arm(n, &(struct nat_config){.reboot_at = 0});
	n->emit = emit;
	n->arg = arg;
	n->now = n->clock_mono = now;
	TAILQ_INIT(&n->lines[NAT_INSIDE].queue);
	TAILQ_INIT(&n->lines[NAT_OUTSIDE].queue);
	rng_seed(n);
	if (!table_init(&n->table) || !frag_init(n)) {
		nat_free(n);
		return NULL;
	}
	return n;
}

void
nat_free(struct nat *n)
{
	if (n == NULL)
		return;
	line_clear(&n->lines[NAT_INSIDE]);
	line_clear(&n->lines[NAT_OUTSIDE]);
	table_clear(&n->table);
	frag_clear(n);
	free(n);
}

static void
clock_set(struct nat *n, struct mono now)
{
	int64_t real = mono_diff_us(n->clock_mono, now);

	n->now = now;
	n->v = n->clock_us + (int64_t)((double)real * n->config.speed);
}

/* Mappings to addresses that it has no more. */
static void
renumber(struct nat *n)
{
	struct mapping *m, *next;

	for (m = TAILQ_FIRST(&n->table.by_use); m != NULL; m = next) {
		next = TAILQ_NEXT(m, by_use);
		if (m->rule != NAT_NONE && !ip_is_external(n, &m->out.ip))
			mapping_free(n, m);
	}
}

static void
events_run(struct nat *n)
{
	struct nat_config *c = &n->config;

	if (n->reboot_due != 0 && n->v >= n->reboot_due) {
		n->reboot_due = c->reboot_at = 0;
		nat_flush(n);
	}
	if (n->renumber_due != 0 && n->v >= n->renumber_due) {
		n->renumber_due = c->renumber_at = 0;
		memcpy(c->external, c->renumber_to, sizeof(c->external));
		c->external_count = c->renumber_count;
		renumber(n);
	}
}

void
nat_configure(struct nat *n, const struct nat_config *c, struct mono now)
{
	bool reseed = c->seed != n->config.seed;
	const struct nat_config old = n->config;

	clock_set(n, now);
	table_expire(n);
	n->clock_mono = now;
	n->clock_us = n->v;
	n->config = *c;
	events_arm(n, &old);
	if (reseed)
		rng_seed(n);
	renumber(n);
}

void
nat_flush(struct nat *n)
{
	table_flush(n);
	frag_flush(n);
	memset(n->waiting, 0, sizeof(n->waiting));
}

const struct nat_config *
nat_config(const struct nat *n)
{
	return &n->config;
}

/* ---- packets ---- */

void
nat_drop(struct nat *n, enum nat_count why)
{
	n->counters[why]++;
}

uint64_t
nat_counter(const struct nat *n, enum nat_count c)
{
	return n->counters[c];
}

void
nat_answer(struct nat *n, enum nat_side to, const uint8_t *p, size_t len)
{
	n->counters[NAT_COUNT_ANSWERED]++;
	line_send(n, to, p, len);
}

void
nat_send(struct nat *n, enum nat_side to, struct packet *k)
{
	unsigned mtu = to == NAT_OUTSIDE ? n->config.mtu_out : n->config.mtu_in;
	uint8_t part[NAT_PACKET_MAX];
	size_t at = 0;

	frag_translated(n, to, k);
	if (k->n <= mtu) {
		line_send(n, to, k->p, k->n);
		return;
	}
	if (k->dont_fragment)
		return nat_drop(n, NAT_DROP_TOO_BIG);
	while (at < k->n - k->head) {
		size_t len = make_fragment(part, k->p, k->n, mtu, &at);

		line_send(n, to, part, len);
	}
}

void
nat_run(struct nat *n, struct mono now)
{
	clock_set(n, now);
	table_expire(n);
	events_run(n);
	line_run(n);
	waiting_run(n);
}

void
nat_input(struct nat *n, enum nat_side from, const uint8_t *packet, size_t len,
    struct mono now)
{
	uint8_t copy[NAT_PACKET_MAX];
	struct packet k;

	nat_run(n, now);
	if (len > sizeof(copy))
		return nat_drop(n, NAT_DROP_MALFORMED);
	if (len > 0)
		memcpy(copy, packet, len);
	if (!packet_read(&k, copy, len))
		nat_drop(n, NAT_DROP_MALFORMED);
	else if (n->config.filtering == NAT_NONE)
		flow_line(n, from, &k);
	else
		frag_packet(n, from, &k);
}

/* Of two times, each 0 for never. */
static int64_t
earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

struct mono
nat_deadline(const struct nat *n)
{
	int64_t due =
	    earlier(waiting_due(n), earlier(n->reboot_due, n->renumber_due));
	struct mono at = MONO_NEVER;

	if (n->config.tcp_rst_on_expire && n->table.earliest != INT64_MAX)
		due = earlier(due, n->table.earliest);
	if (due != 0)
		at = mono_add_us(n->clock_mono,
		    (int64_t)((double)(due - n->clock_us) / n->config.speed) +
			1);
	for (int to = NAT_INSIDE; to <= NAT_OUTSIDE; to++) {
		const struct delayed *d = TAILQ_FIRST(&n->lines[to].queue);

		if (d != NULL)
			at = mono_earlier(at, d->due);
	}
	return at;
}

/* ---- showing ---- */

void
nat_each(struct nat *n, struct mono now, nat_mapping_fn *fn,
    nat_remote_fn *remote, void *arg)
{
	struct mapping *m;
	struct session *s;

	clock_set(n, now);
	table_expire(n);
	TAILQ_FOREACH (m, &n->table.by_use, by_use) {
		struct nat_shown shown = {.protocol = m->protocol,
		    .own = m->own,
		    .in_ip = m->in.ip,
		    .out_ip = m->out.ip,
		    .in_port = m->in.port,
		    .out_port = m->out.port,
		    .age_us = n->v - m->made,
		    .left_us = m->expires - n->v,
		    .replied = m->replied};

		fn(arg, &shown);
		if (remote == NULL)
			continue;
		LIST_FOREACH (s, &m->sessions, of_mapping)
			remote(arg, &s->remote.ip, s->remote.port,
			    s->expires - n->v);
	}
}

const char *
nat_count_name(enum nat_count c)
{
	static const char *const names[] = {
	    [NAT_COUNT_OUT] = "out",
	    [NAT_COUNT_IN] = "in",
	    [NAT_COUNT_HAIRPIN] = "hairpin",
	    [NAT_COUNT_ERRORS] = "errors",
	    [NAT_COUNT_MADE] = "made",
	    [NAT_COUNT_EXPIRED] = "expired",
	    [NAT_COUNT_EVICTED] = "evicted",
	    [NAT_COUNT_POISONED] = "poisoned",
	    [NAT_COUNT_ANSWERED] = "answered",
	    [NAT_DROP_MALFORMED] = "drop-malformed",
	    [NAT_DROP_PROTOCOL] = "drop-protocol",
	    [NAT_DROP_UNMAPPED] = "drop-unmapped",
	    [NAT_DROP_FILTERED] = "drop-filtered",
	    [NAT_DROP_TCP_STATE] = "drop-tcp-state",
	    [NAT_DROP_NO_PORT] = "drop-no-port",
	    [NAT_DROP_FULL] = "drop-full",
	    [NAT_DROP_QUOTA] = "drop-quota",
	    [NAT_DROP_HAIRPIN] = "drop-hairpin",
	    [NAT_DROP_ICMP] = "drop-icmp",
	    [NAT_DROP_FRAGMENT] = "drop-fragment",
	    [NAT_DROP_TOO_BIG] = "drop-too-big",
	    [NAT_DROP_LOSS] = "drop-loss",
	    [NAT_DROP_QUEUE] = "drop-queue",
	};

	return names[c];
}

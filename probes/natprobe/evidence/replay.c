/* replay: frames to evidence. PURE. */
#include <string.h>

#include "probes/natprobe/evidence/replay.h"

/* The ladder is planned as long and as fine as it can be: which rungs there
 * were, the packets tell. */
#define TTL_MAX_S	 600
#define TTL_RESOLUTION_S 1

void
replay_init(
    struct replay *r, const struct note *note, struct probe *probes, bool *used)
{
	memset(r, 0, sizeof(*r));
	r->note = *note;
	r->probes = probes;
	r->used = used;
	own_init(&r->copies, NULL, NULL);
}

/* A message of ours, if its label is one. Those of gateway/ are planned
 * elsewhere. */
static bool
read_message(const struct frame *f, struct stun_msg *m, struct label *label)
{
	return f->kind == FRAME_UDP &&
	    stun_parse(m, f->p, f->n) == STUN_FORM_OK &&
	    label_read(&m->txid, label) && label->test > 0 &&
	    label->test < TEST_PORTMAP;
}

static bool
is_v6(const struct frame *f)
{
	return !stun_addr_is_v4(&f->from);
}

/* ---- first ---- */

/* Of a capture without a note: the servers are those that were asked first,
 * by the numbers that their labels have. */
static void
learn_server(
    struct targets *t, bool v6, const struct stun_addr *to, unsigned unit)
{
	if (unit >= PROBE_SERVERS)
		return;
	t->v[v6][unit] = *to;
	if (unit >= t->n[v6])
		t->n[v6] = unit + 1;
}

void
replay_look(struct replay *r, const struct frame *f)
{
	struct label label;
	struct stun_msg m;
	bool v6 = is_v6(f);

	r->frames++;
	if (!read_message(f, &m, &label) || m.class != STUN_REQUEST)
		return;
	r->any = r->tests[v6][label.test] = true;
	if (!r->note.set_up && label.test == TEST_DISCOVER)
		learn_server(&r->note.targets, v6, &f->to, label.unit);
}

static struct probe_options
options_of(const struct replay *r, bool v6)
{
	const struct note *n = &r->note;
	const bool *tests = r->tests[v6];

	return (struct probe_options){.v6 = v6,
	    .lifetime = n->lifetime || tests[TEST_LIFE],
	    .refresh = n->refresh || tests[TEST_REFRESH],
	    .hairpin = n->hairpin || tests[TEST_HAIRPIN],
	    .local_ips = n->local_ips[v6] > 1 || tests[TEST_COLLISION] ? 2 : 1,
	    .ttl_max_s = TTL_MAX_S,
	    .ttl_resolution_s = TTL_RESOLUTION_S,
	    .rate = 1};
}

bool
replay_begin(struct replay *r)
{
	static const uint8_t seed[ENGINE_SEED_LEN];
	const struct targets *t = &r->note.targets;
	struct probe_options o;
	bool any = false;

	for (int v6 = 0; v6 < 2; v6++)
		any |= r->tests[v6][TEST_DISCOVER];
	for (int v6 = 0; any && v6 < 2; v6++) {
		r->used[v6] = t->n[v6] > 0 &&
		    (r->tests[v6][TEST_DISCOVER] || r->note.local_ips[v6] > 0);
		if (!r->used[v6])
			continue;
		o = options_of(r, v6);
		probe_init(&r->probes[v6], &o, t->v[v6], t->n[v6], seed,
		    (struct mono){1});
		r->probes[v6].led = true;
		r->tcp[v6] = replay_tcp_new(&r->note, v6);
	}
	return any;
}

const struct calls *
replay_calls(const struct replay *r, bool v6)
{
	return r->tcp[v6] == NULL ? NULL : &r->tcp[v6]->calls;
}

void
replay_clear(struct replay *r)
{
	for (int v6 = 0; v6 < 2; v6++) {
		replay_tcp_free(r->tcp[v6]);
		r->tcp[v6] = NULL;
	}
}

/* ---- time ---- */

static bool
is_waited_for(const struct ask *a)
{
	return a->state == ASK_ASKED && a->sends >= a->sends_max;
}

/* What was asked as often as it is asked, and long enough ago. */
static void
give_up_due(struct engine *e, struct mono now)
{
	for (size_t i = 0; i < e->n_asks; i++)
		if (is_waited_for(&e->asks[i]) &&
		    mono_reached(e->asks[i].due, now))
			engine_give_up(e, (uint16_t)i, now);
}

static struct mono
first_due(const struct engine *e)
{
	struct mono first = MONO_NEVER;

	for (size_t i = 0; i < e->n_asks; i++)
		if (is_waited_for(&e->asks[i]) &&
		    (!mono_is_set(first) || e->asks[i].due.us < first.us))
			first = e->asks[i].due;
	return first;
}

/* What the run went on from. */
static void
give_up_all(struct engine *e, struct mono now)
{
	for (size_t i = 0; i < e->n_asks; i++) {
		if (ask_over(&e->asks[i]))
			continue;
		if (e->asks[i].sends == 0)
			engine_skip(e, (uint16_t)i, now);
		else
			engine_give_up(e, (uint16_t)i, now);
	}
}

static void
pass_time(struct probe *p, struct mono now)
{
	struct mono due;

	/* One by one: what is given up may end a ladder, with no packet. */
	while (mono_is_set(due = first_due(&p->engine)) &&
	    mono_reached(due, now)) {
		give_up_due(&p->engine, due);
		probe_advance(p, due);
	}
	probe_advance(p, now);
}

static bool
any_server_answered(const struct probe *p)
{
	const struct engine *e = &p->engine;

	for (size_t i = 0; i < e->n_asks; i++)
		if (e->asks[i].label.test == TEST_DISCOVER &&
		    e->asks[i].state == ASK_ANSWERED)
			return true;
	return false;
}

/* The run went on to that phase, so all that was before it was over; but the
 * tests may have begun before all servers had answered, and their first packet
 * went to the primary one. False if it cannot have: then the beginning of the
 * capture is not there. */
static bool
reach(struct probe *p, enum phase phase, const struct stun_addr *to,
    struct mono now)
{
	if (p->phase == PHASE_DISCOVER && phase > PHASE_DISCOVER &&
	    phase < PHASE_DONE && !any_server_answered(p))
		return false;
	if (phase == PHASE_MAIN)
		(void)probe_go_on(p, to, now);
	while (p->phase < phase) {
		give_up_all(&p->engine, now);
		probe_advance(p, now);
	}
	return true;
}

/* ---- packets ---- */

static enum phase
phase_of(struct label label)
{
	switch (label.test) {
	case TEST_DISCOVER:
		return PHASE_DISCOVER;
	case TEST_FILTER:
		return label.unit < FILTER_AGAIN ? PHASE_MAIN : PHASE_FILTER;
	case TEST_COOKIE:
		return label.unit == 0 ? PHASE_LIFE : PHASE_REFRESH;
	case TEST_LIFE:
		return PHASE_LIFE;
	case TEST_REFRESH:
		return PHASE_REFRESH;
	case TEST_HAIRPIN:
		/* See plan_hairpin: the pairs ask, then they cross. */
		return label.step < 2 ? PHASE_HAIRPIN : PHASE_HAIRPIN_RAW;
	default:
		return PHASE_MAIN;
	}
}

/* How long the server was asked to wait: for the rungs of a ladder it says
 * how long they are. */
static uint32_t
delay_of(const struct stun_msg *m)
{
	struct rd r = stun_attrs(m), value;
	struct stun_attr t;

	while (stun_attr_next(m, &r, &t))
		if (t.type == STUN_CN_DELAY) {
			rd_init(&value, t.value, t.len);
			return rd_u32(&value);
		}
	return 0;
}

/* Puts down that the ask was sent from there; false if it was not like that. */
static bool
note_sent(struct engine *e, struct ask *a, const struct frame *f,
    const struct stun_msg *m, struct mono now)
{
	struct sock *s = &e->socks[a->sock];

	if (!stun_addr_same(&a->to, &f->to) ||
	    (a->sends > 0 && memcmp(&a->txid, &m->txid, sizeof(a->txid)) != 0))
		return false;
	if (s->state == SOCK_NEW) {
		s->state = SOCK_OPEN;
		s->local = f->from;
	}
	if (!stun_addr_same(&s->local, &f->from))
		return false;
	if (a->sends == 0) {
		a->txid = m->txid;
		a->first_sent = now;
		a->delay_ms = delay_of(m);
	}
	if (a->sends < UINT8_MAX)
		a->sends++;
	a->last_sent = now;
	e->sent++;
	if (a->state == ASK_ANSWERED || a->state == ASK_REFUSED)
		return true;
	a->state = ASK_ASKED;
	a->due = a->silent ? now : mono_add_us(now, engine_patience_us(e, a));
	return true;
}

static bool
sent(struct probe *p, const struct frame *f, const struct stun_msg *m,
    struct label label, struct mono now)
{
	struct engine *e = &p->engine;
	const struct ask *a;

	if (!reach(p, phase_of(label), &f->to, now) ||
	    (a = engine_find(e, label.test, label.unit, label.step)) == NULL)
		return false;
	return note_sent(e, &e->asks[a - e->asks], f, m, now);
}

/* Packets to a socket of the run came in; other requests went out. One that
 * went out by the NAT's own outside may come in, too. */
static bool
take_datagram(struct replay *r, bool v6, const struct frame *f)
{
	struct probe *p = &r->probes[v6];
	uint16_t sock = engine_sock_at(&p->engine, &f->to);
	struct label label;
	struct stun_msg m;

	if (sock != ASK_NONE) {
		engine_input(&p->engine, sock, &f->from, f->p, f->n, r->now);
		return true;
	}
	if (!read_message(f, &m, &label) || m.class != STUN_REQUEST)
		return false;
	if (sent(p, f, &m, label, r->now))
		return true;
	r->stray[v6]++;
	return false;
}

static bool
take_error(struct engine *e, const struct frame *f)
{
	uint16_t sock = f->protocol != FRAME_UDP_PROTOCOL
	    ? ASK_NONE
	    : engine_sock_at(e, &f->quoted_from);

	if (sock != ASK_NONE && f->port_closed)
		engine_unreachable(e, sock, &f->quoted_to);
	return sock != ASK_NONE;
}

static bool
take(struct replay *r, bool v6, const struct frame *f)
{
	if (r->tcp[v6] != NULL && replay_tcp_frame(r->tcp[v6], f, r->now))
		return true;
	switch (f->kind) {
	case FRAME_UDP:
		return take_datagram(r, v6, f);
	case FRAME_ICMP:
		return take_error(&r->probes[v6].engine, f);
	default:
		return false;
	}
}

void
replay_frame(struct replay *r, const struct frame *f, int64_t at_us)
{
	bool v6 = is_v6(f);

	if (at_us > r->now.us && at_us < REPLAY_US_MAX)
		r->now.us = at_us;
	if (f->kind == FRAME_OTHER || !r->used[v6] || r->now.us == 0 ||
	    own_is_copy(&r->copies, f, r->now.us))
		return;
	pass_time(&r->probes[v6], r->now);
	if (!take(r, v6, f))
		return;
	r->ours++;
	r->last = r->now;
	if (!mono_is_set(r->first))
		r->first = r->now;
}

/* ---- the end ---- */

/* Packets of later phases, but no answer in the first: it is not there. */
static bool
lacks_beginning(const struct replay *r, int v6)
{
	return r->probes[v6].phase == PHASE_DISCOVER && r->stray[v6] > 0;
}

bool
replay_is_complete(const struct replay *r)
{
	bool whole = r->note.ended && r->note.complete;

	for (int v6 = 0; v6 < 2; v6++)
		whole &= !r->used[v6] || !lacks_beginning(r, v6);
	return whole;
}

static struct mono
end_of(const struct replay *r)
{
	/* Another program's capture goes on after the run. */
	if (!r->note.ended)
		return r->now;
	return r->note.end_us > r->last.us ? (struct mono){r->note.end_us}
					   : r->last;
}

int64_t
replay_ended_s(const struct replay *r)
{
	return end_of(r).us / 1000000;
}

void
replay_end(struct replay *r)
{
	struct mono end = end_of(r);

	for (int v6 = 0; v6 < 2; v6++) {
		struct probe *p = &r->probes[v6];

		if (!r->used[v6])
			continue;
		p->led = false;
		pass_time(p, end);
		if (r->note.ended && r->note.complete &&
		    !lacks_beginning(r, v6))
			(void)reach(p, PHASE_DONE, NULL, end);
		else
			probe_stop(p);
		if (r->tcp[v6] != NULL)
			replay_tcp_end(r->tcp[v6], replay_is_complete(r), end);
	}
}

/* meet_out: what is due, and when to move on. PURE. */
#include <string.h>

#include "probes/natprobe/pair/meet_impl.h"

/* After each send to a STUN server, the time until the next. */
static const int64_t stun_again_us[] = {200000, 500000, 0};
#define STUN_SENDS 3

/* ---- moving on ---- */

static struct mono
gather_until(const struct meet *m)
{
	struct mono until = MONO_NEVER;

	for (size_t i = 0; i < m->n_servers; i++)
		if (m->bound[!stun_addr_is_v4(&m->servers[i].addr)].port != 0 &&
		    m->servers[i].mapped.port == 0)
			until = mono_add_us(m->gather_at, MEET_GATHER_US);
	return until;
}

static void
advance_gather(struct meet *m, struct mono now)
{
	struct mono until = gather_until(m);

	if (mono_is_set(until) && !mono_reached(until, now))
		return;
	meet_gathered(m);
	if (m->role == ROLE_LISTENER)
		meet_set_phase(m, MEET_INVITE, now);
	else
		meet_begin_punch(m, now);
}

/* The end of hole punching. */
static struct mono
punch_until(const struct meet *m)
{
	struct mono until = mono_add_us(m->call_at, MEET_PUNCH_US);

	if (m->took_us >= 0)
		until = mono_earlier(until,
		    mono_add_us(m->call_at, m->took_us + MEET_SETTLE_US));
	return until;
}

static bool
row_over(const struct meet_row *r, bool used)
{
	if (!used)
		return true;
	if (r->sent < MEET_ROW)
		return false;
	for (int i = 0; i < MEET_ROW; i++)
		if (r->us[i] < 0)
			return false;
	return true;
}

static bool
can_relay(const struct meet *m)
{
	return m->relay_up && !m->peer_gone;
}

static struct mono
measure_until(const struct meet *m)
{
	return mono_add_us(m->since, MEET_ROW * MEET_ROW_US + MEET_SETTLE_US);
}

static void
advance_measure(struct meet *m, struct mono now)
{
	if (mono_reached(measure_until(m), now) ||
	    (row_over(&m->direct, m->best != -1) &&
		row_over(&m->relayed, can_relay(m))))
		meet_set_phase(m, MEET_REPORT, now);
}

/* Each knows what the other has found over UDP, or cannot any more. */
static bool
is_reported(const struct meet *m)
{
	return m->has_report && m->other_has_report && m->said_has;
}

/* The other side may still be trying. */
static struct mono
report_until(const struct meet *m)
{
	struct mono whole = mono_add_us(m->call_at, MEET_WHOLE_US);
	struct mono mine = mono_add_us(m->since, MEET_REPORT_US);

	return m->has_report && meet_tcp_is_over(m) ? mono_earlier(whole, mine)
						    : whole;
}

/* Why there is not even the relay. */
static enum meet_why
why_not(const struct meet *m)
{
	if (meet_outcome(m) != MEET_NOT_MET)
		return MEET_WHY_NONE;
	return m->peer_gone ? MEET_WHY_GONE
	    : m->relay_lost ? MEET_WHY_RELAY
			    : MEET_WHY_SILENT;
}

static void
advance(struct meet *m, struct mono now)
{
	switch (m->phase) {
	case MEET_SEEK:
		if (mono_reached(m->hello_until, now))
			meet_over(m, MEET_WHY_SILENT);
		break;
	case MEET_GATHER:
		advance_gather(m, now);
		break;
	case MEET_INVITE:
		if (mono_reached(mono_add_us(m->since, MEET_INVITE_US), now))
			meet_forget(m, now);
		break;
	case MEET_PUNCH:
		if (!mono_reached(punch_until(m), now))
			break;
		meet_choose(m);
		meet_set_phase(m, MEET_MEASURE, now);
		break;
	case MEET_MEASURE:
		advance_measure(m, now);
		break;
	case MEET_REPORT:
		if (mono_reached(report_until(m), now) || !can_relay(m) ||
		    (is_reported(m) && meet_tcp_is_over(m)))
			meet_over(m, why_not(m));
		break;
	case MEET_OVER:
		break;
	}
}

/* ---- packets ---- */

static void
seal(struct meet *m, struct message *msg, const struct derpbox *box,
    struct meet_act *act)
{
	uint8_t nonce[DERPBOX_NONCE_LEN];

	msg->version = MESSAGE_VERSION;
	msg->role = m->role;
	draw_bytes(&m->draw, nonce, sizeof(nonce));
	act->n = message_seal(msg, act->p, box, &m->pub, nonce);
}

static void
to_relay(struct meet *m, struct message *msg, struct meet_act *act)
{
	act->kind = MEET_RELAY;
	act->key = m->other;
	m->relay_sent++;
	seal(m, msg, &m->box, act);
}

static void
to_udp(struct meet *m, struct message *msg, const struct stun_addr *to,
    struct meet_act *act)
{
	act->kind = MEET_UDP;
	act->to = *to;
	m->packets_sent++;
	seal(m, msg, &m->box, act);
}

static void
ping(struct meet *m, uint8_t target, int row, struct mono now,
    struct meet_act *act)
{
	struct message msg = {.type = MESSAGE_PING, .target = target};
	struct meet_sent *s;

	if (++m->serial == 0)
		m->serial = 1;
	s = &m->sent[m->serial % MEET_SENT];
	*s = (struct meet_sent){m->serial, target, (int8_t)row, now};
	msg.serial = m->serial;
	if (target == TARGET_RELAY)
		to_relay(m, &msg, act);
	else
		to_udp(m, &msg, &m->targets[target].c.addr, act);
}

static void
ping_row(struct meet *m, struct meet_row *r, uint8_t target, struct mono now,
    struct meet_act *act)
{
	r->us[r->sent] = -1;
	ping(m, target, (int)r->sent++, now, act);
	r->next = mono_add_us(now, MEET_ROW_US);
}

static bool
row_due(const struct meet *m, const struct meet_row *r, struct mono now)
{
	return m->phase == MEET_MEASURE && r->sent < MEET_ROW &&
	    (!mono_is_set(r->next) || mono_reached(r->next, now));
}

/* ---- over UDP ---- */

static void
ask_stun(struct meet *m, struct meet_server *s, struct mono now,
    struct meet_act *act)
{
	act->kind = MEET_UDP;
	act->to = s->addr;
	act->n = STUN_TAILNODE_LEN;
	stun_tailnode_request(act->p, &s->txid);
	m->packets_sent++;
	s->next = s->sends + 1 < STUN_SENDS
	    ? mono_add_us(now, stun_again_us[s->sends])
	    : MONO_NEVER;
	s->sends++;
}

static bool
target_due(const struct meet *m, const struct target *t, struct mono now)
{
	uint16_t bound = m->bound[!stun_addr_is_v4(&t->c.addr)].port;

	/* Not to this very socket. */
	return m->phase == MEET_PUNCH && bound != 0 &&
	    !(t->own && t->c.addr.port == bound) && mono_reached(t->next, now);
}

static void
ping_target(struct meet *m, size_t i, struct mono now, struct meet_act *act)
{
	struct target *t = &m->targets[i];

	if (t->pings++ == 0)
		t->began = now;
	t->last = now;
	t->next = mono_add_us(now, MEET_PING_US);
	ping(m, (uint8_t)i, -1, now, act);
}

static void
pong(struct meet *m, struct meet_act *act)
{
	struct meet_pong p = m->pongs[0];
	struct message msg = {
	    .type = MESSAGE_PONG, .serial = p.serial, .addr = p.to};

	memmove(m->pongs, m->pongs + 1, --m->n_pongs * sizeof(p));
	if (p.relay)
		to_relay(m, &msg, act);
	else
		to_udp(m, &msg, &p.to, act);
}

/* Is something due that takes a token? Then which. */
static bool
next_udp(struct meet *m, struct mono now, struct meet_act *act)
{
	if (m->n_pongs > 0 && limit_allow(&m->rate, now)) {
		pong(m, act);
		return true;
	}
	for (size_t i = 0; i < m->n_servers; i++)
		if (mono_reached(m->servers[i].next, now) &&
		    limit_allow(&m->rate, now)) {
			ask_stun(m, &m->servers[i], now, act);
			return true;
		}
	for (size_t i = 0; i < m->n_targets; i++)
		if (target_due(m, &m->targets[i], now) &&
		    limit_allow(&m->rate, now)) {
			ping_target(m, i, now, act);
			return true;
		}
	if (m->best != -1 && row_due(m, &m->direct, now) &&
	    limit_allow(&m->rate, now)) {
		ping_row(m, &m->direct, (uint8_t)m->best, now, act);
		return true;
	}
	return false;
}

/* ---- through the relay ---- */

static bool
send_refusal(struct meet *m, struct meet_act *act)
{
	struct message msg = {.type = MESSAGE_REFUSE, .refusal = m->refuse};
	struct derpbox box;
	bool good = derpbox_init(&box, &m->refuse_to, &m->priv);

	m->refuse = 0;
	if (good) {
		act->kind = MEET_RELAY;
		act->key = m->refuse_to;
		m->relay_sent++;
		seal(m, &msg, &box, act);
	}
	derpbox_clear(&box);
	return good;
}

static void
say_addresses(struct meet *m, enum message_type type, struct meet_act *act)
{
	struct message msg = {
	    .type = type, .n = m->n_own, .features = m->tcp ? FEATURE_TCP : 0};

	memcpy(msg.candidates, m->own, sizeof(msg.candidates));
	to_relay(m, &msg, act);
}

static void
report(struct meet *m, struct meet_act *act)
{
	struct message msg = {.type = MESSAGE_REPORT,
	    .has = m->has_report,
	    .direct = m->best != -1,
	    .n = TARGETS_MAX};

	if (m->best != -1)
		msg.addr = m->targets[m->best].c.addr;
	memcpy(msg.got, m->got, sizeof(msg.got));
	m->said_has = m->has_report;
	to_relay(m, &msg, act);
}

static void
hello(struct meet *m, struct mono now, struct meet_act *act)
{
	struct message msg = {.type = MESSAGE_HELLO};

	if (!m->hello_begun)
		m->hello_until = mono_add_us(now, MEET_HELLO_US);
	m->hello_begun = true;
	m->hello_next = mono_add_us(now, MEET_HELLO_AGAIN_US);
	to_relay(m, &msg, act);
}

/* When the next thing is to be said, in this phase. */
static struct mono
talk_due(const struct meet *m)
{
	switch (m->phase) {
	case MEET_SEEK:
		return m->role == ROLE_PEER && m->has_other ? m->hello_next
							    : MONO_NEVER;
	case MEET_PUNCH:
		return m->role == ROLE_PEER ? m->talk_next : MONO_NEVER;
	case MEET_INVITE:
		return m->talk_next;
	case MEET_REPORT:
		return is_reported(m) ? MONO_NEVER : m->talk_next;
	default:
		return MONO_NEVER;
	}
}

static void
say_tcp(struct meet *m, struct mono now, struct meet_act *act)
{
	struct message msg = {.n = 0};

	meet_tcp_say(m, &msg, now);
	to_relay(m, &msg, act);
}

static bool
next_relay(struct meet *m, struct mono now, struct meet_act *act)
{
	if (!m->relay_up)
		return false;
	if (m->refuse != 0)
		return send_refusal(m, act);
	if (can_relay(m) && row_due(m, &m->relayed, now)) {
		ping_row(m, &m->relayed, TARGET_RELAY, now, act);
		return true;
	}
	if (m->phase >= MEET_PUNCH && can_relay(m) &&
	    mono_reached(meet_tcp_talk_due(m), now)) {
		say_tcp(m, now, act);
		return true;
	}
	if (!mono_reached(talk_due(m), now))
		return false;
	m->talk_next = mono_add_us(now,
	    m->phase == MEET_REPORT ? MEET_REPORT_AGAIN_US
				    : MEET_HELLO_AGAIN_US);
	if (m->phase == MEET_SEEK)
		hello(m, now, act);
	else if (m->phase == MEET_REPORT)
		report(m, act);
	else
		say_addresses(m,
		    m->phase == MEET_INVITE ? MESSAGE_WELCOME : MESSAGE_CALL,
		    act);
	return true;
}

/* PINGs before the CALL, as magicsock does: they open the own side first. */
void
meet_next(struct meet *m, struct mono now, struct meet_act *act)
{
	act->kind = MEET_NOTHING;
	meet_tcp_advance(m, now);
	advance(m, now);
	if (m->phase == MEET_OVER)
		return;
	if (!next_udp(m, now, act))
		(void)next_relay(m, now, act);
}

/* ---- when ---- */

static struct mono
phase_until(const struct meet *m)
{
	switch (m->phase) {
	case MEET_SEEK:
		return m->hello_until;
	case MEET_GATHER:
		return gather_until(m);
	case MEET_INVITE:
		return mono_add_us(m->since, MEET_INVITE_US);
	case MEET_PUNCH:
		return punch_until(m);
	case MEET_MEASURE:
		return measure_until(m);
	case MEET_REPORT:
		return report_until(m);
	default:
		return MONO_NEVER;
	}
}

static struct mono
row_next(const struct meet *m, const struct meet_row *r, bool used)
{
	return used && m->phase == MEET_MEASURE && r->sent < MEET_ROW
	    ? r->next
	    : MONO_NEVER;
}

struct mono
meet_wake(const struct meet *m, struct mono now)
{
	struct mono at = phase_until(m);
	struct mono soon = mono_add_ms(now, 1);

	if (m->phase == MEET_OVER)
		return MONO_NEVER;
	if (m->relay_up)
		at = mono_earlier(at, talk_due(m));
	if (can_relay(m) && m->phase >= MEET_PUNCH)
		at = mono_earlier(at, meet_tcp_talk_due(m));
	at = mono_earlier(at, meet_tcp_wake(m, now));
	if (m->n_pongs > 0)
		at = mono_earlier(at, now);
	for (size_t i = 0; i < m->n_servers; i++)
		at = mono_earlier(at, m->servers[i].next);
	for (size_t i = 0; i < m->n_targets; i++)
		if (target_due(m, &m->targets[i], m->targets[i].next))
			at = mono_earlier(at, m->targets[i].next);
	at = mono_earlier(at, row_next(m, &m->direct, m->best != -1));
	at = mono_earlier(at, row_next(m, &m->relayed, can_relay(m)));
	/* What is due but was not sent waits for the rate. */
	if (mono_is_set(at) && at.us < soon.us)
		at = m->rate.next.us > soon.us ? m->rate.next : soon;
	return at;
}

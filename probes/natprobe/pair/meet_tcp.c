/* meet_tcp: a meeting's TCP (knock.h): when it begins and ends, and what is
 * said of it through the relay. PURE. */
#include <string.h>

#include "probes/natprobe/pair/meet_impl.h"

/* From one side to the other through the relay, if that is not known. */
#define LEAD_US INT64_C(20000)
/* After the CALL nobody waits for a late error any more. */
#define HOLD_US (MEET_WHOLE_US - INT64_C(900000))

static struct knock_tools
tools(struct meet *m)
{
	return (struct knock_tools){
	    &m->box, &m->pub, m->role, &m->draw, &m->rate};
}

void
meet_tcp_begin(struct meet *m, struct mono now)
{
	struct stun_addr servers[MEET_SERVERS * 2];
	struct knock_tools t = tools(m);
	size_t n;

	if (!m->tcp || (m->peer_features & FEATURE_TCP) == 0)
		return;
	for (int v6 = 0; v6 < 2; v6++) {
		n = 0;
		for (size_t i = 0; i < m->n_servers; i++)
			if (stun_addr_is_v4(&m->servers[i].addr) == !v6)
				servers[n++] = m->servers[i].addr;
		if (m->bound[v6].port != 0)
			knock_begin(&m->knock[v6], servers, n, &t, now);
	}
}

/* Half of what the relay needs there and back. */
static int64_t
lead_us(const struct meet *m)
{
	struct meet_latency l = meet_latency(&m->relayed);

	return l.p50_us < 0 ? LEAD_US : l.min_us / 2;
}

void
meet_tcp_advance(struct meet *m, struct mono now)
{
	struct knock_tools t = tools(m);
	bool hold = (m->phase < MEET_REPORT || m->best == -1) &&
	    mono_diff_us(m->call_at, now) < HOLD_US;

	if (m->phase >= MEET_PUNCH && m->phase < MEET_OVER)
		for (int v6 = 0; v6 < 2; v6++)
			knock_advance(&m->knock[v6], &t, hold, lead_us(m), now);
}

bool
meet_tcp_is_over(const struct meet *m)
{
	return knock_is_over(&m->knock[0]) && knock_is_over(&m->knock[1]);
}

void
meet_tcp_take(struct meet *m, const struct message *msg, struct mono now)
{
	for (int v6 = 0; v6 < 2; v6++)
		if (msg->has_knock[v6])
			knock_hear(&m->knock[v6], &msg->knock[v6], now);
}

struct mono
meet_tcp_talk_due(const struct meet *m)
{
	return mono_earlier(
	    knock_talk_due(&m->knock[0]), knock_talk_due(&m->knock[1]));
}

void
meet_tcp_say(struct meet *m, struct message *msg, struct mono now)
{
	msg->type = MESSAGE_KNOCK;
	for (int v6 = 0; v6 < 2; v6++) {
		msg->has_knock[v6] = m->knock[v6].begun;
		if (msg->has_knock[v6])
			msg->knock[v6] = knock_say(&m->knock[v6], now);
	}
}

struct mono
meet_tcp_wake(const struct meet *m, struct mono now)
{
	struct mono at = mono_add_us(m->call_at, HOLD_US);

	if (m->phase < MEET_PUNCH || m->phase == MEET_OVER)
		return MONO_NEVER;
	if (mono_reached(at, now))
		at = MONO_NEVER;
	at = mono_earlier(at, knock_wake(&m->knock[0], now));
	return mono_earlier(at, knock_wake(&m->knock[1], now));
}

/* ---- for the edge ---- */

bool
meet_tcp_next(struct meet *m, struct mono now, int *v6, struct knock_act *act)
{
	struct knock_tools t = tools(m);

	act->kind = KNOCK_ACT_NOTHING;
	if (m->phase < MEET_PUNCH || m->phase == MEET_OVER)
		return false;
	meet_tcp_advance(m, now);
	for (*v6 = 0; *v6 < 2; (*v6)++) {
		knock_next(&m->knock[*v6], &t, now, act);
		if (act->kind != KNOCK_ACT_NOTHING)
			return true;
	}
	return false;
}

void
meet_tcp_connected(struct meet *m, int v6, unsigned conn, struct mono now)
{
	struct knock_tools t = tools(m);

	knock_connected(&m->knock[v6], conn, &t, now);
}

void
meet_tcp_input(struct meet *m, int v6, unsigned conn, const uint8_t *p,
    size_t n, struct mono now)
{
	struct knock_tools t = tools(m);

	knock_input(&m->knock[v6], conn, &t, p, n, now);
}

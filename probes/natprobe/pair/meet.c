/* meet: begins, and takes what comes. PURE. */
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/pair/meet_impl.h"

/* A PING that comes is answered by one at once: the first from there, and
 * later ones unless one was sent a moment ago. */
#define AT_ONCE_US INT64_C(100000)

/* ---- phases ---- */

void
meet_set_phase(struct meet *m, enum meet_phase phase, struct mono now)
{
	m->phase = phase;
	m->since = now;
	m->talk_next = now;
}

void
meet_over(struct meet *m, enum meet_why why)
{
	if (m->phase == MEET_OVER)
		return;
	if (m->best == -1)
		meet_choose(m);
	m->why = why;
	m->phase = MEET_OVER;
}

void
meet_stop(struct meet *m, enum meet_why why)
{
	meet_over(m, why);
}

void
meet_forget(struct meet *m, struct mono now)
{
	derpbox_clear(&m->box);
	m->has_other = false;
	m->n_targets = m->n_pongs = 0;
	memset(m->got, 0, sizeof(m->got));
	memset(m->sent, 0, sizeof(m->sent));
	meet_set_phase(m, MEET_SEEK, now);
}

void
meet_choose(struct meet *m)
{
	m->best = -1;
	for (size_t i = 0; i < m->n_targets; i++)
		if (m->targets[i].pongs > 0 &&
		    (m->best == -1 ||
			target_better(&m->targets[i], &m->targets[m->best])))
			m->best = (int)i;
}

static bool
adopt(struct meet *m, const struct key *other)
{
	m->has_other = derpbox_init(&m->box, other, &m->priv);
	m->other = *other;
	return m->has_other;
}

/* ---- own addresses ---- */

static bool
has_own(const struct meet *m, const struct stun_addr *a)
{
	for (size_t i = 0; i < m->n_own; i++)
		if (stun_addr_same(&m->own[i].addr, a))
			return true;
	return false;
}

static void
add_own(struct meet *m, enum candidate_kind kind, const struct stun_addr *a)
{
	if (m->n_own < CANDIDATES_MAX && a->port != 0 && !has_own(m, a))
		m->own[m->n_own++] = (struct candidate){kind, *a};
}

static void
gather(struct meet *m, struct mono now)
{
	m->gather_at = now;
	while (m->n_own > 0 && m->own[m->n_own - 1].kind != CANDIDATE_LOCAL)
		m->n_own--;
	for (size_t i = 0; i < m->n_servers; i++) {
		struct meet_server *s = &m->servers[i];
		bool v6 = !stun_addr_is_v4(&s->addr);

		s->mapped.port = 0;
		s->sends = 0;
		s->next = m->bound[v6].port != 0 ? now : MONO_NEVER;
		draw_bytes(&m->draw, s->txid.b, sizeof(s->txid.b));
	}
}

/* A NAT whose mapping depends on the destination may still keep the port. */
static void
guess(struct meet *m, int v6)
{
	const struct stun_addr *first = NULL;

	for (size_t i = 0; i < m->n_servers; i++) {
		const struct stun_addr *a = &m->servers[i].mapped;

		if (a->port == 0 || stun_addr_is_v4(a) == v6)
			continue;
		if (first == NULL)
			first = a;
		else if (!stun_addr_same(first, a)) {
			struct stun_addr g = *first;

			g.port = m->bound[v6].port;
			add_own(m, CANDIDATE_GUESS, &g);
			return;
		}
	}
}

void
meet_gathered(struct meet *m)
{
	for (size_t i = 0; i < m->n_servers; i++)
		add_own(m, CANDIDATE_STUN, &m->servers[i].mapped);
	guess(m, 0);
	guess(m, 1);
}

/* ---- the other side's addresses ---- */

static struct target *
find_target(struct meet *m, const struct stun_addr *a)
{
	for (size_t i = 0; i < m->n_targets; i++)
		if (stun_addr_same(&m->targets[i].c.addr, a))
			return &m->targets[i];
	return NULL;
}

static bool
is_local(const struct meet *m, const struct stun_addr *a)
{
	for (size_t i = 0; i < m->n_own; i++)
		if (m->own[i].kind == CANDIDATE_LOCAL &&
		    memcmp(m->own[i].addr.ip, a->ip, sizeof(a->ip)) == 0)
			return true;
	return false;
}

/* One host's, as the other side is one. Link-local ones of IPv6 say nothing
 * without their link. */
static bool
is_host(const struct stun_addr *a)
{
	const uint8_t *ip = a->ip;

	if (stun_addr_is_v4(a))
		return ip[12] != 0 && ip[12] < 224;
	return ip[0] != 0xff && !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) &&
	    !sodium_is_zero(ip, 15);
}

static struct target *
add_target(struct meet *m, enum candidate_kind kind, const struct stun_addr *a,
    struct mono now)
{
	struct target *t = find_target(m, a);

	if (t != NULL) {
		t->c.kind = kind;
		return t;
	}
	if (m->n_targets == TARGETS_MAX || a->port == 0 || !is_host(a))
		return NULL;
	t = &m->targets[m->n_targets++];
	memset(t, 0, sizeof(*t));
	t->c = (struct candidate){kind, *a};
	t->best_us = -1;
	t->own = is_local(m, a);
	t->next = now;
	return t;
}

static void
take_addresses(struct meet *m, const struct message *msg, struct mono now)
{
	m->peer_features = msg->features;
	for (size_t i = 0; i < msg->n; i++)
		(void)add_target(
		    m, msg->candidates[i].kind, &msg->candidates[i].addr, now);
}

void
meet_begin_punch(struct meet *m, struct mono now)
{
	m->call_at = now;
	for (size_t i = 0; i < m->n_targets; i++)
		m->targets[i].next = now;
	meet_tcp_begin(m, now);
	meet_set_phase(m, MEET_PUNCH, now);
}

/* ---- messages ---- */

static void
queue_pong(struct meet *m, const struct stun_addr *to, uint32_t serial)
{
	struct meet_pong *p;

	if (m->n_pongs == MEET_PONGS)
		return;
	p = &m->pongs[m->n_pongs++];
	*p = (struct meet_pong){.relay = to == NULL, .serial = serial};
	if (to != NULL)
		p->to = *to;
}

static void
take_ping(struct meet *m, const struct message *msg,
    const struct stun_addr *from, struct mono now)
{
	struct target *t;

	queue_pong(m, from, msg->serial);
	if (from == NULL)
		return;
	if (msg->target < TARGETS_MAX && m->got[msg->target] < UINT16_MAX)
		m->got[msg->target]++;
	t = find_target(m, from);
	if (t == NULL)
		t = add_target(m, CANDIDATE_LEARNED, from, now);
	if (t == NULL)
		return;
	t->came++;
	if (m->phase == MEET_PUNCH && t->pongs == 0 &&
	    (t->came == 1 || mono_diff_us(t->last, now) >= AT_ONCE_US))
		t->next = now;
}

static void
take_pong(struct meet *m, const struct message *msg,
    const struct stun_addr *from, struct mono now)
{
	struct meet_sent *s = &m->sent[msg->serial % MEET_SENT];
	int64_t us = mono_diff_us(s->at, now);
	struct meet_row *row = from == NULL ? &m->relayed : &m->direct;
	struct target *t;

	if (msg->serial == 0 || s->serial != msg->serial ||
	    (s->target == TARGET_RELAY) != (from == NULL))
		return;
	s->serial = 0;
	if (s->row >= 0)
		row->us[s->row] = us;
	if (from == NULL)
		return;
	t = &m->targets[s->target];
	if (t->pongs++ == 0) {
		t->first_pong = now;
		t->seen = msg->addr;
		t->from = *from;
	}
	if (t->best_us < 0 || us < t->best_us)
		t->best_us = us;
	if (m->took_us < 0)
		m->took_us = mono_diff_us(m->call_at, now);
	if (m->phase > MEET_PUNCH && m->best == -1)
		meet_choose(m);
}

static void
take_report(struct meet *m, const struct message *msg, struct mono now)
{
	if (!m->has_report)
		m->talk_next = now;
	m->has_report = true;
	m->peer_direct = msg->direct;
	m->peer_path = msg->addr;
	m->n_peer_got = msg->n;
	memcpy(m->peer_got, msg->got, sizeof(m->peer_got));
	m->other_has_report |= msg->has;
}

static void
take_refusal(struct meet *m, const struct message *msg)
{
	if (m->role == ROLE_PEER && m->phase == MEET_SEEK)
		meet_over(m,
		    msg->refusal == REFUSE_BUSY ? MEET_WHY_BUSY
						: MEET_WHY_VERSION);
}

/* What only the relay brings. */
static void
take_talk(struct meet *m, const struct message *msg, struct mono now)
{
	switch (msg->type) {
	case MESSAGE_HELLO:
		if (m->phase == MEET_INVITE)
			m->talk_next = now;
		break;
	case MESSAGE_WELCOME:
		if (m->role != ROLE_PEER || m->phase != MEET_SEEK)
			break;
		take_addresses(m, msg, now);
		meet_set_phase(m, MEET_GATHER, now);
		break;
	case MESSAGE_CALL:
		if (m->role != ROLE_LISTENER || m->phase != MEET_INVITE)
			break;
		take_addresses(m, msg, now);
		meet_begin_punch(m, now);
		break;
	case MESSAGE_REPORT:
		if (m->phase >= MEET_PUNCH)
			take_report(m, msg, now);
		break;
	case MESSAGE_KNOCK:
		if (m->phase >= MEET_PUNCH)
			meet_tcp_take(m, msg, now);
		break;
	case MESSAGE_REFUSE:
		take_refusal(m, msg);
		break;
	default:
		break;
	}
}

static void
take(struct meet *m, const struct message *msg, const struct stun_addr *from,
    struct mono now)
{
	if (msg->type == MESSAGE_PING)
		take_ping(m, msg, from, now);
	else if (msg->type == MESSAGE_PONG)
		take_pong(m, msg, from, now);
	else if (from == NULL)
		take_talk(m, msg, now);
}

static void
refuse(struct meet *m, const struct key *to, enum refusal why)
{
	m->refuse_to = *to;
	m->refuse = (uint8_t)why;
}

/* Somebody whom the listener does not know yet. */
static void
take_stranger(struct meet *m, const struct key *from, uint8_t *p, size_t n,
    struct mono now)
{
	struct derpbox box;
	struct message msg;
	bool good = derpbox_init(&box, from, &m->priv) &&
	    message_open(&msg, &box, p, n) && msg.role == ROLE_PEER;

	derpbox_clear(&box);
	if (!good)
		m->forged++;
	else if (msg.version != MESSAGE_VERSION) {
		m->peer_version = msg.version;
		refuse(m, from, REFUSE_VERSION);
	} else if (msg.type != MESSAGE_HELLO)
		m->strange++;
	else if (m->phase != MEET_SEEK)
		refuse(m, from, REFUSE_BUSY);
	else if (adopt(m, from)) {
		gather(m, now);
		meet_set_phase(m, MEET_GATHER, now);
	}
}

void
meet_relay_input(struct meet *m, const struct key *from, uint8_t *p, size_t n,
    struct mono now)
{
	struct message msg;
	struct key sender;

	if (m->phase == MEET_OVER)
		return;
	if (!message_sender(&sender, p, n) || !key_equal(&sender, from)) {
		m->strange++;
		return;
	}
	if (!m->has_other || !key_equal(&m->other, from)) {
		if (m->role == ROLE_LISTENER)
			take_stranger(m, from, p, n, now);
		else
			m->strange++;
		return;
	}
	if (!message_open(&msg, &m->box, p, n) || msg.role == m->role)
		m->forged++;
	else if (msg.version == MESSAGE_VERSION)
		take(m, &msg, NULL, now);
	else if (m->role == ROLE_PEER) {
		m->peer_version = msg.version;
		meet_over(m, MEET_WHY_VERSION);
	}
}

/* ---- datagrams ---- */

static bool
take_stun(
    struct meet *m, const struct stun_addr *from, const uint8_t *p, size_t n)
{
	struct stun_addr mapped;
	unsigned code;

	for (size_t i = 0; i < m->n_servers; i++) {
		struct meet_server *s = &m->servers[i];

		if (!stun_addr_same(&s->addr, from) || s->sends == 0 ||
		    s->mapped.port != 0 ||
		    stun_response_parse(p, n, &s->txid, &mapped, &code) !=
			STUN_RESPONSE_MAPPED ||
		    stun_addr_is_v4(&mapped) != stun_addr_is_v4(from))
			continue;
		s->mapped = mapped;
		s->next = MONO_NEVER;
		return true;
	}
	return false;
}

void
meet_input(struct meet *m, const struct stun_addr *from, uint8_t *p, size_t n,
    struct mono now)
{
	struct message msg;
	struct key sender;

	if (m->phase == MEET_OVER || take_stun(m, from, p, n))
		return;
	if (!m->has_other || !message_sender(&sender, p, n) ||
	    !key_equal(&sender, &m->other))
		m->strange++;
	else if (!message_open(&msg, &m->box, p, n) || msg.role == m->role ||
	    msg.version != MESSAGE_VERSION)
		m->forged++;
	else
		take(m, &msg, from, now);
}

void
meet_send_failed(struct meet *m, const struct stun_addr *to, int error)
{
	struct target *t = find_target(m, to);

	if (t == NULL || t->pings == 0)
		return;
	t->pings--;
	t->send_errno = error;
}

void
meet_icmp(struct meet *m, const struct stun_addr *to, int error,
    const struct stun_addr *from)
{
	struct target *t = find_target(m, to);

	if (t == NULL || t->pings == 0)
		return;
	t->icmp_errno = error;
	t->icmp_from = *from;
}

/* ---- the relay ---- */

void
meet_relay_up(struct meet *m, struct mono now)
{
	m->relay_up = true;
	m->hello_next = now;
}

void
meet_relay_down(struct meet *m, struct mono now)
{
	m->relay_up = false;
	if (m->phase == MEET_SEEK || m->phase == MEET_OVER)
		return;
	m->relay_lost = true;
	if (m->phase >= MEET_PUNCH)
		return;
	if (m->role == ROLE_PEER)
		meet_over(m, MEET_WHY_RELAY);
	else
		meet_forget(m, now);
}

void
meet_gone(struct meet *m, const struct key *key, struct mono now)
{
	if (!m->has_other || !key_equal(&m->other, key))
		return;
	if (m->phase >= MEET_PUNCH)
		m->peer_gone = true;
	else if (m->role == ROLE_LISTENER)
		meet_forget(m, now);
	else
		meet_over(
		    m, m->phase == MEET_SEEK ? MEET_WHY_NOBODY : MEET_WHY_GONE);
}

/* ---- the start ---- */

void
meet_init(struct meet *m, const struct meet_options *o, struct mono now)
{
	memset(m, 0, sizeof(*m));
	m->role = o->role;
	m->tcp = o->tcp;
	m->best = -1;
	m->took_us = -1;
	m->priv = o->priv;
	key_public(&m->pub, &o->priv);
	memcpy(m->draw.seed, o->seed, sizeof(m->draw.seed));
	memcpy(m->bound, o->bound, sizeof(m->bound));
	m->rate = limit_new(limit_interval(o->rate), (int64_t)o->rate / 5 + 1);
	for (; m->n_servers < o->n_servers &&
	     m->n_servers < sizeof(m->servers) / sizeof(m->servers[0]);
	     m->n_servers++)
		m->servers[m->n_servers].addr = o->servers[m->n_servers];
	for (size_t i = 0; i < o->n_local; i++) {
		struct stun_addr a = o->local[i];

		a.port = m->bound[!stun_addr_is_v4(&a)].port;
		add_own(m, CANDIDATE_LOCAL, &a);
	}
	meet_set_phase(m, MEET_SEEK, now);
	if (o->role == ROLE_PEER && adopt(m, &o->listener))
		gather(m, now);
}

void
meet_clear(struct meet *m)
{
	sodium_memzero(m, sizeof(*m));
}

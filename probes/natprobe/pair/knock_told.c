/* knock_told: what sockets and the other side tell. PURE. */
#include <string.h>

#include "probes/natprobe/pair/knock.h"

static bool
is_stun(unsigned i)
{
	return i <= KNOCK_AT_BESIDE;
}

static bool
is_try(unsigned i)
{
	return i >= KNOCK_AT_FIRST && i < KNOCK_AT_OPEN;
}

/* ---- connections ---- */

static void
end_conn(struct knock_conn *c, enum knock_end end, struct mono now)
{
	c->end = end;
	c->took_us = mono_diff_us(c->began, now);
	c->state = KNOCK_CLOSING;
}

void
knock_listens(struct knock *k, bool does, struct mono now)
{
	k->listening = does;
	for (unsigned i = 0; i < KNOCK_SERVERS && !does; i++)
		if (k->v[i].state == KNOCK_DUE)
			end_conn(&k->v[i], KNOCK_NO_WAY, now);
}

void
knock_connected(
    struct knock *k, unsigned i, const struct knock_tools *t, struct mono now)
{
	struct knock_conn *c = &k->v[i];

	if (c->state != KNOCK_CONNECTING)
		return;
	/* One of the first that comes late may owe it to what the other side
	 * has sent meanwhile. */
	if (i == KNOCK_AT_CONTROL ||
	    (i >= KNOCK_AT_FIRST && i < KNOCK_AT_AGAIN &&
		k->stage >= KNOCK_KNOCKED)) {
		end_conn(c,
		    i == KNOCK_AT_CONTROL ? KNOCK_FOREIGN : KNOCK_SILENT, now);
		return;
	}
	c->state = KNOCK_UP;
	c->took_us = mono_diff_us(c->began, now);
	if (is_stun(i)) {
		c->asks = true;
		draw_bytes(t->draw, c->txid.b, sizeof(c->txid.b));
	} else
		c->ping_due = true;
}

void
knock_failed(struct knock *k, unsigned i, enum knock_end end,
    const struct stun_addr *from, struct mono now)
{
	struct knock_conn *c = &k->v[i];
	bool up = c->state == KNOCK_UP;

	if (!up && c->state != KNOCK_CONNECTING)
		return;
	if (i >= KNOCK_AT_GUEST || (up && c->end == KNOCK_IN)) {
		c->state = KNOCK_CLOSING;
		return;
	}
	if (from != NULL)
		c->icmp_from = *from;
	end_conn(c, up && !is_stun(i) ? KNOCK_FOREIGN : end, now);
	if (i == KNOCK_AT_OPEN)
		k->open_end = c->end;
}

int
knock_guest(struct knock *k, const struct stun_addr *from, struct mono now)
{
	if (!k->begun || k->guests == KNOCK_GUESTS_MAX)
		return -1;
	for (unsigned i = KNOCK_AT_GUEST; i < KNOCK_CONNS; i++) {
		struct knock_conn *c = &k->v[i];

		if (c->state != KNOCK_IDLE)
			continue;
		k->guests++;
		memset(c, 0, sizeof(*c));
		c->state = KNOCK_UP;
		c->to = *from;
		c->began = now;
		c->at = mono_add_us(now, KNOCK_WHO_US);
		c->rtt_us = -1;
		return (int)i;
	}
	return -1;
}

/* ---- STUN ---- */

static void
read_other(const struct stun_msg *m, struct stun_addr *other)
{
	struct rd r = stun_attrs(m);
	struct stun_attr t;

	while (stun_attr_next(m, &r, &t))
		if (t.type == STUN_OTHER_ADDRESS)
			(void)stun_read_address(&t, other);
}

/* The server's second address tells whether the mapping depends on it. */
static void
add_server(struct knock *k, const struct stun_addr *a, struct mono now)
{
	unsigned i = 0;

	for (; i < KNOCK_SERVERS && k->v[i].to.port != 0; i++)
		if (memcmp(k->v[i].to.ip, a->ip, sizeof(a->ip)) == 0)
			return;
	if (i == KNOCK_SERVERS || k->stage != KNOCK_GATHER || a->port == 0 ||
	    stun_addr_is_v4(a) != stun_addr_is_v4(&k->v[0].to))
		return;
	k->v[i] = (struct knock_conn){
	    .state = KNOCK_DUE, .to = *a, .at = now, .rtt_us = -1};
}

static void
take_answer(struct knock *k, unsigned i, const struct stun_addr *mapped,
    const uint8_t *p, size_t n, struct mono now)
{
	struct knock_conn *c = &k->v[i];
	struct stun_addr other = {.port = 0};
	struct stun_msg m;

	if (stun_addr_is_v4(mapped) != stun_addr_is_v4(&c->to) ||
	    mapped->port == 0)
		return;
	if (c->again) {
		if (k->still == KNOCK_ASKED &&
		    memcmp(mapped, &c->mapped, sizeof(*mapped)) == 0)
			k->still = KNOCK_SAME;
		return;
	}
	if (c->mapped.port != 0)
		return;
	c->mapped = *mapped;
	if (stun_parse(&m, p, n) == STUN_FORM_OK)
		read_other(&m, &other);
	if (i < KNOCK_SERVERS)
		add_server(k, &other, now);
	else
		c->state = KNOCK_CLOSING;
}

/* Takes what is whole at the beginning of the n bytes; returns how many. */
static size_t
take_stun(
    struct knock *k, unsigned i, const uint8_t *p, size_t n, struct mono now)
{
	struct knock_conn *c = &k->v[i];
	struct stun_addr mapped = {.port = 0};
	unsigned code;
	size_t len = 0;

	switch (stun_frame(p, n, sizeof(c->in), &len)) {
	case STUN_FRAME_PART:
		return 0;
	case STUN_FRAME_BAD:
		knock_failed(k, i, KNOCK_FOREIGN, NULL, now);
		return n;
	case STUN_FRAME_WHOLE:
		break;
	}
	if (stun_response_parse(p, len, &c->txid, &mapped, &code) ==
	    STUN_RESPONSE_MAPPED)
		take_answer(k, i, &mapped, p, len, now);
	return len;
}

/* ---- the other side ---- */

static void
opened(struct knock *k, struct mono now)
{
	if (!mono_is_set(k->open_in_at) && k->stage < KNOCK_DONE)
		k->open_in_at = k->say_next = now;
}

static void
take_ping(struct knock *k, unsigned i, const struct message *m, struct mono now)
{
	struct knock_conn *c = &k->v[i];

	if (m->target >= KNOCK_FORS ||
	    (i < KNOCK_AT_GUEST && i != KNOCK_AT_OPEN))
		return;
	c->ponging = m->serial;
	c->pong_due = true;
	if (i >= KNOCK_AT_GUEST) {
		k->came[m->target]++;
		c->at = MONO_NEVER;
	} else
		k->crossed = true;
	if (m->target == KNOCK_FOR_OPEN)
		opened(k, now);
}

static void
take_pong(struct knock *k, unsigned i, const struct message *m, struct mono now)
{
	struct knock_conn *c = &k->v[i];

	if (!mono_is_set(c->pinged) || c->end != KNOCK_NONE ||
	    m->serial != c->serial)
		return;
	c->rtt_us = mono_diff_us(c->pinged, now);
	c->end = KNOCK_IN;
	if (is_try(i))
		c->state = KNOCK_CLOSING;
	else
		opened(k, now);
}

/* As take_stun. */
static size_t
take_sealed(struct knock *k, unsigned i, const struct knock_tools *t,
    uint8_t *p, size_t n, struct mono now)
{
	struct message m;
	struct key sender;
	struct rd r;
	size_t len;

	rd_init(&r, p, n);
	len = rd_u16(&r);
	if (!r.bad && len <= MESSAGE_MAX && n < 2 + len)
		return 0;
	if (r.bad)
		return 0;
	if (!message_sender(&sender, p + 2, len) ||
	    !message_open(&m, t->box, p + 2, len) || m.role == t->role ||
	    m.version != MESSAGE_VERSION) {
		knock_failed(k, i, KNOCK_FOREIGN, NULL, now);
		return n;
	}
	if (m.type == MESSAGE_PING)
		take_ping(k, i, &m, now);
	else if (m.type == MESSAGE_PONG)
		take_pong(k, i, &m, now);
	return 2 + len;
}

void
knock_input(struct knock *k, unsigned i, const struct knock_tools *t,
    const uint8_t *p, size_t n, struct mono now)
{
	struct knock_conn *c = &k->v[i];
	size_t take, used;

	while (n > 0 && c->state == KNOCK_UP) {
		take = sizeof(c->in) - c->in_n;
		take = take < n ? take : n;
		memcpy(c->in + c->in_n, p, take);
		c->in_n += take;
		p += take;
		n -= take;
		do {
			used = is_stun(i)
			    ? take_stun(k, i, c->in, c->in_n, now)
			    : take_sealed(k, i, t, c->in, c->in_n, now);
			c->in_n -= used;
			memmove(c->in, c->in + used, c->in_n);
		} while (used > 0 && c->state == KNOCK_UP);
	}
}

void
knock_hear(struct knock *k, const struct knock_said *s, struct mono now)
{
	struct stun_addr addr = k->other.addr;

	if (!k->begun || s->stage > KNOCK_DONE || s->stage < k->other.stage)
		return;
	/* One endpoint, and for ever. */
	if (k->other.stage < KNOCK_READY)
		addr = s->addr;
	k->heard = true;
	k->other = *s;
	k->other.addr = addr;
	if (k->stage == KNOCK_DONE && s->stage == KNOCK_DONE && !k->said_heard)
		k->say_next = now;
}

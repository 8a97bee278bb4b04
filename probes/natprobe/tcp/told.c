/* told: what sockets tell of the connections, and what it means for each.
 * PURE. */
#include <string.h>

#include "probes/natprobe/tcp/calls.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* After the first answer, until the second. */
#define SECOND_US (250 * MS)
/* The kernel's delayed acknowledgement, which may end the pause's first
 * moments. */
#define ACK_S 0.05

void
calls_opened(struct calls *c, uint16_t i, const struct stun_addr *local)
{
	struct call *k = &c->v[i];

	if (local == NULL) {
		call_finish(k, CALL_NO_SOCKET, k->opened);
		return;
	}
	k->open = true;
	k->local = *local;
}

uint16_t
calls_find(const struct calls *c, const struct stun_addr *local,
    const struct stun_addr *to)
{
	for (size_t i = c->n; i-- > 0;) {
		const struct call *k = &c->v[i];

		if (k->local.port != 0 && stun_addr_same(&k->local, local) &&
		    stun_addr_same(&k->to, to))
			return (uint16_t)i;
	}
	return ASK_NONE;
}

void
calls_connected(struct calls *c, uint16_t i, struct mono now)
{
	struct call *k = &c->v[i];
	int64_t us = mono_diff_us(k->opened, now);

	if (k->state != CALL_CONNECTING)
		return;
	k->state = CALL_ASKED;
	k->connected = now;
	/* After a second the SYN may be a repeated one. */
	if (us < SECOND && us > c->rtt_us)
		c->rtt_us = us;
	k->due = now;
}

/* The end of an idle connection. A FIN is the server's. So may a reset be,
 * unless it answers one that this side sends, or the server is one that has
 * promised to wait. */
static void
idler_failed(struct call *k, enum call_end why, struct mono now)
{
	if ((why != CALL_RESET && why != CALL_SILENT) ||
	    (k->state != CALL_POKED && !k->by_server)) {
		call_finish(k, why, now);
		return;
	}
	if (k->state != CALL_POKED)
		k->age_s = (double)mono_diff_us(k->last, now) / 1e6;
	k->dying = why == CALL_RESET ? DYING_RESET : DYING_SILENT;
	call_finish(k, CALL_DIED, now);
}

void
calls_failed(struct calls *c, uint16_t i, enum call_end why, struct mono now)
{
	struct call *k = &c->v[i];

	if (k->state > CALL_READY && k->state != CALL_OVER)
		idler_failed(k, why, now);
	else
		call_finish(k, why, now);
}

void
calls_counted(struct calls *c, uint16_t i, uint64_t segments, struct mono now)
{
	struct call *k = &c->v[i];
	struct mono late_at = mono_add_us(call_pause_end(k), -CALL_LATE_US);

	if (k->state == CALL_SETTLING) {
		k->segments = segments;
		k->state = CALL_IDLE;
		k->due = mono_reached(late_at, now) ? now : late_at;
		return;
	}
	if (k->state != CALL_IDLE)
		return;
	if (segments != k->segments && k->use == CALL_LIFE) {
		call_finish(k, CALL_KEPT, now);
		return;
	}
	k->state = CALL_LATE;
	k->due = now;
}

/* ---- answers ---- */

static void
read_other(struct call *k, const struct stun_msg *m)
{
	struct rd r = stun_attrs(m);
	struct stun_attr t;

	while (stun_attr_next(m, &r, &t))
		if (t.type == STUN_OTHER_ADDRESS)
			stun_read_address(&t, &k->other);
}

/* Before the pause is over: this server answers at once. */
static bool
is_early(const struct call *k, struct mono now)
{
	return (k->state == CALL_SETTLING || k->state == CALL_IDLE) &&
	    !mono_reached(mono_add_us(call_pause_end(k), -CALL_LATE_US), now);
}

static void
idler_answered(struct calls *c, struct call *k, struct mono now)
{
	if (k->state == CALL_ASKED) {
		k->state = CALL_READY;
		k->due = now;
	} else if (is_early(k, now)) {
		k->by_server = false;
		k->last = now;
		k->state = CALL_SETTLING;
		k->due = mono_add_us(now, CALL_SETTLE_US);
	} else if (k->state == CALL_POKED && k->by_server) {
		/* What had to come before did not. */
		k->dying = DYING_PICKED_UP;
		call_finish(k, CALL_DIED, now);
	} else {
		if (k->by_server)
			k->age_s =
			    k->hold_ms / 1e3 - (double)c->rtt_us / 1e6 - ACK_S;
		call_finish(k, CALL_ANSWERED, now);
	}
}

/* Both of its questions are answered, or soon will be. */
static void
asker_answered(struct call *k, struct mono now)
{
	struct mono soon = mono_add_us(now, SECOND_US);

	if (k->answers == 3)
		call_finish(k, CALL_ANSWERED, now);
	else if (soon.us < k->due.us)
		k->due = soon;
}

static void
answered(struct calls *c, struct call *k, const struct stun_msg *m,
    const struct stun_addr *mapped, struct mono now)
{
	if (k->mapped.port != 0 && !stun_addr_same(mapped, &k->mapped))
		k->lies = true;
	k->mapped = *mapped;
	read_other(k, m);
	if (k->state == CALL_OVER)
		return;
	if (call_is_idler(k))
		idler_answered(c, k, now);
	else
		asker_answered(k, now);
}

static void
take_message(struct calls *c, struct call *k, const uint8_t *p, size_t n,
    struct mono now)
{
	struct stun_addr mapped;
	unsigned code = 0;
	struct stun_msg m;

	if (!mono_is_set(k->asked) || stun_parse(&m, p, n) != STUN_FORM_OK)
		return;
	for (int i = 0; i < CALL_ASKS; i++)
		switch (
		    stun_response_parse(p, n, &k->txid[i], &mapped, &code)) {
		case STUN_RESPONSE_MAPPED:
			k->answers |= (uint8_t)(1u << i);
			answered(c, k, &m, &mapped, now);
			return;
		case STUN_RESPONSE_ERROR:
		case STUN_RESPONSE_FAILED:
			/* One that refuses to answer later is not dead. */
			if (k->state > CALL_READY && k->state != CALL_OVER)
				idler_answered(c, k, now);
			else
				call_finish(k, CALL_ERROR, now);
			return;
		case STUN_RESPONSE_FOREIGN:
			break;
		}
}

void
calls_input(
    struct calls *c, uint16_t i, const uint8_t *p, size_t n, struct mono now)
{
	struct call *k = &c->v[i];
	enum stun_frame frame;
	size_t take, len, at;

	while (n > 0 && !k->babbles) {
		take =
		    sizeof(k->in) - k->in_n < n ? sizeof(k->in) - k->in_n : n;
		memcpy(k->in + k->in_n, p, take);
		k->in_n += take;
		p += take;
		n -= take;
		at = 0;
		while ((frame = stun_frame(k->in + at, k->in_n - at,
			    sizeof(k->in), &len)) == STUN_FRAME_WHOLE) {
			take_message(c, k, k->in + at, len, now);
			at += len;
		}
		k->in_n -= at;
		memmove(k->in, k->in + at, k->in_n);
		k->babbles = frame == STUN_FRAME_BAD;
	}
	if (k->babbles)
		call_finish(k, CALL_NOT_STUN, now);
}

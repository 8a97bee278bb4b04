/*
 * check: PURE. Paces the requests, repeats those that are not answered, gives
 * up, and files the answers by their transaction ids. What to ask is decided
 * in check_probe, what the answers mean in check_judge.
 */
#include <stdio.h>
#include <string.h>

#include "stund/check.h"

/* Sent again after these times since the last time; then given up. */
static const int64_t patience_us[CHECK_SENDS] = {400000, 600000, 800000};
/* A stream repeats nothing; time for the handshakes of TCP and TLS. */
enum { STREAM_PATIENCE_US = 3000000 };

void
check_init(struct check *c, const struct stun_addr *server, bool tls,
    const struct ip *local, int64_t gap_us, struct mono now)
{
	memset(c, 0, sizeof(*c));
	c->server = *server;
	c->tls = tls;
	c->local = *local;
	c->gap_us = gap_us;
	c->start = now;
	c->ready = now;
}

static bool
is_repeated(enum check_probe p, const struct check_slot *s)
{
	return !check_is_stream(p) && s->sends < CHECK_SENDS;
}

/* Ends what has waited long enough, and what will never be asked. */
static void
settle(struct check *c, struct mono now)
{
	bool late = mono_diff_us(c->start, now) >= CHECK_LIMIT_US;
	struct check_slot *s;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		s = &c->slots[p];
		if (s->state == CHECK_ASKED &&
		    (late ||
			(mono_reached(s->next, now) && !is_repeated(p, s))))
			s->state = CHECK_SILENT;
		if (s->state == CHECK_WAITING &&
		    (late || check_need(c, p) == CHECK_SKIP))
			s->state = CHECK_SKIPPED;
	}
}

static void
begin(struct check *c, enum check_probe p, struct mono now,
    const uint8_t random[static CHECK_ID_LEN])
{
	struct check_slot *s = &c->slots[p];
	struct wr w;

	memcpy(s->id, random, CHECK_ID_LEN);
	if (p == CHECK_CLASSIC)
		s->id[0] |= 0x80; /* anything but the cookie's 0x21 */
	else {
		wr_init(&w, s->id, sizeof(s->id));
		wr_u32(&w, STUN_COOKIE);
	}
	s->state = CHECK_ASKED;
	s->sent = now;
	s->rtt_us = -1;
	s->to = check_target(c, p);
}

static void
fill(struct check *c, enum check_probe p, struct mono now,
    struct check_send *out)
{
	struct check_slot *s = &c->slots[p];

	out->socket = check_socket_of(p);
	out->stream = check_is_stream(p);
	out->to = s->to;
	out->len = check_build(c, p, out->bytes);
	s->request_len = out->len;
	s->next = mono_add_us(
	    now, out->stream ? STREAM_PATIENCE_US : patience_us[s->sends]);
	s->sends++;
	c->ready = mono_add_us(now, c->gap_us);
}

bool
check_next(struct check *c, struct mono now,
    const uint8_t random[static CHECK_ID_LEN], struct check_send *out)
{
	struct check_slot *s;

	settle(c, now);
	if (!mono_reached(c->ready, now))
		return false;
	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		s = &c->slots[p];
		if (s->state != CHECK_ASKED || !mono_reached(s->next, now))
			continue;
		fill(c, p, now, out);
		return true;
	}
	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		if (c->slots[p].state != CHECK_WAITING ||
		    check_need(c, p) != CHECK_RUN)
			continue;
		begin(c, p, now, random);
		fill(c, p, now, out);
		return true;
	}
	return false;
}

struct mono
check_deadline(const struct check *c)
{
	struct mono first = mono_add_us(c->start, CHECK_LIMIT_US), t;
	const struct check_slot *s;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		s = &c->slots[p];
		if (s->state == CHECK_ASKED) {
			t = s->next;
			if (is_repeated(p, s) && t.us < c->ready.us)
				t = c->ready;
			first = mono_earlier(first, t);
		} else if (s->state == CHECK_WAITING &&
		    check_need(c, p) != CHECK_NOT_YET)
			first = mono_earlier(first, c->ready);
	}
	return first;
}

bool
check_done(const struct check *c)
{
	for (enum check_probe p = 0; p < CHECK_PROBES; p++)
		if (c->slots[p].state <= CHECK_ASKED)
			return false;
	return true;
}

static void
take(struct check *c, enum check_probe p, struct mono now,
    enum check_probe socket, const struct stun_addr *from,
    const struct check_answer *a)
{
	struct check_slot *s = &c->slots[p];

	(void)c;
	if (s->answers++ > 0)
		return;
	/* A late answer is one all the same. */
	s->state = CHECK_ANSWERED;
	s->answer = *a;
	s->from = *from;
	s->socket = (int)socket;
	/* Which of the copies was answered is not known. */
	if (s->sends == 1)
		s->rtt_us = mono_diff_us(s->sent, now);
}

void
check_got(struct check *c, struct mono now, enum check_probe socket,
    const struct stun_addr *from, const uint8_t *p, size_t n)
{
	struct check_answer a;
	struct stun_msg m;

	for (enum check_probe i = 0; i < CHECK_PROBES; i++)
		if (c->slots[i].sends > 0 &&
		    check_answer_read(&a, p, n, c->slots[i].id)) {
			take(c, i, now, socket, from, &a);
			return;
		}
	if (stun_parse(&m, p, n) == STUN_FORM_OK &&
	    (m.class == STUN_SUCCESS || m.class == STUN_ERROR))
		c->foreign++;
}

void
check_failed(struct check *c, enum check_probe socket, const char *why)
{
	struct check_slot *s;

	for (enum check_probe p = 0; p < CHECK_PROBES; p++) {
		s = &c->slots[p];
		if (s->state != CHECK_ASKED || check_socket_of(p) != socket)
			continue;
		s->state = CHECK_FAILED;
		snprintf(s->why, sizeof(s->why), "%s", why);
	}
}

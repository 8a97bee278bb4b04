/* mtu: see mtu.h. PURE. */
#include <string.h>

#include "probes/natprobe/path/mtu.h"

#define HELLO_LEN	136 /* as nat/engine's questions */
#define SENDS		2
#define SURE_SENDS	4 /* where no further round follows */
#define MORE_SENDS	3 /* to make sure of the smallest that fails */
#define AT_ONCE		5
#define HELLO_SENDS	3
#define FRAGMENTS_SENDS 5
#define CONTROL_SENDS	4
/* The time that they need; then they are asked though more is to be found. */
#define CONTROL_US INT64_C(800000)
/* From one send to the next, and from the last to the belief in silence. */
#define AGAIN_US   INT64_C(150000)
#define BELIEVE_US INT64_C(250000)
#define HELLO_US   INT64_C(400000)
/* A server that pads is waited for so long after one that may not. */
#define BETTER_US INT64_C(60000)

unsigned
mtu_headers(const struct mtu *m)
{
	return m->v6 ? 48 : 28;
}

static bool
is_over(const struct mtu_try *t)
{
	return t->state != MTU_WAITS;
}

/* It got there. */
static bool
got_there(const struct mtu_try *t)
{
	return t->state == MTU_PASSED || t->state == MTU_REFUSED ||
	    t->state == MTU_CAME_IN_PIECES;
}

static struct mtu_try *
add(struct mtu *m, enum mtu_kind kind, uint16_t size, struct mono now)
{
	struct mtu_try *t = &m->tries[m->n];

	if (m->n == MTU_TRIES)
		return NULL;
	m->n++;
	*t = (struct mtu_try){
	    .kind = kind, .size = size, .sends_max = SENDS, .due = now};
	if (kind == MTU_HELLO)
		t->sends_max = HELLO_SENDS;
	if (kind == MTU_CONTROL_OUT || kind == MTU_CONTROL_IN)
		t->sends_max = CONTROL_SENDS;
	/* Each fragment may get lost. */
	if (kind >= MTU_FRAGMENTS_OUT)
		t->sends_max = FRAGMENTS_SENDS;
	draw_bytes(&m->draw, t->txid.b, sizeof(t->txid.b));
	return t;
}

void
mtu_init(struct mtu *m, bool v6, const struct stun_addr *servers, size_t n,
    unsigned rate, const uint8_t seed[static MTU_SEED_LEN], struct mono now)
{
	struct mtu_try *t;

	memset(m, 0, sizeof(*m));
	m->v6 = v6;
	m->server = -1;
	m->gap_us = 1000000 / rate;
	m->began = m->free = now;
	memcpy(m->draw.seed, seed, sizeof(m->draw.seed));
	for (; m->n_servers < n && m->n_servers < MTU_SERVERS; m->n_servers++) {
		m->servers[m->n_servers] = servers[m->n_servers];
		t = add(m, MTU_HELLO, HELLO_LEN + mtu_headers(m), now);
		t->server = (uint8_t)m->n_servers;
	}
}

/* ---- what to try next ---- */

static bool
way_passed(const struct mtu_try *t)
{
	return t->kind == MTU_IN ? t->state == MTU_PASSED : got_there(t);
}

struct mtu_range
mtu_range_of(const struct mtu *m, enum mtu_kind kind)
{
	struct mtu_range r = {
	    .lo = HELLO_LEN + mtu_headers(m), .hi = MTU_TOP + MTU_STEP};

	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == kind && way_passed(&m->tries[i]) &&
		    m->tries[i].size > r.lo)
			r.lo = m->tries[i].size;
	for (size_t i = 0; i < m->n; i++) {
		const struct mtu_try *t = &m->tries[i];

		if (t->kind != kind || t->size <= r.lo ||
		    t->state == MTU_NEEDLESS)
			continue;
		if (!is_over(t))
			r.waits = true;
		else if (t->size < r.hi) {
			r.hi = t->size;
			r.top = (int)i;
		}
	}
	return r;
}

static bool
was_tried(const struct mtu *m, enum mtu_kind kind, uint16_t size)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == kind && m->tries[i].size == size)
			return true;
	return false;
}

static struct mtu_try *
add_once(struct mtu *m, enum mtu_kind kind, uint16_t size, struct mono now)
{
	return was_tried(m, kind, size) ? NULL : add(m, kind, size, now);
}

static uint16_t
on_grid(unsigned size)
{
	return (uint16_t)(size / MTU_STEP * MTU_STEP);
}

/* Common ones first: 1492 PPPoE, 1480 a tunnel in IPv4, 1280 the least of IPv6.
 * From the top, so that an answer makes those below needless. */
static void
add_first(
    struct mtu *m, enum mtu_kind kind, struct mtu_range r, struct mono now)
{
	static const uint16_t common[] = {1492, 1480, 1460, 1440, 1420, 1400,
	    1380, 1360, 1340, 1320, 1300, MTU_INNER};

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (common[i] > r.lo && common[i] < r.hi)
			add_once(m, kind, common[i], now);
}

static void
add_between(
    struct mtu *m, enum mtu_kind kind, struct mtu_range r, struct mono now)
{
	unsigned steps = (unsigned)(r.hi - r.lo + MTU_STEP - 1) / MTU_STEP;

	for (unsigned i = 1; i <= AT_ONCE; i++) {
		unsigned size = r.lo + steps * i / (AT_ONCE + 1) * MTU_STEP;
		struct mtu_try *t;

		if (size <= r.lo || size >= r.hi)
			continue;
		t = add_once(m, kind, (uint16_t)size, now);
		if (t != NULL && steps <= AT_ONCE + 1)
			t->sends_max = SURE_SENDS;
	}
}

/* One more look at what decides: two losses must not make a verdict. */
static bool
look_again(struct mtu *m, int top, struct mono now)
{
	struct mtu_try *t = &m->tries[top == -1 ? 0 : top];

	if (top == -1 || t->state != MTU_SILENT || t->sends_max > SENDS)
		return false;
	t->sends_max += MORE_SENDS;
	t->state = MTU_WAITS;
	t->due = now;
	return true;
}

/* What others have told already is not asked for again. */
static void
drop_needless(struct mtu *m, enum mtu_kind kind, uint16_t lo, uint16_t hi)
{
	for (size_t i = 0; i < m->n; i++) {
		struct mtu_try *t = &m->tries[i];

		if (t->kind == kind && !is_over(t) &&
		    (t->size < lo || t->size >= hi))
			t->state = MTU_NEEDLESS;
	}
}

static bool
top_is_late(const struct mtu *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == MTU_OUT && m->tries[i].size == MTU_TOP)
			return m->tries[i].sends > 1 &&
			    m->tries[i].state == MTU_WAITS;
	return false;
}

/* Adds what comes next; false: there is nothing more to find out. */
static bool
narrow(struct mtu *m, enum mtu_kind kind, struct mtu_range r, struct mono now)
{
	if (r.hi - r.lo <= MTU_STEP)
		return look_again(m, r.top, now);
	if (!was_tried(m, kind, MTU_INNER))
		add_first(m, kind, r, now);
	if (!mtu_range_of(m, kind).waits)
		add_between(m, kind, r, now);
	return mtu_range_of(m, kind).waits;
}

static bool
search_out(struct mtu *m, struct mono now)
{
	struct mtu_range r = mtu_range_of(m, MTU_OUT);
	uint16_t limit = m->told != 0 ? m->told : MTU_TOP;

	drop_needless(m, MTU_OUT, r.lo, r.hi);
	drop_needless(m, MTU_IN, 0, r.hi);
	r = mtu_range_of(m, MTU_OUT);
	if (m->link != 0 && m->link < limit)
		limit = m->link;
	if (r.lo >= on_grid(limit))
		return false;
	if (limit < MTU_TOP && !was_tried(m, MTU_OUT, on_grid(limit)))
		return add(m, MTU_OUT, on_grid(limit), now) != NULL;
	if (r.waits && limit == MTU_TOP && top_is_late(m) &&
	    !was_tried(m, MTU_OUT, MTU_INNER))
		add_first(m, MTU_OUT, r, now);
	return r.waits || narrow(m, MTU_OUT, r, now);
}

/* No more than gets out whole can be asked for. */
static bool
search_in(struct mtu *m, struct mono now)
{
	struct mtu_range out = mtu_range_of(m, MTU_OUT);
	struct mtu_range in = mtu_range_of(m, MTU_IN);

	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == MTU_IN &&
		    m->tries[i].state == MTU_REFUSED)
			return false;
	drop_needless(m, MTU_IN, in.lo, in.hi);
	in = mtu_range_of(m, MTU_IN);
	if (in.lo >= out.lo || m->piece != 0)
		return false;
	if (in.waits)
		return true;
	if (!was_tried(m, MTU_IN, out.lo))
		return add(m, MTU_IN, out.lo, now) != NULL;
	return narrow(m, MTU_IN, in, now);
}

static bool
fragments_wait(const struct mtu *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind >= MTU_WHOLE && !is_over(&m->tries[i]))
			return true;
	return false;
}

static struct mtu_try *
last_of(struct mtu *m, enum mtu_kind kind)
{
	for (size_t i = m->n; i-- > 0;)
		if (m->tries[i].kind == kind)
			return &m->tries[i];
	return NULL;
}

/* When the last of those that stayed silent had left twice; not set: none
 * did. */
static struct mono
last_silent(const struct mtu *m, enum mtu_kind whole, enum mtu_kind fragments)
{
	struct mono last = MONO_NEVER;

	for (size_t i = 0; i < m->n; i++) {
		const struct mtu_try *t = &m->tries[i];

		if (t->state == MTU_SILENT &&
		    (t->kind == whole || t->kind == fragments) &&
		    (!mono_is_set(last) || mono_reached(last, t->twice_sent)))
			last = t->twice_sent;
	}
	return last;
}

/* False: it is not needed, or over. What was silent after one that was
 * answered needs another. */
static bool
control(struct mtu *m, enum mtu_kind kind, enum mtu_kind whole,
    enum mtu_kind fragments, struct mono now)
{
	struct mono silent = last_silent(m, whole, fragments);
	const struct mtu_try *t = last_of(m, kind);

	if (mono_is_set(silent) &&
	    (t == NULL ||
		(t->state == MTU_PASSED &&
		    !mono_reached(silent, t->first_sent))))
		t = add(m, kind, (uint16_t)(HELLO_LEN + mtu_headers(m)), now);
	return t != NULL && !is_over(t);
}

static bool
controls(struct mtu *m, struct mono now)
{
	bool out = control(m, MTU_CONTROL_OUT, MTU_OUT, MTU_FRAGMENTS_OUT, now);
	bool in = control(m, MTU_CONTROL_IN, MTU_IN, MTU_FRAGMENTS_IN, now);

	return out || in;
}

static void
choose_server(struct mtu *m, int server, struct mono now)
{
	m->server = server;
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == MTU_HELLO && !is_over(&m->tries[i]))
			m->tries[i].state = MTU_SILENT;
	add(m, MTU_OUT, MTU_TOP, now);
	add(m, MTU_IN, MTU_TOP, now);
	add(m, MTU_WHOLE, MTU_DATAGRAM + mtu_headers(m), now);
	add(m, MTU_FRAGMENTS_OUT, MTU_DATAGRAM + mtu_headers(m), now);
	add(m, MTU_FRAGMENTS_IN, MTU_DATAGRAM + mtu_headers(m), now);
}

static void
advance_hello(struct mtu *m, struct mono now)
{
	bool waits = false;

	for (size_t i = 0; i < m->n; i++)
		waits |= !is_over(&m->tries[i]);
	if (mono_is_set(m->first_answer) &&
	    (!waits ||
		mono_reached(mono_add_us(m->first_answer, BETTER_US), now))) {
		for (size_t i = 0; i < m->n && m->server == -1; i++)
			if (got_there(&m->tries[i]))
				choose_server(m, m->tries[i].server, now);
	} else if (!waits)
		m->over = true;
}

static struct mono
end_of(const struct mtu *m)
{
	return mono_add_us(
	    m->began, pacer_longer_us(m->pace.pacer, MTU_LIMIT_US));
}

static void
advance(struct mtu *m, struct mono now)
{
	bool out, in;

	if (mono_reached(end_of(m), now) ||
	    m->packets + MTU_FRAGMENTS > MTU_PACKETS)
		m->over = true;
	if (m->over)
		return;
	if (m->server == -1) {
		advance_hello(m, now);
		return;
	}
	if (mono_reached(mono_add_us(m->began, MTU_LIMIT_US - CONTROL_US), now))
		controls(m, now);
	out = search_out(m, now);
	in = search_in(m, now);
	m->over = !out && !in && !fragments_wait(m) && !controls(m, now);
}

/* ---- sends ---- */

static size_t
write_request(struct mtu *m, const struct mtu_try *t)
{
	static const uint8_t zeros[MTU_DATAGRAM];
	size_t len = (size_t)(t->size - mtu_headers(m));
	bool padding = t->kind == MTU_IN || t->kind == MTU_FRAGMENTS_IN ||
	    t->kind == MTU_CONTROL_IN;
	struct wr w;

	wr_init(&w, m->packet, len);
	stun_begin(&w, STUN_REQUEST, STUN_BINDING, &t->txid);
	stun_put(&w, STUN_CN_COOKIE, m->has_cookie ? m->cookie : zeros,
	    sizeof(m->cookie));
	stun_put(&w, padding ? STUN_PADDING : STUN_CN_FILL, zeros,
	    len - wr_len(&w) - 4);
	return stun_end(&w);
}

static int64_t
patience_us(const struct mtu *m, const struct mtu_try *t)
{
	int64_t least = t->kind == MTU_HELLO ? HELLO_US : BELIEVE_US;

	return m->rtt_us * 2 > least ? m->rtt_us * 2 : least;
}

static void
send_try(struct mtu *m, struct mtu_try *t, struct mono now, struct mtu_send *s)
{
	if (t->sends == 0)
		t->first_sent = now;
	if (t->sends < SENDS)
		t->twice_sent = now;
	t->sends++;
	t->due = mono_add_us(now,
	    t->sends >= t->sends_max	       ? patience_us(m, t)
		: t->kind == MTU_HELLO	       ? HELLO_US
		: t->kind >= MTU_FRAGMENTS_OUT ? 2 * AGAIN_US
					       : AGAIN_US + m->rtt_us);
	*s = (struct mtu_send){
	    .to = m->servers[t->kind == MTU_HELLO ? t->server : m->server],
	    .whole = t->kind < MTU_FRAGMENTS_OUT,
	    .p = m->packet,
	    .len = write_request(m, t)};
	m->sent++;
	m->packets += s->whole ? 1 : MTU_FRAGMENTS;
	pace_sent(&m->pace, s->whole ? 1 : MTU_FRAGMENTS, now);
	m->free = mono_add_us(now, m->gap_us);
}

/* Giving up needs no leave to send. */
static void
give_up(struct mtu *m, struct mono now)
{
	for (size_t i = 0; i < m->n; i++) {
		struct mtu_try *t = &m->tries[i];

		if (!is_over(t) && t->sends >= t->sends_max &&
		    mono_reached(t->due, now))
			t->state = MTU_SILENT;
	}
}

static struct mtu_try *
first_due(struct mtu *m)
{
	struct mtu_try *best = NULL;

	for (size_t i = 0; i < m->n; i++) {
		struct mtu_try *t = &m->tries[i];

		if (!is_over(t) && t->sends < t->sends_max &&
		    (best == NULL || t->due.us < best->due.us))
			best = t;
	}
	return best;
}

bool
mtu_next(struct mtu *m, struct mono now, struct mtu_send *send)
{
	struct mtu_try *t;

	give_up(m, now);
	advance(m, now);
	if (m->over || (t = first_due(m)) == NULL ||
	    !mono_reached(t->due, now) || !mono_reached(m->free, now) ||
	    !pace_ready(&m->pace, now))
		return false;
	send_try(m, t, now, send);
	return true;
}

struct mono
mtu_wake(const struct mtu *m)
{
	struct mono at = end_of(m);

	if (m->over)
		return MONO_NEVER;
	if (m->server == -1 && mono_is_set(m->first_answer))
		at = mono_earlier(at, mono_add_us(m->first_answer, BETTER_US));
	for (size_t i = 0; i < m->n; i++) {
		const struct mtu_try *t = &m->tries[i];
		struct mono due = t->due;

		if (is_over(t))
			continue;
		if (t->sends < t->sends_max)
			due = pace_wake(
			    &m->pace, due.us < m->free.us ? m->free : due);
		at = mono_earlier(at, due);
	}
	return at;
}

/* ---- what comes ---- */

static struct mtu_try *
find(struct mtu *m, const struct stun_txid *txid)
{
	for (size_t i = 0; i < m->n; i++)
		if (memcmp(&m->tries[i].txid, txid, sizeof(*txid)) == 0)
			return &m->tries[i];
	return NULL;
}

static void
keep_cookie(struct mtu *m, const struct stun_msg *msg)
{
	struct rd r = stun_attrs(msg);
	struct stun_attr a;

	while (stun_attr_next(msg, &r, &a))
		if (a.type == STUN_CN_COOKIE && a.len == sizeof(m->cookie)) {
			memcpy(m->cookie, a.value, a.len);
			m->has_cookie = true;
		}
}

static void
hello_came(struct mtu *m, const struct mtu_try *t, const struct stun_msg *msg,
    struct mono now)
{
	struct mono sent = mono_add_us(t->due, -HELLO_US);

	if (m->server != -1)
		return;
	if (!mono_is_set(m->first_answer))
		m->first_answer = now;
	if (t->sends == 1 && mono_diff_us(sent, now) > m->rtt_us)
		m->rtt_us = mono_diff_us(sent, now);
	keep_cookie(m, msg);
	if (m->has_cookie)
		choose_server(m, t->server, now);
}

void
mtu_input(struct mtu *m, const struct stun_addr *from, const void *p, size_t n,
    unsigned piece, struct mono now)
{
	const struct stun_addr *server;
	enum stun_response kind;
	struct stun_addr mapped;
	struct stun_msg msg;
	struct mtu_try *t;
	unsigned code;

	if (m->over || stun_parse(&msg, p, n) != STUN_FORM_OK ||
	    (t = find(m, &msg.txid)) == NULL || t->state == MTU_PASSED)
		return;
	server = &m->servers[t->kind == MTU_HELLO ? t->server : m->server];
	kind = stun_response_parse(p, n, &t->txid, &mapped, &code);
	if (from->port != server->port ||
	    memcmp(from->ip, server->ip, sizeof(from->ip)) != 0 ||
	    (kind != STUN_RESPONSE_MAPPED && kind != STUN_RESPONSE_ERROR))
		return;
	t->state = MTU_PASSED;
	if (t->kind == MTU_HELLO)
		hello_came(m, t, &msg, now);
	else if (t->kind != MTU_IN && t->kind != MTU_FRAGMENTS_IN)
		return;
	else if (kind == STUN_RESPONSE_ERROR ||
	    n + mtu_headers(m) + MTU_STEP <= t->size)
		t->state = MTU_REFUSED;
	else if (t->kind == MTU_IN && piece != 0) {
		t->state = MTU_CAME_IN_PIECES;
		if (piece <= t->size && piece > m->piece)
			m->piece = (uint16_t)piece;
	}
}

void
mtu_too_big(struct mtu *m, unsigned size, bool here, struct mono now)
{
	uint16_t *least = here ? &m->link : &m->told;

	(void)now;
	if (m->server == -1 || size <= (unsigned)HELLO_LEN + mtu_headers(m) ||
	    size >= MTU_DATAGRAM + (unsigned)mtu_headers(m))
		return;
	if (*least == 0 || size < *least)
		*least = (uint16_t)size;
	for (size_t i = 0; i < m->n; i++) {
		struct mtu_try *t = &m->tries[i];

		if (t->kind < MTU_FRAGMENTS_OUT && t->size > size &&
		    !is_over(t))
			t->state = MTU_TOO_BIG;
	}
}

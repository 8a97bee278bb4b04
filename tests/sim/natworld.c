/* natworld: moves packets between a probe, a NAT and a server. */
#include <stdlib.h>
#include <string.h>

#include "pure/cursor.h"
#include "pure/stunsrv.h"
#include "tests/sim/natworld.h"

#define IP_UDP_LEN 28
#define PACKET_MAX 2100

enum where { TO_SERVER, TO_CLIENT, FROM_SERVER };

struct flying {
	struct mono at;
	enum where where;
	uint8_t p[PACKET_MAX];
	size_t n;
	struct flying *next;
};

struct natworld {
	const struct natworld_options *o;
	struct probe *probe;
	struct nat *nat;
	struct ports ports;
	unsigned answers; /* that the server gave */
	struct stunsrv_site site;
	struct flying *flying; /* in the order of time */
	struct mono now;
	uint64_t random;
	uint8_t last[PACKET_MAX]; /* LIE_REPLAY's */
	size_t last_n;
};

/* xorshift64*: good enough to lose packets. */
static double
chance(struct natworld *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (double)(w->random * UINT64_C(2685821657736338717) >> 11) /
	    9007199254740992.0;
}

static struct stun_addr
v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
	return (struct stun_addr){
	    .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d},
	    .port = port};
}

/* ---- IPv4 and UDP ---- */

static uint16_t
checksum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n % 2 == 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t
wrap(uint8_t *out, const struct stun_addr *from, const struct stun_addr *to,
    const void *p, size_t n)
{
	size_t len = IP_UDP_LEN + n;
	struct wr w;
	uint16_t sum;

	wr_init(&w, out, PACKET_MAX);
	wr_u16(&w, 0x4500);
	wr_u16(&w, (uint16_t)len);
	wr_u32(&w, 0x00004000); /* may not be fragmented */
	wr_u16(&w, 0x4011); /* time to live 64, UDP */
	wr_u16(&w, 0);
	wr_bytes(&w, from->ip + 12, 4);
	wr_bytes(&w, to->ip + 12, 4);
	wr_patch16(&w, 10, checksum(out, 20, 0));
	wr_u16(&w, from->port);
	wr_u16(&w, to->port);
	wr_u16(&w, (uint16_t)(8 + n));
	wr_u16(&w, 0);
	wr_bytes(&w, p, n);
	/* The pseudo header: addresses, protocol, length (RFC 768). */
	sum = checksum(out + 12, 8 + 8 + n, 17 + 8 + (uint32_t)n);
	wr_patch16(&w, 26, sum == 0 ? 0xffff : sum);
	return wr_len(&w);
}

static bool
unwrap(const uint8_t *packet, size_t n, struct stun_addr *from,
    struct stun_addr *to, const uint8_t **p, size_t *len)
{
	struct rd r;

	*from = *to = v4(0, 0, 0, 0, 0);
	rd_init(&r, packet, n);
	rd_skip(&r, 9);
	if (rd_u8(&r) != 17)
		return false;
	rd_skip(&r, 2);
	rd_copy(&r, from->ip + 12, 4);
	rd_copy(&r, to->ip + 12, 4);
	from->port = rd_u16(&r);
	to->port = rd_u16(&r);
	rd_skip(&r, 4);
	*len = rd_left(&r);
	*p = rd_bytes(&r, *len);
	return !r.bad;
}

/* ---- under way ---- */

static void
fly(struct natworld *w, enum where where, const uint8_t *p, size_t n,
    int64_t us)
{
	struct flying *f = calloc(1, sizeof(*f)), **at = &w->flying;

	if (f == NULL || n > PACKET_MAX)
		abort();
	f->at = mono_add_us(w->now, us);
	f->where = where;
	f->n = n;
	memcpy(f->p, p, n);
	while (*at != NULL && (*at)->at.us <= f->at.us)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

static void
send_over(struct natworld *w, enum where where, const uint8_t *p, size_t n)
{
	if (chance(w) >= w->o->loss)
		fly(w, where, p, n, w->o->delay_us);
}

static void
on_nat(void *arg, enum nat_side to, const uint8_t *p, size_t n)
{
	struct natworld *w = arg;

	if (to == NAT_OUTSIDE)
		send_over(w, TO_SERVER, p, n);
	else
		fly(w, TO_CLIENT, p, n, 0);
}

/* ---- the server ---- */

static struct stunsrv_site
site_of(const struct natworld_options *o)
{
	struct stunsrv_site s = {.here = STUNSRV_ROLE_BIT(STUNSRV_A1P1)};

	s.at[STUNSRV_A1P1] = v4(198, 51, 100, 10, 3478);
	s.at[STUNSRV_A1P2] = v4(198, 51, 100, 10, 3479);
	s.at[STUNSRV_A2P1] = v4(198, 51, 100, 11, 3478);
	s.at[STUNSRV_A2P2] = v4(198, 51, 100, 11, 3479);
	s.extras = !o->plain;
	if (!o->one_address)
		s.here = STUNSRV_ALL_ROLES;
	return s;
}

static int
role_of(const struct natworld *w, const struct stun_addr *to)
{
	for (int i = 0; i < STUNSRV_ROLES; i++)
		if ((w->site.here & STUNSRV_ROLE_BIT(i)) != 0 &&
		    stun_addr_same(to, &w->site.at[i]))
			return i;
	return -1;
}

/* ---- further servers, which may lie ---- */

static struct stun_addr
more_addr(unsigned i)
{
	return v4(203, 0, 113, (uint8_t)(10 + i), 3478);
}

static struct stun_addr
lie_about(struct natworld *w, enum natworld_lie lie, struct stun_addr from,
    const struct stun_addr *to)
{
	static const struct stun_addr v6 = {
	    .ip = {0x20, 1, 0xd, 0xb8}, .port = 7};

	switch (lie) {
	case LIE_PORT:
		from.port ^= 0x155;
		break;
	case LIE_ADDRESS:
		from.ip[15] ^= 0x41;
		break;
	case LIE_RANDOM:
		from.port = (uint16_t)(1 + chance(w) * 65000);
		break;
	case LIE_SAME:
		from.port = 4711;
		break;
	case LIE_FAMILY:
		return v6;
	case LIE_MIRROR:
		return *to;
	default:
		break;
	}
	return from;
}

static void
put_other(struct wr *out, enum natworld_lie lie, const struct stun_addr *from)
{
	struct stun_addr other = *from;

	if (lie == LIE_OTHER_LOOPBACK)
		other = v4(127, 0, 0, 1, 4000);
	else if (lie == LIE_OTHER_PRIVATE)
		other = v4(192, 168, 1, 5, 4000);
	else if (lie != LIE_OTHER_HOST)
		return;
	other.port = 4000;
	stun_put_address(out, STUN_OTHER_ADDRESS, &other);
}

static size_t
write_lie(struct natworld *w, enum natworld_lie lie, const struct stun_msg *m,
    const struct stun_addr *from, const struct stun_addr *to, uint8_t *answer)
{
	struct stun_addr mapped = lie_about(w, lie, *from, to);
	struct wr out;

	wr_init(&out, answer, PACKET_MAX);
	if (lie == LIE_GARBAGE) {
		wr_bytes(&out, "this is no STUN at all", 22);
		return wr_len(&out);
	}
	stun_begin(&out, lie == LIE_REFUSE ? STUN_ERROR : STUN_SUCCESS,
	    STUN_BINDING, &m->txid);
	if (lie == LIE_REFUSE)
		stun_put_error(&out, 420);
	else {
		stun_put_xor_address(&out, &mapped, &m->txid);
		put_other(&out, lie, from);
	}
	return stun_end(&out);
}

static void
serve_more(struct natworld *w, enum natworld_lie lie,
    const struct stun_addr *from, const struct stun_addr *to, const uint8_t *p,
    size_t n)
{
	uint8_t answer[PACKET_MAX], out[PACKET_MAX];
	struct stun_addr source = *to;
	struct stun_msg m;
	size_t len;

	if (lie == LIE_SILENT || stun_parse(&m, p, n) != STUN_FORM_OK)
		return;
	len = write_lie(w, lie, &m, from, to, answer);
	if (lie == LIE_ECHO)
		memcpy(answer, p, len = n);
	if (lie == LIE_REPLAY && w->last_n == 0)
		memcpy(w->last, answer, w->last_n = len);
	if (lie == LIE_REPLAY)
		memcpy(answer, w->last, len = w->last_n);
	if (lie == LIE_ELSEWHERE)
		source.port++;
	len = wrap(out, &source, from, answer, len);
	if (lie == LIE_LOCAL) {
		fly(w, TO_CLIENT, out, len, 1000);
		return;
	}
	fly(w, FROM_SERVER, out, len,
	    2 * w->o->more_delay_us + (lie == LIE_LATE ? 2000000 : 0));
	if (lie == LIE_TWICE)
		fly(w, FROM_SERVER, out, len, 1000);
}

static bool
is_more(const struct natworld *w, const struct stun_addr *to, unsigned *i)
{
	struct stun_addr a;

	for (*i = 0; *i < w->o->n_more; (*i)++) {
		a = more_addr(*i);
		if (stun_addr_same(&a, to))
			return true;
	}
	return false;
}

static void
serve(struct natworld *w, const uint8_t *packet, size_t n)
{
	uint8_t answer[STUNSRV_ANSWER_MAX], out[PACKET_MAX];
	struct stunsrv_arrival a = {.transport = STUNSRV_UDP, .now = w->now};
	struct stun_addr from, to;
	struct stunsrv_reply reply;
	const uint8_t *p;
	size_t len;
	unsigned i;
	int role;

	if (unwrap(packet, n, &from, &to, &p, &len) && is_more(w, &to, &i))
		serve_more(w, w->o->more[i], &from, &to, p, len);
	if (!unwrap(packet, n, &from, &to, &p, &len) ||
	    (role = role_of(w, &to)) == -1)
		return;
	a.role = (enum stunsrv_role)role;
	a.from = &from;
	a.to = &to;
	if (!stunsrv_is_answered(stunsrv_judge(&w->site, &a, p, len, &reply)))
		return;
	if (w->o->mute_alternate && reply.role != STUNSRV_A1P1)
		return;
	if (w->o->answers != 0 && w->answers++ >= w->o->answers)
		return;
	len = stunsrv_write(&w->site, &a, &reply, answer);
	to = from;
	to.port = reply.port;
	n = wrap(out, &w->site.at[reply.role], &to, answer, len);
	fly(w, FROM_SERVER, out, n, (int64_t)reply.delay_ms * 1000);
}

/* ---- the client ---- */

static void
tap(struct natworld *w, const uint8_t *packet, size_t n)
{
	if (w->o->tap != NULL)
		w->o->tap(w->o->tap_arg, packet, n, w->now);
}

static void
arrive(struct natworld *w, const uint8_t *packet, size_t n)
{
	struct engine *e = &w->probe->engine;
	struct stun_addr from, to;
	const uint8_t *p;
	size_t len;

	if (!unwrap(packet, n, &from, &to, &p, &len))
		return;
	tap(w, packet, n);
	for (size_t i = 0; i < e->n_socks; i++)
		if (e->socks[i].state == SOCK_OPEN &&
		    stun_addr_same(&e->socks[i].local, &to))
			engine_input(e, (uint16_t)i, &from, p, len, w->now);
}

static bool
port_is_taken(const struct engine *e, const struct stun_addr *a)
{
	for (size_t i = 0; i < e->n_socks; i++)
		if (e->socks[i].state == SOCK_OPEN &&
		    stun_addr_same(&e->socks[i].local, a))
			return true;
	return false;
}

/* What an earlier run sent. */
static void
leave_mapping(struct natworld *w, const struct stun_addr *local)
{
	uint8_t out[PACKET_MAX];

	for (unsigned i = 0; i < STUNSRV_ROLES; i++)
		nat_input(w->nat, NAT_INSIDE, out,
		    wrap(out, local, &w->site.at[i], (const uint8_t *)"", 1),
		    w->now);
}

static void
open_sock(struct natworld *w, uint16_t sock)
{
	struct engine *e = &w->probe->engine;
	struct sock *s = &e->socks[sock];
	struct stun_addr local =
	    v4(10, 0, 2, s->local_ip == 0 ? 15 : 16, s->port);

	while (s->port == 0) {
		local.port =
		    ports_draw(&w->ports, s->row ? PORTS_ROWS : PORTS_ONE,
			(int64_t)w->o->seed * 977 + w->now.us / 1000, local.ip);
		if (!port_is_taken(e, &local))
			break;
	}
	if (w->o->reused == sock + 1u && w->nat != NULL)
		leave_mapping(w, &local);
	/* As bind() says of a port that is wanted: EADDRINUSE. */
	engine_opened(e, sock,
	    s->port != 0 && port_is_taken(e, &local) ? NULL : &local, w->now);
}

static void
leave(struct natworld *w, const struct act *act)
{
	uint8_t out[PACKET_MAX];
	size_t n = wrap(out, &w->probe->engine.socks[act->sock].local, &act->to,
	    act->p, act->len);
	unsigned i;

	tap(w, out, n);
	if (is_more(w, &act->to, &i) && w->o->more[i] == LIE_LOCAL)
		fly(w, TO_SERVER, out, n, 1000);
	else if (w->nat != NULL)
		nat_input(w->nat, NAT_INSIDE, out, n, w->now);
	else
		send_over(w, TO_SERVER, out, n);
}

/* ---- time ---- */

static void
land(struct natworld *w)
{
	struct flying *f = w->flying;

	w->flying = f->next;
	switch (f->where) {
	case TO_SERVER:
		serve(w, f->p, f->n);
		break;
	case FROM_SERVER:
		if (chance(w) >= w->o->loss) {
			f->where = TO_CLIENT;
			if (w->nat == NULL)
				fly(w, TO_CLIENT, f->p, f->n, w->o->delay_us);
			else
				nat_input(
				    w->nat, NAT_OUTSIDE, f->p, f->n, w->now);
		}
		break;
	case TO_CLIENT:
		arrive(w, f->p, f->n);
		break;
	}
	free(f);
}

static bool
act_all(struct natworld *w)
{
	struct engine *e = &w->probe->engine;
	struct act act;
	bool more;

	do {
		while (engine_next(e, w->now, &act))
			if (act.kind == ACT_OPEN)
				open_sock(w, act.sock);
			else
				leave(w, &act);
		more = probe_advance(w->probe, w->now);
	} while (more && mono_reached(probe_wake(w->probe), w->now));
	return more;
}

static bool
is_stopped(const struct natworld *w)
{
	return w->o->stop_us != 0 && w->now.us >= 1000000 + w->o->stop_us;
}

static void
move_clock(struct natworld *w)
{
	struct mono next = probe_wake(w->probe);

	if (w->flying != NULL)
		next = mono_earlier(next, w->flying->at);
	if (w->nat != NULL)
		next = mono_earlier(next, nat_deadline(w->nat));
	if (w->o->stop_us != 0)
		next =
		    mono_earlier(next, (struct mono){1000000 + w->o->stop_us});
	if (next.us > w->now.us)
		w->now = next;
}

double
natworld_run(
    struct probe *p, const struct natworld_options *o, unsigned dead_servers)
{
	struct natworld w = {.o = o,
	    .probe = p,
	    .site = site_of(o),
	    .now = {1000000},
	    .random = o->seed * 2 + 1};
	struct stun_addr servers[PROBE_SERVERS];
	uint8_t seed[ENGINE_SEED_LEN] = {(uint8_t)o->seed, 7};
	unsigned n = 0;

	for (; n < dead_servers; n++)
		servers[n] = v4(203, 0, 113, 200, (uint16_t)(3478 + n));
	if (!o->no_server)
		servers[n++] = w.site.at[STUNSRV_A1P1];
	for (unsigned i = 0; i < o->n_more; i++)
		servers[n++] = more_addr(i);
	if (o->nat != NULL)
		w.nat = nat_new(o->nat, w.now, on_nat, &w);
	probe_init(p, &o->probe, servers, n, seed, w.now);
	while (act_all(&w)) {
		if (is_stopped(&w)) {
			probe_stop(p);
			break;
		}
		move_clock(&w);
		if (o->stop_after_us != 0 &&
		    w.now.us >= 1000000 + o->stop_after_us) {
			probe_stop(p);
			/* As a driver may whose sockets are heard later. */
			act_all(&w);
			break;
		}
		while (w.flying != NULL && w.flying->at.us <= w.now.us)
			land(&w);
		if (w.nat != NULL)
			nat_run(w.nat, w.now);
	}
	while (w.flying != NULL) {
		struct flying *f = w.flying;

		w.flying = f->next;
		free(f);
	}
	nat_free(w.nat);
	return (double)mono_diff_us((struct mono){1000000}, w.now) / 1e6;
}

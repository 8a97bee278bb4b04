/*
 * serve: a datagram's way: judged by pure/stunsrv, counted, limited, and then
 * answered from the socket that its reply names, at once or later. Decides
 * nothing about STUN.
 */
#include "run/loop.h"
#include "run/udp.h"
#include "stund/stund.h"

_Static_assert(STUNSRV_ANSWER_MAX <= UDP_OUT_MAX, "answers fit");

static void
to_stun(struct stun_addr *to, const struct addr *a)
{
	addr_ip16(a, to->ip);
	to->port = addr_port(a);
}

static unsigned
rules(const struct stund *env)
{
	const struct stund_policy *policy =
	    atomic_load_explicit(&env->policy, memory_order_acquire);

	if (atomic_load_explicit(&env->partner_up, memory_order_relaxed))
		return policy->rules | STUNSRV_PARTNER_UP;
	return policy->rules;
}

/* The same worker's socket with that role. */
static const struct stund_socket *
socket_of(const struct stund_socket *s, enum stunsrv_role role)
{
	return s - s->role + role;
}

/* ---- later ---- */

static _Atomic int32_t *
waiting_count(const struct stund_worker *w, const struct stun_addr *from)
{
	return &w->env->waiting.counts[limits_hash(&w->env->limits, from) %
	    WAITING_COUNTS];
}

/* Keeps the answer until its time. False: too many wait already. */
static bool
put_off(const struct stund_socket *s, const struct udp_datagram *d,
    const struct stun_addr *from, const struct stunsrv_reply *reply)
{
	struct stund_worker *w = s->worker;
	_Atomic int32_t *count = waiting_count(w, from);
	struct stund_answer *answer = NULL;

	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) <
	    WAITING_SOURCE_MAX)
		answer = later_add(
		    w->later, mono_add_ms(loop_now(w->loop), reply->delay_ms));
	if (answer == NULL) {
		atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
		return false;
	}
	*answer = (struct stund_answer){s, *d->from, *d->to, *reply};
	timer_set(w->timer, later_next(w->later));
	metric_add(&w->counts.delayed, 1);
	metric_add(&w->counts.waiting, 1);
	return true;
}

/* Sends an answer that cannot leave with the others of its batch. */
static void
send_apart(const struct stund_socket *s, const struct addr *from,
    const struct addr *to, const struct stunsrv_reply *reply, uint8_t *out,
    size_t n)
{
	struct addr client = *from;

	addr_set_port(&client, reply->port);
	udp_send(socket_of(s, reply->role)->udp, &client, to, out, n);
}

static void
send_due(const struct stund_answer *answer)
{
	const struct stund_socket *s = answer->socket;
	struct stun_addr from, to;
	const struct stunsrv_arrival a = {.role = s->role,
	    .rules = rules(s->worker->env),
	    .from = &from,
	    .to = &to,
	    .now = loop_now(s->worker->loop)};
	uint8_t out[STUNSRV_ANSWER_MAX];
	size_t n;

	to_stun(&from, &answer->from);
	to_stun(&to, &answer->to);
	atomic_fetch_sub_explicit(
	    waiting_count(s->worker, &from), 1, memory_order_relaxed);
	n = stunsrv_write(&s->place->site, &a, &answer->reply, out);
	send_apart(s, &answer->from, &answer->to, &answer->reply, out, n);
}

void
serve_due(void *arg)
{
	struct stund_worker *w = arg;
	const struct stund_answer *answer;

	while ((answer = later_take(w->later, loop_now(w->loop))) != NULL) {
		metric_add(&w->counts.waiting, -1);
		send_due(answer);
	}
	timer_set(w->timer, later_next(w->later));
}

/* ---- now ---- */

/* What is left to do for a request that has its tokens. */
static size_t
answer(const struct stund_socket *s, const struct udp_datagram *d,
    const struct stunsrv_arrival *a, struct stunsrv_reply *reply, uint8_t *out)
{
	const struct stunsrv_site *site = &s->place->site;
	size_t n;

	if (reply->delay_ms > 0) {
		if (put_off(s, d, a->from, reply))
			return 0;
		stunsrv_refuse(a, reply, STUNSRV_BUSY);
	}
	n = stunsrv_write(site, a, reply, out);
	if (reply->role == s->role && reply->port == a->from->port)
		return n;
	send_apart(s, d->from, d->to, reply, out, n);
	return 0;
}

size_t
serve_datagram(
    void *arg, const struct udp_datagram *d, uint8_t out[static UDP_OUT_MAX])
{
	const struct stund_socket *s = arg;
	struct stund_worker *w = s->worker;
	struct stun_addr from, to;
	const struct stunsrv_arrival a = {.role = s->role,
	    .rules = rules(w->env),
	    .from = &from,
	    .to = &to,
	    .now = loop_now(w->loop)};
	struct stunsrv_reply reply;
	enum stunsrv_verdict verdict = STUNSRV_NOT_STUN;
	size_t n = 0;

	to_stun(&from, d->from);
	if (s->place->site.wildcard)
		to_stun(&to, d->to);
	if (!d->cut)
		verdict =
		    stunsrv_judge(&s->place->site, &a, d->p, d->len, &reply);
	if (stunsrv_is_answered(verdict)) {
		if (worker_allow(w, &from, &reply)) {
			n = answer(s, d, &a, &reply, out);
			verdict = reply.verdict;
		} else
			verdict = STUNSRV_LIMITED;
	}
	worker_count(w, STUNSRV_UDP, &from, verdict);
	return n;
}

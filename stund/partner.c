/*
 * partner: the socket of the channel, its timer and its log lines; answers
 * requests that the partner hands over, through the same rules and buckets as
 * those that come from clients.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "run/file.h"
#include "run/log.h"
#include "run/loop.h"
#include "run/udp.h"
#include "stund/partner.h"
#include "stund/stund.h"

#define MINUTE_US INT64_C(60000000)

/* Datagrams read in one wake-up: requests of clients wait meanwhile. */
#define READ_BATCH 64

struct partner {
	struct stund *env; /* lent */
	struct stund_worker *worker; /* the first; lent */
	struct addr peer, local;
	int fd;
	struct watch *watch;
	struct timer *timer;
	enum pair_state said; /* the last state that was logged */
	bool said_any;
	struct mono started;
	bool told[PAIR_FAMILIES]; /* what the sites say is for good */
	struct log_limit log_stranger, log_forged;
	struct partner_counts counts;
	pthread_mutex_t lock; /* guards pair, and counts.sent, .asked */
	struct pair pair;
};

/* ---- the key ---- */

static int
key_failed(char *error, size_t cap, const char *path, const char *what)
{
	snprintf(error, cap,
	    "partner-key %s: %s; \"(umask 077; openssl rand -hex 32 >%s)\" "
	    "makes one, for both hosts",
	    path, what, path);
	return -1;
}

int
partner_key_read(struct key *k, const char *path, char *error, size_t cap)
{
	char text[KEY_TEXT_MAX];
	struct stat st;
	ssize_t n;
	bool good;

	if (stat(path, &st) == -1)
		return key_failed(error, cap, path, strerror(errno));
	if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
		snprintf(error, cap,
		    "partner-key %s: others may read or change it (mode "
		    "%04o); \"chmod 600 %s\" is right",
		    path, (unsigned)(st.st_mode & 07777), path);
		return -1;
	}
	n = file_read(path, text, sizeof(text));
	if (n == -1 && errno != EMSGSIZE)
		return key_failed(error, cap, path, strerror(errno));
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	good =
	    n > 0 && key_parse(k, KEY_HEX, text, (size_t)n) && !key_is_zero(k);
	sodium_memzero(text, sizeof(text));
	return good ? 0 : key_failed(error, cap, path, "is not 64 hex digits");
}

/* ---- what sites and log say ---- */

static enum pair_family
family_of(const struct stund_place *place)
{
	return addr_is_v4(&place->at[STUNSRV_A1P1]) ? PAIR_V4 : PAIR_V6;
}

/*
 * A site gets the partner's address when it is up for the first time, before
 * anybody looks there, and for good: workers read it without a lock. False if
 * it is another one since.
 */
static bool
tell_site(struct partner *p, struct stund_place *place, const uint8_t *ip)
{
	struct stunsrv_site *site = &place->site;

	if (p->told[family_of(place)])
		return memcmp(site->at[STUNSRV_A2P1].ip, ip, 16) == 0;
	for (unsigned role = STUNSRV_A2P1; role <= STUNSRV_A2P2; role++) {
		site->at[role].port = site->at[role ^ STUNSRV_OTHER_IP].port;
		memcpy(site->at[role].ip, ip, 16);
	}
	p->told[family_of(place)] = true;
	return true;
}

static bool
publish(struct partner *p, struct mono now)
{
	struct stund_place *place = p->env->places.v;
	const uint8_t *other;
	bool moved = false;

	for (size_t i = 0; i < p->env->places.n; i++, place++) {
		if (place->site.partner == 0)
			continue;
		other = pair_other(&p->pair, family_of(place), now);
		if (other != NULL && !tell_site(p, place, other)) {
			moved = true;
			other = NULL;
		}
		atomic_store_explicit(
		    &place->partner_up, other != NULL, memory_order_release);
	}
	return moved;
}

static void
log_state(const struct partner *p, enum pair_state state, bool moved)
{
	const struct pair_site *a = &p->pair.ours, *b = &p->pair.theirs;
	char peer[ADDR_TEXT_MAX];

	addr_text(&p->peer, peer);
	if (state == PAIR_DOWN)
		log_warnx("partner %s: does not answer: no OTHER-ADDRESS, and "
			  "error 420 for who asks to change the address",
		    peer);
	else if (moved)
		log_warnx("partner %s: answers, but has another address than "
			  "before; restart stund to have clients told",
		    peer);
	else if (state == PAIR_UP)
		log_info("partner %s: answers, and is the other address", peer);
	else if (a->port[0] != b->port[0] || a->port[1] != b->port[1])
		log_warnx("partner %s: answers, but on ports %u and %u, and "
			  "here they are %u and %u; the same are right",
		    peer, b->port[0], b->port[1], a->port[0], a->port[1]);
	else
		log_warnx("partner %s: answers, but there is no family in "
			  "which it has another address than this host",
		    peer);
}

/* After anything that may have changed the state; under the lock. */
static void
settle(struct partner *p)
{
	struct mono now = loop_now(p->worker->loop);
	enum pair_state state = pair_state(&p->pair, now);
	bool moved = publish(p, now);

	if (moved)
		state = PAIR_UNFIT;
	/* At the start it is given time to answer. */
	if (state != PAIR_DOWN || p->said_any ||
	    mono_diff_us(p->started, now) >= PAIR_ALIVE_US) {
		if (state != p->said || !p->said_any)
			log_state(p, state, moved);
		p->said = state;
		p->said_any = true;
	}
	timer_set(p->timer, pair_deadline(&p->pair));
}

/* ---- sending ---- */

/* Under the lock. */
static bool
send_sealed(struct partner *p, const uint8_t *d, size_t n)
{
	if (sendto(p->fd, d, n, MSG_DONTWAIT, &p->peer.u.sa, p->peer.len) ==
	    (ssize_t)n) {
		metric_add(&p->counts.sent, 1);
		return true;
	}
	metric_add(&p->counts.send_errors, 1);
	return false;
}

static void
send_owed(struct partner *p)
{
	uint8_t out[PAIR_DATAGRAM_MAX];
	size_t n;

	while ((n = pair_poll(&p->pair, loop_now(p->worker->loop), out)) > 0)
		send_sealed(p, out, n);
}

bool
partner_ask(struct partner *p, const struct stunsrv_arrival *a,
    const struct stunsrv_reply *reply)
{
	/* The cookie is checked by who gave it, and the partner would give
	 * another. */
	const struct pair_request q = {.magic = reply->magic,
	    .txid = reply->txid,
	    .client = *a->from,
	    .to_port = reply->port,
	    .came_to = (a->role & STUNSRV_OTHER_PORT) != 0,
	    .from = (reply->role & STUNSRV_OTHER_PORT) != 0,
	    .want = reply->want & (uint8_t)~STUNSRV_WANT_COOKIE,
	    .request_len = reply->request_len,
	    .extras_max = reply->extras_max};
	uint8_t out[PAIR_DATAGRAM_MAX];
	bool sent;
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = pair_ask(&p->pair, &q, out);
	sent = n > 0 && send_sealed(p, out, n);
	if (sent)
		metric_add(&p->counts.asked, 1);
	pthread_mutex_unlock(&p->lock);
	return sent;
}

/* ---- answering ---- */

static const struct stund_place *
place_of(const struct partner *p, const struct stun_addr *client)
{
	enum pair_family f = stun_addr_is_v4(client) ? PAIR_V4 : PAIR_V6;
	const struct stund_place *place = p->env->places.v;

	for (size_t i = 0; i < p->env->places.n; i++, place++)
		if (place->site.partner != 0 && family_of(place) == f)
			return place;
	return NULL;
}

/* A bare request with that id from that client: it is judged like all others,
 * for its source. */
static enum stunsrv_verdict
judge(const struct stund_place *place, const struct stunsrv_arrival *a,
    const struct pair_request *q, struct stunsrv_reply *reply)
{
	uint8_t bare[STUN_HEADER_LEN];
	enum stunsrv_verdict v;
	struct wr w;

	wr_init(&w, bare, sizeof(bare));
	stun_begin_as(&w, STUN_REQUEST, STUN_BINDING, q->magic, &q->txid);
	v = stunsrv_judge(&place->site, a, bare, stun_end(&w), reply);
	if (v != STUNSRV_SUCCESS && v != STUNSRV_TOO_SHORT)
		return v;
	/* What is as long as its request is no danger, but one may have been
	 * made up by who has the key: from the tight bucket. */
	*reply = (struct stunsrv_reply){.verdict = STUNSRV_SUCCESS,
	    .gated = (q->want & STUNSRV_WANT_PADDING) != 0,
	    .role = q->from == 0 ? STUNSRV_A1P1 : STUNSRV_A1P2,
	    .port = q->to_port,
	    .magic = q->magic,
	    .txid = q->txid,
	    .want = q->want,
	    .request_len = q->request_len,
	    .extras_max = q->extras_max};
	return STUNSRV_SUCCESS;
}

static bool
answer(struct partner *p, const struct pair_request *q)
{
	const struct stund_place *place = place_of(p, &q->client);
	struct stund_worker *w = p->worker;
	uint8_t out[STUNSRV_ANSWER_MAX];
	struct stunsrv_arrival a = {
	    .role = q->came_to == 0 ? STUNSRV_A2P1 : STUNSRV_A2P2,
	    .from = &q->client,
	    .now = loop_now(w->loop)};
	const struct stund_source source =
	    limits_source(&w->env->limits, &q->client);
	struct stunsrv_reply reply;
	struct udp *udp;
	struct addr to;
	size_t n;

	if (place == NULL)
		return false;
	a.rules = serve_rules(w->env, place);
	if (judge(place, &a, q, &reply) != STUNSRV_SUCCESS ||
	    !worker_allow(w, &source, &reply))
		return false;
	n = stunsrv_write(&place->site, &a, &reply, out);
	if ((a.rules & STUNSRV_STRICT) != 0 && n > q->request_len)
		return false;
	addr_from_ip16(&to, q->client.ip, q->to_port);
	udp = w->sockets[(size_t)(place - w->env->places.v) * STUNSRV_ROLES +
		   reply.role]
		  .udp;
	udp_send(udp, &to, NULL, out, n);
	return true;
}

/* ---- receiving ---- */

static void
note(struct partner *p, enum pair_verdict v)
{
	char peer[ADDR_TEXT_MAX];

	metric_add(&p->counts.received[v], 1);
	if (v != PAIR_FORGED ||
	    log_allowed(&p->log_forged, loop_now(p->worker->loop)) == 0)
		return;
	log_warnx("partner %s: a datagram that our key does not open; is "
		  "-partner-key the same on both hosts?",
	    addr_text(&p->peer, peer));
}

static void
take(struct partner *p, const uint8_t *d, size_t n)
{
	struct mono now = loop_now(p->worker->loop);
	struct pair_request q;
	enum pair_verdict v;

	pthread_mutex_lock(&p->lock);
	v = pair_receive(&p->pair, d, n, now, &q);
	note(p, v);
	send_owed(p);
	settle(p);
	pthread_mutex_unlock(&p->lock);
	if (v == PAIR_GOT_REQUEST)
		metric_add(
		    answer(p, &q) ? &p->counts.answered : &p->counts.refused,
		    1);
}

/* The key decides who the partner is; this only spares the work. */
static bool
is_peer(struct partner *p, const struct addr *from)
{
	char is[ADDR_TEXT_MAX], should[ADDR_TEXT_MAX];

	if (addr_same_ip(from, &p->peer) &&
	    addr_port(from) == addr_port(&p->peer))
		return true;
	metric_add(&p->counts.strangers, 1);
	if (log_allowed(&p->log_stranger, loop_now(p->worker->loop)) > 0)
		log_warnx("partner-listen: a datagram from %s, which is not "
			  "-partner %s",
		    addr_text(from, is), addr_text(&p->peer, should));
	return false;
}

static void
on_readable(void *arg)
{
	struct partner *p = arg;
	uint8_t d[PAIR_DATAGRAM_MAX + 1]; /* longer ones are cut to this */
	ssize_t n;

	for (int i = 0; i < READ_BATCH; i++) {
		struct addr from = {.len = sizeof(from.u)};

		n = recvfrom(
		    p->fd, d, sizeof(d), MSG_DONTWAIT, &from.u.sa, &from.len);
		if (n == -1 && errno != EINTR)
			return;
		if (n >= 0 && is_peer(p, &from))
			take(p, d, (size_t)n);
	}
}

static void
on_timer(void *arg)
{
	struct partner *p = arg;

	pthread_mutex_lock(&p->lock);
	send_owed(p);
	settle(p);
	pthread_mutex_unlock(&p->lock);
}

/* ---- life ---- */

static struct pair_site
site_of(const struct stund *env)
{
	const struct stund_place *place = env->places.v;
	struct pair_site s = {0};

	for (size_t i = 0; i < env->places.n; i++, place++) {
		const struct stun_addr *at = place->site.at;
		enum pair_family f = family_of(place);

		if (place->site.partner == 0)
			continue;
		s.has[f] = true;
		memcpy(s.ip[f], at[STUNSRV_A1P1].ip, 16);
		s.port[0] = at[STUNSRV_A1P1].port;
		s.port[1] = at[STUNSRV_A1P2].port;
	}
	return s;
}

static int
open_socket(struct partner *p, char *error, size_t cap)
{
	struct addr *a = &p->local;
	char text[ADDR_TEXT_MAX];

	/* Of :PORT the partner's family: with both, IPv4 has another form. */
	if (addr_is_any(a))
		addr_parse(
		    a, addr_is_v4(&p->peer) ? "0.0.0.0" : "::", addr_port(a));
	p->fd = addr_bind_udp(a, false);
	if (p->fd == -1) {
		snprintf(error, cap, "partner-listen %s: %s",
		    addr_text(a, text), strerror(errno));
		return -1;
	}
	p->watch =
	    watch_new(p->worker->loop, p->fd, WATCH_READ, on_readable, p);
	p->timer = timer_new(p->worker->loop, on_timer, p);
	return p->watch == NULL || p->timer == NULL ? -1 : 0;
}

struct partner *
partner_new(struct stund *env, const struct key *k, char *error, size_t cap)
{
	struct partner *p = calloc(1, sizeof(*p));
	uint8_t seed[PAIR_SEED_LEN];
	struct pair_site site = site_of(env);

	snprintf(error, cap, "out of memory");
	if (p == NULL)
		return NULL;
	p->env = env;
	p->worker = env->workers[0];
	p->peer = env->conf.partner;
	p->local = env->conf.partner_listen;
	p->fd = -1;
	p->log_stranger.limit = limit_new(MINUTE_US, 1);
	p->log_forged.limit = limit_new(MINUTE_US, 1);
	pthread_mutex_init(&p->lock, NULL);
	randombytes_buf(seed, sizeof(seed));
	pair_init(&p->pair, k, seed, &site);
	sodium_memzero(seed, sizeof(seed));
	if (open_socket(p, error, cap) == -1) {
		partner_free(p);
		return NULL;
	}
	watch_on(p->watch, true);
	p->started = loop_now(p->worker->loop);
	timer_set(p->timer, p->started);
	return p;
}

void
partner_free(struct partner *p)
{
	uint8_t out[PAIR_DATAGRAM_MAX];
	size_t n;

	if (p == NULL)
		return;
	n = pair_bye(&p->pair, out);
	if (n > 0)
		send_sealed(p, out, n);
	watch_free(p->watch);
	timer_free(p->timer);
	if (p->fd != -1)
		close(p->fd);
	pair_clear(&p->pair);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

const struct addr *
partner_address(const struct partner *p)
{
	return &p->local;
}

const struct partner_counts *
partner_counts(const struct partner *p)
{
	return &p->counts;
}

enum pair_state
partner_state(struct partner *p, int64_t *rtt_us)
{
	enum pair_state state;

	pthread_mutex_lock(&p->lock);
	state = p->said;
	*rtt_us = p->pair.rtt_us;
	pthread_mutex_unlock(&p->lock);
	return state;
}

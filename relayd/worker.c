/*
 * worker: one thread. Accepts, runs its clients, and after each turn of the
 * loop writes their queues, posts mail to the other workers and frees who
 * died. Touches no other worker but through mail.
 */
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "relayd/relayd.h"

#define SECOND_US INT64_C(1000000)

/* Connections accepted in one wake-up: established clients wait meanwhile. */
#define ACCEPT_BATCH 16

/* derpserver samples round-trip times this often. */
#define TICK_US (10 * SECOND_US)

/* ---- the directory's gauges, and notes to the others ---- */

static void
publish_directory(struct worker *w)
{
	metric_set(&w->stats.keys, (int64_t)peers_count(&w->peers));
	metric_set(&w->stats.dup_keys, (int64_t)w->peers.duplicate_keys);
	metric_set(&w->stats.dup_members, (int64_t)w->peers.duplicate_members);
}

static void
post(struct worker *w, unsigned to)
{
	size_t lost = mailbox_post(&w->relay->workers[to]->mail, &w->out[to]);

	if (lost > 0)
		metric_add(&w->stats.dropped[DROP_QUEUE_HEAD][KIND_OTHER],
		    (int64_t)lost);
}

bool
worker_tell(struct worker *w, enum mail_kind kind, const struct member *m)
{
	bool told = true;

	for (unsigned i = 0; i < w->relay->nworkers; i++) {
		struct mail mail = {.kind = kind,
		    .worker = w->index,
		    .key = m->peer->key,
		    .id = m->id,
		    .stamp = m->stamp};

		if (i == w->index)
			continue;
		if (!outbox_add(&w->out[i], &mail, NULL)) {
			log_warnx("worker %u: no memory to tell worker %u of "
				  "a client",
			    w->index, i);
			told = false;
		}
	}
	return told;
}

void
worker_forward(struct worker *w, const struct member *m, const struct key *src,
    const uint8_t *p, size_t n)
{
	struct outbox *out = &w->out[m->worker];
	struct mail mail = {.kind = MAIL_PACKET,
	    .worker = w->index,
	    .key = m->peer->key,
	    .src = *src,
	    .len = (uint32_t)n};

	if (!outbox_add(out, &mail, p)) {
		stats_drop(
		    &w->stats, DROP_QUEUE_TAIL, client_packet_kind(p, n), n);
		return;
	}
	metric_add(&w->stats.crossed, 1);
	if (outbox_is_full(out))
		post(w, m->worker);
}

/* ---- mail from the others ---- */

static void
take_packet(struct worker *w, const struct mail *m)
{
	struct peer *to = peers_find(&w->peers, &m->key);
	struct member *member = to == NULL ? NULL : peers_local(to);
	const uint8_t *p = mail_body(m);

	if (member == NULL)
		stats_drop(&w->stats, DROP_GONE, client_packet_kind(p, m->len),
		    m->len);
	else
		client_deliver(member->client, peers_find(&w->peers, &m->src),
		    &m->src, p, m->len);
}

static void
acknowledge(struct worker *w, const struct mail *m)
{
	struct mail ack = {
	    .kind = MAIL_ACK, .worker = w->index, .key = m->key, .id = m->id};

	if (!outbox_add(&w->out[m->worker], &ack, NULL))
		log_warnx("worker %u: no memory to answer worker %u", w->index,
		    m->worker);
}

/* Only what is in force here is acknowledged: without that the client's own
 * worker closes it when its time is up. */
static void
take_note(struct worker *w, const struct mail *m)
{
	struct peer *p = peers_find(&w->peers, &m->key);
	struct member *member = p == NULL ? NULL : peers_member(p, m->id);

	switch (m->kind) {
	case MAIL_UP:
		if (peers_add(&w->peers, &m->key, m->id, m->stamp, m->worker,
			NULL) != NULL)
			acknowledge(w, m);
		break;
	case MAIL_DOWN:
		if (member != NULL)
			peers_remove(&w->peers, member, client_peer_gone, NULL);
		break;
	case MAIL_SPOKE:
		if (member != NULL) {
			peers_touch(member, m->stamp);
			acknowledge(w, m);
		}
		break;
	case MAIL_ACK:
		if (member != NULL && member->client != NULL)
			client_acked(member->client);
		break;
	case MAIL_PACKET:
		break;
	}
}

static void
mail_readable(void *arg)
{
	struct worker *w = arg;
	const struct mail *m;
	struct batches batches;
	struct batch *b;

	mailbox_take(&w->mail, &batches);
	while ((b = STAILQ_FIRST(&batches)) != NULL) {
		STAILQ_REMOVE_HEAD(&batches, link);
		for (m = batch_next(b, NULL); m != NULL; m = batch_next(b, m))
			if (m->kind == MAIL_PACKET)
				take_packet(w, m);
			else
				take_note(w, m);
		free(b);
	}
}

/* ---- the end of a turn ---- */

void
worker_flush_later(struct worker *w, struct client *c)
{
	if (c->flushing)
		return;
	c->flushing = true;
	TAILQ_INSERT_TAIL(&w->flush, c, flush);
}

void
worker_bury(struct worker *w, struct client *c)
{
	if (c->flushing) {
		c->flushing = false;
		TAILQ_REMOVE(&w->flush, c, flush);
	}
	TAILQ_REMOVE(&w->all, c, all);
	TAILQ_INSERT_TAIL(&w->dead, c, all);
}

static void
worker_turn(void *arg)
{
	struct worker *w = arg;
	struct client *c;

	while ((c = TAILQ_FIRST(&w->flush)) != NULL) {
		TAILQ_REMOVE(&w->flush, c, flush);
		c->flushing = false;
		client_flush(c);
	}
	for (unsigned i = 0; i < w->relay->nworkers; i++)
		if (i != w->index)
			post(w, i);
	while ((c = TAILQ_FIRST(&w->dead)) != NULL) {
		TAILQ_REMOVE(&w->dead, c, all);
		client_free(c);
	}
	publish_directory(w);
}

/* ---- accepting ---- */

static void
listen_on(struct worker *w, bool on)
{
	for (unsigned i = 0; i < w->nlisteners; i++)
		watch_on(w->listeners[i].watch, on);
}

/* Out of descriptors or memory: leave connections in the backlog for a
 * second, instead of being woken by them all the time. */
static void
pause_accepting(struct worker *w, const char *why)
{
	struct mono now = loop_now(w->loop);

	metric_add(&w->stats.paused, 1);
	w->short_here = true;
	if (!atomic_exchange(&w->relay->shortage_said, true) &&
	    log_allowed(&w->log_shortage, now) > 0)
		log_warnx("worker %u: accepting pauses: %s (%zu clients here)",
		    w->index, why, w->registered);
	listen_on(w, false);
	timer_set(w->resume, mono_add_us(now, SECOND_US));
}

static void
resume_accepting(void *arg)
{
	listen_on(arg, true);
}

/* False if there is no more to accept now. */
static bool
accept_one(struct worker *w, struct listener *l)
{
	struct addr from = {.len = sizeof(from.u)};
	int error;
	int fd =
	    accept4(l->fd, &from.u.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	error = fd == -1 ? errno : 0;
	if (fd == -1 &&
	    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		errno == ENOMEM))
		pause_accepting(w, strerror(errno));
	if (fd == -1)
		return error == ECONNABORTED || error == EINTR;
	if (w->short_here) {
		w->short_here = false;
		atomic_store(&w->relay->shortage_said, false);
	}
	if (l->tls && !limit_allow(&w->accepts, loop_now(w->loop))) {
		metric_add(&w->stats.tls_rejected, 1);
		metric_add(&w->stats.closed[CLOSE_ACCEPT_LIMIT], 1);
		close(fd);
		return true;
	}
	if (l->tls)
		metric_add(&w->stats.tls_accepted, 1);
	client_accept(w, l, fd, &from);
	return true;
}

static void
listener_readable(void *arg)
{
	struct listener *l = arg;

	for (int i = 0; i < ACCEPT_BATCH; i++)
		if (!accept_one(l->worker, l))
			break;
}

/* ---- every ten seconds ---- */

static void
worker_tick(void *arg)
{
	struct worker *w = arg;
	struct client *c;

	TAILQ_FOREACH (c, &w->all, all)
		if (c->state == CLIENT_DERP)
			stats_rtt(&w->stats, io_rtt_us(c->io));
	timer_set(w->tick, mono_add_us(loop_now(w->loop), TICK_US));
}

bool
worker_check(const struct worker *w)
{
	const struct client *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &w->all, all)
		if (c->state == CLIENT_DERP) {
			if (peers_find(&w->peers, &c->key) == NULL)
				return false;
			n++;
		}
	return n == w->registered;
}

/* ---- life ---- */

static bool
add_listener(struct worker *w, int fd, bool tls, bool plain_pages)
{
	struct listener *l = &w->listeners[w->nlisteners];

	*l = (struct listener){NULL, w, fd, tls, plain_pages};
	l->watch = watch_new(w->loop, fd, WATCH_READ, listener_readable, l);
	if (l->watch == NULL)
		return false;
	watch_on(l->watch, true);
	w->nlisteners++;
	return true;
}

static void
set_limits(struct worker *w)
{
	const struct relayd_conf *conf = w->relay->conf;
	int64_t burst = conf->accept_burst / w->relay->nworkers;

	w->accepts =
	    limit_new(limit_interval(conf->accept_limit / w->relay->nworkers),
		burst < 1 ? 1 : burst);
	w->log_closed.limit = limit_new(SECOND_US / 10, 50);
	w->log_shortage.limit = limit_new(60 * SECOND_US, 1);
}

struct worker *
worker_new(struct relayd *relay, unsigned index, const int *fds, unsigned nfds)
{
	struct worker *w = calloc(1, sizeof(*w));
	uint8_t seed[KEYMAP_SEED_LEN];
	bool tls = atomic_load(&relay->tls) != NULL;

	if (w == NULL)
		return NULL;
	w->relay = relay;
	w->index = index;
	TAILQ_INIT(&w->all);
	TAILQ_INIT(&w->flush);
	TAILQ_INIT(&w->dead);
	pool_init(&w->pool);
	randombytes_buf(seed, sizeof(seed));
	peers_init(&w->peers, seed);
	set_limits(w);
	if ((w->loop = loop_new()) == NULL || mailbox_init(&w->mail) == -1)
		return NULL;
	w->io = io_env_new(w->loop);
	w->tick = timer_new(w->loop, worker_tick, w);
	w->resume = timer_new(w->loop, resume_accepting, w);
	w->wake =
	    watch_new(w->loop, w->mail.wake_fd, WATCH_READ, mail_readable, w);
	if (w->io == NULL || w->tick == NULL || w->resume == NULL ||
	    w->wake == NULL)
		return NULL;
	watch_on(w->wake, true);
	loop_on_turn(w->loop, worker_turn, w);
	for (unsigned i = 0; i < nfds; i++)
		if (!add_listener(w, fds[i], i == 0 && tls, i > 0))
			return NULL;
	return w;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct client *c;

	timer_set(w->tick, mono_add_us(loop_now(w->loop), TICK_US));
	loop_run(w->loop);
	while ((c = TAILQ_FIRST(&w->all)) != NULL)
		client_close(c, CLOSE_SHUTDOWN, NULL);
	return NULL;
}

int
worker_start(struct worker *w)
{
	sigset_t all, old;
	int r;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = r;
	return r == 0 ? 0 : -1;
}

void
worker_stop(struct worker *w)
{
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
}

void
worker_free(struct worker *w)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&w->dead)) != NULL) {
		TAILQ_REMOVE(&w->dead, c, all);
		client_free(c);
	}
	for (unsigned i = 0; i < w->relay->nworkers; i++)
		free(w->out[i].batch);
	for (unsigned i = 0; i < w->nlisteners; i++) {
		watch_free(w->listeners[i].watch);
		close(w->listeners[i].fd);
	}
	watch_free(w->wake);
	timer_free(w->tick);
	timer_free(w->resume);
	mailbox_clear(&w->mail);
	peers_clear(&w->peers);
	pool_clear(&w->pool);
	io_env_free(w->io);
	loop_free(w->loop);
	free(w);
}

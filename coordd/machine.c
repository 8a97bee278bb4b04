/*
 * machine: what one machine has open, and how much it may ask. One that was let
 * in is counted by no source (listen.c): this keeps it from taking what is for
 * all. Knows nothing of what is asked.
 */
#include <stdlib.h>

#include "coordd/control_impl.h"

#define SECOND_US INT64_C(1000000)

/* Connections: a stock client has one, and for a while those that its network
 * left behind. */
#define CONNECTIONS_MAX 8
/* Maps, and streams of them, that are not over and taken. A stock client has
 * one; they are large. */
#define OPEN_MAX 8

/* Requests of any kind. A client that joins sends ten. */
#define ASKS_BURST 60
#define ASKS_US	   (SECOND_US / 2)
/* Those that cost a write to the disk or a whole map. */
#define DEAR_BURST 30
#define DEAR_US	   (2 * SECOND_US)

/* Who comes again after this has all of that again. */
#define FORGET_US (60 * SECOND_US)

struct machine {
	struct key key;
	struct control_list controls; /* oldest first; dead ones are not here */
	size_t n;
	struct limit asks, dear;
	struct mono left; /* when the last of them ended */
	TAILQ_ENTRY(machine) idle_entry;
};

static struct machine *
machine_new(struct controls *cs, const struct key *key)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->key = *key;
	TAILQ_INIT(&m->controls);
	m->asks = limit_new(ASKS_US, ASKS_BURST);
	m->dear = limit_new(DEAR_US, DEAR_BURST);
	if (keymap_put(&cs->machines, &m->key, m))
		return m;
	free(m);
	return NULL;
}

static void
machine_free(struct controls *cs, struct machine *m)
{
	(void)keymap_del(&cs->machines, &m->key);
	free(m);
}

bool
machine_enter(struct control *k)
{
	struct controls *cs = k->all;
	struct machine *m = keymap_get(&cs->machines, &k->machine);

	if (m == NULL && (m = machine_new(cs, &k->machine)) == NULL)
		return false;
	if (mono_is_set(m->left))
		TAILQ_REMOVE(&cs->idle, m, idle_entry);
	m->left = MONO_NEVER;
	k->of = m;
	TAILQ_INSERT_TAIL(&m->controls, k, machine_entry);
	if (++m->n > CONNECTIONS_MAX)
		control_close(TAILQ_FIRST(&m->controls),
		    "the machine has too many connections");
	return true;
}

void
machine_leave(struct control *k)
{
	struct controls *cs = k->all;
	struct machine *m = k->of;

	if (m == NULL)
		return;
	k->of = NULL;
	TAILQ_REMOVE(&m->controls, k, machine_entry);
	if (--m->n > 0)
		return;
	/* A stranger would come with another key. */
	if (model_machine(&cs->c->model, &m->key) == NULL) {
		machine_free(cs, m);
		return;
	}
	m->left = loop_now(cs->c->loop);
	TAILQ_INSERT_TAIL(&cs->idle, m, idle_entry);
}

static void
forget_first(struct controls *cs)
{
	struct machine *m = TAILQ_FIRST(&cs->idle);

	TAILQ_REMOVE(&cs->idle, m, idle_entry);
	machine_free(cs, m);
}

void
machines_tick(struct controls *cs)
{
	struct mono now = loop_now(cs->c->loop);
	struct machine *m;

	while ((m = TAILQ_FIRST(&cs->idle)) != NULL &&
	    mono_diff_us(m->left, now) > FORGET_US)
		forget_first(cs);
}

void
machines_clear(struct controls *cs)
{
	while (!TAILQ_EMPTY(&cs->idle))
		forget_first(cs);
	keymap_clear(&cs->machines);
}

static size_t
count_open(const struct machine *m)
{
	const struct control *k;
	const struct request *r;
	size_t n = 0;

	TAILQ_FOREACH (k, &m->controls, machine_entry)
		LIST_FOREACH (r, &k->requests, entry)
			n += r->begun && (!r->ending || r->count > 0);
	return n;
}

bool
machine_may(const struct control *k, enum machine_wish wish)
{
	struct controls *cs = k->all;
	struct mono now = loop_now(cs->c->loop);
	struct machine *m = k->of;
	char text[KEY_SHORT_MAX];
	bool may = true;
	uint64_t lines;

	/* While memory is short there is nothing to count with. */
	if (m == NULL)
		return true;
	if (wish == MACHINE_ASK)
		may = limit_allow(&m->asks, now);
	else
		may = limit_allow(&m->dear, now);
	if (wish == MACHINE_BEGIN && count_open(m) >= OPEN_MAX)
		may = false;
	if (may)
		return true;
	if ((lines = log_allowed(&cs->log_busy, now)) > 0)
		log_warnx("machine %s asks for too much: refused (%llu times)",
		    key_short(&m->key, text), (unsigned long long)lines);
	return false;
}

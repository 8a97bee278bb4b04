/* source: see source.h. PURE. */
#include <stdlib.h>
#include <string.h>

#include "coordd/source.h"
#include "pure/limit.h"

struct source {
	struct key ip; /* its 16 bytes, then zeros */
	size_t strangers;
	struct limit shakes;
	struct mono left; /* when the last of them went */
	TAILQ_ENTRY(source) idle_entry;
};

void
sources_init(struct sources *all, const uint8_t seed[static KEYMAP_SEED_LEN])
{
	keymap_init(&all->all, seed);
	TAILQ_INIT(&all->idle);
}

static void
forget(struct sources *all, struct source *s)
{
	(void)keymap_del(&all->all, &s->ip);
	free(s);
}

static void
forget_first(struct sources *all)
{
	struct source *s = TAILQ_FIRST(&all->idle);

	TAILQ_REMOVE(&all->idle, s, idle_entry);
	forget(all, s);
}

void
sources_clear(struct sources *all)
{
	while (!TAILQ_EMPTY(&all->idle))
		forget_first(all);
	keymap_clear(&all->all);
}

void
sources_tick(struct sources *all, struct mono now)
{
	struct source *s;

	while ((s = TAILQ_FIRST(&all->idle)) != NULL &&
	    mono_diff_us(s->left, now) > SOURCE_SHAKES_BURST * SOURCE_SHAKES_US)
		forget_first(all);
}

static struct key
key_of(const uint8_t ip[static 16])
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	struct key k = {{0}};

	memcpy(k.b, ip, memcmp(ip, v4, sizeof(v4)) == 0 ? 16 : 8);
	return k;
}

static struct source *
source_new(struct sources *all, const struct key *ip)
{
	struct source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->ip = *ip;
	s->shakes = limit_new(SOURCE_SHAKES_US, SOURCE_SHAKES_BURST);
	if (keymap_put(&all->all, &s->ip, s))
		return s;
	free(s);
	return NULL;
}

struct source *
source_enter(struct sources *all, const uint8_t ip[static 16])
{
	struct key k = key_of(ip);
	struct source *s = keymap_get(&all->all, &k);

	if (s == NULL && (s = source_new(all, &k)) == NULL)
		return NULL;
	if (s->strangers >= SOURCE_STRANGERS_MAX)
		return NULL;
	if (mono_is_set(s->left))
		TAILQ_REMOVE(&all->idle, s, idle_entry);
	s->left = MONO_NEVER;
	s->strangers++;
	return s;
}

void
source_leave(struct sources *all, struct source *s, struct mono now)
{
	if (--s->strangers > 0)
		return;
	if (!s->shakes.begun) {
		forget(all, s);
		return;
	}
	s->left = now;
	TAILQ_INSERT_TAIL(&all->idle, s, idle_entry);
}

bool
source_may_shake(struct source *s, struct mono now)
{
	return limit_allow(&s->shakes, now);
}

void
source_shook(struct source *s)
{
	limit_give(&s->shakes);
}

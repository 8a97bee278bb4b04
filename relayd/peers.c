/* peers: the directory of keys, and who must hear that one is gone. */
#include <stdlib.h>
#include <string.h>

#include "relayd/peers.h"

#define BUCKETS_MIN 64

/* The fact "viewer has got packets of peer"; in three lists. */
struct sighting {
	LIST_ENTRY(sighting) by_hash;
	LIST_ENTRY(sighting) by_peer;
	TAILQ_ENTRY(sighting) by_viewer;
	struct peer *peer;
	struct viewer *viewer;
};

void
peers_init(struct peers *ps, const uint8_t seed[static KEYMAP_SEED_LEN])
{
	memset(ps, 0, sizeof(*ps));
	keymap_init(&ps->map, seed);
}

struct peer *
peers_find(const struct peers *ps, const struct key *k)
{
	return keymap_get(&ps->map, k);
}

size_t
peers_count(const struct peers *ps)
{
	return ps->map.count;
}

/* ---- members ---- */

static struct peer *
peer_new(struct peers *ps, const struct key *k)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->key = *k;
	p->serial = ++ps->serials;
	LIST_INIT(&p->members);
	LIST_INIT(&p->seen_by);
	if (!keymap_put(&ps->map, &p->key, p)) {
		free(p);
		return NULL;
	}
	return p;
}

static void
peer_free(struct peers *ps, struct peer *p)
{
	(void)keymap_del(&ps->map, &p->key);
	free(p);
}

static void
choose_active(struct peer *p)
{
	struct member *m;

	p->active = LIST_FIRST(&p->members);
	LIST_FOREACH (m, &p->members, link)
		if (m->stamp > p->active->stamp)
			p->active = m;
}

/* Both members of a pair count as duplicates, as in derper. */
static void
count_duplicates(struct peers *ps, unsigned before, unsigned after)
{
	ps->duplicate_keys += (after > 1) - (size_t)(before > 1);
	ps->duplicate_members +=
	    (after > 1 ? after : 0) - (size_t)(before > 1 ? before : 0);
}

struct member *
peers_add(struct peers *ps, const struct key *k, uint64_t id, uint64_t stamp,
    unsigned worker, void *client)
{
	struct member *m = calloc(1, sizeof(*m));
	struct peer *p = m == NULL ? NULL : peers_find(ps, k);

	if (m != NULL && p == NULL)
		p = peer_new(ps, k);
	if (p == NULL) {
		free(m);
		return NULL;
	}
	m->peer = p;
	m->id = id;
	m->stamp = stamp;
	m->worker = worker;
	m->client = client;
	LIST_INSERT_HEAD(&p->members, m, link);
	count_duplicates(ps, p->nmembers, p->nmembers + 1);
	p->nmembers++;
	choose_active(p);
	return m;
}

struct member *
peers_member(const struct peer *p, uint64_t id)
{
	struct member *m;

	LIST_FOREACH (m, &p->members, link)
		if (m->id == id)
			return m;
	return NULL;
}

struct member *
peers_local(const struct peer *p)
{
	struct member *m, *best = NULL;

	if (p->active->client != NULL)
		return p->active;
	LIST_FOREACH (m, &p->members, link)
		if (m->client != NULL &&
		    (best == NULL || m->stamp > best->stamp))
			best = m;
	return best;
}

void
peers_touch(struct member *m, uint64_t stamp)
{
	m->stamp = stamp;
	choose_active(m->peer);
}

/* ---- sightings ---- */

/* Serials are ours, not an attacker's: any good mixer does (splitmix64). */
static size_t
bucket_of(const struct peers *ps, uint64_t peer, uint64_t viewer)
{
	uint64_t x = peer * 0x9e3779b97f4a7c15u ^ viewer;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (size_t)(x ^ (x >> 31)) & (ps->nbuckets - 1);
}

static bool
grow_buckets(struct peers *ps)
{
	struct sightings *old = ps->buckets;
	size_t nold = ps->nbuckets;
	struct sighting *s;

	ps->nbuckets = nold == 0 ? BUCKETS_MIN : nold * 2;
	ps->buckets = calloc(ps->nbuckets, sizeof(*ps->buckets));
	if (ps->buckets == NULL) {
		ps->buckets = old;
		ps->nbuckets = nold;
		return nold > 0;
	}
	for (size_t i = 0; i < nold; i++)
		while ((s = LIST_FIRST(&old[i])) != NULL) {
			LIST_REMOVE(s, by_hash);
			LIST_INSERT_HEAD(
			    &ps->buckets[bucket_of(
				ps, s->peer->serial, s->viewer->serial)],
			    s, by_hash);
		}
	free(old);
	return true;
}

static void
sighting_free(struct peers *ps, struct sighting *s)
{
	LIST_REMOVE(s, by_hash);
	LIST_REMOVE(s, by_peer);
	TAILQ_REMOVE(&s->viewer->sightings, s, by_viewer);
	s->viewer->count--;
	ps->nsightings--;
	free(s);
}

void
viewer_init(struct peers *ps, struct viewer *v)
{
	TAILQ_INIT(&v->sightings);
	v->count = 0;
	v->serial = ++ps->serials;
}

void
viewer_clear(struct peers *ps, struct viewer *v)
{
	struct sighting *s;

	while ((s = TAILQ_FIRST(&v->sightings)) != NULL)
		sighting_free(ps, s);
}

static bool
is_noted(const struct peers *ps, const struct viewer *v, const struct peer *p)
{
	const struct sighting *s;

	if (ps->nbuckets == 0)
		return false;
	LIST_FOREACH (
	    s, &ps->buckets[bucket_of(ps, p->serial, v->serial)], by_hash)
		if (s->peer == p && s->viewer == v)
			return true;
	return false;
}

void
viewer_note(struct peers *ps, struct viewer *v, struct peer *p)
{
	struct sighting *s;

	if (is_noted(ps, v, p))
		return;
	if (v->count >= PEERS_SIGHTINGS_MAX ||
	    (v->count > 0 && ps->nsightings >= PEERS_SIGHTINGS_TOTAL))
		sighting_free(ps, TAILQ_FIRST(&v->sightings));
	if (ps->nsightings >= PEERS_SIGHTINGS_TOTAL)
		return;
	if (ps->nsightings >= ps->nbuckets && !grow_buckets(ps))
		return;
	/* Without memory the viewer is not told: it finds out by itself. */
	if ((s = malloc(sizeof(*s))) == NULL)
		return;
	s->peer = p;
	s->viewer = v;
	LIST_INSERT_HEAD(
	    &ps->buckets[bucket_of(ps, p->serial, v->serial)], s, by_hash);
	LIST_INSERT_HEAD(&p->seen_by, s, by_peer);
	TAILQ_INSERT_TAIL(&v->sightings, s, by_viewer);
	v->count++;
	ps->nsightings++;
}

/* ---- the end ---- */

void
peers_remove(struct peers *ps, struct member *m,
    void (*gone)(struct viewer *v, const struct key *k, void *arg), void *arg)
{
	struct peer *p = m->peer;
	struct sighting *s;
	struct viewer *v;

	LIST_REMOVE(m, link);
	free(m);
	count_duplicates(ps, p->nmembers, p->nmembers - 1);
	p->nmembers--;
	choose_active(p);
	if (p->nmembers > 0)
		return;
	while ((s = LIST_FIRST(&p->seen_by)) != NULL) {
		/* First forgotten, then told: a viewer may die of being told,
		 * and then clears its sightings. */
		v = s->viewer;
		sighting_free(ps, s);
		if (gone != NULL)
			gone(v, &p->key, arg);
	}
	peer_free(ps, p);
}

void
peers_clear(struct peers *ps)
{
	struct peer *p;
	struct member *m;
	struct sighting *s;
	size_t at = 0;

	while ((p = keymap_next(&ps->map, &at)) != NULL) {
		while ((s = LIST_FIRST(&p->seen_by)) != NULL)
			sighting_free(ps, s);
		while ((m = LIST_FIRST(&p->members)) != NULL) {
			LIST_REMOVE(m, link);
			free(m);
		}
		free(p);
	}
	keymap_clear(&ps->map);
	free(ps->buckets);
	ps->buckets = NULL;
	ps->nbuckets = 0;
	ps->duplicate_keys = ps->duplicate_members = 0;
}

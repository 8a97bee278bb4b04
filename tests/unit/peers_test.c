/* peers: who is active, who is counted, and who is told that a key is gone. */
#include <stdlib.h>

#include "relayd/peers.h"
#include "tests/tap.h"

static const uint8_t seed[KEYMAP_SEED_LEN] = {2, 7, 1, 8, 2, 8};

static struct key
key_of(unsigned n)
{
	struct key k = {{0}};

	memcpy(k.b, &n, sizeof(n));
	k.b[KEY_LEN - 1] = 0x40;
	return k;
}

/* Whom a removal told of what, in order. */
static struct {
	struct viewer *v[8];
	struct key k;
	size_t n;
} told;

static void
tell(struct viewer *v, const struct key *k, void *arg)
{
	if (arg != &told)
		abort();
	if (told.n < 8)
		told.v[told.n] = v;
	told.k = *k;
	told.n++;
}

/* Removes a member; returns how many viewers were told. */
static size_t
removed(struct peers *ps, struct member *m)
{
	told.n = 0;
	peers_remove(ps, m, tell, &told);
	return told.n;
}

static struct member *
add(struct peers *ps, unsigned key, uint64_t id, uint64_t stamp, void *client)
{
	struct key k = key_of(key);
	struct member *m =
	    peers_add(ps, &k, id, stamp, (unsigned)id % 4, client);

	if (m == NULL)
		abort();
	return m;
}

static struct peer *
find(const struct peers *ps, unsigned key)
{
	struct key k = key_of(key);

	return peers_find(ps, &k);
}

static void
test_members(void)
{
	struct peers ps;
	struct member *a, *b;
	struct peer *p;
	int client;

	peers_init(&ps, seed);
	ok(find(&ps, 1) == NULL && peers_count(&ps) == 0, "nobody");
	a = add(&ps, 1, 10, 100, &client);
	p = find(&ps, 1);
	ok(p == a->peer && p->active == a && p->nmembers == 1,
	    "a peer with one member");
	ok(a->id == 10 && a->stamp == 100 && a->worker == 2 &&
		a->client == &client && p->key.b[0] == 1,
	    "and all that was said of it");
	b = add(&ps, 2, 11, 101, NULL);
	ok(b->peer != p && peers_count(&ps) == 2, "another key");
	ok(peers_member(p, 10) == a && peers_member(p, 11) == NULL,
	    "members by id, of one peer");
	eq_int((int64_t)removed(&ps, a), 0, "nobody has heard of it");
	ok(find(&ps, 1) == NULL && find(&ps, 2) == b->peer &&
		peers_count(&ps) == 1,
	    "gone, the other stays");
	peers_remove(&ps, b, NULL, NULL);
	ok(peers_count(&ps) == 0, "both gone");
	peers_clear(&ps);
}

/* The highest stamp is active, whatever the order of arrival. */
static void
test_active(void)
{
	struct peers ps;
	struct member *a, *b, *c;
	struct peer *p;

	peers_init(&ps, seed);
	a = add(&ps, 1, 10, 100, NULL);
	p = a->peer;
	b = add(&ps, 1, 11, 102, NULL);
	ok(p->active == b, "the newer one");
	c = add(&ps, 1, 12, 101, NULL);
	ok(p->active == b, "a note that came late changes nothing");
	peers_touch(a, 103);
	ok(p->active == a, "who speaks is active");
	peers_touch(a, 104);
	ok(p->active == a && a->stamp == 104, "and stays so");
	removed(&ps, c);
	ok(p->active == a && p->nmembers == 2, "another leaves");
	removed(&ps, a);
	ok(p->active == b, "the active leaves: the next stamp");
	c = add(&ps, 1, 13, 105, NULL);
	ok(p->active == c, "a new one");
	removed(&ps, c);
	ok(p->active == b && find(&ps, 1) == p, "the last one left");
	removed(&ps, b);
	ok(find(&ps, 1) == NULL, "nobody");
	peers_clear(&ps);
}

static void
test_local(void)
{
	struct peers ps;
	struct member *a, *b, *c;
	int one, two;

	peers_init(&ps, seed);
	a = add(&ps, 1, 10, 100, NULL);
	ok(peers_local(a->peer) == NULL, "none is ours");
	b = add(&ps, 1, 11, 90, &one);
	ok(b->peer->active == a && peers_local(a->peer) == b,
	    "ours, though it is not active");
	c = add(&ps, 1, 12, 95, &two);
	ok(peers_local(a->peer) == c, "the one that spoke last");
	peers_touch(b, 96);
	ok(peers_local(a->peer) == b, "the other did");
	peers_touch(c, 101);
	ok(a->peer->active == c && peers_local(a->peer) == c,
	    "the active one is ours");
	peers_clear(&ps);
	ok(peers_count(&ps) == 0, "cleared with members in it");
}

/* Both members of a pair count, as in derper. */
static void
test_duplicates(void)
{
	struct peers ps;
	struct member *m[4];
	bool same = true;
	static const struct {
		size_t keys, members;
	} want[] = {{0, 0}, {1, 2}, {1, 3}, {2, 5}};

	peers_init(&ps, seed);
	add(&ps, 2, 20, 1, NULL);
	for (unsigned i = 0; i < 4; i++) {
		m[i] = add(&ps, i < 3 ? 1 : 2, i, i, NULL);
		same &= ps.duplicate_keys == want[i].keys &&
		    ps.duplicate_members == want[i].members;
	}
	ok(same, "counted as they come");
	for (unsigned i = 4; i-- > 0;) {
		same &= ps.duplicate_keys == want[i].keys &&
		    ps.duplicate_members == want[i].members;
		removed(&ps, m[i]);
	}
	ok(same && ps.duplicate_keys == 0 && ps.duplicate_members == 0,
	    "and as they go");
	peers_clear(&ps);
}

static void
test_told(void)
{
	struct viewer v, w;
	struct peers ps;
	struct member *m, *other;
	struct key k = key_of(1);

	peers_init(&ps, seed);
	viewer_init(&ps, &v);
	viewer_init(&ps, &w);
	m = add(&ps, 1, 1, 1, NULL);
	other = add(&ps, 2, 2, 2, NULL);
	viewer_note(&ps, &v, m->peer);
	viewer_note(&ps, &v, m->peer);
	viewer_note(&ps, &v, other->peer);
	ok(v.count == 2 && ps.nsightings == 2, "noted once each");
	eq_int((int64_t)removed(&ps, m), 1, "told once");
	ok(told.v[0] == &v && key_equal(&told.k, &k), "who, and of whom");
	ok(v.count == 1 && ps.nsightings == 1, "and that is forgotten");

	/* The key comes back: a new peer, of which nobody has heard. */
	m = add(&ps, 1, 3, 3, NULL);
	eq_int((int64_t)removed(&ps, m), 0, "not told of what it has not seen");
	m = add(&ps, 1, 4, 4, NULL);
	viewer_note(&ps, &v, m->peer);
	viewer_note(&ps, &w, m->peer);
	eq_int((int64_t)removed(&ps, m), 2, "armed again, and another viewer");
	ok(told.v[0] != told.v[1], "each of them once");

	viewer_note(&ps, &v, other->peer);
	viewer_clear(&ps, &v);
	ok(v.count == 0 && ps.nsightings == 0, "the viewer leaves first");
	eq_int((int64_t)removed(&ps, other), 0, "it is not told");
	viewer_clear(&ps, &v);
	viewer_clear(&ps, &w);
	ok(true, "cleared twice");
	peers_clear(&ps);
}

/* Only the last of a key's connections takes the key with it. */
static void
test_told_at_last(void)
{
	struct viewer v;
	struct peers ps;
	struct member *a, *b;

	peers_init(&ps, seed);
	viewer_init(&ps, &v);
	a = add(&ps, 1, 1, 1, NULL);
	b = add(&ps, 1, 2, 2, NULL);
	viewer_note(&ps, &v, a->peer);
	eq_int((int64_t)removed(&ps, b), 0, "one is left");
	eq_int((int64_t)removed(&ps, a), 1, "none is left");
	a = add(&ps, 1, 3, 3, NULL);
	viewer_note(&ps, &v, a->peer);
	peers_remove(&ps, a, NULL, NULL);
	ok(v.count == 0, "forgotten also where nobody wants to tell");
	peers_clear(&ps);
}

/* A client sends to its own key: it is its own viewer. */
static void
test_self(void)
{
	struct viewer v;
	struct peers ps;
	struct member *m;

	peers_init(&ps, seed);
	viewer_init(&ps, &v);
	m = add(&ps, 1, 1, 1, &v);
	viewer_note(&ps, &v, m->peer);
	eq_int((int64_t)removed(&ps, m), 1, "told of itself");
	viewer_clear(&ps, &v);
	ok(v.count == 0 && ps.nsightings == 0, "and then gone");

	viewer_init(&ps, &v);
	m = add(&ps, 1, 2, 2, &v);
	viewer_note(&ps, &v, m->peer);
	viewer_clear(&ps, &v);
	eq_int((int64_t)removed(&ps, m), 0, "or the other way round");
	peers_clear(&ps);
}

/* ---- a viewer that dies of being told ---- */

static struct peers fragile;
static size_t deaths;

static void
die_of_it(struct viewer *v, const struct key *k, void *arg)
{
	(void)k;
	(void)arg;
	deaths++;
	viewer_clear(&fragile, v);
}

/* Its own key goes with it, while the first removal is under way. */
static struct member *mortal_member;

static void
die_with_key(struct viewer *v, const struct key *k, void *arg)
{
	struct member *m = mortal_member;

	mortal_member = NULL;
	if (m != NULL)
		peers_remove(&fragile, m, die_with_key, arg);
	die_of_it(v, k, arg);
}

static void
test_death(void)
{
	struct viewer v, w;
	struct member *m, *other;

	peers_init(&fragile, seed);
	viewer_init(&fragile, &v);
	viewer_init(&fragile, &w);
	m = add(&fragile, 1, 1, 1, NULL);
	other = add(&fragile, 2, 2, 2, NULL);
	viewer_note(&fragile, &v, m->peer);
	viewer_note(&fragile, &v, other->peer);
	viewer_note(&fragile, &w, m->peer);
	deaths = 0;
	peers_remove(&fragile, m, die_of_it, NULL);
	ok(deaths == 2 && v.count == 0 && w.count == 0 &&
		fragile.nsightings == 0,
	    "a viewer may be cleared while it is told");

	m = add(&fragile, 1, 3, 3, NULL);
	viewer_note(&fragile, &v, m->peer);
	viewer_note(&fragile, &v, other->peer);
	viewer_note(&fragile, &w, m->peer);
	viewer_note(&fragile, &w, other->peer);
	mortal_member = other;
	deaths = 0;
	peers_remove(&fragile, m, die_with_key, NULL);
	ok(deaths >= 2 && fragile.nsightings == 0 && peers_count(&fragile) == 0,
	    "and take its own key along");
	peers_clear(&fragile);
}

/* ---- bounds ---- */

static void
test_cap(void)
{
	enum { MANY = PEERS_SIGHTINGS_MAX + 3 };
	static struct member *m[MANY];
	struct viewer v, w;
	struct peers ps;
	size_t heard = 0;

	peers_init(&ps, seed);
	viewer_init(&ps, &v);
	viewer_init(&ps, &w);
	for (unsigned i = 0; i < MANY; i++) {
		m[i] = add(&ps, i, i, i, NULL);
		viewer_note(&ps, &v, m[i]->peer);
		if (i == PEERS_SIGHTINGS_MAX - 1)
			eq_int((int64_t)v.count, 4096, "4096 fit");
		/* Seen often is not seen late: it is the first that goes. */
		viewer_note(&ps, &v, m[i / 2]->peer);
	}
	viewer_note(&ps, &w, m[0]->peer);
	ok(v.count == 4096 && ps.nsightings == 4097,
	    "one viewer's cap is not another's");
	for (unsigned i = 0; i < 3; i++)
		heard += removed(&ps, m[i]);
	ok(heard == 1 && told.n <= 1, "the oldest are forgotten");
	for (unsigned i = 3; i < MANY; i++)
		heard += removed(&ps, m[i]);
	eq_int((int64_t)heard, 4097, "of all others it is told");
	ok(v.count == 0 && ps.nsightings == 0, "nothing is left");
	peers_clear(&ps);
}

/* As many viewers with as many sightings as a worker keeps, and one more. */
static void
test_total(void)
{
	enum { N = PEERS_SIGHTINGS_TOTAL / PEERS_SIGHTINGS_MAX };
	static struct viewer v[N], late, early;
	static struct member *m[PEERS_SIGHTINGS_MAX];
	struct peers ps;
	bool full = true;

	peers_init(&ps, seed);
	viewer_init(&ps, &late);
	viewer_init(&ps, &early);
	for (unsigned i = 0; i < PEERS_SIGHTINGS_MAX; i++)
		m[i] = add(&ps, i, i, i, NULL);
	viewer_note(&ps, &early, m[0]->peer);
	for (unsigned j = 0; j < N; j++) {
		viewer_init(&ps, &v[j]);
		for (unsigned i = 0; i < PEERS_SIGHTINGS_MAX; i++)
			viewer_note(&ps, &v[j], m[i]->peer);
	}
	for (unsigned j = 0; j + 1 < N; j++)
		full &= v[j].count == PEERS_SIGHTINGS_MAX;
	ok(full && ps.nsightings == PEERS_SIGHTINGS_TOTAL,
	    "as many as are kept");
	viewer_note(&ps, &late, m[0]->peer);
	ok(late.count == 0, "a new viewer notes nothing");
	viewer_note(&ps, &early, m[1]->peer);
	ok(early.count == 1 && ps.nsightings == PEERS_SIGHTINGS_TOTAL,
	    "another replaces its own oldest");
	viewer_clear(&ps, &v[0]);
	viewer_note(&ps, &late, m[0]->peer);
	ok(late.count == 1, "room again");
	peers_clear(&ps);
	ok(ps.nsightings == 0 && late.count == 0 && early.count == 0,
	    "cleared");
}

/* What peers_clear leaves behind asan finds. */
static void
test_clear(void)
{
	static struct viewer v[100];
	struct peers ps;

	peers_init(&ps, seed);
	for (unsigned i = 0; i < 100; i++)
		viewer_init(&ps, &v[i]);
	for (unsigned i = 0; i < 5000; i++) {
		struct member *m = add(&ps, i % 3000, i, i, NULL);

		viewer_note(&ps, &v[i % 100], m->peer);
		viewer_note(&ps, &v[i % 7], m->peer);
	}
	ok(peers_count(&ps) == 3000 && ps.duplicate_keys == 2000, "a crowd");
	peers_clear(&ps);
	ok(peers_count(&ps) == 0 && ps.nsightings == 0 &&
		ps.duplicate_keys == 0 && ps.duplicate_members == 0 &&
		v[3].count == 0,
	    "cleared at once");
}

/* ---- a model ---- */

enum { KEYS = 24, VIEWERS = 12, MEMBERS = 60 };

static struct {
	struct {
		struct member *m; /* NULL: free */
		unsigned key;
		uint64_t stamp;
		bool local;
	} member[MEMBERS];
	bool seen[VIEWERS][KEYS];
	struct viewer viewers[VIEWERS];
	struct peers ps;
	bool same;
} model;

static void
check_told(struct viewer *v, const struct key *k, void *arg)
{
	size_t i = (size_t)(v - model.viewers);

	(void)arg;
	model.same &= model.seen[i][k->b[0]];
	model.seen[i][k->b[0]] = false;
}

static size_t
count_members(unsigned key)
{
	size_t n = 0;

	for (size_t i = 0; i < MEMBERS; i++)
		n += model.member[i].m != NULL && model.member[i].key == key;
	return n;
}

static void
model_remove(size_t i)
{
	unsigned key = model.member[i].key;

	peers_remove(&model.ps, model.member[i].m, check_told, NULL);
	model.member[i].m = NULL;
	if (count_members(key) > 0)
		return;
	/* Each who had seen it was told, so no mark is left. */
	for (size_t v = 0; v < VIEWERS; v++)
		model.same &= !model.seen[v][key];
}

/* The member of a key with the highest stamp; of the local ones, or all. */
static const struct member *
model_best(unsigned key, bool local)
{
	const struct member *best = NULL;
	uint64_t stamp = 0;

	for (size_t i = 0; i < MEMBERS; i++)
		if (model.member[i].m != NULL && model.member[i].key == key &&
		    (model.member[i].local || !local) &&
		    model.member[i].stamp > stamp) {
			best = model.member[i].m;
			stamp = model.member[i].stamp;
		}
	return best;
}

static bool
is_like_model(void)
{
	size_t keys = 0, dups = 0, dup_members = 0, sightings = 0;
	bool same = true;

	for (unsigned k = 0; k < KEYS; k++) {
		const struct peer *p = find(&model.ps, k);
		size_t n = count_members(k);

		same &= (p != NULL) == (n > 0);
		if (p != NULL)
			same &= p->nmembers == n &&
			    p->active == model_best(k, false) &&
			    peers_local(p) == model_best(k, true);
		keys += n > 0;
		dups += n > 1;
		dup_members += n > 1 ? n : 0;
	}
	for (size_t v = 0; v < VIEWERS; v++) {
		size_t n = 0;

		for (size_t k = 0; k < KEYS; k++)
			n += model.seen[v][k];
		same &= model.viewers[v].count == n;
		sightings += n;
	}
	return same && peers_count(&model.ps) == keys &&
	    model.ps.duplicate_keys == dups &&
	    model.ps.duplicate_members == dup_members &&
	    model.ps.nsightings == sightings;
}

static void
model_step(unsigned *rnd, uint64_t *stamp)
{
	size_t i = (size_t)rand_r(rnd) % MEMBERS;
	size_t v = (size_t)rand_r(rnd) % VIEWERS;
	unsigned key = (unsigned)rand_r(rnd) % KEYS;
	struct peer *p = find(&model.ps, key);
	int what = rand_r(rnd) % 16;

	if (what < 4 && model.member[i].m == NULL) {
		model.member[i].key = key;
		model.member[i].stamp = ++*stamp;
		model.member[i].local = rand_r(rnd) % 2;
		model.member[i].m = add(&model.ps, key, i, *stamp,
		    model.member[i].local ? &model : NULL);
	} else if (what < 8 && model.member[i].m != NULL)
		model_remove(i);
	else if (what < 10 && model.member[i].m != NULL) {
		model.member[i].stamp = ++*stamp;
		peers_touch(model.member[i].m, *stamp);
	} else if (what < 15 && p != NULL) {
		viewer_note(&model.ps, &model.viewers[v], p);
		model.seen[v][key] = true;
	} else if (what == 15) {
		viewer_clear(&model.ps, &model.viewers[v]);
		memset(model.seen[v], 0, sizeof(model.seen[v]));
		viewer_init(&model.ps, &model.viewers[v]);
	}
}

static void
test_model(void)
{
	uint64_t stamp = 0;
	unsigned rnd = 11;

	peers_init(&model.ps, seed);
	model.same = true;
	for (size_t v = 0; v < VIEWERS; v++)
		viewer_init(&model.ps, &model.viewers[v]);
	for (int step = 0; step < 40000 && model.same; step++) {
		model_step(&rnd, &stamp);
		model.same &= is_like_model();
	}
	ok(model.same, "40000 random steps as the naive lists");
	peers_clear(&model.ps);
}

int
main(void)
{
	test_members();
	test_active();
	test_local();
	test_duplicates();
	test_told();
	test_told_at_last();
	test_self();
	test_death();
	test_cap();
	test_total();
	test_clear();
	test_model();
	return tap_done();
}

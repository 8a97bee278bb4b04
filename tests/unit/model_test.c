/* model: tables of records, and what follows from a change of one. */
#include <stdlib.h>

#include "coordd/model.h"
#include "tests/tap.h"

static const uint8_t seed[KEYMAP_SEED_LEN] = {2, 7, 1, 8, 2, 8};

static struct key
key_of(unsigned n)
{
	struct key k = {0};

	memcpy(k.b, &n, sizeof(n));
	k.b[31] = 1;
	return k;
}

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix p;

	if (!ip_prefix_parse(&p, text, strlen(text)))
		abort();
	return p;
}

static struct user *
add_user(struct model *m, uint64_t id, const char *name)
{
	struct user *u = calloc(1, sizeof(*u));

	u->id = id;
	(void)model_set_text(&u->name, name);
	(void)model_set_text(&u->display_name, "");
	model_add_user(m, u);
	return u;
}

/* Its id, node key and label come from n, its machine from another. */
static struct node *
new_node(unsigned n, unsigned machine, struct user *u)
{
	struct node *node = calloc(1, sizeof(*node));
	char label[32];

	snprintf(label, sizeof(label), "robot-%u", n);
	node->id = n;
	node->node_key = key_of(n);
	node->machine = key_of(machine);
	node->user = u;
	(void)model_set_text(&node->label, label);
	(void)model_set_text(&node->hostname, label);
	return node;
}

static void
test_users(void)
{
	struct user *a, *b;
	struct node *n;
	struct model m;

	model_init(&m, seed);
	a = add_user(&m, 1, "a");
	b = add_user(&m, 7, "b");
	ok(model_user(&m, 1) == a && model_user(&m, 7) == b &&
		model_user(&m, 2) == NULL,
	    "users by id");
	ok(model_user_named(&m, "b") == b && model_user_named(&m, "B") == NULL,
	    "users by name");
	n = new_node(1, 1, a);
	ok(model_add_node(&m, n) && a->nodes == 1, "it owns a node");
	ok(model_rename_user(&m, a, "team") &&
		model_user_named(&m, "team") == a &&
		model_user_named(&m, "a") == NULL,
	    "renamed");
	eq_str(n->subject.user, "team", "also for the policy");
	model_move_node(n, b);
	ok(a->nodes == 0 && b->nodes == 1 && n->user == b &&
		n->subject.user == b->name && n->subject.user_id == 7,
	    "moved to another");
	model_remove_user(&m, a);
	ok(model_user(&m, 1) == NULL && TAILQ_FIRST(&m.users) == b, "removed");
	model_clear(&m);
	user_free(NULL);
}

static void
test_names(void)
{
	static const char *const good[] = {"a", "robots", "team-1", "1st",
	    "a.b_c-d", "anna@campus.example", "a@b",
	    "a23456789012345678901234567890123456789012345678901234567890123"};
	static const char *const bad[] = {"", "12", "Anna", "a b", "@a", "a@",
	    "a@b@c", "-a", ".a", "_", "tag:a/b", "m\xc3\xbcller", "a\n",
	    "a234567890123456789012345678901234567890123456789012345678901234"};
	static const char *const good_tags[] = {
	    "tag:a", "tag:robot-1", "tag:a-", "tag:A"};
	static const char *const bad_tags[] = {"", "tag:", "a", "tag:1",
	    "tag:-", "tag:a b", "tag:a:b", "Tag:a", "tag:\xc3\xbc"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ok(user_name_ok(good[i]), "a name");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!user_name_ok(bad[i]), "no name");
	for (size_t i = 0; i < sizeof(good_tags) / sizeof(*good_tags); i++)
		ok(tag_ok(good_tags[i]), "a tag");
	for (size_t i = 0; i < sizeof(bad_tags) / sizeof(*bad_tags); i++)
		ok(!tag_ok(bad_tags[i]), "no tag");
}

static void
test_authkeys(void)
{
	enum { N = 2000 };
	static const char *const tags[] = {"tag:b", "tag:a", "tag:b"};
	uint8_t hash[AUTHKEY_HASH_LEN] = {0};
	struct authkey *k;
	struct model m;
	bool found = true;

	model_init(&m, seed);
	ok(model_authkey_hashed(&m, hash) == NULL, "no key");
	for (unsigned i = 1; i <= N; i++) {
		k = calloc(1, sizeof(*k));
		k->id = i;
		memcpy(k->hash, &i, sizeof(i));
		model_add_authkey(&m, k);
	}
	for (unsigned i = 1; i <= N; i++) {
		memcpy(hash, &i, sizeof(i));
		k = model_authkey_hashed(&m, hash);
		found &= k != NULL && k->id == i && model_authkey(&m, i) == k;
		hash[31] = 1;
		found &= model_authkey_hashed(&m, hash) == NULL;
		hash[31] = 0;
		if (i % 2 == 0 && k != NULL) {
			model_remove_authkey(&m, k);
			found &= model_authkey_hashed(&m, hash) == NULL &&
			    model_authkey(&m, i) == NULL;
		}
	}
	ok(found, "2000 keys by id and by hash");
	k = TAILQ_FIRST(&m.authkeys);
	ok(authkey_set_tags(k, tags, 3) && k->ntags == 2, "tags are unique");
	ok(strcmp(k->tags[0], "tag:a") == 0 &&
		strcmp(k->tags[1], "tag:b") == 0 && k->tags[2] == NULL,
	    "sorted, and ended by NULL");
	ok(authkey_set_tags(k, NULL, 0) && k->tags == NULL && k->ntags == 0,
	    "and taken away");
	model_clear(&m);
	authkey_free(NULL);
}

static void
test_node(void)
{
	struct model m;
	struct user *u;
	struct node *n, *other;
	struct key next = key_of(9);
	uint32_t at = 0;

	model_init(&m, seed);
	u = add_user(&m, 1, "a");
	n = new_node(5, 50, u);
	ok(model_next(&m, &at) == NULL && model_node(&m, 5) == NULL &&
		model_node_labelled(&m, "robot-5") == NULL,
	    "an empty model finds nothing");
	ok(model_add_node(&m, n) && n->slot == 0 && m.nnodes == 1, "added");
	ok(model_node(&m, 5) == n && model_node_keyed(&m, &n->node_key) == n &&
		model_node_labelled(&m, "robot-5") == n &&
		model_machine(&m, &n->machine) == n,
	    "found in four ways");
	other = new_node(5, 50, u);
	ok(!model_add_node(&m, other), "its id is not free");
	other->id = 6;
	ok(!model_add_node(&m, other), "nor its label");
	(void)model_set_text(&other->label, "x");
	ok(!model_add_node(&m, other), "nor its node key");
	other->node_key = key_of(6);
	ok(model_add_node(&m, other) && u->nodes == 2, "but the rest is");
	ok(!model_rekey_node(&m, n, &other->node_key) &&
		!model_relabel_node(&m, n, "x"),
	    "the same for a change");
	ok(model_rekey_node(&m, n, &next) && model_node_keyed(&m, &next) == n,
	    "a new key");
	next = key_of(5);
	ok(model_node_keyed(&m, &next) == NULL &&
		model_rekey_node(&m, n, &n->node_key),
	    "the old one is forgotten");
	ok(model_relabel_node(&m, n, "y") &&
		model_node_labelled(&m, "y") == n &&
		model_node_labelled(&m, "robot-5") == NULL &&
		model_relabel_node(&m, n, "y"),
	    "a new label");
	ok(!node_is_expired(n, 100), "without expiry it never expires");
	n->expiry = 100;
	ok(!node_is_expired(n, 99) && node_is_expired(n, 100), "with it, then");
	model_remove_node(&m, n);
	ok(m.nnodes == 1 && u->nodes == 1 && model_node(&m, 5) == NULL &&
		model_node_labelled(&m, "y") == NULL,
	    "removed");
	model_clear(&m);
	ok(m.nnodes == 0 && TAILQ_EMPTY(&m.users), "cleared");
	node_free(NULL);
}

/* Which nodes a machine has, as digits, in their order. */
static const char *
nodes_of(const struct model *m, const struct key *machine, char text[static 8])
{
	size_t n = 0;

	for (const struct node *at = model_machine(m, machine);
	     at != NULL && n < 7; at = at->next_of_machine)
		text[n++] = (char)('0' + at->id);
	text[n] = '\0';
	return text;
}

static void
test_machines(void)
{
	struct key machine = key_of(77);
	struct model m;
	struct node *n[6];
	char text[8];

	model_init(&m, seed);
	for (unsigned i = 1; i <= 5; i++) {
		n[i] = new_node(i, 77, NULL);
		(void)model_add_node(&m, n[i]);
	}
	eq_str(nodes_of(&m, &machine, text), "12345", "oldest first");
	model_remove_node(&m, n[3]);
	eq_str(nodes_of(&m, &machine, text), "1245", "without the middle");
	model_remove_node(&m, n[1]);
	eq_str(nodes_of(&m, &machine, text), "245", "without the first");
	model_remove_node(&m, n[5]);
	eq_str(nodes_of(&m, &machine, text), "24", "without the last");
	model_remove_node(&m, n[2]);
	model_remove_node(&m, n[4]);
	eq_str(nodes_of(&m, &machine, text), "", "and without any");
	model_clear(&m);
}

static void
test_tags(void)
{
	static const char *const tags[] = {"tag:z", "tag:a", "tag:z", "tag:m"};
	struct node *n = new_node(1, 1, NULL);

	ok(node_set_tags(n, tags, 4) && n->ntags == 3, "tags are unique");
	eq_str(n->tags[0], "tag:a", "sorted");
	ok(n->tags[3] == NULL, "ended by NULL");
	ok(n->subject.ntags == 3 && strcmp(n->subject.tags[2], "tag:z") == 0,
	    "and told to the policy");
	ok(node_set_tags(n, n->subject.tags, 2) && n->ntags == 2 &&
		strcmp(n->tags[1], "tag:m") == 0,
	    "from its own");
	ok(node_set_tags(n, NULL, 0) && n->tags == NULL &&
		n->subject.ntags == 0,
	    "none");
	node_free(n);
}

static void
test_routes(void)
{
	struct ip_prefix adv[] = {prefix("10.2.0.0/16"), prefix("::/0"),
	    prefix("10.0.0.0/8"), prefix("0.0.0.0/0"), prefix("10.2.0.0/16")};
	struct ip_prefix app[] = {
	    prefix("0.0.0.0/0"), prefix("10.2.0.0/16"), prefix("10.0.0.0/9")};
	struct ip_prefix six = prefix("::/0");
	struct node *n = new_node(1, 1, NULL);

	ok(node_set_advertised(n, adv, 5) && n->nadvertised == 4,
	    "what is offered twice counts once");
	ok(n->nroutes == 0 && n->subject.nroutes == 0, "nothing is approved");
	ok(node_set_approved(n, app, 3) && n->napproved == 3, "some is");
	ok(n->nroutes == 2 && ip_prefix_equal(&n->routes[0], &app[0]) &&
		ip_prefix_equal(&n->routes[1], &app[1]),
	    "only the same prefix, not a part of one");
	ok(n->subject.routes == n->routes && n->subject.nroutes == 2 &&
		!n->subject.exit_node,
	    "the policy knows; one default route makes no exit node");
	ok(node_set_approved(n, adv, 5) && n->nroutes == 4 &&
		n->subject.exit_node,
	    "both do");
	ok(node_set_approved(n, &six, 1) && n->nroutes == 1 &&
		!n->routes[0].v4 && !n->subject.exit_node,
	    "families are not mixed up");
	ok(node_set_advertised(n, n->advertised + 3, 1) &&
		n->nadvertised == 1 && n->nroutes == 1,
	    "a part of its own list");
	ok(node_set_advertised(n, NULL, 0) && n->advertised == NULL &&
		n->nroutes == 0 && n->napproved == 1,
	    "what is approved stays so when it is not offered");
	node_free(n);
}

static void
test_many_routes(void)
{
	enum { N = NODE_ROUTES_MAX };
	struct ip_prefix *v = calloc(N, sizeof(*v));
	struct node *n = new_node(1, 1, NULL);
	char text[32];
	bool sorted = true;

	for (unsigned i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24", i * 7 % N / 256,
		    i * 7 % N % 256);
		v[i] = prefix(text);
	}
	ok(node_set_advertised(n, v, N) && node_set_approved(n, v, N / 2) &&
		n->nroutes == N / 2,
	    "4096 routes");
	for (size_t i = 1; i < n->nadvertised; i++)
		sorted &= ip_compare(&n->advertised[i - 1].ip,
			      &n->advertised[i].ip) < 0;
	ok(sorted && n->nadvertised == N, "in order");
	free(v);
	node_free(n);
}

/* Everything that the tables say must be so for a naive list, too. */
static bool
is_sound(const struct model *m, struct node *const *in, unsigned n)
{
	size_t count = 0, walked = 0;
	uint32_t at = 0;
	const struct node *x;

	for (unsigned i = 0; i < n; i++) {
		if (model_node(m, i) != in[i])
			return false;
		if (in[i] == NULL)
			continue;
		count++;
		if (m->slots[in[i]->slot] != in[i] ||
		    in[i]->slot >= m->nslots ||
		    model_node_keyed(m, &in[i]->node_key) != in[i] ||
		    model_node_labelled(m, in[i]->label) != in[i])
			return false;
		x = model_machine(m, &in[i]->machine);
		while (x != NULL && x != in[i])
			x = x->next_of_machine;
		if (x == NULL)
			return false;
	}
	while (model_next(m, &at) != NULL)
		walked++;
	for (uint32_t i = 0; i < m->free_from && i < m->nslots; i++)
		if (m->slots[i] == NULL)
			return false;
	return walked == count && m->nnodes == count &&
	    m->free_from <= m->nslots && m->nslots <= n &&
	    (m->nslots == 0 || m->slots[m->nslots - 1] != NULL);
}

static void
test_random(void)
{
	enum { N = 200 };
	static struct node *in[N];
	struct model m;
	struct user *u;
	unsigned rnd = 3, next_key = 1000;
	bool same = true, full = true;

	model_init(&m, seed);
	u = add_user(&m, 1, "a");
	for (int step = 0; step < 40000 && same; step++) {
		bool grow = step / 2000 % 2 == 0;
		unsigned i = (unsigned)rand_r(&rnd) % N;
		unsigned what = (unsigned)rand_r(&rnd) % 8;
		struct key k = key_of(next_key++);

		if (in[i] == NULL && (grow || what == 0)) {
			in[i] = new_node(i, i % 37, u);
			full &= model_add_node(&m, in[i]);
			/* No slot before it was free. */
			for (uint32_t s = 0; s < in[i]->slot; s++)
				full &= m.slots[s] != NULL;
		} else if (in[i] != NULL && what == 1) {
			full &= model_rekey_node(&m, in[i], &k);
		} else if (in[i] != NULL && (!grow || what == 2)) {
			model_remove_node(&m, in[i]);
			in[i] = NULL;
		}
		if (step % 100 == 0)
			same &= is_sound(&m, in, N) && u->nodes == m.nnodes;
	}
	ok(same && full, "40000 random changes");
	model_clear(&m);
}

static void
test_ten_thousand(void)
{
	enum { N = 10000 };
	struct model m;
	bool found = true;

	model_init(&m, seed);
	for (unsigned i = 0; i < N; i++)
		found &= model_add_node(&m, new_node(i, i, NULL));
	for (unsigned i = 0; i < N; i++) {
		struct key k = key_of(i);

		found &= model_node(&m, i) == model_machine(&m, &k);
	}
	ok(found && m.nslots == N, "10000 nodes");
	for (unsigned i = 0; i < N; i++)
		model_remove_node(&m, model_node(&m, i));
	ok(m.nnodes == 0 && m.nslots == 0, "removed one by one");
	model_clear(&m);
}

int
main(void)
{
	test_users();
	test_names();
	test_authkeys();
	test_node();
	test_machines();
	test_tags();
	test_routes();
	test_many_routes();
	test_random();
	test_ten_thousand();
	return tap_done();
}

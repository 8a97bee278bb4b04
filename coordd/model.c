/*
 * model: users, keys and nodes, and the tables that find them. PURE. It owns
 * all records; it never decides whether a change is right, and never tells
 * anybody.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "coordd/model.h"

#define SLOTS_MIN 16

void
model_init(struct model *m, const uint8_t seed[static KEYMAP_SEED_LEN])
{
	memset(m, 0, sizeof(*m));
	TAILQ_INIT(&m->users);
	TAILQ_INIT(&m->authkeys);
	keymap_init(&m->by_id, seed);
	keymap_init(&m->by_label, seed);
	keymap_init(&m->by_node_key, seed);
	keymap_init(&m->by_machine, seed);
}

void
model_clear(struct model *m)
{
	struct authkey *k;
	struct user *u;

	for (uint32_t i = 0; i < m->nslots; i++)
		node_free(m->slots[i]);
	free(m->slots);
	m->slots = NULL;
	m->nslots = m->cap_slots = m->free_from = 0;
	m->nnodes = 0;
	keymap_clear(&m->by_id);
	keymap_clear(&m->by_label);
	keymap_clear(&m->by_node_key);
	keymap_clear(&m->by_machine);
	while ((k = TAILQ_FIRST(&m->authkeys)) != NULL)
		model_remove_authkey(m, k);
	while ((u = TAILQ_FIRST(&m->users)) != NULL)
		model_remove_user(m, u);
}

bool
model_set_text(char **field, const char *value)
{
	char *copy = NULL;

	if (value != NULL && (copy = strdup(value)) == NULL)
		return false;
	free(*field);
	*field = copy;
	return true;
}

static void
free_tags(char **tags)
{
	for (size_t i = 0; tags != NULL && tags[i] != NULL; i++)
		free(tags[i]);
	free(tags);
}

static int
compare_tags(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts them, drops those that are there twice; returns how many stay. */
static size_t
sort_tags(char **tags, size_t n)
{
	size_t kept = 0;

	qsort(tags, n, sizeof(*tags), compare_tags);
	for (size_t i = 0; i < n; i++)
		if (kept > 0 && strcmp(tags[kept - 1], tags[i]) == 0)
			free(tags[i]);
		else
			tags[kept++] = tags[i];
	tags[kept] = NULL;
	return kept;
}

static bool
set_tags(char ***field, size_t *count, const char *const *tags, size_t n)
{
	char **copy = NULL;

	if (n > 0) {
		if ((copy = calloc(n + 1, sizeof(*copy))) == NULL)
			return false;
		for (size_t i = 0; i < n; i++)
			if ((copy[i] = strdup(tags[i])) == NULL) {
				free_tags(copy);
				return false;
			}
		n = sort_tags(copy, n);
	}
	free_tags(*field);
	*field = copy;
	*count = n;
	return true;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool
tag_ok(const char *tag)
{
	if (strncmp(tag, "tag:", 4) != 0)
		return false;
	tag += 4;
	return strspn(tag, LETTERS) > 0 &&
	    strspn(tag, LETTERS "0123456789-") == strlen(tag);
}

/* As Headscale's, but in lower case only, so that two names never look alike,
 * and the @ has something on both sides, since a policy writes "name@" for a
 * name without one. */
bool
user_name_ok(const char *name)
{
	size_t n = strlen(name);
	const char *at = strchr(name, '@');

	if (n == 0 || n > USER_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-@") != n ||
	    strspn(name, "0123456789") == n || strchr("._-@", name[0]) != NULL)
		return false;
	return at == NULL || (at[1] != '\0' && strchr(at + 1, '@') == NULL);
}

struct user *
model_user(const struct model *m, uint64_t id)
{
	struct user *u;

	TAILQ_FOREACH (u, &m->users, entry)
		if (u->id == id)
			return u;
	return NULL;
}

struct user *
model_user_named(const struct model *m, const char *name)
{
	struct user *u;

	TAILQ_FOREACH (u, &m->users, entry)
		if (strcmp(u->name, name) == 0)
			return u;
	return NULL;
}

void
model_add_user(struct model *m, struct user *u)
{
	TAILQ_INSERT_TAIL(&m->users, u, entry);
}

bool
model_rename_user(struct model *m, struct user *u, const char *name)
{
	struct node *n;
	uint32_t at = 0;

	if (!model_set_text(&u->name, name))
		return false;
	while ((n = model_next(m, &at)) != NULL)
		if (n->user == u)
			node_set_subject(n);
	return true;
}

void
model_remove_user(struct model *m, struct user *u)
{
	TAILQ_REMOVE(&m->users, u, entry);
	user_free(u);
}

void
user_free(struct user *u)
{
	if (u == NULL)
		return;
	free(u->name);
	free(u->display_name);
	free(u);
}

struct authkey *
model_authkey(const struct model *m, uint64_t id)
{
	struct authkey *k;

	TAILQ_FOREACH (k, &m->authkeys, entry)
		if (k->id == id)
			return k;
	return NULL;
}

struct authkey *
model_authkey_hashed(
    const struct model *m, const uint8_t hash[static AUTHKEY_HASH_LEN])
{
	struct authkey *k;

	LIST_FOREACH (k, &m->authkeys_by_hash[hash[0]], by_hash)
		if (sodium_memcmp(k->hash, hash, AUTHKEY_HASH_LEN) == 0)
			return k;
	return NULL;
}

void
model_add_authkey(struct model *m, struct authkey *k)
{
	TAILQ_INSERT_TAIL(&m->authkeys, k, entry);
	LIST_INSERT_HEAD(&m->authkeys_by_hash[k->hash[0]], k, by_hash);
}

void
model_remove_authkey(struct model *m, struct authkey *k)
{
	TAILQ_REMOVE(&m->authkeys, k, entry);
	LIST_REMOVE(k, by_hash);
	authkey_free(k);
}

bool
authkey_set_tags(struct authkey *k, const char *const *tags, size_t ntags)
{
	return set_tags(&k->tags, &k->ntags, tags, ntags);
}

void
authkey_free(struct authkey *k)
{
	if (k == NULL)
		return;
	free_tags(k->tags);
	free(k);
}

static struct key
id_key_of(uint64_t id)
{
	struct key k = {0};

	memcpy(k.b, &id, sizeof(id));
	return k;
}

static struct key
label_key_of(const char *label)
{
	struct key k;

	crypto_generichash(k.b, sizeof(k.b), (const unsigned char *)label,
	    strlen(label), NULL, 0);
	return k;
}

struct node *
model_node(const struct model *m, uint64_t id)
{
	struct key k = id_key_of(id);

	return keymap_get(&m->by_id, &k);
}

struct node *
model_node_keyed(const struct model *m, const struct key *k)
{
	return keymap_get(&m->by_node_key, k);
}

struct node *
model_node_labelled(const struct model *m, const char *label)
{
	struct key k = label_key_of(label);

	return keymap_get(&m->by_label, &k);
}

struct node *
model_machine(const struct model *m, const struct key *machine)
{
	return keymap_get(&m->by_machine, machine);
}

struct node *
model_next(const struct model *m, uint32_t *at)
{
	while (*at < m->nslots) {
		struct node *n = m->slots[(*at)++];

		if (n != NULL)
			return n;
	}
	return NULL;
}

/* Finds the first free slot, or makes room for one. */
static bool
find_slot(struct model *m, uint32_t *slot)
{
	uint32_t cap = m->cap_slots == 0 ? SLOTS_MIN : m->cap_slots * 2;
	struct node **grown;

	while (m->free_from < m->nslots && m->slots[m->free_from] != NULL)
		m->free_from++;
	*slot = m->free_from;
	if (*slot < m->cap_slots)
		return true;
	grown = realloc(m->slots, cap * sizeof(void *));
	if (grown == NULL)
		return false;
	m->slots = grown;
	m->cap_slots = cap;
	return true;
}

static bool
link_machine(struct model *m, struct node *n)
{
	struct node *last = model_machine(m, &n->machine);

	n->next_of_machine = NULL;
	if (last == NULL)
		return keymap_put(&m->by_machine, &n->machine, n);
	while (last->next_of_machine != NULL)
		last = last->next_of_machine;
	last->next_of_machine = n;
	return true;
}

static void
unlink_machine(struct model *m, struct node *n)
{
	struct node *before = model_machine(m, &n->machine);

	if (before != n) {
		while (before->next_of_machine != n)
			before = before->next_of_machine;
		before->next_of_machine = n->next_of_machine;
		return;
	}
	/* The map keeps the address of the first one's key. What is put back
	 * needs no memory: a place has just been left. */
	(void)keymap_del(&m->by_machine, &n->machine);
	if (n->next_of_machine != NULL)
		(void)keymap_put(&m->by_machine, &n->next_of_machine->machine,
		    n->next_of_machine);
}

static void
unlink_node(struct model *m, const struct node *n)
{
	(void)keymap_del(&m->by_id, &n->id_key);
	(void)keymap_del(&m->by_label, &n->label_key);
	(void)keymap_del(&m->by_node_key, &n->node_key);
}

/* Adds it to all maps or to none. No other node has its keys, so what was not
 * added is not there to be removed. */
static bool
link_node(struct model *m, struct node *n)
{
	if (keymap_put(&m->by_id, &n->id_key, n) &&
	    keymap_put(&m->by_label, &n->label_key, n) &&
	    keymap_put(&m->by_node_key, &n->node_key, n) && link_machine(m, n))
		return true;
	unlink_node(m, n);
	return false;
}

bool
model_add_node(struct model *m, struct node *n)
{
	uint32_t slot;

	n->id_key = id_key_of(n->id);
	n->label_key = label_key_of(n->label);
	if (keymap_get(&m->by_id, &n->id_key) != NULL ||
	    keymap_get(&m->by_label, &n->label_key) != NULL ||
	    keymap_get(&m->by_node_key, &n->node_key) != NULL ||
	    !find_slot(m, &slot) || !link_node(m, n))
		return false;
	n->slot = slot;
	m->slots[slot] = n;
	m->free_from = slot + 1;
	if (m->nslots <= slot)
		m->nslots = slot + 1;
	m->nnodes++;
	if (n->user != NULL)
		n->user->nodes++;
	node_set_subject(n);
	return true;
}

void
model_remove_node(struct model *m, struct node *n)
{
	unlink_node(m, n);
	unlink_machine(m, n);
	m->slots[n->slot] = NULL;
	if (m->free_from > n->slot)
		m->free_from = n->slot;
	while (m->nslots > 0 && m->slots[m->nslots - 1] == NULL)
		m->nslots--;
	m->nnodes--;
	if (n->user != NULL)
		n->user->nodes--;
	node_free(n);
}

bool
model_rekey_node(struct model *m, struct node *n, const struct key *node_key)
{
	struct node *has = model_node_keyed(m, node_key);
	struct key copy = *node_key; /* may be a part of n */

	if (has != NULL)
		return has == n;
	(void)keymap_del(&m->by_node_key, &n->node_key);
	n->node_key = copy;
	/* Needs no memory: a place has just been left. */
	return keymap_put(&m->by_node_key, &n->node_key, n);
}

bool
model_relabel_node(struct model *m, struct node *n, const char *label)
{
	struct node *has = model_node_labelled(m, label);
	struct key label_key = label_key_of(label);

	if (has != NULL)
		return has == n;
	if (!model_set_text(&n->label, label))
		return false;
	(void)keymap_del(&m->by_label, &n->label_key);
	n->label_key = label_key;
	return keymap_put(&m->by_label, &n->label_key, n);
}

void
model_move_node(struct node *n, struct user *u)
{
	if (n->user != NULL)
		n->user->nodes--;
	n->user = u;
	u->nodes++;
	node_set_subject(n);
}

void
node_free(struct node *n)
{
	if (n == NULL)
		return;
	free(n->hostname);
	free(n->label);
	free_tags(n->tags);
	free(n->hostinfo);
	free(n->endpoints);
	free(n->advertised);
	free(n->approved);
	free(n->routes);
	free(n);
}

bool
node_set_tags(struct node *n, const char *const *tags, size_t ntags)
{
	if (!set_tags(&n->tags, &n->ntags, tags, ntags))
		return false;
	node_set_subject(n);
	return true;
}

/* IPv4 first, then by address, then the shorter prefix. */
static int
compare_prefixes(const void *a, const void *b)
{
	const struct ip_prefix *x = a, *y = b;
	int r;

	if (x->v4 != y->v4)
		return x->v4 ? -1 : 1;
	r = ip_compare(&x->ip, &y->ip);
	return r != 0 ? r : (int)x->bits - (int)y->bits;
}

static size_t
sort_prefixes(struct ip_prefix *v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), compare_prefixes);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || compare_prefixes(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
	return kept;
}

/* Replaces one list of prefixes, and what follows from it. */
static bool
set_prefixes(struct node *n, struct ip_prefix **field, size_t *count,
    const struct ip_prefix *v, size_t nv)
{
	struct ip_prefix *copy = NULL, *old = *field;
	size_t old_count = *count;

	if (nv > 0) {
		if ((copy = calloc(nv, sizeof(*copy))) == NULL)
			return false;
		memcpy(copy, v, nv * sizeof(*copy));
		nv = sort_prefixes(copy, nv);
	}
	*field = copy;
	*count = nv;
	if (!node_set_routes(n)) {
		free(copy);
		*field = old;
		*count = old_count;
		return false;
	}
	free(old);
	return true;
}

bool
node_set_advertised(struct node *n, const struct ip_prefix *v, size_t count)
{
	return set_prefixes(n, &n->advertised, &n->nadvertised, v, count);
}

bool
node_set_approved(struct node *n, const struct ip_prefix *v, size_t count)
{
	return set_prefixes(n, &n->approved, &n->napproved, v, count);
}

bool
node_set_routes(struct node *n)
{
	size_t most =
	    n->nadvertised < n->napproved ? n->nadvertised : n->napproved;
	struct ip_prefix *both = NULL;
	size_t count = 0, i = 0, j = 0;

	if (most > 0 && (both = calloc(most, sizeof(*both))) == NULL)
		return false;
	while (i < n->nadvertised && j < n->napproved) {
		int r = compare_prefixes(&n->advertised[i], &n->approved[j]);

		if (r == 0)
			both[count++] = n->advertised[i];
		i += r <= 0;
		j += r >= 0;
	}
	free(n->routes);
	n->routes = both;
	n->nroutes = count;
	node_set_subject(n);
	return true;
}

void
node_set_subject(struct node *n)
{
	size_t defaults = 0;

	/* Each is there once, so two of them are both. */
	for (size_t i = 0; i < n->nroutes; i++)
		defaults += ip_prefix_is_default(&n->routes[i]);
	n->subject = (struct policy_subject){
	    .user = n->user == NULL ? "" : n->user->name,
	    .user_id = n->user == NULL ? 0 : n->user->id,
	    .tags = (const char *const *)n->tags,
	    .ntags = n->ntags,
	    .ip4 = n->ip4,
	    .ip6 = n->ip6,
	    .routes = n->routes,
	    .nroutes = n->nroutes,
	    .exit_node = defaults == 2,
	};
}

bool
node_is_expired(const struct node *n, int64_t now)
{
	return n->expiry != 0 && n->expiry <= now;
}

/*
 * model: the users, pre-authentication keys and nodes that coordd knows, in
 * memory. What clients are told is made from this alone; the store behind it
 * is written before it changes. PURE.
 *
 * All times are unix seconds, 0 for never. All text is UTF-8, owned by the
 * record that holds it.
 */
#ifndef COORDD_MODEL_H
#define COORDD_MODEL_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/policy.h"
#include "pure/ip.h"
#include "pure/key.h"
#include "pure/keymap.h"

struct mapper_node;

#define USER_NAME_MAX	63
#define HOSTNAME_MAX	255 /* of the raw one that is kept */
#define LABEL_MAX	63 /* RFC 1035 section 2.3.4 */
#define NODE_ROUTES_MAX 4096
#define NODE_TAGS_MAX	64

struct user {
	uint64_t id;
	char *name; /* unique; [a-z0-9._-], may hold one @ */
	char *display_name; /* or "" */
	int64_t created;
	size_t nodes; /* untagged and tagged ones that it owns */
	uint32_t mark; /* the mapper's: is in the message being written */
	TAILQ_ENTRY(user) entry;
};

#define AUTHKEY_HASH_LEN 32

struct authkey {
	uint64_t id;
	struct user *user;
	uint8_t hash[AUTHKEY_HASH_LEN]; /* keyed; the secret is not kept */
	char prefix[16]; /* of the secret, for people */
	bool reusable, ephemeral;
	bool used;
	int64_t created, expires;
	char **tags; /* NULL-terminated, or NULL */
	size_t ntags;
	TAILQ_ENTRY(authkey) entry;
	LIST_ENTRY(authkey) by_hash;
};

struct node {
	uint64_t id; /* never given twice */
	uint32_t slot; /* index in model.slots, given again after removal */
	struct key machine; /* identity of the device */
	struct key node_key; /* WireGuard; unique */
	struct key disco; /* zero: not told yet */
	struct user *user; /* the owner, of a tagged node too */

	char *hostname; /* as the client told it */
	char *label; /* its name in DNS; unique */
	bool label_set; /* by an administrator: the client cannot change it */
	struct ip ip4, ip6;

	int64_t created;
	int64_t expiry; /* of node_key; 0: never */
	int64_t last_seen;
	bool ephemeral;
	bool authorized; /* device approval */
	uint64_t authkey_id; /* with which it joined; 0: by a login */

	char **tags; /* NULL-terminated, sorted, or NULL */
	size_t ntags;
	char *hostinfo; /* JSON object as peers get it, or NULL */
	char *endpoints; /* JSON array of "ip:port", or NULL */
	int home_derp; /* region, 0: none yet */
	int capver; /* version of the client */
	struct ip_prefix *advertised; /* what it offers to route */
	size_t nadvertised;
	struct ip_prefix *approved; /* what it is allowed to */
	size_t napproved;
	struct ip_prefix *routes; /* both: what it does; see node_set_routes */
	size_t nroutes;

	struct policy_subject subject; /* lends the above */
	struct key id_key,
	    label_key; /* id and label as the model's maps want */
	struct node *next_of_machine;
	struct mapper_node *mapped; /* the mapper's, see mapper.h */
};

TAILQ_HEAD(user_list, user);
TAILQ_HEAD(authkey_list, authkey);
LIST_HEAD(authkey_bucket, authkey);

/* Hashes are evenly spread by themselves: their first byte is the bucket. */
#define AUTHKEY_BUCKETS 256

struct model {
	struct user_list users;
	struct authkey_list authkeys;
	struct authkey_bucket authkeys_by_hash[AUTHKEY_BUCKETS];
	struct node **slots; /* NULL where none is, never in the last */
	uint32_t nslots, cap_slots;
	uint32_t free_from; /* no slot before it is free */
	size_t nnodes;
	struct keymap by_id, by_label, by_node_key;
	struct keymap by_machine; /* the first of next_of_machine */
};

/* seed: random bytes for the hash tables. */
void model_init(struct model *m, const uint8_t seed[static KEYMAP_SEED_LEN]);
void model_clear(struct model *m);

struct user *model_user(const struct model *m, uint64_t id);
struct user *model_user_named(const struct model *m, const char *name);
/* Takes u. */
void model_add_user(struct model *m, struct user *u);
/* Changes its name, also in the subjects of its nodes. False if memory is
 * short: nothing has changed. Use it instead of model_set_text. */
bool model_rename_user(struct model *m, struct user *u, const char *name);
/* Unlinks and frees it; it owns no node or key any more. */
void model_remove_user(struct model *m, struct user *u);
void user_free(struct user *u);
/* True for a name that a user may have. Digits alone are none: they would be
 * an id. */
bool user_name_ok(const char *name);

struct authkey *model_authkey(const struct model *m, uint64_t id);
struct authkey *model_authkey_hashed(
    const struct model *m, const uint8_t hash[static AUTHKEY_HASH_LEN]);
void model_add_authkey(struct model *m, struct authkey *k); /* takes */
void model_remove_authkey(struct model *m, struct authkey *k);
void authkey_free(struct authkey *k);

struct node *model_node(const struct model *m, uint64_t id);
struct node *model_node_keyed(const struct model *m, const struct key *k);
struct node *model_node_labelled(const struct model *m, const char *label);
/* The first node of a machine; go on by next_of_machine. */
struct node *model_machine(const struct model *m, const struct key *machine);
/* Takes n, whose id, keys and label are set; gives it a slot, counts it for
 * its user, renews its subject. The nodes of a machine keep the order in which
 * they were added. False if memory is short, or another node has the id, the
 * node key or the label: n is still the caller's. */
bool model_add_node(struct model *m, struct node *n);
/* Unlinks and frees it. */
void model_remove_node(struct model *m, struct node *n);
/* Changes the key under which it is found. False if another node has it. */
bool model_rekey_node(
    struct model *m, struct node *n, const struct key *node_key);
/* Changes the label under which it is found. False if memory is short or
 * another node has it. Use it instead of model_set_text. */
bool model_relabel_node(struct model *m, struct node *n, const char *label);
/* Gives it to another user: counts and subject. */
void model_move_node(struct node *n, struct user *u);
/* Walks all nodes: start with *at 0; NULL at the end. */
struct node *model_next(const struct model *m, uint32_t *at);
void node_free(struct node *n);

/* Replaces a text (NULL: by none); false if memory is short, the old one
 * stays. */
bool model_set_text(char **field, const char *value);
/* Copies of lists, sorted and made unique; v and tags may be the old ones.
 * False if memory is short: the old ones stay. */
bool authkey_set_tags(struct authkey *k, const char *const *tags, size_t ntags);
bool node_set_tags(struct node *n, const char *const *tags, size_t ntags);
bool node_set_advertised(
    struct node *n, const struct ip_prefix *v, size_t count);
bool node_set_approved(struct node *n, const struct ip_prefix *v, size_t count);
/* What both have in common goes to routes; then the subject is renewed.
 * Called by the two above. */
bool node_set_routes(struct node *n);
/* Renews the subject after a change of user, tags, addresses or routes. */
void node_set_subject(struct node *n);
/* True for "tag:" and a name of [A-Za-z0-9-] that begins with a letter, as
 * Tailscale wants it. */
bool tag_ok(const char *tag);
bool node_is_expired(const struct node *n, int64_t now);

#endif

/*
 * mapper_impl: what mapper.c (state), mapper_batch.c, mapper_class.c,
 * mapper_view.c (who sees whom) and mapper_write.c (messages) share.
 */
#ifndef COORDD_MAPPER_IMPL_H
#define COORDD_MAPPER_IMPL_H

#include <sys/queue.h>

#include "coordd/coordd.h"
#include "coordd/mapdoc.h"
#include "coordd/mapper.h"
#include "pure/text.h"

/* What all who see a node were told of it last. */
struct told {
	struct key disco;
	int home_derp, capver;
	bool online;
	uint64_t endpoints, rest; /* hashes */
};

/* Nodes that have the same part in all rules. Never empty. */
struct view_class {
	struct key hash; /* of bits */
	TAILQ_ENTRY(view_class) entry; /* of mapper.classes */
	TAILQ_HEAD(, mapper_node) nodes;
	bool wanted; /* one of their streams has needs of its own */
	uint64_t bits[]; /* policy_words twice: src, dst */
};

struct mapper_node {
	struct node *node;
	struct view_class *cl;
	TAILQ_ENTRY(mapper_node) by_class;
	struct stream *stream; /* NULL: none */
	TAILQ_ENTRY(mapper_node) entry; /* of mapper.changed */
	bool queued;
	bool shown; /* by a first map, while queued: ahead of the others */
	bool uneven; /* and it changed again since: not all know the same */
	bool moved; /* to another class: who knows it may be of any */
	bool unsaved; /* state that the store does not have yet */
	unsigned changes; /* MAPDOC_, of this batch */
	struct told told;
	bool online; /* with grace, as others are told */
	struct mono away; /* since when it has no stream; never: it has one */
	bool was_expired; /* as was told, or noticed by a tick */
	char *json; /* as a peer, without routes; NULL: to be made */
	struct ip_prefix *primary; /* routes it serves; no exit routes */
	size_t nprimary;
};

struct stream {
	struct coordd *c;
	struct node *node;
	TAILQ_ENTRY(stream) entry;
	TAILQ_ENTRY(stream) waiting;
	const struct stream_ops *ops;
	void *arg;
	struct stream_wish wish;
	bool is_waiting, in_flight; /* for, with its first map */
	bool first_sent, closed, was_authorized;
	const struct user *was_user; /* compared, never followed */
	bool need_self, need_view, need_filter, need_relays, need_dns;
	uint64_t *knows; /* bits by slot */
	size_t words;
	uint64_t filter; /* hash of the last one told */
	struct text removed; /* "3,17": ids, for the next message */
	struct mono keep_alive, first_at;
};

TAILQ_HEAD(stream_list, stream);
TAILQ_HEAD(changed_list, mapper_node);
TAILQ_HEAD(class_list, view_class);

/* One node in a message. */
struct item {
	struct node *node;
	uint64_t changes; /* as wide as the pointer: compared as bytes */
};

/* What one message holds. */
struct plan {
	struct item *items;
	size_t n, cap;
	struct text removed;
	bool own; /* for one stream alone */
	bool bad; /* out of memory */
};

/* A message of this batch, to be shared by who gets the same. */
#define RECENT_MAX 16
struct recent {
	struct plan plan;
	bool plain;
	struct message *message;
};

struct mapper {
	struct coordd *c;
	struct stream_list streams; /* open ones; closed ones until reaped */
	struct stream_list waiting; /* for their first map, in order */
	size_t nstreams, nonline;
	unsigned in_flight; /* first maps that are not with the kernel yet */
	struct changed_list changed;
	size_t nchanged;
	struct class_list classes;
	struct keymap classes_by_hash;
	uint64_t *rules; /* of which the sources changed */
	bool all_wanted; /* as if each class were */
	bool routes_changed;
	struct timer *timer, *first;
	struct log_limit log_unsaved;
	struct mono last; /* batch */
	struct recent recent[RECENT_MAX];
	unsigned nrecent;
	uint32_t mark;
	struct text json, filter, attributes, profiles;
	void *zstd; /* ZSTD_CCtx */
	struct message *keep_alive[2]; /* compressed, plain */
	uint8_t hash_key[16];
	struct policy_world world; /* made when wanted, until a change */
};

/* mapper_batch.c */
/* Has a batch run, at once or when the last is 50 ms ago. */
void batch_schedule(struct mapper *m);
void batch_run(void *arg);
/* Saves the state of changed nodes, as one. */
void batch_save(struct coordd *c);
void batch_set_keep_alive(struct stream *s);

/* mapper_class.c */
/* Puts a node into the class which the policy, as it is, gives it. False if
 * memory is short: it stays where it was. */
bool class_enter(struct coordd *c, struct node *n);
/* The class may be gone after that. */
void class_leave(struct mapper *m, struct mapper_node *mn);
struct policy_bits class_bits(
    const struct coordd *c, const struct view_class *cl);
/* True if one of the rules has its nodes as destinations. */
bool class_has_destination(
    const struct coordd *c, const struct view_class *cl, const uint64_t *rules);
/* False if no node of a sees one of b, nor the other way round. */
bool class_may_see(const struct coordd *c, const struct view_class *a,
    const struct view_class *b);

/* mapper_view.c */
bool view_sees(
    const struct coordd *c, const struct node *a, const struct node *b);
bool view_knows(const struct stream *s, const struct node *n);
bool view_learn(struct stream *s, const struct node *n, bool knows);
/* Which of its routes the receiver may use: as many as fit into v, of
 * n->nroutes. */
size_t view_routes(const struct coordd *c, const struct node *n,
    const struct node *receiver, struct ip_prefix *v);
/* Settles which of the nodes that offer the same route serves it. */
void view_elect(struct coordd *c);
struct policy_bits view_bits(const struct coordd *c, const struct node *n);

/* mapper_write.c; they return a message, or NULL if memory is short. */
struct message *write_first(struct stream *s);
struct message *write_delta(struct stream *s, struct plan *p);
struct message *write_keep_alive(struct mapper *m, bool plain);
/* True if the filter of the stream's node differs from the last one told;
 * it is in m->filter then. */
bool write_filter(struct stream *s);
/* The hashes of a node as it is. */
void write_told(struct coordd *c, const struct node *n, struct told *t);
void write_recent_clear(struct mapper *m);
void plan_clear(struct plan *p);

#endif

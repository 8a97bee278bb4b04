/*
 * mapper: who is told what of whom, and when. Keeps for every open map stream
 * which nodes its client knows, gathers changes for at most 50 ms, and then
 * sends each client only what it may see and does not know yet.
 *
 * One change costs a test of a few words per open stream and one message,
 * which all streams that are told the same share.
 */
#ifndef COORDD_MAPPER_H
#define COORDD_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/mono.h"

struct coordd;
struct mapper;
struct node;
struct stream;
struct user;

/* NULL when memory is short. */
struct mapper *mapper_new(struct coordd *c);
void mapper_free(struct mapper *m);

/* Prepares a node that was added to the model, or loaded. False if memory is
 * short: the node is not known to the mapper then and must be removed. */
bool mapper_node_added(struct coordd *c, struct node *n);
/* Something of it changed that others, or it itself, may see: what is found
 * out by comparison with what they were told. */
void mapper_node_changed(struct coordd *c, struct node *n);
/* The same for what changes often and is saved here, in batches: disco,
 * endpoints, home_derp, capver, hostinfo that leaves the name as it was. */
void mapper_state_changed(struct coordd *c, struct node *n);
/* Before model_remove_node: its stream ends, all who know it are told. */
void mapper_node_gone(struct coordd *c, struct node *n);
/* Its name or display name changed. */
void mapper_users_changed(struct coordd *c, const struct user *u);
/* After c->policy was replaced: everything is seen anew. */
void mapper_policy_changed(struct coordd *c);
/* After c->derp_map or c->dns_config was replaced. */
void mapper_relays_changed(struct coordd *c);
void mapper_dns_changed(struct coordd *c);

/* A message on its way to one or more streams: the length, little-endian,
 * then a zstd frame (or plain JSON). Shared, so it counts its holders. */
struct message {
	size_t holders;
	size_t len;
	uint8_t bytes[];
};
void message_release(struct message *m);

/*
 * A client's stream of maps, opened by mapping.c. The mapper sends its first
 * map as soon as there is room for one, and all changes after that. deliver
 * hands over one message, whose share becomes the callee's; cut ends the
 * stream for a reason. Neither may call back into the mapper, nor free
 * the stream.
 */
struct stream_ops {
	void (*deliver)(void *arg, struct message *m);
	void (*cut)(void *arg, const char *why);
};

struct stream_wish {
	bool plain; /* no compression */
	bool once; /* one map, then the end (not Stream) */
	bool keep_alive;
};

/* Another stream of the same node is cut first ("replaced"). NULL when memory
 * is short. */
struct stream *mapper_open(struct coordd *c, struct node *n,
    const struct stream_wish *wish, const struct stream_ops *ops, void *arg);
/* The stream is over, whoever ended it. */
void mapper_close(struct coordd *c, struct stream *s);
/* The client has taken its first map: its room goes to the next one. */
void mapper_first_taken(struct coordd *c, struct stream *s);

/* Once a second: keep-alives, nodes that went away or whose key expired. */
void mapper_tick(struct coordd *c);
/* Saves what is not saved yet, before the end. */
void mapper_save(struct coordd *c);

/* When the last stream of the node ended, or it was loaded or added without
 * one; never while it has one. */
struct mono mapper_away_since(const struct node *n);

#endif

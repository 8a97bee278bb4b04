/*
 * mapview: what a stock client makes of its stream of maps: it keeps its own
 * node, its peers, profiles, filter, relays and DNS, and applies each message
 * as controlclient/map.go of Tailscale 1.102 does, with its quirks.
 */
#ifndef TESTS_SIM_MAPVIEW_H
#define TESTS_SIM_MAPVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct mapview_peer {
	uint64_t id;
	json_t *node;
	char *text; /* see mapview_text; NULL: to be made */
};

struct mapview {
	struct mapview_peer *peers;
	size_t npeers;
	json_t *self, *filter, *relays, *dns;
	char *self_text; /* NULL: to be made */
	json_t *profiles; /* by id as text */
	unsigned messages; /* but keep-alives */
};

void mapview_clear(struct mapview *v);

/* Applies one message. NULL, or what the client could not take in it. */
const char *mapview_apply(struct mapview *v, json_t *message);

/* A node's canonical text: what of it counts for a client. Freed by the
 * caller. */
char *mapview_text(const json_t *node);
/* The same of its own node: without what it said itself, and is not told. */
char *mapview_text_of_self(const json_t *node);
/* Of a peer; NULL if it is not known. Of its own node. Lent. */
const char *mapview_peer(struct mapview *v, uint64_t id);
const char *mapview_self(struct mapview *v);

/* True if Go's decoder takes it for a Node or a PeerChange: one wrong type
 * would cost the client the whole message. */
bool mapview_decodes(const json_t *node);

#endif

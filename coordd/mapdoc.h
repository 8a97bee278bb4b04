/*
 * mapdoc: the JSON of Tailscale's MapResponse, piece by piece. PURE: builds
 * text from the model; who gets which piece is the mapper's to decide.
 */
#ifndef COORDD_MAPDOC_H
#define COORDD_MAPDOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/model.h"
#include "pure/text.h"

/* The user that tagged nodes belong to, in clients' eyes; the number is
 * Tailscale's. */
#define MAPDOC_TAGGED_USER UINT64_C(2147455555)

/* What a client is told of a node beside what the model holds. */
struct mapdoc_view {
	const char *domain; /* without dots at its ends */
	bool online;
	int64_t now;
	const struct ip_prefix *routes; /* that it serves and the receiver may
					 * use */
	size_t nroutes;
	const struct ip_prefix *primary; /* those it serves: no exit routes */
	size_t nprimary;
	const char *attributes; /* self: more members of CapMap, or "" */
};

/* A Node object, as a peer or as the receiver itself. */
void mapdoc_peer(
    struct text *out, const struct node *n, const struct mapdoc_view *v);
void mapdoc_self(
    struct text *out, const struct node *n, const struct mapdoc_view *v);

/* What of a node changed. */
enum mapdoc_change {
	MAPDOC_ENDPOINTS = 1,
	MAPDOC_RELAY = 2,
	MAPDOC_DISCO = 4,
	MAPDOC_ONLINE = 8,
	MAPDOC_CAPVER = 16,
	MAPDOC_ALL = 32, /* anything else: not for a patch */
};

/* A PeerChange object with those of the changes that it can hold. */
void mapdoc_patch(struct text *out, const struct node *n, unsigned changes,
    const struct mapdoc_view *v);

/* The id of the user that a client shows for the node, and a UserProfile. */
uint64_t mapdoc_user_id(const struct node *n);
void mapdoc_profile(struct text *out, const struct node *n);

#endif

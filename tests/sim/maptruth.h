/*
 * maptruth: what each client ought to know, computed from the model and the
 * text of the policy alone: no bits, lists, hashes or JSON that the mapper
 * keeps, but for its choice of who serves a route.
 */
#ifndef TESTS_SIM_MAPTRUTH_H
#define TESTS_SIM_MAPTRUTH_H

#include "coordd/coordd.h"

struct maptruth;

/* As it is now: to be made anew after each change. */
struct maptruth *maptruth_new(struct coordd *c);
void maptruth_free(struct maptruth *t);

bool maptruth_sees(
    struct maptruth *t, const struct node *a, const struct node *b);
/* May the receiver be told of this route? */
bool maptruth_route(struct maptruth *t, const struct node *receiver,
    const struct ip_prefix *route);
/* The canonical text of n for the receiver (mapview_text), or of the receiver
 * itself (mapview_text_of_self). Lent. */
const char *maptruth_node(struct maptruth *t, const struct node *receiver,
    const struct node *n, bool online);
/* The receiver's packet filter, as compact JSON. Lent. */
const char *maptruth_filter(struct maptruth *t, const struct node *receiver);

/* What is wrong with who serves which route; NULL if nothing. */
const char *maptruth_wrong_routes(struct coordd *c);

#endif

/*
 * source: where strangers come from, and how much they may take from there:
 * one address, or one /64 of IPv6, since who has one address of it has all.
 * PURE.
 */
#ifndef COORDD_SOURCE_H
#define COORDD_SOURCE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/keymap.h"
#include "pure/mono.h"

/* Connections from one source that did not prove to be a node's. Behind a NAT
 * there are many robots; all of them may come at once. */
#define SOURCE_STRANGERS_MAX 2000

/* Handshakes that came to nothing: so many at once, then one per interval. One
 * costs as much as five requests for a page. */
#define SOURCE_SHAKES_BURST 2000
#define SOURCE_SHAKES_US    INT64_C(10000)

struct source;
TAILQ_HEAD(source_list, source);

struct sources {
	struct keymap all;
	struct source_list idle; /* without a stranger; who left first first */
};

void sources_init(
    struct sources *all, const uint8_t seed[static KEYMAP_SEED_LEN]);
/* No stranger is left. */
void sources_clear(struct sources *all);
/* Forgets those that may have all again: once a second. */
void sources_tick(struct sources *all, struct mono now);

/* A stranger comes, from this address (IPv4 as ::ffff:a.b.c.d). NULL if there
 * are too many, or memory is short. */
struct source *source_enter(struct sources *all, const uint8_t ip[static 16]);
/* It goes, or is no stranger any more. */
void source_leave(struct sources *all, struct source *s, struct mono now);
/* Takes a handshake from what the source may have; false if there is none. */
bool source_may_shake(struct source *s, struct mono now);
/* Gives it back: it came to something. */
void source_shook(struct source *s);

#endif

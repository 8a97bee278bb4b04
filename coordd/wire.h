/*
 * wire: what clients send, out of its JSON: Tailscale's RegisterRequest and
 * MapRequest. Unknown members are skipped, as a newer client may send them.
 * PURE.
 */
#ifndef COORDD_WIRE_H
#define COORDD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordd/model.h"
#include "pure/ip.h"
#include "pure/key.h"

/* Older clients would misread what coordd sends (AllowedIPs left out,
 * HomeDERP as a number): capability version of Tailscale 1.80. */
#define WIRE_CAPVER_MIN 113

#define WIRE_ERROR_MAX	128

/* What a client tells of its host. */
struct hostinfo {
	char hostname[HOSTNAME_MAX + 1];
	char *json; /* what peers get of it, compact */
	char **request_tags;
	size_t nrequest_tags;
	struct ip_prefix *routes; /* sorted, no duplicates */
	size_t nroutes;
	int home_derp; /* -1: not told */
};
void hostinfo_clear(struct hostinfo *h);

struct register_request {
	int capver;
	struct key node_key;
	struct key old_node_key; /* zero: none */
	char auth_key[160]; /* "" if none */
	char followup[512]; /* a URL, "" if none */
	int64_t expiry; /* unix seconds, 0: no wish */
	bool ephemeral;
	struct hostinfo host;
};

/* False with one line in error. To be cleared after both. */
bool register_request_read(struct register_request *r, const char *json,
    size_t n, char error[static WIRE_ERROR_MAX]);
void register_request_clear(struct register_request *r);

struct map_request {
	int capver;
	struct key node_key;
	struct key disco; /* zero: not told */
	bool stream, omit_peers, keep_alive, compressed;
	bool has_host;
	struct hostinfo host;
	bool has_endpoints;
	char *endpoints; /* JSON array, what is of use to peers */
};

bool map_request_read(struct map_request *r, const char *json, size_t n,
    char error[static WIRE_ERROR_MAX]);
void map_request_clear(struct map_request *r);

/* Reads RFC 3339 with optional fraction; false if it is none. Go's zero time
 * gives 0. */
bool wire_time(const char *text, int64_t *unix_s);

#endif

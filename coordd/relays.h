/*
 * relays: the relay map and the DNS settings that clients get, as JSON,
 * made of files and options.
 */
#ifndef COORDD_RELAYS_H
#define COORDD_RELAYS_H

#include "coordd/coordd.h"

/* A DERPMap object: of -derp-map FILE, to which each -relay URL adds a
 * region. NULL and one line in error; else the caller's. */
char *relays_map(
    const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX]);

/* How many regions a map has. */
size_t relays_count(const char *map);

/* A DNSConfig object. NULL and one line in error. */
char *relays_dns(
    const struct coordd_conf *conf, char error[static COORDD_ERROR_MAX]);

#endif

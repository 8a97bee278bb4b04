/*
 * ports: which local port to take next, so that runs on one host that know
 * nothing of each other have none twice within a quarter of an hour: as long
 * as that, what one run asked for may live in a NAT and let in what another
 * run takes for the filter's doing. PURE.
 *
 * What runs share is the clock, which goes round all ports in PORTS_ROUND_MS.
 * A run takes the port where the clock is, or the one after its last, if that
 * is further; and keeps each until the clock is past it. So a port that can
 * be bound was not taken since the clock was there last; one that cannot is
 * another's, and the next is tried. In the order in which they are taken,
 * ports look random; each address of a host begins elsewhere, lest hosts
 * whose clocks are right meet behind their NAT with one port.
 */
#ifndef NATPROBE_PORTS_H
#define NATPROBE_PORTS_H

#include <stdint.h>

#define PORTS_ROUND_MS INT64_C(910000)
#define PORTS_MIN      32768
#define PORTS_ROW      8 /* ports of a row, one after the other */

enum ports_kind { PORTS_ONE, PORTS_ROWS, PORTS_KINDS };

/* Of one transport and family; all zero at the beginning. */
struct ports {
	uint64_t next[PORTS_KINDS];
};

/* The port, or the first of a row, to be tried now; ip: from where. */
uint16_t ports_draw(struct ports *p, enum ports_kind kind, int64_t unix_ms,
    const uint8_t ip[static 16]);
/* How long it takes until the clock is past all that were drawn. */
int64_t ports_ahead_ms(const struct ports *p, int64_t unix_ms);

#endif

/*
 * sockets: which ends are the run's: those of each socket that its loop
 * watches, asked of the kernel. So no part of the run need say what it opens.
 */
#ifndef NATPROBE_SOCKETS_H
#define NATPROBE_SOCKETS_H

#include "probes/natprobe/evidence/ends.h"

struct loop;
struct sockets;

/* Of all that l comes to watch from now on; NULL if memory is short. */
struct sockets *sockets_new(struct loop *l);
/* No more is asked of the loop. NULL is allowed. */
void sockets_free(struct sockets *s);

/* Brings the ends up to date, before frames are looked at: a socket has a
 * port once it has sent. */
void sockets_look(struct sockets *s);
/* Lent. */
const struct ends *sockets_ends(const struct sockets *s);
/* There were more than can be known, so frames are missing. */
bool sockets_overflowed(const struct sockets *s);

#endif

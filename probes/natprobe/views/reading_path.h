/* reading_path: a part of reading.c. Each reads nothing if it is not there. */
#ifndef NATPROBE_VIEWS_READING_PATH_H
#define NATPROBE_VIEWS_READING_PATH_H

#include "probes/natprobe/views/json.h"
#include "probes/natprobe/views/reading.h"

/* Of an address family: the way to its servers. */
void read_way_out(const struct from *family, struct reading_path *p);
/* Of a result whose families were read. */
void read_paths(const struct from *f, struct reading *r);
void read_dns(const struct from *f, struct reading_dns *d);
void read_proxy(const struct from *f, struct reading_proxy *p);

#endif

/*
 * names: DNS labels for nodes (RFC 1035 section 2.3.1, RFC 1123 section 2.1)
 * made from whatever a client calls itself. PURE.
 */
#ifndef COORDD_NAMES_H
#define COORDD_NAMES_H

#include <stdbool.h>

#include "coordd/model.h"

/* Makes a label of a raw hostname: the part before the first dot, in lower
 * case; what is neither letter nor digit becomes '-', doubled and outer ones
 * go; "node" if nothing remains. */
void names_sanitise(const char *hostname, char label[static LABEL_MAX + 1]);

/* The same, made unique among the labels of all nodes but `except` (or NULL):
 * robot, robot-1, robot-2 ... False if there is none left. */
bool names_make_label(const struct model *m, const char *hostname,
    const struct node *except, char label[static LABEL_MAX + 1]);

/* True for a label as an administrator may give it. */
bool names_label_ok(const char *label);

#endif

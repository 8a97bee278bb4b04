/*
 * page: the parts of report's page. PURE. Whatever comes from a result passes
 * text_html.
 */
#ifndef NATPROBE_VIEWS_PAGE_H
#define NATPROBE_VIEWS_PAGE_H

#include "probes/natprobe/views/views.h"

/* ---- report_piece.c ---- */

/* class: "" for none. */
void cell(struct text *t, const char *class, const char *s);
/* Begins a table, and its body. */
void head_row(
    struct text *t, const char *class, const char *const names[], size_t n);
void row_head(struct text *t, const char *s);
void heading(struct text *t, unsigned level, const char *s);
/* Adds plain text, and clears it. */
void paste(struct text *t, struct text *plain);
const char *family_name_of(bool v6);
/* The class of a cell. */
const char *goodness(bool good, bool bad);
void mapping_cell(struct text *t, enum behaviour m);

/* ---- report_way.c, report_table.c: sections ---- */

/* latest: of each building one reading. */
void page_ways(struct text *t, const struct reading *const *latest, size_t n);
void page_relays(struct text *t, const struct reading *const *latest, size_t n);
void page_wishes(struct text *t, const struct reading *const *latest, size_t n);
void page_sheets(struct text *t, const struct reading *const *latest, size_t n);

#endif

/*
 * live: what a run says of itself while it goes on. On a terminal a few lines
 * that are drawn again and again; elsewhere, in a run that takes long, a line
 * when there is news; with -quiet nothing. A map:
 *
 *   view.c      rows to lines and escape codes, PURE
 *   words.c     the questions to STUN servers as rows, PURE
 *   parts.c     TCP, the way, the path as rows, PURE
 *   progress.c  which rows a run has
 *   term.c      the terminal
 *
 * Every part of a run has a row, named by its first word to it, and says what
 * it knows by live_say and live_news. live may be NULL: nothing is said.
 */
#ifndef NATPROBE_LIVE_H
#define NATPROBE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probes/natprobe/gateway/hops.h"
#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/path/mtu.h"
#include "probes/natprobe/path/reach.h"
#include "probes/natprobe/tcp/calls.h"
#include "pure/text.h"
#include "run/loop.h"

struct gateways;
struct path_run;
struct relays;
struct targets;

#define LIVE_ROWS     16
#define LIVE_PART_MAX 16
#define LIVE_TEXT_MAX 240

/* ---- term.c: what parts of a run call ---- */

struct live;

/* What is known of that part now, in place of what was said before. */
void live_say(struct live *live, const char *part, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, when it is worth a line of its own where lines stay; the same
 * text is no news twice. */
void live_news(struct live *live, const char *part, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* News that changes all the time: a line in so many seconds at the most. */
void live_slow_news(struct live *live, const char *part, unsigned every_s,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* How much of that part is done, as a bar before its text; total 0: none. */
void live_bar(
    struct live *live, const char *part, uint64_t done, uint64_t total);

struct live_options {
	const char *title; /* lent */
	bool to_stdout; /* standard output may be drawn on, too */
	bool lines; /* the run takes long: lines where there is no terminal */
};

/* How long the run may take. */
void live_longest(struct live *live, int64_t us);

/* refresh: called before each drawing, to say what has changed. Returns NULL
 * if memory is short. */
struct live *live_new(struct loop *l, const struct live_options *options,
    loop_fn *refresh, void *arg);
/* Clears what is drawn, and gives the terminal back as it was. */
void live_free(struct live *live);

/* ---- view.c, PURE ---- */

struct view_row {
	char part[LIVE_PART_MAX];
	char text[LIVE_TEXT_MAX];
	char told[LIVE_TEXT_MAX]; /* as the last line; "": none */
	struct mono told_at;
	uint64_t done, total;
};

struct view {
	struct view_row rows[LIVE_ROWS];
	size_t n;
	const char *title;
	int64_t elapsed_us, longest_us;
};

struct view_size {
	unsigned columns, lines;
	bool colour;
};

/* The row of a part, made if need be; NULL if there are too many. Lent. */
struct view_row *view_row(struct view *v, const char *part);
/* Bytes that would move the cursor or that are no UTF-8 become '?'. */
void view_clean(char *text);
/* Adds the lines, each ending in \n, none as wide as a terminal of that size,
 * and fewer than it has. Returns how many. */
unsigned view_lines(
    struct text *out, const struct view *v, const struct view_size *size);
/* Adds what draws them over what was drawn before. The cursor stays before the
 * first, so a terminal may break lines anew when it becomes narrower. */
void view_draw(
    struct text *out, const struct view *v, const struct view_size *size);
/* Adds what takes them away. */
void view_erase(struct text *out);

/* ---- words.c, PURE ---- */

/* One family's run: what its rows are made of. */
struct live_family {
	const char *name; /* "IPv4" */
	const struct probe *probe;
	/* words.c's own: */
	bool begun;
	enum phase phase; /* at the last look */
	struct verdicts verdicts;
	struct mono phase_began;
	int64_t said_s; /* of the lifetime's ladder */
};

/* What there is to say at a time. */
struct live_words {
	char text[LIVE_TEXT_MAX]; /* of the family's row */
	char ladder[LIVE_TEXT_MAX]; /* of the row below; "" if there is none */
	uint64_t done, total; /* of the ladder */
	bool news, ladder_news;
};
void live_words(struct live_words *w, struct live_family *f, struct mono now);

/* ---- parts.c, PURE ---- */

struct live_part {
	char text[LIVE_TEXT_MAX];
	uint64_t done, total; /* total 0: no bar */
	unsigned every_s; /* it is news once in so long; 0: it is not */
	bool over; /* text is the outcome */
};
void live_tcp(struct live_part *p, const struct calls *c, struct mono now);

/* As it is known so far; lent. */
enum { LIVE_PROTOCOLS = 3 }; /* PCP, NAT-PMP, UPnP */
struct live_way {
	const char *router; /* its address; "": none; NULL: it is not asked */
	bool router_over, speaks[LIVE_PROTOCOLS];
	bool opens, opened; /* -portmap; and packets came in */
	const struct hops *hops; /* NULL: not traced */
	bool hops_over;
};
void live_way(struct live_part *p, const struct live_way *w);
void live_path(struct live_part *p, const struct mtu *m, const struct reach *r);

/* ---- progress.c ---- */

void progress_names(struct live *live, const struct targets *t);
void progress_family(struct live *live, struct live_family *f, struct mono now);
/* c: NULL for none. */
void progress_tcp(
    struct live *live, bool v6, const struct calls *c, struct mono now);
/* g, p: NULL for none. */
void progress_way(struct live *live, bool v6, const struct gateways *g);
void progress_path(struct live *live, bool v6, const struct path_run *p);
void progress_relays(struct live *live, const struct relays *r);

#endif

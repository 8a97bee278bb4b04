/*
 * views: what is made of result files afterwards, without a packet: the
 * commands predict and report. A map:
 *
 *   reading.c        a file's JSON back to verdicts, PURE; reading_path.c
 *   predict.c        two sites to a prediction, PURE
 *   predict_words.c  a prediction in words, PURE
 *   predict_main.c   natprobe predict
 *   judged.c         the verdicts against RFC 4787 and 5382, PURE
 *   advice.c         what to ask the network department for, PURE
 *   sheet.c          what is judged as text, for -rfc4787, PURE
 *   report_main.c    natprobe report: the folder, the file
 *   report_page.c    the page, PURE; page.h has its other parts
 *   report_plot.c    its plots, PURE
 */
#ifndef NATPROBE_VIEWS_H
#define NATPROBE_VIEWS_H

#include <jansson.h>

#include "probes/natprobe/views/predict.h"
#include "probes/natprobe/views/reading.h"
#include "pure/text.h"

/* argv[0] is the command's name. Return an exit status. */
int predict_main(int argc, char **argv);
int report_main(int argc, char **argv);

/* Exit statuses of predict. USAGE: or a file that cannot be read. DEPENDS: on
 * who sends first, or on luck. */
enum {
	PREDICT_DIRECT,
	PREDICT_RELAY,
	PREDICT_USAGE,
	PREDICT_UNKNOWN,
	PREDICT_DEPENDS,
};
/* And of report. PARTLY: the page is there, but a file was left out. */
enum { REPORT_WHOLE, REPORT_PARTLY, REPORT_USAGE };

/* predict_main.c. False: error says why, with the file's name. */
bool reading_load(
    struct reading *r, const char *path, char error[static READING_ERROR_MAX]);

/* predict_words.c: sentences, plain text; a and b: what the sites are called.
 */
const char *outcome_words(enum outcome o);
void path_words(
    struct text *t, const struct path *p, const char *a, const char *b);
void idle_words(
    struct text *t, const struct path *p, const char *a, const char *b);
const char *reason_words(enum reason r);

/*
 * judged.c: RFC 4787's fourteen requirements, as measured over one address
 * family, and RFC 5382's ten. NEVER is what natprobe does not try, UNTRIED what
 * this run did not, UNKNOWN what it tried in vain.
 */
enum judgement {
	JUDGED_UNKNOWN,
	JUDGED_NEVER,
	JUDGED_UNTRIED,
	JUDGED_PASS,
	JUDGED_PARTLY,
	JUDGED_FAIL,
	JUDGEMENTS,
};
const char *judgement_words(enum judgement j);
/* REQ-5 of both: what a mapping must live at the least, and an idle
 * connection. */
enum { LIFE_LEAST_S = 120, TCP_LIFE_LEAST_S = 7440 };
/* It depends on the destination, one way or another. */
bool is_dependent(enum behaviour b);
/* The shortest lifetime of a mapping in use; dead 0: not known. */
struct verdict_life life_shortest(const struct verdicts *v);

#define FOUND_MAX 120
struct requirement {
	const char *name; /* "REQ-1" */
	const char *asks;
	enum judgement result;
	char found[FOUND_MAX];
};
#define REQUIREMENTS 14
void requirements(const struct reading *r, bool v6,
    struct requirement list[static REQUIREMENTS]);
/* Of a result that has looked at TCP. */
#define TCP_REQUIREMENTS 10
void tcp_requirements(const struct reading *r, bool v6,
    struct requirement list[static TCP_REQUIREMENTS]);

/* sheet.c. Adds them, of each family of a result (its JSON). False: it is
 * none, or memory is short. */
bool sheet_words(struct text *t, const json_t *result);

/* advice.c */
#define WISH_MAX   600
#define WISHES_MAX 24
struct wish {
	char text[WISH_MAX];
};
/* Of one address family, and of a building: names, portals, proxies. Return
 * how many; the most important first. */
size_t wishes(
    const struct reading *r, bool v6, struct wish w[static WISHES_MAX]);
size_t building_wishes(
    const struct reading *r, struct wish w[static WISHES_MAX]);
/* Is there a captive portal? One that keeps UDP back, or answers for a relay. */
enum answer portal_of(const struct reading *r);

/* report_page.c */
struct report {
	const struct reading *r; /* by building, then the newest first */
	size_t n;
	const char *when; /* the page is made */
	const char *left_out; /* lines: files that are no results; "" */
};
void report_page(struct text *t, const struct report *report);

/* report_plot.c: an SVG for one reading; *_scale: what all must fit in. False:
 * there is nothing to show. */
double plot_lives_scale(const struct reading *r, size_t n);
bool plot_lives(struct text *t, const struct reading *r, double scale);
double plot_trips_scale(const struct reading *r, size_t n);
bool plot_trips(struct text *t, const struct reading *r, double scale);
double plot_relays_scale(const struct reading *const *r, size_t n);
bool plot_relays(struct text *t, const struct reading *r, double scale);

#endif

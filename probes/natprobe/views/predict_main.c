/* predict_main: natprobe predict A.json B.json. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "probes/natprobe/views/views.h"
#include "run/file.h"

#define PREDICT_SCHEMA 1
#define USAGE	       "usage: natprobe predict [-json] A.json B.json"

bool
reading_load(
    struct reading *r, const char *path, char error[static READING_ERROR_MAX])
{
	char *text = malloc(READING_BYTES_MAX), why[READING_ERROR_MAX];
	ssize_t n =
	    text == NULL ? -1 : file_read(path, text, READING_BYTES_MAX);
	bool good = false;

	if (n == -1 && errno == EMSGSIZE)
		snprintf(why, sizeof(why), "longer than any result, %d bytes",
		    READING_BYTES_MAX);
	else if (n == -1)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	else
		good = reading_parse(r, text, (size_t)n, why);
	free(text);
	if (!good &&
	    snprintf(error, READING_ERROR_MAX, "%.100s: %s", path, why) >=
		READING_ERROR_MAX)
		error[READING_ERROR_MAX - 2] = '.';
	return good;
}

/* ---- for people ---- */

static void
print_site(const char *name, const struct reading *r, const char *path)
{
	printf("%s is %s, measured %s%s\n", name,
	    *r->building == '\0' ? path : r->building, r->time,
	    r->complete ? "" : ", interrupted");
}

static void
print_path(const char *family, const struct path *p)
{
	struct text t = TEXT_EMPTY;

	text_fmt(&t, "%s  %s", family, outcome_words(p->outcome));
	if (p->outcome != OUTCOME_UNKNOWN && p->cause != CAUSE_NOT_ASKED)
		text_fmt(
		    &t, " (confidence %s)", confidence_name(p->confidence));
	text_str(&t, "\n      ");
	path_words(&t, p, "A", "B");
	text_str(&t, "\n");
	if (p->outcome >= OUTCOME_UNRELIABLE) {
		text_str(&t, "      ");
		idle_words(&t, p, "A", "B");
		text_char(&t, '\n');
	}
	if (!t.bad)
		fputs(t.p, stdout);
	text_clear(&t);
}

static void
print_words(
    const struct prediction *p, const struct reading r[], char *const path[])
{
	print_site("A", &r[SITE_A], path[SITE_A]);
	print_site("B", &r[SITE_B], path[SITE_B]);
	print_path("IPv4", &p->path[0]);
	print_path("IPv6", &p->path[1]);
}

/* ---- JSON ---- */

static json_t *
seconds_json(double s)
{
	return s > 0 ? json_real(s) : json_null();
}

static json_t *
words_json(const struct path *p)
{
	struct text t = TEXT_EMPTY;
	char *s;
	json_t *o;

	path_words(&t, p, "A", "B");
	s = text_take(&t);
	o = s == NULL ? json_null() : json_string(s);
	free(s);
	return o;
}

static json_t *
path_json(const struct path *p)
{
	static const char *const sites[] = {"a", "b"};
	json_t *missing = p->missing == FACT_NONE
	    ? json_null()
	    : json_pack("{s:s, s:s, s:o}", "fact", fact_name(p->missing), "at",
		  sites[p->at], "why",
		  p->why == REASON_NONE ? json_null()
					: json_string(reason_name(p->why)));

	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:f, "
			 "s:{s:s, s:s, s:o, s:o}}",
	    "outcome", outcome_name(p->outcome), "cause", cause_name(p->cause),
	    "at", sites[p->at], "confidence", confidence_name(p->confidence),
	    "missing", missing, "text", words_json(p), "guess", p->guess,
	    "idle", "verdict", idle_name(p->idle), "at", sites[p->idle_at],
	    "alive", seconds_json(p->idle_low), "dead",
	    seconds_json(p->idle_high));
}

static json_t *
site_json(const struct reading *r)
{
	return json_pack("{s:s, s:s, s:b}", "building", r->building, "time",
	    r->time, "complete", r->complete);
}

static void
print_json(const struct prediction *p, const struct reading r[])
{
	json_t *o = json_pack("{s:i, s:o, s:o, s:s, s:s, s:o, s:o}",
	    "natprobe_predict", PREDICT_SCHEMA, "a", site_json(&r[SITE_A]), "b",
	    site_json(&r[SITE_B]), "outcome",
	    outcome_name(p->path[p->v6].outcome), "family",
	    p->v6 ? "ipv6" : "ipv4", "ipv4", path_json(&p->path[0]), "ipv6",
	    path_json(&p->path[1]));
	char *text = json_dumps(o, JSON_INDENT(2));

	if (text != NULL)
		puts(text);
	free(text);
	json_decref(o);
}

/* ---- the command ---- */

static int
status_of(enum outcome o)
{
	switch (o) {
	case OUTCOME_DIRECT:
		return PREDICT_DIRECT;
	case OUTCOME_RELAY:
		return PREDICT_RELAY;
	case OUTCOME_UNKNOWN:
		return PREDICT_UNKNOWN;
	default:
		return PREDICT_DEPENDS;
	}
}

static bool
is_flag(const char *arg, const char *name)
{
	arg += arg[0] == '-' && arg[1] == '-';
	return arg[0] == '-' && strcmp(arg + 1, name) == 0;
}

int
predict_main(int argc, char **argv)
{
	struct reading r[SITES];
	struct prediction p;
	char error[READING_ERROR_MAX];
	bool json = false;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (is_flag(argv[i], "help") || is_flag(argv[i], "h")) {
			puts(USAGE);
			return 0;
		}
		if (!is_flag(argv[i], "json")) {
			fprintf(stderr,
			    "natprobe: predict: no flag \"%s\"; " USAGE "\n",
			    argv[i]);
			return PREDICT_USAGE;
		}
		json = true;
	}
	if (argc - i != SITES) {
		fprintf(stderr,
		    "natprobe: predict: want two results, not %d; " USAGE "\n",
		    argc - i);
		return PREDICT_USAGE;
	}
	for (int at = SITE_A; at < SITES; at++)
		if (!reading_load(&r[at], argv[i + at], error)) {
			fprintf(stderr, "natprobe: %s\n", error);
			return PREDICT_USAGE;
		}
	predict(&p, &r[SITE_A].site, &r[SITE_B].site);
	if (json)
		print_json(&p, r);
	else
		print_words(&p, r, argv + i);
	if (fflush(stdout) != 0) {
		fprintf(
		    stderr, "natprobe: standard output: %s\n", strerror(errno));
		return PREDICT_USAGE;
	}
	return status_of(p.path[p.v6].outcome);
}

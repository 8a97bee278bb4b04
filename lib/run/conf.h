/*
 * conf: one table of options per program; each is a flag and the same word in
 * a "keyword value" file (-config FILE).
 *
 * Flags are spelled as Go's flag package takes them, which derper uses: one
 * or two dashes, "-x v" or "-x=v"; a switch is "-x" or "-x=false", never
 * "-x false". A flag given twice: the last wins (as in Go); a word twice in
 * the file is an error. Flags win over the file, the file over defaults.
 * In the file, '#' begins a comment, "quotes" keep blanks; inside them \" and
 * \\ stand for " and \.
 */
#ifndef RUN_CONF_H
#define RUN_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type {
	CONF_BOOL, /* bool; 1 t T true TRUE True 0 f F false ... */
	CONF_INT, /* int64_t, min..max */
	CONF_REAL, /* double, min..max; +Inf allowed if max is 0 */
	CONF_DURATION, /* int64_t microseconds; Go's form: 10m, 1h30m, 500ms */
	CONF_STRING, /* char *, owned by the configuration */
	CONF_STRINGS, /* struct conf_strings; may be given repeatedly */
	CONF_CHOICE, /* int: index in choices, "a|b|c" */
	CONF_ADDR, /* struct addr, as addr_parse reads it; min: the port if none
		    * is given, 0: one must be; max 1: "" is none, len 0 */
	CONF_ADDRS, /* struct conf_addrs; may be given repeatedly; min as above */
};

struct addr;

struct conf_strings {
	char **v;
	size_t n;
};

struct conf_addrs {
	struct addr *v;
	size_t n;
};

struct conf_option {
	const char *name;
	enum conf_type type;
	size_t offset; /* of the field in the program's struct */
	const char *def; /* default, in the form of the file */
	int64_t min, max; /* see above; CONF_DURATION in microseconds */
	const char *choices; /* CONF_CHOICE */
	const char *help; /* one line; "ARG: text" names the argument */
};

#define CONF_ERROR_MAX 512

enum conf_result {
	CONF_OK,
	CONF_BAD, /* error[] says what, where, the value, what is right */
	CONF_HELP, /* -h, -help: print the usage and exit 0 */
};

/*
 * Fills conf (zeroed by the caller) from defaults, file and flags. The table
 * ends with a NULL name. "-config FILE" needs no entry. Strings are owned by
 * conf until conf_clear. error is one line without a newline.
 */
enum conf_result conf_load(const struct conf_option *table, void *conf,
    int argc, char **argv, char error[static CONF_ERROR_MAX]);

void conf_clear(const struct conf_option *table, void *conf);

/* Writes every option as a line of the file form, in table order. */
void conf_print(const struct conf_option *table, const void *conf, FILE *out);

/* True if both have the same value of this option. */
bool conf_same(const struct conf_option *o, const void *a, const void *b);

/* Writes the table as help text. */
void conf_usage(
    const struct conf_option *table, const char *program, FILE *out);

#endif

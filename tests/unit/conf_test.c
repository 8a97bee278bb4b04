/* conf: flags as Go's flag package takes them, the file, and every text. */
#include <sys/stat.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/conf.h"
#include "tests/tap.h"

struct sample {
	bool sw, on;
	int64_t number, big, time, span;
	double real, most;
	char *text, *none;
	struct conf_strings list;
	int choice;
};

#define AT(field) offsetof(struct sample, field)
#define SECOND	  INT64_C(1000000)
#define HOUR	  (3600 * SECOND)

/* clang-format off */
static const struct conf_option table[] = {
	{"switch", CONF_BOOL, AT(sw), "false", 0, 0, NULL, "a switch"},
	{"on", CONF_BOOL, AT(on), "true", 0, 0, NULL, "see: nothing"},
	{"int", CONF_INT, AT(number), "7", -5, 100, NULL, "N: a number"},
	{"big", CONF_INT, AT(big), "1", INT64_MIN, INT64_MAX, NULL, "N: any"},
	{"real", CONF_REAL, AT(real), "+Inf", 0, 0, NULL, "R: a rate"},
	{"most", CONF_REAL, AT(most), "0.5", -1, 10, NULL, "R: a small one"},
	{"time", CONF_DURATION, AT(time), "10s", 0, 24 * HOUR, NULL,
	    "TIME: some time"},
	{"span", CONF_DURATION, AT(span), "0", -HOUR, HOUR, NULL,
	    "TIME: to and fro"},
	{"text", CONF_STRING, AT(text), "", 0, 0, NULL, "TEXT: a text"},
	{"none", CONF_STRING, AT(none), NULL, 0, 0, NULL, "TEXT: or none"},
	{"list", CONF_STRINGS, AT(list), NULL, 0, 0, NULL, "TEXT: some"},
	{"choice", CONF_CHOICE, AT(choice), "bb", 0, 0, "a|bb|ccc",
	    "WHAT: a choice"},
	{0},
};
/* clang-format on */

static struct sample conf;
static char error[CONF_ERROR_MAX];
static const char file_name[] = "test.conf";

static void
write_file(const char *text, size_t n)
{
	FILE *f = fopen(file_name, "w");

	if (f == NULL || fwrite(text, 1, n, f) != n || fclose(f) != 0)
		exit(1);
}

/* Loads the arguments, which end with NULL. */
static enum conf_result
load(const char *const *args)
{
	char *argv[16] = {(char *)(uintptr_t) "program"};
	int argc = 1;

	while (args[argc - 1] != NULL) {
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
		argc++;
	}
	conf_clear(table, &conf);
	memset(&conf, 0, sizeof(conf));
	memset(error, 'x', sizeof(error));
	return conf_load(table, &conf, argc, argv, error);
}

#define LOAD(...) load((const char *const[]){__VA_ARGS__, NULL})

static enum conf_result
load_text(const char *text)
{
	write_file(text, strlen(text));
	return LOAD("-config", file_name);
}

static void
test_defaults(void)
{
	eq_int(load((const char *const[]){NULL}), CONF_OK, "no arguments");
	ok(!conf.sw && conf.on && conf.number == 7 && conf.big == 1 &&
		isinf(conf.real) && conf.most == 0.5 &&
		conf.time == 10 * SECOND && conf.span == 0 &&
		conf.choice == 1 && conf.list.n == 0,
	    "every default");
	eq_str(conf.text, "", "an empty text");
	ok(conf.none == NULL, "no default is none");
	eq_str(error, "", "no error");
	conf_clear(table, &conf);
	ok(conf.text == NULL && conf.list.v == NULL, "cleared");
}

/* ---- flags ---- */

struct flag_row {
	const char *what;
	const char *args[6];
	const char *error; /* NULL: good */
	bool sw;
	int64_t number;
	const char *text;
};

#define UNEXPECTED(arg)                                                       \
	"unexpected argument \"" arg "\"; flags begin with '-', a switch is " \
	"turned off by -name=false"
#define UNKNOWN(arg) "unknown flag \"" arg "\"; -h lists them"

static const struct flag_row flag_rows[] = {
    {"-x v", {"-int", "5"}, NULL, false, 5, ""},
    {"-x=v", {"-int=5"}, NULL, false, 5, ""},
    {"--x v", {"--int", "5"}, NULL, false, 5, ""},
    {"--x=v", {"--int=5"}, NULL, false, 5, ""},
    {"a value that begins with -", {"-int", "-5"}, NULL, false, -5, ""},
    {"a value that is a flag's name", {"-text", "-int"}, NULL, false, 7,
	"-int"},
    {"an empty value", {"-text", ""}, NULL, false, 7, ""},
    {"an empty value behind =", {"-text="}, NULL, false, 7, ""},
    {"= inside a value", {"-text=a=b"}, NULL, false, 7, "a=b"},
    {"blanks and marks stay", {"-text", " #\"a\" "}, NULL, false, 7,
	" #\"a\" "},
    {"a switch", {"-switch"}, NULL, true, 7, ""},
    {"two dashes", {"--switch"}, NULL, true, 7, ""},
    {"=true", {"-switch=true"}, NULL, true, 7, ""},
    {"=false", {"-switch=false"}, NULL, false, 7, ""},
    {"a switch takes no word", {"-switch", "false"}, UNEXPECTED("false"), false,
	0, NULL},
    {"the last wins", {"-int", "5", "-int", "6", "-int=8"}, NULL, false, 8, ""},
    {"of a switch, too", {"-switch", "-switch=false"}, NULL, false, 7, ""},
    {"of a text, too", {"-text", "a", "-text=b"}, NULL, false, 7, "b"},
    {"-- ends the flags", {"-int", "5", "--"}, NULL, false, 5, ""},
    {"nothing may follow", {"--", "a"}, UNKNOWN("--"), false, 0, NULL},
    {"no dash", {"int", "5"}, UNEXPECTED("int"), false, 0, NULL},
    {"a dash alone", {"-"}, UNEXPECTED("-"), false, 0, NULL},
    {"an empty argument", {""}, UNEXPECTED(""), false, 0, NULL},
    {"an argument behind flags", {"-int", "5", "more"}, UNEXPECTED("more"),
	false, 0, NULL},
    {"unknown", {"-nothing"}, UNKNOWN("-nothing"), false, 0, NULL},
    {"unknown, with a value", {"--nothing=5"}, UNKNOWN("--nothing=5"), false, 0,
	NULL},
    {"three dashes", {"---int=5"}, UNKNOWN("---int=5"), false, 0, NULL},
    {"no name", {"-=5"}, UNKNOWN("-=5"), false, 0, NULL},
    {"half a name", {"-in", "5"}, UNKNOWN("-in"), false, 0, NULL},
    {"a name and more", {"-intt", "5"}, UNKNOWN("-intt"), false, 0, NULL},
    {"case matters", {"-Int", "5"}, UNKNOWN("-Int"), false, 0, NULL},
    {"a missing value", {"-int"}, "flag -int needs a value", false, 0, NULL},
    {"a missing file", {"--config"}, "flag -config needs a value", false, 0,
	NULL},
    {"no such file", {"-config", "no/such"},
	"flag -config: no/such: No such file or directory", false, 0, NULL},
    {"an empty name of a file", {"-config="},
	"flag -config: : No such file or directory", false, 0, NULL},
    {"a folder", {"-config", "."}, "flag -config: .: Is a directory", false, 0,
	NULL},
    {"a long argument is cut",
	{"0123456789012345678901234567890123456789"
	 "012345678901234567890123456789"},
	UNEXPECTED("0123456789012345678901234567890123456789"
		   "012345678901234567890123"),
	false, 0, NULL},
};

static void
test_flags(void)
{
	for (size_t i = 0; i < sizeof(flag_rows) / sizeof(flag_rows[0]); i++) {
		const struct flag_row *r = &flag_rows[i];
		enum conf_result res = load(r->args);

		if (r->error != NULL) {
			ok(res == CONF_BAD, r->what);
			eq_str(error, r->error, "its error");
			continue;
		}
		ok(res == CONF_OK && conf.sw == r->sw &&
			conf.number == r->number,
		    r->what);
		eq_str(conf.text, r->text, "and its text");
	}
}

static void
test_help(void)
{
	static const char *const words[] = {"-h", "--h", "-help", "--help"};

	for (size_t i = 0; i < 4; i++)
		eq_int(LOAD(words[i]), CONF_HELP, words[i]);
	eq_int(LOAD("-int", "5", "-h"), CONF_HELP, "among others");
	eq_int(LOAD("-config", "no/such", "-h"), CONF_HELP, "before the file");
	eq_int(LOAD("-text", "-h"), CONF_OK, "a value is no flag");
	eq_int(LOAD("-no", "-h"), CONF_BAD, "a fault before it counts");
	eq_int(load_text("h\n"), CONF_BAD, "it is no word of the file");
}

/* ---- values ---- */

struct value_row {
	const char *flag;
	const char *value;
	double want; /* of numbers; NAN: bad */
};

static const struct value_row value_rows[] = {
    /* strconv.ParseBool */
    {"switch", "1", 1},
    {"switch", "t", 1},
    {"switch", "T", 1},
    {"switch", "true", 1},
    {"switch", "TRUE", 1},
    {"switch", "True", 1},
    {"switch", "0", 0},
    {"switch", "f", 0},
    {"switch", "F", 0},
    {"switch", "false", 0},
    {"switch", "FALSE", 0},
    {"switch", "False", 0},
    {"switch", "", NAN},
    {"switch", "yes", NAN},
    {"switch", "tRUE", NAN},
    {"switch", "true ", NAN},
    {"switch", "2", NAN},
    /* whole numbers, -5..100 */
    {"int", "-5", -5},
    {"int", "-6", NAN},
    {"int", "100", 100},
    {"int", "101", NAN},
    {"int", "+7", 7},
    {"int", "", NAN},
    {"int", "-", NAN},
    {"int", "1.0", NAN},
    {"int", "1e1", NAN},
    {"int", "5 ", NAN},
    {"int", "5x", NAN},
    {"int", " 5", NAN},
    {"int", "18446744073709551621", NAN},
    {"big", "9223372036854775807", 9223372036854775807.0},
    {"big", "9223372036854775808", NAN},
    {"big", "-9223372036854775808", -9223372036854775808.0},
    {"big", "-9223372036854775809", NAN},
    /* real numbers, of at least 0 */
    {"real", "0", 0},
    {"real", "-0.001", NAN},
    {"real", "1.5", 1.5},
    {"real", "1e3", 1000},
    {"real", "+Inf", INFINITY},
    {"real", "inf", INFINITY},
    {"real", "Infinity", INFINITY},
    {"real", "-Inf", NAN},
    {"real", "NaN", NAN},
    {"real", "", NAN},
    {"real", "1,5", NAN},
    {"real", " 1.5", NAN},
    {"real", "1e999", NAN},
    {"real", "1.5/s", NAN},
    /* -1 to 10 */
    {"most", "-1", -1},
    {"most", "-1.1", NAN},
    {"most", "10", 10},
    {"most", "10.1", NAN},
    {"most", "+Inf", NAN},
    /* time.ParseDuration, in microseconds; 0 to 24 hours */
    {"time", "0", 0},
    {"time", "0s", 0},
    {"time", "1us", 1},
    {"time", "1\xc2\xb5s", 1},
    {"time", "1500ns", 1},
    {"time", "999ns", 0},
    {"time", "1ms", 1e3},
    {"time", "1s", 1e6},
    {"time", "1m", 6e7},
    {"time", "1h", 3.6e9},
    {"time", "1h30m", 5.4e9},
    {"time", "1h2m3s4ms5us", 3723004005.0},
    {"time", "30m1h", 5.4e9},
    {"time", "1s1s", 2e6},
    {"time", "1.5s", 1.5e6},
    {"time", ".5s", 5e5},
    {"time", "1.s", 1e6},
    {"time", "0.25h", 9e8},
    {"time", "010s", 1e7},
    {"time", "24h", 8.64e10},
    {"time", "24h1us", NAN},
    {"time", "23h60m", 8.64e10},
    {"time", "-1us", NAN},
    {"time", "-0s", 0},
    {"time", "1", NAN},
    {"time", "10", NAN},
    {"time", "00", NAN},
    {"time", "", NAN},
    {"time", "-", NAN},
    {"time", "s", NAN},
    {"time", ".s", NAN},
    {"time", "1 s", NAN},
    {"time", " 1s", NAN},
    {"time", "1s ", NAN},
    {"time", "1h 1m", NAN},
    {"time", "1S", NAN},
    {"time", "1d", NAN},
    {"time", "1sm", NAN},
    {"time", "1mss", NAN},
    {"time", "1s1", NAN},
    {"time", "1..5s", NAN},
    {"time", "1e3s", NAN},
    {"time", "0x10s", NAN},
    {"time", "+5s", 5e6},
    {"time", "-0", 0},
    {"time", "1\xce\xbcs", 1},
    {"time", "1s-1s", NAN},
    {"time", "--1s", NAN},
    {"time", "Infs", NAN},
    {"time", "nans", NAN},
    {"time", "99999999999999999999999999h", NAN},
    {"span", "-1h", -3.6e9},
    {"span", "-30m30s", -1.83e9},
    {"span", "-1h1us", NAN},
    {"span", "1h", 3.6e9},
    {"span", "1h1us", NAN},
    /* a|bb|ccc */
    {"choice", "a", 0},
    {"choice", "bb", 1},
    {"choice", "ccc", 2},
    {"choice", "", NAN},
    {"choice", "b", NAN},
    {"choice", "aa", NAN},
    {"choice", "bbb", NAN},
    {"choice", "cc", NAN},
    {"choice", "A", NAN},
    {"choice", "|", NAN},
    {"choice", "a|", NAN},
    {"choice", "a|bb", NAN},
    {"choice", "bb|ccc", NAN},
};

static double
number_of(const char *flag)
{
	switch (flag[0]) {
	case 's':
		return flag[1] == 'w' ? conf.sw : (double)conf.span;
	case 'i':
		return (double)conf.number;
	case 'b':
		return (double)conf.big;
	case 'r':
		return conf.real;
	case 'm':
		return conf.most;
	case 't':
		return (double)conf.time;
	default:
		return conf.choice;
	}
}

static void
test_values(void)
{
	for (size_t i = 0; i < sizeof(value_rows) / sizeof(value_rows[0]);
	     i++) {
		const struct value_row *r = &value_rows[i];
		char arg[80];
		enum conf_result res;

		snprintf(arg, sizeof(arg), "-%s=%s", r->flag, r->value);
		res = LOAD(arg);
		if (isnan(r->want))
			ok(res == CONF_BAD, arg);
		else
			ok(res == CONF_OK && number_of(r->flag) == r->want,
			    arg);
	}
}

static void
test_errors(void)
{
	static const struct {
		const char *arg, *error;
	} rows[] = {
	    {"-switch=no", "flag -switch: \"no\" is not true or false"},
	    {"-int=x", "flag -int: \"x\" is not a whole number from -5 to 100"},
	    {"-real=x",
		"flag -real: \"x\" is not a number of at least 0, or +Inf"},
	    {"-time=x",
		"flag -time: \"x\" is not a time from 0s to 24h, such as 10s "
		"or 1m30s"},
	    {"-span=2h",
		"flag -span: \"2h\" is not a time from -1h to 1h, such as 10s "
		"or 1m30s"},
	    {"-most=11", "flag -most: \"11\" is not a number from -1 to 10"},
	    {"--choice=x", "flag -choice: \"x\" is not one of a|bb|ccc"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		eq_int(LOAD(rows[i].arg), CONF_BAD, rows[i].arg);
		eq_str(error, rows[i].error, "its error");
	}
}

/* A value as long as a line fits into the error, cut. */
static void
test_long_error(void)
{
	static char arg[4000];

	memset(arg, 'y', sizeof(arg) - 1);
	memcpy(arg, "-int=", 5);
	eq_int(LOAD(arg), CONF_BAD, "a value of 4000 bytes");
	eq_int((int64_t)strlen(error), CONF_ERROR_MAX - 1,
	    "its error is cut, not lost");
	eq_mem(error, "flag -int: \"yyy", 15, "the end is cut");
}

/* ---- the file ---- */

struct file_row {
	const char *what, *file;
	const char *error; /* NULL: good */
	const char *text; /* of the word "text" */
};

#define OUGHT_INT   " is not a whole number from -5 to 100"
#define OUGHT_QUOTE "a quoted value must end with \" and the line"

static const struct file_row file_rows[] = {
    {"empty", "", NULL, ""},
    {"blank lines and comments", "\n  \n# text a\n \t#\n", NULL, ""},
    {"a word", "text a\n", NULL, "a"},
    {"the last line needs no end", "text a", NULL, "a"},
    {"CR LF", "text a\r\n\r\n", NULL, "a"},
    {"blanks around", " \t text \t a \t \n", NULL, "a"},
    {"blanks inside", "text a  b\n", NULL, "a  b"},
    {"a comment behind", "text a # b\n", NULL, "a"},
    {"without a blank, too", "text a#b\n", NULL, "a"},
    {"no value", "text\n", NULL, ""},
    {"no value, but a comment", "text # a\n", NULL, ""},
    {"a comment at the word", "text#a\n", NULL, ""},
    {"quotes", "text \"a\"\n", NULL, "a"},
    {"quotes keep blanks", "text \"  a \t\"\n", NULL, "  a \t"},
    {"and marks", "text \"a # b\"\n", NULL, "a # b"},
    {"a comment behind quotes", "text \"a\" # b\n", NULL, "a"},
    {"at once", "text \"a\"# b\n", NULL, "a"},
    {"quoted nothing", "text \"\"\n", NULL, ""},
    {"quotes inside are plain", "text a\"b\n", NULL, "a\"b"},
    {"an escaped quote", "text \"a\\\"b\"\n", NULL, "a\"b"},
    {"an escaped backslash", "text \"a\\\\\"\n", NULL, "a\\"},
    {"no other escapes", "text \"a\\n\\\"\"\n", NULL, "a\\n\""},
    {"none without quotes", "text a\\\\b\n", NULL, "a\\\\b"},
    {"an escape at the end", "text \"a\\\"\n", "test.conf:1: " OUGHT_QUOTE,
	NULL},
    {"a backslash at the end", "text \"a\\", "test.conf:1: " OUGHT_QUOTE, NULL},
    {"= is part of a value", "text =a\n", NULL, "=a"},
    {"an open quote", "text \"a\n", "test.conf:1: " OUGHT_QUOTE, NULL},
    {"text behind a quote", "text \"a\" b\n", "test.conf:1: " OUGHT_QUOTE,
	NULL},
    {"an open quote in a comment", "# text \"a\n", NULL, ""},
    {"an unknown word", "text a\n\nnothing b\n",
	"test.conf:3: unknown word \"nothing\"; -h lists them", NULL},
    {"a flag is no word", "-text a\n",
	"test.conf:1: unknown word \"-text\"; -h lists them", NULL},
    {"config is no word", "config a\n",
	"test.conf:1: unknown word \"config\"; -h lists them", NULL},
    {"half a word", "tex a\n",
	"test.conf:1: unknown word \"tex\"; -h lists them", NULL},
    {"given twice", "text a\nint 5\ntext a\n",
	"test.conf:3: \"text\" is given a second time; once is right", NULL},
    {"a bad value", "\ntext a\nint five # b\n",
	"test.conf:3: int: \"five\"" OUGHT_INT, NULL},
    {"a bad value in quotes", "int \"5 \"\n",
	"test.conf:1: int: \"5 \"" OUGHT_INT, NULL},
    {"no number", "int\n", "test.conf:1: int: \"\"" OUGHT_INT, NULL},
    {"the first fault is told", "int 101\nint five\n",
	"test.conf:1: int: \"101\"" OUGHT_INT, NULL},
    {"a bad choice", "choice b\n",
	"test.conf:1: choice: \"b\" is not one of a|bb|ccc", NULL},
};

static void
test_file(void)
{
	for (size_t i = 0; i < sizeof(file_rows) / sizeof(file_rows[0]); i++) {
		const struct file_row *r = &file_rows[i];
		enum conf_result res = load_text(r->file);

		if (r->error != NULL) {
			ok(res == CONF_BAD, r->what);
			eq_str(error, r->error, "its error");
		} else {
			ok(res == CONF_OK, r->what);
			eq_str(conf.text, r->text, "and its value");
		}
	}
}

static void
test_file_switch(void)
{
	eq_int(load_text("switch\non false\n"), CONF_OK, "switches");
	ok(conf.sw && !conf.on, "a word alone is true");
	eq_int(load_text("switch # a\n"), CONF_OK, "with a comment");
	ok(conf.sw, "it is true");
	eq_int(load_text("switch \"true\"\n"), CONF_OK, "in quotes");
	ok(conf.sw, "it is true, too");
}

/* Lines of 4094 bytes, and of one more. */
static void
test_long_line(void)
{
	static char line[4200];
	const size_t most = 4094;

	memset(line, 'y', sizeof(line));
	memcpy(line, "text ", 5);
	line[most] = '\n';
	write_file(line, most + 1);
	eq_int(LOAD("-config", file_name), CONF_OK, "4094 bytes");
	eq_int((int64_t)strlen(conf.text), (int64_t)most - 5, "all are kept");
	line[most] = 'y';
	line[most + 1] = '\n';
	write_file(line, most + 2);
	eq_int(LOAD("-config", file_name), CONF_BAD, "4095 bytes");
	eq_str(error, "test.conf:1: the line is longer than 4094 bytes",
	    "its error");
}

static void
test_sources(void)
{
	write_file("text file\nint 5\n", 16);
	LOAD("-config", file_name);
	ok(strcmp(conf.text, "file") == 0 && conf.number == 5 &&
		conf.time == 10 * SECOND,
	    "the file wins over defaults");
	LOAD("-text", "flag", "-config", file_name);
	ok(strcmp(conf.text, "flag") == 0 && conf.number == 5,
	    "a flag wins over the file, also before it");
	LOAD("--config=test.conf", "-text=flag");
	ok(strcmp(conf.text, "flag") == 0 && conf.number == 5, "and behind it");
	LOAD("-config", "no/such", "-config", file_name);
	ok(conf.number == 5, "the last -config counts");
	write_file("int 500\n", 8);
	eq_int(LOAD("-config", file_name, "-int=5"), CONF_BAD,
	    "a fault in the file stays one under a flag");
}

static bool
list_is(const char *a, const char *b)
{
	size_t n = a == NULL ? 0 : b == NULL ? 1 : 2;

	return conf.list.n == n && (n < 1 || !strcmp(conf.list.v[0], a)) &&
	    (n < 2 || !strcmp(conf.list.v[1], b));
}

static void
test_lists(void)
{
	eq_int(load_text("list a\ntext b\nlist c\n"), CONF_OK, "a list");
	ok(list_is("a", "c"), "may be given again");
	LOAD("-list", "x", "-list=y");
	ok(list_is("x", "y"), "by flags as well");
	LOAD("-config", file_name, "-list", "x");
	ok(list_is("x", NULL), "flags begin it anew");
	LOAD("-config", file_name);
	ok(list_is("a", "c"), "without them the file's stays");
	load_text("list \"\"\n");
	ok(list_is("", NULL), "an empty text is an item");
}

static void
test_default_fault(void)
{
	static const struct conf_option broken[] = {
	    {"int", CONF_INT, AT(number), "x", -5, 100, NULL, "N: a number"},
	    {0},
	};
	char *argv[] = {error, NULL};

	conf_clear(table, &conf);
	memset(&conf, 0, sizeof(conf));
	eq_int(conf_load(broken, &conf, 1, argv, error), CONF_BAD,
	    "a table's own fault");
	eq_str(error, "default of int: \"x\"" OUGHT_INT, "its error");
}

/* ---- output ---- */

static char *
printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	print(out);
	fclose(out);
	return text;
}

static void
print_conf(FILE *out)
{
	conf_print(table, &conf, out);
}

static void
print_usage(FILE *out)
{
	conf_usage(table, "program", out);
}

static void
test_print(void)
{
	char *text, *again;

	load((const char *const[]){NULL});
	text = printed(print_conf);
	eq_str(text,
	    "switch false\n"
	    "on true\n"
	    "int 7\n"
	    "big 1\n"
	    "real inf\n"
	    "most 0.5\n"
	    "time 10s\n"
	    "span 0s\n"
	    "text \"\"\n"
	    "none \"\"\n"
	    "choice bb\n",
	    "the defaults");
	free(text);
	load_text("switch\non f\nint -5\nbig 9223372036854775807\n"
		  "real 12.25\nmost 1e-3\ntime 1h30m\nspan -1m1s\n"
		  "text \"a # b\"\nnone a\nlist a\nlist \"b c\"\nlist \"\"\n"
		  "choice ccc\n");
	text = printed(print_conf);
	eq_str(text,
	    "switch true\n"
	    "on false\n"
	    "int -5\n"
	    "big 9223372036854775807\n"
	    "real 12.25\n"
	    "most 0.001\n"
	    "time 90m\n"
	    "span -61s\n"
	    "text \"a # b\"\n"
	    "none a\n"
	    "list a\n"
	    "list \"b c\"\n"
	    "list \"\"\n"
	    "choice ccc\n",
	    "each type");
	eq_int(load_text(text), CONF_OK, "what is printed can be read");
	again = printed(print_conf);
	eq_str(again, text, "and means the same");
	free(again);
	free(text);
}

/* Texts and numbers for which the short form would not do. */
static void
test_print_back(void)
{
	static const char *const texts[] = {"a\"b", "\"a\"", "\"", "\\", "a\\",
	    "\\\"", "\\ ", " ", "#", "\t", "a \"b\\", "\xc3\xa4", "-", "a\rb"};
	static const char *const reals[] = {"0.1", "1234567", "1e300",
	    "0.30000000000000004", "16777217.5", "5e-324", "+Inf"};
	char *text;
	double real;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		LOAD("-text", texts[i]);
		text = printed(print_conf);
		load_text(text);
		eq_str(conf.text, texts[i], "a text is printed and read back");
		free(text);
	}
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
		LOAD("-real", reals[i]);
		real = conf.real;
		text = printed(print_conf);
		load_text(text);
		ok(conf.real == real, reals[i]);
		free(text);
	}
}

static void
test_print_times(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {{"0", "span 0s\n"}, {"1us", "span 1us\n"},
	    {"1ms", "span 1ms\n"}, {"1001us", "span 1001us\n"},
	    {"1s", "span 1s\n"}, {"1s1ms", "span 1001ms\n"},
	    {"1m", "span 1m\n"}, {"61s", "span 61s\n"}, {"1h", "span 1h\n"},
	    {"59m60s", "span 1h\n"}, {"-1h", "span -1h\n"},
	    {"-1us", "span -1us\n"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text;

		LOAD("-span", rows[i].in);
		text = printed(print_conf);
		ok(strstr(text, rows[i].out) != NULL, rows[i].in);
		free(text);
	}
}

/* Which options differ between the defaults and those with one flag. */
static void
test_same(void)
{
	static const char *const flags[][2] = {{"-switch=true", "switch"},
	    {"-int=8", "int"}, {"-real=3", "real"}, {"-time=11s", "time"},
	    {"-text=x", "text"}, {"-none=x", "none"}, {"-list=x", "list"},
	    {"-choice=a", "choice"}, {"-int=7", ""}};
	struct sample plain;
	bool right, differs;

	load((const char *const[]){NULL});
	plain = conf;
	memset(&conf, 0, sizeof(conf));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		LOAD(flags[i][0]);
		right = true;
		for (const struct conf_option *o = table; o->name != NULL;
		     o++) {
			differs = strcmp(o->name, flags[i][1]) == 0;
			right &= conf_same(o, &plain, &conf) == !differs;
		}
		ok(right, flags[i][0]);
	}
	conf_clear(table, &plain);
}

static void
test_usage(void)
{
	char *text = printed(print_usage);

	eq_str(text,
	    "usage: program [-config FILE] [flags]\n"
	    "  -switch\n\ta switch (default false)\n"
	    "  -on\n\tsee: nothing (default true)\n"
	    "  -int N\n\ta number (default 7)\n"
	    "  -big N\n\tany (default 1)\n"
	    "  -real R\n\ta rate (default +Inf)\n"
	    "  -most R\n\ta small one (default 0.5)\n"
	    "  -time TIME\n\tsome time (default 10s)\n"
	    "  -span TIME\n\tto and fro (default 0)\n"
	    "  -text TEXT\n\ta text\n"
	    "  -none TEXT\n\tor none\n"
	    "  -list TEXT\n\tsome\n"
	    "  -choice WHAT\n\ta choice (a|bb|ccc) (default bb)\n",
	    "the usage");
	free(text);
}

int
main(void)
{
	char dir[] = "/tmp/conf_test.XXXXXX";

	if (mkdtemp(dir) == NULL || chdir(dir) == -1) {
		printf("Bail out! no folder to work in\n");
		return 1;
	}
	test_defaults();
	test_flags();
	test_help();
	test_values();
	test_errors();
	test_long_error();
	test_file();
	test_file_switch();
	test_long_line();
	test_sources();
	test_lists();
	test_default_fault();
	test_print();
	test_print_back();
	test_print_times();
	test_same();
	test_usage();
	conf_clear(table, &conf);
	unlink(file_name);
	rmdir(dir);
	return tap_done();
}

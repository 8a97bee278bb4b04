/*
 * conf: reads options from defaults, a file and flags through one table.
 * Owns the strings it puts into a configuration. Opens only -config FILE.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "run/conf.h"

struct conf_reader {
	const struct conf_option *table;
	char *conf; /* the program's struct */
	char *error;
	const char *program;
};

/* ---- values: one parser per type; each says what would be right ---- */

static bool
parse_bool(bool *out, const char *s)
{
	/* What Go's strconv.ParseBool takes. */
	static const char *const yes[] = {
	    "1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {
	    "0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		*out = true;
		if (strcmp(s, yes[i]) == 0)
			return true;
		*out = false;
		if (strcmp(s, no[i]) == 0)
			return true;
	}
	return false;
}

static bool
parse_int(int64_t *out, const char *s, int64_t min, int64_t max)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || end == s || *end != '\0' ||
	    isspace((unsigned char)*s) || v < min || v > max)
		return false;
	*out = v;
	return true;
}

static bool
parse_real(double *out, const char *s, int64_t min, int64_t max)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(s, &end);
	if (errno != 0 || end == s || *end != '\0' ||
	    isspace((unsigned char)*s) || isnan(v) || v < (double)min)
		return false;
	if (max != 0 && v > (double)max)
		return false;
	*out = v;
	return true;
}

/* A number of digits with at most one point: no sign, exponent or hex. */
static bool
parse_decimal(const char *s, double *v, const char **end)
{
	size_t n = strspn(s, "0123456789"), digits = n;

	if (s[n] == '.') {
		digits = strspn(s + n + 1, "0123456789");
		digits += n;
		n = digits + 1;
	}
	*v = strtod(s, NULL);
	*end = s + n;
	return digits > 0;
}

static bool
parse_unit(const char *s, double *us, const char **end)
{
	static const struct {
		const char *unit;
		double us;
	} units[] = {{"ns", 1e-3}, {"us", 1}, {"\u00b5s", 1}, {"\u03bcs", 1},
	    {"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"h", 3.6e9}};
	size_t n = strcspn(s, "+-.0123456789");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i].unit) == n &&
		    strncmp(units[i].unit, s, n) == 0) {
			*us = units[i].us;
			*end = s + n;
			return true;
		}
	return false;
}

/* Go's time.ParseDuration: numbers with units, "1h30m", "1.5s"; or "0". */
static bool
parse_duration(int64_t *out, const char *s, int64_t min, int64_t max)
{
	bool negative = s[0] == '-';
	double sum = 0, v, us;

	if (*s == '-' || *s == '+')
		s++;
	if (*s == '\0')
		return false;
	if (strcmp(s, "0") == 0)
		s++;
	for (; *s != '\0'; sum += v * us)
		if (!parse_decimal(s, &v, &s) || !parse_unit(s, &us, &s))
			return false;
	if (negative)
		sum = -sum;
	if (sum < (double)min || sum > (double)max)
		return false;
	*out = (int64_t)sum;
	return true;
}

static void
print_duration(char *out, size_t cap, int64_t us)
{
	if (us % 3600000000 == 0 && us != 0)
		snprintf(out, cap, "%lldh", (long long)(us / 3600000000));
	else if (us % 60000000 == 0 && us != 0)
		snprintf(out, cap, "%lldm", (long long)(us / 60000000));
	else if (us % 1000000 == 0)
		snprintf(out, cap, "%llds", (long long)(us / 1000000));
	else if (us % 1000 == 0)
		snprintf(out, cap, "%lldms", (long long)(us / 1000));
	else
		snprintf(out, cap, "%lldus", (long long)us);
}

static bool
parse_choice(int *out, const char *s, const char *choices)
{
	size_t n = strcspn(s, "|");
	int i = 0;

	if (s[n] == '|')
		return false;
	for (const char *c = choices;; c++, i++) {
		if (strncmp(c, s, n) == 0 && (c[n] == '|' || c[n] == '\0') &&
		    n > 0) {
			*out = i;
			return true;
		}
		if ((c = strchr(c, '|')) == NULL)
			return false;
	}
}

static bool
set_string(char **out, const char *s)
{
	char *copy = strdup(s);

	if (copy == NULL)
		return false;
	free(*out);
	*out = copy;
	return true;
}

static bool
add_string(struct conf_strings *list, const char *s)
{
	char **v = realloc(list->v, (list->n + 1) * sizeof(*v));

	if (v == NULL)
		return false;
	list->v = v;
	list->v[list->n] = strdup(s);
	if (list->v[list->n] == NULL)
		return false;
	list->n++;
	return true;
}

static void
clear_strings(struct conf_strings *list)
{
	while (list->n > 0)
		free(list->v[--list->n]);
	free(list->v);
	list->v = NULL;
}

static bool
set_value(const struct conf_option *o, void *field, const char *s)
{
	switch (o->type) {
	case CONF_BOOL:
		return parse_bool(field, s);
	case CONF_INT:
		return parse_int(field, s, o->min, o->max);
	case CONF_REAL:
		return parse_real(field, s, o->min, o->max);
	case CONF_DURATION:
		return parse_duration(field, s, o->min, o->max);
	case CONF_STRING:
		return set_string(field, s);
	case CONF_STRINGS:
		return add_string(field, s);
	case CONF_CHOICE:
		return parse_choice(field, s, o->choices);
	}
	return false;
}

static void
what_is_right(const struct conf_option *o, char *out, size_t cap)
{
	char a[32], b[32];

	switch (o->type) {
	case CONF_BOOL:
		snprintf(out, cap, "true or false");
		break;
	case CONF_INT:
		snprintf(out, cap, "a whole number from %lld to %lld",
		    (long long)o->min, (long long)o->max);
		break;
	case CONF_REAL:
		if (o->max != 0)
			snprintf(out, cap, "a number from %lld to %lld",
			    (long long)o->min, (long long)o->max);
		else
			snprintf(out, cap, "a number of at least %lld, or +Inf",
			    (long long)o->min);
		break;
	case CONF_DURATION:
		print_duration(a, sizeof(a), o->min);
		print_duration(b, sizeof(b), o->max);
		snprintf(out, cap, "a time from %s to %s, such as 10s or 1m30s",
		    a, b);
		break;
	case CONF_CHOICE:
		snprintf(out, cap, "one of %s", o->choices);
		break;
	case CONF_STRING:
	case CONF_STRINGS:
		snprintf(out, cap, "text that fits into memory");
		break;
	}
}

/* ---- the three sources ---- */

static enum conf_result __attribute__((format(printf, 2, 3)))
bad(struct conf_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, CONF_ERROR_MAX, fmt, ap);
	va_end(ap);
	return CONF_BAD;
}

static const struct conf_option *
find(const struct conf_option *table, const char *name, size_t n)
{
	for (; table->name != NULL; table++)
		if (strlen(table->name) == n &&
		    strncmp(table->name, name, n) == 0)
			return table;
	return NULL;
}

/* where is "flag -" or "FILE:LINE: ". A list starts anew in each source. */
static enum conf_result
assign(struct conf_reader *r, const struct conf_option *o, const char *value,
    const char *where, bool first_in_source)
{
	char *field = r->conf + o->offset;
	char right[128];

	if (o->type == CONF_STRINGS && first_in_source)
		clear_strings((struct conf_strings *)(void *)field);
	if (set_value(o, field, value))
		return CONF_OK;
	what_is_right(o, right, sizeof(right));
	return bad(r, "%s%s: \"%s\" is not %s", where, o->name, value, right);
}

static enum conf_result
load_defaults(struct conf_reader *r)
{
	enum conf_result res = CONF_OK;

	for (const struct conf_option *o = r->table;
	     o->name != NULL && res == CONF_OK; o++)
		if (o->def != NULL)
			res = assign(r, o, o->def, "default of ", true);
	return res;
}

/* Unquotes in place: p points to the opening quote, where the text then
 * begins; \\ and \" stand for themselves. Returns what follows, or NULL. */
static char *
cut_quoted(char *p)
{
	char *out = p++;

	for (; *p != '"'; *out++ = *p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (*p == '\0')
			return NULL;
	}
	*out = '\0';
	return p + 1;
}

/* Cuts "keyword value", quotes and comments in place. */
static bool
cut_line(char *line, char **keyword, char **value)
{
	char *p = line + strspn(line, " \t\r\n");
	char *end;

	*keyword = p;
	p += strcspn(p, " \t\r\n#");
	if (*p == '#' || *p == '\0') {
		*p = '\0';
		*value = p;
		return true;
	}
	*p++ = '\0';
	p += strspn(p, " \t\r\n");
	if (*p == '"') {
		*value = p;
		if ((end = cut_quoted(p)) == NULL)
			return false;
		end += strspn(end, " \t\r\n");
		return *end == '\0' || *end == '#';
	}
	*value = p;
	end = p + strcspn(p, "#\r\n");
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	return true;
}

static enum conf_result
load_line(struct conf_reader *r, char *line, const char *where, bool *seen)
{
	const struct conf_option *o;
	char *keyword, *value;
	bool first;

	if (!cut_line(line, &keyword, &value))
		return bad(
		    r, "%sa quoted value must end with \" and the line", where);
	if (*keyword == '\0')
		return CONF_OK;
	o = find(r->table, keyword, strlen(keyword));
	if (o == NULL)
		return bad(r, "%sunknown word \"%.64s\"; -h lists them", where,
		    keyword);
	first = !seen[o - r->table];
	if (!first && o->type != CONF_STRINGS)
		return bad(r, "%s\"%s\" is given a second time; once is right",
		    where, keyword);
	seen[o - r->table] = true;
	if (*value == '\0' && o->type == CONF_BOOL)
		return assign(r, o, "true", where, first);
	return assign(r, o, value, where, first);
}

static enum conf_result
load_lines(struct conf_reader *r, const char *path, FILE *f, bool *seen)
{
	char line[4096], where[300];
	enum conf_result res = CONF_OK;

	for (int no = 1; res == CONF_OK && fgets(line, sizeof(line), f) != NULL;
	     no++) {
		snprintf(where, sizeof(where), "%.250s:%d: ", path, no);
		if (strchr(line, '\n') == NULL && !feof(f))
			res = bad(r, "%sthe line is longer than %zu bytes",
			    where, sizeof(line) - 2);
		else
			res = load_line(r, line, where, seen);
	}
	if (res == CONF_OK && ferror(f))
		res = bad(r, "flag -config: %s: %s", path, strerror(errno));
	return res;
}

static enum conf_result
load_file(struct conf_reader *r, const char *path, size_t options)
{
	FILE *f = fopen(path, "re");
	bool *seen;
	enum conf_result res;

	if (f == NULL)
		return bad(r, "flag -config: %s: %s", path, strerror(errno));
	seen = calloc(options + 1, sizeof(*seen));
	res = seen == NULL ? bad(r, "out of memory")
			   : load_lines(r, path, f, seen);
	free(seen);
	fclose(f);
	return res;
}

struct flag {
	const struct conf_option *option; /* NULL: -config */
	const char *value;
};

/* Reads the flag at argv[*i] and moves *i past it and its value. */
static enum conf_result
read_flag(struct conf_reader *r, int argc, char **argv, int *i, struct flag *f)
{
	const char *arg = argv[*i], *name = arg, *equals;
	size_t n;

	if (arg[0] != '-' || arg[1] == '\0')
		return bad(r,
		    "unexpected argument \"%.64s\"; flags begin with '-', a "
		    "switch is turned off by -name=false",
		    arg);
	name += arg[1] == '-' ? 2 : 1;
	equals = strchr(name, '=');
	n = equals == NULL ? strlen(name) : (size_t)(equals - name);
	if (equals == NULL &&
	    (strcmp(name, "h") == 0 || strcmp(name, "help") == 0))
		return CONF_HELP;
	f->option = find(r->table, name, n);
	if (f->option == NULL && (n != 6 || strncmp(name, "config", 6) != 0))
		return bad(r, "unknown flag \"%.64s\"; -h lists them", arg);
	*i += 1;
	f->value = equals == NULL ? NULL : equals + 1;
	if (f->value == NULL && f->option != NULL &&
	    f->option->type == CONF_BOOL)
		f->value = "true";
	if (f->value == NULL && *i < argc)
		f->value = argv[(*i)++];
	if (f->value == NULL)
		return bad(r, "flag -%.*s needs a value", (int)n, name);
	return CONF_OK;
}

/* With file, only looks for -config; without, takes all other flags. */
static enum conf_result
load_flags(struct conf_reader *r, int argc, char **argv, size_t options,
    const char **file)
{
	bool *seen = calloc(options + 1, sizeof(*seen));
	enum conf_result res = CONF_OK;
	struct flag f = {0};
	size_t at;

	if (seen == NULL)
		return bad(r, "out of memory");
	for (int i = 1; i < argc && res == CONF_OK;) {
		if (strcmp(argv[i], "--") == 0 && i + 1 == argc)
			break;
		if ((res = read_flag(r, argc, argv, &i, &f)) != CONF_OK)
			break;
		if (f.option == NULL) {
			if (file != NULL)
				*file = f.value;
			continue;
		}
		if (file != NULL)
			continue;
		at = (size_t)(f.option - r->table);
		res = assign(r, f.option, f.value, "flag -", !seen[at]);
		seen[at] = true;
	}
	free(seen);
	return res;
}

enum conf_result
conf_load(const struct conf_option *table, void *conf, int argc, char **argv,
    char error[static CONF_ERROR_MAX])
{
	struct conf_reader r = {table, conf, error, argv[0]};
	const char *file = NULL;
	enum conf_result res;
	size_t options = 0;

	error[0] = '\0';
	while (table[options].name != NULL)
		options++;
	if ((res = load_flags(&r, argc, argv, options, &file)) != CONF_OK ||
	    (res = load_defaults(&r)) != CONF_OK)
		return res;
	if (file != NULL && (res = load_file(&r, file, options)) != CONF_OK)
		return res;
	return load_flags(&r, argc, argv, options, NULL);
}

void
conf_clear(const struct conf_option *table, void *conf)
{
	char *base = conf, **text;

	for (; table->name != NULL; table++) {
		if (table->type == CONF_STRINGS)
			clear_strings((void *)(base + table->offset));
		if (table->type != CONF_STRING)
			continue;
		text = (void *)(base + table->offset);
		free(*text);
		*text = NULL;
	}
}

/* ---- output ---- */

static void
print_choice(const char *choices, int n, FILE *out)
{
	for (; n > 0; n--)
		choices = strchr(choices, '|') + 1;
	fprintf(out, "%.*s\n", (int)strcspn(choices, "|"), choices);
}

static void
print_text(const char *s, FILE *out)
{
	if (s == NULL)
		s = "";
	if (*s != '\0' && strpbrk(s, " \t\r#\"") == NULL) {
		fprintf(out, "%s\n", s);
		return;
	}
	fputc('"', out);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		fputc(*s, out);
	}
	fputs("\"\n", out);
}

/* The shortest text that reads back as the same number. */
static void
print_real(double v, FILE *out)
{
	char text[64];

	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	fprintf(out, "%s\n", text);
}

static void
print_option(const struct conf_option *o, const void *field, FILE *out)
{
	const struct conf_strings *list = field;
	char text[32];

	if (o->type == CONF_STRINGS) {
		for (size_t i = 0; i < list->n; i++) {
			fprintf(out, "%s ", o->name);
			print_text(list->v[i], out);
		}
		return;
	}
	fprintf(out, "%s ", o->name);
	switch (o->type) {
	case CONF_BOOL:
		fprintf(out, "%s\n", *(const bool *)field ? "true" : "false");
		break;
	case CONF_INT:
		fprintf(out, "%lld\n", (long long)*(const int64_t *)field);
		break;
	case CONF_REAL:
		print_real(*(const double *)field, out);
		break;
	case CONF_DURATION:
		print_duration(text, sizeof(text), *(const int64_t *)field);
		fprintf(out, "%s\n", text);
		break;
	case CONF_CHOICE:
		print_choice(o->choices, *(const int *)field, out);
		break;
	case CONF_STRING:
	case CONF_STRINGS:
		print_text(*(char *const *)field, out);
		break;
	}
}

void
conf_print(const struct conf_option *table, const void *conf, FILE *out)
{
	const char *base = conf;

	for (; table->name != NULL; table++)
		print_option(table, base + table->offset, out);
}

void
conf_usage(const struct conf_option *table, const char *program, FILE *out)
{
	const char *colon;
	int arg;

	fprintf(out, "usage: %s [-config FILE] [flags]\n", program);
	for (; table->name != NULL; table++) {
		/* "ARG: text", or only text for a switch. */
		colon = strstr(table->help, ": ");
		arg = colon == NULL ? 0 : (int)(colon - table->help);
		if (table->type == CONF_BOOL)
			arg = 0;
		fprintf(out, "  -%s%s%.*s\n\t%s", table->name,
		    arg > 0 ? " " : "", arg, table->help,
		    arg > 0 ? colon + 2 : table->help);
		if (table->type == CONF_CHOICE)
			fprintf(out, " (%s)", table->choices);
		if (table->def != NULL && table->def[0] != '\0')
			fprintf(out, " (default %s)", table->def);
		fputc('\n', out);
	}
}

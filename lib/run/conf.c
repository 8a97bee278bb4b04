/*
 * conf: reads options from defaults, a file and flags through one table.
 * Owns the strings it puts into a configuration. Opens only -config FILE.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "run/conf_value.h"

struct conf_reader {
	const struct conf_option *table;
	char *conf; /* the program's struct */
	char *error;
};

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
	char right[160];

	if (conf_value_is_list(o) && first_in_source)
		conf_value_clear(o, field);
	if (conf_value_set(o, field, value))
		return CONF_OK;
	conf_value_right(o, right, sizeof(right));
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
	if (!first && !conf_value_is_list(o))
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
	struct conf_reader r = {table, conf, error};
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
	char *base = conf;

	for (; table->name != NULL; table++)
		conf_value_clear(table, base + table->offset);
}

/* ---- output ---- */

void
conf_print(const struct conf_option *table, const void *conf, FILE *out)
{
	const char *base = conf;

	for (; table->name != NULL; table++)
		conf_value_print(table, base + table->offset, out);
}

/* As text of the file's form, which says all of a value; NULL when memory is
 * short. */
static char *
as_text(const struct conf_option *o, const void *conf)
{
	const char *base = conf;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	conf_value_print(o, base + o->offset, f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

bool
conf_same(const struct conf_option *o, const void *a, const void *b)
{
	char *x = as_text(o, a), *y = as_text(o, b);
	bool same = x != NULL && y != NULL && strcmp(x, y) == 0;

	free(x);
	free(y);
	return same;
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

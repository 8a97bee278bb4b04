/*
 * conf_value: the types of options: text to value and back, each with what
 * would be right.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/addr.h"
#include "run/conf_value.h"

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

/* The port that is taken if none is given, as addr_parse wants it. */
static int
default_port(const struct conf_option *o)
{
	return o->min == 0 ? -1 : (int)o->min;
}

static bool
set_addr(const struct conf_option *o, struct addr *a, const char *s)
{
	if (*s != '\0')
		return addr_parse(a, s, default_port(o));
	memset(a, 0, sizeof(*a));
	return o->max == 1;
}

static bool
add_addr(const struct conf_option *o, struct conf_addrs *list, const char *s)
{
	struct addr *v, a;

	if (!addr_parse(&a, s, default_port(o)) ||
	    (v = realloc(list->v, (list->n + 1) * sizeof(*v))) == NULL)
		return false;
	list->v = v;
	list->v[list->n++] = a;
	return true;
}

bool
conf_value_is_list(const struct conf_option *o)
{
	return o->type == CONF_STRINGS || o->type == CONF_ADDRS;
}

void
conf_value_clear(const struct conf_option *o, void *field)
{
	struct conf_strings *strings = field;
	struct conf_addrs *addrs = field;
	char **text = field;

	if (o->type == CONF_STRING) {
		free(*text);
		*text = NULL;
	} else if (o->type == CONF_STRINGS) {
		while (strings->n > 0)
			free(strings->v[--strings->n]);
		free(strings->v);
		strings->v = NULL;
	} else if (o->type == CONF_ADDRS) {
		free(addrs->v);
		*addrs = (struct conf_addrs){0};
	}
}

bool
conf_value_set(const struct conf_option *o, void *field, const char *s)
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
	case CONF_ADDR:
		return set_addr(o, field, s);
	case CONF_ADDRS:
		return add_addr(o, field, s);
	}
	return false;
}

/* The argument as the help names it, with a port that is likely here. */
static void
right_addr(const struct conf_option *o, char *out, size_t cap)
{
	unsigned port = o->min == 0 ? 8080 : (unsigned)o->min;
	int arg = (int)strcspn(o->help, " "); /* and its colon */
	struct addr a;

	if (o->def != NULL && addr_parse(&a, o->def, -1) && addr_port(&a) != 0)
		port = addr_port(&a);
	snprintf(out, cap,
	    "%.*s, such as :%u, 192.0.2.1:%u or [2001:db8::1]:%u%s", arg - 1,
	    o->help, port, port, port, o->max == 1 ? "; \"\" is none" : "");
}

void
conf_value_right(const struct conf_option *o, char *out, size_t cap)
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
	case CONF_ADDR:
	case CONF_ADDRS:
		right_addr(o, out, cap);
		break;
	}
}

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
print_addr(const struct addr *a, FILE *out)
{
	char text[ADDR_TEXT_MAX];

	if (a->len == 0)
		fputs("\"\"\n", out);
	else if (a->u.sa.sa_family == AF_INET6 && addr_is_any(a))
		fprintf(out, ":%u\n", addr_port(a));
	else
		fprintf(out, "%s\n", addr_text(a, text));
}

static void
print_list(const struct conf_option *o, const void *field, FILE *out)
{
	const struct conf_strings *strings = field;
	const struct conf_addrs *addrs = field;
	size_t n = o->type == CONF_STRINGS ? strings->n : addrs->n;

	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s ", o->name);
		if (o->type == CONF_STRINGS)
			print_text(strings->v[i], out);
		else
			print_addr(&addrs->v[i], out);
	}
}

void
conf_value_print(const struct conf_option *o, const void *field, FILE *out)
{
	char text[32];

	if (!conf_value_is_list(o))
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
		print_text(*(char *const *)field, out);
		break;
	case CONF_ADDR:
		print_addr(field, out);
		break;
	case CONF_STRINGS:
	case CONF_ADDRS:
		print_list(o, field, out);
		break;
	}
}

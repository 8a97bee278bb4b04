/* help: how to use it, as the tables say. */
#include <stdlib.h>
#include <string.h>

#include "coordctl/coordctl.h"

const char *
noun_next(const struct command **at, char noun[static 32])
{
	const struct command *c = *at == NULL ? commands : *at;
	size_t n;

	if (*at != NULL) {
		/* Commands of one noun stand together. */
		n = strcspn(c->words, " ");
		while (c->words != NULL && strncmp(c->words, noun, n) == 0 &&
		    (c->words[n] == ' ' || c->words[n] == '\0'))
			c++;
	}
	*at = c;
	if (c->words == NULL)
		return NULL;
	snprintf(noun, 32, "%.*s", (int)strcspn(c->words, " "), c->words);
	return noun;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, in which two neighbours that changed places count
 * once. */
static size_t
distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), d[33][33];

	if (na > 32 || nb > 32)
		return SIZE_MAX;
	for (size_t i = 0; i <= na; i++)
		for (size_t k = 0; k <= nb; k++) {
			if (i == 0 || k == 0) {
				d[i][k] = i + k;
				continue;
			}
			d[i][k] = least(least(d[i - 1][k], d[i][k - 1]) + 1,
			    d[i - 1][k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	return d[na][nb];
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	size_t d = distance(n->word, candidate);
	size_t length = strlen(n->word);

	/* The beginning of a word is near to it, too. */
	if (length >= 2 && strncmp(n->word, candidate, length) == 0)
		d = 1;
	if (d >= n->distance || d > 1 + length / 4)
		return;
	n->distance = d;
	snprintf(n->best, sizeof(n->best), "%s", candidate);
}

static void
usage_flag(struct text *out, const struct flag *f, bool needed)
{
	text_fmt(out, needed ? " --%s" : " [--%s", f->name);
	if (f->value != NULL)
		text_fmt(out, " %s", f->value);
	if (!needed)
		text_char(out, ']');
}

void
help_usage(struct text *out, const struct command *c)
{
	text_str(out, c->words);
	if (*c->args != '\0')
		text_fmt(out, " %s", c->args);
	for (const struct flag *f = flags; f->name != NULL; f++)
		if (f->help != NULL && (c->need >> f->id & 1) != 0)
			usage_flag(out, f, true);
		else if (f->help != NULL && (c->may >> f->id & 1) != 0)
			usage_flag(out, f, false);
	if (out->bad)
		out_of_memory();
}

static void
put_flags(FILE *out, uint64_t which)
{
	char name[64];

	for (const struct flag *f = flags; f->name != NULL; f++) {
		if (f->help == NULL || (which >> f->id & 1) == 0)
			continue;
		snprintf(name, sizeof(name), "%s%c%s--%s%s%s",
		    f->letter != 0 ? "-" : " ",
		    f->letter != 0 ? f->letter : ' ',
		    f->letter != 0 ? ", " : "  ", f->name,
		    f->value != NULL ? " " : "",
		    f->value != NULL ? f->value : "");
		fprintf(out, "  %-25s %s\n", name, f->help);
	}
}

static void
put_commands(FILE *out, const char *noun)
{
	size_t n = strlen(noun);

	for (const struct command *c = commands; c->words != NULL; c++) {
		struct text line = TEXT_EMPTY;

		if (n > 0 &&
		    (strncmp(c->words, noun, n) != 0 || c->words[n] != ' '))
			continue;
		text_fmt(&line, "%s%s%s", c->words, *c->args != '\0' ? " " : "",
		    c->args);
		if (line.bad)
			out_of_memory();
		fprintf(out, "  %-26s %s\n", line.p, c->help);
		text_clear(&line);
	}
}

void
help_all(FILE *out)
{
	fputs("usage: coordctl [FLAGS] COMMAND\n\n", out);
	put_commands(out, "");
	fputs("\nA NODE is its ID, name or address, a USER its ID or name.\n"
	      "coordctl COMMAND --help says more. Flags of all commands:\n\n",
	    out);
	put_flags(out, FLAGS_GLOBAL);
}

void
help_noun(FILE *out, const char *noun)
{
	fprintf(out, "usage: coordctl %s COMMAND\n\n", noun);
	put_commands(out, noun);
}

void
help_command(FILE *out, const struct command *c)
{
	struct text usage = TEXT_EMPTY;

	help_usage(&usage, c);
	fprintf(out, "usage: coordctl %s\n\n%s.\n\n", usage.p, c->help);
	text_clear(&usage);
	put_flags(out, c->need | c->may | FLAGS_GLOBAL);
}

/* names: see names.h. PURE. */
#include <stdio.h>
#include <string.h>

#include "coordd/names.h"

/* More nodes than this do not share a hostname. */
#define SUFFIX_MAX 100000

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void
names_sanitise(const char *hostname, char label[static LABEL_MAX + 1])
{
	size_t n = 0;

	for (const char *p = hostname; *p != '\0' && *p != '.' && n < LABEL_MAX;
	     p++) {
		char c = lower(*p);

		if (is_alnum(c))
			label[n++] = c;
		else if (n > 0 && label[n - 1] != '-')
			label[n++] = '-';
	}
	while (n > 0 && label[n - 1] == '-')
		n--;
	label[n] = '\0';
	if (n == 0)
		memcpy(label, "node", sizeof("node"));
}

static bool
is_free(const struct model *m, const char *label, const struct node *except)
{
	const struct node *n = model_node_labelled(m, label);

	return n == NULL || n == except;
}

bool
names_make_label(const struct model *m, const char *hostname,
    const struct node *except, char label[static LABEL_MAX + 1])
{
	char stem[LABEL_MAX + 1];

	names_sanitise(hostname, stem);
	memcpy(label, stem, sizeof(stem));
	for (unsigned i = 1; i < SUFFIX_MAX; i++) {
		char suffix[12];
		int n;

		if (is_free(m, label, except))
			return true;
		n = snprintf(suffix, sizeof(suffix), "-%u", i);
		snprintf(label, LABEL_MAX + 1, "%.*s%s", LABEL_MAX - n, stem,
		    suffix);
	}
	return false;
}

bool
names_label_ok(const char *label)
{
	size_t n = strlen(label);

	if (n == 0 || n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(label[i]) && label[i] != '-')
			return false;
	return true;
}

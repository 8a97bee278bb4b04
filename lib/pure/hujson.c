/* hujson: see hujson.h. */
#include <string.h>
#include <strings.h>

#include "pure/hujson.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Like strchr, but a zero byte is none of them. */
static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* The offset behind the string that begins at i; n + 1 if it has no end. */
static size_t
string_end(const char *text, size_t n, size_t i)
{
	for (i++; i < n && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return i < n ? i + 1 : n + 1;
}

/* The same for a comment. That of a line ends before the line does. */
static size_t
comment_end(const char *text, size_t n, size_t i)
{
	if (text[i + 1] == '/') {
		while (i < n && text[i] != '\n')
			i++;
		return i;
	}
	for (i += 2; i + 1 < n; i++)
		if (text[i] == '*' && text[i + 1] == '/')
			return i + 2;
	return n + 1;
}

static void
overwrite(char *text, size_t from, size_t to)
{
	for (; from < to; from++)
		if (text[from] != '\n' && text[from] != '\r')
			text[from] = ' ';
}

static bool
is_comment(const char *text, size_t n, size_t i)
{
	return text[i] == '/' && i + 1 < n &&
	    (text[i + 1] == '/' || text[i + 1] == '*');
}

/* A comma that `closer` makes a trailing one, if a value stands before it. */
struct comma {
	size_t at;
	bool pending, after_value;
};

static void
note_byte(struct comma *c, char *text, size_t i)
{
	char byte = text[i];

	if ((byte == ']' || byte == '}') && c->pending)
		text[c->at] = ' ';
	c->pending = byte == ',' && c->after_value;
	c->at = i;
	c->after_value = !is_one_of(byte, ",:[{");
}

bool
hujson_strip(char *text, size_t n, struct hujson_error *e)
{
	struct comma comma = {0};
	size_t i = 0;

	while (i < n) {
		size_t end = i + 1;

		if (is_comment(text, n, i)) {
			end = comment_end(text, n, i);
			if (end <= n)
				overwrite(text, i, end);
		} else if (text[i] == '"') {
			end = string_end(text, n, i);
			note_byte(&comma, text, i);
		} else if (!is_blank(text[i])) {
			note_byte(&comma, text, i);
		}
		if (end > n) {
			e->what = text[i] == '"' ? "a string without an end"
						 : "a comment without an end";
			e->at = hujson_place_of(text, n, i);
			return false;
		}
		i = end;
	}
	return true;
}

struct hujson_place
hujson_place_of(const char *text, size_t n, size_t offset)
{
	struct hujson_place p = {1, 1};

	for (size_t i = 0; i < n && i < offset; i++) {
		p.column++;
		if (text[i] == '\n') {
			p.line++;
			p.column = 1;
		}
	}
	return p;
}

static size_t
skip_blanks(const char *text, size_t n, size_t i)
{
	while (i < n && is_blank(text[i]))
		i++;
	return i;
}

/* The offset behind the value that begins at i, by counting brackets. */
static size_t
value_end(const char *text, size_t n, size_t i)
{
	size_t depth = 0;

	while (i < n) {
		char c = text[i];

		if (depth == 0 && (is_one_of(c, ",]}") || is_blank(c)))
			break;
		if (c == '"') {
			i = string_end(text, n, i);
			continue;
		}
		if (c == '[' || c == '{')
			depth++;
		else if (c == ']' || c == '}')
			depth--;
		i++;
	}
	return i < n ? i : n;
}

/* Moves *i from a container's first byte, or the end of a value in it, to
 * the next key or element. False if there is none. */
static bool
next_item(const char *text, size_t n, size_t *i)
{
	*i = skip_blanks(text, n, *i);
	if (*i >= n || !is_one_of(text[*i], ",[{"))
		return false;
	*i = skip_blanks(text, n, *i + 1);
	return *i < n && text[*i] != ']' && text[*i] != '}';
}

/* Moves *i from a key to its value. */
static bool
skip_key(const char *text, size_t n, size_t *i)
{
	if (text[*i] != '"')
		return false;
	*i = skip_blanks(text, n, string_end(text, n, *i));
	if (*i >= n || text[*i] != ':')
		return false;
	*i = skip_blanks(text, n, *i + 1);
	return *i < n;
}

/* True if the key that begins at i is this one, but for its case if so
 * wished. */
static bool
key_is(const char *text, size_t n, size_t i, const char *key, bool any_case)
{
	size_t length = strlen(key);

	if (n - i < length + 2 || text[i + 1 + length] != '"')
		return false;
	return any_case ? strncasecmp(text + i + 1, key, length) == 0
			: memcmp(text + i + 1, key, length) == 0;
}

/* Finds a step of a path in the value at *i. */
static bool
find_step(const char *text, size_t n, const struct hujson_path *step,
    bool any_case, bool of_key, size_t *i)
{
	size_t at = *i;

	if (at >= n || text[at] != (step->key == NULL ? '[' : '{'))
		return false;
	for (size_t count = 0; next_item(text, n, &at); count++) {
		size_t key = at;

		if (step->key != NULL && !skip_key(text, n, &at))
			return false;
		if (step->key == NULL
			? count == step->i
			: key_is(text, n, key, step->key, any_case)) {
			*i = of_key ? key : at;
			return true;
		}
		at = value_end(text, n, at);
	}
	return false;
}

/* As deep as policies and the like are. */
#define PATH_MAX_STEPS 16

bool
hujson_find(const char *text, size_t n, const struct hujson_path *path,
    bool of_key, size_t *offset)
{
	const struct hujson_path *steps[PATH_MAX_STEPS];
	size_t depth = 0, i = skip_blanks(text, n, 0);

	for (; path != NULL && depth < PATH_MAX_STEPS; path = path->up)
		steps[depth++] = path;
	if (path != NULL)
		return false;
	while (depth-- > 0)
		if (!find_step(text, n, steps[depth], false,
			of_key && depth == 0, &i) &&
		    !find_step(
			text, n, steps[depth], true, of_key && depth == 0, &i))
			return false;
	*offset = i;
	return i < n;
}

bool
hujson_element(
    const char *text, size_t n, const char *key, size_t i, size_t *offset)
{
	struct hujson_path of = {.key = key};
	struct hujson_path at = {.up = &of, .i = i};

	return hujson_find(text, n, &at, false, offset);
}

/* show: text for people. Whatever is not the program's own words is escaped
 * here before it reaches a terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "coordctl/coordctl.h"

/* An error is one line that a person reads. */
#define ERROR_MAX 2000

void
out_of_memory(void)
{
	fputs("coordctl: out of memory\n", stderr);
	exit(STATUS_REFUSED);
}

/* True for characters that would move text about, or hide in it: those that
 * wcwidth knows to be none, and the format characters of Unicode. */
static bool
is_unsafe(wchar_t c, int width)
{
	return width < 0 || c == 0xAD || c == 0x61C || c == 0x180E ||
	    (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
	    (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
	    (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

size_t
text_safe(struct text *out, const char *s)
{
	mbstate_t state = {0};
	size_t left = strlen(s), width = 0, n;
	char escape[16];
	wchar_t c;

	for (; left > 0; s += n, left -= n) {
		n = mbrtowc(&c, s, left, &state);
		if (n == (size_t)-1 || n == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			n = 1;
			snprintf(escape, sizeof(escape), "\\x%02x",
			    (unsigned char)*s);
		} else if (!is_unsafe(c, wcwidth(c))) {
			width += (size_t)wcwidth(c);
			text_add(out, s, n);
			continue;
		} else
			snprintf(escape, sizeof(escape),
			    c < 0x80	      ? "\\x%02x"
				: c < 0x10000 ? "\\u%04x"
					      : "\\U%08x",
			    (unsigned)c);
		width += strlen(escape);
		text_str(out, escape);
	}
	return width;
}

void
put_safe(FILE *out, const char *s)
{
	struct text t = TEXT_EMPTY;

	text_safe(&t, s);
	if (t.bad)
		out_of_memory();
	if (t.len > 0)
		fwrite(t.p, 1, t.len, out);
	text_clear(&t);
}

void
put_lines(const char *s)
{
	struct text line = TEXT_EMPTY;
	size_t n;

	for (; *s != '\0'; s += n) {
		n = strcspn(s, "\n\t");
		text_reset(&line);
		text_add(&line, s, n);
		if (line.bad)
			out_of_memory();
		if (n > 0)
			put_safe(stdout, line.p);
		if (s[n] != '\0')
			putchar(s[n++]);
		else
			putchar('\n');
	}
	text_clear(&line);
}

static void put_error(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0)));

static void
put_error(const char *fmt, va_list ap)
{
	char line[ERROR_MAX];

	vsnprintf(line, sizeof(line), fmt, ap);
	fputs("coordctl: ", stderr);
	put_safe(stderr, line);
	fputc('\n', stderr);
}

int
fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_error(fmt, ap);
	va_end(ap);
	return STATUS_REFUSED;
}

int
fail_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_error(fmt, ap);
	va_end(ap);
	return STATUS_USAGE;
}

void
say(const char *fmt, ...)
{
	char *line;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) == -1)
		out_of_memory();
	va_end(ap);
	put_safe(stdout, line);
	putchar('\n');
	free(line);
}

static void
value_add(struct text *out, const json_t *v)
{
	const json_t *element;
	size_t i;

	if (json_is_string(v))
		text_str(out, json_string_value(v));
	else if (json_is_integer(v))
		text_fmt(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		text_str(out, json_is_true(v) ? "true" : "false");
	else if (json_is_array(v) && json_array_size(v) > 0)
		json_array_foreach(v, i, element)
		{
			if (i > 0)
				text_str(out, ", ");
			/* Lists in lists are none of the API's. */
			if (json_is_array(element))
				text_char(out, '?');
			else
				value_add(out, element);
		}
	else if (json_is_object(v) || json_is_real(v))
		text_char(out, '?');
	else
		text_char(out, '-');
}

char *
value_text(const json_t *v)
{
	struct text t = TEXT_EMPTY;
	char *s;

	value_add(&t, v);
	if (t.len == 0)
		text_char(&t, '-');
	if ((s = text_take(&t)) == NULL)
		out_of_memory();
	return s;
}

const char *
member(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s == NULL ? "" : s;
}

bool
is_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

bool
put_if_json(const struct ctl *ctl, const json_t *v)
{
	size_t layout =
	    ctl->form == FORM_JSON_LINE ? JSON_COMPACT : JSON_INDENT(2);
	char *s;

	if (ctl->form == FORM_PEOPLE)
		return false;
	/* ASCII alone: safe on a terminal, the same to a program. */
	s = json_dumps(v, layout | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	if (s == NULL)
		out_of_memory();
	puts(s);
	free(s);
	return true;
}

int
put_done(const struct ctl *ctl, int status, json_t *v, const char *kind,
    const char *did)
{
	const json_t *name = json_object_get(v, "name");
	char *title, *id;

	if (status == STATUS_DONE && !put_if_json(ctl, v)) {
		title = value_text(
		    name != NULL ? name : json_object_get(v, "prefix"));
		id = value_text(json_object_get(v, "id"));
		say("%s %s (ID %s) %s.", kind, title, id, did);
		free(title);
		free(id);
	}
	json_decref(v);
	return status;
}

int
put_gone(const struct ctl *ctl, int status, const char *kind, const char *name,
    const char *did)
{
	json_t *v;

	if (status != STATUS_DONE)
		return status;
	if (ctl->form == FORM_PEOPLE) {
		say("%s %s %s.", kind, name, did);
		return STATUS_DONE;
	}
	v = json_pack("{s:s}", did, name);
	put_if_json(ctl, v);
	json_decref(v);
	return STATUS_DONE;
}

/* hujson: what is blanked, where things are, and what has no end. */
#include <stdlib.h>

#include "pure/hujson.h"
#include "tests/tap.h"

static void
test_strip(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"", ""},
	    {"{}", "{}"},
	    {"{}// a", "{}    "},
	    {"{}// a\n", "{}    \n"},
	    {"{}// a\r\n{", "{}    \r\n{"},
	    {"{/* a */}", "{       }"},
	    {"{/* a\nb */}", "{    \n    }"},
	    {"{/***/}", "{     }"},
	    {"/**/ /*/ */", "           "},
	    {"\"// no\"", "\"// no\""},
	    {"\"\\\"// no\"", "\"\\\"// no\""},
	    {"\"\\\\\"// a", "\"\\\\\"    "},
	    {"[1,]", "[1 ]"},
	    {"[1, \n// a\n]", "[1  \n    \n]"},
	    {"[1,/* a */]", "[1        ]"},
	    {"{\"a\":1,}", "{\"a\":1 }"},
	    {"{\"a\":[[1,],],}", "{\"a\":[[1 ] ] }"},
	    {"[1,2]", "[1,2]"},
	    {"[1,,]", "[1,,]"},
	    {"[,]", "[,]"},
	    {"{,}", "{,}"},
	    {"{\"a\":,}", "{\"a\":,}"},
	    {"[\",]\",]", "[\",]\" ]"},
	    {"[1/,]", "[1/ ]"},
	    {"/", "/"},
	    {"1,", "1,"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hujson_error e;
		char text[60], what[20];

		snprintf(text, sizeof(text), "%s", rows[i].text);
		snprintf(what, sizeof(what), "row %zu", i);
		eq_str(hujson_strip(text, strlen(text), &e) ? text : NULL,
		    rows[i].want, what);
	}
}

static void
test_no_end(void)
{
	static const struct {
		const char *text, *what;
		size_t line, column;
	} rows[] = {
	    {"{\n  \"a: 1", "a string without an end", 2, 3},
	    {"\"\\\"", "a string without an end", 1, 1},
	    {"\"\\", "a string without an end", 1, 1},
	    {"\"", "a string without an end", 1, 1},
	    {"\n\n /* a\n", "a comment without an end", 3, 2},
	    {"/*", "a comment without an end", 1, 1},
	    {"/*/", "a comment without an end", 1, 1},
	    {"/* *", "a comment without an end", 1, 1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hujson_error e = {{0, 0}, NULL};
		char text[60];

		snprintf(text, sizeof(text), "%s", rows[i].text);
		ok(!hujson_strip(text, strlen(text), &e), "no end");
		eq_str(e.what, rows[i].what, "... what");
		eq_int(e.at.line, rows[i].line, "... line");
		eq_int(e.at.column, rows[i].column, "... column");
	}
}

static void
test_element(void)
{
	static const char text[] = "{ \"a\": [ {\"acls\": [9]}, 2 ],\n"
				   "  \"b]\": \"acls\", \"c\": -1.5e3 ,\n"
				   "  \"acls\": [\"x,]\", [1, [2]] , {\"k\":3},"
				   "true],\n"
				   "  \"e\": []}";
	static const char *const found[] = {
	    "\"x,]\"", "[1, [2]]", "{\"k\":3}", "true"};
	size_t n = strlen(text), offset;

	for (size_t i = 0; i < 4; i++) {
		bool good = hujson_element(text, n, "acls", i, &offset);

		ok(good &&
			strncmp(text + offset, found[i], strlen(found[i])) == 0,
		    found[i]);
		eq_int(good ? hujson_place_of(text, n, offset).line : 0, 3,
		    "... its line");
	}
	ok(!hujson_element(text, n, "acls", 4, &offset), "one too many");
	ok(!hujson_element(text, n, "e", 0, &offset), "an empty array");
	ok(!hujson_element(text, n, "c", 0, &offset), "no array");
	ok(!hujson_element(text, n, "acl", 0, &offset), "no such key");
	ok(!hujson_element(text, n, "k", 0, &offset), "not at the top");
	ok(hujson_element("{\"k\":[1\0,2]}", 13, "k", 1, &offset) &&
		offset == 9,
	    "a zero byte, which jansson lets stand behind a number");
	ok(!hujson_element("", 0, "k", 0, &offset), "no text");
	ok(!hujson_element("[1]", 3, "k", 0, &offset), "no object");
}

static void
test_find(void)
{
	static const char text[] = "{\"a\": {\"b\": [0, {\"c\" : \"d\"}]}}";
	struct hujson_path a = {.key = "a"}, b = {&a, "b", 0};
	struct hujson_path second = {&b, NULL, 1}, c = {&second, "c", 0};
	struct hujson_path wrong = {&second, "b", 0}, deep[20];
	struct hujson_path other = {.key = "key"};
	size_t n = strlen(text), offset;

	ok(hujson_find(text, n, &c, false, &offset), "a value");
	eq_str(text + offset, "\"d\"}]}}", "... is where it is");
	ok(hujson_find(text, n, &c, true, &offset), "a key");
	eq_str(text + offset, "\"c\" : \"d\"}]}}", "... is where it is");
	ok(hujson_find(text, n, &second, true, &offset), "an element");
	eq_str(text + offset, "{\"c\" : \"d\"}]}}", "... has no key");
	ok(hujson_find(text, n, NULL, false, &offset) && offset == 0,
	    "no step: the document");
	ok(!hujson_find(text, n, &wrong, false, &offset), "no such key");
	ok(hujson_find("{\"KEY\":1,\"Key\":2}", 17, &other, false, &offset) &&
		offset == 7,
	    "a key in another case");
	other.key = "Key";
	ok(hujson_find("{\"KEY\":1,\"Key\":2}", 17, &other, false, &offset) &&
		offset == 15,
	    "... unless it is there as it is");
	for (size_t i = 0; i < 20; i++)
		deep[i] = (struct hujson_path){i ? &deep[i - 1] : NULL, "a", 0};
	ok(!hujson_find(text, n, &deep[19], false, &offset),
	    "deeper than any path");
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = malloc(cut);

		if (copy == NULL && cut > 0)
			abort();
		memcpy(copy, text, cut);
		/* The sanitizer sees a step beyond the cut. */
		if (hujson_find(copy, cut, &c, false, &offset))
			ok(offset < cut, "a cut text is not left");
		free(copy);
	}
}

int
main(void)
{
	struct hujson_place p = hujson_place_of("a\nbc\n\nd", 7, 3);

	eq_int(p.line, 2, "line of an offset");
	eq_int(p.column, 2, "column of an offset");
	p = hujson_place_of("a\nb", 3, 99);
	eq_int(p.line * 10 + p.column, 22, "an offset behind the end");
	test_strip();
	test_no_end();
	test_element();
	test_find();
	return tap_done();
}

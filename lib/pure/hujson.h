/*
 * hujson: JSON with // and slash-star comments and with trailing commas
 * (Tailscale's policy files), made plain JSON without moving a byte, so that
 * a JSON parser's line and column are those of the file.
 */
#ifndef PURE_HUJSON_H
#define PURE_HUJSON_H

#include <stdbool.h>
#include <stddef.h>

/* A place in the text: line and column count from 1, column in bytes. */
struct hujson_place {
	size_t line, column;
};

struct hujson_error {
	struct hujson_place at;
	const char *what; /* static */
};

/*
 * Overwrites comments and trailing commas with blanks (line ends stay). False
 * if a comment or string has no end, with where in e. Everything else that
 * is no JSON is left for the JSON parser to find.
 */
bool hujson_strip(char *text, size_t n, struct hujson_error *e);

struct hujson_place hujson_place_of(const char *text, size_t n, size_t offset);

/* One step into a document: the value of a key or, if key is NULL, the i-th
 * element of an array. A path is its last step; the first has no `up`. */
struct hujson_path {
	const struct hujson_path *up;
	const char *key;
	size_t i;
};

/*
 * Finds a value in stripped text that is valid JSON (in other text it may find
 * nonsense, but does not leave it). Sets *offset to its first byte or, with
 * of_key, to that of its key. A key that is there in another case is found, too.
 * False if there is none, or if the key is written with escapes.
 */
bool hujson_find(const char *text, size_t n, const struct hujson_path *path,
    bool of_key, size_t *offset);

/*
 * Finds the i-th element of the array that is the value of the top-level key,
 * in stripped text that is valid JSON. Sets *offset to its first byte. False
 * if there is none.
 */
bool hujson_element(
    const char *text, size_t n, const char *key, size_t i, size_t *offset);

#endif

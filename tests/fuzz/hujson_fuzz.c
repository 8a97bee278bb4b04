/*
 * hujson_fuzz: any bytes as huJSON. Nothing but blanks is written, and no line
 * moves; of what is JSON then, each element is found where jansson sees it.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pure/hujson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_stripped(const char *before, const char *after, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (before[i] == after[i])
			continue;
		if (after[i] != ' ' || before[i] == '\n' || before[i] == '\r')
			abort();
	}
}

static void
check_array(const char *text, size_t n, const char *key, const json_t *array)
{
	size_t i, offset;
	json_t *element;

	json_array_foreach(array, i, element)
	{
		json_t *found;

		if (!hujson_element(text, n, key, i, &offset) || offset >= n)
			abort();
		found = json_loadb(text + offset, n - offset,
		    JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY |
			JSON_REJECT_DUPLICATES,
		    NULL);
		if (found == NULL || !json_equal(found, element))
			abort();
		json_decref(found);
	}
	if (hujson_element(text, n, key, i, &offset))
		abort();
}

/* Keys that are written with escapes are not found. */
static void
check_elements(const char *text, size_t n)
{
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	json_t *value;
	const char *key;

	if (memchr(text, '\\', n) == NULL)
		json_object_foreach(root, key, value) if (json_is_array(value))
		    check_array(text, n, key, value);
	json_decref(root);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hujson_error e = {{0, 0}, NULL};
	char *text = malloc(size);
	size_t offset;

	if (size == 0) {
		free(text);
		return 0;
	}
	memcpy(text, data, size);
	if (hujson_strip(text, size, &e)) {
		check_stripped((const char *)data, text, size);
		check_elements(text, size);
	} else if (e.what == NULL || e.at.line == 0 || e.at.column == 0) {
		abort();
	}
	if (hujson_element(
		(const char *)data, size, "acls", size % 4, &offset) &&
	    offset >= size)
		abort();
	free(text);
	return 0;
}

/* keyfile: {"PrivateKey": "privkey:<64 hex>"}, as derper writes it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <sodium.h>

#include "relayd/relayd.h"
#include "run/file.h"

#define KEYFILE_MAX 65536

static int
fail(char *error, size_t cap, const char *path, const char *what)
{
	snprintf(error, cap, "key file %s: %s", path, what);
	return -1;
}

static bool
keyfile_parse(struct key *priv, const char *text, size_t n)
{
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *name;
	const json_t *v;
	bool good = false;

	/* Go matches names of fields without regard to case. */
	json_object_foreach(root, name, v)
	{
		if (strcasecmp(name, "PrivateKey") == 0)
			good = json_is_string(v) &&
			    key_parse(priv, KEY_PRIVATE, json_string_value(v),
				json_string_length(v)) &&
			    !key_is_zero(priv);
	}
	json_decref(root);
	return good;
}

static int
keyfile_make(struct key *priv, const char *path)
{
	char text[KEY_TEXT_MAX], json[KEY_TEXT_MAX + 32];
	int n, r;

	randombytes_buf(priv->b, KEY_LEN);
	key_clamp(priv);
	n = snprintf(json, sizeof(json), "{\n\t\"PrivateKey\": \"%s\"\n}\n",
	    key_text(priv, KEY_PRIVATE, text));
	r = file_make(path, 0600, json, (size_t)n);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(json, sizeof(json));
	return r;
}

int
keyfile_load(struct key *priv, const char *path, char *error, size_t cap)
{
	static char text[KEYFILE_MAX];
	ssize_t n = file_read(path, text, sizeof(text));
	bool good;

	if (n == -1 && errno == ENOENT) {
		if (file_make_dir_of(path) == 0 &&
		    keyfile_make(priv, path) == 0)
			return 0;
		/* Another first start may have been quicker. */
		if (errno == EEXIST)
			n = file_read(path, text, sizeof(text));
	}
	if (n == -1 && errno != EMSGSIZE)
		return fail(error, cap, path, strerror(errno));
	good = n >= 0 && keyfile_parse(priv, text, (size_t)n);
	sodium_memzero(text, sizeof(text));
	if (good)
		return 0;
	return fail(error, cap, path,
	    "want JSON {\"PrivateKey\": \"privkey:<64 hex digits>\"}");
}

/* keyfile: {"PrivateKey": "privkey:<64 hex>"}, as derper writes it. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "relayd/relayd.h"

static int
fail(char *error, size_t cap, const char *path, const char *what)
{
	snprintf(error, cap, "key file %s: %s", path, what);
	return -1;
}

static int
keyfile_read(
    struct key *priv, const char *path, FILE *f, char *error, size_t cap)
{
	json_t *root = json_loadf(f, JSON_REJECT_DUPLICATES, NULL);
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
	if (good)
		return 0;
	return fail(error, cap, path,
	    "want JSON {\"PrivateKey\": \"privkey:<64 hex digits>\"}");
}

/* Written beside the file and linked into place: the file is never there in
 * part, and never over another process's. */
static int
keyfile_make(struct key *priv, const char *path, char *error, size_t cap)
{
	char text[KEY_TEXT_MAX], json[KEY_TEXT_MAX + 32], part[512];
	int fd, n, r = -1;

	randombytes_buf(priv->b, KEY_LEN);
	key_clamp(priv);
	n = snprintf(json, sizeof(json), "{\n\t\"PrivateKey\": \"%s\"\n}\n",
	    key_text(priv, KEY_PRIVATE, text));
	if ((size_t)snprintf(part, sizeof(part), "%s.%d", path,
		(int)getpid()) >= sizeof(part))
		return fail(error, cap, path, "the name is too long");
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd != -1 && write(fd, json, (size_t)n) == n && fsync(fd) == 0)
		r = link(part, path);
	if (r == -1)
		fail(error, cap, path, strerror(errno));
	if (fd != -1) {
		close(fd);
		unlink(part);
	}
	sodium_memzero(text, sizeof(text));
	sodium_memzero(json, sizeof(json));
	return r;
}

int
keyfile_load(struct key *priv, const char *path, char *error, size_t cap)
{
	FILE *f = fopen(path, "re");
	int r;

	if (f == NULL && errno == ENOENT)
		return keyfile_make(priv, path, error, cap);
	if (f == NULL)
		return fail(error, cap, path, strerror(errno));
	r = keyfile_read(priv, path, f, error, cap);
	fclose(f);
	return r;
}

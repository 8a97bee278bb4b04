/* preauthkeys: the keys with which nodes join by themselves. */
#include <string.h>

#include "coordctl/coordctl.h"

/* The key is printed as it is, for $(...): it must be one plain word. */
static int
put_key(const json_t *answer)
{
	const char *key = member(answer, "key");

	for (const char *p = key; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return api_strange("its key holds strange bytes");
	if (*key == '\0')
		return api_strange("it holds no key");
	puts(key);
	return STATUS_DONE;
}

int
preauthkeys_create(const struct ctl *ctl)
{
	const char *expiration = ctl_text(ctl, FLAG_EXPIRATION);
	int64_t seconds = 0;
	json_t *answer, *body;
	int status;

	if (expiration != NULL && !duration_parse(expiration, &seconds))
		return fail_usage("--expiration %s: want a time as 90d, 12h or "
				  "1h30m, or 0 for ever",
		    expiration);
	body =
	    json_pack("{s:s, s:b, s:b, s:o}", "user", ctl_text(ctl, FLAG_USER),
		"reusable", ctl_has(ctl, FLAG_REUSABLE), "ephemeral",
		ctl_has(ctl, FLAG_EPHEMERAL), "tags", ctl_list(ctl, FLAG_TAGS));
	if (body != NULL && expiration != NULL)
		json_object_set_new(body, "expiration", json_integer(seconds));
	status = api_send(ctl, "POST", PATH("/preauthkeys"), body, &answer);
	if (status == STATUS_DONE && !put_if_json(ctl, answer))
		status = put_key(answer);
	json_decref(answer);
	return status;
}

int
preauthkeys_list(const struct ctl *ctl)
{
	const char *user = ctl_text(ctl, FLAG_USER);
	json_t *keys;
	const json_t *key;
	struct table t;
	size_t i;
	int status = api_list(ctl,
	    user != NULL ? PATH("/preauthkeys?user=", user)
			 : PATH("/preauthkeys"),
	    "preauthkeys", &keys);

	if (status != STATUS_DONE)
		return status;
	if (!put_if_json(ctl, keys)) {
		table_init(&t,
		    (const char *const[]){"ID", "Key/Prefix", "Reusable",
			"Ephemeral", "Used", "Expiration", "Created", "Owner",
			"Usable", "Tags", NULL});
		json_array_foreach(keys, i, key)
		{
			table_value(&t, key, "id");
			table_value(&t, key, "prefix");
			table_value(&t, key, "reusable");
			table_value(&t, key, "ephemeral");
			table_value(&t, key, "used");
			table_time(&t, key, "expiration", "never");
			table_time(&t, key, "created", "-");
			table_value(&t, key, "user");
			table_yes(&t, is_true(key, "usable"), true);
			table_value(&t, key, "tags");
		}
		table_finish(&t);
	}
	json_decref(keys);
	return STATUS_DONE;
}

static bool
id_ok(const char *text)
{
	return strspn(text, "0123456789") == strlen(text);
}

static int
fail_id(const struct ctl *ctl)
{
	return fail_usage("%s: %s is no ID; coordctl preauthkeys list shows "
			  "the IDs of keys",
	    ctl->command->words, ctl->args[0]);
}

int
preauthkeys_expire(const struct ctl *ctl)
{
	json_t *key;
	int status;

	if (!id_ok(ctl->args[0]))
		return fail_id(ctl);
	status = api_do(
	    ctl, "POST", PATH("/preauthkeys/", ctl->args[0], "/expire"), &key);
	return put_done(ctl, status, key, "Key", "expired");
}

int
preauthkeys_delete(const struct ctl *ctl)
{
	int status;

	if (!id_ok(ctl->args[0]))
		return fail_id(ctl);
	status =
	    api_do(ctl, "DELETE", PATH("/preauthkeys/", ctl->args[0]), NULL);
	return put_gone(ctl, status, "Key", ctl->args[0], "deleted");
}

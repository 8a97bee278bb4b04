/* users: owners of nodes and keys. */
#include <stdlib.h>
#include <string.h>

#include "coordctl/coordctl.h"

int
users_create(const struct ctl *ctl)
{
	json_t *user;
	int status;

	status = api_send(ctl, "POST", PATH("/users"),
	    json_pack("{s:s, s:s*}", "name", ctl->args[0], "display_name",
		ctl_text(ctl, FLAG_DISPLAY_NAME)),
	    &user);
	return put_done(ctl, status, user, "User", "created");
}

/* True for its name or id. */
static bool
user_is(const json_t *user, const char *text)
{
	char *id = value_text(json_object_get(user, "id"));
	bool same =
	    strcmp(id, text) == 0 || strcmp(member(user, "name"), text) == 0;

	free(id);
	return same;
}

int
users_list(const struct ctl *ctl)
{
	json_t *users;
	const json_t *user;
	struct table t;
	size_t i;
	int status = api_list(ctl, PATH("/users"), "users", &users);

	if (status != STATUS_DONE)
		return status;
	for (i = json_array_size(users); ctl->args[0] != NULL && i > 0; i--)
		if (!user_is(json_array_get(users, i - 1), ctl->args[0]))
			json_array_remove(users, i - 1);
	if (ctl->args[0] != NULL && json_array_size(users) == 0) {
		json_decref(users);
		return fail("no user \"%s\"", ctl->args[0]);
	}
	if (!put_if_json(ctl, users)) {
		table_init(&t,
		    (const char *const[]){
			"ID", "Name", "Username", "Nodes", "Created", NULL});
		json_array_foreach(users, i, user)
		{
			table_value(&t, user, "id");
			table_brief(&t, user, "display_name");
			table_value(&t, user, "name");
			table_value(&t, user, "nodes");
			table_time(&t, user, "created", "-");
		}
		table_finish(&t);
	}
	json_decref(users);
	return STATUS_DONE;
}

int
users_rename(const struct ctl *ctl)
{
	json_t *user;
	char *did;
	int status;

	status = api_send(ctl, "POST", PATH("/users/", ctl->args[0], "/rename"),
	    json_pack("{s:s}", "name", ctl->args[1]), &user);
	if (asprintf(&did, "renamed, was %s", ctl->args[0]) == -1)
		out_of_memory();
	status = put_done(ctl, status, user, "User", did);
	free(did);
	return status;
}

int
users_delete(const struct ctl *ctl)
{
	int status = api_do(ctl, "DELETE", PATH("/users/", ctl->args[0]), NULL);

	return put_gone(ctl, status, "User", ctl->args[0], "deleted");
}

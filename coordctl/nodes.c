/* nodes: the devices, and the logins that wait to become some. Routes are in
 * routes.c. */
#include <stdlib.h>
#include <string.h>

#include "coordctl/coordctl.h"

static int
get_nodes(const struct ctl *ctl, json_t **nodes)
{
	const char *user = ctl_text(ctl, FLAG_USER);
	const char *tag = ctl_text(ctl, FLAG_TAG);
	const char *path[5] = {"/nodes"};

	if (user != NULL) {
		path[0] = "/nodes?user=";
		path[1] = user;
		path[2] = tag != NULL ? "&tag=" : NULL;
		path[3] = tag;
	} else if (tag != NULL) {
		path[0] = "/nodes?tag=";
		path[1] = tag;
	}
	return api_list(ctl, path, "nodes", nodes);
}

static void
add_node(struct table *t, const json_t *node)
{
	bool online = is_true(node, "online");

	table_value(t, node, "id");
	table_brief(t, node, "hostname");
	table_value(t, node, "name");
	table_value(t, node, "user");
	table_value(t, node, "addresses");
	table_value(t, node, "ephemeral");
	table_time(t, node, "last_seen", "-");
	table_time(t, node, "expiry", "never");
	table_add_coloured(t, online ? "online" : "offline",
	    online ? COLOUR_GOOD : COLOUR_BAD);
	table_yes(t, is_true(node, "expired"), false);
	table_yes(t, is_true(node, "approved"), true);
	table_value(t, node, "tags");
}

int
nodes_list(const struct ctl *ctl)
{
	json_t *nodes;
	const json_t *node;
	struct table t;
	size_t i;
	int status = get_nodes(ctl, &nodes);

	if (status != STATUS_DONE)
		return status;
	if (!put_if_json(ctl, nodes)) {
		table_init(&t,
		    (const char *const[]){"ID", "Hostname", "Name", "User",
			"IP addresses", "Ephemeral", "Last seen", "Expiration",
			"Connected", "Expired", "Approved", "Tags", NULL});
		json_array_foreach(nodes, i, node) add_node(&t, node);
		table_finish(&t);
	}
	json_decref(nodes);
	return STATUS_DONE;
}

static void
put_node(const json_t *node)
{
	static const struct {
		const char *label, *name, *none; /* none: it is a time */
	} rows[] = {
	    {"ID", "id", NULL},
	    {"Name", "name", NULL},
	    {"Full name", "fqdn", NULL},
	    {"Hostname", "hostname", NULL},
	    {"User", "user", NULL},
	    {"Tags", "tags", NULL},
	    {"IP addresses", "addresses", NULL},
	    {"Connected", "online", NULL},
	    {"Last seen", "last_seen", "-"},
	    {"Created", "created", "-"},
	    {"Expiration", "expiry", "never"},
	    {"Expired", "expired", NULL},
	    {"Approved", "approved", NULL},
	    {"Ephemeral", "ephemeral", NULL},
	    {"Client", "version", NULL},
	    {"System", "os", NULL},
	    {"Endpoints", "endpoints", NULL},
	    {"Relay", "relay", NULL},
	    {"Relay name", "relay_name", NULL},
	    {"Machine key", "machine_key", NULL},
	    {"Node key", "node_key", NULL},
	    {"Disco key", "disco_key", NULL},
	    {"Joined by key", "preauthkey", NULL},
	};
	const json_t *routes = json_object_get(node, "routes");
	struct table t;

	table_init_plain(&t, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_add(&t, rows[i].label);
		if (rows[i].none != NULL)
			table_time(&t, node, rows[i].name, rows[i].none);
		else
			table_value(&t, node, rows[i].name);
	}
	table_add(&t, "Routes offered");
	table_value(&t, routes, "advertised");
	table_add(&t, "Routes approved");
	table_value(&t, routes, "approved");
	table_add(&t, "Routes serving");
	table_value(&t, routes, "serving");
	table_finish(&t);
}

int
nodes_show(const struct ctl *ctl)
{
	json_t *node;
	int status = api_get(ctl, PATH("/nodes/", ctl->args[0]), &node);

	if (status == STATUS_DONE && !put_if_json(ctl, node))
		put_node(node);
	json_decref(node);
	return status;
}

int
nodes_logins(const struct ctl *ctl)
{
	json_t *logins;
	const json_t *login;
	struct table t;
	size_t i;
	int status = api_list(ctl, PATH("/logins"), "logins", &logins);

	if (status != STATUS_DONE)
		return status;
	if (!put_if_json(ctl, logins)) {
		table_init(&t,
		    (const char *const[]){"ID", "Hostname", "Created",
			"Expires", "Machine key", NULL});
		json_array_foreach(logins, i, login)
		{
			table_value(&t, login, "id");
			table_brief(&t, login, "hostname");
			table_time(&t, login, "created", "-");
			table_time(&t, login, "expires", "never");
			table_value(&t, login, "machine_key");
		}
		table_finish(&t);
	}
	json_decref(logins);
	return STATUS_DONE;
}

/* The id alone, also of the address that a client shows. */
static const char *
login_id(const struct ctl *ctl)
{
	static const char before[] = "/register/";
	const char *p = strstr(ctl->args[0], before);

	return p != NULL ? p + strlen(before) : ctl->args[0];
}

int
nodes_register(const struct ctl *ctl)
{
	json_t *node, *body;
	int status;

	body = json_pack("{s:s, s:s}", "id", login_id(ctl), "user",
	    ctl_text(ctl, FLAG_USER));
	if (body != NULL && ctl_has(ctl, FLAG_TAGS) &&
	    json_object_set_new(body, "tags", ctl_list(ctl, FLAG_TAGS)) == -1) {
		json_decref(body);
		body = NULL;
	}
	status = api_send(ctl, "POST", PATH("/nodes/register"), body, &node);
	return put_done(ctl, status, node, "Node", "registered");
}

int
nodes_deny(const struct ctl *ctl)
{
	const char *id = login_id(ctl);
	int status = api_do(ctl, "POST", PATH("/logins/", id, "/deny"), NULL);

	return put_gone(ctl, status, "Login", id, "denied");
}

/* POST /nodes/NODE/ACTION, for the node that the command names. */
static int
change(const struct ctl *ctl, const char *action, json_t *body, const char *did)
{
	json_t *node;
	int status = api_send(
	    ctl, "POST", PATH("/nodes/", ctl->args[0], action), body, &node);

	return put_done(ctl, status, node, "Node", did);
}

int
nodes_approve(const struct ctl *ctl)
{
	bool revoke = ctl_has(ctl, FLAG_REVOKE);

	return change(ctl, "/approve", json_pack("{s:b}", "approved", !revoke),
	    revoke ? "is not approved any more" : "approved");
}

/* The body for a time as it was written: RFC 3339, from now, or never. */
static int
expiry_body(const char *expiry, json_t **body)
{
	struct text t = TEXT_EMPTY;
	int64_t when;

	if (strcmp(expiry, "never") == 0) {
		*body = json_pack("{s:n}", "expiry");
		return STATUS_DONE;
	}
	if (!time_parse(expiry, &when)) {
		if (!duration_parse(expiry, &when) || when == 0)
			return fail_usage("--expiry %s: want a time as "
					  "2027-01-31T12:00:00Z, or as 90d "
					  "from now, or never",
			    expiry);
		when += time_now();
	}
	text_time(&t, when);
	if (t.bad)
		out_of_memory();
	*body = json_pack("{s:s}", "expiry", t.p);
	text_clear(&t);
	return STATUS_DONE;
}

int
nodes_expire(const struct ctl *ctl)
{
	const char *expiry = ctl_text(ctl, FLAG_EXPIRY), *when;
	json_t *node, *body = NULL;
	char *did, *people;
	int status;

	if (ctl_has(ctl, FLAG_DISABLE))
		expiry = "never";
	if (expiry == NULL || *expiry == '\0')
		body = json_object();
	else if ((status = expiry_body(expiry, &body)) != STATUS_DONE)
		return status;
	status = api_send(
	    ctl, "POST", PATH("/nodes/", ctl->args[0], "/expire"), body, &node);
	when = member(node, "expiry");
	people = time_people(when);
	if (asprintf(&did, "%s%s",
		*when == '\0'		       ? "never expires"
		    : is_true(node, "expired") ? "expired, "
					       : "expires ",
		people) == -1)
		out_of_memory();
	free(people);
	status = put_done(ctl, status, node, "Node", did);
	free(did);
	return status;
}

int
nodes_rename(const struct ctl *ctl)
{
	const char *name = ctl->args[1];

	return change(ctl, "/rename",
	    json_pack("{s:s}", "name", name == NULL ? "" : name), "renamed");
}

int
nodes_move(const struct ctl *ctl)
{
	const char *user = ctl_text(ctl, FLAG_USER);
	char *did;
	int status;

	if (asprintf(&did, "moved to user %s", user) == -1)
		out_of_memory();
	status = change(ctl, "/move", json_pack("{s:s}", "user", user), did);
	free(did);
	return status;
}

int
nodes_tag(const struct ctl *ctl)
{
	json_t *node;
	char *tags, *did;
	bool none;
	int status =
	    api_send(ctl, "POST", PATH("/nodes/", ctl->args[0], "/tags"),
		json_pack("{s:o}", "tags", ctl_list(ctl, FLAG_TAGS)), &node);

	tags = value_text(json_object_get(node, "tags"));
	none = json_array_size(json_object_get(node, "tags")) == 0;
	if (asprintf(&did, "has %s%s", none ? "no tags" : "the tags ",
		none ? "" : tags) == -1)
		out_of_memory();
	status = put_done(ctl, status, node, "Node", did);
	free(tags);
	free(did);
	return status;
}

int
nodes_delete(const struct ctl *ctl)
{
	json_t *node;
	char *id;
	int status = api_get(ctl, PATH("/nodes/", ctl->args[0]), &node);

	if (status != STATUS_DONE)
		return status;
	/* By its id: a name may be another node's by now. */
	id = value_text(json_object_get(node, "id"));
	status = api_do(ctl, "DELETE", PATH("/nodes/", id), NULL);
	free(id);
	return put_done(ctl, status, node, "Node", "deleted");
}

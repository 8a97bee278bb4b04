/* routes: the networks behind nodes. */
#include <string.h>

#include "coordctl/coordctl.h"

static const char *const kinds[] = {"advertised", "approved", "serving"};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool
has_route(const json_t *list, const char *route)
{
	const json_t *v;
	const char *s;
	size_t i;

	json_array_foreach(list, i, v)
	{
		s = json_string_value(v);
		if (s != NULL && strcmp(s, route) == 0)
			return true;
	}
	return false;
}

static void
add_route(struct table *t, const json_t *node, const char *route)
{
	const json_t *routes = json_object_get(node, "routes");

	table_value(t, node, "id");
	table_value(t, node, "name");
	table_add(t, route);
	for (size_t i = 0; i < KINDS; i++)
		table_yes(t,
		    has_route(json_object_get(routes, kinds[i]), route), true);
}

/* Each route once, in whichever lists it is. */
static void
add_routes(struct table *t, const json_t *node)
{
	const json_t *routes = json_object_get(node, "routes"), *v;
	size_t i, k, before;
	const char *s;

	for (k = 0; k < KINDS; k++)
		json_array_foreach(json_object_get(routes, kinds[k]), i, v)
		{
			if ((s = json_string_value(v)) == NULL)
				continue;
			for (before = 0; before < k; before++)
				if (has_route(
					json_object_get(routes, kinds[before]),
					s))
					break;
			if (before == k)
				add_route(t, node, s);
		}
}

static void
put_routes(const json_t *nodes)
{
	const json_t *node;
	struct table t;
	size_t i;

	table_init(&t,
	    (const char *const[]){"ID", "Name", "Route", "Available",
		"Approved", "Serving", NULL});
	json_array_foreach(nodes, i, node) add_routes(&t, node);
	table_finish(&t);
}

static int
list_routes(const struct ctl *ctl)
{
	json_t *nodes, *node;
	int status;

	if (ctl->args[0] == NULL)
		status = api_list(ctl, PATH("/nodes"), "nodes", &nodes);
	else {
		status = api_get(ctl, PATH("/nodes/", ctl->args[0]), &node);
		nodes = status == STATUS_DONE ? json_pack("[o]", node) : NULL;
	}
	if (status == STATUS_DONE && !put_if_json(ctl, nodes))
		put_routes(nodes);
	json_decref(nodes);
	return status;
}

int
nodes_routes(const struct ctl *ctl)
{
	json_t *node;
	int status;

	if (!ctl_has(ctl, FLAG_APPROVE))
		return list_routes(ctl);
	if (ctl->args[0] == NULL)
		return fail_usage(
		    "%s: --approve wants a NODE, too", ctl->command->words);
	status = api_send(ctl, "POST", PATH("/nodes/", ctl->args[0], "/routes"),
	    json_pack("{s:o}", "approved", ctl_list(ctl, FLAG_APPROVE)), &node);
	if (status == STATUS_DONE && !put_if_json(ctl, node)) {
		json_t *nodes = json_pack("[O]", node);

		put_routes(nodes);
		json_decref(nodes);
	}
	json_decref(node);
	return status;
}

/*
 * wire_fuzz: requests to register and to be sent maps. Whatever is read, what
 * peers get of it must be what Go's decoder takes.
 *
 *     | register or map, 1 byte | JSON ...
 */
#include <stdlib.h>
#include <string.h>

#include "coordd/wire.h"
#include "tests/sim/mapview.h"

/* Peers get no more of a host than this. */
#define HOST_MAX (512 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
	if (!good)
		abort();
}

/* {name: json} of a node must decode. */
static void
check_json(const char *name, const char *json)
{
	json_t *value, *node = json_object();

	must(strlen(json) < HOST_MAX);
	value = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	must(value != NULL);
	json_object_set_new(node, name, value);
	must(mapview_decodes(node));
	json_decref(node);
}

static void
check_host(const struct hostinfo *h)
{
	if (h->json != NULL)
		check_json("Hostinfo", h->json);
	must(strlen(h->hostname) <= HOSTNAME_MAX);
	must(h->home_derp == -1 || (h->home_derp > 0 && h->home_derp < 65536));
	must(h->nrequest_tags <= NODE_TAGS_MAX);
	must(h->nroutes <= NODE_ROUTES_MAX);
	for (size_t i = 0; i < h->nrequest_tags; i++)
		must(h->request_tags[i] != NULL);
	for (size_t i = 1; i < h->nroutes; i++)
		must(ip_compare(&h->routes[i - 1].ip, &h->routes[i].ip) <= 0 &&
		    !ip_prefix_equal(&h->routes[i - 1], &h->routes[i]));
}

static void
check_error(const char *error)
{
	must(error[0] != '\0' && strlen(error) < WIRE_ERROR_MAX);
	must(strchr(error, '\n') == NULL);
}

static void
run_register(const char *json, size_t n)
{
	struct register_request r;
	char error[WIRE_ERROR_MAX] = "";

	if (register_request_read(&r, json, n, error)) {
		must(!key_is_zero(&r.node_key));
		must(strlen(r.auth_key) < sizeof(r.auth_key));
		must(strlen(r.followup) < sizeof(r.followup));
		check_host(&r.host);
	} else
		check_error(error);
	register_request_clear(&r);
}

static void
run_map(const char *json, size_t n)
{
	struct map_request r;
	char error[WIRE_ERROR_MAX] = "";

	if (map_request_read(&r, json, n, error)) {
		must(r.has_endpoints == (r.endpoints != NULL));
		if (r.has_endpoints)
			check_json("Endpoints", r.endpoints);
		must(r.has_host == (r.host.json != NULL));
		check_host(&r.host);
	} else
		check_error(error);
	map_request_clear(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *json;

	if (size == 0)
		return 0;
	/* Exactly as long, so that reading on is found. */
	if ((json = malloc(size)) == NULL)
		abort();
	memcpy(json, data + 1, size - 1);
	if (data[0] % 2 == 0)
		run_register(json, size - 1);
	else
		run_map(json, size - 1);
	free(json);
	return 0;
}

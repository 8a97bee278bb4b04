/* natemu_config: the configuration file, complete before anything is opened. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "tests/natlab/natemu.h"

static const char *const side_names[] = {
    [NAT_INSIDE] = "inside", [NAT_OUTSIDE] = "outside"};

static bool
side_read(struct natemu_side *s, json_t *root, const char *name,
    char error[static NATEMU_ERROR_MAX])
{
	json_t *side = json_object_get(root, name);
	json_error_t why;

	if (json_unpack_ex(side, &why, JSON_STRICT, "{s:s, s?s, s?s}", "device",
		&s->device, "netns", &s->netns, "pcap", &s->pcap) != 0) {
		snprintf(error, NATEMU_ERROR_MAX,
		    "%s: %s: want an object with device, and maybe netns and "
		    "pcap, which are texts",
		    name, side == NULL ? "is missing" : why.text);
		return false;
	}
	if (strlen(s->device) == 0 || strlen(s->device) >= IFNAMSIZ) {
		snprintf(error, NATEMU_ERROR_MAX,
		    "%s: device: %.40s: want 1 to %d characters", name,
		    s->device, IFNAMSIZ - 1);
		return false;
	}
	return true;
}

static bool
config_read(struct natemu_config *c, char error[static NATEMU_ERROR_MAX])
{
	static const char *const known[] = {
	    "inside", "outside", "control", "knobs"};
	json_t *knobs = json_object_get(c->json, "knobs"), *v;
	const char *key;

	json_object_foreach(c->json, key, v)
	{
		size_t i = 0;

		while (i < 4 && strcmp(known[i], key) != 0)
			i++;
		if (i == 4) {
			snprintf(error, NATEMU_ERROR_MAX,
			    "%.40s: want inside, outside, control or knobs",
			    key);
			return false;
		}
	}
	for (int i = NAT_INSIDE; i <= NAT_OUTSIDE; i++)
		if (!side_read(&c->sides[i], c->json, side_names[i], error))
			return false;
	c->control = json_string_value(json_object_get(c->json, "control"));
	if (c->control == NULL) {
		snprintf(error, NATEMU_ERROR_MAX,
		    "control: want the path of a socket");
		return false;
	}
	c->knobs = nat_config_default();
	return knobs == NULL || nat_config_read(&c->knobs, knobs, error);
}

bool
natemu_config_load(struct natemu_config *c, const char *path,
    char error[static NATEMU_ERROR_MAX])
{
	char text[NATEMU_ERROR_MAX];
	json_error_t why;
	bool good = false;

	memset(c, 0, sizeof(*c));
	c->json = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (c->json == NULL)
		snprintf(text, sizeof(text), "line %d: %s", why.line, why.text);
	else
		good = config_read(c, text);
	if (!good)
		snprintf(error, NATEMU_ERROR_MAX, "%.200s: %.400s", path, text);
	return good;
}

void
natemu_config_clear(struct natemu_config *c)
{
	json_decref(c->json);
}

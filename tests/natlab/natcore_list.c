/*
 * natcore_list: the knobs that are lists, from JSON and to JSON: external
 * addresses, and ports that are fixed.
 */
#include "tests/natlab/natcore_impl.h"

bool
addresses_read(const char *knob, struct ip ips[static NAT_EXTERNAL_MAX],
    unsigned *count, const json_t *v, char error[static NAT_ERROR_MAX])
{
	size_t n = json_array_size(v);

	if (!json_is_array(v) || n > NAT_EXTERNAL_MAX)
		return knob_wrong(
		    error, knob, v, "want a list of at most 16 IPv4 addresses");
	for (size_t i = 0; i < n; i++)
		if (!knob_address(&ips[i], json_array_get(v, i), 4))
			return knob_wrong(error, knob, json_array_get(v, i),
			    "want an IPv4 address");
	*count = (unsigned)n;
	return true;
}

static bool
port_read(uint16_t *port, const json_t *v)
{
	json_int_t x = json_integer_value(v);

	*port = (uint16_t)x;
	return x >= 1 && x <= UINT16_MAX;
}

static bool
fixed_read(struct nat_fixed *f, const json_t *v)
{
	return json_object_size(v) == 3 &&
	    knob_address(&f->ip, json_object_get(v, "ip"), 4) &&
	    port_read(&f->inside, json_object_get(v, "inside")) &&
	    port_read(&f->outside, json_object_get(v, "outside"));
}

bool
port_map_read(const char *knob, struct nat_config *c, const json_t *v,
    char error[static NAT_ERROR_MAX])
{
	size_t n = json_array_size(v);

	if (!json_is_array(v) || n > NAT_PORT_MAP_MAX)
		return knob_wrong(
		    error, knob, v, "want a list of at most 64 objects");
	for (size_t i = 0; i < n; i++) {
		struct nat_fixed *f = &c->port_map[i];

		if (!fixed_read(f, json_array_get(v, i)))
			return knob_wrong(error, knob, json_array_get(v, i),
			    "want ip, inside and outside: IPv4 and ports");
		for (size_t j = 0; j < i; j++)
			if (c->port_map[j].outside == f->outside)
				return knob_wrong(error, knob,
				    json_array_get(v, i),
				    "want each outside once");
	}
	c->port_map_count = (unsigned)n;
	return true;
}

json_t *
addresses_write(const struct ip *ips, unsigned count)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; i < count; i++)
		if (json_array_append_new(
			list, json_string(ip_text(&ips[i], text))) == -1)
			break;
	return list;
}

json_t *
port_map_write(const struct nat_config *c)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; i < c->port_map_count; i++) {
		const struct nat_fixed *f = &c->port_map[i];

		if (json_array_append_new(list,
			json_pack("{ss si si}", "ip", ip_text(&f->ip, text),
			    "inside", f->inside, "outside", f->outside)) == -1)
			break;
	}
	return list;
}

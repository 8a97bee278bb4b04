/* result_host: what this host itself knows, as JSON: its address, and the
 * names that it looked up. A replay has none of it. */
#include <string.h>

#include "probes/natprobe/natprobe.h"
#include "pure/ip.h"

json_t *
result_local(const struct probe *p)
{
	char text[IP_PREFIX_TEXT_MAX] = "";
	struct ip_prefix prefix = {.bits = 0};
	struct verdicts v;
	unsigned bits;

	judge(p, &v);
	if (v.local.addr.port == 0)
		return json_null();
	prefix.bits = net_prefix(&v.local.addr);
	prefix.v4 = stun_addr_is_v4(&v.local.addr);
	memcpy(prefix.ip.b, v.local.addr.ip, sizeof(prefix.ip.b));
	bits = prefix.bits + (prefix.v4 ? 96U : 0);
	for (unsigned i = bits; i < 128; i++)
		prefix.ip.b[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
	if (prefix.bits > 0)
		ip_prefix_text(&prefix, text);
	return json_pack("{s:o, s:o}", "address", json_of_addr(&v.local.addr),
	    "network", *text == '\0' ? json_null() : json_string(text));
}

json_t *
result_names(const struct targets *t)
{
	json_t *all = json_array();
	struct target_name name;

	for (size_t i = 0; targets_name(t, i, &name); i++)
		json_array_append_new(all,
		    json_pack("{s:s, s:o, s:i, s:o}", "name", name.name, "ms",
			name.over ? json_real((double)name.took_us / 1000)
				  : json_null(),
			"addresses", (int)name.found, "why",
			*name.why == '\0' ? json_null()
					  : json_string(name.why)));
	return all;
}

/*
 * natcore_knobs: the knobs by name, from JSON and to JSON. One table says all
 * there is to say of each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/natlab/natcore_impl.h"

enum kind {
	KIND_CHOICE, /* one of the names */
	KIND_BOOL,
	KIND_COUNT, /* of type unsigned, from min to max */
	KIND_SECONDS, /* of type int64_t, in microseconds */
	KIND_MS,
	KIND_SHARE, /* 0 to 1 */
	KIND_SPEED,
	KIND_SEED,
	KIND_ADDRESS,
	KIND_EXTERNAL,
	KIND_RENUMBER,
	KIND_PORT_MAP
};

struct knob {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *const *names; /* by the value of the enum */
	double min, max;
};

static const char *const dependence_names[] = {"endpoint-independent",
    "address-dependent", "address-and-port-dependent", "port-dependent", "none",
    NULL};
static const char *const ports_names[] = {
    "preserve", "sequential", "random", "block", NULL};
static const char *const fallback_names[] = {"sequential", "random", NULL};
static const char *const overload_names[] = {
    "never", "per-remote", "always", NULL};
static const char *const pooling_names[] = {
    "paired", "arbitrary", "round-robin", NULL};
static const char *const hairpin_names[] = {
    "none", "external-source", "internal-source", NULL};
static const char *const refresh_names[] = {
    "outbound", "inbound", "both", "none", NULL};
static const char *const scope_names[] = {"mapping", "session", NULL};
static const char *const unsolicited_names[] = {
    "drop", "icmp-unreach", "create-state", NULL};
static const char *const tcp_unsolicited_names[] = {
    "drop", "rst", "icmp-unreach", "icmp-after-6s", NULL};
static const char *const cross_names[] = {"accept", "drop", "rst", NULL};
static const char *const midstream_names[] = {
    "drop", "rst", "create-state", NULL};
static const char *const full_names[] = {
    "drop", "evict-oldest", "switch-to-edm", NULL};
static const char *const frags_names[] = {
    "pass", "in-order", "reassemble", "drop", "drop-non-first", NULL};
static const char *const errors_names[] = {
    "translate", "outer-only", "drop", NULL};
static const char *const alg_names[] = {"off", "addresses", NULL};

#define AT(field) offsetof(struct nat_config, field)
#define CHOICE(name, f, n)                        \
	{                                         \
		name, KIND_CHOICE, AT(f), n, 0, 0 \
	}
#define BOOL(name, f)                              \
	{                                          \
		name, KIND_BOOL, AT(f), NULL, 0, 0 \
	}
#define COUNT(name, f, l, h)                        \
	{                                           \
		name, KIND_COUNT, AT(f), NULL, l, h \
	}
#define SECONDS(name, f, l)                             \
	{                                               \
		name, KIND_SECONDS, AT(f), NULL, l, 1e6 \
	}
#define MS(name, f)                                  \
	{                                            \
		name, KIND_MS, AT(f), NULL, 0, 60000 \
	}
#define SHARE(name, f)                              \
	{                                           \
		name, KIND_SHARE, AT(f), NULL, 0, 1 \
	}
#define LINE(dir, f)                                                      \
	MS("delay_" dir "_ms", f.delay_us),                               \
	    MS("jitter_" dir "_ms", f.jitter_us),                         \
	    MS("reorder_" dir "_ms", f.reorder_us),                       \
	    SHARE("loss_" dir, f.loss), SHARE("reorder_" dir, f.reorder), \
	    SHARE("dup_" dir, f.dup),                                     \
	    COUNT("rate_" dir "_kbit", f.rate_kbit, 0, 10000000),         \
	    MS("queue_" dir "_ms", f.queue_us)

/* clang-format off */
static const struct knob knobs[] = {
	{"external", KIND_EXTERNAL, 0, NULL, 0, 0},
	{"inside_address", KIND_ADDRESS, AT(inside4), NULL, 4, 0},
	{"inside_address6", KIND_ADDRESS, AT(inside6), NULL, 6, 0},
	CHOICE("mapping", mapping, dependence_names),
	CHOICE("filtering", filtering, dependence_names),
	CHOICE("ports", ports, ports_names),
	CHOICE("ports_fallback", ports_fallback, fallback_names),
	CHOICE("overload", overload, overload_names),
	COUNT("port_min", port_min, 1, 65535),
	COUNT("port_max", port_max, 1, 65535),
	COUNT("port_step", port_step, 1, 1024),
	COUNT("port_start", port_start, 0, 65535),
	COUNT("block_size", block_size, 1, 32768),
	COUNT("block_align", block_align, 0, 32768),
	{"port_map", KIND_PORT_MAP, 0, NULL, 0, 0},
	BOOL("port_classes", port_classes),
	BOOL("parity", parity),
	BOOL("contiguity", contiguity),
	CHOICE("pooling", pooling, pooling_names),
	CHOICE("hairpin", hairpin, hairpin_names),
	BOOL("hairpin_same_host", hairpin_same_host),
	BOOL("hairpin_fragments", hairpin_fragments),
	SECONDS("ttl_single", ttl_single, 0.001),
	SECONDS("ttl_exchange", ttl_exchange, 0.001),
	SECONDS("ttl_stream", ttl_stream, 0),
	SECONDS("stream_after", stream_after, 0),
	COUNT("stream_packets", stream_packets, 0, 1000000),
	SECONDS("ttl_filter", ttl_filter, 0),
	SECONDS("ttl_icmp", ttl_icmp, 0.001),
	SECONDS("tick", tick, 0),
	CHOICE("refresh", refresh, refresh_names),
	CHOICE("refresh_scope", scope, scope_names),
	BOOL("refresh_icmp", refresh_icmp),
	BOOL("refresh_error", refresh_error),
	SECONDS("tcp_ttl_syn", tcp_ttl_syn, 0.001),
	SECONDS("tcp_ttl_open", tcp_ttl_open, 0.001),
	SECONDS("tcp_ttl_closing", tcp_ttl_closing, 0.001),
	CHOICE("tcp_unsolicited", tcp_unsolicited, tcp_unsolicited_names),
	CHOICE("tcp_simultaneous_open", tcp_cross, cross_names),
	CHOICE("tcp_midstream", tcp_midstream, midstream_names),
	BOOL("tcp_rst_on_expire", tcp_rst_on_expire),
	COUNT("limit", limit, 1, NAT_MAPPINGS_MAX),
	CHOICE("on_full", full, full_names),
	COUNT("host_limit", host_limit, 0, NAT_MAPPINGS_MAX),
	COUNT("degrade_after", degrade_after, 0, NAT_MAPPINGS_MAX),
	CHOICE("unsolicited", unsolicited, unsolicited_names),
	BOOL("ping", ping),
	CHOICE("fragments", frags, frags_names),
	CHOICE("icmp_errors", icmp_errors, errors_names),
	CHOICE("alg", alg, alg_names),
	BOOL("icmp_kills", icmp_kills),
	COUNT("mtu_out", mtu_out, 68, 65535),
	COUNT("mtu_in", mtu_in, 68, 65535),
	BOOL("ptb", ptb),
	LINE("out", line_out),
	LINE("in", line_in),
	SECONDS("reboot_at", reboot_at, 0),
	SECONDS("renumber_at", renumber_at, 0),
	{"renumber_to", KIND_RENUMBER, 0, NULL, 0, 0},
	{"speed", KIND_SPEED, AT(speed), NULL, 0.001, 100000},
	{"seed", KIND_SEED, AT(seed), NULL, 0, 0},
};
/* clang-format on */

#define KNOBS (sizeof(knobs) / sizeof(knobs[0]))

struct nat_config
nat_config_default(void)
{
	return (struct nat_config){
	    .ports_fallback = NAT_PORTS_RANDOM,
	    .port_min = 1024,
	    .port_max = 65535,
	    .port_step = 1,
	    .block_size = 64,
	    .hairpin_fragments = true,
	    .ttl_single = 300 * SECOND,
	    .ttl_exchange = 300 * SECOND,
	    .ttl_icmp = 60 * SECOND,
	    .refresh = NAT_REFRESH_BOTH,
	    .tcp_ttl_syn = 240 * SECOND,
	    .tcp_ttl_open = 7440 * SECOND,
	    .tcp_ttl_closing = 240 * SECOND,
	    .limit = NAT_MAPPINGS_MAX,
	    .ping = true,
	    .mtu_out = 1500,
	    .mtu_in = 1500,
	    .ptb = true,
	    .line_out.reorder_us = 20000,
	    .line_in.reorder_us = 20000,
	    .line_out.queue_us = 500000,
	    .line_in.queue_us = 500000,
	    .speed = 1,
	    .seed = 1,
	};
}

/* ---- reading ---- */

bool
knob_wrong(char error[static NAT_ERROR_MAX], const char *knob, const json_t *v,
    const char *want)
{
	char *text =
	    json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);

	snprintf(error, NAT_ERROR_MAX, "%s: %.40s: %s", knob,
	    text == NULL ? "?" : text, want);
	free(text);
	return false;
}

static int
choice_of(const char *const *names, const json_t *v)
{
	const char *text = json_string_value(v);

	for (int i = 0; text != NULL && names[i] != NULL; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return -1;
}

static bool
read_choice(const struct knob *k, int *field, const json_t *v,
    char error[static NAT_ERROR_MAX])
{
	char want[NAT_ERROR_MAX] = "want ";
	int i = choice_of(k->names, v);
	size_t at = strlen(want);

	/* PRESERVE is no place to fall back to. */
	*field = k->names == fallback_names ? i + NAT_PORTS_SEQUENTIAL : i;
	for (int j = 0; i < 0 && k->names[j] != NULL; j++)
		at += (size_t)snprintf(want + at, sizeof(want) - at, "%s%s",
		    j > 0 ? ", " : "", k->names[j]);
	return i >= 0 || knob_wrong(error, k->name, v, want);
}

bool
knob_address(struct ip *a, const json_t *v, int family)
{
	const char *text = json_string_value(v);

	return text != NULL && ip_parse(a, text, strlen(text)) &&
	    ip_is_v4(a) == (family == 4);
}

static bool
read_number(const struct knob *k, void *field, const json_t *v,
    char error[static NAT_ERROR_MAX])
{
	double x = json_number_value(v);
	char want[80];

	if (!json_is_number(v) || !(x >= k->min && x <= k->max) ||
	    (k->kind == KIND_COUNT && !json_is_integer(v))) {
		snprintf(want, sizeof(want), "want %s from %g to %g",
		    k->kind == KIND_COUNT	  ? "a whole number"
			: k->kind == KIND_SECONDS ? "seconds"
			: k->kind == KIND_MS	  ? "milliseconds"
						  : "a number",
		    k->min, k->max);
		return knob_wrong(error, k->name, v, want);
	}
	switch (k->kind) {
	case KIND_COUNT:
		*(unsigned *)field = (unsigned)x;
		break;
	case KIND_SECONDS:
		*(int64_t *)field = (int64_t)(x * 1e6 + 0.5);
		break;
	case KIND_MS:
		*(int64_t *)field = (int64_t)(x * 1e3 + 0.5);
		break;
	default:
		*(double *)field = x;
	}
	return true;
}

static bool
read_knob(struct nat_config *c, const struct knob *k, const json_t *v,
    char error[static NAT_ERROR_MAX])
{
	void *field = (char *)c + k->offset;

	switch (k->kind) {
	case KIND_CHOICE:
		return read_choice(k, field, v, error);
	case KIND_BOOL:
		*(bool *)field = json_is_true(v);
		return json_is_boolean(v) ||
		    knob_wrong(error, k->name, v, "want true or false");
	case KIND_SEED:
		*(uint64_t *)field = (uint64_t)json_integer_value(v);
		return json_is_integer(v) ||
		    knob_wrong(error, k->name, v, "want a whole number");
	case KIND_ADDRESS:
		return knob_address(field, v, (int)k->min) ||
		    knob_wrong(error, k->name, v,
			k->min == 4 ? "want an IPv4 address"
				    : "want an IPv6 address");
	case KIND_EXTERNAL:
		return addresses_read(
		    k->name, c->external, &c->external_count, v, error);
	case KIND_RENUMBER:
		return addresses_read(
		    k->name, c->renumber_to, &c->renumber_count, v, error);
	case KIND_PORT_MAP:
		return port_map_read(k->name, c, v, error);
	case KIND_COUNT:
	case KIND_SECONDS:
	case KIND_MS:
	case KIND_SHARE:
	case KIND_SPEED:
		break;
	}
	return read_number(k, field, v, error);
}

/* What no knob by itself shows. */
static bool
config_check(const struct nat_config *c, char error[static NAT_ERROR_MAX])
{
	const char *what = NULL;

	if (c->port_min > c->port_max)
		what = "port_min: is greater than port_max";
	else if (c->port_start != 0 &&
	    (c->port_start < c->port_min || c->port_start > c->port_max))
		what = "port_start: want 0, or one from port_min to port_max";
	else if (c->renumber_at != 0 && c->renumber_count == 0)
		what = "renumber_at: only with renumber_to";
	else if (c->ports == NAT_PORTS_BLOCK && c->pooling != NAT_POOL_PAIRED)
		what = "ports: block: only with pooling paired";
	else if (c->filtering == NAT_NONE && c->mapping != NAT_NONE)
		what = "filtering: none: only with mapping none";
	if (what != NULL)
		snprintf(error, NAT_ERROR_MAX, "%s", what);
	return what == NULL;
}

bool
nat_config_read(struct nat_config *c, const json_t *object,
    char error[static NAT_ERROR_MAX])
{
	const char *name;
	const json_t *v;
	void *iter;

	if (!json_is_object(object))
		return knob_wrong(error, "knobs", object, "want an object");
	iter = json_object_iter((json_t *)(uintptr_t)object);
	for (; iter != NULL;
	     iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
		size_t i = 0;

		name = json_object_iter_key(iter);
		v = json_object_iter_value(iter);
		while (i < KNOBS && strcmp(knobs[i].name, name) != 0)
			i++;
		if (i == KNOBS)
			return knob_wrong(
			    error, name, v, "there is no such knob");
		if (!read_knob(c, &knobs[i], v, error))
			return false;
	}
	return config_check(c, error);
}

/* ---- writing ---- */

static json_t *
write_address(const struct ip *a)
{
	char text[IP_TEXT_MAX];

	return json_string(ip_text(a, text));
}

static json_t *
write_knob(const struct nat_config *c, const struct knob *k)
{
	const void *field = (const char *)c + k->offset;
	int first = k->names == fallback_names ? NAT_PORTS_SEQUENTIAL : 0;

	switch (k->kind) {
	case KIND_CHOICE:
		return json_string(k->names[*(const int *)field - first]);
	case KIND_BOOL:
		return json_boolean(*(const bool *)field);
	case KIND_COUNT:
		return json_integer(*(const unsigned *)field);
	case KIND_SECONDS:
		return json_real((double)*(const int64_t *)field / 1e6);
	case KIND_MS:
		return json_real((double)*(const int64_t *)field / 1e3);
	case KIND_SHARE:
	case KIND_SPEED:
		return json_real(*(const double *)field);
	case KIND_SEED:
		return json_integer((json_int_t) * (const uint64_t *)field);
	case KIND_ADDRESS:
		return write_address(field);
	case KIND_EXTERNAL:
		return addresses_write(c->external, c->external_count);
	case KIND_RENUMBER:
		return addresses_write(c->renumber_to, c->renumber_count);
	case KIND_PORT_MAP:
		break;
	}
	return port_map_write(c);
}

json_t *
nat_config_write(const struct nat_config *c)
{
	static const struct ip none;
	json_t *object = json_object();

	for (size_t i = 0; object != NULL && i < KNOBS; i++) {
		if (knobs[i].kind == KIND_ADDRESS &&
		    ip_compare(
			(const struct ip *)(const void *)((const char *)c +
			    knobs[i].offset),
			&none) == 0)
			continue;
		if (json_object_set_new(object, knobs[i].name,
			write_knob(c, &knobs[i])) == -1) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

/* mapview: see mapview.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pure/ip.h"
#include "pure/key.h"
#include "tests/sim/mapview.h"

static const char zero_disco[] =
    "discokey:"
    "0000000000000000000000000000000000000000000000000000000000000000";

/* ---- what Go's decoder takes ---- */

enum kind {
	TEXT,
	FLAG,
	NUMBER,
	TIME,
	NODE_KEY,
	DISCO_KEY,
	MACHINE_KEY,
	TEXTS,
	PREFIXES,
	ENDPOINTS,
	SERVICES,
	CAP_MAP,
	HOST,
};

struct member {
	const char *name;
	enum kind kind;
};

/* Names are matched as Go does: in any case. */
static const struct member node_members[] = {{"ID", NUMBER}, {"StableID", TEXT},
    {"Name", TEXT}, {"User", NUMBER}, {"Key", NODE_KEY}, {"KeyExpiry", TIME},
    {"Machine", MACHINE_KEY}, {"DiscoKey", DISCO_KEY}, {"Addresses", PREFIXES},
    {"AllowedIPs", PREFIXES}, {"Endpoints", ENDPOINTS}, {"HomeDERP", NUMBER},
    {"Hostinfo", HOST}, {"Created", TIME}, {"Cap", NUMBER}, {"Tags", TEXTS},
    {"PrimaryRoutes", PREFIXES}, {"LastSeen", TIME}, {"Online", FLAG},
    {"MachineAuthorized", FLAG}, {"CapMap", CAP_MAP}, {"Expired", FLAG},
    /* Of a PeerChange. */
    {"NodeID", NUMBER}, {"DERPRegion", NUMBER}, {NULL, TEXT}};

static const struct member host_members[] = {{"IPNVersion", TEXT}, {"OS", TEXT},
    {"OSVersion", TEXT}, {"Container", FLAG}, {"Env", TEXT}, {"Distro", TEXT},
    {"DistroVersion", TEXT}, {"DistroCodeName", TEXT}, {"App", TEXT},
    {"Desktop", FLAG}, {"Package", TEXT}, {"Hostname", TEXT},
    {"ShieldsUp", FLAG}, {"ShareeNode", FLAG}, {"NoLogsNoSupport", FLAG},
    {"RemoteConfig", FLAG}, {"IngressEnabled", FLAG}, {"AllowsUpdate", FLAG},
    {"Machine", TEXT}, {"GoArch", TEXT}, {"GoArchVar", TEXT},
    {"GoVersion", TEXT}, {"WoLMACs", TEXTS}, {"Services", SERVICES},
    {"sshHostKeys", TEXTS}, {"Cloud", TEXT}, {"Userspace", FLAG},
    {"UserspaceRouter", FLAG}, {"ServicesHash", TEXT}, {"PeerRelay", FLAG},
    {"ExitNodeID", TEXT}, {"StateEncrypted", FLAG}, {NULL, TEXT}};

static const struct member service_members[] = {
    {"Proto", TEXT}, {"Port", NUMBER}, {"Description", TEXT}, {NULL, TEXT}};

static bool decodes(const json_t *v, const struct member *members);

static bool
is_key(const json_t *v, const char *prefix)
{
	struct key k;

	return json_is_string(v) &&
	    key_parse(&k, prefix, json_string_value(v), json_string_length(v));
}

static bool
is_prefix(const json_t *v)
{
	struct ip_prefix p;

	return json_is_string(v) && strchr(json_string_value(v), '/') != NULL &&
	    ip_prefix_parse(&p, json_string_value(v), json_string_length(v));
}

/* netip.ParseAddrPort: "1.2.3.4:5" or "[v6]:5", digits alone. */
static bool
is_endpoint(const json_t *v)
{
	const char *s = json_is_string(v) ? json_string_value(v) : "";
	const char *colon = strrchr(s, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - s);
	struct ip ip;
	bool v6 = n > 2 && s[0] == '[' && s[n - 1] == ']';

	if (n == 0 || colon[1] == '\0' ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return false;
	if (!v6)
		return memchr(s, ':', n) == NULL && ip_parse(&ip, s, n);
	return memchr(s, ':', n) != NULL && ip_parse(&ip, s + 1, n - 2);
}

static bool
each(const json_t *list, bool (*good)(const json_t *v))
{
	if (!json_is_array(list))
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!good(json_array_get(list, i)))
			return false;
	return true;
}

static bool
is_text(const json_t *v)
{
	return json_is_string(v);
}

static bool
is_service(const json_t *v)
{
	const json_t *port = json_object_get(v, "Port");

	return decodes(v, service_members) &&
	    (port == NULL ||
		(json_integer_value(port) >= 0 &&
		    json_integer_value(port) < 65536));
}

static bool
is_time(const json_t *v)
{
	const char *s = json_is_string(v) ? json_string_value(v) : "";

	return strlen(s) == 20 && s[4] == '-' && s[10] == 'T' && s[19] == 'Z' &&
	    strspn(s, "0123456789-:TZ") == 20;
}

static bool
is_cap_map(const json_t *v)
{
	const char *name;
	json_t *list;

	if (!json_is_object(v))
		return false;
	json_object_foreach((json_t *)(uintptr_t)v, name, list)
	{
		if (!json_is_array(list) && !json_is_null(list))
			return false;
	}
	return true;
}

static bool
is_kind(const json_t *v, enum kind kind)
{
	switch (kind) {
	case TEXT:
		return json_is_string(v);
	case FLAG:
		return json_is_boolean(v);
	case NUMBER:
		return json_is_integer(v) && json_integer_value(v) >= 0 &&
		    json_integer_value(v) < INT64_C(1) << 53;
	case TIME:
		return is_time(v);
	case NODE_KEY:
		return is_key(v, KEY_NODE);
	case DISCO_KEY:
		return is_key(v, KEY_DISCO);
	case MACHINE_KEY:
		return is_key(v, KEY_MACHINE);
	case TEXTS:
		return each(v, is_text);
	case PREFIXES:
		return each(v, is_prefix);
	case ENDPOINTS:
		return each(v, is_endpoint);
	case SERVICES:
		return each(v, is_service);
	case CAP_MAP:
		return is_cap_map(v);
	case HOST:
		return decodes(v, host_members);
	}
	return false;
}

static bool
decodes(const json_t *object, const struct member *members)
{
	const char *name;
	json_t *v;

	if (!json_is_object(object))
		return false;
	json_object_foreach((json_t *)(uintptr_t)object, name, v)
	{
		for (const struct member *m = members; m->name != NULL; m++)
			if (strcasecmp(name, m->name) == 0 &&
			    !is_kind(v, m->kind))
				return false;
	}
	return true;
}

bool
mapview_decodes(const json_t *node)
{
	return decodes(node, node_members);
}

/* ---- peers ---- */

static struct mapview_peer *
find(const struct mapview *v, uint64_t id)
{
	for (size_t i = 0; i < v->npeers; i++)
		if (v->peers[i].id == id)
			return &v->peers[i];
	return NULL;
}

static uint64_t
id_of(const json_t *node, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(node, name));
}

static void
touch(struct mapview_peer *p)
{
	free(p->text);
	p->text = NULL;
}

static void
set_peer(struct mapview *v, json_t *node)
{
	struct mapview_peer *p = find(v, id_of(node, "ID"));

	if (p == NULL) {
		v->peers = realloc(v->peers, (v->npeers + 1) * sizeof(*p));
		if (v->peers == NULL)
			abort();
		p = &v->peers[v->npeers++];
		*p = (struct mapview_peer){.id = id_of(node, "ID")};
	}
	touch(p);
	json_decref(p->node);
	p->node = json_copy(node);
}

static void
drop_peer(struct mapview *v, struct mapview_peer *p)
{
	json_decref(p->node);
	free(p->text);
	*p = v->peers[--v->npeers];
}

/* ---- patches ---- */

/* What a PeerChange can hold, and what that is called in a Node. */
static const struct {
	const char *patch, *node;
} patchable[] = {{"Key", "Key"}, {"KeyExpiry", "KeyExpiry"},
    {"DiscoKey", "DiscoKey"}, {"Endpoints", "Endpoints"},
    {"DERPRegion", "HomeDERP"}, {"Cap", "Cap"}, {"CapMap", "CapMap"},
    {"Online", "Online"}, {"LastSeen", "LastSeen"}};

#define PATCHABLE (sizeof(patchable) / sizeof(patchable[0]))

static bool
is_patchable(const char *name)
{
	for (size_t i = 0; i < PATCHABLE; i++)
		if (strcmp(patchable[i].node, name) == 0)
			return true;
	return false;
}

/* True if all that a PeerChange cannot hold is the same. */
static bool
differs_by_patch(json_t *was, json_t *is)
{
	const char *name;
	json_t *v;

	json_object_foreach(was, name, v)
	{
		if (!is_patchable(name) &&
		    !json_equal(v, json_object_get(is, name)))
			return false;
	}
	json_object_foreach(is, name, v)
	{
		if (!is_patchable(name) && json_object_get(was, name) == NULL)
			return false;
	}
	return true;
}

/* The client turns a node into a patch if it can. NULL if not. A member that
 * the node does not have any more becomes null. */
static json_t *
patch_of(json_t *was, json_t *is)
{
	json_t *patch, *a, *b;

	if (!differs_by_patch(was, is))
		return NULL;
	patch = json_object();
	json_object_set(patch, "NodeID", json_object_get(is, "ID"));
	for (size_t i = 0; i < PATCHABLE; i++) {
		const char *name = patchable[i].node;

		a = json_object_get(was, name);
		b = json_object_get(is, name);
		if (a == b || (a != NULL && b != NULL && json_equal(a, b)))
			continue;
		/* Of these two, only a change from one value to another. */
		if ((strcmp(name, "Online") == 0 ||
			strcmp(name, "LastSeen") == 0) &&
		    (a == NULL || b == NULL))
			continue;
		json_object_set_new(patch, patchable[i].patch,
		    b == NULL ? json_null() : json_incref(b));
	}
	return patch;
}

/* A disco key of a node that is offline counts only if it was seen since. */
static bool
is_unwanted(const struct mapview *v, const json_t *patch)
{
	const struct mapview_peer *p = find(v, id_of(patch, "NodeID"));
	const json_t *online = json_object_get(patch, "Online");
	const json_t *seen = json_object_get(patch, "LastSeen");
	const json_t *was;

	if (json_object_get(patch, "DiscoKey") == NULL || online == NULL ||
	    seen == NULL || p == NULL || json_is_true(online))
		return false;
	was = json_object_get(p->node, "LastSeen");
	return was != NULL &&
	    strcmp(json_string_value(seen), json_string_value(was)) <= 0;
}

static void
apply_patch(struct mapview *v, json_t *patch)
{
	struct mapview_peer *p = find(v, id_of(patch, "NodeID"));

	if (p == NULL)
		return;
	touch(p);
	for (size_t i = 0; i < PATCHABLE; i++) {
		json_t *value = json_object_get(patch, patchable[i].patch);
		const char *name = patchable[i].node;
		bool is_zero = json_is_null(value) ||
		    (json_is_integer(value) && json_integer_value(value) == 0);

		if (value == NULL)
			continue;
		if (!is_zero)
			json_object_set(p->node, name, value);
		else if (strcmp(name, "DiscoKey") == 0 ||
		    strcmp(name, "KeyExpiry") == 0 ||
		    strcmp(name, "CapMap") == 0)
			json_object_del(p->node, name);
		/* Of the rest, zero is no change. */
	}
}

/* ---- messages ---- */

static void
apply_peers(struct mapview *v, json_t *peers)
{
	bool keep;

	for (size_t i = 0; i < json_array_size(peers); i++)
		set_peer(v, json_array_get(peers, i));
	for (size_t i = v->npeers; i-- > 0;) {
		keep = false;
		for (size_t j = 0; j < json_array_size(peers); j++)
			keep |= id_of(json_array_get(peers, j), "ID") ==
			    v->peers[i].id;
		if (!keep)
			drop_peer(v, &v->peers[i]);
	}
}

static void
apply_deltas(struct mapview *v, json_t *message)
{
	json_t *changed = json_object_get(message, "PeersChanged");
	json_t *removed = json_object_get(message, "PeersRemoved");
	json_t *sent = json_object_get(message, "PeersChangedPatch");
	json_t *patches = json_array(), *whole = json_array(), *patch;
	struct mapview_peer *p;

	json_array_extend(patches, sent);
	for (size_t i = 0; i < json_array_size(changed); i++) {
		json_t *node = json_array_get(changed, i);

		p = find(v, id_of(node, "ID"));
		patch = p == NULL ? NULL : patch_of(p->node, node);
		if (patch == NULL)
			json_array_append(whole, node);
		else
			json_array_append_new(patches, patch);
	}
	for (size_t i = json_array_size(patches); i-- > 0;)
		if (is_unwanted(v, json_array_get(patches, i)))
			json_array_remove(patches, i);
	for (size_t i = 0; i < json_array_size(removed); i++) {
		p = find(v,
		    (uint64_t)json_integer_value(json_array_get(removed, i)));
		if (p != NULL)
			drop_peer(v, p);
	}
	for (size_t i = 0; i < json_array_size(whole); i++)
		set_peer(v, json_array_get(whole, i));
	for (size_t i = 0; i < json_array_size(patches); i++)
		apply_patch(v, json_array_get(patches, i));
	json_decref(patches);
	json_decref(whole);
}

static void
apply_profiles(struct mapview *v, json_t *list)
{
	char id[24];

	if (v->profiles == NULL)
		v->profiles = json_object();
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *profile = json_array_get(list, i);

		snprintf(id, sizeof(id), "%llu",
		    (unsigned long long)id_of(profile, "ID"));
		json_object_set(v->profiles, id, profile);
	}
}

static void
take(json_t **kept, json_t *value)
{
	if (value == NULL || json_is_null(value))
		return;
	json_decref(*kept);
	*kept = json_incref(value);
}

static const char *
wrong_in(json_t *message)
{
	static const char *const lists[] = {
	    "Peers", "PeersChanged", "PeersChangedPatch"};
	static const char *const known[] = {"Node", "DERPMap", "DNSConfig",
	    "Domain", "Peers", "PeersChanged", "PeersChangedPatch",
	    "PeersRemoved", "PacketFilters", "UserProfiles", "CollectServices",
	    "Debug", "ControlTime", "KeepAlive"};
	const char *name;
	json_t *v;

	json_object_foreach(message, name, v)
	{
		bool good = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			good |= strcmp(name, known[i]) == 0;
		if (!good)
			return "a member that is not expected";
	}
	v = json_object_get(message, "Node");
	if (v != NULL && !mapview_decodes(v))
		return "its own node does not decode";
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		json_t *list = json_object_get(message, lists[i]);

		for (size_t j = 0; j < json_array_size(list); j++)
			if (!mapview_decodes(json_array_get(list, j)))
				return "a node does not decode";
	}
	return NULL;
}

const char *
mapview_apply(struct mapview *v, json_t *message)
{
	json_t *peers = json_object_get(message, "Peers");
	const char *wrong = wrong_in(message);

	if (wrong != NULL)
		return wrong;
	if (v->messages++ == 0 && json_object_get(message, "Node") == NULL)
		return "the first message has no Node";
	if (json_array_size(peers) > 0)
		apply_peers(v, peers);
	else
		apply_deltas(v, message);
	if (json_object_get(message, "Node") != NULL) {
		free(v->self_text);
		v->self_text = NULL;
	}
	take(&v->self, json_object_get(message, "Node"));
	take(&v->relays, json_object_get(message, "DERPMap"));
	take(&v->dns, json_object_get(message, "DNSConfig"));
	take(&v->filter,
	    json_object_get(json_object_get(message, "PacketFilters"), "base"));
	apply_profiles(v, json_object_get(message, "UserProfiles"));
	return NULL;
}

void
mapview_clear(struct mapview *v)
{
	while (v->npeers > 0)
		drop_peer(v, &v->peers[v->npeers - 1]);
	free(v->peers);
	free(v->self_text);
	json_decref(v->self);
	json_decref(v->filter);
	json_decref(v->relays);
	json_decref(v->dns);
	json_decref(v->profiles);
	memset(v, 0, sizeof(*v));
}

/* When it was last seen counts only while it is away. */
char *
mapview_text(const json_t *node)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)node);
	const char *disco =
	    json_string_value(json_object_get(copy, "DiscoKey"));
	char *text;

	if (json_is_true(json_object_get(copy, "Online")))
		json_object_del(copy, "LastSeen");
	if (disco != NULL && strcmp(disco, zero_disco) == 0)
		json_object_del(copy, "DiscoKey");
	text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(copy);
	return text;
}

const char *
mapview_peer(struct mapview *v, uint64_t id)
{
	struct mapview_peer *p = find(v, id);

	if (p != NULL && p->text == NULL)
		p->text = mapview_text(p->node);
	return p == NULL ? NULL : p->text;
}

char *
mapview_text_of_self(const json_t *node)
{
	static const char *const own[] = {
	    "DiscoKey", "Endpoints", "HomeDERP", "Hostinfo", "Cap", "LastSeen"};
	json_t *copy = json_copy((json_t *)(uintptr_t)node);
	char *text;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		json_object_del(copy, own[i]);
	text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(copy);
	return text;
}

const char *
mapview_self(struct mapview *v)
{
	if (v->self_text == NULL)
		v->self_text = mapview_text_of_self(v->self);
	return v->self_text;
}

/* mapdoc: see mapdoc.h. PURE. */
#include "coordd/mapdoc.h"

static void
add_key(
    struct text *out, const char *name, const char *prefix, const struct key *k)
{
	text_fmt(out, ",\"%s\":\"%s", name, prefix);
	text_hex(out, k->b, KEY_LEN);
	text_char(out, '"');
}

static void
add_prefix(struct text *out, const struct ip_prefix *p)
{
	char text[IP_PREFIX_TEXT_MAX];

	text_fmt(out, "\"%s\"", ip_prefix_text(p, text));
}

static void
add_addresses(struct text *out, const struct node *n)
{
	struct ip_prefix p4 = ip_prefix_of(&n->ip4);
	struct ip_prefix p6 = ip_prefix_of(&n->ip6);

	add_prefix(out, &p4);
	text_char(out, ',');
	add_prefix(out, &p6);
}

static void
add_prefixes(struct text *out, const struct ip_prefix *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_char(out, ',');
		add_prefix(out, &v[i]);
	}
}

static void
add_time(struct text *out, const char *name, int64_t t)
{
	text_fmt(out, ",\"%s\":\"", name);
	text_time(out, t);
	text_char(out, '"');
}

uint64_t
mapdoc_user_id(const struct node *n)
{
	return n->ntags > 0 ? MAPDOC_TAGGED_USER : n->user->id;
}

/* What self and peers are told alike; leaves the object open. */
static void
add_common(struct text *out, const struct node *n, const struct mapdoc_view *v)
{
	text_fmt(out, "{\"ID\":%llu,\"StableID\":\"n%llu\",\"Name\":\"%s.%s.\"",
	    (unsigned long long)n->id, (unsigned long long)n->id, n->label,
	    v->domain);
	text_fmt(out, ",\"User\":%llu", (unsigned long long)mapdoc_user_id(n));
	add_key(out, "Key", KEY_NODE, &n->node_key);
	add_key(out, "Machine", KEY_MACHINE, &n->machine);
	if (!key_is_zero(&n->disco))
		add_key(out, "DiscoKey", KEY_DISCO, &n->disco);
	text_str(out, ",\"Addresses\":[");
	add_addresses(out, n);
	text_str(out, "],\"AllowedIPs\":[");
	add_addresses(out, n);
	add_prefixes(out, v->routes, v->nroutes);
	text_char(out, ']');
	if (v->nprimary > 0) {
		text_str(out, ",\"PrimaryRoutes\":[");
		add_prefix(out, &v->primary[0]);
		add_prefixes(out, v->primary + 1, v->nprimary - 1);
		text_char(out, ']');
	}
	if (n->endpoints != NULL)
		text_fmt(out, ",\"Endpoints\":%s", n->endpoints);
	if (n->home_derp > 0)
		text_fmt(out, ",\"HomeDERP\":%d", n->home_derp);
	if (n->hostinfo != NULL)
		text_fmt(out, ",\"Hostinfo\":%s", n->hostinfo);
	add_time(out, "Created", n->created);
	text_fmt(out, ",\"Cap\":%d", n->capver);
	if (n->ntags > 0) {
		text_str(out, ",\"Tags\":[");
		for (size_t i = 0; i < n->ntags; i++) {
			if (i > 0)
				text_char(out, ',');
			text_json(out, n->tags[i]);
		}
		text_char(out, ']');
	}
	if (n->expiry != 0)
		add_time(out, "KeyExpiry", n->expiry);
	if (node_is_expired(n, v->now))
		text_str(out, ",\"Expired\":true");
	text_fmt(out, ",\"Online\":%s", v->online ? "true" : "false");
	if (!v->online && n->last_seen != 0)
		add_time(out, "LastSeen", n->last_seen);
	if (n->authorized)
		text_str(out, ",\"MachineAuthorized\":true");
}

void
mapdoc_peer(struct text *out, const struct node *n, const struct mapdoc_view *v)
{
	add_common(out, n, v);
	text_char(out, '}');
}

/* File sharing (Taildrop) is between a user's own nodes, so it does no harm
 * that all have it; magicdns-aaaa has the client answer AAAA for peers. */
void
mapdoc_self(struct text *out, const struct node *n, const struct mapdoc_view *v)
{
	add_common(out, n, v);
	text_str(out,
	    ",\"CapMap\":{\"https://tailscale.com/cap/file-sharing\":[],"
	    "\"magicdns-aaaa\":[],\"default-auto-update\":[false]");
	text_str(out, v->attributes);
	text_str(out, "}}");
}

void
mapdoc_patch(struct text *out, const struct node *n, unsigned changes,
    const struct mapdoc_view *v)
{
	text_fmt(out, "{\"NodeID\":%llu", (unsigned long long)n->id);
	if (changes & MAPDOC_RELAY)
		text_fmt(out, ",\"DERPRegion\":%d", n->home_derp);
	if ((changes & MAPDOC_ENDPOINTS) && n->endpoints != NULL)
		text_fmt(out, ",\"Endpoints\":%s", n->endpoints);
	if (changes & MAPDOC_DISCO)
		add_key(out, "DiscoKey", KEY_DISCO, &n->disco);
	if (changes & MAPDOC_CAPVER)
		text_fmt(out, ",\"Cap\":%d", n->capver);
	if (changes & MAPDOC_ONLINE) {
		text_fmt(out, ",\"Online\":%s", v->online ? "true" : "false");
		if (!v->online && n->last_seen != 0)
			add_time(out, "LastSeen", n->last_seen);
	}
	text_char(out, '}');
}

void
mapdoc_profile(struct text *out, const struct node *n)
{
	const char *shown;

	if (n->ntags > 0) {
		text_fmt(out,
		    "{\"ID\":%llu,\"LoginName\":\"tagged-devices\","
		    "\"DisplayName\":\"Tagged Devices\"}",
		    (unsigned long long)MAPDOC_TAGGED_USER);
		return;
	}
	shown = n->user->display_name[0] == '\0' ? n->user->name
						 : n->user->display_name;
	text_fmt(out,
	    "{\"ID\":%llu,\"LoginName\":", (unsigned long long)n->user->id);
	text_json(out, n->user->name);
	text_str(out, ",\"DisplayName\":");
	text_json(out, shown);
	text_char(out, '}');
}

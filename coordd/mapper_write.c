/*
 * mapper_write: messages of the map stream: Tailscale's MapResponse as JSON,
 * in a zstd frame, behind its length.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <zstd.h>

#include "coordd/mapper_impl.h"

#define LEVEL 1 /* of zstd: the fastest that halves the size */

/* Scratch memory beyond this goes back after a message. */
#define SCRATCH_MAX (256 * 1024)

static uint64_t
hash_of(const struct mapper *m, const char *p, size_t n)
{
	uint64_t h;

	crypto_shorthash(
	    (unsigned char *)&h, (const unsigned char *)p, n, m->hash_key);
	return h;
}

void
message_release(struct message *m)
{
	if (m != NULL && --m->holders == 0)
		free(m);
}

void
plan_clear(struct plan *p)
{
	free(p->items);
	text_clear(&p->removed);
	memset(p, 0, sizeof(*p));
}

void
write_recent_clear(struct mapper *m)
{
	for (unsigned i = 0; i < m->nrecent; i++) {
		plan_clear(&m->recent[i].plan);
		message_release(m->recent[i].message);
	}
	m->nrecent = 0;
}

/* ---- JSON to message ---- */

static struct message *
pack(struct mapper *m, const char *json, size_t n, bool plain)
{
	size_t cap = plain ? n : ZSTD_compressBound(n), len = n;
	struct message *out, *cut;

	out = malloc(sizeof(*out) + 4 + cap);
	if (out == NULL)
		return NULL;
	if (plain)
		memcpy(out->bytes + 4, json, n);
	else
		len = ZSTD_compressCCtx(
		    m->zstd, out->bytes + 4, cap, json, n, LEVEL);
	if (!plain && ZSTD_isError(len)) {
		free(out);
		return NULL;
	}
	for (int i = 0; i < 4; i++)
		out->bytes[i] = (uint8_t)(len >> 8 * i);
	out->holders = 1;
	out->len = 4 + len;
	cut = realloc(out, sizeof(*out) + out->len);
	metric_add(&m->c->stats.messages, 1);
	metric_add(&m->c->stats.message_bytes, (int64_t)len);
	return cut == NULL ? out : cut;
}

/* Packs m->json. */
static struct message *
pack_json(struct mapper *m, bool plain)
{
	struct message *out = NULL;

	if (!m->json.bad)
		out = pack(m, m->json.p, m->json.len, plain);
	if (m->json.cap > SCRATCH_MAX)
		text_clear(&m->json);
	return out;
}

struct message *
write_keep_alive(struct mapper *m, bool plain)
{
	static const char json[] = "{\"KeepAlive\":true}";
	struct message **kept = &m->keep_alive[plain];

	if (*kept == NULL)
		*kept = pack(m, json, sizeof(json) - 1, plain);
	if (*kept != NULL)
		(*kept)->holders++;
	return *kept;
}

/* ---- nodes ---- */

static struct mapdoc_view
view_of(const struct coordd *c, const struct node *n)
{
	return (struct mapdoc_view){.domain = c->conf->domain,
	    .online = n->mapped->online,
	    .now = coordd_time(),
	    .attributes = ""};
}

/* Which routes it serves is told like the routes themselves: to those who may
 * use them. */
static void
add_routed(struct text *out, const struct coordd *c, const struct node *n,
    const struct node *receiver, struct mapdoc_view *v)
{
	struct ip_prefix *routes = calloc(n->nroutes, 2 * sizeof(*routes));
	struct ip_prefix *primary = routes + n->nroutes;

	if (routes == NULL) {
		out->bad = true;
		return;
	}
	v->routes = routes;
	v->primary = primary;
	v->nroutes = view_routes(c, n, receiver, routes);
	for (size_t i = 0; i < v->nroutes; i++)
		if (!ip_prefix_is_default(&routes[i]))
			primary[v->nprimary++] = routes[i];
	if (receiver == n)
		mapdoc_self(out, n, v);
	else
		mapdoc_peer(out, n, v);
	free(routes);
}

/* A node without routes looks alike to all. */
static void
add_peer(struct text *out, const struct coordd *c, struct node *n,
    const struct node *receiver)
{
	struct mapdoc_view v = view_of(c, n);
	struct text t = TEXT_EMPTY;

	if (n->nroutes > 0) {
		add_routed(out, c, n, receiver, &v);
		return;
	}
	if (n->mapped->json == NULL) {
		mapdoc_peer(&t, n, &v);
		n->mapped->json = text_take(&t);
	}
	if (n->mapped->json == NULL)
		out->bad = true;
	else
		text_str(out, n->mapped->json);
}

static void
add_self(struct stream *s)
{
	struct mapper *m = s->c->mapper;
	struct mapdoc_view v = view_of(s->c, s->node);

	text_reset(&m->attributes);
	policy_attributes(s->c->policy, &s->node->subject, &m->attributes);
	v.attributes = m->attributes.p == NULL ? "" : m->attributes.p;
	v.online = true;
	if (s->node->nroutes > 0)
		add_routed(&m->json, s->c, s->node, s->node, &v);
	else
		mapdoc_self(&m->json, s->node, &v);
}

/* Profiles of the users of those nodes that a message shows, each once. */
struct profiles {
	struct mapper *m;
	bool tagged;
};

static struct profiles
profiles_begin(struct mapper *m)
{
	m->mark++;
	text_reset(&m->profiles);
	return (struct profiles){m, false};
}

static void
profiles_add(struct profiles *p, struct node *n)
{
	if (n->ntags > 0 ? p->tagged : n->user->mark == p->m->mark)
		return;
	if (n->ntags > 0)
		p->tagged = true;
	else
		n->user->mark = p->m->mark;
	if (p->m->profiles.len > 0)
		text_char(&p->m->profiles, ',');
	mapdoc_profile(&p->m->profiles, n);
}

static void
profiles_end(struct profiles *p)
{
	if (p->m->profiles.len > 0) {
		text_str(&p->m->json, ",\"UserProfiles\":[");
		text_add(&p->m->json, p->m->profiles.p, p->m->profiles.len);
		text_char(&p->m->json, ']');
	}
	p->m->json.bad |= p->m->profiles.bad;
}

/* ---- the packet filter ---- */

static bool
make_world(const struct coordd *c, struct policy_world *w)
{
	const struct policy_subject **v =
	    calloc(c->model.nnodes + 1, sizeof(const void *));
	struct node *n;

	*w = (struct policy_world){.v = v};
	if (v == NULL)
		return false;
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;)
		if (n->authorized)
			v[w->n++] = &n->subject;
	return true;
}

bool
write_filter(struct stream *s)
{
	struct coordd *c = s->c;
	struct mapper *m = c->mapper;
	struct policy_bits bits = view_bits(c, s->node);
	uint64_t h;

	text_reset(&m->filter);
	if (!s->node->authorized)
		text_str(&m->filter, "[]");
	else {
		if (m->world.v == NULL && !make_world(c, &m->world))
			return false;
		policy_filter(
		    c->policy, &m->world, &s->node->subject, &bits, &m->filter);
	}
	if (m->filter.bad)
		return false;
	h = hash_of(m, m->filter.p, m->filter.len);
	if (s->first_sent && h == s->filter)
		return false;
	s->filter = h;
	return true;
}

static void
add_filter(struct mapper *m)
{
	text_str(&m->json, ",\"PacketFilters\":{\"base\":");
	text_add(&m->json, m->filter.p, m->filter.len);
	text_char(&m->json, '}');
}

/* ---- whole messages ---- */

static void
add_peers(struct stream *s, struct profiles *profiles)
{
	struct coordd *c = s->c;
	struct text *out = &c->mapper->json;
	struct node *n;
	bool first = true;

	text_str(out, ",\"Peers\":[");
	for (uint32_t at = 0; (n = model_next(&c->model, &at)) != NULL;) {
		if (n == s->node || !view_sees(c, s->node, n))
			continue;
		if (!view_learn(s, n, true)) {
			out->bad = true;
			return;
		}
		if (!first)
			text_char(out, ',');
		first = false;
		add_peer(out, c, n, s->node);
		profiles_add(profiles, n);
		n->mapped->shown = n->mapped->queued;
	}
	text_char(out, ']');
}

struct message *
write_first(struct stream *s)
{
	struct coordd *c = s->c;
	struct mapper *m = c->mapper;
	struct text *out = &m->json;
	struct profiles profiles = profiles_begin(m);

	text_reset(out);
	text_str(out, "{\"Node\":");
	add_self(s);
	profiles_add(&profiles, s->node);
	text_fmt(out, ",\"DERPMap\":%s,\"DNSConfig\":%s", c->derp_map,
	    c->dns_config);
	text_str(out, ",\"Domain\":");
	text_json(out, c->conf->domain);
	add_peers(s, &profiles);
	if (!write_filter(s))
		return NULL;
	add_filter(m);
	profiles_end(&profiles);
	text_str(out,
	    ",\"CollectServices\":false,\"Debug\":"
	    "{\"DisableLogTail\":true},\"ControlTime\":\"");
	text_time(out, coordd_time());
	text_str(out, "\"}");
	return pack_json(m, s->wish.plain);
}

static void
add_items(struct stream *s, const struct plan *p, struct profiles *profiles)
{
	struct text *out = &s->c->mapper->json;
	const char *open = ",\"PeersChanged\":[";

	for (size_t i = 0; i < p->n; i++) {
		if ((p->items[i].changes & MAPDOC_ALL) == 0)
			continue;
		text_str(out, open);
		open = ",";
		add_peer(out, s->c, p->items[i].node, s->node);
		profiles_add(profiles, p->items[i].node);
	}
	if (open[1] == '\0')
		text_char(out, ']');
	open = ",\"PeersChangedPatch\":[";
	for (size_t i = 0; i < p->n; i++) {
		unsigned changes = (unsigned)p->items[i].changes;
		struct mapdoc_view v;

		/* Clients take LastSeen of a node that they know from a patch
		 * alone (peerChangeDiff). */
		if ((changes & MAPDOC_ALL) != 0)
			changes &= MAPDOC_ONLINE;
		if (changes == 0)
			continue;
		v = view_of(s->c, p->items[i].node);
		text_str(out, open);
		open = ",";
		mapdoc_patch(out, p->items[i].node, changes, &v);
	}
	if (open[1] == '\0')
		text_char(out, ']');
	if (p->removed.len > 0)
		text_fmt(out, ",\"PeersRemoved\":[%s]", p->removed.p);
}

static bool
same_plan(const struct plan *a, const struct plan *b)
{
	return a->n == b->n && a->removed.len == b->removed.len &&
	    (a->n == 0 ||
		memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0) &&
	    (a->removed.len == 0 ||
		memcmp(a->removed.p, b->removed.p, a->removed.len) == 0);
}

static struct message *
find_recent(struct mapper *m, const struct plan *p, bool plain)
{
	for (unsigned i = 0; i < m->nrecent; i++)
		if (m->recent[i].plain == plain &&
		    same_plan(&m->recent[i].plan, p)) {
			metric_add(&m->c->stats.messages_shared, 1);
			m->recent[i].message->holders++;
			return m->recent[i].message;
		}
	return NULL;
}

/* Takes the plan's memory. */
static void
keep_recent(
    struct mapper *m, struct plan *p, bool plain, struct message *message)
{
	if (m->nrecent == RECENT_MAX || message == NULL)
		return;
	m->recent[m->nrecent++] = (struct recent){*p, plain, message};
	message->holders++;
	memset(p, 0, sizeof(*p));
}

/* All but the leading comma of what was added. */
static void
close_object(struct text *out)
{
	if (!out->bad && out->len > 1)
		out->p[0] = '{';
	text_char(out, '}');
}

struct message *
write_delta(struct stream *s, struct plan *p)
{
	struct coordd *c = s->c;
	struct mapper *m = c->mapper;
	struct text *out = &m->json;
	struct profiles profiles;
	struct message *message;

	if (!p->own && (message = find_recent(m, p, s->wish.plain)) != NULL)
		return message;
	profiles = profiles_begin(m);
	text_reset(out);
	if (s->need_self) {
		text_str(out, ",\"Node\":");
		add_self(s);
		profiles_add(&profiles, s->node);
	}
	add_items(s, p, &profiles);
	if (s->need_relays)
		text_fmt(out, ",\"DERPMap\":%s", c->derp_map);
	if (s->need_dns)
		text_fmt(out, ",\"DNSConfig\":%s", c->dns_config);
	if (s->need_filter)
		add_filter(m);
	profiles_end(&profiles);
	close_object(out);
	message = pack_json(m, s->wish.plain);
	if (!p->own)
		keep_recent(m, p, s->wish.plain, message);
	return message;
}

/* ---- what was told ---- */

void
write_told(struct coordd *c, const struct node *n, struct told *t)
{
	struct mapper *m = c->mapper;
	struct mapdoc_view v = view_of(c, n);
	struct node rest = *n;

	*t = (struct told){.disco = n->disco,
	    .home_derp = n->home_derp,
	    .capver = n->capver,
	    .online = n->mapped->online};
	if (n->endpoints != NULL)
		t->endpoints = hash_of(m, n->endpoints, strlen(n->endpoints));
	rest.disco = (struct key){{0}};
	rest.endpoints = NULL;
	rest.home_derp = rest.capver = 0;
	rest.last_seen = 0;
	v.online = true;
	v.routes = n->routes;
	v.nroutes = n->nroutes;
	v.primary = n->mapped->primary;
	v.nprimary = n->mapped->nprimary;
	text_reset(&m->json);
	mapdoc_peer(&m->json, &rest, &v);
	t->rest = m->json.bad ? 0 : hash_of(m, m->json.p, m->json.len);
}

/* reading: see reading.h. PURE. */
#include "probes/natprobe/views/reading.h"

#include <jansson.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/views/json.h"
#include "probes/natprobe/views/reading_path.h"
#include "pure/ip.h"

#define SCHEMA 1

/* ---- words ---- */

static const char *
behaviour_word(unsigned i)
{
	return behaviour_name((enum behaviour)i);
}

static const char *
assignment_word(unsigned i)
{
	return assignment_name((enum assignment)i);
}

static const char *
hairpin_word(unsigned i)
{
	return hairpin_name((enum hairpin)i);
}

/* ---- a family ---- */

static void
read_mapping(struct from in, struct verdict_mapping *m)
{
	m->kind = get_word(&in, "verdict", behaviour_word, BEHAVIOURS);
	m->why = get_why(&in);
	m->units = get_count(&in, "sockets");
	m->agree = get_count(&in, "agree");
	m->pool_varies = get_bool(&in, "address_varies");
	get_endpoint(&in, "external", &m->external);
}

static void
read_alloc(struct from in, struct verdict_alloc *a)
{
	a->kind = get_word(&in, "verdict", assignment_word, ASSIGNMENTS);
	a->why = get_why(&in);
	a->units = get_count(&in, "sockets");
	a->preserved = get_count(&in, "preserved");
	a->parity = get_count(&in, "parity_kept");
	a->low = (uint16_t)get_number(&in, "lowest", 65535);
	a->high = (uint16_t)get_number(&in, "highest", 65535);
	a->addresses = get_count(&in, "addresses");
	a->guess = get_number(&in, "guess", 1);
}

static void
read_life(struct from in, struct verdict_life *l)
{
	l->low = get_number(&in, "alive", JSON_NUMBER_MAX);
	l->high = get_number(&in, "dead", JSON_NUMBER_MAX);
	l->why = get_why(&in);
	if (l->high > 0 && l->high < l->low)
		refuse(&in, "dead", "is less than alive");
}

static void
read_lives(struct from in, struct verdicts *v)
{
	struct from refresh = inside(&in, "refresh");

	read_life(inside(&in, "one_packet_out"), &v->life[LIFE_SINGLE]);
	read_life(inside(&in, "exchange"), &v->life[LIFE_EXCHANGE]);
	read_life(inside(&in, "stream"), &v->life[LIFE_STREAM]);
	v->refresh.outbound = get_answer(&refresh, "outbound");
	v->refresh.inbound = get_answer(&refresh, "inbound");
	v->refresh.why = get_why(&refresh);
}

static const char *
sure_word(unsigned i)
{
	return sure_name((enum sure)i);
}

static enum answer
read_speaks(const struct from *gateway, const char *protocol)
{
	struct from in;

	if (!has(gateway, protocol))
		return ANSWER_UNKNOWN;
	in = inside(gateway, protocol);
	return get_answer(&in, "answers");
}

/* Not there in results of a run without these questions. */
static void
read_router(
    const struct from *f, struct verdict_router *v, struct reading_router *r)
{
	static const char *const keys[PORT_PROTOCOLS] = {[PORT_PCP] = "pcp",
	    [PORT_NATPMP] = "nat_pmp",
	    [PORT_UPNP] = "upnp"};
	struct from in;

	if (json_object_get(f->o, "gateway") == NULL)
		return;
	in = inside(f, "gateway");
	v->mapping_works = get_answer(&in, "mapping_works");
	r->asked = true;
	r->found = *get_optional(&in, "address") != '\0';
	for (int i = 0; i < PORT_PROTOCOLS; i++)
		r->speaks[i] = read_speaks(&in, keys[i]);
}

static void
read_nats(
    const struct from *f, struct verdict_router *v, struct reading_router *r)
{
	struct verdict_nats *n = &r->nats;
	struct from in;

	if (json_object_get(f->o, "nats") == NULL)
		return;
	in = inside(f, "nats");
	r->has_nats = true;
	n->known = has(&in, "count");
	n->count = get_count(&in, "count");
	n->carrier = get_answer(&in, "carrier");
	n->sure = get_word(&in, "confidence", sure_word, SURE_HIGH + 1);
	v->nats = n->count;
	v->carrier = n->carrier;
	v->guessed = n->sure == SURE_LOW;
}

static const char *
dying_word(unsigned i)
{
	return dying_name((enum dying)i);
}

static void
read_tcp(struct from in, struct verdict_tcp *v)
{
	struct from mapping = inside(&in, "mapping");
	struct from life = inside(&in, "lifetime");
	struct from keepalive = inside(&life, "keepalive");
	const json_t *first = need(&life, "first_after_pause");

	v->works = get_answer(&in, "works");
	v->why = get_why(&in);
	read_mapping(mapping, &v->mapping);
	v->connections = get_count(&mapping, "connections");
	v->preserved = get_count(&mapping, "ports_preserved");
	read_life(life, &v->life);
	if (first != NULL && !json_is_null(first))
		v->by_server = strcmp(get_string(&life, "first_after_pause"),
				   "server") == 0;
	v->dying = get_word(&life, "when_dead", dying_word, DYINGS);
	v->keepalive = get_answer(&keepalive, "refreshes");
	v->keepalive_why = get_why(&keepalive);
}

static void
read_server(const struct from *f, const json_t *o, bool v6, struct reading *r)
{
	struct from in = element(f, "servers", o);
	struct reading_server *s = &r->servers[r->n_servers];
	const json_t *finding;
	size_t i;

	if (!json_is_object(o))
		return;
	if (r->n_servers == READING_SERVERS_MAX) {
		refuse(f, "servers", "more than natprobe ever asks");
		return;
	}
	reading_name(s->name, sizeof(s->name), get_string(&in, "name"));
	s->v6 = v6;
	s->answers = get_bool(&in, "answers");
	s->rtt_ms = get_number(&in, "rtt_ms", JSON_NUMBER_MAX);
	json_array_foreach(json_object_get(o, "findings"), i, finding)
	{
		const char *name = json_string_value(finding);

		s->rewritten |= name != NULL &&
		    strcmp(name, finding_name(FINDING_REWRITTEN)) == 0;
	}
	r->n_servers++;
}

/* Only there unless -no-local left it out. */
static void
read_local(const struct from *f, struct local *l)
{
	const json_t *o = json_object_get(f->o, "local"), *network;
	const char *text;
	struct from in;
	struct ip_prefix prefix;

	if (o == NULL || json_is_null(o))
		return;
	in = inside(f, "local");
	get_endpoint(&in, "address", &l->addr);
	network = need(&in, "network");
	if (network == NULL || json_is_null(network))
		return;
	text = get_string(&in, "network");
	if (ip_prefix_parse(&prefix, text, strlen(text)))
		l->bits = prefix.bits;
	else
		refuse(&in, "network", "want a prefix such as 10.0.2.0/24");
}

static void
read_family(struct from in, bool v6, struct reading *r)
{
	struct verdicts *v = &r->site.v[v6];
	struct from part = inside(&in, "filtering");
	const json_t *servers = need(&in, "servers"), *s;
	size_t i;

	r->site.asked[v6] = true;
	v->udp = get_answer(&in, "udp");
	v->nat = get_answer(&in, "nat");
	read_mapping(inside(&in, "mapping"), &v->mapping);
	read_local(&in, &v->local);
	v->filter.kind = get_word(&part, "verdict", behaviour_word, BEHAVIOURS);
	v->filter.why = get_why(&part);
	read_alloc(inside(&in, "ports"), &v->alloc);
	part = inside(&in, "early_packet_changes_mapping");
	v->poison.poisonable = get_answer(&part, "verdict");
	v->poison.why = get_why(&part);
	part = inside(&in, "until_collision");
	v->collision.until_collision = get_answer(&part, "verdict");
	v->collision.why = get_why(&part);
	part = inside(&in, "hairpin");
	v->hairpin.kind =
	    get_word(&part, "verdict", hairpin_word, HAIRPIN_INTERNAL + 1);
	v->hairpin.why = get_why(&part);
	read_lives(inside(&in, "lifetime"), v);
	read_router(&in, &v->router, &r->router[v6]);
	read_nats(&in, &v->router, &r->router[v6]);
	read_way_out(&in, &r->path[v6]);
	if (servers != NULL && !json_is_array(servers))
		refuse(&in, "servers", "want an array");
	json_array_foreach(servers, i, s) read_server(&in, s, v6, r);
	r->has_tcp[v6] = json_object_get(in.o, "tcp") != NULL;
	if (r->has_tcp[v6])
		read_tcp(inside(&in, "tcp"), &r->tcp[v6]);
}

/* ---- relays ---- */

static void
read_latency(struct from in, struct reading_relay *r)
{
	r->sent = get_count(&in, "sent");
	r->lost = get_count(&in, "lost");
	r->p50_ms = get_number(&in, "p50_ms", JSON_NUMBER_MAX);
	r->p95_ms = get_number(&in, "p95_ms", JSON_NUMBER_MAX);
	r->jitter_ms = get_number(&in, "jitter_ms", JSON_NUMBER_MAX);
	if (r->p95_ms < r->p50_ms)
		refuse(&in, "p95_ms", "is less than p50_ms");
}

static void
read_relay(const struct from *f, const json_t *o, struct reading_relay *r)
{
	struct from in = element(f, "relays", o), portal;
	const json_t *latency;

	if (!json_is_object(o))
		return;
	reading_name(r->name, sizeof(r->name), get_string(&in, "name"));
	r->works = get_bool(&in, "works");
	latency = need(&in, "latency");
	if (latency != NULL && !json_is_null(latency))
		read_latency(inside(&in, "latency"), r);
	if (has(&in, "captive_portal")) {
		portal = inside(&in, "captive_portal");
		r->portal = get_answer(&portal, "verdict");
	}
}

/* Only there if relays were asked. */
static void
read_relays(const struct from *f, struct reading *r)
{
	const json_t *all = json_object_get(f->o, "relays"), *o;
	size_t i;

	if (all != NULL && !json_is_array(all))
		refuse(f, "relays", "want an array");
	json_array_foreach(all, i, o)
	{
		if (r->n_relays == READING_RELAYS_MAX) {
			refuse(f, "relays", "more than 512");
			return;
		}
		read_relay(f, o, &r->relays[r->n_relays++]);
	}
}

/* ---- the whole ---- */

/* "2026-11-22T21:50:06Z": by its form alone, so that times sort as text. */
static bool
is_time(const char *s)
{
	const char *form = "0000-00-00T00:00:00Z";

	for (; *form != '\0'; form++, s++)
		if (*form == '0' ? *s < '0' || *s > '9' : *s != *form)
			return false;
	return *s == '\0';
}

static void
read_head(const struct from *f, struct reading *r)
{
	const char *time = get_string(f, "time");

	reading_name(
	    r->building, sizeof(r->building), get_string(f, "building"));
	if (!is_time(time))
		refuse(f, "time", "want a form like 2026-11-22T21:50:06Z");
	else
		memcpy(r->time, time, sizeof(r->time));
	r->complete = get_bool(f, "complete");
}

static void
read_version(const struct from *f)
{
	const json_t *v = json_object_get(f->o, "natprobe");
	char what[80];

	if (!json_is_object(f->o) || !json_is_integer(v))
		refuse(f, "", "this is no result of natprobe -json");
	else if (json_integer_value(v) != SCHEMA) {
		snprintf(what, sizeof(what),
		    "version %lld; this program reads version %d",
		    (long long)json_integer_value(v), SCHEMA);
		refuse(f, "natprobe", what);
	} else if (json_object_get(f->o, "pair") != NULL)
		refuse(f, "pair",
		    "a meeting of two; it does not say what the NAT does");
}

bool
reading_parse(struct reading *r, const char *text, size_t n,
    char error[static READING_ERROR_MAX])
{
	json_error_t e;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	bool good = true;
	struct from f = {.o = root, .error = error, .good = &good};

	memset(r, 0, sizeof(*r));
	error[0] = '\0';
	if (root == NULL) {
		/* jansson's own text quotes the input. */
		snprintf(error, READING_ERROR_MAX,
		    "line %d, column %d: this is not JSON, or not all of it",
		    e.line, e.column);
		return false;
	}
	read_version(&f);
	if (good)
		read_head(&f, r);
	if (good && json_object_get(root, "ipv4") != NULL)
		read_family(inside(&f, "ipv4"), false, r);
	if (good && json_object_get(root, "ipv6") != NULL)
		read_family(inside(&f, "ipv6"), true, r);
	if (good)
		read_relays(&f, r);
	if (good)
		read_paths(&f, r);
	if (good)
		read_dns(&f, &r->dns);
	if (good)
		read_proxy(&f, &r->proxy);
	json_decref(root);
	return good;
}

/* ---- text ---- */

/* The bytes of the character at s, and the character. */
static size_t
next_char(const unsigned char *s, uint32_t *c)
{
	size_t n = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	*c = n == 1 ? *s : *s & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++)
		*c = *c << 6 | (s[i] & 0x3f);
	return n;
}

static bool
is_shown(uint32_t c)
{
	return !(c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff);
}

void
reading_name(char *to, size_t cap, const char *s)
{
	size_t len = 0, n;
	uint32_t c;

	for (; *s != '\0'; s += n) {
		n = next_char((const unsigned char *)s, &c);
		if (len + n >= cap)
			break;
		if (is_shown(c)) {
			memcpy(to + len, s, n);
			len += n;
		} else
			to[len++] = '?';
	}
	to[len] = '\0';
}

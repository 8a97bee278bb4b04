/* reading: see reading.h. PURE. */
#include "probes/natprobe/views/reading.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/probe.h"
#include "pure/ip.h"

#define SCHEMA	   1
#define NUMBER_MAX 1e6
#define WHERE_MAX  64 /* the longest is half of that */

/* The object that is read, and where it is; the first error stays. */
struct from {
	const json_t *o;
	char where[WHERE_MAX];
	char *error;
	bool *good;
};

static void
refuse(const struct from *f, const char *key, const char *what)
{
	if (!*f->good)
		return;
	*f->good = false;
	snprintf(f->error, READING_ERROR_MAX, "%s%s: %s", f->where, key, what);
}

static const json_t *
need(const struct from *f, const char *key)
{
	const json_t *v = json_object_get(f->o, key);

	if (v == NULL)
		refuse(f, key, "missing");
	return v;
}

static void
place(char where[static WHERE_MAX], const char *above, const char *key)
{
	if (snprintf(where, WHERE_MAX, "%s%s.", above, key) >= WHERE_MAX)
		where[0] = '\0';
}

static struct from
inside(const struct from *f, const char *key)
{
	struct from in = {
	    .o = need(f, key), .error = f->error, .good = f->good};

	if (in.o != NULL && !json_is_object(in.o))
		refuse(f, key, "want an object");
	place(in.where, f->where, key);
	return in;
}

static bool
get_bool(const struct from *f, const char *key)
{
	const json_t *v = need(f, key);

	if (v != NULL && !json_is_boolean(v))
		refuse(f, key, "want true or false");
	return json_is_true(v);
}

static const char *
get_string(const struct from *f, const char *key)
{
	const json_t *v = need(f, key);

	if (v != NULL && !json_is_string(v))
		refuse(f, key, "want a string");
	return json_is_string(v) ? json_string_value(v) : "";
}

/* A number from 0 to most; null is 0. */
static double
get_number(const struct from *f, const char *key, double most)
{
	const json_t *v = need(f, key);
	double d = json_number_value(v);
	char what[80];

	if (v == NULL || json_is_null(v))
		return 0;
	if (json_is_number(v) && isfinite(d) && d >= 0 && d <= most)
		return d;
	snprintf(what, sizeof(what), "want a number from 0 to %.0f", most);
	refuse(f, key, what);
	return 0;
}

static unsigned
get_count(const struct from *f, const char *key)
{
	return (unsigned)get_number(f, key, NUMBER_MAX);
}

/* ---- words ---- */

static const char *
behaviour_word(unsigned i)
{
	return behaviour_name((enum behaviour)i);
}

static const char *
reason_word(unsigned i)
{
	return reason_name((enum reason)i);
}

static const char *
assignment_word(unsigned i)
{
	return assignment_name((enum assignment)i);
}

static const char *
answer_word(unsigned i)
{
	return answer_name((enum answer)i);
}

static const char *
hairpin_word(unsigned i)
{
	return hairpin_name((enum hairpin)i);
}

static const char *
mtu_word(unsigned i)
{
	return mtu_word_name((enum mtu_word)i);
}

static const char *
reach_word(unsigned i)
{
	return reach_verdict_name((enum reach_verdict)i);
}

static unsigned
get_word(const struct from *f, const char *key, const char *(*word)(unsigned),
    unsigned n)
{
	const char *s = get_string(f, key);
	char shown[48], what[120];

	for (unsigned i = 0; i < n; i++)
		if (strcmp(s, word(i)) == 0)
			return i;
	reading_name(shown, sizeof(shown), s);
	snprintf(
	    what, sizeof(what), "\"%s\" is no verdict of this version", shown);
	refuse(f, key, what);
	return 0;
}

static enum answer
get_answer(const struct from *f, const char *key)
{
	return (enum answer)get_word(f, key, answer_word, ANSWER_YES + 1);
}

/* null: none. */
static enum reason
get_why(const struct from *f)
{
	const json_t *v = need(f, "why");

	if (v == NULL || json_is_null(v))
		return REASON_NONE;
	return (enum reason)get_word(f, "why", reason_word, REASONS);
}

/* ---- a family ---- */

/* "192.0.2.1:5" or "[2001:db8::1]:5"; null leaves the port 0. */
static void
get_endpoint(const struct from *f, const char *key, struct stun_addr *a)
{
	const json_t *v = need(f, key);
	const char *s, *colon;
	struct ip ip;
	size_t n;
	long port;
	char *end;

	if (v == NULL || json_is_null(v))
		return;
	s = get_string(f, key);
	colon = strrchr(s, ':');
	n = colon == NULL ? 0 : (size_t)(colon - s);
	if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	port = n == 0 ? 0 : strtol(colon + 1, &end, 10);
	if (port < 1 || port > 65535 || *end != '\0' || !ip_parse(&ip, s, n)) {
		refuse(f, key, "want an IP address and a port");
		return;
	}
	memcpy(a->ip, ip.b, sizeof(a->ip));
	a->port = (uint16_t)port;
}

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
	l->low = get_number(&in, "alive", NUMBER_MAX);
	l->high = get_number(&in, "dead", NUMBER_MAX);
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

/* Not there in results of a run without these questions. */
static void
read_router(const struct from *f, struct verdict_router *r)
{
	struct from in;

	if (json_object_get(f->o, "gateway") != NULL) {
		in = inside(f, "gateway");
		r->mapping_works = get_answer(&in, "mapping_works");
	}
	if (json_object_get(f->o, "nats") != NULL) {
		in = inside(f, "nats");
		r->nats = get_count(&in, "count");
		r->carrier = get_answer(&in, "carrier");
		r->guessed = strcmp(get_string(&in, "confidence"), "low") == 0;
	}
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
	struct from in = {.o = o, .error = f->error, .good = f->good};
	struct reading_server *s = &r->servers[r->n_servers];

	place(in.where, f->where, "servers");
	if (!json_is_object(o)) {
		refuse(f, "servers", "want objects");
		return;
	}
	if (r->n_servers == READING_SERVERS_MAX) {
		refuse(f, "servers", "more than natprobe ever asks");
		return;
	}
	reading_name(s->name, sizeof(s->name), get_string(&in, "name"));
	s->v6 = v6;
	s->answers = get_bool(&in, "answers");
	s->rtt_ms = get_number(&in, "rtt_ms", NUMBER_MAX);
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
	read_router(&in, &v->router);
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
	r->p50_ms = get_number(&in, "p50_ms", NUMBER_MAX);
	r->p95_ms = get_number(&in, "p95_ms", NUMBER_MAX);
	r->jitter_ms = get_number(&in, "jitter_ms", NUMBER_MAX);
	if (r->p95_ms < r->p50_ms)
		refuse(&in, "p95_ms", "is less than p50_ms");
}

static void
read_relay(const struct from *f, const json_t *o, struct reading_relay *r)
{
	struct from in = {.o = o, .error = f->error, .good = f->good};
	const json_t *latency;

	place(in.where, f->where, "relays");
	reading_name(r->name, sizeof(r->name), get_string(&in, "name"));
	r->works = get_bool(&in, "works");
	latency = need(&in, "latency");
	if (latency != NULL && !json_is_null(latency))
		read_latency(inside(&in, "latency"), r);
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
		if (!json_is_object(o)) {
			refuse(f, "relays", "want objects");
			return;
		}
		if (r->n_relays == READING_RELAYS_MAX) {
			refuse(f, "relays", "more than 512");
			return;
		}
		read_relay(f, o, &r->relays[r->n_relays++]);
	}
}

/* ---- the path: only there since it is looked at ---- */

static void
read_way(struct from in, struct mtu_way *w)
{
	w->word = get_word(&in, "verdict", mtu_word, MTU_WORDS);
	w->passes = (uint16_t)get_number(&in, "passes", 65535);
	w->fails = (uint16_t)get_number(&in, "fails", 65535);
}

static void
read_mtu(struct from path, struct mtu_verdict *v)
{
	struct from m = inside(&path, "mtu");
	struct from f = inside(&path, "fragments");
	struct from part;

	read_way(inside(&m, "outbound"), &v->out);
	read_way(inside(&m, "inbound"), &v->in);
	v->fits = get_answer(&m, "tailscale_fits");
	v->needs = (uint16_t)get_number(&m, "tailscale_needs", 65535);
	part = inside(&f, "outbound");
	v->fragments_out = get_answer(&part, "passes");
	part = inside(&f, "inbound");
	v->fragments_in = get_answer(&part, "passes");
}

static void
read_family_path(
    const struct from *f, const char *family, struct reading_path *p)
{
	struct from all = inside(f, "path"), fam = inside(f, family), part;

	if (json_object_get(all.o, family) != NULL)
		read_mtu(inside(&all, family), &p->mtu);
	if (json_object_get(fam.o, "udp_blocked") != NULL) {
		part = inside(&fam, "udp_blocked");
		p->blocked =
		    get_word(&part, "verdict", reach_word, REACH_VERDICTS);
	}
	if (json_object_get(fam.o, "alg") != NULL) {
		part = inside(&fam, "alg");
		p->alg = get_answer(&part, "verdict");
	}
}

static void
read_paths(const struct from *f, struct reading *r)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	struct from dns, part;

	if (json_object_get(f->o, "path") != NULL)
		for (int v6 = 0; v6 < 2; v6++)
			if (r->site.asked[v6])
				read_family_path(f, families[v6], &r->path[v6]);
	if (json_object_get(f->o, "dns") == NULL)
		return;
	dns = inside(f, "dns");
	part = inside(&dns, "nonexistent");
	r->dns_rewritten =
	    strcmp(get_string(&part, "verdict"), "rewritten") == 0;
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

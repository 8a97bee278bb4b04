/* natcore_kit: packets made, read and summed up without natcore's help. */
#include <stdlib.h>

#include "pure/cursor.h"
#include "tests/unit/natcore_kit.h"

static const struct {
	const char *name, *ip;
} names[] = {
    {"a", "10.0.0.1"},
    {"b", "10.0.0.2"},
    {"c", "10.0.0.3"},
    {"R", "10.0.9.9"},
    {"G", "10.0.0.254"},
    {"E", "198.51.100.1"},
    {"F", "198.51.100.2"},
    {"H", "198.51.100.3"},
    {"S", "203.0.113.1"},
    {"T", "203.0.113.2"},
    {"U", "192.0.2.9"},
    {"a6", "fd00::1"},
    {"b6", "fd00::2"},
    {"G6", "fd00::254"},
    {"S6", "2001:db8::1"},
    {"T6", "2001:db8::2"},
};

#define NAMES (sizeof(names) / sizeof(names[0]))

struct ip
box_ip(const char *name)
{
	const char *text = name;
	struct ip a;

	for (size_t i = 0; i < NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			text = names[i].ip;
	if (!ip_parse(&a, text, strlen(text))) {
		printf("Bail out! %s: no address\n", name);
		exit(1);
	}
	return a;
}

static const char *
ip_name(const struct ip *a, char text[static IP_TEXT_MAX])
{
	ip_text(a, text);
	for (size_t i = 0; i < NAMES; i++)
		if (strcmp(names[i].ip, text) == 0)
			return names[i].name;
	return text;
}

/* ---- making ---- */

static uint32_t
sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	return s;
}

static uint16_t
fold(uint32_t s)
{
	while (s >> 16 != 0)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

void
v4_fix(uint8_t *p)
{
	uint16_t s;

	p[10] = p[11] = 0;
	s = (uint16_t)~fold(sum(0, p, (size_t)(p[0] & 15) * 4));
	p[10] = (uint8_t)(s >> 8);
	p[11] = (uint8_t)s;
}

static size_t
head_size(bool v4)
{
	return v4 ? 20 : 40;
}

static uint16_t
upper_sum(const uint8_t *p, size_t n, size_t head, unsigned protocol)
{
	bool v4 = p[0] >> 4 == 4;
	uint32_t s = sum(0, p + head, n - head);

	if (protocol != 1) {
		s = sum(s, p + (v4 ? 12 : 8), v4 ? 8 : 32);
		s += (uint32_t)(n - head) + protocol;
	}
	return fold(s);
}

/* IP around what is behind head already; the checksum is `at` bytes in. */
static size_t
make_ip(uint8_t *out, const struct ip *src, const struct ip *dst,
    unsigned protocol, size_t upper, size_t at)
{
	static uint16_t id;
	bool v4 = ip_is_v4(src);
	size_t head = head_size(v4), n = head + upper;
	uint16_t s;
	struct wr w;

	wr_init(&w, out, head);
	if (v4) {
		wr_u16(&w, 0x4500);
		wr_u16(&w, (uint16_t)n);
		wr_u16(&w, ++id);
		wr_u16(&w, 0);
		wr_u8(&w, 63);
		wr_u8(&w, (uint8_t)protocol);
		wr_u16(&w, 0);
		wr_bytes(&w, src->b + 12, 4);
		wr_bytes(&w, dst->b + 12, 4);
		v4_fix(out);
	} else {
		wr_u32(&w, 0x60000000);
		wr_u16(&w, (uint16_t)upper);
		wr_u8(&w, (uint8_t)protocol);
		wr_u8(&w, 63);
		wr_bytes(&w, src->b, 16);
		wr_bytes(&w, dst->b, 16);
	}
	s = (uint16_t)~upper_sum(out, n, head, protocol);
	if (s == 0 && protocol == 17)
		s = 0xffff;
	out[head + at] = (uint8_t)(s >> 8);
	out[head + at + 1] = (uint8_t)s;
	return n;
}

size_t
make_udp(uint8_t *out, const struct pair *e, size_t payload)
{
	uint8_t *udp = out + head_size(ip_is_v4(&e->src));
	struct wr w;

	wr_init(&w, udp, 8);
	wr_u16(&w, e->sport);
	wr_u16(&w, e->dport);
	wr_u16(&w, (uint16_t)(8 + payload));
	wr_u16(&w, 0);
	for (size_t i = 0; i < payload; i++)
		udp[8 + i] = (uint8_t)(i * 7 + e->sport);
	return make_ip(out, &e->src, &e->dst, 17, 8 + payload, 6);
}

size_t
make_tcp(uint8_t *out, const struct pair *e, unsigned flags)
{
	uint8_t *tcp = out + head_size(ip_is_v4(&e->src));
	struct wr w;

	wr_init(&w, tcp, 20);
	wr_u16(&w, e->sport);
	wr_u16(&w, e->dport);
	wr_u32(&w, 1000);
	wr_u32(&w, flags & 0x10 ? 2000 : 0);
	wr_u8(&w, 5 << 4);
	wr_u8(&w, (uint8_t)flags);
	wr_u16(&w, 1024);
	wr_u32(&w, 0);
	return make_ip(out, &e->src, &e->dst, 6, 20, 16);
}

size_t
make_echo(uint8_t *out, const struct pair *e, bool request)
{
	bool v4 = ip_is_v4(&e->src);
	struct wr w;

	wr_init(&w, out + head_size(v4), 12);
	wr_u8(&w, v4 ? (request ? 8 : 0) : request ? 128 : 129);
	wr_u8(&w, 0);
	wr_u16(&w, 0);
	wr_u16(&w, request ? e->sport : e->dport);
	wr_u16(&w, 1);
	wr_u32(&w, 0xabcdef01);
	return make_ip(out, &e->src, &e->dst, v4 ? 1 : 58, 12, 2);
}

size_t
make_unreach(uint8_t *out, const struct ip *src, const struct ip *dst,
    const void *quote, size_t n)
{
	bool v4 = ip_is_v4(src);
	struct wr w;

	wr_init(&w, out + head_size(v4), 8 + n);
	wr_u8(&w, v4 ? 3 : 1);
	wr_u8(&w, v4 ? 3 : 4);
	wr_u16(&w, 0);
	wr_u32(&w, 0);
	wr_bytes(&w, quote, n);
	return make_ip(out, src, dst, v4 ? 1 : 58, 8 + n, 2);
}

/* ---- reading ---- */

struct view {
	bool v4, fragment, more;
	size_t head, total, at;
	unsigned protocol;
	struct ip src, dst;
};

static bool
view(struct view *v, const uint8_t *p, size_t n)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct rd r;
	unsigned flags;

	*v = (struct view){.v4 = n > 0 && p[0] >> 4 == 4};
	rd_init(&r, p, n);
	v->head = v->v4 ? (size_t)(rd_u8(&r) & 15) * 4 : 40;
	rd_skip(&r, v->v4 ? 1 : 4);
	v->total = rd_u16(&r);
	if (v->v4) {
		rd_skip(&r, 2);
		flags = rd_u16(&r);
		v->more = flags & 0x2000;
		v->at = (flags & 0x1fff) * 8;
		rd_skip(&r, 1);
		v->protocol = rd_u8(&r);
		rd_skip(&r, 2);
		memcpy(v->src.b, mapped, 12);
		memcpy(v->dst.b, mapped, 12);
		rd_copy(&r, v->src.b + 12, 4);
		rd_copy(&r, v->dst.b + 12, 4);
	} else {
		v->total += 40;
		v->protocol = rd_u8(&r);
		rd_skip(&r, 1);
		rd_copy(&r, v->src.b, 16);
		rd_copy(&r, v->dst.b, 16);
		if (v->protocol == 44) { /* fragment header */
			v->protocol = rd_u8(&r);
			rd_skip(&r, 1);
			flags = rd_u16(&r);
			v->at = flags & 0xfff8;
			v->more = flags & 1;
			v->head = 48;
		}
	}
	v->fragment = v->more || v->at != 0;
	return !r.bad && v->head <= n;
}

static bool
is_error(const struct view *v, const uint8_t *p)
{
	uint8_t type = p[v->head];

	return v->protocol == 1 ? type == 3 || type == 11
				: v->protocol == 58 && type < 128;
}

static const char *
quote_fault(const uint8_t *p, size_t n)
{
	struct view v;

	if (!view(&v, p, n))
		return "quote is short";
	if (v.v4 && fold(sum(0, p, v.head)) != 0xffff)
		return "quoted IP checksum";
	if (v.total != n || v.fragment)
		return NULL; /* cut: the rest cannot be summed up */
	if (v.protocol == 17 && p[v.head + 6] == 0 && p[v.head + 7] == 0)
		return NULL;
	return upper_sum(p, n, v.head, v.protocol) == 0xffff
	    ? NULL
	    : "quoted upper checksum";
}

const char *
packet_fault(const uint8_t *p, size_t n)
{
	struct view v;

	if (!view(&v, p, n))
		return "short";
	if (v.total != n)
		return "length";
	if (v.v4 && fold(sum(0, p, v.head)) != 0xffff)
		return "IP checksum";
	if (v.fragment)
		return NULL;
	if (v.protocol == 17 && p[v.head + 6] == 0 && p[v.head + 7] == 0)
		return v.v4 ? NULL : "no checksum in IPv6";
	if (upper_sum(p, n, v.head, v.protocol) != 0xffff)
		return "upper checksum";
	if (is_error(&v, p))
		return quote_fault(p + v.head + 8, n - v.head - 8);
	return NULL;
}

const char *
packet_text(char text[static TEXT_MAX], const uint8_t *p, size_t n)
{
	char s[IP_TEXT_MAX], d[IP_TEXT_MAX], inner[TEXT_MAX];
	const char *sn, *dn;
	struct view v;
	struct rd r;
	unsigned x, y;

	snprintf(text, TEXT_MAX, "short packet");
	if (!view(&v, p, n))
		return text;
	sn = ip_name(&v.src, s);
	dn = ip_name(&v.dst, d);
	rd_init(&r, p + v.head, n - v.head);
	x = rd_u16(&r);
	y = rd_u16(&r);
	if (v.fragment)
		snprintf(text, TEXT_MAX, "frag %zu%s %s>%s", v.at,
		    v.more ? "+" : "", sn, dn);
	else if (v.protocol == 17)
		snprintf(text, TEXT_MAX, "udp %s:%u>%s:%u", sn, x, dn, y);
	else if (v.protocol == 6) {
		rd_skip(&r, 9);
		snprintf(
		    text, 256, "tcp %02x %s:%u>%s:%u", rd_u8(&r), sn, x, dn, y);
	} else if ((v.protocol == 1 || v.protocol == 58) && is_error(&v, p)) {
		packet_text(inner, p + v.head + 8, n - v.head - 8);
		snprintf(text, TEXT_MAX, "icmp %u/%u %s>%s (%.120s)", x >> 8,
		    x & 255, sn, dn, inner);
	} else {
		x = rd_u16(&r);
		snprintf(text, TEXT_MAX, "echo %s:%u>%s:%u", sn, x, dn, x);
	}
	return text;
}

/* ---- boxes ---- */

static void
box_emit(void *arg, enum nat_side to, const uint8_t *p, size_t n)
{
	struct box *b = arg;
	struct box_packet *g;

	if (b->count < BOX_PACKETS && n <= sizeof(g->p)) {
		g = &b->got[b->count];
		g->to = to;
		g->at = b->now;
		g->n = n;
		memcpy(g->p, p, n);
	}
	b->count++;
}

static void
knobs_apply(struct nat_config *c, const char *knobs)
{
	char text[1024], error[NAT_ERROR_MAX] = "not JSON";
	json_t *object;
	int len = (int)strlen(knobs);

	while (len > 0 && strchr(", ", knobs[len - 1]) != NULL)
		len--;
	snprintf(text, sizeof(text), "{%.*s}", len, knobs);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	object = json_loads(text, 0, NULL);
	if (object == NULL || !nat_config_read(c, object, error)) {
		printf("Bail out! knobs %s: %s\n", text, error);
		exit(1);
	}
	json_decref(object);
}

void
box_init(struct box *b, const char *knobs)
{
	struct nat_config c = nat_config_default();

	knobs_apply(&c,
	    "'external': ['198.51.100.1'], "
	    "'inside_address': '10.0.0.254', "
	    "'inside_address6': 'fd00::254'");
	knobs_apply(&c, knobs);
	b->now = (struct mono){1000000};
	b->count = 0;
	b->nat = nat_new(&c, b->now, box_emit, b);
}

void
box_clear(struct box *b)
{
	nat_free(b->nat);
}

void
box_knobs(struct box *b, const char *knobs)
{
	struct nat_config c;

	nat_run(b->nat, b->now);
	c = *nat_config(b->nat);
	knobs_apply(&c, knobs);
	nat_configure(b->nat, &c, b->now);
}

void
box_send(struct box *b, enum nat_side from, const void *p, size_t n)
{
	nat_input(b->nat, from, p, n, b->now);
}

void
box_wait(struct box *b, double seconds)
{
	struct mono end = mono_add_us(b->now, (int64_t)(seconds * 1e6 + 0.5));

	for (;;) {
		struct mono due = nat_deadline(b->nat);

		if (due.us == 0 || due.us > end.us)
			break;
		b->now = due;
		nat_run(b->nat, b->now);
	}
	b->now = end;
	nat_run(b->nat, b->now);
}

/* ---- scripts ---- */

struct run {
	struct box box;
	int vars[26]; /* ports by letter, -1: not set */
	char why[600];
};

/* "a:1000" or "a:p". */
static bool
end_parse(struct run *r, const char *text, struct ip *ip, uint16_t *port)
{
	char name[64];
	const char *colon = strrchr(text, ':');
	size_t n = colon == NULL ? strlen(text) : (size_t)(colon - text);

	if (n >= sizeof(name))
		return false;
	memcpy(name, text, n);
	name[n] = '\0';
	*ip = box_ip(name);
	*port = 0;
	if (colon != NULL && colon[1] >= 'a' && colon[1] <= 'z')
		*port = (uint16_t)r->vars[colon[1] - 'a'];
	else if (colon != NULL)
		*port = (uint16_t)strtoul(colon + 1, NULL, 10);
	return true;
}

/* A pattern's port against the text; moves both on. */
static bool
port_match(struct run *r, const char **want, const char **got)
{
	char mode = **want == '?' || **want == '!' ? *(*want)++ : '=';
	char *end;
	long port = strtol(*got, &end, 10);
	long known;

	if (end == *got)
		return false;
	*got = end;
	if (**want < 'a' || **want > 'z') {
		known = strtol(*want, &end, 10);
		*want = end;
	} else {
		if (mode == '?')
			r->vars[**want - 'a'] = (int)port;
		known = r->vars[*(*want)++ - 'a'];
	}
	return mode == '!' ? port != known : port == known;
}

static bool
text_match(struct run *r, const char *want, const char *got)
{
	while (*want != '\0') {
		if (*want != *got)
			return false;
		want++;
		got++;
		if (want[-1] == ':' && !port_match(r, &want, &got))
			return false;
	}
	return *got == '\0';
}

/* What is expected of one packet, `half` of which may be left out: "E:9" is
 * the source of a packet that goes out, or the destination of one that comes
 * in. */
static bool
packet_match(struct run *r, const char *want, const struct box_packet *g)
{
	char text[TEXT_MAX], *p;

	packet_text(text, g->p, g->n);
	if (strncmp(want, "out ", 4) == 0 || strncmp(want, "in ", 3) == 0) {
		bool out = *want == 'o';

		return (g->to == NAT_OUTSIDE) == out &&
		    text_match(r, want + (out ? 4 : 3), text);
	}
	p = strrchr(text, ' ') + 1;
	if (strchr(want, '>') != NULL)
		return text_match(r, want, p);
	if (g->to == NAT_OUTSIDE) {
		*strchr(p, '>') = '\0';
		return text_match(r, want, p);
	}
	return text_match(r, want, strchr(p, '>') + 1);
}

static size_t
script_packet(
    struct run *r, const char *kind, char *src, char *dst, uint8_t *out)
{
	static const struct {
		const char *name;
		unsigned flags;
	} tcp[] = {
	    {"syn", 2}, {"synack", 18}, {"ack", 16}, {"fin", 17}, {"rst", 4}};
	struct pair e;

	if (!end_parse(r, src, &e.src, &e.sport) ||
	    !end_parse(r, dst, &e.dst, &e.dport))
		return 0;
	if (strcmp(kind, "udp") == 0)
		return make_udp(out, &e, 12);
	if (strcmp(kind, "big") == 0)
		return make_udp(out, &e, 1400);
	if (strcmp(kind, "ping") == 0 || strcmp(kind, "pong") == 0)
		return make_echo(out, &e, kind[1] == 'i');
	for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
		if (strcmp(kind, tcp[i].name) == 0)
			return make_tcp(out, &e, tcp[i].flags);
	return 0;
}

/* "unreach FROM SRC>DST": an error from there about a UDP packet, to its
 * source; "unreachtcp" about a TCP one, "unreachping" about an echo. */
static size_t
script_error(
    struct run *r, const char *kind, char *from, char *about, uint8_t *out)
{
	char *dst = strchr(about, '>');
	uint8_t quote[2048];
	struct ip ip, to;
	uint16_t port;
	size_t n;

	if (dst == NULL)
		return 0;
	*dst++ = '\0';
	kind += strlen("unreach");
	n = script_packet(r,
	    *kind == '\0'		   ? "udp"
		: strcmp(kind, "tcp") == 0 ? "ack"
					   : kind,
	    about, dst, quote);
	end_parse(r, from, &ip, &port);
	end_parse(r, about, &to, &port);
	return make_unreach(out, &ip, &to, quote, n);
}

/* All that came out against "A", "A & B", or "-". */
static bool
results_match(struct run *r, char *want)
{
	struct box *b = &r->box;
	size_t i = 0;
	char *save, *one;

	for (size_t j = 0; j < b->count; j++) {
		const char *fault = packet_fault(b->got[j].p, b->got[j].n);

		if (fault != NULL) {
			snprintf(r->why, sizeof(r->why), "wrong %s", fault);
			return false;
		}
	}
	if (strcmp(want, "-") == 0)
		return b->count == 0;
	for (one = strtok_r(want, "&", &save); one != NULL;
	     one = strtok_r(NULL, "&", &save)) {
		one += strspn(one, " ");
		one[strcspn(one, "&")] = '\0';
		while (*one != '\0' && one[strlen(one) - 1] == ' ')
			one[strlen(one) - 1] = '\0';
		if (i >= b->count || !packet_match(r, one, &b->got[i]))
			return false;
		i++;
	}
	return i == b->count;
}

static void
results_show(struct run *r)
{
	char text[TEXT_MAX];
	size_t at = strlen(r->why);

	for (size_t i = 0; i < r->box.count && i < 4; i++)
		at += (size_t)snprintf(r->why + at, sizeof(r->why) - at,
		    "\n#   got: %s %s",
		    r->box.got[i].to == NAT_INSIDE ? "in" : "out",
		    packet_text(text, r->box.got[i].p, r->box.got[i].n));
	if (r->box.count == 0)
		snprintf(
		    r->why + at, sizeof(r->why) - at, "\n#   got: nothing");
}

static bool
line_run(struct run *r, char *line)
{
	char dir[8], kind[16], src[64], dst[64], copy[256];
	uint8_t packet[2048];
	size_t n;
	char *want = strstr(line, " = ");

	if (strncmp(line, "wait ", 5) == 0) {
		box_wait(&r->box, strtod(line + 5, NULL));
		r->box.count = 0;
		return true;
	}
	if (strncmp(line, "hear ", 5) == 0) {
		r->box.count = 0;
		box_wait(&r->box, strtod(line + 5, NULL));
		snprintf(copy, sizeof(copy), "%s", want + 3);
		n = results_match(r, copy);
		results_show(r);
		r->box.count = 0;
		return n != 0;
	}
	if (strncmp(line, "knobs ", 6) == 0) {
		box_knobs(&r->box, line + 6);
		return true;
	}
	if (strcmp(line, "flush") == 0) {
		nat_flush(r->box.nat);
		return true;
	}
	if (want == NULL ||
	    sscanf(line, "%7s %15s %63s %63s", dir, kind, src, dst) != 4) {
		snprintf(r->why, sizeof(r->why), "no such line");
		return false;
	}
	n = strncmp(kind, "unreach", 7) == 0
	    ? script_error(r, kind, src, dst, packet)
	    : script_packet(r, kind, src, dst, packet);
	if (n == 0) {
		snprintf(r->why, sizeof(r->why), "no such packet");
		return false;
	}
	r->box.count = 0;
	box_send(&r->box, *dir == 'o' ? NAT_INSIDE : NAT_OUTSIDE, packet, n);
	snprintf(copy, sizeof(copy), "%s", want + 3);
	if (results_match(r, copy))
		return true;
	results_show(r);
	return false;
}

bool
nat_case_passes(const struct nat_case *c)
{
	static struct run r;
	char script[4096], *save, *line;
	bool good = true;

	memset(&r, 0, sizeof(r));
	memset(r.vars, 0xff, sizeof(r.vars));
	box_init(&r.box, c->knobs);
	snprintf(script, sizeof(script), "%s", c->script);
	for (line = strtok_r(script, "\n", &save); good && line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		char shown[256];

		snprintf(shown, sizeof(shown), "%s", line);
		good = line_run(&r, line);
		if (!good)
			printf("# %s: %s %s\n", c->name, shown, r.why);
		r.why[0] = '\0';
	}
	box_clear(&r.box);
	return good;
}

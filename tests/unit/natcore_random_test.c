/*
 * natcore beside a second, plain model of RFC 4787, with random traffic for
 * each kind of mapping, filter and port assignment: every packet must come
 * out as the model says, to the microsecond, and no two internal endpoints
 * may ever have the same external one.
 */
#include <stdlib.h>

#include "tests/unit/natcore_kit.h"

enum { HOSTS = 3, PORTS = 3, LOCALS = HOSTS * PORTS };
enum { SERVERS = 3, REMOTES = SERVERS * 2 };
enum { GROUPS = 4096, STEPS = 3000 };
#define TTL 10000000LL

/* What an internal endpoint is mapped to, for some of the remotes. */
struct group {
	int local, remote;
	uint16_t port;
	int64_t until;
};

static struct {
	struct box box;
	int mapping, filtering; /* index into rules */
	struct group groups[GROUPS];
	int count;
	int bound[LOCALS][REMOTES]; /* a group, or -1 */
	bool opened[LOCALS][REMOTES];
	uint64_t rng;
	bool parity;
	int faults;
} m;

static const char *const rules[] = {"endpoint-independent", "address-dependent",
    "address-and-port-dependent", "port-dependent"};

static unsigned
draw(unsigned n)
{
	m.rng = m.rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)((m.rng >> 33) % n);
}

static bool
matches(int rule, int a, int b)
{
	bool ip = a / 2 == b / 2, port = a % 2 == b % 2;

	return rule == 0 ? true
	    : rule == 1	 ? ip
	    : rule == 2	 ? ip && port
			 : port;
}

static bool
lives(int g)
{
	return g >= 0 && m.box.now.us < m.groups[g].until;
}

static struct ip
local_ip(int local)
{
	static const char *const hosts[] = {"a", "b", "c"};

	return box_ip(hosts[local / PORTS]);
}

/* The hosts have the same ports. */
static uint16_t
local_port(int local)
{
	return (uint16_t)(41641 + local % PORTS);
}

static struct ip
remote_ip(int remote)
{
	static const char *const servers[] = {"S", "T", "U"};

	return box_ip(servers[remote / 2]);
}

static uint16_t
remote_port(int remote)
{
	return (uint16_t)(3478 + remote % 2);
}

static void
fault(const char *what)
{
	if (m.faults++ < 5)
		printf("# %s\n", what);
}

/* The one packet that came out; NULL if none did. */
static const struct box_packet *
came(enum nat_side to)
{
	const struct box_packet *g = &m.box.got[0];

	if (m.box.count == 0)
		return NULL;
	if (m.box.count > 1 || g->to != to || packet_fault(g->p, g->n) != NULL)
		fault("wrong packet");
	return g;
}

static uint16_t
port_at(const struct box_packet *g, size_t at)
{
	return (uint16_t)(g->p[at] << 8 | g->p[at + 1]);
}

static void
send_udp(enum nat_side from, const struct pair *e)
{
	uint8_t p[128];

	m.box.count = 0;
	box_send(&m.box, from, p, make_udp(p, e, draw(30)));
}

/* ---- the model ---- */

static int
group_new(int local, int remote, uint16_t port)
{
	for (int g = 0; g < m.count; g++)
		if (lives(g) && m.groups[g].port == port)
			fault("two mappings with one port");
	if (m.parity && port % 2 != local_port(local) % 2)
		fault("parity");
	m.groups[m.count] = (struct group){local, remote, port, 0};
	return m.count++;
}

static void
outbound(int local, int remote)
{
	struct pair e = {local_ip(local), remote_ip(remote), local_port(local),
	    remote_port(remote)};
	const struct box_packet *got;
	int group = lives(m.bound[local][remote]) ? m.bound[local][remote] : -1;

	for (int g = 0; group < 0 && g < m.count; g++)
		if (lives(g) && m.groups[g].local == local &&
		    matches(m.mapping, m.groups[g].remote, remote))
			group = g;
	send_udp(NAT_INSIDE, &e);
	got = came(NAT_OUTSIDE);
	if (got == NULL) {
		fault("nothing went out");
		return;
	}
	if (group < 0)
		group = group_new(local, remote, port_at(got, 20));
	if (m.groups[group].port != port_at(got, 20))
		fault("another mapping");
	m.groups[group].until = m.box.now.us + TTL;
	if (m.bound[local][remote] != group)
		m.opened[local][remote] = false;
	m.bound[local][remote] = group;
	m.opened[local][remote] = true;
}

static bool
admits(int group, int remote)
{
	int local = m.groups[group].local;

	if (m.filtering == 0)
		return true;
	for (int r = 0; r < REMOTES; r++)
		if (m.bound[local][r] == group && m.opened[local][r] &&
		    matches(m.filtering, r, remote))
			return true;
	return false;
}

static void
inbound(uint16_t port, int remote)
{
	struct pair e = {
	    remote_ip(remote), box_ip("E"), remote_port(remote), port};
	const struct box_packet *got;
	struct ip want;
	int group = -1, local;

	for (int g = 0; g < m.count; g++)
		if (lives(g) && m.groups[g].port == port)
			group = g;
	send_udp(NAT_OUTSIDE, &e);
	got = came(NAT_INSIDE);
	if ((group >= 0 && admits(group, remote)) != (got != NULL)) {
		fault(got == NULL ? "was filtered" : "was let in");
		return;
	}
	if (got == NULL)
		return;
	local = m.groups[group].local;
	want = local_ip(local);
	if (memcmp(got->p + 16, want.b + 12, 4) != 0 ||
	    port_at(got, 22) != local_port(local))
		fault("went to somebody else");
	if (!lives(m.bound[local][remote])) {
		m.bound[local][remote] = group;
		m.opened[local][remote] = false;
	}
}

/* Some time later: often exactly when a mapping ends, or just before. */
static void
later(void)
{
	int64_t by = draw(TTL / 20);

	if (m.count > 0 && draw(4) == 0) {
		int g = m.count - 1 -
		    (int)draw((unsigned)(m.count < 20 ? m.count : 20));

		by = m.groups[g].until - m.box.now.us - draw(2);
	}
	if (by > 0)
		m.box.now.us += by;
}

static void
run(int mapping, int filtering, const char *ports, bool parity, uint64_t seed)
{
	char knobs[512], what[128];

	m.mapping = mapping;
	m.filtering = filtering;
	m.parity = parity;
	m.count = m.faults = 0;
	m.rng = seed;
	memset(m.bound, 0xff, sizeof(m.bound));
	memset(m.opened, 0, sizeof(m.opened));
	snprintf(knobs, sizeof(knobs),
	    "'mapping': '%s', 'filtering': '%s', 'ports': '%s', "
	    "'parity': %s, 'seed': %d, 'ttl_single': 10, 'ttl_exchange': 10, "
	    "'refresh': 'outbound'",
	    rules[mapping], rules[filtering], ports, parity ? "true" : "false",
	    (int)seed);
	box_init(&m.box, knobs);
	for (int i = 0; i < STEPS; i++) {
		int remote = (int)draw(REMOTES);

		later();
		if (draw(2) == 0 && m.count > 0) {
			unsigned back =
			    draw((unsigned)(m.count < 30 ? m.count : 30));

			inbound(m.groups[m.count - 1 - (int)back].port, remote);
		} else
			outbound((int)draw(LOCALS), remote);
	}
	box_clear(&m.box);
	snprintf(what, sizeof(what), "%s, %s, %s%s", rules[mapping],
	    rules[filtering], ports, parity ? ", parity" : "");
	eq_int(m.faults, 0, what);
}

/* Neighbours stay neighbours, whichever is first. */
static void
test_contiguity(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 0, 9};
	uint16_t low, high;
	int good = 0;

	box_init(&m.box, "'ports': 'random', 'contiguity': true");
	for (int i = 0; i < 50; i++) {
		e.sport = (uint16_t)(5000 + 4 * i + i % 2);
		send_udp(NAT_INSIDE, &e);
		low = port_at(&m.box.got[0], 20);
		e.sport = (uint16_t)(i % 2 == 0 ? e.sport + 1 : e.sport - 1);
		send_udp(NAT_INSIDE, &e);
		high = port_at(&m.box.got[0], 20);
		good += high - low == (i % 2 == 0 ? 1 : -1);
	}
	eq_int(good, 50, "contiguity");
	box_clear(&m.box);
}

/* Random ports are spread over the whole range, and differ by the seed. */
static void
test_spread(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 0, 9};
	uint16_t first[2];
	int low = 0;

	for (int seed = 0; seed < 2; seed++) {
		char knobs[64];

		snprintf(knobs, sizeof(knobs), "'ports': 'random', 'seed': %d",
		    seed);
		box_init(&m.box, knobs);
		for (int i = 0; i < 1000; i++) {
			e.sport = (uint16_t)(5000 + i);
			send_udp(NAT_INSIDE, &e);
			if (i == 0)
				first[seed] = port_at(&m.box.got[0], 20);
			low += port_at(&m.box.got[0], 20) < 33280;
		}
		box_clear(&m.box);
	}
	ok(low > 900 && low < 1100, "random ports: half in each half");
	ok(first[0] != first[1], "others with another seed");
}

/* Many mappings at once: the whole table is used, and found again. */
static void
test_many(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 0, 9};
	struct pair in = {box_ip("S"), box_ip("E"), 9, 0};
	int good = 0;

	box_init(&m.box, "'ports': 'random'");
	for (int i = 0; i < NAT_MAPPINGS_MAX; i++) {
		e.sport = (uint16_t)(i + 1);
		send_udp(NAT_INSIDE, &e);
		in.dport = port_at(&m.box.got[0], 20);
		send_udp(NAT_OUTSIDE, &in);
		good +=
		    m.box.count == 1 && port_at(&m.box.got[0], 22) == e.sport;
	}
	eq_int(good, NAT_MAPPINGS_MAX, "the whole table is used");
	e.sport++;
	send_udp(NAT_INSIDE, &e);
	eq_int((int64_t)m.box.count, 0, "and no more");
	eq_int((int64_t)nat_counter(m.box.nat, NAT_DROP_FULL), 1, "counted");
	box_wait(&m.box, 301);
	send_udp(NAT_INSIDE, &e);
	eq_int((int64_t)m.box.count, 1, "until they are dead");
	box_clear(&m.box);
}

int
main(void)
{
	static const char *const ports[] = {
	    "preserve", "sequential", "random", "block"};

	for (int mapping = 0; mapping < 4; mapping++)
		for (int filtering = 0; filtering < 4; filtering++)
			for (int i = 0; i < 4; i++)
				run(mapping, filtering, ports[i], i == 1,
				    16 * (uint64_t)mapping +
					4 * (uint64_t)filtering + (uint64_t)i);
	test_contiguity();
	test_spread();
	test_many();
	return tap_done();
}

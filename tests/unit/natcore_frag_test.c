/* natcore: fragments, packets too big for a link, and broken packets. */
#include "tests/unit/natcore_kit.h"

enum { PART = 1000 }; /* of the datagram's 2008 bytes behind the header */

struct parts {
	struct box box;
	uint8_t whole[2100], part[3][1100];
	size_t n[3], size;
};

static struct parts t;

static void
put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t
cut(const uint8_t *whole, size_t size, size_t at, size_t len, uint8_t *out)
{
	bool more = 20 + at + len < size;

	memcpy(out, whole, 20);
	memcpy(out + 20, whole + 20 + at, len);
	put16(out + 2, 20 + len);
	put16(out + 6, (more ? 0x2000u : 0u) | at / 8);
	v4_fix(out);
	return 20 + len;
}

/* A mapping of a:5000, and a datagram of three fragments to it. */
static void
parts_init(const char *knobs)
{
	struct pair out = {box_ip("a"), box_ip("S"), 5000, 1};
	struct pair in = {box_ip("S"), box_ip("E"), 1, 5000};
	uint8_t p[64];

	box_init(&t.box, knobs);
	box_send(&t.box, NAT_INSIDE, p, make_udp(p, &out, 0));
	t.box.count = 0;
	t.size = make_udp(t.whole, &in, 2000);
	t.n[0] = cut(t.whole, t.size, 0, PART, t.part[0]);
	t.n[1] = cut(t.whole, t.size, PART, PART, t.part[1]);
	t.n[2] = cut(t.whole, t.size, 2 * (size_t)PART, 8, t.part[2]);
}

/* Sends fragments in that order, and says how many packets came out of each:
 * "111". */
static void
send_parts(const char *order, const char *want, const char *what)
{
	char got[16] = "";
	size_t i;

	for (i = 0; order[i] != '\0'; i++) {
		int k = order[i] - '0';
		size_t before = t.box.count;

		box_send(&t.box, NAT_OUTSIDE, t.part[k], t.n[k]);
		got[i] = (char)('0' + (t.box.count - before));
	}
	got[i] = '\0';
	eq_str(got, want, what);
}

/* What came out, put together, is the datagram to a:5000. */
static void
check_whole(const char *what)
{
	uint8_t whole[2100] = {0};
	size_t have = 0;

	for (size_t i = 0; i < t.box.count; i++) {
		const struct box_packet *g = &t.box.got[i];
		size_t at = (size_t)((g->p[6] & 31) << 8 | g->p[7]) * 8;

		if (packet_fault(g->p, g->n) != NULL || g->to != NAT_INSIDE)
			break;
		if (at == 0)
			memcpy(whole, g->p, 20);
		memcpy(whole + 20 + at, g->p + 20, g->n - 20);
		have += g->n - 20;
	}
	put16(whole + 2, 20 + have);
	put16(whole + 6, 0);
	v4_fix(whole);
	ok(have == t.size - 20 && packet_fault(whole, 20 + have) == NULL &&
		memcmp(whole + 16, "\x0a\0\0\1", 4) == 0 &&
		memcmp(whole + 22, "\x13\x88", 2) == 0,
	    what);
}

static void
test_fragments(void)
{
	parts_init("'fragments': 'pass'");
	send_parts("012", "111", "pass: in order, each at once");
	check_whole("and they make up the datagram");
	box_clear(&t.box);

	parts_init("'fragments': 'pass'");
	send_parts("2101", "0031", "pass: those before the first wait for it");
	box_clear(&t.box);
	parts_init("'fragments': 'pass'");
	send_parts("210", "003", "pass: backwards");
	check_whole("and they make up the datagram");
	box_clear(&t.box);

	parts_init("'fragments': 'in-order'");
	send_parts(
	    "201", "011", "in-order: those before the first are dropped");
	box_clear(&t.box);

	parts_init("'fragments': 'drop'");
	send_parts("012", "000", "drop");
	box_clear(&t.box);

	parts_init("'fragments': 'drop-non-first'");
	send_parts("012", "100", "drop-non-first");
	box_clear(&t.box);

	parts_init("'fragments': 'pass', 'filtering': "
		   "'address-and-port-dependent'");
	box_knobs(&t.box, "'external': []");
	send_parts("012", "000", "those of a first one that is dropped, too");
	box_clear(&t.box);
}

static void
test_reassembly(void)
{
	parts_init("'fragments': 'reassemble', 'mtu_in': 3000");
	send_parts("201", "001", "reassemble: one packet when all are there");
	check_whole("which is the datagram");
	box_clear(&t.box);

	parts_init("'fragments': 'reassemble'");
	send_parts("012", "002", "and cut anew for the link");
	check_whole("rightly");
	box_clear(&t.box);

	parts_init("'fragments': 'reassemble'");
	send_parts("0112", "0000", "overlapping fragments are given up");
	box_clear(&t.box);

	parts_init("'fragments': 'reassemble'");
	send_parts("01", "00", "half a datagram");
	box_wait(&t.box, 31);
	send_parts("2", "0", "is forgotten after 30 s");
	box_clear(&t.box);

	/* More datagrams than there is room for: the oldest is given up. */
	parts_init("'fragments': 'reassemble'");
	for (int i = 0; i < NAT_FRAG_MAX + 1; i++) {
		put16(t.part[0] + 4, 7000u + (unsigned)i);
		v4_fix(t.part[0]);
		t.box.now.us++;
		box_send(&t.box, NAT_OUTSIDE, t.part[0], t.n[0]);
	}
	eq_int((int64_t)nat_counter(t.box.nat, NAT_DROP_FRAGMENT), 1,
	    "memory for fragments is bounded");
	box_clear(&t.box);
}

static const struct nat_case mtu[] = {
    {"too big, may be cut: cut", "'mtu_out': 1000",
	"out big a:5000 S:1 = out frag 0+ E>S & out frag 976 E>S"},
    {"mtu is for each direction", "'mtu_out': 1000",
	"out udp a:5000 S:1 = E:5000\n"
	"in big S:1 E:5000 = a:5000"},
    {"too big in IPv6: its sender is told", "'mtu_out': 1300",
	"out big a6:5000 S6:1 = in icmp 2/0 G6>a6 (udp a6:5000>S6:1)"},
    {"or not", "'mtu_out': 1300, 'ptb': false", "out big a6:5000 S6:1 = -"},
    {"too big from outside", "'mtu_in': 1300",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in big S6:1 a6:5000 = out icmp 2/0 G6>S6 (udp S6:1>a6:5000)"},
};

/* Two fragments from inside to an external address. */
static void
hairpin_parts(const char *knobs, int want, const char *what)
{
	struct pair e = {box_ip("b"), box_ip("E"), 6000, 5000};

	parts_init(knobs);
	t.size = make_udp(t.whole, &e, 2000);
	t.n[0] = cut(t.whole, t.size, 0, PART, t.part[0]);
	t.n[1] = cut(t.whole, t.size, PART, PART, t.part[1]);
	box_send(&t.box, NAT_INSIDE, t.part[0], t.n[0]);
	box_send(&t.box, NAT_INSIDE, t.part[1], t.n[1]);
	eq_int((int64_t)t.box.count, want, what);
	box_clear(&t.box);
}

static void
test_hairpin(void)
{
	hairpin_parts(
	    "'hairpin': 'external-source'", 2, "hairpins may be fragments");
	hairpin_parts("'hairpin': 'external-source', 'hairpin_fragments': "
		      "false",
	    0, "hairpin_fragments: or not");
	parts_init("'hairpin_fragments': false");
	send_parts("01", "11", "which is nothing to others");
	box_clear(&t.box);
}

static void
test_dont_fragment(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	uint8_t p[1500];
	char text[TEXT_MAX];
	size_t n;

	box_init(&t.box, "'mtu_out': 1000");
	n = make_udp(p, &e, 1200);
	p[6] |= 0x40;
	v4_fix(p);
	box_send(&t.box, NAT_INSIDE, p, n);
	eq_int((int64_t)t.box.count, 1, "too big, must not be cut: told");
	eq_str(packet_text(text, t.box.got[0].p, t.box.got[0].n),
	    "icmp 3/4 G>a (udp a:5000>S:1)", "by the NAT");
	eq_int(t.box.got[0].p[26] << 8 | t.box.got[0].p[27], 1000,
	    "with the link's size (RFC 1191)");
	ok(packet_fault(t.box.got[0].p, t.box.got[0].n) == NULL, "right sums");
	box_clear(&t.box);
}

/* Sends bytes that are no good packet; nothing may come out. */
static void
bad(const void *p, size_t n, const char *what)
{
	size_t before = t.box.count;

	box_send(&t.box, NAT_INSIDE, p, n);
	eq_int((int64_t)(t.box.count - before), 0, what);
}

static void
test_malformed(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	uint8_t good[64], p[64];
	size_t n;

	box_init(&t.box, "");
	n = make_udp(good, &e, 8);
	memset(p, 0, sizeof(p));
	bad(p, 0, "nothing");
	bad(p, 1, "one byte");
	bad(p, sizeof(p), "no version");
	bad(good, n - 1, "cut");
	bad(good, 19, "half a header");
	memcpy(p, good, n);
	p[10] ^= 1;
	bad(p, n, "wrong header checksum");
	memcpy(p, good, n);
	p[0] = 0x44;
	v4_fix(p);
	bad(p, n, "header too short");
	memcpy(p, good, n);
	p[0] = 0x4f;
	bad(p, n, "header longer than the packet");
	memcpy(p, good, n);
	p[9] = 47;
	v4_fix(p);
	bad(p, n, "another protocol");
	memcpy(p, good, n);
	p[9] = 58;
	v4_fix(p);
	bad(p, n, "ICMPv6 in IPv4");
	memcpy(p, good, n);
	put16(p + 2, 24);
	v4_fix(p);
	bad(p, 24, "no room for ports");

	/* A link's padding behind the packet is left out. */
	memset(p, 0xaa, sizeof(p));
	memcpy(p, good, n);
	box_send(&t.box, NAT_INSIDE, p, sizeof(p));
	eq_int((int64_t)t.box.count, 1, "a padded packet passes");
	eq_int((int64_t)t.box.got[0].n, (int64_t)n, "without its padding");

	/* No checksum, and one that comes out as zero. */
	memcpy(p, good, n);
	p[26] = p[27] = 0;
	box_send(&t.box, NAT_INSIDE, p, n);
	ok(t.box.got[1].p[26] == 0 && t.box.got[1].p[27] == 0,
	    "UDP without checksum stays without");
	/* What was wrong stays wrong: nothing is hidden. */
	memcpy(p, good, n);
	p[27] ^= 1;
	box_send(&t.box, NAT_INSIDE, p, n);
	eq_str(packet_fault(t.box.got[2].p, t.box.got[2].n), "upper checksum",
	    "a wrong UDP checksum is not put right");
	box_clear(&t.box);
}

/* A sum that comes out as zero is written as all ones, since zero is "none":
 * RFC 768. One of these payloads does that. */
static void
test_zero_sum(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	uint8_t p[64];
	int good = 0, all = 0;

	box_init(&t.box, "'ports': 'sequential'");
	for (unsigned v = 0; v <= UINT16_MAX; v++) {
		size_t n = make_udp(p, &e, 2);
		unsigned sum, d;

		/* The payload is v instead of d; the sum changes by that. */
		d = (unsigned)(p[28] << 8 | p[29]);
		put16(p + 28, v);
		sum =
		    ((unsigned)(p[26] << 8 | p[27]) + d + 0xffff - v) % 0xffff;
		put16(p + 26, sum == 0 ? 0xffff : sum);
		if (packet_fault(p, n) != NULL)
			continue;
		t.box.count = 0;
		all++;
		box_send(&t.box, NAT_INSIDE, p, n);
		good += t.box.count == 1 &&
		    (t.box.got[0].p[26] != 0 || t.box.got[0].p[27] != 0) &&
		    packet_fault(t.box.got[0].p, t.box.got[0].n) == NULL;
	}
	eq_int(good, all, "a UDP checksum never comes out as none");
	ok(all > UINT16_MAX - 2, "whatever the payload");
	box_clear(&t.box);
}

/* An address within a datagram, at any place; sums stay right. */
static void
test_alg(void)
{
	struct pair out = {box_ip("a"), box_ip("S"), 5000, 1};
	struct pair in = {box_ip("S"), box_ip("E"), 1, 5000};
	struct ip inner = box_ip("a"), outer = box_ip("E");
	uint8_t p[128];
	size_t n;

	for (size_t at = 28; at <= 33; at += 5) {
		box_init(&t.box, "'alg': 'addresses'");
		n = make_udp(p, &out, 9);
		memcpy(p + at, inner.b + 12, 4);
		p[26] = p[27] = 0; /* no checksum: none to be wrong */
		box_send(&t.box, NAT_INSIDE, p, n);
		eq_mem(t.box.got[0].p + at, outer.b + 12, 4,
		    "alg: translated on the way out");
		n = make_udp(p, &in, 9);
		box_send(&t.box, NAT_OUTSIDE, p, n);
		ok(packet_fault(t.box.got[1].p, n) == NULL,
		    "alg: what has no address stays as it is");
		box_knobs(&t.box, "'alg': 'off'");
		box_send(&t.box, NAT_OUTSIDE, p, n);
		eq_mem(t.box.got[1].p, t.box.got[2].p, n, "to the byte");
		box_clear(&t.box);
	}
}

/* And back in, with a checksum. */
static void
test_alg_sum(void)
{
	struct pair in = {box_ip("S"), box_ip("E"), 1, 5000};
	struct ip inner = box_ip("a"), outer = box_ip("E");
	uint8_t p[128];
	size_t n;

	for (size_t at = 28; at <= 33; at += 5) {
		uint32_t sum = 0;

		parts_init("'alg': 'addresses'");
		n = make_udp(p, &in, 9);
		memcpy(p + at, outer.b + 12, 4);
		p[26] = p[27] = 0;
		for (size_t i = 12; i < n; i++)
			sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		sum += 17 + (uint32_t)(n - 20);
		sum = (sum & 0xffff) + (sum >> 16);
		put16(p + 26, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
		ok(packet_fault(p, n) == NULL, "a right packet");
		box_send(&t.box, NAT_OUTSIDE, p, n);
		eq_mem(t.box.got[0].p + at, inner.b + 12, 4,
		    "alg: translated on the way in");
		ok(packet_fault(t.box.got[0].p, n) == NULL,
		    "alg: with its checksum");
		box_clear(&t.box);
	}
}

/* IPv6 fragments follow the first one as in IPv4. */
static void
test_six(void)
{
	struct pair e = {box_ip("a6"), box_ip("S6"), 5000, 1};
	uint8_t first[128] = {0}, second[128] = {0}, p[128];
	size_t n = make_udp(p, &e, 16);

	memcpy(first, p, 40);
	first[6] = 44;
	put16(first + 4, 8 + 16);
	memcpy(first + 40, "\x11\0\0\1\0\0\0\7", 8);
	memcpy(first + 48, p + 40, 16);
	memcpy(second, first, 48);
	put16(second + 4, 8 + 8);
	memcpy(second + 40, "\x11\0\0\x10\0\0\0\7", 8);
	memcpy(second + 48, p + 56, n - 56);

	box_init(&t.box, "'fragments': 'pass'");
	box_send(&t.box, NAT_INSIDE, second, 56);
	eq_int((int64_t)t.box.count, 0, "IPv6: a later fragment waits");
	box_send(&t.box, NAT_INSIDE, first, 64);
	eq_int((int64_t)t.box.count, 2, "IPv6: until the first one came");
	eq_mem(t.box.got[1].p, second, 56, "IPv6: and is not changed");
	box_clear(&t.box);
}

int
main(void)
{
	test_fragments();
	test_reassembly();
	nat_cases(mtu);
	test_hairpin();
	test_dont_fragment();
	test_malformed();
	test_zero_sum();
	test_alg();
	test_alg_sum();
	test_six();
	return tap_done();
}

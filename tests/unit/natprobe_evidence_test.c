/* natprobe_evidence: frames of each link layer, which of them are a run's,
 * and what a capture file says beside its packets. */
#include <stdlib.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/evidence/ends.h"
#include "probes/natprobe/evidence/pcapng.h"
#include "tests/tap.h"

/* ---- frames ---- */

static const uint8_t udp4[] = {0x45, 0, 0, 32, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0,
    2, 15, 203, 0, 113, 10, 0x9c, 0x40, 0x0d, 0x96, 0, 12, 0, 0, 'a', 'b', 'c',
    'd'};
static const uint8_t udp6[] = {0x60, 0, 0, 0, 0, 10, 17, 64, 0x20, 1, 0xd, 0xb8,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 2, 0x9c, 0x40, 0x0d, 0x96, 0, 10, 0, 0, 'h', 'i'};

struct bytes {
	uint8_t p[256];
	size_t n;
};

static void
add(struct bytes *b, const void *p, size_t n)
{
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static struct frame
read(int link, const struct bytes *b)
{
	struct frame f;

	frame_read(&f, link, b->p, b->n);
	return f;
}

static bool
is_udp4(const struct frame *f)
{
	static const uint8_t from[] = {10, 0, 2, 15}, to[] = {203, 0, 113, 10};

	return f->kind == FRAME_UDP && stun_addr_is_v4(&f->from) &&
	    memcmp(f->from.ip + 12, from, 4) == 0 && f->from.port == 40000 &&
	    memcmp(f->to.ip + 12, to, 4) == 0 && f->to.port == 3478 &&
	    f->n == 4 && memcmp(f->p, "abcd", 4) == 0 && !f->parted;
}

static void
test_links(void)
{
	static const uint8_t ether[] = {
	    1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 8, 0};
	static const uint8_t vlan[] = {
	    1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 0x81, 0, 0, 5, 8, 0};
	static const uint8_t arp[] = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 8, 6};
	static const uint8_t cooked[16] = {[14] = 8};
	static const uint8_t cooked2[20] = {8, 0, 0, 0, 0, 0, 0, 9};
	static const struct {
		const char *name;
		int link;
		const uint8_t *head;
		size_t n;
	} all[] = {
	    {"Ethernet", FRAME_ETHERNET, ether, sizeof(ether)},
	    {"Ethernet with a VLAN", FRAME_ETHERNET, vlan, sizeof(vlan)},
	    {"raw IP", FRAME_RAW, NULL, 0},
	    {"cooked", FRAME_COOKED, cooked, sizeof(cooked)},
	    {"cooked 2", FRAME_COOKED2, cooked2, sizeof(cooked2)},
	};
	struct bytes b;
	struct frame f;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		b.n = 0;
		if (all[i].n > 0)
			add(&b, all[i].head, all[i].n);
		add(&b, udp4, sizeof(udp4));
		add(&b, "padding", 7);
		f = read(all[i].link, &b);
		ok(frame_link_known(all[i].link) && is_udp4(&f), all[i].name);
		eq_int(f.interface, all[i].link == FRAME_COOKED2 ? 9 : 0,
		    "its interface, if that is told");
	}
	b.n = 0;
	add(&b, arp, sizeof(arp));
	add(&b, udp4, sizeof(udp4));
	eq_int(read(FRAME_ETHERNET, &b).kind, FRAME_OTHER, "ARP is no IP");
	ok(!frame_link_known(105), "Wi-Fi frames are not known");
}

static void
test_ip(void)
{
	static const uint8_t fragment6[] = {17, 0, 0, 1, 0, 0, 0, 5};
	struct bytes b = {.n = 0};
	struct frame f;

	add(&b, udp6, sizeof(udp6));
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_UDP && f.n == 2 && f.from.ip[15] == 1 &&
		f.to.port == 3478,
	    "IPv6");
	/* A fragment header between: the first of several. */
	b.n = 0;
	add(&b, udp6, 40);
	b.p[5] = 18;
	b.p[6] = 44;
	add(&b, fragment6, sizeof(fragment6));
	add(&b, udp6 + 40, 10);
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_UDP && f.parted && f.id == 5, "IPv6, a fragment");
	b.p[43] = 8;
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_FRAGMENT && f.id == 5, "IPv6, a later fragment");

	b.n = 0;
	add(&b, udp4, sizeof(udp4));
	b.p[6] = 0x20;
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_UDP && f.parted && f.id == 7, "IPv4, a fragment");
	b.p[7] = 3;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_FRAGMENT, "a later fragment");
	b.p[6] = b.p[7] = 0;
	b.p[9] = 6;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "TCP, too short");
	b.p[9] = 2;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "IGMP");
	b.p[9] = 17;
	b.p[0] = 0x44;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "a head too short");
	b.p[0] = 0x75;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "another version of IP");
	b.p[0] = 0x45;
	b.p[3] = 19;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "shorter than its head");
}

/* An ICMP error that quotes udp4, n bytes of it. */
static struct bytes
icmp4(uint8_t type, size_t n)
{
	uint8_t head[28] = {0x45, 0, 0, (uint8_t)(28 + n), 0, 0, 0, 0, 64, 1, 0,
	    0, 198, 51, 100, 1, 10, 0, 2, 15, type, 3};
	struct bytes b = {.n = 0};

	add(&b, head, sizeof(head));
	add(&b, udp4, n);
	return b;
}

static void
test_icmp(void)
{
	uint8_t head6[48] = {0x60, 0, 0, 0, 0, 58, 58, 64, [40] = 1};
	struct bytes b = icmp4(3, 28);
	struct frame f = read(FRAME_RAW, &b);

	ok(f.kind == FRAME_ICMP && f.quoted_from.port == 40000 &&
		f.quoted_to.port == 3478 && f.n == 0 && f.from.port == 0,
	    "an error that quotes 8 bytes of UDP, as RFC 792 wants");
	b = icmp4(11, sizeof(udp4));
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_ICMP && f.n == 4, "one that quotes all");
	b = icmp4(3, 27);
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "one that quotes less");
	b = icmp4(8, 28);
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_PING && f.from.port == 0 && f.to.port == 0 &&
		f.protocol == FRAME_ICMP4_PROTOCOL,
	    "a ping");
	b = icmp4(13, 28);
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "no error, and no ping");
	b.n = 0;
	add(&b, head6, sizeof(head6));
	add(&b, udp6, sizeof(udp6));
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_ICMP && f.quoted_to.port == 3478 &&
		f.quoted_to.ip[15] == 2,
	    "ICMPv6");
	b.p[40] = 129;
	b.p[44] = 1;
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_PING && f.from.port == 0 && f.to.port == 256,
	    "the reply to a ping of IPv6, with its identifier");
	b.p[40] = 134;
	eq_int(
	    read(FRAME_RAW, &b).kind, FRAME_OTHER, "a router's advertisement");
}

static const uint8_t tcp4[] = {0x45, 0, 0, 46, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0,
    2, 15, 203, 0, 113, 10, 0x9c, 0x40, 0x0d, 0x96, 0, 0, 1, 0, 0, 0, 2, 0,
    0x60, 0x12, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4, 'o', 'k'};

static void
test_tcp(void)
{
	struct bytes b = {.n = 0}, quote = icmp4(3, 0);
	struct frame f;

	add(&b, tcp4, sizeof(tcp4));
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_TCP && f.protocol == FRAME_TCP_PROTOCOL &&
		f.from.port == 40000 && f.to.port == 3478 && f.seq == 256 &&
		f.ack == 512 && f.flags == (FRAME_SYN | FRAME_ACK),
	    "TCP");
	ok(f.n == 2 && f.len == 2 && memcmp(f.p, "ok", 2) == 0,
	    "what is behind its options");
	b.n = 42;
	f = read(FRAME_RAW, &b);
	ok(f.kind == FRAME_TCP && f.n == 0 && f.len == 2,
	    "a capture that ends within the options knows how long it was");
	b.p[32] = 0x40;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "a head too short");
	b.p[32] = 0xf0;
	eq_int(read(FRAME_RAW, &b).kind, FRAME_OTHER, "and one too long");
	add(&quote, tcp4, 28);
	quote.p[3] = 56;
	f = read(FRAME_RAW, &quote);
	ok(f.kind == FRAME_ICMP && f.protocol == FRAME_TCP_PROTOCOL &&
		f.port_closed && f.quoted_from.port == 40000 && f.seq == 256,
	    "an error that quotes 8 bytes of TCP");
}

/* Every beginning of a frame, in memory that ends there. */
static void
test_short(void)
{
	struct bytes all[] = {
	    icmp4(3, sizeof(udp4)), {.n = 0}, {.n = 0}, {.n = 0}, icmp4(11, 0)};
	struct frame f;

	add(&all[1], udp4, sizeof(udp4));
	add(&all[2], udp6, sizeof(udp6));
	add(&all[3], tcp4, sizeof(tcp4));
	add(&all[4], tcp4, sizeof(tcp4));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t n = 0; n <= all[i].n; n++) {
			uint8_t *p = malloc(n + 1);

			memcpy(p + 1, all[i].p, n);
			frame_read(&f, FRAME_RAW, p + 1, n);
			frame_read(&f, FRAME_COOKED2, p + 1, n);
			frame_read(&f, FRAME_ETHERNET, p + 1, n);
			free(p);
		}
	ok(true, "frames that are cut anywhere");
}

/* ---- whose ---- */

static bool
is_ours(const void *arg, uint8_t protocol, const struct stun_addr *local,
    const struct stun_addr *peer, int64_t at_us)
{
	const struct stun_addr *our = arg;

	(void)peer;
	return protocol == FRAME_UDP_PROTOCOL && at_us > 0 &&
	    stun_addr_same(our, local);
}

static void
test_own(void)
{
	struct stun_addr our = {
	    .ip = {[10] = 0xff, 0xff, 10, 0, 2, 15}, .port = 40000};
	struct bytes b = {.n = 0}, error = icmp4(3, 28);
	struct frame f, e = read(FRAME_RAW, &error);
	struct own o;

	add(&b, udp4, sizeof(udp4));
	own_init(&o, is_ours, &our);
	f = read(FRAME_RAW, &b);
	ok(own_keeps(&o, &f, 1), "from a socket of ours");
	ok(own_keeps(&o, &f, 2), "the same again: it was sent again");
	ok(own_keeps(&o, &e, 3), "an error about it");
	our.port = 3478;
	memcpy(our.ip + 12, udp4 + 16, 4);
	ok(own_keeps(&o, &f, 4), "to a socket of ours");
	our.port = 3479;
	ok(!own_keeps(&o, &f, 5), "between others, at the same server");
	ok(!own_keeps(&o, &e, 6), "and an error about that");
	our.port = 3478;
	f.kind = FRAME_FRAGMENT;
	ok(!own_keeps(&o, &f, 7), "a fragment of something else");
	f.kind = FRAME_UDP;
	f.parted = true;
	ok(own_keeps(&o, &f, 8), "a first fragment of ours");
	f.kind = FRAME_FRAGMENT;
	f.from.port = f.to.port = 0;
	ok(own_keeps(&o, &f, 9), "and a later one of it");
	f.id++;
	ok(!own_keeps(&o, &f, 10), "and of another");
}

static struct ends ends;

static void
test_ends(void)
{
	struct stun_addr a = {.port = 40000}, b = {.port = 40000 + 1024};
	struct stun_addr peer = {.port = 443}, other = {.port = 444};
	int i, n = 2;

	ends_init(&ends);
	ok(!ends_have(&ends, 6, &a, &peer, 1), "no ends at first");
	i = ends_add(&ends, 6, &a, NULL);
	ok(ends_have(&ends, 6, &a, &peer, 1) &&
		ends_have(&ends, 6, &a, &other, 1),
	    "a socket whose peer is not known");
	ok(!ends_have(&ends, 17, &a, &peer, 1), "another protocol");
	ok(!ends_have(&ends, 6, &b, &peer, 1), "another port");
	ends_set_peer(&ends, i, &peer);
	ok(ends_have(&ends, 6, &a, &peer, 1) &&
		!ends_have(&ends, 6, &a, &other, 1),
	    "of its peer alone, once that is known");
	ends_add(&ends, 6, &b, &other);
	ok(ends_have(&ends, 6, &a, &peer, 1) &&
		ends_have(&ends, 6, &b, &other, 1),
	    "two in one bucket");
	ends_close(&ends, i, 100);
	ok(ends_have(&ends, 6, &a, &peer, 100) &&
		!ends_have(&ends, 6, &a, &peer, 101),
	    "until it is closed");
	while (ends_add(&ends, 17, &b, NULL) != -1)
		n++;
	eq_int(n, ENDS_MAX, "no more than there is room for");
}

static void
test_copies(void)
{
	struct bytes b = {.n = 0};
	struct frame f;
	struct own o;

	add(&b, udp4, sizeof(udp4));
	own_init(&o, NULL, NULL);
	f = read(FRAME_RAW, &b);
	f.interface = 2;
	ok(!own_is_copy(&o, &f, 1000), "seen at a bridge");
	f.interface = 3;
	ok(own_is_copy(&o, &f, 1020), "and then at its port: a copy");
	f.interface = 2;
	ok(!own_is_copy(&o, &f, 2000), "at the bridge again: sent again");
	f.interface = 3;
	ok(own_is_copy(&o, &f, 2020), "and its copy");
	ok(!own_is_copy(&o, &f, 200000), "much later: no copy");
}

/* ---- streams ---- */

static struct stream stream;

/* What comes next, as text. */
static const char *
next(void)
{
	static uint8_t b[STREAM_AHEAD + 1];
	size_t n = stream_take(&stream, b);

	b[n] = '\0';
	return (const char *)b;
}

static size_t
put(uint32_t seq, const char *text)
{
	return stream_put(&stream, seq, (const uint8_t *)text, strlen(text));
}

static void
test_stream(void)
{
	static uint8_t much[STREAM_AHEAD + 9];
	uint8_t out[STREAM_AHEAD];

	stream_init(&stream, UINT32_MAX - 1);
	put(UINT32_MAX - 1, "abcd");
	eq_str(next(), "abcd", "bytes, past the last number");
	eq_str(next(), "", "once");
	put(0, "cdef");
	eq_str(next(), "ef", "what was there is not given twice");
	put(UINT32_MAX - 1, "abcd");
	eq_str(next(), "", "all of it");
	put(8, "gh");
	put(5, "f");
	eq_str(next(), "", "too early: nothing yet");
	put(4, "eX");
	eq_str(next(), "eX", "a gap is closed, as far as it is");
	put(6, "--");
	eq_str(next(), "--gh", "and then all");
	eq_int(put(10 + STREAM_AHEAD, "z"), 0, "too far ahead is not taken");
	eq_int(stream_put(&stream, 10, much, sizeof(much)), STREAM_AHEAD,
	    "nor is more than there is room for");
	eq_int(stream_take(&stream, out), STREAM_AHEAD, "the rest is");
}

/* ---- the file ---- */

static size_t
write_file(uint8_t *out, size_t n)
{
	static const struct pcapng_sums sums = {
	    .begin_ns = 1, .end_ns = 2, .received = 3, .kept = 1};
	struct wr w;

	wr_init(&w, out, n);
	pcapng_section(&w, "program", "first");
	pcapng_interface(&w, FRAME_RAW_FILE, 4096, "any", "udp");
	pcapng_packet_head(&w, 1700000000123456789, 5, 9);
	wr_bytes(&w, "bytes", 5);
	pcapng_packet_tail(&w, 5);
	pcapng_statistics(&w, &sums, "last");
	return w.bad ? 0 : wr_len(&w);
}

static void
comments_of(const uint8_t *p, size_t n, char *out, size_t *blocks)
{
	struct pcapng_walk walk = {.little = false};
	struct pcapng_comment c;
	size_t len;
	bool may;

	*out = '\0';
	*blocks = 0;
	while ((len = pcapng_next(&walk, p, n, &may, &c)) > 0) {
		if (c.text != NULL) {
			strncat(out, c.text, c.len);
			strncat(out, ";", 2);
		}
		++*blocks;
		if (len > n)
			return;
		p += len;
		n -= len;
	}
}

static void
test_file(void)
{
	static const uint8_t little[] = {0x0a, 0x0d, 0x0d, 0x0a, 48, 0, 0, 0,
	    0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255,
	    255, 255, 2, 0, 1, 0, 'x', 0, 0, 0, 1, 0, 2, 0, 'h', 'i', 0, 0, 0,
	    0, 0, 0, 48, 0, 0, 0};
	uint8_t b[1024];
	char text[64];
	size_t n = write_file(b, sizeof(b)), blocks;
	bool sound = true;

	ok(n > 0 && n % 4 == 0, "a file is written");
	comments_of(b, n, text, &blocks);
	eq_str(text, "first;last;", "its comments are found");
	eq_int(blocks, 4, "and all its blocks passed");
	comments_of(little, sizeof(little), text, &blocks);
	eq_str(text, "hi;", "of the other order of bytes, too");
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = malloc(i + 1);

		memcpy(p + 1, b, i);
		comments_of(p + 1, i, text, &blocks);
		sound &= blocks <= 4;
		free(p);
	}
	ok(sound, "files that are cut anywhere");
	eq_int(write_file(b, 100), 0, "what does not fit is not written");
}

static void
set_server(struct targets *t, int v6, const char *name, uint8_t last)
{
	size_t i = t->n[v6]++;

	t->v[v6][i] = (struct stun_addr){.port = 3478};
	if (v6 == 0)
		memcpy(
		    t->v[v6][i].ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2", 15);
	t->v[v6][i].ip[15] = last;
	memcpy(t->name[v6][i], name, strlen(name) + 1);
}

static void
test_note(void)
{
	static struct note a = {.set_up = true,
	    .building = "H\xc3\xa4rsaal \"1\"",
	    .hairpin = true,
	    .tcp = true,
	    .ttl_max_s = 200,
	    .ttl_resolution_s = 2,
	    .rate = 100,
	    .begin_us = INT64_C(1700000000000000),
	    .local_ips = {2, 1}};
	static struct note b;
	static const char old[] = "{\"natprobe_capture\":1,\"building\":\"\","
				  "\"lifetime\":true}";
	static struct note of_old;
	char *text;

	set_server(&a.targets, 0, "stun.example:3478", 1);
	set_server(&a.targets, 0, "192.0.2.2", 2);
	set_server(&a.targets, 1, "six", 3);
	text = note_begin_text(&a);
	ok(note_read(&b, text, strlen(text)) &&
		memcmp(&a.targets, &b.targets, sizeof(a.targets)) == 0 &&
		strcmp(a.building, b.building) == 0 && b.hairpin &&
		!b.refresh && !b.lifetime && b.local_ips[0] == 2 &&
		b.local_ips[1] == 1 && b.set_up && !b.ended && b.tcp &&
		!b.tcp_lifetime && b.ttl_max_s == 200 &&
		b.ttl_resolution_s == 2 && b.rate == 100 &&
		b.begin_us == a.begin_us,
	    "how a run was set up");
	ok(note_read(&of_old, old, strlen(old)) && of_old.set_up &&
		of_old.lifetime && !of_old.tcp,
	    "a note of the first form");
	free(text);
	a.end_us = INT64_C(1700000000123456);
	a.complete = true;
	a.dropped = 7;
	text = note_end_text(&a);
	ok(note_read(&b, text, strlen(text)) && b.ended && b.complete &&
		b.end_us == a.end_us && b.dropped == 7 && b.targets.n[0] == 2,
	    "how it ended");
	free(text);
	text = note_call_text(&(struct note_call){
	    .local = a.targets.v[1][0], .to = a.targets.v[0][1], .call = 17});
	ok(note_read(&b, text, strlen(text)) && b.n_calls == 1 &&
		b.calls[0].call == 17 &&
		stun_addr_same(&b.calls[0].to, &a.targets.v[0][1]) &&
		stun_addr_same(&b.calls[0].local, &a.targets.v[1][0]),
	    "which connection it is");
	while (note_read(&b, text, strlen(text)))
		continue;
	eq_int(b.n_calls, NOTE_CALLS_MAX, "and no more than there can be");
	free(text);
	memcpy(a.building, "no \xff UTF-8", 11);
	text = note_begin_text(&a);
	ok(note_read(&b, text, strlen(text)) && *b.building == '\0',
	    "a name that is no UTF-8 is left out");
	free(text);
}

static void
test_bad_notes(void)
{
	static const char *const all[] = {"", "a comment of somebody", "{}",
	    "{\"natprobe_capture\":3,\"building\":\"\"}",
	    "{\"natprobe_capture\":2,\"building\":\"\",\"rate\":65536}",
	    "{\"natprobe_capture\":2,\"building\":\"\",\"rate\":-1}",
	    "{\"natprobe_capture\":2,\"building\":\"\","
	    "\"begin_us\":9223372036854775807}",
	    "{\"natprobe_capture\":1}",
	    "{\"natprobe_capture\":2,\"tcp_connection\":7}",
	    "{\"natprobe_capture\":2,\"tcp_connection\":{\"number\":70000,"
	    "\"local\":\"1.2.3.4:5\",\"to\":\"1.2.3.4:5\"}}",
	    "{\"natprobe_capture\":2,\"tcp_connection\":{\"number\":7,"
	    "\"local\":\"1.2.3.4:5\",\"to\":\"1.2.3.4\"}}",
	    "{\"natprobe_capture\":1,\"end_us\":-1}",
	    "{\"natprobe_capture\":1,\"end_us\":9223372036854775807}",
	    "{\"natprobe_capture\":1,\"end_us\":5,\"dropped\":-5}",
	    "{\"natprobe_capture\":1,\"building\":\"\",\"ipv4\":{}}",
	    "{\"natprobe_capture\":1,\"building\":\"\",\"ipv4\":"
	    "{\"local_addresses\":1,\"servers\":[]}}",
	    "{\"natprobe_capture\":1,\"building\":\"\",\"ipv4\":"
	    "{\"local_addresses\":1,\"servers\":[{\"name\":\"a\","
	    "\"address\":\"[::1]:1\"}]}}",
	    "{\"natprobe_capture\":1,\"building\":\"\",\"ipv4\":"
	    "{\"local_addresses\":1,\"servers\":[{\"name\":\"a\","
	    "\"address\":\"1.2.3.4:65536\"}]}}",
	    "{\"natprobe_capture\":1,\"building\":\"\",\"ipv4\":"
	    "{\"local_addresses\":1,\"servers\":[{\"name\":\"a\","
	    "\"address\":\":1\"}]}}"};
	static struct note n;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ok(!note_read(&n, all[i], strlen(all[i])) && !n.set_up &&
			!n.ended && n.targets.n[0] == 0 && n.n_calls == 0,
		    "no note, and nothing taken from it");
}

int
main(void)
{
	test_links();
	test_ip();
	test_icmp();
	test_tcp();
	test_short();
	test_own();
	test_ends();
	test_copies();
	test_stream();
	test_file();
	test_note();
	test_bad_notes();
	return tap_done();
}

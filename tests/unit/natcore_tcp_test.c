/* natcore: TCP (RFC 5382), and ICMP (RFC 5508). */
#include "tests/unit/natcore_kit.h"

#define APD "address-and-port-dependent"
#define SEQ "'ports': 'sequential', 'port_min': 2000, "

static const struct nat_case tcp[] = {
    {"a connection", "",
	"out syn a:5000 S:80 = E:5000\n"
	"in synack S:80 E:5000 = a:5000\n"
	"out ack a:5000 S:80 = E:5000\n"
	"in ack S:80 E:5000 = a:5000"},
    {"tcp_ttl_syn: not answered", SEQ "'tcp_ttl_syn': 10",
	"out syn a:5000 S:80 = E:2000\n"
	"wait 9.9\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out syn b:5000 S:80 = E:2001\n"
	"wait 10\n"
	"in synack S:80 E:2001 = -"},
    {"tcp_ttl_open: any packet refreshes",
	SEQ "'tcp_ttl_syn': 10, 'tcp_ttl_open': 100, 'refresh': 'outbound'",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"wait 99\n"
	"in ack S:80 E:2000 = a:5000\n"
	"wait 99\n"
	"out ack a:5000 S:80 = E:2000\n"
	"wait 100\n"
	"in ack S:80 E:2000 = -"},
    {"tcp_ttl_closing: after both FINs",
	SEQ "'tcp_ttl_open': 100, 'tcp_ttl_closing': 5",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out fin a:5000 S:80 = E:2000\n"
	"wait 50\n"
	"in fin S:80 E:2000 = a:5000\n"
	"out ack a:5000 S:80 = E:2000\n"
	"wait 5\n"
	"in ack S:80 E:2000 = -"},
    {"tcp_ttl_closing: after a reset, unless it goes on",
	SEQ "'tcp_ttl_open': 100, 'tcp_ttl_closing': 5",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"in rst S:80 E:2000 = a:5000\n"
	"out ack a:5000 S:80 = E:2000\n"
	"wait 50\n"
	"in rst S:80 E:2000 = a:5000\n"
	"wait 5\n"
	"in ack S:80 E:2000 = -"},
    {"the same ports again after the end",
	SEQ "'tcp_ttl_open': 100, 'tcp_ttl_closing': 5, 'tcp_ttl_syn': 20",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"in rst S:80 E:2000 = a:5000\n"
	"out syn a:5000 S:80 = E:2000\n"
	"wait 19\n"
	"in synack S:80 E:2000 = a:5000\n"
	"wait 99\n"
	"in ack S:80 E:2000 = a:5000"},
    {"connections of one endpoint end one by one",
	SEQ "'tcp_ttl_open': 100, 'tcp_ttl_closing': 5, "
	    "'filtering': '" APD "'",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out syn a:5000 T:80 = E:2000\n"
	"in synack T:80 E:2000 = a:5000\n"
	"in rst S:80 E:2000 = a:5000\n"
	"wait 5\n"
	"in ack S:80 E:2000 = -\n"
	"in ack T:80 E:2000 = a:5000"},
    {"tcp_rst_on_expire: both ends are told",
	SEQ "'tcp_rst_on_expire': true, 'tcp_ttl_open': 10",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out ack a:5000 S:80 = E:2000\n"
	"hear 9.9 = -\n"
	"hear 0.2 = in tcp 04 S:80>a:5000 & out tcp 04 E:2000>S:80\n"
	"hear 99 = -\n"
	"in ack S:80 E:2000 = -"},
    {"tcp_rst_on_expire: of one connection of several",
	SEQ "'tcp_rst_on_expire': true, 'tcp_ttl_open': 10",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out ack a:5000 S:80 = E:2000\n"
	"out syn a:5000 T:80 = E:2000\n"
	"in synack T:80 E:2000 = a:5000\n"
	"out ack a:5000 T:80 = E:2000\n"
	"wait 9\n"
	"in ack T:80 E:2000 = a:5000\n"
	"hear 2 = in tcp 04 S:80>a:5000 & out tcp 04 E:2000>S:80\n"
	"hear 8 = in tcp 04 T:80>a:5000 & out tcp 04 E:2000>T:80"},
    {"tcp_rst_on_expire: not if it never was open, nor if it is closed",
	SEQ "'tcp_rst_on_expire': true, 'tcp_ttl_syn': 10, "
	    "'tcp_ttl_closing': 10",
	"out syn a:5000 S:80 = E:2000\n"
	"hear 11 = -\n"
	"out syn a:5000 S:80 = E:2001\n"
	"in synack S:80 E:2001 = a:5000\n"
	"out fin a:5000 S:80 = E:2001\n"
	"in fin S:80 E:2001 = a:5000\n"
	"hear 11 = -"},
    {"tcp_rst_on_expire: nor otherwise", SEQ "'tcp_ttl_open': 10",
	"out syn a:5000 S:80 = E:2000\n"
	"in synack S:80 E:2000 = a:5000\n"
	"out ack a:5000 S:80 = E:2000\n"
	"hear 20 = -"},
    {"tcp_rst_on_expire: a hairpin's ends, each once",
	SEQ "'tcp_rst_on_expire': true, 'tcp_ttl_open': 10, "
	    "'hairpin': 'external-source'",
	"out udp a:1 S:1 = E:2000\n"
	"out syn a:5000 S:80 = E:2001\n"
	"out syn b:5000 E:2001 = in tcp 02 E:2002>a:5000\n"
	"out synack a:5000 E:2002 = in tcp 12 E:2001>b:5000\n"
	"out ack b:5000 E:2001 = in tcp 10 E:2002>a:5000\n"
	"hear 11 = in tcp 04 E:2001>b:5000 & in tcp 04 E:2002>a:5000"},
    {"tcp_rst_on_expire: in IPv6",
	"'tcp_rst_on_expire': true, "
	"'tcp_ttl_open': 10",
	"out syn a6:5000 S6:80 = a6:5000\n"
	"in synack S6:80 a6:5000 = a6:5000\n"
	"out ack a6:5000 S6:80 = a6:5000\n"
	"hear 11 = in tcp 04 S6:80>a6:5000 & out tcp 04 a6:5000>S6:80"},
    {"tcp_midstream drop", "'tcp_midstream': 'drop'",
	"out ack a:5000 S:80 = -"},
    {"tcp_midstream rst", "'tcp_midstream': 'rst'",
	"out ack a:5000 S:80 = in tcp 04 S:80>a:5000\n"
	"out rst a:5000 S:80 = -"},
    {"tcp_midstream create-state",
	SEQ "'tcp_midstream': 'create-state', 'tcp_ttl_open': 100, "
	    "'tcp_ttl_syn': 1",
	"out ack a:5000 S:80 = E:2000\n"
	"wait 99\n"
	"in ack S:80 E:2000 = a:5000"},
    {"a SYN from outside through a filter that is open",
	"'filtering': 'endpoint-independent'",
	"out syn a:5000 S:80 = E:5000\n"
	"in syn T:9 E:5000 = a:5000\n"
	"out synack a:5000 T:9 = E:5000\n"
	"in ack T:9 E:5000 = a:5000\n"
	"in ack U:9 E:5000 = -"},
    {"tcp_unsolicited drop", "'tcp_unsolicited': 'drop'",
	"in syn S:9 E:5000 = -"},
    {"tcp_unsolicited rst", "'tcp_unsolicited': 'rst'",
	"in syn S:9 E:5000 = out tcp 14 E:5000>S:9\n"
	"in rst S:9 E:5000 = -"},
    {"tcp_unsolicited icmp-unreach",
	"'tcp_unsolicited': 'icmp-unreach', 'filtering': '" APD "'",
	"in syn S:9 E:5000 = out icmp 3/3 E>S (tcp 02 S:9>E:5000)\n"
	"out syn a:5000 S:80 = E:5000\n"
	"in syn S:9 E:5000 = out icmp 3/3 E>S (tcp 02 S:9>E:5000)"},
    {"tcp_unsolicited icmp-after-6s: silent for 6 s",
	"'tcp_unsolicited': 'icmp-after-6s'",
	"in syn S:9 E:5000 = -\n"
	"hear 5.9 = -\n"
	"hear 0.2 = out icmp 3/3 E>S (tcp 02 S:9>E:5000)\n"
	"hear 10 = -"},
    {"tcp_unsolicited icmp-after-6s: not if the connection is opened",
	"'tcp_unsolicited': 'icmp-after-6s'",
	"in syn S:9 E:5000 = -\n"
	"wait 2\n"
	"out syn a:5000 S:9 = E:5000\n"
	"hear 10 = -"},
    {"tcp_simultaneous_open accept", "'tcp_ttl_syn': 10",
	"out syn a:5000 S:9 = E:5000\n"
	"in syn S:9 E:5000 = a:5000\n"
	"out synack a:5000 S:9 = E:5000\n"
	"in synack S:9 E:5000 = a:5000\n"
	"wait 60\n"
	"in ack S:9 E:5000 = a:5000"},
    {"tcp_simultaneous_open drop", "'tcp_simultaneous_open': 'drop'",
	"out syn a:5000 S:9 = E:5000\n"
	"in syn S:9 E:5000 = -\n"
	"in synack S:9 E:5000 = a:5000"},
    {"tcp_simultaneous_open rst", "'tcp_simultaneous_open': 'rst'",
	"out syn a:5000 S:9 = E:5000\n"
	"in syn S:9 E:5000 = out tcp 14 E:5000>S:9"},
    {"mapping of TCP", SEQ "'mapping': '" APD "'",
	"out syn a:5000 S:80 = E:2000\n"
	"out syn a:5000 S:81 = E:2001"},
};

static const struct nat_case icmp[] = {
    {"echo", SEQ "'filtering': '" APD "'",
	"out ping a:7 S:7 = E:2000\n"
	"in pong S:2000 E:2000 = a:7\n"
	"in pong T:2000 E:2000 = -\n"
	"out ping b:7 S:7 = E:2001\n"
	"in pong S:2001 E:2001 = b:7"},
    {"external addresses answer echo requests", "'hairpin': 'external-source'",
	"in ping S:7 E:7 = out echo E:7>S:7\n"
	"out ping a:7 E:7 = in echo E:7>a:7"},
    {"or not", "'ping': false",
	"in ping S:7 E:7 = -\n"
	"out ping a:7 E:7 = -"},
    {"an error from outside", SEQ,
	"out udp a:5000 S:1 = E:2000\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"in unreach U E:2000>S:1 = in icmp 3/3 U>a (udp a:5000>S:1)\n"
	"in unreach U E:2000>S:2 = -\n"
	"in unreach U E:2001>S:1 = -"},
    {"about TCP, and about an echo", SEQ,
	"out syn a:5000 S:1 = E:2000\n"
	"in unreachtcp S E:2000>S:1 = in icmp 3/3 S>a (tcp 10 a:5000>S:1)\n"
	"out ping a:7 S:7 = E:2001\n"
	"in unreachping U E:2001>S:7 = in icmp 3/3 U>a (echo a:7>S:7)"},
    {"an error from inside", SEQ,
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out unreach a S:1>a:5000 = out icmp 3/3 E>S (udp S:1>E:2000)\n"
	"out unreach R S:1>a:5000 = out icmp 3/3 E>S (udp S:1>E:2000)\n"
	"out unreach a S:2>a:5000 = -"},
    {"an error through a hairpin", "'hairpin': 'external-source'",
	"out udp a:5000 S:1 = E:5000\n"
	"out udp b:6000 E:5000 = in udp E:6000>a:5000\n"
	"out unreach a E:6000>a:5000 = "
	"in icmp 3/3 E>b (udp b:6000>E:5000)"},
    {"icmp_errors outer-only: the quote is wrong",
	SEQ "'icmp_errors': 'outer-only'",
	"out udp a:5000 S:1 = E:2000\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp E:2000>S:1)"},
    {"icmp_errors drop", SEQ "'icmp_errors': 'drop'",
	"out udp a:5000 S:1 = E:2000\n"
	"in unreach S E:2000>S:1 = -"},
    {"an error kills nothing", SEQ "",
	"out udp a:5000 S:1 = E:2000\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"in udp S:1 E:2000 = a:5000"},
    {"icmp_kills", SEQ "'icmp_kills': true",
	"out udp a:5000 S:1 = E:2000\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2001"},
    {"an error in IPv6", "",
	"out udp a6:5000 S6:1 = a6:5000\n"
	"in unreach S6 a6:5000>S6:1 = in icmp 1/4 S6>a6 (udp a6:5000>S6:1)\n"
	"in unreach S6 a6:5001>S6:1 = -"},
};

/* An error need quote only 8 bytes behind the IP header (RFC 792). */
static void
test_short_quote(void)
{
	static struct box b;
	struct pair e = {box_ip("E"), box_ip("S"), 2000, 1};
	struct ip from = box_ip("U");
	uint8_t quote[128], p[256];
	char text[TEXT_MAX];

	box_init(&b, "'ports': 'sequential', 'port_min': 2000");
	e.src = box_ip("a");
	e.sport = 5000;
	box_send(&b, NAT_INSIDE, p, make_tcp(p, &e, 2));
	e.src = box_ip("E");
	e.sport = 2000;
	make_tcp(quote, &e, 2);
	b.count = 0;
	box_send(&b, NAT_OUTSIDE, p, make_unreach(p, &from, &e.src, quote, 28));
	eq_int((int64_t)b.count, 1, "an error with a short quote passes");
	eq_str(packet_text(text, b.got[0].p, b.got[0].n),
	    "icmp 3/3 U>a (tcp 00 a:5000>S:1)", "translated");
	ok(packet_fault(b.got[0].p, b.got[0].n) == NULL, "summed up right");
	b.count = 0;
	box_send(&b, NAT_OUTSIDE, p, make_unreach(p, &from, &e.src, quote, 27));
	eq_int((int64_t)b.count, 0, "a quote without ports is dropped");
	box_clear(&b);
}

/* RFC 5961 section 3.2: a reset counts if its number is just the next. */
static void
test_rst_number(void)
{
	static struct box b;
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 80};
	struct pair back = {box_ip("S"), box_ip("E"), 80, 5000};
	uint8_t p[64];

	box_init(&b, "'tcp_rst_on_expire': true, 'tcp_ttl_open': 10");
	box_send(&b, NAT_INSIDE, p, make_tcp(p, &e, 2));
	box_send(&b, NAT_OUTSIDE, p, make_tcp(p, &back, 18));
	make_tcp(p, &e, 16);
	memcpy(p + 28, "\1\2\3\4", 4);
	box_send(&b, NAT_INSIDE, p, 40);
	make_tcp(p, &back, 16);
	memcpy(p + 28, "\5\6\7\10", 4);
	box_send(&b, NAT_OUTSIDE, p, 40);
	b.count = 0;
	box_wait(&b, 11);
	eq_int((int64_t)b.count, 2, "tcp_rst_on_expire: two resets");
	ok(b.got[0].at.us >= 11000000 && b.got[0].at.us < 11000010, "at once");
	eq_mem(b.got[0].p + 24, "\1\2\3\4", 4, "with what the inside wants");
	eq_mem(b.got[1].p + 24, "\5\6\7\10", 4, "and what the outside does");
	box_clear(&b);
}

int
main(void)
{
	nat_cases(tcp);
	nat_cases(icmp);
	test_rst_number();
	test_short_quote();
	return tap_done();
}

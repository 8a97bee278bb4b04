/* natcore: how long mappings and filters live, and what refreshes them. */
#include "tests/unit/natcore_kit.h"

#define APD "address-and-port-dependent"
/* The port tells whether the mapping is the old one. */
#define SEQ "'ports': 'sequential', 'port_min': 2000, "

static const struct nat_case lifetimes[] = {
    {"ttl_single: until something comes back, to the microsecond",
	SEQ "'ttl_single': 30, 'ttl_exchange': 120",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 29.999999\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp b:5000 S:1 = E:2001\n"
	"wait 30\n"
	"in udp S:1 E:2001 = -\n"
	"out udp b:5000 S:1 = E:2002"},
    {"ttl_exchange: after that", SEQ "'ttl_single': 30, 'ttl_exchange': 120",
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 119.999999\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 120\n"
	"in udp S:1 E:2000 = -"},
    {"ttl_stream: from an age on",
	SEQ "'ttl_single': 10, 'ttl_exchange': 10, 'ttl_stream': 25, "
	    "'stream_after': 2",
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 1.9\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2001\n"
	"in udp S:1 E:2001 = a:5000\n"
	"wait 2\n"
	"out udp a:5000 S:1 = E:2001\n"
	"wait 24.9\n"
	"in udp S:1 E:2001 = a:5000"},
    {"stream_packets: and with so many packets, of both directions",
	SEQ "'ttl_single': 10, 'ttl_exchange': 10, 'ttl_stream': 25, "
	    "'stream_packets': 4",
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2001\n"
	"in udp S:1 E:2001 = a:5000\n"
	"out udp a:5000 S:1 = E:2001\n"
	"out udp a:5000 S:1 = E:2001\n"
	"wait 24.9\n"
	"in udp S:1 E:2001 = a:5000"},
    {"stream_packets and stream_after: both",
	SEQ "'ttl_single': 10, 'ttl_exchange': 10, 'ttl_stream': 25, "
	    "'stream_packets': 3, 'stream_after': 2",
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -"},
    {"stream_packets: of a session, if that is the scope",
	SEQ "'ttl_single': 10, 'ttl_exchange': 10, 'ttl_stream': 25, "
	    "'stream_packets': 3, 'refresh_scope': 'session', "
	    "'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"in udp T:1 E:2000 = a:5000\n"
	"in udp T:1 E:2000 = a:5000\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -\n"
	"in udp T:1 E:2000 = a:5000"},
    {"speed: all of that runs faster", SEQ "'ttl_single': 30, 'speed': 100",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 0.29\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp b:5000 S:1 = E:2001\n"
	"wait 0.31\n"
	"in udp S:1 E:2001 = -"},
    {"a change of speed moves no time that has passed",
	SEQ "'ttl_single': 30, 'speed': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 2\n"
	"knobs 'speed': 1\n"
	"wait 9\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp b:5000 S:1 = E:2001\n"
	"wait 31\n"
	"in udp S:1 E:2001 = -"},
    {"tick: dead only at the next multiple",
	SEQ "'ttl_single': 3, 'ttl_exchange': 3, 'tick': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 8.9\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp b:5000 S:1 = E:2001\n"
	"wait 9.9\n"
	"in udp S:1 E:2001 = b:5000\n"
	"wait 10.1\n"
	"in udp S:1 E:2001 = b:5000\n"
	"wait 10.3\n"
	"in udp S:1 E:2001 = -"},
    {"echo: ttl_icmp", SEQ "'ttl_icmp': 5, 'ttl_single': 99",
	"out ping a:77 S:77 = E:2000\n"
	"in pong S:2000 E:2000 = a:77\n"
	"wait 4.9\n"
	"in pong S:2000 E:2000 = a:77\n"
	"wait 5\n"
	"in pong S:2000 E:2000 = -"},
    {"times that run already stay", SEQ "'ttl_single': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"knobs 'ttl_single': 100\n"
	"out udp b:5000 S:1 = E:2001\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -\n"
	"in udp S:1 E:2001 = b:5000"},
};

static const struct nat_case refresh[] = {
    {"refresh outbound",
	SEQ "'refresh': 'outbound', 'ttl_single': 10, 'ttl_exchange': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 4\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2001"},
    {"refresh inbound",
	SEQ "'refresh': 'inbound', 'ttl_single': 10, 'ttl_exchange': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"wait 4\n"
	"out udp a:5000 S:1 = E:2001"},
    {"refresh both",
	SEQ "'refresh': 'both', 'ttl_single': 10, 'ttl_exchange': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 9.9\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 10\n"
	"in udp S:1 E:2000 = -"},
    {"refresh none: it lives once",
	SEQ "'refresh': 'none', 'ttl_single': 10, 'ttl_exchange': 20",
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 4\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2001"},
    {"what is filtered refreshes nothing",
	SEQ "'ttl_single': 10, 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp T:1 E:2000 = -\n"
	"wait 4\n"
	"in udp S:1 E:2000 = -"},
    {"ICMP errors refresh nothing", SEQ "'ttl_single': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"wait 4\n"
	"out udp a:5000 S:1 = E:2001"},
    {"refresh_icmp: but for those from outside, if they do",
	SEQ "'ttl_single': 10, 'refresh_icmp': true",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"wait 9.9\n"
	"out unreach a S:1>a:5000 = out icmp 3/3 E>S (udp S:1>E:2000)\n"
	"wait 0.1\n"
	"in udp S:1 E:2000 = -"},
    {"refresh_error: but for those from inside, if they do",
	SEQ "'ttl_single': 10, 'refresh_error': true",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"out unreach a S:1>a:5000 = out icmp 3/3 E>S (udp S:1>E:2000)\n"
	"wait 9.9\n"
	"in unreach S E:2000>S:1 = in icmp 3/3 S>a (udp a:5000>S:1)\n"
	"wait 0.1\n"
	"in udp S:1 E:2000 = -"},
    {"degrade_after: what is refreshed under load lives half as long",
	SEQ "'ttl_single': 10, 'tcp_ttl_syn': 20, 'degrade_after': 3",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5001 S:1 = E:2001\n"
	"out udp a:5002 S:1 = E:2002\n"
	"out syn a:5003 S:1 = E:2003\n"
	"wait 5\n"
	"in udp S:1 E:2002 = -\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 5\n"
	"in synack S:1 E:2003 = -"},
    {"scope mapping: one remote keeps the others' filters open",
	SEQ "'refresh_scope': 'mapping', 'ttl_single': 10, "
	    "'ttl_exchange': 10, 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp T:1 E:2000 = a:5000\n"},
    {"scope session: each keeps its own",
	SEQ "'refresh_scope': 'session', 'ttl_single': 10, "
	    "'ttl_exchange': 10, 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"wait 6\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp T:1 E:2000 = -\n"
	"in udp S:1 E:2000 = a:5000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"in udp T:1 E:2000 = a:5000"},
    {"scope session: the mapping lives as long as one of them",
	SEQ "'refresh_scope': 'session', 'ttl_single': 10, "
	    "'ttl_exchange': 20",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"in udp T:1 E:2000 = a:5000\n"
	"wait 19.9\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 20\n"
	"in udp S:1 E:2000 = -"},
    {"scope session: what came in alone does not extend by outbound refresh",
	SEQ "'refresh_scope': 'session', 'refresh': 'outbound', "
	    "'ttl_single': 10, 'ttl_exchange': 10",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 6\n"
	"in udp T:1 E:2000 = a:5000\n"
	"wait 4\n"
	"in udp T:1 E:2000 = -"},
    {"ttl_filter: the filter closes, the mapping lives on",
	SEQ "'ttl_filter': 5, 'ttl_single': 100, 'ttl_exchange': 100, "
	    "'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 4.9\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 5\n"
	"in udp S:1 E:2000 = -\n"
	"out udp a:5000 S:1 = E:2000\n"
	"in udp S:1 E:2000 = a:5000"},
    {"ttl_filter is per remote", SEQ "'ttl_filter': 5, 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"out udp a:5000 T:1 = E:2000\n"
	"wait 4\n"
	"out udp a:5000 S:1 = E:2000\n"
	"wait 4\n"
	"in udp T:1 E:2000 = -\n"
	"in udp S:1 E:2000 = a:5000"},
    {"a filter refreshed outbound only",
	SEQ "'ttl_filter': 5, 'refresh': 'outbound', 'filtering': '" APD "'",
	"out udp a:5000 S:1 = E:2000\n"
	"wait 4\n"
	"in udp S:1 E:2000 = a:5000\n"
	"wait 1\n"
	"in udp S:1 E:2000 = -"},
};

struct sighting {
	int mappings, remotes;
	struct nat_shown last;
	int64_t left;
};

static void
see_mapping(void *arg, const struct nat_shown *m)
{
	struct sighting *s = arg;

	s->mappings++;
	s->last = *m;
}

static void
see_remote(void *arg, const struct ip *ip, uint16_t port, int64_t left_us)
{
	struct sighting *s = arg;

	(void)ip;
	s->remotes += port == 1 || port == 2;
	s->left = left_us;
}

static void
test_each(void)
{
	static struct box b;
	struct sighting s = {0};
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	struct ip a = box_ip("a"), out = box_ip("E");
	uint8_t p[64];

	box_init(&b, SEQ "'ttl_single': 10");
	box_send(&b, NAT_INSIDE, p, make_udp(p, &e, 0));
	e.dport = 2;
	box_send(&b, NAT_INSIDE, p, make_udp(p, &e, 0));
	box_wait(&b, 4);
	nat_each(b.nat, b.now, see_mapping, see_remote, &s);
	eq_int(s.mappings, 1, "nat_each shows the mapping");
	eq_int(s.remotes, 2, "and its remotes");
	ok(ip_compare(&s.last.in_ip, &a) == 0 && s.last.in_port == 5000 &&
		ip_compare(&s.last.out_ip, &out) == 0 &&
		s.last.out_port == 2000 && s.last.protocol == 17 &&
		!s.last.own && !s.last.replied,
	    "as they are");
	eq_int(s.last.age_us, 4000000, "age");
	eq_int(s.last.left_us, 6000000, "time left");
	eq_int(s.left, 6000000, "time left of a remote");
	box_wait(&b, 6);
	s = (struct sighting){0};
	nat_each(b.nat, b.now, see_mapping, see_remote, &s);
	eq_int(s.mappings, 0, "nothing when it is over");
	eq_int((int64_t)nat_counter(b.nat, NAT_COUNT_EXPIRED), 1, "counted");
	box_clear(&b);
}

/* What happens at a time is a reason to be woken, the first one first. */
static void
test_deadline(void)
{
	static struct box b;

	box_init(&b, "");
	eq_int(nat_deadline(b.nat).us, 0, "nothing waits");
	box_knobs(&b,
	    "'reboot_at': 8, 'renumber_at': 6, 'speed': 2, "
	    "'renumber_to': ['198.51.100.2']");
	eq_int(nat_deadline(b.nat).us, 4000001, "renumber_at is waited for");
	box_wait(&b, 3.5);
	eq_int(nat_deadline(b.nat).us, 5000001, "and reboot_at");
	box_wait(&b, 2);
	eq_int(nat_deadline(b.nat).us, 0, "once");
	box_clear(&b);
}

int
main(void)
{
	nat_cases(lifetimes);
	nat_cases(refresh);
	test_each();
	test_deadline();
	return tap_done();
}

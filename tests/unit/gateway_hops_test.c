/* gateway_hops: which packet leaves when, what errors mean, and how many NATs
 * are believed. */
#include "probes/natprobe/gateway/hops.h"
#include "tests/tap.h"

static const struct mono start = {1000000};

static struct ip
ip(const char *text)
{
	struct ip a = {{0}};

	if (!ip_parse(&a, text, strlen(text)))
		printf("# no address: %s\n", text);
	return a;
}

/* Runs h; the first `routers` answer, then the server if it is there. */
static unsigned
run(struct hops *h, unsigned routers, bool server, struct mono *end)
{
	struct mono now = start, wake;
	struct ip from = ip("10.0.0.1");
	struct hops_act act;
	unsigned packets = 0;

	hops_init(h, now);
	for (;;) {
		while (hops_next(h, now, &act)) {
			packets++;
			if (act.ttl >= 1 && act.ttl <= routers)
				hops_error(
				    h, act.ttl, false, &from, 11, 0, now);
			else if (server && act.ttl > routers)
				hops_answer(h, act.ttl, now);
			else if (server && act.ttl == 0)
				hops_error(h, 0, false, &from, 3, 3, now);
		}
		wake = hops_wake(h, now);
		if (!mono_is_set(wake))
			break;
		if (mono_diff_us(now, wake) <= 0) {
			ok(false, "it wakes up in the past");
			break;
		}
		now = wake;
	}
	*end = now;
	return packets;
}

static void
test_run(void)
{
	struct mono end;
	struct hops h;
	unsigned n;

	n = run(&h, 2, true, &end);
	eq_int(hops_distance(&h), 3, "two routers, so three hops");
	eq_int(n, 3 + CLOSED_SENDS, "no packet more than that takes");
	eq_int(h.closed_came, CLOSED_SENDS, "each port unreachable counts");
	ok(mono_diff_us(start, end) < 1000000, "within a second");
	eq_int(judge_icmp(&h), ANSWER_YES, "errors come back");

	n = run(&h, 1, false, &end);
	eq_int(hops_distance(&h), 0, "a server that is not reached");
	eq_int(n, HOPS_PACKETS - (HOP_SENDS - 1), "all packets, and no more");
	ok(mono_diff_us(start, end) < 1800000, "within 1.8 s");
	eq_int(judge_icmp(&h), ANSWER_UNKNOWN,
	    "the first router's errors say nothing about the others'");

	n = run(&h, 0, false, &end);
	eq_int(n, HOPS_PACKETS, "silence: so many as is said");
}

static void
test_errors(void)
{
	struct ip from = ip("192.0.2.9");
	struct hops_act act;
	struct hops h;

	hops_init(&h, start);
	ok(hops_next(&h, start, &act) && act.ttl == 1, "the nearest first");
	ok(!hops_next(&h, start, &act), "not two at once");
	hops_error(&h, 1, false, &from, 3, 13, mono_add_us(start, 500));
	ok(h.v[0].state == HOP_REFUSED && h.v[0].code == 13 &&
		h.v[0].rtt_us == 500,
	    "forbidden");
	hops_error(&h, 1, false, &from, 11, 0, start);
	eq_int(h.v[0].code, 13, "the first error stays");
	hops_error(&h, 2, true, &from, 3, 0, start);
	eq_int(h.v[1].state, HOP_EXCEEDED, "ICMPv6: time exceeded");
	hops_error(&h, 3, false, &from, 11, 1, start);
	eq_int(h.v[2].state, HOP_REFUSED, "of fragments: something else");
	hops_error(&h, 0, true, &from, 1, 4, start);
	eq_int(h.closed_came, 1, "ICMPv6: port unreachable");
	hops_error(&h, 0, false, &from, 1, 4, start);
	eq_int(h.closed_came, 1, "which is nothing in IPv4");
	hops_error(&h, HOPS_MAX + 1, false, &from, 11, 0, start);
	hops_answer(&h, HOPS_MAX + 1, start);
	hops_answer(&h, 0, start);
	ok(true, "a time to live that was never used");
}

static void
test_realms(void)
{
	static const struct {
		const char *ip, *realm;
	} all[] = {{"10.255.0.1", "private"}, {"11.0.0.1", "public"},
	    {"172.15.0.1", "public"}, {"172.31.0.1", "private"},
	    {"172.32.0.1", "public"}, {"192.168.0.1", "private"},
	    {"100.63.255.255", "public"}, {"100.64.0.0", "shared"},
	    {"100.127.255.255", "shared"}, {"100.128.0.0", "public"},
	    {"192.0.0.2", "shared"}, {"169.254.9.9", "link-local"},
	    {"fd00::1", "private"}, {"fe80::1", "link-local"},
	    {"2001:db8::1", "public"}};
	char what[80];
	struct ip a;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		a = ip(all[i].ip);
		snprintf(
		    what, sizeof(what), "%s is %s", all[i].ip, all[i].realm);
		eq_str(realm_name(realm_of(&a)), all[i].realm, what);
	}
}

/* hops: addresses of the routers, with spaces between. */
static struct verdict_nats
nats(const char *local, const char *seen, const char *hops, const char *told)
{
	struct nats_facts f = {
	    .local = ip(local), .seen = {ip(seen)}, .n_seen = 1};
	char copy[200], *save, *word;
	unsigned n = 0;
	struct hops h;

	hops_init(&h, start);
	snprintf(copy, sizeof(copy), "%s", hops);
	for (word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		h.v[n].state = *word == '?' ? HOP_SILENT : HOP_EXCEEDED;
		if (*word != '?')
			h.v[n].ip = ip(word);
		n++;
	}
	f.hops = &h;
	if (*told != '\0')
		f.told[f.n_told++] = ip(told);
	return judge_nats(&f);
}

static void
is(struct verdict_nats v, unsigned count, enum sure sure, enum answer carrier,
    const char *what)
{
	if (!ok(v.known && v.count == count && v.sure == sure &&
		    v.carrier == carrier,
		what))
		printf("# got %u, %s, carrier %s, evidence %x\n", v.count,
		    sure_name(v.sure), answer_name(v.carrier), v.evidence);
}

static void
test_nats(void)
{
	const char *in = "192.168.1.15", *out = "198.51.100.7";
	struct nats_facts mismatch = {.local = ip("10.0.0.2"),
	    .seen = {ip("198.51.100.7")},
	    .n_seen = 1,
	    .mismatch = true};
	struct nats_facts pool = {.local = ip("10.0.0.2"),
	    .seen = {ip("198.51.100.7"), ip("198.51.100.8")},
	    .n_seen = 2};
	struct nats_facts blind = {.local = ip("10.0.0.2")};

	is(nats(out, out, "198.51.100.1", ""), 0, SURE_HIGH, ANSWER_NO,
	    "no NAT");
	is(nats(in, out, "192.168.1.1 203.0.113.1", ""), 1, SURE_HIGH,
	    ANSWER_UNKNOWN, "one: all beyond the first router is public");
	is(nats(in, out, "192.168.1.1 192.168.9.1 203.0.113.1", ""), 1,
	    SURE_MEDIUM, ANSWER_UNKNOWN, "one: a network with routers in it");
	is(nats(in, out, "? ? ?", ""), 1, SURE_LOW, ANSWER_UNKNOWN,
	    "one at least, where nobody says anything");
	is(nats(in, out, "? 10.9.0.1", out), 1, SURE_HIGH, ANSWER_NO,
	    "the router's word goes before the way");
	is(nats(in, out, "192.168.1.1 100.64.0.1", ""), 2, SURE_HIGH,
	    ANSWER_YES, "a carrier's on the way");
	is(nats(in, out, "? ?", "100.99.0.1"), 2, SURE_HIGH, ANSWER_YES,
	    "a carrier's, as the router tells");
	is(nats("100.64.3.3", out, "100.64.0.1 203.0.113.1", ""), 1, SURE_HIGH,
	    ANSWER_YES, "a carrier's alone");
	is(nats(in, out, "192.168.1.1", "10.9.0.20"), 2, SURE_HIGH,
	    ANSWER_UNKNOWN, "the router has a private address outside");
	is(nats(in, out, "192.168.1.1", "203.0.113.99"), 2, SURE_MEDIUM,
	    ANSWER_UNKNOWN, "the router has another address outside");
	is(nats(in, out, "192.168.1.1 10.9.0.1 203.0.113.1", ""), 2, SURE_LOW,
	    ANSWER_UNKNOWN, "another private network on the way: maybe");
	is(judge_nats(&mismatch), 2, SURE_HIGH, ANSWER_UNKNOWN,
	    "PCP says that somebody translates before it");
	pool.told[pool.n_told++] = ip("198.51.100.8");
	is(judge_nats(&pool), 1, SURE_HIGH, ANSWER_NO,
	    "one that has several addresses outside");
	ok(!judge_nats(&blind).known, "not known without a STUN server");
	for (unsigned i = 0; i < NATS_EVIDENCES; i++)
		if (nats_evidence_name(i) == NULL)
			ok(false, "all evidence has a name");
}

int
main(void)
{
	test_run();
	test_errors();
	test_realms();
	test_nats();
	return tap_done();
}

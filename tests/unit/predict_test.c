/* predict: each rule, and the pairs of NAT kinds that were really tried. */
#include "probes/natprobe/views/predict.h"
#include "tests/tap.h"

static struct stun_addr
v4(uint8_t last)
{
	return (struct stun_addr){
	    {[10] = 0xff, 0xff, 198, 51, 100, last}, 41641};
}

static struct verdicts
nat(enum behaviour mapping, enum behaviour filter, enum answer early)
{
	static uint8_t last;

	return (struct verdicts){.udp = ANSWER_YES,
	    .nat = mapping == BEHAVIOUR_NONE ? ANSWER_NO : ANSWER_YES,
	    .mapping = {.kind = mapping, .external = v4(++last)},
	    .filter = {.kind = filter},
	    .poison = {.poisonable = early}};
}

static struct site
site4(struct verdicts v)
{
	return (struct site){.asked = {true, false}, .v = {v}};
}

static struct path
path4(struct verdicts a, struct verdicts b)
{
	struct site x = site4(a), y = site4(b);
	struct prediction p;

	predict(&p, &x, &y);
	return p.path[0];
}

#define EI  BEHAVIOUR_EI
#define AD  BEHAVIOUR_AD
#define APD BEHAVIOUR_APD
#define PD  BEHAVIOUR_PD
#define NO  ANSWER_NO
#define YES ANSWER_YES

/* Does it work if A sends first, 0.3 s before B? */
static bool
works_if_a_first(enum outcome o)
{
	return o == OUTCOME_DIRECT || o == OUTCOME_IF_A_FIRST;
}

/* Five kinds of the kernel's, 25 ordered pairs, of which 18 meet. */
static void
test_measured(void)
{
	static const struct {
		const char *name;
		enum behaviour mapping, filter;
		enum answer early;
		const char *meets; /* with each of the five */
	} kinds[] = {
	    {"full cone", EI, EI, NO, "+++++"},
	    {"restricted cone", EI, AD, NO, "+++++"},
	    {"masquerade", EI, APD, NO, "+++--"},
	    {"masquerade-accept", EI, APD, YES, "+++--"},
	    {"fully-random", APD, APD, NO, "++---"},
	};
	unsigned met = 0;
	char what[100];

	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++) {
			struct path p =
			    path4(nat(kinds[i].mapping, kinds[i].filter,
				      kinds[i].early),
				nat(kinds[j].mapping, kinds[j].filter,
				    kinds[j].early));
			bool meets = works_if_a_first(p.outcome);

			snprintf(what, sizeof(what), "%s, then %s: %s",
			    kinds[i].name, kinds[j].name,
			    outcome_name(p.outcome));
			ok(meets == (kinds[i].meets[j] == '+'), what);
			eq_int(
			    p.confidence, CONFIDENCE_HIGH, "high confidence");
			met += meets;
		}
	eq_int(met, 18, "18 of 25 ordered pairs meet");
}

/* Whatever the two are, exchanging them exchanges the outcome. */
static void
test_turned(void)
{
	static const enum behaviour m[] = {EI, AD, APD, PD, BEHAVIOUR_NONE,
	    BEHAVIOUR_UNKNOWN, BEHAVIOUR_DEPENDENT, BEHAVIOUR_MIXED};
	static const enum answer e[] = {NO, YES, ANSWER_UNKNOWN};
	const size_t n = 8 * 8 * 3;
	bool same = true;

	for (size_t i = 0; i < n * n; i++) {
		size_t a = i % n, b = i / n;
		struct verdicts x = nat(m[a % 8], m[a / 8 % 8], e[a / 64]);
		struct verdicts y = nat(m[b % 8], m[b / 8 % 8], e[b / 64]);

		x.mapping.external = v4(1);
		y.mapping.external = v4(2);
		same &=
		    path4(x, y).outcome == outcome_turned(path4(y, x).outcome);
	}
	ok(same, "B and A are as A and B, for every pair of verdicts");
}

static void
test_rules(void)
{
	struct verdicts masq = nat(EI, APD, NO), accept = nat(EI, APD, YES);
	struct verdicts edm = nat(APD, APD, NO), blocked = {.udp = ANSWER_NO};
	struct verdicts sequential = edm, two = nat(AD, APD, NO);
	struct verdicts open = nat(BEHAVIOUR_NONE, EI, NO);
	struct verdicts firewall = nat(BEHAVIOUR_NONE, APD, NO);
	struct path p = path4(masq, blocked);

	ok(p.outcome == OUTCOME_RELAY && p.cause == CAUSE_BLOCKED &&
		p.at == SITE_B,
	    "UDP blocked at B: relay");
	p = path4(firewall, firewall);
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_NO_NAT,
	    "two stateful firewalls: direct");
	p = path4(edm, open);
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_OPEN &&
		p.at == SITE_B,
	    "a public address without a filter at B: direct from anywhere");
	p = path4(masq, nat(EI, APD, NO));
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_STABLE,
	    "two masquerades: direct");
	p = path4(edm, nat(EI, AD, NO));
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_LEARNED &&
		p.at == SITE_B,
	    "an address-dependent filter lets a new port in: direct");
	p = path4(edm, nat(APD, EI, NO));
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_REUSED &&
		p.at == SITE_B && p.confidence == CONFIDENCE_MEDIUM,
	    "an open filter with a dependent mapping answers by the port "
	    "that was asked: direct");
	p = path4(masq, nat(APD, EI, NO));
	ok(p.outcome == OUTCOME_IF_A_FIRST && p.cause == CAUSE_REUSED &&
		p.at == SITE_B && p.confidence == CONFIDENCE_MEDIUM,
	    "unless it has sent to that very endpoint before");
	p = path4(accept, masq);
	ok(p.outcome == OUTCOME_IF_A_FIRST && p.cause == CAUSE_EARLY &&
		p.at == SITE_A,
	    "an early packet harms at A: direct if A sends first");
	eq_int(
	    path4(masq, accept).outcome, OUTCOME_IF_B_FIRST, "and B likewise");
	p = path4(accept, nat(EI, APD, YES));
	ok(p.outcome == OUTCOME_UNRELIABLE && p.cause == CAUSE_EARLY_BOTH,
	    "at both: unreliable");
	eq_int(path4(accept, nat(EI, AD, NO)).outcome, OUTCOME_DIRECT,
	    "it does no harm if the other's filter lets new ports in");
	sequential.alloc.guess = 0.75;
	p = path4(sequential, masq);
	ok(p.outcome == OUTCOME_RELAY && p.cause == CAUSE_DEPENDENT &&
		p.at == SITE_A && p.guess == 0.75,
	    "dependent at A, port-dependent filter at B: relay, and the odds");
	p = path4(edm, nat(APD, APD, NO));
	ok(p.outcome == OUTCOME_RELAY && p.cause == CAUSE_DEPENDENT_BOTH,
	    "both dependent: relay");
	eq_int(path4(two, nat(EI, AD, NO)).outcome, OUTCOME_DIRECT,
	    "address-dependent mapping: its address is known");
	two.mapping.pool_varies = true;
	eq_int(path4(two, nat(EI, AD, NO)).outcome, OUTCOME_RELAY,
	    "but not if that, too, differs by remote");
	eq_int(path4(two, nat(EI, EI, NO)).outcome, OUTCOME_DIRECT,
	    "which matters to no filter that lets all in");
	eq_int(path4(nat(APD, EI, NO), nat(APD, EI, NO)).outcome,
	    OUTCOME_DIRECT, "two open filters: direct with any mapping");
}

static void
test_missing(void)
{
	struct verdicts masq = nat(EI, APD, NO), open = nat(EI, EI, NO), v;
	struct path p;

	v = nat(BEHAVIOUR_UNKNOWN, BEHAVIOUR_UNKNOWN, ANSWER_UNKNOWN);
	v.mapping.why = REASON_ONE_ADDRESS;
	p = path4(masq, v);
	ok(p.outcome == OUTCOME_UNKNOWN && p.cause == CAUSE_MISSING &&
		p.at == SITE_B && p.missing == FACT_MAPPING &&
		p.why == REASON_ONE_ADDRESS,
	    "the mapping at B is missing, because of one address");
	p = path4(open, v);
	ok(p.outcome == OUTCOME_DIRECT && p.confidence == CONFIDENCE_MEDIUM,
	    "which does not matter if A is open");
	v = nat(EI, BEHAVIOUR_UNKNOWN, ANSWER_NO);
	v.filter.why = REASON_NO_ALTERNATE;
	eq_int(path4(v, masq).outcome, OUTCOME_DIRECT,
	    "nor does the filter, with two stable mappings");
	p = path4(v, nat(APD, APD, NO));
	ok(p.outcome == OUTCOME_UNKNOWN && p.missing == FACT_FILTER &&
		p.at == SITE_A && p.why == REASON_NO_ALTERNATE,
	    "but it does against a dependent one");
	v = nat(EI, APD, ANSWER_UNKNOWN);
	p = path4(masq, v);
	ok(p.outcome == OUTCOME_UNKNOWN && p.missing == FACT_EARLY &&
		p.at == SITE_B,
	    "whether an early packet harms");
	eq_int(path4(nat(EI, AD, NO), v).outcome, OUTCOME_DIRECT,
	    "if it can do harm");
	v = nat(BEHAVIOUR_MIXED, APD, ANSWER_NO);
	v.mapping.why = REASON_VARIES;
	p = path4(v, masq);
	ok(p.outcome == OUTCOME_UNKNOWN && p.why == REASON_VARIES,
	    "sockets that disagree");
	eq_int(path4(nat(BEHAVIOUR_DEPENDENT, APD, NO), masq).outcome,
	    OUTCOME_RELAY, "dependent on what: does not matter here");
	v = (struct verdicts){.udp = ANSWER_UNKNOWN};
	p = path4(masq, v);
	ok(p.outcome == OUTCOME_UNKNOWN && p.missing == FACT_UDP,
	    "a run that was cut short");
}

static struct local
local(uint8_t third, uint8_t last, uint8_t bits)
{
	return (struct local){
	    .addr = {.ip = {[10] = 0xff, 0xff, 10, 0, third, last},
		.port = 40000},
	    .bits = bits};
}

/* Private addresses of two sites behind one NAT. */
static void
test_local(void)
{
	struct verdicts a = nat(EI, APD, NO), b = nat(EI, APD, NO);
	struct path p;

	b.mapping.external = a.mapping.external;
	a.local = local(2, 15, 24);
	b.local = local(2, 16, 24);
	p = path4(a, b);
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_SAME_NET &&
		p.confidence == CONFIDENCE_LOW && p.missing == FACT_NONE,
	    "one network: direct");
	a.mapping.kind = b.mapping.kind = APD;
	eq_int(path4(a, b).cause, CAUSE_SAME_NET, "whatever the NAT does");
	a.mapping.kind = b.mapping.kind = EI;
	b.local = local(3, 16, 24);
	p = path4(a, b);
	ok(p.outcome == OUTCOME_UNKNOWN && p.missing == FACT_PRIVATE,
	    "two networks: nobody knows whether there is a way");
	a.local.bits = b.local.bits = 16;
	eq_int(path4(a, b).cause, CAUSE_SAME_NET, "one network of 16 bits");
	b.local.bits = 24;
	eq_int(path4(a, b).cause, CAUSE_SAME_NAT, "prefixes that differ");
	a.local.bits = b.local.bits = 0;
	eq_int(path4(a, b).cause, CAUSE_SAME_NAT, "prefixes not known");
	b.local = a.local = local(2, 15, 24);
	eq_int(path4(a, b).cause, CAUSE_SAME_NAT,
	    "one address, and who knows what the NAT passes back in");
	a.hairpin.kind = b.hairpin.kind = HAIRPIN_NO;
	p = path4(a, b);
	ok(p.outcome == OUTCOME_RELAY && p.cause == CAUSE_SAME_ADDRESS,
	    "one address, so two networks, and no hairpin: relay");
	a.hairpin.kind = HAIRPIN_EXTERNAL;
	eq_int(path4(a, b).cause, CAUSE_HAIRPIN, "one address, with hairpin");
	b.mapping.external.ip[15]++;
	b.local = local(2, 16, 24);
	eq_int(path4(a, b).cause, CAUSE_STABLE,
	    "behind two NATs the same numbers mean nothing");
}

static void
test_one_nat(void)
{
	struct verdicts a = nat(EI, APD, NO), b = nat(EI, APD, NO);
	struct path p;

	b.mapping.external = a.mapping.external;
	b.mapping.external.port++;
	p = path4(a, b);
	ok(p.outcome == OUTCOME_UNKNOWN && p.cause == CAUSE_SAME_NAT &&
		p.missing == FACT_PRIVATE && p.confidence == CONFIDENCE_LOW,
	    "one external address: private addresses decide");
	a.hairpin.kind = HAIRPIN_NO;
	eq_int(
	    path4(a, b).outcome, OUTCOME_UNKNOWN, "the same without hairpin");
	b.hairpin.kind = HAIRPIN_EXTERNAL;
	p = path4(a, b);
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_HAIRPIN,
	    "with it: direct");
	a.mapping.kind = b.mapping.kind = APD;
	eq_int(path4(a, b).outcome, OUTCOME_UNKNOWN,
	    "but not with dependent mappings");
}

static void
test_mapped(void)
{
	struct verdicts a = nat(APD, APD, NO), b = nat(APD, APD, NO);
	struct path p;

	b.router.mapping_works = ANSWER_NO;
	eq_int(path4(a, b).outcome, OUTCOME_RELAY, "a router that opens none");
	b.router.mapping_works = ANSWER_YES;
	p = path4(a, b);
	ok(p.outcome == OUTCOME_DIRECT && p.cause == CAUSE_MAPPED &&
		p.at == SITE_B && p.confidence == CONFIDENCE_MEDIUM &&
		p.guess == 0,
	    "a port on demand at B: direct, whatever the NATs are");
	a = nat(BEHAVIOUR_UNKNOWN, BEHAVIOUR_UNKNOWN, ANSWER_UNKNOWN);
	p = path4(a, b);
	ok(p.outcome == OUTCOME_DIRECT && p.missing == FACT_NONE,
	    "and nothing that is not known matters");
	a = nat(EI, APD, NO);
	eq_int(path4(a, nat(EI, APD, NO)).cause, CAUSE_STABLE,
	    "it is no cause where it needs none");
	a.udp = ANSWER_NO;
	eq_int(path4(a, b).outcome, OUTCOME_RELAY, "it is UDP, too");
	a = b;
	a.mapping.external.port++;
	eq_int(path4(a, b).outcome, OUTCOME_UNKNOWN,
	    "behind one NAT it does not help by itself");
}

static void
test_doubts(void)
{
	struct verdicts a = nat(EI, APD, NO), b = nat(EI, APD, NO);
	struct path p;

	a.collision.until_collision = ANSWER_YES;
	p = path4(a, b);
	ok(p.outcome == OUTCOME_DIRECT && p.confidence == CONFIDENCE_MEDIUM &&
		p.collides[SITE_A] && !p.collides[SITE_B],
	    "until two hosts collide: less sure");
	a.collision.until_collision = ANSWER_NO;
	b.alloc.addresses = 2;
	p = path4(a, b);
	ok(p.confidence == CONFIDENCE_MEDIUM && p.several[SITE_B],
	    "several external addresses: less sure");
	b.alloc.addresses = 1;
	b.mapping.units = 8;
	b.mapping.agree = 7;
	eq_int(path4(a, b).confidence, CONFIDENCE_MEDIUM,
	    "a socket that disagrees: less sure");
}

static struct path
path_lives(double low_a, double high_a, double low_b, double high_b)
{
	struct verdicts a = nat(EI, APD, NO), b = nat(EI, APD, NO);

	a.life[1] = (struct verdict_life){.low = low_a, .high = high_a};
	b.life[1] = (struct verdict_life){.low = low_b, .high = high_b};
	return path4(a, b);
}

static void
test_idle(void)
{
	struct path p = path_lives(0, 0, 0, 0);

	eq_int(p.idle, IDLE_UNKNOWN, "no lifetimes: unknown");
	eq_int(path_lives(118, 120, 200, 0).idle, IDLE_KEPT,
	    "longer than 26 s at both: kept");
	p = path_lives(118, 120, 14, 16);
	ok(p.idle == IDLE_DROPS && p.idle_at == SITE_B && p.idle_high == 16,
	    "less than 20 s at B: drops");
	p = path_lives(24, 26, 118, 120);
	ok(p.idle == IDLE_MAY_DROP && p.idle_at == SITE_A, "between: may drop");
	p = path_lives(0, 0, 14, 16);
	ok(p.idle == IDLE_DROPS && p.idle_at == SITE_B,
	    "short at B, not known at A: drops");
	p = path_lives(118, 120, 0, 0);
	ok(p.idle == IDLE_UNKNOWN && p.idle_at == SITE_B,
	    "long at A, not known at B: unknown");
	eq_int(path_lives(26, 28, 30, 32).idle, IDLE_KEPT, "26 s will do");
	eq_int(path_lives(19, 20, 30, 32).idle, IDLE_DROPS, "20 s will not");
}

static void
test_families(void)
{
	struct site a = site4(nat(APD, APD, NO));
	struct site b = site4(nat(APD, APD, NO));
	struct prediction p;

	predict(&p, &a, &b);
	ok(!p.v6 && p.path[1].cause == CAUSE_NOT_ASKED, "IPv4 alone");
	a.asked[1] = true;
	a.v[1] = nat(BEHAVIOUR_NONE, APD, NO);
	predict(&p, &a, &b);
	ok(!p.v6 && p.path[1].cause == CAUSE_NOT_ASKED &&
		p.path[1].at == SITE_B,
	    "IPv6 at A alone");
	b.asked[1] = true;
	b.v[1] = nat(BEHAVIOUR_NONE, APD, NO);
	predict(&p, &a, &b);
	ok(p.v6 && p.path[1].outcome == OUTCOME_DIRECT &&
		p.path[0].outcome == OUTCOME_RELAY,
	    "IPv6 at both is the better way");
	b.v[1].udp = ANSWER_NO;
	a.v[0] = nat(EI, EI, NO);
	predict(&p, &a, &b);
	ok(!p.v6 && p.path[0].outcome == OUTCOME_DIRECT,
	    "unless it is blocked");
}

int
main(void)
{
	test_measured();
	test_turned();
	test_rules();
	test_missing();
	test_one_nat();
	test_local();
	test_mapped();
	test_doubts();
	test_idle();
	test_families();
	return tap_done();
}

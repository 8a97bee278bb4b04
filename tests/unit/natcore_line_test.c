/* natcore: delay, loss and disorder; the knobs by name. */
#include <stdlib.h>

#include "tests/unit/natcore_kit.h"

#define PACKETS 400

static struct box b;

/* PACKETS packets, ms apart; fills in which ones came out, in order. */
static void
stream(const char *knobs, double ms, int order[static 2 * PACKETS])
{
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	uint8_t p[128];

	box_init(&b, knobs);
	for (int i = 0; i < PACKETS; i++) {
		size_t n = make_udp(p, &e, 2);

		p[28] = (uint8_t)(i >> 8);
		p[29] = (uint8_t)i;
		p[26] = p[27] = 0; /* no checksum */
		box_send(&b, NAT_INSIDE, p, n);
		box_wait(&b, ms / 1000);
	}
	box_wait(&b, 10);
	for (size_t i = 0; i < b.count && i < BOX_PACKETS; i++)
		order[i] = b.got[i].p[28] << 8 | b.got[i].p[29];
}

static bool
in_order(const int *order, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (order[i] < order[i - 1])
			return false;
	return true;
}

static void
test_delay(void)
{
	int order[2 * PACKETS];
	int64_t least = INT64_MAX, most = 0;

	stream("'delay_out_ms': 50", 1000, order);
	for (size_t i = 0; i < b.count; i++) {
		int64_t late = b.got[i].at.us - 1000000 * (order[i] + 1);

		least = late < least ? late : least;
		most = late > most ? late : most;
	}
	ok(least == 50000 && most == 50000, "delay is exact");
	eq_int((int64_t)b.count, PACKETS, "all came");
	box_clear(&b);

	least = INT64_MAX, most = 0;
	stream("'delay_out_ms': 50, 'jitter_out_ms': 30, 'speed': 100", 1000,
	    order);
	for (size_t i = 0; i < b.count; i++) {
		int64_t late = b.got[i].at.us - 1000000 * (order[i] + 1);

		least = late < least ? late : least;
		most = late > most ? late : most;
	}
	ok(least >= 50000 && least < 52000 && most <= 80000 && most > 78000,
	    "jitter spreads evenly above the delay, at any speed");
	box_clear(&b);

	stream("'jitter_out_ms': 30", 1, order);
	eq_int((int64_t)b.count, PACKETS, "jitter loses nothing");
	ok(in_order(order, b.count), "and keeps the order");
	box_clear(&b);
}

static void
test_loss(void)
{
	int order[2 * PACKETS], again[2 * PACKETS];
	size_t n;

	stream("'loss_out': 0.25, 'seed': 7", 1, order);
	ok(b.count > PACKETS * 0.68 && b.count < PACKETS * 0.82,
	    "loss is about the share");
	eq_int((int64_t)nat_counter(b.nat, NAT_DROP_LOSS),
	    (int64_t)(PACKETS - b.count), "and counted");
	n = b.count;
	box_clear(&b);
	stream("'loss_out': 0.25, 'seed': 7", 1, again);
	ok(b.count == n && memcmp(order, again, n * sizeof(int)) == 0,
	    "the same seed loses the same packets");
	box_clear(&b);
	stream("'loss_out': 0.25, 'seed': 8", 1, again);
	ok(b.count != n || memcmp(order, again, n * sizeof(int)) != 0,
	    "another seed others");
	box_clear(&b);
	stream("'loss_out': 1", 1, order);
	eq_int((int64_t)b.count, 0, "1 is all");
	box_clear(&b);
	stream("'loss_in': 1", 1, order);
	eq_int((int64_t)b.count, PACKETS, "each direction has its own");
	box_clear(&b);
}

static void
test_disorder(void)
{
	int order[2 * PACKETS];
	size_t late = 0;

	stream("'dup_out': 0.1", 1, order);
	ok(b.count > PACKETS * 1.05 && b.count < PACKETS * 1.15,
	    "dup is about the share");
	ok(in_order(order, b.count), "and doubles come at once");
	box_clear(&b);

	stream("'reorder_out': 0.1, 'reorder_out_ms': 3.5", 1, order);
	eq_int((int64_t)b.count, PACKETS, "reorder loses nothing");
	for (size_t i = 1; i < b.count; i++)
		late += order[i] < order[i - 1];
	ok(late > PACKETS * 0.05 && late < PACKETS * 0.15,
	    "and is about the share");
	box_clear(&b);
}

/* 30 bytes of a packet each ms are 240 kbit/s. */
static void
test_rate(void)
{
	int order[2 * PACKETS];
	int64_t last = 0, least = INT64_MAX;
	size_t n;

	stream("'rate_out_kbit': 120, 'queue_out_ms': 60000", 1, order);
	eq_int((int64_t)b.count, PACKETS, "rate: with a long queue all come");
	ok(in_order(order, b.count), "in order");
	for (size_t i = 0; i < b.count; i++) {
		if (i > 0 && b.got[i].at.us - last < least)
			least = b.got[i].at.us - last;
		last = b.got[i].at.us;
	}
	eq_int(least, 2000, "2 ms from each to the next");
	eq_int(last, 1000000 + PACKETS * 2000, "of 1 ms when they were sent");
	box_clear(&b);

	stream("'rate_out_kbit': 120, 'queue_out_ms': 20, 'delay_out_ms': 5", 1,
	    order);
	n = b.count;
	ok(n > PACKETS / 2 && n < PACKETS / 2 + 15,
	    "what is too much for the queue is dropped");
	eq_int((int64_t)nat_counter(b.nat, NAT_DROP_QUEUE),
	    (int64_t)(PACKETS - n), "and counted");
	last = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t late = b.got[i].at.us - 1000000 - 1000 * order[i];

		last = late > last ? late : last;
	}
	ok(last > 25000 && last <= 27000,
	    "the others wait no longer than that, and the delay");
	box_clear(&b);

	stream("'rate_in_kbit': 1", 1, order);
	eq_int((int64_t)b.count, PACKETS, "each direction has its own");
	box_clear(&b);
}

static void
test_queue(void)
{
	struct pair e = {box_ip("a"), box_ip("S"), 5000, 1};
	uint8_t p[128];
	size_t n = make_udp(p, &e, 2);

	box_init(&b, "'delay_out_ms': 1000");
	for (int i = 0; i < NAT_DELAYED_MAX + 5; i++)
		box_send(&b, NAT_INSIDE, p, n);
	eq_int((int64_t)nat_counter(b.nat, NAT_DROP_QUEUE), 5,
	    "what is under way is bounded");
	box_wait(&b, 1);
	eq_int((int64_t)b.count, NAT_DELAYED_MAX, "and comes");
	box_clear(&b);
}

/* ---- knobs ---- */

static const struct {
	const char *json, *error;
} wrong[] = {
    {"[]", "knobs: []: want an object"},
    {"{\"maping\": 1}", "maping: 1: there is no such knob"},
    {"{\"mapping\": \"ei\"}",
	"mapping: \"ei\": want endpoint-independent, address-dependent, "
	"address-and-port-dependent, port-dependent, none"},
    {"{\"filtering\": \"none\"}", "filtering: none: only with mapping none"},
    {"{\"ports_fallback\": \"preserve\"}",
	"ports_fallback: \"preserve\": want sequential, random"},
    {"{\"hairpin\": 1}",
	"hairpin: 1: want none, external-source, internal-source"},
    {"{\"parity\": 1}", "parity: 1: want true or false"},
    {"{\"port_min\": 0}", "port_min: 0: want a whole number from 1 to 65535"},
    {"{\"port_min\": 1.5}",
	"port_min: 1.5: want a whole number from 1 to 65535"},
    {"{\"port_min\": 9, \"port_max\": 8}",
	"port_min: is greater than port_max"},
    {"{\"ttl_single\": 0}", "ttl_single: 0: want seconds from 0.001 to 1e+06"},
    {"{\"ttl_single\": \"5\"}",
	"ttl_single: \"5\": want seconds from 0.001 to 1e+06"},
    {"{\"delay_in_ms\": -1}",
	"delay_in_ms: -1: want milliseconds from 0 to 60000"},
    {"{\"loss_in\": 2}", "loss_in: 2: want a number from 0 to 1"},
    {"{\"seed\": true}", "seed: true: want a whole number"},
    {"{\"external\": \"10.0.0.1\"}",
	"external: \"10.0.0.1\": want a list of at most 16 IPv4 addresses"},
    {"{\"external\": [\"fd00::1\"]}",
	"external: \"fd00::1\": want an IPv4 address"},
    {"{\"inside_address6\": \"10.0.0.1\"}",
	"inside_address6: \"10.0.0.1\": want an IPv6 address"},
    {"{\"port_start\": 80}",
	"port_start: want 0, or one from port_min to port_max"},
    {"{\"renumber_at\": 5}", "renumber_at: only with renumber_to"},
    {"{\"renumber_to\": [\"fd00::1\"]}",
	"renumber_to: \"fd00::1\": want an IPv4 address"},
    {"{\"port_map\": 1}", "port_map: 1: want a list of at most 64 objects"},
    {"{\"port_map\": [{\"ip\": \"10.0.0.1\", \"inside\": 0, "
     "\"outside\": 9}]}",
	"port_map: {\"inside\":0,\"ip\":\"10.0.0.1\",\"outside\":9}: want ip, "
	"inside and outside: IPv4 and ports"},
    {"{\"port_map\": [{\"ip\": \"10.0.0.1\", \"inside\": 1, "
     "\"outside\": 9}, {\"ip\": \"10.0.0.2\", \"inside\": 2, "
     "\"outside\": 9}]}",
	"port_map: {\"inside\":2,\"ip\":\"10.0.0.2\",\"outside\":9}: want each "
	"outside once"},
    {"{\"ports\": \"block\", \"pooling\": \"arbitrary\"}",
	"ports: block: only with pooling paired"},
};

static void
test_knobs(void)
{
	struct nat_config c, again;
	char error[NAT_ERROR_MAX];
	json_t *o, *o2;
	const char *name;
	json_t *v;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		c = nat_config_default();
		o = json_loads(wrong[i].json, 0, NULL);
		error[0] = '\0';
		if (nat_config_read(&c, o, error))
			snprintf(error, sizeof(error), "accepted");
		eq_str(error, wrong[i].error, wrong[i].json);
		json_decref(o);
	}
	/* What is written is read back as the same, knob by knob. */
	memset(&c, 0, sizeof(c));
	memset(&again, 0, sizeof(again));
	c = nat_config_default();
	o = json_loads(
	    "{\"external\": [\"192.0.2.1\"], \"mapping\": \"none\", "
	    "\"ports_fallback\": \"sequential\", \"ttl_filter\": 7.5,"
	    " \"loss_in\": 0.125, \"delay_out_ms\": 2.5,"
	    " \"port_map\": [{\"ip\": \"10.0.0.1\", \"inside\": 5,"
	    " \"outside\": 6}], \"renumber_to\": [\"192.0.2.2\"]}",
	    0, NULL);
	ok(nat_config_read(&c, o, error), "good knobs");
	json_decref(o);
	o = nat_config_write(&c);
	again = nat_config_default();
	ok(nat_config_read(&again, o, error), "what is written can be read");
	o2 = nat_config_write(&again);
	ok(json_equal(o, o2), "and is the same");
	json_object_foreach(o2, name, v)
	{
		json_t *one = json_pack("{sO}", name, v);

		c = nat_config_default();
		ok(nat_config_read(&c, one, error), name);
		json_decref(one);
	}
	json_decref(o);
	json_decref(o2);
}

int
main(void)
{
	test_delay();
	test_loss();
	test_disorder();
	test_rate();
	test_queue();
	test_knobs();
	return tap_done();
}

/* natprobe_ports_test: runs on one host, one after the other and at once, that
 * know nothing of each other: no port twice within a quarter of an hour. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/nat/ports.h"
#include "tests/tap.h"

#define QUARTER_MS INT64_C(900000)
#define BEGIN_MS   INT64_C(1800000000000)
#define AT_ONCE	   4

static const uint8_t ip[16] = {
    [10] = 0xff, [11] = 0xff, [12] = 10, [14] = 2, [15] = 15};

static int64_t taken_ms[65536]; /* when last */
static bool bound[65536];
static unsigned twice, out_of_range;
static int64_t longest_ms; /* that a run had to wait at its end */

struct run {
	struct ports ports;
	uint16_t had[4096];
	unsigned n, wanted;
	int64_t begins, every_ms;
};

static bool
row_is_bound(uint16_t port, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		if (bound[port + i])
			return true;
	return false;
}

static void
take(struct run *r, enum ports_kind kind, int64_t now)
{
	unsigned width = kind == PORTS_ROWS ? PORTS_ROW : 1;
	uint16_t port;

	do
		port = ports_draw(&r->ports, kind, now, ip);
	while (row_is_bound(port, width));
	out_of_range += port < PORTS_MIN || port + width > 65536;
	for (unsigned i = 0; i < width; i++, port++) {
		twice +=
		    taken_ms[port] != 0 && now - taken_ms[port] < QUARTER_MS;
		taken_ms[port] = now;
		bound[port] = true;
		r->had[r->n++] = port;
	}
}

static int64_t
end(struct run *r, int64_t now)
{
	int64_t wait = ports_ahead_ms(&r->ports, now);

	if (wait > longest_ms)
		longest_ms = wait;
	for (unsigned i = 0; i < r->n; i++)
		bound[r->had[i]] = false;
	return now + wait;
}

/* Some at once, each as soon as one is over: sockets, and one every so often. */
static void
runs(unsigned at_once, unsigned sockets, int64_t every_ms, unsigned rounds)
{
	static struct run r[AT_ONCE];
	int64_t now = BEGIN_MS, last;
	unsigned most = 0;

	memset(taken_ms, 0, sizeof(taken_ms));
	twice = out_of_range = 0;
	longest_ms = 0;
	for (unsigned round = 0; round < rounds; round++) {
		memset(r, 0, sizeof(r));
		for (unsigned s = 0; s < sockets; s++, now += every_ms)
			for (unsigned i = 0; i < at_once; i++)
				take(&r[i], PORTS_ONE, now);
		/* A row is taken after all others. */
		for (unsigned i = 0; i < at_once; i++)
			take(&r[i], PORTS_ROWS, now);
		last = now;
		for (unsigned i = 0; i < at_once; i++) {
			int64_t over = end(&r[i], now);

			if (over > last)
				last = over;
			most = r[i].n > most ? r[i].n : most;
		}
		now = last;
	}
}

static void
check(const char *what, int64_t wait_ms)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: none is had twice", what);
	if (!ok(twice == 0 && out_of_range == 0, text))
		printf("# %u twice, %u out of range\n", twice, out_of_range);
	snprintf(text, sizeof(text), "%s: kept for %lld ms at the end", what,
	    (long long)longest_ms);
	ok(longest_ms <= wait_ms, text);
}

static void
test_runs(void)
{
	runs(1, 80, 25, 1500);
	check("runs of 2 s", 700);
	runs(1, 80, 1, 1500);
	check("runs of no time", 2600);
	runs(1, 600, 100, 60);
	check("ladders of a minute", 0);
	runs(AT_ONCE, 80, 25, 400);
	check("four at once", 10000);
}

/* Each port comes before any comes again. */
static void
test_all(void)
{
	static unsigned seen[65536];
	struct ports p = {{0}};
	unsigned n = 0;

	for (unsigned i = 0; i < 27953; i++)
		n += seen[ports_draw(&p, PORTS_ONE, BEGIN_MS, ip)]++ == 0;
	for (unsigned i = 0; i < 601; i++)
		n += seen[ports_draw(&p, PORTS_ROWS, BEGIN_MS, ip)]++ == 0;
	eq_int(n, 27953 + 601, "all ports of both pools, each once");
}

/* As the judge of port allocation looks at external ports. */
static void
test_order(void)
{
	struct ports p = {{0}};
	uint16_t port, before = 0, first = 0;
	unsigned near = 0, odd = 0, flips = 0;

	for (unsigned i = 0; i < 400; i++) {
		port = ports_draw(&p, PORTS_ONE, BEGIN_MS + i, ip);
		first = i == 0 ? port : first;
		near += i > 0 && abs(port - before) <= 256;
		odd += port & 1;
		flips += ((port ^ i ^ first) & 1) == 0;
		before = port;
	}
	eq_int(near, 0, "none is near the one before");
	ok(odd > 160 && odd < 240, "half of them are odd");
	ok(flips > 120 && flips < 280, "odd and even do not take turns");
}

/* Clocks of hosts behind one NAT are right, and all begin on the hour. */
static void
test_hosts(void)
{
	static unsigned owner[65536];
	uint8_t other[16];
	unsigned shared = 0;

	memcpy(other, ip, sizeof(other));
	for (unsigned host = 1; host <= 60; host++) {
		struct ports p = {{0}};

		other[15] = (uint8_t)host;
		for (unsigned i = 0; i < 80; i++) {
			uint16_t port =
			    ports_draw(&p, PORTS_ONE, BEGIN_MS + i * 25, other);

			shared += owner[port] != 0;
			owner[port] = host;
		}
	}
	eq_int(shared, 0, "60 neighbours at once: no port is had by two");
}

int
main(void)
{
	test_runs();
	test_all();
	test_order();
	test_hosts();
	return tap_done();
}

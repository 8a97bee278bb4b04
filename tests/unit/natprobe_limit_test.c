/* natprobe_limit_test: the longest time of a run. */
#include "probes/natprobe/natprobe.h"
#include "tests/tap.h"

#define SECOND INT64_C(1000000)

int
main(void)
{
	struct probe_options o = {.rate = 100, .ttl_max_s = 200};
	int64_t plain = limit_family_us(1000, &o);

	eq_int(plain, 10 * SECOND + 7 * (1750000 + 3 * SECOND),
	    "packets at their rate, and questions in line");
	o.rate = 10;
	eq_int(limit_family_us(1000, &o), plain + 90 * SECOND, "a lower rate");
	o.rate = 100;
	o.hairpin = true;
	ok(limit_family_us(1000, &o) > plain, "hairpin takes longer");
	o.hairpin = false;
	o.refresh = true;
	eq_int(limit_family_us(1000, &o), plain, "no refresh without lifetime");
	o.refresh = false;
	o.lifetime = true;
	eq_int(limit_family_us(1000, &o), plain + 250 * SECOND, "a ladder");
	o.refresh = true;
	eq_int(limit_family_us(1000, &o), plain + 740 * SECOND,
	    "and which direction refreshes");
	eq_int(limit_run_us(3 * SECOND, 10 * SECOND, 5 * SECOND, 0),
	    14 * SECOND, "relays beside servers");
	eq_int(limit_run_us(3 * SECOND, 10 * SECOND, 50 * SECOND, 0),
	    51 * SECOND, "servers beside relays");
	eq_int(limit_run_us(3 * SECOND, 0, 0, 0), 4 * SECOND, "names alone");
	eq_int(limit_run_us(3 * SECOND, 10 * SECOND, 50 * SECOND, 7 * SECOND),
	    58 * SECOND, "and all packets in a row");
	return tap_done();
}

/* limit: how long a run takes at the most, if the network is as bad as it can
 * be. PURE. */
#include "probes/natprobe/natprobe.h"

#define SECOND_US INT64_C(1000000)

/*
 * A question is sent four times within 1.75 s, and given up after three round
 * trips more, of a second each at the worst. In no phase do more than four
 * follow each other, and two in that which asks about filters again; and there
 * are the phases discover, main, filter, hairpin.
 */
#define QUESTION_US (1750000 + 3 * SECOND_US)
#define IN_LINE	    (1 + 4 + 2)
#define HAIRPIN	    2

/* A ladder ends with its last rung, or 10 % above the last that was alive;
 * and REQUIRED is what its own questions need. */
#define REQUIRED_US (10 * SECOND_US)

int64_t
limit_family_us(unsigned packets, const struct probe_options *o)
{
	int64_t ttl_us = (int64_t)o->ttl_max_s * SECOND_US;
	int64_t us = packets * SECOND_US / o->rate + IN_LINE * QUESTION_US;

	if (o->hairpin)
		us += HAIRPIN * QUESTION_US;
	if (o->lifetime)
		us += ttl_us * 6 / 5 + REQUIRED_US;
	if (o->lifetime && o->refresh)
		us += ttl_us * 12 / 5 + REQUIRED_US;
	return us;
}

int64_t
limit_run_us(int64_t names_us, int64_t families_us, int64_t relays_us,
    int64_t packets_us)
{
	/* Relays do not wait for the names of STUN servers; what is last is
	 * to end by itself, with a second to spare. Nobody waits longer for
	 * his turn than all packets take. */
	int64_t servers_us = names_us + families_us;

	return SECOND_US + packets_us +
	    (servers_us > relays_us ? servers_us : relays_us);
}

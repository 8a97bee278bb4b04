/* pacer: see pacer.h. */
#include <stddef.h>

#include "pure/pacer.h"

#define SECOND_US INT64_C(1000000)

struct pacer
pacer_new(unsigned rate, unsigned usual)
{
	/* Rounded up: never more than the rate. */
	return (struct pacer){.rate = rate,
	    .usual = usual,
	    .gap_us = (SECOND_US + rate - 1) / rate};
}

int64_t
pacer_longer_us(const struct pacer *p, int64_t us)
{
	return p == NULL || p->rate >= p->usual ? us : us * p->usual / p->rate;
}

/* Moves the first free slot on, from now on at the earliest. */
static struct mono
take(struct pacer *p, unsigned slots, struct mono now)
{
	struct mono at = p->next.us > now.us ? p->next : now;

	p->next = mono_add_us(at, slots * p->gap_us);
	return at;
}

bool
pace_ready(struct pace *p, struct mono now)
{
	if (p->pacer == NULL)
		return true;
	if (!mono_is_set(p->slot) || mono_diff_us(p->slot, now) > PACER_LATE_US)
		p->slot = take(p->pacer, 1, now);
	return mono_reached(p->slot, now);
}

void
pace_sent(struct pace *p, unsigned packets, struct mono now)
{
	if (p->pacer == NULL || packets == 0)
		return;
	p->pacer->sent += packets;
	if (mono_reached(p->slot, now) &&
	    mono_diff_us(p->slot, now) <= PACER_LATE_US) {
		p->slot = MONO_NEVER;
		packets--;
	}
	if (packets > 0)
		take(p->pacer, packets, now);
}

struct mono
pace_wake(const struct pace *p, struct mono due)
{
	return mono_is_set(due) && p->slot.us > due.us ? p->slot : due;
}

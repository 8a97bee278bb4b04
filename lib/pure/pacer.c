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

/* Where the slot is by now. */
static struct mono
slot_of(const struct pace *p)
{
	return mono_is_set(p->slot)
	    ? mono_add_us(p->slot, p->pacer->moved_us - p->moved_us)
	    : MONO_NEVER;
}

static bool
is_good(const struct pace *p, struct mono now)
{
	return mono_is_set(p->slot) &&
	    mono_diff_us(slot_of(p), now) <= PACER_LATE_US;
}

bool
pace_ready(struct pace *p, struct mono now)
{
	struct pacer *all = p->pacer;

	if (all == NULL)
		return true;
	if (!is_good(p, now)) {
		p->slot = all->next.us > now.us ? all->next : now;
		p->moved_us = all->moved_us;
		all->next = mono_add_us(p->slot, all->gap_us);
	}
	return mono_reached(slot_of(p), now);
}

void
pace_sent(struct pace *p, unsigned packets, struct mono now)
{
	struct pacer *all = p->pacer;

	if (all == NULL || packets == 0)
		return;
	all->sent += packets;
	if (is_good(p, now) && mono_reached(slot_of(p), now)) {
		p->slot = MONO_NEVER;
		packets--;
	}
	if (all->next.us < now.us)
		all->next = now;
	all->next = mono_add_us(all->next, packets * all->gap_us);
	all->moved_us += packets * all->gap_us;
}

struct mono
pace_wake(const struct pace *p, struct mono due)
{
	struct mono slot = p->pacer == NULL ? MONO_NEVER : slot_of(p);

	return mono_is_set(due) && slot.us > due.us ? slot : due;
}

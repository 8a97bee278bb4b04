/* limit: virtual scheduling (ITU-T I.371's algorithm), no counter to refill. */
#include "pure/limit.h"

/* Longer intervals would make no difference to anybody. */
#define INTERVAL_MAX INT64_C(86400000000)

int64_t
limit_interval(double per_second)
{
	double us;

	if (per_second >= 1e6)
		return 0;
	us = per_second <= 0 ? (double)INTERVAL_MAX : 1e6 / per_second;
	return us < (double)INTERVAL_MAX ? (int64_t)us : INTERVAL_MAX;
}

bool
limit_allow(struct limit *l, struct mono now)
{
	int64_t saved = INT64_MAX / 4;

	if (l->interval_us == 0)
		return true;
	/* `next` may lag behind now by what a full bucket saves up. */
	if (l->burst - 1 < saved / l->interval_us)
		saved = (l->burst - 1) * l->interval_us;
	if (!l->begun || l->next.us < now.us - saved)
		l->next.us = now.us - saved;
	l->begun = true;
	if (l->next.us > now.us)
		return false;
	l->next.us += l->interval_us;
	return true;
}

void
limit_give(struct limit *l)
{
	l->next.us -= l->interval_us;
}

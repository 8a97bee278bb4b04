/* limit: virtual scheduling (ITU-T I.371's algorithm), no counter to refill. */
#include "pure/limit.h"

int64_t
limit_interval(double per_second)
{
	if (per_second <= 0)
		return INT64_MAX;
	if (per_second >= 1e6)
		return 0;
	return (int64_t)(1e6 / per_second);
}

bool
limit_allow(struct limit *l, struct mono now)
{
	int64_t saved;

	if (l->interval_us == 0)
		return true;
	/* `next` may lag behind now by what a full bucket saves up. */
	if (l->burst - 1 > now.us / l->interval_us)
		saved = now.us;
	else
		saved = (l->burst - 1) * l->interval_us;
	if (l->next.us < now.us - saved)
		l->next.us = now.us - saved;
	if (l->next.us > now.us)
		return false;
	l->next.us += l->interval_us;
	return true;
}

/*
 * clock: says when the wall clock jumped. coordd goes by it where a time was
 * told to somebody: when keys expire, and what came when. All that only has to
 * last goes by the monotonic clock, and no order rests on either.
 */
#include <stdlib.h>

#include "coordd/coordd.h"
#include "coordd/store.h"
#include "pure/text.h"
#include "run/log.h"

/* What setting a clock right usually takes is not worth a line. */
#define JUMP_S 10

static void
warn_back(int64_t s, const char *before, int64_t when)
{
	struct text t = TEXT_EMPTY;

	text_time(&t, when);
	log_warnx("the clock stands %lld s before %s (%s): what had expired "
		  "may be good again; set it right",
	    (long long)s, before, t.bad ? "?" : t.p);
	text_clear(&t);
}

static void
take_last(void *arg, int64_t when, const char *who, const char *what,
    const char *detail)
{
	int64_t *last = arg;

	(void)who;
	(void)what;
	(void)detail;
	*last = when;
}

static int64_t
ahead(const struct coordd *c)
{
	return coordd_time() - loop_now(c->loop).us / 1000000;
}

void
clock_begin(struct coordd *c)
{
	int64_t now = coordd_time(), last = now;

	c->clock_ahead = ahead(c);
	/* If it cannot be read, the next write will say why. */
	(void)store_audit_read(c->store, 1, take_last, &last);
	if (last - now > JUMP_S)
		warn_back(last - now, "the last entry in the audit log", last);
}

void
clock_tick(struct coordd *c)
{
	int64_t was = c->clock_ahead, jump;

	c->clock_ahead = ahead(c);
	jump = c->clock_ahead - was;
	if (jump < -JUMP_S)
		warn_back(-jump, "where it stood", coordd_time() - jump);
	else if (jump > JUMP_S)
		log_warnx("the clock was set forward by %lld s: keys that were "
			  "good may have expired",
		    (long long)jump);
}

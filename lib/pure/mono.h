/*
 * mono: monotonic time as a type, so that seconds, milliseconds and wall
 * time cannot be mixed up. Pure: time is always an argument; the one read of
 * the clock is in lib/run/loop.c.
 */
#ifndef PURE_MONO_H
#define PURE_MONO_H

#include <stdbool.h>
#include <stdint.h>

/* A point in monotonic time, in microseconds. Zero means "never". */
struct mono {
	int64_t us;
};

#define MONO_NEVER ((struct mono){0})

static inline struct mono
mono_add_us(struct mono t, int64_t us)
{
	return (struct mono){t.us + us};
}

static inline struct mono
mono_add_ms(struct mono t, int64_t ms)
{
	return mono_add_us(t, ms * 1000);
}

/* Microseconds from a to b; negative if b is before a. */
static inline int64_t
mono_diff_us(struct mono a, struct mono b)
{
	return b.us - a.us;
}

static inline bool
mono_is_set(struct mono t)
{
	return t.us != 0;
}

/* True once the deadline is set and now has reached it. */
static inline bool
mono_reached(struct mono deadline, struct mono now)
{
	return deadline.us != 0 && now.us >= deadline.us;
}

/* The earlier of two deadlines, where "never" is later than any. */
static inline struct mono
mono_earlier(struct mono a, struct mono b)
{
	if (a.us == 0)
		return b;
	if (b.us == 0)
		return a;
	return a.us < b.us ? a : b;
}

#endif

/*
 * limit: a token bucket in two numbers: `burst` events at once, then one per
 * interval. Time is an argument.
 */
#ifndef PURE_LIMIT_H
#define PURE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "pure/mono.h"

struct limit {
	struct mono next; /* when the bucket holds a token */
	int64_t interval_us;
	int64_t burst; /* at least 1 */
	bool begun; /* false: never asked, the bucket is full */
};

/* A full bucket. */
static inline struct limit
limit_new(int64_t interval_us, int64_t burst)
{
	return (struct limit){
	    .interval_us = interval_us, .burst = burst, .begun = false};
}

/* The interval for a rate per second; 0, no limit, for an infinite one. */
int64_t limit_interval(double per_second);

/* Takes a token; false if there is none. */
bool limit_allow(struct limit *l, struct mono now);

/* Gives a token back that was taken. */
void limit_give(struct limit *l);

#endif

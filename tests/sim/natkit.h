/*
 * natkit: what natprobe's tests in natworld share: a usual run, a NAT of three
 * knobs, and their words.
 */
#ifndef TESTS_SIM_NATKIT_H
#define TESTS_SIM_NATKIT_H

#include "tests/sim/natworld.h"

#define MS     INT64_C(1000)
#define SECOND (1000 * MS)

/* 25 ms each way, and nothing goes wrong. nat is lent; NULL: none. */
struct natworld_options options(const struct nat_config *nat);
struct nat_config config(enum nat_dependence mapping,
    enum nat_dependence filtering, enum nat_ports ports);
/* The verdict that the knob asks for. */
enum behaviour behaviour_of(enum nat_dependence d);
/* Prints the verdicts, for who reads why a test failed. */
void note(const struct verdicts *v);
/* Runs a probe and judges; returns the virtual seconds that it took. */
double run(const struct natworld_options *o, unsigned dead, struct verdicts *v);

#endif

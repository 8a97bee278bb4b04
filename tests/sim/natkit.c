/* natkit: see natkit.h. */
#include <stdio.h>

#include "tests/sim/natkit.h"

struct natworld_options
options(const struct nat_config *nat)
{
	return (struct natworld_options){.nat = nat,
	    .delay_us = 25 * MS,
	    .seed = 1,
	    .probe = {.rate = 100,
		.local_ips = 2,
		.ttl_max_s = 330,
		.ttl_resolution_s = 2}};
}

struct nat_config
config(enum nat_dependence mapping, enum nat_dependence filtering,
    enum nat_ports ports)
{
	struct nat_config c = nat_config_default();

	c.external_count = 1;
	ip_parse(&c.external[0], "192.0.2.1", 9);
	c.mapping = mapping;
	c.filtering = filtering;
	c.ports = ports;
	return c;
}

enum behaviour
behaviour_of(enum nat_dependence d)
{
	switch (d) {
	case NAT_EI:
		return BEHAVIOUR_EI;
	case NAT_AD:
		return BEHAVIOUR_AD;
	case NAT_APD:
		return BEHAVIOUR_APD;
	case NAT_PD:
		return BEHAVIOUR_PD;
	case NAT_NONE:
		break;
	}
	return BEHAVIOUR_NONE;
}

void
note(const struct verdicts *v)
{
	printf("# mapping %s (%s; %u of %u), filtering %s (%s; %u/%u %u/%u "
	       "%u/%u; controls %u of %u), ports %s (%u of %u kept), "
	       "hairpin %s\n",
	    behaviour_name(v->mapping.kind), reason_name(v->mapping.why),
	    v->mapping.agree, v->mapping.units, behaviour_name(v->filter.kind),
	    reason_name(v->filter.why), v->filter.passed[0], v->filter.tried[0],
	    v->filter.passed[1], v->filter.tried[1], v->filter.passed[2],
	    v->filter.tried[2], v->filter.controls_passed,
	    v->filter.controls_tried, assignment_name(v->alloc.kind),
	    v->alloc.preserved, v->alloc.units, hairpin_name(v->hairpin.kind));
}

double
run(const struct natworld_options *o, unsigned dead, struct verdicts *v)
{
	struct probe p;
	double s = natworld_run(&p, o, dead);

	judge(&p, v);
	probe_clear(&p);
	return s;
}

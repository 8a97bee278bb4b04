/*
 * stun: derper's built-in STUN server: Binding requests on one UDP socket of
 * the main thread. stund is the complete one.
 */
#include <stdlib.h>

#include "pure/stunsrv.h"
#include "relayd/relayd.h"
#include "run/udp.h"

/* One address, and nothing of RFC 5780. */
static const struct stunsrv_site site = {
    .here = STUNSRV_ROLE_BIT(STUNSRV_A1P1)};

struct stun_service {
	struct udp *udp;
	struct stats_shared *shared;
};

static size_t
on_datagram(
    void *arg, const struct udp_datagram *d, uint8_t out[static UDP_OUT_MAX])
{
	struct stun_service *s = arg;
	struct stun_addr from;
	const struct stunsrv_arrival arrival = {.from = &from};
	enum stunsrv_verdict verdict;
	struct stunsrv_reply reply;

	addr_ip16(d->from, from.ip);
	from.port = addr_port(d->from);
	verdict =
	    stunsrv_judge(&site, &arrival, d->p, d->cut ? 0 : d->len, &reply);
	if (verdict == STUNSRV_SUCCESS) {
		metric_add(&s->shared->stun_success, 1);
		metric_add(stun_addr_is_v4(&from) ? &s->shared->stun_v4
						  : &s->shared->stun_v6,
		    1);
	} else
		metric_add(&s->shared->stun_not_stun, 1);
	return stunsrv_is_answered(verdict)
	    ? stunsrv_write(&site, &arrival, &reply, out)
	    : 0;
}

struct stun_service *
stun_service_new(struct loop *l, int fd, struct stats_shared *shared)
{
	struct stun_service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->shared = shared;
	if ((s->udp = udp_new(l, fd, on_datagram, s)) == NULL) {
		free(s);
		return NULL;
	}
	shared->stun_udp = udp_stats(s->udp);
	return s;
}

void
stun_service_free(struct stun_service *s)
{
	if (s == NULL)
		return;
	udp_free(s->udp);
	free(s);
}

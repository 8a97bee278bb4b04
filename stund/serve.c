/*
 * serve: the sockets of a worker. Each datagram goes through the pure answer
 * function; what it said is counted here. Decides nothing about STUN.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/log.h"
#include "run/udp.h"
#include "stund/stund.h"

_Static_assert(STUNSRV_ANSWER_MAX <= UDP_DATAGRAM_MAX, "answers fit");

static const struct stunsrv_site site = {
    .here = STUNSRV_ROLE_BIT(STUNSRV_A1P1)};

static size_t
answer(void *arg, const struct udp_datagram *d,
    uint8_t out[static UDP_DATAGRAM_MAX])
{
	struct stund_worker *w = arg;
	enum stunsrv_verdict verdict = STUNSRV_NOT_STUN;
	struct stun_addr from;
	const struct stunsrv_arrival arrival = {.from = &from};
	struct stunsrv_reply reply;

	addr_ip16(d->from, from.ip);
	from.port = addr_port(d->from);
	if (!d->cut)
		verdict = stunsrv_judge(&site, &arrival, d->p, d->len, &reply);
	metric_add(&w->verdicts[verdict], 1);
	if (verdict == STUNSRV_SUCCESS)
		metric_add(stun_addr_is_v4(&from) ? &w->v4 : &w->v6, 1);
	return stunsrv_is_answered(verdict)
	    ? stunsrv_write(&site, &arrival, &reply, out)
	    : 0;
}

/* A kernel without IPv6 has no socket for :PORT to be both families. */
static int
bind_udp(struct addr *a)
{
	int fd = addr_bind_udp(a, false);
	uint16_t port = addr_port(a);

	if (fd != -1 || errno != EAFNOSUPPORT || !addr_is_any(a))
		return fd;
	log_info("no IPv6 here: listening on IPv4 only");
	addr_parse(a, "0.0.0.0", port);
	return addr_bind_udp(a, false);
}

static int
failed(char *error, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	const char *hint = "";

	if (errno == EADDRINUSE)
		hint = "; \"ss -ulnp\" shows by whom";
	else if (errno == EACCES)
		hint = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
	else if (errno == EADDRNOTAVAIL)
		hint = "; it must be an address of this host";
	snprintf(error, STUND_ERROR_MAX, "listen %s: %s%s", addr_text(a, text),
	    strerror(errno), hint);
	return -1;
}

static int
socket_open(struct stund_socket *s, struct stund_worker *w)
{
	int fd = bind_udp(&s->addr);

	if (fd == -1)
		return -1;
	s->udp = udp_new(w->loop, fd, answer, w);
	if (s->udp != NULL)
		return 0;
	close(fd);
	errno = ENOMEM;
	return -1;
}

int
worker_open(struct stund_worker *w, struct loop *l, const struct stund_conf *c,
    char error[static STUND_ERROR_MAX])
{
	struct stund_socket *s;

	w->loop = l;
	w->sockets = calloc(c->listen.n + 1, sizeof(*w->sockets));
	if (w->sockets == NULL) {
		snprintf(error, STUND_ERROR_MAX, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < c->listen.n; i++) {
		s = &w->sockets[i];
		s->addr = c->listen.v[i];
		if (socket_open(s, w) == -1)
			return failed(error, &s->addr);
		w->n_sockets++;
	}
	return 0;
}

void
worker_close(struct stund_worker *w)
{
	while (w->n_sockets > 0)
		udp_free(w->sockets[--w->n_sockets].udp);
	free(w->sockets);
	w->sockets = NULL;
}

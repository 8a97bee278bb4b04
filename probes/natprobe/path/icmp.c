/* icmp: see icmp.h. */
#include <netinet/in.h>
#include <sys/socket.h>

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <time.h>

#include "probes/natprobe/path/icmp.h"

enum icmp_kind
icmp_classify(bool v6, unsigned type, unsigned code)
{
	if (v6 && type == 2)
		return ICMP_BIG;
	if (!v6 && type == 3 && code == 4)
		return ICMP_BIG;
	if (type != (v6 ? 1 : 3))
		return ICMP_OTHER;
	if (v6)
		return code == 4			  ? ICMP_REFUSED
		    : code == 1 || code == 5 || code == 6 ? ICMP_PROHIBITED
							  : ICMP_UNREACHABLE;
	return code == 3			    ? ICMP_REFUSED
	    : code == 9 || code == 10 || code == 13 ? ICMP_PROHIBITED
						    : ICMP_UNREACHABLE;
}

bool
icmp_listen(int fd, bool v6)
{
	int on = 1;

	return setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		   v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on)) == 0;
}

/* As a socket of IPv4 or of IPv6 tells it. */
static bool
is_error(const struct cmsghdr *c)
{
	return (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
	    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

bool
icmp_sender(struct cmsghdr *c, struct addr *who, int *error)
{
	const uint8_t *p = CMSG_DATA(c);
	struct sock_extended_err x;

	if (!is_error(c))
		return false;
	memcpy(&x, p, sizeof(x));
	if (x.ee_origin != SO_EE_ORIGIN_ICMP &&
	    x.ee_origin != SO_EE_ORIGIN_ICMP6)
		return false;
	*error = (int)x.ee_errno;
	who->len = c->cmsg_level == IPPROTO_IP ? sizeof(who->u.in)
					       : sizeof(who->u.in6);
	memcpy(&who->u, p + sizeof(x), who->len); /* SO_EE_OFFENDER */
	return true;
}

static void
take(struct icmp_error *e, const struct sock_extended_err *x)
{
	switch (x->ee_origin) {
	case SO_EE_ORIGIN_LOCAL:
		e->here = true;
		e->kind = x->ee_errno == EMSGSIZE ? ICMP_BIG : ICMP_OTHER;
		break;
	case SO_EE_ORIGIN_ICMP:
	case SO_EE_ORIGIN_ICMP6:
		e->kind = icmp_classify(
		    x->ee_origin == SO_EE_ORIGIN_ICMP6, x->ee_type, x->ee_code);
		break;
	default:
		return;
	}
	if (e->kind == ICMP_BIG)
		e->size = x->ee_info;
}

bool
icmp_read(int fd, struct icmp_error *e)
{
	char quoted[64];
	union {
		char b[512];
		struct cmsghdr align;
	} control;
	struct iovec iov = {quoted, sizeof(quoted)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.b,
	    .msg_controllen = sizeof(control.b)};
	struct sock_extended_err x;

	*e = (struct icmp_error){.kind = ICMP_NOTHING};
	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) == -1)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c))
		if (is_error(c)) {
			memcpy(&x, CMSG_DATA(c), sizeof(x));
			take(e, &x);
		}
	return true;
}

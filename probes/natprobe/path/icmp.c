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
		if ((c->cmsg_level == IPPROTO_IP &&
			c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 &&
			c->cmsg_type == IPV6_RECVERR)) {
			memcpy(&x, CMSG_DATA(c), sizeof(x));
			take(e, &x);
		}
	return true;
}

/* route: asks the kernel by which router it would send (rtnetlink(7)). Sends
 * nothing to the network; what it reads comes from the kernel. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "probes/natprobe/gateway/gateway.h"

#define REPLY_MAX 4096

struct question {
	struct nlmsghdr head;
	struct rtmsg route;
	struct rtattr to;
	uint8_t ip[16];
};

static ssize_t
ask(const struct question *q, void *reply)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = 1};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -1;

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (sendto(fd, q, q->head.nlmsg_len, 0,
		(const struct sockaddr *)&kernel, sizeof(kernel)) != -1)
		n = recv(fd, reply, REPLY_MAX, 0);
	close(fd);
	return n;
}

static void
set_router(struct route *r, bool v6, const void *ip)
{
	memset(&r->router, 0, sizeof(r->router));
	if (v6) {
		r->router.u.in6.sin6_family = AF_INET6;
		memcpy(&r->router.u.in6.sin6_addr, ip, 16);
		r->router.len = sizeof(r->router.u.in6);
	} else {
		r->router.u.in.sin_family = AF_INET;
		memcpy(&r->router.u.in.sin_addr, ip, 4);
		r->router.len = sizeof(r->router.u.in);
	}
}

bool
route_find(struct route *r, const struct ip *to)
{
	_Alignas(struct nlmsghdr) uint8_t reply[REPLY_MAX];
	struct nlmsghdr *h = (void *)reply;
	struct rtattr *a;
	bool v6 = !ip_is_v4(to);
	size_t size = v6 ? 16 : 4;
	struct question q = {
	    .head = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
	    .route = {.rtm_family = v6 ? AF_INET6 : AF_INET,
		.rtm_dst_len = (unsigned char)(8 * size)},
	    .to = {.rta_type = RTA_DST,
		.rta_len = (unsigned short)RTA_LENGTH(size)}};
	ssize_t n;
	int left;

	memset(r, 0, sizeof(*r));
	memcpy(q.ip, to->b + 16 - size, size);
	q.head.nlmsg_len =
	    (uint32_t)(NLMSG_LENGTH(sizeof(q.route)) + q.to.rta_len);
	n = ask(&q, reply);
	if (n < (ssize_t)sizeof(*h) || !NLMSG_OK(h, (size_t)n) ||
	    h->nlmsg_type != RTM_NEWROUTE)
		return false;
	a = RTM_RTA((struct rtmsg *)NLMSG_DATA(h));
	left = (int)RTM_PAYLOAD(h);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == RTA_GATEWAY && RTA_PAYLOAD(a) == size)
			set_router(r, v6, RTA_DATA(a));
		else if (a->rta_type == RTA_OIF &&
		    RTA_PAYLOAD(a) == sizeof(r->device))
			memcpy(&r->device, RTA_DATA(a), sizeof(r->device));
	if (r->router.len != 0 && v6 &&
	    IN6_IS_ADDR_LINKLOCAL(&r->router.u.in6.sin6_addr))
		r->router.u.in6.sin6_scope_id = (uint32_t)r->device;
	return r->router.len != 0;
}

/* bind: binds sockets to fresh ports; see nat/ports.h. What it remembers is
 * of the process as a whole, whose sockets the ports belong to. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "probes/natprobe/nat/ports.h"
#include "probes/natprobe/natprobe.h"

/* As many as some runs at once may have. */
#define TRIES 4096

static struct ports taken[2][2]; /* over UDP, TCP; IPv4, IPv6 */
static bool matters; /* a NAT may be on the way */

static int64_t
unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct ports *
ports_of(int fd, const struct addr *a)
{
	socklen_t len = sizeof(int);
	int type = SOCK_DGRAM;

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return &taken[type == SOCK_STREAM][!addr_is_v4(a)];
}

int
bind_fresh(int fd, struct addr *a, bool row)
{
	struct ports *p = ports_of(fd, a);
	struct stun_addr from;
	int r = -1;

	addr_ip16(a, from.ip);
	matters |= !stun_addr_is_loopback(&from);
	errno = EADDRINUSE;
	for (int i = 0; i < TRIES && r == -1 && errno == EADDRINUSE; i++) {
		addr_set_port(a,
		    ports_draw(
			p, row ? PORTS_ROWS : PORTS_ONE, unix_ms(), from.ip));
		r = bind(fd, &a->u.sa, a->len);
	}
	return r;
}

int64_t
bind_keep_us(void)
{
	int64_t ms = 0, one;

	for (int i = 0; i < 4 && matters; i++) {
		one = ports_ahead_ms(&taken[i / 2][i % 2], unix_ms());
		ms = one > ms ? one : ms;
	}
	return ms * 1000;
}

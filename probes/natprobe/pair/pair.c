/*
 * pair: runs one meeting. A UDP socket per family, with the kernel's word on
 * ICMP errors; the door to a relay; the time. Decides nothing about the
 * meeting itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "probes/natprobe/pair/pair.h"
#include "probes/natprobe/path/icmp.h"

#define DATAGRAM_MAX 2048
/* So that a flood does not keep the loop from its timers. */
#define READS_A_TURN 32
/* A listener whose relay is lost tries again after this. */
#define RETRY_US INT64_C(2000000)

struct pair_sock {
	struct pair *pair;
	int fd;
	struct watch *watch;
};

struct pair {
	const struct natprobe_conf *conf;
	struct loop *loop;
	struct timer *timer;
	struct pair_sock socks[2];
	struct door door;
	struct meet meet;
	struct knock_net *tcp;
	struct mono wait_until, retry_at;
	bool said_key, said_here, interrupted;
	const struct relay_node *node; /* the last one that was open */
	bool next_relay; /* the present one does not know the key */
	FILE *out;
};

/* ---- options ---- */

bool
pair_wanted(const struct natprobe_conf *c)
{
	return c->listen || *c->peer != '\0';
}

bool
pair_check(const struct natprobe_conf *c, const struct relay_nodes *nodes,
    char error[static NATPROBE_ERROR_MAX])
{
	const char *why = NULL;
	struct key k;

	if (!pair_wanted(c))
		return true;
	if (c->listen && *c->peer != '\0')
		why = "listen, peer: one place has -listen, the other -peer";
	else if (nodes->n == 0)
		why = "listen, peer: give -relay URL or -map FILE: the two "
		      "places meet at a relay";
	else if (c->lifetime || c->hairpin || *c->second_address != '\0')
		why = "listen, peer: go without -lifetime, -hairpin and "
		      "-second-address";
	else if (!c->listen && code_parse(&k, c->peer) == CODE_FORM)
		why = "peer: want the KEY that natprobe -listen prints: 14 "
		      "groups of 4 letters or digits";
	else if (!c->listen && code_parse(&k, c->peer) == CODE_TYPO)
		why = "peer: there is a typing error in that KEY";
	if (why != NULL)
		snprintf(error, NATPROBE_ERROR_MAX, "%s", why);
	return why == NULL;
}

/* ---- sockets ---- */

static void go(void *arg);

static void
soon(struct pair *p)
{
	timer_set(p->timer, mono_add_us(loop_now(p->loop), 1));
}

static void
stun_of(struct stun_addr *s, const struct addr *a)
{
	addr_ip16(a, s->ip);
	s->port = addr_port(a);
}

/* One ICMP error, with the packet's destination; false if there is none. */
static bool
take_error(struct pair_sock *s)
{
	char control[512], ignored[64];
	struct iovec iov = {ignored, sizeof(ignored)};
	struct addr to = {.len = sizeof(to.u)};
	struct msghdr m = {.msg_name = &to.u,
	    .msg_namelen = to.len,
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct stun_addr where, who = {.port = 0};

	if (recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) == -1)
		return false;
	to.len = m.msg_namelen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		struct addr from;
		int error;

		if (!icmp_sender(c, &from, &error))
			continue;
		stun_of(&who, &from);
		stun_of(&where, &to);
		meet_icmp(&s->pair->meet, &where, error, &who);
	}
	return true;
}

static void
on_readable(void *arg)
{
	struct pair_sock *s = arg;
	uint8_t buf[DATAGRAM_MAX];
	struct addr from;
	struct stun_addr who;
	ssize_t n;

	for (int i = 0; i < READS_A_TURN; i++) {
		from.len = sizeof(from.u);
		n = recvfrom(s->fd, buf, sizeof(buf), 0, &from.u.sa, &from.len);
		if (n == -1 && !take_error(s))
			break;
		if (n == -1)
			continue;
		stun_of(&who, &from);
		meet_input(&s->pair->meet, &who, buf, (size_t)n,
		    loop_now(s->pair->loop));
	}
	soon(s->pair);
}

static int
open_socket(struct pair *p, int v6, struct stun_addr *bound)
{
	struct pair_sock *s = &p->socks[v6];
	struct addr a;

	s->pair = p;
	s->fd = -1;
	if (p->conf->family == (v6 ? FAMILY_4 : FAMILY_6))
		return 0;
	s->fd = socket(v6 ? AF_INET6 : AF_INET,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return 0; /* a kernel without that family */
	if (v6) {
		setsockopt(
		    s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
		setsockopt(
		    s->fd, IPPROTO_IPV6, IPV6_RECVERR, &(int){1}, sizeof(int));
	} else
		setsockopt(
		    s->fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int));
	if (!addr_parse(&a, v6 ? "::" : "0.0.0.0", 0) ||
	    bind_fresh(s->fd, &a, false) == -1 ||
	    getsockname(s->fd, &a.u.sa, &a.len) == -1)
		return -1;
	stun_of(bound, &a);
	s->watch = watch_new(p->loop, s->fd, WATCH_READ, on_readable, s);
	if (s->watch == NULL)
		return -1;
	watch_on(s->watch, true);
	return 0;
}

/* A socket on which an ICMP error waits gives it to the next that is sent,
 * which does not leave then. */
static void
send_udp(struct pair *p, const struct meet_act *act)
{
	struct pair_sock *s = &p->socks[!stun_addr_is_v4(&act->to)];
	struct addr to;
	int error = 0;

	addr_from_ip16(&to, act->to.ip, act->to.port);
	for (int i = 0; i < 2; i++) {
		if (sendto(s->fd, act->p, act->n, 0, &to.u.sa, to.len) != -1)
			return;
		error = errno;
	}
	meet_send_failed(&p->meet, &act->to, error);
}

/* ---- the relay ---- */

static void
on_event(void *arg, const struct talk_event *e)
{
	struct pair *p = arg;
	struct mono now = loop_now(p->loop);
	uint8_t packet[MESSAGE_MAX];

	if (e->kind == TALK_PACKET && e->n <= sizeof(packet)) {
		memcpy(packet, e->p, e->n);
		meet_relay_input(&p->meet, &e->from, packet, e->n, now);
	} else if (e->kind == TALK_GONE && p->meet.role == ROLE_PEER &&
	    p->meet.phase == MEET_SEEK && door_has_next(&p->door) &&
	    key_equal(&e->from, &p->meet.other))
		p->next_relay = true;
	else if (e->kind == TALK_GONE)
		meet_gone(&p->meet, &e->from, now);
	soon(p);
}

static void
say_key(struct pair *p)
{
	char text[CODE_MAX];

	p->said_key = true;
	fprintf(p->out, "KEY %s\n", code_text(&p->meet.pub, text));
	if (!p->conf->quiet)
		fprintf(p->out,
		    "waiting at %s for the other place, which types: natprobe "
		    "-peer KEY, with the same -relay or -map, and -stun\n",
		    p->door.node->host);
	fflush(p->out);
}

static void
on_door(void *arg)
{
	struct pair *p = arg;
	struct mono now = loop_now(p->loop);

	if (p->door.state == DOOR_UP) {
		p->node = p->door.node;
		meet_relay_up(&p->meet, now);
		if (p->meet.role == ROLE_LISTENER && !p->said_key)
			say_key(p);
	} else {
		meet_relay_down(&p->meet, now);
		if (p->meet.role == ROLE_LISTENER && p->said_key)
			p->retry_at = mono_add_us(now, RETRY_US);
		else if (p->meet.phase == MEET_SEEK)
			meet_stop(&p->meet,
			    p->node != NULL && p->meet.hello_begun
				? MEET_WHY_NOBODY
				: MEET_WHY_RELAY);
	}
	soon(p);
}

/* ---- the run ---- */

static void
watch_phase(struct pair *p, struct mono now)
{
	struct meet *m = &p->meet;

	if (p->next_relay) {
		p->next_relay = false;
		m->relay_up = false;
		door_next(&p->door);
	}
	if (mono_reached(p->retry_at, now)) {
		p->retry_at = MONO_NEVER;
		if (m->phase == MEET_SEEK)
			door_open(&p->door);
	}
	if (m->phase == MEET_SEEK && mono_reached(p->wait_until, now))
		meet_stop(m, MEET_WHY_WAITED);
	if (m->phase >= MEET_PUNCH && m->phase < MEET_OVER && !p->said_here) {
		p->said_here = true;
		if (!p->conf->quiet)
			fprintf(p->out, "the other place is here: trying\n");
		fflush(p->out);
	}
}

static void
go(void *arg)
{
	struct pair *p = arg;
	struct mono now = loop_now(p->loop), at;
	struct meet_act act;

	watch_phase(p, now);
	knock_net_run(p->tcp);
	for (;;) {
		meet_next(&p->meet, now, &act);
		if (act.kind == MEET_NOTHING)
			break;
		if (act.kind == MEET_UDP)
			send_udp(p, &act);
		else
			door_send(&p->door, &act.key, act.p, act.n);
	}
	if (p->meet.phase == MEET_OVER) {
		timer_set(p->timer, MONO_NEVER);
		loop_stop(p->loop);
		return;
	}
	at = mono_earlier(meet_wake(&p->meet, now), p->retry_at);
	if (p->meet.phase == MEET_SEEK)
		at = mono_earlier(at, p->wait_until);
	timer_set(p->timer, at);
}

static void
on_tcp(void *arg)
{
	soon(arg);
}

static void
on_signal(void *arg)
{
	struct pair *p = arg;

	p->interrupted = true;
	meet_stop(&p->meet, MEET_WHY_STOPPED);
	soon(p);
}

/* -rate is of a run with many parts; this one alone needs no more. */
static unsigned
pair_rate(const struct natprobe_conf *c)
{
	return c->rate < NATPROBE_SERVER_RATE ? (unsigned)c->rate
					      : NATPROBE_SERVER_RATE;
}

static void
begin_meet(struct pair *p, const struct targets *t,
    const struct stun_addr bound[static 2])
{
	struct meet_options o = {
	    .rate = pair_rate(p->conf), .tcp = p->conf->tcp};
	struct stun_addr servers[2 * MEET_SERVERS], local[CANDIDATES_MAX / 2];
	struct mono now = loop_now(p->loop);

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < t->n[v6]; i++)
			if (o.n_servers < 2 * MEET_SERVERS)
				servers[o.n_servers++] = t->v[v6][i];
	o.role = p->conf->listen ? ROLE_LISTENER : ROLE_PEER;
	o.servers = servers;
	o.local = local;
	o.n_local = own_addresses(local, sizeof(local) / sizeof(local[0]));
	memcpy(o.bound, bound, sizeof(o.bound));
	randombytes_buf(o.priv.b, sizeof(o.priv.b));
	key_clamp(&o.priv);
	randombytes_buf(o.seed, sizeof(o.seed));
	if (o.role == ROLE_PEER)
		(void)code_parse(&o.listener, p->conf->peer);
	meet_init(&p->meet, &o, now);
	sodium_memzero(&o, sizeof(o));
	if (p->meet.role == ROLE_LISTENER)
		p->wait_until = mono_add_us(now, p->conf->wait_us);
	else if (!p->meet.has_other)
		meet_stop(&p->meet, MEET_WHY_NOBODY);
}

static int
begin(struct pair *p, const struct targets *t, const struct relay_nodes *nodes)
{
	struct stun_addr bound[2] = {{.port = 0}, {.port = 0}};

	p->loop = loop_new();
	if (p->loop == NULL || signals_watch(p->loop, on_signal, p) == -1)
		return -1;
	p->timer = timer_new(p->loop, go, p);
	if (p->timer == NULL || open_socket(p, 0, &bound[0]) == -1 ||
	    open_socket(p, 1, &bound[1]) == -1)
		return -1;
	begin_meet(p, t, bound);
	p->tcp = knock_net_new(p->loop, &p->meet, on_tcp, p);
	if (p->tcp == NULL)
		return -1;
	if (door_init(&p->door, p->loop, nodes, p->conf->family, &p->meet.priv,
		on_door, on_event, p) == -1)
		return -1;
	door_open(&p->door);
	soon(p);
	return 0;
}

static void
end(struct pair *p)
{
	door_clear(&p->door);
	knock_net_free(p->tcp);
	for (int v6 = 0; v6 < 2; v6++) {
		watch_free(p->socks[v6].watch);
		if (p->socks[v6].pair != NULL && p->socks[v6].fd != -1)
			close(p->socks[v6].fd);
	}
	timer_free(p->timer);
	loop_free(p->loop);
	meet_clear(&p->meet);
}

int
pair_run(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, json_t *result, FILE *out)
{
	static const int statuses[] = {[MEET_DIRECT] = PAIR_DIRECT,
	    [MEET_RELAYED] = PAIR_RELAY,
	    [MEET_NOT_MET] = PAIR_NOT_MET};
	struct pair p = {.conf = c, .out = out};
	int status = STATUS_USAGE;

	if (begin(&p, t, nodes) == -1)
		fprintf(stderr, "natprobe: sockets: %s\n", strerror(errno));
	else {
		loop_run(p.loop);
		status = p.interrupted ? STATUS_CUT
				       : statuses[meet_outcome(&p.meet)];
		json_object_set_new(
		    result, "pair", pair_result(&p.meet, p.node, p.door.why));
		json_object_set_new(json_object_get(result, "pair"), "tcp",
		    knock_result(&p.meet, loop_now(p.loop)));
		json_object_set_new(
		    result, "complete", json_boolean(!p.interrupted));
	}
	end(&p);
	return status;
}

void
pair_dry_print(const struct natprobe_conf *c, const struct targets *t,
    const struct relay_nodes *nodes, FILE *out)
{
	size_t servers = t->n[0] + t->n[1];

	fprintf(out,
	    "pair mode, %s: one connection to one of %zu relays; from a UDP "
	    "socket per family, once the other place is there, within %d s\n",
	    c->listen ? "listening" : "calling", nodes->n,
	    (int)((MEET_GATHER_US + MEET_WHOLE_US) / 1000000));
	fprintf(out,
	    "  %u packets at most of %d bytes at most, %d a second: to %zu "
	    "STUN servers, to at most %d addresses that the other place "
	    "tells or sends from\n",
	    meet_packets_max(servers, TARGETS_MAX), MESSAGE_MAX,
	    (int)pair_rate(c), servers, TARGETS_MAX);
	if (c->tcp)
		fprintf(out,
		    "  over TCP, per family, %d connections at most: to %d of "
		    "those servers' hosts, and to one address and port that "
		    "the other place tells\n",
		    KNOCK_CONNECTS_MAX, KNOCK_SERVERS);
	for (size_t i = 0; i < nodes->n; i++)
		fprintf(out, "  at %s port %u\n", nodes->v[i].host,
		    nodes->v[i].port);
}

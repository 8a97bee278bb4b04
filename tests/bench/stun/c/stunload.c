/*
 * stunload: the load of the STUN benchmark. Keeps a number of Binding requests
 * in flight to one IPv4 server, with sendmmsg and recvmmsg, checks each
 * answer's transaction id and mapped address, and prints what came of it as
 * one line of JSON. Knows nothing of the server's process.
 *
 * A transaction id is 8 bytes of this run and a sequence number. The newest
 * RING requests are remembered. A request that is not answered before RING
 * later ones were sent, or within a second of silence, gives up its place in
 * flight; if its answer comes after all, it counts as answered, without a
 * latency.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pure/stun.h"

#define BATCH	      64
#define RING	      4096
#define FLIGHT_MAX    1024
#define SOCKETS_MAX   64
#define ANSWER_MAX    256
#define PREFIX_LEN    8
#define SECOND	      1000000000
#define SILENCE	      SECOND
#define SPIN	      (SECOND / 100)
#define SOCKET_BUFFER (4 << 20)

/* Latencies in ns, with 8 bits after the leading one. */
#define STEPS	  256
#define STEP_BITS 8
#define BINS	  (STEPS * 40)

struct request {
	int64_t sent_at; /* ns */
	uint32_t seq;
	bool open;
};

struct options {
	struct sockaddr_in server;
	size_t size;
	long flight, sockets;
	int core; /* -1: any, and sleep while there is nothing to do */
	double seconds;
	bool fresh; /* each request from an address of its own */
};

struct endpoint {
	int fd;
	uint16_t port;
};

struct load {
	struct options o;
	struct endpoint ends[SOCKETS_MAX];
	struct request ring[RING];
	uint8_t prefix[PREFIX_LEN];
	uint8_t template[STUN_TAILNODE_LEN];
	uint32_t fingerprints[4][256]; /* what a byte of seq adds */
	uint32_t next; /* sequence number */
	int64_t now; /* ns, of the last batch */
	int64_t heard; /* ns, of the last answer */
	long in_flight;
	int64_t sent, answered, given_up, late;
	int64_t bins[BINS];
};

/* One batch, for sending or for receiving. */
struct batch {
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in to; /* unless connected */
	uint8_t bytes[BATCH][ANSWER_MAX];
	struct {
		_Alignas(struct cmsghdr) char b[CMSG_SPACE(
		    sizeof(struct in_pktinfo))];
	} control[BATCH];
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "stunload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void
wrong(const char *what)
{
	fprintf(stderr, "stunload: the server's answer is wrong: %s\n", what);
	exit(1);
}

static int64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * (int64_t)SECOND + ts.tv_nsec;
}

/* ---- latencies ---- */

static size_t
bin_of(int64_t ns)
{
	int shift;

	if (ns < STEPS)
		return ns < 0 ? 0 : (size_t)ns;
	shift = 63 - __builtin_clzll((unsigned long long)ns) - STEP_BITS;
	return (size_t)(shift + 1) * STEPS + ((size_t)(ns >> shift) % STEPS);
}

/* The least latency of a bin, in us. */
static double
bin_us(size_t bin)
{
	if (bin < STEPS)
		return (double)bin / 1e3;
	return (double)((uint64_t)(STEPS + bin % STEPS) << (bin / STEPS - 1)) /
	    1e3;
}

static double
percentile(const struct load *l, double part)
{
	int64_t all = 0, seen = 0;

	for (size_t i = 0; i < BINS; i++)
		all += l->bins[i];
	for (size_t i = 0; i < BINS; i++) {
		seen += l->bins[i];
		if (seen > 0 && (double)seen >= part * (double)all)
			return bin_us(i);
	}
	return 0;
}

/* ---- requests ---- */

static uint32_t
fingerprint_of(struct load *l, uint32_t seq)
{
	struct stun_txid id;
	uint8_t *fingerprint = l->template + STUN_TAILNODE_LEN - 4;
	uint32_t v;

	memcpy(id.b, l->prefix, PREFIX_LEN);
	memcpy(id.b + PREFIX_LEN, &seq, sizeof(seq));
	stun_tailnode_request(l->template, &id);
	memcpy(&v, fingerprint, sizeof(v));
	return v;
}

/* A CRC is linear: seq's bytes change it each by a number of its own. */
static void
prepare_requests(struct load *l)
{
	uint32_t zero;

	if (getrandom(l->prefix, sizeof(l->prefix), 0) != sizeof(l->prefix))
		die("getrandom");
	for (uint32_t byte = 0; byte < 4; byte++)
		for (uint32_t v = 0; v < 256; v++)
			l->fingerprints[byte][v] =
			    fingerprint_of(l, v << 8 * byte);
	zero = fingerprint_of(l, 0);
	for (uint32_t byte = 0; byte < 4; byte++)
		for (uint32_t v = 0; v < 256; v++)
			l->fingerprints[byte][v] ^= zero;
	if (l->o.size == STUN_HEADER_LEN)
		memset(l->template + 2, 0, 2);
}

static void
write_request(const struct load *l, uint32_t seq, uint8_t *out)
{
	uint32_t v;

	memcpy(out, l->template, STUN_TAILNODE_LEN);
	memcpy(out + STUN_HEADER_LEN - sizeof(seq), &seq, sizeof(seq));
	memcpy(&v, out + STUN_TAILNODE_LEN - sizeof(v), sizeof(v));
	for (uint32_t byte = 0; byte < 4; byte++)
		v ^= l->fingerprints[byte][seq >> 8 * byte & 255];
	memcpy(out + STUN_TAILNODE_LEN - sizeof(v), &v, sizeof(v));
}

static void
give_up(struct load *l, struct request *q)
{
	if (!q->open)
		return;
	q->open = false;
	l->in_flight--;
	l->given_up++;
}

/* 127.0.0.1 to 127.128.0.0, each once, in an order that jumps. */
static struct in_addr
source_of(const struct load *l, uint32_t seq)
{
	uint32_t host = 1;

	if (l->o.fresh)
		host += seq * 0x9e3779b1u % (1u << 23);
	return (struct in_addr){htonl(127u << 24 | host)};
}

static void
choose_source(struct batch *b, size_t i, struct in_addr source)
{
	struct msghdr *hdr = &b->msgs[i].msg_hdr;
	struct in_pktinfo info = {.ipi_spec_dst = source};
	struct cmsghdr *c;

	hdr->msg_control = &b->control[i];
	hdr->msg_controllen = sizeof(b->control[i]);
	c = CMSG_FIRSTHDR(hdr);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

static void
send_some(struct load *l, struct endpoint *end, struct batch *b)
{
	size_t n = (size_t)(l->o.flight - l->in_flight);
	int sent;

	if (n > BATCH)
		n = BATCH;
	for (size_t i = 0; i < n; i++) {
		uint32_t seq = l->next + (uint32_t)i;
		struct request *q = &l->ring[seq % RING];

		give_up(l, q);
		write_request(l, seq, b->bytes[i]);
		q->seq = seq;
		q->sent_at = l->now;
		if (l->o.fresh)
			choose_source(b, i, source_of(l, seq));
	}
	sent = sendmmsg(end->fd, b->msgs, (unsigned)n, MSG_DONTWAIT);
	if (sent == -1 && errno != EAGAIN && errno != EINTR)
		die("send");
	for (int i = 0; i < sent; i++)
		l->ring[(l->next + (uint32_t)i) % RING].open = true;
	if (sent > 0) {
		l->next += (uint32_t)sent;
		l->sent += sent;
		l->in_flight += sent;
	}
}

/* ---- answers ---- */

static void
check_mapped(const struct stun_addr *got, struct in_addr source, uint16_t port)
{
	if (!stun_addr_is_v4(got) || got->port != port ||
	    memcmp(got->ip + 12, &source, sizeof(source)) != 0)
		wrong("not the request's source");
}

static void
take_answer(
    struct load *l, const struct endpoint *end, const uint8_t *p, size_t n)
{
	struct stun_addr mapped;
	struct stun_txid id;
	struct request *q;
	unsigned code;
	uint32_t seq;

	if (n < STUN_HEADER_LEN)
		wrong("too short");
	memcpy(&seq, p + STUN_HEADER_LEN - sizeof(seq), sizeof(seq));
	memcpy(id.b, l->prefix, PREFIX_LEN);
	memcpy(id.b + PREFIX_LEN, &seq, sizeof(seq));
	if (stun_response_parse(p, n, &id, &mapped, &code) !=
	    STUN_RESPONSE_MAPPED)
		wrong("no success for a transaction of this run");
	if (seq >= l->next)
		wrong("a transaction that has not been");
	check_mapped(&mapped, source_of(l, seq), end->port);
	q = &l->ring[seq % RING];
	if (q->seq != seq || !q->open) {
		if (++l->late > l->given_up)
			wrong("answered twice");
		return;
	}
	q->open = false;
	l->in_flight--;
	l->answered++;
	l->bins[bin_of(l->now - q->sent_at)]++;
}

/* Returns the answers taken. */
static int
receive_some(struct load *l, const struct endpoint *end, struct batch *b)
{
	int got = recvmmsg(end->fd, b->msgs, BATCH, MSG_DONTWAIT, NULL);

	if (got == -1) {
		if (errno != EAGAIN && errno != EINTR)
			die("receive");
		return 0;
	}
	l->now = l->heard = now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < got; i++)
		take_answer(l, end, b->bytes[i], b->msgs[i].msg_len);
	return got;
}

/* ---- the loop ---- */

static void
batch_init(struct batch *b, const struct options *o, size_t len)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct msghdr *hdr = &b->msgs[i].msg_hdr;

		b->iov[i] = (struct iovec){b->bytes[i], len};
		hdr->msg_iov = &b->iov[i];
		hdr->msg_iovlen = 1;
		if (o != NULL && o->fresh) {
			b->to = o->server;
			hdr->msg_name = &b->to;
			hdr->msg_namelen = sizeof(b->to);
		}
	}
}

/*
 * Nothing came. With many in flight and a core of its own the generator looks
 * again at once for a while, so that the server is not charged with waking it
 * up for each few answers. With one it sleeps, as a client does.
 */
static void
rest(struct load *l)
{
	struct pollfd fds[SOCKETS_MAX];

	l->now = now_ns(CLOCK_MONOTONIC);
	if (l->now - l->heard > SILENCE) {
		for (size_t i = 0; i < RING; i++)
			give_up(l, &l->ring[i]);
		l->heard = l->now;
	}
	if (l->o.core >= 0 && l->o.flight > 1 && l->now - l->heard < SPIN)
		return;
	for (long i = 0; i < l->o.sockets; i++)
		fds[i] = (struct pollfd){l->ends[i].fd, POLLIN, 0};
	poll(fds, (nfds_t)l->o.sockets, 100);
}

static void
run(struct load *l, int64_t until, bool sending)
{
	static struct batch in, out;

	batch_init(&in, NULL, ANSWER_MAX);
	batch_init(&out, &l->o, l->o.size);
	l->now = l->heard = now_ns(CLOCK_MONOTONIC);
	while (sending ? l->now < until : l->in_flight > 0) {
		int got = 0;

		for (long i = 0; i < l->o.sockets; i++) {
			got += receive_some(l, &l->ends[i], &in);
			if (sending && l->in_flight < l->o.flight)
				send_some(l, &l->ends[i], &out);
		}
		if (got == 0)
			rest(l);
	}
}

/* ---- set-up ---- */

static void
open_endpoint(struct endpoint *end, const struct options *o)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int size = SOCKET_BUFFER;

	a.sin_addr.s_addr = htonl(o->fresh ? INADDR_ANY : INADDR_LOOPBACK);
	end->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (end->fd == -1 ||
	    bind(end->fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    getsockname(end->fd, (struct sockaddr *)&a, &len) == -1)
		die("socket");
	end->port = ntohs(a.sin_port);
	if (setsockopt(
		end->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1)
		setsockopt(end->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (!o->fresh &&
	    connect(end->fd, (const struct sockaddr *)&o->server,
		sizeof(o->server)) == -1)
		die("connect");
}

static void
take_core(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == -1)
		die("-core");
}

static long
number(const char *option, const char *text, long min, long max)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0' && v >= min && v <= max)
		return v;
	fprintf(stderr, "stunload: %s %s: want %ld to %ld\n", option, text, min,
	    max);
	exit(2);
}

static void
read_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
	    {"size", required_argument, NULL, 's'},
	    {"flight", required_argument, NULL, 'f'},
	    {"sockets", required_argument, NULL, 'k'},
	    {"ms", required_argument, NULL, 't'},
	    {"core", required_argument, NULL, 'c'},
	    {"fresh", no_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long_only(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 's':
			o->size = (size_t)number("-size", optarg,
			    STUN_HEADER_LEN, STUN_TAILNODE_LEN);
			break;
		case 'f':
			o->flight = number("-flight", optarg, 1, FLIGHT_MAX);
			break;
		case 'k':
			o->sockets = number("-sockets", optarg, 1, SOCKETS_MAX);
			break;
		case 't':
			o->seconds =
			    (double)number("-ms", optarg, 1, 600000) / 1e3;
			break;
		case 'c':
			o->core = (int)number("-core", optarg, 0, 1023);
			break;
		case 'n':
			o->fresh = true;
			break;
		default:
			exit(2);
		}
	o->server.sin_family = AF_INET;
	if (argc - optind != 2 ||
	    inet_pton(AF_INET, argv[optind], &o->server.sin_addr) != 1 ||
	    (o->size != STUN_HEADER_LEN && o->size != STUN_TAILNODE_LEN)) {
		fprintf(stderr,
		    "usage: stunload [-size 20|40] [-flight N] [-sockets N] "
		    "[-ms N] [-core N] [-fresh] IPV4-ADDRESS PORT\n");
		exit(2);
	}
	o->server.sin_port =
	    htons((uint16_t)number("port", argv[optind + 1], 1, UINT16_MAX));
}

int
main(int argc, char **argv)
{
	static struct load l = {.o = {
				    .size = STUN_TAILNODE_LEN,
				    .flight = 1,
				    .sockets = 1,
				    .core = -1,
				    .seconds = 1,
				}};
	int64_t begin, in_time;
	double seconds;

	read_options(&l.o, argc, argv);
	if (l.o.core >= 0)
		take_core(l.o.core);
	prepare_requests(&l);
	for (long i = 0; i < l.o.sockets; i++)
		open_endpoint(&l.ends[i], &l.o);
	begin = now_ns(CLOCK_MONOTONIC);
	run(&l, begin + (int64_t)(l.o.seconds * SECOND), true);
	seconds = (double)(l.now - begin) / SECOND;
	in_time = l.answered;
	run(&l, 0, false);
	printf("{\"answered\": %" PRId64 ", \"lost\": %" PRId64 ", "
	       "\"rate\": %.1f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
	       "\"cpu_us\": %.1f}\n",
	    l.answered + l.late, l.given_up - l.late, (double)in_time / seconds,
	    percentile(&l, 0.5), percentile(&l, 0.99),
	    (double)now_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e3);
	return 0;
}

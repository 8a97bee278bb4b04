/*
 * capture: the run's own packets, by libpcap, with the kernel's timestamps,
 * into a file. Decides nothing: own.c says what is kept.
 *
 * All interfaces are captured at once. So the capture is opened, and root
 * given up, before the name of any server is looked up, and a run whose
 * servers are reached by several interfaces is one file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "probes/natprobe/evidence/evidence.h"
#include "probes/natprobe/evidence/pcapng.h"
#include "probes/natprobe/evidence/sockets.h"
#include "run/loop.h"
#include "run/version.h"

/*
 * What the run's sockets can have to do with, fragments and ICMP errors
 * included; ports are chosen later than this is set, so which of it is the
 * run's, own.c says. libpcap cannot look into ICMP over IPv6 by name: offsets
 * count from IPv6's header, of 40 bytes.
 */
static const char filter[] =
    "udp or tcp or "
    "(icmp and (icmp[0] <= 5 or icmp[0] = 8 or icmp[0] = 11 or "
    "icmp[0] = 12)) or "
    "(ip6[6] = 58 and ip6[40] < 130) or "
    "(ip6[6] = 44 and ip6[40] = 58)";

/* Longer than any packet of natprobe, but for what the network card cuts or
 * puts together of TLS. The ring has room for 2000 frames. */
#define SNAPLEN	   4096
#define RING_BYTES (8 << 20)
#define INTERFACE  "any"
/* Frames a turn, and the time between turns, so that a flood of others does
 * not keep the loop from the run. */
#define TURN_FRAMES 1024
#define TURN_US	    10000
#define NANO	    UINT64_C(1000000000)

struct capture {
	char *path;
	pcap_t *pcap;
	FILE *file;
	/* Frames from before the beginning can be written: the file's, once it
	 * has been. */
	FILE *early;
	char *early_p;
	size_t early_n;
	bool nano; /* the unit of libpcap's timestamps */
	struct loop *loop; /* lent */
	struct watch *watch;
	struct timer *timer; /* of the next turn */
	struct sockets *sockets;
	struct own own;
	call_fn *call_fn; /* or NULL */
	const void *call_arg;
	struct pcapng_sums sums;
	uint64_t stop_ns; /* nothing is taken any more; 0: it is */
	uint64_t last_ns; /* of the last frame, also of others */
	char why[NATPROBE_ERROR_MAX]; /* it is not whole; "" if it is */
};

/* ---- opening ---- */

static void
say_permission(char *error)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	/* A path that long is not shown. */
	if (n < 0 || n == (ssize_t)sizeof(self))
		n = snprintf(self, sizeof(self), "natprobe");
	snprintf(error, NATPROBE_ERROR_MAX,
	    "capture: this needs CAP_NET_RAW; run it by sudo, or allow it "
	    "once: sudo setcap cap_net_raw=ep %.*s",
	    (int)n, self);
}

static int
activate(pcap_t *p)
{
	int r;

	pcap_set_snaplen(p, SNAPLEN);
	pcap_set_buffer_size(p, RING_BYTES);
	pcap_set_immediate_mode(p, 1);
	/* A source without nanoseconds says so, and has microseconds. */
	pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO);
	if ((r = pcap_activate(p)) < 0)
		return r;
	return pcap_set_datalink(p, DLT_LINUX_SLL2) < 0 ? PCAP_ERROR : 0;
}

static int
set_filter(pcap_t *p)
{
	struct bpf_program program;
	int r;

	if (pcap_compile(p, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
		return PCAP_ERROR;
	r = pcap_setfilter(p, &program);
	pcap_freecode(&program);
	return r;
}

static pcap_t *
open_interfaces(char *error)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create(INTERFACE, why);
	int r;

	if (p == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "capture: %s", why);
		return NULL;
	}
	r = activate(p);
	if (r == 0)
		r = set_filter(p);
	if (r == 0)
		r = pcap_setnonblock(p, 1, why);
	if (r == 0)
		return p;
	if (r == PCAP_ERROR_PERM_DENIED)
		say_permission(error);
	else
		snprintf(error, NATPROBE_ERROR_MAX, "capture: %s: %s",
		    pcap_statustostr(r), pcap_geterr(p));
	pcap_close(p);
	return NULL;
}

static FILE *
open_file(const char *path)
{
	int fd = privilege_open(path);
	FILE *f = fd == -1 ? NULL : fdopen(fd, "w");

	if (f == NULL && fd != -1)
		close(fd);
	return f;
}

struct capture *
capture_new(const char *path, char error[static NATPROBE_ERROR_MAX])
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->path = strdup(path)) == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "capture: no memory");
		capture_free(c);
		return NULL;
	}
	if ((c->pcap = open_interfaces(error)) == NULL) {
		capture_free(c);
		return NULL;
	}
	c->nano =
	    pcap_get_tstamp_precision(c->pcap) == PCAP_TSTAMP_PRECISION_NANO;
	if ((c->file = open_file(path)) == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "capture: %s: %s", path,
		    strerror(errno));
		capture_free(c);
		return NULL;
	}
	return c;
}

static void
end_watch(struct capture *c)
{
	sockets_free(c->sockets);
	watch_free(c->watch);
	timer_free(c->timer);
	c->sockets = NULL;
	c->watch = NULL;
	c->timer = NULL;
}

void
capture_free(struct capture *c)
{
	if (c == NULL)
		return;
	end_watch(c);
	if (c->pcap != NULL)
		pcap_close(c->pcap);
	if (c->early != NULL)
		fclose(c->early);
	free(c->early_p);
	if (c->file != NULL)
		fclose(c->file);
	free(c->path);
	free(c);
}

/* ---- writing ---- */

static void
give_up(struct capture *c, const char *why)
{
	if (c->why[0] == '\0')
		snprintf(c->why, sizeof(c->why), "%s", why);
}

static void
write_bytes(struct capture *c, const void *p, size_t n)
{
	if (fwrite(p, 1, n, c->early != NULL ? c->early : c->file) != n)
		give_up(c, strerror(errno));
}

static void
write_block(struct capture *c, const struct wr *w)
{
	if (w->bad)
		give_up(c, "the note about the run is too long");
	else
		write_bytes(c, w->start, wr_len(w));
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NANO + (uint64_t)t.tv_nsec;
}

static void
write_frame(struct capture *c, const struct pcap_pkthdr *h, const u_char *p,
    uint64_t at_ns)
{
	uint8_t b[PCAPNG_HEAD_LEN];
	struct wr w;

	wr_init(&w, b, sizeof(b));
	pcapng_packet_head(&w, at_ns, h->caplen, h->len);
	write_block(c, &w);
	write_bytes(c, p, h->caplen);
	wr_init(&w, b, sizeof(b));
	pcapng_packet_tail(&w, h->caplen);
	write_block(c, &w);
	c->sums.kept++;
}

static void
write_comment(struct capture *c, char *comment)
{
	uint8_t b[PCAPNG_BLOCK_MAX];
	struct wr w;

	wr_init(&w, b, sizeof(b));
	if (comment == NULL)
		give_up(c, "no memory");
	else {
		pcapng_statistics(&w, &c->sums, comment);
		write_block(c, &w);
	}
	free(comment);
}

static void
write_call(struct capture *c, const struct frame *f)
{
	struct note_call call = {.local = f->from, .to = f->to};
	int i;

	if (c->call_fn == NULL || f->kind != FRAME_TCP ||
	    (f->flags & (FRAME_SYN | FRAME_ACK)) != FRAME_SYN ||
	    (i = c->call_fn(c->call_arg, &f->from, &f->to)) == -1)
		return;
	call.call = (uint16_t)i;
	c->sums.end_ns = c->last_ns;
	write_comment(c, note_call_text(&call));
}

static void
on_frame(u_char *arg, const struct pcap_pkthdr *h, const u_char *p)
{
	/* libpcap's type for any pointer. */
	struct capture *c = (void *)arg;
	uint64_t at = (uint64_t)h->ts.tv_sec * NANO +
	    (uint64_t)h->ts.tv_usec * (c->nano ? 1 : 1000);
	struct frame f;

	c->last_ns = at;
	if (c->stop_ns != 0 && at > c->stop_ns)
		return;
	frame_read(&f, FRAME_COOKED2, p, h->caplen);
	if (!own_keeps(&c->own, &f, (int64_t)(at / 1000)))
		return;
	write_frame(c, h, p, at);
	write_call(c, &f);
}

/* What is written is flushed, so that a run that is killed leaves it. */
static int
take(struct capture *c)
{
	int n;

	sockets_look(c->sockets);
	n = pcap_dispatch(c->pcap, TURN_FRAMES, on_frame, (u_char *)c);
	if (sockets_overflowed(c->sockets))
		give_up(c, "more sockets than can be known");
	if (n < 0)
		give_up(c, pcap_geterr(c->pcap));
	else if (fflush(c->early != NULL ? c->early : c->file) != 0)
		give_up(c, strerror(errno));
	return n;
}

static void
on_readable(void *arg)
{
	struct capture *c = arg;

	(void)take(c);
	watch_on(c->watch, false);
	if (c->why[0] == '\0')
		timer_set(c->timer, mono_add_us(loop_now(c->loop), TURN_US));
}

static void
on_turn(void *arg)
{
	watch_on(((struct capture *)arg)->watch, true);
}

static bool
owns(const void *arg, uint8_t protocol, const struct stun_addr *local,
    const struct stun_addr *peer, int64_t at_us)
{
	return ends_have(arg, protocol, local, peer, at_us);
}

int
capture_watch(
    struct capture *c, struct loop *l, char error[static NATPROBE_ERROR_MAX])
{
	c->loop = l;
	c->sums.begin_ns = now_ns();
	c->early = open_memstream(&c->early_p, &c->early_n);
	c->sockets = sockets_new(l);
	c->timer = timer_new(l, on_turn, c);
	c->watch = watch_new(
	    l, pcap_get_selectable_fd(c->pcap), WATCH_READ, on_readable, c);
	if (c->early == NULL || c->sockets == NULL || c->timer == NULL ||
	    c->watch == NULL) {
		snprintf(error, NATPROBE_ERROR_MAX, "capture: no memory");
		return -1;
	}
	own_init(&c->own, owns, sockets_ends(c->sockets));
	watch_on(c->watch, true);
	return 0;
}

static void
write_beginning(struct capture *c, const char *comment)
{
	FILE *early = c->early;
	char program[80];
	uint8_t b[PCAPNG_BLOCK_MAX];
	struct wr w;

	snprintf(program, sizeof(program), "campusnet natprobe %s",
	    campusnet_version);
	wr_init(&w, b, sizeof(b));
	pcapng_section(&w, program, comment);
	pcapng_interface(&w, FRAME_COOKED2, SNAPLEN, INTERFACE, filter);
	/* From here on what is written goes to the file. */
	c->early = NULL;
	write_block(c, &w);
	if (fclose(early) != 0)
		give_up(c, "no memory");
	else
		write_bytes(c, c->early_p, c->early_n);
	if (fflush(c->file) != 0)
		give_up(c, strerror(errno));
}

int
capture_begin(struct capture *c, struct note *note, call_fn *fn,
    const void *arg, char error[static NATPROBE_ERROR_MAX])
{
	char *comment;

	c->call_fn = fn;
	c->call_arg = arg;
	note->begin_us = (int64_t)(now_ns() / 1000);
	comment = note_begin_text(note);
	if (privilege_empty(fileno(c->file)) == -1)
		give_up(c, strerror(errno));
	else if (comment == NULL)
		give_up(c, "no memory");
	else
		write_beginning(c, comment);
	free(comment);
	if (c->why[0] != '\0') {
		snprintf(error, NATPROBE_ERROR_MAX, "capture: %s: %.500s",
		    c->path, c->why);
		return -1;
	}
	return 0;
}

static void
write_end(struct capture *c, bool complete)
{
	struct note note = {.complete = complete && c->why[0] == '\0',
	    .end_us = (int64_t)(c->sums.end_ns / 1000),
	    .dropped = c->sums.dropped};

	write_comment(c, note_end_text(&note));
}

void
capture_stop(struct capture *c)
{
	c->stop_ns = now_ns();
}

int64_t
capture_end(struct capture *c, bool complete)
{
	struct pcap_stat stat = {0};
	FILE *file = c->file;

	if (c->stop_ns == 0)
		capture_stop(c);
	c->sums.end_ns = c->stop_ns;
	/* What comes later is of others, or of nobody. */
	while (c->why[0] == '\0' && c->last_ns <= c->sums.end_ns && take(c) > 0)
		;
	end_watch(c);
	if (c->early != NULL)
		give_up(c, "the run ended before any server was known");
	if (pcap_stats(c->pcap, &stat) == 0) {
		c->sums.received = stat.ps_recv;
		c->sums.dropped = stat.ps_drop;
	}
	write_end(c, complete);
	c->file = NULL;
	if (fclose(file) != 0)
		give_up(c, strerror(errno));
	if (c->why[0] != '\0')
		fprintf(stderr, "natprobe: capture %s: %s\n", c->path, c->why);
	return (int64_t)(c->sums.end_ns / NANO);
}

json_t *
capture_json(const struct capture *c)
{
	return json_pack("{s:s, s:I, s:I, s:s?}", "file", c->path, "packets",
	    (json_int_t)c->sums.kept, "dropped", (json_int_t)c->sums.dropped,
	    "why", c->why[0] == '\0' ? NULL : c->why);
}

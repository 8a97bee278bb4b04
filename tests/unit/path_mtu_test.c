/* path_mtu: sizes on ways of every kind, by a clock moved by hand: what is
 * found, that it is in time, and that loss makes no wrong verdict. */
#include <stdarg.h>
#include <stdlib.h>

#include "probes/natprobe/path/mtu.h"
#include "pure/stunsrv.h"
#include "tests/tap.h"

#define QUEUE 64

static void __attribute__((format(printf, 2, 3)))
sure(bool good, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ok(good, text);
}

struct way {
	const char *name;
	bool v6;
	unsigned out, in; /* the path MTUs; 0: 1500 */
	bool mute; /* no ICMP */
	unsigned link;
	bool drops_out, drops_in; /* fragments */
	bool no_padding; /* the server knows none */
	bool dead;
	unsigned answers; /* so many, then no more; 0: all */
	unsigned padded; /* the same of those with PADDING */
	unsigned lost; /* of 100 packets, each way */
	int64_t trip_us;
};

struct flight {
	struct mono at;
	size_t n;
	unsigned piece;
	uint8_t p[MTU_DATAGRAM + 100];
};

struct world {
	const struct way *way;
	struct mtu m;
	struct flight queue[QUEUE];
	unsigned answered, padded;
	unsigned seed, told; /* told: by ICMP to the server, which cuts */
	struct mono now;
};

static const struct stun_addr client = {
    {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, 1234};
static const struct stun_addr servers[2] = {
    {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 8}, 3478},
    {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 9}, 3478}};

static unsigned
or_full(unsigned mtu)
{
	return mtu == 0 ? MTU_TOP : mtu;
}

static bool
is_lost(struct world *w)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % 100 < w->way->lost;
}

static size_t
answer(const struct way *y, const void *p, size_t n, uint8_t *out)
{
	struct stunsrv_site site = {.here = 1, .extras = !y->no_padding};
	struct stunsrv_arrival a = {.from = &client, .now = {1}};
	struct stunsrv_reply r;

	site.at[0] = servers[0];
	if (!stunsrv_is_answered(stunsrv_judge(&site, &a, p, n, &r)))
		return 0;
	return stunsrv_write(&site, &a, &r, out);
}

static void
come(struct world *w, const uint8_t *p, size_t n, unsigned piece)
{
	for (size_t i = 0; i < QUEUE; i++)
		if (!mono_is_set(w->queue[i].at)) {
			w->queue[i].at = mono_add_us(w->now, w->way->trip_us);
			w->queue[i].n = n;
			w->queue[i].piece = piece;
			memcpy(w->queue[i].p, p, n);
			return;
		}
}

/* The way back: a server sends whole what it does not know to be too large. */
static void
go_back(struct world *w, const uint8_t *p, size_t n)
{
	const struct way *y = w->way;
	unsigned size = (unsigned)n + mtu_headers(&w->m);
	unsigned in = or_full(y->in), most = w->told != 0 ? w->told : MTU_TOP;

	if (size <= most && size > in) {
		if (!y->mute)
			w->told = in;
		return;
	}
	if (size > most) {
		unsigned cut = y->v6 && most > in ? 0 : most < in ? most : in;

		if (cut == 0 && !y->mute)
			w->told = in;
		if (y->drops_in || cut == 0 || is_lost(w) || is_lost(w))
			return;
		come(w, p, n, cut);
	} else if (!is_lost(w))
		come(w, p, n, 0);
}

/* As a server that limits its clients. */
static bool
is_limited(struct world *w, const void *p, size_t n)
{
	const struct way *y = w->way;
	struct stun_attr a;
	struct stun_msg m;
	struct rd r;

	if (y->answers != 0 && w->answered++ >= y->answers)
		return true;
	if (y->padded == 0 || stun_parse(&m, p, n) != STUN_FORM_OK)
		return false;
	r = stun_attrs(&m);
	while (stun_attr_next(&m, &r, &a))
		if (a.type == STUN_PADDING)
			return w->padded++ >= y->padded - 1;
	return false;
}

static void
go_out(struct world *w, const struct mtu_send *s)
{
	const struct way *y = w->way;
	unsigned size = (unsigned)s->len + mtu_headers(&w->m);
	unsigned link = or_full(y->link), out = or_full(y->out);
	uint8_t reply[STUNSRV_ANSWER_MAX];
	size_t n;

	if (s->whole && size > link) {
		mtu_too_big(&w->m, link, true, w->now);
		return;
	}
	if (y->dead || is_lost(w))
		return;
	if (s->whole && size > out) {
		if (!y->mute)
			mtu_too_big(&w->m, out, false, w->now);
		return;
	}
	if (!s->whole && (y->drops_out || is_lost(w)))
		return;
	if (is_limited(w, s->p, s->len))
		return;
	n = answer(y, s->p, s->len, reply);
	if (n > 0)
		go_back(w, reply, n);
}

static void
deliver(struct world *w)
{
	for (size_t i = 0; i < QUEUE; i++) {
		struct flight *f = &w->queue[i];

		if (!mono_reached(f->at, w->now))
			continue;
		f->at = MONO_NEVER;
		mtu_input(&w->m, &servers[0], f->p, f->n, f->piece, w->now);
	}
}

/* Returns how long it took. */
static int64_t
run(struct world *w, const struct way *y, unsigned seed, struct mtu_verdict *v)
{
	static const uint8_t zero[MTU_SEED_LEN];
	struct mono begun = {1000000};
	struct mtu_send s;

	memset(w, 0, sizeof(*w));
	w->way = y;
	w->seed = seed;
	w->now = begun;
	mtu_init(&w->m, y->v6, servers, 1, 40, zero, begun);
	while (mono_is_set(mtu_wake(&w->m))) {
		deliver(w);
		while (mtu_next(&w->m, w->now, &s))
			go_out(w, &s);
		w->now = mono_add_us(w->now, 1000);
	}
	mtu_judge(&w->m, v);
	return mono_diff_us(begun, w->now);
}

/* ---- ways ---- */

static const struct {
	struct way way;
	enum mtu_word out, in;
	unsigned out_passes, out_fails, in_passes, in_fails;
	enum answer frag_out, frag_in, fits;
} cases[] = {
    {{.name = "1500"}, MTU_FULL, MTU_FULL, 1500, 0, 1500, 0, ANSWER_YES,
	ANSWER_YES, ANSWER_YES},
    {{.name = "1500, IPv6", .v6 = true}, MTU_FULL, MTU_FULL, 1500, 0, 1500, 0,
	ANSWER_YES, ANSWER_YES, ANSWER_YES},
    {{.name = "PPPoE, told", .out = 1492, .in = 1492}, MTU_TOLD, MTU_AS_OUT,
	1492, 1493, 1492, 0, ANSWER_YES, ANSWER_YES, ANSWER_YES},
    {{.name = "1401, told: not a multiple of 4", .out = 1401, .in = 1401},
	MTU_TOLD, MTU_AS_OUT, 1401, 1402, 1401, 0, ANSWER_YES, ANSWER_YES,
	ANSWER_YES},
    {{.name = "1420, a black hole", .out = 1420, .in = 1420, .mute = true},
	MTU_BLACK_HOLE, MTU_AS_OUT, 1420, 1424, 1420, 0, ANSWER_YES, ANSWER_YES,
	ANSWER_YES},
    {{.name = "1338, a black hole", .out = 1338, .in = 1338, .mute = true},
	MTU_BLACK_HOLE, MTU_AS_OUT, 1336, 1340, 1336, 0, ANSWER_YES, ANSWER_YES,
	ANSWER_NO},
    {{.name = "a black hole inbound", .in = 1452, .mute = true}, MTU_FULL,
	MTU_BLACK_HOLE, 1500, 0, 1452, 1456, ANSWER_YES, ANSWER_YES,
	ANSWER_YES},
    {{.name = "inbound told", .in = 1400}, MTU_FULL, MTU_PIECES, 1500, 0, 1400,
	1401, ANSWER_YES, ANSWER_YES, ANSWER_YES},
    {{.name = "1280 both ways", .out = 1280, .in = 1280, .v6 = true}, MTU_TOLD,
	MTU_AS_OUT, 1280, 1281, 1280, 0, ANSWER_YES, ANSWER_YES, ANSWER_NO},
    {{.name = "fragments dropped", .drops_out = true}, MTU_FULL, MTU_FULL, 1500,
	0, 1500, 0, ANSWER_NO, ANSWER_UNKNOWN, ANSWER_YES},
    {{.name = "fragments dropped inbound", .drops_in = true}, MTU_FULL,
	MTU_FULL, 1500, 0, 1500, 0, ANSWER_YES, ANSWER_NO, ANSWER_YES},
    {{.name = "dropped inbound, or the hole",
	 .drops_in = true,
	 .in = 1400,
	 .mute = true},
	MTU_FULL, MTU_BLACK_HOLE, 1500, 0, 1400, 1404, ANSWER_YES,
	ANSWER_UNKNOWN, ANSWER_YES},
    {{.name = "a link of its own", .link = 1280}, MTU_LINK, MTU_AS_OUT, 1280,
	1281, 1280, 0, ANSWER_YES, ANSWER_YES, ANSWER_NO},
    {{.name = "jumbo frames", .link = 9000, .out = 9000, .in = 9000}, MTU_FULL,
	MTU_FULL, 1500, 0, 1500, 0, ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_YES},
    {{.name = "a server without PADDING", .no_padding = true}, MTU_FULL,
	MTU_UNKNOWN, 1500, 0, 0, 0, ANSWER_YES, ANSWER_UNKNOWN, ANSWER_UNKNOWN},
    {{.name = "a server that stops at once", .answers = 1}, MTU_UNKNOWN,
	MTU_AS_OUT, 164, 0, 164, 0, ANSWER_UNKNOWN, ANSWER_UNKNOWN,
	ANSWER_UNKNOWN},
    {{.name = "one that stops soon", .answers = 2}, MTU_FULL, MTU_UNKNOWN, 1500,
	0, 164, 0, ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN},
    {{.name = "one that limits PADDING", .padded = 2}, MTU_FULL, MTU_FULL, 1500,
	0, 1500, 0, ANSWER_YES, ANSWER_UNKNOWN, ANSWER_YES},
    {{.name = "one that is silent about PADDING", .padded = 1}, MTU_FULL,
	MTU_UNKNOWN, 1500, 0, 164, 0, ANSWER_YES, ANSWER_UNKNOWN,
	ANSWER_UNKNOWN},
    {{.name = "nobody", .dead = true}, MTU_UNKNOWN, MTU_UNKNOWN, 0, 0, 0, 0,
	ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN},
};

static void
check_reasons(struct world *w)
{
	static const struct {
		struct way way;
		const char *out, *in, *frag_in;
	} all[] = {
	    {{.name = "stops at once", .answers = 1},
		"server-stopped-answering", "", "server-stopped-answering"},
	    {{.name = "limits PADDING", .padded = 2}, "", "",
		"server-stopped-answering"},
	    {{.name = "silent about PADDING", .padded = 1}, "",
		"padding-not-answered", "padding-not-answered"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct way y = all[i].way;
		struct mtu_verdict v;

		y.trip_us = 50000;
		run(w, &y, 1, &v);
		sure(strcmp(v.out.why, all[i].out) == 0 &&
			strcmp(v.in.why, all[i].in) == 0 &&
			strcmp(v.why_in, all[i].frag_in) == 0,
		    "%s: \"%s\", \"%s\", \"%s\"", y.name, v.out.why, v.in.why,
		    v.why_in);
	}
}

static void
check_ways(struct world *w, int64_t trip_us)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct way y = cases[i].way;
		struct mtu_verdict v;
		int64_t took;

		y.trip_us = trip_us;
		took = run(w, &y, 1, &v);
		sure(v.out.word == cases[i].out && v.in.word == cases[i].in &&
			v.out.passes == cases[i].out_passes &&
			v.out.fails == cases[i].out_fails &&
			v.in.passes == cases[i].in_passes &&
			v.in.fails == cases[i].in_fails,
		    "%s: %s %u/%u, %s %u/%u, in %ld ms", y.name,
		    mtu_word_name(v.out.word), v.out.passes, v.out.fails,
		    mtu_word_name(v.in.word), v.in.passes, v.in.fails,
		    (long)(took / 1000));
		sure(v.fragments_out == cases[i].frag_out &&
			v.fragments_in == cases[i].frag_in &&
			v.fits == cases[i].fits,
		    "%s: fragments %d %d, fits %d", y.name, v.fragments_out,
		    v.fragments_in, v.fits);
		sure((v.out.word == MTU_UNKNOWN) == (*v.out.why != '\0') &&
			(v.in.word == MTU_UNKNOWN) == (*v.in.why != '\0') &&
			(v.fragments_out == ANSWER_UNKNOWN) ==
			    (*v.why_out != '\0') &&
			(v.fragments_in == ANSWER_UNKNOWN) ==
			    (*v.why_in != '\0'),
		    "%s: what is not known has a reason", y.name);
		sure(took <= MTU_LIMIT_US + 2000, "%s: in time", y.name);
	}
}

/* What is said to pass does; what is said not to, does not. */
static bool
is_true(const struct mtu_way *v, unsigned mtu)
{
	return v->passes <= mtu && (v->fails == 0 || v->fails > mtu);
}

static void
check_loss(struct world *w)
{
	static const unsigned mtus[] = {1500, 1492, 1400, 1344};
	unsigned wrong = 0, whole = 0, runs = 0;

	for (unsigned seed = 1; seed <= 100; seed++)
		for (unsigned i = 0; i < 8; i++) {
			struct way y = {.name = "loss",
			    .out = mtus[i / 2],
			    .in = mtus[i / 2],
			    .mute = i % 2,
			    .lost = 10,
			    .trip_us = 50000};
			struct mtu_verdict v;

			run(w, &y, seed * 7919, &v);
			runs++;
			whole += v.out.word != MTU_UNKNOWN &&
			    v.in.word != MTU_UNKNOWN;
			if (!is_true(&v.out, y.out) || !is_true(&v.in, y.in) ||
			    v.fits == ANSWER_NO ||
			    v.fragments_out == ANSWER_NO ||
			    v.fragments_in == ANSWER_NO) {
				wrong++;
				printf("# seed %u, %u%s: %s %u/%u %s %u/%u "
				       "%d %d\n",
				    seed, y.out, y.mute ? " mute" : "",
				    mtu_word_name(v.out.word), v.out.passes,
				    v.out.fails, mtu_word_name(v.in.word),
				    v.in.passes, v.in.fails, v.fragments_out,
				    v.fragments_in);
			}
		}
	sure(wrong == 0, "one packet in ten lost each way: %u of %u wrong",
	    wrong, runs);
	sure(whole * 10 >= runs * 9, "and %u known", whole);
}

/* A second server, a stranger's answers, errors that make no sense. */
static void
check_odd(struct world *w)
{
	static const uint8_t zero[MTU_SEED_LEN];
	struct way y = {.name = "odd"};
	uint8_t reply[STUNSRV_ANSWER_MAX];
	struct mono now = {1000000};
	struct mtu_verdict v;
	struct mtu_send s;
	size_t n;

	w->way = &y;
	mtu_init(&w->m, false, servers, 2, 1000, zero, now);
	mtu_too_big(&w->m, 100, false, now);
	sure(w->m.told == 0, "no error before a server is chosen");
	sure(mtu_next(&w->m, now, &s) && s.to.ip[15] == 8, "asks the first");
	n = answer(&y, s.p, s.len, reply);
	mtu_input(&w->m, &servers[1], reply, n, 0, now);
	sure(w->m.server == -1, "another's answer counts for nothing");
	now = mono_add_us(now, 1000);
	sure(mtu_next(&w->m, now, &s) && s.to.ip[15] == 9, "asks the second");
	n = answer(&y, s.p, s.len, reply);
	mtu_input(&w->m, &servers[1], reply, n / 2, 0, now);
	sure(w->m.server == -1, "half an answer counts for nothing");
	mtu_input(&w->m, &servers[1], reply, n, 0, now);
	sure(w->m.server == 1, "the one that answers is used");
	for (unsigned size = 0; size <= 164; size++)
		mtu_too_big(&w->m, size, size % 2, now);
	mtu_too_big(&w->m, 70000, false, now);
	sure(w->m.told == 0 && w->m.link == 0,
	    "sizes that no path has are not believed: %u %u", w->m.told,
	    w->m.link);
	mtu_judge(&w->m, &v);
	sure(v.out.passes == 164, "what was answered passes: %u", v.out.passes);
}

int
main(void)
{
	struct world *w = calloc(1, sizeof(*w));

	check_ways(w, 1000);
	check_ways(w, 50000);
	check_reasons(w);
	check_loss(w);
	check_odd(w);
	free(w);
	return tap_done();
}

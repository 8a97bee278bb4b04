/* words: the questions to STUN servers, as rows of the live view. PURE. */
#include <stdio.h>
#include <string.h>

#include "probes/natprobe/live/live.h"

/* Where lines stay, one in so many seconds says how far the ladder is. */
#define LADDER_EVERY_S 30

static unsigned
servers_alive(const struct probe *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_servers; i++) {
		const struct ask *full =
		    engine_find(&p->engine, TEST_DISCOVER, i, 0);
		const struct ask *tail =
		    engine_find(&p->engine, TEST_DISCOVER, i, 1);

		n += (full != NULL && full->state == ASK_ANSWERED) ||
		    (tail != NULL && tail->state == ASK_ANSWERED);
	}
	return n;
}

static bool
is_asked(const struct probe *p, uint8_t test)
{
	for (size_t i = 0; i < p->engine.n_asks; i++)
		if (p->engine.asks[i].label.test == test &&
		    !ask_over(&p->engine.asks[i]))
			return true;
	return false;
}

/* What is not known is not unknown as long as it is asked for. */
static const char *
word_of(const struct live_family *f, uint8_t test, enum reason why,
    const char *verdict)
{
	return why != REASON_NONE && is_asked(f->probe, test) ? "asking"
							      : verdict;
}

static void
verdicts_words(char text[static LIVE_TEXT_MAX], const struct live_family *f)
{
	const struct verdicts *v = &f->verdicts;

	if (v->udp == ANSWER_NO)
		snprintf(text, LIVE_TEXT_MAX, "no server answers over UDP");
	else
		snprintf(text, LIVE_TEXT_MAX,
		    "mapping %s, filtering %s, ports %s",
		    word_of(f, TEST_MAPPING, v->mapping.why,
			behaviour_name(v->mapping.kind)),
		    word_of(f, TEST_FILTER, v->filter.why,
			behaviour_name(v->filter.kind)),
		    word_of(f, TEST_ALLOC, v->alloc.why,
			assignment_name(v->alloc.kind)));
}

/* ---- the ladder ---- */

struct ladder {
	unsigned over, all;
	int64_t left_us; /* until the last can be over */
};

/* What ends when, of the last questions of a test. */
static struct ladder
look_at(const struct probe *p, uint8_t test, uint8_t last_step, struct mono now)
{
	struct ladder l = {0};

	for (size_t i = 0; i < p->engine.n_asks; i++) {
		const struct ask *a = &p->engine.asks[i];
		int64_t left = a->wait_us;

		if (a->label.test != test || a->label.step != last_step)
			continue;
		l.all++;
		if (ask_over(a)) {
			l.over++;
			continue;
		}
		if (mono_is_set(a->due))
			left = mono_diff_us(now, a->due);
		if (a->state == ASK_WAITING)
			left += (int64_t)a->delay_ms * 1000;
		if (left > l.left_us)
			l.left_us = left;
	}
	return l;
}

/* The longest that was seen to live, of the middle class. */
static double
alive_s(const struct probe *p)
{
	double best = 0;

	for (size_t i = 0; i < p->engine.n_asks; i++) {
		const struct ask *a = &p->engine.asks[i];
		double s;

		if (a->label.test != TEST_LIFE || a->label.step != LIFE_CHECK ||
		    a->label.unit >> 8 != LIFE_EXCHANGE ||
		    a->state != ASK_ANSWERED)
			continue;
		s = life_rung_s(&p->options, a->label.unit & 0xff);
		if (s > best)
			best = s;
	}
	return best;
}

static void
ladder_words(struct live_words *w, struct live_family *f, struct mono now)
{
	bool life = f->phase == PHASE_LIFE;
	struct ladder l = life
	    ? look_at(f->probe, TEST_LIFE, LIFE_CHECK, now)
	    : look_at(f->probe, TEST_REFRESH, REFRESH_CHECK, now);
	int64_t took_us = mono_diff_us(f->phase_began, now);
	double alive = alive_s(f->probe);
	char known[60] = "";

	if (l.all == 0 || (!life && f->phase != PHASE_REFRESH))
		return;
	w->done = (uint64_t)took_us;
	w->total = (uint64_t)(took_us + l.left_us);
	if (alive > 0)
		snprintf(
		    known, sizeof(known), ", a mapping lives %.0f s", alive);
	snprintf(w->ladder, sizeof(w->ladder),
	    "%s, %lld s more at most: %u of %u sockets%s",
	    life ? "lifetimes" : "what refreshes",
	    (long long)(l.left_us / 1000000), l.over, l.all, known);
	if (took_us / 1000000 >= f->said_s + LADDER_EVERY_S) {
		f->said_s = took_us / 1000000;
		w->ladder_news = true;
	}
}

/* ---- a family ---- */

static bool
enter_phase(struct live_family *f, struct mono now)
{
	if (f->begun && f->phase == f->probe->phase)
		return false;
	f->begun = true;
	f->phase = f->probe->phase;
	f->phase_began = now;
	f->said_s = 0;
	/* Costs too much to be done at each look among a ladder's sockets. */
	judge(f->probe, &f->verdicts);
	return true;
}

void
live_words(struct live_words *w, struct live_family *f, struct mono now)
{
	memset(w, 0, sizeof(*w));
	w->news = enter_phase(f, now);
	w->ladder_news = w->news;
	if (f->phase == PHASE_DISCOVER || (w->news && f->phase == PHASE_MAIN)) {
		snprintf(w->text, sizeof(w->text), "%u of %zu servers answer",
		    servers_alive(f->probe), f->probe->n_servers);
		return;
	}
	if (f->phase == PHASE_MAIN)
		judge(f->probe, &f->verdicts);
	verdicts_words(w->text, f);
	ladder_words(w, f, now);
}

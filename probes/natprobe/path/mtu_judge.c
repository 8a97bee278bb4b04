/* mtu_judge: what is concluded from the sizes that passed. PURE. */
#include "probes/natprobe/nat/probe.h"
#include "probes/natprobe/path/mtu.h"

const char *
mtu_word_name(enum mtu_word w)
{
	static const char *const names[MTU_WORDS] = {
	    [MTU_UNKNOWN] = "unknown",
	    [MTU_FULL] = "full",
	    [MTU_LINK] = "own-link",
	    [MTU_TOLD] = "told-by-icmp",
	    [MTU_BLACK_HOLE] = "black-hole",
	    [MTU_PIECES] = "in-fragments",
	    [MTU_AS_OUT] = "as-outbound",
	};

	return names[w];
}

static bool
has(const struct mtu *m, enum mtu_kind kind, enum mtu_state state)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == kind && m->tries[i].state == state)
			return true;
	return false;
}

static void
set(struct mtu_way *w, enum mtu_word word, unsigned passes, unsigned fails)
{
	*w = (struct mtu_way){.word = word,
	    .passes = (uint16_t)passes,
	    .fails = (uint16_t)fails,
	    .why = ""};
}

/* Also where time is up and it was asked in vain more than once. */
static bool
is_silent(const struct mtu *m, enum mtu_kind control)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == control &&
		    m->tries[i].state != MTU_PASSED && m->tries[i].sends > 1)
			return true;
	return false;
}

/* Silence says nothing if a small question like it was not answered after it
 * had been asked in vain twice. "" if it was. */
static const char *
doubt_silence(const struct mtu *m, const struct mtu_try *t)
{
	bool in = t->kind == MTU_IN || t->kind == MTU_FRAGMENTS_IN;
	enum mtu_kind control = in ? MTU_CONTROL_IN : MTU_CONTROL_OUT;

	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == control &&
		    m->tries[i].state == MTU_PASSED &&
		    mono_reached(t->twice_sent, m->tries[i].first_sent))
			return "";
	if (!is_silent(m, control))
		return reason_name(REASON_LOSS);
	if (in && !has(m, MTU_IN, MTU_PASSED) &&
	    !has(m, MTU_IN, MTU_CAME_IN_PIECES) &&
	    !has(m, MTU_FRAGMENTS_IN, MTU_PASSED) &&
	    !is_silent(m, MTU_CONTROL_OUT))
		return "padding-not-answered";
	return reason_name(REASON_SERVER_STOPPED);
}

/* Silence above what passes. */
static void
judge_silence(const struct mtu *m, struct mtu_way *w, struct mtu_range r)
{
	const struct mtu_try *top = r.top == -1 ? NULL : &m->tries[r.top];
	const char *why = "";

	if (top != NULL && top->state == MTU_SILENT)
		why = doubt_silence(m, top);
	if (*why != '\0') {
		set(w, MTU_UNKNOWN, r.lo, 0);
		w->why = why;
	} else if (top != NULL && top->state == MTU_SILENT)
		set(w, MTU_BLACK_HOLE, r.lo, r.hi);
	else {
		set(w, MTU_UNKNOWN, r.lo, r.top == -1 ? 0 : r.hi);
		w->why = reason_name(REASON_LOSS);
	}
}

static bool
reaches(struct mtu_range r, unsigned size)
{
	return size != 0 && (unsigned)r.lo + MTU_STEP > size;
}

static void
judge_out(const struct mtu *m, struct mtu_way *w)
{
	struct mtu_range r = mtu_range_of(m, MTU_OUT);

	if (r.lo >= MTU_TOP)
		set(w, MTU_FULL, MTU_TOP, 0);
	else if (reaches(r, m->told))
		set(w, MTU_TOLD, m->told, m->told + 1u);
	else if (reaches(r, m->link))
		set(w, MTU_LINK, m->link, m->link + 1u);
	else
		judge_silence(m, w, r);
}

static void
judge_in(const struct mtu *m, const struct mtu_way *out, struct mtu_way *w)
{
	struct mtu_range r = mtu_range_of(m, MTU_IN);

	if (has(m, MTU_IN, MTU_REFUSED)) {
		set(w, MTU_UNKNOWN, 0, 0);
		w->why = reason_name(REASON_REFUSED);
	} else if (r.lo >= MTU_TOP)
		set(w, MTU_FULL, MTU_TOP, 0);
	else if (m->piece != 0)
		set(w, MTU_PIECES, m->piece, m->piece + 1u);
	else if (r.lo + MTU_STEP > out->passes)
		set(w, MTU_AS_OUT, out->passes, 0);
	else
		judge_silence(m, w, r);
}

static enum answer
fragments(const struct mtu *m, enum mtu_kind kind, const char **why)
{
	const struct mtu_try *t = NULL;

	for (size_t i = 0; i < m->n; i++)
		if (m->tries[i].kind == kind)
			t = &m->tries[i];
	*why = "";
	if (has(m, MTU_WHOLE, MTU_PASSED))
		*why = "passes-whole";
	else if (has(m, kind, MTU_REFUSED))
		*why = reason_name(REASON_REFUSED);
	else if (has(m, kind, MTU_PASSED))
		return ANSWER_YES;
	else if (has(m, kind, MTU_WAITS))
		*why = reason_name(REASON_LOSS);
	else
		*why =
		    t == NULL ? reason_name(REASON_LOSS) : doubt_silence(m, t);
	if (**why == '\0')
		return ANSWER_NO;
	return ANSWER_UNKNOWN;
}

static enum answer
fits(const struct mtu_verdict *v)
{
	bool out = v->out.passes >= v->needs, in = v->in.passes >= v->needs;

	if (out && in)
		return ANSWER_YES;
	if ((v->out.fails != 0 && v->out.fails <= v->needs) ||
	    (v->in.fails != 0 && v->in.fails <= v->needs))
		return ANSWER_NO;
	return ANSWER_UNKNOWN;
}

/* Silence may be that of the path MTU alone, where fragments are larger: as
 * large as Ethernet's packets, but for those of IPv6 that this host makes. */
static void
doubt(const struct mtu_way *w, unsigned piece, enum answer *passes,
    const char **why)
{
	if (*passes != ANSWER_NO || w->passes >= piece)
		return;
	*passes = ANSWER_UNKNOWN;
	*why = "path-mtu-is-smaller";
}

void
mtu_judge(const struct mtu *m, struct mtu_verdict *v)
{
	const char *none = reason_name(REASON_NO_SERVER);

	*v = (struct mtu_verdict){
	    .needs = (uint16_t)(MTU_INNER + MTU_WIREGUARD + mtu_headers(m))};
	if (m->server == -1) {
		v->out.why = v->in.why = v->why_out = v->why_in = none;
		return;
	}
	judge_out(m, &v->out);
	judge_in(m, &v->out, &v->in);
	v->fragments_out = fragments(m, MTU_FRAGMENTS_OUT, &v->why_out);
	v->fragments_in = fragments(m, MTU_FRAGMENTS_IN, &v->why_in);
	doubt(&v->out, m->v6 ? MTU_INNER : MTU_TOP, &v->fragments_out,
	    &v->why_out);
	doubt(&v->in, MTU_TOP, &v->fragments_in, &v->why_in);
	if (v->fragments_in != ANSWER_YES && v->fragments_out == ANSWER_NO) {
		v->fragments_in = ANSWER_UNKNOWN;
		v->why_in = "outbound-ones-are-lost";
	}
	v->fits = fits(v);
}

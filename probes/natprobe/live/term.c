/*
 * term: draws the view on a terminal, or writes lines. Nothing here decides
 * what is said. What cannot be written is not missed: the result is not here.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probes/natprobe/live/live.h"

#define EVERY_US INT64_C(250000)
/* A terminal that does not tell its size. */
#define COLUMNS	    80
#define LINES	    24

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

struct live {
	struct loop *loop;
	struct timer *timer;
	struct view view;
	struct mono began;
	bool draws; /* on a terminal, fd */
	bool lines;
	bool colour, shown;
	int fd;
	loop_fn *refresh;
	void *arg;
};

/* ---- what is said ---- */

static struct view_row *say(struct live *live, const char *part,
    const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

static struct view_row *
say(struct live *live, const char *part, const char *fmt, va_list ap)
{
	struct view_row *r = view_row(&live->view, part);

	if (r == NULL)
		return NULL;
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	view_clean(r->text);
	return r;
}

void
live_say(struct live *live, const char *part, const char *fmt, ...)
{
	va_list ap;

	if (live == NULL)
		return;
	va_start(ap, fmt);
	(void)say(live, part, fmt, ap);
	va_end(ap);
}

/* A line, where lines stay. */
static void
tell(struct live *live, struct view_row *r)
{
	struct mono now = loop_now(live->loop);

	if (strcmp(r->told, r->text) == 0)
		return;
	memcpy(r->told, r->text, sizeof(r->told));
	r->told_at = now;
	fprintf(stderr, "natprobe: %lld s: %s: %s\n",
	    (long long)(mono_diff_us(live->began, now) / 1000000), r->part,
	    r->text);
}

/* Where lines stay, the row gets one in every_s seconds at the most. */
static void __attribute__((format(printf, 4, 0))) news(struct live *live,
    const char *part, unsigned every_s, const char *fmt, va_list ap)
{
	struct view_row *r = say(live, part, fmt, ap);

	if (r != NULL && live->lines &&
	    (!mono_is_set(r->told_at) ||
		mono_diff_us(r->told_at, loop_now(live->loop)) >=
		    (int64_t)every_s * 1000000))
		tell(live, r);
}

void
live_news(struct live *live, const char *part, const char *fmt, ...)
{
	va_list ap;

	if (live == NULL)
		return;
	va_start(ap, fmt);
	news(live, part, 0, fmt, ap);
	va_end(ap);
}

void
live_slow_news(
    struct live *live, const char *part, unsigned every_s, const char *fmt, ...)
{
	va_list ap;

	if (live == NULL)
		return;
	va_start(ap, fmt);
	news(live, part, every_s, fmt, ap);
	va_end(ap);
}

void
live_bar(struct live *live, const char *part, uint64_t done, uint64_t total)
{
	struct view_row *r = live == NULL ? NULL : view_row(&live->view, part);

	if (r != NULL) {
		r->done = done;
		r->total = total;
	}
}

void
live_longest(struct live *live, int64_t us)
{
	if (live != NULL)
		live->view.longest_us = us;
}

/* ---- the terminal ---- */

static struct view_size
size_of(const struct live *live)
{
	struct view_size s = {
	    .columns = COLUMNS, .lines = LINES, .colour = live->colour};
	struct winsize w;

	if (ioctl(live->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 &&
	    w.ws_row > 0) {
		s.columns = w.ws_col;
		s.lines = w.ws_row;
	}
	return s;
}

/* As a whole, so that no half of it is ever seen. */
static void
put(const struct live *live, const struct text *t)
{
	size_t done = 0;
	ssize_t n;

	while (!t->bad && done < t->len) {
		n = write(live->fd, t->p + done, t->len - done);
		if (n <= 0 && errno != EINTR)
			return;
		done += n > 0 ? (size_t)n : 0;
	}
}

static void
draw(struct live *live)
{
	struct view_size size = size_of(live);
	struct text out = TEXT_EMPTY;

	text_str(&out, live->shown ? "" : HIDE_CURSOR);
	view_draw(&out, &live->view, &size);
	put(live, &out);
	text_clear(&out);
	live->shown = true;
}

static void
hide(struct live *live)
{
	struct text out = TEXT_EMPTY;

	if (!live->shown)
		return;
	view_erase(&out);
	text_str(&out, SHOW_CURSOR);
	put(live, &out);
	text_clear(&out);
	live->shown = false;
}

static void
on_tick(void *arg)
{
	struct live *live = arg;
	struct mono now = loop_now(live->loop);

	live->view.elapsed_us = mono_diff_us(live->began, now);
	live->refresh(live->arg);
	if (live->draws)
		draw(live);
	timer_set(live->timer, mono_add_us(now, EVERY_US));
}

static void
on_resize(void *arg)
{
	struct live *live = arg;

	if (live->shown)
		draw(live);
}

/* Control-Z: the shell gets its cursor; afterwards the next tick draws. */
static void
on_suspend(void *arg)
{
	hide(arg);
	raise(SIGSTOP);
}

/* ---- its life ---- */

static bool
can_draw(void)
{
	const char *term = getenv("TERM");

	return term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

/* https://no-color.org: any value but an empty one. */
static bool
has_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return no == NULL || *no == '\0';
}

static void
choose(struct live *live, const struct live_options *o)
{
	bool on_stderr = isatty(STDERR_FILENO);

	live->fd = on_stderr ? STDERR_FILENO : STDOUT_FILENO;
	live->draws =
	    can_draw() && (on_stderr || (o->to_stdout && isatty(live->fd)));
	live->lines = o->lines && !live->draws;
	live->colour = has_colour();
}

struct live *
live_new(struct loop *l, const struct live_options *options, loop_fn *refresh,
    void *arg)
{
	struct live *live = calloc(1, sizeof(*live));

	if (live == NULL)
		return NULL;
	*live = (struct live){.loop = l,
	    .began = loop_now(l),
	    .refresh = refresh,
	    .arg = arg,
	    .view = {.title = options->title}};
	choose(live, options);
	live->timer = timer_new(l, on_tick, live);
	if (live->timer == NULL ||
	    (live->draws &&
		(loop_on_signal(l, SIGWINCH, on_resize, live) == -1 ||
		    loop_on_signal(l, SIGTSTP, on_suspend, live) == -1))) {
		live_free(live);
		return NULL;
	}
	if (live->draws || live->lines)
		timer_set(live->timer, mono_add_us(live->began, 1));
	return live;
}

void
live_free(struct live *live)
{
	if (live == NULL)
		return;
	hide(live);
	timer_free(live->timer);
	free(live);
}

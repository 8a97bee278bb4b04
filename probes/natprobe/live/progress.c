/* progress: which rows a run has, from what its parts know. */
#include <stdio.h>

#include "probes/natprobe/live/live.h"
#include "probes/natprobe/natprobe.h"
#include "probes/natprobe/relay/relay.h"

void
progress_names(struct live *live, const struct targets *t)
{
	struct target_name name;
	size_t over = 0, found = 0, n = 0;

	for (; targets_name(t, n, &name); n++) {
		over += name.over;
		found += name.found > 0;
	}
	if (n > 0)
		live_say(live, "names", "%zu of %zu found, %zu failed", found,
		    n, over - found);
}

void
progress_family(struct live *live, struct live_family *f, struct mono now)
{
	char part[LIVE_PART_MAX];
	struct live_words w;

	live_words(&w, f, now);
	if (w.news)
		live_news(live, f->name, "%s", w.text);
	else
		live_say(live, f->name, "%s", w.text);
	if (*w.ladder == '\0')
		return;
	snprintf(part, sizeof(part), "%s time", f->name);
	live_bar(live, part, w.done, w.total);
	if (w.ladder_news)
		live_news(live, part, "%s", w.ladder);
	else
		live_say(live, part, "%s", w.ladder);
}

void
progress_relays(struct live *live, const struct relays *r)
{
	size_t over = 0, work = 0;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		over += r->v[i]->over;
		work += relay_works(r->v[i]);
	}
	live_bar(live, "relays", over, r->n);
	live_say(live, "relays", "%zu of %zu done, %zu work", over, r->n, work);
}
